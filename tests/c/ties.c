/* What copies of one object promise in csrc/reading/reading.h. */
#include "private.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Nodes 1, 3 and 4 are one object, 0 and 5 another; 2 is alone, and has 4 and 5 for inputs. All are of one module. */
enum { COPIES = 6, TIED_MODULE = 1 };
static const int32_t leads[COPIES] = {0, 1, 2, 1, 1, 0};

static rsk_spec *tied_make(rsk_fit *f) {
    const rsk_unroll_params p = {.allowed = anything, .max_depth = 8, .threshold = 6.0, .max_rounds = 9, .norm2 = 2.0, .free = 3, .signature = 2};
    rsk_spec *spec = spec_make(DIM, "skew", 1);
    float s[DIM];
    uint64_t state = 3;
    for (int k = 0; k < DIM; k++) s[k] = next_float(&state);
    if (!CHECK(rsk_fit_create(spec, &p, NULL, 0, 1, f)) || !CHECK(rsk_fit_load(f, s, NULL, 0.0))) exit(1);
    for (int i = 0; i < COPIES; i++) rsk_fit_add(f, i < 4 ? -1 : 2, i % 4, TIED_MODULE, 1.0 + i), f->c[i] = 1.0 + 0.5 * i;
    for (int64_t k = 0; k < f->tree.plan.attribute_ends[COPIES]; k++) f->x[k] = (double)next_float(&state), f->damping[k] = 0.1, f->prior[k] = 1.0;
    for (ptrdiff_t k = 0; k < f->room; k++) f->ties.u[k] = (double)NAN; /* what no group has is not read */
    memcpy(f->ties.lead, leads, sizeof leads);
    f->ties.any = 1;
    rsk_ties_set(&f->ties, &f->tree, f->x, f->c);
    return spec;
}

static void test_groups(void) {
    rsk_fit f;
    rsk_spec *spec = tied_make(&f);
    const rsk_ties *t = &f.ties;
    const ptrdiff_t length = spec->module[TIED_MODULE].length;
    for (int i = 0; i < COPIES; i++) CHECK(t->lead[i] == leads[i] && rsk_is_tied(t, i) == (i != 2));
    CHECK(t->next[0] == 5 && t->next[5] == -1 && t->next[1] == 3 && t->next[3] == 4 && t->next[4] == -1 && t->next[2] == -1);
    CHECK(rsk_fit_places(&f) == COPIES * (length + 1) && rsk_fit_unknowns(&f) == 3 * length + COPIES);
    const double size = sqrt(f.c[1] * f.c[1] + f.c[3] * f.c[3] + f.c[4] * f.c[4]);
    CHECK(fabs(t->size[1] - size) <= 1e-15 * size && fabs(t->share[3] - f.c[3] / size) <= 1e-15 && t->share[2] == 1.0);
    double norm2 = 0;
    for (ptrdiff_t k = 0; k < length; k++) {
        const int64_t *e = f.tree.plan.attribute_ends;
        const double u = (f.c[1] * f.x[e[1] + k] + f.c[3] * f.x[e[3] + k] + f.c[4] * f.x[e[4] + k]) / (size * size);
        CHECK(fabs(t->u[e[1] + k] - u) <= 1e-15);
        norm2 += u * u;
    }
    CHECK(fabs(t->column[4] - 1 / sqrt(1 + norm2)) <= 1e-14 && t->column[2] == 1.0);
    /* The lead of a group goes: its second node leads. Both of another go: nothing is left of it. */
    memset(f.drop, 0, (size_t)f.capacity);
    f.drop[1] = f.drop[0] = f.drop[5] = 1;
    rsk_fit_remove(&f);
    CHECK(f.tree.count == 3 && t->any && t->lead[0] == 0 && !rsk_is_tied(t, 0) && t->lead[1] == 1 && t->lead[2] == 1 && t->next[1] == 2);
    memset(f.drop, 0, (size_t)f.capacity);
    f.drop[2] = 1;
    rsk_fit_remove(&f);
    CHECK(!t->any && !rsk_is_tied(t, 1)); /* one of a group alone is no group */
    rsk_fit_free(&f);
    rsk_spec_free(spec);
}

/* Fold is the transpose of unfold: <g, unfold p> = <fold g, p>. Products of n numbers of at most about one: n eps. */
static void test_fold(void) {
    rsk_fit f;
    rsk_spec *spec = tied_make(&f);
    const ptrdiff_t a = (ptrdiff_t)f.tree.plan.attribute_ends[COPIES], n = a + COPIES;
    double *p = need((size_t)(2 * n), sizeof *p), *g = p + n, left = 0, right = 0;
    uint64_t state = 9;
    for (ptrdiff_t k = 0; k < n; k++) p[k] = (double)next_float(&state), g[k] = (double)next_float(&state);
    const double *full = rsk_ties_unfold(&f.ties, &f.tree.plan, a, p);
    for (ptrdiff_t k = 0; k < n; k++) left += g[k] * full[k];
    rsk_ties_fold(&f.ties, &f.tree.plan, a, g);
    for (ptrdiff_t k = 0; k < n; k++) right += g[k] * p[k];
    CHECK(fabs(left - right) <= (double)n * 0x1p-50);
    free(p);
    rsk_fit_free(&f);
    rsk_spec_free(spec);
}

