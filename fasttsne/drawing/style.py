"""Colours and sizes of points, the same in plots, pages and animations."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fasttsne.runtime.validation import check_choice
from fasttsne.utils import require

# The first six are those of Okabe and Ito (2008).  Each further one was taken, among colours
# of medium lightness and chroma, as far as possible in Oklab from all before it, to normal
# eyes and to those without red, green or blue cones (Machado et al. 2009).
PALETTE = (
    "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#690f00", "#3c1e78",
    "#78f0d2", "#784b5a", "#ffd200", "#a569ff", "#1e3cb4", "#96c396", "#b40f00", "#5a2d4b",
    "#69d2e1", "#5a4b87", "#c3e196", "#784be1", "#965a78", "#7887d2", "#c34b3c", "#ff4b5a",
)  # fmt: skip

MISSING = "#b4b4b4"

# Viridis (N. Smith, S. van der Walt, 2015), at equal steps.
_VIRIDIS = (
    "#440154", "#481a6c", "#472f7d", "#414487", "#39568c", "#31688e", "#2a788e", "#23888e",
    "#1f988b", "#22a884", "#35b779", "#54c568", "#7ad151", "#a5db36", "#d2e21b", "#fde725",
)  # fmt: skip

N_SHADES = 256
MOST_CLASSES = 50  # more different numbers than this are values, not classes


@dataclass(frozen=True)
class Colouring:
    """A colour for each point.

    Attributes
    ----------
    codes : (n_samples,) int32, rows of the table.
    table : (m, 3) float64, red, green and blue in [0, 1].
    names : of the rows, for classes; empty for values and for points without labels.
    limits : least and greatest value, for values.
    """

    codes: np.ndarray
    table: np.ndarray
    names: tuple[str, ...] = ()
    limits: tuple[float, float] | None = None


def colour_points(labels, n_samples: int, palette=None, kind: str = "auto") -> Colouring:
    """Colours for labels: of a palette for classes, of a scale for values.

    Parameters
    ----------
    labels : (n_samples,) array, or None for one colour; None and NaN in it are missing.
    palette : None for the package's own; a list of colours; for classes a mapping from
        label to colour; or the name of one of Matplotlib's colormaps.  A colour is "#rrggbb"
        or three numbers in [0, 1].
    kind : "classes", "values", or "auto": values are numbers, of more than 50 different
        values or not whole.

    Raises
    ------
    ValueError, TypeError
        For labels of another length, and colours that are none.
    """
    check_choice(kind, "kind", ("auto", "classes", "values"))
    if labels is None:
        return Colouring(np.zeros(n_samples, np.int32), _colours(palette)[:1])
    array = np.asarray(labels)
    if array.shape != (n_samples,):
        raise ValueError(f"labels must have the shape ({n_samples},); got {array.shape}")
    if kind == "auto":
        kind = "values" if _are_values(array) else "classes"
    if kind == "values":
        return _scale(array, palette)
    return _classes(array, getattr(getattr(labels, "dtype", None), "categories", None), palette)


def _are_values(array):
    if array.dtype.kind not in "fiu":
        return False
    present = array[np.isfinite(array)] if array.dtype.kind == "f" else array
    return len(np.unique(present)) > MOST_CLASSES or bool(np.any(present != np.floor(present)))


def _scale(array, palette):
    if array.dtype.kind not in "fiub":
        raise TypeError(f"labels must be numbers where kind is 'values'; got dtype {array.dtype}")
    values = array.astype(np.float64)
    missing = ~np.isfinite(values)
    low, high = (values[~missing].min(), values[~missing].max()) if not missing.all() else (0, 0)
    share = (values - low) / (high - low if high > low else 1.0)
    codes = np.where(missing, N_SHADES, np.round(np.nan_to_num(share) * (N_SHADES - 1)))
    knots = _colours(_VIRIDIS if palette is None else palette)
    places = np.linspace(0, len(knots) - 1, N_SHADES)
    shades = [np.interp(places, np.arange(len(knots)), channel) for channel in knots.T]
    table = np.vstack([np.stack(shades, axis=1), read_colour(MISSING)])
    return Colouring(codes.astype(np.int32), table, limits=(float(low), float(high)))


def _classes(array, order, palette):
    missing = _missing(array)
    if order is None:
        order, codes = _sorted_classes(array[~missing])
    else:
        place = {label: i for i, label in enumerate(order)}
        codes = [place[label] for label in array[~missing]]
    all_codes = np.full(len(array), len(order), np.int32)
    all_codes[~missing] = codes
    names = tuple(_name(label) for label in order)
    table = _class_colours(list(order), names, palette)
    if missing.any():
        names, table = (*names, "missing"), np.vstack([table, read_colour(MISSING)])
    return Colouring(all_codes, table, names)


def _missing(array):
    if array.dtype.kind in "fc":
        return np.isnan(array)
    if array.dtype.kind == "O":
        return np.array([label is None or label != label for label in array], bool)
    return np.zeros(len(array), bool)


def _sorted_classes(present):
    try:
        return np.unique(present, return_inverse=True)
    except TypeError:  # labels of several types
        _, first, codes = np.unique(
            [str(label) for label in present], return_index=True, return_inverse=True
        )
        return present[first], codes


def _name(label):
    whole = isinstance(label, (float, np.floating)) and label == int(label)
    return str(int(label)) if whole else str(label)


def _class_colours(labels, names, palette):
    if not isinstance(palette, Mapping):
        colours = _colours(palette)
        return colours[np.arange(len(labels)) % len(colours)]
    chosen = []
    for label, name in zip(labels, names, strict=True):
        if label not in palette and name not in palette:
            raise ValueError(f"palette must have a colour for each label; got none for {name!r}")
        chosen.append(read_colour(palette[label] if label in palette else palette[name]))
    return np.array(chosen).reshape(-1, 3)


def _colours(palette):
    """(m, 3) colours from what a user gives as a palette."""
    if palette is None:
        palette = PALETTE
    if isinstance(palette, str):
        maps = require("matplotlib", "a palette by name", "plot").colormaps
        if palette not in maps:
            raise ValueError(f"palette must be a colormap of Matplotlib's; got {palette!r}")
        colormap = maps[palette]
        n_shades = min(colormap.N, N_SHADES)  # of a list of colours, each
        return colormap(np.linspace(0, 1, n_shades))[:, :3]
    if isinstance(palette, Mapping):
        palette = palette.values()
    colours = [read_colour(colour) for colour in palette]
    if not colours:
        raise ValueError("palette must hold at least one colour; got none")
    return np.array(colours)


def read_colour(colour, name: str = "palette") -> np.ndarray:
    """Red, green and blue in [0, 1] of "white", "black", "#rrggbb" or three numbers."""
    message = f"{name}: a colour is '#rrggbb' or three numbers in [0, 1]; got {colour!r}"
    if isinstance(colour, str):
        digits = {"white": "#ffffff", "black": "#000000"}.get(colour, colour)
        if len(digits) != 7 or digits[0] != "#":
            raise ValueError(message)
        try:
            return np.array([int(digits[i : i + 2], 16) / 255 for i in (1, 3, 5)])
        except ValueError:
            raise ValueError(message) from None
    try:
        numbers = np.array(colour, np.float64)
    except (TypeError, ValueError):
        raise ValueError(message) from None
    if numbers.shape != (3,) or not (np.all(numbers >= 0) and np.all(numbers <= 1)):
        raise ValueError(message)
    return numbers


def as_hex(colour) -> str:
    """ "#rrggbb" of three numbers in [0, 1]."""
    return "#" + "".join(f"{round(255 * float(channel)):02x}" for channel in colour)


def point_style(n_samples: int, area: float, least_radius: float) -> tuple[float, float]:
    """Radius and opacity with which n points show their density on an area.

    The radius follows the distance between neighbours, within bounds; the opacity falls
    with the number of discs that lie over each other.

    Parameters
    ----------
    area : of the picture, in the square of the unit of the radius.
    least_radius : below which a disc would not be seen.
    """
    radius = min(max(0.28 * (area / max(n_samples, 1)) ** 0.5, least_radius), 0.009 * area**0.5)
    radius = max(radius, least_radius)
    covered = n_samples * np.pi * radius**2 / area
    return radius, float(np.clip(0.9 / (1 + covered), 0.02, 0.9))
