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
    rsk_turn turn;     /* T but for spec->unit, where R pairs coordinates; hadamard: not read */
} rsk_rotation;

typedef struct rsk_module rsk_module;
typedef struct rsk_scratch rsk_scratch;
typedef struct rsk_indices rsk_indices;

/* How a module's unknowns x and a multiple of its counter become one vector, E_M x + e c_M, and back; for a direct module that is
 * F_M x + e n_M. Vectors are in the order of computing (docs/format.md, "Operators"). */
typedef struct rsk_embedding {
    /* sets padded and direct of a module whose length is set; returns how many bytes of the pool draw takes for it */
    double (*measure)(const rsk_spec *spec, rsk_module *module);
    rsk_status (*draw)(rsk_spec *spec, const rsk_spec_params *params, ptrdiff_t module);
    /* h (padded) = what spread goes on from; returns a bound of |E_M x + e c_M|'s elements, or -1 if one of x is NaN or too large.
     * In doubles, as the roundings of a transform would otherwise be half of all that a sketch suffers. */
    double (*begin)(const rsk_spec *spec, const rsk_module *module, const float *x, double e, double *h);
    /* out (d) = f (E_M x + e c_M). work (padded) */
    void (*spread)(const rsk_spec *spec, const rsk_module *module, const double *h, double e, double f, float *out, float *work);
    void (*counter)(const rsk_spec *spec, const rsk_module *module, float *out); /* out (d) = c_M */
    /* x (length) = f E_M^T y, and unless it is NULL *counter = f c_M^T y. y (d) is overwritten. h (max(padded, d)), work (2 d) */
    void (*gather)(const rsk_spec *spec, const rsk_module *module, double f, float *y, float *x, float *counter, float *h, float *work);
} rsk_embedding;

/* The seam for a new rotation: one file that fills this table, one line in rotation.c.
 *
 * T = c I + s R with the specification's cosine c and sine s. transpose is 0 or 1; accumulate is 0 (out is overwritten) or 1 (added
 * to). Vectors are in the order of computing (docs/format.md, "Operators"). */
typedef struct rsk_family {
    const char *name;
    int rows;       /* sign rows a rotation, 1 or 2 */
    int skew;       /* flag. 1: R^T = -R, so that T keeps norms but for a factor; 0: T keeps them on average */
    int reversed;   /* flag. Sketches are stored in the reversed order of bits */
    int slot_bytes; /* of one coordinate of a tuple's vector */
    int strings;    /* flag. E_M is made of strings: the parameters of blocks are read */
    const rsk_embedding *embedding;
    /* whether what the family asks for beyond what all do holds; NULL: nothing */
    int (*valid)(const rsk_spec_params *params);
    /* draws the masks of all operators; NULL where R has none */
    void (*masks)(rsk_spec *spec, const rsk_spec_params *params);
    /* fills the rows; the masks are there */
    rsk_status (*sample)(const rsk_spec *spec, uint64_t seed, uint64_t stream, rsk_rotation *rotation);
    /* out (+)= f T x, T the product of count operators from 1 to RSK_ROW_OF, the first of them applied first. out does not overlap x.
     * scratch has 2 d elements */
    void (*apply)(const rsk_spec *spec, const rsk_rotation *const *rotation, int count, double f, int transpose, const float *x,
                  float *out, int accumulate, float *scratch);
    /* the forward sweep of one trace, as rsk_forward_trace */
    ptrdiff_t (*forward)(const rsk_spec *spec, const rsk_plan *plan, ptrdiff_t trace, const float *attributes, const float *counters,
                         float counter, float *out, rsk_scratch *scratch);
    /* x (length) = f (T_position T_M T_attr E_M)^T y; *counter, unless that is NULL, = f (T_position T_M T_attr c_M)^T y. T_position is left
     * out at RSK_NO_POSITION and where inputs have no order. h has max(padded, d) elements, work 3 d. */
    void (*leaf_adjoint)(const rsk_spec *spec, ptrdiff_t module, ptrdiff_t position, double f, const float *y, float *x, float *counter,
                         float *h, float *work);
} rsk_family;

enum { RSK_NEAR = 16 };  /* streams of positions that are read whatever max_inputs is */
enum { RSK_ROW_OF = 4 }; /* operators that stand in a row: T_i T_M T_in,0 T_in,1 */

extern const rsk_family rsk_family_skew;
extern const rsk_family rsk_family_hadamard;
extern const rsk_family rsk_family_block;
const rsk_family *rsk_family_find(const char *name); /* NULL if there is none of that name */

