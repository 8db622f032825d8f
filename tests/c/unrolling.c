/* Unrolling: statuses, accessors, memory; the laws of the trees that grow; a digest over threads and instruction sets. */
#include "contract.h"
#include "reading/reading.h"

enum { DIM = 512, SKETCHES = 6, NODES = 11, KEPT = 6 };

/* A tree whose tuples have one or four members: with energy weighting each alpha is 1 or 1/2, so that scaling is exact.
 * parent and position of every node; users stand before their inputs. */
static const int32_t parents[NODES] = {-1, 0, 1, 1, 1, 1, 2, 6, 6, 6, 6};
static const int32_t places[NODES] = {0, 0, 0, 1, 2, 3, 0, 0, 1, 2, 3};
static const int32_t kinds[NODES] = {0, 1, 2, 0, 0, 1, 1, 0, 2, 1, 0};

/* SKETCHES random trees of two levels below the outputs, at a load of at most 0.5. shared: the second output uses what the first does. */
static void sketches_of(const rsk_spec *spec, float *out, int shared) {
    uint64_t state = 41;
    for (int i = 0; i < SKETCHES; i++) {
        enum { MOST = 8 };
        int32_t module[MOST], inputs[MOST], outputs[2] = {MOST - 2, MOST - 1};
        int64_t ends[MOST + 1] = {0}, input_ends[MOST + 1] = {0};
        const int64_t objects[2] = {0, MOST}, output_ends[2] = {0, 2};
        double weights[MOST], output_weights[2] = {1, 2};
        float x[MOST * 33];
        for (int k = 0; k < MOST; k++) {
            module[k] = (int32_t)(next_word(&state) % 3);
            const ptrdiff_t a = spec->module[module[k]].length;
            double norm = 0;
            ends[k + 1] = ends[k] + a;
            for (int64_t j = ends[k]; j < ends[k + 1]; j++) x[j] = next_float(&state), norm += (double)x[j] * (double)x[j];
            for (int64_t j = ends[k]; j < ends[k + 1]; j++)
                x[j] = (float)((double)x[j] / sqrt(norm));
            input_ends[k + 1] = k == 3 ? 2 : k == 6 ? 4 : shared && k == 7 ? 6 : input_ends[k];
            weights[k] = 1 + next_word(&state) % 3;
        }
        inputs[0] = 0, inputs[1] = 1, inputs[2] = inputs[4] = 3, inputs[3] = inputs[5] = 2;
        const rsk_batch batch = {.traces = 1, .objects = objects, .module = module, .attribute_ends = ends,
                                 .input_ends = input_ends, .inputs = inputs, .weights = weights,
                                 .output_ends = output_ends, .outputs = outputs, .output_weights = output_weights};
        rsk_plan *plan = NULL;
        if (!CHECK_STATUS(RSK_OK, rsk_plan_create(spec, &batch, 1, &plan, NULL))) exit(1);
        CHECK_STATUS(RSK_OK, rsk_sketch(spec, plan, x, NULL, out + i * spec->dim, 1, NULL, NULL));
        rsk_plan_free(plan);
    }
}

static void sketches_make(const rsk_spec *spec, float *out) { sketches_of(spec, out, 0); }

static const uint8_t anything[(MODULES + 1) * MODULES] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};

static rsk_unroll_params usual(void) {
    const rsk_unroll_params p = {.allowed = anything, .max_depth = 8, .threshold = 6.0, .max_rounds = 80};
    return p;
}

/* ---------------------------------------------------------------- statuses */

static void expect(rsk_status want, const rsk_spec *spec, ptrdiff_t n, const float *s, const uint8_t *mask, ptrdiff_t rows,
                   const rsk_unroll_params *p, int threads, int line) {
    rsk_unrolled *u = (rsk_unrolled *)(void *)&u; /* must be overwritten */
    rsk_where where = {-7, -7};
    check_status(want, rsk_unroll(spec, n, s, mask, rows, p, &u, threads, NULL, &where), __FILE__, line, "rsk_unroll");
    check_that((u == NULL) == (want != RSK_OK), __FILE__, line, "*out is NULL on error, and only then");
    /* where a bad coordinate is put it is in sketch 2, and again in a later one: the first is told */
    check_that(where.object == -1 && where.trace == (want == RSK_EVALUE ? 2 : -1), __FILE__, line, "where");
    if (want == RSK_OK) rsk_unrolled_free(u);
}

