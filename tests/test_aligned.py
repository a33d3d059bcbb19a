"""Maps of related data sets: partners are near each other, and each map is as good as alone."""

import pickle

import numpy as np
import pytest
import scipy.sparse as sp
from helpers.quick import QUICK

from fasttsne import TSNE, AlignedTSNE, TSNEEmbedding, schedule
from fasttsne.callbacks import Checkpoint
from fasttsne.datasets import load_digits
from fasttsne.objective import make_objective
from fasttsne.objective.base import JointObjective
from fasttsne.optimize.steps import JointPreconditioner, Preconditioner
from fasttsne.optimize.target_term import Ties, TieTerm

SHARED = 150


def pairs(first, second=None):
    first = np.asarray(first)
    return np.column_stack([first, first if second is None else second])


@pytest.fixture(scope="module")
def parts():
    """Two parts of the digits, the second with fewer columns; their first rows are the same."""
    X, labels = load_digits()
    second = np.r_[:SHARED, 750:1300]
    return [X[:750], X[second][:, 4:60]], [labels[:750], labels[second]]


@pytest.fixture(scope="module")
def aligned(parts):
    return AlignedTSNE(0.02, random_state=0, n_jobs=2).fit(parts[0], [pairs(range(SHARED))])


def shift(maps, rows=SHARED):
    """The median distance of partners, as a share of the maps' width."""
    first, second = (np.asarray(embedding) for embedding in maps)
    away = np.linalg.norm(first[:rows] - second[:rows], axis=1)
    return np.median(away) / max(np.ptp(np.concatenate([first, second]), axis=0))


def test_partners_are_together_and_maps_as_good_as_alone(parts, aligned):
    assert shift(aligned) < 0.02
    for X, embedding in zip(parts[0], aligned, strict=True):
        alone = TSNE(random_state=0, n_jobs=2).fit(X)
        assert isinstance(embedding, TSNEEmbedding)
        assert embedding.shape == (len(X), 2)
        # Few of so few rows are near the same ones in both sets: ties cost more than in large maps.
        assert embedding.kl_divergence < 1.15 * alone.kl_divergence


def test_without_ties_partners_are_apart(parts):
    free = AlignedTSNE(0, random_state=0, n_jobs=2).fit(parts[0], [pairs(range(SHARED))])
    assert shift(free) > 0.02
    assert [embedding.anchors for embedding in free] == [None, None]


@pytest.mark.slow
def test_a_stronger_alignment_brings_partners_nearer(parts):
    fits = [
        AlignedTSNE(w, random_state=0, n_jobs=2).fit(parts[0], [pairs(range(SHARED))])
        for w in (1e-3, 0.1, 1e6)
    ]
    shifts = [shift(maps) for maps in fits]
    assert shifts[0] > 2 * shifts[1] > 4 * shifts[2]
    # Partners that are as one point move as freely as others.
    divergences = [maps[0].kl_divergence for maps in fits]
    assert divergences[2] < 1.2 * divergences[0]


@pytest.mark.thin(1)
@pytest.mark.parametrize("tied_to", ["mean", "adjacent"])
def test_the_same_bits_for_any_number_of_threads(digits, tied_to):
    X = [digits, digits[100:400, :30], digits[50:]]
    relations = [{i: i - 100 for i in range(100, 400)}, pairs(range(300), range(50, 350))]
    runs = [
        AlignedTSNE(tied_to=tied_to, random_state=0, n_jobs=n).fit(X, relations) for n in (1, 2)
    ]
    for one, two in zip(*runs, strict=True):
        np.testing.assert_array_equal(one, two)
        assert one.kl_divergence == two.kl_divergence


def test_ways_to_say_the_same(digits):
    X = [digits[:200], digits[:300]]
    model = AlignedTSNE(**QUICK)
    default = model.fit(X)
    shared = pairs(range(200))
    for relation in None, shared, shared[::-1], shared.tolist(), {i: i for i in range(200)}:
        for embedding, expected in zip(model.fit(X, [relation]), default, strict=True):
            np.testing.assert_array_equal(embedding, expected)


def test_sets_with_nothing_in_common_are_free(digits):
    X = [digits[:200], digits[200:400]]
    for relation in [], {}, np.empty((0, 2), int):
        maps = AlignedTSNE(**QUICK).fit(X, [relation])
        for embedding, rows in zip(maps, X, strict=True):
            alone = TSNE(**QUICK).fit(rows)
            np.testing.assert_allclose(embedding, alone, atol=1e-6)
            assert embedding.anchors is None
            assert np.abs(np.mean(embedding, axis=0)).max() < 1e-9


