/* What fits and detection promise in csrc/reading/reading.h. */
#include "private.h"

/* ---------------------------------------------------------------- fits */

/* What rsk_fit_load says of a sketch, a quarter of it erased. */
static void test_fit_load(void) {
    rsk_fit f;
    rsk_spec *spec = fit_make(&f, 0, 1);
    float s[DIM];
    uint8_t mask[DIM];
    double energy = 0;
    uint64_t state = 4;
    for (int k = 0; k < DIM; k++) s[k] = next_float(&state), mask[k] = k % 4 != 0, energy += mask[k] ? (double)s[k] * (double)s[k] : 0;
    CHECK(rsk_fit_load(&f, s, mask, 0.01) == 1);
    CHECK(f.kept == 384 && f.root == sqrt(0.75) && f.noise2 == 0.01 * 0.01 && f.tree.count == 0 && f.iterations == 0);
    CHECK(fabs(f.energy - energy) <= 1e-13 * energy && fabs(f.floor - 9e-14 * energy) <= 1e-27 * energy);
    float ordered[DIM];
    rsk_reorder(spec, s, ordered);
    for (int k = 0; k < DIM; k++) CHECK(f.s[k] == (f.map.mask[k] ? (double)ordered[k] : 0) && f.work.r[k] == f.s[k]);
    /* objects of amplitude top, and share times that one level below, account for the energy beyond the noise's */
    const double share = 0.70710678118654752, top = share * 0.70710678118654752 * sqrt(0.75);
    const double want = (energy - 384 * 1e-4) * (1 - share * share) / (top * top) - 1;
    CHECK(want > 2 && fabs(f.norm2 - want) <= 1e-12 * want);
    for (int m = 0; m < MODULES; m++) CHECK(f.rho2[m] == f.norm2 && f.rate[m] == 0.1);
    CHECK(f.square == f.energy && f.shrink == 1 && fabs(f.spread * f.spread - energy / 384) <= 1e-12 * energy);
    for (int k = 0; k < DIM; k++) s[k] *= 0.01f; /* fainter than attributes of norm one would be */
    CHECK(rsk_fit_load(&f, s, NULL, 0.0) == 1 && f.norm2 == 1.0);
    s[5] = NAN;
    CHECK(rsk_fit_load(&f, s, NULL, 0.0) == 0);
    rsk_fit_free(&f);
    rsk_spec_free(spec);
}

/* spread and shrink are a fixed point: spread^2 = |r|^2 / kept / shrink^2 and shrink = 1 - (sum of prior / (prior + spread^2), and of
 * one a counter) / kept, which 20 rounds reach to 1e-6. A noise that is told is the least that is assumed. */
static void test_fit_noise(void) {
    for (int sparse = 0; sparse < 2; sparse++)
        for (int told = 0; told < 2; told++) {
            rsk_fit f;
            rsk_spec *spec = fit_make(&f, sparse, 1);
            const int64_t *ends = f.tree.plan.attribute_ends;
            f.noise2 = told ? 10.0 : 0.0;
            for (int64_t k = 0; k < ends[NODES]; k++) f.prior[k] = sparse ? 0.1 + (double)(k % 3) : 0.2;
            rsk_fit_estimate_noise(&f);
            const double spread2 = f.spread * f.spread, square = rsk_dot(f.work.r, f.work.r, DIM);
            double freedom = NODES;
            for (int64_t k = 0; k < ends[NODES]; k++) freedom += f.prior[k] / (f.prior[k] + spread2);
            CHECK(f.square == square && fabs(f.shrink - (1 - freedom / DIM)) <= 1e-6 && f.shrink < 0.98);
            const double want = told ? 10.0 / f.shrink : square / DIM / (f.shrink * f.shrink);
            CHECK(fabs(spread2 - want) <= 1e-6 * want);
            CHECK(rsk_fit_clean(&f) == told); /* such a noise explains the residual */
            rsk_fit_free(&f);
            rsk_spec_free(spec);
        }
}

/* The map's scales make columns of norm one on the kept coordinates. Undamped, elements outside the support are no unknowns. */
static void test_fit_prepare(void) {
    rsk_fit f;
    rsk_spec *spec = fit_make(&f, 1, 1);
    const int64_t *ends = f.tree.plan.attribute_ends;
    f.root = 0.5, f.spread = 2.0, f.shrink = 0.25;
    for (int damped = 1; damped >= 0; damped--) {
        for (int64_t k = 0; k < ends[NODES]; k++) f.prior[k] = k % 2 ? 4.0 : 3.99, f.x[k] = 1.0;
        rsk_fit_prepare(&f, damped ? 0.5 : 0.0);
        CHECK(f.map.attributes == ends[NODES] && f.map.counters == NODES);
        for (int i = 0; i < NODES; i++) {
            const double unit = 1 / (f.tree.plan.amplitude[i] * 0.5);
            for (int64_t k = ends[i]; k < ends[i + 1]; k++) {
                const int in = damped || k % 2;
                CHECK(rsk_fit_in_support(&f, i, k) == k % 2);
                CHECK(f.map.scale[k] == (in ? unit : 0) && f.x[k] == (in ? 1 : 0));
                CHECK(fabs(f.damping[k] - (damped ? 0.5 * 4.0 * 0.25 / f.prior[k] : 0)) <= 1e-15);
            }
            CHECK(f.map.scale[ends[NODES] + i] == unit && f.damping[ends[NODES] + i] == 0);
        }
    }
    rsk_fit_free(&f);
    rsk_spec_free(spec);
}

