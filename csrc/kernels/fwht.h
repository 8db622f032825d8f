/* Walsh-Hadamard transforms with signs and a scale, over registers; included once for float (R = r32) and once for double
 * (R = r64). LANES elements a register, RADIX registers at once.
 *
 * A transform of n elements is a base and passes. The base does log2(LANES RADIX) stages: those below LANES inside a register, the
 * others among RADIX adjacent registers, a group. A pass does log2(RADIX) stages among registers that lie a stride apart. The
 * transform is recursive: it finishes its blocks first and joins them by a pass. A leaf, RADIX groups, needs one pass; a part, of
 * 16 KiB, at most two, and stays in L1 meanwhile. Whatever the grouping, an element goes through the stages in one order, so that the
 * bits do not depend on it.
 *
 * Passes do little but store. A store across two cache lines costs twice (AVX2 on Zen 3: 2.2 cycles a register, not 1.5), and
 * half of them are such in NumPy's large arrays, which begin 16 bytes off a line. For such rows the base of a leaf stores to an
 * aligned copy, and passes over longer rows begin where the row meets a line. Where a register is a whole line there are half as
 * many stores, and a copy would cost more than it saves.
 *
 * Of three transforms in a row the second goes through its stages in descending order. Its first pass then works on the very
 * registers of the first one's last, and its last on those of the third one's first: two passes less. */

#define OP(name) RSK_JOIN(R, name)
#define FN(name) RSK_JOIN(FWHT, name)
#define V R

enum { FN(group) = RADIX * LANES, FN(leaf) = RADIX * FN(group), FN(part) = 16384 / (int)sizeof(T) };
_Static_assert(FN(leaf) <= FN(part) && FN(part) <= RADIX * FN(leaf), "one pass joins the leaves of a part");

/* What a pass does to its registers: signs, a butterfly, signs, a butterfly, ..., signs, scale. A constant wherever this is
 * inlined, but for the pointers of the signs. */
typedef struct FN(visit) {
    int inside;   /* the stages within a register too */
    int steps[3]; /* UP: stages in ascending order, DOWN: descending, 0: no butterfly */
    int signs, scale;
    const uint16_t *bits[4]; /* from the first element of the pass; read where signs is set, NULL: none */
    T factor;
} FN(visit);

static RSK_INLINE void FN(butterfly)(V *r, const int count, const int h) {
    RSK_UNROLL for (int p = 0; p < count / 2; p++) {
        const int i = p + (p & -h); /* all without bit h */
        const V a = r[i], b = r[i + h];
        r[i] = OP(add)(a, b);
        r[i + h] = OP(sub)(a, b);
    }
}

static RSK_INLINE void FN(step)(V *r, const int count, const int step, const int inside) {
    if (step == UP) {
        if (inside)
            RSK_UNROLL for (int h = 1; h < LANES; h *= 2)
                RSK_UNROLL for (int i = 0; i < count; i++) r[i] = OP(stage)(r[i], h);
        if (count > 1) FN(butterfly)(r, count, 1);
        if (count > 2) FN(butterfly)(r, count, 2);
        if (count > 4) FN(butterfly)(r, count, 4);
        if (count > 8) FN(butterfly)(r, count, 8);
    } else if (step == DOWN) {
        if (count > 8) FN(butterfly)(r, count, 8);
        if (count > 4) FN(butterfly)(r, count, 4);
        if (count > 2) FN(butterfly)(r, count, 2);
        if (count > 1) FN(butterfly)(r, count, 1);
        if (inside)
            RSK_UNROLL for (int h = LANES / 2; h > 0; h /= 2)
                RSK_UNROLL for (int i = 0; i < count; i++) r[i] = OP(stage)(r[i], h);
    }
}

/* in: where element k of the first register lies in its block, a constant as well, known to be 0 where registers adjoin */
static RSK_INLINE void FN(flips)(V *r, const int count, const uint16_t *bits, ptrdiff_t k, ptrdiff_t stride, const int in,
                                 const int inside) {
    if (bits)
        RSK_UNROLL for (int i = 0; i < count; i++)
            r[i] = inside ? OP(flip_word)(r[i], bits[k / BLOCK + i * LANES / BLOCK], i * LANES % BLOCK)
                          : OP(flip_word)(r[i], bits[k / BLOCK + i * (stride / BLOCK)], in);
}

