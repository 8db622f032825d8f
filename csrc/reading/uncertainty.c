/* How wrong a fit may be: a parametric bootstrap. Sketches are made up from what the fit says it did not explain; the found objects are
 * fitted to them, and what these make of a sketch that holds none of them is their error.
 *
 * Where all is explained but for noise of a known size, the made-up sketch is such noise. The fit tells its own errors from columns of
 * norm one; but the columns of siblings of one module, and of all below them, share identity branches, and the bootstrap shows how
 * that enlarges errors.
 *
 * Where the sketch is not explained, the missing objects are no white noise to those that were found, because they share identity
 * branches with them. The made-up sketch then holds new objects below every found one, of as much energy as its counter says that its
 * inputs have. */
#include "reading/reading.h"

#include <math.h>
#include <string.h>

#define DRAWS 3        /* made-up sketches, at most */
#define DRAWS_OF_RESTS 8 /* where there are rests, each of whose counts has one error a draw and not many */
#define ENOUGH 500.0   /* unknowns that noise was fitted by, after which no further sketch is drawn */
#define TOLERANCE 1e-3 /* of their fits, see rsk_fit_solve */
/* The average error of all objects enters that of each object with the weight of so many unknowns. */
#define POOL 24.0
/* The average error of all counts of rests, as a share of them, enters that of each with the weight of so many draws. */
#define SHARED 3.0
/* No count is told to less than this share of it: those of 200 members that the draws told to 4% were wrong by 10%. */
#define ROUGH 0.05
/* The slope of a count is its change over so small a part of an error. */
#define SMALL 0.2
/* Two standard errors that eight draws tell must be 2.3 to hold as much as two that are known: Student's t. */
#define FEW_DRAWS 1.18
/* Objects that were taken for others err in ways that this does not make up. Measured at loads of 1 to 4: errors larger by this. */
#define CALIBRATION 1.15
/* ... and where the fit has as many unknowns as there are coordinates, or ROOMY fewer, by up to so much more. */
#define FILLED 0.6
#define ROOMY 0.15
/* Something of a tuple is always taken to be missing, because its siblings would hide it: at least this part of a mean share. */
#define HIDDEN 0.1
/* Rounding is never taken to be less than this share of the sketch's norm: a float has 24 bits. */
#define LEAST_ROUNDING 0x1p-26
/* Columns of one module below different objects overlap a little, too. Measured over ten kinds of runs: errors larger by up to this. */
#define RELATED 1.1

/* ---------------------------------------------------------------- random numbers */

typedef struct dice {
    uint32_t counter[4], word[4]; /* of Philox */
    int used;                     /* words that were used */
} dice;

static uint32_t roll(dice *q) {
    static const uint32_t key[2] = {0x6a09e667u, 0xbb67ae85u}; /* digits of sqrt(2) and sqrt(3) */
    if (q->used == 4) {
        (void)rsk_philox4x32(q->counter, key, q->word);
        q->counter[0]++;
        q->used = 0;
    }
    return q->word[q->used++];
}

static double uniform(dice *q) { return ((double)roll(q) + 0.5) * 0x1p-32; }
static double random_sign(dice *q, double size) { return roll(q) & 1 ? size : -size; }

/* ---------------------------------------------------------------- a trial */

/* A second fit of the same tree, to a made-up sketch. It shares the fit's memory but for what the fit still needs: the sketch, the
 * unknowns, their damping, and the residual have memory of their own. */
typedef struct trial {
    rsk_fit fit;
    ptrdiff_t found;    /* objects of the tree; what stands behind them is made up */
    double *frequency;  /* (modules,) how often a module is among the found, and half more */
    double *mean;       /* (modules, longest) mean of a module's found unknowns over their amplitudes */
    double *square;     /* (modules,) its squared norm */
    double fan;         /* inputs of a made-up tuple */
    const uint8_t *allowed;
    ptrdiff_t max_depth;
    dice dice;
    double *truth;         /* (memory,) of each rest's unknowns: that of the made-up members which it stands for */
    double *counter_truth; /* (capacity,) */
    double *count;         /* (capacity,) scratch */
    double *drawn;         /* (DRAWS_OF_RESTS, capacity) counters, with the errors of each draw */
} trial;

