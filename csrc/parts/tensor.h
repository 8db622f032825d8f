/* Tensor sketches of rows of T, included once for float and once for double by tensor.c. Whatever the way, a number of the
 * output is the product of the factors' from the first to the last, the first one times the sketch's factor. */

typedef struct FN(tensor_job) {
    const rsk_tensor *t;
    const T *x;
    T *out, *scratch;
    ptrdiff_t room; /* of a worker's scratch */
    int many;       /* rows at once, where there are */
} FN(tensor_job);

static void FN(tensor_row)(const rsk_tensor *t, const T *x, T *RSK_RESTRICT y, T *RSK_RESTRICT h) {
    const ptrdiff_t words = t->padded / RSK_LANES;
    for (ptrdiff_t q = 0; q < t->degree; q++) {
        const rsk_transform one = {1, {t->signs + q * words, NULL, NULL, NULL}, q ? 1.0 : t->factor};
        KERNEL(transform)(h + q * t->padded, x, t->length, t->padded, &one, NULL);
    }
    for (ptrdiff_t k = 0; k < t->used; k++) y[k] = h[t->index[k]];
    for (ptrdiff_t q = 1; q < t->degree; q++) {
        const int32_t *index = t->index + q * t->used;
        for (ptrdiff_t k = 0; k < t->used; k++) y[k] *= h[q * t->padded + index[k]];
    }
    memset(y + t->used, 0, sizeof(T) * (size_t)(t->width - t->used));
}

static void FN(tensor_run)(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) {
    const FN(tensor_job) *j = context;
    const rsk_tensor *t = j->t;
    T *scratch = j->scratch + worker * j->room;
    if (j->many)
        begin += KERNEL(tensor)(t, j->x + begin * t->length, end - begin, j->out + begin * t->width, scratch);
    for (; begin < end; begin++) FN(tensor_row)(t, j->x + begin * t->length, j->out + begin * t->width, scratch);
}

rsk_status FN(rsk_tensor_sketch)(const rsk_tensor *t, const T *x, ptrdiff_t rows, T *out, int threads) {
    if (!valid(t) || !x || !out || rows < 0 || threads < 1) return RSK_EINVAL;
    const ptrdiff_t size = t->degree * t->padded;
    const int many = size <= MOST && t->used >= RSK_LANES;
    const ptrdiff_t at_once = many ? RSK_LANES : 1, room = at_once * size;
    const ptrdiff_t chunk = 8192 / t->padded > at_once ? 8192 / t->padded : at_once;
    const int workers = rsk_parallel_threads(threads, rows, chunk);
    T *scratch = rsk_alloc(workers * room, sizeof(T));
    if (!scratch) return RSK_ENOMEM;
    FN(tensor_job) j = {t, x, out, scratch, room, many};
    rsk_parallel(workers, rows, chunk, FN(tensor_run), &j);
    rsk_free(scratch);
    return RSK_OK;
}

#undef T
#undef FN
#undef KERNEL
