/* AVX2, F16C and FMA. */
#include "base/kernel_table.h"

#include <immintrin.h>
#include <string.h>

typedef struct v16 {
    __m256 lo, hi;
} v16;
typedef struct w16 {
    __m256d q[4];
} w16;
static inline v16 pair(__m256 lo, __m256 hi) {
    const v16 r = {lo, hi};
    return r;
}
static inline v16 v16_load(const float *p) { return pair(_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)); }
static inline void v16_store(float *p, v16 x) {
    _mm256_storeu_ps(p, x.lo);
    _mm256_storeu_ps(p + 8, x.hi);
}
static inline v16 v16_set1(float f) { return pair(_mm256_set1_ps(f), _mm256_set1_ps(f)); }
static inline v16 v16_add(v16 a, v16 b) { return pair(_mm256_add_ps(a.lo, b.lo), _mm256_add_ps(a.hi, b.hi)); }
static inline v16 v16_mul(v16 a, v16 b) { return pair(_mm256_mul_ps(a.lo, b.lo), _mm256_mul_ps(a.hi, b.hi)); }
static inline v16 v16_fma(v16 a, v16 b, v16 c) {
    return pair(_mm256_fmadd_ps(a.lo, b.lo, c.lo), _mm256_fmadd_ps(a.hi, b.hi, c.hi));
}
/* Every lane holds the word in both of its halves, and is shifted so that bit i of the word becomes the sign of lane i. */
static inline v16 v16_flip(v16 x, uint16_t bits) {
    const __m256i word = _mm256_set1_epi16((short)bits);
    const __m256 minus = _mm256_set1_ps(-0.0f);
    const __m256i lo = _mm256_sllv_epi32(word, _mm256_set_epi32(8, 9, 10, 11, 12, 13, 14, 15));
    const __m256i hi = _mm256_sllv_epi32(word, _mm256_set_epi32(0, 1, 2, 3, 4, 5, 6, 7));
    return pair(_mm256_xor_ps(x.lo, _mm256_and_ps(_mm256_castsi256_ps(lo), minus)),
                _mm256_xor_ps(x.hi, _mm256_and_ps(_mm256_castsi256_ps(hi), minus)));
}

