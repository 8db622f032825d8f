/* What a residual says of objects that are not in the tree yet: the evidence for every module at every position below every
 * object, pooled into proposals of whole groups (docs/method.md, "Unrolling").
 *
 * A candidate of amplitude A shows in its counter's score z ~ N(alpha, 1), where alpha = A / noise, and in the energy e of its
 * attribute's a scores, each of which is N(0, 1 + v) with v = alpha^2 rho^2 / a, rho the norm of an attribute. Its log-likelihood
 * ratio is
 *     w (z alpha - alpha^2 / 2) + e v / (2 (1 + v)) - a log(1 + v) / 2,
 * where w is 1, or with blocks what the noise where the counter stands makes of its weight (local.c).
 * An object's counter also says what the squares of its inputs' amplitudes sum to: each of n new inputs has about the n-th part. */
#include "reading/reading.h"

#include <math.h>
#include <string.h>

/* As weights are uneven, a group's members are tried with these multiples of the expected amplitude; where parts are no squares, with
 * their squares. A stuck search tries more of them. */
#define FACTORS 8
static const double usual[] = {0.45, 0.75, 1.05, 1.45}, more[FACTORS] = {0.06, 0.12, 0.25, 0.45, 0.75, 1.05, 1.45, 2.2};

/* With balanced weights the amplitude of outputs is not known, because it depends on all that stands below them: the squared
 * amplitudes tried fall by this factor, from that of leaves to 4 / d of it. */
#define FADE 1.6
enum { MOST_FADES = 128 }; /* log(2^63) / log(FADE) is 93 */

#define UNUSUAL 3.0       /* energy of an attribute so many standard errors above its mean is not counted: it is another object's */
#define LIGHT 0.4         /* a further member of a tuple may always have this part of the members' mean share */
#define LEFT 0.1          /* the noise is at least this part of what it was, however much of it the pooled columns explain */
#define CLEAR 5.0         /* inputs that would stand out by so many standard errors are looked for in one pass */
#define STRONG 300.0      /* nats: if every member of a tuple has more, none of them is taken for another module */
#define POSITION_COST 0.5 /* nats that a further input costs */
#define LEAF 0.4          /* an object whose inputs show less than this part of what they would is a leaf */
#define MANY 32           /* modules: with more, only a stuck search looks deeply, which costs as many scores a level */
#define AMBIGUOUS 6.0     /* nats between the two likeliest modules, below which they are looked at more deeply */
#define LOUD 3.0          /* nats of what stands one level below; with less a search that is not stuck looks no deeper */
#define CONVINCING 50.0   /* nats: another module that brings more needs no deep look */
#define FEW 64            /* objects up to which a stuck search looks below candidates as deep as there can be objects */
#define NOTHING 44.0      /* nats below the largest of some likelihoods at which one no longer changes a double that is their sum */
#define SOME 8            /* further members for which it is asked whether they could be seen at all */

double rsk_likelihood(double z, double weight, double e, double length, double alpha, double rho2) {
    const double v = alpha * alpha * rho2 / length, most = (1.0 + v) * (length + UNUSUAL * sqrt(2.0 * length));
    return weight * (z * alpha - 0.5 * alpha * alpha) + 0.5 * fmin(e, most) * v / (1.0 + v) - 0.5 * length * log1p(v);
}

/* ---------------------------------------------------------------- memory */

void rsk_detector_free(rsk_detector *q) {
    rsk_free(q->below);
    rsk_free(q->object);
    rsk_free(q->spare);
    rsk_free(q->padded);
    rsk_free(q->work);
    rsk_free(q->scores);
    rsk_free(q->z);
    rsk_free(q->e);
    rsk_free(q->like);
    rsk_free(q->noise_of);
    rsk_free(q->weight);
    rsk_free(q->energy);
    rsk_free(q->frequency);
    rsk_free(q->look);
    rsk_free(q->ways);
    rsk_free(q->near);
    rsk_free(q->taken);
    rsk_free(q->child_at);
    rsk_free(q->inner);
    rsk_free(q->group);
    rsk_free(q->path);
    rsk_free(q->tried);
    rsk_free(q->seen);
    rsk_free(q->proposal);
    rsk_free(q->modules);
    memset(q, 0, sizeof *q);
}

