"""The memory that a fit is estimated to take, and what it takes."""

from pathlib import Path

import numpy as np
import pytest
from quick import PEAK_MEMORY, QUICK, run_python

from fasttsne import TSNE, estimate_memory
from fasttsne.memory import memory_for_rows


def test_stages_have_the_names_of_the_log(digits, caplog):
    caplog.set_level("INFO", "fasttsne")
    TSNE(**QUICK).fit(digits)
    begun = [r.getMessage() for r in caplog.records if r.getMessage().endswith(" ...")]
    *stages, peak = estimate_memory(*digits.shape)
    assert peak == "peak"
    for stage, message in zip(stages, begun, strict=True):
        assert all(word in message for word in stage.removeprefix("finding the").split())


def test_the_estimate_grows_with_what_is_embedded():
    few = estimate_memory(100_000, 50)
    assert all(isinstance(value, int) and value > 0 for value in few.values())
    assert few["peak"] == max(few.values())
    for more in (
        estimate_memory(200_000, 50), estimate_memory(100_000, 50, perplexity=50),
        estimate_memory(100_000, 50, dtype="uint8"), estimate_memory(100_000, 2000),
        estimate_memory(100_000, 50, n_components=3),
    ):  # fmt: skip
        assert more["peak"] > few["peak"]
    # Floats made of integers stay in memory in every stage.
    integers = estimate_memory(100_000, 50, dtype=np.int32)
    assert {integers[name] - few[name] for name in few} == {4 * 50 * 100_000}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((1, 5), "n_samples must be at least 2; got 1"),
        ((100, 0), "n_features must be at least 1; got 0"),
        ((100, 5, 0), "perplexity must be greater than 0; got 0"),
        ((100, 5, 30, "U5"), "dtype must be one of real numbers; got 'U5'"),
        ((100, 5, 30, "nonsense"), "dtype must be one of real numbers; got 'nonsense'"),
        ((100, 5, 30, "f4", 4), "n_components must be at most 3; got 4"),
    ],
)
def test_wrong_values_are_named(arguments, message):
    with pytest.raises((TypeError, ValueError), match=message):
        estimate_memory(*arguments)


def test_rows_get_what_the_stages_leave():
    X = np.zeros((10_000, 20), np.uint8)
    peak = estimate_memory(10_000, 20)["peak"]
    assert memory_for_rows(X, peak + 1000, 30, 2) == 1000
    assert memory_for_rows(X, "1 MB", 30, 2) == 0
    assert memory_for_rows(X.tolist(), 1000, [5, 30], 2) == 1000  # there is no shape


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="as Linux")
@pytest.mark.parametrize(("columns", "dtype"), [(20, "float32"), (300, "int32")])
def test_a_fit_takes_about_as_much(columns, dtype):
    """Within a third; ``python benchmarks/memory.py`` compares more closely."""
    code = (
        f"{PEAK_MEMORY}\n"
        "import sys, numpy as np\n"
        "from fasttsne import TSNE\n"
        "n, d, dtype = 40_000, int(sys.argv[1]), sys.argv[2]\n"
        "rng = np.random.default_rng(0)\n"
        "X = np.empty((n, d), dtype)\n"
        "turn = rng.normal(0, 20, (20, d))\n"
        "for rows in np.array_split(np.arange(n), 40):\n"
        "    X[rows] = rng.normal(size=(len(rows), 20)) @ turn\n"
        "TSNE(n_iter=5, early_exaggeration_iter=5).fit(X[:500].copy())\n"
        "before = peak()\n"
        "TSNE(n_iter=50, early_exaggeration_iter=50, random_state=0).fit(X)\n"
        "print(peak() - before)\n"
    )
    result = run_python("-c", code, columns, dtype)
    assert result.returncode == 0, result.stderr
    estimate = estimate_memory(40_000, columns, dtype=dtype)["peak"]
    assert estimate / 1.33 < int(result.stdout) < estimate * 1.33
