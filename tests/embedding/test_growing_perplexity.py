"""Maps grown from few rows, or shrunk to few, use as much of the perplexity as their rows allow."""

import itertools

import numpy as np
import pytest
import scipy.sparse as sp

from fasttsne import TSNE, TSNEEmbedding
from fasttsne.affinity import MultiscaleMixture, PerplexityBasedNN
from fasttsne.objective.kl import kl_divergence
from fasttsne.repulsion import ExactRepulsion

TOO_LARGE = "perplexity 30 is too large for"


def edges(affinities):
    P = affinities.P_float32.tocsr().copy()
    P.sort_indices()
    return P


def assert_same_graph(one, other):
    one, other = edges(one), edges(other)
    np.testing.assert_array_equal(one.indptr, other.indptr)
    np.testing.assert_array_equal(one.indices, other.indices)
    np.testing.assert_allclose(one.data, other.data, rtol=1e-4)


@pytest.mark.filterwarnings("ignore:perplexity")
def test_the_perplexity_grows_with_the_rows_without_a_cliff(rng):
    X = rng.normal(size=(120, 5))
    used = [PerplexityBasedNN(X[:n]).effective_perplexity_ for n in range(2, 121)]
    steps = [after - before for before, after in itertools.pairwise(used)]
    assert used[:3] == [1, 1, 1]
    assert 0 <= min(steps) <= max(steps) < 0.34
    assert set(used[89:]) == {30}  # from 91 rows on
    # As several perplexities, of which one is too large, always had it.
    with pytest.warns(UserWarning, match="perplexities 30 are too large"):
        assert MultiscaleMixture(X[:61], [5, 30]).effective_perplexities_ == [5, 20]


@pytest.mark.parametrize("n", [31, 32, 33, 40, 60])
def test_a_map_of_few_rows_does_not_collapse(digits, n):
    with pytest.warns(UserWarning, match=f"{TOO_LARGE} {n - 1} neighbours"):
        embedding = TSNE(random_state=0).fit(digits[:n])
    assert np.std(embedding) > 3


@pytest.mark.thin(2)
@pytest.mark.filterwarnings("ignore:perplexity")
@pytest.mark.parametrize("kind", [np.float32, np.float64, sp.csr_matrix])
@pytest.mark.parametrize("first", [2, 5, 10, 31, 60])
def test_rows_that_join_a_few_have_the_neighbours_of_a_fit(digits, first, kind):
    X = kind(digits[:300])
    grown = TSNE(random_state=0).fit(X[:first])
    for start, stop in itertools.pairwise([first, first + 1, 80, 200, 300]):
        grown = grown.update(X[start:stop])
    assert grown.affinities.perplexity == grown.affinities.effective_perplexity_ == 30
    # Lists that were long enough take new rows in, and miss a few.
    one, other = (edges(each) > 0 for each in (grown.affinities, PerplexityBasedNN(X)))
    assert one.multiply(other).nnz > 0.97 * other.nnz


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:perplexit")
@pytest.mark.parametrize("perplexity", [30, [5, 30]])
@pytest.mark.parametrize("neighbors", ["auto", "exact"])
def test_rows_that_leave_and_come_back(digits, perplexity, neighbors):
    X = digits[:300]
    embedding = TSNE(perplexity=perplexity, neighbors=neighbors, random_state=0).fit(X)
    few = embedding.drop(np.arange(25, 300))
    assert np.max(used_by(few.affinities)) == 8
    assert few.affinities.P_float32.shape == (25, 25)
    assert_same_graph(few.update(X[25:]).affinities, embedding.affinities)


def used_by(affinities):
    return getattr(affinities, "effective_perplexity_", None) or affinities.effective_perplexities_


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:perplexity")
def test_a_map_of_few_rows_grows_into_that_of_all(digits):
    X, rows = digits[:300], np.arange(300)
    whole = TSNE(random_state=0).fit(X)
    P = whole.affinities.P_float32
    for first in 5, 31:
        grown = TSNE(random_state=0).fit(X[:first])
        for some in np.array_split(rows[first:], 3):
            grown = grown.update(X[some], hold=1e-5)
        found = kl_divergence(P, np.asarray(grown), ExactRepulsion(1, 1))
        assert found < 1.1 * whole.kl_divergence  # 4 times as much, when the perplexity stayed


