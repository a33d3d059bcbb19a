"""Sparse matrices in files and in chunks: one map, whatever is read, and never dense."""

from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import scipy.sparse as sp
from helpers.quick import PEAK_MEMORY, QUICK, run_python
from helpers.storages import Slices

from fasttsne import TSNE, affinity, estimate_memory, files, initialization
from fasttsne.cli import main
from fasttsne.memory import plan_memory
from fasttsne.nearest_neighbors import Approx, Exact
from fasttsne.runtime import rows as stored_rows
from fasttsne.runtime.rows import as_stored_sparse
from fasttsne.runtime.validation import check_data

SHAPE = 2500, 300


@pytest.fixture(scope="module")
def rows():
    """Counts of which a tenth is not zero, some rows empty."""
    rng = np.random.default_rng(0)
    likely = rng.random((8, SHAPE[1])) < 0.2
    X = rng.poisson(1, SHAPE) * likely[np.arange(SHAPE[0]) % 8]
    X[[7, 8, 2499]] = 0
    return sp.csr_matrix(X.astype(np.float32))


def anndata_file(dtype="f4", kind=sp.csr_matrix):
    def make(X, folder):
        anndata = pytest.importorskip("anndata")
        anndata.AnnData(kind(X, dtype=dtype)).write_h5ad(folder / "rows.h5ad")
        return anndata.read_h5ad(folder / "rows.h5ad", backed="r").X

    return make


def group(
    package, dtype="i4", index_dtype="i8", kind=sp.csr_matrix, chunks=None, make_dataset=False
):
    """A group as AnnData writes it, in chunks of any size, without AnnData."""

    def make(X, folder):
        module = pytest.importorskip(package)
        X = kind(X, dtype=dtype)
        if package == "h5py":
            made = module.File(folder / "rows.h5", "w").create_group("X")
            create = made.create_dataset
        else:
            made = module.open_group(folder / "rows.zarr", mode="w").create_group("X")
            create = made.create_array
        settings = {} if chunks is None else {"chunks": (chunks,)}
        create("data", data=X.data, **settings)
        create("indices", data=X.indices.astype(index_dtype), **settings)
        create("indptr", data=X.indptr)
        made.attrs["encoding-type"] = f"{X.format}_matrix"
        made.attrs["shape"] = list(X.shape)
        if make_dataset:
            return pytest.importorskip("anndata").io.sparse_dataset(made)
        return made

    return make


def dask(meta, dtype="f8", chunks=700):
    def make(X, folder):
        array = pytest.importorskip("dask.array").from_array(
            X.toarray().astype(dtype), chunks=(chunks, -1)
        )
        return array.map_blocks(sp.csr_matrix, meta=meta, dtype=dtype)

    return make


STORAGES = {
    "AnnData": anndata_file(),
    "AnnData, float64": anndata_file("f8"),
    "AnnData, CSC": anndata_file("f4", sp.csc_matrix),
    "HDF5": group("h5py"),
    "HDF5, chunks": group("h5py", "u1", "u2", chunks=777),
    "HDF5, CSC": group("h5py", "f8", kind=sp.csc_matrix),
    "HDF5, sparse_dataset": group("h5py", "f4", "i4", make_dataset=True),
    "zarr": group("zarr", "i2", chunks=501),
    "zarr, CSC": group("zarr", "f4", kind=sp.csc_matrix, chunks=3001),
    "zarr, sparse_dataset": group("zarr", "f8", "i4", make_dataset=True),
    "dask": dask(sp.csr_matrix((0, 0), dtype=np.float64)),
    "dask, CSC": dask(sp.csc_matrix((0, 0), dtype=np.float32), "f4", (1, 2000, 499)),
}


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(stored_rows, "BLOCK_BYTES", 2**12)
    monkeypatch.setattr(stored_rows, "SPARSE_BLOCK_BYTES", 2**13)