/* ---------------------------------------------------------------- spec.c */

/* The strings of a module's columns and, as column `length`, of its counter: by the block that they stand in, and there by column. */
typedef struct rsk_strings {
    int32_t *begin;  /* (blocks + 1,) those of block k are begin[k] .. begin[k + 1] - 1 */
    int32_t *column; /* of each */
    uint16_t *bits;  /* of each, b signs */
    int32_t *counter; /* (r,) the blocks of the counter's strings */
} rsk_strings;

/* One module. What it points to belongs to the specification's pool. */
struct rsk_module {
    ptrdiff_t length;  /* a */
    ptrdiff_t padded;  /* a'; d where E_M is made of strings */
    int direct;        /* flag. F_M and n_M are drawn instead of E_M and c_M (docs/format.md) */
    rsk_rotation rotation;
    rsk_strings strings; /* of the block family; the rest is not */
    uint16_t *inner;   /* D1 of E_M, a' bits */
    uint16_t *outer;   /* D2 of E_M, max(a', d) bits */
    uint16_t *counter; /* the signs of c_M, d bits */
    rsk_spread spread; /* E_M and c_M as the kernels take them */
};

struct rsk_spec {
    uint64_t identity; /* a digest of all parameters: equal for two specifications of the same parameters */
    ptrdiff_t dim;     /* d */
    ptrdiff_t modules;
    ptrdiff_t max_inputs;
    ptrdiff_t max_padded;  /* the largest a' */
    ptrdiff_t max_direct;  /* the largest a' of a direct module, or 0 */
    ptrdiff_t max_length;  /* the largest a */
    double cosine, sine;   /* c and s of T = c I + s R */
    double unit;           /* what a turn lacks of T: c, or s where turns are steep; 0 is possible for neither */
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
    rsk_indices *indices;    /* of direct modules at positions; NULL where no module is direct */
    rsk_codes codes;         /* of the block family */
    ptrdiff_t per_column;    /* r, the same */
    uint16_t *zeros;         /* d sign bits, none of them set */
    unsigned char *pool;     /* owns all that was drawn */
    ptrdiff_t bytes;         /* of the pool, in use */
};

/* Blocks of a sketch; 0 where the family has none. */
static inline ptrdiff_t rsk_blocks(const rsk_spec *spec) { return spec->codes.block ? spec->dim / spec->codes.block : 0; }
/* The pool's next `bytes` bytes; every row begins at a cache line. RSK_ROW_BYTES is what a row of so many may take. */
void *rsk_spec_take(rsk_spec *spec, ptrdiff_t bytes);
#define RSK_ROW_BYTES(bytes) ((double)(bytes) + 64.0)

/* ---------------------------------------------------------------- rotation_skew.c, whole.c */

/* The turn of an operator whose signs and masks are there: for rsk_family.sample. */
void rsk_set_turn(const rsk_spec *spec, rsk_rotation *rotation);
/* rsk_family.apply of operators that are turns. */
void rsk_apply_turns(const rsk_spec *spec, const rsk_rotation *const *rotation, int count, double f, int transpose, const float *x,
                     float *out, int accumulate, float *scratch);

/* The bits k ^ mask for k in word `word` of a row of bits. */
uint16_t rsk_partners(const uint16_t *bits, ptrdiff_t word, ptrdiff_t mask);
/* x^n by n products */
static inline double rsk_power(double x, int n) {
    double y = 1.0;
    while (n-- > 0) y *= x;
    return y;
}
/* The scale of the vector of an object's inputs, from 1 to 2 in magnitude: they come to the object's tuple, which has this scale, with
 * this factor, those of operators, and a power of two. */
double rsk_scale_below(const rsk_spec *spec, double scale, double factor);
/* Whether the inputs of a tuple's member hold so much of a sketch's energy that operators take them in doubles: those of the outputs,
 * where these are few, and in tuples of two at most. The others round to 24 bits. */
static inline int rsk_turned_wide(int outputs, double members) { return members <= (outputs ? 8.0 : 2.0); }
/* The skew family's forward sweep. */
ptrdiff_t rsk_forward_whole(const rsk_spec *spec, const rsk_plan *plan, ptrdiff_t trace, const float *attributes,
                            const float *counters, float counter, float *out, rsk_scratch *scratch);

/* ---------------------------------------------------------------- indices.c */

