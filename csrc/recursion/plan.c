/* The structure of a batch: checked, ordered, and turned into a program of steps for the sweeps. */
#include "recursion/recursion.h"

#include <math.h>
#include <string.h>

/* Room for the largest trace, per worker. */
typedef struct frame {
    int32_t object;   /* -1: the network's outputs */
    int32_t position; /* of the next input of positive weight */
    int32_t slot;     /* where its inputs are summed; -2 before the first, -1 for the sketch itself */
    int32_t wide;     /* 1 if in doubles: a member has inputs */
    int64_t edge, end;
    double total; /* of its weights */
} frame;

typedef struct room {
    frame *stack;
    int32_t *left;   /* uses not yet added */
    int32_t *stored; /* slot of a shared object's sketch, -1 before it is made */
    int32_t *free[2]; /* slots to hand out again: of floats, of doubles */
    double *reach;   /* squared */
} room;

typedef struct builder {
    const rsk_spec *spec;
    const rsk_batch *batch;
    rsk_plan *plan;
    room *rooms;
    rsk_status *status; /* of each trace */
    int32_t *object;    /* where it failed */
    int32_t *vectors;   /* (traces, 2) slots it needs: of floats, of doubles */
} builder;

/* ---------------------------------------------------------------- checks */

#define LARGEST ((int64_t)1 << 30) /* objects and uses of a trace: steps are counted in 32 bits */

static int rises(const int64_t *offsets, ptrdiff_t n) {
    if (!offsets || offsets[0] != 0) return 0;
    for (ptrdiff_t i = 0; i < n; i++)
        if (offsets[i + 1] < offsets[i]) return 0;
    return 1;
}

/* A tuple's weights: finite, non-negative, one of them positive; at most max_inputs positive. */
static rsk_status check_weights(const rsk_spec *spec, const double *w, int64_t begin, int64_t end) {
    double total = 0.0;
    int64_t positive = 0;
    for (int64_t e = begin; e < end; e++) {
        if (!(w[e] >= 0.0) || !(w[e] <= 1e300)) return RSK_EWEIGHT;
        total += w[e];
        positive += w[e] > 0.0;
    }
    if (!(total > 0.0) || !(total <= 1e300)) return RSK_EWEIGHT;
    return positive > spec->max_inputs ? RSK_EFANOUT : RSK_OK;
}

static rsk_status check_object(const builder *b, int64_t base, int32_t i) {
    const rsk_batch *t = b->batch;
    const int64_t o = base + i, begin = t->input_ends[o], end = t->input_ends[o + 1];
    if (t->module[o] < 0 || t->module[o] >= b->spec->modules) return RSK_EMODULE;
    if (t->attribute_ends[o + 1] - t->attribute_ends[o] != b->spec->module[t->module[o]].length) return RSK_ELENGTH;
    if (begin == end) return RSK_OK;
    for (int64_t e = begin; e < end; e++)
        if (t->inputs[e] < 0 || t->inputs[e] >= i) return RSK_EORDER;
    return check_weights(b->spec, t->weights, begin, end);
}

static rsk_status check_trace(const builder *b, ptrdiff_t trace, int32_t *where) {
    const rsk_batch *t = b->batch;
    const int64_t base = t->objects[trace], n = t->objects[trace + 1] - base;
    const int64_t begin = t->output_ends[trace], end = t->output_ends[trace + 1];
    rsk_status status = RSK_OK;
    *where = -1;
    const int64_t edges = t->input_ends[base + n] - t->input_ends[base];
    if (n > LARGEST || edges > LARGEST || end - begin > LARGEST || n + edges + end - begin > LARGEST) return RSK_ESIZE;
    for (int32_t i = 0; i < n && status == RSK_OK; i++)
        if ((status = check_object(b, base, i)) != RSK_OK) *where = i;
    if (status != RSK_OK) return status;
    if (begin == end) return RSK_EOUTPUT;
    for (int64_t e = begin; e < end; e++)
        if (t->outputs[e] < 0 || t->outputs[e] >= n) return RSK_EOUTPUT;
    return check_weights(b->spec, t->output_weights, begin, end);
}

/* ---------------------------------------------------------------- uses and amplitudes */

static double share(const rsk_spec *spec, double weight, double total) {
    return spec->energy ? sqrt(weight / total) : weight / total;
}

static double sum_of(const double *w, int64_t begin, int64_t end) {
    double total = 0.0;
    for (int64_t e = begin; e < end; e++) total += w[e];
    return total;
}

