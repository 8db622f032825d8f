/* How many cycles the kernels of the recursion take for 16 coordinates, one at a time and warm: what docs/implementation.md compares with
 * the instructions that they need.
 *
 *     cmake -S . -B build/c -DRSK_PYTHON=OFF -DRSK_C_TESTS=ON && cmake --build build/c --target rsk_cycles && build/c/rsk_cycles
 *
 * An argument names another level, "avx2" say. What is printed is the least of many times, in cycles of a chain of additions. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/kernel_table.h"

static double seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

enum { ROUNDS = 25, WIDTH = 64, LEAVES = 4 };

/* The least time of one call, over ROUNDS rounds of `calls`. */
#define TIME(best, calls, ...)                                            \
    double best = 1e9;                                                    \
    for (int round = 0; round < ROUNDS; round++) {                        \
        const double begin = seconds();                                   \
        for (long call = 0; call < (calls); call++) __VA_ARGS__;          \
        const double one = (seconds() - begin) / (double)(calls);         \
        best = one < best ? one : best;                                   \
    }

/* Additions that wait for each other take a cycle each. */
static double cycles_a_second(void) {
    enum { CHAIN = 1000000 };
    unsigned long x = (unsigned long)rand();
    TIME(best, 1, {
        for (int i = 0; i < CHAIN; i++) {
            x += 3;
            __asm__ volatile("" : "+r"(x)); /* or a compiler adds all at once */
        }
    })
    return CHAIN / best;
}

static void *memory(size_t count, size_t each) {
    void *p = rsk_alloc((ptrdiff_t)count, each);
    if (!p) exit(2);
    return p;
}

static void measure(const rsk_kernels *k, ptrdiff_t d, double clock) {
    const size_t n = (size_t)d;
    const long calls = 1000000 / d;
    const double registers = (double)d / 16;
    uint16_t *bits = memory(n / 16 + 4, sizeof *bits);
    uint32_t *index = memory(LEAVES * (n / 8), sizeof *index);
    int32_t *sum = memory(n, sizeof *sum), *from = memory(n, sizeof *from), *tables = memory(LEAVES * 8 * WIDTH, sizeof *tables);
    double h[WIDTH], *wide = memory(n, sizeof *wide);
    float x[WIDTH], counter[2], sums[4 * WIDTH], *y = memory(n, sizeof *y), *work = memory(n, sizeof *work);
    rsk_leaf leaf[LEAVES];
    rsk_turn turn[4];
    const ptrdiff_t partner[2] = {37, 5};
    for (size_t i = 0; i < n / 16 + 4; i++) bits[i] = (uint16_t)rand();
    for (size_t i = 0; i < LEAVES * (n / 8); i++) index[i] = (uint32_t)rand() * 2654435761u;
    for (size_t i = 0; i < n; i++) sum[i] = 0, from[i] = rand() % 100000, y[i] = 0.0f;
    for (int i = 0; i < WIDTH; i++) x[i] = (float)(rand() % 100);
    for (int i = 0; i < 4; i++) /* independent masks: one pass takes all four operators where there are the registers */
        turn[i] = (rsk_turn){{(32 << i) + 2 * i + 1, (32 << i) + 2 * i + 1}, bits + 4, 1.2, 0};
    TIME(embed, 2000, k->embed(h, x, WIDTH, WIDTH, bits))
    TIME(table, 2000, k->leaf_tables(tables, h, WIDTH, 100.0, 37.0, partner))
    for (int i = 0; i < LEAVES; i++) {
        leaf[i] = (rsk_leaf){index + (size_t)i * (n / 8), tables + 8 * WIDTH * i, {1, 2, 3, 4}};
        k->leaf_tables(tables + 8 * WIDTH * i, h, WIDTH, 100.0, 37.0, partner);
    }
    TIME(leaves, calls, k->leaves(sum, d, WIDTH, leaf, LEAVES, 0))
    TIME(row, calls, k->row_f32(sum, from, NULL, d, turn, 4, 0x1p-40f, work))
    TIME(row_wide, calls, k->row_f64(sum, from, NULL, d, turn, 4, 0x1p-40, wide))
    TIME(known, calls, k->leaf_sums(y, d, WIDTH, index, sums, NULL))
    TIME(unknown, calls, k->leaf_sums(y, d, WIDTH, index, sums, counter))
    TIME(transform, calls, k->fwht_f32(y, d))
    TIME(copy, calls, (memcpy(work, y, n * sizeof *y), y[0] = work[rand() % d]))
    printf("%6td  %6.2f  %6.2f  %6.2f  %6.2f  %6.2f  %6.2f  %6.2f  %6.0f  %6.0f\n", d, leaves / registers / LEAVES * clock,
           row / registers * clock, row_wide / registers * clock, known / registers * clock, unknown / registers * clock,
           transform / registers * clock, copy / registers * clock, embed * clock, table * clock);
    void *all[] = {bits, index, sum, from, tables, wide, y, work};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) rsk_free(all[i]);
}

int main(int count, char **arguments) {
    if (count > 1 && rsk_isa_select(arguments[1]) != RSK_OK) return 2;
    const rsk_kernels *k = rsk_kernels_current();
    const double clock = cycles_a_second();
    srand(1);
    printf("%s, %.2f GHz; cycles for 16 coordinates, and for an attribute of %d numbers\n", k->name, clock * 1e-9, WIDTH);
    printf("     d    leaf   row32   row64    sums +counter    fwht    copy   embed  tables\n");
    for (ptrdiff_t d = 1024; d <= 16384; d *= 4) measure(k, d, clock);
    return 0;
}
