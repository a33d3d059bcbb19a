"""Maps that are drawn to a reference as a whole."""

import pickle

import numpy as np
import pytest
import scipy.sparse as sp
from helpers.quick import QUICK
from scipy.linalg import orthogonal_procrustes

from fasttsne import TSNE, Anchors, TSNEEmbedding
from fasttsne.cli import main
from fasttsne.initialization import initial_positions
from fasttsne.metrics import distance_correlation, neighbor_recall
from fasttsne.optimize.descent import GradientDescent
from fasttsne.optimize.schedule import STRUCTURE_FACTOR, Stage
from fasttsne.optimize.target_term import STRENGTH, ReferenceTerm

TURN = np.array([[0.6, -0.8], [-0.8, -0.6]])  # a reflection


@pytest.fixture(scope="module")
def plain(digits):
    return TSNE(random_state=0).fit(digits)


@pytest.fixture(scope="module")
def structured(digits):
    return TSNE(global_structure=0.15, random_state=0).fit(digits)


def test_distances_say_more_and_neighbors_stay(digits, plain, structured):
    correlations = [distance_correlation(digits, each) for each in (plain, structured)]
    recalls = [neighbor_recall(digits, each, 10) for each in (plain, structured)]
    assert correlations[1] > correlations[0] + 0.05
    assert recalls[1] > recalls[0] - 0.03
    strong = TSNE(global_structure=0.9, random_state=0).fit(affinities=plain.affinities, X=digits)
    assert distance_correlation(digits, strong) > correlations[1] + 0.01
    assert strong.kl_divergence > structured.kl_divergence > plain.kl_divergence


@pytest.mark.thin(3)
@pytest.mark.parametrize("optimizer", ["preconditioned", "momentum"])
@pytest.mark.parametrize(("n_components", "method"), [(1, "fft"), (2, "bh"), (3, "exact")])
@pytest.mark.parametrize("weight", [1e-6, 0.5, 1])
def test_any_weight_is_stable(rng, plain, optimizer, method, n_components, weight):
    # A reference that contradicts the neighbours.
    reference = rng.normal(0, 1, (500, n_components))
    embedding = TSNE(
        n_components,
        optimizer=optimizer,
        negative_gradient_method=method,
        random_state=0,
        global_structure=weight,
        global_reference=reference,
    ).fit(affinities=plain.affinities)
    assert 0.1 < np.std(embedding) < 1000
    np.testing.assert_allclose(np.mean(embedding, axis=0), 0, atol=1e-6)
    if weight == 1:  # hardly anything but the reference is left
        assert distance_correlation(reference, embedding) > 0.99


def test_the_components_of_the_search_are_the_reference(rng):
    """They differ from the exact ones in their last digits, which are not computed."""
    X = rng.normal(0, 1, (4000, 5)) @ rng.normal(0, 1, (5, 300)) + rng.normal(0, 0.01, (4000, 300))
    model = TSNE(
        global_structure=0.15,
        random_state=0,
        neighbors="approx",
        n_iter=5,
        early_exaggeration_iter=5,
    )
    embedding = model.fit(X)
    components = embedding.affinities.knn_index.components_
    assert components is not None
    expected = initial_positions("pca", X, embedding.affinities.P, 2, 0, components=components)
    np.testing.assert_array_equal(embedding.global_reference, expected)


def test_a_turned_and_scaled_reference_draws_nowhere(rng):
    reference = rng.normal([5, 9], 3, (300, 2))
    term = ReferenceTerm(reference, 0.15, None, n_threads=2)
    order = rng.permutation(300).astype(np.int32)
    term.reorder(order)
    y = 7 * reference[order] @ TURN + [20, -3]
    term.begin(y, Stage(1, 1.0, 1.0, 0.8))
    np.testing.assert_allclose(term.targets, y, atol=1e-10)
    assert term.loss(y) == pytest.approx(0, abs=1e-20)


def test_targets_and_weights(rng):
    reference, y = rng.normal(0, 3, (2, 300, 2)) + 1
    term = ReferenceTerm(reference, 0.15, None, n_threads=2)
    stage = Stage(1, 4.0, 1.0, 0.8, structure_factor=STRUCTURE_FACTOR)
    term.begin(y, stage)
    centered, places = y - y.mean(0), reference - reference.mean(0)
    turn, _ = orthogonal_procrustes(places, centered)
    scale = np.linalg.norm(centered) / np.linalg.norm(places)
    np.testing.assert_allclose(term.targets, y.mean(0) + scale * places @ turn)
    size = np.linalg.norm(centered) / np.sqrt(300)
    weight = STRENGTH * 0.15 / 0.85 / (1 + size) * 4 * STRUCTURE_FACTOR
    np.testing.assert_allclose(term.weights, weight / 300)
    gradient = np.zeros_like(y)
    term.pull(y, gradient)
    np.testing.assert_allclose(gradient, weight / 300 * (y - term.targets))
    assert term.loss(y) == pytest.approx(2 * weight / 300 * ((y - term.targets) ** 2).sum())


