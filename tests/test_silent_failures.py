"""What version 0.1.0 did without a word: crash, ignore a parameter, or return a useless map."""

import warnings

import numpy as np
import pytest
from quick import QUICK

import fasttsne
from fasttsne import TSNE, TSNEEmbedding, initialization
from fasttsne.affinity import MultiscaleMixture, PerplexityBasedNN
from fasttsne.callbacks import (
    Checkpoint,
    EmbeddingRecorder,
    ErrorApproximations,
    LivePlot,
    VerifyExaggerationError,
)
from fasttsne.optimize.parameters import DEFAULTS
from fasttsne.optimize.plan import resolve_phase
from fasttsne.repulsion import ExactRepulsion, MeshRepulsion
from fasttsne.runtime.threads import usable_cores

# What callbacks do here, and NumPy 2.5 no longer wants.
DEPRECATED = "ignore:Setting the (shape|dtype):DeprecationWarning"


@pytest.fixture(scope="module")
def rows(digits):
    return digits[:200]


@pytest.mark.filterwarnings(DEPRECATED)
@pytest.mark.parametrize("shape", [(2, 200), (100, 4), (400, 1), (400,), (200, 2, 1)])
def test_a_callback_that_changes_the_shape_of_the_live_map(rows, shape):
    def reshape(iteration, error, embedding):
        embedding.shape = shape

    tsne = TSNE(callbacks=reshape, callbacks_every_iters=5, **QUICK)
    with pytest.raises(ValueError, match=r"must not change the shape of the embedding, \(200, 2\)"):
        tsne.fit(rows)
    assert tsne.embedding_.shape == (200, 2)
    assert np.isfinite(tsne.embedding_).all()
    assert np.isfinite(tsne.embedding_.optimize(5, callbacks=None)).all()


@pytest.mark.filterwarnings(DEPRECATED)
@pytest.mark.parametrize("raised", [RuntimeError, KeyboardInterrupt])
def test_a_callback_that_changes_the_array_and_raises(rows, raised):
    def reshape(iteration, error, embedding):
        embedding.shape = (2, 200)
        embedding.setflags(write=False)
        raise raised

    tsne = TSNE(callbacks=reshape, callbacks_every_iters=5, **QUICK)
    with pytest.raises(raised):
        tsne.fit(rows)
    assert tsne.embedding_.shape == (200, 2)
    assert tsne.embedding_.optimizer.iteration == 4
    assert np.isfinite(tsne.embedding_.optimize(5, callbacks=None)).all()


def test_a_callback_that_makes_the_live_map_read_only(rows):
    tsne = TSNE(
        callbacks=lambda i, error, y: y.setflags(write=False), callbacks_every_iters=5, **QUICK
    )
    with pytest.raises(ValueError, match="or make it read-only"):
        tsne.fit(rows)
    assert tsne.embedding_.flags.writeable


def test_affinities_that_were_changed_in_place(rows):
    embedding = TSNE(**QUICK).fit(rows)
    embedding.affinities.P.indices[5] = 10**6
    for changed in embedding.copy(), embedding:  # without and with a cached objective
        with pytest.raises(ValueError, match=r"affinities\.P must have indices .*; got 1000000"):
            changed.optimize(20, inplace=True)


def test_affinities_of_new_points_that_were_changed_in_place(rows):
    partial = TSNE(**QUICK).fit(rows).prepare_partial(rows[:20] + 1, perplexity=3)
    partial.P.indices[5] = 10**6
    with pytest.raises(ValueError, match="P must have indices from 0 to 199; got 1000000"):
        partial.optimize(3)


def test_transform_does_not_call_the_callbacks_of_the_fit(rows, tmp_path):
    """They are about the points of the map, and some fail with others."""
    P = PerplexityBasedNN(rows, 10).P
    start = initialization.pca(rows, random_state=0)
    watched = TSNEEmbedding(start, P)
    recorder, calls = EmbeddingRecorder(), []
    pytest.importorskip("matplotlib").use("Agg")
    tsne = TSNE(
        callbacks=[
            recorder,
            Checkpoint(tmp_path / "map.npz"),
            ErrorApproximations(P),
            VerifyExaggerationError(watched),
            LivePlot(np.arange(200) % 2),
            lambda *report: calls.append(report[0]),
        ],
        callbacks_every_iters=10,
        initialization=start,
        **QUICK,
    )
    embedding = tsne.fit(rows, affinities=PerplexityBasedNN(rows, 10))
    before = len(recorder.frames), len(calls)
    assert before == (2, 2)
    assert np.isfinite(embedding.transform(rows[:30] + 1, perplexity=3)).all()
    assert (len(recorder.frames), len(calls)) == before


