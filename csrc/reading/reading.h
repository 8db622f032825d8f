/* From a sketch back to the run: one trace's linear map, the solvers on it, and the search for an unknown structure. */
#ifndef RSK_READING_H
#define RSK_READING_H

#include "recursion/recursion.h"

/* ---------------------------------------------------------------- linear.c */

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

/* ---------------------------------------------------------------- htp_sketch.c */

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
    rsk_stop *stop; /* as in rsk_scratch */
    int worker;
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
/* stop is looked at as `worker`. 0: no memory */
int rsk_fit_create(const rsk_spec *spec, const rsk_unroll_params *params, rsk_stop *stop, int worker, rsk_fit *fit);
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
void rsk_fit_estimate_noise(rsk_fit *fit);
/* Evidence of every object and all below it, less cost each. Marks what the tuples are better off without: of each tuple, the
 * positions behind the prefix of largest evidence. Returns the number of marks. */
ptrdiff_t rsk_fit_prune(rsk_fit *fit, double cost);
/* rho2, from the objects that are clearly there. */
void rsk_fit_norms(rsk_fit *fit);

/* ---------------------------------------------------------------- uncertainty.c */

/* error and missing, for a fit that may have left things out. spare: 2 (d + room + capacity) doubles. */
void rsk_fit_uncertainty(rsk_fit *fit, const uint8_t *allowed, ptrdiff_t max_depth, double *spare);

#endif
