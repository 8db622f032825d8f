/* What threads share: the order in which work is handed out, and what is left of the bits where one run is split. */
#include "contract.h"

#include "reading/reading.h"

enum { SPLIT_DIM = 4096, MOST_THREADS = 3 };

/* ---------------------------------------------------------------- longest first */

/* When the last of the threads ends, with the shares from `from` on. */
static double last_end(const rsk_share *s, ptrdiff_t from, ptrdiff_t n, int threads) {
    double ends[8] = {0}, last = 0.0;
    for (ptrdiff_t i = from; i < n; i++) {
        int least = 0;
        for (int k = 1; k < threads; k++)
            if (ends[k] < ends[least]) least = k;
        ends[least] += s[i].cost;
        last = fmax(last, ends[least]);
    }
    return last;
}

static void test_longest_first(void) {
    enum { N = 40 };
    rsk_share s[N];
    uint64_t state = 77;
    for (int n = 0; n <= N; n++)
        for (int threads = 1; threads <= 8; threads++)
            for (int kind = 0; kind < 3; kind++) { /* equal, random, one much longer */
                double all = 0.0;
                for (int i = 0; i < n; i++) {
                    const double cost = kind == 0 ? 3.0 : kind == 2 && i == n / 2 ? 1000.0 : 1.0 + next_word(&state) % 50;
                    s[i] = (rsk_share){cost, i, 0.0};
                    all += cost;
                }
                const ptrdiff_t split = rsk_longest_first(s, n, threads);
                CHECK(split >= 0 && split <= n);
                for (int i = 1; i < n; i++)
                    CHECK(s[i - 1].cost > s[i].cost || (s[i - 1].cost == s[i].cost && s[i - 1].item < s[i].item));
                for (ptrdiff_t i = 0; i <= split; all -= i < n ? s[i].cost : 0.0, i++) /* the first that ends in time */
                    CHECK((last_end(s, i, n, threads) <= 1.1 * all / threads + 1e-9) == (i == split));
            }
}

/* ---------------------------------------------------------------- one run */

enum { FULL, RAGGED, CHAIN, SHARED, SMALL, SHAPES };

static const ptrdiff_t sizes[SHAPES] = {340, 500, 300, 500, 84};
static int is_large(int shape) { return shape == FULL || shape == RAGGED; } /* and without shared objects, and no chain */

/* The user of each object, or -1; objects stand before their users. Counted from the end, they stand as in a heap, but for a ragged tree
 * with from 0 to MAX_INPUTS inputs each. */
static void users_of(int shape, ptrdiff_t n, int32_t *user, uint64_t *state) {
    ptrdiff_t at = 0, inputs = 0;
    for (ptrdiff_t h = 0; h < n; h++) {
        ptrdiff_t of = shape == CHAIN ? h - 1 : h / MAX_INPUTS - 1;
        if ((shape == RAGGED || shape == SHARED) && h >= MAX_INPUTS) {
            if (inputs == MAX_INPUTS || (next_word(state) % 4 == 0 && at + 1 < h)) at++, inputs = 0;
            of = at, inputs++;
        }
        user[n - 1 - h] = of < 0 ? -1 : (int32_t)(n - 1 - of);
    }
}

