/* Hashing 16 rows at once, included once for float (V = v16, R = r32) and once for double (V = w16, R = r64).
 *
 * A tile of 16 rows and 16 columns is transposed in registers; a column is then a block that is added, with its sign, to a
 * line of a table with one lane a row. */

#define OP(name) RSK_JOIN(V, name)
#define REG(name) RSK_JOIN(R, name)
#define FN(name) RSK_JOIN(name, SUFFIX)

/* out (16, 16) = f times in (16, 16) transposed */
static RSK_INLINE void FN(tile)(T *RSK_RESTRICT out, ptrdiff_t out_stride, const T *RSK_RESTRICT in, ptrdiff_t in_stride, R f,
                                const int scale) {
    for (int i = 0; i < BLOCK; i += LANES)
        for (int j = 0; j < BLOCK; j += LANES) {
            R r[LANES];
            RSK_UNROLL for (int l = 0; l < LANES; l++) r[l] = REG(load)(in + (i + l) * in_stride + j);
            REG(transpose)(r);
            RSK_UNROLL for (int l = 0; l < LANES; l++)
                REG(store)(out + (j + l) * out_stride + i, scale ? REG(mul)(r[l], f) : r[l]);
        }
}

static RSK_INLINE void FN(hash_columns)(T *RSK_RESTRICT table, const T *RSK_RESTRICT tile, ptrdiff_t columns,
                                        const uint32_t *RSK_RESTRICT entries, ptrdiff_t nonzeros) {
    static const T sign[2] = {1, -1};
    for (ptrdiff_t i = 0; i < columns; i++) {
        const V v = OP(load)(tile + i * BLOCK);
        for (ptrdiff_t r = 0; r < nonzeros; r++) {
            const uint32_t e = *entries++;
            T *line = table + (ptrdiff_t)(e & RSK_HASH_ROW) * BLOCK;
            OP(store)(line, OP(add)(OP(load)(line), OP(mul)(v, OP(set1)(sign[e >> 31]))));
        }
    }
}

static void FN(hash)(T *RSK_RESTRICT table, ptrdiff_t width, const T *RSK_RESTRICT x, ptrdiff_t length,
                     const uint32_t *RSK_RESTRICT entries, ptrdiff_t nonzeros) {
    T tile[BLOCK * BLOCK];
    const R one = REG(set1)(1);
    const ptrdiff_t whole = length / BLOCK * BLOCK;
    memset(table, 0, sizeof(T) * (size_t)(width * BLOCK));
    for (ptrdiff_t j = 0; j < whole; j += BLOCK) {
        if (j + 4 * BLOCK < length)
            for (int row = 0; row < BLOCK; row++) RSK_PREFETCH(x + row * length + j + 4 * BLOCK);
        FN(tile)(tile, BLOCK, x + j, length, one, 0);
        if (nonzeros == 1) FN(hash_columns)(table, tile, BLOCK, entries + j, 1);
        else FN(hash_columns)(table, tile, BLOCK, entries + j * nonzeros, nonzeros);
    }
    for (ptrdiff_t j = whole; j < length; j++)
        for (int row = 0; row < BLOCK; row++) tile[(j - whole) * BLOCK + row] = x[row * length + j];
    FN(hash_columns)(table, tile, length - whole, entries + whole * nonzeros, nonzeros);
}

static void FN(untable)(T *RSK_RESTRICT out, ptrdiff_t width, const T *RSK_RESTRICT table, T f) {
    const R factor = REG(set1)(f);
    const ptrdiff_t whole = width / BLOCK * BLOCK;
    for (ptrdiff_t k = 0; k < whole; k += BLOCK) {
        if (f == 1) FN(tile)(out + k, width, table + k * BLOCK, BLOCK, factor, 0);
        else FN(tile)(out + k, width, table + k * BLOCK, BLOCK, factor, 1);
    }
    for (ptrdiff_t k = whole; k < width; k++)
        for (int row = 0; row < BLOCK; row++) out[row * width + k] = f * table[k * BLOCK + row];
}

#undef OP
#undef REG
#undef FN
#undef SUFFIX
#undef T
#undef V
#undef R
#undef LANES
