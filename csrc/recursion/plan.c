/* The structure of a batch: checked, ordered, and turned into a program of steps for the sweeps. */
#include "recursion/recursion.h"

#include <math.h>
#include <string.h>

enum { OUTPUTS = -1 }; /* stands for the network's output tuple where an object's number is expected */

/* A tuple's members, and what their weights are divided by. */
typedef struct members {
    const int32_t *object; /* of the batch, as weight */
    const double *weight;
    int64_t begin, end;
    double total; /* of the weights */
    double count; /* of the members of positive weight */
    double mass;  /* their mean mass; 0 where the weighting has none */
} members;

/* A tuple whose members are being visited. */
typedef struct frame {
    int32_t object;   /* whose inputs they are, or OUTPUTS */
    int32_t position; /* of the next member of positive weight */
    int32_t slot;     /* where the members are summed; RSK_SLOT_NONE before the own parts are */
    int inner;        /* whether a member has inputs of its own */
    double scale;     /* of the tuple's vector, from 1 to 2 in magnitude */
    int64_t next;     /* the next member whose inputs are to be added */
    members tuple;
} frame;

/* One worker's memory, enough for the largest trace. */
typedef struct room {
    frame *stack;     /* tuples from the outputs down to the one that is being visited */
    int32_t *left;    /* of each object: uses that are still to come */
    int32_t *stored;  /* of each object: the slot of its inputs' tuple, or RSK_SLOT_NONE */
    int32_t *free;    /* slots given back, to be handed out again */
    uint8_t *inner;   /* of each object: whether one of its inputs has inputs */
    double *scale;    /* of each object: that of its inputs' vector, where it is stored */
    double *reach;    /* of each object: the squared factor at which it arrives at the sketch */
    double *mass;     /* of each object: M of balanced weighting */
} room;

typedef struct builder {
    const rsk_spec *spec;
    const rsk_batch *batch;
    rsk_plan *plan;
    room *rooms;        /* one a worker */
    rsk_status *status; /* (traces,) */
    int32_t *object;    /* (traces,) where a check failed */
    int32_t *vectors;   /* (traces,) slots needed */
} builder;

/* ---------------------------------------------------------------- checks */

/* Objects and uses of a trace. Steps, slots and objects are counted in 32 bits. */
#define LARGEST ((int64_t)1 << 30)
/* The largest mass. Heavier objects leave nothing of themselves in a sketch. */
#define HEAVIEST 0x1p600

static int rises(const int64_t *offsets, ptrdiff_t n) {
    if (offsets[0] != 0) return 0;
    for (ptrdiff_t i = 0; i < n; i++)
        if (offsets[i + 1] < offsets[i]) return 0;
    return 1;
}

/* The first trace with too many objects, inputs or outputs, each or in all; -1 if there is none. It is asked for objects and
 * outputs before the columns of objects are read (input_ends NULL), and again for all. */
static ptrdiff_t too_large(const rsk_batch *t, const int64_t *input_ends) {
    for (ptrdiff_t i = 0; i < t->traces; i++) {
        const int64_t begin = t->objects[i], end = t->objects[i + 1];
        const int64_t objects = end - begin, outputs = t->output_ends[i + 1] - t->output_ends[i];
        const int64_t inputs = input_ends ? input_ends[end] - input_ends[begin] : 0;
        if (objects > LARGEST || inputs > LARGEST || outputs > LARGEST || objects + inputs + outputs > LARGEST) return i;
    }
    return -1;
}

/* What can be said of a batch from its offsets alone. Nothing is read that an earlier check has not shown to be there. */
static rsk_status check_offsets(const rsk_batch *t, ptrdiff_t *large) {
    *large = -1;
    if (!rises(t->objects, t->traces) || !rises(t->output_ends, t->traces)) return RSK_EOFFSETS;
    if ((*large = too_large(t, NULL)) >= 0) return RSK_ESIZE;
    const ptrdiff_t n = (ptrdiff_t)t->objects[t->traces];
    if (!rises(t->attribute_ends, n) || !rises(t->input_ends, n)) return RSK_EOFFSETS;
    return (*large = too_large(t, t->input_ends)) >= 0 ? RSK_ESIZE : RSK_OK;
}

