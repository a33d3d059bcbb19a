"""Arrays in memory or in temporary files, by what a budget has left."""

import shutil

import numpy as np
import pytest
from helpers.quick import run_python

from fasttsne.runtime import memory
from fasttsne.runtime.memory import AppendedArray, check_free_space, memory_budget
from fasttsne.runtime.rows import is_memmapped


def test_without_a_budget_all_is_in_memory():
    array = memory.allocate((10, 3), np.float32, "a table")
    assert array.shape == (10, 3)
    assert array.dtype == np.float32
    assert not is_memmapped(array)


def test_what_does_not_fit_is_in_a_file(tmp_path):
    with memory_budget(100, tmp_path):
        first = memory.allocate((20,), np.float32, "a table")
        second = memory.allocate((20,), np.float32, "a table")
        assert [is_memmapped(first), is_memmapped(second)] == [False, True]
        second[:] = np.arange(20)
        np.testing.assert_array_equal(second, np.arange(20))
        assert not list(tmp_path.iterdir())  # it has no name
        del first  # what it took can be taken again
        assert not is_memmapped(memory.allocate((20,), np.float32, "a table"))
    assert not is_memmapped(memory.allocate((200,), np.float32, "a table"))


def test_budgets_inside_one_another(tmp_path):
    with memory_budget(0, tmp_path):
        with memory_budget(1000, tmp_path):
            assert not is_memmapped(memory.allocate((20,), np.float32, "a table"))
        assert is_memmapped(memory.allocate((20,), np.float32, "a table"))


@pytest.mark.parametrize("n_bytes", [None, 0, 10**6])
def test_arrays_that_grow(tmp_path, n_bytes):
    def grow():
        array = AppendedArray(1000, np.int32, "a list")
        for part in np.array_split(np.arange(700), 9):
            array.append(part)
        return array.finish()

    if n_bytes is None:
        result = grow()
    else:
        with memory_budget(n_bytes, tmp_path):
            result = grow()
    assert is_memmapped(result) == (n_bytes == 0)
    assert result.dtype == np.int32
    np.testing.assert_array_equal(result, np.arange(700))
    result[3] = 7  # maps of files can be changed, too
    assert result[3] == 7


def test_nothing_was_appended(tmp_path):
    with memory_budget(0, tmp_path):
        assert len(AppendedArray(10, np.int32, "a list").finish()) == 0
        assert memory.allocate((0, 5), np.int32, "a table").shape == (0, 5)


def test_a_full_disk_says_what_was_needed(tmp_path):
    needed = 2 * shutil.disk_usage(tmp_path).free
    match = rf"the table would exceed memory_limit, and needs {needed // 8 * 8:,} bytes in the temp"
    with memory_budget(0, tmp_path), pytest.raises(OSError, match=match):
        memory.allocate((needed // 8,), np.float64, "the table")
    with pytest.raises(
        OSError, match=f"the fit would exceed memory_limit, and needs {needed:,} bytes"
    ):
        check_free_space(needed, tmp_path)
    check_free_space(0, tmp_path)


def test_a_folder_that_is_not_there(tmp_path):
    with memory_budget(0, tmp_path / "none"), pytest.raises(OSError, match="none"):
        memory.allocate((10,), np.float64, "the table")


def test_no_file_is_left_open():
    """Python warns of such files where warnings are errors, as in many test suites."""
    code = (
        "import gc, numpy as np\n"
        "from fasttsne import TSNE\n"
        "X = np.random.default_rng(0).random((300, 20)) + 1e-9\n"
        "fit = TSNE(memory_limit='1KB', n_iter=5, early_exaggeration_iter=5, n_jobs=1)\n"
        "print(fit.fit(X).shape)\n"
        "gc.collect()\n"
    )
    result = run_python("-W", "error", "-c", code)
    assert (result.stdout, result.stderr) == ("(300, 2)\n", "")
