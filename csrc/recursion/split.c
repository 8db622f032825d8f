/* One trace's sweeps on several threads.
 *
 * A trace is divided into pieces: tuples that are summed by themselves, and others with all that is below them. A forward sweep sums a
 * tuple once those below it are there, an adjoint one takes a tuple's vector down to those below it; nothing else joins two pieces, so
 * that each is what one thread would make of it, in the steps that the plan has for it. Pieces of a level are handed out to threads,
 * largest first, and levels come one after the other.
 *
 * Only traces without shared objects are split. The vectors of the others' tuples, and the sums of a shared object's uses, would have
 * several pieces to wait for. */
#include "recursion/recursion.h"

/* Steps times d from which on a trace is split: some tenths of a millisecond. Handing out a level takes microseconds, but tens of them
 * where threads sleep meanwhile (docs/implementation.md, "Threads"), and there are three or four levels. */
#define LEAST ((ptrdiff_t)1 << 20)
/* A piece has at most this share of what each thread has to do. */
#define GRAIN 0.5
/* Vectors of pieces. A trace of more, which is a chain or very wide, is not split: they would take more memory than they save time. */
#define MOST 256
/* The time that is left where a trace is worth dividing. */
#define WORTH 0.8
/* What steps cost, over that of an object's own part. */
#define INPUTS 3.0
#define INPUTS_WIDE 6.0

/* A tuple of the trace; tuples have the numbers in which the program starts them. Steps are counted from the trace's first. */
typedef struct tuple {
    int32_t begin, end; /* the steps of it and all that is below it */
    int32_t own;        /* the first step of its members' own parts */
    int32_t user;       /* the step that adds it to its parent; -1: it is the sketch */
    int32_t parent, first, last, next; /* tuples below it are a list from `first` on; -1: none */
    int32_t level;      /* in a forward sweep: 0 for a piece with all below it; else above those of the tuples below */
    double cost;        /* of all these steps */
    double alone;       /* of its own */
    rsk_whole vector;   /* of a piece */
    int bad;            /* whether one of its attributes is */
} tuple;

/* A trace, divided. */
typedef struct division {
    const rsk_step *step;
    tuple *tuple;
    ptrdiff_t tuples, pieces;
    double grain;
    rsk_share *share; /* (pieces,) those that are handed out together */
    int32_t levels;
    rsk_scratch *scratch;
    /* of a sweep */
    ptrdiff_t shares;
    rsk_forward forward;
    rsk_backward backward;
    const float *y;
    int32_t level;
} division;

static double cost_of(const rsk_step *step) {
    return step->kind == RSK_STEP_OWN ? 1.0 : step->flags & RSK_WIDE ? INPUTS_WIDE : INPUTS;
}

static int is_alone(const division *v, const tuple *t) { return t->first >= 0 && t->cost > v->grain; }
static int is_piece(const division *v, const tuple *t) {
    return is_alone(v, t) || (t->parent >= 0 && is_alone(v, &v->tuple[t->parent]));
}

static int has_shared_objects(const rsk_plan *plan, ptrdiff_t trace) {
    for (int64_t o = plan->objects[trace]; o < plan->objects[trace + 1]; o++)
        if (plan->uses[o] > 1) return 1;
    return 0;
}

static void free_division(division *v) {
    rsk_free(v->tuple);
    rsk_free(v->share);
}

/* The tuple below another one, whose vector an INPUTS step adds. All of its own steps are there. */
static void join(division *v, int32_t parent, int32_t below, int32_t step) {
    tuple *t = &v->tuple[parent], *c = &v->tuple[below];
    c->user = step, c->parent = parent;
    if (t->first < 0) t->first = below;
    else v->tuple[t->last].next = below;
    t->last = below;
    t->end = step + 1;
    t->alone += cost_of(&v->step[step]);
    t->cost += c->cost + cost_of(&v->step[step]);
    const int32_t level = 1 + (is_alone(v, c) ? c->level : 0);
    if (level > t->level) t->level = level;
}

/* Fills `tuple`. slot (plan's vectors + 1) is scratch: the tuple whose vector a slot holds. */
static void find_tuples(division *v, ptrdiff_t steps, int32_t *slot) {
    int32_t *const of = slot + 1; /* RSK_SLOT_SKETCH is -1 */
    for (int32_t i = 0; i < (int32_t)steps;) {
        const rsk_step *step = &v->step[i];
        if (step->kind != RSK_STEP_OWN) {
            join(v, of[step->dst], of[step->src], i);
            i++;
            continue;
        }
        const rsk_step *next = step + step->members; /* tuples with inputs are started when those of their first inner member are there */
        const int inner = i + step->members < steps && next->kind == RSK_STEP_INPUTS && next->dst == step->dst;
        const double cost = (double)step->members;
        of[step->dst] = (int32_t)v->tuples;
        v->tuple[v->tuples++] = (tuple){.begin = inner ? v->tuple[of[next->src]].begin : i, .end = i + step->members, .own = i, .user = -1,
                                        .parent = -1, .first = -1, .last = -1, .next = -1, .cost = cost, .alone = cost};
        i += step->members;
    }
}

