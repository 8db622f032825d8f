/* Sketches of tensor powers: products of coordinates of transforms (docs/format.md, "Random features"). */
#include "parts/parts.h"

#include <math.h>
#include <string.h>

/* Numbers of a row's transforms beyond which their tables of 16 rows are too large to ask for. */
#define MOST ((ptrdiff_t)1 << 17)

static int valid(const rsk_tensor *t) {
    if (!t || !t->signs || !t->index || !rsk_is_order(t->padded) || t->length < 1 || t->length > t->padded) return 0;
    if (t->degree < 1 || t->degree > RSK_MAX_DEGREE || !isfinite(t->factor)) return 0;
    if (t->used < 1 || t->used > t->width || t->width > RSK_MAX_DIM) return 0;
    if (t->pairs < 0 || t->pairs > t->used / 2) return 0;
    int32_t bits = 0; /* an index has a bit at or above `padded`, a power of two, or a sign, exactly if it is out of range */
    for (ptrdiff_t i = 0; i < t->degree * t->used; i++) bits |= t->index[i];
    return bits >= 0 && bits < t->padded;
}

/* The factor of complex products: a coordinate of the unit length that a real one has is (h + i h') / sqrt(2), and half as many
 * products as numbers have sqrt(2) times the factor each: 2^((1 - degree) / 2) in all. */
static double pair_factor(const rsk_tensor *t) {
    const int down = (int)t->degree - 1;
    return ldexp(t->factor * (down % 2 ? 0.70710678118654752440 : 1.0), -(down / 2));
}

#define T float
#define FN(name) name##_f32
#define KERNEL(name) rsk_kernels_current()->name##_f32
#include "tensor.h"
#define T double
#define FN(name) name##_f64
#define KERNEL(name) rsk_kernels_current()->name##_f64
#include "tensor.h"
