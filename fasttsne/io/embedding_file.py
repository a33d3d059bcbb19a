"""Save and load embeddings: an .npz archive of plain arrays and a JSON header, no pickle.

Contents are checked before they reach a kernel: a file may be truncated, written by a later
version, or come from an untrusted source.
"""

import contextlib
import dataclasses
import json
import numbers
from typing import Any, TypeVar

import numpy as np
import scipy.sparse as sp

from fasttsne._version import __version__
from fasttsne.affinity import Affinities
from fasttsne.anchors import Anchors
from fasttsne.io import search_file
from fasttsne.io.archive import check_type, open_archive, to_python_scalar, write_archive
from fasttsne.optimize.descent import GradientDescent
from fasttsne.optimize.state import DescentState, check_state
from fasttsne.runtime.canonical import check_finite
from fasttsne.runtime.typing import FilePath, Rows
from fasttsne.runtime.validation import check_choice, check_sparse_indices

KIND = "fasttsne embedding"
# Files with what new rows need have format 2, others 1.
FORMAT = 2
# Attributes of affinities that are saved in addition to P.
AFFINITY_ATTRIBUTES = ("perplexity", "effective_perplexity_")


Loaded = TypeVar("Loaded")


class SavedAffinities(Affinities):
    """Affinities from a file: P and the local radii, without the training data."""

    _log_radii: np.ndarray | None = None

    def log_radii(self) -> np.ndarray:
        return super().log_radii() if self._log_radii is None else self._log_radii

    def to_new(self, *arguments, **keywords):
        raise NotImplementedError(
            "transform() is not available for an embedding loaded from a file, which has no "
            'training data; save it with keep="rows" or keep="index", or with pickle, or set '
            "embedding.affinities"
        )

    def joined_by(self, *arguments, **keywords):
        raise NotImplementedError(
            "the file of this map has no index, which rows that join or change need; save it with "
            'keep="rows" or keep="index", with pickle or joblib'
        )

    def without(self, rows):
        return self.joined_by()


def save(
    embedding,
    path,
    kl_divergence: float | None = None,
    keep: str = "map",
    columns: list[str] | None = None,
) -> None:
    """Write an embedding to a file, atomically: after an error, the old file is unchanged.

    Parameters
    ----------
    embedding : :class:`fasttsne.TSNEEmbedding`.
    path : the file; replaced if it exists.
    kl_divergence : replaces that of the embedding, in the middle of a run.
    keep : what of the affinities is kept, as of ``TSNEEmbedding.save``.
    columns : names of the columns of the rows, if they have any.
    """
    embedding.raise_if_view()
    check_choice(keep, "keep", search_file.KEEP)
    header, arrays = _to_header_and_arrays(embedding)
    if keep == "map":
        check_sparse_indices(embedding.affinities.P, "affinities.P")
        arrays |= _affinity_arrays(embedding.affinities)
    else:
        header["format"], header["columns"] = FORMAT, columns
        header["search"], more = search_file.to_header_and_arrays(embedding.affinities, keep)
        arrays |= more
    if kl_divergence is not None:
        header["kl_divergence"] = float(kl_divergence)

    def check(written: dict[str, Any]) -> None:
        """Raise where ``load`` would, given the header that was written."""
        _make_embedding(type(embedding), written, arrays)
        if keep != "map":
            index = embedding.affinities.knn_index
            search_file.check_restorable(written["search"], arrays, index, len(embedding))

    write_archive(path, header, arrays, check)


def load(cls: type[Loaded], path: FilePath, X: Rows | None = None) -> Loaded:
    """Read an embedding of class ``cls`` from a file that :func:`save` wrote.

    X : the rows of the map, for a file that has an index without them.

    Raises
    ------
    OSError
        If the file cannot be opened.
    ValueError
        If it is not such a file, is damaged, or has the format of a later version, or X does not
        belong to it.
    """
    with open_archive(path, KIND, FORMAT, "a saved embedding") as archive:
        embedding = _make_embedding(cls, archive.header, archive.arrays())
    if X is not None:
        _give_rows(embedding, X)
    return embedding


def _give_rows(embedding, X):
    """Complete the index of a file without rows; X must equal the rows of any other file."""
    affinities = embedding.affinities
    if isinstance(affinities, SavedAffinities):
        raise ValueError(
            "X is given, but the file has no index of rows: load it without X, or save the "
            'map with keep="index" or keep="rows"'
        )
    if isinstance(affinities.knn_index, search_file.IndexWithoutRows):
        affinities.knn_index = affinities.knn_index.with_rows(X)
    else:
        search_file.check_rows(X, affinities.knn_index)


def read_columns(path: FilePath) -> list[str] | None:
    """Return the names of the columns that a file's rows have, or None."""
    with open_archive(path, KIND, FORMAT, "a saved embedding") as archive:
        columns = archive.header.get("columns")
        if columns is not None:
            for name in check_type(columns, "columns", list):
                check_type(name, "columns", str)
        return columns


