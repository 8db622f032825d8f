/* From a sketch back to the run: one trace's linear map, the solvers on it, and the search for an unknown structure.
 *
 * docs/method.md has the mathematics: that of linear.c, solve.c and htp_sketch.c under "Known structure" and "Sparse attributes", that of
 * the others under "Unrolling". */
#ifndef RSK_READING_H
#define RSK_READING_H

#include "recursion/recursion.h"

/* ---------------------------------------------------------------- rounding */

/* What one float32 sweep rounds, as a share of the sketch's norm. Measured against tests/reference.py (float64, d = 512, trees of
 * depth 0 to 5, both rotations): 0.4e-7 to 1.6e-7. An adjoint sweep of r rounds a column of norm one by 1.3e-7 to 3e-7 times
 * |r| / sqrt(d). Every other floor is a multiple of this one. */
#define RSK_SWEEP_ROUNDING 1e-7
/* A sketch less what its exact unknowns sweep to: two sweeps, sqrt(2) 1.6e-7 at most. */
#define RSK_TWO_SWEEPS (3.0 * RSK_SWEEP_ROUNDING)
/* The same twice over, where a solver must not mistake rounding for a signal. */
#define RSK_SOLVER_ROUNDING (5.0 * RSK_SWEEP_ROUNDING)

/* Whether every object has elements beside its last `free` ones. */
static inline int rsk_leaves_attributes(const rsk_spec *spec, ptrdiff_t free) {
    for (ptrdiff_t m = 0; m < spec->modules; m++)
        if (free < 0 || free >= spec->module[m].length) return 0;
    return 1;
}

/* ---------------------------------------------------------------- linear.c */

/* One trace's map as solvers see it. Its n = attributes + counters unknowns are in the order of the plan's columns. */
typedef struct rsk_linear {
    const rsk_spec *spec;
    const rsk_plan *plan;
    ptrdiff_t trace;
    const uint8_t *mask;  /* (d,) 0: erased; NULL: nothing is */
    ptrdiff_t attributes; /* unknown attribute elements */
    ptrdiff_t counters;   /* unknown counters, one an object; or 0: they are known */
    double *scale;        /* (n,) an unknown is scale times the solvers' variable, whose column has norm one; 0: not an unknown */
    float *input;         /* (n,) scratch: what the forward sweep reads and the adjoint writes */
    float *image;         /* (d,) scratch: what the forward sweep writes and the adjoint reads */
    rsk_scratch *scratch;
    const struct rsk_ties *ties; /* or NULL: the solvers' variables are those of ties.c */
} rsk_linear;

/* A mask as it is stored, in the order of computing, where it stays until the next one; NULL for NULL. */
const uint8_t *rsk_load_mask(const rsk_spec *spec, const uint8_t *mask, rsk_scratch *scratch);
/* s = the kept coordinates of a sketch as it is stored, in the order of computing, as the mask is; 0 where it is erased. Returns how many
 * are kept, or -1 if one of them is NaN or larger than RSK_MAX_VALUE. */
ptrdiff_t rsk_load_kept(const rsk_spec *spec, const float *sketch, const uint8_t *mask, rsk_scratch *scratch, double *s);

/* image = mask (A input), where known counters are `counter`. Returns 0 if an input was out of range. */
int rsk_linear_forward(const rsk_linear *map, float counter);
/* g = scale A^T r; r is zero where the sketch is erased. Overwrites input and image. */
void rsk_linear_adjoint(const rsk_linear *map, const double *r, double *g);

/* The value of |g|^2 / |r|^2 below which a gradient is only the rounding of the float32 sweep that computed it: over all unknowns,
 * RSK_SOLVER_ROUNDING / sqrt(d) each. Iterations beyond it go astray. */
double rsk_linear_resolution(const rsk_linear *map);

/* rsk_cgls on the map A scale: work's m is d, its n attributes + counters. Uses input and image. */
int rsk_linear_cgls(const rsk_linear *map, const rsk_cgls_work *work, const double *damping, double goal, double relative, int most);

/* ---------------------------------------------------------------- htp_sketch.c */

