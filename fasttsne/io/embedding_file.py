"""Save and load embeddings: an .npz archive of plain arrays and a JSON header, no pickle.

Contents are checked before they reach a kernel: a file may be truncated, written by a later
version, or come from an untrusted source.
"""

import contextlib
import json
import numbers
from collections.abc import Callable, Mapping
from typing import NoReturn, Protocol, TypeVar

import numpy as np

from fasttsne._version import __version__
from fasttsne.affinity import Affinities
from fasttsne.anchors import Anchors
from fasttsne.io import codec
from fasttsne.io.archive import Arrays, Header, check_type, open_archive, write_archive
from fasttsne.objective.callable import ObjectiveFunction
from fasttsne.optimize.descent import GradientDescent
from fasttsne.optimize.state import check_state
from fasttsne.runtime.typing import FilePath, RandomState, Rows
from fasttsne.runtime.validation import check_choice, check_sparse_indices

KIND, WHAT = "fasttsne embedding", "a saved embedding"
# Files with what new rows need have format 2, others 1.
FORMAT = 2
# Attributes of affinities that are saved in addition to P.
AFFINITY_ATTRIBUTES = ("perplexity", "effective_perplexity_")


class Embedding(Protocol):
    """What is saved of a :class:`fasttsne.TSNEEmbedding`."""

    affinities: Affinities
    dof: float
    negative_gradient_method: str | ObjectiveFunction
    random_state: RandomState
    optimizer: GradientDescent
    kl_divergence: float | None
    anchors: Anchors | None
    global_reference: np.ndarray | None

    @property
    def gradient_descent_params(self) -> Mapping[str, object]: ...
    def raise_if_view(self) -> None: ...
    def __len__(self) -> int: ...


Loaded = TypeVar("Loaded", bound=Embedding)


class SavedAffinities(Affinities):
    """Affinities from a file: P and the local radii, without the training data."""

    _log_radii: np.ndarray | None = None

    def log_radii(self) -> np.ndarray:
        return super().log_radii() if self._log_radii is None else self._log_radii

    def to_new(self, *arguments: object, **keywords: object) -> NoReturn:
        raise NotImplementedError(
            "transform() is not available for an embedding loaded from a file, which has no "
            'training data; save it with keep="rows" or keep="index", or with pickle, or set '
            "embedding.affinities"
        )

    def joined_by(self, *arguments: object, **keywords: object) -> NoReturn:
        raise NotImplementedError(
            "the file of this map has no index, which rows that join or change need; save it with "
            'keep="rows" or keep="index", with pickle or joblib'
        )

    def without(self, rows: np.ndarray) -> NoReturn:
        self.joined_by(rows)


def save(
    embedding: Embedding,
    path: FilePath,
    kl_divergence: float | None = None,
    keep: str = "map",
    columns: list[str] | None = None,
) -> None:
    """Write an embedding to a file: see :meth:`fasttsne.TSNEEmbedding.save`.

    kl_divergence : replaces the one of the embedding, in the middle of a run.
    columns : names of the columns of the rows, if they have any.
    """
    embedding.raise_if_view()
    check_choice(keep, "keep", codec.KEEP)
    header, arrays = _to_arrays(embedding)
    if keep == "map":
        check_sparse_indices(embedding.affinities.P, "affinities.P")
        arrays |= _affinities_to_arrays(embedding.affinities)
    else:
        header["format"], header["columns"] = FORMAT, columns
        header["search"], more = codec.affinities_to_arrays(embedding.affinities, keep)
        arrays |= more
    if kl_divergence is not None:
        header["kl_divergence"] = float(kl_divergence)
    # Raise where ``load`` would.
    written = json.loads(json.dumps(header))
    _from_arrays(type(embedding), written, arrays)
    index = embedding.affinities.knn_index
    if keep != "map" and index is not None:
        codec.check_restorable(written["search"], arrays, index, len(embedding))
    write_archive(path, header, arrays)


def load(make: Callable[..., Loaded], path: FilePath, X: Rows | None = None) -> Loaded:
    """Make an embedding from a file that :func:`save` wrote: see ``TSNEEmbedding.load``."""
    with open_archive(path, KIND, FORMAT, WHAT) as archive:
        embedding = _from_arrays(make, archive.header, archive.arrays())
    index = embedding.affinities.knn_index
    if X is not None and index is None:
        raise ValueError(
            "X is given, but the file has no index of rows: load it without X, or save the "
            'map with keep="index" or keep="rows"'
        )
    if X is not None and isinstance(index, codec.IndexWithoutRows):
        embedding.affinities.knn_index = index.with_rows(X)
    elif X is not None and index is not None:
        codec.check_rows(X, index)
    return embedding


