/* Every documented status of csrc/recsketch.h, provoked. */
#include "contract.h"

/* ---------------------------------------------------------------- instruction sets, random bits, transforms */

static void test_isa(void) {
    CHECK(rsk_isa_select("portable") == RSK_OK && !strcmp(rsk_isa(), "portable"));
    const char *const unknown[] = {"", "AVX2", "avx", "sse2", "portable "};
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) {
        CHECK_STATUS(RSK_EISA, rsk_isa_select(unknown[i]));
        CHECK(!rsk_isa_available(unknown[i]) && !strcmp(rsk_isa(), "portable"));
    }
    for (int i = 0; ISA_LEVELS[i]; i++) {
        const int has = rsk_isa_available(ISA_LEVELS[i]);
        CHECK_STATUS(has ? RSK_OK : RSK_EISA, rsk_isa_select(ISA_LEVELS[i]));
        CHECK((strcmp(rsk_isa(), ISA_LEVELS[i]) == 0) == has);
    }
    CHECK_STATUS(RSK_OK, rsk_isa_select(NULL));
    CHECK(rsk_isa_available(rsk_isa()));
    CHECK(rsk_max_threads() >= 1 && strlen(rsk_openmp()) > 0);
    for (int i = RSK_OK; i <= RSK_ESTOP; i++)
        for (int j = i + 1; j <= RSK_ESTOP; j++)
            CHECK(strlen(rsk_status_text((rsk_status)i)) && strcmp(rsk_status_text((rsk_status)i), rsk_status_text((rsk_status)j)));
}

/* Random123's known-answer vectors for philox4x32-10. */
static void test_philox(void) {
    static const struct {
        uint32_t counter[4], key[2], out[4];
    } known[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}, {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        uint32_t out[4];
        rsk_philox4x32(known[i].counter, known[i].key, out);
        CHECK(!memcmp(out, known[i].out, sizeof out));
    }
    /* the counter's layout: (block, part, stream low, stream high); the key is the seed's halves */
    const uint64_t seed = 0x0123456789abcdefu, stream = 0xfedcba9876543210u;
    const uint32_t key[2] = {0x89abcdefu, 0x01234567u};
    uint32_t words[11] = {0}, block[4];
    CHECK_STATUS(RSK_OK, rsk_stream_words(seed, stream, 2, 10, words));
    for (uint32_t i = 0; i < 10; i++) {
        const uint32_t counter[4] = {i / 4, 2, 0x76543210u, 0xfedcba98u};
        rsk_philox4x32(counter, key, block);
        CHECK(words[i] == block[i % 4]);
    }
    CHECK(words[10] == 0);
    CHECK_STATUS(RSK_OK, rsk_stream_words(seed, stream, 2, 0, words));
    CHECK_STATUS(RSK_EINVAL, rsk_stream_words(seed, stream, 2, -1, words));
    uint32_t parts[3][3], one[3];
    CHECK_STATUS(RSK_OK, rsk_stream_parts(seed, stream, 0xFFFFFFFCu, 3, 3, parts[0]));
    for (uint32_t i = 0; i < 3; i++) {
        CHECK_STATUS(RSK_OK, rsk_stream_words(seed, stream, 0xFFFFFFFCu + i, 3, one));
        CHECK(!memcmp(one, parts[i], sizeof one));
    }
    CHECK_STATUS(RSK_OK, rsk_stream_parts(seed, stream, 7, 0, 3, words));
    CHECK_STATUS(RSK_EINVAL, rsk_stream_parts(seed, stream, 0xFFFFFFFCu, 4, 3, words));
    CHECK_STATUS(RSK_EINVAL, rsk_stream_parts(seed, stream, 0, -1, 3, words));
    CHECK_STATUS(RSK_EINVAL, rsk_stream_parts(seed, stream, 0, 1, -1, words));
    CHECK_STATUS(RSK_EINVAL, rsk_stream_parts(seed, stream, 0, 1, 3, NULL));
}

static int odd_bits(ptrdiff_t x) {
    int odd = 0;
    for (; x; x &= x - 1) odd = !odd;
    return odd;
}

static void test_fwht(void) {
    float x[64] = {0}, out[64];
    double y[64] = {0}, wide[64];
    const ptrdiff_t bad[] = {0, 3, 15, 17, 48, -16, PTRDIFF_MIN, PTRDIFF_MAX, (ptrdiff_t)1 << 25};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        CHECK_STATUS(RSK_EINVAL, rsk_fwht_f32(x, 1, bad[i], 1.0, out, 1));
        CHECK_STATUS(RSK_EINVAL, rsk_fwht_f64(y, 1, bad[i], 1.0, wide, 1));
    }
    CHECK_STATUS(RSK_EINVAL, rsk_fwht_f32(NULL, 1, 16, 1.0, out, 1));
    CHECK_STATUS(RSK_EINVAL, rsk_fwht_f64(y, 1, 16, 1.0, NULL, 1));
    CHECK_STATUS(RSK_EINVAL, rsk_fwht_f32(x, -1, 16, 1.0, out, 1));
    CHECK_STATUS(RSK_EINVAL, rsk_fwht_f64(y, 1, 16, 1.0, wide, 0));
    CHECK_STATUS(RSK_EINVAL, rsk_fwht_f32(x, 1, 16, 1.0, out, -1));
    CHECK_STATUS(RSK_EINVAL, rsk_fwht_f64(y, 1, 16, (double)NAN, wide, 1));
    CHECK_STATUS(RSK_OK, rsk_fwht_f32(x, 0, 16, 1.0, x, 1));
    x[0] = 1, x[33] = 2, y[0] = 1, y[33] = 2; /* two rows of 32; row 1 is twice H's column 1 */
    CHECK_STATUS(RSK_OK, rsk_fwht_f32(x, 2, 32, 1.0, out, 3));
    CHECK_STATUS(RSK_OK, rsk_fwht_f64(y, 2, 32, 1.0, wide, 3));
    CHECK(x[0] == 1 && x[1] == 0 && y[33] == 2 && y[32] == 0);
    CHECK_STATUS(RSK_OK, rsk_fwht_f32(x, 2, 32, 1.0, x, 3));
    CHECK_STATUS(RSK_OK, rsk_fwht_f64(y, 2, 32, 1.0, y, 3));
    for (int i = 0; i < 32; i++) {
        CHECK(x[i] == 1 && x[32 + i] == (i & 1 ? -2 : 2) && out[i] == x[i] && out[32 + i] == x[32 + i]);
        CHECK(y[i] == 1 && y[32 + i] == (i & 1 ? -2 : 2) && wide[i] == y[i] && wide[32 + i] == y[32 + i]);
    }
    for (ptrdiff_t n = 1; n <= 16; n *= 2) { /* row j has a 1 in place j: its transform is H's row j */
        for (int i = 0; i < 64; i++) x[i] = n <= 8 && i < n * n && i % (n + 1) == 0 ? 3.0f : 0.0f, out[i] = 7;
        CHECK_STATUS(RSK_OK, rsk_fwht_f32(x, n <= 8 ? n : 0, n, 0.5, out, 1));
        for (int i = 0; i < 64; i++)
            CHECK(out[i] == (n > 8 || i >= n * n ? 7.0f : odd_bits(i / n & i % n) ? -1.5f : 1.5f));
    }
}

/* A row of c times the signs of H's row r has a transform of n c in place r, and 0 elsewhere: if n c exceeds the largest number, only
 * the last sum does. */
static void test_overflow(void) {
    static float x[3 * 4096], out[3 * 4096];
    static double y[3 * 4096], wide[3 * 4096];
    static uint16_t signs[3 * 4096 / 16];
    const double size[6] = {0.9, -0.9, 1.1, -1.1, HUGE_VAL, (double)NAN};
    for (ptrdiff_t n = 1; n <= 4096; n *= 4) {
        const rsk_projection p = {n, n, n, signs, 1e-10};
        const ptrdiff_t rows[4] = {0, n / 4, n / 2, n - 1};
        for (int r = 0; r < 4; r++)
            for (int i = 0; i < 6; i++) {
                for (ptrdiff_t k = 0; k < 3 * n; k++) {
                    const double sign = odd_bits(k % n & rows[r]) ? -1.0 : 1.0, c = sign * size[i] / (double)n;
                    x[k] = k / n != 1 ? 1.0f : i < 4 ? (float)(c * (double)FLT_MAX) : (float)c;
                    y[k] = k / n != 1 ? 1.0 : i < 4 ? c * DBL_MAX : c;
                }
                const rsk_status want = i < 2 ? RSK_OK : RSK_EOVERFLOW;
                for (int threads = 1; threads < 4; threads += 2) {
                    CHECK_STATUS(want, rsk_fwht_f32(x, 3, n, 1.0, out, threads));
                    CHECK_STATUS(want, rsk_fwht_f64(y, 3, n, 1.0, wide, threads));
                    CHECK(out[0] == (float)n && wide[2 * n] == (double)n && (n == 1 || (out[1] == 0 && wide[3 * n - 1] == 0)));
                    CHECK(i >= 2 || (out[n + rows[r]] == (float)n * x[n] && wide[n + rows[r]] == (double)n * y[n]));
                    if (i < 4 || n < 16) continue;
                    CHECK_STATUS(RSK_EOVERFLOW, rsk_project_f32(&p, r & 1, x, 3, out, threads));
                    CHECK_STATUS(RSK_EOVERFLOW, rsk_project_f64(&p, r & 1, y, 3, wide, threads));
                }
            }
    }
    for (int i = 0; i < 16; i++) x[i] = i ? 0 : FLT_MAX / 32, y[i] = i ? 0 : DBL_MAX / 32; /* each H adds 16 numbers */
    for (int i = 0; i < 2; i++) {
        const rsk_projection p = {16, 16, 16, signs, 1.0 / 64};
        CHECK_STATUS(i ? RSK_EOVERFLOW : RSK_OK, rsk_project_f32(&p, 0, x, 1, out, 1));
        CHECK_STATUS(i ? RSK_EOVERFLOW : RSK_OK, rsk_project_f64(&p, 1, y, 1, wide, 1));
        x[0] = FLT_MAX / 15, y[0] = DBL_MAX / 15;
    }
}

