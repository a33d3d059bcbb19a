"""Reads damaged files of some formats, and prints what came of each; a program of its own.

    python -m helpers.damaged_files SEED FIRST LAST FORMAT ...

A process of its own, since a library that reads a format may crash, hang or take all memory.
"""

import faulthandler
import functools
import gzip
import json
import resource
import shutil
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import scipy.io
import scipy.sparse as sp

from fasttsne import TSNE, TSNEEmbedding, files
from fasttsne.datasets import load_digits
from fasttsne.io.formats import write_map
from fasttsne.runtime import rows as stored_rows
from fasttsne.runtime.validation import check_data
from helpers.damage import damaged

say = functools.partial(print, flush=True)
X = load_digits()[0][:200].astype(np.float32)
LABELS = load_digits()[1][:200]
FIT = {"perplexity": 8, "early_exaggeration_iter": 8, "n_iter": 8, "random_state": 0, "n_jobs": 1}
OLD_FILES = Path(__file__).resolve().parents[1] / "old_files"
# Bytes that a damaged file of some kilobytes may make a reader take.
SPARE_BYTES = 2**30
# Seconds after which a reader hangs: that of HDF5 does, and each time is waited for.
MAX_SECONDS, MAX_SECONDS_OF_HDF5 = 600, 60


def fitted(rows=X):
    return TSNE(**FIT, initialization="random").fit(rows)


def changed_map():
    """A map whose index has several parts."""
    return fitted().update(X[:9] + 1, n_iter=2).drop([3, 5])


def parts_of_map(embedding):
    """All that a saved map has, as arrays."""
    P, state = embedding.affinities.P_float32, embedding.optimizer.state
    yield from (np.asarray(embedding), P.data, P.indices, P.indptr)
    yield embedding.affinities.log_radii()
    yield np.array(
        [
            repr(embedding.kl_divergence),
            repr(embedding.dof),
            repr(embedding.random_state),
            embedding.negative_gradient_method,
            json.dumps(embedding.gradient_descent_params),
        ]
    )
    if state is not None:
        yield from (np.asarray(value) for value in vars(state).values())
    index = getattr(embedding.affinities, "knn_index", None)
    for part in getattr(index, "parts", [] if index is None else [index]):
        yield from arrays_of_rows(getattr(part, "index", part).data)


def arrays_of_rows(rows):
    if sp.issparse(rows):
        rows = rows.tocsr()
        return [rows.data, rows.indices, rows.indptr, np.array(rows.shape)]
    return [np.asarray(rows)]


def parts_of_table(path):
    """All that a table has, as arrays."""
    table = files.read_table(path)
    yield from arrays_of_rows(check_data(table.rows(), str(path), accept_sparse=True))
    yield from map(np.asarray, table.columns.values())
    yield np.array([json.dumps(table.parameters)])
    if path.suffix != ".parquet":  # the format has no checksum of names
        yield np.array([*table.columns, *table.names])


def load_map(path):
    return parts_of_map(TSNEEmbedding.load(path))


def load_map_and_rows(path):
    return parts_of_map(TSNEEmbedding.load(path, X=X))


def write_text(path):
    columns = {"id": np.arange(200), **{f"c{i}": X[:, i + 10] for i in range(9)}}
    lines = [",".join(columns)] + [
        ",".join(map(str, row)) for row in zip(*columns.values(), strict=True)
    ]
    text = "\n".join(lines).encode()
    if path.suffix == ".gz":
        text = gzip.compress(text)
    path.write_bytes(text)


def write_hdf5(path, **settings):
    import h5py

    with h5py.File(path, "w") as file:
        file.create_dataset("X", data=X, **settings)
        file["y"] = LABELS


def write_anndata(path, rows=X):
    import anndata

    obs = {"cell": [f"cell {label}" for label in LABELS]}
    anndata.AnnData(rows, obs=obs).write_h5ad(path)


def write_zarr(path):
    import zarr

    zarr.create_group(path).create_array("X", data=X, chunks=(64, 64))


