"""The HTML pages of a report and of a comparison: one file each, by templates of Jinja2.

Points and their values are in the page as its script reads them: coordinates have 16 bits, values
8; arrays are base64.  Texts come from users: they become text of the page, never markup.
"""

import base64
import dataclasses
import itertools
import json
import os
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from fasttsne.drawing.page import choose_points
from fasttsne.drawing.style import HTML_EXTENSIONS, PointColors, color_points, to_hex
from fasttsne.io.atomic import atomic_write
from fasttsne.metrics.estimate import NORMAL_95, Estimate
from fasttsne.reports import catalogue
from fasttsne.reports.catalogue import (
    MEANINGS,
    OVER_MAGNITUDES,
    POINT_TITLES,
    ShownAsTable,
    downsample_curve,
)
from fasttsne.reports.findings import Finding
from fasttsne.runtime.typing import FilePath
from fasttsne.utils import require

# Of more points a sample is in the page of a report, and in that of a comparison, whose points are
# marks of an SVG; side of a map there, in units of its drawing.
MAX_SHOWN, MAX_SHOWN_EACH, SIDE = 100_000, 4000, 500
# Neighbours to which lines are drawn; the number of one that is not shown.
N_LINES, NO_NEIGHBOR = 8, 2**32 - 1
# Code of a missing value, and how many classes and values there are beside it.
MISSING, N_CODES = 255, 255
# Values beyond these quantiles have the colour of the nearest one.
LIMITS = 0.005, 0.995
MAX_TEXT_LENGTH, MAX_ISLANDS = 80, 24
# In a comparison, values have so many colours, and labels at most so many names.
N_STEPS, MAX_NAMES = 12, 24
# The area in which a curve lies, in the units of its drawing.
WIDTH, HEIGHT = 420, 230
MARGIN_LEFT, MARGIN_BOTTOM = 46, 40
BOX = {"width": WIDTH, "height": HEIGHT, "left": MARGIN_LEFT, "bottom": HEIGHT - MARGIN_BOTTOM}
# Lines of one frame differ in their dashes, too.
DASHES = "none", "7 3", "2 3", "9 3 2 3", "4 2"


@dataclasses.dataclass(frozen=True, repr=False)
class ReportContent(ShownAsTable):
    """What a report holds: see :class:`fasttsne.reports.Report`."""

    scores: dict[str, Estimate]
    points: np.ndarray
    curves: dict[str, dict[str, np.ndarray]]
    findings: tuple[Finding, ...]
    left_out: dict[str, str]
    facts: dict[str, dict[str, str]]
    plan: str | None
    embedding: np.ndarray
    labels: np.ndarray | None = None
    neighbors: np.ndarray | None = None

    @property
    def headline(self) -> str:
        """What it is about, in a line."""
        n, d = self.embedding.shape
        return f"Report on a map of {n:,} points in {d}-D"


def write_report(report: ReportContent, path: FilePath, title: str | None) -> Path:
    """Write the page of a report; see :meth:`fasttsne.reports.Report.to_html`."""
    n, left_out = len(report.embedding), report.left_out
    return _write(
        path,
        "report.html.jinja",
        "Report.to_html",
        title="Report on a map" if title is None else title,
        headline=report.headline,
        note=to_plane(report.embedding)[1],
        n=n,
        n_shown=min(n, MAX_SHOWN),
        findings=report.findings,
        scores=[_describe_score(name, report.scores) for name in MEANINGS if name in report.scores],
        left_out=[
            (MEANINGS[name].title, why) for name, why in left_out.items() if name in MEANINGS
        ],
        curves=_curves(report.curves),
        facts=report.facts,
        plan=report.plan,
        n_data_sets=len(catalogue.usual_scores()["data"]),
        data=_page_data(report),
        box=BOX,
    )


def write_comparison(
    reports: Mapping[str, ReportContent],
    headline: str,
    rows: Sequence[Sequence[str]],
    path: FilePath,
    title: str | None,
) -> Path:
    """Write the page of a comparison: small maps, curves in one frame and a table, no script.

    rows : of the table: the name of a score, its value for each map, and what is usual.
    """
    first = next(iter(reports.values()))
    n = len(first.embedding)
    shown, colors = choose_points(n, MAX_SHOWN_EACH), color_points(first.labels, n)
    return _write(
        path,
        "comparison.html.jinja",
        "Comparison.to_html",
        title="Comparison of maps" if title is None else title,
        headline=headline,
        maps=[_small_map(name, each, colors, shown) for name, each in reports.items()],
        classes=[
            {"name": name[:MAX_TEXT_LENGTH], "color": to_hex(color)}
            for name, color in zip(colors.names, colors.table, strict=False)
            if len(colors.names) <= MAX_NAMES
        ],
        names=list(reports),
        scores=[
            {"name": name, "texts": texts, **dataclasses.asdict(MEANINGS[name])}
            for name, *texts in rows
        ],
        findings=[(name, f) for name, each in reports.items() for f in each.findings],
        ranks=_rank_lines({name: each.curves.get("ranks") for name, each in reports.items()}),
        n=n,
        n_shown=len(shown),
        side=SIDE,
        box=BOX,
    )


