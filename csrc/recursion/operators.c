/* Operators as the recursion uses them: T_in of one or two, T_i left out where inputs have no order; and one at a time. */
#include "recursion/recursion.h"

#include <math.h>

void rsk_apply_in(const rsk_spec *spec, double f, int transpose, const float *x, float *out, int accumulate, float *scratch) {
    const rsk_rotation *first = &spec->in[transpose ? 0 : spec->ins - 1], *last = &spec->in[transpose ? spec->ins - 1 : 0];
    if (spec->ins == 1) spec->family->apply(spec, first, f, transpose, x, out, accumulate, scratch);
    else spec->family->chain(spec, first, last, f, transpose, x, out, accumulate, scratch);
}

void rsk_apply_in_wide(const rsk_spec *spec, double f, const double *x, double *out, int accumulate, double *scratch) {
    if (spec->ins == 1) spec->family->apply_wide(spec, &spec->in[0], f, x, out, accumulate, scratch);
    else spec->family->chain_wide(spec, &spec->in[1], &spec->in[0], f, x, out, accumulate, scratch);
}

void rsk_apply_place(const rsk_spec *spec, ptrdiff_t position, double f, int transpose, const float *x, float *out,
                     int accumulate, float *scratch) {
    if (spec->ordered) spec->family->apply(spec, &spec->positions[position], f, transpose, x, out, accumulate, scratch);
    else rsk_kernels_current()->blend_f32(out, x, x, spec->dim, spec->zeros, (float)f, 0.0f, accumulate);
}

void rsk_apply_place_wide(const rsk_spec *spec, ptrdiff_t position, double f, const double *x, double *out, int accumulate,
                          double *scratch) {
    if (spec->ordered) spec->family->apply_wide(spec, &spec->positions[position], f, x, out, accumulate, scratch);
    else rsk_kernels_current()->blend_f64(out, x, x, spec->dim, spec->zeros, f, 0.0, accumulate);
}

void rsk_apply_member(const rsk_spec *spec, const rsk_module *module, ptrdiff_t position, double f, int transpose,
                      const float *x, float *out, int accumulate, float *scratch) {
    const rsk_rotation *m = &module->rotation;
    if (!spec->ordered || position == RSK_NO_POSITION) {
        spec->family->apply(spec, m, f, transpose, x, out, accumulate, scratch);
        return;
    }
    const rsk_rotation *p = &spec->positions[position];
    spec->family->chain(spec, transpose ? p : m, transpose ? m : p, f, transpose, x, out, accumulate, scratch);
}

void rsk_apply_member_wide(const rsk_spec *spec, const rsk_module *module, ptrdiff_t position, double f, const double *x,
                           double *out, int accumulate, double *scratch) {
    const rsk_rotation *m = &module->rotation;
    if (!spec->ordered || position == RSK_NO_POSITION) spec->family->apply_wide(spec, m, f, x, out, accumulate, scratch);
    else spec->family->chain_wide(spec, m, &spec->positions[position], f, x, out, accumulate, scratch);
}

/* ---------------------------------------------------------------- one operator at a time */

rsk_status rsk_operator(const rsk_spec *spec, int kind, ptrdiff_t index, int transpose, const float *x, float *out) {
    const ptrdiff_t count[3] = {spec ? spec->max_inputs : 0, spec ? spec->modules : 0, spec ? 2 + spec->ins : 0};
    if (!spec || !x || !out || kind < 0 || kind > 2 || index < 0 || index >= count[kind]) return RSK_EINVAL;
    float *scratch = rsk_alloc(2 * spec->dim, sizeof *scratch);
    if (!scratch) return RSK_ENOMEM;
    transpose = transpose != 0;
    if (kind == 0) rsk_apply_place(spec, index, 1.0, transpose, x, out, 0, scratch);
    else if (kind == 2 && index == 1) rsk_apply_in(spec, 1.0, transpose, x, out, 0, scratch);
    else {
        const rsk_rotation *r = kind == 1 ? &spec->module[index].rotation : index == 0 ? &spec->attr : &spec->in[index - 2];
        spec->family->apply(spec, r, 1.0, transpose, x, out, 0, scratch);
    }
    rsk_free(scratch);
    return RSK_OK;
}

/* The embedding without T_attr: one term, whatever the family. */
static rsk_spread plain(const rsk_module *m) {
    rsk_spread s = m->spread;
    s.terms = 1;
    return s;
}

rsk_status rsk_embed(const rsk_spec *spec, ptrdiff_t module, const float *x, float *out) {
    if (!spec || !x || !out || module < 0 || module >= spec->modules) return RSK_EINVAL;
    const rsk_module *m = &spec->module[module];
    double *wide = rsk_alloc(m->padded, sizeof *wide);
    float *h = rsk_alloc(m->padded, sizeof *h);
    const int good = h && wide && rsk_embed_begin(spec, m, x, wide);
    if (good) {
        const rsk_spread shape = plain(m);
        const float *const rows[2] = {h, NULL}, none[2] = {0.0f, 0.0f};
        const double norm = rsk_embed_norm(spec, m);
        for (ptrdiff_t i = 0; i < shape.width; i++) h[i] = (float)(norm * wide[i]);
        rsk_kernels_current()->spread(out, spec->dim, &shape, rows, none);
    }
    const rsk_status status = good ? RSK_OK : h && wide ? RSK_EVALUE : RSK_ENOMEM;
    rsk_free(h);
    rsk_free(wide);
    return status;
}

rsk_status rsk_embed_adjoint(const rsk_spec *spec, ptrdiff_t module, const float *x, float *out) {
    if (!spec || !x || !out || module < 0 || module >= spec->modules) return RSK_EINVAL;
    const rsk_module *m = &spec->module[module];
    float *h = rsk_alloc(m->padded, sizeof *h), *const rows[2] = {h, NULL}, ignored[2];
    if (!h) return RSK_ENOMEM;
    const rsk_spread shape = plain(m);
    const float norm = (float)rsk_embed_norm(spec, m);
    rsk_kernels_current()->collect(x, spec->dim, &shape, rows, ignored);
    rsk_embed_end(spec, m, h, out);
    for (ptrdiff_t i = 0; i < m->length; i++) out[i] *= norm;
    rsk_free(h);
    return RSK_OK;
}

rsk_status rsk_counter(const rsk_spec *spec, ptrdiff_t module, float *out) {
    if (!spec || !out || module < 0 || module >= spec->modules) return RSK_EINVAL;
    const float c = (float)(1.0 / sqrt((double)spec->dim));
    for (ptrdiff_t k = 0; k < spec->dim; k++) out[k] = rsk_sign_bit(spec->module[module].counter, k) ? -c : c;
    return RSK_OK;
}
