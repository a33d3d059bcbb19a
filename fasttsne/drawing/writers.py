"""Frames, one after the other, as animation files: GIF, APNG, WebP and MP4.

Each writer takes the frames of an iterator, (height, width, 3) uint8, and holds one or two.
"""

import itertools
import struct
import zlib
from dataclasses import dataclass

import numpy as np

from fasttsne import _kernels
from fasttsne.runtime.validation import check_choice
from fasttsne.utils import require


@dataclass(frozen=True)
class AnimationFormat:
    """What the frames have in common.

    Attributes
    ----------
    size : width and height in pixels.
    fps : frames per second.
    background, foreground : colors of the background and of text, (3,) uint8.
    color_table : colors of points, (m, 3) in [0, 1].
    n_colors : of a GIF.
    """

    size: tuple[int, int]
    fps: float
    background: np.ndarray
    foreground: np.ndarray
    color_table: np.ndarray
    n_colors: int


class StoppedEarly(KeyboardInterrupt):
    """Ctrl-C after one frame or more: the file is a complete animation of those."""


def find_writer(path):
    """The writer for the extension of a path, whose packages are installed.

    Raises
    ------
    ValueError
        For other extensions than those of ``WRITERS``.
    ImportError
        Without Pillow or, for MP4, imageio-ffmpeg.
    """
    writer = WRITERS[check_choice(path.suffix.lower(), "the extension of path", tuple(WRITERS))]
    require("PIL", "an animation", "animation")
    if writer is write_mp4:
        require("imageio_ffmpeg", "an animation as MP4", "animation")
    return writer


def write_gif(path, frames, fmt):
    """A GIF of complete frames; equal ones in sequence become one with a longer delay."""
    palette, index_of_color = _gif_palette(fmt)
    width, height = fmt.size
    with open(path, "wb") as file:
        file.write(b"GIF89a" + struct.pack("<2H3B", width, height, 0xF7, 0, 0) + palette.tobytes())
        file.write(b"\x21\xff\x0bNETSCAPE2.0\x03\x01\x00\x00\x00")  # endless loop

        def encode():
            for frame, count in _merge_repeated(frames):
                delay = min(10 * count * max(round(100 / fmt.fps), 1), 10 * 0xFFFF)
                yield _gif_frame(frame, index_of_color, palette, delay)

        _write_frames(file, encode(), lambda n_frames: file.write(b"\x3b"))


def _write_frames(file, encoded, finish):
    """Write frames and what ends a file; after Ctrl-C the file has those that are whole.

    encoded : the bytes of each frame.
    finish : writes the end, given the number of frames.

    Raises
    ------
    StoppedEarly
        On Ctrl-C.  Before there is a frame it is a KeyboardInterrupt, and the file is of no use.
    """
    end, n_frames = file.tell(), 0
    try:
        for data in encoded:
            file.write(data)
            end, n_frames = file.tell(), n_frames + 1
    except KeyboardInterrupt:
        if n_frames == 0:
            raise
        file.seek(end)
        file.truncate()
        finish(n_frames)
        raise StoppedEarly from None
    finish(n_frames)


def _gif_frame(frame, index_of_color, palette, milliseconds):
    from PIL import GifImagePlugin, Image

    indices = np.empty(frame.shape[:2], np.uint8)
    _kernels.raster.look_up(frame, index_of_color, indices)
    image = Image.fromarray(indices, "L").convert("P")
    image.putpalette(palette.tobytes())
    return b"".join(GifImagePlugin.getdata(image, duration=milliseconds, interlace=0))


def _merge_repeated(frames):
    """Each frame that differs from the one before it, and the number of its repetitions."""
    last, count = None, 0
    for frame in frames:
        if last is not None and (frame is last or np.array_equal(frame, last)):
            count += 1
            continue
        if last is not None:
            yield last, count
        last, count = frame, 1
    yield last, count