/* What is sought, and memory for the search. */
typedef struct rsk_pursuit {
    ptrdiff_t most;  /* non-zero attribute elements of all objects; 0: as many as stand out of the noise */
    ptrdiff_t each;  /* the same of one object */
    ptrdiff_t free;  /* an object's last elements, which are always in the support, count for no limit and have any sign */
    int nonnegative; /* attribute elements are >= 0: steers the search; what it returns is not clipped */
    ptrdiff_t kept;  /* coordinates */
    double noise;    /* norm of what the kept part of s carries beside A x */
    double *scale;   /* (n,) out: the map's scale as it was */
    double *y;       /* (n,) scratch */
    double *best;    /* (n,) scratch */
    double *a;       /* (attributes,) scratch */
} rsk_pursuit;

/* Sparse u that makes |s - mask A scale u| small, from nothing. s is (d,), zero where erased. Known counters are 1; unknown ones are
 * always in the support. Overwrites all of work and of map. On return map->scale is 0 outside the support, and work->u is the
 * solution, rough (rsk_linear_cgls finds the last digits), and 0 there. Returns the iterations of CGLS, at most `most`. */
int rsk_pursue(const rsk_linear *map, const rsk_cgls_work *work, const rsk_pursuit *pursuit, const double *s, int most);

/* ---------------------------------------------------------------- tree.c */

enum { RSK_ROOT = -1 }; /* as a node's number: the owner of the network's outputs */

typedef struct rsk_node {
    int32_t parent;   /* the node that it is an input of; RSK_ROOT: an output */
    int32_t position; /* in its tuple */
    int32_t module;
    int32_t depth;   /* 0: an output */
    double own;      /* nats of evidence for the node by itself */
    double evidence; /* the same, with all below it */
    double credit;   /* nats that what was seen below it promised; counted in `evidence` while it has no children */
    int32_t trust;   /* rounds for which the credit counts */
} rsk_node;

/* A plan of one trace that grows. Nodes stand after their parents. Weights are 1, so that an object's unknowns are its attribute
 * and its counter times the weights of its path. Owns all its arrays. */
typedef struct rsk_tree {
    const rsk_spec *spec;
    ptrdiff_t count, capacity; /* nodes there are, and that there is memory for */
    rsk_node *node;            /* (capacity,) */
    rsk_plan plan;
    /* What rsk_tree_program writes, each a list in the order of the nodes' numbers that ends with -1: */
    int32_t *child; /* (capacity + 1,) node p's first child is child[p + 1]; the first output is child[RSK_ROOT + 1] */
    int32_t *next;  /* (capacity,) the next child of the same parent */
    int32_t *kin;   /* (capacity,) the next child of the same parent that is of the same module */
    uint8_t *eldest; /* (capacity,) 1: no sibling before it is of its module, so that it begins a list of kin */
    /* Scratch of rsk_tree_program: */
    int32_t *stack; /* (capacity,) */
    uint8_t *inner; /* (capacity + 1,) whether a child of node p has children, at p + 1 */
    int32_t *last;  /* (modules,) */
} rsk_tree;

int rsk_tree_create(const rsk_spec *spec, ptrdiff_t capacity, ptrdiff_t depth, rsk_tree *tree); /* 0: no memory */
void rsk_tree_free(rsk_tree *tree);
void rsk_tree_clear(rsk_tree *tree);
static inline int32_t rsk_tree_first(const rsk_tree *tree, ptrdiff_t p) { return tree->child[p + 1]; }
/* A rest has no position, and no inputs. */
static inline int rsk_is_rest(const rsk_tree *tree, ptrdiff_t i) { return tree->node[i].position == RSK_NO_POSITION; }
/* Amplitude of an output of weight 1, and that of an input of weight 1 over its user's. */
double rsk_tree_root(const rsk_spec *spec);
double rsk_tree_share(const rsk_spec *spec);
/* The counters of a tuple's members are known in sum: their parts (a counter's square, or where weights are linear or counts itself)
 * add up to the whole that k of them have, as the amplitude of the tuple's owner p tells. root: the amplitude of the outputs' tuple.
 * Balanced outputs have their whole over their mean mass, which nobody knows. */
