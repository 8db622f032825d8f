/* The map from a run to its sketch: the specification and its random operators, the plan of a batch, the two sweeps.
 *
 * The letters are those of docs/method.md: d is the sketch's dimension, a an attribute's length, a' the power of two that it
 * is padded to, T an operator, E_M the embedding of module M's attributes, c_M the module's counter. */
#ifndef RSK_RECURSION_H
#define RSK_RECURSION_H

#include "base/base.h"
#include "base/kernel_table.h"

/* ---------------------------------------------------------------- rotation families */

/* One sampled rotation R. Its sign rows belong to the specification's pool. */
typedef struct rsk_rotation {
    uint16_t *bits[2]; /* d sign bits each; a family with one row leaves the second NULL */
    ptrdiff_t mask;    /* skew: R moves element k ^ mask to k. hadamard: 0, not read */
} rsk_rotation;

typedef struct rsk_module rsk_module;

/* The seam for a new rotation: one file that fills this table, one line in rotation.c.
 *
 * All functions take T = c I + s R with the specification's cosine c and sine s. transpose is 0 or 1; 1 asks for c I + s R^T.
 * accumulate is 0 (out is overwritten) or 1 (added to). out does not overlap x. scratch has 2 d elements. The functions whose
 * names end in _wide compute in doubles. */
typedef struct rsk_family {
    const char *name;
    int rows; /* sign rows a rotation, 1 or 2 */
    int skew; /* flag. 1: R^T = -R, so that T keeps norms but for a factor; 0: T keeps them on average */
    /* a mask for R, a draw for every number; NULL where R has none */
    ptrdiff_t (*mask)(uint64_t seed, uint64_t stream, ptrdiff_t d, ptrdiff_t draw);
    /* fills the rows; the mask is there */
    rsk_status (*sample)(uint64_t seed, uint64_t stream, ptrdiff_t d, rsk_rotation *rotation);
    /* out[k] = the sign of (R s)[k] for a vector s of signs, where R s is a vector of signs again. NULL where it is not. With
     * this function T E_M x is one rsk_spread of two terms; without it, a spread of one term followed by an operator. */
    void (*turn_signs)(const rsk_rotation *rotation, const uint16_t *signs, uint16_t *out, ptrdiff_t d);
    /* out (+)= f T x */
    void (*apply)(const rsk_spec *spec, const rsk_rotation *rotation, double f, int transpose, const float *x, float *out,
                  int accumulate, float *scratch);
    void (*apply_wide)(const rsk_spec *spec, const rsk_rotation *rotation, double f, const double *x, double *out,
                       int accumulate, double *scratch);
    /* out (+)= f T_second T_first x; with transpose f T_second^T T_first^T x */
    void (*chain)(const rsk_spec *spec, const rsk_rotation *first, const rsk_rotation *second, double f, int transpose,
                  const float *x, float *out, int accumulate, float *scratch);
    void (*chain_wide)(const rsk_spec *spec, const rsk_rotation *first, const rsk_rotation *second, double f, const double *x,
                       double *out, int accumulate, double *scratch);
    /* out = T_attr (f E_M x + counter c_M); x comes from rsk_embed_begin; work has 2 max(a', d) elements */
    void (*embed)(const rsk_spec *spec, const rsk_module *module, double f, float counter, const double *x, float *out,
                  float *work, float *scratch);
    /* The same in doubles, plus extra (d floats), which may be NULL. */
    void (*embed_wide)(const rsk_spec *spec, const rsk_module *module, double f, float counter, const double *x,
                       const float *extra, double *out, double *work, double *scratch);
    /* The transpose of embed: x = f E_M^T T_attr^T y, ready for rsk_embed_end; *counter = f_counter c_M^T T_attr^T y. */
    void (*embed_adjoint)(const rsk_spec *spec, const rsk_module *module, float f, float f_counter, const float *y, float *x,
                          float *counter, float *work, float *scratch);
} rsk_family;

extern const rsk_family rsk_family_skew;
extern const rsk_family rsk_family_hadamard;
const rsk_family *rsk_family_find(const char *name); /* NULL if there is none of that name */

/* ---------------------------------------------------------------- spec.c */

