"""What new rows need of a map, in the file of an embedding: neighbours, the search, the rows.

Affinities are not kept: they follow from the neighbours, to the bit.  Rows are, or are given again
when the file is read; a fingerprint says whether they are the same.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from fasttsne.affinity import (
    FixedSigmaNN,
    Multiscale,
    MultiscaleMixture,
    PerplexityBasedNN,
    Uniform,
)
from fasttsne.affinity.neighbor_based import KNNAffinities
from fasttsne.io.archive import check_type, to_python_scalar
from fasttsne.io.fingerprint import fingerprint
from fasttsne.nearest_neighbors.changing import REMOVED, ChangingIndex, Part, stack_rows
from fasttsne.nearest_neighbors.graph import KNNGraph
from fasttsne.nearest_neighbors.packages import BACKENDS
from fasttsne.nearest_neighbors.select import make_index
from fasttsne.runtime.canonical import check_finite
from fasttsne.runtime.validation import check_data

KEEP = "map", "index", "rows"
OTHER_ROWS = "X has not the rows of the map, or not in their order"
FAMILIES: dict[str, type[KNNAffinities]] = {
    family.__name__: family
    for family in (PerplexityBasedNN, MultiscaleMixture, Multiscale, FixedSigmaNN, Uniform)
}

Header = dict[str, Any]
Arrays = dict[str, np.ndarray]


class SavedPart(NamedTuple):
    """A part of an index as a file has it.

    Attributes
    ----------
    header : dict
        Its search and parameters.
    numbers : array of int32, shape (rows,)
        Positions of its rows in the map, ``REMOVED`` for dropped rows.
    search : dict of arrays
        What the search has built.
    rows : array or CSR matrix
        All of its rows; without ``keep="rows"`` only the dropped ones, which cannot be given again.
    """

    header: Header
    numbers: np.ndarray
    search: Arrays
    rows: Any

    def rows_among(self, X: Any) -> Any:
        """Return all rows of the part, given the rows X of the map."""
        is_left = self.numbers != REMOVED
        rows = X[self.numbers[is_left]]
        if self.rows.shape[0] == 0:
            return rows
        order = np.argsort(np.r_[np.flatnonzero(is_left), np.flatnonzero(~is_left)])
        return stack_rows([rows, self.rows])[order]

    def to_part(self, rows: Any) -> Part:
        """Return the part of an index, ready for queries, given all of its rows."""
        header = self.header
        index: Any = make_index(
            header["method"],
            rows,
            header["k"],
            metric=header["metric"],
            metric_params=header["metric_params"],
            n_jobs=header["n_jobs"],
            knn_kwargs=header["knn_kwargs"],
        )
        if fingerprint(index.data, "rows") != header["rows"]:
            raise ValueError(OTHER_ROWS)
        index.set_search_state(header["search"], self.search)
        return Part(index, self.numbers)


class IndexWithoutRows:
    """The index of a map that was saved without its rows."""

    metric = "unknown"

    def __init__(self, parts: list[SavedPart], n_samples: int, k: int):
        self.n_samples, self.k = n_samples, k
        self._parts = parts

    def with_rows(self, X: Any) -> Any:
        """Return the index with the rows of the map.

        Raises
        ------
        ValueError
            If X has other rows.
        """
        X = _check_number(X, self.n_samples)
        return self.with_rows_of_parts([part.rows_among(X) for part in self._parts])

    def with_rows_of_parts(self, rows: list[Any]) -> Any:
        """Return the index, given all rows of each part."""
        return _make_index(self._parts, rows, self.n_samples, self.k)

    def build(self) -> Any:
        """Raise NotImplementedError."""
        raise NotImplementedError(
            "the file of this map has no rows; give them again: TSNEEmbedding.load(path, X=rows)"
        )

    def query(self, X: Any, k: int) -> Any:
        """Raise NotImplementedError."""
        return self.build()

    @property
    def data(self) -> Any:
        """Raises NotImplementedError."""
        return self.build()


def to_header_and_arrays(affinities: Any, keep: str) -> tuple[Header, Arrays]:
    """Return what ``restore_affinities`` reads; with ``keep`` "rows" the rows are among it.

    Raises
    ------
    TypeError, ValueError
        If affinities or their search cannot be written.
    """
    name = type(affinities).__name__
    if type(affinities) is not FAMILIES.get(name):
        raise TypeError(
            f"keep={keep!r} needs affinities of a family that is computed from data; those of this "
            f'map are {name}: use keep="map", or pickle'
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
        header, found = _from_part(part, keep)
        headers.append(header)
        arrays |= {f"part{i}_{name}": array for name, array in found.items()}
    header = {
        "family": name,
        "symmetrize": affinities.symmetrize,
        "n_jobs": affinities.n_jobs,
        "n_used": int(affinities._n_used),
        "parameters": {each: _plain(getattr(affinities, each)) for each in affinities.PARAMETERS},
        "parts": headers,
    }
    return header, arrays


def check_rows(X: Any, index: Any) -> None:
    """Raise ValueError if X has other rows than an index."""
    rows = ChangingIndex.of(index, 1).rows(np.arange(index.n_samples))
    X = _check_number(X, index.n_samples)
    if X.shape == rows.shape:
        differ = rows != X
        if not (differ.nnz if sp.issparse(differ) else differ.any()):
            return
    raise ValueError(OTHER_ROWS)


def _check_number(X: Any, n: int) -> Any:
    X = check_data(X, "X", accept_sparse=True)
    if X.shape[0] != n:
        raise ValueError(f"X must be the {n} rows of the map; it has {X.shape[0]}")
    return X


def parts_of(index: Any) -> list[Part]:
    """Return the parts of an index, each with its rows."""
    if isinstance(index, ChangingIndex):
        return index.parts
    return [Part(index, np.arange(index.n_samples, dtype=np.int32))]


def _from_part(part: Part, keep: str) -> tuple[Header, Arrays]:
    index = part.index
    path = f"{type(index).__module__}.{type(index).__qualname__}"
    names = [name for name in BACKENDS if path == f"fasttsne.nearest_neighbors.{BACKENDS[name]}"]
    if not names or not isinstance(index.metric, str):
        raise TypeError(
            f"keep={keep!r} needs a search and a metric by name; those of this map are "
            f'{type(index).__name__} and {getattr(index, "metric", None)!r}: use keep="map", or '
            "pickle"
        )
    data = index.unchanged_data()
    state, arrays = index.search_state()
    header = {
        "method": names[0],
        "k": int(index.k),
        "metric": index.metric,
        "metric_params": _plain(index.metric_params),
        "n_jobs": index.n_jobs,
        "knn_kwargs": _plain(index.knn_kwargs),
        "search": _plain(state),
        "rows": fingerprint(data, "rows"),
    }
    arrays = {f"search_{name}": array for name, array in arrays.items()}
    arrays["numbers"] = part.numbers
    # Dropped rows are still in the search's cells.
    is_kept = np.full(len(part.numbers), keep == "rows") | (part.numbers == REMOVED)
    return header, {**arrays, **_from_rows(data if is_kept.all() else data[is_kept])}


def _from_rows(rows: Any) -> Arrays:
    if not sp.issparse(rows):
        return {"rows": np.asarray(rows)}
    return {
        "rows_data": rows.data,
        "rows_indices": rows.indices,
        "rows_indptr": rows.indptr,
        "rows_shape": np.array(rows.shape, np.int64),
    }


def _to_rows(arrays: Arrays) -> Any:
    if "rows" in arrays:
        return arrays["rows"]
    parts = (arrays[f"rows_{name}"] for name in ("data", "indices", "indptr"))
    rows = sp.csr_matrix(tuple(parts), shape=tuple(arrays["rows_shape"].tolist()))
    rows.check_format()
    return rows


def _plain(value: Any) -> Any:
    """Return parameters as JSON can express them: arrays as lists."""
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    return value.tolist() if isinstance(value, np.ndarray) else to_python_scalar(value)


def restore_affinities(header: Header, arrays: Arrays, n: int) -> KNNAffinities:
    """Return the affinities of n rows that ``to_header_and_arrays`` took apart.

    If the file has no rows, their index is an :class:`IndexWithoutRows`.

    Raises
    ------
    ValueError, KeyError
        If header or arrays are not right.
    """
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
        _read_part(part, arrays, f"part{i}_")
        for i, part in enumerate(check_type(header["parts"], "parts", list))
    ]
    left = np.concatenate([part.numbers[part.numbers != REMOVED] for part in parts])
    if not np.array_equal(np.sort(left), np.arange(n)):
        raise ValueError(f"the parts of the index do not have the {n} rows once each")
    has_rows = all(part.rows.shape[0] == len(part.numbers) for part in parts)
    index = (
        _make_index(parts, [part.rows for part in parts], n, k)
        if has_rows
        else IndexWithoutRows(parts, n, k)
    )
    graph = KNNGraph(
        index,
        np.ascontiguousarray(indices, np.int32),
        np.ascontiguousarray(distances, np.float32),
        units,
    )
    return FAMILIES[header["family"]].restore(
        graph, n_used, header["symmetrize"], header["n_jobs"], _parameters(header)
    )


def _parameters(header: Header) -> dict[str, Any]:
    """Return the parameters of the family; the first files of 0.2.0 have them by argument."""
    if "parameters" in header:
        parameters: dict[str, Any] = check_type(header["parameters"], "parameters", dict)
        return parameters
    arguments = check_type(header["arguments"], "arguments", dict)
    parameters = dict(check_type(header["attributes"], "attributes", dict))
    for given in "perplexity", "perplexities":
        if given in arguments:
            parameters[f"effective_{given}_"] = arguments[given]
    return parameters


def check_restorable(header: Header, arrays: Arrays, index: Any, n: int) -> None:
    """Raise ValueError if affinities cannot be restored, also with rows that are given again.

    index : the index that was written, which has the rows.
    """
    restored = restore_affinities(header, arrays, n).knn_index
    if isinstance(restored, IndexWithoutRows):
        restored.with_rows_of_parts([part.index.data for part in parts_of(index)])


def _read_part(header: Header, arrays: Arrays, prefix: str) -> SavedPart:
    own = {name.removeprefix(prefix): a for name, a in arrays.items() if name.startswith(prefix)}
    search = {
        name.removeprefix("search_"): array
        for name, array in own.items()
        if name.startswith("search_")
    }
    return SavedPart(header, own["numbers"].astype(np.int32), search, _to_rows(own))


def _make_index(parts: list[SavedPart], rows: list[Any], n: int, k: int) -> Any:
    made = [part.to_part(own) for part, own in zip(parts, rows, strict=True)]
    if len(made) == 1 and np.array_equal(made[0].numbers, np.arange(n)):
        return made[0].index
    return ChangingIndex(made, k)


def check_neighbors(
    indices: np.ndarray, distances: np.ndarray, shape: tuple[int, ...], n: int
) -> None:
    """Kernels trust indices: raise ValueError where they are not those of some of n rows."""
    if indices.dtype.kind not in "iu" or indices.shape != shape:
        raise ValueError(f"its neighbours are {indices.dtype} of shape {indices.shape}")
    if indices.size == 0 or not 0 <= indices.min() <= indices.max() < n:
        raise ValueError(f"its neighbours are not from 0 to {n - 1}")
    if distances.dtype.kind != "f" or distances.shape != indices.shape:
        raise ValueError(f"its distances are {distances.dtype} of shape {distances.shape}")
    check_finite(distances, "distances")
    if distances.min() < 0:
        raise ValueError("its distances are not all positive")
