/* Strings of the block family in sketches: every documented status, memory, calls that are ended early, equal bits over threads. */
#include "contract.h"

enum { LEARN_DIM = 1024, LEARN_BLOCK = 32, PLACES = LEARN_DIM / LEARN_BLOCK, SKETCHES = 23, KNOWN = 50 };

typedef struct fixture {
    float *y;
    double *noise;
    uint64_t codes[KNOWN];
    rsk_peeling out;
} fixture;

static void make(fixture *f) {
    uint64_t state = 11;
    const size_t n = (size_t)SKETCHES * PLACES;
    *f = (fixture){.y = need(SKETCHES * LEARN_DIM, sizeof *f->y), .noise = need(SKETCHES, sizeof *f->noise)};
    f->out = (rsk_peeling){need(n * RSK_PEEL_MOST, 4), need(n * RSK_PEEL_MOST, 4), need(n, 4), need(n, 8), need(n, 1),
                           need(SKETCHES, 8), need(SKETCHES, 8)};
    for (int i = 0; i < KNOWN; i++) f->codes[i] = (next_word(&state) & 0xffff) << 15 | (uint64_t)i;
    for (int k = 0; k < SKETCHES * PLACES; k++)
        for (int s = 0; s < 3; s++) { /* three strings a block, one of which may not be known */
            const uint64_t code = k % 5 == s ? next_word(&state) >> 1 : f->codes[next_word(&state) % KNOWN];
            const float a = next_float(&state);
            for (int i = 0; i < LEARN_BLOCK; i++) f->y[k * LEARN_BLOCK + i] += code << 1 >> i & 1 ? -a : a;
        }
    for (int i = 0; i < SKETCHES; i++) f->noise[i] = i % 3 ? 0.0 : 0.01;
}

static void release(fixture *f) {
    free(f->y), free(f->noise);
    free(f->out.which), free(f->out.amplitude), free(f->out.rest), free(f->out.next), free(f->out.end), free(f->out.energy);
    free(f->out.left);
}

static rsk_status peel(const fixture *f, int threads, rsk_stop *stop) {
    return rsk_peel(LEARN_DIM, LEARN_BLOCK, SKETCHES, f->y, f->noise, KNOWN, f->codes, RSK_PEEL_MOST, &f->out, threads, stop);
}

static uint64_t digest(const fixture *f) {
    const size_t n = (size_t)SKETCHES * PLACES;
    uint64_t hash = fnv(FNV_START, f->out.which, n * RSK_PEEL_MOST, 4);
    hash = fnv(hash, f->out.amplitude, n * RSK_PEEL_MOST, 4);
    hash = fnv(fnv(hash, f->out.rest, n, 4), f->out.next, n, 8);
    return fnv(fnv(hash, f->out.energy, SKETCHES, 8), f->out.left, SKETCHES, 8);
}

static void test_layouts(void) {
    rsk_code_bits b;
    CHECK_STATUS(RSK_OK, rsk_code_layout(1024, 32, &b));
    CHECK(b.row == 5 && b.column == 10 && b.tag == 16 && b.code == 31 && b.tail == 0);
    CHECK_STATUS(RSK_OK, rsk_code_layout(2048, 64, &b));
    CHECK(b.row == 5 && b.column == 16 && b.tag == 27 && b.code == 48 && b.tail == 15);
    CHECK_STATUS(RSK_EINVAL, rsk_code_layout(1024, 32, NULL));
    static const ptrdiff_t bad[][2] = {{512, 32}, {1024, 64}, {1000, 32}, {4096, 16}, {4096, 128}, {4096, 33}, {4096, 0},
                                       {4096, -32}, {0, 32}, {-4096, 32}, {RSK_MAX_DIM, 32}, {2 * RSK_MAX_DIM, 64}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) CHECK_STATUS(RSK_EINVAL, rsk_code_layout(bad[i][0], bad[i][1], &b));
}

static void test_fields(void) {
    uint64_t fields[] = {65535, 1023, 31, 0, 0, 0, 12345, 77, 9}, codes[3], back[9];
    double signs[3], again[3];
    CHECK_STATUS(RSK_OK, rsk_codes_write(1024, 32, 3, fields, codes, signs));
    CHECK_STATUS(RSK_OK, rsk_codes_read(1024, 32, 3, codes, back, again));
    CHECK(!memcmp(fields, back, sizeof back) && !memcmp(signs, again, sizeof again));
    CHECK(codes[0] >> 31 == 0 && codes[1] == 0 && codes[2] >> 31 == 0);
    CHECK_STATUS(RSK_OK, rsk_codes_read(1024, 32, 0, codes, back, again));
    CHECK_STATUS(RSK_OK, rsk_codes_write(1024, 32, 0, fields, codes, signs));
    for (int i = 0; i < 3; i++) {
        uint64_t large[] = {0, 0, 0};
        static const int bits[] = {16, 10, 5};
        large[i] = (uint64_t)1 << bits[i];
        CHECK_STATUS(RSK_EVALUE, rsk_codes_write(1024, 32, 1, large, codes, signs));
        large[i] = UINT64_MAX;
        CHECK_STATUS(RSK_EVALUE, rsk_codes_write(1024, 32, 1, large, codes, signs));
    }
    CHECK_STATUS(RSK_EINVAL, rsk_codes_read(1024, 32, -1, codes, back, signs));
    CHECK_STATUS(RSK_EINVAL, rsk_codes_read(1024, 32, 1, NULL, back, signs));
    CHECK_STATUS(RSK_EINVAL, rsk_codes_read(1024, 32, 1, codes, NULL, signs));
    CHECK_STATUS(RSK_EINVAL, rsk_codes_read(1024, 32, 1, codes, back, NULL));
    CHECK_STATUS(RSK_EINVAL, rsk_codes_read(512, 32, 1, codes, back, signs));
    CHECK_STATUS(RSK_EINVAL, rsk_codes_write(1024, 32, -1, fields, codes, signs));
    CHECK_STATUS(RSK_EINVAL, rsk_codes_write(1024, 32, 1, NULL, codes, signs));
    CHECK_STATUS(RSK_EINVAL, rsk_codes_write(1024, 32, 1, fields, NULL, signs));
    CHECK_STATUS(RSK_EINVAL, rsk_codes_write(1024, 32, 1, fields, codes, NULL));
    CHECK_STATUS(RSK_EINVAL, rsk_codes_write(1024, 48, 1, fields, codes, signs));
}

