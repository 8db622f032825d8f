/* recsketch: recursive sketches of modular networks. The one public C header; it states every contract.
 *
 * Random bits and formats: docs/format.md. Mathematics: docs/method.md. Sketches are float32. Sizes are ptrdiff_t. Arrays are in C order, their shapes given
 * as (rows, columns). The following holds for every function, unless its own text says otherwise.
 *
 * Arguments are checked before anything is done. RSK_EINVAL is returned where a pointer is NULL, in a structure too, even if the array
 * has no elements; and where an argument is outside the range that is given for it, or sizes are negative. `threads` is an upper bound
 * of how many threads are used, at least 1. A flag (an int that is said to be 0 or 1, or a byte of a mask) is set if it is not 0.
 *
 * Every pointer is borrowed for the call; what a create function keeps, it copies. What it creates belongs to the caller, who frees it
 * with the free function named beside it; free functions take NULL. Arrays that a function writes are overwritten, and must not overlap
 * each other or any array that it reads. On error their contents are unspecified, but a created pointer is NULL.
 *
 * Functions do no I/O and are reentrant. What is created is read-only afterwards: any number of threads may use it at once. Results
 * depend neither on the number of threads nor on the instruction set, to the last bit. */
#ifndef RECSKETCH_H
#define RECSKETCH_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define RSK_MIN_DIM 64
#define RSK_MAX_DIM ((ptrdiff_t)1 << 24)
#define RSK_MAX_LENGTH ((ptrdiff_t)1 << 20) /* of an attribute */
#define RSK_MAX_VALUE 1e30f                 /* of |scale * attribute element|: leaves room for 2^27 summands */
#define RSK_MAX_WEIGHT 1e300                /* of a tuple's weights in all; RSK_MAX_VALUE where weights count */
#define RSK_MIN_STRETCH 1e-12               /* of cosine^2 + sine^2 */
#define RSK_MAX_BLOCKS 8                    /* of a column of the block family */

typedef enum rsk_status {
    RSK_OK = 0,
    RSK_EINVAL,   /* a pointer is NULL, or an argument is outside its documented range */
    RSK_ENOMEM,   /* an allocation failed, or a size product would overflow */
    RSK_EOVERFLOW,/* numbers of an answer are infinite or NaN */
    RSK_EISA,     /* the instruction set asked for is unknown, not compiled in, or not on this CPU */
    RSK_EOFFSETS, /* a CSR offset array does not start at 0, decreases, or ends elsewhere than its data */
    RSK_EMODULE,  /* an object's module index is out of range */
    RSK_ELENGTH,  /* an attribute's length is not its module's */
    RSK_EORDER,   /* an input is not an object before its user in the same trace; or a CSR row's column is none of the matrix */
    RSK_EOUTPUT,  /* a trace has no output, or an output that is no object of it */
    RSK_EWEIGHT,  /* a weight is negative or NaN, or a tuple's weights sum to 0 or to more than RSK_MAX_WEIGHT, or with
                   * RSK_WEIGHTS_COUNT to more than RSK_MAX_VALUE */
    RSK_EFANOUT,  /* a tuple has more than max_inputs inputs of positive weight */
    RSK_EVALUE,   /* a number is NaN or larger than RSK_MAX_VALUE */
    RSK_ESIZE,    /* a trace has more than 2^30 objects, inputs and outputs together */
    RSK_ESTOP     /* rsk_stop.asked said so; what the call writes is unspecified */
} rsk_status;

/* Where a check failed: -1 where there is no such thing. object is counted within its trace; for the tuple of a network's outputs it
 * is -1. Functions that take a pointer to it take NULL too, for "not wanted"; otherwise they always write it. */
typedef struct rsk_where {
    ptrdiff_t trace, object;
} rsk_where;

/* A short English text, never NULL; "unknown status" for what is no rsk_status. The text is static. */
const char *rsk_status_text(rsk_status status);

/* A way to end a call early. Whatever may run for more than a second takes one, or NULL for "run to the end". While the call runs,
 * asked(context) is called about ten times a second, always by the thread that made the call; once it returns nonzero the call
 * ends with RSK_ESTOP, usually within 0.2 seconds. The last two members belong to the call: set them to 0. Use one rsk_stop for one call
 * at a time. */
typedef struct rsk_stop {
    int (*asked)(void *context);
    void *context;
    volatile int stopped;
    int64_t next; /* milliseconds, when to ask again */
} rsk_stop;

/* ---------------------------------------------------------------- instruction sets and threads (dispatch.c, threads.c) */

/* Chooses the kernels of all threads: name is "portable", "avx2", "avx512" or "neon", or NULL for the best this CPU has. Without it
 * the first use chooses the best. Call it while no other function runs. RSK_EISA leaves the choice as it was. */
rsk_status rsk_isa_select(const char *name);
const char *rsk_isa(void);                /* the level in use; a static text, never NULL */
int rsk_isa_available(const char *name); /* 1 if compiled in and on this CPU; 0 otherwise, and for NULL */

int rsk_max_threads(void);    /* how many OpenMP would use; 1 without OpenMP and in a forked child */
const char *rsk_openmp(void); /* "OpenMP 201511" and the like, or "none"; a static text */

/* ---------------------------------------------------------------- random bits (philox.c) */

