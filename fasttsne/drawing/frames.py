"""Frames of animations: an image of each embedding, with the legend and titles next to it."""

import bisect
import itertools
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from fasttsne import _kernels
from fasttsne.drawing.axis_limits import smoothed_axis_limits
from fasttsne.drawing.style import PointColors, check_opacity, default_point_style, raster_table
from fasttsne.runtime.validation import check_number
from fasttsne.utils import require, starting_threads

MIN_RADIUS = 0.6  # pixels
MAX_LEGEND_ENTRIES = 40


@dataclass(frozen=True)
class FrameLayout:
    """What is the same in all frames.

    Attributes
    ----------
    image : (height, width, 3) uint8, background and legend.
    background, foreground : colors of the background and of text, (3,) uint8.
    box : left, top, width and height of the plot, in pixels.
    font : of texts.
    """

    image: np.ndarray
    background: np.ndarray
    foreground: np.ndarray
    box: tuple[int, int, int, int]
    font: object


def make_layout(size, colors: PointColors, background, legend: bool, titles) -> FrameLayout:
    """The layout of frames: the legend at the right, a line for titles at the top."""
    image_module = require("PIL.Image", "animation.save", "animation")
    width, height = size
    font = _font(min(max(round(min(size) / 34), 10), 40))
    background_bytes = np.round(255 * background).astype(np.uint8)
    is_dark = background @ (0.299, 0.587, 0.114) < 0.5
    foreground = np.full(3, 230 if is_dark else 40, np.uint8)
    image = image_module.new("RGB", size, tuple(background_bytes.tolist()))
    top = 0 if titles is None else round(2 * font.size)
    right = 0
    if legend and colors.limits is not None:
        right = _draw_colorbar(image, colors, top, font, foreground)
    dots = []
    if legend and colors.names:
        right, dots = _draw_legend(image, colors, top, font, foreground)
    box = (0, top, width - right, height - top)
    pixels = np.array(image)
    for code, (position, radius) in enumerate(dots):
        _draw_dot(pixels, position, colors.table[code], radius)
    return FrameLayout(pixels, background_bytes, foreground, box, font)


def _font(size):
    return require("PIL.ImageFont", "animation.save", "animation").load_default(size)


def _draw_legend(image, colors, top, font, foreground):
    """Draw the class names at the right; return their width and (center, radius) of dots."""
    from PIL import ImageDraw

    available = image.height - top - 8
    names = list(colors.names)
    size = font.size
    while size > 8 and len(names) * 1.4 * size > available:
        size -= 1
    font, line_height = _font(size), 1.4 * size
    n_lines = min(int(available / line_height), MAX_LEGEND_ENTRIES)
    if len(names) > n_lines:
        names = [*names[: max(n_lines - 1, 0)], f"+ {len(names) - n_lines + 1}"]
    names = [_shorten(name, font, image.width * 0.3) for name in names]
    width = round(max(font.getlength(name) for name in names) + 2.2 * size)
    draw = ImageDraw.Draw(image)
    left, first = image.width - width, top + max((available - line_height * len(names)) / 2, 4)
    centers = [first + line_height * (i + 0.5) for i in range(len(names))]
    for name, center in zip(names, centers, strict=True):
        draw.text((left + 1.4 * size, center), name, tuple(foreground.tolist()), font, anchor="lm")
    n_dots = len(names) if len(names) == len(colors.names) else len(names) - 1
    return width, [((left + 0.65 * size, center), 0.36 * size) for center in centers[:n_dots]]


def _draw_dot(image, position, color, radius):
    sums = np.zeros((*image.shape[:2], 4), np.float32)
    table = np.append(255 * color, 1)[None].astype(np.float32)
    code = np.zeros(1, np.int32)
    point = np.array([[position[0], -position[1]]], np.float32)
    _kernels.raster.splat(point, code, table, 1, 0, 0, radius, sums)
    _kernels.raster.shade(sums, image.copy(), 0.999, image)


