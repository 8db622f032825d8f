/* What the core's private functions promise in csrc/base/base.h, csrc/recursion/recursion.h and csrc/reading/reading.h; fits.c has what
 * they promise of fits and detection, ties.c of copies. */
#include "private.h"

const int32_t parents[NODES] = {-1, -1, 0, 0, 0, 0, 2, 2, 6, 6, 4};
const int32_t places[NODES] = {0, 1, 0, 1, 2, 3, 0, 1, 0, 1, 0};
const int32_t kinds[NODES] = {0, 0, 1, 2, 1, 1, 2, 0, 1, 1, 0};
const uint8_t anything[(MODULES + 1) * MODULES] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};

const rsk_sparsity sparse_modules[MODULES] = {{RSK_SPARSE, 0, 0}, {RSK_SPARSE, 0, 0}, {RSK_SPARSE, 0, 0}, {RSK_SPARSE, 0, 0}};

rsk_spec *fit_make(rsk_fit *f, int sparse, int energy) {
    const rsk_unroll_params p = {.allowed = anything, .max_depth = 8, .threshold = 6.0, .max_rounds = 9,
                                 .sparsity = sparse ? sparse_modules : NULL};
    rsk_spec *spec = spec_make(DIM, "skew", energy);
    float s[DIM];
    uint64_t state = 3;
    for (int k = 0; k < DIM; k++) s[k] = next_float(&state);
    if (!CHECK(rsk_fit_create(spec, &p, NULL, 0, 1, f)) || !CHECK(rsk_fit_load(f, s, NULL, 0.0))) exit(1);
    for (int i = 0; i < NODES; i++) rsk_fit_add(f, parents[i], places[i], kinds[i], 1.0 + i);
    rsk_tree_program(&f->tree);
    for (int i = 0; i < NODES; i++) f->c[i] = 100.0 + i;
    for (int64_t k = 0; k < f->tree.plan.attribute_ends[NODES]; k++)
        f->x[k] = (double)next_float(&state), f->damping[k] = 0.1 + 0.001 * (double)k, f->prior[k] = 2.0 + (double)k;
    f->map.attributes = (ptrdiff_t)f->tree.plan.attribute_ends[NODES], f->map.counters = NODES;
    return spec;
}

int32_t node_without(int32_t node) {
    static const int32_t numbers[NODES] = {0, 1, -1, 2, 3, 4, -1, -1, -1, -1, 5};
    return numbers[node];
}

/* ---------------------------------------------------------------- base */

static void test_alloc(void) {
    /* products that wrap to 0, and to little */
    CHECK(!rsk_alloc(PTRDIFF_MAX / 4 + 1, 8) && !rsk_alloc(PTRDIFF_MAX / 4 + 2, 8) && !rsk_calloc(PTRDIFF_MAX / 2 + 2, 4));
    CHECK(!rsk_alloc(-1, 1) && !rsk_alloc(PTRDIFF_MIN, 1) && !rsk_alloc(1, 0) && !rsk_alloc(1, SIZE_MAX) && !rsk_alloc(PTRDIFF_MAX, 1));
    for (ptrdiff_t n = 0; n < 130; n++) {
        unsigned char *p = rsk_calloc(n, 1);
        if (!CHECK(p && (uintptr_t)p % 64 == 0)) break;
        for (ptrdiff_t i = 0; i < n; i++) CHECK(p[i] == 0);
        memset(p, 1, (size_t)n);
        rsk_free(p);
    }
    rsk_free(NULL);
}

/* rsk_dot as base.h says it, n of any size; every level has its bits */
static void test_dot(void) {
    double a[70], b[70];
    uint64_t state = 5;
    for (int i = 0; i < 70; i++) a[i] = (double)next_float(&state) / 3, b[i] = (double)next_float(&state) / 7;
    for (ptrdiff_t n = 0; n <= 70; n++) {
        double lane[RSK_LANES] = {0.0};
        for (ptrdiff_t i = 0; i < n; i++) {
            const double product = a[i] * b[i];
            lane[i % RSK_LANES] += product;
        }
        for (int h = RSK_LANES / 2; h > 0; h /= 2)
            for (int l = 0; l < h; l++) lane[l] += lane[l + h];
        for (int i = 0; ISA_LEVELS[i]; i++)
            if (rsk_isa_select(ISA_LEVELS[i]) == RSK_OK) CHECK(memcmp(&(double){rsk_dot(a, b, n)}, lane, sizeof *lane) == 0);
    }
    CHECK_STATUS(RSK_OK, rsk_isa_select(NULL));
}

