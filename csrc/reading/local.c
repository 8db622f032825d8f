/* The noise that a counter meets where it stands in few blocks. A score against a column that is spread over the whole sketch has the noise
 * of the whole residual. A counter of the block family meets r blocks, and a loud string in one of them is no rare event: with the noise of
 * the whole, scores of nothing are heavy-tailed (the largest of 50 was 6.5 standard deviations). So its noise is estimated from the energy of
 * the blocks that it occupies, as operators move them: T leaves cos^2 of a block's energy where it was, and moves the rest by its mask. */
#include "reading/reading.h"

#include <math.h>

void rsk_block_energies(const rsk_spec *spec, const float *x, double *energy) {
    const ptrdiff_t b = spec->codes.block, blocks = rsk_blocks(spec);
    double all = 0.0;
    for (ptrdiff_t k = 0; k < blocks; k++) {
        double sum = 0.0;
        for (ptrdiff_t i = 0; i < b; i++) sum += (double)x[k * b + i] * (double)x[k * b + i];
        energy[k] = sum, all += sum;
    }
    energy[blocks] = all;
}

/* The energy of block k behind `count` operators transposed, the last of a row first. */
static double behind(const rsk_spec *spec, const double *energy, const rsk_rotation *const *row, int count, ptrdiff_t k) {
    if (!count) return energy[k];
    const double c2 = spec->cosine * spec->cosine / spec->stretch2;
    const ptrdiff_t other = k ^ row[0]->turn.mask[0] / spec->codes.block;
    return c2 * behind(spec, energy, row + 1, count - 1, k) + (1.0 - c2) * behind(spec, energy, row + 1, count - 1, other);
}

double rsk_counter_weight(const rsk_spec *spec, ptrdiff_t module, ptrdiff_t position, const double *energy, double score) {
    if (!rsk_blocks(spec) || !(energy[rsk_blocks(spec)] > 0.0)) return 1.0;
    const rsk_rotation *row[RSK_ROW_OF];
    const int count = rsk_row(spec, RSK_FROM_ATTR, module, position, row);
    const int32_t *at = spec->module[module].strings.counter;
    const double c2 = spec->cosine * spec->cosine / spec->stretch2, each = c2 * c2 + (1.0 - c2) * (1.0 - c2);
    double sum = 0.0;
    for (ptrdiff_t t = 0; t < spec->per_column; t++) sum += behind(spec, energy, row, count, at[t]);
    /* What the counter itself left there is no noise: of its energy in its blocks the operators leave `each` where they return it to. */
    sum -= rsk_power(each, count) * score * score;
    const double mean = energy[rsk_blocks(spec)] / (double)rsk_blocks(spec);
    /* Where blocks are quiet the error is that of the model, as an amplitude that is a little wrong: no counter weighs more than 1. */
    return 1.0 / fmax(sum / ((double)spec->per_column * mean), 1.0);
}
