"""Numbers out of all proportion: steps, gradients, starts, parameters, far rows, empty maps."""

import dataclasses
import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from helpers.quick import QUICK
from scipy.spatial.distance import cdist

from fasttsne import TSNE, AlignedTSNE, PartialTSNEEmbedding, TSNEEmbedding, initialization
from fasttsne.affinity import FixedSigmaNN, Multiscale, PerplexityBasedNN, PrecomputedAffinities
from fasttsne.linalg import pca
from fasttsne.metrics import trustworthiness
from fasttsne.nearest_neighbors import PrecomputedNeighbors
from fasttsne.objective import Objective, register_objective
from fasttsne.objective.kl import standardize_log_radii

# ---- numbers far too large: steps, gradients, starts, parameters; a finite map or an error

# Steps that are far too long end in a map that has not settled, which is said.
unsettled = pytest.mark.filterwarnings("ignore:the map has not settled")

SHORT = {**QUICK, "early_exaggeration_iter": 30, "n_iter": 60}


@unsettled
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


@pytest.mark.thin(9)
@unsettled
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


@unsettled
def test_a_step_of_any_length_keeps_its_direction(digits):
    """Squares of these numbers are infinite."""
    embedding = TSNE(**SHORT).fit(digits)
    short, long = (
        embedding.optimize(1, learning_rate=rate, momentum=0, max_step_norm=0.5)
        for rate in (1e30, 1e200)
    )
    np.testing.assert_allclose(long, short, rtol=1e-12)
    assert np.abs(long - embedding).max() > 0.3


@unsettled
def test_new_points_that_fly_away(digits):
    embedding = TSNE(**SHORT).fit(digits[:400])
    partial = embedding.prepare_partial(digits[400:])
    with pytest.raises(OverflowError, match="learning_rate"):
        partial.optimize(200, learning_rate=1e300, max_step_norm=None, inplace=True)
    assert np.isfinite(partial).all()
    assert np.isfinite(partial.optimize(3).kl_divergence)


@pytest.mark.thin(4)
@unsettled
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


@unsettled
def test_a_callback_that_breaks_new_points(digits):
    def spoil(iteration, error, embedding):
        embedding[0] = np.nan

    partial = TSNE(**SHORT).fit(digits[:400]).prepare_partial(digits[400:])
    with pytest.raises(ValueError, match="a callback may write finite numbers"):
        partial.optimize(4, inplace=True, callbacks=spoil, callbacks_every_iters=2)
    assert np.isfinite(partial).all()


@unsettled
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


@unsettled
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


@pytest.mark.thin(6)
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


# ---- rows beyond reason: one warning, never an error, and the others are as if without them

FAR = 5


def with_far_row(X, value, entries=slice(None)):
    X = np.array(X, np.float64)
    X[FAR, entries] = value
    return X


@pytest.mark.thin(12)
@pytest.mark.parametrize("form", [np.asarray, sp.csr_matrix, "file"])
@pytest.mark.parametrize("value", [1e12, -1e20, 1e300])
@pytest.mark.parametrize("entries", [slice(None), 10])
@pytest.mark.parametrize("solver", ["full", "randomized"])
def test_components_without_far_rows(digits, tmp_path, form, value, entries, solver):
    X = with_far_row(digits, value, entries)
    others = np.delete(np.arange(len(X)), FAR)
    if form == "file":
        np.save(tmp_path / "rows.npy", X)
        rows = np.load(tmp_path / "rows.npy", mmap_mode="r")
    else:
        rows = form(X)
    found = initialization.pca(rows, 3, solver, random_state=0, add_jitter=False)
    expected = initialization.pca(X[others], 3, solver, random_state=0, add_jitter=False)
    np.testing.assert_allclose(found[others], expected, atol=3e-6)
    assert (np.abs(found[FAR]) <= np.abs(found[others]).max(0) + 1e-12).all()


@pytest.mark.parametrize("form", [np.asarray, sp.csr_matrix])
@pytest.mark.parametrize("sample_size", [100, 10_000])
def test_projection_without_far_rows(digits, monkeypatch, form, sample_size):
    monkeypatch.setattr(pca, "SAMPLE_SIZE", sample_size)
    _, projection = pca.approximate_components(form(with_far_row(digits, 1e20)), 5, 0)
    spread = np.var((np.delete(digits, FAR, 0) - projection.origin) @ projection.directions, axis=0)
    best = np.linalg.svd(digits - digits.mean(0), compute_uv=False)[:5] ** 2 / len(digits)
    assert spread.sum() > 0.9 * best.sum()


