"""Ctrl-C within a second: long loops run in pieces, and look for signals between them.

    for piece in range(0, n, PIECE_ROWS):
        for i in prange(piece, end_of_piece(piece, n), nogil=True, ...):
            ...
        PyErr_CheckSignals()

Python's own handlers run there, in the main thread; what they raise leaves the function.
"""

from cpython.exc cimport PyErr_CheckSignals

cdef enum:
    PIECE_ROWS = 1 << 16  # of a graph, with a hundred edges each: a tenth of a second
    PIECE_EDGES = 1 << 25


cdef inline Py_ssize_t end_of_piece(Py_ssize_t piece, Py_ssize_t n) noexcept nogil:
    return min(piece + <Py_ssize_t> PIECE_ROWS, n)
