/* AVX-512 F, BW, DQ and VL. */
#include "base/kernel_table.h"

#include <immintrin.h>
#include <string.h>

typedef __m512 v16;
typedef struct w16 {
    __m512d lo, hi;
} w16;

static inline v16 v16_load(const float *p) { return _mm512_loadu_ps(p); }
static inline void v16_store(float *p, v16 x) { _mm512_storeu_ps(p, x); }
static inline v16 v16_set1(float f) { return _mm512_set1_ps(f); }
static inline v16 v16_add(v16 a, v16 b) { return _mm512_add_ps(a, b); }
static inline v16 v16_mul(v16 a, v16 b) { return _mm512_mul_ps(a, b); }
static inline v16 v16_fma(v16 a, v16 b, v16 c) { return _mm512_fmadd_ps(a, b, c); }
/* Every lane holds the word in both of its halves, and is shifted so that bit i of the word becomes the sign of lane i. That is cheaper
 * than a mask register, which takes two micro-operations to load: the loops below are bound by their number. */
static inline v16 flip_shifted(v16 x, uint16_t bits, __m512i shift) {
    const __m512i sign = _mm512_sllv_epi32(_mm512_set1_epi16((short)bits), shift);
    /* x ^ (sign & 0x80000000) */
    return _mm512_castsi512_ps(
        _mm512_ternarylogic_epi32(_mm512_castps_si512(x), sign, _mm512_set1_epi32((int)0x80000000u), 0x78));
}
static inline v16 v16_flip(v16 x, uint16_t bits) {
    return flip_shifted(x, bits, _mm512_set_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
}

static inline w16 w16_load(const double *p) {
    const w16 r = {_mm512_loadu_pd(p), _mm512_loadu_pd(p + 8)};
    return r;
}
static inline void w16_store(double *p, w16 x) {
    _mm512_storeu_pd(p, x.lo);
    _mm512_storeu_pd(p + 8, x.hi);
}
static inline w16 w16_add(w16 a, w16 b) {
    const w16 r = {_mm512_add_pd(a.lo, b.lo), _mm512_add_pd(a.hi, b.hi)};
    return r;
}
static inline w16 w16_sub(w16 a, w16 b) {
    const w16 r = {_mm512_sub_pd(a.lo, b.lo), _mm512_sub_pd(a.hi, b.hi)};
    return r;
}
static inline w16 w16_mul(w16 a, w16 b) {
    const w16 r = {_mm512_mul_pd(a.lo, b.lo), _mm512_mul_pd(a.hi, b.hi)};
    return r;
}
static inline w16 w16_set1(double f) {
    const w16 r = {_mm512_set1_pd(f), _mm512_set1_pd(f)};
    return r;
}
/* The same with the word in all four quarters of a lane. The second half of the lanes takes the upper eight bits. */
static inline w16 w16_flip(w16 x, uint16_t bits) {
    const __m512i word = _mm512_set1_epi16((short)bits), minus = _mm512_set1_epi64((long long)0x8000000000000000ull);
    const __m512i lo = _mm512_sllv_epi64(word, _mm512_set_epi64(8, 9, 10, 11, 12, 13, 14, 15));
    const __m512i hi = _mm512_sllv_epi64(word, _mm512_set_epi64(0, 1, 2, 3, 4, 5, 6, 7));
    const w16 r = {_mm512_castsi512_pd(_mm512_ternarylogic_epi64(_mm512_castpd_si512(x.lo), lo, minus, 0x78)),
                   _mm512_castsi512_pd(_mm512_ternarylogic_epi64(_mm512_castpd_si512(x.hi), hi, minus, 0x78))};
    return r;
}
/* max(most, |x|) */
static inline w16 w16_larger(w16 most, w16 x) {
    const w16 r = {_mm512_max_pd(most.lo, _mm512_abs_pd(x.lo)), _mm512_max_pd(most.hi, _mm512_abs_pd(x.hi))};
    return r;
}
static inline double w16_sum(w16 x) {
    const __m512d a = _mm512_add_pd(x.lo, x.hi);
    const __m256d b = _mm256_add_pd(_mm512_castpd512_pd256(a), _mm512_extractf64x4_pd(a, 1));
    const __m128d c = _mm_add_pd(_mm256_castpd256_pd128(b), _mm256_extractf128_pd(b, 1));
    return _mm_cvtsd_f64(_mm_add_sd(c, _mm_unpackhi_pd(c, c)));
}
static inline double w16_most(w16 x) { return _mm512_reduce_max_pd(_mm512_max_pd(x.lo, x.hi)); }
typedef __m512i n16;
static inline n16 n16_rounded(w16 x) {
    const __m512d round = _mm512_set1_pd(0x1.8p52); /* leaves whole numbers in the lower halves, and is less than converting */
    const __m512i lower = _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
    return _mm512_permutex2var_epi32(_mm512_castpd_si512(_mm512_add_pd(x.lo, round)), lower,
                                     _mm512_castpd_si512(_mm512_add_pd(x.hi, round)));
}
static inline n16 n16_lanes(n16 x, int m) {
    const __m512i up = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    return _mm512_permutexvar_epi32(_mm512_xor_si512(up, _mm512_set1_epi32(m)), x);
}
/* Unpacking leaves runs i, 4 + i, 8 + i and 12 + i side by side. */
static inline ptrdiff_t table_at(ptrdiff_t j) { return (j & ~(ptrdiff_t)15) * 4 + (j & 3) * 16 + (j & 12); }
static inline void n16_store_tables(int32_t *out, n16 x, n16 y) {
    const __m512i zero = _mm512_setzero_si512(), sum = _mm512_add_epi32(x, y), less = _mm512_sub_epi32(x, y);
    const __m512i more = _mm512_sub_epi32(y, x), none = _mm512_sub_epi32(zero, sum);
    const __m512i a = _mm512_unpacklo_epi32(sum, more), b = _mm512_unpacklo_epi32(less, none);
    const __m512i c = _mm512_unpackhi_epi32(sum, more), d = _mm512_unpackhi_epi32(less, none);
    _mm512_storeu_si512(out, _mm512_unpacklo_epi64(a, b));
    _mm512_storeu_si512(out + 16, _mm512_unpackhi_epi64(a, b));
    _mm512_storeu_si512(out + 32, _mm512_unpacklo_epi64(c, d));
    _mm512_storeu_si512(out + 48, _mm512_unpackhi_epi64(c, d));
}
static inline v16 v16_narrow(w16 x) {
    return _mm512_insertf32x8(_mm512_castps256_ps512(_mm512_cvtpd_ps(x.lo)), _mm512_cvtpd_ps(x.hi), 1);
}
typedef __m512 r32;
typedef __m512d r64;
#define R32_LANES 16
#define R32_RADIX 16
#define R32_HALF 0
#define R64_LANES 8
#define R64_RADIX 16
#define R64_HALF 0
static inline r32 r32_load(const float *p) { return _mm512_loadu_ps(p); }
static inline void r32_store(float *p, r32 x) { _mm512_storeu_ps(p, x); }
static inline r32 r32_set1(float f) { return _mm512_set1_ps(f); }
static inline r32 r32_add(r32 a, r32 b) { return _mm512_add_ps(a, b); }
static inline r32 r32_sub(r32 a, r32 b) { return _mm512_sub_ps(a, b); }
static inline r32 r32_mul(r32 a, r32 b) { return _mm512_mul_ps(a, b); }
static inline r32 r32_fma(r32 a, r32 b, r32 c) { return _mm512_fmadd_ps(a, b, c); }
static inline r32 r32_fnma(r32 a, r32 b, r32 c) { return _mm512_fnmadd_ps(a, b, c); }
typedef __m512i r32_ints;
static inline r32 r32_of_ints(const int32_t *p) { return _mm512_cvtepi32_ps(_mm512_loadu_si512(p)); }
static inline r32_ints r32_ints_zero(void) { return _mm512_setzero_si512(); }
static inline uint32_t r32_ints_most(r32_ints x) { return _mm512_reduce_max_epu32(x); }
static inline r32_ints r32_add_ints(int32_t *out, r32 x, r32_ints most) {
    const __m512i sum = _mm512_add_epi32(_mm512_loadu_si512(out), _mm512_cvtps_epi32(x));
    _mm512_storeu_si512(out, sum);
    return _mm512_max_epu32(most, _mm512_abs_epi32(sum));
}
static inline r32 r32_flip_word(r32 x, uint16_t word, const int from) {
    (void)from;
    return v16_flip(x, word);
}
typedef r32 r32_either; /* keeping -x as well would save nothing: signs are flipped in one instruction */
static inline r32_either r32_either_of(r32 x) { return x; }
typedef struct lanes {
    __m512i index, index64;
    __m512i shift, shift64; /* by how much to shift a word, and a byte, so that a lane's bit comes to the top */
} lanes;
static inline lanes lanes_make(int m, int crossing) {
    const __m512i up = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    const __m512i index = _mm512_xor_si512(up, _mm512_set1_epi32(m));
    const __m512i index64 = _mm512_xor_si512(_mm512_set_epi64(7, 6, 5, 4, 3, 2, 1, 0), _mm512_set1_epi64(m & 7));
    const __m512i shift = _mm512_xor_si512(index, _mm512_set1_epi32(15)), shift64 = _mm512_xor_si512(index64, _mm512_set1_epi64(7));
    const lanes r = {index, index64, shift, shift64};
    (void)crossing;
    return r;
}
static inline r32 r32_pick(r32_either x, const uint16_t *bits, ptrdiff_t k, lanes p) {
    return flip_shifted(x, bits[(size_t)k / 16], p.shift);
}
/* As r32_pick, where two bytes in front of the row may be read: every lane's upper half is the word. Broadcasting four bytes is a load and
 * nothing more, where two bytes take a permutation as well. */
static inline r32 r32_signed(r32_either x, const uint16_t *bits, ptrdiff_t k, lanes p) {
    int word;
    memcpy(&word, (const char *)bits + (size_t)k / 8 - 2, sizeof word);
    const __m512i sign = _mm512_sllv_epi32(_mm512_set1_epi32(word), p.shift);
    return _mm512_castsi512_ps(_mm512_ternarylogic_epi32(_mm512_castps_si512(x), sign, _mm512_set1_epi32((int)0x80000000u), 0x78));
}
static inline r32 r32_lanes(r32 x, lanes p) { return _mm512_permutexvar_ps(p.index, x); }
/* ±x + other in one instruction. A product with ±1 is exact, so that these are the bits of a sum. */
static inline __m512 add_signed_ps(__m512 x, __mmask16 minus, __m512 other) {
    const __m512 one = _mm512_set1_ps(1.0f);
    return _mm512_fmadd_ps(x, _mm512_mask_sub_ps(one, minus, _mm512_setzero_ps(), one), other);
}
static inline r32 r32_stage(r32 x, const int h) {
    switch (h) {
    case 1: return add_signed_ps(x, 0xAAAA, _mm512_permute_ps(x, 0xB1));
    case 2: return add_signed_ps(x, 0xCCCC, _mm512_permute_ps(x, 0x4E));
    case 4: return add_signed_ps(x, 0xF0F0, _mm512_shuffle_f32x4(x, x, 0xB1));
    default: return add_signed_ps(x, 0xFF00, _mm512_shuffle_f32x4(x, x, 0x4E));
    }
}

static inline r64 r64_load(const double *p) { return _mm512_loadu_pd(p); }
static inline void r64_store(double *p, r64 x) { _mm512_storeu_pd(p, x); }
static inline r64 r64_set1(double f) { return _mm512_set1_pd(f); }
static inline r64 r64_add(r64 a, r64 b) { return _mm512_add_pd(a, b); }
static inline r64 r64_sub(r64 a, r64 b) { return _mm512_sub_pd(a, b); }
static inline r64 r64_mul(r64 a, r64 b) { return _mm512_mul_pd(a, b); }
static inline r64 r64_fma(r64 a, r64 b, r64 c) { return _mm512_fmadd_pd(a, b, c); }
static inline r64 r64_fnma(r64 a, r64 b, r64 c) { return _mm512_fnmadd_pd(a, b, c); }
typedef __m256i r64_ints;
static inline r64 r64_of_ints(const int32_t *p) { return _mm512_cvtepi32_pd(_mm256_loadu_si256((const void *)p)); }
static inline r64_ints r64_ints_zero(void) { return _mm256_setzero_si256(); }
static inline uint32_t r64_ints_most(r64_ints x) { return _mm512_reduce_max_epu32(_mm512_zextsi256_si512(x)); }
static inline r64_ints r64_add_ints(int32_t *out, r64 x, r64_ints most) {
    const __m256i sum = _mm256_add_epi32(_mm256_loadu_si256((const void *)out), _mm512_cvtpd_epi32(x));
    _mm256_storeu_si256((void *)out, sum);
    return _mm256_max_epu32(most, _mm256_abs_epi32(sum));
}
static inline __m512d minus_pd(__m512d x, __mmask8 m) { return _mm512_mask_xor_pd(x, m, x, _mm512_set1_pd(-0.0)); }
static inline r64 r64_flip_word(r64 x, uint16_t word, const int from) { return minus_pd(x, (__mmask8)(word >> from)); }
typedef r64 r64_either;
static inline r64_either r64_either_of(r64 x) { return x; }
/* Every lane holds the byte of signs eight times. */
static inline r64 r64_pick(r64_either x, const uint16_t *bits, ptrdiff_t k, lanes p) {
    const __m512i byte = _mm512_set1_epi8(((const char *)bits)[(size_t)k / 8]);
    const __m512i signs = _mm512_sllv_epi64(byte, p.shift64);
    const __m512i minus = _mm512_set1_epi64((long long)0x8000000000000000ull);
    return _mm512_castsi512_pd(_mm512_ternarylogic_epi64(_mm512_castpd_si512(x), signs, minus, 0x78)); /* x ^ (signs & minus) */
}
/* The same with the byte at the top of every 32 bits. */
static inline r64 r64_signed(r64_either x, const uint16_t *bits, ptrdiff_t k, lanes p) {
    int word;
    memcpy(&word, (const char *)bits + (size_t)k / 8 - 3, sizeof word);
    const __m512i signs = _mm512_sllv_epi64(_mm512_set1_epi32(word), p.shift64);
    const __m512i minus = _mm512_set1_epi64((long long)0x8000000000000000ull);
    return _mm512_castsi512_pd(_mm512_ternarylogic_epi64(_mm512_castpd_si512(x), signs, minus, 0x78));
}
static inline r64 r64_lanes(r64 x, lanes p) {
    return _mm512_permutexvar_pd(p.index64, x);
}
static inline r64 r64_of(const float *p) { return _mm512_cvtps_pd(_mm256_loadu_ps(p)); }
static inline r64 r64_of_bytes(const int8_t *p) {
    return _mm512_cvtepi32_pd(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const void *)p)));
}
static inline __m512d add_signed_pd(__m512d x, __mmask8 minus, __m512d other) {
    const __m512d one = _mm512_set1_pd(1.0);
    return _mm512_fmadd_pd(x, _mm512_mask_sub_pd(one, minus, _mm512_setzero_pd(), one), other);
}
static inline r64 r64_stage(r64 x, const int h) {
    switch (h) {
    case 1: return add_signed_pd(x, 0xAA, _mm512_permute_pd(x, 0x55));
    case 2: return add_signed_pd(x, 0xCC, _mm512_permutex_pd(x, 0x4E));
    default: return add_signed_pd(x, 0xF0, _mm512_shuffle_f64x2(x, x, 0x4E));
    }
}

