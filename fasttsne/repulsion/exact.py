"""Repulsion by the sum over all pairs: O(n^2) time, O(n) memory."""

import numpy as np

from fasttsne import _kernels


class ExactRepulsion:
    """Repulsive forces of Student's kernel without approximation.

    Parameters
    ----------
    dof : degrees of freedom of the kernel.
    n_threads : how many threads share the work.  The result does not depend on it.
    """

    def __init__(self, dof: float = 1.0, n_threads: int = 1):
        self.dof = dof
        self.n_threads = n_threads

    def __call__(self, y: np.ndarray, out: np.ndarray) -> float:
        """Write the forces on the points y, (n, d) float32, to ``out``; return Z."""
        return _kernels.exact_repulsion.exact_repulsion(y, out, self.dof, self.n_threads)
