/* Aligned memory for arrays whose sizes may come from outside. */
#include "base/base.h"

#include <stdlib.h>
#include <string.h>
#if defined(_WIN32)
#include <malloc.h>
#endif

void *rsk_alloc(ptrdiff_t size, size_t each) {
    if (size < 0 || each == 0 || (size_t)size > (PTRDIFF_MAX - 128) / each) return NULL;
    const size_t bytes = ((size_t)size * each + 64) / 64 * 64; /* aligned_alloc wants a multiple of 64; never 0 */
#if defined(_WIN32)
    return _aligned_malloc(bytes, 64);
#else
    return aligned_alloc(64, bytes);
#endif
}

void *rsk_calloc(ptrdiff_t size, size_t each) {
    void *p = rsk_alloc(size, each);
    if (p) memset(p, 0, (size_t)size * each);
    return p;
}

void rsk_free(void *p) {
#if defined(_WIN32)
    _aligned_free(p);
#else
    free(p);
#endif
}