static inline void r32_transpose(r32 r[16]) {
    r32 t[16];
    for (int i = 0; i < 16; i += 4) {
        const r32 a = _mm512_unpacklo_ps(r[i], r[i + 1]), b = _mm512_unpackhi_ps(r[i], r[i + 1]);
        const r32 c = _mm512_unpacklo_ps(r[i + 2], r[i + 3]), d = _mm512_unpackhi_ps(r[i + 2], r[i + 3]);
        t[i] = _mm512_shuffle_ps(a, c, 0x44); /* quarter q: lanes 4 q of rows i .. i + 3 */
        t[i + 1] = _mm512_shuffle_ps(a, c, 0xEE);
        t[i + 2] = _mm512_shuffle_ps(b, d, 0x44);
        t[i + 3] = _mm512_shuffle_ps(b, d, 0xEE);
    }
    for (int i = 0; i < 4; i++) {
        const r32 a = _mm512_shuffle_f32x4(t[i], t[i + 4], 0x44), b = _mm512_shuffle_f32x4(t[i], t[i + 4], 0xEE);
        const r32 c = _mm512_shuffle_f32x4(t[i + 8], t[i + 12], 0x44), d = _mm512_shuffle_f32x4(t[i + 8], t[i + 12], 0xEE);
        r[i] = _mm512_shuffle_f32x4(a, c, 0x88);
        r[i + 4] = _mm512_shuffle_f32x4(a, c, 0xDD);
        r[i + 8] = _mm512_shuffle_f32x4(b, d, 0x88);
        r[i + 12] = _mm512_shuffle_f32x4(b, d, 0xDD);
    }
}
static inline void r64_transpose(r64 r[8]) {
    r64 t[8];
    for (int i = 0; i < 8; i += 2) {
        t[i] = _mm512_unpacklo_pd(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_pd(r[i], r[i + 1]);
    }
    for (int i = 0; i < 2; i++) {
        const r64 a = _mm512_shuffle_f64x2(t[i], t[i + 2], 0x44), b = _mm512_shuffle_f64x2(t[i], t[i + 2], 0xEE);
        const r64 c = _mm512_shuffle_f64x2(t[i + 4], t[i + 6], 0x44), d = _mm512_shuffle_f64x2(t[i + 4], t[i + 6], 0xEE);
        r[i] = _mm512_shuffle_f64x2(a, c, 0x88);
        r[i + 2] = _mm512_shuffle_f64x2(a, c, 0xDD);
        r[i + 4] = _mm512_shuffle_f64x2(b, d, 0x88);
        r[i + 6] = _mm512_shuffle_f64x2(b, d, 0xDD);
    }
}

static inline v16 v16_abs(v16 x) { return _mm512_abs_ps(x); }
static inline v16 v16_max(v16 a, v16 b) { return _mm512_max_ps(a, b); }
static inline float v16_sum(v16 x) {
    const __m256 a = _mm256_add_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps(x, 1));
    const __m128 b = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    const __m128 c = _mm_add_ps(b, _mm_movehl_ps(b, b));
    return _mm_cvtss_f32(_mm_add_ss(c, _mm_movehdup_ps(c)));
}
static inline void v16_sum4(float *out, const v16 x[4]) {
    const __m512 a = _mm512_add_ps(_mm512_shuffle_f32x4(x[0], x[1], 0x44), _mm512_shuffle_f32x4(x[0], x[1], 0xEE));
    const __m512 b = _mm512_add_ps(_mm512_shuffle_f32x4(x[2], x[3], 0x44), _mm512_shuffle_f32x4(x[2], x[3], 0xEE));
    const __m512 c = _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x88), _mm512_shuffle_f32x4(a, b, 0xDD)); /* a quarter each */
    const __m512 d = _mm512_add_ps(c, _mm512_permute_ps(c, 0x4E)), e = _mm512_add_ps(d, _mm512_permute_ps(d, 0xB1));
    const __m512i quarters = _mm512_set_epi32(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 12, 8, 4, 0);
    _mm_storeu_ps(out, _mm512_castps512_ps128(_mm512_permutexvar_ps(quarters, e)));
}
static inline v16 v16_by(v16 x, const uint32_t *word, const int at) {
    const __m512i sign = _mm512_slli_epi32(_mm512_loadu_si512(word), (unsigned)(31 - at));
    return _mm512_castsi512_ps(_mm512_ternarylogic_epi32(_mm512_castps_si512(x), sign, _mm512_set1_epi32((int)0x80000000u), 0x78));
}
/* Registers are folded two at a time, so that no step has fewer sums than lanes. */
static inline __m512 fold_quarters(__m512 a, __m512 b) { /* lanes 0 - 7 of both, plus lanes 8 - 15 */
    return _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x44), _mm512_shuffle_f32x4(a, b, 0xEE));
}
static inline __m512 fold_eighths(__m512 a, __m512 b) { /* of every half: lanes 0 - 3 of both, plus lanes 4 - 7 */
    return _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x88), _mm512_shuffle_f32x4(a, b, 0xDD));
}
static inline __m512 fold_pairs(__m512 a, __m512 b) { return _mm512_add_ps(_mm512_shuffle_ps(a, b, 0x44), _mm512_shuffle_ps(a, b, 0xEE)); }
static inline __m512 fold_ones(__m512 a, __m512 b) { return _mm512_add_ps(_mm512_shuffle_ps(a, b, 0x88), _mm512_shuffle_ps(a, b, 0xDD)); }
static inline v16 v16_sums(const v16 s[16]) {
    __m512 t[16];
    for (int i = 0; i < 4; i++) /* quarter q of t[i]: a quarter of the sums of register 4 q + i, once it is folded */
        t[i] = fold_eighths(fold_quarters(s[i], s[i + 4]), fold_quarters(s[i + 8], s[i + 12]));
    return fold_ones(fold_pairs(t[0], t[1]), fold_pairs(t[2], t[3]));
}
static inline v16 v16_half_sums(const v16 s[8]) {
    const __m512 even = fold_ones(fold_pairs(fold_eighths(s[0], s[4]), fold_eighths(s[1], s[5])),
                                  fold_pairs(fold_eighths(s[2], s[6]), fold_eighths(s[3], s[7])));
    /* lane 4 q + i: half q % 2 of register 4 (q / 2) + i */
    return _mm512_permutexvar_ps(_mm512_set_epi32(15, 11, 14, 10, 13, 9, 12, 8, 7, 3, 6, 2, 5, 1, 4, 0), even);
}
static inline void v16_to_half(uint16_t *p, v16 x) { _mm256_storeu_si256((void *)p, _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT)); }
static inline v16 v16_half(const uint16_t *p) { return _mm512_cvtph_ps(_mm256_loadu_si256((const void *)p)); }
static inline v16 v16_bfloat(const uint16_t *p) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const void *)p)), 16));
}

typedef __m512i bytes; /* converted to int16 */
typedef __m512i i16;
static inline bytes bytes_load(const int8_t *p) { return _mm512_cvtepi8_epi16(_mm256_loadu_si256((const void *)p)); }
static inline i16 i16_zero(void) { return _mm512_setzero_si512(); }
static inline i16 i16_dot(i16 sum, bytes a, const int16_t *b) {
    return _mm512_add_epi32(sum, _mm512_madd_epi16(a, _mm512_loadu_si512(b)));
}
static inline int64_t i16_sum(i16 x) {
    const __m512i lo = _mm512_cvtepi32_epi64(_mm512_castsi512_si256(x));
    return _mm512_reduce_add_epi64(_mm512_add_epi64(lo, _mm512_cvtepi32_epi64(_mm512_extracti32x8_epi32(x, 1))));
}

#define RSK_FOUR_TURNS /* there are registers for 16 numbers and what they are turned with */
#define RSK_OWN_SUM4
#define RSK_OWN_SUMS
#define SCAN_ROWS 4
#define SCAN_QUERIES 6
#define RSK_TABLE rsk_kernels_avx512
#define RSK_LEVEL "avx512"
#define RSK_LOOKUP "lookup_avx512.h"
#include "body.h"
