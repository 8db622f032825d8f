/* rsk_encode and rsk_decode: every status, what stands for what, and the way back. */
#include "contract.h"

enum { OBJECTS = 4, LENGTH = 2, NUMBERS = 3, FLOATS = 3 + 1 + 3 + 3 };

/* Modules of 3 elements and of one; objects of modules 0, 1, 0, 0; signatures of two numbers. */
typedef struct coded {
    rsk_coding coding;
    ptrdiff_t lengths[2], centre_begin[2];
    double scales[2];
    float centres[4], signatures[NUMBERS * LENGTH];
    int32_t module[OBJECTS], number[OBJECTS];
    int64_t ends[OBJECTS + 1];
    float x[FLOATS];
} coded;

static void coded_fill(coded *c, int polar, int signature) {
    *c = (coded){.lengths = {3, 1}, .scales = {1, 2}, .centre_begin = {0, 3}, .module = {0, 1, 0, 0}, .number = {0, 1, 2, 0},
                 .ends = {0, 3, 4, 7, 10}, .signatures = {1, 2, 3, 4, 5, 6}, .x = {3, 0, -4, -0.5f, 0, 0, 0, 1, 1, 1}};
    c->coding = (rsk_coding){.modules = 2, .lengths = c->lengths, .scales = c->scales, .polar = polar,
                             .signature = signature ? LENGTH : 0, .signatures = signature ? c->signatures : NULL,
                             .numbers = signature ? NUMBERS : 0};
}

static rsk_status encode(const coded *c, ptrdiff_t objects, float *out, int threads, ptrdiff_t *where) {
    return rsk_encode(&c->coding, objects, c->module, c->number, c->ends, c->x, out, threads, where);
}

/* ---------------------------------------------------------------- statuses */

/* What both functions refuse of a coding and of columns, and, for rsk_encode, at which object. */
static void expect(rsk_status want, ptrdiff_t object, const coded *c, ptrdiff_t objects, int threads, int line) {
    float out[FLOATS + OBJECTS * (1 + LENGTH)], unknowns[FLOATS + OBJECTS * (1 + LENGTH)] = {0};
    ptrdiff_t where = -7;
    check_status(want, encode(c, objects, out, threads, &where), __FILE__, line, "rsk_encode");
    check_that(where == object, __FILE__, line, "where");
    check_status(want, encode(c, objects, out, threads, NULL), __FILE__, line, "rsk_encode");
    const rsk_status got = rsk_decode(&c->coding, objects, c->module, c->ends, unknowns, NULL, out, NULL, threads);
    check_status(want, got, __FILE__, line, "rsk_decode");
}

#define EXPECT(want, object, objects, threads, change)               \
    for (int way = 0; way < 4; way++) {                              \
        coded c;                                                     \
        coded_fill(&c, way & 1, way >> 1);                           \
        change;                                                      \
        expect((want), (object), &c, (objects), (threads), __LINE__); \
    }

