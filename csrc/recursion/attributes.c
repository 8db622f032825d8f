/* What is sketched of an attribute, and the way back. An attribute is centred and scaled; where attributes are polar, its
 * direction and one element more stand for it, the logarithm of its norm, so that norms of any size weigh the same; its
 * object's signature follows. The sweeps and the solvers see the result alone: the unknowns of an object. */
#include "recursion/recursion.h"

#include <float.h>
#include <math.h>
#include <string.h>

#define OCTAVES 16.0         /* the last element is log2 |x| / 16: from -15.6, a float32 number scaled by 1e-30, to 6.9 */
#define LEAST_OCTAVE (-16.0)
#define MOST_OCTAVE 8.0

/* log2 and exp2 from sums and products alone: those of mathematical libraries differ in the last place, and with them a bit. */
static inline double log2_of(double x) { /* x >= 2^-1022, finite */
    uint64_t bits, half = 0x3fe0000000000000;
    memcpy(&bits, &x, sizeof bits);
    int exponent = (int)(bits >> 52) - 1022;
    bits = (bits & 0xfffffffffffff) | half;
    double m; /* x = m 2^exponent */
    memcpy(&m, &bits, sizeof m);
    if (m < 0.70710678118654752) m *= 2.0, exponent--;
    const double t = (m - 1.0) / (m + 1.0), t2 = t * t; /* |t| <= 0.172: the first term left out is below 1e-17 */
    double sum = 0.0;
    for (int k = 21; k >= 1; k -= 2) sum = sum * t2 + 1.0 / k;
    return (double)exponent + 2.0 * t * sum * 1.4426950408889634;
}

static double exp2_of(double x) { /* |x| < 1000 */
    const double whole = floor(x + 0.5), y = (x - whole) * 0.69314718055994531;
    double sum = 1.0;
    for (int k = 14; k >= 1; k--) sum = 1.0 + sum * y / k; /* |y| <= 0.347: the first term left out is below 1e-18 */
    return ldexp(sum, (int)whole);
}

#define BAD (-1.0) /* for the norm of an attribute with an element that is NaN or too large */

/* Rounded; what float32 cannot hold becomes its largest number. */
static float narrow(double x) { return x > FLT_MAX ? FLT_MAX : x < -FLT_MAX ? -FLT_MAX : (float)x; }

/* The standard deviation of a number over its median, if its logarithm is normal with this one. */
static double lognormal(double sigma) {
    const double square = sigma * sigma;
    return square < 1e-4 ? sigma : sqrt(exp2_of(fmin(square, 200.0) * 1.4426950408889634) - 1.0);
}

/* A zero vector where the unknowns are nearer to (0, 1) than their direction to norm one, or have no direction. error: of an unknown
 * of the attribute, and of the logarithm. That of element x_i is |x| sqrt(1 - u_i^2) times the first across the direction u, over the
 * direction's fitted norm, and |x| |u_i| times that of a lognormal norm along it. */
static void decode(const float *y, const float *centre, double scale, ptrdiff_t a, int polar, const double *error, float *out,
                   float *errors, double *wide) {
    double norm = 1.0, size = 1.0, along = 0.0;
    if (polar) {
        for (ptrdiff_t i = 0; i < a; i++) wide[i] = (double)y[i];
        norm = sqrt(rsk_dot(wide, wide, a));
        const double last = (double)y[a];
        const int zero = 2.0 * norm + (last - 1.0) * (last - 1.0) < 1.0;
        size = zero ? 0.0 : exp2_of(OCTAVES * fmin(fmax(last, LEAST_OCTAVE), MOST_OCTAVE));
        if (!(last == last)) size = NAN;
        along = errors ? lognormal(OCTAVES * 0.69314718055994531 * error[1]) : 0.0;
    }
    const double error_across = errors ? error[0] : 0.0;
    for (ptrdiff_t i = 0; i < a; i++) {
        const double u = size == 0.0 || norm == 0.0 ? 0.0 : (double)y[i] / norm, x = u * size / scale;
        out[i] = narrow(x + (centre ? (double)centre[i] : 0.0));
        if (!errors) continue;
        const double across = !polar ? 1.0 : norm > 0.0 ? sqrt(fmax(1.0 - u * u, 0.0)) / norm : FLT_MAX;
        errors[i] = size == 0.0 ? narrow(error_across / scale) : narrow(size / scale * sqrt(error_across * across * error_across * across + along * along * u * u));
    }
}

