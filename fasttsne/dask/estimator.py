"""t-SNE whose rows and edges stay on a Dask cluster."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dask
import dask.array as da
import numpy as np
from distributed import Client, default_client
from numpy.typing import ArrayLike

from fasttsne.affinity import Affinities
from fasttsne.anchors import Anchors
from fasttsne.dask.affinities import ClusterAffinities, Recipe
from fasttsne.dask.backend import DaskBackend
from fasttsne.dask.cluster import Cluster, refusal
from fasttsne.dask.neighbors import SEARCHES
from fasttsne.dask.rows import as_dask_array, read_block
from fasttsne.embedding import TSNEEmbedding
from fasttsne.fit.backend import Backend, LocalBackend
from fasttsne.fit.estimator import Estimator
from fasttsne.fit.request import FitRequest
from fasttsne.fit.run import prepare_fit, run_fit
from fasttsne.nearest_neighbors.builtin.metrics import METRICS
from fasttsne.optimize.parameters import TRANSFORM, check_params
from fasttsne.optimize.plan import resolve_fixed_method
from fasttsne.runtime.typing import Params
from fasttsne.runtime.validation import check_data

__all__ = ["TSNE"]

# Tasks of new rows, on the dashboard.
MODEL, PLACE = "map and rows", "placing rows"


class TSNE(Estimator):
    """t-SNE on a Dask cluster, with the map of the local fit to the last bit.

    Rows, neighbours and affinities stay on the workers.  This process holds the map, what the
    optimizer remembers of it, samples of rows, and a table of the cells of the search; and the
    graph, where all of it is needed at once: for ``density_weight``, an objective function, the
    spectral initialization, and anchors without initial positions.

    Parameters
    ----------
    client : a ``distributed.Client``; None is the current one.
    parameters : as for :class:`fasttsne.TSNE`.  ``n_jobs`` is of this process; workers use the
        threads that they have.  ``checkpoint`` is the path of a file in a folder that workers see,
        too, or an address as "s3://bucket/run.npz": they write the neighbours beside it.  Where
        they cannot, a warning says so, and a resumed fit searches once more.
        ``memory_limit`` and ``temp_folder`` have no effect; workers spill to disk as Dask is told.

    Attributes
    ----------
    embedding_ : the embedding of the last ``fit``.
    """

    def __init__(self, client: Client | None = None, **parameters: Any):
        super().__init__(**parameters)
        self.client = client

    def fit(
        self,
        X: object = None,
        affinities: Affinities | ArrayLike | None = None,
        initialization: str | ArrayLike | None = None,
        anchors: Anchors | None = None,
    ) -> TSNEEmbedding:
        """Embed the rows of a Dask collection.

        Parameters
        ----------
        X : (n_samples, n_features) Dask array of real numbers, its chunks NumPy arrays (or SciPy
            sparse matrices, of up to 4,194,304 numbers in all); Dask data frame; ``zarr.Array``;
            AnnData with one of them as ``X``; NumPy array.
        affinities, initialization, anchors : as for :class:`fasttsne.TSNE`.  Given affinities are
            read in this process.

        Returns
        -------
        TSNEEmbedding
            (n_samples, n_components) float64, in this process.

        Raises
        ------
        ValueError
            Where there is no client, a number is not finite, chunks have no known sizes, or
            parameters are among what is refused on a cluster.
        MemoryError
            Where the graph is needed in this process, and takes more than is free.
        RuntimeError
            Where workers lack fasttsne or have other versions than this process.
        ClusterError
            Where no worker is left: its message names the stage.
        """
        rows = None if X is None else as_dask_array(X)
        request = FitRequest.make(self._params(), affinities, initialization, anchors)
        with self._backend(rows, request) as backend:
            vars(self).pop("embedding_", None)  # which is of other rows than those from here on
            self._rows = rows  # which ``transform`` reads again
            try:
                return run_fit(rows, request, backend, self._keep)
            finally:
                embedding = vars(self).get("embedding_")
                if embedding is not None and isinstance(embedding.affinities, ClusterAffinities):
                    embedding.affinities.release_graph()
                    embedding.release_objective()

    def fit_transform(self, X: object, y: object = None) -> TSNEEmbedding:
        """Embed the rows of a Dask collection, as :meth:`fit`; y is not used."""
        return self.fit(X)

    def prepare_initial(
        self,
        X: object = None,
        affinities: Affinities | ArrayLike | None = None,
        initialization: str | ArrayLike | None = None,
        anchors: Anchors | None = None,
    ) -> TSNEEmbedding:
        """Return the embedding before optimization, with all its affinities in this process.

        See :meth:`fit` for parameters and errors.  It keeps no checkpoint.
        """
        rows = None if X is None else as_dask_array(X)
        request = FitRequest.make(self._params(), affinities, initialization, anchors)
        with self._backend(rows, request, fetches_graph=True) as backend:
            return prepare_fit(rows, request, backend)

    @contextmanager
    def _backend(
        self, rows: da.Array | None, request: FitRequest, fetches_graph: bool = False
    ) -> Iterator[Backend]:
        """Yield the workers; without rows there is nothing for them to do."""
        if rows is None:
            yield LocalBackend(request)
            return
        _check_request(request)
        with Cluster(self._client()).in_use() as cluster:
            cluster.wait_for_workers("planning")
            yield DaskBackend(request, cluster, fetches_graph)

    def get_params(self, deep: bool = True) -> dict[str, object]:
        """Return the client and all parameters by name, as ``fasttsne.TSNE.get_params``."""
        return {"client": self.client, **super().get_params(deep)}

    def __sklearn_clone__(self) -> "TSNE":
        """Return an unfitted copy on the same cluster: a client cannot be copied."""
        return type(self)(self.client, **super().get_params())

    def transform(self, X: object, **parameters: object) -> da.Array:
        """Place new rows in the map of the last fit.

        Parameters
        ----------
        X : (m, n_features) Dask collection, as for :meth:`fit`.
        parameters : as for :meth:`fasttsne.TSNEEmbedding.transform`, without ``out``.

        Returns
        -------
        dask.array.Array
            (m, n_components) float64, in the chunks of X's rows.  Nothing is computed yet.  The
            tasks read the rows of the data that was fitted once more, and each worker that places
            rows holds all of them, the cells of the search and the map in memory.
        """
        embedding = vars(self).get("embedding_")
        if embedding is None:
            raise ValueError("there is no map yet: call fit first")
        check_params(parameters, {name: TRANSFORM[name] for name in TRANSFORM if name != "out"})
        return _transformed(embedding, self._rows, as_dask_array(X, min_rows=1), parameters)

    def __getstate__(self) -> dict[str, object]:
        """Leave out the client, which is of this process."""
        return {**vars(self), "client": None}

    def _client(self) -> Client:
        if self.client is None:
            try:
                return default_client()
            except ValueError as error:
                raise ValueError(
                    "there is no Dask client: make one, client = distributed.Client(address), or "
                    "give it, fasttsne.dask.TSNE(client)"
                ) from error
        if not isinstance(self.client, Client):
            raise TypeError(f"client must be a distributed.Client; got {self.client!r}")
        if self.client.asynchronous:
            raise TypeError("client must not be asynchronous")
        if self.client.status in ("closing", "closed"):
            raise ValueError(f"client must not be closed; got {self.client!r}")
        return self.client


def _check_request(request: FitRequest) -> None:
    """Raise ValueError for a search that cannot run on workers."""
    if request.affinities is not None:
        return
    neighbors, metric = request.params["neighbors"], request.params["metric"]
    if not (isinstance(neighbors, str) and neighbors in SEARCHES):
        raise refusal("neighbors", neighbors)
    if not (isinstance(metric, str) and metric in METRICS):
        raise refusal("metric", metric)


def _transformed(
    embedding: TSNEEmbedding, rows: da.Array | None, X: da.Array, parameters: Params
) -> da.Array:
    """Return the positions of new rows, X, in the map of ``rows``.

    No row depends on another: chunks of any size give the same.
    """
    recipe = Recipe.of(embedding.affinities)
    if rows is None:
        raise refusal("transform")
    if X.shape[1] != rows.shape[1]:
        raise ValueError(f"X must have {rows.shape[1]} columns, as the data has; got {X.shape[1]}")
    settings = {
        **(embedding.gradient_descent_params or {}),
        "callbacks": None,
        "n_jobs": 1,
        "dof": embedding.dof,
        # Workers may not have the module of a function.
        "negative_gradient_method": resolve_fixed_method(
            embedding.negative_gradient_method, len(embedding)
        ),
    }
    blocks = rows.rechunk({1: -1}).to_delayed().ravel().tolist()
    make = dask.delayed(Model, name=MODEL, pure=False)
    return da.map_blocks(
        _place,
        X.rechunk({1: -1}),
        model=make(blocks, recipe, np.asarray(embedding), settings),
        parameters=dict(parameters),
        name=None,
        token=PLACE,
        dtype=np.float64,
        chunks=(X.chunks[0], (embedding.shape[1],)),
        meta=np.empty((0, 0)),
    )


class Model:
    """A map with the rows of the data; Dask would send the embedding itself as a plain array."""

    def __init__(
        self, blocks: list[np.ndarray], recipe: Recipe, points: np.ndarray, settings: Params
    ):
        rows = check_data(np.concatenate([read_block(block) for block in blocks]))
        self.embedding = TSNEEmbedding(points, recipe.to_local(rows), **settings)


def _place(block: np.ndarray, model: Model, parameters: Params) -> np.ndarray:
    embedding = model.embedding
    if not len(block):
        return np.empty((0, embedding.shape[1]))
    return np.asarray(embedding.transform(read_block(block), **parameters))
