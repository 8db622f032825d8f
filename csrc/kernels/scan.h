/* Inner products of rows with queries, included once for rows of float (f32), of IEEE halves (f16) and of bfloat16 (bf16).
 *
 * A score is sixteen interleaved sums over the row, folded by halves, whatever tile it is computed in: the bits depend on
 * nothing else. A tile of SCAN_ROWS x SCAN_QUERIES keeps its sums in registers; the rows of a tile meet as many queries, one tile
 * after the other, as stay in L1 beside them. */

#define FN(name) RSK_JOIN(name, SUFFIX)

/* out (n, d up to the next multiple of 16) = rows (n, d), converted exactly, and zeros */
static void FN(unpack)(float *RSK_RESTRICT out, const void *rows, ptrdiff_t n, ptrdiff_t d) {
    const T *x = rows;
    const ptrdiff_t whole = d & ~(ptrdiff_t)(BLOCK - 1);
    for (ptrdiff_t r = 0; r < n; r++, x += d) {
        for (ptrdiff_t k = 0; k < whole; k += BLOCK, out += BLOCK) v16_store(out, LOAD(x + k));
        if (whole < d) {
            T rest[BLOCK] = {0};
            for (ptrdiff_t k = whole; k < d; k++) rest[k - whole] = x[k];
            v16_store(out, LOAD(rest));
            out += BLOCK;
        }
    }
}

/* rows and queries are constants wherever this is inlined; out[q * pitch + r] */
static RSK_INLINE void FN(dots_tile)(const T *x, ptrdiff_t d, const int rows, const float *y, ptrdiff_t padded, const int queries,
                                     float *out, ptrdiff_t pitch) {
    v16 sum[SCAN_SUMS];
    RSK_UNROLL for (int q = 0; q < queries; q++)
        RSK_UNROLL for (int r = 0; r < rows; r++) sum[q * rows + r] = v16_set1(0.0f);
    const ptrdiff_t whole = d & ~(ptrdiff_t)(BLOCK - 1);
    for (ptrdiff_t k = 0; k < whole; k += BLOCK) {
        v16 a[SCAN_TALL];
        RSK_UNROLL for (int r = 0; r < rows; r++) {
            if (sizeof(T) < 4 && queries == 1 && rows == SCAN_TALL) RSK_PREFETCH_AT(x + r * d + k, rows * d * (ptrdiff_t)sizeof(T));
            a[r] = LOAD(x + r * d + k);
        }
        RSK_UNROLL for (int q = 0; q < queries; q++) {
            const v16 b = v16_load(y + q * padded + k);
            RSK_UNROLL for (int r = 0; r < rows; r++) sum[q * rows + r] = v16_fma(a[r], b, sum[q * rows + r]);
        }
    }
    if (whole < d)
        RSK_UNROLL for (int r = 0; r < rows; r++) {
            T rest[BLOCK] = {0};
            for (ptrdiff_t k = whole; k < d; k++) rest[k - whole] = x[r * d + k];
            const v16 a = LOAD(rest);
            RSK_UNROLL for (int q = 0; q < queries; q++)
                sum[q * rows + r] = v16_fma(a, v16_load(y + q * padded + whole), sum[q * rows + r]);
        }
    float total[SCAN_SUMS];
    RSK_UNROLL for (int i = 0; i < rows * queries / 4; i++) v16_sum4(total + 4 * i, sum + 4 * i);
    RSK_UNROLL for (int i = rows * queries / 4 * 4; i < rows * queries; i++) total[i] = v16_sum(sum[i]);
    RSK_UNROLL for (int q = 0; q < queries; q++)
        RSK_UNROLL for (int r = 0; r < rows; r++) out[q * pitch + r] = total[q * rows + r];
}

static void FN(dots)(const void *rows, ptrdiff_t n, ptrdiff_t d, const void *queries, ptrdiff_t m, ptrdiff_t padded, float *out) {
    const T *x = rows;
    const float *y = queries;
    const ptrdiff_t fit = SCAN_NEAR / (padded * (ptrdiff_t)sizeof *y) / SCAN_QUERIES * SCAN_QUERIES;
    const ptrdiff_t near = fit > SCAN_QUERIES ? fit : SCAN_QUERIES;
    ptrdiff_t q = 0;
    for (; q + SCAN_QUERIES <= m; q += near) {
        const ptrdiff_t left = (m - q) / SCAN_QUERIES * SCAN_QUERIES, end = q + (left < near ? left : near);
        ptrdiff_t r = 0;
        for (; r + SCAN_ROWS <= n; r += SCAN_ROWS)
            for (ptrdiff_t p = q; p < end; p += SCAN_QUERIES)
                FN(dots_tile)(x + r * d, d, SCAN_ROWS, y + p * padded, padded, SCAN_QUERIES, out + p * n + r, n);
        for (; r < n; r++)
            for (ptrdiff_t p = q; p < end; p += SCAN_QUERIES)
                FN(dots_tile)(x + r * d, d, 1, y + p * padded, padded, SCAN_QUERIES, out + p * n + r, n);
    }
    q = m / SCAN_QUERIES * SCAN_QUERIES;
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
