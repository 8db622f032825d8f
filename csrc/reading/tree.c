/* A tree of objects that grows and shrinks, and the plan that the sweeps run for it: what unrolling fits. */
#include "reading/reading.h"

#include <math.h>
#include <string.h>

void rsk_tree_free(rsk_tree *t) {
    rsk_free(t->node);
    rsk_free(t->order);
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
    t->order = rsk_alloc(3 * capacity + 1, sizeof *t->order);
    rsk_plan *p = &t->plan;
    p->spec = spec;
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
    if (t->node && t->order && p->objects && p->attribute_ends && p->begin && p->count && p->module && p->uses &&
        p->amplitude && p->steps)
        return 1;
    rsk_tree_free(t);
    return 0;
}

void rsk_tree_clear(rsk_tree *t) {
    t->count = 0;
    t->plan.objects[1] = t->plan.attribute_ends[0] = 0;
    rsk_tree_program(t);
}

double rsk_tree_share(const rsk_spec *spec) {
    const double t2 = spec->cosine * spec->cosine + spec->sine * spec->sine;
    return spec->branch * t2 * sqrt(t2);
}

double rsk_tree_root(const rsk_spec *spec) { return rsk_tree_share(spec) * spec->gain; }

double rsk_tree_part(const rsk_spec *spec, double counter) {
    return spec->energy ? counter * counter : fmax(counter, 0.0);
}

double rsk_tree_whole(const rsk_tree *t, ptrdiff_t p, const double *counter, double root) {
    return rsk_tree_part(t->spec, p < 0 ? rsk_tree_root(t->spec) * root : rsk_tree_share(t->spec) * fmax(counter[p], 0.0));
}

void rsk_tree_add(rsk_tree *t, int32_t parent, int32_t position, int32_t module) {
    const int32_t i = (int32_t)t->count++;
    const int32_t depth = parent < 0 ? 0 : t->node[parent].depth + 1;
    const rsk_node n = {parent, position, module, depth, 0.0, 0.0};
    t->node[i] = n;
    const double above = depth == 0 ? rsk_tree_root(t->spec)
                                    : t->plan.amplitude[parent] / t->spec->module[t->node[parent].module].scale *
                                          rsk_tree_share(t->spec);
    t->plan.module[i] = module;
    t->plan.uses[i] = 1;
    t->plan.amplitude[i] = above * t->spec->module[module].scale;
    t->plan.attribute_ends[i + 1] = t->plan.attribute_ends[i] + t->spec->module[module].length;
    t->plan.objects[1] = t->count;
}

void rsk_tree_prune(rsk_tree *t, uint8_t *drop, int32_t *moved) {
    int32_t kept = 0;
    for (int32_t i = 0; i < t->count; i++) {
        const rsk_node n = t->node[i];
        if (n.parent >= 0 && drop[n.parent]) drop[i] = 1;
        moved[i] = drop[i] ? -1 : kept;
        if (drop[i]) continue;
        t->node[kept] = n;
        t->node[kept].parent = n.parent < 0 ? -1 : moved[n.parent];
        t->plan.module[kept] = n.module;
        t->plan.amplitude[kept] = t->plan.amplitude[i];
        t->plan.attribute_ends[kept + 1] = t->plan.attribute_ends[kept] + t->spec->module[n.module].length;
        kept++;
    }
    t->count = kept;
    t->plan.objects[1] = kept;
}

void rsk_tree_program(rsk_tree *t) {
    const int32_t n = (int32_t)t->count;
    /* children of each node as a list: child[i + 1] is the first (child[0]: of the root), next[i] the following one */
    int32_t *child = t->order, *next = t->order + t->capacity + 1, *stack = next + t->capacity;
    for (int32_t i = 0; i <= n; i++) child[i] = -1;
    for (int32_t i = n - 1; i >= 0; i--) next[i] = child[t->node[i].parent + 1], child[t->node[i].parent + 1] = i;
    rsk_step *step = t->plan.steps;
    int32_t top = 0, at = child[0];
    /* stack: the nodes whose children are being done. A node's step stands after those of its children; its tuple's vector
     * has the number of its depth, and is one of doubles if one of the tuple's members has inputs */
    while (at >= 0 || top > 0) {
        if (at >= 0 && child[at + 1] >= 0) {
            stack[top++] = at;
            at = child[at + 1];
            continue;
        }
        const int32_t i = at >= 0 ? at : stack[--top];
        const rsk_node *v = &t->node[i];
        int own = 0, inside = 0;
        for (int32_t c = child[v->parent + 1]; c >= 0; c = next[c]) own |= child[c + 1] >= 0;
        for (int32_t c = child[i + 1]; c >= 0; c = next[c]) inside |= child[c + 1] >= 0;
        const rsk_step s = {.object = i, .module = v->module, .position = v->position,
                            .src = child[i + 1] >= 0 ? v->depth : -1, .dst = v->parent < 0 ? -1 : v->depth - 1,
                            .weight = 1.0f, .kind = RSK_STEP_OBJECT,
                            .flags = (uint8_t)((child[v->parent + 1] == i ? RSK_FIRST : 0) | (own ? RSK_WIDE_DST : 0) |
                                               (inside ? RSK_WIDE_SRC : 0))};
        *step++ = s;
        at = next[i];
    }
    t->plan.count[0] = n;
}
