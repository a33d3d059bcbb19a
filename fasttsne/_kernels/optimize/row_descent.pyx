"""All iterations of rows that do not depend on each other, in one call.

For few rows an iteration of its own takes longer to call than to compute.
"""

from cython.parallel cimport prange

from fasttsne._kernels.optimize.row_task cimport RowTask, task_of

cdef Py_ssize_t BLOCK = 8  # rows that go through all iterations together


cdef bint descend_block(
    const RowTask **tasks, int n_tasks, int n_iter, Py_ssize_t first, Py_ssize_t last
) noexcept nogil:
    cdef int _iteration, t
    for _iteration in range(n_iter):
        for t in range(n_tasks):
            if tasks[t].run(tasks[t], first, last):
                return True
    return False


def descend(
    tuple tasks,  # at most 4 capsules, see `row_task.pxd`, in their order in an iteration
    Py_ssize_t n,  # rows of their arrays
    int n_iter,
    int n_threads,
):
    """Run iterations of all rows; return False if a row needs more than the tasks can. O(n).

    Then arrays are somewhere in the middle: the caller puts back what they were.
    """
    cdef const RowTask *pointers[4]
    cdef int t, n_tasks = <int> len(tasks), n_failed = 0
    cdef Py_ssize_t b
    if n_tasks > 4:
        raise ValueError("at most 4 tasks")
    for t in range(n_tasks):
        pointers[t] = task_of(tasks[t])
    for b in prange((n + BLOCK - 1) // BLOCK, nogil=True, schedule="dynamic",
                    num_threads=n_threads):
        n_failed += descend_block(pointers, n_tasks, n_iter, b * BLOCK, min((b + 1) * BLOCK, n))
    return n_failed == 0