/* The signs of direct modules' leaves at positions, as rsk_leaf.index has them, made when first asked for and shared by threads. */
rsk_indices *rsk_indices_create(const rsk_spec *spec, ptrdiff_t limit); /* of bytes; NULL: no memory */
void rsk_indices_free(rsk_indices *indices, const rsk_spec *spec); /* NULL is allowed */
/* Of a module at a position, or at RSK_NO_POSITION, where only bits 0 and 2 are the signs of something. Beyond the limit, and where memory
 * is short, it is made in scratch, of d / 8 words, and scratch is what is returned. */
#define RSK_INDEX_BYTES ((ptrdiff_t)1 << 28)
const uint32_t *rsk_index(const rsk_spec *spec, ptrdiff_t module, ptrdiff_t position, uint32_t *scratch);
ptrdiff_t rsk_indices_bytes(const rsk_indices *indices); /* 0 for NULL */

/* ---------------------------------------------------------------- operators.c */

enum { RSK_NO_POSITION = -1 };

/* Whether something at the position is seen through an operator of it. */
static inline int rsk_is_placed(const rsk_spec *spec, ptrdiff_t position) { return spec->ordered && position != RSK_NO_POSITION; }
/* For the skew family: where either half has `width` runs, the position's operator pairs run j with run j ^ partner[half]. 0 where there is
 * no such operator. */
static inline void rsk_run_partners(const rsk_spec *spec, ptrdiff_t position, ptrdiff_t width, ptrdiff_t partner[2]) {
    const ptrdiff_t run = spec->dim / 2 / width;
    const int placed = rsk_is_placed(spec, position);
    for (int half = 0; half < 2; half++) partner[half] = placed ? spec->positions[position].turn.mask[half] / run : 0;
}

/* The operators that stand in a row from T_in, T_attr or T_M itself, over T_M to T_position, as rsk_family.apply takes them; returns how
 * many. Without a position where inputs have no order, and at RSK_NO_POSITION. */
enum { RSK_FROM_MODULE, RSK_FROM_ATTR, RSK_FROM_IN };
int rsk_row(const rsk_spec *spec, int from, ptrdiff_t module, ptrdiff_t position, const rsk_rotation *row[RSK_ROW_OF]);
/* out (+)= f T_in x, T_in = T_in,0 T_in,1, or T_in,0 alone. Arguments as of rsk_family.apply. */
void rsk_apply_in(const rsk_spec *spec, double f, int transpose, const float *x, float *out, int accumulate, float *scratch);
/* out (+)= f T_position x; f x where inputs have no order */
void rsk_apply_place(const rsk_spec *spec, ptrdiff_t position, double f, int transpose, const float *x, float *out,
                     int accumulate, float *scratch);
/* out (+)= f T_position T_module x, and transposed; f T_module x where inputs have no order, or at RSK_NO_POSITION */
void rsk_apply_member(const rsk_spec *spec, ptrdiff_t module, ptrdiff_t position, double f, int transpose, const float *x, float *out,
                      int accumulate, float *scratch);
/* rsk_family.leaf_adjoint of a module that is not direct, where the family has no quicker way. */
void rsk_leaf_adjoint_spread(const rsk_spec *spec, ptrdiff_t module, ptrdiff_t position, double f, const float *y, float *x, float *counter,
                             float *h, float *work);
/* out (d) = T_M T_attr c_M over the square of T's norm, in the order of computing. work (3 d) */
void rsk_counter_seen(const rsk_spec *spec, ptrdiff_t module, float *out, float *work);

/* ---------------------------------------------------------------- order.c */

/* out (d) = x in the other order, the bits of coordinates' numbers reversed, where sketches are stored so; else a copy. Arrays do not
 * overlap. */
void rsk_reorder(const rsk_spec *spec, const float *x, float *out);
void rsk_reorder_bytes(const rsk_spec *spec, const uint8_t *x, uint8_t *out);

/* ---------------------------------------------------------------- embedding.c */

/* Dense embeddings: numbers are spread in runs (skew), of direct modules too, or in tiles (hadamard). */
extern const rsk_embedding rsk_embedding_runs;
extern const rsk_embedding rsk_embedding_tiles;
/* x (a) -> h = [fold] H D1 [x; 0] (a'), ready to be spread. Returns the largest |h[j]|, or -1 if an element is NaN or too large. */
double rsk_embed_begin(const rsk_spec *spec, const rsk_module *module, const float *x, double *h);
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

