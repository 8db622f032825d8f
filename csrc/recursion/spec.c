/* A specification's random matrices, all of them packed sign bits. */
#include "recursion/recursion.h"

#include <math.h>
#include <string.h>

enum { MOST_INS = 2, NEAR = 16, NEAREST = 4 }; /* operators of T_in; positions whose masks other operators keep clear of */
enum { ENOUGH = 16 };                          /* coordinates that hold each number of what is embedded directly */
#define STEEP 512.0                            /* the tangent from which on operators are steep */

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

/* What an operator's masks keep clear of, in either half. */
typedef struct halves {
    masks half[2];
} halves;

/* Drawn with the first masks that are not taken. */
static rsk_status rotation(rsk_spec *spec, uint64_t seed, uint64_t stream, const halves *not, rsk_rotation *r) {
    const rsk_family *family = spec->family;
    for (int i = 0; i < family->rows; i++) r->bits[i] = take(spec, spec->dim);
    for (int half = 0; family->mask && half < 2; half++)
        for (ptrdiff_t draw = 0;; draw++)
            if (!is_taken(&not->half[half], r->turn.mask[half] = family->mask(seed, stream, spec->dim, half, draw))) break;
    return family->sample(spec, seed, stream, r);
}

/* Those of the first positions, n at most, exclusive-or `with`, after the ones that are there. */
static void take_positions(const rsk_spec *spec, const rsk_spec_params *p, int half, ptrdiff_t n, ptrdiff_t with, masks *m) {
    for (ptrdiff_t i = 0; i < n && i < spec->dim / 16; i++)
        m->taken[m->count++] = spec->family->mask(p->seed, p->positions[i], spec->dim, half, 0) ^ with;
}

static rsk_status module(rsk_spec *spec, const rsk_spec_params *p, const halves *not, ptrdiff_t i) {
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
    m->spread = (rsk_spread){folded ? d : m->padded, folded ? spec->zeros : m->outer, m->counter};
    return status;
}

/* The masks that T_in and T_M keep clear of: T_in,0 those of positions, T_in,1 and T_M what would cancel with the others. */
static rsk_status draw(rsk_spec *spec, const rsk_spec_params *p, rsk_stop *stop) {
    halves not = {{{0, {0}}, {0, {0}}}};
    const int masked = spec->family->mask != NULL;
    spec->bytes = 64; /* kernels may read in front of the first row */
    spec->zeros = take(spec, spec->dim);
    memset(spec->zeros, 0, (size_t)spec->dim / 8);
    rsk_status status = rotation(spec, p->seed, p->branch_attr, &not, &spec->attr);
    for (ptrdiff_t i = 0; status == RSK_OK && i < p->max_inputs; i++)
        status = rsk_stopped(stop, 0) ? RSK_ESTOP : rotation(spec, p->seed, p->positions[i], &not, &spec->positions[i]);
    for (int half = 0; masked && half < 2; half++) take_positions(spec, p, half, NEAR, 0, &not.half[half]);
    if (status == RSK_OK) status = rotation(spec, p->seed, p->branch_in[0], &not, &spec->in[0]);
    for (int half = 0; masked && half < 2; half++) {
        const ptrdiff_t a = spec->in[0].turn.mask[half];
        not.half[half].taken[not.half[half].count++] = a;
        take_positions(spec, p, half, NEAR, a, &not.half[half]);
    }
    if (status == RSK_OK) status = rotation(spec, p->seed, p->branch_in[1], &not, &spec->in[1]);
    for (int half = 0; masked && half < 2; half++) {
        masks *m = &not.half[half];
        const ptrdiff_t a = spec->in[0].turn.mask[half], b = spec->in[1].turn.mask[half];
        *m = (masks){3, {a, b, a ^ b}}; /* at most 19 of the 31 that the shortest sketches have */
        take_positions(spec, p, half, NEAR, 0, m);
        take_positions(spec, p, half, NEAR, a ^ b, m);
        take_positions(spec, p, half, NEAREST, a, m);
        take_positions(spec, p, half, NEAREST, b, m);
    }
    for (ptrdiff_t i = 0; status == RSK_OK && i < p->modules; i++)
        status = rsk_stopped(stop, 0) ? RSK_ESTOP : module(spec, p, &not, i);
    return status;
}

static void set_lengths(rsk_spec *spec, const rsk_spec_params *p) {
    for (ptrdiff_t i = 0; i < p->modules; i++) {
        rsk_module *m = &spec->module[i];
        m->length = p->lengths[i];
        m->padded = padded(p->lengths[i]);
        m->direct = spec->family->mask && m->padded <= p->dim / ENOUGH;
        if (m->padded > spec->max_padded) spec->max_padded = m->padded;
        if (m->direct && m->padded > spec->max_direct) spec->max_direct = m->padded;
        if (m->length > spec->max_length) spec->max_length = m->length;
    }
}

/* An upper bound of what draw takes of the pool, or -1 if no memory is so large. */
static ptrdiff_t pool_bytes(const rsk_spec *spec, const rsk_spec_params *p) {
    const double row = (double)spec->dim / 8 + 64;
    double bytes = 64 + row * (1.0 + spec->family->rows * (3.0 + (double)p->max_inputs));
    for (ptrdiff_t i = 0; i < p->modules; i++) bytes += (2.0 + spec->family->rows) * row + 2.0 * (double)spec->module[i].padded / 8 + 128;
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
    spec->positions = rsk_calloc(p->max_inputs, sizeof *spec->positions);
    spec->module = rsk_calloc(p->modules, sizeof *spec->module);
    spec->kappa = rsk_calloc(p->max_inputs + 1, sizeof *spec->kappa);
    rsk_status status = spec->positions && spec->module && spec->kappa ? RSK_OK : RSK_ENOMEM;
    if (status == RSK_OK) {
        if (p->weighting == RSK_WEIGHTS_BALANCED) memcpy(spec->kappa, p->kappa, sizeof *spec->kappa * (size_t)(p->max_inputs + 1));
        set_lengths(spec, p);
        spec->pool = rsk_alloc(pool_bytes(spec, p), 1);
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
