"""Signals at random moments of the command line's commands, in real processes.

Each has its input files, and after a signal all output files must be whole, or as they were.
"""

import os
import signal
import subprocess
import sys
import time

import numpy as np

from fasttsne import TSNEEmbedding, files
from helpers.interrupted_works import clusters

PROGRAM = [sys.executable, "-m", "fasttsne"]
QUICK = (
    "--perplexity",
    "10",
    "--n-iter",
    "60",
    "--early-exaggeration-iter",
    "40",
    "--seed",
    "0",
    "--n-jobs",
    "2",
)
# Arguments of each, and the files that it writes.
COMMANDS = {
    "fit": (("fit", "rows.npy", "-o", "map.npz", "--save", "saved.npz", "--plot", "map.png",
             "--callbacks-every-iters", "2", *QUICK), ("map.npz", "saved.npz", "map.png")),
    "transform": (("transform", "new.npy", "--data", "rows.npy", "--map", "start.npz",
                   "-o", "placed.npy"), ("placed.npy",)),
    "update": (("update", "start.npz", "new.npy", "-o", "grown.npy", "--save", "grown.npz"),
               ("grown.npy", "grown.npz")),
    "plot": (("plot", "start.npz", "-o", "start.png"), ("start.png",)),
    "animate": (("animate", "frames.npy", "-o", "frames.gif"), ("frames.gif",)),
    "metrics": (("metrics", "rows.npy", "start.npz"), ()),
    "report": (("report", "start.npz", "rows.npy", "--html", "page.html"), ("page.html",)),
    "demo": (("demo", "-o", "demo.npz"), ("demo.npz", "demo.png")),
}  # fmt: skip
HANGS = 120

# What Python says where it ends after the import of an extension module, as matplotlib's, was
# interrupted halfway: that aborts it, seldom, after the command has said what it had to say.
FINALIZING = "Python runtime state: finalizing"


class Commands:
    """Input files in a folder, and commands that are run there.

    n : rows of the data.
    """

    def __init__(self, folder, n):
        self.folder = folder
        self._seconds = {}
        rows = clusters(n + n // 10)
        np.save(folder / "rows.npy", rows[:n])
        np.save(folder / "new.npy", rows[n:])
        self._finish(["fit", "rows.npy", "-o", "first.npy", "--save", "start.npz", *QUICK])
        np.save(folder / "frames.npy", np.stack([np.load(folder / "first.npy")] * 40))
        self._given = set(os.listdir(folder))

    def _start(self, arguments):
        return subprocess.Popen(
            [*PROGRAM, *arguments],
            cwd=self.folder,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "MPLBACKEND": "agg"},
        )

    def _finish(self, arguments):
        start = time.perf_counter()
        with self._start(arguments) as process:
            _, errors = process.communicate(timeout=HANGS)
        assert process.returncode == 0, (arguments, errors)
        return time.perf_counter() - start

    def seconds(self, name):
        """How long a command takes, of its first run."""
        if name not in self._seconds:
            self._seconds[name] = self._finish(COMMANDS[name][0])
        return self._seconds[name]

    def signal(self, name, number, share):
        """Send a signal after a share of a command's time.

        Returns (exit code, seconds from the signal to the end, problems); the code is None where
        the interpreter had not come to the command yet, or had left it.
        """
        arguments, outputs = COMMANDS[name]
        before = {path: self._bytes(path) for path in outputs}
        delay = share * self.seconds(name)
        with self._start(arguments) as process:
            time.sleep(delay)
            sent = time.perf_counter()
            process.send_signal(number)
            if number == signal.SIGSTOP:
                time.sleep(0.5)
                process.send_signal(signal.SIGCONT)
            try:
                _, errors = process.communicate(timeout=HANGS)
            except subprocess.TimeoutExpired:
                process.kill()
                return -signal.SIGKILL, HANGS, [f"{name} hangs"]
        seconds = time.perf_counter() - sent
        at = f"{name}, {delay:.2f} s after its start"
        problems = [f"{at}: {problem}" for problem in self._of_files(outputs, before, number)]
        code = process.returncode
        is_before = code == -signal.SIGINT and "in main" not in errors
        is_after = code == -signal.SIGABRT and FINALIZING in errors
        if number == signal.SIGINT and (is_before or is_after):
            code = None
        elif code not in _allowed(number) or "Traceback" in errors:
            problems.append(f"{at}: exit code {code}, {errors[-500:]}")
        return code, seconds, problems

    def _bytes(self, name):
        path = self.folder / name
        return path.read_bytes() if path.exists() else None

    def _of_files(self, outputs, before, number):
        for name in sorted(os.listdir(self.folder)):
            is_part = name.startswith(".") and ".part" in name
            if is_part and number in (signal.SIGTERM, signal.SIGKILL):
                (self.folder / name).unlink()  # as the next command would, an hour later
            elif name not in self._given and name not in outputs and not self._is_of_others(name):
                yield f"file {name}"
        for name in outputs:
            if self._bytes(name) not in (None, before[name]):
                try:
                    _read(self.folder / name)
                except Exception as error:
                    yield f"{name}: {error!r}"

    @staticmethod
    def _is_of_others(name):
        return any(name in files for _, files in COMMANDS.values())


def _allowed(number):
    if number == signal.SIGINT:
        return 130, 0
    return (0,) if number == signal.SIGSTOP else (-number, 0)


def _read(path):
    """Raise where a file is not whole."""
    if path.suffix == ".npz" and path.name in ("saved.npz", "grown.npz"):
        TSNEEmbedding.load(path)
    elif path.suffix in (".npy", ".npz"):
        files.read_rows(path)
    else:
        end = path.read_bytes()[-12:].rstrip()
        if not end.endswith((b"IEND\xaeB`\x82", b";", b"</html>")):
            raise ValueError(f"it ends with {end}")
