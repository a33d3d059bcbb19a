"""The process that is interrupted: ``python interrupted.py WORK ROWS`` does it again and again.

It writes a line when each work begins and ends, and waits for a line between them:
``go`` to do it and be interrupted, ``again`` to do it and compare bits.  After each interrupt it
looks for what is left behind: threads, processes, open files, listeners, temporary files, and
files that cannot be read.
"""

import gc
import hashlib
import os
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
from interrupted_works import WORKS, clusters

from fasttsne import TSNEEmbedding, files
from fasttsne.runtime import large_arrays
from fasttsne.runtime.progress import listeners


def digest(value):
    """A hash of numbers, texts, and of lists and tables of them."""
    if isinstance(value, (list, tuple)):
        return hashlib.sha256("".join(map(digest, value)).encode()).hexdigest()
    if isinstance(value, np.ndarray) and value.dtype != object:
        return hashlib.sha256(np.ascontiguousarray(value)).hexdigest()
    return hashlib.sha256(repr(value).encode()).hexdigest()


def readers():
    """How each kind of file is read by which one sees that it is whole."""
    return {
        ".npz": lambda path: TSNEEmbedding.load(path) if path.name != "run.npz" else None,
        ".npy": np.load, ".csv": files.read_rows, ".parquet": files.read_rows,
        ".html": lambda path: _check(path.read_text().rstrip().endswith("</html>")),
        ".png": lambda path: _check(path.read_bytes()[-8:-4] == b"IEND"),
        ".gif": lambda path: _check(path.read_bytes()[-1:] == b";"),
    }  # fmt: skip


def _check(is_whole):
    if not is_whole:
        raise ValueError("it is not whole")


class Leftovers:
    """What there may be after a work; ``found`` names what is there beyond that.

    leaves : names of files in this folder.
    """

    def __init__(self, leaves):
        self._leaves = leaves
        self._threads, self._children, self._descriptors = self._counts()

    @staticmethod
    def _counts():
        gc.collect()
        return (
            {thread.name for thread in threading.enumerate()},
            Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text(),
            len(os.listdir("/proc/self/fd")),
        )

    def found(self):
        problems = []
        threads, children, descriptors = self._counts()
        # Pools keep their threads; one for each interrupt would be a leak.
        if len(threads) > len(self._threads) + 4:
            problems.append(f"threads {sorted(threads - self._threads)}")
        if children != self._children:
            problems.append(f"processes {children}")
        if descriptors > self._descriptors + 4:
            names = [os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")
                     if os.path.lexists(f"/proc/self/fd/{fd}")]  # fmt: skip
            problems.append(f"open files {names}")
        if listeners() or large_arrays._budget.get() is not None:
            problems.append("a context that was not left")
        if os.listdir(tempfile.gettempdir()):
            problems.append(f"temporary files {os.listdir(tempfile.gettempdir())}")
        return problems + self._of_files()

    def _of_files(self):
        problems = []
        for path in sorted(Path().iterdir()):
            if path.name not in self._leaves:
                problems.append(f"file {path}")
                continue
            try:
                readers()[path.suffix](path)
            except Exception as error:
                problems.append(f"{path}: {error}")
        return problems


def say(*words):
    print(*words, flush=True)


def main(name, n):
    make, leaves = WORKS[name]
    work = make(clusters(n))
    work()  # what is loaded once, and pools that start
    start = time.perf_counter()
    expected = digest(work())
    seconds = time.perf_counter() - start
    leftovers = Leftovers(leaves)
    say("ready", seconds)
    for line in sys.stdin:
        if line == "again\n":
            say("same" if digest(work()) == expected else "other")
            continue
        try:
            say("begin")
            work()
            say("done", time.perf_counter())
            sys.stdin.readline()  # it comes now, or is lost
            say("lost")
            continue
        except KeyboardInterrupt:
            caught = time.perf_counter()
        except BaseException as error:
            say("failed", time.perf_counter(), repr(error).replace("\n", " "))
            continue
        problems = "; ".join(leftovers.found()).replace("\n", " ")
        say("interrupted", caught, problems)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