def _gif_palette(fmt):
    """One palette for all frames, (256, 3), and the palette index of each 15-bit color.

    It is the median cut of all colors that can occur: mixtures of two point colors, at any
    opacity over the background, and the greys of text.
    """
    from PIL import Image
    from scipy.spatial import cKDTree

    table = fmt.color_table[:: max(len(fmt.color_table) // 24, 1)]
    fractions = np.linspace(0.5, 1, 3)[:, None, None, None]
    mixtures = (fractions * table[:, None] + (1 - fractions) * table).reshape(-1, 3)
    opacities = np.linspace(0.1, 1, 10)[:, None, None]
    background = (1 - opacities) * (fmt.background / 255)
    shades = 255 * (opacities * mixtures + background)
    unmixed = np.repeat(255 * (opacities * table + background), 8, axis=1)
    greys = np.linspace(fmt.background, fmt.foreground, 5)
    samples = np.vstack([shades.reshape(-1, 3), unmixed.reshape(-1, 3)])
    image = Image.fromarray(np.round(samples).astype(np.uint8)[None])
    quantized = image.quantize(fmt.n_colors - len(greys), Image.Quantize.MEDIANCUT)
    chosen = np.reshape(quantized.getpalette("RGB"), (-1, 3))
    palette = np.vstack([greys, chosen]).astype(np.uint8)[: fmt.n_colors]
    bin_centers = np.stack(np.meshgrid(*3 * [np.arange(32)], indexing="ij"), axis=-1) * 8 + 3.5
    index_of_color = cKDTree(palette).query(bin_centers)[1].astype(np.uint8)
    index_of_color[tuple(fmt.background >> 3)] = 0
    padded = np.zeros((256, 3), np.uint8)
    padded[: len(palette)] = palette
    return padded, index_of_color


ACTL_OFFSET = 33  # bytes: the signature and the chunk IHDR


def write_apng(path, frames, fmt):
    """An APNG of complete frames (https://www.w3.org/TR/png-3/#apng-frame-based-animation)."""
    width, height = fmt.size
    chunks = itertools.count()
    with open(path, "wb") as file:
        header = _png_chunk(b"IHDR", struct.pack(">2I5B", width, height, 8, 2, 0, 0, 0))
        file.write(b"\x89PNG\r\n\x1a\n" + header + _png_chunk(b"acTL", bytes(8)))

        def encode():
            for i, (frame, count) in enumerate(_merge_repeated(frames)):
                seconds = count / fmt.fps
                delay = min(round(1000 * seconds), 0xFFFF), 1000
                control = struct.pack(">5I2H2B", next(chunks), width, height, 0, 0, *delay, 0, 0)
                # Each row starts with its filter, which is 0 for none.
                rows = np.zeros((height, 1 + 3 * width), np.uint8)
                rows[:, 1:] = frame.reshape(height, -1)
                data = zlib.compress(rows, 6)
                number = b"" if i == 0 else struct.pack(">I", next(chunks))
                image = _png_chunk(b"IDAT" if i == 0 else b"fdAT", number + data)
                yield _png_chunk(b"fcTL", control) + image

        def finish(n_frames):
            file.write(_png_chunk(b"IEND", b""))
            file.seek(ACTL_OFFSET)
            file.write(_png_chunk(b"acTL", struct.pack(">2I", n_frames, 0)))

        _write_frames(file, encode(), finish)


def _png_chunk(name, data):
    check = zlib.crc32(data, zlib.crc32(name))
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", check)


def write_webp(path, frames, fmt):
    from PIL import Image

    images = (Image.fromarray(frame) for frame in frames)
    next(images).save(
        path,
        "WEBP",
        save_all=True,
        append_images=images,
        duration=round(1000 / fmt.fps),
        loop=0,
        quality=85,
        method=0,
    )


def write_mp4(path, frames, fmt):
    ffmpeg = require("imageio_ffmpeg", "an animation as MP4", "animation")
    writer = ffmpeg.write_frames(
        str(path),
        fmt.size,
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


WRITERS = {
    ".gif": write_gif,
    ".mp4": write_mp4,
    ".png": write_apng,
    ".apng": write_apng,
    ".webp": write_webp,
}
