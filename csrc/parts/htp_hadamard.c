/* Hard-thresholding pursuit on a sampled Hadamard matrix: S. Foucart, "Hard thresholding pursuit: an algorithm for compressive
 * sensing", SIAM J. Numerical Analysis 49 (2011), with the normalised step of T. Blumensath, M. Davies (2010).
 *
 * A step costs a few transforms, however many non-zeros there are. The fit to a support is CGLS, unfinished while the support
 * still changes; products are float32, recurrences and residuals doubles, and the last fit is refined to the precision of these. */
#include "parts/parts.h"

#include <math.h>
#include <string.h>

#define ROUGH 3 /* CGLS iterations on a support that may change yet */
#define FINE 60 /* and at most on one that does not, a refinement */
/* Of the squared gradient, a refinement: after a fall by 1e-5 float32 products, of 24 bits, no longer tell it from rounding. */
#define FINE_TOLERANCE 1e-10
#define REFINEMENTS 8
/* Of the squared gradient before: refinements go on while each at least halves the gradient. */
#define PROGRESS 0.25
/* Iterations a column at most, where float32 does not converge: of nearly m columns of condition 1e4 conjugate gradients take a few
 * times as many as there are. */
#define WIDE 10
/* Of m |y|^2 (columns of B have the norm sqrt(m)), what a squared gradient that vanished may be: rounding of doubles leaves 2^-53
 * of a gradient, squared 1e-32, in each of log2 n stages; within 1e-30 refinements have nothing to do, above 1e-27 they failed. */
#define VANISHED 1e-30
#define CONVERGED 1e-27
#define PATIENCE 6   /* steps without a smaller residual before the best one is taken */
#define SMALLER 0.98 /* of the squared residual: one that fell by less than 1% does not count as smaller */

typedef struct job {
    const rsk_hadamard *h;
    const double *y;
    const rsk_support_params *params;
    const rsk_supports *out;
    rsk_stop *stop;
    ptrdiff_t doubles;
    double *memory;
} job;

/* A support, ascending, and what stands on it. */
typedef struct sparse {
    ptrdiff_t count;
    int32_t *at;
    double *u;
} sparse;

typedef struct fit {
    const rsk_hadamard *h;
    const rsk_support_params *params;
    rsk_stop *stop;
    int worker;
    const double *y;
    double tolerance;
    double *r, *image;   /* (m,) */
    double *wide;        /* (n,) */
    double *g, *p, *z;   /* (sparsity,) */
    sparse now, best;
    float *c, *work;     /* (n,) gradient but for the signs of the columns, scratch */
    int32_t *candidates; /* (n,) */
    int32_t *next;       /* (sparsity,) */
} fit;

/* v times the sign of column i. */
static double flipped(const fit *f, ptrdiff_t i, double v) { return rsk_sign_bit(f->h->signs, i) ? -v : v; }

/* In the order of |v|: the bits of a float without its sign. */
static uint32_t key_of(float v) {
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    return bits << 1;
}

/* The `most` largest |c|, of the positive ones with a sign constraint, ties by index, ascending; zeros are none. */
static ptrdiff_t largest(fit *f, ptrdiff_t most, int32_t *out) {
    const ptrdiff_t n = f->h->n;
    const uint16_t *signs = f->h->signs;
    const float *c = f->c;
    uint32_t *keys = (uint32_t *)(void *)f->work;
    ptrdiff_t ties = most, count = 0;
    if (f->params->nonnegative)
        for (ptrdiff_t i = 0; i < n; i++) keys[i] = (rsk_sign_bit(signs, i) ? c[i] < 0.0f : c[i] > 0.0f) ? key_of(c[i]) : 0;
    else
        for (ptrdiff_t i = 0; i < n; i++) keys[i] = key_of(c[i]);
    const uint32_t least = rsk_select(keys, n, &ties, (uint32_t *)(void *)f->candidates);
    for (ptrdiff_t i = 0; i < n && count < most; i++) {
        const int tie = keys[i] == least && ties > 0, take = (keys[i] > least || tie) && keys[i];
        out[count] = (int32_t)i;
        count += take;
        ties -= tie;
    }
    return count;
}

