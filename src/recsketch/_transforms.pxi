# Transforms, projections, hashing, tensor sketches (recsketch.h, transforms.c, hashing.c, tensor.c). Included by _core.pyx.

from libc.math cimport INFINITY

cdef extern from "recsketch.h" nogil:
    rsk_status rsk_fwht_f32(const float *, ptrdiff_t, ptrdiff_t, double, float *, int)
    rsk_status rsk_fwht_f64(const double *, ptrdiff_t, ptrdiff_t, double, double *, int)
    int rsk_within_f32(const float *, ptrdiff_t, ptrdiff_t, double)
    int rsk_within_f64(const double *, ptrdiff_t, ptrdiff_t, double)
    ctypedef struct rsk_projection:
        ptrdiff_t length, width, padded
        const uint16_t *signs
        double factor
    rsk_status rsk_project_f32(const rsk_projection *, int, const float *, ptrdiff_t, float *, int)
    rsk_status rsk_project_f64(const rsk_projection *, int, const double *, ptrdiff_t, double *, int)
    ctypedef struct rsk_hashing:
        ptrdiff_t length, width, nonzeros
        const uint32_t *entries
        double factor
    rsk_status rsk_hash_f32(const rsk_hashing *, const float *, ptrdiff_t, float *, int)
    rsk_status rsk_hash_f64(const rsk_hashing *, const double *, ptrdiff_t, double *, int)
    rsk_status rsk_hash_adjoint_f32(const rsk_hashing *, const float *, ptrdiff_t, float *, int)
    rsk_status rsk_hash_adjoint_f64(const rsk_hashing *, const double *, ptrdiff_t, double *, int)
    rsk_status rsk_hash_csr_f32(const rsk_hashing *, ptrdiff_t, const int64_t *, const int64_t *, ptrdiff_t, const float *,
                                float *, int)
    rsk_status rsk_hash_csr_f64(const rsk_hashing *, ptrdiff_t, const int64_t *, const int64_t *, ptrdiff_t, const double *,
                                double *, int)
    ctypedef struct rsk_tensor:
        ptrdiff_t length, width, used, pairs, padded, degree
        const uint16_t *signs
        const int32_t *index
        double factor
    rsk_status rsk_tensor_sketch_f32(const rsk_tensor *, const float *, ptrdiff_t, float *, int)
    rsk_status rsk_tensor_sketch_f64(const rsk_tensor *, const double *, ptrdiff_t, double *, int)

ctypedef fused real:
    float
    double


