/* Hard thresholding pursuit (Foucart 2011) with a step and a threshold that the residual sets; docs/design.md, section 4. */
#include "reading/reading.h"

#include <math.h>
#include <string.h>

#define REFIT 6              /* iterations of CGLS a round, at most */
#define LAST_REFIT 40        /* in the last stage, which decides, and once the support is nearly known, */
#define NEARLY 1e-3          /* which is when the residual is so small a part of the sketch */
#define REFIT_TOLERANCE 1e-4 /* of the normal residual, a round: float32 sweeps resolve no more than 1e-6 */
#define STRICT 3.0           /* deviations an element must stand out by, these two in turn: 3.5 lets too little in when */
#define LENIENT 2.5          /* elements are alike in size, 2 too much when unknowns are many */
#define FULLEST 0.6          /* of the kept coordinates, what is sought: above it nothing converges */
#define FITS 0.7             /* unknowns a kept coordinate with which least squares answers without a search */
#define PATIENCE 30          /* rounds of a search without a better support */
#define SETTLING 30          /* rounds of the last stage, at most */

/* Without limits, until the residual is noise; within the limits, wherever that leads; and with what stands out alone. */
enum stage { SEEK, LIMIT, SETTLE };

typedef struct search {
    const rsk_linear *map;
    const rsk_cgls_work *work;
    const rsk_pursuit *p;
    const double *s;
    double unit;             /* |s|: u, residuals and noise are in units of it */
    double share;            /* of the coordinates that are kept */
    ptrdiff_t unknowns, cap; /* attribute elements; how many of them the support may hold */
    ptrdiff_t found;         /* attribute elements in the support */
    double size;             /* of the residual; NaN where u was out of range */
    int left;                /* iterations of CGLS */
} search;

static double filled(const search *q, ptrdiff_t k) {
    const double rho = (double)k / (double)q->p->kept;
    return rho < 0.9 ? rho : 0.9;
}

/* The residual of u, by the very sweep that made the sketch. */
static void look(search *q) {
    const rsk_linear *l = q->map;
    const rsk_cgls_work *w = q->work;
    for (ptrdiff_t i = 0; i < l->attributes + l->counters; i++)
        l->input[i] = (float)(q->unit * (w->u[i] * q->p->scale[i]));
    q->size = NAN;
    if (!rsk_linear_forward(l, 1.0f)) return;
    for (ptrdiff_t k = 0; k < l->spec->dim; k++) w->r[k] = (q->s[k] - (double)l->image[k]) / q->unit;
    q->size = sqrt(rsk_dot(w->r, w->r, l->spec->dim));
}

/* At most `each` of every object, then at most `most` of all. */
static void keep_within(const search *q, double *a, ptrdiff_t most, ptrdiff_t each) {
    const rsk_plan *plan = q->map->plan;
    const int64_t begin = plan->objects[q->map->trace], end = plan->objects[q->map->trace + 1];
    const int64_t *ends = plan->attribute_ends;
    for (int64_t o = begin; each > 0 && o < end; o++)
        rsk_keep_largest(a + (ends[o] - ends[begin]), (ptrdiff_t)(ends[o + 1] - ends[o]), each, q->work->p);
    if (most > 0) rsk_keep_largest(a, q->map->attributes, most, q->work->p);
}

/* One round: a step along the gradient, a new support, a refit on it. 0 if that is the support there was. */
static int go(search *q, enum stage stage, double threshold) {
    const rsk_linear *l = q->map;
    const rsk_cgls_work *w = q->work;
    const rsk_pursuit *p = q->p;
    const ptrdiff_t n = l->attributes + l->counters;
    /* what is missing reaches the gradient of a fitted support shortened by what that support covers */
    const double step = 1.0 / (q->share * (1.0 - filled(q, q->found)));
    memcpy(l->scale, p->scale, sizeof *l->scale * (size_t)n);
    rsk_linear_adjoint(l, w->r, w->g);
    for (ptrdiff_t i = 0; i < n; i++) p->y[i] = w->u[i] + step * w->g[i];
    for (ptrdiff_t i = 0; i < l->attributes; i++) {
        const double a = p->nonnegative ? p->y[i] : fabs(p->y[i]);
        p->a[i] = p->scale[i] > 0.0 && a > threshold ? a : 0.0;
    }
    if (stage != SEEK) keep_within(q, p->a, p->most, p->each);
    rsk_keep_largest(p->a, l->attributes, q->cap, w->p);
    ptrdiff_t changed = 0;
    q->found = 0;
    for (ptrdiff_t i = 0; i < l->attributes; i++) {
        const int in = p->a[i] > 0.0;
        changed += in != (w->u[i] != 0.0);
        q->found += in;
        l->scale[i] = in ? p->scale[i] : 0.0;
        w->u[i] = in ? p->y[i] : 0.0;
    }
    for (ptrdiff_t i = l->attributes; i < n; i++) w->u[i] = p->y[i];
    look(q);
    if (!(q->size >= 0.0)) return 0;
    rsk_linear_adjoint(l, w->r, w->g);
    const double goal = REFIT_TOLERANCE * REFIT_TOLERANCE * rsk_dot(w->g, w->g, n);
    const int refit = stage == SETTLE || q->size < NEARLY ? LAST_REFIT : REFIT;
    q->left -= rsk_linear_cgls(l, w, NULL, goal, rsk_linear_resolution(l), q->left < refit ? q->left : refit);
    look(q);
    return changed > 0;
}