static inline w16 w16_load(const double *p) {
    const w16 r = {{_mm256_loadu_pd(p), _mm256_loadu_pd(p + 4), _mm256_loadu_pd(p + 8), _mm256_loadu_pd(p + 12)}};
    return r;
}
static inline void w16_store(double *p, w16 x) {
    for (int i = 0; i < 4; i++) _mm256_storeu_pd(p + 4 * i, x.q[i]);
}
static inline w16 w16_add(w16 a, w16 b) {
    for (int i = 0; i < 4; i++) a.q[i] = _mm256_add_pd(a.q[i], b.q[i]);
    return a;
}
static inline w16 w16_sub(w16 a, w16 b) {
    for (int i = 0; i < 4; i++) a.q[i] = _mm256_sub_pd(a.q[i], b.q[i]);
    return a;
}
static inline w16 w16_mul(w16 a, w16 b) {
    for (int i = 0; i < 4; i++) a.q[i] = _mm256_mul_pd(a.q[i], b.q[i]);
    return a;
}
static inline w16 w16_set1(double f) {
    const __m256d q = _mm256_set1_pd(f);
    const w16 r = {{q, q, q, q}};
    return r;
}
static inline w16 w16_flip(w16 x, uint16_t bits) {
    const __m256i word = _mm256_set1_epi16((short)bits), shift = _mm256_set_epi64x(12, 13, 14, 15);
    for (int i = 0; i < 4; i++) {
        const __m256d signs = _mm256_castsi256_pd(_mm256_sllv_epi64(word, _mm256_sub_epi64(shift, _mm256_set1_epi64x(4 * i))));
        x.q[i] = _mm256_xor_pd(x.q[i], _mm256_and_pd(signs, _mm256_set1_pd(-0.0)));
    }
    return x;
}
/* max(most, |x|) */
static inline w16 w16_larger(w16 most, w16 x) {
    for (int i = 0; i < 4; i++) most.q[i] = _mm256_max_pd(most.q[i], _mm256_andnot_pd(_mm256_set1_pd(-0.0), x.q[i]));
    return most;
}
static inline double w16_sum(w16 x) {
    const __m256d b = _mm256_add_pd(_mm256_add_pd(x.q[0], x.q[2]), _mm256_add_pd(x.q[1], x.q[3]));
    const __m128d c = _mm_add_pd(_mm256_castpd256_pd128(b), _mm256_extractf128_pd(b, 1));
    return _mm_cvtsd_f64(_mm_add_sd(c, _mm_unpackhi_pd(c, c)));
}
static inline double w16_most(w16 x) {
    const __m256d q = _mm256_max_pd(_mm256_max_pd(x.q[0], x.q[1]), _mm256_max_pd(x.q[2], x.q[3]));
    const __m128d h = _mm_max_pd(_mm256_castpd256_pd128(q), _mm256_extractf128_pd(q, 1));
    return _mm_cvtsd_f64(_mm_max_sd(h, _mm_unpackhi_pd(h, h)));
}
typedef struct n16 {
    __m256i lo, hi;
} n16;
static inline n16 n16_of(__m256i lo, __m256i hi) {
    const n16 r = {lo, hi};
    return r;
}
static inline n16 n16_rounded(w16 x) {
    return n16_of(_mm256_set_m128i(_mm256_cvtpd_epi32(x.q[1]), _mm256_cvtpd_epi32(x.q[0])),
                  _mm256_set_m128i(_mm256_cvtpd_epi32(x.q[3]), _mm256_cvtpd_epi32(x.q[2])));
}
static inline n16 n16_lanes(n16 x, int m) {
    const __m256i index = _mm256_xor_si256(_mm256_set_epi32(7, 6, 5, 4, 3, 2, 1, 0), _mm256_set1_epi32(m & 7));
    const n16 r = n16_of(_mm256_permutevar8x32_epi32(x.lo, index), _mm256_permutevar8x32_epi32(x.hi, index));
    return m & 8 ? n16_of(r.hi, r.lo) : r;
}
/* Unpacking leaves runs i and 4 + i side by side. */
static inline ptrdiff_t table_at(ptrdiff_t j) { return (j & ~(ptrdiff_t)7) * 4 + (j & 3) * 8 + (j & 4); }
static inline void store_tables(int32_t *out, __m256i x, __m256i y) {
    const __m256i zero = _mm256_setzero_si256(), sum = _mm256_add_epi32(x, y), less = _mm256_sub_epi32(x, y);
    const __m256i more = _mm256_sub_epi32(y, x), none = _mm256_sub_epi32(zero, sum);
    const __m256i a = _mm256_unpacklo_epi32(sum, more), b = _mm256_unpacklo_epi32(less, none);
    const __m256i c = _mm256_unpackhi_epi32(sum, more), d = _mm256_unpackhi_epi32(less, none);
    _mm256_storeu_si256((void *)out, _mm256_unpacklo_epi64(a, b));
    _mm256_storeu_si256((void *)(out + 8), _mm256_unpackhi_epi64(a, b));
    _mm256_storeu_si256((void *)(out + 16), _mm256_unpacklo_epi64(c, d));
    _mm256_storeu_si256((void *)(out + 24), _mm256_unpackhi_epi64(c, d));
}
static inline void n16_store_tables(int32_t *out, n16 x, n16 y) {
    store_tables(out, x.lo, y.lo);
    store_tables(out + 32, x.hi, y.hi);
}
static inline v16 v16_narrow(w16 x) {
    return pair(_mm256_set_m128(_mm256_cvtpd_ps(x.q[1]), _mm256_cvtpd_ps(x.q[0])),
                _mm256_set_m128(_mm256_cvtpd_ps(x.q[3]), _mm256_cvtpd_ps(x.q[2])));
}
typedef __m256 r32;
typedef __m256d r64;
#define R32_LANES 8
#define R32_RADIX 8
#define R32_HALF 4
#define R64_LANES 4
#define R64_RADIX 8
#define R64_HALF 2
static inline r32 r32_load(const float *p) { return _mm256_loadu_ps(p); }
static inline void r32_store(float *p, r32 x) { _mm256_storeu_ps(p, x); }
static inline r32 r32_set1(float f) { return _mm256_set1_ps(f); }
static inline r32 r32_add(r32 a, r32 b) { return _mm256_add_ps(a, b); }
static inline r32 r32_sub(r32 a, r32 b) { return _mm256_sub_ps(a, b); }
static inline r32 r32_mul(r32 a, r32 b) { return _mm256_mul_ps(a, b); }
static inline r32 r32_fma(r32 a, r32 b, r32 c) { return _mm256_fmadd_ps(a, b, c); }
static inline r32 r32_fnma(r32 a, r32 b, r32 c) { return _mm256_fnmadd_ps(a, b, c); }
typedef __m256i r32_ints;
static inline r32 r32_of_ints(const int32_t *p) { return _mm256_cvtepi32_ps(_mm256_loadu_si256((const void *)p)); }
static inline r32_ints r32_ints_zero(void) { return _mm256_setzero_si256(); }
static inline uint32_t most_of(__m128i x) {
    x = _mm_max_epu32(x, _mm_shuffle_epi32(x, 0x4E));
    return (uint32_t)_mm_cvtsi128_si32(_mm_max_epu32(x, _mm_shuffle_epi32(x, 0xB1)));
}
static inline uint32_t r32_ints_most(r32_ints x) {
    return most_of(_mm_max_epu32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1)));
}
static inline r32_ints r32_add_ints(int32_t *out, r32 x, r32_ints most) {
    const __m256i sum = _mm256_add_epi32(_mm256_loadu_si256((const void *)out), _mm256_cvtps_epi32(x));
    _mm256_storeu_si256((void *)out, sum);
    return _mm256_max_epu32(most, _mm256_abs_epi32(sum));
}
/* as v16_flip, for the half of the word that begins at bit `from` */
static inline r32 r32_flip_word(r32 x, uint16_t word, const int from) {
    const __m256i low = _mm256_set_epi32(8, 9, 10, 11, 12, 13, 14, 15), high = _mm256_set_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    const __m256i sign = _mm256_sllv_epi32(_mm256_set1_epi16((short)word), from ? high : low);
    return _mm256_xor_ps(x, _mm256_and_ps(_mm256_castsi256_ps(sign), _mm256_set1_ps(-0.0f)));
}
typedef struct r32_either {
    __m256 plus, minus;
} r32_either;
static inline r32_either r32_either_of(r32 x) {
    const r32_either r = {x, _mm256_xor_ps(x, _mm256_set1_ps(-0.0f))};
    return r;
}
typedef struct lanes {
    __m256i index, index64; /* the second is for permutevar_pd, which reads the second bit of a lane */
    __m256i shift;          /* by how much to shift a byte so that a lane's bit comes to the top */
    const int64_t *shift64; /* the same for doubles: four shifts for the lower half of a byte, then four for the upper */
    int crossing;
} lanes;
static inline lanes lanes_make(int m, int crossing) {
    static const int64_t shifts[4][8] = {
        {7, 6, 5, 4, 3, 2, 1, 0}, {6, 7, 4, 5, 2, 3, 0, 1}, {5, 4, 7, 6, 1, 0, 3, 2}, {4, 5, 6, 7, 0, 1, 2, 3}};
    const __m256i up = _mm256_set_epi32(7, 6, 5, 4, 3, 2, 1, 0), m32 = _mm256_set1_epi32(m & 7);
    const __m256i down = _mm256_set_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    const lanes r = {_mm256_xor_si256(up, m32), _mm256_xor_si256(_mm256_set_epi64x(2, 0, 2, 0), _mm256_set1_epi64x(2 * (m & 1))),
                     _mm256_xor_si256(down, m32), shifts[m & 3], crossing};
    return r;
}
/* Every lane holds the byte of signs four times, and is shifted so that its bit becomes the sign, which is all that a blend reads. */
static inline r32 r32_pick(r32_either x, const uint16_t *bits, ptrdiff_t k, lanes p) {
    const __m256i byte = _mm256_set1_epi8(((const char *)bits)[(size_t)k / 8]);
    return _mm256_blendv_ps(x.plus, x.minus, _mm256_castsi256_ps(_mm256_sllv_epi32(byte, p.shift)));
}
/* As r32_pick, where three bytes in front of the row may be read: the byte is at the top of every 32 bits. Broadcasting four bytes is a load
 * and nothing more, where one byte takes a permutation as well. */