static void test_statuses_of_encoding(void) {
    EXPECT(RSK_OK, -1, OBJECTS, 1, (void)0);
    EXPECT(RSK_OK, -1, OBJECTS, 1000000, (void)0);
    EXPECT(RSK_OK, -1, 0, 1, (void)0);
    EXPECT(RSK_OK, -1, OBJECTS, 1, (c.coding.centres = c.centres, c.coding.centre_begin = c.centre_begin));
    EXPECT(RSK_OK, -1, OBJECTS, 1, c.coding.polar *= 256);
    EXPECT(RSK_EINVAL, -1, OBJECTS, 0, (void)0);
    EXPECT(RSK_EINVAL, -1, OBJECTS, -1, (void)0);
    EXPECT(RSK_EINVAL, -1, -1, 1, (void)0);
    EXPECT(RSK_EINVAL, -1, PTRDIFF_MIN, 1, (void)0);
    EXPECT(RSK_EINVAL, -1, OBJECTS, 1, c.coding.modules = 0);
    EXPECT(RSK_EINVAL, -1, OBJECTS, 1, c.coding.modules = PTRDIFF_MIN);
    EXPECT(RSK_EINVAL, -1, OBJECTS, 1, c.coding.signature = -1);
    EXPECT(RSK_EINVAL, -1, OBJECTS, 1, c.coding.signature = RSK_MAX_LENGTH + 1);
    EXPECT(RSK_EINVAL, -1, OBJECTS, 1, (c.coding.signature = LENGTH, c.coding.signatures = NULL));
    EXPECT(RSK_EINVAL, -1, OBJECTS, 1, (c.coding.centres = c.centres, c.coding.centre_begin = NULL));
    const double bad[] = {0, -1, (double)NAN, (double)INFINITY};
    for (int i = 0; i < 4; i++) EXPECT(RSK_EINVAL, -1, OBJECTS, 1, c.scales[1] = bad[i]);
    EXPECT(RSK_EOFFSETS, -1, OBJECTS, 1, c.ends[0] = 1);
    EXPECT(RSK_EOFFSETS, 1, OBJECTS, 1, c.ends[2] = 2);
    EXPECT(RSK_EOFFSETS, 3, OBJECTS, 1, c.ends[4] = INT64_MIN);
    EXPECT(RSK_ELENGTH, 0, OBJECTS, 1, c.ends[1] = 2);
    EXPECT(RSK_ELENGTH, 3, OBJECTS, 1, c.ends[4] = INT64_MAX);
    EXPECT(RSK_EMODULE, 2, OBJECTS, 1, c.module[2] = 2);
    EXPECT(RSK_EMODULE, 0, OBJECTS, 1, (c.module[0] = INT32_MIN, c.module[2] = -1)); /* the first of two */
}

static void test_numbers_and_values(void) {
    float out[FLOATS + OBJECTS * (1 + LENGTH)];
    ptrdiff_t where;
    coded c;
    const int32_t numbers[] = {-1, NUMBERS, INT32_MAX, INT32_MIN};
    for (int i = 0; i < 4; i++)
        for (int signature = 0; signature < 2; signature++) {
            coded_fill(&c, 1, signature);
            c.number[2] = numbers[i];
            CHECK_STATUS(signature ? RSK_EINVAL : RSK_OK, encode(&c, OBJECTS, out, 2, &where)); /* not read without */
            CHECK(where == (signature ? 2 : -1));
        }
    for (int polar = 0; polar < 2; polar++) {
        const struct {
            float value;
            double scale;
            rsk_status want;
        } values[] = {{NAN, 1, RSK_EVALUE}, {INFINITY, 1, RSK_EVALUE}, {-INFINITY, 1e-30, RSK_EVALUE}, {1e30f, 1, RSK_OK},
                      {-1.001e30f, 1, RSK_EVALUE}, {-1.001e30f, 0.5, RSK_OK}, {1e-20f, 1e60, RSK_EVALUE}, {3e38f, 1e-9, RSK_OK}};
        for (size_t i = 0; i < sizeof values / sizeof *values; i++)
            for (int centred = 0; centred < 2; centred++) {
                coded_fill(&c, polar, 1);
                if (centred) c.coding.centres = c.centres, c.coding.centre_begin = c.centre_begin; /* zeros */
                memset(c.x, 0, sizeof c.x);
                c.scales[0] = values[i].scale, c.x[5] = values[i].value;
                CHECK_STATUS(values[i].want, encode(&c, OBJECTS, out, 2, &where));
                CHECK(where == (values[i].want ? 2 : -1));
                for (int k = 0; k < (values[i].want ? 0 : FLOATS + OBJECTS * (polar + LENGTH)); k++) CHECK(isfinite(out[k]));
            }
        coded_fill(&c, polar, 0); /* a value that its centre takes beyond the limit, and one that it brings back */
        c.coding.centres = c.centres, c.coding.centre_begin = c.centre_begin;
        c.centres[3] = 0.6e30f, c.x[3] = -0.6e30f, c.scales[1] = 1;
        CHECK_STATUS(RSK_EVALUE, encode(&c, OBJECTS, out, 1, &where));
        CHECK(where == 1);
        c.centres[3] = -1.5e30f, c.x[3] = -1.5e30f;
        CHECK_STATUS(RSK_OK, encode(&c, OBJECTS, out, 1, &where));
        c.x[0] = c.x[3] = NAN; /* the first of two */
        CHECK_STATUS(RSK_EVALUE, encode(&c, OBJECTS, out, 3, &where));
        CHECK(where == 0);
    }
}

