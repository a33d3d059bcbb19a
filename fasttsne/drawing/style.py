"""What figures, HTML files and animations share: colors of labels, and sizes of points."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from fasttsne.runtime.validation import (
    as_labels,
    check_choice,
    check_data,
    check_number,
    is_missing,
    refuse_masked,
)
from fasttsne.utils import require

# Of images that Matplotlib writes, and of pages.
IMAGE_EXTENSIONS = (".png", ".svg", ".pdf", ".jpg", ".webp")
HTML_EXTENSIONS = (".html", ".htm")

# The first six are those of Okabe and Ito (2008).  Each further one is the color of medium
# lightness and chroma with the largest distance in Oklab from all before it, for normal
# vision and for the three kinds of color blindness (Machado et al. 2009).
PALETTE = (
    "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#690f00", "#3c1e78",
    "#78f0d2", "#784b5a", "#ffd200", "#a569ff", "#1e3cb4", "#96c396", "#b40f00", "#5a2d4b",
    "#69d2e1", "#5a4b87", "#c3e196", "#784be1", "#965a78", "#7887d2", "#c34b3c", "#ff4b5a",
)  # fmt: skip

MISSING_COLOR = "#b4b4b4"
# Opacity of points without a label, as a share of the others': they are drawn below these.
MISSING_OPACITY = 0.4

# Viridis (N. Smith, S. van der Walt, 2015), at equal steps.
_VIRIDIS = (
    "#440154", "#481a6c", "#472f7d", "#414487", "#39568c", "#31688e", "#2a788e", "#23888e",
    "#1f988b", "#22a884", "#35b779", "#54c568", "#7ad151", "#a5db36", "#d2e21b", "#fde725",
)  # fmt: skip

COLORMAP_SIZE = 256
# Integer labels with more distinct values are continuous, and more classes have no legend.
MAX_CLASSES = 50
# Whether labels are values, by their kind; None is to see by the labels.
ARE_VALUES = {"auto": None, "classes": False, "values": True}
# Characters of a name in a legend.
MAX_NAME = 40

# A color is "#rrggbb" or three numbers in [0, 1].
Color: TypeAlias = str | Sequence[float]
Palette: TypeAlias = str | Sequence[Color] | Mapping[Any, Color] | None


@dataclass(frozen=True)
class PointColors:
    """A color for each point.

    Attributes
    ----------
    codes : (n_samples,) int32, the row of each point in the table.
    table : (m, 3) float64, red, green and blue in [0, 1].
    names : of the rows, for classes; empty for values and for points without labels.
    limits : minimum and maximum, for values.
    missing : (n_samples,) bool, the points whose label is missing; None where there are none.
    labels_name : what the labels are, if it is known.
    """

    codes: np.ndarray
    table: np.ndarray
    names: tuple[str, ...] = ()
    limits: tuple[float, float] | None = None
    missing: np.ndarray | None = None
    labels_name: str | None = None

    def take(self, indices: np.ndarray) -> "PointColors":
        """Return the colors of some of the points."""
        missing = None if self.missing is None else self.missing[indices]
        return replace(self, codes=self.codes[indices], missing=missing)

    @property
    def too_many_classes(self) -> str:
        """What to say of classes that no legend can show; "" where one can."""
        n = len(self.names)
        return f"{n:,} classes, more than {MAX_CLASSES}" if n > MAX_CLASSES else ""


def raster_table(colors: PointColors) -> np.ndarray:
    """Return what a disc of each color adds to an image, (m, 4) float32: red, green, blue, weight.

    Colors of discs that cover each other mix by their weights; missing ones, the last, weigh less.
    """
    table = np.ones((len(colors.table), 4), np.float32)
    table[:, :3] = 255 * colors.table
    if colors.missing is not None:
        table[-1] *= MISSING_OPACITY
    return table


@dataclass(frozen=True)
class DrawStyle:
    """The look of points: their colors, the size of one in units of the drawing, its opacity."""

    colors: PointColors
    size: float
    opacity: float


def make_style(
    colors: PointColors,
    area: float,
    min_radius: float,
    point_size: float | None,
    opacity: float | None,
    max_size: float | None = None,
) -> DrawStyle:
    """Return the style of points of a diameter and an opacity, each None for the default.

    area, min_radius : as for :func:`default_point_style`.
    """
    radius, alpha = default_point_style(len(colors.codes), area, min_radius)
    size = 2 * radius
    if point_size is not None:
        size = check_number(point_size, "point_size", above=0, high=max_size)
    if opacity is not None:
        alpha = check_number(opacity, "opacity", above=0, high=1)
    return DrawStyle(colors, size, alpha)


def check_points(embedding: ArrayLike) -> np.ndarray:
    """Return the embedding as a finite array of shape (n_samples, 2)."""
    refuse_masked(embedding, "embedding")
    points: np.ndarray = check_data(np.asarray(embedding), "embedding", min_rows=1)
    if points.shape[1] != 2:
        raise ValueError(f"embedding must have the shape (n_samples, 2); got {points.shape}")
    return points


def drawing_order(n_samples: int, missing: np.ndarray | None = None) -> np.ndarray:
    """Return a permutation of the points, (n_samples,), the same at each call.

    missing : (n_samples,) bool, the points that are below all others; None for none.
    """
    order = np.random.RandomState(0).permutation(n_samples)
    return order if missing is None else order[np.argsort(~missing[order], kind="stable")]


def color_points(
    labels: ArrayLike | None,
    n_samples: int,
    palette: Palette = None,
    kind: str = "auto",
    labels_name: str | None = None,
) -> PointColors:
    """Return the color of each point: from a palette for classes, from a scale for values.

    Parameters
    ----------
    labels : (n_samples,) array or list, or None for one color; None, NaN, NaT and pandas' NA in
        it are missing.
    palette, kind, labels_name : as for :func:`fasttsne.plotting.scatter`.

    Raises
    ------
    ValueError, TypeError
        If labels have the wrong length, or a color is invalid.
    """
    are_values = ARE_VALUES[check_choice(kind, "kind", tuple(ARE_VALUES))]
    # Columns of pandas and polars have a name.
    found = getattr(labels, "name", None) if labels_name is None else labels_name
    name = None if found is None or callable(found) else str(found)
    if labels is None:
        codes, table = np.zeros(n_samples, np.int32), _parse_palette(palette)[:1]
        return PointColors(codes, table, labels_name=name)
    array = as_labels(labels, n_samples)
    missing = is_missing(array)
    if _is_continuous(array) if are_values is None else are_values:
        colors = _color_values(array, palette)
    else:
        categories = getattr(getattr(labels, "dtype", None), "categories", None)
        colors = _color_classes(array, missing, categories, palette)
    return replace(colors, missing=missing if missing.any() else None, labels_name=name)


def _is_continuous(array: np.ndarray) -> bool:
    if array.dtype.kind not in "fiu":
        return False
    present = array[np.isfinite(array)] if array.dtype.kind == "f" else array
    return len(np.unique(present)) > MAX_CLASSES or bool(np.any(present != np.floor(present)))


def _color_values(array: np.ndarray, palette: Palette) -> PointColors:
    if array.dtype.kind not in "fiub":
        raise TypeError(f"labels must be numbers if kind is 'values'; got dtype {array.dtype}")
    values = array.astype(np.float64)
    missing = ~np.isfinite(values)
    low, high = (values[~missing].min(), values[~missing].max()) if not missing.all() else (0, 0)
    values[missing] = low
    fraction = (values - low) / (high - low if high > low else 1.0)
    steps = np.round(fraction * (COLORMAP_SIZE - 1))
    codes = np.where(missing, COLORMAP_SIZE, steps)
    knots = _parse_palette(_VIRIDIS if palette is None else palette)
    positions = np.linspace(0, len(knots) - 1, COLORMAP_SIZE)
    channels = [np.interp(positions, np.arange(len(knots)), channel) for channel in knots.T]
    table = np.vstack([np.stack(channels, axis=1), parse_color(MISSING_COLOR)])
    return PointColors(codes.astype(np.int32), table, limits=(float(low), float(high)))


def _color_classes(
    array: np.ndarray, missing: np.ndarray, categories: Iterable[Hashable] | None, palette: Palette
) -> PointColors:
    codes: np.ndarray | list[int]
    if categories is None:
        categories, codes = _sorted_classes(array[~missing])
    else:
        categories = list(categories)
        code_of = {label: code for code, label in enumerate(categories)}
        codes = [code_of[label] for label in array[~missing]]
    all_codes = np.full(len(array), len(categories), np.int32)
    all_codes[~missing] = codes
    names = tuple(_format_label(label) for label in categories)
    table = _palette_colors(categories, names, palette)
    if missing.any():
        names, table = (*names, "missing"), np.vstack([table, parse_color(MISSING_COLOR)])
    return PointColors(all_codes, table, names)


def _sorted_classes(present: np.ndarray) -> tuple[list[Hashable], np.ndarray | list[int]]:
    try:
        if present.dtype != object:
            labels, codes = np.unique(present, return_inverse=True)
            return list(labels), codes
        # To sort ten million Python objects would take half a minute.
        code_of = {label: code for code, label in enumerate(sorted(set(present.tolist())))}
        return list(code_of), [code_of[label] for label in present]
    except TypeError:  # labels of several types
        texts = [str(label) for label in present]
        _, first, codes = np.unique(texts, return_index=True, return_inverse=True)
        return list(present[first]), codes


def _format_label(label: object) -> str:
    if isinstance(label, (float, np.floating)) and float(label).is_integer():
        label = int(label)
    return str(label)


def _palette_colors(
    labels: Sequence[Hashable], names: Sequence[str], palette: Palette
) -> np.ndarray:
    if not isinstance(palette, Mapping):
        colors = _parse_palette(palette)
        return colors[np.arange(len(labels)) % len(colors)]
    chosen = []
    for label, name in zip(labels, names, strict=True):
        if label not in palette and name not in palette:
            raise ValueError(f"palette must have a color for each label; got none for {name!r}")
        chosen.append(parse_color(palette[label] if label in palette else palette[name]))
    return np.array(chosen).reshape(-1, 3)


def _parse_palette(palette: Palette) -> np.ndarray:
    """Return the colors of a palette, (m, 3)."""
    palette = PALETTE if palette is None else palette
    if isinstance(palette, str):
        maps = require("matplotlib", "a palette by name", "plot").colormaps
        if palette not in maps:
            raise ValueError(f"palette must be the name of a Matplotlib colormap; got {palette!r}")
        n_colors = min(maps[palette].N, COLORMAP_SIZE)  # a colormap may be a short list
        table: np.ndarray = maps[palette](np.linspace(0, 1, n_colors))[:, :3]
        return table
    listed = palette.values() if isinstance(palette, Mapping) else palette
    colors = [parse_color(color) for color in listed]
    if not colors:
        raise ValueError("palette must have at least one color; got none")
    return np.array(colors)


def parse_color(color: Color, name: str = "palette") -> np.ndarray:
    """Return red, green and blue in [0, 1] of "white", "black", "#rrggbb" or three numbers."""
    try:
        channels: Color = color
        if isinstance(color, str):
            digits = {"white": "#ffffff", "black": "#000000"}.get(color, color)
            if len(digits) == 7 and digits[0] == "#":
                channels = [byte / 255 for byte in bytes.fromhex(digits[1:])]
        numbers = np.array(channels, np.float64)
    except (TypeError, ValueError):
        numbers = np.empty(0)
    if numbers.shape != (3,) or not (np.all(numbers >= 0) and np.all(numbers <= 1)):
        raise ValueError(f"{name}: a color is '#rrggbb' or three numbers in [0, 1]; got {color!r}")
    return numbers


def shorten(name: str) -> str:
    """Return a name as a legend has room for: on one line, and cut."""
    name = " ".join(name.split())
    return name if len(name) <= MAX_NAME else f"{name[: MAX_NAME - 1]}…"


def to_hex(color: Iterable[float]) -> str:
    """Return the text "#rrggbb" for three numbers in [0, 1]."""
    return "#" + "".join(f"{round(255 * float(channel)):02x}" for channel in color)


def default_point_style(n_samples: int, area: float, min_radius: float) -> tuple[float, float]:
    """Return the radius and opacity of n points that let an area show their density.

    The radius follows the distance between neighbours, within bounds; the opacity falls
    with the mean number of points that cover each other.

    Parameters
    ----------
    area : of the image, in the squared unit of the radius.
    min_radius : smaller points would be invisible.
    """
    radius = min(max(0.28 * (area / max(n_samples, 1)) ** 0.5, min_radius), 0.009 * area**0.5)
    radius = max(radius, min_radius)
    covered = n_samples * np.pi * radius**2 / area
    return radius, float(np.clip(0.9 / (1 + covered), 0.02, 0.9))
