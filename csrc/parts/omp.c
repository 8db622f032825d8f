/* Orthogonal matching pursuit on a sampled Hadamard matrix, by blocks of columns and with a sign constraint if asked:
 * Y. Pati, R. Rezaiifar, P. Krishnaprasad, Asilomar 1993; Y. Eldar, P. Kuppinger, H. Bolcskei, IEEE Trans. Signal Processing 58
 * (2010), for blocks; non-negative least squares after C. Lawson, R. Hanson (1974), as in T. Nguyen et al., ICASSP 2019.
 *
 * Columns are found in float32, by one transform an iteration, and fitted in doubles: Gram entries are integers, so that the
 * normal equations are exact, and their Cholesky factor grows by a row with every column. */
#include "parts/parts.h"

#include <math.h>
#include <string.h>

/* Of a column's squared norm: a column of which less is left, once the others are projected out, depends on them. Normal equations
 * know what is left to 2^-53 times the squared condition of the others. At a condition of 1e5 that is 1e-6 of the 1e-10 left. */
#define DEPENDENT 1e-10
#define ROOM 32 /* columns that there is memory for at first */

/* One worker's signal: min |y - B u| over the columns chosen. Memory grows with them. */
typedef struct fit {
    const rsk_hadamard *h;
    rsk_stop *stop;
    int worker, failed;          /* failed: memory was short */
    ptrdiff_t count, most, room; /* columns: chosen, at most, that there is memory for */
    double *y, *r;               /* (padded,) */
    float *c;                    /* (n,) correlations */
    double *memory;              /* what follows is in it */
    int32_t *at;                 /* (room,) which columns */
    uint16_t *bits;              /* (room, words) */
    double *rows;                /* the Cholesky factor L below its diagonal: row k, of k numbers, begins at k (k - 1) / 2 */
    double *inverse;             /* (room,) 1 / L_kk */
    double *b, *z, *u, *old;     /* (room,) B^T y, L^-1 b, the solution, the one before */
} fit;

typedef struct job {
    const double *y;
    const rsk_support_params *params;
    const rsk_supports *out;
    fit *fits; /* one a worker */
} job;

static ptrdiff_t padded(const fit *f) { return f->h->words * RSK_LANES; }
static double *row(const fit *f, ptrdiff_t k) { return f->rows + k * (k - 1) / 2; }

/* Memory for twice as many columns; 0 if there is none. */
static int more_room(fit *f) {
    const ptrdiff_t wanted = f->room ? 2 * f->room : ROOM, room = wanted < f->most ? wanted : f->most;
    const ptrdiff_t k = f->count, words = f->h->words;
    if (room > PTRDIFF_MAX / 8 / room || room > PTRDIFF_MAX / 8 / words) return 0;
    fit g = *f;
    g.room = room;
    g.memory = rsk_alloc(6 * room + room * (room - 1) / 2 + (room * words + 3) / 4, sizeof *g.memory);
    if (!g.memory) return 0;
    g.inverse = g.memory, g.b = g.inverse + room, g.z = g.b + room, g.u = g.z + room, g.old = g.u + room;
    g.rows = g.old + room, g.at = (int32_t *)(void *)(g.rows + room * (room - 1) / 2), g.bits = (uint16_t *)(void *)(g.at + 2 * room);
    if (k) {
        memcpy(g.inverse, f->inverse, sizeof *g.inverse * (size_t)k);
        memcpy(g.b, f->b, sizeof *g.b * (size_t)k);
        memcpy(g.z, f->z, sizeof *g.z * (size_t)k);
        memcpy(g.old, f->old, sizeof *g.old * (size_t)k);
        memcpy(g.rows, f->rows, sizeof *g.rows * (size_t)(k * (k - 1) / 2));
        memcpy(g.at, f->at, sizeof *g.at * (size_t)k);
        memcpy(g.bits, f->bits, sizeof *g.bits * (size_t)(k * words));
    }
    rsk_free(f->memory);
    *f = g;
    return 1;
}

static int chosen(const fit *f, ptrdiff_t j) {
    for (ptrdiff_t i = 0; i < f->count; i++)
        if (f->at[i] == j) return 1;
    return 0;
}

