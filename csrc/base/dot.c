/* The sum of products that all solvers use: its bits decide theirs. */
#include "base/base.h"

double rsk_dot(const double *a, const double *b, ptrdiff_t n) {
    double lane[RSK_LANES] = {0.0};
    ptrdiff_t i = 0;
    for (; i + RSK_LANES <= n; i += RSK_LANES)
        for (int l = 0; l < RSK_LANES; l++) lane[l] += a[i + l] * b[i + l];
    for (; i < n; i++) lane[i % RSK_LANES] += a[i] * b[i];
    for (int h = RSK_LANES / 2; h > 0; h /= 2)
        for (int l = 0; l < h; l++) lane[l] += lane[l + h];
    return lane[0];
}