/* One run of each shape. In SHARED one object is an input twice. */
static void shapes_make(runs *r, uint64_t seed) {
    static const ptrdiff_t lengths[MODULES] = {7, 16, 33, 150};
    enum { N = 340 + 500 + 300 + 500 + 84 };
    uint64_t state = seed;
    int64_t edges = 0, ends = 0;
    memset(r, 0, sizeof *r);
    r->objects = need(SHAPES + 1, 8), r->output_ends = need(SHAPES + 1, 8);
    r->attribute_ends = need(N + 1, 8), r->input_ends = need(N + 1, 8);
    r->module = need(N, 4), r->inputs = need(N + 1, 4), r->weights = need(N + 1, 8);
    r->outputs = need(N, 4), r->output_weights = need(N, 8);
    for (int shape = 0; shape < SHAPES; shape++) {
        const ptrdiff_t n = sizes[shape];
        int32_t *user = need((size_t)n, 4);
        int shared = shape != SHARED;
        users_of(shape, n, user, &state);
        for (ptrdiff_t i = 0; i < n; i++, r->n++) {
            r->module[r->n] = (int32_t)(next_word(&state) % MODULES);
            r->attribute_ends[r->n + 1] = r->floats += lengths[r->module[r->n]];
            for (ptrdiff_t k = 0; k < i; k++)
                if (user[k] == i) r->inputs[edges] = (int32_t)k, r->weights[edges++] = 0.5 + next_word(&state) % 8;
            const int64_t inputs = edges - r->input_ends[r->n];
            if (!shared && inputs && inputs < MAX_INPUTS)
                r->inputs[edges] = r->inputs[edges - 1], r->weights[edges++] = 1.0, shared = 1;
            r->input_ends[r->n + 1] = edges;
            if (user[i] < 0) r->outputs[ends] = (int32_t)i, r->output_weights[ends++] = 1.0 + next_word(&state) % 3;
        }
        r->objects[shape + 1] = r->n, r->output_ends[shape + 1] = ends;
        free(user);
    }
    r->attributes = need((size_t)r->floats, 4);
    for (ptrdiff_t i = 0; i < r->floats; i++) r->attributes[i] = next_float(&state);
    r->batch = (rsk_batch){.traces = SHAPES, .objects = r->objects, .module = r->module, .attribute_ends = r->attribute_ends,
                           .input_ends = r->input_ends, .inputs = r->inputs, .weights = r->weights,
                           .output_ends = r->output_ends, .outputs = r->outputs, .output_weights = r->output_weights};
}

/* What one sweep of every kind makes of a run, with a team. */
typedef struct swept {
    float *sketch, *back, *counters;
    ptrdiff_t bad;
} swept;

static swept sweep(const rsk_spec *spec, const rsk_plan *plan, const runs *r, int shape, int team) {
    const int64_t first = r->attribute_ends[r->objects[shape]], n = r->attribute_ends[r->objects[shape + 1]] - first;
    swept s = {need(SPLIT_DIM, 4), need((size_t)n, 4), need((size_t)sizes[shape], 4), 0};
    rsk_scratch *scratch = rsk_scratch_create(spec, plan, team, NULL);
    if (!CHECK(scratch != NULL)) exit(1);
    scratch->team = team;
    s.bad = rsk_forward_trace(spec, plan, shape, r->attributes + first, NULL, 1.0f, s.sketch, scratch);
    rsk_adjoint_trace(spec, plan, shape, s.sketch, s.back, s.counters, scratch);
    rsk_scratch_free(scratch, team);
    return s;
}

static void free_swept(swept *s) { free(s->sketch), free(s->back), free(s->counters); }

static int is_same(const swept *a, const swept *b, const runs *r, int shape) {
    const size_t n = (size_t)(r->attribute_ends[r->objects[shape + 1]] - r->attribute_ends[r->objects[shape]]);
    return a->bad == b->bad && !memcmp(a->sketch, b->sketch, SPLIT_DIM * 4) && !memcmp(a->back, b->back, 4 * n) &&
           !memcmp(a->counters, b->counters, 4 * (size_t)sizes[shape]);
}

/* Large trees are split, and nothing else; every team makes the same bits of them. */
static void test_split_sweeps(const char *rotation) {
    rsk_spec *spec = spec_make(SPLIT_DIM, rotation, 1);
    const int whole = strcmp(rotation, "hadamard") != 0; /* in whole numbers */
    runs r;
    shapes_make(&r, 5);
    rsk_plan *plan = plan_make(spec, &r);
    for (int shape = 0; shape < SHAPES; shape++) {
        swept alone = sweep(spec, plan, &r, shape, 1);
        CHECK(!rsk_is_split(spec, plan, shape, 1));
        for (int team = 2; team <= MOST_THREADS; team++) {
            CHECK(rsk_is_split(spec, plan, shape, team) == (whole && is_large(shape)));
            swept shared = sweep(spec, plan, &r, shape, team);
            CHECK(is_same(&alone, &shared, &r, shape));
            free_swept(&shared);
        }
        free_swept(&alone);
    }
    rsk_plan_free(plan);
    rsk_spec_free(spec);
    runs_free(&r);
}