ptrdiff_t rsk_fit_spare(const rsk_fit *f) { 
    return 2 * f->spec->dim + 3 * f->memory + (6 + DRAWS_OF_RESTS) * f->capacity + f->spec->modules * (2 + f->spec->max_length);
}

/* What a module's found objects have in common, those that are missing will have too: their unknowns, weighed by their amplitudes. */
static void average(trial *t, const rsk_fit *f) {
    const ptrdiff_t modules = f->spec->modules, longest = f->spec->max_length;
    double *weight = t->square;
    memset(t->mean, 0, sizeof *t->mean * (size_t)(modules * longest));
    memset(weight, 0, sizeof *weight * (size_t)modules);
    for (ptrdiff_t i = 0; i < f->tree.count - f->rests; i++) {
        const int32_t m = f->tree.node[i].module;
        const int64_t begin = f->tree.plan.attribute_ends[i];
        const double c = fmax(f->c[i], 0.0);
        weight[m] += c * c;
        for (int64_t k = begin; k < f->tree.plan.attribute_ends[i + 1]; k++)
            t->mean[m * longest + k - begin] += c * rsk_fit_free_element(f, k);
    }
    for (ptrdiff_t m = 0; m < modules; m++) {
        double *mean = t->mean + m * longest, square = 0.0;
        /* as if there were one object more, of the opposite sign half of the time: a mean of few objects says little */
        const double share = weight[m] > 0.0 ? 1.0 / (weight[m] * (1.0 + 1.0 / t->frequency[m])) : 0.0;
        for (ptrdiff_t k = 0; k < longest; k++) mean[k] *= share, square += mean[k] * mean[k];
        t->square[m] = square;
    }
}

/* sum (3, capacity) is the part of spare that the trial leaves. */
static trial trial_of(const rsk_fit *f, const uint8_t *allowed, ptrdiff_t max_depth, double *spare, double **sum) {
    trial t = {.fit = *f, .found = f->tree.count, .allowed = allowed, .max_depth = max_depth};
    if (f->rests) t.fit.room = f->memory;
    t.fit.linear = 1;
    t.fit.s = spare;
    t.fit.work.r = t.fit.s + f->spec->dim;
    t.fit.x = t.fit.work.r + f->spec->dim;
    t.fit.damping = t.fit.x + f->memory;
    t.fit.c = t.fit.damping + f->memory;
    *sum = t.fit.c + f->capacity;
    t.truth = *sum + 3 * f->capacity;
    t.counter_truth = t.truth + f->memory;
    t.count = t.counter_truth + f->capacity;
    t.drawn = t.count + f->capacity;
    t.frequency = t.drawn + DRAWS_OF_RESTS * f->capacity;
    t.square = t.frequency + f->spec->modules;
    t.mean = t.square + f->spec->modules;
    double tuples = 0.0;
    for (ptrdiff_t m = 0; m < f->spec->modules; m++) t.frequency[m] = 0.5;
    for (ptrdiff_t i = 0; i < t.found - f->rests; i++) {
        t.frequency[f->tree.node[i].module] += 1.0;
        tuples += f->tree.node[i].position == 0;
    }
    average(&t, f);
    t.fan = fmax(2.0, floor((double)(t.found - f->rests) / fmax(tuples, 1.0) + 0.5));
    return t;
}

/* A module that may stand below p, as frequent as among the found; -1 if none may. */
static int32_t draw_module(trial *t, ptrdiff_t p) {
    const rsk_spec *spec = t->fit.spec;
    const uint8_t *allowed = t->allowed + (p == RSK_ROOT ? spec->modules : t->fit.tree.node[p].module) * spec->modules;
    double total = 0.0, sum = 0.0;
    for (int32_t m = 0; m < spec->modules; m++)
        if (allowed[m]) total += t->frequency[m];
    const double at = uniform(&t->dice) * total;
    for (int32_t m = 0; m < spec->modules; m++) {
        if (!allowed[m]) continue;
        sum += t->frequency[m];
        if (at <= sum) return m;
    }
    return -1;
}