def _to_header_and_arrays(embedding):
    """The header and the arrays of a file."""
    if not isinstance(embedding.negative_gradient_method, str):
        raise TypeError(
            "to save an embedding, its negative_gradient_method must be a name; got "
            f"{embedding.negative_gradient_method!r}"
        )
    arrays = {"embedding": np.asarray(embedding)}
    attributes = {name: getattr(embedding.affinities, name, None) for name in AFFINITY_ATTRIBUTES}
    header = {
        "kind": KIND,
        "format": 1,
        "fasttsne": __version__,
        "dof": embedding.dof,
        "negative_gradient_method": embedding.negative_gradient_method,
        "random_state": _integer_seed(embedding.random_state),
        "kl_divergence": embedding.kl_divergence,
        "gradient_descent_params": _json_serializable(embedding.gradient_descent_params or {}),
        "affinities": _json_serializable(attributes),
        "state": None,
    }
    if embedding.anchors is not None:
        arrays["anchor_targets"] = embedding.anchors.targets
        arrays["anchor_weights"] = embedding.anchors.weights
    if embedding.global_reference is not None:
        arrays["global_reference"] = embedding.global_reference
    state = embedding.optimizer.state
    if state is not None:
        header["state"] = {}
        for field in dataclasses.fields(state):
            value = getattr(state, field.name)
            if isinstance(value, np.ndarray):
                arrays[f"state_{field.name}"] = value
            else:
                header["state"][field.name] = to_python_scalar(value)
    return header, arrays


def _affinity_arrays(affinities):
    P = affinities.P_float32.tocsr()
    arrays = {"P_data": P.data, "P_indices": P.indices, "P_indptr": P.indptr}
    with contextlib.suppress(ValueError):  # affinities may have no radii
        arrays["log_radii"] = affinities.log_radii()
    return arrays


def _integer_seed(random_state):
    """An integer seed, or None: generators are not saved."""
    if isinstance(random_state, numbers.Integral) and not isinstance(random_state, bool):
        return int(random_state)
    return None


def _json_serializable(params):
    """The parameters that JSON can express."""
    serializable = {}
    for name, value in params.items():
        value = to_python_scalar(value)
        with contextlib.suppress(TypeError, ValueError):
            json.dumps(value)
            serializable[name] = value
    return serializable


def _make_embedding(cls, header, arrays):
    points = arrays["embedding"]
    if points.dtype != np.float64 or points.ndim != 2:
        raise ValueError(f"embedding has dtype {points.dtype} and shape {points.shape}")
    affinities = _make_affinities(header, arrays, len(points))
    optimizer = GradientDescent()
    if header["state"] is not None:
        optimizer.state = _state(check_type(header["state"], "state", dict), arrays, points.shape)
    embedding = cls(
        points,
        affinities,
        dof=header["dof"],
        random_state=_integer_seed(header["random_state"]),
        negative_gradient_method=header["negative_gradient_method"],
        anchors=_anchors(arrays),
        global_reference=arrays.get("global_reference"),
        **check_type(header["gradient_descent_params"], "gradient_descent_params", dict),
    )
    embedding.optimizer = optimizer
    error = header["kl_divergence"]
    if error is not None:
        embedding.kl_divergence = check_type(error, "kl_divergence", int, float)
    return embedding


def _make_affinities(header, arrays, n):
    if header["format"] > 1:
        search = check_type(header["search"], "search", dict)
        return search_file.restore_affinities(search, arrays, n)
    affinities = SavedAffinities()
    affinities.P = _affinity_matrix(arrays, n)
    affinities._log_radii = _log_radii(arrays, n)
    for name in AFFINITY_ATTRIBUTES:
        value = check_type(header["affinities"], "affinities", dict).get(name)
        if value is not None:
            setattr(affinities, name, check_type(value, name, int, float))
    return affinities


def _anchors(arrays):
    if "anchor_targets" not in arrays:
        return None
    return Anchors(arrays["anchor_targets"], arrays["anchor_weights"])


def _affinity_matrix(arrays, n):
    """P from its three arrays, checked so that kernels cannot read outside of them."""
    data, indices, indptr = (arrays[f"P_{name}"] for name in ("data", "indices", "indptr"))
    floats, integers = (np.float32, np.float64), (np.int32, np.int64)
    kinds = ("data", data, floats), ("indices", indices, integers), ("indptr", indptr, integers)
    for name, array, dtypes in kinds:
        if array.ndim != 1 or array.dtype not in dtypes:
            raise ValueError(f"P_{name} has dtype {array.dtype} and shape {array.shape}")
    if len(indptr) != n + 1 or indptr[0] != 0 or (indptr[1:] < indptr[:-1]).any():
        raise ValueError(f"P_indptr does not have {n + 1} ascending values from 0")
    if not indptr[-1] == len(indices) == len(data):
        raise ValueError("P_indptr, P_indices and P_data differ in the number of entries")
    if len(indices) and not (indices.min() >= 0 and indices.max() < n):
        raise ValueError(f"P_indices are not all from 0 to {n - 1}")
    check_finite(data, "P_data")
    if len(data) == 0 or data.min() < 0 or not data.max() > 0:
        raise ValueError("P_data is negative somewhere, or zero everywhere")
    return sp.csr_matrix((data, indices, indptr), shape=(n, n))


def _log_radii(arrays, n):
    radii = arrays.get("log_radii")
    if radii is None:
        return None
    if radii.dtype != np.float64 or radii.shape != (n,) or not (radii < np.inf).all():
        raise ValueError(f"log_radii is not float64 of shape ({n},) and below infinity")
    return radii


def _state(scalars, arrays, shape):
    """The optimizer's state, from its numbers and its arrays."""
    prefix = "state_"
    found = {name.removeprefix(prefix): arrays[name] for name in arrays if name.startswith(prefix)}
    values = {**scalars, **found}
    fields = {field.name for field in dataclasses.fields(DescentState)}
    if not set(values) <= fields:
        raise ValueError(f"its state has unknown fields: {sorted(set(values) - fields)}")
    state = DescentState(**values)
    check_state(state, shape, prefix)
    return state
