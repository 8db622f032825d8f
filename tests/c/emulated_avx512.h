/* AVX-512 in plain C, for machines that lack it: included before csrc/kernels/avx512.c by -DRSK_EMULATE_AVX512=ON.
 *
 * SIMDe (Debian's libsimde-dev) emulates most of it; what its versions lack or take from the compiler stands below, lane by
 * lane after Intel's description. The contract test then runs these kernels like any others. */
#ifndef RSK_EMULATED_AVX512_H
#define RSK_EMULATED_AVX512_H

#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx2.h>
#include <simde/x86/avx512.h>
#include <simde/x86/f16c.h>
#include <math.h>
#include <string.h>

/* name(A a): lanes x of a become lanes y of the answer, n of them; k is the immediate, or the lanes of an index */
#define RSK_EMULATE(R, Y, name, parameters, A, X, a, n, lane)                                                                   \
    static inline R name parameters {                                                                                          \
        X x[sizeof(A) / sizeof(X)];                                                                                             \
        Y y[n];                                                                                                                \
        memcpy(x, &a, sizeof x);                                                                                               \
        for (int i = 0; i < n; i++) y[i] = (Y)(lane);                                                                          \
        R r;                                                                                                                   \
        memcpy(&r, y, sizeof r);                                                                                               \
        return r;                                                                                                              \
    }

RSK_EMULATE(__m512i, int64_t, rsk_cvtepi32_epi64, (__m256i a), __m256i, int32_t, a, 8, x[i])
RSK_EMULATE(__m512d, double, rsk_cvtepi32_pd, (__m256i a), __m256i, int32_t, a, 8, x[i])
RSK_EMULATE(__m512i, int32_t, rsk_cvtepu16_epi32, (__m256i a), __m256i, uint16_t, a, 16, x[i])
RSK_EMULATE(__m512d, double, rsk_cvtps_pd, (__m256 a), __m256, float, a, 8, x[i])
RSK_EMULATE(__m256, float, rsk_cvtpd_ps, (__m512d a), __m512d, double, a, 8, x[i])
/* a number that int32_t does not hold becomes the smallest one */
#define RSK_ROUNDED(x) ((x) >= -2147483648.0 && (x) < 2147483647.5 ? (int32_t)rint(x) : INT32_MIN)
RSK_EMULATE(__m512, float, rsk_cvtepi32_ps, (__m512i a), __m512i, int32_t, a, 16, x[i])
RSK_EMULATE(__m512i, int32_t, rsk_cvtps_epi32, (__m512 a), __m512, float, a, 16, RSK_ROUNDED((double)x[i]))
RSK_EMULATE(__m256i, int32_t, rsk_cvtpd_epi32, (__m512d a), __m512d, double, a, 8, RSK_ROUNDED(x[i]))
RSK_EMULATE(__m512, float, rsk_cvtph_ps, (__m256i a), __m256i, uint16_t, a, 16,
            simde_float16_to_float32(simde_uint16_as_float16(x[i])))
RSK_EMULATE(__m256, float, rsk_extractf32x8, (__m512 a, int k), __m512, float, a, 8, x[i + 8 * k])
RSK_EMULATE(__m256i, int32_t, rsk_extracti32x8, (__m512i a, int k), __m512i, int32_t, a, 8, x[i + 8 * k])
RSK_EMULATE(__m512, float, rsk_permute_ps, (__m512 a, int k), __m512, float, a, 16, x[(i & ~3) + (k >> 2 * (i & 3) & 3)])
RSK_EMULATE(__m512d, double, rsk_permute_pd, (__m512d a, int k), __m512d, double, a, 8, x[(i & ~1) + (k >> i & 1)])
RSK_EMULATE(__m512d, double, rsk_permutex_pd, (__m512d a, int k), __m512d, double, a, 8, x[(i & ~3) + (k >> 2 * (i & 3) & 3)])