/* One module. Its sign rows belong to the specification's pool. */
struct rsk_module {
    ptrdiff_t length;  /* a */
    ptrdiff_t padded;  /* a' */
    uint16_t *inner;   /* D1 of E_M, a' bits */
    uint16_t *outer;   /* D2 of E_M, max(a', d) bits */
    uint16_t *counter; /* the signs of c_M, d bits */
    rsk_spread spread; /* T_attr E_M and T_attr c_M as the kernels take them */
    rsk_rotation rotation;
};

struct rsk_spec {
    uint64_t identity; /* a digest of all parameters: equal for two specifications of the same parameters */
    ptrdiff_t dim;     /* d */
    ptrdiff_t modules;
    ptrdiff_t max_inputs;
    ptrdiff_t max_padded;  /* the largest a' */
    ptrdiff_t max_length;  /* the largest a */
    double cosine, sine;   /* c and s of T = c I + s R */
    double stretch2;       /* c^2 + s^2: the factor by which T multiplies squared norms; for "hadamard", on average */
    double coherence;      /* c^2 / (c^2 + s^2): the inner product of T_i x and T_j x over their norms, on average; 1 without order */
    double gain, branch;   /* g and b */
    double spread;         /* s: u = (1 - s) w + s / k stands for a weight w of k inputs */
    rsk_weighting weighting;
    double *kappa;         /* (max_inputs + 1,) balanced weighting's factor of k inputs */
    int ordered;           /* 0: T_i is the identity for every position */
    int ins;               /* how many operators T_in is the product of, 1 or 2 */
    const rsk_family *family;
    rsk_rotation *positions; /* (max_inputs,) */
    rsk_rotation attr, in[2]; /* T_attr, and T_in = T_in,0 T_in,1 */
    rsk_module *module;      /* (modules,) */
    uint16_t *zeros;         /* d sign bits, none of them set */
    unsigned char *pool;     /* owns all sign rows */
    ptrdiff_t bytes;         /* of the pool, in use */
};

/* ---------------------------------------------------------------- operators.c */

/* out (+)= f T_in x, T_in = T_in,0 T_in,1, or T_in,0 alone. Arguments as of rsk_family.apply and chain. */
void rsk_apply_in(const rsk_spec *spec, double f, int transpose, const float *x, float *out, int accumulate, float *scratch);
void rsk_apply_in_wide(const rsk_spec *spec, double f, const double *x, double *out, int accumulate, double *scratch);
/* out (+)= f T_position x; f x where inputs have no order */
void rsk_apply_place(const rsk_spec *spec, ptrdiff_t position, double f, int transpose, const float *x, float *out,
                     int accumulate, float *scratch);
void rsk_apply_place_wide(const rsk_spec *spec, ptrdiff_t position, double f, const double *x, double *out, int accumulate,
                          double *scratch);
/* out (+)= f T_position T_module x, and transposed; f T_module x where inputs have no order, or at RSK_NO_POSITION */
enum { RSK_NO_POSITION = -1 };
void rsk_apply_member(const rsk_spec *spec, const rsk_module *module, ptrdiff_t position, double f, int transpose,
                      const float *x, float *out, int accumulate, float *scratch);
void rsk_apply_member_wide(const rsk_spec *spec, const rsk_module *module, ptrdiff_t position, double f, const double *x,
                           double *out, int accumulate, double *scratch);

/* ---------------------------------------------------------------- embedding.c */

/* x (a) -> h = [fold] H D1 [x; 0] (a'), ready for rsk_family.embed. Returns 0 if an element is NaN or too large, else 1.
 * It computes in doubles, as the log2(a') roundings would otherwise be half of all that a sketch suffers. */
int rsk_embed_begin(const rsk_spec *spec, const rsk_module *module, const float *x, double *h);
/* The transpose: h (max(a', d) elements, overwritten) -> x (a). */
void rsk_embed_end(const rsk_spec *spec, const rsk_module *module, float *h, float *x);
/* 1 / sqrt(d), or 1 / sqrt(a') where the attribute is folded. */
double rsk_embed_norm(const rsk_spec *spec, const rsk_module *module);

/* ---------------------------------------------------------------- plan.c */

/* A slot is the number of a scratch vector, or one of these. */
enum {
    RSK_SLOT_SKETCH = -1, /* as a destination: the sketch itself */
    RSK_SLOT_NONE = -2    /* as a source: the object has no inputs */
};