/* The first bad attribute is told, whichever thread finds which. */
static void test_split_bad_attributes(void) {
    rsk_spec *spec = spec_make(SPLIT_DIM, "skew", 1);
    runs r;
    shapes_make(&r, 6);
    r.batch.traces = 1;
    rsk_plan *plan = plan_make(spec, &r);
    float *y = need(SPLIT_DIM, 4);
    uint64_t state = 9;
    for (int turn = 0; turn < 6; turn++) {
        float *x[4], before[4];
        for (int i = 0; i < 4; i++) x[i] = r.attributes + next_word(&state) % (uint32_t)r.attribute_ends[sizes[FULL]];
        for (int i = 0; i < 4; i++) before[i] = *x[i], *x[i] = NAN;
        rsk_where one, many;
        CHECK_STATUS(RSK_EVALUE, rsk_sketch(spec, plan, r.attributes, NULL, y, 1, NULL, &one));
        CHECK_STATUS(RSK_EVALUE, rsk_sketch(spec, plan, r.attributes, NULL, y, MOST_THREADS, NULL, &many));
        CHECK(one.trace == 0 && many.trace == 0 && one.object == many.object);
        for (int i = 4; i-- > 0;) *x[i] = before[i];
    }
    rsk_plan_free(plan);
    rsk_spec_free(spec);
    runs_free(&r);
    free(y);
}

/* A split that gets no memory is none. */
static void test_split_memory(void) {
    rsk_spec *spec = spec_make(SPLIT_DIM, "skew", 1);
    runs r;
    shapes_make(&r, 6);
    r.batch.traces = 1;
    rsk_plan *plan = plan_make(spec, &r);
    const size_t n = (size_t)r.attribute_ends[sizes[FULL]];
    float *y = need(SPLIT_DIM, 4), *z = need(SPLIT_DIM, 4), *x = need(n, 4), *w = need(n, 4);
    rsk_scratch *scratch = rsk_scratch_create(spec, plan, 2, NULL);
    if (!CHECK(scratch != NULL)) exit(1);
    CHECK(rsk_forward_trace(spec, plan, 0, r.attributes, NULL, 1.0f, y, scratch) == -1);
    rsk_adjoint_trace(spec, plan, 0, y, x, NULL, scratch);
    scratch->team = 2;
    for (long fail = 0; fail < 5; fail++) { /* slots, tuples, pieces, vectors; none */
        memset(z, 0, SPLIT_DIM * 4), memset(w, 0, n * 4);
        fail_allocations(fail);
        const ptrdiff_t bad = rsk_forward_trace(spec, plan, 0, r.attributes, NULL, 1.0f, z, scratch);
        fail_allocations(fail);
        rsk_adjoint_trace(spec, plan, 0, y, w, NULL, scratch);
        fail_allocations(-1);
        CHECK(bad == -1 && !memcmp(y, z, SPLIT_DIM * 4) && !memcmp(x, w, n * 4));
    }
    rsk_scratch_free(scratch, 2);
    rsk_plan_free(plan);
    rsk_spec_free(spec);
    runs_free(&r);
    free(y), free(z), free(x), free(w);
}

