/* Signs, skew transparent operators and embedded objects, included once for float (R = r32) and once for double (R = r64). */

#define REG(name) RSK_JOIN(R, name)
#define FN(name) RSK_JOIN(name, SUFFIX)

static RSK_INLINE void FN(put)(T *out, R value, int accumulate) {
    REG(store)(out, accumulate ? REG(add)(REG(load)(out), value) : value);
}

static void FN(flip)(T *out, const T *x, ptrdiff_t n, const uint16_t *bits, T f) {
    const R factor = REG(set1)(f);
    for (ptrdiff_t k = 0; k < n; k += LANES)
        REG(store)(out + k, REG(mul)(factor, REG(pick)(REG(either_of)(REG(load)(x + k)), bits, k)));
}

static void FN(blend)(T *out, const T *x, const T *RSK_RESTRICT y, ptrdiff_t n, const uint16_t *bits, T c, T s,
                  int accumulate) {
    const R vc = REG(set1)(c);
    const REG(either) vs = REG(either_of)(REG(set1)(s));
    for (ptrdiff_t k = 0; k < n; k += LANES)
        FN(put)(out + k, REG(add)(REG(mul)(vc, REG(load)(x + k)), REG(mul)(REG(pick)(vs, bits, k), REG(load)(y + k))), accumulate);
}

typedef struct FN(turn) {
    ptrdiff_t far; /* mask of the register, in elements */
    lanes near;
    const uint16_t *bits;
    R c;
    REG(either) s;
} FN(turn);

static RSK_INLINE FN(turn) FN(turn_make)(const rsk_turn *t) {
    const FN(turn) r = {t->mask & ~(ptrdiff_t)(LANES - 1), lanes_make((int)(t->mask & (BLOCK - 1))), t->bits,
                        REG(set1)((T)t->c), REG(either_of)(REG(set1)((T)t->s))};
    return r;
}

/* Registers x at k and y at k ^ far: x = c x + (±s) y, y = c y - (±s) x, for the signs of the one are minus those of the other. */
static RSK_INLINE void FN(turn_pair)(const FN(turn) *t, R *x, R *y, ptrdiff_t k) {
    const R s = REG(pick)(t->s, t->bits, k), other = REG(lanes)(REG(mul)(s, *x), t->near);
    *x = REG(add)(REG(mul)(t->c, *x), REG(mul)(s, REG(lanes)(*y, t->near)));
    *y = REG(sub)(REG(mul)(t->c, *y), other);
}

/* The next register behind k that has none of the bits. */
static RSK_INLINE ptrdiff_t FN(next_without)(ptrdiff_t bits, ptrdiff_t k) { return ((k | bits) + LANES) & ~bits; }

static RSK_INLINE void FN(rotate_loop)(T *RSK_RESTRICT out, const T *RSK_RESTRICT x, ptrdiff_t d, const rsk_turn *one,
                                   const int accumulate) {
    const FN(turn) t = FN(turn_make)(one);
    if (!t.far) {
        for (ptrdiff_t k = 0; k < d; k += LANES) {
            const R v = REG(load)(x + k), s = REG(pick)(t.s, t.bits, k);
            FN(put)(out + k, REG(add)(REG(mul)(t.c, v), REG(mul)(s, REG(lanes)(v, t.near))), accumulate);
        }
        return;
    }
    const ptrdiff_t top = rsk_highest_bit(t.far); /* pairs are visited from the side where it is clear */
    for (ptrdiff_t k = 0; k < d; k = FN(next_without)(top, k)) {
        R v = REG(load)(x + k), w = REG(load)(x + (k ^ t.far));
        FN(turn_pair)(&t, &v, &w, k);
        FN(put)(out + k, v, accumulate);
        FN(put)(out + (k ^ t.far), w, accumulate);
    }
}

static void FN(rotate)(T *RSK_RESTRICT out, const T *RSK_RESTRICT x, ptrdiff_t d, const rsk_turn *one, int accumulate) {
    if (accumulate) FN(rotate_loop)(out, x, d, one, 1);
    else FN(rotate_loop)(out, x, d, one, 0);
}