@pytest.mark.thin(6)
@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("storage", STORAGES)
def test_rows_of_every_storage_are_the_same_matrix(rows, storage, tmp_path):
    found = check_data(STORAGES[storage](rows, tmp_path), accept_sparse=True)
    assert found.dtype == np.float32
    assert found.indices.dtype == found.indptr.dtype == np.int32
    for part in ("data", "indices", "indptr"):
        assert np.array_equal(getattr(found, part), getattr(rows, part))


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize(
    "storage", ["AnnData, float64", "HDF5, CSC", "zarr, sparse_dataset", "dask"]
)
def test_one_number_makes_all_double(rows, storage, tmp_path):
    X = rows.astype(np.float64)
    X.data[-7] = 1 / 3
    found = check_data(STORAGES[storage](X, tmp_path), accept_sparse=True)
    assert found.dtype == np.float64
    assert (found != X).nnz == 0


@pytest.fixture(scope="module")
def everything(rows):
    return made_of(rows, rows)


def made_of(X, new):
    embedding = TSNE(**QUICK).fit(X)
    out = np.empty((SHAPE[0], 2))
    index = Exact(X, 5, metric="cosine")
    return {
        "map": embedding,
        "transform": np.asarray(embedding.transform(new, n_iter=5)),
        "out": embedding.transform(new, n_iter=5, out=out),
        "P": affinity.PerplexityBasedNN(X, 9, random_state=0).P.data,
        "pca": initialization.pca(X, 2, random_state=0),
        "neighbours": index.build()[0],
        "queried": Approx(X, 5, random_state=0).query(new, 3)[1],
    }


@pytest.mark.thin(1)
@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize(
    "storage",
    [
        *[
            s if s in ("AnnData", "zarr, CSC", "dask") else pytest.param(s, marks=pytest.mark.slow)
            for s in STORAGES
        ]
    ],
)
def test_one_map(rows, everything, storage, tmp_path):
    X = STORAGES[storage](rows, tmp_path)
    for name, values in made_of(X, X).items():
        assert np.array_equal(values, everything[name]), name


def test_scikit_learns_estimator_takes_them(rows, everything, tmp_path):
    estimator = pytest.importorskip("fasttsne.sklearn")
    made = STORAGES["AnnData"](rows, tmp_path)
    found = estimator.TSNE(**QUICK).fit(made)
    assert np.array_equal(found.embedding_, everything["map"])
    first = list(range(SHAPE[0]))
    first[8] = first[2499] = 7  # they are equal, and get the place of the first
    assert np.array_equal(found.transform(made), everything["map"][first].astype(np.float32))


def test_rows_that_are_not_sorted_and_stored_twice(rows, tmp_path):
    made = group("h5py", "f4")(rows, tmp_path)
    doubled = sp.csr_matrix(
        (np.repeat(rows.data / 2, 2), np.repeat(rows.indices, 2), 2 * rows.indptr), shape=SHAPE
    )
    for a, b in zip(doubled.indptr[:-1], doubled.indptr[1:], strict=True):
        doubled.data[a:b], doubled.indices[a:b] = (
            doubled.data[a:b][::-1],
            doubled.indices[a:b][::-1],
        )
    for name in ("data", "indices", "indptr"):
        del made[name]
        made[name] = getattr(doubled, name)
    found = check_data(made, accept_sparse=True)
    assert (found != rows).nnz == 0
    assert np.array_equal(made["indices"][:], doubled.indices)


@pytest.mark.slow
@pytest.mark.usefixtures("small_blocks")
def test_each_entry_is_read_once(rows):
    for dtype, n_by_transform in (("f4", 2), ("i4", 1)):
        stored = counted(rows, dtype)
        embedding = TSNE(**QUICK).fit(stored)
        for part in (stored.values, stored.indices):
            assert (part.n_reads == 1).all()
        new = counted(rows, dtype)
        embedding.transform(new, n_iter=0, out=np.empty((SHAPE[0], 2)))
        assert (new.values.n_reads == n_by_transform).all()
        assert (new.indices.n_reads == 1).all()


