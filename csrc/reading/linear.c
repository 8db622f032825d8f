/* One trace's map from unknowns to sketch as solvers see it, with scaled columns and without erased coordinates. */
#include "reading/reading.h"

#include <math.h>

const uint8_t *rsk_load_mask(const rsk_spec *spec, const uint8_t *mask, rsk_scratch *scratch) {
    if (!mask) return NULL;
    rsk_reorder_bytes(spec, mask, scratch->mask);
    return scratch->mask;
}

ptrdiff_t rsk_load_kept(const rsk_spec *spec, const float *sketch, const uint8_t *mask, rsk_scratch *scratch, double *s) {
    ptrdiff_t kept = 0;
    rsk_reorder(spec, sketch, scratch->stored);
    for (ptrdiff_t k = 0; k < spec->dim; k++) {
        s[k] = 0.0;
        if (mask && !mask[k]) continue;
        if (!(fabsf(scratch->stored[k]) <= RSK_MAX_VALUE)) return -1;
        s[k] = (double)scratch->stored[k];
        kept++;
    }
    return kept;
}

int rsk_linear_forward(const rsk_linear *l, float counter) {
    const float *counters = l->counters ? l->input + l->attributes : NULL;
    if (rsk_forward_trace(l->spec, l->plan, l->trace, l->input, counters, counter, l->image, l->scratch) >= 0) return 0;
    for (ptrdiff_t k = 0; l->mask && k < l->spec->dim; k++) l->image[k] = l->mask[k] ? l->image[k] : 0.0f;
    return 1;
}

void rsk_linear_adjoint(const rsk_linear *l, const double *r, double *g) {
    float *counters = l->counters ? l->input + l->attributes : NULL;
    for (ptrdiff_t k = 0; k < l->spec->dim; k++) l->image[k] = (float)r[k];
    rsk_adjoint_trace(l->spec, l->plan, l->trace, l->image, l->input, counters, l->scratch);
    for (ptrdiff_t i = 0; i < l->attributes + l->counters; i++) g[i] = l->scale[i] * (double)l->input[i];
    if (l->ties) rsk_ties_fold(l->ties, l->plan, l->attributes, g);
}

double rsk_linear_resolution(const rsk_linear *l) {
    ptrdiff_t unknowns = l->counters;
    for (ptrdiff_t i = 0; i < l->attributes; i++) unknowns += l->scale[i] != 0.0;
    return RSK_SOLVER_ROUNDING * RSK_SOLVER_ROUNDING * (double)unknowns / (double)l->spec->dim;
}

static int forward(const void *context, const double *p, double *image) {
    const rsk_linear *l = context;
    if (l->ties) p = rsk_ties_unfold(l->ties, l->plan, l->attributes, p);
    for (ptrdiff_t i = 0; i < l->attributes + l->counters; i++) l->input[i] = (float)(p[i] * l->scale[i]);
    if (!rsk_linear_forward(l, 0.0f)) return 0;
    for (ptrdiff_t k = 0; k < l->spec->dim; k++) image[k] = (double)l->image[k];
    return 1;
}

static void adjoint(const void *context, const double *r, double *g) { rsk_linear_adjoint(context, r, g); }

int rsk_linear_cgls(const rsk_linear *l, const rsk_cgls_work *w, const double *damping, double goal, double relative, int most) {
    const rsk_map map = {l->spec->dim, l->attributes + l->counters, forward, adjoint, l, 0};
    return rsk_cgls(&map, w, damping, goal, relative, most);
}
