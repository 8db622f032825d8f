/* libFuzzer: rsk_plan_create on hostile columns, and the sweeps of what it lets pass. Needs clang:
 *
 *   cmake -S . -B build/fuzz -DRSK_PYTHON=OFF -DRSK_FUZZ=ON -DRSK_SANITIZE=ON -DRSK_OPENMP=OFF -DCMAKE_C_COMPILER=clang
 *   cmake --build build/fuzz && build/fuzz/rsk_fuzz_plan -max_len=1200 -max_total_time=20
 *
 * The input's bytes first describe a sound batch of at most 4 traces of 24 objects with 3 inputs each. Then they poke at it: each poke puts
 * 8 bytes of the input anywhere into a column. Every column is an allocation of its exact size, so that AddressSanitizer sees whatever
 * is read beyond it. The last offset of every offset column stays right: it is the caller's word for how long the next column is. */
#include "recsketch.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MODULES = 3, MAX_INPUTS = 4, DIM = 64, TRACES = 4, OBJECTS = 96, INPUTS = 3 * OBJECTS };

static const ptrdiff_t lengths[MODULES] = {1, 7, 80}; /* the last one is folded */

/* ---------------------------------------------------------------- the input */

typedef struct source {
    const uint8_t *data;
    size_t size, at;
} source;

static uint8_t byte_of(source *s) { return s->at < s->size ? s->data[s->at++] : 0; }
static uint64_t word_of(source *s) {
    uint64_t word = 0;
    for (int i = 0; i < 8; i++) word |= (uint64_t)byte_of(s) << 8 * i;
    return word;
}
/* below n > 0 */
static int32_t below(source *s, int32_t n) { return (int32_t)byte_of(s) % n; }

/* ---------------------------------------------------------------- a batch */

typedef struct columns {
    rsk_batch batch;
    int64_t *objects, *attribute_ends, *input_ends, *output_ends;
    int32_t *module, *inputs, *outputs;
    double *weights, *output_weights;
    ptrdiff_t n, e, o; /* objects, inputs, outputs */
} columns;

static void *exact(const void *from, ptrdiff_t count, size_t each) {
    void *p = malloc((size_t)count * each); /* of size 0: a pointer to nothing */
    if (!p) abort();
    if (count) memcpy(p, from, (size_t)count * each);
    return p;
}

static void sound_batch(source *s, columns *c) {
    int64_t objects[TRACES + 1] = {0}, attribute_ends[OBJECTS + 1] = {0}, input_ends[OBJECTS + 1] = {0}, output_ends[TRACES + 1] = {0};
    int32_t module[OBJECTS], inputs[INPUTS], outputs[3 * TRACES];
    double weights[INPUTS], output_weights[3 * TRACES];
    const ptrdiff_t traces = 1 + below(s, TRACES);
    c->n = c->e = c->o = 0;
    for (ptrdiff_t t = 0; t < traces; t++) {
        const int32_t count = 1 + below(s, OBJECTS / TRACES);
        for (int32_t i = 0; i < count; i++, c->n++) {
            module[c->n] = below(s, MODULES);
            attribute_ends[c->n + 1] = attribute_ends[c->n] + lengths[module[c->n]];
            for (int32_t fan = i ? below(s, 4) : 0; fan > 0; fan--, c->e++)
                inputs[c->e] = below(s, i), weights[c->e] = (double)below(s, 5) + (fan == 1);
            input_ends[c->n + 1] = c->e;
        }
        objects[t + 1] = c->n;
        for (int32_t fan = 1 + below(s, 3); fan > 0; fan--, c->o++)
            outputs[c->o] = below(s, count), output_weights[c->o] = (double)below(s, 5) + (fan == 1);
        output_ends[t + 1] = c->o;
    }
    c->objects = exact(objects, traces + 1, sizeof *objects), c->module = exact(module, c->n, sizeof *module);
    c->attribute_ends = exact(attribute_ends, c->n + 1, sizeof *attribute_ends);
    c->input_ends = exact(input_ends, c->n + 1, sizeof *input_ends), c->inputs = exact(inputs, c->e, sizeof *inputs);
    c->weights = exact(weights, c->e, sizeof *weights), c->output_ends = exact(output_ends, traces + 1, sizeof *output_ends);
    c->outputs = exact(outputs, c->o, sizeof *outputs);
    c->output_weights = exact(output_weights, c->o, sizeof *output_weights);
    c->batch = (rsk_batch){.traces = traces, .objects = c->objects, .module = c->module, .attribute_ends = c->attribute_ends,
                           .input_ends = c->input_ends, .inputs = c->inputs, .weights = c->weights,
                           .output_ends = c->output_ends, .outputs = c->outputs, .output_weights = c->output_weights};
}