static void test_within(void) {
    const float bad[] = {NAN, INFINITY, -INFINITY, 2.0f, -2.0f};
    CHECK(!rsk_within_f32(NULL, 1, 1, 1.0) && !rsk_within_f64(NULL, 1, 1, 1.0) && rsk_within_f32(NULL, 0, 1, 1.0));
    for (ptrdiff_t at = 0; at < 37; at++) /* in whole vectors, and behind them */
        for (int i = 0; i < 5; i++) {
            float x[37] = {0}, y[74] = {0};
            double wide[37] = {0};
            x[36] = 1.0f, wide[0] = -1.0;
            CHECK(rsk_within_f32(x, 37, 1, 1.0) && rsk_within_f64(wide, 37, 1, 1.0));
            x[at] = y[2 * at] = bad[i], wide[at] = (double)bad[i];
            CHECK(!rsk_within_f32(x, 37, 1, 1.0) && !rsk_within_f64(wide, 37, 1, 1.0) && !rsk_within_f32(y, 37, 2, 1.0));
            CHECK(rsk_within_f32(x, 37, 1, HUGE_VAL) == (i > 2) && rsk_within_f64(wide, 37, 1, HUGE_VAL) == (i > 2));
            CHECK(rsk_within_f32(x, at, 1, 1.0) && rsk_within_f64(wide, at, 1, 1.0) && rsk_within_f32(y + 1, 37, 2, 0.0));
            x[at] = -0.0f, x[36] = 0.0f;
            CHECK(rsk_within_f32(x, 37, 1, 0.0) && !rsk_within_f32(x, 37, 1, -1.0) && !rsk_within_f64(wide, 37, 1, -1.0));
        }
}

static void test_fits(void) {
    double q[8], triangle[8] = {0}, z[4] = {0}, residual[4] = {0, 0, 3, 4}, square[2] = {0, 25}, columns[4] = {0, 2, 1, 1};
    int64_t size[2] = {0};
    const rsk_fits f = {2, 2, 2, q, triangle, z, residual, square, size};
    const int64_t bad[] = {-1, 2}, one = 1;
    for (int i = 0; i < 2; i++) CHECK_STATUS(RSK_EINVAL, rsk_fits_extend(&f, 1, &bad[i], columns));
    CHECK_STATUS(RSK_OK, rsk_fits_extend(&f, 1, &one, columns));
    CHECK(size[1] == 1 && z[2] == 4 && triangle[4] == 2 && residual[2] == 3 && residual[3] == 0 && square[1] == 9);
    columns[0] = 0, columns[1] = -3; /* depends on the first */
    CHECK_STATUS(RSK_OK, rsk_fits_extend(&f, 1, &one, columns));
    CHECK(size[1] == 1 && square[1] == 9 && triangle[7] == 0);
    CHECK_STATUS(RSK_OK, rsk_fits_extend(&f, 1, &one, columns + 2));
    CHECK(size[1] == 2 && z[3] == 3 && triangle[5] == 1 && triangle[7] == 1 && square[1] == 0 && size[0] == 0);
    CHECK_STATUS(RSK_EINVAL, rsk_fits_extend(&f, 1, &one, columns));
}

/* ---------------------------------------------------------------- projections, hashing, tensor sketches */

static void test_projection(void) {
    uint16_t signs[3 * 2 * 2] = {0};
    float x[60] = {1}, y[60];
    double xw[60] = {1}, yw[60];
    const rsk_projection good = {20, 40, 32, signs, 1.0 / 32}, unsigned_ = {20, 40, 32, NULL, 1.0 / 32};
    CHECK_STATUS(RSK_EINVAL, rsk_project_f32(NULL, 0, x, 1, y, 1));
    CHECK_STATUS(RSK_EINVAL, rsk_project_f32(&unsigned_, 0, x, 1, y, 1));
    CHECK_STATUS(RSK_EINVAL, rsk_project_f32(&good, 0, NULL, 1, y, 1));
    CHECK_STATUS(RSK_EINVAL, rsk_project_f64(&good, 1, xw, 1, NULL, 1));
    const struct {
        ptrdiff_t length, width, padded, rows;
        double factor;
        int threads;
        rsk_status want;
    } cases[] = {{20, 40, 32, 1, 1, 1, RSK_OK},       {20, 40, 32, 0, 1, 1, RSK_OK},       {0, 40, 32, 1, 1, 1, RSK_EINVAL},
                 {33, 40, 32, 1, 1, 1, RSK_EINVAL},   {20, 0, 32, 1, 1, 1, RSK_EINVAL},    {20, 40, 24, 1, 1, 1, RSK_EINVAL},
                 {20, 40, 8, 1, 1, 1, RSK_EINVAL},    {20, 40, 32, -1, 1, 1, RSK_EINVAL},  {20, 40, 32, 1, 1, 0, RSK_EINVAL},
                 {20, 40, 32, 1, (double)NAN, 1, RSK_EINVAL}, {20, RSK_MAX_DIM + 1, 32, 1, 1, 1, RSK_EINVAL},
                 {20, 40, 2 * RSK_MAX_DIM, 1, 1, 1, RSK_EINVAL}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int transpose = 0; transpose < 2; transpose++) {
            const rsk_projection p = {cases[i].length, cases[i].width, cases[i].padded, signs, cases[i].factor};
            CHECK_STATUS(cases[i].want, rsk_project_f32(&p, transpose, x, cases[i].rows, y, cases[i].threads));
            CHECK_STATUS(cases[i].want, rsk_project_f64(&p, transpose, xw, cases[i].rows, yw, cases[i].threads));
        }
    /* without signs H H H = 32 H; its first column is all ones */
    CHECK_STATUS(RSK_OK, rsk_project_f32(&good, 0, x, 1, y, 1));
    CHECK_STATUS(RSK_OK, rsk_project_f64(&good, 0, xw, 1, yw, 1));
    for (int i = 0; i < 40; i++) CHECK(y[i] == 1 && yw[i] == 1);
}

static void test_hashing(void) {
    const uint32_t entries[6] = {0, 2, 1 | RSK_HASH_MINUS, 2, 0, 1};
    uint32_t wrong[6] = {0, 2, 1, 2, 3 | RSK_HASH_MINUS, 1};
    const float x[3] = {1, 10, 100};
    const double xw[3] = {1, 10, 100};
    float y[12];
    double yw[12];
    const struct {
        ptrdiff_t length, width, nonzeros, rows;
        double factor;
        int threads;
        rsk_status want;
    } cases[] = {{3, 3, 2, 1, 1, 1, RSK_OK},       {3, 3, 2, 0, 1, 1, RSK_OK},      {0, 3, 2, 1, 1, 1, RSK_EINVAL},
                 {3, 0, 2, 1, 1, 1, RSK_EINVAL},   {3, 3, 0, 1, 1, 1, RSK_EINVAL},  {3, 1, 2, 1, 1, 1, RSK_EINVAL},
                 {3, 3, 2, -1, 1, 1, RSK_EINVAL},  {3, 3, 2, 1, 1, 0, RSK_EINVAL},  {3, 3, 2, 1, (double)INFINITY, 1, RSK_EINVAL},
                 {3, RSK_MAX_DIM + 1, 2, 1, 1, 1, RSK_EINVAL}, {PTRDIFF_MAX, 3, 2, 1, 1, 1, RSK_EINVAL}};
    const int64_t ends[3] = {0, 2, 3}, columns[3] = {0, 2, 1};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const rsk_hashing h = {cases[i].length, cases[i].width, cases[i].nonzeros, entries, cases[i].factor};
        CHECK_STATUS(cases[i].want, rsk_hash_f32(&h, x, cases[i].rows, y, cases[i].threads));
        CHECK_STATUS(cases[i].want, rsk_hash_f64(&h, xw, cases[i].rows, yw, cases[i].threads));
        CHECK_STATUS(cases[i].want, rsk_hash_adjoint_f32(&h, x, cases[i].rows, y, cases[i].threads));
        CHECK_STATUS(cases[i].want, rsk_hash_adjoint_f64(&h, xw, cases[i].rows, yw, cases[i].threads));
        if (cases[i].rows) {
            CHECK_STATUS(cases[i].want, rsk_hash_csr_f32(&h, 2 * cases[i].rows, ends, columns, 3, x, y, cases[i].threads));
            CHECK_STATUS(cases[i].want, rsk_hash_csr_f64(&h, 2 * cases[i].rows, ends, columns, 3, xw, yw, cases[i].threads));
        }
    }
    const rsk_hashing h = {3, 3, 2, entries, 2.0}, bad = {3, 3, 2, wrong, 2.0};
    CHECK_STATUS(RSK_EINVAL, rsk_hash_f32(&bad, x, 1, y, 1));
    CHECK_STATUS(RSK_EINVAL, rsk_hash_adjoint_f64(&bad, xw, 1, yw, 1));
    CHECK_STATUS(RSK_OK, rsk_hash_f32(&h, x, 1, y, 1));
    CHECK(y[0] == 202 && y[1] == 180 && y[2] == 22);
    CHECK_STATUS(RSK_OK, rsk_hash_adjoint_f32(&h, x, 1, y, 1));
    CHECK(y[0] == 202 && y[1] == 180 && y[2] == 22); /* this matrix is symmetric */
    CHECK_STATUS(RSK_OK, rsk_hash_csr_f64(&h, 2, ends, columns, 3, xw, yw, 2));
    CHECK(yw[0] == 22 && yw[1] == 20 && yw[2] == 2 && yw[3] == 0 && yw[4] == -200 && yw[5] == 200);
    const int64_t no_ends[4][3] = {{1, 2, 3}, {0, 4, 3}, {0, 2, 2}, {0, -1, 3}}, no_columns[2][3] = {{0, 3, 1}, {0, 1, -1}};
    for (int i = 0; i < 4; i++) CHECK_STATUS(RSK_EOFFSETS, rsk_hash_csr_f32(&h, 2, no_ends[i], columns, 3, x, y, 1));
    for (int i = 0; i < 2; i++) CHECK_STATUS(RSK_EORDER, rsk_hash_csr_f32(&h, 2, ends, no_columns[i], 3, x, y, 1));
    CHECK_STATUS(RSK_EINVAL, rsk_hash_csr_f32(&h, 2, ends, columns, -1, x, y, 1));
}

