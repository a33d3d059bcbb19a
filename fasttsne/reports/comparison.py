"""Reports on several maps of the same rows, side by side."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from fasttsne.reports import catalogue
from fasttsne.reports.inputs import check_input, integer_seed, resolve_sample, with_graph
from fasttsne.reports.page import write_comparison
from fasttsne.reports.result import Report, check_axes, draw_map, draw_rank_curves, make_report
from fasttsne.runtime.typing import FilePath, Metric, RandomState, Rows, Settings

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, repr=False)
class Comparison:
    """What :func:`fasttsne.compare` returns; where it is printed, a table of scores by map.

    Attributes
    ----------
    reports : :class:`Report` by the name of the map.
    """

    reports: dict[str, Report]

    @property
    def scores(self) -> dict[str, dict[str, float]]:
        """Values by the name of the score, by the name of the map."""
        return {
            name: {each: r.scores[name] for each, r in self.reports.items() if name in r.scores}
            for name in catalogue.MEANINGS
            if any(name in r.scores for r in self.reports.values())
        }

    def to_dict(self) -> dict[str, Any]:
        """Return the reports, as JSON can express them, by the name of the map."""
        return {name: each.to_dict() for name, each in self.reports.items()}

    def to_html(self, path: FilePath, title: str | None = None) -> Path:
        """Write the comparison as one HTML page that needs no other file and no network.

        It has small maps, coloured by the labels, the curves R_NX in one frame, and the table of
        scores.  Of more than 4,000 points it has a sample.

        Parameters
        ----------
        path : of the file; one that exists is replaced.
        title : of the page; None is "Comparison of maps".

        Raises
        ------
        ImportError
            Without Jinja2: the extra ``report``.
        """
        rows = self._rows()[1:]
        return write_comparison(self.reports, self.headline, rows, path, title)

    def plot(self, axes: Sequence["Axes"] | None = None) -> Sequence["Axes"]:
        """Draw small multiples of the maps, and their curves R_NX in one more Axes.

        Parameters
        ----------
        axes : Axes of Matplotlib, one more than there are maps; None makes a figure.

        Returns
        -------
        The Axes.

        Raises
        ------
        ImportError
            Without Matplotlib: the extra ``plot``.
        """
        axes = check_axes(axes, len(self.reports) + 1, f"{len(self.reports)} maps")
        for ax, (name, report) in zip(axes, self.reports.items(), strict=False):
            draw_map(report, ax, name)
        draw_rank_curves(self.reports, axes[-1])
        axes[-1].legend(frameon=False)
        return axes

    @property
    def headline(self) -> str:
        """What it is about, in a line."""
        n = len(next(iter(self.reports.values())).embedding)
        count = len(self.reports)
        return f"{count} map{'' if count == 1 else 's'} of {n:,} rows"

    def _rows(self) -> list[list[str]]:
        rows = [["score", *self.reports, "usual"]]
        for name, values in self.scores.items():
            cells = [
                catalogue.format_value(values[each]) if each in values else ""
                for each in self.reports
            ]
            rows.append([name, *cells, catalogue.format_usual(name)])
        return rows

    def _warnings(self) -> list[str]:
        return [f"{name}: {each}" for name, r in self.reports.items() for each in r.findings]

    def __repr__(self) -> str:
        return catalogue.text_table(self.headline, self._rows(), self._warnings())

    def _repr_html_(self) -> str:
        return catalogue.html_table(self.headline, self._rows(), self._warnings())


def compare(
    maps: Mapping[str, Any],
    X: Rows,
    labels: ArrayLike | None = None,
    sample: int | str | None = "auto",
    random_state: RandomState = 0,
    n_jobs: int | None = -1,
    *,
    metric: Metric | None = None,
    metric_params: Settings = None,
    perplexity: float | None = None,
) -> Comparison:
    """Measure several maps of the same rows, of one program or of several.

    All are measured on the same sample.  The graph of neighbours, too, is one for all maps that
    have none of their own.

    Parameters
    ----------
    maps : maps by name, each as ``embedding`` of :func:`report`.

    Other parameters, and errors, are as for :func:`report`.

    Returns
    -------
    Comparison
    """
    if not isinstance(maps, Mapping) or not maps:
        raise TypeError(f"maps must be a dictionary of at least one map; got {maps!r:.60}")
    seed, graph, found = integer_seed(random_state), None, {}
    for name, embedding in maps.items():
        start = time.perf_counter()
        given = check_input(X, embedding, labels, metric, metric_params)
        spec = resolve_sample(sample, np.shape(given.X), seed, n_jobs)
        given = with_graph(given, spec, perplexity, graph)
        if not given.graph_is_own:
            graph = given.affinities
        found[str(name)] = make_report(given, spec, start)
    return Comparison(found)
