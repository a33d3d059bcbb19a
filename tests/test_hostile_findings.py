"""What hypothesis found in test_hostile_input.py, and what was found by looking for more of it."""

import numpy as np
import pytest
import scipy.sparse as sp

from fasttsne import TSNE, TSNEEmbedding, initialization
from fasttsne.affinity import PrecomputedAffinities

QUICK = {"early_exaggeration_iter": 3, "n_iter": 3, "random_state": 0, "n_jobs": 2}


@pytest.mark.parametrize("dtype", ["c8", "U5", "M8[s]", "m8[s]"])
def test_what_only_looks_like_numbers_is_refused(dtype):
    X = np.arange(12).reshape(6, 2).astype(dtype)
    with pytest.raises(TypeError, match="X must hold real numbers; got dtype"):
        TSNE(**QUICK).fit(X)


@pytest.mark.parametrize("kind", ["csr", "csc", "bsr", "coo"])
@pytest.mark.parametrize("value", [-1, 30, 10**6])
@pytest.mark.parametrize("use", ["data", "neighbors", "affinities", "embedding"])
def test_sparse_matrices_that_point_outside_themselves(kind, value, use):
    matrix = sp.random(30, 30, 0.5, random_state=0).asformat(kind)
    (matrix.row if kind == "coo" else matrix.indices)[7] = value
    calls = {
        "data": lambda: TSNE(**QUICK).fit(matrix),
        "neighbors": lambda: TSNE(neighbors=matrix, **QUICK).fit(),
        "affinities": lambda: TSNE(**QUICK).fit(affinities=matrix),
        "embedding": lambda: TSNEEmbedding(np.zeros((30, 2)), matrix),
    }
    with pytest.raises(ValueError, match=rf"must have indices from 0 to \d+; got {value}"):
        calls[use]()


@pytest.mark.parametrize(
    "change", [lambda p: p[::-1], lambda p: p[:-1], lambda p: p + 1, lambda p: p.astype(float)]
)
def test_sparse_matrices_whose_parts_do_not_fit(change):
    matrix = sp.random(30, 30, 0.5, random_state=0, format="csr")
    matrix.indptr = change(matrix.indptr)
    with pytest.raises(ValueError, match="parts of the sparse matrix X do not fit"):
        TSNE(**QUICK).fit(matrix)


@pytest.mark.parametrize("scale", [1e-320, 1e-300, 1e300, 1e308])
def test_affinities_of_any_scale(scale):
    matrix = np.ones((20, 20)) * scale
    P = PrecomputedAffinities(matrix).P
    assert P.data.sum() == pytest.approx(1, rel=1e-5)
    with pytest.raises(ValueError, match="between 1e-30 and 1e30"):
        PrecomputedAffinities(matrix, normalize=False)


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("unit", [1e-200, 1.0, 1e200])
@pytest.mark.parametrize("neighbors", ["exact", "approx"])
def test_new_rows_far_out(sparse, unit, neighbors):
    """Beyond float32's range a row is as far out as it can be, and all rows are its neighbours."""
    kind = sp.csr_matrix if sparse else np.asarray
    data = np.r_[np.eye(3), -np.eye(3), 2 * np.eye(3), [[0, 0, 0]]] * unit
    tsne = TSNE(perplexity=2, neighbors=neighbors, **QUICK)
    embedding = tsne.fit(kind(data))
    index = embedding.affinities.knn_index
    new = np.array([[0, 1e308, 0], [-1e307, 0, 0]])
    indices, distances = index.query(kind(new), 1)
    assert indices.min() >= 0
    assert (distances > 1e11 * unit).all()
    assert np.isfinite(distances).all()
    assert np.isfinite(embedding.transform(kind(new), perplexity=1, k=2)).all()


@pytest.mark.parametrize("method", ["fft", "bh", "exact"])
def test_small_types_of_numbers(digits, method):
    """In eight bits most sums of theirs would overflow."""
    numbers = {
        "n_components": 2, "perplexity": 100, "min_num_intervals": 100, "n_interpolation_points": 5,
        "ints_in_interval": 1, "theta": 1, "early_exaggeration": 12, "early_exaggeration_iter": 100,
        "n_iter": 120, "callbacks_every_iters": 100, "max_step_norm": 5, "learning_rate": 100,
    }  # fmt: skip
    common = {"negative_gradient_method": method, "random_state": 0, "callbacks": lambda *_: None}
    small = {name: np.int8(value) for name, value in numbers.items()}
    np.testing.assert_array_equal(
        TSNE(**small, **common).fit(digits), TSNE(**numbers, **common).fit(digits)
    )


@pytest.mark.parametrize("metric", [np.array([1.0, 2.0]), None, 3, ["euclidean"]])
@pytest.mark.parametrize("neighbors", ["auto", "exact", "approx"])
def test_metrics_that_are_no_names(metric, neighbors):
    with pytest.raises(TypeError, match="metric must be one of 'euclidean'"):
        TSNE(metric=metric, neighbors=neighbors).fit(np.eye(9))


@pytest.mark.parametrize("callbacks", [np.array(3), 3, [3]])
def test_callbacks_that_cannot_be_called(callbacks):
    with pytest.raises(TypeError, match="callbacks must be callable"):
        TSNE(callbacks=callbacks).fit(np.eye(9))


@pytest.mark.parametrize("value", [5e-324, 1e-310, 1.7e308])
@pytest.mark.parametrize("kind", [np.asarray, sp.csr_matrix])
def test_components_of_the_smallest_and_largest_numbers(rng, value, kind):
    """One divided by the smallest of them is infinite."""
    X = (rng.uniform(size=(30, 4)) < 0.3) * value
    components = initialization.pca(kind(X), add_jitter=False)
    assert np.isfinite(components).all()
    assert np.std(components[:, 0]) == pytest.approx(1e-4)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (np.linalg.norm, "must take the arguments of an objective function"),
        (lambda embedding, P: None, "must take the arguments of an objective function"),
        (lambda *_, **__: None, "must return an error and a gradient; got None"),
        (lambda y, *_, **__: y, "must return an error and a gradient; got"),
    ],
)
def test_functions_that_are_no_objectives(rng, function, message):
    with pytest.raises(TypeError, match=f"negative_gradient_method {message}"):
        TSNE(perplexity=5, negative_gradient_method=function, **QUICK).fit(rng.normal(size=(30, 3)))


def test_equal_eigenvalues_of_which_lapack_finds_none():
    """Two groups of equal rows as far apart as numbers go."""
    X = np.random.default_rng(0).choice([-1, 1], size=(50, 1)) * np.finfo(float).max
    with pytest.warns(UserWarning, match="perplexity 1000 is too large"):
        embedding = TSNE(1, 1000, initialization="spectral", **QUICK).fit(X)
    assert np.isfinite(embedding).all()
