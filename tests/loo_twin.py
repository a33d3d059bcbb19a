"""The leave-one-out scores by their definitions: dense sums in double precision, and SciPy.

    L_i(y) = n (2 sum_j p_j dof log(1 + |y - y_j|^2 / dof) + log(Z_-i + 2 sum_j w(|y - y_j|^2)))

over all j but i, where w = (1 + r^2 / dof)^-dof and Z_-i is the sum over the pairs without i.
"""

import numpy as np
from scipy.optimize import minimize


class PartialLoss:
    """The loss of one point, all others where they are, as a function of its position."""

    def __init__(self, p, y, i, dof=1.0):
        self.n, self.dof = len(y), dof
        self.others = np.delete(y, i, axis=0)
        self.p = np.delete(p, i)
        r2 = ((self.others[:, None] - self.others[None]) ** 2).sum(2)
        self.z_rest = ((1 + r2 / dof) ** -dof).sum() - len(self.others)

    def __call__(self, point):
        r2 = ((self.others - point) ** 2).sum(1)
        attraction = 2 * self.p @ (self.dof * np.log1p(r2 / self.dof))
        z = ((1 + r2 / self.dof) ** -self.dof).sum()
        return self.n * (attraction + np.log(self.z_rest + 2 * z))

    def minimum_from(self, start):
        """Where the descent from a start ends, and the loss there."""
        found = minimize(self, start, method="Nelder-Mead",
                         options={"xatol": 1e-5, "fatol": 1e-12, "maxiter": 2000})  # fmt: skip
        return found.x, found.fun

    def hessian_at(self, point, h=1e-3):
        """Second differences."""
        d = len(point)
        e = h * np.eye(d)
        return np.array([
            [(self(point + e[a] + e[b]) - self(point + e[a] - e[b]) - self(point - e[a] + e[b])
              + self(point - e[a] - e[b])) / (4 * h * h) for b in range(d)]
            for a in range(d)
        ])  # fmt: skip


def singularity(P, y, i, dof=1.0):
    """One by the smallest curvature of the loss of point i where it is."""
    loss = PartialLoss(P[i].toarray().ravel(), y, i, dof)
    smallest = np.linalg.eigvalsh(loss.hessian_at(y[i]))[0]
    return 1 / smallest if smallest > 0 else np.inf


def moved_affinities(P, i, k, share):
    """Affinities of a row moved by a share of the way from row i to row k, with the sum of i's."""
    own, other = P[i].toarray().ravel(), P[k].toarray().ravel()
    total = own.sum()
    other[k] = other.max()
    other[i] = own[i] = 0
    return (1 - share) * own * (total / own.sum()) + share * other * (total / other.sum())


def directions_of(P, y, i, n_nearest, n_directions):
    """Those of the strongest neighbours of row i that are farthest from it in the map."""
    row = P[i]
    strongest = row.indices[np.argsort(-row.data, kind="stable")[:n_nearest]]
    distance = ((y[strongest] - y[i]) ** 2).sum(1)
    return strongest[np.argsort(-distance, kind="stable")[:n_directions]]


def perturbation(P, y, i, dof=1.0, share=0.5, n_nearest=10, n_directions=3):
    """How far point i moves at most."""
    found = 0.0
    for k in directions_of(P, y, i, n_nearest, n_directions):
        loss = PartialLoss(moved_affinities(P, i, k, share), y, i, dof)
        ends = [loss.minimum_from(start) for start in (y[i], y[k])]
        best = min(ends, key=lambda end: end[1])[0]
        found = max(found, np.linalg.norm(best - y[i]))
    return found
