"""The page of a report: one HTML file, by a template of Jinja2."""

from pathlib import Path
from typing import Any

import numpy as np

from fasttsne.reports import tables
from fasttsne.reports.catalogue import MEANINGS
from fasttsne.reports.page_curves import BOX, curves_of
from fasttsne.reports.page_data import MAX_SHOWN, page_data
from fasttsne.reports.page_template import check_path, render, write_text
from fasttsne.reports.project import to_plane
from fasttsne.reports.usual import usual_range, usual_scores
from fasttsne.runtime.typing import FilePath


def write_page(report: Any, path: FilePath, title: str | None = None) -> Path:
    """Write the page of a report; see :meth:`fasttsne.reports.Report.to_html`."""
    path = check_path(path)
    return write_text(path, make_page(report, title))


def make_page(report: Any, title: str | None = None) -> str:
    """The HTML text; all that is not of the template is escaped."""
    n = len(report.embedding)
    return render(
        "report.html.jinja",
        "Report.to_html",
        title="Report on a map" if title is None else title,
        headline=report.headline,
        note=to_plane(report.embedding)[1],
        n=n,
        n_shown=min(n, MAX_SHOWN),
        findings=report.findings,
        scores=_score_rows(report),
        left_out=_left_out(report),
        curves=curves_of(report.curves),
        facts=report.facts,
        plan=report.plan,
        n_data_sets=len(usual_scores()["data"]),
        data=page_data(report),
        box=BOX,
    )


def _score_rows(report: Any) -> list[dict[str, Any]]:
    """What the table has of each score."""
    rows = []
    for name, score in tables.in_order(report.scores):
        meaning = MEANINGS[name]
        rows.append(
            {
                "name": name,
                "title": meaning.title,
                "text": meaning.text,
                "value": tables.shown(score),
                "error": tables.error_of(score),
                "usual": tables.usual_of(name),
                "bar": None
                if meaning.low is None or meaning.high is None
                else _bar(name, float(score), meaning.low, meaning.high),
            }
        )
    return rows


def _bar(name: str, value: float, low: float, high: float) -> dict[str, float | None]:
    """Where the value and the usual range lie between the ends of the range, in percent."""

    def place(number: float) -> float:
        return round(float(np.clip((number - low) / (high - low), 0, 1)) * 100, 1)

    usual = usual_range(name)
    return {
        "value": place(value),
        "first": None if usual is None else place(usual[0]),
        "last": None if usual is None else place(usual[1]),
    }


def _left_out(report: Any) -> list[tuple[str, str]]:
    return [
        (MEANINGS[name].title, why) for name, why in report.left_out.items() if name in MEANINGS
    ]
