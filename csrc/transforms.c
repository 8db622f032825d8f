/* Transforms of many rows. */
#include "internal.h"

typedef struct job {
    void *x;
    ptrdiff_t n;
    double factor;
    int wide;
} job;

static void run_f32(const job *j, ptrdiff_t row) {
    float *x = (float *)j->x + row * j->n, f = (float)j->factor;
    rsk_kernels_current()->fwht_f32(x, j->n);
    for (ptrdiff_t k = 0; f != 1.0f && k < j->n; k++) x[k] *= f; /* the row is still in cache */
}

static void run_f64(const job *j, ptrdiff_t row) {
    double *x = (double *)j->x + row * j->n;
    rsk_kernels_current()->fwht_f64(x, j->n);
    for (ptrdiff_t k = 0; j->factor != 1.0 && k < j->n; k++) x[k] *= j->factor;
}

static void run(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) {
    const job *j = context;
    (void)worker;
    for (ptrdiff_t row = begin; row < end; row++) {
        if (j->wide) run_f64(j, row);
        else run_f32(j, row);
    }
}

static rsk_status rows_of(void *x, ptrdiff_t rows, ptrdiff_t n, double factor, int threads, int wide) {
    if (!x || rows < 0 || n < RSK_LANES || n > RSK_MAX_DIM || (n & (n - 1)) || threads < 1) return RSK_EINVAL;
    if (rows == 0) return RSK_OK;
    job j = {x, n, factor, wide};
    const ptrdiff_t chunk = n < 16384 ? 16384 / n : 1; /* a chunk is worth waking a thread for */
    rsk_parallel(threads, rows, chunk, run, &j);
    return RSK_OK;
}

rsk_status rsk_fwht_f32(float *x, ptrdiff_t rows, ptrdiff_t n, double factor, int threads) {
    return rows_of(x, rows, n, factor, threads, 0);
}
rsk_status rsk_fwht_f64(double *x, ptrdiff_t rows, ptrdiff_t n, double factor, int threads) {
    return rows_of(x, rows, n, factor, threads, 1);
}