/* Adds an object of random attribute. Returns 0 if there is no more room. */
static int add_made_up(trial *t, ptrdiff_t p, int32_t position, int32_t module, double amplitude) {
    rsk_fit *f = &t->fit;
    const ptrdiff_t a = f->spec->module[module].length, i = f->tree.count;
    if (i + 1 >= f->capacity || rsk_fit_places(f) + a + 1 > f->room) return 0;
    const double *mean = t->mean + module * f->spec->max_length;
    const double each = sqrt(fmax(f->rho2[module] - t->square[module], 0.0) / (double)a);
    rsk_fit_add(f, (int32_t)p, position, module, amplitude);
    f->c[i] = amplitude;
    const int64_t begin = f->tree.plan.attribute_ends[i];
    for (ptrdiff_t k = 0; k < a; k++) f->x[begin + k] = amplitude * (mean[k] + random_sign(&t->dice, each));
    return 1;
}

/* Adds the members that p's rests stand for. Returns 0 if there is no more room. */
static int make_up_rests(trial *t, ptrdiff_t p, const rsk_tuple *tuple) {
    const rsk_fit *f = &t->fit;
    double all = 0.0;
    int32_t at = tuple->last + 1;
    for (int32_t i = rsk_tree_first(&f->tree, p); i >= 0; i = f->tree.next[i])
        if (rsk_is_rest(&f->tree, i)) all += fmax(1.0, floor(f->rest_count[i] + 0.5));
    for (int32_t i = rsk_tree_first(&f->tree, p); i >= 0; i = f->tree.next[i]) {
        if (!rsk_is_rest(&f->tree, i)) continue;
        const double n = fmax(1.0, floor(f->rest_count[i] + 0.5));
        for (int32_t k = 0; k < (int32_t)n && at < f->spec->max_inputs; k++)
            if (!add_made_up(t, p, at++, f->tree.node[i].module, tuple->pooled / all)) return 0;
    }
    return 1;
}

/* Adds what is missing below p. Returns 0 if there is no more room. */
static int make_up_inputs(trial *t, ptrdiff_t p) {
    const rsk_fit *f = &t->fit;
    const rsk_spec *spec = f->spec;
    const rsk_tuple tuple = rsk_fit_tuple(f, p, f->c);
    const ptrdiff_t members = tuple.members;
    const int32_t last = tuple.last;
    const double used = tuple.used;
    if (tuple.rests) return make_up_rests(t, p, &tuple);
    double n = members ? fmax(1.0, rsk_fit_lacks(f, p, &tuple)) : t->fan;
    n = fmin(n, (double)(spec->max_inputs - last - 1));
    const int known = spec->weighting != RSK_WEIGHTS_BALANCED || p != RSK_ROOT || !members; /* what the whole is */
    const double whole = known ? rsk_tree_whole(spec, rsk_tree_owner(&f->tree, p, f->c, f->root), members + (ptrdiff_t)n)
                               : used * (double)(members + 1) / (double)members;
    const double left = fmax(known ? whole - used : 0.0, members ? HIDDEN * whole / (double)(members + 1) : 0.0);
    if (!(left > 0.0) || n < 1.0) return 1;
    const double amplitude = rsk_adds_squares(spec) ? sqrt(left / n) : left / n;
    for (int32_t k = 0; k < (int32_t)n; k++) {
        const int32_t module = draw_module(t, p);
        if (module < 0) return 1;
        if (!add_made_up(t, p, last + 1 + k, module, amplitude)) return 0;
    }
    return 1;
}

/* The sketch of the made-up objects alone; 0 if there are none. */
static void sketch_made_up(trial *t) {
    rsk_fit *f = &t->fit;
    rsk_fit_prepare(f, 1.0);
    const int64_t first = f->tree.plan.attribute_ends[t->found];
    for (int64_t k = 0; k < f->map.attributes; k++) f->map.input[k] = k < first ? 0.0f : (float)(f->x[k] * f->map.scale[k]);
    for (ptrdiff_t i = 0; i < f->tree.count; i++) {
        const ptrdiff_t k = f->map.attributes + i;
        f->map.input[k] = i < t->found ? 0.0f : (float)(f->c[i] * f->map.scale[k]);
    }
    const int good = f->tree.count > t->found && rsk_linear_forward(&f->map, 0.0f);
    for (ptrdiff_t k = 0; k < f->spec->dim; k++) f->s[k] = good ? (double)f->map.image[k] : 0.0;
}

