"""Anchors anywhere, of any weight: they draw points to places, and do not collapse a map."""

import warnings

import numpy as np
import pytest

from fasttsne import TSNE, AlignedTSNE, Anchors
from fasttsne.initialization import near_anchors
from fasttsne.objective.callable import kl_divergence_bh

FAR = "double precision tells places"


@pytest.fixture(scope="module")
def whole(digits):
    """A map without anchors."""
    return TSNE(random_state=0).fit(digits)


def one_pinned(place, n_components=2):
    targets = np.full((500, n_components), np.nan)
    targets[0] = place
    return Anchors(targets, np.inf)


def check(embedding, anchors, whole):
    """Pinned points are at their targets, and the map is about as good as without them."""
    points, pinned = np.asarray(embedding), anchors.is_pinned
    np.testing.assert_array_equal(points[pinned], anchors.targets[pinned])
    assert np.std(points[~pinned], axis=0).min() > 5
    assert embedding.kl_divergence < 1.1 * whole.kl_divergence


@pytest.mark.thin(3)
@pytest.mark.parametrize("place", [100, 1e4, -1e6, 1e9])
@pytest.mark.parametrize("method", ["exact", "bh", "fft"])
def test_a_point_is_pinned_far_from_the_origin(whole, place, method):
    anchors = one_pinned([place, 0.3 * place])
    tsne = TSNE(random_state=0, negative_gradient_method=method)
    embedding = tsne.fit(affinities=whole.affinities, anchors=anchors)
    check(embedding, anchors, whole)
    again = embedding.optimize(0)  # computed from the points alone
    assert again.kl_divergence == pytest.approx(embedding.kl_divergence, rel=1e-3)


@pytest.mark.parametrize("place", [1e12, 1e14])
def test_a_point_is_pinned_where_doubles_are_coarse(whole, place):
    with pytest.warns(UserWarning, match=FAR):
        anchors = one_pinned(place)
    check(TSNE(random_state=0).fit(affinities=whole.affinities, anchors=anchors), anchors, whole)


@pytest.mark.thin(3)
@pytest.mark.parametrize(
    "params",
    [
        {"optimizer": "momentum"},
        {"n_iter": 300, "early_exaggeration_iter": 100},
        {"density_weight": 0.1},
        {"initialization": "spectral"},
        {"initialization": "random"},
        {"negative_gradient_method": kl_divergence_bh},
    ],
)
def test_a_far_point_with_other_settings(whole, params):
    anchors = one_pinned(1e5)
    tsne = TSNE(random_state=0, **params)
    check(tsne.fit(affinities=whole.affinities, anchors=anchors), anchors, whole)


@pytest.mark.parametrize("n_components", [1, 3])
def test_a_far_point_in_other_dimensions(whole, n_components):
    anchors = one_pinned(1e5, n_components)
    embedding = TSNE(n_components, random_state=0).fit(affinities=whole.affinities, anchors=anchors)
    assert np.std(np.asarray(embedding)[1:], axis=0).min() > 5
    assert (np.asarray(embedding)[0] == 1e5).all()


@pytest.mark.parametrize("place", [1e5, 1e8])
def test_a_far_point_with_a_global_structure(digits, place):
    """The structure is found about the far place, too."""
    tsne = TSNE(random_state=0, global_structure=0.5)
    near, far = (tsne.fit(digits, anchors=one_pinned(x)) for x in (3.0, place))
    assert far.kl_divergence < 1.1 * near.kl_divergence


def test_a_map_about_a_far_place_is_updated(digits):
    anchors = one_pinned(1e5)
    anchors = Anchors(
        anchors.targets[:400] + np.where(anchors.weights[:400, None] > 0, 0, np.nan), np.inf
    )
    embedding = TSNE(random_state=0).fit(digits[:400], anchors=anchors)
    free, held = (embedding.update(digits[400:], hold=hold) for hold in (np.inf, 1e-3))
    assert held.kl_divergence < 1.1 * free.kl_divergence < 0.6
    assert (np.asarray(held)[0] == 1e5).all()


def test_targets_that_single_precision_cannot_tell_apart_are_warned_of():
    targets = np.zeros((10, 2))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Anchors(targets + 1e8, 1)
        targets[0] = 1e6
        Anchors(targets, 1)
    targets[0] = 1e7
    with pytest.warns(UserWarning, match=r"targets are up to 1e\+07 .* tells places 1 apart"):
        Anchors(targets, 1)
    with pytest.raises(ValueError, match=r"targets must be finite, up to 1e\+14"):
        Anchors(np.full((10, 2), 2e14), 1)


@pytest.mark.parametrize("place", [0, 1e6])
def test_all_targets_at_one_place(whole, place):
    anchors = Anchors(np.full((500, 2), place), 1e-4)
    embedding = TSNE(random_state=0).fit(affinities=whole.affinities, anchors=anchors)
    assert np.std(embedding, axis=0).min() > 5
    assert embedding.kl_divergence < 1.2 * whole.kl_divergence