def write_own(path):
    write_map(path, fitted(), LABELS, 1.5, None, {"metric": "cosine", "perplexity": 30})


# How a file of the format is written, how it is read, and whether it has a checksum.
FORMATS = {
    "map.npz": (lambda path: fitted().save(path), load_map, True),
    "map_rows.npz": (lambda path: fitted().save(path, keep="rows"), load_map, True),
    "map_index.npz": (lambda path: fitted().save(path, keep="index"), load_map_and_rows, True),
    "map_parts.npz": (lambda path: changed_map().save(path, keep="rows"), load_map, True),
    "map_sparse.npz": (
        lambda path: fitted(sp.csr_matrix(X)).save(path, keep="rows"),
        load_map,
        True,
    ),
    "density.npz": (lambda path: shutil.copy(OLD_FILES / "density.npz", path), load_map, True),
    "table.npz": (write_own, parts_of_table, True),
    "table.parquet": (write_own, parts_of_table, True),
    "table.csv": (write_text, parts_of_table, False),
    "table.csv.gz": (write_text, parts_of_table, True),
    "table.npy": (lambda path: np.save(path, X), parts_of_table, False),
    "sparse.npz": (lambda path: sp.save_npz(path, sp.csr_matrix(X)), parts_of_table, True),
    "matrix.mtx": (lambda path: scipy.io.mmwrite(path, sp.coo_matrix(X)), parts_of_table, False),
    "rows.h5": (write_hdf5, parts_of_table, False),
    "rows_checked.h5": (
        lambda path: write_hdf5(path, chunks=(50, 64), compression="gzip", fletcher32=True),
        parts_of_table,
        False,
    ),
    "cells.h5ad": (write_anndata, parts_of_table, False),
    "sparse.h5ad": (lambda path: write_anndata(path, sp.csr_matrix(X)), parts_of_table, False),
    "rows.zarr": (write_zarr, parts_of_table, False),
}


def outcome(read, path, expected, has_checksum):
    """What reading a file gave: "same", "refused", "other values" or a fault."""
    try:
        found = list(read(path))
    except (OSError, ValueError) as error:
        if path.name not in str(error):
            return f"FAULT: the error does not name the file: {type(error).__name__}: {error}"
        if "MemoryError" in str(error) or len(str(error)) > 600:
            return f"FAULT: {str(error)[:300]}"
        return "refused"
    except Exception as error:
        return f"FAULT: {type(error).__name__}: {error}"
    is_same = len(found) == len(expected) and all(
        a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
        for a, b in zip(found, expected, strict=True)
    )
    if is_same:
        return "same"
    del found  # memory maps of the file
    return "FAULT: other values" if has_checksum else "other values"


def file_to_damage(path, number):
    """The file itself, or one of those of a store."""
    if not path.is_dir():
        return path
    inside = sorted(each for each in path.rglob("*") if each.is_file())
    return inside[number % len(inside)]


def damage(name, seed, first, last):
    """Yield what came of the damaged copies of these numbers of a file."""
    write, read, has_checksum = FORMATS[name]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        write(path)
        expected = list(read(path))
        seconds = MAX_SECONDS_OF_HDF5 if name.endswith((".h5", ".h5ad")) else MAX_SECONDS
        for number in range(first, last):
            faulthandler.dump_traceback_later(seconds, exit=True)
            target = file_to_damage(path, number)
            whole = target.read_bytes()
            how, data = damaged(whole, (name, seed, number))
            say(name, number, how, end=": ")
            # A new file: the old one may be mapped, and would end the process when it shrinks.
            target.unlink()
            target.write_bytes(data)
            say(outcome(read, path, expected, has_checksum))
            target.unlink()
            target.write_bytes(whole)


def main(seed, first, last, *names):
    warnings.simplefilter("ignore")
    stored_rows.PAUSES = (0.0, 0.0)  # between tries to read
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + SPARE_BYTES, resource.RLIM_INFINITY))
    for name in names:
        damage(name, seed, first, last)
    faulthandler.cancel_dump_traceback_later()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), *sys.argv[4:])
