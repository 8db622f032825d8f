/* Sampled Hadamard matrices, sparse solvers and scans: every documented status, failing allocations, and their part of the
 * digest. */
#include "base/base.h"
#include "contract.h"

enum { ORDER = 256, ROWS = 96, BATCH = 5, SPARSITY = 6, SCAN_N = 333, SCAN_D = 75, SCAN_M = 23, SCAN_K = 12, SCAN_TYPES = 4 };

static void rows_fill(int32_t *rows) { /* a random subset, ascending */
    uint64_t state = 19;
    uint32_t left = ROWS;
    for (uint32_t v = 0; v < ORDER; v++)
        if (next_word(&state) % (ORDER - v) < left) rows[ROWS - left--] = (int32_t)v;
}

static rsk_hadamard *make(void) {
    int32_t rows[ROWS];
    rsk_hadamard *h = NULL;
    rows_fill(rows);
    if (!CHECK_STATUS(RSK_OK, rsk_hadamard_create(ORDER, ROWS, rows, 7, 0x123456789abcdef0u, &h))) exit(1);
    return h;
}

/* What a solver returns, with room for BATCH signals of at most ROWS non-zeros. */
typedef struct answer {
    int32_t support[BATCH * ROWS], count[BATCH], iterations[BATCH], reason[BATCH];
    double coef[BATCH * ROWS], residual[BATCH];
} answer;

typedef rsk_status solver(const rsk_hadamard *, ptrdiff_t, const double *, const rsk_support_params *, const rsk_supports *, int,
                          rsk_stop *);
static solver *const solvers[] = {rsk_omp, rsk_htp};

static rsk_supports supports(answer *a) {
    const rsk_supports out = {a->support, a->coef, a->count, a->residual, a->iterations, a->reason};
    return out;
}

static rsk_status solve(solver *s, const rsk_hadamard *h, ptrdiff_t batch, const double *y, const rsk_support_params *p,
                        answer *a, int threads) {
    const rsk_supports out = supports(a);
    return s(h, batch, y, p, &out, threads, NULL);
}

static void test_matrix(void) {
    int32_t rows[ROWS];
    rsk_hadamard *h;
    rows_fill(rows);
    const struct {
        ptrdiff_t n, m;
    } bad[] = {{0, 1}, {8, 4}, {24, 4}, {(ptrdiff_t)1 << 25, 4}, {-16, 4}, {PTRDIFF_MIN, 4}, {ORDER, 0}, {ORDER, -1}, {64, 65}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        h = (rsk_hadamard *)(void *)&h;
        CHECK_STATUS(RSK_EINVAL, rsk_hadamard_create(bad[i].n, bad[i].m, rows, 7, 1, &h));
        CHECK(h == NULL);
    }
    const struct {
        int at;
        int32_t value;
    } wrong[] = {{0, -1}, {ROWS - 1, ORDER}, {5, INT32_MIN}, {5, 0}, {7, INT32_MAX}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        rows_fill(rows);
        rows[wrong[i].at] = wrong[i].value;
        CHECK_STATUS(RSK_EINVAL, rsk_hadamard_create(ORDER, ROWS, rows, 7, 1, &h));
        CHECK(h == NULL);
    }
    rsk_hadamard_free(NULL);
    h = make();
    float x[ORDER] = {0}, y[ROWS];
    double wide[ORDER] = {0}, wide_y[ROWS];
    CHECK_STATUS(RSK_EINVAL, rsk_hadamard_product_f32(h, -1, x, y, 0, 1, NULL));
    CHECK_STATUS(RSK_EINVAL, rsk_hadamard_product_f64(h, 1, wide, wide_y, 0, 0, NULL));
    CHECK_STATUS(RSK_OK, rsk_hadamard_product_f32(h, 0, x, y, 1, 1, NULL));
    x[37] = 2, wide[37] = 2;
    CHECK_STATUS(RSK_OK, rsk_hadamard_product_f32(h, 1, x, y, 0, 3, NULL));
    CHECK_STATUS(RSK_OK, rsk_hadamard_product_f64(h, 1, wide, wide_y, 0, 1, NULL));
    double norm = 0;
    for (int i = 0; i < ROWS; i++) norm += wide_y[i] * wide_y[i], CHECK(fabs((double)y[i] - wide_y[i]) <= 1e-7);
    CHECK(fabs(norm - 4) <= 1e-12);
    CHECK_STATUS(RSK_OK, rsk_hadamard_product_f64(h, 1, wide_y, wide, 1, 1, NULL)); /* A^T A e_37 has 1 at 37 */
    CHECK(fabs(wide[37] - 2) <= 1e-12);
    rsk_hadamard_free(h);
}

