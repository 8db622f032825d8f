/* The sum of products that all solvers use: its bits decide theirs. */
#include "base/kernel_table.h"

double rsk_dot(const double *a, const double *b, ptrdiff_t n) { return rsk_kernels_current()->dot(a, b, n); }
