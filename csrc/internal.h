/* Private to csrc: the kernel table, the rotation families, and the structures behind the opaque types.
 * Layers: solve -> pursuit -> linear -> sweep -> plan, spec -> rotation families, embedding -> kernel table -> kernels/. */
#ifndef RSK_INTERNAL_H
#define RSK_INTERNAL_H

#include "recsketch.h"

#if defined(__GNUC__) || defined(__clang__)
#define RSK_RESTRICT __restrict__
#else
#define RSK_RESTRICT __restrict
#endif

#if defined(__GNUC__) || defined(__clang__)
#define RSK_PREFETCH(p) __builtin_prefetch(p)
#else
#define RSK_PREFETCH(p) ((void)(p))
#endif

/* Everything is computed in blocks of 16 floats (docs/design.md section 5); d and a' are multiples of it. */
#define RSK_LANES 16

/* ---------------------------------------------------------------- memory.c */

/* size elements of `each` bytes, 64-byte aligned, not cleared; NULL if that overflows or memory is short. size 0 gives a
 * pointer that may be freed. */
void *rsk_alloc(ptrdiff_t size, size_t each);
void *rsk_calloc(ptrdiff_t size, size_t each);
void rsk_free(void *p);

/* ---------------------------------------------------------------- the kernel table */

/* One skew transparent operator in a kernel's hands: out[k] = c x[k] + s (-1)^bit_k x[k ^ mask]. */
typedef struct rsk_turn {
    ptrdiff_t mask;
    const uint16_t *bits; /* one word a block of 16 */
    double c, s;          /* rounded to float by the float kernels */
} rsk_turn;

/* An embedded object, seen through T_attr: out[k] = ±rows[0][k mod width] ± rows[1][k mod width] ± counter[0] ± counter[1].
 * terms 1 leaves out every second one. */
typedef struct rsk_spread {
    ptrdiff_t width;
    int terms;
    const uint16_t *bits[2], *counter_bits[2];
    const uint32_t *counter_pairs; /* both rows of counter_bits, bit by bit in turn; with two terms only */
} rsk_spread;

/* factor S_t H S_(t-1) ... H S_0, t = times: S_i the signs of bits[i], one word a block of 16, NULL for none; H unnormalised.
 * times 1: stages in ascending order. times 3: those of the second H in descending order; bits[1] and bits[2] are not NULL. */
typedef struct rsk_transform {
    int times;
    const uint16_t *bits[4];
    double factor; /* rounded to float by the float kernel */
} rsk_transform;

/* What an instruction set must implement. n and d are multiples of 16; pointers need no alignment; arrays do not overlap
 * unless said. Bits are the same for every implementation. */
