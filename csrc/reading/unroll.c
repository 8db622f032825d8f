/* Blind unrolling: propose groups of objects that the residual supports, fit all objects jointly, drop those that the fit weakens, and
 * repeat until nothing is left to explain (docs/method.md, "Unrolling"). */
#include "reading/reading.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define FIT 3e-2        /* squared gradient over squared residual at which a fit is good enough to go on */
#define FINE 3e-5       /* the same for the last fit, where not all is explained */
#define LAST 1e-4       /* squared gradient over what it was at which a fit without damping ends ... */
#define AGAIN 1e-2      /* ... and at most one that follows such a fit, to correct its rounding: see again */
#define OBJECT_COST 3.0 /* nats of evidence an object must bring */
#define SURE 6.0        /* nats that an object, or one below it, must bring by itself to be reported */
#define SEEN 2.5        /* standard errors that the counter of such an object must reach */
#define LEAD 0.1        /* a proposal of less than this share of the best one's evidence waits for the next round */
#define FULL 0.97       /* unknowns over kept coordinates, at most */
#define SHARED 0.25     /* where copies can be tied: more than these, while the fit leaves this share of the coordinates free */
#define CROWDED 0.4     /* a fit that leaves less of the coordinates free than this looks for copies at once, not only when stuck */
#define SETTLED 0.5     /* a fit that leaves more than this share of the squared residual has come to rest */
#define RESTED 0.9      /* the same in a round that found nothing new, and with sparse attributes */
#define SHARPENING 8    /* fits without damping that are tried */
#define BETTER 0.85     /* the last fit goes on while it lowers the squared residual by this: what it then lowers is rounding */
#define PATIENCE 4      /* rounds without progress after which the search ends */
/* A search that is stuck looks harder in steps: from the first on all that rsk_detector.bold does; at each the threshold and an object's
 * cost are multiplied by ease, and at the last an object may bring EXTRA nats less. Once the squared residual has fallen below
 * UNSTUCK of what it was when the search got stuck, it goes back to the first step. */
#define STEPS 4
static const double ease[STEPS + 1] = {1.0, 1.0, 0.5, 0.2, 0.0};
#define EXTRA 3.0
#define UNSTUCK 0.9
/* While there are no more than EARLY objects a stuck search keeps them unless they cost more than this: what stands below them, which
 * would tell, cannot be looked for before they are there. */
#define EARLY 2
#define EARLY_COST (-8.0)
#define TRUST 2 /* rounds for which an object's credit counts */
/* Damping. Dense attributes are damped by LIGHT instead of 1 once the fit has more than ROOMY of the kept coordinates to spare and
 * the squared residual is below LITTLE of the sketch's energy; and by AHEAD once a fit divided the squared residual by FALLEN, as
 * nothing is missing then. */
#define LIGHT 0.03
#define ROOMY 0.6
#define LITTLE 0.005
#define AHEAD 1e-3
#define FALLEN 4.0
#define CAME 4.0 /* a fit with objects that came must divide it by so much more, as these explain a part by themselves */

/* One sketch's answer; memory holds the view's arrays, rests those of its rests. */
typedef struct found {
    rsk_unrolled_view view;
    void *memory, *rests;
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
    rsk_proposal **order; /* scratch: pointers to the detector's proposals */
    const float *columns; /* of rsk_counter_columns */
    float *residual;      /* (d,) scratch */
    double *spare;        /* scratch of rsk_fit_uncertainty */
    int rounds;
    int step; /* of looking harder, 0 to STEPS */
} search;

static void search_free(search *q) {
    rsk_fit_free(&q->fit);
    rsk_detector_free(&q->detector);
    rsk_free(q->order);
    rsk_free(q->residual);
    rsk_free(q->spare);
    memset(q, 0, sizeof *q); /* a search that could not be made is freed once more with all others */
}