/* Attributes that are unknowns as they are need no room: they are checked alone. */
static void test_plain_codings(void) {
    ptrdiff_t where;
    coded c;
    coded_fill(&c, 0, 0);
    CHECK(!rsk_is_plain(NULL) && !rsk_is_plain(&c.coding)); /* module 1 has a scale */
    CHECK_STATUS(RSK_EINVAL, encode(&c, OBJECTS, NULL, 1, &where));
    c.scales[1] = 1;
    CHECK(rsk_is_plain(&c.coding));
    const float bad[] = {NAN, INFINITY, -1.001e30f};
    for (int threads = 1; threads < 3; threads++) {
        CHECK_STATUS(RSK_OK, encode(&c, OBJECTS, NULL, threads, &where));
        CHECK(where == -1);
        for (int i = 0; i < 3; i++) { /* elements of objects 1 and 2: the first is told */
            coded worse = c;
            worse.coding.lengths = worse.lengths, worse.coding.scales = worse.scales;
            worse.x[4] = 1e30f, worse.x[5] = bad[i];
            CHECK_STATUS(RSK_EVALUE, encode(&worse, OBJECTS, NULL, threads, &where));
            CHECK(where == 2);
            worse.x[3] = bad[2 - i];
            CHECK_STATUS(RSK_EVALUE, encode(&worse, OBJECTS, NULL, threads, &where));
            CHECK(where == 1);
        }
    }
    for (int way = 0; way < 3; way++) {
        coded_fill(&c, way == 0, way == 1);
        c.scales[1] = 1;
        if (way == 2) c.coding.centres = c.centres, c.coding.centre_begin = c.centre_begin;
        CHECK(!rsk_is_plain(&c.coding));
        CHECK_STATUS(RSK_EINVAL, encode(&c, OBJECTS, NULL, 1, &where));
    }
}

enum { ACROSS = 37 };

/* A direction's elements are quotients rounded twice, to double and to float. */
static void check_direction(const float *x, const float *centre, double scale) {
    static const ptrdiff_t length = ACROSS, begin = 0;
    static const int32_t module = 0;
    static const int64_t ends[2] = {0, ACROSS};
    const rsk_coding coding = {.modules = 1, .lengths = &length, .scales = &scale, .centres = centre, .centre_begin = &begin, .polar = 1};
    double y[ACROSS], lane[16] = {0};
    float out[ACROSS + 1];
    for (int k = 0; k < ACROSS; k++) y[k] = ((double)x[k] - (centre ? (double)centre[k] : 0)) * scale, lane[k % 16] += y[k] * y[k];
    for (int h = 8; h > 0; h /= 2)
        for (int l = 0; l < h; l++) lane[l] += lane[l + h];
    const double norm = sqrt(lane[0]);
    CHECK_STATUS(RSK_OK, rsk_encode(&coding, 1, &module, NULL, ends, x, out, 1, NULL));
    for (int k = 0; k < ACROSS; k++) CHECK(out[k] == (float)(norm > 0 ? y[k] / norm : 0));
}

