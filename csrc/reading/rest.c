/* What tuples lack, pooled: beyond capacity the members that were not found are fitted together, one object a tuple and module.
 *
 * A member at position i is seen through T_i = t (cos I + sin R_i). Its R_i is unknown unless it is found, and acts as noise; the identity
 * is the same for all. So members that are missing add up, times cos, in an object without a position, whose counter is the sum of
 * theirs and whose attribute is the sum of theirs, each times its amplitude. */
#include "reading/reading.h"

#include <math.h>
#include <string.h>

#define TURNS 4        /* fits, after each of which priors are set anew and rests may be dropped */
#define FIT 1e-3       /* squared gradient over squared residual of these */
#define STANDS_OUT 5.0 /* standard errors that the counter of a rest must have whose module was not found in its tuple */
#define SEEN 2.5       /* standard errors below which a rest is dropped */
/* A tuple that seems to lack so many times the inputs there may be has an owner whose counter is too wrong to tell. */
#define MOST 2.0

rsk_tuple rsk_fit_tuple(const rsk_fit *f, ptrdiff_t p, const double *c) {
    rsk_tuple t = {.last = -1};
    for (int32_t i = rsk_tree_first(&f->tree, p); i >= 0; i = f->tree.next[i]) {
        if (rsk_is_rest(&f->tree, i)) {
            t.rests++, t.pooled += fmax(c[i], 0.0);
            continue;
        }
        t.members++, t.sum += fmax(c[i], 0.0), t.used += rsk_tree_part(f->spec, c[i]);
        if (f->tree.node[i].position > t.last) t.last = f->tree.node[i].position;
    }
    t.pooled /= sqrt(f->spec->coherence);
    return t;
}

double rsk_fit_lacks(const rsk_fit *f, ptrdiff_t p, const rsk_tuple *t) {
    const double owner = rsk_tree_owner(&f->tree, p, f->c, f->root), share = t->used / (double)t->members;
    if (f->spec->weighting == RSK_WEIGHTS_BALANCED && p == RSK_ROOT) return 0.0;
    ptrdiff_t k = t->members;
    while (k < f->spec->max_inputs && rsk_tree_whole(f->spec, owner, k + 1) > share * ((double)k + 0.5)) k++;
    return (double)(k - t->members);
}

/* The whole of k members, where k need not be an integer. */
static double whole_of(const rsk_spec *spec, double owner, double k) {
    const ptrdiff_t low = (ptrdiff_t)k;
    const double below = rsk_tree_whole(spec, owner, low);
    return below + (k - (double)low) * (rsk_tree_whole(spec, owner, low + 1) - below);
}

/* How many members p's tuple lacks, of all modules; 0 if that is not known. Their amplitudes sum to S, which the rests' counters tell, and
 * the parts of all members to the whole. So n of them have n (whole - used) = S^2; with uneven weights n is an effective number. Errors of
 * counters, which have the square error2[i], enlarge the sum of the found ones' squares, which is at least what equal counters have. */
static double count_of(const rsk_fit *f, ptrdiff_t p, const double *c, const double *error2) {
    const rsk_spec *spec = f->spec;
    const rsk_tuple t = rsk_fit_tuple(f, p, c);
    double owner = rsk_tree_owner(&f->tree, p, c, f->root), excess = 0.0;
    if (spec->weighting == RSK_WEIGHTS_COUNT) return t.pooled / fmax(rsk_tree_whole(spec, owner, 1), 1e-300);
    /* Where a sum is all that the whole tells, or is not known, missing members are taken to weigh what the found ones do. */
    if (!rsk_adds_squares(spec) || (spec->weighting == RSK_WEIGHTS_BALANCED && p == RSK_ROOT))
        return t.members ? t.pooled * (double)t.members / fmax(t.sum, 1e-300) : 0.0;
    for (int32_t i = rsk_tree_first(&f->tree, p); i >= 0; i = f->tree.next[i])
        if (!rsk_is_rest(&f->tree, i)) excess += error2[i];
    if (p != RSK_ROOT) owner = sqrt(fmax(owner * owner - error2[p], 0.25 * owner * owner));
    const double used = fmax(t.used - excess, t.members ? t.sum * t.sum / (double)t.members : 0.0);
    double low = 0.0, high = MOST * (double)spec->max_inputs;
    for (int turn = 0; turn < 40; turn++) {
        const double n = 0.5 * (low + high);
        if (n * (whole_of(spec, owner, (double)t.members + n) - used) > t.pooled * t.pooled) high = n;
        else low = n;
    }
    return high < MOST * (double)spec->max_inputs ? low : 0.0;
}

void rsk_fit_counts(const rsk_fit *f, const double *c, const double *error2, double *count) {
    for (ptrdiff_t p = RSK_ROOT; p < f->tree.count - f->rests; p++) {
        const rsk_tuple t = rsk_fit_tuple(f, p, c);
        if (!t.rests) continue;
        const double all = count_of(f, p, c, error2), sum = fmax(t.pooled * sqrt(f->spec->coherence), 1e-300);
        for (int32_t i = rsk_tree_first(&f->tree, p); i >= 0; i = f->tree.next[i])
            if (rsk_is_rest(&f->tree, i)) count[i] = all * fmax(c[i], 0.0) / sum;
    }
}

/* Adds a rest. Returns 0 if there is no more room. */
static int add_rest(rsk_fit *f, ptrdiff_t p, int32_t m, double amplitude) {
    const ptrdiff_t i = f->tree.count;
    if (i + 1 >= f->capacity || rsk_fit_places(f) + f->spec->module[m].length + 1 > f->memory) return 0;
    rsk_fit_add(f, (int32_t)p, RSK_NO_POSITION, m, amplitude);
    f->tree.plan.amplitude[i] /= sqrt(f->spec->stretch2); /* T_i is left out */
    f->rests++;
    return 1;
}

