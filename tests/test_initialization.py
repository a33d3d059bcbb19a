import numpy as np
import pytest
import scipy.linalg
import scipy.sparse
from scipy.sparse.linalg import ArpackNoConvergence

from fasttsne import TSNE, initialization
from fasttsne.affinity import PerplexityBasedNN
from fasttsne.linalg import spectral as _spectral


@pytest.mark.thin(4)
@pytest.mark.parametrize("solver", ["full", "randomized", "auto"])
@pytest.mark.parametrize("shape", [(300, 40), (40, 300), (700, 600)])
def test_pca_equals_svd(rng, solver, shape):
    scales = 0.9 ** np.arange(shape[1])
    X = rng.normal(0, 1, shape) * scales + 5
    map_ = initialization.pca(X, 2, svd_solver=solver, random_state=0, add_jitter=False)
    u, s, _ = np.linalg.svd(X - X.mean(0), full_matrices=False)
    scores = u[:, :2] * s[:2]
    for got, want in zip(map_.T, scores.T, strict=True):
        assert abs(np.corrcoef(got, want)[0, 1]) > 1 - 1e-3
    assert np.std(map_[:, 0]) == pytest.approx(1e-4)
    assert np.std(map_[:, 1]) / np.std(map_[:, 0]) == pytest.approx(
        np.std(scores[:, 1]) / np.std(scores[:, 0]), rel=1e-2
    )


def test_pca_is_reproducible_and_leaves_x_alone(digits):
    X = digits.copy()
    first = initialization.pca(X, random_state=1)
    np.testing.assert_array_equal(first, initialization.pca(X, random_state=1))
    np.testing.assert_array_equal(X, digits)
    assert len(np.unique(initialization.pca(np.repeat(X, 2, axis=0), random_state=1), axis=0)) == (
        2 * len(X)
    )


@pytest.mark.parametrize(
    "X", [np.ones((10, 3)), np.arange(10.0)[:, None], np.zeros((2, 5)), np.full((5, 2), 1e300)]
)
def test_pca_of_data_with_too_few_components(X):
    map_ = initialization.pca(X, 2, random_state=0)
    assert map_.shape == (len(X), 2)
    assert np.isfinite(map_).all()
    assert len(np.unique(map_, axis=0)) == len(X)


def test_random():
    map_ = initialization.random(1000, 3, random_state=0)
    assert map_.shape == (1000, 3)
    assert np.std(map_) == pytest.approx(1e-4, rel=0.05)
    np.testing.assert_array_equal(map_, initialization.random(np.empty((1000, 7)), 3, 0))
    np.testing.assert_array_equal(map_, initialization.random([[1]] * 1000, 3, 0))


def test_rescale_and_jitter(rng):
    x = rng.normal(0, 5, (500, 2))
    before = x.copy()
    scaled = initialization.rescale(x)
    assert np.std(scaled[:, 0]) == pytest.approx(1e-4)
    np.testing.assert_array_equal(x, before)
    moved = initialization.jitter(x, scale=0.01, random_state=0)
    assert np.std(moved - x) == pytest.approx(0.01 * np.std(x[:, 0]), rel=0.1)
    assert initialization.rescale(x, inplace=True) is x
    assert np.std(x[:, 0]) == pytest.approx(1e-4)


@pytest.fixture(scope="module")
def affinities(digits):
    return PerplexityBasedNN(digits, 30).P


def slowest_modes(A, n_components):
    """Of the walk D^-1 A, by a dense decomposition, times their eigenvalues."""
    values, vectors = scipy.linalg.eigh(A, np.diag(A.sum(1)))
    return (vectors * values)[:, ::-1][:, 1 : n_components + 1]


def same_up_to_sign(got, want):
    return all(abs(np.corrcoef(a, b)[0, 1]) > 1 - 1e-5 for a, b in zip(got.T, want.T, strict=True))


