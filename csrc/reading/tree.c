/* The structure that unrolling fits: a tree of objects that grows and shrinks, and the plan that the sweeps run for it. */
#include "reading/reading.h"

#include <math.h>
#include <string.h>

void rsk_tree_free(rsk_tree *t) {
    rsk_free(t->node);
    rsk_free(t->child);
    rsk_free(t->eldest);
    rsk_free(t->last);
    rsk_free(t->plan.objects);
    rsk_free(t->plan.attribute_ends);
    rsk_free(t->plan.begin);
    rsk_free(t->plan.count);
    rsk_free(t->plan.module);
    rsk_free(t->plan.uses);
    rsk_free(t->plan.amplitude);
    rsk_free(t->plan.steps);
    memset(t, 0, sizeof *t);
}

int rsk_tree_create(const rsk_spec *spec, ptrdiff_t capacity, ptrdiff_t depth, rsk_tree *t) {
    memset(t, 0, sizeof *t);
    t->spec = spec;
    t->capacity = capacity;
    t->node = rsk_alloc(capacity, sizeof *t->node);
    t->child = rsk_alloc(4 * capacity + 1, sizeof *t->child); /* and next, kin, stack */
    t->eldest = rsk_alloc(2 * capacity + 1, sizeof *t->eldest); /* and inner */
    t->last = rsk_alloc(spec->modules, sizeof *t->last);
    rsk_plan *p = &t->plan;
    p->spec = spec->identity;
    p->traces = 1;
    p->vectors = depth;
    p->objects = rsk_calloc(2, sizeof *p->objects);
    p->attribute_ends = rsk_calloc(capacity + 1, sizeof *p->attribute_ends);
    p->begin = rsk_calloc(1, sizeof *p->begin);
    p->count = rsk_calloc(1, sizeof *p->count);
    p->module = rsk_alloc(capacity, sizeof *p->module);
    p->uses = rsk_alloc(capacity, sizeof *p->uses);
    p->amplitude = rsk_alloc(capacity, sizeof *p->amplitude);
    p->steps = rsk_alloc(2 * capacity, sizeof *p->steps);
    if (!t->node || !t->child || !t->eldest || !t->last || !p->objects || !p->attribute_ends || !p->begin || !p->count ||
        !p->module || !p->uses || !p->amplitude || !p->steps) {
        rsk_tree_free(t);
        return 0;
    }
    t->next = t->child + capacity + 1, t->kin = t->next + capacity, t->stack = t->kin + capacity;
    t->inner = t->eldest + capacity;
    for (ptrdiff_t m = 0; m < spec->modules; m++) t->last[m] = -1;
    return 1;
}

void rsk_tree_clear(rsk_tree *t) {
    t->count = 0;
    t->plan.objects[1] = t->plan.attribute_ends[0] = 0;
    rsk_tree_program(t);
}

double rsk_tree_share(const rsk_spec *spec) {
    const double t2 = spec->stretch2;
    return spec->branch * t2 * (spec->ins == 2 ? t2 : sqrt(t2));
}

double rsk_tree_root(const rsk_spec *spec) {
    return spec->branch * spec->stretch2 * sqrt(spec->stretch2) * spec->gain;
}

double rsk_tree_part(const rsk_spec *spec, double counter) {
    return rsk_adds_squares(spec) ? counter * counter : fmax(counter, 0.0);
}

double rsk_tree_owner(const rsk_tree *t, ptrdiff_t p, const double *counter, double root) {
    return p == RSK_ROOT ? t->spec->gain * root : fmax(counter[p], 0.0);
}

double rsk_tree_whole(const rsk_spec *spec, double owner, ptrdiff_t k) {
    const double level = rsk_tree_share(spec) * owner;
    switch (spec->weighting) {
    case RSK_WEIGHTS_BALANCED: return rsk_kappa(spec, k) * (level / spec->branch) * (level / spec->branch);
    case RSK_WEIGHTS_COUNT: return (double)k * level; /* weights of 1 */
    default: return rsk_tree_part(spec, level);
    }
}

void rsk_tree_add(rsk_tree *t, int32_t parent, int32_t position, int32_t module) {
    const int32_t i = (int32_t)t->count++;
    const rsk_node n = {.parent = parent, .position = position, .module = module,
                        .depth = parent == RSK_ROOT ? 0 : t->node[parent].depth + 1};
    t->node[i] = n;
    t->plan.module[i] = module;
    t->plan.uses[i] = 1;
    t->plan.amplitude[i] = parent == RSK_ROOT ? rsk_tree_root(t->spec) : t->plan.amplitude[parent] * rsk_tree_share(t->spec);
    t->plan.attribute_ends[i + 1] = t->plan.attribute_ends[i] + t->spec->module[module].length;
    t->plan.objects[1] = t->count;
}

