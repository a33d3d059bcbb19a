"""The report on one map."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fasttsne.metrics import Estimate
from fasttsne.reports import figures, tables
from fasttsne.reports.catalogue import MEANINGS
from fasttsne.reports.findings import Finding
from fasttsne.reports.page import write_page
from fasttsne.reports.thin import thinned
from fasttsne.reports.usual import usual_range
from fasttsne.runtime.typing import FilePath

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, repr=False)
class Report:
    """How far a map can be trusted: what :func:`fasttsne.report` returns.

    In a notebook, and where it is printed, it is a short table.

    Attributes
    ----------
    scores : floats by name, with their standard errors (:class:`fasttsne.metrics.Estimate`).
    points : (n,) structured array, a row for each row of the data, counted from 0: what each score
        has for it, NaN where it is not in the sample; ``island``, the number of its island in the
        map, the largest 0; and ``finding``, the number of the first warning about it, counted from
        1, or 0.
    curves : arrays by name: ``ranks`` has k, q_nx, r_nx and r_nx_error
        (:func:`fasttsne.metrics.rank_curves`), ``stress`` has distance, stress, standard_error and
        ratio (:func:`fasttsne.metrics.stress`).
    findings : warnings (:class:`Finding`), where the map should not be read as it seems.
    left_out : why there is no such score, by name.
    facts : how the map and the report were made: texts by name, by group.
    plan : the plan of the run as text, or None where it is not known.
    embedding : (n, d) the map.
    labels : (n,) or None.
    """

    scores: dict[str, Estimate]
    points: np.ndarray
    curves: dict[str, dict[str, np.ndarray]]
    findings: tuple[Finding, ...]
    left_out: dict[str, str]
    facts: dict[str, dict[str, str]]
    plan: str | None
    embedding: np.ndarray
    labels: np.ndarray | None = None
    neighbors: np.ndarray | None = field(default=None)

    def explain(self, name: str) -> str:
        """What a score means, its range, and what is usual.

        Parameters
        ----------
        name : a key of ``scores``.

        Raises
        ------
        KeyError
            Where there is no such score.
        """
        meaning = MEANINGS[name]
        low = "-∞" if meaning.low is None else f"{meaning.low:g}"
        high = "∞" if meaning.high is None else f"{meaning.high:g}"
        usual = tables.usual_of(name)
        return f"{meaning.title}.  {meaning.text}  From {low} to {high}" + (
            f"; usual is {usual}." if usual else "."
        )

    def to_dict(self, points: bool = False) -> dict[str, Any]:
        """All of it as JSON can express it; NaN is None, as a standard error that is not known.

        Parameters
        ----------
        points : also what each point has, as lists.
        """
        found: dict[str, Any] = {
            "scores": {name: self._score(name) for name in self.scores},
            "findings": [
                {"kind": f.kind, "title": f.title, "text": f.text, "n_rows": len(f.rows)}
                for f in self.findings
            ],
            "left_out": dict(self.left_out),
            "facts": self.facts,
            "plan": self.plan,
            "curves": {
                name: {part: _as_list(values) for part, values in thinned(curve).items()}
                for name, curve in self.curves.items()
            },
        }
        if points:
            names = self.points.dtype.names or ()
            found["points"] = {name: _as_list(self.points[name]) for name in names}
        return found

    def to_html(self, path: FilePath, title: str | None = None) -> Path:
        """Write the report as one HTML page that needs no other file and no network.

        The map is drawn in it, coloured by what is chosen there; a click shows a point's neighbours
        in the data.  Of more than 100,000 points it has a sample.

        Parameters
        ----------
        path : of the file; one that exists is replaced.
        title : of the page; None is "Report on a map".

        Raises
        ------
        ImportError
            Without Jinja2: the extra ``report``.
        """
        return write_page(self, path, title)

    def plot(self, axes: Sequence["Axes"] | None = None) -> Sequence["Axes"]:
        """Draw the map, coloured by neighbours kept, the curve R_NX and the stress by distance.

        Parameters
        ----------
        axes : three Axes of Matplotlib; None makes a figure.

        Returns
        -------
        The three Axes.

        Raises
        ------
        ImportError
            Without Matplotlib: the extra ``plot``.
        """
        return figures.plot_report(self, axes)

    def _score(self, name: str) -> dict[str, Any]:
        score, usual = self.scores[name], usual_range(name)
        error = score.standard_error
        return {
            "value": float(score),
            "standard_error": None if np.isnan(error) else error,
            "usual": None if usual is None else list(usual),
            "meaning": self.explain(name),
        }

    @property
    def headline(self) -> str:
        """What it is about, in a line."""
        n, d = self.embedding.shape
        return f"Report on a map of {n:,} points in {d}-D"

    def __repr__(self) -> str:
        return tables.text_table(
            self.headline, tables.score_rows(self.scores), tables.titles(self.findings)
        )

    def _repr_html_(self) -> str:
        return tables.html_table(
            self.headline, tables.score_rows(self.scores), tables.titles(self.findings)
        )


def _as_list(values: np.ndarray) -> list[Any]:
    if values.dtype.kind != "f":
        return list(values.tolist())
    return [value if np.isfinite(value) else None for value in values.tolist()]
