"""The tables of docs/performance.rst in one run: all programs on all data, whole fits.

    FASTTSNE_DATA=... python benchmarks/figures.py [--data digits mnist fashion clusters]
        [--former ENVIRONMENT/bin/python]
    python benchmarks/figures.py --growth 1000 2000 5000 10000 20000 50000 100000

Every fit runs in a process of its own, after a small one that does not count: imports and
compilation.  Tables are reStructuredText.  ``--growth`` fits synthetic clusters of so many
rows instead, and draws the time against them.  Run it on an idle machine, in an environment
made from ``benchmarks/requirements.txt``; ``--former`` is the Python of an earlier version.
Data "cells" and "segments" need what ``real_data.py`` names.

peak     MiB, beyond the input and what the process held before
KL       against one P for all, from exact neighbours, Z from all pairs; above 100,000 rows
         from our neighbours, Z from the mesh
labels   share of points whose label most of their 10 nearest have
recall, trust   of 10 neighbours: see ``fasttsne.metrics``
"""

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
import real_data
from common import fashion, labelled_clusters, mnist
from programs import FITS, fit_in_process
from quality import affinities, scores
from stages import NAMES

from fasttsne.datasets import load_digits

PROGRAMS = [
    "fasttsne-auto",
    "fasttsne",
    "pacmap",
    "umap",
    "trimap",
    "sklearnex",
    "openTSNE",
    "fitsne",
    "tsne-h2pack",
    "sklearn",
]
FORMER = "fasttsne, earlier"
TITLES = {"fasttsne-auto": "fasttsne, all defaults", "fasttsne": "fasttsne, classical"}
MOST_ROWS = {"sklearn": 5000, "tsne-h2pack": 5000, "sklearnex": 100_000}
DATA = {
    "cells": lambda rows: real_data.labelled_cells(),
    "digits": lambda rows: load_digits(),
    "segments": lambda rows: real_data.labelled_segments(),
    "mnist": lambda rows: mnist(),
    "fashion": lambda rows: fashion(),
    "clusters": lambda rows: labelled_clusters(rows, n_clusters=max(rows // 2000, 50)),
}
PICTURE = Path(__file__).parent.parent / "docs" / "pictures" / "growth.png"


def fits(X, programs, options):
    """The result and the map of each program that takes so many rows, by its name."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder, "X.npy"), X)
        for program in programs:
            if len(X) > MOST_ROWS.get(program, np.inf):
                continue
            found[program] = _fit(folder, program, options)
            seconds = found[program][0]["seconds"]
            print(f"{len(X):,} rows, {program}: {seconds:.2f} s", file=sys.stderr, flush=True)
    return found


def _fit(folder, program, options):
    is_former = program == FORMER
    return fit_in_process(
        folder,
        "fasttsne-auto" if is_former else program,
        options.n_jobs,
        options.iterations,
        python=options.former if is_former else sys.executable,
    )


def tables(name, options):
    """Print what the fits of one data set took and how good the maps are."""
    X, labels = DATA[name](options.rows)
    X = np.asarray(X, np.float32)
    found = fits(X, options.programs, options)
    P = affinities(X)
    fastest = min(result["seconds"] for result, _ in found.values())
    rows = []
    for program, (result, points) in found.items():
        seconds = result["seconds"]
        row = [TITLES.get(program, program), f"{seconds:.2f}", f"{seconds / fastest:.1f}"]
        row += [f"{result['peak']:,.0f}"]
        rows.append(row + [f"{value:.3f}" for value in scores(X, labels, P, points).values()])
    heading(f"{name}: {X.shape[0]:,} x {X.shape[1]}")
    print_table(["program", "seconds", "ratio", "peak", "KL", "labels", "recall", "trust"], rows)
    print_table(
        ["stage, seconds", *NAMES],
        [
            [TITLES.get(program, program)]
            + [f"{result['stages'].get(stage, float('nan')):.2f}" for stage in NAMES]
            for program, (result, _) in found.items()
            if result["stages"]
        ],
    )


def growth(options):
    """Print and draw seconds against rows; who lost patience once is not asked for more."""
    seconds = {program: {} for program in options.programs}
    for n in sorted(options.growth):
        X, _ = DATA["clusters"](n)
        patient = [
            program
            for program, times in seconds.items()
            if max(times.values(), default=0) < options.patience
        ]
        for program, (result, _) in fits(X, patient, options).items():
            seconds[program][n] = result["seconds"]
    heading("Seconds against rows, clusters of 50 columns")
    print_table(
        ["rows", *seconds],
        [
            [f"{n:,}"] + [f"{times[n]:.2f}" if n in times else "" for times in seconds.values()]
            for n in sorted(options.growth)
        ],
    )
    draw(seconds, options.picture)


def draw(seconds, path):
    """One line for each program, both axes logarithmic."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, ax = plt.subplots(figsize=(7, 5), layout="constrained")
    for program, times in seconds.items():
        ours = program.startswith("fasttsne")
        ax.loglog(
            list(times),
            list(times.values()),
            "o-" if ours else "o--",
            lw=2 if ours else 1.2,
            label=TITLES.get(program, program),
        )
    ax.set(xlabel="rows", ylabel="seconds, rows to map")
    ax.grid(alpha=0.3, which="both")
    ax.legend()
    figure.savefig(path, dpi=100)
    print("drawn:", path, file=sys.stderr)


def heading(text):
    print(f"{text}\n{'-' * len(text)}\n")


def print_table(header, rows):
    """A simple table of reStructuredText, whose first column is never empty."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    rule = " ".join("=" * width for width in widths)
    lines = [
        " ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (header, *rows)
    ]
    print("\n".join([rule, lines[0], rule, *lines[1:], rule, ""]), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", nargs="+", default=list(DATA), choices=list(DATA))
    parser.add_argument("--programs", nargs="+", default=[*PROGRAMS], choices=list(FITS))
    parser.add_argument("--former", help="Python with an earlier version, to fit with it, too")
    parser.add_argument("--rows", type=int, default=200_000, help="of clusters")
    parser.add_argument("--iterations", type=int, default=750)
    parser.add_argument("--growth", type=int, nargs="+", metavar="ROWS")
    parser.add_argument(
        "--patience",
        type=float,
        default=300,
        help="seconds after which a program gets no more rows",
    )
    parser.add_argument("--picture", default=PICTURE)
    parser.add_argument("--n-jobs", type=int, default=2)
    options = parser.parse_args()
    if options.former:
        options.programs.insert(1, FORMER)
    if options.growth:
        growth(options)
        return
    for name in options.data:
        tables(name, options)


if __name__ == "__main__":
    main()