double rsk_tree_part(const rsk_spec *spec, double counter);
double rsk_tree_owner(const rsk_tree *tree, ptrdiff_t p, const double *counter, double root);
double rsk_tree_whole(const rsk_spec *spec, double owner, ptrdiff_t k);
/* Whether parts are squares: weights are shares of energy. */
static inline int rsk_adds_squares(const rsk_spec *spec) {
    return spec->weighting == RSK_WEIGHTS_ENERGY || spec->weighting == RSK_WEIGHTS_BALANCED;
}
/* The factor that balanced weights give k inputs; that of max_inputs for more. */
static inline double rsk_kappa(const rsk_spec *spec, ptrdiff_t k) { return spec->kappa[k < spec->max_inputs ? k : spec->max_inputs]; }
void rsk_tree_add(rsk_tree *tree, int32_t parent, int32_t position, int32_t module);
/* Removes the nodes that drop marks, and all below them, marking these too. moved[i] = the new number of node i, or -1. */
void rsk_tree_prune(rsk_tree *tree, uint8_t *drop, int32_t *moved);
/* Writes the plan's steps and the lists above. */
void rsk_tree_program(rsk_tree *tree);

/* ---------------------------------------------------------------- local.c */

/* energy (blocks + 1) = that of each block of x (d), and of all. For the block family. */
void rsk_block_energies(const rsk_spec *spec, const float *x, double *energy);
/* How much less the noise of a counter's score is, in variance, than that of a column that is spread over the whole of a residual of these
 * energies; 1 for other families, which do not read them. The score is that of module m's counter at a position, in the residual's unit. */
double rsk_counter_weight(const rsk_spec *spec, ptrdiff_t module, ptrdiff_t position, const double *energy, double score);

/* ---------------------------------------------------------------- detect.c */

/* How many positions of a tuple are looked at. Halved, down to 16, while their scores are more than RSK_WINDOW_FLOATS. */
#define RSK_WINDOW 256
#define RSK_WINDOW_FLOATS ((ptrdiff_t)1 << 24)

/* Inputs that an object seems to have: a group of new ones at the end of its tuple, or another module in the place of one. */
typedef struct rsk_proposal {
    int32_t parent;   /* the object, or RSK_ROOT */
    int32_t position; /* of the first new input, or of the one that is replaced */
    int32_t replaces; /* that one's node; -1: none, the inputs are new */
    int32_t count;    /* of inputs; 1 where one is replaced */
    int32_t first;    /* their modules are modules[first] .. modules[first + count - 1] of the detector */
    double score;     /* nats */
    double amplitude; /* expected of each */
    double credit;    /* nats in the score that what stands below the first of them brought */
} rsk_proposal;

/* Passes over a vector times d from which on threads share such work: some tenths of a millisecond, where handing it out takes microseconds.
 * A step down takes 4 passes, a leaf's adjoint as many, and what is below a candidate at least 16. */
#define RSK_SHARED_WORK ((ptrdiff_t)1 << 19)

/* A step of a way down: a module, and whether its inputs are seen at the position of a tuple's first member or, pooled, at none. */
typedef struct rsk_way_step {
    int32_t module, pooled;
    int32_t from; /* number of the way that it goes on, at the level above */
} rsk_way_step;

