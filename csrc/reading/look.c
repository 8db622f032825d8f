/* What stands below a candidate: one level down for all candidates at once, and along ways down for the likeliest (docs/method.md,
 * "Unrolling"). */
#include "reading/reading.h"

#include <math.h>
#include <string.h>

#define NEAR 4.0   /* nats that a counter seen one level below a candidate must bring, before it speaks for the candidate */
#define FAR 6.0    /* the same along a way down, where more modules are tried */
#define SAME 4     /* of them with the same evidence */
#define CHANCE 1.0 /* nats that a level's likeliest counter brings by chance, beside the logarithm of the modules' number */
#define LOST 6.0   /* nats below the most that it has had at which a way ends */
#define FADES 0.9  /* what a way that was seen counts for a round later, unless it is looked at again */

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

/* Candidates of one tuple, below which the residual is taken. */
typedef struct stepping {
    const rsk_detector *q;
    const float *x;
    ptrdiff_t position;
    const ptrdiff_t *of; /* their modules */
} stepping;

static void step_candidates(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) {
    const stepping *s = context;
    const rsk_detector q = rsk_detector_of(s->q, worker);
    for (ptrdiff_t i = begin; i < end; i++) rsk_step_below(&q, s->x, s->of[i], s->position, q.ways + i * q.spec->dim);
}

