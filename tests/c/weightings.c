/* What weights do to amplitudes, in all four weightings: in the plans of known structures, in the trees of unrolling, and where they
 * end; and the parameters of unrolling that came with them. */
#include "private.h"

enum { WEIGHTINGS = 4, K = MAX_INPUTS };

/* ---------------------------------------------------------------- parts and wholes */

static params params_of(int weighting, int ins, double spread) {
    params p;
    params_fill(&p, 64, "skew", 0);
    p.p.weighting = weighting, p.p.ins = ins, p.p.spread = weighting == RSK_WEIGHTS_COUNT ? 0 : spread;
    return p;
}

/* The pointers are into p itself, so that a copy of it needs them anew. */
static rsk_spec *spec_from(params p) {
    p.p.lengths = p.lengths, p.p.kappa = p.kappa, p.p.positions = p.positions, p.p.operators = p.operators;
    p.p.embeddings = p.embeddings, p.p.counters = p.counters;
    for (int k = 0; k <= MAX_INPUTS; k++) p.kappa[k] = 1 + 0.3 * k;
    return spec_of(&p);
}

/* The parts of k members, whatever their weights and whether they have inputs, add up to the whole that their owner's amplitude tells;
 * and, but for balanced weights, those of the outputs to what the network's does. Some dozens of roundings of doubles. */
static void test_parts_add_up_to_the_whole(void) {
    uint64_t state = 19;
    for (int weighting = 0; weighting < WEIGHTINGS; weighting++)
        for (int ins = 1; ins <= 2; ins++)
            for (int k = 1; k <= K; k++) {
                rsk_spec *spec = spec_from(params_of(weighting, ins, ins == 2 ? 0.5 : 0));
                /* object 0, an input of every second one of the members 1 to k; object k + 1 has all of these, and is an output with
                 * some of itself */
                int32_t module[K + 2] = {0}, inputs[3 * K], outputs[K];
                int64_t ends[K + 3] = {0}, input_ends[K + 3] = {0};
                double weights[3 * K], output_weights[K], amplitude[K + 2];
                int e = 0;
                for (int o = 0; o < k + 2; o++) {
                    module[o] = o % 3, ends[o + 1] = ends[o] + spec->module[o % 3].length;
                    if (o && o <= k && o % 2) inputs[e] = 0, weights[e++] = 0.25 + next_word(&state) % 8;
                    for (int m = 1; o == k + 1 && m <= k; m++)
                        inputs[e] = m, weights[e++] = weighting == RSK_WEIGHTS_COUNT ? 1 : 0.25 + next_word(&state) % 8;
                    input_ends[o + 1] = e;
                }
                for (int m = 0; m < k; m++) outputs[m] = m ? 0 : k + 1, output_weights[m] = 1;
                const int64_t objects[2] = {0, k + 2}, output_ends[2] = {0, k};
                const rsk_batch b = {.traces = 1, .objects = objects, .module = module, .attribute_ends = ends,
                                     .input_ends = input_ends, .inputs = inputs, .weights = weights, .output_ends = output_ends,
                                     .outputs = outputs, .output_weights = output_weights};
                rsk_plan *plan = NULL;
                if (!CHECK_STATUS(RSK_OK, rsk_plan_create(spec, &b, 1, &plan, NULL))) exit(1);
                CHECK_STATUS(RSK_OK, rsk_plan_amplitudes(plan, amplitude, NULL));
                double sum = 0;
                for (int m = 1; m <= k; m++) sum += rsk_tree_part(spec, amplitude[m]);
                const double whole = rsk_tree_whole(spec, amplitude[k + 1], k);
                CHECK(sum > 0 && fabs(sum - whole) <= 1e-12 * whole);
                if (weighting != RSK_WEIGHTS_BALANCED) { /* equal outputs: each has a k-th, or with counts all of it */
                    const double root = rsk_tree_whole(spec, spec->gain, k), part = rsk_tree_part(spec, amplitude[k + 1]);
                    CHECK(fabs(k * part - root) <= 1e-12 * root);
                }
                rsk_plan_free(plan);
                rsk_spec_free(spec);
            }
}

