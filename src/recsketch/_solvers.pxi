# Sampled Hadamard matrices, sparse solvers, scans: the sections of recsketch.h behind hadamard.c, omp.c, htp_hadamard.c, scan.c.

from libc.stdint cimport int8_t, uint16_t

cdef extern from "recsketch.h" nogil:
    ctypedef struct rsk_hadamard:
        pass
    ctypedef struct rsk_support_params:
        ptrdiff_t sparsity, block
        const double *tolerance
        int nonnegative, max_iterations
    ctypedef struct rsk_supports:
        int32_t *support
        double *coef
        int32_t *count
        double *residual
        int32_t *iterations
        int32_t *reason
    ctypedef struct rsk_fits:
        ptrdiff_t batch, most, m
        double *q
        double *triangle
        double *z
        double *residual
        double *square
        int64_t *size
    rsk_status rsk_fits_extend(const rsk_fits *, ptrdiff_t, const int64_t *, double *)
    ctypedef enum rsk_scan_type:
        RSK_SCAN_F32
        RSK_SCAN_F16
        RSK_SCAN_I8
        RSK_SCAN_BF16
    rsk_status rsk_hadamard_create(ptrdiff_t, ptrdiff_t, const int32_t *, uint64_t, uint64_t, rsk_hadamard **)
    void rsk_hadamard_free(rsk_hadamard *)
    rsk_status rsk_hadamard_product_f32(const rsk_hadamard *, ptrdiff_t, const float *, float *, int, int, rsk_stop *)
    rsk_status rsk_hadamard_product_f64(const rsk_hadamard *, ptrdiff_t, const double *, double *, int, int, rsk_stop *)
    rsk_status rsk_omp(const rsk_hadamard *, ptrdiff_t, const double *, const rsk_support_params *, const rsk_supports *, int, rsk_stop *)
    rsk_status rsk_htp(const rsk_hadamard *, ptrdiff_t, const double *, const rsk_support_params *, const rsk_supports *, int, rsk_stop *)
    rsk_status rsk_scan(rsk_scan_type, const void *, const float *, ptrdiff_t, ptrdiff_t, const float *, ptrdiff_t, ptrdiff_t,
                        float *, int64_t *, int, rsk_stop *)


cdef class Hadamard:
    """Rows of a Hadamard matrix times column signs: A (m, n). Arguments as rsk_hadamard_create in recsketch.h."""
    cdef rsk_hadamard *ptr
    cdef readonly ptrdiff_t n, m

    def __cinit__(self, ptrdiff_t n, const int32_t[::1] rows, uint64_t seed, uint64_t stream):
        cdef rsk_status status
        self.n, self.m = n, rows.shape[0]
        if self.m < 1:
            check(RSK_EINVAL, nowhere())
        with nogil:
            status = rsk_hadamard_create(n, self.m, &rows[0], seed, stream, &self.ptr)
        check(status, nowhere())

    def __dealloc__(self):
        rsk_hadamard_free(self.ptr)

    cdef int _expect(self, ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t out_rows, ptrdiff_t out_columns, bint adjoint) except -1:
        if rows != out_rows or (columns, out_columns) != ((self.m, self.n) if adjoint else (self.n, self.m)):
            raise ValueError(f"wanted rows for a matrix of shape ({self.m}, {self.n}); got ({rows}, {columns}) and "
                             f"({out_rows}, {out_columns})")
        return 0

    def product_f32(self, const float[:, ::1] x, float[:, ::1] out, bint adjoint, int threads) -> None:
        cdef rsk_stop stop = watch()
        cdef rsk_status status
        self._expect(x.shape[0], x.shape[1], out.shape[0], out.shape[1], adjoint)
        if x.shape[0]:
            with nogil:
                status = rsk_hadamard_product_f32(self.ptr, x.shape[0], &x[0, 0], &out[0, 0], adjoint, threads, &stop)
            check(status, nowhere())

    def product_f64(self, const double[:, ::1] x, double[:, ::1] out, bint adjoint, int threads) -> None:
        cdef rsk_stop stop = watch()
        cdef rsk_status status
        self._expect(x.shape[0], x.shape[1], out.shape[0], out.shape[1], adjoint)
        if x.shape[0]:
            with nogil:
                status = rsk_hadamard_product_f64(self.ptr, x.shape[0], &x[0, 0], &out[0, 0], adjoint, threads, &stop)
            check(status, nowhere())

    def pursue(self, str method, const double[:, ::1] y, const double[::1] tolerance, ptrdiff_t sparsity, ptrdiff_t block,
               bint nonnegative, int max_iterations, int threads):
        """rsk_omp or rsk_htp: (support, coef, count, residual, iterations, reason)."""
        cdef rsk_support_params p
        cdef rsk_supports out
        cdef rsk_stop stop = watch()
        cdef rsk_status status
        cdef bint greedy = method == "omp"
        cdef ptrdiff_t batch = y.shape[0]
        if (y.shape[1] != self.m or batch < 1 or tolerance.shape[0] != batch
                or not (1 <= sparsity <= self.m and 1 <= block <= self.m)):
            raise ValueError(f"y: wanted rows of {self.m} numbers, a tolerance each, and at most as many non-zeros; got "
                             f"{y.shape[1]}, {tolerance.shape[0]} tolerances and {sparsity}")
        support, coef = np.empty((batch, sparsity * block), np.int32), np.empty((batch, sparsity * block))
        residual = np.empty(batch)
        count, iterations, reason = np.empty((3, batch), np.int32)
        cdef int32_t[:, ::1] s = support
        cdef double[:, ::1] c = coef
        cdef int32_t[::1] n = count
        cdef double[::1] r = residual
        cdef int32_t[::1] i = iterations
        cdef int32_t[::1] w = reason
        out.support, out.coef, out.count = &s[0, 0], &c[0, 0], &n[0]
        out.residual, out.iterations, out.reason = &r[0], &i[0], &w[0]
        p.sparsity, p.block, p.tolerance, p.nonnegative = sparsity, block, &tolerance[0], nonnegative
        p.max_iterations = max_iterations
        with nogil:
            if greedy:
                status = rsk_omp(self.ptr, batch, &y[0, 0], &p, &out, threads, &stop)
            else:
                status = rsk_htp(self.ptr, batch, &y[0, 0], &p, &out, threads, &stop)
        check(status, nowhere())
        return support, coef, count, residual, iterations, reason


