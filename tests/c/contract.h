/* The C contract test of csrc/recsketch.h: a counter of checks, and what the tests share.
 *
 *   fixtures.c  random specs and batches, exact in every architecture; allocation failures; the digest
 *   contract.c  every documented status, and main
 *   pointers.c  every pointer of every function NULL in turn
 *   private.c   the core's private functions: sizes that overflow, trees, maps; fits.c the fits of unrolling, and its detection
 *   unrolling.c statuses, laws and a digest of unrolling
 *   encoding.c  attributes and their unknowns: all of these
 *   weightings.c what weights do to amplitudes, and where they end; the parameters of unrolling that go with them
 *   bytes.c     how much memory calls take, as the header says
 *   solvers.c   sampled Hadamard matrices, sparse solvers, scans: all of these for them
 *   learning.c  strings of the block family: all of these for them
 *   stopping.c  calls that are ended early
 *   threads.c   the order in which work is handed out; runs and searches that threads share
 *   laws.c      identities, round trips, equal bits over threads and instruction sets, fork */
#ifndef RSK_CONTRACT_H
#define RSK_CONTRACT_H

#include "recsketch.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------- checks */

extern int checks_passed, checks_failed;

#define CHECK(...) check_that((__VA_ARGS__) ? 1 : 0, __FILE__, __LINE__, #__VA_ARGS__)
#define CHECK_STATUS(want, call) check_status((want), (call), __FILE__, __LINE__, #call)

int check_that(int good, const char *file, int line, const char *text); /* returns good */
int check_status(rsk_status want, rsk_status got, const char *file, int line, const char *text);

/* ---------------------------------------------------------------- fixtures */

void *need(size_t count, size_t size); /* cleared memory, or exit */
uint32_t next_word(uint64_t *state);
float next_float(uint64_t *state); /* multiples of 2^-23 in [-1, 1): the same everywhere */

enum { MODULES = 4, MAX_INPUTS = 4, POSITIONS = 16 }; /* streams of 16 positions are read whatever max_inputs is */

/* Parameters within their ranges. At d = 128 the last module is folded: a = 150, a' = 256. */
typedef struct params {
    rsk_spec_params p;
    ptrdiff_t lengths[MODULES];
    double kappa[MAX_INPUTS + 1];
    uint64_t positions[POSITIONS], operators[MODULES], embeddings[MODULES], counters[MODULES], tags[MODULES];
} params;
void params_fill(params *out, ptrdiff_t dim, const char *rotation, int energy);
rsk_spec *spec_of(const params *p);
rsk_spec *spec_make(ptrdiff_t dim, const char *rotation, int energy); /* of params_fill */
rsk_spec *spec_other(ptrdiff_t dim, const char *rotation, int energy); /* the same with another seed */
rsk_spec *spec_weighted(ptrdiff_t dim, const char *rotation, int weighting); /* the same with an rsk_weighting */

/* Random runs: shared objects, an input used twice, zero weights, dead objects, one object alone. */
typedef struct runs {
    rsk_batch batch;
    ptrdiff_t n, floats; /* objects, attribute elements */
    int64_t *objects, *attribute_ends, *input_ends, *output_ends;
    int32_t *module, *inputs, *outputs;
    double *weights, *output_weights;
    float *attributes;
} runs;
void runs_make(runs *out, ptrdiff_t traces, ptrdiff_t most, uint64_t seed);
void runs_free(runs *r);
rsk_plan *plan_make(const rsk_spec *spec, const runs *r);

double dot(const float *a, const float *b, ptrdiff_t n);

/* FNV-1a over the little-endian bytes of 32-bit or 64-bit elements. */
uint64_t fnv(uint64_t hash, const void *data, size_t count, size_t size);
#define FNV_START 0xcbf29ce484222325u

/* Makes the allocation after the next `after` ones fail, and all later ones; -1 stops that. Returns 0 where allocations
 * cannot be intercepted. */
int fail_allocations(long after);

/* Fails the first allocation, then the second, ... until none is left to fail: always RSK_ENOMEM, nothing leaks. */
#define EACH_ALLOCATION(call, after)                                       \
    for (long fail = 0; fail < 1000; fail++) {                             \
        fail_allocations(fail);                                            \
        const rsk_status got = (call);                                     \
        fail_allocations(-1);                                              \
        after;                                                             \
        if (got == RSK_OK) {                                               \
            CHECK(fail > 0);                                               \
            break;                                                         \
        }                                                                  \
        if (!CHECK_STATUS(RSK_ENOMEM, got)) break;                         \
    }

/* The most bytes that allocations have had at one time since the last call, beyond what they had then, up to what an allocator rounds
 * each of them to; 0 where they cannot be counted. */
ptrdiff_t peak_bytes(void);

/* How many allocations are not freed yet; 0 where they cannot be intercepted. */
long live_allocations(void);

/* Runs a test, which must free all that it and the core allocate. */
#define RUN(test) check_frees((test), #test, __LINE__)
void check_frees(void (*test)(void), const char *name, int line);

extern const char *const ISA_LEVELS[]; /* all there are, then NULL */

/* A digest by portable kernels and one thread. That of every other level and count of threads is checked against it; returns 0 if
 * one differs. Portable kernels take most of the time, since a fused product is a call of a library there. They get no other count
 * where there is another level: work is split above the kernels. */
uint64_t digest_everywhere(uint64_t (*digest)(void *of, int threads), void *of);

void test_statuses(void);
void test_pointers(void);
void test_private(void);
void test_laws(void);
void test_unrolling(void);
void test_solvers(void);
void test_learning(void);
void test_stopping(void);
void test_threads(void);
void test_encoding(void);
void test_weightings(void);
void test_bytes(void);
uint64_t digest_solvers(void); /* as `digest_everywhere` returns it */

#endif