int rsk_detector_create(const rsk_spec *spec, ptrdiff_t capacity, ptrdiff_t depth, int threads, rsk_detector *q) {
    memset(q, 0, sizeof *q);
    const ptrdiff_t d = spec->dim, wide = spec->max_padded > d ? spec->max_padded : d;
    q->spec = spec;
    q->window = spec->max_inputs < RSK_WINDOW ? spec->max_inputs : RSK_WINDOW;
    while (q->window > 16 && q->window * (spec->max_length + 1) > RSK_WINDOW_FLOATS) q->window /= 2;
    q->capacity = capacity, q->threads = 1;
    const ptrdiff_t cells = q->window * spec->modules;
    q->below = rsk_alloc(3 * (d + 5 * RSK_LANES), sizeof *q->below);
    q->ways = rsk_alloc(RSK_LOOK_VECTORS(threads) * (d + 5 * RSK_LANES), sizeof *q->ways);
    q->object = rsk_alloc(d, sizeof *q->object);
    q->spare = rsk_alloc(2 * d, sizeof *q->spare);
    q->padded = rsk_alloc(wide, sizeof *q->padded);
    q->work = rsk_alloc(3 * d, sizeof *q->work);
    q->scores = rsk_alloc(q->window * (spec->max_length + 1), sizeof *q->scores);
    q->z = rsk_alloc(cells, sizeof *q->z);
    q->e = rsk_alloc(cells, sizeof *q->e);
    q->like = rsk_alloc(cells, sizeof *q->like);
    q->noise_of = rsk_alloc(spec->modules, sizeof *q->noise_of);
    q->weight = rsk_alloc(cells, sizeof *q->weight);
    q->energy = rsk_alloc(rsk_blocks(spec) + 1, sizeof *q->energy);
    q->frequency = rsk_alloc(2 * spec->modules, sizeof *q->frequency); /* and nats */
    q->look = rsk_alloc(2 * spec->modules, sizeof *q->look);
    q->near = rsk_alloc((RSK_LOOK_TOGETHER + 1) * spec->modules, sizeof *q->near);
    q->nats = q->frequency ? q->frequency + spec->modules : NULL;
    q->first = q->near ? q->near + RSK_LOOK_TOGETHER * spec->modules : NULL;
    q->taken = rsk_alloc(q->window, sizeof *q->taken);
    q->inner = rsk_alloc(q->window, sizeof *q->inner);
    q->child_at = rsk_alloc(q->window, sizeof *q->child_at);
    q->group = rsk_alloc(q->window + MOST_FADES, sizeof *q->group);
    q->path = rsk_alloc(depth + 1, sizeof *q->path);
    q->tried = rsk_alloc(depth * RSK_WAYS, sizeof *q->tried);
    q->seen = rsk_alloc(2 * (depth + 1), sizeof *q->seen);
    q->trail = q->seen ? q->seen + depth + 1 : NULL;
    q->proposal = rsk_alloc(2 * capacity + 1, sizeof *q->proposal);
    q->modules = rsk_alloc(capacity + q->window, sizeof *q->modules);
    if (q->below && q->object && q->spare && q->padded && q->work && q->scores && q->z && q->e && q->like && q->weight && q->energy &&
        q->noise_of && q->frequency && q->look && q->ways && q->near && q->taken && q->child_at && q->inner &&
        q->group && q->path && q->tried && q->seen && q->proposal && q->modules)
        return 1;
    rsk_detector_free(q);
    return 0;
}

rsk_detector rsk_detector_of(const rsk_detector *q, int worker) {
    rsk_detector own = *q;
    if (!worker) return own;
    const rsk_detector *t = &q->team[worker];
    own.worker = worker;
    own.object = t->object, own.spare = t->spare, own.padded = t->padded, own.work = t->work;
    own.scores = t->scores, own.near = t->near, own.first = t->first;
    return own;
}

void rsk_detector_share(const rsk_detector *q, ptrdiff_t passes, ptrdiff_t n, rsk_task *task, void *context) {
    if (rsk_detector_shares(q, passes)) (void)rsk_parallel_short(q->stop, q->threads, n, 1, task, context);
    else task(context, 0, 0, n); /* on a thread that may not ask the caller whether to stop */
}

/* ---------------------------------------------------------------- scores below one object */

/* scores[j] = the inner products of b, the residual of a tuple, with the module's columns of norm one at position j: the attribute's,
 * then the counter's. */