def test_anchors_that_hold_all_points_in_one_place_are_warned_of(whole):
    """There the least loss is that of one place, wherever points start."""
    anchors = Anchors(np.zeros((500, 2)), 2.0)
    for start in None, np.random.default_rng(0).normal(size=(500, 2)):
        with pytest.warns(UserWarning, match="all points of the map that can move are in one"):
            TSNE(random_state=0).fit(
                affinities=whole.affinities, anchors=anchors, initialization=start
            )


@pytest.mark.thin(2)
@pytest.mark.parametrize("direction", [[1, 0], [0, 1], [1, -0.3], [1, 2, 0], [0, 0, 1]])
def test_targets_on_a_line(whole, rng, direction):
    """No force leaves the line that all points start on."""
    targets = rng.normal(size=(500, 1)) * direction
    embedding = TSNE(len(direction), random_state=0).fit(
        affinities=whole.affinities, anchors=Anchors(targets, 1e-3)
    )
    assert np.linalg.svd(embedding - np.mean(embedding, axis=0))[1].min() > 20


@pytest.mark.parametrize("scale", [1, 1e2, 1e4])
def test_targets_of_classes_that_are_no_neighbours(rng, scale):
    """All points of a class start at one place, to which no other class draws them."""
    X = np.repeat(rng.normal(size=(4, 10)) * 1000, 100, axis=0) + rng.normal(size=(400, 10))
    targets = np.repeat(scale * np.array([[0, 0], [20, 0], [0, 20], [20, 20.0]]), 100, axis=0)
    embedding = TSNE(random_state=0, perplexity=20).fit(X, anchors=Anchors(targets, 0.01))
    for island in np.split(np.asarray(embedding), 4):
        assert np.std(island, axis=0).min() > 0.5


def test_distinct_targets_are_where_points_start(whole, rng):
    targets = rng.normal(size=(500, 2))
    start = rng.normal(size=(500, 2)) * 1e-4
    P = whole.affinities.P_float32
    np.testing.assert_array_equal(near_anchors(start, targets, np.ones(500), P), targets)
    # Pinned points stay in one place, and so do those that some neighbour draws away.
    np.testing.assert_array_equal(near_anchors(start, 0 * targets, np.full(500, np.inf), P), 0)
    targets[:40] = 3
    np.testing.assert_array_equal(near_anchors(start, targets, np.ones(500), P), targets)


@pytest.mark.thin(3)
@pytest.mark.parametrize("n_components", [1, 2, 3])
@pytest.mark.parametrize("n_iter", ["auto", 100])
@pytest.mark.parametrize("exaggeration", [None, 0.01, 4])
def test_no_finite_weight_disturbs_other_points(whole, rng, n_components, n_iter, exaggeration):
    targets = rng.normal(0, 3, (500, n_components))
    tsne = TSNE(
        n_components,
        n_iter=n_iter,
        early_exaggeration_iter=n_iter,
        exaggeration=exaggeration,
        random_state=0,
    )
    maps = []
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "the map has not settled")  # by an exaggeration of 0.01
        for weight in 1e30, 1e45, 1e300:
            weights = np.where(np.arange(500) == 7, weight, 0)
            anchors = Anchors(targets, weights)
            maps.append(tsne.fit(affinities=whole.affinities, anchors=anchors))
    for embedding in maps:
        np.testing.assert_array_equal(np.asarray(embedding), np.asarray(maps[0]))
        np.testing.assert_allclose(np.asarray(embedding)[7], targets[7], atol=1e-12)
    if exaggeration is None and n_components == 2 and n_iter == "auto":
        assert maps[0].kl_divergence < 1.1 * whole.kl_divergence


@pytest.mark.slow
def test_more_hold_holds_more(digits):
    embedding = TSNE(random_state=0).fit(digits[:400])
    moves = []
    for hold in 0.1, 1, 1e3, 1e10, 1e30, 1e45, 1e300:
        held = np.asarray(embedding.update(digits[400:], hold=hold))[:400]
        moves.append(np.abs(held - np.asarray(embedding)).max())
    assert moves == sorted(moves, reverse=True)
    assert moves[-1] == 0


@pytest.mark.thin(1)
@pytest.mark.parametrize("tied_to", ["mean", "adjacent"])
@pytest.mark.parametrize("weight", [1e45, 1e300])
def test_ties_of_any_weight(digits, tied_to, weight):
    relation = {i + 100: i for i in range(200)}
    weights = np.ones(200)
    weights[3] = weight
    first, second = AlignedTSNE(random_state=0, alignment=1, tied_to=tied_to).fit(
        [digits[:300], digits[100:400]], relations=[relation], weights=[weights]
    )
    np.testing.assert_allclose(np.asarray(first)[103], np.asarray(second)[3], atol=1e-9)
    assert max(first.kl_divergence, second.kl_divergence) < 0.6
