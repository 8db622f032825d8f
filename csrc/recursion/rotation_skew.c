/* R x[k] = sigma(k) x[k ^ mask] with sigma(k ^ mask) = -sigma(k), a mask in either half of the coordinates: orthonormal and
 * skew-symmetric, computed in one pass.
 *
 * T = c I + s R rotates every pair (k, k ^ mask) in its plane, so that T is orthonormal for every angle. It is computed as
 * c (I + t R), t = s / c, or where t is large as s (t I + R), t = c / s: a fused multiply-add a coordinate, and one factor for a row of
 * operators. */
#include "recursion/recursion.h"

#include <math.h>

/* Bit i of the answer is bit i ^ m of the word, m < 16. */
static uint16_t exchanged(uint32_t word, ptrdiff_t m) {
    if (m & 1) word = (word & 0x5555u) << 1 | (word >> 1 & 0x5555u);
    if (m & 2) word = (word & 0x3333u) << 2 | (word >> 2 & 0x3333u);
    if (m & 4) word = (word & 0x0f0fu) << 4 | (word >> 4 & 0x0f0fu);
    if (m & 8) word = (word & 0x00ffu) << 8 | word >> 8;
    return (uint16_t)word;
}

uint16_t rsk_partners(const uint16_t *bits, ptrdiff_t word, ptrdiff_t mask) { return exchanged(bits[word ^ mask >> 4], mask & 15); }

/* ---------------------------------------------------------------- masks */

enum { NEAR = RSK_NEAR, NEAREST = 4 }; /* positions whose masks other operators keep clear of */

/* Masks that an operator must not have: where the masks of operators in a row cancel, their product has few distinct
 * eigenvalues, and chains of one module cannot be read. Measured condition numbers of chains of 24 and 32 objects at d = 1,024: 7 and
 * 15 where all masks are free, 15 and 80 where that of T_0 is one of T_in's, 600 and 5e4 where all four cancel; at d = 64 the second
 * is singular, too (docs/method.md, "Chains of one module"). */
typedef struct taken {
    ptrdiff_t count, mask[3 + 2 * NEAR + 2 * NEAREST];
} taken;

static int is_taken(const taken *not, ptrdiff_t mask) {
    for (ptrdiff_t i = 0; i < not->count; i++)
        if (not->mask[i] == mask) return 1;
    return 0;
}

/* Draw number `draw` of a mask in a half of the coordinates. */
static ptrdiff_t drawn(const rsk_spec_params *p, uint64_t stream, int half, ptrdiff_t draw) {
    uint32_t word[4];
    rsk_stream_block(p->seed, stream, 2, draw, word);
    return 1 + rsk_below((p->dim / 2 - 1), word + 2 * half);
}

/* The first draw that is not taken. */
static ptrdiff_t free_mask(const rsk_spec_params *p, uint64_t stream, int half, const taken *not) {
    for (ptrdiff_t draw = 0;; draw++) {
        const ptrdiff_t mask = drawn(p, stream, half, draw);
        if (!is_taken(not, mask)) return mask;
    }
}

/* Those of the first positions, n at most, exclusive-or `with`, after the ones that are there. */
static void take_positions(const rsk_spec_params *p, int half, ptrdiff_t n, ptrdiff_t with, taken *not) {
    for (ptrdiff_t i = 0; i < n && i < p->dim / 16; i++) not->mask[not->count++] = drawn(p, p->positions[i], half, 0) ^ with;
}

