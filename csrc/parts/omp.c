/* Orthogonal matching pursuit on a sampled Hadamard matrix, by blocks of columns and with a sign constraint if asked:
 * Y. Pati, R. Rezaiifar, P. Krishnaprasad, Asilomar 1993; Y. Eldar, P. Kuppinger, H. Bolcskei, IEEE Trans. Signal Processing 58
 * (2010), for blocks; non-negative least squares after C. Lawson, R. Hanson (1974), as in T. Nguyen et al., ICASSP 2019.
 *
 * Columns are found in float32, by one transform an iteration, and fitted in doubles: Gram entries are integers, so that the
 * normal equations are exact, and their Cholesky factor grows by a row with every column. */
#include "parts/parts.h"

#include <math.h>
#include <string.h>

#define DEPENDENT 1e-10    /* of a column's squared norm: what is less, once the others are projected out, is none */
#define NOTHING 0x1p-100 /* of |y|^2: a residual of rounding */

typedef struct job {
    const rsk_hadamard *h;
    const double *y;
    const rsk_support_params *params;
    rsk_stop *stop;
    int32_t *support, *count, *iterations;
    double *coef, *residual;
    ptrdiff_t most, padded, doubles;
    double *memory;
    float *correlation; /* n a worker */
    uint16_t *bits;     /* most columns a worker */
} job;

/* One signal's fit, in a worker's memory: min |y - B u| over the columns chosen. */
typedef struct fit {
    const rsk_hadamard *h;
    ptrdiff_t count, most, padded;
    int32_t *at;                  /* (most,) which columns */
    uint16_t *bits;               /* (most, words) */
    double *y, *r;                /* (padded,) */
    double *rows, *columns;       /* (most, most) the Cholesky factor L, twice, for unit strides */
    double *inverse;              /* (most,) 1 / L_kk */
    double *b, *z, *u, *old, *w;  /* (most,) B^T y, L^-1 b, the solution, the one before, scratch */
} fit;

static int chosen(const fit *f, ptrdiff_t j) {
    for (ptrdiff_t i = 0; i < f->count; i++)
        if (f->at[i] == j) return 1;
    return 0;
}

/* L gets a row for column j, whose bits and b stand at place `count`; 0 if j depends on the others. */
static int extend(fit *f, ptrdiff_t j) {
    const ptrdiff_t k = f->count, most = f->most;
    double *w = f->w, pivot = (double)f->h->m;
    for (ptrdiff_t i = 0; i < k; i++) w[i] = rsk_hadamard_gram(f->h, f->at[i], j);
    for (ptrdiff_t i = 0; i < k; i++) {
        const double *column = f->columns + i * most, value = w[i] *= f->inverse[i];
        for (ptrdiff_t t = i + 1; t < k; t++) w[t] -= value * column[t];
    }
    pivot -= rsk_dot(w, w, k);
    if (!(pivot > DEPENDENT * (double)f->h->m)) return 0;
    for (ptrdiff_t i = 0; i < k; i++) f->rows[k * most + i] = f->columns[i * most + k] = w[i];
    f->inverse[k] = 1.0 / sqrt(pivot);
    f->z[k] = (f->b[k] - rsk_dot(w, f->z, k)) * f->inverse[k];
    f->at[k] = (int32_t)j;
    f->count++;
    return 1;
}

static int add(fit *f, ptrdiff_t j) {
    uint16_t *bits = f->bits + f->count * f->h->words;
    rsk_hadamard_column(f->h, j, bits);
    f->b[f->count] = rsk_kernels_current()->signs_dot(f->y, bits, f->padded);
    return extend(f, j);
}

static void solve(fit *f, double *u) {
    memcpy(u, f->z, sizeof *u * (size_t)f->count);
    for (ptrdiff_t i = f->count - 1; i >= 0; i--) {
        const double *row = f->rows + i * f->most, value = u[i] *= f->inverse[i];
        for (ptrdiff_t t = 0; t < i; t++) u[t] -= value * row[t];
    }
}

/* Takes out the columns whose old[i] is 0, and factors again from the first of them on. */
static void compact(fit *f) {
    const ptrdiff_t n = f->count;
    ptrdiff_t first = 0;
    while (first < n && f->old[first] > 0.0) first++;
    f->count = first;
    for (ptrdiff_t i = first; i < n; i++) {
        if (!(f->old[i] > 0.0)) continue;
        const ptrdiff_t k = f->count;
        f->old[k] = f->old[i];
        f->b[k] = f->b[i];
        memmove(f->bits + k * f->h->words, f->bits + i * f->h->words, sizeof *f->bits * (size_t)f->h->words);
        extend(f, f->at[i]); /* it did not depend on more columns than these */
    }
}

