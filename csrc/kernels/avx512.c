/* AVX-512 F, BW, DQ, VL. */
#include "../internal.h"

#include <immintrin.h>

typedef __m512 v16;
typedef struct w16 {
    __m512d lo, hi;
} w16;
typedef __m512i lanes;

static inline v16 v16_load(const float *p) { return _mm512_loadu_ps(p); }
static inline void v16_store(float *p, v16 x) { _mm512_storeu_ps(p, x); }
static inline v16 v16_set1(float f) { return _mm512_set1_ps(f); }
static inline v16 v16_add(v16 a, v16 b) { return _mm512_add_ps(a, b); }
static inline v16 v16_sub(v16 a, v16 b) { return _mm512_sub_ps(a, b); }
static inline v16 v16_mul(v16 a, v16 b) { return _mm512_mul_ps(a, b); }
static inline v16 v16_flip(v16 x, uint16_t bits) { return _mm512_mask_xor_ps(x, (__mmask16)bits, x, _mm512_set1_ps(-0.0f)); }
static inline lanes lanes_make(int m) {
    return _mm512_xor_si512(_mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0), _mm512_set1_epi32(m));
}
static inline v16 v16_lanes(v16 x, lanes p) { return _mm512_permutexvar_ps(p, x); }

static inline v16 v16_hadamard(v16 x) {
    x = _mm512_add_ps(_mm512_permute_ps(x, 0xB1), v16_flip(x, 0xAAAA));
    x = _mm512_add_ps(_mm512_permute_ps(x, 0x4E), v16_flip(x, 0xCCCC));
    x = _mm512_add_ps(_mm512_shuffle_f32x4(x, x, 0xB1), v16_flip(x, 0xF0F0));
    x = _mm512_add_ps(_mm512_shuffle_f32x4(x, x, 0x4E), v16_flip(x, 0xFF00));
    return x;
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
static inline __m512d half_hadamard(__m512d x) {
    const __m512d minus = _mm512_set1_pd(-0.0);
    x = _mm512_add_pd(_mm512_permute_pd(x, 0x55), _mm512_mask_xor_pd(x, 0xAA, x, minus));
    x = _mm512_add_pd(_mm512_permutex_pd(x, 0x4E), _mm512_mask_xor_pd(x, 0xCC, x, minus));
    x = _mm512_add_pd(_mm512_shuffle_f64x2(x, x, 0x4E), _mm512_mask_xor_pd(x, 0xF0, x, minus));
    return x;
}
static inline w16 w16_hadamard(w16 x) {
    const __m512d lo = half_hadamard(x.lo), hi = half_hadamard(x.hi);
    const w16 r = {_mm512_add_pd(lo, hi), _mm512_sub_pd(lo, hi)};
    return r;
}

#define RSK_TABLE rsk_kernels_avx512
#define RSK_LEVEL "avx512"
#include "body.h"