static void test_streams(void) {
    uint32_t words[8] = {0};
    uint16_t signs[16] = {0};
    const ptrdiff_t bad[] = {0, -16, 8, 17, PTRDIFF_MIN};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) CHECK_STATUS(RSK_EINVAL, rsk_stream_signs(1, 2, 0, bad[i], signs));
    CHECK_STATUS(RSK_OK, rsk_stream_signs(1, 2, 0, 16 * 13, signs));
    CHECK_STATUS(RSK_OK, rsk_stream_words(1, 2, 0, 8, words));
    for (int w = 0; w < 13; w++) CHECK(signs[w] == (uint16_t)(words[w / 2] >> 16 * (w % 2)));
    for (int w = 13; w < 16; w++) CHECK(signs[w] == 0);
    if (PTRDIFF_MAX / 2 < (ptrdiff_t)1 << 30) return; /* no such n */
    CHECK_STATUS(RSK_EINVAL, rsk_stream_words(1, 2, 0, ((ptrdiff_t)1 << 17 << 17) + 1, words)); /* nothing may be written */
    CHECK_STATUS(RSK_EINVAL, rsk_stream_words(1, 2, 0, PTRDIFF_MAX, words));
}

/* ---------------------------------------------------------------- sweeps */

/* Sizes that wrap around must not become small ones. */
static void test_scratch(void) {
    rsk_spec *spec = spec_make(128, "skew", 1);
    rsk_plan plan = {.vectors = PTRDIFF_MAX / 32 + 1}; /* times 208 floats of 4 bytes: 0 modulo 2^64 */
    CHECK(rsk_scratch_create(spec, &plan, 1, NULL) == NULL);
    plan.vectors = PTRDIFF_MAX / 64 / 200;
    CHECK(rsk_scratch_create(spec, &plan, 1, NULL) == NULL);
    plan.vectors = 3;
    rsk_scratch *scratch = rsk_scratch_create(spec, &plan, 3, NULL);
    CHECK(scratch != NULL);
    for (int i = 0; scratch && i < 3; i++) {
        CHECK(scratch[i].worker == i && scratch[i].stride >= 128 * 4);
        memset(scratch[i].slots, 1, (size_t)(2 * scratch[i].stride) + 128 * 4); /* AddressSanitizer sees what is too short */
        memset(scratch[i].padded, 1, 256 * sizeof(float)); /* module 3 is padded to 256 */
        memset(scratch[i].work, 1, 384 * sizeof(float));
        memset(scratch[i].wide, 1, 256 * sizeof(double));
        memset(scratch[i].wide_work, 1, 128 * sizeof(double));
        memset(scratch[i].root, 1, 128 * sizeof(double));
    }
    rsk_scratch_free(scratch, 3);
    rsk_spec_free(spec);
}

/* ---------------------------------------------------------------- trees */

/* The lists of children and of kin are what the nodes say. */
static void test_tree_lists(void) {
    rsk_fit f;
    rsk_spec *spec = fit_make(&f, 0, 1);
    const rsk_tree *t = &f.tree;
    for (int round = 0; round < 2; round++) {
        const int32_t n = (int32_t)t->count;
        for (int32_t p = -1; p < n; p++) {
            int32_t at = rsk_tree_first(t, p);
            for (int32_t c = 0; c < n; c++) {
                if (t->node[c].parent != p) continue;
                CHECK(at == c);
                int32_t kin = -1, eldest = 1;
                for (int32_t o = n - 1; o > c; o--)
                    if (t->node[o].parent == p && t->node[o].module == t->node[c].module) kin = o;
                for (int32_t o = 0; o < c; o++)
                    if (t->node[o].parent == p && t->node[o].module == t->node[c].module) eldest = 0;
                CHECK(t->kin[c] == kin && t->eldest[c] == eldest);
                at = t->next[c];
            }
            CHECK(at == -1);
        }
        memset(f.drop, 0, NODES); /* once more without one of them: the lists are made anew */
        f.drop[DROPPED] = 1;
        rsk_fit_remove(&f);
        rsk_tree_program(&f.tree);
    }
    rsk_fit_free(&f);
    rsk_spec_free(spec);
}

/* The parts of a tuple's members add up to the whole that its owner tells: with every weight 1 / n. */
static void test_tree_shares(void) {
    for (int energy = 0; energy < 2; energy++) {
        rsk_fit f;
        rsk_spec *spec = fit_make(&f, 0, energy);
        const double root = 0.8, weight = energy ? 0.5 : 0.25, share = 0.70710678118654752, gain = 0.70710678118654752;
        double c[NODES] = {0}, sum = 0;
        c[0] = 0.3;
        for (int i = 2; i < 6; i++) c[i] = c[0] * share * weight, sum += rsk_tree_part(spec, c[i]);
        CHECK(fabs(rsk_tree_whole(spec, rsk_tree_owner(&f.tree, 0, c, root), 4) - sum) <= 1e-15);
        c[0] = -1;
        CHECK(rsk_tree_owner(&f.tree, 0, c, root) == 0 && rsk_tree_whole(spec, 0.0, 4) == 0);
        CHECK(rsk_tree_part(spec, -0.5) == (energy ? 0.25 : 0));
        const double outputs = root * share * gain;
        const double whole = rsk_tree_whole(spec, rsk_tree_owner(&f.tree, RSK_ROOT, c, root), 4);
        CHECK(fabs(whole - (energy ? outputs * outputs : outputs)) <= 1e-15);
        rsk_fit_free(&f);
        rsk_spec_free(spec);
    }
}

