/* The forward sweep (children first) and its transpose (outputs first), over a batch. */
#include "recursion/recursion.h"

#include <float.h>
#include <math.h>
#include <string.h>

/* ---------------------------------------------------------------- scratch */

void rsk_scratch_free(rsk_scratch *scratch, int workers) {
    for (int i = 0; scratch && i < workers; i++) rsk_free(scratch[i].base);
    rsk_free(scratch);
}

/* Takes the next n elements of a worker's memory. With base NULL it only counts the bytes. */
static void *take(unsigned char *base, ptrdiff_t *used, ptrdiff_t n, size_t each) {
    void *p = base ? base + *used : NULL;
    *used += (n * (ptrdiff_t)each + 63) / 64 * 64;
    return p;
}

static ptrdiff_t lay_out(const rsk_spec *spec, const rsk_plan *plan, rsk_scratch *s) {
    /* Vectors a power of two apart would share cache sets. Five blocks of 16 between them prevent that. */
    const ptrdiff_t d = spec->dim + 5 * RSK_LANES;
    const ptrdiff_t wide = (spec->max_padded > spec->dim ? spec->max_padded : spec->dim) + 5 * RSK_LANES;
    ptrdiff_t used = 0;
    s->stride = d;
    s->slots = take(s->base, &used, plan->vectors * d, sizeof(float));
    s->object = take(s->base, &used, d, sizeof(float));
    s->spare = take(s->base, &used, 2 * d, sizeof(float));
    s->padded = take(s->base, &used, wide, sizeof(float));
    s->work = take(s->base, &used, 2 * wide, sizeof(float));
    s->wide_slots = take(s->base, &used, plan->wide_vectors * d, sizeof(double));
    s->wide_padded = take(s->base, &used, wide, sizeof(double));
    s->wide_work = take(s->base, &used, 2 * wide, sizeof(double));
    s->wide_root = take(s->base, &used, d, sizeof(double));
    s->wide_object = take(s->base, &used, d, sizeof(double));
    s->wide_source = take(s->base, &used, d, sizeof(double));
    s->wide_spare = take(s->base, &used, 2 * d, sizeof(double));
    return used;
}

rsk_scratch *rsk_scratch_create(const rsk_spec *spec, const rsk_plan *plan, int workers, rsk_stop *stop) {
    if (plan->vectors + plan->wide_vectors > PTRDIFF_MAX / 64 / (spec->dim + spec->max_padded)) return NULL;
    rsk_scratch *s = rsk_calloc(workers, sizeof *s);
    for (int i = 0; s && i < workers; i++) {
        s[i].stop = stop, s[i].worker = i;
        s[i].base = rsk_alloc(lay_out(spec, plan, &s[i]), 1);
        if (!s[i].base) {
            rsk_scratch_free(s, workers);
            return NULL;
        }
        lay_out(spec, plan, &s[i]);
    }
    return s;
}

/* ---------------------------------------------------------------- one trace */

static double attribute_factor(const rsk_spec *spec, const rsk_module *m, const rsk_step *step) {
    return (double)step->own * spec->gain * rsk_embed_norm(spec, m);
}
static float counter_factor(const rsk_spec *spec, const rsk_step *step) {
    return (float)((double)step->own * spec->gain / sqrt((double)spec->dim));
}

/* Vector number `slot` of floats, and of doubles. */
static float *slot_of(const rsk_scratch *s, int32_t slot) { return s->slots + slot * s->stride; }
static double *wide_slot_of(const rsk_scratch *s, int32_t slot) { return s->wide_slots + slot * s->stride; }

static void run_use(const rsk_spec *spec, const rsk_step *step, float *out, rsk_scratch *s) {
    const int add = !(step->flags & RSK_FIRST);
    if (!(step->flags & RSK_WIDE_DST)) {
        float *dst = step->dst == RSK_SLOT_SKETCH ? out : slot_of(s, step->dst);
        rsk_apply_place(spec, step->position, step->weight, 0, slot_of(s, step->src), dst, add, s->spare);
        return;
    }
    const int wide = step->flags & RSK_WIDE_SRC;
    if (!wide) rsk_kernels_current()->widen(s->wide_source, slot_of(s, step->src), spec->dim);
    rsk_apply_place_wide(spec, step->position, step->weight, wide ? wide_slot_of(s, step->src) : s->wide_source,
                         step->dst == RSK_SLOT_SKETCH ? s->wide_root : wide_slot_of(s, step->dst), add, s->wide_spare);
}

/* An object without inputs, in a tuple of such objects: to its tuple's vector, or to a slot of its own. s->wide_padded holds its
 * attribute. */
static void run_leaf(const rsk_spec *spec, const rsk_module *m, const rsk_step *step, float counter, float *out, rsk_scratch *s) {
    const rsk_family *family = spec->family;
    float *dst = step->dst == RSK_SLOT_SKETCH ? out : slot_of(s, step->dst);
    family->embed(spec, m, attribute_factor(spec, m, step), counter, s->wide_padded, s->object, s->work, s->spare);
    if (step->kind == RSK_STEP_STORE)
        family->apply(spec, &m->rotation, 1.0, 0, s->object, dst, 0, s->spare);
    else
        rsk_apply_member(spec, m, step->position, step->weight, 0, s->object, dst, !(step->flags & RSK_FIRST), s->spare);
}

