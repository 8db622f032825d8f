/* The joint fit of a tree's objects to a sketch, damped by what is unexplained (docs/method.md, "Unrolling"). */
#include "reading/reading.h"

#include <math.h>
#include <string.h>

#define MOST 100       /* iterations of a damped fit */
#define MOST_EXACT 400 /* iterations of an undamped one */
#define LEAST_SHRINK 0.02 /* share of the coordinates that a fit is taken to leave free, at least */
#define HALVINGS 30       /* of the interval in which that share is sought */

/* ---------------------------------------------------------------- memory */

void rsk_fit_free(rsk_fit *q) {
    rsk_tree_free(&q->tree);
    rsk_ties_free(&q->ties);
    rsk_scratch_free(q->map.scratch, q->team);
    rsk_free(q->s);
    rsk_free(q->c);
    rsk_free(q->rho2);
    rsk_free(q->tally);
    rsk_free(q->map.input);
    rsk_free(q->scale);
    rsk_free(q->sparse);
    rsk_free(q->unseen);
    rsk_free(q->drop);
    rsk_free(q->moved);
    rsk_free(q->inverse);
    memset(q, 0, sizeof *q);
}

/* The preconditioner. Siblings of one module share the identity branch of their position operators. Their columns for one element
 * therefore have a Gram matrix of about D + g 1 1', where g is the coherence and D the diagonal of 1 - g + damping. Of an attribute,
 * the first element's damping stands for all; counters have none. Other pairs of columns are taken for orthogonal. */

static double diagonal(const rsk_fit *q, ptrdiff_t object) {
    return 1.0 - q->spec->coherence + q->damping[q->tree.plan.attribute_ends[object]];
}

/* The first of o and the kin behind it that is not tied; -1 if there is none. */
static int32_t untied(const rsk_fit *q, int32_t o) {
    while (o >= 0 && rsk_is_tied(&q->ties, o)) o = q->tree.kin[o];
    return o;
}
static int32_t next_untied(const rsk_fit *q, int32_t o) { return untied(q, q->tree.kin[o]); }

/* z = (D + g 1 1')^-1 g for the attributes of a list of kin, by Sherman and Morrison: D^-1 g less a multiple of D^-1 1. */
static void decorrelate_attributes(const rsk_fit *q, int32_t eldest, const double *g, double *z) {
    const int64_t *ends = q->tree.plan.attribute_ends, a = ends[eldest + 1] - ends[eldest];
    const double coherence = q->spec->coherence;
    double *inverse = q->inverse, *sum = q->pooled, weight = 0.0; /* of D; 1' D^-1 g; 1' D^-1 1 */
    for (int32_t o = eldest; o >= 0; o = next_untied(q, o)) weight += inverse[o] = 1.0 / diagonal(q, o);
    const double common = coherence / (1.0 + coherence * weight);
    for (ptrdiff_t i = 0; i < a; i++) sum[i] = 0.0;
    for (int32_t o = eldest; o >= 0; o = next_untied(q, o))
        for (ptrdiff_t i = 0; i < a; i++) sum[i] += z[ends[o] + i] = g[ends[o] + i] * inverse[o];
    for (int32_t o = eldest; o >= 0; o = next_untied(q, o)) {
        const double part = common * inverse[o];
        for (ptrdiff_t i = 0; i < a; i++) z[ends[o] + i] -= part * sum[i];
    }
}

/* The same for their counters, where D is (1 - g) I. */
static void decorrelate_counters(const rsk_fit *q, int32_t eldest, const double *g, double *z) {
    const double coherence = q->spec->coherence;
    double sum = 0.0, count = 0.0;
    for (int32_t o = eldest; o >= 0; o = next_untied(q, o)) sum += g[o], count += 1.0;
    for (int32_t o = eldest; o >= 0; o = next_untied(q, o))
        z[o] = (g[o] - coherence / (1.0 - coherence + coherence * count) * sum) / (1.0 - coherence);
}

/* The variables of tied nodes are in many tuples, and are taken for orthogonal to all others. */
static void decorrelate(const void *context, const double *g, double *z) {
    const rsk_fit *q = context;
    const int64_t *ends = q->tree.plan.attribute_ends;
    for (int32_t i = 0; i < q->tree.count; i++) {
        if (rsk_is_tied(&q->ties, i)) {
            for (int64_t k = ends[i]; k < ends[i + 1]; k++) z[k] = g[k] / (1.0 + q->damping[k]);
            z[q->map.attributes + i] = g[q->map.attributes + i];
        }
        const int32_t eldest = q->tree.eldest[i] ? untied(q, i) : -1;
        if (eldest < 0) continue;
        decorrelate_attributes(q, eldest, g, z);
        decorrelate_counters(q, eldest, g + q->map.attributes, z + q->map.attributes);
    }
}