typedef struct rsk_kernels {
    const char *name;
    /* unnormalised Walsh-Hadamard transform in place, n a power of two >= 16, stages in ascending order */
    void (*fwht_f32)(float *x, ptrdiff_t n);
    void (*fwht_f64)(double *x, ptrdiff_t n);
    /* out (n) = the transform of [in; 0], in of `length` <= n elements; in may be out. next: n elements that will be needed soon,
     * or NULL */
    void (*transform_f32)(float *out, const float *in, ptrdiff_t length, ptrdiff_t n, const rsk_transform *t,
                          const float *next);
    void (*transform_f64)(double *out, const double *in, ptrdiff_t length, ptrdiff_t n, const rsk_transform *t,
                          const double *next);
    /* out = f * (x with signs); out may be x */
    void (*flip_f32)(float *out, const float *x, ptrdiff_t n, const uint16_t *bits, float f);
    void (*flip_f64)(double *out, const double *x, ptrdiff_t n, const uint16_t *bits, double f);
    /* out (+)= c x + s (y with signs); out may be x */
    void (*blend_f32)(float *out, const float *x, const float *y, ptrdiff_t n, const uint16_t *bits, float c, float s,
                      int accumulate);
    void (*blend_f64)(double *out, const double *x, const double *y, ptrdiff_t n, const uint16_t *bits, double c, double s,
                      int accumulate);
    void (*widen)(double *out, const float *x, ptrdiff_t n);
    void (*narrow)(float *out, const double *x, ptrdiff_t n);
    /* a = f x, b[k] = g x[k ^ mask] */
    void (*split_f32)(float *a, float *b, const float *x, ptrdiff_t n, ptrdiff_t mask, float f, float g);
    void (*split_f64)(double *a, double *b, const double *x, ptrdiff_t n, ptrdiff_t mask, double f, double g);
    /* out = f a + g b[k ^ mask]: the transpose of split */
    void (*join)(float *out, const float *a, const float *b, ptrdiff_t n, ptrdiff_t mask, float f, float g);
    /* out (+)= turn x */
    void (*rotate_f32)(float *out, const float *x, ptrdiff_t d, const rsk_turn *turn, int accumulate);
    void (*rotate_f64)(double *out, const double *x, ptrdiff_t d, const rsk_turn *turn, int accumulate);
    /* out (+)= second first x; of their masks what is above the 16 lanes of a block is neither 0 nor the same */
    void (*rotate2_f32)(float *out, const float *x, ptrdiff_t d, const rsk_turn *first, const rsk_turn *second, int accumulate);
    void (*rotate2_f64)(double *out, const double *x, ptrdiff_t d, const rsk_turn *first, const rsk_turn *second,
                        int accumulate);
    /* rsk_spread above */
    void (*spread)(float *out, ptrdiff_t d, const rsk_spread *shape, const float *const rows[2], const float counter[2]);
    /* rsk_spread + extra, in doubles; extra may be NULL */
    void (*spread_wide)(double *out, ptrdiff_t d, const rsk_spread *shape, const double *const rows[2], const float counter[2],
                        const float *extra);
    /* the transpose of spread: rows[t][j] = sum of ±x[k], k mod width = j; counter[t] = sum of ±x[k]. width <= d */
    void (*collect)(const float *x, ptrdiff_t d, const rsk_spread *shape, float *const rows[2], float counter[2]);
    /* sum of +-y[k], the signs a column's bits */
    double (*signs_dot)(const double *y, const uint16_t *bits, ptrdiff_t n);
    /* out = y - the sum of coef[j] times column j of signs, whose words begin at bits + j * words */
    void (*signs_subtract)(double *out, const double *y, ptrdiff_t n, const uint16_t *bits, ptrdiff_t words, const double *coef,
                           ptrdiff_t count);
    /* index of the first largest |x[k]|; with bits, of the first largest +-x[k]. x has no NaN */
    ptrdiff_t (*peak)(const float *x, ptrdiff_t n, const uint16_t *bits);
    /* out[q n + r] = row r times query q, by the type of the rows (rsk_scan_type): n rows of d elements, d any size; m queries
     * of float, or int16 for rows of int8, `padded` elements apart, zeros from d on; padded is a multiple of 32 */
    void (*dots[3])(const void *rows, ptrdiff_t n, ptrdiff_t d, const void *queries, ptrdiff_t m, ptrdiff_t padded, float *out);
    /* table (width, 16) = the hashed 16 rows of x (16, length), one lane a row; the entries are those of rsk_hashing */
    void (*hash_f32)(float *table, ptrdiff_t width, const float *x, ptrdiff_t length, const uint32_t *entries,
                     ptrdiff_t nonzeros);
    void (*hash_f64)(double *table, ptrdiff_t width, const double *x, ptrdiff_t length, const uint32_t *entries,
                     ptrdiff_t nonzeros);
    /* out (16, width) = f times the transposed table */
    void (*untable_f32)(float *out, ptrdiff_t width, const float *table, float f);
    void (*untable_f64)(double *out, ptrdiff_t width, const double *table, double f);
    /* tensor sketches of the first rows, as many at once as a register has lanes; returns how many. The rest, less than half as many,
     * is quicker one by one. used >= 16; work is 16 degree padded elements */
    ptrdiff_t (*tensor_f32)(const rsk_tensor *t, const float *x, ptrdiff_t rows, float *out, float *work);
    ptrdiff_t (*tensor_f64)(const rsk_tensor *t, const double *x, ptrdiff_t rows, double *out, double *work);
} rsk_kernels;