/* L gets a row for column j, whose bits and b stand at place `count`; 0 if j depends on the others. */
static int extend(fit *f, ptrdiff_t j) {
    const ptrdiff_t k = f->count;
    double *w = row(f, k), pivot = (double)f->h->m;
    for (ptrdiff_t i = 0; i < k; i++) {
        const double *l = row(f, i);
        double value = rsk_hadamard_gram(f->h, f->at[i], j);
        if (i < RSK_LANES) /* rsk_dot would take longer to fold its sixteen sums */
            for (ptrdiff_t t = 0; t < i; t++) value -= w[t] * l[t];
        else value -= rsk_dot(w, l, i);
        w[i] = value * f->inverse[i];
    }
    pivot -= rsk_dot(w, w, k);
    if (!(pivot > DEPENDENT * (double)f->h->m)) return 0;
    f->inverse[k] = 1.0 / sqrt(pivot);
    f->z[k] = (f->b[k] - rsk_dot(w, f->z, k)) * f->inverse[k];
    f->at[k] = (int32_t)j;
    f->count++;
    return 1;
}

/* Column j joins those that are fitted, unless it depends on them. */
static void add(fit *f, ptrdiff_t j) {
    if (f->count == f->room && !more_room(f)) {
        f->failed = 1;
        return;
    }
    uint16_t *bits = f->bits + f->count * f->h->words;
    rsk_hadamard_column(f->h, j, bits);
    f->b[f->count] = rsk_kernels_current()->signs_dot(f->y, bits, padded(f));
    extend(f, j);
}

/* u = L^-T z, from the last element on. */
static void solve(fit *f, double *u) {
    memcpy(u, f->z, sizeof *u * (size_t)f->count);
    for (ptrdiff_t i = f->count - 1; i >= 0; i--) {
        const double *l = row(f, i), value = u[i] *= f->inverse[i];
        for (ptrdiff_t t = 0; t < i; t++) u[t] -= value * l[t];
    }
}

