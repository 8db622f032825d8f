/* The thread policy, in one place.
 *
 * libgomp hangs a forked child that enters a parallel region after its parent did: a child therefore stays serial. */
#include "base/base.h"

#include <stdlib.h>
#include <time.h>

#if defined(_OPENMP)
#include <omp.h>
#if defined(_WIN32)
#include <windows.h>
#else
#include <pthread.h>
#endif
#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)
#endif

#define INTERVAL 100 /* milliseconds between two questions whether to stop */
#define EVEN 0.1     /* by such a part threads may end later than if work was divided evenly */
#define FIRST 16     /* short pieces of work that stay serial after one that threads made slower; twice as many after the next one */
#define LAST 4096    /* and so on, up to so many */

#if defined(_OPENMP) && !defined(_WIN32)
static volatile int serial;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static void in_child(void) { serial = 1; }
static void install(void) { pthread_atfork(NULL, NULL, in_child); }
static int is_serial(void) {
    pthread_once(&once, install);
    return serial;
}
#elif defined(_OPENMP)
static int is_serial(void) { return 0; }
#endif

int rsk_max_threads(void) {
#if defined(_OPENMP)
    return is_serial() ? 1 : omp_get_max_threads();
#else
    return 1;
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

static int64_t milliseconds(void) {
    struct timespec t;
    timespec_get(&t, TIME_UTC);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Numbers that one thread sets while others look at them. volatile is as good where a compiler has no builtin for it: an int is read and
 * written whole. */
#if defined(__GNUC__) || defined(__clang__)
static int load(const volatile int *x) { return __atomic_load_n(x, __ATOMIC_RELAXED); }
static void store(volatile int *x, int value) { __atomic_store_n(x, value, __ATOMIC_RELAXED); }
#else
static int load(const volatile int *x) { return *x; }
static void store(volatile int *x, int value) { *x = value; }
#endif
static int is_set(const rsk_stop *stop) { return load(&stop->stopped); }
static void set(rsk_stop *stop) { store(&stop->stopped, 1); }

int rsk_stopped(rsk_stop *stop, int worker) {
    if (!stop || is_set(stop) || worker) return stop && is_set(stop);
    const int64_t now = milliseconds();
    if (stop->next == 0) stop->next = now + INTERVAL; /* the call has just begun */
    if (now < stop->next && now > stop->next - 2 * INTERVAL) return 0; /* earlier than that: the clock was set back */
    stop->next = now + INTERVAL;
    if (!stop->asked(stop->context)) return 0;
    set(stop);
    return 1;
}

#if defined(_OPENMP)
/* Waits for another thread: some 20 microseconds awake, which looking at the clock takes up, and from turn 500 on asleep. The core is not
 * given away by sched_yield, which newer Linux takes for a whole slice used up: where others want the core, it is long in coming back. */
static void idle(int turn) {
    if (turn < 500) return;
#if defined(_WIN32)
    Sleep(1);
#else
    const struct timespec t = {0, 50000};
    nanosleep(&t, NULL);
#endif
}
#endif

rsk_status rsk_parallel_until(rsk_stop *stop, int threads, ptrdiff_t n, ptrdiff_t chunk, rsk_task *task, void *context) {
    const int workers = rsk_parallel_threads(threads, n, chunk);
    if (workers == 1) { /* not `if(0)`: an inactive parallel region still costs a microsecond */
        const ptrdiff_t step = stop ? chunk : n;
        for (ptrdiff_t begin = 0; begin < n && !rsk_stopped(stop, 0); begin += step)
            task(context, 0, begin, n - begin < step ? n : begin + step);
    }
#if defined(_OPENMP)
    else {
        const ptrdiff_t chunks = n / chunk + (n % chunk != 0);
        int done = 0;
#pragma omp parallel num_threads(workers)
        {
            const int worker = omp_get_thread_num();
            ptrdiff_t i;
#pragma omp for schedule(dynamic, 1) nowait
            for (i = 0; i < chunks; i++) {
                const ptrdiff_t begin = i * chunk, end = begin + chunk < n ? begin + chunk : n;
                if (!rsk_stopped(stop, worker)) task(context, worker, begin, end);
            }
#pragma omp atomic
            done++;
            /* The calling thread must not wait in OpenMP's barrier, where it could not ask, for another one's long chunk. */
            for (int turn = 0; stop && worker == 0 && !rsk_stopped(stop, 0); turn++) {
                int ended;
#pragma omp atomic read
                ended = done;
                if (ended == omp_get_num_threads()) break;
                idle(turn);
            }
        }
    }
#endif
    return stop && is_set(stop) ? RSK_ESTOP : RSK_OK;
}

void rsk_parallel(int threads, ptrdiff_t n, ptrdiff_t chunk, rsk_task *task, void *context) {
    (void)rsk_parallel_until(NULL, threads, n, chunk, task, context);
}

/* ---------------------------------------------------------------- short work

 * Threads that meet every tenth of a millisecond wait for whoever was put to sleep meanwhile. Where other processes want the cores, that
 * is a time slice of some milliseconds at every meeting, many times what the work takes. Whether threads pay is therefore measured, and
 * short work stays serial for a while once they did not. */

#if defined(_OPENMP) && defined(CLOCK_THREAD_CPUTIME_ID)
static volatile int waiting, length = FIRST; /* pieces that stay serial from now on; after the next one that threads made slower */

static int64_t nanoseconds(clockid_t clock) {
    struct timespec t;
    return clock_gettime(clock, &t) ? 0 : (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

typedef struct timed {
    rsk_task *task;
    void *context;
    int64_t taken; /* nanoseconds of all threads together */
} timed;

static void run_timed(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) {
    timed *t = context;
    const int64_t start = nanoseconds(CLOCK_THREAD_CPUTIME_ID);
    t->task(t->context, worker, begin, end);
    const int64_t taken = nanoseconds(CLOCK_THREAD_CPUTIME_ID) - start;
#pragma omp atomic
    t->taken += taken;
}

rsk_status rsk_parallel_short(rsk_stop *stop, int threads, ptrdiff_t n, ptrdiff_t chunk, rsk_task *task, void *context) {
    const int left = load(&waiting);
    if (left > 0) store(&waiting, left - 1);
    if (left > 0 || rsk_parallel_threads(threads, n, chunk) == 1) return rsk_parallel_until(stop, 1, n, chunk, task, context);
    timed t = {task, context, 0};
    const int64_t start = nanoseconds(CLOCK_MONOTONIC);
    const rsk_status status = rsk_parallel_until(stop, threads, n, chunk, run_timed, &t);
    const int paid = nanoseconds(CLOCK_MONOTONIC) - start <= t.taken, next = load(&length);
    if (!paid) store(&waiting, next);
    store(&length, paid ? FIRST : next < LAST ? 2 * next : LAST);
    return status;
}
#else
rsk_status rsk_parallel_short(rsk_stop *stop, int threads, ptrdiff_t n, ptrdiff_t chunk, rsk_task *task, void *context) {
    return rsk_parallel_until(stop, threads, n, chunk, task, context);
}
#endif

/* ---------------------------------------------------------------- longest first */

static int compare(const void *left, const void *right) {
    const rsk_share *a = left, *b = right;
    if (a->cost != b->cost) return a->cost > b->cost ? -1 : 1;
    return a->item < b->item ? -1 : a->item > b->item;
}

/* When the last of `workers` threads ends, each of which takes the next share as soon as it has done one. */
static double ends_at(rsk_share *shares, ptrdiff_t n, int workers) {
    double latest = 0.0;
    for (int w = 0; w < workers; w++) shares[w].load = 0.0;
    for (ptrdiff_t i = 0; i < n; i++) {
        rsk_share *least = shares;
        for (int w = 1; w < workers; w++)
            if (shares[w].load < least->load) least = shares + w;
        least->load += shares[i].cost;
        if (least->load > latest) latest = least->load;
    }
    return latest;
}

ptrdiff_t rsk_longest_first(rsk_share *shares, ptrdiff_t n, int threads) {
    double left = 0.0;
    qsort(shares, (size_t)n, sizeof *shares, compare);
    for (ptrdiff_t i = 0; i < n; i++) left += shares[i].cost;
    for (ptrdiff_t i = 0; i < n; left -= shares[i++].cost) {
        const double best = left / threads;
        if (shares[i].cost <= EVEN * best) return i; /* R. Graham: it ends within one share of the best */
        if (n - i >= threads && ends_at(shares + i, n - i, threads) <= (1.0 + EVEN) * best) return i;
    }
    return n;
}
