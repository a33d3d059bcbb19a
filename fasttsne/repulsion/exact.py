"""Repulsion by the sum over all pairs."""

import numpy as np

from fasttsne import _kernels


class ExactRepulsion:
    """Repulsive forces of Student's kernel without approximation: O(n^2) time, O(n) memory.

    Parameters
    ----------
    dof : degrees of freedom of the kernel.
    n_threads : how many threads share the work.  The result does not depend on it.
    """

    last_method = "exact"

    def __init__(self, dof: float = 1.0, n_threads: int = 1):
        self.dof, self.n_threads = dof, n_threads
        self._shape: tuple[int, ...] | None = None

    def __call__(self, y: np.ndarray, out: np.ndarray, n_threads: int | None = None) -> float:
        if self._shape != y.shape:
            self._shape = y.shape
            self._columns = padded_columns(y)
            self._z_sums = np.empty(_kernels.exact_repulsion.count_blocks(len(y)))
        self._columns[:, : len(y)] = y.T
        z: float = _kernels.exact_repulsion.exact_repulsion(
            y, self._columns, out, self.dof, self._z_sums, n_threads or self.n_threads
        )
        return z


def padded_columns(y: np.ndarray) -> np.ndarray:
    """Return the points y, (n, d), as the kernel reads sources: (d, n rounded up to 8) float32."""
    n, d = y.shape
    padding = _kernels.exact_repulsion.PADDING_COORDINATE
    columns = np.full((d, -(-n // 8) * 8), padding, np.float32)
    columns[:, :n] = y.T
    return columns