static void test_tensor(void) {
    const uint16_t signs[2] = {0, 1};
    int32_t index[6] = {0, 1, 15, 3, 2, 0};
    const float x[3] = {1, 2, 0};
    const double xw[3] = {1, 2, 0};
    float y[4];
    double yw[4];
    const struct {
        ptrdiff_t length, width, used, pairs, padded, degree, rows;
        double factor;
        int threads;
        rsk_status want;
    } cases[] = {{3, 4, 3, 0, 16, 2, 1, 1, 1, RSK_OK},      {3, 4, 3, 1, 16, 2, 1, 1, 1, RSK_OK},
                 {3, 4, 3, 0, 16, 2, 0, 1, 1, RSK_OK},      {3, 4, 3, -1, 16, 2, 1, 1, 1, RSK_EINVAL},
                 {3, 4, 3, 2, 16, 2, 1, 1, 1, RSK_EINVAL},  {0, 4, 3, 0, 16, 2, 1, 1, 1, RSK_EINVAL},
                 {17, 4, 3, 0, 16, 2, 1, 1, 1, RSK_EINVAL}, {3, 2, 3, 0, 16, 2, 1, 1, 1, RSK_EINVAL},
                 {3, 4, 0, 0, 16, 2, 1, 1, 1, RSK_EINVAL},  {3, 4, 3, 0, 17, 2, 1, 1, 1, RSK_EINVAL},
                 {3, 4, 3, 0, 16, 0, 1, 1, 1, RSK_EINVAL},  {3, 4, 3, 0, 16, RSK_MAX_DEGREE + 1, 1, 1, 1, RSK_EINVAL},
                 {3, 4, 3, 0, 16, 2, -1, 1, 1, RSK_EINVAL}, {3, 4, 3, 0, 16, 2, 1, (double)NAN, 1, RSK_EINVAL},
                 {3, 4, 3, 0, 16, 2, 1, 1, 0, RSK_EINVAL},  {3, RSK_MAX_DIM + 1, 3, 0, 16, 2, 1, 1, 1, RSK_EINVAL}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const rsk_tensor t = {cases[i].length, cases[i].width,  cases[i].used, cases[i].pairs, cases[i].padded,
                              cases[i].degree, signs, index, cases[i].factor};
        CHECK_STATUS(cases[i].want, rsk_tensor_sketch_f32(&t, x, cases[i].rows, y, cases[i].threads));
        CHECK_STATUS(cases[i].want, rsk_tensor_sketch_f64(&t, xw, cases[i].rows, yw, cases[i].threads));
    }
    rsk_tensor t = {3, 4, 3, 0, 16, 2, signs, index, 0.5};
    CHECK_STATUS(RSK_EINVAL, rsk_tensor_sketch_f32(NULL, x, 1, y, 1));
    CHECK_STATUS(RSK_EINVAL, rsk_tensor_sketch_f32(&t, NULL, 1, y, 1));
    CHECK_STATUS(RSK_EINVAL, rsk_tensor_sketch_f64(&t, xw, 1, NULL, 1));
    t.signs = NULL;
    CHECK_STATUS(RSK_EINVAL, rsk_tensor_sketch_f32(&t, x, 1, y, 1));
    t.signs = signs, t.index = NULL;
    CHECK_STATUS(RSK_EINVAL, rsk_tensor_sketch_f64(&t, xw, 1, yw, 1));
    t.index = index;
    /* H x: 3, -1, 3, -1, ...; with the sign of the first 1, -3, 1, ... */
    CHECK_STATUS(RSK_OK, rsk_tensor_sketch_f32(&t, x, 1, y, 1));
    CHECK(y[0] == -4.5f && y[1] == -0.5f && y[2] == -0.5f && y[3] == 0);
    t.pairs = 1, t.degree = 1; /* one factor: a number has the same size, whichever way */
    CHECK_STATUS(RSK_OK, rsk_tensor_sketch_f32(&t, x, 1, y, 1));
    CHECK(y[0] == 1.5f && y[1] == -0.5f && y[2] == -0.5f && y[3] == 0);
    const int32_t thrice[9] = {0, 1, 15, 3, 2, 0, 1, 0, 0};
    const uint16_t more[3] = {0, 1, 0};
    t = (rsk_tensor){3, 4, 3, 1, 16, 3, more, thrice, 0.5};
    /* 0.5 2^-1 (3 - i) (-3 + i) (-1 + 3 i) = 0.25 (-10 - 30 i), and 0.5 (-1) 1 3 */
    CHECK_STATUS(RSK_OK, rsk_tensor_sketch_f64(&t, xw, 1, yw, 1));
    CHECK(yw[0] == -2.5 && yw[1] == -7.5 && yw[2] == -1.5 && yw[3] == 0);
    /* an index in range, or not, whatever the others are */
    for (int from = 0; from < 2; from++)
        for (int at = 0; at < 6; at++)
            for (int i = 0; i < 4; i++) {
                const int32_t last[4] = {0, 15, 16, -1};
                for (int k = 0; k < 6; k++) index[k] = from * 15;
                index[at] = last[i];
                t = (rsk_tensor){3, 4, 3, from, 16, 2, signs, index, 1};
                CHECK_STATUS(i < 2 ? RSK_OK : RSK_EINVAL, rsk_tensor_sketch_f32(&t, x, 1, y, 1));
            }
}

/* ---------------------------------------------------------------- specs */

static void expect_spec(rsk_status want, const params *p, int line) {
    rsk_spec *spec = (rsk_spec *)(void *)&spec; /* must be overwritten */
    check_status(want, rsk_spec_create(&p->p, NULL, &spec), __FILE__, line, "rsk_spec_create");
    check_that((spec == NULL) == (want != RSK_OK), __FILE__, line, "*out is NULL on error, and only then");
    if (want == RSK_OK) rsk_spec_free(spec);
}

#define EXPECT_SPEC(want, change)             \
    do {                                      \
        params q;                             \
        params_fill(&q, 128, "hadamard", 1);  \
        change;                               \
        expect_spec((want), &q, __LINE__);    \
    } while (0)

static void test_spec_parameters(void) {
    const ptrdiff_t dims[] = {PTRDIFF_MIN, -128, 0, 1, 32, 63, 96, 129, (ptrdiff_t)1 << 25, PTRDIFF_MAX};
    for (size_t i = 0; i < sizeof dims / sizeof *dims; i++) EXPECT_SPEC(RSK_EINVAL, q.p.dim = dims[i]);
    EXPECT_SPEC(RSK_OK, q.p.dim = RSK_MIN_DIM);
    EXPECT_SPEC(RSK_EINVAL, q.p.modules = 0);
    EXPECT_SPEC(RSK_EINVAL, q.p.modules = -1);
    EXPECT_SPEC(RSK_EINVAL, q.p.max_inputs = 0);
    EXPECT_SPEC(RSK_EINVAL, q.p.max_inputs = PTRDIFF_MIN);
    EXPECT_SPEC(RSK_EINVAL, q.p.rotation = "");
    EXPECT_SPEC(RSK_EINVAL, q.p.rotation = "Skew");
    EXPECT_SPEC(RSK_OK, q.p.rotation = "skew");
    EXPECT_SPEC(RSK_OK, q.p.cosine = q.p.sine = 0.5);
    EXPECT_SPEC(RSK_OK, q.p.weighting = RSK_WEIGHTS_LINEAR);
    EXPECT_SPEC(RSK_EINVAL, q.p.cosine = (double)NAN);
    EXPECT_SPEC(RSK_EINVAL, q.p.sine = (double)INFINITY);
    EXPECT_SPEC(RSK_EINVAL, q.p.gain = (double)NAN);
    EXPECT_SPEC(RSK_EINVAL, q.p.branch = (double)NAN);
    EXPECT_SPEC(RSK_EINVAL, q.p.gain = 0);
    EXPECT_SPEC(RSK_EINVAL, q.p.branch = -0.5);
    EXPECT_SPEC(RSK_EINVAL, q.p.branch = 1.001);
    EXPECT_SPEC(RSK_EINVAL, q.p.cosine = -1.001);
    EXPECT_SPEC(RSK_EINVAL, q.p.cosine = q.p.sine = 0);
    EXPECT_SPEC(RSK_EINVAL, q.p.cosine = q.p.sine = 0.999 * sqrt(RSK_MIN_STRETCH / 2));
    EXPECT_SPEC(RSK_OK, q.p.cosine = q.p.sine = 1.001 * sqrt(RSK_MIN_STRETCH / 2));
    const ptrdiff_t lengths[] = {0, -1, PTRDIFF_MIN, RSK_MAX_LENGTH + 1, PTRDIFF_MAX};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) EXPECT_SPEC(RSK_EINVAL, q.lengths[MODULES - 1] = lengths[i]);
    EXPECT_SPEC(RSK_OK, q.lengths[0] = 1);
    EXPECT_SPEC(RSK_OK, q.lengths[0] = RSK_MAX_LENGTH);
    const double kappas[] = {0, 0.999, -1, 1.1e6, (double)NAN, (double)INFINITY, -(double)INFINITY};
    for (size_t i = 0; i < sizeof kappas / sizeof *kappas; i++) {
        EXPECT_SPEC(RSK_EINVAL, (q.p.weighting = RSK_WEIGHTS_BALANCED, q.kappa[MAX_INPUTS] = kappas[i]));
        EXPECT_SPEC(RSK_OK, q.kappa[MAX_INPUTS] = kappas[i]); /* not read */
    }
    EXPECT_SPEC(RSK_OK, q.p.weighting = RSK_WEIGHTS_BALANCED);
    EXPECT_SPEC(RSK_OK, q.p.weighting = RSK_WEIGHTS_COUNT);
    EXPECT_SPEC(RSK_EINVAL, q.p.weighting = -1);
    EXPECT_SPEC(RSK_EINVAL, q.p.weighting = RSK_WEIGHTS_COUNT + 1);
    EXPECT_SPEC(RSK_EINVAL, (q.p.weighting = RSK_WEIGHTS_COUNT, q.p.spread = 0.5));
    const double spreads[] = {-0.001, 1.001, (double)NAN};
    for (size_t i = 0; i < sizeof spreads / sizeof *spreads; i++) EXPECT_SPEC(RSK_EINVAL, q.p.spread = spreads[i]);
    EXPECT_SPEC(RSK_OK, q.p.spread = 1);
    EXPECT_SPEC(RSK_OK, q.p.ins = 1);
    EXPECT_SPEC(RSK_EINVAL, q.p.ins = 0);
    EXPECT_SPEC(RSK_EINVAL, q.p.ins = 3);
    EXPECT_SPEC(RSK_OK, q.p.ordered = 0);
    rsk_spec_free(NULL);
}

