"""Products of all columns with each other, to the same bits on any number of threads.

Columns come packed in panels of eight, depth by depth, as rows do in ``knn_dense.pyx``.
"""

from cython.parallel cimport prange

from fasttsne._kernels.simd.simd8 cimport f8, f8_store
from fasttsne._kernels.linalg.gemm_panels cimport PANEL, TILE, tile_products

PANEL_COLUMNS = PANEL
TILE_COLUMNS = PANEL * TILE


cdef void add_products(
    const float *packed, Py_ssize_t panels, Py_ssize_t depth, Py_ssize_t p, double *out,
) noexcept nogil:
    """Add the products of one panel with all from its own tile on."""
    cdef f8 products[PANEL * TILE]
    cdef float values[8]
    cdef double *row
    cdef Py_ssize_t tile, q
    cdef int r, t, lane
    for tile in range(p // TILE, panels // TILE):
        q = TILE * tile
        tile_products(packed + p * PANEL * depth, packed + q * PANEL * depth, depth, products)
        for r in range(PANEL):
            for t in range(TILE):
                f8_store(values, products[TILE * r + t])
                row = out + (p * PANEL + r) * panels * PANEL + (q + t) * PANEL
                for lane in range(PANEL):
                    row[lane] += values[lane]


cdef void pack_panel(
    const float *rows, Py_ssize_t depth, Py_ssize_t columns, Py_ssize_t first, float *panel,
) noexcept nogil:
    """Write up to eight columns from the first on, depth by depth, and zeros beyond the last."""
    cdef Py_ssize_t k, c, count = max(min(<Py_ssize_t> PANEL, columns - first), 0)
    for k in range(depth):
        for c in range(count):
            panel[PANEL * k + c] = rows[k * columns + first + c]
        for c in range(count, PANEL):
            panel[PANEL * k + c] = 0


def pack_columns(
    const float[:, ::1] rows,  # IN (depth, columns)
    float[:, :, ::1] packed,  # OUT (panels, depth, 8)
    int n_threads,
):
    """Pack columns as ``add_gram`` reads them."""
    cdef Py_ssize_t p, panels = packed.shape[0], depth = rows.shape[0]
    if panels == 0 or depth == 0:
        return
    for p in prange(panels, nogil=True, schedule="static", num_threads=n_threads):
        pack_panel(&rows[0, 0], depth, rows.shape[1], p * PANEL, &packed[p, 0, 0])


def add_gram(
    const float[:, :, ::1] packed,  # IN (panels, depth, 8), a multiple of TILE panels
    double[:, ::1] out,  # INOUT (8 panels, 8 panels), whole from the diagonal on
    int n_threads,
):
    """Add the products of all columns to ``out``; sums over the depth are float32.

    O(columns^2 depth).
    """
    cdef Py_ssize_t p, panels = packed.shape[0], depth = packed.shape[1]
    if panels == 0 or depth == 0:
        return
    for p in prange(panels, nogil=True, schedule="dynamic", num_threads=n_threads):
        add_products(&packed[0, 0, 0], panels, depth, p, &out[0, 0])
