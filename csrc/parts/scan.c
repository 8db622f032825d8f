/* The k rows of largest inner product with each of many queries: blocks of rows that stay in cache while all queries pass, and
 * one heap a query and thread. A heap holds the first k of a total order (score, then index), so that it does not matter which
 * thread saw which rows.
 *
 * Rows of int8 are scored twice. First all of them, in integers, against the query rounded to int16: that is off by at most
 * `margin`, which is known. Then, in doubles, those that this may have kept out of the heap: about k log(n / k) of n rows, and
 * hardly more. What comes out are scores in doubles, at the speed of the first. */
#include "parts/parts.h"

#include <math.h>
#include <string.h>

#define CACHE ((ptrdiff_t)1 << 17) /* bytes of rows in a block */
#define MOST_ROWS 1024
#define GROUP 96 /* queries whose scores of a block are kept at a time, at most */
#define MOST_QUERIES 1024 /* at a time: what all rows are read for once. It bounds the heaps' memory */
/* From this many queries on rows are copied first, as floats that begin on cache lines: a register across two lines is read twice,
 * and a row is converted once instead of once for every few queries. */
#define MANY 16
#define LARGEST 32767.0 /* element of a query in int16 */

typedef struct hit {
    int64_t index;
    double score;
} hit;

/* A query, and what its scores in float are to those in the heap: a score s of a row of scale r stands for anything up to
 * (s + margin) r; times `unit`, that compares with a score in the heap. */
typedef struct query {
    double unit; /* of a score in the heap over one in float */
    float margin;
    int exponent; /* of the power of two that a score in the heap is to be multiplied by */
} query;

typedef struct job {
    const unsigned char *rows;
    const float *scale; /* (n,) or NULL */
    const float *given; /* (m, d) the queries */
    ptrdiff_t n, d, m, k, padded, block, group;
    size_t each, query_each;
    rsk_scan_type type;
    int shift; /* scales are taken times 2^-shift, so that the largest is about one */
    unsigned char *queries; /* (m, padded) as the kernel takes them */
    query *query;           /* (m,) */
    hit *heaps;             /* (workers, m, k) */
    float *scores;          /* (workers, (group + 1) * block): of a group of queries; scales */
    float *unpacked;        /* (workers, block, d up to the next multiple of 16), or NULL where that would not pay */
    rsk_stop *stop;
} job;

/* ---------------------------------------------------------------- heaps */

/* whether a comes after b */
static int after(hit a, hit b) { return a.score < b.score || (a.score == b.score && a.index > b.index); }

/* The last of the first k stands at the root. Moves `x` down from place i. */
static void sift(hit *heap, ptrdiff_t k, ptrdiff_t i, hit x) {
    for (ptrdiff_t child; (child = 2 * i + 1) < k; i = child) {
        if (child + 1 < k && after(heap[child + 1], heap[child])) child++;
        if (!after(heap[child], x)) break;
        heap[i] = heap[child];
    }
    heap[i] = x;
}

static void offer(hit *heap, ptrdiff_t k, hit x) {
    if (after(heap[0], x)) sift(heap, k, 0, x);
}

/* ---------------------------------------------------------------- from scores to heaps */

/* The least score in float with which a row may still enter the heap. What it is compared with, s r + margin |r|, was rounded four
 * times, to 2^-24 of what it was, or to 2^-149 where that is tiny: hence less than exact. */
static float threshold(const job *j, const query *q, const hit *heap) {
    const double least = heap[0].score / q->unit;
    return j->type == RSK_SCAN_I8 ? (float)(least - fabs(least) * 0x1p-22 - 0x1p-140) : (float)least;
}

static void select_from(const job *j, ptrdiff_t at, hit *heap, float *score, const float *scale, ptrdiff_t first, ptrdiff_t count) {
    const query *q = &j->query[at];
    const float margin = q->margin;
    float least = threshold(j, q, heap);
    if (scale)
        for (ptrdiff_t r = 0; r < count; r++) score[r] = score[r] * scale[r] + margin * fabsf(scale[r]);
    else if (margin > 0.0f)
        for (ptrdiff_t r = 0; r < count; r++) score[r] += margin;
    for (ptrdiff_t begin = 0; begin < count; begin += RSK_LANES) {
        const ptrdiff_t end = begin + RSK_LANES < count ? begin + RSK_LANES : count;
        int any = 0; /* no branch a score: this loop runs in vectors */
        if (end - begin == RSK_LANES)
            for (int i = 0; i < RSK_LANES; i++) any |= score[begin + i] >= least;
        else
            any = 1;
        for (ptrdiff_t r = begin; any && r < end; r++) {
            if (!(score[r] >= least)) continue; /* NaN never enters */
            hit x = {first + r, (double)score[r]};
            if (j->type == RSK_SCAN_I8) {
                x.score = rsk_kernels_current()->dot_bytes((const int8_t *)j->rows + x.index * j->d, j->given + at * j->d, j->d);
                if (j->scale) x.score *= (double)j->scale[x.index];
            }
            offer(heap, j->k, x);
            least = threshold(j, q, heap);
        }
    }
}

