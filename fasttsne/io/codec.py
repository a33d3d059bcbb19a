"""Values that are saved, as arrays and a JSON header, and back; embeddings; and fingerprints.

What new rows need of a map are neighbours, the search and the rows.  Affinities are not kept: they
follow from the neighbours, to the bit.  Rows are, or are given again when the file is read.
Contents are checked before they reach a kernel: a file may come from an untrusted source.
"""

import contextlib
import dataclasses
import hashlib
import json
import numbers
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, NoReturn, Protocol, TypeVar

import numpy as np
import scipy.sparse as sp

from fasttsne._version import __version__
from fasttsne.affinity import (
    Affinities,
    FixedSigmaNN,
    Multiscale,
    MultiscaleMixture,
    PerplexityBasedNN,
    Uniform,
)
from fasttsne.affinity.neighbor_based import KNNAffinities
from fasttsne.anchors import Anchors
from fasttsne.io.archive import Arrays, Header, check_type, open_archive, write_archive
from fasttsne.linalg.rows import RowSource
from fasttsne.nearest_neighbors.dynamic import REMOVED, DynamicIndex, Part, stack_rows
from fasttsne.nearest_neighbors.graph import KNNGraph
from fasttsne.nearest_neighbors.index import Index, KNNIndex
from fasttsne.nearest_neighbors.select import BACKENDS, make_index
from fasttsne.objective.callable import ObjectiveFunction
from fasttsne.optimize.descent import GradientDescent
from fasttsne.optimize.state import DescentState, RunState, check_state
from fasttsne.optimize.stopping import Check
from fasttsne.runtime.progress import iter_rows
from fasttsne.runtime.rows import check_finite
from fasttsne.runtime.typing import FilePath, Matrix, RandomGenerator, RandomState, Rows
from fasttsne.runtime.validation import check_choice, check_data, check_sparse_indices

EMBEDDING, WHAT = "fasttsne embedding", "a saved embedding"
# Files with what new rows need have format 2, others 1.
FORMAT = 2
# Attributes of affinities that are saved in addition to P.
AFFINITY_ATTRIBUTES = ("perplexity", "effective_perplexity_")
KEEP = "map", "index", "rows"
OTHER_ROWS = "X has not the rows of the map, or not in their order"
FAMILIES: dict[str, type[KNNAffinities]] = {
    family.__name__: family
    for family in (PerplexityBasedNN, MultiscaleMixture, Multiscale, FixedSigmaNN, Uniform)
}
# Of the arrays of an optimizer's state, and the names of a matrix's, with their dtypes.
STATE, CSR = "state_", ("data", "indices", "indptr")
FLOATS, INTEGERS = (np.float32, np.float64), (np.int32, np.int64)
# Texts up to this length are their own fingerprints, and messages can show them.
MAX_TEXT = 60
# Numbers in a chunk whose hash is added.
CHUNK_NUMBERS = 2**20


def to_json(value: object, has_dtypes: bool = False) -> object:
    """Return a value as JSON can express it: arrays as lists, with or without their dtypes."""
    if isinstance(value, Mapping):
        return {name: to_json(each, has_dtypes) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_json(each, has_dtypes) for each in value]
    if isinstance(value, np.ndarray):
        values = value.tolist()
        return {"dtype": str(value.dtype), "values": values} if has_dtypes else values
    return value.item() if isinstance(value, np.generic) else value


def with_prefix(arrays: Arrays, prefix: str) -> Arrays:
    """Return the arrays whose names begin with a prefix, without it."""
    found = {name: array for name, array in arrays.items() if name.startswith(prefix)}
    return {name.removeprefix(prefix): array for name, array in found.items()}


def to_arrays(values: Mapping[str, object], prefix: str = "") -> tuple[Header, Arrays]:
    """Return what JSON can express of some values, and the arrays among them."""
    arrays = {f"{prefix}{n}": value for n, value in values.items() if isinstance(value, np.ndarray)}
    header = {n: to_json(v) for n, v in values.items() if not isinstance(v, np.ndarray)}
    return header, arrays


def descent_to_arrays(state: DescentState) -> tuple[Header, Arrays]:
    return to_arrays(vars(state), STATE)


