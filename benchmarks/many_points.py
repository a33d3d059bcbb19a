"""Millions of new rows placed in a map, and millions of points drawn: seconds and megabytes.

    python benchmarks/many_points.py                 a million rows and points
    python benchmarks/many_points.py 10000000

The rows are in a file, 50 columns of float32, as are their places; the map has 20,000 points.
Seconds are those of the processor, on one thread; memory is what is resident at most, mapped
files included, beyond what was before.
"""

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from common import clusters
from memory import set_back, status

from fasttsne import TSNE, plotting
from fasttsne.drawing.scatter import unmanaged_axes

N_MAP, N_COLUMNS, N_CLASSES = 20_000, 50, 20


def main():
    n = int(sys.argv[1]) if sys.argv[1:] else 1_000_000
    rng = np.random.default_rng(0)
    data = clusters(N_MAP, N_COLUMNS)
    embedding = TSNE(n_jobs=1, random_state=0).fit(data)
    with tempfile.TemporaryDirectory() as folder:
        rows, places = Path(folder) / "rows.npy", Path(folder) / "places.npy"
        write_rows(rows, n, data, rng)
        with measured(f"transform of {n:,} rows"):
            embedding.transform(np.load(rows, mmap_mode="r"), out=places)
        with measured("without out, a tenth of the rows"):
            embedding.transform(np.load(rows, mmap_mode="r")[: n // 10])
    points, labels = rng.normal(size=(n, 2)).astype(np.float32), rng.integers(0, N_CLASSES, n)
    with tempfile.TemporaryDirectory() as folder:
        with measured(f"plotting.scatter of {n:,} points, a PNG file"):
            ax = plotting.scatter(points, labels, unmanaged_axes())
            ax.figure.savefig(Path(folder) / "map.png", dpi=150)
        with measured(f"plotting.html of {n:,} points"):
            plotting.html(points, labels=labels, path=Path(folder) / "map.html")


def write_rows(path, n, data, rng):
    """Write rows near those of the map."""
    file = np.lib.format.open_memmap(path, "w+", np.float32, (n, N_COLUMNS))
    for first in range(0, n, 50_000):
        part = file[first : first + 50_000]
        part[:] = data[rng.integers(0, N_MAP, len(part))]
        part += rng.normal(0, 0.5, part.shape)


class measured:
    """Print what a block takes."""

    def __init__(self, what):
        self.what = what

    def __enter__(self):
        set_back()
        self.before, self.start = status("VmRSS"), time.process_time()

    def __exit__(self, *error):
        seconds, most = time.process_time() - self.start, status("VmHWM") - self.before
        print(f"{self.what}: {seconds:.1f} s, {most / 1e6:.0f} MB", flush=True)


if __name__ == "__main__":
    main()