/* Any other object, in doubles. Only T_in of a tuple of leaves is computed in floats: its rounding weighs little. */
static void run_wide(const rsk_spec *spec, const rsk_module *m, const rsk_step *step, float counter, rsk_scratch *s) {
    const rsk_family *family = spec->family;
    const int inputs = step->src != RSK_SLOT_NONE, wide = step->flags & RSK_WIDE_SRC;
    double *object = s->wide_object, *dst = step->dst == RSK_SLOT_SKETCH ? s->wide_root : wide_slot_of(s, step->dst);
    if (inputs && !wide) rsk_apply_in(spec, step->below, 0, slot_of(s, step->src), s->object, 0, s->spare);
    family->embed_wide(spec, m, attribute_factor(spec, m, step), counter, s->wide_padded, inputs && !wide ? s->object : NULL, object,
                      s->wide_work, s->wide_spare);
    if (inputs && wide)
        rsk_apply_in_wide(spec, step->below, wide_slot_of(s, step->src), object, 1, s->wide_spare);
    if (step->kind == RSK_STEP_STORE)
        family->apply_wide(spec, &m->rotation, 1.0, object, dst, 0, s->wide_spare);
    else
        rsk_apply_member_wide(spec, m, step->position, step->weight, object, dst, !(step->flags & RSK_FIRST), s->wide_spare);
}

/* Brings an attribute that the next step needs into the cache. Objects are not sketched in the order in which their attributes
 * lie in memory, so that the hardware would not foresee it. */
static void fetch(const rsk_plan *plan, int64_t object, const float *attributes, int64_t first) {
    const int64_t begin = plan->attribute_ends[object], end = plan->attribute_ends[object + 1];
    const int64_t most = 64 * RSK_LANES; /* beyond these the hardware prefetches by itself */
    for (int64_t i = begin; i < end && i < begin + most; i += RSK_LANES) RSK_PREFETCH(attributes + (i - first));
}

/* Whether to give up at step i. A step takes about 2 ns a coordinate: rsk_stopped is asked once every 65,536 of them. */
static int gives_up(const rsk_spec *spec, const rsk_scratch *s, ptrdiff_t i) {
    return (i * spec->dim & 0xffff) < spec->dim && rsk_stopped(s->stop, s->worker);
}

ptrdiff_t rsk_forward_trace(const rsk_spec *spec, const rsk_plan *plan, ptrdiff_t trace, const float *attributes,
                            const float *counters, float counter, float *out, rsk_scratch *s) {
    const rsk_step *step = plan->steps + plan->begin[trace], *const end = step + plan->count[trace];
    const int64_t base = plan->objects[trace], first = plan->attribute_ends[base];
    for (; step < end; step++) {
        if (gives_up(spec, s, end - step)) return 0;
        if (step->kind == RSK_STEP_USE) {
            run_use(spec, step, out, s);
            continue;
        }
        const rsk_module *m = &spec->module[step->module];
        const int64_t o = base + step->object;
        if (step + 1 < end) fetch(plan, base + step[1].object, attributes, first);
        if (!rsk_embed_begin(spec, m, attributes + (plan->attribute_ends[o] - first), s->wide_padded)) return step->object;
        const float c = counter_factor(spec, step) * (counters ? counters[step->object] : counter);
        if (step->flags & RSK_WIDE_DST) run_wide(spec, m, step, c, s);
        else run_leaf(spec, m, step, c, out, s);
    }
    if (end[-1].flags & RSK_WIDE_DST) rsk_kernels_current()->narrow(out, s->wide_root, spec->dim);
    return -1;
}

/* A slot in the adjoint sweep, where every vector is one of floats. */
static float *narrow_slot_of(const rsk_scratch *s, int32_t slot, int wide) {
    return wide ? (float *)(void *)wide_slot_of(s, slot) : slot_of(s, slot);
}

