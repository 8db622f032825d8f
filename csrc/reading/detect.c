/* What a residual says of objects that are not in the tree yet: evidence for every module at every position below every
 * object, pooled into proposals of whole groups (docs/design.md, section 8).
 *
 * A candidate of amplitude A shows in its counter's score z ~ N(alpha, 1), alpha = A / noise, and in the energy e of its
 * attribute's a scores, each N(0, 1 + v) with v = alpha^2 rho^2 / a, rho the norm of an attribute. Its log-likelihood ratio is
 *     z alpha - alpha^2 / 2 + e v / (2 (1 + v)) - a log(1 + v) / 2.
 * An object's counter also says what its inputs' amplitudes sum to, in squares: n new inputs have about the n-th part each. */
#include "reading/reading.h"

#include <math.h>
#include <string.h>

/* Amplitudes of a group's members around the expected one, squared with linear weighting: weights are uneven. */
#define FACTORS 4
static const double factors[FACTORS] = {0.45, 0.75, 1.05, 1.45};

#define UNUSUAL 3.0       /* standard errors beyond which an attribute's energy says no more: it is not this object's */
#define LIGHT 0.4         /* of a tuple's mean share, that a further member may always have */
#define LEFT 0.1          /* of the noise, that is there whatever the pooled columns hold */
#define CLEAR 5.0         /* standard errors at which a leaf is told from others at a glance */
#define STRONG 300.0      /* nats, of all of a tuple's members, that make looking for others in their places idle */
#define POSITION_COST 0.5 /* nats: that there is one more input */

double rsk_likelihood(double z, double e, double length, double alpha, double rho2) {
    const double v = alpha * alpha * rho2 / length, most = (1.0 + v) * (length + UNUSUAL * sqrt(2.0 * length));
    return z * alpha - 0.5 * alpha * alpha + 0.5 * fmin(e, most) * v / (1.0 + v) - 0.5 * length * log1p(v);
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
    rsk_free(q->seen);
    rsk_free(q->taken);
    rsk_free(q->child_at);
    rsk_free(q->path);
    rsk_free(q->proposal);
    rsk_free(q->modules);
    memset(q, 0, sizeof *q);
}

int rsk_detector_create(const rsk_spec *spec, ptrdiff_t capacity, ptrdiff_t depth, rsk_detector *q) {
    memset(q, 0, sizeof *q);
    const ptrdiff_t d = spec->dim, wide = spec->max_padded > d ? spec->max_padded : d;
    q->spec = spec;
    q->window = spec->max_inputs < RSK_WINDOW ? spec->max_inputs : RSK_WINDOW;
    while (q->window > 16 && q->window * (spec->max_length + 1) > RSK_WINDOW_FLOATS) q->window /= 2;
    q->capacity = capacity;
    const ptrdiff_t cells = q->window * spec->modules;
    q->below = rsk_alloc(3 * (d + 5 * RSK_LANES), sizeof *q->below);
    q->object = rsk_alloc(d, sizeof *q->object);
    q->spare = rsk_alloc(2 * d, sizeof *q->spare);
    q->padded = rsk_alloc(wide, sizeof *q->padded);
    q->work = rsk_alloc(2 * wide, sizeof *q->work);
    q->scores = rsk_alloc(q->window * (spec->max_length + 1), sizeof *q->scores);
    q->z = rsk_alloc(cells, sizeof *q->z);
    q->e = rsk_alloc(cells, sizeof *q->e);
    q->like = rsk_alloc(cells, sizeof *q->like);
    q->seen = rsk_alloc(2 * spec->modules, sizeof *q->seen);
    q->taken = rsk_alloc(q->window, sizeof *q->taken);
    q->child_at = rsk_alloc(q->window, sizeof *q->child_at);
    q->path = rsk_alloc(depth + 1, sizeof *q->path);
    q->proposal = rsk_alloc(2 * capacity + 1, sizeof *q->proposal);
    q->modules = rsk_alloc(capacity + q->window, sizeof *q->modules);
    if (q->below && q->object && q->spare && q->padded && q->work && q->scores && q->z && q->e && q->like &&
        q->seen && q->taken && q->child_at && q->path && q->proposal && q->modules)
        return 1;
    rsk_detector_free(q);
    return 0;
}

/* ---------------------------------------------------------------- scores below one object */

