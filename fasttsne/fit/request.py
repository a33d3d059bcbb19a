"""What is asked of a fit, besides its rows: checked before anything is computed."""

from dataclasses import dataclass

from numpy.typing import ArrayLike

from fasttsne.affinity import Affinities
from fasttsne.affinity.families import check_perplexity
from fasttsne.anchors import Anchors
from fasttsne.initialization import INITIALIZATIONS, StartSpec
from fasttsne.io.codec import fingerprint
from fasttsne.linalg.dominance import EUCLIDEAN
from fasttsne.nearest_neighbors.graph import SearchSpec
from fasttsne.optimize.parameters import TSNE as PARAMETERS
from fasttsne.optimize.parameters import WITHOUT_EFFECT, check_params
from fasttsne.optimize.plan import resolve
from fasttsne.runtime.typing import Params, RandomGenerator, Rows
from fasttsne.runtime.validation import check_choice, check_random_state

# The automatic schedule of momentum: a checkpoint resumes under the one that it began with.
MOMENTUM_SCHEDULE = "90 annealing, 50 inert, until the loss is left"


@dataclass(frozen=True)
class FitRequest:
    """What is asked of a fit, besides its rows.

    Attributes
    ----------
    params : dict
        All parameters of :class:`fasttsne.TSNE`.
    affinities
        As for :meth:`fasttsne.TSNE.fit`.
    start : StartSpec
        Initialization, anchors and reference.
    generator : numpy.random.RandomState or Generator
        The source of all random numbers.
    """

    params: Params
    affinities: Affinities | Rows | None
    start: StartSpec
    generator: RandomGenerator

    @staticmethod
    def make(
        params: Params,
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
        start = StartSpec(
            initialization,
            anchors,
            params["global_reference"],
            bool(params["global_structure"]),
            int(params["n_components"]),
            params["n_jobs"],
            params["verbose"],
        )
        return FitRequest(params, affinities, start, generator)

    @property
    def is_precomputed(self) -> bool:
        """Whether the rows are a matrix of distances."""
        metric = self.params["metric"]
        return isinstance(metric, str) and metric == "precomputed"

    @property
    def is_euclidean(self) -> bool:
        """Whether the principal components of a search are components of the rows."""
        metric = self.params["metric"]
        return isinstance(metric, str) and metric in EUCLIDEAN

    def search(self) -> SearchSpec:
        """Return the neighbour search."""
        names = ("metric", "metric_params", "n_jobs", "verbose", "knn_kwargs")
        settings = {name: self.params[name] for name in names}
        return SearchSpec(self.params["neighbors"], random_state=self.generator, **settings)

    def fingerprint(self, X: Rows | None) -> dict[str, str]:
        """Return fingerprints of all on which the map depends; X is in canonical form."""
        values = {name: self.params[name] for name in PARAMETERS if name not in WITHOUT_EFFECT}
        initialization, anchors = self.start.initialization, self.start.anchors
        values |= {"X": X, "affinities": self.affinities, "initialization": initialization}
        if anchors is not None:
            values["anchors"] = anchors.targets, anchors.weights
        if self.params["optimizer"] == "momentum":
            values["schedule"] = MOMENTUM_SCHEDULE
        return {name: fingerprint(value, name) for name, value in values.items()}


def check_all(params: Params) -> None:
    """Check all parameters of :class:`fasttsne.TSNE`, before anything is computed."""
    check_perplexity(params["perplexity"])
    check_params(params, PARAMETERS)
    resolve(params, 1)  # raises if no plan can be made
