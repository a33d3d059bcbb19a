"""One map, to the bit, of rows in memory, in files and in chunks, for any limit of memory."""

import hashlib
import os
import re
import time
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from helpers.quick import PEAK_MEMORY, QUICK, run_python
from helpers.storages import Slices

from fasttsne import TSNE, affinity, initialization, metrics
from fasttsne.embedding import new_rows
from fasttsne.nearest_neighbors import Approx, Exact
from fasttsne.runtime import rows as stored_rows
from fasttsne.runtime.memory import available_memory, check_memory_limit
from fasttsne.runtime.rows import is_memmapped
from fasttsne.runtime.validation import check_data

SHAPE = 3200, 100  # enough rows and columns for an approximate search of reduced rows


@pytest.fixture(scope="module")
def rows():
    """Clusters of whole numbers, which every type holds, (3200, 100) float32."""
    rng = np.random.default_rng(0)
    X = rng.poisson(3, SHAPE) + 20 * rng.integers(0, 2, (8, SHAPE[1]))[np.arange(SHAPE[0]) % 8]
    return X.astype(np.float32)


def h5(dtype="int32", **settings):
    def make(X, folder):
        h5py = pytest.importorskip("h5py")
        file = h5py.File(folder / "rows.h5", "w")
        return file.create_dataset("x", data=X, dtype=dtype, **settings)

    return make


def zarr(dtype="int16", **settings):
    def make(X, folder):
        array = pytest.importorskip("zarr").create_array(
            folder / "rows.zarr", shape=X.shape, dtype=dtype, **settings
        )
        array[:] = X.astype(dtype)
        return array

    return make


def dask(chunks, dtype="float64"):
    return lambda X, folder: pytest.importorskip("dask.array").from_array(
        X.astype(dtype), chunks=chunks
    )


def memory_map(dtype, order="C"):
    def make(X, folder):
        file = np.lib.format.open_memmap(
            folder / "rows.npy", "w+", np.dtype(dtype), X.shape, order == "F"
        )
        file[:] = X
        return np.load(folder / "rows.npy", mmap_mode="r")

    return make


def backed(X, folder):
    anndata = pytest.importorskip("anndata")
    anndata.AnnData(X).write(folder / "rows.h5ad")
    return anndata.read_h5ad(folder / "rows.h5ad", backed="r").X


STORAGES = {
    "HDF5": h5(),
    "HDF5, chunks": h5(chunks=(100, 100)),
    "HDF5, chunks of columns": h5("float64", chunks=(777, 9), compression="gzip"),
    "HDF5, big-endian": h5(">f4", chunks=(1, 100)),
    "zarr, chunks": zarr(chunks=(64, 100)),
    "zarr, chunks of columns": zarr("float32", chunks=(1000, 30)),
    "zarr, shards": zarr("uint8", chunks=(50, 50), shards=(800, 100)),
    "dask": dask(1000),
    "dask, chunks of columns": dask((300, 45), "float32"),
    "dask, irregular": dask(((1, 2000, 199, 1000), 100), "int64"),
    "memory map": memory_map("f4"),
    "memory map, float64": memory_map("f8"),
    "memory map, int32": memory_map("i4"),
    "memory map, Fortran": memory_map("u1", "F"),
    "memory map, big-endian": memory_map(">i2"),
    "AnnData in a file": backed,
    "slices": lambda X, folder: Slices(X.astype(np.int64)),
    "array": lambda X, folder: X.astype(np.int16),
}
LIMITS = ("auto", 0, "1 MB")


def hash_of(*arrays):
    return hashlib.sha256(b"".join(np.ascontiguousarray(a).tobytes() for a in arrays)).hexdigest()


@pytest.fixture
def small_blocks(monkeypatch):
    """Several blocks of a few thousand rows."""
    monkeypatch.setattr(stored_rows, "BLOCK_BYTES", 2**16)
    monkeypatch.setattr(stored_rows, "CHUNK_SIZE", 5000)