/* scores[j] = [attribute | counter] of the module's columns, of norm one, at position j of the tuple whose residual is b. */
static void correlate(const rsk_detector *q, const float *b, ptrdiff_t m, ptrdiff_t from, ptrdiff_t positions) {
    const rsk_spec *spec = q->spec;
    const double t2 = spec->cosine * spec->cosine + spec->sine * spec->sine;
    const float unit = (float)(1.0 / sqrt(t2 * q->share));
    rsk_module plain = spec->module[m];
    plain.scale = 1.0;
    for (ptrdiff_t j = from; j < positions && !rsk_stopped(q->stop, q->worker); j++) {
        float *out = q->scores + j * (plain.length + 1);
        spec->family->chain(spec, &spec->positions[j], &plain.rotation, 1.0 / t2, 1, b, q->object, 0, q->spare);
        spec->family->embed_adjoint(spec, &plain, unit * (float)rsk_embed_norm(spec, &plain), unit / sqrtf((float)spec->dim),
                             q->object, q->padded, &out[plain.length], q->work, q->spare);
        rsk_embed_end(spec, &plain, q->padded, out);
    }
}

/* Objects of one module in one tuple share the identity branch of their position operators, coherence g = cos^2: of the free
 * positions' scores the common part is taken out by the inverse of their Gram matrix (1 - g) I + h 1 1', h what of g the
 * module's `taken` fitted members have left of it. So that part is no noise to them either: the pooled columns' energy beyond
 * their own noise is taken off, without which a wide tuple of one module hides itself. Fills z and e in units of the noise;
 * returns the noise's factor. */
