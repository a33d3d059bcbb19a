"""The embedding as an array, as an object that can be kept, and as an optimization."""

import copy
import pickle
import re

import numpy as np
import pytest

from fasttsne import OptimizationInterrupt, TSNEEmbedding, initialization
from fasttsne.affinity import PerplexityBasedNN, PrecomputedAffinities


@pytest.fixture(scope="module")
def affinities():
    from fasttsne.datasets import load_digits

    return PerplexityBasedNN(load_digits()[0][:300], n_jobs=2)


@pytest.fixture
def embedding(affinities):
    return TSNEEmbedding(initialization.random(300, random_state=0), affinities, n_jobs=2)


def test_a_fingerprint_changes_with_any_bit(embedding):
    fingerprint = embedding.fingerprint()
    assert re.fullmatch("[0-9a-f]{8}", fingerprint)
    assert embedding.copy().fingerprint() == fingerprint
    assert pickle.loads(pickle.dumps(embedding)).fingerprint() == fingerprint
    moved = embedding.copy()
    moved[3, 1] = np.nextafter(moved[3, 1], np.inf)
    reshaped = moved.reshape(-1, 1)
    moved[5] = -0.0, 0.0
    other = moved.copy()
    other[5] = 0.0, -0.0
    assert moved.fingerprint() == other.fingerprint()
    assert len({fingerprint, moved.fingerprint(), reshaped.fingerprint()}) == 3


def test_optimize_returns_a_copy_unless_in_place(embedding):
    before = np.array(embedding)
    result = embedding.optimize(5)
    np.testing.assert_array_equal(embedding, before)
    assert not np.array_equal(result, before)
    assert embedding.optimize(5, inplace=True) is embedding
    np.testing.assert_array_equal(embedding, result)


def test_kl_divergence_is_that_of_the_map(embedding, affinities):
    from fasttsne._kernels import reference

    embedding.optimize(100, inplace=True, exaggeration=4)
    P = affinities.P.toarray().astype(float)
    expected = reference.kl_divergence(P / P.sum(), np.asarray(embedding))
    assert embedding.kl_divergence == pytest.approx(expected, rel=1e-4)


def test_two_calls_continue_as_one(embedding):
    at_once = embedding.optimize(60)
    in_parts = embedding.optimize(13).optimize(17).optimize(30)
    np.testing.assert_array_equal(at_once, in_parts)


@pytest.mark.parametrize(
    "duplicate",
    [copy.copy, copy.deepcopy, lambda e: e.copy(), lambda e: pickle.loads(pickle.dumps(e))],
    ids=["copy", "deepcopy", "method", "pickle"],
)
def test_duplicates_go_on_where_the_original_would(embedding, duplicate):
    embedding.optimize(20, inplace=True)
    twin = duplicate(embedding)
    assert type(twin) is TSNEEmbedding
    assert twin.kl_divergence == embedding.kl_divergence
    further = twin.optimize(20)
    np.testing.assert_array_equal(twin, embedding)
    np.testing.assert_array_equal(further, embedding.optimize(20))


def test_slices_and_arithmetic_are_plain_arrays(embedding):
    for result in (
        embedding[:10],
        embedding[:, 0],
        embedding + 1,
        np.sqrt(abs(embedding)),
        embedding.mean(0),
        np.concatenate([embedding, embedding]),
    ):
        assert type(result) is np.ndarray
    assert isinstance(embedding.sum(), float)
    view = embedding.view()
    assert view.affinities is None
    with pytest.raises(ValueError, match="view of an embedding"):
        view.optimize(5)


def test_arithmetic_in_place_keeps_the_embedding(embedding):
    same, points = embedding, np.array(embedding)
    same -= points.mean(0)
    same *= 2
    assert same is embedding
    np.testing.assert_array_equal(same, (points - points.mean(0)) * 2)
    np.add(same, 1, out=same)
    assert same.optimize(3).kl_divergence > 0


def test_slices_are_views(embedding):
    embedding[0, 0] = 7
    assert np.asarray(embedding)[0, 0] == 7
    embedding[:3][:] = 1
    assert (np.asarray(embedding)[:3] == 1).all()


def test_shows_its_class(embedding):
    assert repr(embedding).startswith("TSNEEmbedding([[")