def test_maps_that_are_tied_are_centered_together(digits):
    X = [digits[:200], digits[:300], digits[300:]]
    maps = AlignedTSNE(**QUICK).fit(X, [None, []])
    first, second, free = (np.asarray(embedding) for embedding in maps)
    assert np.abs(np.concatenate([first, second]).mean(axis=0)).max() < 1e-9
    assert np.abs(free.mean(axis=0)).max() < 1e-9
    assert np.abs(first.mean(axis=0)).max() > 1e-6


def test_relations_of_different_lengths_have_weights_for_each_pair(parts):
    X = [parts[0][0][:60], parts[0][0][:80], parts[0][0][:70]]
    short = {**QUICK, "n_iter": 10, "early_exaggeration_iter": 5, "perplexity": 5}
    each = AlignedTSNE(0.05, **short).fit(X, weights=[np.ones(60), np.ones(70)])
    for found, expected in zip(each, AlignedTSNE(0.05, **short).fit(X), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.slow
def test_weights_say_which_pairs_matter(parts):
    model = AlignedTSNE(0.05, random_state=0, n_jobs=2)
    relation = pairs(range(SHARED))
    weights = np.where(np.arange(SHARED) < 75, 1.0, 1e-3)
    maps = model.fit(parts[0], [relation], weights=[weights])
    first, second = (np.asarray(embedding)[:SHARED] for embedding in maps)
    away = np.linalg.norm(first - second, axis=1)
    assert np.median(away[:75]) < 0.5 * np.median(away[75:])
    twice = AlignedTSNE(0.1, **QUICK).fit(parts[0], [relation])
    same = AlignedTSNE(0.05, **QUICK).fit(parts[0], [relation], weights=2)
    for embedding, expected in zip(same, twice, strict=True):
        np.testing.assert_array_equal(embedding, expected)
    # A pair of no weight is none.
    zero = AlignedTSNE(0.1, **QUICK)
    half = zero.fit(parts[0], [relation], weights=[np.repeat([1.0, 0.0], 75)])
    for embedding, expected in zip(half, zero.fit(parts[0], [relation[:75]]), strict=True):
        np.testing.assert_array_equal(embedding, expected)


def test_maps_are_ordinary_ones(parts, aligned, tmp_path):
    first, second = aligned
    placed = second.transform(parts[0][1][:20])
    width = max(np.ptp(np.asarray(second), axis=0))
    assert np.median(np.linalg.norm(placed - second[:20], axis=1)) < 0.1 * width
    second.save(tmp_path / "second.npz")
    loaded = TSNEEmbedding.load(tmp_path / "second.npz")
    further = loaded.optimize(20)
    np.testing.assert_array_equal(further, second.optimize(20))
    assert shift([first, further]) < 0.02
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(first)), first)


def test_one_set_more_leaves_the_others(parts):
    X, _ = load_digits()
    model = AlignedTSNE(0.02, random_state=0, n_jobs=2)
    before = model.fit(parts[0], [pairs(range(SHARED))])
    copies = [np.array(embedding) for embedding in before]
    maps = model.update(X[1000:1500], pairs(range(400, 600), range(200)))
    assert len(maps) == 3
    assert model.embeddings_[2] is maps[2]
    for embedding, old, copy in zip(maps[:2], before, copies, strict=True):
        assert embedding is old
        np.testing.assert_array_equal(embedding, copy)
    assert shift([maps[1][400:600], maps[2][:200]], 200) < 0.02
    with pytest.raises(ValueError, match="row 500 of its second data set, whose rows are 0 to 499"):
        model.update(X[1000:1500], [(0, 500)])
    assert len(model.embeddings_) == 3


def test_callbacks_get_the_points_of_all_maps(parts):
    seen = []

    def look(iteration, error, points):
        seen.append((error, np.array(points)))
        return len(seen) == 3

    model = AlignedTSNE(callbacks=look, callbacks_every_iters=5, **QUICK)
    maps = model.fit(parts[0], [pairs(range(SHARED))])
    assert len(seen) == 3
    error, points = seen[-1]
    sizes = [len(embedding) for embedding in maps]
    assert points.shape == (sum(sizes), 2)
    moved = points - np.concatenate([np.asarray(embedding) for embedding in maps])
    np.testing.assert_allclose(moved, np.broadcast_to(moved[0], moved.shape), atol=1e-9)
    errors = [objective_of(m).gradient(np.asarray(m), with_error=True)[1] for m in maps]
    assert error == pytest.approx(np.average(errors, weights=sizes), rel=1e-3)