/* ---------------------------------------------------------------- a batch */

typedef struct job {
    const rsk_coding *coding;
    const int32_t *module, *number;
    const int64_t *ends; /* of the attributes; an object's unknowns begin at ends[o] + o more */
    ptrdiff_t more;      /* unknowns of an object beside its attribute */
    const float *in;
    const double *error;
    float *out, *errors;
    double *norm;      /* (objects,) as of encode */
    double *wide;      /* scratch: an attribute in doubles for each thread, */
    ptrdiff_t longest; /* of at most so many elements, a multiple of 16 */
} job;

static const float *centre_of(const rsk_coding *c, int32_t m) { return c->centres ? c->centres + c->centre_begin[m] : NULL; }

static void encode_task(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) {
    const job *j = context;
    const rsk_coding *c = j->coding;
    const rsk_kernels *k = rsk_kernels_current();
    const ptrdiff_t polar = c->polar != 0;
    double *wide = j->wide + worker * j->longest;
    for (ptrdiff_t o = begin; o < end; o++) {
        const int32_t m = j->module[o];
        float *out = j->out + j->ends[o] + o * j->more;
        j->norm[o] = k->encode(j->in + j->ends[o], centre_of(c, m), c->scales[m], c->lengths[m], c->polar, wide, out);
        if (c->signature)
            memcpy(out + c->lengths[m] + polar, c->signatures + j->number[o] * c->signature, sizeof *out * (size_t)c->signature);
    }
    /* A logarithm is one chain of sums and products. Several are computed at once where nothing stands between them. */
    for (ptrdiff_t o = begin; polar && o < end; o++)
        j->out[j->ends[o + 1] + o * j->more] = j->norm[o] > 0.0 ? (float)(log2_of(j->norm[o]) / OCTAVES) : 1.0f;
}

/* Attributes that are unknowns as they are. */
static void look_task(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) {
    const job *j = context;
    const rsk_kernels *k = rsk_kernels_current();
    (void)worker;
    const int good = k->within_f32(j->in + j->ends[begin], j->ends[end] - j->ends[begin], RSK_MAX_VALUE);
    for (ptrdiff_t o = begin; o < end; o++)
        j->norm[o] = good || k->within_f32(j->in + j->ends[o], j->ends[o + 1] - j->ends[o], RSK_MAX_VALUE) ? 0.0 : BAD;
}

static void decode_task(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) {
    const job *j = context;
    const rsk_coding *c = j->coding;
    for (ptrdiff_t o = begin; o < end; o++) {
        const int32_t m = j->module[o];
        decode(j->in + j->ends[o] + o * j->more, centre_of(c, m), c->scales[m], c->lengths[m], c->polar != 0,
               j->errors ? j->error + 2 * o : NULL, j->out + j->ends[o], j->errors ? j->errors + j->ends[o] : NULL,
               j->wide + worker * j->longest);
    }
}

/* Whether modules and lengths are those of the coding: what is read and written follows from them. *longest: of the attributes, rounded
 * up to a multiple of 16. */