def descent_from_arrays(header: Header, arrays: Arrays) -> DescentState:
    own = with_prefix(arrays, STATE)
    unknown = own.keys() - {"update", "gains", "order"}
    if unknown:
        raise ValueError(f"its state has unknown fields: {sorted(unknown)}")
    iteration = check_type(header.get("iteration", 0), "iteration", int)
    return DescentState(own["update"], own["gains"], own["order"], iteration)


def run_to_arrays(state: RunState) -> tuple[Header, Arrays]:
    own = {name: value for name, value in vars(state).items() if name != "descent"}
    header, arrays = to_arrays({name: value for name, value in own.items() if value is not None})
    more, descent = descent_to_arrays(state.descent)
    return {**header, **more}, {**arrays, **descent}


def run_from_arrays(header: Header, arrays: Arrays) -> RunState:
    def integer(name: str) -> int:
        return check_type(header[name], name, int)

    def optional(name: str) -> float | None:
        return check_type(header.get(name), name, int, float, type(None))

    return RunState(
        embedding=arrays["embedding"],
        descent=descent_from_arrays(header, arrays),
        stage=integer("stage"),
        number=integer("number"),
        step=integer("step"),
        checks=tuple(_to_check(each) for each in check_type(header["checks"], "checks", list)),
        rate=check_type(header["rate"], "rate", int, float),
        shortening=check_type(header["shortening"], "shortening", int, float),
        is_preconditioned=check_type(header["is_preconditioned"], "is_preconditioned", bool),
        loss_left=optional("loss_left"),
        kept=arrays.get("kept"),
        vector=arrays.get("vector"),
        spacing=optional("spacing"),
    )


def _to_check(values: object) -> Check:
    *numbers, method = check_type(values, "checks", list)
    checked = (check_type(number, "checks", int, float) for number in numbers)
    return Check._make([*checked, check_type(method, "checks", str, type(None))])


def csr_to_arrays(matrix: sp.csr_matrix, prefix: str) -> Arrays:
    return {f"{prefix}{name}": getattr(matrix, name) for name in CSR}


def csr_from_arrays(arrays: Arrays, prefix: str, shape: tuple[int, ...]) -> sp.csr_matrix:
    """Return a matrix, checked so that kernels cannot read outside of its arrays."""
    parts = tuple(arrays[f"{prefix}{name}"] for name in CSR)
    for name, array in zip(CSR, parts, strict=True):
        dtypes = FLOATS if name == "data" else INTEGERS
        if array.ndim != 1 or array.dtype not in dtypes:
            raise ValueError(f"{prefix}{name} has dtype {array.dtype} and shape {array.shape}")
    matrix = sp.csr_matrix(parts, shape=shape)
    check_sparse_indices(matrix, f"the matrix of {prefix}data")
    check_finite(matrix.data, f"{prefix}data")
    return matrix


def rows_to_arrays(rows: Matrix) -> Arrays:
    """Return rows of an index, an array or a CSR matrix."""
    if not sp.issparse(rows):
        return {"rows": np.asarray(rows)}
    return {**csr_to_arrays(rows, "rows_"), "rows_shape": np.array(rows.shape, np.int64)}


def rows_from_arrays(arrays: Arrays) -> Matrix:
    if "rows" in arrays:
        return arrays["rows"]
    return csr_from_arrays(arrays, "rows_", tuple(arrays["rows_shape"].tolist()))


