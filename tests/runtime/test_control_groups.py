"""Limits of memory by control groups, as containers, batch systems and systemd set them."""

import numpy as np
import pytest
from helpers.control_groups import memory_group, run_in_group

from fasttsne.runtime.memory import _free_in_groups, available_memory

MIB = 2**20
FIT = """
import sys
import numpy as np
from fasttsne import TSNE
from fasttsne.runtime.memory import available_memory
n = int(sys.argv[1])
X = np.random.default_rng(0).random((n, 20), np.float32)
print(available_memory())
try:
    embedding = TSNE(n_iter=5, early_exaggeration_iter=5, random_state=0, n_jobs=1).fit(X)
    print(np.isfinite(embedding).all())
except MemoryError as error:
    print(error)
"""

REPORT = """
import sys
import numpy as np
from fasttsne import report
generator, n = np.random.default_rng(0), int(sys.argv[1])
try:
    report(generator.random((n, 20), np.float32), generator.random((n, 2)))
    print("made")
except MemoryError as error:
    print(error)
"""


def write(folder, files):
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_the_groups_of_version_2(tmp_path):
    """The tightest of a group and those around it, without pages of files."""
    top = "sys/fs/cgroup"
    write(
        tmp_path,
        {
            "proc/self/cgroup": "0::/batch.slice/job 7:a\n",
            f"{top}/batch.slice/memory.max": "9000\n",
            f"{top}/batch.slice/memory.current": "6000\n",
            f"{top}/batch.slice/memory.stat": "anon 10\nfile 1500\n"
            "inactive_file 700\nactive_file 50\n",
            f"{top}/batch.slice/job 7:a/memory.max": "max\n",
            f"{top}/batch.slice/job 7:a/memory.current": "5000\n",
            f"{top}/batch.slice/job 7:a/memory.stat": "inactive_file 600\nactive_file 0\n",
        },
    )
    assert _free_in_groups(tmp_path) == 9000 - 6000 + 750
    write(tmp_path, {f"{top}/batch.slice/job 7:a/memory.max": "7000\n"})
    assert _free_in_groups(tmp_path) == 7000 - 5000 + 600


def test_the_groups_of_version_1(tmp_path):
    top = "sys/fs/cgroup/memory"
    write(
        tmp_path,
        {
            "proc/self/cgroup": "5:devices:/other\n4:cpu,memory:/job\n0::/\n",
            f"{top}/memory.limit_in_bytes": "9223372036854771712\n",
            f"{top}/memory.usage_in_bytes": "123456\n",
            f"{top}/memory.stat": "cache 0\n",
            f"{top}/job/memory.limit_in_bytes": "9000\n",
            f"{top}/job/memory.usage_in_bytes": "6000\n",
            f"{top}/job/memory.stat": "inactive_file 9\n"
            "total_inactive_file 20\ntotal_active_file 1\n",
        },
    )
    assert _free_in_groups(tmp_path) == 9000 - 6000 + 21


@pytest.mark.parametrize("group", ["0::/docker/1234\n", "0::/../..\n", "", None])
def test_a_container_sees_its_own_group_at_the_top(tmp_path, group):
    files = {"memory.max": "9000\n", "memory.current": "6000\n", "memory.stat": ""}
    write(tmp_path, {f"sys/fs/cgroup/{name}": text for name, text in files.items()})
    if group is not None:
        write(tmp_path, {"proc/self/cgroup": group})
    assert _free_in_groups(tmp_path) == 3000


def test_no_groups(tmp_path):
    assert _free_in_groups(tmp_path) == np.inf
    assert isinstance(available_memory(), int)


def test_a_group_within_a_limit():
    """What its limit leaves, half of which is memory_limit="auto"."""
    with memory_group(300 * MIB) as group:
        code = (
            "from fasttsne.runtime.memory import available_memory, check_memory_limit as check;"
            "print(available_memory(), check('auto'))"
        )
        (group / "inside").mkdir()
        try:
            result = run_in_group(group / "inside", "-c", code)
        finally:
            (group / "inside").rmdir()
    free, limit = map(int, result.stdout.split())
    assert 150 * MIB < free < 300 * MIB
    assert limit == pytest.approx(free / 2, rel=0.05)


def test_pages_of_files_are_free(tmp_path):
    with memory_group(300 * MIB) as group:
        code = (
            "import sys, fasttsne.runtime.memory as memory\n"
            "before = memory.available_memory()\n"
            "with open(sys.argv[1], 'wb') as file:\n"
            "    for _ in range(100): file.write(bytes(2**20))\n"
            "print(before - memory.available_memory())\n"
        )
        result = run_in_group(group, "-c", code, tmp_path / "file")
    assert abs(int(result.stdout)) < 20 * MIB, result.stderr


@pytest.mark.slow
def test_fits_within_a_limit():
    """One ends with its tables in files, one says that it does not fit; none is killed."""
    outputs = {}
    for n, n_bytes in (20_000, 140 * MIB), (200_000, 140 * MIB):
        with memory_group(n_bytes) as group:
            result = run_in_group(group, "-c", FIT, n)
        assert result.returncode == 0, (n, result.returncode, result.stderr[-2000:])
        outputs[n] = result.stdout.splitlines()
    assert outputs[20_000][-1] == "True"
    assert "a fit of 200,000 rows and 20 columns takes about" in outputs[200_000][-1]


@pytest.mark.slow
def test_reports_within_a_limit():
    """A small map has its report where a large one says that it does not fit."""
    outputs = {}
    for n in 3000, 150_000:
        with memory_group(240 * MIB) as group:
            result = run_in_group(group, "-c", REPORT, n)
        assert result.returncode == 0, (n, result.returncode, result.stderr[-2000:])
        outputs[n] = result.stdout
    assert outputs[3000] == "made\n"
    assert "this report takes about" in outputs[150_000]
