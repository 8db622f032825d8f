/* R = D' H D / sqrt(d), D and D' random signs: orthonormal like the paper's rotation, of another distribution. Every operator costs
 * one Walsh-Hadamard transform. */
#include "recursion/recursion.h"

#include <math.h>

static rsk_status sample(uint64_t seed, uint64_t stream, ptrdiff_t d, rsk_rotation *r) {
    rsk_status status = rsk_stream_signs(seed, stream, 0, d, r->bits[0]);
    if (status == RSK_OK) status = rsk_stream_signs(seed, stream, 1, d, r->bits[1]);
    return status;
}

/* Here and in apply_wide out may be x, since blend allows it. */
static void apply(const rsk_spec *spec, const rsk_rotation *r, double f, int transpose, const float *x, float *out,
                  int accumulate, float *scratch) {
    const rsk_kernels *k = rsk_kernels_current();
    k->flip_f32(scratch, x, spec->dim, r->bits[transpose], 1.0f);
    k->fwht_f32(scratch, spec->dim);
    k->blend_f32(out, x, scratch, spec->dim, r->bits[!transpose], (float)(f * spec->cosine),
                 (float)(f * spec->sine / sqrt((double)spec->dim)), accumulate);
}

static void apply_wide(const rsk_spec *spec, const rsk_rotation *r, double f, const double *x, double *out, int accumulate,
                       double *scratch) {
    const rsk_kernels *k = rsk_kernels_current();
    k->flip_f64(scratch, x, spec->dim, r->bits[0], 1.0);
    k->fwht_f64(scratch, spec->dim);
    k->blend_f64(out, x, scratch, spec->dim, r->bits[1], f * spec->cosine, f * spec->sine / sqrt((double)spec->dim),
                 accumulate);
}

static void chain(const rsk_spec *spec, const rsk_rotation *first, const rsk_rotation *second, double f, int transpose,
                  const float *x, float *out, int accumulate, float *scratch) {
    float *middle = scratch + spec->dim;
    apply(spec, first, 1.0, transpose, x, middle, 0, scratch);
    apply(spec, second, f, transpose, middle, out, accumulate, scratch);
}

static void chain_wide(const rsk_spec *spec, const rsk_rotation *first, const rsk_rotation *second, double f, const double *x,
                       double *out, int accumulate, double *scratch) {
    double *middle = scratch + spec->dim;
    apply_wide(spec, first, 1.0, x, middle, 0, scratch);
    apply_wide(spec, second, f, middle, out, accumulate, scratch);
}

static void embed(const rsk_spec *spec, const rsk_module *m, double f, float counter, const double *x, float *out, float *work,
                 float *scratch) {
    const float *const rows[2] = {work, NULL}, counters[2] = {counter, 0.0f};
    for (ptrdiff_t j = 0; j < m->spread.width; j++) work[j] = (float)(f * x[j]);
    rsk_kernels_current()->spread(out, spec->dim, &m->spread, rows, counters);
    apply(spec, &spec->attr, 1.0, 0, out, out, 0, scratch);
}

static void embed_wide(const rsk_spec *spec, const rsk_module *m, double f, float counter, const double *x, const float *extra,
                      double *out, double *work, double *scratch) {
    const double *const rows[2] = {work, NULL};
    const float counters[2] = {counter, 0.0f};
    for (ptrdiff_t j = 0; j < m->spread.width; j++) work[j] = f * x[j];
    rsk_kernels_current()->spread_wide(out, spec->dim, &m->spread, rows, counters, NULL);
    apply_wide(spec, &spec->attr, 1.0, out, out, 0, scratch);
    for (ptrdiff_t k = 0; extra && k < spec->dim; k++) out[k] += (double)extra[k];
}

static void embed_adjoint(const rsk_spec *spec, const rsk_module *m, float f, float f_counter, const float *y, float *x,
                   float *counter, float *work, float *scratch) {
    const ptrdiff_t width = m->spread.width;
    float *const rows[2] = {x, NULL};
    float counters[2];
    apply(spec, &spec->attr, 1.0, 1, y, work, 0, scratch);
    rsk_kernels_current()->collect(work, spec->dim, &m->spread, rows, counters);
    for (ptrdiff_t j = 0; j < width; j++) x[j] *= f;
    *counter = f_counter * counters[0];
}

const rsk_family rsk_family_hadamard = {"hadamard", 2, 0, NULL, sample, NULL, apply, apply_wide, chain, chain_wide, embed, embed_wide, embed_adjoint};
