"""A fit on a Dask cluster of this machine's processes beside the local one.

    python benchmarks/cluster.py --rows 200000                 1, 2 and 3 workers of one thread
    python benchmarks/cluster.py --rows 200000 --workers 2 --threads 2 --columns 100
    python benchmarks/cluster.py --rows 3000000 --workers 2 --memory-limit 6GB --not-local
    python benchmarks/cluster.py --rows 1000000 --workers 2 --transform 20000

Rows are in a file that workers read.  For each fit, in a process of its own: the map's hash, which
must be the same in each line, seconds, megabytes at the peak beyond the start (of this process,
and of the worker that had most), and bytes that an iteration sends through the loopback interface,
in all, in units of 8 bytes a point for each worker.  Other traffic there counts, too.

With ``--transform N`` all rows are placed in a map of the first N instead, by workers and by this
process with two threads; the hash is of the places.
"""

import argparse
import contextlib
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from common import clusters
from memory import set_back, status

import fasttsne
from fasttsne.runtime.progress import report_progress_to

LOOPBACK = Path("/sys/class/net/lo/statistics/rx_bytes")
PARAMETERS = {"random_state": 0, "n_jobs": 2}
LINE = "{:10}{:>18}{:>9}{:>10}{:>12}{:>12}{:>10}"
CHUNK = 50_000


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--columns", type=int, default=50)
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2, 3])
    parser.add_argument("--threads", type=int, default=1, help="of each worker")
    parser.add_argument("--memory-limit", default="8GiB", help="of each worker")
    parser.add_argument("--transform", type=int, metavar="N", help="place rows in a map of N")
    parser.add_argument("--not-local", action="store_true", help="workers only")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        path, n_workers = options.one.rsplit(":", 1)
        print(json.dumps(work(path, int(n_workers), options)))
        return
    print(LINE.format("workers", "hash", "seconds", "descent", "client MB", "worker MB", "traffic"))
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/rows.npy"
        np.save(path, clusters(options.rows, options.columns))
        for n_workers in [0] * (not options.not_local) + options.workers:
            found = run_one(path, n_workers, sys.argv[1:])
            print(LINE.format(n_workers or "local", *found), flush=True)


def run_one(path, n_workers, options):
    """The columns of a line, from a new process with these options."""
    command = [sys.executable, __file__, *options, "--one", f"{path}:{n_workers}"]
    result = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(result.stdout.splitlines()[-1])


def work(path, n_workers, options):
    """What the options ask, here or on workers; measured."""
    if not n_workers:
        rows, estimator = np.load(path, mmap_mode="r"), fasttsne.TSNE(**PARAMETERS)
        if not options.transform:
            return measured(lambda: estimator.fit(rows), len(rows))
        embedding = estimator.fit(rows[: options.transform])
        return measured(lambda: embedding.transform(rows), len(rows))
    import dask.array as da

    from fasttsne.dask import TSNE

    with a_cluster(n_workers, options) as client:
        rows = da.from_array(StoredRows(path), chunks=(CHUNK, -1), name=path, asarray=True)
        estimator = TSNE(client, **PARAMETERS)
        if not options.transform:
            return measured(lambda: estimator.fit(rows), len(rows), client)
        estimator.fit(rows[: options.transform])
        return measured(lambda: estimator.transform(rows).compute(), len(rows), client)


@contextlib.contextmanager
def a_cluster(n_workers, options):
    from distributed import Client, LocalCluster

    with (
        LocalCluster(
            n_workers=n_workers,
            threads_per_worker=options.threads,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            memory_limit=options.memory_limit,
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


def measured(act, n_rows, client=None):
    """The columns of a line, of what ``act`` does."""
    first = client.run(status, "VmRSS") if client else {}
    before, times = status("VmRSS"), Times()
    set_back()
    if client:
        client.run(set_back)
    with report_progress_to(times):
        result = act()
    own = status("VmHWM") - before
    peaks = client.run(status, "VmHWM") if client else {}
    worst = max((peaks[worker] - first[worker] for worker in peaks), default=0)
    return summary(result, times, [own, worst], n_rows, len(peaks))


class StoredRows:
    """Rows of an .npy file, which each process opens for itself."""

    ndim = 2

    def __init__(self, path):
        self._path = path
        rows = np.load(path, mmap_mode="r")
        self.shape, self.dtype = rows.shape, rows.dtype

    def __getitem__(self, index):
        return np.array(np.load(self._path, mmap_mode="r")[index])


class Times:
    """Hears when the descent began and ended, and what went through the interface meanwhile."""

    def __init__(self):
        self.start = self.descent = time.perf_counter()
        self.bytes = self.n_iter = 0
        self._before = None

    def __call__(self, progress):
        if progress.unit != "iterations":
            return
        if self._before is None:
            self.descent, self._before = time.perf_counter(), loopback_bytes()
        if progress.has_ended:
            self.n_iter += progress.done
            self.bytes = loopback_bytes() - self._before


def loopback_bytes():
    return int(LOOPBACK.read_text()) if LOOPBACK.exists() else 0


def summary(embedding, times, peaks, n_rows, n_workers):
    end = time.perf_counter()
    digest = hashlib.sha256(np.asarray(embedding).tobytes()).hexdigest()[:16]
    traffic = times.bytes / max(times.n_iter, 1) / (8 * n_rows * max(n_workers, 1))
    return [
        digest,
        round(end - times.start, 1),
        round(end - times.descent, 1),
        *(round(peak / 1e6) for peak in peaks),
        round(traffic, 2) if n_workers else "",
    ]


if __name__ == "__main__":
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    main()