typedef struct rsk_detector {
    const rsk_spec *spec;
    ptrdiff_t capacity; /* of trees it is used for */
    ptrdiff_t window;   /* positions of a tuple that are looked at */
    /* Set by the caller before each call: */
    const uint8_t *allowed; /* (modules + 1, modules) not 0: the column's module may be an input of the row's; last row: an output */
    const double *counter;  /* (nodes,) of the tree, fitted */
    const double *rho2;     /* (modules,) mean square norm of a module's attributes */
    const uint8_t *unseen;  /* (modules,) flags. 1: no object tells that norm, and each of RSK_NORMS multiples of norm2 is tried */
    double norm2;           /* the mean of rho2 over all attributes of the sketch, as far as its energy tells */
    const float *columns;   /* of rsk_counter_columns */
    double share;           /* of the coordinates that are kept */
    double noise;           /* standard deviation of the score of a column */
    double shrink;          /* mean of that score over the column's amplitude */
    double threshold;       /* nats, least score of a proposal */
    int bold;               /* flag. 1: the search is stuck, so that more is tried (docs/method.md) */
    double root;            /* amplitude of the outputs' tuple, 1 without a mask */
    ptrdiff_t max_depth;
    rsk_stop *stop; /* as in rsk_scratch */
    int worker;
    struct rsk_detector *team; /* (threads,) detectors whose scratch the threads of one search use, this one first */
    int threads;               /* 1: team is not read */
    /* Results: */
    ptrdiff_t proposals;    /* how many, at most 2 capacity + 1: one a node that is replaced, and one a tuple */
    ptrdiff_t used;         /* how many modules they name, at most capacity + window */
    rsk_proposal *proposal; /* (2 capacity + 1,) */
    int32_t *modules;       /* (capacity + window,) */
    /* Scratch. Of the tuple that is looked at: */
    float *below;      /* three vectors of d: the residual below the path's nodes, in turn */
    float *ways;       /* RSK_LOOK_VECTORS(threads) vectors of d: the residual below candidates, or along ways down from one */
    float *scores;     /* (window, length + 1): a module's attribute and counter scores at each position */
    double *z, *e;     /* (window, modules): counter's score, and sum of the attribute's squared scores, in units of the noise */
    double *like;      /* (window, modules): log-likelihood ratio */
    double *weight;    /* (window, modules) of counters' scores, see rsk_counter_weight */
    double *noise_of;  /* (modules,) the factor that decorrelation changes the noise by */
    double *energy;    /* (blocks + 1,) of the tuple's residual */
    double *frequency; /* (modules,) how often a module has come up so far, while modules are learned */
    double *nats;      /* (modules,) evidence at one position, while modules are learned */
    int32_t *taken;    /* (window,) module at a position; -1: none */
    int32_t *child_at; /* (window,) its node, where one is */
    double *group;     /* (window + 128,) evidence of a group of new members, for each amplitude that is tried */
    uint8_t *inner;    /* (window,) whether that node has inputs */
    float *near;       /* (RSK_LOOK_TOGETHER, modules) counters' scores, pooled, of so many candidates */
    float *first;      /* (modules,) the same of one, at the first position */
    double *look;      /* (2, modules) scratch of looking below candidates */
    int32_t *path;     /* (depth + 1,) nodes up to the outputs */
    ptrdiff_t level;   /* how many of them there are */
    rsk_way_step *tried, *trail; /* (depth, RSK_WAYS) ways down, level by level; (depth + 1,) the best of them */
    /* The likeliest way down that was seen, from the outputs: */
    rsk_way_step *seen;    /* (depth + 1,) */
    ptrdiff_t seen_levels; /* 0: none */
    double seen_value;     /* nats that it brought when it was last looked at */
    const rsk_tree *tree;  /* that is looked at */
    /* Of a sweep: */
    float *object, *spare, *padded, *work;
} rsk_detector;

/* The detector as a thread of its team sees it, with scratch of its own of a sweep and for scores. */
rsk_detector rsk_detector_of(const rsk_detector *detector, int worker);
/* Calls task(context, worker, begin, end) over [0, n), on the team's threads if there is one and so many passes over a vector are worth it,
 * one item after the other; else once, with worker 0, which is then whoever the detector's worker is. */
void rsk_detector_share(const rsk_detector *detector, ptrdiff_t passes, ptrdiff_t n, rsk_task *task, void *context);
static inline int rsk_detector_shares(const rsk_detector *q, ptrdiff_t passes) {
    return q->threads > 1 && passes >= RSK_SHARED_WORK / q->spec->dim;
}

/* Multiples of the mean square norm of a sketch's attributes, tried for modules of which nothing is known: from 4 down by FALL each. */
#define RSK_NORMS 7
#define RSK_NORM_FALL 5.0
static inline double rsk_norm_tried(int i) {
    double at = 4.0;
    while (i-- > 0) at /= RSK_NORM_FALL;
    return at;
}