/* Drops what `drop` marks. */
static void drop_rests(rsk_fit *f) {
    ptrdiff_t dropped = 0;
    for (ptrdiff_t i = f->tree.count - f->rests; i < f->tree.count; i++) dropped += f->drop[i];
    rsk_fit_remove(f);
    f->rests -= dropped;
}

/* Of the rests from `first` on, drops those that do not stand out of the residual. */
static void scan(rsk_fit *f, ptrdiff_t first) {
    const ptrdiff_t n = f->tree.count;
    if (first == n) return;
    double *g = f->work.g;
    rsk_fit_prepare(f, 1.0);
    rsk_linear_adjoint(&f->map, f->work.r, g);
    memset(f->drop, 0, (size_t)n);
    for (ptrdiff_t i = first; i < n; i++) f->drop[i] = g[f->map.attributes + i] < STANDS_OUT * f->spread * f->shrink;
    drop_rests(f);
    rsk_tree_program(&f->tree);
}

/* Adds a rest for each module that was found in a tuple, which may lack as much as was found. */
static void add_likely(rsk_fit *f) {
    const ptrdiff_t n = f->tree.count;
    rsk_tree_program(&f->tree); /* its lists stay those of the found objects */
    for (ptrdiff_t p = RSK_ROOT; p < n; p++) {
        const rsk_tuple t = rsk_fit_tuple(f, p, f->c);
        const double amplitude = sqrt(f->spec->coherence / (double)(t.members ? t.members : 1)) * t.sum;
        for (int32_t i = rsk_tree_first(&f->tree, p); i >= 0; i = f->tree.next[i])
            if (f->tree.eldest[i]) add_rest(f, p, f->tree.node[i].module, amplitude);
    }
}

static int has_module(const rsk_tree *t, ptrdiff_t p, int32_t m) {
    for (int32_t i = rsk_tree_first(t, p); i >= 0; i = t->next[i])
        if (t->node[i].module == m) return 1;
    return 0;
}

/* Adds rests of modules that were not found in a tuple, where these stand out. All are tried together, as far as there is room. */
static void add_others(rsk_fit *f, const uint8_t *allowed, ptrdiff_t max_depth) {
    const ptrdiff_t modules = f->spec->modules, n = f->tree.count - f->rests;
    ptrdiff_t first = f->tree.count;
    for (ptrdiff_t p = RSK_ROOT; p < n; p++) {
        const uint8_t *row = allowed + (p == RSK_ROOT ? modules : f->tree.node[p].module) * modules;
        if (p != RSK_ROOT && f->tree.node[p].depth + 1 >= max_depth) continue;
        for (int32_t m = 0; m < modules; m++) {
            if (!row[m] || has_module(&f->tree, p, m) || add_rest(f, p, m, 0.0)) continue;
            scan(f, first);
            first = f->tree.count;
            add_rest(f, p, m, 0.0);
        }
    }
    scan(f, first);
}

/* The prior of a rest's elements, from the elements themselves: between that of as many members as it stands for which have nothing in
 * common, and that of members that are all the same. */
static void set_prior(rsk_fit *f, ptrdiff_t i) {
    const int64_t begin = f->tree.plan.attribute_ends[i], end = f->tree.plan.attribute_ends[i + 1] - f->free;
    const double a = (double)(end - begin), rho2 = f->rho2[f->tree.node[i].module], c2 = f->c[i] * f->c[i];
    const double least = c2 / fmax(f->rest_count[i], 1.0) * rho2 / a;
    double square = 0.0;
    for (int64_t k = begin; k < end; k++) square += rsk_fit_free_element(f, k) * rsk_fit_free_element(f, k);
    const double v = fmax(fmin(square / a - f->spread * f->spread, c2 * rho2 / a), least);
    for (int64_t k = begin; k < end; k++) f->prior[k] = v;
    for (int64_t k = end; k < end + f->free; k++) f->prior[k] = c2 / (double)f->free;
}

/* Sets rest_count before errors are known: a counter among many of its module has a larger one than a column by itself. */
static void count_roughly(rsk_fit *f) {
    const double noise2 = f->spread * f->spread / (1.0 - f->spec->coherence);
    for (ptrdiff_t i = 0; i < f->tree.count; i++) f->error[i] = noise2;
    rsk_fit_counts(f, f->c, f->error, f->rest_count);
}

void rsk_fit_pool(rsk_fit *f, const uint8_t *allowed, ptrdiff_t max_depth) {
    if (!(f->spec->coherence > 0.0)) return;
    add_likely(f);
    for (int turn = 0; turn < TURNS; turn++) {
        rsk_fit_solve(f, 1.0, FIT);
        rsk_fit_estimate_noise(f);
        if (turn == 0) add_others(f, allowed, max_depth);
        if (!f->rests) return;
        rsk_tree_program(&f->tree);
        count_roughly(f);
        memset(f->drop, 0, (size_t)f->tree.count);
        for (ptrdiff_t i = f->tree.count - f->rests; i < f->tree.count; i++) {
            f->drop[i] = turn > 0 && f->c[i] < SEEN * f->spread;
            set_prior(f, i);
        }
        drop_rests(f);
        rsk_fit_estimate_noise(f);
    }
    rsk_fit_solve(f, 1.0, FIT);
    rsk_fit_estimate_noise(f);
    count_roughly(f);
    for (ptrdiff_t i = 0; i < f->tree.count; i++) f->rest_error[i] = HUGE_VAL;
}