#define EXPECT_BLOCKS(want, change)          \
    do {                                     \
        params q;                            \
        params_fill(&q, 1024, "block", 1);   \
        change;                              \
        expect_spec((want), &q, __LINE__);   \
    } while (0)

/* What blocks ask for beyond what all families do. */
static void test_block_parameters(void) {
    EXPECT_BLOCKS(RSK_OK, (void)0);
    EXPECT_BLOCKS(RSK_EINVAL, q.p.dim = 512); /* 16 blocks */
    EXPECT_BLOCKS(RSK_EINVAL, q.p.block = 64);
    EXPECT_BLOCKS(RSK_OK, (q.p.dim = 2048, q.p.block = 64));
    const ptrdiff_t sizes[] = {PTRDIFF_MIN, -32, 0, 1, 16, 33, 48, 128, PTRDIFF_MAX};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) EXPECT_BLOCKS(RSK_EINVAL, q.p.block = sizes[i]);
    EXPECT_BLOCKS(RSK_OK, q.p.dim = (ptrdiff_t)1 << 18); /* 8 bits of a tag */
    EXPECT_BLOCKS(RSK_EINVAL, q.p.dim = (ptrdiff_t)1 << 19);
    EXPECT_BLOCKS(RSK_OK, (q.p.dim = RSK_MAX_DIM, q.p.block = 64));
    const ptrdiff_t columns[] = {PTRDIFF_MIN, -1, 0, RSK_MAX_BLOCKS + 1, PTRDIFF_MAX};
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++) EXPECT_BLOCKS(RSK_EINVAL, q.p.blocks_per_column = columns[i]);
    EXPECT_BLOCKS(RSK_OK, q.p.blocks_per_column = RSK_MAX_BLOCKS);
    EXPECT_BLOCKS(RSK_EINVAL, q.p.ins = 2);
    EXPECT_BLOCKS(RSK_OK, q.tags[0] = ((uint64_t)1 << 16) - 1);
    EXPECT_BLOCKS(RSK_EINVAL, q.tags[0] = (uint64_t)1 << 16);
    EXPECT_BLOCKS(RSK_EINVAL, q.tags[MODULES - 1] = UINT64_MAX);
    EXPECT_BLOCKS(RSK_EINVAL, q.p.tags = NULL);
    EXPECT_BLOCKS(RSK_OK, q.lengths[0] = 1022);
    EXPECT_BLOCKS(RSK_EINVAL, q.lengths[0] = 1023);
    EXPECT_BLOCKS(RSK_OK, (q.p.dim = 2048, q.p.block = 64, q.lengths[0] = 65534));
    EXPECT_BLOCKS(RSK_EINVAL, (q.p.dim = 2048, q.p.block = 64, q.lengths[0] = 65535));
    double kappa[15] = {0};
    uint64_t positions[32] = {0};
    EXPECT_BLOCKS(RSK_OK, (q.p.max_inputs = 13, q.p.kappa = kappa, q.p.positions = positions)); /* of 15 masks */
    EXPECT_BLOCKS(RSK_EINVAL, (q.p.max_inputs = 14, q.p.kappa = kappa, q.p.positions = positions));
    EXPECT_BLOCKS(RSK_EINVAL, (q.p.max_inputs = INT32_MAX, q.p.kappa = kappa, q.p.positions = positions));
    EXPECT_SPEC(RSK_OK, (q.p.tags = NULL, q.p.block = -1, q.p.blocks_per_column = -1)); /* not read */
}

static void test_operators(void) {
    rsk_spec *spec = spec_make(128, "skew", 1);
    float x[150] = {1}, out[150];
    CHECK(rsk_spec_bytes(spec) > 0);
    const struct {
        int kind;
        ptrdiff_t index;
        rsk_status want;
    } cases[] = {{0, 0, RSK_OK}, {0, MAX_INPUTS - 1, RSK_OK}, {0, MAX_INPUTS, RSK_EINVAL}, {0, -1, RSK_EINVAL},
                 {1, MODULES - 1, RSK_OK}, {1, MODULES, RSK_EINVAL}, {1, PTRDIFF_MIN, RSK_EINVAL}, {2, 1, RSK_OK},
                 {2, 3, RSK_OK}, {2, 4, RSK_EINVAL}, {3, 0, RSK_EINVAL}, {-1, 0, RSK_EINVAL}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int transpose = 0; transpose < 2; transpose++)
            CHECK_STATUS(cases[i].want, rsk_operator(spec, cases[i].kind, cases[i].index, transpose, x, out));
    for (ptrdiff_t m = 0; m < MODULES; m++) {
        CHECK_STATUS(RSK_OK, rsk_embed(spec, m, x, out));
        CHECK_STATUS(RSK_OK, rsk_embed_adjoint(spec, m, x, out));
        CHECK_STATUS(RSK_OK, rsk_counter(spec, m, out));
    }
    const ptrdiff_t bad[] = {-1, MODULES, PTRDIFF_MAX};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        CHECK_STATUS(RSK_EINVAL, rsk_embed(spec, bad[i], x, out));
        CHECK_STATUS(RSK_EINVAL, rsk_embed_adjoint(spec, bad[i], x, out));
        CHECK_STATUS(RSK_EINVAL, rsk_counter(spec, bad[i], out));
    }
    rsk_spec_free(spec);
}

/* ---------------------------------------------------------------- plans */

/* Two traces. The first: a leaf. The second: object 1 of inputs (0, 0), object 2 of inputs (0, 1), output 2. */
typedef struct small {
    rsk_batch batch;
    int64_t objects[3], attribute_ends[5], input_ends[5], output_ends[3];
    int32_t module[4], inputs[6], outputs[2];
    double weights[6], output_weights[2];
} small;

static void small_fill(small *s) {
    *s = (small){.objects = {0, 1, 4}, .attribute_ends = {0, 7, 14, 30, 63}, .input_ends = {0, 0, 0, 2, 4},
                 .output_ends = {0, 1, 2}, .module = {0, 0, 1, 2}, .inputs = {0, 0, 0, 1, 0, 0}, .outputs = {0, 2},
                 .weights = {1, 1, 1, 3, 1, 1}, .output_weights = {1, 1}};
    s->batch = (rsk_batch){.traces = 2, .objects = s->objects, .module = s->module, .attribute_ends = s->attribute_ends,
                           .input_ends = s->input_ends, .inputs = s->inputs, .weights = s->weights,
                           .output_ends = s->output_ends, .outputs = s->outputs, .output_weights = s->output_weights};
}

enum { ANYWHERE = -2 }; /* the header does not say where */

static void expect_plan(rsk_status want, ptrdiff_t trace, ptrdiff_t object, const small *s, int threads, int line) {
    static const char *const rotations[] = {"skew", "hadamard", "block"};
    for (int i = 0; i < 3; i++) {
        rsk_spec *spec = spec_make(i < 2 ? 64 : 1024, rotations[i], 1);
        rsk_plan *plan = (rsk_plan *)(void *)&plan; /* must be overwritten */
        rsk_where where = {-7, -7};
        check_status(want, rsk_plan_create(spec, &s->batch, threads, &plan, &where), __FILE__, line, "rsk_plan_create");
        check_that((plan == NULL) == (want != RSK_OK), __FILE__, line, "*out is NULL on error, and only then");
        if (trace != ANYWHERE && want != RSK_OK)
            check_that(where.trace == trace && where.object == object, __FILE__, line, "where");
        if (want == RSK_OK) rsk_plan_free(plan);
        rsk_spec_free(spec);
    }
}

#define EXPECT_PLAN(want, trace, object, change)                 \
    do {                                                         \
        small s;                                                 \
        small_fill(&s);                                          \
        change;                                                  \
        expect_plan((want), (trace), (object), &s, 2, __LINE__); \
    } while (0)

