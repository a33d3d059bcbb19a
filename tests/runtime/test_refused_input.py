"""Input that must be an error: types, sparse matrices, metrics, callbacks and objectives."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from quick import QUICK

from fasttsne import TSNE, TSNEEmbedding
from fasttsne.nearest_neighbors import Exact


@pytest.mark.parametrize("dtype", ["c8", "U5", "M8[s]", "m8[s]"])
def test_what_only_looks_like_numbers_is_refused(dtype):
    X = np.arange(12).reshape(6, 2).astype(dtype)
    with pytest.raises(TypeError, match="X must hold real numbers; got dtype"):
        TSNE(**QUICK).fit(X)


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
