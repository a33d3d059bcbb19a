"""KNNAffinities, the base class of affinities between nearest neighbours."""

import copy
from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import scipy.sparse as sp

from fasttsne.affinity.base import Affinities, NewAffinities, check_symmetrize
from fasttsne.affinity.conditional import Dtype, row_normalized_csr
from fasttsne.affinity.csr import csr_from_arrays, joint_affinities, neighbors_to_csr
from fasttsne.nearest_neighbors import neighbor_lists
from fasttsne.nearest_neighbors.dynamic import DynamicIndex
from fasttsne.nearest_neighbors.graph import KNNGraph, SearchSpec, find_neighbors, scaled_distances
from fasttsne.nearest_neighbors.index import Index, Neighbors
from fasttsne.runtime.threads import resolve_n_jobs
from fasttsne.runtime.typing import Metric, RandomState, Rows, Settings
from fasttsne.runtime.validation import check_number
from fasttsne.utils import Timer

if TYPE_CHECKING:
    from typing_extensions import Self


def get_knn_index(
    data: Rows | None,
    method: Neighbors,
    k: int,
    metric: Metric,
    metric_params: Settings = None,
    n_jobs: int | None = -1,
    random_state: RandomState = None,
    verbose: bool = False,
    knn_kwargs: Settings = None,
) -> Index:
    """Return the index that finds the k nearest neighbours of the rows of data.

    Parameters
    ----------
    data : (n, columns) array; a matrix of distances where ``metric`` is "precomputed".
    method : as ``neighbors`` of :func:`fasttsne.nearest_neighbors.make_index`.
    k, metric, metric_params, n_jobs, random_state, verbose, knn_kwargs : as for
        :class:`fasttsne.nearest_neighbors.KNNIndex`.
    """
    spec = SearchSpec(method, metric, metric_params, n_jobs, random_state, verbose, knn_kwargs)
    return spec.make_index(data, k)