#define EXPECT(want, n, mask, rows, change, threads)                          \
    do {                                                                      \
        rsk_unroll_params p = usual();                                        \
        change;                                                               \
        expect((want), spec, (n), s, (mask), (rows), &p, (threads), __LINE__); \
    } while (0)

static void test_unroll_arguments(void) {
    rsk_spec *spec = spec_make(DIM, "skew", 1);
    float *s = need(SKETCHES * DIM, sizeof *s);
    uint8_t *mask = need(SKETCHES * DIM, 1);
    double noise[SKETCHES] = {0};
    sketches_make(spec, s);
    memset(mask, 1, SKETCHES * DIM);
    EXPECT(RSK_OK, SKETCHES, NULL, 0, (void)0, 1);
    EXPECT(RSK_OK, SKETCHES, mask, 1, (void)0, 1000000);
    EXPECT(RSK_OK, SKETCHES, mask, SKETCHES, p.noise = noise, 2);
    EXPECT(RSK_OK, 1, NULL, 0, p.max_depth = RSK_MAX_DEPTH, 1);
    EXPECT(RSK_OK, 1, NULL, 0, (p.free = 2, p.signature = 2), 1);
    EXPECT(RSK_EINVAL, 1, NULL, 0, (p.free = 2, p.signature = 3), 1);
    EXPECT(RSK_EINVAL, 1, NULL, 0, p.signature = -1, 1);
    EXPECT(RSK_OK, 1, NULL, 0, (p.max_depth = 1, p.max_rounds = 1, p.threshold = 0), 1);
    EXPECT(RSK_EINVAL, 0, NULL, 0, (void)0, 1);
    EXPECT(RSK_EINVAL, -1, NULL, 0, (void)0, 1);
    EXPECT(RSK_EINVAL, PTRDIFF_MIN, NULL, 0, (void)0, 1);
    EXPECT(RSK_EINVAL, 1, NULL, 0, (void)0, 0);
    EXPECT(RSK_EINVAL, 1, NULL, 0, (void)0, -1);
    EXPECT(RSK_EINVAL, SKETCHES, mask, 2, (void)0, 1);
    EXPECT(RSK_EINVAL, SKETCHES, mask, 0, (void)0, 1);
    EXPECT(RSK_EINVAL, 1, NULL, 0, p.max_depth = 0, 1);
    EXPECT(RSK_EINVAL, 1, NULL, 0, p.max_depth = RSK_MAX_DEPTH + 1, 1);
    EXPECT(RSK_EINVAL, 1, NULL, 0, p.max_depth = PTRDIFF_MIN, 1);
    EXPECT(RSK_EINVAL, 1, NULL, 0, p.max_rounds = 0, 1);
    EXPECT(RSK_EINVAL, 1, NULL, 0, p.threshold = -1, 1);
    EXPECT(RSK_EINVAL, 1, NULL, 0, p.threshold = (double)NAN, 1);
    const double bad[] = {-1e-300, (double)NAN, (double)INFINITY};
    for (int i = 0; i < 3; i++) {
        noise[SKETCHES - 1] = bad[i];
        EXPECT(RSK_EINVAL, SKETCHES, NULL, 0, p.noise = noise, 1);
        EXPECT(RSK_OK, SKETCHES - 1, NULL, 0, p.noise = noise, 1);
    }
    const float values[] = {NAN, INFINITY, -1.01f * RSK_MAX_VALUE};
    for (int i = 0; i < 3; i++) { /* an erased one is not read */
        const float first = s[2 * DIM + 9], second = s[4 * DIM];
        s[2 * DIM + 9] = s[4 * DIM] = values[i];
        EXPECT(RSK_EVALUE, SKETCHES, NULL, 0, (void)0, 3);
        mask[2 * DIM + 9] = mask[4 * DIM] = 0;
        EXPECT(RSK_OK, SKETCHES, mask, SKETCHES, (void)0, 3);
        EXPECT(RSK_EVALUE, SKETCHES, mask, 1, (void)0, 3); /* the first row of the mask is for all */
        mask[2 * DIM + 9] = mask[4 * DIM] = 1;
        s[2 * DIM + 9] = first, s[4 * DIM] = second;
    }
    rsk_unrolled_free(NULL);
    free(s), free(mask);
    rsk_spec_free(spec);
}

