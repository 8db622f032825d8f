/* Every public function with each of its pointers NULL in turn, those within its structures too: RSK_EINVAL, nothing is written, and
 * nothing else of it is looked at. Where NULL is allowed, it does what the header says. */
#include "contract.h"

#define AT(i, p) (at == (i) ? NULL : (p)) /* the i-th pointer; `at` says which one is NULL */
#define EACH(count, call) \
    for (int at = 0; at < (count); at++) CHECK_STATUS(RSK_EINVAL, call)

/* A batch of one trace: object 0, and object 1 that has it as an input. */
static const int64_t objects[2] = {0, 2}, attribute_ends[3] = {0, 7, 14}, input_ends[3] = {0, 0, 1}, output_ends[2] = {0, 1};
static const int32_t module[2] = {0, 0}, inputs[1] = {0}, outputs[1] = {1};
static const double one = 1;
static const rsk_batch pair = {.traces = 1, .objects = objects, .module = module, .attribute_ends = attribute_ends,
                               .input_ends = input_ends, .inputs = inputs, .weights = &one, .output_ends = output_ends,
                               .outputs = outputs, .output_weights = &one};

static void test_base(void) {
    uint32_t counter[4] = {0}, key[2] = {0}, word[4];
    CHECK(!rsk_isa_available(NULL));
    CHECK(strlen(rsk_status_text((rsk_status)-1)) > 0 && strlen(rsk_status_text((rsk_status)1000)) > 0);
    EACH(3, rsk_philox4x32(AT(0, counter), AT(1, key), AT(2, word)));
    CHECK_STATUS(RSK_EINVAL, rsk_stream_words(1, 2, 0, 4, NULL));
    CHECK_STATUS(RSK_EINVAL, rsk_stream_words(1, 2, 0, 0, NULL));
}

static void test_parts(void) {
    float x[32] = {0}, y[32];
    double xw[32] = {0}, yw[32];
    uint16_t signs[6] = {0};
    const uint32_t entries[4] = {0, 1, 2, 0};
    const int32_t index[4] = {0, 1, 2, 3};
    const int64_t ends[2] = {0, 1}, columns[1] = {0};
    EACH(2, rsk_fwht_f32(AT(0, x), 1, 16, 1.0, AT(1, y), 1));
    EACH(2, rsk_fwht_f64(AT(0, xw), 1, 16, 1.0, AT(1, yw), 1));
    EACH(2, rsk_fwht_f32(AT(0, x), 0, 16, 1.0, AT(1, y), 1));
    CHECK(!rsk_within_f32(NULL, 1, 1, 1.0) && !rsk_within_f64(NULL, 1, 1, 1.0));
    for (int at = 0; at < 4; at++) {
        const rsk_projection p = {4, 4, 16, AT(3, signs), 1.0};
        const rsk_hashing h = {4, 3, 1, AT(3, entries), 1.0};
        CHECK_STATUS(RSK_EINVAL, rsk_project_f32(AT(0, &p), 0, AT(1, x), 1, AT(2, y), 1));
        CHECK_STATUS(RSK_EINVAL, rsk_project_f64(AT(0, &p), 1, AT(1, xw), 1, AT(2, yw), 1));
        CHECK_STATUS(RSK_EINVAL, rsk_hash_f32(AT(0, &h), AT(1, x), 1, AT(2, y), 1));
        CHECK_STATUS(RSK_EINVAL, rsk_hash_f64(AT(0, &h), AT(1, xw), 1, AT(2, yw), 1));
        CHECK_STATUS(RSK_EINVAL, rsk_hash_adjoint_f32(AT(0, &h), AT(1, x), 1, AT(2, y), 1));
        CHECK_STATUS(RSK_EINVAL, rsk_hash_adjoint_f64(AT(0, &h), AT(1, xw), 1, AT(2, yw), 1));
    }
    for (int at = 0; at < 6; at++) {
        const rsk_hashing h = {4, 3, 1, AT(5, entries), 1.0};
        CHECK_STATUS(RSK_EINVAL, rsk_hash_csr_f32(AT(0, &h), 1, AT(1, ends), AT(2, columns), 1, AT(3, x), AT(4, y), 1));
        CHECK_STATUS(RSK_EINVAL, rsk_hash_csr_f64(AT(0, &h), 1, AT(1, ends), AT(2, columns), 1, AT(3, xw), AT(4, yw), 1));
    }
    for (int at = 0; at < 5; at++) {
        const rsk_tensor t = {4, 4, 4, 0, 16, 1, AT(3, signs), AT(4, index), 1.0};
        CHECK_STATUS(RSK_EINVAL, rsk_tensor_sketch_f32(AT(0, &t), AT(1, x), 1, AT(2, y), 1));
        CHECK_STATUS(RSK_EINVAL, rsk_tensor_sketch_f64(AT(0, &t), AT(1, xw), 1, AT(2, yw), 1));
    }
}

