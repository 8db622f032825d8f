/* Skew transparent operators, included once for float (R = r32) and once for double (R = r64).
 *
 * An operator rotates the pairs (k, k ^ mask) of either half of a vector, each in its plane. The high bits of the mask say which registers
 * belong together, and the low ones how lanes are permuted. Two operators in one pass mix four registers with each other and with no
 * others, so that a vector is read and written once. Every result is rounded once, by a fused multiply-add, so that the bits do not
 * depend on how operators are put into passes. */

#define REG(name) RSK_JOIN(R, name)
#define FN(name) RSK_JOIN(name, SUFFIX)

typedef struct FN(turner) {
    ptrdiff_t far; /* the part of the mask that moves whole registers, in elements */
    lanes near;    /* the part that moves lanes within one */
    const uint16_t *bits;
    R t;
    REG(either) signed_t;
} FN(turner);

/* An operator in half c of d coordinates. */
static RSK_INLINE FN(turner) FN(turner_make)(const rsk_turn *t, ptrdiff_t d, int c, const int crossing) {
    const R value = REG(set1)((T)t->t);
    const FN(turner) r = {t->mask[c] & ~(ptrdiff_t)(LANES - 1), lanes_make((int)(t->mask[c] & (BLOCK - 1)), crossing),
                          t->bits + c * (d / 2 / BLOCK), value, REG(either_of)(value)};
    return r;
}

/* Where a pass reads from and what it does with what it has. */
typedef struct FN(ends) {
    const T *x;
    const int32_t *ints; /* instead of x */
    T *out;
    int32_t *sum; /* instead of out */
    R f;
    REG(ints) most;
} FN(ends);

static RSK_INLINE R FN(get)(const FN(ends) *e, ptrdiff_t k, const int ints) {
    return ints ? REG(of_ints)(e->ints + k) : REG(load)(e->x + k);
}

static RSK_INLINE void FN(give)(FN(ends) *e, ptrdiff_t k, R x, const int how) {
    if (how == ROUNDED) e->most = REG(add_ints)(e->sum + k, REG(mul)(e->f, x), e->most);
    else if (how == ADDED) REG(store)(e->out + k, REG(fma)(e->f, x, REG(load)(e->out + k)));
    else REG(store)(e->out + k, how == SCALED ? REG(mul)(e->f, x) : x);
}

/* The next register behind k whose index has none of these bits. */
static RSK_INLINE ptrdiff_t FN(next_without)(ptrdiff_t bits, ptrdiff_t k) { return ((k | bits) + LANES) & ~bits; }

/* Turns a pair of registers: x at k, and y, which is the register at k ^ far with its lanes permuted by near: the signs of one are minus
 * those of the other. If the lanes of x are permuted too, `order` says how. */
static RSK_INLINE void FN(turn_pair)(const FN(turner) *t, R *x, R *y, ptrdiff_t k, lanes order) {
    const R v = REG(signed)(t->signed_t, t->bits, k, order), before = *x;
    *x = REG(fma)(v, *y, before);
    *y = REG(fnma)(v, before, *y);
}

/* One operator, n coordinates. A steep one is t x + R y, with the signs on what it is added to. */
static RSK_INLINE void FN(turn_one)(FN(ends) *ends, ptrdiff_t n, const FN(turner) *t, const int ints, const int how, const int steep) {
    FN(ends) local = *ends, *const e = &local; /* in registers, whatever is stored */
    const lanes straight = lanes_make(0, 0);
    const ptrdiff_t top = t->far ? rsk_highest_bit(t->far) : 0; /* each pair is visited from its register without this bit */
    for (ptrdiff_t k = 0; k < n; k = FN(next_without)(top, k)) {
        R x = FN(get)(e, k, ints);
        R y = REG(lanes)(t->far ? FN(get)(e, k ^ t->far, ints) : x, t->near);
        if (steep) {
            const R minus = REG(mul)(REG(set1)((T)-1), x);
            x = REG(fma)(t->t, x, REG(pick)(REG(either_of)(y), t->bits, k, straight));
            y = REG(fma)(t->t, y, REG(pick)(REG(either_of)(minus), t->bits, k, straight));
        } else {
            FN(turn_pair)(t, &x, &y, k, straight);
        }
        FN(give)(e, k, x, how);
        if (t->far) FN(give)(e, k ^ t->far, REG(lanes)(y, t->near), how);
    }
    *ends = local;
}

