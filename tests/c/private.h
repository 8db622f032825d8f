/* A fit to work on, shared by the tests of private functions. */
#ifndef RSK_TESTS_PRIVATE_H
#define RSK_TESTS_PRIVATE_H

#include "contract.h"
#include "reading/reading.h"

enum { DIM = 512, NODES = 11 };

/* Users stand before their inputs. Tuples mix modules, and node 3 is the only one of its module among its siblings. */
extern const int32_t parents[NODES], places[NODES], kinds[NODES];
extern const uint8_t anything[(MODULES + 1) * MODULES]; /* every module may be an input of every one */

/* A fit of those nodes to random numbers, with every array of an object or an element set to numbers of its own. */
rsk_spec *fit_make(rsk_fit *f, int sparse, int energy);
int32_t node_without(int32_t node); /* its number once node 2 and all below it, 6 to 9, are dropped; -1: dropped too */
enum { DROPPED = 2 };

void test_fits(void);
void test_ties(void);

#endif