/* Two operators whose masks move registers, and not to the same place, mix four registers with each other and with no others. */
static RSK_INLINE void FN(rotate2_loop)(T *RSK_RESTRICT out, const T *RSK_RESTRICT x, ptrdiff_t d, const rsk_turn *one,
                                    const rsk_turn *two, const int accumulate) {
    const FN(turn) first = FN(turn_make)(one), second = FN(turn_make)(two);
    const ptrdiff_t top = rsk_highest_bit(first.far), same = second.far & top ? first.far : 0;
    const ptrdiff_t tops = top | rsk_highest_bit(second.far ^ same); /* one of the four has neither bit */
    for (ptrdiff_t k = 0; k < d; k = FN(next_without)(tops, k)) {
        const ptrdiff_t l = k ^ first.far, m = k ^ second.far, n = l ^ second.far;
        R a = REG(load)(x + k), b = REG(load)(x + l), e = REG(load)(x + m), f = REG(load)(x + n);
        FN(turn_pair)(&first, &a, &b, k);
        FN(turn_pair)(&first, &e, &f, m);
        FN(turn_pair)(&second, &a, &e, k);
        FN(turn_pair)(&second, &b, &f, l);
        FN(put)(out + k, a, accumulate);
        FN(put)(out + l, b, accumulate);
        FN(put)(out + m, e, accumulate);
        FN(put)(out + n, f, accumulate);
    }
}

static void FN(rotate2)(T *RSK_RESTRICT out, const T *RSK_RESTRICT x, ptrdiff_t d, const rsk_turn *one,
                    const rsk_turn *two, int accumulate) {
    if (accumulate) FN(rotate2_loop)(out, x, d, one, two, 1);
    else FN(rotate2_loop)(out, x, d, one, two, 0);
}

static void FN(split)(T *RSK_RESTRICT a, T *RSK_RESTRICT b, const T *RSK_RESTRICT x, ptrdiff_t n, ptrdiff_t mask, T f, T g) {
    const R vf = REG(set1)(f), vg = REG(set1)(g);
    const ptrdiff_t far = mask & ~(ptrdiff_t)(LANES - 1);
    const lanes near = lanes_make((int)(mask & (BLOCK - 1)));
    for (ptrdiff_t k = 0; k < n; k += LANES) {
        REG(store)(a + k, REG(mul)(vf, REG(load)(x + k)));
        REG(store)(b + k, REG(mul)(vg, REG(lanes)(REG(load)(x + (k ^ far)), near)));
    }
}

/* A cache line of the rows at a time stays in registers from tile to tile. `extra` is of floats for both types. */
#define WIDE (64 / (int)sizeof(T) / LANES > 1 ? 64 / (int)sizeof(T) / LANES : 1)

static RSK_INLINE void FN(spread_loop)(T *RSK_RESTRICT out, ptrdiff_t d, const rsk_spread *shape, const T *const rows[2],
                                   const float counter[2], const float *RSK_RESTRICT extra, const int terms) {
    const uint16_t *b0 = shape->bits[0], *b1 = shape->bits[1], *n0 = shape->counter_bits[0];
    const uint32_t *pairs = shape->counter_pairs;
    const float c0 = counter[0], c1 = counter[1], sums[4] = {c0 + c1, -c0 + c1, c0 - c1, -c0 - c1};
    const quad counters = quad_make(sums);
    const REG(either) c = REG(either_of)(REG(set1)(c0));
    for (ptrdiff_t j = 0; j < shape->width; j += WIDE * LANES) {
        REG(either) h0[WIDE], h1[WIDE];
        RSK_UNROLL for (int i = 0; i < WIDE; i++) {
            h0[i] = REG(either_of)(REG(load)(rows[0] + j + i * LANES));
            if (terms == 2) h1[i] = REG(either_of)(REG(load)(rows[1] + j + i * LANES));
        }
        for (ptrdiff_t tile = j; tile < d; tile += shape->width)
            RSK_UNROLL for (int i = 0; i < WIDE; i++) {
                const ptrdiff_t k = tile + i * LANES;
                R x = REG(pick)(h0[i], b0, k);
                if (terms == 2) x = REG(add)(x, REG(pick)(h1[i], b1, k));
                x = REG(add)(x, terms == 2 ? REG(choose)(counters, pairs, k) : REG(pick)(c, n0, k));
                if (extra) x = REG(add)(x, REG(of)(extra + k));
                REG(store)(out + k, x);
            }
    }
}

#undef WIDE
#undef LANES
#undef REG
#undef FN
#undef T
#undef R
#undef SUFFIX
