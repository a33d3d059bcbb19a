"""The squared distance of two dense rows, from differences."""

from libc.stdint cimport int16_t, int32_t, uint8_t

from fasttsne._kernels.simd.simd8 cimport f8, f8_add, f8_fma, f8_load, f8_set1, f8_sub, f8_sum


cdef inline float squared_distance(const float *a, const float *b, Py_ssize_t d) noexcept nogil:
    cdef Py_ssize_t c
    cdef float rest = 0
    cdef f8 u, v, s = f8_set1(0), t = f8_set1(0)
    for c in range(0, d // 16 * 16, 16):
        u = f8_sub(f8_load(a + c), f8_load(b + c))
        v = f8_sub(f8_load(a + c + 8), f8_load(b + c + 8))
        s = f8_fma(u, u, s)
        t = f8_fma(v, v, t)
    for c in range(d // 16 * 16, d):
        rest = rest + (a[c] - b[c]) * (a[c] - b[c])
    return f8_sum(f8_add(s, t)) + rest


cdef inline float squared_distance_of_bytes(
    const uint8_t *a, const uint8_t *b, Py_ssize_t d
) noexcept nogil:
    """Rounded once: the sum is one of whole numbers, which has no rounding up to 33,000 columns."""
    cdef Py_ssize_t c
    cdef int32_t total = 0
    cdef int16_t difference  # products of 16 bits: compilers have an instruction for their sums
    for c in range(d):
        difference = <int16_t> (<int16_t> a[c] - <int16_t> b[c])
        total += <int32_t> difference * difference
    return <float> total