static void correlate(const rsk_detector *q, const float *b, ptrdiff_t m, ptrdiff_t from, ptrdiff_t positions) {
    const rsk_spec *spec = q->spec;
    const double t2 = spec->stretch2;
    const double unit = 1.0 / (t2 * sqrt(t2 * q->share));
    const ptrdiff_t a = spec->module[m].length;
    for (ptrdiff_t j = from; j < positions && !rsk_stopped(q->stop, q->worker); j++) {
        float *out = q->scores + j * (a + 1);
        spec->family->leaf_adjoint(spec, m, j, unit, b, out, &out[a], q->padded, q->work);
    }
}

/* Siblings of one module share the identity branch of their position operators, so that their scores have a common part, of coherence
 * g. It is taken out of the scores at free positions by the inverse of their Gram matrix (1 - g) I + h 1 1', where h is the part of g
 * that the module's members which are fitted already have left. The energy of the pooled columns beyond their noise is then no noise
 * to single positions, and is subtracted from it; otherwise a wide tuple of one module would hide itself. Fills z and e in units of
 * the noise that remains, and returns that over the noise before. */
static double decorrelate(const rsk_detector *q, ptrdiff_t m, ptrdiff_t from, ptrdiff_t positions) {
    const rsk_spec *spec = q->spec;
    const ptrdiff_t a = spec->module[m].length;
    const double g = spec->coherence;
    double taken = 0.0, open = 0.0;
    for (ptrdiff_t j = 0; j < positions; j++) {
        if (q->taken[j] == m) taken += 1.0;
        else if (j >= from) open += 1.0;
    }
    if (g >= 1.0 || open == 0.0) return 1.0;
    const double h = g * (1.0 - g) / (1.0 - g + g * taken), common = h / (1.0 - g + h * open);
    const double noise2 = q->noise * q->noise, unit = 1.0 / (1.0 - g);
    double pooled = 0.0;
    for (ptrdiff_t j = from; j < positions; j++) q->e[j * spec->modules + m] = 0.0;
    for (ptrdiff_t i = 0; i <= a; i++) {
        double sum = 0.0;
        for (ptrdiff_t j = from; j < positions; j++)
            if (q->taken[j] != m) sum += (double)q->scores[j * (a + 1) + i];
        pooled += sum * sum / (open * (1.0 - g + h * open)) - noise2;
        for (ptrdiff_t j = from; j < positions; j++) {
            if (i == a) q->weight[j * spec->modules + m] = rsk_counter_weight(spec, m, j, q->energy, (double)q->scores[j * (a + 1) + a]);
            const double clean = ((double)q->scores[j * (a + 1) + i] - common * sum) * unit;
            if (i < a) q->e[j * spec->modules + m] += clean * clean;
            else q->z[j * spec->modules + m] = clean;
        }
    }
    const double left = fmin(fmax(1.0 - pooled / (noise2 * q->share * (double)spec->dim), LEFT), 1.0);
    const double factor = sqrt((1.0 - common) / (1.0 - g) * left), scale = 1.0 / (factor * q->noise);
    for (ptrdiff_t j = from; j < positions; j++) {
        q->e[j * spec->modules + m] *= scale * scale;
        q->z[j * spec->modules + m] *= scale;
    }
    return factor;
}

/* A candidate's amplitude, over the noise, and norm that are tried: its log-likelihood ratio is
 * of_z z + of_e min(e, most_e) + constant. */
typedef struct guess {
    double of_z, of_e, most_e, constant;
} guess; /* a counter of another weight than 1 has w - 1 times of_z (z - of_z / 2) more */

static guess guess_of(double alpha, double rho2, double a) {
    const double v = alpha * alpha * rho2 / a;
    const guess g = {alpha, 0.5 * v / (1.0 + v), (1.0 + v) * (a + UNUSUAL * sqrt(2.0 * a)), -0.5 * alpha * alpha - 0.5 * a * log1p(v)};
    return g;
}

/* like[j][m] = the log-likelihood ratio of module m at position j with about that amplitude: the mean over several of them, and over
 * several norms where the module's is not known. */
