/* The block family: a skew rotation of blocks of b coordinates, R x[k] = sigma(k div b) x[k ^ b m], and a sparse embedding, a column of which
 * is r blocks of signs. What the signs of a block say is public (base/codes.c), so that sketches can be learned from; where blocks stand,
 * how they are turned and the tails of strings are drawn.
 *
 * The masks of position and branch operators are powers of alpha times one draw in GF(2^g), 2^g being the number of blocks of a half: all are
 * distinct, and any g that follow each other independent. Where two positions shared a mask, siblings of one module would have equal columns
 * wherever their signs agree, and the fit condition numbers of 1e7. */
#include "recursion/recursion.h"

#include <math.h>
#include <string.h>

enum { LEAST_BLOCKS = 32, WORDS = 4 }; /* of a sketch; sign words of the longest block */

/* ---------------------------------------------------------------- what it asks for */

static int valid(const rsk_spec_params *p) {
    rsk_codes codes;
    if (!rsk_codes_make(p->dim, p->block, &codes) || p->dim / p->block < LEAST_BLOCKS || p->ins != 1 || !p->tags) return 0;
    if (p->blocks_per_column < 1 || p->blocks_per_column > RSK_MAX_BLOCKS) return 0;
    if (2 + p->max_inputs > p->dim / p->block / 2 - 1) return 0;
    for (ptrdiff_t i = 0; i < p->modules; i++)
        if (p->tags[i] >> codes.tag_bits || (uint64_t)p->lengths[i] >= rsk_code_counter(&codes)) return 0;
    return 1;
}

/* ---------------------------------------------------------------- operators */

/* Primitive polynomials over GF(2), by degree from 4 on. */
static const int32_t primitive[] = {19, 37, 67, 131, 285, 529, 1033, 2053, 4179, 8219, 17475, 32771, 69643, 131081};

static ptrdiff_t times_alpha(ptrdiff_t m, ptrdiff_t order) {
    m *= 2;
    return m & order ? m ^ primitive[rsk_log2(order) - 4] : m;
}

static ptrdiff_t drawn(const rsk_spec_params *p, uint64_t stream, ptrdiff_t order, ptrdiff_t draw) {
    uint32_t word[4];
    rsk_stream_block(p->seed, stream, 2, draw, word);
    return 1 + rsk_below(order - 1, word);
}

/* Whether a module's mask cancels with those of T_in, of a position, or of both. A chain of three objects of the module would then be
 * singular: a step down has two or three distinct eigenvalues where a column stands. */
static int cancels(ptrdiff_t mask, ptrdiff_t in, ptrdiff_t order) {
    ptrdiff_t position = in;
    for (ptrdiff_t i = 0; i < RSK_NEAR && i < order / 4; i++) {
        position = times_alpha(position, order);
        if (mask == position || mask == (position ^ in)) return 1;
    }
    return mask == in;
}

/* The same in either half, in coordinates. */
static void set_mask(const rsk_spec_params *p, rsk_rotation *r, ptrdiff_t m) { r->turn.mask[0] = r->turn.mask[1] = m * p->block; }

static void masks(rsk_spec *spec, const rsk_spec_params *p) {
    const ptrdiff_t order = p->dim / p->block / 2;
    const ptrdiff_t first = drawn(p, p->branch_attr, order, 0), in = times_alpha(first, order);
    ptrdiff_t position = in;
    set_mask(p, &spec->attr, first);
    for (int i = 0; i < 2; i++) set_mask(p, &spec->in[i], in); /* T_in is the first of them */
    for (ptrdiff_t i = 0; i < p->max_inputs; i++) set_mask(p, &spec->positions[i], position = times_alpha(position, order));
    for (ptrdiff_t i = 0; i < p->modules; i++)
        for (ptrdiff_t draw = 0, m;; draw++) {
            m = drawn(p, p->operators[i], order, draw);
            if (cancels(m, in, order)) continue;
            set_mask(p, &spec->module[i].rotation, m);
            break;
        }
}

