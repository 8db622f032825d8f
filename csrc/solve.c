/* Least squares for a known structure: CGLS (Hestenes, Stiefel 1952; Bjorck 1996, section 7.4) on A D, D the inverse norms of A's
 * columns, with iterative refinement.
 *
 * The sweeps are float32, so the recurrences drift from the truth at about 1e-6 of the right-hand side. CGLS is therefore
 * stopped early and restarted on the true residual s - sketch(x), made by the very sweep that made the sketch: at the true
 * attributes that residual is zero to the bit. */
#include "internal.h"

#include <math.h>
#include <string.h>

#define INNER_TOLERANCE 1e-5 /* of the normal residual, a restart: well above what float32 sweeps can resolve */
/* An object this faint left nothing in a float32 sketch, which holds 24 bits. */
#define FAINT 0x1p-40

typedef struct job {
    const rsk_spec *spec;
    const rsk_plan *plan;
    const float *sketches;
    const uint8_t *mask;
    ptrdiff_t mask_rows;
    const rsk_lstsq_params *params;
    float *attributes;
    double *residual;
    int32_t *iterations;
    rsk_scratch *scratch;
    double *doubles; /* per worker: r, s, wide (d each); x, p, g, scale (unknowns each) */
    float *floats;   /* per worker: image (d), input (unknowns) */
    ptrdiff_t unknowns, doubles_each, floats_each;
    uint8_t *bad; /* (traces,) */
} job;

/* One trace's problem, in a worker's memory. */
typedef struct problem {
    const job *j;
    ptrdiff_t trace, d, n;
    const uint8_t *mask;
    double *r, *s, *wide, *x, *p, *g, *scale; /* wide: image as doubles; scale 0: not an unknown */
    float *image, *input;
    rsk_scratch *scratch;
} problem;

/* Sixteen interleaved sums, folded in one order: the same bits however it is compiled. */
static double dot(const double *a, const double *b, ptrdiff_t n) {
    double lane[RSK_LANES] = {0.0};
    ptrdiff_t i = 0;
    for (; i + RSK_LANES <= n; i += RSK_LANES)
        for (int l = 0; l < RSK_LANES; l++) lane[l] += a[i + l] * b[i + l];
    for (; i < n; i++) lane[i % RSK_LANES] += a[i] * b[i];
    for (int h = RSK_LANES / 2; h > 0; h /= 2)
        for (int l = 0; l < h; l++) lane[l] += lane[l + h];
    return lane[0];
}

/* image = mask (A input + counter s0); 0 if an input was out of range */
static int forward(const problem *q, float counter) {
    if (rsk_forward_trace(q->j->spec, q->j->plan, q->trace, q->input, NULL, counter, q->image, q->scratch) >= 0) return 0;
    for (ptrdiff_t k = 0; q->mask && k < q->d; k++) q->image[k] = q->mask[k] ? q->image[k] : 0.0f;
    return 1;
}

/* g = scale A^T r */
static void gradient(const problem *q) {
    for (ptrdiff_t k = 0; k < q->d; k++) q->image[k] = (float)q->r[k];
    rsk_adjoint_trace(q->j->spec, q->j->plan, q->trace, q->image, q->input, NULL, q->scratch);
    for (ptrdiff_t i = 0; i < q->n; i++) q->g[i] = q->scale[i] * (double)q->input[i];
}

/* Adds the solution of min |r - A x|, |r| being 1, times `size` to x; returns the iterations made. Overwrites r. */
static int cgls(const problem *q, double size, int most) {
    gradient(q);
    memcpy(q->p, q->g, sizeof *q->p * (size_t)q->n);
    double gamma = dot(q->g, q->g, q->n);
    const double target = INNER_TOLERANCE * INNER_TOLERANCE * gamma;
    int done = 0;
    while (done < most && gamma > target) {
        for (ptrdiff_t i = 0; i < q->n; i++) q->input[i] = (float)(q->p[i] * q->scale[i]);
        if (!forward(q, 0.0f)) break;
        for (ptrdiff_t k = 0; k < q->d; k++) q->wide[k] = (double)q->image[k];
        const double delta = dot(q->wide, q->wide, q->d);
        if (!(delta > 0.0)) break;
        const double alpha = gamma / delta;
        for (ptrdiff_t i = 0; i < q->n; i++) q->x[i] += size * alpha * q->p[i] * q->scale[i];
        for (ptrdiff_t k = 0; k < q->d; k++) q->r[k] -= alpha * q->wide[k];
        done++;
        gradient(q);
        const double next = dot(q->g, q->g, q->n), beta = next / gamma;
        for (ptrdiff_t i = 0; i < q->n; i++) q->p[i] = q->g[i] + beta * q->p[i];
        gamma = next;
    }
    return done;
}

/* s = the kept coordinates; their number, or -1 if one of them is no number */
static ptrdiff_t load(const problem *q) {
    const float *sketch = q->j->sketches + q->trace * q->d;
    ptrdiff_t kept = 0;
    for (ptrdiff_t k = 0; k < q->d; k++) {
        q->s[k] = 0.0;
        if (q->mask && !q->mask[k]) continue;
        if (!(fabsf(sketch[k]) <= RSK_MAX_VALUE)) return -1;
        q->s[k] = (double)sketch[k];
        kept++;
    }
    return kept;
}

/* The amplitude of an attribute that its scale has brought to norm one. */
static double loudness(const job *j, int64_t o) {
    return j->plan->amplitude[o] / j->spec->module[j->plan->module[o]].scale;
}

