/* What the core's private functions promise in csrc/base/base.h, csrc/recursion/recursion.h and csrc/reading/reading.h. */
#include "contract.h"
#include "reading/reading.h"

enum { DIM = 512, NODES = 11 };

/* Users stand before their inputs. Tuples mix modules, and node 3 is the only one of its module among its siblings. */
static const int32_t parents[NODES] = {-1, -1, 0, 0, 0, 0, 2, 2, 6, 6, 4};
static const int32_t places[NODES] = {0, 1, 0, 1, 2, 3, 0, 1, 0, 1, 0};
static const int32_t kinds[NODES] = {0, 0, 1, 2, 1, 1, 2, 0, 1, 1, 0};
enum { DROPPED = 2 }; /* with all below: 6, 7, 8, 9 */
static const int32_t numbers[NODES] = {0, 1, -1, 2, 3, 4, -1, -1, -1, -1, 5}; /* without it */

static const uint8_t anything[(MODULES + 1) * MODULES] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};

/* A fit of those nodes to random numbers, with every array of an object or an element set to numbers of its own. */
static rsk_spec *fit_make(rsk_fit *f, int sparse, int energy) {
    const rsk_unroll_params p = {.allowed = anything, .max_depth = 8, .threshold = 6.0, .max_rounds = 9, .sparse = sparse};
    rsk_spec *spec = spec_make(DIM, "skew", energy);
    float s[DIM];
    uint64_t state = 3;
    for (int k = 0; k < DIM; k++) s[k] = next_float(&state);
    if (!CHECK(rsk_fit_create(spec, &p, NULL, 0, f)) || !CHECK(rsk_fit_load(f, s, NULL, 0.0))) exit(1);
    for (int i = 0; i < NODES; i++) rsk_fit_add(f, parents[i], places[i], kinds[i], 1.0 + i);
    rsk_tree_program(&f->tree);
    for (int i = 0; i < NODES; i++) f->c[i] = 100.0 + i;
    for (int64_t k = 0; k < f->tree.plan.attribute_ends[NODES]; k++)
        f->x[k] = (double)next_float(&state), f->damping[k] = 0.1 + 0.001 * (double)k, f->prior[k] = 2.0 + (double)k;
    f->map.attributes = (ptrdiff_t)f->tree.plan.attribute_ends[NODES], f->map.counters = NODES;
    return spec;
}

/* ---------------------------------------------------------------- base */

static void test_alloc(void) {
    /* products that wrap to 0, and to little */
    CHECK(!rsk_alloc(PTRDIFF_MAX / 4 + 1, 8) && !rsk_alloc(PTRDIFF_MAX / 4 + 2, 8) && !rsk_calloc(PTRDIFF_MAX / 2 + 2, 4));
    CHECK(!rsk_alloc(-1, 1) && !rsk_alloc(PTRDIFF_MIN, 1) && !rsk_alloc(1, 0) && !rsk_alloc(1, SIZE_MAX) && !rsk_alloc(PTRDIFF_MAX, 1));
    for (ptrdiff_t n = 0; n < 130; n++) {
        unsigned char *p = rsk_calloc(n, 1);
        if (!CHECK(p && (uintptr_t)p % 64 == 0)) break;
        for (ptrdiff_t i = 0; i < n; i++) CHECK(p[i] == 0);
        memset(p, 1, (size_t)n);
        rsk_free(p);
    }
    rsk_free(NULL);
}

static void test_streams(void) {
    uint32_t words[8] = {0};
    uint16_t signs[16] = {0};
    const ptrdiff_t bad[] = {0, -16, 8, 17, PTRDIFF_MIN};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) CHECK_STATUS(RSK_EINVAL, rsk_stream_signs(1, 2, 0, bad[i], signs));
    CHECK_STATUS(RSK_OK, rsk_stream_signs(1, 2, 0, 16 * 13, signs));
    CHECK_STATUS(RSK_OK, rsk_stream_words(1, 2, 0, 8, words));
    for (int w = 0; w < 13; w++) CHECK(signs[w] == (uint16_t)(words[w / 2] >> 16 * (w % 2)));
    for (int w = 13; w < 16; w++) CHECK(signs[w] == 0);
    if (PTRDIFF_MAX / 2 < (ptrdiff_t)1 << 30) return; /* no such n */
    CHECK_STATUS(RSK_EINVAL, rsk_stream_words(1, 2, 0, ((ptrdiff_t)1 << 17 << 17) + 1, words)); /* nothing may be written */
    CHECK_STATUS(RSK_EINVAL, rsk_stream_words(1, 2, 0, PTRDIFF_MAX, words));
}

