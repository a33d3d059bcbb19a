"""Command lines that are wrong, drawn by a seed; as a program, some of them in one process.

    python -m helpers.wrong_commands SEED FIRST LAST

runs them in a folder of its own, and prints each one that does not end as it should: with exit code
2, one line on standard error, no exception, within seconds, and nothing written.
"""

import contextlib
import functools
import io
import os
import random
import sys
import tempfile
import traceback
from pathlib import Path

import numpy as np

from fasttsne import TSNE
from fasttsne.cli import _parser, main
from fasttsne.optimize import parameters

say = functools.partial(print, flush=True)
QUICK = ["--n-iter", "2", "--early-exaggeration-iter", "2", "--perplexity", "5", "-q"]
# Commands that are right, which a fault makes wrong; names of files are those of ``prepare``.
RIGHT = {
    "fit": ["rows.npy", "-o", "out.npy", *QUICK],
    "transform": ["new.npy", "--data", "rows.npy", "--map", "points.npy", "-o", "out.npy"],
    "update": ["map.npz", "new.npy", "-o", "out.npy", "--n-iter", "2"],
    "plot": ["points.npy", "-o", "out.png"],
    "animate": ["frames.npy", "-o", "out.gif"],
    "metrics": ["rows.npy", "points.npy"],
    "report": ["points.npy", "rows.npy"],
    "demo": ["-o", "out.npy"],
    "config": [],
}
INPUTS = {"rows.npy", "new.npy", "points.npy", "map.npz", "frames.npy"}
# Files that are no data, in place of one that is.
WRONG_FILES = (
    "missing.npy", "folder", "folder.npy", "folder.npz", "empty.npy", "empty.csv", "empty.npz",
    "empty.mtx", "noise.npy", "noise.npz", "noise.csv", "noise.parquet", "noise.h5", "noise.h5ad",
    "noise.mtx", "noise.csv.gz", "text.csv", "text.txt", "objects.npy", "complex.npy", "nan.npy",
    "none.npy", "one.npy", "flat.npy", "dates.npy", "pickled.npy", "rows.npy/inside.npy", "",
    "naïve ☃.npy", "rows", "-", "/dev/null", "http://", "memory://x.npy", "\u202e.npy", "a" * 300,
)  # fmt: skip
WRONG_OUTPUTS = (
    "missing/out.npy",
    "folder",
    "folder.npy",
    "out.txt",
    "out",
    "",
    "/dev/full",
    "/dev/null",
    "/proc/out.npy",
    "rows.npy/out.npy",
    "out.xlsx",
    "☃",
    "a" * 300 + ".npy",
    "out.npy.",
)
# No parameter has one of these values.
WRONG_VALUES = (
    "banana",
    "☃",
    "nan",
    "-inf",
    "[1, 2",
    '{"a": 1}',
    "-1e308",
    "[[]]",
    "0x10",
    '""',
    "\u0661\u0662x",
    "1,5",
    "[null]",
)
# What these name is looked for only where it is needed, or they take almost any text or number.
FREE = {"checkpoint", "temp_folder", "metric_params", "knn_kwargs", "random_state", "max_step_norm"}


def prepare(folder):
    """Write data into a folder, right and wrong."""
    chance, os_path = np.random.default_rng(0), Path(folder)
    rows = chance.normal(size=(60, 8)).astype(np.float32)
    fit = {"n_iter": 2, "early_exaggeration_iter": 2, "perplexity": 5, "random_state": 0}
    embedding = TSNE(**fit).fit(rows)
    embedding.save(os_path / "map.npz", keep="rows")
    arrays = {
        "rows": rows,
        "new": rows[:5] + 0.1,
        "points": np.asarray(embedding),
        "frames": np.repeat(np.asarray(embedding, np.float32)[None], 3, axis=0),
        "complex": rows + 1j,
        "nan": np.where(rows > 2, np.nan, rows),
        "none": rows[:0],
        "one": np.float64(3),
        "flat": np.arange(7.0),
        "dates": rows.astype("M8[s]"),
        "objects": np.array([["a", 1.5], ["b", 2.5]], "U5"),
    }
    for name, array in arrays.items():
        np.save(os_path / f"{name}.npy", array)
    np.save(os_path / "pickled.npy", np.array([{}, []], object), allow_pickle=True)
    for kind in ("npy", "csv", "npz", "mtx"):
        (os_path / f"empty.{kind}").touch()
    for kind in ("npy", "npz", "csv", "parquet", "h5", "h5ad", "mtx", "csv.gz"):
        (os_path / f"noise.{kind}").write_bytes(chance.bytes(3000))
    (os_path / "text.csv").write_text("a,b\nx,y\nz,w\n")
    (os_path / "text.txt").write_text("a\nb\n")
    for name in ("folder", "folder.npy", "folder.npz"):
        (os_path / name).mkdir()


def options_of(command):
    """The options of a command that take a value."""
    parser = next(a for a in _parser()._actions if a.dest == "run" or a.choices).choices[command]
    return [a for a in parser._actions if a.option_strings and a.nargs is None]


def draw(seed):
    """A command line that is wrong, as a list."""
    chance = random.Random(f"wrong {seed}")
    command = chance.choice(sorted(RIGHT))
    arguments = list(RIGHT[command])
    fault = chance.choice(FAULTS)
    return [command, *fault(command, arguments, chance)]


def wrong_input(command, arguments, chance):
    places = [i for i, argument in enumerate(arguments) if argument in INPUTS]
    if not places:
        return unknown_option(command, arguments, chance)
    arguments[chance.choice(places)] = chance.choice(WRONG_FILES)
    return arguments