static void poke(source *s, columns *c) {
    struct {
        void *at;
        size_t count, each; /* elements that may be changed */
    } const column[] = {{c->objects, (size_t)c->batch.traces, 8}, {c->attribute_ends, (size_t)c->n, 8},
                        {c->input_ends, (size_t)c->n, 8},         {c->output_ends, (size_t)c->batch.traces, 8},
                        {c->module, (size_t)c->n, 4},             {c->inputs, (size_t)c->e, 4},
                        {c->outputs, (size_t)c->o, 4},            {c->weights, (size_t)c->e, 8},
                        {c->output_weights, (size_t)c->o, 8}};
    const size_t which = byte_of(s) % (sizeof column / sizeof *column), place = byte_of(s);
    const uint64_t word = word_of(s);
    if (column[which].count == 0) return;
    char *p = (char *)column[which].at + place % column[which].count * column[which].each;
    if (column[which].each == 8) {
        memcpy(p, &word, 8);
    } else {
        const uint32_t half = (uint32_t)word;
        memcpy(p, &half, 4);
    }
}

static void columns_free(columns *c) {
    free(c->objects), free(c->attribute_ends), free(c->input_ends), free(c->output_ends), free(c->module), free(c->inputs);
    free(c->outputs), free(c->weights), free(c->output_weights);
}

/* ---------------------------------------------------------------- what must hold */

static void expect(int good) {
    if (!good) abort();
}

static void sweep(source *s, const rsk_spec *spec, const rsk_plan *plan, const columns *c) {
    const ptrdiff_t a = (ptrdiff_t)c->attribute_ends[c->n];
    float *x = calloc((size_t)a, sizeof *x), *counters = calloc((size_t)c->n, sizeof *counters);
    float *y = calloc((size_t)c->batch.traces * DIM, sizeof *y);
    double *amplitude = calloc((size_t)c->n, sizeof *amplitude);
    int32_t *uses = calloc((size_t)c->n, sizeof *uses);
    rsk_where where;
    expect(x && counters && y && amplitude && uses);
    expect(rsk_plan_amplitudes(plan, amplitude, uses) == RSK_OK);
    for (ptrdiff_t i = 0; i < c->n; i++) expect(uses[i] >= 0 && isfinite(amplitude[i]) && (uses[i] > 0 || amplitude[i] == 0));
    for (ptrdiff_t i = 0; i < a; i++) x[i] = (float)(i % 7 - 3);
    const uint64_t word = word_of(s); /* one element of any bits */
    const uint32_t bits = (uint32_t)word;
    memcpy(&x[(ptrdiff_t)(word >> 32) % a], &bits, sizeof bits);
    const rsk_status status = rsk_sketch(spec, plan, x, NULL, y, 1, NULL, &where);
    expect(status == RSK_OK || status == RSK_EVALUE);
    expect((status == RSK_EVALUE) == (where.trace >= 0) && where.trace < c->batch.traces);
    for (ptrdiff_t i = 0; i < c->batch.traces * DIM; i++) {
        if (status == RSK_OK) expect(isfinite(y[i]));
        else y[i] = (float)(i % 5 - 2);
    }
    expect(rsk_adjoint(spec, plan, y, x, counters, 1, NULL) == RSK_OK);
    for (ptrdiff_t i = 0; i < c->n; i++) expect(uses[i] > 0 || counters[i] == 0);
    free(x), free(counters), free(y), free(amplitude), free(uses);
}

static rsk_spec *spec_of(const char *rotation) {
    static const uint64_t ids[16] = {1, 2, 3, 4};
    static const double kappa[MAX_INPUTS + 1] = {1, 1, 1.5, 1.75, 2};
    const rsk_spec_params p = {.dim = DIM, .modules = MODULES, .max_inputs = MAX_INPUTS, .seed = 5, .rotation = rotation,
                               .cosine = 0.5, .sine = 0.75, .gain = 0.5, .branch = 0.5, .weighting = RSK_WEIGHTS_BALANCED, .ordered = 1, .ins = 2, .spread = 0.5, .kappa = kappa, .lengths = lengths,
                               .positions = ids, .operators = ids, .embeddings = ids, .counters = ids,
                               .branch_attr = 8, .branch_in = {9, 10}};
    rsk_spec *spec = NULL;
    expect(rsk_spec_create(&p, NULL, &spec) == RSK_OK);
    return spec;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static rsk_spec *specs[2];
    for (int i = 0; i < 2 && !specs[i]; i++) specs[i] = spec_of(i ? "hadamard" : "skew");
    source s = {data, size, 0};
    columns c;
    const rsk_spec *spec = specs[byte_of(&s) & 1];
    rsk_plan *plan = (rsk_plan *)(void *)&plan;
    rsk_where where = {-7, -7};
    sound_batch(&s, &c);
    for (int pokes = below(&s, 4); pokes > 0; pokes--) poke(&s, &c);
    const rsk_status status = rsk_plan_create(spec, &c.batch, 1 + below(&s, 3), &plan, &where);
    expect((plan != NULL) == (status == RSK_OK));
    expect(status == RSK_OK || (status >= RSK_EOFFSETS && status <= RSK_EFANOUT) || status == RSK_ESIZE);
    expect(where.trace >= -1 && where.trace < c.batch.traces && where.object >= -1 && where.object < c.n);
    if (plan) sweep(&s, spec, plan, &c);
    rsk_plan_free(plan);
    columns_free(&c);
    return 0;
}
