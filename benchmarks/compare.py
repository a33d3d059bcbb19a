"""fasttsne beside its peers: same input, processes in turn, ratios of medians.

    FASTTSNE_DATA=... python benchmarks/compare.py iteration
    FASTTSNE_DATA=... python benchmarks/compare.py kl
    FASTTSNE_DATA=... python benchmarks/compare.py fit --rows 2000 10000
    FASTTSNE_DATA=... python benchmarks/compare.py transform

``iteration``: 50 iterations on the final MNIST map with the same P, here and in
openTSNE.  ``kl``: 250 + 500 iterations from the same P and start, and the exact
KL divergence of both maps.  ``fit``: whole fits, 1,000 iterations, from raw
pixels.  ``transform``: 60,000 images embedded and 10,000 placed among them; the labels
of the 10 nearest tell how well.  Every run is a process of its own; run it on an idle
machine, in an environment made from ``benchmarks/requirements.txt``.
"""

import argparse
import importlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from common import exact_kl, mnist, mnist_rows
from programs import FITS, IN_PLANE, fit_in_process
from scipy.spatial import cKDTree

PERPLEXITY = 30


# What a process of its own does: reads files, works, prints its seconds.


def iterate_fasttsne(folder, n_jobs, n_iter, exaggeration, momentum):
    from fasttsne import TSNEEmbedding

    embedding = TSNEEmbedding(
        np.load(folder / "start.npy"),
        sp.load_npz(folder / "P.npz"),
        n_jobs=n_jobs,
        negative_gradient_method="fft",
    )
    return _iterate(embedding, folder, n_iter, exaggeration, momentum)


def iterate_opentsne(folder, n_jobs, n_iter, exaggeration, momentum):
    import openTSNE

    P = sp.load_npz(folder / "P.npz").astype(float)
    embedding = openTSNE.TSNEEmbedding(
        np.load(folder / "start.npy"),
        openTSNE.affinity.PrecomputedAffinities(P, normalize=False),
        negative_gradient_method="fft",
        n_jobs=n_jobs,
        random_state=0,
    )
    return _iterate(embedding, folder, n_iter, exaggeration, momentum)


def _iterate(embedding, folder, n_iter, exaggeration, momentum):
    embedding.optimize(2, inplace=True, exaggeration=exaggeration, momentum=momentum)
    start = time.perf_counter()
    embedding.optimize(n_iter, inplace=True, exaggeration=exaggeration, momentum=momentum)
    seconds = time.perf_counter() - start
    np.save(folder / "map.npy", np.asarray(embedding))
    return seconds


ITERATIONS = {"fasttsne": iterate_fasttsne, "openTSNE": iterate_opentsne}


def place_new(folder, program, n_jobs):
    """Embed the old rows and place the new ones, which is what is timed."""
    package = importlib.import_module(program)
    X, new = np.load(folder / "X.npy"), np.load(folder / "new.npy")
    few = package.TSNE(n_iter=10, n_jobs=n_jobs, random_state=0).fit(X[:300])
    few.transform(new[:10])  # imports and compilation do not count
    embedding = package.TSNE(n_jobs=n_jobs, random_state=0).fit(X)
    start = time.perf_counter()
    placed = embedding.transform(new)
    seconds = time.perf_counter() - start
    np.save(folder / "map.npy", np.concatenate([embedding, placed]))
    return seconds


def work(order):
    """Carry out one order in this process; the last line printed is the seconds it took."""
    folder = Path(order["folder"])
    if order["job"] == "iterate":
        seconds = ITERATIONS[order["program"]](folder, order["n_jobs"], *order["arguments"])
    else:
        seconds = place_new(folder, order["program"], order["n_jobs"])
    print(seconds)


def in_process(**order):
    """Seconds that a process of its own reports, and the map that it leaves."""
    result = subprocess.run(
        [sys.executable, __file__, "--order", json.dumps(order)],
        check=True,
        capture_output=True,
        text=True,
    )
    return float(result.stdout.split()[-1]), np.load(Path(order["folder"], "map.npy"))


# What the main process does.


def compare_iteration(folder, options):
    P, points = mnist_graph(folder, options.n_jobs)
    sp.save_npz(folder / "P.npz", P)
    print("making the final map ...", flush=True)
    np.save(folder / "start.npy", points)
    _, points = in_process(
        job="iterate",
        program="fasttsne",
        folder=str(folder),
        n_jobs=options.n_jobs,
        arguments=[250, 12, 0.8],
    )
    np.save(folder / "start.npy", points)
    _, points = in_process(
        job="iterate",
        program="fasttsne",
        folder=str(folder),
        n_jobs=options.n_jobs,
        arguments=[500, 1, 0.8],
    )
    np.save(folder / "start.npy", points)
    seconds = {name: [] for name in ITERATIONS}
    for _ in range(options.rounds):
        for name in ITERATIONS:
            taken, _ = in_process(
                job="iterate",
                program=name,
                folder=str(folder),
                n_jobs=options.n_jobs,
                arguments=[50, 1, 0.8],
            )
            seconds[name].append(taken / 50)
    report(seconds, {})


