"""Input that must be an error or a warning: types, matrices, metrics, callbacks, objectives."""

import tracemalloc
import warnings
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from helpers.quick import QUICK

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
from fasttsne.nearest_neighbors import Exact
from fasttsne.optimize.parameters import DEFAULTS
from fasttsne.optimize.plan import resolve_phase
from fasttsne.repulsion import ExactRepulsion, MeshRepulsion
from fasttsne.runtime.threads import usable_cores


@pytest.mark.parametrize("dtype", ["c8", "U5", "M8[s]", "m8[s]"])
def test_what_only_looks_like_numbers_is_refused(dtype):
    X = np.arange(12).reshape(6, 2).astype(dtype)
    with pytest.raises(TypeError, match="X must hold real numbers; got dtype"):
        TSNE(**QUICK).fit(X)


def test_dates_without_a_row_are_refused():
    with pytest.raises(TypeError, match="X must hold real numbers; got dtype"):
        TSNE(**QUICK).fit(np.empty((0, 2), "M8[s]"))


@pytest.mark.parametrize("kind", ["csr", "csc", "bsr", "coo"])
@pytest.mark.parametrize("value", [-1, 30, 10**6])
@pytest.mark.parametrize("use", ["data", "neighbors", "affinities", "embedding"])
def test_sparse_matrices_that_point_outside_themselves(kind, value, use):
    matrix = sp.random(30, 30, 0.5, random_state=0).asformat(kind)
    (matrix.row if kind == "coo" else matrix.indices)[7] = value
    calls = {
        "data": lambda: TSNE(**QUICK).fit(matrix),
        "neighbors": lambda: TSNE(neighbors=matrix, **QUICK).fit(),
        "affinities": lambda: TSNE(**QUICK).fit(affinities=matrix),
        "embedding": lambda: TSNEEmbedding(np.zeros((30, 2)), matrix),
    }
    with pytest.raises(ValueError, match=rf"must have indices from 0 to \d+; got {value}"):
        calls[use]()


@pytest.mark.parametrize(
    "change", [lambda p: p[::-1], lambda p: p[:-1], lambda p: p + 1, lambda p: p.astype(float)]
)
def test_sparse_matrices_whose_parts_do_not_fit(change):
    matrix = sp.random(30, 30, 0.5, random_state=0, format="csr")
    matrix.indptr = change(matrix.indptr)
    with pytest.raises(ValueError, match="X is not a valid sparse matrix"):
        TSNE(**QUICK).fit(matrix)


@pytest.mark.thin(1)
@pytest.mark.parametrize("method", ["fft", "bh", "exact"])
def test_small_types_of_numbers(digits, method):
    """In eight bits most sums of theirs would overflow."""
    numbers = {
        "n_components": 2, "perplexity": 100, "min_num_intervals": 100, "n_interpolation_points": 5,
        "ints_in_interval": 1, "theta": 1, "early_exaggeration": 12, "early_exaggeration_iter": 100,
        "n_iter": 120, "callbacks_every_iters": 100, "max_step_norm": 5, "learning_rate": 100,
    }  # fmt: skip
    common = {"negative_gradient_method": method, "random_state": 0, "callbacks": lambda *_: None}
    small = {name: np.int8(value) for name, value in numbers.items()}
    np.testing.assert_array_equal(
        TSNE(**small, **common).fit(digits), TSNE(**numbers, **common).fit(digits)
    )


@pytest.mark.parametrize("metric", [np.array([1.0, 2.0]), None, 3, ["euclidean"]])
@pytest.mark.parametrize("neighbors", ["auto", "exact", "approx"])
def test_metrics_that_are_no_names(metric, neighbors):
    with pytest.raises(TypeError, match="metric must be one of 'euclidean'"):
        TSNE(metric=metric, neighbors=neighbors).fit(np.eye(9))


@pytest.mark.parametrize("callbacks", [np.array(3), 3, [3]])
def test_callbacks_that_cannot_be_called(callbacks):
    with pytest.raises(TypeError, match="callbacks must be callable"):
        TSNE(callbacks=callbacks).fit(np.eye(9))


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (np.linalg.norm, "must take the arguments of an objective function"),
        (lambda embedding, P: None, "must take the arguments of an objective function"),
        (lambda *_, **__: None, "must return an error and a gradient; got None"),
        (lambda y, *_, **__: y, "must return an error and a gradient; got"),
        (lambda y, *_, **__: (None, y), "must return an error, a number, .* got None"),
    ],
)
def test_functions_that_are_no_objectives(rng, function, message):
    with pytest.raises(TypeError, match=f"negative_gradient_method {message}"):
        TSNE(perplexity=5, negative_gradient_method=function, **QUICK).fit(rng.normal(size=(30, 3)))


