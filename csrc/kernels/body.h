/* The kernels, once, over blocks of 16 floats. An instruction set's file defines the block operations below, names its
 * table with RSK_TABLE and its level with RSK_LEVEL, and includes this file. Every operation is elementwise and every
 * reduction has one order, so all of them give the same bits (compiled with -ffp-contract=off).
 *
 *   v16                          16 floats
 *   v16_load v16_store v16_set1 v16_add v16_mul
 *   v16_flip(x, uint16_t)        lanes whose bit is set change sign
 *   lanes, lanes_make(m)         the lane permutation i -> i ^ m, 0 <= m < 16
 *   v16_lanes(x, lanes)          out[i] = x[i ^ m]
 *   quad, quad_make(float[4]), v16_choose(quad, uint32_t w)   lane i is element w >> 2i & 3 of the four
 *   v16_abs v16_max              of no NaN
 *   v16_sum(x)                   the lanes folded by halves: i + (i + 8), then i + (i + 4), ...
 *   v16_half(const uint16_t *)   16 IEEE halves, converted exactly
 *   w16                          16 doubles, with load store set1 add sub mul flip lanes of these
 *   w16_of(v16), v16_of(w16)     converted, rounded to nearest
 *   bytes, bytes_load(const int8_t *)    32 int8
 *   i16, i16_zero()              16 int32, which lane holds what is the instruction set's business
 *   i16_dot(i16, bytes, const int16_t *)  the 32 products with 32 int16 added, two a lane; i16_sum(i16) all lanes, as int64
 *   SCAN_ROWS, SCAN_QUERIES      the tile of inner products whose sums fit the registers
 *
 * Transforms need no blocks, only registers:
 *
 *   r32, R32_LANES               a register of floats, a power of two up to 16 of them
 *   R32_RADIX                    how many of them at once: a power of two up to 16, half of what there are
 *   r32_load r32_store r32_set1 r32_add r32_sub r32_mul
 *   r32_flip_word(x, word, from) lane i changes sign where bit from + i of the 16 is set; from a multiple of R32_LANES
 *   r32_stage(x, h)              stage h < R32_LANES of the transform: x[i] + x[i + h] and x[i] - x[i + h] of lanes whose bit h
 *                                is clear. h is a constant
 *   r32_transpose(r32[])         R32_LANES registers: lane j of register i becomes lane i of register j
 *   r64 ...                      the same of doubles */

#include <string.h>

#define BLOCK RSK_LANES

#if defined(_MSC_VER)
#define RSK_INLINE __forceinline
#define RSK_UNROLL
#elif defined(RSK_SMALL) /* blocks that are no registers: unrolling them only makes the code large */
#define RSK_INLINE inline
#define RSK_UNROLL
#elif defined(__clang__)
#define RSK_INLINE inline __attribute__((always_inline))
#define RSK_UNROLL _Pragma("clang loop unroll(full)")
#else
#define RSK_INLINE inline __attribute__((always_inline))
#define RSK_UNROLL _Pragma("GCC unroll 16")
#endif

#define RSK_JOIN_(a, b) a##_##b
#define RSK_JOIN(a, b) RSK_JOIN_(a, b)

#if defined(__GNUC__) || defined(__clang__)
#define RSK_PREFETCH(p) __builtin_prefetch(p)
#else
#define RSK_PREFETCH(p) ((void)(p))
#endif

enum { UP = 1, DOWN = 2 };

#define FWHT fwht_f32
#define TRANSFORM transform_f32
#define T float
#define R r32
#define LANES R32_LANES
#define RADIX R32_RADIX
#include "fwht.h"
#define FWHT fwht_f64
#define TRANSFORM transform_f64
#define T double
#define R r64
#define LANES R64_LANES
#define RADIX R64_RADIX
#include "fwht.h"

/* ---------------------------------------------------------------- signs and skew transparent operators */

#define SUFFIX f32
#define T float
#define V v16
#include "operators.h"
#define SUFFIX f64
#define T double
#define V w16
#include "operators.h"

static void widen(double *RSK_RESTRICT out, const float *RSK_RESTRICT x, ptrdiff_t n) {
    for (ptrdiff_t k = 0; k < n; k += BLOCK) w16_store(out + k, w16_of(v16_load(x + k)));
}

static void narrow(float *RSK_RESTRICT out, const double *RSK_RESTRICT x, ptrdiff_t n) {
    for (ptrdiff_t k = 0; k < n; k += BLOCK) v16_store(out + k, v16_of(w16_load(x + k)));
}

/* ---------------------------------------------------------------- embedded objects */

static void join(float *RSK_RESTRICT out, const float *RSK_RESTRICT a, const float *RSK_RESTRICT b, ptrdiff_t n,
                 ptrdiff_t mask, float f, float g) {
    const v16 vf = v16_set1(f), vg = v16_set1(g);
    const ptrdiff_t far = mask & ~(ptrdiff_t)(BLOCK - 1);
    const lanes near = lanes_make((int)(mask & (BLOCK - 1)));
    for (ptrdiff_t k = 0; k < n; k += BLOCK)
        v16_store(out + k, v16_add(v16_mul(vf, v16_load(a + k)), v16_mul(vg, v16_lanes(v16_load(b + (k ^ far)), near))));
}

