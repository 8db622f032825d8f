# cython: language_level=3, binding=True, boundscheck=False, wraparound=False, freethreading_compatible=True
"""The C library, one call each: types are converted, the GIL is released, the status is checked. No arithmetic here."""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

import numpy as np

cdef extern from "recsketch.h" nogil:
    ctypedef enum rsk_status:
        RSK_OK
        RSK_EINVAL
        RSK_ENOMEM
        RSK_EOVERFLOW
        RSK_EISA
        RSK_EOFFSETS
        RSK_EMODULE
        RSK_ELENGTH
        RSK_EORDER
        RSK_EOUTPUT
        RSK_EWEIGHT
        RSK_EFANOUT
        RSK_EVALUE
        RSK_ESIZE
        RSK_ESTOP
    ctypedef struct rsk_stop:
        int (*asked)(void *) noexcept nogil
        void *context
        int stopped
        int64_t next
    ctypedef struct rsk_where:
        ptrdiff_t trace
        ptrdiff_t object
    ctypedef struct rsk_spec:
        pass
    ctypedef struct rsk_plan:
        pass
    ctypedef struct rsk_spec_params:
        ptrdiff_t dim, modules, max_inputs
        uint64_t seed
        const char *rotation
        double cosine, sine, gain, branch
        int weighting
        double spread
        const double *kappa
        int ordered
        const ptrdiff_t *lengths
        const uint64_t *positions
        const uint64_t *operators
        const uint64_t *embeddings
        const uint64_t *counters
        uint64_t branch_attr
        uint64_t branch_in[2]
        int ins
        ptrdiff_t block, blocks_per_column
        const uint64_t *tags
    ctypedef enum rsk_weighting:
        RSK_WEIGHTS_ENERGY
        RSK_WEIGHTS_LINEAR
        RSK_WEIGHTS_BALANCED
        RSK_WEIGHTS_COUNT
    ctypedef struct rsk_coding:
        ptrdiff_t modules
        const ptrdiff_t *lengths
        const double *scales
        const float *centres
        const ptrdiff_t *centre_begin
        int polar
        ptrdiff_t signature
        const float *signatures
        ptrdiff_t numbers
    ctypedef struct rsk_batch:
        ptrdiff_t traces
        const int64_t *objects
        const int32_t *module
        const int64_t *attribute_ends
        ptrdiff_t more
        const int64_t *input_ends
        const int32_t *inputs
        const double *weights
        const int64_t *output_ends
        const int32_t *outputs
        const double *output_weights
    ctypedef struct rsk_lstsq_params:
        double tolerance
        int max_iterations
        const double *noise
    ctypedef struct rsk_sparse_params:
        ptrdiff_t nonzeros, per_object, free
        int nonnegative
        const double *noise
        int max_iterations
    const char *rsk_status_text(rsk_status)
    rsk_status rsk_isa_select(const char *)
    const char *rsk_isa()
    int rsk_isa_available(const char *)
    int rsk_max_threads()
    const char *rsk_openmp()
    void rsk_philox4x32(const uint32_t *, const uint32_t *, uint32_t *)
    rsk_status rsk_stream_words(uint64_t, uint64_t, uint32_t, ptrdiff_t, uint32_t *)
    rsk_status rsk_stream_parts(uint64_t, uint64_t, uint32_t, ptrdiff_t, ptrdiff_t, uint32_t *)
    rsk_status rsk_spec_create(const rsk_spec_params *, rsk_stop *, rsk_spec **)
    void rsk_spec_free(rsk_spec *)
    ptrdiff_t rsk_spec_bytes(const rsk_spec *)
    rsk_status rsk_operator(const rsk_spec *, int, ptrdiff_t, int, const float *, float *)
    rsk_status rsk_embed(const rsk_spec *, ptrdiff_t, const float *, float *)
    rsk_status rsk_embed_adjoint(const rsk_spec *, ptrdiff_t, const float *, float *)
    rsk_status rsk_counter(const rsk_spec *, ptrdiff_t, float *)
    int rsk_is_plain(const rsk_coding *)
    rsk_status rsk_encode(const rsk_coding *, ptrdiff_t, const int32_t *, const int32_t *, const int64_t *, const float *, float *,
                          int, ptrdiff_t *)
    rsk_status rsk_decode(const rsk_coding *, ptrdiff_t, const int32_t *, const int64_t *, const float *, const double *, float *,
                          float *, int)
    rsk_status rsk_plan_create(const rsk_spec *, const rsk_batch *, int, rsk_plan **, rsk_where *)
    void rsk_plan_free(rsk_plan *)
    ptrdiff_t rsk_plan_vectors(const rsk_plan *)
    rsk_status rsk_plan_amplitudes(const rsk_plan *, double *, int32_t *)
    rsk_status rsk_sketch(const rsk_spec *, const rsk_plan *, const float *, const float *, float *, int, rsk_stop *,
                          rsk_where *)
    rsk_status rsk_adjoint(const rsk_spec *, const rsk_plan *, const float *, float *, float *, int, rsk_stop *)
    rsk_status rsk_lstsq(const rsk_spec *, const rsk_plan *, const float *, const uint8_t *, ptrdiff_t,
                         const rsk_lstsq_params *, float *, double *, int32_t *, int, rsk_stop *, rsk_where *)
    rsk_status rsk_sparse(const rsk_spec *, const rsk_plan *, const float *, const uint8_t *, ptrdiff_t,
                          const rsk_sparse_params *, float *, double *, int32_t *, int, rsk_stop *, rsk_where *)


