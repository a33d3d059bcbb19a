"""Fourier transforms of eight complex lines side by side, in passes after Stockham.

An element holds eight real parts, then eight imaginary ones, one of each line: what is done
to a line is done to all of them by the same vector instructions.  A pass of radix r, with
m = n / r for the length n that is left and s for the product of the radices before, is

    y[q + s (r p + j)] = w^(p j) sum_i x[q + s (p + m i)] e^(-2 pi i j / r),   w = e^(-2 pi i / n),

p < m, q < s; after the last the transform is in order, as no bits are reversed.  The
backward transform is the forward one with real and imaginary parts exchanged.

Lines are zero in their second half before the forward transform, and not wanted there
after the backward one.  So the first pass forward and the last backward, both of radix 4,
read and write only the first half, where it lies.
"""

from libc.stdint cimport int32_t

from fasttsne._kernels.simd.simd8 cimport (
    f8, f8_add, f8_fma, f8_load, f8_mul, f8_set1, f8_store, f8_sub,
)

cdef enum:
    N_LINES = 8  # transformed side by side
    ELEMENT = 2 * N_LINES  # floats of one complex number of each line


cdef struct FFTPlan:  # of one length, as ``fasttsne.repulsion.mesh.grid`` makes them
    Py_ssize_t length
    Py_ssize_t count
    const int32_t *radices  # forward; the first is 4; backward they come from the last
    const float *forward  # the w^(p j) of each pass, those of j = 0 excepted
    const float *backward


cdef struct StridedLines:  # the first half of eight lines
    float *first
    Py_ssize_t step  # floats from element to element


cdef struct c8:
    f8 re
    f8 im


cdef inline c8 load(const float *element, int re) noexcept nogil:
    cdef c8 x
    x.re, x.im = f8_load(element + re), f8_load(element + N_LINES - re)
    return x


cdef inline void store(float *element, int re, c8 x) noexcept nogil:
    f8_store(element + re, x.re)
    f8_store(element + N_LINES - re, x.im)


cdef inline c8 add(c8 a, c8 b) noexcept nogil:
    a.re, a.im = f8_add(a.re, b.re), f8_add(a.im, b.im)
    return a


cdef inline c8 sub(c8 a, c8 b) noexcept nogil:
    a.re, a.im = f8_sub(a.re, b.re), f8_sub(a.im, b.im)
    return a


cdef inline c8 scaled(c8 a, float factor) noexcept nogil:
    a.re, a.im = f8_mul(a.re, f8_set1(factor)), f8_mul(a.im, f8_set1(factor))
    return a


cdef inline c8 plus_scaled(c8 a, c8 b, float factor) noexcept nogil:
    a.re, a.im = f8_fma(b.re, f8_set1(factor), a.re), f8_fma(b.im, f8_set1(factor), a.im)
    return a


cdef inline c8 times_minus_i(c8 a) noexcept nogil:
    """-i a."""
    cdef c8 b
    b.re, b.im = a.im, f8_sub(f8_set1(0), a.re)
    return b


cdef inline c8 times(c8 a, const float *w) noexcept nogil:
    cdef c8 b
    cdef f8 re = f8_set1(w[0]), im = f8_set1(w[1])
    b.re = f8_fma(a.re, re, f8_mul(f8_sub(f8_set1(0), a.im), im))
    b.im = f8_fma(a.re, im, f8_mul(a.im, re))
    return b


cdef inline void pass2(
    const float *x, float *y, Py_ssize_t m, Py_ssize_t s, const float *w, int re
) noexcept nogil:
    cdef Py_ssize_t p, q
    cdef c8 a, b
    for p in range(m):
        for q in range(s * p, s * (p + 1)):
            a, b = load(x + ELEMENT * q, re), load(x + ELEMENT * (q + s * m), re)
            store(y + ELEMENT * (q + s * p), re, add(a, b))
            store(y + ELEMENT * (q + s * (p + 1)), re, times(sub(a, b), w + 2 * p))