int rsk_detector_create(const rsk_spec *spec, ptrdiff_t capacity, ptrdiff_t depth, int threads, rsk_detector *detector); /* 0: no memory */
void rsk_detector_free(rsk_detector *detector);
/* All proposals that a residual (d,) supports. The tree's lists are up to date. */
void rsk_detect(rsk_detector *detector, const rsk_tree *tree, const float *residual);
/* The log-likelihood ratio of an object of amplitude alpha against none: z is its counter's score, of that weight, e the sum of its
 * attribute's squared scores, length of them; z, e and alpha in units of the noise. */
double rsk_likelihood(double z, double weight, double e, double length, double alpha, double rho2);

/* ---------------------------------------------------------------- look.c */

#define RSK_LOOK_TOGETHER 16 /* candidates that are looked below at once, or by threads together ways that go on */
#define RSK_WAYS 12          /* ways down that are followed at once */
/* Vectors of rsk_detector.ways: those of a level and the next one, one each of ways that go on, and one to spare. */
#define RSK_LOOK_VECTORS(threads) (2 * RSK_WAYS + ((threads) > 1 ? RSK_LOOK_TOGETHER : 1) + 1)
#define RSK_BRANCHES 4       /* likeliest modules of a level that are looked below */

/* (modules, d) floats: the counters' columns T_M T_attr c_M, of norm one; NULL if there is no memory. Free with rsk_free. */
float *rsk_counter_columns(const rsk_spec *spec);
/* nats[m] = what the counters of all that may stand below a candidate say, module m at that position of the tuple that sees x, for every
 * module that `candidates` marks: half the squares of their scores above 0, less a bar each, summed.
 *
 * Candidates cannot be told apart by themselves where many siblings are alike: their counters add up in the identity branches, and
 * are taken for one loud object a level above. What stands below an object shows which it is. */
void rsk_look_near(const rsk_detector *detector, const float *x, const uint8_t *candidates, ptrdiff_t position, double *nats);
/* to = x as the inputs of an object of module m see it, which stands at that position of the tuple that sees x. Uses detector->object. */
void rsk_step_below(const rsk_detector *detector, const float *x, ptrdiff_t m, ptrdiff_t position, float *to);
/* What the levels below these say, `levels` of them at most, for one candidate; x is one of detector->below. The likeliest way down that
 * was ever seen is looked at again where it leads there; rsk_look_forget makes it count less, or with `all` nothing. */
double rsk_look_below(rsk_detector *detector, const float *x, ptrdiff_t position, ptrdiff_t m, ptrdiff_t levels);
void rsk_look_forget(rsk_detector *detector, int all);

/* ---------------------------------------------------------------- ties.c */

/* Which nodes of a tree are uses of one object, as their signatures tell. Those of a group share all unknowns but their counters. */
typedef struct rsk_ties {
    ptrdiff_t signature; /* an object's last elements, which tell it from others; 0: nothing is ever tied, and nothing below is there */
    int any;             /* flag. 1: some nodes are tied; 0: the arrays are not read */
    int32_t *lead;  /* (capacity,) the first node of a node's group: itself where it is not tied */
    int32_t *next;  /* (capacity,) the next node of the group, or -1 */
    double *share;  /* (capacity,) c_i / C, where C^2 is the sum of c_i^2 over the group */
    double *size;   /* (capacity,) C, of leads */
    double *column; /* (capacity,) one over the norm of the counter's column, which brings u with it */
    double *u;      /* (room,) what the group's nodes hold over their counters, at the place of the lead's unknowns */
    double *full;   /* (room + capacity,) scratch */
    int32_t *first, *saved; /* (capacity,) scratch */
} rsk_ties;

