/* Sparse sign matrices: CountSketch and SJLT (docs/format.md, "Random features"). */
#include "parts/parts.h"

#include <math.h>
#include <string.h>

/* 16 rows are hashed together into a table of 16 numbers for each of `width`. A wider table than this (4 MiB of floats) does not
 * stay in the caches, and one row at a time is then as fast. */
#define WIDEST ((ptrdiff_t)1 << 16)
/* From this many rows on, a table of 16 that is filled up with zeros is faster than the rows one at a time. */
#define FEWEST 4

static const float sign_f32[2] = {1.0f, -1.0f};
static const double sign_f64[2] = {1.0, -1.0};

static int valid(const rsk_hashing *h) {
    if (!h || !h->entries || h->length < 1 || h->width < 1 || h->width > RSK_MAX_DIM || h->nonzeros < 1) return 0;
    if (h->nonzeros > h->width || h->length > PTRDIFF_MAX / 8 / h->nonzeros || !isfinite(h->factor)) return 0;
    uint32_t all = 0; /* no smaller than any row, and smaller than the width where that is a power of two and all are */
    for (ptrdiff_t i = 0; i < h->length * h->nonzeros; i++) all |= h->entries[i];
    if ((ptrdiff_t)(all & RSK_HASH_ROW) < h->width) return 1;
    int32_t spare = 0; /* becomes negative if an entry's row is too large; without branches, as this takes as long as one sketch */
    for (ptrdiff_t i = 0; i < h->length * h->nonzeros; i++)
        spare |= (int32_t)(h->width - 1) - (int32_t)(h->entries[i] & RSK_HASH_ROW);
    return spare >= 0;
}

#define T float
#define FN(name) name##_f32
#define KERNEL(name) rsk_kernels_current()->name##_f32
#include "hashing.h"
#define T double
#define FN(name) name##_f64
#define KERNEL(name) rsk_kernels_current()->name##_f64
#include "hashing.h"