/* team: threads that this search may use. */
static int search_create(const rsk_spec *spec, const rsk_unroll_params *params, rsk_stop *stop, int worker, int team, search *q) {
    memset(q, 0, sizeof *q);
    q->params = params;
    q->residual = rsk_alloc(spec->dim, sizeof *q->residual);
    if (q->residual && rsk_fit_create(spec, params, stop, worker, team, &q->fit) &&
        rsk_detector_create(spec, q->fit.objects, params->max_depth, team, &q->detector)) {
        q->order = rsk_alloc(2 * q->fit.objects + 1, sizeof *q->order);
        q->spare = rsk_alloc(rsk_fit_spare(&q->fit), sizeof *q->spare);
    }
    q->detector.stop = stop, q->detector.worker = worker;
    if (q->order && q->spare) return 1;
    search_free(q);
    return 0;
}

/* ---------------------------------------------------------------- steps of the search */

static int is_stopped(const search *q) { return rsk_stopped(q->detector.stop, q->detector.worker); }

/* What an object must bring to stay. */
static double cost_of(const search *q) {
    if (q->step && q->fit.tree.count <= EARLY) return EARLY_COST;
    return OBJECT_COST * ease[q->step] - (q->step == STEPS ? EXTRA : 0.0);
}

/* Fits and prunes until that changes nothing. */
static void refit(search *q, double settled) {
    rsk_fit *f = &q->fit;
    double before = f->square / CAME, damping = 1.0;
    for (int turn = 0; turn < 40 && !is_stopped(q); turn++) {
        const int light = !f->any_sparse && f->shrink > ROOMY && f->square < LITTLE * f->energy;
        rsk_fit_solve(f, light ? fmin(damping, LIGHT) : damping, FIT);
        rsk_fit_estimate_noise(f);
        rsk_fit_norms(f);
        const ptrdiff_t marks = rsk_fit_prune(f, cost_of(q));
        if (marks) rsk_fit_remove(f);
        else if (f->square <= RSK_EXACT * f->floor || (turn > 0 && f->square > (f->any_sparse ? RESTED : settled) * before)) break;
        damping = !f->any_sparse && !marks && rsk_fit_determined(f) && f->square < before / FALLEN ? AHEAD : 1.0;
        before = marks ? HUGE_VAL : f->square;
    }
}

static void detect(search *q) {
    rsk_detector *det = &q->detector;
    const rsk_fit *f = &q->fit;
    rsk_tree_program(&q->fit.tree);
    det->allowed = q->params->allowed;
    /* Where an object's large attribute drowns its counter, the likeliest amplitude, which follows from both, says more of its inputs. One
     * that was seen by what stands far below it may have a counter that is fainter than the noise, even below zero. */
    for (ptrdiff_t i = 0; i < f->tree.count; i++) {
        f->error[i] = f->norm2 > 1.0 && f->c[i] < RSK_CLEAR * f->spread ? f->alpha[i] : f->c[i];
        if (f->tree.node[i].credit > 0.0 && rsk_tree_first(&f->tree, i) < 0) f->error[i] = fmax(f->error[i], f->spread);
    }
    det->counter = f->error;
    det->rho2 = f->rho2;
    det->unseen = f->unseen, det->norm2 = f->norm2;
    det->columns = q->columns;
    det->share = f->root * f->root;
    det->root = f->root;
    det->noise = f->spread * f->shrink;
    det->shrink = f->shrink;
    det->bold = q->step > 0;
    det->threshold = q->params->threshold * ease[q->step];
    if (q->step > 1 && !f->tree.count) det->threshold = -HUGE_VAL; /* some object must be the first */
    det->max_depth = q->params->max_depth;
    for (ptrdiff_t k = 0; k < f->spec->dim; k++) q->residual[k] = (float)f->work.r[k];
    rsk_detect(det, &f->tree, q->residual);
}

static int has_room(const rsk_fit *f, int32_t module) {
    const ptrdiff_t more = f->spec->module[module].length + 1, unknowns = rsk_fit_unknowns(f) + more;
    if (f->tree.count >= f->objects || rsk_fit_places(f) + more > f->room) return 0;
    if (f->ties.signature && f->shrink > SHARED) return 1; /* copies may be among them */
    return f->any_sparse ? f->shrink > 1.0 - FULL : (double)unknowns <= FULL * (double)f->kept;
}