@pytest.mark.thin(3)
@pytest.mark.parametrize("n_components", [1, 2, 3])
@pytest.mark.parametrize("dense_up_to", [0, 10_000])
def test_spectral_equals_dense_decomposition(affinities, monkeypatch, n_components, dense_up_to):
    monkeypatch.setattr(_spectral, "DENSE_MAX_NODES", dense_up_to)
    map_ = initialization.spectral(affinities, n_components, tol=1e-10, add_jitter=False)
    want = slowest_modes(affinities.toarray().astype(float), n_components)
    assert same_up_to_sign(map_, want)
    assert np.std(map_[:, 0]) == pytest.approx(1e-4)
    for column in map_.T:
        assert column[np.abs(column).argmax()] > 0


def test_spectral_is_reproducible_and_leaves_the_graph_alone(affinities):
    before = affinities.copy()
    first = initialization.spectral(affinities, random_state=1)
    np.testing.assert_array_equal(first, initialization.spectral(affinities, random_state=1))
    np.testing.assert_allclose(
        initialization.spectral(affinities.toarray(), random_state=1), first, atol=1e-9
    )
    other = initialization.spectral(affinities, random_state=2)
    assert 0 < np.abs(other - first).max() < 1e-5
    np.testing.assert_array_equal(affinities.data, before.data)


def test_power_iterations_stand_in_for_lanczos(affinities, monkeypatch):
    want = slowest_modes(affinities.toarray().astype(float), 2)

    def gives_up(*args, **kwargs):
        raise ArpackNoConvergence("no", np.empty(0), np.empty((500, 0)))

    monkeypatch.setattr(_spectral, "eigsh", gives_up)
    map_ = initialization.spectral(affinities, random_state=0, add_jitter=False)
    assert same_up_to_sign(map_, want)


def blocks(rng, *sizes):
    """A graph of as many parts, each a ring with some chords."""
    parts = []
    for n in sizes:
        A = np.zeros((n, n))
        i = np.arange(n)
        if n > 1:
            A[i, (i + 1) % n] = A[(i + 1) % n, i] = 1
        parts.append(scipy.sparse.csr_array(A))
    order = rng.permutation(sum(sizes))
    return scipy.sparse.block_diag(parts, format="csr")[order][:, order], np.repeat(
        np.arange(len(sizes)), sizes
    )[order]


@pytest.mark.parametrize("n_components", [1, 2, 3])
@pytest.mark.parametrize("sizes", [(500, 500), (900, 50, 20), (300, 2, 1, 1), (3, 2), (1, 1, 1)])
def test_spectral_of_several_parts(rng, n_components, sizes):
    """Each part keeps its shape, and lies beside the others."""
    A, part = blocks(rng, *sizes)
    map_ = initialization.spectral(A, n_components, random_state=0, add_jitter=False)
    assert np.isfinite(map_).all()
    assert np.std(map_[:, 0]) == pytest.approx(1e-4)
    centres = np.array([map_[part == p].mean(0) for p in range(len(sizes))])
    for p, n in enumerate(sizes):
        own = map_[part == p] - centres[p]
        if n > 4:
            assert np.std(own[:, 0]) > 1e-7
        others = np.delete(centres, p, axis=0)
        apart = np.linalg.norm(others - centres[p], axis=1).min()
        assert np.median(np.linalg.norm(own, axis=1)) < apart


def star(n):
    A = np.zeros((n, n))
    A[0, 1:] = A[1:, 0] = 1
    return A


@pytest.mark.thin(14)
@pytest.mark.parametrize("n_components", [1, 2, 3])
@pytest.mark.parametrize("dense_up_to", [0, 10_000])
@pytest.mark.parametrize(
    "A",
    [
        np.ones((50, 50)),
        np.ones((50, 50)) - np.eye(50),
        star(50),
        star(3),
        2 * np.eye(50),
        np.zeros((50, 50)),
        np.outer(np.arange(1, 51), np.arange(1, 51)),
    ],
)
def test_spectral_of_flat_graphs(monkeypatch, A, n_components, dense_up_to):
    """They have no slow modes, or no edges: the start is about as wide as any other."""
    monkeypatch.setattr(_spectral, "DENSE_MAX_NODES", dense_up_to)
    map_ = initialization.spectral(A, n_components, random_state=3)
    assert 3e-5 < np.std(map_[:, 0]) < 3e-4
    assert np.abs(map_).max() < 1e-3
    assert len(np.unique(map_, axis=0)) == len(A)
    np.testing.assert_array_equal(map_, initialization.spectral(A, n_components, random_state=3))


