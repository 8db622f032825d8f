/* The joint fit of a tree's objects to a sketch, damped by what is unexplained, and what it says of each of them
 * (docs/design.md, section 8). */
#include "reading/reading.h"

#include <math.h>
#include <string.h>

#define ROUNDING 3e-7 /* of a sketch, as a norm: a residual below it is float32's */
#define FAINTEST 0.7  /* errors, of an attribute of norm one; the least amplitude that a prior is made from */
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
    rsk_free(q->scale);
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

int rsk_fit_create(const rsk_spec *spec, const rsk_unroll_params *params, rsk_stop *stop, int worker, rsk_fit *q) {
    memset(q, 0, sizeof *q);
    q->spec = spec;
    q->sparse = params->sparse, q->nonzeros = params->nonzeros, q->nonnegative = params->nonnegative;
    ptrdiff_t least = spec->module[0].length;
    for (ptrdiff_t m = 1; m < spec->modules; m++)
        if (spec->module[m].length < least) least = spec->module[m].length;
    /* sparse attributes may have more elements than the sketch has coordinates */
    const ptrdiff_t d = spec->dim, room = q->room = (q->sparse ? RSK_SPARSE_ROOM : 1) * d;
    const ptrdiff_t capacity = q->capacity = room / (least + 1) + 1;
    double *v = q->s = rsk_alloc(3 * d + 7 * room, sizeof *v);
    float *f = rsk_alloc(d + room, sizeof *f);
    q->map.input = f;
    q->c = rsk_alloc(3 * capacity, sizeof *q->c);
    q->rho2 = rsk_alloc(2 * spec->modules, sizeof *q->rho2);
    q->drop = rsk_alloc(capacity, sizeof *q->drop);
    q->moved = rsk_alloc(capacity, sizeof *q->moved);
    q->scale = rsk_alloc(room, sizeof *q->scale);
    if (!v || !f || !q->c || !q->rho2 || !q->scale || !q->drop || !q->moved || !rsk_tree_create(spec, capacity, params->max_depth, &q->tree)) {
        rsk_fit_free(q);
        return 0;
    }
    double *u = v + 3 * d;
    q->rate = q->rho2 + spec->modules;
    q->x = u, q->damping = u + room, q->prior = u + 2 * room;
    q->alpha = q->c + capacity, q->error = q->c + 2 * capacity;
    const rsk_cgls_work work = {.r = v + d, .wide = v + 2 * d, .u = u + 3 * room, .g = u + 4 * room, .p = u + 5 * room,
                                .precondition = decorrelate, .context = q, .z = u + 6 * room};
    const rsk_linear map = {.spec = spec, .plan = &q->tree.plan, .scale = q->scale, .input = f, .image = f + room,
                            .scratch = rsk_scratch_create(spec, &q->tree.plan, 1, stop)};
    q->work = work;
    q->map = map;
    if (map.scratch) map.scratch->worker = worker;
    else rsk_fit_free(q);
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
    /* the squared amplitudes of a level sum to top^2, share^2 of the level's above; 1 + norm^2 of each is energy: norms are at
     * least so large, unless counters of one tuple add up */
    const double top = rsk_tree_root(q->spec) * q->root, share = rsk_tree_share(q->spec);
    const double energy = fmax(q->energy - q->noise2 * (double)q->kept, 0.0);
    q->norm2 = q->kept ? fmax(energy * (1.0 - share * share) / (top * top) - 1.0, 1.0) : 1.0;
    for (ptrdiff_t m = 0; m < q->spec->modules; m++) {
        const double a = (double)q->spec->module[m].length;
        q->rho2[m] = q->norm2;
        q->rate[m] = q->nonzeros ? fmin((double)q->nonzeros / a, 0.5) : 0.1;
    }
    memcpy(q->work.r, q->s, sizeof *q->s * (size_t)q->spec->dim);
    rsk_tree_clear(&q->tree);
    rsk_fit_estimate_noise(q);
    return 1;
}

/* ---------------------------------------------------------------- objects */

ptrdiff_t rsk_fit_unknowns(const rsk_fit *q) { return (ptrdiff_t)q->tree.plan.attribute_ends[q->tree.count] + q->tree.count; }

static double length_of(const rsk_fit *q, ptrdiff_t i) { return (double)q->spec->module[q->tree.node[i].module].length; }

double rsk_fit_free_element(const rsk_fit *q, int64_t k) { return q->x[k] * (1.0 + q->damping[k] / q->shrink); }

/* The square norm of an attribute, times the amplitude's square. */
static double energy_of(const rsk_fit *q, ptrdiff_t i) {
    double sum = 0.0;
    for (int64_t k = q->tree.plan.attribute_ends[i]; k < q->tree.plan.attribute_ends[i + 1]; k++) sum += rsk_fit_free_element(q, k) * rsk_fit_free_element(q, k);
    return sum;
}