extern const rsk_kernels rsk_kernels_portable;
extern const rsk_kernels rsk_kernels_avx2;
extern const rsk_kernels rsk_kernels_avx512;
extern const rsk_kernels rsk_kernels_neon;

const rsk_kernels *rsk_kernels_current(void);

/* What the CPU and its operating system offer (cpu.c). */
int rsk_cpu_has_avx2(void);
int rsk_cpu_has_avx512(void);

/* ---------------------------------------------------------------- threads.c */

/* Calls task(context, worker, begin, end) over [0, n) in chunks, on at most `threads` threads; worker < threads says whose
 * scratch to use. Chunks are handed out in no fixed order: results must not depend on it. */
typedef void rsk_task(void *context, int worker, ptrdiff_t begin, ptrdiff_t end);
void rsk_parallel(int threads, ptrdiff_t n, ptrdiff_t chunk, rsk_task *task, void *context);
/* How many threads rsk_parallel will use at most: bounded by OpenMP, by n / chunk and by being a forked child. */
int rsk_parallel_threads(int threads, ptrdiff_t n, ptrdiff_t chunk);

/* ---------------------------------------------------------------- rotation families */

/* One sampled rotation: rows of d sign bits, and what else its family needs. */
typedef struct rsk_rotation {
    uint16_t *bits[2];
    ptrdiff_t mask;
} rsk_rotation;

typedef struct rsk_module rsk_module;

/* The seam for a new rotation: one file that fills this table, one line in rotation.c.
 * All take T = c I + s R; transpose asks for c I + s R^T. out does not overlap x. scratch is 2 d elements. */
typedef struct rsk_family {
    const char *name;
    int rows; /* sign rows a rotation, 1 or 2 */
    rsk_status (*sample)(uint64_t seed, uint64_t stream, ptrdiff_t d, rsk_rotation *rotation);
    /* out[k] = the sign of (R s)[k] for a vector of signs s, where R s is one again; NULL where it is not. With it T E_M x is
     * two terms of rsk_spread, without it one and an operator */
    void (*turn_signs)(const rsk_rotation *rotation, const uint16_t *signs, uint16_t *out, ptrdiff_t d);
    /* out (+)= f T x. wide: in doubles */
    void (*apply)(const rsk_spec *spec, const rsk_rotation *rotation, double f, int transpose, const float *x, float *out,
                  int accumulate, float *scratch);
    void (*apply_wide)(const rsk_spec *spec, const rsk_rotation *rotation, double f, const double *x, double *out,
                       int accumulate, double *scratch);
    /* out (+)= f T_second T_first x; with transpose f T_second^T T_first^T x */
    void (*chain)(const rsk_spec *spec, const rsk_rotation *first, const rsk_rotation *second, double f, int transpose,
                  const float *x, float *out, int accumulate, float *scratch);
    void (*chain_wide)(const rsk_spec *spec, const rsk_rotation *first, const rsk_rotation *second, double f, const double *x,
                       double *out, int accumulate, double *scratch);
    /* out = T_attr (f E_M x + counter c_M), x from rsk_embed_begin. work is 2 max(a', d) elements */
    void (*emit)(const rsk_spec *spec, const rsk_module *module, double f, float counter, const double *x, float *out,
                 float *work, float *scratch);
    /* the same in doubles, plus extra, which may be NULL */
    void (*emit_wide)(const rsk_spec *spec, const rsk_module *module, double f, float counter, const double *x,
                      const float *extra, double *out, double *work, double *scratch);
    /* the transpose of emit: x = f E_M^T T_attr^T y, ready for rsk_embed_end; *counter = f_counter c_M^T T_attr^T y */
    void (*absorb)(const rsk_spec *spec, const rsk_module *module, float f, float f_counter, const float *y, float *x,
                   float *counter, float *work, float *scratch);
} rsk_family;

