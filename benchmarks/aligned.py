"""Maps of two parts of MNIST that share rows, aligned, and each alone.

    FASTTSNE_DATA=... python benchmarks/aligned.py [--rows 7000] [--shared 800]
        [--alignment 0.002 0.02 0.2] [--n-jobs 1] [--other PYTHON]

The work asked for is ``--rows 37000 --shared 4000``: all of MNIST.  Shown are seconds of processor
time, the KL divergence of each map, also as a share of that of the map alone, the median distance
of partners as a share of the width of the maps, and the share of points whose label most of their
ten nearest in the map have.  Another way to two maps that can be compared is a map of the first
part that the other rows of the second join by ``update``.  ``--other`` is the Python of an
environment with umap-learn, whose AlignedUMAP and ``update`` are run there, after fits of few rows
that do not count.  AlignedUMAP of 0.5.12 ended in a segmentation fault with 2,000 rows and more;
``--rows 1000 --shared 200`` works.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from common import mnist_rows
from scipy.spatial import cKDTree

LINE = "{:24}{:>9}{:>8}{:>8}{:>8}{:>8}{:>8}{:>8}{:>8}"
WARM_UP_ROWS = 1000


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=7000)
    parser.add_argument("--shared", type=int, default=800)
    parser.add_argument("--alignment", type=float, nargs="*", default=[0.002, 0.02, 0.2])
    parser.add_argument("--n-jobs", type=int, default=1)
    parser.add_argument("--other")
    options = parser.parse_args()
    n, shared = options.rows, options.shared
    X, labels = mnist_rows(2 * n - shared)
    parts = np.arange(n), np.r_[:shared, n : 2 * n - shared]
    data, labels = [X[part] for part in parts], [labels[part] for part in parts]
    print(f"2 x {n:,} rows, {shared:,} of them the same, {options.n_jobs} threads")
    print(LINE.format("", "seconds", "KL", "KL", "share", "share", "shift", "labels", "labels"))
    relations = [np.column_stack([np.arange(shared)] * 2)]
    alone = fit_alone(data, options.n_jobs)
    divergences = [embedding.kl_divergence for embedding in alone[0]]
    show("each alone", *alone, labels, shared, divergences)
    for alignment in options.alignment:
        fitted = fit_aligned(data, relations, alignment, options.n_jobs)
        show(f"alignment={alignment:g}", *fitted, labels, shared, divergences)
    show("update", *fit_update(data, shared, options.n_jobs), labels, shared)
    if options.other:
        for title in PEERS:
            found = fit_umap(options.other, title, data, shared, options.n_jobs)
            if found is None:
                print(f"{title:24}its process died", flush=True)
            else:
                show(title, *found, labels, shared)


def fit_alone(data, n_jobs):
    from fasttsne import TSNE

    start = time.process_time()
    maps = [TSNE(random_state=0, n_jobs=n_jobs).fit(X) for X in data]
    return maps, time.process_time() - start


def fit_aligned(data, relations, alignment, n_jobs):
    from fasttsne import AlignedTSNE

    start = time.process_time()
    maps = AlignedTSNE(alignment, random_state=0, n_jobs=n_jobs).fit(data, relations)
    return maps, time.process_time() - start


def fit_update(data, shared, n_jobs):
    """The map of the first part, and what the second has in it after the update."""
    from fasttsne import TSNE

    start = time.process_time()
    first = TSNE(random_state=0, n_jobs=n_jobs).fit(data[0])
    joined = np.asarray(first.update(data[1][shared:]))
    seconds = time.process_time() - start
    return [np.asarray(first), second_of(joined, shared, len(data[0]))], seconds


def second_of(joined, shared, n):
    """The rows of the second part among those of the first and of new ones after them."""
    return np.concatenate([joined[:shared], joined[n:]])


def fit_umap(python, title, data, shared, n_jobs):
    """The maps and seconds of umap-learn in another environment; None where it crashes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "maps.npz")
        np.savez(path, *data)
        command = [python, __file__, "umap", title, str(path), str(shared)]
        threads = {"NUMBA_NUM_THREADS": str(n_jobs), "OMP_NUM_THREADS": str(n_jobs)}
        if subprocess.run(command, stdout=sys.stderr, env={**os.environ, **threads}).returncode:
            return None
        with np.load(path) as found:
            return [found["first"], found["second"]], float(found["seconds"])


def run_umap(title, path, shared):
    """Replace data in a file by their maps."""
    with np.load(path) as found:
        data = [found["arr_0"], found["arr_1"]]
    fit = PEERS[title]
    fit([X[:WARM_UP_ROWS] for X in data], min(shared, WARM_UP_ROWS // 2))
    start = time.process_time()
    first, second = fit(data, shared)
    np.savez(path, first=first, second=second, seconds=time.process_time() - start)


def align_umap(data, shared):
    from umap import AlignedUMAP

    return AlignedUMAP().fit(data, relations=[{i: i for i in range(shared)}]).embeddings_


def update_umap(data, shared):
    from umap import UMAP

    model = UMAP().fit(data[0])
    first = model.embedding_.copy()
    model.update(data[1][shared:])
    return first, second_of(model.embedding_, shared, len(first))


PEERS = {"AlignedUMAP": align_umap, "umap-learn's update": update_umap}


def show(name, maps, seconds, labels, shared, divergences=None):
    """Print a line; the KL divergences are those of the maps alone, None for another loss."""
    points = [np.asarray(embedding) for embedding in maps]
    width = max(np.ptp(np.concatenate(points), axis=0))
    away = np.linalg.norm(points[0][:shared] - points[1][:shared], axis=1)
    own = [""] * 4
    if divergences is not None:
        own = [f"{embedding.kl_divergence:.3f}" for embedding in maps]
        own += [f"{m.kl_divergence / d:.3f}" for m, d in zip(maps, divergences, strict=True)]
    right = [f"{label_agreement(y, z):.3f}" for y, z in zip(points, labels, strict=True)]
    shift = f"{np.median(away) / width:.4f}"
    print(LINE.format(name, f"{seconds:.1f}", *own, shift, *right), flush=True)


def label_agreement(y, labels, k=10):
    """The share of points whose label most of the k nearest have."""
    nearest = cKDTree(y).query(y, k + 1)[1][:, 1:]
    found = [np.bincount(labels[row], minlength=10).argmax() for row in nearest]
    return float(np.mean(found == labels))


if __name__ == "__main__":
    if sys.argv[1:2] == ["umap"]:
        run_umap(sys.argv[2], sys.argv[3], int(sys.argv[4]))
    else:
        main()