class SavedPart(NamedTuple):
    """A part of an index as a file has it, of rows with these numbers in the map or ``REMOVED``.

    Without ``keep="rows"`` its rows are only the removed ones, which cannot be given again.
    """

    header: Header
    numbers: np.ndarray
    search: Arrays
    rows: Matrix

    @classmethod
    def from_arrays(cls, header: Header, arrays: Arrays) -> "SavedPart":
        numbers, search = arrays["numbers"].astype(np.int32), with_prefix(arrays, "search_")
        return cls(header, numbers, search, rows_from_arrays(arrays))

    def rows_among(self, X: Matrix) -> Matrix:
        """Return all rows of the part, given the rows X of the map."""
        is_left = self.numbers != REMOVED
        rows = X[self.numbers[is_left]]
        if self.rows.shape[0] == 0:
            return rows
        order = np.argsort(np.r_[np.flatnonzero(is_left), np.flatnonzero(~is_left)])
        return stack_rows([rows, self.rows])[order]

    def to_part(self, rows: Matrix) -> Part:
        """Return the part of an index, ready for queries, given all of its rows."""
        header = self.header
        method, k = check_type(header["method"], "method", str), check_type(header["k"], "k", int)
        names = "metric", "metric_params", "n_jobs", "knn_kwargs"
        index = make_index(method, rows, k, **{name: header[name] for name in names})
        if not isinstance(index, KNNIndex) or fingerprint(index.data, "rows") != header["rows"]:
            raise ValueError(OTHER_ROWS)
        index.set_search_state(check_type(header["search"], "search", dict), self.search)
        return Part(index, self.numbers)


class IndexWithoutRows:
    """The index of a map that was saved without its rows."""

    metric = "unknown"

    def __init__(self, parts: list[SavedPart], n_samples: int, k: int):
        self.n_samples, self.k = n_samples, k
        self._parts = parts

    def with_rows(self, X: Rows) -> Index:
        """Return the index with the rows of the map; ValueError if X has others."""
        X = _check_number(X, self.n_samples)
        return self.with_rows_of_parts([part.rows_among(X) for part in self._parts])

    def with_rows_of_parts(self, rows: Sequence[Matrix]) -> Index:
        """Return the index, given all rows of each part."""
        made = [part.to_part(own) for part, own in zip(self._parts, rows, strict=True)]
        if len(made) == 1 and np.array_equal(made[0].numbers, np.arange(self.n_samples)):
            index: Index = made[0].index
            return index
        return DynamicIndex(made, self.k)

    def build(self) -> tuple[np.ndarray, np.ndarray]:
        """Raise NotImplementedError, as new rows do: the map can be optimized only."""
        raise NotImplementedError(
            "the file of this map has no rows; give them again: TSNEEmbedding.load(path, X=rows)"
        )

    def query(self, X: Rows, k: int) -> tuple[np.ndarray, np.ndarray]:
        return self.build()

    @property
    def data(self) -> object:
        return self.build()


def affinities_to_arrays(affinities: Affinities, keep: str) -> tuple[Header, Arrays]:
    """Return what ``affinities_from_arrays`` reads; rows are among it if ``keep`` is "rows"."""
    name = type(affinities).__name__
    if not isinstance(affinities, KNNAffinities) or type(affinities) is not FAMILIES.get(name):
        raise TypeError(
            f"keep={keep!r} needs affinities of a family that is computed from data; this map "
            f'has {name}: use keep="map", or pickle'
        )
    _ = affinities.P_float32  # follows changes in place
    if affinities._is_given:
        raise ValueError(f'keep={keep!r} needs affinities as computed; P was changed: keep="map"')
    arrays: Arrays = {
        "neighbors": affinities._indices,
        "distances": affinities._distances,
        "units": affinities._units,
    }
    headers = []
    for i, part in enumerate(parts_of(affinities.knn_index)):
        header, found = _part_to_arrays(part, keep)
        headers.append(header)
        arrays |= {f"part{i}_{name}": array for name, array in found.items()}
    return {
        "family": name,
        "symmetrize": affinities.symmetrize,
        "n_jobs": affinities.n_jobs,
        "n_used": int(affinities._n_used),
        "parameters": {each: to_json(getattr(affinities, each)) for each in affinities.PARAMETERS},
        "parts": headers,
    }, arrays