/* Sets what a fit to the made-up sketch should find of the rests. */
static void pool_made_up(trial *t) {
    const rsk_fit *f = &t->fit;
    const int64_t *ends = f->tree.plan.attribute_ends;
    const double common = sqrt(f->spec->coherence);
    for (ptrdiff_t i = t->found - f->rests; i < t->found; i++) {
        t->counter_truth[i] = 0.0;
        for (int64_t k = ends[i]; k < ends[i + 1]; k++) t->truth[k] = 0.0;
        for (ptrdiff_t j = t->found; j < f->tree.count; j++) {
            if (f->tree.node[j].parent != f->tree.node[i].parent || f->tree.node[j].module != f->tree.node[i].module) continue;
            t->counter_truth[i] += common * f->c[j];
            for (int64_t k = ends[i]; k < ends[i + 1]; k++) t->truth[k] += common * f->x[ends[j] + k - ends[i]];
        }
    }
}

/* Turns what was fitted of the rests into its error. */
static void subtract_truth(trial *t) {
    rsk_fit *f = &t->fit;
    for (ptrdiff_t i = t->found - f->rests; i < t->found; i++) {
        f->c[i] -= t->counter_truth[i];
        for (int64_t k = f->tree.plan.attribute_ends[i]; k < f->tree.plan.attribute_ends[i + 1]; k++)
            f->x[k] -= t->truth[k] / (1.0 + f->damping[k] / f->shrink);
    }
}

/* s = the sketch of what may be missing below the found objects. The tree is then as it was. */
static void make_up_missing(trial *t) {
    rsk_fit *f = &t->fit;
    /* There may be no room for all, so begin at a random object, and go round. */
    const ptrdiff_t n = t->found - f->rests, start = (ptrdiff_t)(uniform(&t->dice) * (double)(n + 1));
    for (ptrdiff_t k = 0; k <= n; k++) {
        const ptrdiff_t p = (start + k) % (n + 1) - 1;
        const ptrdiff_t depth = p == RSK_ROOT ? 0 : f->tree.node[p].depth + 1;
        if (depth < t->max_depth && !make_up_inputs(t, p)) break;
    }
    sketch_made_up(t);
    pool_made_up(t);
    f->tree.count = t->found;
    f->tree.plan.objects[1] = t->found;
}

/* s = white noise of the size that the residual tells. */
static void make_up_noise(trial *t) {
    rsk_fit *f = &t->fit;
    const double sigma = f->spread * sqrt(f->shrink);
    for (ptrdiff_t k = 0; k < f->spec->dim; k++) {
        const double value = random_sign(&t->dice, sigma);
        f->s[k] = f->map.mask && !f->map.mask[k] ? 0.0 : value;
    }
}

/* Makes up sketch number `draw`, and fits the found objects to it. Returns the sketch's energy. */
static double try_once(trial *t, const rsk_fit *f, uint32_t draw, int noise) {
    const size_t elements = (size_t)f->tree.plan.attribute_ends[t->found], objects = (size_t)t->found;
    t->dice = (dice){.counter = {0, draw, 0, 0}, .used = 4};
    memcpy(t->fit.x, f->x, sizeof *f->x * elements);
    memcpy(t->fit.c, f->c, sizeof *f->c * objects);
    if (noise) make_up_noise(t);
    else make_up_missing(t);
    memset(t->fit.x, 0, sizeof *f->x * elements);
    memset(t->fit.c, 0, sizeof *f->c * objects);
    t->fit.work.context = &t->fit;
    t->fit.map.plan = &t->fit.tree.plan;
    rsk_fit_solve(&t->fit, 1.0, TOLERANCE);
    if (!noise) subtract_truth(t);
    return rsk_dot(t->fit.s, t->fit.s, f->spec->dim);
}

/* The squared errors of an object: all that the trial fitted. Of its attribute's elements, as they would be without damping; and of what
 * else it has beside its counter. */
static double attribute_error(const rsk_fit *f, ptrdiff_t i) {
    double sum = 0.0;
    for (int64_t k = f->tree.plan.attribute_ends[i]; k < f->tree.plan.attribute_ends[i + 1] - f->free; k++)
        sum += rsk_fit_free_element(f, k) * rsk_fit_free_element(f, k);
    return sum;
}

static double free_error(const rsk_fit *f, ptrdiff_t i) {
    double sum = 0.0;
    for (int64_t k = f->tree.plan.attribute_ends[i + 1] - f->free; k < f->tree.plan.attribute_ends[i + 1]; k++)
        sum += rsk_fit_free_element(f, k) * rsk_fit_free_element(f, k);
    return sum;
}