@pytest.mark.thin(18)
@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize("storage", STORAGES)
def test_rows_of_every_storage_are_the_same_array(rows, storage, limit, tmp_path):
    found = check_data(STORAGES[storage](rows, tmp_path), memory_limit=limit)
    assert found.dtype == np.float32
    assert np.array_equal(found, rows)
    assert is_memmapped(found) == (storage == "memory map" or limit != "auto")


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize("storage", ["HDF5, chunks of columns", "dask", "memory map, float64"])
def test_one_number_makes_all_double(rows, storage, limit, tmp_path):
    X = rows.astype(np.float64)
    X[-7, 2] = 1 / 3
    found = check_data(STORAGES[storage](X, tmp_path), memory_limit=limit)
    assert found.dtype == np.float64
    assert np.array_equal(found, X)


@pytest.fixture(scope="module")
def expected(rows):
    return TSNE(**QUICK).fit(rows)


MAPS = [
    pytest.param(storage, limit, marks=() if i % 9 == 4 else pytest.mark.slow)
    for i, (storage, limit) in enumerate((s, limit) for s in STORAGES for limit in LIMITS)
]


@pytest.mark.thin(3)
@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize(("storage", "limit"), MAPS)
def test_one_map(rows, expected, storage, limit, tmp_path):
    embedding = TSNE(memory_limit=limit, **QUICK).fit(STORAGES[storage](rows, tmp_path))
    assert hash_of(embedding) == hash_of(expected)


def everything(X, new):
    """What is made of rows, and of new rows: hashes."""
    embedding = TSNE(**QUICK).fit(X)
    P = affinity.PerplexityBasedNN(X, 9, random_state=0).P
    found = {
        "transform": [embedding.transform(new, n_iter=20)],
        "P": [P.data, P.indices],
        "pca": [initialization.pca(X, 3, random_state=0)],
        "recall": [metrics.neighbor_recall(X, embedding, 5, sample_size=200)],
        "trustworthiness": [metrics.trustworthiness(X, embedding, sample_size=200)],
    }
    for kind in (Exact, Approx):
        for metric in ("euclidean", "cosine"):
            index = kind(X, 7, metric=metric, random_state=0)
            found[f"{kind.__name__} {metric}"] = *index.build(), *index.query(new, 7)
    return {name: hash_of(*arrays) for name, arrays in found.items()}


@pytest.fixture(scope="module")
def all_expected(rows):
    return everything(rows, rows)


@pytest.mark.slow
@pytest.mark.parametrize("storage", STORAGES)
def test_everything_takes_them(rows, all_expected, storage, tmp_path):
    X = STORAGES[storage](rows, tmp_path)
    assert everything(X, X) == all_expected


@pytest.mark.slow
def test_everything_takes_rows_in_a_temporary_file(rows, all_expected, tmp_path):
    X = check_data(rows.astype(np.int32), memory_limit=0, temp_folder=tmp_path)
    assert is_memmapped(X)
    assert everything(X, X) == all_expected


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("limit", LIMITS)
def test_each_row_is_read_once(rows, limit):
    storage = Slices(rows.astype(np.int32))
    TSNE(memory_limit=limit, **QUICK).fit(storage)
    assert (storage.n_reads == 1).all()


def test_how_often_each_row_is_read(rows):
    """The table of docs/large.rst; transform is counted beside its other tests."""
    few = rows[:500, :30].astype(np.float64)
    embedding = TSNE(**QUICK).fit(few)
    index = Approx(few, 5, random_state=0)
    index.build()
    for work in (
        lambda X: TSNE(**QUICK).fit(X),
        lambda X: affinity.PerplexityBasedNN(X, 9),
        lambda X: affinity.Uniform(X, 9),
        initialization.pca,
        lambda X: Exact(X, 5).build(),
        lambda X: Approx(X, 5).build(),
        lambda X: index.query(X, 3),
        lambda X: metrics.neighbor_recall(X, embedding, 5),
        lambda X: metrics.trustworthiness(X, embedding, 5),
        lambda X: metrics.distance_correlation(X, embedding),
    ):
        storage = Slices(few)
        work(storage)
        assert (storage.n_reads == 1).all()
    for dtype, n_reads in ((np.float64, 2), (np.int64, 1)):
        storage = Slices(few.astype(dtype))
        embedding.prepare_partial(storage)
        assert (storage.n_reads == n_reads).all()


