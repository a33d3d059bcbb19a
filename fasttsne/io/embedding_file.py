"""An embedding as one file: an .npz archive of plain arrays and a header in JSON, no pickle.

What is read is checked before any kernel sees it: a file may be cut short, made
by a later version, or made by somebody else.
"""

import dataclasses
import json
import numbers
import os
import zipfile
import zlib

import numpy as np
import scipy.sparse as sp

from fasttsne._version import __version__
from fasttsne.affinity import Affinities
from fasttsne.io.atomic import whole_file
from fasttsne.optimize.descent import GradientDescent
from fasttsne.optimize.state import DescentState
from fasttsne.runtime.validation import check_finite

KIND = "fasttsne embedding"
FORMAT = 1
# What affinities may know about themselves, and a saved map keeps beside P.
ABOUT_AFFINITIES = ("perplexity", "effective_perplexity_")
# What NumPy and zipfile raise for archives that are damaged or no archives.
DAMAGED = (
    ValueError, TypeError, KeyError, EOFError, OSError, SyntaxError, MemoryError, OverflowError,
    NotImplementedError, RuntimeError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip


class SavedAffinities(Affinities):
    """Affinities from a file: P, and radii, without the data that they came from."""

    _log_radii: np.ndarray | None = None

    def log_radii(self) -> np.ndarray:
        return super().log_radii() if self._log_radii is None else self._log_radii

    def to_new(self, *arguments, **keywords):
        raise NotImplementedError(
            "the data is not in the file of a saved map, so new rows cannot be placed in it; set "
            "its affinities to those of the data, or keep the embedding by pickle or joblib"
        )


def save(embedding, path, kl_divergence: float | None = None) -> None:
    """Write an embedding to a file, which is there as a whole or as it was before.

    Parameters
    ----------
    embedding : :class:`fasttsne.TSNEEmbedding`.
    path : the file; replaced if it exists.
    kl_divergence : in place of the embedding's, for the map in the middle of a run.
    """
    if embedding.affinities is None:
        raise ValueError("this array is a view of an embedding; save the embedding itself")
    header, arrays = _described(embedding)
    if kl_divergence is not None:
        header["kl_divergence"] = float(kl_divergence)
    with whole_file(path) as part, open(part, "xb") as file:
        np.savez(file, header=np.array(json.dumps(header)), **arrays)


def load(cls, path):
    """The embedding of class ``cls`` in a file that :func:`save` wrote.

    Raises
    ------
    OSError
        Where the file cannot be opened.
    ValueError
        Where it is not such a file, or damaged, or of a later version.
    """
    with open(path, "rb") as file:
        try:
            header, arrays = _read(file)
            return _embedding(cls, header, arrays)
        except DAMAGED as error:
            reason = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
            raise ValueError(f"{os.fspath(path)} is no embedding to load: {reason}") from error


def _described(embedding):
    """The header and the arrays that say all about an embedding."""
    if not isinstance(embedding.negative_gradient_method, str):
        raise TypeError(
            "an embedding can be saved where negative_gradient_method is a name; got "
            f"{embedding.negative_gradient_method!r}"
        )
    P = embedding.affinities.P.tocsr()
    arrays = {
        "embedding": np.asarray(embedding),
        "P_data": P.data, "P_indices": P.indices, "P_indptr": P.indptr,
    }  # fmt: skip
    header = {
        "kind": KIND,
        "format": FORMAT,
        "fasttsne": __version__,
        "dof": embedding.dof,
        "negative_gradient_method": embedding.negative_gradient_method,
        "random_state": _whole(embedding.random_state),
        "kl_divergence": embedding.kl_divergence,
        "gradient_descent_params": _sayable(embedding.gradient_descent_params or {}),
        "affinities": _sayable(
            {name: getattr(embedding.affinities, name, None) for name in ABOUT_AFFINITIES}
        ),
        "state": None,
    }
    radii = _radii_known_to(embedding.affinities)
    if radii is not None:
        arrays["log_radii"] = radii
    state = embedding.optimizer.state
    if state is not None:
        header["state"] = {}
        for field in dataclasses.fields(state):
            value = getattr(state, field.name)
            if isinstance(value, np.ndarray):
                arrays[f"state_{field.name}"] = value
            else:
                header["state"][field.name] = _plain(value)
    return header, arrays


def _radii_known_to(affinities):
    try:
        return affinities.log_radii()
    except ValueError:
        return None


def _whole(random_state):
    """An integer seed; generators are not kept."""
    if isinstance(random_state, numbers.Integral) and not isinstance(random_state, bool):
        return int(random_state)
    return None


def _plain(value):
    return value.item() if isinstance(value, np.generic) else value


def _sayable(params):
    """The parameters that JSON can express."""
    found = {}
    for name, value in params.items():
        value = _plain(value)
        try:
            json.dumps(value)
        except (TypeError, ValueError):
            continue
        found[name] = value
    return found


def _read(file):
    """The header and all arrays of an archive; arrays of objects are refused."""
    archive = np.load(file, allow_pickle=False)
    if not isinstance(archive, np.lib.npyio.NpzFile):
        raise ValueError("it is a single array")
    with archive:
        if "header" not in archive.files:
            raise ValueError("it has no header")
        header = _check_header(archive["header"])
        return header, {name: archive[name] for name in archive.files if name != "header"}


def _check_header(text):
    if text.shape != () or text.dtype.kind != "U":
        raise ValueError("its header is not a text")
    header = json.loads(str(text))
    if not isinstance(header, dict) or header.get("kind") != KIND:
        raise ValueError(f"its header does not say {KIND!r}")
    found = header.get("format")
    if type(found) is not int or found < 1:
        raise ValueError(f"its format is {found!r}")
    if found > FORMAT:
        raise ValueError(
            f"fasttsne {header.get('fasttsne')} wrote it in format {found}, and this is fasttsne "
            f"{__version__}, which reads up to format {FORMAT}; upgrade fasttsne"
        )
    return header


def _embedding(cls, header, arrays):
    points = arrays["embedding"]
    if points.dtype != np.float64 or points.ndim != 2:
        raise ValueError(f"embedding has dtype {points.dtype} and shape {points.shape}")
    affinities = SavedAffinities()
    affinities.P = _affinity_matrix(arrays, len(points))
    affinities._log_radii = _log_radii(arrays, len(points))
    for name in ABOUT_AFFINITIES:
        value = _member(header, "affinities", dict).get(name)
        if value is not None:
            setattr(affinities, name, _number(value, name))
    optimizer = GradientDescent()
    if header["state"] is not None:
        optimizer.state = _state(_member(header, "state", dict), arrays, points.shape)
    embedding = cls(
        points, affinities, dof=header["dof"], random_state=_whole(header["random_state"]),
        negative_gradient_method=header["negative_gradient_method"], optimizer=optimizer,
        **_member(header, "gradient_descent_params", dict),
    )  # fmt: skip
    if header["kl_divergence"] is not None:
        embedding.kl_divergence = _number(header["kl_divergence"], "kl_divergence")
    return embedding


def _member(header, name, kind):
    if not isinstance(header[name], kind):
        raise ValueError(f"{name} is {header[name]!r}")
    return header[name]


def _number(value, name):
    if type(value) not in (int, float):
        raise ValueError(f"{name} is {value!r}")
    return value


def _affinity_matrix(arrays, n):
    """P from its three arrays, after making sure that kernels can walk along them."""
    data, indices, indptr = (arrays[f"P_{name}"] for name in ("data", "indices", "indptr"))
    for name, array, dtypes in (
        ("data", data, (np.float32, np.float64)),
        ("indices", indices, (np.int32, np.int64)),
        ("indptr", indptr, (np.int32, np.int64)),
    ):
        if array.ndim != 1 or array.dtype not in dtypes:
            raise ValueError(f"P_{name} has dtype {array.dtype} and shape {array.shape}")
    if len(indptr) != n + 1 or indptr[0] != 0 or (indptr[1:] < indptr[:-1]).any():
        raise ValueError(f"P_indptr does not ascend from 0 in {n} steps")
    if not indptr[-1] == len(indices) == len(data):
        raise ValueError("P_indptr, P_indices and P_data do not agree about the number of entries")
    if len(indices) and not (indices.min() >= 0 and indices.max() < n):
        raise ValueError(f"P_indices are not all columns from 0 to {n - 1}")
    check_finite(data, "P_data")
    if len(data) == 0 or data.min() < 0 or not data.max() > 0:
        raise ValueError("P_data is negative somewhere, or zero everywhere")
    return sp.csr_matrix((data, indices, indptr), shape=(n, n))


def _log_radii(arrays, n):
    radii = arrays.get("log_radii")
    if radii is None:
        return None
    if not _is_array(radii, np.float64, (n,)) or not (radii < np.inf).all():
        raise ValueError(f"log_radii is not float64 of shape ({n},) and below infinity")
    return radii


def _state(scalars, arrays, shape):
    """The optimizer's state, whatever fields this version's has."""
    values = dict(scalars)
    for name, array in arrays.items():
        if name.startswith("state_"):
            values[name.removeprefix("state_")] = array
    known = {field.name for field in dataclasses.fields(DescentState)}
    if not set(values) <= known:
        raise ValueError(f"its state has unknown parts: {sorted(set(values) - known)}")
    state = DescentState(**values)
    for name in ("update", "gains"):
        array = getattr(state, name)
        if not _is_array(array, np.float32, shape):
            raise ValueError(f"state_{name} is not float32 of shape {shape}")
        check_finite(array, f"state_{name}")
    n = shape[0]
    if not _is_array(state.order, np.int32, (n,)):
        raise ValueError(f"state_order is not int32 of shape ({n},)")
    if not np.array_equal(np.sort(state.order), np.arange(n)):
        raise ValueError(f"state_order does not have each number from 0 to {n - 1} once")
    if type(state.iteration) is not int or state.iteration < 0:
        raise ValueError(f"iteration is {state.iteration!r}")
    return state


def _is_array(value, dtype, shape):
    return isinstance(value, np.ndarray) and value.dtype == dtype and value.shape == shape