@pytest.mark.parametrize("metric", ["euclidean", "cosine", "correlation", "sqeuclidean"])
def test_parameters_of_a_metric_that_has_none(rows, metric):
    with pytest.raises(ValueError, match=rf"must be empty for metric='{metric}'.*\['w'\]"):
        TSNE(metric=metric, metric_params={"w": np.ones(64)}, **QUICK).fit(rows)


def test_generators_of_callbacks_are_refused(rows):
    with pytest.raises(TypeError, match="callbacks must be callable, or a list"):
        TSNE(callbacks=(f for f in [print]), **QUICK).fit(rows)


def a_generator(iteration, error, embedding):
    yield True


@pytest.mark.parametrize(
    "answer",
    [a_generator, lambda *_: float("nan"), lambda *_: NotImplemented, lambda *_: np.eye(2)],
)
def test_what_is_no_answer_of_a_callback(rows, answer):
    with pytest.raises(TypeError, match="must return True to stop the run, or False; got"):
        TSNE(callbacks=answer, callbacks_every_iters=5, **QUICK).fit(rows)


@pytest.mark.parametrize("answer", [None, 0, "", [], np.False_, np.zeros(1)])
def test_what_goes_on(rows, answer):
    params = {**QUICK, "callbacks_every_iters": 5}
    expected = TSNE(**params).fit(rows)
    np.testing.assert_array_equal(TSNE(callbacks=lambda *_: answer, **params).fit(rows), expected)


@pytest.mark.parametrize(
    "params",
    [
        {"negative_gradient_method": "fft"},
        {"perplexity": [5, 30]},
        {"negative_gradient_method": "bh"},
    ],
)
def test_where_numpy_raises_at_underflow(rows, params):
    with np.errstate(all="raise"):
        embedding = TSNE(**{**QUICK, **params}).fit(rows)
        embedding.transform(rows[:5] + 1)
    np.testing.assert_array_equal(embedding, TSNE(**{**QUICK, **params}).fit(rows))


def test_masked_entries_are_refused(rows):
    with pytest.raises(ValueError, match="X is a masked array with masked entries"):
        TSNE(**QUICK).fit(np.ma.masked_greater(rows, 10))
    places = np.ma.masked_greater(rows[:, :2].astype(float), 3)
    assert np.ma.is_masked(places)
    for given in "initialization", "global_reference":
        with pytest.raises(ValueError, match=f"{given} is a masked array with masked entries"):
            TSNE(**QUICK, global_structure=0.1, **{given: places}).fit(rows)
    with pytest.raises(ValueError, match="embedding is a masked array with masked entries"):
        fasttsne.report(rows, places)
    nothing_masked = np.ma.masked_greater(rows, 1e9)
    np.testing.assert_array_equal(TSNE(**QUICK).fit(nothing_masked), TSNE(**QUICK).fit(rows))


def test_a_refit_that_fails_leaves_no_older_map(rows):
    tsne = TSNE(**QUICK)
    tsne.fit(rows)
    with pytest.raises(ValueError, match="finite"):
        tsne.fit(np.full((50, 3), np.nan))
    assert not hasattr(tsne, "embedding_")


def test_a_start_in_one_position_is_warned_of(rows):
    with pytest.warns(UserWarning, match="all points in one position"):
        TSNE(initialization=np.zeros((200, 2)), **QUICK).fit(rows)


def test_a_perplexity_that_cannot_be(rows):
    with pytest.raises(ValueError, match="perplexity must be at most 7158"):
        TSNE(perplexity=1e308, **QUICK).fit(rows)
    with pytest.raises(ValueError, match="perplexities must be at most 7158"):
        MultiscaleMixture(rows, [10, 1e308])


