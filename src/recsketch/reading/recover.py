"""Reading attributes back from sketches whose structure is known."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

import recsketch._check as _check
import recsketch._core as _core
from recsketch._check import CapacityWarning, Floats
from recsketch.runs.batch import TraceBatch
from recsketch.sketching.plan import plan
from recsketch.sketching.signature import with_signatures
from recsketch.sketching.spec import SketchSpec, draw

if TYPE_CHECKING:
    import numpy.typing as npt

Mask: TypeAlias = "npt.NDArray[np.uint8] | None"
Noise: TypeAlias = "npt.NDArray[np.float64] | None"


class Recovery(NamedTuple):
    """Attributes read from one sketch.

    Attributes
    ----------
    attributes : list of float32 arrays
        In the order of the structure's objects. NaN for objects that left nothing in the sketch: those that reach no
        output with positive weight, or with a weight below 2**-40 of the heaviest.
    residual : float
        Share of the sketch, as a norm, that the attributes do not explain: about 1e-7 when the structure is right and
        fits. Infinite for a zero sketch that they do not give, NaN if no coordinate is kept.
    iterations : int
        Of CGLS, 0 for the filters. At 1000 it was stopped: the structure, or what a pursuit sought, fills the sketch.
    """

    attributes: list[Floats]
    residual: float
    iterations: int

    def __str__(self) -> str:
        n = len(self.attributes)
        return f"Recovery of {n} objects, residual {self.residual:.1e}, {self.iterations} iterations"

    def __repr__(self) -> str:
        return f"<{self}>"

    def _repr_html_(self) -> str:
        return f"<p>{self}</p>"


Answer: TypeAlias = "tuple[Floats, npt.NDArray[np.float64], npt.NDArray[np.int32]]"  # attributes, residuals, iterations
Solver: TypeAlias = "Callable[..., Answer]"


def recover(
    core: _core.Spec,
    spec: SketchSpec,
    sketches: Floats,
    batch: TraceBatch,
    method: str,
    mask: Mask,
    threads: int,
    noise: Noise,
    options: dict[str, Any],
) -> list[Recovery]:
    """Attributes of every trace's objects; sketches (n, d) and noise (n,), one a trace; the caller checks arguments."""
    batch = with_signatures(spec, batch)
    more = {"noise": noise} if method in ("lstsq", "sparse") else {}  # the filters do not iterate
    attributes, residual, iterations = METHODS[method](core, spec, sketches, batch, mask, threads, **more, **options)
    parts = [attributes[i : j - spec.signature] for i, j in pairwise(batch.attribute_ends.tolist())]
    of = zip(pairwise(batch.objects.tolist()), residual.tolist(), iterations.tolist(), strict=True)
    return [Recovery(parts[begin:end], r, done) for (begin, end), r, done in of]


def _lstsq(
    core: _core.Spec,
    spec: SketchSpec,
    sketches: Floats,
    batch: TraceBatch,
    mask: Mask,
    threads: int,
    noise: Noise = None,
) -> Answer:
    def solve(p: _core.Plan, s: Floats, kept: Mask, error: Noise, out: Answer) -> None:
        p.lstsq(s, kept, 0.0, MAX_ITERATIONS, *out, threads, error)

    answer, unknowns = _solved(solve, core, spec, sketches, batch, mask, threads, noise)
    _warn_over_capacity(unknowns, spec, mask)
    return answer


def _solved(
    solve: Callable[..., None],
    core: _core.Spec,
    spec: SketchSpec,
    sketches: Floats,
    batch: TraceBatch,
    mask: Mask,
    threads: int,
    noise: Noise,
) -> tuple[Answer, npt.NDArray[np.int64]]:
    """What a solver of C writes, slice by slice, and every trace's unknowns."""
    ends = batch.attribute_ends[batch.objects]
    attributes = np.empty(max(int(ends[-1]), 1), np.float32)
    residual, iterations = np.empty(len(batch)), np.empty(len(batch), np.int32)
    unknowns = np.empty(len(batch), np.int64)
    for part in _check.slices(len(batch), threads):
        some = batch if part == slice(0, len(batch)) else batch[part]
        p = plan(core, spec, some, threads, part.start)
        unknowns[part] = _unknowns(p, some)
        out = attributes[ends[part.start] : ends[part.stop]], residual[part], iterations[part]
        try:
            solve(p, sketches[part], _check.rows(mask, part), None if noise is None else noise[part], out)
        except _core.CoreError as e:
            raise ValueError(f"sketches[{part.start + e.trace}]: {_check.FINITE}") from None
    return (attributes, residual, iterations), unknowns