@pytest.mark.thin(1)
@pytest.mark.filterwarnings("ignore:perplexit")
@pytest.mark.parametrize("keep", ["rows", "index"])
@pytest.mark.parametrize("perplexity", [30, [5, 30]])
def test_a_file_remembers_the_perplexity_that_was_asked_for(digits, tmp_path, keep, perplexity):
    X = digits[:200]
    small = TSNE(perplexity=perplexity, random_state=0).fit(X[:20])
    maps = small, small.update(X[20:40]), TSNE(perplexity=perplexity).fit(X).drop(range(40, 200))
    for number, embedding in enumerate(maps):
        n, path = len(embedding), tmp_path / f"{number}.npz"
        if number == 2:  # one part of whose rows some have left
            embedding = embedding.update(X[40:42])
            n = 42
        embedding.save(path, keep=keep)
        loaded = TSNEEmbedding.load(path, X=X[:n] if keep == "index" else None)
        assert used_by(loaded.affinities) == used_by(embedding.affinities)
        one, other = (each.update(X[n:]) for each in (embedding, loaded))
        assert np.max(used_by(other.affinities)) == 30
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other))


def test_an_update_warns_as_a_fit_does(digits):
    with pytest.warns(UserWarning, match=f"{TOO_LARGE} 9 neighbours; using 3"):
        embedding = TSNE(random_state=0).fit(digits[:10])
    with pytest.warns(UserWarning, match=f"{TOO_LARGE} 60 neighbours; using 20"):
        embedding = embedding.update(digits[10:61])
    embedding = embedding.update(digits[61:91])  # without a warning: there are enough
    with pytest.warns(UserWarning, match=f"{TOO_LARGE} 30 neighbours; using 10"):
        embedding.drop(range(31, 91))


@pytest.mark.filterwarnings("ignore:perplexity")
def test_partial_fit_grows(digits):
    sklearn = pytest.importorskip("fasttsne.sklearn")
    estimator = sklearn.TSNE(random_state=0).partial_fit(digits[:31])
    estimator.partial_fit(digits[31:300])
    assert estimator.embedding_object_.affinities.effective_perplexity_ == 30


def test_lists_that_were_asked_to_be_short_stay_so(digits):
    affinities = PerplexityBasedNN(digits[:200], 30, k_neighbors=40)
    assert affinities.effective_perplexity_ == 30
    longer, _ = affinities.joined_by(digits[200:260])
    assert longer._indices.shape == (260, 40)
    shorter = affinities.without(np.arange(100, 200))
    assert shorter._indices.shape == (100, 40)


class OwnIndex:
    """An exact search of a user's own, which does not show its rows."""

    def __init__(self, X, k):
        self._X, self.k, self.n_samples = np.asarray(X, float), k, len(X)

    def build(self):
        indices, distances = self.query(self._X, self.k + 1)
        return indices[:, 1:], distances[:, 1:]

    def query(self, X, k):
        distances = np.linalg.norm(np.asarray(X, float)[:, None] - self._X, axis=2)
        indices = np.argsort(distances, axis=1, kind="stable")[:, :k]
        return indices, np.take_along_axis(distances, indices, 1)


@pytest.mark.filterwarnings("ignore:perplexity")
def test_an_index_without_rows_keeps_its_short_lists(digits):
    """It cannot be searched anew for the rows that it has; new ones join it all the same."""
    embedding = TSNE(neighbors=OwnIndex(digits[:20], 19), random_state=0).fit()
    grown = embedding.update(digits[20:200])
    assert grown.affinities._indices.shape == (200, 19)
    assert grown.affinities.effective_perplexity_ == pytest.approx(19 / 3)
    assert grown.affinities.perplexity == 30