def compare_kl(folder, options):
    P, start = mnist_graph(folder, options.n_jobs)
    sp.save_npz(folder / "P.npz", P)
    seconds, error = {}, {}
    for name in ITERATIONS:
        np.save(folder / "start.npy", start)
        early, points = in_process(
            job="iterate",
            program=name,
            folder=str(folder),
            n_jobs=options.n_jobs,
            arguments=[250, 12, 0.8],
        )
        np.save(folder / "start.npy", points)
        late, points = in_process(
            job="iterate",
            program=name,
            folder=str(folder),
            n_jobs=options.n_jobs,
            arguments=[500, 1, 0.8],
        )
        seconds[name], error[name] = [early + late], exact_kl(P, points)
    report(seconds, error)


def compare_fit(folder, options):
    from fasttsne.affinity import PerplexityBasedNN

    for rows in options.rows:
        X, _ = mnist_rows(rows)
        np.save(folder / "X.npy", X)
        P = PerplexityBasedNN(X, PERPLEXITY, n_jobs=options.n_jobs).P
        seconds = {name: [] for name in options.programs}
        error = {}
        for turn in range(options.rounds):
            for name in options.programs:
                if turn and name in options.once:
                    continue
                result, points = fit_in_process(folder, name, options.n_jobs, options.iterations)
                seconds[name].append(result["seconds"])
                error.setdefault(name, []).append(exact_kl(P, points.astype(float)))
        print(f"{rows:,} rows of MNIST, {options.iterations:,} iterations, whole fit")
        report(seconds, {name: statistics.median(values) for name, values in error.items()})


def compare_transform(folder, options):
    X, y = mnist()
    old = 60_000
    np.save(folder / "X.npy", X[:old].astype(np.float32))
    np.save(folder / "new.npy", X[old:].astype(np.float32))
    seconds = {}
    for name in ITERATIONS:
        seconds[name], points = in_process(
            job="transform", program=name, folder=str(folder), n_jobs=options.n_jobs
        )
        _, nearest = cKDTree(points[:old]).query(points[old:], 10)
        votes = np.apply_along_axis(np.bincount, 1, y[nearest], minlength=10)
        accuracy = (votes.argmax(1) == y[old:]).mean()
        print(
            f"  {name:12} {len(X) - old:,} rows in {seconds[name]:6.2f} s   "
            f"{seconds[name] / seconds['fasttsne']:6.2f} x   label accuracy {accuracy:.4f}",
            flush=True,
        )


def mnist_graph(folder, n_jobs):
    """P of all of MNIST from exact neighbours, and the PCA start; kept for the next run."""
    from fasttsne import initialization
    from fasttsne.affinity import PerplexityBasedNN

    kept = Path(__file__).parent / "results"
    if not (kept / "mnist-P.npz").exists():
        kept.mkdir(exist_ok=True)
        print("finding the neighbours of MNIST ...", flush=True)
        X, _ = mnist()
        sp.save_npz(kept / "mnist-P.npz", PerplexityBasedNN(X, PERPLEXITY, n_jobs=n_jobs).P)
        np.save(kept / "mnist-start.npy", initialization.pca(X, random_state=0))
    return sp.load_npz(kept / "mnist-P.npz"), np.load(kept / "mnist-start.npy")


def report(seconds, error):
    """A table of medians, ranges, and ratios to the first program."""
    ours = statistics.median(next(iter(seconds.values())))
    for name, values in seconds.items():
        median = statistics.median(values)
        line = f"  {name:12} {median:10.4f} s   {median / ours:7.2f} x   "
        line += f"({min(values):.4f} to {max(values):.4f}, {len(values)} runs)"
        if name in error:
            line += f"   exact KL {error[name]:.4f}"
        print(line, flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", nargs="?", choices=["iteration", "kl", "fit", "transform"])
    parser.add_argument("--rows", type=int, nargs="+", default=[2000, 10_000])
    parser.add_argument("--programs", nargs="+", default=IN_PLANE, choices=list(FITS))
    parser.add_argument(
        "--once",
        nargs="*",
        default=["sklearn", "openTSNE", "umap"],
        help="programs that run in the first round only",
    )
    parser.add_argument("--iterations", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--n-jobs", type=int, default=2)
    parser.add_argument("--order", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.order:
        work(json.loads(options.order))
        return
    with tempfile.TemporaryDirectory() as folder:
        {
            "iteration": compare_iteration,
            "kl": compare_kl,
            "fit": compare_fit,
            "transform": compare_transform,
        }[options.what](Path(folder), options)


if __name__ == "__main__":
    main()
