/* How wrong a fit may be: a parametric bootstrap. Where all is explained but for noise of a known size, noise is made up: the
 * columns of siblings of one module, and of all below them, share identity branches, which no single column's norm tells of.
 * Where the sketch is not explained, what is missing is no white noise to the
 * objects that were found; it shares identity branches with them. So it is made up: below every object new ones of as much
 * energy as its counter says that there is; sketched, fitted by the found objects, and what they make of it is their error. */
#include "reading/reading.h"

#include <math.h>
#include <string.h>

#define DRAWS 3       /* made-up sketches */
#define ENOUGH 500.0  /* elements that noise was fitted by: more is time */
#define POOL 24.0     /* elements' worth of weight that the average error of all objects has in that of each */
#define TOLERANCE 1e-3
/* What was taken for an object and is none, and what was looked for in the noise, err in ways that this does not make up:
 * measured, loads 1 to 4. */
#define CALIBRATION 1.15
#define HIDDEN 0.1    /* of a tuple's mean share: what is missing of it at least, as its siblings hide it */

typedef struct dice {
    uint32_t counter[4], word[4];
    int used;
} dice;

static uint32_t roll(dice *q) {
    static const uint32_t key[2] = {0x6a09e667u, 0xbb67ae85u};
    if (q->used == 4) {
        rsk_philox4x32(q->counter, key, q->word);
        q->counter[0]++;
        q->used = 0;
    }
    return q->word[q->used++];
}

static double uniform(dice *q) { return ((double)roll(q) + 0.5) * 0x1p-32; }

/* A module that may stand below `user`, as frequent as among the found; -1 if there is none. */
static int32_t draw_module(const rsk_fit *f, const uint8_t *allowed, ptrdiff_t found, dice *q) {
    double total = 0.0;
    for (int turn = 0; turn < 2; turn++) {
        double at = turn ? uniform(q) * total : 0.0, sum = 0.0;
        for (int32_t m = 0; m < f->spec->modules; m++) {
            if (!allowed[m]) continue;
            sum += 0.5;
            for (ptrdiff_t i = 0; i < found; i++) sum += f->tree.node[i].module == m;
            if (turn && at <= sum) return m;
        }
        total = sum;
    }
    return -1;
}

/* Adds what is missing below p (-1: at the outputs), in the units of the fit; 0 if there is no more room. */
static int simulate_missing(rsk_fit *f, const uint8_t *allowed, ptrdiff_t p, double fan, ptrdiff_t found, dice *q) {
    const rsk_spec *spec = f->spec;
    double used = 0.0;
    int32_t members = 0, last = -1;
    for (ptrdiff_t c = 0; c < found; c++) {
        if (f->tree.node[c].parent != p) continue;
        used += rsk_tree_part(spec, f->c[c]);
        if (f->tree.node[c].position > last) last = f->tree.node[c].position;
        members++;
    }
    const double whole = rsk_tree_whole(&f->tree, p, f->c, f->root);
    const double left = fmax(whole - used, members ? HIDDEN * whole / (members + 1) : 0.0);
    if (!(left > 0.0)) return 1;
    double n = members ? fmax(1.0, floor(left / (used / members + 1e-300) + 0.5)) : fan;
    n = fmin(n, fmin((double)(spec->max_inputs - last - 1), fan));
    for (int32_t k = 0; k < (int32_t)n; k++) {
        const int32_t m = draw_module(f, allowed + (p < 0 ? spec->modules : f->tree.node[p].module) * spec->modules, found, q);
        if (m < 0) return 1;
        const ptrdiff_t a = spec->module[m].length, size = rsk_fit_unknowns(f) + a + 1;
        if (f->tree.count + 1 >= f->capacity || size > f->room) return 0;
        const double amplitude = spec->energy ? sqrt(left / n) : left / n, each = amplitude * sqrt(f->rho2[m] / (double)a);
        const ptrdiff_t i = f->tree.count;
        rsk_fit_add(f, (int32_t)p, last + 1 + k, m, amplitude);
        f->c[i] = amplitude;
        for (int64_t j = f->tree.plan.attribute_ends[i]; j < f->tree.plan.attribute_ends[i + 1]; j++)
            f->x[j] = roll(q) & 1 ? each : -each;
    }
    return 1;
}