/* A sign a block. Of each pair the block in which the mask's highest bit is set gets the other sign. */
static rsk_status sample(const rsk_spec *spec, uint64_t seed, uint64_t stream, rsk_rotation *r) {
    const ptrdiff_t words = spec->codes.block / RSK_LANES, blocks = rsk_blocks(spec);
    const ptrdiff_t m = r->turn.mask[0] / spec->codes.block, top = rsk_highest_bit(m);
    uint16_t *bits = r->bits[0], *drawn_bits = bits + (words * RSK_LANES - 1) * blocks / RSK_LANES; /* at the end, read before it is overwritten */
    const rsk_status status = rsk_stream_signs(seed, stream, 0, blocks, drawn_bits);
    if (status != RSK_OK) return status;
    for (ptrdiff_t k = 0; k < blocks; k++) {
        const int minus = k & top ? !(bits[(k ^ m) * words] & 1) : rsk_sign_bit(drawn_bits, k);
        for (ptrdiff_t w = 0; w < words; w++) bits[k * words + w] = minus ? 0xffff : 0;
    }
    rsk_set_turn(spec, r);
    return RSK_OK;
}

/* ---------------------------------------------------------------- strings */

static ptrdiff_t strings_of(const rsk_spec *spec, const rsk_module *m) { return (m->length + 1) * spec->per_column; }
static ptrdiff_t words_of(const rsk_spec *spec) { return spec->codes.block / RSK_LANES; }

static double measure(const rsk_spec *spec, rsk_module *m) {
    const ptrdiff_t strings = strings_of(spec, m), blocks = rsk_blocks(spec);
    m->padded = spec->dim, m->direct = 0;
    return RSK_ROW_BYTES(4 * (blocks + 1)) + RSK_ROW_BYTES(4 * strings) + RSK_ROW_BYTES(2 * words_of(spec) * strings) +
           RSK_ROW_BYTES(4 * spec->per_column);
}

/* The block of string t of a column, one in each of r strata, by the word drawn for it. */
static ptrdiff_t row_of(const rsk_spec *spec, ptrdiff_t t, uint32_t word) {
    const ptrdiff_t blocks = rsk_blocks(spec), r = spec->per_column;
    const ptrdiff_t low = t * blocks / r, high = (t + 1) * blocks / r;
    return low + (ptrdiff_t)((uint64_t)word * (uint64_t)(high - low) >> 32);
}

/* A string's signs, a set bit for a minus. */
static uint64_t string_of(const rsk_codes *c, uint64_t tag, uint64_t column, ptrdiff_t row, uint64_t tail) {
    const uint64_t payload = rsk_code_pack(c, tag, column, (uint64_t)row);
    const uint64_t plain = (rsk_code_of(c, payload) | tail << c->bits) << 1;
    return rsk_code_sign(payload) < 0 ? ~plain : plain;
}

/* Word number `at` of a part of the embedding's stream. */
static uint32_t word_at(const rsk_spec_params *p, ptrdiff_t module, uint32_t part, ptrdiff_t at) {
    uint32_t word[4];
    rsk_stream_block(p->seed, p->embeddings[module], part, at / 4, word);
    return word[at % 4];
}

static uint64_t tail_of(const rsk_spec_params *p, const rsk_codes *c, ptrdiff_t module, ptrdiff_t string) {
    const ptrdiff_t bit = string * c->tail, at = bit / 32;
    if (!c->tail) return 0;
    const uint64_t two = word_at(p, module, 2, at) | (uint64_t)word_at(p, module, 2, at + 1) << 32;
    return two >> bit % 32 & (((uint64_t)1 << c->tail) - 1);
}

static rsk_status draw(rsk_spec *spec, const rsk_spec_params *p, ptrdiff_t i) {
    rsk_module *m = &spec->module[i];
    const rsk_codes *c = &spec->codes;
    const ptrdiff_t r = spec->per_column, strings = strings_of(spec, m), blocks = rsk_blocks(spec), words = words_of(spec);
    rsk_strings *s = &m->strings;
    s->begin = rsk_spec_take(spec, 4 * (blocks + 1));
    s->column = rsk_spec_take(spec, 4 * strings);
    s->bits = rsk_spec_take(spec, 2 * words * strings);
    s->counter = rsk_spec_take(spec, 4 * r);
    memset(s->begin, 0, sizeof *s->begin * (size_t)(blocks + 1));
    for (ptrdiff_t q = 0; q < strings; q++) s->begin[row_of(spec, q % r, word_at(p, i, 0, q)) + 1]++;
    for (ptrdiff_t k = 0; k < blocks; k++) s->begin[k + 1] += s->begin[k];
    for (ptrdiff_t q = 0; q < strings; q++) { /* begin[k] moves to the end of block k, and is put back below */
        const ptrdiff_t j = q / r, row = row_of(spec, q % r, word_at(p, i, 0, q));
        const ptrdiff_t at = s->begin[row]++;
        const uint64_t column = j == m->length ? rsk_code_counter(c) : (uint64_t)j;
        const uint64_t bits = string_of(c, p->tags[i], column, row, tail_of(p, c, i, q));
        s->column[at] = (int32_t)j;
        if (j == m->length) s->counter[q % r] = (int32_t)row;
        for (ptrdiff_t w = 0; w < words; w++) s->bits[at * words + w] = (uint16_t)(bits >> RSK_LANES * w);
    }
    memmove(s->begin + 1, s->begin, sizeof *s->begin * (size_t)blocks);
    s->begin[0] = 0;
    return RSK_OK;
}

