"""Wrong command lines: one line that says what is wrong, exit code 2, and nothing written.

``FASTTSNE_HYPOTHESIS=nightly`` draws 1,000 of them, other ones each day, or as many as
``FASTTSNE_COMMANDS`` says.
"""

import os
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import scipy.sparse
from helpers.quick import run_helper, run_python
from helpers.wrong_commands import draw, prepare

from fasttsne.cli import main

# ---- mistakes that are found before the work, not after it


@pytest.fixture
def data(digits, tmp_path, monkeypatch):
    """A folder to work in, with the rows as rows.npy."""
    monkeypatch.chdir(tmp_path)
    np.save("rows.npy", digits[:60])
    return tmp_path


@pytest.fixture
def says(capsys):
    """What a command that must fail says, in one line."""

    def run(*arguments):
        assert main(arguments) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert len(err.splitlines()) == 1
        end = f" (see fasttsne {arguments[0]} --help)\n"
        assert err.endswith(end)
        return err.removesuffix(end) + "\n"

    return run


@pytest.mark.parametrize("option", ["--plot=map.png", "--html=map.html", "--animate=run.gif"])
@pytest.mark.parametrize("n_components", ["1", "3"])
def test_pictures_of_maps_that_are_not_flat(data, says, option, n_components):
    for module in ("matplotlib", "plotly", "PIL"):
        pytest.importorskip(module)
    name = option.split("=")[0]
    said = says("fit", "rows.npy", option, "--n-components", n_components)
    assert said == f"fasttsne: {name} needs --n-components 2; got {n_components}\n"
    assert [path.name for path in data.iterdir()] == ["rows.npy"]


@pytest.mark.parametrize("name", ["learning-rate", "exaggeration", "early-exaggeration"])
def test_infinite_parameters(data, says, name):
    said = says("fit", "rows.npy", "-q", f"--{name}", "1e999")
    assert said == f"fasttsne: {name.replace('-', '_')} must be a finite number; got inf\n"


def test_complex_numbers(data, says):
    np.save("complex.npy", np.load("rows.npy") + 1j)
    assert "complex.npy must hold real numbers; got dtype complex64; pass" in says(
        "fit", "complex.npy", "-q"
    )


