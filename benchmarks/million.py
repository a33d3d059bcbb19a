"""A million rows, stage by stage: time, peak memory beyond the input, and how both grow.

    python benchmarks/million.py [--rows 250000 500000 1000000] [--iterations 20]

The input is a read-only float32 memory map of synthetic clusters, 50 columns.  Programs run
with all defaults, each in a process of its own.  ``--iterations`` lets the peers do so few
of each phase and scales the seconds up: too low an estimate, as openTSNE's iterations cost
more the wider the map gets.  Fails if fasttsne takes more than 40 bytes times rows times
neighbours, or a stage of it grows faster than rows do, by more than 15 %.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
from neighbors import load
from programs import fit_in_process
from stages import NAMES

# Neighbours by default: three times the perplexity, and UMAP's own.
NEIGHBORS = {"fasttsne": 90, "openTSNE": 90, "tsne-h2pack": 90, "umap": 15}
# What a whole fit with all defaults does, of which --iterations is a share.
ITERATIONS = {
    "openTSNE": {"early exaggeration": 250, "main phase": 500},
    "umap": {"main phase": 200},
}
# Of fewer rows what does not depend on their number is too large a part.
MOST_BYTES, FROM_ROWS = 40, 100_000
GROWTH = 1.15


def fit(program, folder, options):
    """The result of one fit, its stages and seconds scaled to all iterations."""
    short = bool(options.iterations) and program in ITERATIONS
    name = "fasttsne-auto" if program == "fasttsne" else program + "-short" * short
    result, _ = fit_in_process(folder, name, options.n_jobs, options.iterations or 750, True)
    stages = result["stages"]
    if short:
        for stage, usual in ITERATIONS[program].items():
            more = stages[stage] * (usual / options.iterations - 1)
            stages[stage] += more
            result["seconds"] += more
    return result


def report(program, n, result, options):
    """Print one fit; True where the memory is within bounds, or nobody promised any."""
    stages = result["stages"]
    k = NEIGHBORS[program]
    size = result["peak"] * 2**20 / (n * k)
    scaled = options.iterations and program in ITERATIONS
    note = f"scaled from {options.iterations} iterations: too low" if scaled else ""
    print(f"\n{program}, {n:,} rows   {note}")
    rest = result["seconds"] - sum(stages.values())
    for name, seconds in [*stages.items(), ("the rest", rest), ("in all", result["seconds"])]:
        print(f"  {name:20}{seconds:10.2f} s{1e6 * seconds / n:10.2f} us a row")
    print(f"  peak memory         {result['peak']:10,.0f} MiB{size:8.1f} bytes x rows x {k}")
    sys.stdout.flush()
    return program != "fasttsne" or n < FROM_ROWS or size <= MOST_BYTES


def grows_linearly(results):
    """Print each stage's time per row from size to size; False where one grows too fast.

    ``results`` are those of fasttsne by number of rows.
    """
    sizes = sorted(results)
    print("\nfasttsne, us a row  " + "".join(f"{n:>12,}" for n in sizes) + "     ratio")
    fine = True
    for name in NAMES:
        each = [1e6 * results[n]["stages"][name] / n for n in sizes]
        linear = each[-1] <= GROWTH * each[0]
        fine = fine and linear
        line = f"  {name:18}" + "".join(f"{t:12.2f}" for t in each)
        print(f"{line}{each[-1] / each[0]:10.2f}{'' if linear else '   faster than linear'}")
    return fine


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000])
    parser.add_argument("--programs", nargs="+", default=list(NEIGHBORS), choices=list(NEIGHBORS))
    parser.add_argument("--iterations", type=int, help="of each phase of the peers, if not all")
    parser.add_argument("--n-jobs", type=int, default=2)
    options = parser.parse_args()
    complaints, ours = [], {}
    for n in options.rows:
        with tempfile.TemporaryDirectory() as folder:
            np.save(Path(folder, "X.npy"), load("clusters", n))
            for program in options.programs:
                result = fit(program, folder, options)
                if not report(program, n, result, options):
                    complaints.append(f"{program} takes more than {MOST_BYTES} bytes at {n:,} rows")
                if program == "fasttsne":
                    ours[n] = result
    if len(ours) > 1 and not grows_linearly(ours):
        complaints.append("a stage grows faster than linearly")
    sys.exit("\n".join(complaints) or 0)


if __name__ == "__main__":
    main()
