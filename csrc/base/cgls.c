/* Conjugate gradients on the normal equations: M. Hestenes, E. Stiefel, J. Research of the National Bureau of Standards 49
 * (1952); A. Bjorck, "Numerical methods for least squares problems" (1996), section 7.4. */
#include "base/base.h"

#include <string.h>

int rsk_cgls(const rsk_map *map, const rsk_cgls_work *w, const double *damping, double goal, double relative, int most) {
    const ptrdiff_t m = map->m, n = map->n;
    const double *z = w->precondition ? w->z : w->g;
    if (w->precondition) w->precondition(w->context, w->g, w->z);
    memcpy(w->p, z, sizeof *w->p * (size_t)n);
    double square = rsk_dot(w->g, w->g, n), gamma = w->precondition ? rsk_dot(w->g, z, n) : square;
    int done = 0;
    while (done < most && square > goal && !(relative > 0.0 && square <= relative * rsk_dot(w->r, w->r, m))) {
        if (!map->forward(map->context, w->p, w->image)) break;
        double delta = rsk_dot(w->image, w->image, m);
        for (ptrdiff_t i = 0; damping && i < n; i++) delta += damping[i] * w->p[i] * w->p[i];
        if (!(delta > 0.0)) break;
        const double alpha = gamma / delta;
        for (ptrdiff_t i = 0; i < n; i++) w->u[i] += alpha * w->p[i];
        for (ptrdiff_t k = 0; k < m; k++) w->r[k] -= alpha * w->image[k];
        if (++done == most) break;
        if (map->updates) {
            map->adjoint(map->context, w->image, w->z);
            for (ptrdiff_t i = 0; i < n; i++) w->g[i] -= alpha * w->z[i];
        } else {
            map->adjoint(map->context, w->r, w->g);
            for (ptrdiff_t i = 0; damping && i < n; i++) w->g[i] -= damping[i] * w->u[i];
        }
        if (w->precondition) w->precondition(w->context, w->g, w->z);
        square = rsk_dot(w->g, w->g, n);
        const double next = w->precondition ? rsk_dot(w->g, z, n) : square, beta = next / gamma;
        for (ptrdiff_t i = 0; i < n; i++) w->p[i] = z[i] + beta * w->p[i];
        gamma = next;
    }
    return done;
}