extern const rsk_family rsk_family_skew;
extern const rsk_family rsk_family_hadamard;
const rsk_family *rsk_family_find(const char *name);

/* ---------------------------------------------------------------- spec.c */

struct rsk_module {
    ptrdiff_t length, padded; /* a, a' */
    double scale;
    uint16_t *inner; /* D1, a' bits */
    uint16_t *outer; /* D2, max(a', d) bits */
    uint16_t *counter;
    rsk_spread spread;
    rsk_rotation rotation;
};

struct rsk_spec {
    ptrdiff_t dim, modules, max_inputs, max_padded, max_length;
    double cosine, sine, gain, branch;
    int energy;
    const rsk_family *family;
    rsk_rotation *positions;
    rsk_rotation attr, in;
    rsk_module *module;
    uint16_t *zeros;     /* d sign bits, none set */
    unsigned char *pool; /* all sign rows */
    ptrdiff_t bytes;
};

/* Packed sign words of 16, from 32-bit random words. */
rsk_status rsk_stream_signs(uint64_t seed, uint64_t stream, uint32_t part, ptrdiff_t bits, uint16_t *out);
static inline ptrdiff_t rsk_highest_bit(ptrdiff_t x) {
    while (x & (x - 1)) x &= x - 1;
    return x;
}
/* Whether there is a transform of n numbers. */
static inline int rsk_is_order(ptrdiff_t n) { return n >= RSK_LANES && n <= RSK_MAX_DIM && !(n & (n - 1)); }
static inline int rsk_sign_bit(const uint16_t *bits, ptrdiff_t k) { return (bits[k >> 4] >> (k & 15)) & 1; }

/* ---------------------------------------------------------------- embedding.c */

/* x (length) -> h = [fold] H D1 [x; 0], ready for emit; 0 if an element is NaN or too large, else 1.
 * In doubles: the log2(a') roundings would be half of all that a sketch suffers. */
int rsk_embed_begin(const rsk_spec *spec, const rsk_module *module, const float *x, double *h);
/* The transpose: h -> x. Overwrites h. */
void rsk_embed_end(const rsk_spec *spec, const rsk_module *module, float *h, float *x);
/* 1 / sqrt(d), or 1 / sqrt(a') where the attribute is folded. */
double rsk_embed_norm(const rsk_spec *spec, const rsk_module *module);

/* ---------------------------------------------------------------- hadamard.c */

/* A = P H D / sqrt(m): m rows of the Sylvester-Hadamard matrix of order n, columns with random signs. Solvers see
 * B = sqrt(m) A, whose columns are signs: the bits of column j are the planes of j's set bits, exclusive or. */
struct rsk_hadamard {
    ptrdiff_t n, m, words; /* words of 16 bits a column */
    int32_t *rows;         /* (m,) ascending */
    uint16_t *signs;       /* n bits */
    uint16_t *planes;      /* (log2 n, words): bit b of every row's number */
    float *gram;           /* (n,) sum over the rows of (-1)^popcount(row & k): exact */
};

/* out = (B^T r) but for the signs of the columns, in float32. */
void rsk_hadamard_correlate(const rsk_hadamard *h, const double *r, float *out);
void rsk_hadamard_column(const rsk_hadamard *h, ptrdiff_t j, uint16_t *bits);
/* Entry (i, j) of B^T B. */
static inline double rsk_hadamard_gram(const rsk_hadamard *h, ptrdiff_t i, ptrdiff_t j) {
    const double g = (double)h->gram[i ^ j];
    return rsk_sign_bit(h->signs, i) != rsk_sign_bit(h->signs, j) ? -g : g;
}