/* NULL where something must be: said, and nothing else read. */
static void test_null(void) {
    static answer a;
    int32_t rows[ROWS];
    rsk_hadamard *h = make(), *none = h;
    rows_fill(rows);
    CHECK_STATUS(RSK_EINVAL, rsk_hadamard_create(ORDER, ROWS, rows, 7, 1, NULL));
    CHECK_STATUS(RSK_EINVAL, rsk_hadamard_create(ORDER, ROWS, NULL, 7, 1, &none));
    CHECK(none == NULL);
    float x[ORDER] = {0}, y[ORDER];
    double wide[ORDER] = {1}, wide_y[ORDER];
    for (int adjoint = 0; adjoint < 2; adjoint++) {
        CHECK_STATUS(RSK_EINVAL, rsk_hadamard_product_f32(NULL, 1, x, y, adjoint, 1, NULL));
        CHECK_STATUS(RSK_EINVAL, rsk_hadamard_product_f32(h, 1, NULL, y, adjoint, 1, NULL));
        CHECK_STATUS(RSK_EINVAL, rsk_hadamard_product_f32(h, 1, x, NULL, adjoint, 1, NULL));
        CHECK_STATUS(RSK_EINVAL, rsk_hadamard_product_f64(NULL, 1, wide, wide_y, adjoint, 1, NULL));
        CHECK_STATUS(RSK_EINVAL, rsk_hadamard_product_f64(h, 1, NULL, wide_y, adjoint, 1, NULL));
        CHECK_STATUS(RSK_EINVAL, rsk_hadamard_product_f64(h, 1, wide, NULL, adjoint, 1, NULL));
    }
    const rsk_support_params p = {SPARSITY, 1, NULL, 0, 10};
    for (int s = 0; s < 2; s++) {
        rsk_supports out = supports(&a);
        CHECK_STATUS(RSK_EINVAL, solvers[s](NULL, 1, wide, &p, &out, 1, NULL));
        CHECK_STATUS(RSK_EINVAL, solvers[s](h, 1, NULL, &p, &out, 1, NULL));
        CHECK_STATUS(RSK_EINVAL, solvers[s](h, 1, wide, NULL, &out, 1, NULL));
        CHECK_STATUS(RSK_EINVAL, solvers[s](h, 1, wide, &p, NULL, 1, NULL));
        for (int i = 0; i < 6; i++) {
            out = supports(&a);
            if (i == 0) out.support = NULL;
            if (i == 1) out.coef = NULL;
            if (i == 2) out.count = NULL;
            if (i == 3) out.residual = NULL;
            if (i == 4) out.iterations = NULL;
            if (i == 5) out.reason = NULL;
            CHECK_STATUS(RSK_EINVAL, solvers[s](h, 1, wide, &p, &out, 1, NULL));
        }
    }
    rsk_hadamard_free(h);
}

