"""Data for the examples.

>>> from examples import utils
>>> x, y = utils.get_mnist()  # doctest: +SKIP

The environment variable FASTTSNE_EXAMPLES_ROWS limits the number of rows: tests execute the
notebooks with few.
"""

import gzip
import hashlib
import importlib
import os
import sys
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np

MNIST_URL = "https://ossci-datasets.s3.amazonaws.com/mnist/"

# SHA-256 of the unpacked files: the bytes of gzip differ between mirrors.
MNIST_FILES = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}

FEW_ROWS = "FASTTSNE_EXAMPLES_ROWS"

IDX_UINT8 = 0x08
CHUNK = 1 << 16


def get_mnist(folder=None, url: str = MNIST_URL) -> tuple[np.ndarray, np.ndarray]:
    """The handwritten digits of LeCun, Cortes and Burges: 60,000 for training, 10,000 for tests.

    Read from ``folder``; from ``mnist`` in the folder of the environment variable
    FASTTSNE_DATA; or from a cache, ``fasttsne/mnist`` in XDG_CACHE_HOME or ~/.cache.  Missing
    files are downloaded (12 MB).

    Parameters
    ----------
    folder : of the four files of the data set, compressed by gzip.
    url : of the folder from which to download.

    Returns
    -------
    x : (70000, 784) uint8 array, the pixels of images of 28 by 28, 0 is white.
    y : (70000,) uint8 array, the digits.
        A sample of them, in the same order, if FASTTSNE_EXAMPLES_ROWS is smaller.

    Raises
    ------
    ConnectionError
        If files are missing and cannot be downloaded.
    ValueError
        If a file is damaged.
    """
    folder = _mnist_folder() if folder is None else Path(folder)
    contents = [_get(folder / f"{name}.gz", name, url) for name in MNIST_FILES]
    train, test, train_labels, test_labels = map(read_idx, contents)
    x = np.concatenate([train, test]).reshape(-1, 784)
    y = np.concatenate([train_labels, test_labels])
    n = n_rows(len(x))
    if n == len(x):
        return x, y
    sample = np.sort(np.random.default_rng(0).choice(len(x), n, replace=False))
    return x[sample], y[sample]


def n_rows(requested: int) -> int:
    """The number of rows, limited by FASTTSNE_EXAMPLES_ROWS."""
    return min(requested, int(os.environ.get(FEW_ROWS) or requested))


def read_idx(content: bytes) -> np.ndarray:
    """An array of bytes from the IDX format: 0, 0, type, dimensions, sizes, numbers."""
    if len(content) < 4 or content[:3] != bytes([0, 0, IDX_UINT8]):
        raise ValueError(f"not an IDX file of bytes: it starts with {content[:4]!r}")
    sizes = np.frombuffer(content, ">i4", count=content[3], offset=4)
    numbers = np.frombuffer(content, np.uint8, offset=4 + 4 * content[3])
    return numbers.reshape(sizes)


def _mnist_folder():
    given = os.environ.get("FASTTSNE_DATA")
    if given and all((Path(given) / "mnist" / f"{name}.gz").exists() for name in MNIST_FILES):
        return Path(given) / "mnist"
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "fasttsne" / "mnist"


def _get(path, name, url):
    """The unpacked content of a file, downloaded if it is missing."""
    if path.exists():
        return _unpack(path.read_bytes(), name, path)
    packed = _download(f"{url.rstrip('/')}/{name}.gz", path)
    content = _unpack(packed, name, url)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.{os.getpid()}")
    unfinished.write_bytes(packed)
    unfinished.replace(path)
    return content


def _unpack(packed, name, source):
    try:
        content = gzip.decompress(packed)
    except (OSError, EOFError) as error:
        raise ValueError(f"{name}.gz from {source} is damaged ({error}): delete it") from error
    found = hashlib.sha256(content).hexdigest()
    if found != MNIST_FILES[name]:
        raise ValueError(
            f"{name}.gz from {source} is another file or damaged: its SHA-256 is {found}, "
            f"not {MNIST_FILES[name]}"
        )
    return content


def _download(url, path):
    try:
        with urllib.request.urlopen(url, timeout=30) as response:
            total = int(response.headers.get("Content-Length") or 0)
            return _read(response, total, url.rsplit("/", 1)[-1])
    except (urllib.error.URLError, OSError) as error:
        names = ", ".join(f"{name}.gz" for name in MNIST_FILES)
        raise ConnectionError(
            f"MNIST is not in {path.parent}, and {url} cannot be downloaded ({error}).  "
            f"Without a network: put the files {names} there, or name "
            "a folder that holds mnist/ with them in the environment variable FASTTSNE_DATA."
        ) from error


def _read(response, total, name):
    """All bytes of a response, with a progress bar if tqdm is installed, else a message."""
    try:
        bar = importlib.import_module("tqdm").tqdm(
            total=total or None, unit="B", unit_scale=True, desc=name
        )
    except ImportError:
        bar = None
        print(f"downloading {name}, {total / 1e6:.1f} MB", file=sys.stderr)
    chunks = []
    while chunk := response.read(CHUNK):
        chunks.append(chunk)
        if bar is not None:
            bar.update(len(chunk))
    if bar is not None:
        bar.close()
    return b"".join(chunks)