cdef inline void pass3(
    const float *x, float *y, Py_ssize_t m, Py_ssize_t s, const float *w, int re
) noexcept nogil:
    cdef float half_root = 0.8660254037844386
    cdef Py_ssize_t p, q
    cdef c8 a, b, c
    cdef float *out
    for p in range(m):
        for q in range(s * p, s * (p + 1)):
            a, b = load(x + ELEMENT * q, re), load(x + ELEMENT * (q + s * m), re)
            c = load(x + ELEMENT * (q + 2 * s * m), re)
            out = y + ELEMENT * (q + 2 * s * p)
            store(out, re, add(a, add(b, c)))
            a = plus_scaled(a, add(b, c), -0.5)
            c = scaled(times_minus_i(sub(b, c)), half_root)
            store(out + ELEMENT * s, re, times(add(a, c), w + 4 * p))
            store(out + 2 * ELEMENT * s, re, times(sub(a, c), w + 4 * p + 2))


cdef inline void pass4(
    const float *x, float *y, Py_ssize_t m, Py_ssize_t s, const float *w, int re
) noexcept nogil:
    cdef Py_ssize_t p, q
    cdef c8 a, b, c, d, e
    cdef float *out
    for p in range(m):
        for q in range(s * p, s * (p + 1)):
            a, b = load(x + ELEMENT * q, re), load(x + ELEMENT * (q + s * m), re)
            c, d = load(x + ELEMENT * (q + 2 * s * m), re), load(x + ELEMENT * (q + 3 * s * m), re)
            e, a = sub(a, c), add(a, c)
            c, b = times_minus_i(sub(b, d)), add(b, d)
            out = y + ELEMENT * (q + 3 * s * p)
            store(out, re, add(a, b))
            store(out + ELEMENT * s, re, times(add(e, c), w + 6 * p))
            store(out + 2 * ELEMENT * s, re, times(sub(a, b), w + 6 * p + 2))
            store(out + 3 * ELEMENT * s, re, times(sub(e, c), w + 6 * p + 4))


cdef inline void pass5(
    const float *x, float *y, Py_ssize_t m, Py_ssize_t s, const float *w, int re
) noexcept nogil:
    # cos and sin of a fifth and of two fifths of a turn
    cdef float c1 = 0.30901699437494745, c2 = -0.8090169943749475
    cdef float s1 = 0.9510565162951535, s2 = 0.5877852522924731
    cdef Py_ssize_t p, q
    cdef c8 a, b, c, d, e, f, g
    cdef float *out
    for p in range(m):
        for q in range(s * p, s * (p + 1)):
            a, b = load(x + ELEMENT * q, re), load(x + ELEMENT * (q + s * m), re)
            c, d = load(x + ELEMENT * (q + 2 * s * m), re), load(x + ELEMENT * (q + 3 * s * m), re)
            e = load(x + ELEMENT * (q + 4 * s * m), re)
            f, b = times_minus_i(sub(b, e)), add(b, e)
            g, c = times_minus_i(sub(c, d)), add(c, d)
            out = y + ELEMENT * (q + 4 * s * p)
            store(out, re, add(a, add(b, c)))
            d, e = plus_scaled(plus_scaled(a, b, c1), c, c2), plus_scaled(scaled(f, s1), g, s2)
            store(out + ELEMENT * s, re, times(add(d, e), w + 8 * p))
            store(out + 4 * ELEMENT * s, re, times(sub(d, e), w + 8 * p + 6))
            d, e = plus_scaled(plus_scaled(a, b, c2), c, c1), plus_scaled(scaled(f, s2), g, -s1)
            store(out + 2 * ELEMENT * s, re, times(add(d, e), w + 8 * p + 2))
            store(out + 3 * ELEMENT * s, re, times(sub(d, e), w + 8 * p + 4))


