/* Leaves in whole numbers, and embeddings of which fewer than 16 coordinates hold a number. What is not elementwise has one order. */

static double largest(const double *h, ptrdiff_t n) {
    w16 most = w16_set1(0.0);
    for (ptrdiff_t j = 0; j < n; j += BLOCK) most = w16_larger(most, w16_load(h + j));
    return w16_most(most);
}

static RSK_INLINE void embed_block(double *h, const float *x, uint16_t bits) {
    RSK_UNROLL for (int i = 0; i < BLOCK; i += R64_LANES)
        RSK_JOIN(r64, store)(h + i, RSK_JOIN(r64, flip_word)(RSK_JOIN(r64, of)(x + i), bits, i));
}

static double embed(double *h, const float *x, ptrdiff_t length, ptrdiff_t n, const uint16_t *bits) {
    if (!within_f32(x, length, RSK_MAX_VALUE)) return -1.0;
    ptrdiff_t j = 0;
    for (; j + BLOCK <= length; j += BLOCK) embed_block(h + j, x + j, bits[j / BLOCK]);
    if (j < length) {
        float rest[BLOCK] = {0};
        memcpy(rest, x + j, sizeof *x * (size_t)(length - j));
        embed_block(h + j, rest, bits[j / BLOCK]);
        j += BLOCK;
    }
    memset(h + j, 0, sizeof *h * (size_t)(n - j));
    fwht_f64(h, n);
    return largest(h, n);
}

static void lower(int32_t *x, ptrdiff_t n, int shift) { /* in two steps, the second by one bit, since nothing may overflow */
    for (ptrdiff_t k = 0; k < n; k++) x[k] = ((x[k] >> (shift - 1)) + 1) >> 1;
}

static void settle(float *RSK_RESTRICT out, const int32_t *RSK_RESTRICT x, ptrdiff_t n, double f) {
    for (ptrdiff_t k = 0; k < n; k++) out[k] = (float)((double)x[k] * f);
}

static void leaf_tables(int32_t *RSK_RESTRICT tables, const double *RSK_RESTRICT h, ptrdiff_t width, double a, double b,
                        const ptrdiff_t partner[2]) {
    const w16 va = w16_set1(a), vb = w16_set1(b);
    for (ptrdiff_t j = 0; j < width; j += BLOCK) {
        const n16 one = n16_rounded(w16_mul(va, w16_load(h + j)));
        for (int c = 0; c < 2; c++) {
            const ptrdiff_t from = j ^ (partner[c] & ~(ptrdiff_t)(BLOCK - 1));
            const n16 two = n16_lanes(n16_rounded(w16_mul(vb, w16_load(h + from))), (int)(partner[c] & (BLOCK - 1)));
            n16_store_tables(tables + 4 * (c * width + j), one, two);
        }
    }
}

/* Adds eight registers, with the signs of two bits, to the sums of the runs that they belong to, and with those of the other two to n. A
 * run is `span` registers, or half of one where that is 0; where it is more than eight, `more` says that these are not its first. */
static RSK_INLINE void sum_chunk(const float *y, const uint32_t *index, v16 *one, v16 *two, v16 n[2], const int span, const int counted,
                                 int more) {
    RSK_UNROLL for (int q = 0; q < 8; q++) {
        const v16 x = v16_load(y + 16 * q), a = v16_by(x, index, 4 * q), b = v16_by(x, index, 4 * q + 1);
        const int i = span ? q / (span ? span : 1) : q, first = span == 0 || (q % (span ? span : 1) == 0 && !more);
        one[i] = first ? a : v16_add(one[i], a);
        two[i] = first ? b : v16_add(two[i], b);
        if (!counted) continue;
        n[0] = v16_add(n[0], v16_by(x, index, 4 * q + 2));
        n[1] = v16_add(n[1], v16_by(x, index, 4 * q + 3));
    }
}

/* Sixteen runs at a time. */
static RSK_INLINE void leaf_sums_loop(const float *y, ptrdiff_t d, ptrdiff_t width, const uint32_t *index, float *sums, v16 n[2],
                                      const int span, const int counted) {
    const ptrdiff_t run = d / 2 / width, chunks = run > 128 ? run / 128 : 1;
    const int runs = span == 0 ? 16 : 8 / (span ? span : 1);
    for (ptrdiff_t j = 0, k = 0; j < 2 * width; j += 16) {
        v16 one[16], two[16];
        for (int i = 0; i < 16; i += runs)
            for (ptrdiff_t c = 0; c < chunks; c++, k += 128)
                sum_chunk(y + k, index + k / 8, one + i, two + i, n, span, counted, c > 0);
        v16_store(sums + j, span ? v16_sums(one) : v16_half_sums(one));
        v16_store(sums + 2 * width + j, span ? v16_sums(two) : v16_half_sums(two));
    }
}

