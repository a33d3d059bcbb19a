"""Fits of many rows in a file: seconds and memory, beside another version, and how they grow.

    python benchmarks/large.py [--data uneven-1000000 shifts-1050000 ...] [--limit 10GB]
        [--other PYTHON] [--n-jobs 1] [--folder F] [--results large.jsonl]
    python benchmarks/large.py --table --results large.jsonl

Data are named KIND-ROWS or KIND-ROWS-COLUMNS:

uneven   clusters of very unequal sizes, as in million.py: Gaussians in all columns
folded   clusters of ten dimensions, turned into the columns, with noise: cells have such
shifts   MNIST and its images shifted by up to two pixels, uint8; shifts-70000 is MNIST itself

Each fit has all defaults and is a process of its own, which reads a memory map.  ``--other`` is the
Python of an environment with another version, which fits the same files in turn.  Shown are

seconds, processor   elapsed, and of all threads: what other work on the machine disturbs less
anonymous            most memory beyond what the process had before, files not counted
KL, recall           of the map; of the neighbours, and what 99 % of the rows reach at least

``--table`` fits c n^a d^b to the processor time of each stage (the power of the columns d for
the neighbours only), and prints the table of docs/large.rst.
"""

import argparse
import json
import logging
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap

N_CLUSTERS, N_DIMENSIONS, BATCH = 40, 10, 100_000
STAGES = {
    "finding": "neighbours",
    "computing affinities": "affinities",
    "computing the principal": "start",
    "early": "early exaggeration",
    "main": "main phase",
}
TABLE_ROWS = (10**5, 10**6, 10**7, 10**8)
TABLE_COLUMNS = (10, 50, 200, 1000)


def main():
    if sys.argv[1:2] == ["measure"]:
        print(json.dumps(measure(sys.argv[2], json.loads(sys.argv[3]))))
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", nargs="+", default=["uneven-1000000", "shifts-1050000"])
    parser.add_argument("--limit", help="memory_limit of this version")
    parser.add_argument("--other", help="Python of another version's environment")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--n-jobs", type=int, default=-1)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--results", type=Path, help="a file to which results are added")
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    if options.table:
        print_table(map(json.loads, options.results.read_text().splitlines()))
        return
    for name in options.data:
        path = file_of(name, options.folder)
        for _ in range(options.rounds):
            compare(name, path, options)


def compare(name, path, options):
    """Fit a file by this version and the other, and print both."""
    settings = {"n_jobs": options.n_jobs, "random_state": 0}
    limit = {"memory_limit": options.limit} if options.limit else {}
    for label, python, more in (("this", sys.executable, limit), ("other", options.other, {})):
        if not python:
            continue
        command = [python, __file__, "measure", str(path), json.dumps({**settings, **more})]
        output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        result = {
            "data": name,
            "version": label,
            "n_jobs": options.n_jobs,
            **more,
            **json.loads(output),
        }
        if options.results:
            with options.results.open("a") as file:
                file.write(json.dumps(result) + "\n")
        print(
            f"{name} {label}: {result['seconds']:.1f} s, processor {result['processor']:.1f} s, "
            f"anonymous {result['anonymous'] / 1e9:.2f} GB, KL {result['KL']:.4f}, recall "
            f"{result['recall']} {result['tail']}, {result['iterations']} its"
        )
        print(
            "   ",
            ", ".join(f"{stage} {s:.1f}" for stage, s in result["stages"].items()),
            flush=True,
        )


def measure(path, settings):
    """Fit a file in this process."""
    from fasttsne import TSNE

    X = np.load(path, mmap_mode="r")
    TSNE(random_state=0).fit(np.array(X[:500]))
    stages, memory = Stages(), Memory()
    logger = logging.getLogger("fasttsne")
    logger.addHandler(stages)
    logger.setLevel(logging.INFO)
    memory.start()
    begun, processor = time.perf_counter(), time.process_time()
    embedding = TSNE(**settings).fit(X)
    seconds, processor = time.perf_counter() - begun, time.process_time() - processor
    index = embedding.affinities.knn_index
    tail = getattr(index, "recall_quantiles_", None)
    return {
        "n": X.shape[0],
        "d": X.shape[1],
        "seconds": seconds,
        "processor": processor,
        "anonymous": memory.finish(),
        "KL": embedding.kl_divergence,
        "stages": stages.seconds,
        "recall": round(index.recall_, 4),
        "tail": round(tail[0], 3) if tail else None,
        "iterations": embedding.optimizer.state.iteration,
    }


class Stages(logging.Handler):
    """Processor time of each stage, which the log says the beginning and the end of."""

    def __init__(self):
        super().__init__()
        self.seconds, self._begun = {}, 0.0

    def emit(self, record):
        message = record.getMessage()
        for begin, name in STAGES.items():
            if message.startswith(begin) and message.endswith(" ..."):
                self._begun = time.process_time()
            elif message.startswith(begin) and " took " in message:
                self.seconds[name] = time.process_time() - self._begun