static void scatter(const fit *f, const int32_t *at, const double *u, ptrdiff_t count) {
    memset(f->work, 0, sizeof *f->work * (size_t)f->h->n);
    for (ptrdiff_t i = 0; i < count; i++) f->work[at[i]] = (float)flipped(f, at[i], u[i]);
    rsk_kernels_current()->fwht_f32(f->work, f->h->n);
}

/* image = B p, in float32 */
static void product(const fit *f, const int32_t *at, const double *p, ptrdiff_t count, double *image) {
    scatter(f, at, p, count);
    for (ptrdiff_t i = 0; i < f->h->m; i++) image[i] = (double)f->work[f->h->rows[i]];
}

/* wide = all rows of B u, in doubles */
static void expand(const fit *f, const double *u) {
    memset(f->wide, 0, sizeof *f->wide * (size_t)f->h->n);
    for (ptrdiff_t i = 0; i < f->now.count; i++) f->wide[f->now.at[i]] = flipped(f, f->now.at[i], u[i]);
    rsk_kernels_current()->fwht_f64(f->wide, f->h->n);
}

/* r = y - B u, in doubles; returns its square */
static double residual(const fit *f) {
    expand(f, f->now.u);
    for (ptrdiff_t i = 0; i < f->h->m; i++) f->r[i] = f->y[i] - f->wide[f->h->rows[i]];
    return rsk_dot(f->r, f->r, f->h->m);
}

/* The map of the support in float32, and in doubles, as rsk_cgls sees them. */
static int forward(const void *context, const double *p, double *image) {
    const fit *f = context;
    if (rsk_stopped(f->stop, f->worker)) return 0;
    product(f, f->now.at, p, f->now.count, image);
    return 1;
}

static void adjoint(const void *context, const double *r, double *g) {
    const fit *f = context;
    rsk_hadamard_correlate(f->h, r, f->work);
    for (ptrdiff_t i = 0; i < f->now.count; i++) g[i] = flipped(f, f->now.at[i], (double)f->work[f->now.at[i]]);
}

static int forward_wide(const void *context, const double *p, double *image) {
    const fit *f = context;
    if (rsk_stopped(f->stop, f->worker)) return 0;
    expand(f, p);
    for (ptrdiff_t i = 0; i < f->h->m; i++) image[i] = f->wide[f->h->rows[i]];
    return 1;
}

static void adjoint_wide(const void *context, const double *r, double *g) {
    const fit *f = context;
    memset(f->wide, 0, sizeof *f->wide * (size_t)f->h->n);
    for (ptrdiff_t i = 0; i < f->h->m; i++) f->wide[f->h->rows[i]] = r[i];
    rsk_kernels_current()->fwht_f64(f->wide, f->h->n);
    for (ptrdiff_t i = 0; i < f->now.count; i++) g[i] = flipped(f, f->now.at[i], f->wide[f->now.at[i]]);
}

/* g = B^T r on the support, in doubles: what is left of a gradient may be far below the float32 rounding of r. Its square. */
static double gradient_wide(const fit *f) {
    adjoint_wide(f, f->r, f->g);
    return rsk_dot(f->g, f->g, f->now.count);
}

/* Conjugate gradients on the support from where u, r and g are; u, r and g drift by float32 rounding. */
static void descend(const fit *f, int most, double goal) {
    const rsk_map map = {f->h->m, f->now.count, forward, adjoint, f, 1};
    const rsk_cgls_work work = {.r = f->r, .u = f->now.u, .g = f->g, .p = f->p, .image = f->image, .z = f->z};
    (void)rsk_cgls(&map, &work, NULL, goal, 0.0, most);
}