static void test_peel_statuses(void) {
    fixture f;
    make(&f);
    const rsk_peeling *o = &f.out;
#define PEEL(dim, block, n, y, count, codes, most, out, threads) \
    rsk_peel(dim, block, n, y, f.noise, count, codes, most, out, threads, NULL)
    CHECK_STATUS(RSK_OK, PEEL(LEARN_DIM, 32, 0, f.y, KNOWN, f.codes, 4, o, 1));
    CHECK_STATUS(RSK_OK, PEEL(LEARN_DIM, 32, 1, f.y, 0, f.codes, 4, o, 1));
    CHECK(o->which[0] == -1 && o->end[0] != RSK_PEEL_DONE);
    CHECK_STATUS(RSK_EINVAL, PEEL(512, 32, 1, f.y, KNOWN, f.codes, 4, o, 1));
    CHECK_STATUS(RSK_EINVAL, PEEL(LEARN_DIM, 64, 1, f.y, KNOWN, f.codes, 4, o, 1));
    CHECK_STATUS(RSK_EINVAL, PEEL(LEARN_DIM, 32, -1, f.y, KNOWN, f.codes, 4, o, 1));
    CHECK_STATUS(RSK_EINVAL, PEEL(LEARN_DIM, 32, 1, NULL, KNOWN, f.codes, 4, o, 1));
    CHECK_STATUS(RSK_EINVAL, PEEL(LEARN_DIM, 32, 1, f.y, -1, f.codes, 4, o, 1));
    CHECK_STATUS(RSK_EINVAL, PEEL(LEARN_DIM, 32, 1, f.y, KNOWN, NULL, 4, o, 1));
    CHECK_STATUS(RSK_EINVAL, PEEL(LEARN_DIM, 32, 1, f.y, KNOWN, f.codes, 0, o, 1));
    CHECK_STATUS(RSK_EINVAL, PEEL(LEARN_DIM, 32, 1, f.y, KNOWN, f.codes, RSK_PEEL_MOST + 1, o, 1));
    CHECK_STATUS(RSK_EINVAL, PEEL(LEARN_DIM, 32, 1, f.y, KNOWN, f.codes, 4, NULL, 1));
    CHECK_STATUS(RSK_EINVAL, PEEL(LEARN_DIM, 32, 1, f.y, KNOWN, f.codes, 4, o, 0));
    for (int i = 0; i < 7; i++) {
        rsk_peeling lacking = f.out;
        void *none = NULL;
        memcpy((char *)&lacking + (size_t)i * sizeof none, &none, sizeof none); /* seven pointers, and nothing else */
        CHECK_STATUS(RSK_EINVAL, PEEL(LEARN_DIM, 32, 1, f.y, KNOWN, f.codes, 4, &lacking, 1));
    }
    const uint64_t twice[] = {7, 9, 7};
    CHECK_STATUS(RSK_EINVAL, PEEL(LEARN_DIM, 32, 1, f.y, 3, twice, 4, o, 1));
    CHECK_STATUS(RSK_OK, rsk_peel(LEARN_DIM, 32, 1, f.y, NULL, KNOWN, f.codes, 4, o, 1, NULL));
    EACH_ALLOCATION(peel(&f, 1, NULL), (void)0);
    release(&f);
}

static void test_peel_bits(void) {
    fixture f;
    make(&f);
    static const int threads[] = {1, 2, 3, 1000};
    CHECK_STATUS(RSK_OK, peel(&f, 1, NULL));
    const uint64_t want = digest(&f);
    int found = 0, unknown = 0;
    for (int k = 0; k < SKETCHES * PLACES; k++) found += f.out.which[k * RSK_PEEL_MOST + 1] >= 0, unknown += f.out.end[k] != RSK_PEEL_DONE;
    CHECK(found > 100 && unknown > 100); /* blocks of several strings, and blocks with one that is not known */
    for (const char *const *level = ISA_LEVELS; *level; level++) {
        if (!rsk_isa_available(*level)) continue;
        CHECK_STATUS(RSK_OK, rsk_isa_select(*level));
        for (int t = 0; t < 4; t++) {
            CHECK_STATUS(RSK_OK, peel(&f, threads[t], NULL));
            CHECK(digest(&f) == want);
        }
    }
    CHECK_STATUS(RSK_OK, rsk_isa_select(NULL));
    release(&f);
}

static int always(void *context) {
    (*(int *)context)++;
    return 1;
}

static void test_peel_stops(void) {
    fixture f;
    make(&f);
    for (int threads = 1; threads <= 2; threads++) {
        int asked = 0;
        rsk_stop stop = {.asked = always, .context = &asked, .next = 1}; /* long ago: the first look asks */
        CHECK_STATUS(RSK_ESTOP, peel(&f, threads, &stop));
        CHECK(asked == 1);
    }
    release(&f);
}

void test_learning(void) {
    RUN(test_layouts);
    RUN(test_fields);
    RUN(test_peel_statuses);
    RUN(test_peel_bits);
    RUN(test_peel_stops);
}
