"""The memory that measures of distances take beside the data, whatever the number of rows."""

from pathlib import Path

import pytest
from helpers.quick import PEAK_MEMORY, run_python

CODE = f"""
{PEAK_MEMORY}
import sys, numpy as np
from fasttsne import metrics
rng = np.random.default_rng(0)
X = rng.normal(size=(100_000, 20)).astype(np.float32)
embedding = X[:, :2] + np.float32(0.1) * X[:, 2:4]
measure = getattr(metrics, sys.argv[1])
sample_size = int(sys.argv[2]) or None
measure(X[:100], embedding[:100])
before = peak()
found = measure(X, embedding, sample_size=sample_size)
print(peak() - before, len(found.rows))
"""


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="as Linux")
@pytest.mark.parametrize("measure", ["stress", "distance_correlation"])
@pytest.mark.parametrize(("sample_size", "n_rows"), [(2000, 2000), (0, 4096)])
def test_pairs_of_many_rows_take_less_than_a_gigabyte(measure, sample_size, n_rows):
    result = run_python("-c", CODE, measure, sample_size)
    assert result.returncode == 0, result.stderr
    taken, compared = map(int, result.stdout.split())
    assert compared == n_rows
    assert taken < 10**9
