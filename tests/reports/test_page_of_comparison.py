"""The page of a comparison: what is in it, that it loads nothing, that names are escaped."""

import re

import numpy as np
import pytest

import fasttsne

pytest.importorskip("jinja2", reason="needs Jinja2: the extra report")

HOSTILE = "</title><img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    rng = np.random.default_rng(0)
    labels = rng.integers(3, size=300)
    X = 10 * rng.normal(size=(3, 5))[labels] + rng.normal(size=(300, 5))
    maps = {HOSTILE: X[:, :2], "three": X[:, :3], "one": X[:, :1]}
    comparison = fasttsne.compare(maps, X, labels=np.array(["<b>", "c", "d"])[labels])
    path = comparison.to_html(tmp_path_factory.mktemp("page") / "maps.html", title=HOSTILE)
    return path.read_text(encoding="utf-8")


def test_all_points_of_all_maps(text):
    maps = re.findall(r'aria-label="Map .*?</svg>', text, re.S)
    assert [len(re.findall(r"M[\d.]+ [\d.]+h0", each)) for each in maps] == [300, 300, 300]
    assert "The map has 3 dimensions" in text


def test_a_line_for_each_map(text):
    lines = re.findall(r'<path class="line" style="[^"]*" d="(M[^"]*L[^"]*)"', text)
    assert len(lines) == 3
    assert len(set(lines)) == 3


def test_names_are_only_text(text):
    assert "<img" not in text
    assert "<b>" not in text
    assert text.count("&lt;img src=x") >= 4
    assert not re.search(r"<script|https?://(?!www\.w3\.org)|url\(", text)


def test_numbers_are_those_of_the_scores(tmp_path):
    X = np.random.default_rng(0).normal(size=(200, 4))
    comparison = fasttsne.compare({"a": X[:, :2]}, X)
    text = comparison.to_html(tmp_path / "maps.html").read_text(encoding="utf-8")
    for values in comparison.scores.values():
        assert f'<td class="number">{values["a"]:.3f}</td>' in text
    with pytest.raises(ValueError, match="extensions"):
        comparison.to_html(tmp_path / "maps.pdf")