/* rounded to the nearest, ties to even; AVX2's kernels have it of eight */
static inline __m256i rsk_cvtps_ph(__m512 a, int k) {
    float x[16];
    __m128i y[2];
    __m256i r;
    (void)k;
    memcpy(x, &a, sizeof x);
    for (int i = 0; i < 2; i++) y[i] = _mm256_cvtps_ph(_mm256_loadu_ps(x + 8 * i), 0);
    memcpy(&r, y, sizeof r);
    return r;
}
static inline __m512 rsk_permutevar_ps(__m512 a, __m512i index) {
    float x[16], y[16];
    int32_t k[16];
    memcpy(x, &a, sizeof x);
    memcpy(k, &index, sizeof k);
    for (int i = 0; i < 16; i++) y[i] = x[(i & ~3) + (k[i] & 3)];
    memcpy(&a, y, sizeof a);
    return a;
}
/* quarters of 16 bytes: two of a, two of b */
static inline void rsk_shuffle_quarters(void *r, const void *a, const void *b, int k) {
    for (int i = 0; i < 4; i++) memcpy((char *)r + 16 * i, (const char *)(i < 2 ? a : b) + 16 * (k >> 2 * i & 3), 16);
}
static inline __m512 rsk_shuffle_f32x4(__m512 a, __m512 b, int k) {
    __m512 r;
    rsk_shuffle_quarters(&r, &a, &b, k);
    return r;
}
static inline __m512d rsk_shuffle_f64x2(__m512d a, __m512d b, int k) {
    __m512d r;
    rsk_shuffle_quarters(&r, &a, &b, k);
    return r;
}
static inline __m512i rsk_madd_epi16(__m512i a, __m512i b) {
    int16_t x[32], y[32];
    int32_t r[16];
    memcpy(x, &a, sizeof x);
    memcpy(y, &b, sizeof y);
    for (int i = 0; i < 16; i++) r[i] = x[2 * i] * y[2 * i] + x[2 * i + 1] * y[2 * i + 1];
    memcpy(&a, r, sizeof a);
    return a;
}
static inline int64_t rsk_reduce_add_epi64(__m512i a) {
    int64_t x[8], sum = 0;
    memcpy(x, &a, sizeof x);
    for (int i = 0; i < 8; i++) sum += x[i];
    return sum;
}
static inline double rsk_reduce_max_pd(__m512d a) {
    double x[8], most;
    memcpy(x, &a, sizeof x);
    most = x[0];
    for (int i = 1; i < 8; i++) most = x[i] > most ? x[i] : most;
    return most;
}
static inline uint32_t rsk_reduce_max_epu32(__m512i a) {
    uint32_t x[16], most = 0;
    memcpy(x, &a, sizeof x);
    for (int i = 0; i < 16; i++) most = x[i] > most ? x[i] : most;
    return most;
}
static inline __m512i rsk_zextsi256_si512(__m256i a) {
    int32_t x[16] = {0};
    __m512i r;
    memcpy(x, &a, sizeof a);
    memcpy(&r, x, sizeof r);
    return r;
}

#undef _mm512_cvtepi32_epi64
#undef _mm512_cvtepi32_pd
#undef _mm512_cvtepu16_epi32
#undef _mm512_cvtps_pd
#undef _mm512_cvtpd_ps
#undef _mm512_cvtph_ps
#undef _mm512_cvtps_ph
#undef _mm512_extractf32x8_ps
#undef _mm512_extracti32x8_epi32
#undef _mm512_permute_ps
#undef _mm512_permute_pd
#undef _mm512_permutex_pd
#undef _mm512_permutevar_ps
#undef _mm512_shuffle_f32x4
#undef _mm512_shuffle_f64x2
#undef _mm512_madd_epi16
#undef _mm512_reduce_add_epi64
#undef _mm512_reduce_max_pd
#undef _mm512_cvtepi32_ps
#undef _mm512_cvtps_epi32
#undef _mm512_cvtpd_epi32
#undef _mm512_reduce_max_epu32
#undef _mm512_zextsi256_si512
#define _mm512_cvtepi32_epi64 rsk_cvtepi32_epi64
#define _mm512_cvtepi32_pd rsk_cvtepi32_pd
#define _mm512_cvtepu16_epi32 rsk_cvtepu16_epi32
#define _mm512_cvtps_pd rsk_cvtps_pd
#define _mm512_cvtpd_ps rsk_cvtpd_ps
#define _mm512_cvtph_ps rsk_cvtph_ps
#define _mm512_cvtps_ph rsk_cvtps_ph
#define _mm512_extractf32x8_ps rsk_extractf32x8
#define _mm512_extracti32x8_epi32 rsk_extracti32x8
#define _mm512_permute_ps rsk_permute_ps
#define _mm512_permute_pd rsk_permute_pd
#define _mm512_permutex_pd rsk_permutex_pd
#define _mm512_permutevar_ps rsk_permutevar_ps
#define _mm512_shuffle_f32x4 rsk_shuffle_f32x4
#define _mm512_shuffle_f64x2 rsk_shuffle_f64x2
#define _mm512_madd_epi16 rsk_madd_epi16
#define _mm512_reduce_add_epi64 rsk_reduce_add_epi64
#define _mm512_reduce_max_pd rsk_reduce_max_pd
#define _mm512_cvtepi32_ps rsk_cvtepi32_ps
#define _mm512_cvtps_epi32 rsk_cvtps_epi32
#define _mm512_cvtpd_epi32 rsk_cvtpd_epi32
#define _mm512_reduce_max_epu32 rsk_reduce_max_epu32
#define _mm512_zextsi256_si512 rsk_zextsi256_si512

#endif
