"""What the benchmarks share: data, clocks, and the exact KL divergence."""

import gzip
import os
import resource
import time
from pathlib import Path

import numpy as np


def data_folder() -> Path:
    """The folder of ``FASTTSNE_DATA``, which holds ``mnist/``."""
    folder = os.environ.get("FASTTSNE_DATA")
    if not folder or not Path(folder, "mnist").is_dir():
        raise SystemExit("set FASTTSNE_DATA to a folder that holds mnist/ (IDX files, gzipped)")
    return Path(folder)


def mnist() -> tuple[np.ndarray, np.ndarray]:
    """The 70,000 x 784 images, uint8, training images first, and their labels."""
    return _images(data_folder() / "mnist")


def fashion() -> tuple[np.ndarray, np.ndarray]:
    """Fashion-MNIST in the same form: of Debian, or from the folder that FASHION_MNIST names."""
    return _images(Path(os.environ.get("FASHION_MNIST", "/usr/share/datasets/fashion-mnist")))


def _images(folder):
    """The 28 x 28 images, a row each, and their labels, from a folder of gzipped IDX files."""
    parts = "train", "t10k"
    X = [_idx(folder / f"{part}-images-idx3-ubyte.gz", 16).reshape(-1, 784) for part in parts]
    y = [_idx(folder / f"{part}-labels-idx1-ubyte.gz", 8) for part in parts]
    return np.vstack(X), np.concatenate(y)


def _idx(path, header):
    with gzip.open(path) as file:
        return np.frombuffer(file.read(), np.uint8, offset=header)


def mnist_rows(rows: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A random sample of the images as float32, in a fixed order for each seed."""
    X, y = mnist()
    chosen = np.random.RandomState(seed).permutation(len(X))[:rows]
    return X[chosen].astype(np.float32), y[chosen]


def clusters(rows: int, columns: int = 50, n_clusters: int = 100, seed: int = 0) -> np.ndarray:
    """Gaussian clusters of very unequal sizes, float32."""
    return labelled_clusters(rows, columns, n_clusters, seed)[0]


def labelled_clusters(rows, columns=50, n_clusters=100, seed=0) -> tuple[np.ndarray, np.ndarray]:
    """The clusters, and which of them each row is of."""
    rng = np.random.default_rng(seed)
    sizes = rng.dirichlet(np.full(n_clusters, 0.5))
    centres = rng.normal(0, 4, (n_clusters, columns)).astype(np.float32)
    label = rng.choice(n_clusters, rows, p=sizes)
    return centres[label] + rng.standard_normal((rows, columns), dtype=np.float32), label


def median_seconds(function, repeats: int = 7) -> float:
    """The median time of some calls, after one that does not count."""
    function()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def peak_memory() -> float:
    """The most memory that this process has had, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def resident_memory() -> float:
    """The memory that this process has now, MiB; where the system does not tell, the most."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return peak_memory()
    return pages * resource.getpagesize() / 2**20


def exact_kl(P, y) -> float:
    """The KL divergence of a map with Z from all pairs, for a CSR matrix P that sums to one."""
    from fasttsne.repulsion import ExactRepulsion

    single = np.ascontiguousarray(y, np.float32)
    z = ExactRepulsion(n_threads=os.cpu_count())(single, np.empty_like(single))
    y = np.asarray(y)
    P = P.tocoo()
    p = P.data.astype(float)
    keep = p > 0
    p, row, column = p[keep] / p.sum(), P.row[keep], P.col[keep]
    r2 = ((y[row] - y[column]) ** 2).sum(1)
    return float(p @ np.log(p) + p @ np.log1p(r2) + np.log(z))


class Built:
    """An index that has been built already, so that its time is a stage of its own."""

    def __init__(self, index):
        self.k, self.n_samples = index.k, index.n_samples
        self.query = index.query
        self._built = index.build()

    def build(self):
        return self._built
