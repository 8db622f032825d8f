/* What a fit says of each object: the evidence for it, its likeliest amplitude, the prior of its elements for the next fit; and of each
 * module, the norm of its attributes and whether they are sparse (docs/method.md, "Unrolling"). */
#include "reading/reading.h"

#include <math.h>
#include <string.h>

#define FAINTEST 0.7     /* standard errors: the least amplitude that a prior is made from, for attributes of norm one */
#define STEPS 24         /* amplitudes that an object of dense attributes may have: every third is tried, and those beside the best of these */
#define LEAST_NORM2 1e-4 /* mean square norm of linear attributes, at least */
#define LIKELY 3.0       /* standard errors: an object whose counter is larger tells whether its module's attributes are sparse */
#define FILLED 0.35      /* a share of elements that are not zero from which on attributes are taken for dense */
#define DECISIVE 10.0    /* nats by which attributes must look sparse rather than dense */

static double sparse_length(const rsk_fit *q, ptrdiff_t i) { return rsk_fit_length(q, i) - (double)q->free; }

/* The square norm of an object's dense elements, times the amplitude's square. */
static double energy_of(const rsk_fit *q, ptrdiff_t i) {
    double sum = 0.0;
    for (int64_t k = rsk_fit_sparse_end(q, i); k < q->tree.plan.attribute_ends[i + 1]; k++) {
        const double element = rsk_fit_free_element(q, k);
        sum += element * element;
    }
    /* Copies average their errors, which all that reads this expects in it. */
    return rsk_is_tied(&q->ties, i) ? sum + rsk_fit_length(q, i) * q->spread * q->spread : sum;
}

/* The prior of a sparse attribute's element: zero, or with probability `rate` Gaussian of variance A^2 rho^2 / (a rate). For an
 * estimate y of the element, the log-likelihood ratio of the second against the first is of_square y^2 + constant. */
typedef struct odds {
    int nonnegative;
    double rate;
    double of_square;
    double constant;
    double kept; /* the share of y that is the element's posterior mean if it is not zero */
} odds;

static odds odds_of(const rsk_fit *q, ptrdiff_t i) {
    const int32_t m = q->tree.node[i].module;
    const double spread2 = q->spread * q->spread, rate = q->rate[m];
    const double v = q->alpha[i] * q->alpha[i] * q->rho2[m] / (sparse_length(q, i) * rate * spread2);
    const odds o = {q->told && q->told[m].nonnegative, rate, 0.5 * v / (1.0 + v) / spread2, -0.5 * log1p(v), v / (1.0 + v)};
    return o;
}

/* The posterior probability that an element of estimate y is not zero. Adds to `ratio`, if that is not NULL, the log-likelihood ratio
 * of this prior against an element that is certainly zero. */
static double probability(const odds *o, double y, double *ratio) {
    const double l = o->nonnegative && y < 0.0 ? -HUGE_VAL : y * y * o->of_square + o->constant;
    if (l > 600.0) { /* beyond it exp overflows, and the first term is nothing */
        if (ratio) *ratio += l + log(o->rate);
        return 1.0;
    }
    const double both = 1.0 - o->rate + o->rate * exp(l);
    if (ratio) *ratio += log(both);
    return o->rate * exp(l) / both;
}

/* Sets the prior of an object's elements for the next fit. */
static void set_prior(rsk_fit *q, ptrdiff_t i) {
    const int64_t begin = q->tree.plan.attribute_ends[i], end = q->tree.plan.attribute_ends[i + 1];
    const double spread2 = q->spread * q->spread;
    for (int64_t k = rsk_fit_sparse_end(q, i); k < end; k++) q->prior[k] = rsk_fit_dense_prior(q, i, k, q->alpha[i]);
    if (!rsk_fit_is_sparse(q, i)) return;
    const odds o = odds_of(q, i);
    for (int64_t k = begin; k < rsk_fit_sparse_end(q, i); k++) {
        /* m: what the next fit must shrink y by, so that it arrives at the posterior mean */
        const double m = fmin(probability(&o, rsk_fit_free_element(q, k), NULL) * o.kept, 1.0 - 1e-9);
        q->prior[k] = spread2 * fmax(m / (1.0 - m), 0.01);
    }
}

/* The likeliest amplitude of an object of dense attributes over the noise, and its evidence. Amplitudes within three standard errors of
 * what the counter says are tried; more densely near the lower end where attributes are large, as these tell amplitudes that are far
 * below the counter's error. */
