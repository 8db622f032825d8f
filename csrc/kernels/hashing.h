/* Hashing 16 rows at once, included once for float (V = v16, R = r32) and once for double (V = w16, R = r64).
 *
 * Strips of 64 columns of the 16 rows are transposed in registers. A column is then one block of 16 numbers, and is added, with
 * its sign, to a block of the table. A strip is read, and written, for as many rows as a register has lanes before the next rows
 * follow: where rows are a power of two apart, cache lines of all 16 would compete for one set of L1, and a line that was evicted
 * half read would be fetched twice. */

#define OP(name) RSK_JOIN(V, name)
#define REG(name) RSK_JOIN(R, name)
#define FN(name) RSK_JOIN(name, SUFFIX)
#define STRIP 64

/* out (columns, rows) = f times in (rows, columns) transposed */
static RSK_INLINE void FN(transposed)(T *RSK_RESTRICT out, ptrdiff_t out_stride, const T *RSK_RESTRICT in, ptrdiff_t in_stride,
                                      ptrdiff_t rows, ptrdiff_t columns, R f, const int scale) {
    for (ptrdiff_t i = 0; i < rows; i += LANES)
        for (ptrdiff_t j = 0; j < columns; j += LANES) {
            R r[LANES];
            RSK_UNROLL for (int l = 0; l < LANES; l++) r[l] = REG(load)(in + (i + l) * in_stride + j);
            REG(transpose)(r);
            RSK_UNROLL for (int l = 0; l < LANES; l++)
                REG(store)(out + (j + l) * out_stride + i, scale ? REG(mul)(r[l], f) : r[l]);
        }
}

static RSK_INLINE void FN(hash_columns)(T *RSK_RESTRICT table, const T *RSK_RESTRICT columns, ptrdiff_t count,
                                        const uint32_t *RSK_RESTRICT entries, ptrdiff_t nonzeros) {
    static const T sign[2] = {1, -1};
    for (ptrdiff_t i = 0; i < count; i++) {
        const V v = OP(load)(columns + i * BLOCK);
        ptrdiff_t r = 0;
        for (; r + 4 <= nonzeros; r += 4, entries += 4) { /* four at a time, so that the counting does not take half of it */
            RSK_UNROLL for (int j = 0; j < 4; j++) {
                T *line = table + (ptrdiff_t)(entries[j] & RSK_HASH_ROW) * BLOCK;
                OP(store)(line, OP(add)(OP(load)(line), OP(mul)(v, OP(set1)(sign[entries[j] >> 31]))));
            }
        }
        for (; r < nonzeros; r++) {
            const uint32_t e = *entries++;
            T *line = table + (ptrdiff_t)(e & RSK_HASH_ROW) * BLOCK;
            OP(store)(line, OP(add)(OP(load)(line), OP(mul)(v, OP(set1)(sign[e >> 31]))));
        }
    }
}

static void FN(hash)(T *RSK_RESTRICT table, ptrdiff_t width, const T *RSK_RESTRICT x, ptrdiff_t length,
                     const uint32_t *RSK_RESTRICT entries, ptrdiff_t nonzeros) {
    T strip[STRIP * BLOCK];
    const R one = REG(set1)(1);
    const ptrdiff_t whole = length / BLOCK * BLOCK;
    memset(table, 0, sizeof(T) * (size_t)(width * BLOCK));
    for (ptrdiff_t j = 0; j < whole; j += STRIP) {
        const ptrdiff_t wide = whole - j < STRIP ? whole - j : STRIP;
        for (int i = 0; i < BLOCK; i += LANES) {
            FN(transposed)(strip + i, BLOCK, x + i * length + j, length, LANES, wide, one, 0);
        }
        if (nonzeros == 1) FN(hash_columns)(table, strip, wide, entries + j, 1);
        else FN(hash_columns)(table, strip, wide, entries + j * nonzeros, nonzeros);
    }
    for (ptrdiff_t j = whole; j < length; j++)
        for (int row = 0; row < BLOCK; row++) strip[(j - whole) * BLOCK + row] = x[row * length + j];
    FN(hash_columns)(table, strip, length - whole, entries + whole * nonzeros, nonzeros);
}

static void FN(untable)(T *RSK_RESTRICT out, ptrdiff_t width, const T *RSK_RESTRICT table, T f) {
    const R factor = REG(set1)(f);
    const ptrdiff_t whole = width / BLOCK * BLOCK;
    for (ptrdiff_t k = 0; k < whole; k += STRIP) {
        const ptrdiff_t wide = whole - k < STRIP ? whole - k : STRIP;
        for (int j = 0; j < BLOCK; j += LANES)
            FN(transposed)(out + j * width + k, width, table + k * BLOCK + j, BLOCK, wide, LANES, factor, 1);
    }
    for (ptrdiff_t k = whole; k < width; k++)
        for (int row = 0; row < BLOCK; row++) out[row * width + k] = f * table[k * BLOCK + row];
}

#undef OP
#undef REG
#undef STRIP
#undef FN
#undef SUFFIX
#undef T
#undef V
#undef R
#undef LANES