@pytest.mark.parametrize("n_jobs", [1, 3])
def test_same_bits_for_any_threads_and_scale_of_the_reference(digits, structured, n_jobs):
    again = TSNE(global_structure=0.15, random_state=0, n_jobs=n_jobs).fit(digits)
    np.testing.assert_array_equal(again, structured)
    reference = np.asarray(digits[:, 20:22], np.float64)
    model = {"global_structure": 0.3, "n_jobs": n_jobs, **QUICK}
    maps = [TSNE(global_reference=scale * reference, **model).fit(digits) for scale in (1, 2.0**20)]
    np.testing.assert_array_equal(*maps)


def test_without_weight_the_reference_is_not_used(digits, plain):
    reference = np.asarray(digits[:, 20:22])
    again = TSNE(global_structure=0, global_reference=reference, random_state=0).fit(digits)
    np.testing.assert_array_equal(again, plain)


def test_a_given_reference_is_found_from_the_same_start(plain, rng):
    """Groups that the data does not have, in a circle."""
    group = rng.integers(0, 5, 500)
    circle = np.column_stack([np.cos(group), np.sin(group)])
    drawn = TSNE(global_structure=0.9, global_reference=circle, random_state=0).fit(
        affinities=plain.affinities
    )
    assert distance_correlation(circle, drawn) > distance_correlation(circle, plain) + 0.3


def test_it_is_kept_with_the_map(digits, structured, tmp_path):
    structured.save(tmp_path / "map.npz")
    expected = np.asarray(structured.optimize(30))
    assert np.abs(expected - np.asarray(structured)).max() > 0
    without = structured.optimize(30, global_structure=0)
    assert np.abs(expected - np.asarray(without)).max() > 0.01
    for again in (
        TSNEEmbedding.load(tmp_path / "map.npz"),
        pickle.loads(pickle.dumps(structured)),
        structured.copy(),
    ):
        np.testing.assert_array_equal(np.asarray(again.optimize(30, n_jobs=2)), expected)


@pytest.mark.thin(1)
@pytest.mark.parametrize("when", [15, 60, 170])
def test_a_fit_goes_on_from_its_checkpoint(digits, structured, tmp_path, when):
    class KilledError(Exception):
        pass

    def kill(iteration, error, embedding):
        if embedding.optimizer.iteration == when:
            raise KilledError

    model = {"random_state": 0, "checkpoint": tmp_path / "run.npz"}
    with pytest.raises(KilledError):
        TSNE(callbacks=kill, callbacks_every_iters=1, global_structure=0.15, **model).fit(digits)
    with pytest.raises(ValueError, match=r"global_structure was 0\.15"):
        TSNE(**model).fit(digits)
    np.testing.assert_array_equal(TSNE(global_structure=0.15, **model).fit(digits), structured)


@pytest.mark.slow
def test_beside_anchors(digits, plain):
    targets = np.asarray(plain)[:, ::-1] + 40
    weights = np.where(np.arange(500) < 50, np.inf, np.where(np.arange(500) < 100, 0.5, 0))
    drawn = TSNE(global_structure=0.15, random_state=0).fit(
        digits, anchors=Anchors(targets, weights)
    )
    np.testing.assert_array_equal(drawn[:50], targets[:50])
    others = Anchors(targets, np.where(np.isinf(weights), weights, 0))
    without = TSNE(global_structure=0.15, random_state=0).fit(digits, anchors=others)
    held, free = (
        np.linalg.norm(np.asarray(each)[50:100] - targets[50:100], axis=1).mean()
        for each in (drawn, without)
    )
    assert held < 0.7 * free


@pytest.mark.slow
def test_beside_density(digits):
    maps = [
        TSNE(global_structure=weight, density_weight=0.1, random_state=0).fit(digits)
        for weight in (0, 0.15)
    ]
    plain, drawn = (distance_correlation(digits, each) for each in maps)
    assert drawn > plain + 0.03


@pytest.mark.thin(1)
@pytest.mark.parametrize("hold", [np.inf, 0.001])
def test_new_rows_join(digits, hold):
    old = TSNE(global_structure=0.15, random_state=0).fit(digits[:450])
    grown = old.update(digits[450:], hold=hold)
    assert grown.global_reference.shape == (500, 2)
    np.testing.assert_array_equal(grown.global_reference[:450], old.global_reference)
    assert (grown[:450] == np.asarray(old)).all() == np.isinf(hold)
    known = TSNE(global_structure=0.15, random_state=0).fit(digits).global_reference[450:]
    found = grown.global_reference[450:]
    # Components of fewer rows are turned: what of the ones is left when the others are known.
    known, found = known - known.mean(0), found - found.mean(0)
    left = known - found @ np.linalg.lstsq(found, known, rcond=None)[0]
    assert (left**2).sum() < 0.4 * (known**2).sum()


def test_new_rows_are_placed_as_ever(digits, structured):
    bare = structured.copy()
    bare.global_reference, bare.gradient_descent_params["global_structure"] = None, 0
    np.testing.assert_array_equal(structured.transform(digits[:9]), bare.transform(digits[:9]))