/* count registers, `stride` elements apart, from element k on. count is a constant wherever this is inlined. */
static RSK_INLINE void FN(visit_group)(T *x, const T *in, ptrdiff_t k, ptrdiff_t stride, const int count, const int at,
                                       const FN(visit) *v) {
    V r[RADIX];
    RSK_UNROLL for (int i = 0; i < count; i++) r[i] = OP(load)(in + k + i * stride);
    if (v->signs) FN(flips)(r, count, v->bits[0], k, stride, at, v->inside);
    FN(step)(r, count, v->steps[0], v->inside);
    if (v->steps[1]) {
        if (v->signs) FN(flips)(r, count, v->bits[1], k, stride, at, v->inside);
        FN(step)(r, count, v->steps[1], v->inside);
    }
    if (v->steps[2]) {
        if (v->signs) FN(flips)(r, count, v->bits[2], k, stride, at, v->inside);
        FN(step)(r, count, v->steps[2], v->inside);
    }
    if (v->signs) FN(flips)(r, count, v->bits[3], k, stride, at, v->inside);
    if (v->scale) {
        const V f = OP(set1)(v->factor);
        RSK_UNROLL for (int i = 0; i < count; i++) r[i] = OP(mul)(r[i], f);
    }
    RSK_UNROLL for (int i = 0; i < count; i++) OP(store)(x + k + i * stride, r[i]);
}

/* How many elements from x on a register may be stored without crossing a cache line; fewer than LANES. */
static RSK_INLINE ptrdiff_t FN(to_line)(const T *x) {
    return (ptrdiff_t)(-(uintptr_t)x % (LANES * sizeof(T)) / sizeof(T));
}

/* Registers that do not adjoin. Without signs a row of them may begin anywhere, and long rows do where x meets a cache line: `skip`
 * elements on. A row's first and last block, which overlap others then, are computed aside and stored after these. */
static RSK_INLINE void FN(pass_far)(T *x, const T *in, ptrdiff_t n, ptrdiff_t stride, const int count, const FN(visit) *v) {
    const ptrdiff_t skip = v->signs || stride < 16 * BLOCK ? 0 : FN(to_line)(x);
    const ptrdiff_t row = skip ? stride - BLOCK : stride;
    x += skip, in += skip;
    for (ptrdiff_t k = 0; k < n; k += count * stride) {
        T edges[RADIX * 2 * BLOCK];
        if (skip) {
            for (ptrdiff_t i = 0; i < 2 * count; i++)
                memcpy(edges + i * BLOCK, in + k + i / 2 * stride + i % 2 * row - skip, sizeof(T) * BLOCK);
            for (ptrdiff_t j = 0; j < 2 * BLOCK; j += LANES) FN(visit_group)(edges, edges, j, 2 * BLOCK, count, 0, v);
        }
        for (ptrdiff_t j = k; j < k + row; j += BLOCK)
            RSK_UNROLL for (int l = 0; l < BLOCK; l += LANES) FN(visit_group)(x, in, j + l, stride, count, l, v);
        if (skip)
            for (ptrdiff_t i = 0; i < 2 * count; i++)
                memcpy(x + k + i / 2 * stride + i % 2 * row - skip, edges + i * BLOCK, sizeof(T) * BLOCK);
    }
}

/* Registers that adjoin. */
static RSK_INLINE void FN(pass_near)(T *x, const T *in, ptrdiff_t n, const int count, const FN(visit) *v) {
    for (ptrdiff_t k = 0; k < n; k += count * LANES) FN(visit_group)(x, in, k, LANES, count, 0, v);
}

static RSK_INLINE void FN(pass_of)(T *x, const T *in, ptrdiff_t n, ptrdiff_t stride, const int count, const FN(visit) *v) {
    if (v->inside) FN(pass_near)(x, in, n, count, v);
    else FN(pass_far)(x, in, n, stride, count, v);
}