cdef inline void run_pass(
    int radix, const float *x, float *y, Py_ssize_t m, Py_ssize_t s, const float *w, int re
) noexcept nogil:
    if radix == 4:
        pass4(x, y, m, s, w, re)
    elif radix == 2:
        pass2(x, y, m, s, w, re)
    elif radix == 3:
        pass3(x, y, m, s, w, re)
    else:
        pass5(x, y, m, s, w, re)


cdef inline StridedLines strided_lines(float *first, Py_ssize_t step) noexcept nogil:
    cdef StridedLines half
    half.first, half.step = first, step
    return half


cdef inline void first_pass(
    const StridedLines *half, float *y, Py_ssize_t m, const float *w
) noexcept nogil:
    """Radix 4, where two of four inputs are zero."""
    cdef Py_ssize_t p
    cdef c8 a, b
    for p in range(m):
        a, b = load(half.first + p * half.step, 0), load(half.first + (p + m) * half.step, 0)
        store(y + 4 * ELEMENT * p, 0, add(a, b))
        store(y + 4 * ELEMENT * p + ELEMENT, 0, times(add(a, times_minus_i(b)), w + 6 * p))
        store(y + 4 * ELEMENT * p + 2 * ELEMENT, 0, times(sub(a, b), w + 6 * p + 2))
        store(y + 4 * ELEMENT * p + 3 * ELEMENT, 0, times(sub(a, times_minus_i(b)), w + 6 * p + 4))


cdef inline void last_pass(const float *x, const StridedLines *half, Py_ssize_t s) noexcept nogil:
    """Radix 4 backward, where two of four outputs are not wanted."""
    cdef Py_ssize_t q
    cdef c8 a, b, c, d, e
    for q in range(s):
        a, b = load(x + ELEMENT * q, N_LINES), load(x + ELEMENT * (q + s), N_LINES)
        c, d = load(x + ELEMENT * (q + 2 * s), N_LINES), load(x + ELEMENT * (q + 3 * s), N_LINES)
        e = add(sub(a, c), times_minus_i(sub(b, d)))
        a = add(add(a, c), add(b, d))
        store(half.first + q * half.step, N_LINES, a)
        store(half.first + (q + s) * half.step, N_LINES, e)


cdef inline void forward(
    const FFTPlan *plan, const StridedLines *half, float *out, float *scratch
) noexcept nogil:
    """Transform to ``out``; both arrays have as many elements as the length says."""
    cdef Py_ssize_t i, m = plan.length // 4, s = 4
    cdef const float *w = plan.forward
    cdef float *x
    cdef float *y
    cdef int radix
    # The last pass writes to out.
    x, y = (out, scratch) if plan.count % 2 else (scratch, out)
    first_pass(half, x, m, w)
    w += 6 * m
    for i in range(1, plan.count):
        radix = plan.radices[i]
        m //= radix
        run_pass(radix, x, y, m, s, w, 0)
        w += 2 * m * (radix - 1)
        s *= radix
        x, y = y, x


cdef inline void backward(
    const FFTPlan *plan, float *x, float *scratch, const StridedLines *half
) noexcept nogil:
    """Transform x, which is lost; nothing is divided by the length."""
    cdef Py_ssize_t i, m = plan.length, s = 1
    cdef const float *w = plan.backward
    cdef float *y = scratch
    cdef int radix
    for i in range(plan.count - 1, 0, -1):
        radix = plan.radices[i]
        m //= radix
        run_pass(radix, x, y, m, s, w, N_LINES)
        w += 2 * m * (radix - 1)
        s *= radix
        x, y = y, x
    last_pass(x, half, s)


cdef inline FFTPlan as_plan(plan):
    """A view of a Python object's plan, which must outlive it."""
    cdef FFTPlan view
    cdef const int32_t[::1] radices = plan.radices
    cdef const float[:, ::1] factors = plan.factors
    view.length, view.count, view.radices = plan.length, radices.shape[0], NULL
    view.forward = view.backward = NULL
    if view.length > 1:
        view.radices = &radices[0]
        view.forward, view.backward = &factors[0, 0], &factors[1, 0]
    return view
