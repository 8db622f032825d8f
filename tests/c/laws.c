/* What must hold between the functions: identities, round trips, equal bits whatever the thread count and the
 * instruction set, and a life after fork. Prints the digest that other architectures must reach too. */
#include "contract.h"

#if defined(__unix__) || defined(__APPLE__)
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
#endif

static const struct variant {
    ptrdiff_t dim;
    const char *rotation;
    int weighting, unordered, ins; /* an rsk_weighting; flag; operators of T_in */
    int steep;                     /* flag: operators of 90 degrees */
} variants[] = {{64, "skew", RSK_WEIGHTS_ENERGY, 0, 2, 0},      {128, "skew", RSK_WEIGHTS_LINEAR, 0, 2, 0},
                {1024, "skew", RSK_WEIGHTS_ENERGY, 0, 2, 0},    {64, "hadamard", RSK_WEIGHTS_LINEAR, 0, 2, 0},
                {128, "hadamard", RSK_WEIGHTS_ENERGY, 0, 1, 0}, {1024, "hadamard", RSK_WEIGHTS_ENERGY, 0, 2, 0},
                {128, "skew", RSK_WEIGHTS_BALANCED, 0, 2, 0},   {1024, "hadamard", RSK_WEIGHTS_BALANCED, 0, 2, 0},
                {1024, "skew", RSK_WEIGHTS_BALANCED, 1, 2, 0},  {64, "hadamard", RSK_WEIGHTS_COUNT, 1, 1, 0},
                {64, "skew", RSK_WEIGHTS_ENERGY, 0, 2, 1},      {128, "skew", RSK_WEIGHTS_BALANCED, 0, 2, 1},
                {1024, "block", RSK_WEIGHTS_ENERGY, 0, 1, 0},   {2048, "block", RSK_WEIGHTS_BALANCED, 0, 1, 0},
                {1024, "block", RSK_WEIGHTS_COUNT, 1, 1, 0},    {1024, "block", RSK_WEIGHTS_LINEAR, 0, 1, 1}};
enum { VARIANTS = sizeof variants / sizeof *variants, TRACES = 9, MOST = 12 };

static const double UNIT = 0x1p-24; /* the unit roundoff of float32 */

static rsk_spec *spec_variant(const struct variant *v) {
    params p;
    params_fill(&p, v->dim, v->rotation, 0);
    p.p.weighting = v->weighting, p.p.ordered = !v->unordered, p.p.ins = v->ins;
    p.p.spread = v->weighting == RSK_WEIGHTS_BALANCED ? 0.5 : 0;
    if (v->dim == 2048) p.p.block = 64, p.p.blocks_per_column = 3;
    if (v->steep) p.p.cosine = 0, p.p.sine = 1;
    return spec_of(&p);
}

/* The runs of a seed. Weights that count are made a 2^12th of what they are, so that those of a tuple sum to less than one. */
static void runs_variant(const struct variant *v, runs *r, uint64_t seed) {
    runs_make(r, TRACES, MOST, seed);
    if (v->weighting != RSK_WEIGHTS_COUNT) return;
    for (int64_t e = 0; e < r->input_ends[r->n]; e++) r->weights[e] *= 0x1p-12;
    for (int64_t e = 0; e < r->output_ends[TRACES]; e++) r->output_weights[e] *= 0x1p-12;
}

/* ---------------------------------------------------------------- identities */

/* <A x, y> = <x, A^T y>. Both sides round at most (5 + log2 d + fan + 2) times an operator, three operators an object on
 * a path, log2 a' + 8 times an embedding, every time relative to a vector that is at most as long as all parts together;
 * the length of T is at most |cosine| + |sine| < 1.37, reached only by "hadamard", and a path has at most MOST objects:
 * its growth is bounded by (b * 1.37^2)^MOST < 60. */
static double bound(const struct variant *v, double parts, double y) {
    const double stages = log2((double)v->dim), growth = v->rotation[0] == 'h' ? 60 : 1;
    return UNIT * growth * (3 * MOST * (5 + stages + MAX_INPUTS + 2) + 16) * parts * y;
}

