/* Copies of one object in a tree that unrolling fits: uses that their signatures tell to be one object have one set of unknowns
 * (docs/method.md, "Unrolling"). Without this an object costs its unknowns once a use; with it, once and a counter a use.
 *
 * Node i of a group holds x_i = c_i u. That is a product of unknowns, which the fit solves by Gauss and Newton: near the last solution
 * dx_i = c_i du + u dc_i. The solver's variable for u is C u, where C^2 is the sum of the group's c_i^2, and its variable for c_i is
 * sqrt(1 + |u|^2) c_i, so that their columns have about norm one. */
#include "reading/reading.h"

#include <math.h>
#include <string.h>

/* Nats by which two nodes must look like one object, beside the logarithm of how many nodes of the module there are. Where the looser
 * makes the fit worse, the stricter is tried. */
static const double bars[] = {2.0, 12.0};
#define OWN 6.0     /* nats that alike attributes bring at most, as different objects may hold the same */
#define LEAST 3.0   /* standard errors that a copy's counter must reach */
#define TURNS 3     /* fits after which new groups are judged */
#define GOOD 1e-2   /* their tolerance */
#define WORSE 1.03  /* groups are given up that raise the standard error of a column to more than this of what it was */

void rsk_ties_free(rsk_ties *t) {
    rsk_free(t->lead);
    rsk_free(t->share);
    rsk_free(t->u);
    memset(t, 0, sizeof *t);
}

int rsk_ties_create(ptrdiff_t signature, ptrdiff_t capacity, ptrdiff_t room, rsk_ties *t) {
    memset(t, 0, sizeof *t);
    t->signature = signature;
    if (!signature) return 1;
    t->lead = rsk_alloc(4 * capacity, sizeof *t->lead);
    t->share = rsk_alloc(3 * capacity, sizeof *t->share);
    t->u = rsk_alloc(2 * room + capacity, sizeof *t->u); /* and full */
    if (!t->lead || !t->share || !t->u) {
        rsk_ties_free(t);
        return 0;
    }
    t->next = t->lead + capacity, t->first = t->next + capacity, t->saved = t->first + capacity;
    t->column = t->share + capacity, t->size = t->column + capacity;
    t->full = t->u + room;
    return 1;
}

void rsk_ties_add(rsk_ties *t, ptrdiff_t i) {
    if (t->any) t->lead[i] = (int32_t)i, t->next[i] = -1, t->share[i] = t->column[i] = 1.0;
}

void rsk_ties_move(rsk_ties *t, ptrdiff_t n, const int32_t *moved) {
    if (!t->any) return;
    for (ptrdiff_t i = 0; i < n; i++) t->first[i] = -1;
    for (ptrdiff_t i = 0; i < n; i++) {
        if (moved[i] < 0) continue;
        int32_t *first = &t->first[t->lead[i]];
        if (*first < 0) *first = moved[i];
        t->lead[moved[i]] = *first;
    }
}

/* Lists the groups, which `lead` tells by any one of their nodes, and makes their first nodes their leads. */
static void list_groups(rsk_ties *t, int32_t n) {
    t->any = 0;
    for (int32_t i = 0; i < n; i++) t->first[i] = -1;
    for (int32_t i = n - 1; i >= 0; i--) {
        int32_t *first = &t->first[t->lead[i]];
        t->next[i] = *first;
        t->any |= *first >= 0;
        *first = i;
    }
    for (int32_t i = 0; i < n; i++) t->lead[i] = t->first[t->lead[i]];
}

