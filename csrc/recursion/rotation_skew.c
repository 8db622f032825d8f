/* R x[k] = sigma(k) x[k ^ mask] with sigma(k ^ mask) = -sigma(k), a mask in either half of the coordinates: orthonormal and
 * skew-symmetric, computed in one pass.
 *
 * T = c I + s R rotates every pair (k, k ^ mask) in its plane, so that T is orthonormal for every angle. It is computed as
 * c (I + t R), t = s / c, or where t is large as s (t I + R), t = c / s: a fused multiply-add a coordinate, and one factor for a row of
 * operators. */
#include "recursion/recursion.h"

/* Bit i of the answer is bit i ^ m of the word, m < 16. */
static uint16_t exchanged(uint32_t word, ptrdiff_t m) {
    if (m & 1) word = (word & 0x5555u) << 1 | (word >> 1 & 0x5555u);
    if (m & 2) word = (word & 0x3333u) << 2 | (word >> 2 & 0x3333u);
    if (m & 4) word = (word & 0x0f0fu) << 4 | (word >> 4 & 0x0f0fu);
    if (m & 8) word = (word & 0x00ffu) << 8 | word >> 8;
    return (uint16_t)word;
}

uint16_t rsk_partners(const uint16_t *bits, ptrdiff_t word, ptrdiff_t mask) { return exchanged(bits[word ^ mask >> 4], mask & 15); }

static ptrdiff_t mask(uint64_t seed, uint64_t stream, ptrdiff_t d, int half, ptrdiff_t draw) {
    uint32_t word[4];
    rsk_stream_block(seed, stream, 2, draw, word);
    /* 1 + floor((d / 2 - 1) u / 2^64) of a 64-bit u. Both steps are exact, as d / 2 - 1 < 2^23. */
    const uint64_t n = (uint64_t)d / 2 - 1, low = (n * word[2 * half]) >> 32, high = n * word[2 * half + 1];
    return 1 + (ptrdiff_t)((high + low) >> 32);
}

static rsk_status sample(const rsk_spec *spec, uint64_t seed, uint64_t stream, rsk_rotation *r) {
    const ptrdiff_t words = spec->dim / RSK_LANES;
    const rsk_status status = rsk_stream_signs(seed, stream, 0, spec->dim, r->bits[0]);
    if (status != RSK_OK) return status;
    /* of each pair (k, k ^ mask) the one in which mask's highest bit is set gets the other sign */
    uint16_t *bits = r->bits[0];
    for (int half = 0; half < 2; half++) {
        const ptrdiff_t m = r->turn.mask[half], top = rsk_highest_bit(m);
        uint16_t second = 0xffff;
        for (int i = 0; top < RSK_LANES && i < RSK_LANES; i++)
            if (!(i & top)) second = (uint16_t)(second & ~(1u << i));
        for (ptrdiff_t w = half * words / 2; w < (half + 1) * words / 2; w++)
            if (top < RSK_LANES || w & top >> 4) bits[w] = (uint16_t)((bits[w] & ~second) | (~rsk_partners(bits, w, m) & second));
    }
    r->turn.bits = bits;
    r->turn.steep = spec->unit != spec->cosine;
    r->turn.t = (double)(float)((r->turn.steep ? spec->cosine : spec->sine) / spec->unit); /* the same for floats and for doubles */
    return RSK_OK;
}

/* ---------------------------------------------------------------- rows of operators */

/* A steep one transposed is t I - R = -(-t I + R). */
static double turn_round(const rsk_spec *spec, rsk_turn *turn, int count) {
    for (int i = 0; i < count; i++) turn[i].t = -turn[i].t;
    return turn->steep && count % 2 ? -rsk_power(spec->unit, count) : rsk_power(spec->unit, count);
}

static void apply(const rsk_spec *spec, const rsk_rotation *const *rotation, int count, double f, int transpose, const float *x,
                  float *out, int accumulate, float *scratch) {
    const rsk_kernels *k = rsk_kernels_current();
    rsk_turn turn[RSK_ROW_OF];
    for (int i = 0; i < count; i++) turn[i] = rotation[transpose ? count - 1 - i : i]->turn;
    f *= transpose ? turn_round(spec, turn, count) : rsk_power(spec->unit, count);
    k->turn_f32(out, x, spec->dim, turn, count, (float)f, accumulate, scratch);
}

static void leaf_adjoint(const rsk_spec *spec, ptrdiff_t module, ptrdiff_t position, float f, float f_counter, const float *y, float *h,
                         float *counter, float *work) {
    const rsk_module *m = &spec->module[module];
    if (!m->direct) {
        rsk_leaf_adjoint_spread(spec, module, position, f, f_counter, y, h, counter, work);
        return;
    }
    const rsk_kernels *k = rsk_kernels_current();
    const int placed = rsk_is_placed(spec, position);
    const ptrdiff_t n = m->padded;
    float *sums = work, both[2];
    k->leaf_sums(y, spec->dim, n, rsk_index(spec, module, position, (uint32_t *)(void *)(work + spec->dim)), sums, counter ? both : NULL);
    const double t2 = spec->stretch2;
    const double c = placed ? t2 * spec->cosine : t2, s = placed ? t2 * spec->sine : 0.0;
    ptrdiff_t partner[2];
    rsk_run_partners(spec, position, n, partner);
    k->leaf_join(h, sums, n, (float)(c * (double)f), (float)(s * (double)f), partner);
    if (counter) *counter = f_counter * ((float)c * both[0] + (float)s * both[1]);
}

const rsk_family rsk_family_skew = {"skew", 1, 1, 1, (int)sizeof(int32_t), mask, sample, apply, rsk_forward_whole, leaf_adjoint};
