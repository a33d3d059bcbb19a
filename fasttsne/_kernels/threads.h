/* OpenMP's two questions that the kernels ask, answered also where there is no OpenMP. */
#ifndef FASTTSNE_THREADS_H
#define FASTTSNE_THREADS_H

#ifdef _OPENMP
#include <omp.h>
#define FASTTSNE_OPENMP 1
#else
#define FASTTSNE_OPENMP 0
static inline int omp_get_thread_num(void) { return 0; }
#endif

#endif