def _write(path: FilePath, template: str, feature: str, **values: object) -> Path:
    """Write a page, whole or not at all; all values are escaped.

    Raises
    ------
    ImportError
        Without Jinja2; feature is what needs it.
    """
    path = Path(os.fspath(path))
    if path.suffix.lower() not in HTML_EXTENSIONS:
        raise ValueError(f"{path} must have one of the extensions {' '.join(HTML_EXTENSIONS)}")
    jinja2 = require("jinja2", feature, "report")
    folder = files("fasttsne.reports") / "templates"
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: (folder / name).read_text(encoding="utf-8")),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    text = environment.get_template(template).render(**values)
    with atomic_write(path) as temp_path:
        temp_path.write_text(text, encoding="utf-8")
    return path


def to_plane(points: np.ndarray) -> tuple[np.ndarray, str]:
    """Return the points in two dimensions, (n, 2), and a note on how, empty for maps in 2-D.

    More dimensions are projected on the two principal axes; of one the second coordinate is 0.
    """
    d = points.shape[1]
    if d == 2:
        return points, ""
    if d == 1:
        note = "The map has one dimension: it is drawn as a line."
        return np.column_stack([points[:, 0], np.zeros(len(points))]), note
    centered = points - points.mean(0)
    _, _, axes = np.linalg.svd(centered.T @ centered)
    flat = centered @ axes[:2].T
    share = flat.var(0).sum() / centered.var(0).sum()
    return flat, (
        f"The map has {d} dimensions: it is drawn as its projection on two, which has {share:.0%} "
        "of its variance.  Points that lie on one another here may be far apart in it; scores are "
        "those of the whole map."
    )


def _scaled_points(flat: np.ndarray, shown: np.ndarray, size: float) -> np.ndarray:
    """Return the shown points, moved and scaled as all that the wider side is from 0 to size."""
    return np.asarray((flat[shown] - flat.min(0)) / np.ptp(flat, axis=0).max() * size)


def _describe_score(name: str, scores: Mapping[str, Estimate]) -> dict[str, object]:
    """Return what the table has of a score; its bar has places on the range, in percent."""
    score, meaning, usual = scores[name], MEANINGS[name], catalogue.usual_range(name)
    low, high, bar = meaning.low, meaning.high, None
    if low is not None and high is not None:
        shares = np.clip((np.array([score, *(usual or ())]) - low) / (high - low), 0, 1)
        value, *limits = (round(share * 100, 1) for share in shares.tolist())
        bar = {"value": value, **dict(zip(("first", "last"), limits or (None, None), strict=True))}
    return {
        "name": name,
        "title": meaning.title,
        "text": meaning.text,
        "value": catalogue.format_value(score),
        "error": catalogue.format_error(score),
        "usual": catalogue.format_usual(name),
        "bar": bar,
    }


def _small_map(
    name: str, report: ReportContent, colors: PointColors, shown: np.ndarray
) -> dict[str, object]:
    """Return a map of a comparison; marks of a colour are one path of lines without length."""
    flat, note = to_plane(report.embedding)
    places = np.round(_scaled_points(flat, shown, SIDE), 1)
    places[:, 1] = SIDE - places[:, 1]  # upwards, as in figures
    codes = colors.codes[shown]
    if colors.limits is not None:  # few steps of the scale
        steps = np.linspace(0, len(colors.table) - 1, N_STEPS).round().astype(int)
        codes = steps[np.abs(codes[:, None] - steps).argmin(1)]
    paths = [
        {
            "color": to_hex(colors.table[code]),
            "d": "".join(f"M{x:g} {y:g}h0" for x, y in places[codes == code]),
        }
        for code in np.unique(codes)
    ]
    return {"name": name, "note": note, "paths": paths}