/* ---------------------------------------------------------------- sweeps */

/* Sizes that wrap around must not become small ones. */
static void test_scratch(void) {
    rsk_spec *spec = spec_make(128, "skew", 1);
    rsk_plan plan = {.vectors = PTRDIFF_MAX / 32 + 1}; /* times 208 floats of 4 bytes: 0 modulo 2^64 */
    CHECK(rsk_scratch_create(spec, &plan, 1, NULL) == NULL);
    plan.vectors = 0, plan.wide_vectors = PTRDIFF_MAX / 64 + 1;
    CHECK(rsk_scratch_create(spec, &plan, 1, NULL) == NULL);
    plan.vectors = plan.wide_vectors = PTRDIFF_MAX / 64 / 200;
    CHECK(rsk_scratch_create(spec, &plan, 1, NULL) == NULL);
    plan.vectors = 1, plan.wide_vectors = 2;
    rsk_scratch *scratch = rsk_scratch_create(spec, &plan, 3, NULL);
    CHECK(scratch != NULL);
    for (int i = 0; scratch && i < 3; i++) {
        CHECK(scratch[i].worker == i && scratch[i].stride >= 128);
        memset(scratch[i].slots, 1, 128 * sizeof(float)); /* AddressSanitizer sees what is too short */
        memset(scratch[i].wide_slots, 1, (size_t)(scratch[i].stride + 128) * sizeof(double));
        memset(scratch[i].padded, 1, 256 * sizeof(float)); /* module 3 is padded to 256 */
        memset(scratch[i].work, 1, 512 * sizeof(float));
        memset(scratch[i].wide_padded, 1, 256 * sizeof(double));
        memset(scratch[i].wide_work, 1, 512 * sizeof(double));
        memset(scratch[i].wide_spare, 1, 256 * sizeof(double));
    }
    rsk_scratch_free(scratch, 3);
    rsk_spec_free(spec);
}

/* ---------------------------------------------------------------- trees */

/* The lists of children and of kin are what the nodes say. */
static void test_tree_lists(void) {
    rsk_fit f;
    rsk_spec *spec = fit_make(&f, 0, 1);
    const rsk_tree *t = &f.tree;
    for (int round = 0; round < 2; round++) {
        const int32_t n = (int32_t)t->count;
        for (int32_t p = -1; p < n; p++) {
            int32_t at = rsk_tree_first(t, p);
            for (int32_t c = 0; c < n; c++) {
                if (t->node[c].parent != p) continue;
                CHECK(at == c);
                int32_t kin = -1, eldest = 1;
                for (int32_t o = n - 1; o > c; o--)
                    if (t->node[o].parent == p && t->node[o].module == t->node[c].module) kin = o;
                for (int32_t o = 0; o < c; o++)
                    if (t->node[o].parent == p && t->node[o].module == t->node[c].module) eldest = 0;
                CHECK(t->kin[c] == kin && t->eldest[c] == eldest);
                at = t->next[c];
            }
            CHECK(at == -1);
        }
        memset(f.drop, 0, NODES); /* once more without one of them: the lists are made anew */
        f.drop[DROPPED] = 1;
        rsk_fit_remove(&f);
        rsk_tree_program(&f.tree);
    }
    rsk_fit_free(&f);
    rsk_spec_free(spec);
}

/* The parts of a tuple's members add up to the whole that its owner tells: with every weight 1 / n. */
static void test_tree_shares(void) {
    for (int energy = 0; energy < 2; energy++) {
        rsk_fit f;
        rsk_spec *spec = fit_make(&f, 0, energy);
        const double root = 0.8, weight = energy ? 0.5 : 0.25, share = 0.70710678118654752, gain = 0.70710678118654752;
        double c[NODES] = {0}, sum = 0;
        c[0] = 0.3;
        for (int i = 2; i < 6; i++) c[i] = c[0] * share * weight, sum += rsk_tree_part(spec, c[i]);
        CHECK(fabs(rsk_tree_whole(&f.tree, 0, c, root) - sum) <= 1e-15);
        c[0] = -1;
        CHECK(rsk_tree_whole(&f.tree, 0, c, root) == 0);
        CHECK(rsk_tree_part(spec, -0.5) == (energy ? 0.25 : 0));
        const double outputs = root * share * gain;
        CHECK(fabs(rsk_tree_whole(&f.tree, RSK_ROOT, c, root) - (energy ? outputs * outputs : outputs)) <= 1e-15);
        rsk_fit_free(&f);
        rsk_spec_free(spec);
    }
}

/* ---------------------------------------------------------------- maps */

