/* AArch64 Advanced SIMD. */
#include "base/kernel_table.h"

#include <arm_neon.h>

typedef struct v16 {
    float32x4_t q[4];
} v16;
typedef struct w16 {
    float64x2_t q[8];
} w16;

static inline v16 v16_load(const float *p) {
    const v16 r = {{vld1q_f32(p), vld1q_f32(p + 4), vld1q_f32(p + 8), vld1q_f32(p + 12)}};
    return r;
}
static inline void v16_store(float *p, v16 x) {
    for (int i = 0; i < 4; i++) vst1q_f32(p + 4 * i, x.q[i]);
}
static inline v16 v16_set1(float f) {
    const float32x4_t q = vdupq_n_f32(f);
    const v16 r = {{q, q, q, q}};
    return r;
}
static inline v16 v16_add(v16 a, v16 b) {
    for (int i = 0; i < 4; i++) a.q[i] = vaddq_f32(a.q[i], b.q[i]);
    return a;
}
static inline v16 v16_mul(v16 a, v16 b) {
    for (int i = 0; i < 4; i++) a.q[i] = vmulq_f32(a.q[i], b.q[i]);
    return a;
}
static inline v16 v16_fma(v16 a, v16 b, v16 c) {
    for (int i = 0; i < 4; i++) c.q[i] = vfmaq_f32(c.q[i], a.q[i], b.q[i]);
    return c;
}
/* Every lane is shifted so that bit i of the word becomes the sign of lane i. */
static inline v16 v16_flip(v16 x, uint16_t bits) {
    static const int32_t shifts[4] = {31, 30, 29, 28};
    const int32x4_t shift = vld1q_s32(shifts);
    const uint32x4_t minus = vdupq_n_u32(0x80000000u);
    for (int i = 0; i < 4; i++) {
        const uint32x4_t sign = vandq_u32(vshlq_u32(vdupq_n_u32((uint32_t)bits >> (4 * i)), shift), minus);
        x.q[i] = vreinterpretq_f32_u32(veorq_u32(vreinterpretq_u32_f32(x.q[i]), sign));
    }
    return x;
}