/* ---------------------------------------------------------------- plan.c */

enum { RSK_STEP_OBJECT, RSK_STEP_STORE, RSK_STEP_USE };
enum { RSK_FIRST = 1, RSK_LAST = 2, RSK_WIDE_SRC = 4, RSK_WIDE_DST = 8 };

/* One step of a trace's program, run forwards by the forward sweep and backwards by the adjoint:
 *   OBJECT  dst (+)= weight T_position s_object,   s_object = T_M(b T_attr z + b T_in src)
 *   STORE   dst    = s_object, of an object used more than once
 *   USE     dst (+)= weight T_position src, src a stored object
 * dst -1 is the sketch; src -1 is no input. FIRST: dst is set, not added to. LAST: the last use of src.
 *
 * WIDE_SRC, WIDE_DST: that vector is one of doubles in the forward sweep, and counted on its own. Objects with inputs, and
 * tuples that have one among their members, are wide: rounding then hardly grows with depth, while the leaves, which are
 * most of a tree, stay in floats (docs/design.md, section 5). */
typedef struct rsk_step {
    int32_t object, module, position, src, dst;
    float weight;
    uint8_t kind, flags;
} rsk_step;

struct rsk_plan {
    const rsk_spec *spec; /* whose plan it is; compared, not read */
    ptrdiff_t traces, vectors, wide_vectors; /* of the neediest trace */
    int64_t *objects;        /* (traces + 1,) */
    int64_t *attribute_ends; /* (N + 1,) */
    int64_t *begin;          /* (traces,) of steps */
    int32_t *count;          /* (traces,) of steps */
    int32_t *module, *uses;  /* (N,) */
    double *amplitude;       /* (N,) */
    rsk_step *steps;
};

/* ---------------------------------------------------------------- sweep.c */

/* Scratch of one worker. */
typedef struct rsk_scratch {
    unsigned char *base; /* what is freed */
    ptrdiff_t stride;    /* between slots, in elements */
    float *slots;        /* vectors of the plan */
    double *wide_slots;  /* and its wide ones; d floats each in the adjoint sweep */
    float *object;       /* d */
    float *spare;        /* 2 d, a family's scratch */
    float *padded;       /* max(max_padded, d) */
    float *work;         /* two of those */
    double *wide_padded; /* the same in doubles */
    double *wide_work;
    double *wide_root;   /* d, the outputs' tuple if that is wide */
    double *wide_object, *wide_source; /* d each */
    double *wide_spare;  /* 2 d */
} rsk_scratch;

/* scratch[0..workers) for the sweeps of a plan; NULL if memory is short. */
rsk_scratch *rsk_scratch_create(const rsk_spec *spec, const rsk_plan *plan, int workers);
void rsk_scratch_free(rsk_scratch *scratch, int workers);

/* One trace. attributes and counters are that trace's part of the batch's arrays; counters NULL takes `counter` for every
 * object. The forward sweep returns the number of an object with a bad attribute, or -1. */
ptrdiff_t rsk_forward_trace(const rsk_spec *spec, const rsk_plan *plan, ptrdiff_t trace, const float *attributes,
                            const float *counters, float counter, float *out, rsk_scratch *scratch);
void rsk_adjoint_trace(const rsk_spec *spec, const rsk_plan *plan, ptrdiff_t trace, const float *y, float *attributes,
                       float *counters, rsk_scratch *scratch);

/* ---------------------------------------------------------------- tree.c */

typedef struct rsk_node {
    int32_t parent, position, module, depth; /* parent -1: an output, of depth 0 */
    double own, evidence;                    /* nats, for the node by itself, and with all below it */
} rsk_node;

/* A plan of one trace that grows: nodes stand after their parents, weights are 1, so that an object's unknowns are its parts
 * times the weights of its path. */