/* Puts the pieces of a level into `share`, largest first. Returns what the threads that it is handed out to would take, at least. */
static double gather_level(division *v, int32_t level, int threads) {
    double all = 0.0;
    v->shares = 0;
    for (ptrdiff_t i = 0; i < v->tuples; i++) {
        const tuple *t = &v->tuple[i];
        if (!is_piece(v, t) || (is_alone(v, t) ? t->level : 0) != level) continue;
        const double cost = is_alone(v, t) ? t->alone : t->cost;
        v->share[v->shares++] = (rsk_share){cost, i, 0.0};
        all += cost;
    }
    (void)rsk_longest_first(v->share, v->shares, threads);
    return v->shares && v->share->cost > all / threads ? v->share->cost : all / threads;
}

/* Divides a trace. Returns 0, and nothing that must be freed, if it is not to be split. */
static int divide(const rsk_spec *spec, const rsk_plan *plan, ptrdiff_t trace, int threads, division *v) {
    const ptrdiff_t steps = plan->count[trace];
    if (threads < 2 || spec->family->slot_bytes != (int)sizeof(int32_t) || steps < LEAST / spec->dim || has_shared_objects(plan, trace))
        return 0;
    *v = (division){.step = plan->steps + plan->begin[trace]};
    ptrdiff_t tuples = 0;
    double all = 0.0, least = 0.0;
    for (ptrdiff_t i = 0; i < steps; i++) {
        tuples += (v->step[i].flags & RSK_FIRST) != 0;
        all += cost_of(&v->step[i]);
    }
    v->grain = GRAIN * all / threads;
    int32_t *slot = rsk_alloc(plan->vectors + 1, sizeof *slot);
    v->tuple = rsk_alloc(tuples, sizeof *v->tuple);
    if (slot && v->tuple) find_tuples(v, steps, slot);
    rsk_free(slot);
    for (ptrdiff_t i = 0; i < v->tuples; i++) {
        v->pieces += is_piece(v, &v->tuple[i]);
        if (is_alone(v, &v->tuple[i]) && v->tuple[i].level > v->levels) v->levels = v->tuple[i].level;
    }
    if (v->pieces > 2 && v->pieces <= MOST) v->share = rsk_alloc(v->pieces, sizeof *v->share);
    for (int32_t level = 0; v->share && level <= v->levels; level++) least += gather_level(v, level, threads);
    if (v->share && least <= WORTH * all) return 1;
    free_division(v);
    return 0;
}

int rsk_is_split(const rsk_spec *spec, const rsk_plan *plan, ptrdiff_t trace, int threads) {
    division v;
    if (!divide(spec, plan, trace, threads, &v)) return 0;
    free_division(&v);
    return 1;
}

/* Gives every piece a vector of the scratch; 0 if there is no memory. */
static int take_vectors(const rsk_spec *spec, division *v, rsk_scratch *s) {
    const ptrdiff_t stride = spec->dim + 5 * RSK_LANES; /* as of the scratch's slots */
    if (s->room < v->pieces) {
        rsk_free(s->pieces);
        s->pieces = rsk_alloc(v->pieces * stride, sizeof *s->pieces);
        s->room = s->pieces ? v->pieces : 0;
    }
    for (ptrdiff_t i = 0, n = 0; s->pieces && i < v->tuples; i++)
        if (is_piece(v, &v->tuple[i])) v->tuple[i].vector.v = s->pieces + n++ * stride;
    v->scratch = s;
    return s->pieces != NULL;
}

/* ---------------------------------------------------------------- forward */

/* Sums a tuple by itself. What is below it stands in the slots that its steps name, one after the other. */
static ptrdiff_t sum_alone(const division *v, const tuple *t, const rsk_forward *w) {
    const rsk_step *from = v->step + t->own;
    ptrdiff_t bad = -1;
    for (int32_t i = t->first; i >= 0 && bad < 0; i = v->tuple[i].next) {
        const rsk_step *user = v->step + v->tuple[i].user;
        rsk_whole *slot = rsk_whole_of(w->s, user->src), before = *slot;
        *slot = v->tuple[i].vector;
        bad = rsk_forward_steps(w, from, user + 1);
        *slot = before;
        from = v->step + (v->tuple[i].next < 0 ? 0 : v->tuple[v->tuple[i].next].user);
    }
    return bad;
}

