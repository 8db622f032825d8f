#include "contract.h"

#if defined(RSK_TEST_WRAP)
#include <stdatomic.h>
#if defined(__linux__)
#include <malloc.h> /* malloc_usable_size */
#endif
#endif

int checks_passed, checks_failed;

const char *const ISA_LEVELS[] = {"portable", "avx2", "avx512", "neon", NULL};

uint64_t digest_everywhere(uint64_t (*digest)(void *of, int threads), void *of) {
    static const int threads[] = {1, 2, 3, 8};
    const size_t counts = strcmp(rsk_openmp(), "none") ? sizeof threads / sizeof *threads : 1;
    int same = 1, alone = 1;
    CHECK_STATUS(RSK_OK, rsk_isa_select("portable"));
    const uint64_t want = digest(of, 1);
    for (int i = 1; ISA_LEVELS[i]; i++) {
        if (!rsk_isa_available(ISA_LEVELS[i])) continue;
        alone = 0;
        CHECK_STATUS(RSK_OK, rsk_isa_select(ISA_LEVELS[i]));
        for (size_t t = 0; t < counts; t++) same &= CHECK(digest(of, threads[t]) == want);
    }
    for (size_t t = 1; alone && t < counts; t++) same &= CHECK(digest(of, threads[t]) == want);
    CHECK_STATUS(RSK_OK, rsk_isa_select(NULL));
    return same ? want : 0;
}

int check_that(int good, const char *file, int line, const char *text) {
    if (good) {
        checks_passed++;
    } else {
        checks_failed++;
        printf("%s:%d: isa %s: failed: %s\n", file, line, rsk_isa(), text);
    }
    return good;
}

int check_status(rsk_status want, rsk_status got, const char *file, int line, const char *text) {
    if (want != got) printf("wanted status %d (%s), got %d (%s)\n", want, rsk_status_text(want), got, rsk_status_text(got));
    return check_that(want == got, file, line, text);
}

/* ---------------------------------------------------------------- allocation failures */

#if defined(RSK_TEST_WRAP) /* linked with --wrap: every allocation of the core comes through here */
static long allocations_left = -1; /* changed only while nothing runs in parallel */

static int refuse(void) {
    if (allocations_left < 0) return 0;
    if (allocations_left == 0) return 1;
    allocations_left--;
    return 0;
}

static atomic_long live; /* allocations that are not freed yet; some are made by several threads at once */
static atomic_long allocated, peak; /* their sizes, and the most that these were */

static long size_of(void *p) {
#if defined(__linux__)
    return (long)malloc_usable_size(p);
#else
    return 0;
#endif
}

static void *count(void *p) {
    if (!p) return NULL;
    atomic_fetch_add(&live, 1);
    const long now = atomic_fetch_add(&allocated, size_of(p)) + size_of(p);
    for (long most = atomic_load(&peak); now > most;)
        if (atomic_compare_exchange_weak(&peak, &most, now)) break;
    return p;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *p, size_t size);
int __real_posix_memalign(void **p, size_t align, size_t size);
void *__real_aligned_alloc(size_t align, size_t size);
void __real_free(void *p);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *p, size_t size);
int __wrap_posix_memalign(void **p, size_t align, size_t size);
void *__wrap_aligned_alloc(size_t align, size_t size);
void __wrap_free(void *p);

void *__wrap_malloc(size_t size) { return refuse() ? NULL : count(__real_malloc(size)); }
void *__wrap_calloc(size_t n, size_t size) { return refuse() ? NULL : count(__real_calloc(n, size)); }
void *__wrap_realloc(void *p, size_t size) {
    const long before = p ? size_of(p) : 0;
    void *moved = refuse() ? NULL : __real_realloc(p, size);
    if (p && moved) atomic_fetch_add(&allocated, size_of(moved) - before);
    return p ? moved : count(moved);
}
int __wrap_posix_memalign(void **p, size_t align, size_t size) {
    const int error = refuse() ? 12 : __real_posix_memalign(p, align, size); /* ENOMEM */
    if (!error) count(*p);
    return error;
}
void *__wrap_aligned_alloc(size_t align, size_t size) { return refuse() ? NULL : count(__real_aligned_alloc(align, size)); }
void __wrap_free(void *p) {
    if (p) atomic_fetch_sub(&live, 1), atomic_fetch_sub(&allocated, size_of(p));
    __real_free(p);
}

