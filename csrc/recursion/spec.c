/* A specification's random matrices: packed sign bits, and of strings where they stand. */
#include "recursion/recursion.h"

#include <math.h>
#include <string.h>

enum { MOST_INS = 2 }; /* operators of T_in */
#define STEEP 512.0    /* the tangent from which on operators are steep */

static int is_power(ptrdiff_t n) { return n > 0 && !(n & (n - 1)); }

static int valid(const rsk_spec_params *p) {
    if (!p || !is_power(p->dim) || p->dim < RSK_MIN_DIM || p->dim > RSK_MAX_DIM) return 0;
    if (p->modules < 1 || p->max_inputs < 1 || p->modules > INT32_MAX || p->max_inputs > INT32_MAX) return 0;
    const double factor[] = {p->cosine, p->sine, p->gain, p->branch};
    for (int i = 0; i < 4; i++)
        if (!(fabs(factor[i]) <= 1.0)) return 0;
    if (!(p->gain > 0.0) || !(p->branch > 0.0) || !(p->cosine * p->cosine + p->sine * p->sine >= RSK_MIN_STRETCH)) return 0;
    if (!p->lengths || !p->positions || !p->operators || !p->embeddings || !p->counters) return 0;
    for (ptrdiff_t i = 0; i < p->modules; i++)
        if (p->lengths[i] < 1 || p->lengths[i] > RSK_MAX_LENGTH) return 0;
    if (p->weighting < RSK_WEIGHTS_ENERGY || p->weighting > RSK_WEIGHTS_COUNT || !(p->spread >= 0.0 && p->spread <= 1.0)) return 0;
    if ((p->weighting == RSK_WEIGHTS_COUNT && p->spread != 0.0) || (p->weighting == RSK_WEIGHTS_BALANCED && !p->kappa)) return 0;
    for (ptrdiff_t k = 0; p->weighting == RSK_WEIGHTS_BALANCED && k <= p->max_inputs; k++)
        if (!(p->kappa[k] >= 1.0 && p->kappa[k] <= 1e6)) return 0;
    if (p->ins < 1 || p->ins > MOST_INS) return 0;
    const rsk_family *family = rsk_family_find(p->rotation);
    return family && (!family->valid || family->valid(p));
}

/* SplitMix64's finalizer (Steele, Lea, Flood, 2014) chained over words: different sequences of one length collide by chance only. */
static uint64_t mix(uint64_t digest, uint64_t word) {
    uint64_t z = (digest ^ word) + 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static uint64_t mix_double(uint64_t digest, double x) {
    uint64_t word;
    memcpy(&word, &x, sizeof word);
    return mix(digest, word);
}

/* The counts come first, so that the sequences that follow them have one length for all that share these. */
static uint64_t identity_of(const rsk_spec_params *p) {
    const uint64_t whole[] = {(uint64_t)p->dim, (uint64_t)p->modules, (uint64_t)p->max_inputs, p->seed, p->branch_attr,
                              p->branch_in[0], p->branch_in[1], (uint64_t)p->ins, (uint64_t)p->weighting, p->ordered != 0};
    const double real[] = {p->cosine, p->sine, p->gain, p->branch, p->spread};
    const int strings = rsk_family_find(p->rotation)->strings;
    uint64_t digest = strlen(p->rotation);
    for (const char *c = p->rotation; *c; c++) digest = mix(digest, (unsigned char)*c);
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++) digest = mix(digest, whole[i]);
    if (strings) digest = mix(mix(digest, (uint64_t)p->block), (uint64_t)p->blocks_per_column);
    for (size_t i = 0; i < sizeof real / sizeof *real; i++) digest = mix_double(digest, real[i]);
    for (ptrdiff_t i = 0; i < p->modules; i++) {
        digest = mix(digest, (uint64_t)p->lengths[i]);
        digest = mix(mix(mix(digest, p->operators[i]), p->embeddings[i]), p->counters[i]);
        if (strings) digest = mix(digest, p->tags[i]);
    }
    for (ptrdiff_t i = 0; i < p->max_inputs || i < RSK_NEAR; i++) digest = mix(digest, p->positions[i]);
    for (ptrdiff_t k = 0; p->weighting == RSK_WEIGHTS_BALANCED && k <= p->max_inputs; k++) digest = mix_double(digest, p->kappa[k]);
    return digest;
}

/* ---------------------------------------------------------------- the pool */

void *rsk_spec_take(rsk_spec *spec, ptrdiff_t bytes) {
    void *p = spec->pool + spec->bytes;
    spec->bytes += (bytes + 63) / 64 * 64;
    return p;
}

/* The masks are there. */
static rsk_status rotation(rsk_spec *spec, uint64_t seed, uint64_t stream, rsk_rotation *r) {
    for (int i = 0; i < spec->family->rows; i++) r->bits[i] = rsk_spec_take(spec, spec->dim / 8);
    return spec->family->sample(spec, seed, stream, r);
}