enum { RSK_STEP_OBJECT, RSK_STEP_STORE, RSK_STEP_USE };
enum {
    RSK_FIRST = 1,    /* dst is set; without this flag it is added to */
    RSK_LAST = 2,     /* the last use of src */
    RSK_WIDE_SRC = 4, /* src is a vector of doubles */
    RSK_WIDE_DST = 8  /* dst is a vector of doubles */
};

/* One step of a trace's program. The forward sweep runs the steps in order, the adjoint sweep in reverse:
 *   OBJECT  dst (+)= weight T_position s_object,   s_object = T_M(own T_attr z + below T_in src)
 *   STORE   dst    = s_object, of an object used more than once
 *   USE     dst (+)= weight T_position src, src a stored object
 *
 * Slots of floats and of doubles are numbered separately. Objects with inputs, and tuples that have such an object among
 * their members, are doubles in the forward sweep: rounding then hardly grows with depth, while the leaves, which are most of
 * a tree, stay floats (docs/implementation.md, "Rounding"). In the adjoint sweep every vector is one of floats. */
typedef struct rsk_step {
    int32_t object; /* its number in the trace */
    int32_t module;
    int32_t position;
    int32_t src;
    int32_t dst;
    float weight;     /* alpha */
    float own, below; /* the factors of an object's own part and of its inputs */
    uint8_t kind, flags;
} rsk_step;

struct rsk_plan {
    uint64_t spec; /* identity of the specification it was made for */
    ptrdiff_t traces;
    ptrdiff_t vectors;       /* slots of floats that the neediest trace takes */
    ptrdiff_t wide_vectors;  /* the same of doubles */
    int64_t *objects;        /* (traces + 1,) offsets, as in rsk_batch; let N = objects[traces] */
    int64_t *attribute_ends; /* (N + 1,) offsets, as in rsk_batch */
    int64_t *begin;          /* (traces,) a trace's first step */
    int32_t *count;          /* (traces,) how many steps it has */
    int32_t *module;         /* (N,) */
    int32_t *uses;           /* (N,) */
    double *amplitude;       /* (N,) */
    rsk_step *steps;
};

/* Whether spec has the parameters of the specification that the plan was made for. */
static inline int rsk_plan_is_of(const rsk_plan *plan, const rsk_spec *spec) { return plan->spec == spec->identity; }

/* ---------------------------------------------------------------- sweep.c */

/* One worker's scratch: parts of one allocation. */
typedef struct rsk_scratch {
    rsk_stop *stop;      /* looked at between the steps of a trace, or NULL */
    int worker;          /* whose scratch it is */
    unsigned char *base; /* the allocation */
    ptrdiff_t stride;    /* between slots, in elements */
    float *slots;        /* the plan's vectors of floats */
    double *wide_slots;  /* its vectors of doubles; the adjoint sweep keeps d floats in each */
    float *object;       /* d */
    float *spare;        /* 2 d, scratch of a family's functions */
    float *padded;       /* max(max_padded, d) */
    float *work;         /* twice that */
    double *wide_padded; /* as padded, work, object and spare, of doubles */
    double *wide_work;
    double *wide_object;
    double *wide_spare;
    double *wide_root;   /* d: the sketch, where the outputs' tuple is of doubles */
    double *wide_source; /* d: a vector of floats, converted */
} rsk_scratch;

/* scratch[0..workers) for the sweeps of a plan; free with rsk_scratch_free. NULL if memory is short or a size overflows. */
rsk_scratch *rsk_scratch_create(const rsk_spec *spec, const rsk_plan *plan, int workers, rsk_stop *stop);
void rsk_scratch_free(rsk_scratch *scratch, int workers); /* NULL is allowed */

/* The sweeps of one trace. attributes and counters are that trace's part of the batch's arrays; counters NULL stands for
 * `counter` for every object (forward), or for no interest in them (adjoint). The forward sweep returns the number of an
 * object with a bad attribute, or -1. Once scratch->stop says so, both sweeps return at once with their outputs unfinished, the
 * forward sweep 0. */
ptrdiff_t rsk_forward_trace(const rsk_spec *spec, const rsk_plan *plan, ptrdiff_t trace, const float *attributes,
                            const float *counters, float counter, float *out, rsk_scratch *scratch);
void rsk_adjoint_trace(const rsk_spec *spec, const rsk_plan *plan, ptrdiff_t trace, const float *y, float *attributes,
                       float *counters, rsk_scratch *scratch);

#endif
