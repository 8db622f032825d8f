/* Blind unrolling: propose groups of objects that the residual supports, fit all of them jointly, drop what the fit weakens,
 * until nothing is left to explain (docs/design.md, section 8). */
#include "reading/reading.h"

#include <math.h>
#include <string.h>

#define FIT 3e-2        /* squared gradient over squared residual where a fit is good enough to go on */
#define FINE 3e-5       /* the same at the end */
#define OBJECT_COST 3.0 /* nats an object must bring */
#define SURE 6.0        /* nats one must bring by itself, or something below it, to be reported */
#define SEEN 2.5        /* and errors that its counter must reach */
#define LEAD 0.1        /* a proposal of less than this share of the best one's evidence waits */
#define FULL 0.97       /* unknowns over kept coordinates that are never passed */
#define ROOMY 0.6       /* 1 - degrees of freedom / kept, above which little damping is needed */
#define LITTLE 0.005    /* of the sketch's energy: with that left, too */
#define SETTLED 0.5     /* a fit that leaves more than this share of the squared residual has come to rest */
#define RESTED 0.9      /* the same where nothing new was found */
#define PATIENCE 4      /* rounds without progress */

typedef struct found {
    rsk_unrolled_view view;
    void *memory;
    ptrdiff_t objects, attributes;
} found;

struct rsk_unrolled {
    ptrdiff_t n;
    found *of;
};

/* One worker's memory, and the sketch it is at. */
typedef struct search {
    const rsk_unroll_params *params;
    rsk_fit fit;
    rsk_detector detector;
    float *residual;
    double *spare;
    int rounds;
} search;

static void search_free(search *q) {
    rsk_fit_free(&q->fit);
    rsk_detector_free(&q->detector);
    rsk_free(q->residual);
    rsk_free(q->spare);
    memset(q, 0, sizeof *q); /* one that could not be made is freed again with the others */
}

static int search_create(const rsk_spec *spec, const rsk_unroll_params *params, rsk_stop *stop, int worker, search *q) {
    memset(q, 0, sizeof *q);
    q->params = params;
    q->residual = rsk_alloc(spec->dim, sizeof *q->residual);
    if (q->residual && rsk_fit_create(spec, params, stop, worker, &q->fit) &&
        rsk_detector_create(spec, q->fit.capacity, params->max_depth, &q->detector))
        q->spare = rsk_alloc(2 * (spec->dim + q->fit.room + q->fit.capacity), sizeof *q->spare);
    q->detector.stop = stop, q->detector.worker = worker;
    if (q->spare) return 1;
    search_free(q);
    return 0;
}

/* ---------------------------------------------------------------- steps of the search */

static int is_stopped(const search *q) { return rsk_stopped(q->detector.stop, q->detector.worker); }

/* Fits and prunes until that changes nothing. The damping follows the residual down, and runs ahead of it once it falls fast:
 * then nothing is missing any more. */
static void refit(search *q, double settled) {
    rsk_fit *f = &q->fit;
    double before = HUGE_VAL, ease = 1.0;
    for (int turn = 0; turn < 40 && !is_stopped(q); turn++) {
        const int light = !f->sparse && f->shrink > ROOMY && f->square < LITTLE * f->energy;
        rsk_fit_solve(f, light ? fmin(ease, 0.03) : ease, FIT);
        rsk_fit_estimate_noise(f);
        rsk_fit_norms(f);
        const ptrdiff_t marks = rsk_fit_prune(f, OBJECT_COST);
        if (marks) rsk_fit_remove(f);
        else if (f->square <= 4.0 * f->floor || f->square > (f->sparse ? RESTED : settled) * before) break;
        ease = !f->sparse && !marks && f->square < 0.25 * before && turn > 0 ? 1e-3 : 1.0;
        before = marks ? HUGE_VAL : f->square;
    }
}

