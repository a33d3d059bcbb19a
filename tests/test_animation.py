"""Animations: files that other programs read, steady views, bad input."""

import itertools
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from fasttsne import animation
from fasttsne.drawing import frames as frames_module
from fasttsne.drawing.frames import WRITERS
from fasttsne.drawing.style import PALETTE, parse_color

Image = pytest.importorskip("PIL.Image")


@pytest.fixture
def frames(rng):
    """Three clusters that move apart; (12, 300, 2)."""
    points = rng.normal(size=(300, 2))
    centres = np.repeat([[-9, 0], [9, 0], [0, 9]], 100, axis=0)
    return np.array([points + t * centres for t in np.linspace(0, 1, 12)])


LABELS = np.repeat([0, 1, 2], 100)


def save(frames, path, **params):
    return animation.save(
        frames, path=path, **{"size": 96, "progress": False, "pause": 0, **params}
    )


def read(path):
    image = Image.open(path)
    shown = []
    for number in range(image.n_frames):
        image.seek(number)
        shown.append(np.array(image.convert("RGB")))
    return np.array(shown)


@pytest.mark.parametrize("ending", sorted(set(WRITERS) - {".mp4"}))
def test_every_frame_is_there(frames, tmp_path, ending):
    path = save(frames, tmp_path / f"run{ending}", labels=LABELS)
    pictures = read(path)
    assert pictures.shape == (12, 96, 96, 3)
    for before, after in itertools.pairwise(pictures):
        assert not np.array_equal(before, after)


def test_mp4(frames, tmp_path):
    ffmpeg = pytest.importorskip("imageio_ffmpeg")
    path = save(frames, tmp_path / "run.mp4", labels=LABELS, size=(97, 64), fps=10, pause=0.5)
    reader = ffmpeg.read_frames(path)
    about = next(reader)
    assert about["size"] == (98, 64)
    assert about["fps"] == 10
    assert len(list(reader)) == 12 + 5


def test_colors_are_those_of_the_classes(frames, tmp_path):
    """In the last frame each cluster is of its color, where the cluster is."""
    options = {"labels": LABELS, "legend": False, "opacity": 1, "point_size": 6}
    for ending, tolerance in ((".png", 4), (".gif", 30)):
        last = read(save(frames, tmp_path / f"run{ending}", **options))[-1].astype(int)
        places = {}
        for code in range(3):
            color = np.round(255 * parse_color(PALETTE[code]))
            near = np.abs(last - color).max(axis=2) <= tolerance
            assert near.sum() > 50
            places[code] = np.argwhere(near).mean(axis=0)  # row, column
        assert places[0][1] < 40 < 56 < places[1][1]
        assert places[2][0] < places[0][0] - 20


def test_the_pictures_do_not_depend_on_threads_or_the_kind_of_frames(frames, tmp_path):
    class Recorder:
        def __init__(self):
            self.frames = frames.astype(np.float32)

    one = save(frames, tmp_path / "1.gif", labels=LABELS, n_jobs=1).read_bytes()
    assert save(list(frames), tmp_path / "3.gif", labels=LABELS, n_jobs=3).read_bytes() == one
    assert save(iter(frames), tmp_path / "i.gif", labels=LABELS).read_bytes() == one
    assert save(Recorder(), tmp_path / "r.gif", labels=LABELS).read_bytes() == one


def test_time_of_gif_and_apng(frames, tmp_path):
    """The last frame stays; frames that are the same are one."""
    same = np.concatenate([frames[:2], frames[1:2], frames[2:4]])
    for ending in (".gif", ".png"):
        image = Image.open(save(same, tmp_path / f"run{ending}", fps=20, pause=1))
        durations = []
        for number in range(image.n_frames):
            image.seek(number)
            durations.append(image.info["duration"])
        assert sum(durations) == 50 * (5 + 20)
        assert durations[-1] == 50 * 21


def test_legends_and_titles_stay_beside_the_map(frames, tmp_path):
    plain = read(save(frames, tmp_path / "plain.png", size=200, labels=LABELS, legend=False))
    for labels in (LABELS, [f"a name that is too long {k}" for k in LABELS], frames[-1, :, 0]):
        titles = (f"iteration {i}" for i in range(12))
        shown = read(
            save(frames, tmp_path / "x.png", size=200, labels=labels, titles=titles, opacity=1)
        )
        legend = shown[:, 20:, 150:]
        assert (legend.min(axis=(0, 3)) < 250).any()
        top = shown[:, :16]
        assert (top < 128).any()
        assert not np.array_equal(top[1], top[2])
    assert plain.shape == shown.shape


@pytest.mark.parametrize("background", ["white", "black", "#102030", (0.5, 0.5, 0.5)])
def test_background(frames, tmp_path, background):
    for ending in (".gif", ".png"):
        pictures = read(save(frames, tmp_path / f"x{ending}", background=background, n_colors=32))
        expected = np.round(255 * parse_color(background))
        assert np.all(pictures[:, 0, 0] == expected)


@pytest.mark.parametrize(
    "frames",
    [np.zeros((1, 1, 2)), np.zeros((3, 5, 2)), np.ones((2, 4, 2)) * 1e30, [[[0, 0], [1, 0]]]],
)
def test_degenerate_maps(frames, tmp_path):
    pictures = read(save(frames, tmp_path / "x.png"))
    assert (pictures < 200).any()