static void test_kappa_and_masses(void) {
    rsk_spec *spec = spec_from(params_of(RSK_WEIGHTS_BALANCED, 2, 0));
    for (int k = 1; k <= MAX_INPUTS; k++) CHECK(rsk_kappa(spec, k) == 1 + 0.3 * k);
    CHECK(rsk_kappa(spec, MAX_INPUTS + 1) == 1 + 0.3 * MAX_INPUTS && rsk_kappa(spec, PTRDIFF_MAX) == 1 + 0.3 * MAX_INPUTS);
    CHECK(rsk_adds_squares(spec));
    rsk_spec_free(spec);
    /* an output of mass 1 + kappa(1) (1 + kappa(2)) keeps one part of that for itself; its one input, of mass 1 + kappa(2), one of
     * what is left; and the two leaves below it weigh as 1 to 3 */
    spec = spec_from(params_of(RSK_WEIGHTS_BALANCED, 2, 0));
    const int64_t objects[2] = {0, 4}, ends[5] = {0, 7, 14, 30, 63}, input_ends[5] = {0, 0, 0, 2, 3}, output_ends[2] = {0, 1};
    const int32_t module[4] = {0, 0, 1, 2}, inputs[3] = {0, 1, 2}, output = 3;
    const double weights[3] = {1, 3, 1}, one = 1, inner = 1 + 1.6, top = 1 + 1.3 * inner;
    const rsk_batch b = {.traces = 1, .objects = objects, .module = module, .attribute_ends = ends, .input_ends = input_ends,
                         .inputs = inputs, .weights = weights, .output_ends = output_ends, .outputs = &output, .output_weights = &one};
    rsk_plan *plan = NULL;
    double amplitude[4];
    CHECK_STATUS(RSK_OK, rsk_plan_create(spec, &b, 1, &plan, NULL));
    CHECK_STATUS(RSK_OK, rsk_plan_amplitudes(plan, amplitude, NULL));
    const double gain = 0.70710678118654752, below = (top - 1) / top;
    const double want[4] = {below * (inner - 1) / inner / 4, below * (inner - 1) / inner * 3 / 4, below / inner, 1 / top};
    for (int o = 0; o < 4; o++) CHECK(fabs(amplitude[o] - gain * sqrt(want[o])) <= 1e-14);
    rsk_plan_free(plan);
    rsk_spec_free(spec);
}

/* ---------------------------------------------------------------- limits */

/* Two traces of an object and its input of weight w; the second's output has weight v. */
static rsk_status plan_of(const rsk_spec *spec, double w, double v, rsk_plan **plan, rsk_where *where) {
    const int64_t objects[3] = {0, 2, 4}, ends[5] = {0, 7, 14, 21, 28}, input_ends[5] = {0, 0, 1, 1, 2}, output_ends[3] = {0, 1, 2};
    const int32_t module[4] = {0}, inputs[2] = {0, 0}, outputs[2] = {1, 1};
    const double weights[2] = {1, w}, output_weights[2] = {1, v};
    const rsk_batch b = {.traces = 2, .objects = objects, .module = module, .attribute_ends = ends, .input_ends = input_ends,
                         .inputs = inputs, .weights = weights, .output_ends = output_ends, .outputs = outputs,
                         .output_weights = output_weights};
    return rsk_plan_create(spec, &b, 1, plan, where);
}

static void test_largest_weights(void) {
    const double large[] = {(double)RSK_MAX_VALUE, 1.001 * (double)RSK_MAX_VALUE, RSK_MAX_WEIGHT, 1.001 * RSK_MAX_WEIGHT};
    for (int weighting = 0; weighting < WEIGHTINGS; weighting++) {
        rsk_spec *spec = spec_from(params_of(weighting, 2, 0.5));
        const int counts = weighting == RSK_WEIGHTS_COUNT;
        for (int i = 0; i < 4; i++)
            for (int output = 0; output < 2; output++) {
                rsk_plan *plan = NULL;
                rsk_where where;
                const rsk_status want = i == 3 || (counts && i > 0) ? RSK_EWEIGHT : RSK_OK;
                CHECK_STATUS(want, plan_of(spec, output ? 1 : large[i], output ? large[i] : 1, &plan, &where));
                CHECK(want ? where.trace == 1 && where.object == (output ? -1 : 1) : plan != NULL);
                rsk_plan_free(plan);
            }
        rsk_spec_free(spec);
    }
}