static void weigh(const rsk_detector *q, ptrdiff_t from, ptrdiff_t to, double amplitude, const uint8_t *allowed) {
    const rsk_spec *spec = q->spec;
    const double *factors = q->bold ? more : usual;
    const int several = q->bold ? FACTORS : (int)(sizeof usual / sizeof *usual);
    for (ptrdiff_t m = 0; m < spec->modules; m++) {
        if (!allowed[m]) continue;
        const int norms = q->unseen[m] ? RSK_NORMS : 1, count = several * norms;
        guess g[FACTORS * RSK_NORMS];
        for (int i = 0; i < count; i++) {
            const double factor = factors[i % several], unit = amplitude * q->shrink / (q->noise * q->noise_of[m]);
            const double rho2 = norms > 1 ? q->norm2 * rsk_norm_tried(i / several) : q->rho2[m];
            g[i] = guess_of((rsk_adds_squares(spec) ? factor : factor * factor) * unit, rho2, (double)spec->module[m].length);
        }
        for (ptrdiff_t j = from; j < to; j++) {
            const double z = q->z[j * spec->modules + m], e = q->e[j * spec->modules + m];
            const double more_weight = q->weight[j * spec->modules + m] - 1.0;
            double l[FACTORS * RSK_NORMS], most = -HUGE_VAL, sum = 0.0;
            for (int i = 0; i < count; i++) {
                const double counted = e < g[i].most_e ? e : g[i].most_e;
                l[i] = z * g[i].of_z + counted * g[i].of_e + g[i].constant + more_weight * g[i].of_z * (z - 0.5 * g[i].of_z);
                if (l[i] > most) most = l[i];
            }
            for (int i = 0; i < count; i++)
                if (l[i] > most - NOTHING) sum += exp(l[i] - most);
            q->like[j * spec->modules + m] = most + log(sum / count);
        }
    }
}

/* The evidence at one position for an object of any allowed module, given how frequent modules are: their frequencies sum to total.
 * Counts the object among them, each module by its posterior probability. *module is the likeliest one. */
static double position_evidence(const rsk_detector *q, const double *like, const uint8_t *allowed, double total, int32_t *module) {
    double *frequency = q->frequency, *nats = q->nats, top = -HUGE_VAL, all = 0.0;
    for (ptrdiff_t m = 0; m < q->spec->modules; m++) {
        if (!allowed[m]) continue;
        nats[m] = like[m] + log(frequency[m] / total);
        if (nats[m] > top) top = nats[m], *module = (int32_t)m;
    }
    for (ptrdiff_t m = 0; m < q->spec->modules; m++)
        if (allowed[m]) all += nats[m] = nats[m] > top - NOTHING ? exp(nats[m] - top) : 0.0;
    for (ptrdiff_t m = 0; m < q->spec->modules; m++)
        if (allowed[m]) frequency[m] += nats[m] / all;
    return top + log(all);
}

/* The largest evidence for objects at `from` .. `from` + n - 1, over all n up to `to` - `from`, and that n. The frequencies of modules
 * are learned on the way. modules: the likeliest one at each position. */
static double best_prefix(const rsk_detector *q, ptrdiff_t from, ptrdiff_t to, const uint8_t *allowed, ptrdiff_t *n,
                          int32_t *modules) {
    const rsk_spec *spec = q->spec;
    double total = 0.0, sum = 0.0, most = -HUGE_VAL;
    for (ptrdiff_t m = 0; m < spec->modules; m++) q->frequency[m] = allowed[m] ? 0.5 : 0.0, total += q->frequency[m];
    *n = 0;
    for (ptrdiff_t j = from; j < to; j++, total += 1.0) {
        sum += position_evidence(q, q->like + j * spec->modules, allowed, total, &modules[j - from]) - POSITION_COST;
        if (sum > most) most = sum, *n = j - from + 1;
    }
    return most;
}

/* ---------------------------------------------------------------- proposals */

/* Room for `count` modules of a proposal; NULL if there is none. */
static int32_t *room_for(const rsk_detector *q, ptrdiff_t count) {
    return q->used + count > q->capacity + q->window ? NULL : q->modules + q->used;
}

static void propose(rsk_detector *q, rsk_proposal p) {
    p.first = (int32_t)q->used;
    q->used += p.count;
    q->proposal[q->proposals++] = p;
}

/* Whether an object that has no inputs yet can be passed over. Its inputs, of alpha^2 = `square` in all, would show through the identity
 * branch of their position operators in one pass: their counters and their attributes' energies add up. The sum of both over the
 * modules is at least g square (1 + rho^2), and its noise about sqrt(sum of (2 a + 1)). */