static void sum_pieces(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) {
    division *v = context;
    rsk_forward w = v->forward;
    w.s = v->scratch + worker;
    for (ptrdiff_t i = begin; i < end; i++) {
        tuple *t = &v->tuple[v->share[i].item];
        rsk_whole *slot = rsk_whole_of(w.s, v->step[t->own].dst);
        int32_t *const own = slot->v;
        slot->v = t->vector.v;
        t->bad = (is_alone(v, t) ? sum_alone(v, t, &w) : rsk_forward_steps(&w, v->step + t->begin, v->step + t->end)) >= 0;
        t->vector = *slot;
        slot->v = own;
    }
}

int rsk_forward_split(const rsk_spec *spec, const rsk_plan *plan, ptrdiff_t trace, const float *attributes, const float *counters,
                      float counter, float *out, rsk_scratch *s, ptrdiff_t *bad) {
    division v;
    if (s->team < 2 || !divide(spec, plan, trace, s->team, &v)) return 0;
    int good = take_vectors(spec, &v, s), stopped = 0;
    v.forward = rsk_forward_of(spec, plan, trace, attributes, counters, counter, s);
    for (int32_t level = 0; good && !stopped && level <= v.levels; level++) {
        (void)gather_level(&v, level, s->team);
        stopped = rsk_parallel_short(s->stop, s->team, v.shares, 1, sum_pieces, &v) != RSK_OK;
        for (ptrdiff_t i = 0; i < v.shares; i++) good &= stopped || !v.tuple[v.share[i].item].bad;
    }
    if (good && !stopped) {
        for (ptrdiff_t i = 0; i < v.tuples; i++)
            if (v.tuple[i].user < 0) rsk_settle(spec, &v.tuple[i].vector, out);
    }
    *bad = stopped ? 0 : -1;
    free_division(&v);
    return good; /* where an attribute is bad, one thread finds the first */
}

/* ---------------------------------------------------------------- adjoint */

static const float *seen_by(const division *v, const tuple *t) { return t->user < 0 ? v->y : (const float *)(const void *)t->vector.v; }

/* Takes the vectors of tuples that are summed alone down from their parents'. */
static void take_down(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) {
    const division *v = context;
    rsk_backward w = v->backward;
    w.s = v->scratch + worker;
    for (ptrdiff_t i = begin; i < end; i++) {
        const tuple *t = &v->tuple[v->share[i].item];
        rsk_backward_inputs(&w, v->step + t->user, seen_by(v, &v->tuple[t->parent]), (float *)(void *)t->vector.v, 0);
    }
}

/* What members see, of all pieces. */
static void collect_pieces(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) {
    const division *v = context;
    rsk_backward w = v->backward;
    w.s = v->scratch + worker;
    for (ptrdiff_t i = begin; i < end; i++) {
        const tuple *t = &v->tuple[v->share[i].item];
        const rsk_step *own = v->step + t->own;
        if (is_alone(v, t)) {
            for (int32_t k = 0; k < own->members && !rsk_gives_up(w.spec, w.s, k, 1); k++) rsk_backward_own(&w, own + k, seen_by(v, t));
            continue;
        }
        rsk_backward_inputs(&w, v->step + t->user, seen_by(v, &v->tuple[t->parent]), rsk_slot(w.s, own->dst), 0);
        rsk_backward_steps(&w, v->step + t->begin, v->step + t->end, NULL);
    }
}

int rsk_adjoint_split(const rsk_spec *spec, const rsk_plan *plan, ptrdiff_t trace, const float *y, float *attributes, float *counters,
                      rsk_scratch *s) {
    division v;
    if (s->team < 2 || !divide(spec, plan, trace, s->team, &v)) return 0;
    const int good = take_vectors(spec, &v, s);
    int stopped = 0;
    v.backward = (rsk_backward){spec, plan, trace, attributes, counters, s};
    v.y = y;
    for (int32_t level = v.levels - 1; good && !stopped && level > 0; level--) {
        (void)gather_level(&v, level, s->team);
        stopped = rsk_parallel_short(s->stop, s->team, v.shares, 1, take_down, &v) != RSK_OK;
    }
    v.shares = 0;
    for (ptrdiff_t i = 0; i < v.tuples; i++) {
        const tuple *t = &v.tuple[i];
        if (is_piece(&v, t)) v.share[v.shares++] = (rsk_share){is_alone(&v, t) ? (double)v.step[t->own].members : t->cost, i, 0.0};
    }
    (void)rsk_longest_first(v.share, v.shares, s->team);
    if (good && !stopped) (void)rsk_parallel_short(s->stop, s->team, v.shares, 1, collect_pieces, &v);
    free_division(&v);
    return good;
}