/* Weights that count multiply: 1e30 times 1e30 is no float. */
static void test_counts_that_overflow(void) {
    const struct {
        double w, v;
        rsk_status want;
    } cases[] = {{1e30, 1, RSK_OK}, {1e12, 1e12, RSK_OK}, {1e30, 1e30, RSK_EOVERFLOW}, {1e25, 1e25, RSK_EOVERFLOW}, {1e-30, 1e30, RSK_OK}};
    float x[28], y[128];
    for (int k = 0; k < 28; k++) x[k] = (float)(k % 5 - 2);
    for (int weighting = 0; weighting < WEIGHTINGS; weighting++) {
        rsk_spec *spec = spec_from(params_of(weighting, 2, 0));
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            rsk_plan *plan = NULL;
            rsk_where where;
            const rsk_status want = weighting == RSK_WEIGHTS_COUNT ? cases[i].want : RSK_OK;
            CHECK_STATUS(RSK_OK, plan_of(spec, cases[i].w, cases[i].v, &plan, NULL));
            CHECK_STATUS(want, rsk_sketch(spec, plan, x, NULL, y, 2, NULL, &where));
            CHECK(where.trace == (want ? 1 : -1) && where.object == -1);
            for (int k = 0; k < 128 && !want; k++) CHECK(isfinite(y[k]));
            rsk_plan_free(plan);
        }
        rsk_spec_free(spec);
    }
}

/* ---------------------------------------------------------------- unrolling */

static void expect_unroll(rsk_status want, const rsk_spec *spec, const rsk_unroll_params *p, int line) {
    float y[64] = {0};
    rsk_unrolled *u = (rsk_unrolled *)(void *)&u;
    check_status(want, rsk_unroll(spec, 1, y, NULL, 0, p, &u, 1, NULL, NULL), __FILE__, line, "rsk_unroll");
    check_that((u == NULL) == (want != RSK_OK), __FILE__, line, "*out is NULL on error, and only then");
    if (want == RSK_OK) rsk_unrolled_free(u);
}

static void test_parameters_of_unrolling(void) {
    rsk_spec *spec = spec_make(64, "skew", 1);
    rsk_sparsity told[MODULES] = {{RSK_DENSE, 0, 0}, {RSK_SPARSE, 3, 1}, {RSK_DECIDE, 0, 1}, {RSK_DECIDE, PTRDIFF_MAX, 0}};
    const rsk_unroll_params usual = {.allowed = anything, .max_depth = 2, .threshold = 6.0, .max_rounds = 2, .sparsity = told};
    rsk_unroll_params p = usual;
    expect_unroll(RSK_OK, spec, &p, __LINE__);
    const ptrdiff_t frees[] = {-1, PTRDIFF_MIN, 7, PTRDIFF_MAX}; /* the shortest attribute has 7 elements */
    for (int i = 0; i < 4; i++) p = usual, p.free = frees[i], expect_unroll(RSK_EINVAL, spec, &p, __LINE__);
    p = usual, p.free = 6, expect_unroll(RSK_OK, spec, &p, __LINE__);
    const double norms[] = {-1e-9, (double)NAN, (double)INFINITY, 1.001e30};
    for (int i = 0; i < 4; i++) p = usual, p.norm2 = norms[i], expect_unroll(RSK_EINVAL, spec, &p, __LINE__);
    p = usual, p.norm2 = 1e30, expect_unroll(RSK_OK, spec, &p, __LINE__);
    p = usual;
    for (int i = 0; i < 4; i++) { /* the last module's, too */
        const rsk_sparsity bad[] = {{-1, 0, 0}, {RSK_DECIDE + 1, 0, 0}, {RSK_SPARSE, -1, 0}, {RSK_DENSE, PTRDIFF_MIN, 0}};
        told[MODULES - 1] = bad[i];
        expect_unroll(RSK_EINVAL, spec, &p, __LINE__);
    }
    rsk_spec_free(spec);
    for (int i = 0; i < 2; i++) { /* positions that all are the same operator tell no inputs apart */
        params q = params_of(RSK_WEIGHTS_ENERGY, 2, 0);
        if (i) q.p.sine = 0, q.p.cosine = 1;
        else q.p.ordered = 0;
        spec = spec_from(q);
        p = usual, p.sparsity = NULL;
        expect_unroll(RSK_EINVAL, spec, &p, __LINE__);
        rsk_spec_free(spec);
    }
}

