/* The forward sweep (children first) and its transpose (outputs first), over a batch. */
#include "recursion/recursion.h"

#include <float.h>

/* ---------------------------------------------------------------- scratch */

void rsk_scratch_free(rsk_scratch *scratch, int workers) {
    for (int i = 0; scratch && i < workers; i++) rsk_free(scratch[i].base), rsk_free(scratch[i].pieces);
    rsk_free(scratch);
}

/* Takes the next n elements of a worker's memory. With base NULL it only counts the bytes. */
static void *take(unsigned char *base, ptrdiff_t *used, ptrdiff_t n, size_t each) {
    void *p = base ? base + *used : NULL;
    *used += (n * (ptrdiff_t)each + 63) / 64 * 64;
    return p;
}

static ptrdiff_t larger(ptrdiff_t a, ptrdiff_t b) { return a > b ? a : b; }

static ptrdiff_t lay_out(const rsk_spec *spec, const rsk_plan *plan, rsk_scratch *s) {
    /* Vectors a power of two apart would share cache sets. Five blocks of 16 between them prevent that. */
    const ptrdiff_t d = spec->dim + 5 * RSK_LANES, padded = larger(spec->max_padded, spec->dim) + 5 * RSK_LANES;
    const ptrdiff_t direct = spec->max_direct, whole = spec->family->slot_bytes == (int)sizeof(int32_t);
    ptrdiff_t used = 0;
    s->stride = d * spec->family->slot_bytes;
    s->slots = take(s->base, &used, plan->vectors * s->stride, 1);
    s->object = take(s->base, &used, d, sizeof(float));
    s->work = take(s->base, &used, 3 * d, sizeof(float));
    s->padded = take(s->base, &used, padded, sizeof(float));
    s->gradient = take(s->base, &used, spec->max_length, sizeof(float));
    s->stored = take(s->base, &used, d, sizeof(float));
    s->mask = take(s->base, &used, spec->dim, 1);
    s->wide = take(s->base, &used, larger(spec->max_padded, RSK_TOGETHER * direct), sizeof(double));
    s->wide_object = take(s->base, &used, whole ? 0 : d, sizeof(double));
    s->wide_work = take(s->base, &used, (whole ? 1 : 2) * d, sizeof(double));
    s->root = take(s->base, &used, d, sizeof(double));
    s->whole = take(s->base, &used, whole ? plan->vectors + 1 : 0, sizeof *s->whole);
    s->tables = take(s->base, &used, 8 * RSK_TOGETHER * direct, sizeof *s->tables);
    s->index = take(s->base, &used, direct ? spec->dim / 8 : 0, sizeof *s->index);
    for (ptrdiff_t i = 0; s->base && whole && i <= plan->vectors; i++)
        s->whole[i] = (rsk_whole){i ? (int32_t *)(void *)(s->slots + (i - 1) * s->stride) : (int32_t *)(void *)s->root, 0, 0};
    return used;
}

