"""Figures of Matplotlib and interactive HTML files."""

import base64
import json
import re

import numpy as np
import pytest

from fasttsne import TSNE, plotting
from fasttsne.drawing.page import to_float32
from fasttsne.drawing.style import PALETTE, to_hex

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")


@pytest.fixture
def axes():
    from matplotlib.figure import Figure

    return Figure(figsize=(4, 4)).subplots()


@pytest.fixture
def points(rng):
    return rng.normal(size=(200, 2))


# --- Matplotlib --------------------------------------------------------------------------


def test_scatter_draws_each_point_in_its_color(axes, points):
    labels = np.arange(200) % 3
    kept = points.copy()
    assert plotting.scatter(points, labels, axes, title="digits") is axes
    np.testing.assert_array_equal(points, kept)
    (dots,) = axes.collections
    drawn = {
        tuple(p): to_hex(c)
        for p, c in zip(dots.get_offsets(), dots.get_facecolors()[:, :3], strict=True)
    }
    assert drawn == {tuple(p): PALETTE[k] for p, k in zip(points, labels, strict=True)}
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["0", "1", "2"]
    assert axes.get_title() == "digits"
    assert dots.get_rasterized()


def test_legends_of_labels_with_missing_ones(axes, points):
    labels = ["a", "b", np.nan, "a"] * 50
    plotting.scatter(points, labels, axes)
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["a", "b", "missing"]


def test_scatter_of_values_and_without_labels(axes, points):
    plotting.scatter(points, points[:, 0], axes, point_size=9, opacity=0.25, zorder=7)
    (dots,) = axes.collections
    assert dots.get_sizes() == [9]
    assert dots.get_alpha() == 0.25
    assert dots.get_zorder() == 7
    assert axes.get_legend() is None
    assert len(axes.figure.axes) == 2  # with the bar
    plain = plotting.scatter(points, legend=True)
    assert plain.get_legend() is None
    assert len(plain.figure.axes) == 1
    matplotlib.pyplot.close(plain.figure)


def test_vector_files_hold_the_points_as_an_image(points, tmp_path, axes):
    many = np.tile(points, (50, 1))
    plotting.scatter(many, np.arange(10_000) % 3, axes)
    axes.figure.savefig(tmp_path / "map.svg")
    text = (tmp_path / "map.svg").read_text()
    assert "<image" in text
    assert len(text) < 300_000


def test_an_embedding_plots_itself(digits, axes):
    embedding = TSNE(perplexity=10, n_iter=5, early_exaggeration_iter=5, random_state=0).fit(
        digits[:60]
    )
    assert embedding.plot(np.arange(60) % 2, axes) is axes
    drawn = axes.collections[0].get_offsets()
    np.testing.assert_array_equal(np.sort(drawn, axis=0), np.sort(embedding[:], axis=0))


@pytest.mark.parametrize("draw", [plotting.scatter, plotting.html])
def test_bad_input(draw, points):
    pytest.importorskip("plotly")
    with pytest.raises(ValueError, match=re.escape("embedding must have the shape (n_samples, 2)")):
        draw(np.zeros((5, 3)))
    with pytest.raises(ValueError, match="embedding must be finite"):
        draw(np.full((5, 2), np.inf))
    with pytest.raises(ValueError, match=re.escape("labels must have the shape (200,)")):
        draw(points, labels=[1, 2])
    with pytest.raises(ValueError, match="opacity must be at most 1"):
        draw(points, opacity=1.5)


# --- pages -------------------------------------------------------------------------------


def traces_of(page):
    """What the page hands to plotly: the first argument of newPlot that is a list."""
    start = page.rindex("Plotly.newPlot(")
    return json.JSONDecoder().raw_decode(page, page.index("[", start))[0]


def test_page_holds_everything(points, tmp_path):
    pytest.importorskip("plotly")
    labels = np.array(["x", "y"])[np.arange(200) % 2]
    hover = {"row": np.arange(200), "name": ["<script>alert(1)</script>"] * 200}
    path = plotting.html(
        points, labels=labels, hover=hover, path=tmp_path / "map.html", title="a & b"
    )
    page = path.read_text(encoding="utf-8")
    assert len(page) > 4_000_000  # with plotly.js
    assert "<title>a &amp; b</title>" in page
    assert not re.search(r"<script[^>]+src=", page)
    assert "<script>alert(1)" not in page
    traces = traces_of(page)
    assert [trace["name"] for trace in traces] == ["x", "y"]
    assert all(trace["type"] == "scattergl" for trace in traces)
    assert [trace["marker"]["color"] for trace in traces] == list(PALETTE[:2])
    assert traces[1]["text"][0] == "row: 1<br>name: &lt;script&gt;alert(1)&lt;/script&gt;"


@pytest.mark.parametrize("offset", [0, 1e4, 1e7])
def test_page_of_a_map_far_from_the_origin(points, offset):
    """In float32 its points would be in few places."""
    shown = to_float32(points + offset)
    differences = shown - shown[0] - (points - points[0])
    assert np.abs(differences).max() < 1e-5


def test_there_is_no_page_of_points_too_far_apart(points):
    pytest.importorskip("plotly")
    with pytest.raises(ValueError, match="embedding must be within"):
        plotting.html(points * 1e200)


def test_page_of_labels_with_missing_ones(points):
    pytest.importorskip("plotly")
    traces = traces_of(plotting.html(points, labels=["a", "b", np.nan, "a"] * 50))
    assert [trace["name"] for trace in traces] == ["a", "b", "missing"]


def test_page_of_values(points):
    pytest.importorskip("plotly")
    (trace,) = traces_of(plotting.html(points, labels=points[:, 0]))
    assert trace["marker"]["showscale"]
    assert len(trace["marker"]["colorscale"]) == 257
    with pytest.raises(ValueError, match="hover must have 200 texts"):
        plotting.html(points, hover=["a"])


@pytest.mark.parametrize("labels", ["classes", "values", None])
def test_page_of_many_is_a_sample_and_says_so(rng, labels):
    pytest.importorskip("plotly")
    points, rows = rng.normal(size=(3000, 2)), np.arange(3000)
    labels = {"classes": rows % 3, "values": rows / 7, None: None}[labels]
    page = plotting.html(points, labels=labels, hover={"row": rows}, max_points=600)
    assert "600 of 3,000 points, chosen at random" in page
    shown = np.array([int(text.split()[1]) for t in traces_of(page) for text in t["text"]])
    assert len(set(shown)) == 600
    assert 1300 < shown.mean() < 1700
    assert shown.max() > 2900
    for trace in traces_of(page):
        x = np.frombuffer(base64.b64decode(trace["x"]["bdata"]), trace["x"]["dtype"])
        places = [int(text.split()[1]) for text in trace["text"]]
        assert np.array_equal(x, points[places, 0].astype(np.float32))
        if labels is not None and len(set(labels)) == 3:
            assert set(labels[places]) == {int(trace["name"])}
    whole = plotting.html(points, labels=labels, max_points=None)
    assert "chosen at random" not in whole
    with pytest.raises(ValueError, match="max_points must be at least 1; got 0"):
        plotting.html(points, max_points=0)


def test_positions_are_deprecated(points, tmp_path):
    pytest.importorskip("plotly")
    with pytest.warns(FutureWarning, match=r"html will take .* labels=\.\.\., hover=\.\.\., path="):
        path = plotting.html(points, points[:, 0], None, tmp_path / "map.html")
    assert traces_of(path.read_text())[0]["marker"]["showscale"]
