/* What an instruction set supplies, as one table of functions. kernels/ fills it, dispatch.c picks one. */
#ifndef RSK_KERNEL_TABLE_H
#define RSK_KERNEL_TABLE_H

#include <string.h>

#include "base/base.h"

/* One skew transparent operator but for a factor, as kernels take it: with R y[k] = (-1)^bit_k y[k ^ mask], mask[0] in the first half of
 * y's coordinates and mask[1] in the second, it is y + t R y, or, where it is steep, t y + R y. */
typedef struct rsk_turn {
    ptrdiff_t mask[2]; /* above 0, below d / 2 */
    const uint16_t *bits; /* one word a block of 16; four bytes in front of them may be read */
    double t;             /* a float */
    int steep;
} rsk_turn;

enum { RSK_ROWS = 4 };       /* vectors that are added up in one pass, at most */
enum { RSK_TOGETHER = 32 }; /* leaves that are added to a tuple's vector in one pass, at most */

/* A leaf of a tuple, seen through its position's operator, in whole numbers: at k, in the c-th half and the j-th run of d / 2 width
 * coordinates there, one of four numbers that the run has in tables, and one of four counters. index says which, by four bits a
 * coordinate: nibble k / 16 % 8 of word k / 128 * 16 + k % 16. Bit 0 is set where the run's first term is negative, bit 1 where its
 * second is; the two upper bits are the number of the counter. */
typedef struct rsk_leaf {
    const uint32_t *index;
    const int32_t *tables; /* (2, width, 4), the runs in an order that the instruction set chooses */
    int32_t counter[4];
} rsk_leaf;

/* A repeated vector with signs, and a sign vector: out[k] = ±row[k mod width] ± counter. */
typedef struct rsk_spread {
    ptrdiff_t width; /* a power of two, at most d */
    const uint16_t *bits, *counter_bits; /* the signs */
} rsk_spread;

/* factor S_t H S_(t-1) ... H S_0, t = times: S_i the signs of bits[i], one word a block of 16, NULL for none; H unnormalised.
 * times 1: stages in ascending order. times 3: those of the second H in descending order; bits[1] and bits[2] are not NULL. */
typedef struct rsk_transform {
    int times;
    const uint16_t *bits[4];
    double factor; /* rounded to float by the float kernel */
} rsk_transform;

/* rint(x 2^32), halves to even, modulo 2^64, where |x| is at most 2^18: adding 1.5 2^20 rounds to a multiple of 2^-32 and leaves its number
 * in the low bits. Of any other x it is no more than a number that depends on x alone. */
static inline uint64_t rsk_fixed(float x) {
    const double rounded = (double)x + 0x1.8p20;
    uint64_t bits;
    memcpy(&bits, &rounded, sizeof bits);
    return bits - 0x4138000000000000u;
}

/* What an instruction set must implement. n and d are multiples of 16; pointers need no alignment; arrays do not overlap
 * unless said. (+)= adds if accumulate is set. All implementations give the same bits. */