/* ---------------------------------------------------------------- answers */

static void test_views(void) {
    rsk_spec *spec = spec_make(DIM, "skew", 1);
    float *s = need(SKETCHES * DIM, sizeof *s);
    rsk_unroll_params p = usual();
    rsk_unrolled *u = NULL;
    rsk_unrolled_view v;
    sketches_make(spec, s);
    memset(s + (SKETCHES - 1) * DIM, 0, DIM * sizeof *s); /* the last one holds nothing */
    CHECK_STATUS(RSK_OK, rsk_unroll(spec, SKETCHES, s, NULL, 0, &p, &u, 2, NULL, NULL));
    const ptrdiff_t none[] = {-1, SKETCHES, PTRDIFF_MIN, PTRDIFF_MAX};
    for (int i = 0; i < 4; i++) {
        CHECK(rsk_unrolled_objects(u, none[i]) == -1 && rsk_unrolled_attributes(u, none[i]) == -1);
        CHECK_STATUS(RSK_EINVAL, rsk_unrolled_get(u, none[i], &v));
    }
    for (ptrdiff_t i = 0; i < SKETCHES; i++) {
        const ptrdiff_t n = rsk_unrolled_objects(u, i);
        ptrdiff_t a = 0;
        CHECK_STATUS(RSK_OK, rsk_unrolled_get(u, i, &v));
        CHECK(i == SKETCHES - 1 ? n == 0 && v.energy == 0 && v.residual == 0 : n > 0 && v.residual <= 1e-12 * v.energy);
        for (ptrdiff_t k = 0; k < n; k++) {
            CHECK(v.parent[k] >= -1 && v.parent[k] < k && v.position[k] >= 0 && v.position[k] < MAX_INPUTS);
            CHECK(v.module[k] >= 0 && v.module[k] < MODULES && v.amplitude[k] > 0 && v.spread[k] > 0);
            a += spec->module[v.module[k]].length;
        }
        CHECK(a == rsk_unrolled_attributes(u, i));
        CHECK(v.rests.rests == 0 && v.rests.attributes == 0); /* nothing is missing */
    }
    rsk_unrolled_free(u);
    /* one level only */
    p.max_depth = 1;
    CHECK_STATUS(RSK_OK, rsk_unroll(spec, 1, s, NULL, 0, &p, &u, 1, NULL, NULL));
    CHECK_STATUS(RSK_OK, rsk_unrolled_get(u, 0, &v));
    for (ptrdiff_t k = 0; k < rsk_unrolled_objects(u, 0); k++) CHECK(v.parent[k] == -1);
    rsk_unrolled_free(u);
    free(s);
    rsk_spec_free(spec);
}

/* Whether two answers have the same bits. */
static int same(const rsk_unrolled *a, const rsk_unrolled *b) {
    for (ptrdiff_t i = 0; i < SKETCHES; i++) {
        rsk_unrolled_view v, w;
        const size_t n = (size_t)rsk_unrolled_objects(a, i), size = (size_t)rsk_unrolled_attributes(a, i);
        if (rsk_unrolled_get(a, i, &v) || rsk_unrolled_get(b, i, &w) || n != (size_t)rsk_unrolled_objects(b, i)) return 0;
        if (memcmp(v.parent, w.parent, n * 4) || memcmp(v.position, w.position, n * 4) || memcmp(v.module, w.module, n * 4)) return 0;
        if (memcmp(v.attributes, w.attributes, size * 8) || memcmp(v.evidence, w.evidence, n * 8)) return 0;
        if (memcmp(v.spread, w.spread, n * 8) || memcmp(v.amplitude, w.amplitude, n * 8)) return 0;
        if (v.residual != w.residual || v.missing != w.missing || v.iterations != w.iterations) return 0;
    }
    return 1;
}