static void test_plan_offsets(void) {
    EXPECT_PLAN(RSK_OK, 0, 0, (void)0);
    EXPECT_PLAN(RSK_EINVAL, ANYWHERE, 0, s.batch.traces = 0);
    EXPECT_PLAN(RSK_EINVAL, ANYWHERE, 0, s.batch.traces = -1);
    EXPECT_PLAN(RSK_EINVAL, ANYWHERE, 0, s.batch.traces = PTRDIFF_MIN);
    EXPECT_PLAN(RSK_EINVAL, ANYWHERE, 0, s.batch.more = -1);
    EXPECT_PLAN(RSK_EINVAL, ANYWHERE, 0, s.batch.more = RSK_MAX_LENGTH + 1);
    /* two unknowns of each object that offsets leave out */
    EXPECT_PLAN(RSK_OK, 0, 0, (s.batch.more = 2, s.attribute_ends[1] = 5, s.attribute_ends[2] = 10, s.attribute_ends[3] = 24, s.attribute_ends[4] = 55));
    EXPECT_PLAN(RSK_ELENGTH, 0, 0, s.batch.more = 2);
    EXPECT_PLAN(RSK_ELENGTH, 1, 2, (s.batch.more = 2, s.attribute_ends[1] = 5, s.attribute_ends[2] = 10, s.attribute_ends[3] = 24));
    EXPECT_PLAN(RSK_ELENGTH, 0, 0, (s.batch.more = RSK_MAX_LENGTH, s.attribute_ends[1] = INT64_MAX, s.attribute_ends[2] = INT64_MAX,
                                    s.attribute_ends[3] = INT64_MAX, s.attribute_ends[4] = INT64_MAX));
    small good;
    small_fill(&good);
    expect_plan(RSK_EINVAL, ANYWHERE, 0, &good, 0, __LINE__);
    expect_plan(RSK_EINVAL, ANYWHERE, 0, &good, -3, __LINE__);
    expect_plan(RSK_OK, 0, 0, &good, 1000000, __LINE__);
    /* does not start at 0, or decreases; a decrease past the end must be seen before anything is read there */
    EXPECT_PLAN(RSK_EOFFSETS, ANYWHERE, 0, s.objects[0] = 1);
    EXPECT_PLAN(RSK_EOFFSETS, ANYWHERE, 0, s.objects[1] = 5);
    EXPECT_PLAN(RSK_EOFFSETS, ANYWHERE, 0, s.objects[1] = INT64_MAX);
    EXPECT_PLAN(RSK_EOFFSETS, ANYWHERE, 0, s.objects[2] = -1);
    EXPECT_PLAN(RSK_EOFFSETS, ANYWHERE, 0, s.attribute_ends[0] = -7);
    EXPECT_PLAN(RSK_EOFFSETS, ANYWHERE, 0, s.attribute_ends[2] = 100);
    EXPECT_PLAN(RSK_EOFFSETS, ANYWHERE, 0, s.attribute_ends[4] = INT64_MIN);
    EXPECT_PLAN(RSK_EOFFSETS, ANYWHERE, 0, s.input_ends[0] = 1);
    EXPECT_PLAN(RSK_EOFFSETS, ANYWHERE, 0, s.input_ends[1] = 3);
    EXPECT_PLAN(RSK_EOFFSETS, ANYWHERE, 0, s.input_ends[3] = -1);
    EXPECT_PLAN(RSK_EOFFSETS, ANYWHERE, 0, s.output_ends[0] = 1);
    EXPECT_PLAN(RSK_EOFFSETS, ANYWHERE, 0, s.output_ends[1] = INT64_MAX);
    EXPECT_PLAN(RSK_EOFFSETS, ANYWHERE, 0, s.output_ends[2] = 0);
}

/* A trace of more than 2^30 objects, inputs and outputs is refused by its offsets alone: none of the rest is there. */
static void test_plan_sizes(void) {
    const int64_t large = ((int64_t)1 << 30) + 1, half = (int64_t)1 << 29;
    EXPECT_PLAN(RSK_ESIZE, 1, -1, s.objects[2] = s.objects[1] + large);
    EXPECT_PLAN(RSK_ESIZE, 0, -1, (s.objects[1] = large, s.objects[2] = 2 * large)); /* the first of two */
    EXPECT_PLAN(RSK_ESIZE, 1, -1, s.objects[2] = INT64_MAX);
    EXPECT_PLAN(RSK_ESIZE, 1, -1, s.output_ends[2] = 1 + large);
    EXPECT_PLAN(RSK_ESIZE, 1, -1, s.output_ends[2] = INT64_MAX);
    EXPECT_PLAN(RSK_ESIZE, 1, -1, s.input_ends[4] = large);
    EXPECT_PLAN(RSK_ESIZE, 1, -1, s.input_ends[3] = s.input_ends[4] = large);
    EXPECT_PLAN(RSK_ESIZE, 0, -1, (s.input_ends[1] = s.input_ends[2] = s.input_ends[3] = s.input_ends[4] = large));
    EXPECT_PLAN(RSK_ESIZE, 1, -1, s.input_ends[4] = INT64_MAX);
    EXPECT_PLAN(RSK_ESIZE, 1, -1, s.input_ends[4] = large - 4); /* with three objects and one output: 2^30 + 1 */
    EXPECT_PLAN(RSK_ESIZE, 1, -1, (s.objects[2] = 1 + half + 1, s.output_ends[2] = 1 + half));
    EXPECT_PLAN(RSK_ESIZE, 1, -1, (s.input_ends[4] = large, s.module[0] = 9)); /* before all else */
}

static void test_plan_objects(void) {
    EXPECT_PLAN(RSK_EMODULE, 1, 1, s.module[2] = MODULES);
    EXPECT_PLAN(RSK_EMODULE, 0, 0, s.module[0] = -1);
    EXPECT_PLAN(RSK_EMODULE, 1, 2, s.module[3] = INT32_MIN);
    EXPECT_PLAN(RSK_ELENGTH, 1, 0, s.attribute_ends[2] = 13);
    EXPECT_PLAN(RSK_ELENGTH, 1, 2, s.attribute_ends[4] = INT64_MAX);
    EXPECT_PLAN(RSK_ELENGTH, 0, 0, s.attribute_ends[1] = 0);
    EXPECT_PLAN(RSK_EORDER, 1, 1, s.inputs[0] = 1);
    EXPECT_PLAN(RSK_EORDER, 1, 2, s.inputs[3] = 2);
    EXPECT_PLAN(RSK_EORDER, 1, 2, s.inputs[3] = -1);
    EXPECT_PLAN(RSK_EORDER, 1, 2, s.inputs[2] = INT32_MIN);
    EXPECT_PLAN(RSK_EORDER, 1, 1, s.inputs[1] = INT32_MAX);
    EXPECT_PLAN(RSK_EORDER, 1, 0, (s.input_ends[2] = 1, s.inputs[0] = 0)); /* the trace before is not its own */
    EXPECT_PLAN(RSK_EOUTPUT, 1, -1, s.outputs[1] = 3);
    EXPECT_PLAN(RSK_EOUTPUT, 0, -1, s.outputs[0] = -1);
    EXPECT_PLAN(RSK_EOUTPUT, 0, -1, s.output_ends[1] = 0);
    EXPECT_PLAN(RSK_EOUTPUT, 1, -1, (s.output_ends[1] = 2, s.outputs[1] = 0));
    EXPECT_PLAN(RSK_EOUTPUT, 0, -1, (s.objects[1] = s.objects[2] = 0)); /* no objects at all */
    const double bad[] = {-1, -0x1p-1074, (double)NAN, (double)INFINITY, -(double)INFINITY};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        EXPECT_PLAN(RSK_EWEIGHT, 1, 1, s.weights[1] = bad[i]);
        EXPECT_PLAN(RSK_EWEIGHT, 0, -1, s.output_weights[0] = bad[i]);
    }
    EXPECT_PLAN(RSK_EWEIGHT, 1, 2, s.weights[2] = s.weights[3] = 0);
    EXPECT_PLAN(RSK_EWEIGHT, 1, -1, s.output_weights[1] = -0.0);
    EXPECT_PLAN(RSK_OK, 0, 0, s.weights[2] = 0);
    EXPECT_PLAN(RSK_OK, 0, 0, (s.weights[2] = 0x1p-1074, s.weights[3] = 1e290));
    EXPECT_PLAN(RSK_OK, 0, 0, (s.weights[2] = 0, s.weights[3] = RSK_MAX_WEIGHT));
    EXPECT_PLAN(RSK_EWEIGHT, 1, 2, s.weights[3] = 1.001 * RSK_MAX_WEIGHT);
    EXPECT_PLAN(RSK_EWEIGHT, 1, 2, s.weights[2] = s.weights[3] = 0.6 * RSK_MAX_WEIGHT);
    EXPECT_PLAN(RSK_EWEIGHT, 1, -1, s.output_weights[1] = 1.001 * RSK_MAX_WEIGHT);
    /* six inputs: two of weight zero fit, one does not */
    EXPECT_PLAN(RSK_EFANOUT, 1, 2, (s.input_ends[3] = 0, s.input_ends[4] = 6, s.inputs[1] = 1, s.weights[5] = 0));
    EXPECT_PLAN(RSK_OK, 0, 0, (s.input_ends[3] = 0, s.input_ends[4] = 6, s.inputs[1] = 1, s.weights[5] = s.weights[0] = 0));
    /* the first failure in trace order, however many threads look */
    EXPECT_PLAN(RSK_EWEIGHT, 0, -1, (s.output_weights[0] = -1, s.module[1] = 9, s.outputs[1] = 9));
    EXPECT_PLAN(RSK_EMODULE, 1, 0, (s.module[1] = 9, s.inputs[3] = 7, s.outputs[1] = 9));
}