static void leaf_sums(const float *y, ptrdiff_t d, ptrdiff_t width, const uint32_t *index, float *sums, float *counter) {
    v16 n[2] = {v16_set1(0.0f), v16_set1(0.0f)};
#define SUMS(span)                                                      \
    {                                                                   \
        if (counter) leaf_sums_loop(y, d, width, index, sums, n, span, 1); \
        else leaf_sums_loop(y, d, width, index, sums, n, span, 0);      \
        break;                                                          \
    }
    switch (d / 2 / width) {
    case 8: SUMS(0)
    case 16: SUMS(1)
    case 32: SUMS(2)
    case 64: SUMS(4)
    default: SUMS(8)
    }
#undef SUMS
    for (int b = 0; counter && b < 2; b++) counter[b] = v16_sum(n[b]);
}

#define REG(name) RSK_JOIN(r32, name)

static void leaf_join(float *RSK_RESTRICT h, const float *RSK_RESTRICT sums, ptrdiff_t width, float c, float s,
                      const ptrdiff_t partner[2]) {
    const r32 vc = REG(set1)(c), vs = REG(set1)(s);
    const lanes near[2] = {lanes_make((int)(partner[0] & (BLOCK - 1)), 1), lanes_make((int)(partner[1] & (BLOCK - 1)), 1)};
    const ptrdiff_t far[2] = {partner[0] & ~(ptrdiff_t)(R32_LANES - 1), partner[1] & ~(ptrdiff_t)(R32_LANES - 1)};
    for (ptrdiff_t j = 0; j < width; j += R32_LANES) {
        const r32 one = REG(add)(REG(load)(sums + j), REG(load)(sums + width + j));
        const r32 two = REG(add)(REG(lanes)(REG(load)(sums + 2 * width + (j ^ far[0])), near[0]),
                                 REG(lanes)(REG(load)(sums + 3 * width + (j ^ far[1])), near[1]));
        REG(store)(h + j, REG(fma)(vs, two, REG(mul)(vc, one)));
    }
}

static void repeat(float *RSK_RESTRICT out, ptrdiff_t d, const rsk_spread *shape, const float *RSK_RESTRICT row, float counter) {
    const ptrdiff_t width = shape->width;
    const lanes straight = lanes_make(0, 0);
    const REG(either) c = REG(either_of)(REG(set1)(counter));
    for (ptrdiff_t half = 0; half < d; half += d / 2) {
        const float *from = width == d ? row + half : row;
        float *to = out + half;
        if (width >= d / 2) memcpy(to, from, sizeof *to * (size_t)(d / 2));
        else if (width == d / 4)
            for (ptrdiff_t j = 0; j < width; j++) to[2 * j] = to[2 * j + 1] = from[j];
        else if (width == d / 8)
            for (ptrdiff_t j = 0; j < width; j++) to[4 * j] = to[4 * j + 1] = to[4 * j + 2] = to[4 * j + 3] = from[j];
        else
            for (ptrdiff_t j = 0; j < width; j++)
                for (ptrdiff_t i = 0; i < d / 2 / width; i++) *to++ = from[j];
    }
    for (ptrdiff_t k = 0; k < d; k += R32_LANES) {
        const r32 x = REG(pick)(REG(either_of)(REG(load)(out + k)), shape->bits, k, straight);
        REG(store)(out + k, REG(add)(x, REG(pick)(c, shape->counter_bits, k, straight)));
    }
}

static void gather(float *y, ptrdiff_t d, const rsk_spread *shape, float *RSK_RESTRICT row, float *counter) {
    const ptrdiff_t width = shape->width;
    v16 n = v16_set1(0.0f);
    for (ptrdiff_t k = 0; k < d; k += BLOCK) {
        const v16 x = v16_load(y + k);
        n = v16_add(n, v16_flip(x, shape->counter_bits[k / BLOCK]));
        v16_store(y + k, v16_flip(x, shape->bits[k / BLOCK]));
    }
    *counter = v16_sum(n);
    if (width == d) {
        memcpy(row, y, sizeof *row * (size_t)d);
        return;
    }
    for (ptrdiff_t n_left = d; n_left > 2 * width; n_left /= 2)
        for (ptrdiff_t j = 0; j < n_left / 2; j++) y[j] = y[2 * j] + y[2 * j + 1];
    for (ptrdiff_t j = 0; j < width; j++) row[j] = y[j] + y[width + j];
}

#undef REG