class _Frame:
    """The axes of curves, of which x and y are all finite values: places in the drawing, ticks."""

    def __init__(self, x: np.ndarray, y: np.ndarray, is_log: bool):
        self._log = np.log if is_log else np.asarray
        self._x_ends = self._log(np.array([x.min(), x.max()]))
        self.low, self.high = min(0.0, float(y.min())), max(float(y.max()) * 1.05, 0.1)
        low, high = float(x.min()), float(x.max())
        powers = range(int(np.ceil(np.log10(low))), int(np.log10(high)) + 1) if is_log else ()
        x_ticks = [10.0**i for i in powers] if is_log else _steps(low, high)
        y_ticks = _steps(self.low, self.high)
        self.ticks = {
            "x_ticks": [(round(float(self.place_x(t)), 1), f"{t:,g}") for t in x_ticks],
            "y_ticks": [(round(float(self.place_y(t)), 1), f"{t:g}") for t in y_ticks],
        }

    def place_x(self, x: ArrayLike) -> np.ndarray:
        first, last = self._x_ends
        share = np.asarray((self._log(x) - first) / (last - first))
        return MARGIN_LEFT + share * (WIDTH - 8 - MARGIN_LEFT)

    def place_y(self, y: ArrayLike) -> np.ndarray:
        share = np.asarray((np.asarray(y) - self.low) / (self.high - self.low))
        return BOX["bottom"] + share * (8 - BOX["bottom"])

    def path(self, x: np.ndarray, y: np.ndarray) -> str:
        """Return the path of SVG through points."""
        places = zip(self.place_x(x), self.place_y(y), strict=True)
        return "M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in places)


def _steps(low: float, high: float) -> list[float]:
    """Return round numbers from low to high, three to seven."""
    size = 10.0 ** np.floor(np.log10((high - low) / 2))
    step = next(size * factor for factor in (1, 2, 5, 10) if (high - low) / (size * factor) < 7)
    return [round(i * step, 10) for i in range(int(np.ceil(low / step)), int(high / step) + 1)]


def _curves(curves: Mapping[str, Mapping[str, np.ndarray]]) -> list[dict[str, object]]:
    """Return the curves of a report that can be drawn: texts, ticks, paths of line and band."""
    found = []
    if "ranks" in curves:
        drawn = _draw_curve(curves["ranks"], "k", "r_nx", "r_nx_error", is_log=True)
        about = {
            "title": "Neighbourhoods of all sizes",
            "text": "How much better than by chance the map keeps the k nearest neighbours (R_NX): "
            "1 is all of them, 0 is chance.  The left end is about neighbours, the right one about "
            "the arrangement of groups.",
            "x_name": "size k of the neighbourhood",
            "y_name": "R_NX",
        }
        found.append(drawn and {**about, **drawn})
    if "stress" in curves:
        drawn = _draw_curve(curves["stress"], "distance", "stress", "standard_error", is_log=False)
        about = {
            "title": "Stress by distance",
            "text": "How much the map changes distances, from short to long ones in the data; 0 is "
            "not at all.  Where it is high, do not read distances in the map.",
            "x_name": "distance in the data",
            "y_name": "stress",
        }
        found.append(drawn and {**about, **drawn})
    return [curve for curve in found if curve is not None]


def _draw_curve(
    curve: Mapping[str, np.ndarray], x_name: str, y_name: str, error_name: str, is_log: bool
) -> dict[str, object] | None:
    """Return ticks and the paths of a curve and its 95 % interval; None of fewer than 2 points."""
    part = downsample_curve(curve)
    x, y, error = part[x_name], part[y_name], part[error_name]
    is_known = np.isfinite(y) & (x > 0 if is_log else np.isfinite(x))
    x, y, error = x[is_known], y[is_known], np.nan_to_num(error[is_known])
    if len(x) < 2 or x[0] == x[-1]:
        return None
    frame, band = _Frame(x, y, is_log), ""
    if error.any():
        half = NORMAL_95 * error
        lower, upper = (np.clip(y + end, frame.low, frame.high) for end in (-half, half))
        band = frame.path(np.r_[x, x[::-1]], np.r_[upper, lower[::-1]]) + "Z"
    return {"line": frame.path(x, y), "band": band, **frame.ticks}


def _rank_lines(curves: Mapping[str, Mapping[str, np.ndarray] | None]) -> dict[str, object] | None:
    """Return the curves R_NX of several maps in one frame: ticks, and a path for each name."""
    parts = {}
    for name, curve in curves.items():
        if curve is not None:
            part = downsample_curve(curve)
            is_known = np.isfinite(part["r_nx"])
            if is_known.sum() > 1:
                parts[name] = part["k"][is_known], part["r_nx"][is_known]
    if not parts:
        return None
    all_x, all_y = map(np.concatenate, zip(*parts.values(), strict=True))
    frame = _Frame(all_x, all_y, is_log=True)
    styles = zip(parts.items(), _class_colors(len(parts)), itertools.cycle(DASHES), strict=False)
    lines = [
        {"name": name, "color": color, "dashes": dashes, "d": frame.path(*curve)}
        for (name, curve), color, dashes in styles
    ]
    return {"lines": lines, **frame.ticks}


