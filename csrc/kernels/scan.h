/* Inner products of rows with queries, included once for rows of float (f32), of IEEE halves (f16) and of bfloat16 (bf16).
 *
 * A score is sixteen interleaved sums over the row, folded by halves, whatever tile it is computed in: the bits depend on
 * nothing else. A tile of SCAN_ROWS x SCAN_QUERIES keeps its sums in registers. */

#define FN(name) RSK_JOIN(name, SUFFIX)

/* rows and queries are constants wherever this is inlined; out[q * pitch + r] */
static RSK_INLINE void FN(dots_tile)(const T *x, ptrdiff_t d, const int rows, const float *y, ptrdiff_t padded, const int queries,
                                     float *out, ptrdiff_t pitch) {
    v16 sum[SCAN_SUMS];
    RSK_UNROLL for (int i = 0; i < rows * queries; i++) sum[i] = v16_set1(0.0f);
    const ptrdiff_t whole = d & ~(ptrdiff_t)(BLOCK - 1);
    for (ptrdiff_t k = 0; k < whole; k += BLOCK) {
        v16 a[SCAN_TALL];
        RSK_UNROLL for (int r = 0; r < rows; r++) {
            if (rows == SCAN_TALL && queries == 1) RSK_PREFETCH_AT(x + r * d + k, rows * d * (ptrdiff_t)sizeof(T));
            a[r] = LOAD(x + r * d + k);
        }
        RSK_UNROLL for (int q = 0; q < queries; q++) {
            const v16 b = v16_load(y + q * padded + k);
            RSK_UNROLL for (int r = 0; r < rows; r++) sum[q * rows + r] = v16_add(sum[q * rows + r], v16_mul(a[r], b));
        }
    }
    if (whole < d)
        RSK_UNROLL for (int r = 0; r < rows; r++) {
            T rest[BLOCK] = {0};
            for (ptrdiff_t k = whole; k < d; k++) rest[k - whole] = x[r * d + k];
            const v16 a = LOAD(rest);
            RSK_UNROLL for (int q = 0; q < queries; q++)
                sum[q * rows + r] = v16_add(sum[q * rows + r], v16_mul(a, v16_load(y + q * padded + whole)));
        }
    RSK_UNROLL for (int q = 0; q < queries; q++)
        RSK_UNROLL for (int r = 0; r < rows; r++) out[q * pitch + r] = v16_sum(sum[q * rows + r]);
}

static void FN(dots)(const void *rows, ptrdiff_t n, ptrdiff_t d, const void *queries, ptrdiff_t m, ptrdiff_t padded, float *out) {
    const T *x = rows;
    const float *y = queries;
    ptrdiff_t q = 0;
    for (; q + SCAN_QUERIES <= m; q += SCAN_QUERIES) {
        ptrdiff_t r = 0;
        for (; r + SCAN_ROWS <= n; r += SCAN_ROWS)
            FN(dots_tile)(x + r * d, d, SCAN_ROWS, y + q * padded, padded, SCAN_QUERIES, out + q * n + r, n);
        for (; r < n; r++) FN(dots_tile)(x + r * d, d, 1, y + q * padded, padded, SCAN_QUERIES, out + q * n + r, n);
    }
    for (; q < m; q++) { /* several rows at a time: additions to one sum alone would each wait for the one before */
        ptrdiff_t r = 0;
        for (; r + SCAN_TALL <= n; r += SCAN_TALL)
            FN(dots_tile)(x + r * d, d, SCAN_TALL, y + q * padded, padded, 1, out + q * n + r, n);
        for (; r < n; r++) FN(dots_tile)(x + r * d, d, 1, y + q * padded, padded, 1, out + q * n + r, n);
    }
}

#undef FN
#undef T
#undef LOAD
#undef SUFFIX