static void test_adjoint(const struct variant *v) {
    rsk_spec *spec = spec_variant(v);
    runs r;
    runs_variant(v, &r, 17);
    rsk_plan *plan = plan_make(spec, &r);
    const ptrdiff_t size = TRACES * v->dim;
    uint64_t state = 5;
    float *out = need((size_t)size, sizeof *out), *y = need((size_t)size, sizeof *y);
    float *back = need((size_t)r.floats, sizeof *back);
    float *counters = need((size_t)r.n, sizeof *counters), *counters_back = need((size_t)r.n, sizeof *counters_back);
    int32_t *uses = need((size_t)r.n, sizeof *uses);
    double *amplitude = need((size_t)r.n, sizeof *amplitude);
    for (ptrdiff_t i = 0; i < size; i++) y[i] = next_float(&state);
    for (ptrdiff_t i = 0; i < r.n; i++) counters[i] = next_float(&state), counters_back[i] = NAN;
    for (ptrdiff_t i = 0; i < r.floats; i++) back[i] = NAN;
    CHECK_STATUS(RSK_OK, rsk_sketch(spec, plan, r.attributes, counters, out, 2, NULL, NULL));
    CHECK_STATUS(RSK_OK, rsk_adjoint(spec, plan, y, back, counters_back, 2, NULL));
    CHECK_STATUS(RSK_OK, rsk_plan_amplitudes(plan, amplitude, uses));
    for (ptrdiff_t t = 0; t < TRACES; t++) {
        const ptrdiff_t o = (ptrdiff_t)r.objects[t], n = (ptrdiff_t)r.objects[t + 1] - o;
        const ptrdiff_t a = (ptrdiff_t)r.attribute_ends[o], len = (ptrdiff_t)r.attribute_ends[o + n] - a;
        const double left = dot(out + t * v->dim, y + t * v->dim, v->dim);
        const double right = dot(r.attributes + a, back + a, len) + dot(counters + o, counters_back + o, n);
        const double norm = sqrt(dot(y + t * v->dim, y + t * v->dim, v->dim));
        double parts = 0; /* sum of |scale E x| + |counter|; folding can lengthen by sqrt(a'/d) <= 2 */
        for (ptrdiff_t i = o; i < o + n; i++) {
            const ptrdiff_t e = (ptrdiff_t)r.attribute_ends[i];
            parts += 2 * 3.0 * sqrt(dot(r.attributes + e, r.attributes + e, (ptrdiff_t)r.attribute_ends[i + 1] - e)) + 1;
        }
        CHECK(fabs(left - right) <= bound(v, parts, norm));
        CHECK(fabs(left) > (v->weighting == RSK_WEIGHTS_COUNT ? 1e-9 : 1e-6) * norm); /* or the test says nothing */
    }
    for (ptrdiff_t i = 0; i < r.n; i++) {
        CHECK((uses[i] > 0) == (amplitude[i] > 0));
        for (int64_t k = r.attribute_ends[i]; uses[i] == 0 && k < r.attribute_ends[i + 1]; k++) CHECK(back[k] == 0);
        if (uses[i] == 0) CHECK(counters_back[i] == 0);
    }
    free(out), free(y), free(back), free(counters), free(counters_back), free(uses), free(amplitude);
    rsk_plan_free(plan);
    rsk_spec_free(spec);
    runs_free(&r);
}

/* <T x, y> = <x, T^T y> for every operator, and the same for E_M; operators of pairs keep the length; the counter's is 1. */
static void test_operators_transpose(const struct variant *v) {
    rsk_spec *spec = spec_variant(v);
    const ptrdiff_t lengths[MODULES] = {7, 16, 33, 150}, counts[3] = {MAX_INPUTS, MODULES, 2 + v->ins};
    const ptrdiff_t room = v->dim > 150 ? v->dim : 150;
    float *x = need((size_t)room, sizeof *x), *y = need((size_t)room, sizeof *y);
    float *a = need((size_t)room, sizeof *a), *b = need((size_t)room, sizeof *b);
    uint64_t state = 3;
    for (ptrdiff_t i = 0; i < room; i++) x[i] = next_float(&state), y[i] = next_float(&state);
    const double length = sqrt(dot(x, x, room) * dot(y, y, room));
    const double near = UNIT * (20 + 2 * log2((double)v->dim)) * length * 2;
    for (int kind = 0; kind < 3; kind++)
        for (ptrdiff_t i = 0; i < counts[kind]; i++) {
            CHECK_STATUS(RSK_OK, rsk_operator(spec, kind, i, 0, x, a));
            CHECK_STATUS(RSK_OK, rsk_operator(spec, kind, i, 1, y, b));
            CHECK(fabs(dot(a, y, v->dim) - dot(x, b, v->dim)) <= near);
            if (v->rotation[0] != 'h') CHECK(fabs(dot(a, a, v->dim) - dot(x, x, v->dim)) <= near);
        }
    for (ptrdiff_t m = 0; m < MODULES; m++) {
        CHECK_STATUS(RSK_OK, rsk_embed(spec, m, x, a));
        CHECK_STATUS(RSK_OK, rsk_embed_adjoint(spec, m, y, b));
        CHECK(fabs(dot(a, y, v->dim) - dot(x, b, lengths[m])) <= near);
        /* columns of strings have norm one, and are not quite orthogonal */
        if (2 * lengths[m] <= v->dim && v->rotation[0] != 'b') CHECK(fabs(dot(a, a, v->dim) - dot(x, x, lengths[m])) <= near);
        CHECK_STATUS(RSK_OK, rsk_counter(spec, m, a));
        CHECK(fabs(dot(a, a, v->dim) - 1) <= 4 * UNIT);
    }
    free(x), free(y), free(a), free(b);
    rsk_spec_free(spec);
}

