"""Scatter plots on Axes of Matplotlib."""

import inspect
from pathlib import Path

import numpy as np

from fasttsne.drawing.style import (
    COLORMAP_SIZE,
    MISSING_OPACITY,
    PointColors,
    check_opacity,
    default_point_style,
    shorten,
)
from fasttsne.runtime.validation import check_data, check_number, refuse_masked
from fasttsne.utils import nearest_name, require, warn_user

IMAGE_EXTENSIONS = (".png", ".svg", ".pdf", ".jpg", ".webp")
FIGURE_SIZE = (7, 7)  # inches
IMAGE_DPI = 150
MIN_RADIUS = 0.5  # typographic points
# More points are an image, unless they must be markers: of a million Matplotlib draws those in 5 s.
MAX_MARKERS = 500_000
# What else an image can have of the parameters of ``Axes.scatter``.
IMAGE_SETTINGS = {"rasterized", "zorder", "gid", "visible"}
# Parameters of ``Axes.scatter`` that follow from the points and the labels.
GIVEN = {"self", "x", "y", "c", "kwargs"}


def check_points(embedding) -> np.ndarray:
    """The embedding as a finite array of shape (n_samples, 2)."""
    refuse_masked(embedding, "embedding")
    points = check_data(np.asarray(embedding), "embedding", min_rows=1)
    if points.shape[1] != 2:
        raise ValueError(f"embedding must have the shape (n_samples, 2); got {points.shape}")
    return points


def drawing_order(n_samples: int, missing: np.ndarray | None = None) -> np.ndarray:
    """Return a permutation of the points, (n_samples,), the same at each call.

    missing : (n_samples,) bool, the points that are below all others; None for none.
    """
    order = np.random.RandomState(0).permutation(n_samples)
    return order if missing is None else order[np.argsort(~missing[order], kind="stable")]


def new_axes():
    """Axes of a new pyplot figure."""
    pyplot = require("matplotlib.pyplot", "plotting.scatter", "plot")
    return pyplot.subplots(figsize=FIGURE_SIZE, layout="constrained")[1]


def unmanaged_axes(feature: str):
    """Axes of a new figure that pyplot does not manage, and so neither shows nor keeps."""
    figure = require("matplotlib.figure", feature, "plot").Figure
    return figure(FIGURE_SIZE, layout="constrained").subplots()


def save_figure(figure, path) -> None:
    """Write a figure to a file, whose bytes depend on the figure only."""
    rc_context = require("matplotlib", "an image", "plot").rc_context
    dated = {".svg": "Date", ".pdf": "CreationDate"}.get(Path(path).suffix.lower())
    with rc_context({"svg.hashsalt": "fasttsne"}):
        figure.savefig(path, dpi=IMAGE_DPI, metadata={dated: None} if dated else None)


def check_settings(settings) -> None:
    """Raise TypeError for a parameter that ``Axes.scatter`` does not take."""
    artist = require("matplotlib.artist", "plotting.scatter", "plot")
    from matplotlib.axes import Axes
    from matplotlib.collections import PathCollection

    properties = artist.ArtistInspector(PathCollection)
    known = {*inspect.signature(Axes.scatter).parameters, *properties.get_setters()}
    known.update(*properties.aliasd.values())
    for name in settings.keys() - (known - GIVEN):
        near = nearest_name(name, known)
        hint = f"; do you mean {near!r}?" if near else ""
        raise TypeError(
            f"plot has no parameter {name!r}{hint}; it takes the parameters of "
            "fasttsne.plotting.scatter and of Matplotlib's Axes.scatter"
        )


def add_points(ax, points, colors: PointColors, point_size, opacity, **settings) -> None:
    """Draw points on Axes; None for size and opacity is the default.

    They are markers in shuffled order; many are an image, if no setting is one of markers only.
    """
    inches = ax.get_window_extent().transformed(ax.figure.dpi_scale_trans.inverted())
    area = 72**2 * inches.width * inches.height
    radius, alpha = default_point_style(len(points), area, MIN_RADIUS)
    size = (2 * radius) ** 2
    if point_size is not None:
        size = check_number(point_size, "point_size", above=0)
    alpha = check_opacity(opacity, alpha)
    is_image = settings.get("rasterized", True) and settings.keys() <= IMAGE_SETTINGS
    if len(points) > MAX_MARKERS and is_image:
        _add_image(ax, points, colors, size**0.5 / 2, alpha, settings)
    else:
        order = drawing_order(len(points), colors.missing)
        if colors.missing is not None:
            alpha = np.where(colors.missing, MISSING_OPACITY * alpha, alpha)[order]
        defaults = {"s": size, "alpha": alpha, "linewidths": 0}
        ax.scatter(*points[order].T, c=colors.table[colors.codes[order]], **defaults | settings)
    # The axes of an embedding have no meaning, but equal units.
    ax.set_aspect("equal", adjustable="datalim")
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)


def _add_image(ax, points, colors, radius, opacity, settings):
    from fasttsne.drawing.point_image import PointImage  # which needs Matplotlib

    image = PointImage(points, colors, radius, opacity)
    image.set(**settings)
    ax.add_artist(image)
    image.set_clip_path(ax.patch)
    ax.update_datalim([points.min(0), points.max(0)])
    ax.autoscale_view()


def add_legend(ax, colors: PointColors, name: str | None) -> None:
    """Add a color bar of values, or a legend of classes unless they are too many."""
    if colors.limits is not None:
        _add_colorbar(ax, colors, name)
    elif colors.too_many_classes:
        warn_user(
            f"labels have {colors.too_many_classes}: the plot has no legend, and colors repeat"
        )
    elif colors.names:
        _add_class_names(ax, colors)


def _plain(name):
    """Return a name without what Matplotlib would take for mathematics."""
    return shorten(name).replace("$", r"\$")


def _add_class_names(ax, colors):
    from matplotlib.lines import Line2D

    dots = [
        Line2D([], [], linestyle="", marker="o", markersize=6, color=color, label=_plain(name))
        for name, color in zip(colors.names, colors.table, strict=True)
    ]
    columns = -(-len(dots) // 25)
    ax.legend(
        handles=dots,
        loc="center left",
        bbox_to_anchor=(1.0, 0.5),
        frameon=False,
        ncols=columns,
        handletextpad=0.2,
    )


def _add_colorbar(ax, colors, name):
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import ListedColormap, Normalize

    scale = ScalarMappable(Normalize(*colors.limits), ListedColormap(colors.table[:COLORMAP_SIZE]))
    bar = ax.figure.colorbar(scale, ax=ax, shrink=0.5, aspect=25, label=_plain(name or ""))
    bar.outline.set_visible(False)
