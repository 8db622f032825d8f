/* What stands below a candidate: one level down for all candidates at once, and along ways down for the likeliest (docs/method.md,
 * "Unrolling"). */
#include "reading/reading.h"

#include <math.h>
#include <string.h>

#define NEAR 4.0   /* nats that a counter seen one level below a candidate must bring, before it speaks for the candidate */
#define FAR 6.0    /* the same along a way down, where more modules are tried */
#define WAYS ((RSK_LOOK_VECTORS - 2) / 2) /* ways down that are followed at once */
#define SAME 4     /* of them with the same evidence */
#define CHANCE 1.0 /* nats that a level's likeliest counter brings by chance, beside the logarithm of the modules' number */
#define LOST 6.0   /* nats below the most that it has had at which a way ends */

float *rsk_counter_columns(const rsk_spec *spec) {
    const ptrdiff_t d = spec->dim;
    if (spec->modules > PTRDIFF_MAX / 64 / d) return NULL;
    float *columns = rsk_alloc((spec->modules + 3) * d, sizeof *columns);
    for (ptrdiff_t m = 0; columns && m < spec->modules; m++)
        rsk_counter_seen(spec, m, columns + m * d, columns + spec->modules * d);
    return columns;
}

void rsk_step_below(const rsk_detector *q, const float *x, ptrdiff_t m, ptrdiff_t position, float *to) {
    const rsk_spec *spec = q->spec;
    const double t2 = spec->stretch2;
    rsk_apply_member(spec, m, position, 1.0 / t2, 1, x, q->object, 0, q->spare);
    rsk_apply_in(spec, 1.0 / (spec->ins == 2 ? t2 : sqrt(t2)), 1, q->object, to, 0, q->spare);
}

/* What turns the product with a counter's column into its score, in units of the noise. */
static float counter_unit(const rsk_detector *q) { return (float)(1.0 / (sqrt(q->share) * q->noise)); }

/* The counter scores, in units of the noise, of all modules as inputs that see x, at the position of the first or, pooled, at none: those
 * of all inputs of a module add up there, but for the cosine. */
static void score_counters(const rsk_detector *q, const float *x, int pooled, float *z) {
    const rsk_spec *spec = q->spec;
    const float unit = counter_unit(q);
    if (!pooled) {
        rsk_apply_place(spec, 0, 1.0 / sqrt(spec->stretch2), 1, x, q->object, 0, q->spare);
        x = q->object;
    }
    rsk_kernels_current()->dots[RSK_SCAN_F32](q->columns, spec->modules, spec->dim, x, 1, spec->dim, z);
    for (ptrdiff_t m = 0; m < spec->modules; m++) z[m] *= unit;
}

void rsk_look_near(const rsk_detector *q, const float *x, const uint8_t *candidates, ptrdiff_t position, double *nats) {
    const rsk_spec *spec = q->spec;
    const float unit = counter_unit(q);
    ptrdiff_t of[RSK_LOOK_TOGETHER];
    int count = 0;
    for (ptrdiff_t m = 0; m < spec->modules; m++) {
        if (candidates[m]) {
            rsk_step_below(q, x, m, position, q->ways + count * spec->dim);
            of[count++] = m;
        }
        if (count < (m == spec->modules - 1 ? 1 : RSK_LOOK_TOGETHER)) continue;
        rsk_kernels_current()->dots[RSK_SCAN_F32](q->columns, spec->modules, spec->dim, q->ways, count, spec->dim, q->near);
        for (int i = 0; i < count; i++) {
            const uint8_t *allowed = q->allowed + of[i] * spec->modules;
            nats[of[i]] = 0.0;
            for (ptrdiff_t k = 0; k < spec->modules; k++) {
                const double z = (double)(q->near[i * spec->modules + k] * unit);
                if (allowed[k] && z > 0.0) nats[of[i]] += fmax(0.0, 0.5 * z * z - NEAR);
            }
        }
        count = 0;
    }
}

/* A way down from a candidate: one module a level. */
typedef struct way {
    ptrdiff_t module; /* the last one */
    double value;     /* evidence along it */
    double guide;     /* what its modules' own counters say that is too little to be evidence: it tells which way to go on */
    double peak;      /* the largest rank_of that it has had */
    float *x;         /* the residual as the last module's inputs see it */
    ptrdiff_t likeliest[RSK_BRANCHES]; /* of these inputs; -1 behind the last */
    double nats[RSK_BRANCHES];         /* half the squares of their counters' scores */
} way;

static double rank_of(const way *w) { return w->value + w->guide; }

