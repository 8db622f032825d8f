/* The forward sweep of families whose operators are turns (skew, block), in whole numbers.
 *
 * A tuple's vector is whole numbers v times 2^-exponent, so that sums are exact and have no order. The exponent is as large as a bound of
 * what is added allows, and is lowered where more comes. Nothing overflows: with the largest |v[k]| as it is found and a bound of what
 * is added next, their sum is at most MOST whenever something is added. The bound is made of largest numbers, not of norms:
 *
 *   leaves   each adds at most (|c| + |s|) (max |h| + |e|) times its factor, h its transformed attribute and e its counter's
 *            coefficient, and 1/2 for each of three numbers that are rounded. Sums may wrap on the way: what they come to is below that.
 *   inputs   an operator y + t R y or t y + R y has at most 1 + |t| times the largest number of y. At most four operators follow
 *            each other; with what is rounded before and after there are at most 14 roundings to 24 bits, which SLACK allows for. The
 *            sum is rounded by at most 1/2. */
#include "recursion/recursion.h"

#include <float.h>
#include <math.h>
#include <string.h>

#define MOST 2147483646.0 /* 2^31 - 2: rounding halves up in rsk_kernels.lower may add one */
#define SLACK (1.0 + 0x1p-20)

/* x 2^e. A leaf takes a handful of these, and the library's function a tenth of the time of a short one. */
static inline double times_power(double x, int e) {
    if (e < -1000 || e > 1000) return ldexp(x, e);
    const uint64_t bits = (uint64_t)(1023 + e) << 52;
    double power;
    memcpy(&power, &bits, sizeof power);
    return x * power;
}

/* What is about to be added: at most bound 2^-exponent of real numbers, and `spare` of whole ones for their rounding. */
typedef struct addition {
    double bound;
    int exponent;
    double spare; /* at most 2^30 */
} addition;

static uint32_t lowered(uint32_t most, int shift) { return shift ? ((most >> (shift - 1)) + 1) >> 1 : most; }

/* Lowers the vector's exponent until there is room for what comes. A vector of zeros takes the largest exponent that leaves room. Its
 * numbers are not touched unless they are to be read. */
static void make_room(const rsk_spec *spec, rsk_whole *t, const addition *a) {
    int e, shift = 0;
    const double m = frexp(a->bound * SLACK, &e); /* m in [1/2, 1) */
    if (!t->most) t->exponent = a->exponent + 31 - e;
    e += t->exponent - a->exponent; /* in the vector's units the bound is m 2^e */
    if (e > 31) shift = e - 31;
    while (times_power(m, e - shift) + a->spare + (double)(shift < 32 ? lowered(t->most, shift) : 0) > MOST) shift++;
    t->exponent -= shift;
    if (!shift || !t->most) return;
    t->most = shift < 32 ? lowered(t->most, shift) : 0;
    if (t->most) rsk_kernels_current()->lower(t->v, spec->dim, shift);
    else memset(t->v, 0, sizeof *t->v * (size_t)spec->dim);
}

/* ---------------------------------------------------------------- operators */

double rsk_scale_below(const rsk_spec *spec, double scale, double factor) {
    int e;
    const double m = frexp(scale * factor * rsk_power(spec->unit, spec->ins + 1 + spec->ordered), &e);
    return m == 0.0 ? 1.0 : 2.0 * m;
}

/* A vector that operators take: whole numbers, or real ones, times 2^-exponent. */
typedef struct source {
    const int32_t *whole;
    const float *real; /* instead of whole */
    double most;       /* a bound of its magnitudes */
    int exponent;
} source;

/* What the row of operators adds of it, times f. */
static addition turned_bound(const rsk_spec *spec, const source *s, int count, double f) {
    const addition a = {fabs(f) * rsk_power(fabs(spec->cosine) + fabs(spec->sine), count) * s->most, s->exponent, 1.0};
    return a;
}

