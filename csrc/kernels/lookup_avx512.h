/* Tuples of leaves by one permutation a register: a run's sixteen sums stand in a register, and four bits a lane choose one of them.
 *
 * A chunk of registers is summed over all leaves before it is stored. Eight registers share the words of their bits, which are shifted
 * by four from one to the next. A run is 16 coordinates or a power of two above; `span` says how many registers of a chunk it fills. Runs
 * of 8 would need two tables of sixteen a register: they are looked up by fours, which is less. */
#include "lookup_fours.h"

static RSK_INLINE void leaf_chunk(__m512i sum[16], const int32_t *tables, const uint32_t *index, __m512i counter, const int chunk,
                                  const int span) {
    __m512i bits = _mm512_loadu_si512(index), t = counter;
    RSK_UNROLL for (int q = 0; q < chunk; q++) {
        if (q == 8) bits = _mm512_loadu_si512(index + 16);
        if (q % span == 0) {
            const __m128i numbers = _mm_loadu_si128((const void *)(tables + table_at(q / span)));
            t = _mm512_add_epi32(counter, _mm512_broadcast_i32x4(numbers));
        }
        sum[q] = _mm512_add_epi32(sum[q], _mm512_permutexvar_epi32(bits, t));
        if (q % 8 != 7) bits = _mm512_srli_epi32(bits, 4);
    }
}

static RSK_INLINE uint32_t leaves_loop(int32_t *RSK_RESTRICT out, ptrdiff_t d, ptrdiff_t width, const rsk_leaf *leaf,
                                       const __m512i *counter, ptrdiff_t count, int accumulate, const int chunk, const int span) {
    const ptrdiff_t run = d / 2 / width;
    __m512i most = _mm512_setzero_si512();
    for (ptrdiff_t k = 0; k < d; k += 16 * chunk) {
        const ptrdiff_t table = table_at(k / run); /* the second half's runs follow the first's */
        __m512i sum[16];
        RSK_UNROLL for (int q = 0; q < chunk; q++)
            sum[q] = accumulate ? _mm512_loadu_si512(out + k + 16 * q) : _mm512_setzero_si512();
        for (ptrdiff_t i = 0; i < count; i++) leaf_chunk(sum, leaf[i].tables + table, leaf[i].index + k / 8, counter[i], chunk, span);
        RSK_UNROLL for (int q = 0; q < chunk; q++) {
            _mm512_storeu_si512(out + k + 16 * q, sum[q]);
            most = _mm512_max_epu32(most, _mm512_abs_epi32(sum[q]));
        }
    }
    return _mm512_reduce_max_epu32(most);
}

static uint32_t leaves(int32_t *out, ptrdiff_t d, ptrdiff_t width, const rsk_leaf *leaf, ptrdiff_t count, int accumulate) {
    if (d / 2 / width == 8) return r64_ints_most(leaves_by_fours(out, d, width, leaf, count, accumulate, 0));
    const __m512i quarters = _mm512_set_epi32(3, 3, 3, 3, 2, 2, 2, 2, 1, 1, 1, 1, 0, 0, 0, 0);
    __m512i counter[RSK_TOGETHER];
    for (ptrdiff_t i = 0; i < count; i++)
        counter[i] = _mm512_permutexvar_epi32(quarters, _mm512_castsi128_si512(_mm_loadu_si128((const void *)leaf[i].counter)));
#define LEAVES(chunk, span) leaves_loop(out, d, width, leaf, counter, count, accumulate, chunk, span)
    switch (d / 2 / width) {
    case 16: return d < 512 ? LEAVES(8, 1) : LEAVES(16, 1);
    case 32: return LEAVES(16, 2);
    case 64: return LEAVES(16, 4);
    case 128: return LEAVES(16, 8);
    default: return LEAVES(16, 16);
    }
#undef LEAVES
}