def test_more_classes_than_room(tmp_path, rng):
    labels = np.arange(600) % 200
    points = rng.normal(size=(1, 600, 2))
    path = save(points, tmp_path / "x.gif", labels=labels, kind="classes", size=(300, 200))
    assert read(path).shape == (1, 200, 300, 3)


@pytest.mark.alone
def test_long_names_of_classes_are_cut_quickly(tmp_path, rng):
    labels = np.array(["wide " * 1600, "narrow"])[np.arange(40) % 2]
    start = time.perf_counter()
    path = save(rng.normal(size=(1, 40, 2)), tmp_path / "x.png", labels=labels, size=300)
    assert time.perf_counter() - start < 5
    font = frames_module._font(12)
    name = frames_module._shorten("wide " * 1600, font, 90)
    assert name.endswith("…")
    assert font.getlength(name) <= 90 < font.getlength(name[:-1] + "w…")
    assert frames_module._shorten("narrow", font, 90) == "narrow"
    assert read(path).shape == (1, 300, 300, 3)


def test_positions_are_deprecated(frames, tmp_path):
    with pytest.warns(FutureWarning, match=r"save will take .* write path=\.\.\., labels=\.\.\."):
        old = animation.save(frames, tmp_path / "old.gif", LABELS, size=96, progress=False)
    new = animation.save(frames, path=tmp_path / "new.gif", labels=LABELS, size=96, progress=False)
    assert old.read_bytes() == new.read_bytes()
    with (
        pytest.warns(FutureWarning, match="by keyword only"),
        pytest.raises(TypeError, match=r"save got \['path'\] twice"),
    ):
        animation.save(frames, "x.gif", path="y.gif")
    with pytest.raises(TypeError, match="path"):
        animation.save(frames)
    with pytest.raises(TypeError, match="positional"):
        animation.save(frames, "x.gif", LABELS, 25)


BAD = [
    ({"path": "x.avi"}, "the extension of path must be one of '.gif'"),
    ({"path": "nothing"}, "the extension of path must be one of"),
    ({"frames": []}, "frames must have at least one embedding"),
    ({"frames": 3}, "frames must be an iterable"),
    ({"frames": np.zeros((4, 5, 3))}, re.escape("frames[0] must have the shape (n, 2)")),
    ({"frames": [np.zeros((5, 2)), np.zeros((4, 2))]}, "frames must have one shape"),
    ({"frames": [np.full((5, 2), np.nan)]}, re.escape("frames[0] must be finite")),
    ({"labels": [1, 2]}, re.escape("labels must have the shape (300,)")),
    ({"fps": 0}, "fps must be greater than 0"),
    ({"fps": 60}, "fps must be at most 50"),
    ({"size": (1, 2, 3)}, "size must be"),
    ({"size": 10}, "size must be at least 64"),
    ({"background": "reddish"}, "background: a color is"),
    ({"palette": ["#12345"]}, "palette: a color is"),
    ({"opacity": 2}, "opacity must be at most 1"),
    ({"point_size": 0}, "point_size must be greater than 0"),
    ({"n_colors": 300}, "n_colors must be at most 256"),
    ({"n_jobs": 0}, "n_jobs must not be 0"),
    ({"kind": "x"}, "kind must be one of"),
]


@pytest.mark.parametrize(("params", "message"), BAD)
def test_bad_input(frames, tmp_path, params, message):
    params = dict(params)
    path = tmp_path / params.pop("path", "x.gif")
    with pytest.raises((ValueError, TypeError), match=message):
        save(params.pop("frames", frames), path, **params)


def test_an_interrupted_animation_can_be_read(frames, tmp_path):
    def some():
        yield from frames
        raise KeyboardInterrupt

    for ending in (".gif", ".png", ".webp"):
        path = tmp_path / f"x{ending}"
        with pytest.raises(KeyboardInterrupt):
            save(some(), path, fps=2, n_jobs=1)
        assert len(read(path)) >= 4


@pytest.mark.parametrize("ending", [".gif", ".apng", ".webp", ".mp4"])
def test_a_file_stays_if_ctrl_c_comes_before_the_first_frame(frames, tmp_path, ending):
    if ending == ".mp4":
        pytest.importorskip("imageio_ffmpeg")

    def some():
        yield frames[0]
        raise KeyboardInterrupt

    path = tmp_path / f"x{ending}"
    path.write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt):
        save(some(), path, fps=2, n_jobs=1)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("ending", [".gif", ".apng", ".webp"])
def test_ctrl_c_while_the_file_is_written_leaves_the_old_one(tmp_path, ending):
    """In a process of its own, that gets the signal when the temporary file appears."""
    path = tmp_path / f"x{ending}"
    path.write_bytes(b"old")
    program = (
        "import sys, numpy as np; from fasttsne import animation\n"
        "points = np.random.default_rng(0).normal(size=(60, 3000, 2))\n"
        "animation.save(points, path=sys.argv[1], size=900, progress=False)"
    )
    process = subprocess.Popen([sys.executable, "-c", program, path], stderr=subprocess.PIPE)
    while process.poll() is None and len(list(tmp_path.iterdir())) < 2:
        time.sleep(0.001)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert b"KeyboardInterrupt" in process.communicate()[1]
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
