"""Colors and sizes of points."""

import numpy as np
import pytest

from fasttsne.drawing.style import (
    MISSING_COLOR,
    PALETTE,
    color_points,
    default_point_style,
    parse_color,
    to_hex,
)

matplotlib = pytest.importorskip("matplotlib")


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
        (["b", np.nan, "a"], ("a", "b", "missing")),
        (("b", float("nan"), None), ("b", "missing")),
        ([1, "a", np.nan], ("1", "a", "missing")),
        (["b", "nan", "a"], ("a", "b", "nan")),
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


@pytest.mark.parametrize(
    ("values", "dtype", "names"),
    [
        (["b", None, "a"], "string", ("a", "b", "missing")),
        ([True, None, False], "boolean", ("False", "True", "missing")),
        ([2, None, 1], "Int64", ("1", "2", "missing")),
        ([2.0, None, 1.0], "Float64", ("1", "2", "missing")),
        (["b", None, "a"], "category", ("a", "b", "missing")),
    ],
)
def test_missing_values_of_pandas(values, dtype, names):
    pandas = pytest.importorskip("pandas")
    labels = pandas.Series(values, dtype=dtype)
    for given in (labels, labels.array, labels.to_numpy(object), labels.to_list()):
        colors = color_points(given, 3)
        assert colors.names == names
        np.testing.assert_array_equal(colors.codes, [1, 2, 0])


def test_dates_that_are_missing():
    pandas = pytest.importorskip("pandas")
    dates = pandas.to_datetime(["2020-01-02", None, "2020-01-01"])
    for given in (dates, dates.to_numpy(), [*dates]):
        colors = color_points(given, 3)
        assert [name[:10] for name in colors.names] == ["2020-01-01", "2020-01-02", "missing"]
        np.testing.assert_array_equal(colors.codes, [1, 2, 0])


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


def test_classes_that_are_infinite():
    colors = color_points([np.inf, 1.0, -np.inf], 3, kind="classes")
    assert sorted(colors.names) == ["-inf", "1", "inf"]


def test_values_that_are_infinite_have_the_color_of_missing_ones():
    with np.errstate(all="raise"):
        colors = color_points([np.inf, 1.5, 2.5, np.nan], 4)
    assert colors.codes[0] == colors.codes[3] != colors.codes[1]
