/* What the kernels ask of threads: OpenMP's two questions, answered also where there is no OpenMP,
 * and a counter of work that several take from. */
#ifndef FASTTSNE_THREADS_H
#define FASTTSNE_THREADS_H

#include <stdint.h>
#if defined(_MSC_VER)
#include <intrin.h>
#endif

#ifdef _OPENMP
#include <omp.h>
#define FASTTSNE_OPENMP 1
#else
#define FASTTSNE_OPENMP 0
static inline int omp_get_thread_num(void) { return 0; }
static inline int omp_get_max_threads(void) { return 1; }
#endif

/* Return a counter and add one to it, as one step for all threads of the process. */
static inline int64_t take_one(int64_t *counter) {
#if defined(_MSC_VER)
    return _InterlockedExchangeAdd64((volatile __int64 *)counter, 1);
#else
    return __atomic_fetch_add(counter, 1, __ATOMIC_RELAXED);
#endif
}

/* OpenMP 5.0: end the threads that wait for work.  Libraries from before it (that of GCC 8, and
 * so of manylinux_2_28) do not have it: a weak symbol is then null. */
#if defined(_OPENMP) && defined(__ELF__) && !defined(__clang__) && __GNUC__ < 9
static inline int fasttsne_end_threads(void) { return 0; }
#elif defined(_OPENMP) && defined(__ELF__)
extern int omp_pause_resource_all(omp_pause_resource_t) __attribute__((weak));
static inline int fasttsne_end_threads(void) {
    return omp_pause_resource_all && omp_pause_resource_all(omp_pause_hard) == 0;
}
#else
/* LLVM's and Apple's libraries look after forks themselves; Windows has none. */
static inline int fasttsne_end_threads(void) { return 1; }
#endif

#endif