/* Largest score first, the first of equals. */
static int compare(const void *left, const void *right) {
    const rsk_proposal *a = *(rsk_proposal *const *)left, *b = *(rsk_proposal *const *)right;
    if (a->score != b->score) return a->score > b->score ? -1 : 1;
    return a < b ? -1 : a > b;
}

/* Gives the last object credit. */
static void trust(rsk_fit *f, double credit) {
    f->tree.node[f->tree.count - 1].credit = credit;
    f->tree.node[f->tree.count - 1].trust = TRUST;
}

/* Adds the objects of the strongest proposals, strongest first. Returns how many objects that were. */
static ptrdiff_t accept(search *q) {
    const rsk_detector *det = &q->detector;
    rsk_fit *f = &q->fit;
    ptrdiff_t came = 0, replaced = 0;
    for (ptrdiff_t i = 0; i < f->tree.count; i++)
        if (f->tree.node[i].trust > 0 && --f->tree.node[i].trust == 0) f->tree.node[i].credit = 0.0;
    memset(f->drop, 0, (size_t)f->capacity);
    for (ptrdiff_t i = 0; i < det->proposals; i++) q->order[i] = &det->proposal[i];
    if (det->proposals) qsort(q->order, (size_t)det->proposals, sizeof *q->order, compare);
    for (ptrdiff_t i = 0; i < det->proposals; i++) {
        const rsk_proposal *p = q->order[i];
        const int32_t *modules = det->modules + p->first;
        if (p->score < LEAD * q->order[0]->score) break;
        if (p->replaces < 0) {
            for (int32_t k = 0; k < p->count && has_room(f, modules[k]); k++, came++) {
                rsk_fit_add(f, p->parent, p->position + k, modules[k], p->amplitude);
                if (k == 0) trust(f, p->credit);
            }
        } else if (f->tree.node[p->replaces].evidence < p->score && has_room(f, modules[0])) {
            /* The new module stands beside the old one until that is removed below. */
            rsk_fit_add(f, p->parent, p->position, modules[0], p->amplitude);
            trust(f, p->credit);
            f->drop[p->replaces] = 1, replaced++, came++;
        }
    }
    if (replaced) rsk_fit_remove(f);
    return came;
}

/* For a fit that explains everything: marks tuples that fall far short of what their owner's counter tells, as they were taken for
 * another object's inputs; and objects that hold no more than rounding. Returns how many new marks there are. */
static ptrdiff_t mark_false(rsk_fit *f) {
    const rsk_tree *t = &f->tree;
    ptrdiff_t marks = 0;
    for (ptrdiff_t p = 0; p < t->count; p++) {
        double sum = 0.0;
        ptrdiff_t k = 0;
        for (int32_t c = rsk_tree_first(t, p); c >= 0; c = t->next[c], k++) sum += rsk_tree_part(f->spec, f->c[c]);
        const int others = sum < 0.5 * rsk_tree_whole(f->spec, rsk_tree_owner(t, p, f->c, f->root), k);
        for (int32_t c = rsk_tree_first(t, p); others && c >= 0; c = t->next[c]) marks += !f->drop[c], f->drop[c] = 1;
        const int64_t begin = t->plan.attribute_ends[p], end = t->plan.attribute_ends[p + 1];
        const double energy = f->c[p] * f->c[p] + rsk_dot(f->x + begin, f->x + begin, (ptrdiff_t)(end - begin));
        if (!f->drop[p] && energy < RSK_NEARLY * f->floor) marks++, f->drop[p] = 1;
    }
    return marks;
}

