/* Signs, skew transparent operators and embedded objects, included once for float (R = r32) and once for double (R = r64). */

#define REG(name) RSK_JOIN(R, name)
#define FN(name) RSK_JOIN(name, SUFFIX)

static RSK_INLINE void FN(put)(T *out, R value, int accumulate) {
    REG(store)(out, accumulate ? REG(add)(REG(load)(out), value) : value);
}

static void FN(flip)(T *out, const T *x, ptrdiff_t n, const uint16_t *bits, T f) {
    const R factor = REG(set1)(f);
    const lanes straight = lanes_make(0, 0);
    for (ptrdiff_t k = 0; k < n; k += LANES)
        REG(store)(out + k, REG(mul)(factor, REG(pick)(REG(either_of)(REG(load)(x + k)), bits, k, straight)));
}

static void FN(blend)(T *out, const T *x, const T *RSK_RESTRICT y, ptrdiff_t n, const uint16_t *bits, T c, T s,
                  int accumulate) {
    const R vc = REG(set1)(c);
    const REG(either) vs = REG(either_of)(REG(set1)(s));
    const lanes straight = lanes_make(0, 0);
    for (ptrdiff_t k = 0; k < n; k += LANES) {
        const R turned = REG(mul)(REG(pick)(vs, bits, k, straight), REG(load)(y + k));
        FN(put)(out + k, REG(add)(REG(mul)(vc, REG(load)(x + k)), turned), accumulate);
    }
}

typedef struct FN(turn) {
    ptrdiff_t far; /* the part of the mask that moves whole registers, in elements */
    lanes near;    /* the part that moves lanes within one */
    const uint16_t *bits;
    R c;
    REG(either) s;
} FN(turn);

static RSK_INLINE FN(turn) FN(turn_make)(const rsk_turn *t, const int crossing) {
    const FN(turn) r = {t->mask & ~(ptrdiff_t)(LANES - 1), lanes_make((int)(t->mask & (BLOCK - 1)), crossing), t->bits,
                        REG(set1)((T)t->c), REG(either_of)(REG(set1)((T)t->s))};
    return r;
}

/* Turns a pair of registers: x at k, and y, which is the register at k ^ far with its lanes permuted by near. x = c x + (±s) y and
 * y = c y - (±s) x, as the signs of one are minus those of the other. If the lanes of x are permuted too, `order` says how. */
static RSK_INLINE void FN(turn_pair)(const FN(turn) *t, R *x, R *y, ptrdiff_t k, lanes order) {
    const R s = REG(pick)(t->s, t->bits, k, order), other = REG(mul)(s, *x);
    *x = REG(add)(REG(mul)(t->c, *x), REG(mul)(s, *y));
    *y = REG(sub)(REG(mul)(t->c, *y), other);
}

/* The next register behind k whose index has none of these bits. */
static RSK_INLINE ptrdiff_t FN(next_without)(ptrdiff_t bits, ptrdiff_t k) { return ((k | bits) + LANES) & ~bits; }

static RSK_INLINE void FN(rotate_loop)(T *RSK_RESTRICT out, const T *RSK_RESTRICT x, ptrdiff_t d, const rsk_turn *one,
                                   const int accumulate, const int crossing) {
    const FN(turn) t = FN(turn_make)(one, crossing);
    const lanes straight = lanes_make(0, 0);
    if (!t.far) {
        for (ptrdiff_t k = 0; k < d; k += LANES) {
            const R v = REG(load)(x + k), s = REG(pick)(t.s, t.bits, k, straight);
            FN(put)(out + k, REG(add)(REG(mul)(t.c, v), REG(mul)(s, REG(lanes)(v, t.near))), accumulate);
        }
        return;
    }
    const ptrdiff_t top = rsk_highest_bit(t.far); /* each pair is visited from its register whose index has this bit clear */
    for (ptrdiff_t k = 0; k < d; k = FN(next_without)(top, k)) {
        const R v = REG(load)(x + k), w = REG(load)(x + (k ^ t.far)), s = REG(pick)(t.s, t.bits, k, straight);
        FN(put)(out + k, REG(add)(REG(mul)(t.c, v), REG(mul)(s, REG(lanes)(w, t.near))), accumulate);
        FN(put)(out + (k ^ t.far), REG(sub)(REG(mul)(t.c, w), REG(lanes)(REG(mul)(s, v), t.near)), accumulate);
    }
}

static void FN(rotate)(T *RSK_RESTRICT out, const T *RSK_RESTRICT x, ptrdiff_t d, const rsk_turn *one, int accumulate) {
    switch (!!accumulate + 2 * !!(one->mask & HALF)) {
    case 0: FN(rotate_loop)(out, x, d, one, 0, 0); break;
    case 1: FN(rotate_loop)(out, x, d, one, 1, 0); break;
    case 2: FN(rotate_loop)(out, x, d, one, 0, 1); break;
    default: FN(rotate_loop)(out, x, d, one, 1, 1);
    }
}

/* Two operators whose masks move registers to different places mix four registers with each other, and with no others. One of the four
 * keeps its lanes in order; the lanes of the others are permuted by the first operator, by the second, and by both. */
