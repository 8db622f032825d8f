/* Plain C: it specifies what the other levels compute, to the bit. */
#include "base/kernel_table.h"

#include <math.h>
#include <string.h>

typedef struct v16 {
    float v[16];
} v16;
typedef struct w16 {
    double v[16];
} w16;
typedef struct lanes {
    int m;
} lanes;

static inline lanes lanes_make(int m, int crossing) {
    const lanes r = {m};
    (void)crossing;
    return r;
}

#define EACH(i) for (int i = 0; i < 16; i++)

/* a b + c, rounded once. The product of two floats is exact in doubles. Their sum is rounded to the nearest double, and then to the
 * odd one of the two doubles beside the exact sum, so that rounding it to float is as rounding the exact one would be (S. Boldo,
 * G. Melquiond, IEEE Trans. Computers 57 (2008)). Where there is no such instruction, C's fmaf takes ten times as long. */
static inline float fused(float a, float b, float c) {
#if defined(FP_FAST_FMAF)
    return fmaf(a, b, c);
#else
    const double p = (double)a * (double)b, q = (double)c, sum = p + q, q_part = sum - p;
    const double error = (p - (sum - q_part)) + (q - q_part); /* exact; NaN where the sum is not finite */
    int64_t bits;
    memcpy(&bits, &sum, sizeof bits);
    const int64_t even = ~bits & 1, away = (error > 0.0) == (sum > 0.0) ? 1 : -1;
    bits += ((error > 0.0) | (error < 0.0)) ? even * away : 0;
    double odd;
    memcpy(&odd, &bits, sizeof odd);
    return (float)odd;
#endif
}

#define BLOCK_OPERATIONS(V, T, U, FMA)                                                                                              \
    static inline V V##_load(const T *p) {                                                                                     \
        V r;                                                                                                                   \
        memcpy(r.v, p, sizeof r.v);                                                                                            \
        return r;                                                                                                              \
    }                                                                                                                          \
    static inline void V##_store(T *p, V x) { memcpy(p, x.v, sizeof x.v); }                                                    \
    static inline V V##_add(V a, V b) {                                                                                        \
        EACH(i) a.v[i] += b.v[i];                                                                                              \
        return a;                                                                                                              \
    }                                                                                                                          \
    static inline V V##_sub(V a, V b) {                                                                                        \
        EACH(i) a.v[i] -= b.v[i];                                                                                              \
        return a;                                                                                                              \
    }                                                                                                                          \
    static inline V V##_mul(V a, V b) {                                                                                        \
        EACH(i) a.v[i] *= b.v[i];                                                                                              \
        return a;                                                                                                              \
    }                                                                                                                          \
    static inline V V##_fma(V a, V b, V c) {                                                                                   \
        EACH(i) c.v[i] = FMA(a.v[i], b.v[i], c.v[i]);                                                                          \
        return c;                                                                                                              \
    }                                                                                                                          \
    static inline V V##_fnma(V a, V b, V c) {                                                                                  \
        EACH(i) c.v[i] = FMA(-a.v[i], b.v[i], c.v[i]);                                                                         \
        return c;                                                                                                              \
    }                                                                                                                          \
    static inline V V##_of_ints(const int32_t *p) {                                                                            \
        V r;                                                                                                                   \
        EACH(i) r.v[i] = (T)p[i];                                                                                              \
        return r;                                                                                                              \
    }                                                                                                                          \
    typedef uint32_t V##_ints;                                                                                                 \
    static inline V##_ints V##_ints_zero(void) { return 0; }                                                                   \
    static inline uint32_t V##_ints_most(V##_ints x) { return x; }                                                             \
    static inline V##_ints V##_add_ints(int32_t *out, V x, V##_ints most) { /* adding 1.5 2^52 rounds to a whole number */     \
        EACH(i) {                                                                                                              \
            out[i] += (int32_t)(((double)x.v[i] + 0x1.8p52) - 0x1.8p52);                                                       \
            const uint32_t size = (uint32_t)(out[i] < 0 ? -out[i] : out[i]);                                                   \
            most = size > most ? size : most;                                                                                  \
        }                                                                                                                      \
        return most;                                                                                                           \
    }                                                                                                                          \
    static inline V V##_set1(T f) {                                                                                            \
        V r;                                                                                                                   \
        EACH(i) r.v[i] = f;                                                                                                    \
        return r;                                                                                                              \
    }                                                                                                                          \
    static inline V V##_lanes(V x, lanes p) {                                                                                  \
        V r;                                                                                                                   \
        EACH(i) r.v[i] = x.v[i ^ p.m];                                                                                         \
        return r;                                                                                                              \
    }                                                                                                                          \
    static inline V V##_flip_in(V x, uint16_t bits, lanes p) {                                                                 \
        U u[16];                                                                                                               \
        memcpy(u, x.v, sizeof u);                                                                                              \
        EACH(i) u[i] ^= (U)(bits >> (i ^ p.m)) << (8 * sizeof(U) - 1);                                                         \
        memcpy(x.v, u, sizeof u);                                                                                              \
        return x;                                                                                                              \
    }                                                                                                                          \
    static inline V V##_flip(V x, uint16_t bits) { return V##_flip_in(x, bits, lanes_make(0, 0)); }                            \
    typedef V V##_either;                                                                                                      \
    static inline V##_either V##_either_of(V x) { return x; }                                                                  \
    static inline V V##_pick(V##_either x, const uint16_t *bits, ptrdiff_t k, lanes p) {                                       \
        return V##_flip_in(x, bits[k / 16], p);                                                                                \
    }                                                                                                                          \
    static inline V V##_flip_word(V x, uint16_t word, const int from) {                                                        \
        (void)from;                                                                                                            \
        return V##_flip(x, word);                                                                                              \
    }                                                                                                                          \
    static inline V V##_stage(V x, const int h) {                                                                              \
        V r;                                                                                                                   \
        EACH(i) r.v[i] = i & h ? x.v[i ^ h] - x.v[i] : x.v[i] + x.v[i ^ h];                                                    \
        return r;                                                                                                              \
    }                                                                                                                          \
    static inline void V##_transpose(V r[16]) {                                                                                \
        EACH(i) for (int j = 0; j < i; j++) {                                                                                  \
            const T t = r[i].v[j];                                                                                             \
            r[i].v[j] = r[j].v[i];                                                                                             \
            r[j].v[i] = t;                                                                                                     \
        }                                                                                                                      \
    }