int rsk_ties_create(ptrdiff_t signature, ptrdiff_t capacity, ptrdiff_t room, rsk_ties *ties); /* 0: no memory */
void rsk_ties_free(rsk_ties *ties);
static inline int rsk_is_tied(const rsk_ties *t, ptrdiff_t i) { return t->any && (t->lead[i] != i || t->next[i] >= 0); }
/* Node i is new. */
void rsk_ties_add(rsk_ties *ties, ptrdiff_t i);
/* Nodes have new numbers, see rsk_tree_prune. rsk_ties_set must follow. */
void rsk_ties_move(rsk_ties *ties, ptrdiff_t n, const int32_t *moved);
/* Sets all but lead from it and a fit's unknowns. */
void rsk_ties_set(rsk_ties *ties, const rsk_tree *tree, const double *x, const double *c);
/* The solvers' variables are in the places of the unknowns. All elements and counters that they stand for; and the transpose, in place. */
const double *rsk_ties_unfold(const rsk_ties *ties, const rsk_plan *plan, ptrdiff_t attributes, const double *p);
void rsk_ties_fold(const rsk_ties *ties, const rsk_plan *plan, ptrdiff_t attributes, double *g);
/* In place: the variables at elements and counters u that rsk_ties_set was given, and back. linear: what is solved for is an error, from
 * zero, of which x_i has the share of C du; otherwise x_i = c_i u. */
void rsk_ties_enter(const rsk_ties *ties, const rsk_plan *plan, ptrdiff_t attributes, int linear, double *u);
void rsk_ties_leave(const rsk_ties *ties, const rsk_plan *plan, ptrdiff_t attributes, int linear, double *u);

/* ---------------------------------------------------------------- fit.c */

/* The objects of a tree, fitted jointly to one sketch. An object's unknowns are its attribute and its counter times the amplitude:
 * x and c, whose columns have norm one on the kept coordinates. Amplitudes, x and c are in the sketch's unit. */
typedef struct rsk_fit {
    const rsk_spec *spec;
    int team; /* scratches of the map */
    rsk_tree tree;
    rsk_linear map;
    rsk_cgls_work work; /* work.r: the residual */
    rsk_ties ties;
    int linear; /* flag. 1: what is fitted is an error, see rsk_ties_leave */
    /* What the caller says of attributes: */
    double told_norm2;  /* their mean square norm; 0: not known */
    const rsk_sparsity *told; /* (modules,), or NULL: all are dense */
    ptrdiff_t free;           /* an object's last elements, which are dense */
    uint8_t *sparse;          /* (modules,) whether a module's attributes are taken to be mostly zero */
    int any_sparse;
    ptrdiff_t rests; /* the last nodes of the tree, which stand for what tuples lack (rest.c) */
    int gaps; /* flag. 1: objects may stand behind a position that holds none, as they do where an unsure one was taken out */
    ptrdiff_t objects;  /* that there may be */
    ptrdiff_t capacity; /* objects and rests that there is memory for */
    ptrdiff_t room;     /* unknowns of objects that there is memory for */
    ptrdiff_t memory;   /* the same of objects and rests */
    /* Of the sketch: */
    double *s;        /* (d,) its kept coordinates, 0 where it is erased */
    ptrdiff_t kept;   /* how many are kept */
    double energy;    /* |s|^2 */
    double floor;     /* what rounding may leave of |r|^2 */
    double noise2;    /* the sketch's own error, squared, a coordinate */
    double root;      /* amplitude of the outputs' tuple: sqrt(kept / d) */
    double norm2;     /* squared norm expected of attributes of which nothing is known */
    /* Of the fit as a whole: */
    ptrdiff_t iterations; /* of CGLS, since the sketch was loaded */
    double square;        /* |r|^2 */
    double spread;        /* standard error of a fitted column */
    double shrink;        /* 1 - degrees of freedom / kept */
    double missing;       /* energy of what was not found: partly in |r|^2, partly in the fitted objects */
    /* Of unknowns and objects: */
    double *x;       /* (memory,) attribute elements */
    double *damping; /* (memory,) that they were fitted with */
    double *prior;   /* (memory,) their variance before the sketch is seen */
    double *scale;   /* (memory,) the map's scale */
    double *c;       /* (capacity,) counters */
    double *alpha;   /* (capacity,) likeliest amplitudes */
    /* (capacity,) During the search it holds the counters that detection assumes; afterwards, the standard error that an element of
     * an attribute would have without damping. */
    double *error;
    double *free_error;  /* (capacity,) of the elements of x that are no part of an attribute, which are hardly damped */
    double *count_error; /* (capacity,) of c */
    double *rest_count;  /* (capacity,) of a rest, how many members it stands for */
    double *rest_error;  /* (capacity,) the standard error of that */
    double *rho2;   /* (modules,) mean square norm of an attribute */
    uint8_t *unseen; /* (modules,) flags. 1: rho2 is a guess, as no object of the module is clear and nobody told */
    double *rate;   /* (modules,) the share of its elements that are not zero */
    double *tally;  /* (4, modules) scratch of rsk_fit_norms */
    uint8_t *drop;  /* (capacity,) marks for rsk_fit_remove */
    int32_t *moved; /* (capacity,) scratch */
    double *inverse, *pooled; /* (capacity,), (longest attribute,) scratch of the preconditioner */
} rsk_fit;

