/* rsk_stop: every call that takes one ends with RSK_ESTOP from any look on, asks nobody afterwards, and frees what it took. */
#include "contract.h"

enum { STOP_DIM = 128, STOP_TRACES = 5, STOP_ORDER = 256, STOP_ROWS = 96 };

typedef struct patience {
    rsk_stop stop;
    long left;          /* looks until the answer is "stop" */
    int looks, stopped; /* how often it was asked, whether it said so */
} patience;

#if defined(_MSC_VER)
static __declspec(thread) int is_caller;
#else
static _Thread_local int is_caller; /* set in the thread that makes the calls, which alone may be asked in */
#endif

static int asked(void *context) {
    patience *p = context;
    CHECK(!p->stopped && is_caller);
    p->looks++;
    p->stopped = p->left-- <= 0;
    p->stop.next = 1; /* long ago: the next look asks, too */
    return p->stopped;
}

static patience patience_of(long looks) {
    const patience p = {.stop = {.asked = asked, .next = 1}, .left = looks};
    return p;
}

/* From the first look on, then ever later ones, until the call ends by itself. `call` uses &p.stop. With several threads the calling
 * one may find nothing left to do, and then it does not look. */
#define EACH_LOOK(call)                                               \
    for (long looks = 0;; looks += 1 + looks / 2) {                   \
        patience p = patience_of(looks);                              \
        p.stop.context = &p;                                          \
        const rsk_status got = (call);                                \
        CHECK(got == (p.stopped ? RSK_ESTOP : RSK_OK));               \
        CHECK(p.looks > 0 || threads > 1);                            \
        if (got != RSK_ESTOP) break;                                  \
    }

static void test_sweeps_stop(int threads) {
    runs r;
    params q;
    rsk_spec *spec = spec_make(STOP_DIM, "skew", 1), *made = NULL;
    runs_make(&r, STOP_TRACES, 12, 5);
    rsk_plan *plan = plan_make(spec, &r);
    float *y = need(STOP_TRACES * STOP_DIM, sizeof *y), *x = need((size_t)r.floats, sizeof *x);
    double residual[STOP_TRACES];
    int32_t iterations[STOP_TRACES];
    const rsk_lstsq_params dense = {0.0, 50, NULL};
    const rsk_sparse_params sparse = {0, 0, 0, 1, NULL, 50};
    uint8_t allowed[(MODULES + 1) * MODULES];
    rsk_unrolled *unrolled = NULL;
    memset(allowed, 1, sizeof allowed);
    const rsk_unroll_params blind = {.allowed = allowed, .max_depth = 3, .threshold = 6.0, .max_rounds = 3};
    params_fill(&q, STOP_DIM, "hadamard", 0);
    EACH_LOOK((rsk_spec_free(made), rsk_spec_create(&q.p, &p.stop, &made)));
    EACH_LOOK(rsk_sketch(spec, plan, r.attributes, NULL, y, threads, &p.stop, NULL));
    EACH_LOOK(rsk_adjoint(spec, plan, y, x, NULL, threads, &p.stop));
    EACH_LOOK(rsk_lstsq(spec, plan, y, NULL, 1, &dense, x, residual, iterations, threads, &p.stop, NULL));
    EACH_LOOK(rsk_sparse(spec, plan, y, NULL, 1, &sparse, x, residual, iterations, threads, &p.stop, NULL));
    EACH_LOOK((rsk_unrolled_free(unrolled), rsk_unroll(spec, 2, y, NULL, 1, &blind, &unrolled, threads, &p.stop, NULL)));
    CHECK(made && unrolled);
    rsk_unrolled_free(unrolled);
    rsk_plan_free(plan);
    rsk_spec_free(spec);
    rsk_spec_free(made);
    runs_free(&r);
    free(y), free(x);
}