/* One tuple's share in its members' uses and reach. tail2: the square of what a member's position operator is followed by. */
static void spread_reach(const builder *b, const room *r, const int32_t *members, const double *w, int64_t begin, int64_t end,
                         double tail2, int32_t *uses) {
    const double total = sum_of(w, begin, end), t2 = b->spec->cosine * b->spec->cosine + b->spec->sine * b->spec->sine;
    for (int64_t e = begin; e < end; e++) {
        if (w[e] <= 0.0) continue;
        const double alpha = share(b->spec, w[e], total);
        uses[members[e]]++;
        r->reach[members[e]] += alpha * alpha * t2 * tail2;
    }
}

/* Users come after what they use, so that going backwards every object's uses are complete when it is reached. */
static void count_uses(const builder *b, const room *r, ptrdiff_t trace) {
    const rsk_batch *t = b->batch;
    const rsk_spec *spec = b->spec;
    const int64_t base = t->objects[trace];
    const int32_t n = (int32_t)(t->objects[trace + 1] - base);
    const double t2 = spec->cosine * spec->cosine + spec->sine * spec->sine, branch2 = spec->branch * spec->branch * t2;
    int32_t *uses = b->plan->uses + base;
    memset(uses, 0, sizeof *uses * (size_t)n);
    memset(r->reach, 0, sizeof *r->reach * (size_t)n);
    spread_reach(b, r, t->outputs, t->output_weights, t->output_ends[trace], t->output_ends[trace + 1], 1.0, uses);
    for (int32_t i = n - 1; i >= 0; i--) {
        const int64_t o = base + i;
        if (!uses[i]) {
            b->plan->amplitude[o] = 0.0;
            continue;
        }
        spread_reach(b, r, t->inputs, t->weights, t->input_ends[o], t->input_ends[o + 1], r->reach[i] * t2 * branch2, uses);
        b->plan->amplitude[o] = sqrt(r->reach[i] * t2 * branch2) * spec->gain * spec->module[t->module[o]].scale;
    }
}

/* ---------------------------------------------------------------- the program */

typedef struct program {
    rsk_step *next;
    room *room;
    int32_t free[2], made[2]; /* free slots on the stack, slots ever made */
} program;

static int32_t take_slot(program *p, int wide) {
    return p->free[wide] ? p->room->free[wide][--p->free[wide]] : p->made[wide]++;
}
static void give_slot(program *p, int wide, int32_t slot) { p->room->free[wide][p->free[wide]++] = slot; }

static int has_inputs(const rsk_batch *t, int64_t o) { return t->input_ends[o + 1] > t->input_ends[o]; }

static frame frame_of(const builder *b, ptrdiff_t trace, int32_t object) {
    const rsk_batch *t = b->batch;
    const int64_t base = t->objects[trace];
    frame f = {.object = object, .slot = object < 0 ? -1 : -2};
    f.edge = object < 0 ? t->output_ends[trace] : t->input_ends[base + object];
    f.end = object < 0 ? t->output_ends[trace + 1] : t->input_ends[base + object + 1];
    const int32_t *members = object < 0 ? t->outputs : t->inputs;
    const double *weights = object < 0 ? t->output_weights : t->weights;
    f.total = sum_of(weights, f.edge, f.end);
    for (int64_t e = f.edge; e < f.end; e++) f.wide |= weights[e] > 0.0 && has_inputs(t, base + members[e]);
    return f;
}

/* The step that adds `object` (its inputs summed in src) to the tuple f, as its next member. */
static void add_member(const builder *b, program *p, frame *f, rsk_step step, double weight) {
    const int first = f->position == 0;
    if (f->slot == -2) f->slot = take_slot(p, f->wide);
    step.position = f->position++;
    step.dst = f->slot;
    step.weight = (float)share(b->spec, weight, f->total);
    step.flags = (uint8_t)(step.flags | (first ? RSK_FIRST : 0) | (f->wide ? RSK_WIDE_DST : 0));
    *p->next++ = step;
    f->edge++;
}

/* Depth first from the outputs: a tuple's vector is taken when its first member is done, and given back when the object
 * that reads it is; a tree needs as many as it is deep. */