void rsk_fit_add(rsk_fit *q, int32_t parent, int32_t position, int32_t module, double amplitude) {
    const ptrdiff_t i = q->tree.count;
    const int64_t *ends = q->tree.plan.attribute_ends;
    rsk_tree_add(&q->tree, parent, position, module);
    q->c[i] = 0.0;
    q->alpha[i] = amplitude;
    for (int64_t k = ends[i]; k < ends[i + 1]; k++) {
        q->x[k] = q->damping[k] = 0.0;
        q->prior[k] = q->sparse ? 0.05 * q->spread * q->spread : amplitude * amplitude * q->rho2[module] / length_of(q, i);
    }
}

void rsk_fit_remove(rsk_fit *q) {
    rsk_tree *t = &q->tree;
    const ptrdiff_t n = t->count;
    int64_t *ends = t->plan.attribute_ends;
    ptrdiff_t kept = 0; /* the elements move before the tree rewrites their offsets */
    for (ptrdiff_t i = 0; i < n; i++) {
        if (t->node[i].parent >= 0 && q->drop[t->node[i].parent]) q->drop[i] = 1;
        for (int64_t k = ends[i]; !q->drop[i] && k < ends[i + 1]; k++, kept++)
            q->x[kept] = q->x[k], q->damping[kept] = q->damping[k], q->prior[kept] = q->prior[k];
    }
    rsk_tree_prune(t, q->drop, q->moved);
    for (ptrdiff_t i = 0; i < n; i++)
        if (q->moved[i] >= 0) q->c[q->moved[i]] = q->c[i], q->alpha[q->moved[i]] = q->alpha[i];
}

/* ---------------------------------------------------------------- the fit */

void rsk_fit_estimate_noise(rsk_fit *q) {
    const double kept = fmax((double)q->kept, 1.0);
    const int64_t *ends = q->tree.plan.attribute_ends;
    q->square = rsk_dot(q->work.r, q->work.r, q->spec->dim);
    const double base = fmax(q->square, q->floor) / kept;
    double spread2 = fmax(base, q->noise2), shrink = 1.0;
    for (int round = 0; round < 20; round++) {
        double freedom = 0.0;
        for (ptrdiff_t i = 0; i < q->tree.count; i++) {
            freedom += 1.0;
            if (q->sparse)
                for (int64_t k = ends[i]; k < ends[i + 1]; k++) freedom += q->prior[k] / (q->prior[k] + spread2);
            else
                freedom += length_of(q, i) * q->prior[ends[i]] / (q->prior[ends[i]] + spread2);
        }
        shrink = fmax(1.0 - freedom / kept, 0.02);
        spread2 = fmax(base / (shrink * shrink), q->noise2 / shrink);
    }
    q->shrink = shrink;
    q->spread = sqrt(spread2);
}

int rsk_fit_clean(const rsk_fit *q) {
    return q->square <= 100.0 * q->floor || q->square <= 1.3 * q->noise2 * (double)q->kept;
}

int rsk_fit_in_support(const rsk_fit *q, int64_t k) { return !q->sparse || q->prior[k] >= q->spread * q->spread; }

