/* Sampled rows of a Hadamard matrix with random column signs: products, columns and Gram entries without the matrix. */
#include "parts/parts.h"

#include <math.h>
#include <string.h>

rsk_status rsk_hadamard_create(ptrdiff_t n, ptrdiff_t m, const int32_t *rows, uint64_t seed, uint64_t stream,
                               rsk_hadamard **out) {
    if (!out) return RSK_EINVAL;
    *out = NULL;
    if (!rows || !rsk_is_order(n) || m < 1 || m > n) return RSK_EINVAL;
    for (ptrdiff_t i = 0; i < m; i++)
        if (rows[i] < 0 || rows[i] >= n || (i && rows[i] <= rows[i - 1])) return RSK_EINVAL;
    rsk_hadamard *h = rsk_calloc(1, sizeof *h);
    if (!h) return RSK_ENOMEM;
    const int bits = rsk_log2(n);
    h->n = n, h->m = m, h->words = (m + RSK_LANES - 1) / RSK_LANES;
    h->rows = rsk_alloc(m, sizeof *h->rows);
    h->signs = rsk_alloc(n / RSK_LANES, sizeof *h->signs);
    h->planes = rsk_calloc(bits * h->words, sizeof *h->planes);
    h->gram = rsk_calloc(n, sizeof *h->gram);
    if (!h->rows || !h->signs || !h->planes || !h->gram) {
        rsk_hadamard_free(h);
        return RSK_ENOMEM;
    }
    memcpy(h->rows, rows, sizeof *rows * (size_t)m);
    (void)rsk_stream_signs(seed, stream, 1, n, h->signs); /* n has been checked */
    for (ptrdiff_t i = 0; i < m; i++) {
        for (int b = 0; b < bits; b++)
            if (rows[i] >> b & 1) h->planes[b * h->words + i / RSK_LANES] |= (uint16_t)(1u << (i % RSK_LANES));
        h->gram[rows[i]] = 1.0f;
    }
    rsk_kernels_current()->fwht_f32(h->gram, n); /* integers below 2^24: exact */
    *out = h;
    return RSK_OK;
}

void rsk_hadamard_free(rsk_hadamard *h) {
    if (!h) return;
    rsk_free(h->rows);
    rsk_free(h->signs);
    rsk_free(h->planes);
    rsk_free(h->gram);
    rsk_free(h);
}

void rsk_hadamard_correlate(const rsk_hadamard *h, const double *r, float *out) {
    memset(out, 0, sizeof *out * (size_t)h->n);
    for (ptrdiff_t i = 0; i < h->m; i++) out[h->rows[i]] = (float)r[i];
    rsk_kernels_current()->fwht_f32(out, h->n);
}

void rsk_hadamard_column(const rsk_hadamard *h, ptrdiff_t j, uint16_t *bits) {
    const uint16_t sign = rsk_sign_bit(h->signs, j) ? 0xffff : 0;
    for (ptrdiff_t w = 0; w < h->words; w++) bits[w] = sign;
    for (int b = 0; j >> b; b++) {
        if (!(j >> b & 1)) continue;
        const uint16_t *plane = h->planes + b * h->words;
        for (ptrdiff_t w = 0; w < h->words; w++) bits[w] = (uint16_t)(bits[w] ^ plane[w]);
    }
}

/* ---------------------------------------------------------------- products */

typedef struct job {
    const rsk_hadamard *h;
    const void *x;
    void *y, *work;
    double scale;
    int wide, adjoint;
} job;

static void row_f32(const job *j, ptrdiff_t row, float *work) {
    const rsk_hadamard *h = j->h;
    const rsk_kernels *k = rsk_kernels_current();
    const float scale = (float)j->scale;
    if (j->adjoint) {
        const float *x = (const float *)j->x + row * h->m;
        memset(work, 0, sizeof *work * (size_t)h->n);
        for (ptrdiff_t i = 0; i < h->m; i++) work[h->rows[i]] = x[i];
        k->fwht_f32(work, h->n);
        k->flip_f32((float *)j->y + row * h->n, work, h->n, h->signs, scale);
    } else {
        float *y = (float *)j->y + row * h->m;
        k->flip_f32(work, (const float *)j->x + row * h->n, h->n, h->signs, 1.0f);
        k->fwht_f32(work, h->n);
        for (ptrdiff_t i = 0; i < h->m; i++) y[i] = scale * work[h->rows[i]];
    }
}