class KNNAffinities(Affinities):
    """Base class of affinities between each row and its nearest neighbours.

    They are made from a neighbour graph.  Constructors of the families search for it, unless they
    are given one in place of an index: :meth:`from_neighbors`.
    """

    # Attributes that decide P beside the neighbours, and how each is checked.
    PARAMETERS: ClassVar[Mapping[str, Callable[..., object]]] = {}
    # What symmetrize=True means.
    _DEFAULT_MODE = "mean"

    knn_index: Index
    symmetrize: bool | str
    _mode: str
    _n_used: int  # neighbours of each row

    def _find(
        self,
        data: Rows | None,
        k: int,
        spec: SearchSpec,
        index: Index | KNNGraph | None,
        symmetrize: bool | str,
    ) -> None:
        """Find the neighbours, of which P is not computed yet."""
        check_symmetrize(symmetrize)
        graph = find_neighbors(data, k, spec, index)
        self._set_graph(graph, symmetrize, spec.n_jobs, spec.verbose)

    def _set_graph(
        self, graph: KNNGraph, symmetrize: bool | str, n_jobs: int | None, verbose: bool = False
    ) -> None:
        super().__init__(verbose)
        self._mode = check_symmetrize(symmetrize, self._DEFAULT_MODE)
        self.symmetrize, self.n_jobs, self.knn_index = symmetrize, n_jobs, graph.index
        self._indices, self._distances, self._units = graph.indices, graph.distances, graph.units
        self._n_used = int(self._indices.shape[1])

    @classmethod
    def from_neighbors(cls, graph: KNNGraph, **parameters: object) -> "Self":
        """Return the affinities of a neighbour graph, of which nothing is searched.

        parameters : of the constructor, besides the search.
        """
        make: Callable[..., Self] = cls
        return make(knn_index=graph, **parameters)

    @classmethod
    def restore(
        cls,
        graph: KNNGraph,
        n_used: int,
        symmetrize: bool | str,
        n_jobs: int | None,
        parameters: Mapping[str, object],
    ) -> "Self":
        """Return saved affinities; P is computed when it is first asked for.

        Parameters
        ----------
        n_used : number of nearest neighbours that have affinities, at most k.
        parameters : values of ``PARAMETERS``; ValueError or KeyError if one is wrong or missing.
        """
        self = cls.__new__(cls)
        self._set_graph(graph, symmetrize, n_jobs)
        self._n_used = n_used
        for name, check in cls.PARAMETERS.items():
            setattr(self, name, check(parameters[name]))
        self._is_given, self._is_put_off = False, True
        return self

    @property
    def n_samples(self) -> int:
        return len(self._indices)

    @property
    def _n_threads(self) -> int:
        return resolve_n_jobs(self.n_jobs)

    def joined_by(self, X: Rows, rows: np.ndarray | None = None) -> tuple["Self", np.ndarray]:
        """See :meth:`Affinities.joined_by`; what the search has built is kept."""
        index, lists = self._changing()
        if rows is None:
            change = neighbor_lists.add_rows(index, lists, X)
        else:
            change = neighbor_lists.replace_rows(index, lists, X, rows)
        return self._changed(change), change.near

    def without(self, rows: np.ndarray) -> "Self":
        """See :meth:`Affinities.without`; rows that lose neighbours are searched again."""
        n_left = self.n_samples - len(np.unique(rows))
        if n_left < 2:
            raise ValueError(f"at least 2 of the {self.n_samples} rows must be left; got {n_left}")
        return self._changed(neighbor_lists.drop_rows(*self._changing(), rows))

    def _changing(self) -> tuple[DynamicIndex, neighbor_lists.Lists]:
        if not self._is_put_off:
            _ = self.P_float32  # follows changes in place
            if self._is_given:
                raise ValueError(
                    "affinities.P was changed: rows can join and leave only the affinities that "
                    "are computed from the neighbours"
                )
        distances = self._distances
        if (self._units != 1).any():
            distances = distances * self._units[:, None]
        return DynamicIndex.of(self.knn_index, self._indices.shape[1]), (self._indices, distances)

    def _changed(self, change: neighbor_lists.Change) -> "Self":
        result = copy.copy(self)
        indices, distances = change.lists
        k = self._n_wanted(len(indices))
        if k > indices.shape[1] and neighbor_lists.can_search_all(change.index):
            indices, distances = neighbor_lists.search_all(change.index, k)
        change.index.k = indices.shape[1]
        result.knn_index = change.index
        result._indices = np.ascontiguousarray(indices, np.int32)
        result._distances, result._units = scaled_distances(change.index, distances)
        result._put_off()
        return result

    def _put_off(self) -> None:
        """Leave P to be computed when it is asked for."""
        self._settle()
        self.P = None
        self._is_given, self._is_put_off = False, True

    def _n_wanted(self, n_samples: int) -> int:
        """Return how many neighbours each row should have when there are so many rows."""
        k: int = self._indices.shape[1]
        if k == self.n_samples - 1:  # all that there were; more may have been asked for
            k = max(k, self._n_asked())
        return min(k, n_samples - 1)

    def _n_asked(self) -> int:
        """Return how many neighbours the family takes where there are enough rows."""
        return int(self._indices.shape[1])

    def _settle(self) -> None:
        """Follow lists of neighbours, which may be shorter or longer than before."""
        self._n_used = min(self._n_used, self._indices.shape[1])

    def _setting(self) -> str:
        """Return what decides the affinities, for messages."""
        return type(self).__name__.lower()

    def _compute(self) -> None:
        """Compute P from the neighbours that were found."""
        self._settle()
        with Timer(f"computing affinities, {self._setting()}", self.verbose):
            self._set_joint()

    def _make_P(self) -> None:
        if self._is_put_off:
            self._set_joint()

    def rows_of_P(self, rows: np.ndarray) -> sp.csr_matrix:
        """Return some rows of P, in single precision; of lists that changed, P itself is not made.

        The cost goes with the number of rows that have one of them as a neighbour.
        """
        if not self._is_put_off or self._mode == "max":  # divided by a sum over all
            return self.P_float32[rows]
        n = self.n_samples
        indices, distances = self._first_neighbors()
        is_wanted = np.zeros(n, bool)
        is_wanted[rows] = True
        leads_there = is_wanted[indices]
        others = np.flatnonzero(leads_there.any(axis=1) | is_wanted)
        some = np.ascontiguousarray(distances[others])
        weights = self._weights(some, self._units[others], np.float32)
        own = neighbors_to_csr(indices[rows], weights[np.searchsorted(others, rows)], n)
        if self._mode == "none":
            return own / np.float32(n)
        place = np.full(n, -1)
        place[rows] = np.arange(len(rows))
        row, column = np.nonzero(leads_there[others])
        pairs = place[indices[others[row], column]], others[row]
        backward = sp.csr_matrix((weights[row, column], pairs), own.shape)
        return (own + backward) / np.float32(2 * n)

    def log_radii(self) -> np.ndarray:
        if self._mode == "none":
            raise ValueError("radii need symmetric affinities; symmetrize is 'none'")
        self._make_P()
        return self._log_radii

    @abstractmethod
    def _weights(self, distances: np.ndarray, units: np.ndarray, dtype: Dtype) -> np.ndarray:
        """Return conditional affinities of rows, in single or double precision."""

    def _set_joint(self) -> None:
        """Set P and the log radii from the conditional affinities of the nearest neighbours."""
        indices, distances = self._first_neighbors()
        conditional = self._weights(distances, self._units, np.float32)
        square = np.einsum("ij,ij,ij->i", conditional, distances, distances, dtype=np.float64)
        with np.errstate(divide="ignore"):
            self._log_radii: np.ndarray = np.log(square) + 2 * np.log(self._units)
        self.P = joint_affinities(indices, conditional, self._mode, self._n_threads)
        self._is_given = False

    def _to_double(self, P: sp.csr_matrix) -> sp.csr_matrix:
        """Return P computed anew in double precision; its indices are those of float32."""
        if self._is_given:
            return super()._to_double(P)
        indices, distances = self._first_neighbors()
        conditional = self._weights(distances, self._units, np.float64)
        double = joint_affinities(indices, conditional, self._mode, self._n_threads)
        return csr_from_arrays(P.indptr, P.indices, double.data, P.shape[1])

    def _first_neighbors(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the neighbours that are used, of those that were found, and their distances."""
        k = self._n_used
        return (
            np.ascontiguousarray(self._indices[:, :k]),
            np.ascontiguousarray(self._distances[:, :k]),
        )

    def _to_new(
        self,
        data: Rows,
        k: int,
        return_distances: bool,
        conditional: Callable[[np.ndarray, np.ndarray], np.ndarray],
    ) -> NewAffinities:
        """Return ``to_new`` for weights ``conditional(distances, scales)`` of k neighbours."""
        indices, distances = self.knn_index.query(data, k)
        rows = np.ascontiguousarray(indices, np.int32)
        if rows.size and not 0 <= rows.min() <= rows.max() < self.n_samples:
            raise ValueError(
                f"knn_index.query must give row indices from 0 to {self.n_samples - 1}"
            )
        P = row_normalized_csr(
            rows, conditional(*scaled_distances(self.knn_index, distances)), self.n_samples
        )
        return (P, indices, distances) if return_distances else P


def check_n_neighbors(k: int, n_samples: int | None, name: str) -> int:
    """Return a number of neighbours if it is from 1 to n_samples - 1."""
    k = check_number(k, name, low=1, integer=True)
    if n_samples is not None and k >= n_samples:
        raise ValueError(f"{name} must be less than the number of rows, {n_samples}; got {k}")
    return k
