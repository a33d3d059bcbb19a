import copy
import pickle

import numpy as np
import pytest
import scipy.sparse
from helpers.quick import QUICK
from scipy.spatial.distance import cdist

from fasttsne import TSNE, PartialTSNEEmbedding, TSNEEmbedding, affinity, initialization
from fasttsne._kernels import reference as twins
from fasttsne.datasets import load_digits
from fasttsne.embedding.partial import make_fixed_repulsion
from fasttsne.optimize.parameters import DEFAULTS
from fasttsne.optimize.plan import resolve_new_points
from fasttsne.optimize.row_descent import MIN_ROWS
from fasttsne.repulsion import ExactRepulsion
from fasttsne.repulsion.auto import MAX_FIELD_CELLS
from fasttsne.repulsion.fixed_reference import MeshField, TreeField, make_field

PARAMS = {
    "accuracy": 4e-3,
    "theta": 0.2,
    "n_interpolation_points": 3,
    "min_num_intervals": 50,
    "ints_in_interval": 1,
}


@pytest.fixture(scope="module")
def data():
    X, labels = load_digits()
    return (
        X[:1000].astype(np.float32),
        labels[:1000],
        X[1000:1300].astype(np.float32),
        labels[1000:1300],
    )


@pytest.fixture(scope="module", params=["exact", "bh", "fft"])
def embedding(request, data):
    return TSNE(
        perplexity=20,
        n_iter=150,
        early_exaggeration_iter=50,
        n_jobs=2,
        random_state=0,
        negative_gradient_method=request.param,
    ).fit(data[0])


@pytest.mark.thin(1)
def test_new_rows_land_among_their_kind(embedding, data):
    _, labels, X, expected = data
    before = np.array(embedding)
    places = embedding.transform(X)
    assert isinstance(places, PartialTSNEEmbedding)
    assert places.shape == (300, 2)
    assert places.reference_embedding is embedding
    nearest = cdist(places, before).argmin(1)
    assert (labels[nearest] == expected).mean() > 0.9
    np.testing.assert_array_equal(embedding, before)


def test_a_place_does_not_depend_on_the_other_rows(embedding, data):
    X = data[2]
    places = np.asarray(embedding.transform(X, n_iter=50))
    for i in (0, 17, 299):
        np.testing.assert_array_equal(embedding.transform(X[i : i + 1], n_iter=50)[0], places[i])
    np.testing.assert_array_equal(embedding.transform(X[::-1][:40], n_iter=50), places[::-1][:40])


def test_a_place_does_not_depend_on_the_type_of_the_other_rows(embedding, data):
    X = data[2][:40].astype(np.float64)
    X[7] += 1e-9  # which float32 cannot hold
    places = embedding.transform(X, n_iter=20)
    for i in (0, 7, 39):
        np.testing.assert_array_equal(embedding.transform(X[i : i + 1], n_iter=20)[0], places[i])


def test_threads_do_not_change_bits(embedding, data):
    results = set()
    for n_jobs in (1, 2, 3):
        partial = embedding.prepare_partial(data[2][:50], perplexity=5)
        results.add(np.asarray(partial.optimize(30, n_jobs=n_jobs)).tobytes())
    assert len(results) == 1


@pytest.mark.parametrize("method", ["exact", "bh", "fft", "auto"])
@pytest.mark.parametrize("dof", [0.5, 1.0, 2.0])
def test_fields_equal_the_exact_sum(rng, method, dof):
    points = rng.normal(0, 20, (600, 2)).astype(np.float32)
    y = np.concatenate([rng.normal(0, 20, (200, 2)), [[90.0, -120.0]]]).astype(np.float32)
    field = make_field(points, method, dof, 2, PARAMS)
    force, z = np.empty_like(y), np.empty(len(y))
    field(y, force, z)
    difference = y[:, None, :].astype(float) - points[None, :, :]
    r2 = (difference**2).sum(-1)
    w, q = (1 + r2 / dof) ** -dof, 1 / (1 + r2 / dof)
    expected = ((w * q)[..., None] * difference).sum(1)
    np.testing.assert_allclose(z, w.sum(1), rtol=1e-2)
    error = np.linalg.norm(force - expected) / np.linalg.norm(expected)
    assert error < 2e-2


