"""Scatter plots on Axes of Matplotlib, which this module needs: markers, or an image of many."""

import inspect
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from matplotlib import pyplot, rc_context
from matplotlib.artist import Artist, ArtistInspector, allow_rasterization
from matplotlib.axes import Axes
from matplotlib.backend_bases import RendererBase
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PathCollection
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from fasttsne import _kernels
from fasttsne.drawing.style import (
    COLORMAP_SIZE,
    MISSING_OPACITY,
    DrawStyle,
    PointColors,
    drawing_order,
    make_style,
    raster_table,
    shorten,
)
from fasttsne.runtime.validation import check_number
from fasttsne.utils import nearest_name, warn_user

FIGURE_SIZE = (7, 7)  # inches
IMAGE_DPI = 150
MIN_RADIUS = 0.5  # typographic points
POINT = 1 / 72  # inches
# More points are an image, unless they must be markers: of a million Matplotlib draws those in 5 s.
MAX_MARKERS = 500_000
# Points of an image that are converted to pixels at a time.
CHUNK_SIZE = 2**18
# What else an image can have of the parameters of ``Axes.scatter``.
IMAGE_SETTINGS = {"rasterized", "zorder", "gid", "visible"}
# Parameters of ``Axes.scatter`` that follow from the points and the labels.
GIVEN = {"self", "x", "y", "c", "kwargs"}


def new_axes() -> Axes:
    """Return Axes of a new pyplot figure."""
    return pyplot.subplots(figsize=FIGURE_SIZE, layout="constrained")[1]