static void test_directions_are_quotients(void) {
    static const double scales[] = {1, 0.7, 1e30, 1e-30, 1e-160, 1e-300}; /* the last of which leave norms of 0, or nearly */
    uint64_t state = 11;
    float x[ACROSS], centre[ACROSS] = {0};
    for (int i = 0; i < 3000; i++) {
        for (int k = 0; k < ACROSS; k++) { /* of all sizes, so that quotients underflow to numbers of few bits; and zeros */
            const int down = i % 2 ? (int)(next_word(&state) % 150) : 0;
            x[k] = k % 7 ? (float)ldexp((double)next_float(&state), -down) : 0;
        }
        if (i % 3 == 0) x[1] = 1;
        check_direction(x, NULL, scales[i % 6]);
        /* as near to halfway between two floats as the difference of two floats comes: a few in a hundred are rounded wrongly where a
         * product with the reciprocal stands for the quotient, and about half where it is always the lower one that does */
        x[0] = (1 + fabsf(next_float(&state))) * 0x1p30f; /* the norm */
        for (int k = 1; k < ACROSS; k++) {
            const double halfway = (double)((next_word(&state) % 0x1000000 + 0x1000000) | 1) * 0x1p-64, y = halfway * (double)x[0];
            x[k] = (float)y, centre[k] = (float)((double)x[k] - y);
        }
        check_direction(x, centre, 1);
    }
}

static void test_pointers_of_encoding(void) {
    coded c;
    float out[FLOATS + OBJECTS * (1 + LENGTH)], errors[FLOATS];
    double error[2 * OBJECTS] = {0};
    for (int at = 0; at < 9; at++) {
        coded_fill(&c, 1, 1);
        rsk_coding *k = &c.coding;
        if (at == 0) k->lengths = NULL;
        if (at == 1) k->scales = NULL;
        if (at == 2) k->signatures = NULL;
        ptrdiff_t where = -7;
        CHECK_STATUS(RSK_EINVAL, rsk_encode(at == 3 ? NULL : k, OBJECTS, at == 4 ? NULL : c.module, at == 5 ? NULL : c.number,
                                            at == 6 ? NULL : c.ends, at == 7 ? NULL : c.x, at == 8 ? NULL : out, 1, &where));
        CHECK(where == -1);
        if (at == 5) continue; /* decoding takes no numbers */
        CHECK_STATUS(RSK_EINVAL, rsk_decode(at == 3 ? NULL : k, OBJECTS, at == 4 ? NULL : c.module, at == 6 ? NULL : c.ends,
                                            at == 7 ? NULL : c.x, error, at == 8 ? NULL : out, NULL, 1));
    }
    coded_fill(&c, 1, 0);
    CHECK_STATUS(RSK_OK, encode(&c, OBJECTS, out, 1, NULL));
    CHECK_STATUS(RSK_EINVAL, rsk_decode(&c.coding, OBJECTS, c.module, c.ends, out, NULL, c.x, errors, 1));
    CHECK_STATUS(RSK_OK, rsk_decode(&c.coding, OBJECTS, c.module, c.ends, out, error, c.x, errors, 1));
    CHECK_STATUS(RSK_OK, rsk_encode(&c.coding, 0, NULL, NULL, c.ends, NULL, NULL, 1, NULL)); /* arrays without elements */
    CHECK_STATUS(RSK_OK, rsk_decode(&c.coding, 0, NULL, c.ends, NULL, NULL, NULL, NULL, 1));
    CHECK_STATUS(RSK_EINVAL, rsk_encode(&c.coding, 0, NULL, NULL, NULL, NULL, NULL, 1, NULL)); /* offsets have one */
}

static void test_memory_of_encoding(void) {
    coded c;
    float out[FLOATS + OBJECTS * (1 + LENGTH)];
    coded_fill(&c, 1, 1);
    EACH_ALLOCATION(encode(&c, OBJECTS, out, 2, NULL), (void)0);
}

/* ---------------------------------------------------------------- values */

static const float UNIT = 0x1p-24f;

static int near(float got, double want) { return fabs((double)got - want) <= 2 * (double)UNIT * fabs(want); }