/* t += f times the row of operators, of a source that is not zero. */
static void add_turned(const rsk_spec *spec, rsk_whole *t, const source *s, const rsk_rotation *const *row, int count, double f, int wide,
                       rsk_scratch *scratch) {
    const addition a = turned_bound(spec, s, count, f);
    rsk_turn turn[RSK_ROW_OF];
    if (!(a.bound > 0.0)) return;
    make_room(spec, t, &a);
    for (int i = 0; i < count; i++) turn[i] = row[i]->turn;
    const double factor = times_power(f * rsk_power(spec->unit, count), t->exponent - s->exponent);
    const rsk_kernels *k = rsk_kernels_current();
    t->most = wide ? k->row_f64(t->v, s->whole, NULL, spec->dim, turn, count, factor, scratch->wide_work)
                   : k->row_f32(t->v, s->whole, s->real, spec->dim, turn, count, (float)factor, scratch->work);
}

/* ---------------------------------------------------------------- objects' own parts */

static const float *attribute_of(const rsk_forward *w, int32_t o) { return w->attributes + (w->attribute_ends[o] - w->attribute_ends[0]); }
static double counter_of(const rsk_forward *w, int32_t o) { return (double)(w->counters ? w->counters[o] : w->counter); }
static double own_factor(const rsk_forward *w, const rsk_step *step) { return step->scale * step->weight * step->own * w->spec->gain; }

static source source_of(const rsk_whole *t) {
    const source s = {t->v, NULL, (double)t->most, t->exponent};
    return s;
}

/* The factor of an object's inputs, without that of their operators. */
static double inputs_factor(const rsk_step *step) { return step->scale * step->weight * step->below; }

/* The leaf of a direct module as kernels take it, for factor a of its first term and b of its second. */
static rsk_leaf leaf_of(const rsk_forward *w, const rsk_step *step, const double *h, double a, double b, int32_t *tables) {
    const rsk_spec *spec = w->spec;
    const ptrdiff_t width = spec->module[step->module].padded;
    ptrdiff_t partner[2];
    rsk_run_partners(spec, step->position, width, partner);
    const double e = counter_of(w, step->object);
    rsk_leaf leaf = {.tables = tables, .index = rsk_index(spec, step->module, step->position, w->s->index)};
    rsk_kernels_current()->leaf_tables(tables, h, width, a, b, partner);
    for (int i = 0; i < 4; i++) /* adding 1.5 2^52 rounds to a whole number */
        leaf.counter[i] = (int32_t)(((i & 1 ? -a : a) * e + (i & 2 ? -b : b) * e + 0x1.8p52) - 0x1.8p52);
    return leaf;
}

/* Adds the leaves of steps of direct modules, whose transformed attributes stand in wide, one after the other. Those of one width are
 * added in one pass. fresh: the vector holds nothing yet. */
static void add_leaves(const rsk_forward *w, rsk_whole *t, const rsk_step *step, int count, double unit, int fresh) {
    const rsk_spec *spec = w->spec;
    rsk_leaf leaf[RSK_TOGETHER];
    for (ptrdiff_t width = RSK_LANES; width <= spec->max_direct; width *= 2) {
        const double *h = w->s->wide;
        int n = 0;
        for (int i = 0; i < count; i++) {
            const rsk_module *m = &spec->module[step[i].module];
            if (m->direct && m->padded == width) {
                const double f = times_power(unit * own_factor(w, &step[i]), t->exponent);
                const int placed = rsk_is_placed(spec, step[i].position);
                leaf[n] = leaf_of(w, &step[i], h, placed ? f * spec->cosine : f, placed ? f * spec->sine : 0.0,
                                  w->s->tables + n * 8 * spec->max_direct);
                if (leaf[n++].index == w->s->index) { /* the next one would take its place */
                    t->most = rsk_kernels_current()->leaves(t->v, spec->dim, width, leaf, n, !fresh);
                    fresh = n = 0;
                }
            }
            if (m->direct) h += m->padded;
        }
        if (n) {
            t->most = rsk_kernels_current()->leaves(t->v, spec->dim, width, leaf, n, !fresh);
            fresh = 0;
        }
    }
}

