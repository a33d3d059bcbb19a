"""Graphs that somebody else made, in each form in which people have them."""

import numpy as np
import pytest
import scipy.sparse as sp
from helpers.quick import QUICK
from scipy.spatial.distance import cdist

from fasttsne import TSNE
from fasttsne.affinity import PerplexityBasedNN
from fasttsne.nearest_neighbors import (
    Exact,
    PrecomputedDistanceMatrix,
    PrecomputedNeighbors,
    make_index,
    precomputed,
)

RANDOM = {**QUICK, "initialization": "random"}


@pytest.fixture(scope="module")
def graph(digits):
    return Exact(digits, 90).build()


def as_csr(indices, distances, order=None):
    """What scanpy keeps in obsp["distances"]: k entries a row, itself not among them."""
    n, k = indices.shape
    rows = np.repeat(np.arange(n), k)
    return sp.csr_matrix((distances.ravel(), (rows, indices.ravel())), (n, n))


def assert_same(got, want):
    for a, b in zip(got, want, strict=True):
        np.testing.assert_array_equal(a, b)


class Foreign:
    """An index that is nobody's class."""

    k, n_samples = 90, 500

    def __init__(self, indices, distances):
        self.found = indices, distances

    def build(self):
        return self.found

    def query(self, X, k):
        raise NotImplementedError


def test_every_form_of_a_graph_gives_the_same_map(digits, graph):
    indices, distances = graph
    expected = TSNE(neighbors="exact", **QUICK).fit(digits)
    forms = [
        graph,
        [indices.astype(np.int64), distances],
        as_csr(*graph),
        sp.csr_array(as_csr(*graph)),
        as_csr(*graph).tocoo(),
        PrecomputedNeighbors(*graph),
        PrecomputedDistanceMatrix(as_csr(*graph), 90),
        Foreign(*graph),
    ]
    for neighbors in forms:
        embedding = TSNE(neighbors=neighbors, **QUICK).fit(digits)
        np.testing.assert_array_equal(embedding, expected)


def test_without_data(graph):
    start = np.random.default_rng(0).normal(0, 1e-4, (500, 2))
    expected = TSNE(neighbors=graph, **RANDOM).fit()
    np.testing.assert_array_equal(TSNE(neighbors=as_csr(*graph), **RANDOM).fit(), expected)
    assert TSNE(neighbors=graph, **QUICK).fit(initialization=start).shape == (500, 2)
    np.testing.assert_array_equal(
        TSNE(neighbors=graph, **QUICK).fit(),
        TSNE(neighbors=graph, initialization="spectral", **QUICK).fit(),
    )
    with pytest.raises(ValueError, match="X is needed"):
        TSNE(**RANDOM).fit()


def test_distance_matrices_give_the_same_map(digits):
    table = cdist(digits, digits)
    indices = np.argsort(table + np.diag(np.full(500, np.inf)), axis=1, kind="stable")[:, :90]
    pair = indices, np.take_along_axis(table, indices, 1)
    expected = TSNE(neighbors=pair, **RANDOM).fit()
    tsne = TSNE(metric="precomputed", **RANDOM)
    before = table.copy()
    np.testing.assert_array_equal(tsne.fit(table), expected)
    np.testing.assert_array_equal(tsne.fit(sp.csr_matrix(table)), expected)
    np.testing.assert_array_equal(table, before)
    start = np.random.default_rng(0).normal(0, 1e-4, (500, 2))
    assert tsne.fit(table.tolist(), initialization=start).shape == (500, 2)
    np.testing.assert_array_equal(
        TSNE(metric="precomputed", **QUICK).fit(table), TSNE(neighbors=pair, **QUICK).fit()
    )
    with pytest.raises(ValueError, match=r"'auto' or 'exact' for metric='precomputed'; got 'hnsw'"):
        TSNE(metric="precomputed", neighbors="hnsw", **RANDOM).fit(table)


def test_few_neighbours_clamp_the_perplexity(graph):
    """scanpy's 15 neighbours, itself among them, at the default perplexity."""
    few = as_csr(graph[0][:, :14], graph[1][:, :14])
    with pytest.warns(UserWarning, match=r"perplexity 30 is too large for 14 neighbours"):
        affinities = PerplexityBasedNN(method=few)
    assert affinities.effective_perplexity_ == pytest.approx(14 / 3)
    with pytest.warns(UserWarning, match="14 neighbours"):
        assert np.isfinite(TSNE(neighbors=few, **RANDOM).fit()).all()