static inline r32 r32_signed(r32_either x, const uint16_t *bits, ptrdiff_t k, lanes p) {
    int word;
    memcpy(&word, (const char *)bits + (size_t)k / 8 - 3, sizeof word);
    return _mm256_blendv_ps(x.plus, x.minus, _mm256_castsi256_ps(_mm256_sllv_epi32(_mm256_set1_epi32(word), p.shift)));
}
static inline r32 r32_lanes(r32 x, lanes p) {
    return p.crossing ? _mm256_permutevar8x32_ps(x, p.index) : _mm256_permutevar_ps(x, p.index);
}
/* ±x + other in one instruction. A product with ±1 is exact, so that these are the bits of a sum. It runs on the multipliers, which are
 * idle otherwise. */
static inline r32 r32_stage(r32 x, const int h) {
    switch (h) {
    case 1: return _mm256_fmadd_ps(x, _mm256_set_ps(-1, 1, -1, 1, -1, 1, -1, 1), _mm256_permute_ps(x, 0xB1));
    case 2: return _mm256_fmadd_ps(x, _mm256_set_ps(-1, -1, 1, 1, -1, -1, 1, 1), _mm256_permute_ps(x, 0x4E));
    default: return _mm256_fmadd_ps(x, _mm256_set_ps(-1, -1, -1, -1, 1, 1, 1, 1), _mm256_permute2f128_ps(x, x, 1));
    }
}

