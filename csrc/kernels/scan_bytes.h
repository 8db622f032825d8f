/* Inner products of rows of int8 with queries of int16: exact in integers, so that every order gives the same bits, then rounded
 * to float. */

#define BYTES 32 /* a step */
/* A lane takes at most 2 products a step, each at most 2^7 2^15: 2^31 is not reached within 255 steps. */
#define FLUSH (128 * BYTES)

static RSK_INLINE void dots_tile_i8(const int8_t *x, ptrdiff_t d, const int rows, const int16_t *y, ptrdiff_t padded,
                                    const int queries, float *out, ptrdiff_t pitch) {
    int64_t total[SCAN_SUMS] = {0};
    const ptrdiff_t whole = d & ~(ptrdiff_t)(BYTES - 1);
    for (ptrdiff_t begin = 0; begin < d; begin += FLUSH) {
        const ptrdiff_t end = whole - begin < FLUSH ? whole : begin + FLUSH;
        i16 sum[SCAN_SUMS];
        RSK_UNROLL for (int q = 0; q < queries; q++)
            RSK_UNROLL for (int r = 0; r < rows; r++) sum[q * rows + r] = i16_zero();
        for (ptrdiff_t k = begin; k < end; k += BYTES) {
            bytes a[SCAN_ROWS];
            RSK_UNROLL for (int r = 0; r < rows; r++) a[r] = bytes_load(x + r * d + k);
            RSK_UNROLL for (int q = 0; q < queries; q++)
                RSK_UNROLL for (int r = 0; r < rows; r++)
                    sum[q * rows + r] = i16_dot(sum[q * rows + r], a[r], y + q * padded + k);
        }
        if (whole < d && d - begin <= FLUSH)
            RSK_UNROLL for (int r = 0; r < rows; r++) {
                int8_t rest[BYTES] = {0};
                for (ptrdiff_t k = whole; k < d; k++) rest[k - whole] = x[r * d + k];
                const bytes a = bytes_load(rest);
                RSK_UNROLL for (int q = 0; q < queries; q++)
                    sum[q * rows + r] = i16_dot(sum[q * rows + r], a, y + q * padded + whole);
            }
        RSK_UNROLL for (int q = 0; q < queries; q++)
            RSK_UNROLL for (int r = 0; r < rows; r++) total[q * rows + r] += i16_sum(sum[q * rows + r]);
    }
    for (int q = 0; q < queries; q++)
        for (int r = 0; r < rows; r++) out[q * pitch + r] = (float)total[q * rows + r];
}

static void dots_i8(const void *rows, ptrdiff_t n, ptrdiff_t d, const void *queries, ptrdiff_t m, ptrdiff_t padded, float *out) {
    const int8_t *x = rows;
    const int16_t *y = queries;
    ptrdiff_t q = 0;
    for (; q + SCAN_QUERIES <= m; q += SCAN_QUERIES) {
        ptrdiff_t r = 0;
        for (; r + SCAN_ROWS <= n; r += SCAN_ROWS)
            dots_tile_i8(x + r * d, d, SCAN_ROWS, y + q * padded, padded, SCAN_QUERIES, out + q * n + r, n);
        for (; r < n; r++) dots_tile_i8(x + r * d, d, 1, y + q * padded, padded, SCAN_QUERIES, out + q * n + r, n);
    }
    for (; q < m; q++) /* Integer adds are not bound by latency; sequential reads are fastest. */
        for (ptrdiff_t r = 0; r < n; r++) dots_tile_i8(x + r * d, d, 1, y + q * padded, padded, 1, out + q * n + r, n);
}

/* A row times a query in doubles: sixteen interleaved sums of exact products, folded by halves. */
static double dot_bytes(const int8_t *x, const float *y, ptrdiff_t d) {
    enum { PARTS = BLOCK / R64_LANES };
    r64 sum[PARTS];
    double all[BLOCK];
    RSK_UNROLL for (int i = 0; i < PARTS; i++) sum[i] = RSK_JOIN(r64, set1)(0.0);
    ptrdiff_t k = 0;
    for (; k + BLOCK <= d; k += BLOCK)
        RSK_UNROLL for (int i = 0; i < PARTS; i++)
            sum[i] = RSK_JOIN(r64, add)(sum[i], RSK_JOIN(r64, mul)(RSK_JOIN(r64, of_bytes)(x + k + i * R64_LANES),
                                                                   RSK_JOIN(r64, of)(y + k + i * R64_LANES)));
    RSK_UNROLL for (int i = 0; i < PARTS; i++) RSK_JOIN(r64, store)(all + i * R64_LANES, sum[i]);
    for (int i = 0; k < d; i++, k++) all[i] += (double)x[k] * (double)y[k];
    for (int h = BLOCK / 2; h > 0; h /= 2)
        for (int i = 0; i < h; i++) all[i] += all[i + h];
    return all[0];
}

#undef BYTES
#undef FLUSH
