"""Writes each kind of file to a disk that is full, and prints what goes wrong; a program.

    python -m helpers.full_disk FOLDER [fill]

The folder is empty.  Without "fill" files may not grow beyond a limit, as if the disk were full;
with it the folder's file system, a small one, is filled.
"""

import contextlib
import functools
import io
import os
import resource
import shutil
import signal
import sys
import warnings
from pathlib import Path

import numpy as np

import fasttsne
from fasttsne import TSNE, animation, files, plotting
from fasttsne.callbacks import Checkpoint, EmbeddingRecorder
from fasttsne.cli import main
from fasttsne.datasets import load_digits
from fasttsne.utils import is_package_installed

say = functools.partial(print, flush=True)
X = load_digits()[0][:800]
NEW = np.tile(load_digits()[0], (20, 1))
FIT = {"early_exaggeration_iter": 3, "n_iter": 3, "random_state": 0, "n_jobs": 1}
QUICK = ["-q", "--n-iter", "3", "--early-exaggeration-iter", "3"]
# Bytes that a file may have, or that are left on the disk: no output is so small.
LEFT = 3000
OLD = b"an older file"


def command(*arguments):
    """Run a command, which must end with one line and exit code 2."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([str(argument) for argument in arguments])
    lines = [line for line in err.getvalue().splitlines() if "warning: " not in line]
    lines = [line for line in lines if "%" not in line and line.strip()]  # progress
    if code != 2 or len(lines) != 1:
        raise RuntimeError(f"exit code {code}: {lines}")
    raise OSError(lines[0])


def record(path):
    recorder = EmbeddingRecorder(path=path)
    TSNE(**FIT, callbacks=recorder, callbacks_every_iters=1).fit(X)


def writers(data):
    """What writes files, by the name of the file: functions of its path."""
    embedding = TSNE(**FIT).fit(X)
    frames = np.repeat(np.asarray(embedding, np.float32)[None], 4, axis=0)
    rows, new, saved, points = (data / name for name in ("X.npy", "new.npy", "m.npz", "y.npy"))
    np.save(rows, X)
    np.save(new, NEW)
    np.save(points, embedding)
    np.save(data / "frames.npy", frames)
    np.save(data / "few.npy", X[:100])
    embedding.save(saved, keep="rows")
    fit = ["fit", rows, *QUICK]
    # The map itself is small enough.
    few = ["fit", data / "few.npy", *QUICK, "-o", data / "out.npy"]
    found = {
        "map.npz": embedding.save,
        "rows.npz": lambda path: embedding.save(path, keep="rows"),
        "index.npz": lambda path: embedding.save(path, keep="index"),
        "callback.npz": lambda path: TSNE(
            **FIT, callbacks=Checkpoint(path), callbacks_every_iters=1
        ).fit(X),
        "frames.npy": record,
        "placed.npy": lambda path: embedding.transform(NEW, n_iter=1, out=path),
        **{
            f"table.{kind}": lambda path: files.write_map(path, embedding)
            for kind in ("npy", "npz", "csv", "tsv")
        },
        **{f"fit.{kind}": lambda path: command(*fit, "-o", path) for kind in ("npy", "npz", "csv")},
        "transform.npy": lambda path: command(
            "transform", new, "--data", rows, "--map", points, "-o", path, "--n-iter", 1
        ),
        "update.npy": lambda path: command("update", saved, rows, "-o", path, "--n-iter", 1),
        "saved.npz": lambda path: command(*few, "--save", path),
        "demo.npy": lambda path: command("demo", "-o", path),
    }
    if is_package_installed("pyarrow"):
        found["table.parquet"] = lambda path: files.write_map(path, embedding)
        found["fit.parquet"] = lambda path: command(*fit, "-o", path)
    if is_package_installed("matplotlib"):
        found["plot.png"] = lambda path: command("plot", points, "-o", path)
        found["plot.pdf"] = lambda path: command("plot", points, "-o", path)
        found["fit.png"] = lambda path: command(*few, "--plot", path)
    if is_package_installed("plotly"):
        found["plotly.html"] = lambda path: plotting.html(embedding, path=path)
        found["plot.html"] = lambda path: command("plot", points, "-o", path)
    if is_package_installed("jinja2"):
        report = fasttsne.report(X, embedding, n_jobs=1)
        found["report.html"] = report.to_html
        found["command.html"] = lambda path: command("report", points, rows, "--html", path)
    if is_package_installed("PIL"):
        found["run.gif"] = lambda path: animation.save(frames, path=path)
        found["run.png"] = lambda path: animation.save(frames, path=path)
        found["animate.gif"] = lambda path: command("animate", data / "frames.npy", "-o", path)
    return found


@contextlib.contextmanager
def full_disk(folder, is_filled):
    if is_filled:
        filler = folder / "filler"
        with open(filler, "wb", buffering=0) as file, contextlib.suppress(OSError):
            free = shutil.disk_usage(folder).free
            file.write(bytes(max(free - LEFT, 0)))
        yield
        filler.unlink()
    else:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (LEFT, resource.RLIM_INFINITY))
        yield
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)


def is_array_without_frames(path):
    """Whether it is what a recorder has written that could write no frame."""
    return path.name == "frames.npy" and np.load(path).shape == (0, len(X), 2)


def fault_of(write, path, is_filled):
    """What is wrong with how a writer ends; None where it says that the disk is full."""
    before = path.read_bytes()
    fault = "nothing was raised"
    with full_disk(path.parent, is_filled):
        try:
            write(path)
        except OSError as error:
            fault = None if path.name in str(error) else f"the file is not named: {error}"
        except Exception as error:
            fault = f"{type(error).__name__}: {error}"
    if path.read_bytes() != before and not is_array_without_frames(path):
        fault = f"{fault}; the old file is another one"
    rest = sorted(each.name for each in path.parent.iterdir() if each != path)
    for name in rest:
        (path.parent / name).unlink()
    return f"{fault}; it left {rest}" if rest else fault


def check_checkpoint(folder, is_filled):
    """A fit is worth more than its checkpoint: it goes on without, and leaves nothing."""
    expected = TSNE(**FIT).fit(X)
    with full_disk(folder, is_filled):
        found = TSNE(**FIT, checkpoint=folder / "run.npz").fit(X)
    if not np.array_equal(found, expected) or list(folder.iterdir()):
        say("checkpoint: another map, or a file that is left")


def run(folder, is_filled):
    data = Path(os.environ.get("TMPDIR", "/tmp")) / f"full_disk_{os.getpid()}"
    data.mkdir()
    found = writers(data)
    for name, write in found.items():
        path = folder / name
        path.write_bytes(OLD)
        fault = fault_of(write, path, is_filled)
        if fault is not None:
            say(f"{name}: {fault}")
        path.unlink()
    check_checkpoint(folder, is_filled)
    say(f"{len(found)} writers")
    shutil.rmtree(data)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    run(Path(sys.argv[1]), "fill" in sys.argv[2:])
