"""Reports on several maps of the same rows, side by side."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fasttsne.reports import figures, page_comparison, tables
from fasttsne.reports.catalogue import MEANINGS
from fasttsne.reports.page_template import check_path, write_text
from fasttsne.reports.result import Report
from fasttsne.runtime.typing import FilePath

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
            for name in MEANINGS
            if any(name in r.scores for r in self.reports.values())
        }

    def to_dict(self) -> dict[str, Any]:
        """The reports, as JSON can express them, by the name of the map."""
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
        path = check_path(path)
        return write_text(path, page_comparison.make_page(self, title))

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
        return figures.plot_comparison(self.reports, axes)

    def _rows(self) -> list[list[str]]:
        names = list(self.reports)
        rows = [["score", *names, "usual"]]
        for name, values in self.scores.items():
            cells = [tables.shown(values[each]) if each in values else "" for each in names]
            rows.append([name, *cells, tables.usual_of(name)])
        return rows

    def _findings(self) -> list[str]:
        return [
            f"{name}: {finding}" for name, each in self.reports.items() for finding in each.findings
        ]

    @property
    def headline(self) -> str:
        """What it is about, in a line."""
        n = len(next(iter(self.reports.values())).embedding)
        count = len(self.reports)
        return f"{count} map{'' if count == 1 else 's'} of {n:,} rows"

    def __repr__(self) -> str:
        return tables.text_table(self.headline, self._rows(), self._findings())

    def _repr_html_(self) -> str:
        return tables.html_table(self.headline, self._rows(), self._findings())