void rsk_ties_set(rsk_ties *t, const rsk_tree *tree, const double *x, const double *c) {
    const int64_t *ends = tree->plan.attribute_ends;
    const int32_t n = (int32_t)tree->count;
    if (!t->any) return;
    list_groups(t, n);
    for (int32_t i = 0; i < n; i++) t->share[i] = t->column[i] = 1.0;
    for (int32_t i = 0; i < n; i++) {
        if (t->lead[i] != i || t->next[i] < 0) continue;
        double square = 0.0, norm2 = 0.0;
        for (int32_t j = i; j >= 0; j = t->next[j]) square += c[j] * c[j];
        const double over = 1.0 / fmax(square, 1e-300), root = 1.0 / sqrt(fmax(square, 1e-300));
        for (int64_t k = ends[i]; k < ends[i + 1]; k++) {
            t->u[k] = 0.0;
            for (int32_t j = i; j >= 0; j = t->next[j]) t->u[k] += c[j] * x[ends[j] + k - ends[i]];
            t->u[k] *= over;
            norm2 += t->u[k] * t->u[k];
        }
        for (int32_t j = i; j >= 0; j = t->next[j]) t->share[j] = c[j] * root, t->column[j] = 1.0 / sqrt(1.0 + norm2);
        t->size[i] = sqrt(square);
    }
}

/* ---------------------------------------------------------------- the solver's variables */

/* The elements of all nodes that the variables stand for. */
const double *rsk_ties_unfold(const rsk_ties *t, const rsk_plan *plan, ptrdiff_t attributes, const double *p) {
    const int64_t *ends = plan->attribute_ends;
    for (ptrdiff_t i = 0; i < plan->objects[1]; i++) {
        const int64_t lead = ends[t->lead[i]] - ends[i];
        const int tied = rsk_is_tied(t, i);
        const double share = t->share[i], count = t->full[attributes + i] = p[attributes + i] * t->column[i];
        for (int64_t k = ends[i]; k < ends[i + 1]; k++)
            t->full[k] = tied ? share * p[lead + k] + count * t->u[lead + k] : p[k];
    }
    return t->full;
}

/* The transpose, in place. */
void rsk_ties_fold(const rsk_ties *t, const rsk_plan *plan, ptrdiff_t attributes, double *g) {
    const int64_t *ends = plan->attribute_ends;
    for (ptrdiff_t i = 0; i < plan->objects[1]; i++) {
        if (!rsk_is_tied(t, i)) continue;
        const int64_t lead = ends[t->lead[i]] - ends[i];
        double *count = &g[attributes + i];
        for (int64_t k = ends[i]; k < ends[i + 1]; k++) {
            *count += g[k] * t->u[lead + k];
            if (lead) g[lead + k] += t->share[i] * g[k], g[k] = 0.0; /* leads stand first, and were scaled already */
            else g[k] *= t->share[i];
        }
        *count *= t->column[i];
    }
}

void rsk_ties_enter(const rsk_ties *t, const rsk_plan *plan, ptrdiff_t attributes, int linear, double *u) {
    const int64_t *ends = plan->attribute_ends;
    for (ptrdiff_t i = 0; i < plan->objects[1]; i++) {
        if (!rsk_is_tied(t, i)) continue;
        const int solved = t->lead[i] == i && !linear;
        for (int64_t k = ends[i]; k < ends[i + 1]; k++) u[k] = solved ? t->size[i] * t->u[k] : 0.0;
        u[attributes + i] /= t->column[i];
    }
}

void rsk_ties_leave(const rsk_ties *t, const rsk_plan *plan, ptrdiff_t attributes, int linear, double *u) {
    const int64_t *ends = plan->attribute_ends;
    for (ptrdiff_t i = plan->objects[1] - 1; i >= 0; i--) { /* leads stand first: the others need what they have */
        if (!rsk_is_tied(t, i)) continue;
        const int32_t lead = t->lead[i];
        u[attributes + i] *= t->column[i];
        const double part = linear ? t->share[i] : u[attributes + i] / fmax(t->size[lead], 1e-300);
        for (int64_t k = ends[i]; k < ends[i + 1]; k++) u[k] = part * u[ends[lead] + k - ends[i]];
    }
}

/* ---------------------------------------------------------------- which nodes are copies */

/* The log-likelihood ratio that n elements, whose differences have the squared sum `square`, are the same in both but for errors of
 * variance v each, against ones that differ by a variance w more. */
