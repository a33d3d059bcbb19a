"""The scores of a report in words and tables: meanings, usual ranges, text and HTML."""

import html
import json
import textwrap
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TypedDict

import numpy as np

from fasttsne.metrics.estimate import NORMAL_95, Estimate

# The width of a text table's warnings.
WIDTH = 88
# Values of a curve that are kept, evenly spaced in the logarithm of their number.
MAX_CURVE_VALUES = 200


@dataclass(frozen=True)
class Meaning:
    """The name of a score for readers, what it means, and its range, None where it has no end."""

    title: str
    text: str
    low: float | None = 0.0
    high: float | None = 1.0


# In the order of a report's table.
MEANINGS = {
    "neighbor_recall": Meaning(
        "Neighbours kept",
        "Share of the 10 nearest neighbours in the data that are among the 10 nearest in the map. "
        "No map in 2-D keeps all of them: read groups, not single neighbours.",
    ),
    "neighbors_near": Meaning(
        "Neighbours near",
        "Share of each point's 10 strongest neighbours in the graph that are among its 30 nearest "
        "in the map.",
    ),
    "trustworthiness": Meaning(
        "Trustworthiness",
        "Whether points that are near each other in the map are so in the data; "
        "1 where none has come in from far away, about .5 for a random map.",
    ),
    "continuity": Meaning(
        "Continuity",
        "Whether rows that are near each other in the data are so in the map; "
        "low where the map tears the data apart.",
    ),
    "rank_area": Meaning(
        "Neighbourhoods of all sizes",
        "Area under the curve R_NX over the logarithm of the size: neighbourhoods of every size, "
        "the small ones counting most; 0 for a random map.",
        low=-1.0,
    ),
    "rank_local": Meaning(
        "Local neighbourhoods",
        "Mean share of neighbours kept, over sizes up to the one that the map keeps best.",
    ),
    "rank_global": Meaning(
        "Global neighbourhoods",
        "The same over all larger sizes: whether it may be read which groups are near which.",
    ),
    "distance_correlation": Meaning(
        "Distances",
        "Rank correlation of all distances in the data and in the map. "
        "Where it is low, distances between groups say little.",
        low=-1.0,
    ),
    "stress": Meaning(
        "Stress",
        "How much of the distances the map changes, after the best scaling; 0 for none.",
        high=None,
    ),
    "density_correlation": Meaning(
        "Densities",
        "Correlation of local densities in the data and in the map. "
        "Where it is low, dense and sparse areas of the map say little about the data.",
        low=-1.0,
    ),
    "anisotropy": Meaning(
        "Stretching",
        "Median, over points, of the largest by the smallest stretch of a neighbourhood: "
        "1 where shapes are kept.",
        low=1.0,
        high=None,
    ),
    "jumps": Meaning(
        "Points that jump",
        "Share of points that would move far away if their row changed a little: "
        "the map is discontinuous there.",
    ),
    "loose": Meaning(
        "Points that are loose",
        "Share of points whose place is hardly held: it is arbitrary to some extent.",
    ),
    "graph_recall": Meaning(
        "Graph",
        "Share of the 15 true nearest neighbours that the graph has from which the map was made. "
        "What the graph lacks, no map can show.",
    ),
    "graph_recall_tail": Meaning("Graph, worst rows", "The same, as 99 % of the rows reach it."),
    "label_accuracy": Meaning(
        "Labels in the map",
        "Share of points whose label is the most frequent one of their 10 nearest labelled points.",
    ),
    "label_accuracy_in_data": Meaning(
        "Labels in the data",
        "The same in the data: a map that has more looks clearer than the data are.",
    ),
    "silhouette": Meaning(
        "Separation in the map",
        "Mean silhouette of the labels: 1 where they are far apart, 0 where they touch.",
        low=-1.0,
    ),
    "silhouette_in_data": Meaning(
        "Separation in the data",
        "The same in the data.  t-SNE shows groups farther apart than they are.",
        low=-1.0,
    ),
    "kl_divergence": Meaning(
        "KL divergence",
        "The loss that the fit minimizes: compare only maps of one data set and one perplexity.",
        high=None,
    ),
}