/* Module 0's attribute (3, 0, -4), module 1's -0.5 of scale 2, zeros, and ones, by hand. */
static void test_what_stands_for_what(void) {
    float out[FLOATS + OBJECTS * (1 + LENGTH)];
    coded c;
    coded_fill(&c, 0, 1); /* linear: x times the scale, then the signature */
    CHECK_STATUS(RSK_OK, encode(&c, OBJECTS, out, 1, NULL));
    const float linear[] = {3, 0, -4, 1, 2, -1, 3, 4, 0, 0, 0, 5, 6, 1, 1, 1, 1, 2};
    CHECK(!memcmp(out, linear, sizeof linear));
    coded_fill(&c, 1, 1); /* polar: the direction, log2 of the norm over 16, the signature; a zero vector is (0, 1) */
    CHECK_STATUS(RSK_OK, encode(&c, OBJECTS, out, 1, NULL));
    const double third = 1 / sqrt(3.0);
    const double polar[] = {0.6, 0, -0.8, log2(5.0) / 16, 1, 2, -1, 0, 3, 4, 0, 0, 0, 1, 5, 6, third, third, third, log2(3.0) / 32, 1, 2};
    for (size_t k = 0; k < sizeof polar / sizeof *polar; k++) CHECK(near(out[k], polar[k]));
    CHECK(out[10] == 0 && out[11] == 0 && out[12] == 0 && out[13] == 1);
    coded_fill(&c, 1, 0); /* centred: (3, 0, -4) - (3, -2, -4) */
    c.coding.centres = c.centres, c.coding.centre_begin = c.centre_begin;
    c.centres[0] = 3, c.centres[1] = -2, c.centres[2] = -4, c.scales[0] = 0.25;
    CHECK_STATUS(RSK_OK, encode(&c, OBJECTS, out, 1, NULL));
    CHECK(out[0] == 0 && out[1] == 1 && out[2] == 0 && near(out[3], -1.0 / 16));
}

/* Norms from 1e-30 to 1e30 and zeros come back, the last element's rounding, 2^-24 of up to 6.3, times 16 log 2 of the norm: 4.2e-6
 * of it; linear attributes to a rounding, unless the scale takes them below what a float holds: 1.2e-38. Any number of threads gives the same bits, and nothing beside the answer is written. */
static void test_the_way_back(void) {
    enum { MANY = 1000, A = 7 };
    static const ptrdiff_t lengths[2] = {A, 1};
    static const double scales[2] = {1e-20, 3}, sizes[] = {0, 1e-30, 1e-3, 1, 50, 1e30};
    int32_t *module = need(MANY, sizeof *module);
    int64_t *ends = need(MANY + 1, sizeof *ends);
    uint64_t state = 3;
    for (int o = 0; o < MANY; o++) module[o] = (int32_t)(next_word(&state) & 1), ends[o + 1] = ends[o] + lengths[module[o]];
    const size_t floats = (size_t)ends[MANY];
    float *x = need(floats, sizeof *x), *back = need(floats + 1, sizeof *back);
    for (int polar = 0; polar < 2; polar++) {
        const rsk_coding coding = {.modules = 2, .lengths = lengths, .scales = scales, .polar = polar};
        const size_t all = floats + (size_t)(polar * MANY);
        float *first = need(all, sizeof *first), *y = need(all + 1, sizeof *y);
        for (int o = 0; o < MANY; o++)
            for (int64_t k = ends[o]; k < ends[o + 1]; k++) {
                const double size = sizes[(size_t)o % 6];
                x[k] = (float)((double)next_float(&state) * (polar || size <= 50 ? size : 1e20) * (module[o] ? 0.1 : 1));
            }
        for (int threads = 1; threads < 10; threads += 4) {
            y[all] = back[floats] = 7;
            CHECK_STATUS(RSK_OK, rsk_encode(&coding, MANY, module, NULL, ends, x, y, threads, NULL));
            if (threads == 1) memcpy(first, y, all * sizeof *y);
            CHECK(!memcmp(first, y, all * sizeof *y) && y[all] == 7);
            CHECK_STATUS(RSK_OK, rsk_decode(&coding, MANY, module, ends, y, NULL, back, NULL, threads));
            CHECK(back[floats] == 7);
            for (int o = 0; o < MANY; o++) {
                double norm = 0;
                for (int64_t k = ends[o]; k < ends[o + 1]; k++) norm += (double)x[k] * (double)x[k];
                norm = sqrt(norm);
                for (int64_t k = ends[o]; k < ends[o + 1]; k++)
                    CHECK(fabs((double)back[k] - (double)x[k]) <=
                          (polar ? 5e-6 * norm : 2 * (double)UNIT * norm + (double)FLT_MIN / scales[module[o]]));
            }
        }
        free(first), free(y);
    }
    free(module), free(ends), free(x), free(back);
}

