"""Plots of an embedding: figures of Matplotlib, and interactive HTML files."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from fasttsne.drawing import page, style
from fasttsne.drawing.style import Palette, check_points, color_points, make_style
from fasttsne.io.atomic import atomic_write
from fasttsne.runtime.typing import FilePath
from fasttsne.utils import deprecate_positions, require

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def scatter(
    embedding: ArrayLike,
    labels: ArrayLike | None = None,
    ax: "Axes | None" = None,
    *,
    palette: Palette = None,
    kind: str = "auto",
    point_size: float | None = None,
    opacity: float | None = None,
    legend: bool = True,
    title: str | None = None,
    rasterized: bool = True,
    labels_name: str | None = None,
    **scatter_params: object,
) -> "Axes":
    """Draw an embedding with Matplotlib.

    Points are drawn in a shuffled order, the same each time, so that no class hides another.
    More than 500,000 are an image that this package draws, for the pixels of the output and anew
    when one zooms in: markers would take a minute for ten million points, and files hundreds of
    megabytes.  In the image no point is in front: colors mix where classes lie over each other,
    and opacity shows the density.  It has no ``Axes.collections``; with ``rasterized=False``, or
    with parameters that only markers have, there are markers.

    Parameters
    ----------
    embedding : (n_samples, 2) array.
    labels : (n_samples,) classes or values; None, NaN, NaT and pandas' NA in them are missing:
        such points are grey, fainter than the others, and below them.
    ax : Axes to draw on; None makes a figure of 7 by 7 inches.
    palette : None for one that color-blind readers can distinguish (24 classes, then again
        from the first; viridis for values); a list of colors, a mapping from label to
        color, or the name of a colormap.  A color is "#rrggbb" or three numbers in [0, 1].
    kind : "classes", "values", or "auto": numbers are values if they are not integers or
        have more than 50 distinct values; all other labels are classes.
    point_size : area of a point in square typographic points, as in Matplotlib; None chooses
        it from the number of points and the size of the Axes.
    opacity : in (0, 1]; None chooses it from the number of points.
    legend : show the classes, or a color bar of the values.  More than 50 classes have no legend,
        with a warning.
    title : of the Axes.
    rasterized : in PDF and SVG, store the points as an image, and text as text.
    labels_name : what the labels are, for the color bar; None is ``labels.name``, which columns of
        pandas and polars have.
    scatter_params : for ``Axes.scatter``.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError, TypeError
        If the embedding is not finite or not (n_samples, 2), or another parameter is invalid.
    ImportError
        Without Matplotlib.
    """
    points = check_points(embedding)
    colors = color_points(labels, len(points), palette, kind, labels_name)
    require("matplotlib.pyplot", "plotting.scatter", "plot")
    from fasttsne.drawing import scatter as figures

    settings = {"rasterized": rasterized, **scatter_params}
    figures.check_settings(settings)
    ax = figures.new_axes() if ax is None else ax
    figures.add_points(ax, points, colors, point_size, opacity, **settings)
    if title is not None:
        ax.set_title(title)
    if legend:
        figures.add_legend(ax, colors)
    return ax


def drawing_order(n_samples: int, labels: ArrayLike | None = None) -> np.ndarray:
    """Return the order in which :func:`scatter` draws points: shuffled, always the same.

    Parameters
    ----------
    n_samples : the number of points.
    labels : of the points; those whose label is missing come first.

    Returns
    -------
    (n_samples,) array of integers
    """
    return style.drawing_order(n_samples, color_points(labels, n_samples).missing)


@deprecate_positions("labels", "hover", "path")
def html(
    embedding: ArrayLike,
    *,
    labels: ArrayLike | None = None,
    hover: ArrayLike | Mapping[str, ArrayLike] | None = None,
    path: FilePath | None = None,
    palette: Palette = None,
    kind: str = "auto",
    point_size: float | None = None,
    opacity: float | None = None,
    title: str | None = None,
    max_points: int | None = page.MAX_POINTS,
    labels_name: str | None = None,
) -> Path | str:
    """Write an embedding as one interactive HTML file that needs no other files.

    The points are drawn by WebGL (plotly.js, which is in the file: 5 MB, and some 20 bytes
    and the text of ``hover`` for each point).  Drag to pan, scroll to zoom, click on a class
    in the legend to hide it, twice to see it alone.  More than 50 classes have no legend, with a
    warning, and the page says so: point at a row to see its label.

    Parameters
    ----------
    embedding : (n_samples, 2) array.
    labels, palette, kind, labels_name : colors, as in :func:`scatter`.
    hover : text that is shown at a point: (n_samples,) texts, or a mapping from names to
        such arrays, as ``df.to_dict("list")``; None shows the label.  Long texts are wrapped at
        60 characters and cut after 300.
    path : of the file; None returns the HTML text.
    point_size : diameter in pixels; None chooses it from the number of points.
    opacity : in (0, 1]; None chooses it from the number of points.
    title : of the page.
    max_points : of more points a random sample is shown, always the same, and the page says so;
        None shows all, which browsers may draw slowly or not at all.

    Returns
    -------
    Path or str
        The path of the file, or the HTML text.

    Raises
    ------
    ValueError, TypeError
        If the embedding is not finite or not (n_samples, 2), or another parameter is invalid.
    ImportError
        Without plotly.
    """
    points = page.to_float32(check_points(embedding))
    colors = color_points(labels, len(points), palette, kind, labels_name)
    shown = page.choose_points(len(points), max_points)
    texts = page.hover_texts(hover, labels, colors, shown)
    area, radius = page.WINDOW_AREA, page.MIN_RADIUS
    look = make_style(colors.take(shown), area, radius, point_size, opacity)
    text = page.make_page(points[shown], texts, look, len(points), title)
    if path is None:
        return text
    path = Path(os.fspath(path))
    with atomic_write(path) as temp_path:
        temp_path.write_text(text, encoding="utf-8")
    return path