MAX_ITERATIONS = 1000
EXPLAINED = 1e-5  # residual
FAINT = 2.0**-40  # as in solve.c: of the loudest object's amplitude: a float32 sketch holds nothing of what is below


def _sparse(
    core: _core.Spec,
    spec: SketchSpec,
    sketches: Floats,
    batch: TraceBatch,
    mask: Mask,
    threads: int,
    *,
    nonzeros: int | None,
    per_object: int | None,
    nonnegative: bool,
    noise: Noise,
) -> Answer:
    signature = spec.signature  # its elements are not zero
    if nonzeros is not None:
        nonzeros += signature * int(np.max(np.diff(batch.objects)))
    if per_object is not None:
        per_object += signature
    limits = (nonzeros or 0, per_object or 0, nonnegative)

    def solve(p: _core.Plan, s: Floats, kept: Mask, error: Noise, out: Answer) -> None:
        p.sparse(s, kept, *limits, error, MAX_ITERATIONS, *out, threads)

    answer, unknowns = _solved(solve, core, spec, sketches, batch, mask, threads, noise)
    found = np.append(0, np.cumsum(np.nan_to_num(answer[0][: batch.attribute_ends[-1]]) != 0))
    count = np.diff(found[batch.attribute_ends[batch.objects]])
    if nonzeros is not None:  # a generous limit does no harm where the few that were found explain the sketch
        count = np.where(answer[1] < EXPLAINED, count, np.minimum(unknowns, nonzeros))
    _warn_over_capacity(count, spec, mask)
    return answer


def _unknowns(p: _core.Plan, batch: TraceBatch) -> npt.NDArray[np.int64]:
    """Attribute elements of each trace that reach an output."""
    live = np.append(0, np.cumsum(np.diff(batch.attribute_ends) * (p.amplitudes()[1] > 0)))
    return np.diff(live[batch.objects])


def _warn_over_capacity(unknowns: npt.NDArray[np.int64], spec: SketchSpec, mask: Mask) -> None:
    kept = spec.dim if mask is None else mask.sum(axis=1)
    worst = float(np.max(unknowns / np.maximum(kept, 1)))
    if worst >= 1.0:
        warnings.warn(
            f"{worst:.2f} unknown numbers a kept coordinate: attributes cannot be exact. Use a larger dim",
            CapacityWarning,
            stacklevel=5,
        )


def _matched(
    core: _core.Spec, spec: SketchSpec, sketches: Floats, batch: TraceBatch, mask: Mask, threads: int
) -> Answer:
    p = plan(core, spec, batch, threads)
    amplitude, uses = p.amplitudes()
    return _filter(p, p, spec, sketches, batch, mask, threads, _measured(p, batch, amplitude, uses, threads))


def _paper(core: _core.Spec, spec: SketchSpec, sketches: Floats, batch: TraceBatch, mask: Mask, threads: int) -> Answer:
    rotations = plan(_rotations(spec), spec, batch, threads)
    whole = plan(core, spec, batch, threads)
    return _filter(rotations, whole, spec, sketches, batch, mask, threads, rotations.amplitudes()[0])


@lru_cache(maxsize=2)
def _rotations(spec: SketchSpec) -> _core.Spec:
    return draw(spec, transparent=False)


