/* How much memory calls take: what csrc/recsketch.h says, from 0.9 to 1.1 times. The most that is allocated at one time is counted, as
 * malloc_usable_size tells it: a few bytes an allocation more than was asked for. */
#include "contract.h"

#include "recursion/recursion.h" /* sizes of a specification's modules */

enum { BYTES_DIM = 2048, SLACK = 4096 }; /* small arrays that no formula counts */

#define BYTES(want, call)                                                                         \
    do {                                                                                          \
        (void)peak_bytes();                                                                       \
        CHECK_STATUS(RSK_OK, (call));                                                             \
        const double got = (double)peak_bytes(), told = (double)(want);                           \
        if (!CHECK(got >= 0.9 * told && got <= 1.1 * told + SLACK)) printf("  %.0f, not %.0f\n", got, told); \
    } while (0)

static int counted(void) {
    (void)peak_bytes();
    free(need(100000, 1));
    return peak_bytes() >= 100000;
}

/* A chain of `n` objects of the module of 33 elements, each with the one before as two inputs. */
typedef struct chain {
    rsk_batch batch;
    int64_t objects[2], output_ends[2], *ends, *input_ends;
    int32_t *module, *inputs, output;
    double *weights, one;
} chain;

static void chain_make(chain *c, int n, int fan) {
    const size_t size = (size_t)n;
    *c = (chain){.objects = {0, n}, .output_ends = {0, 1}, .ends = need(size + 1, 8), .input_ends = need(size + 1, 8),
                 .module = need(size, 4), .inputs = need(2 * size, 4), .output = n - 1, .weights = need(2 * size, 8), .one = 1};
    for (int i = 0; i < n; i++) {
        c->module[i] = 2, c->ends[i + 1] = 33 * (i + 1), c->input_ends[i + 1] = fan * i;
        for (int k = 0; i && k < fan; k++) c->inputs[fan * (i - 1) + k] = i - 1, c->weights[fan * (i - 1) + k] = 1;
    }
    c->batch = (rsk_batch){.traces = 1, .objects = c->objects, .module = c->module, .attribute_ends = c->ends,
                           .input_ends = c->input_ends, .inputs = c->inputs, .weights = c->weights,
                           .output_ends = c->output_ends, .outputs = &c->output, .output_weights = &c->one};
}

static void chain_free(chain *c) { free(c->ends), free(c->input_ends), free(c->module), free(c->inputs), free(c->weights); }

static void test_bytes_of_sweeps(void) {
    rsk_spec *spec = spec_make(BYTES_DIM, "skew", 1);
    for (int fan = 1; fan <= 2; fan++) { /* a tree of one tuple a level; shared objects, which take a step a use more */
        enum { N = 300 };
        chain c;
        chain_make(&c, N, fan);
        rsk_plan *plan = NULL;
        BYTES((24 + 124) * N + (128 + 8) * (fan * (N - 1) + 1), rsk_plan_create(spec, &c.batch, 1, &plan, NULL));
        float *x = need(33 * N, sizeof *x), *y = need(BYTES_DIM, sizeof *y);
        double residual;
        int32_t iterations;
        const double direct = 64; /* what 33 unknowns are padded to */
        const double sweep = 4.0 * ((double)(rsk_plan_vectors(plan) + 11) * BYTES_DIM + 320 * direct), n = 33 * N, d = BYTES_DIM;
        const rsk_lstsq_params all = {0, 2, NULL};
        const rsk_sparse_params few = {3, 0, 0, 0, NULL, 2};
        for (int k = 0; k < 33 * N; k++) x[k] = 0.1f;
        BYTES(sweep, rsk_sketch(spec, plan, x, NULL, y, 1, NULL, NULL));
        BYTES(sweep, rsk_adjoint(spec, plan, y, x, NULL, 1, NULL));
        BYTES(sweep + 28 * d + 44 * n, rsk_lstsq(spec, plan, y, NULL, 1, &all, x, &residual, &iterations, 1, NULL, NULL));
        BYTES(sweep + 28 * d + 76 * n, rsk_sparse(spec, plan, y, NULL, 1, &few, x, &residual, &iterations, 1, NULL, NULL));
        rsk_plan_free(plan);
        chain_free(&c);
        free(x), free(y);
    }
    rsk_spec_free(spec);
}