/* `wide` blocks of a tile at a time, whose rows stay in registers from tile to tile. */
static RSK_INLINE void spread_loop(float *RSK_RESTRICT out, ptrdiff_t d, const rsk_spread *shape, const float *const rows[2],
                                   const float counter[2], const int terms, const int wide) {
    const uint16_t *b0 = shape->bits[0], *b1 = shape->bits[1], *n0 = shape->counter_bits[0];
    const uint32_t *pairs = shape->counter_pairs;
    const float c0 = counter[0], c1 = counter[1], sums[4] = {c0 + c1, -c0 + c1, c0 - c1, -c0 - c1};
    const quad counters = quad_make(sums);
    const v16 c = v16_set1(c0);
    for (ptrdiff_t j = 0; j < shape->width; j += wide * BLOCK) {
        v16 h0[4], h1[4];
        RSK_UNROLL for (int i = 0; i < wide; i++) {
            h0[i] = v16_load(rows[0] + j + i * BLOCK);
            if (terms == 2) h1[i] = v16_load(rows[1] + j + i * BLOCK);
        }
        for (ptrdiff_t k = j; k < d; k += shape->width)
            RSK_UNROLL for (int i = 0; i < wide; i++) {
                const ptrdiff_t b = k / BLOCK + i;
                v16 x = v16_flip(h0[i], b0[b]);
                if (terms == 2) x = v16_add(v16_add(x, v16_flip(h1[i], b1[b])), v16_choose(counters, pairs[b]));
                else x = v16_add(x, v16_flip(c, n0[b]));
                v16_store(out + k + i * BLOCK, x);
            }
    }
}

static void spread(float *RSK_RESTRICT out, ptrdiff_t d, const rsk_spread *shape, const float *const rows[2],
                   const float counter[2]) {
    const int wide = shape->width >= 4 * BLOCK;
    if (shape->terms == 2 && wide) spread_loop(out, d, shape, rows, counter, 2, 4);
    else if (shape->terms == 2) spread_loop(out, d, shape, rows, counter, 2, 1);
    else if (wide) spread_loop(out, d, shape, rows, counter, 1, 4);
    else spread_loop(out, d, shape, rows, counter, 1, 1);
}

/* The same in doubles, and `extra` added; the counters' sums are the floats of the above. */
static RSK_INLINE void spread_wide_loop(double *RSK_RESTRICT out, ptrdiff_t d, const rsk_spread *shape,
                                        const double *const rows[2], const float counter[2], const float *RSK_RESTRICT extra,
                                        const int two, const int more) {
    const uint16_t *b0 = shape->bits[0], *b1 = shape->bits[1], *n0 = shape->counter_bits[0];
    const uint32_t *pairs = shape->counter_pairs;
    const double *h0 = rows[0], *h1 = rows[1];
    const float c0 = counter[0], c1 = counter[1], sums[4] = {c0 + c1, -c0 + c1, c0 - c1, -c0 - c1};
    const quad counters = quad_make(sums);
    const ptrdiff_t wrap = shape->width - 1;
    for (ptrdiff_t b = 0; b < d / BLOCK; b++) {
        const ptrdiff_t k = b * BLOCK, j = k & wrap;
        w16 x = w16_flip(w16_load(h0 + j), b0[b]);
        if (two) x = w16_add(x, w16_flip(w16_load(h1 + j), b1[b]));
        x = w16_add(x, w16_of(two ? v16_choose(counters, pairs[b]) : v16_flip(v16_set1(c0), n0[b])));
        if (more) x = w16_add(x, w16_of(v16_load(extra + k)));
        w16_store(out + k, x);
    }
}

static void spread_wide(double *RSK_RESTRICT out, ptrdiff_t d, const rsk_spread *shape, const double *const rows[2],
                        const float counter[2], const float *RSK_RESTRICT extra) {
    if (shape->terms == 2 && extra) spread_wide_loop(out, d, shape, rows, counter, extra, 1, 1);
    else if (shape->terms == 2) spread_wide_loop(out, d, shape, rows, counter, extra, 1, 0);
    else if (extra) spread_wide_loop(out, d, shape, rows, counter, extra, 0, 1);
    else spread_wide_loop(out, d, shape, rows, counter, extra, 0, 0);
}

/* Sums over at most GROUP tiles are made in registers, and added to the totals: rounding grows with the square roots of GROUP
 * and of the number of groups, not with the square root of their product. */
#define GROUP 64