/* The same in doubles, for a support that float32 products are too coarse for. Returns |r|^2. */
static double descend_wide(const fit *f, double goal) {
    const rsk_map map = {f->h->m, f->now.count, forward_wide, adjoint_wide, f, 0};
    const rsk_cgls_work work = {.r = f->r, .u = f->now.u, .g = f->g, .p = f->p, .image = f->image};
    (void)rsk_cgls(&map, &work, NULL, goal, 0.0, (int)(WIDE * f->now.count));
    return residual(f);
}

/* Least squares on the support, to the precision of doubles; returns |r|^2. */
static double refine(const fit *f, double energy) {
    const double m = (double)f->h->m;
    double square = residual(f), last = INFINITY;
    for (int i = 0; i < REFINEMENTS && square > RSK_NOTHING * energy; i++) {
        const double slope = gradient_wide(f);
        if (!(slope < PROGRESS * last) || slope <= VANISHED * m * energy) break;
        last = slope;
        descend(f, FINE, FINE_TOLERANCE * slope);
        square = residual(f);
    }
    if (!(square > RSK_NOTHING * energy)) return square;
    const double goal = CONVERGED * m * energy;
    return gradient_wide(f) > goal ? descend_wide(f, goal) : square;
}

static void copy(sparse *to, const sparse *from) {
    to->count = from->count;
    memcpy(to->at, from->at, sizeof *to->at * (size_t)from->count);
    memcpy(to->u, from->u, sizeof *to->u * (size_t)from->count);
}

/* 1 / |B|^2 along the gradient's largest elements: how far a step may go. c is the gradient. */
static double step_of(fit *f) {
    const ptrdiff_t k = largest(f, f->params->sparsity, f->next);
    for (ptrdiff_t i = 0; i < k; i++) f->p[i] = flipped(f, f->next[i], (double)f->c[f->next[i]]);
    product(f, f->next, f->p, k, f->image);
    const double top = rsk_dot(f->p, f->p, k), bottom = rsk_dot(f->image, f->image, f->h->m);
    return bottom > 0.0 ? top / bottom : 0.0;
}

/* Gradient step, threshold; now becomes the next support and a start on it. 1 if the support is the same. */
static int threshold(fit *f) {
    const float step = (float)step_of(f);
    const sparse *s = &f->now;
    for (ptrdiff_t i = 0; i < f->h->n; i++) f->c[i] *= step;
    for (ptrdiff_t i = 0; i < s->count; i++) f->c[s->at[i]] += (float)flipped(f, s->at[i], s->u[i]);
    const ptrdiff_t k = largest(f, f->params->sparsity, f->next);
    if (k == s->count && !memcmp(f->next, s->at, sizeof *f->next * (size_t)k)) return 1;
    for (ptrdiff_t i = 0; i < k; i++) {
        f->now.at[i] = f->next[i];
        f->now.u[i] = flipped(f, f->next[i], (double)f->c[f->next[i]]);
    }
    f->now.count = k;
    return 0;
}

/* What is left of a sign constraint once the steps are over: negative elements go, and the others are fitted again. */
static double project(fit *f, double energy, double square) {
    while (f->params->nonnegative && !rsk_stopped(f->stop, f->worker)) { /* ends: fewer elements every time */
        ptrdiff_t k = 0;
        for (ptrdiff_t i = 0; i < f->now.count; i++) {
            f->now.at[k] = f->now.at[i];
            f->now.u[k] = f->now.u[i];
            k += f->now.u[i] > 0.0;
        }
        if (k == f->now.count) break;
        f->now.count = k;
        square = refine(f, energy);
    }
    return square;
}