/* Marks objects that are not sure, but for those with a sure one below them. Returns how many new marks there are. */
static ptrdiff_t mark_unsure(rsk_fit *f) {
    const rsk_tree *t = &f->tree;
    int32_t *sure = f->moved;
    ptrdiff_t marks = 0;
    for (ptrdiff_t i = 0; i < t->count; i++) sure[i] = t->node[i].own >= SURE && f->c[i] >= SEEN * f->spread;
    for (ptrdiff_t i = t->count - 1; i >= 0; i--) { /* children stand after their parents */
        if (sure[i] && !f->drop[i] && t->node[i].parent != RSK_ROOT) sure[t->node[i].parent] = 1;
        if (!sure[i] && !f->drop[i]) f->drop[i] = 1, marks++;
    }
    return marks;
}

/* Tries whether the objects explain everything once they are fitted without damping, which hides that where columns depend on each
 * other: a long chain of one module, nearly as many unknowns as coordinates. If they do not, all is as it was. */
static void sharpen(search *q) {
    rsk_fit *f = &q->fit;
    const size_t elements = (size_t)f->tree.plan.attribute_ends[f->tree.count], objects = (size_t)f->tree.count;
    if (!objects || f->square <= RSK_NEARLY * f->floor || f->square > LITTLE * f->energy || rsk_fit_unknowns(f) >= f->kept) return;
    double *x = q->spare, *c = q->spare + f->room, before = HUGE_VAL;
    memcpy(x, f->x, sizeof *x * elements);
    memcpy(c, f->c, sizeof *c * objects);
    for (int turn = 0; turn < SHARPENING && f->square < BETTER * before && f->square > RSK_NEARLY * f->floor && !is_stopped(q); turn++) {
        before = f->square;
        rsk_fit_solve(f, 0.0, LAST);
        rsk_fit_estimate_noise(f);
    }
    if (f->square <= RSK_NEARLY * f->floor) return;
    memcpy(f->x, x, sizeof *x * elements);
    memcpy(f->c, c, sizeof *c * objects);
    rsk_fit_solve(f, 1.0, FIT);
    rsk_fit_estimate_noise(f);
}

/* The tolerance of a fit that corrects another one's rounding. The fewer coordinates a fit leaves free, the more a small gradient can hide
 * of what unknowns are off by. */
static double again(const rsk_fit *f) { return fmin(AGAIN, fmax(LAST, f->shrink * f->shrink * f->shrink)); }

/* Leaves only objects that are sure, and fits them well. */
static void report(search *q) {
    rsk_fit *f = &q->fit;
    double before = HUGE_VAL;
    /* Where norms are not known, what stands behind an unsure object is no surer: beyond capacity one in nine was false. */
    f->gaps = f->told_norm2 > 0.0;
    rsk_tree_program(&f->tree);
    for (int turn = 0; turn < 8 && !is_stopped(q); turn++) {
        const int near = f->square <= RSK_NEARLY * f->floor;
        ptrdiff_t marks = rsk_fit_prune(f, OBJECT_COST);
        if (near) marks += mark_false(f);
        marks += mark_unsure(f);
        if (marks) rsk_fit_remove(f);
        else if (turn > 0 && !(near && f->square < BETTER * before)) break;
        before = f->square;
        rsk_fit_solve(f, near ? 0.0 : 1.0, near ? turn ? again(f) : LAST : FINE);
        rsk_fit_estimate_noise(f);
    }
    f->gaps = 0;
}

static ptrdiff_t depth_of(const rsk_tree *t) {
    ptrdiff_t depth = 0;
    for (ptrdiff_t i = 0; i < t->count; i++)
        if (t->node[i].depth >= depth) depth = t->node[i].depth + 1;
    return depth;
}

