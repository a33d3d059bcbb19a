"""The spectrum of the attraction's curvature B, before and after preconditioning.

    FASTTSNE_DATA=... python benchmarks/spectrum.py 2000

prints eigenvalues of D^-1 B and of M B at final maps: see "The preconditioner" in docs/math.rst.
"""

import sys

import numpy as np
import scipy.linalg
from common import clusters, mnist_rows

from fasttsne import TSNE
from fasttsne.objective import KLDivergence
from fasttsne.optimize.steps import Preconditioner
from fasttsne.repulsion import ExactRepulsion

QUANTILES = 0.0, 0.01, 0.1, 0.5, 1.0


def swiss_roll(rows: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    t = 1.5 * np.pi * (1 + 2 * rng.random(rows))
    return np.c_[t * np.cos(t), 21 * rng.random(rows), t * np.sin(t)]


def spectra(X: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Eigenvalues of D^-1 B and of M B at the map of X, rising, and what the estimate is."""
    map_ = TSNE(random_state=0).fit(X)
    P, y = map_.affinities.P_float32, np.array(map_)
    n, d = y.shape
    objective = KLDivergence(P, ExactRepulsion(1.0, 1), d)
    objective.reorder(np.arange(n, dtype=np.int32))
    preconditioner = Preconditioner(objective)
    preconditioner.rebuild(y)
    weights = P.toarray().astype(np.float64)
    weights /= 1 + ((y[:, None, :] - y[None, :, :]) ** 2).sum(-1)
    B = np.diag(weights.sum(1) + preconditioner.shift) - weights
    M = np.empty((n, n))
    for i, unit in enumerate(np.eye(n)):
        M[i] = preconditioner.apply(np.repeat(unit[:, None], d, 1))[0][:, 0]
    before = scipy.linalg.eigh(np.diag(1 / B.diagonal()), B, type=2, eigvals_only=True)
    after = scipy.linalg.eigh((M + M.T) / 2, B, type=2, eigvals_only=True)
    return before, after, preconditioner.largest


def main() -> None:
    rows = int(sys.argv[1])
    maps = {
        "Swiss roll": swiss_roll(rows),
        "clusters": clusters(rows, 10, 12),
        "MNIST": mnist_rows(rows)[0],
    }
    for name, X in maps.items():
        before, after, estimate = spectra(X)
        for matrix, values in ("D^-1 B", before), ("M B", after):
            quantiles = " ".join(f"{q:8.4f}" for q in np.quantile(values, QUANTILES))
            print(f"{name:10s} {matrix:6s} {quantiles}  {values[-1] / values[0]:6.0f}", flush=True)
        print(f"{name:10s} estimate {estimate:.2f}", flush=True)


if __name__ == "__main__":
    main()
