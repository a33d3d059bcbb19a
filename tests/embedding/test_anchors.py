"""Points that are drawn to targets, or pinned to them."""

import pickle

import numpy as np
import pytest
import scipy.sparse as sp
from helpers.quick import QUICK

from fasttsne import TSNE, Anchors, TSNEEmbedding
from fasttsne._kernels import gradient_step
from fasttsne.initialization import near_anchors
from fasttsne.optimize.target_term import AnchorTerm
from fasttsne.runtime.validation import is_missing

METHODS = ("exact", "bh", "fft")


@pytest.fixture(scope="module")
def first(digits):
    """A map of some digits; others are drawn to it."""
    return TSNE(random_state=0, n_jobs=2).fit(digits)


def shifted(embedding):
    """A mirrored map, elsewhere: what no start of our own finds."""
    return np.asarray(embedding)[:, ::-1] + [30.0, -10.0]


def distances(embedding, targets):
    return np.linalg.norm(np.asarray(embedding) - targets, axis=1)


@pytest.mark.thin(4)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("n_iter", ["auto", 60])
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_pinned_points_are_at_their_targets(first, method, n_iter, n_jobs):
    targets = shifted(first)
    weights = np.where(np.arange(500) % 3, np.inf, 0)
    embedding = TSNE(
        negative_gradient_method=method, n_iter=n_iter, n_jobs=n_jobs, random_state=0
    ).fit(affinities=first.affinities, anchors=Anchors(targets, weights))
    pinned = weights > 0
    np.testing.assert_array_equal(np.asarray(embedding)[pinned], targets[pinned])
    assert distances(embedding, targets)[~pinned].max() > 0
    # Free points of the same digits come to the same places, or near.
    assert np.median(distances(embedding, targets)[~pinned]) < 0.1 * targets.std()


@pytest.mark.thin(6)
@pytest.mark.parametrize("n_components", [1, 2, 3])
@pytest.mark.parametrize("n_iter", ["auto", 100])
@pytest.mark.parametrize("weight", [1e-6, 1e-3, 1, 1e3, 1e6])
def test_any_weight_is_stable(first, digits, rng, n_components, n_iter, weight):
    targets = rng.normal(0, 30, (500, n_components))
    embedding = TSNE(
        n_components, n_iter=n_iter, early_exaggeration_iter=n_iter, random_state=0
    ).fit(
        affinities=first.affinities,
        anchors=Anchors(targets, weight),
        initialization=rng.normal(0, 1, targets.shape),
    )
    assert np.isfinite(embedding).all()
    assert np.abs(embedding).max() < 1000
    if weight >= 1:  # the bound of the forces of neighbours
        assert np.median(distances(embedding, targets)) < 1.5 / weight


def test_larger_weights_hold_better(first, rng):
    targets = rng.normal(0, 20, (500, 2))
    far = [
        distances(first.optimize("auto", anchors=Anchors(targets, weight)), targets).mean()
        for weight in (0.001, 0.01, 0.1, 1, 10)
    ]
    assert far == sorted(far, reverse=True)
    assert far[-1] < 0.1 < 5 < far[0]