/* An object's own part that is no leaf to kernels: E_M x + c_M, spread, goes through operators. */
static int add_spread(const rsk_forward *w, rsk_whole *t, const rsk_step *step) {
    const rsk_spec *spec = w->spec;
    const rsk_module *m = &spec->module[step->module];
    const rsk_rotation *row[RSK_ROW_OF];
    const rsk_embedding *embedding = spec->family->embedding;
    double *h = w->s->wide;
    const double c = counter_of(w, step->object), most = embedding->begin(spec, m, attribute_of(w, step->object), c, h);
    if (!(most > 0.0)) return most == 0.0;
    /* The vector takes all of the factor but a power of two, and has numbers below 2^30. */
    const int count = rsk_row(spec, RSK_FROM_ATTR, step->module, step->position, row);
    int e, power;
    const double f = frexp(own_factor(w, step) * rsk_power(spec->unit, count), &power);
    const double m30 = times_power(frexp(most, &e), 30);
    embedding->spread(spec, m, h, c, times_power(f, 30 - e), w->s->object, w->s->padded);
    const source s = {NULL, w->s->object, fabs(f) * m30, 30 - e - power};
    add_turned(spec, t, &s, row, count, 1.0 / rsk_power(spec->unit, count), 0, w->s);
    return 1;
}

/* Adds the own parts of at most RSK_TOGETHER members. more: what is known to be added next. Returns the number of an object with a bad
 * attribute, or -1. */
static ptrdiff_t add_own(const rsk_forward *w, rsk_whole *t, const rsk_step *step, int count, const addition *more, int fresh) {
    const rsk_spec *spec = w->spec;
    const double unit = spec->stretch2 / sqrt((double)spec->dim), reach = spec->ordered ? fabs(spec->cosine) + fabs(spec->sine) : 1.0;
    addition a = {more ? times_power(more->bound, -more->exponent) : 0.0, 0, 1.5 * RSK_TOGETHER + 1.0};
    if (!(a.bound <= DBL_MAX)) a.bound = 0.0; /* there will be room when it is added */
    double *h = w->s->wide;
    int direct = 0;
    for (int i = 0; i < count; i++) {
        const rsk_module *m = &spec->module[step[i].module];
        if (!m->direct) continue;
        const double most = rsk_embed_begin(spec, m, attribute_of(w, step[i].object), h);
        if (most < 0.0) return step[i].object;
        a.bound += reach * unit * fabs(own_factor(w, &step[i])) * (most + fabs(counter_of(w, step[i].object)));
        h += m->padded, direct++;
    }
    if (direct) {
        if (a.bound > 0.0) make_room(spec, t, &a);
        add_leaves(w, t, step, count, unit, fresh);
    } else if (fresh) {
        memset(t->v, 0, sizeof *t->v * (size_t)spec->dim);
    }
    for (int i = 0; i < count; i++)
        if (!spec->module[step[i].module].direct && !add_spread(w, t, &step[i])) return step[i].object;
    return -1;
}

/* ---------------------------------------------------------------- one trace */

/* Brings the attributes of the tuple that is started next into the cache. Objects are not sketched in the order in which their
 * attributes lie in memory, so that the hardware would not foresee it. */
static void fetch(const rsk_forward *w, const rsk_step *step, const rsk_step *end) {
    enum { NEAR = 8, OBJECTS = 16, FLOATS = 16 * RSK_LANES }; /* beyond these the hardware prefetches by itself, or it is too much */
    for (int i = 0; i < NEAR && step < end && step->kind != RSK_STEP_OWN; i++) step++;
    for (int i = 0; i < OBJECTS && step < end && step->kind == RSK_STEP_OWN; i++, step++) {
        const float *x = attribute_of(w, step->object), *stop = attribute_of(w, step->object + 1);
        for (int k = 0; k < FLOATS && x + k < stop; k += RSK_LANES) RSK_PREFETCH(x + k);
    }
}