static void row_f64(const job *j, ptrdiff_t row, double *work) {
    const rsk_hadamard *h = j->h;
    const rsk_kernels *k = rsk_kernels_current();
    if (j->adjoint) {
        const double *x = (const double *)j->x + row * h->m;
        memset(work, 0, sizeof *work * (size_t)h->n);
        for (ptrdiff_t i = 0; i < h->m; i++) work[h->rows[i]] = x[i];
        k->fwht_f64(work, h->n);
        k->flip_f64((double *)j->y + row * h->n, work, h->n, h->signs, j->scale);
    } else {
        double *y = (double *)j->y + row * h->m;
        k->flip_f64(work, (const double *)j->x + row * h->n, h->n, h->signs, 1.0);
        k->fwht_f64(work, h->n);
        for (ptrdiff_t i = 0; i < h->m; i++) y[i] = j->scale * work[h->rows[i]];
    }
}

static void run(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) {
    const job *j = context;
    const ptrdiff_t at = worker * j->h->n;
    for (ptrdiff_t row = begin; row < end; row++) {
        if (j->wide) row_f64(j, row, (double *)j->work + at);
        else row_f32(j, row, (float *)j->work + at);
    }
}

static rsk_status product(const rsk_hadamard *h, ptrdiff_t batch, const void *x, void *y, int adjoint, int threads, rsk_stop *stop,
                          int wide) {
    if (!h || !x || !y || batch < 0 || threads < 1) return RSK_EINVAL;
    const ptrdiff_t chunk = h->n < 16384 ? 16384 / h->n : 1;
    const int workers = rsk_parallel_threads(threads, batch, chunk);
    void *work = rsk_alloc(workers * h->n, wide ? sizeof(double) : sizeof(float));
    if (!work) return RSK_ENOMEM;
    job j = {h, x, y, work, 1.0 / sqrt((double)h->m), wide, adjoint};
    const rsk_status status = rsk_parallel_until(stop, workers, batch, chunk, run, &j);
    rsk_free(work);
    return status;
}

rsk_status rsk_hadamard_product_f32(const rsk_hadamard *h, ptrdiff_t batch, const float *x, float *y, int adjoint, int threads,
                                    rsk_stop *stop) {
    return product(h, batch, x, y, adjoint, threads, stop, 0);
}
rsk_status rsk_hadamard_product_f64(const rsk_hadamard *h, ptrdiff_t batch, const double *x, double *y, int adjoint, int threads,
                                    rsk_stop *stop) {
    return product(h, batch, x, y, adjoint, threads, stop, 1);
}

/* ---------------------------------------------------------------- what the solvers share */

int rsk_support_valid(const rsk_hadamard *h, ptrdiff_t batch, const double *y, const rsk_support_params *p, const rsk_supports *out,
                      int threads) {
    if (!h || !y || !p || !out || !out->support || !out->coef || !out->count || !out->residual || !out->iterations || !out->reason)
        return 0;
    if (batch < 0 || threads < 1 || p->block < 1 || p->block > h->n || h->n % p->block || p->sparsity < 1 ||
        p->sparsity > h->m / p->block || (p->nonnegative && p->block > 1))
        return 0;
    for (ptrdiff_t i = 0; p->tolerance && i < batch; i++)
        if (!(p->tolerance[i] >= 0.0)) return 0;
    return 1;
}

int rsk_support_fitted(double square, double energy, double tolerance, int32_t *reason) {
    if (square <= tolerance && tolerance > 0.0) *reason = RSK_TOLERANCE;
    else if (square <= RSK_NOTHING * energy) *reason = RSK_EXACT;
    else return 0;
    return 1;
}

void rsk_support_write(const rsk_supports *out, ptrdiff_t signal, ptrdiff_t wide, const rsk_hadamard *h, const int32_t *at,
                       const double *u, ptrdiff_t count) {
    const double scale = sqrt((double)h->m);
    int32_t *support = out->support + signal * wide;
    double *coef = out->coef + signal * wide;
    for (ptrdiff_t i = 0; i < wide; i++) {
        support[i] = i < count ? at[i] : -1;
        coef[i] = i < count ? scale * u[i] : 0.0;
    }
    out->count[signal] = (int32_t)count;
}