static rsk_status draw(rsk_spec *spec, const rsk_spec_params *p, rsk_stop *stop) {
    spec->bytes = 64; /* kernels may read in front of the first row */
    spec->zeros = rsk_spec_take(spec, spec->dim / 8);
    memset(spec->zeros, 0, (size_t)spec->dim / 8);
    if (spec->family->masks) spec->family->masks(spec, p);
    rsk_status status = rotation(spec, p->seed, p->branch_attr, &spec->attr);
    for (int i = 0; status == RSK_OK && i < MOST_INS; i++) status = rotation(spec, p->seed, p->branch_in[i], &spec->in[i]);
    for (ptrdiff_t i = 0; status == RSK_OK && i < p->max_inputs; i++)
        status = rsk_stopped(stop, 0) ? RSK_ESTOP : rotation(spec, p->seed, p->positions[i], &spec->positions[i]);
    for (ptrdiff_t i = 0; status == RSK_OK && i < p->modules; i++) {
        status = rsk_stopped(stop, 0) ? RSK_ESTOP : rotation(spec, p->seed, p->operators[i], &spec->module[i].rotation);
        if (status == RSK_OK) status = spec->family->embedding->draw(spec, p, i);
    }
    return status;
}

/* Sets lengths. Returns an upper bound of what draw takes of the pool, or -1 if no memory is so large. */
static ptrdiff_t measure(rsk_spec *spec, const rsk_spec_params *p) {
    const double row = RSK_ROW_BYTES(spec->dim / 8), each = spec->family->rows * row;
    double bytes = 64.0 + row + each * (1.0 + MOST_INS + (double)p->max_inputs);
    for (ptrdiff_t i = 0; i < p->modules; i++) {
        rsk_module *m = &spec->module[i];
        m->length = p->lengths[i];
        bytes += each + spec->family->embedding->measure(spec, m);
        if (m->padded > spec->max_padded) spec->max_padded = m->padded;
        if (m->direct && m->padded > spec->max_direct) spec->max_direct = m->padded;
        if (m->length > spec->max_length) spec->max_length = m->length;
    }
    return bytes < (double)PTRDIFF_MAX / 4 ? (ptrdiff_t)bytes : -1;
}

rsk_status rsk_spec_create(const rsk_spec_params *p, rsk_stop *stop, rsk_spec **out) {
    if (!out) return RSK_EINVAL;
    *out = NULL;
    if (!valid(p)) return RSK_EINVAL;
    rsk_spec *spec = rsk_calloc(1, sizeof *spec);
    if (!spec) return RSK_ENOMEM;
    spec->dim = p->dim, spec->modules = p->modules, spec->max_inputs = p->max_inputs;
    spec->cosine = p->cosine, spec->sine = p->sine, spec->gain = p->gain, spec->branch = p->branch;
    spec->stretch2 = p->cosine * p->cosine + p->sine * p->sine;
    spec->unit = fabs(p->sine) >= STEEP * fabs(p->cosine) ? p->sine : p->cosine;
    spec->coherence = p->ordered ? p->cosine * p->cosine / spec->stretch2 : 1.0;
    spec->weighting = (rsk_weighting)p->weighting, spec->spread = p->spread, spec->ordered = p->ordered != 0, spec->ins = p->ins;
    spec->identity = identity_of(p);
    spec->family = rsk_family_find(p->rotation);
    if (spec->family->strings) (void)rsk_codes_make(p->dim, p->block, &spec->codes), spec->per_column = p->blocks_per_column;
    spec->positions = rsk_calloc(p->max_inputs, sizeof *spec->positions);
    spec->module = rsk_calloc(p->modules, sizeof *spec->module);
    spec->kappa = rsk_calloc(p->max_inputs + 1, sizeof *spec->kappa);
    rsk_status status = spec->positions && spec->module && spec->kappa ? RSK_OK : RSK_ENOMEM;
    if (status == RSK_OK) {
        if (p->weighting == RSK_WEIGHTS_BALANCED) memcpy(spec->kappa, p->kappa, sizeof *spec->kappa * (size_t)(p->max_inputs + 1));
        spec->pool = rsk_alloc(measure(spec, p), 1);
        if (spec->max_direct) spec->indices = rsk_indices_create(spec, RSK_INDEX_BYTES);
        status = spec->pool && (spec->indices || !spec->max_direct) ? draw(spec, p, stop) : RSK_ENOMEM;
    }
    if (status != RSK_OK) rsk_spec_free(spec);
    else *out = spec;
    return status;
}

void rsk_spec_free(rsk_spec *spec) {
    if (!spec) return;
    rsk_indices_free(spec->indices, spec);
    rsk_free(spec->pool);
    rsk_free(spec->positions);
    rsk_free(spec->module);
    rsk_free(spec->kappa);
    rsk_free(spec);
}

ptrdiff_t rsk_spec_bytes(const rsk_spec *spec) { return spec ? spec->bytes + rsk_indices_bytes(spec->indices) : 0; }
