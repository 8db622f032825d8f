# Sums in fixed point, and of attributes (recsketch.h, sums.c). Included by _core.pyx.

cdef extern from "recsketch.h" nogil:
    rsk_status rsk_add_fixed(const float *, ptrdiff_t, ptrdiff_t, const int32_t *, ptrdiff_t, int64_t *, ptrdiff_t *)
    rsk_status rsk_halves(const float *, ptrdiff_t, ptrdiff_t, uint16_t *, float *, double *, ptrdiff_t *)
    rsk_status rsk_moments(const float *, const int64_t *, const int32_t *, ptrdiff_t, const int64_t *, ptrdiff_t,
                           const double *, double *, double *, int64_t *, double *, ptrdiff_t *)


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


def halves(const float[:, ::1] x, uint16_t[:, ::1] out, float[::1] scale, double[::1] noise) -> int:
    """As rsk_halves. Returns -1, or the number of the first row with NaN or numbers above 1e30."""
    cdef rsk_status status
    cdef ptrdiff_t where = -1
    if out.shape[0] != x.shape[0] or out.shape[1] != x.shape[1] or scale.shape[0] != x.shape[0] or noise.shape[0] != x.shape[0]:
        raise ValueError("halves: shapes that do not fit")
    if not x.shape[0]:
        return -1
    with nogil:
        status = rsk_halves(&x[0, 0], x.shape[0], x.shape[1], &out[0, 0], &scale[0], &noise[0], &where)
    if status == RSK_EVALUE:
        return where
    check(status, nowhere())
    return -1


def firsts(const int32_t[::1] module, int32_t[::1] first) -> None:
    """first[k] = the number of the first object of module k, -1 if there is none. Numbers are those of a TraceBatch."""
    cdef ptrdiff_t r
    first[:] = -1
    for r in range(module.shape[0] - 1, -1, -1):
        first[module[r]] = <int32_t>r


def moments(const float[::1] x, const int64_t[::1] ends, const int32_t[::1] module, const int64_t[::1] place,
            const double[::1] shift, double[::1] sums, double[::1] squares, int64_t[:, ::1] counts,
            double[:, ::1] tally) -> tuple:
    """As rsk_moments; counts (kinds, 2), tally (kinds, 4). Returns the number of the first bad object, and whether its
    length is bad; -1 if none is."""
    cdef rsk_status status
    cdef ptrdiff_t where = -1, n = module.shape[0], kinds = place.shape[0] - 1, size = shift.shape[0]
    if ends.shape[0] != n + 1 or kinds < 1 or place[kinds] != size or size < 1 or n < 1 or ends[n] != x.shape[0]:
        raise ValueError("moments: shapes that do not fit")
    if sums.shape[0] != size or squares.shape[0] != size or counts.shape[0] != kinds or tally.shape[0] != kinds:
        raise ValueError("moments: shapes that do not fit")
    if counts.shape[1] != 2 or tally.shape[1] != 4 or x.shape[0] < 1:
        raise ValueError("moments: shapes that do not fit")
    with nogil:
        status = rsk_moments(&x[0], &ends[0], &module[0], n, &place[0], kinds, &shift[0], &sums[0], &squares[0],
                             &counts[0, 0], &tally[0, 0], &where)
    if status == RSK_ESIZE or status == RSK_EVALUE:
        return where, status == RSK_ESIZE
    check(status, nowhere())
    return -1, False
