"""What the page of a report draws: points and their values in few bytes, as its script reads them.

Coordinates have 16 bits, values 8; arrays are base64.  Texts are those of users: the script puts
them into the page as texts, never as markup.
"""

import base64
import json
from typing import Any

import numpy as np

from fasttsne.drawing.page import choose_points
from fasttsne.drawing.style import PointColors, color_points, to_hex
from fasttsne.reports.catalogue import OVER_MAGNITUDES, POINT_TITLES
from fasttsne.reports.project import to_plane

# Of more points a sample is in the page.
MAX_SHOWN = 100_000
# Neighbours to which lines are drawn.
N_LINES = 8
# Code of a missing value, and how many classes and values there are beside it.
MISSING, N_CODES = 255, 255
# Values beyond these quantiles have the colour of the nearest one.
LIMITS = 0.005, 0.995
NO_NEIGHBOR = 2**32 - 1
MAX_TEXT_LENGTH = 80


def page_data(report: Any) -> str:
    """The data of the page as JSON that may stand in a script element."""
    shown = choose_points(len(report.embedding), MAX_SHOWN)
    flat, _ = to_plane(report.embedding)
    low, size = flat.min(0), np.ptp(flat, axis=0).max()
    places = np.round((flat[shown] - low) / size * (2**16 - 1))
    data = {
        "n": len(shown),
        "rows": None if len(shown) == len(flat) else _packed(shown, "<u4"),
        "points": _packed(places, "<u2"),
        "layers": _layers(report, shown),
        "neighbors": _neighbors(report.neighbors, shown, len(flat)),
    }
    return in_script(json.dumps(data, separators=(",", ":")))


def in_script(text: str) -> str:
    """JSON that cannot end the script element that it is in."""
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _packed(values: np.ndarray, dtype: str) -> str:
    return base64.b64encode(np.ascontiguousarray(values, dtype).tobytes()).decode("ascii")


def _neighbors(strongest: np.ndarray | None, shown: np.ndarray, n: int) -> dict[str, Any] | None:
    """For each shown point the places of its neighbours among those that are shown."""
    if strongest is None:
        return None
    place = np.full(n + 1, NO_NEIGHBOR, np.uint32)  # the last is that of -1
    place[shown] = np.arange(len(shown))
    near = place[strongest[shown, :N_LINES]]
    return {"k": near.shape[1], "data": _packed(near, "<u4")}


def _layers(report: Any, shown: np.ndarray) -> list[dict[str, Any]]:
    """What points can be coloured by, in the order of the page's list."""
    names = report.points.dtype.names
    layers: list[dict[str, Any] | None] = []
    if report.labels is not None:
        layers.append(_of_labels(report.labels, shown))
    if report.findings and report.points["finding"].any():
        texts = ["none", *(f"{i}. {f.title}" for i, f in enumerate(report.findings, 1))]
        colors = ["", *(to_hex(color) for color in _class_colors(len(report.findings)))]
        layers.append(
            _classes("finding", "Warnings", report.points["finding"][shown], texts, colors)
        )
    layers.append(_of_islands(report.points["island"], shown))
    for name, title in POINT_TITLES.items():
        if name in names:
            values = report.points[name].astype(np.float64)
            layers.append(_values(name, title, values, shown, name in OVER_MAGNITUDES))
    return [layer for layer in layers if layer is not None]


def _class_colors(count: int) -> np.ndarray:
    return color_points(np.arange(max(count, 1)), max(count, 1), kind="classes").table


def _of_labels(labels: np.ndarray, shown: np.ndarray) -> dict[str, Any] | None:
    colors: PointColors = color_points(labels, len(labels))
    if colors.limits is not None:
        return _values("label", "Label", labels.astype(np.float64), shown, False)
    texts = [name[:MAX_TEXT_LENGTH] for name in colors.names]
    codes, hexes = colors.codes, [to_hex(color) for color in colors.table]
    if len(texts) > N_CODES:  # the most frequent ones, and all others together
        kept = np.sort(np.argsort(-np.bincount(codes), kind="stable")[: N_CODES - 1])
        new_code = np.full(len(texts), N_CODES - 1)
        new_code[kept] = np.arange(len(kept))
        codes = new_code[codes]
        texts = [*(texts[i] for i in kept), "others"]
        hexes = [*(hexes[i] for i in kept), ""]
    return _classes("label", "Label", codes[shown], texts, hexes)


def _of_islands(island: np.ndarray, shown: np.ndarray) -> dict[str, Any] | None:
    n_islands = int(island.max()) + 1
    if n_islands == 1:
        return None
    n_named = min(n_islands, 24)
    texts = [f"island {i + 1}" for i in range(n_named)]
    colors = [to_hex(color) for color in _class_colors(n_named)]
    if n_islands > n_named:
        texts, colors = [*texts, "smaller ones"], [*colors, ""]
    return _classes("island", "Islands", np.minimum(island[shown], n_named), texts, colors)


def _classes(
    name: str, title: str, codes: np.ndarray, texts: list[str], colors: list[str]
) -> dict[str, Any]:
    return {
        "name": name,
        "title": title,
        "kind": "classes",
        "texts": texts,
        "colors": colors,
        "codes": _packed(codes, "u1"),
    }


def _values(
    name: str, title: str, values: np.ndarray, shown: np.ndarray, over_magnitudes: bool
) -> dict[str, Any] | None:
    """Values in steps between two quantiles; None where all are equal."""
    known = values[np.isfinite(values)]
    if over_magnitudes:
        known = known[known > 0]
    if len(known) == 0:
        return None
    low, high = np.quantile(known, LIMITS)
    if low == high:
        low, high = known.min(), known.max()
    if not low < high:
        return None
    over_magnitudes = bool(over_magnitudes and high > 10 * low)
    values = np.clip(values[shown], low, high)  # NaN stays
    ends = np.log([low, high]) if over_magnitudes else np.array([low, high])
    scaled = ((np.log(values) if over_magnitudes else values) - ends[0]) / (ends[1] - ends[0])
    codes = np.where(np.isnan(scaled), MISSING, np.round(np.nan_to_num(scaled) * (N_CODES - 1)))
    return {
        "name": name,
        "title": title,
        "kind": "values",
        "low": float(low),
        "high": float(high),
        "isLog": over_magnitudes,
        "codes": _packed(codes, "u1"),
    }