static double elements_of(const rsk_fit *f, ptrdiff_t i) {
    return (double)(f->tree.plan.attribute_ends[i + 1] - f->tree.plan.attribute_ends[i] - f->free);
}

/* Unknowns over coordinates. */
static double filled(const rsk_fit *f) {
    const rsk_tree *t = &f->tree;
    double unknowns = (double)(t->count - f->rests);
    for (ptrdiff_t i = 0; i < t->count - f->rests; i++)
        for (int64_t k = t->plan.attribute_ends[i]; k < t->plan.attribute_ends[i + 1]; k++)
            unknowns += rsk_fit_in_support(f, i, k) && !(f->ties.any && f->ties.lead[i] != i);
    return unknowns / (double)f->kept;
}

/* The error of an object's unknowns where all is explained: rounding, which the residual shows. An unknown takes the part 1 / kept of the
 * noise's energy, over the share of it that the fit leaves; and siblings of one module share their identity branch, see `decorrelate`
 * in fit.c, so that the diagonal of their inverse Gram matrix is larger than one. full: filled(f). */
static double rounding_error(const rsk_fit *f, ptrdiff_t i, double full) {
    const rsk_tree *t = &f->tree;
    const double g = f->spec->coherence;
    double kin = 0.0;
    for (int32_t c = rsk_tree_first(t, t->node[i].parent); c >= 0; c = t->next[c]) kin += t->node[c].module == t->node[i].module;
    const double kept = (double)f->kept, left = fmax(1.0 - full, 1.0 / kept);
    const double square = fmax(f->square, LEAST_ROUNDING * LEAST_ROUNDING * f->energy);
    const double gram = g < 1.0 ? (1.0 - g / (1.0 - g + g * kin)) / (1.0 - g) : 1.0;
    return RELATED * sqrt(square / kept * gram) / left;
}

/* The part of the solvers' variable that a node holds, and how much of its counter's variable its counter is: 1 where it is not tied. */
static double share_of(const rsk_fit *f, ptrdiff_t i) { return rsk_is_tied(&f->ties, i) ? fmax(fabs(f->ties.share[i]), 1e-30) : 1.0; }
static double column_of(const rsk_fit *f, ptrdiff_t i) { return rsk_is_tied(&f->ties, i) ? f->ties.column[i] : 1.0; }

/* Sums of squared errors over the draws: of attributes, of what else is not damped, and of counters. */
typedef struct tally {
    double *own, *free, *count;
    double drawn;
} tally;

static void add_errors(tally *s, const rsk_fit *f, const trial *t, double scale) {
    for (ptrdiff_t i = 0; i < f->tree.count; i++) {
        const double part = scale / (share_of(f, i) * share_of(f, i)), count = t->fit.c[i] / column_of(f, i);
        s->own[i] += attribute_error(&t->fit, i) * part;
        s->free[i] += free_error(&t->fit, i) * part;
        s->count[i] += count * count * scale;
    }
}

/* Errors of objects from `from` on and before `to`: of each what its own made-up errors say, and a part of what those of all say. An
 * undamped element and a counter have the same error, but for copies, which share the first alone. */
static void share_errors(rsk_fit *f, ptrdiff_t from, ptrdiff_t to, const tally *s, double factor) {
    const double free = 1.0 + (double)f->free;
    double all = 0.0, elements = 0.0, all_free = 0.0;
    for (ptrdiff_t i = from; i < to; i++) all += s->own[i], elements += s->drawn * elements_of(f, i), all_free += s->free[i] + s->count[i];
    const double each = POOL * all_free / (s->drawn * free * (double)(to - from));
    for (ptrdiff_t i = from; i < to; i++) {
        const int tied = rsk_is_tied(&f->ties, i);
        const double undamped = sqrt((s->free[i] + (tied ? 0.0 : s->count[i]) + each) / (s->drawn * (tied ? free - 1.0 : free) + POOL));
        f->error[i] = factor * share_of(f, i) * sqrt((s->own[i] + POOL * all / elements) / (s->drawn * elements_of(f, i) + POOL));
        f->free_error[i] = factor * share_of(f, i) * undamped;
        f->count_error[i] = factor * column_of(f, i) * (tied ? sqrt((s->count[i] + each) / (s->drawn + POOL)) : undamped);
    }
}