static inline r64 r64_load(const double *p) { return _mm256_loadu_pd(p); }
static inline void r64_store(double *p, r64 x) { _mm256_storeu_pd(p, x); }
static inline r64 r64_set1(double f) { return _mm256_set1_pd(f); }
static inline r64 r64_add(r64 a, r64 b) { return _mm256_add_pd(a, b); }
static inline r64 r64_sub(r64 a, r64 b) { return _mm256_sub_pd(a, b); }
static inline r64 r64_mul(r64 a, r64 b) { return _mm256_mul_pd(a, b); }
static inline r64 r64_fma(r64 a, r64 b, r64 c) { return _mm256_fmadd_pd(a, b, c); }
static inline r64 r64_fnma(r64 a, r64 b, r64 c) { return _mm256_fnmadd_pd(a, b, c); }
typedef __m128i r64_ints;
static inline r64 r64_of_ints(const int32_t *p) { return _mm256_cvtepi32_pd(_mm_loadu_si128((const void *)p)); }
static inline r64_ints r64_ints_zero(void) { return _mm_setzero_si128(); }
static inline uint32_t r64_ints_most(r64_ints x) { return most_of(x); }
static inline r64_ints r64_add_ints(int32_t *out, r64 x, r64_ints most) {
    const __m128i sum = _mm_add_epi32(_mm_loadu_si128((const void *)out), _mm256_cvtpd_epi32(x));
    _mm_storeu_si128((void *)out, sum);
    return _mm_max_epu32(most, _mm_abs_epi32(sum));
}
static inline r64 r64_flip_word(r64 x, uint16_t word, const int from) {
    const __m256i shift = _mm256_set_epi64x(60, 61, 62, 63);
    const __m256i sign = _mm256_sllv_epi64(_mm256_set1_epi64x((long long)word >> from), shift);
    return _mm256_xor_pd(x, _mm256_and_pd(_mm256_castsi256_pd(sign), _mm256_set1_pd(-0.0)));
}
typedef struct r64_either {
    __m256d plus, minus;
} r64_either;
static inline r64_either r64_either_of(r64 x) {
    const r64_either r = {x, _mm256_xor_pd(x, _mm256_set1_pd(-0.0))};
    return r;
}
static inline r64 r64_pick(r64_either x, const uint16_t *bits, ptrdiff_t k, lanes p) {
    const __m256i byte = _mm256_set1_epi8(((const char *)bits)[(size_t)k / 8]);
    const __m256i signs = _mm256_sllv_epi64(byte, _mm256_loadu_si256((const void *)(p.shift64 + (k & 4))));
    return _mm256_blendv_pd(x.plus, x.minus, _mm256_castsi256_pd(signs));
}
static inline r64 r64_signed(r64_either x, const uint16_t *bits, ptrdiff_t k, lanes p) {
    int word;
    memcpy(&word, (const char *)bits + (size_t)k / 8 - 3, sizeof word);
    const __m256i signs = _mm256_sllv_epi64(_mm256_set1_epi32(word), _mm256_loadu_si256((const void *)(p.shift64 + (k & 4))));
    return _mm256_blendv_pd(x.plus, x.minus, _mm256_castsi256_pd(signs));
}
static inline r64 r64_lanes(r64 x, lanes p) {
    return _mm256_permutevar_pd(p.crossing ? _mm256_permute2f128_pd(x, x, 1) : x, p.index64);
}
static inline r64 r64_of(const float *p) { return _mm256_cvtps_pd(_mm_loadu_ps(p)); }
static inline r64 r64_of_bytes(const int8_t *p) {
    int four;
    memcpy(&four, p, sizeof four);
    return _mm256_cvtepi32_pd(_mm_cvtepi8_epi32(_mm_cvtsi32_si128(four)));
}
static inline r64 r64_stage(r64 x, const int h) {
    if (h == 1) return _mm256_fmadd_pd(x, _mm256_set_pd(-1, 1, -1, 1), _mm256_permute_pd(x, 0x5));
    return _mm256_fmadd_pd(x, _mm256_set_pd(-1, -1, 1, 1), _mm256_permute2f128_pd(x, x, 1));
}