/* Where no index of a leaf may be kept, each is made every time: the same bits. */
static void test_indices(void) {
    rsk_spec *spec = spec_make(BYTES_DIM, "skew", 1);
    enum { N = 40 };
    chain c;
    chain_make(&c, N, 2);
    rsk_plan *plan = NULL;
    CHECK_STATUS(RSK_OK, rsk_plan_create(spec, &c.batch, 1, &plan, NULL));
    float *x = need(33 * N, sizeof *x), *want = need(BYTES_DIM, sizeof *want), *got = need(BYTES_DIM, sizeof *got);
    float *back = need(33 * N, sizeof *back), *again = need(33 * N, sizeof *again);
    uint64_t state = 5;
    for (int k = 0; k < 33 * N; k++) x[k] = next_float(&state);
    const ptrdiff_t drawn = rsk_spec_bytes(spec);
    CHECK_STATUS(RSK_OK, rsk_sketch(spec, plan, x, NULL, want, 1, NULL, NULL));
    CHECK_STATUS(RSK_OK, rsk_adjoint(spec, plan, want, back, NULL, 1, NULL));
    CHECK(rsk_spec_bytes(spec) == drawn + 2 * BYTES_DIM / 2); /* of one module at two positions */
    rsk_indices_free(spec->indices, spec);
    spec->indices = rsk_indices_create(spec, 0);
    CHECK_STATUS(RSK_OK, rsk_sketch(spec, plan, x, NULL, got, 1, NULL, NULL));
    CHECK_STATUS(RSK_OK, rsk_adjoint(spec, plan, want, again, NULL, 1, NULL));
    CHECK(rsk_spec_bytes(spec) == drawn);
    CHECK(!memcmp(want, got, BYTES_DIM * sizeof *got) && !memcmp(back, again, 33 * N * sizeof *again));
    rsk_plan_free(plan);
    chain_free(&c);
    free(x), free(want), free(got), free(back), free(again);
    rsk_spec_free(spec);
}

static void test_bytes_of_specs(void) {
    for (int hadamard = 0; hadamard < 2; hadamard++) {
        params q;
        params_fill(&q, 1 << 16, hadamard ? "hadamard" : "skew", 1);
        rsk_spec *spec = NULL;
        BYTES(((1 + hadamard) * (MAX_INPUTS + 3 + MODULES) + 2 * MODULES + 1) * ((1 << 16) / 8),
              rsk_spec_create(&q.p, NULL, &spec));
        rsk_spec_free(spec);
    }
    params q;
    params_fill(&q, 1 << 16, "block", 1);
    rsk_spec *spec = NULL;
    BYTES((MAX_INPUTS + MODULES + 4) * ((1 << 16) / 8) + 2 * 8 * (7 + 16 + 33 + 150 + MODULES) + 4 * MODULES * (1 << 16) / 32,
          rsk_spec_create(&q.p, NULL, &spec));
    rsk_spec_free(spec);
}

static void test_bytes_of_unrolling(void) {
    uint8_t allowed[(MODULES + 1) * MODULES];
    memset(allowed, 1, sizeof allowed);
    rsk_spec *spec = spec_make(BYTES_DIM, "skew", 1);
    float *s = need(2 * BYTES_DIM, sizeof *s);
    const rsk_sparsity sparsity[2][MODULES] = {{{RSK_DENSE, 0, 0}}, {{RSK_DENSE, 0, 0}, {RSK_DECIDE, 0, 0}}};
    s[3] = s[BYTES_DIM + 4] = 1;
    for (int kind = 0; kind < 3; kind++) /* dense, sparse, with signatures */
        for (ptrdiff_t depth = 1; depth <= RSK_MAX_DEPTH; depth += RSK_MAX_DEPTH - 1)
            for (int threads = 1; threads <= 2; threads++) {
                const int sparse = kind == 1, tied = kind == 2;
                const rsk_unroll_params p = {.allowed = allowed, .max_depth = depth, .threshold = 1e9, .max_rounds = 1,
                                             .sparsity = sparse || depth > 1 ? sparsity[sparse] : NULL, .free = tied, .signature = tied};
                rsk_unrolled *u = NULL;
                const double d = BYTES_DIM, objects = (sparse ? 12 : tied ? 3 : 1) * (d / 8 + 1), longest = 150, own = tied ? 354 : 306;
                const double vectors = (sparse ? 1456 : tied ? 692 : 444) + 4 * (double)depth;
                const double each = vectors * d + (116 + own) * objects + own * (d / 8 + 1) + MAX_INPUTS * (4 * longest + 24 * MODULES) + MODULES * (8 * longest + 120);
                const int workers = rsk_parallel_threads(threads, 2, 1);
                BYTES(4 * (MODULES + 3) * d + workers * each, rsk_unroll(spec, 2, s, NULL, 0, &p, &u, threads, NULL, NULL));
                rsk_unrolled_free(u);
            }
    free(s);
    rsk_spec_free(spec);
}

static void test_bytes_of_encoding(void) {
    enum { N = 100000 };
    static const ptrdiff_t length = 1;
    static const double scale = 1;
    const rsk_coding coding = {.modules = 1, .lengths = &length, .scales = &scale, .polar = 1};
    int32_t *module = need(N, sizeof *module);
    int64_t *ends = need(N + 1, sizeof *ends);
    float *x = need(N, sizeof *x), *y = need(2 * N, sizeof *y);
    for (int i = 0; i < N; i++) ends[i + 1] = i + 1;
    BYTES(8 * N, rsk_encode(&coding, N, module, NULL, ends, x, y, 2, NULL));
    (void)peak_bytes();
    CHECK_STATUS(RSK_OK, rsk_decode(&coding, N, module, ends, y, NULL, x, NULL, 2));
    CHECK(peak_bytes() < SLACK);
    free(module), free(ends), free(x), free(y);
}

void test_bytes(void) {
    if (!counted()) return;
    RUN(test_bytes_of_specs);
    RUN(test_bytes_of_sweeps);
    RUN(test_indices);
    RUN(test_bytes_of_unrolling);
    RUN(test_bytes_of_encoding);
}
