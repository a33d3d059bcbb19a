"""t-SNE whose rows and edges stay on a Dask cluster."""

from collections.abc import Mapping
from typing import Any

import dask.array as da
import numpy as np
from distributed import Client, default_client
from numpy.typing import ArrayLike

from fasttsne.affinity.base import Affinities
from fasttsne.anchors import Anchors
from fasttsne.dask.affinities import ClusterMixture, ClusterPerplexity
from fasttsne.dask.checkpoint import ClusterCheckpoint
from fasttsne.dask.cluster import Cluster
from fasttsne.dask.reading import as_dask_array, read_rows
from fasttsne.dask.transform import transformed
from fasttsne.embedding import TSNEEmbedding
from fasttsne.initialization import initial_positions, pca_of_rows
from fasttsne.memory import MemoryPlan
from fasttsne.optimize.parameters import TRANSFORM, check_params
from fasttsne.runtime.typing import RandomGenerator
from fasttsne.tsne import TSNE as LocalTSNE

__all__ = ["TSNE"]


class TSNE(LocalTSNE):
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
        if anchors is not None and isinstance(
            self.initialization if initialization is None else initialization, str
        ):
            raise NotImplementedError(
                "with anchors on a cluster, initialization must be an array of positions"
            )
        self._check_distributed()
        rows = as_dask_array(X)
        with Cluster(self._client()).in_use() as cluster:
            self._cluster = cluster
            cluster.wait_for_workers("planning")
            vars(self).pop("embedding_", None)  # which is of other rows than those from here on
            self._rows = rows  # which ``transform`` reads again
            try:
                return super().fit(rows, None, initialization, anchors)
            finally:
                del self._cluster
                self._forget_cluster()

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the client and all parameters by name, as :meth:`fasttsne.TSNE.get_params`."""
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
            embedding.affinities.forget_graph()
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

    def _check_distributed(self) -> None:
        """Raise NotImplementedError for parameters that have no meaning on a cluster yet."""
        if self.density_weight:
            raise NotImplementedError("density_weight is not distributed yet; it must be 0")
        if not isinstance(self.negative_gradient_method, str):
            raise NotImplementedError("negative_gradient_method must be a name on a cluster")
        if isinstance(self.initialization, str) and self.initialization == "spectral":
            raise NotImplementedError(
                "initialization 'spectral' is not distributed; use 'pca', 'random' or an array"
            )

    def _open_checkpoint(
        self, fingerprint: Mapping[str, str], generator: RandomGenerator
    ) -> ClusterCheckpoint:
        assert self.checkpoint is not None
        return ClusterCheckpoint(self._cluster, self.checkpoint, fingerprint, generator)

    def _plan_memory(self, X: Any) -> MemoryPlan:
        return MemoryPlan(0, 2**62)

    def _read(self, X: da.Array, memory: MemoryPlan) -> Any:
        return read_rows(self._cluster, X)

    @staticmethod
    def _make_affinities(X: Any, given: None, perplexity: Any, **search: Any) -> Affinities:
        kind = ClusterMixture if np.ndim(perplexity) else ClusterPerplexity
        affinities: Affinities = kind(X, perplexity, **search)
        return affinities

    @staticmethod
    def _initial_positions(
        initialization: Any,
        X: Any,
        P: Any,
        n_components: int,
        random_state: Any,
        n_jobs: Any,
        verbose: bool,
        components: Any,
    ) -> np.ndarray:
        is_pca = isinstance(initialization, str) and initialization == "pca"
        if is_pca and components is None:
            return pca_of_rows(
                X, n_components, random_state=random_state, verbose=verbose, n_jobs=n_jobs
            )
        return initial_positions(
            initialization, X, P, n_components, random_state, n_jobs, verbose, components
        )
