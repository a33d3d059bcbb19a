"""Principal components: every solver, on both sides of each limit, by any number of threads."""

import os
import subprocess
import sys

import numpy as np
import pytest
import scipy.sparse as sp

from fasttsne import initialization
from fasttsne.linalg import pca
from fasttsne.runtime.threads import available_cores

PROGRAM = """
import hashlib, sys
import numpy as np, scipy.sparse
from fasttsne import TSNE, initialization
from fasttsne.nearest_neighbors import Approx

def threads():
    return int(next(line for line in open("/proc/self/status") if line[:8] == "Threads:")[8:])

what, n_jobs = sys.argv[1], int(sys.argv[2])
rng = np.random.default_rng(0)
if what == "gram":
    found = initialization.pca(rng.normal(size=(400, 100)), n_jobs=n_jobs, random_state=0)
elif what == "projection":
    X = rng.normal(size=(300, 1100)).astype(np.float32)
    found = initialization.pca(X, 64, "randomized", n_jobs=n_jobs, random_state=0)
elif what == "fit":
    tsne = TSNE(n_jobs=n_jobs, random_state=0, n_iter=10, early_exaggeration_iter=10)
    found = tsne.fit(rng.normal(size=(400, 100)))
else:
    X = rng.integers(0, 60, (12, 160))[rng.integers(12, size=5000)]
    X = (X + rng.normal(size=(5000, 6)) @ rng.normal(0, 3, (6, 160))).astype(np.float32)
    index = Approx(X, 7, n_jobs=n_jobs, random_state=0)
    found = np.c_[index.build()]
    assert index._probes.projection is not None
print(threads(), hashlib.sha256(found.tobytes()).hexdigest())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="counts threads as Linux does")
@pytest.mark.parametrize("what", ["gram", "projection", "fit", "neighbours"])
@pytest.mark.slow
def test_n_jobs_is_the_number_of_threads(what):
    """OpenMP's threads stay after a parallel loop: as many are there as any loop had.

    Small fits use no more than there are cores.
    """
    hashes = set()
    for n_jobs in (1, min(3, available_cores()) if what == "fit" else 3):
        result = subprocess.run(
            [sys.executable, "-c", PROGRAM, what, str(n_jobs)],
            capture_output=True,
            text=True,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
            check=False,
        )
        assert result.returncode == 0, result.stderr
        threads, digest = result.stdout.split()
        assert int(threads) == n_jobs
        hashes.add(digest)
    assert len(hashes) == 1


def spectrum(rng, n, d):
    """Rows whose components have clearly different variances, with a mean."""
    return (rng.normal(size=(n, 12)) * 0.7 ** np.arange(12)) @ rng.normal(size=(12, d)) + 5


@pytest.mark.slow
@pytest.mark.parametrize(
    ("form", "dtype"), [(np.asarray, "f4"), (np.asarray, "f8"), (sp.csr_matrix, "f4")]
)
@pytest.mark.parametrize(
    "shape",
    [
        (300, 63),
        (300, 64),
        (400, 200),
        (400, 201),
        (200, 400),
        (201, 400),
        (300, 1000),
        (300, 1001),
        (100, 1000),
        (100, 1001),
    ],
)
def test_components_on_both_sides_of_each_limit(rng, shape, dtype, form):
    X = spectrum(rng, *shape).astype(dtype)
    found = initialization.pca(form(X), 3, random_state=0, add_jitter=False)
    u, s, vt = np.linalg.svd(X.astype(float) - X.mean(0, dtype=float), full_matrices=False)
    signs = np.sign(vt[np.arange(3), np.abs(vt[:3]).argmax(1)])
    expected = initialization.rescale(u[:, :3] * s[:3] * signs)
    np.testing.assert_allclose(found, expected, atol=2e-6)


def test_which_solver_is_automatic(rng):
    """Exact up to 200 rows or columns: then the seed makes no difference."""
    for size, is_exact in ((200, True), (201, False)):
        X = rng.normal(size=(300, size))
        one, other = (
            initialization.pca(X, 2, random_state=seed, add_jitter=False) for seed in (0, 1)
        )
        assert (one == other).all() == is_exact


@pytest.mark.parametrize("n", [pca.SAMPLE_SIZE, pca.SAMPLE_SIZE + 1])
def test_approximate_components_and_their_projection(rng, n):
    X = spectrum(rng, n, 120).astype(np.float32)
    scores, projection = pca.approximate_components(X, 5, np.random.RandomState(0))
    assert projection.directions.flags.c_contiguous
    again = (X - projection.origin) @ projection.directions
    np.testing.assert_allclose(scores, again, atol=1e-3 * np.abs(scores).max())
    variances = np.linalg.eigvalsh(np.cov(X.T.astype(float)))[::-1]
    assert scores.var(0).sum() > 0.999 * variances[:5].sum()


@pytest.mark.thin(1)
@pytest.mark.parametrize("n_columns", [160, 400])
def test_leading_scores_are_nearly_those_of_all_columns(rng, n_columns):
    """Up to their sign, which is that of the exact components."""
    spread = 1.05 ** -np.arange(n_columns)
    X = (5 + rng.normal(size=(12_000, n_columns)) * spread).astype(np.float32)
    scores, projection = pca.approximate_components(X, 96, np.random.RandomState(0))
    leading = pca.leading_scores(scores, projection.directions, 3)
    exact = pca.principal_components(X, 3, np.random.RandomState(0), "full")
    assert leading.dtype == np.float32
    for a, b in zip(leading.T, exact.T, strict=True):
        assert np.corrcoef(a, b)[0, 1] > 0.99


@pytest.mark.parametrize("form", [np.asarray, sp.csr_array])
def test_integers_have_the_components_of_floats(rng, form):
    X = rng.integers(0, 255, (300, 12)).astype(np.uint8)
    for components in (
        lambda X: initialization.principal_components(X, 3),
        lambda X: initialization.approximate_components(X, 3, 0)[0],
    ):
        found = components(form(X))
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, components(form(X.astype(np.float32))))
