import numpy as np
import pytest
import scipy.sparse as sp

from fasttsne import _kernels
from fasttsne._kernels import reference
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


def test_padding_stays_within_the_columns():
    """A graph of more rows than columns: the number of the row need not be a column's."""
    indptr = np.arange(21, dtype=np.int64)
    columns, values = np.empty(160, np.int32), np.empty(160, np.float32)
    _kernels.csr.pack_edges(
        indptr, np.zeros(20, np.int32), np.ones(20, np.float32), np.arange(20, dtype=np.int32),
        np.arange(3, dtype=np.int32), 8 * indptr, columns, values, 2,
    )  # fmt: skip
    assert columns.max() == 2
    np.testing.assert_array_equal(values.reshape(20, 8).sum(1), 1)


def test_pack_renumbers_and_pads(rng):
    matrix = sp.random(40, 40, 0.2, format="csr", dtype=np.float32, random_state=0)
    order = rng.permutation(40).astype(np.int32)
    position = np.empty(40, np.int32)
    position[order] = np.arange(40)
    counts = np.diff(matrix.indptr)[order]
    indptr = np.zeros(41, np.int64)
    np.cumsum((counts + 7) // 8 * 8, out=indptr[1:])
    columns, values = np.empty(indptr[-1], np.int32), np.empty(indptr[-1], np.float32)
    _kernels.csr.pack_edges(
        matrix.indptr.astype(np.int64), matrix.indices, matrix.data, order, position, indptr,
        columns, values, 2,
    )  # fmt: skip
    packed = sp.csr_matrix((values, columns, indptr), (40, 40))
    np.testing.assert_array_equal(packed.toarray(), matrix.toarray()[np.ix_(order, order)])
