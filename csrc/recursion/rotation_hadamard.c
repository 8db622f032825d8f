/* R = D' H D / sqrt(d), D and D' random signs: orthonormal like the paper's rotation, of another distribution. Every operator costs
 * one Walsh-Hadamard transform. */
#include "recursion/recursion.h"

#include <math.h>
#include <string.h>

static rsk_status sample(const rsk_spec *spec, uint64_t seed, uint64_t stream, rsk_rotation *r) {
    rsk_status status = rsk_stream_signs(seed, stream, 0, spec->dim, r->bits[0]);
    if (status == RSK_OK) status = rsk_stream_signs(seed, stream, 1, spec->dim, r->bits[1]);
    return status;
}

/* out (+)= f T x; out may be x, since blend allows it. */
static void apply_one(const rsk_spec *spec, const rsk_rotation *r, double f, int transpose, const float *x, float *out,
                      int accumulate, float *scratch) {
    const rsk_kernels *k = rsk_kernels_current();
    k->flip_f32(scratch, x, spec->dim, r->bits[transpose], 1.0f);
    k->fwht_f32(scratch, spec->dim);
    k->blend_f32(out, x, scratch, spec->dim, r->bits[!transpose], (float)(f * spec->cosine),
                 (float)(f * spec->sine / sqrt((double)spec->dim)), accumulate);
}

static void apply_one_wide(const rsk_spec *spec, const rsk_rotation *r, double f, const double *x, double *out, int accumulate,
                           double *scratch) {
    const rsk_kernels *k = rsk_kernels_current();
    k->flip_f64(scratch, x, spec->dim, r->bits[0], 1.0);
    k->fwht_f64(scratch, spec->dim);
    k->blend_f64(out, x, scratch, spec->dim, r->bits[1], f * spec->cosine, f * spec->sine / sqrt((double)spec->dim),
                 accumulate);
}

static void apply(const rsk_spec *spec, const rsk_rotation *const *rotation, int count, double f, int transpose, const float *x,
                  float *out, int accumulate, float *scratch) {
    float *middle = scratch + spec->dim;
    for (int i = 0; i < count; i++) {
        const int last = i == count - 1;
        apply_one(spec, rotation[transpose ? count - 1 - i : i], last ? f : 1.0, transpose, i ? middle : x, last ? out : middle,
                  last && accumulate, scratch);
    }
}

static void apply_wide(const rsk_spec *spec, const rsk_rotation *const *rotation, int count, double f, const double *x, double *out,
                       int accumulate, double *scratch) {
    double *middle = scratch + spec->dim;
    for (int i = 0; i < count; i++) {
        const int last = i == count - 1;
        apply_one_wide(spec, rotation[i], last ? f : 1.0, i ? middle : x, last ? out : middle, last && accumulate, scratch);
    }
}

/* ---------------------------------------------------------------- the forward sweep

 * A tuple of leaves is one of floats. One that has a member with inputs is one of doubles: rounding then hardly grows with depth, while
 * the leaves, which are most of a tree, stay floats. */

static double own_factor(const rsk_spec *spec, const rsk_module *m, const rsk_step *step) {
    return step->own * spec->gain * rsk_embed_norm(spec, m);
}
static float counter_factor(const rsk_spec *spec, const rsk_step *step) {
    return (float)(step->own * spec->gain / sqrt((double)spec->dim));
}

static double *slot_of(const rsk_scratch *s, int32_t slot) {
    return slot == RSK_SLOT_SKETCH ? s->root : (double *)(void *)(s->slots + slot * s->stride);
}

/* An object without inputs, in a tuple of such objects. s->wide holds its attribute. */
static void add_leaf(const rsk_spec *spec, const rsk_module *m, const rsk_step *step, float counter, rsk_scratch *s) {
    const double f = own_factor(spec, m, step);
    const rsk_rotation *row[RSK_ROW_OF];
    const int count = rsk_row(spec, RSK_FROM_MODULE, step->module, step->position, row);
    for (ptrdiff_t j = 0; j < m->spread.width; j++) s->padded[j] = (float)(f * s->wide[j]);
    rsk_kernels_current()->spread(s->object, spec->dim, &m->spread, s->padded, counter);
    apply_one(spec, &spec->attr, 1.0, 0, s->object, s->object, 0, s->work);
    apply(spec, row, count, step->weight, 0, s->object, (float *)(void *)slot_of(s, step->dst), !(step->flags & RSK_FIRST), s->work);
}

/* Any other object, in doubles. Only T_in of a tuple of leaves is computed in floats: its rounding weighs little. */
static void add_wide(const rsk_spec *spec, const rsk_module *m, const rsk_step *step, float counter, rsk_scratch *s) {
    const rsk_rotation *const in[] = {&spec->in[spec->ins - 1], &spec->in[0]}, *row[RSK_ROW_OF];
    const int count = rsk_row(spec, RSK_FROM_MODULE, step->module, step->position, row), inputs = step->kind == RSK_STEP_INPUTS;
    const double f = own_factor(spec, m, step);
    for (ptrdiff_t j = 0; j < m->spread.width; j++) s->wide[j] *= f;
    rsk_kernels_current()->spread_wide(s->wide_object, spec->dim, &m->spread, s->wide, counter);
    apply_one_wide(spec, &spec->attr, 1.0, s->wide_object, s->wide_object, 0, s->wide_work);
    if (inputs && step->flags & RSK_WIDE_SRC) {
        apply_wide(spec, in, spec->ins, step->below, slot_of(s, step->src), s->wide_object, 1, s->wide_work);
    } else if (inputs) {
        rsk_apply_in(spec, step->below, 0, (float *)(void *)slot_of(s, step->src), s->object, 0, s->work);
        for (ptrdiff_t k = 0; k < spec->dim; k++) s->wide_object[k] += (double)s->object[k];
    }
    apply_wide(spec, row, count, step->weight, s->wide_object, slot_of(s, step->dst), 1, s->wide_work);
}

/* An object with inputs is added as a whole where these are, its own part included. */
static ptrdiff_t forward(const rsk_spec *spec, const rsk_plan *plan, ptrdiff_t trace, const float *attributes, const float *counters,
                         float counter, float *out, rsk_scratch *s) {
    const rsk_step *step = plan->steps + plan->begin[trace], *const end = step + plan->count[trace];
    const int64_t *ends = plan->attribute_ends + plan->objects[trace];
    for (; step < end; step++) {
        if (rsk_gives_up(spec, s, end - step, 1)) return 0;
        const rsk_module *m = &spec->module[step->module];
        const int wide = step->flags & RSK_WIDE;
        if (wide && step->flags & RSK_FIRST) memset(slot_of(s, step->dst), 0, sizeof(double) * (size_t)spec->dim);
        if (step->kind == RSK_STEP_OWN && step->flags & RSK_INNER) continue;
        if (rsk_embed_begin(spec, m, attributes + (ends[step->object] - ends[0]), s->wide) < 0.0) return step->object;
        const float c = counter_factor(spec, step) * (counters ? counters[step->object] : counter);
        if (wide) add_wide(spec, m, step, c, s);
        else add_leaf(spec, m, step, c, s);
    }
    if (end[-1].flags & RSK_WIDE) rsk_kernels_current()->narrow(out, s->root, spec->dim);
    else memcpy(out, s->root, sizeof *out * (size_t)spec->dim);
    return -1;
}

const rsk_family rsk_family_hadamard = {"hadamard", 2, 0, 0, (int)sizeof(double), 0, &rsk_embedding_tiles, NULL, NULL, sample, apply,
                                        forward, rsk_leaf_adjoint_spread};
