"""Affinities whose neighbour graph stays on the workers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

import numpy as np

from fasttsne.affinity import Affinities, MultiscaleMixture, PerplexityBasedNN
from fasttsne.affinity.families import usable_perplexities
from fasttsne.affinity.neighbor_based import KNNAffinities
from fasttsne.dask.cluster import refusal
from fasttsne.dask.graph import ActorEdges, ClusterGraph, conditional_affinities, symmetric_graph
from fasttsne.dask.neighbors import ClusterIndex
from fasttsne.nearest_neighbors.graph import KNNGraph
from fasttsne.objective.edges import edge_source
from fasttsne.runtime.typing import Params
from fasttsne.utils import Timer


@dataclass(frozen=True)
class Recipe:
    """What a worker that has the rows of the data makes affinities of new rows from.

    Attributes
    ----------
    family : the local class.
    parameters : its ``PARAMETERS``.
    index : the index that found the neighbours, without the rows.
    """

    family: type[KNNAffinities]
    parameters: Params
    index: ClusterIndex

    @classmethod
    def of(cls, affinities: Affinities) -> "Recipe":
        """Return the recipe of a fit on a cluster; ValueError where affinities were given."""
        if isinstance(affinities, ClusterAffinities):
            return affinities.recipe
        index = affinities.knn_index
        if not (isinstance(affinities, KNNAffinities) and isinstance(index, ClusterIndex)):
            raise refusal("transform")
        parameters = {name: vars(affinities)[name] for name in affinities.PARAMETERS}
        return cls(type(affinities), parameters, index)

    def to_local(self, rows: np.ndarray) -> KNNAffinities:
        """Return local affinities that serve new rows: they have no neighbours of their own."""
        none = np.empty((len(rows), 0), np.float32)
        graph = KNNGraph(self.index.to_local(rows), none, none, np.ones(len(rows)))
        return self.family.restore(graph, 0, True, 1, self.parameters)


class ClusterAffinities(Affinities):
    """Affinities of one perplexity or several, whose graph stays on the workers.

    Where ``P`` is asked for during the fit it is fetched, in single precision, and stays: the next
    phase reads it here.

    Parameters
    ----------
    neighbors : their tables are on the workers, which forget them.
    perplexity : one, or several.
    """

    def __init__(
        self, neighbors: KNNGraph, perplexity: float | Sequence[float], verbose: bool = False
    ):
        super().__init__(verbose)
        assert isinstance(neighbors.index, ClusterIndex)
        indices, self.knn_index = neighbors.indices, neighbors.index
        self._n_samples: int = len(indices)
        family: type[KNNAffinities]
        parameters: dict[str, object]
        if isinstance(perplexity, (int, float, np.number)):
            family = PerplexityBasedNN
            effective = [PerplexityBasedNN.check_perplexity(perplexity, self._n_samples - 1)]
            parameters = {"perplexity": perplexity, "effective_perplexity_": effective[0]}
        else:
            family = MultiscaleMixture
            effective = usable_perplexities(perplexity, self._n_samples)
            parameters = {"perplexities": perplexity, "effective_perplexities_": effective}
        self.recipe = Recipe(family, parameters, neighbors.index)
        vars(self).update(parameters)  # attributes of the family
        shown = ", ".join(f"{each:g}" for each in effective)
        with Timer(f"computing affinities on the cluster, perplexity {shown}", verbose):
            conditional = conditional_affinities(indices, neighbors.distances, effective)
            self._remote: ClusterGraph | None = symmetric_graph(
                indices.cluster, conditional, indices.edges
            )

    @property
    def n_samples(self) -> int:
        return self._n_samples

    @property
    def graph(self) -> object:
        has_P = self._remote is None or vars(self)["P"] is not None
        return self.P_float32 if has_P else self._remote

    def _make_P(self) -> None:
        if vars(self)["P"] is None:
            if self._remote is None:
                raise refusal("optimize, save")
            self.P = self._remote.fetch()

    def release_graph(self) -> None:
        """Leave to the workers what is theirs: the fit has ended."""
        self._remote = None

    def to_new(self, *arguments: object, **keywords: object) -> NoReturn:
        """Raise ValueError: the rows are on the workers."""
        raise refusal("transform of an embedding")

    def joined_by(self, *arguments: object) -> NoReturn:
        """Raise ValueError: the rows are on the workers."""
        raise refusal("update, drop")

    def without(self, rows: np.ndarray) -> NoReturn:
        """Raise ValueError: the rows are on the workers."""
        raise refusal("update, drop")

    def __getstate__(self) -> dict[str, object]:
        return {**super().__getstate__(), "_remote": None}

    def __setstate__(self, state: Params) -> None:
        vars(self).update(state)
        if "recipe" not in state:  # of version 0.2.0
            family = PerplexityBasedNN if "perplexity" in state else MultiscaleMixture
            parameters = {name: state[name] for name in family.PARAMETERS}
            self.recipe = Recipe(family, parameters, state["knn_index"])
            vars(self).update(P=None, _remote=None)


# In pickles of version 0.2.0.
ClusterPerplexity = ClusterMixture = ClusterAffinities


@edge_source.register
def _edges_of_cluster(P: ClusterGraph, dof: float, n_threads: int) -> ActorEdges:
    """Return the edges of a graph on the workers, which use the threads that they have."""
    return ActorEdges(P, dof)
