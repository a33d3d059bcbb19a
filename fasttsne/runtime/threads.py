"""Number of threads: ``n_jobs``, the cores of this process, and what a fork leaves of them."""

import os

from fasttsne import _kernels
from fasttsne.runtime.validation import check_number

# Never more threads than this or the cores: OpenMP ends the process where it cannot start them.
MAX_THREADS = 64


def available_cores() -> int:
    """Number of processors that this process may run on, within OpenMP's own limit."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        cores = os.cpu_count() or 1
    # Without OpenMP kernels run on one thread, and n_jobs is accepted all the same.
    return min(cores, _kernels.cpu.max_threads()) if _kernels.cpu.has_openmp() else cores


class _ForkState:
    """Whether this process must work on one thread because its parent had OpenMP threads.

    A fork does not copy threads, and GNU OpenMP's first parallel loop in the child would wait for
    them for ever.  So they are ended before the fork, and start again when they are needed; where
    the library is too old to end them, the child works on one thread.
    """

    threads_ended = True
    single_threaded = False

    @classmethod
    def before(cls) -> None:
        cls.threads_ended = _kernels.cpu.end_threads()

    @classmethod
    def in_child(cls) -> None:
        cls.single_threaded = cls.single_threaded or not cls.threads_ended


if hasattr(os, "register_at_fork") and _kernels.cpu.has_openmp():
    os.register_at_fork(before=_ForkState.before, after_in_child=_ForkState.in_child)


def resolve_n_jobs(n_jobs: int | None) -> int:
    """Return the number of threads for ``n_jobs``: -1 is all cores, -2 all but one, and so on.

    None is one thread.  More threads than cores are allowed, up to ``MAX_THREADS``; negative
    values give at least one.
    """
    if n_jobs is None:
        return 1
    n_jobs = check_number(n_jobs, "n_jobs", integer=True)
    if n_jobs == 0:
        raise ValueError("n_jobs must not be 0; give a number of threads, or -1 for all cores")
    if _ForkState.single_threaded:
        return 1
    cores = available_cores()
    if n_jobs < 0:
        return max(cores + 1 + n_jobs, 1)
    return min(n_jobs, max(cores, MAX_THREADS))