static inline w16 w16_load(const double *p) {
    w16 r;
    for (int i = 0; i < 8; i++) r.q[i] = vld1q_f64(p + 2 * i);
    return r;
}
static inline void w16_store(double *p, w16 x) {
    for (int i = 0; i < 8; i++) vst1q_f64(p + 2 * i, x.q[i]);
}
static inline w16 w16_add(w16 a, w16 b) {
    for (int i = 0; i < 8; i++) a.q[i] = vaddq_f64(a.q[i], b.q[i]);
    return a;
}
static inline w16 w16_sub(w16 a, w16 b) {
    for (int i = 0; i < 8; i++) a.q[i] = vsubq_f64(a.q[i], b.q[i]);
    return a;
}
static inline w16 w16_mul(w16 a, w16 b) {
    for (int i = 0; i < 8; i++) a.q[i] = vmulq_f64(a.q[i], b.q[i]);
    return a;
}
static inline w16 w16_set1(double f) {
    w16 r;
    for (int i = 0; i < 8; i++) r.q[i] = vdupq_n_f64(f);
    return r;
}
static inline w16 w16_flip(w16 x, uint16_t bits) {
    static const int64_t shifts[2] = {63, 62};
    const int64x2_t shift = vld1q_s64(shifts);
    const uint64x2_t minus = vdupq_n_u64(0x8000000000000000u);
    for (int i = 0; i < 8; i++) {
        const uint64x2_t sign = vandq_u64(vshlq_u64(vdupq_n_u64((uint64_t)bits >> (2 * i)), shift), minus);
        x.q[i] = vreinterpretq_f64_u64(veorq_u64(vreinterpretq_u64_f64(x.q[i]), sign));
    }
    return x;
}
/* max(most, |x|) */
static inline w16 w16_larger(w16 most, w16 x) {
    for (int i = 0; i < 8; i++) most.q[i] = vmaxq_f64(most.q[i], vabsq_f64(x.q[i]));
    return most;
}
static inline double w16_sum(w16 x) {
    for (int h = 4; h > 0; h /= 2)
        for (int i = 0; i < h; i++) x.q[i] = vaddq_f64(x.q[i], x.q[i + h]);
    return vgetq_lane_f64(x.q[0], 0) + vgetq_lane_f64(x.q[0], 1);
}
static inline double w16_most(w16 x) {
    for (int i = 1; i < 8; i++) x.q[0] = vmaxq_f64(x.q[0], x.q[i]);
    return vmaxvq_f64(x.q[0]);
}
typedef struct n16 {
    int32x4_t q[4];
} n16;
static inline n16 n16_rounded(w16 x) {
    n16 r;
    for (int i = 0; i < 4; i++)
        r.q[i] = vmovn_high_s64(vmovn_s64(vcvtnq_s64_f64(x.q[2 * i])), vcvtnq_s64_f64(x.q[2 * i + 1]));
    return r;
}
static inline n16 n16_lanes(n16 x, int m) {
    n16 r;
    for (int i = 0; i < 4; i++) {
        int32x4_t v = x.q[i ^ m >> 2];
        if (m & 1) v = vrev64q_s32(v);
        r.q[i] = m & 2 ? vextq_s32(v, v, 2) : v;
    }
    return r;
}
static inline ptrdiff_t table_at(ptrdiff_t j) { return 4 * j; }
static inline void n16_store_tables(int32_t *out, n16 x, n16 y) {
    for (int i = 0; i < 4; i++) {
        const int32x4_t sum = vaddq_s32(x.q[i], y.q[i]), less = vsubq_s32(x.q[i], y.q[i]);
        const int32x4x4_t four = {{sum, vsubq_s32(y.q[i], x.q[i]), less, vnegq_s32(sum)}};
        vst4q_s32(out + 16 * i, four);
    }
}
static inline v16 v16_narrow(w16 x) {
    v16 r;
    for (int i = 0; i < 4; i++) r.q[i] = vcvt_high_f32_f64(vcvt_f32_f64(x.q[2 * i]), x.q[2 * i + 1]);
    return r;
}
typedef float32x4_t r32;
typedef float64x2_t r64;
#define R32_LANES 4
#define R32_RADIX 16
#define R32_HALF 0
#define R64_LANES 2
#define R64_RADIX 16
#define R64_HALF 0
static inline r32 r32_load(const float *p) { return vld1q_f32(p); }
static inline void r32_store(float *p, r32 x) { vst1q_f32(p, x); }
static inline r32 r32_set1(float f) { return vdupq_n_f32(f); }
static inline r32 r32_add(r32 a, r32 b) { return vaddq_f32(a, b); }
static inline r32 r32_sub(r32 a, r32 b) { return vsubq_f32(a, b); }
static inline r32 r32_mul(r32 a, r32 b) { return vmulq_f32(a, b); }
static inline r32 r32_fma(r32 a, r32 b, r32 c) { return vfmaq_f32(c, a, b); }
static inline r32 r32_fnma(r32 a, r32 b, r32 c) { return vfmsq_f32(c, a, b); }
typedef uint32x4_t r32_ints;
static inline r32 r32_of_ints(const int32_t *p) { return vcvtq_f32_s32(vld1q_s32(p)); }
static inline r32_ints r32_ints_zero(void) { return vdupq_n_u32(0); }
static inline uint32_t r32_ints_most(r32_ints x) { return vmaxvq_u32(x); }
static inline r32_ints r32_add_ints(int32_t *out, r32 x, r32_ints most) {
    const int32x4_t sum = vaddq_s32(vld1q_s32(out), vcvtnq_s32_f32(x));
    vst1q_s32(out, sum);
    return vmaxq_u32(most, vreinterpretq_u32_s32(vabsq_s32(sum)));
}
static inline r32 r32_flip_word(r32 x, uint16_t word, const int from) {
    static const int32_t shifts[4] = {31, 30, 29, 28};
    const uint32x4_t sign = vandq_u32(vshlq_u32(vdupq_n_u32((uint32_t)word >> from), vld1q_s32(shifts)), vdupq_n_u32(0x80000000u));
    return vreinterpretq_f32_u32(veorq_u32(vreinterpretq_u32_f32(x), sign));
}
typedef r32 r32_either; /* keeping -x as well would save nothing: signs are flipped in one instruction */
static inline r32_either r32_either_of(r32 x) { return x; }
typedef struct lanes {
    uint8x16_t index;
    int32x4_t shift; /* by how much to shift so that a lane's bit becomes its sign */
    int64x2_t shift64;
    int m;
} lanes;
static inline lanes lanes_make(int m, int crossing) {
    uint8_t byte[16];
    int32_t shift[4];
    const int64_t shift64[2] = {63 - (m & 1), 63 - (1 ^ (m & 1))};
    for (int i = 0; i < 16; i++) byte[i] = (uint8_t)(i ^ (4 * (m & 3)));
    for (int i = 0; i < 4; i++) shift[i] = 31 - (i ^ (m & 3));
    const lanes r = {vld1q_u8(byte), vld1q_s32(shift), vld1q_s64(shift64), m};
    (void)crossing;
    return r;
}
static inline r32 r32_pick(r32_either x, const uint16_t *bits, ptrdiff_t k, lanes p) {
    const uint32x4_t word = vdupq_n_u32((uint32_t)bits[(size_t)k / 16] >> (k & 12));
    const uint32x4_t sign = vandq_u32(vshlq_u32(word, p.shift), vdupq_n_u32(0x80000000u));
    return vreinterpretq_f32_u32(veorq_u32(vreinterpretq_u32_f32(x), sign));
}
#define r32_signed r32_pick
static inline r32 r32_lanes(r32 x, lanes p) { return vreinterpretq_f32_u8(vqtbl1q_u8(vreinterpretq_u8_f32(x), p.index)); }
/* ±x + other in one instruction. A product with ±1 is exact, so that these are the bits of a sum. */
static inline r32 r32_stage(r32 x, const int h) {
    static const float one[4] = {1, -1, 1, -1}, two[4] = {1, 1, -1, -1};
    return vfmaq_f32(h == 1 ? vrev64q_f32(x) : vextq_f32(x, x, 2), x, vld1q_f32(h == 1 ? one : two));
}

