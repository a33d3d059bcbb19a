"""What can go wrong around a fit: corrupted objects, signals, no memory, full disks, callbacks.

``FASTTSNE_HYPOTHESIS=nightly`` makes more attempts, other ones each day, sends more signals
(``FASTTSNE_SIGNALS``), and fits 6,000 rows where memory ends.
"""

import os
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from helpers.quick import QUICK, WITH_HELPERS, run_helper, run_python

from fasttsne import TSNE, TSNEEmbedding
from fasttsne.callbacks import Checkpoint

# ---- attempts to crash the process through public objects

NIGHTLY = os.environ.get("FASTTSNE_HYPOTHESIS") == "nightly"
SEED, N_ATTEMPTS = (int(time.time()) // 86_400, 20_000) if NIGHTLY else (0, 600)
N_PROCESSES = 4  # at least; one that ends early is followed by another


def crashes_of(first, last):
    """The attempts of a range that ended their process, as (output, exit code)."""
    crashes = []
    while first < last:
        # What was never written is not zero, so that its use is seen.
        result = run_helper(
            "crash_attempts", SEED, first, last, timeout=7200, MALLOC_PERTURB_="165"
        )
        lines = result.stdout.splitlines()
        if result.returncode == 0 and lines[-1:] == ["end"]:
            break
        start = max(i for i, line in enumerate(lines) if line.startswith("attempt "))
        crashes.append((result.returncode, lines[start:], result.stderr[-2000:]))
        first = int(lines[start].split()[1].rstrip(":")) + 1
    return crashes


@pytest.mark.slow
def test_nothing_crashes_the_process():
    bounds = np.linspace(0, N_ATTEMPTS, N_PROCESSES + 1).astype(int)
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(crashes_of, bounds[:-1], bounds[1:]))
    assert not any(found), f"seed {SEED}: {[crash for crashes in found for crash in crashes]}"


# ---- signals, kills, no memory, hostile callbacks

SIGNALS = int(os.environ.get("FASTTSNE_SIGNALS", 200 if NIGHTLY else 6))
posix = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals and limits")
linux = pytest.mark.skipif(sys.platform != "linux", reason="limits as Linux has them")


def run(tmp_path, code):
    """The lines that a program prints, which must end by itself and without an error."""
    result = run_python("-c", code, folder=tmp_path)
    assert result.returncode == 0, (result.returncode, result.stderr)
    return result.stdout.splitlines()


INTERRUPTED = """
import sys, numpy as np
from fasttsne import TSNE
from fasttsne.datasets import load_digits
X = np.tile(load_digits()[0], (2, 1)) + np.random.default_rng(0).normal(size=(3594, 64))
fit = dict(random_state=0, n_jobs=2, negative_gradient_method=sys.argv[1])
TSNE(n_iter=1, early_exaggeration_iter=1, **fit).fit(X)
while True:
    tsne = TSNE(n_iter=60, early_exaggeration_iter=20, callbacks_every_iters=3,
                callbacks=lambda *_: None, **fit)
    try:
        print("go", flush=True)
        tsne.fit(X)
    except KeyboardInterrupt:
        y = getattr(tsne, "embedding_", None)
        if y is not None:
            before = y.optimizer.iteration
            y.optimize(2, inplace=True)
            assert y.optimizer.iteration == before + 2
            assert np.isfinite(y).all() and np.isfinite(y.kl_divergence)
        print("usable", flush=True)
        break
"""


