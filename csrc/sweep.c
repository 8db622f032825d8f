/* The forward sweep (children first) and its transpose (outputs first), over a batch. */
#include "internal.h"

#include <math.h>
#include <string.h>

/* ---------------------------------------------------------------- scratch */

void rsk_scratch_free(rsk_scratch *scratch, int workers) {
    for (int i = 0; scratch && i < workers; i++) rsk_free(scratch[i].base);
    rsk_free(scratch);
}

rsk_scratch *rsk_scratch_create(const rsk_spec *spec, const rsk_plan *plan, int workers) {
    /* vectors are kept off each other's cache sets: a power of two apart they would share them */
    const ptrdiff_t stride = spec->dim + 5 * RSK_LANES;
    const ptrdiff_t wide = (spec->max_padded > spec->dim ? spec->max_padded : spec->dim) + 5 * RSK_LANES;
    if (plan->vectors > (PTRDIFF_MAX / 8 - 6 * wide) / stride) return NULL;
    const ptrdiff_t size = (plan->vectors + 3) * stride + 3 * wide;
    rsk_scratch *s = rsk_calloc(workers, sizeof *s);
    for (int i = 0; s && i < workers; i++) {
        s[i].base = rsk_alloc(size, sizeof(float));
        if (!s[i].base) {
            rsk_scratch_free(s, workers);
            return NULL;
        }
        s[i].stride = stride;
        s[i].slots = s[i].base;
        s[i].object = s[i].slots + plan->vectors * stride;
        s[i].spare = s[i].object + stride;
        s[i].padded = s[i].spare + 2 * stride;
        s[i].work = s[i].padded + wide;
    }
    return s;
}

/* ---------------------------------------------------------------- one trace */

static float attribute_factor(const rsk_spec *spec, const rsk_module *m) {
    return (float)(spec->branch * spec->gain * rsk_embed_norm(spec, m));
}
static float counter_factor(const rsk_spec *spec) { return (float)(spec->branch * spec->gain / sqrt((double)spec->dim)); }

ptrdiff_t rsk_forward_trace(const rsk_spec *spec, const rsk_plan *plan, ptrdiff_t trace, const float *attributes,
                            const float *counters, float counter, float *out, rsk_scratch *s) {
    const rsk_family *family = spec->family;
    const rsk_step *step = plan->steps + plan->begin[trace], *const end = step + plan->count[trace];
    const int64_t base = plan->objects[trace], first = plan->attribute_ends[base];
    const float unit = counter_factor(spec);
    for (; step < end; step++) {
        float *dst = step->dst < 0 ? out : s->slots + step->dst * s->stride;
        float *src = step->src < 0 ? NULL : s->slots + step->src * s->stride;
        const int add = !(step->flags & RSK_FIRST);
        if (step->kind == RSK_STEP_USE) {
            family->apply(spec, &spec->positions[step->position], step->weight, 0, src, dst, add, s->spare);
            continue;
        }
        const rsk_module *m = &spec->module[step->module];
        const int64_t o = base + step->object;
        if (!rsk_embed_begin(spec, m, attributes + (plan->attribute_ends[o] - first), s->padded)) return step->object;
        family->emit(spec, m, attribute_factor(spec, m), unit * (counters ? counters[step->object] : counter), s->padded, s->object, s->work,
                     s->spare);
        if (src) family->apply(spec, &spec->in, (float)spec->branch, 0, src, s->object, 1, s->spare);
        if (step->kind == RSK_STEP_STORE)
            family->apply(spec, &m->rotation, 1.0f, 0, s->object, dst, 0, s->spare);
        else
            family->chain(spec, &m->rotation, &spec->positions[step->position], step->weight, 0, s->object, dst, add, s->spare);
    }
    return -1;
}

