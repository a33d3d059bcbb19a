"""New rows that join a map, beside a fit of all rows.

    FASTTSNE_DATA=... python benchmarks/growing.py [--rows 4500] [--new 500] [--hold inf 0.1 0.001]
        [--digit 3] [--cases last digit ten splits] [--splits 5]

For MNIST: the last rows join a map of those before; all rows of a digit one of the others; ten
updates in succession, of 5 % of the rows each, make up all rows; and disjoint sets of new rows each
join a map of all others, whose labels say more together than those of one set.  Shown are seconds
of the processor, also as a share of the fit of all rows, the KL divergence, the share of new points
whose label most of their ten nearest in the map have, and how far old points moved, in standard
deviations of the map; of the ten updates together the recall of the lists of neighbours.
"""

import argparse
import itertools
import math
import time

import numpy as np
from common import mnist_rows
from scipy.spatial import cKDTree

from fasttsne import TSNE
from fasttsne.nearest_neighbors import Exact

CASES = ("last", "digit", "ten", "splits")
LINE = "{:22}{:>9}{:>8}{:>8}{:>8}{:>8}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=4500)
    parser.add_argument("--new", type=int, default=500)
    parser.add_argument("--hold", type=float, nargs="*", default=[math.inf, 0.1, 0.001])
    parser.add_argument("--digit", type=int, default=3)
    parser.add_argument("--cases", nargs="*", default=CASES[:3], choices=CASES)
    parser.add_argument("--splits", type=int, default=5)
    options = parser.parse_args()
    X, labels = mnist_rows(options.rows + options.new)
    X = X.astype(np.float32)
    print(LINE.format("", "seconds", "share", "KL", "labels", "moved"))
    if "last" in options.cases:
        compare("the last rows", X, labels, options.rows, options.hold)
    if "digit" in options.cases:
        compare_digit(X, labels, options)
    if "ten" in options.cases:
        compare_ten(X, labels, options.hold)
    if "splits" in options.cases:
        compare_splits(X, labels, options)


def compare_digit(X, labels, options):
    """Print lines for a digit that the old map does not know."""
    is_new = labels == options.digit
    order = np.argsort(is_new, kind="stable")
    n_old = len(labels) - int(is_new.sum())
    compare(f"the digit {options.digit}", X[order], labels[order], n_old, options.hold)


def compare(title, X, labels, n_old, holds):
    """Print lines for rows from ``n_old`` on, which are new."""
    print(f"{title}: {len(X) - n_old:,} rows into {n_old:,}")
    whole, seconds = timed(lambda: TSNE(random_state=0, n_jobs=1).fit(X))
    show("  fit of all", whole, labels, n_old, seconds, 1, "")
    old = TSNE(random_state=0, n_jobs=1).fit(X[:n_old])
    for hold in holds:
        grown, taken = timed(lambda hold=hold: old.update(X[n_old:], hold=hold))
        show(
            f"  update, hold={hold:g}",
            grown,
            labels,
            n_old,
            taken,
            taken / seconds,
            moved(old, grown),
        )


def compare_splits(X, labels, options):
    """Print the labels of disjoint sets of new rows, of each and their mean."""
    print(f"{options.splits} sets of {options.new:,} rows into {len(X) - options.new:,}")
    whole, seconds = timed(lambda: TSNE(random_state=0, n_jobs=1).fit(X))
    rows, found = np.arange(len(X)), []
    for number in range(options.splits):
        is_new = rows // options.new == number
        order, n_old = np.argsort(is_new, kind="stable"), int((~is_new).sum())
        right = [label_agreement(np.asarray(whole)[order], labels[order], n_old)]
        old = TSNE(random_state=0, n_jobs=1).fit(X[order[:n_old]])
        shares = []
        for hold in options.hold:
            grown, taken = timed(lambda old=old, new=order[n_old:], h=hold: old.update(X[new], h))
            right.append(label_agreement(np.asarray(grown), labels[order], n_old))
            shares.append(f"{seconds / taken:.1f} x")
        found.append(right)
        print("  labels: fit", *(f"{value:.4f}" for value in right), *shares, flush=True)
    print("  mean:       ", *(f"{value:.4f}" for value in np.mean(found, axis=0)))


def compare_ten(X, labels, holds):
    """Print lines for ten updates in succession, of 5 % of the rows that there are."""
    sizes = [round(len(X) / 1.05**i) for i in range(10, -1, -1)]
    print(f"ten updates of 5 %: {sizes[0]:,} rows become {sizes[-1]:,}")
    whole, seconds = timed(lambda: TSNE(random_state=0, n_jobs=1).fit(X))
    show("  fit of all", whole, labels, sizes[0], seconds, 1, "")
    k = whole.affinities.knn_index.k
    true = Exact(X, k).build()[0]
    print(f"  recall of the fit {recall(whole, true):.4f}")
    old = TSNE(random_state=0, n_jobs=1).fit(X[: sizes[0]])
    for hold in holds:
        grown, taken = old, 0
        for first, stop in itertools.pairwise(sizes):
            rows = X[first:stop]
            grown, more = timed(lambda old=grown, rows=rows, hold=hold: old.update(rows, hold=hold))
            taken += more
        show(
            f"  updates, hold={hold:g}",
            grown,
            labels,
            sizes[0],
            taken,
            taken / seconds,
            moved(old, grown),
        )
        print(
            f"  KL / fit {grown.kl_divergence / whole.kl_divergence:.4f}, recall "
            f"{recall(grown, true):.4f}"
        )


def moved(old, grown):
    """How far old points moved in the mean, in standard deviations of the map."""
    steps = np.asarray(grown)[: len(old)] - np.asarray(old)
    return f"{np.linalg.norm(steps, axis=1).mean() / np.std(np.asarray(old)):.3f}"


def recall(embedding, true):
    """The share of true neighbours in the lists of a map's affinities."""
    lists = embedding.affinities._indices
    found = [np.isin(row, own).mean() for row, own in zip(true, lists, strict=True)]
    return float(np.mean(found))


def show(name, embedding, labels, n_old, seconds, share, steps):
    right = label_agreement(np.asarray(embedding), labels, n_old)
    print(
        LINE.format(
            name,
            f"{seconds:.2f}",
            f"{share:.2f}",
            f"{embedding.kl_divergence:.3f}",
            f"{right:.3f}",
            steps,
        ),
        flush=True,
    )


def label_agreement(y, labels, first, k=10):
    """The share of points from ``first`` on whose label most of the k nearest have."""
    nearest = cKDTree(y).query(y[first:], k + 1)[1][:, 1:]
    found = [np.bincount(labels[row], minlength=10).argmax() for row in nearest]
    return float(np.mean(found == labels[first:]))


def timed(function):
    start = time.process_time()
    result = function()
    return result, time.process_time() - start


if __name__ == "__main__":
    main()
