/* A block taken apart. Everything is in doubles and in one stated order, so that the bits are the same however this is compiled. */
#include "learning/learning.h"

#include <math.h>

#define LARGEST_BLOCK 64
#define CLEAN 0.2        /* deviation over mean of |y|, below which a block is one string alone */
#define INDEPENDENT 1e-6 /* of a block, the least pivot: strings that differ in one sign have 4 (1 - 1/b) */

/* The sum of n numbers, a multiple of eight, in eight interleaved sums that are folded by halves. */
static double sum(const double *x, int n) {
    double s[8] = {0};
    for (int i = 0; i < n; i += 8)
        for (int k = 0; k < 8; k++) s[k] += x[i + k];
    return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
}

/* The signs of a block but for the first, relative to the first: bit k is set where y[k + 1] has the other sign. Zeros are positive. */
static uint64_t code_of(const double *y, int block) {
    uint64_t bits = 0;
    for (int k = 0; k < block; k++) bits |= (uint64_t)(y[k] < 0.0) << k;
    return ((bits & 1 ? ~bits : bits) & (UINT64_MAX >> (64 - block))) >> 1;
}

/* The string of a code. */
static void write_string(uint64_t code, int block, double *s) {
    const uint64_t bits = code << 1;
    for (int k = 0; k < block; k++) s[k] = 1.0 - 2.0 * (double)(bits >> k & 1);
}

static int bits_of(uint64_t x) {
    int n = 0;
    for (; x; x &= x - 1) n++;
    return n;
}

/* min |y - sum of a_i s_i|: the Gram matrix of signs is whole numbers, and L D L^T of it has at most four rows. */
typedef struct fit {
    int count, block;
    double s[RSK_PEEL_MOST][LARGEST_BLOCK]; /* strings */
    uint64_t code[RSK_PEEL_MOST];
    double l[RSK_PEEL_MOST][RSK_PEEL_MOST], pivot[RSK_PEEL_MOST];
    double z[RSK_PEEL_MOST]; /* L^-1 of the strings' products with y */
} fit;

/* Adds a string. Returns 0, and leaves the fit, if it is a sum of the others. */
static int extend(fit *f, uint64_t code, const double *y) {
    const int n = f->count;
    double *s = f->s[n], *l = f->l[n], product[LARGEST_BLOCK], pivot = f->block;
    write_string(code, f->block, s);
    for (int j = 0; j < n; j++) {
        double g = f->block - 2 * bits_of(code ^ f->code[j]);
        for (int i = 0; i < j; i++) g -= l[i] * f->l[j][i] * f->pivot[i];
        l[j] = g / f->pivot[j];
        pivot -= l[j] * l[j] * f->pivot[j];
    }
    if (!(pivot > INDEPENDENT * f->block)) return 0;
    for (int k = 0; k < f->block; k++) product[k] = s[k] * y[k];
    double z = sum(product, f->block);
    for (int j = 0; j < n; j++) z -= l[j] * f->z[j];
    f->z[n] = z;
    f->pivot[n] = pivot;
    f->code[n] = code;
    f->count = n + 1;
    return 1;
}

/* The amplitudes, and what is left of y. */
static void solve(const fit *f, const double *y, double *a, double *left) {
    for (int i = f->count - 1; i >= 0; i--) {
        a[i] = f->z[i] / f->pivot[i];
        for (int j = i + 1; j < f->count; j++) a[i] -= f->l[j][i] * a[j];
    }
    for (int k = 0; k < f->block; k++) left[k] = y[k];
    for (int i = 0; i < f->count; i++)
        for (int k = 0; k < f->block; k++) left[k] -= a[i] * f->s[i][k];
}

/* Whether numbers of this mean magnitude are all of one magnitude. */
static int is_clean(const double *y, int block, double mean, double noise) {
    double off[LARGEST_BLOCK];
    for (int k = 0; k < block; k++) off[k] = (fabs(y[k]) - mean) * (fabs(y[k]) - mean);
    return sqrt(sum(off, block) / block) <= CLEAN * mean + noise;
}

void rsk_peel_block(const rsk_known *known, int block, const float *y, double floor, double noise, int most, rsk_peeled *out) {
    double given[LARGEST_BLOCK], left[LARGEST_BLOCK], size[LARGEST_BLOCK];
    fit f;
    f.count = 0, f.block = block;
    for (int k = 0; k < block; k++) left[k] = given[k] = (double)y[k];
    out->end = RSK_PEEL_DONE;
    out->next = 0;
    for (;;) {
        for (int k = 0; k < block; k++) size[k] = fabs(left[k]);
        const double mean = sum(size, block) / block;
        if (mean <= floor || f.count == most) break;
        const uint64_t code = code_of(left, block);
        const int32_t which = rsk_known_find(known, code);
        if (which < 0) {
            out->next = code;
            out->end = is_clean(left, block, mean, noise) ? RSK_PEEL_CLEAN : RSK_PEEL_UNKNOWN;
            break;
        }
        int repeated = 0;
        for (int i = 0; i < f.count; i++) repeated |= f.code[i] == code;
        if (repeated || !extend(&f, code, given)) break;
        out->which[f.count - 1] = which;
        solve(&f, given, out->amplitude, left);
    }
    for (int k = 0; k < block; k++) size[k] = left[k] * left[k];
    out->energy = sum(size, block);
    out->count = f.count;
}