@pytest.mark.parametrize(
    ("chunks", "edges"),
    [
        (None, [0, 40, 80, 100]),
        ((7, 5), [0, 35, 70, 100]),
        ((60, 1), [0, 60, 100]),
        (((10, 20, 50, 20), (5,)), [0, 30, 80, 100]),
    ],
)
def test_blocks_have_whole_chunks(chunks, edges, monkeypatch):
    monkeypatch.setattr(stored_rows, "BLOCK_BYTES", 40 * 5 * 4)
    storage = Slices(np.zeros((100, 5), np.int32))
    storage.chunks = chunks
    blocks = [(first, len(block)) for first, block in stored_rows.iter_blocks(storage, "X")]
    assert [first for first, _ in blocks] == edges[:-1]
    assert [first + n for first, n in blocks] == edges[1:]


def test_sparse_rows_in_files_and_chunks(rows, expected, tmp_path):
    anndata = pytest.importorskip("anndata")
    dask_array = pytest.importorskip("dask.array")
    few = sp.csr_matrix(np.where(rows > 20, rows, 0))
    wanted = hash_of(TSNE(**QUICK).fit(few))
    for make in (sp.csr_matrix, sp.csc_matrix):
        path = tmp_path / f"{make.__name__}.h5ad"
        anndata.AnnData(make(few)).write(path)
        X = anndata.read_h5ad(path, backed="r").X
        assert hash_of(TSNE(**QUICK).fit(X)) == wanted
    chunks = dask_array.from_array(few.toarray(), chunks=(1000, -1))
    for meta in (sp.csr_matrix((0, 0), dtype=np.float32), None):
        X = chunks.map_blocks(sp.csr_matrix, meta=meta, dtype=np.float32)
        assert hash_of(TSNE(**QUICK).fit(X)) == wanted


class Failing(Slices):
    """Reading row 3 fails so many times."""

    def __init__(self, X, n_failures):
        super().__init__(X)
        self.n_failures = n_failures

    def __getitem__(self, rows):
        if rows.start <= 3 < rows.stop and self.n_failures:
            self.n_failures -= 1
            raise RuntimeError("the network is down")
        return super().__getitem__(rows)


def test_reading_is_tried_three_times(rows, monkeypatch):
    monkeypatch.setattr(stored_rows, "PAUSES", (0.01, 0.02))
    assert np.array_equal(check_data(Failing(rows, 2)), rows)
    with pytest.raises(
        OSError,
        match=r"rows 0 to 3199 of X cannot be read, in three tries: "
        "RuntimeError: the network is down",
    ):
        check_data(Failing(rows, 3))


class Changing(Slices):
    """A data set that somebody writes to: what it is after the first rows were read."""

    def __init__(self, X, then):
        super().__init__(X)
        self.then = then

    def __getitem__(self, rows):
        found = super().__getitem__(rows)
        vars(self).update(self.then)
        return found


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize(
    "then",
    [{"shape": (3300, 100)}, {"dtype": np.dtype("f8")}, {"X": np.zeros((200, 100), np.float32)}],
)
def test_what_changes_while_it_is_read_is_an_error(rows, then):
    with pytest.raises(ValueError, match="X must stay as it is while it is read; it had shape"):
        check_data(Changing(rows, then))