static int is_leaf(const rsk_detector *q, const float *b, double square, const uint8_t *allowed) {
    const rsk_spec *spec = q->spec;
    const double t2 = spec->stretch2, g = spec->coherence;
    double noise2 = 0.0, rho2 = HUGE_VAL, sum = 0.0;
    for (ptrdiff_t m = 0; m < spec->modules; m++)
        if (allowed[m]) noise2 += 2.0 * (double)spec->module[m].length + 1.0, rho2 = fmin(rho2, q->unseen[m] ? 0.0 : q->rho2[m]);
    const double expected = g * square * (1.0 + rho2);
    if (expected < CLEAR * sqrt(noise2)) return 0;
    const double unit = 1.0 / (t2 * sqrt(q->share) * q->noise);
    for (ptrdiff_t m = 0; m < spec->modules; m++) {
        if (!allowed[m]) continue;
        float z;
        spec->family->leaf_adjoint(spec, m, RSK_NO_POSITION, unit, b, q->scores, &z, q->padded, q->work);
        if (z > 0.0f) sum += (double)z * (double)z;
        for (ptrdiff_t i = 0; i < spec->module[m].length; i++) sum += (double)q->scores[i] * (double)q->scores[i] - 1.0;
    }
    return sum < LEAF * expected;
}

/* The tuple that is looked at. */
typedef struct tuple {
    int32_t parent;
    const uint8_t *allowed; /* (modules,) */
    ptrdiff_t members;      /* it has so many */
    ptrdiff_t certain;      /* of which the first so many are in no doubt */
    double owner;           /* amplitude of its owner, see rsk_tree_owner */
    double used;            /* its members' parts, see rsk_tree_part */
    ptrdiff_t levels;       /* that are looked at below a candidate's inputs */
    const float *residual;  /* as the tuple sees it */
} tuple;

/* What the parts of n further members sum to, as their owner's counter tells. */
static double parts_of(const rsk_detector *q, const tuple *t, ptrdiff_t n) {
    const rsk_spec *spec = q->spec;
    const int balanced = spec->weighting == RSK_WEIGHTS_BALANCED;
    const double members = (double)t->members;
    if (spec->weighting == RSK_WEIGHTS_COUNT) return (double)n * rsk_tree_whole(spec, t->owner, 1);
    if (balanced && t->parent == RSK_ROOT && t->members) return (double)n * t->used / members; /* as loud as those */
    const double whole = rsk_tree_whole(spec, t->owner, t->members + n);
    if (!t->members) return whole;
    /* A missing member hides in the counters of its siblings, which share its identity branch: one more is never ruled out. */
    const double least = balanced ? rsk_kappa(spec, n) / (members + (double)n) : 1.0 / (members + 1.0);
    return fmax(whole - t->used, LIGHT * whole * least);
}

static double amplitude_of(const rsk_spec *spec, double part) { return rsk_adds_squares(spec) ? sqrt(part) : part; }

typedef struct scoring {
    const rsk_detector *q;
    const tuple *t;
} scoring;

static void score_modules(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) {
    const scoring *s = context;
    const rsk_detector q = rsk_detector_of(s->q, worker);
    for (ptrdiff_t m = begin; m < end; m++) {
        if (!s->t->allowed[m]) continue;
        correlate(&q, s->t->residual, m, s->t->certain, q.window);
        q.noise_of[m] = decorrelate(&q, m, s->t->certain, q.window);
    }
}

static void score_tuple(rsk_detector *q, const tuple *t) {
    scoring s = {q, t};
    if (rsk_blocks(q->spec)) rsk_block_energies(q->spec, t->residual, q->energy);
    rsk_detector_share(q, 4 * q->spec->modules * (q->window - t->certain), q->spec->modules, score_modules, &s);
}

/* ---------------------------------------------------------------- looking ahead */

/* The allowed module of largest value that is not -HUGE_VAL, or -1. */
static ptrdiff_t largest(const rsk_detector *q, const tuple *t, const double *value) {
    ptrdiff_t at = -1;
    for (ptrdiff_t m = 0; m < q->spec->modules; m++)
        if (t->allowed[m] && value[m] > -HUGE_VAL && (at < 0 || value[m] > value[at])) at = m;
    return at;
}

/* look[m] = rsk_look_near of every allowed module as the tuple's next member, less the largest of them, which is returned. The likelihoods
 * at that position are known. Where what stands one level below overrules them or leaves them close, or with `deep`, the likeliest
 * modules are looked at all the way down: a loud tuple far below shows a little everywhere, and most where it is. Where next to nothing shows
 * one level below, none is there. */