/* Errors to first order: across a direction (0.6, 0, -0.8) of norm 5, and along it; NaN stays NaN; huge numbers are cut. */
static void test_errors_and_extremes(void) {
    enum { POLAR = FLOATS + OBJECTS };
    float y[POLAR], x[FLOATS], errors[FLOATS];
    const double e = 1e-4, l = 1e-5, error[2 * OBJECTS] = {e, l, e, l, e, l, e, l};
    coded c;
    coded_fill(&c, 1, 0);
    CHECK_STATUS(RSK_OK, encode(&c, OBJECTS, y, 1, NULL));
    CHECK_STATUS(RSK_OK, rsk_decode(&c.coding, OBJECTS, c.module, c.ends, y, error, x, errors, 1));
    const double octave = 16 * log(2.0) * l, u[3] = {0.6, 0, -0.8};
    for (int i = 0; i < 3; i++) { /* the second order is 1e-8 of it */
        const double want = 5 * sqrt(e * e * (1 - u[i] * u[i]) + octave * octave * u[i] * u[i]);
        CHECK(fabs((double)errors[i] - want) <= 1e-6 * want);
    }
    CHECK(fabs((double)errors[3] - 0.5 * octave) <= 1e-6 * 0.5 * octave); /* one element: the sign is certain */
    for (int i = 4; i < 7; i++) CHECK(near(errors[i], e) && x[i] == 0);  /* a zero vector: of its unknowns */
    coded_fill(&c, 0, 0);
    for (int k = 0; k < FLOATS; k++) y[k] = k == 3 ? 3e38f : 1;
    c.scales[1] = 0.5;
    CHECK_STATUS(RSK_OK, rsk_decode(&c.coding, OBJECTS, c.module, c.ends, y, error, x, errors, 1));
    CHECK(x[3] == FLT_MAX && near(errors[3], e / 0.5) && near(errors[0], e));
    for (int polar = 0; polar < 2; polar++)
        for (int at = 0; at < 3 + polar; at++) {
            coded_fill(&c, polar, 0);
            for (int k = 0; k < POLAR; k++) y[k] = 0.5f;
            y[at] = NAN;
            CHECK_STATUS(RSK_OK, rsk_decode(&c.coding, OBJECTS, c.module, c.ends, y, NULL, x, NULL, 1));
            for (int k = 0; k < FLOATS; k++) CHECK(isnan(x[k]) == (polar ? k < 3 : k == at));
        }
    coded_fill(&c, 1, 0); /* logarithms far outside are cut: 2^-256 and 2^128, which no float32 is */
    for (int k = 0; k < POLAR; k++) y[k] = 0;
    y[0] = 1, y[3] = 1e30f, y[6] = 1, y[9] = -1e30f;
    CHECK_STATUS(RSK_OK, rsk_decode(&c.coding, OBJECTS, c.module, c.ends, y, error, x, errors, 1));
    for (int k = 0; k < FLOATS; k++) CHECK(isfinite(x[k]) && isfinite(errors[k]) && errors[k] >= 0);
    CHECK(x[0] == FLT_MAX && x[1] == 0);
}

void test_encoding(void) {
    RUN(test_statuses_of_encoding);
    RUN(test_numbers_and_values);
    RUN(test_plain_codings);
    RUN(test_directions_are_quotients);
    RUN(test_pointers_of_encoding);
    RUN(test_memory_of_encoding);
    RUN(test_what_stands_for_what);
    RUN(test_the_way_back);
    RUN(test_errors_and_extremes);
}