static RSK_INLINE void FN(rotate2_loop)(T *RSK_RESTRICT out, const T *RSK_RESTRICT x, ptrdiff_t d, const rsk_turn *one,
                                    const rsk_turn *two, const int accumulate, const int crossing1, const int crossing2) {
    const FN(turn) first = FN(turn_make)(one, crossing1), second = FN(turn_make)(two, crossing2);
    const lanes straight = lanes_make(0, 0), both = lanes_make((int)((one->mask ^ two->mask) & (BLOCK - 1)), crossing1 ^ crossing2);
    const ptrdiff_t top = rsk_highest_bit(first.far), same = second.far & top ? first.far : 0;
    const ptrdiff_t tops = top | rsk_highest_bit(second.far ^ same); /* one of the four has neither of these bits */
    for (ptrdiff_t k = 0; k < d; k = FN(next_without)(tops, k)) {
        const ptrdiff_t l = k ^ first.far, m = k ^ second.far, n = l ^ second.far;
        R a = REG(load)(x + k), b = REG(lanes)(REG(load)(x + l), first.near);
        R e = REG(lanes)(REG(load)(x + m), second.near), f = REG(lanes)(REG(load)(x + n), both);
        FN(turn_pair)(&first, &a, &b, k, straight);
        FN(turn_pair)(&first, &e, &f, m, second.near);
        FN(turn_pair)(&second, &a, &e, k, straight);
        FN(turn_pair)(&second, &b, &f, l, first.near);
        FN(put)(out + k, a, accumulate);
        FN(put)(out + l, REG(lanes)(b, first.near), accumulate);
        FN(put)(out + m, REG(lanes)(e, second.near), accumulate);
        FN(put)(out + n, REG(lanes)(f, both), accumulate);
    }
}

static void FN(rotate2)(T *RSK_RESTRICT out, const T *RSK_RESTRICT x, ptrdiff_t d, const rsk_turn *one,
                    const rsk_turn *two, int accumulate) {
    switch (!!accumulate + 2 * !!(one->mask & HALF) + 4 * !!(two->mask & HALF)) {
    case 0: FN(rotate2_loop)(out, x, d, one, two, 0, 0, 0); break;
    case 1: FN(rotate2_loop)(out, x, d, one, two, 1, 0, 0); break;
    case 2: FN(rotate2_loop)(out, x, d, one, two, 0, 1, 0); break;
    case 3: FN(rotate2_loop)(out, x, d, one, two, 1, 1, 0); break;
    case 4: FN(rotate2_loop)(out, x, d, one, two, 0, 0, 1); break;
    case 5: FN(rotate2_loop)(out, x, d, one, two, 1, 0, 1); break;
    case 6: FN(rotate2_loop)(out, x, d, one, two, 0, 1, 1); break;
    default: FN(rotate2_loop)(out, x, d, one, two, 1, 1, 1);
    }
}

static void FN(split)(T *RSK_RESTRICT a, T *RSK_RESTRICT b, const T *RSK_RESTRICT x, ptrdiff_t n, ptrdiff_t mask, T f, T g) {
    const R vf = REG(set1)(f), vg = REG(set1)(g);
    const ptrdiff_t far = mask & ~(ptrdiff_t)(LANES - 1);
    const lanes near = lanes_make((int)(mask & (BLOCK - 1)), (mask & HALF) != 0);
    for (ptrdiff_t k = 0; k < n; k += LANES) {
        REG(store)(a + k, REG(mul)(vf, REG(load)(x + k)));
        REG(store)(b + k, REG(mul)(vg, REG(lanes)(REG(load)(x + (k ^ far)), near)));
    }
}

/* A cache line of each row stays in registers from tile to tile. `extra` is floats for both types. */
#define WIDE (64 / (int)sizeof(T) / LANES > 1 ? 64 / (int)sizeof(T) / LANES : 1)

static RSK_INLINE void FN(spread_loop)(T *RSK_RESTRICT out, ptrdiff_t d, const rsk_spread *shape, const T *const rows[2],
                                   const float counter[2], const float *RSK_RESTRICT extra, const int terms) {
    const uint16_t *b0 = shape->bits[0], *b1 = shape->bits[1], *n0 = shape->counter_bits[0];
    const uint32_t *pairs = shape->counter_pairs;
    const float c0 = counter[0], c1 = counter[1], sums[4] = {c0 + c1, -c0 + c1, c0 - c1, -c0 - c1};
    const quad counters = quad_make(sums);
    const REG(either) c = REG(either_of)(REG(set1)(c0));
    const lanes straight = lanes_make(0, 0);
    for (ptrdiff_t j = 0; j < shape->width; j += WIDE * LANES) {
        REG(either) h0[WIDE], h1[WIDE];
        RSK_UNROLL for (int i = 0; i < WIDE; i++) {
            h0[i] = REG(either_of)(REG(load)(rows[0] + j + i * LANES));
            if (terms == 2) h1[i] = REG(either_of)(REG(load)(rows[1] + j + i * LANES));
        }
        for (ptrdiff_t tile = j; tile < d; tile += shape->width)
            RSK_UNROLL for (int i = 0; i < WIDE; i++) {
                const ptrdiff_t k = tile + i * LANES;
                R x = REG(pick)(h0[i], b0, k, straight);
                if (terms == 2) x = REG(add)(x, REG(pick)(h1[i], b1, k, straight));
                x = REG(add)(x, terms == 2 ? REG(choose)(counters, pairs, k) : REG(pick)(c, n0, k, straight));
                if (extra) x = REG(add)(x, REG(of)(extra + k));
                REG(store)(out + k, x);
            }
    }
}

#undef WIDE
#undef LANES
#undef HALF
#undef REG
#undef FN
#undef T
#undef R
#undef SUFFIX
