"""Repulsion by whichever of mesh and tree costs less for the map at hand."""

import numpy as np

from fasttsne.repulsion.barnes_hut import TreeRepulsion
from fasttsne.repulsion.limits import max_fast_cells
from fasttsne.repulsion.mesh.mesh import MeshRepulsion
from fasttsne.repulsion.morton import bounding_box


class AutoRepulsion:
    """The mesh while the map is dense enough for its grid to be cheap, else the tree.

    A map starts small: with 10,000 points the mesh does early exaggeration and a little
    more, the tree what follows; with 100,000 the mesh does all.  In 3-D,
    with 70,000, the mesh does early exaggeration, the tree what follows.  The choice
    depends on the map alone, so it is the same on every run.

    Attributes
    ----------
    last_method : "fft" or "bh", which the last call used; None before the first.  The errors of
        the two differ, so a loss from before a switch does not compare with one from after it.
    """

    def __init__(self, mesh: MeshRepulsion, tree: TreeRepulsion):
        self.mesh = mesh
        self.tree = tree
        self.last_method: str | None = None
        self._last: MeshRepulsion | TreeRepulsion | None = None

    def __call__(self, y: np.ndarray, out: np.ndarray) -> float:
        """Write the forces on the points y, (n, d) float32, to ``out``; return Z."""
        box = bounding_box(y)
        n_cells = max_fast_cells(*y.shape)
        # Few points need no layout: an iteration of 2,000 takes a third of a millisecond.
        is_dense = n_cells > 0 and self.mesh.padded_cells(box) <= n_cells
        method = self.mesh if is_dense else self.tree
        if self._last not in (None, method):
            self._last.release()
        self._last = method
        z = method(y, out, box)
        self.last_method = method.last_method  # the mesh hands very wide maps on to a tree
        return z