static void detect(search *q) {
    rsk_detector *det = &q->detector;
    const rsk_fit *f = &q->fit;
    rsk_tree_program(&q->fit.tree);
    det->allowed = q->params->allowed;
    /* a counter that its own large attribute drowns says less of the inputs than the two together */
    for (ptrdiff_t i = 0; i < f->tree.count; i++)
        f->error[i] = f->norm2 > 1.0 && f->c[i] < RSK_CLEAR * f->spread ? f->alpha[i] : f->c[i];
    det->counter = f->error;
    det->rho2 = f->rho2;
    det->share = f->root * f->root;
    det->root = f->root;
    det->noise = f->spread * f->shrink;
    det->shrink = f->shrink;
    det->threshold = q->params->threshold;
    det->max_depth = q->params->max_depth;
    for (ptrdiff_t k = 0; k < f->spec->dim; k++) q->residual[k] = (float)f->work.r[k];
    rsk_detect(det, &f->tree, q->residual);
}

static int has_room(const rsk_fit *f, int32_t module) {
    const ptrdiff_t unknowns = rsk_fit_unknowns(f) + f->spec->module[module].length + 1;
    if (f->tree.count >= f->capacity || unknowns > f->room) return 0;
    return f->sparse ? f->shrink > 1.0 - FULL : (double)unknowns <= FULL * (double)f->kept;
}

/* Takes the strongest proposals; returns how many objects came in. */
static ptrdiff_t accept(search *q) {
    const rsk_detector *det = &q->detector;
    rsk_fit *f = &q->fit;
    double best = 0.0;
    for (ptrdiff_t i = 0; i < det->proposals; i++) best = fmax(best, det->proposal[i].score);
    ptrdiff_t came = 0, replaced = 0;
    memset(f->drop, 0, (size_t)f->capacity);
    for (;;) { /* in the order of their scores; there are few */
        rsk_proposal *p = NULL;
        for (ptrdiff_t i = 0; i < det->proposals; i++)
            if (det->proposal[i].count > 0 && (!p || det->proposal[i].score > p->score)) p = &det->proposal[i];
        if (!p || p->score < LEAD * best) break;
        const int32_t *modules = det->modules + p->first;
        int32_t incumbent = f->tree.order[p->parent + 1];
        while (incumbent >= 0 && f->tree.node[incumbent].position != p->position)
            incumbent = f->tree.order[f->capacity + 1 + incumbent];
        if (incumbent < 0)
            for (int32_t k = 0; k < p->count && has_room(f, modules[k]); k++, came++)
                rsk_fit_add(f, p->parent, p->position + k, modules[k], p->amplitude);
        else if (f->tree.node[incumbent].evidence < p->score && has_room(f, modules[0])) {
            /* the new module stands beside the old one until that is removed */
            rsk_fit_add(f, p->parent, p->position, modules[0], p->amplitude);
            f->drop[incumbent] = 1, replaced++, came++;
        }
        p->count = 0;
    }
    if (replaced) rsk_fit_remove(f);
    return came;
}

/* Once everything is explained: marks tuples that fall far short of what their owner's counter tells, as they were taken for
 * another one's inputs, and objects that hold no more than rounding. */
static ptrdiff_t mark_false(rsk_fit *f) {
    const rsk_tree *t = &f->tree;
    const int32_t *next = t->order + t->capacity + 1;
    ptrdiff_t marks = 0;
    for (ptrdiff_t p = 0; p < t->count; p++) {
        double sum = 0.0;
        for (int32_t c = t->order[p + 1]; c >= 0; c = next[c]) sum += rsk_tree_part(f->spec, f->c[c]);
        const int others = sum < 0.5 * rsk_tree_whole(t, p, f->c, f->root);
        for (int32_t c = t->order[p + 1]; others && c >= 0; c = next[c]) marks += !f->drop[c], f->drop[c] = 1;
        const int64_t begin = t->plan.attribute_ends[p], end = t->plan.attribute_ends[p + 1];
        const double energy = f->c[p] * f->c[p] + rsk_dot(f->x + begin, f->x + begin, (ptrdiff_t)(end - begin));
        if (!f->drop[p] && energy < 100.0 * f->floor) marks++, f->drop[p] = 1;
    }
    return marks;
}

