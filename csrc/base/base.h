/* What every wing rests on: memory, threads, random signs, sums. A wing is a folder with one private header; its files include
 * that header, which includes those of the wings below it, so that the compiler holds the layers:
 *
 *   recursion/  the map from a run to its sketch         rests on base
 *   reading/    the way back                             rests on recursion
 *   parts/      transforms, hashing, solvers, scan       rests on base
 *   learning/   matrices that nobody told                rests on base */
#ifndef RSK_BASE_H
#define RSK_BASE_H

#include "recsketch.h"

#if defined(__GNUC__) || defined(__clang__)
#define RSK_RESTRICT __restrict__
#else
#define RSK_RESTRICT __restrict
#endif

/* GCC takes a function that does nothing but prefetch for one without effect, and drops its calls. The empty instruction is one. */
#if defined(__GNUC__) || defined(__clang__)
#define RSK_PREFETCH(p)        \
    do {                       \
        __builtin_prefetch(p); \
        __asm__ volatile("");  \
    } while (0)
#else
#define RSK_PREFETCH(p) ((void)(p))
#endif

/* Everything is computed in blocks of 16 floats (docs/implementation.md). d and a' are multiples of 16. */
#define RSK_LANES 16

/* ---------------------------------------------------------------- memory.c */

/* `size` elements of `each` bytes, 64-byte aligned; free with rsk_free. NULL if size is negative, each is 0, their product overflows, or
 * memory is short. size 0 gives a pointer that is not NULL. rsk_calloc clears the elements, rsk_alloc does not. */
void *rsk_alloc(ptrdiff_t size, size_t each);
void *rsk_calloc(ptrdiff_t size, size_t each);
void rsk_free(void *p); /* NULL is allowed */

/* ---------------------------------------------------------------- threads.c */

/* Calls task(context, worker, begin, end) over [0, n) in chunks, on at most `threads` threads; worker < threads says whose
 * scratch to use, and worker 0 is the calling thread. Chunks are handed out in no fixed order: results must not depend on it. */
typedef void rsk_task(void *context, int worker, ptrdiff_t begin, ptrdiff_t end);
void rsk_parallel(int threads, ptrdiff_t n, ptrdiff_t chunk, rsk_task *task, void *context);
/* The same for what may run for more than a second. `stop`, or NULL, is asked between chunks.
 * RSK_ESTOP  some chunks were not run, or a task saw rsk_stopped and gave up */
rsk_status rsk_parallel_until(rsk_stop *stop, int threads, ptrdiff_t n, ptrdiff_t chunk, rsk_task *task, void *context);
/* The same for work of less than some milliseconds, which stays on the calling thread while threads do not pay: where cores are taken. */
rsk_status rsk_parallel_short(rsk_stop *stop, int threads, ptrdiff_t n, ptrdiff_t chunk, rsk_task *task, void *context);
/* Whether to give up: a task whose chunk may take more than 0.1 seconds looks here now and then, with its worker's number.
 * Worker 0 asks the caller when it is time, and takes 30 ns otherwise; the others read a flag. NULL: never. */
int rsk_stopped(rsk_stop *stop, int worker);
/* How many threads rsk_parallel will use at most: bounded by OpenMP, by n / chunk and by being a forked child. */
int rsk_parallel_threads(int threads, ptrdiff_t n, ptrdiff_t chunk);

/* An item of work and what it costs, in any unit. */
typedef struct rsk_share {
    double cost;
    ptrdiff_t item;
    double load; /* scratch of rsk_longest_first */
} rsk_share;
/* Sorts n shares, largest cost first and the first of equals, as they should be handed out. Returns how many of them, the largest, would
 * leave threads idle if each was done by one thread: the others, handed out in that order, end within a tenth of the best. */
ptrdiff_t rsk_longest_first(rsk_share *shares, ptrdiff_t n, int threads);

/* What the CPU and its operating system offer (cpu.c). */
int rsk_cpu_has_avx2(void);
int rsk_cpu_has_avx512(void);

/* ---------------------------------------------------------------- signs (philox.c) */

/* Four words of a stream's part: block 0 holds words 0 to 3. */
void rsk_stream_block(uint64_t seed, uint64_t stream, uint32_t part, ptrdiff_t block, uint32_t out[4]);
/* out (bits / 16) = the first bits of a part of a stream, packed: bit k is bit k % 16 of word k / 16.
 * RSK_EINVAL  bits is not a positive multiple of 16 */