/* Vectors are handed on: a chain needs no more of them if it is longer, nor do shared objects that come one after the other. */
static void test_plan_vectors(void) {
    enum { MOST = 60 };
    rsk_spec *spec = spec_make(64, "skew", 1);
    int64_t objects[2] = {0}, ends[MOST + 1] = {0}, input_ends[MOST + 1] = {0};
    int32_t module[MOST] = {0}, inputs[2 * MOST], outputs[1];
    double weights[2 * MOST], one = 1;
    const int64_t output_ends[2] = {0, 1};
    const rsk_batch b = {.traces = 1, .objects = objects, .module = module, .attribute_ends = ends, .input_ends = input_ends,
                         .inputs = inputs, .weights = weights, .output_ends = output_ends, .outputs = outputs, .output_weights = &one};
    for (int i = 0; i < MOST; i++) ends[i + 1] = 7 * (i + 1);
    for (int i = 0; i < 2 * MOST; i++) weights[i] = 1;
    for (int twice = 0; twice < 2; twice++) { /* every object is the input of the next one, once or twice */
        ptrdiff_t vectors[2];
        for (int size = 0; size < 2; size++) {
            const int n = size ? MOST : 10;
            rsk_plan *plan = NULL;
            objects[1] = n, outputs[0] = n - 1;
            for (int i = 0; i < n; i++) {
                input_ends[i + 1] = (twice + 1) * i;
                for (int k = 0; i && k <= twice; k++) inputs[(twice + 1) * (i - 1) + k] = i - 1;
            }
            CHECK_STATUS(RSK_OK, rsk_plan_create(spec, &b, 1, &plan, NULL));
            vectors[size] = rsk_plan_vectors(plan);
            rsk_plan_free(plan);
        }
        CHECK(vectors[0] == vectors[1] && vectors[0] <= 8);
    }
    rsk_spec_free(spec);
}

/* An input of weight zero is none: the same bits, whatever is below it. */
static void test_zero_weights(void) {
    rsk_spec *spec = spec_make(64, "skew", 1);
    float x[63], y[3][64];
    for (int i = 0; i < 63; i++) x[i] = (float)(i % 5 - 2);
    for (int way = 0; way < 3; way++) { /* object 3 of inputs 0 and, of weight 0, 1 or 2; or of 0 alone. 2 has an input */
        const int64_t objects[2] = {0, 4}, ends[5] = {0, 7, 14, 30, 63}, input_ends[5] = {0, 0, 0, 1, way ? 3 : 2}, output_ends[2] = {0, 1};
        const int32_t module[4] = {0, 0, 1, 2}, inputs[3] = {1, 0, way}, output = 3;
        const double weights[3] = {1, 1, 0}, one = 1;
        const rsk_batch b = {.traces = 1, .objects = objects, .module = module, .attribute_ends = ends, .input_ends = input_ends,
                             .inputs = inputs, .weights = weights, .output_ends = output_ends, .outputs = &output, .output_weights = &one};
        rsk_plan *plan = NULL;
        CHECK_STATUS(RSK_OK, rsk_plan_create(spec, &b, 1, &plan, NULL));
        CHECK_STATUS(RSK_OK, rsk_sketch(spec, plan, x, NULL, y[way], 1, NULL, NULL));
        CHECK(!memcmp(y[way], y[0], sizeof *y));
        rsk_plan_free(plan);
    }
    rsk_spec_free(spec);
}

/* ---------------------------------------------------------------- sweeps and solvers */

static void test_sweeps(void) {
    rsk_spec *spec = spec_make(64, "skew", 1), *other = spec_other(64, "skew", 1);
    small s;
    small_fill(&s);
    rsk_plan *plan = NULL;
    CHECK_STATUS(RSK_OK, rsk_plan_create(spec, &s.batch, 1, &plan, NULL));
    float x[63] = {0}, y[128] = {0}, counters[4] = {0};
    double amplitude[4] = {-1, -1, -1, -1};
    int32_t uses[4];
    rsk_where where = {-7, -7};
    CHECK(rsk_plan_vectors(plan) >= 0);
    CHECK_STATUS(RSK_OK, rsk_plan_amplitudes(plan, amplitude, uses));
    CHECK(amplitude[0] > 0 && amplitude[1] > 0 && uses[0] == 1 && uses[1] == 3 && uses[2] == 1 && uses[3] == 1);
    CHECK_STATUS(RSK_OK, rsk_plan_amplitudes(plan, NULL, NULL));
    CHECK_STATUS(RSK_OK, rsk_sketch(spec, plan, x, NULL, y, 1, NULL, NULL));
    CHECK_STATUS(RSK_OK, rsk_sketch(spec, plan, x, counters, y, 1000000, NULL, &where));
    CHECK_STATUS(RSK_EINVAL, rsk_sketch(spec, plan, x, NULL, y, 0, NULL, &where));
    CHECK_STATUS(RSK_EINVAL, rsk_sketch(other, plan, x, NULL, y, 1, NULL, &where));
    CHECK_STATUS(RSK_EINVAL, rsk_adjoint(spec, plan, y, x, NULL, 0, NULL));
    CHECK_STATUS(RSK_EINVAL, rsk_adjoint(other, plan, y, x, NULL, 1, NULL));
    CHECK_STATUS(RSK_OK, rsk_adjoint(spec, plan, y, x, NULL, 1, NULL));
    const struct {
        int at;
        float value;
        rsk_status want;
        ptrdiff_t trace, object;
    } values[] = {{3, RSK_MAX_VALUE, RSK_OK, 0, 0}, {3, 1.001f * RSK_MAX_VALUE, RSK_EVALUE, 0, 0},
                  {7, NAN, RSK_EVALUE, 1, 0}, {14, -INFINITY, RSK_EVALUE, 1, 1}, {62, -RSK_MAX_VALUE, RSK_OK, 0, 0},
                  {62, -1.001f * RSK_MAX_VALUE, RSK_EVALUE, 1, 2}};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        memset(x, 0, sizeof x);
        x[values[i].at] = values[i].value;
        CHECK_STATUS(values[i].want, rsk_sketch(spec, plan, x, NULL, y, 2, NULL, &where));
        if (values[i].want) CHECK(where.trace == values[i].trace && where.object == values[i].object);
        else
            for (int k = 0; k < 128; k++) CHECK(isfinite(y[k]));
    }
    x[0] = x[62] = NAN; /* two failures: the first is told */
    CHECK_STATUS(RSK_EVALUE, rsk_sketch(spec, plan, x, NULL, y, 2, NULL, &where));
    CHECK(where.trace == 0 && where.object == 0);
    rsk_plan_free(plan);
    rsk_plan_free(NULL);
    rsk_spec_free(spec);
    rsk_spec_free(other);
}

/* A plan goes with every specification of the parameters that it was made for, and with no other, wherever they lie in memory. */
static void test_plan_identity(void) {
    small s;
    small_fill(&s);
    params p;
    float x[63] = {0}, y[128], again[128];
    rsk_plan *plan = NULL;
    params_fill(&p, 64, "skew", 1);
    rsk_spec *spec = spec_of(&p);
    CHECK_STATUS(RSK_OK, rsk_plan_create(spec, &s.batch, 1, &plan, NULL));
    for (int i = 0; i < 63; i++) x[i] = (float)(i % 5 - 2);
    CHECK_STATUS(RSK_OK, rsk_sketch(spec, plan, x, NULL, y, 1, NULL, NULL));
    rsk_spec_free(spec);
    spec = spec_of(&p); /* the plan needs the one that is gone no more */
    CHECK_STATUS(RSK_OK, rsk_sketch(spec, plan, x, NULL, again, 1, NULL, NULL));
    CHECK(!memcmp(y, again, sizeof y));
    rsk_spec_free(spec);
    for (int change = 0; change < 24; change++) { /* most allocators put it where the last one was */
        params_fill(&p, 64, "skew", 1);
        switch (change) {
        case 0: p.p.dim = 128; break;
        case 1: p.p.modules--; break;
        case 2: p.p.max_inputs--; break;
        case 3: p.p.seed ^= (uint64_t)1 << 63; break;
        case 4: p.p.rotation = "hadamard"; break;
        case 5: p.p.cosine = -p.p.cosine; break;
        case 6: p.p.sine = -p.p.sine; break;
        case 7: p.p.gain /= 2; break;
        case 8: p.p.branch /= 2; break;
        case 9: p.p.weighting = RSK_WEIGHTS_LINEAR; break;
        case 10: p.lengths[MODULES - 1]--; break;
        case 11: p.p.spread = 0.5; break;
        case 12: p.positions[MAX_INPUTS - 1]++; break;
        case 13: p.operators[0]++; break;
        case 14: p.embeddings[1]++; break;
        case 15: p.counters[2]++; break;
        case 16: p.p.branch_attr += 7; break;
        case 17: p.p.branch_in[0] += 7; break;
        case 18: p.p.branch_attr = 2, p.p.branch_in[0] = 1; break; /* exchanged */
        case 19: p.p.branch_in[1] += 7; break;
        case 20: p.p.ordered = 0; break;
        case 21: p.p.ins = 1; break;
        case 22: p.positions[POSITIONS - 1]++; break; /* it may decide the mask of a module */
        default: p.operators[0] = 200, p.embeddings[0] = 0x123456789abcdef0u; break;
        }
        spec = spec_of(&p);
        if (!CHECK_STATUS(RSK_EINVAL, rsk_sketch(spec, plan, x, NULL, y, 1, NULL, NULL))) printf("  change %d\n", change);
        rsk_spec_free(spec);
    }
    params_fill(&p, 64, "skew", 1);
    p.p.ordered = 256; /* whatever is not 0 is the same flag */
    spec = spec_of(&p);
    CHECK_STATUS(RSK_OK, rsk_sketch(spec, plan, x, NULL, again, 1, NULL, NULL));
    rsk_spec_free(spec);
    rsk_plan_free(plan);
}