/* Two operators: one of four registers keeps its lanes in order; those of the others are permuted by the first operator, by the second,
 * and by both. */
static RSK_INLINE void FN(turn_two)(FN(ends) *ends, ptrdiff_t n, const FN(turner) *one, const FN(turner) *two, lanes both, const int ints,
                                    const int how) {
    FN(ends) local = *ends, *const e = &local; /* in registers, whatever is stored */
    const lanes straight = lanes_make(0, 0);
    const ptrdiff_t top = rsk_highest_bit(one->far), same = two->far & top ? one->far : 0;
    const ptrdiff_t tops = top | rsk_highest_bit(two->far ^ same); /* one of the four has neither of these bits */
    for (ptrdiff_t k = 0; k < n; k = FN(next_without)(tops, k)) {
        const ptrdiff_t l = k ^ one->far, m = k ^ two->far, o = l ^ two->far;
        R a = FN(get)(e, k, ints), b = REG(lanes)(FN(get)(e, l, ints), one->near);
        R c = REG(lanes)(FN(get)(e, m, ints), two->near), f = REG(lanes)(FN(get)(e, o, ints), both);
        FN(turn_pair)(one, &a, &b, k, straight);
        FN(turn_pair)(one, &c, &f, m, two->near);
        FN(turn_pair)(two, &a, &c, k, straight);
        FN(turn_pair)(two, &b, &f, l, one->near);
        FN(give)(e, k, a, how);
        FN(give)(e, l, REG(lanes)(b, one->near), how);
        FN(give)(e, m, REG(lanes)(c, two->near), how);
        FN(give)(e, o, REG(lanes)(f, both), how);
    }
    *ends = local;
}

/* One or two operators in half c of d coordinates. */
static RSK_INLINE void FN(turn_half)(FN(ends) *e, ptrdiff_t d, int c, const rsk_turn *t, int count, const int ints, const int how) {
    const ptrdiff_t n = d / 2;
    const int cross = !!(t[0].mask[c] & HALF) + (count == 2 ? 2 + 2 * !!(t[1].mask[c] & HALF) : 0);
    if (t->steep) {
        const FN(turner) one = FN(turner_make)(t, d, c, !!(t->mask[c] & HALF));
        FN(turn_one)(e, n, &one, ints, how, 1);
        return;
    }
#define ONE(a)                                              \
    {                                                       \
        const FN(turner) one = FN(turner_make)(t, d, c, a); \
        FN(turn_one)(e, n, &one, ints, how, 0);             \
        break;                                              \
    }
#define TWO(a, b)                                                                                         \
    {                                                                                                     \
        const FN(turner) one = FN(turner_make)(t, d, c, a), two = FN(turner_make)(t + 1, d, c, b);        \
        const lanes both = lanes_make((int)((t[0].mask[c] ^ t[1].mask[c]) & (BLOCK - 1)), (a) ^ (b));     \
        FN(turn_two)(e, n, &one, &two, both, ints, how);                                                  \
        break;                                                                                            \
    }
    switch (cross) {
    case 0: ONE(0)
    case 1: ONE(1)
    case 2: TWO(0, 0)
    case 3: TWO(1, 0)
    case 4: TWO(0, 1)
    default: TWO(1, 1)
    }
#undef ONE
#undef TWO
}

