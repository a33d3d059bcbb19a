"""Damaged checkpoints of fits on a cluster: the same map, or an error that names the file.

``FASTTSNE_HYPOTHESIS=nightly`` damages more, other ones each day.
"""

import os
import signal
import time

import numpy as np
import pytest

pytest.importorskip("distributed")
pytest.importorskip("dask.array")

import dask.array as da
from helpers.clusters import processes
from helpers.damage import damage_one

import fasttsne
import fasttsne.dask
from fasttsne.runtime.progress import report_progress_to

pytestmark = pytest.mark.slow
NIGHTLY = os.environ.get("FASTTSNE_HYPOTHESIS") == "nightly"
SEED = str(int(time.time()) // 86_400) if NIGHTLY else "0"
N = int(os.environ.get("FASTTSNE_DAMAGED", 60 if NIGHTLY else 4))
FEW = {"random_state": 0, "n_iter": 5, "early_exaggeration_iter": 5, "n_jobs": 1}
FILES = ("run.npz", "run.graph.npz", "run.graph.0.npz")


@pytest.fixture(scope="module")
def X():
    return np.random.default_rng(1).normal(size=(1600, 4)).astype(np.float32)


@pytest.fixture(scope="module")
def expected(X):
    return np.asarray(fasttsne.TSNE(**FEW, neighbors="approx").fit(X))


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    with processes(tmp_path_factory.mktemp("cluster")) as cluster:
        for _ in range(2):
            cluster.start_worker()
        with cluster.client(2) as client:
            yield client


@pytest.fixture
def fit(client, X, tmp_path):
    """A fit that goes on from the checkpoint that an interrupted one has left in the folder."""

    def fit():
        return np.asarray(estimator.fit(da.from_array(X, chunks=(400, -1))))

    def interrupt(progress):
        if progress.name == "main phase":
            signal.raise_signal(signal.SIGINT)

    estimator = fasttsne.dask.TSNE(
        client, **FEW, neighbors="approx", checkpoint=tmp_path / "run.npz"
    )
    with report_progress_to(interrupt), pytest.raises(KeyboardInterrupt):
        fit()
    return fit


def map_or_error(fit):
    try:
        return fit()
    except ValueError as error:
        return str(error)


@pytest.mark.parametrize("name", FILES)
def test_damaged_files(fit, expected, tmp_path, name):
    whole = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    assert len(whole) > len(FILES)
    n_refused = 0
    for number in range(N):
        how = damage_one(tmp_path, whole, name, (SEED, number))
        found = map_or_error(fit)
        if isinstance(found, str):
            assert name in found, (number, how)
            n_refused += 1
        else:
            np.testing.assert_array_equal(found, expected, f"{number} {how}")
    assert n_refused > N / 2


def test_blocks_that_were_exchanged(fit, expected, tmp_path):
    """They are of the same fit, and those of other rows, of which there are as many."""
    blocks = sorted(tmp_path.glob("run.graph.*.npz"))
    by_size = {path.stat().st_size: path for path in blocks}
    one, other = next(
        (path, by_size[path.stat().st_size])
        for path in blocks
        if by_size[path.stat().st_size] != path
    )
    both = one.read_bytes(), other.read_bytes()
    other.write_bytes(both[0])
    one.write_bytes(both[1])
    with pytest.raises(ValueError, match=r"run\.graph\.\d+\.npz .* it is of rows from \d+ on"):
        fit()
    one.write_bytes(both[0])
    other.write_bytes(both[1])
    np.testing.assert_array_equal(fit(), expected)
