"""Ctrl-C leaves a fit within a second, whatever it is doing."""

import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from helpers.quick import run_python

from fasttsne import TSNE

pytestmark = pytest.mark.alone
posix = pytest.mark.skipif(sys.platform == "win32", reason="processes cannot be sent SIGINT")

# Prints each stage when it begins, and then what ended the fit.
PROGRAM = """
import sys
import numpy as np
from fasttsne import TSNE
from fasttsne.callbacks import Callback

class Stages(Callback):
    last = None
    def receive_progress(self, progress):
        if progress.name != self.last:
            self.last = progress.name
            print(progress.name, flush=True)
    def __call__(self, iteration, error, embedding):
        pass

n, columns = map(int, sys.argv[1:3])
rng = np.random.default_rng(0)
X = rng.normal(0, 3, (50, 8))[rng.integers(0, 50, n)] + rng.normal(size=(n, 8))
X = (X @ rng.normal(size=(8, columns)) + rng.normal(size=(n, columns))).astype(np.float32)
def fit(**params):
    return TSNE(random_state=0, n_jobs=2, callbacks=Stages(), **params).fit(X)
"""
INTERRUPTED = (
    PROGRAM
    + """
try:
    fit(early_exaggeration_iter=2000, n_iter=2000) if sys.argv[3] == "long" else fit(
        early_exaggeration_iter=2, n_iter=2000
    )
except KeyboardInterrupt:
    print("KeyboardInterrupt", flush=True)
"""
)


@pytest.mark.slow
@posix
@pytest.mark.parametrize(
    ("stage", "columns"),
    [
        ("partitioning into cells", 20),
        ("neighbours of a sample", 20),
        ("search", 20),
        ("reducing rows", 300),
        ("search", 300),
        ("conditional affinities", 20),
        ("principal components", 140),
        ("early exaggeration", 20),
        ("main phase", 20),
    ],
)
@pytest.mark.parametrize("delay", [0, 0.1, 0.4])
def test_ctrl_c_in_each_stage(stage, columns, delay):
    early = "long" if stage == "early exaggeration" else "short"
    with subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, "60000", str(columns), early],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        for line in process.stdout:
            if line == f"{stage}\n":
                break
        time.sleep(delay)
        start = time.perf_counter()
        process.send_signal(signal.SIGINT)
        lines = process.stdout.read().splitlines()
        seconds = time.perf_counter() - start
    # It ends with the process, whose memory is freed.
    assert lines[-1] == "KeyboardInterrupt", lines
    assert seconds < 1.5, lines


# Python's handlers run where KeyboardInterrupt would be raised.
WATCHED = (
    PROGRAM
    + """
import signal, time
PERIOD, last, worst, at = 0.02, [time.perf_counter()], {}, Stages()
def handler(number, frame):
    now = time.perf_counter()
    worst[at.last] = max(worst.get(at.last, 0), now - last[0] - PERIOD)
    last[0] = now
signal.signal(signal.SIGALRM, handler)
signal.setitimer(signal.ITIMER_REAL, PERIOD, PERIOD)
TSNE(random_state=0, n_jobs=2, callbacks=at, checkpoint="run.npz").fit(X)
signal.setitimer(signal.ITIMER_REAL, 0)
assert len(worst) >= 6
late = {name: seconds for name, seconds in worst.items() if seconds > 1}
assert not late, late
"""
)


@pytest.mark.slow
@posix
@pytest.mark.parametrize("columns", [20, 300])
def test_signals_are_noticed_in_time_all_through_a_fit(columns, tmp_path):
    result = run_python("-c", WATCHED, 100_000, columns, folder=tmp_path, timeout=600)
    assert result.returncode == 0, result.stderr


PIECES = """
import ctypes, signal, sys, threading, time
import numpy as np
from fasttsne import _kernels
# Each call alone would take seconds.
n, k = 3_000_000, 60
indices = np.random.default_rng(0).integers(0, n, (n, k), dtype=np.int32)
values = np.ones((n, k), np.float32)
counts = np.empty(n, np.int64)
def count():
    while True:
        _kernels.csr.count_columns(indices.ravel(), counts, 1)
def sort():
    while True:
        _kernels.csr.sort_rows(indices, values, 1)
for call in count, sort:
    at = []
    def interrupt():
        at.append(time.perf_counter())
        signal.raise_signal(signal.SIGINT)
    threading.Timer(0.3, interrupt).start()
    try:
        call()
    except KeyboardInterrupt:
        assert time.perf_counter() - at[0] < 1, call
    else:
        raise AssertionError
"""


@pytest.mark.slow
@posix
def test_kernels_look_for_signals():
    result = run_python("-c", PIECES)
    assert result.returncode == 0, result.stderr


class Slow:
    """Rows whose second block takes long."""

    shape, dtype = (40_000, 50), np.dtype(np.float32)

    def __init__(self):
        self.released = threading.Event()

    def __getitem__(self, rows):
        if rows.start:
            self.released.wait(30)
        return np.ones((rows.stop - rows.start, 50), np.float32)


@posix
def test_ctrl_c_does_not_wait_for_slow_rows():
    rows, at = Slow(), []

    def interrupt():
        at.append(time.perf_counter())
        os.kill(os.getpid(), signal.SIGINT)  # as a terminal does, to the main thread

    timer = threading.Timer(0.2, interrupt)
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        TSNE().fit(rows)
    seconds = time.perf_counter() - at[0]
    rows.released.set()
    timer.join()
    assert seconds < 1
