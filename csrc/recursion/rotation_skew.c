/* R x[k] = sigma(k) x[k ^ mask] with sigma(k ^ mask) = -sigma(k): orthonormal and skew-symmetric, computed in one pass.
 *
 * T = c I + s R rotates every pair (k, k ^ mask) in its plane, so that T is orthonormal for every angle. */
#include "recursion/recursion.h"

#include <string.h>

/* Bit i of the answer is bit i ^ m of the word, m < 16. */
static uint16_t exchanged(uint32_t word, ptrdiff_t m) {
    if (m & 1) word = (word & 0x5555u) << 1 | (word >> 1 & 0x5555u);
    if (m & 2) word = (word & 0x3333u) << 2 | (word >> 2 & 0x3333u);
    if (m & 4) word = (word & 0x0f0fu) << 4 | (word >> 4 & 0x0f0fu);
    if (m & 8) word = (word & 0x00ffu) << 8 | word >> 8;
    return (uint16_t)word;
}

/* The bits k ^ mask for k in word w of a row of bits. */
static uint16_t partners(const uint16_t *bits, ptrdiff_t w, ptrdiff_t mask) { return exchanged(bits[w ^ mask >> 4], mask & 15); }

static ptrdiff_t mask(uint64_t seed, uint64_t stream, ptrdiff_t d, ptrdiff_t draw) {
    uint32_t word[4];
    rsk_stream_block(seed, stream, 2, draw, word);
    /* 1 + floor((d - 1) u / 2^64) of a 64-bit u. Both steps are exact, as d - 1 < 2^24. */
    const uint64_t n = (uint64_t)d - 1, low = (n * word[0]) >> 32, high = n * word[1];
    return 1 + (ptrdiff_t)((high + low) >> 32);
}

static rsk_status sample(uint64_t seed, uint64_t stream, ptrdiff_t d, rsk_rotation *r) {
    const rsk_status status = rsk_stream_signs(seed, stream, 0, d, r->bits[0]);
    if (status != RSK_OK) return status;
    /* of each pair (k, k ^ mask) the one in which mask's highest bit is set gets the other sign */
    const ptrdiff_t top = rsk_highest_bit(r->mask);
    uint16_t *bits = r->bits[0], second = 0xffff;
    for (int i = 0; top < RSK_LANES && i < RSK_LANES; i++)
        if (!(i & top)) second = (uint16_t)(second & ~(1u << i));
    for (ptrdiff_t w = 0; w < d / RSK_LANES; w++)
        if (top < RSK_LANES || w & top >> 4) bits[w] = (uint16_t)((bits[w] & ~second) | (~partners(bits, w, r->mask) & second));
    return RSK_OK;
}

static void turn_signs(const rsk_rotation *r, const uint16_t *signs, uint16_t *out, ptrdiff_t d) {
    for (ptrdiff_t w = 0; w < d / RSK_LANES; w++) out[w] = (uint16_t)(partners(signs, w, r->mask) ^ r->bits[0][w]);
}

static rsk_turn turn(const rsk_spec *spec, const rsk_rotation *r, double f, int transpose) {
    const rsk_turn t = {r->mask, r->bits[0], f * spec->cosine, transpose ? -(f * spec->sine) : f * spec->sine};
    return t;
}

static void apply(const rsk_spec *spec, const rsk_rotation *r, double f, int transpose, const float *x, float *out,
                  int accumulate, float *scratch) {
    const rsk_turn t = turn(spec, r, f, transpose);
    (void)scratch;
    rsk_kernels_current()->rotate_f32(out, x, spec->dim, &t, accumulate);
}

static void apply_wide(const rsk_spec *spec, const rsk_rotation *r, double f, const double *x, double *out, int accumulate,
                       double *scratch) {
    const rsk_turn t = turn(spec, r, f, 0);
    (void)scratch;
    rsk_kernels_current()->rotate_f64(out, x, spec->dim, &t, accumulate);
}