BLOCK_OPERATIONS(v16, float, uint32_t, fused)
BLOCK_OPERATIONS(w16, double, uint64_t, fma)

static inline w16 w16_of(const float *p) {
    w16 r;
    EACH(i) r.v[i] = (double)p[i];
    return r;
}
static inline w16 w16_of_bytes(const int8_t *p) {
    w16 r;
    EACH(i) r.v[i] = (double)p[i];
    return r;
}
static inline v16 v16_narrow(w16 x) {
    v16 r;
    EACH(i) r.v[i] = (float)x.v[i];
    return r;
}

static inline w16 w16_larger(w16 most, w16 x) { /* max(most, |x|) */
    EACH(i) {
        const double size = x.v[i] < 0.0 ? -x.v[i] : x.v[i];
        most.v[i] = size > most.v[i] ? size : most.v[i];
    }
    return most;
}
static inline double w16_sum(w16 x) {
    for (int h = 8; h > 0; h /= 2)
        for (int i = 0; i < h; i++) x.v[i] += x.v[i + h];
    return x.v[0];
}
static inline double w16_most(w16 x) {
    for (int i = 1; i < 16; i++) x.v[0] = x.v[i] > x.v[0] ? x.v[i] : x.v[0];
    return x.v[0];
}
typedef struct n16 {
    int32_t v[16];
} n16;
static inline n16 n16_rounded(w16 x) { /* adding 1.5 2^52 leaves no bits behind the point */
    n16 r;
    EACH(i) r.v[i] = (int32_t)((x.v[i] + 0x1.8p52) - 0x1.8p52);
    return r;
}
static inline n16 n16_lanes(n16 x, int m) {
    n16 r;
    EACH(i) r.v[i] = x.v[i ^ m];
    return r;
}

static inline ptrdiff_t table_at(ptrdiff_t j) { return 4 * j; }
static inline void n16_store_tables(int32_t *out, n16 x, n16 y) {
    EACH(i) {
        const uint32_t a = (uint32_t)x.v[i], b = (uint32_t)y.v[i];
        out[4 * i] = (int32_t)(a + b);
        out[4 * i + 1] = (int32_t)(b - a);
        out[4 * i + 2] = (int32_t)(a - b);
        out[4 * i + 3] = (int32_t)(0u - a - b);
    }
}