def test_of_many_neighbours_the_nearest_are_used(graph):
    expected = PerplexityBasedNN(perplexity=10, method=(graph[0][:, :30], graph[1][:, :30])).P
    for method in (graph, as_csr(*graph)):
        affinities = PerplexityBasedNN(perplexity=10, method=method)
        assert abs(affinities.P - expected).max() == 0


def test_x_and_the_graph_must_be_of_the_same_rows(digits, graph):
    for neighbors in (graph, as_csr(*graph), Foreign(*graph)):
        with pytest.raises(ValueError, match="neighbors are of 500 rows, but the data has 400"):
            TSNE(neighbors=neighbors, **QUICK).fit(digits[:400])


def test_rows_are_sorted_and_taken_out(graph):
    indices, distances = graph[0][:, :10], graph[1][:, :10]
    own = np.arange(500)[:, None]
    with_self = np.c_[own, indices], np.c_[np.zeros(500), distances]
    backwards = indices[:, ::-1], distances[:, ::-1]
    assert_same(PrecomputedNeighbors(*with_self).build(), (indices, distances))
    assert_same(PrecomputedNeighbors(*backwards).build(), (indices, distances))
    # Some rows without themselves, as approximate searches among equal rows give them.
    some = with_self[0].copy(), with_self[1].copy()
    some[0][:5], some[1][:5] = graph[0][:5, :11], graph[1][:5, :11]
    index = PrecomputedNeighbors(*some)
    assert_same(index.build(), (indices, distances))
    assert (index.k, index.n_samples) == (10, 500)


@pytest.mark.parametrize(
    ("neighbors", "distances", "error", "message"),
    [
        ([[1.0], [0.0]], [[1], [1]], TypeError, "neighbors must be integers.* float64"),
        ([[1], [0]], [["a"], ["b"]], TypeError, "distances must be real numbers"),
        ([1, 0], [1, 1], ValueError, r"both be \(n, k\); got shapes \(2,\) and \(2,\)"),
        ([[1], [0]], [[1, 2], [1, 2]], ValueError, r"shapes \(2, 1\) and \(2, 2\)"),
        ([[1], [2]], [[1], [1]], ValueError, r"from 0 to 1; neighbors\[1, 0\] is 2"),
        ([[1, -1], [0, 1]], [[1, 1], [1, 1]], ValueError, r"neighbors\[0, 1\] is -1"),
        ([[1], [0]], [[1], [np.nan]], ValueError, r"distances\[1, 0\] is nan"),
        ([[1], [0]], [[np.inf], [1]], ValueError, r"distances\[0, 0\] is inf"),
        ([[1], [0]], [[1], [-2]], ValueError, r"not negative; distances\[1, 0\] is -2"),
        ([[1, 2, 1], [0, 1, 2], [0, 1, 2]], np.ones((3, 3)), ValueError, "row 0 have 1 twice"),
        ([[0], [1]], [[0], [0]], ValueError, "others than the row itself"),
    ],
)
def test_bad_lists(neighbors, distances, error, message):
    with pytest.raises(error, match=message):
        PrecomputedNeighbors(neighbors, distances)


def test_lists_know_nothing_of_new_rows(digits, graph):
    with pytest.raises(NotImplementedError, match="neighbours of new rows cannot be found"):
        PrecomputedNeighbors(*graph).query(digits[:3], 5)


@pytest.mark.parametrize("form", [np.asarray, sp.csr_matrix, sp.csc_array])
def test_matrix_equals_exact(monkeypatch, digits, form):
    monkeypatch.setattr(precomputed, "BLOCK_ENTRIES", 3000)
    table = cdist(digits, digits)
    indices, distances = PrecomputedDistanceMatrix(form(table), 20).build()
    expected, expected_distances = Exact(digits.astype(float), 20).build()
    assert indices.dtype == np.int32
    assert distances.dtype == np.float64
    assert (indices == expected).mean() > 0.99
    np.testing.assert_allclose(distances, expected_distances, rtol=1e-5)
    assert PrecomputedDistanceMatrix(form(table.astype(np.float32)), 3).build()[1].dtype == "f4"


