/* The kernels, written once over blocks of 16 floats. An instruction set's file defines the block operations below, names its
 * table with RSK_TABLE and its level with RSK_LEVEL, the header of its table look-up with RSK_LOOKUP, and includes this file. Every
 * operation is elementwise and every reduction has one order, so that all of them give the same bits (compiled with -ffp-contract=off,
 * so that products and sums are fused where this says so, and nowhere else).
 *
 *   v16                          16 floats
 *   v16_load v16_store v16_set1 v16_add v16_mul
 *   v16_fma(a, b, c)             a b + c, rounded once
 *   v16_flip(x, uint16_t)        lanes whose bit is set change sign
 *   v16_abs v16_max              of no NaN
 *   v16_sum(x)                   the lanes folded by halves: i + (i + 8), then i + (i + 4), ...
 *   v16_sum4(float *, v16[4])    v16_sum of each of the four; written below unless RSK_OWN_SUM4 is defined
 *   v16_sums(v16[16]), v16_half_sums(v16[8])  lane i is v16_sum of register i; lanes 2 i and 2 i + 1 are the sums of its halves; written
 *                                below unless RSK_OWN_SUMS is defined
 *   v16_by(x, const uint32_t[16], at)  lanes change sign where bit `at`, a constant, of their word is set
 *   v16_half(const uint16_t *)   16 IEEE halves, converted exactly
 *   v16_to_half(uint16_t *, x)   the halves nearest to numbers of less than 65,520, ties to even
 *   v16_bfloat(const uint16_t *) 16 upper halves of floats, the lower ones zero
 *   w16                          16 doubles, with load store set1 add sub mul flip of these
 *   v16_narrow(w16)              converted, rounded to nearest
 *   w16_sum(w16)                 the lanes folded by halves
 *   w16_larger(most, x), w16_most(x)  max(most, |x|) and the largest lane; no NaN
 *   n16                          16 int32: n16_rounded(w16), n16_lanes(x, m): i -> i ^ m
 *   n16_store_tables(int32_t *, n16 x, n16 y)  for every lane x + y, -x + y, x - y and -x - y, modulo 2^32: those of lane i from the
 *                                number table_at(i) on, which is where run i of more than 16 lies as well, and
 *                                table_at(i | j) = table_at(i) + table_at(j) where no bit is in both
 *   bytes, bytes_load(const int8_t *)    32 int8
 *   i16, i16_zero()              16 int32; the instruction set decides which lane holds what
 *   i16_dot(i16, bytes, const int16_t *)  the 32 products with 32 int16 added, two a lane; i16_sum(i16) all lanes, as int64
 *   SCAN_ROWS, SCAN_QUERIES      the tile of inner products whose sums fit the registers
 *
 * Elementwise kernels need no blocks, only registers. k is a multiple of a register's lanes:
 *
 *   r32, R32_LANES               a register of floats, a power of two up to 16 of them
 *   R32_RADIX                    how many of them a transform takes at once: a power of two up to 16, half of those that exist
 *   r32_load r32_store r32_set1 r32_add r32_sub r32_mul
 *   r32_flip_word(x, uint16_t word, from)  lane i changes sign where bit from + i of the 16 is set; from a multiple of R32_LANES
 *   r32_either, r32_either_of(x) x and -x, where having both helps to choose between them
 *   lanes, lanes_make(m, crossing)  the lane permutation i -> i ^ m, 0 <= m < 16; r32_lanes(x, lanes) uses the bits of m below R32_LANES
 *   R32_HALF                     the bit of m that moves lanes to the other half of a register, where that takes another instruction;
 *                                or 0. crossing says whether m has this bit, preferably as a constant
 *   r32_pick(either, const uint16_t *bits, k, lanes)  lane i is -x where bit k + (i ^ m) is set, 16 bits a word
 *   r32_signed                   as r32_pick; four bytes in front of the row of bits may be read
 *   r32_fma(a, b, c) r32_fnma(a, b, c)  c + a b and c - a b, rounded once
 *   r32_of_ints(const int32_t *) converted; exactly to doubles
 *   r32_add_ints(int32_t *out, x, ints most)  adds x, rounded to nearest, to R32_LANES integers; returns the larger of `most` and their
 *                                magnitudes, lane for lane; ints_zero() and ints_most(ints) begin and end that
 *   r64_of(const float *), r64_of_bytes(const int8_t *)  R64_LANES of these, converted
 *   r32_stage(x, h)              stage h < R32_LANES of the transform: x[i] + x[i + h] and x[i] - x[i + h] of lanes whose bit h
 *                                is clear. h is a constant
 *   r32_transpose(r32[])         R32_LANES registers: lane j of register i becomes lane i of register j
 *   r64 ...                      the same of doubles; r64_choose converts from four floats */

