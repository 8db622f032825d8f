/* The kernels, once, over blocks of 16 floats. An instruction set's file defines the block operations below, names its
 * table with RSK_TABLE and its level with RSK_LEVEL, and includes this file. Every operation is elementwise and every
 * reduction has one order, so all of them give the same bits (compiled with -ffp-contract=off).
 *
 *   v16                          16 floats
 *   v16_load v16_store v16_set1 v16_add v16_sub v16_mul
 *   v16_flip(x, uint16_t)        lanes whose bit is set change sign
 *   lanes, lanes_make(m)         the lane permutation i -> i ^ m, 0 <= m < 16
 *   v16_lanes(x, lanes)          out[i] = x[i ^ m]
 *   quad, quad_make(float[4]), v16_choose(quad, uint32_t w)   lane i is element w >> 2i & 3 of the four
 *   v16_hadamard(x)              Walsh-Hadamard transform of the 16 lanes, stages 1, 2, 4, 8
 *   w16                          16 doubles: load store set1 add sub mul hadamard
 *   w16_of(v16), v16_of(w16)     converted, rounded to nearest */

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

#define FWHT fwht_f32
#define T float
#define V v16
#include "fwht.h"
#define FWHT fwht_f64
#define T double
#define V w16
#include "fwht.h"

/* ---------------------------------------------------------------- signs and skew transparent operators */

static void flip(float *out, const float *x, ptrdiff_t n, const uint16_t *bits, float f) {
    const v16 vf = v16_set1(f);
    for (ptrdiff_t b = 0; b < n / BLOCK; b++)
        v16_store(out + b * BLOCK, v16_mul(vf, v16_flip(v16_load(x + b * BLOCK), bits[b])));
}

static void blend(float *out, const float *x, const float *RSK_RESTRICT y, ptrdiff_t n, const uint16_t *bits, float c, float s,
                  int accumulate) {
    const v16 vc = v16_set1(c), vs = v16_set1(s);
    for (ptrdiff_t b = 0; b < n / BLOCK; b++) {
        const ptrdiff_t k = b * BLOCK;
        v16 r = v16_add(v16_mul(vc, v16_load(x + k)), v16_mul(vs, v16_flip(v16_load(y + k), bits[b])));
        if (accumulate) r = v16_add(v16_load(out + k), r);
        v16_store(out + k, r);
    }
}

typedef struct turn {
    ptrdiff_t far; /* mask of the block, in elements */
    lanes near;
    const uint16_t *bits;
    v16 c, s;
} turn;

static RSK_INLINE turn turn_make(const rsk_turn *t) {
    const turn r = {t->mask & ~(ptrdiff_t)(BLOCK - 1), lanes_make((int)(t->mask & (BLOCK - 1))), t->bits,
                        v16_set1((float)t->c), v16_set1((float)t->s)};
    return r;
}

/* c x + s (±other), other being the block that the mask pairs with x */
static RSK_INLINE v16 turn_block(const turn *t, v16 x, v16 other, ptrdiff_t k) {
    return v16_add(v16_mul(t->c, x), v16_mul(t->s, v16_flip(v16_lanes(other, t->near), t->bits[k / BLOCK])));
}

static RSK_INLINE v16 turn_at(const turn *t, const float *x, ptrdiff_t k) {
    return turn_block(t, v16_load(x + k), v16_load(x + (k ^ t->far)), k);
}

static RSK_INLINE void put(float *out, v16 value, int accumulate) {
    v16_store(out, accumulate ? v16_add(v16_load(out), value) : value);
}

static RSK_INLINE void rotate_loop(float *RSK_RESTRICT out, const float *RSK_RESTRICT x, ptrdiff_t d, const rsk_turn *one,
                                   const int accumulate) {
    const turn t = turn_make(one);
    for (ptrdiff_t k = 0; k < d; k += BLOCK) put(out + k, turn_at(&t, x, k), accumulate);
}

static void rotate(float *RSK_RESTRICT out, const float *RSK_RESTRICT x, ptrdiff_t d, const rsk_turn *one, int accumulate) {
    if (accumulate) rotate_loop(out, x, d, one, 1);
    else rotate_loop(out, x, d, one, 0);
}

static RSK_INLINE ptrdiff_t highest_bit(ptrdiff_t x) {
    while (x & (x - 1)) x &= x - 1;
    return x;
}