/* ---------------------------------------------------------------- recovery */

/* Attributes come back from the sketch of a known structure, with half the coordinates erased too. A structure's column
 * scales differ by what its weights and depth say: the error of an element is that of the sketch over its amplitude. */
static void test_round_trip(const char *rotation) {
    enum { N = 3 };
    static const ptrdiff_t d = 2048;
    rsk_spec *spec = spec_make(d, rotation, 1);
    runs r;
    runs_make(&r, N, 8, 23);
    rsk_plan *plan = plan_make(spec, &r);
    float *out = need((size_t)(N * d), sizeof *out), *back = need((size_t)r.floats, sizeof *back);
    uint8_t *mask = need((size_t)d, 1);
    double residual[N], *amplitude = need((size_t)r.n, sizeof *amplitude);
    int32_t iterations[N];
    const rsk_lstsq_params p = {0, 500, NULL};
    uint64_t state = 8;
    for (ptrdiff_t i = 0; i < d; i++) mask[i] = next_word(&state) & 1;
    CHECK_STATUS(RSK_OK, rsk_plan_amplitudes(plan, amplitude, NULL));
    CHECK_STATUS(RSK_OK, rsk_sketch(spec, plan, r.attributes, NULL, out, 1, NULL, NULL));
    for (int half = 0; half < 2; half++) {
        if (half)
            for (ptrdiff_t i = 0; i < N * d; i++) out[i] = mask[i % d] ? out[i] : NAN;
        CHECK_STATUS(RSK_OK, rsk_lstsq(spec, plan, out, half ? mask : NULL, 1, &p, back, residual, iterations, 2, NULL, NULL));
        for (int t = 0; t < N; t++) CHECK(residual[t] >= 0 && residual[t] <= 1e-5 && iterations[t] >= 1 && iterations[t] <= 500);
        for (ptrdiff_t i = 0; i < r.n; i++)
            for (int64_t k = r.attribute_ends[i]; k < r.attribute_ends[i + 1]; k++) {
                if (amplitude[i] > 0) CHECK(fabs((double)back[k] - (double)r.attributes[k]) <= 1e-4 / amplitude[i]);
                else CHECK(isnan(back[k]));
            }
    }
    free(out), free(back), free(mask), free(amplitude);
    rsk_plan_free(plan);
    rsk_spec_free(spec);
    runs_free(&r);
}

/* Three elements an object of the 7 to 150, many times more unknowns than coordinates, told apart by pursuit. */
static void test_sparse_round_trip(const char *rotation) {
    enum { N = 3 };
    static const ptrdiff_t d = 256;
    rsk_spec *spec = spec_make(d, rotation, 1);
    runs r;
    runs_make(&r, N, 8, 23);
    for (ptrdiff_t i = 0; i < r.n; i++)
        for (int64_t k = r.attribute_ends[i]; k < r.attribute_ends[i + 1]; k++)
            r.attributes[k] = (k - r.attribute_ends[i]) % 5 == 2 && k - r.attribute_ends[i] < 15 ? 1 + fabsf(r.attributes[k]) : 0;
    rsk_plan *plan = plan_make(spec, &r);
    float *out = need((size_t)(N * d), sizeof *out), *back = need((size_t)r.floats, sizeof *back);
    double residual[N], *amplitude = need((size_t)r.n, sizeof *amplitude);
    int32_t iterations[N];
    CHECK_STATUS(RSK_OK, rsk_plan_amplitudes(plan, amplitude, NULL));
    CHECK_STATUS(RSK_OK, rsk_sketch(spec, plan, r.attributes, NULL, out, 1, NULL, NULL));
    for (int way = 0; way < 4; way++) {
        const rsk_sparse_params p = {way == 1 ? 3 * r.n : 0, way == 2 ? 3 : 0, 0, way == 3, NULL, 1000};
        CHECK_STATUS(RSK_OK, rsk_sparse(spec, plan, out, NULL, 1, &p, back, residual, iterations, 2, NULL, NULL));
        for (int t = 0; t < N; t++) CHECK(residual[t] >= 0 && residual[t] <= 1e-6 && iterations[t] <= 1000);
        for (ptrdiff_t i = 0; i < r.n; i++)
            for (int64_t k = r.attribute_ends[i]; k < r.attribute_ends[i + 1]; k++) {
                if (amplitude[i] > 0) CHECK(fabs((double)back[k] - (double)r.attributes[k]) <= 1e-5 / amplitude[i]);
                else CHECK(isnan(back[k]));
                if (amplitude[i] > 0 && r.attributes[k] == 0) CHECK(back[k] == 0);
            }
    }
    free(out), free(back), free(amplitude);
    rsk_plan_free(plan);
    rsk_spec_free(spec);
    runs_free(&r);
}

