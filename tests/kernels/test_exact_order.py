"""The order of candidates by float64; what it is for is in tests/nearest_neighbors."""

from helpers.quick import run_python

FEW_CANDIDATES = """
import numpy as np
from fasttsne._kernels import exact_order
n, k = 3, 2
rows = exact_order.ExactRows(np.arange(4.0), 1)
keys = (np.float32([1, 4]).view(np.uint32).astype(np.uint64) << 32) + np.array([1, 2], np.uint64)
indices, distances = np.full((n, k), 7, np.int32), np.full((n, k), 7, np.float32)
undecided, counts = np.zeros(n, np.uint8), np.array([2, 1, 0], np.int32)
exact_order.order_candidates(
    rows, rows, np.arange(n, dtype=np.int32), np.repeat(keys[None], n, 0), counts,
    np.full(n, 9, np.float32), np.ones(n), np.full(7, 1e-6), 2, k, indices, distances, undecided, 2,
)
print(undecided[counts < k].tolist())
"""


def test_rows_with_too_few_candidates_end():
    """As where another thread makes rows NaN during the search; they stay undecided."""
    result = run_python("-c", FEW_CANDIDATES, timeout=60)
    assert result.stdout == "[1, 1]\n", result.stderr
