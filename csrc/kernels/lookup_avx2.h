/* Tuples of leaves by two permutations a register, each of which chooses one of four sums by two bits: a run's two terms, and the
 * counter's. Eight lanes of eight registers are summed over all leaves before they are stored. */

static RSK_INLINE __m256i chosen(__m256i four, __m256i bits) {
    return _mm256_castps_si256(_mm256_permutevar_ps(_mm256_castsi256_ps(four), bits));
}

/* A run's four sums: its first term where bit 0 is clear, its second where bit 1 is. */
static RSK_INLINE __m256i run_table(const int32_t *first, const int32_t *second) {
    const __m256i one = _mm256_set_epi32(0, -1, 0, -1, 0, -1, 0, -1), two = _mm256_set_epi32(0, 0, -1, -1, 0, 0, -1, -1);
    return _mm256_add_epi32(_mm256_and_si256(_mm256_set1_epi32(*first), one), _mm256_and_si256(_mm256_set1_epi32(*second), two));
}

/* `span` is how many of the registers a run fills, or 0 where it fills one half of what 16 lanes are. */
static RSK_INLINE void leaf_chunk(__m256i sum[8], const rsk_leaf *leaf, ptrdiff_t width, int c, const uint32_t *index, ptrdiff_t j,
                                  const int span) {
    const int32_t *first = leaf->rows + j, *second = leaf->rows + (1 + c) * width + j;
    const __m256i counter = _mm256_broadcastsi128_si256(_mm_loadu_si128((const void *)leaf->counter));
    const __m256i bits = _mm256_loadu_si256((const void *)index);
    __m256i t = counter;
    RSK_UNROLL for (int q = 0; q < 8; q++) {
        if (span == 0) t = run_table(first + 2 * q, second + 2 * q);
        else if (q % span == 0) t = run_table(first + q / span, second + q / span);
        sum[q] = _mm256_add_epi32(sum[q], chosen(t, q ? _mm256_srli_epi32(bits, 4 * q) : bits));
        sum[q] = _mm256_add_epi32(sum[q], chosen(counter, _mm256_srli_epi32(bits, 4 * q + 2)));
    }
}

static RSK_INLINE uint32_t leaves_loop(int32_t *RSK_RESTRICT out, ptrdiff_t d, ptrdiff_t width, const rsk_leaf *leaf, ptrdiff_t count,
                                       const int32_t *sums, int accumulate, const int span) {
    const ptrdiff_t run = d / 2 / width;
    __m256i most = _mm256_setzero_si256();
    for (int c = 0; c < 2; c++)
        for (ptrdiff_t in = 0; in < d / 2; in += 128)
            for (int part = 0; part < 16; part += 8) {
                const ptrdiff_t k = c * (d / 2) + in, j = (in + part) / run;
                const int32_t *base = sums + c * width + j;
                __m256i sum[8];
                RSK_UNROLL for (int q = 0; q < 8; q++) sum[q] = _mm256_set1_epi32(base[span ? q / (span ? span : 1) : 2 * q]);
                for (ptrdiff_t i = 0; i < count; i++) leaf_chunk(sum, leaf + i, width, c, leaf[i].index + k / 8 + part, j, span);
                RSK_UNROLL for (int q = 0; q < 8; q++) {
                    int32_t *to = out + k + 16 * q + part;
                    if (accumulate) sum[q] = _mm256_add_epi32(sum[q], _mm256_loadu_si256((const void *)to));
                    _mm256_storeu_si256((void *)to, sum[q]);
                    most = _mm256_max_epu32(most, _mm256_abs_epi32(sum[q]));
                }
            }
    return r32_ints_most(most);
}

static uint32_t leaves(int32_t *out, ptrdiff_t d, ptrdiff_t width, const rsk_leaf *leaf, ptrdiff_t count, const int32_t *sums,
                       int accumulate) {
#define LEAVES(span) leaves_loop(out, d, width, leaf, count, sums, accumulate, span)
    switch (d / 2 / width) {
    case 8: return LEAVES(0);
    case 16: return LEAVES(1);
    case 32: return LEAVES(2);
    case 64: return LEAVES(4);
    default: return LEAVES(8);
    }
#undef LEAVES
}
