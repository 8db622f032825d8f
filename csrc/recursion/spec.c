/* A specification's random matrices, all of them packed sign bits. */
#include "recursion/recursion.h"

#include <math.h>
#include <string.h>

enum { MOST_INS = 2, NEAR = 16, NEAREST = 4 }; /* operators of T_in; positions whose masks other operators keep clear of */

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
    return rsk_family_find(p->rotation) != NULL;
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
    uint64_t digest = strlen(p->rotation);
    for (const char *c = p->rotation; *c; c++) digest = mix(digest, (unsigned char)*c);
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++) digest = mix(digest, whole[i]);
    for (size_t i = 0; i < sizeof real / sizeof *real; i++) digest = mix_double(digest, real[i]);
    for (ptrdiff_t i = 0; i < p->modules; i++) {
        digest = mix(digest, (uint64_t)p->lengths[i]);
        digest = mix(mix(mix(digest, p->operators[i]), p->embeddings[i]), p->counters[i]);
    }
    for (ptrdiff_t i = 0; i < p->max_inputs || i < NEAR; i++) digest = mix(digest, p->positions[i]);
    for (ptrdiff_t k = 0; p->weighting == RSK_WEIGHTS_BALANCED && k <= p->max_inputs; k++) digest = mix_double(digest, p->kappa[k]);
    return digest;
}

static ptrdiff_t padded(ptrdiff_t length) {
    ptrdiff_t n = RSK_LANES;
    while (n < length) n *= 2;
    return n;
}

/* The pool's next `bits` sign bits. Every row begins at a cache line. */
static uint16_t *take(rsk_spec *spec, ptrdiff_t bits) {
    uint16_t *p = (uint16_t *)(void *)(spec->pool + spec->bytes);
    spec->bytes += (bits / 8 + 63) / 64 * 64;
    return p;
}

/* Masks that an operator must not have: where the masks of operators in a row cancel, their product has few distinct
 * eigenvalues, and chains of one module cannot be read. Measured condition numbers of chains of 24 and 32 objects at d = 1,024: 7 and
 * 15 where all masks are free, 15 and 80 where that of T_0 is one of T_in's, 600 and 5e4 where all four cancel; at d = 64 the second
 * is singular, too (docs/method.md, "Chains of one module"). */
typedef struct masks {
    ptrdiff_t count, taken[3 + 2 * NEAR + 2 * NEAREST];
} masks;

static int is_taken(const masks *m, ptrdiff_t mask) {
    for (ptrdiff_t i = 0; i < m->count; i++)
        if (m->taken[i] == mask) return 1;
    return 0;
}

/* Drawn with the first mask that is not taken. */
static rsk_status rotation(rsk_spec *spec, uint64_t seed, uint64_t stream, const masks *not, rsk_rotation *r) {
    const rsk_family *family = spec->family;
    for (int i = 0; i < family->rows; i++) r->bits[i] = take(spec, spec->dim);
    r->mask = 0;
    for (ptrdiff_t draw = 0; family->mask; draw++)
        if (!is_taken(not, r->mask = family->mask(seed, stream, spec->dim, draw))) break;
    return family->sample(seed, stream, spec->dim, r);
}

/* Those of the first n positions, exclusive-or `with`, after the ones that are there. */
static void take_positions(const rsk_spec *spec, const rsk_spec_params *p, ptrdiff_t n, ptrdiff_t with, masks *m) {
    for (ptrdiff_t i = 0; spec->family->mask && i < n; i++)
        m->taken[m->count++] = spec->family->mask(p->seed, p->positions[i], spec->dim, 0) ^ with;
}

/* Moves bit i to place 2 i. */
static uint32_t spaced(uint32_t bits) {
    bits = (bits | bits << 8) & 0x00ff00ffu;
    bits = (bits | bits << 4) & 0x0f0f0f0fu;
    bits = (bits | bits << 2) & 0x33333333u;
    return (bits | bits << 1) & 0x55555555u;
}

static rsk_status module(rsk_spec *spec, const rsk_spec_params *p, const masks *not, ptrdiff_t i) {
    rsk_module *m = &spec->module[i];
    const ptrdiff_t d = spec->dim;
    const int folded = m->padded > d;
    m->inner = take(spec, m->padded);
    m->outer = take(spec, folded ? m->padded : d);
    m->counter = take(spec, d);
    rsk_status status = rotation(spec, p->seed, p->operators[i], not, &m->rotation);
    if (status == RSK_OK) status = rsk_stream_signs(p->seed, p->embeddings[i], 0, m->padded, m->inner);
    if (status == RSK_OK) status = rsk_stream_signs(p->seed, p->embeddings[i], 1, folded ? m->padded : d, m->outer);
    if (status == RSK_OK) status = rsk_stream_signs(p->seed, p->counters[i], 0, d, m->counter);
    if (status != RSK_OK) return status;
    m->spread.width = folded ? d : m->padded;
    m->spread.bits[0] = folded ? spec->zeros : m->outer;
    m->spread.counter_bits[0] = m->counter;
    m->spread.terms = 1;
    if (spec->family->turn_signs) {
        uint16_t *outer = take(spec, d), *counter = take(spec, d);
        uint32_t *pairs = (uint32_t *)(void *)take(spec, 2 * d);
        spec->family->turn_signs(&spec->attr, m->spread.bits[0], outer, d);
        spec->family->turn_signs(&spec->attr, m->counter, counter, d);
        for (ptrdiff_t b = 0; b < d / RSK_LANES; b++) pairs[b] = spaced(m->counter[b]) | spaced(counter[b]) << 1;
        m->spread.bits[1] = outer;
        m->spread.counter_bits[1] = counter;
        m->spread.counter_pairs = pairs;
        m->spread.terms = 2;
    }
    return RSK_OK;
}

