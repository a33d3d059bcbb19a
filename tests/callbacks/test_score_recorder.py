"""Scores on a sample while a map is made."""

import pickle

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.spatial.distance import cdist

from fasttsne import TSNE, metrics
from fasttsne.callbacks import ScoreRecorder
from fasttsne.datasets import load_digits

X, _ = load_digits()
X = X[:400]


def test_scores_of_a_sample_while_the_map_is_made():
    recorder = ScoreRecorder(X, sample_size=150)
    tsne = TSNE(
        random_state=0,
        callbacks=recorder,
        callbacks_every_iters=10,
        early_exaggeration_iter=50,
        n_iter=50,
        initialization="random",
    )
    embedding = tsne.fit(X)
    assert recorder.iterations == list(range(10, 101, 10))
    assert len(recorder.scores["trustworthiness"]) == 10
    rows = recorder.rows
    assert len(rows) == 150
    last = metrics.trustworthiness(X[rows], np.asarray(embedding)[rows], sample_size=None)
    assert recorder.scores["trustworthiness"][-1] == pytest.approx(last, abs=1e-3)
    assert recorder.scores["trustworthiness"][-1] > recorder.scores["trustworthiness"][0]
    copy = pickle.loads(pickle.dumps(recorder))
    assert copy.scores == recorder.scores
    recorder.clear()
    assert recorder.scores == {"neighbor_recall": [], "trustworthiness": []}


@pytest.mark.parametrize("kind", ["sparse", "list", "frame", "distances"])
def test_kinds_of_rows(kind):
    given, metric = {
        "sparse": (sp.csr_matrix(X), "euclidean"),
        "list": (X.tolist(), "euclidean"),
        "frame": (X, "euclidean"),
        "distances": (cdist(X, X), "precomputed"),
    }[kind]
    if kind == "frame":
        given = pytest.importorskip("pandas").DataFrame(X)
    points = np.random.default_rng(0).normal(size=(400, 2))
    expected = ScoreRecorder(X, ["distance_correlation", "continuity"])
    recorder = ScoreRecorder(given, ["distance_correlation", "continuity"], metric=metric)
    for each in (expected, recorder):
        each(1, 0.0, points)
    for name, values in expected.scores.items():
        assert recorder.scores[name] == pytest.approx(values, abs=1e-5)


def test_what_is_refused():
    with pytest.raises(ValueError, match="measures must be one of"):
        ScoreRecorder(X, ["nonsense"])
    with pytest.raises(TypeError, match="measures must be a list"):
        ScoreRecorder(X, "trustworthiness")
    with pytest.raises(ValueError, match="has 400 rows; the map has 399"):
        ScoreRecorder(X)(1, 0.0, np.zeros((399, 2)))
    for nothing in (None, 3.0, {"a": 1}, iter(X)):
        with pytest.raises((TypeError, ValueError), match="X must be two-dimensional"):
            ScoreRecorder(nothing)
    with pytest.raises(TypeError, match="file name or text"):
        ScoreRecorder("rows.npy")
    with pytest.raises(ValueError, match="masked entries"):
        ScoreRecorder(np.ma.masked_array(X, X > 10))
