"""The leave-one-out scores by their definitions: dense sums in double precision, and SciPy.

    L_i(y) = n (2 sum_j p_j dof log(1 + |y - y_j|^2 / dof) + log(Z_-i + 2 sum_j w(|y - y_j|^2)))

over all j but i, where w = (1 + r^2 / dof)^-dof and Z_-i is the sum over the pairs without i.
"""

import numpy as np
from scipy.optimize import minimize
from scipy.spatial.distance import cdist


def z_of_all(y, dof=1.0):
    """The sum of the similarities of all pairs."""
    return ((1 + cdist(y, y, "sqeuclidean") / dof) ** -dof).sum() - len(y)


class PartialLoss:
    """The loss of one point, all others where they are, as a function of its position."""

    def __init__(self, p, y, i, z_all, dof=1.0):
        self.n, self.dof = len(y), dof
        self.others = np.delete(y, i, axis=0)
        self.p = np.delete(p, i)
        self.z_rest = z_all - 2 * self._z(y[i])

    def _z(self, point):
        r2 = ((self.others - point) ** 2).sum(1)
        return ((1 + r2 / self.dof) ** -self.dof).sum()

    def __call__(self, point):
        r2 = ((self.others - point) ** 2).sum(1)
        attraction = 2 * self.p @ (self.dof * np.log1p(r2 / self.dof))
        return self.n * (attraction + np.log(self.z_rest + 2 * self._z(point)))

    def gradient(self, point):
        """Its derivative."""
        difference = point - self.others
        q = 1 / (1 + (difference**2).sum(1) / self.dof)
        w = q**self.dof
        z = self.z_rest + 2 * w.sum()
        return 4 * self.n * (self.p * q - w * q / z) @ difference

    def minimum_from(self, start):
        """Where the descent from a start ends, and the loss there."""
        found = minimize(self, start, jac=self.gradient, method="BFGS")
        return found.x, found.fun

    def hessian_at(self, point, h=1e-3):
        """Second differences."""
        d = len(point)
        e = h * np.eye(d)
        return np.array(
            [
                [
                    (
                        self(point + e[a] + e[b])
                        - self(point + e[a] - e[b])
                        - self(point - e[a] + e[b])
                        + self(point - e[a] - e[b])
                    )
                    / (4 * h * h)
                    for b in range(d)
                ]
                for a in range(d)
            ]
        )


def smallest_curvature(P, y, i, z_all, dof=1.0):
    """The smallest curvature of the loss of point i where it is."""
    loss = PartialLoss(P[[i]].toarray().ravel(), y, i, z_all, dof)
    return np.linalg.eigvalsh(loss.hessian_at(y[i]))[0]


def moved_affinities(P, i, k, share):
    """Affinities of a row moved by a share of the way from row i to row k, with the sum of i's."""
    own, other = P[[i]].toarray().ravel(), P[[k]].toarray().ravel()
    own[i] = other[i] = other[k] = 0
    other[k] = other.max()
    total = own.sum()
    return (1 - share) * own + share * other * (total / other.sum())


def directions_of(P, y, i, n_nearest, n_directions):
    """Those of the strongest neighbours of row i that are farthest from it in the map."""
    row = P[[i]]
    strongest = row.indices[np.argsort(-row.data, kind="stable")[:n_nearest]]
    distance = ((y[strongest] - y[i]) ** 2).sum(1)
    return strongest[np.argsort(-distance, kind="stable")[:n_directions]]


def perturbation(P, y, i, z_all, dof=1.0, share=0.8, n_nearest=10, n_directions=2):
    """How far point i moves at most."""
    found = 0.0
    for k in directions_of(P, y, i, n_nearest, n_directions):
        loss = PartialLoss(moved_affinities(P, i, k, share), y, i, z_all, dof)
        ends = [loss.minimum_from(start) for start in (y[i], y[k])]
        best = min(ends, key=lambda end: end[1])[0]
        found = max(found, np.linalg.norm(best - y[i]))
    return found