class Group(dict):
    """The least of a group, whose arrays are counted."""

    attrs: ClassVar[dict] = {}

    def __init__(self, X, dtype="f4"):
        self.attrs = {"encoding-type": "csr_matrix", "shape": X.shape}
        super().__init__(
            data=Slices(X.data.astype(dtype)), indices=Slices(X.indices), indptr=Slices(X.indptr)
        )


def counted(X, dtype):
    return as_stored_sparse(Group(X, dtype), "X")


@pytest.mark.parametrize(
    ("name", "values", "error", "message"),
    [
        ("indptr", np.zeros(9, int), ValueError, "X is not a valid sparse matrix"),
        ("indices", np.zeros(9, int), ValueError, "X is not a valid sparse matrix"),
        ("indptr", np.r_[0, np.full(SHAPE[0], -1)], ValueError, "X is not a valid sparse matrix"),
        ("data", np.zeros(9, "c8"), TypeError, "X must hold real numbers; got dtype complex64"),
    ],
)
def test_what_is_no_matrix(rows, name, values, error, message):
    made = Group(rows)
    made[name] = Slices(values)
    with pytest.raises(error, match=message):
        TSNE(**QUICK).fit(made)


def test_columns_that_are_not_there(rows):
    made = Group(rows)
    made["indices"].X = rows.indices.copy()
    made["indices"].X[55] = SHAPE[1]
    with pytest.raises(ValueError, match="X must have indices from 0 to 299; got 300"):
        TSNE(**QUICK).fit(made)


def test_where_matrices_must_be_dense(rows, tmp_path):
    made = group("h5py")(rows, tmp_path)
    with pytest.raises(TypeError, match="X is a sparse matrix; pass a dense array"):
        check_data(made)


@pytest.mark.parametrize("kind", [sp.csr_matrix, sp.csc_matrix])
def test_the_place_of_a_number_that_is_not_finite(rows, kind, tmp_path):
    embedding = TSNE(**QUICK).fit(rows)
    X = rows.copy()
    entry = X.indptr[2000] + 3
    X.data[entry] = np.nan
    made = group("h5py", "f4", kind=kind)(X, tmp_path)
    message = rf"X must be finite; X\[2000, {X.indices[entry]}\] is nan"
    for work in (
        lambda: TSNE(**QUICK).fit(made),
        lambda: embedding.transform(made),
        lambda: embedding.transform(made, out=np.empty((SHAPE[0], 2))),
    ):
        with pytest.raises(ValueError, match=message):
            work()


def test_a_closed_file(rows, tmp_path):
    for make in (group("h5py"), group("h5py", make_dataset=True)):
        made = make(rows, tmp_path)
        getattr(made, "group", made).file.close()
        with pytest.raises(ValueError, match="X cannot be read, its file may be closed"):
            TSNE(**QUICK).fit(made)


class Failing(Slices):
    def __getitem__(self, rows):
        raise RuntimeError("the network is down")


def test_entries_that_cannot_be_read(rows, monkeypatch):
    monkeypatch.setattr(stored_rows, "PAUSES", (0.0, 0.0))
    made = Group(rows)
    made["data"] = Failing(rows.data)
    with pytest.raises(OSError, match=r"entries 0 to \d+ of X cannot be read, in three tries"):
        TSNE(**QUICK).fit(made)


