"""Numbers far too large: steps, gradients, starts and parameters; a finite map or an error."""

import numpy as np
import pytest
import scipy.sparse as sp
from quick import QUICK

from fasttsne import TSNE, PartialTSNEEmbedding, TSNEEmbedding, initialization
from fasttsne.affinity import FixedSigmaNN, Multiscale, PerplexityBasedNN, PrecomputedAffinities

# Steps that are far too long end in a map that has not settled, which is said.
pytestmark = pytest.mark.filterwarnings("ignore:the map has not settled")

SHORT = {**QUICK, "early_exaggeration_iter": 30, "n_iter": 60}


@pytest.mark.parametrize("method", ["exact", "bh", "fft"])
@pytest.mark.parametrize("n_components", [1, 2, 3])
def test_a_map_that_flies_apart(digits, method, n_components):
    """It is told, and what there is of the map is finite and can go on."""
    tsne = TSNE(
        n_components,
        learning_rate=1e25,
        max_step_norm=None,
        negative_gradient_method=method,
        **SHORT,
    )
    with pytest.raises(OverflowError, match=r"learning_rate \(it is 1e\+25\)"):
        tsne.fit(digits)
    embedding = tsne.embedding_
    assert np.isfinite(embedding).all()
    assert embedding.kl_divergence is None
    assert np.isfinite(embedding.optimize(5, learning_rate=1).kl_divergence)


@pytest.mark.parametrize("method", ["exact", "bh", "fft"])
@pytest.mark.parametrize(
    "params",
    [
        {"learning_rate": 1e5, "max_step_norm": None},
        {"learning_rate": 1e300, "max_step_norm": 5},
        {"learning_rate": 1e300, "max_step_norm": 1e300, "max_grad_norm": 1e-300},
        {"early_exaggeration": 1e300, "exaggeration": 1e300},
        {"early_exaggeration": 1e-300, "max_step_norm": None},
        {"dof": 0.0011, "learning_rate": 1e5},
        {"dof": 1e6, "learning_rate": 1e5, "max_step_norm": None},
        {"density_weight": 1e6},
        {"density_weight": 1e6, "dof": 50, "learning_rate": 1e5},
    ],
)
def test_a_finite_map_or_an_overflow_error(digits, method, params):
    tsne = TSNE(negative_gradient_method=method, **SHORT, **params)
    try:
        embedding = tsne.fit(digits[:200].astype(float) * 1e300)
    except OverflowError:
        assert params.get("max_step_norm", 5) is None
    else:
        assert np.isfinite(embedding.kl_divergence)
    assert np.isfinite(tsne.embedding_).all()


def test_a_step_of_any_length_keeps_its_direction(digits):
    """Squares of these numbers are infinite."""
    embedding = TSNE(**SHORT).fit(digits)
    short, long = (
        embedding.optimize(1, learning_rate=rate, momentum=0, max_step_norm=0.5)
        for rate in (1e30, 1e200)
    )
    np.testing.assert_allclose(long, short, rtol=1e-12)
    assert np.abs(long - embedding).max() > 0.3


def test_new_points_that_fly_away(digits):
    embedding = TSNE(**SHORT).fit(digits[:400])
    partial = embedding.prepare_partial(digits[400:])
    with pytest.raises(OverflowError, match="learning_rate"):
        partial.optimize(200, learning_rate=1e300, max_step_norm=None, inplace=True)
    assert np.isfinite(partial).all()
    assert np.isfinite(partial.optimize(3).kl_divergence)


@pytest.mark.parametrize("dof", [1, 50])
@pytest.mark.parametrize("far", [1e3, 1e15])
@pytest.mark.parametrize("method", ["exact", "bh", "fft"])
def test_new_points_beyond_all_others(digits, dof, far, method):
    """Their Z vanishes where tails are light."""
    embedding = TSNE(dof=dof, negative_gradient_method=method, **SHORT).fit(digits[:400])
    partial = embedding.prepare_partial(digits[400:], initialization=np.full((100, 2), far))
    partial.optimize(3, inplace=True)
    assert np.isfinite(partial).all()
    assert np.isfinite(partial.kl_divergence)


