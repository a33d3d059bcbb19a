import numpy as np
import pytest
import scipy.sparse as sp
from scipy.spatial.distance import cdist

from fasttsne import metrics, report


@pytest.fixture(scope="module")
def clusters():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 5, 200)
    X = rng.normal(0, 2, (5, 6))[labels] + rng.normal(size=(200, 6))
    return X, X[:, :2] + rng.normal(0, 0.5, (200, 2)), np.array(list("abcde"))[labels]


def silhouettes_by_definition(points, labels):
    D, found = cdist(points, points), []
    for i, own in enumerate(labels):
        means = {each: D[i, (labels == each) & (np.arange(len(D)) != i)] for each in set(labels)}
        if len(means[own]) == 0:
            found.append(0.0)
            continue
        inner = means.pop(own).mean()
        outer = min(distances.mean() for distances in means.values())
        found.append((outer - inner) / max(inner, outer))
    return np.array(found)


def test_silhouettes(clusters):
    X, Y, labels = clusters
    found = metrics.label_agreement(X, Y, labels, sample_size=None)
    np.testing.assert_allclose(
        found.silhouette.values, silhouettes_by_definition(Y, labels), atol=1e-6
    )
    np.testing.assert_allclose(
        found.silhouette_in_data.values, silhouettes_by_definition(X, labels), atol=1e-6
    )
    assert list(found.labels) == list("abcde")


def test_those_of_scikit_learn(clusters):
    sklearn_metrics = pytest.importorskip("sklearn.metrics")
    X, Y, labels = clusters
    found = metrics.label_agreement(X, np.float32(Y), labels, sample_size=None)
    expected = sklearn_metrics.silhouette_score(np.float32(Y).astype(float), labels)
    assert found.silhouette == pytest.approx(expected, abs=1e-10)


def test_accuracy_is_that_of_a_vote(clusters):
    X, Y, labels = clusters
    found = metrics.label_agreement(X, Y, labels, k=7, sample_size=None)
    for points, accuracy in ((Y, found.accuracy), (X, found.accuracy_in_data)):
        D = cdist(points, points)
        np.fill_diagonal(D, np.inf)
        right = []
        for row, own in zip(np.argsort(D, axis=1)[:, :7], labels, strict=True):
            names, votes = np.unique(labels[row], return_counts=True)
            right.append(names[votes.argmax()] == own)
        assert accuracy == pytest.approx(np.mean(right))


def test_rows_without_a_label_are_left_out(clusters):
    X, Y, labels = clusters
    some = labels.astype(object)
    some[::4] = None
    found = metrics.label_agreement(X, Y, some, sample_size=None)
    np.testing.assert_array_equal(found.silhouette.rows, np.flatnonzero(np.arange(200) % 4))
    numbers = np.where(np.arange(200) % 4 == 0, np.nan, 1.0 * np.unique(labels, True, True)[2])
    assert metrics.label_agreement(X, Y, numbers, sample_size=None).silhouette == found.silhouette


@pytest.mark.parametrize("metric", ["euclidean", "cosine", "minkowski", "precomputed"])
@pytest.mark.parametrize("form", [np.float32, np.float64, sp.csr_matrix])
@pytest.mark.parametrize("missing", [0.1, 0.9, 0.97])
def test_labels_agree_as_if_rows_without_one_were_not_there(clusters, metric, form, missing):
    X, Y, labels = clusters
    X = cdist(X, X) if metric == "precomputed" else form(X)
    some = np.where(np.random.default_rng(0).random(200) < missing, None, labels)
    kept = np.flatnonzero(some != None)  # noqa: E711
    others = X[kept][:, kept] if metric == "precomputed" else X[kept]
    expected = metrics.label_agreement(others, Y[kept], labels[kept], 5, metric)
    found = metrics.label_agreement(X, Y, some, 5, metric)
    for name in ("accuracy", "accuracy_in_data", "silhouette", "silhouette_in_data"):
        assert getattr(found, name) == pytest.approx(getattr(expected, name), abs=1e-6)
    np.testing.assert_array_equal(found.accuracy.values, expected.accuracy.values)
    np.testing.assert_array_equal(found.accuracy.rows, kept)


def test_few_labels_of_clusters_far_from_each_other_agree():
    rng = np.random.default_rng(0)
    labels = np.repeat([0.0, 1.0], 500)
    X = rng.normal(size=(1000, 5)) + 30 * labels[:, None]
    labels[rng.random(1000) < 0.98] = np.nan
    found = metrics.label_agreement(X, X[:, :2], labels)
    assert found.accuracy == found.accuracy_in_data == 1
    result = report(X, X[:, :2], labels, n_jobs=1)
    assert result.scores["label_accuracy"] == result.scores["label_accuracy_in_data"] == 1
    assert "labels" not in {each.kind for each in result.findings}


def test_few_rows_are_not_outvoted():
    """Of ten rows in two clusters, nine neighbours would have five of the other label."""
    X = np.arange(10.0)[:, None] + np.repeat([0, 100], 5)[:, None]
    labels = np.repeat([0, 1], 5)
    assert metrics.label_agreement(X, X, labels, k=9).accuracy == 1
    assert report(X, X, labels).scores["label_accuracy"] == 1


def test_lists_with_nan_are_as_arrays_with_none(clusters):
    X, Y, labels = clusters
    some = labels.astype(object)
    some[::4] = None
    expected = metrics.label_agreement(X, Y, some, sample_size=None)
    found = metrics.label_agreement(
        X, Y, [np.nan if label is None else label for label in some], sample_size=None
    )
    assert list(found.labels) == list(expected.labels) == list("abcde")
    assert found.accuracy == expected.accuracy
    assert found.silhouette == expected.silhouette
    text = [label or "nan" for label in some]  # a label of that name
    assert list(metrics.label_agreement(X, Y, text).labels) == [*"abcde", "nan"]


@pytest.mark.parametrize("dtype", ["string", "object", "category"])
def test_rows_whose_label_pandas_has_not(clusters, dtype):
    pandas = pytest.importorskip("pandas")
    X, Y, labels = clusters
    some = labels.astype(object)
    some[::4] = None
    expected = metrics.label_agreement(X, Y, some)
    column = pandas.Series(some, dtype=dtype)
    for given in (column, column.astype(object).where(column.notna(), pandas.NA)):
        found = metrics.label_agreement(X, Y, given)
        assert list(found.labels) == list("abcde")
        assert found.accuracy == expected.accuracy


def test_dates_as_labels_may_be_missing(clusters):
    X, Y, labels = clusters
    dates = np.datetime64("2020-01-01") + np.unique(labels, return_inverse=True)[1]
    dates[::4] = np.datetime64("NaT")
    found = metrics.label_agreement(X, Y, dates, sample_size=None)
    assert len(found.labels) == 5
    assert len(found.silhouette.rows) == 150


def test_one_label_has_no_silhouette(clusters):
    X, Y, _ = clusters
    found = metrics.label_agreement(X, Y, np.zeros(200))
    assert found.accuracy == found.accuracy_in_data == 1
    assert np.isnan(found.silhouette)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.zeros(199), r"labels must have the shape \(200,\), one a row; got \(199,\)"),
        (np.zeros((200, 1)), r"got \(200, 1\)"),
        (np.full(200, np.nan), "known for at least 2 rows; got 0"),
    ],
)
def test_bad_labels(clusters, labels, message):
    X, Y, _ = clusters
    with pytest.raises(ValueError, match=message):
        metrics.label_agreement(X, Y, labels)
