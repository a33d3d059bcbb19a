"""Repulsion with an error that is asked for, by whatever costs least for the map as it is."""

import math
from functools import partial

import numpy as np

from fasttsne.repulsion.barnes_hut import Box, TreeRepulsion
from fasttsne.repulsion.exact import ExactRepulsion
from fasttsne.repulsion.mesh import max_cells, with_wide_maps
from fasttsne.repulsion.mesh.particle_mesh import ParticleMesh, Potential
from fasttsne.repulsion.mesh.split import (
    SplitChooser,
    exact_cost,
    grid_shape,
    linear_span,
    theta_of,
    tree_cost,
)
from fasttsne.runtime import FFT_ENGINE
from fasttsne.runtime.typing import Params

# The error of forces that is accepted by default.
FORCE_ERROR = 4e-3
# A grid that is made once and asked many times: making a cell takes up to 20 bytes, 4 stay.
MAX_FIELD_CELLS = 5_000_000


class AutoRepulsion:
    """Repulsive forces with an error that is asked for.

    Near pairs are summed and the rest comes from a grid: how far pairs are near, and how fine the
    grid is, depends on the map alone (``SplitChooser``).  All pairs are summed where there are few
    points, and a tree serves where the box is wide for few points that lie very far out.

    Parameters
    ----------
    dof : degrees of freedom of the kernel.
    accuracy : the error of the forces that is accepted, as a share of their root mean square.
    n_threads : how many threads share the work.  The result does not depend on it.
    engine : as for ``MeshRepulsion``.

    Attributes
    ----------
    last_method : "fft", "bh" or "exact", which the last call used; None before the first.  Their
        errors differ, so a loss from before a switch does not compare with one from after it.
    """

    def __init__(
        self,
        dof: float = 1.0,
        accuracy: float = FORCE_ERROR,
        n_threads: int = 1,
        engine: str = FFT_ENGINE,
    ):
        self.dof, self.accuracy, self.n_threads = dof, accuracy, n_threads
        self.last_method: str | None = None
        self._chooser = SplitChooser(dof, accuracy)
        self._mesh = ParticleMesh(dof, n_threads, engine)
        self._others: TreeRepulsion | ExactRepulsion | None = None

    @classmethod
    def from_params(cls, dof: float, n_threads: int, params: Params) -> "AutoRepulsion":
        """Return the repulsion with the accuracy that the parameters of ``optimize`` ask for."""
        return cls(dof, params["accuracy"], n_threads)

    def __call__(self, y: np.ndarray, out: np.ndarray, n_threads: int | None = None) -> float:
        """Write the forces on the points y, (n, d) float32, to ``out``; return Z."""
        self.last_method = "fft"
        repel = partial(self._repel, n_threads=n_threads or self.n_threads)
        return with_wide_maps(repel, y, out, linear_span(self.dof, self.accuracy))

    def _repel(self, y: np.ndarray, out: np.ndarray, box: Box, n_threads: int) -> float:
        n, d = y.shape
        extent = (box[1] - box[0]).tolist()
        split = None
        if all(map(math.isfinite, extent)):
            limit = min(exact_cost(n, d), tree_cost(n, d, self.accuracy))
            split = self._chooser.choose(y, box[0], extent, max_cells(n, d), limit)
        if split is None:
            return self._without_grid(y, out, n_threads)
        self._others = None
        shape = grid_shape(extent, split)
        return self._mesh(y, out, box[0], extent, split, shape, n_threads)

    def _without_grid(self, y: np.ndarray, out: np.ndarray, n_threads: int) -> float:
        n, d = y.shape
        is_exact = exact_cost(n, d) <= tree_cost(n, d, self.accuracy)
        self.last_method = "exact" if is_exact else "bh"
        if self._others is None or self._others.last_method != self.last_method:
            self._mesh.release()
            tree = TreeRepulsion(self.dof, theta_of(self.accuracy, d), self.n_threads)
            self._others = ExactRepulsion(self.dof, self.n_threads) if is_exact else tree
        return self._others(y, out, n_threads)

    def potential(
        self, y: np.ndarray, box: Box, n_places: int, alternative: float
    ) -> Potential | None:
        """Return the potential of the points y in a box that holds them.

        None where its cost for ``n_places`` places, over all calls, is more than that of an
        alternative (``mesh.split``), or its grid would be too large.
        """
        extent = (box[1] - box[0]).tolist()
        limits = MAX_FIELD_CELLS, alternative
        split = self._chooser.choose(y, box[0], extent, *limits, n_places)
        if split is None:
            return None
        return self._mesh.potential(y, box, split, grid_shape(extent, split))

    def release(self) -> None:
        """Free memory until the next call."""
        self._mesh.release()
        self._others = None