static void test_load(void) {
    rsk_spec *spec = spec_make(64, "skew", 1);
    float sketch[64];
    double s[64];
    uint8_t mask[64];
    for (int k = 0; k < 64; k++) sketch[k] = (float)(k + 1), mask[k] = (uint8_t)(k % 3 ? 1 << k % 8 : 0);
    CHECK(rsk_load_kept(spec, sketch, NULL, s) == 64 && s[63] == 64);
    sketch[3] = NAN; /* erased */
    CHECK(rsk_load_kept(spec, sketch, mask, s) == 42);
    for (int k = 0; k < 64; k++) CHECK(s[k] == (k % 3 ? k + 1 : 0));
    CHECK(rsk_load_kept(spec, sketch, NULL, s) == -1);
    sketch[4] = -1.01f * RSK_MAX_VALUE;
    CHECK(rsk_load_kept(spec, sketch, mask, s) == -1);
    sketch[4] = -RSK_MAX_VALUE;
    CHECK(rsk_load_kept(spec, sketch, mask, s) == 42);
    rsk_spec_free(spec);
}

/* The preconditioner solves (D + g 1 1') z = b for the members of a tuple that are of one module: D is 1 - g + damping, that of
 * an attribute's first element; g = cos^2 60 degrees. Every sum is of at most four terms of size one. */
static void test_precondition(void) {
    rsk_fit f;
    rsk_spec *spec = fit_make(&f, 0, 1);
    const rsk_tree *t = &f.tree;
    const int64_t *ends = t->plan.attribute_ends;
    const ptrdiff_t a = f.map.attributes, n = a + NODES;
    double *b = need((size_t)n, sizeof *b), *z = need((size_t)n, sizeof *z);
    uint64_t state = 9;
    for (ptrdiff_t k = 0; k < n; k++) b[k] = (double)next_float(&state), z[k] = NAN;
    f.work.precondition(f.work.context, b, z);
    for (int i = 0; i < NODES; i++) {
        double sum = 0;
        for (int o = 0; o < NODES; o++)
            if (parents[o] == parents[i] && kinds[o] == kinds[i]) sum += z[a + o];
        CHECK(fabs(0.75 * z[a + i] + 0.25 * sum - b[a + i]) <= 1e-14);
        for (int64_t k = 0; k < ends[i + 1] - ends[i]; k++) {
            sum = 0;
            for (int o = 0; o < NODES; o++)
                if (parents[o] == parents[i] && kinds[o] == kinds[i]) sum += z[ends[o] + k];
            CHECK(fabs((0.75 + f.damping[ends[i]]) * z[ends[i] + k] + 0.25 * sum - b[ends[i] + k]) <= 1e-14);
        }
    }
    free(b), free(z);
    rsk_fit_free(&f);
    rsk_spec_free(spec);
}

/* Unknowns are the elements whose scale is not 0, and the counters; each may hold 5e-7 / sqrt(d) of |r|. */
static void test_resolution(void) {
    rsk_spec *spec = spec_make(64, "skew", 1);
    double scale[12] = {1, 0, 2, 3, 0, 0, 4, 5, 0, 1, 0, 0};
    const rsk_linear map = {.spec = spec, .attributes = 10, .counters = 2, .scale = scale};
    CHECK(fabs(rsk_linear_resolution(&map) - 8 * 2.5e-13 / 64) <= 1e-27);
    rsk_spec_free(spec);
}

/* ---------------------------------------------------------------- fits */

/* What is left keeps its counter, amplitude and elements. */
static void test_fit_remove(void) {
    rsk_fit f, old;
    rsk_spec *spec = fit_make(&f, 0, 1), *same = fit_make(&old, 0, 1);
    memset(f.drop, 0, NODES);
    f.drop[DROPPED] = 1;
    rsk_fit_remove(&f);
    CHECK(f.tree.count == 6);
    for (int i = 0; i < NODES; i++) {
        const int32_t to = numbers[i];
        CHECK(f.moved[i] == to);
        if (to < 0) continue;
        CHECK(f.c[to] == 100.0 + i && f.alpha[to] == 1.0 + i && f.tree.node[to].module == kinds[i]);
        const int64_t from = old.tree.plan.attribute_ends[i], at = f.tree.plan.attribute_ends[to];
        for (ptrdiff_t k = 0; k < spec->module[kinds[i]].length; k++) {
            CHECK(f.x[at + k] == old.x[from + k] && f.damping[at + k] == old.damping[from + k]);
            CHECK(f.prior[at + k] == old.prior[from + k]);
        }
    }
    CHECK(rsk_fit_unknowns(&f) == f.tree.plan.attribute_ends[6] + 6);
    rsk_fit_free(&f);
    rsk_fit_free(&old);
    rsk_spec_free(spec);
    rsk_spec_free(same);
}

