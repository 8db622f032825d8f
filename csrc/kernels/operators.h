/* Signs and skew transparent operators over blocks of 16, included once for float (V = v16) and once for double (V = w16). */

#define OP(name) RSK_JOIN(V, name)
#define FN(name) RSK_JOIN(name, SUFFIX)

static void FN(flip)(T *out, const T *x, ptrdiff_t n, const uint16_t *bits, T f) {
    const V vf = OP(set1)(f);
    for (ptrdiff_t b = 0; b < n / BLOCK; b++)
        OP(store)(out + b * BLOCK, OP(mul)(vf, OP(flip)(OP(load)(x + b * BLOCK), bits[b])));
}

static void FN(blend)(T *out, const T *x, const T *RSK_RESTRICT y, ptrdiff_t n, const uint16_t *bits, T c, T s,
                  int accumulate) {
    const V vc = OP(set1)(c), vs = OP(set1)(s);
    for (ptrdiff_t b = 0; b < n / BLOCK; b++) {
        const ptrdiff_t k = b * BLOCK;
        V r = OP(add)(OP(mul)(vc, OP(load)(x + k)), OP(mul)(vs, OP(flip)(OP(load)(y + k), bits[b])));
        if (accumulate) r = OP(add)(OP(load)(out + k), r);
        OP(store)(out + k, r);
    }
}

typedef struct FN(turn) {
    ptrdiff_t far; /* mask of the block, in elements */
    lanes near;
    const uint16_t *bits;
    V c, s;
} FN(turn);

static RSK_INLINE FN(turn) FN(turn_make)(const rsk_turn *t) {
    const FN(turn) r = {t->mask & ~(ptrdiff_t)(BLOCK - 1), lanes_make((int)(t->mask & (BLOCK - 1))), t->bits,
                        OP(set1)((T)t->c), OP(set1)((T)t->s)};
    return r;
}

/* c x + s (±other), other being the block that the mask pairs with x */
static RSK_INLINE V FN(turn_block)(const FN(turn) *t, V x, V other, ptrdiff_t k) {
    return OP(add)(OP(mul)(t->c, x), OP(mul)(t->s, OP(flip)(OP(lanes)(other, t->near), t->bits[k / BLOCK])));
}

static RSK_INLINE V FN(turn_at)(const FN(turn) *t, const T *x, ptrdiff_t k) {
    return FN(turn_block)(t, OP(load)(x + k), OP(load)(x + (k ^ t->far)), k);
}

static RSK_INLINE void FN(put)(T *out, V value, int accumulate) {
    OP(store)(out, accumulate ? OP(add)(OP(load)(out), value) : value);
}

static RSK_INLINE void FN(rotate_loop)(T *RSK_RESTRICT out, const T *RSK_RESTRICT x, ptrdiff_t d, const rsk_turn *one,
                                   const int accumulate) {
    const FN(turn) t = FN(turn_make)(one);
    for (ptrdiff_t k = 0; k < d; k += BLOCK) FN(put)(out + k, FN(turn_at)(&t, x, k), accumulate);
}

static void FN(rotate)(T *RSK_RESTRICT out, const T *RSK_RESTRICT x, ptrdiff_t d, const rsk_turn *one, int accumulate) {
    if (accumulate) FN(rotate_loop)(out, x, d, one, 1);
    else FN(rotate_loop)(out, x, d, one, 0);
}

/* The second operator mixes blocks k and k ^ far: both are made by the first in registers, in one pass. */
static RSK_INLINE void FN(rotate2_loop)(T *RSK_RESTRICT out, const T *RSK_RESTRICT x, ptrdiff_t d, const rsk_turn *one,
                                    const rsk_turn *two, const int accumulate) {
    const FN(turn) first = FN(turn_make)(one), second = FN(turn_make)(two);
    if (!second.far) {
        for (ptrdiff_t k = 0; k < d; k += BLOCK) {
            const V y = FN(turn_at)(&first, x, k);
            FN(put)(out + k, FN(turn_block)(&second, y, y, k), accumulate);
        }
        return;
    }
    const ptrdiff_t top = rsk_highest_bit(second.far); /* pairs are visited from the side where it is clear */
    for (ptrdiff_t base = 0; base < d; base += 2 * top)
        for (ptrdiff_t k = base; k < base + top; k += BLOCK) {
            const ptrdiff_t l = k ^ second.far;
            const V y = FN(turn_at)(&first, x, k), z = FN(turn_at)(&first, x, l);
            FN(put)(out + k, FN(turn_block)(&second, y, z, k), accumulate);
            FN(put)(out + l, FN(turn_block)(&second, z, y, l), accumulate);
        }
}

static void FN(rotate2)(T *RSK_RESTRICT out, const T *RSK_RESTRICT x, ptrdiff_t d, const rsk_turn *one,
                    const rsk_turn *two, int accumulate) {
    if (accumulate) FN(rotate2_loop)(out, x, d, one, two, 1);
    else FN(rotate2_loop)(out, x, d, one, two, 0);
}

static void FN(split)(T *RSK_RESTRICT a, T *RSK_RESTRICT b, const T *RSK_RESTRICT x, ptrdiff_t n, ptrdiff_t mask, T f, T g) {
    const V vf = OP(set1)(f), vg = OP(set1)(g);
    const ptrdiff_t far = mask & ~(ptrdiff_t)(BLOCK - 1);
    const lanes near = lanes_make((int)(mask & (BLOCK - 1)));
    for (ptrdiff_t k = 0; k < n; k += BLOCK) {
        OP(store)(a + k, OP(mul)(vf, OP(load)(x + k)));
        OP(store)(b + k, OP(mul)(vg, OP(lanes)(OP(load)(x + (k ^ far)), near)));
    }
}

#undef OP
#undef FN
#undef T
#undef V
#undef SUFFIX