static double sameness(double square, double n, double v, double w) {
    return 0.5 * n * log1p(w / v) - 0.5 * square * (1.0 / v - 1.0 / (v + w));
}

/* What is known of nodes while groups are formed. */
typedef struct forming {
    rsk_fit *fit;
    double *y;      /* (room,) mean of a group's unknowns over their counters, at the place of the node that it is named after */
    double *weight; /* (capacity,) the sum of the group's squared counters */
    int32_t *name;  /* (capacity,) of each node's group: a node */
} forming;

static ptrdiff_t length_of(const rsk_fit *f, ptrdiff_t i) {
    return (ptrdiff_t)(f->tree.plan.attribute_ends[i + 1] - f->tree.plan.attribute_ends[i]);
}

/* Twice the variance of an element of a module's attributes, without that of their errors; and how many nodes it has. */
static double dispersion(const forming *q, ptrdiff_t m, double *count) {
    const rsk_fit *f = q->fit;
    const ptrdiff_t n = f->tree.count, a = f->spec->module[m].length - f->ties.signature;
    double total = 0.0, variance = 0.0;
    *count = 0.0;
    for (ptrdiff_t i = 0; i < n; i++)
        if (f->tree.node[i].module == m) total += q->weight[i], *count += 1.0;
    for (ptrdiff_t k = 0; k < a; k++) {
        double sum = 0.0, square = 0.0;
        for (ptrdiff_t i = 0; i < n; i++) {
            if (f->tree.node[i].module != m) continue;
            const double y = q->y[f->tree.plan.attribute_ends[i] + k];
            sum += q->weight[i] * y, square += q->weight[i] * y * y;
        }
        variance += square / total - sum * sum / total / total;
    }
    return 2.0 * fmax(variance / (double)a - f->spread * f->spread * *count / total, 0.0);
}

/* The nats by which node i and a group look like one object. */
static double likeness(const forming *q, ptrdiff_t i, ptrdiff_t name, double w) {
    const rsk_fit *f = q->fit;
    const ptrdiff_t length = length_of(f, i), signature = f->ties.signature, a = length - signature;
    const double *x = q->y + f->tree.plan.attribute_ends[i], *y = q->y + f->tree.plan.attribute_ends[name];
    const double v = f->spread * f->spread * (1.0 / q->weight[i] + 1.0 / q->weight[name]);
    double own = 0.0, mark = 0.0, size = 0.0;
    for (ptrdiff_t k = 0; k < a; k++) own += (x[k] - y[k]) * (x[k] - y[k]), size += y[k] * y[k];
    for (ptrdiff_t k = a; k < length; k++) mark += (x[k] - y[k]) * (x[k] - y[k]);
    /* Both are divided by counters, whose errors make a vector of norm N longer by N times as much. */
    const double s = (double)signature;
    const double different = w > 0.0 ? sameness(own, (double)a, v * (1.0 + size / (double)a), w) : 0.0;
    return sameness(mark, s, v * (1.0 + 1.0 / s), 2.0 / s) + fmin(different, OWN);
}

static int is_above(const rsk_tree *t, ptrdiff_t above, ptrdiff_t i) {
    for (ptrdiff_t v = t->node[i].parent; v >= 0; v = t->node[v].parent)
        if (v == above) return 1;
    return 0;
}

/* No object stands below itself. */
static int may_join(const forming *q, ptrdiff_t i, ptrdiff_t name) {
    const rsk_tree *t = &q->fit->tree;
    for (ptrdiff_t j = 0; j < t->count; j++)
        if (q->name[j] == name && (is_above(t, j, i) || is_above(t, i, j))) return 0;
    return 1;
}

static void join(forming *q, ptrdiff_t i, ptrdiff_t name) {
    const rsk_fit *f = q->fit;
    const int64_t *ends = f->tree.plan.attribute_ends;
    const double both = q->weight[i] + q->weight[name];
    for (ptrdiff_t k = 0; k < length_of(f, i); k++) {
        double *y = &q->y[ends[name] + k];
        *y = (q->weight[name] * *y + q->weight[i] * q->y[ends[i] + k]) / both;
    }
    q->weight[name] = both;
    q->name[i] = (int32_t)name;
}

