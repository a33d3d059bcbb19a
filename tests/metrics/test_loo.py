"""The leave-one-out scores: against letting points go by SciPy, and whether they find tears."""

import numpy as np
import pytest
from helpers import loo_twin
from scipy.spatial import cKDTree
from scipy.stats import rankdata, spearmanr

from fasttsne import TSNE, TSNEEmbedding, metrics
from fasttsne.affinity import PerplexityBasedNN
from fasttsne.datasets import load_digits


def rolled_sheet(n):
    """A Swiss roll, and where its points are on the sheet."""
    rng = np.random.default_rng(0)
    t, height = 1.5 * np.pi * (1 + 2 * rng.random(n)), 60 * rng.random(n)
    along = 0.5 * (t * np.sqrt(1 + t * t) + np.arcsinh(t))
    return np.c_[t * np.cos(t), height, t * np.sin(t)], np.c_[along, height]


def blobs(n):
    rng = np.random.default_rng(0)
    return rng.normal(0, 3, (8, 10))[rng.integers(0, 8, n)] + rng.normal(size=(n, 10))


def digits(n):
    """Those that there are, and some of them with noise."""
    X = load_digits()[0].astype(float)
    more = X[: n - len(X)] + np.random.default_rng(0).normal(0, 1, (n - len(X), 64))
    return np.vstack([X, more])


@pytest.mark.thin(1)
@pytest.mark.parametrize("data", [digits, blobs, lambda n: rolled_sheet(n)[0]])
def test_are_those_of_points_let_go(data):
    embedding = TSNE(random_state=0, early_exaggeration_iter=100, n_iter=150).fit(data(2000))
    found = metrics.loo_scores(embedding)
    P, y = embedding.affinities.P, np.asarray(embedding)
    rows, z = np.arange(0, 2000, 64), loo_twin.z_of_all(y)
    perturbation = [loo_twin.perturbation(P, y, i, z) for i in rows]
    curvature = np.array([loo_twin.smallest_curvature(P, y, i, z) for i in rows])
    singularity = np.where(curvature > 0, 1 / np.maximum(curvature, 1e-9), np.inf)
    assert spearmanr(found.perturbation[rows], perturbation)[0] > 0.9
    assert spearmanr(found.singularity[rows], singularity)[0] > 0.9


@pytest.fixture(scope="module")
def maps_of_a_roll():
    """A map that starts from the sheet, and one that starts anywhere."""
    X, sheet = rolled_sheet(3000)
    affinities = PerplexityBasedNN(X, perplexity=100, random_state=0)
    start = 20 * (sheet - sheet.mean(0)) / sheet.std()
    whole = TSNEEmbedding(start, affinities).optimize("auto")
    torn = TSNE(perplexity=100, random_state=1, initialization="random").fit(X)
    return sheet, whole, torn


def stretches(sheet, embedding):
    """How far the farthest of 10 neighbours on the sheet is in the map, by what is usual."""
    near = cKDTree(sheet).query(sheet, 11)[1][:, 1:]
    y = np.asarray(embedding)
    lengths = np.linalg.norm(y[near] - y[:, None], axis=2)
    return lengths.max(1) / np.median(lengths)


@pytest.mark.slow
def test_find_a_torn_sheet(maps_of_a_roll):
    sheet, whole, torn = maps_of_a_roll
    is_torn = stretches(sheet, torn) > 10
    scores = metrics.loo_scores(torn)
    ranks = rankdata(scores.perturbation)
    m, n = is_torn.sum(), (~is_torn).sum()
    auroc = (ranks[is_torn].sum() - m * (m + 1) / 2) / (m * n)
    assert auroc > 0.9
    assert scores.is_flagged[is_torn].mean() > 0.75
    assert scores.is_flagged[stretches(sheet, torn) < 5].mean() < 0.03
    assert metrics.loo_scores(whole).is_flagged.mean() < 0.05


def test_samples_and_threads(maps_of_a_roll):
    _, whole, _ = maps_of_a_roll
    everything = metrics.loo_scores(whole, n_jobs=1)
    some = metrics.loo_scores(whole, sample_size=300, random_state=3, n_jobs=3)
    assert len(some.rows) == 300
    for name in ("perturbation", "singularity", "target", "toward"):
        np.testing.assert_array_equal(getattr(some, name), getattr(everything, name)[some.rows])


@pytest.mark.parametrize("d", [1, 2, 3])
def test_maps_of_any_dimension(d):
    X = blobs(300)
    embedding = TSNE(d, random_state=0, early_exaggeration_iter=50, n_iter=50).fit(X)
    scores = metrics.loo_scores(embedding)
    assert scores.target.shape == (300, d)
    assert np.isfinite(scores.perturbation).all()
    assert (scores.singularity > 0).all()


def test_five_rows():
    points = np.random.default_rng(0).normal(size=(5, 2))
    P = np.exp(-np.random.default_rng(1).random((5, 5)))
    np.fill_diagonal(P, 0)
    embedding = TSNEEmbedding(points, (P + P.T) / (P + P.T).sum())
    assert np.isfinite(metrics.loo_scores(embedding).perturbation).all()


def test_bad_input():
    with pytest.raises(TypeError, match=r"got ndarray.  For a map of another program: TSNEEmb"):
        metrics.loo_scores(np.zeros((5, 2)))
    P = np.ones((5, 5)) / 20 * (1 - np.eye(5))
    with pytest.raises(ValueError, match="not all equal"):
        metrics.loo_scores(TSNEEmbedding(np.zeros((5, 2)), P))