/* From the feasible old: towards the least squares solution, dropping what reaches 0 on the way, until that is positive. */
static void solve_nonnegative(fit *f) {
    for (;;) {
        solve(f, f->u);
        double step = 1.0;
        ptrdiff_t stop = -1;
        for (ptrdiff_t i = 0; i < f->count; i++) {
            if (f->u[i] > 0.0) continue;
            const double s = f->old[i] / (f->old[i] - f->u[i]); /* old >= 0 >= u; both 0 gives NaN, and the step 0 */
            if (stop < 0 || !(s >= step)) stop = i, step = s >= 0.0 ? s : 0.0;
        }
        if (stop < 0) break;
        for (ptrdiff_t i = 0; i < f->count; i++) {
            f->old[i] += step * (f->u[i] - f->old[i]);
            if (!(f->old[i] > 0.0)) f->old[i] = 0.0;
        }
        f->old[stop] = 0.0;
        compact(f);
    }
    memcpy(f->old, f->u, sizeof *f->u * (size_t)f->count);
}

/* First of the `block` columns that correlate most, or -1. */
static ptrdiff_t choose(const fit *f, float *c, const rsk_support_params *p) {
    const ptrdiff_t n = f->h->n, b = p->block;
    for (ptrdiff_t i = 0; i < f->count; i++) c[f->at[i]] = 0.0f; /* orthogonal to the residual but for rounding */
    if (b == 1) {
        const ptrdiff_t j = rsk_kernels_current()->peak(c, n, p->nonnegative ? f->h->signs : NULL);
        const double value = rsk_sign_bit(f->h->signs, j) ? -(double)c[j] : (double)c[j];
        return (p->nonnegative ? value > 0.0 : value != 0.0) ? j : -1;
    }
    double best = 0.0;
    ptrdiff_t first = -1;
    for (ptrdiff_t j = 0; j < n; j += b) {
        double energy = 0.0;
        for (ptrdiff_t i = j; i < j + b; i++) energy += (double)c[i] * (double)c[i];
        if (energy > best && !chosen(f, j)) best = energy, first = j;
    }
    return first;
}

static void pursue(const job *j, int worker, ptrdiff_t signal, fit *f, float *c) {
    const rsk_hadamard *h = j->h;
    const rsk_support_params *p = j->params;
    const rsk_kernels *k = rsk_kernels_current();
    const int limit = (int)(p->nonnegative ? 3 * p->sparsity : p->sparsity);
    memcpy(f->y, j->y + signal * h->m, sizeof *f->y * (size_t)h->m);
    for (ptrdiff_t i = h->m; i < f->padded; i++) f->y[i] = f->r[i] = 0.0;
    memcpy(f->r, f->y, sizeof *f->y * (size_t)h->m);
    f->count = 0;
    const double energy = rsk_dot(f->y, f->y, h->m);
    double square = energy;
    int done = 0;
    while (done < limit && f->count + p->block <= j->most && square > NOTHING * energy && square > p->tolerance &&
           !rsk_stopped(j->stop, worker)) {
        rsk_hadamard_correlate(h, f->r, c);
        const ptrdiff_t first = choose(f, c, p), before = f->count;
        for (ptrdiff_t i = 0; first >= 0 && i < p->block; i++) add(f, first + i);
        if (f->count == before) break; /* nothing correlates, or only what is there already */
        if (p->nonnegative) {
            f->old[before] = 0.0;
            solve_nonnegative(f);
        } else {
            solve(f, f->u);
        }
        k->signs_subtract(f->r, f->y, f->padded, f->bits, h->words, f->u, f->count);
        const double last = square;
        square = rsk_dot(f->r, f->r, h->m);
        done++;
        if (!(square < last)) break;
    }
    const double scale = sqrt((double)h->m);
    for (ptrdiff_t i = 0; i < j->most; i++) {
        j->support[signal * j->most + i] = i < f->count ? f->at[i] : -1;
        j->coef[signal * j->most + i] = i < f->count ? scale * f->u[i] : 0.0;
    }
    j->count[signal] = (int32_t)f->count;
    j->residual[signal] = sqrt(square);
    j->iterations[signal] = done;
}