static void set_scales(const problem *q) {
    const rsk_plan *plan = q->j->plan;
    const int64_t begin = plan->objects[q->trace], end = plan->objects[q->trace + 1], first = plan->attribute_ends[begin];
    double most = 0.0;
    for (int64_t o = begin; o < end; o++)
        if (loudness(q->j, o) > most) most = loudness(q->j, o);
    for (int64_t o = begin; o < end; o++) {
        const double scale = loudness(q->j, o) > FAINT * most ? 1.0 / plan->amplitude[o] : 0.0;
        for (int64_t i = plan->attribute_ends[o]; i < plan->attribute_ends[o + 1]; i++) q->scale[i - first] = scale;
    }
}

static int solve_trace(const problem *q, float *best) {
    const ptrdiff_t kept = load(q);
    if (kept < 0) return 0;
    set_scales(q);
    memset(q->x, 0, sizeof *q->x * (size_t)q->n);
    memset(best, 0, sizeof *best * (size_t)q->n);
    const double norm = sqrt(dot(q->s, q->s, q->d)), enough = q->j->params->tolerance * norm;
    double least = HUGE_VAL;
    int left = q->j->params->max_iterations;
    for (;;) {
        for (ptrdiff_t i = 0; i < q->n; i++) q->input[i] = (float)q->x[i];
        if (!forward(q, 1.0f)) break;
        for (ptrdiff_t k = 0; k < q->d; k++) q->r[k] = q->s[k] - (double)q->image[k];
        const double size = sqrt(dot(q->r, q->r, q->d)), before = least;
        if (size < least) {
            least = size;
            memcpy(best, q->input, sizeof *best * (size_t)q->n);
        }
        if (size <= enough || !(size < 0.5 * before) || left <= 0) break;
        for (ptrdiff_t k = 0; k < q->d; k++) q->r[k] /= size;
        left -= cgls(q, size, left);
    }
    for (ptrdiff_t i = 0; i < q->n; i++)
        if (q->scale[i] == 0.0 || kept == 0) best[i] = NAN;
    q->j->residual[q->trace] = kept == 0 ? NAN : norm > 0.0 ? least / norm : least > 0.0 ? HUGE_VAL : 0.0;
    q->j->iterations[q->trace] = q->j->params->max_iterations - left;
    return 1;
}

static void task(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) {
    const job *j = context;
    const ptrdiff_t d = j->spec->dim, n = j->unknowns;
    double *w = j->doubles + worker * j->doubles_each;
    float *f = j->floats + worker * j->floats_each;
    for (ptrdiff_t t = begin; t < end; t++) {
        const int64_t first = j->plan->attribute_ends[j->plan->objects[t]];
        const problem q = {
            .j = j, .trace = t, .d = d, .n = (ptrdiff_t)(j->plan->attribute_ends[j->plan->objects[t + 1]] - first),
            .mask = j->mask ? j->mask + (j->mask_rows > 1 ? t * d : 0) : NULL,
            .r = w, .s = w + d, .wide = w + 2 * d, .x = w + 3 * d, .p = w + 3 * d + n, .g = w + 3 * d + 2 * n,
            .scale = w + 3 * d + 3 * n, .image = f, .input = f + d, .scratch = &j->scratch[worker]};
        j->bad[t] = (uint8_t)!solve_trace(&q, j->attributes + first);
    }
}

rsk_status rsk_lstsq(const rsk_spec *spec, const rsk_plan *plan, const float *sketches, const uint8_t *mask,
                     ptrdiff_t mask_rows, const rsk_lstsq_params *params, float *attributes, double *residual,
                     int32_t *iterations, int threads, rsk_where *where) {
    if (where) where->trace = where->object = -1;
    if (!spec || !plan || plan->spec != spec || !sketches || !attributes || !residual || !iterations || threads < 1)
        return RSK_EINVAL;
    if (mask && mask_rows != 1 && mask_rows != plan->traces) return RSK_EINVAL;
    if (!params || !(params->tolerance >= 0.0) || params->max_iterations < 1) return RSK_EINVAL;
    const int workers = rsk_parallel_threads(threads, plan->traces, 1);
    job j = {.spec = spec, .plan = plan, .sketches = sketches, .mask = mask, .mask_rows = mask_rows, .params = params,
             .attributes = attributes, .residual = residual, .iterations = iterations};
    for (ptrdiff_t t = 0; t < plan->traces; t++) {
        const int64_t n = plan->attribute_ends[plan->objects[t + 1]] - plan->attribute_ends[plan->objects[t]];
        if (n > j.unknowns) j.unknowns = (ptrdiff_t)n;
    }
    if (j.unknowns > PTRDIFF_MAX / 64 / workers) return RSK_ENOMEM;
    j.doubles_each = 3 * spec->dim + 4 * j.unknowns;
    j.floats_each = spec->dim + j.unknowns;
    j.scratch = rsk_scratch_create(spec, plan, workers);
    j.doubles = rsk_alloc(workers * j.doubles_each, sizeof *j.doubles);
    j.floats = rsk_alloc(workers * j.floats_each, sizeof *j.floats);
    j.bad = rsk_alloc(plan->traces, sizeof *j.bad);
    rsk_status status = j.scratch && j.doubles && j.floats && j.bad ? RSK_OK : RSK_ENOMEM;
    if (status == RSK_OK) rsk_parallel(workers, plan->traces, 1, task, &j);
    for (ptrdiff_t t = 0; status == RSK_OK && t < plan->traces; t++)
        if (j.bad[t]) {
            status = RSK_EVALUE;
            if (where) where->trace = t;
        }
    rsk_scratch_free(j.scratch, workers);
    rsk_free(j.doubles);
    rsk_free(j.floats);
    rsk_free(j.bad);
    return status;
}