def test_a_weight_means_the_same_for_any_number_of_points(digits, rng):
    """Twins of all rows, with targets of their own, come as far as the rows alone do."""
    far = []
    for X in digits[:400], np.repeat(digits[:400], 4, axis=0):
        targets = np.repeat(rng.normal(0, 20, (400, 2)), len(X) // 400, axis=0)
        embedding = TSNE(perplexity=30, random_state=0).fit(X, anchors=Anchors(targets, 0.1))
        far.append(np.median(distances(embedding, targets)))
    assert 0.5 < far[1] / far[0] < 2


def test_a_term_of_no_weight_changes_no_bit(first, digits):
    """A free point, beside others that are at their targets without a weight, is as if alone."""
    weights = np.zeros(500)
    weights[0] = 1e-300  # so small that it adds nothing
    anchors = Anchors(np.asarray(first), weights)
    start = np.random.default_rng(0).normal(0, 1, (500, 2))
    plain, held = (
        TSNEEmbedding(start, first.affinities, n_jobs=2, anchors=each).optimize(40)
        for each in (None, anchors)
    )
    # Only the centre is another: a map with anchors is not moved to the origin.
    difference = np.asarray(plain) - np.asarray(held)
    np.testing.assert_allclose(difference - difference.mean(0), 0, atol=1e-5)


def test_free_rows_are_rows_of_nan(first):
    targets = shifted(first)
    targets[::2] = np.nan
    anchors = Anchors(targets, np.inf)
    assert anchors.is_pinned.tolist() == [False, True] * 250
    assert "250 of 500 points, 250 of them pinned" in repr(anchors)
    embedding = TSNE(**QUICK).fit(affinities=first.affinities, anchors=anchors)
    np.testing.assert_array_equal(np.asarray(embedding)[1::2], targets[1::2])
    assert np.isfinite(embedding).all()


def test_free_points_start_between_their_neighbours(first):
    has_target = np.arange(500) % 5 > 0
    targets = shifted(first)
    positions = near_anchors(
        np.asarray(first) * 1e-4, targets, has_target, first.affinities.P_float32
    )
    np.testing.assert_array_equal(positions[has_target], targets[has_target])
    assert np.median(distances(positions, targets)[~has_target]) < 0.3 * targets.std()
    # Without neighbours that have targets, places are those of an affine map.
    alone = near_anchors(np.asarray(first), targets, has_target, 0 * first.affinities.P_float32)
    np.testing.assert_allclose(alone, targets, atol=1e-6)


LINE = np.column_stack([np.linspace(-10, 10, 40), np.zeros(40)])


@pytest.mark.thin(2)
@pytest.mark.parametrize("weight", [np.inf, 0.01])
@pytest.mark.parametrize(
    "places",
    [[(3, 4)], [(0, 0), (1, 1)], [(0, 0), (30, 10)], [(3, 4)] * 12, LINE],
    ids=["one", "two", "two far ones", "twelve in one place", "forty on a line"],
)
def test_few_targets_do_not_flatten_a_map(digits, places, weight):
    """An affine map that so few decide would take all points to one place, or to a line."""
    X, n = digits[:300], len(places)
    targets = np.full((300, 2), np.nan)
    targets[:n] = places
    free = TSNE(random_state=0, n_jobs=2).fit(X)
    embedding = TSNE(random_state=0, n_jobs=2).fit(X, anchors=Anchors(targets, weight))
    if np.isinf(weight):
        np.testing.assert_array_equal(embedding[:n], targets[:n])
    limit = 3 if np.isinf(weight) else 1.4  # different digits in one place cost something
    assert embedding.kl_divergence < limit * free.kl_divergence
    assert (embedding.std(0) > 0.2 * np.asarray(free).std(0).min()).all()


def test_targets_do_not_throw_points_far_away(rng):
    """Twelve points that are near each other have targets that are not."""
    positions = rng.normal(0, 1, (400, 2))
    near = np.argsort(np.linalg.norm(positions - positions[0], axis=1))[:12]
    targets, has_target = np.full((400, 2), np.nan), np.isin(np.arange(400), near)
    targets[near] = 1000 * (positions[near] - positions[0]) + rng.uniform(-50, 50, (12, 2))
    start = near_anchors(positions, targets, has_target, sp.csr_matrix((400, 400)))
    middle = targets[near].mean(0)
    farthest = np.linalg.norm(targets[near] - middle, axis=1).max()
    assert np.linalg.norm(start - middle, axis=1).max() <= 3.001 * farthest


def test_anchors_are_kept(first, tmp_path):
    anchors = Anchors(shifted(first), np.where(np.arange(500) < 300, np.inf, 0.1))
    embedding = first.optimize(30, anchors=anchors, n_jobs=2)
    assert first.anchors is None
    embedding.save(tmp_path / "map.npz")
    expected = np.asarray(embedding.optimize(30))
    np.testing.assert_array_equal(expected[:300], anchors.targets[:300])
    for again in (
        TSNEEmbedding.load(tmp_path / "map.npz"),
        pickle.loads(pickle.dumps(embedding)),
        embedding.copy(),
    ):
        np.testing.assert_array_equal(np.asarray(again.optimize(30, n_jobs=2)), expected)


def test_a_checkpoint_knows_its_anchors(digits, tmp_path):
    class KilledError(Exception):
        pass

    def kill(iteration, error, embedding):
        if iteration == 60:
            raise KilledError

    targets = np.random.default_rng(0).normal(0, 20, (500, 2))
    anchors = Anchors(targets, np.where(np.arange(500) < 200, np.inf, 0.01))
    model = {"random_state": 0, "n_jobs": 2, "checkpoint": tmp_path / "run.npz"}
    X = digits
    with pytest.raises(KilledError):
        TSNE(callbacks=kill, callbacks_every_iters=1, **model).fit(X, anchors=anchors)
    with pytest.raises(ValueError, match="anchors was"):
        TSNE(**model).fit(X)
    resumed = TSNE(**model).fit(X, anchors=anchors)
    whole = TSNE(random_state=0, n_jobs=2).fit(X, anchors=anchors)
    np.testing.assert_array_equal(resumed, whole)


def test_the_pull_is_the_gradient_of_the_loss(first, rng):
    anchors = Anchors(rng.normal(0, 5, (500, 2)), rng.exponential(1, 500))
    term = AnchorTerm(anchors, n_threads=2)
    term.reorder(rng.permutation(500).astype(np.int32))
    y, step = rng.normal(0, 5, (500, 2)), rng.normal(0, 1e-4, (500, 2))
    gradient = np.zeros((500, 2))
    term.pull(y, gradient)
    change = term.loss(y + step) - term.loss(y - step)
    assert change == pytest.approx(2 * 4 * (gradient * step).sum(), rel=1e-9)


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("d", [1, 2, 3])
def test_the_step_equals_its_slow_twin(rng, n_threads, d):
    n, rate, momentum = 3000, 0.7, 0.8
    y, targets, gradient = rng.normal(0, 3, (3, n, d))
    update = rng.normal(0, 1, (n, d)).astype(np.float32)
    gains = rng.uniform(0.5, 2, (n, d)).astype(np.float32)
    weights = rng.choice([0, 0.3, 1e9, np.inf], n)
    same_sign = np.sign(gradient) == np.sign(update)
    factor = np.where(same_sign, gains * 0.8, gains + 0.2).astype(np.float32).astype(float)
    plain = momentum * update - rate * factor * gradient
    with np.errstate(invalid="ignore"):
        s = rate * factor * weights[:, None]
        expected = (y + plain + s * targets) / (1 + s)
    expected[np.isinf(weights)] = targets[np.isinf(weights)]
    n_blocks = gradient_step.count_blocks(n)
    gradient_step.gradient_step(
        y,
        update,
        gains,
        gradient,
        np.empty((n_blocks + 1, d)),
        np.empty(n_blocks, np.int64),
        rate,
        momentum,
        None,
        None,
        n_threads,
        recenter=False,
        weights=weights,
        targets=targets,
    )
    np.testing.assert_allclose(y, expected, rtol=1e-6, atol=1e-6)
    pinned = np.isinf(weights)
    np.testing.assert_array_equal(y[pinned], targets[pinned])
    assert not update[pinned].any()


@pytest.mark.parametrize(
    ("targets", "weights", "message"),
    [
        (np.zeros((5, 4)), 1, r"targets must have the shape \(n_samples, 1 to 3\)"),
        (np.zeros(5), 1, "targets must have the shape"),
        ([[0, np.nan], [1, 1]], 1, r"NaN in a whole row; targets\[0\] is \[0.0, nan\]"),
        ([[0, np.inf], [1, 1]], 1, r"targets must be finite"),
        (np.zeros((5, 2)), -1, "weights must be 0 or more"),
        (np.zeros((2, 2)), [1, np.nan], r"weights\[1\] is nan"),
        (np.zeros((5, 2)), np.ones(4), r"weights must be a number or have the shape \(5,\)"),
        (np.zeros((5, 2)), 0, "all points are free"),
        (np.full((5, 2), np.nan), 1, "all points are free"),
        ([["a", "b"]], 1, "targets must be an array of numbers"),
        ([["1", "2"]], 1, "targets must be an array of numbers"),
        (np.zeros((5, 2)), 1j, "weights must be an array of numbers"),
        (np.zeros((5, 2)) + 1j, 1, "targets must be an array of numbers"),
        (np.ma.masked_greater(np.arange(10.0).reshape(5, 2), 3), 1, "masked entries"),
    ],
)
def test_wrong_anchors_are_errors(targets, weights, message):
    with pytest.raises((ValueError, TypeError), match=message):
        Anchors(targets, weights)


def test_missing_targets_of_data_frames_are_free():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"x": [1.0, None, 3.0], "y": [1.0, None, 3.0]}).convert_dtypes()
    anchors = Anchors(frame, 1)
    assert anchors.weights.tolist() == [1, 0, 1]
    np.testing.assert_array_equal(anchors.targets[[0, 2]], [[1, 1], [3, 3]])