static double likeliest_amplitude(const rsk_fit *q, ptrdiff_t i, double rho2, double *at) {
    const double a = rsk_fit_length(q, i), z = q->c[i] / q->spread, e = energy_of(q, i) / (q->spread * q->spread);
    const double from = fmax(z - 3.0, 0.0), to = fmax(z, 0.0) + 3.0;
    double best = -HUGE_VAL;
    for (int turn = 0, middle = 0; turn < 2; turn++)
        for (int k = turn ? middle - 1 : 2, last = turn ? middle + 1 : STEPS; k <= last; k += turn ? 2 : 3) {
            const double step = (double)k / STEPS;
            const double alpha = from + (to - from) * (q->norm2 > 1.0 ? step * step : step);
            const double l = rsk_likelihood(z, 1.0, e, a, alpha, rho2);
            if (l > best) best = l, *at = alpha, middle = turn ? middle : k;
        }
    return best;
}

/* Sets an object's likeliest amplitude. Returns the evidence for the object alone. */
static double weigh(rsk_fit *q, ptrdiff_t i) {
    const double z = q->c[i] / q->spread;
    double best, at = fmax(z, 0.0);
    if (rsk_fit_is_sparse(q, i)) {
        q->alpha[i] = fmax(at, FAINTEST) * q->spread;
        const odds o = odds_of(q, i);
        const double e = energy_of(q, i) / (q->spread * q->spread);
        best = q->free ? rsk_likelihood(z, 1.0, e, (double)q->free, at, 1.0) : z * at - 0.5 * at * at;
        for (int64_t k = q->tree.plan.attribute_ends[i]; k < rsk_fit_sparse_end(q, i); k++)
            probability(&o, rsk_fit_free_element(q, k), &best);
        return best;
    }
    best = likeliest_amplitude(q, i, q->rho2[q->tree.node[i].module], &at);
    q->alpha[i] = fmax(at, FAINTEST / sqrt(q->norm2)) * q->spread;
    return best;
}

/* The length of the prefix of p's tuple with the most evidence, and that evidence: 0 of an empty prefix. */
static int32_t best_prefix(rsk_fit *q, ptrdiff_t p, double *most) {
    const rsk_tree *t = &q->tree;
    int32_t *node_at = q->moved; /* the node at each position, or -1 */
    int32_t members = 0, length = 0;
    double sum = 0.0;
    *most = 0.0;
    for (int32_t c = rsk_tree_first(t, p); c >= 0; c = t->next[c])
        for (; members <= t->node[c].position && members < q->capacity; members++) node_at[members] = -1;
    for (int32_t c = rsk_tree_first(t, p); c >= 0; c = t->next[c])
        if (t->node[c].position < members) node_at[t->node[c].position] = c;
    for (int32_t at = 0; at < members && (node_at[at] >= 0 || q->gaps); at++) {
        if (node_at[at] >= 0) sum += t->node[node_at[at]].evidence;
        if (sum > *most) *most = sum, length = at + 1;
    }
    return length;
}

ptrdiff_t rsk_fit_prune(rsk_fit *q, double cost) {
    const rsk_tree *t = &q->tree;
    ptrdiff_t marks = 0;
    memset(q->drop, 0, (size_t)t->count);
    for (ptrdiff_t i = 0; i < t->count; i++) {
        t->node[i].evidence = t->node[i].own = weigh(q, i) - cost;
        if (rsk_tree_first(t, i) < 0) t->node[i].evidence += t->node[i].credit;
        set_prior(q, i);
    }
    for (ptrdiff_t p = t->count - 1; p >= RSK_ROOT; p--) { /* children stand after p: their evidence is complete */
        double most;
        const int32_t length = best_prefix(q, p, &most);
        for (int32_t c = rsk_tree_first(t, p); c >= 0; c = t->next[c])
            if (t->node[c].position >= length) q->drop[c] = 1, marks++;
        if (p != RSK_ROOT) t->node[p].evidence += most;
    }
    rsk_fit_estimate_noise(q); /* The priors have changed, and with them the degrees of freedom. */
    return marks;
}

/* The mean square norm of a module none of whose objects is clear: the mean of those tried, weighed by how likely each makes them. */
static double likeliest_norm(const rsk_fit *q, ptrdiff_t m) {
    double nats[RSK_NORMS] = {0}, most = -HUGE_VAL, mean = 0.0, all = 0.0, alpha;
    int any = 0;
    for (int k = 0; k < RSK_NORMS; k++) {
        for (ptrdiff_t i = 0; i < q->tree.count; i++)
            if (q->tree.node[i].module == m && !rsk_fit_is_sparse(q, i))
                nats[k] += likeliest_amplitude(q, i, q->norm2 * rsk_norm_tried(k), &alpha), any = 1;
        most = fmax(most, nats[k]);
    }
    for (int k = 0; k < RSK_NORMS; k++) {
        const double weight = exp(nats[k] - most);
        mean += weight * q->norm2 * rsk_norm_tried(k), all += weight;
    }
    return any ? mean / all : q->norm2;
}

