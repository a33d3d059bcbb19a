"""The memory that a fit is estimated to take, and what it takes."""

import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from helpers.quick import PEAK_MEMORY, QUICK, run_python

from fasttsne import TSNE, estimate_memory
from fasttsne.memory import plan_memory
from fasttsne.runtime.memory import available_memory
from fasttsne.runtime.rows import is_memmapped


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
        estimate_memory(200_000, 50),
        estimate_memory(100_000, 50, perplexity=50),
        estimate_memory(100_000, 50, dtype="uint8"),
        estimate_memory(100_000, 50, n_components=3),
    ):
        assert more["peak"] > few["peak"]
    search = "finding the nearest neighbours"
    assert estimate_memory(100_000, 2000)[search] > few[search]
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
    assert plan_memory(X, peak + 1000, None, 30, 2).rows == 1000
    assert plan_memory(X, "1 MB", None, 30, 2) == (0, 0)
    assert plan_memory(X.tolist(), 1000, None, [5, 30], 2).rows == 1000  # there is no shape


def large_file(folder, n_samples):
    """Rows of two columns, in a file without content."""
    path = folder / "rows.f32"
    with open(path, "wb") as file:
        file.truncate(8 * n_samples)
    return np.memmap(path, np.float32, "r", shape=(n_samples, 2))


def test_a_fit_that_does_not_fit_is_refused_before_it_starts(tmp_path):
    X = large_file(tmp_path, available_memory() // 850)
    with pytest.raises(MemoryError, match=r"takes about .* GB .* are free; perplexity=\d+ would"):
        TSNE().fit(X)
    X = large_file(tmp_path, available_memory() // 400)
    with pytest.raises(MemoryError, match=r"about [0-9,]+ rows would fit"):
        TSNE(perplexity=5).fit(X)


def test_space_for_files_is_looked_for_before_a_fit_starts(tmp_path):
    n_samples = available_memory() // 2000
    X = large_file(tmp_path, n_samples)
    needed = 8 * 3 * 10_000 * n_samples
    assert shutil.disk_usage(tmp_path).free < needed
    with pytest.raises((OSError, MemoryError), match=r"temp_folder|would fit"):
        TSNE(perplexity=10_000, memory_limit=0, temp_folder=tmp_path).fit(X)


@pytest.mark.parametrize("density_weight", [0, 0.1])
def test_tables_in_files_give_the_same_map(digits, tmp_path, density_weight):
    settings = {**QUICK, "n_iter": 20, "density_weight": density_weight, "temp_folder": tmp_path}
    maps = []
    for limit in ("auto", 0):
        embedding = TSNE(memory_limit=limit, **settings).fit(digits)
        is_in_file = is_memmapped(embedding.affinities.P_float32.data)
        assert is_in_file == (limit == 0)
        assert not list(tmp_path.iterdir())  # files there have no name
        maps.append((embedding.tobytes(), embedding.affinities.P.data.tobytes()))
        copy = pickle.loads(pickle.dumps(embedding))
        assert copy.optimize(5).tobytes() == embedding.optimize(5).tobytes()
    assert maps[0] == maps[1]


def test_a_temporary_folder_that_cannot_be_written(digits):
    if not os.path.isdir("/proc/self"):
        pytest.skip("as Linux")
    with pytest.raises(OSError, match="the temporary folder /proc"):
        TSNE(**QUICK, neighbors="approx", memory_limit=0, temp_folder="/proc").fit(digits)


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
