/* Tensor sketches of LANES rows at once, included once for float (R = r32) and once for double (R = r64), after fwht.h.
 *
 * Rows are transposed in registers as they come: from there to the answer a register holds one coordinate of LANES rows. No
 * stage of a transform is inside a register then, and a sampled coordinate is one load. */

#define OP(name) RSK_JOIN(R, name)
#define STEP RSK_JOIN(FWHT, step)
#define FN(name) RSK_JOIN(name, SUFFIX)

/* Columns: at once in the first pass; of what goes through two passes before the next, to stay in L1. */
enum { FN(first) = LANES > RADIX ? LANES : RADIX, FN(part) = 16 * FN(first) };

/* The stages below `first` of one factor. */
static RSK_INLINE void FN(base)(T *RSK_RESTRICT h, const R *r, const uint16_t *RSK_RESTRICT bits, int from) {
    static const T sign[2] = {1, -1};
    const unsigned word = (unsigned)*bits >> from;
    R s[FN(first)];
    RSK_UNROLL for (int i = 0; i < FN(first); i++) s[i] = OP(mul)(r[i], OP(set1)(sign[word >> i & 1]));
    STEP(s, FN(first), UP, 0);
    RSK_UNROLL for (int i = 0; i < FN(first); i++) OP(store)(h + i * LANES, s[i]);
}

/* The stages from `stride` to below `count` times as much, of n columns. */
static RSK_INLINE void FN(joined)(T *h, ptrdiff_t n, ptrdiff_t stride, const int count) {
    for (ptrdiff_t k = 0; k < n; k += count * stride)
        for (ptrdiff_t j = k; j < k + stride; j++) {
            R r[16];
            RSK_UNROLL for (int i = 0; i < count; i++) r[i] = OP(load)(h + (j + i * stride) * LANES);
            STEP(r, count, UP, 0);
            RSK_UNROLL for (int i = 0; i < count; i++) OP(store)(h + (j + i * stride) * LANES, r[i]);
        }
}

/* The stages from `stride` to below n. Beyond a part columns are so far apart that sixteen of them do not fit a set of L1. */
static void FN(join_up)(T *h, ptrdiff_t n, ptrdiff_t stride) {
    for (; n / stride > 16 || (n / stride > 8 && stride >= FN(part)); stride *= 4) FN(joined)(h, n, stride, 4);
    switch (n / stride) {
    case 16: FN(joined)(h, n, stride, 16); break;
    case 8: FN(joined)(h, n, stride, 8); break;
    case 4: FN(joined)(h, n, stride, 4); break;
    case 2: FN(joined)(h, n, stride, 2); break;
    default: break;
    }
}

/* Numbers begin to end of the answer, real products or, with `paired`, complex ones, two numbers each. They come LANES at a time:
 * the last time begins early enough to fit, so that numbers before `begin` may be written, too. */
static RSK_INLINE void FN(products)(const rsk_tensor *t, const T *h, ptrdiff_t begin, ptrdiff_t end, double factor, T *const *to,
                                    const int paired) {
    const ptrdiff_t n = t->padded, degree = t->degree, used = t->used; /* in t a vector's store might change them */
    const int32_t *const first = t->index;
    const R f = OP(set1)((T)factor);
    for (ptrdiff_t next = begin; next < end; next += LANES) {
        const ptrdiff_t k = next < end - LANES ? next : end - LANES;
        const int32_t *index = first + k;
        R r[LANES];
        RSK_UNROLL for (int i = 0; i < LANES; i++) r[i] = OP(mul)(OP(load)(h + (ptrdiff_t)index[i] * LANES), f);
        const T *g = h;
        for (ptrdiff_t q = 1; q < degree; q++) {
            g += n * LANES, index += used;
            if (paired)
                RSK_UNROLL for (int i = 0; i < LANES; i += 2) {
                    const R a = r[i], b = r[i + 1];
                    const R c = OP(load)(g + (ptrdiff_t)index[i] * LANES), d = OP(load)(g + (ptrdiff_t)index[i + 1] * LANES);
                    r[i] = OP(sub)(OP(mul)(a, c), OP(mul)(b, d));
                    r[i + 1] = OP(add)(OP(mul)(a, d), OP(mul)(b, c));
                }
            else RSK_UNROLL for (int i = 0; i < LANES; i++) r[i] = OP(mul)(r[i], OP(load)(g + (ptrdiff_t)index[i] * LANES));
        }
        OP(transpose)(r);
        RSK_UNROLL for (int l = 0; l < LANES; l++) OP(store)(to[l] + k, r[l]);
    }
}

/* rows from 1 to LANES; the last one stands in for those that are missing, and is written again */
static void FN(tensor_rows)(const rsk_tensor *t, double pair_factor, const T *x, ptrdiff_t rows, T *out, T *h) {
    const ptrdiff_t n = t->padded, degree = t->degree, used = t->used; /* in t a vector's store might change them */
    const ptrdiff_t whole = t->length / FN(first) * FN(first), part = n < FN(part) ? n : FN(part);
    T tail[LANES][2 * FN(first)] = {{0}}; /* what is left of a row, with zeros; then nothing but these */
    const T *in[LANES], *end[LANES];
    T *to[LANES];
    for (int l = 0; l < LANES; l++) {
        const ptrdiff_t row = l < rows ? l : rows - 1;
        in[l] = x + row * t->length, to[l] = out + row * t->width, end[l] = tail[l];
        memcpy(tail[l], in[l] + whole, sizeof(T) * (size_t)(t->length - whole));
    }
    for (ptrdiff_t from = 0; from < n; from += part) {
        for (ptrdiff_t k = from; k < from + part; k += FN(first)) {
            const T *const *rows_at = k < whole ? in : end;
            const ptrdiff_t at = k < whole ? k : k > whole ? FN(first) : 0;
            R r[FN(first)];
            for (int i = 0; i < FN(first); i += LANES) {
                RSK_UNROLL for (int l = 0; l < LANES; l++) r[i + l] = OP(load)(rows_at[l] + at + i);
                OP(transpose)(r + i);
            }
            for (ptrdiff_t q = 0, j = k; q < degree; q++, j += n)
                FN(base)(h + j * LANES, r, t->signs + j / BLOCK, (int)(j % BLOCK));
        }
        for (ptrdiff_t q = 0; q < degree; q++) FN(join_up)(h + (q * n + from) * LANES, part, FN(first));
    }
    for (ptrdiff_t q = 0; q < degree; q++) FN(join_up)(h + q * n * LANES, n, part);
    FN(products)(t, h, 2 * t->pairs, used, t->factor, to, 0);
    FN(products)(t, h, 0, 2 * t->pairs, pair_factor, to, 1);
    for (int l = 0; l < LANES && used < t->width; l++) memset(to[l] + used, 0, sizeof(T) * (size_t)(t->width - used));
}

static ptrdiff_t FN(tensor)(const rsk_tensor *t, double pair_factor, const T *x, ptrdiff_t rows, T *out, T *h) {
    ptrdiff_t row = 0;
    for (; 2 * (rows - row) >= LANES; row += LANES)
        FN(tensor_rows)(t, pair_factor, x + row * t->length, rows - row < LANES ? rows - row : LANES, out + row * t->width, h);
    return row < rows ? row : rows;
}

#undef OP
#undef STEP
#undef FN
#undef SUFFIX
#undef T
#undef R
#undef LANES
#undef RADIX
#undef FWHT