cdef extern from "Python.h":
    int PyErr_CheckSignals() noexcept


_CODES = {RSK_EINVAL: "argument", RSK_EISA: "isa", RSK_EOFFSETS: "offsets", RSK_EMODULE: "module", RSK_ELENGTH: "length",
          RSK_EORDER: "order", RSK_EOUTPUT: "output", RSK_EWEIGHT: "weight", RSK_EOVERFLOW: "overflow", RSK_EFANOUT: "fanout", RSK_EVALUE: "value", RSK_ESIZE: "size"}


class CoreError(ValueError):
    """A check of the C library failed: `code` says which, `trace` and `object` where (-1: nowhere in particular)."""

    def __init__(self, message: str, code: str, trace: int, object: int) -> None:
        super().__init__(message)
        self.code = code
        self.trace = trace
        self.object = object


cdef rsk_where nowhere():
    cdef rsk_where where
    where.trace = where.object = -1
    return where


cdef int signalled(void *context) noexcept with gil:
    return PyErr_CheckSignals() != 0  # -1 with the exception of a signal's handler set, which `check` raises


cdef rsk_stop watch():
    """For one call of C: it ends early where a signal's handler raises, as Ctrl-C's does. Only the main thread runs handlers."""
    cdef rsk_stop stop
    stop.asked, stop.context, stop.stopped, stop.next = signalled, NULL, 0, 0
    return stop


cdef int check(rsk_status status, rsk_where where) except -1:
    if status == RSK_OK:
        return 0
    if status == RSK_ESTOP:
        return -1  # the exception is there, since `signalled`
    text = rsk_status_text(status).decode()
    if status == RSK_ENOMEM:
        raise MemoryError(text)
    raise CoreError(text, _CODES[status], where.trace, where.object)


# ---------------------------------------------------------------- machine

def isa() -> str:
    return rsk_isa().decode()


def isa_select(name) -> None:
    check(rsk_isa_select(name.encode()), nowhere())


def isa_available(name) -> bool:
    return bool(rsk_isa_available(name.encode()))


def max_threads() -> int:
    return rsk_max_threads()


def openmp() -> str:
    return rsk_openmp().decode()


max_threads()  # installs the fork handler before anybody can fork


# ---------------------------------------------------------------- bits

def philox(uint32_t[::1] counter, uint32_t[::1] key):
    out = np.empty(4, np.uint32)
    cdef uint32_t[::1] o = out
    if counter.shape[0] != 4 or key.shape[0] != 2:
        raise ValueError("philox: wanted 4 counter words and 2 key words")
    rsk_philox4x32(&counter[0], &key[0], &o[0])
    return out


def stream_words(uint64_t seed, uint64_t stream, uint32_t part, ptrdiff_t n):
    out = np.empty(max(n, 1), np.uint32)
    cdef uint32_t[::1] o = out
    cdef rsk_status status
    with nogil:
        status = rsk_stream_words(seed, stream, part, n, &o[0])
    check(status, nowhere())
    return out[:n]


def stream_parts(uint64_t seed, uint64_t stream, uint32_t first, ptrdiff_t parts, ptrdiff_t n):
    out = np.empty((parts, n), np.uint32)
    cdef uint32_t[:, ::1] o = out
    cdef rsk_status status = RSK_OK
    if parts and n:
        with nogil:
            status = rsk_stream_parts(seed, stream, first, parts, n, &o[0, 0])
    check(status, nowhere())
    return out