int rsk_fit_create(const rsk_spec *spec, const rsk_unroll_params *params, rsk_stop *stop, int worker, int team, rsk_fit *q) {
    memset(q, 0, sizeof *q);
    q->spec = spec, q->team = team;
    q->told_norm2 = params->norm2;
    q->told = params->sparsity, q->free = params->free;
    int sparse = 0;
    for (ptrdiff_t m = 0; q->told && m < spec->modules; m++) sparse |= q->told[m].kind != RSK_DENSE;
    ptrdiff_t least = spec->module[0].length;
    for (ptrdiff_t m = 1; m < spec->modules; m++)
        if (spec->module[m].length < least) least = spec->module[m].length;
    /* Sparse attributes may have more elements than the sketch has coordinates. */
    const ptrdiff_t d = spec->dim, times = sparse ? RSK_SPARSE_ROOM : params->signature ? RSK_TIED_ROOM : 1;
    const ptrdiff_t room = q->memory = (q->room = times * d) + d;
    const ptrdiff_t capacity = q->capacity = room / (least + 1) + 1;
    q->objects = q->room / (least + 1) + 1;
    double *v = q->s = rsk_alloc(3 * d + 7 * room, sizeof *v);
    float *f = rsk_alloc(d + room, sizeof *f);
    q->map.input = f;
    q->c = rsk_alloc(7 * capacity, sizeof *q->c);
    q->rho2 = rsk_alloc(2 * spec->modules, sizeof *q->rho2);
    q->tally = rsk_alloc(4 * spec->modules, sizeof *q->tally);
    q->sparse = rsk_calloc(spec->modules, sizeof *q->sparse);
    q->unseen = rsk_alloc(spec->modules, sizeof *q->unseen);
    q->drop = rsk_alloc(capacity, sizeof *q->drop);
    q->moved = rsk_alloc(capacity, sizeof *q->moved);
    q->inverse = rsk_alloc(capacity + spec->max_length, sizeof *q->inverse);
    q->scale = rsk_alloc(room, sizeof *q->scale);
    if (!v || !f || !q->c || !q->rho2 || !q->tally || !q->sparse || !q->unseen || !q->scale || !q->drop || !q->moved || !q->inverse ||
        !rsk_tree_create(spec, capacity, params->max_depth, &q->tree) || !rsk_ties_create(params->signature, capacity, room, &q->ties)) {
        rsk_fit_free(q);
        return 0;
    }
    double *u = v + 3 * d;
    q->pooled = q->inverse + capacity;
    q->rate = q->rho2 + spec->modules;
    q->x = u, q->damping = u + room, q->prior = u + 2 * room;
    q->alpha = q->c + capacity, q->error = q->c + 2 * capacity, q->free_error = q->c + 3 * capacity;
    q->count_error = q->c + 4 * capacity, q->rest_count = q->c + 5 * capacity, q->rest_error = q->c + 6 * capacity;
    const rsk_cgls_work work = {.r = v + d, .image = v + 2 * d, .u = u + 3 * room, .g = u + 4 * room, .p = u + 5 * room,
                                .precondition = decorrelate, .context = q, .z = u + 6 * room};
    const rsk_linear map = {.spec = spec, .plan = &q->tree.plan, .scale = q->scale, .input = f, .image = f + room,
                            .scratch = rsk_scratch_create(spec, &q->tree.plan, team, stop)};
    q->work = work;
    q->map = map;
    if (map.scratch) map.scratch->worker = team > 1 ? 0 : worker;
    else rsk_fit_free(q);
    return map.scratch != NULL;
}