/* A tuple's weights: finite and not negative, at least one of them positive, at most max_inputs of them positive. What is not
 * normalised must be a float. */
static rsk_status check_weights(const rsk_spec *spec, const double *w, int64_t begin, int64_t end) {
    double total = 0.0;
    int64_t positive = 0;
    for (int64_t e = begin; e < end; e++) {
        if (!(w[e] >= 0.0)) return RSK_EWEIGHT;
        total += w[e];
        positive += w[e] > 0.0;
    }
    const double most = spec->weighting == RSK_WEIGHTS_COUNT ? (double)RSK_MAX_VALUE : RSK_MAX_WEIGHT;
    if (!(total > 0.0) || !(total <= most)) return RSK_EWEIGHT;
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
    for (int32_t i = 0; i < n; i++) {
        const rsk_status status = check_object(b, base, i);
        *where = i;
        if (status != RSK_OK) return status;
    }
    *where = OUTPUTS;
    if (begin == end) return RSK_EOUTPUT;
    for (int64_t e = begin; e < end; e++)
        if (t->outputs[e] < 0 || t->outputs[e] >= n) return RSK_EOUTPUT;
    return check_weights(b->spec, t->output_weights, begin, end);
}

/* ---------------------------------------------------------------- weights, masses, uses and amplitudes */

/* u, which stands for a member's weight. */
static double drawn_together(const rsk_spec *spec, const members *m, double weight) {
    if (spec->weighting == RSK_WEIGHTS_COUNT) return weight;
    return (1.0 - spec->spread) * (weight / m->total) + spec->spread / m->count;
}

/* The inputs of an object, or OUTPUTS. Masses of the members are known. */
static members members_of(const builder *b, const room *r, ptrdiff_t trace, int32_t object) {
    const rsk_batch *t = b->batch;
    const int outputs = object == OUTPUTS;
    const int64_t *ends = outputs ? t->output_ends + trace : t->input_ends + t->objects[trace] + object;
    members m = {.object = outputs ? t->outputs : t->inputs, .weight = outputs ? t->output_weights : t->weights,
                 .begin = ends[0], .end = ends[1]};
    for (int64_t e = m.begin; e < m.end; e++) m.total += m.weight[e], m.count += m.weight[e] > 0.0;
    for (int64_t e = m.begin; e < m.end && b->spec->weighting == RSK_WEIGHTS_BALANCED; e++)
        if (m.weight[e] > 0.0) m.mass += drawn_together(b->spec, &m, m.weight[e]) * r->mass[m.object[e]];
    return m;
}

/* The factor that a member of positive weight, on edge e, is added with. */
static double alpha_of(const rsk_spec *spec, const room *r, const members *m, int64_t e) {
    const double u = drawn_together(spec, m, m->weight[e]);
    if (spec->weighting == RSK_WEIGHTS_BALANCED) return sqrt(u * r->mass[m->object[e]] / m->mass);
    return spec->weighting == RSK_WEIGHTS_ENERGY ? sqrt(u) : u;
}

/* Factors of an object's own part and of its inputs. */
static void branches(const rsk_spec *spec, const room *r, int64_t object, double *own, double *below) {
    const int balanced = spec->weighting == RSK_WEIGHTS_BALANCED;
    *own = balanced ? sqrt(1.0 / r->mass[object]) : spec->branch;
    *below = balanced ? sqrt((r->mass[object] - 1.0) / r->mass[object]) : spec->branch;
}

static double square(double x) { return x * x; }

/* One tuple's share in its members' uses and reach. tail2: the square of what a member's position operator is followed by. */
static void spread_reach(const builder *b, const room *r, const members *m, double tail2, int32_t *uses) {
    const double place2 = b->spec->ordered ? b->spec->stretch2 : 1.0;
    for (int64_t e = m->begin; e < m->end; e++) {
        if (m->weight[e] <= 0.0) continue;
        uses[m->object[e]]++;
        r->reach[m->object[e]] += square(alpha_of(b->spec, r, m, e)) * place2 * tail2;
    }
}

