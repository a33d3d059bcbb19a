"""One map, whatever the rows are stored in: a fit of each storage, in memory and beyond its limit.

    python benchmarks/storages.py              100,000 rows of 20 columns
    python benchmarks/storages.py 3000
    python benchmarks/storages.py 100000 zarr  only storages whose name has the word

Values are whole numbers from 0 to 127, which every type holds; a fit searches for neighbours, makes
affinities and moves the map by ten iterations.  Printed are the hash of each map and the seconds,
and at the end how many fits there were and how many hashes.  It needs the extra "files" and dask.
"""

import hashlib
import itertools
import sys
import tempfile
import time
import warnings
from pathlib import Path

import anndata
import dask.array
import h5py
import numpy as np
import pyarrow
import pyarrow.parquet
import scipy.sparse as sp
import zarr
from common import clusters

from fasttsne import TSNE, files

N_COLUMNS = 20
# Of memory for large arrays, and threads.
WAYS = (("auto", 2), ("1 MB", 1))


class Slices:
    """The least that a storage of a user's own has."""

    def __init__(self, X):
        self.shape, self.dtype, self._X = X.shape, X.dtype, X

    def __getitem__(self, rows):
        return self._X[rows]


def in_memory(dtype, order="C", columns=slice(None), rows=slice(None)):
    def make(X, folder):
        whole = np.zeros(
            (len(X) * abs(rows.step or 1), N_COLUMNS * (columns.step or 1)), dtype, order
        )
        part = whole[rows, columns]
        part[:] = X
        return part

    return make


def in_npy(dtype, order="C", open_it=lambda path: np.load(path, mmap_mode="r")):
    def make(X, folder):
        np.save(folder / "rows.npy", X.astype(dtype, order=order))
        return open_it(folder / "rows.npy")

    return make


def in_hdf5(dtype, **settings):
    def make(X, folder):
        return h5py.File(folder / "rows.h5", "w").create_dataset(
            "x", data=X.astype(dtype), **settings
        )

    return make


def in_zarr(dtype, **settings):
    def make(X, folder):
        array = zarr.create_array(folder / "rows.zarr", shape=X.shape, dtype=dtype, **settings)
        array[:] = X.astype(dtype)
        return array

    return make


def in_dask(dtype, chunks):
    def make(X, folder):
        sizes = chunks(len(X)) if callable(chunks) else chunks
        return dask.array.from_array(X.astype(dtype), chunks=sizes)

    return make


def in_anndata(kind=np.asarray, dtype="f4"):
    def make(X, folder):
        anndata.AnnData(kind(X.astype(dtype))).write_h5ad(folder / "rows.h5ad")
        return anndata.read_h5ad(folder / "rows.h5ad", backed="r").X

    return make


def in_parquet(*dtypes, **settings):
    def make(X, folder):
        kinds = itertools.cycle(dtypes)
        table = pyarrow.table({str(j): column.astype(next(kinds)) for j, column in enumerate(X.T)})
        pyarrow.parquet.write_table(table, folder / "rows.parquet", **settings)
        return files.read_table(folder / "rows.parquet").data

    return make


STORAGES = {
    "array": in_memory("f4"),
    "array, float64": in_memory("f8"),
    "array, float16": in_memory("f2"),
    "array, uint8": in_memory("u1"),
    "array, int32": in_memory("i4"),
    "array, big-endian": in_memory(">i8"),
    "array, Fortran": in_memory("f4", "F"),
    "array, every third column": in_memory("f4", columns=slice(None, None, 3)),
    "array, rows from the last": in_memory("f8", rows=slice(None, None, -1)),
    "memory map": in_npy("f4"),
    "memory map, float64": in_npy("f8"),
    "memory map, uint8": in_npy("u1"),
    "memory map, Fortran": in_npy("i2", "F"),
    ".npy file": in_npy("f2", open_it=lambda path: files.read_table(path).data),
    "HDF5": in_hdf5("f4"),
    "HDF5, chunks": in_hdf5("i4", chunks=(777, N_COLUMNS)),
    "HDF5, gzip": in_hdf5("f8", chunks=(1234, 7), compression="gzip"),
    "HDF5, big-endian": in_hdf5(">f4", chunks=(50, 3)),
    "zarr 3, chunks": in_zarr("i2", chunks=(999, 7)),
    "zarr 3, shards": in_zarr("u1", chunks=(50, 5), shards=(800, 20)),
    "zarr 2, chunks": in_zarr("f4", chunks=(1001, 11), zarr_format=2),
    "dask": in_dask("f4", (1000, N_COLUMNS)),
    "dask, chunks of columns": in_dask("f8", (7001, 3)),
    "dask, irregular": in_dask("i8", lambda n: ((1, n // 2, n - 1 - n // 2), N_COLUMNS)),
    "AnnData": in_anndata(),
    "Parquet": in_parquet("f4"),
    "Parquet, row groups": in_parquet("u1", row_group_size=777),
    "Parquet, types": in_parquet("u1", "f8", "i4", "f2", row_group_size=3001, compression="gzip"),
    "slices": lambda X, folder: Slices(X.astype("u2")),
    "CSR array": lambda X, folder: sp.csr_matrix(X),
    "AnnData, CSR": in_anndata(sp.csr_matrix),
    "AnnData, CSC": in_anndata(sp.csc_matrix, "f8"),
}


def main():
    n = int(sys.argv[1]) if sys.argv[1:] else 100_000
    word = sys.argv[2] if sys.argv[2:] else ""
    X = np.clip(np.rint(8 * clusters(n, N_COLUMNS) + 64), 0, 127).astype(np.float32)
    found = []
    for name, make in STORAGES.items():
        if word in name:
            found += [fit(name, make, X, *way) for way in WAYS]
    print(
        f"{n:,} x {N_COLUMNS}: {len(found)} fits, {len(set(found))} hashes: "
        f"{', '.join(sorted(set(found)))}"
    )


def fit(name, make, X, limit, n_jobs):
    """Print and return the hash of the map of rows in a storage."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # AnnData's own
        rows = make(X, Path(folder))
        start = time.perf_counter()
        tsne = TSNE(
            early_exaggeration_iter=5, n_iter=5, random_state=0, n_jobs=n_jobs, memory_limit=limit
        )
        found = hashlib.sha256(np.ascontiguousarray(tsne.fit(rows))).hexdigest()[:16]
    seconds = time.perf_counter() - start
    print(f"{name:<26} {limit:<5} {n_jobs} {found} {seconds:6.1f} s", flush=True)
    return found


if __name__ == "__main__":
    main()
