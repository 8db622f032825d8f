/* Which kernels run. All detection ends here; nothing else asks what the CPU can do. */
#include "base/kernel_table.h"

#include <string.h>

#if defined(__AVX__)
#error "dispatch.c must run on every CPU: do not compile it with an instruction set flag"
#endif

static int always(void) { return 1; }

/* The best one first. A new instruction set needs one file in kernels/ and one line here. */
static const struct {
    const rsk_kernels *kernels;
    int (*supported)(void);
} levels[] = {
#if defined(RSK_HAVE_AVX512)
    {&rsk_kernels_avx512, rsk_cpu_has_avx512},
#endif
#if defined(RSK_HAVE_AVX2)
    {&rsk_kernels_avx2, rsk_cpu_has_avx2},
#endif
#if defined(RSK_HAVE_NEON)
    {&rsk_kernels_neon, always},
#endif
    {&rsk_kernels_portable, always},
};

#if defined(_MSC_VER)
#include <intrin.h>
static void *volatile current;
#define LOAD() (current)
#define STORE(p) _InterlockedExchangePointer((void *volatile *)&current, (void *)(p))
#else
#include <stdatomic.h>
static _Atomic(const rsk_kernels *) current;
#define LOAD() atomic_load_explicit(&current, memory_order_relaxed)
#define STORE(p) atomic_store_explicit(&current, (p), memory_order_relaxed)
#endif

static const rsk_kernels *find(const char *name) {
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++)
        if ((!name || !strcmp(name, levels[i].kernels->name)) && levels[i].supported()) return levels[i].kernels;
    return NULL;
}

rsk_status rsk_isa_select(const char *name) {
    const rsk_kernels *k = find(name);
    if (!k) return RSK_EISA;
    STORE(k);
    return RSK_OK;
}

int rsk_isa_available(const char *name) { return name && find(name) != NULL; }

const rsk_kernels *rsk_kernels_current(void) {
    const rsk_kernels *k = (const rsk_kernels *)LOAD();
    if (!k) STORE(k = find(NULL)); /* two threads may both do this; they store the same pointer */
    return k;
}

const char *rsk_isa(void) { return rsk_kernels_current()->name; }
