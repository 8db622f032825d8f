/* Operators as the recursion uses them: T_in of one or two, T_i left out where inputs have no order; and one at a time. */
#include "recursion/recursion.h"

#include <math.h>

int rsk_row(const rsk_spec *spec, int from, ptrdiff_t module, ptrdiff_t position, const rsk_rotation *row[RSK_ROW_OF]) {
    int n = 0;
    for (int i = spec->ins - 1; from == RSK_FROM_IN && i >= 0; i--) row[n++] = &spec->in[i];
    if (from == RSK_FROM_ATTR) row[n++] = &spec->attr;
    row[n++] = &spec->module[module].rotation;
    if (rsk_is_placed(spec, position)) row[n++] = &spec->positions[position];
    return n;
}

void rsk_apply_in(const rsk_spec *spec, double f, int transpose, const float *x, float *out, int accumulate, float *scratch) {
    const rsk_rotation *const row[] = {&spec->in[spec->ins - 1], &spec->in[0]};
    spec->family->apply(spec, row, spec->ins, f, transpose, x, out, accumulate, scratch);
}

void rsk_apply_place(const rsk_spec *spec, ptrdiff_t position, double f, int transpose, const float *x, float *out,
                     int accumulate, float *scratch) {
    const rsk_rotation *const row[] = {&spec->positions[position]};
    if (spec->ordered) spec->family->apply(spec, row, 1, f, transpose, x, out, accumulate, scratch);
    else rsk_kernels_current()->blend_f32(out, x, x, spec->dim, spec->zeros, (float)f, 0.0f, accumulate);
}

void rsk_apply_member(const rsk_spec *spec, ptrdiff_t module, ptrdiff_t position, double f, int transpose, const float *x, float *out,
                      int accumulate, float *scratch) {
    const rsk_rotation *row[RSK_ROW_OF];
    const int count = rsk_row(spec, RSK_FROM_MODULE, module, position, row);
    spec->family->apply(spec, row, count, f, transpose, x, out, accumulate, scratch);
}

/* ---------------------------------------------------------------- embeddings and counters */

/* T_M T_attr x, or with transpose (T_M T_attr)^T x, divided by the square of T's norm. Of direct modules F_M and n_M are drawn, and E_M and
 * c_M are these turned back. */
static void turned(const rsk_spec *spec, const rsk_module *m, int transpose, const float *x, float *out, float *scratch) {
    const rsk_rotation *const row[] = {&spec->attr, &m->rotation};
    spec->family->apply(spec, row, 2, 1.0 / spec->stretch2, transpose, x, out, 0, scratch);
}

/* c_M, or n_M of a direct module */
static void counter_signs(const rsk_spec *spec, const rsk_module *m, float *out) {
    const float c = (float)(1.0 / sqrt((double)spec->dim));
    for (ptrdiff_t k = 0; k < spec->dim; k++) out[k] = rsk_sign_bit(m->counter, k) ? -c : c;
}

void rsk_counter_seen(const rsk_spec *spec, ptrdiff_t module, float *out, float *work) {
    const rsk_module *m = &spec->module[module];
    counter_signs(spec, m, m->direct ? out : work);
    if (!m->direct) turned(spec, m, 0, work, out, work + spec->dim);
}

/* The transpose of how an embedding's numbers and its counter are spread: h and *counter from y, which may be overwritten. A family with
 * masks spreads numbers in runs, the other in tiles. */
static void gathered(const rsk_spec *spec, const rsk_module *m, float *y, float *h, float *counter) {
    const rsk_kernels *k = rsk_kernels_current();
    if (spec->family->mask) k->gather(y, spec->dim, &m->spread, h, counter);
    else k->collect(y, spec->dim, &m->spread, h, counter);
}

void rsk_leaf_adjoint_spread(const rsk_spec *spec, ptrdiff_t module, ptrdiff_t position, float f, float f_counter, const float *y, float *h,
                             float *counter, float *work) {
    const rsk_module *m = &spec->module[module];
    const rsk_rotation *row[RSK_ROW_OF];
    const int count = rsk_row(spec, RSK_FROM_ATTR, module, position, row);
    float c;
    spec->family->apply(spec, row, count, 1.0, 1, y, work, 0, work + spec->dim);
    gathered(spec, m, work, h, &c);
    for (ptrdiff_t j = 0; j < m->spread.width; j++) h[j] *= f;
    if (counter) *counter = f_counter * c;
}

/* ---------------------------------------------------------------- one operator at a time */

