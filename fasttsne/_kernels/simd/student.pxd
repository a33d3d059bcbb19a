"""Student's t kernel w = (1 + r^2 / dof)^(-dof), eight distances at a time.

Every force in the package is made of w and of q = 1 / (1 + r^2 / dof): the
attraction along an edge is p q d, the repulsion of a pair w q d.
"""

from fasttsne._kernels.simd.simd8 cimport f8, f8_div, f8_exp, f8_fma, f8_log, f8_mul, f8_set1


cdef inline f8 student_q(f8 r2, float inverse_dof) noexcept nogil:
    """1 / (1 + r2 / dof)"""
    return f8_div(f8_set1(1.0), f8_fma(r2, f8_set1(inverse_dof), f8_set1(1.0)))


cdef inline f8 student_log(f8 r2, float inverse_dof) noexcept nogil:
    """log(1 + r2 / dof), which is -log(w) / dof"""
    return f8_log(f8_fma(r2, f8_set1(inverse_dof), f8_set1(1.0)))


cdef inline f8 student_w(f8 r2, f8 q, float dof) noexcept nogil:
    """(1 + r2 / dof)^(-dof), which is q itself for one degree of freedom"""
    if dof == 1:
        return q
    return f8_exp(f8_mul(f8_set1(-dof), student_log(r2, 1 / dof)))
