"""Arrays that are none, or are strange, for each entry point: a right result or a clear error."""

import warnings

import numpy as np
import pytest
from hostile.strange_arrays import LAYOUTS, STRANGE
from quick import QUICK

import fasttsne
from fasttsne import TSNE, AlignedTSNE, Anchors, metrics
from fasttsne.callbacks import ScoreRecorder

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


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ROWS)
def test_strange_rows(name, old, points):
    assert fault_of(lambda: ROWS[name](X, old, points)) is None
    with np.errstate(all="ignore"):
        assert faults({name: ROWS[name]}, STRANGE, lambda change: change(X), old, points) == {}


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


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ROWS)
def test_layouts_of_rows(name, old, points):
    """The same values give the same bits, and the caller's array is as it was."""
    expected = as_arrays(ROWS[name](X, old, points))
    for kind, change in LAYOUTS.items():
        given = change(X)
        before = copied(given)
        for found, each in zip(as_arrays(ROWS[name](given, old, points)), expected, strict=True):
            np.testing.assert_array_equal(found, each, kind)
        np.testing.assert_array_equal(np.asarray(given), np.asarray(before))
