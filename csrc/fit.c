/* The joint fit of a tree's objects to a sketch, damped by what is unexplained, and what it says of each of them
 * (docs/design.md, section 5). */
#include "internal.h"

#include <math.h>
#include <string.h>

#define ROUNDING 3e-7 /* of a sketch, as a norm: a residual below it is float32's */
#define FAINTEST 0.7  /* errors; the least amplitude that a prior is made from */
#define MOST 100      /* iterations of a damped fit */
#define MOST_EXACT 400

/* ---------------------------------------------------------------- memory */

void rsk_fit_free(rsk_fit *q) {
    rsk_tree_free(&q->tree);
    rsk_scratch_free(q->map.scratch, 1);
    rsk_free(q->s);
    rsk_free(q->c);
    rsk_free(q->rho2);
    rsk_free(q->map.input);
    rsk_free(q->drop);
    rsk_free(q->moved);
    memset(q, 0, sizeof *q);
}

/* Members of one tuple that are of one module share the identity branch: their columns have a Gram matrix of about
 * D + g 1 1', D = 1 - g + damping, g = cos^2. z = its inverse times g, by Sherman and Morrison. */
static void decorrelate(const void *context, const double *g, double *z) {
    const rsk_fit *q = context;
    const rsk_tree *t = &q->tree;
    const int64_t *ends = t->plan.attribute_ends;
    const int32_t *child = t->order, *next = t->order + t->capacity + 1;
    const ptrdiff_t attributes = q->map.attributes;
    const double c2 = q->spec->cosine * q->spec->cosine, share = c2 / (c2 + q->spec->sine * q->spec->sine);
    for (ptrdiff_t p = -1; p < t->count; p++)
        for (int32_t c = child[p + 1]; c >= 0; c = next[c]) {
            int32_t before = child[p + 1]; /* the first of its module does it for all */
            while (before != c && t->node[before].module != t->node[c].module) before = next[before];
            if (before != c) continue;
            double weight = 0.0, of = 0.0; /* damping is the same for all elements of an attribute, and 0 for a counter */
            for (int32_t o = c; o >= 0; o = next[o])
                if (t->node[o].module == t->node[c].module) weight += 1.0 / (1.0 - share + q->damping[ends[o]]), of += 1.0;
            const ptrdiff_t a = (ptrdiff_t)(ends[c + 1] - ends[c]);
            const double common = share / (1.0 + share * weight);
            for (ptrdiff_t i = 0; i < a; i++) {
                double sum = 0.0;
                for (int32_t o = c; o >= 0; o = next[o])
                    if (t->node[o].module == t->node[c].module)
                        sum += z[ends[o] + i] = g[ends[o] + i] / (1.0 - share + q->damping[ends[o]]);
                for (int32_t o = c; o >= 0; o = next[o])
                    if (t->node[o].module == t->node[c].module)
                        z[ends[o] + i] -= common * sum / (1.0 - share + q->damping[ends[o]]);
            }
            double sum = 0.0;
            for (int32_t o = c; o >= 0; o = next[o])
                if (t->node[o].module == t->node[c].module) sum += g[attributes + o];
            for (int32_t o = c; o >= 0; o = next[o])
                if (t->node[o].module == t->node[c].module)
                    z[attributes + o] = (g[attributes + o] - share / (1.0 - share + share * of) * sum) / (1.0 - share);
        }
}