# ---------------------------------------------------------------- specification

_WEIGHTINGS = {"energy": RSK_WEIGHTS_ENERGY, "linear": RSK_WEIGHTS_LINEAR, "balanced": RSK_WEIGHTS_BALANCED,
               "count": RSK_WEIGHTS_COUNT}


cdef class Spec:
    """The random matrices of a specification. Streams are 64-bit ids (docs/format.md, "Random bits"); those of `branch` are of
    T_attr and of both operators of T_in, and kappa (max_inputs + 1,) is read for the weighting "balanced" alone. The last three
    arguments are read for the rotation "block" alone; tags are the lowest bits of the modules' (`blocks.tag`)."""
    cdef rsk_spec *ptr
    cdef readonly ptrdiff_t dim
    cdef readonly tuple lengths

    def __cinit__(self, ptrdiff_t dim, lengths, ptrdiff_t max_inputs, uint64_t seed, str rotation, double cosine, double sine,
                  double gain, double branch, str weighting, double spread, const double[::1] kappa, bint ordered,
                  const uint64_t[::1] positions, const uint64_t[::1] operators, const uint64_t[::1] embeddings,
                  const uint64_t[::1] counters, const uint64_t[::1] branches, int ins, ptrdiff_t block=0,
                  ptrdiff_t blocks_per_column=0, const uint64_t[::1] tags=None):
        cdef rsk_spec_params p
        cdef rsk_stop stop = watch()
        cdef rsk_status status
        sizes = np.array(lengths, np.intp)
        cdef const ptrdiff_t[::1] view = sizes
        cdef ptrdiff_t n = view.shape[0]
        if n < 1 or max_inputs < 1 or positions.shape[0] != max(max_inputs, 16) or branches.shape[0] != 3 or not (
                operators.shape[0] == embeddings.shape[0] == counters.shape[0] == n) or kappa.shape[0] != max_inputs + 1:
            raise ValueError("Spec: wanted max(max_inputs, 16) streams of positions, three a module, three of branches, and "
                             "max_inputs + 1 numbers kappa")
        name = rotation.encode()
        self.dim, self.lengths = dim, tuple(lengths)
        p.dim, p.modules, p.max_inputs, p.seed, p.rotation = dim, n, max_inputs, seed, name
        p.cosine, p.sine, p.gain, p.branch = cosine, sine, gain, branch
        p.weighting, p.spread, p.kappa, p.ordered = _WEIGHTINGS[weighting], spread, &kappa[0], ordered
        p.lengths, p.positions = &view[0], &positions[0]
        p.operators, p.embeddings, p.counters = &operators[0], &embeddings[0], &counters[0]
        p.branch_attr, p.branch_in[0], p.branch_in[1], p.ins = branches[0], branches[1], branches[2], ins
        p.block, p.blocks_per_column, p.tags = block, blocks_per_column, NULL
        if tags is not None:
            if tags.shape[0] != n:
                raise ValueError(f"tags: wanted {n}; got {tags.shape[0]}")
            p.tags = &tags[0]
        with nogil:
            status = rsk_spec_create(&p, &stop, &self.ptr)
        check(status, nowhere())

    def __dealloc__(self):
        rsk_spec_free(self.ptr)

    @property
    def nbytes(self) -> int:
        return rsk_spec_bytes(self.ptr)

    def operator(self, int kind, ptrdiff_t index, bint transpose, const float[::1] x):
        out = np.empty(self.dim, np.float32)
        cdef float[::1] o = out
        cdef rsk_status status
        if x.shape[0] != self.dim:
            raise ValueError(f"x: wanted {self.dim} floats; got {x.shape[0]}")
        with nogil:
            status = rsk_operator(self.ptr, kind, index, transpose, &x[0], &o[0])
        check(status, nowhere())
        return out

    def embed(self, ptrdiff_t module, const float[::1] x):
        out = np.empty(self.dim, np.float32)
        cdef float[::1] o = out
        cdef rsk_status status
        if not 0 <= module < len(self.lengths) or x.shape[0] != self.lengths[module]:
            raise ValueError("x: wanted a vector of its module's length")
        with nogil:
            status = rsk_embed(self.ptr, module, &x[0], &o[0])
        check(status, nowhere())
        return out

    def embed_adjoint(self, ptrdiff_t module, const float[::1] x):
        cdef rsk_status status
        if not 0 <= module < len(self.lengths) or x.shape[0] != self.dim:
            raise ValueError(f"x: wanted {self.dim} floats and a module")
        out = np.empty(self.lengths[module], np.float32)
        cdef float[::1] o = out
        with nogil:
            status = rsk_embed_adjoint(self.ptr, module, &x[0], &o[0])
        check(status, nowhere())
        return out

    def counter(self, ptrdiff_t module):
        out = np.empty(self.dim, np.float32)
        cdef float[::1] o = out
        cdef rsk_status status
        with nogil:
            status = rsk_counter(self.ptr, module, &o[0])
        check(status, nowhere())
        return out