/* The masses of balanced weighting: M = 1 + kappa(k) times the mean mass of k inputs. */
static void weigh(const builder *b, const room *r, ptrdiff_t trace) {
    if (b->spec->weighting != RSK_WEIGHTS_BALANCED) return;
    const int32_t n = (int32_t)(b->batch->objects[trace + 1] - b->batch->objects[trace]);
    for (int32_t i = 0; i < n; i++) {
        const members m = members_of(b, r, trace, i);
        r->mass[i] = m.count > 0.0 ? fmin(1.0 + b->spec->kappa[(int64_t)m.count] * m.mass, HEAVIEST) : 1.0;
    }
}

/* Users come after what they use: going backwards, an object's uses are complete when it is reached. */
static void count_uses(const builder *b, const room *r, ptrdiff_t trace) {
    const rsk_batch *t = b->batch;
    const rsk_spec *spec = b->spec;
    const int64_t base = t->objects[trace];
    const int32_t n = (int32_t)(t->objects[trace + 1] - base);
    const double t2 = spec->stretch2, in2 = spec->ins == 2 ? t2 * t2 : t2;
    int32_t *uses = b->plan->uses + base;
    memset(uses, 0, sizeof *uses * (size_t)n);
    memset(r->reach, 0, sizeof *r->reach * (size_t)n);
    const members outputs = members_of(b, r, trace, OUTPUTS);
    spread_reach(b, r, &outputs, 1.0, uses);
    for (int32_t i = n - 1; i >= 0; i--) {
        const int64_t o = base + i;
        double own, below;
        branches(spec, r, i, &own, &below);
        b->plan->amplitude[o] = uses[i] ? sqrt(r->reach[i]) * t2 * own * spec->gain : 0.0;
        if (!uses[i]) continue;
        const members m = members_of(b, r, trace, i);
        spread_reach(b, r, &m, r->reach[i] * t2 * square(below) * in2, uses);
    }
}

/* ---------------------------------------------------------------- the program */

/* A trace's program while it is written. */
typedef struct writer {
    const builder *b;
    int64_t base; /* the trace's first object */
    rsk_step *next;
    room *room;
    int32_t free; /* how many slots room->free holds */
    int32_t made; /* how many slots there are */
} writer;

static int32_t take_slot(writer *p) { return p->free ? p->room->free[--p->free] : p->made++; }
static void give_slot(writer *p, int32_t slot) { p->room->free[p->free++] = slot; }

static int has_inputs(const rsk_batch *t, int64_t o) { return t->input_ends[o + 1] > t->input_ends[o]; }

/* A tuple's frame with no member visited yet. */
static frame frame_of(const writer *p, ptrdiff_t trace, int32_t object, double scale) {
    frame f = {.object = object, .slot = RSK_SLOT_NONE, .scale = scale, .tuple = members_of(p->b, p->room, trace, object)};
    const members *m = &f.tuple;
    f.next = m->begin;
    for (int64_t e = m->begin; e < m->end; e++)
        f.inner |= m->weight[e] > 0.0 && has_inputs(p->b->batch, p->base + m->object[e]);
    return f;
}

/* A step of the member on edge e, which has this position, but for its kind. */
static rsk_step member_of(const writer *p, const frame *f, int64_t e, int32_t position) {
    const rsk_batch *t = p->b->batch;
    const int32_t c = f->tuple.object[e];
    double own, below;
    branches(p->b->spec, p->room, c, &own, &below);
    const rsk_step step = {.object = c, .module = t->module[p->base + c], .position = position, .src = RSK_SLOT_NONE, .dst = f->slot,
                           .weight = alpha_of(p->b->spec, p->room, &f->tuple, e), .own = own, .below = below, .scale = f->scale,
                           .flags = (uint8_t)(has_inputs(t, p->base + c) ? RSK_INNER : 0)};
    return step;
}

/* The scale of the vector of a member's inputs: what they are added with, but for a power of two. */
static double scale_below(const writer *p, const frame *f, int32_t c) {
    double own, below;
    branches(p->b->spec, p->room, c, &own, &below);
    return rsk_scale_below(p->b->spec, f->scale, alpha_of(p->b->spec, p->room, &f->tuple, f->next) * below);
}