def test_maps_that_a_callback_stops_have_their_divergence(parts):
    model = AlignedTSNE(callbacks=lambda *_: True, callbacks_every_iters=5, **QUICK)
    for embedding in model.fit(parts[0]):
        expected = embedding.optimize(0).kl_divergence
        assert embedding.kl_divergence == pytest.approx(expected, rel=0.05)


def test_an_interrupt_leaves_the_maps_so_far(parts):
    def stop(iteration, error, points):
        raise KeyboardInterrupt

    model = AlignedTSNE(callbacks=stop, callbacks_every_iters=5, **QUICK)
    with pytest.raises(KeyboardInterrupt):
        model.fit(parts[0])
    assert [embedding.shape for embedding in model.embeddings_] == [(750, 2), (700, 2)]
    assert [embedding.kl_divergence for embedding in model.embeddings_] == [None, None]


@pytest.mark.parametrize(
    ("X", "relations", "options", "message"),
    [
        ([np.zeros((9, 2))], None, {}, "X must have 2 or more data sets; got 1"),
        (np.zeros((9, 2)), None, {}, "X must be a list of data sets; got one array"),
        (None, [None, None], {}, "relations must have 1 entries, .* got 2"),
        (None, [[(0, 1, 2)]], {}, r"relations\[0\] must be whole numbers of shape \(m, 2\)"),
        (None, [[(0.5, 1)]], {}, r"relations\[0\] must be whole numbers"),
        (None, {0: 0}, {}, "relations must be a list with one relation for each two consecutive"),
        (None, [{0: 60}], {}, "row 60 of its second data set, whose rows are 0 to 59"),
        (None, [[(-1, 0)]], {}, "row -1 of its first data set"),
        (None, [[(3, 0), (3, 1)]], {}, "one to one; row 3 of its first data set has 2 partners"),
        (None, [{0: 5, 1: 5}], {}, "one to one; row 5 of its second data set has 2 partners"),
        (None, None, {"alignment": -1}, "alignment must be"),
        (None, None, {"alignment": np.nan}, "alignment must be"),
        (None, None, {"alignment": np.inf}, "alignment must be"),
        (None, None, {"tied_to": "first"}, "tied_to must be"),
        (None, None, {"weights": -1}, r"weights\[0\] must be finite and 0 or more"),
        (None, None, {"weights": [[1, 2]]}, r"weights\[0\] must be a number or 60 numbers"),
        (None, None, {"weights": [1, 2]}, "weights must be a number or have 1 entries"),
        (None, None, {"checkpoint": "run.npz"}, "checkpoint must be None"),
        (None, None, {"global_structure": 0.1}, "global_structure must be 0: each map would be"),
        (None, None, {"neighbors": object()}, "neighbors must be a str: .* of one data set"),
        (None, None, {"initialization": np.zeros((60, 2))}, "initialization must be a str"),
        (None, None, {"callbacks": Checkpoint("run.npz")}, "Checkpoint is of a single map"),
        (None, None, {"perplexity": -1}, "perplexity"),
        ([np.zeros((9, 2)), [[np.nan, 1]]], None, {}, r"X\[1\]"),
    ],
)
def test_what_cannot_be_is_refused(digits, X, relations, options, message):
    X = [digits[:80], digits[:60]] if X is None else X
    weights = options.get("weights", 1.0)
    model = AlignedTSNE(**{name: value for name, value in options.items() if name != "weights"})
    with pytest.raises((ValueError, TypeError), match=message):
        model.fit(X, relations, weights)
    assert not hasattr(model, "embeddings_")


def test_an_update_needs_a_fit_and_parameters_are_known(digits):
    with pytest.raises(ValueError, match="call fit"):
        AlignedTSNE().update(digits)
    with pytest.raises(TypeError, match="perplexities"):
        AlignedTSNE(perplexities=3)


def test_no_iterations(digits):
    maps = AlignedTSNE(n_iter=0, early_exaggeration_iter=0).fit([digits[:200], digits[:100]])
    assert all(embedding.kl_divergence > 1 for embedding in maps)


def test_distances_can_be_given(digits):
    distances = [np.linalg.norm(X[:, None] - X[None], axis=2) for X in (digits[:100], digits[:120])]
    model = AlignedTSNE(metric="precomputed", initialization="random", **QUICK)
    first, second = model.fit(distances)
    assert (len(first), len(second)) == (100, 120)


def objective_of(embedding):
    objective = make_objective("exact", embedding.affinities, 2, 1.0, 1, {})
    objective.reorder(np.arange(len(embedding), dtype=np.int32))
    return objective