/* rho2 is the attributes' energy over the counters', both without the noise's, of the objects whose counter is certain. */
static void test_fit_norms(void) {
    rsk_fit f;
    rsk_spec *spec = fit_make(&f, 0, 1);
    const int64_t *ends = f.tree.plan.attribute_ends;
    double own[MODULES] = {0}, counters[MODULES] = {0};
    f.spread = 0.1, f.shrink = 0.5, f.norm2 = 1.0;
    for (int i = 0; i < NODES; i++) {
        f.c[i] = i == 7 ? 0.99 * RSK_CLEAR * f.spread : 1.0 + 0.1 * i; /* one is not */
        double energy = 0;
        for (int64_t k = ends[i]; k < ends[i + 1]; k++) {
            const double free = f.x[k] * (1.0 + f.damping[k] / f.shrink);
            CHECK(fabs(rsk_fit_free_element(&f, k) - free) <= 1e-15 * fabs(free));
            energy += free * free;
        }
        if (i == 7) continue;
        const double noise = (double)(ends[i + 1] - ends[i]) * 0.01;
        own[kinds[i]] += energy > noise ? energy - noise : 0, counters[kinds[i]] += f.c[i] * f.c[i] - 0.01;
    }
    rsk_fit_norms(&f);
    for (int m = 0; m < 3; m++) {
        const double want = own[m] / counters[m];
        CHECK(want > 0.1 && want < 100.0); /* or the test says nothing */
        CHECK(fabs(f.rho2[m] - want) <= 1e-13 * want);
    }
    CHECK(f.rho2[3] == f.norm2); /* no object */
    /* noise alone has no energy left, and rho2 stays above 0.1 */
    for (int64_t k = 0; k < ends[NODES]; k++) f.x[k] = 0.05, f.damping[k] = 0;
    rsk_fit_norms(&f);
    for (int m = 0; m < 3; m++) CHECK(f.rho2[m] == 0.1);
    for (int64_t k = 0; k < ends[NODES]; k++) f.x[k] = 1e3;
    rsk_fit_norms(&f);
    for (int m = 0; m < 3; m++) CHECK(f.rho2[m] == 100.0);
    rsk_fit_free(&f);
    rsk_spec_free(spec);
}

/* Sparse: the share of elements that are not zero, with a prior of one in ten. */
static void test_fit_rates(void) {
    rsk_fit f;
    rsk_spec *spec = fit_make(&f, 1, 1);
    const int64_t *ends = f.tree.plan.attribute_ends;
    f.spread = 0.01, f.shrink = 1.0;
    double nonzero[3] = {1, 1, 1}, elements[3] = {10, 10, 10};
    for (int i = 0; i < NODES; i++) {
        f.c[i] = f.alpha[i] = 1.0;
        for (int64_t k = ends[i]; k < ends[i + 1]; k++) {
            f.damping[k] = 0, f.x[k] = k % 5 ? 0.0 : 1.0; /* 100 errors, or none */
            nonzero[kinds[i]] += k % 5 == 0, elements[kinds[i]] += 1;
        }
    }
    for (int m = 0; m < MODULES; m++) f.rate[m] = 0.2, f.rho2[m] = (double)spec->module[m].length / 5;
    rsk_fit_norms(&f);
    for (int m = 0; m < 3; m++) {
        /* an element of 0 is not zero with probability 0.2 exp(-log(1 + v) / 2) / 0.8 < 0.0026, v = 1e4 */
        const double want = nonzero[m] / elements[m];
        CHECK(f.rate[m] >= want - 1e-12 && f.rate[m] <= want + 0.0026);
    }
    f.nonzeros = 3; /* told, and not learned */
    for (int m = 0; m < MODULES; m++) f.rate[m] = 0.3;
    rsk_fit_norms(&f);
    for (int m = 0; m < MODULES; m++) CHECK(f.rate[m] == 0.3);
    rsk_fit_free(&f);
    rsk_spec_free(spec);
}