static double look_ahead(rsk_detector *q, const tuple *t, int deep) {
    const rsk_spec *spec = q->spec;
    const double *like = q->like + t->members * spec->modules;
    double *look = q->look, *rank = q->look + spec->modules, most = 0.0;
    rsk_look_near(q, t->residual, t->allowed, t->members, look);
    for (ptrdiff_t m = 0; m < spec->modules; m++)
        if (t->allowed[m]) rank[m] = look[m] + like[m], most = fmax(most, look[m]);
    const ptrdiff_t likeliest = largest(q, t, like), top = largest(q, t, rank);
    const int may = spec->modules <= MANY && most >= LOUD;
    deep |= may && top != likeliest;
    for (ptrdiff_t m = 0; may && m < spec->modules; m++) deep |= t->allowed[m] && m != top && rank[m] > rank[top] - AMBIGUOUS;
    most = 0.0;
    for (int i = 0; deep && i <= RSK_BRANCHES; i++) {
        const ptrdiff_t at = i ? largest(q, t, rank) : likeliest;
        if (at < 0) break;
        look[at] += rsk_look_below(q, t->residual, t->members, at, t->levels);
        rank[at] = -HUGE_VAL;
    }
    for (ptrdiff_t m = 0; m < spec->modules; m++)
        if (t->allowed[m]) most = fmax(most, look[m]);
    for (ptrdiff_t m = 0; m < spec->modules; m++)
        if (t->allowed[m]) look[m] -= most;
    return most;
}

/* ---------------------------------------------------------------- what is proposed for one tuple */

/* The likelihoods of further members of an amplitude; with `look`, of the first also what stands below it. Returns the largest evidence
 * for a group, and its number and modules. */
static double group_evidence(const rsk_detector *q, const tuple *t, double amplitude, const double *look, ptrdiff_t *count,
                             int32_t *modules) {
    weigh(q, t->members, q->window, amplitude, t->allowed);
    for (ptrdiff_t m = 0; look && m < q->spec->modules; m++)
        if (t->allowed[m]) q->like[t->members * q->spec->modules + m] += look[m];
    return best_prefix(q, t->members, q->window, t->allowed, count, modules);
}

/* The same over all numbers of new members, which decide how large the amplitude of each should be; from 2 on in steps of a half.
 * Without a look, q->group gets the evidence at each amplitude. With one, which is never above 0, no group has more than that, so that
 * amplitudes are left out whose group had no more without it than the best has with it. */
static double best_group(const rsk_detector *q, const tuple *t, const double *look, double *amplitude, int32_t *modules) {
    const rsk_spec *spec = q->spec;
    const int unknown = spec->weighting == RSK_WEIGHTS_BALANCED && t->parent == RSK_ROOT && !t->members;
    const double least = unknown ? 4.0 / (double)spec->dim : 1.0;
    double best = -HUGE_VAL;
    ptrdiff_t tried = 0, count;
    if (look) best = group_evidence(q, t, *amplitude, look, &count, modules);
    for (double fade = 1.0; fade >= least; fade /= FADE) {
        const ptrdiff_t most = fade / FADE >= least ? 1 : q->window - t->members; /* fainter ones are tried anyway */
        for (ptrdiff_t n = 1; n <= most; n += n < 2 ? 1 : n / 2) {
            double *without = &q->group[tried++];
            if (look && *without <= best) continue;
            const double each = amplitude_of(spec, fade * parts_of(q, t, n) / (double)n);
            const double score = group_evidence(q, t, each, look, &count, modules);
            if (!look) *without = score;
            if (score > best) best = score, *amplitude = each;
        }
    }
    return best;
}

