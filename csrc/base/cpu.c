/* Which instruction sets the processor and its operating system offer. */
#include "base/base.h"

#if defined(__x86_64__) || defined(_M_X64)

#if defined(_MSC_VER)
#include <intrin.h>
static void cpuid(int leaf, int sub, unsigned out[4]) { __cpuidex((int *)out, leaf, sub); }
static unsigned long long xcr0(void) { return _xgetbv(0); }
#else
#include <cpuid.h>
static void cpuid(int leaf, int sub, unsigned out[4]) { __cpuid_count(leaf, sub, out[0], out[1], out[2], out[3]); }
static unsigned long long xcr0(void) {
    unsigned low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return ((unsigned long long)high << 32) | low;
}
#endif

/* Whether there are AVX, FMA, F16C and the instructions whose bits of leaf 7's EBX are given, and whether the operating system saves
 * the given state (bits of XCR0). */
static int has(unsigned ebx, unsigned long long state) {
    unsigned r[4];
    cpuid(0, 0, r);
    if (r[0] < 7) return 0;
    cpuid(1, 0, r);
    const unsigned wanted = 1u << 12 | 1u << 27 | 1u << 28 | 1u << 29; /* FMA, OSXSAVE, AVX, F16C */
    if ((r[2] & wanted) != wanted || (xcr0() & state) != state) return 0;
    cpuid(7, 0, r);
    return (r[1] & ebx) == ebx;
}

int rsk_cpu_has_avx2(void) { return has(1u << 5, 0x6); } /* the state of SSE and AVX registers */
/* AVX2; AVX-512 F, DQ, BW and VL; the state of mask and 512-bit registers as well */
int rsk_cpu_has_avx512(void) { return has(1u << 5 | 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31, 0xE6); }

#else

int rsk_cpu_has_avx2(void) { return 0; }
int rsk_cpu_has_avx512(void) { return 0; }

#endif