/* Chains of one module, 12 objects of norm one at a load of 0.4, come back whole in each weighting. Eight seeds each; no noise but
 * rounding, so that a failure is one of the search: none of 400 in a wider run. */
static void test_chains_of_one_module(void) {
    enum { STEPS = 12, A = 16 };
    for (int weighting = 0; weighting < WEIGHTINGS; weighting++)
        for (uint64_t seed = 0; seed < 8; seed++) {
            params q;
            params_fill(&q, DIM, "skew", 0);
            q.p.weighting = weighting, q.p.seed = seed;
            rsk_spec *spec = spec_of(&q);
            const int64_t objects[2] = {0, STEPS}, output_ends[2] = {0, 1};
            int64_t ends[STEPS + 1] = {0}, input_ends[STEPS + 1] = {0};
            int32_t module[STEPS], inputs[STEPS];
            const int32_t output = STEPS - 1;
            double weights[STEPS];
            float x[STEPS * A], y[DIM];
            uint64_t state = 100 + seed;
            for (int o = 0; o < STEPS; o++) {
                double norm = 0;
                module[o] = 1, ends[o + 1] = A * (o + 1), input_ends[o + 1] = o, inputs[o] = o, weights[o] = 1;
                for (int k = A * o; k < A * (o + 1); k++) x[k] = next_float(&state), norm += (double)x[k] * (double)x[k];
                for (int k = A * o; k < A * (o + 1); k++) x[k] = (float)((double)x[k] / sqrt(norm));
            }
            const rsk_batch b = {.traces = 1, .objects = objects, .module = module, .attribute_ends = ends, .input_ends = input_ends,
                                 .inputs = inputs, .weights = weights, .output_ends = output_ends, .outputs = &output,
                                 .output_weights = weights};
            const rsk_unroll_params p = {.allowed = anything, .max_depth = 64, .threshold = 6.0, .max_rounds = 240, .norm2 = 1};
            rsk_plan *plan = NULL;
            rsk_unrolled *u = NULL;
            rsk_unrolled_view v;
            CHECK_STATUS(RSK_OK, rsk_plan_create(spec, &b, 1, &plan, NULL));
            CHECK_STATUS(RSK_OK, rsk_sketch(spec, plan, x, NULL, y, 1, NULL, NULL));
            CHECK_STATUS(RSK_OK, rsk_unroll(spec, 1, y, NULL, 0, &p, &u, 1, NULL, NULL));
            CHECK_STATUS(RSK_OK, rsk_unrolled_get(u, 0, &v));
            const ptrdiff_t n = rsk_unrolled_objects(u, 0);
            if (!CHECK(n == STEPS && v.residual <= 1e-12 * v.energy)) printf("  weighting %d, seed %d: %td\n", weighting, (int)seed, n);
            for (ptrdiff_t i = 0; i < n; i++) CHECK(v.parent[i] == i - 1 && v.position[i] == 0 && v.module[i] == 1);
            rsk_unrolled_free(u);
            rsk_plan_free(plan);
            rsk_spec_free(spec);
        }
}

/* ---------------------------------------------------------------- fits */

/* Objects that are certainly there, of which the attributes of module 1 have one element in eight that is not zero, and the others
 * none that is. What is told stays; a module that is not seen goes with all that is; a number that is told is the rate. */
static void decided(int mixed, double spread, const rsk_sparsity *told, const int *want, double rate, int line) {
    rsk_fit f;
    rsk_spec *spec = fit_make(&f, 1, 1);
    const int64_t *ends = f.tree.plan.attribute_ends;
    uint64_t state = 77;
    f.told = told, f.spread = spread, f.shrink = 1, f.any_sparse = 0;
    for (int m = 0; m < MODULES; m++) f.sparse[m] = told[m].kind == RSK_SPARSE, f.rho2[m] = 1;
    for (int i = 0; i < NODES; i++) {
        f.c[i] = f.alpha[i] = 1;
        const double a = (double)(ends[i + 1] - ends[i]);
        for (int64_t k = ends[i]; k < ends[i + 1]; k++) {
            const double sign = next_word(&state) & 1 ? 1 : -1;
            const int zero = (kinds[i] == 1 || !mixed) && (k - ends[i]) % 8;
            f.damping[k] = 0, f.x[k] = zero ? 0 : sign * sqrt((kinds[i] == 1 || !mixed ? 8 : 1) / a);
        }
    }
    int any = 0;
    const int found = rsk_fit_decide(&f);
    for (int m = 0; m < MODULES; m++) {
        if (!check_that(f.sparse[m] == want[m], __FILE__, line, "sparse")) printf("  module %d\n", m);
        any |= told[m].kind == RSK_DECIDE && want[m];
    }
    check_that(found == any && f.any_sparse == any, __FILE__, line, "whether any became sparse");
    if (rate > 0) check_that(fabs(f.rate[1] - rate) <= 1e-12, __FILE__, line, "rate");
    rsk_fit_free(&f);
    rsk_spec_free(spec);
}