static rsk_status draw(rsk_spec *spec, const rsk_spec_params *p, rsk_stop *stop) {
    spec->zeros = take(spec, spec->dim);
    memset(spec->zeros, 0, (size_t)spec->dim / 8);
    masks none = {0, {0}};
    rsk_status status = rotation(spec, p->seed, p->branch_attr, &none, &spec->attr);
    for (ptrdiff_t i = 0; status == RSK_OK && i < p->max_inputs; i++)
        status = rotation(spec, p->seed, p->positions[i], &none, &spec->positions[i]);
    masks not = none;
    take_positions(spec, p, NEAR, 0, &not);
    if (status == RSK_OK) status = rotation(spec, p->seed, p->branch_in[0], &not, &spec->in[0]);
    const ptrdiff_t a = spec->in[0].mask;
    not.taken[not.count++] = a;
    take_positions(spec, p, NEAR, a, &not);
    if (status == RSK_OK) status = rotation(spec, p->seed, p->branch_in[1], &not, &spec->in[1]);
    const ptrdiff_t b = spec->in[1].mask;
    not = (masks){3, {a, b, a ^ b}}; /* at most 43 of the 63 that the shortest sketches have */
    take_positions(spec, p, NEAR, 0, &not);
    take_positions(spec, p, NEAR, a ^ b, &not);
    take_positions(spec, p, NEAREST, a, &not);
    take_positions(spec, p, NEAREST, b, &not);
    for (ptrdiff_t i = 0; status == RSK_OK && i < p->modules; i++)
        status = rsk_stopped(stop, 0) ? RSK_ESTOP : module(spec, p, &not, i);
    return status;
}

static void set_lengths(rsk_spec *spec, const rsk_spec_params *p) {
    for (ptrdiff_t i = 0; i < p->modules; i++) {
        rsk_module *m = &spec->module[i];
        m->length = p->lengths[i];
        m->padded = padded(p->lengths[i]);
        if (m->padded > spec->max_padded) spec->max_padded = m->padded;
        if (m->length > spec->max_length) spec->max_length = m->length;
    }
}

/* An upper bound of what draw takes of the pool, or -1 if no memory is so large. */
static ptrdiff_t pool_bytes(const rsk_spec *spec, const rsk_spec_params *p) {
    const double row = (double)spec->dim / 8 + 64;
    double bytes = row * (1.0 + spec->family->rows * (3.0 + (double)p->max_inputs));
    for (ptrdiff_t i = 0; i < p->modules; i++) bytes += 8 * row + 2.0 * (double)spec->module[i].padded / 8 + 128;
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
    spec->coherence = p->ordered ? p->cosine * p->cosine / spec->stretch2 : 1.0;
    spec->weighting = (rsk_weighting)p->weighting, spec->spread = p->spread, spec->ordered = p->ordered != 0, spec->ins = p->ins;
    spec->identity = identity_of(p);
    spec->family = rsk_family_find(p->rotation);
    spec->positions = rsk_calloc(p->max_inputs, sizeof *spec->positions);
    spec->module = rsk_calloc(p->modules, sizeof *spec->module);
    spec->kappa = rsk_calloc(p->max_inputs + 1, sizeof *spec->kappa);
    rsk_status status = spec->positions && spec->module && spec->kappa ? RSK_OK : RSK_ENOMEM;
    if (status == RSK_OK) {
        if (p->weighting == RSK_WEIGHTS_BALANCED) memcpy(spec->kappa, p->kappa, sizeof *spec->kappa * (size_t)(p->max_inputs + 1));
        set_lengths(spec, p);
        spec->pool = rsk_alloc(pool_bytes(spec, p), 1);
        status = spec->pool ? draw(spec, p, stop) : RSK_ENOMEM;
    }
    if (status != RSK_OK) rsk_spec_free(spec);
    else *out = spec;
    return status;
}

void rsk_spec_free(rsk_spec *spec) {
    if (!spec) return;
    rsk_free(spec->pool);
    rsk_free(spec->positions);
    rsk_free(spec->module);
    rsk_free(spec->kappa);
    rsk_free(spec);
}

ptrdiff_t rsk_spec_bytes(const rsk_spec *spec) { return spec ? spec->bytes : 0; }