/* ---------------------------------------------------------------- noise */

/* TOLD traces of an object and its four inputs, at a load of 0.58 of the kept coordinates: one in four. */
enum { TOLD = 4, TOLD_DIM = 1024, TOLD_KEPT = TOLD_DIM / 4, TOLD_ELEMENTS = 4 * 33 + 16 };

typedef struct told {
    rsk_spec *spec;
    rsk_plan *plan;
    int64_t objects[TOLD + 1], attribute_ends[5 * TOLD + 1], input_ends[5 * TOLD + 1], output_ends[TOLD + 1];
    int32_t module[5 * TOLD], inputs[4 * TOLD], outputs[TOLD];
    double weights[4 * TOLD], output_weights[TOLD], amplitude[5 * TOLD];
    float x[TOLD * TOLD_ELEMENTS], y[TOLD * TOLD_DIM];
    uint8_t mask[TOLD_DIM];
} told;

static told *told_make(void) {
    told *t = need(1, sizeof *t);
    uint64_t state = 31;
    t->spec = spec_make(TOLD_DIM, "skew", 1);
    for (int i = 0; i < TOLD; i++) {
        t->objects[i + 1] = 5 * (i + 1), t->output_ends[i + 1] = i + 1, t->outputs[i] = 4, t->output_weights[i] = 1;
        for (int k = 0; k < 5; k++) {
            const int o = 5 * i + k;
            t->module[o] = k < 4 ? 2 : 1;
            t->attribute_ends[o + 1] = t->attribute_ends[o] + (k < 4 ? 33 : 16);
            t->input_ends[o + 1] = 4 * i + (k < 4 ? 0 : 4);
            if (k < 4) t->inputs[4 * i + k] = k, t->weights[4 * i + k] = 1 + k;
        }
    }
    for (int k = 0; k < TOLD_DIM; k++) t->mask[k] = k % 4 == 1;
    for (int k = 0; k < TOLD * TOLD_ELEMENTS; k++) t->x[k] = next_float(&state);
    const rsk_batch b = {.traces = TOLD, .objects = t->objects, .module = t->module, .attribute_ends = t->attribute_ends,
                         .input_ends = t->input_ends, .inputs = t->inputs, .weights = t->weights, .output_ends = t->output_ends,
                         .outputs = t->outputs, .output_weights = t->output_weights};
    if (!CHECK_STATUS(RSK_OK, rsk_plan_create(t->spec, &b, 1, &t->plan, NULL))) exit(1);
    CHECK_STATUS(RSK_OK, rsk_plan_amplitudes(t->plan, t->amplitude, NULL));
    CHECK_STATUS(RSK_OK, rsk_sketch(t->spec, t->plan, t->x, NULL, t->y, 1, NULL, NULL));
    return t;
}

static void told_free(told *t) {
    rsk_plan_free(t->plan);
    rsk_spec_free(t->spec);
    free(t);
}