static inline r64 r64_load(const double *p) { return vld1q_f64(p); }
static inline void r64_store(double *p, r64 x) { vst1q_f64(p, x); }
static inline r64 r64_set1(double f) { return vdupq_n_f64(f); }
static inline r64 r64_add(r64 a, r64 b) { return vaddq_f64(a, b); }
static inline r64 r64_sub(r64 a, r64 b) { return vsubq_f64(a, b); }
static inline r64 r64_mul(r64 a, r64 b) { return vmulq_f64(a, b); }
static inline r64 r64_fma(r64 a, r64 b, r64 c) { return vfmaq_f64(c, a, b); }
static inline r64 r64_fnma(r64 a, r64 b, r64 c) { return vfmsq_f64(c, a, b); }
typedef uint32x2_t r64_ints;
static inline r64 r64_of_ints(const int32_t *p) { return vcvtq_f64_s64(vmovl_s32(vld1_s32(p))); }
static inline r64_ints r64_ints_zero(void) { return vdup_n_u32(0); }
static inline uint32_t r64_ints_most(r64_ints x) { return vmaxv_u32(x); }
static inline r64_ints r64_add_ints(int32_t *out, r64 x, r64_ints most) {
    const int32x2_t sum = vadd_s32(vld1_s32(out), vmovn_s64(vcvtnq_s64_f64(x)));
    vst1_s32(out, sum);
    return vmax_u32(most, vreinterpret_u32_s32(vabs_s32(sum)));
}
static inline r64 r64_flip_word(r64 x, uint16_t word, const int from) {
    static const int64_t shifts[2] = {63, 62};
    const uint64x2_t sign = vandq_u64(vshlq_u64(vdupq_n_u64((uint64_t)word >> from), vld1q_s64(shifts)), vdupq_n_u64(0x8000000000000000u));
    return vreinterpretq_f64_u64(veorq_u64(vreinterpretq_u64_f64(x), sign));
}
typedef r64 r64_either;
static inline r64_either r64_either_of(r64 x) { return x; }
static inline r64 r64_pick(r64_either x, const uint16_t *bits, ptrdiff_t k, lanes p) {
    const uint64x2_t word = vdupq_n_u64((uint64_t)bits[(size_t)k / 16] >> (k & 14));
    const uint64x2_t sign = vandq_u64(vshlq_u64(word, p.shift64), vdupq_n_u64(0x8000000000000000u));
    return vreinterpretq_f64_u64(veorq_u64(vreinterpretq_u64_f64(x), sign));
}
#define r64_signed r64_pick
static inline r64 r64_lanes(r64 x, lanes p) { return p.m & 1 ? vextq_f64(x, x, 1) : x; }
static inline r64 r64_of(const float *p) { return vcvt_f64_f32(vld1_f32(p)); }
static inline r64 r64_of_bytes(const int8_t *p) {
    const int64_t two[2] = {p[0], p[1]};
    return vcvtq_f64_s64(vld1q_s64(two));
}
static inline r64 r64_stage(r64 x, const int h) {
    const float64x2_t even = vdupq_laneq_f64(x, 0), odd = vdupq_laneq_f64(x, 1);
    (void)h; /* a register of two doubles has one stage only */
    return vcombine_f64(vget_low_f64(vaddq_f64(even, odd)), vget_low_f64(vsubq_f64(even, odd)));
}