/* Leaves only what is sure, and fits it well. */
static void report(search *q) {
    rsk_fit *f = &q->fit;
    rsk_tree *t = &f->tree;
    rsk_tree_program(t);
    for (int turn = 0; turn < 8 && !is_stopped(q); turn++) {
        const int near = f->square <= 100.0 * f->floor;
        ptrdiff_t marks = rsk_fit_prune(f, OBJECT_COST);
        if (near) marks += mark_false(f);
        for (ptrdiff_t i = t->count - 1; i >= 0; i--) f->moved[i] = t->node[i].own >= SURE && f->c[i] >= SEEN * f->spread;
        for (ptrdiff_t i = t->count - 1; i >= 0; i--) {
            if (f->moved[i] && !f->drop[i] && t->node[i].parent >= 0) f->moved[t->node[i].parent] = 1;
            if (!f->moved[i] && !f->drop[i]) f->drop[i] = 1, marks++;
        }
        if (marks) rsk_fit_remove(f);
        else if (turn > 0 || (f->square <= f->floor && !f->sparse)) break;
        rsk_fit_solve(f, near ? 0.0 : 1.0, FINE);
        rsk_fit_estimate_noise(f);
    }
}

static void unroll(search *q) {
    rsk_fit *f = &q->fit;
    double least = HUGE_VAL;
    int thorough = 0;
    q->rounds = 0;
    for (int idle = 0; f->energy > 0.0 && q->rounds < q->params->max_rounds && idle < PATIENCE && !is_stopped(q); q->rounds++) {
        detect(q);
        const ptrdiff_t came = accept(q);
        if (!came && thorough) break;
        thorough = !came;
        refit(q, thorough ? RESTED : SETTLED);
        idle = f->square < 0.98 * least ? 0 : idle + 1;
        least = fmin(least, f->square);
        if (f->square <= 4.0 * f->floor) break;
    }
    report(q);
    if (!is_stopped(q)) rsk_fit_uncertainty(f, q->params->allowed, q->params->max_depth, q->spare);
}

static int keep(const search *q, found *out) {
    const rsk_fit *f = &q->fit;
    const ptrdiff_t n = f->tree.count, a = (ptrdiff_t)f->tree.plan.attribute_ends[n];
    double *v = out->memory = rsk_alloc(4 * n + a + (3 * n + 1) / 2, sizeof *v);
    if (!v) return 0;
    int32_t *tags = (int32_t *)(void *)(v + 4 * n + a);
    out->objects = n, out->attributes = a;
    const rsk_unrolled_view view = {.residual = f->square, .energy = f->energy, .missing = f->missing, .rounds = q->rounds,
                                    .iterations = (int32_t)f->iterations, .parent = tags, .position = tags + n,
                                    .module = tags + 2 * n, .amplitude = v, .evidence = v + n, .spread = v + 2 * n,
                                    .amplitude_spread = v + 3 * n, .attributes = v + 4 * n};
    out->view = view;
    for (ptrdiff_t i = 0; i < n; i++) {
        const rsk_node *o = &f->tree.node[i];
        tags[i] = o->parent, tags[n + i] = o->position, tags[2 * n + i] = o->module;
        v[i] = f->c[i], v[n + i] = o->evidence;
        /* what the damping left of the noise, and what it took of that which the prior holds */
        double damping = HUGE_VAL, prior = 0.0;
        for (int64_t k = f->tree.plan.attribute_ends[i]; k < f->tree.plan.attribute_ends[i + 1]; k++)
            if (f->damping[k] < damping) damping = f->damping[k], prior = f->prior[k];
        const double shared = 1.0 / (1.0 + damping / f->shrink);
        v[2 * n + i] = hypot(shared * f->error[i], (1.0 - shared) * sqrt(prior));
        v[3 * n + i] = f->error[i];
    }
    for (ptrdiff_t k = 0; k < a; k++) v[4 * n + k] = rsk_fit_in_support(f, k) ? f->x[k] : 0.0;
    return 1;
}

/* ---------------------------------------------------------------- a batch */

typedef struct job {
    const rsk_spec *spec;
    const float *sketches;
    const uint8_t *mask;
    ptrdiff_t mask_rows;
    const rsk_unroll_params *params;
    rsk_unrolled *out;
    search *searches;
    rsk_status *status;
} job;

