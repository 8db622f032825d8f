# Sums in fixed point (recsketch.h, sums.c). Included by _core.pyx.

cdef extern from "recsketch.h" nogil:
    rsk_status rsk_add_fixed(const float *, ptrdiff_t, ptrdiff_t, const int32_t *, ptrdiff_t, int64_t *, ptrdiff_t *)


def add_fixed(const float[:, ::1] x, const int32_t[::1] group, int64_t[:, ::1] sums) -> int:
    """sums[group] += rows of x in steps of 2^-32. Returns -1, or the number of the first bad row, when nothing is added."""
    cdef rsk_status status
    cdef ptrdiff_t where = -1
    if x.shape[1] != sums.shape[1] or group.shape[0] != x.shape[0]:
        raise ValueError("add_fixed: shapes that do not fit")
    if not x.shape[0]:
        return -1
    with nogil:
        status = rsk_add_fixed(&x[0, 0], x.shape[0], x.shape[1], &group[0], sums.shape[0], &sums[0, 0], &where)
    if status == RSK_EVALUE:
        return where
    check(status, nowhere())
    return -1
