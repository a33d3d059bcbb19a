"""Many points as an image: where markers would be, in their colors, as dense as they are."""

import io
import time

import numpy as np
import pytest

from fasttsne import plotting
from fasttsne.drawing.style import MISSING_COLOR, MISSING_OPACITY, PALETTE, parse_color

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")
scatter = pytest.importorskip("fasttsne.drawing.scatter")  # which needs Matplotlib
COLORS = 255 * np.array([parse_color(color) for color in PALETTE[:3]])


@pytest.fixture(autouse=True)
def few_are_many(monkeypatch):
    monkeypatch.setattr(scatter, "MAX_MARKERS", 1000)


@pytest.fixture
def points(rng):
    """Three clusters of 1,000, 300 and 50 points, and their labels."""
    labels = np.repeat([0, 1, 2], [1000, 300, 50])
    centers = np.array([[0.0, 0.0], [10.0, 2.0], [3.0, 8.0]])
    return rng.normal(0, 0.7, (1350, 2)) + centers[labels], labels


def axes(**settings):
    from matplotlib.figure import Figure

    return Figure(figsize=(4, 3), dpi=100, **settings).subplots()


def pixels(ax, dpi=100):
    buffer = io.BytesIO()
    ax.figure.savefig(buffer, dpi=dpi)
    buffer.seek(0)
    return 255.0 * matplotlib.image.imread(buffer)[:, :, :3]


def place_of(color, image):
    """The mean row and column of pixels whose hue is nearest to that of a color."""
    ink = 255 - image
    strength = ink.sum(-1)
    hue = ink / np.maximum(strength, 1)[..., None]
    wanted = (255 - color) / (255 - color).sum()
    chosen = (np.abs(hue - wanted).sum(-1) < 0.08) & (strength > 30)
    return np.argwhere(chosen).sum(0) / max(chosen.sum(), 1), chosen.sum()


def test_points_are_where_markers_are_and_in_their_colors(points):
    y, labels = points
    many, few = axes(), axes()
    plotting.scatter(y, labels, many, title="many")
    plotting.scatter(y, labels, few, title="many", rasterized=False)
    assert not many.collections
    assert len(few.collections) == 1
    assert np.allclose(many.get_xlim(), few.get_xlim())
    assert np.allclose(many.get_ylim(), few.get_ylim())
    texts = [[text.get_text() for text in ax.get_legend().get_texts()] for ax in (many, few)]
    assert texts == [["0", "1", "2"]] * 2
    drawn, expected = pixels(many), pixels(few)
    for color in COLORS:
        (place, size), (right_place, right_size) = place_of(color, drawn), place_of(color, expected)
        assert np.abs(place - right_place).max() < 1
        assert 0.5 < size / right_size < 2


def test_zooming_in_shows_more(points):
    y, labels = points
    ax = plotting.scatter(y, labels, axes(), legend=False)
    ax.set_aspect("auto")
    ax.set(xlim=(8, 12), ylim=(3.5, 0.5))  # the second cluster, upside down
    ax.figure.subplots_adjust(0, 0, 1, 1)
    chosen = y[(labels == 1) & (y[:, 0] > 8) & (y[:, 0] < 12) & (y[:, 1] > 0.5) & (y[:, 1] < 3.5)]
    ink = (255 - pixels(ax, 200)).sum(-1)
    assert place_of(COLORS[0], pixels(ax))[1] == 0
    centers = np.column_stack([(chosen[:, 1] - 0.5) / 3 * 600, (chosen[:, 0] - 8) / 4 * 800])
    rows, columns = np.clip(centers.astype(int), 0, [599, 799]).T
    assert (ink[rows, columns] > 100).mean() > 0.95
    assert (ink > 30).mean() < 0.3


def test_denser_is_darker_and_colors_mix(rng):
    y = rng.normal(0, 0.1, (6000, 2)) + np.repeat([[0, 0], [5, 0]], [5500, 500], axis=0)
    ax = plotting.scatter(y, np.arange(6000) % 2, axes(), legend=False, opacity=0.01)
    ink = (255 - pixels(ax)).sum(-1)
    left, right = ink[:, :200].max(), ink[:, 200:].max()
    assert left > 2 * right > 10
    image = pixels(ax).reshape(-1, 3)
    darkest = image[(255 - image).sum(-1).argmax()]
    mixed = 255 - 0.7 * (255 - COLORS[:2].mean(0))
    assert np.abs(darkest - mixed).max() < 40  # neither class is in front


def test_values_have_a_bar(points):
    y, _ = points
    ax = plotting.scatter(y, y[:, 0], axes(), zorder=3)
    assert len(ax.figure.axes) == 2
    (image,) = (each for each in ax.artists)
    assert image.get_zorder() == 3
    drawn = pixels(ax)
    assert np.ptp(drawn.reshape(-1, 3), axis=0).min() > 100


def test_what_only_markers_have(points):
    y, labels = points
    ax = plotting.scatter(y, labels, axes(), marker="x", linewidths=1)
    assert len(ax.collections) == 1


def test_vector_files_hold_an_image(points, tmp_path):
    y, labels = points
    ax = plotting.scatter(y, labels, axes())
    for ending in ("svg", "pdf"):
        ax.figure.savefig(tmp_path / f"map.{ending}")
    text = (tmp_path / "map.svg").read_text()
    assert text.count("<image") == 1
    assert len(text) < 200_000
    assert (tmp_path / "map.pdf").stat().st_size < 200_000


def test_hidden_and_clipped(points):
    y, labels = points
    ax = plotting.scatter(y, labels, axes(), legend=False)
    ax.set_position([0.25, 0.25, 0.5, 0.5])
    ax.set_aspect("auto")
    ax.set(xlim=(0, 1), ylim=(0, 1))
    image = pixels(ax)
    assert (image[:73] == 255).all()
    assert (image[:, :98] == 255).all()
    assert (image[80:220, 105:295] < 250).any()
    for artist in ax.artists:
        artist.set_visible(False)
    assert (pixels(ax) == 255).all()


@pytest.mark.slow
def test_two_million_points_take_seconds(rng, monkeypatch):
    """Seconds of the processor: markers take ten."""
    monkeypatch.undo()
    y, labels = rng.normal(size=(2_000_000, 2)), rng.integers(0, 10, 2_000_000)
    start = time.process_time()
    ax = plotting.scatter(y, labels, axes(layout="constrained"))
    assert (pixels(ax, 150) < 250).any()
    assert time.process_time() - start < 5


def test_points_without_a_label_hide_less(points):
    """Colors of points at one place mix; of white nothing is left below 5,000 discs."""
    y = np.array([[0.0, 0.0], [9.0, 0.0]]).repeat(5000, axis=0)
    ax = axes()
    plotting.scatter(y, ["a", None] * 5000, ax, legend=False, point_size=400)
    [column, row] = ax.transData.transform([0.0, 0.0])
    color = pixels(ax)[300 - round(row), round(column)]
    mixed = (COLORS[0] + MISSING_OPACITY * 255 * parse_color(MISSING_COLOR)) / (1 + MISSING_OPACITY)
    np.testing.assert_allclose(color, mixed, atol=2)