/* The second operator mixes blocks k and k ^ far: both are made by the first in registers, in one pass. */
static RSK_INLINE void rotate2_loop(float *RSK_RESTRICT out, const float *RSK_RESTRICT x, ptrdiff_t d, const rsk_turn *one,
                                    const rsk_turn *two, const int accumulate) {
    const turn first = turn_make(one), second = turn_make(two);
    if (!second.far) {
        for (ptrdiff_t k = 0; k < d; k += BLOCK) {
            const v16 y = turn_at(&first, x, k);
            put(out + k, turn_block(&second, y, y, k), accumulate);
        }
        return;
    }
    const ptrdiff_t top = highest_bit(second.far); /* pairs are visited from the side where it is clear */
    for (ptrdiff_t base = 0; base < d; base += 2 * top)
        for (ptrdiff_t k = base; k < base + top; k += BLOCK) {
            const ptrdiff_t l = k ^ second.far;
            const v16 y = turn_at(&first, x, k), z = turn_at(&first, x, l);
            put(out + k, turn_block(&second, y, z, k), accumulate);
            put(out + l, turn_block(&second, z, y, l), accumulate);
        }
}

static void rotate2(float *RSK_RESTRICT out, const float *RSK_RESTRICT x, ptrdiff_t d, const rsk_turn *one,
                    const rsk_turn *two, int accumulate) {
    if (accumulate) rotate2_loop(out, x, d, one, two, 1);
    else rotate2_loop(out, x, d, one, two, 0);
}

/* The same into sums of doubles: the last operator is made in doubles too. */

typedef struct wide_turn {
    turn narrow;
    w16 c, s;
} wide_turn;

static RSK_INLINE wide_turn wide_turn_make(const rsk_turn *t) {
    const wide_turn r = {turn_make(t), w16_set1(t->c), w16_set1(t->s)};
    return r;
}

static RSK_INLINE w16 wide_turn_block(const wide_turn *t, v16 x, v16 other, ptrdiff_t k) {
    const v16 turned = v16_flip(v16_lanes(other, t->narrow.near), t->narrow.bits[k / BLOCK]);
    return w16_add(w16_mul(t->c, w16_of(x)), w16_mul(t->s, w16_of(turned)));
}

static RSK_INLINE void wide_put(double *out, w16 value, int accumulate) {
    w16_store(out, accumulate ? w16_add(w16_load(out), value) : value);
}

static void rotate_wide(double *RSK_RESTRICT out, const float *RSK_RESTRICT x, ptrdiff_t d, const rsk_turn *one,
                        int accumulate) {
    const wide_turn t = wide_turn_make(one);
    for (ptrdiff_t k = 0; k < d; k += BLOCK)
        wide_put(out + k, wide_turn_block(&t, v16_load(x + k), v16_load(x + (k ^ t.narrow.far)), k), accumulate);
}

static RSK_INLINE void rotate2_wide_loop(double *RSK_RESTRICT out, const float *RSK_RESTRICT x, ptrdiff_t d,
                                         const rsk_turn *one, const rsk_turn *two, const int accumulate) {
    const turn first = turn_make(one);
    const wide_turn second = wide_turn_make(two);
    const ptrdiff_t far = second.narrow.far, top = highest_bit(far);
    if (!far) {
        for (ptrdiff_t k = 0; k < d; k += BLOCK) {
            const v16 y = turn_at(&first, x, k);
            wide_put(out + k, wide_turn_block(&second, y, y, k), accumulate);
        }
        return;
    }
    for (ptrdiff_t base = 0; base < d; base += 2 * top)
        for (ptrdiff_t k = base; k < base + top; k += BLOCK) {
            const ptrdiff_t l = k ^ far;
            const v16 y = turn_at(&first, x, k), z = turn_at(&first, x, l);
            wide_put(out + k, wide_turn_block(&second, y, z, k), accumulate);
            wide_put(out + l, wide_turn_block(&second, z, y, l), accumulate);
        }
}

static void rotate2_wide(double *RSK_RESTRICT out, const float *RSK_RESTRICT x, ptrdiff_t d, const rsk_turn *one,
                         const rsk_turn *two, int accumulate) {
    if (accumulate) rotate2_wide_loop(out, x, d, one, two, 1);
    else rotate2_wide_loop(out, x, d, one, two, 0);
}

