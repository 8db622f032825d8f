/* The rotation families, by name. To add one: one file that fills rsk_family, one line here. */
#include "recursion/recursion.h"

#include <string.h>

static const rsk_family *const families[] = {&rsk_family_skew, &rsk_family_hadamard, &rsk_family_block};

const rsk_family *rsk_family_find(const char *name) {
    for (size_t i = 0; name && i < sizeof families / sizeof *families; i++)
        if (!strcmp(name, families[i]->name)) return families[i];
    return NULL;
}