/* Whatever is not 0 allows a module, keeps a coordinate, sets a flag; and a module that is not allowed does not come up. */
static void test_unroll_flags(void) {
    rsk_spec *spec = spec_make(DIM, "skew", 1);
    float *s = need(SKETCHES * DIM, sizeof *s);
    uint8_t mask[DIM], bytes[DIM], some[sizeof anything], others[sizeof anything];
    sketches_make(spec, s);
    for (int k = 0; k < DIM; k++) mask[k] = k % 10 != 0, bytes[k] = (uint8_t)(k % 10 ? 255 - k % 7 : 0);
    for (size_t k = 0; k < sizeof some; k++) {
        some[k] = k % MODULES < 2; /* modules 0 and 1, as inputs of any and as outputs */
        others[k] = (uint8_t)(some[k] ? k % 2 ? 255 : 2 << k % 7 : 0);
    }
    for (int sparse = 0; sparse < 2; sparse++) {
        rsk_unroll_params p = usual();
        rsk_unrolled *a = NULL, *b = NULL;
        rsk_sparsity sparsity[MODULES];
        for (int m = 0; m < MODULES; m++) sparsity[m] = (rsk_sparsity){sparse ? RSK_SPARSE : RSK_DENSE, 0, sparse};
        p.allowed = some, p.sparsity = sparsity;
        CHECK_STATUS(RSK_OK, rsk_unroll(spec, SKETCHES, s, mask, 1, &p, &a, 1, NULL, NULL));
        for (int m = 0; m < MODULES; m++) sparsity[m].nonnegative = sparse ? -1 : 0;
        p.allowed = others;
        CHECK_STATUS(RSK_OK, rsk_unroll(spec, SKETCHES, s, bytes, 1, &p, &b, 1, NULL, NULL));
        CHECK(a && b && same(a, b));
        ptrdiff_t all = 0;
        for (ptrdiff_t i = 0; a && i < SKETCHES; i++) {
            rsk_unrolled_view v;
            CHECK_STATUS(RSK_OK, rsk_unrolled_get(a, i, &v));
            for (ptrdiff_t k = 0; k < rsk_unrolled_objects(a, i); k++, all++) CHECK(v.module[k] < 2);
        }
        CHECK(all > 0);
        rsk_unrolled_free(a);
        rsk_unrolled_free(b);
    }
    free(s);
    rsk_spec_free(spec);
}

static void test_unroll_memory(void) {
    if (!fail_allocations(-1)) return;
    rsk_spec *spec = spec_make(DIM, "skew", 1);
    float *s = need(SKETCHES * DIM, sizeof *s);
    rsk_unroll_params p = usual();
    p.free = p.signature = 2;
    sketches_make(spec, s);
    long fail = 0;
    for (rsk_status got = RSK_ENOMEM; got != RSK_OK && fail < 1000; fail++) {
        rsk_unrolled *u = (rsk_unrolled *)(void *)&u;
        fail_allocations(fail);
        got = rsk_unroll(spec, 2, s, NULL, 0, &p, &u, 1, NULL, NULL);
        fail_allocations(-1);
        CHECK((u != NULL) == (got == RSK_OK));
        if (got != RSK_OK && !CHECK_STATUS(RSK_ENOMEM, got)) break;
        if (got == RSK_OK) rsk_unrolled_free(u);
    }
    CHECK(fail > 40 && fail < 1000);
    free(s);
    rsk_spec_free(spec);
}

/* ---------------------------------------------------------------- trees */

static void grow(rsk_tree *t, const uint8_t *without) {
    int32_t number[NODES];
    rsk_tree_clear(t);
    for (int32_t i = 0; i < NODES; i++) {
        if (without && without[i]) continue;
        number[i] = (int32_t)t->count;
        rsk_tree_add(t, parents[i] < 0 ? -1 : number[parents[i]], places[i], kinds[i]);
    }
    rsk_tree_program(t);
}

