"""The front: sketches of runs, and what can be read from them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, overload

import numpy as np

import recsketch._check as _check
import recsketch._core as _core
from recsketch._check import MAX_DIM, MIN_DIM, Floats
from recsketch.runs.batch import TraceBatch, as_batch
from recsketch.runs.trace import Trace
from recsketch.sketching.plan import explain, plan
from recsketch.sketching.signature import with_signatures
from recsketch.sketching.spec import SketchSpec, draw

if TYPE_CHECKING:
    import numpy.typing as npt

    from recsketch.reading.pooled import Summary
    from recsketch.reading.recover import Recovery
    from recsketch.sketching.packing import PackedSketches

Method: TypeAlias = Literal["lstsq", "sparse", "matched", "paper"]

SLICE = 1024  # traces planned at a time: a plan takes some 80 bytes an object


class Sketcher:
    """Sketches runs under one specification, and reads sketches.

    Parameters
    ----------
    spec : SketchSpec
    threads : int, optional
        Upper bound; all that OpenMP offers if not given. Results do not depend on it.

    Notes
    -----
    Holds the random matrices, about (max_inputs + 8 modules) d / 8 bytes, and nothing that changes: one sketcher may be
    used from many threads, and after a fork. Pickles as its specification.

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
        self._core = draw(spec)

    def __reduce__(self) -> tuple[Any, tuple[SketchSpec, int | None]]:
        return Sketcher, (self.spec, self.threads)

    def __repr__(self) -> str:
        return f"Sketcher({self.spec!r}, threads={self.threads})"

    @property
    def nbytes(self) -> int:
        """Bytes of the random matrices."""
        return self._core.nbytes

    def _workers(self) -> int:
        return _core.max_threads() if self.threads is None else self.threads

    def sketch(self, traces: Trace | TraceBatch | Iterable[Trace]) -> Floats:
        """Fold runs into vectors of length d.

        Parameters
        ----------
        traces : Trace, TraceBatch or iterable of Trace

        Returns
        -------
        (d,) float32 for a Trace, (n, d) for n of them
            With "unit" scaling and attributes of norm one the norm is about one, more where many objects of one module
            are in one tuple, whose identity branches add up.

        Raises
        ------
        ValueError
            A module that the specification does not have, an attribute of another length, NaN, infinity, a value above
            1e30 after scaling, a trace without outputs, too many inputs, or such as the wiring excludes. The message
            names the trace and the object.

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
        for first in range(0, len(batch), SLICE):
            part = with_signatures(self.spec, batch[first : first + SLICE] if len(batch) > SLICE else batch, first)
            p = plan(self._core, self.spec, part, threads, first)
            try:
                p.sketch(part.attributes, None, out[first : first + SLICE], threads)
            except _core.CoreError as e:
                raise ValueError(explain(e, self.spec, part, first)) from None
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
            "lstsq": least squares over all attributes at once, exact while their numbers fit: up to about 0.7 of the
            coordinates kept. "sparse": for attributes that are mostly zero, whose numbers may be many times the
            coordinates: finds which are not, and least squares over those. "matched": each attribute by itself, error
            about sqrt(1 / d) over the object's amplitude. "paper": the paper's decoder, through the rotations alone:
            useful at depth 1.
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
            Shapes that do not fit, NaN in a kept coordinate, a structure that `sketch` would refuse, a number below 1
            for `nonzeros` or `per_object`, any of these or `nonnegative` with another method, `nonnegative` with
            signatures, a negative or infinite `noise`.
        TypeError
            `nonzeros` or `per_object` no integer, `nonnegative` no bool, `noise` or `mask` of another type.

        Warns
        -----
        CapacityWarning
            At least as many unknown numbers as kept coordinates: attribute elements for "lstsq", those found not to be
            zero for "sparse", or those given where what was found leaves a residual.

        Notes
        -----
        Error of "lstsq": a sketch carries rounding of about 5e-8 |s|, so an element is known to about
        5e-8 |s| / sqrt(d (1 - load)) over the object's amplitude: a few 1e-7 at depth 3 and load 0.65 (docs/design.md,
        section 5). "matched" and "paper" with the "hadamard" rotation use expected norms, right to about sqrt(1 / d) an
        operator.

        "sparse" has the error of "lstsq" with the non-zero elements for a load. It is hard thresholding pursuit [1]_
        with a step and a threshold that follow from the residual (docs/design.md, section 4). Gaussian elements come
        back up to 0.43 d of 2.5 d and 0.31 d of 10 d, elements alike in size up to 0.31 d and 0.20 d. A residual of
        about 1e-7, or of the noise, says that all were found. Limits may be generous: what does not stand out is left
        out anyway.

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
        from recsketch.reading.recover import METHODS, recover  # as below, loaded by those who read sketches

        batch, single = as_batch(structure)
        _check.choice("method", method, tuple(METHODS))
        plain, stored = _unpacked(sketches)
        s = _check.sketches("sketches", plain, self.spec.dim)
        many = s.ndim == 2
        s = np.atleast_2d(s)
        if isinstance(structure, Trace) and len(s) != 1:
            batch = TraceBatch.from_traces([structure] * len(s))
        if len(s) != len(batch):
            raise ValueError(f"sketches: wanted one for each of {len(batch)} structures; got {_check.describe(s)}")
        kept = _check.mask(mask, self.spec.dim, len(batch))
        error = _check.noise(stored if noise is None else noise, len(batch))
        given = _options(self.spec, method, nonzeros, per_object, nonnegative)
        if not len(batch):
            return []
        found = recover(self._core, self.spec, s, batch, method, kept, self._workers(), error, given)
        return found if many or not single else found[0]

    def unroll(
        self,
        sketches: npt.ArrayLike | PackedSketches,
        mask: npt.ArrayLike | None = None,
        max_depth: int | None = None,
        *,
        sparse: int | str | None = None,
        nonnegative: bool = False,
        noise: npt.ArrayLike | None = None,
    ) -> Any:
        """Rebuild the whole DAG from a sketch alone: which objects there are, and their attributes and weights.

        Parameters
        ----------
        sketches : (d,) or (n, d) array_like, or PackedSketches
        mask : (d,) or (n, d) array of bool, optional
            True where a coordinate is kept. Erased ones are not read and may be anything, NaN too.
        max_depth : int, optional
            Levels of objects to look for, 1 for the outputs alone; 16 if not given.
        sparse : int or "auto", optional
            Attributes are mostly zero: about so many elements of each are not, or ("auto") as many as turn out. Then
            there may be more unknowns than coordinates: docs/figures.md has runs of 2.5 a coordinate.
        nonnegative : bool
            No element of the sparse attributes is below zero.
        noise : float or (n,) array_like, optional
            Root mean square error of one coordinate, beyond float32 rounding: of each sketch, or of all. Taken from
            PackedSketches, or from float16's steps, if not given.

        Returns
        -------
        Unrolled for (d,), a list of them for (n, d)
            Objects with modules, attributes, weights, paths, confidences and errors; `.complete` says whether that is
            all; `.to_trace()`, `.tree()`. A shared object comes back as one with a `signature` in the specification,
            otherwise once a use.

        Raises
        ------
        ValueError
            Shapes that do not fit, NaN in a kept coordinate, negative noise, `nonnegative` without `sparse` or with
            signatures.
        TypeError
            Arguments of another type.

        Notes
        -----
        Candidates below every object found are scored by their counters and attributes, pooled into groups (positions
        are filled without gaps, a wiring is kept to, an object's counter tells what its inputs amount to), taken in
        where they are significant, fitted jointly with all others and dropped where the fit weakens them
        (docs/design.md, section 8). Up to a load of 0.7 the run comes back whole, with rare exceptions; beyond that its
        heavy objects do. That holds for attributes of norms of about one, or (up to 200) of another that all modules
        share; a module with far larger ones drowns the others unless `SketchSpec.with_scales` evens them out. Shared
        objects count once a use. Inputs beyond the 256th of a tuple
        (fewer where attributes are longer than 65,535) are not looked for.

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
        from recsketch.reading.unroll import unroll

        plain, stored = _unpacked(sketches)
        s = _check.sketches("sketches", plain, self.spec.dim)
        rows = np.atleast_2d(s)
        kept = _check.mask(mask, self.spec.dim, len(rows))
        error = _check.noise(stored if noise is None else noise, len(rows))
        depth = None if max_depth is None else _check.integer("max_depth", max_depth, 1, 64)
        nonzeros = _nonzeros(sparse)
        if _nonnegative(self.spec, nonnegative) and nonzeros is None:
            raise ValueError("nonnegative: wanted `sparse` with it, a number or 'auto'; got neither")
        if not len(rows):
            return []
        found = unroll(self._core, self.spec, rows, kept, depth, nonzeros, nonnegative, error, self._workers())
        return found if s.ndim == 2 else found[0]

    def summary(
        self,
        sketch: npt.ArrayLike | PackedSketches,
        module: str,
        *,
        below: Sequence[str] = (),
        total: float | None = None,
        mask: npt.ArrayLike | None = None,
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
            How many objects there are at that depth in all, if known.
        mask : (d,) array of bool, optional
            True where a coordinate is kept.

        Returns
        -------
        Summary

        Notes
        -----
        Solved jointly for all modules at that depth and above, by least squares on the pooled model (docs/design.md,
        section 6). The sketch holds sums of alpha, which is sqrt(w) or w. With "energy" weighting k of n objects of
        equal weight sum to k / sqrt(n), and the count is that times the sum over all modules. With "linear" weighting
        the sketch holds only the share k / n: `count` is that share unless `total` is given.

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
        names = list(self.spec.modules)
        _check.choice("module", module, names)
        if isinstance(below, str) or not isinstance(below, Sequence):
            raise TypeError(f"below: wanted a sequence of module names; got {_check.describe(below)}")
        for name in below:
            _check.choice("below", name, names)
        if total is not None:
            total = _check.number("total", total, "a positive number of objects", 0.0, 1e15)
        if self.spec.angle > 89.9:
            raise ValueError(f"summary: wanted transparent operators, an angle of at most 89.9; got {self.spec.angle}")
        s = _check.floats("sketch", _unpacked(sketch)[0], f"a sketch of {self.spec.dim} numbers", (self.spec.dim,))
        rows = _check.mask(mask, self.spec.dim, 1)
        kept = None if rows is None else rows[0].astype(np.bool_)
        if not np.all(np.abs(s if kept is None else s[kept]) <= _check.LARGEST):
            raise ValueError(f"sketch: {_check.FINITE}")
        from recsketch.reading.pooled import summarise

        return summarise(self._core, self.spec, s if kept is None else np.where(kept, s, 0), module, below, total, kept)

    def similarity(self, a: npt.ArrayLike | PackedSketches, b: npt.ArrayLike | PackedSketches) -> Any:
        """Cosine of each sketch in `a` with each in `b`: (n, m) float32 for (n, d) and (m, d), a float for two vectors.

        Arrays or PackedSketches. Noise e in each coordinate of s multiplies a cosine by 1 / sqrt(1 + d e^2 / |s|^2).
        About 1 for equal runs, 0 for runs that share nothing; a zero sketch gives 0. Runs that share objects under
        other parents or positions score the identity branches they have in common.

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
        x, y = (_check.sketches(name, _unpacked(v)[0], self.spec.dim) for name, v in (("a", a), ("b", b)))
        cosine = _unit("a", np.atleast_2d(x)) @ _unit("b", np.atleast_2d(y)).T
        np.clip(cosine, -1.0, 1.0, out=cosine)  # rounding
        shape = x.shape[:-1] + y.shape[:-1]
        return cosine.reshape(shape) if shape else float(cosine[0, 0])

    def load(self, traces: Trace | TraceBatch | Iterable[Trace]) -> Any:
        """Unknown numbers (attributes, signatures, and one counter an object) over d: a float, or (n,) for a batch.

        Objects that reach no output do not count. Up to about 0.65 everything can be read back exactly; by `unroll` if
        no module's attributes are far larger than another's (`SketchSpec.with_scales`).

        Examples
        --------
        >>> import recsketch as rs
        >>> trace = rs.Trace()
        >>> trace.outputs([trace.add("eye", [0.5] * 15)])
        >>> rs.Sketcher(rs.SketchSpec(64, {"eye": 15})).load(trace)
        0.25
        """
        batch, single = as_batch(traces)
        if not len(batch):
            return np.zeros(0)
        batch = with_signatures(self.spec, batch)
        uses = plan(self._core, self.spec, batch, self._workers()).amplitudes()[1]
        loads = _unknowns(batch, uses > 0) / self.spec.dim
        return float(loads[0]) if single else loads


def suggest_dim(traces: Trace | TraceBatch | Iterable[Trace], target: float = 0.6, *, signature: int = 0) -> int:
    """The smallest sketch length at which no trace has a load above `target`, with signatures of that length.

    Examples
    --------
    >>> import recsketch as rs
    >>> trace = rs.Trace()
    >>> trace.outputs([trace.add("eye", [1.0] * 99) for _ in range(5)])
    >>> suggest_dim(trace)
    1024
    """
    batch, _ = as_batch(traces)
    target = _check.number("target", target, "a load above 0 and at most 4", 0.0, 4.0)
    if not len(batch):
        raise ValueError("traces: wanted at least one; got none")
    used = np.append(0, np.cumsum(batch.weights > 0)), np.append(0, np.cumsum(batch.output_weights > 0))
    ends = batch.input_ends, batch.output_ends  # an input of weight 0 takes no position
    widest = max(1, *(int(np.diff(u[e]).max(initial=0)) for u, e in zip(used, ends, strict=True)))
    trial = SketchSpec(MIN_DIM, batch.modules, max_inputs=widest, signature=signature)
    most = float(np.max(Sketcher(trial).load(batch))) * MIN_DIM
    dim = max(MIN_DIM, 1 << math.ceil(math.log2(min(max(most, 1.0) / target, 2.0**60))))
    if dim > MAX_DIM:
        raise ValueError(f"traces: wanted at most {target * MAX_DIM:.0f} unknown numbers in one; got {most:.0f}")
    return dim


def _unpacked(sketches: npt.ArrayLike | PackedSketches) -> tuple[Any, Any]:
    """Sketches as an array, and the error of a coordinate that their storage costs (storage.unpacked)."""
    from recsketch.sketching.packing import unpacked

    return unpacked(sketches)


def _options(
    spec: SketchSpec, method: str, nonzeros: int | None, per_object: int | None, nonnegative: bool
) -> dict[str, Any]:
    """What `recover` was asked for beside a method, checked; empty for methods that have no options."""
    count = {"nonzeros": nonzeros, "per_object": per_object}
    options: dict[str, Any] = {k: None if v is None else _check.integer(k, v, 1, 1 << 40) for k, v in count.items()}
    options["nonnegative"] = _nonnegative(spec, nonnegative)
    if method == "sparse":
        return options
    for name, value in options.items():
        if value is not None and value is not False:
            raise ValueError(f'{name}: wanted method="sparse" with it; got {method!r}')
    return {}


def _nonzeros(sparse: int | str | None) -> int | None:
    """Expected non-zero elements of an attribute: 0 for any number, None where attributes are dense."""
    if sparse is None or sparse == "auto":
        return None if sparse is None else 0
    if isinstance(sparse, str):
        raise ValueError(f"sparse: wanted a number of elements, 'auto' or None; got {_check.describe(sparse)}")
    return _check.integer("sparse", sparse, 1, 1 << 20)


def _nonnegative(spec: SketchSpec, flag: bool) -> bool:
    value = _check.flag("nonnegative", flag)
    if value and spec.signature:
        raise ValueError("nonnegative: wanted a specification without signatures, whose elements have both signs")
    return value


def _unknowns(batch: TraceBatch, live: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    sums = np.zeros(live.size + 1)
    np.cumsum((np.diff(batch.attribute_ends) + 1) * live, out=sums[1:])
    return np.asarray(np.diff(sums[batch.objects]))


def _unit(name: str, x: Floats) -> Floats:
    most = np.abs(x).max(axis=1, keepdims=True, initial=0.0)
    if not np.all(np.isfinite(most)):
        raise ValueError(f"{name}: wanted finite numbers; got NaN or infinity")
    scaled = x / np.where(most > 0, most, 1)  # so that squares neither overflow nor vanish
    norm = np.linalg.norm(scaled, axis=1, keepdims=True)
    return np.asarray(scaled / np.where(norm > 0, norm, 1), np.float32)