def test_a_callback_that_breaks_new_points(digits):
    def spoil(iteration, error, embedding):
        embedding[0] = np.nan

    partial = TSNE(**SHORT).fit(digits[:400]).prepare_partial(digits[400:])
    with pytest.raises(ValueError, match="a callback may write finite numbers"):
        partial.optimize(4, inplace=True, callbacks=spoil, callbacks_every_iters=2)
    assert np.isfinite(partial).all()


@pytest.mark.parametrize("value", [1e16, -1e300])
def test_starts_that_are_too_far_out(digits, value):
    embedding = TSNE(**SHORT).fit(digits)
    start = np.array(embedding)
    start[3, 1] = value
    calls = (
        lambda: TSNE(initialization=start, **SHORT).fit(digits),
        lambda: TSNEEmbedding(start, embedding.affinities),
        lambda: PartialTSNEEmbedding(start, embedding, embedding.affinities.P),
        lambda: embedding.prepare_partial(digits, initialization=start),
    )
    for call in calls:
        with pytest.raises(ValueError, match=r"must lie within 1e\+15 of the origin; got 1e\+"):
            call()


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("dof", [0.001, 1.1e6, np.inf]),
        ("theta", [-1, 1.3, np.inf]),
        ("ints_in_interval", [0.001, 1001, np.inf]),
        ("min_num_intervals", [0, 10**6 + 1]),
        ("density_weight", [-1, 2e6, np.inf]),
        ("perplexity", [0, np.inf]),
        ("learning_rate", [0, np.inf]),
        ("early_exaggeration", [0, np.inf]),
        ("exaggeration", [0, np.inf]),
        ("tol", [-1, np.inf]),
    ],
)
def test_limits(name, values):
    for value in values:
        with pytest.raises(ValueError, match=f"{name} must be .* got {value}"):
            TSNE(**{name: value}).fit(np.eye(9))


@pytest.mark.parametrize(
    "make",
    [
        lambda X: PerplexityBasedNN(X, np.inf),
        lambda X: PerplexityBasedNN(X, 3).set_perplexity(np.inf),
        lambda X: Multiscale(X, [3, np.inf]),
        lambda X: FixedSigmaNN(X, np.inf),
    ],
)
def test_affinities_of_infinite_width(make, rng):
    with pytest.raises(ValueError, match="must be a finite number; got inf"):
        make(rng.normal(size=(30, 2)))


@pytest.mark.parametrize("n_components", [1, 2, 3])
@pytest.mark.parametrize(
    "params",
    [
        {"theta": 1.2, "negative_gradient_method": "bh"},
        {"min_num_intervals": 10**6},
        {"ints_in_interval": 0.0011},
        {"ints_in_interval": 1000},
        {"dof": 0.0011},
        {"dof": 1e6},
    ],
)
def test_limits_can_be_reached(digits, params, n_components):
    """The grid may be too large then, and the tree stands in for it."""
    settings = {
        **SHORT,
        "n_iter": 1,
        "early_exaggeration_iter": 1,
        "perplexity": 10,
        "negative_gradient_method": "fft",
        **params,
    }
    assert np.isfinite(TSNE(n_components, **settings).fit(digits[:50]).kl_divergence)


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
    with pytest.warns(UserWarning, match="times as far out as most rows of the map"):
        assert np.isfinite(embedding.transform(kind(new), perplexity=1, k=2)).all()


@pytest.mark.parametrize("value", [5e-324, 1e-310, 1.7e308])
@pytest.mark.parametrize("kind", [np.asarray, sp.csr_matrix])
def test_components_of_the_smallest_and_largest_numbers(rng, value, kind):
    """One divided by the smallest of them is infinite."""
    X = (rng.uniform(size=(30, 4)) < 0.3) * value
    components = initialization.pca(kind(X), add_jitter=False)
    assert np.isfinite(components).all()
    assert np.std(components[:, 0]) == pytest.approx(1e-4)


def test_equal_eigenvalues_of_which_lapack_finds_none():
    """Two groups of equal rows as far apart as numbers go."""
    X = np.random.default_rng(0).choice([-1, 1], size=(50, 1)) * np.finfo(float).max
    with pytest.warns(UserWarning, match="perplexity 1000 is too large"):
        embedding = TSNE(1, 1000, initialization="spectral", **QUICK).fit(X)
    assert np.isfinite(embedding).all()