static inline void r32_transpose(r32 r[4]) {
    const float32x4x2_t a = vtrnq_f32(r[0], r[1]), b = vtrnq_f32(r[2], r[3]);
    r[0] = vcombine_f32(vget_low_f32(a.val[0]), vget_low_f32(b.val[0]));
    r[1] = vcombine_f32(vget_low_f32(a.val[1]), vget_low_f32(b.val[1]));
    r[2] = vcombine_f32(vget_high_f32(a.val[0]), vget_high_f32(b.val[0]));
    r[3] = vcombine_f32(vget_high_f32(a.val[1]), vget_high_f32(b.val[1]));
}
static inline void r64_transpose(r64 r[2]) {
    const r64 a = r[0], b = r[1];
    r[0] = vcombine_f64(vget_low_f64(a), vget_low_f64(b));
    r[1] = vcombine_f64(vget_high_f64(a), vget_high_f64(b));
}

static inline v16 v16_abs(v16 x) {
    for (int i = 0; i < 4; i++) x.q[i] = vabsq_f32(x.q[i]);
    return x;
}
static inline v16 v16_max(v16 a, v16 b) {
    for (int i = 0; i < 4; i++) a.q[i] = vmaxq_f32(a.q[i], b.q[i]);
    return a;
}
static inline float v16_sum(v16 x) {
    const float32x4_t a = vaddq_f32(vaddq_f32(x.q[0], x.q[2]), vaddq_f32(x.q[1], x.q[3]));
    const float32x2_t b = vadd_f32(vget_low_f32(a), vget_high_f32(a));
    return vget_lane_f32(b, 0) + vget_lane_f32(b, 1);
}
static inline v16 v16_by(v16 x, const uint32_t *word, const int at) {
    for (int i = 0; i < 4; i++) {
        const uint32x4_t sign = vandq_u32(vshlq_u32(vld1q_u32(word + 4 * i), vdupq_n_s32(31 - at)), vdupq_n_u32(0x80000000u));
        x.q[i] = vreinterpretq_f32_u32(veorq_u32(vreinterpretq_u32_f32(x.q[i]), sign));
    }
    return x;
}
static inline v16 v16_half(const uint16_t *p) {
    v16 r;
    for (int i = 0; i < 4; i++) r.q[i] = vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p + 4 * i)));
    return r;
}
static inline void v16_to_half(uint16_t *p, v16 x) {
    for (int i = 0; i < 4; i++) vst1_u16(p + 4 * i, vreinterpret_u16_f16(vcvt_f16_f32(x.q[i])));
}
static inline v16 v16_bfloat(const uint16_t *p) {
    v16 r;
    for (int i = 0; i < 4; i++) r.q[i] = vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(p + 4 * i), 16));
    return r;
}

typedef struct bytes { /* converted to int16 */
    int16x8_t q[4];
} bytes;
typedef struct i16 {
    int32x4_t q[4];
} i16;
static inline bytes bytes_load(const int8_t *p) {
    bytes r;
    for (int i = 0; i < 4; i++) r.q[i] = vmovl_s8(vld1_s8(p + 8 * i));
    return r;
}
static inline i16 i16_zero(void) {
    const int32x4_t q = vdupq_n_s32(0);
    const i16 r = {{q, q, q, q}};
    return r;
}
static inline i16 i16_dot(i16 sum, bytes a, const int16_t *b) {
    for (int i = 0; i < 4; i++) {
        const int16x8_t y = vld1q_s16(b + 8 * i);
        sum.q[i] = vmlal_s16(sum.q[i], vget_low_s16(a.q[i]), vget_low_s16(y));
        sum.q[i] = vmlal_high_s16(sum.q[i], a.q[i], y);
    }
    return sum;
}
static inline int64_t i16_sum(i16 x) {
    int64_t sum = 0;
    for (int i = 0; i < 4; i++) sum += vaddlvq_s32(x.q[i]);
    return sum;
}

#define SCAN_ROWS 2
#define SCAN_QUERIES 3
#define RSK_TABLE rsk_kernels_neon
#define RSK_LEVEL "neon"
#define RSK_LOOKUP "lookup.h"
#include "body.h"