def test_rows_of_other_kinds(digits, structured):
    sparse = TSNE(global_structure=0.15, random_state=0).fit(sp.csr_array(digits))
    assert distance_correlation(digits, sparse) > distance_correlation(digits, structured) - 0.05
    line = TSNE(global_structure=0.15, perplexity=5, **QUICK).fit(np.arange(30.0)[:, None])
    assert np.isfinite(line).all()


def test_a_map_that_gets_a_reference_later(digits, plain):
    embedding = plain.copy()
    with pytest.raises(ValueError, match="global_structure needs a global_reference"):
        embedding.optimize(50, global_structure=0.15)
    assert embedding.kl_divergence == plain.kl_divergence
    embedding.global_reference = np.asarray(digits[:, 20:22])
    moved = embedding.optimize(50, global_structure=0.15)
    assert np.abs(np.asarray(moved) - np.asarray(plain)).max() > 0.1
    given = TSNEEmbedding(
        plain, plain.affinities, global_reference=digits[:, 20:22], optimizer=plain.optimizer.copy()
    )
    np.testing.assert_array_equal(given.optimize(50, global_structure=0.15), moved)


@pytest.mark.parametrize("weight", [-0.1, 1.1, np.nan, np.inf])
def test_weights_out_of_range(digits, weight):
    with pytest.raises(ValueError, match="global_structure must be"):
        TSNE(global_structure=weight).fit(digits)


@pytest.mark.parametrize(
    ("reference", "error", "message"),
    [
        ("umap", ValueError, "global_reference must be one of 'pca'"),
        (np.eye(499, 2), ValueError, r"global_reference must have the shape \(500, 2\)"),
        (np.eye(500, 3), ValueError, r"global_reference must have the shape \(500, 2\)"),
        (np.zeros((500, 2)), ValueError, "all points in one place"),
        (np.full((500, 2), np.nan), ValueError, "global_reference"),
        (np.full((500, 2), 1e20), ValueError, "global_reference must lie within"),
        (np.full((500, 2), "a"), TypeError, "global_reference must be 'pca' or an array"),
        (None, TypeError, "global_reference must be 'pca' or an array"),
    ],
)
def test_wrong_references(digits, plain, reference, error, message):
    with pytest.raises(error, match=message):
        TSNE(global_structure=0.15, global_reference=reference, **QUICK).fit(digits)
    with pytest.raises(error, match=message):
        TSNE(global_structure=0.15, global_reference=reference, **QUICK).fit(
            affinities=plain.affinities
        )


def test_without_rows_the_reference_has_to_be_given(digits, plain):
    message = "no rows to take principal components of"
    distances = np.linalg.norm(digits[:, None] - digits[None], axis=2)
    with pytest.raises(ValueError, match=message):
        TSNE(metric="precomputed", global_structure=0.15, **QUICK).fit(distances)
    model = TSNE(global_structure=0.15, **QUICK)
    with pytest.raises(ValueError, match=message):
        model.fit(affinities=plain.affinities)
    model.global_reference = digits[:, 20:22]
    assert np.isfinite(model.fit(affinities=plain.affinities)).all()


def test_an_optimizer_of_a_users_own_is_refused(digits, structured):
    class Own(GradientDescent):
        def __call__(self, *arguments, **keywords):
            raise AssertionError("it must not be called")

    embedding = TSNEEmbedding(
        structured,
        structured.affinities,
        optimizer=Own(),
        global_structure=0.15,
        global_reference=structured.global_reference,
    )
    with pytest.raises(ValueError, match="optimizer of a user's own"):
        embedding.optimize(5)


def test_plan_estimator_and_command_line(digits, tmp_path):
    line = "global_structure          0.15              given"
    assert line in str(TSNE(global_structure=0.15).plan(1000))
    reference = np.asarray(digits[:, 20:22], np.float64)
    model = {"global_structure": 0.15, "global_reference": reference, **QUICK}
    expected = np.asarray(TSNE(**model).fit(digits))
    estimator = pytest.importorskip("fasttsne.sklearn").TSNE(**model).fit(digits)
    np.testing.assert_array_equal(estimator.embedding_, expected)
    np.save(tmp_path / "rows.npy", digits)
    np.save(tmp_path / "reference.npy", reference)
    assert (
        main(
            [
                "fit",
                str(tmp_path / "rows.npy"),
                "-o",
                str(tmp_path / "map.npy"),
                "-q",
                "--global-structure",
                "0.15",
                "--global-reference",
                str(tmp_path / "reference.npy"),
                *(f"--{name.replace('_', '-')}={value}" for name, value in QUICK.items()),
            ]
        )
        == 0
    )
    np.testing.assert_array_equal(np.load(tmp_path / "map.npy"), expected)


def test_anchors_do_not_move_a_start_at_the_reference():
    X = np.random.default_rng(0).normal(size=(60, 5))
    anchors = Anchors(X[:, :2], np.where(np.arange(60) < 9, 1.0, 0))
    settings = {"perplexity": 5, "random_state": 0, "global_structure": 0.3}
    tsne = TSNE(**settings, global_reference=X[:, :2])
    np.testing.assert_array_equal(tsne.prepare_initial(X, anchors=anchors), tsne.prepare_initial(X))
