/* Tensor sketches of rows of T, included once for float and once for double by tensor.c. Both ways, a row alone and many at once,
 * multiply in one order, so that they give the same bits: the first factor's coordinate times the sketch's factor, then the
 * second's, and so on to the last. */

typedef struct FN(tensor_job) {
    const rsk_tensor *t;
    const T *x;
    T *out, *scratch;
    ptrdiff_t room; /* of a worker's scratch */
    int many;       /* rows at once, where there are */
} FN(tensor_job);

/* A row alone: its factors one after the other, so that h holds one transform only. */
static void FN(tensor_row)(const rsk_tensor *t, const T *x, T *RSK_RESTRICT y, T *RSK_RESTRICT h) {
    const ptrdiff_t used = t->used, paired = 2 * t->pairs;
    const T factor = (T)t->factor, half = (T)pair_factor(t);
    for (ptrdiff_t q = 0; q < t->degree; q++) {
        const int32_t *index = t->index + q * used;
        const rsk_transform one = {1, {t->signs + q * (t->padded / RSK_LANES), NULL, NULL, NULL}, 1.0};
        KERNEL(transform)(h, x, t->length, t->padded, &one);
        if (q == 0) {
            for (ptrdiff_t k = 0; k < used; k++) y[k] = h[index[k]] * (k < paired ? half : factor);
            continue;
        }
        for (ptrdiff_t k = 0; k < paired; k += 2) {
            const T a = y[k], b = y[k + 1], c = h[index[k]], d = h[index[k + 1]];
            y[k] = a * c - b * d, y[k + 1] = a * d + b * c;
        }
        for (ptrdiff_t k = paired; k < used; k++) y[k] *= h[index[k]];
    }
    memset(y + used, 0, sizeof(T) * (size_t)(t->width - used));
}

static void FN(tensor_run)(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) {
    const FN(tensor_job) *j = context;
    const rsk_tensor *t = j->t;
    T *scratch = j->scratch + worker * j->room;
    if (j->many)
        begin += KERNEL(tensor)(t, pair_factor(t), j->x + begin * t->length, end - begin, j->out + begin * t->width, scratch);
    for (; begin < end; begin++) FN(tensor_row)(t, j->x + begin * t->length, j->out + begin * t->width, scratch);
}

rsk_status FN(rsk_tensor_sketch)(const rsk_tensor *t, const T *x, ptrdiff_t rows, T *out, int threads) {
    if (!valid(t) || !x || !out || rows < 0 || threads < 1) return RSK_EINVAL;
    const ptrdiff_t size = t->degree * t->padded;
    const int many = size <= MOST && t->used >= RSK_LANES && (!t->pairs || 2 * t->pairs >= RSK_LANES);
    const ptrdiff_t at_once = many ? RSK_LANES : 1, room = many ? at_once * size : t->padded;
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