def affinities_from_arrays(header: Header, arrays: Arrays, n: int) -> KNNAffinities:
    """Return the affinities of n rows; if there are no rows, with an :class:`IndexWithoutRows`."""
    indices, distances, units = (arrays[name] for name in ("neighbors", "distances", "units"))
    k = indices.shape[1] if indices.ndim == 2 else 0
    check_neighbors(indices, distances, (n, k), n)
    if units.dtype != np.float64 or units.shape != (n,) or not (units > 0).all():
        raise ValueError(f"units are {units.dtype} of shape {units.shape}, or not all positive")
    check_finite(units, "units")
    n_used = check_type(header["n_used"], "n_used", int)
    if not 0 < n_used <= k:
        raise ValueError(f"n_used is {n_used}")
    parts = [
        SavedPart.from_arrays(part, with_prefix(arrays, f"part{i}_"))
        for i, part in enumerate(check_type(header["parts"], "parts", list))
    ]
    left = np.concatenate([part.numbers[part.numbers != REMOVED] for part in parts])
    if not np.array_equal(np.sort(left), np.arange(n)):
        raise ValueError(f"the parts of the index do not have the {n} rows once each")
    saved = IndexWithoutRows(parts, n, k)
    has_rows = all(part.rows.shape[0] == len(part.numbers) for part in parts)
    index = saved.with_rows_of_parts([part.rows for part in parts]) if has_rows else saved
    indices = np.ascontiguousarray(indices, np.int32)
    graph = KNNGraph(index, indices, np.ascontiguousarray(distances, np.float32), units)
    family = FAMILIES[check_type(header["family"], "family", str)]
    symmetrize = header["symmetrize"]
    if not isinstance(symmetrize, (bool, str)):
        raise ValueError(f"symmetrize is {symmetrize!r}")
    n_jobs = check_type(header["n_jobs"], "n_jobs", int, type(None))
    return family.restore(graph, n_used, symmetrize, n_jobs, _parameters(header))


def _parameters(header: Header) -> Header:
    """Return the parameters of the family; the first files of 0.2.0 have them by argument."""
    if "parameters" in header:
        return check_type(header["parameters"], "parameters", dict)
    arguments = check_type(header["arguments"], "arguments", dict)
    parameters = dict(check_type(header["attributes"], "attributes", dict))
    for given in "perplexity", "perplexities":
        if given in arguments:
            parameters[f"effective_{given}_"] = arguments[given]
    return parameters


def check_restorable(header: Header, arrays: Arrays, index: Index, n: int) -> None:
    """Raise ValueError if affinities cannot be restored, with the rows of the index written."""
    restored = affinities_from_arrays(header, arrays, n).knn_index
    if isinstance(restored, IndexWithoutRows):
        restored.with_rows_of_parts([part.index.data for part in parts_of(index)])


def check_rows(X: Rows, index: Index) -> None:
    """Raise ValueError if X has other rows than an index."""
    rows = DynamicIndex.of(index, 1).rows(np.arange(index.n_samples))
    X = _check_number(X, index.n_samples)
    if X.shape == rows.shape:
        differ = rows != X
        if not (differ.nnz if sp.issparse(differ) else differ.any()):
            return
    raise ValueError(OTHER_ROWS)


def _check_number(X: Rows, n: int) -> Matrix:
    checked: Matrix = check_data(X, "X", accept_sparse=True)
    if checked.shape[0] != n:
        raise ValueError(f"X must be the {n} rows of the map; it has {checked.shape[0]}")
    return checked


def parts_of(index: Index) -> list[Part]:
    """Return the parts of an index, each with its rows."""
    if isinstance(index, DynamicIndex):
        return index.parts
    return [Part(index, np.arange(index.n_samples, dtype=np.int32))]


def _part_to_arrays(part: Part, keep: str) -> tuple[Header, Arrays]:
    index = part.index
    names = [name for name, backend in BACKENDS.items() if type(index) is backend]
    if not names or not isinstance(index.metric, str):
        metric = getattr(index, "metric", None)
        raise TypeError(
            f"keep={keep!r} needs a search and a metric by name; this map has "
            f'{type(index).__name__} and {metric!r}: use keep="map", or pickle'
        )
    data = index.unchanged_data()
    state, arrays = index.search_state()
    header = {
        "method": names[0],
        "k": int(index.k),
        "metric": index.metric,
        "metric_params": to_json(index.metric_params),
        "n_jobs": index.n_jobs,
        "knn_kwargs": to_json(index.knn_kwargs),
        "search": to_json(state),
        "rows": fingerprint(data, "rows"),
    }
    arrays = {f"search_{name}": array for name, array in arrays.items()}
    arrays["numbers"] = part.numbers
    # Dropped rows are still in the search's cells.
    is_kept = np.full(len(part.numbers), keep == "rows") | (part.numbers == REMOVED)
    return header, {**arrays, **rows_to_arrays(data if is_kept.all() else data[is_kept])}


