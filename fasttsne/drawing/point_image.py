"""An artist of Matplotlib for millions of points: an image, drawn anew at each size and zoom."""

import numpy as np
from matplotlib.artist import Artist, allow_rasterization

from fasttsne import _kernels
from fasttsne.drawing.style import PointColors, raster_table

# Points that are converted to pixels at a time.
CHUNK_SIZE = 2**18
# Inches of a typographic point.
POINT = 1 / 72


class PointImage(Artist):
    """Discs of one size, whose colors mix by how many of each cover a pixel.

    None is in front: the opacity of a pixel is that of as many discs laid over each other in any
    order.  The points are counted for the pixels of the output, so that zooming in shows more.

    Parameters
    ----------
    points : (n, 2) array.
    colors : of the points.
    radius : typographic points.
    opacity : of one disc, in (0, 1].
    """

    # As points of ``Axes.scatter``: in front of images, behind lines.
    zorder = 1

    def __init__(self, points: np.ndarray, colors: PointColors, radius: float, opacity: float):
        super().__init__()
        self.set_offsets(points)
        self._codes = np.ascontiguousarray(colors.codes, np.int32)
        self._table = raster_table(colors)
        self._radius, self._opacity = radius, opacity
        self.set_in_layout(False)  # the Axes are known, and no more is drawn

    def set_offsets(self, points: np.ndarray) -> None:
        """Move the points, (n, 2), as those of a collection of Matplotlib are moved."""
        self._points = points
        # What is drawn stays as it is while the Axes have them at the same place.
        self._corners = np.array([points.min(0), points.max(0)])
        self._drawn: tuple[tuple[float, ...], np.ndarray] | None = None
        self.stale = True

    @allow_rasterization
    def draw(self, renderer):
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

    def _image(self, corner, scale, shape):
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