static void write_program(const builder *b, room *r, ptrdiff_t trace) {
    const rsk_batch *t = b->batch;
    const int64_t base = t->objects[trace];
    const int32_t *uses = b->plan->uses + base;
    rsk_step *const start = b->plan->steps + b->plan->begin[trace];
    program p = {start, r, {0, 0}, {0, 0}};
    for (int32_t i = 0; i < t->objects[trace + 1] - base; i++) r->left[i] = uses[i], r->stored[i] = -1;
    int32_t depth = 0;
    r->stack[0] = frame_of(b, trace, -1);
    while (depth >= 0) {
        frame *f = &r->stack[depth];
        const int32_t *members = f->object < 0 ? t->outputs : t->inputs;
        const double *weights = f->object < 0 ? t->output_weights : t->weights;
        while (f->edge < f->end && weights[f->edge] <= 0.0) f->edge++;
        if (f->edge < f->end) { /* the next member; a shared one that is there already is only used */
            const int32_t c = members[f->edge];
            if (r->stored[c] < 0) {
                r->stack[++depth] = frame_of(b, trace, c);
                continue;
            }
            const int32_t src = r->stored[c], last = --r->left[c] == 0, wide = has_inputs(t, base + c);
            const rsk_step use = {c, t->module[base + c], 0, src, 0, 0.0f, RSK_STEP_USE,
                                  (uint8_t)((last ? RSK_LAST : 0) | (wide ? RSK_WIDE_SRC : 0))};
            add_member(b, &p, f, use, weights[f->edge]);
            if (last) give_slot(&p, wide, src);
            continue;
        }
        if (--depth < 0) break; /* the outputs are done */
        const frame done = *f;
        const int32_t c = done.object, src = done.slot == -2 ? -1 : done.slot;
        rsk_step step = {c, t->module[base + c], 0, src, 0, 1.0f, RSK_STEP_OBJECT, (uint8_t)(done.wide ? RSK_WIDE_SRC : 0)};
        if (uses[c] > 1) { /* stored now; its user's frame, on top again, finds it */
            step.kind = RSK_STEP_STORE;
            const int wide = has_inputs(t, base + c);
            step.dst = r->stored[c] = take_slot(&p, wide);
            if (wide) step.flags |= RSK_WIDE_DST;
            *p.next++ = step;
        } else {
            frame *user = &r->stack[depth];
            const double *w = user->object < 0 ? t->output_weights : t->weights;
            add_member(b, &p, user, step, w[user->edge]);
        }
        if (src >= 0) give_slot(&p, done.wide, src);
    }
    b->plan->count[trace] = (int32_t)(p.next - start);
    b->vectors[2 * trace] = p.made[0];
    b->vectors[2 * trace + 1] = p.made[1];
}

static void build(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) {
    builder *b = context;
    for (ptrdiff_t trace = begin; trace < end; trace++) {
        b->status[trace] = check_trace(b, trace, &b->object[trace]);
        if (b->status[trace] != RSK_OK) continue;
        count_uses(b, &b->rooms[worker], trace);
        write_program(b, &b->rooms[worker], trace);
    }
}

/* ---------------------------------------------------------------- memory */

static void rooms_free(room *rooms, int workers) {
    for (int i = 0; rooms && i < workers; i++) {
        rsk_free(rooms[i].stack);
        rsk_free(rooms[i].left);
        rsk_free(rooms[i].stored);
        rsk_free(rooms[i].free[0]);
        rsk_free(rooms[i].free[1]);
        rsk_free(rooms[i].reach);
    }
    rsk_free(rooms);
}

static room *rooms_create(ptrdiff_t objects, int workers) {
    room *rooms = rsk_calloc(workers, sizeof *rooms);
    for (int i = 0; rooms && i < workers; i++) {
        room *r = &rooms[i];
        r->stack = rsk_alloc(objects + 2, sizeof *r->stack);
        r->left = rsk_alloc(objects + 1, sizeof *r->left);
        r->stored = rsk_alloc(objects + 1, sizeof *r->stored);
        for (int wide = 0; wide < 2; wide++) r->free[wide] = rsk_alloc(2 * objects + 2, sizeof *r->free[wide]);
        r->reach = rsk_alloc(objects + 1, sizeof *r->reach);
        if (!r->stack || !r->left || !r->stored || !r->free[0] || !r->free[1] || !r->reach) {
            rooms_free(rooms, workers);
            return NULL;
        }
    }
    return rooms;
}

static int copy_columns(rsk_plan *plan, const rsk_batch *t) {
    const int64_t n = t->objects[t->traces];
    /* one step an object, and one a use where it is shared */
    const int64_t steps = n + t->input_ends[n] + t->output_ends[t->traces];
    plan->objects = rsk_alloc(t->traces + 1, sizeof *plan->objects);
    plan->attribute_ends = rsk_alloc((ptrdiff_t)n + 1, sizeof *plan->attribute_ends);
    plan->module = rsk_alloc((ptrdiff_t)n, sizeof *plan->module);
    plan->uses = rsk_alloc((ptrdiff_t)n, sizeof *plan->uses);
    plan->amplitude = rsk_alloc((ptrdiff_t)n, sizeof *plan->amplitude);
    plan->begin = rsk_alloc(t->traces, sizeof *plan->begin);
    plan->count = rsk_calloc(t->traces, sizeof *plan->count);
    plan->steps = rsk_alloc((ptrdiff_t)steps, sizeof *plan->steps);
    if (!plan->objects || !plan->attribute_ends || !plan->module || !plan->uses || !plan->amplitude || !plan->begin ||
        !plan->count || !plan->steps)
        return 0;
    memcpy(plan->objects, t->objects, sizeof *plan->objects * (size_t)(t->traces + 1));
    memcpy(plan->attribute_ends, t->attribute_ends, sizeof *plan->attribute_ends * (size_t)(n + 1));
    if (n) memcpy(plan->module, t->module, sizeof *plan->module * (size_t)n);
    for (ptrdiff_t i = 0; i < t->traces; i++)
        plan->begin[i] = t->objects[i] + t->input_ends[t->objects[i]] + t->output_ends[i];
    return 1;
}

