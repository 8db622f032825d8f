/* Sums of sketches in fixed point: whole numbers of 2^-32, so that a sum has the same bits in whatever order, and by whomever, its
 * parts were added. One thread reads about as fast as memory delivers. */
#include "parts/parts.h"

#include <math.h>

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
