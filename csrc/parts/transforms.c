/* Walsh-Hadamard transforms of many rows, and the structured projections made of three of them. */
#include "parts/parts.h"

#include <float.h>
#include <math.h>
#include <string.h>

/* Whether the next row is worth fetching while one is transformed. Of rows that are in some cache it costs a twentieth of the
 * time, of those in memory it saves a sixth. */
static int from_memory(ptrdiff_t rows, ptrdiff_t length, size_t each) { return rows > ((ptrdiff_t)1 << 22) / (ptrdiff_t)each / length; }

typedef struct job {
    void *x;
    ptrdiff_t n;
    double factor;
    int wide, fetch;
} job;

static void run(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) {
    const job *j = context;
    const rsk_kernels *k = rsk_kernels_current();
    const rsk_transform t = {.times = 1, .factor = j->factor};
    (void)worker;
    for (ptrdiff_t row = begin; row < end; row++) {
        const ptrdiff_t at = row * j->n, next = j->fetch && row + 1 < end ? j->n : 0;
        if (j->wide) {
            double *x = (double *)j->x + at;
            k->transform_f64(x, x, j->n, j->n, &t, next ? x + next : NULL);
        } else {
            float *x = (float *)j->x + at;
            k->transform_f32(x, x, j->n, j->n, &t, next ? x + next : NULL);
        }
    }
}

static rsk_status rows_of(void *x, ptrdiff_t rows, ptrdiff_t n, double factor, int threads, int wide) {
    if (!x || rows < 0 || !rsk_is_order(n) || threads < 1) return RSK_EINVAL;
    job j = {x, n, factor, wide, from_memory(rows, n, wide ? sizeof(double) : sizeof(float))};
    const ptrdiff_t many = j.fetch ? 1 << 18 : 1 << 14; /* worth waking a thread for; at a chunk's end no row is fetched */
    const ptrdiff_t chunk = n < many ? many / n : 1;
    rsk_parallel(threads, rows, chunk, run, &j);
    return RSK_OK;
}

rsk_status rsk_fwht_f32(float *x, ptrdiff_t rows, ptrdiff_t n, double factor, int threads) {
    return rows_of(x, rows, n, factor, threads, 0);
}
rsk_status rsk_fwht_f64(double *x, ptrdiff_t rows, ptrdiff_t n, double factor, int threads) {
    return rows_of(x, rows, n, factor, threads, 1);
}

int rsk_within_f32(const float *x, ptrdiff_t n, ptrdiff_t step, double most) {
    if (!x || n < 0) return 0;
    const float limit = most < (double)FLT_MAX ? (float)most : FLT_MAX;
    int bad = 0;
    for (ptrdiff_t i = 0; i < n; i++) bad |= !(fabsf(x[i * step]) <= limit);
    return !bad;
}
int rsk_within_f64(const double *x, ptrdiff_t n, ptrdiff_t step, double most) {
    if (!x || n < 0) return 0;
    const double limit = most < DBL_MAX ? most : DBL_MAX;
    int bad = 0;
    for (ptrdiff_t i = 0; i < n; i++) bad |= !(fabs(x[i * step]) <= limit);
    return !bad;
}

/* ---------------------------------------------------------------- structured projections */

static int valid_projection(const rsk_projection *p) {
    if (!p || !p->signs || !rsk_is_order(p->padded)) return 0;
    return p->length >= 1 && p->length <= p->padded && p->width >= 1 && p->width <= RSK_MAX_DIM && isfinite(p->factor);
}

#define T float
#define FN(name) name##_f32
#define KERNEL(name) rsk_kernels_current()->name##_f32
#include "projection.h"
#define T double
#define FN(name) name##_f64
#define KERNEL(name) rsk_kernels_current()->name##_f64
#include "projection.h"