/* Within one trace it is asked about every 65,536 coordinates, and at no tuple of few. */
static void test_long_traces_are_asked_about(void) {
    enum { DIM = 4096 };
    runs r;
    rsk_spec *spec = spec_make(DIM, "skew", 1);
    runs_make(&r, 2, 600, 5);
    rsk_plan *plan = plan_make(spec, &r);
    float *y = need(2 * DIM, sizeof *y), *x = need((size_t)r.floats, sizeof *x);
    const double least = (double)r.n * DIM / 65536, most = 6.0 * least + 2.0;
    for (int back = 0; back < 2; back++) {
        patience p = patience_of(1000000);
        p.stop.context = &p;
        if (back) CHECK_STATUS(RSK_OK, rsk_adjoint(spec, plan, y, x, NULL, 1, &p.stop));
        else CHECK_STATUS(RSK_OK, rsk_sketch(spec, plan, r.attributes, NULL, y, 1, &p.stop, NULL));
        CHECK(p.looks >= least && p.looks <= most);
    }
    rsk_plan_free(plan);
    rsk_spec_free(spec);
    runs_free(&r);
    free(y), free(x);
}

static void test_parts_stop(int threads) {
    enum { SIGNALS = 3, K = 5, N = 700, D = 30, M = 100 };
    rsk_hadamard *h = NULL;
    int32_t rows[STOP_ROWS], support[SIGNALS * K], count[SIGNALS], iterations[SIGNALS], reason[SIGNALS];
    double y[SIGNALS * STOP_ROWS], coef[SIGNALS * K], residual[SIGNALS];
    uint64_t state = 29;
    for (int i = 0; i < STOP_ROWS; i++) rows[i] = 2 * i;
    for (int i = 0; i < SIGNALS * STOP_ROWS; i++) y[i] = (double)next_float(&state);
    if (!CHECK_STATUS(RSK_OK, rsk_hadamard_create(STOP_ORDER, STOP_ROWS, rows, 7, 1, &h))) exit(1);
    for (int sign = 0; sign < 2; sign++) {
        const rsk_support_params few = {K, 1, NULL, sign, 20};
        const rsk_supports out = {support, coef, count, residual, iterations, reason};
        EACH_LOOK(rsk_omp(h, SIGNALS, y, &few, &out, threads, &p.stop));
        EACH_LOOK(rsk_htp(h, SIGNALS, y, &few, &out, threads, &p.stop));
    }
    rsk_hadamard_free(h);
    int8_t *bytes = need(N * D, sizeof *bytes);
    float *q = need(M * D, sizeof *q), *scores = need(M * K, sizeof *scores);
    int64_t *indices = need(M * K, sizeof *indices);
    for (int i = 0; i < N * D; i++) bytes[i] = (int8_t)(next_word(&state) % 200);
    for (int i = 0; i < M * D; i++) q[i] = next_float(&state);
    EACH_LOOK(rsk_scan(RSK_SCAN_I8, bytes, NULL, N, D, q, M, K, scores, indices, threads, &p.stop));
    free(bytes), free(q), free(scores), free(indices);
}

/* A call that has just begun is not asked about; the first question comes once `next` is past, or so far ahead that the clock must
 * have been set back. */
static void test_when_it_is_asked(void) {
    const int8_t row[4] = {1, 2, 3, 4};
    const float q[4] = {1, 1, 1, 1};
    float score;
    int64_t index;
    const int64_t next[] = {0, 1, INT64_MAX / 2};
    for (int i = 0; i < 3; i++) {
        patience p = patience_of(0);
        p.stop.context = &p, p.stop.next = next[i];
        CHECK_STATUS(i ? RSK_ESTOP : RSK_OK, rsk_scan(RSK_SCAN_I8, row, NULL, 1, 4, q, 1, 1, &score, &index, 1, &p.stop));
        CHECK(p.looks == (i > 0) && (i || p.stop.next > 1));
    }
}

void test_stopping(void) {
    is_caller = 1;
    for (int threads = 1; threads <= 3; threads++) {
        test_sweeps_stop(threads);
        test_parts_stop(threads);
    }
    test_long_traces_are_asked_about();
    test_when_it_is_asked();
}
