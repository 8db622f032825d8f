/* Walsh-Hadamard transforms of rows of T, included once for float and once for double by transforms.c. */

typedef struct FN(fwht_job) {
    const T *x;
    T *out;
    ptrdiff_t n;
    double factor;
    unsigned char *spoilt; /* one a worker */
} FN(fwht_job);

/* n < 16: the transform of order 16 of [x; 0] begins with x's, for its last stages add zeros. */
static void FN(fwht_of_few)(T *out, const T *x, ptrdiff_t n, const rsk_transform *t) {
    T wide[RSK_LANES];
    KERNEL(transform)(wide, x, n, RSK_LANES, t);
    memcpy(out, wide, sizeof(T) * (size_t)n);
}

static void FN(fwht_run)(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) {
    const FN(fwht_job) *j = context;
    const ptrdiff_t n = j->n;
    const rsk_transform t = {.times = 1, .factor = j->factor};
    int finite = 1;
    forget_overflow();
    for (ptrdiff_t row = begin; row < end; row++) {
        T *out = j->out + row * n;
        if (n < RSK_LANES) FN(fwht_of_few)(out, j->x + row * n, n, &t);
        else KERNEL(transform)(out, j->x + row * n, n, n, &t);
        finite &= isfinite(*out) != 0;
    }
    if (!finite || overflowed()) j->spoilt[worker] = 1;
}

rsk_status FN(rsk_fwht)(const T *x, ptrdiff_t rows, ptrdiff_t n, double factor, T *out, int threads) {
    if (!x || !out || rows < 0 || !is_power_of_two(n) || !isfinite(factor) || threads < 1) return RSK_EINVAL;
    enum { MANY = 1 << 14 }; /* numbers worth waking a thread for */
    const ptrdiff_t chunk = n < MANY ? MANY / n : 1;
    const int workers = rsk_parallel_threads(threads, rows, chunk);
    unsigned char *spoilt = rsk_calloc(workers, 1);
    if (!spoilt) return RSK_ENOMEM;
    FN(fwht_job) j = {x, out, n, factor, spoilt};
    rsk_parallel(workers, rows, chunk, FN(fwht_run), &j);
    const rsk_status status = found(spoilt, workers);
    rsk_free(spoilt);
    return status;
}

int FN(rsk_within)(const T *x, ptrdiff_t n, ptrdiff_t step, double most) {
    if (n < 0 || (!x && n > 0) || !(most >= 0.0)) return n == 0; /* a bound below 0 holds for no number */
    const T limit = most < (double)LARGEST ? (T)most : LARGEST;
    if (step == 1) return KERNEL(within)(x, n, limit);
    int good = 1;
    for (ptrdiff_t i = 0; i < n; i++) good &= (x[i * step] >= -limit) & (x[i * step] <= limit); /* of a NaN neither is true */
    return good;
}
