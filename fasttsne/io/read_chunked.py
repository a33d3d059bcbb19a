"""Data sets of HDF5 files and zarr stores: found by name, and left where they are."""

from typing import Any

import numpy as np

from fasttsne.runtime.stored_sparse import as_stored_sparse
from fasttsne.utils import require

ENDINGS = (".h5", ".hdf5", ".zarr")


def find_arrays(path) -> dict[str, Any]:
    """Return the data sets of a file, by name with slashes, as open objects of h5py or zarr.

    A sparse matrix, as AnnData writes one, is a group of three arrays, and here a data set.
    """
    if path.suffix.lower() == ".zarr":
        store = require("zarr", "a .zarr store", "files").open(path, mode="r")
        members = {"": store}
        if hasattr(store, "members"):
            members |= dict(store.members(max_depth=None))
        for name, member in members.items():
            _refuse_pickles(name, member)
        return _with_sparse(members, path) if hasattr(store, "members") else members
    h5py = require("h5py", "an .h5 file", "files")
    file = h5py.File(path, "r")
    found: dict[str, Any] = {"": file}

    def add(name, member):
        found[name] = member

    file.visititems(add)
    return _with_sparse(found, path)


def _refuse_pickles(name: str, member: Any) -> None:
    """Raise ValueError for an array of zarr that older versions of its package would unpickle."""
    codecs = [
        *(getattr(member, "filters", None) or ()),
        *(getattr(member, "compressors", None) or ()),
    ]
    if any(getattr(codec, "codec_id", None) == "pickle" for codec in codecs):
        raise ValueError(f"its array {name!r} is pickled, which could execute anything")


def _with_sparse(members: dict[str, Any], path) -> dict[str, Any]:
    """Return the data sets among members of a file; groups of a sparse matrix are one."""
    groups = {name: as_stored_sparse(member, str(path)) for name, member in members.items()}
    sparse = {name: stored for name, stored in groups.items() if stored is not None}
    found = {}
    for name, member in members.items():
        if name in sparse:
            found[name] = sparse[name]
        elif hasattr(member, "dtype") and name.rpartition("/")[0] not in sparse:
            found[name] = member
    return found


def choose_rows(arrays: dict[str, Any], name: str | None, usual: tuple[str, ...]) -> str:
    """Return the name of the data set that has the rows: the given, the only one, a usual one."""
    tables = [each for each, array in arrays.items() if array.ndim == 2]
    if name is not None:
        if name.strip("/") not in arrays:
            raise ValueError(f"it has no data set {name!r}, only {_list(arrays)}")
        return name.strip("/")
    for each in tables if len(tables) == 1 else usual:
        if each in tables:
            return each
    raise ValueError(
        f"it has the two-dimensional data sets {_list(tables)}: choose one by --dataset, or key"
    )


def read_columns(arrays: dict[str, Any], n: int) -> dict[str, np.ndarray]:
    """Return the data sets of n values each, such as labels, by name; texts are str."""
    found = {}
    for name, array in arrays.items():
        if array.shape == (n,):
            # The texts of an HDF5 file are bytes.
            is_bytes = array.dtype.kind == "O" and hasattr(array, "asstr")
            found[name] = np.asarray((array.asstr() if is_bytes else array)[:])
    return found


def _list(names) -> str:
    shown = list(names)
    return ", ".join([*shown[:8], *["..."] * (len(shown) > 8)]) or "none"
