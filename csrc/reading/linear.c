/* One trace's map from unknowns to sketch as solvers see it, with scaled columns and without erased coordinates; and CGLS on it. */
#include "reading/reading.h"

#include <math.h>
#include <string.h>

ptrdiff_t rsk_load_kept(const rsk_spec *spec, const float *sketch, const uint8_t *mask, double *s) {
    ptrdiff_t kept = 0;
    for (ptrdiff_t k = 0; k < spec->dim; k++) {
        s[k] = 0.0;
        if (mask && !mask[k]) continue;
        if (!(fabsf(sketch[k]) <= RSK_MAX_VALUE)) return -1;
        s[k] = (double)sketch[k];
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
}

double rsk_linear_resolution(const rsk_linear *l) {
    ptrdiff_t unknowns = l->counters;
    for (ptrdiff_t i = 0; i < l->attributes; i++) unknowns += l->scale[i] != 0.0;
    return RSK_SOLVER_ROUNDING * RSK_SOLVER_ROUNDING * (double)unknowns / (double)l->spec->dim;
}

int rsk_cgls(const rsk_linear *l, const rsk_cgls_work *w, const double *damping, double goal, double relative, int most) {
    const ptrdiff_t d = l->spec->dim, n = l->attributes + l->counters;
    const double *z = w->precondition ? w->z : w->g;
    if (w->precondition) w->precondition(w->context, w->g, w->z);
    memcpy(w->p, z, sizeof *w->p * (size_t)n);
    double square = rsk_dot(w->g, w->g, n), gamma = w->precondition ? rsk_dot(w->g, z, n) : square;
    int done = 0;
    while (done < most && square > goal && !(relative > 0.0 && square <= relative * rsk_dot(w->r, w->r, d))) {
        for (ptrdiff_t i = 0; i < n; i++) l->input[i] = (float)(w->p[i] * l->scale[i]);
        if (!rsk_linear_forward(l, 0.0f)) break;
        for (ptrdiff_t k = 0; k < d; k++) w->wide[k] = (double)l->image[k];
        double delta = rsk_dot(w->wide, w->wide, d);
        for (ptrdiff_t i = 0; damping && i < n; i++) delta += damping[i] * w->p[i] * w->p[i];
        if (!(delta > 0.0)) break;
        const double alpha = gamma / delta;
        for (ptrdiff_t i = 0; i < n; i++) w->u[i] += alpha * w->p[i];
        for (ptrdiff_t k = 0; k < d; k++) w->r[k] -= alpha * w->wide[k];
        done++;
        rsk_linear_adjoint(l, w->r, w->g);
        for (ptrdiff_t i = 0; damping && i < n; i++) w->g[i] -= damping[i] * w->u[i];
        if (w->precondition) w->precondition(w->context, w->g, w->z);
        square = rsk_dot(w->g, w->g, n);
        const double next = w->precondition ? rsk_dot(w->g, z, n) : square, beta = next / gamma;
        for (ptrdiff_t i = 0; i < n; i++) w->p[i] = z[i] + beta * w->p[i];
        gamma = next;
    }
    return done;
}
