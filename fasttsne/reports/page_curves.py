"""Curves of a page as paths of SVG."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fasttsne.drawing.style import color_points, to_hex
from fasttsne.metrics.estimate import NORMAL_95
from fasttsne.reports.thin import thinned

# The area in which a curve lies, in the units of the drawing, and the digits of its coordinates.
WIDTH, HEIGHT = 420, 230
MARGIN_LEFT, MARGIN_BOTTOM = 46, 40
BOX = {"width": WIDTH, "height": HEIGHT, "left": MARGIN_LEFT, "bottom": HEIGHT - MARGIN_BOTTOM}
# Lines of one frame differ in their dashes, too.
DASHES = "none", "7 3", "2 3", "9 3 2 3", "4 2"


@dataclass(frozen=True)
class Curve:
    """A curve with its axes.

    Attributes
    ----------
    title, text : what it is, and what it says.
    x_name, y_name : of the axes.
    line, band : paths of the curve and of its 95 % interval, empty where there is none.
    x_ticks, y_ticks : places and texts.
    """

    title: str
    text: str
    x_name: str
    y_name: str
    line: str
    band: str
    x_ticks: list[tuple[float, str]]
    y_ticks: list[tuple[float, str]]


def curves_of(curves: Mapping[str, Mapping[str, np.ndarray]]) -> list[Curve]:
    """The curves of a report that can be drawn."""
    found = []
    if "ranks" in curves:
        part = thinned(curves["ranks"])
        found.append(
            _curve(
                "Neighbourhoods of all sizes",
                "How much better than by chance the map keeps the k nearest neighbours (R_NX): 1 "
                "is all of them, 0 is chance.  The left end is about neighbours, the right one "
                "about the arrangement of groups.",
                "size k of the neighbourhood",
                "R_NX",
                part["k"],
                part["r_nx"],
                part["r_nx_error"],
                is_log=True,
            )
        )
    if "stress" in curves:
        part = thinned(curves["stress"])
        found.append(
            _curve(
                "Stress by distance",
                "How much the map changes distances, from short to long ones in the data; 0 is "
                "not at all.  Where it is high, do not read distances in the map.",
                "distance in the data",
                "stress",
                part["distance"],
                part["stress"],
                part["standard_error"],
                is_log=False,
            )
        )
    return [curve for curve in found if curve.line]


def rank_lines(curves: Mapping[str, Mapping[str, np.ndarray] | None]) -> dict[str, Any] | None:
    """The curves R_NX of several maps in one frame: ticks, and a path for each name."""
    known = {name: thinned(curve) for name, curve in curves.items() if curve is not None}
    parts = {
        name: (curve["k"][np.isfinite(curve["r_nx"])], curve["r_nx"][np.isfinite(curve["r_nx"])])
        for name, curve in known.items()
    }
    parts = {name: part for name, part in parts.items() if len(part[0]) > 1}
    if not parts:
        return None
    sizes = np.concatenate([k for k, _ in parts.values()])
    shares = np.concatenate([r for _, r in parts.values()])
    low, high = min(0.0, float(shares.min())), max(float(shares.max()) * 1.05, 0.1)
    place_x = _scale(np.log([sizes.min(), sizes.max()]), MARGIN_LEFT, WIDTH - 8)
    place_y = _scale(np.array([low, high]), HEIGHT - MARGIN_BOTTOM, 8)
    colors = color_points(np.arange(len(parts)), len(parts), kind="classes").table
    lines = [
        {
            "name": name,
            "color": to_hex(colors[i]),
            "dashes": DASHES[i % len(DASHES)],
            "d": _path(place_x(np.log(k)), place_y(r)),
        }
        for i, (name, (k, r)) in enumerate(parts.items())
    ]
    x_ticks = _powers(float(sizes.min()), float(sizes.max()))
    return {
        "lines": lines,
        "x_ticks": [(round(float(place_x(np.log(t))), 1), f"{t:,g}") for t in x_ticks],
        "y_ticks": [(round(float(place_y(t)), 1), f"{t:g}") for t in _steps(low, high)],
    }


def _curve(
    title: str,
    text: str,
    x_name: str,
    y_name: str,
    x: np.ndarray,
    y: np.ndarray,
    error: np.ndarray,
    is_log: bool,
) -> Curve:
    is_known = np.isfinite(y) & (x > 0 if is_log else np.isfinite(x))
    x, y, error = x[is_known], y[is_known], np.nan_to_num(error[is_known])
    if len(x) < 2 or x[0] == x[-1]:
        return Curve(title, text, x_name, y_name, "", "", [], [])
    low, high = min(0.0, float(y.min())), max(float(y.max()) * 1.05, 0.1)
    x_ticks = _powers(x[0], x[-1]) if is_log else _steps(float(x[0]), float(x[-1]))
    place_x = _scale(np.log(x[[0, -1]]) if is_log else x[[0, -1]], MARGIN_LEFT, WIDTH - 8)
    place_y = _scale(np.array([low, high]), HEIGHT - MARGIN_BOTTOM, 8)
    across = place_x(np.log(x) if is_log else x)
    lower, upper = (place_y(np.clip(y + s * NORMAL_95 * error, low, high)) for s in (-1, 1))
    band = ""
    if error.any():
        band = _path(np.r_[across, across[::-1]], np.r_[upper, lower[::-1]]) + "Z"
    return Curve(
        title,
        text,
        x_name,
        y_name,
        _path(across, place_y(y)),
        band,
        [(round(float(place_x(np.log(t) if is_log else t)), 1), f"{t:,g}") for t in x_ticks],
        [(round(float(place_y(t)), 1), f"{t:g}") for t in _steps(low, high)],
    )


def _scale(ends: np.ndarray, first: float, last: float) -> Callable[[ArrayLike], np.ndarray]:
    return lambda value: (
        first + (np.asarray(value) - ends[0]) / (ends[1] - ends[0]) * (last - first)
    )


def _path(x: np.ndarray, y: np.ndarray) -> str:
    return "M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in zip(x, y, strict=True))


def _powers(low: float, high: float) -> list[float]:
    return [10.0**i for i in range(int(np.ceil(np.log10(low))), int(np.log10(high)) + 1)]


def _steps(low: float, high: float) -> list[float]:
    """Round numbers from low to high, three to seven."""
    size = 10.0 ** np.floor(np.log10((high - low) / 2))
    step = next(size * factor for factor in (1, 2, 5, 10) if (high - low) / (size * factor) < 7)
    return [round(i * step, 10) for i in range(int(np.ceil(low / step)), int(high / step) + 1)]
