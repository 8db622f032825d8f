/* Hard-thresholding pursuit on a sampled Hadamard matrix: S. Foucart, "Hard thresholding pursuit: an algorithm for compressive
 * sensing", SIAM J. Numerical Analysis 49 (2011), with the normalised step of T. Blumensath, M. Davies (2010).
 *
 * A step costs a few transforms, however many non-zeros there are. The fit to a support is CGLS, unfinished while the support
 * still changes; products are float32, recurrences and residuals doubles, and the last fit is refined to the precision of these. */
#include "parts/parts.h"

#include <math.h>
#include <string.h>

#define NOTHING 0x1p-100 /* of |y|^2: a residual of rounding */
#define ROUGH 3          /* CGLS iterations on a support that may change yet */
#define FINE 60          /* and at most on one that does not, a refinement */
#define FINE_TOLERANCE 1e-10 /* of the squared gradient, a refinement: float32 products resolve no more */
#define REFINEMENTS 8
#define WIDE 10          /* iterations a column at most, where float32 does not converge */
#define CONVERGED 1e-27 /* of m |y|^2, the squared gradient: doubles resolve no less */
#define PATIENCE 6 /* steps without a smaller residual before the best one is taken */
#define BINS 2048

typedef struct job {
    const rsk_hadamard *h;
    const double *y;
    const rsk_support_params *params;
    rsk_stop *stop;
    int32_t *support, *count, *iterations;
    double *coef, *residual;
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
    double *r, *image;   /* (m,) */
    double *wide;        /* (n,) */
    double *g, *p;       /* (sparsity,) */
    sparse now, best;
    float *c, *work;     /* (n,) gradient but for the signs of the columns, scratch */
    int32_t *candidates; /* (n,) */
    int32_t *next;       /* (sparsity,) */
} fit;

static uint32_t key_of(const fit *f, ptrdiff_t i) {
    float v = f->c[i];
    if (f->params->nonnegative) v = (rsk_sign_bit(f->h->signs, i) ? v < 0.0f : v > 0.0f) ? v : 0.0f;
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    return bits & 0x7fffffffu;
}

/* The bin in which the need-th from above lies; need becomes its rank there. */
static uint32_t bin_of(const int32_t *histogram, uint32_t bins, ptrdiff_t *need) {
    uint32_t b = bins;
    while (b-- > 0 && histogram[b] < *need) *need -= histogram[b];
    return b;
}

/* The `most` largest |c|, ties by index, ascending; zeros are none. Radix selection on the bits. */
static ptrdiff_t largest(fit *f, ptrdiff_t most, int32_t *out) {
    const ptrdiff_t n = f->h->n;
    int32_t histogram[BINS] = {0};
    uint32_t *keys = (uint32_t *)(void *)f->work;
    ptrdiff_t need = most, left = 0, count = 0;
    for (ptrdiff_t i = 0; i < n; i++) histogram[(keys[i] = key_of(f, i)) >> 20]++;
    const uint32_t high = bin_of(histogram, BINS, &need);
    uint32_t *some = (uint32_t *)(void *)f->candidates;
    for (ptrdiff_t i = 0; i < n; i++) {
        some[left] = keys[i];
        left += keys[i] >> 20 == high;
    }
    memset(histogram, 0, sizeof histogram);
    for (ptrdiff_t i = 0; i < left; i++) histogram[some[i] >> 9 & (BINS - 1)]++;
    const uint32_t middle = high << 11 | bin_of(histogram, BINS, &need);
    memset(histogram, 0, sizeof histogram);
    for (ptrdiff_t i = 0; i < left; i++)
        if (some[i] >> 9 == middle) histogram[some[i] & 511]++;
    const uint32_t least = middle << 9 | bin_of(histogram, 512, &need);
    for (ptrdiff_t i = 0; i < n; i++) {
        const int tie = keys[i] == least && need > 0, take = (keys[i] > least || tie) && keys[i];
        if (count == most) break;
        out[count] = (int32_t)i;
        count += take;
        need -= tie;
    }
    return count;
}