/* Steps until the support stays, the residual is small enough or does not become smaller; returns how many, and why it ended. */
static int pursue(fit *f, double *square, int32_t *reason) {
    const double energy = rsk_dot(f->y, f->y, f->h->m);
    double best = energy;
    int done = 0, stalled = 0, refined = 1;
    f->now.count = f->best.count = 0;
    memcpy(f->r, f->y, sizeof *f->r * (size_t)f->h->m);
    *square = energy;
    while (!rsk_support_fitted(*square, energy, f->tolerance, reason)) {
        *reason = done == f->params->max_iterations ? RSK_ITERATIONS : RSK_STALLED;
        if (done == f->params->max_iterations || stalled >= PATIENCE || rsk_stopped(f->stop, f->worker)) break;
        rsk_hadamard_correlate(f->h, f->r, f->c);
        if (!threshold(f)) {
            (void)residual(f);
            adjoint(f, f->r, f->g);
            descend(f, ROUGH, FINE_TOLERANCE * rsk_dot(f->g, f->g, f->now.count));
            *square = rsk_dot(f->r, f->r, f->h->m);
            refined = 0;
            done++;
        } else if (!refined) {
            *square = refine(f, energy);
            refined = 1;
        } else {
            *reason = RSK_SUPPORT;
            break;
        }
        if (*square < best) {
            stalled = *square < SMALLER * best ? 0 : stalled + 1;
            best = *square;
            copy(&f->best, &f->now);
        } else if (!refined) {
            stalled++;
        }
    }
    if (*square > best) {
        copy(&f->now, &f->best);
        refined = 0;
    }
    if (!refined) *square = refine(f, energy);
    *square = project(f, energy, *square);
    /* a refined residual may be small enough at last, and a projected one may not be any more */
    if (!rsk_support_fitted(*square, energy, f->tolerance, reason) && (*reason == RSK_TOLERANCE || *reason == RSK_EXACT)) *reason = RSK_STALLED;
    return done;
}

static void run(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) {
    const job *j = context;
    const ptrdiff_t n = j->h->n, m = j->h->m, most = j->params->sparsity;
    fit f = {.h = j->h, .params = j->params, .stop = j->stop, .worker = worker};
    f.r = j->memory + worker * j->doubles, f.image = f.r + m, f.wide = f.image + m, f.g = f.wide + n, f.p = f.g + most;
    f.z = f.p + most, f.now.u = f.z + most, f.best.u = f.now.u + most, f.c = (float *)(void *)(f.best.u + most), f.work = f.c + n;
    f.candidates = (int32_t *)(void *)(f.work + n), f.next = f.candidates + n, f.now.at = f.next + most, f.best.at = f.now.at + most;
    for (ptrdiff_t i = begin; i < end; i++) {
        double square;
        f.y = j->y + i * m, f.tolerance = j->params->tolerance ? j->params->tolerance[i] : 0.0;
        j->out->iterations[i] = pursue(&f, &square, &j->out->reason[i]);
        j->out->residual[i] = sqrt(square);
        rsk_support_write(j->out, i, most, j->h, f.now.at, f.now.u, f.now.count);
    }
}

rsk_status rsk_htp(const rsk_hadamard *h, ptrdiff_t batch, const double *y, const rsk_support_params *params,
                   const rsk_supports *out, int threads, rsk_stop *stop) {
    if (!rsk_support_valid(h, batch, y, params, out, threads) || params->block != 1 || params->max_iterations < 1) return RSK_EINVAL;
    if (!rsk_within_f64(y, batch * h->m, 1, RSK_MAX_VALUE)) return RSK_EVALUE;
    const ptrdiff_t chunk = 1;
    const int workers = rsk_parallel_threads(threads, batch, chunk);
    job j = {h, y, params, out, stop, 0, NULL};
    /* n floats twice and n integers are at most 2 n doubles; three supports of integers at most 2 of doubles */
    j.doubles = 2 * h->m + 3 * h->n + 7 * params->sparsity;
    j.memory = rsk_alloc(j.doubles, sizeof(double) * (size_t)workers);
    if (!j.memory) return RSK_ENOMEM;
    const rsk_status status = rsk_parallel_until(stop, workers, batch, chunk, run, &j);
    rsk_free(j.memory);
    return status;
}
