/* Walsh-Hadamard transform over blocks of 16, included once for float (V = v16) and once for double (V = w16).
 *
 * Stages 1..8 happen inside a block, up to four more among the 16 blocks of a base held in registers, the rest in passes of
 * up to four stages over strided blocks; parts of at most 32 KiB are finished first, to stay in L1. Whatever the grouping,
 * an element goes through the stages in ascending order: the bits do not depend on it. */

#define OP(name) RSK_JOIN(V, name)
#define FN(name) RSK_JOIN(FWHT, name)

/* count blocks, `stride` elements apart. count is a constant wherever this is inlined. */
static RSK_INLINE void FN(group)(T *x, ptrdiff_t stride, const int count, const int inside) {
    V r[16];
    RSK_UNROLL for (int i = 0; i < count; i++) {
        r[i] = OP(load)(x + i * stride);
        if (inside) r[i] = OP(hadamard)(r[i]);
    }
    RSK_UNROLL for (int h = 1; h < count; h *= 2)
        RSK_UNROLL for (int i = 0; i < count; i++)
            if (!(i & h)) {
                const V a = r[i], b = r[i + h];
                r[i] = OP(add)(a, b);
                r[i + h] = OP(sub)(a, b);
            }
    RSK_UNROLL for (int i = 0; i < count; i++) OP(store)(x + i * stride, r[i]);
}

static RSK_INLINE void FN(base)(T *x, ptrdiff_t n, const int count) {
    for (ptrdiff_t k = 0; k < n; k += count * BLOCK) FN(group)(x + k, BLOCK, count, 1);
}

static RSK_INLINE void FN(pass)(T *x, ptrdiff_t n, ptrdiff_t stride, const int count) {
    for (ptrdiff_t k = 0; k < n; k += count * stride)
        for (ptrdiff_t j = k; j < k + stride; j += BLOCK) FN(group)(x + j, stride, count, 0);
}

/* all stages of a stride in [from, n) */
static void FN(above)(T *x, ptrdiff_t n, ptrdiff_t from) {
    while (from < n) {
        const ptrdiff_t left = n / from;
        const int radix = left >= 16 ? 16 : (int)left;
        switch (radix) {
        case 16: FN(pass)(x, n, from, 16); break;
        case 8: FN(pass)(x, n, from, 8); break;
        case 4: FN(pass)(x, n, from, 4); break;
        default: FN(pass)(x, n, from, 2);
        }
        from *= radix;
    }
}

static void FWHT(T *x, ptrdiff_t n) {
    const ptrdiff_t cache = 32768 / (ptrdiff_t)sizeof(T), part = n < cache ? n : cache;
    for (ptrdiff_t k = 0; k < n; k += part) {
        switch (part / BLOCK) {
        case 1: FN(base)(x + k, part, 1); break;
        case 2: FN(base)(x + k, part, 2); break;
        case 4: FN(base)(x + k, part, 4); break;
        case 8: FN(base)(x + k, part, 8); break;
        default: FN(base)(x + k, part, 16);
        }
        FN(above)(x + k, part, 16 * BLOCK);
    }
    FN(above)(x, n, part);
}

#undef OP
#undef FN
#undef T
#undef V
#undef FWHT
