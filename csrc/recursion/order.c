/* The order in which sketches are stored: the bits of coordinates' numbers are reversed. */
#include "recursion/recursion.h"

#include <string.h>

static ptrdiff_t reversed(ptrdiff_t k, int bits) {
    ptrdiff_t r = 0;
    for (int i = 0; i < bits; i++) r |= (k >> i & 1) << (bits - 1 - i);
    return r;
}

/* By tiles of 16 x 16, whose rows and columns are cache lines: the upper and lower four bits change places, and those between them are
 * reversed from tile to tile. */
void rsk_reorder(const rsk_spec *spec, const float *x, float *out) {
    static const uint8_t four[16] = {0, 8, 4, 12, 2, 10, 6, 14, 1, 9, 5, 13, 3, 11, 7, 15};
    const ptrdiff_t d = spec->dim, rows = d / 16;
    const int bits = rsk_log2(d);
    if (!spec->family->reversed) {
        memcpy(out, x, sizeof *out * (size_t)d);
    } else if (bits < 8) {
        for (ptrdiff_t k = 0; k < d; k++) out[reversed(k, bits)] = x[k];
    } else {
        for (ptrdiff_t q = 0; q < rows / 16; q++) {
            const float *from = x + 16 * q;
            float *to = out + 16 * reversed(q, bits - 8), tile[16][16];
            for (int i = 0; i < 16; i++)
                for (int k = 0; k < 16; k++) tile[k][four[i]] = from[i * rows + k];
            for (int k = 0; k < 16; k++) memcpy(to + four[k] * rows, tile[k], sizeof tile[k]);
        }
    }
}

void rsk_reorder_bytes(const rsk_spec *spec, const uint8_t *x, uint8_t *out) {
    const int bits = spec->family->reversed ? rsk_log2(spec->dim) : 0;
    for (ptrdiff_t k = 0; k < spec->dim; k++) out[bits ? reversed(k, bits) : k] = x[k];
}