#include <string.h>

#define BLOCK RSK_LANES

#if defined(_MSC_VER)
#define RSK_INLINE __forceinline
#define RSK_UNROLL
#elif defined(RSK_SMALL) /* where a block is no register, unrolling only makes the code large */
#define RSK_INLINE inline
#define RSK_UNROLL
#elif defined(__clang__)
#define RSK_INLINE inline __attribute__((always_inline))
#define RSK_UNROLL _Pragma("clang loop unroll(full)")
#else
#define RSK_INLINE inline __attribute__((always_inline))
#define RSK_UNROLL _Pragma("GCC unroll 16")
#endif

/* Brings what lies so many bytes on into the cache: the hardware follows no stream from one short row to the next. That may be behind
 * the end of an array, as nothing is read. */
#if defined(__GNUC__) || defined(__clang__)
#define RSK_PREFETCH_AT(p, bytes) __builtin_prefetch((const void *)((uintptr_t)(p) + (uintptr_t)(bytes)))
#else
#define RSK_PREFETCH_AT(p, bytes) ((void)0)
#endif

#define RSK_JOIN_(a, b) a##_##b
#define RSK_JOIN(a, b) RSK_JOIN_(a, b)

enum { UP = 1, DOWN = 2 };                   /* the order of a transform's stages */
enum { SET, SCALED, ADDED, ROUNDED }; /* what a pass of operators does with what it has */

#if !defined(RSK_OWN_SUM4)
static inline void v16_sum4(float *out, const v16 x[4]) {
    for (int i = 0; i < 4; i++) out[i] = v16_sum(x[i]);
}
#endif
#if !defined(RSK_OWN_SUMS)
static inline v16 v16_sums(const v16 s[16]) {
    float sum[16];
    for (int i = 0; i < 16; i++) sum[i] = v16_sum(s[i]);
    return v16_load(sum);
}
static inline v16 v16_half_sums(const v16 s[8]) {
    float sum[16];
    for (int i = 0; i < 8; i++) {
        float lane[16];
        v16_store(lane, s[i]);
        for (int h = 4; h > 0; h /= 2)
            for (int k = 0; k < h; k++) lane[k] += lane[k + h], lane[8 + k] += lane[8 + k + h];
        sum[2 * i] = lane[0], sum[2 * i + 1] = lane[8];
    }
    return v16_load(sum);
}
#endif

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

/* ---------------------------------------------------------------- signs, embedded objects, skew transparent operators */

#define SUFFIX f32
#define T float
#define R r32
#define LANES R32_LANES
#include "operators.h"
#define SUFFIX f64
#define T double
#define R r64
#define LANES R64_LANES
#include "operators.h"

/* Whether one pass over a half takes the two operators: they are not steep, and above the lanes of a block their masks are not 0 or
 * equal. */
static inline int turns_mix(const rsk_turn *one, const rsk_turn *two, int half) {
    const ptrdiff_t a = one->mask[half] / BLOCK, b = two->mask[half] / BLOCK;
    return !one->steep && a && b && a != b;
}

#define SUFFIX f32
#define T float
#define R r32
#define LANES R32_LANES
#define HALF R32_HALF
#include "turns.h"
#define SUFFIX f64
#define T double
#define R r64
#define LANES R64_LANES
#define HALF R64_HALF
#include "turns.h"

static void turn_f32(float *out, const float *x, ptrdiff_t d, const rsk_turn *turns, int count, float f, int accumulate, float *work) {
    for (int c = 0; c < 2; c++) {
        ends_f32 e = {.x = x + c * (d / 2), .out = out + c * (d / 2), .f = RSK_JOIN(r32, set1)(f)};
        if (accumulate) row_half_f32(&e, d, c, turns, count, work, ADDED);
        else row_half_f32(&e, d, c, turns, count, work, SCALED);
    }
}

static void narrow(float *RSK_RESTRICT out, const double *RSK_RESTRICT x, ptrdiff_t n) {
    for (ptrdiff_t k = 0; k < n; k += BLOCK) v16_store(out + k, v16_narrow(w16_load(x + k)));
}

#define REG(name) RSK_JOIN(r32, name)

static void spread(float *RSK_RESTRICT out, ptrdiff_t d, const rsk_spread *shape, const float *row, float counter) {
    spread_loop_f32(out, d, shape, row, counter);
}

static void spread_wide(double *RSK_RESTRICT out, ptrdiff_t d, const rsk_spread *shape, const double *row, float counter) {
    spread_loop_f64(out, d, shape, row, counter);
}

/* Sums over at most GROUP tiles are made in registers, and then added to the totals. Rounding grows with the square roots of GROUP and
 * of the number of groups, not with the square root of their product. */
#define GROUP 64

