/* Tuples of leaves by two permutations a register of AVX2, each of which chooses one of four numbers by two bits: a run's, and the
 * counter's. Eight lanes of eight registers are summed over all leaves before they are stored. */

static RSK_INLINE __m256i four(const int32_t *x) { return _mm256_broadcastsi128_si256(_mm_loadu_si128((const void *)x)); }

static RSK_INLINE __m256i chosen(__m256i four, __m256i bits) {
    return _mm256_castps_si256(_mm256_permutevar_ps(_mm256_castsi256_ps(four), bits));
}

/* `span` is how many of the registers a run fills, or 0 where it fills one half of what 16 lanes are. */
static RSK_INLINE void leaf_fours(__m256i sum[8], const int32_t *tables, const uint32_t *index, __m256i counter, const int span) {
    const __m256i bits = _mm256_loadu_si256((const void *)index);
    __m256i t = counter;
    RSK_UNROLL for (int q = 0; q < 8; q++) {
        if (span == 0) t = four(tables + table_at(2 * q));
        else if (q % span == 0) t = four(tables + table_at(q / span));
        sum[q] = _mm256_add_epi32(sum[q], chosen(t, q ? _mm256_srli_epi32(bits, 4 * q) : bits));
        sum[q] = _mm256_add_epi32(sum[q], chosen(counter, _mm256_srli_epi32(bits, 4 * q + 2)));
    }
}

/* Returns the largest magnitudes of its lanes. */
static RSK_INLINE __m256i leaves_by_fours(int32_t *RSK_RESTRICT out, ptrdiff_t d, ptrdiff_t width, const rsk_leaf *leaf, ptrdiff_t count,
                                          int accumulate, const int span) {
    const ptrdiff_t run = d / 2 / width;
    __m256i most = _mm256_setzero_si256();
    for (ptrdiff_t block = 0; block < d; block += 128)
        for (int part = 0; part < 16; part += 8) {
            const ptrdiff_t table = table_at((block + part) / run); /* the second half's runs follow the first's */
            __m256i sum[8];
            RSK_UNROLL for (int q = 0; q < 8; q++)
                sum[q] = accumulate ? _mm256_loadu_si256((const void *)(out + block + 16 * q + part)) : _mm256_setzero_si256();
            for (ptrdiff_t i = 0; i < count; i++)
                leaf_fours(sum, leaf[i].tables + table, leaf[i].index + block / 8 + part, four(leaf[i].counter), span);
            RSK_UNROLL for (int q = 0; q < 8; q++) {
                _mm256_storeu_si256((void *)(out + block + 16 * q + part), sum[q]);
                most = _mm256_max_epu32(most, _mm256_abs_epi32(sum[q]));
            }
        }
    return most;
}
