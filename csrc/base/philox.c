/* Philox4x32-10, a counter-based random bit generator: J. Salmon, M. Moraes, R. Dror, D. Shaw, "Parallel random numbers: as
 * easy as 1, 2, 3", SC 2011. Streams of its words and bits are those of docs/format.md. */
#include "base/base.h"

rsk_status rsk_philox4x32(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]) {
    if (!counter || !key || !out) return RSK_EINVAL;
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3], k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; round++) {
        uint64_t a = (uint64_t)0xD2511F53u * c0, b = (uint64_t)0xCD9E8D57u * c2;
        uint32_t n0 = (uint32_t)(b >> 32) ^ c1 ^ k0, n2 = (uint32_t)(a >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)b;
        c3 = (uint32_t)a;
        c0 = n0;
        c2 = n2;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = c0, out[1] = c1, out[2] = c2, out[3] = c3;
    return RSK_OK;
}

#define MOST_WORDS ((uint64_t)1 << 34) /* blocks of 4 words are counted in 32 bits */

void rsk_stream_block(uint64_t seed, uint64_t stream, uint32_t part, ptrdiff_t block, uint32_t out[4]) {
    const uint32_t counter[4] = {(uint32_t)block, part, (uint32_t)stream, (uint32_t)(stream >> 32)};
    const uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    (void)rsk_philox4x32(counter, key, out);
}

rsk_status rsk_stream_words(uint64_t seed, uint64_t stream, uint32_t part, ptrdiff_t n, uint32_t *words) {
    if (!words || n < 0 || (uint64_t)n > MOST_WORDS) return RSK_EINVAL;
    for (ptrdiff_t i = 0; i < n; i += 4) {
        uint32_t four[4];
        rsk_stream_block(seed, stream, part, i / 4, four);
        for (ptrdiff_t j = 0; j < 4 && i + j < n; j++) words[i + j] = four[j];
    }
    return RSK_OK;
}

rsk_status rsk_stream_parts(uint64_t seed, uint64_t stream, uint32_t first, ptrdiff_t parts, ptrdiff_t n, uint32_t *words) {
    if (!words || parts < 0 || parts > (ptrdiff_t)0xFFFFFFFF - (ptrdiff_t)first) return RSK_EINVAL;
    rsk_status status = RSK_OK;
    for (ptrdiff_t p = 0; p < parts && status == RSK_OK; p++)
        status = rsk_stream_words(seed, stream, first + (uint32_t)p, n, words + p * n);
    return status;
}

rsk_status rsk_stream_signs(uint64_t seed, uint64_t stream, uint32_t part, ptrdiff_t bits, uint16_t *out) {
    if (bits < RSK_LANES || bits % RSK_LANES) return RSK_EINVAL;
    for (ptrdiff_t i = 0; i < bits / RSK_LANES; i += 8) {
        uint32_t four[4];
        rsk_stream_block(seed, stream, part, i / 8, four);
        for (ptrdiff_t j = 0; j < 8 && i + j < bits / RSK_LANES; j++) out[i + j] = (uint16_t)(four[j / 2] >> (16 * (j % 2)));
    }
    return RSK_OK;
}