def neighbors(X, k, far=None):
    """Right neighbours and distances in float64; all rows are equally far from a far one."""
    distances = np.linalg.norm(X[:, None] - X, axis=-1)
    if far is not None:
        distances[FAR] = distances[:, FAR] = far
    np.fill_diagonal(distances, np.inf)
    order = np.argsort(distances, axis=1, kind="stable")[:, :k]
    return PrecomputedNeighbors(order, np.take_along_axis(distances, order, 1))


@pytest.mark.parametrize("value", [1e8, 1e20, 1e300])
@pytest.mark.parametrize(
    "make",
    [
        lambda index: PerplexityBasedNN(None, 29, knn_index=index, symmetrize=False),
        lambda index: FixedSigmaNN(None, 15.0, k=index.k, knn_index=index, symmetrize=False),
    ],
)
def test_affinities_of_the_others(digits, value, make):
    """All rows are neighbours, the far one of each other row, too."""
    X = digits[:89].astype(float)
    others = np.delete(np.arange(len(X)), FAR)
    found = make(neighbors(X, 88, value)).P.toarray()[np.ix_(others, others)]
    expected = make(neighbors(X[others], 87)).P.toarray()
    np.testing.assert_allclose(found / found.sum(), expected, atol=1e-7)


def test_density_of_the_others(rng):
    radii = rng.normal(size=200)
    found = standardize_log_radii(np.r_[radii, 2 * np.log(1e300)])
    assert np.corrcoef(found[:-1], radii)[0, 1] > 0.999
    assert found[:-1].std() > 0.9


@pytest.mark.parametrize("form", [np.asarray, sp.csr_matrix])
@pytest.mark.parametrize(
    ("entries", "columns"),
    [(slice(None), r"64 columns \(0, 1, 2, 3, 4, \.\.\.\)"), (9, "column 9")],
)
def test_the_warning_names_rows_and_columns(digits, form, entries, columns):
    X = with_far_row(digits, -1e20, entries)
    with pytest.warns(UserWarning, match=rf"X\[5, \d\] is -1e\+20, .* in row 5, in {columns}\. "):
        TSNE(**QUICK).fit(form(X))
    X[::50] = 1e12
    with pytest.warns(UserWarning, match=r"11 rows \(0, 5, 50, 100, 150, \.\.\.\)"):
        TSNE(**QUICK).fit(form(X))


@pytest.mark.thin(1)
@pytest.mark.parametrize("value", [1e12, 1e300])
def test_the_map_of_the_others(digits, value):
    """With right neighbours of all rows."""
    others = np.delete(np.arange(len(digits)), FAR)
    X = digits.astype(float)
    found, expected = (
        PerplexityBasedNN(None, 30, knn_index=index)
        for index in (neighbors(X, 90, value), neighbors(X[others], 90))
    )
    with pytest.warns(UserWarning, match="beyond reason"):
        embedding = TSNE(random_state=0).fit(with_far_row(X, value), affinities=found)
    without = TSNE(random_state=0).fit(X[others], affinities=expected)
    quality = trustworthiness(X[others], np.asarray(embedding)[others])
    assert quality > trustworthiness(X[others], without) - 0.005