rsk_scratch *rsk_scratch_create(const rsk_spec *spec, const rsk_plan *plan, int workers, rsk_stop *stop) {
    if (plan->vectors > PTRDIFF_MAX / 64 / (spec->dim + spec->max_padded)) return NULL;
    rsk_scratch *s = rsk_calloc(workers, sizeof *s);
    for (int i = 0; s && i < workers; i++) {
        s[i].stop = stop, s[i].worker = i, s[i].team = 1;
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

ptrdiff_t rsk_forward_trace(const rsk_spec *spec, const rsk_plan *plan, ptrdiff_t trace, const float *attributes,
                            const float *counters, float counter, float *out, rsk_scratch *s) {
    return spec->family->forward(spec, plan, trace, attributes, counters, counter, out, s);
}

/* A shared object's uses add up. */
void rsk_backward_own(const rsk_backward *w, const rsk_step *step, const float *y) {
    const rsk_spec *spec = w->spec;
    const rsk_module *m = &spec->module[step->module];
    const int64_t base = w->plan->objects[w->trace], o = base + step->object;
    float *attribute = w->attributes + (w->plan->attribute_ends[o] - w->plan->attribute_ends[base]);
    float *counter = w->counters ? w->counters + step->object : NULL;
    const int shared = w->plan->uses[o] != 1;
    const double f = step->weight * step->own * spec->gain;
    float *x = shared ? w->s->gradient : attribute, c = 0.0f;
    spec->family->leaf_adjoint(spec, step->module, step->position, f, y, x, counter ? &c : NULL, w->s->padded, w->s->work);
    for (ptrdiff_t i = 0; shared && i < m->length; i++) attribute[i] += x[i];
    if (counter) *counter = shared ? *counter + c : c;
}

void rsk_backward_inputs(const rsk_backward *w, const rsk_step *step, const float *y, float *to, int accumulate) {
    const rsk_rotation *row[RSK_ROW_OF];
    const int count = rsk_row(w->spec, RSK_FROM_IN, step->module, step->position, row);
    w->spec->family->apply(w->spec, row, count, step->weight * step->below, 1, y, to, accumulate, w->s->work);
}

/* A vector that the forward sweep reads is written here, and one that it adds to is read. */
void rsk_backward_steps(const rsk_backward *w, const rsk_step *begin, const rsk_step *end, const float *y) {
    for (const rsk_step *step = end; step-- > begin;) {
        if (rsk_gives_up(w->spec, w->s, step - begin, 1)) return;
        const float *dst = step->dst == RSK_SLOT_SKETCH ? y : rsk_slot(w->s, step->dst);
        if (step->kind == RSK_STEP_OWN) rsk_backward_own(w, step, dst);
        else rsk_backward_inputs(w, step, dst, rsk_slot(w->s, step->src), !(step->flags & RSK_LAST));
    }
}

void rsk_adjoint_trace(const rsk_spec *spec, const rsk_plan *plan, ptrdiff_t trace, const float *y, float *attributes,
                       float *counters, rsk_scratch *s) {
    const rsk_step *const begin = plan->steps + plan->begin[trace];
    const rsk_backward w = {spec, plan, trace, attributes, counters, s};
    const int64_t base = plan->objects[trace], first = plan->attribute_ends[base];
    for (int64_t o = base; o < plan->objects[trace + 1]; o++) {
        if (plan->uses[o] == 1) continue;
        for (int64_t i = plan->attribute_ends[o]; i < plan->attribute_ends[o + 1]; i++) attributes[i - first] = 0.0f;
        if (counters) counters[o - base] = 0.0f;
    }
    if (!rsk_adjoint_split(spec, plan, trace, y, attributes, counters, s)) rsk_backward_steps(&w, begin, begin + plan->count[trace], y);
}

/* ---------------------------------------------------------------- a batch */

typedef struct job {
    const rsk_spec *spec;
    const rsk_plan *plan;
    const float *in, *counters_in; /* counters may be NULL */
    float *out, *counters_out;
    int32_t *bad; /* (traces,) the number of an object with a bad attribute, or -1, or TOO_LARGE; forward only */
} job;

enum { TOO_LARGE = -2 }; /* a sketch of infinite numbers */

static ptrdiff_t first_object(const job *j, ptrdiff_t trace) { return (ptrdiff_t)j->plan->objects[trace]; }
static ptrdiff_t first_attribute(const job *j, ptrdiff_t trace) { return (ptrdiff_t)j->plan->attribute_ends[first_object(j, trace)]; }

static void forward_task(void *context, ptrdiff_t t, rsk_scratch *s) {
    const job *j = context;
    float *out = j->out + t * j->spec->dim;
    j->bad[t] = (int32_t)rsk_forward_trace(j->spec, j->plan, t, j->in + first_attribute(j, t),
                                           j->counters_in ? j->counters_in + first_object(j, t) : NULL, 1.0f, s->stored, s);
    rsk_reorder(j->spec, s->stored, out);
    if (j->spec->weighting == RSK_WEIGHTS_COUNT && j->bad[t] == -1 && !rsk_within_f32(out, j->spec->dim, 1, (double)FLT_MAX))
        j->bad[t] = TOO_LARGE;
}

static void adjoint_task(void *context, ptrdiff_t t, rsk_scratch *s) {
    const job *j = context;
    rsk_reorder(j->spec, j->in + t * j->spec->dim, s->stored);
    rsk_adjoint_trace(j->spec, j->plan, t, s->stored, j->out + first_attribute(j, t),
                      j->counters_out ? j->counters_out + first_object(j, t) : NULL, s);
}

/* Runs the job for every trace. */
static rsk_status run(job *j, void (*task)(void *, ptrdiff_t, rsk_scratch *), int threads, rsk_stop *stop) {
    rsk_sharing shares = rsk_share_out(j->spec, j->plan, threads);
    shares.stop = stop, shares.run = task, shares.context = j;
    shares.scratch = shares.shares ? rsk_scratch_create(j->spec, j->plan, shares.workers, stop) : NULL;
    const rsk_status status = shares.scratch ? rsk_run_shares(&shares) : RSK_ENOMEM;
    rsk_scratch_free(shares.scratch, shares.workers);
    rsk_free(shares.shares);
    return status;
}

rsk_status rsk_sketch(const rsk_spec *spec, const rsk_plan *plan, const float *attributes, const float *counters, float *out,
                      int threads, rsk_stop *stop, rsk_where *where) {
    if (where) where->trace = where->object = -1;
    if (!spec || !plan || !rsk_plan_is_of(plan, spec) || !attributes || !out || threads < 1) return RSK_EINVAL;
    job j = {spec, plan, attributes, counters, out, NULL, rsk_alloc(plan->traces, sizeof *j.bad)};
    rsk_status status = j.bad ? run(&j, forward_task, threads, stop) : RSK_ENOMEM;
    for (ptrdiff_t t = 0; status == RSK_OK && t < plan->traces; t++)
        if (j.bad[t] != -1) {
            status = j.bad[t] == TOO_LARGE ? RSK_EOVERFLOW : RSK_EVALUE;
            if (where) where->trace = t, where->object = j.bad[t] == TOO_LARGE ? -1 : j.bad[t];
        }
    rsk_free(j.bad);
    return status;
}

rsk_status rsk_adjoint(const rsk_spec *spec, const rsk_plan *plan, const float *y, float *attributes, float *counters,
                       int threads, rsk_stop *stop) {
    if (!spec || !plan || !rsk_plan_is_of(plan, spec) || !y || !attributes || threads < 1) return RSK_EINVAL;
    job j = {spec, plan, y, NULL, attributes, counters, NULL};
    return run(&j, adjoint_task, threads, stop);
}
