"""The page of a report as text: what is in it, how large it is, and that nothing escapes."""

import base64
import json
import re
import sys

import numpy as np
import pytest

import fasttsne
from fasttsne.reports.page import NO_NEIGHBOR

pytest.importorskip("jinja2", reason="needs Jinja2: the extra report")

HOSTILE = "</script><img src=x onerror=alert(1)>&\"'{{ 7 * 7 }}\u2028"


@pytest.fixture(scope="module")
def clouds():
    rng = np.random.default_rng(0)
    labels = rng.integers(4, size=400)
    X = 10 * rng.normal(size=(4, 5))[labels] + rng.normal(size=(400, 5))
    return X, fasttsne.TSNE(random_state=0, n_iter=100).fit(X), labels


def page_of(report, tmp_path, **settings):
    return report.to_html(tmp_path / "report.html", **settings).read_text(encoding="utf-8")


def data_of(text):
    return json.loads(re.search(r'type="application/json">(.*?)</script>', text, re.S)[1])


def unpacked(text, dtype):
    return np.frombuffer(base64.b64decode(text), dtype)


def test_points_and_neighbors_are_those_of_the_map(clouds, tmp_path):
    X, embedding, labels = clouds
    report = fasttsne.report(X, embedding, labels=labels)
    data = data_of(page_of(report, tmp_path))
    places = unpacked(data["points"], "<u2").reshape(-1, 2).astype(float)
    points = np.asarray(embedding)
    scaled = (points - points.min(0)) / np.ptp(points, axis=0).max() * 65535
    assert np.abs(places - scaled).max() <= 0.5
    near = unpacked(data["neighbors"]["data"], "<u4").reshape(400, data["neighbors"]["k"])
    P = embedding.affinities.P_float32
    for row in (0, 7, 399):
        strongest = P[row].toarray().ravel()
        assert set(near[row]) <= set(np.flatnonzero(strongest))
        assert strongest[near[row]].min() >= np.sort(strongest)[-8]
    layers = {layer["name"]: layer for layer in data["layers"]}
    assert unpacked(layers["label"]["codes"], "u1").tolist() == labels.tolist()
    recall = layers["neighbor_recall"]
    share = unpacked(recall["codes"], "u1") / 254
    values = recall["low"] + share * (recall["high"] - recall["low"])
    clipped = np.clip(report.points["neighbor_recall"], recall["low"], recall["high"])
    np.testing.assert_allclose(values, clipped, atol=0.01)


def test_texts_of_strangers_are_escaped(clouds, tmp_path):
    X, embedding, labels = clouds
    names = np.array([HOSTILE, "b", "c", "d"], object)[labels]
    text = page_of(fasttsne.report(X, embedding, labels=names), tmp_path, title=HOSTILE)
    assert "<img" not in text
    assert "7 * 7" in text  # it is no template
    assert text.count("</script>") == 2
    layer = data_of(text)["layers"][0]
    assert layer["texts"][0] == HOSTILE
    assert "default-src 'none'" in text


def test_a_sample_of_many_points(clouds, tmp_path, monkeypatch):
    monkeypatch.setattr("fasttsne.reports.page.MAX_SHOWN", 100)
    X, embedding, labels = clouds
    report = fasttsne.report(X, embedding, labels=labels)
    text = page_of(report, tmp_path)
    assert "100 of the 400 points are shown" in text
    data = data_of(text)
    rows = unpacked(data["rows"], "<u4")
    assert data["n"] == len(rows) == 100
    near = unpacked(data["neighbors"]["data"], "<u4").reshape(100, -1)
    known = near != NO_NEIGHBOR
    assert 0 < known.sum() < known.size
    shown = rows[near[known]]
    assert np.isin(report.neighbors[rows][:, :8][known], shown).all()


def test_many_labels_become_others(tmp_path):
    rng = np.random.default_rng(0)
    points = rng.normal(size=(700, 2))
    labels = np.array([f"{i % 300:03}" for i in range(700)])
    report = fasttsne.report(rng.normal(size=(700, 3)), points, labels=labels, sample=20)
    layer = data_of(page_of(report, tmp_path))["layers"][0]
    assert len(layer["texts"]) == 255
    assert layer["texts"][-1] == "others"
    codes = unpacked(layer["codes"], "u1")
    named = codes < 254
    assert np.array_equal(np.array(layer["texts"])[codes[named]], labels[named])


def test_three_dimensions_and_one(tmp_path):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 4))
    flat = np.column_stack([X[:, :2], 1e-3 * X[:, 2]])
    text = page_of(fasttsne.report(X, flat, sample=20), tmp_path)
    assert "projection on two, which has 100% of its variance" in text
    places = unpacked(data_of(text)["points"], "<u2").reshape(-1, 2).astype(float)
    lengths = [np.linalg.norm(p[:100] - p[100:], axis=1) for p in (places, X[:, :2])]
    assert np.corrcoef(*lengths)[0, 1] > 0.9999  # turned, perhaps mirrored
    text = page_of(fasttsne.report(X, X[:, :1], sample=20), tmp_path)
    assert "it is drawn as a line" in text


def test_what_was_left_out_and_the_plan_are_in_it(clouds, tmp_path):
    X, embedding, _ = clouds
    text = page_of(fasttsne.report(X, np.asarray(embedding), sample=50), tmp_path)
    assert "2 scores left out" in text
    tsne = fasttsne.TSNE(random_state=0, n_iter=20, early_exaggeration_iter=20)
    tsne.fit(X)
    text = page_of(fasttsne.report(X, tsne, sample=50), tmp_path)
    assert "early exaggeration" in text
    assert "The run was stopped early" in text


@pytest.mark.slow
def test_size_of_a_large_page(tmp_path):
    """As MNIST's: 70,000 points with labels and all values; it may have 6 MB."""
    rng = np.random.default_rng(0)
    report = fasttsne.report(
        rng.normal(size=(2000, 4)),
        rng.normal(size=(2000, 2)),
        labels=rng.integers(10, size=2000),
        sample=100,
    )
    size = report.to_html(tmp_path / "report.html").stat().st_size
    per_point = (size - 60_000) / 2000
    assert per_point * 70_000 + 60_000 < 6_000_000


def test_other_files_and_a_missing_package(clouds, tmp_path, monkeypatch):
    report = fasttsne.report(*clouds[:2], sample=20)
    with pytest.raises(ValueError, match=r"must have one of the extensions \.html"):
        report.to_html(tmp_path / "report.pdf")
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(ImportError, match=r"fasttsne\[report\]"):
        report.to_html(tmp_path / "report.html")
    assert list(tmp_path.iterdir()) == []


def test_unknown_errors_and_the_first_row(clouds, tmp_path):
    X, embedding, labels = clouds
    text = page_of(fasttsne.report(X, embedding, labels, sample=40), tmp_path)
    assert "± not known" in text
    assert "Rows count from 0" in text
    assert "± not known" not in page_of(fasttsne.report(X, embedding, labels), tmp_path)