/* Whether rsk_kernels.rotate2 takes the two: above the 16 lanes of a block, their masks are neither 0 nor equal. */
static int mix_four_blocks(const rsk_turn *one, const rsk_turn *two) {
    const ptrdiff_t a = one->mask / RSK_LANES, b = two->mask / RSK_LANES;
    return a && b && a != b;
}

static void chain(const rsk_spec *spec, const rsk_rotation *first, const rsk_rotation *second, double f, int transpose,
                  const float *x, float *out, int accumulate, float *scratch) {
    const rsk_turn one = turn(spec, first, 1.0, transpose), two = turn(spec, second, f, transpose);
    const rsk_kernels *k = rsk_kernels_current();
    if (mix_four_blocks(&one, &two)) {
        k->rotate2_f32(out, x, spec->dim, &one, &two, accumulate);
    } else {
        k->rotate_f32(scratch, x, spec->dim, &one, 0);
        k->rotate_f32(out, scratch, spec->dim, &two, accumulate);
    }
}

static void chain_wide(const rsk_spec *spec, const rsk_rotation *first, const rsk_rotation *second, double f, const double *x,
                       double *out, int accumulate, double *scratch) {
    const rsk_turn one = turn(spec, first, 1.0, 0), two = turn(spec, second, f, 0);
    const rsk_kernels *k = rsk_kernels_current();
    if (mix_four_blocks(&one, &two)) {
        k->rotate2_f64(out, x, spec->dim, &one, &two, accumulate);
    } else {
        k->rotate_f64(scratch, x, spec->dim, &one, 0);
        k->rotate_f64(out, scratch, spec->dim, &two, accumulate);
    }
}

/* T_attr D2 tile(h) = cosine D2 tile(h) + sine D2' tile(h'), where h' is h with its indices exclusive-or the mask, and D2' are the
 * signs D2 with theirs likewise, times sigma. Only the last step passes over d elements. */
static void embed(const rsk_spec *spec, const rsk_module *m, double f, float counter, const double *x, float *out, float *work,
                 float *scratch) {
    const ptrdiff_t width = m->spread.width, mask = spec->attr.mask & (width - 1);
    float *const rows[2] = {work, work + width};
    const float c = (float)spec->cosine, s = (float)spec->sine, counters[2] = {c * counter, s * counter};
    float *narrow = scratch; /* it has 2 d elements, and width <= d */
    rsk_kernels_current()->narrow(narrow, x, width);
    rsk_kernels_current()->split_f32(rows[0], rows[1], narrow, width, mask, (float)(spec->cosine * f), (float)(spec->sine * f));
    rsk_kernels_current()->spread(out, spec->dim, &m->spread, (const float *const *)rows, counters);
}

static void embed_wide(const rsk_spec *spec, const rsk_module *m, double f, float counter, const double *x, const float *extra,
                      double *out, double *work, double *scratch) {
    const ptrdiff_t width = m->spread.width, mask = spec->attr.mask & (width - 1);
    double *const rows[2] = {work, work + width};
    const float c = (float)spec->cosine, s = (float)spec->sine, counters[2] = {c * counter, s * counter};
    (void)scratch;
    rsk_kernels_current()->split_f64(rows[0], rows[1], x, width, mask, spec->cosine * f, spec->sine * f);
    rsk_kernels_current()->spread_wide(out, spec->dim, &m->spread, (const double *const *)rows, counters, extra);
}

static void embed_adjoint(const rsk_spec *spec, const rsk_module *m, float f, float f_counter, const float *y, float *x,
                   float *counter, float *work, float *scratch) {
    const ptrdiff_t width = m->spread.width;
    float *const rows[2] = {work, work + width};
    const float c = (float)spec->cosine, s = (float)spec->sine;
    float counters[2];
    (void)scratch;
    rsk_kernels_current()->collect(y, spec->dim, &m->spread, rows, counters);
    rsk_kernels_current()->join(x, rows[0], rows[1], width, spec->attr.mask & (width - 1), c * f, s * f);
    *counter = f_counter * (c * counters[0] + s * counters[1]);
}

const rsk_family rsk_family_skew = {"skew", 1, 1, mask, sample, turn_signs, apply, apply_wide, chain, chain_wide, embed, embed_wide, embed_adjoint};