def test_a_perplexity_of_nearly_all_rows_is_reduced(rows):
    message = r"perplexity 195 is too large for 199 neighbours; using 66\.3"
    with pytest.warns(UserWarning, match=message):
        TSNE(perplexity=195, **QUICK).fit(rows)


def test_a_perplexity_of_nearly_all_known_neighbours_is_warned_of(rows):
    message = "perplexity 30 is nearly the number of neighbours that are known, 31"
    with pytest.warns(UserWarning, match=message):
        affinities = PerplexityBasedNN(rows, 30, k_neighbors=31)
    assert affinities.effective_perplexity_ == 30


def test_a_fit_without_iterations_has_a_divergence(rows):
    embedding = TSNE(n_iter=0, early_exaggeration_iter=0, random_state=0).fit(rows)
    assert embedding.kl_divergence > 0


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"early_exaggeration_iter": -1}, "early_exaggeration_iter must be at least 0"),
        ({"early_exaggeration": 0}, "early_exaggeration must be greater than 0"),
        ({"initial_momentum": 1.5}, "initial_momentum must be at most 1"),
        ({"n_iter": "auto"}, "n_iter must be an integer"),
    ],
)
def test_errors_of_transform_name_its_own_parameters(rows, params, message):
    embedding = TSNE(**QUICK).fit(rows)
    with pytest.raises((TypeError, ValueError), match=message):
        embedding.transform(rows[:3], **params)


def test_a_learning_rate_that_is_far_too_large(rows):
    with pytest.warns(UserWarning, match="the map has not settled: .* learning_rate may be far"):
        TSNE(learning_rate=1e10, **QUICK).fit(rows)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        TSNE(random_state=0).fit(rows)


@pytest.mark.filterwarnings(DEPRECATED)
def test_an_embedding_that_was_changed_is_refused_by_name(rows, tmp_path):
    embedding = TSNE(**QUICK).fit(rows)
    others = TSNE(**QUICK).fit(rows[:150]).affinities
    reshaped, retyped, foreign = embedding.copy(), embedding.copy(), embedding.copy()
    reshaped.shape = (2, 200)
    retyped.dtype = np.int64
    foreign.affinities = others
    for changed in (reshaped, retyped, foreign):
        for use in (
            lambda e: e.optimize(3),
            lambda e: e.transform(rows[:5]),
            lambda e: e.save(tmp_path / "map.npz"),
        ):
            with pytest.raises(ValueError, match=r"must be float64 of shape \((200|150), 1 to 3\)"):
                use(changed)
    assert not list(tmp_path.iterdir())


def test_few_points_do_not_get_a_huge_grid(rows):
    """A wide map of few points is the tree's, which is ten times faster there."""
    spread = np.random.default_rng(0).uniform(-200, 200, (200, 2)).astype(np.float32)
    mesh, out = MeshRepulsion(), np.empty((200, 2), np.float32)
    z = mesh(spread, out)
    assert mesh.last_method == "bh"
    exact = np.empty_like(out)
    assert z == pytest.approx(ExactRepulsion()(spread, exact), rel=1e-3)
    np.testing.assert_allclose(out, exact, atol=1e-2 * np.abs(exact).max())


def test_recorder_and_checkpoint_take_the_path_first(tmp_path):
    recorder = EmbeddingRecorder(tmp_path / "frames.npy", 3)
    assert (recorder.path, recorder.every) == (tmp_path / "frames.npy", 3)
    assert EmbeddingRecorder("frames.npy").every == 1
    with pytest.raises(TypeError, match="path must be the path of a file; got 5"):
        Checkpoint(5)
    with pytest.raises(TypeError, match="path must be the path of a file, or None; got 5"):
        EmbeddingRecorder(1, 5)


def test_few_points_have_no_more_threads_than_cores():
    params = {**DEFAULTS, "n_jobs": 64, "dof": 1, "negative_gradient_method": "bh"}
    assert resolve_phase("optimize", 10, params, 600).n_threads <= usable_cores()
    assert resolve_phase("optimize", 10, params, 10**6).n_threads >= min(64, usable_cores())
