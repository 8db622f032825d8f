/* Hard thresholding pursuit (Foucart 2011) with a step and a threshold that the residual sets: docs/method.md,
 * "Sparse attributes". */
#include "reading/reading.h"

#include <math.h>
#include <string.h>

#define REFIT 6               /* iterations of CGLS a round, at most, while the support changes */
#define LAST_REFIT 40         /* and in the last stage, which decides, or where the residual is at most NEARLY of the sketch: */
#define NEARLY 1e-3           /* then the support is nearly known */
#define REFIT_TOLERANCE 1e-4  /* of the normal residual, a round: float32 sweeps resolve no more than 1e-6 of it */
#define STRICT 3.0            /* standard deviations an element must stand out by, these two in turn. Measured: 3.5 lets too few in */
#define LENIENT 2.5           /* when elements are alike in size, 2 too many when there are many unknowns */
#define FULLEST 0.6           /* the most that is sought, over the kept coordinates: searches for more than this do not converge */
#define FITS 0.7              /* unknowns over kept coordinates up to which least squares answers without a search */
#define LOADED 0.9            /* a larger load counts as this: estimates divide by 1 - load, whose own error grows as it vanishes */
#define PROGRESS 0.99         /* of the misfit: what is more counts as no better */
#define PATIENCE 30           /* rounds of a search without a better support */
#define SETTLING 30           /* rounds of the last stage, at most */
#define NOISE_DEVIATIONS 4.0  /* of the noise's square, beyond which a residual is more than noise */
/* The largest of N standard normal numbers is about sqrt(2 ln N); ln N is ln 2 times the bits of N, and 2 ln 2 is about 1.4. */
#define LARGEST_OF 1.4

/* SEEK: without limits, until the residual is noise. LIMIT: within the limits, wherever that leads. SETTLE: only what stands out. */
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

/* Elements in the support over kept coordinates. */
static double load(const search *q) {
    const double rho = (double)q->found / (double)q->p->kept;
    return rho < LOADED ? rho : LOADED;
}

/* The residual of u, by the very sweep that made the sketch, and its size. */
static void measure(search *q) {
    const rsk_linear *l = q->map;
    const rsk_cgls_work *w = q->work;
    for (ptrdiff_t i = 0; i < l->attributes + l->counters; i++)
        l->input[i] = (float)(q->unit * (w->u[i] * q->p->scale[i]));
    q->size = NAN;
    if (!rsk_linear_forward(l, 1.0f)) return;
    for (ptrdiff_t k = 0; k < l->spec->dim; k++) w->r[k] = (q->s[k] - (double)l->image[k]) / q->unit;
    q->size = sqrt(rsk_dot(w->r, w->r, l->spec->dim));
}

/* Leaves at most `each` elements of every object, then at most `most` of all: the largest. */
static void keep_within(const search *q, double *a, ptrdiff_t most, ptrdiff_t each) {
    const rsk_plan *plan = q->map->plan;
    const int64_t begin = plan->objects[q->map->trace], end = plan->objects[q->map->trace + 1];
    const int64_t *ends = plan->attribute_ends;
    for (int64_t o = begin; each > 0 && o < end; o++)
        rsk_keep_largest(a + (ends[o] - ends[begin]), (ptrdiff_t)(ends[o + 1] - ends[o]), each, q->work->p);
    if (most > 0) rsk_keep_largest(a, q->map->attributes, most, q->work->p);
}

/* u becomes a step along the gradient, cut to the largest elements above the threshold; the map's scale is 0 outside that support.
 * Returns how many elements came or went. */
static ptrdiff_t choose_support(search *q, enum stage stage, double threshold) {
    const rsk_linear *l = q->map;
    const rsk_cgls_work *w = q->work;
    const rsk_pursuit *p = q->p;
    const int64_t *ends = l->plan->attribute_ends, begin = l->plan->objects[l->trace], end = l->plan->objects[l->trace + 1];
    const ptrdiff_t n = l->attributes + l->counters;
    /* The residual has lost the share `load` of whatever is missing to the support that was fitted. */
    const double step = 1.0 / (q->share * (1.0 - load(q)));
    memcpy(l->scale, p->scale, sizeof *l->scale * (size_t)n);
    rsk_linear_adjoint(l, w->r, w->g);
    for (ptrdiff_t i = 0; i < n; i++) p->y[i] = w->u[i] + step * w->g[i];
    for (ptrdiff_t i = 0; i < l->attributes; i++) {
        const double a = p->nonnegative ? p->y[i] : fabs(p->y[i]);
        p->a[i] = p->scale[i] > 0.0 && a > threshold ? a : 0.0;
    }
    for (int64_t o = begin; p->free > 0 && o < end; o++)
        for (int64_t i = ends[o + 1] - p->free; i < ends[o + 1]; i++) p->a[i - ends[begin]] = 0.0;
    if (stage != SEEK) keep_within(q, p->a, p->most, p->each);
    rsk_keep_largest(p->a, l->attributes, q->cap, w->p);
    ptrdiff_t changed = 0;
    q->found = 0;
    for (int64_t o = begin; p->free > 0 && o < end; o++)
        for (int64_t i = ends[o + 1] - p->free; i < ends[o + 1]; i++) p->a[i - ends[begin]] = p->scale[i - ends[begin]];
    for (ptrdiff_t i = 0; i < l->attributes; i++) {
        const int in = p->a[i] > 0.0;
        changed += in != (w->u[i] != 0.0);
        q->found += in;
        l->scale[i] = in ? p->scale[i] : 0.0;
        w->u[i] = in ? p->y[i] : 0.0;
    }
    for (ptrdiff_t i = l->attributes; i < n; i++) w->u[i] = p->y[i];
    return changed;
}