/* A batch in which some runs are split and others handed out: the same bits as on one thread. */
static void test_unequal_batch(void) {
    rsk_spec *spec = spec_make(SPLIT_DIM, "skew", 1);
    runs r;
    shapes_make(&r, 7);
    rsk_plan *plan = plan_make(spec, &r);
    float *y[2] = {need(SHAPES * SPLIT_DIM, 4), need(SHAPES * SPLIT_DIM, 4)};
    float *x[2] = {need((size_t)r.floats, 4), need((size_t)r.floats, 4)}, *z[2] = {need((size_t)r.floats, 4), need((size_t)r.floats, 4)};
    float *c[2] = {need((size_t)r.n, 4), need((size_t)r.n, 4)};
    const rsk_lstsq_params p = {0.0, 4, NULL};
    double residual[2][SHAPES];
    int32_t iterations[SHAPES];
    for (int threads = 1; threads <= MOST_THREADS; threads++) {
        const int i = threads > 1;
        CHECK_STATUS(RSK_OK, rsk_sketch(spec, plan, r.attributes, NULL, y[i], threads, NULL, NULL));
        CHECK(!memcmp(y[0], y[i], SHAPES * SPLIT_DIM * 4));
        CHECK_STATUS(RSK_OK, rsk_adjoint(spec, plan, y[0], x[i], c[i], threads, NULL));
        CHECK(!memcmp(x[0], x[i], 4 * (size_t)r.floats) && !memcmp(c[0], c[i], 4 * (size_t)r.n));
        CHECK_STATUS(RSK_OK, rsk_lstsq(spec, plan, y[0], NULL, 1, &p, z[i], residual[i], iterations, threads, NULL, NULL));
        CHECK(!memcmp(z[0], z[i], 4 * (size_t)r.floats) && !memcmp(residual[0], residual[i], sizeof *residual));
    }
    for (int i = 0; i < 2; i++) free(x[i]), free(y[i]), free(z[i]), free(c[i]);
    rsk_plan_free(plan);
    rsk_spec_free(spec);
    runs_free(&r);
}

/* ---------------------------------------------------------------- one search */

/* A thread's detector has scratch of its own, and all else of the one that is searched with. */
static void test_detectors(void) {
    rsk_spec *spec = spec_make(128, "skew", 1);
    rsk_detector q[2];
    for (int i = 0; i < 2; i++)
        if (!CHECK(rsk_detector_create(spec, 9, 3, 2, &q[i]))) exit(1);
    q[0].team = q, q[0].threads = 2, q[0].worker = 0;
    const rsk_detector first = rsk_detector_of(q, 0), own = rsk_detector_of(q, 1);
    CHECK(!memcmp(&first, q, sizeof first) && own.worker == 1);
    CHECK(own.object == q[1].object && own.spare == q[1].spare && own.padded == q[1].padded && own.work == q[1].work);
    CHECK(own.scores == q[1].scores && own.near == q[1].near && own.first == q[1].first);
    CHECK(own.z == q->z && own.e == q->e && own.noise_of == q->noise_of && own.taken == q->taken && own.ways == q->ways);
    for (int i = 0; i < 2; i++) rsk_detector_free(&q[i]);
    rsk_spec_free(spec);
}

/* One sketch of more than it can hold, so that the search looks far down, and two more to be handed out: the same answers. */
static void test_searched_together(void) {
    enum { D = 8192 }; /* from which on scores are shared, with four modules and four positions */
    rsk_spec *spec = spec_make(D, "skew", 1);
    uint8_t allowed[(MODULES + 1) * MODULES];
    memset(allowed, 1, sizeof allowed);
    const rsk_unroll_params p = {.allowed = allowed, .max_depth = 5, .threshold = 6.0, .max_rounds = 3};
    runs r;
    shapes_make(&r, 8);
    r.batch.traces = 3;
    rsk_plan *plan = plan_make(spec, &r);
    float *y = need(3 * D, 4);
    CHECK_STATUS(RSK_OK, rsk_sketch(spec, plan, r.attributes, NULL, y, 1, NULL, NULL));
    for (ptrdiff_t n = 1; n <= 3; n += 2) {
        rsk_unrolled *alone = NULL, *shared = NULL;
        CHECK_STATUS(RSK_OK, rsk_unroll(spec, n, y, NULL, 0, &p, &alone, 1, NULL, NULL));
        for (int threads = 2; threads <= MOST_THREADS; threads++) {
            CHECK_STATUS(RSK_OK, rsk_unroll(spec, n, y, NULL, 0, &p, &shared, threads, NULL, NULL));
            for (ptrdiff_t i = 0; i < n; i++) {
                rsk_unrolled_view v, w;
                const size_t objects = (size_t)rsk_unrolled_objects(alone, i), size = (size_t)rsk_unrolled_attributes(alone, i);
                CHECK(objects > 0 && objects == (size_t)rsk_unrolled_objects(shared, i));
                if (rsk_unrolled_get(alone, i, &v) || rsk_unrolled_get(shared, i, &w)) exit(1);
                CHECK(!memcmp(v.parent, w.parent, 4 * objects) && !memcmp(v.module, w.module, 4 * objects));
                CHECK(!memcmp(v.evidence, w.evidence, 8 * objects) && !memcmp(v.attributes, w.attributes, 8 * size));
                CHECK(v.residual == w.residual && v.missing == w.missing && v.iterations == w.iterations);
            }
            rsk_unrolled_free(shared);
        }
        rsk_unrolled_free(alone);
    }
    rsk_plan_free(plan);
    rsk_spec_free(spec);
    runs_free(&r);
    free(y);
}

