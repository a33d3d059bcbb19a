"""Animations of an optimization.

>>> from fasttsne import TSNE, animation
>>> from fasttsne.callbacks import EmbeddingRecorder
>>> from fasttsne.datasets import load_digits
>>> X, y = load_digits()
>>> recorder = EmbeddingRecorder()
>>> embedding = TSNE(callbacks=recorder, callbacks_every_iters=5).fit(X)
>>> path = animation.save(recorder.frames, path="run.gif", labels=y, progress=False)

Frames are drawn by a kernel, on several threads, and encoded by Pillow, which needs all frames of a
GIF, APNG or WebP before it writes the first (of a GIF a byte a pixel, of the others three), or by
ffmpeg, as they come.
"""

import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Sized
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from fasttsne.drawing.frames import (
    AnimationFormat,
    StoppedEarly,
    draw_frames,
    find_writer,
    make_frame_style,
    make_layout,
    write_gif,
    write_mp4,
)
from fasttsne.drawing.style import Color, Palette, color_points, parse_color
from fasttsne.io.atomic import atomic_write
from fasttsne.runtime.rows import check_finite
from fasttsne.runtime.threads import resolve_n_jobs
from fasttsne.runtime.typing import FilePath
from fasttsne.runtime.validation import check_number
from fasttsne.utils import deprecate_positions, is_package_installed, require


@deprecate_positions("path", "labels")
def save(
    frames: object,
    *,
    path: FilePath,
    labels: ArrayLike | None = None,
    fps: float = 25,
    size: int | tuple[int, int] = 420,
    palette: Palette = None,
    kind: str = "auto",
    background: Color = "white",
    point_size: float | None = None,
    opacity: float | None = None,
    legend: bool = True,
    titles: Iterable[str] | None = None,
    pause: float = 2.0,
    n_colors: int = 128,
    progress: bool = True,
    n_jobs: int | None = -1,
) -> Path:
    """Write embeddings as the frames of a GIF, MP4, APNG or WebP; the extra ``animation``.

    The axis limits follow the embedding, averaged over half a second before and after.  GIF
    has one palette for all frames.

    Parameters
    ----------
    frames : embeddings of the same points, each (n_samples, 2): an array, a list, another
        iterable, or an EmbeddingRecorder.
    path : of the file, with the extension .gif, .mp4, .png, .apng or .webp.
    labels : (n_samples,) classes or values, for the colors.
    fps : frames per second; GIF counts in hundredths of a second per frame, at least 2.
    size : of a frame, in pixels: a number, or width and height; MP4 rounds them up to even
        numbers.
    palette, kind : colors, and whether labels are "classes" or "values"; see
        :func:`fasttsne.plotting.scatter`.
    background : "white", "black", "#rrggbb" or three numbers in [0, 1].
    point_size : diameter of a point in pixels; None chooses it from the number of points.
    opacity : of a point, in (0, 1]; None chooses it from the number of points.
    legend : show the classes, or a color bar of the values, next to the plot.
    titles : a text above each frame.
    pause : seconds for which the last frame stays.
    n_colors : of a GIF, 16 to 256; fewer make smaller files.
    progress : show a progress bar if tqdm is installed.
    n_jobs : threads that draw; the frames do not depend on it.

    Returns
    -------
    Path
        The path of the file.

    Raises
    ------
    ValueError, TypeError
        If frames are not finite or differ in shape, or another parameter is invalid.
    ImportError
        Without Pillow or, for MP4, imageio-ffmpeg.
    KeyboardInterrupt
        On Ctrl-C.  The frames that were drawn so far are a complete animation.  Before the first,
        and while Pillow writes the file, a file that was there stays as it was.
    """
    path = Path(os.fspath(path))
    write = find_writer(path)
    fps = check_number(fps, "fps", above=0, high=50 if write is write_gif else 1000)
    pause = check_number(pause, "pause", low=0)
    n_colors = check_number(n_colors, "n_colors", low=16, high=256, integer=True)
    n_jobs = resolve_n_jobs(n_jobs)
    size = _check_size(size, even=write is write_mp4)

    total = len(frames) if isinstance(frames, Sized) else None
    embeddings = _check_frames(getattr(frames, "frames", frames))  # an EmbeddingRecorder has them
    first = next(embeddings)
    colors = color_points(labels, len(first), palette, kind)
    layout = make_layout(
        size, colors, parse_color(background, "background"), legend, top_line=titles is not None
    )
    style = make_frame_style(colors, layout, point_size, opacity)
    shown = _with_progress_bar(itertools.chain([first], embeddings), total, progress)
    images = draw_frames(shown, layout, style, titles, round(fps / 2), n_jobs)
    settings = AnimationFormat(layout, colors.table, fps, n_colors)
    with atomic_write(path, commit_on=(StoppedEarly,)) as temp_path:
        write(temp_path, _repeat_last(images, round(pause * fps)), settings)
    return path


def _check_size(size: int | Iterable[int], even: bool) -> tuple[int, int]:
    sides = tuple(size) if isinstance(size, Iterable) else (size, size)
    if len(sides) != 2:
        raise ValueError(f"size must be a number of pixels, or width and height; got {size!r}")
    width, height = (check_number(side, "size", low=64, high=8192, integer=True) for side in sides)
    return (width + width % 2, height + height % 2) if even else (width, height)


def _check_frames(frames: object) -> Iterator[np.ndarray]:
    """Yield the frames as float32 arrays, each checked in turn; at least one."""
    if not isinstance(frames, Iterable):
        raise TypeError(f"frames must be an iterable of embeddings; got {frames!r}")
    shape = None
    for i, frame in enumerate(frames):
        frame = np.ascontiguousarray(frame, np.float32)
        if frame.ndim != 2 or frame.shape[1] != 2 or len(frame) == 0:
            raise ValueError(f"frames[{i}] must have the shape (n, 2); got {frame.shape}")
        if shape is not None and frame.shape != shape:
            raise ValueError(f"frames must have one shape, here {shape}; got {frame.shape}")
        shape = frame.shape
        check_finite(frame, f"frames[{i}]")
        yield frame
    if shape is None:
        raise ValueError("frames must have at least one embedding; got none")


def _with_progress_bar(
    frames: Iterable[np.ndarray], total: int | None, progress: bool
) -> Iterable[np.ndarray]:
    if not (progress and is_package_installed("tqdm")):
        return frames
    tqdm: Callable[..., Iterable[np.ndarray]] = require("tqdm", "progress", "progress").tqdm
    return tqdm(frames, total=total, unit="frame")


def _repeat_last(images: Iterable[np.ndarray], n_repeats: int) -> Iterator[np.ndarray]:
    """Yield the images, and the last one ``n_repeats`` times more."""
    for image in images:
        yield image
    yield from itertools.repeat(image, n_repeats)
