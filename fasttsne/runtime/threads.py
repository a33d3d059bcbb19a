"""Number of threads: ``n_jobs``, the cores of this process, and what a fork leaves of them."""

import os
import threading

from fasttsne import _kernels
from fasttsne.runtime.validation import check_number
from fasttsne.utils import warn_user

# Never more threads than this or the cores: OpenMP ends the process where it cannot start them.
MAX_THREADS = 64


def usable_cores() -> int:
    """Number of processors that this process may run on."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        return os.cpu_count() or 1


def available_cores() -> int:
    """The same within OpenMP's own limit."""
    cores = usable_cores()
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


class _Startable:
    """How many threads the system starts, of a process or container whose number is limited.

    OpenMP ends the process where it cannot start one, so Python's threads try it first.  Parts of
    an iteration side by side (``overlap.py``) start half as many more.
    """

    n_started = 1  # so many ran at once

    @classmethod
    def at_most(cls, n_threads: int) -> int:
        """Return n_threads, or how many can be started, with a warning."""
        if n_threads > cls.n_started:
            cls.n_started = cls._try(n_threads)
            if cls.n_started < n_threads:
                warn_user(
                    f"n_jobs: the system starts only {cls.n_started} of {n_threads} threads (a "
                    "limit of processes or memory); using those, with the same result"
                )
        return min(n_threads, cls.n_started)

    @staticmethod
    def _try(n_threads: int) -> int:
        release, threads = threading.Event(), []
        try:
            for _ in range(n_threads + n_threads // 2 - 1):
                thread = threading.Thread(target=release.wait, daemon=True)
                thread.start()
                threads.append(thread)
        except RuntimeError:
            pass
        finally:
            release.set()
            for thread in threads:
                thread.join()
        # Where not all of them start, nor may OpenMP's, which come later: half of those that did.
        wanted = n_threads + n_threads // 2 - 1
        return n_threads if len(threads) == wanted else max(min(len(threads) // 3, n_threads), 1)


def resolve_n_jobs(n_jobs: int | None) -> int:
    """Return the number of threads for ``n_jobs``: -1 is all cores, -2 all but one, and so on.

    None is one thread.  More threads than cores are allowed, up to ``MAX_THREADS``; negative
    values give at least one.  There are fewer, with a warning, where the system does not start
    so many.
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
        return _Startable.at_most(max(cores + 1 + n_jobs, 1))
    return _Startable.at_most(min(n_jobs, max(cores, MAX_THREADS)))