static inline void r32_transpose(r32 r[8]) {
    r32 t[8];
    for (int i = 0; i < 8; i += 4) {
        const r32 a = _mm256_unpacklo_ps(r[i], r[i + 1]), b = _mm256_unpackhi_ps(r[i], r[i + 1]);
        const r32 c = _mm256_unpacklo_ps(r[i + 2], r[i + 3]), d = _mm256_unpackhi_ps(r[i + 2], r[i + 3]);
        t[i] = _mm256_shuffle_ps(a, c, 0x44);
        t[i + 1] = _mm256_shuffle_ps(a, c, 0xEE);
        t[i + 2] = _mm256_shuffle_ps(b, d, 0x44);
        t[i + 3] = _mm256_shuffle_ps(b, d, 0xEE);
    }
    for (int i = 0; i < 4; i++) {
        r[i] = _mm256_permute2f128_ps(t[i], t[i + 4], 0x20);
        r[i + 4] = _mm256_permute2f128_ps(t[i], t[i + 4], 0x31);
    }
}
static inline void r64_transpose(r64 r[4]) {
    const r64 a = _mm256_unpacklo_pd(r[0], r[1]), b = _mm256_unpackhi_pd(r[0], r[1]);
    const r64 c = _mm256_unpacklo_pd(r[2], r[3]), d = _mm256_unpackhi_pd(r[2], r[3]);
    r[0] = _mm256_permute2f128_pd(a, c, 0x20);
    r[1] = _mm256_permute2f128_pd(b, d, 0x20);
    r[2] = _mm256_permute2f128_pd(a, c, 0x31);
    r[3] = _mm256_permute2f128_pd(b, d, 0x31);
}

