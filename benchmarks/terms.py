"""What anchors and global structure add to an iteration, and global structure to a fit.

    FASTTSNE_DATA=... python benchmarks/terms.py [--rows 20000] [--iterations 50] [--repeats 9]
        [--fits 3]

Iterations of a finished map of MNIST, plain, with all points anchored, and with global structure,
in turn in one process; and whole fits.  Shown are processor seconds of one thread: the median, and
the median of the ratios to the plain one of the same turn.  Plain iterations have momentum, those
"by curvature" are the preconditioned ones of the automatic schedule.
"""

import argparse
import time

import numpy as np
from common import mnist_rows

from fasttsne import TSNE, Anchors
from fasttsne.optimize.schedule import Stage

LINE = "{:34}{:>12}{:>8}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--iterations", type=int, default=50)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--fits", type=int, default=3)
    options = parser.parse_args()
    X = mnist_rows(options.rows)[0].astype(np.float32)
    embedding = TSNE(random_state=0, n_jobs=1, global_structure=0.15).fit(X)
    anchors = Anchors(np.asarray(embedding), np.full(len(X), 0.1))
    print(LINE.format("", "ms", "ratio"))
    for name, is_preconditioned in ("momentum", False), ("by curvature", True):
        rate = 0.5 if is_preconditioned else float(len(X))
        stage = Stage(options.iterations, 1.0, rate, 0.8, is_preconditioned=is_preconditioned)
        compare(
            name,
            {
                "plain": lambda stage=stage: run(embedding, stage),
                "anchors": lambda stage=stage: run(embedding, stage, anchors=anchors),
                "global structure": lambda stage=stage: run(embedding, stage, structure=0.15),
            },
            options.repeats,
            options.iterations,
        )
    compare(
        "whole fit",
        {"plain": lambda: fit(X, 0), "global structure": lambda: fit(X, 0.15)},
        options.fits,
        1,
    )


def run(embedding, stage, anchors=None, structure=0.0):
    embedding.optimize((stage,), anchors=anchors, global_structure=structure)


def fit(X, weight):
    TSNE(random_state=0, n_jobs=1, global_structure=weight).fit(X)


def compare(title, works, repeats, n_parts):
    """Print for each work the median time of a part, and of its ratios to the first work."""
    times = np.array([[timed(work) for work in works.values()] for _ in range(repeats)])
    for name, own in zip(works, times.T, strict=True):
        ratio = np.median(own / times[:, 0])
        shown = f"{1000 * np.median(own) / n_parts:.2f}", f"{ratio:.3f}"
        print(LINE.format(f"{title}, {name}", *shown), flush=True)


def timed(work):
    start = time.process_time()
    work()
    return time.process_time() - start


if __name__ == "__main__":
    main()
