"""Reports on several maps of the same rows, side by side."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fasttsne.reports import figures, tables
from fasttsne.reports.catalogue import MEANINGS
from fasttsne.reports.result import Report

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
            for name in MEANINGS if any(name in r.scores for r in self.reports.values())
        }  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """The reports, as JSON can express them, by the name of the map."""
        return {name: each.to_dict() for name, each in self.reports.items()}

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