/* Entering and leaving changes nothing where x_i = c_i u; and a step of the variables is to first order what unfold says of it. */
static void test_enter_and_leave(void) {
    rsk_fit f;
    rsk_spec *spec = tied_make(&f);
    const int64_t *ends = f.tree.plan.attribute_ends;
    const ptrdiff_t a = (ptrdiff_t)ends[COPIES], n = a + COPIES;
    double *u = need((size_t)(3 * n), sizeof *u), *at = u + n, *step = at + n;
    uint64_t state = 7;
    for (int i = 0; i < COPIES; i++)
        for (int64_t k = ends[i]; k < ends[i + 1]; k++)
            if (rsk_is_tied(&f.ties, i)) f.x[k] = f.c[i] * f.ties.u[ends[leads[i]] + k - ends[i]];
    memcpy(at, f.x, sizeof *at * (size_t)a);
    memcpy(at + a, f.c, sizeof *at * COPIES);
    for (double size = 0; size < 1e-3; size += 1e-4) {
        memcpy(u, at, sizeof *u * (size_t)n);
        rsk_ties_enter(&f.ties, &f.tree.plan, a, 0, u);
        for (int i = 0; i < COPIES; i++) /* what is no variable of a group is 0, and does not move */
            for (int64_t k = ends[i]; leads[i] != i && k < ends[i + 1]; k++) CHECK(u[k] == 0);
        for (ptrdiff_t k = 0; k < n; k++) step[k] = size * (double)next_float(&state);
        for (int i = 0; i < COPIES; i++)
            for (int64_t k = ends[i]; leads[i] != i && k < ends[i + 1]; k++) step[k] = 0;
        for (ptrdiff_t k = 0; k < n; k++) u[k] += step[k];
        rsk_ties_leave(&f.ties, &f.tree.plan, a, 0, u);
        const double *full = rsk_ties_unfold(&f.ties, &f.tree.plan, a, step);
        for (ptrdiff_t k = 0; k < n; k++) CHECK(fabs(u[k] - at[k] - full[k]) <= 4 * size * size + 1e-14);
    }
    free(u);
    rsk_fit_free(&f);
    rsk_spec_free(spec);
}

/* Nodes that look like copies are tied where the sketch is one of copies; where it is not, all is as it was. */
static void test_tie(int copies) {
    rsk_fit f;
    rsk_spec *spec = tied_make(&f);
    rsk_ties *t = &f.ties;
    const int64_t *ends = f.tree.plan.attribute_ends;
    double *spare = need((size_t)rsk_fit_spare(&f), sizeof *spare), x[COPIES * 200], c[COPIES];
    for (int i = 0; i < COPIES; i++)
        for (int64_t k = ends[i]; k < ends[i + 1]; k++)
            if (rsk_is_tied(t, i)) f.x[k] = f.c[i] * t->u[ends[leads[i]] + k - ends[i]];
    t->any = 0;
    if (copies) { /* the sketch of these objects; otherwise one of noise */
        rsk_fit_prepare(&f, 1.0);
        for (ptrdiff_t k = 0; k < f.map.attributes; k++) f.map.input[k] = (float)(f.x[k] * f.map.scale[k]);
        for (int i = 0; i < COPIES; i++) f.map.input[f.map.attributes + i] = (float)(f.c[i] * f.map.scale[f.map.attributes + i]);
        CHECK(rsk_linear_forward(&f.map, 0.0f));
        for (int k = 0; k < DIM; k++) f.s[k] = (double)f.map.image[k];
    }
    rsk_fit_prepare(&f, 1.0);
    for (int k = 0; k < DIM; k++) f.work.r[k] = 0; /* as if they explained it, to 1e-4 */
    f.spread = 1e-4, f.shrink = 1.0;
    memcpy(x, f.x, sizeof *x * (size_t)ends[COPIES]);
    memcpy(c, f.c, sizeof c);
    CHECK(rsk_fit_tie(&f, spare) == copies);
    for (int i = 0; i < COPIES; i++) CHECK(rsk_is_tied(t, i) == (copies && i != 2) && (!copies || t->lead[i] == leads[i]));
    for (int64_t k = 0; copies && k < ends[COPIES]; k++) CHECK(fabs(f.x[k] - x[k]) <= 1e-2);
    for (int i = 0; copies && i < COPIES; i++) CHECK(fabs(f.c[i] - c[i]) <= 1e-2);
    CHECK(!copies || rsk_fit_tie(&f, spare) == 0); /* nothing is new */
    free(spare);
    rsk_fit_free(&f);
    rsk_spec_free(spec);
}

static void test_copies_are_tied(void) { test_tie(1); }
static void test_false_copies_are_not(void) { test_tie(0); }

void test_ties(void) {
    RUN(test_groups);
    RUN(test_fold);
    RUN(test_enter_and_leave);
    RUN(test_copies_are_tied);
    RUN(test_false_copies_are_not);
}