static void scatter(const fit *f, const int32_t *at, const double *u, ptrdiff_t count) {
    memset(f->work, 0, sizeof *f->work * (size_t)f->h->n);
    for (ptrdiff_t i = 0; i < count; i++) f->work[at[i]] = (float)(rsk_sign_bit(f->h->signs, at[i]) ? -u[i] : u[i]);
    rsk_kernels_current()->fwht_f32(f->work, f->h->n);
}

/* image = B p, in float32; returns its square */
static double product(const fit *f, const int32_t *at, const double *p, ptrdiff_t count) {
    scatter(f, at, p, count);
    for (ptrdiff_t i = 0; i < f->h->m; i++) f->image[i] = (double)f->work[f->h->rows[i]];
    return rsk_dot(f->image, f->image, f->h->m);
}

/* wide = all rows of B u, in doubles */
static void expand(const fit *f, const double *u) {
    memset(f->wide, 0, sizeof *f->wide * (size_t)f->h->n);
    for (ptrdiff_t i = 0; i < f->now.count; i++)
        f->wide[f->now.at[i]] = rsk_sign_bit(f->h->signs, f->now.at[i]) ? -u[i] : u[i];
    rsk_kernels_current()->fwht_f64(f->wide, f->h->n);
}

/* r = y - B u, in doubles; returns its square */
static double residual(const fit *f) {
    expand(f, f->now.u);
    for (ptrdiff_t i = 0; i < f->h->m; i++) f->r[i] = f->y[i] - f->wide[f->h->rows[i]];
    return rsk_dot(f->r, f->r, f->h->m);
}

/* g = B^T r on the support, of a vector in float32; g -= factor times that if there is a factor. Returns its square. */
static double gradient(const fit *f, const double *r, double factor) {
    rsk_hadamard_correlate(f->h, r, f->work);
    for (ptrdiff_t i = 0; i < f->now.count; i++) {
        const double v = (double)f->work[f->now.at[i]], signed_v = rsk_sign_bit(f->h->signs, f->now.at[i]) ? -v : v;
        f->g[i] = factor != 0.0 ? f->g[i] - factor * signed_v : signed_v;
    }
    return rsk_dot(f->g, f->g, f->now.count);
}

/* The same of r in doubles: what is left of a gradient may be far below the float32 rounding of r. */
static double gradient_wide(const fit *f) {
    memset(f->wide, 0, sizeof *f->wide * (size_t)f->h->n);
    for (ptrdiff_t i = 0; i < f->h->m; i++) f->wide[f->h->rows[i]] = f->r[i];
    rsk_kernels_current()->fwht_f64(f->wide, f->h->n);
    for (ptrdiff_t i = 0; i < f->now.count; i++) {
        const double v = f->wide[f->now.at[i]];
        f->g[i] = rsk_sign_bit(f->h->signs, f->now.at[i]) ? -v : v;
    }
    return rsk_dot(f->g, f->g, f->now.count);
}

/* Conjugate gradients on the support from where u, r and g are, gamma the square of g; all drift by float32 rounding. */
static void descend(const fit *f, double gamma, int most, double relative) {
    const ptrdiff_t k = f->now.count;
    const double goal = relative * gamma;
    memcpy(f->p, f->g, sizeof *f->p * (size_t)k);
    for (int i = 0; i < most && gamma > goal && !rsk_stopped(f->stop, f->worker); i++) {
        const double delta = product(f, f->now.at, f->p, k);
        if (!(delta > 0.0)) return;
        const double alpha = gamma / delta;
        for (ptrdiff_t t = 0; t < k; t++) f->now.u[t] += alpha * f->p[t];
        for (ptrdiff_t t = 0; t < f->h->m; t++) f->r[t] -= alpha * f->image[t];
        if (i + 1 == most) return;
        const double next = gradient(f, f->image, alpha), beta = next / gamma;
        for (ptrdiff_t t = 0; t < k; t++) f->p[t] = f->g[t] + beta * f->p[t];
        gamma = next;
    }
}

