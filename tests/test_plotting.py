"""Figures of Matplotlib and interactive HTML files."""

import base64
import json
import re
import tracemalloc
import warnings

import numpy as np
import pytest

from fasttsne import TSNE, plotting
from fasttsne.drawing.page import to_float32
from fasttsne.drawing.style import MISSING_COLOR, PALETTE, to_hex

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


def test_points_without_a_label_are_below_the_others_and_fainter(axes, points):
    for labels in (["a", None, "b", None] * 50, np.where(np.arange(200) % 2, np.nan, points[:, 0])):
        axes.clear()
        plotting.scatter(points, labels, axes, opacity=0.5)
        (dots,) = axes.collections
        order = plotting.drawing_order(200, labels)
        np.testing.assert_array_equal(dots.get_offsets(), points[order])
        assert set(order[:100]) == set(range(1, 200, 2))
        alpha = dots.get_facecolors()[:, 3]
        assert set(alpha[:100]) == {0.2}
        assert set(alpha[100:]) == {0.5}
    np.testing.assert_array_equal(
        plotting.drawing_order(200, ["a", "b"] * 100), plotting.drawing_order(200)
    )


def test_a_color_bar_has_the_name_of_its_values(axes, points):
    pandas = pytest.importorskip("pandas")
    price = pandas.Series(points[:, 0], name="price in $, net of $")
    for labels, given in ((price, {}), (points[:, 0], {"labels_name": price.name})):
        plotting.scatter(points, labels, axes, **given)
        bar = axes.figure.axes[-1]
        assert bar.get_ylabel() == r"price in \$, net of \$"
        axes.figure.canvas.draw()
        bar.remove()
    plotting.scatter(points, points[:, 0], axes)
    assert axes.figure.axes[-1].get_ylabel() == ""


def test_classes_that_are_too_many_for_a_legend(axes, points):
    message = "labels have 200 classes, more than 50: the plot has no legend, and colors repeat"
    with pytest.warns(UserWarning, match=message):
        plotting.scatter(points, [f"text {i}" for i in range(200)], axes)
    assert axes.get_legend() is None
    plotting.scatter(points, [f"text {i}" for i in range(200)], axes, legend=False)


def test_long_names_are_cut_in_a_legend(axes, points):
    plotting.scatter(points, ["a" * 400, "line\nline"] * 100, axes)
    names = [text.get_text() for text in axes.get_legend().get_texts()]
    assert names == ["a" * 39 + "…", "line line"]


def test_parameters_that_nobody_takes(points):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    before = pyplot.get_fignums()
    with pytest.raises(TypeError, match="no parameter 'images'; it takes the parameters of"):
        plotting.scatter(points, images=points)
    with pytest.raises(TypeError, match="no parameter 'edgecolour'; do you mean 'edgecolor'"):
        plotting.scatter(points, edgecolour="red")
    assert pyplot.get_fignums() == before


def test_parameters_of_matplotlib(axes, points):
    plotting.scatter(points, None, axes, marker="s", edgecolor="red", linewidths=1, picker=True)


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


def test_hover_texts_are_wrapped_and_cut(points):
    pytest.importorskip("plotly")
    words = " ".join(f"word{i}" for i in range(200))
    texts = ["a < b", "one\ntwo", words, "x" * 400, "\n".join("abcdefghijklmnop"), "y" * 60]
    hover = {"t": texts + [""] * 194}
    (trace,) = traces_of(plotting.html(points, hover=hover))
    shown = [text.replace("&lt;", "<").split("<br>") for text in trace["text"]]
    assert shown[0] == ["t: a < b"]
    assert shown[1] == ["t: one", "two"]
    assert all(len(line) <= 60 for lines in shown for line in lines)
    assert " ".join(shown[2]) == f"t: {words}"[:299] + "…"
    assert " ".join(shown[3]).count("x") == 296
    assert shown[3][-1].endswith("x…")
    assert shown[4] == ["t: a", *"bcdefghij", "…"]
    assert shown[5] == ["t:", "y" * 60]
    assert shown[6] == ["t: "]


def test_hover_shows_the_rows_of_a_frame(points):
    pytest.importorskip("plotly")
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"name": ["a", None] * 100, "at": pandas.Timestamp("2020-01-02")})
    for hover in frame, frame.to_dict("list"):
        (trace,) = traces_of(plotting.html(points, hover=hover))
        lines = trace["text"][0].split("<br>")
        assert lines[0] == "name: a"
        assert lines[1].startswith("at: 2020-01-02")


@pytest.mark.parametrize("use", ["hover", "labels"])
def test_one_long_text_does_not_cost_its_length_for_each_row(rng, use):
    """NumPy's arrays of text have room for the longest in each row: here 20 GB."""
    pytest.importorskip("plotly")
    texts = [f"text {i}" for i in range(5000)]
    texts[7] = "x" * 1_000_000
    points = rng.normal(size=(5000, 2))
    plotting.html(points)  # imports
    tracemalloc.start()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        page = plotting.html(points, **{use: texts})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100e6
    assert len(page) < 8e6


def test_page_of_too_many_classes_is_one_trace_and_says_so(points):
    pytest.importorskip("plotly")
    labels = [f"text {i}" for i in range(199)] + [None]
    message = "200 classes, more than 50: there is no legend, and colors repeat"
    with pytest.warns(UserWarning, match=message):
        page = plotting.html(points, labels=labels, palette=["#ff0000", "#0000ff"])
    assert message in page
    below, above = traces_of(page)
    assert below["text"] == ["missing"]
    assert above["text"][:2] == ["text 0", "text 1"]
    assert [color for _, color in above["marker"]["colorscale"]][::2] == ["#0000ff", "#ff0000"]
    assert "chosen at random" not in page


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
    # Drawn from the first on, but shown below the others in the legend.
    assert [trace["name"] for trace in traces] == ["missing", "a", "b"]
    assert [trace.get("legendrank", 1000) for trace in traces] == [1001, 1000, 1000]
    faint, *others = (trace["marker"]["opacity"] for trace in traces)
    assert all(faint < 0.5 * opacity for opacity in others)
    assert [len(trace["text"]) for trace in traces] == [50, 100, 50]


def test_page_of_values_with_missing_ones(points):
    pytest.importorskip("plotly")
    values = np.where(np.arange(200) % 4, points[:, 0], np.nan)
    below, above = traces_of(plotting.html(points, labels=values))
    assert len(below["text"]) == 50
    assert below["marker"]["color"] == MISSING_COLOR
    assert above["marker"]["showscale"]
    assert "showscale" not in below["marker"]


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
