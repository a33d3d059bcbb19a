"""The part of a map that lets its rows change."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from fasttsne.affinity import Affinities
from fasttsne.anchors import Anchors
from fasttsne.embedding.array import ArrayWithState
from fasttsne.embedding.update import drop, update
from fasttsne.objective import Objective
from fasttsne.optimize.descent import GradientDescent
from fasttsne.optimize.plan import Phase, resolve_phase
from fasttsne.runtime.typing import RandomState, Rows

if TYPE_CHECKING:
    from typing_extensions import Self


class GrowingMap(ArrayWithState):
    """An array of points with affinities, whose rows can join, change and leave."""

    affinities: Affinities
    anchors: Anchors | None
    _divergence: float | None
    _is_divergence_put_off = False

    @property
    def kl_divergence(self) -> float | None:
        """The KL divergence of the map; of one whose rows changed made when it is asked for."""
        if self._is_divergence_put_off:
            phase = resolve_phase("divergence", 0, self.all_params(callbacks=None), len(self))
            points = np.array(self)
            self.kl_divergence = GradientDescent().run(points, self.objective(phase), phase)
        return self._divergence

    @kl_divergence.setter
    def kl_divergence(self, value: float | None) -> None:
        self._divergence, self._is_divergence_put_off = value, False

    def put_off_divergence(self) -> None:
        """Make the KL divergence, whose cost goes with all rows, when it is asked for."""
        self._is_divergence_put_off = True

    def all_params(self, **gradient_descent_params: Any) -> dict[str, Any]:
        """Every parameter of :meth:`optimize`."""
        raise NotImplementedError

    def objective(self, phase: Phase) -> Objective:
        """The objective of a phase."""
        raise NotImplementedError

    def update(
        self,
        X: Rows,
        hold: float = np.inf,
        n_iter: int | str = "auto",
        random_state: RandomState = 0,
        replace: ArrayLike | None = None,
    ) -> "Self":
        """A map of the rows of this one and of new ones, which join it; this one is not changed.

        New rows find neighbours among the old ones and each other, old rows take new ones into
        their lists, and new points act on each other too, unlike in :meth:`transform`.  Those of
        a kind that is not there yet come together, but find room only where ``hold`` is finite.
        A row that is there already joins once more, beside the first.  New points are gathered
        first, then each looks for its best place among those of its strongest neighbours, which
        old points that do not move may bar it from, and settles there.

        Parameters
        ----------
        X : (m, n_features) new rows, as those the affinities were made of.
        hold : how strongly old points stay where they are, as the weight of
            :class:`fasttsne.Anchors`: infinity pins them, so that the cost is that of the new
            rows; 0 lets them go.  Held points, too, may leave for the places of neighbours, where
            that lowers the loss.  It holds in this call only: the map that is returned has the
            anchors that this one has.  Where many rows are placed in a wide map of two dimensions,
            the field of the old points takes up to 1 GB while it is made, whatever the
            ``memory_limit`` of the fit was.
        n_iter : iterations; "auto" is 40 of the new points, after they have looked for places,
            and where ``hold`` is finite an annealing of the exaggeration and the main phase of the
            whole map after them.
        random_state : of small differences between the starts of new points.
        replace : (m,) numbers of rows of this map, or an (n_samples,) boolean mask: X has their
            new values, in this order.  They keep their numbers, and find their places as new
            rows do; where they were, and anchors that they had, do not matter.

        Returns
        -------
        TSNEEmbedding
            (n_samples + m, n_components), the old points first; (n_samples, n_components) with
            ``replace``.

        Raises
        ------
        NotImplementedError
            With precomputed affinities, distances or lists of neighbours, and for a map from a
            file that has no index.
        ValueError, TypeError
            Where X does not fit, or ``replace`` has a number twice, one that is no row of the map,
            or all rows.
        """
        self.raise_if_view()
        grown: Self = update(self, X, hold, n_iter, random_state, replace)
        return grown

    def drop(self, rows: ArrayLike) -> "Self":
        """A map without some rows; the others stay where they are, and this map is not changed.

        Rows that had one of them as a neighbour find others in its place: the cost is that of
        a query for each such row, and of all affinities.  :meth:`optimize` lets the others move
        to the room that is left.

        Parameters
        ----------
        rows : integers from 0 to n_samples - 1, each at most once, or an (n_samples,) boolean
            mask.

        Returns
        -------
        TSNEEmbedding
            The rows that are left, in their order, numbered anew.

        Raises
        ------
        NotImplementedError
            As for :meth:`update`, and where an index of a user's own has no attribute ``data``.
        ValueError, TypeError
            Where rows are no numbers of rows, or fewer than two would be left.
        """
        self.raise_if_view()
        smaller: Self = drop(self, rows)
        return smaller

    def raise_if_view(self) -> None:
        """Raise ValueError for an array that NumPy made of an embedding: it has no state.

        And for one whose shape or type was changed, or whose affinities are of other rows.
        """
        if self.affinities is None:
            raise ValueError("this array is a view of an embedding; use the embedding itself")
        n = self.affinities.n_samples
        if self.dtype != np.float64 or self.ndim != 2 or len(self) != n or self.shape[1] > 3:
            raise ValueError(
                f"the embedding must be float64 of shape ({n}, 1 to 3), as its affinities are of "
                f"{n} rows; got {self.dtype} of shape {self.shape}"
            )
