"""Two parts of an iteration, one after the other or side by side."""

import subprocess
import sys
import time

import numpy as np
import pytest
import scipy.sparse as sp

from fasttsne.objective.edges import LocalEdges
from fasttsne.objective.kl import KLDivergence
from fasttsne.repulsion import AutoRepulsion
from fasttsne.runtime.overlap import N_REMEMBERED, TRY_EVERY, OverlapScheduler

N_TRIED = 2 * N_REMEMBERED


def graph(n, k=30, seed=0):
    """A graph of n points, each with k edges to points that are anywhere."""
    rng = np.random.default_rng(seed)
    indptr = np.arange(n + 1) * k
    return sp.csr_matrix(
        (rng.random(n * k, np.float32), rng.integers(n, size=n * k, dtype=np.int32), indptr)
    )


@pytest.mark.parametrize("n_threads", [1, 2, 3, 8])
def test_both_ways_have_the_same_bits(rng, n_threads):
    n = 5000
    P, y = graph(n), rng.normal(0, 20, (n, 2))
    expected = KLDivergence(P, AutoRepulsion(), 2)
    expected.reorder(np.arange(n, dtype=np.int32))
    gradient, error = expected.gradient(y, with_error=True)
    objective = KLDivergence(P, AutoRepulsion(n_threads=n_threads), 2, n_threads=n_threads)
    objective.reorder(np.arange(n, dtype=np.int32))
    for _ in range(N_TRIED):  # in which both ways take turns
        found, its_error = objective.gradient(y, with_error=True)
        np.testing.assert_array_equal(found, gradient)
        assert its_error == error


def test_where_the_other_part_fails_the_work_ends(rng):
    """Nobody writes to its arrays any more when the error arrives."""
    n = 400_000
    edges = LocalEdges(graph(n), 1.0, 2)
    edges.reorder(np.arange(n, dtype=np.int32))
    y = rng.normal(0, 20, (n, 2)).astype(np.float32)
    forces = np.zeros_like(y)
    with edges.attraction(y, forces, True):
        pass
    whole = forces.copy()
    forces[...] = np.nan
    with pytest.raises(ValueError, match="other part"), edges.attraction(y, forces, False):
        raise ValueError("the other part")
    written = ~np.isnan(forces)
    assert not written.all()  # it was the way side by side, which did not end
    time.sleep(0.05)
    np.testing.assert_array_equal(~np.isnan(forces), written)
    with edges.attraction(y, forces, True):
        pass
    np.testing.assert_array_equal(forces, whole)


class Count:
    """A work that counts its calls."""

    def __init__(self):
        self.threads = []

    def __call__(self, n_threads):
        self.threads.append(n_threads)

    def cancel(self):
        pass


def ways(scheduler, n_iter, seconds):
    """Which ways are gone, where each takes so many seconds."""
    found = []
    for _ in range(n_iter):
        found.append(scheduler.is_next_overlapped())
        scheduler.record(found[-1], seconds[found[-1]])
    return found


@pytest.mark.parametrize("faster", [False, True])
def test_the_faster_way_is_taken_and_the_other_tried_again(faster):
    scheduler = OverlapScheduler(3)
    found = ways(scheduler, N_TRIED + 5 * TRY_EVERY, {faster: 1.0, not faster: 2.0})
    assert found[:N_TRIED] == [False, True] * N_REMEMBERED
    later = found[N_TRIED:]
    assert later.count(not faster) == 5
    # And where the other way has become the faster one, it is taken soon.
    found = ways(scheduler, 4 * TRY_EVERY, {faster: 2.0, not faster: 1.0})
    assert found[-1] is not faster


def test_threads_are_shared():
    scheduler, work = OverlapScheduler(5), Count()
    for expected in [5], [2, 3]:
        work.threads.clear()
        with scheduler.start(work) as running:
            free = running.free_threads
        assert sorted(work.threads) == expected
        assert free == expected[-1]
    alone = OverlapScheduler(2, is_possible=False)
    assert not any(ways(alone, 20, {False: 1.0}))
    with alone.start(work) as running:
        assert running.free_threads == 2


FORKED = """
import os, numpy as np, scipy.sparse as sp
from fasttsne.objective.kl import KLDivergence
from fasttsne.repulsion import AutoRepulsion
n, rng = 3000, np.random.default_rng(0)
P = sp.random(n, n, 0.01, "csr", np.float32, rng)
y = rng.normal(0, 20, (n, 2))
objective = KLDivergence(P, AutoRepulsion(n_threads=2), 2, n_threads=2)
objective.reorder(np.arange(n, dtype=np.int32))
expected = [objective.gradient(y)[0].copy() for _ in range(8)][0]
child = os.fork()
same = all((objective.gradient(y)[0] == expected).all() for _ in range(8))
if child == 0:
    os._exit(0 if same else 1)
print(same, os.waitpid(child, 0)[1])
"""


@pytest.mark.skipif(not hasattr(sys, "getdlopenflags"), reason="no fork")
def test_a_child_has_a_thread_of_its_own():
    run = [sys.executable, "-W", "ignore", "-c", FORKED]
    found = subprocess.run(run, capture_output=True, text=True, timeout=120)
    assert found.stdout.split() == ["True", "0"], found.stderr
