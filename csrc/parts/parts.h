/* The parts on their own: transforms, projections, hashing, tensor sketches, sparse solvers, scan. */
#ifndef RSK_PARTS_H
#define RSK_PARTS_H

#include "base/base.h"
#include "base/kernel_table.h"

/* ---------------------------------------------------------------- hadamard.c */

/* A = P H D / sqrt(m): m rows of the Sylvester-Hadamard matrix of order n, columns with random signs. Solvers see
 * B = sqrt(m) A, whose columns are signs: the bits of column j are the planes of j's set bits, exclusive or. */
struct rsk_hadamard {
    ptrdiff_t n, m, words; /* words of 16 bits a column */
    int32_t *rows;         /* (m,) ascending */
    uint16_t *signs;       /* n bits */
    uint16_t *planes;      /* (log2 n, words): bit b of every row's number */
    float *gram;           /* (n,) sum over the rows of (-1)^popcount(row & k): exact */
};

/* out = (B^T r) but for the signs of the columns, in float32. */
void rsk_hadamard_correlate(const rsk_hadamard *h, const double *r, float *out);
void rsk_hadamard_column(const rsk_hadamard *h, ptrdiff_t j, uint16_t *bits);
/* Entry (i, j) of B^T B. */
static inline double rsk_hadamard_gram(const rsk_hadamard *h, ptrdiff_t i, ptrdiff_t j) {
    const double g = (double)h->gram[i ^ j];
    return rsk_sign_bit(h->signs, i) != rsk_sign_bit(h->signs, j) ? -g : g;
}

/* What rsk_omp and rsk_htp have in common. Whether a call's arguments are within their ranges, but for y. */
int rsk_support_valid(const rsk_hadamard *h, ptrdiff_t batch, const double *y, const rsk_support_params *p, const rsk_supports *out,
                      int threads);
/* Writes one signal's row of every array of out, K wide, and scales coefficients of B to those of A. */
void rsk_support_write(const rsk_supports *out, ptrdiff_t signal, ptrdiff_t wide, const rsk_hadamard *h, const int32_t *at,
                       const double *u, ptrdiff_t count);

/* Of |y|^2: a residual of rounding. Doubles leave at least (2^-53)^2 of it; sums and products some 2^6 times as much. */
#define RSK_NOTHING 0x1p-100
/* Whether a squared residual is as small as can be asked for, where energy is |y|^2; reason then becomes which way. */
int rsk_support_fitted(double square, double energy, double tolerance, int32_t *reason);

#endif
