/* Sums of attributes and of their squares; of sketches in fixed point: whole numbers of 2^-32, so that a sum has the same
 * bits in whatever order, and by whomever, its parts were added; and sketches in halves. */
#include "parts/parts.h"

#include <float.h>
#include <math.h>
#include <string.h>

/* Rows in the order of their groups: order (rows,); room (groups + 1,) is overwritten. */
static void by_group(const int32_t *group, ptrdiff_t rows, ptrdiff_t groups, ptrdiff_t *order, ptrdiff_t *room) {
    for (ptrdiff_t g = 0; g <= groups; g++) room[g] = 0;
    for (ptrdiff_t r = 0; r < rows; r++) room[group[r] + 1]++;
    for (ptrdiff_t g = 0; g < groups; g++) room[g + 1] += room[g];
    for (ptrdiff_t r = 0; r < rows; r++) order[room[group[r]]++] = r;
}

/* A group's rows follow each other, so that its sums stay in a near cache, and are loaded once for RSK_ROWS rows. */
rsk_status rsk_add_fixed(const float *x, ptrdiff_t rows, ptrdiff_t dim, const int32_t *group, ptrdiff_t groups, int64_t *sums,
                         ptrdiff_t *where) {
    if (where) *where = -1;
    if (!x || !group || !sums || rows < 0 || dim < 1 || groups < 1) return RSK_EINVAL;
    if (dim > PTRDIFF_MAX / 8 / groups || (rows && dim > PTRDIFF_MAX / 8 / rows)) return RSK_EINVAL;
    for (ptrdiff_t r = 0; r < rows; r++)
        if (group[r] < 0 || group[r] >= groups) return RSK_EINVAL;
    ptrdiff_t *order = rsk_alloc(rows + groups + 1, sizeof *order);
    if (!order) return RSK_ENOMEM;
    by_group(group, rows, groups, order, order + rows);
    const rsk_kernels *k = rsk_kernels_current();
    const float limit = (float)RSK_LARGEST_FIXED;
    uint32_t most, bits;
    memcpy(&bits, &limit, sizeof bits);
    ptrdiff_t done = 0;
    for (most = 0; done < rows && most <= bits;) {
        const int32_t g = group[order[done]];
        const float *some[RSK_ROWS];
        int n = 0;
        for (; n < RSK_ROWS && done < rows && group[order[done]] == g; n++) some[n] = x + order[done++] * dim;
        most = k->add_fixed(sums + g * dim, some, n, dim);
    }
    if (most > bits) {
        while (done-- > 0) /* what was added is taken out again */
            for (ptrdiff_t r = order[done], i = 0; i < dim; i++) {
                int64_t *sum = sums + group[r] * dim + i;
                *sum = (int64_t)((uint64_t)*sum - rsk_fixed(x[r * dim + i]));
            }
        ptrdiff_t r = 0;
        while (k->within_f32(x + r * dim, dim, limit)) r++;
        if (where) *where = r;
    }
    rsk_free(order);
    return most > bits ? RSK_EVALUE : RSK_OK;
}

rsk_status rsk_halves(const float *x, ptrdiff_t rows, ptrdiff_t dim, uint16_t *out, float *scale, double *noise, ptrdiff_t *where) {
    if (where) *where = -1;
    if (!x || !out || !scale || !noise || rows < 0 || dim < 1 || (rows && dim > PTRDIFF_MAX / 4 / rows)) return RSK_EINVAL;
    for (ptrdiff_t r = 0; r < rows; r++) {
        double lost;
        if (!rsk_kernels_current()->halve(out + r * dim, x + r * dim, dim, scale + r, &lost)) {
            if (where) *where = r;
            return RSK_EVALUE;
        }
        noise[r] = sqrt(lost / (double)dim);
    }
    return RSK_OK;
}

/* Vectors of a kind that wait for others of it, so that sums are loaded and stored once for RSK_ROWS of them. */
typedef struct waiting {
    const float *rows[RSK_ROWS];
    int n;
} waiting;

typedef struct measures { /* as rsk_moments has them */
    const int64_t *place;
    const double *shift;
    double *sum, *square;
    int64_t *counts;
    double *tally;
    waiting *kinds;
} measures;

/* Adds the vectors of a kind that wait. Returns 0 if one has NaN or infinity. */
static int taken(const measures *m, ptrdiff_t k) {
    const int64_t at = m->place[k], length = m->place[k + 1] - at;
    int64_t *counts = m->counts + 2 * k;
    double squares[RSK_ROWS], *tally = m->tally + 4 * k;
    uint32_t bits;
    float largest;
    waiting *w = m->kinds + k;
    rsk_kernels_current()->moments(w->rows, w->n, length, m->shift + at, m->sum + at, m->square + at, squares, counts + 1, &bits);
    memcpy(&largest, &bits, sizeof largest);
    if ((double)largest > tally[3]) tally[3] = (double)largest;
    for (int i = 0; i < w->n; i++) {
        const double norm = sqrt(squares[i]);
        if (!counts[0]++) tally[0] = norm;
        tally[1] += norm - tally[0];
        tally[2] += (norm - tally[0]) * (norm - tally[0]);
    }
    w->n = 0;
    return largest <= FLT_MAX;
}

rsk_status rsk_moments(const float *x, const int64_t *ends, const int32_t *module, ptrdiff_t n, const int64_t *place, ptrdiff_t kinds,
                       const double *shift, double *sum, double *square, int64_t *counts, double *tally, ptrdiff_t *where) {
    if (where) *where = -1;
    if (!x || !ends || !module || !place || !shift || !sum || !square || !counts || !tally) return RSK_EINVAL;
    if (n < 0 || kinds < 0 || place[0]) return RSK_EINVAL;
    for (ptrdiff_t k = 0; k < kinds; k++) {
        if (place[k + 1] < place[k] || place[k + 1] - place[k] > 1 << 29) return RSK_EINVAL;
    }
    for (ptrdiff_t r = 0; r < n; r++) {
        if (module[r] < 0 || module[r] >= kinds) return RSK_EINVAL;
        if (ends[r + 1] - ends[r] == place[module[r] + 1] - place[module[r]]) continue;
        if (where) *where = r;
        return RSK_ESIZE;
    }
    const measures m = {place, shift, sum, square, counts, tally, rsk_calloc(kinds, sizeof(waiting))};
    if (!m.kinds) return RSK_ENOMEM;
    for (ptrdiff_t i = 0; i < 2 * kinds; i++) counts[i] = 0;
    for (ptrdiff_t i = 0; i < 4 * kinds; i++) tally[i] = 0.0;
    for (ptrdiff_t i = 0; i < place[kinds]; i++) sum[i] = square[i] = 0.0;
    int finite = 1;
    for (ptrdiff_t r = 0; r < n && finite; r++) {
        waiting *w = m.kinds + module[r];
        w->rows[w->n++] = x + ends[r];
        if (w->n == RSK_ROWS) finite = taken(&m, module[r]);
    }
    for (ptrdiff_t k = 0; k < kinds; k++) finite &= taken(&m, k);
    rsk_free(m.kinds);
    if (finite) return RSK_OK;
    ptrdiff_t r = 0;
    while (rsk_kernels_current()->within_f32(x + ends[r], ends[r + 1] - ends[r], FLT_MAX)) r++;
    if (where) *where = r;
    return RSK_EVALUE;
}
