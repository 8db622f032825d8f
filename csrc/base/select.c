/* Radix selection, of the k largest of many without sorting them. */
#include "base/base.h"

#include <string.h>

#define FIRST 11 /* bits of the first digit, which leaves few keys: 2^11 counts stay in the first cache */
#define NEXT 7   /* bits of the other three: 128 counts are cleared and searched in no time */

/* The bin, from `top` downwards, in which the rank-th key lies; rank becomes what is left of it there. */
static uint32_t bin_of(const uint32_t *counts, uint32_t top, ptrdiff_t *rank) {
    while (top > 0 && (ptrdiff_t)counts[top] < *rank) *rank -= (ptrdiff_t)counts[top--];
    return top;
}

uint32_t rsk_select(const uint32_t *keys, ptrdiff_t n, ptrdiff_t *rank, uint32_t *spare) {
    uint32_t first[1 << FIRST] = {0}, most = 0;
    ptrdiff_t left = 0;
    int shift = 32 - FIRST;
    for (ptrdiff_t i = 0; i < n; i++) {
        first[keys[i] >> shift]++;
        most = keys[i] > most ? keys[i] : most;
    }
    uint32_t found = bin_of(first, most >> shift, rank);
    for (ptrdiff_t i = 0; i < n; i++) { /* no branch, which would be mispredicted */
        spare[left] = keys[i];
        left += keys[i] >> shift == found;
    }
    while (shift > 0) {
        uint32_t counts[1 << NEXT] = {0};
        const ptrdiff_t before = left;
        shift -= NEXT;
        for (ptrdiff_t i = 0; i < before; i++) counts[spare[i] >> shift & ((1 << NEXT) - 1)]++;
        found = found << NEXT | bin_of(counts, (1 << NEXT) - 1, rank);
        left = 0;
        for (ptrdiff_t i = 0; i < before; i++) {
            const uint32_t key = spare[i];
            spare[left] = key;
            left += key >> shift == found;
        }
    }
    return found;
}

/* In the order of a >= 0: the bits of a double without its sign. */
static uint64_t key_of(double a) {
    uint64_t bits;
    memcpy(&bits, &a, sizeof bits);
    return bits << 1;
}

/* The k-th largest is found by the high halves of the keys, and then by the low ones of those whose high half is its own. */
void rsk_keep_largest(double *a, ptrdiff_t n, ptrdiff_t k, double *scratch) {
    uint32_t *halves = (uint32_t *)(void *)scratch, *spare = halves + n;
    ptrdiff_t some = 0, left = 0, ties = k; /* ties: how many of those equal to the k-th largest are kept */
    for (ptrdiff_t i = 0; i < n; i++) some += a[i] > 0.0;
    if (some <= k) return;
    for (ptrdiff_t i = 0; i < n; i++) halves[i] = (uint32_t)(key_of(a[i]) >> 32);
    const uint32_t high = rsk_select(halves, n, &ties, spare);
    for (ptrdiff_t i = 0; i < n; i++)
        if (key_of(a[i]) >> 32 == high) halves[left++] = (uint32_t)key_of(a[i]);
    const uint64_t least = (uint64_t)high << 32 | rsk_select(halves, left, &ties, spare);
    for (ptrdiff_t i = 0; i < n; i++)
        if (key_of(a[i]) < least || (key_of(a[i]) == least && ties-- <= 0)) a[i] = 0.0;
}