/* Looks at the inputs of a way's last module: its evidence, and the likeliest modules. */
static void look_around(const rsk_detector *q, way *w) {
    const uint8_t *allowed = q->allowed + w->module * q->spec->modules;
    score_counters(q, w->x, 1, q->near);
    score_counters(q, w->x, 0, q->first);
    for (int i = 0; i < RSK_BRANCHES; i++) w->likeliest[i] = -1;
    for (ptrdiff_t k = 0; k < q->spec->modules; k++) {
        if (!allowed[k]) continue;
        const double z = fmax((double)fmaxf(q->near[k], q->first[k]), 0.0), nats = 0.5 * z * z;
        w->value += fmax(0.0, nats - FAR);
        int at = RSK_BRANCHES;
        while (at > 0 && (w->likeliest[at - 1] < 0 || nats > w->nats[at - 1])) at--;
        if (at == RSK_BRANCHES) continue;
        for (int i = RSK_BRANCHES - 1; i > at; i--) w->likeliest[i] = w->likeliest[i - 1], w->nats[i] = w->nats[i - 1];
        w->likeliest[at] = k, w->nats[at] = nats;
    }
}

/* A way goes on to one of the likeliest modules, at the position of the first input or, for pooled inputs, at none: whichever shows
 * more below it. spare: two vectors; next takes the first of them. */
static way go_on(const rsk_detector *q, const way *from, int branch, float **spare) {
    way next = {.value = -HUGE_VAL};
    for (int pooled = 0; pooled < 2; pooled++) {
        way tried = {.module = from->likeliest[branch], .value = from->value, .x = spare[1]};
        rsk_step_below(q, from->x, tried.module, pooled ? RSK_NO_POSITION : 0, tried.x);
        look_around(q, &tried);
        if (!(tried.value > next.value)) continue;
        next = tried;
        spare[1] = spare[0], spare[0] = next.x;
    }
    next.guide = from->guide + fmin(FAR, from->nats[branch]) - CHANCE - log((double)q->spec->modules);
    next.peak = fmax(from->peak, rank_of(&next));
    return next;
}

/* Puts a way among the WAYS best in `ways`, of which there are `count`, and among the SAME best of its value: ways that show nothing new
 * would else crowd out those that have not come far enough yet. It takes spare[0] from the caller, and leaves another vector there.
 * Returns how many there are then. */
static int put(way *ways, int count, const way *next, float **spare) {
    int same = 0, last = WAYS - 1, at = 0;
    for (int i = 0; i < count; i++)
        if (ways[i].value == next->value) same++, last = i;
    if (same < SAME) last = count < WAYS ? count : WAYS - 1; /* the place that is given up */
    while (at < count && rank_of(&ways[at]) >= rank_of(next)) at++;
    if (at > last || at == WAYS) return count;
    spare[0] = ways[last].x; /* ways that do not exist yet have a vector too */
    for (int k = last; k > at; k--) ways[k] = ways[k - 1];
    ways[at] = *next;
    return last == count ? count + 1 : count;
}

/* The most evidence along a way down of at most so many levels from a module whose inputs see x. A way ends where several levels
 * bring no more than chance. */
static double look_deep(const rsk_detector *q, const float *x, ptrdiff_t m, ptrdiff_t levels) {
    const ptrdiff_t stride = q->spec->dim + 5 * RSK_LANES;
    way ways[2][WAYS];
    float *vector = q->ways, *spare[2] = {vector + 2 * WAYS * stride, vector + (2 * WAYS + 1) * stride};
    for (int i = 0; i < 2 * WAYS; i++) ways[i / WAYS][i % WAYS].x = vector + i * stride;
    way *from = ways[0], *to = ways[1];
    memcpy(from->x, x, sizeof *x * (size_t)q->spec->dim);
    from->module = m, from->value = from->guide = from->peak = 0.0;
    look_around(q, from);
    from->value = 0.0; /* the caller counts these inputs */
    double most = 0.0;
    for (int count = 1; levels > 0 && count && !rsk_stopped(q->stop, q->worker); levels--) {
        int found = 0;
        for (int i = 0; i < count; i++)
            for (int branch = 0; branch < RSK_BRANCHES && from[i].likeliest[branch] >= 0; branch++) {
                const way next = go_on(q, &from[i], branch, spare);
                if (rank_of(&next) > next.peak - LOST) found = put(to, found, &next, spare);
                most = fmax(most, next.value);
            }
        way *done = from;
        from = to, to = done, count = found;
    }
    return most;
}

double rsk_look_below(const rsk_detector *q, const float *x, ptrdiff_t position, ptrdiff_t m, ptrdiff_t levels) {
    const ptrdiff_t stride = q->spec->dim + 5 * RSK_LANES;
    float *below = q->below + (x == q->below + stride ? 2 : 1) * stride; /* x is one of the detector's three vectors */
    rsk_step_below(q, x, m, position, below);
    return look_deep(q, below, m, levels);
}
