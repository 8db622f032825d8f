#include "lookup_fours.h"

static uint32_t leaves(int32_t *out, ptrdiff_t d, ptrdiff_t width, const rsk_leaf *leaf, ptrdiff_t count, int accumulate) {
#define LEAVES(span) r32_ints_most(leaves_by_fours(out, d, width, leaf, count, accumulate, span))
    switch (d / 2 / width) {
    case 8: return LEAVES(0);
    case 16: return LEAVES(1);
    case 32: return LEAVES(2);
    case 64: return LEAVES(4);
    default: return LEAVES(8);
    }
#undef LEAVES
}
