import numpy as np
import pytest

from fasttsne import metrics


@pytest.fixture
def points():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], 50)
    return np.array([[0, 0], [10, 0], [0, 14]])[labels] + rng.normal(size=(150, 2)), labels


def turned(points, angle, scale=1.0):
    c, s = np.cos(angle), np.sin(angle)
    return scale * points @ np.array([[c, s], [-s, c]]) + [3, 4]


def test_maps_that_differ_by_a_similarity_agree(points):
    Y, labels = points
    mirrored = Y * [1, -1]
    found = metrics.stability([Y, turned(Y, 1, 5), turned(mirrored, 2, 0.1)], labels)
    np.testing.assert_allclose(found.displacement, 0, atol=1e-9)
    np.testing.assert_array_equal(found.overlap, 1)
    np.testing.assert_allclose(found.pair_spread, 0, atol=1e-9)
    ratio = found.pair_distance[0, 1] / found.pair_distance[0, 2]
    centers = [Y[labels == each].mean(0) for each in range(3)]
    lengths = [np.linalg.norm(centers[0] - center) for center in centers[1:]]
    assert ratio == pytest.approx(lengths[0] / lengths[1])


def test_points_that_move_are_found(points):
    Y, labels = points
    others = []
    for shift in ([0, 0], [0, 4], [0, -4]):
        moved = Y.copy()
        moved[7] += shift
        others.append(turned(moved, shift[1]))
    found = metrics.stability(others)
    assert found.displacement.argmax() == 7
    assert found.displacement[7] > 20 * np.median(found.displacement)
    assert found.labels is found.pair_spread is None
    assert metrics.stability(others, labels).pair_spread.shape == (3, 3)


def test_clusters_that_change_places_are_found(points):
    Y, labels = points
    swapped = Y.copy()
    swapped[labels == 2] += [12, -11]
    spread = metrics.stability([Y, swapped], labels).pair_spread
    assert spread[1, 2] > 2 * spread[0, 1]
    np.testing.assert_allclose(spread, spread.T)


def test_overlap_is_that_of_sets(points):
    Y, _ = points
    rng = np.random.default_rng(1)
    maps = [Y + rng.normal(0, 0.5, Y.shape) for _ in range(3)]
    near = []
    for each in maps:
        D = np.linalg.norm(each[:, None] - each, axis=2)
        np.fill_diagonal(D, np.inf)
        near.append(np.argsort(D, axis=1)[:, :6])
    expected = np.mean(
        [
            [len(np.intersect1d(a, b)) / 6 for a, b in zip(near[i], near[j], strict=True)]
            for i, j in ((0, 1), (0, 2), (1, 2))
        ],
        axis=0,
    )
    np.testing.assert_allclose(metrics.stability(maps, k=6).overlap, expected)


def test_maps_of_samples(points):
    Y, labels = points
    rng = np.random.default_rng(0)
    rows = [np.arange(150), rng.integers(0, 150, 120), rng.permutation(150)[:100]]
    maps = [turned(Y[each], i) for i, each in enumerate(rows)]
    found = metrics.stability(maps, labels, rows=rows)
    count = np.sum([np.bincount(each, minlength=150) > 0 for each in rows], axis=0)
    np.testing.assert_array_equal(np.isnan(found.displacement), count < 2)
    np.testing.assert_allclose(np.nan_to_num(found.displacement), 0, atol=1e-9)
    assert np.isnan(found.aligned[2]).any()


@pytest.mark.parametrize(
    ("maps", "params", "message"),
    [
        ([np.eye(5)], {}, "at least two; got 1"),
        ([np.eye(5), np.eye(5)[:4]], {}, "must have one shape, or rows"),
        ([np.eye(5), np.full((5, 5), np.nan)], {}, "must be finite"),
        ([np.eye(5), np.ones((5, 5))], {}, "not all equal"),
        ([np.eye(5), np.eye(5)], {"k": 5}, "k must be at most 4; got 5"),
        ([np.eye(5), np.eye(5)], {"k": 2, "labels": [1]}, r"labels must have the shape \(5,\)"),
        ([np.eye(5), np.eye(5)], {"rows": [[0, 1], [2, 3]]}, "as many as it has"),
        (
            [np.eye(5), np.eye(5)],
            {"rows": [range(5), range(1, 6)], "n_samples": 5},
            "indices from 0 to 4",
        ),
    ],
)
def test_bad_input(maps, params, message):
    with pytest.raises(ValueError, match=message):
        metrics.stability(maps, **params)


def test_maps_that_have_nothing_in_common_are_displaced_by_their_size():
    rng = np.random.default_rng(0)
    for n_maps in (2, 10):
        found = metrics.stability([rng.normal(size=(300, 2)) for _ in range(n_maps)])
        assert np.sqrt((found.displacement**2).mean()) == pytest.approx(1, abs=0.1)
        np.testing.assert_allclose((found.aligned**2).sum(2).mean(1), 1)