enum { RSK_STEP_OWN, RSK_STEP_INPUTS };
enum {
    RSK_FIRST = 1,  /* OWN: the first of a tuple's, which sets dst */
    RSK_LAST = 2,   /* INPUTS: the last use of src */
    RSK_INNER = 4,  /* the object has inputs, so that another step follows */
    RSK_WIDE = 8,   /* in doubles: INPUTS of much of the sketch's energy; hadamard: dst */
    RSK_WIDE_SRC = 16 /* hadamard: src is a vector of doubles */
};

/* One step of a trace's program: an object as a member of a tuple, whose vector is dst.
 *   OWN     dst += weight own T_position T_M T_attr z
 *   INPUTS  dst += weight below T_position T_M T_in src, src its inputs' tuple
 *
 * The OWN steps of a tuple come one after the other, `members` of them, and then its INPUTS. A shared object is a member at every use;
 * its inputs' tuple is summed once and kept. The forward sweep runs the steps in order, the adjoint sweep in reverse. */
typedef struct rsk_step {
    int32_t object; /* its number in the trace */
    int32_t module;
    int32_t position;
    int32_t src;
    int32_t dst;
    int32_t members; /* of the tuple; OWN with RSK_FIRST */
    double weight;     /* alpha */
    double own, below; /* the factors of an object's own part and of its inputs */
    /* What dst is short of, so that nothing but powers of two is left to multiply the inputs of an object of one use with: OWN: dst holds
     * scale times the sum; INPUTS: scale of dst over that of src. The skew family's forward sweep reads it. */
    double scale;
    uint8_t kind, flags;
} rsk_step;

