/* Whether numbers are finite and how large; what solvers add up: sums of products, vectors less multiples of others; columns of signs,
 * packed one bit an element, as vectors of +-1; and the largest of many correlations.
 *
 * Products of doubles are not fused with the sums. It would save nothing: a sum of sixteen waits for its additions, and a vector for
 * its loads and stores. Plain C without the instruction would take many times as long. */
#include <math.h>

/* The sizes of numbers are in the order of their bits without the sign, infinity and then NaN last. */
static RSK_INLINE uint32_t magnitude(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits & 0x7fffffffu;
}

static RSK_INLINE uint32_t largest_magnitude(const float *x, ptrdiff_t n) {
    uint32_t largest = 0;
    for (ptrdiff_t i = 0; i < n; i++) {
        const uint32_t size = magnitude(x[i]);
        largest = size > largest ? size : largest;
    }
    return largest;
}

static int within_f32(const float *x, ptrdiff_t n, float most) { return largest_magnitude(x, n) <= magnitude(most); }

static int within_f64(const double *x, ptrdiff_t n, double most) {
    int64_t largest = 0, limit; /* signed: some instruction sets compare no other integers of 64 bits */
    memcpy(&limit, &most, sizeof limit);
    for (ptrdiff_t i = 0; i < n; i++) {
        int64_t bits;
        memcpy(&bits, x + i, sizeof bits);
        bits &= INT64_MAX;
        largest = bits > largest ? bits : largest;
    }
    return largest <= limit;
}

/* Sums are loaded and stored once for all rows, which would else take longer than reading these. */
static RSK_INLINE uint32_t add_fixed_of(uint64_t *RSK_RESTRICT sum, const float *const *x, const int rows, ptrdiff_t n) {
    const float *a = x[0], *b = x[rows > 1 ? 1 : 0], *c = x[rows > 1 ? 2 : 0], *d = x[rows > 1 ? 3 : 0]; /* one row or RSK_ROWS */
    uint32_t largest = 0;
    for (ptrdiff_t k = 0; k < n; k++) {
        uint64_t more = rsk_fixed(a[k]);
        uint32_t most = magnitude(a[k]);
        if (rows > 1) {
            more += rsk_fixed(b[k]) + rsk_fixed(c[k]) + rsk_fixed(d[k]);
            const uint32_t u = magnitude(b[k]), v = magnitude(c[k]), w = magnitude(d[k]);
            most = u > most ? u : most;
            most = v > most ? v : most;
            most = w > most ? w : most;
        }
        sum[k] += more;
        largest = most > largest ? most : largest;
    }
    return largest;
}

static uint32_t add_fixed(int64_t *sum, const float *const *x, int rows, ptrdiff_t n) {
    if (rows == RSK_ROWS) return add_fixed_of((uint64_t *)sum, x, RSK_ROWS, n);
    uint32_t largest = 0;
    for (int r = 0; r < rows; r++) {
        const uint32_t most = add_fixed_of((uint64_t *)sum, x + r, 1, n);
        largest = most > largest ? most : largest;
    }
    return largest;
}

/* One object after the other is added, so that the bits are those of one at a time; sums stay in registers for ROWS of them. */
#define WIDE(operation) RSK_JOIN(r64, operation)
#define ROWS (R64_LANES < 8 ? 2 : 4) /* whose sums of squares fit the registers beside */

static RSK_INLINE void moments_of(const float *const *x, const int rows, ptrdiff_t n, const double *RSK_RESTRICT shift,
                                  double *RSK_RESTRICT sum, double *RSK_RESTRICT square, double *norms) {
    r64 own[4][BLOCK / R64_LANES];
    double lane[4][BLOCK];
    for (int r = 0; r < rows; r++)
        for (int j = 0; j < BLOCK / R64_LANES; j++) own[r][j] = WIDE(set1)(0.0);
    /* what comes next lies behind these vectors as a rule, and rows of a few hundred bytes are too short for the hardware to see it */
    const ptrdiff_t ahead = n < 256 ? 4096 : 16 * n;
    ptrdiff_t i = 0;
    for (; i + BLOCK <= n; i += BLOCK) {
        for (int r = 0; r < rows; r++) RSK_PREFETCH_AT(x[r] + i, ahead);
        RSK_UNROLL
        for (int j = 0; j < BLOCK / R64_LANES; j++) {
            const ptrdiff_t k = i + j * R64_LANES;
            const r64 from = WIDE(load)(shift + k);
            r64 s = WIDE(load)(sum + k), q = WIDE(load)(square + k);
            RSK_UNROLL
            for (int r = 0; r < rows; r++) {
                const r64 v = WIDE(of)(x[r] + k), apart = WIDE(sub)(v, from);
                s = WIDE(add)(s, apart);
                q = WIDE(add)(q, WIDE(mul)(apart, apart));
                own[r][j] = WIDE(add)(own[r][j], WIDE(mul)(v, v));
            }
            WIDE(store)(sum + k, s);
            WIDE(store)(square + k, q);
        }
    }
    for (int r = 0; r < rows; r++) {
        for (int j = 0; j < BLOCK / R64_LANES; j++) WIDE(store)(lane[r] + j * R64_LANES, own[r][j]);
        for (ptrdiff_t k = i; k < n; k++) {
            const double v = (double)x[r][k], apart = v - shift[k];
            sum[k] += apart;
            square[k] += apart * apart;
            lane[r][k - i] += v * v;
        }
        norms[r] = w16_sum(w16_load(lane[r]));
    }
}