/* A tree's plan sweeps as rsk_plan_create's for the same tree: the unknowns are the parts times the weights of the path. */
static void test_tree_sweeps(const char *rotation) {
    rsk_spec *spec = spec_make(DIM, rotation, 1);
    rsk_tree t;
    if (!CHECK(rsk_tree_create(spec, NODES, 8, &t))) exit(1);
    grow(&t, NULL);
    int32_t module[NODES], inputs[NODES], outputs[1] = {NODES - 1};
    int64_t ends[NODES + 1] = {0}, input_ends[NODES + 1] = {0};
    const int64_t objects[2] = {0, NODES}, output_ends[2] = {0, 1};
    double weights[NODES], path[NODES], one = 1, amplitude[NODES];
    for (int i = 0; i < NODES; i++) {
        int siblings = 0;
        for (int k = 0; k < NODES; k++) siblings += parents[k] == parents[i];
        path[i] = (parents[i] < 0 ? 1 : path[parents[i]]) * (siblings == 4 ? 0.5 : 1);
        weights[i] = 1;
    }
    for (int k = 0, e = 0; k < NODES; k++) { /* object k is node NODES - 1 - k */
        const int i = NODES - 1 - k;
        module[k] = kinds[i];
        ends[k + 1] = ends[k] + spec->module[kinds[i]].length;
        for (int c = 0; c < NODES; c++)
            if (parents[c] == i) inputs[e++] = NODES - 1 - c;
        input_ends[k + 1] = e;
    }
    const rsk_batch batch = {.traces = 1, .objects = objects, .module = module, .attribute_ends = ends,
                             .input_ends = input_ends, .inputs = inputs, .weights = weights, .output_ends = output_ends,
                             .outputs = outputs, .output_weights = &one};
    rsk_plan *plan = NULL;
    if (!CHECK_STATUS(RSK_OK, rsk_plan_create(spec, &batch, 1, &plan, NULL))) exit(1);
    CHECK_STATUS(RSK_OK, rsk_plan_amplitudes(plan, amplitude, NULL));
    const size_t floats = (size_t)ends[NODES];
    float *x = need(floats, sizeof *x), *y = need(floats, sizeof *y), *scaled = need(floats, sizeof *y);
    float *want = need(DIM, sizeof *want), *got = need(DIM, sizeof *got), counters[NODES], back[NODES];
    uint64_t state = 7;
    for (size_t k = 0; k < floats; k++) x[k] = next_float(&state);
    for (int i = 0; i < NODES; i++) {
        const int64_t from = ends[NODES - 1 - i], to = t.plan.attribute_ends[i];
        CHECK(fabs(t.plan.amplitude[i] * path[i] - amplitude[NODES - 1 - i]) <= 1e-12 * t.plan.amplitude[i]);
        for (ptrdiff_t k = 0; k < spec->module[kinds[i]].length; k++) scaled[to + k] = x[from + k] * (float)path[i];
        counters[i] = (float)path[i];
    }
    rsk_scratch *scratch = rsk_scratch_create(spec, &t.plan, 1, NULL);
    if (!CHECK(scratch != NULL)) exit(1);
    CHECK_STATUS(RSK_OK, rsk_sketch(spec, plan, x, NULL, want, 1, NULL, NULL));
    float computed[DIM];
    CHECK(rsk_forward_trace(spec, &t.plan, 0, scaled, counters, 1.0f, computed, scratch) == -1);
    rsk_reorder(spec, computed, got);
    CHECK(!memcmp(want, got, DIM * sizeof *got));
    float back_plan[NODES];
    CHECK_STATUS(RSK_OK, rsk_adjoint(spec, plan, want, x, back_plan, 1, NULL));
    rsk_adjoint_trace(spec, &t.plan, 0, computed, y, back, scratch);
    for (int i = 0; i < NODES; i++) {
        CHECK(back[i] * (float)path[i] == back_plan[NODES - 1 - i]);
        for (ptrdiff_t k = 0; k < spec->module[kinds[i]].length; k++)
            CHECK(y[t.plan.attribute_ends[i] + k] * (float)path[i] == x[ends[NODES - 1 - i] + k]);
    }
    rsk_scratch_free(scratch, 1);
    rsk_plan_free(plan);
    rsk_tree_free(&t);
    free(x), free(y), free(scaled), free(want), free(got);
    rsk_spec_free(spec);
}

