import numpy as np
import pytest
import scipy.sparse as sp

from fasttsne import _kernels
from fasttsne._kernels import reference
from fasttsne.affinity import csr
from fasttsne.affinity.csr import normalize_directed, symmetrize


def neighbours(rng, n, k):
    indices = np.array([rng.permutation(np.delete(np.arange(n), i))[:k] for i in range(n)])
    values = rng.random((n, k)).astype(np.float32)
    return indices.astype(np.int32), values / values.sum(1, keepdims=True)


@pytest.mark.parametrize("n_threads", [1, 2, 7])
@pytest.mark.parametrize(("n", "k"), [(2, 1), (5, 4), (60, 11)])
def test_symmetrized_equals_reference(rng, n, k, n_threads):
    indices, values = neighbours(rng, n, k)
    P = symmetrize(indices, values.copy(), n_threads)
    np.testing.assert_allclose(P.toarray(), reference.symmetrized(indices, values), rtol=1e-6)
    assert P.sum() == pytest.approx(1, rel=1e-5)
    assert P.has_canonical_format
    assert sp.csr_matrix((P.data, P.indices, P.indptr)).has_canonical_format
    assert P.indices.dtype == np.int32


def test_a_point_that_is_everybodys_neighbour(rng):
    indices = np.zeros((50, 1), np.int32)
    indices[0] = 1
    P = symmetrize(indices, np.ones((50, 1), np.float32), 3)
    np.testing.assert_allclose(
        P.toarray(), reference.symmetrized(indices, np.ones((50, 1))), rtol=1e-6
    )


def test_directed_keeps_rows_and_sorts_them(rng):
    indices, values = neighbours(rng, 30, 7)
    P = normalize_directed(indices, values)
    dense = np.zeros((30, 30))
    np.put_along_axis(dense, indices, values / 30, 1)
    np.testing.assert_allclose(P.toarray(), dense, rtol=1e-6)
    assert sp.csr_matrix((P.data, P.indices, P.indptr)).has_sorted_indices


@pytest.mark.parametrize("use_max", [False, True])
def test_blocks_of_rows_make_no_difference(rng, monkeypatch, use_max):
    indices, values = neighbours(rng, 300, 9)
    whole = symmetrize(indices, values, 2, use_max)
    monkeypatch.setattr(csr, "BLOCK_EDGES", 100)
    monkeypatch.setattr(csr, "MAX_BLOCKS", 50)
    assert len(list(csr._row_blocks(np.bincount(indices.ravel(), minlength=300), 9))) > 20
    parts = symmetrize(indices, values, 3, use_max)
    for a, b in ((whole.indptr, parts.indptr), (whole.indices, parts.indices)):
        np.testing.assert_array_equal(a, b)
    assert whole.data.tobytes() == parts.data.tobytes()


def test_rows_are_sorted_whatever_their_length(rng):
    for k in (1, 2, 5, 60, 400):
        columns = np.array([rng.permutation(1000)[:k] for _ in range(20)], np.int32)
        values = columns.astype(np.float32) / 1000
        _kernels.csr.sort_rows(columns, values, 2)
        assert (np.diff(columns, axis=1) > 0).all()
        np.testing.assert_array_equal(values, columns.astype(np.float32) / 1000)