def _shorten(name, font, width):
    name = name[: round(width) + 1]  # letters are wider than a pixel
    if font.getlength(name) <= width:
        return name
    fits = bisect.bisect_right(
        range(1, len(name)), width, key=lambda n: font.getlength(name[:n] + "…")
    )
    return name[:fits] + "…"


def _draw_colorbar(image, colors, top, font, foreground):
    """Draw a color bar and its limits at the right; return their width."""
    from PIL import Image, ImageDraw

    texts = [f"{value:.4g}" for value in colors.limits]
    width = round(max(max(font.getlength(text) for text in texts), font.size) + font.size)
    height = round((image.height - top) * 0.5)
    scale = np.round(255 * colors.table[-2::-1]).astype(np.uint8)  # the last row is "missing"
    bar = Image.fromarray(scale[:, None]).resize((font.size, height))
    left, first = image.width - width, top + (image.height - top - height) // 2
    image.paste(bar, (left + (width - font.size) // 2, first))
    draw = ImageDraw.Draw(image)
    center, fill = left + width / 2, tuple(foreground.tolist())
    draw.text((center, first - 0.3 * font.size), texts[1], fill, font, anchor="mb")
    draw.text((center, first + height + 0.3 * font.size), texts[0], fill, font, anchor="mt")
    return width


def resolve_point_style(n_samples: int, layout, point_size, opacity) -> tuple[float, float]:
    """Radius in pixels and opacity of the points; None is the default for their number."""
    area = layout.box[2] * layout.box[3]
    radius, alpha = default_point_style(n_samples, area, MIN_RADIUS)
    if point_size is not None:
        radius = check_number(point_size, "point_size", above=0, high=1000) / 2
    coverage = min(radius / 0.5, 1.0) ** 2  # of the pixel, by a smaller disc
    return max(radius, 0.5), min(check_opacity(opacity, alpha) * coverage, 0.999)


def draw_frames(embeddings, layout, colors, radius, opacity, titles, window, n_jobs):
    """Yield the frames of all embeddings, in order; threads draw a few in advance.

    Parameters
    ----------
    embeddings : iterable of (n, 2) float32 arrays.
    radius, opacity : of a point, in pixels and in (0, 1).
    titles : an iterable of texts, or None.
    window : number of frames before and after over which axis limits are averaged.
    """
    table = raster_table(colors)
    buffers = threading.local()

    def draw(points, center, half, title):
        if not hasattr(buffers, "sums"):
            buffers.sums = np.zeros((layout.box[3], layout.box[2], 4), np.float32)
        image = layout.image.copy()
        left, top, width, height = layout.box
        inside = np.s_[top : top + height, left : left + width]
        scale = min(width / half[0], height / half[1]) / 2
        origin = width / 2 - scale * center[0], height / 2 + scale * center[1]
        splat, shade = _kernels.raster.splat, _kernels.raster.shade
        splat(points, colors.codes, table, scale, *origin, radius, buffers.sums)
        shade(buffers.sums, layout.image[inside], opacity, image[inside])
        return _draw_title(image, str(title), layout) if title else image

    all_titles = itertools.repeat("") if titles is None else iter(titles)
    limits = smoothed_axis_limits(embeddings, window)
    with starting_threads(), ThreadPoolExecutor(n_jobs) as pool:
        pending: deque = deque()
        for (points, center, half), title in zip(limits, all_titles, strict=False):
            pending.append(pool.submit(draw, points, center, half, title))
            if len(pending) > 2 * n_jobs:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


def _draw_title(pixels, title, layout):
    from PIL import Image, ImageDraw

    image = Image.fromarray(pixels)
    center, fill = (image.width / 2, layout.box[1] / 2), tuple(layout.foreground.tolist())
    ImageDraw.Draw(image).text(center, title, fill, layout.font, anchor="mm")
    return np.array(image)