static inline v16 v16_abs(v16 x) {
    uint32_t u[16];
    memcpy(u, x.v, sizeof u);
    EACH(i) u[i] &= 0x7fffffffu;
    memcpy(x.v, u, sizeof u);
    return x;
}
static inline v16 v16_max(v16 a, v16 b) {
    EACH(i) a.v[i] = a.v[i] > b.v[i] ? a.v[i] : b.v[i];
    return a;
}
static inline float v16_sum(v16 x) {
    for (int h = 8; h > 0; h /= 2)
        for (int i = 0; i < h; i++) x.v[i] += x.v[i + h];
    return x.v[0];
}
static inline v16 v16_by(v16 x, const uint32_t *word, const int at) {
    uint32_t u[16];
    memcpy(u, x.v, sizeof u);
    EACH(i) u[i] ^= word[i] << (31 - at) & 0x80000000u;
    memcpy(x.v, u, sizeof u);
    return x;
}
/* Shifts exponent and fraction into place and multiplies by 2^112, which is exact. Infinities and NaN get the largest exponent. */
static inline v16 v16_half(const uint16_t *p) {
    uint32_t u[16];
    v16 r;
    EACH(i) u[i] = (uint32_t)(p[i] & 0x7fff) << 13;
    memcpy(r.v, u, sizeof u);
    EACH(i) r.v[i] *= 0x1p112f;
    memcpy(u, r.v, sizeof u);
    EACH(i) u[i] |= (uint32_t)(p[i] & 0x8000) << 16 | ((p[i] & 0x7c00) == 0x7c00 ? 0x7f800000u : 0u);
    memcpy(r.v, u, sizeof u);
    return r;
}

/* Adding what ends an ulp below the last bit that is kept rounds to the nearest, ties to even. Below 2^-14 halves are multiples of
 * 2^-24, which is the ulp of 1/2: its sum with a number rounds to one of them. */
static inline void v16_to_half(uint16_t *p, v16 x) {
    uint32_t u[16];
    memcpy(u, x.v, sizeof u);
    EACH(i) {
        const uint32_t sign = u[i] >> 16 & 0x8000u, size = u[i] & 0x7fffffffu;
        float small;
        uint32_t bits;
        memcpy(&small, &size, sizeof small);
        small += 0.5f;
        memcpy(&bits, &small, sizeof bits);
        const uint32_t whole = (size + 0xfffu + (size >> 13 & 1u)) >> 13;
        p[i] = (uint16_t)(sign | (size < 0x38800000u ? bits - 0x3f000000u : whole - (112u << 10)));
    }
}

static inline v16 v16_bfloat(const uint16_t *p) {
    uint32_t u[16];
    v16 r;
    EACH(i) u[i] = (uint32_t)p[i] << 16;
    memcpy(r.v, u, sizeof u);
    return r;
}

typedef struct bytes {
    int16_t v[32];
} bytes;
typedef struct i16 {
    int32_t v[16];
} i16;
static inline bytes bytes_load(const int8_t *p) {
    bytes r;
    for (int i = 0; i < 32; i++) r.v[i] = p[i];
    return r;
}
static inline i16 i16_zero(void) {
    const i16 r = {{0}};
    return r;
}
static inline i16 i16_dot(i16 sum, bytes a, const int16_t *b) {
    EACH(i) sum.v[i] += a.v[2 * i] * b[2 * i] + a.v[2 * i + 1] * b[2 * i + 1];
    return sum;
}
static inline int64_t i16_sum(i16 x) {
    int64_t sum = 0;
    EACH(i) sum += x.v[i];
    return sum;
}

#define SCAN_ROWS 2
#define SCAN_QUERIES 3
/* Here a register is a whole block. */
#define r32 v16
#define r64 w16
#define v16_signed v16_pick
#define w16_signed w16_pick
#define R32_LANES 16
#define R64_LANES 16
#define R32_RADIX 8
#define R64_RADIX 8
#define R32_HALF 0
#define R64_HALF 0

#define RSK_TABLE rsk_kernels_portable
#define RSK_LEVEL "portable"
#define RSK_LOOKUP "lookup.h"
#define RSK_SMALL
#include "body.h"
