"""The front: sketches of runs, and what can be read from them."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, overload

import numpy as np

import recsketch._check as _check
import recsketch._core as _core
from recsketch._check import Floats, SketchWarning
from recsketch.runs.batch import TraceBatch, as_batch
from recsketch.runs.trace import Trace
from recsketch.sketching.doubts import doubts, due, looked_at
from recsketch.sketching.encoding import encoded
from recsketch.sketching.load import loads
from recsketch.sketching.matrices import Matrices
from recsketch.sketching.moments import narrowed, norm_error, widened
from recsketch.sketching.plan import explain, plan
from recsketch.sketching.spec import SketchSpec

if TYPE_CHECKING:
    import numpy.typing as npt

    from recsketch.reading.difference import Difference
    from recsketch.reading.nearest import Neighbours
    from recsketch.reading.results import Recovery, Summary, Unrolled
    from recsketch.sketching.packing import PackedSketches

Method: TypeAlias = Literal["lstsq", "sparse", "matched", "paper"]

SLICE = 1024  # traces that are planned at a time, at most: a plan takes some 150 bytes an object,
CACHED = 1 << 20  # and with attributes so many a thread, which caches still hold when they are swept


class Sketcher:
    """Sketches runs under one specification, and reads sketches.

    Parameters
    ----------
    spec : SketchSpec
    threads : int, optional
        Upper bound, 1 to 65,536; all that OpenMP offers if not given. Results do not depend on it.

    Raises
    ------
    ValueError, TypeError
        `spec` is no SketchSpec, `threads` no integer from 1 to 65,536.
    MemoryError
        The matrices do not fit.

    Notes
    -----
    Cost: making one draws its random matrices, (max_inputs + 8 modules) d / 8 bytes, and keeps them as long as it
    lives: make one and use it often. The "paper" decoder draws them once more when it is first asked for. Nothing else
    changes but what it has warned of, so that one sketcher may be used from many threads, and after a fork. It pickles
    as its specification.

    Costs of the methods are for one run of n objects. A sweep is what sketching it takes: O(n d) time, about 0.8
    microseconds an object at d = 1,024 and 2.2 at 4,096 on one core with AVX2 (docs/figures.md).

    Examples
    --------
    >>> import numpy as np
    >>> import recsketch as rs
    >>> sk = rs.Sketcher(rs.SketchSpec(dim=1024, modules={"char": 16, "line": 8}))
    >>> rng = np.random.default_rng(0)
    >>> trace = rs.Trace()
    >>> chars = [trace.add("char", rng.standard_normal(16)) for _ in range(5)]
    >>> trace.outputs([trace.add("line", rng.standard_normal(8), inputs=chars)])
    >>> s = sk.sketch(trace)
    >>> s.shape
    (1024,)
    >>> r = sk.recover(s, trace)
    >>> max(float(abs(x - o.attribute).max()) for x, o in zip(r.attributes, trace.objects)) < 1e-5
    True
    """

    def __init__(self, spec: SketchSpec, threads: int | None = None) -> None:
        if not isinstance(spec, SketchSpec):
            raise TypeError(f"spec: wanted a SketchSpec; got {_check.describe(spec)}")
        self.spec = spec
        self.threads = None if threads is None else _check.integer("threads", threads, 1, 1 << 16)
        self._matrices = Matrices(spec.inner)
        self._calls = 0
        self._said: set[str] = set()

    def __reduce__(self) -> tuple[Any, tuple[SketchSpec, int | None]]:
        return Sketcher, (self.spec, self.threads)

    def __repr__(self) -> str:
        return f"Sketcher({self.spec!r}, threads={self.threads})"

    @property
    def nbytes(self) -> int:
        """Bytes of the random matrices drawn so far."""
        return self._matrices.nbytes

    def _workers(self) -> int:
        return _core.max_threads() if self.threads is None else self.threads

    def sketch(self, traces: Trace | TraceBatch | Iterable[Trace]) -> Floats:
        """Fold runs into vectors of length d.

        Parameters
        ----------
        traces : Trace, TraceBatch or iterable of Trace
            Of modules that the specification has, with at least one output each.

        Returns
        -------
        (d,) float32 for a Trace, (n, d) for n of them
            With "unit" scaling, and attributes that are polar or of norm one, the norm is about one, more where many
            objects of one module are in one tuple, whose identity branches add up. Sketches that count grow with runs.

        Raises
        ------
        ValueError
            A module that the specification does not have, an attribute of another length, NaN, infinity, a value above
            1e30 after scaling, a trace without outputs, too many inputs, or such as the wiring excludes. The message
            names the trace and the object.
        TypeError
            `traces` is something else.

        Warns
        -----
        SketchWarning
            The specification cannot do what it is likely to be meant for. Each of these is said once by a sketcher:
            linear attributes of one module are more than 4 times as long as those of another, and will drown them;
            objects are used more than once, and without signatures `unroll` will give copies; objects have less than
            2**-40 of the loudest one's amplitude, so that float32 holds nothing of them. Looked at are the first
            runs, one in 64 and at most 32, of the calls number 1, 2, 4, 8 and so on. A look takes 50 to 200
            microseconds: 0.5% of sketching a thousand runs of 84 objects, at once or one by one.

        Notes
        -----
        Cost: a sweep. Beside the answer, a thread needs about depth + 20 vectors of d floats. For at most 1,024 runs at
        a time, or a megabyte of attributes a thread, there are 150 bytes an object, and its unknowns in float32 unless
        they are the attributes themselves.

        Examples
        --------
        >>> import recsketch as rs
        >>> sk = rs.Sketcher(rs.SketchSpec(64, {"eye": 2}))
        >>> trace = rs.Trace()
        >>> trace.outputs([trace.add("eye", [0.6, 0.8])])
        >>> sk.sketch([trace, trace]).shape
        (2, 64)
        """
        batch, single = as_batch(traces)
        out = np.empty((len(batch), self.spec.dim), np.float32)
        threads = self._workers()
        step = _together(batch, threads)
        for first in range(0, len(batch), step):
            some = batch[first : first + step] if len(batch) > step else batch
            part = widened(self.spec, some, first)
            p = plan(self._matrices, part, threads, first)
            try:
                unknowns = encoded(self._matrices, part, p.module, threads)
                p.sketch(unknowns, None, out[first : first + step], threads)
            except _core.CoreError as e:
                raise ValueError(explain(e, self.spec, some, first)) from None
        self._calls += 1
        if len(batch) and due(self._calls):
            for about, text in doubts(self._matrices, widened(self.spec, looked_at(batch)), threads).items():
                if about not in self._said:
                    self._said.add(about)
                    warnings.warn(text, SketchWarning, stacklevel=2)
        return out[0] if single else out

    @overload
    def recover(
        self,
        sketches: npt.ArrayLike | PackedSketches,
        structure: Trace,
        method: Method = ...,
        *,
        mask: npt.ArrayLike | None = ...,
        nonzeros: int | None = ...,
        per_object: int | None = ...,
        nonnegative: bool = ...,
        noise: npt.ArrayLike | None = ...,
    ) -> Any: ...  # Recovery for one sketch, a list for an (n, d) array: a shape is no type
    @overload
    def recover(
        self,
        sketches: npt.ArrayLike | PackedSketches,
        structure: TraceBatch | Iterable[Trace],
        method: Method = ...,
        *,
        mask: npt.ArrayLike | None = ...,
        nonzeros: int | None = ...,
        per_object: int | None = ...,
        nonnegative: bool = ...,
        noise: npt.ArrayLike | None = ...,
    ) -> list[Recovery]: ...
    def recover(
        self,
        sketches: npt.ArrayLike | PackedSketches,
        structure: Trace | TraceBatch | Iterable[Trace],
        method: Method = "lstsq",
        *,
        mask: npt.ArrayLike | None = None,
        nonzeros: int | None = None,
        per_object: int | None = None,
        nonnegative: bool = False,
        noise: npt.ArrayLike | None = None,
    ) -> Recovery | list[Recovery]:
        """Read the attributes back from sketches whose structure is known.

        Parameters
        ----------
        sketches : (d,) or (n, d) array_like, or PackedSketches
        structure : Trace, or n of them
            Modules, inputs, weights and outputs of the runs; their attributes are not looked at. One Trace serves any
            number of sketches. Signatures are unknowns as well: the structure may number its objects differently.
        method : {"lstsq", "sparse", "matched", "paper"}
            "lstsq": least squares over all attributes at once, right to float32 rounding while their numbers fit: see
            the notes for up to which load, depth and evenness. "sparse": for attributes that are mostly zero, whose
            numbers may be many times the coordinates: finds which are not, and least squares over those. "matched":
            each attribute by itself, with the crosstalk of all others, an error of an unknown of about |s| / sqrt(d)
            over the object's amplitude; the norm of a polar attribute is wrong by a share of 11 times that. "paper":
            the paper's decoder, through the rotations alone, which adds more of it: useful at depth 1.
        mask : (d,) or (n, d) array of bool, optional
            True where a coordinate is kept. Erased ones are not read and may be anything, NaN too.
        nonzeros : int, optional
            "sparse" only: non-zero attribute elements of a run, at most. If not given, as many as stand out of the
            noise.
        per_object : int, optional
            "sparse" only: non-zero elements of an object's attribute, at most.
        nonnegative : bool
            "sparse" only: no element is below zero.
        noise : float or (n,) array_like, optional
            Root mean square error of one coordinate, beyond float32 rounding: of each sketch, or of all. Taken from
            PackedSketches, or from float16's steps, if not given. "lstsq" stops iterating where the noise hides what it
            could still gain, and "sparse" leaves out what does not stand out of it; the filters, which do not iterate,
            ignore it.

        Returns
        -------
        Recovery for one sketch and one Trace, else a list of them

        Raises
        ------
        ValueError
            A specification without order, shapes that do not fit, NaN in a kept coordinate, a structure that `sketch`
            would refuse, a number below 1 for `nonzeros` or `per_object`, any of these or `nonnegative` with another
            method, `nonnegative` with signatures, a negative or infinite `noise`.
        TypeError
            `nonzeros` or `per_object` no integer, `nonnegative` no bool, `noise` or `mask` of another type.

        Warns
        -----
        CapacityWarning
            At least as many unknown numbers as kept coordinates: attribute elements for "lstsq", those found not to be
            zero for "sparse", or those given where what was found leaves a residual.
        StructureWarning
            By "lstsq" and "sparse", where residual**2 / (1 - unknowns / kept) is above one half: the structure leaves
            more of the sketch than noise as loud as the run would. It is then probably another run's, or the
            specification is; a structure that is right but for a few objects leaves less, and `residual` says how much.
            A `noise` that was given is taken out first. The filters leave their crosstalk, which says nothing.

        Notes
        -----
        Error of "lstsq": a sketch carries rounding of about 5e-8 |s|, so an element is known to about 5e-8 |s| / sqrt(d
        (1 - load)) over the object's amplitude, which falls with depth and weight (docs/implementation.md, "Rounding").
        Measured at loads up to 0.65, depth up to 3, attributes of norm one: with even weights (Dirichlet(4)) the worst
        element of 400 runs is wrong by 6e-7 at d = 1,024 and 1.1e-6 at 4,096; with very uneven ones (Dirichlet(1), many
        below 0.01) by 1.3e-5 and 3.8e-4 (docs/figures.md). Between loads of 0.7 and 1 iterations, and the error with
        them, rise steeply; from 1 on the answer is one of many.

        Cost: "lstsq" takes two sweeps an iteration, 47 to 70 iterations at load 0.5 and 72 to 107 at 0.66, and a
        thread about 20 vectors of d floats. "sparse" takes one and a half times that. The filters take 2 to 3 sweeps,
        "matched" one more for every object that is shared or below one, and two arrays of the size of all sketches.
        Ctrl-C is served in all.

        "matched" and "paper" with the "hadamard" rotation use expected norms, right to about sqrt(1 / d) an operator.

        "sparse" has the error of "lstsq" with the non-zero elements for a load. It is hard thresholding pursuit [1]_
        with a step and a threshold that follow from the residual (docs/method.md, "Sparse attributes"). Gaussian
        elements come back up to 0.43 d of 2.5 d and 0.31 d of 10 d, elements alike in size up to 0.31 d and 0.20 d. A
        residual of about 1e-7, or of the noise, says that all were found. Limits may be generous: what does not stand
        out is left out anyway.

        References
        ----------
        .. [1] S. Foucart, "Hard thresholding pursuit: an algorithm for compressive sensing", SIAM J. Numer. Anal. 49,
               2011.

        Examples
        --------
        >>> import recsketch as rs
        >>> sk = rs.Sketcher(rs.SketchSpec(64, {"eye": 2, "word": 500}))
        >>> trace = rs.Trace()
        >>> trace.outputs([trace.add("eye", [0.6, 0.8])])
        >>> sk.recover(sk.sketch(trace), trace).attributes[0].round(4)
        array([0.6, 0.8], dtype=float32)

        Three of 500 numbers, from 64:

        >>> import numpy as np
        >>> words = rs.Trace()
        >>> words.outputs([words.add("word", np.bincount([7, 42, 365, 365], minlength=500))])
        >>> found = sk.recover(sk.sketch(words), words, method="sparse").attributes[0]
        >>> np.flatnonzero(found), found[found != 0].round(4)
        (array([  7,  42, 365]), array([1., 1., 2.], dtype=float32))
        """
        from recsketch.reading.options import of_recover  # as below, loaded by those who read sketches
        from recsketch.reading.recover import METHODS, recover

        batch, single = as_batch(structure, "structure")
        _check.choice("method", method, tuple(METHODS))
        options = of_recover(self.spec, method, nonzeros, per_object, nonnegative)
        s, kept, error, many = self._given(sketches, mask, noise)
        if isinstance(structure, Trace) and len(s) != 1:
            batch = TraceBatch.from_traces([structure] * len(s))
        if len(s) != len(batch):
            structures = _check.count(len(batch), "structure")
            raise ValueError(f"sketches: wanted one for each of {structures}; got {_check.describe(s)}")
        if not len(batch):
            return []
        wide = widened(self.spec, batch)
        found = recover(self._matrices, s, wide, method, kept, error, self._workers(), options)
        if self.spec.second_moment:
            names = [[batch.names[m] for m in batch.module[i:j]] for i, j in pairwise(batch.objects.tolist())]
            found = [self._narrowed(r, of) for r, of in zip(found, names, strict=True)]
        return found if many or not single else found[0]

    def unroll(
        self,
        sketches: npt.ArrayLike | PackedSketches,
        mask: npt.ArrayLike | None = None,
        max_depth: int | None = None,
        *,
        sparse: int | str | Mapping[str, int | str | None] | None = None,
        nonnegative: bool | Collection[str] = False,
        noise: npt.ArrayLike | None = None,
    ) -> Any:
        """Rebuild the whole DAG from a sketch alone: which objects there are, and their attributes and weights.

        Parameters
        ----------
        sketches : (d,) or (n, d) array_like, or PackedSketches
        mask : (d,) or (n, d) array of bool, optional
            True where a coordinate is kept. Erased ones are not read and may be anything, NaN too.
        max_depth : int, optional
            Levels of objects to look for, 1 to 64, 1 for the outputs alone; 64 if not given. Where objects stand at the
            last level and something is left, the answer says so.
        sparse : int, "auto" or mapping of module to these, optional
            Attributes are mostly zero: about so many elements of each are not, or ("auto") the sketch tells whether
            they are, module by module, and how many are not. Then there may be more unknowns than coordinates:
            docs/figures.md has runs of 2.5 a coordinate. Modules that a mapping does not name are dense.
        nonnegative : bool or collection of modules' names
            No element of these modules' attributes, where they are sparse, is below zero.
        noise : float or (n,) array_like, optional
            Root mean square error of one coordinate, beyond float32 rounding: of each sketch, or of all. Taken from
            PackedSketches, or from float16's steps, if not given.

        Returns
        -------
        Unrolled for (d,), a list of them for (n, d)
            Objects with modules, attributes, weights, paths, confidences and errors; `.complete` says whether that is
            all, `.rests` what tuples lack; `.to_trace()`, `.tree()`. A shared object comes back as one with a
            `signature` in the specification, otherwise once a use.

        Raises
        ------
        ValueError
            A specification without order, shapes that do not fit, NaN in a kept coordinate, negative noise,
            `nonnegative` without `sparse`.
        TypeError
            Arguments of another type.

        Notes
        -----
        Candidates below every object found are scored by their counters and attributes, and by what stands below them;
        pooled into groups (positions are filled without gaps, a wiring is kept to, an object's counter tells what its
        inputs amount to); taken in where they are significant, fitted jointly with all others and dropped where the fit
        weakens them. A search that is stuck looks harder, in steps (docs/method.md, "Unrolling").

        Measured by default, attributes of any norm (docs/figures.md): 402 of 402 ragged trees at loads up to 0.7, all
        chains of one to three modules up to 40 steps, tuples of 20, 50 and 200 inputs that are alike, softmax weights
        of sigma 4. Two hundred inputs below a chain of twenty states are mostly lost. Beyond capacity the heavy objects
        come back, and of ragged trees at least 99% of what is reported is right, of wide tuples of two modules less.
        Shared objects count once a use; with signatures, once and a counter a use as soon as enough
        uses are found, so that runs come back whole whose uses have a load of 1.2. Inputs beyond the 256th of a tuple
        (fewer where attributes are longer than 65,535) are not looked for. With linear attributes a module with far
        larger ones drowns the others unless `SketchSpec.with_scales` evens them out.

        Cost: up to twice that of "lstsq" at the same load where the run comes back whole. Beyond capacity there are up
        to 240 rounds, and a run may take a second. A thread needs about 75 vectors of d floats and three more a level,
        and a call d floats a module. Ctrl-C is served.

        Examples
        --------
        >>> import numpy as np
        >>> import recsketch as rs
        >>> sk = rs.Sketcher(rs.SketchSpec(256, {"char": 16, "line": 8}, seed=1))
        >>> rng = np.random.default_rng(0)
        >>> run = rs.Trace()
        >>> chars = [run.add("char", rng.standard_normal(16)) for _ in range(3)]
        >>> run.outputs([run.add("line", rng.standard_normal(8), inputs=chars, weights=[3, 2, 1])])
        >>> found = sk.unroll(sk.sketch(run))
        >>> found.complete, [o.module for o in found.objects], found.objects[-1].inputs
        (True, ['char', 'char', 'char', 'line'], (0, 1, 2))
        >>> bool(max(abs(a.attribute - b.attribute).max() for a, b in zip(found.objects, run.objects)) < 1e-4)
        True
        """
        from recsketch.reading.options import of_unroll
        from recsketch.reading.unroll import unroll

        depth, sparsity = of_unroll(self.spec, max_depth, sparse, nonnegative)
        s, kept, error, many = self._given(sketches, mask, noise)
        if not len(s):
            return []
        found = unroll(self._matrices, s, kept, depth, sparsity, error, self._workers())
        if self.spec.second_moment:
            found = [self._plain(u) for u in found]
        return found if many else found[0]

    def _narrowed(self, found: Recovery, modules: Sequence[str]) -> Recovery:
        """What was recovered, of attributes alone."""
        own = [narrowed(self.spec, m, x) for m, x in zip(modules, found.attributes, strict=True)]
        scales = np.array([self.spec.scale(m) for m in modules], np.float32)
        return replace(found, attributes=own, errors=found.errors / scales)

    def _plain(self, found: Unrolled) -> Unrolled:
        """An unrolled run, of attributes alone."""
        spec = self.spec
        objects, rests = [], []
        for o in found.objects:
            x = narrowed(spec, o.module, o.attribute)
            off = norm_error(spec, o.module, x, o.error, o.norm, o.norm_error)
            error = o.error[: x.size] / np.float32(spec.scale(o.module))
            objects.append(replace(o, attribute=x, error=error, norm=float(np.linalg.norm(x)), norm_error=off))
        for rest in found.rests:
            mean, error_of_mean = narrowed(spec, rest.module, rest.mean), rest.mean_error / spec.scale(rest.module)
            rests.append(replace(rest, mean=mean, mean_error=error_of_mean))
        return replace(found, objects=tuple(objects), rests=tuple(rests))

    def summary(
        self,
        sketch: npt.ArrayLike | PackedSketches,
        module: str,
        *,
        below: Sequence[str] = (),
        total: float | None = None,
        mask: npt.ArrayLike | None = None,
        unroll: bool = True,
    ) -> Summary:
        """Count and mean of one module's objects, without knowing the structure.

        Parameters
        ----------
        sketch : (d,) array_like, or PackedSketches of one
        module : str
        below : sequence of str
            The modules on the way from the network's output down to these objects: empty if they are outputs
            themselves, ("page", "line") if they are inputs of lines which are inputs of pages.
        total : float, optional
            How many objects of all modules there are at the end of that way, if known.
        mask : (d,) array of bool, optional
            True where a coordinate is kept. Erased ones are not read and may be anything, NaN too.
        unroll : bool
            Unroll the sketch first, and count exactly if that is the whole run. Without it, and for what does not
            unroll, the pooled model answers.

        Returns
        -------
        Summary
            With a mean of NaN where its error exceeds it, and a count of NaN where its error exceeds it and one: noise
            is not shown as a number.

        Raises
        ------
        ValueError
            A module that the specification does not have, a shape that does not fit, NaN in a kept coordinate, `total`
            not above 0, a specification whose operators are not transparent (an angle above 89.9).
        TypeError
            Arguments of another type.

        Warns
        -----
        CapacityWarning
            There are as many pooled unknowns as kept coordinates, so that nothing can be said.

        Notes
        -----
        Solved jointly for all modules at that depth and above, by least squares on the pooled model (docs/method.md,
        "Pooled statistics"). With "balanced" weighting the sums of all levels give the count, which is rough where
        levels are too faint to be fitted: the deeper a run is and the shorter the sketch. With "energy" weighting k of
        n objects of equal weight sum to k / sqrt(n), and the count is that times the sum over all modules. With
        "linear" weighting the sketch holds only the share k / n: `count` is that share unless `total` is given. The
        share of the weight that goes along `below` is read off, too, and divided out. With "count" the sum is the
        count, of weights.
        The mean of polar attributes is their mean direction times the geometric mean of their norms.

        A run that unrolls is counted without error, each use of an object once, and its mean weighs all uses alike. For
        others, weights within a tuple are taken to be equal: others bias counts, and weigh the mean. The error falls as
        1 / sqrt(d). Measured for 64 outputs of two modules at d = 4,096: counts within 2% on average, elements of the
        mean within 0.03 of attributes of norm about one. It is that of one draw of the matrices: for one specification
        it is the same in every run, so that averaging over runs does not remove it.

        Cost: that of `unroll`, and for what does not unroll up to 60 iterations, each of 4 operators a module and
        level: 170 to 200 sweeps of a run of 27 objects, and about 20 vectors of d floats.

        Examples
        --------
        >>> import numpy as np
        >>> import recsketch as rs
        >>> sk = rs.Sketcher(rs.SketchSpec(4096, {"cat": 16, "dog": 16}, max_inputs=64))
        >>> trace = rs.Trace()
        >>> rng = np.random.default_rng(1)
        >>> trace.outputs([trace.add("cat" if i % 4 else "dog", rng.standard_normal(16) / 4) for i in range(64)])
        >>> abs(sk.summary(sk.sketch(trace), "cat").count - 48) < 3
        True
        """
        from recsketch.reading.pooled import counted, summarise

        _check.choice("module", module, self.spec.modules)
        path = _check.members("below", below, "a sequence of module names")
        for name in path:
            _check.choice("below", name, self.spec.modules)
        if total is not None:
            total = _check.number("total", total, "a positive number of objects", 0.0, 1e15)
        if self.spec.second_moment:
            raise ValueError("summary: wanted a specification without second moments; Population reads these")
        if self.spec.angle > 89.9:
            raise ValueError(f"summary: wanted transparent operators, an angle of at most 89.9; got {self.spec.angle}")
        given, told = _unpacked(sketch)
        s = _check.floats("sketch", given, f"a sketch of {self.spec.dim} numbers", (self.spec.dim,))
        rows = _check.mask(mask, self.spec.dim, 1)
        kept = None if rows is None else rows[0].view(np.bool_)
        _check.known("sketch", s[None], rows)
        if _check.flag("unroll", unroll) and self.spec.ordered:
            whole = self.unroll(s, mask, noise=None if told is None else np.ravel(told))
            if whole.complete:
                return counted(whole, module, path, self.spec.modules[module])
        return summarise(self._matrices, s if kept is None else np.where(kept, s, 0), module, path, total, kept)

    def similarity(
        self,
        a: npt.ArrayLike | PackedSketches,
        b: npt.ArrayLike | PackedSketches,
        mean: npt.ArrayLike | None = None,
    ) -> Any:
        """Cosine of each sketch in `a` with each in `b`.

        Parameters
        ----------
        a, b : (d,) or (n, d) array_like, or PackedSketches
            Finite numbers of at most 1e30.
        mean : (d,) array_like, optional
            Subtracted from both first: the mean of many sketches, which is what all runs share. Of sketches of norm
            one, best, because those of larger runs are longer.

        Returns
        -------
        (n, m) float32 for (n, d) and (m, d), a float for two vectors
            Without the axis of what is a vector. 0 for a zero sketch.

        Raises
        ------
        ValueError, TypeError
            Shapes that are not (d,) or (n, d), NaN, infinity or numbers above 1e30, another type.

        Notes
        -----
        1 for equal runs, up to rounding. Runs that share nothing but modules at the same places score the identity
        branches they have in common, the more the more alike their structures are: compare with other runs, not with 0,
        or subtract the `mean` of many runs, after which unlike runs score about 0.
        Noise e in each coordinate of s multiplies a cosine by 1 / sqrt(1 + d e^2 / |s|^2).

        Cost: a matrix product of n by m by d, and copies of both arrays.

        Examples
        --------
        >>> import recsketch as rs
        >>> sk = rs.Sketcher(rs.SketchSpec(64, {"eye": 2}))
        >>> trace = rs.Trace()
        >>> trace.outputs([trace.add("eye", [0.6, 0.8])])
        >>> s = sk.sketch(trace)
        >>> round(sk.similarity(s, s), 5)
        1.0
        """
        from recsketch.reading.similarity import cosines

        x, y = self._finite("a", a), self._finite("b", b)
        centre = np.float32(0) if mean is None else self._mean(mean)
        found = cosines(np.atleast_2d(x) - centre, np.atleast_2d(y) - centre).reshape(x.shape[:-1] + y.shape[:-1])
        return found if found.ndim else float(found)

    def nearest(
        self,
        query: npt.ArrayLike | PackedSketches,
        sketches: npt.ArrayLike | PackedSketches,
        k: int = 10,
        *,
        metric: str = "cosine",
        mean: npt.ArrayLike | None = None,
    ) -> Neighbours:
        """The k sketches that are nearest to a query; every one is looked at.

        Parameters
        ----------
        query : (d,) or (q, d) array_like, or PackedSketches
        sketches : (n, d) array_like, or PackedSketches
            Where to search; n may be 0. Read where they are, a block at a time: memory-mapped arrays too.
        k : int
            At least 1. Where n is smaller, all n come back.
        metric : {"cosine", "inner"}
            "cosine" as of `similarity`, 0 where either vector is zero; "inner" product.
        mean : (d,) array_like, optional
            Subtracted from query and sketches first, as in `similarity`: bring both to norm one before, and take the
            mean of that, because the sketches of larger runs are longer.

        Returns
        -------
        Neighbours
            `scores` float32 and `indices` int64 of shape (min(k, n),) for one query, (q, min(k, n)) for q, the best
            first, of equal scores the smaller index first. Nothing is padded.

        Raises
        ------
        ValueError, TypeError
            Shapes that do not fit, NaN, infinity or numbers above 1e30, `k` below 1, another metric.

        Notes
        -----
        <q - m, s - m> over the norms of both, m being the mean. Runs of one network share much of their sketches;
        without the mean, cosines of unlike runs are far from 0 and close to each other. For runs whose parts were
        moved or inserted search unordered sketches (docs/differences.md). An inner product beyond 3.4e38 is infinite.

        Errors are those of `scan`, d / 16 + 6 roundings; with a mean each difference is rounded once, so that nothing
        cancels but what was lost in float32 sketches before.

        Cost: q n d products, and one pass over the sketches to check them and for their norms. float32, float16 and
        packed sketches are then scanned where they lie; with a `mean`, and of other types or layouts, 2**21 numbers at
        a time are converted: about 40 MB. To search one table often, keep rows of norm one and call `scan`.

        Examples
        --------
        >>> import numpy as np
        >>> import recsketch as rs
        >>> sk = rs.Sketcher(rs.SketchSpec(64, {"eye": 2}))
        >>> rows = np.random.default_rng(0).standard_normal((100, 64))
        >>> found = sk.nearest(rows[7] + 0.1, rs.pack(rows, "int8"), k=3)
        >>> int(found.indices[0]), found.scores.shape
        (7, (3,))
        """
        from recsketch.reading.nearest import METRICS, Rows, nearest

        q = self._finite("query", query)
        rows = Rows(sketches, self.spec.dim)
        most = _check.integer("k", k, 1, 1 << 62)
        _check.choice("metric", metric, METRICS)
        centre = None if mean is None else self._mean(mean)
        return nearest(np.atleast_2d(q), rows, most, metric, centre, self._workers()).of(q.ndim == 2)

    def diff(
        self,
        a: npt.ArrayLike | PackedSketches,
        b: npt.ArrayLike | PackedSketches,
        *,
        tolerance: float = 1e-5,
        mask: npt.ArrayLike | None = None,
        max_depth: int | None = None,
        sparse: int | str | Mapping[str, int | str | None] | None = None,
        nonnegative: bool | Collection[str] = False,
        noise: float | None = None,
    ) -> Difference:
        """Why the runs of two sketches differ: both are unrolled and compared.

        Parameters
        ----------
        a, b : (d,) array_like, or PackedSketches of one
        tolerance : float
            As of `recsketch.diff`: what is tolerated beyond the errors that the unrolled runs state.
        mask, max_depth, sparse, nonnegative, noise
            As of `unroll`, for both sketches. Where they differ, unroll each and call `recsketch.diff`.

        Returns
        -------
        Difference
            `whole` says of each run whether it was read whole.

        Raises
        ------
        ValueError, TypeError
            As of `unroll` and `recsketch.diff`.

        Notes
        -----
        Cost: two of `unroll`, beside which the comparison is small.

        Examples
        --------
        >>> import recsketch as rs
        >>> sk = rs.Sketcher(rs.SketchSpec(256, {"char": 4, "line": 1}))
        >>> runs = [rs.Trace(), rs.Trace()]
        >>> for run, x in zip(runs, [[0, 1, 0, 0], [0, 0, 1, 0]]):
        ...     chars = [run.add("char", [1, 0, 0, 0]), run.add("char", x)]
        ...     run.outputs([run.add("line", [1], chars)])
        >>> print(sk.diff(sk.sketch(runs[0]), sk.sketch(runs[1])))
        Difference: 1 changed, 2 the same
        ~ char at 0.1: attribute off by 1.4 (cosine 0.00)
        """
        from recsketch.reading.difference import diff

        runs = []
        for name, sketch in (("a", a), ("b", b)):
            plain, stored = _unpacked(sketch)
            s = _check.floats(name, plain, f"a sketch of {self.spec.dim} numbers", (self.spec.dim,))
            _check.known(name, s[None], _check.mask(mask, self.spec.dim, 1))
            error = stored if noise is None else noise
            runs.append(self.unroll(s, mask, max_depth, sparse=sparse, nonnegative=nonnegative, noise=error))
        return diff(*runs, tolerance=tolerance)

    def load(self, traces: Trace | TraceBatch | Iterable[Trace], uses: bool = False) -> Any:
        """Unknown numbers over d: of every object its attribute, one more of its norm where attributes are polar, its
        signature, and its counter.

        Parameters
        ----------
        traces : Trace, TraceBatch or iterable of Trace
            Such as `sketch` takes.
        uses : bool
            True counts an object at every place where it stands, each way from the outputs down to it. That is what
            `unroll` pays, with signatures or without: copies are known to be one only once all are found.

        Returns
        -------
        float for a Trace, (n,) float64 for n of them
            Objects that reach no output do not count.

        Raises
        ------
        ValueError, TypeError
            As of `sketch`, but for the attributes' values; `uses` no bool.

        Notes
        -----
        Up to about 0.65 `recover` reads everything back to float32 rounding, amplified by one over the objects'
        amplitudes, and `unroll` nearly all runs whole, if weights are even, depth is at most 4 and no module's
        attributes are far larger than another's: see there for what was measured.

        Cost: a plan of all traces, some 150 bytes an object; nothing is sketched. `uses` adds about 0.1 microseconds an
        input on each level where its owner stands.

        Examples
        --------
        >>> import recsketch as rs
        >>> trace = rs.Trace()
        >>> eye = trace.add("eye", [0.5] * 14)
        >>> trace.outputs([eye, eye])
        >>> sk = rs.Sketcher(rs.SketchSpec(64, {"eye": 14}))
        >>> sk.load(trace), sk.load(trace, uses=True)
        (0.25, 0.5)
        """
        batch, single = as_batch(traces)
        found = loads(self._matrices, widened(self.spec, batch), self._workers(), _check.flag("uses", uses))
        return float(found[0]) if single else found

    def _finite(self, name: str, sketches: npt.ArrayLike | PackedSketches) -> Floats:
        """Sketches (d,) or (n, d), finite."""
        s = _check.sketches(name, _unpacked(sketches)[0], self.spec.dim)
        _check.known(name, np.atleast_2d(s), None)
        return s

    def _mean(self, mean: npt.ArrayLike) -> Floats:
        d = self.spec.dim
        return _check.finite("mean", _check.floats("mean", mean, f"a vector of {d} numbers", (d,)))

    def _given(
        self, sketches: npt.ArrayLike | PackedSketches, mask: npt.ArrayLike | None, noise: npt.ArrayLike | None
    ) -> tuple[Floats, npt.NDArray[np.uint8] | None, npt.NDArray[np.float64] | None, bool]:
        """Sketches as (n, d), mask and noise as decoders take them, all checked; and whether there were many."""
        plain, stored = _unpacked(sketches)
        s = _check.sketches("sketches", plain, self.spec.dim)
        rows = np.atleast_2d(s)
        kept = _check.mask(mask, self.spec.dim, len(rows))
        error = _check.noise(stored if noise is None else noise, len(rows))
        _check.known("sketches", rows, kept)
        return rows, kept, error, s.ndim == 2


def _together(batch: TraceBatch, threads: int) -> int:
    """How many runs are planned, encoded and then swept at a time."""
    size = batch.attributes.nbytes + 150 * batch.module.size
    parts = max(1, round(size / (CACHED * threads)))
    least = 1 if threads == 1 else 16 * threads  # so that no thread waits long for another one's run
    return min(SLICE, max(least, -(-len(batch) // parts)))


def _unpacked(sketches: npt.ArrayLike | PackedSketches) -> tuple[Any, Any]:
    """Sketches as an array, and the error of a coordinate that their storage costs (packing.unpacked)."""
    from recsketch.sketching.packing import unpacked

    return unpacked(sketches)
