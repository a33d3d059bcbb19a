"""Short tables of scores, as text and for notebooks."""

import html
import textwrap
from collections.abc import Mapping, Sequence

import numpy as np

from fasttsne.metrics.estimate import NORMAL_95
from fasttsne.reports.catalogue import MEANINGS
from fasttsne.reports.findings import Finding
from fasttsne.reports.usual import usual_range

WIDTH = 88


def shown(value: float) -> str:
    """A number with three digits after the point."""
    return f"{value:.3f}"


def error_of(score: float, digits: int = 3) -> str:
    """Half of the 95 % interval of a score; empty where all rows were measured."""
    error = getattr(score, "standard_error", 0.0)
    if np.isnan(error):
        return "± not known"
    return f"± {NORMAL_95 * error:.{digits}f}" if error > 0 else ""


def usual_of(name: str) -> str:
    """The usual range as text."""
    limits = usual_range(name)
    return "" if limits is None else f"{shown(limits[0])} to {shown(limits[1])}"


def text_table(headline: str, rows: Sequence[Sequence[str]], findings: Sequence[str]) -> str:
    """A table whose first column is text and whose others are numbers.

    rows : texts, the first row the names of columns.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [headline, ""]
    for first, *others in rows:
        cells = [first.ljust(widths[0])]
        cells += [text.rjust(width) for text, width in zip(others, widths[1:], strict=True)]
        lines.append("  ".join(cells).rstrip())
    lines += [""] * bool(findings)
    for text in findings:
        lines += textwrap.wrap(f"! {text}", WIDTH, subsequent_indent="  ")
    return "\n".join(lines)


def html_table(headline: str, rows: Sequence[Sequence[str]], findings: Sequence[str]) -> str:
    """The same for a notebook; what is not ours is escaped."""
    head, *body = [[html.escape(text) for text in row] for row in rows]
    parts = [f"<p>{html.escape(headline)}</p><table><thead><tr>"]
    parts += [f"<th>{text}</th>" for text in head]
    parts.append("</tr></thead><tbody>")
    for first, *others in body:
        cells = "".join(f'<td style="text-align:right">{text}</td>' for text in others)
        parts.append(f'<tr><th style="text-align:left">{first}</th>{cells}</tr>')
    parts.append("</tbody></table>")
    parts += [f"<p>⚠ {html.escape(text)}</p>" for text in findings]
    return "".join(parts)


def score_rows(scores: Mapping[str, float]) -> list[list[str]]:
    """The table of one report."""
    rows = [["score", "value", "", "usual"]]
    rows += [
        [name, shown(score), error_of(score), usual_of(name)] for name, score in in_order(scores)
    ]
    return rows


def in_order(scores: Mapping[str, float]) -> list[tuple[str, float]]:
    """The scores in the order of the catalogue."""
    return [(name, scores[name]) for name in MEANINGS if name in scores]


def titles(findings: Sequence[Finding]) -> list[str]:
    """Warnings in a line each."""
    return [str(finding) for finding in findings]