/* ---------------------------------------------------------------- numbers */

/* 1 / sqrt(r b): columns have norm one. */
static double norm_of(const rsk_spec *spec) { return 1.0 / sqrt((double)(spec->per_column * spec->codes.block)); }

/* The strings of a block are added in the order of their columns, the counter's last. */
static double begin(const rsk_spec *spec, const rsk_module *m, const float *x, double e, double *h) {
    enum { TOGETHER = 64 };
    const rsk_kernels *k = rsk_kernels_current();
    const ptrdiff_t b = spec->codes.block, words = words_of(spec);
    const rsk_strings *s = &m->strings;
    double sum[2][WORDS * RSK_LANES], minus[TOGETHER];
    if (!k->within_f32(x, m->length, RSK_MAX_VALUE)) return -1.0;
    for (ptrdiff_t row = 0; row < rsk_blocks(spec); row++) {
        int now = 0;
        memset(sum[0], 0, sizeof sum[0]);
        for (ptrdiff_t q = s->begin[row], n; q < s->begin[row + 1]; q += n, now = !now) {
            n = s->begin[row + 1] - q < TOGETHER ? s->begin[row + 1] - q : TOGETHER;
            for (ptrdiff_t i = 0; i < n; i++) minus[i] = s->column[q + i] == m->length ? -e : -(double)x[s->column[q + i]];
            k->signs_subtract(sum[!now], sum[now], b, s->bits + q * words, words, minus, n);
        }
        memcpy(h + row * b, sum[now], sizeof *h * (size_t)b);
    }
    return norm_of(spec) * k->largest(h, spec->dim);
}

static void spread(const rsk_spec *spec, const rsk_module *m, const double *h, double e, double f, float *out, float *work) {
    const double scale = f * norm_of(spec);
    (void)m, (void)e, (void)work; /* h has all of it */
    for (ptrdiff_t k = 0; k < spec->dim; k++) out[k] = (float)(scale * h[k]);
}

static void counter(const rsk_spec *spec, const rsk_module *m, float *out) {
    const ptrdiff_t b = spec->codes.block, words = words_of(spec);
    const rsk_strings *s = &m->strings;
    const float c = (float)norm_of(spec);
    memset(out, 0, sizeof *out * (size_t)spec->dim);
    for (ptrdiff_t t = 0; t < spec->per_column; t++) {
        const ptrdiff_t row = s->counter[t], last = s->begin[row + 1] - 1; /* it stands behind the others of its block */
        for (ptrdiff_t k = 0; k < b; k++) out[row * b + k] = rsk_sign_bit(s->bits + last * words, k) ? -c : c;
    }
}

static void gather(const rsk_spec *spec, const rsk_module *m, double f, float *y, float *x, float *e, float *h, float *work) {
    const rsk_kernels *k = rsk_kernels_current();
    const ptrdiff_t b = spec->codes.block, words = words_of(spec);
    const rsk_strings *s = &m->strings;
    const double scale = f * norm_of(spec);
    double wide[WORDS * RSK_LANES];
    (void)h, (void)work;
    memset(x, 0, sizeof *x * (size_t)m->length);
    if (e) *e = 0.0f;
    for (ptrdiff_t row = 0; row < rsk_blocks(spec); row++) {
        if (s->begin[row] == s->begin[row + 1]) continue;
        for (ptrdiff_t i = 0; i < b; i++) wide[i] = (double)y[row * b + i];
        for (ptrdiff_t q = s->begin[row]; q < s->begin[row + 1]; q++) {
            const float part = (float)(scale * k->signs_dot(wide, s->bits + q * words, b));
            if (s->column[q] < m->length) x[s->column[q]] += part;
            else if (e) *e += part;
        }
    }
}

static const rsk_embedding blocks = {measure, draw, begin, spread, counter, gather};

const rsk_family rsk_family_block = {"block", 1, 1, 0, (int)sizeof(int32_t), 1, &blocks, valid, masks, sample, rsk_apply_turns,
                                     rsk_forward_whole, rsk_leaf_adjoint_spread};
