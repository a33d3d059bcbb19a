"""Warnings: maps with known faults are found out, good ones are not."""

import numpy as np
import pytest

import fasttsne
from fasttsne.datasets import load_digits


def report_of(X, embedding, sample=50, **settings):
    """A report of few scores: most warnings read all points, whatever the sample."""
    return fasttsne.report(X, embedding, sample=sample, **settings)


def kinds(X, embedding, **settings):
    return [finding.kind for finding in report_of(X, embedding, **settings).findings]


@pytest.fixture(scope="module")
def clouds():
    """Five clouds that are far apart, and their map."""
    rng = np.random.default_rng(0)
    centers = 12 * rng.normal(size=(5, 10))
    X = (centers[np.arange(1000) % 5] + rng.normal(size=(1000, 10))).astype(np.float32)
    return X, fasttsne.TSNE(random_state=0).fit(X)


def test_a_good_map_has_no_warnings(clouds):
    report = report_of(*clouds, sample=300, labels=np.arange(1000) % 5)
    assert report.findings == ()
    assert not report.points["finding"].any()


def test_a_cloud_that_the_map_splits(clouds):
    """A gap is cut through one of the clouds, which in the data has none."""
    X, embedding = clouds
    cut = np.array(embedding)
    members = np.flatnonzero(np.arange(1000) % 5 == 0)
    inner = cut[members] - cut[members].mean(0)
    side = inner[:, 0] > 0
    cut[members[side], 0] += 10
    report = report_of(X, cut)
    (split,) = [finding for finding in report.findings if finding.kind == "split"]
    assert np.isin(split.rows, members).all()
    number = report.findings.index(split) + 1
    assert (report.points["finding"] == number).sum() > 0.5 * len(split.rows)


def test_a_sheet_that_is_torn():
    """A square, which has no clusters at all: its map is itself, cut in two or not."""
    X = np.random.default_rng(0).random((1000, 2)).astype(np.float32)
    torn = X + 0.5 * (X[:, :1] > 0.5)
    report = report_of(X, torn)
    split = next(finding for finding in report.findings if finding.kind == "split")
    assert (np.abs(X[split.rows, 0] - 0.5) < 0.15).all()
    assert "split" not in kinds(X, X)


def is_split(X, embedding):
    return "split" in kinds(X, embedding)


@pytest.mark.slow
def test_one_gaussian_is_split_by_a_low_perplexity():
    """The map's own graph has the same gaps: those of the sample."""
    X = np.random.default_rng(0).normal(size=(1000, 2))
    assert is_split(X, fasttsne.TSNE(perplexity=5, random_state=0).fit(X))
    assert not is_split(X, fasttsne.TSNE(random_state=0).fit(X))


@pytest.mark.slow
def test_two_gaussians_that_are_apart_have_a_gap():
    X = np.random.default_rng(0).normal(size=(1000, 5))
    X[:500, 0] += 6
    assert not is_split(X, fasttsne.TSNE(random_state=0).fit(X))


def test_points_that_have_not_arrived(clouds):
    X, embedding = clouds
    astray = np.array(embedding)
    astray[:40] += np.random.default_rng(0).normal(scale=3000, size=(40, 2))
    report = report_of(X, astray)
    stranded = next(finding for finding in report.findings if finding.kind == "stranded")
    assert np.array_equal(stranded.rows, np.arange(40))


@pytest.mark.slow
def test_a_run_that_was_stopped_early(clouds):
    X, _ = clouds
    short = fasttsne.TSNE(random_state=0, early_exaggeration_iter=10, n_iter=10).fit(X)
    assert "stopped" in kinds(X, short)
    begun = fasttsne.TSNE(random_state=0).prepare_initial(X)
    assert "stopped" in kinds(X, begun)
    assert "stopped" not in kinds(X, np.asarray(short))  # of other programs it is not known


def test_rows_that_are_equal(clouds):
    X, embedding = clouds
    X = X.copy()
    X[:20] = X[0]
    report = report_of(X, embedding)
    (finding,) = [finding for finding in report.findings if finding.kind == "duplicates"]
    assert np.array_equal(finding.rows, np.arange(20))
    assert (report.points["n_equal"][:20] == 19).all()
    assert "up to 20 to one another" in finding.text


def test_a_graph_that_lacks_neighbors(clouds):
    X, _ = clouds
    rng = np.random.default_rng(0)
    columns = (np.arange(1000)[:, None] + 1 + rng.permutation(999)[:30]) % 1000
    distances = np.linalg.norm(X[:, None] - X[columns], axis=2)
    wrong = fasttsne.TSNE(random_state=0, perplexity=10, n_iter=50, early_exaggeration_iter=50)
    wrong.neighbors = columns, distances
    assert "graph" in kinds(X, wrong.fit(X))


def test_labels_that_the_map_mixes():
    X, y = load_digits()
    X, y = X[:500], y[:500]
    line = np.linalg.svd(X - X.mean(0), full_matrices=False)[0][:, :1]
    assert "labels" in kinds(X, line, labels=y, sample=500)