int rsk_fit_create(const rsk_spec *spec, ptrdiff_t depth, rsk_fit *q) {
    memset(q, 0, sizeof *q);
    q->spec = spec;
    ptrdiff_t least = spec->module[0].length;
    for (ptrdiff_t m = 1; m < spec->modules; m++)
        if (spec->module[m].length < least) least = spec->module[m].length;
    const ptrdiff_t d = spec->dim, capacity = q->capacity = d / (least + 1) + 1;
    double *v = q->s = rsk_alloc(10 * d, sizeof *v);
    float *f = rsk_alloc(2 * d, sizeof *f);
    q->map.input = f;
    q->c = rsk_alloc(4 * capacity, sizeof *q->c);
    q->rho2 = rsk_alloc(spec->modules, sizeof *q->rho2);
    q->drop = rsk_alloc(capacity, sizeof *q->drop);
    q->moved = rsk_alloc(capacity, sizeof *q->moved);
    if (!v || !f || !q->c || !q->rho2 || !q->drop || !q->moved || !rsk_tree_create(spec, capacity, depth, &q->tree)) {
        rsk_fit_free(q);
        return 0;
    }
    q->x = v + d, q->damping = v + 2 * d;
    q->alpha = q->c + capacity, q->shared = q->c + 2 * capacity, q->error = q->c + 3 * capacity;
    const rsk_cgls_work work = {.r = v + 3 * d, .u = v + 4 * d, .g = v + 5 * d, .p = v + 6 * d, .wide = v + 7 * d,
                                .precondition = decorrelate, .context = q, .z = v + 9 * d};
    const rsk_linear map = {.spec = spec, .plan = &q->tree.plan, .scale = v + 8 * d, .input = f, .image = f + d,
                            .scratch = rsk_scratch_create(spec, &q->tree.plan, 1)};
    q->work = work;
    q->map = map;
    if (!map.scratch) rsk_fit_free(q);
    return map.scratch != NULL;
}

int rsk_fit_load(rsk_fit *q, const float *sketch, const uint8_t *mask, double noise) {
    q->map.mask = mask;
    q->kept = q->iterations = 0;
    for (ptrdiff_t k = 0; k < q->spec->dim; k++) {
        q->s[k] = 0.0;
        if (mask && !mask[k]) continue;
        if (!(fabsf(sketch[k]) <= RSK_MAX_VALUE)) return 0;
        q->s[k] = (double)sketch[k];
        q->kept++;
    }
    q->energy = rsk_dot(q->s, q->s, q->spec->dim);
    q->floor = ROUNDING * ROUNDING * q->energy;
    q->noise2 = noise * noise;
    q->root = sqrt((double)q->kept / (double)q->spec->dim);
    for (ptrdiff_t m = 0; m < q->spec->modules; m++) q->rho2[m] = 1.0;
    memcpy(q->work.r, q->s, sizeof *q->s * (size_t)q->spec->dim);
    rsk_tree_clear(&q->tree);
    rsk_fit_gauge(q);
    return 1;
}

/* ---------------------------------------------------------------- objects */

ptrdiff_t rsk_fit_unknowns(const rsk_fit *q) { return (ptrdiff_t)q->tree.plan.attribute_ends[q->tree.count] + q->tree.count; }

static double length_of(const rsk_fit *q, ptrdiff_t i) { return (double)q->spec->module[q->tree.node[i].module].length; }

/* The variance of an attribute's element before the sketch is seen. */
static double prior_of(const rsk_fit *q, ptrdiff_t i) {
    return q->alpha[i] * q->alpha[i] * q->rho2[q->tree.node[i].module] / length_of(q, i);
}

/* The square norm of an attribute, times the amplitude's square, undone what the damping shrank. */
static double energy_of(const rsk_fit *q, ptrdiff_t i) {
    const int64_t begin = q->tree.plan.attribute_ends[i], end = q->tree.plan.attribute_ends[i + 1];
    return rsk_dot(q->x + begin, q->x + begin, (ptrdiff_t)(end - begin)) / (q->shared[i] * q->shared[i]);
}

void rsk_fit_add(rsk_fit *q, int32_t parent, int32_t position, int32_t module, double amplitude) {
    const ptrdiff_t i = q->tree.count;
    const int64_t *ends = q->tree.plan.attribute_ends;
    rsk_tree_add(&q->tree, parent, position, module);
    q->c[i] = 0.0;
    q->alpha[i] = amplitude;
    q->shared[i] = 1.0;
    for (int64_t k = ends[i]; k < ends[i + 1]; k++) q->x[k] = 0.0;
}

