"""t-SNE whose rows and edges stay on a Dask cluster."""

from collections.abc import Mapping
from typing import Any

import dask.array as da
from distributed import Client, default_client
from numpy.typing import ArrayLike

from fasttsne.anchors import Anchors
from fasttsne.dask.backend import DaskBackend
from fasttsne.dask.cluster import Cluster
from fasttsne.dask.reading import as_dask_array
from fasttsne.dask.transform import transformed
from fasttsne.embedding import TSNEEmbedding
from fasttsne.fit.estimator import Estimator
from fasttsne.fit.request import FitRequest
from fasttsne.fit.run import run_fit
from fasttsne.optimize.parameters import TRANSFORM, check_params

__all__ = ["TSNE"]


class TSNE(Estimator):
    """t-SNE on a Dask cluster, with the map of the local fit to the last bit.

    Rows, neighbours and affinities stay on the workers.  This process holds the map, what the
    optimizer remembers of it, samples of rows, and a table of the cells of the search.

    Parameters
    ----------
    client : a ``distributed.Client``; None is the current one.
    parameters : those of :class:`fasttsne.TSNE`.  ``n_jobs`` is of this process; workers use the
        threads that they have.  ``checkpoint`` is the path of a file in a folder that workers see,
        too, or an address as "s3://bucket/run.npz": they write the neighbours beside it.  Where
        they cannot, a warning says so, and a fit that goes on searches once more.
        ``memory_limit`` and ``temp_folder`` have no effect; workers spill to disk as Dask is told.

    Attributes
    ----------
    embedding_ : the embedding of the last ``fit``, as of :class:`fasttsne.TSNE`.
    """

    def __init__(self, client: Client | None = None, **parameters: Any):
        super().__init__(**parameters)
        self.client = client

    def fit(
        self,
        X: Any = None,
        affinities: Any = None,
        initialization: str | ArrayLike | None = None,
        anchors: Anchors | None = None,
    ) -> TSNEEmbedding:
        """Embed the rows of a Dask collection.

        Parameters
        ----------
        X : (n_samples, n_features) Dask array of real numbers, its chunks NumPy arrays (or SciPy
            sparse matrices, of up to 4,194,304 numbers in all); Dask data frame; ``zarr.Array``;
            AnnData with one of them as ``X``; NumPy array.
        affinities : must be None.
        initialization : as of :class:`fasttsne.TSNE`, but not "spectral".
        anchors : as of :class:`fasttsne.TSNE`, but initial positions have to be given with them.

        Returns
        -------
        TSNEEmbedding
            (n_samples, n_components) float64, in this process.

        Raises
        ------
        ValueError
            Where there is no client, a number is not finite, or chunks have no known sizes.
        RuntimeError
            Where workers lack fasttsne or have other versions than this process.
        ClusterError
            Where no worker is left: its message names the stage.
        """
        if affinities is not None:
            raise NotImplementedError("affinities must be None on a cluster")
        params = self._params()
        if initialization is None:
            initialization = params["initialization"]
        _check_distributed(params, initialization, anchors)
        rows = as_dask_array(X)
        with Cluster(self._client()).in_use() as cluster:
            cluster.wait_for_workers("planning")
            vars(self).pop("embedding_", None)  # which is of other rows than those from here on
            self._rows = rows  # which ``transform`` reads again
            request = FitRequest.make(params, rows, None, initialization, anchors)
            try:
                return run_fit(request, DaskBackend(request, cluster), self._keep)
            finally:
                self._forget_cluster()

    def fit_transform(self, X: Any, y: object = None) -> TSNEEmbedding:
        """Embed the rows of a Dask collection, as :meth:`fit`; y is not used."""
        return self.fit(X)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the client and all parameters by name, as ``fasttsne.TSNE.get_params``."""
        return {"client": self.client, **super().get_params(deep)}

    def __sklearn_clone__(self) -> "TSNE":
        """Return an unfitted copy on the same cluster: a client cannot be copied."""
        return type(self)(**self.get_params())

    def transform(self, X: Any, **parameters: Any) -> da.Array:
        """Place new rows in the map of the last fit.

        Parameters
        ----------
        X : (m, n_features) Dask collection, as for :meth:`fit`.
        parameters : those of :meth:`fasttsne.TSNEEmbedding.transform`, without ``out``.

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
        return transformed(embedding, self._rows, as_dask_array(X, min_rows=1), parameters)

    def prepare_initial(self, *arguments: Any, **keywords: Any) -> TSNEEmbedding:
        raise NotImplementedError(
            "an embedding that is not optimized would keep its edges on the cluster: call fit"
        )

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the client, which is of this process."""
        return {**vars(self), "client": None}

    def _forget_cluster(self) -> None:
        embedding = vars(self).get("embedding_")
        if embedding is not None:
            embedding.affinities.release_graph()
            embedding._cached_objective = None

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


def _check_distributed(
    params: Mapping[str, Any], initialization: Any, anchors: Anchors | None
) -> None:
    """Raise NotImplementedError for what has no meaning on a cluster yet."""
    if params["density_weight"]:
        raise NotImplementedError("density_weight is not distributed yet; it must be 0")
    if not isinstance(params["negative_gradient_method"], str):
        raise NotImplementedError("negative_gradient_method must be a name on a cluster")
    if isinstance(initialization, str) and initialization == "spectral":
        raise NotImplementedError(
            "initialization 'spectral' is not distributed; use 'pca', 'random' or an array"
        )
    if anchors is not None and isinstance(initialization, str):
        raise NotImplementedError(
            "with anchors on a cluster, initialization must be an array of positions"
        )