def test_given_points_are_copied(affinities):
    start = initialization.random(300, random_state=0)
    before = start.copy()
    TSNEEmbedding(start, affinities).optimize(5, inplace=True)
    np.testing.assert_array_equal(start, before)


def test_a_matrix_serves_as_affinities(affinities):
    embedding = TSNEEmbedding(np.zeros((300, 2)), affinities.P)
    assert embedding.affinities.n_samples == 300


def test_keyboard_interrupt_leaves_everything_usable(embedding, affinities):
    P = affinities.P.copy()

    def press_ctrl_c(iteration, error, points):
        if iteration == 7:
            raise KeyboardInterrupt

    embedding.optimize(0, inplace=True)
    assert embedding.kl_divergence > 0
    with pytest.raises(KeyboardInterrupt) as caught:
        embedding.optimize(
            20, inplace=True, exaggeration=12, callbacks=press_ctrl_c, callbacks_every_iters=1
        )
    assert caught.value.final_embedding is embedding
    assert embedding.kl_divergence is None  # not that of the map before
    assert (affinities.P != P).nnz == 0
    fresh = TSNEEmbedding(initialization.random(300, random_state=0), affinities, n_jobs=2)
    np.testing.assert_array_equal(embedding, fresh.optimize(6, exaggeration=12))
    embedding.optimize(4, inplace=True, exaggeration=12)
    np.testing.assert_array_equal(embedding, fresh.optimize(10, exaggeration=12))


def test_a_callback_that_raises_leaves_everything_usable(embedding):
    def fail(iteration, error, points):
        points[:] = np.nan
        raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        embedding.optimize(20, inplace=True, callbacks=fail, callbacks_every_iters=5)
    assert np.isfinite(embedding).all()
    embedding.optimize(5, inplace=True)


def test_a_callback_stops_the_run(embedding):
    seen = []

    def stop(iteration, error, points):
        seen.append((iteration, error))
        return iteration == 20

    result = embedding.optimize(100, callbacks=stop, callbacks_every_iters=10)
    assert [iteration for iteration, _ in seen] == [10, 20]
    assert result.kl_divergence == seen[-1][1]
    with pytest.raises(OptimizationInterrupt) as caught:
        embedding.optimize(100, propagate_exception=True, callbacks=stop, callbacks_every_iters=10)
    np.testing.assert_array_equal(caught.value.final_embedding, result)
    assert caught.value.error == seen[-1][1]


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"n_iter": -1}, ValueError, "n_iter must be at least 0"),
        ({"n_iter": 5, "momentum": 2}, ValueError, "momentum must be at most 1"),
        ({"n_iter": 5, "learning_rate": "fast"}, ValueError, "learning_rate .* 'fast'"),
        ({"n_iter": 5, "learning_rate": 0}, ValueError, "learning_rate must be greater"),
        ({"n_iter": 5, "exaggeration": "big"}, TypeError, "exaggeration must be a number"),
        ({"n_iter": 5, "momentun": 0.5}, TypeError, "unknown parameter 'momentun'"),
        ({"n_iter": 5, "callbacks": 3}, TypeError, "callbacks must be callable"),
        ({"n_iter": 5, "n_jobs": 0}, ValueError, "n_jobs must not be 0"),
    ],
)
def test_bad_parameters(embedding, params, error, message):
    with pytest.raises(error, match=message):
        embedding.optimize(**params)


def test_bad_points(affinities):
    with pytest.raises(ValueError, match=r"shape \(300, 1 to 3\); got \(299, 2\)"):
        TSNEEmbedding(np.zeros((299, 2)), affinities)
    with pytest.raises(ValueError, match="finite"):
        TSNEEmbedding(np.full((300, 2), np.inf), affinities)


def test_other_affinities_make_another_objective(rng):
    """Also where the new matrix lies where the old one lay: an id may be given to another array."""
    start, seen = rng.normal(0, 1, (30, 2)), set()
    embedding = TSNEEmbedding(start, np.ones((30, 30)))
    for seed in range(20):
        affinities = PrecomputedAffinities(np.random.default_rng(seed).random((30, 30)))
        expected = TSNEEmbedding(start, affinities).optimize(2)
        seen.add(id(embedding.affinities.P))
        embedding.affinities = None
        embedding.affinities = affinities
        embedding[:], embedding.optimizer = start, type(embedding.optimizer)()
        np.testing.assert_array_equal(embedding.optimize(2, inplace=True), expected)
    assert len(seen) <= 20