@pytest.mark.slow
@posix
def test_signals_at_random_moments(tmp_path):
    """Each is a KeyboardInterrupt, soon, and the map, where there is one, can go on."""
    (tmp_path / "program.py").write_text(INTERRUPTED)
    moments = random.Random(None if NIGHTLY else 0)
    for number in range(SIGNALS):
        method = ("fft", "bh", "exact")[number % 3]
        with subprocess.Popen(
            [sys.executable, tmp_path / "program.py", method],
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process:
            assert process.stdout.readline() == "go\n"
            moment = moments.uniform(0, 0.8)
            time.sleep(moment)
            process.send_signal(signal.SIGINT)
            try:
                output, errors = process.communicate(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
        assert process.returncode == 0, (method, moment, process.returncode, errors)
        assert output.splitlines()[-1] == "usable", (method, moment)


SAVING = """
from fasttsne import TSNE
from fasttsne.callbacks import Checkpoint
from fasttsne.datasets import load_digits
save = Checkpoint("map.npz")
def watch(*state):
    save(*state)
    print("saved", flush=True)
TSNE(n_iter=10**6, callbacks=watch, callbacks_every_iters=1, random_state=0, n_jobs=2).fit(
    load_digits()[0]
)
"""


@pytest.mark.slow
@posix
def test_kills_while_checkpoints_are_written(tmp_path):
    """Nearly all of that program's time is writing; the last whole checkpoint is there."""
    (tmp_path / "program.py").write_text(SAVING)
    moments = random.Random(None if NIGHTLY else 0)
    last = -1
    for _ in range(30 if NIGHTLY else 4):
        with subprocess.Popen(
            [sys.executable, tmp_path / "program.py"], stdout=subprocess.PIPE, cwd=tmp_path
        ) as process:
            process.stdout.readline()
            time.sleep(moments.uniform(0, 0.15))
            process.kill()
        embedding = TSNEEmbedding.load(tmp_path / "map.npz")
        last = embedding.optimizer.iteration
        assert np.isfinite(embedding.optimize(2)).all()
    assert last >= 0


@pytest.mark.slow
@linux
def test_no_memory(tmp_path):
    """Each step of a limit is a MemoryError or a map, and the process goes on."""
    lines = run(
        tmp_path,
        """
import resource, numpy as np
from fasttsne import TSNE, initialization
from fasttsne.datasets import load_digits
small = load_digits()[0][:100]
quick = dict(n_iter=3, early_exaggeration_iter=3, random_state=0, n_jobs=2)
before = TSNE(**quick).fit(small)
X = np.random.default_rng(0).normal(size=(30_000, 20)).astype("f4")
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
for method in ("fft", "bh"):
    for spare in (4, 8, 16, 32, 64, 128):
        resource.setrlimit(resource.RLIMIT_AS, (used + spare * 2**20, resource.RLIM_INFINITY))
        try:
            TSNE(negative_gradient_method=method, initialization="random", **quick).fit(X)
            print("map")
        except MemoryError:
            print("MemoryError")
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY,) * 2)
    assert (TSNE(**quick).fit(small) == before).all()
""",
    )
    assert len(lines) == 12
    assert lines.count("MemoryError") >= 4


@linux
@pytest.mark.slow
def test_no_memory_for_the_first_products(tmp_path):
    """OpenBLAS ends the process where it gets none for itself."""
    lines = run(
        tmp_path,
        """
import resource, numpy as np
from fasttsne import initialization
from fasttsne.nearest_neighbors import Approx
X = np.random.default_rng(0).normal(size=(5000, 20)).astype("f4")
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 20 * 2**20, resource.RLIM_INFINITY))
for first in (lambda: initialization.pca(X), lambda: Approx(X, 10).build()):
    try:
        first()
    except MemoryError:
        print("MemoryError")
resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY,) * 2)
print(*initialization.pca(X).shape, *Approx(X, 10).build()[0].shape)
""",
    )
    assert lines == ["MemoryError", "MemoryError", "5000 2 5000 10"]


@linux
def test_a_full_disk(tmp_path):
    """A file may grow to a limit only: OSError, and the last whole checkpoint stays."""
    lines = run(
        tmp_path,
        """
import os, resource, signal
from fasttsne import TSNE, TSNEEmbedding, files
from fasttsne.callbacks import Checkpoint
from fasttsne.datasets import load_digits
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
X = load_digits()[0][:500]
quick = dict(n_iter=10, early_exaggeration_iter=10, random_state=0, n_jobs=2)
TSNE(**quick).fit(X).save("map.npz")
whole = open("map.npz", "rb").read()
tsne = TSNE(callbacks=Checkpoint("map.npz"), callbacks_every_iters=2, **quick)
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, resource.RLIM_INFINITY))
try:
    tsne.fit(X)
except OSError as error:
    print(type(error).__name__)
for name in ("map.npy", "map.csv", "other.npz"):
    try:
        files.write_map(name, tsne.embedding_)
    except OSError as error:
        print(type(error).__name__)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
assert open("map.npz", "rb").read() == whole
print(*sorted(os.listdir(".")))
tsne.embedding_.optimize(5).save("map.npz")
print(TSNEEmbedding.load("map.npz").optimizer.iteration - tsne.embedding_.optimizer.iteration)
""",
    )
    assert lines == ["OSError"] * 4 + ["map.npz", "5"]


class Deliberate(Exception):
    pass


@pytest.mark.parametrize("method", ["fft", "bh", "exact"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
def test_a_callback_that_breaks_the_map(digits, method, value):
    """What it writes is refused by an error that says who did it."""

    def spoil(iteration, error, embedding):
        embedding[7] = value

    tsne = TSNE(callbacks=spoil, callbacks_every_iters=4, negative_gradient_method=method, **QUICK)
    with pytest.raises(ValueError, match="a callback may write finite numbers"):
        tsne.fit(digits)
    assert np.abs(tsne.embedding_).max() < 100
    assert tsne.embedding_.optimizer.iteration == 3
    assert np.isfinite(tsne.embedding_.optimize(5, callbacks=None)).all()


def test_a_callback_that_raises_leaves_a_map_that_goes_on(digits):
    def fail(iteration, error, embedding):
        if iteration == 6:
            raise Deliberate

    tsne = TSNE(callbacks=fail, callbacks_every_iters=3, **QUICK)
    with pytest.raises(Deliberate):
        tsne.fit(digits)
    embedding = tsne.embedding_
    assert embedding.optimizer.iteration == 5
    plain = TSNE(**QUICK).prepare_initial(digits)
    plain.optimize(5, inplace=True, exaggeration=12, momentum=0.8)
    np.testing.assert_array_equal(embedding, plain)
    embedding.gradient_descent_params = {}
    np.testing.assert_array_equal(embedding.optimize(5), plain.optimize(5))


def test_a_callback_that_deletes_what_it_gets(digits):
    def delete(iteration, error, embedding):
        embedding.affinities = None
        embedding.optimizer = None
        del embedding

    tsne = TSNE(callbacks=delete, callbacks_every_iters=3, **{**QUICK, "n_iter": 0})
    np.testing.assert_array_equal(tsne.fit(digits), TSNE(**{**QUICK, "n_iter": 0}).fit(digits))


def test_a_callback_that_resizes_the_map(digits):
    """NumPy lets nobody shrink an array that others hold."""

    def shrink(iteration, error, embedding):
        embedding.resize((3, 2))

    with pytest.raises(ValueError, match="resize"):
        TSNE(callbacks=shrink, callbacks_every_iters=3, **QUICK).fit(digits)


def test_a_callback_that_fits(digits):
    """A fit inside a fit changes neither."""
    inner = []
    expected = TSNE(**QUICK).fit(digits)

    def nested(*_):
        inner.append(TSNE(**QUICK).fit(digits))

    outer = TSNE(callbacks=nested, callbacks_every_iters=10, **QUICK).fit(digits)
    np.testing.assert_array_equal(outer, expected)
    assert len(inner) == 2
    for embedding in inner:
        np.testing.assert_array_equal(embedding, expected)


@linux
def test_a_checkpoint_where_there_is_no_folder(digits):
    with pytest.raises(OSError, match="/dev/full"):
        TSNE(callbacks=Checkpoint("/dev/full/map.npz"), callbacks_every_iters=2, **QUICK).fit(
            digits
        )


# ---- full disks and no memory, for each kind of output and each entry point


@pytest.mark.slow
@linux
def test_full_disks(tmp_path):
    """An error that names the file; the old one stays, and nothing else does."""
    (tmp_path / "outputs").mkdir()
    result = run_helper("full_disk", tmp_path / "outputs", TMPDIR=str(tmp_path), timeout=300)
    assert result.returncode == 0, result.stderr
    (count,) = result.stdout.splitlines()
    assert int(count.split()[0]) >= 16


@pytest.mark.slow
@linux
def test_full_disks_of_their_own(tmp_path, tmp_path_factory):
    """The same on a small disk, whose error is another one."""
    script = 'mount -t tmpfs -o size=1m tmpfs "$0" && "$@"'
    small = ["unshare", "-rm", "sh", "-c", script, str(tmp_path)]
    try:
        subprocess.run([*small, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no disk can be mounted here")
    temporary = str(tmp_path_factory.mktemp("temporary"))
    result = subprocess.run(
        [*small, sys.executable, "-m", "helpers.full_disk", tmp_path, "fill"],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, **WITH_HELPERS, "TMPDIR": temporary},
    )
    assert result.returncode == 0, result.stderr
    assert len(result.stdout.splitlines()) == 1, result.stdout


@pytest.mark.slow
@linux
def test_no_memory_for_entry_points():
    """MemoryError, or the map that it should be; and so afterwards."""
    rows = "6000" if NIGHTLY else "1500"
    result = run_helper("no_memory", FASTTSNE_ROWS=rows, timeout=3600)
    assert result.returncode == 0, result.stderr[-3000:]
    (counts,) = result.stdout.splitlines()
    assert int(counts.split()[1]) > 0, counts


READ = """
import sys
from helpers.no_memory import outcome
from fasttsne import TSNEEmbedding
def load(path):
    return TSNEEmbedding.load(path).shape
for spare in (0.25, 1, 2, 4, 8, 16, 200):
    print(outcome(load, sys.argv[1], spare))
"""


@linux
def test_no_memory_to_load_a_map(tmp_path):
    """A whole file is not reported as damaged, and is read where there is memory for it."""
    X = np.random.default_rng(0).normal(size=(4000, 500))
    TSNE(**QUICK, initialization="random").fit(X).save(tmp_path / "map.npz", keep="rows")
    result = run_python("-c", READ, tmp_path / "map.npz", **WITH_HELPERS)
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[-1] == "(4000, 2)"
    assert set(lines) == {"(4000, 2)", "MemoryError"}
