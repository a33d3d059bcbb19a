"""Maps that grow: new rows join, and what was there stays."""

import numpy as np
import pytest
from quick import QUICK
from scipy.spatial.distance import cdist

from fasttsne import TSNE, TSNEEmbedding, affinity
from fasttsne.affinity import PerplexityBasedNN
from fasttsne.nearest_neighbors import Exact
from fasttsne.nearest_neighbors.extended import ExtendedIndex
from fasttsne.objective import make_objective
from fasttsne.objective.free_points import FreePointsDivergence
from fasttsne.repulsion.exact import ExactRepulsion
from fasttsne.repulsion.fixed_reference import ExactField

N_OLD = 400


@pytest.fixture(scope="module")
def old(digits):
    return TSNE(random_state=0, n_jobs=2).fit(digits[:N_OLD])


@pytest.fixture(scope="module")
def extended(digits):
    index = Exact(digits[:N_OLD], 15, n_jobs=2)
    return ExtendedIndex(index, *index.build(), digits[N_OLD:])


def test_lists_are_those_of_all_rows(digits, extended):
    indices, distances = extended.build()
    expected, expected_distances = Exact(digits, 15).build()
    assert indices.shape == (len(digits), 15)
    # New rows find all neighbours; old ones may miss a new row that is none of its own.
    np.testing.assert_allclose(distances[N_OLD:], expected_distances[N_OLD:], rtol=1e-6)
    found = [len(set(a) & set(b)) for a, b in zip(indices, expected, strict=True)]
    assert np.mean(found) > 0.99 * 15
    assert (np.diff(distances, axis=1) >= 0).all()
    far = cdist(digits.astype(float), digits.astype(float))
    np.testing.assert_allclose(distances, np.take_along_axis(far, indices, 1), rtol=1e-5, atol=1e-5)
    assert all(len(set(row)) == 15 for row in indices)


def test_lists_of_a_second_extension(digits):
    index = Exact(digits[:300], 10)
    first = ExtendedIndex(index, *index.build(), digits[300:400])
    both = ExtendedIndex(first, *first.build(), digits[400:])
    _, distances = both.build()
    _, expected = Exact(digits, 10).build()
    np.testing.assert_allclose(distances[400:], expected[400:], rtol=1e-6)
    for k in 1, 7:
        indices, distances = both.query(digits[:20], k)
        np.testing.assert_array_equal(indices[:, 0], np.arange(20))
        np.testing.assert_allclose(
            distances, np.sort(cdist(digits[:20], digits), axis=1)[:, :k], rtol=1e-5, atol=1e-4
        )


def test_one_new_row(digits, old):
    embedding = old.update(digits[N_OLD : N_OLD + 1])
    assert embedding.shape == (N_OLD + 1, 2)
    again = embedding.update(digits[N_OLD + 1 :], n_iter=20)
    assert len(again) == len(digits)
    np.testing.assert_array_equal(np.asarray(again)[: N_OLD + 1], embedding)


def test_the_divergence_of_free_points_is_that_of_the_map(digits, rng):
    """Its gradient is that of all points at the free ones; the errors differ by a constant."""
    affinities = PerplexityBasedNN(digits, perplexity=10)
    P = affinities.P_float32
    y = rng.normal(0, 5, (len(digits), 2))
    fixed = y[:N_OLD].astype(np.float32)
    free = FreePointsDivergence(P, fixed, ExactField(fixed, 1.0, 2), ExactRepulsion(1.0, 2))
    whole = make_objective("exact", affinities, 2, 1.0, 2, {})
    whole.reorder(np.arange(len(y), dtype=np.int32))
    differences = []
    for exaggeration in 1.0, 4.0:
        y[N_OLD:] += rng.normal(0, 0.5, y[N_OLD:].shape)
        expected, expected_error = whole.gradient(y, exaggeration, with_error=True)
        got, error = free.gradient(y[N_OLD:], exaggeration, with_error=True)
        size = np.abs(expected).max()
        np.testing.assert_allclose(got, expected[N_OLD:], rtol=1e-3, atol=1e-4 * size)
        differences.append(expected_error - error)
    assert differences[0] == pytest.approx(differences[1], abs=1e-4)