/* |D A^T mask (s - A x)| of one trace. */
static double gradient_of(const told *t, const float *back, ptrdiff_t trace) {
    float *image = need(TOLD * TOLD_DIM, sizeof *image), *g = need(TOLD * TOLD_ELEMENTS, sizeof *g);
    CHECK_STATUS(RSK_OK, rsk_sketch(t->spec, t->plan, back, NULL, image, 1, NULL, NULL));
    for (int k = 0; k < TOLD * TOLD_DIM; k++) image[k] = t->mask[k % TOLD_DIM] ? t->y[k] - image[k] : 0;
    CHECK_STATUS(RSK_OK, rsk_adjoint(t->spec, t->plan, image, g, NULL, 1, NULL));
    double sum = 0;
    for (ptrdiff_t o = 5 * trace; o < 5 * trace + 5; o++)
        for (int64_t k = t->attribute_ends[o]; k < t->attribute_ends[o + 1]; k++)
            sum += (double)g[k] * (double)g[k] / (t->amplitude[o] * t->amplitude[o]);
    free(image), free(g);
    return sqrt(sum);
}

/* Told a noise e, least squares stops as soon as |D A^T r| <= 0.03 e sqrt(n kept / d), and not before. The gradient falls by less than
 * half an iteration here, so that a bound without kept / d, which is twice as large, ends too early. The bound is 1e4 times what the
 * sweeps round. */
static void test_noise_ends_least_squares(void) {
    told *t = told_make();
    float *back = need(TOLD * TOLD_ELEMENTS, sizeof *back);
    double residual[TOLD], noise[TOLD];
    int32_t iterations[TOLD], fewer[TOLD];
    uint64_t state = 37;
    for (int i = 0; i < TOLD; i++) noise[i] = 0.01 * (i + 1);
    for (int k = 0; k < TOLD * TOLD_DIM; k++) t->y[k] += (float)noise[k / TOLD_DIM] * (next_word(&state) & 1 ? 1.0f : -1.0f);
    const rsk_lstsq_params p = {0, 400, noise};
    CHECK_STATUS(RSK_OK, rsk_lstsq(t->spec, t->plan, t->y, t->mask, 1, &p, back, residual, iterations, 2, NULL, NULL));
    for (int i = 0; i < TOLD; i++) {
        const double bound = 0.03 * noise[i] * sqrt((double)TOLD_ELEMENTS * TOLD_KEPT / TOLD_DIM);
        CHECK(iterations[i] > 3 && iterations[i] < 400 && gradient_of(t, back, i) <= 1.001 * bound);
    }
    for (int i = 0; i < TOLD; i++) { /* one iteration less is too few */
        const rsk_lstsq_params q = {0, iterations[i] - 1, noise};
        const double bound = 0.03 * noise[i] * sqrt((double)TOLD_ELEMENTS * TOLD_KEPT / TOLD_DIM);
        CHECK_STATUS(RSK_OK, rsk_lstsq(t->spec, t->plan, t->y, t->mask, 1, &q, back, residual, fewer, 2, NULL, NULL));
        CHECK(fewer[i] == iterations[i] - 1 && gradient_of(t, back, i) > 0.999 * bound);
    }
    free(back);
    told_free(t);
}

/* Told a noise e, pursuit keeps an element of u (its value times its amplitude) if |u| is above sqrt(1.4 b) e sqrt(d / kept), b = 8 the
 * bits of 148 unknowns: 6.7 e with one coordinate in four. Elements of 1.5 and of 0.6 times that, ten e and four, are told apart; of
 * bounds that are twice as large or as small, as without kept or d, one finds none and one finds all. No noise is there. */
static void test_noise_limits_the_support(void) {
    told *t = told_make();
    float *back = need(TOLD * TOLD_ELEMENTS, sizeof *back);
    const double e = 1e-3, bound = sqrt(1.4 * 8) * e * sqrt((double)TOLD_DIM / TOLD_KEPT);
    double residual[TOLD], noise[TOLD] = {e, e, e, e};
    int32_t iterations[TOLD];
    const rsk_sparse_params p = {0, 0, 0, 0, noise, 200};
    memset(t->x, 0, sizeof t->x);
    for (int i = 0; i < TOLD; i++) { /* one of each a trace, in objects that differ, as siblings' elements of one place correlate */
        const int large = 5 * i + i % 4, little = 5 * i + (i + 1) % 4;
        t->x[t->attribute_ends[large] + 3] = (float)(1.5 * bound / t->amplitude[large]);
        t->x[t->attribute_ends[little] + 9] = (float)(0.6 * bound / t->amplitude[little]);
    }
    CHECK_STATUS(RSK_OK, rsk_sketch(t->spec, t->plan, t->x, NULL, t->y, 1, NULL, NULL));
    CHECK_STATUS(RSK_OK, rsk_sparse(t->spec, t->plan, t->y, t->mask, 1, &p, back, residual, iterations, 1, NULL, NULL));
    for (int o = 0; o < 5 * TOLD; o++)
        for (int64_t k = t->attribute_ends[o]; k < t->attribute_ends[o + 1]; k++)
            CHECK((back[k] != 0) == (o % 5 == o / 5 % 4 && k - t->attribute_ends[o] == 3));
    free(back);
    told_free(t);
}