static void blend_wide(double *out, const float *x, const float *y, ptrdiff_t n, const uint16_t *bits, double c, double s,
                       int accumulate) {
    const w16 vc = w16_set1(c), vs = w16_set1(s);
    for (ptrdiff_t k = 0; k < n; k += BLOCK) {
        const w16 turned = w16_of(v16_flip(v16_load(y + k), bits[k / BLOCK]));
        wide_put(out + k, w16_add(w16_mul(vc, w16_of(v16_load(x + k))), w16_mul(vs, turned)), accumulate);
    }
}

static void narrow(float *RSK_RESTRICT out, const double *RSK_RESTRICT x, ptrdiff_t n) {
    for (ptrdiff_t k = 0; k < n; k += BLOCK) v16_store(out + k, v16_of(w16_load(x + k)));
}

/* ---------------------------------------------------------------- embedded objects */

static void split(float *RSK_RESTRICT a, float *RSK_RESTRICT b, const float *RSK_RESTRICT x, ptrdiff_t n, ptrdiff_t mask,
                  float f, float g) {
    const v16 vf = v16_set1(f), vg = v16_set1(g);
    const ptrdiff_t far = mask & ~(ptrdiff_t)(BLOCK - 1);
    const lanes near = lanes_make((int)(mask & (BLOCK - 1)));
    for (ptrdiff_t k = 0; k < n; k += BLOCK) {
        v16_store(a + k, v16_mul(vf, v16_load(x + k)));
        v16_store(b + k, v16_mul(vg, v16_lanes(v16_load(x + (k ^ far)), near)));
    }
}

static void join(float *RSK_RESTRICT out, const float *RSK_RESTRICT a, const float *RSK_RESTRICT b, ptrdiff_t n,
                 ptrdiff_t mask, float f, float g) {
    const v16 vf = v16_set1(f), vg = v16_set1(g);
    const ptrdiff_t far = mask & ~(ptrdiff_t)(BLOCK - 1);
    const lanes near = lanes_make((int)(mask & (BLOCK - 1)));
    for (ptrdiff_t k = 0; k < n; k += BLOCK)
        v16_store(out + k, v16_add(v16_mul(vf, v16_load(a + k)), v16_mul(vg, v16_lanes(v16_load(b + (k ^ far)), near))));
}

static void spread(float *RSK_RESTRICT out, ptrdiff_t d, const rsk_spread *shape, const float *const rows[2],
                   const float counter[2]) {
    const uint16_t *b0 = shape->bits[0], *b1 = shape->bits[1], *n0 = shape->counter_bits[0];
    const uint32_t *pairs = shape->counter_pairs;
    const float *h0 = rows[0], *h1 = rows[1], c0 = counter[0], c1 = counter[1];
    const ptrdiff_t wrap = shape->width - 1;
    if (shape->terms == 1) {
        const v16 c = v16_set1(c0);
        for (ptrdiff_t b = 0; b < d / BLOCK; b++) {
            const ptrdiff_t k = b * BLOCK;
            v16_store(out + k, v16_add(v16_flip(v16_load(h0 + (k & wrap)), b0[b]), v16_flip(c, n0[b])));
        }
        return;
    }
    const float sums[4] = {c0 + c1, -c0 + c1, c0 - c1, -c0 - c1};
    const quad counters = quad_make(sums);
    for (ptrdiff_t b = 0; b < d / BLOCK; b++) {
        const ptrdiff_t k = b * BLOCK, j = k & wrap;
        const v16 x = v16_add(v16_flip(v16_load(h0 + j), b0[b]), v16_flip(v16_load(h1 + j), b1[b]));
        v16_store(out + k, v16_add(x, v16_choose(counters, pairs[b])));
    }
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
                put(rows[0] + j + i * BLOCK, a0[i], begin > 0);
                if (terms == 2) put(rows[1] + j + i * BLOCK, a1[i], begin > 0);
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

const rsk_kernels RSK_TABLE = {
    .name = RSK_LEVEL,
    .fwht_f32 = fwht_f32,
    .fwht_f64 = fwht_f64,
    .flip = flip,
    .blend = blend,
    .blend_wide = blend_wide,
    .narrow = narrow,
    .split = split,
    .join = join,
    .rotate = rotate,
    .rotate_wide = rotate_wide,
    .rotate2 = rotate2,
    .rotate2_wide = rotate2_wide,
    .spread = spread,
    .collect = collect,
};