/* The steps backwards: a vector that was read is written, one that was added to is read. */
void rsk_adjoint_trace(const rsk_spec *spec, const rsk_plan *plan, ptrdiff_t trace, const float *y, float *attributes,
                       float *counters, rsk_scratch *s) {
    const rsk_family *family = spec->family;
    const rsk_step *const begin = plan->steps + plan->begin[trace], *step = begin + plan->count[trace];
    const int64_t base = plan->objects[trace], first = plan->attribute_ends[base];
    const float unit = counter_factor(spec);
    for (int64_t o = base; o < plan->objects[trace + 1]; o++) {
        if (plan->uses[o]) continue;
        for (int64_t i = plan->attribute_ends[o]; i < plan->attribute_ends[o + 1]; i++) attributes[i - first] = 0.0f;
        if (counters) counters[o - base] = 0.0f;
    }
    while (step-- > begin) {
        const float *dst = step->dst < 0 ? y : s->slots + step->dst * s->stride;
        float *src = step->src < 0 ? NULL : s->slots + step->src * s->stride;
        if (step->kind == RSK_STEP_USE) {
            family->apply(spec, &spec->positions[step->position], step->weight, 1, dst, src, !(step->flags & RSK_LAST), s->spare);
            continue;
        }
        const rsk_module *m = &spec->module[step->module];
        const int64_t o = base + step->object;
        float counter;
        if (step->kind == RSK_STEP_STORE)
            family->apply(spec, &m->rotation, 1.0f, 1, dst, s->object, 0, s->spare);
        else
            family->chain(spec, &spec->positions[step->position], &m->rotation, step->weight, 1, dst, s->object, 0, s->spare);
        family->absorb(spec, m, attribute_factor(spec, m), unit, s->object, s->padded, &counter, s->work, s->spare);
        rsk_embed_end(spec, m, s->padded, attributes + (plan->attribute_ends[o] - first));
        if (counters) counters[step->object] = counter;
        if (src) family->apply(spec, &spec->in, (float)spec->branch, 1, s->object, src, 0, s->spare);
    }
}

/* ---------------------------------------------------------------- a batch */

typedef struct job {
    const rsk_spec *spec;
    const rsk_plan *plan;
    const float *in, *counters_in;
    float *out, *counters_out;
    rsk_scratch *scratch;
    int32_t *bad; /* of each trace: an object with a bad attribute, or -1 */
} job;

static ptrdiff_t first_object(const job *j, ptrdiff_t trace) { return (ptrdiff_t)j->plan->objects[trace]; }
static ptrdiff_t first_attribute(const job *j, ptrdiff_t trace) { return (ptrdiff_t)j->plan->attribute_ends[first_object(j, trace)]; }

static void forward_task(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) {
    const job *j = context;
    for (ptrdiff_t t = begin; t < end; t++)
        j->bad[t] = (int32_t)rsk_forward_trace(j->spec, j->plan, t, j->in + first_attribute(j, t),
                                               j->counters_in ? j->counters_in + first_object(j, t) : NULL, 1.0f,
                                               j->out + t * j->spec->dim, &j->scratch[worker]);
}

static void adjoint_task(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) {
    const job *j = context;
    for (ptrdiff_t t = begin; t < end; t++)
        rsk_adjoint_trace(j->spec, j->plan, t, j->in + t * j->spec->dim, j->out + first_attribute(j, t),
                          j->counters_out ? j->counters_out + first_object(j, t) : NULL, &j->scratch[worker]);
}

rsk_status rsk_sketch(const rsk_spec *spec, const rsk_plan *plan, const float *attributes, const float *counters, float *out,
                      int threads, rsk_where *where) {
    if (where) where->trace = where->object = -1;
    if (!spec || !plan || plan->spec != spec || !attributes || !out || threads < 1) return RSK_EINVAL;
    const int workers = rsk_parallel_threads(threads, plan->traces, 1);
    job j = {spec, plan, attributes, counters, out, NULL, rsk_scratch_create(spec, plan, workers),
             rsk_alloc(plan->traces, sizeof *j.bad)};
    rsk_status status = j.scratch && j.bad ? RSK_OK : RSK_ENOMEM;
    if (status == RSK_OK) rsk_parallel(workers, plan->traces, 1, forward_task, &j);
    for (ptrdiff_t t = 0; status == RSK_OK && t < plan->traces; t++)
        if (j.bad[t] >= 0) {
            status = RSK_EVALUE;
            if (where) where->trace = t, where->object = j.bad[t];
        }
    rsk_scratch_free(j.scratch, workers);
    rsk_free(j.bad);
    return status;
}

rsk_status rsk_adjoint(const rsk_spec *spec, const rsk_plan *plan, const float *y, float *attributes, float *counters,
                       int threads) {
    if (!spec || !plan || plan->spec != spec || !y || !attributes || threads < 1) return RSK_EINVAL;
    const int workers = rsk_parallel_threads(threads, plan->traces, 1);
    job j = {spec, plan, y, NULL, attributes, counters, rsk_scratch_create(spec, plan, workers), NULL};
    if (!j.scratch) return RSK_ENOMEM;
    rsk_parallel(workers, plan->traces, 1, adjoint_task, &j);
    rsk_scratch_free(j.scratch, workers);
    return RSK_OK;
}
