"""Figures of reports, drawn by Matplotlib."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fasttsne import plotting
from fasttsne.reports.catalogue import POINT_TITLES
from fasttsne.reports.project import to_plane
from fasttsne.utils import require

# By which values of points a map is coloured: the first that is known.
COLORS = ("neighbors_near", "neighbor_recall", "island")


def plot_report(report: Any, axes: Sequence[Any] | None) -> Sequence[Any]:
    """Draw the map and the curves of a report on three Axes."""
    axes = _check_axes(axes, 3, "a report")
    _draw_map(report, axes[0])
    _draw_ranks({"": report}, axes[1])
    stress = report.curves.get("stress")
    axes[2].set(title="Stress by distance", xlabel="distance in the data", ylabel="stress")
    if stress is not None:
        axes[2].plot(stress["distance"], stress["stress"], marker="o")
        axes[2].set_ylim(bottom=0)
    return axes


def plot_comparison(reports: Mapping[str, Any], axes: Sequence[Any] | None) -> Sequence[Any]:
    """Draw each map on an Axes, and all curves R_NX on the last."""
    axes = _check_axes(axes, len(reports) + 1, f"{len(reports)} maps")
    for ax, (name, report) in zip(axes, reports.items(), strict=False):
        _draw_map(report, ax, name)
    _draw_ranks(reports, axes[-1])
    axes[-1].legend(frameon=False)
    return axes


def _check_axes(axes: Sequence[Any] | None, count: int, what: str) -> Sequence[Any]:
    if axes is None:
        pyplot = require("matplotlib.pyplot", "a plot", "plot")
        _, found = pyplot.subplots(
            1, count, figsize=(4.5 * count, 4.5), layout="constrained", squeeze=False
        )
        return list(found[0])
    found = list(np.ravel(np.asarray(axes, dtype=object)))
    if len(found) != count:
        raise ValueError(f"axes must be {count} Axes for {what}; got {len(found)}")
    return found


def _draw_map(report: Any, ax: Any, title: str | None = None) -> None:
    names = report.points.dtype.names or ()
    name = next(name for name in COLORS if name in names)
    labels = report.labels if title is not None and report.labels is not None else None
    plotting.scatter(
        to_plane(report.embedding)[0],
        report.points[name] if labels is None else labels,
        ax,
        kind="values" if labels is None else "auto",
        legend=labels is None and title is None,
        title=title or POINT_TITLES.get(name, "Islands"),
    )


def _draw_ranks(reports: Mapping[str, Any], ax: Any) -> None:
    ax.set(title="Neighbourhoods of all sizes", xlabel="size k", ylabel="R_NX", xscale="log")
    for name, report in reports.items():
        curve = report.curves.get("ranks")
        if curve is None:
            continue
        (line,) = ax.plot(curve["k"], curve["r_nx"], label=name or None)
        low, high = (curve["r_nx"] + sign * 1.96 * curve["r_nx_error"] for sign in (-1, 1))
        ax.fill_between(curve["k"], low, high, color=line.get_color(), alpha=0.2, linewidth=0)