/* One round: a new support, and a refit on it. 0 if that is the support there was. */
static int advance(search *q, enum stage stage, double threshold) {
    const rsk_linear *l = q->map;
    const rsk_cgls_work *w = q->work;
    const ptrdiff_t changed = choose_support(q, stage, threshold);
    measure(q);
    if (!(q->size >= 0.0)) return 0;
    rsk_linear_adjoint(l, w->r, w->g);
    const double goal = REFIT_TOLERANCE * REFIT_TOLERANCE * rsk_dot(w->g, w->g, l->attributes + l->counters);
    const int refit = stage == SETTLE || q->size < NEARLY ? LAST_REFIT : REFIT;
    q->left -= rsk_linear_cgls(l, w, NULL, goal, rsk_linear_resolution(l), q->left < refit ? q->left : refit);
    measure(q);
    return changed > 0;
}

/* Mean square of the residual a degree of freedom: fitting noise does not lower it. */
static double misfit(const search *q) { return q->size * q->size / (1.0 - load(q)); }

/* The misfit that noise of a given norm may leave: the mean square of `kept` normal numbers has the relative standard deviation
 * sqrt(2 / kept), and NOISE_DEVIATIONS of 1 / sqrt(kept) are almost three of these. */
static double noise_bound(const search *q, double noise) {
    return noise * noise * (1.0 + NOISE_DEVIATIONS / sqrt((double)q->p->kept));
}

/* Rounds of a stage; leaves its best support. */
static void run(search *q, enum stage stage, double noise, int spare) {
    const rsk_cgls_work *w = q->work;
    const size_t bytes = sizeof *w->u * (size_t)(q->map->attributes + q->map->counters);
    const double width = sqrt((double)q->map->spec->dim) * q->share; /* an element's standard error is size / width */
    double least = HUGE_VAL;
    ptrdiff_t found = 0, bits = 0;
    while (q->unknowns >> bits) bits++;
    memset(q->p->best, 0, bytes); /* what was before may be beyond the limits */
    if (stage == SEEK) least = misfit(q);
    for (int round = 0, since = 0; round == 0 || (q->left > spare && since < PATIENCE); round++) {
        double threshold = 0.0;
        if (stage == SEEK) {
            if (least <= noise_bound(q, noise)) break;
            if (round > 0 || q->cap < q->unknowns)
                threshold = (round & 1 ? LENIENT : STRICT) * q->size / (width * sqrt(1.0 - load(q)));
        } else if (stage == SETTLE) {
            const double rest = sqrt(misfit(q)), level = rest > noise ? rest : noise;
            threshold = sqrt(LARGEST_OF * (double)bits) * level / width;
        }
        const int moved = advance(q, stage, threshold);
        const double now = misfit(q);
        if (!(now >= 0.0)) break;
        since = now < PROGRESS * least ? 0 : since + 1;
        if (now < least || stage == SETTLE) {
            least = now;
            found = q->found;
            memcpy(q->p->best, w->u, bytes);
        }
        if (stage != SEEK && (!moved || round >= SETTLING)) break;
    }
    q->found = found;
    memcpy(w->u, q->p->best, bytes);
    measure(q);
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
        measure(&q);
        run(&q, SEEK, noise, most / 2);
        if ((p->most > 0 || p->each > 0) && misfit(&q) > noise_bound(&q, noise)) run(&q, LIMIT, noise, most / 6);
        run(&q, SETTLE, noise, 0);
    }
    for (ptrdiff_t i = 0; i < n; i++) {
        if (i < map->attributes && work->u[i] == 0.0) map->scale[i] = 0.0;
        else map->scale[i] = p->scale[i];
        work->u[i] *= q.unit;
    }
    return most - q.left;
}
