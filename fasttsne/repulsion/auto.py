"""Repulsion by whichever of mesh and tree costs less for the map at hand."""

import numpy as np

from fasttsne.repulsion.barnes_hut import TreeRepulsion
from fasttsne.repulsion.mesh.mesh import MeshRepulsion
from fasttsne.repulsion.morton import bounding_box

# The mesh costs about as much for so many padded grid cells as the tree does for
# one point, beyond what a call of it costs whatever its size, and its share of the new grids
# that a growing map needs: measured over whole runs by benchmarks/crossover.py.
CELLS_PER_POINT = {1: 30, 2: 20, 3: 75}
CELLS_OF_A_CALL = {1: 45_000, 2: 160_000, 3: 1_000_000}


class AutoRepulsion:
    """The mesh while the map is dense enough for its grid to be cheap, else the tree.

    A map starts small: with 10,000 points the mesh does early exaggeration and a little
    more, the tree what follows; with 100,000 the mesh does all.  In 3-D,
    with 70,000, the mesh does early exaggeration, the tree what follows.  The choice
    depends on the map alone, so it is the same on every run.
    """

    def __init__(self, mesh: MeshRepulsion, tree: TreeRepulsion):
        self.mesh = mesh
        self.tree = tree

    def __call__(self, y: np.ndarray, out: np.ndarray) -> float:
        """Write the forces on the points y, (n, d) float32, to ``out``; return Z."""
        n, d = y.shape
        limit = CELLS_PER_POINT[d] * n - CELLS_OF_A_CALL[d]
        box = bounding_box(y)
        method = self.mesh if self.mesh.padded_cells(box) <= limit else self.tree
        return method(y, out, box)