void rsk_tree_prune(rsk_tree *t, uint8_t *drop, int32_t *moved) {
    int32_t kept = 0;
    for (int32_t i = 0; i < t->count; i++) {
        const rsk_node n = t->node[i];
        if (n.parent != RSK_ROOT && drop[n.parent]) drop[i] = 1;
        moved[i] = drop[i] ? -1 : kept;
        if (drop[i]) continue;
        t->node[kept] = n;
        t->node[kept].parent = n.parent == RSK_ROOT ? RSK_ROOT : moved[n.parent];
        t->plan.module[kept] = n.module;
        t->plan.amplitude[kept] = t->plan.amplitude[i];
        t->plan.attribute_ends[kept + 1] = t->plan.attribute_ends[kept] + t->spec->module[n.module].length;
        kept++;
    }
    t->count = kept;
    t->plan.objects[1] = kept;
}

/* The lists of children, and of each tuple what its members have in common. */
static void list_children(rsk_tree *t) {
    const int32_t n = (int32_t)t->count;
    for (int32_t i = 0; i <= n; i++) t->child[i] = -1;
    for (int32_t i = n - 1; i >= 0; i--) {
        int32_t *first = &t->child[t->node[i].parent + 1];
        t->next[i] = *first;
        *first = i;
    }
    for (int32_t p = RSK_ROOT; p < n; p++) {
        t->inner[p + 1] = 0;
        for (int32_t c = rsk_tree_first(t, p); c >= 0; c = t->next[c]) {
            int32_t *last = &t->last[t->node[c].module];
            if (rsk_tree_first(t, c) >= 0) t->inner[p + 1] = 1;
            t->eldest[c] = *last < 0;
            if (*last >= 0) t->kin[*last] = c;
            t->kin[c] = -1;
            *last = c;
        }
        for (int32_t c = rsk_tree_first(t, p); c >= 0; c = t->next[c]) t->last[t->node[c].module] = -1;
    }
}

/* A node's step, but for its kind. A tuple's vector has the number of its owner's depth. */
static rsk_step step_of(const rsk_tree *t, int32_t i) {
    const rsk_node *v = &t->node[i];
    double scale = 1.0; /* of the vector of its tuple */
    for (int32_t k = 0; k < v->depth; k++) scale = rsk_scale_below(t->spec, scale, t->spec->branch);
    const rsk_step s = {.object = i, .module = v->module, .position = v->position, .weight = 1.0,
                        .own = t->spec->branch, .below = t->spec->branch, .scale = scale, .src = RSK_SLOT_NONE,
                        .dst = v->parent == RSK_ROOT ? RSK_SLOT_SKETCH : v->depth - 1,
                        .flags = (uint8_t)(rsk_tree_first(t, i) >= 0 ? RSK_INNER : 0)};
    return s;
}

/* The own parts of all members of node p's tuple. */
static rsk_step *start_tuple(const rsk_tree *t, int32_t p, rsk_step *step) {
    rsk_step *const first = step;
    for (int32_t i = rsk_tree_first(t, p); i >= 0; i = t->next[i]) {
        *step = step_of(t, i);
        step->kind = RSK_STEP_OWN;
        if (t->inner[p + 1] && !t->spec->family->skew) step->flags |= RSK_WIDE;
        step++;
    }
    if (step == first) return step; /* no outputs yet */
    first->flags |= RSK_FIRST;
    first->members = (int32_t)(step - first);
    return step;
}

/* What the inputs of node i add. */
static rsk_step inputs_of(const rsk_tree *t, int32_t i) {
    const int32_t p = t->node[i].parent;
    rsk_step s = step_of(t, i);
    double members = 0.0;
    for (int32_t c = rsk_tree_first(t, p); c >= 0; c = t->next[c]) members++;
    s.kind = RSK_STEP_INPUTS;
    s.src = t->node[i].depth;
    s.scale /= rsk_scale_below(t->spec, s.scale, t->spec->branch);
    s.flags |= RSK_LAST;
    if (t->spec->family->skew ? rsk_turned_wide(p == RSK_ROOT, members) : t->inner[p + 1]) s.flags |= RSK_WIDE;
    if (!t->spec->family->skew && t->inner[i + 1]) s.flags |= RSK_WIDE_SRC;
    return s;
}

/* The first of node i and its next siblings that has children; -1 for none, and for i = -1. */
static int32_t inner_from(const rsk_tree *t, int32_t i) {
    while (i >= 0 && rsk_tree_first(t, i) < 0) i = t->next[i];
    return i;
}

/* As a plan's program: the inputs of a tuple's first member that has any come before the tuple's own parts. */
void rsk_tree_program(rsk_tree *t) {
    list_children(t);
    rsk_step *step = t->plan.steps;
    int32_t top = 0, p = RSK_ROOT, c = inner_from(t, rsk_tree_first(t, p)); /* the stack holds the nodes whose tuples are not done */
    for (;;) {
        if (c >= 0) {
            t->stack[top++] = p = c;
            c = inner_from(t, rsk_tree_first(t, p));
            continue;
        }
        if (!t->inner[p + 1]) step = start_tuple(t, p, step);
        if (!top) break;
        const int32_t i = t->stack[--top];
        p = t->node[i].parent;
        if (inner_from(t, rsk_tree_first(t, p)) == i) step = start_tuple(t, p, step);
        *step++ = inputs_of(t, i);
        c = inner_from(t, t->next[i]);
    }
    t->plan.count[0] = (int32_t)(step - t->plan.steps);
}
