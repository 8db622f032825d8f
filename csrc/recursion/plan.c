/* The structure of a batch: checked, ordered, and turned into a program of steps for the sweeps. */
#include "recursion/recursion.h"

#include <math.h>
#include <string.h>

enum { OUTPUTS = -1 }; /* stands for the network's output tuple where an object's number is expected */

/* A tuple's members, in the order of their positions. */
typedef struct members {
    const int32_t *object; /* (size,) */
    const double *weight;
    double *alpha; /* the factors that they are added with; NO_MEMBER where a weight is 0 */
    int32_t size;
} members;

#define NO_MEMBER (-1.0)

/* An object while its trace's program is written, or its outputs as one. */
typedef struct place {
    double mass;       /* M of balanced weighting */
    double own, below; /* factors of its own part and of its inputs */
    double reach;      /* the squared factor at which it arrives at the sketch */
    double scale;      /* that of its inputs' vector, where it is stored */
    int32_t left;      /* uses: of all, and while steps are written those that are still to come */
    int32_t stored;    /* the slot of its inputs' tuple, or RSK_SLOT_NONE */
    uint8_t inputs;    /* whether it has any */
    uint8_t inner;     /* whether one of its inputs has inputs */
} place;

/* A tuple whose members are being visited. */
typedef struct frame {
    members tuple;
    double scale;     /* of the tuple's vector, from 1 to 2 in magnitude */
    int32_t object;   /* whose inputs they are, or OUTPUTS */
    int32_t next;     /* the next member whose inputs are to be added */
    int32_t position; /* of that member, counting those of positive weight */
    int32_t count;    /* of members of positive weight, once the own parts are there */
    int32_t slot;     /* where the members are summed; RSK_SLOT_NONE before the own parts are */
} frame;

