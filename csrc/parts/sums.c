/* Sums of attributes and of their squares; and of sketches in fixed point: whole numbers of 2^-32, so that a sum has the
 * same bits in whatever order, and by whomever, its parts were added. */
#include "parts/parts.h"

#include <float.h>
#include <math.h>
#include <string.h>

rsk_status rsk_add_fixed(const float *x, ptrdiff_t rows, ptrdiff_t dim, const int32_t *group, ptrdiff_t groups, int64_t *sums,
                         ptrdiff_t *where) {
    if (where) *where = -1;
    if (!x || !group || !sums || rows < 0 || dim < 1 || groups < 1) return RSK_EINVAL;
    if (dim > PTRDIFF_MAX / 8 / groups || (rows && dim > PTRDIFF_MAX / 8 / rows)) return RSK_EINVAL;
    for (ptrdiff_t r = 0; r < rows; r++)
        if (group[r] < 0 || group[r] >= groups) return RSK_EINVAL;
    const rsk_kernels *k = rsk_kernels_current();
    for (ptrdiff_t r = 0; r < rows; r++) {
        const float *row = x + r * dim;
        if (k->within_f32(row, dim, (float)RSK_LARGEST_FIXED)) {
            k->add_fixed(sums + group[r] * dim, row, dim);
            continue;
        }
        if (where) *where = r;
        while (r-- > 0) /* what was added is taken out again */
            for (ptrdiff_t i = 0; i < dim; i++) sums[group[r] * dim + i] -= (int64_t)rint((double)x[r * dim + i] * 0x1p32);
        return RSK_EVALUE;
    }
    return RSK_OK;
}

rsk_status rsk_moments(const float *x, const int64_t *ends, const int32_t *module, ptrdiff_t n, const int64_t *place, ptrdiff_t kinds,
                       const double *shift, double *sum, double *square, int64_t *counts, double *tally, ptrdiff_t *where) {
    if (where) *where = -1;
    if (!x || !ends || !module || !place || !shift || !sum || !square || !counts || !tally) return RSK_EINVAL;
    if (n < 0 || kinds < 0 || place[0]) return RSK_EINVAL;
    for (ptrdiff_t k = 0; k < kinds; k++) {
        if (place[k + 1] < place[k] || place[k + 1] - place[k] > 1 << 30) return RSK_EINVAL;
    }
    for (ptrdiff_t i = 0; i < 2 * kinds; i++) counts[i] = 0;
    for (ptrdiff_t i = 0; i < 4 * kinds; i++) tally[i] = 0.0;
    for (ptrdiff_t i = 0; i < place[kinds]; i++) sum[i] = square[i] = 0.0;
    const rsk_kernels *kernels = rsk_kernels_current();
    for (ptrdiff_t r = 0, next = 0; r < n; r = next) {
        const int32_t k = module[r];
        if (k < 0 || k >= kinds) return RSK_EINVAL;
        const int64_t at = place[k], length = place[k + 1] - at;
        const float *rows[RSK_ROWS];
        double squares[RSK_ROWS];
        uint32_t most[RSK_ROWS];
        for (; next < n && next - r < RSK_ROWS && module[next] == k; next++) { /* neighbours of one kind in one pass */
            if (where) *where = next;
            if (ends[next + 1] - ends[next] != length) return RSK_ESIZE;
            rows[next - r] = x + ends[next];
        }
        kernels->moments(rows, (int)(next - r), length, shift + at, sum + at, square + at, squares, counts + 2 * k + 1, most);
        for (ptrdiff_t i = 0; i < next - r; i++) {
            double *t = tally + 4 * k;
            const double norm = sqrt(squares[i]);
            float largest;
            memcpy(&largest, most + i, sizeof largest);
            if (where) *where = r + i;
            if (!(largest <= (double)FLT_MAX)) return RSK_EVALUE;
            if (!counts[2 * k]++) t[0] = norm;
            t[1] += norm - t[0];
            t[2] += (norm - t[0]) * (norm - t[0]);
            if ((double)largest > t[3]) t[3] = (double)largest;
        }
    }
    if (where) *where = -1;
    return RSK_OK;
}
