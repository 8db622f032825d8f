/* Structured projections of rows of T, included once for float and once for double by transforms.c. */

typedef struct FN(project_job) {
    const rsk_projection *p;
    int transpose;
    const T *x;
    T *out, *scratch;
    unsigned char *spoilt; /* one a worker */
} FN(project_job);

/* y = the first `width` numbers of every block's H D3 H D2 H D1 [x; 0] */
static void FN(project_row)(const rsk_projection *p, const T *x, T *y, T *scratch) {
    const ptrdiff_t words = p->padded / RSK_LANES;
    for (ptrdiff_t k = 0, b = 0; k < p->width; k += p->padded, b++) {
        const uint16_t *s = p->signs + 3 * b * words;
        const rsk_transform t = {3, {s, s + words, s + 2 * words, NULL}, p->factor};
        const ptrdiff_t left = p->width - k;
        KERNEL(transform)(left < p->padded ? scratch : y + k, x, p->length, p->padded, &t);
        if (left < p->padded) memcpy(y + k, scratch, sizeof(T) * (size_t)left);
    }
}

/* x = the sum of the blocks' D1 H D2 H D3 H [y; 0] */
static void FN(project_row_back)(const rsk_projection *p, const T *y, T *x, T *scratch) {
    const ptrdiff_t words = p->padded / RSK_LANES;
    for (ptrdiff_t k = 0, b = 0; k < p->width; k += p->padded, b++) {
        const uint16_t *s = p->signs + 3 * b * words;
        const rsk_transform t = {3, {NULL, s + 2 * words, s + words, s}, p->factor};
        const ptrdiff_t left = p->width - k;
        KERNEL(transform)(scratch, y + k, left < p->padded ? left : p->padded, p->padded, &t);
        if (b == 0) memcpy(x, scratch, sizeof(T) * (size_t)p->length);
        else
            for (ptrdiff_t i = 0; i < p->length; i++) x[i] += scratch[i];
    }
}

static void FN(project_run)(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) {
    const FN(project_job) *j = context;
    const rsk_projection *p = j->p;
    T *scratch = j->scratch + worker * p->padded;
    int finite = 1;
    forget_overflow();
    for (ptrdiff_t row = begin; row < end; row++) {
        const T *x = j->x + row * (j->transpose ? p->width : p->length);
        T *out = j->out + row * (j->transpose ? p->length : p->width);
        if (j->transpose) FN(project_row_back)(p, x, out, scratch);
        else FN(project_row)(p, x, out, scratch);
        finite &= isfinite(*out) != 0;
    }
    if (!finite || overflowed()) j->spoilt[worker] = 1;
}

rsk_status FN(rsk_project)(const rsk_projection *p, int transpose, const T *x, ptrdiff_t rows, T *out, int threads) {
    if (!valid_projection(p) || !x || !out || rows < 0 || threads < 1) return RSK_EINVAL;
    const ptrdiff_t chunk = p->padded < 8192 ? 8192 / p->padded : 1;
    const int workers = rsk_parallel_threads(threads, rows, chunk);
    T *scratch = rsk_alloc(workers * p->padded, sizeof(T));
    unsigned char *spoilt = rsk_calloc(workers, 1);
    rsk_status status = scratch && spoilt ? RSK_OK : RSK_ENOMEM;
    if (status == RSK_OK) {
        FN(project_job) j = {p, transpose, x, out, scratch, spoilt};
        rsk_parallel(workers, rows, chunk, FN(project_run), &j);
        status = found(spoilt, workers);
    }
    rsk_free(scratch);
    rsk_free(spoilt);
    return status;
}
