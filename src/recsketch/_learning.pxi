# Strings of the block family in sketches (recsketch.h, learning/). Included by _core.pyx.

cdef extern from "recsketch.h" nogil:
    ctypedef struct rsk_code_bits:
        int row, column, tag, code, tail
    rsk_status rsk_code_layout(ptrdiff_t, ptrdiff_t, rsk_code_bits *)
    rsk_status rsk_codes_read(ptrdiff_t, ptrdiff_t, ptrdiff_t, const uint64_t *, uint64_t *, double *)
    rsk_status rsk_codes_write(ptrdiff_t, ptrdiff_t, ptrdiff_t, const uint64_t *, uint64_t *, double *)
    enum: RSK_PEEL_MOST
    ctypedef struct rsk_peeling:
        int32_t *which
        float *amplitude
        float *rest
        uint64_t *next
        uint8_t *end
        double *energy
        double *left
    rsk_status rsk_peel(ptrdiff_t, ptrdiff_t, ptrdiff_t, const float *, const double *, ptrdiff_t, const uint64_t *, int,
                        const rsk_peeling *, int, rsk_stop *)


def code_layout(ptrdiff_t dim, ptrdiff_t block):
    """Bits of (row, column, tag, code, tail), or None where there is no such block."""
    cdef rsk_code_bits b
    if rsk_code_layout(dim, block, &b) != RSK_OK:
        return None
    return b.row, b.column, b.tag, b.code, b.tail


def codes_read(ptrdiff_t dim, ptrdiff_t block, const uint64_t[::1] codes):
    """(fields (n, 3): tag, column, row; signs (n,)) of codes."""
    cdef ptrdiff_t n = codes.shape[0]
    cdef rsk_status status = RSK_OK
    fields, signs = np.empty((n, 3), np.uint64), np.empty(n)
    cdef uint64_t[:, ::1] f = fields
    cdef double[::1] s = signs
    if n:
        with nogil:
            status = rsk_codes_read(dim, block, n, &codes[0], &f[0, 0], &s[0])
    check(status, nowhere())
    return fields, signs


def codes_write(ptrdiff_t dim, ptrdiff_t block, const uint64_t[:, ::1] fields):
    """(codes (n,), signs (n,)) of fields (n, 3)."""
    cdef ptrdiff_t n = fields.shape[0]
    cdef rsk_status status = RSK_OK
    codes, signs = np.empty(n, np.uint64), np.empty(n)
    cdef uint64_t[::1] c = codes
    cdef double[::1] s = signs
    if fields.shape[1] != 3:
        raise ValueError("fields: wanted tag, column and row")
    if n:
        with nogil:
            status = rsk_codes_write(dim, block, n, &fields[0, 0], &c[0], &s[0])
    check(status, nowhere())
    return codes, signs


def peel(ptrdiff_t block, const float[:, ::1] sketches, const double[::1] noise, const uint64_t[::1] codes, int most, int threads):
    """rsk_peel: (which, amplitude, rest, next, end, energy, left) of sketches (n, d), n and d at least 1, noise (n,), codes in any order."""
    cdef ptrdiff_t n = sketches.shape[0], dim = sketches.shape[1], count = codes.shape[0]
    cdef uint64_t none = 0
    cdef rsk_peeling out
    cdef rsk_stop stop = watch()
    cdef rsk_status status
    if n < 1 or block < 1 or dim < block or noise.shape[0] != n:
        raise ValueError("wanted sketches of at least one block, and a noise of each")
    places = dim // block
    which, amplitude = np.empty((n, places, RSK_PEEL_MOST), np.int32), np.empty((n, places, RSK_PEEL_MOST), np.float32)
    rest, following = np.empty((n, places), np.float32), np.empty((n, places), np.uint64)
    end, energy, left = np.empty((n, places), np.uint8), np.empty(n), np.empty(n)
    cdef int32_t[:, :, ::1] w = which
    cdef float[:, :, ::1] a = amplitude
    cdef float[:, ::1] r = rest
    cdef uint64_t[:, ::1] c = following
    cdef uint8_t[:, ::1] e = end
    cdef double[::1] s = energy, l = left
    cdef const uint64_t *given = &none
    if count:
        given = &codes[0]
    out.which, out.amplitude, out.rest, out.next, out.end = &w[0, 0, 0], &a[0, 0, 0], &r[0, 0], &c[0, 0], &e[0, 0]
    out.energy, out.left = &s[0], &l[0]
    with nogil:
        status = rsk_peel(dim, block, n, &sketches[0, 0], &noise[0], count, given, most, &out, threads, &stop)
    check(status, nowhere())
    return which, amplitude, rest, following, end, energy, left
