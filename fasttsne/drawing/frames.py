"""Animations: an image of each embedding, legend and titles next to it, and files of these."""

import bisect
import itertools
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from fasttsne import _kernels
from fasttsne.drawing.style import DrawStyle, PointColors, make_style, raster_table
from fasttsne.runtime.validation import check_choice
from fasttsne.utils import require, starting_threads

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFont import FreeTypeFont

MARGIN = 0.04  # of the extent of the embedding, on each side
MIN_RADIUS = 0.6  # pixels
MAX_LEGEND_ENTRIES = 40

# The center and the half-extents of the axes.
Extent: TypeAlias = tuple[np.ndarray, np.ndarray]
# The center, in pixels, and the radius.
Dot: TypeAlias = tuple[tuple[float, float], float]


def smoothed_axis_limits(
    embeddings: Iterable[np.ndarray], window: int
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield each embedding with the center and half-extents of its axes, smoothed over time.

    Half-extents are averaged as logarithms, with weights that fall linearly to zero over
    ``window`` frames on both sides: an embedding that grows by a constant factor always has
    the same size.  None is cut, or shown at less than half its size, even if it grows
    suddenly.
    """
    weights = 1 - np.abs(np.arange(-window, window + 1)) / (window + 1)
    extents: deque[Extent | None] = deque([None] * window, maxlen=2 * window + 1)
    pending: deque[np.ndarray] = deque()
    for points in itertools.chain(embeddings, itertools.repeat(None, window)):
        extents.append(None if points is None else _robust_extent(points))
        if points is not None:
            pending.append(points)
        current = extents[window] if len(extents) == extents.maxlen else None
        if current is not None:
            yield pending.popleft(), *_average_limits(extents, weights, current)


def _robust_extent(points: np.ndarray) -> Extent:
    """Return the center and half-extents of the points without outliers."""
    low, high = points.min(axis=0).astype(np.float64), points.max(axis=0).astype(np.float64)
    sample = points[:: max(len(points) // 4096, 1)]
    inner = np.quantile(sample, (0.01, 0.99), axis=0)
    center, reach = inner.mean(axis=0), inner[1] - inner[0]
    if np.any(reach > 0):
        low, high = np.maximum(low, center - reach), np.minimum(high, center + reach)
    return (low + high) / 2, np.maximum((high - low) / 2, 1e-30)


def _average_limits(
    extents: Iterable[Extent | None], weights: np.ndarray, current: Extent
) -> Extent:
    present = [(w, *extent) for w, extent in zip(weights, extents, strict=True) if extent]
    weight = np.array([w for w, _, _ in present])[:, None]
    centers = np.array([center for _, center, _ in present])
    halves = np.array([half for _, _, half in present])
    largest = halves.max(axis=1, keepdims=True)
    half = np.exp((weight * np.log(np.maximum(halves, 1e-3 * largest))).sum(axis=0) / weight.sum())
    # In units of each frame's extent: otherwise a growing embedding would be off center.
    center = (weight / largest * centers).sum(axis=0) / (weight / largest).sum()
    min_half = np.abs(current[0] - center) + current[1]
    return center, (1 + 2 * MARGIN) * np.clip(half, min_half / (1 + MARGIN), 2 * min_half)


@dataclass(frozen=True)
class FrameLayout:
    """What all frames have in common.

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
    font: "FreeTypeFont"


def make_layout(
    size: tuple[int, int], colors: PointColors, background: np.ndarray, legend: bool, top_line: bool
) -> FrameLayout:
    """Return the layout of frames: the legend at the right, a line for titles at the top."""
    from PIL import Image

    font = _font(min(max(round(min(size) / 34), 10), 40))
    background_bytes = np.round(255 * background).astype(np.uint8)
    is_dark = background @ (0.299, 0.587, 0.114) < 0.5
    foreground = np.full(3, 230 if is_dark else 40, np.uint8)
    image = Image.new("RGB", size, tuple(background_bytes.tolist()))
    top = round(2 * font.size) if top_line else 0
    right, dots = 0, list[Dot]()
    if legend and colors.limits is not None:
        right = _draw_colorbar(image, colors.table, colors.limits, top, font, foreground)
    elif legend and colors.names:
        right, dots = _draw_legend(image, colors.names, top, font, foreground)
    pixels = np.array(image)
    for code, (position, radius) in enumerate(dots):
        _draw_dot(pixels, position, colors.table[code], radius)
    box = (0, top, size[0] - right, size[1] - top)
    return FrameLayout(pixels, background_bytes, foreground, box, font)


def _font(size: float) -> "FreeTypeFont":
    from PIL import ImageFont

    return ImageFont.load_default(size)


def _draw_legend(
    image: "Image",
    names: Sequence[str],
    top: int,
    font: "FreeTypeFont",
    foreground: np.ndarray,
) -> tuple[int, list[Dot]]:
    """Draw the class names at the right; return their width and (center, radius) of dots."""
    from PIL import ImageDraw

    available = image.height - top - 8
    size, n_classes = font.size, len(names)
    while size > 8 and n_classes * 1.4 * size > available:
        size -= 1
    font, line_height = _font(size), 1.4 * size
    n_lines = min(int(available / line_height), MAX_LEGEND_ENTRIES)
    if n_classes > n_lines:
        names = [*names[: max(n_lines - 1, 0)], f"+ {n_classes - n_lines + 1}"]
    names = [_shorten(name, font, image.width * 0.3) for name in names]
    width = round(max(font.getlength(name) for name in names) + 2.2 * size)
    draw = ImageDraw.Draw(image)
    left, first = image.width - width, top + max((available - line_height * len(names)) / 2, 4)
    centers = [first + line_height * (i + 0.5) for i in range(len(names))]
    for name, center in zip(names, centers, strict=True):
        draw.text((left + 1.4 * size, center), name, tuple(foreground.tolist()), font, anchor="lm")
    n_dots = n_classes if n_classes <= n_lines else len(names) - 1
    return width, [((left + 0.65 * size, center), 0.36 * size) for center in centers[:n_dots]]


def _draw_dot(
    image: np.ndarray, position: tuple[float, float], color: np.ndarray, radius: float
) -> None:
    sums = np.zeros((*image.shape[:2], 4), np.float32)
    table = np.append(255 * color, 1)[None].astype(np.float32)
    point = np.array([[position[0], -position[1]]], np.float32)
    _kernels.raster.splat(point, np.zeros(1, np.int32), table, 1, 0, 0, radius, sums)
    _kernels.raster.shade(sums, image.copy(), 0.999, image)


def _shorten(name: str, font: "FreeTypeFont", width: float) -> str:
    name = name[: round(width) + 1]  # letters are wider than a pixel
    if font.getlength(name) <= width:
        return name
    fits = bisect.bisect_right(
        range(1, len(name)), width, key=lambda n: font.getlength(name[:n] + "…")
    )
    return name[:fits] + "…"


def _draw_colorbar(
    image: "Image",
    table: np.ndarray,
    limits: tuple[float, float],
    top: int,
    font: "FreeTypeFont",
    foreground: np.ndarray,
) -> int:
    """Draw a color bar and its limits at the right; return their width."""
    from PIL import Image, ImageDraw

    texts = [f"{value:.4g}" for value in limits]
    width: int = round(max(max(font.getlength(text) for text in texts), font.size) + font.size)
    height = round((image.height - top) * 0.5)
    scale = np.round(255 * table[-2::-1]).astype(np.uint8)  # the last row is "missing"
    bar = Image.fromarray(scale[:, None]).resize((font.size, height))
    left, first = image.width - width, top + (image.height - top - height) // 2
    image.paste(bar, (left + (width - font.size) // 2, first))
    draw = ImageDraw.Draw(image)
    center, fill = left + width / 2, tuple(foreground.tolist())
    draw.text((center, first - 0.3 * font.size), texts[1], fill, font, anchor="mb")
    draw.text((center, first + height + 0.3 * font.size), texts[0], fill, font, anchor="mt")
    return width


def make_frame_style(
    colors: PointColors, layout: FrameLayout, point_size: float | None, opacity: float | None
) -> DrawStyle:
    """Return the style of points in a layout; None is the default for their number."""
    area = layout.box[2] * layout.box[3]
    style = make_style(colors, area, MIN_RADIUS, point_size, opacity, max_size=1000)
    coverage = min(style.size, 1.0) ** 2  # of the pixel, by a smaller disc
    return DrawStyle(colors, max(style.size, 1.0), min(style.opacity * coverage, 0.999))


def draw_frames(
    embeddings: Iterable[np.ndarray],
    layout: FrameLayout,
    style: DrawStyle,
    titles: Iterable[object] | None,
    window: int,
    n_jobs: int,
) -> Iterator[np.ndarray]:
    """Yield the frames of all embeddings, in order; threads draw a few in advance.

    Parameters
    ----------
    embeddings : iterable of (n, 2) float32 arrays.
    style : of the points, whose size is the diameter in pixels.
    titles : a text for each frame, or None.
    window : number of frames before and after over which axis limits are averaged.
    """
    table, codes = raster_table(style.colors), style.colors.codes
    left, top, width, height = layout.box
    inside = np.s_[top : top + height, left : left + width]
    buffers = threading.local()

    def draw(points: np.ndarray, center: np.ndarray, half: np.ndarray, title: object) -> np.ndarray:
        if not vars(buffers):
            buffers.sums = np.zeros((height, width, 4), np.float32)
        image = layout.image.copy()
        scale = min(width / half[0], height / half[1]) / 2
        origin = width / 2 - scale * center[0], height / 2 + scale * center[1]
        splat, shade = _kernels.raster.splat, _kernels.raster.shade
        splat(points, codes, table, scale, *origin, style.size / 2, buffers.sums)
        shade(buffers.sums, layout.image[inside], style.opacity, image[inside])
        return _draw_title(image, str(title), layout) if title else image

    all_titles = itertools.repeat("") if titles is None else iter(titles)
    limits = smoothed_axis_limits(embeddings, window)
    with starting_threads(), ThreadPoolExecutor(n_jobs) as pool:
        pending: deque[Future[np.ndarray]] = deque()
        for (points, center, half), title in zip(limits, all_titles, strict=False):
            pending.append(pool.submit(draw, points, center, half, title))
            if len(pending) > 2 * n_jobs:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


def _draw_title(pixels: np.ndarray, title: str, layout: FrameLayout) -> np.ndarray:
    from PIL import Image, ImageDraw

    image = Image.fromarray(pixels)
    center, fill = (image.width / 2, layout.box[1] / 2), tuple(layout.foreground.tolist())
    ImageDraw.Draw(image).text(center, title, fill, layout.font, anchor="mm")
    return np.array(image)


@dataclass(frozen=True)
class AnimationFormat:
    """How frames become a file: their layout, the colors of points, and the pace.

    Attributes
    ----------
    color_table : colors of points, (m, 3) in [0, 1].
    fps : frames per second.
    n_colors : of a GIF.
    """

    layout: FrameLayout
    color_table: np.ndarray
    fps: float
    n_colors: int


class StoppedEarly(KeyboardInterrupt):
    """Ctrl-C after one frame or more: the file is a complete animation of the frames so far."""


Writer: TypeAlias = Callable[[Path, Iterator[np.ndarray], AnimationFormat], None]


def find_writer(path: Path) -> Writer:
    """Return the writer for the extension of a path, whose packages are installed.

    Raises
    ------
    ValueError
        For an extension that is not in ``WRITERS``.
    ImportError
        Without Pillow or, for MP4, imageio-ffmpeg.
    """
    writer = WRITERS[check_choice(path.suffix.lower(), "the extension of path", tuple(WRITERS))]
    require("PIL", "an animation", "animation")
    if writer is write_mp4:
        require("imageio_ffmpeg", "an animation as MP4", "animation")
    return writer


def _write_by_pillow(
    path: Path,
    frames: Iterable[np.ndarray],
    convert: "Callable[[np.ndarray], Image]",
    milliseconds: float,
    max_duration: int,
    **settings: object,
) -> None:
    """Write frames of so many milliseconds; equal ones in sequence become one that stays longer.

    Pillow needs all of them before it writes the first.

    Raises
    ------
    StoppedEarly
        After Ctrl-C while frames were drawn; before the first one it is a KeyboardInterrupt.
    """
    images: list[Image] = []
    counts: list[int] = []
    last, is_stopped = None, False
    try:
        for frame in frames:
            if last is not None and (frame is last or np.array_equal(frame, last)):
                counts[-1] += 1
            else:
                images.append(convert(frame))
                counts.append(1)
            last = frame
    except KeyboardInterrupt:
        if not counts:
            raise
        is_stopped = True
    durations = [min(round(count * milliseconds), max_duration) for count in counts]
    first, *others = images[: len(counts)]
    first.save(path, save_all=True, append_images=others, duration=durations, loop=0, **settings)
    if is_stopped:
        raise StoppedEarly


def write_gif(path: Path, frames: Iterator[np.ndarray], fmt: AnimationFormat) -> None:
    from PIL import Image

    palette, index_of_color = _gif_palette(fmt)

    def convert(frame: np.ndarray) -> "Image.Image":
        indices = np.empty(frame.shape[:2], np.uint8)
        _kernels.raster.look_up(frame, index_of_color, indices)
        image = Image.fromarray(indices).convert("P")
        image.putpalette(palette.tobytes())
        return image

    pace = 10 * max(round(100 / fmt.fps), 1)
    _write_by_pillow(path, frames, convert, pace, 10 * 0xFFFF, optimize=False)


def _gif_palette(fmt: AnimationFormat) -> tuple[np.ndarray, np.ndarray]:
    """Return one palette for all frames, (m, 3), and the palette index of each 15-bit color.

    It is the median cut of all colors that can occur: mixtures of two point colors, at any
    opacity over the background, and the greys of text.
    """
    from PIL import Image
    from scipy.spatial import cKDTree

    background, foreground = fmt.layout.background, fmt.layout.foreground
    table = fmt.color_table[:: max(len(fmt.color_table) // 24, 1)]
    fractions = np.linspace(0.5, 1, 3)[:, None, None, None]
    mixtures = (fractions * table[:, None] + (1 - fractions) * table).reshape(-1, 3)
    opacities = np.linspace(0.1, 1, 10)[:, None, None]
    remainder = (1 - opacities) * (background / 255)
    shades = 255 * (opacities * mixtures + remainder)
    unmixed = np.repeat(255 * (opacities * table + remainder), 8, axis=1)
    greys = np.linspace(background, foreground, 5)
    samples = np.vstack([shades.reshape(-1, 3), unmixed.reshape(-1, 3)])
    image = Image.fromarray(np.round(samples).astype(np.uint8)[None])
    quantized = image.quantize(fmt.n_colors - len(greys), Image.Quantize.MEDIANCUT)
    chosen = np.reshape(quantized.getpalette("RGB"), (-1, 3))
    palette = np.vstack([greys, chosen]).astype(np.uint8)[: fmt.n_colors]
    bin_centers = np.stack(np.meshgrid(*3 * [np.arange(32)], indexing="ij"), axis=-1) * 8 + 3.5
    index_of_color = cKDTree(palette).query(bin_centers)[1].astype(np.uint8)
    index_of_color[tuple(background >> 3)] = 0
    return palette, index_of_color


def write_apng(path: Path, frames: Iterator[np.ndarray], fmt: AnimationFormat) -> None:
    from PIL import Image

    _write_by_pillow(path, frames, Image.fromarray, 1000 / fmt.fps, 0xFFFF)


def write_webp(path: Path, frames: Iterator[np.ndarray], fmt: AnimationFormat) -> None:
    from PIL import Image

    pace = 1000 / fmt.fps
    _write_by_pillow(path, frames, Image.fromarray, pace, 0xFFFFFF, quality=85, method=0)


def write_mp4(path: Path, frames: Iterator[np.ndarray], fmt: AnimationFormat) -> None:
    import imageio_ffmpeg as ffmpeg

    height, width = fmt.layout.image.shape[:2]
    writer = ffmpeg.write_frames(
        str(path),
        (width, height),
        fps=fmt.fps,
        codec="libx264",
        macro_block_size=2,
        output_params=["-preset", "veryfast", "-crf", "18", "-movflags", "+faststart"],
        ffmpeg_log_level="error",
    )
    count, interrupt = 0, None
    try:
        writer.send(None)
        for frame in frames:
            writer.send(np.ascontiguousarray(frame))
            count += 1
    except KeyboardInterrupt as error:
        interrupt = error
    finally:
        writer.close()
    if interrupt is not None and count == 0:
        raise interrupt
    try:  # ffmpeg does not report errors when it closes a file
        n_written = ffmpeg.count_frames_and_secs(str(path))[0]
    except RuntimeError:
        n_written = 0
    if n_written < count:
        raise interrupt or OSError("ffmpeg could not write the whole animation: is the disk full?")
    if interrupt is not None:
        raise StoppedEarly from None


WRITERS: dict[str, Writer] = {
    ".gif": write_gif,
    ".mp4": write_mp4,
    ".png": write_apng,
    ".apng": write_apng,
    ".webp": write_webp,
}