def test_anchors_of_another_map_are_errors(first, digits):
    for targets in np.zeros((499, 2)), np.zeros((500, 3)):
        with pytest.raises(ValueError, match="anchors must have the shape of the map"):
            TSNE(**QUICK).fit(digits, anchors=Anchors(targets, 1))
        with pytest.raises(ValueError, match="anchors must have the shape of the map"):
            first.optimize(10, anchors=Anchors(targets, 1))
    with pytest.raises(ValueError, match="all points are pinned"):
        first.optimize(10, anchors=Anchors(np.zeros((500, 2)), np.inf))
    with pytest.raises(TypeError, match=r"anchors must be fasttsne.Anchors"):
        TSNE(**QUICK).fit(digits, anchors=np.zeros((500, 2)))


def test_a_map_whose_free_points_all_leave(tmp_path):
    """Only pinned points are left: they cannot be optimized, and new rows can join them."""
    X = np.random.default_rng(0).normal(size=(6, 3))
    targets = np.full((6, 2), np.nan)
    targets[::2] = [[0, 1], [5, 2], [-3, 4]]
    pinned = TSNE(**QUICK, perplexity=1).fit(X, anchors=Anchors(targets, np.inf)).drop([1, 3, 5])
    np.testing.assert_array_equal(pinned, targets[::2])
    with pytest.raises(ValueError, match="all points are pinned"):
        pinned.optimize(10)
    pinned.save(tmp_path / "map.npz", keep="rows")
    loaded = TSNEEmbedding.load(tmp_path / "map.npz")
    assert loaded.kl_divergence == pinned.kl_divergence > 0
    for hold in np.inf, 1:
        np.testing.assert_array_equal(loaded.update(X[1:2], hold)[:3], pinned)


def test_a_matrix_in_place_of_targets_is_not_compared(first):
    """SciPy compares such matrices without a look at their indices, and writes elsewhere."""
    broken = sp.csr_matrix((np.ones(3), [0, 10**6, -5], [0, 1, 2, 3]), shape=(3, 2))
    assert not is_missing(np.array([broken, None], object))[0]
    with pytest.raises(TypeError, match="targets must be an array of numbers"):
        Anchors(broken, 1)