void rsk_look_near(const rsk_detector *q, const float *x, const uint8_t *candidates, ptrdiff_t position, double *nats) {
    const rsk_spec *spec = q->spec;
    const float unit = counter_unit(q);
    ptrdiff_t of[RSK_LOOK_TOGETHER];
    stepping s = {q, x, position, of};
    int count = 0;
    for (ptrdiff_t m = 0; m < spec->modules; m++) {
        if (candidates[m]) of[count++] = m;
        if (count < (m == spec->modules - 1 ? 1 : RSK_LOOK_TOGETHER)) continue;
        rsk_detector_share(q, 4 * count, count, step_candidates, &s);
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
    rsk_way_step last; /* its module is the one below which the way looks */
    double value;      /* evidence along it */
    double guide;      /* what its modules' own counters say that is too little to be evidence: it tells which way to go on */
    double peak;       /* the largest rank_of that it has had */
    float *x;          /* the residual as the last module's inputs see it */
    ptrdiff_t likeliest[RSK_BRANCHES]; /* of these inputs; -1 behind the last */
    double nats[RSK_BRANCHES];         /* half the squares of their counters' scores */
} way;

static double rank_of(const way *w) { return w->value + w->guide; }

/* Looks at the inputs of a way's last module: its evidence, and the likeliest modules. */
static void look_around(const rsk_detector *q, way *w) {
    const uint8_t *allowed = q->allowed + w->last.module * q->spec->modules;
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
 * more below it. It takes the vector `next`, and uses `spare`. */
static way go_on(const rsk_detector *q, const way *from, int branch, float *next, float *spare) {
    way best = {.value = -HUGE_VAL};
    for (int pooled = 0; pooled < 2; pooled++) {
        way tried = {.last = {.module = (int32_t)from->likeliest[branch], .pooled = pooled}, .value = from->value,
                     .x = pooled ? spare : next};
        rsk_step_below(q, from->x, tried.last.module, pooled ? RSK_NO_POSITION : 0, tried.x);
        look_around(q, &tried);
        if (tried.value > best.value) best = tried;
    }
    if (best.x == spare) memcpy(next, spare, sizeof *next * (size_t)q->spec->dim);
    best.x = next;
    best.guide = from->guide + fmin(FAR, from->nats[branch]) - CHANCE - log((double)q->spec->modules);
    best.peak = fmax(from->peak, rank_of(&best));
    return best;
}

/* Ways that go on, which threads look at together: where from, by which branch, and what they are then, with a vector each. */
typedef struct descent {
    const rsk_detector *q;
    const way *from[RSK_LOOK_TOGETHER];
    int branch[RSK_LOOK_TOGETHER];
    way next[RSK_LOOK_TOGETHER];
    int count;
    float *spare;
} descent;

static void go_down(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) {
    descent *s = context;
    const rsk_detector q = rsk_detector_of(s->q, worker);
    for (ptrdiff_t i = begin; i < end; i++)
        s->next[i] = go_on(&q, s->from[i], s->branch[i], s->next[i].x, worker ? s->q->team[worker].ways : s->spare);
}

/* Puts a way among the RSK_WAYS best in `ways`, of which there are `count`, and among the SAME best of its value: ways that show
 * nothing new would else crowd out those that have not come far enough yet. It takes the vector *spare, which is the way's, and leaves
 * another one there. Returns how many there are then. */
static int put(way *ways, int count, const way *next, float **spare) {
    int same = 0, last = RSK_WAYS - 1, at = 0;
    for (int i = 0; i < count; i++)
        if (ways[i].value == next->value) same++, last = i;
    if (same < SAME) last = count < RSK_WAYS ? count : RSK_WAYS - 1; /* the place that is given up */
    while (at < count && rank_of(&ways[at]) >= rank_of(next)) at++;
    if (at > last || at == RSK_WAYS) return count;
    *spare = ways[last].x; /* ways that do not exist yet have a vector too */
    for (int k = last; k > at; k--) ways[k] = ways[k - 1];
    ways[at] = *next;
    return last == count ? count + 1 : count;
}

/* The most evidence along a way down of at most so many levels from a module whose inputs see x. A way ends where several levels
 * bring no more than chance. The steps of the best one go to q->trail, `length` of them. */
static double look_deep(rsk_detector *q, const float *x, ptrdiff_t m, ptrdiff_t levels, ptrdiff_t *length) {
    const ptrdiff_t stride = q->spec->dim + 5 * RSK_LANES;
    const int together = rsk_detector_shares(q, 16 * RSK_LOOK_TOGETHER) ? RSK_LOOK_TOGETHER : 1;
    way ways[2][RSK_WAYS];
    descent s = {.q = q, .spare = q->ways + (2 * RSK_WAYS + together) * stride};
    for (int i = 0; i < 2 * RSK_WAYS; i++) ways[i / RSK_WAYS][i % RSK_WAYS].x = q->ways + i * stride;
    for (int i = 0; i < together; i++) s.next[i].x = q->ways + (2 * RSK_WAYS + i) * stride;
    way *from = ways[0], *to = ways[1];
    memcpy(from->x, x, sizeof *x * (size_t)q->spec->dim);
    from->last.module = (int32_t)m, from->value = from->guide = from->peak = 0.0;
    look_around(q, from);
    from->value = 0.0; /* the caller counts these inputs */
    double most = 0.0;
    rsk_way_step last = {0};
    *length = 0;
    for (ptrdiff_t level = 0, count = 1; level < levels && count && !rsk_stopped(q->stop, q->worker); level++) {
        int found = 0;
        for (int at = 0; at < count * RSK_BRANCHES; at++) {
            const int branch = at % RSK_BRANCHES;
            if (from[at / RSK_BRANCHES].likeliest[branch] >= 0) s.from[s.count] = &from[at / RSK_BRANCHES], s.branch[s.count++] = branch;
            if (s.count < (at == count * RSK_BRANCHES - 1 ? 1 : together)) continue;
            rsk_detector_share(q, 16 * s.count, s.count, go_down, &s);
            for (int i = 0; i < s.count; i++) {
                way *next = &s.next[i];
                float *spare = next->x;
                next->last.from = (int32_t)(s.from[i] - from);
                if (next->value > most) most = next->value, last = next->last, *length = level + 1;
                if (rank_of(next) > next->peak - LOST) found = put(to, found, next, &spare);
                next->x = spare;
            }
            s.count = 0;
        }
        for (int i = 0; i < found; i++) q->tried[level * RSK_WAYS + i] = to[i].last;
        way *done = from;
        from = to, to = done, count = found;
    }
    for (ptrdiff_t level = *length; level-- > 0; last = q->tried[(level > 0 ? level - 1 : 0) * RSK_WAYS + last.from])
        q->trail[level] = last;
    return most;
}

/* ---------------------------------------------------------------- the way that was seen

 * A loud tuple far below is found by a search among many ways, and not by every such search: from one level further down its way may be
 * among those that are given up. So the likeliest way of all is kept, and looked at again from every tuple along it. */

/* Whether it leads along the path of the tuple that is looked at, and on into module m. */
static int leads_there(const rsk_detector *q, ptrdiff_t m) {
    if (q->seen_levels <= q->level || q->seen[q->level].module != m) return 0;
    for (ptrdiff_t k = 0; k < q->level; k++)
        if (q->tree->node[q->path[q->level - 1 - k]].module != q->seen[k].module) return 0;
    return 1;
}

/* The most evidence along it below m, whose inputs see x. */
static double follow(const rsk_detector *q, const float *x, ptrdiff_t levels) {
    const ptrdiff_t stride = q->spec->dim + 5 * RSK_LANES;
    way w = {.x = q->ways};
    float *to = q->ways + stride;
    double most = 0.0;
    memcpy(w.x, x, sizeof *x * (size_t)q->spec->dim);
    for (ptrdiff_t k = q->level + 1; k < q->seen_levels && k <= q->level + levels; k++) {
        float *from = w.x;
        w.last = q->seen[k];
        rsk_step_below(q, from, w.last.module, w.last.pooled ? RSK_NO_POSITION : 0, to);
        w.x = to, to = from;
        look_around(q, &w);
        most = fmax(most, w.value);
    }
    return most;
}

/* Keeps the trail, which starts below module m of the tuple that is looked at. */
static void keep(rsk_detector *q, ptrdiff_t m, ptrdiff_t length, double value) {
    for (ptrdiff_t k = 0; k < q->level; k++) q->seen[k].module = q->tree->node[q->path[q->level - 1 - k]].module;
    q->seen[q->level].module = (int32_t)m;
    memcpy(q->seen + q->level + 1, q->trail, sizeof *q->trail * (size_t)length);
    q->seen_levels = q->level + 1 + length, q->seen_value = value;
}

void rsk_look_forget(rsk_detector *q, int all) {
    q->seen_value *= FADES;
    if (all) q->seen_value = 0.0, q->seen_levels = 0;
}

double rsk_look_below(rsk_detector *q, const float *x, ptrdiff_t position, ptrdiff_t m, ptrdiff_t levels) {
    const ptrdiff_t stride = q->spec->dim + 5 * RSK_LANES;
    float *below = q->below + (x == q->below + stride ? 2 : 1) * stride; /* x is one of the detector's three vectors */
    rsk_step_below(q, x, m, position, below);
    const int there = leads_there(q, m);
    const double known = there ? follow(q, below, levels) : 0.0;
    if (there) q->seen_value = known;
    ptrdiff_t length;
    const double found = look_deep(q, below, m, levels, &length);
    if (found > q->seen_value) keep(q, m, length, found);
    return fmax(found, known);
}
