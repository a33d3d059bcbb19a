"""A run as a moving picture.

>>> from fasttsne import TSNE, animation
>>> from fasttsne.callbacks import EmbeddingRecorder
>>> recorder = EmbeddingRecorder()
>>> embedding = TSNE(callbacks=recorder, callbacks_every_iters=1).fit(X)  # doctest: +SKIP
>>> animation.save(recorder.frames, "run.gif", labels=y)  # doctest: +SKIP

Frames are drawn by a kernel, some at a time on several threads, while those before
them are being encoded; only a few are in memory at once.
"""

import itertools
import os
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fasttsne import _kernels
from fasttsne.drawing.style import colour_points, point_style, read_colour
from fasttsne.drawing.writers import WRITERS, Film, write_gif, write_mp4
from fasttsne.io.atomic import whole_file
from fasttsne.runtime.threads import resolve_n_jobs
from fasttsne.runtime.validation import check_choice, check_finite, check_number
from fasttsne.utils import is_package_installed, require

LEAST_RADIUS = 0.6  # pixels
MARGIN = 0.04  # of the map's extent, on each side
MOST_LEGEND_ROWS = 40


def save(
    frames, path, labels=None, *, fps: float = 25, size=420, palette=None, kind: str = "auto",
    background="white", point_size: float | None = None, opacity: float | None = None,
    legend: bool = True, titles=None, pause: float = 2.0, n_colors: int = 128,
    progress: bool = True, n_jobs: int = -1,
) -> Path:  # fmt: skip
    """Write maps, one after the other, as GIF, MP4, APNG or WebP.

    The axes follow the map: limits are averaged over half a second before and after.  GIF
    has one palette for all frames, and needs the extra ``animation``, as do the others.

    Parameters
    ----------
    frames : maps of the same points, each (n_samples, 2): an array, a list, anything that
        yields them, or an EmbeddingRecorder.
    path : ends in .gif, .mp4, .png (.apng) or .webp.
    labels : (n_samples,) classes or values, for the colours.
    fps : frames a second; GIF has hundredths of a second for each, and 50 at most.
    size : of the picture, in pixels: a number, or width and height; MP4 rounds them up to
        even numbers.
    palette, kind : colours, and whether labels are "classes" or "values"; see
        :func:`fasttsne.plotting.scatter`.
    background : "white", "black", "#rrggbb" or three numbers in [0, 1].
    point_size : diameter of a point in pixels; None takes one for the number of points.
    opacity : of a point, in (0, 1]; None takes one for the number of points.
    legend : show classes, or the scale of values, beside the map.
    titles : a text above each frame.
    pause : seconds for which the last frame stays.
    n_colors : of a GIF, 16 to 256; fewer make smaller files.
    progress : show a bar, where tqdm is installed.
    n_jobs : threads that draw; the pictures do not depend on it.

    Returns
    -------
    Path
        Where the animation is.

    Raises
    ------
    ValueError, TypeError
        For frames that are not finite maps of one shape, and for other bad parameters.
    ImportError
        Without Pillow or, for MP4, imageio-ffmpeg.
    """
    path = Path(os.fspath(path))
    write = WRITERS[check_choice(path.suffix.lower(), "the ending of path", tuple(WRITERS))]
    fps = check_number(fps, "fps", above=0, high=50 if write is write_gif else 1000)
    pause = check_number(pause, "pause", low=0)
    n_colors = check_number(n_colors, "n_colors", low=16, high=256, integer=True)
    n_jobs = resolve_n_jobs(n_jobs)
    size = _check_size(size, even=write is write_mp4)

    maps = _check_frames(getattr(frames, "frames", frames))
    first = next(maps)
    colouring = colour_points(labels, len(first), palette, kind)
    page = _lay_out(size, colouring, read_colour(background, "background"), legend, titles)
    brush = _choose_brush(len(first), page, point_size, opacity)
    total = len(frames) if hasattr(frames, "__len__") else None
    shown = _with_bar(itertools.chain([first], maps), total, progress)
    pictures = _draw_all(shown, page, colouring, brush, titles, round(fps / 2), n_jobs)
    film = Film(size, fps, page.paper, page.ink, colouring.table, n_colors)
    # What was drawn until Ctrl-C can be seen.
    with whole_file(path, also_after=KeyboardInterrupt) as part:
        write(part, _hold(pictures, round(pause * fps)), film)
    return path


def _check_size(size, even):
    sides = (size, size) if np.ndim(size) == 0 else tuple(size)
    if len(sides) != 2:
        raise ValueError(f"size must be a number of pixels, or width and height; got {size!r}")
    sides = [check_number(side, "size", low=64, high=8192, integer=True) for side in sides]
    return tuple(side + side % 2 if even else side for side in sides)