static RSK_INLINE void FN(pass)(T *x, const T *in, ptrdiff_t n, ptrdiff_t stride, ptrdiff_t count, const FN(visit) *v) {
    switch (count) {
#if RADIX > 8
    case 16: FN(pass_of)(x, in, n, stride, 16, v); break;
#endif
    case 8: FN(pass_of)(x, in, n, stride, 8, v); break;
    case 4: FN(pass_of)(x, in, n, stride, 4, v); break;
    case 2: FN(pass_of)(x, in, n, stride, 2, v); break;
    default: FN(pass_of)(x, in, n, stride, 1, v);
    }
}

/* ---------------------------------------------------------------- the kinds of passes, each compiled once */

#define UP_ONLY .steps = {UP, 0, 0}
#define DOWN_ONLY .steps = {DOWN, 0, 0}

/* bits may be NULL */
static void FN(base_up)(T *x, const T *in, ptrdiff_t n, const uint16_t *bits) {
    const ptrdiff_t count = n < FN(group) ? n / LANES : RADIX;
    if (bits) {
        const FN(visit) v = {.inside = 1, UP_ONLY, .signs = 1, .bits = {bits}};
        FN(pass)(x, in, n, LANES, count, &v);
    } else {
        const FN(visit) v = {.inside = 1, UP_ONLY};
        FN(pass)(x, in, n, LANES, count, &v);
    }
}
/* down, signs, up */
static void FN(base_turn)(T *x, ptrdiff_t n, const uint16_t *bits) {
    const FN(visit) v = {.inside = 1, .steps = {DOWN, UP, 0}, .signs = 1, .bits = {NULL, bits}};
    FN(pass)(x, x, n, LANES, n < FN(group) ? n / LANES : RADIX, &v);
}
static void FN(pass_up)(T *x, const T *in, ptrdiff_t n, ptrdiff_t stride, ptrdiff_t count) {
    const FN(visit) v = {UP_ONLY};
    FN(pass)(x, in, n, stride, count, &v);
}
static void FN(pass_down)(T *x, const T *in, ptrdiff_t n, ptrdiff_t stride, ptrdiff_t count) {
    const FN(visit) v = {DOWN_ONLY};
    FN(pass)(x, in, n, stride, count, &v);
}
/* the last pass of all: signs, which may be NULL, and scale */
static void FN(pass_end)(T *x, const T *in, ptrdiff_t n, ptrdiff_t stride, ptrdiff_t count, const uint16_t *bits, T factor) {
    if (bits) {
        const FN(visit) v = {UP_ONLY, .signs = 1, .bits = {NULL, NULL, NULL, bits}, .scale = 1, .factor = factor};
        FN(pass)(x, in, n, stride, count, &v);
    } else {
        const FN(visit) v = {UP_ONLY, .scale = 1, .factor = factor};
        FN(pass)(x, in, n, stride, count, &v);
    }
}
/* up, signs, down */
static void FN(pass_turn)(T *x, ptrdiff_t n, ptrdiff_t stride, ptrdiff_t count, const uint16_t *bits) {
    const FN(visit) v = {.steps = {UP, DOWN, 0}, .signs = 1, .bits = {NULL, bits}};
    FN(pass)(x, x, n, stride, count, &v);
}
/* what fits into the registers: everything in one pass */
static void FN(whole)(T *x, const T *in, ptrdiff_t n, const rsk_transform *t) {
    FN(visit) v = {.inside = 1, UP_ONLY, .signs = 1, .scale = 1, .factor = (T)t->factor};
    v.bits[0] = t->bits[0], v.bits[3] = t->bits[t->times];
    FN(pass)(x, in, n, LANES, n / LANES, &v);
}
static void FN(whole_thrice)(T *x, const T *in, ptrdiff_t n, const rsk_transform *t) {
    const FN(visit) v = {.inside = 1, .steps = {UP, DOWN, UP}, .signs = 1, .scale = 1, .factor = (T)t->factor,
                         .bits = {t->bits[0], t->bits[1], t->bits[2], t->bits[3]}};
    FN(pass)(x, in, n, LANES, n / LANES, &v);
}

/* ---------------------------------------------------------------- how passes follow each other */

/* Registers of the last pass over n >= FN(group) elements; the blocks it joins are n / radix, down to FN(group). Beyond a part they
 * are eight at most: their cache lines lie a multiple of 4 KiB apart, and compete for the ways of one set of L1, of which there are
 * 8 or 12. With sixteen, a transform of 2^16 floats takes longer. */