def _page_data(report: ReportContent) -> str:
    """Return the data of the page as JSON that cannot end the script element it is in."""
    flat, _ = to_plane(report.embedding)
    shown = choose_points(len(flat), MAX_SHOWN)
    data = {
        "n": len(shown),
        "rows": None if len(shown) == len(flat) else _pack(shown, "<u4"),
        "points": _pack(np.round(_scaled_points(flat, shown, 2**16 - 1)), "<u2"),
        "layers": _layers(report, shown),
        "neighbors": _neighbors(report.neighbors, shown, len(flat)),
    }
    text = json.dumps(data, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _pack(values: np.ndarray, dtype: str) -> str:
    return base64.b64encode(np.ascontiguousarray(values, dtype).tobytes()).decode("ascii")


def _neighbors(strongest: np.ndarray | None, shown: np.ndarray, n: int) -> dict[str, object] | None:
    """Return for each shown point the places of its neighbours among those that are shown."""
    if strongest is None:
        return None
    place = np.full(n + 1, NO_NEIGHBOR, np.uint32)  # the last is for -1
    place[shown] = np.arange(len(shown))
    near = place[strongest[shown, :N_LINES]]
    return {"k": near.shape[1], "data": _pack(near, "<u4")}


def _layers(report: ReportContent, shown: np.ndarray) -> list[dict[str, object]]:
    """Return what points can be coloured by, in the order of the page's list."""
    points = report.points
    layers: list[dict[str, object] | None] = []
    if report.labels is not None:
        layers.append(_label_layer(report.labels, shown))
    if report.findings and points["finding"].any():
        texts = ["none", *(f"{i}. {f.title}" for i, f in enumerate(report.findings, 1))]
        colors = ["", *_class_colors(len(report.findings))]
        layers.append(_classes("finding", "Warnings", points["finding"][shown], texts, colors))
    layers.append(_island_layer(points["island"], shown))
    for name, title in POINT_TITLES.items():
        if name in (points.dtype.names or ()):
            values = points[name].astype(np.float64)
            layers.append(_values(name, title, values, shown, name in OVER_MAGNITUDES))
    return [layer for layer in layers if layer is not None]


def _class_colors(count: int) -> list[str]:
    return list(map(to_hex, color_points(np.arange(count), count, kind="classes").table))


def _label_layer(labels: np.ndarray, shown: np.ndarray) -> dict[str, object] | None:
    colors = color_points(labels, len(labels))
    if colors.limits is not None:
        return _values("label", "Label", labels.astype(np.float64), shown, False)
    texts = [name[:MAX_TEXT_LENGTH] for name in colors.names]
    codes, hexes = colors.codes, list(map(to_hex, colors.table))
    if len(texts) > N_CODES:  # the most frequent ones, and all others together
        kept = np.sort(np.argsort(-np.bincount(codes), kind="stable")[: N_CODES - 1])
        new_code = np.full(len(texts), N_CODES - 1)
        new_code[kept] = np.arange(len(kept))
        codes = new_code[codes]
        texts = [*(texts[i] for i in kept), "others"]
        hexes = [*(hexes[i] for i in kept), ""]
    return _classes("label", "Label", codes[shown], texts, hexes)


def _island_layer(island: np.ndarray, shown: np.ndarray) -> dict[str, object] | None:
    n_islands = int(island.max()) + 1
    if n_islands == 1:
        return None
    n_named = min(n_islands, MAX_ISLANDS)
    texts, colors = [f"island {i + 1}" for i in range(n_named)], _class_colors(n_named)
    if n_islands > n_named:
        texts, colors = [*texts, "smaller ones"], [*colors, ""]
    return _classes("island", "Islands", np.minimum(island[shown], n_named), texts, colors)


def _classes(
    name: str, title: str, codes: np.ndarray, texts: list[str], colors: list[str]
) -> dict[str, object]:
    return {
        "name": name,
        "title": title,
        "kind": "classes",
        "texts": texts,
        "colors": colors,
        "codes": _pack(codes, "u1"),
    }


def _values(
    name: str, title: str, values: np.ndarray, shown: np.ndarray, over_magnitudes: bool
) -> dict[str, object] | None:
    """Return values in steps between two quantiles; None where all are equal."""
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
        "codes": _pack(codes, "u1"),
    }