/* The same in doubles, for a support that float32 products are too coarse for: conjugate gradients until they converge. Of
 * nearly m columns of condition 1e4 they take a few times as many iterations as there are. */
static double descend_wide(const fit *f, double gamma, double goal) {
    const ptrdiff_t k = f->now.count, m = f->h->m;
    memcpy(f->p, f->g, sizeof *f->p * (size_t)k);
    for (ptrdiff_t i = 0; i < WIDE * k && gamma > goal && !rsk_stopped(f->stop, f->worker); i++) {
        expand(f, f->p);
        for (ptrdiff_t t = 0; t < m; t++) f->image[t] = f->wide[f->h->rows[t]];
        const double delta = rsk_dot(f->image, f->image, m), alpha = gamma / delta;
        if (!(delta > 0.0)) break;
        for (ptrdiff_t t = 0; t < k; t++) f->now.u[t] += alpha * f->p[t];
        for (ptrdiff_t t = 0; t < m; t++) f->r[t] -= alpha * f->image[t];
        const double next = gradient_wide(f), beta = next / gamma;
        for (ptrdiff_t t = 0; t < k; t++) f->p[t] = f->g[t] + beta * f->p[t];
        gamma = next;
    }
    return residual(f);
}

/* Least squares on the support, to the precision of doubles; returns |r|^2. */
static double refine(const fit *f, double energy) {
    double square = residual(f), last = INFINITY;
    for (int i = 0; i < REFINEMENTS && square > NOTHING * energy; i++) {
        const double slope = gradient_wide(f);
        if (!(slope < 0.25 * last) || slope <= 1e-30 * (double)f->h->m * energy) break;
        last = slope;
        descend(f, slope, FINE, FINE_TOLERANCE);
        square = residual(f);
    }
    if (!(square > NOTHING * energy)) return square;
    const double goal = CONVERGED * (double)f->h->m * energy, slope = gradient_wide(f);
    return slope > goal ? descend_wide(f, slope, goal) : square;
}

static void copy(sparse *to, const sparse *from) {
    to->count = from->count;
    memcpy(to->at, from->at, sizeof *to->at * (size_t)from->count);
    memcpy(to->u, from->u, sizeof *to->u * (size_t)from->count);
}

/* 1 / |B|^2 along the gradient's largest elements: how far a step may go. c is the gradient. */
static double step_of(fit *f) {
    const ptrdiff_t k = largest(f, f->params->sparsity, f->next);
    for (ptrdiff_t i = 0; i < k; i++) f->p[i] = rsk_sign_bit(f->h->signs, f->next[i]) ? -(double)f->c[f->next[i]] : (double)f->c[f->next[i]];
    const double top = rsk_dot(f->p, f->p, k), bottom = product(f, f->next, f->p, k);
    return bottom > 0.0 ? top / bottom : 0.0;
}

/* Gradient step, threshold; now becomes the next support and a start on it. 1 if the support is the same. */
static int threshold(fit *f) {
    const float step = (float)step_of(f);
    const sparse *s = &f->now;
    for (ptrdiff_t i = 0; i < f->h->n; i++) f->c[i] *= step;
    for (ptrdiff_t i = 0; i < s->count; i++) f->c[s->at[i]] += (float)(rsk_sign_bit(f->h->signs, s->at[i]) ? -s->u[i] : s->u[i]);
    const ptrdiff_t k = largest(f, f->params->sparsity, f->next);
    if (k == s->count && !memcmp(f->next, s->at, sizeof *f->next * (size_t)k)) return 1;
    for (ptrdiff_t i = 0; i < k; i++) {
        f->now.at[i] = f->next[i];
        f->now.u[i] = rsk_sign_bit(f->h->signs, f->next[i]) ? -(double)f->c[f->next[i]] : (double)f->c[f->next[i]];
    }
    f->now.count = k;
    return 0;
}