static void task(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) {
    const job *j = context;
    search *q = &j->searches[worker];
    for (ptrdiff_t i = begin; i < end; i++) {
        const uint8_t *mask = j->mask ? j->mask + (j->mask_rows > 1 ? i * j->spec->dim : 0) : NULL;
        j->status[i] = RSK_EVALUE;
        if (!rsk_fit_load(&q->fit, j->sketches + i * j->spec->dim, mask, j->params->noise ? j->params->noise[i] : 0.0)) continue;
        unroll(q);
        j->status[i] = keep(q, &j->out->of[i]) ? RSK_OK : RSK_ENOMEM;
    }
}

static int valid(const rsk_spec *spec, ptrdiff_t n, const rsk_unroll_params *p) {
    if (!p || !p->allowed || p->max_depth < 1 || p->max_depth > RSK_MAX_DEPTH || !(p->threshold >= 0.0) || p->max_rounds < 1 ||
        p->nonzeros < 0)
        return 0;
    for (ptrdiff_t i = 0; p->noise && i < n; i++)
        if (!(p->noise[i] >= 0.0) || !(p->noise[i] <= (double)RSK_MAX_VALUE)) return 0;
    return spec != NULL;
}

void rsk_unrolled_free(rsk_unrolled *u) {
    for (ptrdiff_t i = 0; u && u->of && i < u->n; i++) rsk_free(u->of[i].memory);
    if (u) rsk_free(u->of);
    rsk_free(u);
}

rsk_status rsk_unroll(const rsk_spec *spec, ptrdiff_t n, const float *sketches, const uint8_t *mask, ptrdiff_t mask_rows,
                      const rsk_unroll_params *params, rsk_unrolled **out, int threads, rsk_stop *stop, rsk_where *where) {
    if (where) where->trace = where->object = -1;
    if (!out) return RSK_EINVAL;
    *out = NULL;
    if (n < 1 || !sketches || threads < 1 || (mask && mask_rows != 1 && mask_rows != n) || !valid(spec, n, params))
        return RSK_EINVAL;
    const int workers = rsk_parallel_threads(threads, n, 1);
    rsk_unrolled *u = rsk_calloc(1, sizeof *u);
    job j = {spec, sketches, mask, mask_rows, params, u, rsk_calloc(workers, sizeof *j.searches),
             rsk_alloc(n, sizeof *j.status)};
    rsk_status status = u && j.searches && j.status ? RSK_OK : RSK_ENOMEM;
    if (u) u->n = n, u->of = rsk_calloc(n, sizeof *u->of);
    if (u && !u->of) status = RSK_ENOMEM;
    for (int i = 0; status == RSK_OK && i < workers; i++)
        if (!search_create(spec, params, stop, i, &j.searches[i])) status = RSK_ENOMEM;
    if (status == RSK_OK) status = rsk_parallel_until(stop, workers, n, 1, task, &j);
    for (ptrdiff_t i = 0; status == RSK_OK && i < n; i++)
        if (j.status[i] != RSK_OK) {
            status = j.status[i];
            if (where && status == RSK_EVALUE) where->trace = i;
        }
    for (int i = 0; j.searches && i < workers; i++) search_free(&j.searches[i]);
    rsk_free(j.searches);
    rsk_free(j.status);
    if (status == RSK_OK) *out = u;
    else rsk_unrolled_free(u);
    return status;
}

ptrdiff_t rsk_unrolled_objects(const rsk_unrolled *u, ptrdiff_t i) { return u && i >= 0 && i < u->n ? u->of[i].objects : -1; }

ptrdiff_t rsk_unrolled_attributes(const rsk_unrolled *u, ptrdiff_t i) {
    return u && i >= 0 && i < u->n ? u->of[i].attributes : -1;
}

rsk_status rsk_unrolled_get(const rsk_unrolled *u, ptrdiff_t i, rsk_unrolled_view *view) {
    if (!u || i < 0 || i >= u->n || !view) return RSK_EINVAL;
    *view = u->of[i].view;
    return RSK_OK;
}