def _check_frames(frames) -> Iterator[np.ndarray]:
    """The frames as float32 arrays, each checked when its turn comes; at least one."""
    if not isinstance(frames, Iterable):
        raise TypeError(f"frames must be maps, or yield them; got {frames!r}")
    shape = None
    for number, frame in enumerate(frames):
        frame = np.ascontiguousarray(frame, np.float32)
        if frame.ndim != 2 or frame.shape[1] != 2 or len(frame) == 0:
            raise ValueError(f"frames[{number}] must have the shape (n, 2); got {frame.shape}")
        if shape is not None and frame.shape != shape:
            raise ValueError(f"frames must have one shape, here {shape}; got {frame.shape}")
        shape = frame.shape
        check_finite(frame, f"frames[{number}]")
        yield frame
    if shape is None:
        raise ValueError("frames must hold at least one map; got none")


def _with_bar(frames, total, progress):
    if not (progress and is_package_installed("tqdm")):
        return frames
    return require("tqdm", "progress", "progress").tqdm(frames, total=total, unit="frame")


def _hold(pictures, repeats):
    """The pictures, and the last some times more."""
    for picture in pictures:
        yield picture
    yield from itertools.repeat(picture, repeats)


# --- where things are on the picture -----------------------------------------------------


@dataclass(frozen=True)
class _Page:
    """What stays the same on all pictures.

    Attributes
    ----------
    picture : (height, width, 3) uint8, background and legend.
    paper, ink : colours of background and text, (3,) uint8.
    box : left, top, width and height of the map, in pixels.
    font : of texts.
    """

    picture: np.ndarray
    paper: np.ndarray
    ink: np.ndarray
    box: tuple[int, int, int, int]
    font: object


def _lay_out(size, colouring, paper, legend, titles):
    image_module = require("PIL.Image", "animation.save", "animation")
    width, height = size
    font = _font(min(max(round(min(size) / 34), 10), 40))
    paper_bytes = np.round(255 * paper).astype(np.uint8)
    dark = paper @ (0.299, 0.587, 0.114) < 0.5
    ink = np.full(3, 230 if dark else 40, np.uint8)
    image = image_module.new("RGB", size, tuple(paper_bytes.tolist()))
    top = 0 if titles is None else round(2 * font.size)
    right = 0
    if legend and colouring.limits is not None:
        right = _draw_scale(image, colouring, top, font, ink)
    dots = []
    if legend and colouring.names:
        right, dots = _draw_names(image, colouring, top, font, ink)
    box = (0, top, width - right, height - top)
    picture = np.array(image)
    for code, (place, radius) in enumerate(dots):
        _draw_dot(picture, place, colouring.table[code], radius)
    return _Page(picture, paper_bytes, ink, box, font)


def _font(points):
    return require("PIL.ImageFont", "animation.save", "animation").load_default(points)


def _draw_names(image, colouring, top, font, ink):
    """Draw the names of the classes at the right; return the width taken and where dots go."""
    from PIL import ImageDraw

    room = image.height - top - 8
    names = list(colouring.names)
    points = font.size
    while points > 8 and len(names) * 1.4 * points > room:
        points -= 1
    font, step = _font(points), 1.4 * points
    fit = min(int(room / step), MOST_LEGEND_ROWS)
    if len(names) > fit:
        names = [*names[: max(fit - 1, 0)], f"+ {len(names) - fit + 1}"]
    names = [_shorten(name, font, image.width * 0.3) for name in names]
    width = round(max(font.getlength(name) for name in names) + 2.2 * points)
    draw = ImageDraw.Draw(image)
    left, first = image.width - width, top + max((room - step * len(names)) / 2, 4)
    middles = [first + step * (i + 0.5) for i in range(len(names))]
    for name, middle in zip(names, middles, strict=True):
        draw.text((left + 1.4 * points, middle), name, tuple(ink.tolist()), font, anchor="lm")
    n_dots = len(names) if len(names) == len(colouring.names) else len(names) - 1
    return width, [((left + 0.65 * points, middle), 0.36 * points) for middle in middles[:n_dots]]


def _draw_dot(picture, place, colour, radius):
    sums = np.zeros((*picture.shape[:2], 4), np.float32)
    table = np.append(255 * colour, 1)[None].astype(np.float32)
    code = np.zeros(1, np.int32)
    point = np.array([[place[0], -place[1]]], np.float32)
    _kernels.raster.splat(point, code, table, 1, 0, 0, radius, sums)
    _kernels.raster.shade(sums, picture.copy(), 0.999, picture)


def _shorten(name, font, room):
    if font.getlength(name) <= room:
        return name
    while name and font.getlength(name + "…") > room:
        name = name[:-1]
    return name + "…"