@pytest.mark.parametrize("method", ["exact", "bh", "fft"])
def test_old_points_stay_to_the_bit(digits, method):
    old = TSNE(**QUICK, negative_gradient_method=method).fit(digits[:N_OLD])
    before = np.array(old)
    maps = [old.update(digits[N_OLD:], n_iter=20, **more) for more in ({}, {"random_state": 0})]
    np.testing.assert_array_equal(old, before)
    np.testing.assert_array_equal(np.asarray(maps[0])[:N_OLD], before)
    np.testing.assert_array_equal(*maps)
    assert isinstance(maps[0], TSNEEmbedding)
    assert maps[0].kl_divergence > 0


def test_threads_give_the_same_bits(digits):
    maps = [
        TSNE(random_state=0, n_jobs=n_jobs).fit(digits[:N_OLD]).update(digits[N_OLD:])
        for n_jobs in (1, 2)
    ]
    np.testing.assert_array_equal(*maps)


def test_new_points_come_to_their_neighbours(digits, old):
    embedding = np.asarray(old.update(digits[N_OLD:]))
    nearest = Exact(digits, 10).build()[0][N_OLD:]
    to_neighbours = np.linalg.norm(embedding[N_OLD:, None] - embedding[nearest], axis=2)
    assert np.median(to_neighbours) < 0.2 * embedding.std()
    refit = TSNE(random_state=0).fit(digits)
    assert old.update(digits[N_OLD:]).kl_divergence < 1.15 * refit.kl_divergence


def test_held_points_drift_by_little(digits, old):
    before = np.asarray(old)
    drifts, errors = [], []
    for hold in (0.1, 0.001, 0):
        embedding = old.update(digits[N_OLD:], hold=hold)
        drifts.append(np.linalg.norm(np.asarray(embedding)[:N_OLD] - before, axis=1).mean())
        errors.append(embedding.kl_divergence)
        assert (embedding.anchors is None) == (hold == 0)
    assert drifts == sorted(drifts)
    assert errors == sorted(errors, reverse=True)
    assert 0 < drifts[0] < 0.02 * before.std()


def test_ten_updates_are_as_good_as_one_fit(digits):
    embedding = TSNE(random_state=0).fit(digits[:300])
    for first in range(300, 500, 20):
        embedding = embedding.update(digits[first : first + 20], hold=0.001)
    whole = TSNE(random_state=0).fit(digits)
    assert embedding.kl_divergence < 1.1 * whole.kl_divergence
    true = Exact(digits, embedding.affinities._indices.shape[1]).build()[0]
    pairs = zip(embedding.affinities._indices, true, strict=True)
    found = [len(set(a) & set(b)) / len(a) for a, b in pairs]
    assert np.mean(found) > 0.94


@pytest.mark.parametrize(
    "family", [affinity.Uniform, affinity.MultiscaleMixture, affinity.FixedSigmaNN]
)
def test_every_family_is_extended(digits, family):
    more = {"sigma": 10.0} if family is affinity.FixedSigmaNN else {}
    if family is affinity.MultiscaleMixture:
        more = {"perplexities": [5, 20]}
    before = family(digits[:N_OLD], **more)
    after = before.extended(digits[N_OLD:])
    assert after.P.shape == (len(digits), len(digits))
    expected = family(digits, **more)
    assert abs(after.P - expected.P).sum() < 0.05 * expected.P.sum()
    assert before.P.shape == (N_OLD, N_OLD)


def test_a_map_that_grew_places_rows(digits, old):
    embedding = old.update(digits[N_OLD:])
    again = np.asarray(embedding.transform(digits[N_OLD : N_OLD + 20]))
    far = np.linalg.norm(again - np.asarray(embedding)[N_OLD : N_OLD + 20], axis=1)
    assert np.median(far) < 0.2 * np.asarray(embedding).std()


def test_what_makes_no_sense_is_an_error(digits, old, tmp_path):
    before = np.array(old)
    with pytest.raises(ValueError, match="must have 64 columns"):
        old.update(digits[N_OLD:, :10])
    with pytest.raises(ValueError, match="finite"):
        old.update(np.full((3, 64), np.nan))
    with pytest.raises(ValueError, match="hold must be at least 0"):
        old.update(digits[N_OLD:], hold=-1)
    with pytest.raises(ValueError, match="at least 1 row"):
        old.update(digits[:0])
    given = TSNE(**QUICK).fit(affinities=old.affinities.P)
    with pytest.raises(NotImplementedError):
        given.update(digits[N_OLD:])
    old.save(tmp_path / "map.npz")
    with pytest.raises(NotImplementedError):
        TSNEEmbedding.load(tmp_path / "map.npz").update(digits[N_OLD:])
    np.testing.assert_array_equal(old, before)