# What the page and files call the values of points, and whether they spread over magnitudes.
POINT_TITLES = {
    "neighbors_near": "Neighbours near (share)",
    "neighbor_recall": "Neighbours kept (share)",
    "trustworthiness": "Trustworthiness",
    "continuity": "Continuity",
    "perturbation": "Perturbation: how far it jumps",
    "singularity": "Singularity: how loose it is",
    "area": "Area, by the usual one",
    "anisotropy": "Stretching",
    "label_is_right": "Label is that of its neighbours",
    "silhouette": "Silhouette",
    "elsewhere": "Neighbours in other islands (share)",
    "n_equal": "Rows equal to this",
}
OVER_MAGNITUDES = ("perturbation", "singularity", "area", "anisotropy")


class UsualScores(TypedDict):
    """The table of benchmarks/usual_scores.py: its data sets, and quantiles by score."""

    data: list[object]
    ranges: dict[str, tuple[float, float, float]]


@cache
def usual_scores() -> UsualScores:
    """Return benchmarks/usual_scores.py's table: its command, data sets and quantiles by score."""
    text = (files("fasttsne") / "data" / "usual_scores.json").read_text(encoding="utf-8")
    found: UsualScores = json.loads(text)
    return found


def usual_range(name: str) -> tuple[float, float] | None:
    """Return what most maps of real data have; None for scores that depend on the data alone."""
    found = usual_scores()["ranges"].get(name)
    return None if found is None else (found[0], found[2])


def format_value(value: float) -> str:
    """Return a number with three digits after the point."""
    return f"{value:.3f}"


def format_error(score: float, digits: int = 3) -> str:
    """Return half of the 95 % interval of a score; empty where all rows were measured."""
    error = score.standard_error if isinstance(score, Estimate) else 0.0
    if np.isnan(error):
        return "± not known"
    return f"± {NORMAL_95 * error:.{digits}f}" if error > 0 else ""


def format_usual(name: str) -> str:
    """Return the usual range as text."""
    limits = usual_range(name)
    return "" if limits is None else f"{format_value(limits[0])} to {format_value(limits[1])}"


class ShownAsTable(ABC):
    """Shown, in text and in a notebook, as a table, whose first column is text, and warnings."""

    @property
    @abstractmethod
    def headline(self) -> str:
        """What it is about, in a line."""

    @abstractmethod
    def _rows(self) -> list[list[str]]:
        """Return the texts of the table, the first row the names of columns."""

    @abstractmethod
    def _warnings(self) -> list[str]: ...

    def __repr__(self) -> str:
        rows, warnings = self._rows(), self._warnings()
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [self.headline, ""]
        for first, *others in rows:
            cells = [first.ljust(widths[0])]
            cells += [text.rjust(width) for text, width in zip(others, widths[1:], strict=True)]
            lines.append("  ".join(cells).rstrip())
        lines += [""] * bool(warnings)
        for text in warnings:
            lines += textwrap.wrap(f"! {text}", WIDTH, subsequent_indent="  ")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        head, *body = [[html.escape(text) for text in row] for row in self._rows()]
        parts = [f"<p>{html.escape(self.headline)}</p><table><thead><tr>"]
        parts += [f"<th>{text}</th>" for text in head]
        parts.append("</tr></thead><tbody>")
        for first, *others in body:
            cells = "".join(f'<td style="text-align:right">{text}</td>' for text in others)
            parts.append(f'<tr><th style="text-align:left">{first}</th>{cells}</tr>')
        parts.append("</tbody></table>")
        parts += [f"<p>⚠ {html.escape(text)}</p>" for text in self._warnings()]
        return "".join(parts)


def downsample_curve(curve: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the curve at ``MAX_CURVE_VALUES`` places at most, the first and last among them."""
    n = len(next(iter(curve.values())))
    if n <= MAX_CURVE_VALUES:
        return dict(curve)
    places = np.unique(np.geomspace(1, n, MAX_CURVE_VALUES).round().astype(int)) - 1
    return {name: values[places] for name, values in curve.items()}
