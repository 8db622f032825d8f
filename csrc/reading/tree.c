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
    t->eldest = rsk_alloc(2 * capacity + 1, sizeof *t->eldest); /* and wide */
    t->last = rsk_alloc(spec->modules, sizeof *t->last);
    rsk_plan *p = &t->plan;
    p->spec = spec->identity;
    p->traces = 1;
    p->vectors = p->wide_vectors = depth;
    p->objects = rsk_calloc(2, sizeof *p->objects);
    p->attribute_ends = rsk_calloc(capacity + 1, sizeof *p->attribute_ends);
    p->begin = rsk_calloc(1, sizeof *p->begin);
    p->count = rsk_calloc(1, sizeof *p->count);
    p->module = rsk_alloc(capacity, sizeof *p->module);
    p->uses = rsk_alloc(capacity, sizeof *p->uses);
    p->amplitude = rsk_alloc(capacity, sizeof *p->amplitude);
    p->steps = rsk_alloc(capacity, sizeof *p->steps);
    if (!t->node || !t->child || !t->eldest || !t->last || !p->objects || !p->attribute_ends || !p->begin || !p->count ||
        !p->module || !p->uses || !p->amplitude || !p->steps) {
        rsk_tree_free(t);
        return 0;
    }
    t->next = t->child + capacity + 1, t->kin = t->next + capacity, t->stack = t->kin + capacity;
    t->wide = t->eldest + capacity;
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
        t->wide[p + 1] = 0;
        for (int32_t c = rsk_tree_first(t, p); c >= 0; c = t->next[c]) {
            int32_t *last = &t->last[t->node[c].module];
            if (rsk_tree_first(t, c) >= 0) t->wide[p + 1] = 1;
            t->eldest[c] = *last < 0;
            if (*last >= 0) t->kin[*last] = c;
            t->kin[c] = -1;
            *last = c;
        }
        for (int32_t c = rsk_tree_first(t, p); c >= 0; c = t->next[c]) t->last[t->node[c].module] = -1;
    }
}

/* A node's step stands after those of its children. Its tuple's vector has the number of its depth. */
static rsk_step step_of(const rsk_tree *t, int32_t i) {
    const rsk_node *v = &t->node[i];
    const int first = rsk_tree_first(t, v->parent) == i;
    const rsk_step s = {.object = i, .module = v->module, .position = v->position, .weight = 1.0f, .kind = RSK_STEP_OBJECT,
                        .own = (float)t->spec->branch, .below = (float)t->spec->branch,
                        .src = rsk_tree_first(t, i) >= 0 ? v->depth : RSK_SLOT_NONE,
                        .dst = v->parent == RSK_ROOT ? RSK_SLOT_SKETCH : v->depth - 1,
                        .flags = (uint8_t)((first ? RSK_FIRST : 0) | (t->wide[v->parent + 1] ? RSK_WIDE_DST : 0) |
                                           (t->wide[i + 1] ? RSK_WIDE_SRC : 0))};
    return s;
}

void rsk_tree_program(rsk_tree *t) {
    list_children(t);
    rsk_step *step = t->plan.steps;
    int32_t top = 0, at = rsk_tree_first(t, RSK_ROOT);
    while (at >= 0 || top > 0) { /* the stack holds the nodes whose children are being visited */
        if (at >= 0 && rsk_tree_first(t, at) >= 0) {
            t->stack[top++] = at;
            at = rsk_tree_first(t, at);
            continue;
        }
        const int32_t i = at >= 0 ? at : t->stack[--top];
        *step++ = step_of(t, i);
        at = t->next[i];
    }
    t->plan.count[0] = (int32_t)t->count;
}