/* Two columns of one signal by Gram-Schmidt; and all that rsk_fits_extend refuses, before it writes. */
static void test_fits(void) {
    enum { LENGTH = 5, MOST = 2 };
    double q[MOST * LENGTH] = {0}, triangle[MOST * MOST] = {0}, z[MOST] = {0}, residual[LENGTH] = {1, 2, 3, 4, 5}, square = 55;
    double columns[LENGTH] = {0, 2, 0, 0, 0}, more[LENGTH] = {1, 1, 0, 0, 0}, again[LENGTH] = {3, 1, 0, 0, 0};
    int64_t size = 0;
    const int64_t who = 0;
    const rsk_fits good = {1, MOST, LENGTH, q, triangle, z, residual, &square, &size};
    CHECK_STATUS(RSK_EINVAL, rsk_fits_extend(NULL, 1, &who, columns));
    CHECK_STATUS(RSK_EINVAL, rsk_fits_extend(&good, 1, NULL, columns));
    CHECK_STATUS(RSK_EINVAL, rsk_fits_extend(&good, 1, &who, NULL));
    CHECK_STATUS(RSK_EINVAL, rsk_fits_extend(&good, -1, &who, columns));
    for (int i = 0; i < 9; i++) {
        rsk_fits bad = good;
        if (i == 0) bad.q = NULL;
        if (i == 1) bad.triangle = NULL;
        if (i == 2) bad.z = NULL;
        if (i == 3) bad.residual = NULL;
        if (i == 4) bad.square = NULL;
        if (i == 5) bad.size = NULL;
        if (i == 6) bad.batch = 0;
        if (i == 7) bad.most = 0;
        if (i == 8) bad.m = 0;
        CHECK_STATUS(RSK_EINVAL, rsk_fits_extend(&bad, 1, &who, columns));
    }
    const int64_t outside[] = {-1, 1, INT64_MAX};
    for (int i = 0; i < 3; i++) CHECK_STATUS(RSK_EINVAL, rsk_fits_extend(&good, 1, &outside[i], columns));
    CHECK(size == 0 && residual[1] == 2);
    CHECK_STATUS(RSK_OK, rsk_fits_extend(&good, 1, &who, columns));
    CHECK(size == 1 && residual[1] == 0 && square == 51 && z[0] == 2);
    columns[1] = 1; /* the same direction: counts for nothing */
    CHECK_STATUS(RSK_OK, rsk_fits_extend(&good, 1, &who, columns));
    CHECK(size == 1 && square == 51);
    CHECK_STATUS(RSK_OK, rsk_fits_extend(&good, 1, &who, more));
    CHECK(size == 2 && fabs(square - 50) <= 1e-13);
    CHECK_STATUS(RSK_EINVAL, rsk_fits_extend(&good, 1, &who, again)); /* `most` columns are there */
}

static void test_solver_arguments(void) {
    static answer a;
    rsk_hadamard *h = make();
    double y[ROWS] = {1};
    const double negative = -1.0, nan = (double)NAN;
    for (int s = 0; s < 2; s++) {
        const rsk_support_params good = {SPARSITY, 1, NULL, 0, 10};
        CHECK_STATUS(RSK_OK, solve(solvers[s], h, 0, y, &good, &a, 1));
        CHECK_STATUS(RSK_OK, solve(solvers[s], h, 1, y, &good, &a, 1000));
        CHECK_STATUS(RSK_EINVAL, solve(solvers[s], h, -1, y, &good, &a, 1));
        CHECK_STATUS(RSK_EINVAL, solve(solvers[s], h, 1, y, &good, &a, 0));
        const rsk_support_params bad[] = {{0, 1, NULL, 0, 10}, {ROWS + 1, 1, NULL, 0, 10}, {PTRDIFF_MAX, 1, NULL, 0, 10},
                                         {8, 0, NULL, 0, 10}, {8, 3, NULL, 0, 10}, {8, 2 * ORDER, NULL, 0, 10},
                                         {8, 1, &negative, 0, 10}, {8, 1, &nan, 0, 10}, {49, 2, NULL, 0, 10}, {4, 2, NULL, 1, 10}};
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) CHECK_STATUS(RSK_EINVAL, solve(solvers[s], h, 1, y, &bad[i], &a, 1));
    }
    const rsk_support_params blocks = {8, 2, NULL, 0, 10}, no_steps = {8, 1, NULL, 0, 0};
    CHECK_STATUS(RSK_OK, solve(rsk_omp, h, 1, y, &blocks, &a, 1));
    CHECK_STATUS(RSK_EINVAL, solve(rsk_htp, h, 1, y, &blocks, &a, 1));
    CHECK_STATUS(RSK_OK, solve(rsk_omp, h, 1, y, &no_steps, &a, 1));
    CHECK_STATUS(RSK_EINVAL, solve(rsk_htp, h, 1, y, &no_steps, &a, 1));
    const double out_of_range[] = {(double)NAN, (double)INFINITY, -2e30};
    for (int s = 0; s < 2; s++)
        for (int i = 0; i < 3; i++) {
            const rsk_support_params fine = {SPARSITY, 1, NULL, 0, 10};
            y[ROWS - 1] = out_of_range[i];
            CHECK_STATUS(RSK_EVALUE, solve(solvers[s], h, 1, y, &fine, &a, 1));
        }
    memset(y, 0, sizeof y);
    const rsk_support_params good = {SPARSITY, 1, NULL, 0, 10};
    for (int s = 0; s < 2; s++) {
        CHECK_STATUS(RSK_OK, solve(solvers[s], h, 1, y, &good, &a, 1));
        CHECK(a.count[0] == 0 && a.residual[0] == 0 && a.iterations[0] == 0 && a.support[0] == -1 && a.coef[0] == 0 && a.reason[0] == RSK_EXACT);
    }
    rsk_hadamard_free(h);
}