typedef struct rsk_kernels {
    const char *name;
    /* unnormalised Walsh-Hadamard transform in place, n a power of two >= 16, stages in ascending order */
    void (*fwht_f32)(float *x, ptrdiff_t n);
    void (*fwht_f64)(double *x, ptrdiff_t n);
    /* out (n) = the transform of [in; 0], in of `length` <= n elements; in may be out */
    void (*transform_f32)(float *out, const float *in, ptrdiff_t length, ptrdiff_t n, const rsk_transform *t);
    void (*transform_f64)(double *out, const double *in, ptrdiff_t length, ptrdiff_t n, const rsk_transform *t);
    /* out = f * (x with signs); out may be x */
    void (*flip_f32)(float *out, const float *x, ptrdiff_t n, const uint16_t *bits, float f);
    void (*flip_f64)(double *out, const double *x, ptrdiff_t n, const uint16_t *bits, double f);
    /* out (+)= c x + s (y with signs); out may be x */
    void (*blend_f32)(float *out, const float *x, const float *y, ptrdiff_t n, const uint16_t *bits, float c, float s,
                      int accumulate);
    void (*blend_f64)(double *out, const double *x, const double *y, ptrdiff_t n, const uint16_t *bits, double c, double s,
                      int accumulate);
    void (*narrow)(float *out, const double *x, ptrdiff_t n);
    /* out (+)= f times the product of 1 to 4 operators with x, the first of them applied first; work has d elements */
    void (*turn_f32)(float *out, const float *x, ptrdiff_t d, const rsk_turn *turns, int count, float f, int accumulate, float *work);
    /* The same, rounded to whole numbers at the end; returns the largest |out[k]|. 2 to 4 operators of whole numbers, or 2 to 3 of real
     * ones, where whole is NULL. The caller sees to it that no sum overflows */
    uint32_t (*row_f32)(int32_t *out, const int32_t *whole, const float *real, ptrdiff_t d, const rsk_turn *turns, int count, float f,
                        float *work);
    uint32_t (*row_f64)(int32_t *out, const int32_t *whole, const double *real, ptrdiff_t d, const rsk_turn *turns, int count, double f,
                        double *work);
    /* out (+)= the sum of at most RSK_TOGETHER leaves of one width, at most d / 16. It returns the largest |out[k]|. Sums that overflow
     * on the way wrap; the caller sees to it that none does at the end */
    uint32_t (*leaves)(int32_t *out, ptrdiff_t d, ptrdiff_t width, const rsk_leaf *leaf, ptrdiff_t count, int accumulate);
    /* A leaf's tables, of +-x +-y, x = rint(a h[j]) and y = rint(b h[j ^ partner[c]]), c = 0, 1 */
    void (*leaf_tables)(int32_t *tables, const double *h, ptrdiff_t width, double a, double b, const ptrdiff_t partner[2]);
    /* The transpose: sums (2, 2, width) = those of +-y over the runs of either half, by bit 0 of index and by bit 1; counter: the sums of
     * +-y by bits 2 and 3, or NULL. Every sum goes over lanes of 16, or 8 where a run has 8, that are folded by halves at its end */
    void (*leaf_sums)(const float *y, ptrdiff_t d, ptrdiff_t width, const uint32_t *index, float *sums, float *counter);
    /* What such sums come to: h[j] = c (sums[0][j] + sums[1][j]) + s (sums[2][j ^ partner[0]] + sums[3][j ^ partner[1]]) */
    void (*leaf_join)(float *h, const float *sums, ptrdiff_t width, float c, float s, const ptrdiff_t partner[2]);
    /* y (a, and zeros up to a multiple of 16) = (x - centre) scale, centre NULL for zeros; out (a) = y, or with polar its direction, 0 for
     * none, rounded. Returns |y|, or -1, out being left, where a number of y is NaN or above RSK_MAX_VALUE in magnitude */
    double (*encode)(const float *x, const float *centre, double scale, ptrdiff_t a, int polar, double *y, float *out);
    /* h (n) = the transform of [x; 0] with signs, x of length <= n; returns the largest |h[j]|, or -1, h being left, where a number of x is
     * NaN or above RSK_MAX_VALUE in magnitude */
    double (*embed)(double *h, const float *x, ptrdiff_t length, ptrdiff_t n, const uint16_t *bits);
    /* the largest |h[j]| of n numbers, none of them NaN */
    double (*largest)(const double *h, ptrdiff_t n);
    /* out = x 2^-shift, rounded to nearest, halves up, |x| <= 2^31 - 2, 1 <= shift <= 31; in place */
    void (*lower)(int32_t *x, ptrdiff_t n, int shift);
    /* out = f x */
    void (*settle)(float *out, const int32_t *x, ptrdiff_t n, double f);
    /* out = ±x repeated ± counter: coordinate k takes number j of the width that runs of d / 2 width in either half make, or k where width
     * is d; and the transpose, whose sums over a run's numbers go over neighbours, then pairs of neighbours; y is overwritten */
    void (*repeat)(float *out, ptrdiff_t d, const rsk_spread *shape, const float *row, float counter);
    void (*gather)(float *y, ptrdiff_t d, const rsk_spread *shape, float *row, float *counter);
    /* rsk_spread above */
    void (*spread)(float *out, ptrdiff_t d, const rsk_spread *shape, const float *row, float counter);
    void (*spread_wide)(double *out, ptrdiff_t d, const rsk_spread *shape, const double *row, float counter);
    /* the transpose of spread: row[j] = sum of ±x[k], k mod width = j; counter = sum of ±x[k]. width <= d */
    void (*collect)(const float *x, ptrdiff_t d, const rsk_spread *shape, float *row, float *counter);
    /* sum += rsk_fixed(x) of at most RSK_ROWS vectors x, modulo 2^64; returns the bits of the largest |x[k]|; n >= 0 */
    uint32_t (*add_fixed)(int64_t *sum, const float *const *x, int rows, ptrdiff_t n);
    /* Of each of at most RSK_ROWS vectors x of n floats, n >= 0, in this order: sum += x - shift and square += (x - shift)^2, element by
     * element; *zeros += its zeros; its sum of x[k]^2 as rsk_dot has it. *largest = the bits of the largest |x[k]| of all; n <= 2^29 */
    void (*moments)(const float *const *x, int rows, ptrdiff_t n, const double *shift, double *sum, double *square, double *norms,
                    int64_t *zeros, uint32_t *largest);
    /* out = the halves nearest to x / *scale, the power of two, at least 2^-126, by which the largest |x[k]| is in [2^14, 2^15), or 2^-15
     * where all are 0; *lost = the sum of squares of x - *scale out. Returns 0, having written nothing, where a number is NaN or above
     * RSK_MAX_VALUE in magnitude; n >= 0 */
    int (*halve)(uint16_t *out, const float *x, ptrdiff_t n, float *scale, double *lost);
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
