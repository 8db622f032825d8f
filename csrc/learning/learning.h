/* What sketches of the block family say of matrices that nobody told (docs/learning.md). */
#ifndef RSK_LEARNING_H
#define RSK_LEARNING_H

#include "base/base.h"

/* ---------------------------------------------------------------- known.c */

/* Codes of strings that are known, found by hashing. */
typedef struct rsk_known {
    const uint64_t *codes; /* (count,) borrowed */
    int32_t *slots;        /* (size,) a number of `codes`, or -1 */
    ptrdiff_t size;        /* a power of two, at least twice as many as there are codes */
} rsk_known;

/* RSK_EINVAL  a code comes twice
 * RSK_ENOMEM  8 to 16 bytes a code */
rsk_status rsk_known_make(const uint64_t *codes, ptrdiff_t count, rsk_known *known);
void rsk_known_free(rsk_known *known);
int32_t rsk_known_find(const rsk_known *known, uint64_t code); /* -1: it is none of them */

/* ---------------------------------------------------------------- peel.c */

/* A block of a sketch, taken apart into strings. */
typedef struct rsk_peeled {
    int count;                          /* of strings that were found, at most RSK_PEEL_MOST */
    int32_t which[RSK_PEEL_MOST];       /* numbers of known codes, the loudest first */
    double amplitude[RSK_PEEL_MOST];    /* of a string of signs, whose first one is positive */
    double energy;                      /* the sum of squares of what is left */
    uint64_t next;                      /* the code of what is left */
    rsk_peel_end end;
} rsk_peeled;

/* Takes from `block` numbers y the strings that are known, at most `most`, until what is left is at most `floor` in the mean, or begins with
 * a code that is unknown. All found strings are fitted anew by least squares whenever one is added: a string that stands out only once
 * another is gone is read as well as if it had been alone. */
void rsk_peel_block(const rsk_known *known, int block, const float *y, double floor, double noise, int most, rsk_peeled *out);

#endif
