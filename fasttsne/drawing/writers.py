"""Pictures, one after the other, as files: GIF, APNG, WebP and MP4.

Each writer takes pictures as they come, (height, width, 3) uint8, and keeps one or two.
"""

import itertools
import struct
import zlib
from dataclasses import dataclass

import numpy as np

from fasttsne import _kernels
from fasttsne.utils import require


@dataclass(frozen=True)
class Film:
    """What the pictures have in common.

    Attributes
    ----------
    size : width and height in pixels.
    fps : pictures a second.
    paper, ink : colours of background and text, (3,) uint8.
    table : colours of points, (m, 3) in [0, 1].
    n_colors : of a GIF.
    """

    size: tuple[int, int]
    fps: float
    paper: np.ndarray
    ink: np.ndarray
    table: np.ndarray
    n_colors: int


def write_gif(path, pictures, film):
    """Frames after frames, each whole; those that are the same make one that stays longer."""
    palette, numbers = _gif_palette(film)
    width, height = film.size
    with open(path, "wb") as file:
        file.write(b"GIF89a" + struct.pack("<2H3B", width, height, 0xF7, 0, 0) + palette.tobytes())
        file.write(b"\x21\xff\x0bNETSCAPE2.0\x03\x01\x00\x00\x00")  # again and again
        try:
            for picture, count in _runs(pictures):
                delay = min(10 * count * max(round(100 / film.fps), 1), 10 * 0xFFFF)
                file.write(_gif_frame(picture, numbers, palette, delay))
        finally:
            file.write(b"\x3b")


def _gif_frame(picture, numbers, palette, milliseconds):
    from PIL import GifImagePlugin, Image

    indices = np.empty(picture.shape[:2], np.uint8)
    _kernels.raster.look_up(picture, numbers, indices)
    image = Image.fromarray(indices, "L").convert("P")
    image.putpalette(palette.tobytes())
    return b"".join(GifImagePlugin.getdata(image, duration=milliseconds, interlace=0))


def _runs(pictures):
    """Each picture that differs from the one before it, and how often it comes."""
    last, count = None, 0
    for picture in pictures:
        if last is not None and (picture is last or np.array_equal(picture, last)):
            count += 1
            continue
        if last is not None:
            yield last, count
        last, count = picture, 1
    yield last, count


def _gif_palette(film):
    """A palette for all frames, (256, 3), and the number in it of each colour of 5 bits a channel.

    Made, by median cut, of what points can look like: mixtures of two colours of the table,
    laid on the background as thin as they may be, and of the legend.
    """
    from PIL import Image
    from scipy.spatial import cKDTree

    table = film.table[:: max(len(film.table) // 24, 1)]
    shares = np.linspace(0.5, 1, 3)[:, None, None, None]
    mixed = (shares * table[:, None] + (1 - shares) * table).reshape(-1, 3)
    covered = np.linspace(0.1, 1, 10)[:, None, None]
    shades = 255 * (covered * mixed + (1 - covered) * (film.paper / 255))
    pure = np.repeat(255 * (covered * table + (1 - covered) * (film.paper / 255)), 8, axis=1)
    greys = np.linspace(film.paper, film.ink, 5)
    samples = np.vstack([shades.reshape(-1, 3), pure.reshape(-1, 3)])
    image = Image.fromarray(np.round(samples).astype(np.uint8)[None])
    kept = image.quantize(film.n_colors - len(greys), Image.Quantize.MEDIANCUT).getpalette("RGB")
    palette = np.vstack([greys, np.reshape(kept, (-1, 3))]).astype(np.uint8)[: film.n_colors]
    middles = np.stack(np.meshgrid(*3 * [np.arange(32)], indexing="ij"), axis=-1) * 8 + 3.5
    numbers = cKDTree(palette).query(middles)[1].astype(np.uint8)
    numbers[tuple(film.paper >> 3)] = 0
    padded = np.zeros((256, 3), np.uint8)
    padded[: len(palette)] = palette
    return padded, numbers


def write_apng(path, pictures, film):
    """Frames after frames, each whole (https://www.w3.org/TR/png-3/#apng-frame-based-animation)."""
    width, height = film.size
    chunks, n_frames, place = itertools.count(), 0, 33
    with open(path, "wb") as file:
        header = _png_chunk(b"IHDR", struct.pack(">2I5B", width, height, 8, 2, 0, 0, 0))
        file.write(b"\x89PNG\r\n\x1a\n" + header + _png_chunk(b"acTL", bytes(8)))
        try:
            for picture, count in _runs(pictures):
                seconds = count / film.fps
                delay = min(round(1000 * seconds), 0xFFFF), 1000
                control = struct.pack(">5I2H2B", next(chunks), width, height, 0, 0, *delay, 0, 0)
                file.write(_png_chunk(b"fcTL", control))
                rows = np.zeros(
                    (height, 1 + 3 * width), np.uint8
                )  # each row starts with its filter
                rows[:, 1:] = picture.reshape(height, -1)
                data = zlib.compress(rows, 6)
                first = n_frames == 0
                number = b"" if first else struct.pack(">I", next(chunks))
                file.write(_png_chunk(b"IDAT" if first else b"fdAT", number + data))
                n_frames += 1
        finally:
            file.write(_png_chunk(b"IEND", b""))
            file.seek(place)
            file.write(_png_chunk(b"acTL", struct.pack(">2I", n_frames, 0)))


def _png_chunk(name, data):
    check = zlib.crc32(data, zlib.crc32(name))
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", check)


def write_webp(path, pictures, film):
    from PIL import Image

    images = (Image.fromarray(picture) for picture in pictures)
    next(images).save(
        path, "WEBP", save_all=True, append_images=images, duration=round(1000 / film.fps), loop=0,
        quality=85, method=0,
    )  # fmt: skip


def write_mp4(path, pictures, film):
    ffmpeg = require("imageio_ffmpeg", "animation.save to MP4", "animation")
    writer = ffmpeg.write_frames(
        str(path), film.size, fps=film.fps, codec="libx264", macro_block_size=2,
        output_params=["-preset", "veryfast", "-crf", "18", "-movflags", "+faststart"],
        ffmpeg_log_level="error",
    )  # fmt: skip
    writer.send(None)
    count = 0
    try:
        for picture in pictures:
            writer.send(np.ascontiguousarray(picture))
            count += 1
    finally:
        writer.close()
    if not _has_frames(ffmpeg, path, count):
        raise OSError("ffmpeg could not write all of the film: is the disk full?")


def _has_frames(ffmpeg, path, count):
    """Whether a film can be read: nobody says so where ffmpeg fails at its end."""
    try:
        return ffmpeg.count_frames_and_secs(str(path))[0] >= count
    except RuntimeError:
        return False


WRITERS = {
    ".gif": write_gif,
    ".mp4": write_mp4,
    ".png": write_apng,
    ".apng": write_apng,
    ".webp": write_webp,
}