/* ---------------------------------------------------------------- equal bits */

static uint64_t answer(uint64_t hash, const runs *r, float *back, const double *residual, const int32_t *iterations) {
    for (ptrdiff_t i = 0; i < r->floats; i++)
        if (isnan(back[i])) back[i] = 0; /* objects that reach no output; a NaN has many bit patterns */
    return fnv(fnv(fnv(hash, back, (size_t)r->floats, 4), residual, TRACES, 8), iterations, TRACES, 4);
}

/* Polar unknowns of centred attributes, and what they stand for. Only sums, products, square roots and powers of two are in them, but
 * for errors of logarithms. */
static uint64_t digest_of_encoding(uint64_t hash, const runs *r, int threads) {
    static const ptrdiff_t lengths[MODULES] = {7, 16, 33, 150}, begin[MODULES] = {0, 0, 0, 0};
    static const double scales[MODULES] = {1, 0.3, 1e-20, 1e20};
    float centres[150], *unknowns = need((size_t)(r->floats + r->n), 4), *back = need((size_t)r->floats, 4);
    float *errors = need((size_t)r->floats, 4);
    double *error = need((size_t)(2 * r->n), sizeof *error);
    for (int k = 0; k < 150; k++) centres[k] = (float)(k % 7 - 3) / 8;
    for (ptrdiff_t i = 0; i < r->n; i++) error[2 * i] = 0.01 * (double)(i % 9), error[2 * i + 1] = 0;
    const rsk_coding coding = {.modules = MODULES, .lengths = lengths, .scales = scales, .centres = centres, .centre_begin = begin, .polar = 1};
    const int64_t *ends = r->attribute_ends;
    CHECK_STATUS(RSK_OK, rsk_encode(&coding, r->n, r->module, NULL, ends, r->attributes, unknowns, threads, NULL));
    CHECK_STATUS(RSK_OK, rsk_decode(&coding, r->n, r->module, ends, unknowns, error, back, errors, threads));
    hash = fnv(fnv(fnv(hash, unknowns, (size_t)(r->floats + r->n), 4), back, (size_t)r->floats, 4), errors, (size_t)r->floats, 4);
    free(unknowns), free(back), free(errors), free(error);
    return hash;
}

/* Everything the header computes, hashed. */
static uint64_t digest(const struct variant *v, int threads) {
    uint64_t hash = FNV_START, state = 11;
    rsk_spec *spec = spec_variant(v);
    runs r;
    runs_variant(v, &r, 29);
    rsk_plan *plan = plan_make(spec, &r);
    const ptrdiff_t size = TRACES * v->dim;
    float *y = need((size_t)size, sizeof *y), *back = need((size_t)r.floats, sizeof *back);
    float *counters = need((size_t)r.n, sizeof *counters);
    double *wide = need((size_t)size, sizeof *wide), residual[TRACES];
    int32_t iterations[TRACES];
    for (ptrdiff_t m = 0; m < MODULES; m++) {
        CHECK_STATUS(RSK_OK, rsk_embed(spec, m, r.attributes, y));
        hash = fnv(hash, y, (size_t)v->dim, 4);
        CHECK_STATUS(RSK_OK, rsk_embed_adjoint(spec, m, y, back));
        hash = fnv(hash, back, 7, 4);
        CHECK_STATUS(RSK_OK, rsk_operator(spec, 1, m, (int)m & 1, y, y + v->dim));
        hash = fnv(hash, y + v->dim, (size_t)v->dim, 4);
    }
    hash = digest_of_encoding(hash, &r, threads);
    CHECK_STATUS(RSK_OK, rsk_sketch(spec, plan, r.attributes, NULL, y, threads, NULL, NULL));
    hash = fnv(hash, y, (size_t)size, 4);
    const rsk_lstsq_params p = {1e-7, 60, NULL};
    CHECK_STATUS(RSK_OK, rsk_lstsq(spec, plan, y, NULL, 1, &p, back, residual, iterations, threads, NULL, NULL));
    hash = answer(hash, &r, back, residual, iterations);
    const rsk_sparse_params few[] = {{0, 0, 0, 0, NULL, 80}, {20, 3, 0, 1, NULL, 80}};
    for (int i = 0; i < 2; i++) {
        CHECK_STATUS(RSK_OK, rsk_sparse(spec, plan, y, NULL, 1, &few[i], back, residual, iterations, threads, NULL, NULL));
        hash = answer(hash, &r, back, residual, iterations);
    }
    CHECK_STATUS(RSK_OK, rsk_adjoint(spec, plan, y, back, counters, threads, NULL));
    hash = fnv(hash, back, (size_t)r.floats, 4);
    hash = fnv(hash, counters, (size_t)r.n, 4);
    for (ptrdiff_t i = 0; i < size; i++) y[i] = next_float(&state), wide[i] = (double)next_float(&state) / 3;
    for (ptrdiff_t n = 16; n <= v->dim; n *= 2) {
        CHECK_STATUS(RSK_OK, rsk_fwht_f32(y, 7, n, 1.0, y, threads));
        CHECK_STATUS(RSK_OK, rsk_fwht_f64(wide, 7, n, 1.0, wide, threads));
        hash = fnv(fnv(hash, y, (size_t)(7 * n), 4), wide, (size_t)(7 * n), 8);
    }
    free(y), free(back), free(counters), free(wide);
    rsk_plan_free(plan);
    rsk_spec_free(spec);
    runs_free(&r);
    return hash;
}