typedef struct rsk_tree {
    const rsk_spec *spec;
    ptrdiff_t count, capacity;
    rsk_node *node;
    rsk_plan plan;
    int32_t *order; /* child (capacity + 1): the first of node i - 1 (0: of the outputs); next (capacity); a stack */
} rsk_tree;

int rsk_tree_create(const rsk_spec *spec, ptrdiff_t capacity, ptrdiff_t depth, rsk_tree *tree); /* 0: no memory */
void rsk_tree_free(rsk_tree *tree);
void rsk_tree_clear(rsk_tree *tree);
/* Amplitude of an output of weight 1, and that of an input over its user's. */
double rsk_tree_root(const rsk_spec *spec);
double rsk_tree_share(const rsk_spec *spec);
/* The counters of a tuple's members are known in sum: their parts (squares; with linear weighting themselves) add up to the
 * whole that the counter of its owner tells; root: the amplitude of the outputs' tuple (p -1). */
double rsk_tree_part(const rsk_spec *spec, double counter);
double rsk_tree_whole(const rsk_tree *tree, ptrdiff_t p, const double *counter, double root);
void rsk_tree_add(rsk_tree *tree, int32_t parent, int32_t position, int32_t module);
/* Removes the nodes that drop marks, and all below them; moved[i] = the new number of node i, or -1. */
void rsk_tree_prune(rsk_tree *tree, uint8_t *drop, int32_t *moved);
/* Writes the plan's steps and `order`. */
void rsk_tree_program(rsk_tree *tree);

/* ---------------------------------------------------------------- linear.c */

/* Sixteen interleaved sums, folded in one order: the same bits however it is compiled. */
double rsk_dot(const double *a, const double *b, ptrdiff_t n);

/* One trace's map as solvers see it: n = attributes + counters unknowns, in the order of the plan's columns. */
typedef struct rsk_linear {
    const rsk_spec *spec;
    const rsk_plan *plan;
    ptrdiff_t trace;
    const uint8_t *mask;           /* (d,) 0: erased; NULL: none */
    ptrdiff_t attributes, counters; /* unknown attribute elements; then one counter an object, or 0: counters are known */
    double *scale;                 /* (n,) an unknown is scale times the solvers' variable, which has a column of norm one;
                                    * 0: not an unknown */
    float *input, *image;          /* (n,), (d,) */
    rsk_scratch *scratch;
} rsk_linear;

/* image = mask (A input), known counters being `counter`; 0 if an input was out of range. */
int rsk_linear_forward(const rsk_linear *map, float counter);
/* g = scale A^T r. r is zero where erased. Overwrites input and image. */
void rsk_linear_adjoint(const rsk_linear *map, const double *r, double *g);

/* Of |g|^2 / |r|^2, what a gradient of float32 sweeps no longer tells: a sweep rounds by about 1e-7 |r| in a direction of its own,
 * 1e-7 / sqrt(d) along a column; five times that. Iterations beyond it go astray. */
double rsk_linear_resolution(const rsk_linear *map);

/* min |r0 - A scale (u - u0)|^2 + sum damping u^2. damping NULL: none. */
typedef struct rsk_cgls_work {
    double *r;    /* (d,) in and out: the residual at u */
    double *u;    /* (n,) in and out */
    double *g;    /* (n,) in and out: the gradient scale A^T r - damping u */
    double *p;    /* (n,) */
    double *wide; /* (d,) */
    /* z = M g, M symmetric and near the inverse of scale A^T A scale + damping; NULL: M is the identity, z is not used */
    void (*precondition)(const void *context, const double *g, double *z);
    const void *context;
    double *z; /* (n,) */
} rsk_cgls_work;

/* Iterates until |g|^2 <= goal or |g|^2 <= relative |r|^2, `most` times at most; returns how often. */
int rsk_cgls(const rsk_linear *map, const rsk_cgls_work *work, const double *damping, double goal, double relative, int most);