static RSK_INLINE void collect_loop(const float *RSK_RESTRICT x, ptrdiff_t d, const rsk_spread *shape, float *const rows[2],
                                float counter[2], const int terms, const int wide) {
    const ptrdiff_t width = shape->width, tiles = d / width;
    v16 total0 = v16_set1(0.0f), total1 = total0;
    for (ptrdiff_t begin = 0; begin < tiles; begin += GROUP) {
        const ptrdiff_t end = begin + GROUP < tiles ? begin + GROUP : tiles;
        for (ptrdiff_t j = 0; j < width; j += wide * BLOCK) {
            v16 n0 = v16_set1(0.0f), n1 = n0, a0[4], a1[4];
            for (int i = 0; i < wide; i++) a0[i] = a1[i] = n0;
            for (ptrdiff_t tile = begin; tile < end; tile++)
                RSK_UNROLL for (int i = 0; i < wide; i++) {
                    const ptrdiff_t k = tile * width + j + i * BLOCK, b = k / BLOCK;
                    const v16 v = v16_load(x + k);
                    a0[i] = v16_add(a0[i], v16_flip(v, shape->bits[0][b]));
                    n0 = v16_add(n0, v16_flip(v, shape->counter_bits[0][b]));
                    if (terms == 2) {
                        a1[i] = v16_add(a1[i], v16_flip(v, shape->bits[1][b]));
                        n1 = v16_add(n1, v16_flip(v, shape->counter_bits[1][b]));
                    }
                }
            for (int i = 0; i < wide; i++) {
                put_f32(rows[0] + j + i * BLOCK, a0[i], begin > 0);
                if (terms == 2) put_f32(rows[1] + j + i * BLOCK, a1[i], begin > 0);
            }
            total0 = v16_add(total0, n0);
            total1 = v16_add(total1, n1);
        }
    }
    float lane[2][BLOCK];
    v16_store(lane[0], total0);
    v16_store(lane[1], total1);
    for (int t = 0; t < 2; t++) {
        for (int h = BLOCK / 2; h > 0; h /= 2)
            for (int i = 0; i < h; i++) lane[t][i] += lane[t][i + h];
        counter[t] = lane[t][0];
    }
}

static void collect(const float *x, ptrdiff_t d, const rsk_spread *shape, float *const rows[2], float counter[2]) {
    const int wide = shape->width >= 4 * BLOCK ? 4 : shape->width == 2 * BLOCK ? 2 : 1;
    if (shape->terms == 2) {
        if (wide == 4) collect_loop(x, d, shape, rows, counter, 2, 4);
        else if (wide == 2) collect_loop(x, d, shape, rows, counter, 2, 2);
        else collect_loop(x, d, shape, rows, counter, 2, 1);
    } else {
        if (wide == 4) collect_loop(x, d, shape, rows, counter, 1, 4);
        else if (wide == 2) collect_loop(x, d, shape, rows, counter, 1, 2);
        else collect_loop(x, d, shape, rows, counter, 1, 1);
    }
}

/* ---------------------------------------------------------------- sparse solvers, scans */

#include "columns.h"

/* What lies so many bytes on: short rows give the hardware no stream to follow. It may be behind the end, and is not read. */
#if defined(__GNUC__) || defined(__clang__)
#define RSK_PREFETCH_AT(p, bytes) __builtin_prefetch((const void *)((uintptr_t)(p) + (uintptr_t)(bytes)))
#else
#define RSK_PREFETCH_AT(p, bytes) ((void)0)
#endif

#define SCAN_TALL 4 /* rows, for one query alone; at least SCAN_ROWS */
#define SCAN_SUMS (SCAN_ROWS * SCAN_QUERIES > SCAN_TALL ? SCAN_ROWS * SCAN_QUERIES : SCAN_TALL)

#define SUFFIX f32
#define T float
#define LOAD v16_load
#include "scan.h"
#define SUFFIX f16
#define T uint16_t
#define LOAD v16_half
#include "scan.h"
#include "scan_bytes.h"
#define SUFFIX f32
#define T float
#define V v16
#define R r32
#define LANES R32_LANES
#include "table.h"
#define SUFFIX f64
#define T double
#define V w16
#define R r64
#define LANES R64_LANES
#include "table.h"

const rsk_kernels RSK_TABLE = {
    .name = RSK_LEVEL,
    .fwht_f32 = fwht_f32,
    .fwht_f64 = fwht_f64,
    .transform_f32 = transform_f32,
    .transform_f64 = transform_f64,
    .flip_f32 = flip_f32,
    .flip_f64 = flip_f64,
    .blend_f32 = blend_f32,
    .blend_f64 = blend_f64,
    .widen = widen,
    .narrow = narrow,
    .split_f32 = split_f32,
    .split_f64 = split_f64,
    .join = join,
    .rotate_f32 = rotate_f32,
    .rotate_f64 = rotate_f64,
    .rotate2_f32 = rotate2_f32,
    .rotate2_f64 = rotate2_f64,
    .spread = spread,
    .spread_wide = spread_wide,
    .collect = collect,
    .signs_dot = signs_dot,
    .signs_subtract = signs_subtract,
    .peak = peak,
    .dots = {dots_f32, dots_f16, dots_i8},
    .hash_f32 = hash_f32,
    .hash_f64 = hash_f64,
    .untable_f32 = untable_f32,
    .untable_f64 = untable_f64,
};