static ptrdiff_t rounded(ptrdiff_t d) { return (d + RSK_LANES - 1) / RSK_LANES * RSK_LANES; }

static void run(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) {
    const job *j = context;
    hit *heaps = j->heaps + worker * j->m * j->k;
    float *scores = j->scores + worker * j->block * (j->group + 1), *scale = j->scale ? scores + j->group * j->block : NULL;
    const double factor = ldexp(1.0, -j->shift);
    const rsk_kernels *kernels = rsk_kernels_current();
    float *unpacked = j->unpacked ? j->unpacked + worker * j->block * rounded(j->d) : NULL;
    const rsk_scan_type type = unpacked ? RSK_SCAN_F32 : j->type;
    const ptrdiff_t d = unpacked ? rounded(j->d) : j->d;
    for (ptrdiff_t first = begin; first < end; first += j->block) {
        const ptrdiff_t count = end - first < j->block ? end - first : j->block;
        for (ptrdiff_t r = 0; scale && r < count; r++) scale[r] = (float)((double)j->scale[first + r] * factor);
        const void *rows = j->rows + (size_t)(first * j->d) * j->each;
        if (unpacked) {
            kernels->unpack[j->type](unpacked, rows, count, j->d);
            rows = unpacked;
        }
        for (ptrdiff_t q = 0; q < j->m && !rsk_stopped(j->stop, worker); q += j->group) {
            const ptrdiff_t group = j->m - q < j->group ? j->m - q : j->group;
            kernels->dots[type](rows, count, d, j->queries + (size_t)(q * j->padded) * j->query_each, group, j->padded, scores);
            for (ptrdiff_t i = 0; i < group; i++)
                select_from(j, q + i, heaps + (q + i) * j->k, scores + i * count, scale, first, count);
        }
    }
}

/* ---------------------------------------------------------------- queries */

static int exponent_of(const float *x, ptrdiff_t n) { /* of the largest: below 2^that. 0 of zeros */
    double most = 0.0;
    int exponent;
    for (ptrdiff_t i = 0; i < n; i++) most = fabs((double)x[i]) > most ? fabs((double)x[i]) : most;
    (void)frexp(most, &exponent);
    return exponent;
}

/* For rows of int8: int16, times a power of two; and what that may change of a score. */
static void query_of_bytes(const job *j, ptrdiff_t at) {
    const float *x = j->given + at * j->d;
    int16_t *out = (int16_t *)(void *)j->queries + at * j->padded;
    query *q = &j->query[at];
    const int exponent = exponent_of(x, j->d) - 15;
    const double factor = ldexp(1.0, -exponent);
    double error = 0.0, sum = 0.0;
    for (ptrdiff_t i = 0; i < j->d; i++) {
        const double exact = (double)x[i] * factor, near = fmax(-LARGEST, fmin(nearbyint(exact), LARGEST));
        out[i] = (int16_t)near;
        error += fabs(exact - near), sum += fabs(near);
    }
    /* |row| <= 128. The margin itself is rounded, too, as are sums in doubles: by d / 16 + 6 <= 2^21 times 2^-53. */
    q->margin = (float)(128.0 * ((1.0 + 0x1p-20) * error + 0x1p-32 * sum));
    q->unit = ldexp(1.0, exponent + j->shift);
    q->exponent = 0;
}

/* For rows of floats: times a power of two where it is small, so that products are no smaller than need be. */
static void query_of_floats(const job *j, ptrdiff_t at) {
    const float *x = j->given + at * j->d;
    float *out = (float *)(void *)j->queries + at * j->padded;
    const int own = exponent_of(x, j->d), exponent = own < 0 ? own : 0;
    const double factor = ldexp(1.0, -exponent);
    for (ptrdiff_t i = 0; i < j->d; i++) out[i] = (float)((double)x[i] * factor);
    j->query[at] = (query){1.0, 0.0f, exponent + j->shift};
}