static RSK_INLINE ptrdiff_t FN(radix)(ptrdiff_t n) {
    const ptrdiff_t most = n > FN(part) && RADIX > 8 ? 8 : RADIX;
    const ptrdiff_t left = n / (n > FN(part) ? FN(part) : n > FN(leaf) ? FN(leaf) : FN(group));
    return left < most ? left : most;
}

/* where a leaf is worked on before its last pass */
static RSK_INLINE T *FN(aligned)(T *x, T *copy) { return LANES * sizeof(T) < 64 && (uintptr_t)x % 64 ? copy : x; }

/* All stages below n: of the blocks first, then the pass that joins them.
 *   bits  signs before the first stage, or NULL
 *   end   its last signs and factor follow the last stage; NULL: nothing does. With it, n > FN(group) */
static void FN(up)(T *x, const T *in, ptrdiff_t n, const uint16_t *bits, const rsk_transform *end) {
    if (n <= FN(group)) {
        FN(base_up)(x, in, n, bits);
        return;
    }
    _Alignas(64) T copy[FN(leaf)];
    const ptrdiff_t radix = FN(radix)(n), block = n / radix;
    T *y = x;
    if (n <= FN(leaf)) {
        y = FN(aligned)(x, copy);
        FN(base_up)(y, in, n, bits);
    } else {
        for (ptrdiff_t k = 0; k < n; k += block) FN(up)(x + k, in + k, block, bits ? bits + k / BLOCK : NULL, NULL);
    }
    if (end) FN(pass_end)(x, y, n, block, radix, end->bits[end->times], (T)end->factor);
    else FN(pass_up)(x, y, n, block, radix);
}

/* all stages below n downwards, signs, and upwards again */
static void FN(turn)(T *x, ptrdiff_t n, const uint16_t *bits) {
    if (n <= FN(group)) {
        FN(base_turn)(x, n, bits);
        return;
    }
    const ptrdiff_t radix = FN(radix)(n), block = n / radix;
    if (n <= FN(leaf)) {
        _Alignas(64) T copy[FN(leaf)];
        T *y = FN(aligned)(x, copy);
        FN(pass_down)(y, x, n, block, radix);
        FN(base_turn)(y, n, bits);
        FN(pass_up)(x, y, n, block, radix);
    } else {
        FN(pass_down)(x, x, n, block, radix);
        for (ptrdiff_t k = 0; k < n; k += block) FN(turn)(x + k, block, bits + k / BLOCK);
        FN(pass_up)(x, x, n, block, radix);
    }
}

static void TRANSFORM(T *out, const T *in, ptrdiff_t length, ptrdiff_t n, const rsk_transform *t) {
    if (length < n) {
        if (in != out) memcpy(out, in, sizeof(T) * (size_t)length);
        memset(out + length, 0, sizeof(T) * (size_t)(n - length));
        in = out;
    }
    if (n <= FN(group)) {
        if (t->times == 1) FN(whole)(out, in, n, t);
        else FN(whole_thrice)(out, in, n, t);
        return;
    }
    if (t->times == 1) {
        FN(up)(out, in, n, t->bits[0], t);
        return;
    }
    const ptrdiff_t radix = FN(radix)(n), block = n / radix;
    for (ptrdiff_t k = 0; k < n; k += block)
        FN(up)(out + k, in + k, block, t->bits[0] ? t->bits[0] + k / BLOCK : NULL, NULL);
    FN(pass_turn)(out, n, block, radix, t->bits[1]);
    for (ptrdiff_t k = 0; k < n; k += block) FN(turn)(out + k, block, t->bits[2] + k / BLOCK);
    FN(pass_end)(out, out, n, block, radix, t->bits[t->times], (T)t->factor);
}

static void FWHT(T *x, ptrdiff_t n) {
    FN(up)(x, x, n, NULL, NULL);
}

#undef UP_ONLY
#undef DOWN_ONLY
#undef OP
#undef FN
#undef V
#undef T
#undef R
#undef LANES
#undef RADIX
#undef FWHT
#undef TRANSFORM