def test_a_file_that_is_cut_off_while_it_is_read(rows, tmp_path, monkeypatch):
    h5py = pytest.importorskip("h5py")
    monkeypatch.setattr(stored_rows, "BLOCK_BYTES", 2**16)
    data = h5py.File(tmp_path / "rows.h5", "w").create_dataset(
        "x", data=rows, maxshape=SHAPE, chunks=(50, 100)
    )
    blocks = stored_rows.iter_blocks(data, "X")
    next(blocks)
    data.resize((100, 100))
    with pytest.raises(ValueError, match=r"now its shape and dtype are \(100, 100\), float32"):
        list(blocks)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("storage", ["HDF5, chunks of columns", "dask", "memory map", "slices"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_the_place_of_a_number_that_is_not_finite(rows, storage, value, tmp_path):
    X = rows.copy()
    X[3199, 57] = value
    made = Slices(X) if storage == "slices" else STORAGES[storage](X, tmp_path)
    with pytest.raises(ValueError, match=rf"X must be finite; X\[3199, 57\] is {value}"):
        TSNE(**QUICK).fit(made)


@pytest.mark.usefixtures("small_blocks")
def test_numbers_beyond_double_precision(rows):
    X = rows.astype(np.longdouble) / 3
    if np.finfo(X.dtype).maxexp == np.finfo(np.float64).maxexp:
        return  # long doubles are doubles on this system
    X[3000, 7] = np.finfo(X.dtype).max
    for made in (X, Slices(X)):
        with pytest.raises(ValueError, match=r"X must be finite; X\[3000, 7\] is inf"):
            check_data(made)


def test_a_closed_file(rows, tmp_path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "rows.h5", "w") as file:
        data = file.create_dataset("x", data=rows)
    with pytest.raises(ValueError, match="X cannot be read, its file may be closed"):
        TSNE(**QUICK).fit(data)


@pytest.mark.usefixtures("small_blocks")
def test_a_file_that_is_closed_while_it_is_read(rows, tmp_path, monkeypatch):
    monkeypatch.setattr(stored_rows, "PAUSES", (0.0, 0.0))
    data = h5(chunks=(50, 100))(rows, tmp_path)
    blocks = stored_rows.iter_blocks(data, "X")
    next(blocks)
    data.file.close()
    with pytest.raises(OSError, match=r"rows \d+ to \d+ of X cannot be read, in three tries"):
        list(blocks)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("kind", ["HDF5", "zarr"])
def test_a_damaged_chunk(rows, kind, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(stored_rows, "PAUSES", (0.0, 0.0))
    if kind == "zarr":
        data = zarr("int32", chunks=(100, 100))(rows, tmp_path)
        path = tmp_path / "rows.zarr" / "c" / "21" / "0"
        path.write_bytes(b"not what was written" + path.read_bytes()[20:])
    else:
        settings = {"chunks": (100, 100), "compression": "gzip"}
        data = h5(**settings)(rows, tmp_path)
        chunk = data.id.get_chunk_info(21)
        data.file.close()
        with open(tmp_path / "rows.h5", "rb+") as file:
            file.seek(chunk.byte_offset)
            file.write(bytes(chunk.size))
        data = pytest.importorskip("h5py").File(tmp_path / "rows.h5")["x"]
    with pytest.raises(OSError, match="of X cannot be read, in three tries") as error:
        TSNE(**QUICK).fit(data)
    first, last = map(int, re.findall(r"rows (\d+) to (\d+)", str(error.value))[0])
    assert first <= 2100 < 2199 <= last < 3199
    assert caplog.text.count("could not be read, trying again") == 2


def test_nan_in_row_9_999_999(rows, tmp_path):
    path, n = tmp_path / "rows.f32", 10_000_000
    with open(path, "wb") as file:
        file.truncate(8 * n)
    X = np.memmap(path, np.float32, "r+", shape=(n, 2))
    X[n - 1, 1] = np.nan
    X.flush()
    X = np.memmap(path, np.float32, "r", shape=(n, 2))
    embedding = TSNE(**QUICK).fit(rows[:100, :2])
    message = r"must be finite; \w+\[9999999, 1\] is nan"
    for work in (
        lambda: embedding.transform(X),
        lambda: embedding.transform(X, out=np.empty((n, 2))),
        lambda: Approx(X, 5),
        lambda: initialization.pca(X),
        lambda: TSNE(perplexity=2).fit(X),
    ):
        start = time.process_time()
        with pytest.raises(ValueError, match=message):
            work()
        assert time.process_time() - start < 10


def test_a_temporary_folder_that_cannot_be_written(rows):
    if not os.path.isdir("/proc/self"):
        pytest.skip("as Linux")
    for X in (rows.astype(np.int32), Slices(rows)):
        with pytest.raises(OSError, match=r"bytes in the temporary folder /proc: .*another temp_f"):
            check_data(X, memory_limit=0, temp_folder="/proc")


def test_unknown_shapes_and_masked_entries(rows):
    dask_array = pytest.importorskip("dask.array")
    X = dask_array.from_array(rows, chunks=500)
    with pytest.raises(ValueError, match="X must have a known shape; got"):
        TSNE(**QUICK).fit(X[X[:, 0] > 3])
    with pytest.raises(ValueError, match="X has masked entries in its rows 0 to 3199"):
        check_data(Slices(np.ma.masked_equal(rows, 3)))
    with pytest.raises(TypeError, match="X must hold real numbers; got dtype complex64"):
        TSNE(**QUICK).fit(X.astype("c8"))
    with pytest.raises(ValueError, match="X must be two-dimensional"):
        TSNE(**QUICK).fit(X[0])


def test_the_temporary_file_is_gone(rows, tmp_path):
    TSNE(memory_limit=0, temp_folder=tmp_path, **QUICK).fit(rows.astype(np.int32))
    assert not list(tmp_path.iterdir())
    rows = rows.astype(np.float64)
    rows[-1] = np.nan
    with pytest.raises(ValueError, match="X must be finite"):
        TSNE(memory_limit=0, temp_folder=tmp_path, **QUICK).fit(rows)
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not hasattr(os, "kill") or os.name == "nt", reason="POSIX")
def test_the_temporary_file_is_gone_after_a_kill(tmp_path):
    code = (
        "import os, signal, sys, numpy as np\n"
        "from fasttsne.runtime.validation import check_data\n"
        "check_data(np.ones((5000, 99), 'i4'), memory_limit=0, temp_folder=sys.argv[1])\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert run_python("-c", code, tmp_path).returncode == -9
    assert not list(tmp_path.iterdir())


def test_no_temporary_folder(rows, tmp_path):
    with pytest.raises(ValueError, match=r"temp_folder must be a folder that exists; got .*none"):
        TSNE(temp_folder=tmp_path / "none", **QUICK).fit(rows)
    with pytest.raises(TypeError, match="temp_folder must be a path or None; got 5"):
        TSNE(temp_folder=5).plan(100)


@pytest.mark.thin(1)
@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("storage", ["HDF5, chunks", "memory map, Fortran", "memory map"])
def test_scikit_learns_estimator_takes_them(rows, expected, storage, tmp_path):
    estimator = pytest.importorskip("fasttsne.sklearn")
    made = STORAGES[storage](rows, tmp_path)
    found = estimator.TSNE(memory_limit=0, **QUICK).fit(made)
    assert np.array_equal(found.embedding_, expected)
    assert np.array_equal(found.transform(made), expected.astype(np.float32))
    assert found.n_features_in_ == SHAPE[1]


def test_scikit_learns_estimator_places_blocks(rows, expected, monkeypatch):
    """Some rows of a block are of the data set, others are new; one that is not finite is named."""
    estimator = pytest.importorskip("fasttsne.sklearn")
    found = estimator.TSNE(**QUICK).fit(Slices(rows))
    assert np.array_equal(found.embedding_, expected)
    new = np.concatenate([rows[:50], rows[:100] + 0.5, rows[100:150]]).astype(np.float64)
    wanted = found.transform(new)
    monkeypatch.setattr(new_rows, "BLOCK_ROWS", 30)
    for dtype, n_reads in ((np.float64, 2), (np.float32, 2)):
        storage = Slices(new.astype(dtype))
        assert np.array_equal(found.transform(storage), wanted)
        assert (storage.n_reads == n_reads).all()
    new[199, 5] = np.nan
    with pytest.raises(ValueError, match=r"X must be finite; X\[199, 5\] is nan"):
        found.transform(Slices(new))
    with pytest.raises(ValueError, match="X has 99 features, but TSNE is expecting 100 features"):
        found.transform(Slices(new[:, 1:]))


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="as Linux")
def test_scikit_learns_estimator_has_blocks_in_memory():
    """Of 400 MB of rows, all of them known."""
    pytest.importorskip("fasttsne.sklearn")
    code = (
        f"{PEAK_MEMORY}\n"
        "import numpy as np\n"
        "from fasttsne.sklearn import TSNE\n"
        "X = np.random.default_rng(0).normal(size=(1000, 100)).astype(np.float32)\n"
        "class Repeated:\n"
        "    shape, dtype = (1_000_000, 100), X.dtype\n"
        "    def __getitem__(self, rows):\n"
        "        return X[np.arange(rows.start, rows.stop) % 1000]\n"
        "tsne = TSNE(early_exaggeration_iter=5, n_iter=5).fit(X)\n"
        "before = peak()\n"
        "points = tsne.transform(Repeated())\n"
        "expected = tsne.embedding_.astype(np.float32)\n"
        "print((peak() - before) / 400e6, np.array_equal(points[-1000:], expected))\n"
    )
    share, is_same = run_python("-c", code).stdout.split()
    assert float(share) < 0.5
    assert is_same == "True"


def test_a_full_disk(tmp_path):
    resource = pytest.importorskip("resource", reason="no such limits as Linux has")
    del resource
    code = (
        "import resource, sys, numpy as np\n"
        "from fasttsne.runtime.validation import check_data\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, 2**20))\n"
        "check_data(np.ones((50_000, 99), 'i4'), memory_limit=0, temp_folder=sys.argv[1])\n"
    )
    result = run_python("-c", code, tmp_path)
    assert "needs 19,800,000 bytes in the temporary folder" in result.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("limit", "n_bytes"),
    [("8GB", 8 * 10**9), ("1.5 gib", 3 * 2**29), ("12 B", 12), (10**6, 10**6), (1e6, 10**6)],
)
def test_limits_of_memory(limit, n_bytes):
    assert check_memory_limit(limit) == n_bytes


@pytest.mark.parametrize("limit", ["8", "many", -1, True, None, "8 XB", float("nan")])
def test_no_limits_of_memory(limit):
    with pytest.raises(ValueError, match="memory_limit must be 'auto', a number of bytes, or"):
        TSNE(memory_limit=limit).plan(100)


def test_half_of_what_is_free():
    assert 0 < check_memory_limit("auto") <= available_memory()


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="as Linux")
def test_an_hdf5_file_is_in_memory_once(tmp_path):
    """An array of 120 MB: its rows, and a few blocks."""
    pytest.importorskip("h5py")
    code = (
        f"{PEAK_MEMORY}\n"
        "import sys, h5py, numpy as np\n"
        "from fasttsne.runtime.validation import check_data\n"
        "data = h5py.File(sys.argv[1], 'r')['x']\n"
        "before = peak()\n"
        "check_data(data)\n"
        "print((peak() - before) / 120e6)\n"
    )
    numbers = np.arange(30 * 10**6).reshape(-1, 20) % 9999
    h5("int32", chunks=(1000, 20))(numbers, tmp_path).file.close()
    result = run_python("-c", code, tmp_path / "rows.h5")
    assert 1 < float(result.stdout) < 1.5, result.stderr
