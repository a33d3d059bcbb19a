"""Fits beside fits: threads, processes that are forked or spawned, and limits on threads."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from helpers.quick import QUICK

from fasttsne import TSNE
from fasttsne.runtime.threads import resolve_n_jobs

SHORT = {**QUICK, "early_exaggeration_iter": 20, "n_iter": 30, "perplexity": 10}
METHODS = ("fft", "bh", "exact")


def run(code, timeout=90, **environment):
    """The output of a program in a process of its own; a hang is a failure."""
    result = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=timeout,
        env={**os.environ, **environment},
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.split()


def test_fits_in_threads_are_those_in_turn(digits):
    tasks = [(method, n_jobs, seed) for method in METHODS for n_jobs in (1, 2) for seed in (0, 1)]

    def fit(task):
        method, n_jobs, seed = task
        tsne = TSNE(
            negative_gradient_method=method,
            n_jobs=n_jobs,
            initialization="random",
            **{**SHORT, "random_state": seed},
        )
        return tsne.fit(digits[: 300 + 50 * seed]).tobytes()

    in_turn = [fit(task) for task in tasks]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(fit, tasks)) == in_turn


PROGRAM = """
import hashlib, multiprocessing, sys
from fasttsne import TSNE
from fasttsne.datasets import load_digits

X = load_digits()[0][:300]

def fit(method):
    tsne = TSNE(negative_gradient_method=method, n_jobs=2, random_state=0, n_iter=20,
                early_exaggeration_iter=20)
    return hashlib.sha256(tsne.fit(X).tobytes()).hexdigest()

if __name__ == "__main__":
    methods = ["fft", "bh", "exact"]
    print(*map(fit, methods))  # OpenMP's threads are running from here on
    if sys.argv[1] == "loky":
        import joblib
        print(*joblib.Parallel(n_jobs=2)(joblib.delayed(fit)(m) for m in methods))
    else:
        with multiprocessing.get_context(sys.argv[1]).Pool(2) as pool:
            print(*pool.map(fit, methods))
    print(*map(fit, methods))
"""


@pytest.mark.slow
@pytest.mark.parametrize("how", ["fork", "spawn", "forkserver", "loky"])
def test_fits_in_processes_after_a_fit(how, tmp_path):
    if how == "loky":
        pytest.importorskip("joblib")
    elif how != "spawn" and sys.platform == "win32":
        pytest.skip("there is no fork")
    (tmp_path / "program.py").write_text(PROGRAM)
    output = subprocess.run(
        [sys.executable, tmp_path / "program.py", how], capture_output=True, text=True, timeout=120
    )
    lines = output.stdout.splitlines()
    assert len(lines) == 3, output.stderr
    assert len(set(lines)) == 1


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no processor affinity")
def test_affinity_is_respected():
    code = (
        "import os\n"
        "os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "from fasttsne.runtime.threads import resolve_n_jobs\n"
        "print(resolve_n_jobs(-1), resolve_n_jobs(3))\n"
    )
    assert run(code, OMP_NUM_THREADS="") == ["1", "3"]


@pytest.mark.slow
def test_omp_num_threads_is_respected():
    code = "from fasttsne.runtime.threads import resolve_n_jobs as r; print(r(-1), r(-2), r(3))"
    assert run(code, OMP_NUM_THREADS="1") == ["1", "1", "3"]
    cores = str(
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    )
    assert run(code, OMP_NUM_THREADS="1000")[0] == cores
    for wrong in ("", "many", "-3", "0"):
        assert run(code, OMP_NUM_THREADS=wrong)[0] == cores
    assert run(code, OMP_NUM_THREADS="1,2")[0] == "1"


def test_threadpoolctl_limits_are_respected():
    threadpoolctl = pytest.importorskip("threadpoolctl")
    with threadpoolctl.threadpool_limits(1, user_api="openmp"):
        assert resolve_n_jobs(-1) == 1
        assert resolve_n_jobs(3) == 3


def test_more_threads_than_there_can_be(digits):
    """Results do not depend on threads, so nobody is refused, nor do we start a million."""
    expected = TSNE(n_jobs=1, **SHORT).fit(digits[:200])
    for n_jobs in (1000, 10**6, 10**30):
        np.testing.assert_array_equal(TSNE(n_jobs=n_jobs, **SHORT).fit(digits[:200]), expected)


FEW_THREADS = """
import resource, warnings
from fasttsne import TSNE
from fasttsne.datasets import load_digits
X = load_digits()[0][:300]
fit = dict(n_iter=20, early_exaggeration_iter=20, random_state=0)
expected = TSNE(n_jobs=1, **fit).fit(X)
size = next(int(line.split()[1]) for line in open("/proc/self/status") if "VmSize" in line)
resource.setrlimit(resource.RLIMIT_AS, (1024 * (size + 40_000),) * 2)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    same = (TSNE(n_jobs=16, **fit).fit(X) == expected).all()
print(bool(same), any("the system starts only" in str(w.message) for w in caught))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits as Linux has them")
def test_threads_that_the_system_does_not_start():
    # Each of the eleven times that threads are counted, free-threaded Python yields its processor
    # some dozens of times for each of their locks: on a busy machine 90 seconds were too few.
    assert run(FEW_THREADS, timeout=400) == ["True", "True"]