int rsk_fit_load(rsk_fit *q, const float *sketch, const uint8_t *mask, double noise) {
    q->map.mask = rsk_load_mask(q->spec, mask, q->map.scratch);
    q->iterations = 0, q->rests = 0;
    q->kept = rsk_load_kept(q->spec, sketch, q->map.mask, q->map.scratch, q->s);
    if (q->kept < 0) return 0;
    q->energy = rsk_dot(q->s, q->s, q->spec->dim);
    q->floor = RSK_TWO_SWEEPS * RSK_TWO_SWEEPS * q->energy;
    q->noise2 = noise * noise;
    q->root = sqrt((double)q->kept / (double)q->spec->dim);
    /* The squared amplitudes of the outputs sum to top^2, those of each further level to share^2 of the level above. An object of
     * squared amplitude A^2 and attribute norm n brings the energy A^2 (1 + n^2). Norms are at least as large as follows from the
     * sketch's energy, unless the counters of one tuple add up. */
    const double top = rsk_tree_root(q->spec) * q->root, share = rsk_tree_share(q->spec);
    const double energy = fmax(q->energy - q->noise2 * (double)q->kept, 0.0);
    const double loudest = q->spec->weighting == RSK_WEIGHTS_BALANCED ? top / q->spec->branch : top / sqrt(1.0 - share * share);
    q->norm2 = q->told_norm2 > 0.0 ? q->told_norm2 : q->kept ? fmax(energy / (loudest * loudest) - 1.0, 1.0) : 1.0;
    q->any_sparse = 0;
    for (ptrdiff_t m = 0; m < q->spec->modules; m++) {
        const double a = (double)(q->spec->module[m].length - q->free);
        q->rho2[m] = q->norm2;
        q->unseen[m] = !(q->told_norm2 > 0.0);
        q->rate[m] = q->told && q->told[m].nonzeros ? fmin((double)q->told[m].nonzeros / a, 0.5) : RSK_RATE;
        q->sparse[m] = q->told && q->told[m].kind == RSK_SPARSE;
        q->any_sparse |= q->sparse[m];
    }
    memcpy(q->work.r, q->s, sizeof *q->s * (size_t)q->spec->dim);
    rsk_tree_clear(&q->tree);
    q->ties.any = 0;
    rsk_fit_estimate_noise(q);
    return 1;
}

/* ---------------------------------------------------------------- objects */

ptrdiff_t rsk_fit_places(const rsk_fit *q) { return (ptrdiff_t)q->tree.plan.attribute_ends[q->tree.count] + q->tree.count; }

ptrdiff_t rsk_fit_unknowns(const rsk_fit *q) {
    const int64_t *ends = q->tree.plan.attribute_ends;
    ptrdiff_t n = rsk_fit_places(q);
    for (ptrdiff_t i = 0; q->ties.any && i < q->tree.count; i++)
        if (q->ties.lead[i] != i) n -= (ptrdiff_t)(ends[i + 1] - ends[i]);
    return n;
}

/* Where the elements of object i that are no part of its attribute begin. Together these may have a norm of one. */
static int64_t free_begin(const rsk_fit *q, ptrdiff_t i) { return q->tree.plan.attribute_ends[i + 1] - q->free; }

double rsk_fit_dense_prior(const rsk_fit *q, ptrdiff_t i, int64_t k, double amplitude) {
    const double norm2 = k >= free_begin(q, i) ? 1.0 / (double)q->free : q->rho2[q->tree.node[i].module] / rsk_fit_length(q, i);
    return amplitude * amplitude * norm2;
}

double rsk_fit_free_element(const rsk_fit *q, int64_t k) { return q->x[k] * (1.0 + q->damping[k] / q->shrink); }

void rsk_fit_add(rsk_fit *q, int32_t parent, int32_t position, int32_t module, double amplitude) {
    const ptrdiff_t i = q->tree.count;
    const int64_t *ends = q->tree.plan.attribute_ends;
    rsk_tree_add(&q->tree, parent, position, module);
    rsk_ties_add(&q->ties, i);
    q->c[i] = 0.0;
    q->alpha[i] = amplitude;
    for (int64_t k = ends[i]; k < ends[i + 1]; k++) {
        q->x[k] = q->damping[k] = 0.0;
        q->prior[k] = k < rsk_fit_sparse_end(q, i) ? 0.05 * q->spread * q->spread : rsk_fit_dense_prior(q, i, k, amplitude);
    }
}

void rsk_fit_remove(rsk_fit *q) {
    rsk_tree *t = &q->tree;
    const ptrdiff_t n = t->count;
    int64_t *ends = t->plan.attribute_ends;
    ptrdiff_t kept = 0; /* Elements move first, as the tree then rewrites their offsets. */
    for (ptrdiff_t i = 0; i < n; i++) {
        if (t->node[i].parent >= 0 && q->drop[t->node[i].parent]) q->drop[i] = 1;
        for (int64_t k = ends[i]; !q->drop[i] && k < ends[i + 1]; k++, kept++)
            q->x[kept] = q->x[k], q->damping[kept] = q->damping[k], q->prior[kept] = q->prior[k];
    }
    rsk_tree_prune(t, q->drop, q->moved);
    for (ptrdiff_t i = 0; i < n; i++)
        if (q->moved[i] >= 0) q->c[q->moved[i]] = q->c[i], q->alpha[q->moved[i]] = q->alpha[i];
    rsk_ties_move(&q->ties, n, q->moved);
    rsk_ties_set(&q->ties, t, q->x, q->c);
}

/* ---------------------------------------------------------------- the fit */

/* The variance of a solver's variable: C u of a group has that of its nodes' elements together. */
static double prior_of(const rsk_fit *q, ptrdiff_t i, int64_t k) {
    if (!rsk_is_tied(&q->ties, i)) return q->prior[k];
    const int64_t *ends = q->tree.plan.attribute_ends;
    double sum = 0.0;
    for (ptrdiff_t j = q->ties.lead[i]; j >= 0; j = q->ties.next[j]) sum += q->prior[ends[j] + k - ends[i]];
    return sum;
}