/* What is left of a sign constraint once the steps are over: negative elements go, and the others are fitted again. */
static double project(fit *f, double energy, double square) {
    while (f->params->nonnegative && !rsk_stopped(f->stop, f->worker)) {
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

static int pursue(fit *f, double *square) {
    const double energy = rsk_dot(f->y, f->y, f->h->m);
    double best = energy;
    int done = 0, stalled = 0, refined = 1;
    f->now.count = f->best.count = 0;
    memcpy(f->r, f->y, sizeof *f->r * (size_t)f->h->m);
    *square = energy;
    while (done < f->params->max_iterations && *square > NOTHING * energy && *square > f->params->tolerance && stalled < PATIENCE &&
           !rsk_stopped(f->stop, f->worker)) {
        rsk_hadamard_correlate(f->h, f->r, f->c);
        if (threshold(f)) {
            if (refined) break;
            *square = refine(f, energy);
            refined = 1;
        } else {
            (void)residual(f);
            descend(f, gradient(f, f->r, 0.0), ROUGH, FINE_TOLERANCE);
            *square = rsk_dot(f->r, f->r, f->h->m);
            refined = 0;
            done++;
        }
        if (*square < best) {
            stalled = *square < 0.98 * best ? 0 : stalled + 1;
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
    return done;
}

static void run(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) {
    const job *j = context;
    const ptrdiff_t n = j->h->n, m = j->h->m, most = j->params->sparsity;
    fit f = {.h = j->h, .params = j->params, .stop = j->stop, .worker = worker};
    f.r = j->memory + worker * j->doubles, f.image = f.r + m, f.wide = f.image + m, f.g = f.wide + n, f.p = f.g + most;
    f.now.u = f.p + most, f.best.u = f.now.u + most, f.c = (float *)(void *)(f.best.u + most), f.work = f.c + n;
    f.candidates = (int32_t *)(void *)(f.work + n), f.next = f.candidates + n, f.now.at = f.next + most, f.best.at = f.now.at + most;
    const double scale = sqrt((double)m);
    for (ptrdiff_t i = begin; i < end; i++) {
        double square;
        f.y = j->y + i * m;
        j->iterations[i] = pursue(&f, &square);
        j->residual[i] = sqrt(square);
        j->count[i] = (int32_t)f.now.count;
        for (ptrdiff_t t = 0; t < most; t++) {
            j->support[i * most + t] = t < f.now.count ? f.now.at[t] : -1;
            j->coef[i * most + t] = t < f.now.count ? scale * f.now.u[t] : 0.0;
        }
    }
}

rsk_status rsk_htp(const rsk_hadamard *h, ptrdiff_t batch, const double *y, const rsk_support_params *params, int32_t *support,
                   double *coef, int32_t *count, double *residual_norm, int32_t *iterations, int threads, rsk_stop *stop) {
    const ptrdiff_t sparsity = params->sparsity, chunk = 1;
    if (batch < 0 || threads < 1 || params->block != 1 || sparsity < 1 || sparsity > h->m || !(params->tolerance >= 0.0) ||
        params->max_iterations < 1)
        return RSK_EINVAL;
    if (batch == 0) return RSK_OK;
    const int workers = rsk_parallel_threads(threads, batch, chunk);
    job j = {h, y, params, stop, support, count, iterations, coef, residual_norm, 0, NULL};
    j.doubles = 2 * h->m + 3 * h->n + 6 * sparsity; /* n floats twice and n integers are at most 2 n doubles; three supports */
    j.memory = rsk_alloc(j.doubles, sizeof(double) * (size_t)workers);
    if (!j.memory) return RSK_ENOMEM;
    const rsk_status status = rsk_parallel_until(stop, workers, batch, chunk, run, &j);
    rsk_free(j.memory);
    return status;
}