/* Of each tuple the positions behind the prefix of largest evidence are marked; evidence adds up towards the outputs. */
static void test_fit_prune(void) {
    rsk_fit f;
    rsk_spec *spec = fit_make(&f, 0, 1);
    const int64_t *ends = f.tree.plan.attribute_ends;
    f.spread = 1.0, f.shrink = 1.0;
    for (int m = 0; m < MODULES; m++) f.rho2[m] = 1.0;
    for (int i = 0; i < NODES; i++) { /* amplitude 20 and a norm of one: 200 nats and more */
        f.c[i] = 20.0;
        for (int64_t k = ends[i]; k < ends[i + 1]; k++) f.damping[k] = 0, f.x[k] = 20.0 / sqrt((double)(ends[i + 1] - ends[i]));
    }
    f.c[4] = 0, f.c[8] = 0; /* position 2 of four; position 0 of two */
    f.c[1] = 0, f.c[10] = 0; /* the second output; the only input of 4 */
    for (int i = 0; i < NODES; i++)
        if (f.c[i] == 0)
            for (int64_t k = ends[i]; k < ends[i + 1]; k++) f.x[k] = 0;
    CHECK(rsk_fit_prune(&f, 3.0) == 2);
    for (int i = 0; i < NODES; i++) CHECK(f.drop[i] == (i == 1 || i == 10));
    const rsk_node *v = f.tree.node;
    for (int i = 0; i < NODES; i++) CHECK(f.c[i] == 0 ? v[i].own < 0 : v[i].own > 150);
    /* a member that brings less than nothing stays where later ones make up for it */
    CHECK(fabs(v[6].evidence - (v[6].own + v[8].evidence + v[9].evidence)) <= 1e-9);
    CHECK(fabs(v[2].evidence - (v[2].own + v[6].evidence + v[7].evidence)) <= 1e-9);
    CHECK(v[4].evidence == v[4].own); /* its input brings nothing */
    CHECK(fabs(v[0].evidence - (v[0].own + v[2].evidence + v[3].evidence + v[4].evidence + v[5].evidence)) <= 1e-9);
    /* what costs more than it brings goes, and so does all behind it */
    CHECK(rsk_fit_prune(&f, 1e6) == NODES);
    rsk_fit_free(&f);
    rsk_spec_free(spec);
}

/* ---------------------------------------------------------------- detection */

/* However much is proposed, it stays within the memory there is. */
static void test_detect_capacity(void) {
    rsk_fit f;
    rsk_spec *spec = fit_make(&f, 0, 1);
    enum { SPARE = 64 };
    rsk_detector q;
    float residual[DIM];
    double rho2[MODULES] = {1, 1, 1, 1};
    uint64_t state = 21;
    for (int k = 0; k < DIM; k++) residual[k] = next_float(&state);
    for (ptrdiff_t capacity = NODES; capacity < NODES + SPARE; capacity += SPARE - 1) {
        if (!CHECK(rsk_detector_create(spec, capacity, 8, &q))) exit(1);
        q.allowed = anything, q.counter = f.c, q.rho2 = rho2, q.share = q.root = q.shrink = 1.0, q.noise = 0.01;
        q.threshold = -1e9, q.max_depth = 8; /* everything is proposed, beside what is there, and instead of it */
        for (int i = 0; i < NODES; i++) f.c[i] = 1.0;
        CHECK(q.window == MAX_INPUTS);
        rsk_detect(&q, &f.tree, residual);
        CHECK(q.proposals <= 2 * capacity + 1 && q.used <= capacity + q.window && q.used > capacity / 2);
        ptrdiff_t used = 0, fresh = 0;
        for (ptrdiff_t i = 0; i < q.proposals; i++) {
            const rsk_proposal *p = &q.proposal[i];
            CHECK(p->first == used && p->count >= 1 && p->amplitude > 0 && p->score > q.threshold);
            used += p->count;
            for (int32_t k = 0; k < p->count; k++) CHECK(q.modules[p->first + k] >= 0 && q.modules[p->first + k] < MODULES);
            if (p->replaces < 0) {
                int members = 0;
                for (int c = 0; c < NODES; c++) members += parents[c] == p->parent;
                CHECK(p->position == members && p->position + p->count <= MAX_INPUTS);
                fresh++;
            } else {
                CHECK(parents[p->replaces] == p->parent && places[p->replaces] == p->position && p->count == 1);
                CHECK(q.modules[p->first] != kinds[p->replaces]);
            }
        }
        CHECK(used == q.used);
        /* with room for all: a group for each tuple that is not full, and another module for each node */
        if (capacity > NODES) CHECK(q.proposals == fresh + NODES && fresh >= 5);
        rsk_detector_free(&q);
    }
    rsk_fit_free(&f);
    rsk_spec_free(spec);
}

void test_private(void) {
    RUN(test_alloc);
    RUN(test_streams);
    RUN(test_scratch);
    RUN(test_tree_lists);
    RUN(test_tree_shares);
    RUN(test_load);
    RUN(test_precondition);
    RUN(test_resolution);
    RUN(test_fit_remove);
    RUN(test_fit_norms);
    RUN(test_fit_rates);
    RUN(test_fit_prune);
    RUN(test_detect_capacity);
}