/* Signals of SPARSITY columns come back, with a sign constraint too. */
static void test_recovery(void) {
    static answer a;
    static double x[BATCH * ORDER], y[BATCH * ROWS];
    rsk_hadamard *h = make();
    uint64_t state = 3;
    for (int b = 0; b < BATCH; b++)
        for (int i = 0; i < SPARSITY; i++) x[b * ORDER + (int)(next_word(&state) % ORDER)] = 1.0 + i;
    CHECK_STATUS(RSK_OK, rsk_hadamard_product_f64(h, BATCH, x, y, 0, 2, NULL));
    for (int s = 0; s < 2; s++)
        for (int sign = 0; sign < 2; sign++) {
            const double enough[BATCH] = {1e-24, 1e-24, 1e-24, 1e-24, 1e-24};
            const rsk_support_params p = {SPARSITY, 1, enough, sign, 50};
            CHECK_STATUS(RSK_OK, solve(solvers[s], h, BATCH, y, &p, &a, 2));
            for (int b = 0; b < BATCH; b++) {
                double back[ORDER] = {0};
                for (int i = 0; i < a.count[b]; i++) back[a.support[b * SPARSITY + i]] = a.coef[b * SPARSITY + i];
                for (int i = 0; i < ORDER; i++) CHECK(fabs(back[i] - x[b * ORDER + i]) <= 1e-9);
                CHECK(a.residual[b] <= 1e-9 && a.iterations[b] >= 1);
                CHECK(a.reason[b] == RSK_TOLERANCE || a.reason[b] == RSK_EXACT);
            }
        }
    rsk_hadamard_free(h);
}

/* ---------------------------------------------------------------- selection */

/* Of numbers of which many are equal: the k largest, the first of equals, as a search by counting finds them. */
static void test_selection(void) {
    enum { N = 300 };
    double a[N], kept[N], scratch[N];
    uint32_t keys[N], spare[N];
    uint64_t state = 5;
    for (int spread = 1; spread <= 4; spread++)
        for (ptrdiff_t k = 0; k <= N; k += 1 + k / 5) {
            for (int i = 0; i < N; i++) {
                const uint32_t word = next_word(&state);
                keys[i] = spread == 4 ? word : word % (spread == 1 ? 3 : 40);
                a[i] = spread == 3 ? 1.0 + 0x1p-50 * keys[i] : 0x1p-3 * keys[i]; /* 3: alike in their high halves */
                kept[i] = a[i];
            }
            rsk_keep_largest(kept, N, k, scratch);
            ptrdiff_t count = 0;
            for (int i = 0; i < N; i++) {
                ptrdiff_t before = 0; /* how many come before element i */
                for (int j = 0; j < N; j++) before += a[j] > a[i] || (a[j] == a[i] && j < i);
                CHECK(kept[i] == (before < k ? a[i] : 0.0));
                count += before < k;
            }
            CHECK(count == k);
            if (k == 0) continue;
            ptrdiff_t rank = k, above = 0, equal = 0;
            const uint32_t key = rsk_select(keys, N, &rank, spare);
            for (int i = 0; i < N; i++) above += keys[i] > key, equal += keys[i] == key;
            CHECK(above < k && above + equal >= k && rank == k - above);
        }
    double zeros[4] = {0, 3, 0, 0};
    rsk_keep_largest(zeros, 4, 2, scratch); /* zeros are not counted */
    CHECK(zeros[1] == 3);
}

