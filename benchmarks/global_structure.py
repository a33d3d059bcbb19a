"""What global_structure gains and costs, on ten real data sets, beside other programs.

    FASTTSNE_DATA=... python benchmarks/global_structure.py [--weights 0 0.15 1] [--n-jobs 1]
        [--other ENVIRONMENT/bin/python] [--picture FILE]

The data: real_data.py.  Shown for each weight are the correlation of distances (Spearman) and the
share of the 10 nearest neighbours that are found in the map, both of up to 2,000 rows; and at the
end the changes that a weight makes: least, median and most.  ``--other`` is the Python of an
environment with umap-learn, pacmap and trimap, which make maps by their defaults and seed 0.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import real_data

from fasttsne import TSNE, initialization
from fasttsne.metrics import distance_correlation, neighbor_recall

WEIGHTS = 0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.7, 0.9, 1.0
RECOMMENDED = 0.15
PEERS = "umap", "pacmap", "trimap"
TITLES = {"umap": "umap-learn", "pacmap": "PaCMAP", "trimap": "TriMap"}
# Run by the other Python: a module's name, the file of the rows, and that of the map.
PEER = """
import sys, time
import numpy as np
name, rows, out = sys.argv[1:]
X = np.load(rows)
def make():
    # What one model has fitted must not matter to the next.
    if name == "umap":
        from umap import UMAP
        return UMAP(random_state=0, n_jobs=1)
    if name == "pacmap":
        from pacmap import PaCMAP
        return PaCMAP(random_state=0)
    from trimap import TRIMAP
    np.random.seed(0)
    return TRIMAP(verbose=False)
make().fit_transform(X[:100])  # compiles
start = time.process_time()
Y = make().fit_transform(X)
np.save(out, Y)
print(time.process_time() - start)
"""


def scores(X, points, n_jobs):
    """Correlation of distances, and 10-neighbour recall."""
    return (
        float(distance_correlation(X, points, sample_size=2000)),
        float(neighbor_recall(X, points, k=10, sample_size=2000, n_jobs=n_jobs)),
    )


def maps(X, weights, n_jobs):
    """The map of each weight, by its name, with processor seconds of the fit."""
    yield "pca", initialization.pca(X, random_state=0, n_jobs=n_jobs), 0.0
    for weight in weights:
        start = time.process_time()
        points = TSNE(global_structure=weight, random_state=0, n_jobs=n_jobs).fit(X)
        yield f"{weight:g}", np.asarray(points), time.process_time() - start


def peer_maps(X, python, names):
    """The maps of other programs."""
    with tempfile.TemporaryDirectory() as folder:
        rows, out = Path(folder, "rows.npy"), Path(folder, "map.npy")
        np.save(rows, X)
        for name in names:
            result = subprocess.run(
                [python, "-c", PEER, name, rows, out], capture_output=True, text=True, check=False
            )
            if result.returncode:
                print(f"  {name}: {result.stderr.strip().splitlines()[-1]}", flush=True)
                continue
            yield name, np.load(out), float(result.stdout.split()[-1])


def measure(name, options):
    """What is found for a data set: of each map two scores and seconds."""
    X = real_data.load(name)
    print(f"{name}, {X.shape[0]:,} rows of {X.shape[1]}", flush=True)
    found = {}
    sources = [maps(X, options.weights, options.n_jobs)]
    if options.other:
        sources.append(peer_maps(X, options.other, options.peers))
    for source in sources:
        for label, points, seconds in source:
            found[label] = *scores(X, points, options.n_jobs), seconds
            print("  {:8}{:8.3f}{:8.3f}{:9.2f} s".format(label, *found[label]), flush=True)
    return found


def summarize(results):
    """Print what each map changes of the one without global structure, over the data sets."""
    labels = [label for label in next(iter(results.values())) if label != "0"]
    print(f"\n{'':8}{'distance correlation':>26}{'10-neighbour recall':>28}   both change")
    print(f"{'':8}" + f"{'least':>10}{'median':>9}{'most':>9}" * 2)
    for label in labels:
        changes = np.array(
            [
                np.subtract(found[label], found["0"])[:2]
                for found in results.values()
                if label in found
            ]
        )
        low, middle, high = changes.min(0), np.median(changes, 0), changes.max(0)
        cells = "".join(f"{low[i]:+10.3f}{middle[i]:+9.3f}{high[i]:+9.3f}" for i in range(2))
        print(f"{label:8}{cells}   {len(changes)} sets")


def draw(results, path):
    """Curves of the weights, one for each data set, and the maps of other programs as letters."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(2, 5, figsize=(13, 5.4), layout="constrained")
    for ax, (name, found) in zip(axes.flat, results.items(), strict=False):
        weights = [label for label in found if label not in ("pca", *PEERS)]
        curve = np.array([found[label][:2] for label in weights])
        ax.plot(curve[:, 1], curve[:, 0], ".-", color="tab:blue", lw=1)
        for label in ("0", f"{RECOMMENDED:g}", "1"):
            if label in found:
                correlation, recall, _ = found[label]
                ax.plot(recall, correlation, "o", color="tab:blue")
                ax.annotate(
                    label, (recall, correlation), (-5, -10), ha="right", textcoords="offset points"
                )
        for peer, color in zip(PEERS, ("tab:orange", "tab:green", "tab:red"), strict=True):
            if peer in found:
                ax.plot(found[peer][1], found[peer][0], "s", color=color, label=TITLES[peer])
        ax.set_title(name, fontsize=10)
        ax.margins(0.12)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower right", ncols=3, fontsize=9)
    figure.supxlabel("10-neighbour recall", fontsize=10)
    figure.supylabel("correlation of distances", fontsize=10)
    figure.savefig(path, dpi=90)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=float, nargs="+", default=WEIGHTS)
    parser.add_argument("--only", nargs="+", default=list(real_data.SETS), metavar="NAME")
    parser.add_argument("--n-jobs", type=int, default=1)
    parser.add_argument("--other", help="Python with umap-learn, pacmap and trimap")
    parser.add_argument("--peers", nargs="+", default=PEERS, choices=PEERS)
    parser.add_argument("--results", type=Path, help="file of numbers; data sets in it are not run")
    parser.add_argument("--picture", type=Path)
    options = parser.parse_args()
    results = {}
    if options.results and options.results.exists():
        results = json.loads(options.results.read_text())
    for name in options.only:
        if name not in results:
            results[name] = measure(name, options)
            if options.results:
                options.results.write_text(json.dumps(results, indent=1))
    summarize(results)
    if options.picture:
        draw(results, options.picture)


if __name__ == "__main__":
    sys.exit(main())
