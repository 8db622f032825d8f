/* Operators as the recursion uses them: T_in of one or two, T_i left out where inputs have no order; and one at a time. */
#include "recursion/recursion.h"

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

void rsk_counter_seen(const rsk_spec *spec, ptrdiff_t module, float *out, float *work) {
    const rsk_module *m = &spec->module[module];
    spec->family->embedding->counter(spec, m, m->direct ? out : work);
    if (!m->direct) turned(spec, m, 0, work, out, work + spec->dim);
}

void rsk_leaf_adjoint_spread(const rsk_spec *spec, ptrdiff_t module, ptrdiff_t position, double f, const float *y, float *x, float *counter,
                             float *h, float *work) {
    const rsk_rotation *row[RSK_ROW_OF];
    const int count = rsk_row(spec, RSK_FROM_ATTR, module, position, row);
    spec->family->apply(spec, row, count, 1.0, 1, y, work, 0, work + spec->dim);
    spec->family->embedding->gather(spec, &spec->module[module], f, work, x, counter, h, work + spec->dim);
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
    const rsk_embedding *embedding = spec->family->embedding;
    double *h = rsk_alloc(m->padded, sizeof *h);
    float *row = rsk_alloc(m->padded, sizeof *row), *scratch = four(spec);
    const int memory = h && row && scratch, good = memory && embedding->begin(spec, m, x, 0.0, h) >= 0.0;
    if (good) {
        float *e = scratch + 2 * spec->dim, *back = e + spec->dim;
        embedding->spread(spec, m, h, 0.0, 1.0, e, row);
        if (m->direct) turned(spec, m, 1, e, back, scratch);
        rsk_reorder(spec, m->direct ? back : e, out);
    }
    rsk_free(row);
    rsk_free(h);
    rsk_free(scratch);
    return good ? RSK_OK : memory ? RSK_EVALUE : RSK_ENOMEM;
}

rsk_status rsk_embed_adjoint(const rsk_spec *spec, ptrdiff_t module, const float *x, float *out) {
    if (!spec || !x || !out || module < 0 || module >= spec->modules) return RSK_EINVAL;
    const rsk_module *m = &spec->module[module];
    float *h = rsk_alloc(m->padded > spec->dim ? m->padded : spec->dim, sizeof *h), *scratch = four(spec);
    const rsk_status status = h && scratch ? RSK_OK : RSK_ENOMEM;
    if (status == RSK_OK) {
        float *y = scratch + 2 * spec->dim, *seen = y + spec->dim;
        rsk_reorder(spec, x, y);
        if (m->direct) turned(spec, m, 0, y, seen, scratch);
        spec->family->embedding->gather(spec, m, 1.0, m->direct ? seen : y, out, NULL, h, scratch);
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
    float *c = scratch + 2 * spec->dim, *back = c + spec->dim;
    spec->family->embedding->counter(spec, m, c);
    if (m->direct) turned(spec, m, 1, c, back, scratch);
    rsk_reorder(spec, m->direct ? back : c, out);
    rsk_free(scratch);
    return RSK_OK;
}