def within(const real[:] x, double most) -> bool:
    """Whether all of x are finite and of at most that size."""
    cdef bint good = True
    if x.shape[0]:
        with nogil:
            if real is float:
                good = rsk_within_f32(&x[0], x.shape[0], x.strides[0] // <ptrdiff_t>sizeof(real), most)
            else:
                good = rsk_within_f64(&x[0], x.shape[0], x.strides[0] // <ptrdiff_t>sizeof(real), most)
    return good


cdef bint is_finite(rsk_status status) except? False:
    """Whether an answer is finite; other statuses are errors."""
    if status == RSK_EOVERFLOW:
        return False
    check(status, nowhere())
    return True


def fwht_f32(const float[:, ::1] x, float[:, ::1] out, double factor, int threads) -> bool:
    """out = factor times the transforms of x's rows, at least one; whether all of out is finite. out may be x."""
    cdef rsk_status status
    if x.shape[0] != out.shape[0] or x.shape[1] != out.shape[1]:
        raise ValueError("wanted out of the shape of x")
    with nogil:
        status = rsk_fwht_f32(&x[0, 0], x.shape[0], x.shape[1], factor, &out[0, 0], threads)
    return is_finite(status)


def fwht_f64(const double[:, ::1] x, double[:, ::1] out, double factor, int threads) -> bool:
    """The same in double precision."""
    cdef rsk_status status
    if x.shape[0] != out.shape[0] or x.shape[1] != out.shape[1]:
        raise ValueError("wanted out of the shape of x")
    with nogil:
        status = rsk_fwht_f64(&x[0, 0], x.shape[0], x.shape[1], factor, &out[0, 0], threads)
    return is_finite(status)


def project(const real[:, ::1] x, real[:, ::1] out, const uint16_t[:, ::1] signs, ptrdiff_t padded, double factor, bint transpose,
            int threads) -> bool:
    """out = x times the projection's transpose; with transpose, times the projection. Whether all of out is finite.

    x and out have at least one row, signs three a block."""
    cdef rsk_status status
    cdef rsk_projection p
    p.length, p.width = (out.shape[1], x.shape[1]) if transpose else (x.shape[1], out.shape[1])
    p.padded, p.signs, p.factor = padded, &signs[0, 0], factor
    blocks = (p.width + padded - 1) // padded
    if x.shape[0] != out.shape[0] or signs.shape[0] != 3 * blocks or 16 * signs.shape[1] != padded:
        raise ValueError("wanted as many rows of out as of x, and the signs of every block")
    with nogil:
        if real is float:
            status = rsk_project_f32(&p, transpose, &x[0, 0], x.shape[0], &out[0, 0], threads)
        else:
            status = rsk_project_f64(&p, transpose, &x[0, 0], x.shape[0], &out[0, 0], threads)
    return is_finite(status)


def hash_rows(const real[:, ::1] x, real[:, ::1] out, const uint32_t[:, ::1] entries, double factor, bint transpose,
              int threads) -> bool:
    """out = x times the hashing matrix's transpose; with transpose, times the matrix. Whether all of out is finite.

    x and out have at least one row."""
    cdef rsk_status status
    cdef bint finite
    cdef rsk_hashing h
    h.length, h.width = (out.shape[1], x.shape[1]) if transpose else (x.shape[1], out.shape[1])
    h.nonzeros, h.entries, h.factor = entries.shape[1], &entries[0, 0], factor
    if x.shape[0] != out.shape[0] or entries.shape[0] != h.length:
        raise ValueError("wanted as many rows of out as of x, and entries for every column")
    with nogil:
        if real is float:
            if transpose:
                status = rsk_hash_adjoint_f32(&h, &x[0, 0], x.shape[0], &out[0, 0], threads)
            else:
                status = rsk_hash_f32(&h, &x[0, 0], x.shape[0], &out[0, 0], threads)
            finite = rsk_within_f32(&out[0, 0], out.shape[0] * out.shape[1], 1, INFINITY)
        else:
            if transpose:
                status = rsk_hash_adjoint_f64(&h, &x[0, 0], x.shape[0], &out[0, 0], threads)
            else:
                status = rsk_hash_f64(&h, &x[0, 0], x.shape[0], &out[0, 0], threads)
            finite = rsk_within_f64(&out[0, 0], out.shape[0] * out.shape[1], 1, INFINITY)
    check(status, nowhere())
    return finite


def hash_csr(const int64_t[::1] ends, const int64_t[::1] columns, const real[::1] x, real[:, ::1] out,
             const uint32_t[:, ::1] entries, double factor, int threads):
    """The same of CSR rows; columns and x hold at least one number."""
    cdef rsk_status status
    cdef rsk_hashing h
    h.length, h.width, h.nonzeros = entries.shape[0], out.shape[1], entries.shape[1]
    h.entries, h.factor = &entries[0, 0], factor
    if ends.shape[0] != out.shape[0] + 1 or columns.shape[0] != x.shape[0]:
        raise ValueError("wanted one end more than rows, and a column for every number")
    with nogil:
        if real is float:
            status = rsk_hash_csr_f32(&h, out.shape[0], &ends[0], &columns[0], x.shape[0], &x[0], &out[0, 0], threads)
        else:
            status = rsk_hash_csr_f64(&h, out.shape[0], &ends[0], &columns[0], x.shape[0], &x[0], &out[0, 0], threads)
    check(status, nowhere())


def tensor_sketch(const real[:, ::1] x, real[:, ::1] out, const uint16_t[:, ::1] signs, const int32_t[:, ::1] index,
                  ptrdiff_t pairs, double factor, int threads):
    """out = products of coordinates of transforms, `pairs` complex ones first. x and out have at least one row."""
    cdef rsk_status status
    cdef rsk_tensor t
    t.length, t.width, t.used, t.padded, t.degree = x.shape[1], out.shape[1], index.shape[1], 16 * signs.shape[1], index.shape[0]
    t.pairs, t.signs, t.index, t.factor = pairs, &signs[0, 0], &index[0, 0], factor
    if x.shape[0] != out.shape[0] or signs.shape[0] != index.shape[0]:
        raise ValueError("wanted as many rows of out as of x, and signs for every factor")
    with nogil:
        if real is float:
            status = rsk_tensor_sketch_f32(&t, &x[0, 0], x.shape[0], &out[0, 0], threads)
        else:
            status = rsk_tensor_sketch_f64(&t, &x[0, 0], x.shape[0], &out[0, 0], threads)
    check(status, nowhere())