/* ---------------------------------------------------------------- scans */

typedef struct scanned {
    float x[SCAN_N * SCAN_D], q[SCAN_M * SCAN_D], scale[SCAN_N], scores[SCAN_M * SCAN_K];
    uint16_t halves[SCAN_N * SCAN_D], bfloats[SCAN_N * SCAN_D];
    int8_t bytes[SCAN_N * SCAN_D];
    int64_t indices[SCAN_M * SCAN_K];
} scanned;

static scanned *scan_make(void) {
    scanned *s = need(1, sizeof *s);
    uint64_t state = 13;
    for (int i = 0; i < SCAN_N * SCAN_D; i++) {
        s->x[i] = next_float(&state);
        s->halves[i] = (uint16_t)(next_word(&state) % 0x7c00 + (next_word(&state) & 1) * 0x8000); /* finite, small ones too */
        s->bytes[i] = (int8_t)((int)(next_word(&state) % 256) - 128);
        uint32_t bits;
        memcpy(&bits, &s->x[i], sizeof bits);
        s->bfloats[i] = (uint16_t)(bits >> 16);
    }
    for (int i = 0; i < SCAN_M * SCAN_D; i++) s->q[i] = next_float(&state);
    for (int i = 0; i < SCAN_N; i++) s->scale[i] = 1.5f + next_float(&state);
    return s;
}

static const void *rows_of(const scanned *s, int type) {
    return type == RSK_SCAN_F32 ? (const void *)s->x : type == RSK_SCAN_I8 ? (const void *)s->bytes
           : type == RSK_SCAN_F16 ? (const void *)s->halves : (const void *)s->bfloats;
}