/* The own parts of all of a tuple's members. */
static ptrdiff_t start_tuple(const rsk_forward *w, const rsk_step *step, const rsk_step *end) {
    const rsk_spec *spec = w->spec;
    rsk_whole *t = rsk_whole_of(w->s, step->dst);
    const rsk_step *next = step + step->members;
    t->most = 0, t->exponent = 0;
    fetch(w, next, end);
    addition more;
    const int known = next < end && next->kind == RSK_STEP_INPUTS && next->dst == step->dst; /* whose inputs are summed already */
    if (known) {
        const rsk_rotation *row[RSK_ROW_OF];
        const source s = source_of(rsk_whole_of(w->s, next->src));
        more = turned_bound(spec, &s, rsk_row(spec, RSK_FROM_IN, next->module, next->position, row), inputs_factor(next));
    }
    for (int32_t i = 0; i < step->members; i += RSK_TOGETHER) {
        const int n = step->members - i < RSK_TOGETHER ? step->members - i : RSK_TOGETHER;
        if (rsk_gives_up(spec, w->s, end - step - i, n)) return 0;
        const ptrdiff_t bad = add_own(w, t, step + i, n, known && !i ? &more : NULL, !i);
        if (bad >= 0) return bad;
    }
    return -1;
}

ptrdiff_t rsk_forward_steps(const rsk_forward *w, const rsk_step *step, const rsk_step *end) {
    const rsk_spec *spec = w->spec;
    while (step < end) {
        if (step->kind == RSK_STEP_OWN) {
            const ptrdiff_t bad = start_tuple(w, step, end);
            if (bad >= 0) return bad;
            step += step->members;
            continue;
        }
        if (rsk_gives_up(spec, w->s, end - step, 1)) return 0;
        const rsk_rotation *row[RSK_ROW_OF];
        const source s = source_of(rsk_whole_of(w->s, step->src));
        const int count = rsk_row(spec, RSK_FROM_IN, step->module, step->position, row);
        add_turned(spec, rsk_whole_of(w->s, step->dst), &s, row, count, inputs_factor(step), step->flags & RSK_WIDE, w->s);
        step++;
    }
    return -1;
}

void rsk_settle(const rsk_spec *spec, const rsk_whole *t, float *out) {
    const int e = t->exponent > 1000 ? 1000 : t->exponent < -1000 ? -1000 : t->exponent; /* beyond which a float is 0, or infinite */
    rsk_kernels_current()->settle(out, t->v, spec->dim, times_power(1.0, -e));
}

rsk_forward rsk_forward_of(const rsk_spec *spec, const rsk_plan *plan, ptrdiff_t trace, const float *attributes, const float *counters,
                           float counter, rsk_scratch *scratch) {
    const rsk_forward w = {spec, attributes, counters, plan->attribute_ends + plan->objects[trace], counter, scratch};
    return w;
}

ptrdiff_t rsk_forward_whole(const rsk_spec *spec, const rsk_plan *plan, ptrdiff_t trace, const float *attributes,
                            const float *counters, float counter, float *out, rsk_scratch *scratch) {
    ptrdiff_t bad;
    if (rsk_forward_split(spec, plan, trace, attributes, counters, counter, out, scratch, &bad)) return bad;
    const rsk_forward w = rsk_forward_of(spec, plan, trace, attributes, counters, counter, scratch);
    const rsk_step *step = plan->steps + plan->begin[trace];
    bad = rsk_forward_steps(&w, step, step + plan->count[trace]);
    if (bad < 0) rsk_settle(spec, rsk_whole_of(scratch, RSK_SLOT_SKETCH), out);
    return bad;
}
