/* Codes by hashing: open addressing, at most half full. Codes are mixed already (base/codes.c), so that their low bits are as good as random. */
#include "learning/learning.h"

static ptrdiff_t slot_of(const rsk_known *known, uint64_t code) {
    const uint64_t low = (uint64_t)known->size - 1;
    ptrdiff_t at = (ptrdiff_t)((code ^ code >> 31) & low);
    while (known->slots[at] >= 0 && known->codes[known->slots[at]] != code) at = (ptrdiff_t)(((uint64_t)at + 1) & low);
    return at;
}

rsk_status rsk_known_make(const uint64_t *codes, ptrdiff_t count, rsk_known *known) {
    known->codes = codes;
    known->size = 16;
    while (known->size < 2 * count) known->size *= 2;
    known->slots = rsk_alloc(known->size, sizeof *known->slots);
    if (!known->slots) return RSK_ENOMEM;
    for (ptrdiff_t i = 0; i < known->size; i++) known->slots[i] = -1;
    for (ptrdiff_t i = 0; i < count; i++) {
        const ptrdiff_t at = slot_of(known, codes[i]);
        if (known->slots[at] >= 0) {
            rsk_known_free(known);
            return RSK_EINVAL;
        }
        known->slots[at] = (int32_t)i;
    }
    return RSK_OK;
}

void rsk_known_free(rsk_known *known) {
    rsk_free(known->slots);
    known->slots = NULL;
}

int32_t rsk_known_find(const rsk_known *known, uint64_t code) { return known->slots[slot_of(known, code)]; }