def check_neighbors(
    indices: np.ndarray, distances: np.ndarray, shape: tuple[int, ...], n: int
) -> None:
    """Raise ValueError for what are no neighbours among n rows: kernels trust indices."""
    if indices.dtype.kind not in "iu" or indices.shape != shape:
        raise ValueError(f"its neighbours are {indices.dtype} of shape {indices.shape}")
    if indices.size == 0 or not 0 <= indices.min() <= indices.max() < n:
        raise ValueError(f"its neighbours are not from 0 to {n - 1}")
    if distances.dtype.kind != "f" or distances.shape != indices.shape:
        raise ValueError(f"its distances are {distances.dtype} of shape {distances.shape}")
    check_finite(distances, "distances")
    if distances.min() < 0:
        raise ValueError("its distances are not all positive")


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


def save_embedding(
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
    check_choice(keep, "keep", KEEP)
    header, arrays = _embedding_to_arrays(embedding)
    if keep == "map":
        check_sparse_indices(embedding.affinities.P, "affinities.P")
        arrays |= _P_to_arrays(embedding.affinities)
    else:
        header["format"], header["columns"] = FORMAT, columns
        header["search"], more = affinities_to_arrays(embedding.affinities, keep)
        arrays |= more
    if kl_divergence is not None:
        header["kl_divergence"] = float(kl_divergence)
    # Raise where ``load_embedding`` would.
    written = json.loads(json.dumps(header))
    _embedding_from_arrays(type(embedding), written, arrays)
    index = embedding.affinities.knn_index
    if keep != "map" and index is not None:
        check_restorable(written["search"], arrays, index, len(embedding))
    write_archive(path, header, arrays)


def load_embedding(make: Callable[..., Loaded], path: FilePath, X: Rows | None = None) -> Loaded:
    """Make an embedding from a file: see ``TSNEEmbedding.load``."""
    with open_archive(path, EMBEDDING, FORMAT, WHAT) as archive:
        embedding = _embedding_from_arrays(make, archive.header, archive.arrays())
    index = embedding.affinities.knn_index
    if X is not None and index is None:
        raise ValueError(
            "X is given, but the file has no index of rows: load it without X, or save the "
            'map with keep="index" or keep="rows"'
        )
    if X is not None and isinstance(index, IndexWithoutRows):
        embedding.affinities.knn_index = index.with_rows(X)
    elif X is not None and index is not None:
        check_rows(X, index)
    return embedding


def read_embedding_columns(path: FilePath) -> list[str] | None:
    """Return the names of the columns that a file's rows have, or None."""
    with open_archive(path, EMBEDDING, FORMAT, WHAT) as archive:
        columns = check_type(archive.header.get("columns"), "columns", list, type(None))
        return columns and [check_type(name, "columns", str) for name in columns]


def _embedding_to_arrays(embedding: Embedding) -> tuple[Header, Arrays]:
    if not isinstance(embedding.negative_gradient_method, str):
        raise TypeError(
            "to save an embedding, its negative_gradient_method must be a name; got "
            f"{embedding.negative_gradient_method!r}"
        )
    arrays = {"embedding": np.asarray(embedding)}
    attributes = {name: getattr(embedding.affinities, name, None) for name in AFFINITY_ATTRIBUTES}
    header: Header = {
        "kind": EMBEDDING,
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
        header["state"], more = descent_to_arrays(embedding.optimizer.state)
        arrays |= more
    return header, arrays


def _P_to_arrays(affinities: Affinities) -> Arrays:
    arrays = csr_to_arrays(affinities.P_float32.tocsr(), "P_")
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


def _embedding_from_arrays(make: Callable[..., Loaded], header: Header, arrays: Arrays) -> Loaded:
    points = arrays["embedding"]
    if points.dtype != np.float64 or points.ndim != 2:
        raise ValueError(f"embedding has dtype {points.dtype} and shape {points.shape}")
    affinities = _any_affinities_from_arrays(header, arrays, len(points))
    optimizer, state = GradientDescent(), check_type(header["state"], "state", dict, type(None))
    if state is not None:
        optimizer.state = descent_from_arrays(state, arrays)
        check_state(optimizer.state, points.shape, STATE)
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


def _any_affinities_from_arrays(header: Header, arrays: Arrays, n: int) -> Affinities:
    if header["format"] != 1:
        search = check_type(header["search"], "search", dict)
        return affinities_from_arrays(search, arrays, n)
    affinities = SavedAffinities()
    affinities.P = P = csr_from_arrays(arrays, "P_", (n, n))
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


def generator_state(generator: RandomGenerator) -> object:
    """Return the state of a random generator, as JSON can express it."""
    if isinstance(generator, np.random.RandomState):
        return to_json(generator.get_state(legacy=False), has_dtypes=True)
    return to_json(generator.bit_generator.state, has_dtypes=True)


def set_generator_state(generator: RandomGenerator, state: object) -> None:
    """Put a random generator of the same kind into a state; ValueError if it is none."""
    decoded = _with_arrays(state)
    if not isinstance(decoded, dict):
        raise ValueError("no state of a random generator")
    try:
        if isinstance(generator, np.random.RandomState):
            generator.set_state(decoded)
        else:
            generator.bit_generator.state = decoded
    except (TypeError, KeyError) as error:
        raise ValueError(f"no state of a random generator: {error}") from error


def _with_arrays(state: object) -> object:
    if not isinstance(state, Mapping):
        return state
    if state.keys() == {"dtype", "values"}:
        return np.array(state["values"], np.dtype(str(state["dtype"])))
    return {key: _with_arrays(value) for key, value in state.items()}


def fingerprint(value: object, name: str = "value") -> str:
    """Return a short text that differs where two parameters or data sets do.

    Functions and objects of a user's own count by their names only; the stage in which a large
    array is read has the name.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, (str, int, float, bool, type(None))):
        text = repr(value)
        return text if len(text) <= MAX_TEXT else f"text {_hash(text)}"
    if isinstance(value, np.ndarray):
        return f"{value.dtype} {value.shape} {_hash_rows(value, name)}"
    if isinstance(value, RowSource):  # rows on other machines
        digest = value.fold(CHUNK_NUMBERS, _add_to_hash, b"")
        return f"{value.dtype} {value.shape} in chunks {digest.hex()}"
    if sp.issparse(value):
        return _of_sparse(sp.csr_array(value), name)
    if isinstance(value, Affinities):
        return f"affinities {_of_sparse(value.P_float32, name)}"
    if isinstance(value, Mapping):
        parts = {str(key): fingerprint(each, name) for key, each in value.items()}
        return _short(repr(sorted(parts.items())))
    if isinstance(value, (list, tuple)):
        return _short(f"[{', '.join(fingerprint(each, name) for each in value)}]")
    if isinstance(value, (np.random.RandomState, np.random.Generator)):
        return _short(repr(generator_state(value)))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):  # a stage of a schedule
        return _short(repr(value))
    if callable(value) and hasattr(value, "__qualname__"):
        return f"{value.__module__}.{value.__qualname__}"
    if hasattr(value, "__array__"):
        return fingerprint(np.asarray(value), name)
    return f"{type(value).__module__}.{type(value).__qualname__}"


def _of_sparse(matrix: sp.csr_matrix, name: str) -> str:
    parts = (matrix.indptr, matrix.indices, matrix.data)
    return f"sparse {matrix.shape} {_short(' '.join(fingerprint(part, name) for part in parts))}"


def _short(text: str) -> str:
    return text if len(text) <= MAX_TEXT else _hash(text)


def _hash(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _add_to_hash(before: bytes, first: int, chunk: np.ndarray) -> bytes:
    digest = hashlib.blake2b(before, digest_size=16)
    digest.update(np.ascontiguousarray(chunk).data)
    return digest.digest()


def _hash_rows(array: np.ndarray, name: str) -> str:
    digest = hashlib.blake2b(digest_size=16)
    rows = array.reshape(len(array), -1) if array.ndim > 1 and array.size else array.reshape(-1, 1)
    for some in iter_rows(f"fingerprint of {name}", len(rows), rows.shape[1]):
        digest.update(np.ascontiguousarray(rows[some]).data)
    return digest.hexdigest()
