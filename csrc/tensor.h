/* Tensor sketches of rows of T, included once for float and once for double by tensor.c. */

typedef struct FN(tensor_job) {
    const rsk_tensor *t;
    const T *x;
    T *out, *scratch;
} FN(tensor_job);

static void FN(tensor_row)(const rsk_tensor *t, const T *x, T *RSK_RESTRICT y, T *RSK_RESTRICT h) {
    const ptrdiff_t words = t->padded / RSK_LANES;
    for (ptrdiff_t q = 0; q < t->degree; q++) {
        const rsk_transform one = {1, {t->signs + q * words, NULL, NULL, NULL}, q ? 1.0 : t->factor};
        KERNEL(transform)(h + q * t->padded, x, t->length, t->padded, &one, NULL);
    }
    const int32_t *a = t->index, *b = a + t->used;
    const T *second = h + t->padded;
    if (t->degree == 1)
        for (ptrdiff_t k = 0; k < t->used; k++) y[k] = h[a[k]];
    else
        for (ptrdiff_t k = 0; k < t->used; k++) y[k] = h[a[k]] * second[b[k]];
    for (ptrdiff_t q = 2; q < t->degree; q++) {
        const int32_t *c = t->index + q * t->used;
        for (ptrdiff_t k = 0; k < t->used; k++) y[k] *= h[q * t->padded + c[k]];
    }
    memset(y + t->used, 0, sizeof(T) * (size_t)(t->width - t->used));
}

static void FN(tensor_run)(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) {
    const FN(tensor_job) *j = context;
    const rsk_tensor *t = j->t;
    for (ptrdiff_t row = begin; row < end; row++)
        FN(tensor_row)(t, j->x + row * t->length, j->out + row * t->width, j->scratch + worker * t->degree * t->padded);
}

rsk_status FN(rsk_tensor_sketch)(const rsk_tensor *t, const T *x, ptrdiff_t rows, T *out, int threads) {
    if (!valid(t) || !x || !out || rows < 0 || threads < 1) return RSK_EINVAL;
    if (rows == 0) return RSK_OK;
    const ptrdiff_t chunk = t->padded < 8192 ? 8192 / t->padded : 1;
    const int workers = rsk_parallel_threads(threads, rows, chunk);
    T *scratch = rsk_alloc(workers * t->degree * t->padded, sizeof(T));
    if (!scratch) return RSK_ENOMEM;
    FN(tensor_job) j = {t, x, out, scratch};
    rsk_parallel(workers, rows, chunk, FN(tensor_run), &j);
    rsk_free(scratch);
    return RSK_OK;
}

#undef T
#undef FN
#undef KERNEL