@pytest.mark.parametrize("dof", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("often", [0, 10**6])
@pytest.mark.parametrize("d", [1, 2, 3])
def test_wide_maps_have_a_field_of_near_points_and_a_small_grid(rng, d, often, dof):
    """Near pairs pay where the field is used much; a tree where it is used little."""
    points = rng.normal(0, {1: 1000, 2: 150, 3: 40}[d], (3000, d)).astype(np.float32)
    outside = np.full((1, d), 6000, np.float32)
    y = np.concatenate([points[:50] + 0.3, 0.9 * points[50:350], outside])
    field = make_field(points, "auto", dof, 2, PARAMS, often)
    assert isinstance(field, MeshField) or not often
    force, expected = np.empty((2, *y.shape), np.float32)
    z, expected_z = np.empty((2, len(y)))
    field(y, force, z)
    make_field(points, "exact", dof, 2, PARAMS)(y, expected, expected_z)
    np.testing.assert_allclose(z, expected_z, rtol=2e-2)
    assert np.linalg.norm(force - expected) / np.linalg.norm(expected) < 2e-2


def test_the_grid_of_a_field_is_small(rng):
    points = rng.normal(0, 300, (20_000, 2)).astype(np.float32)
    params = {**DEFAULTS, "dof": 1.0, "negative_gradient_method": "auto"}
    phase = resolve_new_points(1, params, 1, len(points))
    field = make_fixed_repulsion(points, phase)
    assert isinstance(field, MeshField)
    assert field.potential.cells.size <= MAX_FIELD_CELLS


def test_a_map_with_far_outliers_has_a_tree(rng):
    points = rng.normal(0, 1, (600, 2)).astype(np.float32)
    points[0] = 1e9
    assert isinstance(make_field(points, "auto", 1.0, 1, PARAMS, 10**9), TreeField)
    assert isinstance(make_field(points, "fft", 1.0, 1, PARAMS, 10**9), TreeField)


def test_precomputed_distances(data):
    X, _, new, _ = data
    settings = {"perplexity": 20, "n_iter": 50, "early_exaggeration_iter": 50, "random_state": 0}
    start = initialization.pca(X, random_state=0)
    known = TSNE(metric="precomputed", initialization=start, **settings).fit(cdist(X, X))
    usual = TSNE(initialization=start, neighbors="exact", **settings).fit(X)
    places = known.transform(cdist(new, X))
    median = np.median(np.linalg.norm(places - usual.transform(new), axis=1))
    assert median < 1  # of 50; maps of float32 and of float64 distances drift apart


def test_sparse_rows(data):
    X, _, new, _ = data
    sparse = TSNE(perplexity=10, n_iter=30, early_exaggeration_iter=30, random_state=0).fit(
        scipy.sparse.csr_matrix(X)
    )
    assert np.isfinite(sparse.transform(scipy.sparse.csr_matrix(new), n_iter=20)).all()


def test_optimizing_in_parts_equals_the_whole(embedding, data):
    partial = embedding.prepare_partial(data[2][:60])
    whole = partial.optimize(40)
    parts = partial.optimize(15).optimize(25)
    np.testing.assert_array_equal(whole, parts)
    assert whole.kl_divergence < partial.optimize(0).kl_divergence
    for duplicate in (copy.deepcopy(parts), pickle.loads(pickle.dumps(parts))):
        np.testing.assert_array_equal(duplicate.optimize(5), parts.optimize(5))


def watched(partial, **params):
    """Optimized by an iteration after the other, as where a callback may want to see each."""
    return partial.optimize(60, callbacks=lambda *_: None, callbacks_every_iters=1000, **params)


@pytest.mark.thin(2)
@pytest.mark.filterwarnings("ignore:the map has not settled")
@pytest.mark.parametrize(
    ("method", "d", "dof"),
    [("bh", 1, 1), ("bh", 2, 0.7), ("bh", 3, 1), ("fft", 1, 1), ("fft", 2, 1), ("fft", 3, 2)],
)
def test_all_iterations_in_one_call_give_the_same_bits(data, method, d, dof):
    settings = {"negative_gradient_method": method, "n_components": d, "dof": dof}
    embedding = TSNE(**QUICK, **settings).fit(data[0][:400])
    for n, n_jobs in (1, 1), (30, 2), (MIN_ROWS + 1, 1):
        partial = embedding.prepare_partial(data[2][:n], perplexity=5)
        for params in {"max_grad_norm": 0.25}, {"max_step_norm": 0.1, "exaggeration": 4}:
            got = partial.optimize(60, n_jobs=n_jobs, **params)
            expected = watched(partial, n_jobs=n_jobs, **params)
            assert not np.array_equal(got, partial)
            np.testing.assert_array_equal(got, expected)
            for name in "update", "gains":
                np.testing.assert_array_equal(
                    getattr(got.optimizer, name), getattr(expected.optimizer, name)
                )
            assert got.optimizer.iteration == 60
            assert got.kl_divergence == expected.kl_divergence
    field = make_field(np.asarray(embedding, np.float32), method, dof, 1, PARAMS)
    y = np.asarray(partial, np.float32)
    assert field.row_task(y, np.empty_like(y), np.empty(len(y))) is not None


@pytest.mark.filterwarnings("ignore:the map has not settled")
@pytest.mark.parametrize("far", [0.9, 3, 1e4])
def test_rows_off_the_grid_have_the_bits_of_single_iterations(data, far):
    """The grid does not reach some of them: the tree serves these, and only these."""
    embedding = TSNE(**QUICK, negative_gradient_method="fft").fit(data[0][:400])
    n = 3 * MIN_ROWS
    start = np.asarray(embedding)[:n].copy()
    start[MIN_ROWS + 3 :: 7] += np.abs(start).max() * far
    partial = embedding.prepare_partial(data[2][:n], initialization=start, perplexity=5)
    settings = {"n_jobs": 1, "max_step_norm": 0.1}
    got = partial.optimize(1000, **settings)
    watch = {"callbacks": lambda *_: 0, "callbacks_every_iters": 1000}
    expected = partial.optimize(1000, **watch, **settings)
    np.testing.assert_array_equal(got, expected)
    np.testing.assert_array_equal(got.optimizer.gains, expected.optimizer.gains)
    assert np.isfinite(got).all()


def test_a_run_that_diverges_moves_no_row(data):
    """Not even the rows of earlier groups, which could have been moved."""
    embedding = TSNE(**QUICK, negative_gradient_method="fft").fit(data[0][:400])
    start = np.asarray(embedding)[: 3 * MIN_ROWS].copy()
    start[-1] = 1e6
    partial = embedding.prepare_partial(data[2][: len(start)], initialization=start)
    settings = {"n_jobs": 1, "learning_rate": 1e30, "max_step_norm": None}
    with pytest.raises(OverflowError, match="diverged"):
        partial.optimize(1000, inplace=True, **settings)
    np.testing.assert_array_equal(partial, start)


def test_callbacks_and_interrupt(embedding, data):
    seen = []

    def stop_at_ten(iteration, error, places):
        seen.append((iteration, error, places.shape))
        return iteration == 10

    places = embedding.prepare_partial(data[2][:20]).optimize(
        50, callbacks=stop_at_ten, callbacks_every_iters=5
    )
    assert [iteration for iteration, _, _ in seen] == [5, 10]
    assert np.isfinite(places).all()


def test_starts(data):
    X = data[0]
    y = np.random.default_rng(0).normal(size=(1000, 2))
    neighbors = np.array([[1, 2, 5], [7, 8, 9]])
    np.testing.assert_allclose(initialization.median(y, neighbors), np.median(y[neighbors], axis=1))
    distances = np.array([[1.0, 2.0, 4.0], [3.0, 3.0, 3.0]])
    expected = [
        np.average(y[n], axis=0, weights=1 / d) for n, d in zip(neighbors, distances, strict=True)
    ]
    np.testing.assert_allclose(
        initialization.weighted_mean(X[:2], y, neighbors, distances), expected
    )


def test_bad_arguments(embedding, data):
    X = data[2]
    with pytest.raises(ValueError, match="64 columns"):
        embedding.transform(X[:, :3])
    with pytest.raises(ValueError, match="initialization must be one of"):
        embedding.transform(X, initialization="nonsense")
    with pytest.raises(ValueError, match=r"initialization must have the shape \(300, 2\)"):
        embedding.transform(X, initialization=np.zeros((3, 2)))
    with pytest.raises(ValueError, match="n_iter must be at least 0"):
        embedding.transform(X, n_iter=-1)
    alone = TSNEEmbedding(np.asarray(embedding), embedding.affinities.P)
    with pytest.raises(NotImplementedError):
        alone.transform(X)


def test_map_that_was_given_affinities(data):
    X, _, new, _ = data
    for affinities in (
        affinity.FixedSigmaNN(X, sigma=10.0, k=20),
        affinity.MultiscaleMixture(X, perplexities=[10, 30]),
        affinity.Multiscale(X, perplexities=[10, 30]),
        affinity.Uniform(X, k_neighbors=20),
    ):
        fitted = TSNE(n_iter=20, early_exaggeration_iter=20, random_state=0).fit(
            X, affinities=affinities
        )
        assert np.isfinite(fitted.transform(new[:30], n_iter=10)).all()


def test_exact_repulsion_on_the_map_equals_twin(rng):
    y = rng.normal(0, 3, (80, 2)).astype(np.float32)
    out = np.empty_like(y)
    z = ExactRepulsion(1.0, 2)(y, out)
    expected, expected_z = twins.repulsion(y.astype(float), 1.0)
    np.testing.assert_allclose(out, expected, rtol=1e-4, atol=1e-4)
    assert z == pytest.approx(expected_z, rel=1e-5)