static void test_fit_decides(void) {
    const rsk_sparsity open = {RSK_DECIDE, 0, 0}, dense = {RSK_DENSE, 0, 0}, sparse = {RSK_SPARSE, 0, 0}, three = {RSK_DECIDE, 3, 0};
    const rsk_sparsity seen[MODULES] = {open, open, open, dense}, all[MODULES] = {open, open, open, open},
                       none[MODULES] = {dense, dense, dense, open},
                       some[MODULES] = {sparse, three, dense, sparse};
    const int one[MODULES] = {0, 1, 0, 0}, every[MODULES] = {1, 1, 1, 1}, told[MODULES] = {1, 1, 0, 1}, last[MODULES] = {0, 0, 0, 1};
    for (double spread = 0.1; spread > 1e-5; spread /= 10) { /* however certain elements are: up to 7e4 standard errors */
        decided(1, spread, seen, one, 0, __LINE__);
        decided(0, spread, all, every, 0, __LINE__);
        decided(1, spread, some, told, 3.0 / 16, __LINE__);
        decided(1, spread, none, last, 0, __LINE__); /* nothing is seen of it: as sparse as the caller thinks it may be */
    }
}

/* The last `free` elements of sparse attributes are dense: always in the support, of variance A^2 / free; norms that are told are
 * taken. */
static void test_free_elements(void) {
    enum { FREE = 2 };
    const rsk_sparsity sparse[MODULES] = {{RSK_SPARSE, 0, 0}, {RSK_SPARSE, 0, 0}, {RSK_SPARSE, 0, 0}, {RSK_SPARSE, 0, 0}};
    const rsk_unroll_params p = {.allowed = anything, .max_depth = 8, .threshold = 6.0, .max_rounds = 9, .norm2 = 7.5, .free = FREE,
                                 .sparsity = sparse};
    rsk_spec *spec = spec_make(DIM, "skew", 1);
    rsk_fit f;
    float s[DIM];
    uint64_t state = 5;
    for (int k = 0; k < DIM; k++) s[k] = next_float(&state);
    if (!CHECK(rsk_fit_create(spec, &p, NULL, 0, 1, &f)) || !CHECK(rsk_fit_load(&f, s, NULL, 0.0))) exit(1);
    CHECK(f.norm2 == 7.5);
    for (int m = 0; m < MODULES; m++) CHECK(f.rho2[m] == 7.5 && f.sparse[m]);
    for (int i = 0; i < NODES; i++) rsk_fit_add(&f, parents[i], places[i], kinds[i], 1.0 + i);
    const int64_t *ends = f.tree.plan.attribute_ends;
    for (int i = 0; i < NODES; i++)
        for (int64_t k = ends[i]; k < ends[i + 1]; k++) {
            const int is_free = k >= ends[i + 1] - FREE;
            CHECK(rsk_fit_in_support(&f, i, k) == is_free); /* priors of new sparse elements are far below the noise */
            if (is_free) CHECK(fabs(f.prior[k] - (1.0 + i) * (1.0 + i) / FREE) <= 1e-12 * f.prior[k]);
        }
    CHECK(rsk_leaves_attributes(spec, 6) && !rsk_leaves_attributes(spec, 7) && !rsk_leaves_attributes(spec, -1));
    rsk_fit_free(&f);
    rsk_spec_free(spec);
}

void test_weightings(void) {
    RUN(test_parts_add_up_to_the_whole);
    RUN(test_kappa_and_masses);
    RUN(test_largest_weights);
    RUN(test_counts_that_overflow);
    RUN(test_parameters_of_unrolling);
    RUN(test_chains_of_one_module);
    RUN(test_fit_decides);
    RUN(test_free_elements);
}
