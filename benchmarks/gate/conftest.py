"""What the gate's benchmarks share: rows, their neighbours, and a map that looks like a map.

    python -m pytest benchmarks/gate

times them once, with pytest-benchmark; ``ci/compare_benchmarks.sh`` compares two revisions.
"""

import os

import numpy as np
import pytest
from common import clusters, mnist_rows

from fasttsne.nearest_neighbors import Exact

ROWS = 5000


@pytest.fixture(scope="session")
def X():
    """5,000 images of MNIST where FASTTSNE_DATA is set, else clusters; float32."""
    return mnist_rows(ROWS)[0] if os.environ.get("FASTTSNE_DATA") else clusters(ROWS, 200)


@pytest.fixture(scope="session")
def neighbors(X):
    """Indices and distances of the 90 nearest of each row."""
    return Exact(X, 90, n_jobs=-1).build()


@pytest.fixture(scope="session")
def points():
    """20,000 points as a map has them: clusters, as wide as a map of so many gets; float32."""
    y = clusters(20_000, 2, 40)
    return np.ascontiguousarray(y * np.float32(60 / np.abs(y).max()))