def extend(const int64_t[::1] who, double[:, ::1] columns, double[:, :, ::1] q, double[:, :, ::1] triangle, double[:, ::1] z,
           double[:, ::1] residual, double[::1] square, int64_t[::1] size) -> None:
    """rsk_fits_extend: one column more for each of the signals `who`; at least one."""
    cdef rsk_fits f
    cdef rsk_status status
    cdef ptrdiff_t n = who.shape[0]
    f.batch, f.most, f.m = q.shape[0], q.shape[1], q.shape[2]
    if (n < 1 or columns.shape[0] != n or columns.shape[1] != f.m or residual.shape[1] != f.m or triangle.shape[1] != f.most
            or triangle.shape[2] != f.most or z.shape[1] != f.most or not (
            triangle.shape[0] == z.shape[0] == residual.shape[0] == square.shape[0] == size.shape[0] == f.batch)):
        raise ValueError(f"wanted {n} columns of {f.m} numbers, and arrays for {f.batch} signals")
    f.q, f.triangle, f.z, f.residual = &q[0, 0, 0], &triangle[0, 0, 0], &z[0, 0], &residual[0, 0]
    f.square, f.size = &square[0], &size[0]
    with nogil:
        status = rsk_fits_extend(&f, n, &who[0], &columns[0, 0])
    check(status, nowhere())


def scan(str kind, rows, scale, const float[:, ::1] queries, ptrdiff_t k, int threads):
    """rsk_scan: rows (n, d) of kind float32, float16 or bfloat16 (both as uint16), or int8; (scores, indices)."""
    cdef const float[:, ::1] floats
    cdef const uint16_t[:, ::1] halves
    cdef const int8_t[:, ::1] bytes
    cdef const float[::1] factor = scale
    cdef const float *f = NULL
    cdef const void *x
    cdef rsk_scan_type type
    cdef rsk_stop stop = watch()
    cdef rsk_status status
    cdef ptrdiff_t n = rows.shape[0], d = rows.shape[1], m = queries.shape[0]
    if n < 1 or d < 1 or m < 1 or queries.shape[1] != d or k < 1 or k > n or (scale is not None and factor.shape[0] != n):
        raise ValueError(f"wanted queries and scales for rows of shape ({n}, {d}), and k from 1 to {n}; got k = {k}")
    if kind == "float32":
        floats, type = rows, RSK_SCAN_F32
        x = &floats[0, 0]
    elif kind == "float16" or kind == "bfloat16":
        halves, type = rows, RSK_SCAN_F16 if kind == "float16" else RSK_SCAN_BF16
        x = &halves[0, 0]
    else:
        bytes, type = rows, RSK_SCAN_I8
        x = &bytes[0, 0]
    if scale is not None:
        f = &factor[0]
    scores, indices = np.empty((m, k), np.float32), np.empty((m, k), np.int64)
    cdef float[:, ::1] s = scores
    cdef int64_t[:, ::1] i = indices
    with nogil:
        status = rsk_scan(type, x, f, n, d, &queries[0, 0], m, k, &s[0, 0], &i[0, 0], threads, &stop)
    check(status, nowhere())
    return scores, indices
