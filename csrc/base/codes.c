/* What the strings of the block family say (docs/format.md, "Blocks"). */
#include "base/base.h"

static const uint64_t factor[3] = {0x9e3779b97f4a7c15u, 0xbf58476d1ce4e5b9u, 0x94d049bb133111ebu};

int rsk_codes_make(ptrdiff_t d, ptrdiff_t block, rsk_codes *codes) {
    if (block < 32 || block > 64 || d < block || (block & (block - 1))) return 0;
    rsk_codes c = {.block = (int)block, .row_bits = rsk_log2(d / block), .column_bits = block == 32 ? 10 : 16};
    c.bits = block == 32 ? 31 : 48;
    c.tail = c.block - 1 - c.bits;
    c.tag_bits = c.bits - c.row_bits - c.column_bits;
    *codes = c;
    return c.tag_bits >= RSK_LEAST_TAG;
}

static uint64_t low(int bits) { return ((uint64_t)1 << bits) - 1; }

/* x ^= x >> s, s at least half of the bits, is its own inverse, and an odd factor has one (Newton's iteration doubles the right bits). */
static uint64_t inverse(uint64_t a) {
    uint64_t x = a; /* 3 bits are right */
    for (int i = 0; i < 5; i++) x *= 2 - a * x;
    return x;
}

uint64_t rsk_code_of(const rsk_codes *c, uint64_t payload) {
    uint64_t u = payload;
    for (int i = 0; i < 3; i++) {
        u = (u * factor[i]) & low(c->bits);
        u ^= u >> ((c->bits + 1) / 2);
    }
    return u;
}

uint64_t rsk_code_payload(const rsk_codes *c, uint64_t code) {
    uint64_t u = code & low(c->bits);
    for (int i = 2; i >= 0; i--) {
        u ^= u >> ((c->bits + 1) / 2);
        u = (u * inverse(factor[i])) & low(c->bits);
    }
    return u;
}

int rsk_code_sign(uint64_t payload) {
    uint64_t q = payload * 0xd6e8feb86659fd93u;
    q = (q ^ q >> 32) * 0xd6e8feb86659fd93u;
    return q >> 63 ? -1 : 1;
}

uint64_t rsk_code_pack(const rsk_codes *c, uint64_t tag, uint64_t column, uint64_t row) {
    return row | column << c->row_bits | tag << (c->row_bits + c->column_bits);
}

void rsk_code_unpack(const rsk_codes *c, uint64_t payload, uint64_t *tag, uint64_t *column, uint64_t *row) {
    *row = payload & low(c->row_bits);
    *column = payload >> c->row_bits & low(c->column_bits);
    *tag = payload >> (c->row_bits + c->column_bits);
}