static void test_scan(void) {
    scanned *s = scan_make();
    float *out = s->scores;
    int64_t *at = s->indices;
    for (int t = 0; t < SCAN_TYPES; t++) {
        const rsk_scan_type type = (rsk_scan_type)t;
        const void *rows = rows_of(s, t);
        CHECK_STATUS(RSK_OK, rsk_scan(type, rows, NULL, SCAN_N, SCAN_D, s->q, SCAN_M, SCAN_K, out, at, 1000, NULL));
        CHECK_STATUS(RSK_OK, rsk_scan(type, rows, s->scale, SCAN_N, SCAN_D, s->q, SCAN_M, SCAN_K, out, at, 1, NULL));
        for (int q = 0; q < SCAN_M; q++)
            for (int i = 0; i < SCAN_K; i++) {
                CHECK(at[q * SCAN_K + i] >= 0 && at[q * SCAN_K + i] < SCAN_N);
                CHECK(!i || out[q * SCAN_K + i] <= out[q * SCAN_K + i - 1]);
            }
        CHECK_STATUS(RSK_OK, rsk_scan(type, rows, NULL, SCAN_N, SCAN_D, s->q, 0, SCAN_K, out, at, 1, NULL));
        CHECK_STATUS(RSK_OK, rsk_scan(type, rows, NULL, SCAN_N, SCAN_D, NULL, 0, SCAN_K, NULL, NULL, 1, NULL));
        CHECK_STATUS(RSK_EINVAL, rsk_scan(type, NULL, NULL, SCAN_N, SCAN_D, s->q, 0, SCAN_K, out, at, 1, NULL));
        CHECK_STATUS(RSK_EINVAL, rsk_scan(type, rows, NULL, SCAN_N, SCAN_D, NULL, 1, 1, out, at, 1, NULL));
        CHECK_STATUS(RSK_EINVAL, rsk_scan(type, rows, NULL, SCAN_N, SCAN_D, s->q, 1, 1, NULL, at, 1, NULL));
        CHECK_STATUS(RSK_EINVAL, rsk_scan(type, rows, NULL, SCAN_N, SCAN_D, s->q, 1, 1, out, NULL, 1, NULL));
        CHECK_STATUS(RSK_EINVAL, rsk_scan(type, rows, NULL, 0, SCAN_D, s->q, 1, 1, out, at, 1, NULL));
        CHECK_STATUS(RSK_EINVAL, rsk_scan(type, rows, NULL, SCAN_N, 0, s->q, 1, 1, out, at, 1, NULL));
        CHECK_STATUS(RSK_EINVAL, rsk_scan(type, rows, NULL, 1, RSK_MAX_DIM + 1, s->q, 1, 1, out, at, 1, NULL));
        CHECK_STATUS(RSK_EINVAL, rsk_scan(type, rows, NULL, SCAN_N, SCAN_D, s->q, -1, 1, out, at, 1, NULL));
        CHECK_STATUS(RSK_EINVAL, rsk_scan(type, rows, NULL, SCAN_N, SCAN_D, s->q, 1, 0, out, at, 1, NULL));
        CHECK_STATUS(RSK_EINVAL, rsk_scan(type, rows, NULL, SCAN_N, SCAN_D, s->q, 1, SCAN_N + 1, out, at, 1, NULL));
        CHECK_STATUS(RSK_EINVAL, rsk_scan(type, rows, NULL, SCAN_N, SCAN_D, s->q, 1, 1, out, at, 0, NULL));
    }
    CHECK_STATUS(RSK_EINVAL, rsk_scan((rsk_scan_type)-1, s->x, NULL, SCAN_N, SCAN_D, s->q, 1, 1, out, at, 1, NULL));
    CHECK_STATUS(RSK_EINVAL, rsk_scan((rsk_scan_type)4, s->x, NULL, SCAN_N, SCAN_D, s->q, 1, 1, out, at, 1, NULL));
    s->x[0] = NAN, s->x[SCAN_D] = NAN; /* rows 0 and 1 of 3 */
    CHECK_STATUS(RSK_OK, rsk_scan(RSK_SCAN_F32, s->x, NULL, 3, SCAN_D, s->q, 1, 3, out, at, 1, NULL));
    CHECK(at[0] == 2 && at[1] == -1 && at[2] == -1 && isinf(out[1]) && out[1] < 0 && isinf(out[2]));
    free(s);
}

/* ---------------------------------------------------------------- memory, digest */

static void test_solver_memory(void) {
    if (!fail_allocations(-1)) return;
    static answer a;
    rsk_hadamard *h = make(), *made = NULL;
    int32_t rows[ROWS];
    rows_fill(rows);
    float x[ORDER] = {1}, y[ORDER];
    double wide[ORDER] = {1}, out[ORDER];
    const rsk_support_params p = {SPARSITY, 1, NULL, 0, 10};
    EACH_ALLOCATION((rsk_hadamard_free(made), made = NULL, rsk_hadamard_create(ORDER, ROWS, rows, 7, 1, &made)), (void)0);
    CHECK(made != NULL);
    EACH_ALLOCATION(rsk_hadamard_product_f32(h, 1, x, y, 0, 1, NULL), (void)0);
    EACH_ALLOCATION(rsk_hadamard_product_f64(h, 1, wide, out, 1, 1, NULL), (void)0);
    EACH_ALLOCATION(solve(rsk_omp, h, 1, wide, &p, &a, 1), (void)0);
    const rsk_support_params many = {80, 1, NULL, 0, 10}; /* more than there is memory for at first */
    for (int i = 0; i < ROWS; i++) wide[i] = i * i % 17 - 7.5;
    EACH_ALLOCATION(solve(rsk_omp, h, 1, wide, &many, &a, 1), (void)0);
    CHECK(a.count[0] == 80);
    EACH_ALLOCATION(solve(rsk_htp, h, 1, wide, &p, &a, 1), (void)0);
    scanned *s = scan_make();
    for (int i = 0; i < 2 * SCAN_TYPES; i++)
        EACH_ALLOCATION(rsk_scan((rsk_scan_type)(i / 2), rows_of(s, i / 2), NULL, 9, SCAN_D, s->q, i % 2 ? 9 : SCAN_M, 2, s->scores, s->indices, 1, NULL), (void)0);
    free(s);
    rsk_hadamard_free(h);
    rsk_hadamard_free(made);
}

