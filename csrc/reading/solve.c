/* Least squares for a known structure, over all attribute elements or over those that a pursuit finds: CGLS (Hestenes,
 * Stiefel 1952; Bjorck 1996, section 7.4) on A D, D the inverse norms of A's columns, with iterative refinement.
 *
 * The sweeps are float32, so the recurrences drift from the truth at about 1e-6 of the right-hand side. CGLS is therefore
 * stopped early and restarted on the true residual s - sketch(x), made by the very sweep that made the sketch: at the true
 * attributes that residual is zero to the bit. */
#include "reading/reading.h"

#include <math.h>
#include <string.h>

/* CGLS restarts once the gradient has fallen by this factor, which is well above what float32 sweeps can resolve. */
#define INNER_TOLERANCE 1e-5
/* CGLS stops where the gradient is this share of the one that the sketch's noise alone makes. Measured with float16 and int8 sketches
 * at loads of 0.1 to 0.65: errors 0.5% above those of the converged answer, after 10 to 38 iterations; a share of 0.1 costs 4%, and
 * saves 5 iterations. */
#define NOISE_SHARE 0.03
/* What the sweep that made a sketch has rounded at least, as a share of its norm: the same floor, without which a third of the iterations
 * fit that rounding. */
#define LEAST_ROUNDING 4e-8
/* An object so much fainter than the loudest left nothing in a float32 sketch, which holds 24 bits. */
#define FAINT 0x1p-40

typedef struct job {
    const rsk_spec *spec;
    const rsk_plan *plan;
    const float *sketches;
    const uint8_t *mask;
    ptrdiff_t mask_rows;
    double tolerance;
    const double *noise; /* (traces,) or NULL */
    int max_iterations;
    const rsk_sparse_params *sparse; /* NULL: every element is an unknown */
    float *attributes;
    double *residual;
    int32_t *iterations;
    rsk_stop *stop;
    double *doubles; /* (workers, doubles_each): s, r, wide (d each); x, u, p, g, scale and the pursuit's (unknowns each) */
    float *floats;   /* (workers, floats_each): image (d), input (unknowns) */
    ptrdiff_t unknowns; /* of the largest trace */
    ptrdiff_t doubles_each, floats_each;
    uint8_t *bad; /* (traces,) 1: a kept coordinate is NaN or too large */
} job;

/* One trace's problem, in a worker's memory. */
typedef struct problem {
    const job *j;
    rsk_linear map;
    rsk_cgls_work work;
    rsk_pursuit pursuit;
    double *s; /* (d,) the kept coordinates of the sketch, 0 where it is erased */
    double *x; /* (attributes,) */
    ptrdiff_t kept;
} problem;

/* The gradient at which to stop: a share of |A^T e| for an error e of the told size in each kept coordinate, or for what the sweep that
 * made the sketch has rounded, if that is more. */
static double noise_floor(const problem *q, double norm) {
    const double told = q->j->noise ? q->j->noise[q->map.trace] : 0.0;
    const double rounded = LEAST_ROUNDING * norm / sqrt(fmax((double)q->kept, 1.0));
    ptrdiff_t unknowns = 0;
    for (ptrdiff_t i = 0; i < q->map.attributes; i++) unknowns += q->map.scale[i] != 0.0;
    /* the sum of the columns' squared norms on the kept coordinates */
    const double columns = (double)unknowns * (double)q->kept / (double)q->map.spec->dim;
    return NOISE_SHARE * fmax(told, rounded) * sqrt(columns);
}

/* The amplitude of an attribute of norm one. Scales are taken out, as they say how large a module's attributes are. */
static double loudness(const job *j, int64_t o) {
    return j->plan->amplitude[o];
}

static void set_scales(const problem *q) {
    const rsk_plan *plan = q->j->plan;
    const int64_t begin = plan->objects[q->map.trace], end = plan->objects[q->map.trace + 1];
    const int64_t first = plan->attribute_ends[begin];
    double most = 0.0;
    for (int64_t o = begin; o < end; o++)
        if (loudness(q->j, o) > most) most = loudness(q->j, o);
    for (int64_t o = begin; o < end; o++) {
        const double scale = loudness(q->j, o) > FAINT * most ? 1.0 / plan->amplitude[o] : 0.0;
        for (int64_t i = plan->attribute_ends[o]; i < plan->attribute_ends[o + 1]; i++) q->map.scale[i - first] = scale;
    }
}

/* Moves x to the least squares over the elements whose scale is not 0. best is the float32 answer of least residual, whose norm is
 * returned; x ends as the last one tried. */
