/* The part of E_M x = D2 spread(H D1 [x; 0]) / sqrt(d) before the spreading, and its transpose; where a' > d, the folding too
 * (docs/format.md, "Operators"). The skew family spreads numbers in runs, hadamard in tiles. */
#include "recursion/recursion.h"

#include <math.h>
#include <string.h>

double rsk_embed_norm(const rsk_spec *spec, const rsk_module *m) {
    return 1.0 / sqrt((double)(m->padded > spec->dim ? m->padded : spec->dim));
}

int rsk_embed_begin(const rsk_spec *spec, const rsk_module *m, const float *x, double *h) {
    const rsk_kernels *k = rsk_kernels_current();
    const rsk_transform signs_and_hadamard = {1, {m->inner}, 1.0};
    int bad = 0;
    for (ptrdiff_t i = 0; i < m->length; i++) {
        bad |= !(fabsf(x[i]) <= RSK_MAX_VALUE); /* catches NaN as well */
        h[i] = (double)x[i];
    }
    if (bad) return 0;
    k->transform_f64(h, h, m->length, m->padded, &signs_and_hadamard, 0);
    if (m->padded > spec->dim) {
        k->flip_f64(h, h, m->padded, m->outer, 1.0);
        for (ptrdiff_t j = spec->dim; j < m->padded; j += spec->dim)
            for (ptrdiff_t i = 0; i < spec->dim; i++) h[i] += h[i + j];
    }
    return 1;
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
