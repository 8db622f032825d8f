/* The signs of leaves at positions. A leaf F x seen through T_i has two terms, those of F and those of its partner's signs times
 * T_i's: four bits a coordinate with the counter's, d / 2 bytes a module and position. */
#include "recursion/recursion.h"

#if defined(_MSC_VER)
#include <intrin.h>
typedef uint32_t *volatile shared_row;
typedef volatile __int64 shared_count;
#define LOAD(p) (*(p))
#define PUBLISH(p, row) (_InterlockedCompareExchangePointer((void *volatile *)(p), (row), NULL) == NULL)
#define ADD(p, n) _InterlockedExchangeAdd64((p), (n))
#else
#include <stdatomic.h>
typedef _Atomic(uint32_t *) shared_row;
typedef _Atomic(int64_t) shared_count;
#define LOAD(p) atomic_load_explicit((p), memory_order_acquire)
static int publish(shared_row *p, uint32_t *row) {
    uint32_t *none = NULL;
    return atomic_compare_exchange_strong_explicit(p, &none, row, memory_order_acq_rel, memory_order_acquire);
}
#define PUBLISH(p, row) publish((p), (row))
#define ADD(p, n) atomic_fetch_add_explicit((p), (n), memory_order_relaxed)
#endif

struct rsk_indices {
    ptrdiff_t limit;
    shared_count bytes; /* of the rows that there are */
    shared_row *row;    /* (modules, positions + 1), the last of a module without a position; NULL until first asked for */
};

static ptrdiff_t rows_of(const rsk_spec *spec) { return spec->max_inputs + 1; }

rsk_indices *rsk_indices_create(const rsk_spec *spec, ptrdiff_t limit) {
    rsk_indices *q = rsk_calloc(1, sizeof *q);
    if (!q || rows_of(spec) > PTRDIFF_MAX / spec->modules) return rsk_free(q), NULL;
    q->row = rsk_calloc(spec->modules * rows_of(spec), sizeof *q->row);
    if (!q->row) return rsk_free(q), NULL;
    q->limit = limit;
    return q;
}

void rsk_indices_free(rsk_indices *q, const rsk_spec *spec) {
    if (!q) return;
    for (ptrdiff_t i = 0; i < spec->modules * rows_of(spec); i++) rsk_free(LOAD(&q->row[i]));
    rsk_free(q->row);
    rsk_free(q);
}

ptrdiff_t rsk_indices_bytes(const rsk_indices *q) { return q ? (ptrdiff_t)LOAD(&q->bytes) : 0; }

static void make(const rsk_spec *spec, const rsk_module *m, const rsk_rotation *r, uint32_t *out) {
    for (ptrdiff_t k = 0; k < spec->dim; k += RSK_LANES) {
        uint32_t *word = out + k / 128 * 16;
        const int at = (int)(k / 16 % 8) * 4;
        const uint32_t d = m->outer[k / 16], n = m->counter[k / 16];
        uint32_t d2 = 0, n2 = 0;
        if (r) {
            const uint32_t sigma = r->bits[0][k / 16];
            d2 = sigma ^ rsk_partners(m->outer, k / 16, r->turn.mask[k >= spec->dim / 2]);
            n2 = sigma ^ rsk_partners(m->counter, k / 16, r->turn.mask[k >= spec->dim / 2]);
        }
        for (int i = 0; i < RSK_LANES; i++) {
            const uint32_t e = (d >> i & 1) | (d2 >> i & 1) << 1 | (n >> i & 1) << 2 | (n2 >> i & 1) << 3;
            word[i] = at ? word[i] | e << at : e;
        }
    }
}

const uint32_t *rsk_index(const rsk_spec *spec, ptrdiff_t module, ptrdiff_t position, uint32_t *scratch) {
    const int placed = rsk_is_placed(spec, position);
    const rsk_rotation *r = placed ? &spec->positions[position] : NULL;
    const ptrdiff_t words = spec->dim / 8, bytes = words * (ptrdiff_t)sizeof *scratch;
    shared_row *row = &spec->indices->row[module * rows_of(spec) + (placed ? position : spec->max_inputs)];
    uint32_t *found = LOAD(row);
    if (found) return found;
    if (ADD(&spec->indices->bytes, bytes) + bytes > spec->indices->limit || !(found = rsk_alloc(words, sizeof *found))) {
        ADD(&spec->indices->bytes, -bytes);
        make(spec, &spec->module[module], r, scratch);
        return scratch;
    }
    make(spec, &spec->module[module], r, found);
    if (PUBLISH(row, found)) return found;
    rsk_free(found); /* another thread was quicker */
    ADD(&spec->indices->bytes, -bytes);
    return LOAD(row);
}
