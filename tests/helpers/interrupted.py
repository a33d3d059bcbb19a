"""The process that is interrupted, again and again: ``python -m helpers.interrupted WORK ROWS``.

It writes a line when each work begins and ends, and waits for a line between them:
``go`` to do it and be interrupted, ``again`` to do it and compare bits.  After each interrupt it
looks for what is left behind: threads, processes, open files, listeners, temporary files, and
files that cannot be read.

``python -m helpers.interrupted WORK ROWS CALLS SEED`` raises KeyboardInterrupt itself,
where a function of this package is entered, each time in another one of all calls of the work:
Python looks for signals there.  It writes what went wrong, a line each, and last the number of
calls of the work.
"""

import contextlib
import gc
import hashlib
import inspect
import os
import random
import signal
import sys
import tempfile
import threading
import time
import weakref
import zipfile
from pathlib import Path

import numpy as np

import fasttsne
from fasttsne import TSNEEmbedding, files
from fasttsne.runtime import memory
from fasttsne.runtime.progress import listeners
from helpers.interrupted_works import WORKS, clusters


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
        ".npz": _read_archive,
        ".npy": np.load,
        ".csv": files.read_rows,
        ".parquet": files.read_rows,
        ".html": lambda path: _check(path.read_text().rstrip().endswith("</html>")),
        ".png": lambda path: _check(path.read_bytes()[-8:-4] == b"IEND"),
        ".gif": lambda path: _check(path.read_bytes()[-1:] == b";"),
    }


def _read_archive(path):
    """A map, or a file of a checkpoint, which the next fit reads."""
    if path.name.startswith("run."):
        _check(zipfile.ZipFile(path).testzip() is None)
    else:
        TSNEEmbedding.load(path)


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
        self._temporary = set(os.listdir(tempfile.gettempdir()))  # a cluster has a folder there

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
            names = [
                os.readlink(f"/proc/self/fd/{fd}")
                for fd in os.listdir("/proc/self/fd")
                if os.path.lexists(f"/proc/self/fd/{fd}")
            ]
            problems.append(f"open files {names}")
        if listeners() or memory._budget.get() is not None:
            problems.append("a context that was not left")
        temporary = set(os.listdir(tempfile.gettempdir())) - self._temporary
        if temporary:
            problems.append(f"temporary files {temporary}")
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
    """Write a line, also where what the works write goes elsewhere."""
    sys.__stdout__.write(f"{' '.join(map(str, words))}\n")
    sys.__stdout__.flush()


def is_swallowed(frame):
    """Whether Python may ignore what is raised in a call: it is less than a microsecond.

    A generator that is left half-way raises nothing when it is closed, nor does what it calls then;
    neither does a finalizer of an object.
    """
    while frame is not None:
        is_finalizer = frame.f_code.co_filename == weakref.__file__
        if is_finalizer or frame.f_code.co_flags & inspect.CO_GENERATOR:
            return True
        frame = frame.f_back
    return False


class AtCall:
    """A trace function that raises KeyboardInterrupt in one of the calls of this package.

    number : of that call; with 0 they are only counted.
    """

    FOLDER = os.path.dirname(fasttsne.__file__)

    def __init__(self, number=0):
        self._number, self.count = number, 0
        self.where, self.may_be_lost = None, False

    def __call__(self, frame, event, argument):
        if not frame.f_code.co_filename.startswith(self.FOLDER):
            return
        self.count += 1
        if self.count == self._number:
            self.where = f"{os.path.basename(frame.f_code.co_filename)}:{frame.f_code.co_name}"
            self.may_be_lost = is_swallowed(frame)
            sys.settrace(None)
            raise KeyboardInterrupt

    def run(self, work):
        sys.settrace(self)
        try:
            return work()
        finally:
            sys.settrace(None)


def interrupt_calls(name, n, times, seed):
    make, leaves = WORKS[name]
    work = make(clusters(n))
    expected, leftovers, calls = digest(work()), Leftovers(leaves), AtCall()
    calls.run(work)
    moments = random.Random(seed)
    for _ in range(times):
        at = AtCall(moments.randint(1, calls.count))
        try:
            at.run(work)
            if at.where and not at.may_be_lost:
                say(f"in {at.where} it was lost")
        except KeyboardInterrupt:
            pass
        for problem in leftovers.found():
            say(f"in {at.where}: {problem}")
    if digest(work()) != expected:
        say("other bits")
    say(calls.count)


def main(name, n):
    # A shell starts jobs in the background with SIGINT ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
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
            say("begin", time.perf_counter())
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
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        if len(sys.argv) == 3:
            main(sys.argv[1], int(sys.argv[2]))
        else:
            interrupt_calls(sys.argv[1], *map(int, sys.argv[2:]))
