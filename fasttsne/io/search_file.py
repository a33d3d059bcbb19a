"""What new rows need of a map, in the file of an embedding: neighbours, the search, the rows.

Affinities are not kept: they follow from the neighbours, to the bit.  Rows are, or are given again
when the file is read; a fingerprint says whether they are the same.
"""

import warnings
from collections.abc import Mapping
from typing import Any

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
from fasttsne.nearest_neighbors.changing import GONE, ChangingIndex, Part, stack_rows
from fasttsne.nearest_neighbors.known import found_by
from fasttsne.nearest_neighbors.packages import BACKENDS
from fasttsne.nearest_neighbors.select import make_index
from fasttsne.runtime.canonical import check_finite
from fasttsne.runtime.validation import check_data

KEEP = "map", "index", "rows"
# Families, and arguments that are other than their attributes of the same name.
FAMILIES: dict[str, tuple[Any, dict[str, str]]] = {
    "PerplexityBasedNN": (PerplexityBasedNN, {"perplexity": "effective_perplexity_"}),
    "MultiscaleMixture": (MultiscaleMixture, {"perplexities": "effective_perplexities_"}),
    "Multiscale": (Multiscale, {"perplexities": "effective_perplexities_"}),
    "FixedSigmaNN": (FixedSigmaNN, {"sigma": "sigma"}),
    "Uniform": (Uniform, {}),
}
TABLES = "neighbors", "distances", "units"

Header = dict[str, Any]
Arrays = dict[str, np.ndarray]


class RowsLeftOut:
    """The index of a file without rows, to which none were given."""

    metric = "unknown"

    def __init__(self, n_samples: int, k: int):
        self.n_samples, self.k = n_samples, k

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
    """Return what ``make_affinities`` reads; with ``keep`` "rows" the rows are among it.

    Raises
    ------
    TypeError, ValueError
        Where affinities or their search cannot be written.
    """
    name = type(affinities).__name__
    if name not in FAMILIES or type(affinities) is not FAMILIES[name][0]:
        raise TypeError(
            f"keep={keep!r} needs affinities of a family that is computed from data; those of this "
            f'map are {name}: use keep="map", or pickle'
        )
    _ = affinities.P_float32  # follows changes in place
    if affinities._is_given:
        raise ValueError(f'keep={keep!r} needs affinities as computed; P was changed: keep="map"')
    index = affinities.knn_index
    parts = index.parts if isinstance(index, ChangingIndex) else [_only_part(index)]
    arrays: Arrays = {
        "neighbors": affinities._indices, "distances": affinities._distances,
        "units": affinities._units,
    }  # fmt: skip
    headers = []
    for i, part in enumerate(parts):
        header, found = _from_part(part, keep)
        headers.append(header)
        arrays |= {f"part{i}_{name}": array for name, array in found.items()}
    arguments = {name: getattr(affinities, kept) for name, kept in FAMILIES[name][1].items()}
    attributes = {each: getattr(affinities, each) for each in arguments}
    header = {
        "family": name, "symmetrize": affinities.symmetrize, "n_jobs": affinities.n_jobs,
        "n_used": int(affinities._n_used), "arguments": _plain(arguments),
        "attributes": _plain(attributes), "parts": headers,
    }  # fmt: skip
    return header, arrays


def _only_part(index: Any) -> Part:
    return Part(index, np.arange(index.n_samples, dtype=np.int32))


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
        "method": names[0], "k": int(index.k), "metric": index.metric,
        "metric_params": _plain(index.metric_params), "n_jobs": index.n_jobs,
        "knn_kwargs": _plain(index.knn_kwargs), "search": _plain(state),
        "rows": fingerprint(data, "rows"),
    }  # fmt: skip
    arrays = {f"search_{name}": array for name, array in arrays.items()}
    arrays["numbers"] = part.numbers
    # Rows that have left the map are still in the search's cells.
    is_kept = np.full(len(part.numbers), keep == "rows") | (part.numbers == GONE)
    return header, {**arrays, **_from_rows(data if is_kept.all() else data[is_kept])}