/* Looks for objects until nothing is left to explain, in `steps` steps of looking harder at most. */
static void explore(search *q, int steps) {
    rsk_fit *f = &q->fit;
    double least = HUGE_VAL, stuck = HUGE_VAL;
    ptrdiff_t peak = 0, last = 0, descents = q->params->max_depth;
    int thorough = 0, idle = 0;
    for (q->step = 0; f->energy > 0.0 && q->rounds < q->params->max_rounds && idle < PATIENCE && !is_stopped(q); q->rounds++) {
        detect(q);
        const ptrdiff_t came = accept(q);
        if (!came && (thorough || q->step)) {
            if (rsk_fit_clean(f)) break;
            if (rsk_fit_tie(f, q->spare)) {
                thorough = idle = 0;
                continue;
            }
            if (q->step == steps) break;
            if (++q->step == 1) stuck = f->square;
            thorough = idle = 0;
            continue;
        }
        thorough = !came;
        refit(q, thorough ? RESTED : SETTLED);
        /* Down a chain whose states explain next to nothing, as they are so much fainter than what stands below them, each is progress. */
        const ptrdiff_t depth = depth_of(&f->tree);
        idle = f->square < 0.98 * least || f->tree.count > peak || (depth > last && descents-- > 0) ? 0 : idle + 1;
        if (f->tree.count > peak) peak = f->tree.count;
        last = depth;
        least = fmin(least, f->square);
        if (q->step > 1 && f->square < UNSTUCK * stuck) q->step = 1, stuck = f->square;
        if (f->square <= RSK_EXACT * f->floor && rsk_fit_determined(f)) break;
        if (f->shrink < CROWDED && f->square > RSK_NEARLY * f->floor && rsk_fit_tie(f, q->spare)) idle = 0;
    }
}

/* Takes all objects out. */
static void start_again(search *q) {
    rsk_fit *f = &q->fit;
    rsk_tree_clear(&f->tree);
    rsk_look_forget(&q->detector, 1);
    f->ties.any = 0;
    memcpy(f->work.r, f->s, sizeof *f->s * (size_t)f->spec->dim);
    for (ptrdiff_t m = 0; m < f->spec->modules; m++) f->rho2[m] = f->norm2, f->unseen[m] = !(f->told_norm2 > 0.0);
    rsk_fit_estimate_noise(f);
}

static int is_open(const search *q) {
    for (ptrdiff_t m = 0; q->params->sparsity && m < q->fit.spec->modules; m++)
        if (q->params->sparsity[m].kind == RSK_DECIDE) return 1;
    return 0;
}

static void unroll(search *q) {
    rsk_fit *f = &q->fit;
    q->rounds = 0;
    /* Dense attributes are found much faster. Where that search gets stuck, what it found tells which attributes are sparse. */
    const int open = is_open(q);
    explore(q, open ? 0 : STEPS);
    if (open && !rsk_fit_clean(f) && !is_stopped(q)) {
        if (rsk_fit_decide(f)) start_again(q);
        explore(q, STEPS);
    }
    for (ptrdiff_t i = 0; i < f->tree.count; i++) f->tree.node[i].credit = 0.0;
    sharpen(q);
    report(q);
    if (!is_stopped(q)) rsk_fit_uncertainty(f, q->params->allowed, q->params->max_depth, q->spare);
}

/* The standard error of an attribute's reported elements: damping shortens the error of a free element, and leaves out a part of what
 * the prior allows. Both are those of the attribute's least damped element. */
static double element_error(const rsk_fit *f, ptrdiff_t i) {
    double damping = HUGE_VAL, prior = 0.0;
    for (int64_t k = f->tree.plan.attribute_ends[i]; k < f->tree.plan.attribute_ends[i + 1] - f->free; k++)
        if (f->damping[k] < damping) damping = f->damping[k], prior = f->prior[k];
    const double part = 1.0 / (1.0 + damping / f->shrink);
    return hypot(part * f->error[i], (1.0 - part) * sqrt(prior));
}