/* ---------------------------------------------------------------- detect.c */

#define RSK_WINDOW 256 /* positions of a tuple that are looked at; fewer, but 16, if their scores were more than this: */
#define RSK_WINDOW_FLOATS ((ptrdiff_t)1 << 24)

/* New inputs of one object: count modules from modules[first] on, from `position` on; or, where that is taken, another one. */
typedef struct rsk_proposal {
    int32_t parent, position, count, first;
    double score, amplitude; /* nats; of one member, expected */
} rsk_proposal;

typedef struct rsk_detector {
    const rsk_spec *spec;
    ptrdiff_t capacity, window;
    /* set by the caller for each call */
    const uint8_t *allowed; /* (modules + 1, modules): which module may be an input of which; the last row: an output */
    const double *counter;  /* of the tree's nodes, fitted */
    const double *rho2;     /* (modules,) mean square norm of a module's attributes */
    double share;           /* of the coordinates, kept */
    double noise, shrink;   /* of a column's score: its standard deviation; its mean over the amplitude */
    double threshold, root; /* least score of a proposal; amplitude of the outputs' tuple, 1 without a mask */
    ptrdiff_t max_depth;
    /* results */
    ptrdiff_t proposals, used;
    rsk_proposal *proposal;
    int32_t *modules;
    /* scratch */
    float *below, *object, *spare, *padded, *work, *scores;
    double *z, *e, *like, *seen;
    int32_t *taken, *child_at, *path;
} rsk_detector;

int rsk_detector_create(const rsk_spec *spec, ptrdiff_t capacity, ptrdiff_t depth, rsk_detector *detector);
void rsk_detector_free(rsk_detector *detector);
/* All proposals that a residual supports. tree has a program. */
void rsk_detect(rsk_detector *detector, const rsk_tree *tree, const float *residual);
/* The log-likelihood ratio of an object, from its scores in units of the noise. */
double rsk_likelihood(double z, double e, double length, double alpha, double rho2);

/* ---------------------------------------------------------------- fit.c */

/* The objects of a tree, fitted jointly to one sketch. An object's unknowns are its attribute and its counter, times the
 * amplitude: x and c, whose columns have norm one on the kept coordinates. */
typedef struct rsk_fit {
    const rsk_spec *spec;
    rsk_tree tree;
    rsk_linear map;
    rsk_cgls_work work;                 /* work.r: the residual */
    int sparse, nonnegative;            /* attributes are mostly zero; their elements are never negative */
    ptrdiff_t nonzeros;                 /* of a sparse attribute, expected; 0: not known */
    ptrdiff_t capacity, room;           /* objects, unknowns that there is memory for */
    ptrdiff_t kept, iterations;
    double energy, floor, noise2, root; /* |mask s|^2; what of |r|^2 rounding may leave; the sketch's own error, squared, a
                                         * coordinate; amplitude of the outputs' tuple */
    double square, spread, shrink;      /* |r|^2; standard error of a fitted column; 1 - degrees of freedom / kept */
    double missing;                     /* energy of what was not found; a part of it is in the fit, the rest in |r|^2 */
    double norm2;                       /* of attributes of which nothing is known, squared */
    double *s;                          /* (d,) */
    double *x, *damping, *prior, *scale; /* (room,) elements; what they were damped by; their variance before the sketch is seen;
                                          * the map's scale */
    double *c, *alpha, *error;          /* (capacity,) counter; likeliest amplitude; standard error of c, and of x undamped: of the answer,
                                          * before that what c is taken for where its inputs are looked for */
    double *rho2, *rate;                /* (modules,) mean square norm of an attribute; share of its elements that are not zero */
    uint8_t *drop;                      /* (capacity,) marks for rsk_fit_remove */
    int32_t *moved;
} rsk_fit;

