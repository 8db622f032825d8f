/* What is sketched of an attribute (csrc/recursion/attributes.c). No loop over elements has a branch, so that compilers use registers. */

/* out = y / norm, rounded to double and then to float; norm > 0 is a root, and so at least 2^-537. A quotient lies between two products
 * that differ by 2^-49 of it, at most 2^-25 of a float's step: where both are rounded to one float, it is rounded to that, too. A division
 * takes as long as eight products. */
static void divide(const double *y, ptrdiff_t a, double norm, float *RSK_RESTRICT out) {
    const double below = (1.0 - 0x1p-50) / norm, above = (1.0 + 0x1p-50) / norm;
    int same = 1;
    for (ptrdiff_t i = 0; i < a; i++) {
        out[i] = (float)(y[i] * below);
        same &= out[i] == (float)(y[i] * above);
    }
    for (ptrdiff_t i = 0; !same && i < a; i++) out[i] = (float)(y[i] / norm);
}

static double encode(const float *RSK_RESTRICT x, const float *RSK_RESTRICT centre, double scale, ptrdiff_t a, int polar,
                     double *RSK_RESTRICT y, float *RSK_RESTRICT out) {
    if (!centre)
        for (ptrdiff_t i = 0; i < a; i++) y[i] = (double)x[i] * scale;
    else
        for (ptrdiff_t i = 0; i < a; i++) y[i] = ((double)x[i] - (double)centre[i]) * scale;
    const ptrdiff_t blocks = (a + BLOCK - 1) / BLOCK * BLOCK;
    for (ptrdiff_t i = a; i < blocks; i++) y[i] = 0.0;
    const double square = dot(y, y, blocks), norm = sqrt(square), sure = 0.99 * RSK_MAX_VALUE * RSK_MAX_VALUE;
    if (!(square <= sure) && !within_f64(y, a, (double)RSK_MAX_VALUE)) return -1.0; /* of few numbers one may be too large */
    if (polar && norm > 0.0) divide(y, a, norm, out);
    else
        for (ptrdiff_t i = 0; i < a; i++) out[i] = polar ? 0.0f : (float)y[i];
    return norm;
}