/* Pruned, a tree is the one that never had what was dropped, nor anything below it. */
static void test_tree_prune(void) {
    rsk_spec *spec = spec_make(DIM, "skew", 1);
    rsk_tree a, b;
    if (!CHECK(rsk_tree_create(spec, NODES, 8, &a)) || !CHECK(rsk_tree_create(spec, NODES, 8, &b))) exit(1);
    for (unsigned dropped = 0; dropped < 1u << NODES; dropped += 37) {
        uint8_t drop[NODES], without[NODES];
        int32_t moved[NODES];
        ptrdiff_t kept = 0;
        for (int i = 0; i < NODES; i++) {
            drop[i] = without[i] = (uint8_t)(dropped >> i & 1);
            if (parents[i] >= 0 && without[parents[i]]) without[i] = 1;
        }
        grow(&a, NULL);
        grow(&b, without);
        rsk_tree_prune(&a, drop, moved);
        rsk_tree_program(&a);
        CHECK(a.count == b.count && !memcmp(drop, without, NODES));
        for (int i = 0; i < NODES; i++) CHECK(moved[i] == (without[i] ? -1 : (int32_t)kept++));
        for (ptrdiff_t i = 0; i < a.count; i++) {
            CHECK(a.node[i].parent == b.node[i].parent && a.node[i].position == b.node[i].position);
            CHECK(a.node[i].module == b.node[i].module && a.node[i].depth == b.node[i].depth);
            CHECK(a.plan.module[i] == b.plan.module[i] && a.plan.amplitude[i] == b.plan.amplitude[i]);
            CHECK(a.plan.attribute_ends[i + 1] == b.plan.attribute_ends[i + 1]);
            const rsk_step *x = &a.plan.steps[i], *y = &b.plan.steps[i];
            CHECK(x->object == y->object && x->src == y->src && x->dst == y->dst && x->flags == y->flags);
        }
        CHECK(a.plan.objects[1] == b.plan.objects[1] && a.plan.count[0] == b.plan.count[0]);
    }
    rsk_tree_free(&a);
    rsk_tree_free(&b);
    rsk_spec_free(spec);
}

/* ---------------------------------------------------------------- fits */

/* Given the objects that a sketch was made of, the fit leaves rounding, and every counter is its amplitude. */
static void test_fit(void) {
    rsk_spec *spec = spec_make(DIM, "skew", 1);
    rsk_fit f;
    const rsk_unroll_params p = usual();
    if (!CHECK(rsk_fit_create(spec, &p, NULL, 0, 1, &f))) exit(1);
    rsk_scratch *scratch = NULL;
    float x[NODES * 33], counters[NODES], computed[DIM], s[DIM];
    uint64_t state = 7;
    grow(&f.tree, NULL);
    const ptrdiff_t floats = (ptrdiff_t)f.tree.plan.attribute_ends[NODES];
    for (ptrdiff_t k = 0; k < floats; k++) x[k] = next_float(&state);
    for (int i = 0; i < NODES; i++) counters[i] = 1;
    scratch = rsk_scratch_create(spec, &f.tree.plan, 1, NULL);
    if (!CHECK(scratch != NULL)) exit(1);
    CHECK(rsk_forward_trace(spec, &f.tree.plan, 0, x, counters, 1.0f, computed, scratch) == -1);
    rsk_reorder(spec, computed, s);
    rsk_scratch_free(scratch, 1);
    CHECK(rsk_fit_load(&f, s, NULL, 0.0) && f.kept == DIM && f.tree.count == 0 && !rsk_fit_clean(&f));
    for (int i = 0; i < NODES; i++) rsk_fit_add(&f, parents[i], places[i], kinds[i], 0.1);
    CHECK(rsk_fit_unknowns(&f) == floats + NODES);
    for (int turn = 0; turn < 6; turn++) rsk_fit_solve(&f, 0.0, 1e-4); /* each takes the gradient down by two digits */
    rsk_fit_estimate_noise(&f);
    CHECK(rsk_fit_clean(&f));
    for (int i = 0; i < NODES; i++) {
        const double unit = f.tree.plan.amplitude[i], whole = unit;
        /* 1e-6 of the sketch's norm is above its rounding, over an amplitude at least 100 of that */
        CHECK(fabs(f.c[i] / whole - 1.0) <= 1e-6 * sqrt(f.energy) / whole);
        for (ptrdiff_t k = 0; k < spec->module[kinds[i]].length; k++) {
            const ptrdiff_t at = (ptrdiff_t)f.tree.plan.attribute_ends[i] + k;
            CHECK(fabs(f.x[at] / unit - (double)x[at]) <= 1e-6 * sqrt(f.energy) / unit);
        }
    }
    rsk_fit_free(&f);
    rsk_spec_free(spec);
}

/* ---------------------------------------------------------------- equal bits */

typedef struct unrolling {
    const char *rotation;
    int weighting;
    uint64_t rounded; /* set by `digest`: attributes to four digits, and no other doubles. exp, log1p and hypot differ between
                       * mathematical libraries in the last place, so that architectures can be asked for no more */
} unrolling;