@pytest.fixture(scope="module")
def joint(aligned):
    """The objective of both maps, in another order, the points in it, and their ties."""
    rng = np.random.default_rng(0)
    sizes = [len(embedding) for embedding in aligned]
    objective = JointObjective([objective_of(embedding) for embedding in aligned])
    order = np.concatenate([rng.permutation(sizes[0]), sizes[0] + rng.permutation(sizes[1])])
    objective.reorder(order.astype(np.int32))
    points = np.concatenate([np.asarray(embedding) for embedding in aligned])[order]
    links = np.arange(SHARED), sizes[0] + np.arange(SHARED), np.linspace(0.5, 2, SHARED)
    term = TieTerm(Ties.to_mean(sum(sizes), links, 0.3), 2.0, n_threads=2)
    term.reorder(order)
    return objective, points, term


def test_the_gradient_is_that_of_the_loss(joint, rng):
    objective, y, term = joint
    step = rng.normal(0, 1e-3, y.shape)
    gradient = objective.gradient(y)[0].copy()
    term.begin(y, schedule.Stage(1, 1.0, 1.0, 0.8))
    term.pull(y, gradient)

    def loss(places):
        error = objective.gradient(places, with_error=True)[1]
        return objective.loss(error) + term.loss(places)

    change = loss(y + step) - loss(y - step)
    assert change == pytest.approx(2 * objective.scale * (gradient * step).sum(), rel=0.02)
    assert objective.exaggerated_loss(objective.errors[0], 1.0) == pytest.approx(
        np.average(objective.errors, weights=[p.share for p in objective.parts]), rel=1e-6
    )


@pytest.mark.parametrize("make", [Ties.to_mean, Ties.to_adjacent])
def test_ties_are_a_lazy_walk(make):
    # Groups of three, two and two points, and one without a tie.
    links = np.array([0, 1, 3, 5]), np.array([1, 2, 4, 6]), np.array([1.0, 0.5, 1.0, 2.0])
    ties = make(8, links, 0.1)
    walk = ties.walk.toarray()
    np.testing.assert_allclose(walk.sum(axis=1), [1] * 7 + [0])
    flow = ties.weights[:, None] * walk
    np.testing.assert_allclose(flow, flow.T)
    weighted = np.sqrt(ties.weights)[:7]
    eigenvalues = np.linalg.eigvalsh(walk[:7, :7] * weighted[:, None] / weighted)
    assert eigenvalues.min() > -1e-12
    assert eigenvalues.max() < 1 + 1e-12
    np.testing.assert_allclose(walk[3, [3, 4]], 0.5)
    np.testing.assert_allclose(ties.weights[[3, 4, 5, 7]], [0.1, 0.1, 0.2, 0])


def test_the_joint_preconditioner_knows_what_moves_together(joint):
    """Strong ties do not hold back maps that move together, as they do a map alone."""
    objective, y, _ = joint
    sizes = [part.objective.shape[0] for part in objective.parts]
    links = np.arange(SHARED), sizes[0] + np.arange(SHARED), np.ones(SHARED)
    order = np.concatenate([p.objective._order + p.rows.start for p in objective.parts])
    term = TieTerm(Ties.to_mean(sum(sizes), links, 10.0), 2.0, n_threads=1)
    term.reorder(order)
    M = JointPreconditioner(objective, term)
    M.rebuild(y, term.curvature(1.0))
    vector = np.ones_like(y)
    B = curvature(objective, y, M.shift, vector)
    direction, product = M.apply(B)
    assert product == pytest.approx((direction * B).sum(), rel=1e-6)
    together = (vector * B).sum() / product
    apart = Preconditioner(objective.parts[0].objective)
    pulls = term.curvature(1.0)[objective.parts[0].rows] / np.float32(objective.parts[0].share)
    apart.rebuild(y[objective.parts[0].rows], pulls)
    _, alone = apart.apply(B[objective.parts[0].rows])
    assert together < 2
    assert (vector[: sizes[0]] * B[: sizes[0]]).sum() / alone > 10


def curvature(objective, y, shift, vector):
    """B times a vector, without ties."""
    n, d = y.shape
    product = np.empty((n, d), np.float32)
    scratch = np.empty(n, np.float32), np.empty((n, 3), np.float32)
    objective.edge_moments(y, vector.astype(np.float32), *scratch, product)
    return product + shift * vector


def test_sparse_rows_and_three_dimensions(digits):
    X = [sp.csr_matrix(digits[:200]), digits[:150]]
    maps = AlignedTSNE(n_components=3, **QUICK).fit(X)
    assert [embedding.shape for embedding in maps] == [(200, 3), (150, 3)]