static double decorrelate(const rsk_detector *q, ptrdiff_t m, ptrdiff_t from, ptrdiff_t positions) {
    const rsk_spec *spec = q->spec;
    const ptrdiff_t a = spec->module[m].length;
    const double c2 = spec->cosine * spec->cosine, g = c2 / (c2 + spec->sine * spec->sine);
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

/* like[j][m] = the log-likelihood ratio of module m at position j with an amplitude of about A. */
static void weigh(const rsk_detector *q, ptrdiff_t from, ptrdiff_t to, double amplitude, const uint8_t *allowed) {
    const rsk_spec *spec = q->spec;
    for (ptrdiff_t m = 0; m < spec->modules; m++) {
        if (!allowed[m]) continue;
        const double a = (double)spec->module[m].length;
        double alpha[FACTORS], of_e[FACTORS], most_e[FACTORS], constant[FACTORS];
        for (int f = 0; f < FACTORS; f++) {
            alpha[f] = (spec->energy ? factors[f] : factors[f] * factors[f]) * amplitude * q->shrink / (q->noise * q->seen[m]);
            const double v = alpha[f] * alpha[f] * q->rho2[m] / a;
            of_e[f] = 0.5 * v / (1.0 + v);
            most_e[f] = (1.0 + v) * (a + UNUSUAL * sqrt(2.0 * a));
            constant[f] = -0.5 * alpha[f] * alpha[f] - 0.5 * a * log1p(v);
        }
        for (ptrdiff_t j = from; j < to; j++) {
            const double z = q->z[j * spec->modules + m], e = q->e[j * spec->modules + m];
            double l[FACTORS], most = -HUGE_VAL, sum = 0.0;
            for (int f = 0; f < FACTORS; f++) {
                l[f] = z * alpha[f] + fmin(e, most_e[f]) * of_e[f] + constant[f];
                if (l[f] > most) most = l[f];
            }
            for (int f = 0; f < FACTORS; f++) sum += exp(l[f] - most);
            q->like[j * spec->modules + m] = most + log(sum / FACTORS);
        }
    }
}

/* Evidence for objects at `from` .. `to` - 1, each of an unknown module, whose shares are learned on the way: the largest sum
 * over a prefix, and its length. */
static double prefix(const rsk_detector *q, ptrdiff_t from, ptrdiff_t to, const uint8_t *allowed, ptrdiff_t *count,
                     int32_t *best) {
    const rsk_spec *spec = q->spec;
    double *share = q->seen + spec->modules, total = 0.0, sum = 0.0, most = -HUGE_VAL;
    for (ptrdiff_t m = 0; m < spec->modules; m++) share[m] = allowed[m] ? 0.5 : 0.0, total += share[m];
    *count = 0;
    for (ptrdiff_t j = from; j < to; j++) {
        const double *like = q->like + j * spec->modules;
        double top = -HUGE_VAL, all = 0.0;
        for (ptrdiff_t m = 0; m < spec->modules; m++) {
            if (!allowed[m]) continue;
            const double l = like[m] + log(share[m] / total);
            if (l <= top) continue;
            top = l;
            if (best) best[j - from] = (int32_t)m;
        }
        for (ptrdiff_t m = 0; m < spec->modules; m++)
            if (allowed[m]) all += exp(like[m] + log(share[m] / total) - top);
        for (ptrdiff_t m = 0; m < spec->modules; m++)
            if (allowed[m]) share[m] += share[m] / total * exp(like[m] - top) / all;
        total += 1.0;
        sum += top + log(all) - POSITION_COST;
        if (sum > most) most = sum, *count = j - from + 1;
    }
    return most;
}

/* ---------------------------------------------------------------- proposals */

static void propose(rsk_detector *q, int32_t parent, ptrdiff_t position, ptrdiff_t count, double score, double amplitude) {
    if (q->proposals == 2 * q->capacity + 1 || q->used + count > q->capacity + q->window) return;
    const rsk_proposal p = {parent, (int32_t)position, (int32_t)count, (int32_t)q->used, score, amplitude};
    q->proposal[q->proposals++] = p;
    q->used += count;
}

/* Whether an object that has no inputs yet can be passed over: through the identity branch of their positions its inputs, of
 * alpha^2 = `square` in all, would show at once. Their counters add up, their attributes' energies do too: the sum of both over
 * the modules is at least g square (1 + rho^2), its noise about sqrt(sum of (2 a + 1)). */
static int is_leaf(const rsk_detector *q, const float *b, double square, const uint8_t *allowed) {
    const rsk_spec *spec = q->spec;
    const double t2 = spec->cosine * spec->cosine + spec->sine * spec->sine, g = spec->cosine * spec->cosine / t2;
    double noise2 = 0.0, rho2 = HUGE_VAL, sum = 0.0;
    for (ptrdiff_t m = 0; m < spec->modules; m++)
        if (allowed[m]) noise2 += 2.0 * (double)spec->module[m].length + 1.0, rho2 = fmin(rho2, q->rho2[m]);
    const double expected = g * square * (1.0 + rho2);
    if (expected < CLEAR * sqrt(noise2)) return 0;
    const float unit = (float)(1.0 / (sqrt(t2 * q->share) * q->noise));
    for (ptrdiff_t m = 0; m < spec->modules; m++) {
        if (!allowed[m]) continue;
        rsk_module plain = spec->module[m];
        float z;
        plain.scale = 1.0;
        spec->family->apply(spec, &plain.rotation, 1.0 / sqrt(t2), 1, b, q->object, 0, q->spare);
        spec->family->embed_adjoint(spec, &plain, unit * (float)rsk_embed_norm(spec, &plain), unit / sqrtf((float)spec->dim), q->object,
                             q->padded, &z, q->work, q->spare);
        rsk_embed_end(spec, &plain, q->padded, q->scores);
        if (z > 0.0f) sum += (double)z * (double)z;
        for (ptrdiff_t i = 0; i < plain.length; i++) sum += (double)q->scores[i] * (double)q->scores[i] - 1.0;
    }
    return sum < 0.4 * expected;
}

/* What stands below one object (or at the outputs): `members` positions are taken, their counters leave `left` of the whole.
 * Positions before `from` are in no doubt. */
static void consider(rsk_detector *q, int32_t parent, const float *b, ptrdiff_t from, ptrdiff_t members, double left,
                     const uint8_t *allowed) {
    const rsk_spec *spec = q->spec;
    const ptrdiff_t positions = q->window;
    for (ptrdiff_t m = 0; m < spec->modules; m++) {
        if (!allowed[m]) continue;
        correlate(q, b, m, from, positions);
        q->seen[m] = decorrelate(q, m, from, positions);
    }
    /* new positions, whose number decides how loud each should be */
    double best = -HUGE_VAL, loud = 0.0;
    for (ptrdiff_t n = 1; members + n <= positions; n += n < 4 ? 1 : n / 4) {
        const double amplitude = spec->energy ? sqrt(left / (double)n) : left / (double)n;
        ptrdiff_t count;
        weigh(q, members, positions, amplitude, allowed);
        const double score = prefix(q, members, positions, allowed, &count, NULL);
        if (score > best) best = score, loud = amplitude;
    }
    if (best > q->threshold) {
        ptrdiff_t count;
        weigh(q, members, positions, loud, allowed);
        if (q->used + positions - members <= q->capacity + q->window) {
            const double score = prefix(q, members, positions, allowed, &count, q->modules + q->used);
            propose(q, parent, members, count, score, loud);
        }
    }
    /* another module at a taken position */
    for (ptrdiff_t j = from; j < members && j < positions; j++) {
        const double own = q->counter[q->child_at[j]];
        const double amplitude = spec->energy ? sqrt(left + own * own) : left + fabs(own);
        weigh(q, j, j + 1, amplitude, allowed);
        double top = -HUGE_VAL;
        int32_t module = -1;
        for (int32_t m = 0; m < spec->modules; m++)
            if (allowed[m] && m != q->taken[j] && q->like[j * spec->modules + m] > top)
                top = q->like[j * spec->modules + m], module = m;
        top -= log((double)spec->modules);
        if (module < 0 || top <= q->threshold || q->used + 1 > q->capacity + q->window) continue;
        q->modules[q->used] = module;
        propose(q, parent, j, 1, top, amplitude);
    }
}

/* The most that inputs of an object could say: their counters and attributes, of a total amplitude^2 of `left`. */
static int below_threshold(const rsk_detector *q, double left) {
    if (!(left > 0.0)) return 1;
    const double alpha2 = (q->spec->energy ? left : left * left) * q->shrink * q->shrink / (q->noise * q->noise);
    double rho2 = 1.0;
    for (ptrdiff_t m = 0; m < q->spec->modules; m++) rho2 = fmax(rho2, q->rho2[m]);
    return (1.0 + rho2) * alpha2 < q->threshold;
}

/* The residual of the tuple below p: down the path from the outputs, two vectors in turn. */
static const float *descend(rsk_detector *q, const rsk_tree *t, ptrdiff_t p) {
    const rsk_spec *spec = q->spec;
    const ptrdiff_t stride = spec->dim + 5 * RSK_LANES;
    const double t2 = spec->cosine * spec->cosine + spec->sine * spec->sine;
    float *from = q->below, *to = q->below + stride;
    ptrdiff_t n = 0;
    for (ptrdiff_t v = p; v >= 0; v = t->node[v].parent) q->path[n++] = (int32_t)v;
    while (n > 0) {
        const rsk_node *v = &t->node[q->path[--n]];
        spec->family->chain(spec, &spec->positions[v->position], &spec->module[v->module].rotation, 1.0 / t2, 1, from, q->object,
                            0, q->spare);
        spec->family->apply(spec, &spec->in, 1.0 / sqrt(t2), 1, q->object, to, 0, q->spare);
        from = to;
        to = from == q->below + stride ? q->below + 2 * stride : q->below + stride;
    }
    return from;
}

/* Fills taken and child_at; returns how many members the tuple of p has, what of its whole they leave, and whether none of
 * them is in doubt. */
static ptrdiff_t survey(rsk_detector *q, const rsk_tree *t, ptrdiff_t p, double *left, int *strong) {
    const int32_t *child = t->order, *next = t->order + t->capacity + 1;
    ptrdiff_t members = 0;
    double used = 0.0;
    *strong = 1;
    for (ptrdiff_t j = 0; j < q->window; j++) q->taken[j] = -1;
    for (int32_t c = child[p + 1]; c >= 0; c = next[c], members++) {
        const ptrdiff_t at = t->node[c].position;
        if (at < q->window) q->taken[at] = t->node[c].module, q->child_at[at] = c;
        used += rsk_tree_part(q->spec, q->counter[c]);
        if (!(t->node[c].own > STRONG)) *strong = 0;
    }
    const double whole = rsk_tree_whole(t, p, q->counter, q->root);
    *left = whole - used;
    /* what is missing hides in the counters of its siblings, which share its identity branch: never rule out one more */
    if (members) *left = fmax(*left, LIGHT * whole / (double)(members + 1));
    return members;
}

void rsk_detect(rsk_detector *q, const rsk_tree *t, const float *residual) {
    const rsk_spec *spec = q->spec;
    q->proposals = q->used = 0;
    memcpy(q->below, residual, sizeof *residual * (size_t)spec->dim);
    for (ptrdiff_t p = -1; p < t->count && !rsk_stopped(q->stop, q->worker); p++) {
        const uint8_t *allowed = q->allowed + (p < 0 ? spec->modules : t->node[p].module) * spec->modules;
        if (!memchr(allowed, 1, (size_t)spec->modules) || (p < 0 ? 0 : t->node[p].depth + 1) >= q->max_depth) continue;
        double left;
        int strong;
        const ptrdiff_t members = survey(q, t, p, &left, &strong);
        if (below_threshold(q, left)) continue;
        const float *b = descend(q, t, p);
        /* with linear weighting the energy of the inputs is not known before their number is */
        const double alpha2 = left * q->shrink * q->shrink / (q->noise * q->noise);
        if (!members && p >= 0 && spec->energy && is_leaf(q, b, alpha2, allowed)) continue;
        consider(q, (int32_t)p, b, strong ? members : 0, members, left, allowed);
    }
}