/* ---------------------------------------------------------------- maps */

static void test_load(void) {
    rsk_spec *spec = spec_make(64, "skew", 1);
    rsk_plan plan = {.vectors = 0};
    rsk_scratch *scratch = rsk_scratch_create(spec, &plan, 1, NULL);
    float sketch[64];
    double s[64];
    uint8_t stored[64];
    CHECK(scratch != NULL && rsk_load_mask(spec, NULL, scratch) == NULL);
    for (int k = 0; k < 64; k++) sketch[k] = (float)(k + 1), stored[k] = (uint8_t)(k % 3 ? 1 << k % 8 : 0);
    CHECK(rsk_load_kept(spec, sketch, NULL, scratch, s) == 64 && s[63] == 64 && s[1] == 33); /* the bits of places are reversed */
    sketch[3] = NAN; /* erased */
    const uint8_t *mask = rsk_load_mask(spec, stored, scratch);
    CHECK(rsk_load_kept(spec, sketch, mask, scratch, s) == 42);
    for (int k = 0; k < 64; k++) {
        int r = 0;
        for (int i = 0; i < 6; i++) r |= (k >> i & 1) << (5 - i);
        CHECK(s[r] == (k % 3 ? k + 1 : 0));
    }
    CHECK(rsk_load_kept(spec, sketch, NULL, scratch, s) == -1);
    sketch[4] = -1.01f * RSK_MAX_VALUE;
    CHECK(rsk_load_kept(spec, sketch, mask, scratch, s) == -1);
    sketch[4] = -RSK_MAX_VALUE;
    CHECK(rsk_load_kept(spec, sketch, mask, scratch, s) == 42);
    rsk_scratch_free(scratch, 1);
    rsk_spec_free(spec);
}

/* The preconditioner solves (D + g 1 1') z = b for the members of a tuple that are of one module: D is 1 - g + damping, that of
 * an attribute's first element; g = cos^2 60 degrees. Every sum is of at most four terms of size one. */
static void test_precondition(void) {
    rsk_fit f;
    rsk_spec *spec = fit_make(&f, 0, 1);
    const rsk_tree *t = &f.tree;
    const int64_t *ends = t->plan.attribute_ends;
    const ptrdiff_t a = f.map.attributes, n = a + NODES;
    double *b = need((size_t)n, sizeof *b), *z = need((size_t)n, sizeof *z);
    uint64_t state = 9;
    for (ptrdiff_t k = 0; k < n; k++) b[k] = (double)next_float(&state), z[k] = NAN;
    f.work.precondition(f.work.context, b, z);
    for (int i = 0; i < NODES; i++) {
        double sum = 0;
        for (int o = 0; o < NODES; o++)
            if (parents[o] == parents[i] && kinds[o] == kinds[i]) sum += z[a + o];
        CHECK(fabs(0.75 * z[a + i] + 0.25 * sum - b[a + i]) <= 1e-14);
        for (int64_t k = 0; k < ends[i + 1] - ends[i]; k++) {
            sum = 0;
            for (int o = 0; o < NODES; o++)
                if (parents[o] == parents[i] && kinds[o] == kinds[i]) sum += z[ends[o] + k];
            CHECK(fabs((0.75 + f.damping[ends[i]]) * z[ends[i] + k] + 0.25 * sum - b[ends[i] + k]) <= 1e-14);
        }
    }
    free(b), free(z);
    rsk_fit_free(&f);
    rsk_spec_free(spec);
}

/* Unknowns are the elements whose scale is not 0, and the counters; each may hold 5e-7 / sqrt(d) of |r|. */
static void test_resolution(void) {
    rsk_spec *spec = spec_make(64, "skew", 1);
    double scale[12] = {1, 0, 2, 3, 0, 0, 4, 5, 0, 1, 0, 0};
    const rsk_linear map = {.spec = spec, .attributes = 10, .counters = 2, .scale = scale};
    CHECK(fabs(rsk_linear_resolution(&map) - 8 * 2.5e-13 / 64) <= 1e-27);
    rsk_spec_free(spec);
}

