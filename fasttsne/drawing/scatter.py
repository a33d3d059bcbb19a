"""Scatter plots on Axes of Matplotlib."""

import numpy as np

from fasttsne.drawing.style import COLORMAP_SIZE, PointColors, check_opacity, default_point_style
from fasttsne.runtime.validation import check_data, check_number, refuse_masked
from fasttsne.utils import require

IMAGE_EXTENSIONS = (".png", ".svg", ".pdf", ".jpg", ".webp")
MAX_LEGEND_ENTRIES = 50
FIGURE_SIZE = (7, 7)  # inches
MIN_RADIUS = 0.5  # typographic points
# More points are an image, unless they must be markers: of a million Matplotlib draws those in 5 s.
MAX_MARKERS = 500_000
# What else an image can have of the parameters of ``Axes.scatter``.
IMAGE_SETTINGS = {"rasterized", "zorder", "gid", "visible"}


def check_points(embedding) -> np.ndarray:
    """The embedding as a finite array of shape (n_samples, 2)."""
    refuse_masked(embedding, "embedding")
    points = check_data(np.asarray(embedding), "embedding", min_rows=1)
    if points.shape[1] != 2:
        raise ValueError(f"embedding must have the shape (n_samples, 2); got {points.shape}")
    return points


def shuffled_order(n_samples: int) -> np.ndarray:
    """A permutation of the points, (n_samples,), the same at each call."""
    return np.random.RandomState(0).permutation(n_samples)


def new_axes():
    """Axes of a new pyplot figure."""
    pyplot = require("matplotlib.pyplot", "plotting.scatter", "plot")
    return pyplot.subplots(figsize=FIGURE_SIZE, layout="constrained")[1]


def unmanaged_axes(feature: str):
    """Axes of a new figure that pyplot does not manage, and so neither shows nor keeps."""
    figure = require("matplotlib.figure", feature, "plot").Figure
    return figure(FIGURE_SIZE, layout="constrained").subplots()


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
        order = shuffled_order(len(points))
        ax.scatter(
            *points[order].T, c=colors.table[colors.codes[order]],
            **{"s": size, "alpha": alpha, "linewidths": 0, **settings},
        )  # fmt: skip
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


def add_legend(ax, colors: PointColors) -> None:
    """A color bar for values, a legend for classes unless they are too many."""
    if colors.limits is not None:
        _add_colorbar(ax, colors)
    elif 0 < len(colors.names) <= MAX_LEGEND_ENTRIES:
        _add_class_names(ax, colors)


def _add_class_names(ax, colors):
    from matplotlib.lines import Line2D

    dots = [
        Line2D([], [], linestyle="", marker="o", markersize=6, color=color, label=name)
        for name, color in zip(colors.names, colors.table, strict=True)
    ]
    columns = -(-len(dots) // 25)
    ax.legend(handles=dots, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False,
              ncols=columns, handletextpad=0.2)  # fmt: skip


def _add_colorbar(ax, colors):
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import ListedColormap, Normalize

    scale = ScalarMappable(Normalize(*colors.limits), ListedColormap(colors.table[:COLORMAP_SIZE]))
    ax.figure.colorbar(scale, ax=ax, shrink=0.5, aspect=25).outline.set_visible(False)
