"""Fits with a checkpoint, killed (SIGKILL) again and again: the last one must have the same bits.

    python benchmarks/kills.py                     60 kills
    python benchmarks/kills.py --kills 10 --rows 20000 --parameters n_components=1

A process is killed at a random moment, and another goes on in its folder, up to five times for one
map.  Shown are the kills by stage, and the maps that were compared.  Then come the problems:
maps with other bits, checkpoints that cannot be read, and files that are left when the fit ends.
The exit code is 1 if there are any.  ``faults.py`` kills the workers of a Dask cluster.
"""

import argparse
import ast
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter

# It writes each stage that begins, and in the end a hash of the map.
PROGRAM = """
import ast, hashlib, sys
import numpy as np
from fasttsne import TSNE
from fasttsne.io import fit_checkpoint
from fasttsne.runtime.progress import report_progress_to
fit_checkpoint.MIN_INTERVAL = fit_checkpoint.MIN_SHARE = 0  # it is written whenever it can be
n, parameters = int(sys.argv[1]), ast.literal_eval(sys.argv[2])
rng = np.random.default_rng(0)
X = rng.normal(0, 4, (50, 20))[rng.integers(0, 50, n)] + rng.normal(size=(n, 20))
last = []
def tell(progress):
    if last != [progress.name]:
        last[:] = [progress.name]
        print(progress.name, flush=True)
print("reading", flush=True)
with report_progress_to(tell):
    embedding = TSNE(random_state=0, n_jobs=2, checkpoint="run.npz", **parameters).fit(X)
print("map", hashlib.sha256(np.asarray(embedding)).hexdigest(), embedding.kl_divergence)
"""
MAX_KILLS = 5  # of one map
HANGS = 600


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--rows", type=int, default=3000)
    parser.add_argument("--parameters", nargs="*", default=[], metavar="NAME=VALUE")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    pairs = (text.partition("=") for text in options.parameters)
    parameters = {name: ast.literal_eval(value) for name, _, value in pairs}
    arguments = [sys.executable, "-c", PROGRAM, str(options.rows), repr(parameters)]
    moments = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        lines, seconds = run(arguments, folder)
        expected = lines[-1]
    stages, problems, n_maps = Counter(), [], 0
    while sum(stages.values()) < options.kills:
        with tempfile.TemporaryDirectory() as folder:
            left = options.kills - sum(stages.values())
            for _ in range(min(left, moments.randint(1, MAX_KILLS))):
                lines, _ = run(arguments, folder, moments.uniform(0, seconds))
                if lines and lines[-1].startswith("map"):
                    break  # it was faster
                stages[lines[-1] if lines else "imports"] += 1
            else:
                lines, _ = run(arguments, folder)
            n_maps += 1
            is_same = bool(lines) and lines[-1] == expected
            print(f"map {n_maps}, {sum(stages.values())} kills, {is_same=}", flush=True)
            if not lines or lines[-1] != expected:
                problems.append(f"another end: {lines}, for {expected}")
            parts = [name for name in os.listdir(folder) if ".part" not in name]
            if parts:
                problems.append(f"files are left: {parts}")
    print(f"{sum(stages.values())} kills, {n_maps} maps, {len(problems)} problems")
    for name, count in stages.most_common():
        print(f"  {name:28}{count:4}")
    print(*problems, sep="\n")
    return 1 if problems else 0


def run(arguments, folder, seconds=None):
    """The lines of a fit, and its seconds from the first one on, after which it may be killed."""
    with subprocess.Popen(
        arguments, cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        lines = [process.stdout.readline().strip()]
        start = time.perf_counter()
        if seconds is not None:
            time.sleep(seconds)
            process.kill()
        output, errors = process.communicate(timeout=HANGS)
    took = time.perf_counter() - start
    if process.returncode not in (0, -9):
        lines.append(errors.strip().splitlines()[-1])
    return [line for line in lines + output.splitlines() if line], took


if __name__ == "__main__":
    sys.exit(main())