void rsk_fit_remove(rsk_fit *q) {
    rsk_tree *t = &q->tree;
    const ptrdiff_t n = t->count;
    int64_t *ends = t->plan.attribute_ends;
    ptrdiff_t kept = 0; /* the attributes move before the tree rewrites their offsets */
    for (ptrdiff_t i = 0; i < n; i++) {
        if (t->node[i].parent >= 0 && q->drop[t->node[i].parent]) q->drop[i] = 1;
        if (q->drop[i]) continue;
        memmove(q->x + kept, q->x + ends[i], sizeof *q->x * (size_t)(ends[i + 1] - ends[i]));
        kept += (ptrdiff_t)(ends[i + 1] - ends[i]);
    }
    rsk_tree_prune(t, q->drop, q->moved);
    for (ptrdiff_t i = 0; i < n; i++) {
        if (q->moved[i] < 0) continue;
        q->c[q->moved[i]] = q->c[i];
        q->alpha[q->moved[i]] = q->alpha[i];
        q->shared[q->moved[i]] = q->shared[i];
    }
}

/* ---------------------------------------------------------------- the fit */

void rsk_fit_gauge(rsk_fit *q) {
    const double kept = (double)q->kept;
    q->square = rsk_dot(q->work.r, q->work.r, q->spec->dim);
    const double base = fmax(q->square, q->floor) / fmax(kept, 1.0);
    double spread2 = fmax(base, q->noise2), shrink = 1.0;
    for (int round = 0; round < 20; round++) {
        double freedom = 0.0;
        for (ptrdiff_t i = 0; i < q->tree.count; i++) {
            const double tau2 = prior_of(q, i);
            freedom += 1.0 + length_of(q, i) * (tau2 > 0.0 ? tau2 / (tau2 + spread2) : 0.0);
        }
        shrink = fmax(1.0 - freedom / fmax(kept, 1.0), 0.02);
        spread2 = fmax(base / (shrink * shrink), q->noise2 / shrink);
    }
    q->shrink = shrink;
    q->spread = sqrt(spread2);
    for (ptrdiff_t i = 0; i < q->tree.count; i++) {
        const double tau2 = prior_of(q, i);
        q->shared[i] = tau2 > 0.0 ? tau2 / (tau2 + spread2) : 1.0;
    }
}

int rsk_fit_clean(const rsk_fit *q) {
    return q->square <= 100.0 * q->floor || q->square <= 1.3 * q->noise2 * (double)q->kept;
}

void rsk_fit_prepare(rsk_fit *q, double damping) {
    const ptrdiff_t n = q->tree.count, attributes = (ptrdiff_t)q->tree.plan.attribute_ends[n];
    const double sigma2 = damping * q->spread * q->spread * q->shrink;
    q->map.attributes = attributes, q->map.counters = n;
    rsk_tree_program(&q->tree);
    for (ptrdiff_t i = 0; i < n; i++) {
        const double unit = 1.0 / (q->tree.plan.amplitude[i] * q->root), prior = prior_of(q, i);
        for (int64_t k = q->tree.plan.attribute_ends[i]; k < q->tree.plan.attribute_ends[i + 1]; k++) {
            q->map.scale[k] = unit;
            q->damping[k] = prior > 0.0 ? sigma2 / prior : 0.0;
        }
        q->map.scale[attributes + i] = unit * q->spec->module[q->tree.node[i].module].scale;
        q->damping[attributes + i] = 0.0;
    }
}

