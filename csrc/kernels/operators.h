/* Signs and embedded objects, included once for float (R = r32) and once for double (R = r64). */

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

/* A cache line of the row stays in registers from tile to tile. */
#define WIDE (64 / (int)sizeof(T) / LANES > 1 ? 64 / (int)sizeof(T) / LANES : 1)

static RSK_INLINE void FN(spread_loop)(T *RSK_RESTRICT out, ptrdiff_t d, const rsk_spread *shape, const T *row, float counter) {
    const REG(either) c = REG(either_of)(REG(set1)(counter));
    const lanes straight = lanes_make(0, 0);
    for (ptrdiff_t j = 0; j < shape->width; j += WIDE * LANES) {
        REG(either) h[WIDE];
        RSK_UNROLL for (int i = 0; i < WIDE; i++) h[i] = REG(either_of)(REG(load)(row + j + i * LANES));
        for (ptrdiff_t tile = j; tile < d; tile += shape->width)
            RSK_UNROLL for (int i = 0; i < WIDE; i++) {
                const ptrdiff_t k = tile + i * LANES;
                const R x = REG(pick)(h[i], shape->bits, k, straight);
                REG(store)(out + k, REG(add)(x, REG(pick)(c, shape->counter_bits, k, straight)));
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