/* Copies the objects; 0 if there is no memory. */
static int keep(const search *q, found *out) {
    const rsk_fit *f = &q->fit;
    const ptrdiff_t n = f->tree.count, a = (ptrdiff_t)f->tree.plan.attribute_ends[n];
    double *amplitude = out->memory = rsk_alloc(5 * n + a + 2 * n, sizeof *amplitude);
    if (!amplitude) return 0;
    double *evidence = amplitude + n, *spread = evidence + n, *amplitude_spread = spread + n, *free_spread = amplitude_spread + n;
    double *attributes = free_spread + n;
    int32_t *parent = (int32_t *)(void *)(attributes + a), *position = parent + n, *module = position + n, *lead = module + n;
    const rsk_unrolled_view view = {.residual = f->square, .energy = f->energy, .missing = f->missing, .rounds = q->rounds,
                                    .iterations = (int32_t)f->iterations, .parent = parent, .position = position,
                                    .module = module, .lead = lead, .amplitude = amplitude, .evidence = evidence, .spread = spread,
                                    .amplitude_spread = amplitude_spread, .free_spread = free_spread, .attributes = attributes};
    out->objects = n, out->attributes = a;
    out->view = view;
    for (ptrdiff_t i = 0; i < n; i++) {
        const rsk_node *o = &f->tree.node[i];
        parent[i] = o->parent, position[i] = o->position, module[i] = o->module;
        lead[i] = f->ties.any ? f->ties.lead[i] : (int32_t)i;
        amplitude[i] = f->c[i], evidence[i] = o->evidence;
        spread[i] = element_error(f, i), amplitude_spread[i] = f->count_error[i], free_spread[i] = f->free_error[i];
    }
    for (ptrdiff_t i = 0; i < n; i++)
        for (int64_t k = f->tree.plan.attribute_ends[i]; k < f->tree.plan.attribute_ends[i + 1]; k++)
            attributes[k] = rsk_fit_in_support(f, i, k) ? f->x[k] : 0.0;
    return 1;
}

/* Fits and copies what tuples lack; 0 if there is no memory. */
static int pool(search *q, found *out) {
    rsk_fit *f = &q->fit;
    if (rsk_fit_clean(f) || is_stopped(q)) return 1;
    rsk_fit_pool(f, q->params->allowed, q->params->max_depth);
    if (!f->rests || rsk_fit_clean(f) || is_stopped(q)) return 1;
    rsk_fit_uncertainty(f, q->params->allowed, q->params->max_depth, q->spare);
    const ptrdiff_t n = f->rests, first = f->tree.count - n;
    const int64_t begin = f->tree.plan.attribute_ends[first], end = f->tree.plan.attribute_ends[f->tree.count];
    double *count = out->rests = rsk_alloc(5 * n + (ptrdiff_t)(end - begin) + n, sizeof *count);
    if (!count) return 0;
    double *count_spread = count + n, *sum = count_spread + n, *sum_spread = sum + n, *spread = sum_spread + n, *attributes = spread + n;
    int32_t *owner = (int32_t *)(void *)(attributes + (end - begin)), *module = owner + n;
    for (ptrdiff_t i = 0; i < n; i++) {
        owner[i] = f->tree.node[first + i].parent, module[i] = f->tree.node[first + i].module;
        count[i] = f->rest_count[first + i], count_spread[i] = f->rest_error[first + i];
        sum[i] = f->c[first + i], sum_spread[i] = f->free_error[first + i];
        spread[i] = element_error(f, first + i);
    }
    memcpy(attributes, f->x + begin, sizeof *attributes * (size_t)(end - begin));
    const rsk_rests rests = {.rests = n, .attributes = (ptrdiff_t)(end - begin), .owner = owner, .module = module, .count = count,
                             .count_spread = count_spread, .sum = sum, .sum_spread = sum_spread, .spread = spread, .attribute = attributes};
    out->view.rests = rests;
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
    rsk_detector *detectors; /* (workers,) of the searches, whose scratch one search may use */
    rsk_status *status;
} job;

/* How many of n sketches are searched by all threads together: those that would leave some idle. A search may take ten times as long as
 * another one, so that where there are many, the others go on meanwhile. */
static ptrdiff_t searched_together(ptrdiff_t n, int threads) { return n < 4 * (ptrdiff_t)threads ? n % threads : 0; }

/* The first search uses so many threads. */
static void set_team(const job *j, int threads) {
    search *q = j->searches;
    for (int i = 0; i < threads; i++) j->detectors[i] = j->searches[i].detector;
    q->detector.team = j->detectors, q->detector.threads = threads;
    q->fit.map.scratch->team = threads;
}