/* What is left keeps its counter, amplitude and elements. */
static void test_fit_remove(void) {
    rsk_fit f, old;
    rsk_spec *spec = fit_make(&f, 0, 1), *same = fit_make(&old, 0, 1);
    memset(f.drop, 0, NODES);
    f.drop[DROPPED] = 1;
    rsk_fit_remove(&f);
    CHECK(f.tree.count == 6);
    for (int i = 0; i < NODES; i++) {
        const int32_t to = node_without(i);
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
    for (int m = 0; m < MODULES; m++) CHECK(f.unseen[m] == (m == 3));
    /* noise alone has no energy left: rho2 stays above 1e-4, and above 0.1 where norms are known */
    for (int64_t k = 0; k < ends[NODES]; k++) f.x[k] = 0.05, f.damping[k] = 0;
    for (int told = 0; told < 2; told++) {
        f.told_norm2 = (double)told;
        rsk_fit_norms(&f);
        for (int m = 0; m < 3; m++) CHECK(f.rho2[m] == (told ? 0.1 : 1e-4) && !f.unseen[m]);
        CHECK(f.rho2[3] == f.norm2 && f.unseen[3] == !told);
    }
    f.told_norm2 = 0.0;
    for (int64_t k = 0; k < ends[NODES]; k++) f.x[k] = 1e3;
    rsk_fit_norms(&f);
    for (int m = 0; m < 3; m++) CHECK(f.rho2[m] == 100.0);
    rsk_fit_free(&f);
    rsk_spec_free(spec);
}

/* Where no counter is certain, the norm is the likeliest of those tried: of objects of counter 5 and squared norm n, in units of the
 * noise, the one next to n. */
static void test_fit_norms_unseen(void) {
    for (int k = 0; k < RSK_NORMS; k++) {
        rsk_fit f;
        rsk_spec *spec = fit_make(&f, 0, 1);
        f.spread = 0.1, f.shrink = 1.0, f.norm2 = 50.0;
        const double rho2 = f.norm2 * rsk_norm_tried(k), alpha = 5.0;
        for (int i = 0; i < NODES; i++) {
            const int64_t *ends = &f.tree.plan.attribute_ends[i];
            const double a = (double)(ends[1] - ends[0]);
            f.c[i] = alpha * f.spread;
            for (int64_t at = ends[0]; at < ends[1]; at++) f.x[at] = f.spread * sqrt(1.0 + alpha * alpha * rho2 / a), f.damping[at] = 0;
        }
        rsk_fit_norms(&f);
        /* the amplitude may be off by 3 of 5, so that the norm is known to a factor of 6 */
        for (int m = 0; m < 3; m++) CHECK(f.unseen[m] && f.rho2[m] > rho2 / 6.0 && f.rho2[m] < 6.0 * rho2 + 0.1);
        rsk_fit_free(&f);
        rsk_spec_free(spec);
    }
}

/* The noise and the degrees of freedom agree, also where a fit has as many unknowns as coordinates. */
static void test_fit_noise_is_consistent(void) {
    rsk_fit f;
    rsk_spec *spec = fit_make(&f, 0, 1);
    const int64_t *ends = f.tree.plan.attribute_ends;
    for (double prior = 1e-6; prior < 1e6; prior *= 10.0) {
        for (int64_t k = 0; k < ends[NODES]; k++) f.prior[k] = prior * (k % 2 ? 1.0 : 1.0 + 1e-3);
        f.kept = (ptrdiff_t)ends[NODES] + NODES + 5; /* 5 more than unknowns */
        rsk_fit_estimate_noise(&f);
        const double noise = f.spread * f.spread;
        double freedom = NODES;
        for (int i = 0; i < NODES; i++) freedom += (double)(ends[i + 1] - ends[i]) * f.prior[ends[i]] / (f.prior[ends[i]] + noise);
        const double shrink = fmax(1.0 - freedom / (double)f.kept, 0.02);
        CHECK(fabs(f.shrink - shrink) <= 1e-6 && fabs(noise - f.square / (double)f.kept / (f.shrink * f.shrink)) <= 1e-9 * noise);
    }
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
    const rsk_sparsity few[MODULES] = {{RSK_SPARSE, 3, 0}, {RSK_SPARSE, 3, 0}, {RSK_SPARSE, 3, 0}, {RSK_SPARSE, 3, 0}};
    f.told = few; /* and not learned */
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
    float *columns = rsk_counter_columns(spec);
    if (!CHECK(columns != NULL)) exit(1);
    for (ptrdiff_t capacity = NODES; capacity < NODES + SPARE; capacity += SPARE - 1) {
        if (!CHECK(rsk_detector_create(spec, capacity, 8, 1, &q))) exit(1);
        q.allowed = anything, q.counter = f.c, q.columns = columns, q.rho2 = rho2, q.unseen = f.unseen, q.norm2 = f.norm2, q.share = q.root = q.shrink = 1.0, q.noise = 0.01;
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
    rsk_free(columns);
    rsk_fit_free(&f);
    rsk_spec_free(spec);
}

void test_fits(void) {
    RUN(test_fit_load);
    RUN(test_fit_noise);
    RUN(test_fit_prepare);
    RUN(test_fit_remove);
    RUN(test_fit_norms);
    RUN(test_fit_norms_unseen);
    RUN(test_fit_noise_is_consistent);
    RUN(test_fit_rates);
    RUN(test_fit_prune);
    RUN(test_detect_capacity);
}