/* Proposes a group of new members. */
static void propose_group(rsk_detector *q, const tuple *t) {
    int32_t *modules = room_for(q, q->window - t->members);
    if (t->members >= q->window || !modules) return;
    const int first = t->parent == RSK_ROOT && !t->members;
    double amplitude = 0.0, below = 0.0;
    double best = best_group(q, t, NULL, &amplitude, modules);
    const double *look = NULL;
    ptrdiff_t count;
    if (best > q->threshold || first) {
        group_evidence(q, t, amplitude, NULL, &count, modules);
        below = look_ahead(q, t, q->bold);
        if (below > 0.0) look = q->look, best = best_group(q, t, look, &amplitude, modules);
    }
    /* The first object may be too faint to be seen but through what stands below it. */
    const double rescue = first ? below : 0.0;
    if (best + rescue > q->threshold) {
        const double score = group_evidence(q, t, amplitude, look, &count, modules);
        propose(q, (rsk_proposal){.parent = t->parent, .position = (int32_t)t->members, .replaces = -1,
                                  .count = count > 0 ? (int32_t)count : 1, .score = score + rescue, .amplitude = amplitude,
                                  .credit = below});
    } else if (q->bold && !t->members) {
        /* Nothing shows by itself: a single member that what stands below it speaks for. */
        double top = -HUGE_VAL, credit = 0.0;
        weigh(q, 0, 1, amplitude, t->allowed);
        rsk_look_near(q, t->residual, t->allowed, 0, q->look);
        for (int32_t m = 0; m < q->spec->modules; m++) {
            if (!t->allowed[m]) continue;
            const int few = q->spec->modules <= 2 * RSK_BRANCHES;
            const double seen = q->look[m] + (few ? rsk_look_below(q, t->residual, 0, m, t->levels) : 0.0);
            if (q->like[m] + seen > top) top = q->like[m] + seen, credit = seen, *modules = m;
        }
        top -= log((double)q->spec->modules);
        if (top > q->threshold)
            propose(q, (rsk_proposal){.parent = t->parent, .position = 0, .replaces = -1, .count = 1, .score = top,
                                      .amplitude = amplitude, .credit = credit});
    }
}

/* The amplitude that another module at position j would have. */
static double expected_at(const rsk_detector *q, const tuple *t, ptrdiff_t j) {
    const rsk_spec *spec = q->spec;
    const double own = q->counter[q->child_at[j]], members = (double)t->members;
    if (spec->weighting == RSK_WEIGHTS_BALANCED)
        return sqrt((t->parent == RSK_ROOT ? t->used : rsk_tree_whole(spec, t->owner, t->members)) / members);
    const double left = parts_of(q, t, 1);
    return rsk_adds_squares(spec) ? sqrt(left + own * own) : left + fabs(own);
}

/* Proposes another module at each position that is taken, but not certain. */
static void propose_replacements(rsk_detector *q, const tuple *t) {
    const rsk_spec *spec = q->spec;
    for (ptrdiff_t j = t->certain; j < t->members && j < q->window; j++) {
        int32_t *module = room_for(q, 1);
        if (!module) return;
        const double amplitude = expected_at(q, t, j), *like = q->like + j * spec->modules;
        /* What stands below the one that is there speaks for it, unless it has been found already. */
        const int deep = !q->inner[j] && q->bold && t->levels > 1 && spec->modules <= 2 * RSK_BRANCHES;
        double *look = q->look, top = -HUGE_VAL, credit = 0.0, loudest = 0.0;
        memset(look, 0, sizeof *look * (size_t)spec->modules);
        if (!q->inner[j]) rsk_look_near(q, t->residual, t->allowed, j, look);
        for (ptrdiff_t m = 0; deep && m < spec->modules; m++)
            if (t->allowed[m]) look[m] += rsk_look_below(q, t->residual, j, m, t->levels);
        weigh(q, j, j + 1, amplitude, t->allowed);
        for (int32_t m = 0; m < spec->modules; m++) {
            if (!t->allowed[m] || m == q->taken[j]) continue;
            const double nats = like[m] + look[m] - look[q->taken[j]];
            loudest = fmax(loudest, fmax(look[m], look[q->taken[j]]));
            if (nats > top) top = nats, credit = look[m], *module = m;
        }
        top -= log((double)spec->modules);
        if (top > q->threshold && loudest >= LOUD && !deep && spec->modules <= MANY && like[*module] < CONVINCING)
            top += rsk_look_below(q, t->residual, j, *module, t->levels) - rsk_look_below(q, t->residual, j, q->taken[j], t->levels);
        if (top > q->threshold)
            propose(q, (rsk_proposal){.parent = t->parent, .position = (int32_t)j, .replaces = q->child_at[j], .count = 1,
                                      .score = top, .amplitude = amplitude, .credit = credit});
    }
}

/* Whether no further members and no others in the place of doubtful ones could reach the threshold with all that their counters and
 * attributes could say. */