# ---------------------------------------------------------------- attributes and unknowns

cdef class Coding:
    """What stands in sketches for attributes, `rsk_coding` in recsketch.h, without the signatures. centres: of every module the
    vector, or None where none has one."""
    cdef rsk_coding coding
    cdef readonly object lengths, scales, centres, begin

    def __cinit__(self, lengths, scales, centres, bint polar, ptrdiff_t signature):
        self.lengths, self.scales = np.array(lengths, np.intp), np.array(scales, np.float64)
        cdef const ptrdiff_t[::1] sizes = self.lengths
        cdef const double[::1] factors = self.scales
        cdef const float[::1] shifts
        cdef const ptrdiff_t[::1] begin
        if sizes.shape[0] < 1 or factors.shape[0] != sizes.shape[0]:
            raise ValueError("Coding: wanted a length and a scale of every module")
        self.coding.modules, self.coding.lengths, self.coding.scales = sizes.shape[0], &sizes[0], &factors[0]
        self.coding.centres, self.coding.centre_begin = NULL, NULL
        if centres is not None:
            if [len(c) for c in centres] != self.lengths.tolist():
                raise ValueError("Coding: wanted a centre of every module, of its length")
            self.centres = np.concatenate([np.asarray(c, np.float32) for c in centres])
            self.begin = np.cumsum([0, *lengths[:-1]]).astype(np.intp)
            shifts, begin = self.centres, self.begin
            self.coding.centres, self.coding.centre_begin = &shifts[0], &begin[0]
        self.coding.polar, self.coding.signature = polar, signature

    @property
    def more(self) -> int:
        """Unknowns of an object behind its attribute."""
        return self.coding.polar + self.coding.signature

    def encode(self, const int32_t[::1] module, number, const int64_t[::1] ends, attributes, signatures, int threads):
        """The unknowns of all objects. number[o] is that of object o in its trace, and signatures are (n, L); both None without
        signatures. It is `attributes` itself where unknowns are attributes."""
        cdef const float[::1] x = attributes
        cdef const int32_t[::1] numbers = number
        cdef const float[:, ::1] drawn = signatures
        cdef rsk_coding c = self.coding
        cdef ptrdiff_t n = module.shape[0], where = -1
        cdef rsk_status status
        cdef rsk_where place = nowhere()
        cdef const int32_t *which = NULL
        cdef float[::1] o
        cdef float *to = NULL
        self._expect(n, ends, x.shape[0], 0)
        if (number is not None and numbers.shape[0] != n) or (c.signature > 0) != (signatures is not None) or (
                c.signature and (number is None or drawn.shape[1] != c.signature)):
            raise ValueError("encode: wanted a number of every object, and signatures of the coding's length")
        if c.signature:
            c.numbers, c.signatures = drawn.shape[0], &drawn[0, 0] if drawn.shape[0] else NULL
            which = &numbers[0] if n else NULL
        out = attributes
        if not rsk_is_plain(&c):
            out = np.empty(x.shape[0] + n * self.more, np.float32)
            o = out
            to = &o[0] if n else NULL
        if n:
            with nogil:
                status = rsk_encode(&c, n, &module[0], which, &ends[0], &x[0], to, threads, &where)
            place.object = where
            check(status, place)
        return out

    def decode(self, const int32_t[::1] module, const int64_t[::1] ends, const float[::1] unknowns, error, int threads):
        """(attributes, errors) of unknowns; error (objects, 2) as in recsketch.h, or None, and errors
        then, too."""
        cdef const double[:, ::1] e = error
        cdef rsk_coding c = self.coding
        cdef ptrdiff_t n = module.shape[0]
        cdef float dummy = 0
        cdef rsk_status status
        cdef const double *pe = NULL
        cdef float[::1] r
        cdef float *pr = NULL
        self._expect(n, ends, unknowns.shape[0], self.more)
        c.signatures = &dummy
        out = np.empty(ends[n], np.float32)
        errors = None
        if error is not None:
            if e.shape[0] != n or e.shape[1] != 2:
                raise ValueError("decode: wanted two errors of every object")
            errors = np.empty(ends[n], np.float32)
        if not n:
            return out, errors
        cdef float[::1] o = out
        if error is not None:
            r = errors
            pe, pr = &e[0, 0], &r[0]
        with nogil:
            status = rsk_decode(&c, n, &module[0], &ends[0], &unknowns[0], pe, &o[0], pr, threads)
        check(status, nowhere())
        return out, errors

    cdef int _expect(self, ptrdiff_t n, const int64_t[::1] ends, ptrdiff_t size, ptrdiff_t more) except -1:
        if ends.shape[0] != n + 1 or ends[n] < 0 or ends[n] + n * more != size:
            raise ValueError("wanted offsets of every object, which end where the numbers do")
        return 0


