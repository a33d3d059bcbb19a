"""Workers killed (SIGKILL) in each stage of a fit on a Dask cluster, so many times each.

    python benchmarks/faults.py                              10 times in each stage
    python benchmarks/faults.py --times 3 --stages search "main phase"

Two workers, started by Dask's own command; one of them is killed at a random moment of the stage,
and a new one is started after the fit.  Shown is how many fits ended with the bits of the local
fit, with nothing left on the workers, and the longest time that one took.
"""

import argparse
import logging
import random
import sys
import tempfile
import threading
import time
from pathlib import Path

import dask.array as da
import numpy as np

import fasttsne
import fasttsne.dask
from fasttsne.runtime.progress import report_progress_to

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from helpers.clusters import processes
from helpers.hostile_rows import noise_between_clusters

N_ROWS, CHUNKS = 9_000, (700, 3)
PARAMETERS = {
    "random_state": 0,
    "n_iter": 40,
    "early_exaggeration_iter": 40,
    "n_jobs": 1,
    "perplexity": 10,
}
# After the stage was heard of, or so many of its iterations are done.
DELAYS, MAX_ITERATIONS = (0, 0.05, 0.1, 0.2, 0.3, 0.5), 30


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--stages", nargs="+", help="default: all that a fit has")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    logging.getLogger("distributed").setLevel(logging.ERROR)
    random.seed(options.seed)
    X = noise_between_clusters(np.random.default_rng(0), N_ROWS).astype(np.float32)
    expected = fasttsne.TSNE(**PARAMETERS).fit(X)
    with tempfile.TemporaryDirectory() as folder, processes(Path(folder)) as cluster:
        for _ in range(2):
            cluster.start_worker()
        with cluster.client(2) as client:
            stages = list(dict.fromkeys(stages_of_a_fit(client, X)))
            for stage in options.stages or stages:
                kill_in(stage, options.times, cluster, client, X, expected)


def stages_of_a_fit(client, X):
    names = []
    with report_progress_to(lambda progress: names.append(progress.name)):
        fit(client, X)
    return names


def fit(client, X):
    return fasttsne.dask.TSNE(client, **PARAMETERS).fit(da.from_array(X, chunks=CHUNKS))


def kill_in(stage, n_times, cluster, client, X, expected):
    """Print a line on so many fits, in each of which a worker is killed in the stage."""
    n_good, longest = 0, 0.0
    for _ in range(n_times):
        killed, start = [], time.perf_counter()
        with report_progress_to(once_in(stage, lambda killed=killed: kill_soon(cluster, killed))):
            same = np.array_equal(fit(client, X), expected)
        longest = max(longest, time.perf_counter() - start)
        for timer in killed:
            timer.join()
        n_held = sum(map(len, client.has_what().values()))
        n_good += bool(killed) and same and not n_held
        while len(cluster.workers) < 2:
            cluster.start_worker()
        while len(client.nthreads()) != 2:
            time.sleep(0.1)
    print(f"{stage:28}{n_good:4} of {n_times}, longest {longest:.0f} s", flush=True)


def once_in(stage, act):
    """Return a listener that acts once in the stage, after a random number of iterations."""
    after, has_acted = random.randint(0, MAX_ITERATIONS), []

    def listen(progress):
        is_time = progress.unit != "iterations" or progress.done >= after
        if progress.name == stage and is_time and not has_acted:
            has_acted.append(True)
            act()

    return listen


def kill_soon(cluster, killed):
    victim = random.choice(cluster.workers)
    timer = threading.Timer(random.choice(DELAYS), cluster.kill, [victim])
    killed.append(timer)
    timer.start()


if __name__ == "__main__":
    main()