/* T_in,0 keeps clear of positions, T_in,1 and T_M of what would cancel with the others. */
static void masks(rsk_spec *spec, const rsk_spec_params *p) {
    for (int half = 0; half < 2; half++) {
        taken not = {0};
        spec->attr.turn.mask[half] = drawn(p, p->branch_attr, half, 0);
        for (ptrdiff_t i = 0; i < p->max_inputs; i++) spec->positions[i].turn.mask[half] = drawn(p, p->positions[i], half, 0);
        take_positions(p, half, NEAR, 0, &not);
        const ptrdiff_t a = spec->in[0].turn.mask[half] = free_mask(p, p->branch_in[0], half, &not);
        not.mask[not.count++] = a;
        take_positions(p, half, NEAR, a, &not);
        const ptrdiff_t b = spec->in[1].turn.mask[half] = free_mask(p, p->branch_in[1], half, &not);
        not = (taken){3, {a, b, a ^ b}}; /* at most 19 of the 31 that the shortest sketches have */
        take_positions(p, half, NEAR, 0, &not);
        take_positions(p, half, NEAR, a ^ b, &not);
        take_positions(p, half, NEAREST, a, &not);
        take_positions(p, half, NEAREST, b, &not);
        for (ptrdiff_t i = 0; i < p->modules; i++) spec->module[i].rotation.turn.mask[half] = free_mask(p, p->operators[i], half, &not);
    }
}

/* ---------------------------------------------------------------- signs */

void rsk_set_turn(const rsk_spec *spec, rsk_rotation *r) {
    r->turn.bits = r->bits[0];
    r->turn.steep = spec->unit != spec->cosine;
    r->turn.t = (double)(float)((r->turn.steep ? spec->cosine : spec->sine) / spec->unit); /* the same for floats and for doubles */
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
    rsk_set_turn(spec, r);
    return RSK_OK;
}

/* ---------------------------------------------------------------- rows of operators */

/* A steep one transposed is t I - R = -(-t I + R). */
static double turn_round(const rsk_spec *spec, rsk_turn *turn, int count) {
    for (int i = 0; i < count; i++) turn[i].t = -turn[i].t;
    return turn->steep && count % 2 ? -rsk_power(spec->unit, count) : rsk_power(spec->unit, count);
}

void rsk_apply_turns(const rsk_spec *spec, const rsk_rotation *const *rotation, int count, double f, int transpose, const float *x,
                     float *out, int accumulate, float *scratch) {
    const rsk_kernels *k = rsk_kernels_current();
    rsk_turn turn[RSK_ROW_OF];
    for (int i = 0; i < count; i++) turn[i] = rotation[transpose ? count - 1 - i : i]->turn;
    f *= transpose ? turn_round(spec, turn, count) : rsk_power(spec->unit, count);
    k->turn_f32(out, x, spec->dim, turn, count, (float)f, accumulate, scratch);
}

static void leaf_adjoint(const rsk_spec *spec, ptrdiff_t module, ptrdiff_t position, double f, const float *y, float *x, float *counter,
                         float *h, float *work) {
    const rsk_module *m = &spec->module[module];
    if (!m->direct) {
        rsk_leaf_adjoint_spread(spec, module, position, f, y, x, counter, h, work);
        return;
    }
    const rsk_kernels *k = rsk_kernels_current();
    const int placed = rsk_is_placed(spec, position);
    const ptrdiff_t n = m->padded;
    float *sums = work, both[2];
    k->leaf_sums(y, spec->dim, n, rsk_index(spec, module, position, (uint32_t *)(void *)(work + spec->dim)), sums, counter ? both : NULL);
    const double t2 = spec->stretch2, scale = (double)(float)(f * rsk_embed_norm(spec, m));
    const double c = placed ? t2 * spec->cosine : t2, s = placed ? t2 * spec->sine : 0.0;
    ptrdiff_t partner[2];
    rsk_run_partners(spec, position, n, partner);
    k->leaf_join(h, sums, n, (float)(c * scale), (float)(s * scale), partner);
    if (counter) *counter = (float)(f / sqrt((double)spec->dim)) * ((float)c * both[0] + (float)s * both[1]);
    rsk_embed_end(spec, m, h, x);
}

const rsk_family rsk_family_skew = {"skew", 1, 1, 1, (int)sizeof(int32_t), 0, &rsk_embedding_runs, NULL, masks, sample, rsk_apply_turns,
                                    rsk_forward_whole, leaf_adjoint};