static void test_sums(void) {
    const float x[5] = {1, 0, -3, 4, INFINITY};
    const int64_t ends[4] = {0, 2, 4, 5}, place[3] = {0, 2, 3}, apart[3] = {0, 2, 1};
    const int32_t group[3] = {0, 0, 1}, strange[3] = {0, 0, 2};
    double shift[3] = {1, 0, 0}, sum[3], square[3], tally[8];
    int64_t sums[5] = {0}, counts[4];
    ptrdiff_t where = -7;
    EACH(3, rsk_add_fixed(AT(0, x), 1, 4, AT(1, group), 1, AT(2, sums), NULL));
    CHECK_STATUS(RSK_EVALUE, rsk_add_fixed(x, 1, 5, group, 1, sums, &where));
    CHECK(where == 0 && sums[0] == 0);
    uint16_t half[10];
    float scale[2];
    double noise[2];
    EACH(4, rsk_halves(AT(0, x), 1, 4, AT(1, half), AT(2, scale), AT(3, noise), NULL));
    CHECK_STATUS(RSK_EINVAL, rsk_halves(x, -1, 4, half, scale, noise, &where));
    CHECK_STATUS(RSK_EINVAL, rsk_halves(x, 1, 0, half, scale, noise, &where));
    CHECK(where == -1);
    CHECK_STATUS(RSK_EVALUE, rsk_halves(x + 1, 2, 2, half, scale, noise, &where));
    CHECK(where == 1 && half[0] == 0 && half[1] == 0xf600 && scale[0] == 0x1p-13f && noise[0] == 0);
    EACH(9, rsk_moments(AT(0, x), AT(1, ends), AT(2, group), 2, AT(3, place), 2, AT(4, shift), AT(5, sum), AT(6, square), AT(7, counts),
                        AT(8, tally), NULL));
    CHECK_STATUS(RSK_EINVAL, rsk_moments(x, ends, strange, 3, place, 2, shift, sum, square, counts, tally, &where));
    CHECK_STATUS(RSK_EINVAL, rsk_moments(x, ends, group, -1, place, 2, shift, sum, square, counts, tally, &where));
    CHECK_STATUS(RSK_EINVAL, rsk_moments(x, ends, group, 2, apart, 2, shift, sum, square, counts, tally, &where));
    CHECK(where == -1);
    CHECK_STATUS(RSK_ESIZE, rsk_moments(x, ends + 1, group, 2, place, 2, shift, sum, square, counts, tally, &where));
    CHECK(where == 1);
    CHECK_STATUS(RSK_EVALUE, rsk_moments(x, ends, group, 3, place, 2, shift, sum, square, counts, tally, &where));
    CHECK(where == 2);
    CHECK_STATUS(RSK_OK, rsk_moments(x, ends, group, 2, place, 2, shift, sum, square, counts, tally, &where));
    CHECK(where == -1 && counts[0] == 2 && counts[1] == 1 && counts[2] == 0 && counts[3] == 0);
    CHECK(sum[0] == -4 && sum[1] == 4 && sum[2] == 0 && square[0] == 16 && square[1] == 16 && square[2] == 0);
    CHECK(tally[0] == 1 && tally[1] == 4 && tally[2] == 16 && tally[3] == 4 && tally[7] == 0);
}

static void test_spec(void) {
    for (int at = 0; at < 9; at++) {
        params q;
        params_fill(&q, 64, "skew", 1);
        q.p.weighting = RSK_WEIGHTS_BALANCED;
        q.p.rotation = AT(0, q.p.rotation), q.p.lengths = AT(1, q.p.lengths), q.p.kappa = AT(2, q.p.kappa);
        q.p.positions = AT(3, q.p.positions), q.p.operators = AT(4, q.p.operators), q.p.embeddings = AT(5, q.p.embeddings);
        q.p.counters = AT(6, q.p.counters);
        rsk_spec *made = (rsk_spec *)(void *)&made;
        CHECK_STATUS(RSK_EINVAL, rsk_spec_create(AT(7, &q.p), NULL, AT(8, &made)));
        CHECK(at == 8 || made == NULL);
    }
    CHECK(rsk_spec_bytes(NULL) == 0);
    rsk_spec_free(NULL);
    rsk_spec *spec = spec_make(64, "skew", 1);
    float x[64] = {0}, y[64];
    EACH(3, rsk_operator(AT(0, spec), 0, 0, 0, AT(1, x), AT(2, y)));
    EACH(3, rsk_embed(AT(0, spec), 0, AT(1, x), AT(2, y)));
    EACH(3, rsk_embed_adjoint(AT(0, spec), 0, AT(1, x), AT(2, y)));
    EACH(2, rsk_counter(AT(0, spec), 0, AT(1, y)));
    rsk_spec_free(spec);
}

