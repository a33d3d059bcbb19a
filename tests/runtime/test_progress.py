"""Stages: who hears of them, how they are described, and where they are shown."""

import contextlib
import os
import re
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import scipy.sparse as sp
from helpers.quick import QUICK, run_python

from fasttsne import TSNE
from fasttsne.affinity import MultiscaleMixture
from fasttsne.callbacks import Callback
from fasttsne.runtime.progress import describe, report_progress_to, stage


class Heard(Callback):
    """Remembers what was heard of each stage: the share done, call by call."""

    def __init__(self):
        self.shares = {}

    def receive_progress(self, progress):
        self.shares.setdefault(progress.name, []).append(progress.share)

    def __call__(self, iteration, error, embedding):
        pass


def test_a_stage_knows_how_far_it_is():
    with stage("search", 1000, "rows") as progress:
        assert (progress.share, progress.seconds_left) == (0, None)
        time.sleep(0.2)
        progress.advance(250)
    assert progress.share == 0.25
    assert progress.rate == pytest.approx(250 / progress.seconds, rel=0.01)
    assert progress.seconds_left == pytest.approx(3 * progress.seconds, rel=0.01)
    assert re.fullmatch(
        r"search: 25 %, 250 of 1,000 rows, [\d,]+ rows/s, 00:01 left", describe(progress)
    )


def test_what_was_done_before_does_not_count_for_the_rate():
    with stage("main phase", 100, "iterations", is_maximum=True, first=90) as progress:
        time.sleep(0.1)
        progress.advance(5, "KL divergence 1.5")
        assert progress.rate < 60
        assert progress.seconds_left < 1
        assert re.fullmatch(
            r"main phase: 95 %, 95 of at most 100 iterations, [\d.]+ iterations/s, at most "
            r"00:00 left, KL divergence 1.5",
            describe(progress),
        )


def test_a_stage_of_unknown_length():
    with stage("spectral embedding", None, "products") as progress:
        progress.advance(7)
    assert (progress.share, progress.seconds_left) == (None, None)
    assert describe(progress).startswith("spectral embedding: 7 products, ")


@pytest.mark.alone
def test_listeners_are_called_at_begin_and_end_and_not_more_than_ten_times_a_second():
    calls = []
    with report_progress_to(lambda progress: calls.append((progress.done, progress.has_ended))):
        start = time.perf_counter()
        with stage("counting") as progress:
            while time.perf_counter() - start < 0.55:
                progress.advance()
    assert calls[0] == (0, False)
    assert calls[-1] == (progress.done, True)
    assert 3 <= len(calls) <= 2 + 6
    with stage("counting") as progress:  # nobody listens any more
        progress.advance()
    assert calls[-1][0] != progress.done


def test_the_end_is_heard_after_an_error_too():
    ends = []
    with (
        report_progress_to(lambda progress: ends.append(progress.has_ended)),
        contextlib.suppress(KeyError),
        stage("failing"),
    ):
        raise KeyError
    assert ends == [False, True]


def test_threads_do_not_hear_each_other():
    heard = []

    def work():
        with stage("in a thread"):
            pass

    with report_progress_to(heard.append):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert heard == []


BEGINNING = {"partitioning into cells", "neighbours of a sample", "search"}
COMMON = {"conditional affinities", "early exaggeration", "main phase"}


@pytest.mark.thin(1)
@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, BEGINNING | {"principal components"}),
        ({"perplexity": [5, 30]}, BEGINNING),
        ({"initialization": "spectral"}, BEGINNING | {"spectral embedding"}),
        ({"neighbors": "exact"}, {"comparing all rows"}),
    ],
)
def test_every_stage_of_a_fit_is_heard(settings, expected, rng):
    X = rng.normal(size=(20_000, 3)).astype(np.float32)
    heard = Heard()
    TSNE(**QUICK, callbacks=heard, **settings).fit(X)
    assert expected | COMMON <= heard.shares.keys()
    for name in (expected | COMMON) - {"spectral embedding"}:
        shares = heard.shares[name]
        assert shares[0] == 0, name
        # Those that are estimated, or may end early, end near 1.
        assert shares[-1] == pytest.approx(1, abs=0.1), (name, shares)


