"""What an iteration does to rows that do not depend on each other, as tasks that kernels share.

A task is a compiled function and what it works on.  Kernels make them, each of its own block
function, so that rows which go through all iterations in one call (``row_descent.pyx``) get the
bits of iterations over all rows.  Arrays are not owned: who makes a task keeps them.
"""

from cpython.pycapsule cimport PyCapsule_GetPointer, PyCapsule_New
from libc.stdlib cimport free, malloc


# Returns whether a row was met that the task cannot serve.
ctypedef bint (*row_function)(const void *task, Py_ssize_t first, Py_ssize_t last) noexcept nogil


cdef struct RowTask:
    row_function run


cdef inline void free_task(object capsule) noexcept:
    free(PyCapsule_GetPointer(capsule, "fasttsne.row_task"))


cdef inline void *new_task(size_t size, row_function run) except NULL:
    """Memory for a struct whose first member is a RowTask."""
    cdef RowTask *task = <RowTask *> malloc(size)
    if task == NULL:
        raise MemoryError()
    task.run = run
    return task


cdef inline object as_capsule(void *task):
    """The task as an object that frees it."""
    return PyCapsule_New(task, "fasttsne.row_task", free_task)


cdef inline const RowTask *task_of(object capsule) except NULL:
    return <const RowTask *> PyCapsule_GetPointer(capsule, "fasttsne.row_task")