/* The own parts of all of a tuple's members. */
static void start_tuple(writer *p, frame *f) {
    const members *m = &f->tuple;
    rsk_step *const first = p->next;
    f->slot = f->object == OUTPUTS ? RSK_SLOT_SKETCH : take_slot(p);
    for (int64_t e = m->begin; e < m->end; e++) {
        if (m->weight[e] <= 0.0) continue;
        *p->next = member_of(p, f, e, (int32_t)(p->next - first));
        p->next->kind = RSK_STEP_OWN;
        if (f->inner && !p->b->spec->family->skew) p->next->flags |= RSK_WIDE;
        p->next++;
    }
    first->flags |= RSK_FIRST;
    first->members = (int32_t)(p->next - first);
}

/* What the inputs of the tuple's next member add, whose tuple is summed. */
static void add_inputs(writer *p, frame *f, int32_t c) {
    rsk_step *step = p->next++;
    *step = member_of(p, f, f->next++, f->position++);
    step->kind = RSK_STEP_INPUTS;
    step->src = p->room->stored[c];
    step->scale /= p->room->scale[c];
    const int skew = p->b->spec->family->skew;
    if (skew ? rsk_turned_wide(f->object == OUTPUTS, f->tuple.count) : f->inner) step->flags |= RSK_WIDE;
    if (!skew && p->room->inner[c]) step->flags |= RSK_WIDE_SRC;
    if (--p->room->left[c]) return;
    step->flags |= RSK_LAST;
    give_slot(p, step->src);
}

/* Depth first from the outputs. The inputs of a tuple's first member that has any are summed before its own vector is taken, and a vector
 * is given back when it was last read, so that a tree needs as many vectors as it is deep, and a chain two. */
static void write_program(const builder *b, room *r, ptrdiff_t trace) {
    const int64_t base = b->batch->objects[trace], n = b->batch->objects[trace + 1] - base;
    rsk_step *const start = b->plan->steps + b->plan->begin[trace];
    writer p = {.b = b, .base = base, .next = start, .room = r};
    for (int64_t i = 0; i < n; i++) r->left[i] = b->plan->uses[base + i], r->stored[i] = RSK_SLOT_NONE;
    ptrdiff_t depth = 0;
    r->stack[0] = frame_of(&p, trace, OUTPUTS, 1.0);
    while (depth >= 0) {
        frame *f = &r->stack[depth];
        const members *m = &f->tuple;
        while (f->next < m->end && !(m->weight[f->next] > 0.0 && has_inputs(b->batch, base + m->object[f->next])))
            f->position += m->weight[f->next++] > 0.0;
        const int32_t c = f->next < m->end ? m->object[f->next] : OUTPUTS;
        if (c != OUTPUTS && r->stored[c] == RSK_SLOT_NONE) {
            r->scale[c] = scale_below(&p, f, c);
            r->stack[++depth] = frame_of(&p, trace, c, r->scale[c]);
            continue;
        }
        if (f->slot == RSK_SLOT_NONE) start_tuple(&p, f);
        if (c != OUTPUTS) {
            add_inputs(&p, f, c);
        } else {
            if (f->object != OUTPUTS) r->stored[f->object] = f->slot, r->inner[f->object] = (uint8_t)f->inner;
            depth--;
        }
    }
    b->plan->count[trace] = (int32_t)(p.next - start);
    b->vectors[trace] = p.made;
}

static void build(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) {
    builder *b = context;
    for (ptrdiff_t trace = begin; trace < end; trace++) {
        b->status[trace] = check_trace(b, trace, &b->object[trace]);
        if (b->status[trace] != RSK_OK) continue;
        weigh(b, &b->rooms[worker], trace);
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
        rsk_free(rooms[i].free);
        rsk_free(rooms[i].inner);
        rsk_free(rooms[i].scale);
        rsk_free(rooms[i].reach);
        rsk_free(rooms[i].mass);
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
        r->free = rsk_alloc(objects + 1, sizeof *r->free);
        r->inner = rsk_alloc(objects + 1, sizeof *r->inner);
        r->scale = rsk_alloc(objects + 1, sizeof *r->scale);
        r->reach = rsk_alloc(objects + 1, sizeof *r->reach);
        r->mass = rsk_alloc(objects + 1, sizeof *r->mass);
        if (!r->stack || !r->left || !r->stored || !r->free || !r->inner || !r->scale || !r->reach || !r->mass) {
            rooms_free(rooms, workers);
            return NULL;
        }
    }
    return rooms;
}

