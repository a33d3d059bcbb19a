import numpy as np
import pytest
import scipy.sparse as sp

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
