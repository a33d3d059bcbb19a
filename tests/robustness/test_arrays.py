"""Arrays of every kind at every entry point: a finite map or an error that says what is wrong.

Data is drawn as a recipe (sizes, dtype, content, scale, layout), which hypothesis shrinks well;
other arrays are listed.  Nothing that is passed in is changed.
"""

import faulthandler
import re
import warnings
from dataclasses import dataclass

import numpy as np
import pytest
import scipy.sparse as sp
from helpers import strange_arrays
from helpers.quick import QUICK
from helpers.strange_arrays import STRANGE
from hypothesis import given
from hypothesis import strategies as st

import fasttsne
from fasttsne import TSNE, AlignedTSNE, Anchors, metrics
from fasttsne.callbacks import ScoreRecorder
from fasttsne.nearest_neighbors import Exact

METHODS = ("auto", "fft", "bh", "exact")
# Warnings that such data deserve.
EXPECTED = "perplexity|the map has not settled|.* times as far out as most rows"
SHORT = {**QUICK, "early_exaggeration_iter": 3, "n_iter": 3}


@pytest.fixture(autouse=True, scope="module")
def no_hanging():
    """What hangs in a kernel, where Python cannot raise, ends the run with a traceback."""
    faulthandler.dump_traceback_later(4 * 3600, exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()


# ---- arrays

CONTENTS = {
    "normal": lambda rng, shape: rng.normal(size=shape),
    "far away": lambda rng, shape: 1e7 + rng.normal(size=shape),
    "integers": lambda rng, shape: rng.integers(-3, 4, size=shape).astype(float),
    "constant": lambda rng, shape: np.full(shape, 7.0),
    "zeros": lambda rng, shape: np.zeros(shape),
    "few different rows": lambda rng, shape: rng.normal(size=(3, *shape[1:]))[
        rng.integers(0, 3, shape[0])
    ],
    "every scale": lambda rng, shape: (
        rng.normal(size=shape) * 10.0 ** rng.uniform(-300, 300, size=shape)
    ),
    "denormal": lambda rng, shape: rng.integers(-9, 9, size=shape) * 5e-324,
    "largest": lambda rng, shape: rng.choice([-1, 1], size=shape) * np.finfo(float).max,
    "an outlier": lambda rng, shape: np.where(
        np.arange(int(np.prod(shape))).reshape(shape) == 0, 1e305, rng.normal(size=shape)
    ),
    "one column": lambda rng, shape: rng.normal(size=shape) * (np.arange(shape[-1]) == 0),
}
DTYPES = ("f2", "f4", "f8", ">f4", ">f8", "g", "i1", "u1", "i2", "i8", "u8", "?", "O")
STRANGE_DTYPES = ("c8", "U5", "S3", "M8[s]", "m8[s]", "V4")
LAYOUTS = {
    "C": np.ascontiguousarray,
    "Fortran": np.asfortranarray,
    "every second row": lambda X: np.repeat(X, 2, axis=0)[::2],
    "backwards": lambda X: np.ascontiguousarray(X[::-1])[::-1],
    "columns backwards": lambda X: np.ascontiguousarray(X[:, ::-1])[:, ::-1],
    "part of wider rows": lambda X: np.concatenate([X, X, X], axis=1)[
        :, X.shape[1] : 2 * X.shape[1]
    ],
    "misaligned": lambda X: misaligned(X),
    "read-only": lambda X: read_only(X),
    "matrix": lambda X: X.view(np.matrix),
    "sparse": sp.csr_matrix,
}


def read_only(X):
    X = X.copy()
    X.setflags(write=False)
    return X


def misaligned(X):
    if X.dtype.hasobject:
        return X
    raw = np.zeros(X.nbytes + 1, np.uint8)[1:]
    raw[:] = np.ascontiguousarray(X).view(np.uint8).ravel() if X.size else 0
    return raw.view(X.dtype).reshape(X.shape)


@dataclass
class Recipe:
    rows: int
    columns: int
    content: str
    scale: int
    dtype: str
    layout: str
    poison: float | None
    seed: int

    def make(self):
        """The array, and whether it is data that must be embedded."""
        rng = np.random.default_rng(self.seed)
        X = CONTENTS[self.content](rng, (self.rows, self.columns))
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            X = X * 10.0**self.scale
            if self.poison is not None and X.size:
                X.flat[rng.integers(X.size)] = self.poison
            if self.dtype in STRANGE_DTYPES:
                if self.dtype[0] in "Mm":
                    X = X.astype("i8")
                return X.astype(self.dtype), False
            X = X.astype(self.dtype)
            is_finite = bool(np.isfinite(X.astype(np.float64)).all())
        layout = self.layout
        if layout == "sparse" and self.dtype not in ("f4", "f8"):
            layout = "C"
        return LAYOUTS[layout](X), is_finite and self.rows >= 2 and self.columns >= 1


recipes = st.builds(
    Recipe,
    rows=st.integers(2, 200) | st.integers(0, 12),
    columns=st.integers(1, 10) | st.integers(0, 70),
    content=st.sampled_from(sorted(CONTENTS)),
    scale=st.just(0) | st.integers(-300, 300),
    dtype=st.sampled_from(["f4", "f8"]) | st.sampled_from(DTYPES + STRANGE_DTYPES),
    layout=st.sampled_from(sorted(LAYOUTS)),
    poison=st.sampled_from([None] * 9 + [np.nan, np.inf, -np.inf]),
    seed=st.integers(0, 99),
)

kinds = st.fixed_dictionaries(
    {
        "n_components": st.integers(1, 3),
        "negative_gradient_method": st.sampled_from(METHODS),
        "initialization": st.sampled_from(["pca", "spectral", "random"]),
        "neighbors": st.sampled_from(["auto", "exact", "approx"]),
        "metric": st.sampled_from(["euclidean", "cosine", "correlation"]),
        "perplexity": st.sampled_from([30, 5, 1, 0.3, 1000]),
    },
    optional={
        "dof": st.sampled_from([0.3, 3.5, 50, 0.0011, 1e6]),
        "learning_rate": st.sampled_from([1e-6, 1, 100, 1e5]),
        "max_step_norm": st.sampled_from([0.1, 1e-300, 1e300, None]),
        "max_grad_norm": st.sampled_from([0.25, 1e-9, 1e300]),
        "early_exaggeration": st.sampled_from([1e-300, 0.1, 1000, 1e300]),
        "density_weight": st.sampled_from([0.1, 10, 1e6]),
    },
)


def may_fly_apart(params):
    """Whether steps are so long, and not bounded."""
    is_bold = params.get("learning_rate") == 1e5 or params.get("density_weight") == 1e6
    # With the automatic rate, n / exaggeration, the one makes up for the other only in part.
    is_bold |= params.get("early_exaggeration") in (1e-300, 1e300)
    return is_bold and params.get("max_step_norm", 5) in (None, 1e300)


def bits(X):
    """All there is in an array or sparse matrix."""
    if sp.issparse(X):
        return tuple(part.tobytes() for part in (X.data, X.indices, X.indptr))
    return X.tolist() if X.dtype.hasobject else X.tobytes()


@given(recipes, kinds)
@pytest.mark.slow
def test_arrays(recipe, params):
    X, is_valid = recipe.make()
    before = bits(X)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", EXPECTED)
        try:
            embedding = TSNE(**{**SHORT, **params}).fit(X)
        except OverflowError as error:
            assert may_fly_apart(params), error
            assert "learning_rate" in str(error)
        except (ValueError, TypeError) as error:
            assert not is_valid, "data that must be embedded was refused"
            assert "X" in str(error).split(), error
        else:
            assert is_valid, "data that must be refused was embedded"
            assert embedding.shape == (recipe.rows, params["n_components"])
            assert np.isfinite(embedding).all()
            assert np.isfinite(embedding.kl_divergence)
    assert bits(X) == before


# ---- metrics

METRIC_PARAMS = (
    None, None, {"p": 3}, {"p": 0.5}, {"p": -1}, {"p": np.inf}, {"p": "x"}, {"V": np.zeros((3, 3))},
    {"V": np.ones(3)}, {"VI": np.eye(3)}, {"VI": "x"}, {"w": [1, 2, 3]}, {"w": [-1, 0, np.nan]},
    {"sorcery": 1}, [1], "x",
)  # fmt: skip


@given(
    recipes,
    st.sampled_from(sorted(Exact.VALID_METRICS)),
    st.sampled_from(METRIC_PARAMS),
    st.sampled_from(["auto", "exact"]),
)
def test_metrics(recipe, metric, metric_params, neighbors):
    """Not all numbers have all metrics; what is not embedded is refused for a reason."""
    recipe.columns = recipe.columns and 3
    X, _ = recipe.make()
    before = bits(X)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tsne = TSNE(metric=metric, metric_params=metric_params, neighbors=neighbors, **SHORT)
        try:
            embedding = tsne.fit(X)
        except (ValueError, TypeError) as error:
            assert {"X", "metric", "metric_params"} & set(re.findall(r"\w+", str(error))), error
        else:
            assert np.isfinite(embedding).all()
            assert np.isfinite(embedding.kl_divergence)
    assert bits(X) == before


# ---- new rows

REFERENCE = np.random.default_rng(0).normal(size=(60, 4))


@pytest.fixture(scope="module")
def reference():
    return TSNE(perplexity=10, **SHORT).fit(REFERENCE)


@given(
    recipes,
    st.integers(0, 5),
    st.sampled_from(["median", "weighted", "random"]),
    st.sampled_from([5, 0.5, 40]),
    st.integers(1, 40),
    st.sampled_from([0.1, 100, "auto", 1e5]),
    st.sampled_from([0.25, 1e300, None]),
)
def test_new_rows(
    reference, recipe, columns, initialization, perplexity, k, learning_rate, max_grad_norm
):
    recipe.columns = columns if columns < 4 else 4
    X, is_finite = recipe.make()
    is_valid = recipe.columns == 4 and (is_finite or (recipe.rows == 1 and allowed(X)))
    before, map_before = bits(X), reference.tobytes()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", EXPECTED)
        try:
            placed = reference.transform(
                X,
                perplexity,
                initialization,
                k,
                learning_rate,
                n_iter=3,
                early_exaggeration_iter=2,
                max_grad_norm=max_grad_norm,
            )
        except OverflowError as error:
            assert learning_rate == 1e5, error
        except (ValueError, TypeError) as error:
            assert not is_valid or recipe.layout == "sparse", error
        else:
            assert is_valid or recipe.rows == 0
            assert placed.shape == (recipe.rows, 2)
            assert np.isfinite(placed).all()
    assert bits(X) == before
    assert reference.tobytes() == map_before


def allowed(X):
    """Whether one row is finite numbers."""
    if sp.issparse(X):
        return np.isfinite(X.data).all()
    return X.dtype.kind in "fiubO" and np.isfinite(X.astype(np.float64)).all()


# ---- parameters

ODD = (
    None, True, -1, 0, 1, 2, 3.5, -0.0, 1e-300, 1e300, 10**5, -(10**5), 10**30, np.nan, np.inf,
    -np.inf, "auto", "", "x", b"fft", (), [], {}, [1, 2], np.float32(3), np.int8(5), np.array(3),
    np.array([1.0, 2.0]), 1 + 2j, object(), print, range(3),
)  # fmt: skip
ITERATIONS = tuple(value for value in ODD if not (isinstance(value, int) and value > 9))
PARAMETERS = {
    name: ITERATIONS if name.endswith("iter") else ODD
    for name in vars(TSNE())
    if name not in ("verbose", "metric_params", "knn_kwargs")
}
SMALL = np.random.default_rng(1).normal(size=(30, 3))


@given(st.data())
def test_parameters(data):
    name = data.draw(st.sampled_from(sorted(PARAMETERS)))
    value = data.draw(st.sampled_from(PARAMETERS[name]))
    method = data.draw(st.sampled_from(METHODS))
    bound = data.draw(st.sampled_from([5, None]))
    params = {
        **SHORT,
        "perplexity": 5,
        "negative_gradient_method": method,
        "max_step_norm": bound,
        name: value,
    }
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", EXPECTED)
        try:
            embedding = TSNE(**params).fit(SMALL)
        except (ValueError, TypeError, OverflowError, IsADirectoryError) as error:
            assert name in str(error), f"{error} does not name {name}"
        else:
            assert np.isfinite(embedding).all()
            assert embedding.shape[0] == 30


# ---- graphs and affinities


@dataclass
class Graph:
    n: int
    k: int
    seed: int
    fault: str
    scale: int
    dtype: str

    def make(self):
        """Lists of neighbours and their distances, with one fault, and whether it is one."""
        rng = np.random.default_rng(self.seed)
        k = min(self.k, self.n - 1)
        indices = np.array(
            [rng.permutation(np.delete(np.arange(self.n), i))[:k] for i in range(self.n)]
        ).astype("i8")
        distances = np.sort(rng.uniform(size=indices.shape), axis=1)
        with np.errstate(all="ignore"):
            distances = (distances * 10.0**self.scale).astype(self.dtype)
        place = tuple(int(rng.integers(size)) for size in indices.shape)
        with np.errstate(all="ignore"):
            if self.fault in FAULTY:
                array, value = {
                    "negative number": (indices, -1),
                    "number too large": (indices, self.n),
                    "number huge": (indices, 2**40),
                    "nan": (distances, np.nan),
                    "infinite": (distances, np.inf),
                    "negative distance": (distances, -1),
                }[self.fault]
                array[place] = value
        if self.fault == "unsorted":
            distances = np.ascontiguousarray(distances[:, ::-1])
        if self.fault == "equal":
            distances[:] = distances[0, 0]
        return indices, distances, self.fault in FAULTY or not np.isfinite(distances).all()


FAULTY = (
    "negative number",
    "number too large",
    "number huge",
    "nan",
    "infinite",
    "negative distance",
)
graphs = st.builds(
    Graph,
    n=st.integers(2, 120),
    k=st.integers(1, 30),
    seed=st.integers(0, 99),
    fault=st.sampled_from(["none", "unsorted", "equal", *FAULTY]),
    scale=st.just(0) | st.integers(-300, 300),
    dtype=st.sampled_from(["f4", "f8"]),
)
STARTS = st.sampled_from(["random", "spectral"])


@given(graphs, st.sampled_from(METHODS), STARTS)
@pytest.mark.slow
def test_graphs(graph, method, start):
    indices, distances, is_faulty = graph.make()
    before = indices.tobytes(), distances.tobytes()
    params = {
        "neighbors": (indices, distances),
        "negative_gradient_method": method,
        "perplexity": 3,
        "initialization": start,
    }
    check_outcome(lambda: TSNE(**params, **SHORT).fit(), is_faulty, graph.n)
    assert (indices.tobytes(), distances.tobytes()) == before


@given(
    graphs,
    st.sampled_from(METHODS),
    st.sampled_from(["csr", "csc", "coo", "dense"]),
    st.booleans(),
    STARTS,
)
@pytest.mark.slow
def test_matrices(graph, method, kind, as_affinities, start):
    """The graph as a matrix of distances or of affinities, whose columns may be forged."""
    indices, distances, is_faulty = graph.make()
    if kind == "dense" or graph.fault in ("negative number", "number too large", "number huge"):
        kind = "csr"
    indptr = np.arange(graph.n + 1) * indices.shape[1]
    matrix = sp.csr_matrix((graph.n, graph.n), dtype=distances.dtype)
    matrix.data, matrix.indices, matrix.indptr = distances.ravel(), indices.ravel(), indptr
    if kind != "csr":
        matrix = matrix.asformat(kind)
    before = [part.tobytes() for part in (matrix.data, *matrix_parts(matrix))]
    common = {"negative_gradient_method": method, "initialization": start, **SHORT}
    if as_affinities:
        nothing = not distances.astype(np.float64).any()
        check_outcome(lambda: TSNE(**common).fit(affinities=matrix), is_faulty or nothing, graph.n)
    else:
        check_outcome(
            lambda: TSNE(neighbors=matrix, perplexity=3, **common).fit(), is_faulty, graph.n
        )
    assert [part.tobytes() for part in (matrix.data, *matrix_parts(matrix))] == before


def matrix_parts(matrix):
    return (matrix.row, matrix.col) if matrix.format == "coo" else (matrix.indices, matrix.indptr)


def check_outcome(function, is_faulty, n):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", EXPECTED)
        try:
            embedding = function()
        except (ValueError, TypeError) as error:
            assert is_faulty, f"a graph that must be embedded was refused: {error}"
            assert len(str(error)) > 20
        else:
            assert not is_faulty, "a graph that must be refused was embedded"
            assert embedding.shape == (n, 2)
            assert np.isfinite(embedding).all()
            assert np.isfinite(embedding.kl_divergence)


# ---- strange arrays, for each function that takes rows, a map or one value a row

N, D = 40, 6
X = np.random.default_rng(0).integers(0, 9, (N, D)).astype(np.float32)
FIT = {**QUICK, "n_iter": 5, "early_exaggeration_iter": 5, "perplexity": 5, "n_jobs": 1}
LABELS = np.arange(N) % 3
PINNED = np.where(np.arange(N) < 9, np.inf, 0)
MAX_MESSAGE = 700


@pytest.fixture(scope="module")
def old():
    return TSNE(**FIT).fit(X)


@pytest.fixture(scope="module")
def points(old):
    return np.array(old)


def recorded(rows, points):
    recorder = ScoreRecorder(rows, ["neighbor_recall", "density_correlation"])
    recorder(1, 0.0, points)
    return list(recorder.scores.values())


def numbers_of(report):
    return [np.array([float(report.scores[name]) for name in report.scores if name != "seconds"])]


def estimator(rows):
    from fasttsne.sklearn import TSNE as Estimator

    return Estimator(**{**FIT, "random_state": 0}).fit(rows)


def mapped(rows, measure="trustworthiness", y=None):
    from fasttsne.sklearn import MapScorer

    return MapScorer(measure, k=2)(estimator(X), rows, y)


def wider():
    """A map of more rows than are replaced."""
    return TSNE(**FIT).fit(np.concatenate([X, X[:10] + 1]))


def aligned(*sets, **more):
    return AlignedTSNE(**FIT, **more).fit(list(sets))


def aligned_then(rows):
    model = AlignedTSNE(**FIT)
    model.fit([X, X[:30]])
    return model.update(rows)


# What takes rows: a function of the array, the good map and its points.
ROWS = {
    "fit": lambda A, old, Y: TSNE(**FIT).fit(A),
    "fit, drawn to components": lambda A, old, Y: TSNE(**FIT, global_structure=0.2).fit(A),
    "AlignedTSNE, first": lambda A, old, Y: aligned(A, X),
    "AlignedTSNE, second": lambda A, old, Y: aligned(X, A),
    "AlignedTSNE.update": lambda A, old, Y: aligned_then(A),
    "update": lambda A, old, Y: old.update(A, n_iter=3),
    "update, held": lambda A, old, Y: old.update(A, n_iter=3, hold=1.0),
    "update, replacing": lambda A, old, Y: wider().update(A, n_iter=3, replace=np.arange(N)),
    "transform": lambda A, old, Y: old.transform(A, n_iter=3),
    "partial_fit": lambda A, old, Y: estimator(X).partial_fit(A).embedding_,
    "report": lambda A, old, Y: numbers_of(fasttsne.report(A, Y, n_jobs=1)),
    "compare": lambda A, old, Y: [
        np.array([float(v) for v in each.values()])
        for each in fasttsne.compare({"a": Y, "b": Y[:, ::-1]}, A, n_jobs=1).scores.values()
    ],
    "ScoreRecorder": lambda A, old, Y: recorded(A, Y),
    "MapScorer": lambda A, old, Y: mapped(A),
    "graph_recall": lambda A, old, Y: metrics.graph_recall(A, old, 3),
    "rank_curves": lambda A, old, Y: metrics.rank_curves(A, Y).auc,
    "stress": lambda A, old, Y: metrics.stress(A, Y).total,
    "local_distortion": lambda A, old, Y: metrics.local_distortion(A, Y, 5).explained,
    "label_agreement": lambda A, old, Y: metrics.label_agreement(A, Y, LABELS, 3).accuracy,
}
# What takes points of a map, or targets.
MAPS = {
    "report": lambda B, old: numbers_of(fasttsne.report(X, B, n_jobs=1)),
    "compare": lambda B, old: fasttsne.compare({"a": B, "b": B}, X, n_jobs=1).headline,
    "ScoreRecorder": lambda B, old: recorded(X, B),
    "global_reference": lambda B, old: TSNE(**FIT, global_structure=0.2, global_reference=B).fit(X),
    "anchors": lambda B, old: TSNE(**FIT).fit(X, anchors=Anchors(B, 1.0)),
    "anchors that pin": lambda B, old: old.optimize(3, anchors=Anchors(B, PINNED)),
    "stability": lambda B, old: metrics.stability([B, np.array(old)]).overlap,
    "rank_curves": lambda B, old: metrics.rank_curves(X, B).auc,
    "stress": lambda B, old: metrics.stress(X, B).total,
    "initialization": lambda B, old: TSNE(**FIT).fit(X, initialization=B),
}
# What takes one value for each row.
LABELLED = {
    "report": lambda y, old: numbers_of(fasttsne.report(X, np.array(old), labels=y, n_jobs=1)),
    "label_agreement": lambda y, old: metrics.label_agreement(X, np.array(old), y, 3).accuracy,
    "MapScorer": lambda y, old: mapped(X, "label_accuracy", y),
    "weights of anchors": lambda y, old: TSNE(**FIT).fit(X, anchors=Anchors(np.array(old), y)),
    "drop": lambda y, old: old.drop(y),
    "replace": lambda y, old: old.update(X[:2], n_iter=2, replace=y),
}
VALUES = {
    "NaN": lambda: np.where(np.arange(N) == 3, np.nan, 1.0),
    "negative": lambda: -np.ones(N),
    "infinite": lambda: np.full(N, np.inf),
    "1e300": lambda: np.full(N, 1e300),
    "too few": lambda: np.zeros(N - 1, int),
    "none": lambda: [],
    "two dimensions": lambda: np.zeros((N, 2), int),
    "all equal": lambda: np.zeros(N, int),
    "all different": lambda: np.arange(N),
    "text": lambda: np.array(["a", "b"] * (N // 2)),
    "objects": lambda: np.array([None, "b"] * (N // 2), object),
    "mixed": lambda: np.array([1, "b"] * (N // 2), object),
    "complex": lambda: np.ones(N) * 1j,
    "dates": lambda: np.arange(N).astype("M8[D]"),
    "None": lambda: None,
    "a number": lambda: 3,
    "a text": lambda: "labels",
    "a dictionary": lambda: {1: 2},
    "mask, all": lambda: np.ones(N, bool),
    "mask, none": lambda: np.zeros(N, bool),
    "mask, two": lambda: np.arange(N) < 2,
    "mask, short": lambda: np.ones(3, bool),
    "floats": lambda: [1.0, 2.0],
    "halves": lambda: [0.5, 1.5],
    "twice": lambda: [1, 1],
    "out of range": lambda: [0, N],
    "-1": lambda: [0, -1],
    "-N - 1": lambda: [0, -N - 1],
    "2^63": lambda: np.array([0, 2**63], np.uint64),
    "10^30": lambda: [0, 10**30],
    "read-only": lambda: np.frombuffer(np.arange(2).tobytes(), int),
    "big-endian": lambda: np.arange(2).astype(">i2"),
}


def copied(value):
    return value.copy() if hasattr(value, "copy") and not isinstance(value, dict) else value


def fault_of(call):
    """What is wrong with how a call ends; None where it is right."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", RuntimeWarning)  # of NumPy: numbers that are none
            result = call()
    except (ValueError, TypeError, NotImplementedError) as error:
        text = str(error)
        is_clear = 10 < len(text) < MAX_MESSAGE and "unsupported operand" not in text
        is_clear = is_clear or text.startswith("Complex data not supported")  # of scikit-learn
        return None if is_clear else f"{type(error).__name__}: {text!r}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    for part in result if isinstance(result, (list, tuple)) else [result]:
        if isinstance(part, fasttsne.TSNEEmbedding) and not np.isfinite(part).all():
            return "the map is not finite"
    return None


def faults(cases, table, make, *more):
    found = {}
    for name, function in cases.items():
        for kind, change in table.items():
            value = make(change)
            fault = fault_of(lambda f=function, v=value: f(v, *more))
            if fault is not None:
                found[name, kind] = fault
    return found


@pytest.mark.thin(6)
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ROWS)
def test_strange_rows(name, old, points):
    assert fault_of(lambda: ROWS[name](X, old, points)) is None
    with np.errstate(all="ignore"):
        assert faults({name: ROWS[name]}, STRANGE, lambda change: change(X), old, points) == {}


@pytest.mark.thin(5)
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", MAPS)
def test_strange_maps(name, old, points):
    MAPS[name](points, old)
    with np.errstate(all="ignore"):
        assert faults({name: MAPS[name]}, STRANGE, lambda change: change(points), old) == {}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", LABELLED)
def test_strange_values(name, old):
    assert faults({name: LABELLED[name]}, VALUES, lambda make: make(), old) == {}


def as_arrays(result):
    return [np.asarray(part) for part in (result if isinstance(result, list) else [result])]


@pytest.mark.thin(5)
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ROWS)
def test_layouts_of_rows(name, old, points):
    """The same values give the same bits, and the caller's array is as it was."""
    expected = as_arrays(ROWS[name](X, old, points))
    for kind, change in strange_arrays.LAYOUTS.items():
        given = change(X)
        before = copied(given)
        for found, each in zip(as_arrays(ROWS[name](given, old, points)), expected, strict=True):
            np.testing.assert_array_equal(found, each, kind)
        np.testing.assert_array_equal(np.asarray(given), np.asarray(before))