int fail_allocations(long after) {
    allocations_left = after;
    return 1;
}

long live_allocations(void) { return atomic_load(&live); }

ptrdiff_t peak_bytes(void) {
    static long begun;
    const long most = atomic_load(&peak) - begun;
    begun = atomic_load(&allocated);
    atomic_store(&peak, begun);
    return most;
}
#else
int fail_allocations(long after) {
    (void)after;
    return 0;
}

long live_allocations(void) { return 0; }

ptrdiff_t peak_bytes(void) { return 0; }
#endif

void check_frees(void (*test)(void), const char *name, int line) {
    const long before = live_allocations();
    test();
    const long lost = live_allocations() - before;
    if (!check_that(lost == 0, __FILE__, line, name)) printf("  %ld allocations are not freed\n", lost);
}

void *need(size_t count, size_t size) {
    void *p = calloc(count ? count : 1, size);
    if (!p) {
        puts("out of memory");
        exit(2);
    }
    return p;
}

/* ---------------------------------------------------------------- numbers */

uint32_t next_word(uint64_t *state) { /* splitmix64 */
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (uint32_t)(z >> 32);
}

float next_float(uint64_t *state) { return (float)((int32_t)(next_word(state) >> 8) - (1 << 23)) * 0x1p-23f; }

double dot(const float *a, const float *b, ptrdiff_t n) {
    double sum = 0;
    for (ptrdiff_t i = 0; i < n; i++) sum += (double)a[i] * (double)b[i];
    return sum;
}

uint64_t fnv(uint64_t hash, const void *data, size_t count, size_t size) {
    const unsigned char *bytes = data;
    const uint16_t probe = 1;
    const int little = *(const unsigned char *)&probe;
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < size; j++)
            hash = (hash ^ bytes[i * size + (little ? j : size - 1 - j)]) * 0x100000001b3u;
    return hash;
}

/* ---------------------------------------------------------------- specs and batches */

void params_fill(params *out, ptrdiff_t dim, const char *rotation, int energy) {
    static const ptrdiff_t lengths[MODULES] = {7, 16, 33, 150};
    memset(out, 0, sizeof *out);
    for (int i = 0; i < MODULES; i++) {
        out->lengths[i] = lengths[i];
        out->operators[i] = 0x123456789abcdef0u + (uint64_t)i;
        out->embeddings[i] = 200 + (uint64_t)i;
        out->counters[i] = 300 + (uint64_t)i;
        out->tags[i] = 17 + 40 * (uint64_t)i;
    }
    for (int i = 0; i < POSITIONS; i++) out->positions[i] = 400 + (uint64_t)i;
    for (int k = 0; k <= MAX_INPUTS; k++) out->kappa[k] = sqrt((double)(k > 0 ? k : 1));
    out->p = (rsk_spec_params){.dim = dim, .modules = MODULES, .max_inputs = MAX_INPUTS, .seed = 0xfedcba9876543210u,
                               .rotation = rotation, .cosine = 0.5, .sine = 0.86602540378443865,
                               .gain = 0.70710678118654752, .branch = 0.70710678118654752,
                               .weighting = energy ? RSK_WEIGHTS_ENERGY : RSK_WEIGHTS_LINEAR, .ordered = 1,
                               .ins = strcmp(rotation, "block") ? 2 : 1, .block = 32, .blocks_per_column = 2, .tags = out->tags,
                               .lengths = out->lengths, .kappa = out->kappa, .positions = out->positions,
                               .operators = out->operators, .embeddings = out->embeddings, .counters = out->counters,
                               .branch_attr = 1, .branch_in = {2, 3}};
}

rsk_spec *spec_of(const params *p) {
    rsk_spec *spec = NULL;
    if (!CHECK_STATUS(RSK_OK, rsk_spec_create(&p->p, NULL, &spec))) exit(1);
    return spec;
}