/* Mean square of the residual a degree of freedom: fitting noise does not lower it. */
static double misfit(const search *q) { return q->size * q->size / (1.0 - filled(q, q->found)); }

/* Of that, what noise of a given norm leaves; its deviation is sqrt(2 / kept). */
static double enough(const search *q, double noise) { return noise * noise * (1.0 + 4.0 / sqrt((double)q->p->kept)); }

/* Rounds of a stage; leaves its best support. */
static void run(search *q, enum stage stage, double noise, int spare) {
    const rsk_cgls_work *w = q->work;
    const size_t bytes = sizeof *w->u * (size_t)(q->map->attributes + q->map->counters);
    const double width = sqrt((double)q->map->spec->dim) * q->share;
    double least = HUGE_VAL;
    ptrdiff_t found = 0, bits = 0;
    while (q->unknowns >> bits) bits++;
    memset(q->p->best, 0, bytes); /* what was before may be beyond the limits */
    if (stage == SEEK) least = misfit(q);
    for (int round = 0, since = 0; round == 0 || (q->left > spare && since < PATIENCE); round++) {
        double threshold = 0.0;
        if (stage == SEEK) {
            if (least <= enough(q, noise)) break;
            if (round > 0 || q->cap < q->unknowns)
                threshold = (round & 1 ? LENIENT : STRICT) * q->size / (width * sqrt(1.0 - filled(q, q->found)));
        } else if (stage == SETTLE) {
            const double rest = sqrt(misfit(q)), level = rest > noise ? rest : noise;
            threshold = sqrt(1.4 * (double)bits) * level / width; /* the largest of so many Gaussian numbers */
        }
        const int moved = go(q, stage, threshold);
        const double now = misfit(q);
        if (!(now >= 0.0)) break;
        since = now < 0.99 * least ? 0 : since + 1;
        if (now < least || stage == SETTLE) {
            least = now;
            found = q->found;
            memcpy(q->p->best, w->u, bytes);
        }
        if (stage != SEEK && (!moved || round >= SETTLING)) break;
    }
    q->found = found;
    memcpy(w->u, q->p->best, bytes);
    look(q);
}

int rsk_pursue(const rsk_linear *map, const rsk_cgls_work *work, const rsk_pursuit *p, const double *s, int most) {
    const ptrdiff_t d = map->spec->dim, n = map->attributes + map->counters;
    search q = {.map = map, .work = work, .p = p, .s = s, .unit = sqrt(rsk_dot(s, s, d)), .left = most,
                .share = (double)p->kept / (double)d};
    if (!(q.unit > 0.0)) q.unit = 1.0;
    const double noise = p->noise / q.unit;
    for (ptrdiff_t i = 0; i < map->attributes; i++) q.unknowns += map->scale[i] > 0.0;
    q.cap = (ptrdiff_t)(FULLEST * (double)p->kept);
    if ((double)q.unknowns <= FITS * (double)p->kept) q.cap = q.unknowns;
    memcpy(p->scale, map->scale, sizeof *p->scale * (size_t)n);
    memset(work->u, 0, sizeof *work->u * (size_t)n);
    if (p->kept > 0) {
        look(&q);
        run(&q, SEEK, noise, most / 2);
        if ((p->most > 0 || p->each > 0) && misfit(&q) > enough(&q, noise)) run(&q, LIMIT, noise, most / 6);
        run(&q, SETTLE, noise, 0);
    }
    for (ptrdiff_t i = 0; i < n; i++) {
        if (i < map->attributes && work->u[i] == 0.0) map->scale[i] = 0.0;
        else map->scale[i] = p->scale[i];
        work->u[i] *= q.unit;
    }
    return most - q.left;
}