/* The heaps of all workers into the first one, and that one in order. */
static void finish(const job *j, int workers, float *scores, int64_t *indices) {
    for (ptrdiff_t q = 0; q < j->m && !rsk_stopped(j->stop, 0); q++) {
        hit *heap = j->heaps + q * j->k;
        for (int w = 1; w < workers; w++)
            for (ptrdiff_t i = 0; i < j->k; i++) offer(heap, j->k, j->heaps[(w * j->m + q) * j->k + i]);
        for (ptrdiff_t left = j->k; left-- > 0;) {
            const hit last = heap[0];
            sift(heap, left, 0, heap[left]);
            scores[q * j->k + left] = (float)ldexp(last.score, j->query[q].exponent);
            indices[q * j->k + left] = last.index == INT64_MAX ? -1 : last.index;
        }
    }
}

/* The queries that j holds. */
static rsk_status scan(const job *j, int workers, float *scores, int64_t *indices) {
    for (ptrdiff_t q = 0; q < j->m && !rsk_stopped(j->stop, 0); q++)
        (j->type == RSK_SCAN_I8 ? query_of_bytes : query_of_floats)(j, q);
    for (ptrdiff_t i = 0; i < workers * j->m * j->k; i++) j->heaps[i] = (hit){INT64_MAX, -INFINITY};
    (void)rsk_parallel_until(j->stop, workers, j->n, j->block, run, (void *)j);
    finish(j, workers, scores, indices);
    return j->stop && j->stop->stopped ? RSK_ESTOP : RSK_OK;
}

rsk_status rsk_scan(rsk_scan_type type, const void *rows, const float *scale, ptrdiff_t n, ptrdiff_t d, const float *queries,
                    ptrdiff_t m, ptrdiff_t k, float *scores, int64_t *indices, int threads, rsk_stop *stop) {
    static const size_t each[] = {sizeof(float), sizeof(uint16_t), sizeof(int8_t), sizeof(uint16_t)};
    if ((int)type < RSK_SCAN_F32 || type > RSK_SCAN_BF16 || !rows || n < 1 || d < 1 || d > RSK_MAX_DIM || m < 0 || k < 1 || k > n ||
        threads < 1 || (m && (!queries || !scores || !indices)))
        return RSK_EINVAL;
    job j = {.rows = rows, .scale = scale, .n = n, .d = d, .k = k, .each = each[type], .type = type, .stop = stop,
             .query_each = type == RSK_SCAN_I8 ? sizeof(int16_t) : sizeof(float)};
    const ptrdiff_t slice = m < MOST_QUERIES ? m : MOST_QUERIES;
    j.shift = scale ? exponent_of(scale, n) : 0;
    j.padded = (d + 31) / 32 * 32 + 32; /* at a power of two, all queries would share a set of the cache */
    j.group = slice < GROUP ? slice : GROUP;
    const int unpack = type != RSK_SCAN_I8 && m >= MANY;
    const ptrdiff_t bytes = unpack ? rounded(d) * (ptrdiff_t)sizeof(float) : d * (ptrdiff_t)each[type]; /* of a row in a block */
    const ptrdiff_t fit = CACHE / bytes / RSK_LANES * RSK_LANES;
    j.block = fit < RSK_LANES ? RSK_LANES : fit > MOST_ROWS ? MOST_ROWS : fit;
    const int workers = rsk_parallel_threads(threads, n, j.block);
    j.query = rsk_alloc(slice, sizeof *j.query);
    j.queries = rsk_calloc(slice * j.padded, j.query_each);
    j.heaps = k <= PTRDIFF_MAX / MOST_QUERIES ? rsk_alloc(slice * k, sizeof *j.heaps * (size_t)workers) : NULL;
    j.scores = rsk_alloc(j.block * (j.group + 1), sizeof *j.scores * (size_t)workers);
    if (unpack) j.unpacked = rsk_alloc(j.block * rounded(d), sizeof *j.unpacked * (size_t)workers);
    rsk_status status = j.query && j.queries && j.heaps && j.scores && (j.unpacked || !unpack) ? RSK_OK : RSK_ENOMEM;
    for (ptrdiff_t first = 0; status == RSK_OK && first < m; first += slice) {
        j.m = m - first < slice ? m - first : slice;
        j.given = queries + first * d;
        status = scan(&j, workers, scores + first * k, indices + first * k);
    }
    rsk_free(j.query);
    rsk_free(j.queries);
    rsk_free(j.heaps);
    rsk_free(j.scores);
    rsk_free(j.unpacked);
    return status;
}
