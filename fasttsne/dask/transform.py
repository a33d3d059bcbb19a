"""New rows in a map, where they are: each worker that places some has the rows of the data.

No row depends on another, so that chunks of any size give the same.
"""

from collections.abc import Mapping
from typing import Any

import dask
import dask.array as da
import numpy as np

from fasttsne.affinity.neighbor_based import KNNAffinities
from fasttsne.dask.reading import read_block
from fasttsne.embedding import TSNEEmbedding
from fasttsne.nearest_neighbors.index import KNNIndex
from fasttsne.runtime.validation import check_data

MODEL, PLACE = "map and rows", "placing rows"


def transformed(
    embedding: TSNEEmbedding, rows: da.Array, X: da.Array, parameters: Mapping[str, Any]
) -> da.Array:
    """Return the places of the rows of X, (m, n_components), nothing of which is computed.

    Parameters
    ----------
    embedding : of a fit on a cluster; rows : its data.
    parameters : those of :meth:`fasttsne.TSNEEmbedding.transform`.
    """
    if X.shape[1] != rows.shape[1]:
        raise ValueError(f"X must have {rows.shape[1]} columns, as the data has; got {X.shape[1]}")
    whole = rows.rechunk({1: -1})
    affinities = embedding.affinities
    settings = {
        **(embedding.gradient_descent_params or {}),
        "callbacks": None,
        "n_jobs": 1,
        "dof": embedding.dof,
        "negative_gradient_method": embedding.negative_gradient_method,
    }
    make = dask.delayed(_model, name=MODEL, pure=False)
    model = make(whole.to_delayed().ravel().tolist(), affinities, np.asarray(embedding), settings)
    return da.map_blocks(
        _place,
        X.rechunk({1: -1}),
        model=model,
        parameters=dict(parameters),
        name=None,
        token=PLACE,
        dtype=np.float64,
        chunks=(X.chunks[0], (embedding.shape[1],)),
        meta=np.empty((0, 0)),
    )


class Model:
    """An embedding that Dask sends as it is; arrays of any class it sends as plain ones."""

    def __init__(self, embedding: TSNEEmbedding):
        self.embedding = embedding


def _model(
    blocks: list[Any], affinities: Any, points: np.ndarray, settings: dict[str, Any]
) -> "Model":
    """Return the map with the rows of the data, as a local fit has it."""
    rows = check_data(np.concatenate([read_block(block) for block in blocks]))
    local = _as_local(affinities, KNNAffinities)
    local.knn_index = _as_local(affinities.knn_index, KNNIndex)
    local.knn_index.data = rows
    for part in local, local.knn_index:
        part.n_jobs = 1
    return Model(TSNEEmbedding(points, local, **settings))


def _as_local(elsewhere: Any, base: type) -> Any:
    """Return an object of the local class that a class of this package extends."""
    cls = next(
        each
        for each in type(elsewhere).__mro__
        if issubclass(each, base) and not each.__module__.startswith("fasttsne.dask")
    )
    local = cls.__new__(cls)
    vars(local).update(vars(elsewhere))
    return local


def _place(block: Any, model: "Model", parameters: dict[str, Any]) -> np.ndarray:
    embedding = model.embedding
    if not len(block):
        return np.empty((0, embedding.shape[1]))
    return np.asarray(embedding.transform(read_block(block), **parameters))
