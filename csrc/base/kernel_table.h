/* What an instruction set supplies, as one table of functions. kernels/ fills it, dispatch.c picks one. */
#ifndef RSK_KERNEL_TABLE_H
#define RSK_KERNEL_TABLE_H

#include "base/base.h"

/* One skew transparent operator as kernels take it: out[k] = c x[k] + s (-1)^bit_k x[k ^ mask]. */
typedef struct rsk_turn {
    ptrdiff_t mask;
    const uint16_t *bits; /* one word a block of 16 */
    double c, s;          /* rounded to float by the float kernels */
} rsk_turn;

/* An embedded object as T_attr shows it: out[k] = ±rows[0][k mod width] ± rows[1][k mod width] ± counter[0] ± counter[1], or with one
 * term only ±rows[0][k mod width] ± counter[0]. */
typedef struct rsk_spread {
    ptrdiff_t width; /* a power of two, at most d */
    int terms;       /* 1 or 2 */
    const uint16_t *bits[2], *counter_bits[2]; /* the signs of the terms */
    const uint32_t *counter_pairs; /* pair k of bits is bit k of both rows of counter_bits; with two terms only */
} rsk_spread;

/* factor S_t H S_(t-1) ... H S_0, t = times: S_i the signs of bits[i], one word a block of 16, NULL for none; H unnormalised.
 * times 1: stages in ascending order. times 3: those of the second H in descending order; bits[1] and bits[2] are not NULL. */
typedef struct rsk_transform {
    int times;
    const uint16_t *bits[4];
    double factor; /* rounded to float by the float kernel */
} rsk_transform;

/* What an instruction set must implement. n and d are multiples of 16; pointers need no alignment; arrays do not overlap
 * unless said. (+)= adds if accumulate is set. All implementations give the same bits. */
