"""Pictures and pages, and the colors that they share with animations."""

import json
import re

import numpy as np
import pytest

from fasttsne import TSNE, plotting
from fasttsne.drawing.style import (
    MISSING_COLOR,
    PALETTE,
    color_points,
    default_point_style,
    parse_color,
    to_hex,
)

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")


@pytest.fixture
def axes():
    from matplotlib.figure import Figure

    return Figure(figsize=(4, 4)).subplots()


@pytest.fixture
def points(rng):
    return rng.normal(size=(200, 2))


# --- colors -----------------------------------------------------------------------------


# B. Ottosson's Oklab
CONES = np.array([[0.4122, 0.5363, 0.0514], [0.2119, 0.6807, 0.1074], [0.0883, 0.2817, 0.6300]])
OPPONENTS = np.array(
    [[0.2105, 0.7936, -0.0041], [1.9780, -2.4286, 0.4506], [0.0259, 0.7828, -0.8087]]
)
# G. M. Machado et al. 2009, full severity
DEUTERANOPIA = np.array(
    [[0.3673, 0.8606, -0.2280], [0.2801, 0.6725, 0.0474], [-0.0118, 0.0429, 0.9689]]
)
PROTANOPIA = np.array(
    [[0.1523, 1.0526, -0.2049], [0.1145, 0.7863, 0.0992], [-0.0039, -0.0481, 1.0520]]
)


@pytest.mark.parametrize("eyes", [np.eye(3), DEUTERANOPIA, PROTANOPIA], ids=["all", "deu", "pro"])
def test_colors_can_be_told_apart(eyes):
    """Matplotlib's tab10 has two that are 0.007 apart to eyes without green cones."""
    rgb = np.array([parse_color(color) for color in PALETTE])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = np.cbrt(np.clip(linear @ eyes.T, 0, 1) @ CONES.T) @ OPPONENTS.T
    apart = np.linalg.norm(seen[:, None] - seen, axis=2) + np.eye(len(seen))
    assert apart[:16, :16].min() > 0.07
    assert apart.min() > 0.06


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (np.array([3, 1, 3]), ("1", "3")),
        (np.array([3.0, 1.0, 3.0]), ("1", "3")),
        (["b", "a", "b"], ("a", "b")),
        (np.array(["b", None, "a"], object), ("a", "b", "missing")),
        (np.array([1.0, np.nan, 2.0]), ("1", "2", "missing")),
        (np.array([True, False, True]), ("False", "True")),
        (np.array([1, "a", None], object), ("1", "a", "missing")),
    ],
)
def test_classes(labels, names):
    colors = color_points(labels, 3)
    assert colors.names == names
    assert colors.limits is None
    shown = [names[code] for code in colors.codes]
    for label, name in zip(labels, shown, strict=True):
        present = label is not None and label == label
        assert name == (str(label).removesuffix(".0") if present else "missing")
    if "missing" in names:
        assert to_hex(colors.table[-1]) == MISSING_COLOR


def test_categories_of_pandas_keep_their_order_and_colors():
    pandas = pytest.importorskip("pandas")
    labels = pandas.Series(pandas.Categorical(["lo", "hi", None], categories=["lo", "mid", "hi"]))
    colors = color_points(labels, 3)
    assert colors.names == ("lo", "mid", "hi", "missing")
    np.testing.assert_array_equal(colors.codes, [0, 2, 3])


def test_values():
    values = np.array([0.0, 0.5, 1.0, np.nan])
    colors = color_points(values, 4)
    assert colors.limits == (0.0, 1.0)
    assert colors.names == ()
    np.testing.assert_array_equal(colors.codes, [0, 128, 255, 256])
    viridis = matplotlib.colormaps["viridis"](np.linspace(0, 1, 256))[:, :3]
    np.testing.assert_allclose(colors.table[:256], viridis, atol=0.03)
    assert to_hex(colors.table[256]) == MISSING_COLOR
    assert color_points(np.arange(51), 51).limits == (0, 50)
    assert color_points(np.full(3, 0.5), 3).limits == (0.5, 0.5)
    assert color_points(np.arange(3), 3, kind="values").limits == (0, 2)


def test_palettes():
    labels = ["a", "b", "a"]
    for palette in (
        ["#ff0000", "#0000ff"],
        [(1, 0, 0), (0, 0, 1)],
        {"b": "#0000ff", "a": "#ff0000"},
    ):
        colors = color_points(labels, 3, palette)
        np.testing.assert_array_equal(colors.table, [[1, 0, 0], [0, 0, 1]])
    tab10 = color_points(labels, 3, "tab10")
    assert to_hex(tab10.table[1]) == "#ff7f0e"
    assert len(color_points(np.arange(40), 40).table) == 40
    with pytest.raises(ValueError, match="a color for each label; got none for 'b'"):
        color_points(labels, 3, {"a": "#ff0000"})
    with pytest.raises(ValueError, match="name of a Matplotlib colormap; got 'tub10'"):
        color_points(labels, 3, "tub10")
    with pytest.raises(ValueError, match="at least one color"):
        color_points(labels, 3, [])
    with pytest.raises(TypeError, match="labels must be numbers"):
        color_points(labels, 3, kind="values")


def test_size_and_opacity_fall_with_the_number_of_points():
    styles = np.array(
        [default_point_style(n, 400.0**2, 0.5) for n in (1, 100, 10**4, 10**6, 10**7)]
    )
    assert np.all(np.diff(styles[:, 0]) <= 0)
    assert np.all(np.diff(styles[:, 1]) <= 0)
    assert styles[0, 1] > 0.8
    assert np.all(styles[:, 1] >= 0.02)


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
    embedding = TSNE(n_iter=5, early_exaggeration_iter=5, random_state=0).fit(digits[:60])
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
        draw(points, [1, 2])
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
    path = plotting.html(points, labels, hover, tmp_path / "map.html", title="a & b")
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


def test_page_of_values(points):
    pytest.importorskip("plotly")
    (trace,) = traces_of(plotting.html(points, points[:, 0]))
    assert trace["marker"]["showscale"]
    assert len(trace["marker"]["colorscale"]) == 257
    with pytest.raises(ValueError, match="hover must have 200 texts"):
        plotting.html(points, hover=["a"])