static void run(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) {
    const job *j = context;
    const ptrdiff_t most = j->most;
    fit f = {.h = j->h, .most = most, .padded = j->padded, .bits = j->bits + worker * most * j->h->words};
    double *at = j->memory + worker * j->doubles;
    f.y = at, f.r = at + j->padded, f.rows = f.r + j->padded, f.columns = f.rows + most * most;
    f.inverse = f.columns + most * most, f.b = f.inverse + most, f.z = f.b + most, f.u = f.z + most, f.old = f.u + most;
    f.w = f.old + most, f.at = (int32_t *)(void *)(f.w + most);
    for (ptrdiff_t i = begin; i < end; i++) pursue(j, worker, i, &f, j->correlation + worker * j->h->n);
}

rsk_status rsk_omp(const rsk_hadamard *h, ptrdiff_t batch, const double *y, const rsk_support_params *params, int32_t *support,
                   double *coef, int32_t *count, double *residual, int32_t *iterations, int threads, rsk_stop *stop) {
    const ptrdiff_t block = params->block, sparsity = params->sparsity;
    if (batch < 0 || threads < 1 || block < 1 || block > h->n || h->n % block || sparsity < 1 || sparsity > h->m / block ||
        !(params->tolerance >= 0.0) || (params->nonnegative && block > 1))
        return RSK_EINVAL;
    if (batch == 0) return RSK_OK;
    const ptrdiff_t chunk = 2, most = sparsity * block, padded = h->words * RSK_LANES;
    const int workers = rsk_parallel_threads(threads, batch, chunk);
    job j = {.h = h, .y = y, .params = params, .stop = stop, .support = support, .count = count, .iterations = iterations, .coef = coef,
             .residual = residual, .most = most, .padded = padded};
    if (most > (ptrdiff_t)1 << 16 || most > PTRDIFF_MAX / 64 / most) return RSK_ENOMEM; /* two factors of 32 GiB */
    j.doubles = 2 * padded + 2 * most * most + 7 * most;
    j.memory = rsk_alloc(j.doubles, sizeof(double) * (size_t)workers);
    j.correlation = rsk_alloc(h->n, sizeof(float) * (size_t)workers);
    j.bits = rsk_alloc(most * h->words, sizeof *j.bits * (size_t)workers);
    const int enough = j.memory && j.correlation && j.bits;
    rsk_status status = enough ? rsk_parallel_until(stop, workers, batch, chunk, run, &j) : RSK_ENOMEM;
    rsk_free(j.memory);
    rsk_free(j.correlation);
    rsk_free(j.bits);
    return status;
}

/* ---------------------------------------------------------------- dense matrices */

static void subtract(double *a, double factor, const double *q, ptrdiff_t m) {
    for (ptrdiff_t i = 0; i < m; i++) a[i] -= factor * q[i];
}

rsk_status rsk_fits_extend(const rsk_fits *f, ptrdiff_t n, const int64_t *who, double *columns) {
    const ptrdiff_t m = f->m, most = f->most;
    for (ptrdiff_t i = 0; i < n; i++)
        if (who[i] < 0 || who[i] >= f->batch || f->size[who[i]] < 0 || f->size[who[i]] >= most) return RSK_EINVAL;
    for (ptrdiff_t i = 0; i < n; i++) {
        const ptrdiff_t s = (ptrdiff_t)who[i], k = (ptrdiff_t)f->size[s];
        double *a = columns + i * m, *q = f->q + s * most * m, *t = f->triangle + s * most * most + k, *r = f->residual + s * m;
        const double whole = rsk_dot(a, a, m);
        for (int again = 0; again < 2; again++) /* twice is enough (Kahan, Parlett) */
            for (ptrdiff_t j = 0; j < k; j++) {
                const double part = rsk_dot(q + j * m, a, m);
                subtract(a, part, q + j * m, m);
                t[j * most] = part + (again ? t[j * most] : 0.0);
            }
        const double left = rsk_dot(a, a, m), norm = sqrt(left);
        if (!(left > DEPENDENT * whole)) continue;
        for (ptrdiff_t e = 0; e < m; e++) q[k * m + e] = a[e] / norm;
        t[k * most] = norm;
        f->z[s * most + k] = rsk_dot(q + k * m, r, m);
        subtract(r, f->z[s * most + k], q + k * m, m);
        f->square[s] = rsk_dot(r, r, m);
        f->size[s]++;
    }
    return RSK_OK;
}