#define RSK_CLEAR 6.0      /* errors at which a counter is told from none for sure */
#define RSK_SPARSE_ROOM 12 /* unknowns a coordinate that there is memory for where attributes are sparse */
int rsk_fit_create(const rsk_spec *spec, const rsk_unroll_params *params, rsk_fit *fit); /* 0: no memory */
void rsk_fit_free(rsk_fit *fit);
/* Starts with a sketch and no objects; 0 if a kept coordinate is no number. noise: its error, a coordinate. */
int rsk_fit_load(rsk_fit *fit, const float *sketch, const uint8_t *mask, double noise);
ptrdiff_t rsk_fit_unknowns(const rsk_fit *fit);
/* The caller sees to it that there is room: count < capacity, unknowns <= room. */
void rsk_fit_add(rsk_fit *fit, int32_t parent, int32_t position, int32_t module, double amplitude);
/* Removes what drop marks, and all below it. */
void rsk_fit_remove(rsk_fit *fit);
/* Fits all from where they are, until |g|^2 <= tolerance |r|^2 unknowns / kept. damping: 1, less to run ahead of a residual
 * that falls; 0: least squares, |g|^2 down by 1e-4: the last digits of what is nearly there. */
void rsk_fit_solve(rsk_fit *fit, double damping, double tolerance);
/* An element as it would be without damping: A^T r = damping x, and one more column would see A^T r = shrink times what it adds. */
double rsk_fit_free_element(const rsk_fit *fit, int64_t k);
/* Whether an element is likelier not zero than zero; always where attributes are dense. */
int rsk_fit_in_support(const rsk_fit *fit, int64_t k);
/* Whether nothing can be missing: the residual is about that of rounding, or of the sketch's own error. */
int rsk_fit_clean(const rsk_fit *fit);
/* The map of the objects there are: its scales and damping. */
void rsk_fit_prepare(rsk_fit *fit, double damping);
/* square, spread and shrink, of the residual. A prior of variance tau^2 shrinks an element by tau^2 / (tau^2 + spread^2);
 * for a random operator spread^2 = |r|^2 / kept / shrink^2, and 1 - shrink is the sum of all those factors over kept. */
void rsk_fit_gauge(rsk_fit *fit);
/* Evidence of every object and all below it, less cost each. Marks what the tuples are better off without: of each tuple, the
 * positions behind the prefix of largest evidence. Returns the number of marks. */
ptrdiff_t rsk_fit_judge(rsk_fit *fit, double cost);
/* rho2, from the objects that are clearly there. */
void rsk_fit_norms(rsk_fit *fit);

/* ---------------------------------------------------------------- doubt.c */

/* error and missing, for a fit that may have left things out. spare: 2 (d + room + capacity) doubles. */
void rsk_fit_doubt(rsk_fit *fit, const uint8_t *allowed, ptrdiff_t max_depth, double *spare);

/* ---------------------------------------------------------------- pursuit.c */

/* What is sought, and memory for the search. */
typedef struct rsk_pursuit {
    ptrdiff_t most, each; /* non-zero attribute elements, of all and of one object; 0: as many as stand out of the noise */
    int nonnegative;      /* attribute elements are >= 0: steers the search, what it returns is not clipped */
    ptrdiff_t kept;       /* coordinates */
    double noise;         /* norm of what the kept part of s carries beside A x */
    double *scale;        /* (n,) out: the map's scale as it was */
    double *y, *best;     /* (n,) */
    double *a;            /* (attributes,) */
} rsk_pursuit;

/* Sparse u with |s - mask A scale u| as small as can be, from nothing. s is (d,), zero where erased. Known counters are 1,
 * unknown ones always in. Uses all of work and all of map. On return map->scale is 0 outside the support, work->u is the
 * solution, rough (see rsk_cgls for the last digits), and 0 there. Returns the iterations of CGLS, `most` at most. */
int rsk_pursue(const rsk_linear *map, const rsk_cgls_work *work, const rsk_pursuit *pursuit, const double *s, int most);

#endif
