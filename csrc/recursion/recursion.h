/* The map from a run to its sketch: the specification and its random operators, the plan of a batch, the two sweeps. */
#ifndef RSK_RECURSION_H
#define RSK_RECURSION_H

#include "base/base.h"
#include "base/kernel_table.h"

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
    void (*embed)(const rsk_spec *spec, const rsk_module *module, double f, float counter, const double *x, float *out,
                 float *work, float *scratch);
    /* the same in doubles, plus extra, which may be NULL */
    void (*embed_wide)(const rsk_spec *spec, const rsk_module *module, double f, float counter, const double *x,
                      const float *extra, double *out, double *work, double *scratch);
    /* the transpose of embed: x = f E_M^T T_attr^T y, ready for rsk_embed_end; *counter = f_counter c_M^T T_attr^T y */
    void (*embed_adjoint)(const rsk_spec *spec, const rsk_module *module, float f, float f_counter, const float *y, float *x,
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

/* ---------------------------------------------------------------- embedding.c */

/* x (length) -> h = [fold] H D1 [x; 0], ready for embed; 0 if an element is NaN or too large, else 1.
 * In doubles: the log2(a') roundings would be half of all that a sketch suffers. */
int rsk_embed_begin(const rsk_spec *spec, const rsk_module *module, const float *x, double *h);
/* The transpose: h -> x. Overwrites h. */
void rsk_embed_end(const rsk_spec *spec, const rsk_module *module, float *h, float *x);
/* 1 / sqrt(d), or 1 / sqrt(a') where the attribute is folded. */
double rsk_embed_norm(const rsk_spec *spec, const rsk_module *module);

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
    rsk_stop *stop;      /* looked at between the steps of a trace, or NULL */
    int worker;          /* whose scratch it is */
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
rsk_scratch *rsk_scratch_create(const rsk_spec *spec, const rsk_plan *plan, int workers, rsk_stop *stop);
void rsk_scratch_free(rsk_scratch *scratch, int workers);

/* One trace. attributes and counters are that trace's part of the batch's arrays; counters NULL takes `counter` for every
 * object. The forward sweep returns the number of an object with a bad attribute, or -1. Once scratch->stop says so, both sweeps
 * return at once with their outputs unfinished, the forward sweep 0. */
ptrdiff_t rsk_forward_trace(const rsk_spec *spec, const rsk_plan *plan, ptrdiff_t trace, const float *attributes,
                            const float *counters, float counter, float *out, rsk_scratch *scratch);
void rsk_adjoint_trace(const rsk_spec *spec, const rsk_plan *plan, ptrdiff_t trace, const float *y, float *attributes,
                       float *counters, rsk_scratch *scratch);

#endif