/* The fit's degrees of freedom at noise of a variance: counters are free, and an element of variance p has p / (p + noise). */
static double freedom(const rsk_fit *q, double noise) {
    const int64_t *ends = q->tree.plan.attribute_ends;
    double sum = (double)q->tree.count;
    for (ptrdiff_t i = 0; i < q->tree.count; i++) {
        const double first = prior_of(q, i, ends[i]), last = prior_of(q, i, ends[i + 1] - 1), free = (double)q->free;
        if (q->ties.any && q->ties.lead[i] != i) continue;
        if (rsk_fit_is_sparse(q, i))
            for (int64_t k = ends[i]; k < ends[i + 1]; k++) sum += q->prior[k] / (q->prior[k] + noise);
        else
            sum += (rsk_fit_length(q, i) - free) * first / (first + noise) + free * last / (last + noise);
    }
    return sum;
}

/* The smaller the share of coordinates that the fit leaves free, the more noise there must have been for the residual that it left; and
 * the more noise, the larger that share. So there is one where both agree, between LEAST_SHRINK and 1. */
void rsk_fit_estimate_noise(rsk_fit *q) {
    const double kept = fmax((double)q->kept, 1.0);
    q->square = rsk_dot(q->work.r, q->work.r, q->spec->dim);
    const double base = fmax(q->square, q->floor) / kept;
    double low = LEAST_SHRINK, high = 1.0;
    for (int halving = 0; halving < HALVINGS; halving++) {
        const double shrink = 0.5 * (low + high), noise = fmax(base / (shrink * shrink), q->noise2 / shrink);
        if (1.0 - freedom(q, noise) / kept > shrink) low = shrink;
        else high = shrink;
    }
    q->shrink = high;
    q->spread = sqrt(fmax(base / (q->shrink * q->shrink), q->noise2 / q->shrink));
}

int rsk_fit_clean(const rsk_fit *q) {
    if (!rsk_fit_determined(q)) return 0;
    return q->square <= RSK_NEARLY * q->floor || q->square <= 1.3 * q->noise2 * (double)q->kept;
}

int rsk_fit_in_support(const rsk_fit *q, ptrdiff_t i, int64_t k) {
    return k >= rsk_fit_sparse_end(q, i) || q->prior[k] >= q->spread * q->spread;
}

void rsk_fit_prepare(rsk_fit *q, double damping) {
    const ptrdiff_t n = q->tree.count, attributes = (ptrdiff_t)q->tree.plan.attribute_ends[n];
    const double spread2 = q->spread * q->spread, sigma2 = damping * spread2 * q->shrink;
    q->map.attributes = attributes, q->map.counters = n;
    q->map.ties = q->ties.any ? &q->ties : NULL;
    rsk_tree_program(&q->tree);
    for (ptrdiff_t i = 0; i < n; i++) {
        const double unit = 1.0 / (q->tree.plan.amplitude[i] * q->root);
        for (int64_t k = q->tree.plan.attribute_ends[i]; k < q->tree.plan.attribute_ends[i + 1]; k++) {
            const int out = damping == 0.0 && !rsk_fit_in_support(q, i, k);
            q->map.scale[k] = out ? 0.0 : unit;
            q->damping[k] = sigma2 / fmax(prior_of(q, i, k), 1e-300);
            if (out) q->x[k] = 0.0;
        }
        q->map.scale[attributes + i] = unit;
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
    if (q->map.ties) rsk_ties_enter(q->map.ties, &q->tree.plan, attributes, q->linear, w->u);
    rsk_linear_adjoint(&q->map, w->r, w->g);
    for (ptrdiff_t i = 0; i < all; i++) w->g[i] -= q->damping[i] * w->u[i];
    if (damping > 0.0)
        q->iterations += rsk_linear_cgls(&q->map, w, q->damping, 0.1 * RSK_TWO_SWEEPS * RSK_TWO_SWEEPS * q->energy,
                                  tolerance * (double)(all < d ? all : d) / (double)q->kept, MOST);
    else
        q->iterations += rsk_linear_cgls(&q->map, w, NULL, tolerance * rsk_dot(w->g, w->g, all), 0.0, MOST_EXACT);
    if (q->map.ties) rsk_ties_leave(q->map.ties, &q->tree.plan, attributes, q->linear, w->u);
    memcpy(q->x, w->u, sizeof *w->u * (size_t)attributes);
    memcpy(q->c, w->u + attributes, sizeof *w->u * (size_t)n);
    if (!q->linear) rsk_ties_set(&q->ties, &q->tree, q->x, q->c);
}