static double refine(const problem *q, double norm, float *best, int *left) {
    const rsk_linear *map = &q->map;
    const rsk_cgls_work *w = &q->work;
    const ptrdiff_t d = map->spec->dim, n = map->attributes;
    const double enough = q->j->tolerance * norm, still = noise_floor(q, norm);
    double least = HUGE_VAL;
    memset(best, 0, sizeof *best * (size_t)n);
    for (;;) {
        for (ptrdiff_t i = 0; i < n; i++) map->input[i] = (float)q->x[i];
        if (!rsk_linear_forward(map, 1.0f)) break;
        for (ptrdiff_t k = 0; k < d; k++) w->r[k] = q->s[k] - (double)map->image[k];
        const double size = sqrt(rsk_dot(w->r, w->r, d)), before = least;
        if (size < least) {
            least = size;
            memcpy(best, map->input, sizeof *best * (size_t)n);
        }
        if (size <= enough || !(size < 0.5 * before) || *left <= 0) break;
        for (ptrdiff_t k = 0; k < d; k++) w->r[k] /= size;
        memset(w->u, 0, sizeof *w->u * (size_t)n);
        rsk_linear_adjoint(map, w->r, w->g);
        const double gradient = sqrt(rsk_dot(w->g, w->g, n)), goal = fmax(INNER_TOLERANCE * gradient, still / size);
        *left -= rsk_linear_cgls(map, w, NULL, goal * goal, rsk_linear_resolution(map), *left);
        for (ptrdiff_t i = 0; i < n; i++) q->x[i] += size * w->u[i] * map->scale[i];
    }
    return least;
}

/* Chooses a support by pursuit: sets x, and the scales outside the support to 0. */
static void choose(problem *q, double norm, int *left) {
    const rsk_sparse_params *sparse = q->j->sparse;
    rsk_pursuit *p = &q->pursuit;
    p->most = sparse->nonzeros;
    p->each = sparse->per_object;
    p->free = sparse->free;
    p->nonnegative = sparse->nonnegative;
    p->kept = q->kept;
    p->noise = RSK_SOLVER_ROUNDING * norm;
    const double told = sparse->noise ? sparse->noise[q->map.trace] * sqrt((double)q->kept) : 0.0;
    if (told > p->noise) p->noise = told;
    *left -= rsk_pursue(&q->map, &q->work, p, q->s, *left);
    for (ptrdiff_t i = 0; i < q->map.attributes; i++) q->x[i] = q->work.u[i] * q->map.scale[i];
}

/* Takes elements that least squares made negative out of the support. Returns 0 if there are none. */
static int clip(const problem *q, const float *best) {
    const rsk_plan *plan = q->j->plan;
    const int64_t begin = plan->objects[q->map.trace], end = plan->objects[q->map.trace + 1], first = plan->attribute_ends[begin];
    int negative = 0;
    for (int64_t o = begin; o < end; o++)
        for (int64_t k = plan->attribute_ends[o]; k < plan->attribute_ends[o + 1]; k++) {
            const int64_t i = k - first;
            const int out = k < plan->attribute_ends[o + 1] - q->pursuit.free && !(best[i] > 0.0f);
            negative |= out && best[i] < 0.0f;
            if (out) q->map.scale[i] = 0.0;
            q->x[i] = out ? 0.0 : (double)best[i];
        }
    return negative;
}

static int solve_trace(problem *q, float *best) {
    const float *sketch = q->j->sketches + q->map.trace * q->map.spec->dim;
    const ptrdiff_t n = q->map.attributes, kept = q->kept = rsk_load_kept(q->map.spec, sketch, q->map.mask, q->map.scratch, q->s);
    if (kept < 0) return 0;
    set_scales(q);
    memset(q->x, 0, sizeof *q->x * (size_t)n);
    const double norm = sqrt(rsk_dot(q->s, q->s, q->map.spec->dim)), *scale = q->map.scale;
    int left = q->j->max_iterations;
    if (q->j->sparse) {
        choose(q, norm, &left);
        scale = q->pursuit.scale;
    }
    double least = refine(q, norm, best, &left);
    while (q->j->sparse && q->j->sparse->nonnegative && clip(q, best)) least = refine(q, norm, best, &left);
    for (ptrdiff_t i = 0; i < n; i++)
        if (scale[i] == 0.0 || kept == 0) best[i] = NAN;
    q->j->residual[q->map.trace] = kept == 0 ? NAN : norm > 0.0 ? least / norm : least > 0.0 ? HUGE_VAL : 0.0;
    q->j->iterations[q->map.trace] = q->j->max_iterations - left;
    return 1;
}

static void task(void *context, ptrdiff_t t, rsk_scratch *scratch) {
    const job *j = context;
    const ptrdiff_t d = j->spec->dim, most = j->unknowns;
    double *w = j->doubles + scratch->worker * j->doubles_each, *v = w + 3 * d;
    float *f = j->floats + scratch->worker * j->floats_each;
    const int64_t first = j->plan->attribute_ends[j->plan->objects[t]];
    const ptrdiff_t n = (ptrdiff_t)(j->plan->attribute_ends[j->plan->objects[t + 1]] - first);
    problem q = {
        .j = j, .s = w, .x = v,
        .pursuit = {.scale = v + 5 * most, .y = v + 6 * most, .best = v + 7 * most, .a = v + 8 * most},
        .work = {.r = w + d, .image = w + 2 * d, .u = v + most, .p = v + 2 * most, .g = v + 3 * most},
        .map = {.spec = j->spec, .plan = j->plan, .trace = t, .attributes = n,
                .mask = rsk_load_mask(j->spec, j->mask && j->mask_rows > 1 ? j->mask + t * d : j->mask, scratch),
                .scale = v + 4 * most,
                .image = f, .input = f + d, .scratch = scratch}};
    j->bad[t] = (uint8_t)!solve_trace(&q, j->attributes + first);
}

