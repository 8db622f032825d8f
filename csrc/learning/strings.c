/* The strings in sketches of the block family: one block after the other, threads over sketches. */
#include "learning/learning.h"

#include <math.h>

#define CHUNK 4 /* sketches handed to a thread at a time: of 4,096 numbers a tenth of a millisecond, of 16,384 a third */

static int layout(ptrdiff_t dim, ptrdiff_t block, ptrdiff_t n, rsk_codes *c) {
    return n >= 0 && rsk_is_order(dim) && block <= dim / 32 && rsk_codes_make(dim, block, c);
}

rsk_status rsk_code_layout(ptrdiff_t dim, ptrdiff_t block, rsk_code_bits *out) {
    rsk_codes c;
    if (!out || !layout(dim, block, 0, &c)) return RSK_EINVAL;
    *out = (rsk_code_bits){.row = c.row_bits, .column = c.column_bits, .tag = c.tag_bits, .code = c.bits, .tail = c.tail};
    return RSK_OK;
}

rsk_status rsk_codes_read(ptrdiff_t dim, ptrdiff_t block, ptrdiff_t n, const uint64_t *codes, uint64_t *fields, double *signs) {
    rsk_codes c;
    if (!codes || !fields || !signs || !layout(dim, block, n, &c)) return RSK_EINVAL;
    for (ptrdiff_t i = 0; i < n; i++) {
        const uint64_t payload = rsk_code_payload(&c, codes[i]);
        rsk_code_unpack(&c, payload, &fields[3 * i], &fields[3 * i + 1], &fields[3 * i + 2]);
        signs[i] = rsk_code_sign(payload);
    }
    return RSK_OK;
}

rsk_status rsk_codes_write(ptrdiff_t dim, ptrdiff_t block, ptrdiff_t n, const uint64_t *fields, uint64_t *codes, double *signs) {
    rsk_codes c;
    if (!codes || !fields || !signs || !layout(dim, block, n, &c)) return RSK_EINVAL;
    for (ptrdiff_t i = 0; i < n; i++) {
        const uint64_t *f = fields + 3 * i;
        if (f[0] >> c.tag_bits || f[1] >> c.column_bits || f[2] >> c.row_bits) return RSK_EVALUE;
        const uint64_t payload = rsk_code_pack(&c, f[0], f[1], f[2]);
        codes[i] = rsk_code_of(&c, payload);
        signs[i] = rsk_code_sign(payload);
    }
    return RSK_OK;
}

/* ---------------------------------------------------------------- peeling */

typedef struct job {
    const float *sketches;
    const double *noise;
    const rsk_known *known;
    const rsk_peeling *out;
    ptrdiff_t dim, places;
    int block, most;
    rsk_stop *stop;
} job;

/* Of the mean square of a sketch: what is fainter is left alone. Strings that rounding leaves are at 1e-7 of it. */
#define FAINT 1e-4
#define LOUD 3.0 /* times the noise */

static double energy_of(const float *y, ptrdiff_t d) {
    double s[8] = {0};
    for (ptrdiff_t i = 0; i < d; i += 8)
        for (int k = 0; k < 8; k++) s[k] += (double)y[i + k] * (double)y[i + k];
    return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
}

static void peel(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) {
    const job *j = context;
    rsk_peeled p;
    for (ptrdiff_t n = begin; n < end && !rsk_stopped(j->stop, worker); n++) {
        const float *y = j->sketches + n * j->dim;
        const double energy = energy_of(y, j->dim), noise = j->noise ? j->noise[n] : 0.0;
        const double faint = FAINT * sqrt(energy / (double)j->dim), loud = LOUD * noise;
        double left = 0.0;
        for (ptrdiff_t at = 0; at < j->places; at++) {
            const ptrdiff_t k = n * j->places + at;
            rsk_peel_block(j->known, j->block, y + at * j->block, faint > loud ? faint : loud, noise, j->most, &p);
            for (int i = 0; i < RSK_PEEL_MOST; i++) {
                j->out->which[k * RSK_PEEL_MOST + i] = i < p.count ? p.which[i] : -1;
                j->out->amplitude[k * RSK_PEEL_MOST + i] = i < p.count ? (float)p.amplitude[i] : 0.0f;
            }
            j->out->rest[k] = (float)sqrt(p.energy / j->block);
            j->out->next[k] = p.next;
            j->out->end[k] = (uint8_t)p.end;
            left += p.energy;
        }
        j->out->energy[n] = energy;
        j->out->left[n] = left;
    }
}

rsk_status rsk_peel(ptrdiff_t dim, ptrdiff_t block, ptrdiff_t n, const float *sketches, const double *noise, ptrdiff_t count,
                    const uint64_t *codes, int most, const rsk_peeling *out, int threads, rsk_stop *stop) {
    rsk_codes c;
    rsk_known known;
    if (!sketches || !codes || !out || !out->which || !out->amplitude || !out->rest) return RSK_EINVAL;
    if (!out->next || !out->end || !out->energy || !out->left) return RSK_EINVAL;
    if (count < 0 || count > INT32_MAX || most < 1 || most > RSK_PEEL_MOST || threads < 1) return RSK_EINVAL;
    if (!layout(dim, block, n, &c)) return RSK_EINVAL;
    rsk_status status = rsk_known_make(codes, count, &known);
    if (status != RSK_OK) return status;
    job j = {sketches, noise, &known, out, dim, dim / block, (int)block, most, stop};
    status = rsk_parallel_until(stop, threads, n, CHUNK, peel, &j);
    rsk_known_free(&known);
    return status;
}