/* Projections, hashing and tensor sketches of rows of a length that fills no block, and of transforms beyond L1. */
static uint64_t digest_of_transforms(ptrdiff_t padded, int threads) {
    enum { ROWS = 37 };
    const ptrdiff_t length = padded - 5, width = padded + padded / 2 + 3, size = ROWS * width;
    uint64_t hash = FNV_START, state = 13;
    float *x = need((size_t)size, sizeof *x), *y = need((size_t)size, sizeof *y);
    double *xw = need((size_t)size, sizeof *xw), *yw = need((size_t)size, sizeof *yw);
    uint16_t *signs = need((size_t)(padded / 16 * 6), sizeof *signs);
    uint32_t *entries = need((size_t)(3 * length), sizeof *entries);
    int32_t *index = need((size_t)(3 * width), sizeof *index);
    for (ptrdiff_t i = 0; i < size; i++) x[i] = next_float(&state), xw[i] = (double)next_float(&state) / 3;
    for (ptrdiff_t i = 0; i < padded / 16 * 6; i++) signs[i] = (uint16_t)next_word(&state);
    for (ptrdiff_t i = 0; i < 3 * length; i++)
        entries[i] = next_word(&state) % (uint32_t)width | (next_word(&state) & 1 ? RSK_HASH_MINUS : 0);
    for (ptrdiff_t i = 0; i < 3 * width; i++) index[i] = (int32_t)(next_word(&state) % (uint32_t)padded);
    const rsk_projection p = {length, width, padded, signs, 0.37};
    const rsk_hashing h = {length, width, 3, entries, 0.37}, one = {length, width, 1, entries, 1.0};
    for (int i = 0; i < 2; i++) {
        CHECK_STATUS(RSK_OK, rsk_project_f32(&p, i, x, ROWS, y, threads));
        CHECK_STATUS(RSK_OK, rsk_project_f64(&p, i, xw, ROWS, yw, threads));
        hash = fnv(fnv(hash, y, (size_t)(ROWS * (i ? length : width)), 4), yw, (size_t)(ROWS * (i ? length : width)), 8);
        CHECK_STATUS(RSK_OK, rsk_hash_f32(i ? &h : &one, x, ROWS, y, threads));
        CHECK_STATUS(RSK_OK, rsk_hash_f64(i ? &h : &one, xw, ROWS, yw, threads));
        hash = fnv(fnv(hash, y, (size_t)size, 4), yw, (size_t)size, 8);
        CHECK_STATUS(RSK_OK, rsk_hash_f32(i ? &h : &one, x + 2 * length, 2, y + size - 2 * width, threads)); /* a row at a time */
        CHECK(!memcmp(y + 2 * width, y + size - 2 * width, sizeof *y * (size_t)(2 * width)));
    }
    CHECK_STATUS(RSK_OK, rsk_hash_adjoint_f32(&h, x, ROWS, y, threads));
    CHECK_STATUS(RSK_OK, rsk_hash_adjoint_f64(&h, xw, ROWS, yw, threads));
    hash = fnv(fnv(hash, y, (size_t)(ROWS * length), 4), yw, (size_t)(ROWS * length), 8);
    for (ptrdiff_t i = 0; i < ROWS * length; i++) y[i] = ldexpf(x[i], -(int)(i % 37)); /* halves reach their subnormal numbers */
    uint16_t *half = need((size_t)(ROWS * length), sizeof *half);
    float scale[ROWS];
    double noise[ROWS];
    CHECK_STATUS(RSK_OK, rsk_halves(y, ROWS, length, half, scale, noise, NULL));
    hash = fnv(fnv(fnv(hash, half, (size_t)(ROWS * length), 2), scale, ROWS, 4), noise, ROWS, 8);
    free(half);
    for (int i = 0; i < 2; i++) { /* real products and a zero; complex ones and, as width is odd, a real one */
        const rsk_tensor t = {length, width, width - 1 + i, i * (width / 2), padded, 3, signs, index, 0.37};
        CHECK_STATUS(RSK_OK, rsk_tensor_sketch_f32(&t, x, ROWS, y, threads));
        CHECK_STATUS(RSK_OK, rsk_tensor_sketch_f64(&t, xw, ROWS, yw, threads));
        hash = fnv(fnv(hash, y, (size_t)size, 4), yw, (size_t)size, 8);
        CHECK_STATUS(RSK_OK, rsk_tensor_sketch_f32(&t, x + 2 * length, 1, y + size - width, threads)); /* a row alone */
        CHECK_STATUS(RSK_OK, rsk_tensor_sketch_f64(&t, xw + 2 * length, 1, yw + size - width, threads));
        CHECK(!memcmp(y + 2 * width, y + size - width, sizeof *y * (size_t)width));
        CHECK(!memcmp(yw + 2 * width, yw + size - width, sizeof *yw * (size_t)width));
    }
    free(x), free(y), free(xw), free(yw), free(signs), free(entries), free(index);
    return hash;
}