#define RSK_RATE 0.1       /* of elements that are not zero, in sparse attributes of which nothing is known */
#define RSK_CLEAR 6.0      /* standard errors at which a counter certainly differs from none */
#define RSK_SPARSE_ROOM 12 /* unknowns a coordinate that there is memory for where attributes are sparse */
#define RSK_TIED_ROOM 3    /* the same where copies can be tied */
/* Multiples of rsk_fit.floor, which is a squared norm: */
#define RSK_EXACT 4.0      /* twice as large as a norm: all is explained */
#define RSK_NEARLY 100.0   /* ten times as large: nothing can be missing, though the fit may not have converged */

/* stop is looked at as `worker`. team: threads that sweeps may be split among, once map.scratch->team says so; 1 unless worker is 0.
 * Returns 0 if there is no memory. */
int rsk_fit_create(const rsk_spec *spec, const rsk_unroll_params *params, rsk_stop *stop, int worker, int team, rsk_fit *fit);
void rsk_fit_free(rsk_fit *fit);
/* Starts with a sketch and no objects. Returns 0 if a kept coordinate is NaN or too large. noise: rms error of a coordinate. */
int rsk_fit_load(rsk_fit *fit, const float *sketch, const uint8_t *mask, double noise);
ptrdiff_t rsk_fit_unknowns(const rsk_fit *fit);
/* The same without ties: what must be within room. */
ptrdiff_t rsk_fit_places(const rsk_fit *fit);
/* Needs count < capacity, and that many unknowns more within room. */
void rsk_fit_add(rsk_fit *fit, int32_t parent, int32_t position, int32_t module, double amplitude);
/* Removes what drop marks, and all below it. */
void rsk_fit_remove(rsk_fit *fit);
/* Fits all unknowns from where they are, until |g|^2 <= tolerance |r|^2 unknowns / kept. damping 1: as the priors say; less: as for a
 * residual so much smaller. 0: least squares until |g|^2 is `tolerance` of what it was, for the last digits of a fit that is nearly there. */
