"""What a fit is asked for: parameters and data, checked before anything is computed."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fasttsne.affinity import Affinities
from fasttsne.affinity.select import check_perplexity
from fasttsne.anchors import Anchors, check_anchors, check_movable
from fasttsne.embedding.checks import check_kind_of_reference
from fasttsne.initialization import INITIALIZATIONS, check_positions
from fasttsne.io.codec import fingerprint
from fasttsne.linalg.dominance import EUCLIDEAN
from fasttsne.nearest_neighbors.graph import SearchSpec
from fasttsne.optimize.parameters import TSNE as PARAMETERS
from fasttsne.optimize.parameters import WITHOUT_EFFECT, check_params
from fasttsne.optimize.plan import RunPlan, resolve
from fasttsne.runtime.typing import RandomGenerator, Rows
from fasttsne.runtime.validation import check_choice, check_random_state

# The automatic schedule of momentum: a checkpoint resumes under the one that it began with.
MOMENTUM_SCHEDULE = "90 annealing, 50 inert, until the loss is left"


class Source(Enum):
    """Where the neighbours of a fit come from."""

    ROWS = "a search among the rows"
    DISTANCES = "a given matrix of distances"
    GRAPH = "a given graph or index"
    AFFINITIES = "no neighbours: affinities are given"


@dataclass(frozen=True)
class FitRequest:
    """The parameters and the data of a fit.

    Attributes
    ----------
    params : dict
        All parameters of :class:`fasttsne.TSNE`.
    X, affinities, initialization, anchors
        As for :meth:`fasttsne.TSNE.fit`; ``initialization`` is never None.
    source : Source
        Where the neighbours come from.
    generator : numpy.random.RandomState or Generator
        The source of all random numbers.
    """

    params: Mapping[str, Any]
    X: Rows | None
    affinities: Affinities | Rows | None
    initialization: str | ArrayLike
    anchors: Anchors | None
    source: Source
    generator: RandomGenerator

    @classmethod
    def make(
        cls,
        params: Mapping[str, Any],
        X: Rows | None = None,
        affinities: Affinities | Rows | None = None,
        initialization: str | ArrayLike | None = None,
        anchors: Anchors | None = None,
    ) -> "FitRequest":
        """Return the request; all checks that need no computation are done.

        Raises
        ------
        ValueError, TypeError
            With the name of the parameter, its value and what is accepted.
        """
        check_all(params)
        generator = check_random_state(params["random_state"])
        if initialization is None:
            initialization = params["initialization"]
        if isinstance(initialization, str):
            check_choice(initialization, "initialization", INITIALIZATIONS)
        if X is None and affinities is None and isinstance(params["neighbors"], str):
            raise ValueError("X is needed where no affinities or neighbours are given")
        source = _source(params, affinities)
        return cls(params, X, affinities, initialization, anchors, source, generator)

    @property
    def n_components(self) -> int:
        """Dimensions of the map."""
        return int(self.params["n_components"])

    @property
    def has_features(self) -> bool:
        """Whether X has rows of features: it is neither missing nor a matrix of distances."""
        return self.X is not None and not _is_precomputed(self.params)

    @property
    def is_euclidean(self) -> bool:
        """Whether the principal components of a search are components of the rows."""
        metric = self.params["metric"]
        return isinstance(metric, str) and metric in EUCLIDEAN

    def check_shapes(self, n_samples: int | None) -> None:
        """Raise ValueError or TypeError for arrays that are not of a map of so many rows.

        n_samples : int or None
            Rows of X; None without X.
        """
        shape = n_samples, self.n_components
        if n_samples is not None and not isinstance(self.initialization, str):
            check_positions(self.initialization, (n_samples, self.n_components))
        check_kind_of_reference(
            self.params["global_reference"],
            bool(self.params["global_structure"]),
            n_samples if self.has_features else None,
            self.n_components,
        )
        check_anchors(self.anchors, *shape)
        check_movable(self.anchors)

    def search(self) -> SearchSpec:
        """Return the neighbour search."""
        names = ("metric", "metric_params", "n_jobs", "verbose", "knn_kwargs")
        settings = {name: self.params[name] for name in names}
        return SearchSpec(self.params["neighbors"], random_state=self.generator, **settings)

    def plan(self, n_samples: int) -> RunPlan:
        """Return the plan of a fit of so many rows."""
        return resolve(self.params, n_samples)

    def fingerprint(self, X: Any) -> dict[str, str]:
        """Return fingerprints of all on which the map depends.

        X : array or None
            The data, in canonical form.
        """
        values = {name: self.params[name] for name in PARAMETERS if name not in WITHOUT_EFFECT}
        values |= {"X": X, "affinities": self.affinities, "initialization": self.initialization}
        if self.anchors is not None:
            values["anchors"] = self.anchors.targets, self.anchors.weights
        if self.params["optimizer"] == "momentum":
            values["schedule"] = MOMENTUM_SCHEDULE
        return {name: fingerprint(value, name) for name, value in values.items()}


def check_all(params: Mapping[str, Any]) -> None:
    """Check all parameters of :class:`fasttsne.TSNE`, before anything is computed."""
    check_perplexity(params["perplexity"])
    check_params(params, PARAMETERS)
    resolve(params, 1)  # raises if no plan can be made


def _source(params: Mapping[str, Any], affinities: Affinities | Rows | None) -> Source:
    if affinities is not None:
        return Source.AFFINITIES
    if _is_precomputed(params):
        return Source.DISTANCES
    return Source.ROWS if isinstance(params["neighbors"], str) else Source.GRAPH


def _is_precomputed(params: Mapping[str, Any]) -> bool:
    metric = params["metric"]
    return isinstance(metric, str) and metric == "precomputed"


def n_rows(X: Any) -> int | None:
    """Return the number of rows of canonical data; None without data."""
    return None if X is None else int(np.shape(X)[0])