static uint64_t solver_digest(int threads) {
    static answer a;
    uint64_t hash = FNV_START, state = 17;
    rsk_hadamard *h = make();
    double *y = need(BATCH * ORDER, sizeof *y), *back = need(BATCH * ORDER, sizeof *back);
    float *x = need(BATCH * ORDER, sizeof *x), *narrow = need(BATCH * ORDER, sizeof *narrow);
    for (int i = 0; i < BATCH * ORDER; i++) x[i] = next_float(&state), y[i] = (double)next_float(&state) / 3;
    for (int adjoint = 0; adjoint < 2; adjoint++) {
        const size_t size = BATCH * (adjoint ? ORDER : ROWS);
        CHECK_STATUS(RSK_OK, rsk_hadamard_product_f32(h, BATCH, x, narrow, adjoint, threads, NULL));
        CHECK_STATUS(RSK_OK, rsk_hadamard_product_f64(h, BATCH, y, back, adjoint, threads, NULL));
        hash = fnv(fnv(hash, narrow, size, 4), back, size, 8);
    }
    const double one[BATCH] = {1.0, 1.0, 1.0, 1.0, 1.0};
    const rsk_support_params p[] = {{20, 1, NULL, 0, 30}, {20, 1, NULL, 1, 30}, {5, 4, one, 0, 30}};
    for (int i = 0; i < 5; i++) {
        const int k = (int)(p[i % 3].sparsity * p[i % 3].block);
        CHECK_STATUS(RSK_OK, solve(i < 3 ? rsk_omp : rsk_htp, h, BATCH, y, &p[i % 3], &a, threads));
        hash = fnv(fnv(hash, a.support, (size_t)(BATCH * k), 4), a.coef, (size_t)(BATCH * k), 8);
        hash = fnv(fnv(fnv(hash, a.count, BATCH, 4), a.residual, BATCH, 8), a.iterations, BATCH, 4);
        hash = fnv(hash, a.reason, BATCH, 4);
    }
    scanned *s = scan_make();
    for (int i = 0; i < 2 * SCAN_TYPES; i++) { /* so many queries that rows are copied, and fewer */
        const int t = i / 2, m = i % 2 ? 9 : SCAN_M;
        CHECK_STATUS(RSK_OK, rsk_scan((rsk_scan_type)t, rows_of(s, t), s->scale, SCAN_N, SCAN_D, s->q, m, SCAN_K, s->scores, s->indices,
                                      threads, NULL));
        hash = fnv(fnv(hash, s->scores, (size_t)(m * SCAN_K), 4), s->indices, (size_t)(m * SCAN_K), 8);
    }
    free(s), free(y), free(back), free(x), free(narrow);
    rsk_hadamard_free(h);
    return hash;
}

static uint64_t digest_of(void *of, int threads) {
    (void)of;
    return solver_digest(threads);
}

uint64_t digest_solvers(void) { return digest_everywhere(digest_of, NULL); }

void test_solvers(void) {
    test_matrix();
    test_null();
    test_fits();
    test_solver_arguments();
    test_recovery();
    test_selection();
    test_scan();
    test_solver_memory();
}