@pytest.mark.thin(1)
@pytest.mark.parametrize("ending", [".h5ad", ".h5", ".zarr"])
def test_the_command_line_leaves_them_in_the_file(rows, everything, ending, tmp_path):
    path = tmp_path / f"rows{ending}"
    if ending == ".h5ad":
        anndata_file()(rows, tmp_path)
    else:
        group("h5py" if ending == ".h5" else "zarr", "f4")(rows, tmp_path)
    table = files.read_table(path)
    assert isinstance(table.data, stored_rows.StoredSparse)
    assert (table.data.to_memory() != rows).nnz == 0
    assert sp.issparse(files.read_rows(path))
    options = ["--early-exaggeration-iter", "10", "--n-iter", "10", "--seed", "0"]
    found, placed = tmp_path / "map.npz", tmp_path / "placed.npy"
    assert main(["fit", str(path), "-q", "-o", str(found), *options]) == 0
    with np.load(found) as arrays:
        assert np.array_equal(arrays["embedding"], everything["map"])
    common = ["--data", str(path), "--map", str(found), "-o", str(placed), "--seed", "0"]
    assert main(["transform", str(path), *common, "--n-iter", "5"]) == 0
    assert np.array_equal(np.load(placed), everything["out"])


def test_the_command_line_turns_them(rows, tmp_path, capsys):
    anndata_file()(sp.csr_matrix(rows[:300, :40].T), tmp_path)
    output = tmp_path / "map.npy"
    options = ["--transpose", "-q", "--n-iter", "5", "--early-exaggeration-iter", "5"]
    assert main(["fit", str(tmp_path / "rows.h5ad"), "-o", str(output), *options]) == 0
    assert np.load(output).shape == (300, 2)


def test_the_estimate_counts_entries():
    few, more = (estimate_memory(100_000, 30_000, nnz=n)["peak"] for n in (10**6, 10**8))
    assert more - few > 8 * 99 * 10**6
    with pytest.raises(ValueError, match="nnz must be at least 0; got -1"):
        estimate_memory(10, 2, nnz=-1)


class Large(Group):
    """A matrix that nobody has room for."""

    def __init__(self, nnz):
        super().__init__(sp.csr_matrix(SHAPE))
        self.attrs["shape"] = 10**6, 3 * 10**4
        for name in ("data", "indices"):
            self[name].shape = (nnz,)


def test_a_matrix_that_does_not_fit_is_refused_before_it_is_read():
    with pytest.raises(MemoryError, match="would fit") as error:
        TSNE().fit(Large(10**12))
    assert str(error.value).startswith(
        "a fit of 1,000,000 rows and 30,000 columns, 1,000,000,000,000 entries of a sparse matrix, "
        "takes about "
    )


def test_sparse_chunks_are_not_counted_as_dense_rows(rows, tmp_path):
    """Whole numbers would become floats in a file, which no disk has room for."""
    dask_array = pytest.importorskip("dask.array")
    X = dask_array.zeros((10**5, 10**9), chunks=(10**3, 10**9), dtype="i4").map_blocks(
        sp.csr_matrix, meta=sp.csr_matrix((0, 0), dtype="i4")
    )
    plan_memory(X, "auto", tmp_path, 30, 2)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="as Linux")
def test_a_matrix_is_in_memory_once(tmp_path):
    """10,000,000 entries of 8 bytes, of 16 in the file, and a few blocks."""
    h5py = pytest.importorskip("h5py")
    n, per_row = 100_000, 100
    rng = np.random.default_rng(0)
    columns = np.sort(rng.integers(0, 300, (n, per_row))) + 300 * np.arange(per_row)
    with h5py.File(tmp_path / "rows.h5", "w") as file:
        made = file.create_group("X")
        made.attrs["encoding-type"], made.attrs["shape"] = "csr_matrix", (n, 30_000)
        made["data"] = rng.poisson(2, n * per_row) + 1.0
        made["indices"] = columns.ravel()
        made["indptr"] = np.arange(0, n * per_row + 1, per_row)
    code = (
        f"{PEAK_MEMORY}\n"
        "import sys, h5py\n"
        "from fasttsne.runtime.validation import check_data\n"
        "data = h5py.File(sys.argv[1], 'r')['X']\n"
        "before = peak()\n"
        "check_data(data, accept_sparse=True)\n"
        "print((peak() - before) / 80e6)\n"
    )
    result = run_python("-c", code, tmp_path / "rows.h5")
    assert 1 < float(result.stdout) < 1.5, result.stderr
