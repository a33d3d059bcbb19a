"""All iterations of rows that do not depend on each other, in one call.

A few rows go through all iterations before the next: what they need of the map stays in the
cache, and no iteration has to be called.
"""

from cython.parallel cimport prange

from fasttsne._kernels.optimize.row_task cimport RowTask, task_of

cdef enum:
    MAX_TASKS = 4

cdef Py_ssize_t BLOCK = 8  # rows that go through all iterations together


cdef struct Tasks:
    const RowTask *usual[MAX_TASKS]
    const RowTask *spare[MAX_TASKS]  # or NULL
    int n


cdef bint run_each(
    const RowTask *usual, const RowTask *spare, Py_ssize_t first, Py_ssize_t last
) noexcept nogil:
    """Run a task again, which a row has failed: that row has the spare one."""
    cdef Py_ssize_t i
    if spare == NULL:
        return True
    for i in range(first, last):
        if usual.run(usual, i, i + 1) and spare.run(spare, i, i + 1):
            return True
    return False


cdef bint descend_block(
    const Tasks *tasks, int n_iter, Py_ssize_t first, Py_ssize_t last
) noexcept nogil:
    cdef int _iteration, t
    for _iteration in range(n_iter):
        for t in range(tasks.n):
            if tasks.usual[t].run(tasks.usual[t], first, last):
                if run_each(tasks.usual[t], tasks.spare[t], first, last):
                    return True
    return False


def descend(
    tuple tasks,  # at most 4 capsules, see `row_task.pxd`, in their order in an iteration
    tuple spares,  # capsules for rows that these cannot serve, or None, one for each
    Py_ssize_t first, Py_ssize_t last,  # rows of their arrays
    int n_iter,
    int n_threads,
):
    """Run iterations of some rows; return False if a row needs more than the tasks can. O(rows).

    Then arrays are somewhere in the middle: the caller puts back what they were.
    """
    cdef Tasks each
    cdef int t, n_failed = 0
    cdef Py_ssize_t b, begin
    each.n = <int> len(tasks)
    if each.n > MAX_TASKS or each.n != len(spares):
        raise ValueError(f"at most {MAX_TASKS} tasks, and a spare one, or None, for each")
    for t in range(each.n):
        each.usual[t] = task_of(tasks[t])
        each.spare[t] = NULL if spares[t] is None else task_of(spares[t])
    for b in prange((last - first + BLOCK - 1) // BLOCK, nogil=True, schedule="dynamic",
                    num_threads=n_threads):
        begin = first + b * BLOCK
        n_failed += descend_block(&each, n_iter, begin, min(begin + BLOCK, last))
    return n_failed == 0