/* One worker's memory, enough for the largest trace. */
typedef struct room {
    place *place;  /* of the outputs, and then of each object */
    double *alpha; /* of each input, and then of each output */
    frame *stack;  /* tuples from the outputs down to the one that is being visited */
    int32_t *free; /* slots given back, to be handed out again */
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

/* A trace whose program is written. */
typedef struct writer {
    const rsk_spec *spec;
    const rsk_batch *batch;
    ptrdiff_t trace;
    int64_t base;    /* its first object, */
    int64_t edges;   /* and the first input of that */
    int32_t objects; /* how many there are */
    const room *room;
    place *place;    /* of each object, and place[OUTPUTS] */
    rsk_step *next;
    int32_t free;    /* how many slots room->free holds */
    int32_t made;    /* how many slots there are */
} writer;

/* ---------------------------------------------------------------- offsets */

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

/* *m = the inputs of an object, or OUTPUTS. Returns how many there are; without any, nothing else of *m is set. */
static int32_t find_members(const writer *p, int32_t object, members *m) {
    const rsk_batch *t = p->batch;
    const int outputs = object == OUTPUTS;
    const int64_t *ends = outputs ? t->output_ends + p->trace : t->input_ends + p->base + object;
    const int64_t begin = ends[0], edge = outputs ? t->input_ends[p->base + p->objects] : begin;
    m->size = (int32_t)(ends[1] - begin);
    if (!m->size) return 0; /* columns may be NULL */
    m->object = (outputs ? t->outputs : t->inputs) + begin;
    m->weight = (outputs ? t->output_weights : t->weights) + begin;
    m->alpha = p->room->alpha + (edge - p->edges);
    return m->size;
}

/* ---------------------------------------------------------------- checks, weights and masses */

/* A tuple's members: objects before `before`, of weights that are finite and not negative, at least one of them positive, at most
 * max_inputs of them positive. What is not normalised must be a float. *total is of the weights, *count of the positive ones. */
static rsk_status check_members(const rsk_spec *spec, const members *m, int32_t before, rsk_status outside, double *total, double *count) {
    const double most = spec->weighting == RSK_WEIGHTS_COUNT ? (double)RSK_MAX_VALUE : RSK_MAX_WEIGHT;
    int within = 1, good = 1;
    int32_t positive = 0;
    double sum = 0.0;
    for (int32_t i = 0; i < m->size; i++) {
        within &= m->object[i] >= 0 && m->object[i] < before;
        good &= m->weight[i] >= 0.0;
        positive += m->weight[i] > 0.0;
        sum += m->weight[i];
    }
    if (!within) return outside;
    if (!good || !(sum > 0.0) || !(sum <= most)) return RSK_EWEIGHT;
    *total = sum, *count = (double)positive;
    return positive > spec->max_inputs ? RSK_EFANOUT : RSK_OK;
}

/* The factors that members are added with, by u, which stands for a weight, and masses. Returns the members' mean mass. */
static double mix(const rsk_spec *spec, const place *places, const members *m, double total, double count) {
    const double drawn = 1.0 - spec->spread, alike = spec->spread / count;
    double mass = 0.0;
    for (int32_t i = 0; i < m->size; i++) {
        const double w = m->weight[i];
        const double u = spec->weighting == RSK_WEIGHTS_COUNT ? w : drawn * (w / total) + alike;
        m->alpha[i] = w > 0.0 ? u : NO_MEMBER;
        mass += w > 0.0 ? u * places[m->object[i]].mass : 0.0;
    }
    for (int32_t i = 0; i < m->size; i++) {
        const double u = m->alpha[i];
        if (u == NO_MEMBER) continue;
        if (spec->weighting == RSK_WEIGHTS_BALANCED) m->alpha[i] = sqrt(u * places[m->object[i]].mass / mass);
        if (spec->weighting == RSK_WEIGHTS_ENERGY) m->alpha[i] = sqrt(u);
    }
    return mass;
}

/* Checks and mixes the inputs of an object whose own inputs have been, or OUTPUTS. The mass of balanced weighting is
 * M = 1 + kappa(k) times the mean mass of k inputs. */
static rsk_status take_tuple(const writer *p, int32_t object, int32_t before, rsk_status outside) {
    const rsk_spec *spec = p->spec;
    const int balanced = spec->weighting == RSK_WEIGHTS_BALANCED;
    members m;
    place *q = &p->place[object];
    *q = (place){.mass = 1.0, .own = balanced ? 1.0 : spec->branch, .below = balanced ? 0.0 : spec->branch, .stored = RSK_SLOT_NONE};
    if (!find_members(p, object, &m)) return object == OUTPUTS ? RSK_EOUTPUT : RSK_OK;
    double total, count;
    const rsk_status status = check_members(spec, &m, before, outside, &total, &count);
    if (status != RSK_OK) return status;
    const double mass = mix(spec, p->place, &m, total, count);
    q->inputs = 1;
    for (int32_t i = 0; i < m.size; i++) q->inner |= (uint8_t)(m.alpha[i] != NO_MEMBER && p->place[m.object[i]].inputs);
    if (!balanced || object == OUTPUTS) return RSK_OK;
    q->mass = fmin(1.0 + spec->kappa[(int64_t)count] * mass, HEAVIEST);
    q->own = sqrt(1.0 / q->mass);
    q->below = sqrt((q->mass - 1.0) / q->mass);
    return RSK_OK;
}

/* Users come after what they use: going forwards, the masses of an object's inputs are there when it is reached. */
static rsk_status take_trace(const writer *p, int32_t *where) {
    const rsk_batch *t = p->batch;
    for (int32_t i = 0; i < p->objects; i++) {
        const int64_t o = p->base + i;
        const int32_t module = t->module[o];
        *where = i;
        if (module < 0 || module >= p->spec->modules) return RSK_EMODULE;
        if (t->attribute_ends[o + 1] - t->attribute_ends[o] != p->spec->module[module].length - t->more) return RSK_ELENGTH;
        const rsk_status status = take_tuple(p, i, i, RSK_EORDER);
        if (status != RSK_OK) return status;
    }
    *where = OUTPUTS;
    return take_tuple(p, OUTPUTS, p->objects, RSK_EOUTPUT);
}

/* ---------------------------------------------------------------- uses and amplitudes */

static double square(double x) { return x * x; }

/* One tuple's share in its members' uses and reach. tail2: the square of what a member's position operator is followed by. */
static void spread_reach(const writer *p, int32_t object, double tail2) {
    members m;
    (void)find_members(p, object, &m);
    const double place2 = p->spec->ordered ? p->spec->stretch2 : 1.0;
    for (int32_t i = 0; i < m.size; i++) {
        if (m.alpha[i] == NO_MEMBER) continue;
        place *q = &p->place[m.object[i]];
        q->left++;
        q->reach += square(m.alpha[i]) * place2 * tail2;
    }
}

/* Going backwards, an object's uses are complete when it is reached. */
static void count_uses(const writer *p, rsk_plan *plan) {
    const rsk_spec *spec = p->spec;
    const double t2 = spec->stretch2, in2 = spec->ins == 2 ? t2 * t2 : t2;
    spread_reach(p, OUTPUTS, 1.0);
    for (int32_t i = p->objects - 1; i >= 0; i--) {
        const place *q = &p->place[i];
        plan->uses[p->base + i] = q->left;
        plan->amplitude[p->base + i] = q->left ? sqrt(q->reach) * t2 * q->own * spec->gain : 0.0;
        if (q->left && q->inputs) spread_reach(p, i, q->reach * t2 * square(q->below) * in2);
    }
}

/* ---------------------------------------------------------------- the program */

static int32_t take_slot(writer *p) { return p->free ? p->room->free[--p->free] : p->made++; }
static void give_slot(writer *p, int32_t slot) { p->room->free[p->free++] = slot; }

/* *f = a tuple with no member visited yet. */
static void open_tuple(const writer *p, int32_t object, double scale, frame *f) {
    const int32_t size = find_members(p, object, &f->tuple);
    f->scale = scale, f->object = object, f->slot = RSK_SLOT_NONE;
    f->next = p->place[object].inner ? 0 : size;
    f->position = f->count = 0;
}

/* A step of the tuple's member i, which has this position. */
static rsk_step *add_step(writer *p, const frame *f, int32_t i, int32_t position, uint8_t kind) {
    const int32_t c = f->tuple.object[i];
    const place *q = &p->place[c];
    rsk_step *step = p->next++;
    step->object = c, step->module = p->batch->module[p->base + c], step->position = position;
    step->src = RSK_SLOT_NONE, step->dst = f->slot, step->members = 0;
    step->weight = f->tuple.alpha[i], step->own = q->own, step->below = q->below, step->scale = f->scale;
    step->kind = kind, step->flags = q->inputs ? RSK_INNER : 0;
    return step;
}

/* The own parts of all of a tuple's members. */
static void start_tuple(writer *p, frame *f) {
    const members *m = &f->tuple;
    rsk_step *const first = p->next;
    const int wide = p->place[f->object].inner && !p->spec->family->skew;
    f->slot = f->object == OUTPUTS ? RSK_SLOT_SKETCH : take_slot(p);
    for (int32_t i = 0; i < m->size; i++) {
        if (m->alpha[i] == NO_MEMBER) continue;
        rsk_step *step = add_step(p, f, i, f->count++, RSK_STEP_OWN);
        if (wide) step->flags |= RSK_WIDE;
    }
    first->flags |= RSK_FIRST;
    first->members = f->count;
}

/* What the inputs of the tuple's next member add, whose tuple is summed. */
static void add_inputs(writer *p, frame *f, place *q) {
    rsk_step *step = add_step(p, f, f->next++, f->position++, RSK_STEP_INPUTS);
    step->src = q->stored;
    step->scale /= q->scale;
    const int skew = p->spec->family->skew;
    if (skew ? rsk_turned_wide(f->object == OUTPUTS, f->count) : p->place[f->object].inner) step->flags |= RSK_WIDE;
    if (!skew && q->inner) step->flags |= RSK_WIDE_SRC;
    if (--q->left) return;
    step->flags |= RSK_LAST;
    give_slot(p, step->src);
}

/* The next member that has inputs; NULL if there is none. */
static place *find_inner(const writer *p, frame *f) {
    for (const members *m = &f->tuple; f->next < m->size; f->next++) {
        if (m->alpha[f->next] == NO_MEMBER) continue;
        place *q = &p->place[m->object[f->next]];
        if (q->inputs) return q;
        f->position++;
    }
    return NULL;
}

/* Depth first from the outputs. The inputs of a tuple's first member that has any are summed before its own vector is taken, and a vector
 * is given back when it was last read, so that a tree needs as many vectors as it is deep, and a chain two. */
static void write_program(writer *p) {
    frame *f = p->room->stack;
    open_tuple(p, OUTPUTS, 1.0, f);
    for (;;) {
        place *q = find_inner(p, f);
        if (q && q->stored == RSK_SLOT_NONE) {
            q->scale = rsk_scale_below(p->spec, f->scale, f->tuple.alpha[f->next] * q->below);
            open_tuple(p, f->tuple.object[f->next], q->scale, f + 1);
            f++;
            continue;
        }
        if (f->slot == RSK_SLOT_NONE) start_tuple(p, f);
        if (q) {
            add_inputs(p, f, q);
            continue;
        }
        if (f->object == OUTPUTS) return;
        p->place[f->object].stored = f->slot;
        f--;
    }
}

static void build(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) {
    const builder *b = context;
    const rsk_batch *t = b->batch;
    for (ptrdiff_t trace = begin; trace < end; trace++) {
        const int64_t base = t->objects[trace];
        rsk_step *const start = b->plan->steps + b->plan->begin[trace];
        writer p = {.spec = b->spec, .batch = t, .trace = trace, .base = base, .edges = t->input_ends[base], .next = start,
                    .objects = (int32_t)(t->objects[trace + 1] - base), .room = &b->rooms[worker], .place = b->rooms[worker].place + 1};
        b->status[trace] = take_trace(&p, &b->object[trace]);
        if (b->status[trace] != RSK_OK) continue;
        count_uses(&p, b->plan);
        write_program(&p);
        b->plan->count[trace] = (int32_t)(p.next - start);
        b->vectors[trace] = p.made;
    }
}

/* ---------------------------------------------------------------- memory */

static void rooms_free(room *rooms, int workers) {
    for (int i = 0; rooms && i < workers; i++) {
        rsk_free(rooms[i].place);
        rsk_free(rooms[i].alpha);
        rsk_free(rooms[i].stack);
        rsk_free(rooms[i].free);
    }
    rsk_free(rooms);
}

static room *rooms_create(const rsk_batch *t, int workers) {
    ptrdiff_t objects = 0, edges = 0;
    for (ptrdiff_t i = 0; i < t->traces; i++) {
        const int64_t begin = t->objects[i], end = t->objects[i + 1];
        const int64_t inputs = t->input_ends[end] - t->input_ends[begin], outputs = t->output_ends[i + 1] - t->output_ends[i];
        if (end - begin > objects) objects = (ptrdiff_t)(end - begin);
        if (inputs + outputs > edges) edges = (ptrdiff_t)(inputs + outputs);
    }
    room *rooms = rsk_calloc(workers, sizeof *rooms);
    for (int i = 0; rooms && i < workers; i++) {
        room *r = &rooms[i];
        r->place = rsk_alloc(objects + 1, sizeof *r->place);
        r->alpha = rsk_alloc(edges, sizeof *r->alpha);
        r->stack = rsk_alloc(objects + 1, sizeof *r->stack);
        r->free = rsk_alloc(objects, sizeof *r->free);
        if (!r->place || !r->alpha || !r->stack || !r->free) {
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
    for (int64_t o = 0; o <= n; o++) /* lengths have not been checked, and these are of no use if they are wrong */
        plan->attribute_ends[o] = (int64_t)((uint64_t)t->attribute_ends[o] + (uint64_t)o * (uint64_t)t->more);
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
    if (!spec || !t || !has_offsets(t) || t->traces < 1 || threads < 1 || t->more < 0 || t->more > RSK_MAX_LENGTH) return RSK_EINVAL;
    ptrdiff_t large;
    rsk_status status = check_offsets(t, &large);
    if (status != RSK_OK) {
        if (where) where->trace = large;
        return status;
    }
    if (!has_columns(t)) return RSK_EINVAL;

    enum { CHUNK = 4 }; /* traces of 84 objects take some 2 microseconds */
    const int workers = rsk_parallel_threads(threads, t->traces, CHUNK);
    rsk_plan *plan = rsk_calloc(1, sizeof *plan);
    builder b = {spec, t, plan, rooms_create(t, workers), rsk_alloc(t->traces, sizeof *b.status),
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