static rsk_status check(const rsk_coding *c, ptrdiff_t objects, const int32_t *module, const int64_t *ends, ptrdiff_t *where,
                        ptrdiff_t *longest) {
    if (where) *where = -1;
    if (!c || !c->lengths || !c->scales || c->modules < 1 || objects < 0) return RSK_EINVAL;
    if (c->signature < 0 || c->signature > RSK_MAX_LENGTH) return RSK_EINVAL;
    for (ptrdiff_t m = 0; m < c->modules; m++)
        if (!(c->scales[m] > 0.0 && c->scales[m] <= DBL_MAX)) return RSK_EINVAL;
    if ((c->centres && !c->centre_begin) || (c->signature && !c->signatures) || !ends || (objects && !module)) return RSK_EINVAL;
    if (ends[0] != 0) return RSK_EOFFSETS;
    *longest = 0;
    for (ptrdiff_t o = 0; o < objects; o++) {
        if (where) *where = o;
        if (module[o] < 0 || module[o] >= c->modules) return RSK_EMODULE;
        if (ends[o + 1] < ends[o]) return RSK_EOFFSETS;
        const int64_t length = ends[o + 1] - ends[o];
        if (length != c->lengths[module[o]]) return RSK_ELENGTH;
        if (length > *longest) *longest = (ptrdiff_t)(length + RSK_LANES - 1) / RSK_LANES * RSK_LANES;
    }
    if (where) *where = -1;
    return RSK_OK;
}

int rsk_is_plain(const rsk_coding *c) {
    if (!c || !c->scales || c->polar || c->signature || c->centres) return 0;
    for (ptrdiff_t m = 0; m < c->modules; m++)
        if (c->scales[m] != 1.0) return 0;
    return 1;
}

enum { CHUNK = 64 }; /* objects a task: some 64 elements each are a few microseconds */

/* Runs the task for all objects. */
static rsk_status run(job *j, rsk_task *task, ptrdiff_t objects, int threads) {
    const rsk_coding *c = j->coding;
    j->more = (c->polar != 0) + c->signature;
    j->wide = rsk_alloc(j->longest, sizeof *j->wide * (size_t)rsk_parallel_threads(threads, objects, CHUNK));
    if (!j->wide) return RSK_ENOMEM;
    rsk_parallel(threads, objects, CHUNK, task, j);
    rsk_free(j->wide);
    return RSK_OK;
}

rsk_status rsk_encode(const rsk_coding *coding, ptrdiff_t objects, const int32_t *module, const int32_t *number,
                      const int64_t *ends, const float *attributes, float *out, int threads, ptrdiff_t *where) {
    job j = {.coding = coding, .module = module, .number = number, .ends = ends, .in = attributes, .out = out};
    rsk_status status = check(coding, objects, module, ends, where, &j.longest);
    if (status != RSK_OK) return status;
    if (threads < 1 || (objects && (!attributes || (!out && !rsk_is_plain(coding)) || (coding->signature && !number)))) return RSK_EINVAL;
    for (ptrdiff_t o = 0; coding->signature && o < objects; o++)
        if (number[o] < 0 || number[o] >= coding->numbers) {
            if (where) *where = o;
            return RSK_EINVAL;
        }
    j.norm = rsk_alloc(objects, sizeof *j.norm);
    status = j.norm ? run(&j, out ? encode_task : look_task, objects, threads) : RSK_ENOMEM;
    for (ptrdiff_t o = 0; status == RSK_OK && o < objects; o++)
        if (j.norm[o] == BAD) {
            status = RSK_EVALUE;
            if (where) *where = o;
        }
    rsk_free(j.norm);
    return status;
}

rsk_status rsk_decode(const rsk_coding *coding, ptrdiff_t objects, const int32_t *module, const int64_t *ends,
                      const float *unknowns, const double *error, float *attributes, float *errors, int threads) {
    job j = {.coding = coding, .module = module, .ends = ends, .in = unknowns, .error = error, .out = attributes, .errors = errors};
    const rsk_status status = check(coding, objects, module, ends, NULL, &j.longest);
    if (status != RSK_OK) return status;
    if (threads < 1 || (objects && (!unknowns || !attributes)) || (errors && !error)) return RSK_EINVAL;
    return run(&j, decode_task, objects, threads);
}