static void task(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) {
    const job *j = context;
    search *q = &j->searches[worker];
    for (ptrdiff_t i = begin; i < end; i++) {
        const uint8_t *mask = j->mask ? j->mask + (j->mask_rows > 1 ? i * j->spec->dim : 0) : NULL;
        j->status[i] = RSK_EVALUE;
        if (!rsk_fit_load(&q->fit, j->sketches + i * j->spec->dim, mask, j->params->noise ? j->params->noise[i] : 0.0)) continue;
        rsk_look_forget(&q->detector, 1);
        unroll(q);
        j->status[i] = keep(q, &j->out->of[i]) && pool(q, &j->out->of[i]) ? RSK_OK : RSK_ENOMEM;
    }
}

static int valid(const rsk_spec *spec, ptrdiff_t n, const rsk_unroll_params *p) {
    if (!p || !p->allowed || p->max_depth < 1 || p->max_depth > RSK_MAX_DEPTH || !(p->threshold >= 0.0) || p->max_rounds < 1 ||
        !(p->norm2 >= 0.0 && p->norm2 <= 1e30))
        return 0;
    for (ptrdiff_t m = 0; spec && p->sparsity && m < spec->modules; m++)
        if (p->sparsity[m].kind < RSK_DENSE || p->sparsity[m].kind > RSK_DECIDE || p->sparsity[m].nonzeros < 0) return 0;
    for (ptrdiff_t i = 0; p->noise && i < n; i++)
        if (!(p->noise[i] >= 0.0) || !(p->noise[i] <= (double)RSK_MAX_VALUE)) return 0;
    return spec && spec->coherence < 1.0 && rsk_leaves_attributes(spec, p->free) && p->signature >= 0 && p->signature <= p->free;
}

void rsk_unrolled_free(rsk_unrolled *u) {
    for (ptrdiff_t i = 0; u && u->of && i < u->n; i++) rsk_free(u->of[i].memory), rsk_free(u->of[i].rests);
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
    const int most = rsk_parallel_threads(threads, PTRDIFF_MAX, 1);
    const ptrdiff_t together = searched_together(n, most);
    const int workers = together ? most : rsk_parallel_threads(threads, n, 1);
    rsk_unrolled *u = rsk_calloc(1, sizeof *u);
    job j = {spec, sketches, mask, mask_rows, params, u, rsk_calloc(workers, sizeof *j.searches),
             rsk_alloc(workers, sizeof *j.detectors), rsk_alloc(n, sizeof *j.status)};
    float *columns = rsk_counter_columns(spec);
    rsk_status status = u && j.searches && j.detectors && j.status && columns ? RSK_OK : RSK_ENOMEM;
    if (u) u->n = n, u->of = rsk_calloc(n, sizeof *u->of);
    if (u && !u->of) status = RSK_ENOMEM;
    for (int i = 0; status == RSK_OK && i < workers; i++)
        if (!search_create(spec, params, stop, i, together && !i ? workers : 1, &j.searches[i])) status = RSK_ENOMEM;
    for (int i = 0; status == RSK_OK && i < workers; i++) j.searches[i].columns = columns;
    if (status == RSK_OK && n > together) status = rsk_parallel_until(stop, workers, n - together, 1, task, &j);
    if (status == RSK_OK && together) {
        set_team(&j, workers);
        for (ptrdiff_t i = n - together; i < n && !rsk_stopped(stop, 0); i++) task(&j, 0, i, i + 1);
        if (rsk_stopped(stop, 0)) status = RSK_ESTOP;
    }
    for (ptrdiff_t i = 0; status == RSK_OK && i < n; i++)
        if (j.status[i] != RSK_OK) {
            status = j.status[i];
            if (where && status == RSK_EVALUE) where->trace = i;
        }
    for (int i = 0; j.searches && i < workers; i++) search_free(&j.searches[i]);
    rsk_free(j.searches);
    rsk_free(j.detectors);
    rsk_free(columns);
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