def test_stages_of_other_rows_are_heard(rng):
    heard = Heard()
    X = sp.random(3500, 2000, 0.02, "csr", np.float32, random_state=0)
    TSNE(**QUICK, callbacks=heard, neighbors="exact", initialization="random").fit(X)
    assert heard.shares["comparing all rows"][-1] == 1
    with report_progress_to(heard.receive_progress):
        MultiscaleMixture(rng.integers(0, 9, (200, 5)), perplexities=[5])
    assert heard.shares["reading rows"] == [0, 1]


def test_what_a_listener_raises_ends_the_fit(digits):
    class Cancel(Callback):
        def receive_progress(self, progress):
            if progress.name == "conditional affinities":
                raise RuntimeError("cancelled")

        def __call__(self, iteration, error, embedding):
            pass

    with pytest.raises(RuntimeError, match="cancelled"):
        TSNE(**QUICK, callbacks=Cancel()).fit(digits)


def test_reporting_does_not_change_the_map(digits):
    plain = TSNE(**QUICK).fit(digits)
    np.testing.assert_array_equal(plain, TSNE(**QUICK, callbacks=Heard()).fit(digits))


# Both phases take more than a second.
PROGRAM = """
import sys
from fasttsne import TSNE
from fasttsne.datasets import load_digits
X = load_digits()[0]
fit = dict(random_state=0, n_jobs=1, negative_gradient_method="exact")
TSNE(verbose=True, early_exaggeration_iter=0, n_iter=3000, **fit).fit(X)
"""
LINE = re.compile(
    r"main phase: \d+ %, [\d,]+ of 3,000 iterations, [\d.,]+ iterations/s, \d\d:\d\d left"
)


@pytest.mark.slow
def test_progress_in_a_pipe():
    """In a log: few lines, whole ones, no carriage returns."""
    result = run_python("-c", PROGRAM)
    assert result.returncode == 0, result.stderr
    assert "\r" not in result.stderr
    lines = result.stderr.splitlines()
    shown = [line for line in lines if LINE.match(line)]
    taken = float(re.search(r"main phase took ([\d.]+) s", result.stderr)[1])
    assert 1 <= len(shown) <= 1 + taken / 5
    assert [
        line for line in lines if re.match(r"main phase: 3,000 iterations in \d\d:\d\d, ", line)
    ]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")
def test_progress_on_a_terminal():
    """One line, overwritten, and gone at the end; messages stand on lines of their own."""
    ours, theirs = os.openpty()
    with subprocess.Popen([sys.executable, "-c", PROGRAM], stderr=theirs) as process:
        os.close(theirs)
        parts = []
        with contextlib.suppress(OSError):  # what reading gives when the other end is closed
            while part := os.read(ours, 4096):
                parts.append(part)
    os.close(ours)
    assert process.returncode == 0
    text = b"".join(parts).decode()
    shown = [line for line in text.split("\r") if LINE.match(line)]
    assert len(shown) >= 3
    percents = [int(re.search(r"(\d+) %", line)[1]) for line in shown]
    assert percents == sorted(percents)
    lines = [line for line in text.replace("\r\n", "\n").split("\n") if line]
    assert any(re.fullmatch(r"(.*\r)?main phase took [\d.]+ s", line) for line in lines), lines


@pytest.mark.slow
def test_progress_in_a_notebook():
    """One output is updated; there is no second one for each update."""
    pytest.importorskip("ipykernel")
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(PROGRAM)])
    shown = []

    class Client(nbclient.NotebookClient):
        def process_message(self, message, cell, index):
            if message["msg_type"] in ("display_data", "update_display_data"):
                shown.append((message["msg_type"], message["content"]["data"]["text/plain"]))
            return super().process_message(message, cell, index)

    Client(notebook, timeout=120).execute()
    kinds = [kind for kind, _ in shown]
    assert kinds.count("display_data") == 1
    assert kinds.count("update_display_data") >= 2
    assert [text for _, text in shown if LINE.match(text)]
    assert shown[-1][1] == ""