static rsk_status solve(job *j, int threads, rsk_where *where) {
    const rsk_plan *plan = j->plan;
    rsk_sharing shares = rsk_share_out(j->spec, plan, threads);
    const int workers = shares.workers;
    for (ptrdiff_t t = 0; t < plan->traces; t++) {
        const int64_t n = plan->attribute_ends[plan->objects[t + 1]] - plan->attribute_ends[plan->objects[t]];
        if (n > j->unknowns) j->unknowns = (ptrdiff_t)n;
    }
    j->doubles_each = 3 * j->spec->dim + (j->sparse ? 9 : 5) * j->unknowns;
    j->floats_each = j->spec->dim + j->unknowns;
    if (shares.shares && j->unknowns <= PTRDIFF_MAX / 128 / workers) {
        j->doubles = rsk_alloc(workers * j->doubles_each, sizeof *j->doubles);
        j->floats = rsk_alloc(workers * j->floats_each, sizeof *j->floats);
        j->bad = rsk_alloc(plan->traces, sizeof *j->bad);
        shares.scratch = rsk_scratch_create(j->spec, plan, workers, j->stop);
    }
    shares.stop = j->stop, shares.run = task, shares.context = j;
    rsk_status status = shares.scratch && j->doubles && j->floats && j->bad ? rsk_run_shares(&shares) : RSK_ENOMEM;
    for (ptrdiff_t t = 0; status == RSK_OK && t < plan->traces; t++)
        if (j->bad[t]) {
            status = RSK_EVALUE;
            if (where) where->trace = t;
        }
    rsk_scratch_free(shares.scratch, workers);
    rsk_free(shares.shares);
    rsk_free(j->doubles);
    rsk_free(j->floats);
    rsk_free(j->bad);
    return status;
}

/* The checks that both functions share. */
static int acceptable(const job *j, int threads, rsk_where *where) {
    if (where) where->trace = where->object = -1;
    if (!j->spec || !j->plan || !rsk_plan_is_of(j->plan, j->spec) || !j->sketches || threads < 1) return 0;
    if (!j->attributes || !j->residual || !j->iterations) return 0;
    return !j->mask || j->mask_rows == 1 || j->mask_rows == j->plan->traces;
}

static int valid_noise(const job *j, const double *noise) {
    for (ptrdiff_t t = 0; noise && t < j->plan->traces; t++)
        if (!(noise[t] >= 0.0 && noise[t] <= (double)RSK_MAX_VALUE)) return 0;
    return 1;
}

rsk_status rsk_lstsq(const rsk_spec *spec, const rsk_plan *plan, const float *sketches, const uint8_t *mask,
                     ptrdiff_t mask_rows, const rsk_lstsq_params *params, float *attributes, double *residual,
                     int32_t *iterations, int threads, rsk_stop *stop, rsk_where *where) {
    job j = {.spec = spec, .plan = plan, .sketches = sketches, .mask = mask, .mask_rows = mask_rows,
             .attributes = attributes, .residual = residual, .iterations = iterations, .stop = stop};
    if (!acceptable(&j, threads, where)) return RSK_EINVAL;
    if (!params || !(params->tolerance >= 0.0) || params->max_iterations < 1 || !valid_noise(&j, params->noise)) return RSK_EINVAL;
    j.tolerance = params->tolerance;
    j.noise = params->noise;
    j.max_iterations = params->max_iterations;
    return solve(&j, threads, where);
}

rsk_status rsk_sparse(const rsk_spec *spec, const rsk_plan *plan, const float *sketches, const uint8_t *mask,
                      ptrdiff_t mask_rows, const rsk_sparse_params *params, float *attributes, double *residual,
                      int32_t *iterations, int threads, rsk_stop *stop, rsk_where *where) {
    job j = {.spec = spec, .plan = plan, .sketches = sketches, .mask = mask, .mask_rows = mask_rows, .sparse = params,
             .attributes = attributes, .residual = residual, .iterations = iterations, .stop = stop};
    if (!acceptable(&j, threads, where)) return RSK_EINVAL;
    if (!params || params->nonzeros < 0 || params->per_object < 0 || params->max_iterations < 1) return RSK_EINVAL;
    if (!rsk_leaves_attributes(spec, params->free)) return RSK_EINVAL;
    if (!valid_noise(&j, params->noise)) return RSK_EINVAL;
    j.noise = params->noise;
    j.max_iterations = params->max_iterations;
    return solve(&j, threads, where);
}