@pytest.mark.parametrize("form", [np.asarray, sp.csr_matrix])
def test_matrix_answers_new_rows_from_their_distances(digits, form):
    index = PrecomputedDistanceMatrix(cdist(digits[:400], digits[:400]), 5)
    indices, distances = index.query(form(cdist(digits[400:], digits[:400])), 7)
    expected, expected_distances = Exact(digits[:400].astype(float), 5).query(digits[400:], 7)
    assert (indices == expected).mean() > 0.99
    np.testing.assert_allclose(distances, expected_distances, rtol=1e-5)
    with pytest.raises(ValueError, match="X must have 400 columns"):
        index.query(form(cdist(digits[:3], digits[:5])), 2)
    with pytest.raises(ValueError, match=r"X\[0, 0\] is nan"):
        index.query(form(np.full((1, 400), np.nan)), 2)


def test_new_rows_with_too_few_distances():
    index = PrecomputedDistanceMatrix(1 - np.eye(4), 2)
    X = sp.csr_matrix([[1.0, 2, 3, 4], [0, 2, 0, 0]])
    assert index.query(X, 1)[0].tolist() == [[0], [1]]
    with pytest.raises(ValueError, match="row 1 of X has 1 distances; 2 are needed"):
        index.query(X, 2)


def test_stored_zeros_are_neighbours_and_the_diagonal_is_not():
    values, columns = np.array([0.0, 5, 0, 7, 0, 0, 9, 1]), np.array([0, 1, 2, 0, 1, 2, 0, 1])
    matrix = sp.csr_matrix((values, columns, [0, 3, 6, 8]), (3, 3))
    indices, distances = PrecomputedDistanceMatrix(matrix, 2).build()
    assert indices.tolist() == [[2, 1], [2, 0], [1, 0]]
    assert distances.tolist() == [[0, 5], [0, 7], [1, 9]]
    assert matrix.nnz == 8


def test_the_diagonal_of_an_array_may_hold_anything():
    table = np.array([[np.inf, 2, 1], [2, np.nan, 3], [1, 3, -1]])
    assert PrecomputedDistanceMatrix(table, 2).build()[0].tolist() == [[2, 1], [0, 2], [0, 1]]


def test_rows_of_unequal_length(graph):
    """scanpy leaves equal cells out of each other's rows: their distance is zero."""
    matrix = as_csr(graph[0][:, :14], graph[1][:, :14]).tolil()
    for neighbor in graph[0][7, :4]:
        matrix[7, neighbor] = 0
    matrix = matrix.tocsr()
    matrix.eliminate_zeros()
    with pytest.warns(UserWarning, match=r"row 7 .* has 10 neighbours, others have up to 14"):
        index = PrecomputedDistanceMatrix(matrix, 14)
    assert index.k == 10
    assert PrecomputedDistanceMatrix(matrix, 9).k == 9  # all rows have so many: no warning
    indices, _ = index.build()
    np.testing.assert_array_equal(indices[0], graph[0][0, :10])
    np.testing.assert_array_equal(indices[7], graph[0][7, 4:14])


def test_bad_matrices():
    good = cdist(np.eye(4), np.eye(4))
    for form in (np.asarray, sp.csr_matrix):
        for value, message in ((np.nan, r"matrix\[1, 2\] is nan"), (-1, "negative")):
            bad = good.copy()
            bad[1, 2] = value
            with pytest.raises(ValueError, match=message):
                PrecomputedDistanceMatrix(form(bad), 2).build()
        with pytest.raises(ValueError, match=r"square, \(n, n\); got shape \(3, 4\)"):
            PrecomputedDistanceMatrix(form(good[:3]), 2)
        with pytest.raises(ValueError, match="less than the number of rows, 4; got 4"):
            PrecomputedDistanceMatrix(form(good), 4)
        with pytest.raises(TypeError, match="real numbers"):
            PrecomputedDistanceMatrix(form(good * 1j), 2)
    lonely = sp.csr_matrix([[1.0, 0], [3, 2]])
    with pytest.raises(ValueError, match="row 0 of the matrix has no neighbours"):
        PrecomputedDistanceMatrix(lonely, 1)
    with pytest.raises(ValueError, match="matrix of distances; got shape"):
        PrecomputedDistanceMatrix(np.ones(3), 1)


def test_what_is_no_graph(digits, graph):
    for neighbors in (graph[0], (*graph, None), {}):
        with pytest.raises(TypeError, match=r"a pair \(indices, distances\), a sparse matrix"):
            make_index(neighbors, digits, 5)


def test_somebody_elses_index_is_checked(digits, graph):
    indices = graph[0].copy()
    indices[3, 4] = -1
    with pytest.raises(ValueError, match=r"neighbors\[3, 4\] is -1"):
        TSNE(neighbors=Foreign(indices, graph[1]), **QUICK).fit(digits)