def unmanaged_axes() -> Axes:
    """Return Axes of a new figure that pyplot does not manage, and so neither shows nor keeps."""
    return Figure(FIGURE_SIZE, layout="constrained").subplots()


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure to a file, whose bytes depend on the figure only."""
    dated = {".svg": "Date", ".pdf": "CreationDate"}.get(path.suffix.lower())
    with rc_context({"svg.hashsalt": "fasttsne"}):
        figure.savefig(path, dpi=IMAGE_DPI, metadata={dated: None} if dated else None)


def check_settings(settings: Mapping[str, object]) -> None:
    """Raise TypeError for a parameter that ``Axes.scatter`` does not take."""
    properties = ArtistInspector(PathCollection)
    known = {*inspect.signature(Axes.scatter).parameters, *properties.get_setters()}
    known.update(*properties.aliasd.values())
    for name in settings.keys() - (known - GIVEN):
        near = nearest_name(name, known)
        hint = f"; do you mean {near!r}?" if near else ""
        raise TypeError(
            f"plot has no parameter {name!r}{hint}; it takes the parameters of "
            "fasttsne.plotting.scatter and of Matplotlib's Axes.scatter"
        )


def add_points(
    ax: Axes,
    points: np.ndarray,
    colors: PointColors,
    point_size: float | None,
    opacity: float | None,
    **settings: object,
) -> None:
    """Draw points on Axes; None for size and opacity is the default.

    They are markers in shuffled order; many are an image, if no setting is one of markers only.
    """
    inches = ax.get_window_extent().transformed(ax.figure.dpi_scale_trans.inverted())
    style = make_style(colors, inches.width * inches.height / POINT**2, MIN_RADIUS, None, opacity)
    size = style.size**2 if point_size is None else check_number(point_size, "point_size", above=0)
    is_image = settings.get("rasterized", True) and settings.keys() <= IMAGE_SETTINGS
    if len(points) > MAX_MARKERS and is_image:
        image = PointImage(points, replace(style, size=size**0.5))
        image.set(**settings)
        ax.add_artist(image)
        image.set_clip_path(ax.patch)
        ax.update_datalim([points.min(0), points.max(0)])
        ax.autoscale_view()
    else:
        order = drawing_order(len(points), colors.missing)
        alpha: float | np.ndarray = style.opacity
        if colors.missing is not None:
            alpha = np.where(colors.missing, MISSING_OPACITY * alpha, alpha)[order]
        defaults = {"s": size, "alpha": alpha, "linewidths": 0}
        ax.scatter(*points[order].T, c=colors.table[colors.codes[order]], **defaults | settings)
    # The axes of an embedding have no meaning, but equal units.
    ax.set_aspect("equal", adjustable="datalim")
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)


def add_legend(ax: Axes, colors: PointColors) -> None:
    """Add a color bar of values, or a legend of classes unless they are too many."""
    if colors.limits is not None:
        cmap = ListedColormap(colors.table[:COLORMAP_SIZE])
        scale, label = ScalarMappable(Normalize(*colors.limits), cmap), colors.labels_name or ""
        bar = ax.figure.colorbar(scale, ax=ax, shrink=0.5, aspect=25, label=_plain(label))
        bar.outline.set_visible(False)
    elif colors.too_many_classes:
        warn_user(
            f"labels have {colors.too_many_classes}: the plot has no legend, and colors repeat"
        )
    elif colors.names:
        dots = [
            Line2D([], [], linestyle="", marker="o", markersize=6, color=color, label=_plain(name))
            for name, color in zip(colors.names, colors.table, strict=True)
        ]
        ax.legend(
            handles=dots,
            loc="center left",
            bbox_to_anchor=(1.0, 0.5),
            frameon=False,
            ncols=-(-len(dots) // 25),
            handletextpad=0.2,
        )


def _plain(name: str) -> str:
    """Return a name without what Matplotlib would take for mathematics."""
    return shorten(name).replace("$", r"\$")


class PointImage(Artist):
    """Discs of one size, whose colors mix by how many of each cover a pixel.

    None is in front: the opacity of a pixel is that of as many discs laid over each other in any
    order.  The points are counted for the pixels of the output, so that zooming in shows more.

    Parameters
    ----------
    points : (n, 2) array.
    style : of the points, whose size is the diameter in typographic points.
    """

    # As points of ``Axes.scatter``: in front of images, behind lines.
    zorder = 1

    def __init__(self, points: np.ndarray, style: DrawStyle):
        super().__init__()
        self.set_offsets(points)
        self._codes = np.ascontiguousarray(style.colors.codes, np.int32)
        self._table = raster_table(style.colors)
        self._radius, self._opacity = style.size / 2, style.opacity
        self.set_in_layout(False)  # the Axes are known, and no more is drawn

    def set_offsets(self, points: np.ndarray) -> None:
        """Move the points, (n, 2), as ``set_offsets`` of Matplotlib's collections does."""
        self._points = points
        # What is drawn stays as it is while the Axes have them at the same place.
        self._corners = np.array([points.min(0), points.max(0)])
        self._drawn: tuple[tuple[float, ...], np.ndarray] | None = None
        self.stale = True

    @allow_rasterization
    def draw(self, renderer: RendererBase) -> None:
        """Draw what is within the Axes' limits."""
        if not self.get_visible() or self.axes is None:
            return
        scale = renderer.get_image_magnification()
        left, bottom, right, top = np.round(self.axes.bbox.extents)
        shape = round((top - bottom) * scale), round((right - left) * scale)
        if min(shape) < 1:
            return
        # Figures are drawn twice, first for their layout.
        view = (left, top, scale, *self.axes.transData.transform(self._corners).ravel(), *shape)
        if self._drawn is None or self._drawn[0] != view:
            self._drawn = view, self._image((left, top), scale, shape)
        context = renderer.new_gc()
        self._set_gc_clip(context)
        context.set_alpha(1.0)
        # Matplotlib's first row is the lowest.
        renderer.draw_image(context, left, bottom, self._drawn[1][::-1].copy())
        context.restore()
        self.stale = False

    def _image(
        self, corner: tuple[float, float], scale: float, shape: tuple[int, int]
    ) -> np.ndarray:
        """Return the pixels, (height, width, 4), whose first one is at a corner of the Axes."""
        radius = self._radius * self.axes.figure.dpi * POINT * scale
        sums = np.zeros((*shape, 4), np.float32)
        for a in range(0, len(self._points), CHUNK_SIZE):
            part = slice(a, a + CHUNK_SIZE)
            pixels = self.axes.transData.transform(self._points[part])
            pixels = ((pixels - corner) * scale).astype(np.float32)
            _kernels.raster.splat(
                pixels, self._codes[part], self._table, 1, 0, 0, max(radius, 0.5), sums
            )
        # A disc smaller than a pixel covers a share of it.
        return _shaded(sums, self._opacity * min(radius / 0.5, 1.0) ** 2)


def _shaded(sums: np.ndarray, opacity: float) -> np.ndarray:
    """Return pixels, (height, width, 4) uint8, from sums of colors and of discs."""
    count = sums[:, :, 3:]
    image = np.empty(sums.shape, np.uint8)
    image[:, :, :3] = np.round(sums[:, :, :3] / np.maximum(count, 1e-6))
    opacity = min(opacity, 0.999)
    image[:, :, 3:] = np.round(255 * -np.expm1(np.log1p(-opacity) * count))
    return image