static rsk_status first_failure(builder *b, rsk_where *where) {
    for (ptrdiff_t i = 0; i < b->batch->traces; i++) {
        if (b->status[i] != RSK_OK) {
            if (where) where->trace = i, where->object = b->object[i];
            return b->status[i];
        }
        if (b->vectors[2 * i] > b->plan->vectors) b->plan->vectors = b->vectors[2 * i];
        if (b->vectors[2 * i + 1] > b->plan->wide_vectors) b->plan->wide_vectors = b->vectors[2 * i + 1];
    }
    return RSK_OK;
}

rsk_status rsk_plan_create(const rsk_spec *spec, const rsk_batch *t, int threads, rsk_plan **out, rsk_where *where) {
    if (where) where->trace = where->object = -1;
    if (!out) return RSK_EINVAL;
    *out = NULL;
    if (!spec || !t || t->traces < 1 || threads < 1) return RSK_EINVAL;
    if (!rises(t->objects, t->traces) || !rises(t->output_ends, t->traces)) return RSK_EOFFSETS;
    const int64_t n = t->objects[t->traces];
    if (!rises(t->attribute_ends, (ptrdiff_t)n) || !rises(t->input_ends, (ptrdiff_t)n)) return RSK_EOFFSETS;
    if ((n && !t->module) || (t->input_ends[n] && (!t->inputs || !t->weights))) return RSK_EINVAL;
    if (t->output_ends[t->traces] && (!t->outputs || !t->output_weights)) return RSK_EINVAL;

    enum { CHUNK = 16 };
    const int workers = rsk_parallel_threads(threads, t->traces, CHUNK);
    ptrdiff_t largest = 0;
    for (ptrdiff_t i = 0; i < t->traces; i++)
        if (t->objects[i + 1] - t->objects[i] > largest) largest = (ptrdiff_t)(t->objects[i + 1] - t->objects[i]);
    rsk_plan *plan = rsk_calloc(1, sizeof *plan);
    builder b = {spec, t, plan, rooms_create(largest, workers), rsk_alloc(t->traces, sizeof *b.status),
                 rsk_alloc(t->traces, sizeof *b.object), rsk_alloc(t->traces, 2 * sizeof *b.vectors)};
    rsk_status status = plan && b.rooms && b.status && b.object && b.vectors ? RSK_OK : RSK_ENOMEM;
    if (status == RSK_OK) {
        plan->spec = spec, plan->traces = t->traces;
        status = copy_columns(plan, t) ? RSK_OK : RSK_ENOMEM;
    }
    if (status == RSK_OK) {
        rsk_parallel(threads, t->traces, CHUNK, build, &b);
        status = first_failure(&b, where);
    }
    rooms_free(b.rooms, workers);
    rsk_free(b.status);
    rsk_free(b.object);
    rsk_free(b.vectors);
    if (status != RSK_OK) rsk_plan_free(plan);
    else *out = plan;
    return status;
}

void rsk_plan_free(rsk_plan *plan) {
    if (!plan) return;
    rsk_free(plan->objects);
    rsk_free(plan->attribute_ends);
    rsk_free(plan->module);
    rsk_free(plan->uses);
    rsk_free(plan->amplitude);
    rsk_free(plan->begin);
    rsk_free(plan->count);
    rsk_free(plan->steps);
    rsk_free(plan);
}

ptrdiff_t rsk_plan_vectors(const rsk_plan *plan) { return plan ? plan->vectors + 2 * plan->wide_vectors : 0; }

rsk_status rsk_plan_amplitudes(const rsk_plan *plan, double *amplitude, int32_t *uses) {
    if (!plan) return RSK_EINVAL;
    const size_t n = (size_t)plan->objects[plan->traces];
    if (amplitude && n) memcpy(amplitude, plan->amplitude, n * sizeof *amplitude);
    if (uses && n) memcpy(uses, plan->uses, n * sizeof *uses);
    return RSK_OK;
}
