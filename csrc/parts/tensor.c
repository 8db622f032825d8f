/* Sketches of tensor powers: products of coordinates of transforms (docs/design.md section 9). */
#include "parts/parts.h"

#include <math.h>
#include <string.h>

/* Numbers of a row's transforms beyond which their tables of 16 rows are too large to ask for. */
#define MOST ((ptrdiff_t)1 << 17)

static int valid(const rsk_tensor *t) {
    if (!t || !t->signs || !t->index || !rsk_is_order(t->padded) || t->length < 1 || t->length > t->padded) return 0;
    if (t->degree < 1 || t->degree > RSK_MAX_DEGREE || !isfinite(t->factor)) return 0;
    if (t->used < 1 || t->used > t->width || t->width > RSK_MAX_DIM) return 0;
    int32_t bits = 0; /* padded is a power of two */
    for (ptrdiff_t i = 0; i < t->degree * t->used; i++) bits |= t->index[i];
    return bits >= 0 && bits < t->padded;
}

#define T float
#define FN(name) name##_f32
#define KERNEL(name) rsk_kernels_current()->name##_f32
#include "tensor.h"
#define T double
#define FN(name) name##_f64
#define KERNEL(name) rsk_kernels_current()->name##_f64
#include "tensor.h"