class Memory(threading.Thread):
    """The most anonymous memory of this process, looked at ten times a second."""

    def __init__(self):
        super().__init__(daemon=True)
        self._most, self._before, self._ended = 0, self._now(), threading.Event()

    def run(self):
        while not self._ended.wait(0.1):
            self._most = max(self._most, self._now())

    def finish(self):
        self._ended.set()
        return self._most - self._before

    @staticmethod
    def _now():
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                return 1024 * int(line.split()[1])
        return 0


def file_of(name, folder):
    """The .npy file of a data set, made where it is not there."""
    path = folder / f"{name}.npy"
    if not path.exists():
        kind, rows, *columns = name.split("-")
        unfinished = path.with_suffix(".part")
        KINDS[kind](unfinished, int(rows), *map(int, columns))
        unfinished.rename(path)
    return path


def write_uneven(path, n, d=50):
    from common import clusters

    with path.open("wb") as file:
        np.save(file, clusters(n, d))


def write_folded(path, n, d=50):
    rng = np.random.default_rng(0)
    centers = rng.normal(0, 4, (N_CLUSTERS, d))
    widths = rng.uniform(0.5, 1.5, N_CLUSTERS)
    turns = rng.normal(0, 2 / N_DIMENSIONS**0.5, (N_CLUSTERS, N_DIMENSIONS, d))
    turns *= widths[:, None, None]
    shares = rng.dirichlet(np.ones(N_CLUSTERS))
    out = open_memmap(path, "w+", np.float32, (n, d))
    for a in range(0, n, BATCH):
        rows = out[a : a + BATCH]
        label = rng.choice(N_CLUSTERS, len(rows), p=shares)
        for c in range(N_CLUSTERS):
            own = np.flatnonzero(label == c)
            rows[own] = centers[c] + rng.normal(size=(len(own), N_DIMENSIONS)) @ turns[c]
        rows += 0.1 * rng.normal(size=rows.shape)


def write_shifts(path, n):
    from common import mnist

    images = mnist()[0].reshape(-1, 28, 28)
    shifts = [
        (0, 0),
        *((i, j) for i in (-2, 0, 2) for j in (-2, 0, 2) if i or j),
        *((i, j) for i in (-1, 0, 1) for j in (-1, 1)),
        (1, 0),
    ]
    out = open_memmap(path, "w+", np.uint8, (n, 784))
    for k, shift in enumerate(shifts):
        part = out[k * len(images) : (k + 1) * len(images)]
        part[:] = np.roll(images, shift, (1, 2)).reshape(-1, 784)[: len(part)]


KINDS = {"uneven": write_uneven, "folded": write_folded, "shifts": write_shifts}


def print_table(results):
    """Seconds and bytes of a fit with all defaults, for docs/large.rst."""
    from fasttsne import memory

    model = Model([result for result in results if result["version"] == "this"])
    print(f"{'rows':>12}{'columns':>9}{'time':>10}{'memory':>10}{'at least':>10}{'files':>10}")
    for n in TABLE_ROWS:
        for d in TABLE_COLUMNS:
            peak = memory.estimate_memory(n, d)["peak"]
            least, files = memory._needed_bytes(n, d, 30, 2), memory._table_bytes(n, d, 30)
            sizes = (f"{size / 1e9:.1f} GB" for size in (peak, least, files))
            print(
                f"{n:12,}{d:9,}{duration(model.seconds(n, d)):>10}",
                *(f"{size:>9}" for size in sizes),
            )
    print("powers of n:", {stage: round(a, 2) for stage, (_, a, _) in model.powers.items()})


def duration(seconds):
    """A time as it is read: seconds, minutes or hours."""
    for size, unit in ((5400, "h"), (100, "min")):
        if seconds > size:
            return f"{seconds / {'h': 3600, 'min': 60}[unit]:.0f} {unit}"
    return f"{seconds:.0f} s"


class Model:
    """Processor time of each stage as c n^a d^b, by least squares of logarithms."""

    def __init__(self, results):
        self.powers = {}
        for stage in STAGES.values():
            known = [r for r in results if r["stages"].get(stage, 0) > 0]
            n, d = (np.log([r[name] for r in known]) for name in ("n", "d"))
            columns = [np.ones(len(known)), n, d if stage == "neighbours" else 0 * n]
            seconds = np.log([r["stages"][stage] for r in known])
            self.powers[stage] = np.linalg.lstsq(np.stack(columns, 1), seconds, rcond=None)[0]

    def seconds(self, n, d):
        """Seconds of a whole fit."""
        return sum(float(np.exp(c) * n**a * d**b) for c, a, b in self.powers.values())


if __name__ == "__main__":
    main()