static int below_threshold(const rsk_detector *q, const tuple *t) {
    const ptrdiff_t open = q->window - t->members;
    const int doubt = t->certain < t->members;
    if (open <= 0 && !doubt) return 1;
    double left = parts_of(q, t, open < 1 ? 1 : open < SOME ? open : SOME);
    if (q->spec->weighting == RSK_WEIGHTS_BALANCED && doubt) {
        const double each = expected_at(q, t, 0);
        left = fmax(left, each * each);
    }
    if (!(left > 0.0)) return 1;
    const double alpha2 = (rsk_adds_squares(q->spec) ? left : left * left) * q->shrink * q->shrink / (q->noise * q->noise);
    double rho2 = 1.0;
    for (ptrdiff_t m = 0; m < q->spec->modules; m++) rho2 = fmax(rho2, q->unseen[m] ? q->norm2 * rsk_norm_tried(0) : q->rho2[m]);
    return (1.0 + rho2) * alpha2 < q->threshold;
}

/* The residual as the tuple below p sees it: taken down the path from the outputs, in two vectors in turn. */
static const float *descend(rsk_detector *q, const rsk_tree *t, ptrdiff_t p) {
    const ptrdiff_t stride = q->spec->dim + 5 * RSK_LANES;
    float *from = q->below, *to = q->below + stride;
    ptrdiff_t n = 0;
    for (ptrdiff_t v = p; v >= 0; v = t->node[v].parent) q->path[n++] = (int32_t)v;
    q->level = n;
    while (n > 0) {
        const rsk_node *v = &t->node[q->path[--n]];
        rsk_step_below(q, from, v->module, v->position, to);
        from = to;
        to = from == q->below + stride ? q->below + 2 * stride : q->below + stride;
    }
    return from;
}

/* The tuple of p, without its residual. Fills taken, child_at and inner. */
static tuple survey(rsk_detector *q, const rsk_tree *t, int32_t p) {
    tuple found = {.parent = p, .owner = rsk_tree_owner(t, p, q->counter, q->root),
                   .allowed = q->allowed + (p == RSK_ROOT ? q->spec->modules : t->node[p].module) * q->spec->modules};
    int doubt = 0;
    for (ptrdiff_t j = 0; j < q->window; j++) q->taken[j] = -1;
    for (int32_t c = rsk_tree_first(t, p); c >= 0; c = t->next[c], found.members++) {
        const ptrdiff_t at = t->node[c].position;
        if (at < q->window) q->taken[at] = t->node[c].module, q->child_at[at] = c, q->inner[at] = rsk_tree_first(t, c) >= 0;
        found.used += rsk_tree_part(q->spec, q->counter[c]);
        doubt |= !(t->node[c].own > STRONG);
    }
    found.certain = doubt ? 0 : found.members;
    return found;
}

static int allows_any(const rsk_detector *q, const tuple *t) {
    for (ptrdiff_t m = 0; m < q->spec->modules; m++)
        if (t->allowed[m]) return 1;
    return 0;
}

void rsk_detect(rsk_detector *q, const rsk_tree *t, const float *residual) {
    const rsk_spec *spec = q->spec;
    q->proposals = q->used = 0;
    q->tree = t;
    rsk_look_forget(q, 0);
    memcpy(q->below, residual, sizeof *residual * (size_t)spec->dim);
    for (int32_t p = RSK_ROOT; p < t->count && !rsk_stopped(q->stop, q->worker); p++) {
        tuple found = survey(q, t, p);
        const ptrdiff_t depth = p == RSK_ROOT ? 0 : t->node[p].depth + 1;
        /* What was seen far below a module that is too faint to tell of its inputs is looked for. */
        const int promised = p != RSK_ROOT && !found.members && t->node[p].credit > 0.0;
        if (depth >= q->max_depth || !allows_any(q, &found) || (!promised && below_threshold(q, &found))) continue;
        found.residual = descend(q, t, p);
        /* As soon as there are objects enough, these show where the search must go on. Operators that do not keep norms let some
         * directions grow level by level, so that deep scores say nothing. */
        found.levels = t->count <= FEW && spec->family->skew ? q->max_depth - depth : 1;
        /* With linear weights the energy of the inputs is not known before their number is, and members of a chain look like leaves. */
        const double alpha2 = rsk_tree_whole(spec, found.owner, 1) * q->shrink * q->shrink / (q->noise * q->noise);
        if (!found.members && p != RSK_ROOT && !promised && !q->bold && rsk_adds_squares(spec) &&
            is_leaf(q, found.residual, alpha2, found.allowed))
            continue;
        score_tuple(q, &found);
        propose_group(q, &found);
        propose_replacements(q, &found);
    }
}
