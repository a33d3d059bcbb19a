"""The page of a comparison: small maps, curves in one frame and a table, without a script."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from fasttsne.drawing.page import choose_points
from fasttsne.drawing.style import PointColors, color_points, to_hex
from fasttsne.reports import tables
from fasttsne.reports.catalogue import MEANINGS
from fasttsne.reports.page_curves import BOX, rank_lines
from fasttsne.reports.page_template import render
from fasttsne.reports.project import to_plane

# Points of each map, which are marks of an SVG; side of a map in units of its drawing.
MAX_SHOWN, SIDE = 4000, 500
# Values have so many colours, and labels at most so many names.
N_STEPS, MAX_NAMES = 12, 24
MAX_NAME_LENGTH = 80


def make_page(comparison: Any, title: str | None = None) -> str:
    """The HTML text of a comparison; all that is not of the template is escaped."""
    reports = comparison.reports
    first = next(iter(reports.values()))
    n = len(first.embedding)
    shown = choose_points(n, MAX_SHOWN)
    colors = color_points(first.labels, n)
    return render(
        "comparison.html.jinja",
        "Comparison.to_html",
        title="Comparison of maps" if title is None else title,
        headline=comparison.headline,
        maps=[_small_map(name, each, colors, shown) for name, each in reports.items()],
        classes=_classes(colors),
        names=list(reports),
        scores=_score_rows(comparison),
        findings=[(name, f) for name, each in reports.items() for f in each.findings],
        ranks=rank_lines({name: each.curves.get("ranks") for name, each in reports.items()}),
        n=n,
        n_shown=len(shown),
        side=SIDE,
        box=BOX,
    )


def _small_map(name: str, report: Any, colors: PointColors, shown: np.ndarray) -> dict[str, Any]:
    """Marks of one colour are one path: lines of no length, with round ends."""
    flat, note = to_plane(report.embedding)
    low, size = flat.min(0), np.ptp(flat, axis=0).max()
    places = np.round((flat[shown] - low) / size * SIDE, 1)
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


def _classes(colors: PointColors) -> list[dict[str, str]]:
    """Names of labels with their colours; none where they are too many to be told apart."""
    if len(colors.names) > MAX_NAMES:
        return []
    return [
        {"name": name[:MAX_NAME_LENGTH], "color": to_hex(color)}
        for name, color in zip(colors.names, colors.table, strict=False)
    ]


def _score_rows(comparison: Any) -> list[dict[str, Any]]:
    scores: Mapping[str, Mapping[str, float]] = comparison.scores
    return [
        {
            "name": name,
            "title": MEANINGS[name].title,
            "text": MEANINGS[name].text,
            "texts": [
                *(
                    tables.shown(values[each]) if each in values else ""
                    for each in comparison.reports
                ),
                tables.usual_of(name),
            ],
        }
        for name, values in scores.items()
    ]
