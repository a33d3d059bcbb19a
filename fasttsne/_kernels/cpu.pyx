"""What this build has, and what this processor can do."""

cdef extern from "threads.h" nogil:
    int FASTTSNE_OPENMP
    int omp_get_max_threads()
    int fasttsne_end_threads()

cdef extern from *:
    """
    #if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
    static int fasttsne_cpu_has_avx2(void) {
        __builtin_cpu_init();
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    }
    #elif defined(_M_X64)
    #include <intrin.h>
    static int fasttsne_cpu_has_avx2(void) {
        int r[4];
        __cpuid(r, 1);
        if (!(r[2] & (1 << 12)) || !(r[2] & (1 << 27)) || !(r[2] & (1 << 28))) return 0;
        if ((_xgetbv(0) & 6) != 6) return 0;  /* the system keeps the wide registers */
        __cpuidex(r, 7, 0);
        return (r[1] & (1 << 5)) != 0;
    }
    #else
    static int fasttsne_cpu_has_avx2(void) { return 0; }
    #endif
    """
    int fasttsne_cpu_has_avx2() nogil


def has_openmp() -> bool:
    """Whether the kernels were compiled with OpenMP."""
    return bool(FASTTSNE_OPENMP)


def has_avx2() -> bool:
    """Whether this processor, and its system, run AVX2 and FMA instructions."""
    return bool(fasttsne_cpu_has_avx2())


def max_threads() -> int:
    """How many threads OpenMP would take: OMP_NUM_THREADS, threadpoolctl and cores limit them."""
    return omp_get_max_threads()


def end_threads() -> bool:
    """End OpenMP's threads that wait for work; the next parallel loop starts new ones.

    False where the OpenMP library cannot.
    """
    return bool(fasttsne_end_threads())