static int copy_columns(rsk_plan *plan, const rsk_batch *t) {
    const int64_t n = t->objects[t->traces];
    /* A use takes one step, and one more where the object has inputs. */
    const int64_t steps = 2 * (t->input_ends[n] + t->output_ends[t->traces]);
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
        plan->begin[i] = 2 * (t->input_ends[t->objects[i]] + t->output_ends[i]);
    return 1;
}

/* The status of the first trace that failed; without one, how many vectors the neediest trace takes. */
static rsk_status finish_plan(builder *b, rsk_where *where) {
    for (ptrdiff_t i = 0; i < b->batch->traces; i++) {
        if (b->status[i] != RSK_OK) {
            if (where) where->trace = i, where->object = b->object[i];
            return b->status[i];
        }
        if (b->vectors[i] > b->plan->vectors) b->plan->vectors = b->vectors[i];
    }
    return RSK_OK;
}

static int has_offsets(const rsk_batch *t) { return t->objects && t->attribute_ends && t->input_ends && t->output_ends; }

/* What has no elements may be NULL. */
static int has_columns(const rsk_batch *t) {
    const int64_t n = t->objects[t->traces];
    return (t->module || n == 0) && ((t->inputs && t->weights) || t->input_ends[n] == 0) &&
           ((t->outputs && t->output_weights) || t->output_ends[t->traces] == 0);
}

rsk_status rsk_plan_create(const rsk_spec *spec, const rsk_batch *t, int threads, rsk_plan **out, rsk_where *where) {
    if (where) where->trace = where->object = -1;
    if (!out) return RSK_EINVAL;
    *out = NULL;
    if (!spec || !t || !has_offsets(t) || t->traces < 1 || threads < 1) return RSK_EINVAL;
    ptrdiff_t large;
    rsk_status status = check_offsets(t, &large);
    if (status != RSK_OK) {
        if (where) where->trace = large;
        return status;
    }
    if (!has_columns(t)) return RSK_EINVAL;

    enum { CHUNK = 4 }; /* traces of 84 objects take some 20 microseconds */
    const int workers = rsk_parallel_threads(threads, t->traces, CHUNK);
    ptrdiff_t largest = 0;
    for (ptrdiff_t i = 0; i < t->traces; i++)
        if (t->objects[i + 1] - t->objects[i] > largest) largest = (ptrdiff_t)(t->objects[i + 1] - t->objects[i]);
    rsk_plan *plan = rsk_calloc(1, sizeof *plan);
    builder b = {spec, t, plan, rooms_create(largest, workers), rsk_alloc(t->traces, sizeof *b.status),
                 rsk_alloc(t->traces, sizeof *b.object), rsk_alloc(t->traces, sizeof *b.vectors)};
    status = plan && b.rooms && b.status && b.object && b.vectors ? RSK_OK : RSK_ENOMEM;
    if (status == RSK_OK) {
        plan->spec = spec->identity, plan->traces = t->traces;
        status = copy_columns(plan, t) ? RSK_OK : RSK_ENOMEM;
    }
    if (status == RSK_OK) {
        rsk_parallel(threads, t->traces, CHUNK, build, &b);
        status = finish_plan(&b, where);
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

ptrdiff_t rsk_plan_vectors(const rsk_plan *plan) { return plan ? plan->vectors : 0; }

rsk_status rsk_plan_amplitudes(const rsk_plan *plan, double *amplitude, int32_t *uses) {
    if (!plan) return RSK_EINVAL;
    const size_t n = (size_t)plan->objects[plan->traces];
    if (amplitude && n) memcpy(amplitude, plan->amplitude, n * sizeof *amplitude);
    if (uses && n) memcpy(uses, plan->uses, n * sizeof *uses);
    return RSK_OK;
}