void rsk_fit_solve(rsk_fit *fit, double damping, double tolerance);
static inline double rsk_fit_length(const rsk_fit *fit, ptrdiff_t i) { return (double)fit->spec->module[fit->tree.node[i].module].length; }
/* Whether object i has elements that are mostly zero: its first ones, before rsk_fit_sparse_end. */
static inline int rsk_fit_is_sparse(const rsk_fit *fit, ptrdiff_t i) {
    return fit->sparse[fit->tree.node[i].module] && !rsk_is_rest(&fit->tree, i);
}
static inline int64_t rsk_fit_sparse_end(const rsk_fit *fit, ptrdiff_t i) {
    const int64_t *end = &fit->tree.plan.attribute_ends[i];
    return rsk_fit_is_sparse(fit, i) ? end[1] - fit->free : end[0];
}
/* The variance of dense element k, of object i, before the sketch is seen. */
double rsk_fit_dense_prior(const rsk_fit *fit, ptrdiff_t i, int64_t k, double amplitude);
/* An element as it would be without damping: A^T r = damping x, and one more column would see A^T r = shrink times what it adds. */
double rsk_fit_free_element(const rsk_fit *fit, int64_t k);
/* Whether element k, of object i, is likelier not zero than zero; always true where attributes are dense. */
int rsk_fit_in_support(const rsk_fit *fit, ptrdiff_t i, int64_t k);
/* Whether there are fewer unknowns than coordinates, without which a small residual says nothing. */
static inline int rsk_fit_determined(const rsk_fit *fit) { return rsk_fit_unknowns(fit) < fit->kept || fit->any_sparse; }
/* Whether nothing can be missing: the residual is about that of rounding, or of the sketch's own error. */
int rsk_fit_clean(const rsk_fit *fit);
/* Sets the map, its scales and the damping for the tree as it is. */
void rsk_fit_prepare(rsk_fit *fit, double damping);
/* square, spread and shrink of the residual. A prior of variance tau^2 shrinks an element by tau^2 / (tau^2 + spread^2). For a
 * random operator spread^2 = |r|^2 / kept / shrink^2, where 1 - shrink is the sum of all those factors over kept. */
void rsk_fit_estimate_noise(rsk_fit *fit);

/* ---------------------------------------------------------------- evidence.c */

/* Computes the evidence of every object and of all below it, less `cost` each. Marks what tuples are better off without: of each
 * tuple, the positions behind the prefix of largest evidence. Returns the number of marks. */
ptrdiff_t rsk_fit_prune(rsk_fit *fit, double cost);
/* rho2 and rate, from the objects that are certainly there. */
void rsk_fit_norms(rsk_fit *fit);
/* Sets `sparse` of the modules that the caller left open, from the objects that are likely there: mostly zero, if that explains their
 * elements better. Modules of which these say little are as the others are. Returns whether any became sparse. */
int rsk_fit_decide(rsk_fit *fit);

/* ---------------------------------------------------------------- ties.c, of a fit */

/* Ties nodes that look like copies of one object, and fits; takes that back if the sketch is explained worse. Returns whether any were
 * tied that were not. spare: rsk_fit_spare(fit) doubles. */
int rsk_fit_tie(rsk_fit *fit, double *spare);

/* ---------------------------------------------------------------- rest.c */

/* What a tuple's members amount to. */
typedef struct rsk_tuple {
    int32_t last;      /* the last position that is taken; -1: none is */
    ptrdiff_t members; /* how many were found */
    double sum;        /* of their counters, those below 0 left out */
    double used;       /* of their parts */
    ptrdiff_t rests;   /* rests of the tuple */
    double pooled;     /* sum of the amplitudes of the members that these stand for */
} rsk_tuple;

/* The tuple of p, whose members' counters are c. The tree's lists are up to date. */
rsk_tuple rsk_fit_tuple(const rsk_fit *fit, ptrdiff_t p, const double *c);
/* How many members a tuple of some seems to lack, if they have the mean share of those that are there: the parts of all then sum to what
 * p's counter tells. 0 where that is not known. */
double rsk_fit_lacks(const rsk_fit *fit, ptrdiff_t p, const rsk_tuple *tuple);
/* Adds rests, fits them with all objects, and sets their counts: of modules that were found in a tuple, and of others that are allowed
 * there and stand out. What the objects are fitted to beside them is left in x and c. */
void rsk_fit_pool(rsk_fit *fit, const uint8_t *allowed, ptrdiff_t max_depth);
/* count[i] = how many members rest i stands for, if all counters are c, and error2 the squares of their errors. */
void rsk_fit_counts(const rsk_fit *fit, const double *c, const double *error2, double *count);

/* ---------------------------------------------------------------- uncertainty.c */

/* error and missing, for a fit that may have left things out; and of rests their counts and the errors of these.
 * spare: rsk_fit_spare(fit) doubles. */
void rsk_fit_uncertainty(rsk_fit *fit, const uint8_t *allowed, ptrdiff_t max_depth, double *spare);
ptrdiff_t rsk_fit_spare(const rsk_fit *fit);

#endif