def _filter(
    p: _core.Plan,
    whole: _core.Plan,
    spec: SketchSpec,
    sketches: Floats,
    batch: TraceBatch,
    mask: Mask,
    threads: int,
    norms: npt.NDArray[np.float64],
) -> Answer:
    """x = A^T s / norms^2, per object, A of the plan p; with a mask, over the share of kept coordinates."""
    s = sketches if mask is None else np.where(mask, sketches, np.float32(0))
    if not _core.within(s.reshape(-1), _check.LARGEST):
        row = np.flatnonzero(~(np.abs(s) <= _check.LARGEST).all(axis=1))[0]
        raise ValueError(f"sketches[{row}]: {_check.FINITE}")
    attributes = np.empty(p.attributes, np.float32)
    p.adjoint(s, attributes, None, threads)
    kept = np.ones(p.traces) if mask is None else np.broadcast_to(mask.mean(axis=1), (p.traces,))
    share = kept.repeat(_sizes(batch.objects))
    factor = np.full(norms.size, np.nan)
    heard = _heard(spec, batch, norms) & (share > 0)
    factor[heard] = 1.0 / (norms[heard] ** 2 * share[heard])
    x = attributes * factor.repeat(_sizes(batch.attribute_ends))
    x = x.clip(-3e38, 3e38).astype(np.float32)
    return x, _residual(whole, s, mask, kept, threads, x), np.zeros(p.traces, np.int32)


def _heard(spec: SketchSpec, batch: TraceBatch, norms: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Objects that left something in the sketch."""
    scales = np.array([spec.scale(name) for name in batch.names])
    loudness = norms / scales[batch.module]
    loudest = np.maximum.reduceat(loudness, batch.objects[:-1])  # of traces that have outputs, and so objects
    return np.asarray(loudness > FAINT * loudest.repeat(_sizes(batch.objects)))


def _sizes(ends: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return ends[1:] - ends[:-1]


def _residual(
    whole: _core.Plan, s: Floats, mask: Mask, kept: npt.NDArray[np.float64], threads: int, x: Floats
) -> npt.NDArray[np.float64]:
    image = np.empty_like(s)
    try:
        whole.sketch(np.where(np.isnan(x), np.float32(0), x), None, image, threads)
    except _core.CoreError:  # the filters of a huge sketch may ask for more than a sketch can hold
        return np.full(len(s), np.inf)
    difference = s - image if mask is None else np.where(mask, s - image, np.float32(0))
    norm, rest = (np.sqrt(np.square(v, dtype=np.float64).sum(axis=1)) for v in (s, difference))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(kept > 0, np.where(rest > 0, rest / norm, 0.0), np.nan))


def _measured(
    p: _core.Plan, batch: TraceBatch, amplitude: npt.NDArray[np.float64], uses: npt.NDArray[np.int32], threads: int
) -> npt.NDArray[np.float64]:
    """Column norms: the amplitude, or what a random attribute of an object that is shared, or below one, leaves.

    One sweep measures one such object in every trace.
    """
    norms = amplitude.copy()
    if not (uses > 1).any():
        return norms
    todo = _below_shared(batch, uses)
    rng = np.random.default_rng(0)
    out = np.empty((p.traces, p.spec.dim), np.float32)
    for k in range(max((len(t) for t in todo), default=0)):
        attributes = np.zeros(p.attributes, np.float32)
        rows = [(t, objects[k]) for t, objects in enumerate(todo) if k < len(objects)]
        for _, o in rows:
            begin, end = batch.attribute_ends[o : o + 2]
            attributes[begin:end] = rng.choice([-1.0, 1.0], end - begin) / np.sqrt(end - begin)
        p.sketch(attributes, np.zeros(p.objects, np.float32), out, threads)
        for t, o in rows:
            norms[o] = np.linalg.norm(out[t].astype(np.float64))
    return norms


def _below_shared(batch: TraceBatch, uses: npt.NDArray[np.int32]) -> list[list[int]]:
    """Per trace: the objects used more than once, and all that these are made of."""
    found = []
    for t in range(len(batch)):
        begin, end = batch.objects[t : t + 2].tolist()
        marked = uses[begin:end] > 1
        if marked.any():
            for o in range(end - 1, begin - 1, -1):
                if marked[o - begin]:
                    marked[batch.inputs[batch.input_ends[o] : batch.input_ends[o + 1]]] = True
        found.append((begin + np.flatnonzero(marked & (uses[begin:end] > 0))).tolist())
    return found


METHODS: dict[str, Solver] = {"lstsq": _lstsq, "sparse": _sparse, "matched": _matched, "paper": _paper}