#if defined(RSK_FOUR_TURNS)
/* Four operators mix 16 registers. Register b of them is the one at k ^ the masks of b's bits, its lanes in the order of the first. */
static RSK_INLINE void FN(turn_four)(FN(ends) *ends, ptrdiff_t d, int c, const rsk_turn *t, const int ints, const int how) {
    FN(ends) local = *ends, *const e = &local; /* in registers, whatever is stored */
    FN(turner) turner[4];
    ptrdiff_t mask[16] = {0}, far[16], basis[4], top[4], tops = 0;
    lanes near[16];
    RSK_UNROLL for (int i = 0; i < 4; i++) turner[i] = FN(turner_make)(t + i, d, c, 1);
    RSK_UNROLL for (int i = 0; i < 4; i++) { /* no branches, which would be foreseen every second time */
        basis[i] = turner[i].far;
        for (int j = 0; j < i; j++) basis[i] ^= basis[j] & -(ptrdiff_t)!!(basis[i] & top[j]);
        top[i] = rsk_highest_bit(basis[i]);
        tops |= top[i];
    }
    RSK_UNROLL for (int b = 0; b < 16; b++) { /* that of the lowest bit, and of the others */
        if (b) mask[b] = mask[b & (b - 1)] ^ t[b & 1 ? 0 : b & 2 ? 1 : b & 4 ? 2 : 3].mask[c];
        far[b] = mask[b] & ~(ptrdiff_t)(LANES - 1), near[b] = lanes_make((int)(mask[b] & (BLOCK - 1)), 1);
    }
    for (ptrdiff_t k = 0; k < d / 2; k = FN(next_without)(tops, k)) {
        R x[16];
        RSK_UNROLL for (int b = 0; b < 16; b++) x[b] = REG(lanes)(FN(get)(e, k ^ far[b], ints), near[b]);
        RSK_UNROLL for (int i = 0; i < 4; i++)
            RSK_UNROLL for (int b = 0; b < 16; b++)
                if (!(b >> i & 1)) FN(turn_pair)(&turner[i], &x[b], &x[b | 1 << i], k ^ far[b], near[b]);
        RSK_UNROLL for (int b = 0; b < 16; b++) FN(give)(e, k ^ far[b], REG(lanes)(x[b], near[b]), how);
    }
    *ends = local;
}

/* Whether one pass over a half takes all four: above the lanes of a block their masks are independent. */
static int FN(mix_four)(const rsk_turn *t, int c) {
    if (t->steep) return 0;
    ptrdiff_t mask[16] = {0}, zero = 0;
    for (int b = 1; b < 16; b++) {
        mask[b] = mask[b & (b - 1)] ^ t[b & 1 ? 0 : b & 2 ? 1 : b & 4 ? 2 : 3].mask[c] / BLOCK;
        zero |= !mask[b];
    }
    return !zero;
}
#endif

/* A row in half c. Passes that do not end it leave what they have in work; from whole numbers to whole numbers it takes two, unless one
 * takes all four operators. */
static RSK_INLINE void FN(row_half)(FN(ends) *e, ptrdiff_t d, int c, const rsk_turn *turns, int count, T *work, const int how) {
#if defined(RSK_FOUR_TURNS)
    if (count == 4 && FN(mix_four)(turns, c)) {
        if (how == ROUNDED) FN(turn_four)(e, d, c, turns, 1, how); /* of real numbers no row is so long */
        else FN(turn_four)(e, d, c, turns, 0, how);
        return;
    }
#endif
    T *const out = e->out;
    for (int i = 0, n; i < count; i += n) {
        n = i + 1 < count && turns_mix(turns + i, turns + i + 1, c) ? 2 : 1;
        if (e->ints && n == count) n = 1;
        const int last = i + n == count;
        e->out = last ? out : work;
        if (last) FN(turn_half)(e, d, c, turns + i, n, 0, how);
        else if (e->ints) FN(turn_half)(e, d, c, turns, n, 1, SET);
        else FN(turn_half)(e, d, c, turns + i, n, 0, SET);
        e->x = work, e->ints = NULL;
    }
}

static uint32_t FN(row)(int32_t *out, const int32_t *whole, const T *real, ptrdiff_t d, const rsk_turn *turns, int count, T f, T *work) {
    REG(ints) most = REG(ints_zero)();
    for (int c = 0; c < 2; c++) {
        const ptrdiff_t begin = c * (d / 2);
        FN(ends) e = {.ints = whole ? whole + begin : NULL, .x = real ? real + begin : NULL, .sum = out + begin,
                      .f = REG(set1)(f), .most = most};
        FN(row_half)(&e, d, c, turns, count, work, ROUNDED);
        most = e.most;
    }
    return REG(ints_most)(most);
}

#undef LANES
#undef HALF
#undef REG
#undef FN
#undef T
#undef R
#undef SUFFIX
