"""New rows that join a map, beside a fit of all rows.

    FASTTSNE_DATA=... python benchmarks/growing.py [--rows 4500] [--new 500] [--hold inf 0.1 0.001]
        [--digit 3]

For MNIST: the last rows join a map of those before; then all rows of a digit one of the others.
Shown are seconds, also as a share of the fit of all rows, the KL divergence, the share of new
points whose label most of their ten nearest in the map have, and how far old points moved, in
standard deviations of the map.
"""

import argparse
import math
import time

import numpy as np
from common import mnist_rows
from scipy.spatial import cKDTree

from fasttsne import TSNE

LINE = "{:22}{:>9}{:>8}{:>8}{:>8}{:>8}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=4500)
    parser.add_argument("--new", type=int, default=500)
    parser.add_argument("--hold", type=float, nargs="*", default=[math.inf, 0.1, 0.001])
    parser.add_argument("--digit", type=int, default=3)
    options = parser.parse_args()
    X, labels = mnist_rows(options.rows + options.new)
    X = X.astype(np.float32)
    print(LINE.format("", "seconds", "share", "KL", "labels", "moved"))
    compare("the last rows", X, labels, options.rows, options.hold)
    is_new = labels == options.digit
    order = np.argsort(is_new, kind="stable")
    n_old = len(labels) - int(is_new.sum())
    compare(f"the digit {options.digit}", X[order], labels[order], n_old, options.hold)


def compare(title, X, labels, n_old, holds):
    """Print lines for rows from ``n_old`` on, which are new."""
    print(f"{title}: {len(X) - n_old:,} rows into {n_old:,}")
    whole, seconds = timed(lambda: TSNE(random_state=0).fit(X))
    show("  fit of all", whole, labels, n_old, seconds, 1, "")
    old = TSNE(random_state=0).fit(X[:n_old])
    for hold in holds:
        grown, taken = timed(lambda hold=hold: old.update(X[n_old:], hold=hold))
        steps = np.asarray(grown)[:n_old] - np.asarray(old)
        moved = np.linalg.norm(steps, axis=1).mean() / np.std(np.asarray(old))
        show(f"  update, hold={hold:g}", grown, labels, n_old, taken, taken / seconds,
             f"{moved:.3f}")  # fmt: skip


def show(name, embedding, labels, n_old, seconds, share, moved):
    right = label_agreement(np.asarray(embedding), labels, n_old)
    print(
        LINE.format(
            name, f"{seconds:.2f}", f"{share:.2f}", f"{embedding.kl_divergence:.3f}",
            f"{right:.3f}", moved,
        ),
        flush=True,
    )  # fmt: skip


def label_agreement(y, labels, first, k=10):
    """The share of points from ``first`` on whose label most of the k nearest have."""
    nearest = cKDTree(y).query(y[first:], k + 1)[1][:, 1:]
    found = [np.bincount(labels[row], minlength=10).argmax() for row in nearest]
    return float(np.mean(found == labels[first:]))


def timed(function):
    start = time.perf_counter()
    result = function()
    return result, time.perf_counter() - start


if __name__ == "__main__":
    main()