def random_data(rng):
    n, d = rng.integers(12, 300), rng.integers(1, 30)
    X = [
        lambda: rng.normal(size=(n, d)),
        lambda: rng.lognormal(0, 1, (n, d)),
        lambda: rng.integers(0, 17, (n, d)).astype(float),
        lambda: rng.normal(size=(n, d)) + rng.normal(0, 5, (5, d))[rng.integers(5, size=n)],
    ][rng.integers(4)]()
    dtype, top = [(np.float32, 37), (np.float64, 37), (np.float64, 300)][rng.integers(3)]
    for row in rng.choice(n, rng.integers(1, max(n // 10, 2) + 1), replace=False):
        columns = rng.choice(d, rng.integers(1, d + 1), replace=False)
        X[row, columns] = rng.choice([-1, 1]) * 10.0 ** rng.uniform(6.5, top)
    return [np.asarray, sp.csr_matrix][rng.integers(2)](X.astype(dtype))


@pytest.mark.thin(12)
@pytest.mark.parametrize(
    "seed", [*range(30), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(30, 200))]
)
def test_any_outliers(seed):
    rng = np.random.default_rng(seed)
    X = random_data(rng)
    tsne = TSNE(
        int(rng.integers(1, 4)),
        perplexity=[5, 30, [3, 20]][rng.integers(3)],
        initialization=["pca", "spectral"][rng.integers(2)],
        negative_gradient_method=["auto", "bh", "fft", "exact"][rng.integers(4)],
        neighbors=["auto", "exact", "approx"][rng.integers(3)],
        density_weight=[0, 0.1][rng.integers(2)],
        **QUICK,
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        embedding = tsne.fit(X)
    assert np.isfinite(embedding).all()
    assert np.isfinite(embedding.kl_divergence)
    messages = [str(w.message) for w in caught if "perplexit" not in str(w.message)]
    assert len(messages) == 1
    assert "beyond reason" in messages[0]


@pytest.mark.parametrize("name", ["cauchy", "counts", "units"])
def test_ordinary_data_is_not_warned_of(rng, name):
    X = {
        "cauchy": rng.standard_cauchy((1500, 8)),
        "counts": np.floor(rng.lognormal(0, 3, (1500, 8))),
        "units": rng.normal(size=(1500, 8)) * 10.0 ** np.arange(-24, 16, 5),
    }[name]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        TSNE(**QUICK).fit(X)


@pytest.mark.thin(6)
@pytest.mark.parametrize("form", [np.asarray, sp.csr_matrix])
@pytest.mark.parametrize("value", [1e20, 1e300])
@pytest.mark.parametrize("change", ["update", "replace", "transform", "transform to a file"])
def test_new_rows_beyond_reason(digits, tmp_path, form, value, change):
    """One warning, which names the row, and none of NumPy's; also after rows have joined."""
    embedding = TSNE(**QUICK).fit(form(digits[:200])).update(form(digits[200:210]), n_iter=2)
    new = digits[210:220].astype(float)
    new[3, 7] = value
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        if change.startswith("transform"):
            out = tmp_path / "out.npy" if "file" in change else None
            found = embedding.transform(form(new), n_iter=5, out=out)
        else:
            replace = range(10) if change == "replace" else None
            found = embedding.update(form(new), n_iter=5, replace=replace)
    assert np.isfinite(found).all()
    (message,) = (str(w.message) for w in caught)
    assert message.startswith(f"X[3, 7] is {value:.6g}, more than 10,000 times as far out as")
    assert "in row 3, in column 7" in message


def test_new_rows_that_are_ordinary(digits):
    """Rows outside of the map's own, but with nothing unreasonable."""
    embedding = TSNE(**QUICK).fit(digits[:200])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        embedding.transform(digits[200:210] * 100, n_iter=5)
        embedding.update(digits[200:210] * 100, n_iter=5)


@dataclasses.dataclass
class OwnSearch:
    """An index of a user's own, which has no hash, and whose other attributes are its own."""

    rows: np.ndarray
    data: object = None
    parts: object = None
    k: int = 15

    @property
    def n_samples(self):
        return len(self.rows)

    def build(self):
        indices, distances = self.query(self.rows, self.k + 1)
        return indices[:, 1:], distances[:, 1:]

    def query(self, X, k):
        distances = cdist(X, self.rows)
        indices = np.argsort(distances, axis=1)[:, :k]
        return indices.astype(np.int32), np.take_along_axis(distances, indices, 1)


@pytest.mark.parametrize(
    "attributes", [{"data": np.zeros((200, 64))}, {"data": np.arange(200)}, {"parts": [1]}]
)
def test_searches_of_a_users_own_place_new_rows(digits, attributes):
    search = OwnSearch(digits[:200], **attributes)
    embedding = TSNE(perplexity=5, neighbors=search, **QUICK).fit(digits[:200])
    assert np.isfinite(embedding.transform(digits[200:203], n_iter=5)).all()


@pytest.mark.parametrize("form", [np.asarray, sp.csr_matrix])
@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_new_rows_that_are_not_finite_are_no_outliers(digits, form, value):
    """They are an error alone, without a warning of codes for missing values before it."""
    embedding = TSNE(perplexity=5, **QUICK).fit(form(digits[:200]))
    new = digits[200:203].copy()
    new[1, 3] = value
    for place in embedding.transform, embedding.update:
        with pytest.raises(ValueError, match=r"X\[1, 3\] is (inf|nan)|must be finite"):
            place(form(new))


# ---- maps that show nothing, and gradients that are not finite: no fit returns them silently

STUCK = "all points of the map that can move are in one place"
NOTHING = "the map shows nothing of the data"
CLASSICAL = {"early_exaggeration_iter": 100, "n_iter": 100}


@pytest.mark.thin(3)
@pytest.mark.parametrize(
    "params",
    [
        {"max_grad_norm": 1e-300},
        {"max_grad_norm": 1e-300, "optimizer": "momentum"},
        {"max_step_norm": 1e-300},
        {"learning_rate": 1e-300, **CLASSICAL},
        {"max_grad_norm": 1e-300, "n_components": 3, "negative_gradient_method": "fft"},
        {"max_step_norm": 1e-300, "global_structure": 0.5},
        {"max_grad_norm": 1e-300, "exaggeration": 4},
    ],
)
@pytest.mark.filterwarnings("ignore:the map has not settled")  # where steps are that short
def test_a_map_that_cannot_move(digits, params):
    with pytest.warns(UserWarning, match=STUCK):
        TSNE(random_state=0, **params).fit(digits)


def test_a_start_that_float32_takes_for_one_place(digits, rng):
    start = rng.normal(size=(500, 2)) * 1e-300
    with pytest.warns(UserWarning, match=STUCK):
        TSNE().fit(digits, initialization=start)
    embedding = TSNE(n_iter=0, early_exaggeration_iter=0).fit(digits, initialization=start)
    with pytest.warns(UserWarning, match=STUCK):
        embedding.optimize(150)


@pytest.mark.thin(2)
@pytest.mark.parametrize("rate", [1e6, 1e10])
@pytest.mark.parametrize("method", ["exact", "bh", "fft"])
def test_a_map_that_is_thrown_apart(digits, rate, method):
    """It stays within all bounds: there is no OverflowError."""
    with pytest.warns(UserWarning, match=f"{NOTHING}.*learning_rate"):
        TSNE(
            learning_rate=rate, max_step_norm=None, negative_gradient_method=method, random_state=0
        ).fit(digits)


def test_points_that_hardly_move(digits):
    tsne = TSNE(max_step_norm=1e-4, random_state=0)
    with pytest.warns(UserWarning, match="not settled"), pytest.warns(UserWarning, match=NOTHING):
        tsne.fit(digits)


def test_aligned_maps_that_cannot_move(digits):
    parameters = {"max_step_norm": 1e-300, "random_state": 0}
    with (
        pytest.warns(UserWarning, match="map 0 that can move"),
        pytest.warns(UserWarning, match="map 1 that can move"),
    ):
        AlignedTSNE(**parameters).fit([digits[:200], digits[100:300]], relations=[{}])


@pytest.mark.thin(2)
@pytest.mark.parametrize(
    "X",
    [
        np.eye(120),
        np.ones((150, 3)),
        np.random.RandomState(0).randn(300, 500),
        np.arange(2.0)[:, None],
        np.arange(200.0)[:, None],
    ],
    ids=["equidistant", "equal", "noise", "two", "line"],
)
@pytest.mark.filterwarnings("ignore:perplexity")
def test_data_that_have_little_to_show_are_not_warned_of(X):
    TSNE(random_state=0).fit(X)


def test_a_short_run_is_not_judged(digits):
    TSNE(early_exaggeration_iter=5, n_iter=5).fit(digits).optimize(3)


def gradient_of_nan(embedding, P, **_):
    return 0.0, np.full(embedding.shape, np.nan)


def half_infinite(embedding, P, **_):
    gradient = np.zeros(embedding.shape)
    gradient[::2] = np.inf
    return 0.0, gradient


def error_of_nan(embedding, P, **_):
    return float("nan"), 1e-5 * embedding


@pytest.mark.parametrize(("function", "n"), [(gradient_of_nan, 500), (half_infinite, 250)])
def test_a_gradient_that_is_not_finite(digits, function, n):
    message = f"negative_gradient_method, {function.__name__}, is not finite for {n} of 500 points"
    tsne = TSNE(negative_gradient_method=function)
    with pytest.raises(ValueError, match=message):
        tsne.fit(digits)
    assert np.isfinite(tsne.embedding_).all()


def test_an_error_that_is_not_a_number(digits):
    message = "negative_gradient_method, error_of_nan, returns is nan"
    with pytest.warns(UserWarning, match=message):
        embedding = TSNE(negative_gradient_method=error_of_nan).fit(digits)
    assert np.isfinite(embedding).all()


class Broken(Objective):
    """An objective that is registered, whose gradient is not finite."""

    def gradient(self, y, exaggeration=1.0, with_error=False):
        self._gradient[...] = np.nan
        return self._gradient, 0.0

    def reorder(self, order):
        pass


def test_a_registered_objective_is_named(digits):
    register_objective("broken", lambda affinities, n_components, **_: Broken((500, n_components)))
    with pytest.raises(ValueError, match="the gradient of Broken is not finite for 500 of 500"):
        TSNE(negative_gradient_method="broken").fit(digits)


@pytest.mark.parametrize("scale", [1e-160, 1e-200, 1e-300])
def test_a_reference_that_is_too_small(digits, rng, scale):
    reference = rng.normal(size=(500, 2)) * scale
    tsne = TSNE(global_structure=0.1, global_reference=reference)
    with pytest.raises(ValueError, match=r"global_reference must not be so small.*scale it"):
        tsne.fit(digits)


@pytest.mark.parametrize("scale", [1e-145, 1e-120, 1e14])
def test_a_reference_of_another_scale(digits, rng, scale):
    reference = rng.uniform(-1, 1, size=(500, 2)) * scale
    embedding = TSNE(global_structure=0.1, global_reference=reference, random_state=0).fit(digits)
    assert np.std(embedding) > 2