/* Four vectors of d floats, or NULL: two of scratch for operators, and two for what goes in and comes out. */
static float *four(const rsk_spec *spec) { return rsk_alloc(4 * spec->dim, sizeof(float)); }

rsk_status rsk_operator(const rsk_spec *spec, int kind, ptrdiff_t index, int transpose, const float *x, float *out) {
    const ptrdiff_t count[3] = {spec ? spec->max_inputs : 0, spec ? spec->modules : 0, spec ? 2 + spec->ins : 0};
    if (!spec || !x || !out || kind < 0 || kind > 2 || index < 0 || index >= count[kind]) return RSK_EINVAL;
    float *scratch = four(spec);
    if (!scratch) return RSK_ENOMEM;
    float *in = scratch + 2 * spec->dim, *to = in + spec->dim;
    transpose = transpose != 0;
    rsk_reorder(spec, x, in);
    if (kind == 0) rsk_apply_place(spec, index, 1.0, transpose, in, to, 0, scratch);
    else if (kind == 2 && index == 1) rsk_apply_in(spec, 1.0, transpose, in, to, 0, scratch);
    else {
        const rsk_rotation *r = kind == 1 ? &spec->module[index].rotation : index == 0 ? &spec->attr : &spec->in[index - 2];
        spec->family->apply(spec, &r, 1, 1.0, transpose, in, to, 0, scratch);
    }
    rsk_reorder(spec, to, out);
    rsk_free(scratch);
    return RSK_OK;
}

rsk_status rsk_embed(const rsk_spec *spec, ptrdiff_t module, const float *x, float *out) {
    if (!spec || !x || !out || module < 0 || module >= spec->modules) return RSK_EINVAL;
    const rsk_module *m = &spec->module[module];
    double *wide = rsk_alloc(m->padded, sizeof *wide);
    float *h = rsk_alloc(m->padded, sizeof *h), *scratch = four(spec);
    const int good = h && wide && scratch && rsk_embed_begin(spec, m, x, wide);
    if (good) {
        const double norm = rsk_embed_norm(spec, m);
        const rsk_kernels *k = rsk_kernels_current();
        float *e = scratch + 2 * spec->dim, *back = e + spec->dim;
        for (ptrdiff_t i = 0; i < m->spread.width; i++) h[i] = (float)(norm * wide[i]);
        (spec->family->mask ? k->repeat : k->spread)(e, spec->dim, &m->spread, h, 0.0f);
        if (m->direct) turned(spec, m, 1, e, back, scratch);
        rsk_reorder(spec, m->direct ? back : e, out);
    }
    const rsk_status status = good ? RSK_OK : h && wide && scratch ? RSK_EVALUE : RSK_ENOMEM;
    rsk_free(h);
    rsk_free(wide);
    rsk_free(scratch);
    return status;
}

rsk_status rsk_embed_adjoint(const rsk_spec *spec, ptrdiff_t module, const float *x, float *out) {
    if (!spec || !x || !out || module < 0 || module >= spec->modules) return RSK_EINVAL;
    const rsk_module *m = &spec->module[module];
    float *h = rsk_alloc(m->padded > spec->dim ? m->padded : spec->dim, sizeof *h), *scratch = four(spec), ignored;
    const rsk_status status = h && scratch ? RSK_OK : RSK_ENOMEM;
    if (status == RSK_OK) {
        float *y = scratch + 2 * spec->dim, *seen = y + spec->dim;
        const float norm = (float)rsk_embed_norm(spec, m);
        rsk_reorder(spec, x, y);
        if (m->direct) turned(spec, m, 0, y, seen, scratch);
        gathered(spec, m, m->direct ? seen : y, h, &ignored);
        rsk_embed_end(spec, m, h, out);
        for (ptrdiff_t i = 0; i < m->length; i++) out[i] *= norm;
    }
    rsk_free(h);
    rsk_free(scratch);
    return status;
}

rsk_status rsk_counter(const rsk_spec *spec, ptrdiff_t module, float *out) {
    if (!spec || !out || module < 0 || module >= spec->modules) return RSK_EINVAL;
    const rsk_module *m = &spec->module[module];
    float *scratch = four(spec);
    if (!scratch) return RSK_ENOMEM;
    float *signs = scratch + 2 * spec->dim, *back = signs + spec->dim;
    counter_signs(spec, m, signs);
    if (m->direct) turned(spec, m, 1, signs, back, scratch);
    rsk_reorder(spec, m->direct ? back : signs, out);
    rsk_free(scratch);
    return RSK_OK;
}