static RSK_INLINE void collect_loop(const float *RSK_RESTRICT x, ptrdiff_t d, const rsk_spread *shape, float *row, float *counter,
                                    const int wide) {
    const ptrdiff_t width = shape->width, tiles = d / width;
    const lanes straight = lanes_make(0, 0);
    float lane[BLOCK] = {0};
    for (ptrdiff_t begin = 0; begin < tiles; begin += GROUP) {
        const ptrdiff_t end = begin + GROUP < tiles ? begin + GROUP : tiles;
        for (ptrdiff_t j = 0; j < width; j += wide * BLOCK)
            for (int part = 0; part < BLOCK; part += R32_LANES) {
                r32 n = REG(set1)(0.0f), a[4];
                for (int i = 0; i < wide; i++) a[i] = n;
                for (ptrdiff_t tile = begin; tile < end; tile++)
                    RSK_UNROLL for (int i = 0; i < wide; i++) {
                        const ptrdiff_t k = tile * width + j + part + i * BLOCK;
                        const REG(either) v = REG(either_of)(REG(load)(x + k));
                        a[i] = REG(add)(a[i], REG(pick)(v, shape->bits, k, straight));
                        n = REG(add)(n, REG(pick)(v, shape->counter_bits, k, straight));
                    }
                for (int i = 0; i < wide; i++) put_f32(row + j + part + i * BLOCK, a[i], begin > 0);
                put_f32(lane + part, n, 1);
            }
    }
    *counter = v16_sum(v16_load(lane));
}

static void collect(const float *x, ptrdiff_t d, const rsk_spread *shape, float *row, float *counter) {
    if (shape->width >= 4 * BLOCK) collect_loop(x, d, shape, row, counter, 4);
    else if (shape->width == 2 * BLOCK) collect_loop(x, d, shape, row, counter, 2);
    else collect_loop(x, d, shape, row, counter, 1);
}

#undef REG

/* ---------------------------------------------------------------- leaves, sparse solvers, scans */

#include "columns.h"
#include "halves.h"
#include "encode.h"
#include "leaves.h"
#include RSK_LOOKUP

#define SCAN_NEAR 24576 /* bytes of queries that a tile of rows meets while it is in L1 */
#define SCAN_TALL 4 /* rows at once for a single query; at least SCAN_ROWS */
#define SCAN_SUMS (SCAN_ROWS * SCAN_QUERIES > SCAN_TALL ? SCAN_ROWS * SCAN_QUERIES : SCAN_TALL)

#define SUFFIX f32
#define T float
#define LOAD v16_load
#include "scan.h"
#define SUFFIX f16
#define T uint16_t
#define LOAD v16_half
#include "scan.h"
#define SUFFIX bf16
#define T uint16_t
#define LOAD v16_bfloat
#include "scan.h"
#include "scan_bytes.h"
#define SUFFIX f32
#define T float
#define V v16
#define R r32
#define LANES R32_LANES
#include "hashing.h"
#define SUFFIX f64
#define T double
#define V w16
#define R r64
#define LANES R64_LANES
#include "hashing.h"

#define FWHT fwht_f32
#define SUFFIX f32
#define T float
#define R r32
#define LANES R32_LANES
#define RADIX R32_RADIX
#include "tensor.h"
#define FWHT fwht_f64
#define SUFFIX f64
#define T double
#define R r64
#define LANES R64_LANES
#define RADIX R64_RADIX
#include "tensor.h"

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
    .narrow = narrow,
    .turn_f32 = turn_f32,
    .row_f32 = row_f32,
    .row_f64 = row_f64,
    .leaves = leaves,
    .leaf_tables = leaf_tables,
    .leaf_sums = leaf_sums,
    .leaf_join = leaf_join,
    .encode = encode,
    .embed = embed,
    .largest = largest,
    .lower = lower,
    .settle = settle,
    .repeat = repeat,
    .gather = gather,
    .spread = spread,
    .spread_wide = spread_wide,
    .collect = collect,
    .add_fixed = add_fixed,
    .moments = moments,
    .halve = halve,
    .within_f32 = within_f32,
    .within_f64 = within_f64,
    .dot = dot,
    .subtract = subtract,
    .signs_dot = signs_dot,
    .signs_subtract = signs_subtract,
    .peak = peak,
    .unpack = {unpack_f32, unpack_f16, NULL, unpack_bf16},
    .dots = {dots_f32, dots_f16, dots_i8, dots_bf16},
    .dot_bytes = dot_bytes,
    .hash_f32 = hash_f32,
    .hash_f64 = hash_f64,
    .untable_f32 = untable_f32,
    .untable_f64 = untable_f64,
    .tensor_f32 = tensor_f32,
    .tensor_f64 = tensor_f64,
};
