# Unrolling (recsketch.h, unroll.c). Included by _core.pyx.

cdef extern from "recsketch.h" nogil:
    ctypedef struct rsk_sparsity:
        int kind
        ptrdiff_t nonzeros
        int nonnegative
    ctypedef struct rsk_unroll_params:
        const uint8_t *allowed
        const double *noise
        ptrdiff_t max_depth
        double threshold
        int max_rounds
        double norm2
        const rsk_sparsity *sparsity
        ptrdiff_t signature
        ptrdiff_t free
    ctypedef struct rsk_unrolled:
        pass
    ctypedef struct rsk_rests:
        ptrdiff_t rests, attributes
        const int32_t *owner
        const int32_t *module
        const double *count
        const double *count_spread
        const double *sum
        const double *sum_spread
        const double *spread
        const double *attribute
    ctypedef struct rsk_unrolled_view:
        double residual, energy, missing
        int32_t rounds, iterations
        const int32_t *parent
        const int32_t *position
        const int32_t *module
        const int32_t *lead
        const double *amplitude
        const double *evidence
        const double *spread
        const double *amplitude_spread
        const double *free_spread
        const double *attributes
        rsk_rests rests
    rsk_status rsk_unroll(const rsk_spec *, ptrdiff_t, const float *, const uint8_t *, ptrdiff_t, const rsk_unroll_params *,
                          rsk_unrolled **, int, rsk_stop *, rsk_where *)
    void rsk_unrolled_free(rsk_unrolled *)
    ptrdiff_t rsk_unrolled_objects(const rsk_unrolled *, ptrdiff_t)
    ptrdiff_t rsk_unrolled_attributes(const rsk_unrolled *, ptrdiff_t)
    rsk_status rsk_unrolled_get(const rsk_unrolled *, ptrdiff_t, rsk_unrolled_view *)


cdef class Unrolling:
    """What rsk_unroll found of each of n sketches."""
    cdef rsk_unrolled *ptr
    cdef readonly ptrdiff_t sketches

    def __cinit__(self, Spec spec not None, const float[:, ::1] sketches, mask, const uint8_t[:, ::1] allowed, noise,
                  ptrdiff_t max_depth, double threshold, int max_rounds, int threads, double norm2=0.0,
                  sparsity=None, ptrdiff_t free=0, ptrdiff_t signature=0):
        """sparsity: (modules, 3) int64, rows as rsk_sparsity; None: all dense."""
        cdef const uint8_t[:, ::1] m = mask
        cdef const double[::1] e = noise
        cdef const uint8_t *pm = NULL
        cdef ptrdiff_t rows = 1
        cdef ptrdiff_t modules = len(spec.lengths)
        cdef rsk_unroll_params p
        cdef const int64_t[:, ::1] told
        cdef bytearray rows_of
        cdef rsk_sparsity *of
        cdef rsk_stop stop = watch()
        cdef rsk_status status
        cdef rsk_where where
        self.sketches = sketches.shape[0]
        if self.sketches < 1 or sketches.shape[1] != spec.dim or allowed.shape[0] != modules + 1 or allowed.shape[1] != modules:
            raise ValueError(f"wanted sketches of {spec.dim} numbers, and allowed of shape ({modules + 1}, {modules})")
        if mask is not None:
            if m.shape[1] != spec.dim or m.shape[0] not in (1, self.sketches):
                raise ValueError(f"mask: wanted {spec.dim} columns, and one row or one a sketch")
            pm, rows = &m[0, 0], m.shape[0]
        p.allowed, p.noise, p.max_depth, p.threshold, p.max_rounds = &allowed[0, 0], NULL, max_depth, threshold, max_rounds
        p.norm2, p.free, p.signature, p.sparsity = norm2, free, signature, NULL
        if sparsity is not None:
            told = sparsity
            if told.shape[0] != modules or told.shape[1] != 3:
                raise ValueError(f"sparsity: wanted shape ({modules}, 3)")
            rows_of = bytearray(modules * sizeof(rsk_sparsity))
            of = <rsk_sparsity *><char *>rows_of
            for i in range(modules):
                of[i].kind, of[i].nonzeros, of[i].nonnegative = <int>told[i, 0], <ptrdiff_t>told[i, 1], <int>told[i, 2]
            p.sparsity = of
        if noise is not None:
            if e.shape[0] != self.sketches:
                raise ValueError("noise: wanted one a sketch")
            p.noise = &e[0]
        with nogil:
            status = rsk_unroll(spec.ptr, self.sketches, &sketches[0, 0], pm, rows, &p, &self.ptr, threads, &stop, &where)
        check(status, where)

    def __dealloc__(self):
        rsk_unrolled_free(self.ptr)

    def get(self, ptrdiff_t i):
        """Numbers and arrays as rsk_unrolled_view: (residual, energy, missing, rounds, iterations), (4, n) tags, (5, n) numbers and
        the attributes."""
        cdef rsk_unrolled_view v
        check(rsk_unrolled_get(self.ptr, i, &v), nowhere())
        n, size = rsk_unrolled_objects(self.ptr, i), rsk_unrolled_attributes(self.ptr, i)
        tags, numbers, attributes = np.empty((4, n), np.int32), np.empty((5, n)), np.empty(size)
        if n:
            for row, part in enumerate((<int32_t[:n]>v.parent, <int32_t[:n]>v.position, <int32_t[:n]>v.module, <int32_t[:n]>v.lead)):
                tags[row] = part
            for row, values in enumerate((<double[:n]>v.amplitude, <double[:n]>v.evidence, <double[:n]>v.spread,
                                          <double[:n]>v.amplitude_spread, <double[:n]>v.free_spread)):
                numbers[row] = values
            attributes[:] = <double[:size]>v.attributes
        return (v.residual, v.energy, v.missing, v.rounds, v.iterations), tags, numbers, attributes

    def rests(self, ptrdiff_t i):
        """Arrays as rsk_rests: (2, rests) owners and modules, (5, rests) numbers, and the attributes."""
        cdef rsk_unrolled_view v
        check(rsk_unrolled_get(self.ptr, i, &v), nowhere())
        n, size = v.rests.rests, v.rests.attributes
        tags, numbers, attributes = np.empty((2, n), np.int32), np.empty((5, n)), np.empty(size)
        if n:
            tags[0], tags[1] = <int32_t[:n]>v.rests.owner, <int32_t[:n]>v.rests.module
            for row, values in enumerate((<double[:n]>v.rests.count, <double[:n]>v.rests.count_spread, <double[:n]>v.rests.sum,
                                          <double[:n]>v.rests.sum_spread, <double[:n]>v.rests.spread)):
                numbers[row] = values
            attributes[:] = <double[:size]>v.rests.attribute
        return tags, numbers, attributes