static void test_plan(void) {
    rsk_spec *spec = spec_make(64, "skew", 1);
    for (int at = 0; at < 12; at++) {
        rsk_batch b = pair;
        b.objects = AT(0, b.objects), b.attribute_ends = AT(1, b.attribute_ends), b.input_ends = AT(2, b.input_ends);
        b.output_ends = AT(3, b.output_ends), b.module = AT(4, b.module), b.inputs = AT(5, b.inputs);
        b.weights = AT(6, b.weights), b.outputs = AT(7, b.outputs), b.output_weights = AT(8, b.output_weights);
        rsk_plan *made = (rsk_plan *)(void *)&made;
        rsk_where where = {-7, -7};
        CHECK_STATUS(RSK_EINVAL, rsk_plan_create(AT(9, spec), AT(10, &b), 1, AT(11, &made), &where));
        CHECK(where.trace == -1 && where.object == -1 && (at == 11 || made == NULL));
    }
    /* columns without elements may be NULL: an object alone; no object, no output */
    const int64_t alone[2] = {0, 1}, nothing[2] = {0, 0};
    rsk_batch b = pair;
    rsk_plan *plan = NULL;
    b.objects = alone, b.input_ends = nothing, b.inputs = NULL, b.weights = NULL;
    int32_t first = 0;
    b.outputs = &first;
    CHECK_STATUS(RSK_OK, rsk_plan_create(spec, &b, 1, &plan, NULL));
    rsk_plan_free(plan);
    b.objects = b.output_ends = nothing, b.module = b.outputs = NULL, b.output_weights = NULL;
    CHECK_STATUS(RSK_EOUTPUT, rsk_plan_create(spec, &b, 1, &plan, NULL));
    CHECK(plan == NULL && rsk_plan_vectors(NULL) == 0);
    rsk_plan_free(NULL);
    CHECK_STATUS(RSK_EINVAL, rsk_plan_amplitudes(NULL, NULL, NULL));
    rsk_spec_free(spec);
}

static void test_sweeps(void) {
    rsk_spec *spec = spec_make(64, "skew", 1);
    rsk_plan *plan = NULL;
    float x[14] = {0}, y[64] = {0};
    double residual;
    int32_t iterations;
    const rsk_lstsq_params all = {1e-6, 10, NULL};
    const rsk_sparse_params few = {1, 0, 0, 0, NULL, 10};
    CHECK_STATUS(RSK_OK, rsk_plan_create(spec, &pair, 1, &plan, NULL));
    EACH(4, rsk_sketch(AT(0, spec), AT(1, plan), AT(2, x), NULL, AT(3, y), 1, NULL, NULL));
    EACH(4, rsk_adjoint(AT(0, spec), AT(1, plan), AT(2, y), AT(3, x), NULL, 1, NULL));
    for (int at = 0; at < 7; at++) {
        rsk_where where = {-7, -7};
        CHECK_STATUS(RSK_EINVAL, rsk_lstsq(AT(0, spec), AT(1, plan), AT(2, y), NULL, 1, AT(3, &all), AT(4, x), AT(5, &residual),
                                           AT(6, &iterations), 1, NULL, &where));
        CHECK_STATUS(RSK_EINVAL, rsk_sparse(AT(0, spec), AT(1, plan), AT(2, y), NULL, 1, AT(3, &few), AT(4, x), AT(5, &residual),
                                            AT(6, &iterations), 1, NULL, &where));
        CHECK(where.trace == -1 && where.object == -1);
    }
    rsk_plan_free(plan);
    rsk_spec_free(spec);
}

static void test_unroll(void) {
    rsk_spec *spec = spec_make(64, "skew", 1);
    float y[64] = {0};
    uint8_t allowed[(MODULES + 1) * MODULES];
    memset(allowed, 1, sizeof allowed);
    rsk_unrolled *u = NULL;
    rsk_unrolled_view view;
    for (int at = 0; at < 5; at++) {
        const rsk_unroll_params p = {.allowed = AT(0, allowed), .max_depth = 2, .threshold = 6.0, .max_rounds = 2};
        u = (rsk_unrolled *)(void *)&u;
        CHECK_STATUS(RSK_EINVAL, rsk_unroll(AT(1, spec), 1, AT(2, y), NULL, 1, AT(3, &p), AT(4, &u), 1, NULL, NULL));
        CHECK(at == 4 || u == NULL);
    }
    const rsk_unroll_params p = {.allowed = allowed, .max_depth = 2, .threshold = 6.0, .max_rounds = 2};
    CHECK_STATUS(RSK_OK, rsk_unroll(spec, 1, y, NULL, 1, &p, &u, 1, NULL, NULL));
    CHECK_STATUS(RSK_EINVAL, rsk_unrolled_get(NULL, 0, &view));
    CHECK_STATUS(RSK_EINVAL, rsk_unrolled_get(u, 0, NULL));
    CHECK(rsk_unrolled_objects(NULL, 0) == -1 && rsk_unrolled_attributes(NULL, 0) == -1);
    rsk_unrolled_free(u);
    rsk_unrolled_free(NULL);
    rsk_spec_free(spec);
}

void test_pointers(void) {
    test_base();
    test_parts();
    test_sums();
    test_spec();
    test_plan();
    test_sweeps();
    test_unroll();
}