rsk_spec *spec_make(ptrdiff_t dim, const char *rotation, int energy) {
    params p;
    params_fill(&p, dim, rotation, energy);
    return spec_of(&p);
}

rsk_spec *spec_weighted(ptrdiff_t dim, const char *rotation, int weighting) {
    params p;
    params_fill(&p, dim, rotation, 0);
    p.p.weighting = weighting;
    return spec_of(&p);
}

rsk_spec *spec_other(ptrdiff_t dim, const char *rotation, int energy) {
    params p;
    params_fill(&p, dim, rotation, energy);
    p.p.seed++;
    return spec_of(&p);
}

void runs_make(runs *out, ptrdiff_t traces, ptrdiff_t most, uint64_t seed) {
    static const ptrdiff_t lengths[MODULES] = {7, 16, 33, 150};
    const size_t t = (size_t)traces, n = t * (size_t)most, e = n * MAX_INPUTS, o = t * MAX_INPUTS;
    uint64_t state = seed;
    ptrdiff_t edges = 0, ends = 0;
    memset(out, 0, sizeof *out);
    out->objects = need(t + 1, sizeof(int64_t));
    out->output_ends = need(t + 1, sizeof(int64_t));
    out->attribute_ends = need(n + 1, sizeof(int64_t));
    out->input_ends = need(n + 1, sizeof(int64_t));
    out->module = need(n, sizeof(int32_t));
    out->inputs = need(e, sizeof(int32_t));
    out->weights = need(e, sizeof(double));
    out->outputs = need(o, sizeof(int32_t));
    out->output_weights = need(o, sizeof(double));
    for (ptrdiff_t i = 0; i < traces; i++) {
        const ptrdiff_t objects = i == 0 ? 1 : 1 + (ptrdiff_t)(next_word(&state) % (uint32_t)most);
        for (ptrdiff_t k = 0; k < objects; k++, out->n++) {
            const int32_t module = (int32_t)(next_word(&state) % MODULES);
            const uint32_t fan = k ? next_word(&state) % (MAX_INPUTS + 1) : 0;
            out->module[out->n] = module;
            out->floats += lengths[module];
            out->attribute_ends[out->n + 1] = out->floats;
            for (uint32_t j = 0; j < fan; j++, edges++) {
                const uint32_t near = k < 6 ? (uint32_t)k : 6;
                out->inputs[edges] = (int32_t)(k - 1) - (int32_t)(next_word(&state) % near);
                out->weights[edges] = j && next_word(&state) % 5 == 0 ? 0 : 0.5 + next_word(&state) % 1000;
            }
            out->input_ends[out->n + 1] = edges;
        }
        out->objects[i + 1] = out->n;
        const uint32_t fan = 1 + next_word(&state) % 2;
        for (uint32_t j = 0; j < fan; j++, ends++) {
            out->outputs[ends] = (int32_t)(objects - 1) - (int32_t)(next_word(&state) % (objects < 3 ? 1 : 3));
            out->output_weights[ends] = 1 + j;
        }
        out->output_ends[i + 1] = ends;
    }
    out->attributes = need((size_t)out->floats, sizeof(float));
    for (ptrdiff_t i = 0; i < out->floats; i++) out->attributes[i] = next_float(&state);
    out->batch = (rsk_batch){.traces = traces, .objects = out->objects, .module = out->module,
                             .attribute_ends = out->attribute_ends, .input_ends = out->input_ends, .inputs = out->inputs,
                             .weights = out->weights, .output_ends = out->output_ends, .outputs = out->outputs,
                             .output_weights = out->output_weights};
}

void runs_free(runs *r) {
    free(r->objects);
    free(r->attribute_ends);
    free(r->input_ends);
    free(r->output_ends);
    free(r->module);
    free(r->inputs);
    free(r->outputs);
    free(r->weights);
    free(r->output_weights);
    free(r->attributes);
}

rsk_plan *plan_make(const rsk_spec *spec, const runs *r) {
    rsk_plan *plan = NULL;
    if (!CHECK_STATUS(RSK_OK, rsk_plan_create(spec, &r->batch, 1, &plan, NULL))) exit(1);
    return plan;
}