/* *zeros += the zeros; *largest = the bits of the largest |x[k]|, or what it was if that is larger. n is at most 2^29. */
static RSK_INLINE void look_over(const float *const *x, const int rows, ptrdiff_t n, int64_t *zeros, uint32_t *largest) {
    uint32_t none = 0;
    int32_t most = (int32_t)*largest;
    for (ptrdiff_t i = 0; i < n; i++)
        RSK_UNROLL for (int r = 0; r < rows; r++) {
            int32_t bits;
            memcpy(&bits, x[r] + i, sizeof bits);
            bits &= INT32_MAX;
            most = bits > most ? bits : most;
            none += bits == 0;
        }
    *largest = (uint32_t)most;
    *zeros += none;
}

static void moments(const float *const *x, int rows, ptrdiff_t n, const double *shift, double *sum, double *square, double *norms,
                    int64_t *zeros, uint32_t *largest) {
    int r = 0;
    *largest = 0;
    for (; r + ROWS <= rows; r += ROWS) {
        moments_of(x + r, ROWS, n, shift, sum, square, norms + r);
        look_over(x + r, ROWS, n, zeros, largest);
    }
    for (; r < rows; r++) {
        moments_of(x + r, 1, n, shift, sum, square, norms + r);
        look_over(x + r, 1, n, zeros, largest);
    }
}
#undef WIDE
#undef ROWS

static double folded(w16 sum, const double *a, const double *b, ptrdiff_t rest) {
    double lane[BLOCK];
    w16_store(lane, sum);
    for (ptrdiff_t i = 0; i < rest; i++) lane[i] += a[i] * b[i];
    return w16_sum(w16_load(lane));
}

static double dot(const double *a, const double *b, ptrdiff_t n) {
    w16 sum = w16_set1(0.0);
    ptrdiff_t i = 0;
    for (; i + BLOCK <= n; i += BLOCK) sum = w16_add(sum, w16_mul(w16_load(a + i), w16_load(b + i)));
    return folded(sum, a + i, b + i, n - i);
}

static void subtract(double *RSK_RESTRICT out, double factor, const double *RSK_RESTRICT x, ptrdiff_t n) {
    const w16 f = w16_set1(factor);
    ptrdiff_t i = 0;
    for (; i + BLOCK <= n; i += BLOCK) w16_store(out + i, w16_sub(w16_load(out + i), w16_mul(f, w16_load(x + i))));
    for (; i < n; i++) out[i] -= factor * x[i];
}

/* The sum of y[k] (-1)^bit_k, in sixteen interleaved sums that are folded by halves. n is a multiple of 16. */
static double signs_dot(const double *y, const uint16_t *bits, ptrdiff_t n) {
    w16 sum = w16_set1(0.0);
    for (ptrdiff_t b = 0; b < n / BLOCK; b++) sum = w16_add(sum, w16_flip(w16_load(y + b * BLOCK), bits[b]));
    return folded(sum, NULL, NULL, 0);
}

/* out = y less coef[j] times column j, for j = 0 .. count - 1 in this order. Column j's words begin at bits + j * words. */
static void signs_subtract(double *RSK_RESTRICT out, const double *RSK_RESTRICT y, ptrdiff_t n, const uint16_t *bits,
                           ptrdiff_t words, const double *coef, ptrdiff_t count) {
    for (ptrdiff_t b = 0; b < n / BLOCK; b++) {
        w16 r = w16_load(y + b * BLOCK);
        for (ptrdiff_t j = 0; j < count; j++) r = w16_sub(r, w16_flip(w16_set1(coef[j]), bits[j * words + b]));
        w16_store(out + b * BLOCK, r);
    }
}

/* The index of the first largest |x[k]|, or with bits of the first largest x[k] (-1)^bit_k. n is a multiple of 16; x has no NaN. */
#define PEAK_CHUNK (16 * BLOCK)

static RSK_INLINE v16 peak_block(const float *x, const uint16_t *bits, ptrdiff_t k) {
    const v16 v = v16_load(x + k);
    return bits ? v16_flip(v, bits[k / BLOCK]) : v16_abs(v);
}

static ptrdiff_t peak(const float *x, ptrdiff_t n, const uint16_t *bits) {
    float best = -INFINITY, lane[BLOCK];
    ptrdiff_t chunk = 0;
    for (ptrdiff_t begin = 0; begin < n; begin += PEAK_CHUNK) {
        const ptrdiff_t end = n - begin < PEAK_CHUNK ? n : begin + PEAK_CHUNK;
        v16 most = peak_block(x, bits, begin);
        if (bits)
            for (ptrdiff_t k = begin + BLOCK; k < end; k += BLOCK) most = v16_max(most, peak_block(x, bits, k));
        else
            for (ptrdiff_t k = begin + BLOCK; k < end; k += BLOCK) most = v16_max(most, peak_block(x, NULL, k));
        v16_store(lane, most);
        for (int h = BLOCK / 2; h > 0; h /= 2)
            for (int i = 0; i < h; i++) lane[i] = lane[i] > lane[i + h] ? lane[i] : lane[i + h];
        if (lane[0] > best) best = lane[0], chunk = begin;
    }
    for (ptrdiff_t k = chunk;; k += BLOCK) {
        v16_store(lane, peak_block(x, bits, k));
        for (int i = 0; i < BLOCK; i++)
            if (lane[i] == best) return k + i;
    }
}

#undef PEAK_CHUNK
