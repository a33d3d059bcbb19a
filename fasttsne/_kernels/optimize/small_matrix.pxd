"""Symmetric matrices of one to three rows, as their upper halves, row by row."""

from libc.math cimport acos, cos, sqrt


cdef inline double smallest_eigenvalue(const double *m, int d) noexcept nogil:
    """In closed form; for three rows by the trigonometric solution of the cubic."""
    cdef double half, mean, p, r, b[6]
    cdef int k
    if d == 1:
        return m[0]
    if d == 2:
        half = (m[0] - m[2]) / 2
        return (m[0] + m[2]) / 2 - sqrt(half * half + m[1] * m[1])
    mean = (m[0] + m[3] + m[5]) / 3
    for k in range(6):
        b[k] = m[k]
    b[0] -= mean
    b[3] -= mean
    b[5] -= mean
    p = (b[0] * b[0] + b[3] * b[3] + b[5] * b[5]) / 6
    p = sqrt(p + (b[1] * b[1] + b[2] * b[2] + b[4] * b[4]) / 3)
    if p == 0:
        return mean
    r = b[0] * (b[3] * b[5] - b[4] * b[4]) - b[1] * (b[1] * b[5] - b[4] * b[2])
    r = (r + b[2] * (b[1] * b[4] - b[3] * b[2])) / (2 * p * p * p)
    r = max(-1.0, min(1.0, r))
    return mean + 2 * p * cos((acos(r) + 2 * 3.141592653589793) / 3)


cdef inline void solve_shifted(
    const double *m, double shift, const double *v, double *x, int d
) noexcept nogil:
    """Write (M + shift I)^-1 v, where that matrix is positive definite, by its Cholesky factors."""
    cdef double lower[9]
    cdef double total
    cdef int a, b, c, k
    for a in range(d):
        for b in range(a + 1):
            k = b * d - b * (b - 1) // 2 + a - b
            total = m[k]
            if a == b:
                total = total + shift
            for c in range(b):
                total = total - lower[3 * a + c] * lower[3 * b + c]
            lower[3 * a + b] = sqrt(total) if a == b else total / lower[3 * b + b]
    for a in range(d):
        total = v[a]
        for c in range(a):
            total = total - lower[3 * a + c] * x[c]
        x[a] = total / lower[3 * a + a]
    for a in range(d - 1, -1, -1):
        total = x[a]
        for c in range(a + 1, d):
            total = total - lower[3 * c + a] * x[c]
        x[a] = total / lower[3 * a + a]