void rsk_fit_norms(rsk_fit *q) {
    const ptrdiff_t modules = q->spec->modules;
    const double noise2 = q->spread * q->spread;
    /* Of each module: energy of its attributes and of its counters without the noise, elements that are not zero, and all elements;
     * these two with a prior of one in ten. */
    double *own = q->tally, *counters = own + modules, *nonzero = counters + modules, *elements = nonzero + modules;
    for (ptrdiff_t m = 0; m < modules; m++) own[m] = counters[m] = 0.0, nonzero[m] = 1.0, elements[m] = 10.0;
    for (ptrdiff_t i = 0; i < q->tree.count; i++) {
        const int32_t m = q->tree.node[i].module;
        if (q->c[i] < RSK_CLEAR * q->spread) continue;
        counters[m] += q->c[i] * q->c[i] - noise2;
        if (!rsk_fit_is_sparse(q, i)) {
            own[m] += fmax(energy_of(q, i) - rsk_fit_length(q, i) * noise2, 0.0);
            continue;
        }
        const odds o = odds_of(q, i);
        for (int64_t k = q->tree.plan.attribute_ends[i]; k < rsk_fit_sparse_end(q, i); k++) {
            const double y = rsk_fit_free_element(q, k), p = probability(&o, y, NULL);
            own[m] += p * fmax(y * y - noise2, 0.0);
            nonzero[m] += p, elements[m] += 1.0;
        }
    }
    for (ptrdiff_t m = 0; m < modules; m++) {
        const int told = q->told_norm2 > 0.0;
        q->unseen[m] = !told && !(counters[m] > 0.0);
        if (counters[m] > 0.0) q->rho2[m] = fmin(fmax(own[m] / counters[m], told ? 0.1 : LEAST_NORM2), 100.0 * q->norm2);
        else q->rho2[m] = told ? q->norm2 : likeliest_norm(q, m);
        if (q->sparse[m] && !q->told[m].nonzeros) q->rate[m] = fmin(fmax(nonzero[m] / elements[m], 1e-3), 0.5);
    }
}

/* The nats by which the elements of an object look mostly zero, with a given share that is not, rather than all of one size; adds to
 * nonzero how many are likelier not. */
static double sparse_rather_than_dense(const rsk_fit *q, ptrdiff_t i, const odds *o, double *nonzero) {
    const int64_t begin = q->tree.plan.attribute_ends[i], end = q->tree.plan.attribute_ends[i + 1] - q->free;
    const double spread2 = q->spread * q->spread, v = o->rate * o->kept / (1.0 - o->kept); /* of one size: the mean of both */
    double sum = 0.0;
    for (int64_t k = begin; k < end; k++) {
        const double y = rsk_fit_free_element(q, k);
        *nonzero += probability(o, y, &sum);
        sum -= 0.5 * y * y / spread2 * v / (1.0 + v) - 0.5 * log1p(v);
    }
    return sum;
}

/* The same of all objects of a module that are likely there, at the share that explains them best, which is left in rate. 0 if there are
 * none. */
static double sparse_module(rsk_fit *q, ptrdiff_t m) {
    double sum = 0.0;
    q->rate[m] = RSK_RATE;
    for (int turn = 0; turn < 10; turn++) { /* expectation and maximisation */
        double nonzero = 1.0, elements = 1.0 / RSK_RATE;
        sum = 0.0;
        for (ptrdiff_t i = 0; i < q->tree.count; i++) {
            if (q->tree.node[i].module != m || q->c[i] < LIKELY * q->spread) continue;
            const odds o = odds_of(q, i);
            sum += sparse_rather_than_dense(q, i, &o, &nonzero);
            elements += sparse_length(q, i);
        }
        q->rate[m] = fmin(fmax(nonzero / elements, 1e-3), 0.5);
    }
    return q->rate[m] < FILLED ? sum : fmin(sum, 0.0);
}

int rsk_fit_decide(rsk_fit *q) {
    double all = 0.0, *nats = q->tally;
    int found = 0, seen = 0;
    for (ptrdiff_t m = 0; m < q->spec->modules; m++) {
        if (q->told[m].kind != RSK_DECIDE) continue;
        nats[m] = sparse_module(q, m);
        all += nats[m];
        seen |= nats[m] != 0.0;
        if (q->told[m].nonzeros) q->rate[m] = fmin((double)q->told[m].nonzeros / (double)(q->spec->module[m].length - q->free), 0.5);
    }
    for (ptrdiff_t m = 0; m < q->spec->modules; m++) {
        if (q->told[m].kind != RSK_DECIDE) continue;
        /* A module that says little is as the others are. */
        q->sparse[m] = nats[m] > DECISIVE || (nats[m] > -DECISIVE && (all > DECISIVE || !seen));
        found |= q->sparse[m];
    }
    q->any_sparse |= found;
    return found;
}
