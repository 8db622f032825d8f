/* Floats as IEEE halves times a power of two, so that none of their eleven bits is lost to small numbers. The second pass over a row
 * finds it in L1, and takes its error, which is exact in floats, along. */

/* out = the halves of 16 numbers over the scale; lane[i] += the squared error of the i-th */
static RSK_INLINE void halve_block(uint16_t *out, const float *x, v16 inverse, v16 scale, double *lane) {
    float back[BLOCK];
    v16_to_half(out, v16_mul(v16_load(x), inverse));
    v16_store(back, v16_mul(v16_half(out), scale));
    for (int i = 0; i < BLOCK; i++) {
        const double error = (double)(x[i] - back[i]);
        lane[i] += error * error;
    }
}

static int halve(uint16_t *RSK_RESTRICT out, const float *RSK_RESTRICT x, ptrdiff_t n, float *scale, double *lost) {
    const uint32_t most = largest_magnitude(x, n);
    if (most > magnitude(RSK_MAX_VALUE)) return 0;
    float largest;
    int exponent;
    memcpy(&largest, &most, sizeof largest);
    (void)frexpf(largest, &exponent);
    exponent = exponent < -111 ? -126 : exponent - 15;
    *scale = ldexpf(1.0f, exponent);
    const v16 inverse = v16_set1(ldexpf(1.0f, -exponent)), by = v16_set1(*scale);
    double lane[BLOCK] = {0};
    ptrdiff_t k = 0;
    for (; k + BLOCK <= n; k += BLOCK) halve_block(out + k, x + k, inverse, by, lane);
    if (k < n) {
        float rest[BLOCK] = {0};
        uint16_t ends[BLOCK];
        memcpy(rest, x + k, (size_t)(n - k) * sizeof *rest);
        halve_block(ends, rest, inverse, by, lane);
        memcpy(out + k, ends, (size_t)(n - k) * sizeof *ends);
    }
    *lost = w16_sum(w16_load(lane));
    return 1;
}