/* ---------------------------------------------------------------- interrupts */

typedef struct patience {
    long left; /* looks until the answer is "stop" */
    int stopped;
    rsk_stop stop;
} patience;

static int asked(void *context) {
    patience *p = context;
    p->stopped = p->left-- <= 0;
    p->stop.next = 1; /* long ago: the next look asks, too */
    return p->stopped;
}

/* Calls it with ever more patience, until it ends by itself. */
#define EACH_LOOK(call)                                               \
    for (long looks = 0;; looks += 1 + looks) {                       \
        patience p = {.left = looks, .stop = {.asked = asked, .next = 1}}; \
        p.stop.context = &p;                                          \
        const rsk_status got = (call);                                \
        CHECK(got == (p.stopped ? RSK_ESTOP : RSK_OK));               \
        if (got != RSK_ESTOP) break;                                  \
    }

static void test_split_stops(void) {
    rsk_spec *spec = spec_make(SPLIT_DIM, "skew", 1);
    runs r;
    shapes_make(&r, 5);
    r.batch.traces = 1;
    rsk_plan *plan = plan_make(spec, &r);
    float *y = need(SPLIT_DIM, 4), *x = need((size_t)r.floats, 4);
    const rsk_lstsq_params dense = {0.0, 6, NULL};
    uint8_t allowed[(MODULES + 1) * MODULES];
    memset(allowed, 1, sizeof allowed);
    const rsk_unroll_params blind = {.allowed = allowed, .max_depth = 3, .threshold = 6.0, .max_rounds = 2};
    rsk_unrolled *u = NULL;
    double residual;
    int32_t iterations;
    for (int threads = 2; threads <= MOST_THREADS; threads++) {
        EACH_LOOK(rsk_sketch(spec, plan, r.attributes, NULL, y, threads, &p.stop, NULL));
        EACH_LOOK(rsk_adjoint(spec, plan, y, x, NULL, threads, &p.stop));
        EACH_LOOK(rsk_lstsq(spec, plan, y, NULL, 1, &dense, x, &residual, &iterations, threads, &p.stop, NULL));
        EACH_LOOK((rsk_unrolled_free(u), rsk_unroll(spec, 1, y, NULL, 0, &blind, &u, threads, &p.stop, NULL)));
    }
    rsk_unrolled_free(u);
    rsk_plan_free(plan);
    rsk_spec_free(spec);
    runs_free(&r);
    free(y), free(x);
}

static void test_split_skew(void) { test_split_sweeps("skew"); }
static void test_split_block(void) { test_split_sweeps("block"); }
static void test_split_hadamard(void) { test_split_sweeps("hadamard"); }

void test_threads(void) {
    RUN(test_longest_first);
    RUN(test_split_skew);
    RUN(test_split_hadamard);
    RUN(test_split_block);
    RUN(test_split_bad_attributes);
    RUN(test_split_memory);
    RUN(test_unequal_batch);
    RUN(test_detectors);
    RUN(test_searched_together);
    RUN(test_split_stops);
}