def read_columns(path: FilePath) -> list[str] | None:
    """Return the names of the columns that a file's rows have, or None."""
    with open_archive(path, KIND, FORMAT, WHAT) as archive:
        columns = check_type(archive.header.get("columns"), "columns", list, type(None))
        return columns and [check_type(name, "columns", str) for name in columns]


def _to_arrays(embedding: Embedding) -> tuple[Header, Arrays]:
    if not isinstance(embedding.negative_gradient_method, str):
        raise TypeError(
            "to save an embedding, its negative_gradient_method must be a name; got "
            f"{embedding.negative_gradient_method!r}"
        )
    arrays = {"embedding": np.asarray(embedding)}
    attributes = {name: getattr(embedding.affinities, name, None) for name in AFFINITY_ATTRIBUTES}
    header: Header = {
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
    if embedding.optimizer.state is not None:
        header["state"], more = codec.descent_to_arrays(embedding.optimizer.state)
        arrays |= more
    return header, arrays


def _affinities_to_arrays(affinities: Affinities) -> Arrays:
    arrays = codec.csr_to_arrays(affinities.P_float32.tocsr(), "P_")
    with contextlib.suppress(ValueError):  # affinities may have no radii
        arrays["log_radii"] = affinities.log_radii()
    return arrays


def _integer_seed(random_state: object) -> int | None:
    """Return an integer seed, or None: generators are not saved."""
    if isinstance(random_state, numbers.Integral) and not isinstance(random_state, bool):
        return int(random_state)
    return None


def _json_serializable(params: Mapping[str, object]) -> Header:
    """Return the parameters that JSON can express."""
    serializable = {}
    for name, value in params.items():
        value = value.item() if isinstance(value, np.generic) else value
        with contextlib.suppress(TypeError, ValueError):
            json.dumps(value)
            serializable[name] = value
    return serializable


def _from_arrays(make: Callable[..., Loaded], header: Header, arrays: Arrays) -> Loaded:
    points = arrays["embedding"]
    if points.dtype != np.float64 or points.ndim != 2:
        raise ValueError(f"embedding has dtype {points.dtype} and shape {points.shape}")
    affinities = _affinities_from_arrays(header, arrays, len(points))
    optimizer, state = GradientDescent(), check_type(header["state"], "state", dict, type(None))
    if state is not None:
        optimizer.state = codec.descent_from_arrays(state, arrays)
        check_state(optimizer.state, points.shape, codec.STATE)
    anchors = None
    if "anchor_targets" in arrays:
        anchors = Anchors(arrays["anchor_targets"], arrays["anchor_weights"])
    embedding = make(
        points,
        affinities,
        dof=header["dof"],
        random_state=_integer_seed(header["random_state"]),
        negative_gradient_method=header["negative_gradient_method"],
        anchors=anchors,
        global_reference=arrays.get("global_reference"),
        **check_type(header["gradient_descent_params"], "gradient_descent_params", dict),
    )
    embedding.optimizer = optimizer
    error = check_type(header["kl_divergence"], "kl_divergence", int, float, type(None))
    if error is not None:
        embedding.kl_divergence = error
    return embedding


def _affinities_from_arrays(header: Header, arrays: Arrays, n: int) -> Affinities:
    if header["format"] != 1:
        search = check_type(header["search"], "search", dict)
        return codec.affinities_from_arrays(search, arrays, n)
    affinities = SavedAffinities()
    affinities.P = P = codec.csr_from_arrays(arrays, "P_", (n, n))
    if not P.data.any() or P.data.min() < 0:
        raise ValueError("P_data is negative somewhere, or zero everywhere")
    if "log_radii" in arrays:
        affinities._log_radii = radii = arrays["log_radii"]
        if radii.dtype != np.float64 or radii.shape != (n,) or not (radii < np.inf).all():
            raise ValueError(f"log_radii is not float64 of shape ({n},) and below infinity")
    attributes = check_type(header["affinities"], "affinities", dict)
    for name in AFFINITY_ATTRIBUTES:
        value = check_type(attributes.get(name), name, int, float, type(None))
        if value is not None:
            setattr(affinities, name, value)
    return affinities
