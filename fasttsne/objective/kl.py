"""The KL divergence between affinities and a map, and its gradient.

    KL = sum p log p + sum p (-log w) + log Z,    w = (1 + r^2 / dof)^-dof
    dKL/dy_i = 4 (attractive_i - repulsive_i / Z)

The parts stay apart: exaggeration scales the attractive one when a step is
taken, P itself is never changed.
"""

import numpy as np

from fasttsne import _kernels

# Z of a map whose points are all far apart is nearly zero, and approximated
# may be below; this share of n is a floor that no map in use comes near.
LEAST_Z = 1e-6


class Objective:
    """Forces on the points of a map, and its KL divergence.

    Points are kept in an order of the objective's own, which :meth:`renumber`
    sets: all arrays here are in that order.

    Parameters
    ----------
    P : (n, n) CSR matrix of affinities.
    repulsion : one of :mod:`fasttsne.repulsion`.
    n_components : dimensions of the map, at most 3.
    dof : degrees of freedom of the kernel.
    n_threads : how many threads share the work.  Results do not depend on it.

    Attributes
    ----------
    attractive, repulsive : (n, d) float32 arrays; ``repulsive`` is not divided by ``z``.
    z : sum of the similarities of all pairs.
    exaggeration : of the steps to come; only objectives that do not keep the forces apart
        need to know it (:mod:`fasttsne.functions`).
    """

    exaggeration = 1.0

    def __init__(self, P, repulsion, n_components, dof=1.0, n_threads=1):
        self._P = P
        self._indptr = P.indptr.astype(np.int64)
        self._columns = P.indices.astype(np.int32, copy=False)
        self._values = P.data.astype(np.float32, copy=False)
        self.repulsion = repulsion
        self.dof = dof
        self.n_threads = n_threads
        shape = (P.shape[0], n_components)
        self._points = np.empty(shape, np.float32)
        self.attractive = np.empty(shape, np.float32)
        self.repulsive = np.empty(shape, np.float32)
        self.z = 1.0
        self._edges = self._order = None
        self._negative_entropy = None

    def renumber(self, order) -> None:
        """Let place r belong to point ``order[r]`` from now on; costs a few iterations' time."""
        if order is self._order:
            return
        n = len(order)
        place = np.empty(n, np.int32)
        place[order] = np.arange(n, dtype=np.int32)
        indptr = np.zeros(n + 1, np.int64)
        counts = np.diff(self._indptr)[order]
        np.cumsum((counts + 7) // 8 * 8, out=indptr[1:])
        if self._edges is not None and len(self._edges[1]) == indptr[-1]:
            _, columns, values = self._edges
        else:
            columns, values = np.empty(indptr[-1], np.int32), np.empty(indptr[-1], np.float32)
        _kernels.csr.pack_edges(
            self._indptr, self._columns, self._values, order, place, indptr, columns, values,
            self.n_threads,
        )  # fmt: skip
        self._edges = indptr, columns, values
        self._order = order

    def evaluate(self, y, with_error: bool = False) -> float | None:
        """Compute the forces at y, (n, d) float64; return the KL divergence if it is wanted."""
        np.copyto(self._points, y, casting="same_kind")
        cross = _kernels.attraction.attraction(
            *self._edges, self._points, self.attractive, self.dof, with_error, self.n_threads
        )
        z = self.repulsion(self._points, self.repulsive)
        self.z = max(z, LEAST_Z * len(y))
        if not with_error:
            return None
        return self._entropy_term() + cross + float(np.log(self.z)) * self._total

    def loss(self, error: float) -> float:
        """What descent makes smaller, for the KL divergence of the last ``evaluate``."""
        return error

    def gradient_norm(self) -> float:
        """The norm of the KL divergence's gradient, from the forces that were computed last."""
        gradient = 4 * (self.attractive - self.repulsive / np.float32(self.z))
        return float(np.linalg.norm(gradient.astype(np.float64)))

    def _entropy_term(self):
        """sum p log p, which no map changes; computed when first asked for, in pieces."""
        if self._negative_entropy is None:
            entropy = total = 0.0
            for start in range(0, len(self._values), 1 << 20):
                p = self._values[start : start + (1 << 20)]
                p = p[p > 0]
                total += p.sum(dtype=np.float64)
                entropy += (p * np.log(p)).sum(dtype=np.float64)
            self._negative_entropy, self._total = float(entropy), float(total)
        return self._negative_entropy


def kl_divergence(P, y, repulsion, dof: float = 1.0, n_threads: int = 1) -> float:
    """The KL divergence of one map, (n, d) array; the other arguments as for the class."""
    objective = Objective(P, repulsion, y.shape[1], dof, n_threads)
    objective.renumber(np.arange(len(y), dtype=np.int32))
    error = objective.evaluate(np.asarray(y), with_error=True)
    assert error is not None
    return error
