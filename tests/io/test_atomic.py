"""Outputs are there as a whole or as they were: full disks, interrupts, files in use."""

import errno
import io
import os
import re
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from fasttsne import TSNE, TSNEEmbedding, files
from fasttsne.affinity import PerplexityBasedNN
from fasttsne.callbacks import EmbeddingRecorder
from fasttsne.cli import main
from fasttsne.datasets import load_digits
from fasttsne.io.atomic import atomic_write

linux = pytest.mark.skipif(sys.platform != "linux", reason="limits as Linux has them")


def write_and_raise(path, error, **settings):
    with atomic_write(path, **settings) as temp_path:
        temp_path.write_text("half")
        raise error


def test_a_file_is_replaced_when_all_is_written(tmp_path):
    path = tmp_path / "map.npy"
    path.write_text("old")
    with atomic_write(path) as temp_path:
        assert temp_path.suffix == ".npy"
        assert temp_path.parent == tmp_path
        temp_path.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert os.listdir(tmp_path) == ["map.npy"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_after_an_exception_the_old_file_stays(tmp_path, error):
    path = tmp_path / "map.npy"
    path.write_text("old")
    with pytest.raises(error):
        write_and_raise(path, error)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["map.npy"]


def test_exceptions_that_leave_a_good_file(tmp_path):
    path = tmp_path / "x.gif"
    with pytest.raises(KeyboardInterrupt):
        write_and_raise(path, KeyboardInterrupt, commit_on=KeyboardInterrupt)
    assert path.read_text() == "half"


def test_errors_name_the_target(tmp_path):
    """A user has not heard of the temporary file."""
    (tmp_path / "folder.npy").mkdir()
    missing = tmp_path / "missing" / "x.npy"
    for path, error in ((tmp_path / "folder.npy", IsADirectoryError), (missing, FileNotFoundError)):
        with pytest.raises(error) as caught:
            files.write_map(path, np.ones((3, 2)))
        assert str(caught.value).endswith(f": {str(path)!r}")


@pytest.mark.parametrize("open_file", [open, io.FileIO])
def test_errors_of_opening_name_the_target(tmp_path, open_file):
    """Python names the file in an error as it was opened: by its text or by its Path."""
    path = tmp_path / "missing" / "x.npz"
    with (
        pytest.raises(FileNotFoundError) as caught,
        atomic_write(path) as temp_path,
        open_file(temp_path, "xb"),
    ):
        pass
    assert caught.value.filename == str(path)


def make_embedding():
    return TSNEEmbedding(np.eye(6)[:, :2], PerplexityBasedNN(np.eye(6), 1.5, n_jobs=1))


def test_a_saved_embedding_names_the_target(tmp_path):
    path = tmp_path / "missing" / "x.npz"
    embedding = make_embedding()
    with pytest.raises(FileNotFoundError, match=re.escape(f": {str(path)!r}")):
        embedding.save(path)


def test_a_full_disk_names_the_target(tmp_path):
    path = tmp_path / "x.npy"
    with pytest.raises(OSError, match=re.escape(f"No space left on device: {str(path)!r}")):
        write_and_raise(path, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_a_link_stays_one(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    path, target = tmp_path / "map.npy", tmp_path / "elsewhere" / "real.npy"
    path.symlink_to(target)
    files.write_map(path, np.ones((3, 2)))
    assert path.is_symlink()
    np.testing.assert_array_equal(np.load(target), np.ones((3, 2)))


@pytest.mark.parametrize("ending", [".NPY", ".NPZ", ".CSV"])
def test_names_in_capitals(tmp_path, ending):
    path = tmp_path / f"MAP{ending}"
    files.write_map(path, np.ones((3, 2)))
    assert os.listdir(tmp_path) == [path.name]
    np.testing.assert_array_equal(files.read_rows(path), np.ones((3, 2)))


def test_names_as_long_as_they_may_be(tmp_path):
    path = tmp_path / f"{'x' * 251}.npy"
    files.write_map(path, np.ones((3, 2)))
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.skipif(sys.platform == "win32", reason="files in use cannot be replaced there")
def test_frames_of_an_earlier_recording_stay(tmp_path):
    """They are mapped into memory: to cut the file short would end the process."""
    recorder = EmbeddingRecorder(path=tmp_path / "frames.npy")
    for number in range(3):
        recorder(number, 1.0, np.full((5000, 2), float(number)))
    earlier = recorder.frames
    recorder.clear()
    recorder(0, 1.0, np.ones((5, 2)))
    assert recorder.frames.shape == (1, 5, 2)
    assert earlier.shape == (3, 5000, 2)
    assert earlier[2, -1, 0] == 2


FULL = """
import os, resource, signal, sys
import numpy as np
from fasttsne import animation, callbacks, files, plotting
from fasttsne.cli import main
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
def fill():
    if sys.argv[1] != "disk":
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
        return
    with open("filler", "wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            pass
def free():
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
    if sys.argv[1] == "disk":
        os.remove("filler")
rng = np.random.default_rng(0)
maps = rng.normal(size=(4, 2000, 2))
np.save("map.npy", maps[0])
recorder = callbacks.EmbeddingRecorder(path="frames.npy")
recorder(1, 1.0, maps[0, :50])
earlier = callbacks.EmbeddingRecorder(path="earlier.npy")
earlier(1, 1.0, maps[0])
earlier.clear()
writers = {
    "x.npy": lambda: files.write_map("x.npy", maps[0]),
    "x.csv": lambda: files.write_map("x.csv", maps[0]),
    "x.npz": lambda: files.write_map("x.npz", maps[0]),
    "demo.npy": lambda: main(["demo", "-o", "demo.npy"]),
}
for module, name, write in (
    ("pyarrow", "x.parquet", lambda: files.write_map("x.parquet", maps[0])),
    ("matplotlib", "x.png", lambda: main(["plot", "map.npy", "-o", "x.png"])),
    ("matplotlib", "x.pdf", lambda: main(["plot", "map.npy", "-o", "x.pdf"])),
    ("plotly", "x.html", lambda: plotting.html(maps[0], path="x.html")),
    ("PIL", "x.gif", lambda: animation.save(maps, path="x.gif", progress=False)),
    ("PIL", "x.apng", lambda: animation.save(maps, path="x.apng", progress=False)),
    ("PIL", "x.webp", lambda: animation.save(maps, path="x.webp", progress=False)),
    ("imageio_ffmpeg", "x.mp4", lambda: animation.save(maps, path="x.mp4", progress=False)),
):
    try:
        __import__(module)
    except ImportError:
        continue
    writers[name] = write
for name in writers:
    open(name, "w").write("old")
before = sorted(os.listdir("."))
fill()
for name, write in writers.items():
    try:
        answer = write()
    except Exception as error:
        answer = error
    told = isinstance(answer, OSError) or answer == 2
    kept = open(name, "rb").read() == b"old"
    print(name, "kept" if told and kept else "lost", repr(answer)[:300])
for _ in range(20):
    try:
        recorder(2, 1.0, maps[0, :50])
    except OSError:
        count = len(recorder.iterations)
        print("recorder", "kept" if len(np.load("frames.npy")) == count else "lost")
free()
recorder(3, 1.0, maps[1, :50])
assert (np.load("frames.npy")[-1] == maps[1, :50].astype("f4")).all()
assert sorted(os.listdir(".")) == before, os.listdir(".")
"""


@pytest.mark.slow
@linux
@pytest.mark.parametrize("limit", [0, 1000])
def test_all_outputs_on_a_full_disk(tmp_path, limit):
    """Files may not grow beyond a limit: whatever is written then, the old files stay."""
    (tmp_path / "program.py").write_text(FULL)
    check_outputs([sys.executable, "program.py", str(limit)], tmp_path)


@pytest.mark.slow
@linux
def test_all_outputs_on_a_disk_that_is_full(tmp_path):
    """The same where there is no more room at all, on a small disk of its own."""
    (tmp_path / "program.py").write_text(FULL)
    script = 'mount -t tmpfs -o size=2m tmpfs . && cd "$PWD" && "$@"'
    small = ["unshare", "-rm", "sh", "-c", script, "-"]
    try:
        subprocess.run([*small, "true"], cwd=tmp_path, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no disk can be mounted here")
    (tmp_path / "disk").mkdir()
    check_outputs([*small, sys.executable, tmp_path / "program.py", "disk"], tmp_path / "disk")


def check_outputs(command, folder):
    result = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=folder)
    assert result.returncode == 0, result.stderr
    lines = [line.split(None, 2) for line in result.stdout.splitlines()]
    outcomes = [(name, outcome) for name, outcome, *_ in lines if outcome in ("kept", "lost")]
    assert len(outcomes) >= 6
    assert all(outcome == "kept" for _, outcome in outcomes), result.stdout


@pytest.mark.skipif(os.name != "posix", reason="modes, pipes and devices are POSIX's")
def test_a_private_file_stays_private(tmp_path):
    path = tmp_path / "map.npz"
    path.write_bytes(b"old")
    path.chmod(0o600)
    with atomic_write(path) as part:
        part.write_bytes(b"new")
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.skipif(os.name != "posix", reason="modes, pipes and devices are POSIX's")
def test_pipes_are_not_replaced(tmp_path):
    path = tmp_path / "pipe.npz"
    os.mkfifo(path)
    with pytest.raises(OSError, match="not a regular file"), atomic_write(path):
        pass
    assert stat.S_ISFIFO(path.stat().st_mode)


def as_fifo(path):
    os.mkfifo(path)


def as_device(path):
    """To read it never ends, to write it is an error."""
    path.symlink_to("/dev/full")


READ_OR_WRITTEN = {
    "save": lambda path: make_embedding().save(path),
    "load": TSNEEmbedding.load,
    "load, with rows": lambda path: TSNEEmbedding.load(path, X=np.eye(6)),
    "load, by its address": lambda path: TSNEEmbedding.load(f"file://{path}"),
    "save, by its address": lambda path: make_embedding().save(f"file://{path}"),
    "checkpoint": lambda path: TSNE(checkpoint=path).fit(load_digits()[0][:50]),
    "checkpoint, by its address": lambda path: TSNE(checkpoint=f"file://{path}").fit(
        load_digits()[0][:50]
    ),
    "neighbours of a checkpoint": lambda path: TSNE(checkpoint=path.with_name("x.npz")).fit(
        load_digits()[0][:50]
    ),
    "write_map": lambda path: files.write_map(path, np.ones((3, 2))),
    "read_table": files.read_table,
    "read_rows": files.read_rows,
    "recorder": lambda path: EmbeddingRecorder(path=path)(1, 1.0, np.ones((5, 2))),
}


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="the device is Linux's")
@pytest.mark.parametrize("make", [as_fifo, as_device])
@pytest.mark.parametrize("name", READ_OR_WRITTEN)
def test_devices_and_pipes_are_refused(tmp_path, make, name):
    """To open a pipe may block for ever, before an error could be raised."""
    if "address" in name:
        pytest.importorskip("fsspec")
    path = tmp_path / "x.graph.npz"
    make(path)
    before = path.stat()
    with pytest.raises(OSError, match=r"not a regular file") as caught:
        READ_OR_WRITTEN[name](path)
    assert path.name in str(caught.value)
    assert path.stat().st_rdev == before.st_rdev
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="the device is Linux's")
@pytest.mark.parametrize("make", [as_fifo, as_device])
@pytest.mark.parametrize(
    "command",
    [
        "fit rows.npy -o {0}.npy",
        "fit rows.npy -o m.npy --save {0}.npz",
        "fit {0}.csv -o m.npy",
        "fit rows.npy -o m.npy --checkpoint {0}.npz",
        "fit rows.npy -o m.npy --html {0}.html",
        "fit rows.npy -o m.npy --plot {0}.png",
        "update {0}.npz rows.npy -o m.npy",
        "plot {0}.npz",
        "transform rows.npy --data rows.npy --map {0}.npz -o m.npy",
        "report {0}.csv rows.npy",
    ],
)
def test_devices_and_pipes_on_the_command_line(tmp_path, monkeypatch, capsys, make, command):
    """An error before the work: no progress is shown."""
    monkeypatch.chdir(tmp_path)
    np.save("rows.npy", load_digits()[0][:60])
    arguments = command.format("x").split()
    (name,) = (each for each in arguments if each.startswith("x."))
    make(tmp_path / name)
    assert main(arguments) == 2
    output = capsys.readouterr()
    assert f"{name} is not a regular file" in output.err or f"file: '{name}'" in output.err
    assert "iteration" not in output.err + output.out
    assert sorted(os.listdir()) == ["rows.npy", name]


@pytest.mark.skipif(os.name != "posix", reason="modes, pipes and devices are POSIX's")
@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may write to all")
def test_a_protected_file_is_not_replaced(tmp_path):
    path = tmp_path / "map.npz"
    path.write_bytes(b"old")
    path.chmod(0o444)
    with pytest.raises(PermissionError, match=r"map\.npz"), atomic_write(path):
        pass
    assert path.read_bytes() == b"old"


def test_what_a_killed_process_left_is_removed_by_the_next_save(tmp_path):
    target, day = tmp_path / "map.npz", 86_400
    left = [tmp_path / f".map.{i:016x}.part.npz" for i in range(3)]
    others = [
        tmp_path / name
        for name in (
            ".map.npz",
            ".maps.0123456789abcdef.part.npz",
            ".map.x123456789abcdef.part.npz",
            ".map.0123456789abcdef.part.npy",
        )
    ]
    for path in (*left, *others):
        path.write_text("part")
        os.utime(path, (time.time() - day,) * 2)
    os.utime(left[2])  # someone may be writing it
    with atomic_write(target) as temp_path:
        temp_path.write_text("new")
    assert sorted(tmp_path.iterdir()) == sorted([target, left[2], *others])


WRITER = """
import sys, time
from fasttsne.io.atomic import atomic_write
with atomic_write("map.npz") as temp_path:
    temp_path.write_text("part")
    print(temp_path.name, flush=True)
    sys.stdin.read()
"""


def start_writer(folder):
    """Return a process that writes map.npz until its input ends, and its temporary file."""
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER],
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    return writer, folder / writer.stdout.readline().strip()


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="of other processes nothing is known there")
def test_what_a_process_left_is_removed_once_it_is_dead(tmp_path):
    """At once, and never while it lives, however long it has not written."""
    target = tmp_path / "map.npz"
    alive, its_file = start_writer(tmp_path)
    dead, left = start_writer(tmp_path)
    dead.kill()
    dead.communicate()
    place, pid = left.name[5:13], left.name[13:21]
    elsewhere = tmp_path / f".map.{int(place, 16) ^ 1:08x}{pid}01234567.part.npz"
    another = tmp_path / left.name.replace("map", "map2")
    for path in (elsewhere, another):
        path.write_text("part")
    assert left.exists()
    with atomic_write(target) as temp_path:
        temp_path.write_text("new")
    assert sorted(tmp_path.iterdir()) == sorted([target, its_file, elsewhere, another])
    assert alive.communicate("")[0] == ""
    assert target.read_text() == "part"
    assert alive.returncode == 0
    assert sorted(tmp_path.iterdir()) == sorted([target, elsewhere, another])


def test_threads_write_one_file(tmp_path):
    """Each has its own temporary file, and removes none of the others."""

    def write(number):
        for _ in range(20):
            with atomic_write(tmp_path / "map.npz") as temp_path:
                temp_path.write_text(str(number) * 1000)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    assert len(set((tmp_path / "map.npz").read_text())) == 1
    assert os.listdir(tmp_path) == ["map.npz"]