static void test_lstsq_arguments(void) {
    rsk_spec *spec = spec_make(64, "skew", 1), *other = spec_other(64, "skew", 1);
    small s;
    small_fill(&s);
    rsk_plan *plan = NULL;
    CHECK_STATUS(RSK_OK, rsk_plan_create(spec, &s.batch, 1, &plan, NULL));
    float x[63] = {0}, y[128], back[63];
    uint8_t mask[128];
    double residual[2];
    int32_t iterations[2];
    rsk_where where = {-7, -7};
    memset(mask, 1, sizeof mask);
    CHECK_STATUS(RSK_OK, rsk_sketch(spec, plan, x, NULL, y, 1, NULL, NULL));
    const struct {
        double tolerance;
        int most;
        ptrdiff_t rows;
        int threads;
        rsk_status want;
    } cases[] = {{1e-6, 10, 1, 1, RSK_OK}, {0, 1, 2, 2, RSK_OK}, {-1e-9, 10, 1, 1, RSK_EINVAL},
                 {(double)NAN, 10, 1, 1, RSK_EINVAL}, {1e-6, 0, 1, 1, RSK_EINVAL}, {1e-6, -5, 1, 1, RSK_EINVAL},
                 {1e-6, 10, 0, 1, RSK_EINVAL}, {1e-6, 10, 3, 1, RSK_EINVAL}, {1e-6, 10, -1, 1, RSK_EINVAL},
                 {1e-6, 10, 1, 0, RSK_EINVAL}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const rsk_lstsq_params p = {cases[i].tolerance, cases[i].most, NULL};
        CHECK_STATUS(cases[i].want, rsk_lstsq(spec, plan, y, mask, cases[i].rows, &p, back, residual, iterations, cases[i].threads, NULL, &where));
    }
    const rsk_lstsq_params p = {1e-6, 10, NULL};
    CHECK_STATUS(RSK_EINVAL, rsk_lstsq(other, plan, y, NULL, 1, &p, back, residual, iterations, 1, NULL, NULL));
    const double noise[][2] = {{0, 1e-3}, {1e-3, -1e-3}, {1e-3, (double)NAN}, {(double)INFINITY, 0}};
    for (int i = 0; i < 4; i++) {
        const rsk_lstsq_params q = {0, 10, noise[i]};
        CHECK_STATUS(i ? RSK_EINVAL : RSK_OK, rsk_lstsq(spec, plan, y, mask, 1, &q, back, residual, iterations, 1, NULL, NULL));
    }
    /* a bad coordinate is an error where it counts, and is not read where it is erased */
    const float bad[] = {NAN, INFINITY, -1.01f * RSK_MAX_VALUE};
    for (int i = 0; i < 3; i++) {
        const float keep = y[70];
        y[70] = bad[i];
        CHECK_STATUS(RSK_EVALUE, rsk_lstsq(spec, plan, y, NULL, 1, &p, back, residual, iterations, 2, NULL, &where));
        CHECK(where.trace == 1);
        CHECK_STATUS(RSK_EVALUE, rsk_lstsq(spec, plan, y, mask, 2, &p, back, residual, iterations, 2, NULL, &where));
        mask[70] = 0;
        CHECK_STATUS(RSK_OK, rsk_lstsq(spec, plan, y, mask, 2, &p, back, residual, iterations, 2, NULL, &where));
        for (int k = 0; k < 63; k++) CHECK(isfinite(back[k]));
        mask[70] = 1;
        y[70] = keep;
    }
    memset(y, 0, sizeof y);
    CHECK_STATUS(RSK_OK, rsk_lstsq(spec, plan, y, NULL, 1, &p, back, residual, iterations, 1, NULL, NULL));
    CHECK(isinf(residual[0]) && isinf(residual[1])); /* a zero sketch of counters that are not zero */
    memset(mask, 0, sizeof mask); /* everything erased */
    y[0] = 1;
    CHECK_STATUS(RSK_OK, rsk_lstsq(spec, plan, y, mask, 1, &p, back, residual, iterations, 1, NULL, NULL));
    CHECK(isnan(residual[0]) && isnan(residual[1]) && isnan(back[0]));
    rsk_plan_free(plan);
    rsk_spec_free(spec);
    rsk_spec_free(other);
}

static void test_sparse_arguments(void) {
    rsk_spec *spec = spec_make(64, "skew", 1), *other = spec_other(64, "skew", 1);
    small s;
    small_fill(&s);
    rsk_plan *plan = NULL;
    CHECK_STATUS(RSK_OK, rsk_plan_create(spec, &s.batch, 1, &plan, NULL));
    float x[63] = {0}, y[128], back[63];
    uint8_t mask[128];
    double residual[2];
    int32_t iterations[2];
    rsk_where where = {-7, -7};
    memset(mask, 1, sizeof mask);
    for (int k = 0; k < 63; k++) x[k] = (float)(k * 11 % 7 - 3); /* not sparse, and of both signs: every limit binds */
    CHECK_STATUS(RSK_OK, rsk_sketch(spec, plan, x, NULL, y, 1, NULL, NULL));
    const double fine[] = {0, 1e-3}, huge[] = {0, (double)RSK_MAX_VALUE}, bad[][2] = {
        {-1e-300, 0}, {0, (double)NAN}, {(double)INFINITY, 0}, {0, 1.001 * (double)RSK_MAX_VALUE}};
    const struct {
        rsk_sparse_params p;
        ptrdiff_t rows;
        int threads;
        rsk_status want;
    } cases[] = {{{0, 0, 0, 0, NULL, 200}, 1, 1, RSK_OK}, {{1, 0, 0, 1, fine, 1}, 2, 2, RSK_OK},
                 {{0, 1, 0, 0, huge, 9}, 1, 2, RSK_OK}, {{PTRDIFF_MAX, PTRDIFF_MAX, 0, 1, NULL, INT32_MAX}, 1, 1, RSK_OK},
                 {{3, 2, 0, 0, NULL, 50}, 1, 1, RSK_OK}, {{0, 1, 0, 1, NULL, 500}, 1, 1, RSK_OK}, {{5, 0, 0, 0, NULL, 1}, 1, 1, RSK_OK},
                 {{-1, 0, 0, 0, NULL, 9}, 1, 1, RSK_EINVAL}, {{PTRDIFF_MIN, 0, 0, 0, NULL, 9}, 1, 1, RSK_EINVAL},
                 {{0, -1, 0, 0, NULL, 9}, 1, 1, RSK_EINVAL}, {{0, 0, 0, 0, NULL, 0}, 1, 1, RSK_EINVAL},
                 {{0, 0, 0, 0, NULL, -9}, 1, 1, RSK_EINVAL}, {{0, 0, 0, 0, bad[0], 9}, 1, 1, RSK_EINVAL},
                 {{0, 0, 0, 0, bad[1], 9}, 1, 1, RSK_EINVAL}, {{0, 0, 0, 0, bad[2], 9}, 1, 1, RSK_EINVAL},
                 {{0, 0, 0, 0, bad[3], 9}, 1, 1, RSK_EINVAL}, {{0, 0, 0, 0, NULL, 9}, 0, 1, RSK_EINVAL},
                 {{0, 0, 0, 0, NULL, 9}, 3, 1, RSK_EINVAL}, {{0, 0, 0, 0, NULL, 9}, 1, 0, RSK_EINVAL}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CHECK_STATUS(cases[i].want, rsk_sparse(spec, plan, y, mask, cases[i].rows, &cases[i].p, back, residual, iterations,
                                               cases[i].threads, NULL, &where));
        CHECK(where.trace == -1 && where.object == -1);
        if (cases[i].want) continue;
        for (int t = 0; t < 2; t++) CHECK(iterations[t] <= cases[i].p.max_iterations && residual[t] >= 0);
        ptrdiff_t all = 0;
        for (int o = 0, k = 0; o < 4; o++) { /* limits hold, however little time there is */
            ptrdiff_t nonzeros = 0;
            for (; k < s.attribute_ends[o + 1]; k++) {
                nonzeros += back[k] != 0;
                CHECK(isfinite(back[k]) && !(cases[i].p.nonnegative && back[k] < 0));
            }
            if (cases[i].p.per_object) CHECK(nonzeros <= cases[i].p.per_object);
            all = o == 1 ? nonzeros : all + nonzeros; /* of its trace */
            if (cases[i].p.nonzeros) CHECK(all <= cases[i].p.nonzeros);
        }
    }
    for (int most = 1; most < 60; most++) { /* wherever it is stopped */
        const rsk_sparse_params cut = {9, 0, 0, 1, NULL, most};
        CHECK_STATUS(RSK_OK, rsk_sparse(spec, plan, y, NULL, 1, &cut, back, residual, iterations, 2, NULL, NULL));
        for (int k = 0; k < 63; k++) CHECK(back[k] >= 0);
        CHECK(iterations[0] <= most && iterations[1] <= most);
    }
    const rsk_sparse_params p = {0, 0, 0, 0, NULL, 200};
    memset(x, 0, sizeof x);
    x[3] = x[20] = 1;
    CHECK_STATUS(RSK_OK, rsk_sketch(spec, plan, x, NULL, y, 1, NULL, NULL));
    CHECK_STATUS(RSK_OK, rsk_sparse(spec, plan, y, NULL, 1, &p, back, residual, iterations, 2, NULL, NULL));
    for (int k = 0; k < 63; k++) CHECK(x[k] == 0 ? back[k] == 0 : fabsf(back[k] - 1) < 1e-5f);
    CHECK_STATUS(RSK_EINVAL, rsk_sparse(spec, plan, y, NULL, 1, NULL, back, residual, iterations, 1, NULL, NULL));
    CHECK_STATUS(RSK_EINVAL, rsk_sparse(other, plan, y, NULL, 1, &p, back, residual, iterations, 1, NULL, NULL));
    const float broken[] = {NAN, INFINITY, -1.01f * RSK_MAX_VALUE};
    for (int i = 0; i < 3; i++) {
        const float keep = y[70];
        y[70] = broken[i];
        CHECK_STATUS(RSK_EVALUE, rsk_sparse(spec, plan, y, NULL, 1, &p, back, residual, iterations, 2, NULL, &where));
        CHECK(where.trace == 1);
        mask[70] = 0;
        CHECK_STATUS(RSK_OK, rsk_sparse(spec, plan, y, mask, 2, &p, back, residual, iterations, 2, NULL, &where));
        for (int k = 0; k < 63; k++) CHECK(isfinite(back[k]));
        mask[70] = 1;
        y[70] = keep;
    }
    for (int k = 0; k < 128; k++) y[k] = k & 4 ? RSK_MAX_VALUE : -RSK_MAX_VALUE; /* asks for more than a sketch can hold */
    CHECK_STATUS(RSK_OK, rsk_sparse(spec, plan, y, NULL, 1, &p, back, residual, iterations, 1, NULL, NULL));
    for (int k = 0; k < 63; k++) CHECK(isfinite(back[k]));
    CHECK(residual[0] >= 0 && residual[1] >= 0);
    memset(y, 0, sizeof y);
    CHECK_STATUS(RSK_OK, rsk_sparse(spec, plan, y, NULL, 1, &p, back, residual, iterations, 1, NULL, NULL));
    CHECK(isinf(residual[0]) && isinf(residual[1])); /* a zero sketch of counters that are not zero */
    memset(mask, 0, sizeof mask); /* everything erased */
    y[0] = 1;
    CHECK_STATUS(RSK_OK, rsk_sparse(spec, plan, y, mask, 1, &p, back, residual, iterations, 1, NULL, NULL));
    CHECK(isnan(residual[0]) && isnan(residual[1]) && isnan(back[0]));
    rsk_plan_free(plan);
    rsk_spec_free(spec);
    rsk_spec_free(other);
}

