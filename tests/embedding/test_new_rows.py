"""New rows from files and in blocks, to arrays and files: the bits of one call, in less memory."""

import re
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from helpers.quick import PEAK_MEMORY, QUICK, run_python
from helpers.storages import Slices
from scipy.spatial.distance import cdist

from fasttsne import TSNE, affinity
from fasttsne.embedding import new_rows
from fasttsne.runtime import rows as stored_rows
from fasttsne.runtime.memory import available_memory
from fasttsne.runtime.progress import report_progress_to

N_NEW = 500
SHORT = {"n_iter": 10}


@pytest.fixture(scope="module")
def rows():
    """Clusters in float32, (1000, 30), and new rows of them, some of which need float64."""
    rng = np.random.default_rng(0)
    centers = 5 * rng.normal(size=(6, 30))
    X = rng.normal(size=(1000 + N_NEW, 30)) + centers[rng.integers(0, 6, 1000 + N_NEW)]
    X = X.astype(np.float32).astype(np.float64)
    new = X[1000:].copy()
    new[200:205] += 1e-9
    return X[:1000].astype(np.float32), new


@pytest.fixture(scope="module")
def embedding(rows):
    return TSNE(neighbors="exact", n_jobs=2, **QUICK).fit(rows[0])


@pytest.fixture(scope="module")
def expected(embedding, rows):
    return np.array(embedding.transform(rows[1], **SHORT))


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Blocks of some 90 rows."""
    monkeypatch.setattr(new_rows, "BLOCK_ROWS", 97)
    monkeypatch.setattr(new_rows, "BLOCK_BYTES", 90 * 30 * 8)
    monkeypatch.setattr(stored_rows, "BLOCK_BYTES", 2**13)
    monkeypatch.setattr(stored_rows, "PAUSES", (0.0, 0.0))


def h5(X, folder):
    file = pytest.importorskip("h5py").File(folder / "new.h5", "w")
    return file.create_dataset("x", data=X, chunks=(37, min(X.shape[1], 11)))


def zarr(X, folder):
    array = pytest.importorskip("zarr").create_array(
        folder / "new.zarr", shape=X.shape, chunks=(64, X.shape[1]), dtype=X.dtype
    )
    array[:] = X
    return array


def memory_map(X, folder):
    np.save(folder / "new.npy", X)
    return np.load(folder / "new.npy", mmap_mode="r")


STORAGES = {
    "array": lambda X, folder: X,
    "list": lambda X, folder: X.tolist(),
    "sparse": lambda X, folder: sp.csc_matrix(X),
    "slices": lambda X, folder: Slices(X),
    "HDF5": h5,
    "zarr": zarr,
    "memory map": memory_map,
    "dask": lambda X, folder: pytest.importorskip("dask.array").from_array(X, chunks=(150, 7)),
}


@pytest.mark.thin(3)
@pytest.mark.parametrize("storage", STORAGES)
def test_blocks_give_the_bits_of_one_call(embedding, rows, expected, storage, tmp_path):
    X = STORAGES[storage](rows[1], tmp_path)
    out = np.empty((N_NEW, 2))
    assert embedding.transform(X, out=out, **SHORT) is out
    assert np.array_equal(out, expected)
    path = tmp_path / "out.npy"
    found = embedding.transform(X, out=path, **SHORT)
    assert isinstance(found, np.memmap)
    assert np.array_equal(found, expected)
    assert np.array_equal(np.load(path), expected)
    places = embedding.transform(X, **SHORT)
    assert np.array_equal(places, expected)
    # P and momentum are those of one call, too.
    whole = embedding.transform(rows[1], **SHORT)
    assert np.array_equal(places.optimize(5), whole.optimize(5))


def test_outputs_are_arrays_of_any_kind(embedding, rows, expected, tmp_path):
    single = np.empty((N_NEW, 2), np.float32)
    assert np.array_equal(
        embedding.transform(rows[1], out=single, **SHORT), expected.astype(np.float32)
    )
    made = np.lib.format.open_memmap(tmp_path / "out.npy", "w+", np.float64, (N_NEW, 2))
    for out in (made, h5(np.zeros((N_NEW, 2)), tmp_path), zarr(np.zeros((N_NEW, 2)), tmp_path)):
        assert embedding.transform(rows[1], out=out, **SHORT) is out
        assert np.array_equal(out[:], expected)


@pytest.mark.parametrize("initialization", ["weighted", "random", "array"])
def test_initial_positions_of_blocks(embedding, rows, initialization):
    X = rows[1]
    given = np.arange(2.0 * N_NEW).reshape(-1, 2) % 17 if initialization == "array" else None
    settings = {"initialization": initialization if given is None else given, **SHORT}
    out = np.empty((N_NEW, 2))
    expected = embedding.transform(X, **settings)
    assert np.array_equal(embedding.transform(X, out=out, **settings), expected)
    assert np.array_equal(embedding.transform(Slices(X), **settings), expected)


def test_one_random_position_for_all_blocks(rows):
    embedding = TSNE(**{**QUICK, "random_state": None}).fit(rows[0])
    settings = {"initialization": "random", "n_iter": 0}
    for places in (
        embedding.transform(rows[1], out=np.empty((N_NEW, 2)), **settings),
        embedding.transform(Slices(rows[1]), **settings),
    ):
        assert (places == places[0]).all()


@pytest.mark.parametrize("family", [affinity.Uniform, affinity.MultiscaleMixture])
def test_other_families_of_affinities(rows, family):
    settings = {"perplexities": [5, 20]} if family is affinity.MultiscaleMixture else {}
    embedding = TSNE(**QUICK).fit(rows[0], affinities=family(rows[0], **settings))
    out = np.empty((N_NEW, 2))
    expected = embedding.transform(rows[1], **SHORT)
    assert np.array_equal(embedding.transform(rows[1], out=out, **SHORT), expected)


def test_distances_to_the_rows(rows):
    X, new = rows[0][:300], rows[1]
    embedding = TSNE(metric="precomputed", **QUICK).fit(cdist(X, X))
    distances, out = cdist(new, X), np.empty((N_NEW, 2))
    expected = embedding.transform(distances, **SHORT)
    assert np.array_equal(embedding.transform(distances, out=out, **SHORT), expected)


def test_how_often_rows_are_read(embedding, rows):
    out = np.empty((N_NEW, 2))
    for dtype, n in (("int32", 1), ("float64", 2)):
        for settings in ({}, {"out": out}):
            storage = Slices(rows[1].astype(dtype))
            embedding.transform(storage, **settings, **SHORT)
            assert (storage.n_reads == n).all()


def test_blocks_are_timed_together(embedding, rows, caplog, monkeypatch):
    monkeypatch.setattr(new_rows, "BLOCK_ROWS", 100)
    caplog.set_level("INFO", "fasttsne")
    embedding.transform(rows[1], out=np.empty((N_NEW, 2)), **SHORT)
    begun, ended = (record.getMessage() for record in caplog.records)
    assert begun == f"placing {N_NEW} rows ..."
    assert re.fullmatch(rf"placing {N_NEW} rows took \d+\.\d\d s", ended)


@pytest.mark.parametrize("make", [Slices, np.asarray])
def test_progress_of_one_stage(embedding, rows, make):
    heard = []

    def hear(progress):
        heard.append((progress.name, progress.done, progress.total))

    with report_progress_to(hear):
        embedding.transform(make(rows[1]), out=np.empty((N_NEW, 2)), **SHORT)
    assert {name for name, *_ in heard} <= {"reading rows", "placing rows"}
    assert heard[-1] == ("placing rows", N_NEW, N_NEW)


# --- what cannot be read or written -------------------------------------------------------


@pytest.mark.parametrize("storage", STORAGES)
def test_numbers_that_are_not_finite_are_found_before_rows_are_placed(
    embedding, rows, storage, tmp_path
):
    X = rows[1].copy()
    X[N_NEW - 1, 7] = np.nan
    X, out = STORAGES[storage](X, tmp_path), np.zeros((N_NEW, 2))
    for settings in ({"out": out}, {"out": tmp_path / "out.npy"}, {}):
        with pytest.raises(ValueError, match=r"X must be finite; X\[\d+, 7\] is nan") as error:
            embedding.transform(X, **settings, **SHORT)
        if storage != "sparse":
            assert f"X[{N_NEW - 1}, 7]" in str(error.value)
            assert not out[1:].any()
    assert not list(tmp_path.glob("*out*"))


class Spoiled(Slices):
    """Rows to which something happens when the last of them are read for the second time."""

    def __init__(self, X, spoil):
        super().__init__(X)
        self.spoil, self.n_first = spoil, 0

    def __getitem__(self, rows):
        self.n_first += rows.start == 0
        if self.n_first == 2 and rows.start > 300:
            self.spoil(self)
        return super().__getitem__(rows)


def unreadable(storage):
    raise OSError("the disk is broken")


def shorter(storage):
    storage.shape = (N_NEW - 1, 30)


def of_another_type(storage):
    storage.dtype = np.dtype(np.float32)


def not_finite(storage):
    storage.X = storage.X.copy()
    storage.X[-1, 3] = np.inf


@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [
        (unreadable, OSError, r"rows 3\d\d to \d+ of X cannot be read, in three tries: OSError"),
        (shorter, ValueError, "X must stay as it is while it is read; it had shape"),
        (of_another_type, ValueError, "X must stay as it is while it is read; it had shape"),
        (not_finite, ValueError, r"X must be finite; X\[499, 3\] is inf"),
    ],
)
def test_what_goes_wrong_underway(embedding, rows, expected, spoil, error, message, tmp_path):
    path, out = tmp_path / "out.npy", np.zeros((N_NEW, 2))
    path.write_bytes(b"what was there before")
    for target in (path, out):
        with pytest.raises(error, match=message):
            embedding.transform(Spoiled(rows[1], spoil), out=target, **SHORT)
    assert [each.name for each in tmp_path.iterdir()] == ["out.npy"]
    assert path.read_bytes() == b"what was there before"
    assert np.array_equal(out[:300], expected[:300])
    assert not out[-1].any()


def test_a_file_that_is_closed(embedding, rows, tmp_path):
    data = h5(rows[1], tmp_path)
    data.file.close()
    for settings in ({"out": tmp_path / "out.npy"}, {}):
        with pytest.raises(ValueError, match="X cannot be read, its file may be closed"):
            embedding.transform(data, **settings, **SHORT)


def test_outputs_that_cannot_be_written(embedding, rows, tmp_path):
    read_only = np.empty((N_NEW, 2))
    read_only.flags.writeable = False
    for out, error, message in (
        (
            np.empty((N_NEW, 3)),
            ValueError,
            "out must have the shape (500, 2), of float32 or float64; got (500, 3), float64",
        ),
        (np.empty((N_NEW, 2), int), ValueError, "got (500, 2), int64"),
        (read_only, ValueError, "out cannot be written: assignment destination is read-only"),
        (
            [[0, 0]] * N_NEW,
            TypeError,
            "out must be None, an array, or the path of an .npy file; got an object of type list",
        ),
        (tmp_path / "out.csv", ValueError, "out.csv must have one of the extensions .npy"),
        (tmp_path / "none" / "out.npy", FileNotFoundError, "no such folder"),
    ):
        storage = Slices(rows[1])
        with pytest.raises(error, match=re.escape(message)):
            embedding.transform(storage, out=out, **SHORT)
        assert not storage.n_reads.any()  # it is seen before rows are read
    with pytest.raises(ValueError, match=re.escape("initialization must have the shape (500, 2)")):
        embedding.transform(rows[1], initialization=np.zeros((3, 2)), out=np.empty((N_NEW, 2)))
    with pytest.raises(ValueError, match="X must have 30 columns"):
        embedding.transform(Slices(rows[1][:, :3]), out=np.empty((N_NEW, 2)))
    with pytest.raises(ValueError, match="X needs at least 1 rows"):
        embedding.transform(Slices(rows[1][:0]), out=np.empty((0, 2)))


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="as Linux")
def test_memory_does_not_grow_with_the_rows(tmp_path):
    """Twenty blocks take as much as three: rows are 160 MB, places 16."""
    code = (
        f"{PEAK_MEMORY}\n"
        "import sys, numpy as np\n"
        "from fasttsne import TSNE\n"
        "def rows_of(n):\n"
        "    path = f'{sys.argv[1]}/{n}.npy'\n"
        "    X = np.lib.format.open_memmap(path, 'w+', 'f4', (n, 40))\n"
        "    rng = np.random.default_rng(0)\n"
        "    for a in range(0, n, 10_000):\n"
        "        X[a : a + 10_000] = rng.normal(size=X[a : a + 10_000].shape)\n"
        "    return path\n"
        "few, many = rows_of(200_000), rows_of(1_000_000)\n"
        "embedding = TSNE(early_exaggeration_iter=10, n_iter=10).fit(np.load(few)[:2000])\n"
        "for path in (few, many):\n"
        "    out = sys.argv[1] + '/out.npy'\n"
        "    embedding.transform(np.load(path, mmap_mode='r'), n_iter=1, out=out)\n"
        "    print(peak())\n"
        "print(np.load(out, mmap_mode='r').shape)\n"
    )
    result = run_python("-c", code, tmp_path)
    assert result.returncode == 0, result.stderr
    few, many, shape = result.stdout.splitlines()
    assert int(many) - int(few) < 20e6
    assert shape == "(1000000, 2)"


@pytest.mark.slow
def test_rows_that_do_not_fit_together(digits):
    """They are refused before one is read; those of a block are placed."""
    embedding = TSNE(**QUICK).fit(digits[:300])
    many = np.broadcast_to(digits[0], (available_memory() // 500, digits.shape[1]))
    with pytest.raises(MemoryError, match=r"rows takes about .* are free; with out, an array"):
        embedding.transform(many)
    assert embedding.transform(digits[300:330]).shape == (30, 2)


@pytest.mark.usefixtures("small_blocks")
def test_perplexities_of_many_rows_are_checked_as_those_of_few(rng):
    rows = rng.random((200, 4), np.float32)
    embedding = TSNE(**QUICK).fit(rows)
    settings = {"perplexity": None, "n_iter": 0}
    assert embedding.transform(rows, **settings).shape == (200, 2)
    with pytest.raises(TypeError, match="perplexity must be a number; got 'abc'"):
        embedding.transform(rows, perplexity="abc")