typedef struct rsk_kernels {
    const char *name;
    /* unnormalised Walsh-Hadamard transform in place, n a power of two >= 16, stages in ascending order */
    void (*fwht_f32)(float *x, ptrdiff_t n);
    void (*fwht_f64)(double *x, ptrdiff_t n);
    /* out (n) = the transform of [in; 0], in of `length` <= n elements; in may be out. ahead: what lies so many elements beyond `in`
     * will be needed next and comes from memory; 0 if nothing does */
    void (*transform_f32)(float *out, const float *in, ptrdiff_t length, ptrdiff_t n, const rsk_transform *t, ptrdiff_t ahead);
    void (*transform_f64)(double *out, const double *in, ptrdiff_t length, ptrdiff_t n, const rsk_transform *t, ptrdiff_t ahead);
    /* out = f * (x with signs); out may be x */
    void (*flip_f32)(float *out, const float *x, ptrdiff_t n, const uint16_t *bits, float f);
    void (*flip_f64)(double *out, const double *x, ptrdiff_t n, const uint16_t *bits, double f);
    /* out (+)= c x + s (y with signs); out may be x */
    void (*blend_f32)(float *out, const float *x, const float *y, ptrdiff_t n, const uint16_t *bits, float c, float s,
                      int accumulate);
    void (*blend_f64)(double *out, const double *x, const double *y, ptrdiff_t n, const uint16_t *bits, double c, double s,
                      int accumulate);
    void (*widen)(double *out, const float *x, ptrdiff_t n);
    void (*narrow)(float *out, const double *x, ptrdiff_t n);
    /* a = f x, b[k] = g x[k ^ mask] */
    void (*split_f32)(float *a, float *b, const float *x, ptrdiff_t n, ptrdiff_t mask, float f, float g);
    void (*split_f64)(double *a, double *b, const double *x, ptrdiff_t n, ptrdiff_t mask, double f, double g);
    /* out = f a + g b[k ^ mask]: the transpose of split */
    void (*join)(float *out, const float *a, const float *b, ptrdiff_t n, ptrdiff_t mask, float f, float g);
    /* out (+)= turn x */
    void (*rotate_f32)(float *out, const float *x, ptrdiff_t d, const rsk_turn *turn, int accumulate);
    void (*rotate_f64)(double *out, const double *x, ptrdiff_t d, const rsk_turn *turn, int accumulate);
    /* out (+)= second first x. Above the lowest four bits, their masks are neither 0 nor equal */
    void (*rotate2_f32)(float *out, const float *x, ptrdiff_t d, const rsk_turn *first, const rsk_turn *second, int accumulate);
    void (*rotate2_f64)(double *out, const double *x, ptrdiff_t d, const rsk_turn *first, const rsk_turn *second,
                        int accumulate);
    /* rsk_spread above */
    void (*spread)(float *out, ptrdiff_t d, const rsk_spread *shape, const float *const rows[2], const float counter[2]);
    /* rsk_spread + extra, in doubles; extra may be NULL */
    void (*spread_wide)(double *out, ptrdiff_t d, const rsk_spread *shape, const double *const rows[2], const float counter[2],
                        const float *extra);
    /* the transpose of spread: rows[t][j] = sum of ±x[k], k mod width = j; counter[t] = sum of ±x[k]. width <= d */
    void (*collect)(const float *x, ptrdiff_t d, const rsk_spread *shape, float *const rows[2], float counter[2]);
    /* whether |x[k]| <= most for all k, most finite and >= 0; n >= 0 */
    int (*within_f32)(const float *x, ptrdiff_t n, float most);
    int (*within_f64)(const double *x, ptrdiff_t n, double most);
    /* sum of a[k] b[k]: rsk_dot; n >= 0 */
    double (*dot)(const double *a, const double *b, ptrdiff_t n);
    /* out -= factor x; n >= 0 */
    void (*subtract)(double *out, double factor, const double *x, ptrdiff_t n);
    /* sum of +-y[k], the signs a column's bits */
    double (*signs_dot)(const double *y, const uint16_t *bits, ptrdiff_t n);
    /* out = y - the sum of coef[j] times column j of signs, whose words begin at bits + j * words */
    void (*signs_subtract)(double *out, const double *y, ptrdiff_t n, const uint16_t *bits, ptrdiff_t words, const double *coef,
                           ptrdiff_t count);
    /* index of the first largest |x[k]|; with bits, of the first largest +-x[k]. x has no NaN */
    ptrdiff_t (*peak)(const float *x, ptrdiff_t n, const uint16_t *bits);
    /* out (n, d up to the next multiple of 16) = rows (n, d) of a rsk_scan_type as floats, and zeros; NULL for int8 */
    void (*unpack[4])(float *out, const void *rows, ptrdiff_t n, ptrdiff_t d);
    /* out[q n + r] = row r times query q, by the type of the rows (rsk_scan_type): n rows of d elements, d any size; m queries
     * of float, or int16 for rows of int8, `padded` elements apart, zeros from d on; padded is a multiple of 32 */
    void (*dots[4])(const void *rows, ptrdiff_t n, ptrdiff_t d, const void *queries, ptrdiff_t m, ptrdiff_t padded, float *out);
    /* a row of d int8 times a query of d floats, in doubles */
    double (*dot_bytes)(const int8_t *row, const float *query, ptrdiff_t d);
    /* table (width, 16) = the hashed 16 rows of x (16, length), one lane a row; the entries are those of rsk_hashing */
    void (*hash_f32)(float *table, ptrdiff_t width, const float *x, ptrdiff_t length, const uint32_t *entries,
                     ptrdiff_t nonzeros);
    void (*hash_f64)(double *table, ptrdiff_t width, const double *x, ptrdiff_t length, const uint32_t *entries,
                     ptrdiff_t nonzeros);
    /* out (16, width) = f times the transposed table */
    void (*untable_f32)(float *out, ptrdiff_t width, const float *table, float f);
    void (*untable_f64)(double *out, ptrdiff_t width, const double *table, double f);
    /* tensor sketches of the first rows, as many at once as a register has lanes; returns how many. The rest, less than half as many,
     * is quicker one by one. used >= 16, and pairs >= 8 or 0; pair_factor is the factor of complex products; work is
     * 16 degree padded elements */
    ptrdiff_t (*tensor_f32)(const rsk_tensor *t, double pair_factor, const float *x, ptrdiff_t rows, float *out, float *work);
    ptrdiff_t (*tensor_f64)(const rsk_tensor *t, double pair_factor, const double *x, ptrdiff_t rows, double *out, double *work);
} rsk_kernels;

extern const rsk_kernels rsk_kernels_portable;
extern const rsk_kernels rsk_kernels_avx2;
extern const rsk_kernels rsk_kernels_avx512;
extern const rsk_kernels rsk_kernels_neon;

const rsk_kernels *rsk_kernels_current(void);

#endif