/* Lets a module's nodes join the groups that they are likeliest to be of, those of louder nodes. */
static void group_module(forming *q, ptrdiff_t m, double bar) {
    const rsk_fit *f = q->fit;
    const rsk_tree *t = &f->tree;
    double count;
    const double w = dispersion(q, m, &count), least = LEAST * LEAST * f->spread * f->spread;
    for (ptrdiff_t i = 0; i < t->count; i++) {
        if (t->node[i].module != m || q->name[i] != i || q->weight[i] < least) continue;
        ptrdiff_t at = -1;
        double most = bar + log(count);
        for (ptrdiff_t j = 0; j < t->count; j++) {
            if (j == i || t->node[j].module != m || q->name[j] != j || q->weight[j] < fmax(least, q->weight[i])) continue;
            const double nats = likeness(q, i, j, w);
            if (nats > most && may_join(q, i, j)) most = nats, at = j;
        }
        if (at >= 0) join(q, i, at);
    }
}

/* Groups all nodes anew, by what each would hold if it were fitted alone. Tied nodes that are not one object fall apart by that. */
static void group(forming *q, double bar) {
    rsk_fit *f = q->fit;
    const rsk_tree *t = &f->tree;
    for (ptrdiff_t i = 0; i < t->count; i++) {
        const double c = f->c[i];
        q->weight[i] = c > 0.0 ? c * c : 1e-300;
        for (int64_t k = t->plan.attribute_ends[i]; k < t->plan.attribute_ends[i + 1]; k++)
            q->y[k] = (f->x[k] + f->work.g[k] / f->shrink) / sqrt(q->weight[i]);
        q->name[i] = (int32_t)i;
    }
    for (ptrdiff_t m = 0; m < f->spec->modules; m++)
        if (!f->sparse[m]) group_module(q, m, bar);
}

/* Ties the groups that `name` has, of each node any node of its group. */
static void tie(rsk_fit *f, const int32_t *name) {
    memcpy(f->ties.lead, name, sizeof *name * (size_t)f->tree.count);
    f->ties.any = 1;
    rsk_ties_set(&f->ties, &f->tree, f->x, f->c);
}

static void settle(rsk_fit *f, int turns) {
    for (int turn = 0; turn < turns; turn++) {
        rsk_fit_solve(f, 1.0, GOOD);
        rsk_fit_estimate_noise(f);
    }
}

int rsk_fit_tie(rsk_fit *f, double *spare) {
    rsk_ties *t = &f->ties;
    const ptrdiff_t n = f->tree.count, elements = (ptrdiff_t)f->tree.plan.attribute_ends[n];
    if (!t->signature || n < 2) return 0;
    double *x = spare, *c = x + f->room, *y = c + f->capacity;
    forming q = {.fit = f, .y = y, .weight = y + f->room, .name = f->moved};
    const double spread = f->spread;
    memcpy(x, f->x, sizeof *x * (size_t)elements);
    memcpy(c, f->c, sizeof *c * (size_t)n);
    for (ptrdiff_t i = 0; i < n; i++) t->saved[i] = t->any ? t->lead[i] : (int32_t)i;
    for (size_t bar = 0; bar < sizeof bars / sizeof *bars; bar++) {
        f->map.ties = NULL;
        rsk_linear_adjoint(&f->map, f->work.r, f->work.g);
        group(&q, bars[bar]);
        tie(f, q.name);
        if (!memcmp(t->lead, t->saved, sizeof *t->lead * (size_t)n)) return 0;
        settle(f, TURNS);
        if (f->spread <= WORSE * spread) return 1;
        memcpy(f->x, x, sizeof *x * (size_t)elements);
        memcpy(f->c, c, sizeof *c * (size_t)n);
        tie(f, t->saved);
        settle(f, 1);
    }
    return 0;
}
