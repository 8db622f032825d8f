/* The thread policy, in one place.
 *
 * libgomp hangs a forked child that enters a parallel region after its parent did: a child therefore stays serial. */
#include "base/base.h"

#if defined(_OPENMP)
#include <omp.h>
#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)
#endif

#if defined(_OPENMP) && !defined(_WIN32)
#include <pthread.h>
static volatile int serial;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static void in_child(void) { serial = 1; }
static void install(void) { pthread_atfork(NULL, NULL, in_child); }
static int is_serial(void) {
    pthread_once(&once, install);
    return serial;
}
#else
static int is_serial(void) { return 0; }
#endif

int rsk_max_threads(void) {
#if defined(_OPENMP)
    return is_serial() ? 1 : omp_get_max_threads();
#else
    return is_serial() ? 1 : 1;
#endif
}

const char *rsk_openmp(void) {
#if defined(_OPENMP)
    return "OpenMP " TEXT(_OPENMP);
#else
    return "none";
#endif
}

int rsk_parallel_threads(int threads, ptrdiff_t n, ptrdiff_t chunk) {
    const int most = rsk_max_threads();
    const ptrdiff_t chunks = n / chunk + (n % chunk != 0);
    if (threads > most) threads = most;
    if (threads > chunks) threads = (int)chunks;
    return threads < 1 ? 1 : threads;
}

void rsk_parallel(int threads, ptrdiff_t n, ptrdiff_t chunk, rsk_task *task, void *context) {
    const int workers = rsk_parallel_threads(threads, n, chunk);
    if (workers == 1) { /* not `if(0)`: an inactive parallel region still costs a microsecond */
        task(context, 0, 0, n);
        return;
    }
#if defined(_OPENMP)
    const ptrdiff_t chunks = n / chunk + (n % chunk != 0);
    ptrdiff_t i;
#pragma omp parallel for num_threads(workers) schedule(dynamic, 1)
    for (i = 0; i < chunks; i++) {
        const ptrdiff_t begin = i * chunk, end = begin + chunk < n ? begin + chunk : n;
        task(context, omp_get_thread_num(), begin, end);
    }
#endif
}