/* s = a made-up sketch of what is missing; the tree is as before. */
static void simulate_sketch(rsk_fit *f, const uint8_t *allowed, ptrdiff_t max_depth, dice *q) {
    const ptrdiff_t found = f->tree.count;
    double tuples = 0.0, fan = 0.0;
    for (ptrdiff_t i = 0; i < found; i++) fan += 1.0, tuples += f->tree.node[i].position == 0;
    fan = fmax(2.0, floor(fan / fmax(tuples, 1.0) + 0.5));
    /* from a random object on, round: there may be no room for all */
    const ptrdiff_t start = (ptrdiff_t)(uniform(q) * (double)(found + 1));
    for (ptrdiff_t k = 0; k <= found; k++) {
        const ptrdiff_t p = (start + k) % (found + 1) - 1;
        if ((p < 0 || f->tree.node[p].depth + 1 < max_depth) && !simulate_missing(f, allowed, p, fan, found, q)) break;
    }
    rsk_fit_prepare(f, 1.0);
    const int64_t first = f->tree.plan.attribute_ends[found];
    for (int64_t i = 0; i < f->map.attributes; i++) f->map.input[i] = i < first ? 0.0f : (float)(f->x[i] * f->map.scale[i]);
    for (ptrdiff_t i = 0; i < f->tree.count; i++)
        f->map.input[f->map.attributes + i] = i < found ? 0.0f : (float)(f->c[i] * f->map.scale[f->map.attributes + i]);
    const int good = f->tree.count > found && rsk_linear_forward(&f->map, 0.0f);
    for (ptrdiff_t k = 0; k < f->spec->dim; k++) f->s[k] = good ? (double)f->map.image[k] : 0.0;
    f->tree.count = found;
    f->tree.plan.objects[1] = found;
}

/* s = white noise as the sketch has. */
static void simulate_noise(rsk_fit *f, dice *q) {
    const double sigma = f->spread * sqrt(f->shrink);
    for (ptrdiff_t k = 0; k < f->spec->dim; k++) {
        const double value = roll(q) & 1 ? sigma : -sigma;
        f->s[k] = f->map.mask && !f->map.mask[k] ? 0.0 : value;
    }
}

void rsk_fit_uncertainty(rsk_fit *f, const uint8_t *allowed, ptrdiff_t max_depth, double *spare) {
    const ptrdiff_t d = f->spec->dim, n = f->tree.count, room = f->room;
    const int64_t *ends = f->tree.plan.attribute_ends;
    for (ptrdiff_t i = 0; i < n; i++) f->error[i] = f->spread;
    f->missing = f->square;
    const int clean = rsk_fit_clean(f);
    if (n == 0 || (clean && f->noise2 == 0.0)) return;
    double *s = spare, *r = spare + d, *x = spare + 2 * d, *damping = x + room, *c = damping + room, *sum = c + f->capacity;
    memcpy(s, f->s, sizeof *s * (size_t)d);
    memcpy(x, f->x, sizeof *x * (size_t)ends[n]);
    memcpy(damping, f->damping, sizeof *x * (size_t)ends[n]);
    memcpy(r, f->work.r, sizeof *r * (size_t)d);
    memcpy(c, f->c, sizeof *c * (size_t)n);
    memset(sum, 0, sizeof *sum * (size_t)n);
    double drawn = 0.0, missing = 0.0;
    for (uint32_t draw = 0; draw < DRAWS && !(clean && drawn * (double)rsk_fit_unknowns(f) > ENOUGH); draw++) {
        dice q = {{0, draw, 0, 0}, {0}, 4};
        memcpy(f->x, x, sizeof *x * (size_t)ends[n]);
        memcpy(f->c, c, sizeof *c * (size_t)n);
        if (clean) simulate_noise(f, &q);
        else simulate_sketch(f, allowed, max_depth, &q);
        const double whole = rsk_dot(f->s, f->s, d);
        memset(f->x, 0, sizeof *f->x * (size_t)ends[n]);
        memset(f->c, 0, sizeof *f->c * (size_t)n);
        rsk_fit_solve(f, 1.0, TOLERANCE);
        const double left = rsk_dot(f->work.r, f->work.r, d);
        if (!(left > 0.0)) continue;
        const double scale = clean ? 1.0 : f->square / left;
        drawn += 1.0;
        missing += clean ? f->square : scale * whole;
        for (ptrdiff_t i = 0; i < n; i++) {
            double own = f->c[i] * f->c[i];
            for (int64_t k = ends[i]; k < ends[i + 1]; k++) own += rsk_fit_free_element(f, k) * rsk_fit_free_element(f, k);
            sum[i] += own * scale;
        }
    }
    double all = 0.0, elements = 0.0;
    for (ptrdiff_t i = 0; i < n; i++) all += sum[i], elements += drawn * (double)(ends[i + 1] - ends[i] + 1);
    for (ptrdiff_t i = 0; i < n && drawn > 0.0; i++)
        f->error[i] = (clean ? 1.0 : CALIBRATION) * sqrt((sum[i] + POOL * all / elements) / (drawn * (double)(ends[i + 1] - ends[i] + 1) + POOL));
    if (drawn > 0.0) f->missing = fmin(missing / drawn, f->energy);
    memcpy(f->s, s, sizeof *s * (size_t)d);
    memcpy(f->x, x, sizeof *x * (size_t)ends[n]);
    memcpy(f->damping, damping, sizeof *x * (size_t)ends[n]);
    memcpy(f->work.r, r, sizeof *r * (size_t)d);
    memcpy(f->c, c, sizeof *c * (size_t)n);
}
