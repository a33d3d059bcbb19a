import pickle
import warnings

import numpy as np
import pytest
import scipy.sparse as sp

import fasttsne
from fasttsne._kernels import reference
from fasttsne.affinity import PerplexityBasedNN, PrecomputedAffinities


def dense_affinities(X, perplexity, k):
    indices, distances = reference.nearest(X, X, k, self_join=True)
    rows = np.array([reference.conditional_affinities(d, perplexity) for d in distances])
    return reference.symmetrized(indices, rows)


def test_equals_the_definition(digits):
    X = digits[:200]
    P = PerplexityBasedNN(X, perplexity=10, n_jobs=2).P
    np.testing.assert_allclose(
        P.toarray(), dense_affinities(X.astype(float), 10, 30), atol=2e-4 * P.max()
    )


@pytest.mark.parametrize("perplexity", [1.5, 30, 89])
def test_rows_have_the_perplexity(rng, perplexity):
    X = rng.normal(0, 1, (500, 10))
    affinities = PerplexityBasedNN(X, perplexity, symmetrize=False)
    rows = affinities.P.data.reshape(len(X), -1) * len(X)
    entropy = -(rows * np.log(np.maximum(rows, 1e-300))).sum(1)
    np.testing.assert_allclose(np.exp(entropy), perplexity, atol=1e-8)


def test_a_run_reads_float32(digits):
    affinities = PerplexityBasedNN(digits[:200], 10)
    read = affinities.P_float32
    assert read.dtype == np.float32
    np.testing.assert_allclose(affinities.P.data, read.data, rtol=1e-3, atol=1e-9)
    assert affinities.P_float32 is read
    assert affinities.P.indices is read.indices


@pytest.mark.parametrize("inplace", [True, False])
def test_a_run_follows_a_changed_matrix(digits, inplace):
    affinities = PerplexityBasedNN(digits[:200], 10)
    before = affinities.P_float32.data.copy()
    if inplace:
        affinities.P.data *= 4
    else:
        affinities.P = affinities.P * 4
    np.testing.assert_allclose(affinities.P_float32.data, 4 * before, rtol=1e-3, atol=1e-9)
    assert affinities.P_float32 is affinities.P_float32
    assert affinities.P.sum() == pytest.approx(4)
    again = pickle.loads(pickle.dumps(affinities))
    assert (again.P != affinities.P).nnz == 0


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


@pytest.mark.parametrize(("perplexity", "used"), [(8.5, 3), (30, 3)])
def test_constructor_and_set_perplexity_warn_alike(digits, perplexity, used):
    X = digits[:10]
    with pytest.warns(UserWarning, match="perplexity") as first:
        fresh = PerplexityBasedNN(X, perplexity)
    affinities = PerplexityBasedNN(X, 3)
    with pytest.warns(UserWarning, match="perplexity") as second:
        affinities.set_perplexity(perplexity)
    assert [str(w.message) for w in first] == [str(w.message) for w in second]
    assert affinities.effective_perplexity_ == fresh.effective_perplexity_ == used
    assert (affinities.P != fresh.P).nnz == 0


def test_a_subclass_has_a_rule_of_its_own(digits):
    class Halved(PerplexityBasedNN):
        @staticmethod
        def check_perplexity(perplexity, k_neighbors):
            return perplexity / 2

    affinities = Halved(digits, 20)
    assert affinities.effective_perplexity_ == 10
    affinities.set_perplexity(12)
    assert affinities.effective_perplexity_ == 6


def test_set_perplexity_warns_of_few_neighbors(digits):
    affinities = PerplexityBasedNN(digits[:200], 10)
    with pytest.warns(UserWarning, match="only 30 neighbours"):
        affinities.set_perplexity(20)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        affinities.set_perplexity(10)
        PerplexityBasedNN(digits[:20], 5, k_neighbors=19).set_perplexity(6)  # all there are


def test_row_pointers_that_wrap_around_are_refused(digits):
    """SciPy's conversion would write beyond its arrays."""
    embedding = fasttsne.TSNE(n_iter=3, early_exaggeration_iter=3).fit(digits[:100])
    P = embedding.affinities.P.copy()
    P.indptr = P.indptr.astype(np.int8)
    embedding.affinities.P = P
    with pytest.raises(ValueError, match=r"affinities\.P is not a valid sparse matrix"):
        embedding.optimize(3)