def test_spectral_of_some_flat_modes():
    """Three groups in a row, all of whose members are alike, have one slow mode."""
    path = np.diag(np.ones(2), 1)
    path += path.T
    A = np.kron(path, np.ones((5, 5))) + np.kron(np.eye(3), np.ones((5, 5)))
    map_ = initialization.spectral(A, 3, random_state=0)
    assert np.std(map_[:, 0]) == pytest.approx(1e-4, rel=1e-2)
    assert np.abs(np.std(map_[:, 1:], axis=0) / 1e-6 - 1).max() < 0.5


@pytest.mark.parametrize("scale", [1e-320, 1e-300, 1e300, 1.7e308])
def test_spectral_of_any_scale(rng, scale):
    A = scipy.sparse.csr_array(rng.uniform(0.01, 1, (60, 60)))
    map_ = initialization.spectral(A * scale, 2, random_state=0)
    want = initialization.spectral(A, 2, random_state=0)
    np.testing.assert_allclose(map_, want, atol=1e-3 if scale < 1e-310 else 1e-9)
    mixed = A.copy()
    mixed.data *= 10.0 ** rng.uniform(-300, 300, len(A.data))
    map_ = initialization.spectral(mixed, 2, random_state=0)
    assert np.isfinite(map_).all()
    assert np.abs(map_).max() < 1


def test_spectral_where_lanczos_does_not_converge(affinities):
    """One iteration is too few for it."""
    map_ = initialization.spectral(affinities, 3, tol=0, max_iter=1, random_state=0)
    again = initialization.spectral(affinities, 3, tol=0, max_iter=1, random_state=0)
    assert np.std(map_[:, 0]) == pytest.approx(1e-4, rel=0.01)
    np.testing.assert_array_equal(map_, again)


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_spectral_of_tiny_graphs(n):
    map_ = initialization.spectral(np.ones((n, n)), 3, random_state=0)
    assert map_.shape == (n, 3)
    assert np.isfinite(map_).all()
    assert len(np.unique(map_, axis=0)) == n


@pytest.mark.parametrize(
    ("A", "message"),
    [
        (np.ones((3, 4)), r"A must be a square matrix; got shape \(3, 4\)"),
        (-np.ones((3, 3)), "A must hold finite numbers that are not negative"),
        (np.full((3, 3), np.nan), "A must hold finite numbers"),
    ],
)
def test_spectral_of_what_is_no_graph(A, message):
    with pytest.raises(ValueError, match=message):
        initialization.spectral(A)


@pytest.mark.parametrize("params", [{"max_iter": 0}, {"tol": -1}, {"tol": np.inf}])
def test_spectral_with_bad_settings(params):
    with pytest.raises(ValueError, match=f"{next(iter(params))} must be"):
        initialization.spectral(np.ones((5, 5)), **params)


def test_a_fit_of_many_columns_starts_from_the_components_of_its_search(rng):
    X = rng.normal(size=(3500, 160)) * np.linspace(9, 1, 160)
    start = TSNE(random_state=0, n_jobs=1).prepare_initial(X)
    exact = initialization.pca(X, random_state=0)
    components = start.affinities.knn_index.components_
    assert components.shape == (3500, 3)
    for a, b, c in zip(np.asarray(start).T, exact.T, components.T, strict=False):
        assert np.corrcoef(a, c)[0, 1] > 0.999
        assert np.corrcoef(a, b)[0, 1] > 0.95
    assert np.std(start, axis=0)[0] == pytest.approx(1e-4, rel=1e-2)
    cosine = TSNE(random_state=0, n_jobs=1, metric="cosine").prepare_initial(X)
    assert np.corrcoef(np.asarray(cosine)[:, 0], exact[:, 0])[0, 1] > 0.999  # of the rows as given