/* out = Philox4x32-10 of one counter under one key (Salmon et al., 2011). out may be counter or key. */
rsk_status rsk_philox4x32(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

/* words (n) = the first 32-bit words of a part of a stream, docs/format.md "Random bits". n from 0 to 2^34. */
rsk_status rsk_stream_words(uint64_t seed, uint64_t stream, uint32_t part, ptrdiff_t n, uint32_t *words);
/* words (parts, n): the first n words of each of the parts first, first + 1, ...
 * RSK_EINVAL  words is NULL, parts < 0, n < 0, a part or a word beyond the last one there is */
rsk_status rsk_stream_parts(uint64_t seed, uint64_t stream, uint32_t first, ptrdiff_t parts, ptrdiff_t n, uint32_t *words);

/* ---------------------------------------------------------------- transforms (transforms.c) */

/* Walsh-Hadamard transform of every row in natural (Hadamard) order, times factor (1: unnormalised).
 *   x    (rows, n), n a power of two from 1 to 2^24
 *   out  (rows, n), overwritten; it may be x, and must not overlap it otherwise
 * RSK_EINVAL     a NULL pointer, n is not such a power, factor not finite, rows < 0, threads < 1;  RSK_ENOMEM
 * RSK_EOVERFLOW  out has infinities or NaN: of x, or where a sum exceeded the largest number. Every other number of out is right */
rsk_status rsk_fwht_f32(const float *x, ptrdiff_t rows, ptrdiff_t n, double factor, float *out, int threads);
rsk_status rsk_fwht_f64(const double *x, ptrdiff_t rows, ptrdiff_t n, double factor, double *out, int threads);

/* 1 if n numbers x[0], x[step], ... are finite and of at most that size, which may be infinite, or n is 0; 0 otherwise, and for NULL. */
int rsk_within_f32(const float *x, ptrdiff_t n, ptrdiff_t step, double most);
int rsk_within_f64(const double *x, ptrdiff_t n, ptrdiff_t step, double most);

/* ---------------------------------------------------------------- sampled Hadamard matrices (hadamard.c) */

typedef struct rsk_hadamard rsk_hadamard;

/* A (m, n) = rows of the Sylvester-Hadamard matrix of order n times column signs over sqrt(m): columns have norm one.
 *
 *   n       a power of two, 16 <= n <= 2^24
 *   rows    (m,) ascending, distinct, from 0 to n - 1; 1 <= m <= n
 *   stream  its part 1 has the signs, docs/format.md, "Random bits"
 *   out     NULL on error; free with rsk_hadamard_free
 * RSK_EINVAL  NULL, n, m, rows;  RSK_ENOMEM */
rsk_status rsk_hadamard_create(ptrdiff_t n, ptrdiff_t m, const int32_t *rows, uint64_t seed, uint64_t stream, rsk_hadamard **out);
void rsk_hadamard_free(rsk_hadamard *hadamard); /* NULL is allowed */

/* y (batch, m) = A x, x (batch, n); with adjoint y (batch, n) = A^T x, x (batch, m). No overlap. Numbers so large that sums of n of
 * them overflow make y infinite or NaN: the caller sees to that.
 * RSK_EINVAL  NULL, batch < 0, threads < 1;  RSK_ENOMEM  scratch: n elements a thread;  RSK_ESTOP */
rsk_status rsk_hadamard_product_f32(const rsk_hadamard *hadamard, ptrdiff_t batch, const float *x, float *y, int adjoint,
                                    int threads, rsk_stop *stop);
rsk_status rsk_hadamard_product_f64(const rsk_hadamard *hadamard, ptrdiff_t batch, const double *x, double *y, int adjoint,
                                    int threads, rsk_stop *stop);

/* ---------------------------------------------------------------- sparse solvers (omp.c, htp_hadamard.c) */

typedef struct rsk_support_params {
    ptrdiff_t sparsity;      /* non-zeros at most, or blocks of them; sparsity * block <= m */
    ptrdiff_t block;         /* columns of a block, a divisor of n; 1: none */
    const double *tolerance; /* (batch,) stop where |y - A x|^2 is at most this, >= 0; NULL: 0 */
    int nonnegative;         /* 1: x >= 0; only with block 1 */
    int max_iterations;      /* of rsk_htp, >= 1 */
} rsk_support_params;

/* Why a solver left a signal. */
typedef enum rsk_reason {
    RSK_TOLERANCE, /* |y - A x|^2 is at most the tolerance */
    RSK_EXACT,     /* the residual is nothing but rounding */
    RSK_COUNT,     /* rsk_omp: there are as many columns or blocks as asked for */
    RSK_SUPPORT,   /* rsk_htp: another step chooses the same support */
    RSK_STALLED,   /* rsk_omp: no column makes the residual smaller; rsk_htp: for six steps it did not become smaller */
    RSK_ITERATIONS /* max_iterations; of rsk_omp with nonnegative, where columns come and go, 3 sparsity */
} rsk_reason;

/* What was found. K = sparsity * block. */
typedef struct rsk_supports {
    int32_t *support;    /* (batch, K) columns, then -1: in the order found (rsk_omp), or ascending (rsk_htp) */
    double *coef;        /* (batch, K) their coefficients, then 0 */
    int32_t *count;      /* (batch,) how many */
    double *residual;    /* (batch,) |y - A x| */
    int32_t *iterations; /* (batch,) */
    int32_t *reason;     /* (batch,) an rsk_reason */
} rsk_supports;

/* Sparse x with y = A x, one signal after the other.
 *
 *   y    (batch, m) finite. Correlations are float32: signals far from one in size lose digits there, so scale them
 *   out  overwritten; its arrays must not overlap anything
 *   stop or NULL
 * RSK_EINVAL  NULL, batch < 0, threads < 1, parameters; for rsk_htp block is 1
 * RSK_EVALUE  an element of y is NaN or larger than RSK_MAX_VALUE
 * RSK_ENOMEM  scratch a thread: n floats, and for k columns found k m / 8 bytes and k^2 / 2 doubles, up to four times as many
 *             (rsk_omp); 4 n doubles (rsk_htp)
 * RSK_ESTOP */
rsk_status rsk_omp(const rsk_hadamard *hadamard, ptrdiff_t batch, const double *y, const rsk_support_params *params,
                   const rsk_supports *out, int threads, rsk_stop *stop);
rsk_status rsk_htp(const rsk_hadamard *hadamard, ptrdiff_t batch, const double *y, const rsk_support_params *params,
                   const rsk_supports *out, int threads, rsk_stop *stop);

/* Gram-Schmidt for many signals at a time: their columns, chosen elsewhere, as Q T, and y as Q z + residual. */
typedef struct rsk_fits {
    ptrdiff_t batch, most, m; /* signals, columns of each at most, length */
    double *q, *triangle;     /* (batch, most, m) orthonormal rows; (batch, most, most), upper */
    double *z, *residual;     /* (batch, most), (batch, m) */
    double *square;           /* (batch,) |residual|^2 */
    int64_t *size;            /* (batch,) columns there are */
} rsk_fits;

/* One column more for each of the signals who (n,), unless it depends on those that are there: then it counts for nothing.
 *   columns  (n, m), overwritten
 * RSK_EINVAL  NULL, n < 0, a size < 1, a signal outside 0..batch - 1, or with `most` columns already */
rsk_status rsk_fits_extend(const rsk_fits *fits, ptrdiff_t n, const int64_t *who, double *columns);

/* ---------------------------------------------------------------- scans (scan.c) */

typedef enum rsk_scan_type { RSK_SCAN_F32 = 0, RSK_SCAN_F16, RSK_SCAN_I8, RSK_SCAN_BF16 } rsk_scan_type;

/* The k rows of largest inner product with each query, the best first, ties by index.
 *
 *   rows     (n, d) float, IEEE halves, int8 or upper halves of floats (bfloat16), by type. Rows whose score is NaN never come up
 *   scale    (n,) finite, what a row's score is multiplied by, or NULL for 1
 *   queries  (m, d) finite; not read with m 0, nor are the next two written
 *   scores   (m, k), and indices (m, k): -infinity and -1 where fewer than k rows have a score
 *   stop     or NULL
 *
 * Scores are sums in float, sixteen of them interleaved; of rows of int8 they are sums in double, so that those of integers are
 * exact up to 2^53. They are compared before they are rounded to float.
 *
 * RSK_EINVAL  type, rows NULL, n < 1, d < 1 or > RSK_MAX_DIM, m < 0, k < 1 or > n, threads < 1, m > 0 and another pointer NULL
 * RSK_ENOMEM  scratch, for min(m, 1024) queries at a time: a copy of about d + 48 numbers of 4 bytes (int8: 2) each; k hits of 16
 *             bytes each, and 400 kB, a thread
 * RSK_ESTOP */
rsk_status rsk_scan(rsk_scan_type type, const void *rows, const float *scale, ptrdiff_t n, ptrdiff_t d, const float *queries,
                    ptrdiff_t m, ptrdiff_t k, float *scores, int64_t *indices, int threads, rsk_stop *stop);

/* ---------------------------------------------------------------- strings of the block family in sketches (learning/strings.c)
 *
 * docs/format.md, "Blocks", says what a string is: its code stands for a module's tag, a column and a block's row. dim is a power of two
 * up to RSK_MAX_DIM and 32 blocks at least, block 32 or 64, and a tag has at least 8 bits. */

typedef struct rsk_code_bits {
    int row, column, tag; /* of what a code says, from its lowest bit on once it is unmixed */
    int code, tail;       /* of a string but for its first sign: code + tail = block - 1 */
} rsk_code_bits;

/* RSK_EINVAL  there is no such block, or a tag would have less than 8 bits */
rsk_status rsk_code_layout(ptrdiff_t dim, ptrdiff_t block, rsk_code_bits *out);
/* What n codes say: fields (n, 3) = tag, column, row; signs (n,) = the common sign of the string, 1 or -1. Bits of a code's tail, above
 * those of the code, are ignored.
 * RSK_EINVAL */
rsk_status rsk_codes_read(ptrdiff_t dim, ptrdiff_t block, ptrdiff_t n, const uint64_t *codes, uint64_t *fields, double *signs);
/* The other way round, without tails.
 * RSK_EINVAL
 * RSK_EVALUE  a field has more bits than there are */
rsk_status rsk_codes_write(ptrdiff_t dim, ptrdiff_t block, ptrdiff_t n, const uint64_t *fields, uint64_t *codes, double *signs);

#define RSK_PEEL_MOST 4 /* strings of a block */
typedef enum rsk_peel_end {
    RSK_PEEL_DONE = 0, /* nothing is left that is loud enough, or no more strings are looked for */
    RSK_PEEL_UNKNOWN,  /* what is left begins with a code that is not known */
    RSK_PEEL_CLEAN     /* and all its numbers are about of one magnitude, so that it is probably one string */
} rsk_peel_end;

/* What n sketches of b = dim / block blocks came apart into. */
typedef struct rsk_peeling {
    int32_t *which;   /* (n, b, RSK_PEEL_MOST) numbers of known codes, the loudest first, then -1 */
    float *amplitude; /* (n, b, RSK_PEEL_MOST) of strings whose first sign is positive, then 0 */
    float *rest;      /* (n, b) root mean square of what is left */
    uint64_t *next;   /* (n, b) code of what is left, with its tail; 0 with RSK_PEEL_DONE */
    uint8_t *end;     /* (n, b) rsk_peel_end */
    double *energy;   /* (n,) sum of squares of a sketch */
    double *left;     /* (n,) and of what is left of it */
} rsk_peeling;

/* Takes blocks of sketches apart: the code of a block's signs, if it is known, is its loudest string; all strings of the block that were
 * found are fitted anew by least squares; then what is left is looked at. A block, or what is left of it, is quiet if the mean of |y| is
 * at most 1e-4 of the sketch's root mean square, or 3 times the noise.
 *
 *   sketches  (n, dim) finite
 *   noise     (n,) root mean square error of a coordinate, >= 0; NULL: 0
 *   codes     (count,) with their tails, each once
 *   most      1 to RSK_PEEL_MOST strings of a block
 *   stop      or NULL
 *
 * RSK_EINVAL  as above, or a code comes twice
 * RSK_ENOMEM  8 to 16 bytes a code
 * RSK_ESTOP */
rsk_status rsk_peel(ptrdiff_t dim, ptrdiff_t block, ptrdiff_t n, const float *sketches, const double *noise, ptrdiff_t count,
                    const uint64_t *codes, int most, const rsk_peeling *out, int threads, rsk_stop *stop);

/* ---------------------------------------------------------------- structured projections (transforms.c) */

/* HD3HD2HD1 (docs/format.md, "Random features"): out = factor times the first numbers of H D3 H D2 H D1 [x; 0], one block of
 * `padded` after the other until there are `width`; or with transpose the adjoint, D1 H D2 H D3 H, summed over the blocks.
 *   signs  (blocks, 3, padded / 16) sign words, D1 D2 D3 of every block; blocks = width / padded, rounded up
 *   x      (rows, length), out (rows, width); the other way round with transpose. They must not overlap.
 * RSK_EINVAL     a NULL pointer, length outside 1..padded, width outside 1..RSK_MAX_DIM, padded no power of two from 16 to
 *                RSK_MAX_DIM, factor not finite, rows < 0, threads < 1
 * RSK_ENOMEM     scratch: `padded` numbers a thread
 * RSK_EOVERFLOW  as of rsk_fwht. Sums are of numbers that are not yet divided by anything: the largest is padded^1.5 times |x| */
typedef struct rsk_projection {
    ptrdiff_t length, width, padded;
    const uint16_t *signs;
    double factor;
} rsk_projection;
rsk_status rsk_project_f32(const rsk_projection *p, int transpose, const float *x, ptrdiff_t rows, float *out, int threads);
rsk_status rsk_project_f64(const rsk_projection *p, int transpose, const double *x, ptrdiff_t rows, double *out, int threads);

/* ---------------------------------------------------------------- sums in fixed point (sums.c) */

/* sums[group[r]] += row r of x times 2^32, rounded to whole numbers, halves to even: sums have the same bits in whatever order rows come.
 *   x      (rows, dim)
 *   group  (rows,) from 0 to groups - 1
 *   sums   (groups, dim)
 *   where  NULL, or the number of the first bad row
 * The caller sees to it that no sum leaves int64: 2^13 rows of the largest numbers are possible, and 2^30 of numbers of 2.
 * RSK_EINVAL  a NULL pointer, a group outside its range, dim or groups < 1, rows < 0;  RSK_ENOMEM  scratch: a number a row and group
 * RSK_EVALUE  a number that is NaN or above RSK_LARGEST_FIXED in magnitude; nothing is added */
#define RSK_LARGEST_FIXED 262144.0
rsk_status rsk_add_fixed(const float *x, ptrdiff_t rows, ptrdiff_t dim, const int32_t *group, ptrdiff_t groups, int64_t *sums,
                         ptrdiff_t *where);

/* Rows of floats as IEEE halves: out = the halves nearest to x / scale, ties to even, where scale is the power of two, at least 2^-126,
 * by which a row's largest magnitude is in [2^14, 2^15), or 2^-15 for a row of zeros. noise = sqrt(mean square of x - scale out).
 *   x             (rows, dim)
 *   out           (rows, dim);  scale (rows,);  noise (rows,)
 *   where         NULL, or the number of the first bad row
 * RSK_EINVAL  a NULL pointer, dim < 1, rows < 0
 * RSK_EVALUE  a number that is NaN or above RSK_MAX_VALUE in magnitude; rows before it are done */
rsk_status rsk_halves(const float *x, ptrdiff_t rows, ptrdiff_t dim, uint16_t *out, float *scale, double *noise, ptrdiff_t *where);

/* Sums over n vectors of floats, vector r of kind module[r] and from x[ends[r]] to x[ends[r + 1] - 1], for each kind: element by element
 * those of x - shift and of its square, whose place in these arrays is from place[k] to place[k + 1] - 1; and a tally. With shift one of
 * the vectors, square - sum^2 / count is the sum of squared deviations from the mean, off by at most `count` roundings.
 *   place               (kinds + 1,) from 0, never decreasing
 *   shift, sum, square  (place[kinds],); sum and square are overwritten
 *   counts              (kinds, 2) overwritten: vectors, and elements that are zero
 *   tally               (kinds, 4) overwritten: the Euclidean norm of the kind's first vector, the sum of norms less that one and of the
 *                       squares of these, and the largest magnitude of an element
 *   where               NULL, or the number of the first bad vector
 * RSK_EINVAL  a NULL pointer, n or kinds < 0, a kind outside its range, a kind of more than 2^29 elements;  RSK_ENOMEM  scratch
 * RSK_ESIZE   a vector that is not as long as its kind's place
 * RSK_EVALUE  a number that is NaN or infinite
 * After an error what is overwritten is of no use. */
rsk_status rsk_moments(const float *x, const int64_t *ends, const int32_t *module, ptrdiff_t n, const int64_t *place, ptrdiff_t kinds,
                       const double *shift, double *sum, double *square, int64_t *counts, double *tally, ptrdiff_t *where);

/* ---------------------------------------------------------------- hashing (hashing.c) */

/* A (width, length) matrix with `nonzeros` numbers +-factor a column.
 *   entries  (length, nonzeros): the row of a number, plus RSK_HASH_MINUS where it is negative. Rows of a column may repeat: the
 *            numbers are added. */
#define RSK_HASH_ROW 0x7fffffffu
#define RSK_HASH_MINUS 0x80000000u
typedef struct rsk_hashing {
    ptrdiff_t length, width, nonzeros;
    const uint32_t *entries;
    double factor;
} rsk_hashing;

/* out (rows, width) = x (rows, length) times the transposed matrix; the adjoint: out (rows, length) = y (rows, width) times the
 * matrix. They must not overlap.
 * RSK_EINVAL  length < 1, width outside 1..RSK_MAX_DIM, nonzeros outside 1..width, an entry's row >= width, factor not finite,
 *             rows < 0, threads < 1
 * RSK_ENOMEM  scratch: 16 (length + 2 width) numbers a thread where rows >= 4 (not the adjoint) */
rsk_status rsk_hash_f32(const rsk_hashing *h, const float *x, ptrdiff_t rows, float *out, int threads);
rsk_status rsk_hash_f64(const rsk_hashing *h, const double *x, ptrdiff_t rows, double *out, int threads);
rsk_status rsk_hash_adjoint_f32(const rsk_hashing *h, const float *y, ptrdiff_t rows, float *out, int threads);
rsk_status rsk_hash_adjoint_f64(const rsk_hashing *h, const double *y, ptrdiff_t rows, double *out, int threads);
/* The same of CSR rows: row i has x[ends[i] .. ends[i + 1]) in the columns of the same places; repeated columns are added. The same
 * bits as the dense rows give where the columns of a row ascend.
 * RSK_EINVAL  as above, or size < 0;  RSK_EOFFSETS  ends (rows + 1) do not rise from 0 to size
 * RSK_EORDER  a column is outside 0..length - 1 */
rsk_status rsk_hash_csr_f32(const rsk_hashing *h, ptrdiff_t rows, const int64_t *ends, const int64_t *columns, ptrdiff_t size,
                            const float *x, float *out, int threads);
rsk_status rsk_hash_csr_f64(const rsk_hashing *h, ptrdiff_t rows, const int64_t *ends, const int64_t *columns, ptrdiff_t size,
                            const double *x, double *out, int threads);

/* ---------------------------------------------------------------- tensor sketches (tensor.c) */

#define RSK_MAX_DEGREE 64

/* Products over q < degree of coordinates of h_q = H D_q [x; 0]: real ones, factor times the product of h_q[index[q][k]], and before
 * them complex ones, whose real and imaginary parts are neighbours: for j < pairs
 *   out[2j] + i out[2j + 1] = 2^((1 - degree) / 2) factor times the product of h_q[index[q][2j]] + i h_q[index[q][2j + 1]],
 * for 2 pairs <= k < used out[k] is a real one, and from `used` on out is 0.
 *   signs  (degree, padded / 16) sign words;  index (degree, used), from 0 to padded - 1
 *   x      (rows, length), out (rows, width); they must not overlap
 * RSK_EINVAL  a NULL pointer, length outside 1..padded, padded no power of two from 16 to RSK_MAX_DIM, degree outside
 *             1..RSK_MAX_DEGREE, used outside 1..width, width > RSK_MAX_DIM, pairs outside 0..used / 2, an index outside its range,
 *             factor not finite, rows < 0, threads < 1
 * RSK_ENOMEM  scratch: 16 degree * padded numbers a thread where degree * padded is at most 2^17 and used >= 16, else `padded` */
typedef struct rsk_tensor {
    ptrdiff_t length, width, used, pairs, padded, degree;
    const uint16_t *signs;
    const int32_t *index;
    double factor;
} rsk_tensor;
rsk_status rsk_tensor_sketch_f32(const rsk_tensor *t, const float *x, ptrdiff_t rows, float *out, int threads);
rsk_status rsk_tensor_sketch_f64(const rsk_tensor *t, const double *x, ptrdiff_t rows, double *out, int threads);

/* ---------------------------------------------------------------- the random matrices (spec.c) */

typedef struct rsk_spec rsk_spec;

typedef struct rsk_spec_params {
    ptrdiff_t dim;             /* d, a power of two, RSK_MIN_DIM..RSK_MAX_DIM */
    ptrdiff_t modules;         /* 1..INT32_MAX */
    ptrdiff_t max_inputs;      /* 1..INT32_MAX; operators T_0 .. T_{max_inputs-1} */
    uint64_t seed;
    const char *rotation;      /* "skew", "hadamard" or "block" */
    double cosine, sine;       /* T = cosine I + sine R; each from -1 to 1, cosine^2 + sine^2 >= RSK_MIN_STRETCH */
    double gain;               /* g: of the attribute and of the counter in z; above 0, at most 1 */
    double branch;             /* b: of T_attr z and of T_in s_input in an object, unless the weighting is balanced; above 0, at most 1 */
    int weighting;             /* rsk_weighting */
    double spread;             /* s, 0..1: u = (1 - s) w + s / k stands for a weight w of k inputs; 0 for RSK_WEIGHTS_COUNT */
    const double *kappa;       /* (max_inputs + 1,) of k inputs, 1..1e6; read only for RSK_WEIGHTS_BALANCED */
    int ordered;               /* flag. 0: T_i is the identity for every position */
    const ptrdiff_t *lengths;  /* (modules,) unknowns of an object without its counter, 1..RSK_MAX_LENGTH */
    const uint64_t *positions; /* (max(max_inputs, 16),) stream ids: those of the first 16 are read whatever max_inputs is */
    const uint64_t *operators; /* (modules,) stream ids of T_M */
    const uint64_t *embeddings, *counters; /* (modules,) stream ids */
    uint64_t branch_attr, branch_in[2];    /* stream ids; those of both operators of T_in are read */
    int ins;                               /* how many operators T_in has, 1 or 2; 1 for "block" */
    /* Read only for "block" (docs/format.md, "Blocks"). d / block is at least 32 and 2 (max_inputs + 3), a module's length less than
     * 2^10 - 1, or 2^16 - 1 where block is 64. */
    ptrdiff_t block;             /* b, 32 or 64 */
    ptrdiff_t blocks_per_column; /* r, 1..RSK_MAX_BLOCKS */
    const uint64_t *tags;        /* (modules,) what tells modules apart, below 2^t, t = 21 - log2(d / 32), or 32 - log2(d / 64); t is at least 8.
                                  * The caller sees to it that they differ */
} rsk_spec_params;

/* What an input of weight w counts with in its tuple (u as above, M the mass of an object): sqrt(u); u; sqrt(u M / mean M), with
 * branches of an object that follow from its mass; w as it is given, nothing normalised. */
typedef enum rsk_weighting { RSK_WEIGHTS_ENERGY, RSK_WEIGHTS_LINEAR, RSK_WEIGHTS_BALANCED, RSK_WEIGHTS_COUNT } rsk_weighting;

/* Draws all matrices: about (max_inputs + 3 modules + 4) d / 8 bytes, with "hadamard" (2 max_inputs + 4 modules + 7) d / 8, with "block"
 * (max_inputs + 2 modules + 4) d / 8 and 8 to 12 bytes a string, r for each number and counter of a module; at about 1 ns a byte. With "skew", sweeps add d / 2 bytes for every module and position that they meet, up to 256 MiB. stop: or NULL.
 * Two specifications of equal parameters are interchangeable.
 *
 *   out   free with rsk_spec_free, in any order with what was made with it
 * RSK_EINVAL  NULL, a parameter outside its range;  RSK_ENOMEM;  RSK_ESTOP */
rsk_status rsk_spec_create(const rsk_spec_params *params, rsk_stop *stop, rsk_spec **out);
void rsk_spec_free(rsk_spec *spec);
/* Of the matrices; 0 for NULL. */
ptrdiff_t rsk_spec_bytes(const rsk_spec *spec);

/* out (d) = T x, or with the flag transpose T^T x. x (d): the caller sees to it that it is finite.
 *   kind   0 position, 1 module, 2 branch
 *   index  which one: below max_inputs or modules; of the branches, 0 T_attr, 1 T_in, 2 and 3 the operators that T_in is the product of
 * RSK_EINVAL  NULL, kind, index;  RSK_ENOMEM  scratch: 4 d floats */
rsk_status rsk_operator(const rsk_spec *spec, int kind, ptrdiff_t index, int transpose, const float *x, float *out);
/* rsk_embed: out (d) = E_M x, x (lengths[module]). rsk_embed_adjoint: out (lengths[module]) = E_M^T x, x (d). Without gain.
 * RSK_EINVAL  NULL, module;  RSK_ENOMEM  scratch: 4 d floats, and 12 bytes times the power of two that the length is padded to
 * RSK_EVALUE  (rsk_embed) an element of x is NaN or larger than RSK_MAX_VALUE */
rsk_status rsk_embed(const rsk_spec *spec, ptrdiff_t module, const float *x, float *out);
rsk_status rsk_embed_adjoint(const rsk_spec *spec, ptrdiff_t module, const float *x, float *out);
/* out (d) = c_M, of norm one.
 * RSK_EINVAL  NULL, module */
rsk_status rsk_counter(const rsk_spec *spec, ptrdiff_t module, float *out);

/* ---------------------------------------------------------------- attributes and unknowns (attributes.c) */

/* What stands in a sketch for an attribute x of length a, its unknowns: y = (x - centre) scale; or, where attributes are polar,
 * y / |y| and log2 |y| / 16, of a zero vector 0 and 1; then the signature of the object's number. */
typedef struct rsk_coding {
    ptrdiff_t modules;
    const ptrdiff_t *lengths;      /* (modules,) a */
    const double *scales;          /* (modules,) > 0, finite */
    const float *centres;          /* NULL: all are 0 */
    const ptrdiff_t *centre_begin; /* (modules,) where that of a module begins in centres; not read without them */
    int polar;                     /* flag */
    ptrdiff_t signature;           /* L, from 0 to RSK_MAX_LENGTH; 0: none */
    const float *signatures;       /* (numbers, L); not read where L is 0 */
    ptrdiff_t numbers;
} rsk_coding;

/* out = the unknowns of a batch's objects.
 *
 *   module      (objects,);  number (objects,) of each object in its trace, not read where L is 0
 *   ends        (objects + 1,) offsets into attributes; the unknowns of object o begin at ends[o] + o (polar + L)
 *   out         (ends[objects] + objects (polar + L),) overwritten, unspecified on error; must not overlap. NULL where rsk_is_plain:
 *               attributes are checked alone
 *   where       NULL, or the first object at which a check failed, -1 for none
 * Arrays without elements may be NULL.
 *
 * RSK_EINVAL  NULL, modules < 1, objects < 0, threads < 1, the coding; and a number that has no signature: where says which object's
 * RSK_EOFFSETS, RSK_EMODULE, RSK_ELENGTH  as they say
 * RSK_EVALUE  an element is NaN, or after centring and scaling larger than RSK_MAX_VALUE
 * RSK_ENOMEM  8 bytes an object, and for each thread as many an element of the longest attribute */
rsk_status rsk_encode(const rsk_coding *coding, ptrdiff_t objects, const int32_t *module, const int32_t *number,
                      const int64_t *ends, const float *attributes, float *out, int threads, ptrdiff_t *where);

/* Whether unknowns are the attributes themselves: they are linear, neither centred nor scaled, and have no signature. 0 for NULL. */
int rsk_is_plain(const rsk_coding *coding);

/* The attributes that unknowns, exact or fitted, stand for: the inverse of rsk_encode.
 *
 *   error       (objects, 2) standard errors of an attribute's unknown and, where it is polar, of the logarithm's; read only with errors
 *   errors      NULL, or (ends[objects],) the standard error of every element, to first order
 *
 * RSK_EINVAL, RSK_EOFFSETS, RSK_EMODULE, RSK_ELENGTH  as above;  RSK_ENOMEM  for each thread 8 bytes an element of the longest attribute.
 * NaN unknowns give NaN; numbers beyond float32 its largest. */
rsk_status rsk_decode(const rsk_coding *coding, ptrdiff_t objects, const int32_t *module, const int64_t *ends,
                      const float *unknowns, const double *error, float *attributes, float *errors, int threads);

/* ---------------------------------------------------------------- plans: the structure of a batch (plan.c) */

/* `traces` traces in columns (CSR). Offsets start at 0, never decrease, and end at the length of what they index. Columns may be NULL
 * where they have no elements, offsets never. */
typedef struct rsk_batch {
    ptrdiff_t traces;              /* >= 1 */
    const int64_t *objects;        /* (traces + 1,) offsets into objects; let N = objects[traces] */
    const int32_t *module;         /* (N,) module index in the spec */
    const int64_t *attribute_ends; /* (N + 1,) offsets into the unknowns, */
    ptrdiff_t more;                /* or into attributes with so many unknowns more behind each, from 0 to RSK_MAX_LENGTH */
    const int64_t *input_ends;     /* (N + 1,) offsets into inputs and weights; let E = input_ends[N] */
    const int32_t *inputs;         /* (E,) object numbers within the trace, each smaller than its user's */
    const double *weights;         /* (E,) >= 0; each tuple sums to more than 0 and to at most RSK_MAX_WEIGHT, or, with
                                    * RSK_WEIGHTS_COUNT, RSK_MAX_VALUE */
    const int64_t *output_ends;    /* (traces + 1,) offsets into outputs; let O = output_ends[traces] */
    const int32_t *outputs;        /* (O,) object numbers within the trace, at least one a trace */
    const double *output_weights;  /* (O,) as weights */
} rsk_batch;

/* A checked structure. It goes with every spec whose parameters equal those of the one it was made for, and keeps no pointer to it. */
typedef struct rsk_plan rsk_plan;

/* Checks the batch, orders it (children first, each object as late as it can be), and assigns scratch vectors. Nothing is read of a
 * column before the offsets into it are known to be right.
 *
 *   out    free with rsk_plan_free. It takes 24 bytes an object, and 36 a step: one an object, one an input or output
 *   where  or NULL: where a check of RSK_EMODULE to RSK_ESIZE failed. Sizes are checked before the rest; then, the first failure in
 *          trace order is reported
 * RSK_EINVAL  NULL, traces < 1, threads < 1, more;  RSK_EOFFSETS .. RSK_EFANOUT, RSK_ESIZE  as said above
 * RSK_ENOMEM  scratch: 124 bytes an object and 8 an input or output of the largest trace for each thread, beside the plan of 24 an object
 *             and 128 a use */
rsk_status rsk_plan_create(const rsk_spec *spec, const rsk_batch *batch, int threads, rsk_plan **out, rsk_where *where);
void rsk_plan_free(rsk_plan *plan);
/* Scratch vectors of d numbers that a thread needs for a sweep, floats or, with "hadamard", doubles; 0 for NULL. */
ptrdiff_t rsk_plan_vectors(const rsk_plan *plan);

/* amplitude (N,): docs/method.md, "Amplitude and load"; 0 for an object that reaches no output. uses (N,): how often an object is an input or output
 * of positive weight, counting only users that reach an output. Either may be NULL.
 * RSK_EINVAL  plan is NULL */
rsk_status rsk_plan_amplitudes(const rsk_plan *plan, double *amplitude, int32_t *uses);

/* ---------------------------------------------------------------- sweeps (sweep.c) */

/* Forward sweep: out[b] = the sketch of trace b.
 *
 *   attributes  (A,) packed in object order, A = attribute_ends[N] + N more
 *   counters    (N,) finite, the coefficient of each object's counter; or NULL for 1
 *   out         (traces, d)
 *   stop        or NULL
 *   where       or NULL
 * RSK_EINVAL  NULL, threads < 1, the plan is not one of this spec's
 * RSK_EVALUE  scale times an element is NaN or larger than RSK_MAX_VALUE; where says which object's, the first in trace order
 * RSK_EOVERFLOW  (RSK_WEIGHTS_COUNT) weights multiply up to a sketch of infinite numbers; where says which trace, the first
 * RSK_ENOMEM  scratch: with "skew" and "block" about (rsk_plan_vectors + 11) max(d, a') + 320 D floats a thread, a' the longest attribute padded to a
 *             power of two, and D the longest that is at most d / 16; with "hadamard" (2 rsk_plan_vectors + 15) max(d, a').
 *             24 bytes a trace. A trace that several threads share takes d floats more for each of at most 256 pieces, and 100
 *             bytes a tuple; it is done by one thread where there is no memory for these
 * RSK_ESTOP */
rsk_status rsk_sketch(const rsk_spec *spec, const rsk_plan *plan, const float *attributes, const float *counters,
                      float *out, int threads, rsk_stop *stop, rsk_where *where);

/* Adjoint sweep: the transpose of the map from attributes and counters to sketches, trace by trace.
 *
 *   y           (traces, d): the caller sees to it that it is finite
 *   attributes  (A,) g scale_M E_M^T ... y; 0 for objects that reach no output
 *   counters    (N,) the same for counters; or NULL if not wanted
 *   stop        or NULL
 * RSK_EINVAL, RSK_ENOMEM, RSK_ESTOP  as rsk_sketch */
rsk_status rsk_adjoint(const rsk_spec *spec, const rsk_plan *plan, const float *y, float *attributes, float *counters,
                       int threads, rsk_stop *stop);

/* ---------------------------------------------------------------- least squares for a known structure (solve.c) */

typedef struct rsk_lstsq_params {
    double tolerance;    /* stop when the residual is below tolerance * |sketch| or no longer falls; >= 0 */
    int max_iterations;  /* of CGLS in all, >= 1 */
    /* (traces,) from 0 to RSK_MAX_VALUE: root mean square error of one coordinate of each sketch; NULL: none. Iterations stop when what
     * they could still change is well below what such an error changes. */
    const double *noise;
} rsk_lstsq_params;

/* Least squares for the attributes of a known structure, counters known: min |mask (s - A x - s0)|, columns scaled to one.
 *
 *   sketches    (traces, d); coordinates outside the mask are never read
 *   mask        (mask_rows, d) bytes, 0 = erased, anything else = kept; or NULL for none erased
 *   mask_rows   1 (one row for all traces) or traces; not read if mask is NULL
 *   attributes  (A,) NaN for objects that reach no output, and for all if no coordinate is kept
 *   residual    (traces,) |mask (s - A x - s0)| / |mask s|; infinite for a zero sketch that is not fitted exactly, NaN
 *               if no coordinate is kept
 *   iterations  (traces,) of CGLS
 *   stop        or NULL
 *   where       or NULL
 * RSK_EINVAL  NULL, threads < 1, mask_rows, the plan is not one of this spec's, a parameter outside its range
 * RSK_EVALUE  a kept coordinate is NaN or larger than RSK_MAX_VALUE; where says which trace, the first
 * RSK_ENOMEM  scratch: for each thread that of rsk_sketch, and 28 d + 44 n bytes, n the most attribute elements of a trace
 * RSK_ESTOP */
rsk_status rsk_lstsq(const rsk_spec *spec, const rsk_plan *plan, const float *sketches, const uint8_t *mask,
                     ptrdiff_t mask_rows, const rsk_lstsq_params *params, float *attributes, double *residual,
                     int32_t *iterations, int threads, rsk_stop *stop, rsk_where *where);

/* ---------------------------------------------------------------- sparse attributes of a known structure (solve.c) */

typedef struct rsk_sparse_params {
    ptrdiff_t nonzeros;   /* of a trace, at most; 0: as many as stand out of the noise; >= 0 */
    ptrdiff_t per_object; /* of an object, at most; 0: any number; >= 0 */
    ptrdiff_t free;       /* an object's last elements that are no part of its attribute: never left out, of any sign; from 0 to less
                           * than the shortest length */
    int nonnegative;      /* flag. 1: every other element is >= 0 */
    const double *noise;  /* (traces,) root mean square error of a kept coordinate, from 0 to RSK_MAX_VALUE; NULL: float32 rounding,
                           * which is the least that is assumed */
    int max_iterations;   /* of CGLS in all, >= 1 */
} rsk_sparse_params;

/* The same misfit as in rsk_lstsq with few elements that are not zero, by hard thresholding pursuit (docs/method.md, "Sparse attributes").
 * Arguments, NaNs and statuses as for rsk_lstsq, but 28 d + 76 n bytes of scratch. */
rsk_status rsk_sparse(const rsk_spec *spec, const rsk_plan *plan, const float *sketches, const uint8_t *mask,
                      ptrdiff_t mask_rows, const rsk_sparse_params *params, float *attributes, double *residual,
                      int32_t *iterations, int threads, rsk_stop *stop, rsk_where *where);

/* ---------------------------------------------------------------- unrolling: the structure is unknown (unroll.c) */

#define RSK_MAX_DEPTH 64

/* What is known of a module's attributes. */
typedef struct rsk_sparsity {
    int kind;           /* RSK_DENSE; RSK_SPARSE: mostly zero; RSK_DECIDE: as the sketch itself tells */
    ptrdiff_t nonzeros; /* of a sparse attribute, about; 0: not known; >= 0 */
    int nonnegative;    /* flag. 1: no element of a sparse attribute is negative */
} rsk_sparsity;
enum { RSK_DENSE, RSK_SPARSE, RSK_DECIDE };

typedef struct rsk_unroll_params {
    /* (modules + 1, modules) flags: whether the column's module may be an input of the row's; the last row: an output */
    const uint8_t *allowed;
    const double *noise; /* (n,) root mean square error of a coordinate of each sketch, from 0 to RSK_MAX_VALUE, beyond that of
                          * float32; NULL: none */
    ptrdiff_t max_depth; /* 1: outputs only; from 1 to RSK_MAX_DEPTH */
    double threshold;    /* least evidence of a group of objects, in nats; >= 0 */
    int max_rounds;      /* of proposing and fitting, >= 1 */
    double norm2;        /* mean square norm of an object's unknowns without its counter; 0: not known; from 0 to 1e30 */
    const rsk_sparsity *sparsity; /* (modules,) or NULL: all dense */
    ptrdiff_t signature; /* an object's last elements, of `free`, that tell it from others, so that its uses can be fitted as one; 0: it
                          * has none; from 0 to free */
    ptrdiff_t free;      /* an object's last elements that are no part of its attribute: never left out, of any sign; from 0 to less
                          * than the shortest length */
} rsk_unroll_params;

typedef struct rsk_unrolled rsk_unrolled;

/* Unrolls sketches whose structure is not known: docs/method.md "Unrolling".
 *
 *   n           sketches, >= 1
 *   sketches    (n, d); coordinates outside the mask are never read
 *   mask        (mask_rows, d) bytes, 0 = erased, anything else = kept; or NULL for none erased
 *   mask_rows   1 (one row for all sketches) or n; not read if mask is NULL
 *   out         free with rsk_unrolled_free
 *   stop        or NULL
 *   where       or NULL
 * RSK_EINVAL  NULL, n < 1, threads < 1, mask_rows, a parameter outside its range; a specification whose position operators are all
 *             the same: not ordered, or of sine 0
 * RSK_EVALUE  a kept coordinate is NaN or larger than RSK_MAX_VALUE; where says which sketch, the first
 * RSK_ENOMEM  scratch of a call: 4 (modules + 3) d bytes. Of a thread: (444 + 4 max_depth) d bytes, with signatures (692 + 4 max_depth)
 *             d, where a module is not RSK_DENSE (1456 + 4 max_depth) d, and with both (1664 + 4 max_depth) d; 116 bytes an object,
 *             of which there may be d / (1 + the shortest attribute), with signatures 3 times as many, where a module is not RSK_DENSE
 *             12 times, and 306 bytes, with signatures 354, for each of these and of d / (1 + the shortest attribute) more;
 *             for each of min(max_inputs, 256) positions 4 bytes an element of the longest attribute and 32 a module; and for each
 *             module 8 bytes an element of the longest attribute and 120 more. Where there are fewer sketches than threads, or few
 *             more, 64 d bytes, and of each thread but one the scratch of rsk_sketch for max_depth vectors
 * RSK_ESTOP */
rsk_status rsk_unroll(const rsk_spec *spec, ptrdiff_t n, const float *sketches, const uint8_t *mask, ptrdiff_t mask_rows,
                      const rsk_unroll_params *params, rsk_unrolled **out, int threads, rsk_stop *stop, rsk_where *where);
void rsk_unrolled_free(rsk_unrolled *unrolled);

/* How many objects sketch i has, and how many attribute elements in all; -1 if there is no such sketch, or for NULL. */
ptrdiff_t rsk_unrolled_objects(const rsk_unrolled *unrolled, ptrdiff_t i);
ptrdiff_t rsk_unrolled_attributes(const rsk_unrolled *unrolled, ptrdiff_t i);

/* What tuples lack: members of one module that were not found one by one, pooled. Arrays belong to the rsk_unrolled. */
typedef struct rsk_rests {
    ptrdiff_t rests;            /* one a tuple and module, only where not all is explained */
    ptrdiff_t attributes;       /* elements of all */
    const int32_t *owner;       /* (rests,) the object whose inputs they are; -1: they are outputs */
    const int32_t *module;      /* (rests,) */
    const double *count;        /* (rests,) how many, as far as all weigh alike */
    const double *count_spread; /* (rests,) standard error of that */
    const double *sum;          /* (rests,) of their amplitudes, times the cosine of the angle */
    const double *sum_spread;   /* (rests,) standard error of that, and of the last elements that are free */
    const double *spread;       /* (rests,) standard error of an attribute element */
    const double *attribute;    /* (attributes,) sums of attributes, each times its amplitude and the cosine */
} rsk_rests;

/* What was found of one sketch. The arrays belong to the rsk_unrolled. Objects are ordered so that users stand before their inputs. */
typedef struct rsk_unrolled_view {
    double residual;         /* |mask (s - A u)|^2 */
    double energy;           /* |mask s|^2 */
    double missing;          /* an estimate of the energy of what was not found */
    int32_t rounds;          /* of proposing and fitting */
    int32_t iterations;      /* of CGLS */
    const int32_t *parent;   /* (objects,) the user; -1: an output */
    const int32_t *position; /* (objects,) in the user's tuple */
    const int32_t *module;   /* (objects,) */
    const int32_t *lead;     /* (objects,) the first object that this one was fitted as a copy of; itself where it was not */
    const double *amplitude; /* (objects,) of the counter's column */
    const double *evidence;  /* (objects,) nats, of the object and all below it */
    const double *spread;    /* (objects,) standard error of an attribute element */
    const double *amplitude_spread; /* (objects,) standard error of the amplitude */
    const double *free_spread;      /* (objects,) standard error of each of the last elements that are free */
    const double *attributes;       /* (attributes,) times the amplitude */
    rsk_rests rests; /* the arrays above hold nothing of them */
} rsk_unrolled_view;

/* RSK_EINVAL  NULL, or there is no sketch i */
rsk_status rsk_unrolled_get(const rsk_unrolled *unrolled, ptrdiff_t i, rsk_unrolled_view *view);

#ifdef __cplusplus
}
#endif
#endif
