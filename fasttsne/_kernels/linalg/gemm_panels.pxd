"""Products of rows in panels of eight, depth by depth."""

from fasttsne._kernels.simd.simd8 cimport f8, f8_panel_products, f8_set1

cdef enum:
    PANEL = 8  # rows of a panel
    TILE = 3  # as ``f8_panel_products`` has it: panels that one panel is multiplied with at once
    CHUNK = 128  # depth that both halves of a panel pass before the next: it stays in the L1 cache


cdef inline void tile_products(
    const float *rows, const float *points, Py_ssize_t depth, f8 *products
) noexcept nogil:
    """Products of a panel's eight rows with the points of TILE panels: products[TILE r + t]."""
    cdef Py_ssize_t k = 0, count
    cdef int i
    for i in range(PANEL * TILE):
        products[i] = f8_set1(0)
    while k < depth:
        count = min(<Py_ssize_t> CHUNK, depth - k)
        f8_panel_products(
            rows + PANEL * k, points + PANEL * k, PANEL * depth, count, products
        )
        f8_panel_products(
            rows + PANEL * k + 4, points + PANEL * k, PANEL * depth, count, products + 4 * TILE
        )
        k += count