static inline v16 v16_abs(v16 x) {
    const __m256 minus = _mm256_set1_ps(-0.0f);
    return pair(_mm256_andnot_ps(minus, x.lo), _mm256_andnot_ps(minus, x.hi));
}
static inline v16 v16_max(v16 a, v16 b) { return pair(_mm256_max_ps(a.lo, b.lo), _mm256_max_ps(a.hi, b.hi)); }
static inline float v16_sum(v16 x) {
    const __m256 a = _mm256_add_ps(x.lo, x.hi);
    const __m128 b = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    const __m128 c = _mm_add_ps(b, _mm_movehl_ps(b, b));
    return _mm_cvtss_f32(_mm_add_ss(c, _mm_movehdup_ps(c)));
}
static inline __m256 signs_by(__m256 x, const uint32_t *word, const int at) {
    const __m256i sign = _mm256_slli_epi32(_mm256_loadu_si256((const void *)word), 31 - at);
    return _mm256_xor_ps(x, _mm256_and_ps(_mm256_castsi256_ps(sign), _mm256_set1_ps(-0.0f)));
}
static inline v16 v16_by(v16 x, const uint32_t *word, const int at) { return pair(signs_by(x.lo, word, at), signs_by(x.hi, word + 8, at)); }
/* Registers are folded two at a time, so that no step has fewer sums than lanes. */
static inline __m256 fold_halves(__m256 a, __m256 b) {
    return _mm256_add_ps(_mm256_permute2f128_ps(a, b, 0x20), _mm256_permute2f128_ps(a, b, 0x31));
}
static inline __m256 fold_pairs(__m256 a, __m256 b) { return _mm256_add_ps(_mm256_shuffle_ps(a, b, 0x44), _mm256_shuffle_ps(a, b, 0xEE)); }
static inline __m256 fold_ones(__m256 a, __m256 b) { return _mm256_add_ps(_mm256_shuffle_ps(a, b, 0x88), _mm256_shuffle_ps(a, b, 0xDD)); }
static inline __m256 fold_eight(const __m256 s[8]) { /* lane i: the lanes of s[i] folded by halves */
    return fold_ones(fold_pairs(fold_halves(s[0], s[4]), fold_halves(s[1], s[5])),
                     fold_pairs(fold_halves(s[2], s[6]), fold_halves(s[3], s[7])));
}
static inline v16 v16_sums(const v16 s[16]) {
    __m256 t[16];
    for (int i = 0; i < 16; i++) t[i] = _mm256_add_ps(s[i].lo, s[i].hi);
    return pair(fold_eight(t), fold_eight(t + 8));
}
static inline v16 v16_half_sums(const v16 s[8]) {
    __m256 t[16];
    for (int i = 0; i < 8; i++) t[2 * i] = s[i].lo, t[2 * i + 1] = s[i].hi;
    return pair(fold_eight(t), fold_eight(t + 8));
}
static inline v16 v16_half(const uint16_t *p) {
    return pair(_mm256_cvtph_ps(_mm_loadu_si128((const void *)p)), _mm256_cvtph_ps(_mm_loadu_si128((const void *)(p + 8))));
}
static inline void v16_to_half(uint16_t *p, v16 x) {
    _mm_storeu_si128((void *)p, _mm256_cvtps_ph(x.lo, _MM_FROUND_TO_NEAREST_INT));
    _mm_storeu_si128((void *)(p + 8), _mm256_cvtps_ph(x.hi, _MM_FROUND_TO_NEAREST_INT));
}
static inline __m256 bfloat_ps(const uint16_t *p) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const void *)p)), 16));
}
static inline v16 v16_bfloat(const uint16_t *p) { return pair(bfloat_ps(p), bfloat_ps(p + 8)); }

typedef struct bytes { /* converted to int16 */
    __m256i lo, hi;
} bytes;
typedef bytes i16;
static inline bytes bytes_load(const int8_t *p) {
    const bytes r = {_mm256_cvtepi8_epi16(_mm_loadu_si128((const void *)p)),
                     _mm256_cvtepi8_epi16(_mm_loadu_si128((const void *)(p + 16)))};
    return r;
}
static inline i16 i16_zero(void) {
    const i16 r = {_mm256_setzero_si256(), _mm256_setzero_si256()};
    return r;
}
static inline i16 i16_dot(i16 sum, bytes a, const int16_t *b) {
    sum.lo = _mm256_add_epi32(sum.lo, _mm256_madd_epi16(a.lo, _mm256_loadu_si256((const void *)b)));
    sum.hi = _mm256_add_epi32(sum.hi, _mm256_madd_epi16(a.hi, _mm256_loadu_si256((const void *)(b + 16))));
    return sum;
}
static inline int64_t i16_sum(i16 x) {
    const __m256i lo = _mm256_add_epi64(_mm256_cvtepi32_epi64(_mm256_castsi256_si128(x.lo)),
                                        _mm256_cvtepi32_epi64(_mm256_extracti128_si256(x.lo, 1)));
    const __m256i hi = _mm256_add_epi64(_mm256_cvtepi32_epi64(_mm256_castsi256_si128(x.hi)),
                                        _mm256_cvtepi32_epi64(_mm256_extracti128_si256(x.hi, 1)));
    const __m256i all = _mm256_add_epi64(lo, hi);
    const __m128i two = _mm_add_epi64(_mm256_castsi256_si128(all), _mm256_extracti128_si256(all, 1));
    return _mm_cvtsi128_si64(_mm_add_epi64(two, _mm_unpackhi_epi64(two, two)));
}

#define RSK_OWN_SUMS
#define SCAN_ROWS 1
#define SCAN_QUERIES 6
#define RSK_TABLE rsk_kernels_avx2
#define RSK_LEVEL "avx2"
#define RSK_LOOKUP "lookup_avx2.h"
#include "body.h"