/* Takes out the columns whose old[i] is 0, and factors again from the first of them on. */
static void compact(fit *f) {
    const ptrdiff_t n = f->count;
    ptrdiff_t first = 0;
    while (first < n && f->old[first] > 0.0) first++;
    f->count = first;
    for (ptrdiff_t i = first; i < n && !rsk_stopped(f->stop, f->worker); i++) {
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

/* One more column or block for a residual that correlates with it; 0 if there is none. */
static int step(fit *f, const rsk_support_params *p) {
    rsk_hadamard_correlate(f->h, f->r, f->c);
    const ptrdiff_t first = choose(f, f->c, p), before = f->count;
    for (ptrdiff_t i = 0; first >= 0 && i < p->block && !f->failed; i++) add(f, first + i);
    if (f->count == before) return 0; /* nothing correlates, or only what depends on what is there */
    if (p->nonnegative) {
        f->old[before] = 0.0;
        solve_nonnegative(f);
    } else {
        solve(f, f->u);
    }
    rsk_kernels_current()->signs_subtract(f->r, f->y, padded(f), f->bits, f->h->words, f->u, f->count);
    return 1;
}

static void pursue(const job *j, ptrdiff_t signal, fit *f) {
    const ptrdiff_t m = f->h->m;
    const rsk_support_params *p = j->params;
    const int limit = (int)(p->nonnegative ? 3 * p->sparsity : p->sparsity);
    const double tolerance = p->tolerance ? p->tolerance[signal] : 0.0;
    memcpy(f->y, j->y + signal * m, sizeof *f->y * (size_t)m);
    memcpy(f->r, f->y, sizeof *f->r * (size_t)m);
    for (ptrdiff_t i = m; i < padded(f); i++) f->y[i] = f->r[i] = 0.0;
    f->count = 0;
    const double energy = rsk_dot(f->y, f->y, m);
    double square = energy, last = INFINITY;
    int done = 0;
    int32_t *reason = &j->out->reason[signal];
    for (;; done++) {
        if (rsk_support_fitted(square, energy, tolerance, reason)) break;
        *reason = RSK_STALLED;
        if (!(square < last)) break;
        if (f->count + p->block > f->most || done == limit) {
            *reason = f->count + p->block > f->most || !p->nonnegative ? RSK_COUNT : RSK_ITERATIONS;
            break;
        }
        if (rsk_stopped(f->stop, f->worker) || !step(f, p)) break;
        last = square;
        square = rsk_dot(f->r, f->r, m);
    }
    rsk_support_write(j->out, signal, f->most, f->h, f->at, f->u, f->count);
    j->out->residual[signal] = sqrt(square);
    j->out->iterations[signal] = done;
}

static void run(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) {
    const job *j = context;
    fit *f = &j->fits[worker];
    for (ptrdiff_t i = begin; i < end && !f->failed; i++) pursue(j, i, f);
}

rsk_status rsk_omp(const rsk_hadamard *h, ptrdiff_t batch, const double *y, const rsk_support_params *params,
                   const rsk_supports *out, int threads, rsk_stop *stop) {
    if (!rsk_support_valid(h, batch, y, params, out, threads)) return RSK_EINVAL;
    if (!rsk_within_f64(y, batch * h->m, 1, RSK_MAX_VALUE)) return RSK_EVALUE;
    const ptrdiff_t chunk = 2;
    const int workers = rsk_parallel_threads(threads, batch, chunk);
    job j = {.y = y, .params = params, .out = out, .fits = rsk_calloc(workers, sizeof *j.fits)};
    rsk_status status = j.fits ? RSK_OK : RSK_ENOMEM;
    for (int i = 0; status == RSK_OK && i < workers; i++) {
        fit *f = &j.fits[i];
        f->h = h, f->stop = stop, f->worker = i, f->most = params->sparsity * params->block;
        f->y = rsk_alloc(padded(f), sizeof *f->y), f->r = rsk_alloc(padded(f), sizeof *f->r), f->c = rsk_alloc(h->n, sizeof *f->c);
        if (!f->y || !f->r || !f->c) status = RSK_ENOMEM;
    }
    if (status == RSK_OK) status = rsk_parallel_until(stop, workers, batch, chunk, run, &j);
    for (int i = 0; j.fits && i < workers; i++) {
        if (j.fits[i].failed) status = RSK_ENOMEM;
        rsk_free(j.fits[i].y), rsk_free(j.fits[i].r), rsk_free(j.fits[i].c), rsk_free(j.fits[i].memory);
    }
    rsk_free(j.fits);
    return status;
}

/* ---------------------------------------------------------------- dense matrices */

rsk_status rsk_fits_extend(const rsk_fits *f, ptrdiff_t n, const int64_t *who, double *columns) {
    if (!f || !f->q || !f->triangle || !f->z || !f->residual || !f->square || !f->size || !who || !columns || n < 0 || f->batch < 1 ||
        f->most < 1 || f->m < 1)
        return RSK_EINVAL;
    const ptrdiff_t m = f->m, most = f->most;
    const rsk_kernels *kernels = rsk_kernels_current();
    for (ptrdiff_t i = 0; i < n; i++)
        if (who[i] < 0 || who[i] >= f->batch || f->size[who[i]] < 0 || f->size[who[i]] >= most) return RSK_EINVAL;
    for (ptrdiff_t i = 0; i < n; i++) {
        const ptrdiff_t s = (ptrdiff_t)who[i], k = (ptrdiff_t)f->size[s];
        double *a = columns + i * m, *q = f->q + s * most * m, *t = f->triangle + s * most * most + k, *r = f->residual + s * m;
        const double whole = rsk_dot(a, a, m);
        for (int again = 0; again < 2; again++) /* twice is enough (Kahan, Parlett) */
            for (ptrdiff_t j = 0; j < k; j++) {
                const double part = rsk_dot(q + j * m, a, m);
                kernels->subtract(a, part, q + j * m, m);
                t[j * most] = part + (again ? t[j * most] : 0.0);
            }
        const double left = rsk_dot(a, a, m), norm = sqrt(left);
        if (!(left > DEPENDENT * whole)) continue;
        for (ptrdiff_t e = 0; e < m; e++) q[k * m + e] = a[e] / norm;
        t[k * most] = norm;
        f->z[s * most + k] = rsk_dot(q + k * m, r, m);
        kernels->subtract(r, f->z[s * most + k], q + k * m, m);
        f->square[s] = rsk_dot(r, r, m);
        f->size[s]++;
    }
    return RSK_OK;
}
