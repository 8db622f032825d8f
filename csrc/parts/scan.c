/* The k rows of largest inner product with each of many queries: blocks of rows that stay in cache while all queries pass, and
 * one heap a query and thread. Heaps hold the first k of a total order (score, then index), so that it does not matter which
 * thread saw which rows. */
#include "parts/parts.h"

#include <math.h>
#include <string.h>

#define CACHE ((ptrdiff_t)1 << 17) /* bytes of rows in a block */
#define MOST_ROWS 1024
#define GROUP 96 /* queries whose scores of a block are kept at a time, at most */

typedef struct hit {
    int64_t index;
    float score;
} hit;

typedef struct job {
    const unsigned char *rows;
    const float *scale;
    ptrdiff_t n, d, m, k, padded, block, group;
    size_t each, query_each;
    rsk_scan_type type;
    const unsigned char *queries;
    const float *query_scale; /* (m,) or NULL */
    hit *heaps;               /* (workers, m, k) */
    float *scores;            /* (workers, group * block) */
} job;

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

static void select_from(const job *j, ptrdiff_t q, hit *heap, float *score, ptrdiff_t first, ptrdiff_t count) {
    if (j->query_scale)
        for (ptrdiff_t r = 0; r < count; r++) score[r] *= j->query_scale[q];
    if (j->scale)
        for (ptrdiff_t r = 0; r < count; r++) score[r] *= j->scale[first + r];
    ptrdiff_t r = 0;
    for (; r + RSK_LANES <= count; r += RSK_LANES) {
        const float least = heap[0].score;
        int any = 0; /* no branch a score: this loop runs in vectors */
        for (int i = 0; i < RSK_LANES; i++) any |= score[r + i] >= least;
        for (int i = 0; any && i < RSK_LANES; i++) {
            const hit x = {first + r + i, score[r + i]};
            if (x.score >= heap[0].score) offer(heap, j->k, x); /* not NaN */
        }
    }
    for (; r < count; r++) {
        const hit x = {first + r, score[r]};
        if (x.score >= heap[0].score) offer(heap, j->k, x);
    }
}

static void run(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) {
    const job *j = context;
    hit *heaps = j->heaps + worker * j->m * j->k;
    float *scores = j->scores + worker * j->block * j->group;
    for (ptrdiff_t first = begin; first < end; first += j->block) {
        const ptrdiff_t count = end - first < j->block ? end - first : j->block;
        for (ptrdiff_t q = 0; q < j->m; q += j->group) {
            const ptrdiff_t group = j->m - q < j->group ? j->m - q : j->group;
            rsk_kernels_current()->dots[j->type](j->rows + (size_t)(first * j->d) * j->each, count, j->d,
                                                 j->queries + (size_t)(q * j->padded) * j->query_each, group, j->padded, scores);
            for (ptrdiff_t i = 0; i < group; i++)
                select_from(j, q + i, heaps + (q + i) * j->k, scores + i * count, first, count);
        }
    }
}

/* To int16, the largest element to +-32767, ties to even. */
static void quantize(const float *x, ptrdiff_t d, int16_t *out, float *scale) {
    double most = 0.0;
    for (ptrdiff_t i = 0; i < d; i++) most = fabs((double)x[i]) > most ? fabs((double)x[i]) : most;
    for (ptrdiff_t i = 0; i < d; i++) out[i] = (int16_t)(most > 0.0 ? nearbyint((double)x[i] / most * 32767.0) : 0.0);
    *scale = (float)(most / 32767.0);
}

/* The heaps of all workers into the first one, and that one in order. */
static void finish(const job *j, int workers, float *scores, int64_t *indices) {
    for (ptrdiff_t q = 0; q < j->m; q++) {
        hit *heap = j->heaps + q * j->k;
        for (int w = 1; w < workers; w++)
            for (ptrdiff_t i = 0; i < j->k; i++) offer(heap, j->k, j->heaps[(w * j->m + q) * j->k + i]);
        for (ptrdiff_t left = j->k; left-- > 0;) {
            const hit last = heap[0];
            sift(heap, left, 0, heap[left]);
            scores[q * j->k + left] = last.score;
            indices[q * j->k + left] = last.index == INT64_MAX ? -1 : last.index;
        }
    }
}

rsk_status rsk_scan(rsk_scan_type type, const void *rows, const float *scale, ptrdiff_t n, ptrdiff_t d, const float *queries,
                    ptrdiff_t m, ptrdiff_t k, float *scores, int64_t *indices, int threads) {
    if ((type != RSK_SCAN_F32 && type != RSK_SCAN_F16 && type != RSK_SCAN_I8) || n < 1 || d < 1 || d > RSK_MAX_DIM || m < 0 ||
        k < 1 || k > n || threads < 1)
        return RSK_EINVAL;
    if (m == 0) return RSK_OK;
    static const size_t each[3] = {4, 2, 1};
    job j = {.rows = rows, .scale = scale, .n = n, .d = d, .m = m, .k = k, .padded = (d + 31) / 32 * 32, .each = each[type],
             .query_each = type == RSK_SCAN_I8 ? sizeof(int16_t) : sizeof(float), .type = type};
    j.group = m < GROUP ? m : GROUP;
    j.padded += 32; /* at a power of two, all queries would share a set of the cache */
    const ptrdiff_t fit = CACHE / (d * (ptrdiff_t)each[type]) / RSK_LANES * RSK_LANES;
    j.block = fit < RSK_LANES ? RSK_LANES : fit > MOST_ROWS ? MOST_ROWS : fit;
    const int workers = rsk_parallel_threads(threads, n, j.block);
    rsk_status status = RSK_ENOMEM;
    float *query_scale = rsk_alloc(m, sizeof *query_scale);
    unsigned char *packed = m <= PTRDIFF_MAX / j.padded ? rsk_calloc(m * j.padded, j.query_each) : NULL;
    const int fits = m <= PTRDIFF_MAX / k && m * k <= (ptrdiff_t)1 << 40;
    j.heaps = fits ? rsk_alloc(m * k, sizeof *j.heaps * (size_t)workers) : NULL;
    j.scores = rsk_alloc(j.block * j.group, sizeof *j.scores * (size_t)workers);
    if (query_scale && packed && j.heaps && j.scores) {
        for (ptrdiff_t q = 0; q < m; q++) {
            if (type == RSK_SCAN_I8) quantize(queries + q * d, d, (int16_t *)(void *)packed + q * j.padded, query_scale + q);
            else memcpy((float *)(void *)packed + q * j.padded, queries + q * d, sizeof *queries * (size_t)d);
        }
        for (ptrdiff_t i = 0; i < workers * m * k; i++) j.heaps[i] = (hit){INT64_MAX, -INFINITY};
        j.queries = packed;
        j.query_scale = type == RSK_SCAN_I8 ? query_scale : NULL;
        rsk_parallel(workers, n, j.block, run, &j);
        finish(&j, workers, scores, indices);
        status = RSK_OK;
    }
    rsk_free(query_scale);
    rsk_free(packed);
    rsk_free(j.heaps);
    rsk_free(j.scores);
    return status;
}