struct rsk_plan {
    uint64_t spec; /* identity of the specification it was made for */
    ptrdiff_t traces;
    ptrdiff_t vectors;       /* slots that the neediest trace takes */
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

/* A tuple's vector in whole numbers: what it stands for is v 2^-exponent. */
typedef struct rsk_whole {
    int32_t *v;
    int exponent;
    uint32_t most; /* the largest |v[k]| */
} rsk_whole;

/* One worker's scratch: parts of one allocation. */
struct rsk_scratch {
    rsk_stop *stop;      /* looked at between the steps of a trace, or NULL */
    int worker;          /* whose scratch it is */
    unsigned char *base; /* the allocation */
    ptrdiff_t stride;    /* between slots, in bytes */
    unsigned char *slots; /* the plan's vectors */
    float *object;       /* d */
    float *work;         /* 3 d */
    float *padded;       /* max(max_padded, d) */
    float *gradient;     /* max_length */
    float *stored;       /* d: a sketch in the order of computing, for who needs it in the other */
    uint8_t *mask;       /* d */
    double *wide;        /* max_padded, or RSK_TOGETHER times the largest a' of a direct module: attributes, transformed */
    double *wide_work;   /* d; 2 d for hadamard */
    double *wide_object; /* d, for hadamard */
    double *root;        /* d: the sketch while it is summed */
    /* of the skew family */
    rsk_whole *whole;    /* (vectors + 1,) of all slots, the sketch first */
    int32_t *tables;     /* (RSK_TOGETHER, 8, the largest a' of a direct module) */
    uint32_t *index;     /* d / 8, for rsk_index */
    /* of split.c */
    int team;        /* a sweep may use so many scratches from this one on, each with a thread: 1 unless the caller says more */
    int32_t *pieces; /* vectors of pieces, made when first needed */
    ptrdiff_t room;  /* for so many */
};

/* scratch[0..workers) for the sweeps of a plan, each alone; free with rsk_scratch_free. NULL if memory is short or a size overflows. */
rsk_scratch *rsk_scratch_create(const rsk_spec *spec, const rsk_plan *plan, int workers, rsk_stop *stop);
void rsk_scratch_free(rsk_scratch *scratch, int workers); /* NULL is allowed */

/* Whether a sweep gives up before the next `count` of i steps that are left. A step takes at most 1 to 2 ns a coordinate:
 * rsk_stopped, which reads a clock, is asked once every 65,536 of them. */
static inline int rsk_gives_up(const rsk_spec *spec, const rsk_scratch *scratch, ptrdiff_t i, ptrdiff_t count) {
    return (i * spec->dim & 0xffff) < count * spec->dim && rsk_stopped(scratch->stop, scratch->worker);
}

/* The sweeps of one trace. attributes and counters are that trace's part of the batch's arrays; counters NULL stands for
 * `counter` for every object (forward), or for no interest in them (adjoint). The forward sweep returns the number of an
 * object with a bad attribute, or -1. Once scratch->stop says so, both sweeps return at once with their outputs unfinished, the
 * forward sweep 0. */
ptrdiff_t rsk_forward_trace(const rsk_spec *spec, const rsk_plan *plan, ptrdiff_t trace, const float *attributes,
                            const float *counters, float counter, float *out, rsk_scratch *scratch);
void rsk_adjoint_trace(const rsk_spec *spec, const rsk_plan *plan, ptrdiff_t trace, const float *y, float *attributes,
                       float *counters, rsk_scratch *scratch);

/* One trace's sweep, as its steps see it. */
typedef struct rsk_forward {
    const rsk_spec *spec;
    const float *attributes, *counters; /* counters may be NULL: `counter` for all objects */
    const int64_t *attribute_ends;      /* of the trace's objects */
    float counter;
    rsk_scratch *s;
} rsk_forward;
rsk_forward rsk_forward_of(const rsk_spec *spec, const rsk_plan *plan, ptrdiff_t trace, const float *attributes, const float *counters,
                           float counter, rsk_scratch *scratch);
/* The vector that a slot stands for, of the skew family. */
static inline rsk_whole *rsk_whole_of(const rsk_scratch *s, int32_t slot) { return s->whole + (slot == RSK_SLOT_SKETCH ? 0 : 1 + slot); }
/* Runs steps from `step` on, before `end`. Returns as rsk_forward_trace. */
ptrdiff_t rsk_forward_steps(const rsk_forward *w, const rsk_step *step, const rsk_step *end);
/* out = the sketch that t stands for */
void rsk_settle(const rsk_spec *spec, const rsk_whole *t, float *out);

typedef struct rsk_backward {
    const rsk_spec *spec;
    const rsk_plan *plan;
    ptrdiff_t trace;
    float *attributes, *counters; /* counters may be NULL */
    rsk_scratch *s;
} rsk_backward;
/* The vector that a slot stands for. */
static inline float *rsk_slot(const rsk_scratch *s, int32_t slot) { return (float *)(void *)(s->slots + slot * s->stride); }
/* An OWN step: what its object's unknowns see of the tuple that sees y. */
void rsk_backward_own(const rsk_backward *w, const rsk_step *step, const float *y);
/* An INPUTS step: to (+)= what its object's inputs see of the tuple that sees y. */
void rsk_backward_inputs(const rsk_backward *w, const rsk_step *step, const float *y, float *to, int accumulate);
/* Runs steps before `end` backwards, down to `begin`; y is the vector of the slot RSK_SLOT_SKETCH. */
void rsk_backward_steps(const rsk_backward *w, const rsk_step *begin, const rsk_step *end, const float *y);

/* ---------------------------------------------------------------- split.c */

/* The sweeps of one trace on the team of `scratch`, as above. They return 0 where the trace is not split: it is small, its objects are
 * shared, too much of it is one chain, or memory is short. *bad is what rsk_forward_trace returns. */
int rsk_forward_split(const rsk_spec *spec, const rsk_plan *plan, ptrdiff_t trace, const float *attributes, const float *counters,
                      float counter, float *out, rsk_scratch *scratch, ptrdiff_t *bad);
int rsk_adjoint_split(const rsk_spec *spec, const rsk_plan *plan, ptrdiff_t trace, const float *y, float *attributes, float *counters,
                      rsk_scratch *scratch);
/* Whether that many threads would split a trace. */
int rsk_is_split(const rsk_spec *spec, const rsk_plan *plan, ptrdiff_t trace, int threads);

/* ---------------------------------------------------------------- share.c */

/* How the traces of a plan are shared out to threads: the first `split` of them are split, one after the other, and the others are
 * handed out whole, longest first. */
typedef struct rsk_sharing {
    const rsk_plan *plan;
    rsk_share *shares; /* (traces,) free with rsk_free; NULL: no memory */
    ptrdiff_t split;
    int workers;
    rsk_stop *stop;
    void (*run)(void *context, ptrdiff_t trace, rsk_scratch *scratch);
    void *context;
    rsk_scratch *scratch; /* (workers,) */
} rsk_sharing;
rsk_sharing rsk_share_out(const rsk_spec *spec, const rsk_plan *plan, int threads);
/* Calls run(context, trace, scratch of a worker) for every trace; the last four members of sharing are set. */
rsk_status rsk_run_shares(rsk_sharing *sharing);

#endif
