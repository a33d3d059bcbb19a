import numpy as np
import pytest
import scipy.sparse as sp

from fasttsne._kernels import reference
from fasttsne.affinity import PerplexityBasedNN, PrecomputedAffinities


def dense_affinities(X, perplexity, k):
    indices, distances = reference.nearest(X, X, k, self_join=True)
    rows = np.array([reference.conditional_affinities(d, perplexity) for d in distances])
    return reference.symmetrized(indices, rows)


def test_equals_the_definition(digits):
    X = digits[:200]
    P = PerplexityBasedNN(X, perplexity=10, n_jobs=2).P
    assert P.dtype == np.float32
    np.testing.assert_allclose(
        P.toarray(), dense_affinities(X.astype(float), 10, 30), atol=2e-4 * P.max()
    )


def test_set_perplexity_equals_a_new_search(digits):
    affinities = PerplexityBasedNN(digits, perplexity=40)
    affinities.set_perplexity(10)
    fresh = PerplexityBasedNN(digits, perplexity=10)
    assert affinities.effective_perplexity_ == 10
    assert (affinities.P != fresh.P).nnz == 0


def test_too_large_a_perplexity_is_reduced_with_a_warning(digits):
    with pytest.warns(UserWarning, match=r"perplexity 30 .* using 3"):
        affinities = PerplexityBasedNN(digits[:10], perplexity=30)
    assert affinities.effective_perplexity_ == 3


def test_not_symmetrized(digits):
    P = PerplexityBasedNN(digits, symmetrize=False).P
    np.testing.assert_allclose(np.asarray(P.sum(1)).ravel(), 1 / len(digits), rtol=1e-4)
    assert (np.diff(P.indptr) == 90).all()


def test_bad_arguments(digits):
    with pytest.raises(ValueError, match="data is needed"):
        PerplexityBasedNN()
    with pytest.raises(ValueError, match="perplexity must be greater than 0; got -1"):
        PerplexityBasedNN(digits, perplexity=-1)
    with pytest.raises(ValueError, match="'nonsense'"):
        PerplexityBasedNN(digits, method="nonsense")
    with pytest.raises(ValueError, match="k_neighbors"):
        PerplexityBasedNN(digits, k_neighbors="many")


def test_precomputed_is_copied_and_normalized():
    matrix = sp.csr_matrix(np.array([[0, 2.0], [6.0, 0]]))
    P = PrecomputedAffinities(matrix).P
    np.testing.assert_allclose(P.toarray(), [[0, 0.25], [0.75, 0]])
    np.testing.assert_allclose(matrix.toarray(), [[0, 2], [6, 0]])
    kept = PrecomputedAffinities(np.array([[0, 0.2], [0.2, 0]]), normalize=False).P
    np.testing.assert_allclose(kept.toarray(), [[0, 0.2], [0.2, 0]])


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (np.ones((2, 3)), "square"),
        (np.array([[0, -1.0], [1, 0]]), "negative"),
        (np.array([[0, np.nan], [1, 0]]), "finite"),
        (np.zeros((2, 2)), "all be zero"),
    ],
)
def test_precomputed_bad_matrices(matrix, message):
    with pytest.raises(ValueError, match=message):
        PrecomputedAffinities(matrix)