# ---------------------------------------------------------------- plan

cdef class Plan:
    """The checked and ordered structure of a batch, for one Spec. Arrays as `rsk_batch` in recsketch.h; `module` is kept."""
    cdef rsk_plan *ptr
    cdef readonly Spec spec
    cdef readonly object module
    cdef readonly ptrdiff_t traces, objects, attributes

    def __cinit__(self, Spec spec not None, const int64_t[::1] objects, module,
                  const int64_t[::1] attribute_ends, const int64_t[::1] input_ends, const int32_t[::1] inputs,
                  const double[::1] weights, const int64_t[::1] output_ends, const int32_t[::1] outputs,
                  const double[::1] output_weights, int threads, ptrdiff_t more=0):
        cdef const int32_t[::1] modules = module
        cdef rsk_batch b
        cdef rsk_status status
        cdef rsk_where where
        cdef ptrdiff_t n = modules.shape[0]
        if (objects.shape[0] < 2 or output_ends.shape[0] != objects.shape[0] or objects[objects.shape[0] - 1] != n
                or attribute_ends.shape[0] != n + 1 or input_ends.shape[0] != n + 1 or input_ends[n] != inputs.shape[0]
                or weights.shape[0] != inputs.shape[0] or output_ends[output_ends.shape[0] - 1] != outputs.shape[0]
                or output_weights.shape[0] != outputs.shape[0]):
            check(RSK_EOFFSETS, nowhere())
        self.spec, self.module, self.traces, self.objects = spec, module, objects.shape[0] - 1, n
        self.attributes = attribute_ends[n] + n * more
        b.traces, b.objects = self.traces, &objects[0]
        b.more = more
        b.module = &modules[0] if n else NULL
        b.attribute_ends, b.input_ends, b.output_ends = &attribute_ends[0], &input_ends[0], &output_ends[0]
        b.inputs = &inputs[0] if inputs.shape[0] else NULL
        b.weights = &weights[0] if inputs.shape[0] else NULL
        b.outputs = &outputs[0] if outputs.shape[0] else NULL
        b.output_weights = &output_weights[0] if outputs.shape[0] else NULL
        with nogil:
            status = rsk_plan_create(spec.ptr, &b, threads, &self.ptr, &where)
        check(status, where)

    def __dealloc__(self):
        rsk_plan_free(self.ptr)

    @property
    def vectors(self) -> int:
        return rsk_plan_vectors(self.ptr)

    def amplitudes(self):
        amplitude, uses = np.empty(max(self.objects, 1)), np.empty(max(self.objects, 1), np.int32)
        cdef double[::1] a = amplitude
        cdef int32_t[::1] u = uses
        cdef rsk_status status
        with nogil:
            status = rsk_plan_amplitudes(self.ptr, &a[0], &u[0])
        check(status, nowhere())
        return amplitude[:self.objects], uses[:self.objects]

    def sketch(self, const float[::1] attributes, counters, float[:, ::1] out, int threads) -> None:
        cdef const float[::1] c = counters
        cdef const float *pc = NULL
        cdef rsk_stop stop = watch()
        cdef rsk_status status
        cdef rsk_where where
        self._expect(attributes.shape[0], out.shape[0], out.shape[1])
        if counters is not None:
            if c.shape[0] != self.objects:
                raise ValueError(f"counters: wanted {self.objects}; got {c.shape[0]}")
            pc = &c[0]
        with nogil:
            status = rsk_sketch(self.spec.ptr, self.ptr, &attributes[0], pc, &out[0, 0], threads, &stop, &where)
        check(status, where)

    def adjoint(self, const float[:, ::1] y, float[::1] attributes, counters, int threads) -> None:
        cdef float[::1] c = counters
        cdef float *pc = NULL
        cdef rsk_stop stop = watch()
        cdef rsk_status status
        self._expect(attributes.shape[0], y.shape[0], y.shape[1])
        if counters is not None:
            if c.shape[0] != self.objects:
                raise ValueError(f"counters: wanted {self.objects}; got {c.shape[0]}")
            pc = &c[0]
        with nogil:
            status = rsk_adjoint(self.spec.ptr, self.ptr, &y[0, 0], &attributes[0], pc, threads, &stop)
        check(status, nowhere())

    def lstsq(self, const float[:, ::1] sketches, mask, double tolerance, int max_iterations, float[::1] attributes,
              double[::1] residual, int32_t[::1] iterations, int threads, noise=None) -> None:
        cdef const uint8_t[:, ::1] m = mask
        cdef const double[::1] e = noise
        cdef const uint8_t *pm = NULL
        cdef ptrdiff_t rows = 1
        cdef rsk_lstsq_params p
        cdef rsk_stop stop = watch()
        cdef rsk_status status
        cdef rsk_where where
        self._expect(attributes.shape[0], sketches.shape[0], sketches.shape[1])
        self._expect_solver(m, residual.shape[0], iterations.shape[0])
        if m is not None:
            pm, rows = &m[0, 0], m.shape[0]
        if noise is not None and e.shape[0] != self.traces:
            raise ValueError("noise: wanted one number a trace")
        p.tolerance, p.max_iterations = tolerance, max_iterations
        p.noise = &e[0] if noise is not None else NULL
        with nogil:
            status = rsk_lstsq(self.spec.ptr, self.ptr, &sketches[0, 0], pm, rows, &p, &attributes[0], &residual[0],
                               &iterations[0], threads, &stop, &where)
        check(status, where)

    def sparse(self, const float[:, ::1] sketches, mask, ptrdiff_t nonzeros, ptrdiff_t per_object, ptrdiff_t free, bint nonnegative,
               noise, int max_iterations, float[::1] attributes, double[::1] residual, int32_t[::1] iterations, int threads) -> None:
        cdef const uint8_t[:, ::1] m = mask
        cdef const double[::1] e = noise
        cdef const uint8_t *pm = NULL
        cdef ptrdiff_t rows = 1
        cdef rsk_sparse_params p
        cdef rsk_stop stop = watch()
        cdef rsk_status status
        cdef rsk_where where
        self._expect(attributes.shape[0], sketches.shape[0], sketches.shape[1])
        self._expect_solver(m, residual.shape[0], iterations.shape[0])
        if m is not None:
            pm, rows = &m[0, 0], m.shape[0]
        p.nonzeros, p.per_object, p.free = nonzeros, per_object, free
        p.nonnegative, p.max_iterations = nonnegative, max_iterations
        p.noise = NULL
        if noise is not None:
            if e.shape[0] != self.traces:
                raise ValueError(f"noise: wanted {self.traces}; got {e.shape[0]}")
            p.noise = &e[0]
        with nogil:
            status = rsk_sparse(self.spec.ptr, self.ptr, &sketches[0, 0], pm, rows, &p, &attributes[0], &residual[0],
                                &iterations[0], threads, &stop, &where)
        check(status, where)

    cdef int _expect(self, ptrdiff_t attributes, ptrdiff_t rows, ptrdiff_t columns) except -1:
        if attributes != self.attributes or rows != self.traces or columns != self.spec.dim:
            raise ValueError(f"wanted {self.attributes} attribute values and sketches of shape ({self.traces}, {self.spec.dim}); "
                             f"got {attributes} and ({rows}, {columns})")
        return 0

    cdef int _expect_solver(self, const uint8_t[:, ::1] mask, ptrdiff_t residual, ptrdiff_t iterations) except -1:
        if residual != self.traces or iterations != self.traces:
            raise ValueError("residual, iterations: wanted one a trace")
        if mask is not None and (mask.shape[1] != self.spec.dim or mask.shape[0] not in (1, self.traces)):
            raise ValueError(f"mask: wanted {self.spec.dim} columns, and one row or one a trace")
        return 0


include "_transforms.pxi"
include "_sums.pxi"
include "_unrolling.pxi"
include "_solvers.pxi"
include "_learning.pxi"