/* Counts of what rests stand for, and their errors, from the counters that were drawn. */
static void count_errors(rsk_fit *f, trial *t, int drawn, double factor, double calibration) {
    const ptrdiff_t n = f->tree.count, first = n - f->rests;
    double *error2 = t->fit.c, *sum = t->counter_truth, all = 0.0;
    for (ptrdiff_t i = 0; i < n; i++) error2[i] = f->count_error[i] * f->count_error[i] / (factor * factor);
    rsk_fit_counts(f, f->c, error2, f->rest_count);
    for (ptrdiff_t i = 0; i < n; i++) sum[i] = 0.0;
    for (int draw = 0; draw < drawn; draw++) { /* to first order: a count is far from linear in a counter that is noise */
        const double *error = t->drawn + draw * f->capacity;
        for (int sign = -1; sign <= 1; sign += 2) {
            for (ptrdiff_t i = 0; i < n; i++) t->fit.x[i] = f->c[i] + (double)sign * SMALL * error[i];
            rsk_fit_counts(f, t->fit.x, error2, sign < 0 ? t->fit.damping : t->count);
        }
        for (ptrdiff_t i = first; i < n; i++) {
            const double slope = (t->count[i] - t->fit.damping[i]) / (2.0 * SMALL);
            sum[i] += slope * slope;
        }
    }
    for (ptrdiff_t i = first; i < n; i++) all += sum[i] / (f->rest_count[i] * f->rest_count[i] + 1e-6) / (double)f->rests;
    for (ptrdiff_t i = first; i < n; i++) {
        const double shared = all * f->rest_count[i] * f->rest_count[i] * SHARED / (double)drawn;
        f->rest_error[i] = hypot(ROUGH * f->rest_count[i], FEW_DRAWS * calibration * sqrt((sum[i] + shared) / ((double)drawn + SHARED)));
    }
}

void rsk_fit_uncertainty(rsk_fit *f, const uint8_t *allowed, ptrdiff_t max_depth, double *spare) {
    const ptrdiff_t d = f->spec->dim, n = f->tree.count;
    f->missing = f->square;
    const int clean = rsk_fit_clean(f);
    const double full = filled(f);
    for (ptrdiff_t i = 0; i < n; i++) {
        const double each = clean && f->noise2 == 0.0 ? rounding_error(f, i, full) : f->spread;
        f->error[i] = f->free_error[i] = share_of(f, i) * each;
        f->count_error[i] = column_of(f, i) * each;
    }
    if (n == 0 || (clean && f->noise2 == 0.0)) return;
    double *sum, missing = 0.0;
    trial t = trial_of(f, allowed, max_depth, spare, &sum);
    tally s = {sum, sum + f->capacity, sum + 2 * f->capacity, 0.0};
    memset(sum, 0, 3 * sizeof *sum * (size_t)f->capacity);
    const uint32_t draws = f->rests ? DRAWS_OF_RESTS : DRAWS;
    for (uint32_t draw = 0; draw < draws && !(clean && s.drawn * (double)rsk_fit_unknowns(f) > ENOUGH); draw++) {
        const double whole = try_once(&t, f, draw, clean), left = rsk_dot(t.fit.work.r, t.fit.work.r, d);
        if (!(left > 0.0)) continue;
        /* made-up objects scaled so that as much of them is left as of the sketch */
        const double scale = clean ? 1.0 : f->square / left;
        missing += clean ? f->square : scale * whole;
        for (ptrdiff_t i = 0; f->rests && i < n; i++) t.drawn[(ptrdiff_t)s.drawn * f->capacity + i] = sqrt(scale) * t.fit.c[i];
        add_errors(&s, f, &t, scale);
        s.drawn += 1.0;
    }
    f->iterations = t.fit.iterations;
    if (s.drawn == 0.0) return;
    const double calibration = CALIBRATION + FILLED * fmin(fmax(full - 1.0 + ROOMY, 0.0) / ROOMY, 1.0);
    const double factor = clean ? 1.0 : calibration;
    share_errors(f, 0, n - f->rests, &s, factor);
    share_errors(f, n - f->rests, n, &s, factor);
    if (f->rests) count_errors(f, &t, (int)s.drawn, factor, CALIBRATION + 0.5 * (factor - CALIBRATION));
    f->missing = fmin(missing / s.drawn, f->energy);
}
