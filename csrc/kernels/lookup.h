/* Tuples of leaves without table look-up instructions. All sums are of whole numbers modulo 2^32, so that their order is free. */
static uint32_t leaves(int32_t *out, ptrdiff_t d, ptrdiff_t width, const rsk_leaf *leaf, ptrdiff_t count, int accumulate) {
    const ptrdiff_t run = d / 2 / width;
    uint32_t most = 0;
    for (ptrdiff_t k = 0; k < d; k++) {
        const ptrdiff_t table = table_at(k / run); /* the second half's runs follow the first's */
        uint32_t sum = accumulate ? (uint32_t)out[k] : 0;
        for (ptrdiff_t i = 0; i < count; i++) {
            const uint32_t e = leaf[i].index[k / 128 * 16 + k % 16] >> k / 16 % 8 * 4 & 15;
            sum += (uint32_t)leaf[i].tables[table + (e & 3)] + (uint32_t)leaf[i].counter[e >> 2];
        }
        out[k] = (int32_t)sum;
        const uint32_t size = out[k] < 0 ? 0u - sum : sum;
        most = size > most ? size : most;
    }
    return most;
}