def wrong_output(command, arguments, chance):
    if "-o" not in arguments:
        return unknown_option(command, arguments, chance)
    arguments[arguments.index("-o") + 1] = chance.choice(WRONG_OUTPUTS)
    return arguments


def wrong_value(command, arguments, chance):
    known = {
        *parameters.TSNE,
        *parameters.TRANSFORM,
        "hold",
        "n_iter",
        "fps",
        "size",
        "k",
        "n_jobs",
        "seed",
        "sample",
        "perplexity",
        "metric",
        "keep",
        "fail_under",
    }
    options = [o for o in options_of(command) if o.dest in known and o.dest not in FREE]
    if not options:
        return unknown_option(command, arguments, chance)
    option = chance.choice(options)
    name = chance.choice(option.option_strings)
    return [*arguments, f"{name}={chance.choice(WRONG_VALUES)}"]


def unknown_option(command, arguments, chance):
    name = chance.choice(
        (
            "--perplexty",
            "--☃",
            "-z",
            "--n-itr=3",
            "---",
            "--output-file",
            "extra",
            "--n_iter",
            "--Perplexity",
        )
    )
    arguments.insert(chance.randrange(len(arguments) + 1), name)
    return arguments if name.startswith("-") else [*arguments, "extra", "more", "words"]


def missing_value(command, arguments, chance):
    options = options_of(command)
    if not options:
        return unknown_option(command, arguments, chance)
    return [*arguments, chance.choice(chance.choice(options).option_strings)]


def missing_argument(command, arguments, chance):
    places = [i for i, argument in enumerate(arguments) if argument in INPUTS]
    if not places:
        return unknown_option(command, arguments, chance)
    del arguments[chance.choice(places)]
    return arguments


def contradiction(command, arguments, chance):
    choices = {
        "fit": (["--max-iter", "3"], ["--n-components", "3", "--plot", "x.png"],
                ["--columns", "a"], ["--key", "X"], ["--labels", "nothing"], ["--id", "nothing"],
                ["--save", "x.txt"], ["--transpose", "--labels", "new.npy"],
                ["--perplexity", "1000000", "--neighbors", "banana"], ["--n-components", "0"],
                ["--html", "x.png"], ["--animate", "x.html"], ["--labels", "text.txt"],
                ["--n-components", "9" * 30], ["--n-iter", "-1"], ["--n-jobs", "0"],
                ["--init", "new.npy"], ["--keep", "all"], ["--memory-limit", "-1"],
                ["--checkpoint", "missing/x.npz"], ["--checkpoint", "folder"]),
        "transform": (["--data", "new.npy"], ["--map", "flat.npy"], ["--columns", "a"],
                      ["--key", "X"], ["--k", "-1"], ["--n-iter", "-1"],
                      ["--data", "flat.npy"]),
        "update": (["--data", "new.npy"], ["--hold", "-1"], ["--hold", "nan"], ["--save", "x.csv"],
                   ["--columns", "a"], ["--data", "flat.npy"], ["--seed", "1.5"]),
        "plot": (["--labels", "new.npy"], ["--labels", "folder"], ["-o", "x.npy"]),
        "animate": (["--fps", "0"], ["--fps", "-3"], ["--size", "0"], ["--size", "-5"],
                    ["--labels", "new.npy"], ["--fps", "nan"], ["--size", "3000000000"]),
        "metrics": (["-k", "0"], ["-k", "60"], ["-k", "-1"], ["--metric", "banana"],
                    ["--n-jobs", "0"], ["-k", "1e3"]),
        "report": (["--sample", "0"], ["--sample", "-4"], ["--sample", "1.5"], ["--seed", "-1"],
                   ["--fail-under", "trustworthiness"], ["--fail-under", "=1"],
                   ["--fail-under", "☃=.5"], ["--html", "x.txt"], ["--perplexity", "-3"],
                   ["--labels", "new.npy"], ["--metric", ""]),
        "demo": (["--seed", "-1"], ["--n-jobs", "0"], ["--seed", "1e400"]),
    }  # fmt: skip
    if command not in choices:
        return unknown_option(command, arguments, chance)
    return [*arguments, *chance.choice(choices[command])]


FAULTS = (
    wrong_input,
    wrong_output,
    wrong_value,
    wrong_value,
    wrong_value,
    unknown_option,
    missing_value,
    missing_argument,
    contradiction,
    contradiction,
)


def contents():
    """What is in the folder: a name, and the bytes of each file."""
    return {path: path.read_bytes() if path.is_file() else None for path in Path(".").rglob("*")}


def fault_of(arguments, before):
    """What is wrong with how a command line ends; None where all is well."""
    out, err = io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main(arguments)
    except SystemExit as error:
        code = error.code
    except BaseException:
        return traceback.format_exc()
    lines = [line for line in err.getvalue().splitlines() if "warning: " not in line]
    if code != 2:
        return f"exit code {code}, {err.getvalue()!r}"
    if len(lines) != 1 or not lines[0].startswith("fasttsne: ") or len(lines[0]) > 1500:
        return f"it says {err.getvalue()[:3000]!r}"
    return None if contents() == before else "it wrote a file"


def run(seed, first, last):
    """Yield the command lines that did not end as they should, and why."""
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        prepare(folder)
        before = contents()
        for number in range(first, last):
            arguments = draw(f"{seed} {number}")
            fault = fault_of(arguments, before)
            if fault is not None:
                yield number, arguments, fault
                for path in contents().keys() - before.keys():
                    path.unlink()
        os.chdir("/")


if __name__ == "__main__":
    for found in run(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])):
        say(*found)