void rsk_fit_prepare(rsk_fit *q, double damping) {
    const ptrdiff_t n = q->tree.count, attributes = (ptrdiff_t)q->tree.plan.attribute_ends[n];
    const double spread2 = q->spread * q->spread, sigma2 = damping * spread2 * q->shrink;
    q->map.attributes = attributes, q->map.counters = n;
    rsk_tree_program(&q->tree);
    for (ptrdiff_t i = 0; i < n; i++) {
        const double unit = 1.0 / (q->tree.plan.amplitude[i] * q->root);
        for (int64_t k = q->tree.plan.attribute_ends[i]; k < q->tree.plan.attribute_ends[i + 1]; k++) {
            const int out = damping == 0.0 && !rsk_fit_in_support(q, k);
            q->map.scale[k] = out ? 0.0 : unit;
            q->damping[k] = sigma2 / fmax(q->prior[k], 1e-300);
            if (out) q->x[k] = 0.0;
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
                                  tolerance * (double)(all < d ? all : d) / (double)q->kept, MOST);
    else
        q->iterations += rsk_cgls(&q->map, w, NULL, 1e-4 * rsk_dot(w->g, w->g, all), 0.0, MOST_EXACT);
    memcpy(q->x, w->u, sizeof *w->u * (size_t)attributes);
    memcpy(q->c, w->u + attributes, sizeof *w->u * (size_t)n);
}

/* ---------------------------------------------------------------- what it says of each object */

/* A sparse attribute's element is zero, or, with probability `rate`, of variance A^2 rho^2 / (a rate): its log-likelihood ratio
 * against zero for sure, and its posterior share of the second. */
typedef struct odds {
    double rate, of_square, constant, kept; /* kept: what of a non-zero element its noise leaves */
} odds;

static odds odds_of(const rsk_fit *q, ptrdiff_t i) {
    const int32_t m = q->tree.node[i].module;
    const double spread2 = q->spread * q->spread, rate = q->rate[m];
    const double v = q->alpha[i] * q->alpha[i] * q->rho2[m] / (length_of(q, i) * rate * spread2);
    const odds o = {rate, 0.5 * v / (1.0 + v) / spread2, -0.5 * log1p(v), v / (1.0 + v)};
    return o;
}

static double share_of(const rsk_fit *q, const odds *o, double y, double *ratio) {
    const double l = q->nonnegative && y < 0.0 ? -HUGE_VAL : fmin(y * y * o->of_square + o->constant, 600.0);
    const double both = 1.0 - o->rate + o->rate * exp(l);
    if (ratio) *ratio += log(both);
    return o->rate * exp(l) / both;
}

/* The prior of an object's elements for the next fit. */
static void expect(rsk_fit *q, ptrdiff_t i) {
    const int64_t begin = q->tree.plan.attribute_ends[i], end = q->tree.plan.attribute_ends[i + 1];
    const double spread2 = q->spread * q->spread;
    if (!q->sparse) {
        const double prior = q->alpha[i] * q->alpha[i] * q->rho2[q->tree.node[i].module] / length_of(q, i);
        for (int64_t k = begin; k < end; k++) q->prior[k] = prior;
        return;
    }
    const odds o = odds_of(q, i);
    for (int64_t k = begin; k < end; k++) { /* such that the next fit shrinks to the posterior mean */
        const double m = fmin(share_of(q, &o, rsk_fit_free_element(q, k), NULL) * o.kept, 1.0 - 1e-9);
        q->prior[k] = spread2 * fmax(m / (1.0 - m), 0.01);
    }
}

/* An object's best amplitude, and the evidence for it alone. */
static double weigh(rsk_fit *q, ptrdiff_t i) {
    const double a = length_of(q, i), rho2 = q->rho2[q->tree.node[i].module], z = q->c[i] / q->spread;
    double best = -HUGE_VAL, at = fmax(z, 0.0);
    if (q->sparse) {
        q->alpha[i] = fmax(at, FAINTEST) * q->spread;
        const odds o = odds_of(q, i);
        best = z * at - 0.5 * at * at;
        for (int64_t k = q->tree.plan.attribute_ends[i]; k < q->tree.plan.attribute_ends[i + 1]; k++)
            share_of(q, &o, rsk_fit_free_element(q, k), &best);
        return best;
    }
    const double e = energy_of(q, i) / (q->spread * q->spread);
    const double from = fmax(z - 3.0, 0.0), to = fmax(z, 0.0) + 3.0; /* within 3 errors of what the counter says */
    enum { STEPS = 24 };
    for (int k = 1; k <= STEPS; k++) {
        const double step = (double)k / STEPS; /* a large attribute tells amplitudes that are far below the counter's error */
        const double alpha = from + (to - from) * (q->norm2 > 1.0 ? step * step : step), l = rsk_likelihood(z, e, a, alpha, rho2);
        if (l > best) best = l, at = alpha;
    }
    q->alpha[i] = fmax(at, FAINTEST / sqrt(q->norm2)) * q->spread;
    return best;
}

ptrdiff_t rsk_fit_prune(rsk_fit *q, double cost) {
    const rsk_tree *t = &q->tree;
    const int32_t *child = t->order, *next = t->order + t->capacity + 1;
    ptrdiff_t marks = 0;
    memset(q->drop, 0, (size_t)t->count);
    for (ptrdiff_t i = 0; i < t->count; i++) {
        t->node[i].evidence = t->node[i].own = weigh(q, i) - cost;
        expect(q, i);
    }
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
    rsk_fit_estimate_noise(q); /* the priors are others now, and with them the degrees of freedom */
    return marks;
}

void rsk_fit_norms(rsk_fit *q) {
    const double noise2 = q->spread * q->spread;
    for (ptrdiff_t m = 0; m < q->spec->modules; m++) {
        double own = 0.0, counters = 0.0, nonzero = 1.0, elements = 10.0;
        for (ptrdiff_t i = 0; i < q->tree.count; i++) {
            if (q->tree.node[i].module != m || q->c[i] < RSK_CLEAR * q->spread) continue;
            counters += q->c[i] * q->c[i] - noise2;
            if (!q->sparse) {
                own += fmax(energy_of(q, i) - length_of(q, i) * noise2, 0.0);
                continue;
            }
            const odds o = odds_of(q, i);
            for (int64_t k = q->tree.plan.attribute_ends[i]; k < q->tree.plan.attribute_ends[i + 1]; k++) {
                const double y = rsk_fit_free_element(q, k), share = share_of(q, &o, y, NULL);
                own += share * fmax(y * y - noise2, 0.0);
                nonzero += share, elements += 1.0;
            }
        }
        q->rho2[m] = counters > 0.0 ? fmin(fmax(own / counters, 0.1), 100.0 * q->norm2) : q->norm2;
        if (q->sparse && !q->nonzeros) q->rate[m] = fmin(fmax(nonzero / elements, 1e-3), 0.5);
    }
}