rsk_status rsk_stream_signs(uint64_t seed, uint64_t stream, uint32_t part, ptrdiff_t bits, uint16_t *out);
/* floor(n u / 2^64), u = the words low, high of a stream; n < 2^31. */
static inline ptrdiff_t rsk_below(ptrdiff_t n, const uint32_t word[2]) {
    const uint64_t low = ((uint64_t)n * word[0]) >> 32, high = (uint64_t)n * word[1];
    return (ptrdiff_t)((high + low) >> 32);
}
/* The highest set bit of x > 0, as a power of two. */
static inline ptrdiff_t rsk_highest_bit(ptrdiff_t x) {
    for (int i = 1; i < (int)(8 * sizeof x); i *= 2) x |= x >> i;
    return x ^ x >> 1;
}
/* The logarithm of a power of two. */
static inline int rsk_log2(ptrdiff_t n) {
    int bits = 0;
    while ((ptrdiff_t)1 << bits < n) bits++;
    return bits;
}
/* Whether there is a Walsh-Hadamard transform of n numbers: a power of two from 16 to RSK_MAX_DIM. */
static inline int rsk_is_order(ptrdiff_t n) { return n >= RSK_LANES && n <= RSK_MAX_DIM && !(n & (n - 1)); }
/* Bit k of packed sign words: 1 is a minus sign. */
static inline int rsk_sign_bit(const uint16_t *bits, ptrdiff_t k) { return (bits[k >> 4] >> (k & 15)) & 1; }

/* ---------------------------------------------------------------- strings of the block family (codes.c) */

/* A string is `block` signs: a common sign times [+1 | signs of a code's bits | signs of a tail], a set bit for a minus. The code is a
 * mixed payload of the block's row, the column and the module's tag, from the lowest bit on. */
typedef struct rsk_codes {
    int block;                            /* b, 32 or 64 */
    int row_bits, column_bits, tag_bits;
    int bits;                             /* of a code */
    int tail;                             /* b - 1 - bits */
} rsk_codes;

#define RSK_LEAST_TAG 8
/* Returns 0 where there is no such block, or where a tag would have less than RSK_LEAST_TAG bits; *codes is set in the second case. d is a
 * power of two. */
int rsk_codes_make(ptrdiff_t d, ptrdiff_t block, rsk_codes *codes);
/* The code of a payload, a bijection of `bits` bits that leaves nothing of what payloads have in common, and the way back. */
uint64_t rsk_code_of(const rsk_codes *codes, uint64_t payload);
uint64_t rsk_code_payload(const rsk_codes *codes, uint64_t code);
int rsk_code_sign(uint64_t payload); /* the string's common sign, 1 or -1 */
uint64_t rsk_code_pack(const rsk_codes *codes, uint64_t tag, uint64_t column, uint64_t row);
void rsk_code_unpack(const rsk_codes *codes, uint64_t payload, uint64_t *tag, uint64_t *column, uint64_t *row);
/* The column that stands for a module's counter. */
static inline uint64_t rsk_code_counter(const rsk_codes *codes) { return ((uint64_t)1 << codes->column_bits) - 1; }

/* ---------------------------------------------------------------- sums (dot.c) */

/* The sum of a[i] b[i], in sixteen interleaved sums that are folded in one order: the same bits however it is compiled. */
double rsk_dot(const double *a, const double *b, ptrdiff_t n);

/* ---------------------------------------------------------------- least squares (cgls.c) */

/* A linear map A (m, n) in a solver's hands. */
typedef struct rsk_map {
    ptrdiff_t m, n;
    int (*forward)(const void *context, const double *p, double *image);  /* image = A p; 0: the iterations are to end */
    void (*adjoint)(const void *context, const double *r, double *g);     /* g = A^T r */
    const void *context;
    /* 0: the gradient is computed from the residual, whose rounding error is relative to the residual.
     * 1: it is updated by A^T A p, whose rounding error is relative to the gradient: better where a small gradient stands on a
     *    large residual. Without damping and precondition only; needs z. */
    int updates;
} rsk_map;

/* min |r0 - A (u - u0)|^2 + sum damping u^2. */
typedef struct rsk_cgls_work {
    double *r;     /* (m,) in and out: the residual at u */
    double *u;     /* (n,) in and out */
    double *g;     /* (n,) in: the gradient A^T r - damping u; out: unspecified */
    double *p;     /* (n,) */
    double *image; /* (m,) */
    /* z = M g, M symmetric and near the inverse of A^T A + damping; NULL: M is the identity, z is not used */
    void (*precondition)(const void *context, const double *g, double *z);
    const void *context;
    double *z; /* (n,) */
} rsk_cgls_work;

/* Iterates until |g|^2 <= goal or, with relative > 0, |g|^2 <= relative |r|^2; `most` times at most, with as many products A p and
 * one less A^T r. damping (n,) or NULL for none. Returns how often. */
int rsk_cgls(const rsk_map *map, const rsk_cgls_work *work, const double *damping, double goal, double relative, int most);

/* ---------------------------------------------------------------- selection (select.c) */

/* The rank-th largest of n keys; rank becomes how many keys equal to it are among the rank largest. 0 <= *rank <= n; rank 0 gives a
 * key that none exceeds, and stays. spare: n keys. Floats that are not negative are in the order of their bits. */
uint32_t rsk_select(const uint32_t *keys, ptrdiff_t n, ptrdiff_t *rank, uint32_t *spare);
/* Leaves the k largest of n numbers a >= 0, the first of equals, and sets the others to 0. k >= 0; scratch: n doubles. */
void rsk_keep_largest(double *a, ptrdiff_t n, ptrdiff_t k, double *scratch);

#endif