def refused_tables():
    """Input that is no table of real numbers, and what the error says."""
    pandas, anndata = pytest.importorskip("pandas"), pytest.importorskip("anndata")
    pyarrow = pytest.importorskip("pyarrow")
    numbers = np.arange(60.0).reshape(20, 3)
    frame = pandas.DataFrame(numbers, columns=["a", "b", "c"]).assign(kind="x", at="2020-01-01")
    cells = anndata.AnnData(numbers, obsm={"X_pca": numbers[:, :2]})
    mixed = numbers.astype(object)
    mixed[3, 1] = "many"
    return {
        "anndata": (cells, r"X is an AnnData; pass X\.X or .*\(X\.obsm\['X_pca'\]\)"),
        "file": ("rows.csv", r"X is a file name or text, 'rows\.csv'; pass its rows: .*read_rows"),
        "path": (Path("rows.csv"), r"X is a file name .*read_rows"),
        "frame": (frame, r"the columns \['kind', 'at'\] are not numbers: leave them out"),
        "pyarrow": (pyarrow.table({"a": [1, 2], "b": ["x", "y"]}), r"the columns \['b'\] are not"),
        "polars": (frame[["kind"]], r"the columns \['kind'\] are not numbers"),
        "ragged": ([[1, 2], [3, 4], [5]], r"X\[0\] has 2 values, X\[2\] has 1 values"),
        "deep": ([[1, 2], 3], r"X\[0\] has 2 values, X\[1\] has one number"),
        "complex": (numbers + 1j, r"got dtype complex128; pass numpy\.hstack\(\[X\.real, X\.imag"),
        "sparse complex": (sp.csr_matrix(numbers + 1j), r"complex128; pass"),
        "mixed": (mixed, r"X\[3, 1\] is 'many': leave out column 1"),
        "text": (numbers.astype(str), r"got dtype <U32, text; pass X\.astype\(float\)"),
        "cells of text": (mixed.astype(str), r"<U4, text; X\[3, 1\] is 'many': leave out column 1"),
        "strings": (["a", "bc"], r"X has texts, the first 'a'; make vectors .*TfidfVectorizer"),
        "array of texts": (np.array(["a", "bc"]), "X has texts, the first 'a'; make vectors"),
        "column of texts": (frame["kind"], "X has texts, the first 'x'; make vectors of them"),
    }


@pytest.mark.parametrize(
    "case",
    [
        "anndata",
        "file",
        "path",
        "frame",
        "pyarrow",
        "polars",
        "ragged",
        "deep",
        "complex",
        "sparse complex",
        "mixed",
        "text",
        "cells of text",
        "strings",
        "array of texts",
        "column of texts",
    ],
)
def test_errors_say_what_to_pass_instead(case):
    X, message = refused_tables()[case]
    with pytest.raises((TypeError, ValueError), match=message):
        TSNE(**QUICK).fit(X)


@pytest.mark.parametrize("dtype", ["Float64", "Int64", "boolean", "double[pyarrow]", "object"])
def test_frames_with_missing_values_say_where(dtype):
    pandas = pytest.importorskip("pandas")
    if "pyarrow" in dtype:
        pytest.importorskip("pyarrow")
    column = pandas.Series([1, 1, pandas.NA, 1] * 5, dtype=dtype)
    frame = pandas.DataFrame({"a": np.arange(20), "b": column})
    with pytest.raises(ValueError, match=r"X must be finite; row 2 of the column 'b' is <NA>"):
        TSNE(**QUICK).fit(frame)
    with pytest.raises(ValueError, match=r"X must be finite; X\[2, 1\] is <NA>, a missing value"):
        TSNE(**QUICK).fit(frame.to_numpy(object))
    # What is no number at all comes first, and of that only.
    for X, message in (
        (frame.assign(kind="x"), r"the columns \['kind'\] are not numbers: leave them out"),
        (frame.assign(kind="x").to_numpy(object), r"X\[0, 2\] is 'x': leave out column 2"),
    ):
        with pytest.raises(TypeError, match=message):
            TSNE(**QUICK).fit(X)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_frames_with_nan_name_the_columns(dtype):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(np.arange(60.0, dtype=dtype).reshape(20, 3), columns=["a", "b", "c"])
    frame.loc[3, "b"] = frame.loc[0, "c"] = np.nan
    message = (
        r"row 3 of the column 'b' is nan, a missing value \(others are missing in c\): replace"
    )
    with pytest.raises(ValueError, match=message):
        TSNE(**QUICK).fit(frame)
    with pytest.raises(ValueError, match=r"X must be finite; X\[0, 2\] is nan"):
        TSNE(**QUICK).fit(frame.to_numpy())
    infinite = frame.fillna(1.0)
    infinite.loc[:1, "a"] = np.inf, -np.inf
    with pytest.raises(ValueError, match=r"X must be finite; X\[0, 0\] is inf"):
        TSNE(**QUICK).fit(infinite)


def test_texts_are_refused_before_an_array_of_them_is_made():
    """Each would have the room of the longest: 20 GB here."""
    texts = ["short"] * 5000 + ["x" * 1_000_000]
    tracemalloc.start()
    with pytest.raises(TypeError, match="X has texts, the first 'short'"):
        TSNE(**QUICK).fit(texts)
    assert tracemalloc.get_traced_memory()[1] < 1e6
    tracemalloc.stop()


def test_lists_in_cells_are_not_numbers():
    for cell in ([1, 2], np.arange(3)):
        X = np.ones((6, 2), object)
        X[3, 1] = cell
        with pytest.raises(TypeError, match=r"X\[3, 1\] is .*: leave out column 1"):
            TSNE(**QUICK).fit(X)


@pytest.mark.parametrize("use", ["constructor", "fit"])
def test_the_shape_of_an_initialization_is_checked_before_the_search(digits, use):
    class Index(Exact):
        def build(self):
            raise AssertionError("searched")

    wrong = np.zeros((100, 3))
    index = Index(digits[:100], 30)
    tsne = TSNE(neighbors=index, initialization=wrong if use == "constructor" else "pca")
    with pytest.raises(ValueError, match=r"initialization must have the shape \(100, 2\); got"):
        tsne.fit(digits[:100], initialization=wrong if use == "fit" else None)


# ---- what must not be silent: a crash, a parameter without effect, a useless map

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
