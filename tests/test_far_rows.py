"""Rows beyond reason: one warning, never an error, and the others are as if without them."""

import dataclasses
import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from quick import QUICK
from scipy.spatial.distance import cdist

from fasttsne import TSNE, initialization
from fasttsne.affinity import FixedSigmaNN, PerplexityBasedNN
from fasttsne.linalg import pca
from fasttsne.metrics import trustworthiness
from fasttsne.nearest_neighbors import PrecomputedNeighbors
from fasttsne.objective.density import standardize_log_radii

FAR = 5


def with_far_row(X, value, entries=slice(None)):
    X = np.array(X, np.float64)
    X[FAR, entries] = value
    return X


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
