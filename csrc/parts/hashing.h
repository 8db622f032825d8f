/* Hashed rows of T, included by hashing.c once for float and once for double. A number of the output is always computed as
 * 0 + its first input + ... + its last input, and then times the factor: dense and sparse rows, one or 16 at a time, have the
 * same bits. */

typedef struct FN(hash_job) {
    const rsk_hashing *h;
    const int64_t *ends, *columns; /* offsets and columns of CSR rows; NULL where the rows are dense */
    const T *x;
    T *out, *scratch;
} FN(hash_job);

static void FN(hash_row)(const rsk_hashing *h, const T *x, T *y) {
    const T f = (T)h->factor;
    const uint32_t *e = h->entries;
    memset(y, 0, sizeof(T) * (size_t)h->width);
    for (ptrdiff_t j = 0; h->nonzeros == 1 && j < h->length; j++) y[e[j] & RSK_HASH_ROW] += FN(sign)[e[j] >> 31] * x[j];
    for (ptrdiff_t j = 0; h->nonzeros > 1 && j < h->length; j++) {
        ptrdiff_t r = 0;
        for (; r + 4 <= h->nonzeros; r += 4, e += 4) { /* four products, and then their stores, which the compiler cannot reorder */
            const T a = FN(sign)[e[0] >> 31] * x[j], b = FN(sign)[e[1] >> 31] * x[j];
            const T c = FN(sign)[e[2] >> 31] * x[j], d = FN(sign)[e[3] >> 31] * x[j];
            y[e[0] & RSK_HASH_ROW] += a;
            y[e[1] & RSK_HASH_ROW] += b;
            y[e[2] & RSK_HASH_ROW] += c;
            y[e[3] & RSK_HASH_ROW] += d;
        }
        for (; r < h->nonzeros; r++, e++) y[*e & RSK_HASH_ROW] += FN(sign)[*e >> 31] * x[j];
    }
    for (ptrdiff_t k = 0; f != 1 && k < h->width; k++) y[k] *= f;
}

/* 16 rows at once. The table holds `width` blocks of 16 numbers, one for each row. */
static void FN(hash_rows)(const rsk_hashing *h, const T *x, T *y, T *table) {
    KERNEL(hash)(table, h->width, x, h->length, h->entries, h->nonzeros);
    KERNEL(untable)(y, h->width, table, (T)h->factor);
}

static void FN(hash_run)(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) {
    const FN(hash_job) *j = context;
    const rsk_hashing *h = j->h;
    const ptrdiff_t room = j->scratch ? RSK_LANES * (h->length + 2 * h->width) : 0; /* of a worker; rsk_hash checked it */
    while (j->scratch && end - begin >= FEWEST) {
        T *table = j->scratch + worker * room, *in = table + RSK_LANES * h->width, *out = in + RSK_LANES * h->length;
        const ptrdiff_t rows = end - begin < RSK_LANES ? end - begin : RSK_LANES;
        if (rows == RSK_LANES) FN(hash_rows)(h, j->x + begin * h->length, j->out + begin * h->width, table);
        else {
            memcpy(in, j->x + begin * h->length, sizeof(T) * (size_t)(rows * h->length));
            memset(in + rows * h->length, 0, sizeof(T) * (size_t)((RSK_LANES - rows) * h->length));
            FN(hash_rows)(h, in, out, table);
            memcpy(j->out + begin * h->width, out, sizeof(T) * (size_t)(rows * h->width));
        }
        begin += rows;
    }
    for (; begin < end; begin++) FN(hash_row)(h, j->x + begin * h->length, j->out + begin * h->width);
}

rsk_status FN(rsk_hash)(const rsk_hashing *h, const T *x, ptrdiff_t rows, T *out, int threads) {
    if (!valid(h) || !x || !out || rows < 0 || threads < 1) return RSK_EINVAL;
    const ptrdiff_t chunk = 4 * RSK_LANES; /* rows */
    const int workers = rsk_parallel_threads(threads, rows, chunk);
    FN(hash_job) j = {.h = h, .x = x, .out = out};
    if (rows >= FEWEST && h->width <= WIDEST) {
        if (h->length > PTRDIFF_MAX / 64 / RSK_LANES / workers) return RSK_ENOMEM;
        j.scratch = rsk_alloc(workers * RSK_LANES * (h->length + 2 * h->width), sizeof(T));
        if (!j.scratch) return RSK_ENOMEM;
    }
    rsk_parallel(workers, rows, chunk, FN(hash_run), &j);
    rsk_free(j.scratch);
    return RSK_OK;
}

/* ---------------------------------------------------------------- the adjoint: every number of x gathers from y */

static void FN(hash_run_back)(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) {
    const FN(hash_job) *j = context;
    const rsk_hashing *h = j->h;
    const T f = (T)h->factor;
    (void)worker;
    for (ptrdiff_t row = begin; row < end; row++) {
        const T *y = j->x + row * h->width;
        T *x = j->out + row * h->length;
        const uint32_t *e = h->entries;
        for (ptrdiff_t i = 0; i < h->length; i++) {
            T sum = 0;
            for (ptrdiff_t r = 0; r < h->nonzeros; r++, e++) sum += FN(sign)[*e >> 31] * y[*e & RSK_HASH_ROW];
            x[i] = f * sum;
        }
    }
}

rsk_status FN(rsk_hash_adjoint)(const rsk_hashing *h, const T *y, ptrdiff_t rows, T *out, int threads) {
    if (!valid(h) || !y || !out || rows < 0 || threads < 1) return RSK_EINVAL;
    FN(hash_job) j = {.h = h, .x = y, .out = out};
    rsk_parallel(threads, rows, RSK_LANES, FN(hash_run_back), &j);
    return RSK_OK;
}

/* ---------------------------------------------------------------- sparse rows */

static void FN(hash_run_csr)(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) {
    const FN(hash_job) *j = context;
    const rsk_hashing *h = j->h;
    const T f = (T)h->factor;
    (void)worker;
    for (ptrdiff_t row = begin; row < end; row++) {
        T *y = j->out + row * h->width;
        memset(y, 0, sizeof(T) * (size_t)h->width);
        for (int64_t i = j->ends[row]; i < j->ends[row + 1]; i++) {
            const uint32_t *e = h->entries + j->columns[i] * h->nonzeros;
            for (ptrdiff_t r = 0; r < h->nonzeros; r++) y[e[r] & RSK_HASH_ROW] += FN(sign)[e[r] >> 31] * j->x[i];
        }
        for (ptrdiff_t k = 0; f != 1 && k < h->width; k++) y[k] *= f;
    }
}

rsk_status FN(rsk_hash_csr)(const rsk_hashing *h, ptrdiff_t rows, const int64_t *ends, const int64_t *columns, ptrdiff_t size,
                            const T *x, T *out, int threads) {
    if (!valid(h) || !ends || !columns || !x || !out || rows < 0 || size < 0 || threads < 1) return RSK_EINVAL;
    if (ends[0] != 0 || ends[rows] != size) return RSK_EOFFSETS;
    for (ptrdiff_t i = 0; i < rows; i++)
        if (ends[i + 1] < ends[i]) return RSK_EOFFSETS;
    for (ptrdiff_t i = 0; i < size; i++)
        if (columns[i] < 0 || columns[i] >= h->length) return RSK_EORDER;
    FN(hash_job) j = {.h = h, .ends = ends, .columns = columns, .x = x, .out = out};
    rsk_parallel(threads, rows, RSK_LANES, FN(hash_run_csr), &j);
    return RSK_OK;
}

#undef T
#undef FN
#undef KERNEL