def _draw_scale(image, colouring, top, font, ink):
    """Draw a bar of colours with its two ends at the right; return the width taken."""
    from PIL import Image, ImageDraw

    texts = [f"{value:.4g}" for value in colouring.limits]
    width = round(max(max(font.getlength(text) for text in texts), font.size) + font.size)
    height = round((image.height - top) * 0.5)
    shades = np.round(255 * colouring.table[-2::-1]).astype(np.uint8)  # the last is "missing"
    bar = Image.fromarray(shades[:, None]).resize((font.size, height))
    left, first = image.width - width, top + (image.height - top - height) // 2
    image.paste(bar, (left + (width - font.size) // 2, first))
    draw = ImageDraw.Draw(image)
    middle, fill = left + width / 2, tuple(ink.tolist())
    draw.text((middle, first - 0.3 * font.size), texts[1], fill, font, anchor="mb")
    draw.text((middle, first + height + 0.3 * font.size), texts[0], fill, font, anchor="mt")
    return width


# --- drawing -----------------------------------------------------------------------------


@dataclass(frozen=True)
class _Brush:
    radius: float  # pixels
    opacity: float


def _choose_brush(n_samples, page, point_size, opacity):
    radius, usual = point_style(n_samples, page.box[2] * page.box[3], LEAST_RADIUS)
    if point_size is not None:
        radius = check_number(point_size, "point_size", above=0, high=1000) / 2
    if opacity is not None:
        usual = check_number(opacity, "opacity", above=0, high=1)
    thin = min(radius / 0.5, 1.0) ** 2  # of discs smaller than a pixel, the share they cover
    return _Brush(max(radius, 0.5), min(usual * thin, 0.999))


def _draw_all(frames, page, colouring, brush, titles, window, n_jobs):
    """The pictures of all frames, in order, drawn a few ahead."""
    table = np.ones((len(colouring.table), 4), np.float32)
    table[:, :3] = 255 * colouring.table
    own = threading.local()

    def draw(frame, centre, half, title):
        if not hasattr(own, "sums"):
            own.sums = np.zeros((page.box[3], page.box[2], 4), np.float32)
        return _draw(frame, centre, half, title, page, colouring.codes, table, brush, own.sums)

    all_titles = itertools.repeat("") if titles is None else iter(titles)
    views = _steady_views(frames, window)
    with ThreadPoolExecutor(n_jobs) as pool:
        waiting: deque = deque()
        for (frame, centre, half), title in zip(views, all_titles, strict=False):
            waiting.append(pool.submit(draw, frame, centre, half, title))
            if len(waiting) > 2 * n_jobs:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _draw(frame, centre, half, title, page, codes, table, brush, sums):
    left, top, width, height = page.box
    scale = min(width / half[0], height / half[1]) / 2
    origin = width / 2 - scale * centre[0], height / 2 + scale * centre[1]
    picture = page.picture.copy()
    inside = np.s_[top : top + height, left : left + width]
    _kernels.raster.splat(frame, codes, table, scale, *origin, brush.radius, sums)
    _kernels.raster.shade(sums, page.picture[inside], brush.opacity, picture[inside])
    return _write_title(picture, str(title), page) if title else picture


def _write_title(picture, title, page):
    from PIL import Image, ImageDraw

    image = Image.fromarray(picture)
    place = image.width / 2, page.box[1] / 2
    ImageDraw.Draw(image).text(place, title, tuple(page.ink.tolist()), page.font, anchor="mm")
    return np.array(image)


def _steady_views(frames, window):
    """Each frame with the centre and half-extents of its view, smoothed over its neighbours.

    Extents are averaged as logarithms, with weights that fall linearly to zero on both
    sides: a map that grows by a constant factor is always seen at the same size.  No map
    is cut, or shown at less than half its size, however suddenly it grows.
    """
    weights = 1 - np.abs(np.arange(-window, window + 1)) / (window + 1)
    extents: deque = deque([None] * window, maxlen=2 * window + 1)
    waiting: deque = deque()
    for item in itertools.chain(frames, itertools.repeat(None, window)):
        extents.append(None if item is None else _extent(item))
        if item is not None:
            waiting.append(item)
        if len(extents) == extents.maxlen and waiting:
            yield waiting.popleft(), *_mean_view(extents, weights, extents[window])


def _extent(frame):
    """Centre and half-extent of the points, without those that are far out."""
    low, high = frame.min(axis=0).astype(np.float64), frame.max(axis=0).astype(np.float64)
    sample = frame[:: max(len(frame) // 4096, 1)]
    inner = np.quantile(sample, (0.01, 0.99), axis=0)
    middle, reach = inner.mean(axis=0), inner[1] - inner[0]
    if np.any(reach > 0):
        low, high = np.maximum(low, middle - reach), np.minimum(high, middle + reach)
    return (low + high) / 2, np.maximum((high - low) / 2, 1e-30)


def _mean_view(extents, weights, own):
    present = [(w, *extent) for w, extent in zip(weights, extents, strict=True) if extent]
    weight = np.array([w for w, _, _ in present])[:, None]
    centres = np.array([centre for _, centre, _ in present])
    halves = np.array([half for _, _, half in present])
    largest = halves.max(axis=1, keepdims=True)
    half = np.exp((weight * np.log(np.maximum(halves, 1e-3 * largest))).sum(axis=0) / weight.sum())
    # in units of each map, or a growing map would be seen beside the middle
    centre = (weight / largest * centres).sum(axis=0) / (weight / largest).sum()
    least = np.abs(own[0] - centre) + own[1]
    return centre, (1 + 2 * MARGIN) * np.clip(half, least / (1 + MARGIN), 2 * least)