void rsk_fit_solve(rsk_fit *q, double damping, double tolerance) {
    const ptrdiff_t d = q->spec->dim, n = q->tree.count;
    const rsk_cgls_work *w = &q->work;
    rsk_fit_prepare(q, damping);
    memcpy(w->r, q->s, sizeof *w->r * (size_t)d);
    if (!n) return;
    const ptrdiff_t attributes = q->map.attributes, all = attributes + n;
    memcpy(w->u, q->x, sizeof *w->u * (size_t)attributes);
    memcpy(w->u + attributes, q->c, sizeof *w->u * (size_t)n);
    for (ptrdiff_t i = 0; i < all; i++) q->map.input[i] = (float)(w->u[i] * q->map.scale[i]);
    if (rsk_linear_forward(&q->map, 0.0f))
        for (ptrdiff_t k = 0; k < d; k++) w->r[k] -= (double)q->map.image[k];
    rsk_linear_adjoint(&q->map, w->r, w->g);
    for (ptrdiff_t i = 0; i < all; i++) w->g[i] -= q->damping[i] * w->u[i];
    if (damping > 0.0)
        q->iterations += rsk_cgls(&q->map, w, q->damping, 0.1 * ROUNDING * ROUNDING * q->energy,
                                  tolerance * (double)all / (double)q->kept, MOST);
    else
        q->iterations += rsk_cgls(&q->map, w, NULL, 1e-4 * rsk_dot(w->g, w->g, all), 0.0, MOST_EXACT);
    memcpy(q->x, w->u, sizeof *w->u * (size_t)attributes);
    memcpy(q->c, w->u + attributes, sizeof *w->u * (size_t)n);
}

/* ---------------------------------------------------------------- what it says of each object */

/* Its best amplitude, and the evidence for it alone. */
static double weigh(rsk_fit *q, ptrdiff_t i) {
    const double a = length_of(q, i), rho2 = q->rho2[q->tree.node[i].module];
    const double z = q->c[i] / q->spread, e = energy_of(q, i) / (q->spread * q->spread);
    const double from = fmax(z - 3.0, 0.0), to = fmax(z, 0.0) + 3.0; /* within 3 errors of what the counter says */
    enum { STEPS = 24 };
    double best = -HUGE_VAL, at = 0.0;
    for (int k = 1; k <= STEPS; k++) {
        const double alpha = from + (to - from) * k / STEPS, l = rsk_likelihood(z, e, a, alpha, rho2);
        if (l > best) best = l, at = alpha;
    }
    q->alpha[i] = fmax(at, FAINTEST) * q->spread;
    return best;
}

ptrdiff_t rsk_fit_judge(rsk_fit *q, double cost) {
    const rsk_tree *t = &q->tree;
    const int32_t *child = t->order, *next = t->order + t->capacity + 1;
    ptrdiff_t marks = 0;
    memset(q->drop, 0, (size_t)t->count);
    for (ptrdiff_t i = 0; i < t->count; i++) t->node[i].evidence = t->node[i].own = weigh(q, i) - cost;
    for (ptrdiff_t p = t->count - 1; p >= -1; p--) { /* children stand after p, and are judged */
        double sum = 0.0, most = 0.0;
        int32_t length = 0, members = 0;
        for (int32_t c = child[p + 1]; c >= 0; c = next[c]) members++;
        for (int32_t at = 0; at < members; at++) {
            int32_t c = child[p + 1];
            while (c >= 0 && t->node[c].position != at) c = next[c];
            if (c < 0) break;
            sum += t->node[c].evidence;
            if (sum > most) most = sum, length = at + 1;
        }
        for (int32_t c = child[p + 1]; c >= 0; c = next[c])
            if (t->node[c].position >= length) q->drop[c] = 1, marks++;
        if (p >= 0) t->node[p].evidence += most;
    }
    rsk_fit_gauge(q); /* the amplitudes, and with them the damping, are others now */
    return marks;
}

void rsk_fit_norms(rsk_fit *q) {
    const double noise2 = q->spread * q->spread;
    for (ptrdiff_t m = 0; m < q->spec->modules; m++) {
        double own = 0.0, counters = 0.0;
        for (ptrdiff_t i = 0; i < q->tree.count; i++) {
            if (q->tree.node[i].module != m || q->c[i] < 6.0 * q->spread) continue;
            own += fmax(energy_of(q, i) - length_of(q, i) * noise2, 0.0);
            counters += q->c[i] * q->c[i] - noise2;
        }
        q->rho2[m] = counters > 0.0 ? fmin(fmax(own / counters, 0.1), 100.0) : 1.0;
    }
}