static uint64_t digest_of_variant(void *variant, int threads) { return digest(variant, threads); }
static uint64_t digest_of_length(void *n, int threads) { return digest_of_transforms(*(const ptrdiff_t *)n, threads); }

static void test_digest(void) {
    uint64_t all = FNV_START;
    for (int v = 0; v < VARIANTS; v++) {
        struct variant of = variants[v];
        const uint64_t same = digest_everywhere(digest_of_variant, &of);
        if (!same) printf("  d = %td, %s\n", of.dim, of.rotation);
        all = fnv(all, &same, 1, 8);
    }
    const uint64_t solvers = digest_solvers();
    all = fnv(all, &solvers, 1, 8);
    for (ptrdiff_t n = 16; n <= 8192; n *= n == 1024 ? 8 : 2) {
        const uint64_t same = digest_everywhere(digest_of_length, &n);
        if (!same) printf("  n = %td\n", n);
        all = fnv(all, &same, 1, 8);
    }
    printf("levels");
    for (int i = 0; ISA_LEVELS[i]; i++)
        if (rsk_isa_available(ISA_LEVELS[i])) printf(" %s", ISA_LEVELS[i]);
    printf("; %s; %d threads\ndigest %016llx\n", rsk_openmp(), rsk_max_threads(), (unsigned long long)all);
}

/* ---------------------------------------------------------------- fork */

/* A child of a process that has used its threads must not hang, and must compute the same. */
static void test_fork(void) {
#if defined(__unix__) || defined(__APPLE__)
    const uint64_t want = digest(&variants[0], 4);
    const int failed = checks_failed;
    for (int i = 0; i < 5; i++) {
        const pid_t child = fork();
        if (!CHECK(child >= 0)) return;
        if (child == 0) {
            alarm(60);
            _exit(rsk_max_threads() == 1 && digest(&variants[0], 4) == want && checks_failed == failed ? 0 : 1);
        }
        int status = -1;
        CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
        CHECK(digest(&variants[0], 4) == want); /* the parent keeps its threads */
    }
#endif
}

void test_laws(void) {
    for (int i = 0; ISA_LEVELS[i]; i++) {
        if (!rsk_isa_available(ISA_LEVELS[i])) continue;
        CHECK_STATUS(RSK_OK, rsk_isa_select(ISA_LEVELS[i]));
        for (int v = 0; v < VARIANTS; v++) {
            test_adjoint(&variants[v]);
            test_operators_transpose(&variants[v]);
        }
        test_round_trip("skew");
        test_round_trip("hadamard");
        test_round_trip("block");
        test_sparse_round_trip("skew");
        test_sparse_round_trip("hadamard");
    }
    CHECK_STATUS(RSK_OK, rsk_isa_select(NULL));
    RUN(test_noise_ends_least_squares);
    RUN(test_noise_limits_the_support);
    test_fork();
    test_digest();
}