/* ---------------------------------------------------------------- flags */

/* Whatever is not 0 sets a flag, and keeps a coordinate. */
static void test_flags(void) {
    static const int flags[] = {2, -1, 256, INT32_MIN};
    for (int rotation = 0; rotation < 2; rotation++) {
        rsk_spec *spec = spec_make(64, rotation ? "hadamard" : "skew", 1);
        small s;
        small_fill(&s);
        rsk_plan *plan = NULL;
        CHECK_STATUS(RSK_OK, rsk_plan_create(spec, &s.batch, 1, &plan, NULL));
        float x[64] = {0}, y[128], want[64], got[64];
        uint8_t mask[64], bytes[64];
        uint64_t state = 5;
        double residual[2];
        int32_t iterations[2];
        for (int k = 0; k < 63; k++) x[k] = next_float(&state);
        for (int k = 0; k < 64; k++) mask[k] = k % 4 != 0, bytes[k] = (uint8_t)(k % 4 ? 1u << k % 8 | 128u * (k % 3 == 0) : 0);
        CHECK_STATUS(RSK_OK, rsk_sketch(spec, plan, x, NULL, y, 1, NULL, NULL));
        const rsk_lstsq_params all = {1e-6, 30, NULL};
        CHECK_STATUS(RSK_OK, rsk_lstsq(spec, plan, y, mask, 1, &all, want, residual, iterations, 1, NULL, NULL));
        CHECK_STATUS(RSK_OK, rsk_lstsq(spec, plan, y, bytes, 1, &all, got, residual, iterations, 1, NULL, NULL));
        CHECK(!memcmp(want, got, 63 * sizeof *got));
        for (int i = 0; i < 4; i++) {
            for (int kind = 0; kind < 3; kind++) {
                CHECK_STATUS(RSK_OK, rsk_operator(spec, kind, 0, 1, x, want));
                CHECK_STATUS(RSK_OK, rsk_operator(spec, kind, 0, flags[i], x, got));
                CHECK(!memcmp(want, got, sizeof got));
            }
            rsk_sparse_params few = {4, 0, 0, 1, NULL, 30};
            CHECK_STATUS(RSK_OK, rsk_sparse(spec, plan, y, mask, 1, &few, want, residual, iterations, 1, NULL, NULL));
            few.nonnegative = flags[i];
            CHECK_STATUS(RSK_OK, rsk_sparse(spec, plan, y, bytes, 1, &few, got, residual, iterations, 1, NULL, NULL));
            CHECK(!memcmp(want, got, 63 * sizeof *got));
        }
        rsk_plan_free(plan);
        rsk_spec_free(spec);
    }
    uint16_t signs[6] = {1, 2, 4, 8, 16, 32};
    const rsk_projection p = {20, 32, 32, signs, 1.0};
    float x[32], want[32], got[32];
    double wide[32], wide_want[32], wide_got[32];
    for (int k = 0; k < 32; k++) x[k] = (float)(k * 7 % 11), wide[k] = (double)x[k];
    CHECK_STATUS(RSK_OK, rsk_project_f32(&p, 1, x, 1, want, 1));
    CHECK_STATUS(RSK_OK, rsk_project_f64(&p, 1, wide, 1, wide_want, 1));
    for (int i = 0; i < 4; i++) {
        CHECK_STATUS(RSK_OK, rsk_project_f32(&p, flags[i], x, 1, got, 1));
        CHECK_STATUS(RSK_OK, rsk_project_f64(&p, flags[i], wide, 1, wide_got, 1));
        CHECK(!memcmp(want, got, 20 * sizeof *got) && !memcmp(wide_want, wide_got, 20 * sizeof *wide_got));
    }
}

/* ---------------------------------------------------------------- memory */

static void test_memory(void) {
    if (!fail_allocations(-1)) return;
    rsk_spec *spec = spec_make(64, "hadamard", 1), *made = NULL;
    small s;
    small_fill(&s);
    params q;
    params_fill(&q, 64, "skew", 1);
    rsk_plan *plan = NULL, *also = NULL;
    rsk_where where;
    float x[150] = {0}, y[128] = {0};
    double residual[2];
    int32_t iterations[2];
    const rsk_lstsq_params p = {1e-6, 10, NULL};
    const rsk_sparse_params few = {1, 0, 0, 1, NULL, 10};
    EACH_ALLOCATION(rsk_spec_create(&q.p, NULL, &made), CHECK((made != NULL) == (got == RSK_OK)));
    EACH_ALLOCATION(rsk_plan_create(spec, &s.batch, 2, &also, &where), CHECK((also != NULL) == (got == RSK_OK)));
    CHECK_STATUS(RSK_OK, rsk_plan_create(spec, &s.batch, 1, &plan, NULL));
    EACH_ALLOCATION(rsk_sketch(spec, plan, x, NULL, y, 1, NULL, &where), (void)0);
    EACH_ALLOCATION(rsk_adjoint(spec, plan, y, x, NULL, 1, NULL), (void)0);
    EACH_ALLOCATION(rsk_lstsq(spec, plan, y, NULL, 1, &p, x, residual, iterations, 1, NULL, &where), (void)0);
    EACH_ALLOCATION(rsk_sparse(spec, plan, y, NULL, 1, &few, x, residual, iterations, 1, NULL, &where), (void)0);
    EACH_ALLOCATION(rsk_operator(spec, 0, 0, 0, x, y), (void)0);
    EACH_ALLOCATION(rsk_embed(spec, 3, x, y), (void)0);
    EACH_ALLOCATION(rsk_embed_adjoint(spec, 3, y, x), (void)0);
    uint16_t signs[12] = {0};
    const uint32_t entries[4] = {0, 1, 2, 0};
    const int32_t index[4] = {0, 1, 2, 3};
    const rsk_projection projection = {4, 4, 16, signs, 1.0};
    const rsk_hashing hashing = {4, 3, 1, entries, 1.0};
    const rsk_tensor tensor = {4, 4, 4, 0, 16, 1, signs, index, 1.0};
    double wide[64] = {0}, wide_out[64];
    EACH_ALLOCATION(rsk_fwht_f32(x, 1, 16, 1.0, y, 1), (void)0);
    EACH_ALLOCATION(rsk_fwht_f64(wide, 1, 16, 1.0, wide_out, 1), (void)0);
    EACH_ALLOCATION(rsk_project_f32(&projection, 0, x, 1, y, 1), (void)0);
    EACH_ALLOCATION(rsk_project_f64(&projection, 1, wide, 1, wide_out, 1), (void)0);
    EACH_ALLOCATION(rsk_hash_f32(&hashing, x, 16, y, 1), (void)0);
    EACH_ALLOCATION(rsk_hash_f64(&hashing, wide, 16, wide_out, 1), (void)0);
    EACH_ALLOCATION(rsk_tensor_sketch_f32(&tensor, x, 1, y, 1), (void)0);
    EACH_ALLOCATION(rsk_tensor_sketch_f64(&tensor, wide, 1, wide_out, 1), (void)0);
    rsk_plan_free(plan);
    rsk_plan_free(also);
    rsk_spec_free(spec);
    rsk_spec_free(made);
}

void test_statuses(void) {
    RUN(test_isa);
    RUN(test_philox);
    RUN(test_fwht);
    RUN(test_overflow);
    RUN(test_within);
    RUN(test_fits);
    RUN(test_projection);
    RUN(test_hashing);
    RUN(test_tensor);
    RUN(test_spec_parameters);
    RUN(test_block_parameters);
    RUN(test_operators);
    RUN(test_plan_offsets);
    RUN(test_plan_sizes);
    RUN(test_plan_objects);
    RUN(test_plan_vectors);
    RUN(test_zero_weights);
    RUN(test_flags);
    RUN(test_sweeps);
    RUN(test_plan_identity);
    RUN(test_lstsq_arguments);
    RUN(test_sparse_arguments);
    RUN(test_memory);
}

int main(void) {
    static char buffer[BUFSIZ]; /* its own, so that it is not counted where the C library is linked statically */
    setvbuf(stdout, buffer, _IOLBF, sizeof buffer); /* a forked child must not print a buffer twice */
    test_statuses();
    RUN(test_pointers);
    RUN(test_private);
    RUN(test_solvers);
    test_learning();
    RUN(test_stopping);
    RUN(test_laws);
    test_threads();
    RUN(test_unrolling);
    test_encoding();
    test_weightings();
    test_bytes();
    printf("%d passed, %d failed\n", checks_passed, checks_failed);
    return checks_failed > 0;
}
