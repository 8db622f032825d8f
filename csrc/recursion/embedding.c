/* Dense embeddings: E_M x = D2 spread(H D1 [x; 0]) / sqrt(d), and where a' > d the folding (docs/format.md, "Operators"). The skew family
 * spreads numbers in runs, hadamard in tiles. */
#include "recursion/recursion.h"

#include <math.h>
#include <string.h>

enum { ENOUGH = 16 }; /* coordinates that hold each number of what is embedded directly */

/* ---------------------------------------------------------------- drawing */

static void pad(rsk_module *m) {
    m->padded = RSK_LANES;
    while (m->padded < m->length) m->padded *= 2;
}

static double bytes_of(const rsk_spec *spec, const rsk_module *m) {
    const double outer = RSK_ROW_BYTES((m->padded > spec->dim ? m->padded : spec->dim) / 8);
    return RSK_ROW_BYTES(m->padded / 8) + outer + RSK_ROW_BYTES(spec->dim / 8);
}

static double measure_runs(const rsk_spec *spec, rsk_module *m) {
    pad(m);
    m->direct = m->padded <= spec->dim / ENOUGH;
    return bytes_of(spec, m);
}

static double measure_tiles(const rsk_spec *spec, rsk_module *m) {
    pad(m);
    m->direct = 0;
    return bytes_of(spec, m);
}

static rsk_status draw(rsk_spec *spec, const rsk_spec_params *p, ptrdiff_t i) {
    rsk_module *m = &spec->module[i];
    const ptrdiff_t d = spec->dim;
    const int folded = m->padded > d;
    m->inner = rsk_spec_take(spec, m->padded / 8);
    m->outer = rsk_spec_take(spec, (folded ? m->padded : d) / 8);
    m->counter = rsk_spec_take(spec, d / 8);
    rsk_status status = rsk_stream_signs(p->seed, p->embeddings[i], 0, m->padded, m->inner);
    if (status == RSK_OK) status = rsk_stream_signs(p->seed, p->embeddings[i], 1, folded ? m->padded : d, m->outer);
    if (status == RSK_OK) status = rsk_stream_signs(p->seed, p->counters[i], 0, d, m->counter);
    m->spread = (rsk_spread){folded ? d : m->padded, folded ? spec->zeros : m->outer, m->counter};
    return status;
}

/* ---------------------------------------------------------------- numbers */

double rsk_embed_norm(const rsk_spec *spec, const rsk_module *m) {
    return 1.0 / sqrt((double)(m->padded > spec->dim ? m->padded : spec->dim));
}

double rsk_embed_begin(const rsk_spec *spec, const rsk_module *m, const float *x, double *h) {
    const rsk_kernels *k = rsk_kernels_current();
    const double most = k->embed(h, x, m->length, m->padded, m->inner);
    if (most < 0.0 || m->padded <= spec->dim) return most;
    k->flip_f64(h, h, m->padded, m->outer, 1.0);
    for (ptrdiff_t j = spec->dim; j < m->padded; j += spec->dim)
        for (ptrdiff_t i = 0; i < spec->dim; i++) h[i] += h[i + j];
    return k->largest(h, spec->dim);
}

void rsk_embed_end(const rsk_spec *spec, const rsk_module *m, float *h, float *x) {
    const rsk_kernels *k = rsk_kernels_current();
    if (m->padded > spec->dim) {
        for (ptrdiff_t j = spec->dim; j < m->padded; j += spec->dim) memcpy(h + j, h, sizeof(float) * (size_t)spec->dim);
        k->flip_f32(h, h, m->padded, m->outer, 1.0f);
    }
    k->fwht_f32(h, m->padded);
    k->flip_f32(h, h, m->padded, m->inner, 1.0f);
    memcpy(x, h, sizeof *x * (size_t)m->length);
}

static double begin(const rsk_spec *spec, const rsk_module *m, const float *x, double e, double *h) {
    const double most = rsk_embed_begin(spec, m, x, h);
    return most < 0.0 ? most : rsk_embed_norm(spec, m) * most + fabs(e / sqrt((double)spec->dim));
}

static void counter(const rsk_spec *spec, const rsk_module *m, float *out) {
    const float c = (float)(1.0 / sqrt((double)spec->dim));
    for (ptrdiff_t k = 0; k < spec->dim; k++) out[k] = rsk_sign_bit(m->counter, k) ? -c : c;
}

/* ---------------------------------------------------------------- runs and tiles */

/* Numbers of a module as kernels spread them; returns the counter's. */
static float scaled(const rsk_spec *spec, const rsk_module *m, const double *h, double e, double f, float *row) {
    const double scale = f * rsk_embed_norm(spec, m);
    for (ptrdiff_t j = 0; j < m->spread.width; j++) row[j] = (float)(scale * h[j]);
    return (float)(f * (e / sqrt((double)spec->dim)));
}

static void spread_runs(const rsk_spec *spec, const rsk_module *m, const double *h, double e, double f, float *out, float *row) {
    const float c = scaled(spec, m, h, e, f, row);
    rsk_kernels_current()->repeat(out, spec->dim, &m->spread, row, c);
}

static void spread_tiles(const rsk_spec *spec, const rsk_module *m, const double *h, double e, double f, float *out, float *row) {
    const float c = scaled(spec, m, h, e, f, row);
    rsk_kernels_current()->spread(out, spec->dim, &m->spread, row, c);
}

/* What h and c, the sums over runs or tiles, come to. */
static void end(const rsk_spec *spec, const rsk_module *m, double f, float *h, float c, float *x, float *e) {
    const float scale = (float)(f * rsk_embed_norm(spec, m));
    for (ptrdiff_t j = 0; j < m->spread.width; j++) h[j] *= scale;
    if (e) *e = (float)(f / sqrt((double)spec->dim)) * c;
    rsk_embed_end(spec, m, h, x);
}

static void gather_runs(const rsk_spec *spec, const rsk_module *m, double f, float *y, float *x, float *e, float *h, float *work) {
    float c;
    (void)work;
    rsk_kernels_current()->gather(y, spec->dim, &m->spread, h, &c);
    end(spec, m, f, h, c, x, e);
}

static void gather_tiles(const rsk_spec *spec, const rsk_module *m, double f, float *y, float *x, float *e, float *h, float *work) {
    float c;
    (void)work;
    rsk_kernels_current()->collect(y, spec->dim, &m->spread, h, &c);
    end(spec, m, f, h, c, x, e);
}

const rsk_embedding rsk_embedding_runs = {measure_runs, draw, begin, spread_runs, counter, gather_runs};
const rsk_embedding rsk_embedding_tiles = {measure_tiles, draw, begin, spread_tiles, counter, gather_tiles};