def _from_rows(rows: Any) -> Arrays:
    if not sp.issparse(rows):
        return {"rows": np.asarray(rows)}
    return {
        "rows_data": rows.data, "rows_indices": rows.indices, "rows_indptr": rows.indptr,
        "rows_shape": np.array(rows.shape, np.int64),
    }  # fmt: skip


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


def make_affinities(header: Header, arrays: Arrays, n: int, X: Any) -> KNNAffinities:
    """Return the affinities of n rows that ``to_header_and_arrays`` took apart.

    X : the rows, where the file may not have them; or None.

    Raises
    ------
    ValueError
        Where the file is not right, or X has other rows.
    """
    indices, distances, units = (arrays[name] for name in TABLES)
    check_neighbors(indices, distances, (n, *indices.shape[1:2]), n)
    if units.dtype != np.float64 or units.shape != (n,) or not (units > 0).all():
        raise ValueError(f"units are {units.dtype} of shape {units.shape}, or not all positive")
    check_finite(units, "units")
    if (units != 1).any():
        distances = distances * units[:, None]
    cls, names = FAMILIES[header["family"]]
    index = _make_index(header["parts"], arrays, n, indices.shape[1], X)
    arguments = {name: header["arguments"][name] for name in names}
    with found_by(lambda _: (indices, distances)), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the fit has warned
        affinities: KNNAffinities = cls(
            knn_index=index, symmetrize=header["symmetrize"], n_jobs=header["n_jobs"], **arguments
        )
    for name in names:
        setattr(affinities, name, header["attributes"][name])
    n_used = check_type(header["n_used"], "n_used", int)
    if not 0 < n_used <= indices.shape[1]:
        raise ValueError(f"n_used is {n_used}")
    if n_used != affinities._n_used:
        affinities._set_joint(n_used)
    return affinities


def _make_index(headers: list[Header], arrays: Arrays, n: int, k: int, X: Any) -> Any:
    own = [_of_part(arrays, i) for i in range(len(check_type(headers, "parts", list)))]
    numbers = [each["numbers"] for each in own]
    left = np.concatenate(numbers)
    if not np.array_equal(np.sort(left[left != GONE]), np.arange(n)):
        raise ValueError(f"the parts of the index do not have the {n} rows once each")
    rows = [_to_rows(each) for each in own]
    has_rows = all(r.shape[0] == len(each) for r, each in zip(rows, numbers, strict=True))
    if X is not None:
        X = check_data(X, "X", accept_sparse=True)
        if X.shape[0] != n:
            raise ValueError(f"X must be the {n} rows of the map; it has {X.shape[0]}")
    elif not has_rows:
        return RowsLeftOut(n, k)
    parts = [
        _make_part(header, each, some, X)
        for header, each, some in zip(headers, own, rows, strict=True)
    ]
    if len(parts) == 1 and (parts[0].numbers == np.arange(n)[: len(parts[0].numbers)]).all():
        return parts[0].index
    return ChangingIndex(parts, k)


def _of_part(arrays: Arrays, i: int) -> Arrays:
    prefix = f"part{i}_"
    return {name.removeprefix(prefix): a for name, a in arrays.items() if name.startswith(prefix)}


def _make_part(header: Header, arrays: Arrays, rows: Any, X: Any) -> Part:
    numbers = arrays["numbers"].astype(np.int32)
    if rows.shape[0] != len(numbers):
        is_left = numbers != GONE
        order = np.argsort(np.r_[np.flatnonzero(is_left), np.flatnonzero(~is_left)])
        rows = stack_rows([X[numbers[is_left]], rows])[order] if rows.shape[0] else X[numbers]
    index: Any = make_index(
        header["method"], rows, header["k"], metric=header["metric"],
        metric_params=header["metric_params"], n_jobs=header["n_jobs"],
        knn_kwargs=header["knn_kwargs"],
    )  # fmt: skip
    if fingerprint(index.data, "rows") != header["rows"]:
        raise ValueError("X has not the rows of the map, or not in their order")
    prefix = "search_"
    found = {name.removeprefix(prefix): a for name, a in arrays.items() if name.startswith(prefix)}
    index.set_search_state(header["search"], found)
    return Part(index, numbers)


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