/* The way back from a code to its payload, and from a payload to its parts, at every size; a code has no bits beyond its own. */
static void test_codes(void) {
    uint64_t state = 9;
    for (ptrdiff_t d = 64; d <= RSK_MAX_DIM; d *= 2)
        for (ptrdiff_t b = 16; b <= 128; b *= 2) {
            rsk_codes c = {0};
            const int bits = b == 32 ? 31 - 10 - rsk_log2(d / b) : 48 - 16 - rsk_log2(d / b), good = b == 32 || b == 64;
            CHECK(rsk_codes_make(d, b, &c) == (good && d >= b && bits >= RSK_LEAST_TAG));
            if (!c.block) continue;
            CHECK(c.block == b && c.tag_bits == bits && c.bits + c.tail == b - 1 && c.row_bits + c.column_bits + bits == c.bits);
            for (int i = 0; i < 20 && bits > 0; i++) {
                const uint64_t any = (uint64_t)next_word(&state) << 32 | next_word(&state), row = any % (uint64_t)(d / b);
                const uint64_t column = any >> 20 & rsk_code_counter(&c), tag = any >> (64 - bits);
                const uint64_t payload = rsk_code_pack(&c, tag, column, row), code = rsk_code_of(&c, payload);
                uint64_t r, k, t;
                rsk_code_unpack(&c, payload, &t, &k, &r);
                CHECK(r == row && k == column && t == tag && !(code >> c.bits) && rsk_code_payload(&c, code) == payload);
                CHECK(rsk_code_payload(&c, code | UINT64_MAX << c.bits) == payload); /* a tail counts for nothing */
            }
        }
}

/* A counter's weight, where it has one block and no two images of it stand in one: 1 over the noise that its column, made by operators,
 * meets; never above 1; and what the counter itself left counts for nothing. */
static void test_counter_weight(void) {
    enum { D = 2048, BLOCKS = D / 32 };
    params p;
    params_fill(&p, D, "block", 1);
    p.p.blocks_per_column = 1;
    rsk_spec *spec = spec_of(&p);
    float c[D], seen[D];
    double energy[BLOCKS + 1] = {0};
    uint64_t state = 4;
    for (int k = 0; k < BLOCKS; k++) energy[BLOCKS] += energy[k] = next_word(&state) % 4 ? 1.0 : 20.0;
    const double mean = energy[BLOCKS] / BLOCKS;
    int tried = 0, light = 0;
    for (ptrdiff_t m = 0; m < MODULES; m++)
        for (ptrdiff_t i = -1; i < MAX_INPUTS; i++) { /* -1: RSK_NO_POSITION */
            const ptrdiff_t a = spec->attr.turn.mask[0], b = spec->module[m].rotation.turn.mask[0];
            const ptrdiff_t e = i < 0 ? 0 : spec->positions[i].turn.mask[0];
            if (a == b || a == e || b == e || (a ^ b) == e) continue;
            double noise = 0, self = 0;
            CHECK_STATUS(RSK_OK, rsk_counter(spec, m, c));
            CHECK_STATUS(RSK_OK, rsk_operator(spec, 2, 0, 0, c, seen));
            CHECK_STATUS(RSK_OK, rsk_operator(spec, 1, m, 0, seen, c));
            if (i >= 0) CHECK_STATUS(RSK_OK, rsk_operator(spec, 0, i, 0, c, seen));
            const float *column = i >= 0 ? seen : c;
            for (int k = 0; k < BLOCKS; k++) {
                const double u = dot(column + 32 * k, column + 32 * k, 32);
                noise += u * energy[k], self += u * u;
            }
            for (int left = 0; left < 2; left++) {
                const double score = left ? 0.3 * sqrt(noise / self) : 0.0, want = (noise - score * score * self) / mean;
                const double got = rsk_counter_weight(spec, m, i, energy, score);
                CHECK(fabs(got - (want > 1.0 ? 1.0 / want : 1.0)) <= 1e-5);
                light += want > 1.0;
            }
            tried++;
        }
    CHECK(tried > MODULES && light > 4);
    energy[BLOCKS] = 0.0;
    CHECK(rsk_counter_weight(spec, 0, 0, energy, 0.0) == 1.0);
    rsk_spec_free(spec);
    spec = spec_make(64, "skew", 1);
    CHECK(rsk_counter_weight(spec, 0, 0, NULL, 0.0) == 1.0);
    rsk_spec_free(spec);
}

void test_private(void) {
    RUN(test_alloc);
    RUN(test_codes);
    RUN(test_counter_weight);
    RUN(test_dot);
    RUN(test_streams);
    RUN(test_scratch);
    RUN(test_tree_lists);
    RUN(test_tree_shares);
    RUN(test_load);
    RUN(test_precondition);
    RUN(test_resolution);
    test_fits();
    test_ties();
}