/* Runs the steps backwards: a vector that the forward sweep reads is written here, and one that it adds to is read. */
void rsk_adjoint_trace(const rsk_spec *spec, const rsk_plan *plan, ptrdiff_t trace, const float *y, float *attributes,
                       float *counters, rsk_scratch *s) {
    const rsk_family *family = spec->family;
    const rsk_step *const begin = plan->steps + plan->begin[trace], *step = begin + plan->count[trace];
    const int64_t base = plan->objects[trace], first = plan->attribute_ends[base];
    for (int64_t o = base; o < plan->objects[trace + 1]; o++) {
        if (plan->uses[o]) continue;
        for (int64_t i = plan->attribute_ends[o]; i < plan->attribute_ends[o + 1]; i++) attributes[i - first] = 0.0f;
        if (counters) counters[o - base] = 0.0f;
    }
    while (step-- > begin) {
        if (gives_up(spec, s, step - begin)) return;
        const float *dst = step->dst == RSK_SLOT_SKETCH ? y : narrow_slot_of(s, step->dst, step->flags & RSK_WIDE_DST);
        float *src = step->src == RSK_SLOT_NONE ? NULL : narrow_slot_of(s, step->src, step->flags & RSK_WIDE_SRC);
        if (step->kind == RSK_STEP_USE) {
            rsk_apply_place(spec, step->position, step->weight, 1, dst, src, !(step->flags & RSK_LAST), s->spare);
            continue;
        }
        const rsk_module *m = &spec->module[step->module];
        const int64_t o = base + step->object;
        float counter;
        if (step->kind == RSK_STEP_STORE)
            family->apply(spec, &m->rotation, 1.0, 1, dst, s->object, 0, s->spare);
        else
            rsk_apply_member(spec, m, step->position, step->weight, 1, dst, s->object, 0, s->spare);
        family->embed_adjoint(spec, m, (float)attribute_factor(spec, m, step), counter_factor(spec, step), s->object, s->padded, &counter, s->work, s->spare);
        rsk_embed_end(spec, m, s->padded, attributes + (plan->attribute_ends[o] - first));
        if (counters) counters[step->object] = counter;
        if (src) rsk_apply_in(spec, step->below, 1, s->object, src, 0, s->spare);
    }
}

/* ---------------------------------------------------------------- a batch */

typedef struct job {
    const rsk_spec *spec;
    const rsk_plan *plan;
    const float *in, *counters_in; /* counters may be NULL */
    float *out, *counters_out;
    rsk_scratch *scratch;
    int32_t *bad; /* (traces,) the number of an object with a bad attribute, or -1, or TOO_LARGE; forward only */
} job;

enum { TOO_LARGE = -2 }; /* a sketch of infinite numbers */

static ptrdiff_t first_object(const job *j, ptrdiff_t trace) { return (ptrdiff_t)j->plan->objects[trace]; }
static ptrdiff_t first_attribute(const job *j, ptrdiff_t trace) { return (ptrdiff_t)j->plan->attribute_ends[first_object(j, trace)]; }

static void forward_task(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) {
    const job *j = context;
    const int counts = j->spec->weighting == RSK_WEIGHTS_COUNT;
    for (ptrdiff_t t = begin; t < end; t++) {
        float *out = j->out + t * j->spec->dim;
        j->bad[t] = (int32_t)rsk_forward_trace(j->spec, j->plan, t, j->in + first_attribute(j, t),
                                               j->counters_in ? j->counters_in + first_object(j, t) : NULL, 1.0f, out,
                                               &j->scratch[worker]);
        if (counts && j->bad[t] == -1 && !rsk_within_f32(out, j->spec->dim, 1, (double)FLT_MAX)) j->bad[t] = TOO_LARGE;
    }
}

static void adjoint_task(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) {
    const job *j = context;
    for (ptrdiff_t t = begin; t < end; t++)
        rsk_adjoint_trace(j->spec, j->plan, t, j->in + t * j->spec->dim, j->out + first_attribute(j, t),
                          j->counters_out ? j->counters_out + first_object(j, t) : NULL, &j->scratch[worker]);
}

rsk_status rsk_sketch(const rsk_spec *spec, const rsk_plan *plan, const float *attributes, const float *counters, float *out,
                      int threads, rsk_stop *stop, rsk_where *where) {
    if (where) where->trace = where->object = -1;
    if (!spec || !plan || !rsk_plan_is_of(plan, spec) || !attributes || !out || threads < 1) return RSK_EINVAL;
    const int workers = rsk_parallel_threads(threads, plan->traces, 1);
    job j = {spec, plan, attributes, counters, out, NULL, rsk_scratch_create(spec, plan, workers, stop),
             rsk_alloc(plan->traces, sizeof *j.bad)};
    rsk_status status = j.scratch && j.bad ? RSK_OK : RSK_ENOMEM;
    if (status == RSK_OK) status = rsk_parallel_until(stop, workers, plan->traces, 1, forward_task, &j);
    for (ptrdiff_t t = 0; status == RSK_OK && t < plan->traces; t++)
        if (j.bad[t] != -1) {
            status = j.bad[t] == TOO_LARGE ? RSK_EOVERFLOW : RSK_EVALUE;
            if (where) where->trace = t, where->object = j.bad[t] == TOO_LARGE ? -1 : j.bad[t];
        }
    rsk_scratch_free(j.scratch, workers);
    rsk_free(j.bad);
    return status;
}

rsk_status rsk_adjoint(const rsk_spec *spec, const rsk_plan *plan, const float *y, float *attributes, float *counters,
                       int threads, rsk_stop *stop) {
    if (!spec || !plan || !rsk_plan_is_of(plan, spec) || !y || !attributes || threads < 1) return RSK_EINVAL;
    const int workers = rsk_parallel_threads(threads, plan->traces, 1);
    job j = {spec, plan, y, NULL, attributes, counters, rsk_scratch_create(spec, plan, workers, stop), NULL};
    if (!j.scratch) return RSK_ENOMEM;
    const rsk_status status = rsk_parallel_until(stop, workers, plan->traces, 1, adjoint_task, &j);
    rsk_scratch_free(j.scratch, workers);
    return status;
}