def test_where_the_demo_writes(data, says, capsys):
    assert "cannot write the extension '.txt'" in says("demo", "-o", "map.txt")
    assert "no/map.npy: no such folder: no" in says("demo", "-o", "no/map.npy")
    assert main(["demo", "-o", "map.csv"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith(("wrote", "for a picture"))
    lines = (data / "map.csv").read_text().splitlines()
    assert lines[0] == "tsne_1,tsne_2,label"
    assert len(lines) == 1798


@pytest.mark.parametrize("verb", ["fit", "plot", "metrics", "transform", "animate"])
def test_a_file_of_one_number(data, says, verb):
    pytest.importorskip("matplotlib")
    np.save("one.npy", np.float64(3))
    arguments = {
        "metrics": ["rows.npy", "one.npy"],
        "transform": ["rows.npy", "--data", "rows.npy", "--map", "one.npy"],
    }
    said = says(verb, *arguments.get(verb, ["one.npy"]))
    assert said == "fasttsne: one.npy: it has one value, not rows\n"


@pytest.mark.parametrize("verb", ["fit", "plot", "metrics", "transform", "animate"])
def test_a_file_of_text(data, says, verb):
    pytest.importorskip("matplotlib")
    (data / "text.csv").write_text("a,b\nx,y\nz,w\n")
    arguments = {
        "metrics": ["rows.npy", "text.csv"],
        "transform": ["rows.npy", "--data", "rows.npy", "--map", "text.csv"],
    }
    said = says(verb, *arguments.get(verb, ["text.csv"]))
    assert said == "fasttsne: text.csv: no column has numbers; the columns are a, b\n"


@pytest.mark.parametrize("verb", ["plot", "metrics", "transform"])
def test_a_map_that_is_none(data, says, verb):
    pytest.importorskip("matplotlib")
    np.save("flat.npy", np.arange(60.0))
    scipy.io.mmwrite("map.mtx", scipy.sparse.eye_array(60, format="coo"))
    before = {"metrics": ["rows.npy"], "transform": ["rows.npy", "--data", "rows.npy", "--map"]}
    for name, got in (("flat.npy", "shape (60,)"), ("map.mtx", "a sparse matrix")):
        said = says(verb, *before.get(verb, []), name)
        assert said == f"fasttsne: {name} must have an embedding, (rows, components); got {got}\n"


def test_a_column_to_leave_out_that_is_not_there(data, says):
    (data / "rows.csv").write_text("a,b\n" + "1,2\n3,4\n5,7\n" * 10)
    np.save("map.npy", np.random.default_rng(0).normal(size=(30, 2)))
    said = says("metrics", "rows.csv", "map.npy", "--leave-out", "c")
    assert said == "fasttsne: rows.csv: it has no column 'c', only a, b\n"


@pytest.mark.parametrize("option", ["-o=/proc/map.npy", "--plot=/proc/map.png"])
def test_folders_that_take_no_files(data, says, option):
    if not Path("/proc").is_dir():
        pytest.skip("needs a file system that takes no files, such as /proc of Linux")
    pytest.importorskip("matplotlib")
    name, path = option.split("=")
    said = says("fit", "rows.npy", "-q", name, path)
    assert said == f"fasttsne: {path}: the folder /proc is not writable\n"


def test_a_file_that_is_write_protected(data, says):
    (data / "map.npy").touch()
    (data / "map.npy").chmod(0o444)
    if os.access("map.npy", os.W_OK):
        pytest.skip("this user may write to protected files")
    said = says("fit", "rows.npy", "-q", "-o", "map.npy")
    assert said == "fasttsne: map.npy exists and is not writable\n"


@pytest.mark.parametrize(
    "command",
    [
        "fit {}",
        "fit rows.npy -o {}",
        "fit rows.npy --save {}",
        "fit rows.npy --init {}",
        "fit rows.npy --labels {}",
        "transform {} --data rows.npy --map rows.npy",
        "plot {}",
        "report {} rows.npy",
        "update {} rows.npy",
    ],
)
def test_addresses(data, capsys, command):
    try:
        code = main(command.format("https://place/of.npy").split())
    except SystemExit as end:
        code = end.code
    assert code == 2
    said = "https://place/of.npy is an address; only files are read and written: download it first"
    assert said in capsys.readouterr().err
    assert [path.name for path in data.iterdir()] == ["rows.npy"]


@pytest.mark.parametrize(
    ("option", "meant"),
    [
        ("--scale", ""),
        ("--standardize", ""),
        ("--color", ""),
        ("--title", ""),
        ("--hue", ""),
        ("--missing", ""),
        ("--threads", ""),
        ("--sep", ""),
        ("--dims", ""),
        ("--perplexty", "--perplexity"),
        ("--max_iter", "--max-iter"),
        ("--columm", "--columns"),
        ("--jobs", "--n-jobs"),
        ("--leaveout", "--leave-out"),
        ("--random_state", "--random-state"),
    ],
)
def test_options_that_are_not_there(data, capsys, option, meant):
    with pytest.raises(SystemExit):
        main(["fit", "rows.npy", option])
    hint = f"; do you mean {meant}?" if meant else ""
    assert capsys.readouterr().err == (
        f"fasttsne: unrecognized arguments: {option}{hint} (see fasttsne fit --help)\n"
    )


def test_parameters_of_a_metric_that_are_no_dictionary(data, says):
    said = says("fit", "rows.npy", "-q", "--metric-params", "5")
    assert said == "fasttsne: metric_params must be a dictionary or None; got 5\n"


def test_quiet_animations(data, capsys):
    pytest.importorskip("PIL")
    quick = ["--n-iter=20", "--early-exaggeration-iter=10", "--perplexity=5"]
    assert main(["fit", "rows.npy", "-q", "--animate", "run.gif", *quick]) == 0
    assert capsys.readouterr().err == ""


def test_more_neighbours_than_rows(data, says):
    """No score is printed before another refuses k."""
    np.save("map.npy", np.random.default_rng(0).normal(size=(60, 2)))
    assert "k must be" in says("metrics", "rows.npy", "map.npy", "-k", "40")


# What each command is given, and which of its files would be replaced.
CLASHES = [
    ("fit embedding.npy -q", "-o", "embedding.npy"),
    ("fit rows.npy -q -o rows.npy", "-o", "rows.npy"),
    ("fit rows.npy -q -o ../{folder}/rows.npy", "-o", "../{folder}/rows.npy"),
    ("fit rows.npy -q -o link.npy", "-o", "link.npy"),
    ("fit link.npy -q -o rows.npy", "-o", "rows.npy"),
    ("fit rows.npy -q --labels labels.csv -o labels.csv", "-o", "labels.csv"),
    ("fit rows.csv -q --id labels.csv -o labels.csv", "-o", "labels.csv"),
    ("fit rows.npy -q --init map.npy -o map.npy", "-o", "map.npy"),
    ("fit rows.npz -q --save rows.npz", "--save", "rows.npz"),
    ("fit rows.npz -q --checkpoint rows.npz", "--checkpoint", "rows.npz"),
    ("transform new.npy --data rows.npy --map map.npy", "-o", "new.npy"),
    ("transform rows.csv --data rows.npy --map map.npy -o rows.npy", "-o", "rows.npy"),
    ("transform rows.csv --data rows.npy --map map.npy -o map.npy", "-o", "map.npy"),
    ("update saved.npz rows.npy -o saved.npz", "-o", "saved.npz"),
    ("update saved.npz rows.npz --save rows.npz", "--save", "rows.npz"),
    ("update saved.npz rows.npy --data rows.csv -o rows.csv", "-o", "rows.csv"),
    ("plot page.html -o page.html", "-o", "page.html"),
    ("plot map.npy --labels page.html -o page.html", "-o", "page.html"),
    ("animate run.gif -o run.gif", "-o", "run.gif"),
    ("report map.npy page.html --html page.html", "--html", "page.html"),
]


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
@pytest.mark.parametrize(("command", "option", "path"), CLASHES)
def test_files_that_are_read_and_written(data, says, command, option, path):
    names = (
        "embedding.npy",
        "rows.npz",
        "rows.csv",
        "new.npy",
        "map.npy",
        "saved.npz",
        "labels.csv",
        "page.html",
        "run.gif",
    )
    for name in names:
        (data / name).write_text("before")
    (data / "link.npy").symlink_to("rows.npy")
    before = {each.name: each.read_bytes() for each in data.iterdir()}
    path = path.format(folder=data.name)
    said = says(*command.format(folder=data.name).split())
    assert said == (
        f"fasttsne: {option} would replace {path}, which is read: give another file to {option}\n"
    )
    assert {each.name: each.read_bytes() for each in data.iterdir()} == before


@pytest.mark.parametrize(
    ("first", "second", "path"),
    [
        ("-o", "--save", "x.npz"),
        ("-o", "--save", "{folder}/x.npz"),
        ("-o", "--checkpoint", "x.npz"),
        ("--save", "--checkpoint", "x.npz"),
        ("--plot", "--animate", "x.png"),
    ],
)
def test_two_outputs_in_one_file(data, says, first, second, path):
    path = path.format(folder=data)
    said = says("fit", "rows.npy", "-q", first, Path(path).name, second, path)
    assert said == f"fasttsne: {first} and {second} are one file, {path}: give different ones\n"
    assert [each.name for each in data.iterdir()] == ["rows.npy"]


def test_an_update_may_replace_the_map_that_it_reads(data, capsys):
    quick = ["--n-iter=5", "--early-exaggeration-iter=5", "--perplexity=5"]
    assert main(["fit", "rows.npy", "-q", *quick, "--save", "map.npz"]) == 0
    for n in 120, 180:
        update = ["update", "map.npz", "rows.npy", "--n-iter=5"]
        assert main([*update, "--save", "map.npz"]) == 0
        assert np.load("updated.npy").shape == (n, 2)


# ---- drawn by a seed

NIGHTLY = os.environ.get("FASTTSNE_HYPOTHESIS") == "nightly"
SEED = str(int(time.time()) // 86_400) if NIGHTLY else "0"
N = int(os.environ.get("FASTTSNE_COMMANDS", 1000 if NIGHTLY else 100))
N_PROCESSES = 50 if NIGHTLY else 2
posix = pytest.mark.skipif(sys.platform == "win32", reason="file names of POSIX")


@posix
def test_wrong_commands_in_one_process(tmp_path):
    result = run_helper("wrong_commands", SEED, 0, N, folder=tmp_path, timeout=1800)
    assert result.returncode == 0, result.stderr
    assert result.stdout == ""


@pytest.mark.slow
@posix
def test_wrong_commands_in_processes_of_their_own(tmp_path):
    prepare(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    for number in range(N_PROCESSES):
        command = draw(f"processes {SEED} {number}")
        result = run_python("-m", "fasttsne", *command, folder=tmp_path)
        assert result.returncode == 2, (command, result.stderr)
        lines = [line for line in result.stderr.splitlines() if "warning: " not in line]
        assert len(lines) == 1, (command, result.stderr)
        assert lines[0].startswith("fasttsne: "), command
        assert sorted(tmp_path.rglob("*")) == before, command


@posix
def test_maps_that_are_damaged(tmp_path, monkeypatch, capsys):
    """What packages raise of damaged stores is of many types."""
    zarr, h5py = (pytest.importorskip(name) for name in ("zarr", "h5py"))
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    points = np.random.default_rng(0).normal(size=(5000, 2))
    zarr.create_group("map.zarr").create_array("X", data=points, chunks=(1000, 2))
    with h5py.File("map.h5", "w") as file:
        file.create_dataset("X", data=points, chunks=(1000, 2), compression="gzip")
    for name in "map.zarr", "map.h5":
        assert main(["plot", name, "-o", "right.png"]) == 0
        largest = max(
            (each for each in [Path(name), *Path(name).rglob("*")] if each.is_file()),
            key=lambda each: each.stat().st_size,
        )
        data = bytearray(largest.read_bytes())
        middle = len(data) // 2
        data[middle : middle + 200] = bytes(200)
        largest.write_bytes(data)
        capsys.readouterr()
        assert main(["plot", name, "-o", "wrong.png"]) == 2
        assert capsys.readouterr().err.startswith(f"fasttsne: {name}: ")
        assert not Path("wrong.png").exists()
