"""The vector type of the kernels: see ``simd8.h`` for what each function does."""

from libc.stdint cimport int16_t, int32_t, uint16_t

cdef extern from "simd8.h" nogil:
    ctypedef struct f8:
        pass
    f8 f8_set1(float a)
    f8 f8_load(const float *p)
    void f8_store(float *p, f8 a)
    f8 f8_add(f8 a, f8 b)
    f8 f8_sub(f8 a, f8 b)
    f8 f8_mul(f8 a, f8 b)
    f8 f8_div(f8 a, f8 b)
    f8 f8_min(f8 a, f8 b)
    f8 f8_max(f8 a, f8 b)
    f8 f8_fma(f8 a, f8 b, f8 c)
    float f8_sum(f8 a)
    void f8_transpose(f8 *v)
    int f8_less(f8 a, f8 b)
    int lowest_bit(int mask)
    void f8_gather(const float *y, const int32_t *j, int d, f8 *out)
    void f8_gather_near(const float *y, const int16_t *j, int d, f8 *out)
    f8 f8_decode(const uint16_t *codes, float smallest)
    uint16_t encode(float value, float smallest)
    void f8_panel_products(
        const float *a, const float *b, Py_ssize_t stride, Py_ssize_t depth, f8 *sums)
    f8 f8_exp(f8 x)
    f8 f8_log(f8 x)
    void prefetch(const float *p, Py_ssize_t count)