/* Of structures, and of every double in full. */
static uint64_t digest(void *of, int threads) {
    unrolling *const tried = of;
    const char *const rotation = tried->rotation;
    const int weighting = tried->weighting;
    uint64_t hash = FNV_START, rounded = FNV_START;
    const ptrdiff_t d = strcmp(rotation, "block") ? DIM : 2 * DIM;
    rsk_spec *spec = spec_weighted(d, rotation, weighting);
    /* with balanced weights, all that a caller may say: the last element is none of the attribute's, and sparse or not is open */
    const rsk_sparsity told[MODULES] = {{RSK_DECIDE, 0, 1}, {RSK_DENSE, 0, 0}, {RSK_SPARSE, 4, 0}, {RSK_DENSE, 0, 0}};
    const int all = weighting == RSK_WEIGHTS_BALANCED;
    float *s = need((size_t)(SKETCHES * d), sizeof *s);
    uint8_t *mask = need((size_t)(SKETCHES * d), 1);
    uint64_t state = 13;
    ptrdiff_t tied = 0;
    for (int part = 0; part < 2 + all; part++) {
        /* part 2: shared objects, in so few coordinates that they fit as one only; the last elements are signatures */
        sketches_of(spec, s, part == 2);
        for (ptrdiff_t k = 0; k < SKETCHES * d; k++)
            mask[k] = (uint8_t)(part == 2 ? next_word(&state) % 16 < KEPT * DIM / d : next_word(&state) % 8 != 0);
        rsk_unroll_params p = usual();
        if (all) p.norm2 = 1, p.free = part == 2 ? 6 : 1, p.signature = part == 2 ? 6 : 0, p.sparsity = part == 1 ? told : NULL;
        rsk_unrolled *u = NULL;
        CHECK_STATUS(RSK_OK, rsk_unroll(spec, SKETCHES, s, part ? mask : NULL, SKETCHES, &p, &u, threads, NULL, NULL));
        for (ptrdiff_t i = 0; u && i < SKETCHES; i++) {
            rsk_unrolled_view v;
            const size_t n = (size_t)rsk_unrolled_objects(u, i), a = (size_t)rsk_unrolled_attributes(u, i);
            CHECK_STATUS(RSK_OK, rsk_unrolled_get(u, i, &v));
            CHECK(n > 0);
            rounded = fnv(fnv(fnv(fnv(rounded, v.parent, n, 4), v.position, n, 4), v.module, n, 4), v.lead, n, 4);
            for (size_t k = 0; k < a; k++) {
                const int64_t digits = llround(v.attributes[k] * 1e4);
                rounded = fnv(rounded, &digits, 1, 8);
            }
            for (size_t k = 0; k < n; k++) tied += v.lead[k] != (int32_t)k;
            hash = fnv(fnv(hash, &rounded, 1, 8), v.attributes, a, 8);
            hash = fnv(hash, v.amplitude, n, 8);
            hash = fnv(fnv(fnv(hash, v.evidence, n, 8), v.spread, n, 8), v.amplitude_spread, n, 8);
            hash = fnv(hash, v.free_spread, n, 8);
            hash = fnv(fnv(fnv(hash, &v.residual, 1, 8), &v.energy, 1, 8), &v.missing, 1, 8);
            hash = fnv(fnv(hash, &v.rounds, 1, 4), &v.iterations, 1, 4);
        }
        rsk_unrolled_free(u);
    }
    CHECK(!all || tied > 0);
    free(s), free(mask);
    rsk_spec_free(spec);
    tried->rounded = rounded;
    return hash;
}

static void test_unroll_digest(void) {
    uint64_t all = FNV_START;
    static const int weightings[] = {RSK_WEIGHTS_ENERGY, RSK_WEIGHTS_LINEAR, RSK_WEIGHTS_BALANCED};
    static const char *const rotations[] = {"skew", "hadamard", "block"};
    for (int v = 0; v < 9; v++) {
        unrolling of = {.rotation = rotations[v % 3], .weighting = weightings[v / 3]};
        if (!CHECK(digest_everywhere(digest, &of) != 0)) printf("  %s, weighting %d\n", of.rotation, of.weighting);
        all = fnv(all, &of.rounded, 1, 8);
    }
    printf("unrolled %016llx\n", (unsigned long long)all);
}

void test_unrolling(void) {
    test_unroll_arguments();
    test_views();
    test_unroll_flags();
    test_unroll_memory();
    test_tree_sweeps("skew");
    test_tree_sweeps("hadamard");
    test_tree_prune();
    test_fit();
    test_unroll_digest();
}
