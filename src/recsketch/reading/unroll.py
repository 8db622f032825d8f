"""The whole DAG from a sketch alone: the structure is not known."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

import recsketch._check as _check
import recsketch._core as _core
from recsketch._check import Floats
from recsketch.runs import drawing
from recsketch.runs.trace import Trace
from recsketch.sketching.spec import SketchSpec, constants, gain

if TYPE_CHECKING:
    import numpy.typing as npt

    Found = tuple[
        tuple[float, float, float, int, int], npt.NDArray[np.int32], npt.NDArray[np.float64], npt.NDArray[np.float64]
    ]

MAX_DEPTH = 16  # levels looked for if none is given: below, a float32 sketch holds little of an object
THRESHOLD = 6.0  # nats a group of new objects must bring: exp(-6) a false start, which the fit then drops again
MAX_ROUNDS = 80
NEAR = 3e-6  # of a sketch, as a norm: a residual below it is rounding, if not converged
ROUNDING = 6e-7  # of a sketch, as a norm: what float32 may leave of it (the solver stops there, csrc/fit.c)


class UnrolledObject(NamedTuple):
    """One object read from a sketch.

    Attributes
    ----------
    module : str
    attribute : (a,) float32
    inputs : tuple of int
        Numbers of its inputs in `Unrolled.objects`, each smaller than its own, in the order of their positions.
    weights : tuple of float
        Their weights. Their sum is 1, less if inputs are missing.
    path : tuple of int
        Positions from the network's outputs down: (2, 0) is the first input of the third output. Of an object that is
        used more than once, that of its heaviest use.
    weight : float
        Its weight in the tuple that `path` leads to.
    confidence : float
        Probability that there is such an object, of this module at this position, as far as the evidence goes.
    error : (a,) float32
        Standard errors of the attribute's elements.
    """

    module: str
    attribute: Floats
    inputs: tuple[int, ...]
    weights: tuple[float, ...]
    path: tuple[int, ...]
    weight: float
    confidence: float
    error: Floats

    def interval(self, level: float = 0.95) -> tuple[Floats, Floats]:
        """Bounds that hold an element of the attribute with that probability, (a,) float32 each."""
        from statistics import NormalDist

        level = _check.number("level", level, "a probability above 0 and below 1", 0.0, math.nextafter(1.0, 0.0))
        reach = self.error * np.float32(NormalDist().inv_cdf(0.5 + level / 2))
        return self.attribute - reach, self.attribute + reach


class Unrolled(NamedTuple):
    """What a sketch holds.

    Attributes
    ----------
    objects : tuple of UnrolledObject
        Inputs before the objects that use them.
    outputs, weights : tuples of int and float
        Numbers of the network's outputs in `objects`, and their weights.
    explained : float
        Share of the sketch's energy that is theirs: 1 less the estimated energy of what was not found.
    residual : float
        Share of the sketch, as a norm, that the objects leave. Less than sqrt(1 - explained) where something is
        missing: a fit takes some of that, too.
    complete : bool
        The residual is rounding (or the noise that was told of) and the unknowns fit: this is the run, and all of it.
    rounds, iterations : int
        Of the search, and of its fits.
    """

    objects: tuple[UnrolledObject, ...]
    outputs: tuple[int, ...]
    weights: tuple[float, ...]
    explained: float
    residual: float
    complete: bool
    rounds: int
    iterations: int

    def to_trace(self) -> Trace:
        """As a Trace, objects numbered as here. Where inputs are missing the others close up and their weights grow.

        Raises
        ------
        ValueError
            If nothing was found: a trace has at least one output.
        """
        if not self.objects:
            raise ValueError("to_trace: wanted at least one object; got none, nothing was found in the sketch")
        trace = Trace()
        for o in self.objects:
            trace.add(o.module, o.attribute, o.inputs, o.weights if o.inputs else None)
        trace.outputs(self.outputs, self.weights)
        return trace

    def tree(self, most: int = 60) -> str:
        """As an indented text, outputs first, at most so many lines; with what is less than certain."""
        return "\n".join(drawing.text(self._drawing(), _check.integer("most", most, 1, 10**9), _doubt))

    def _drawing(self) -> drawing.Drawing:
        return drawing.Drawing(self.objects, self.outputs, self.weights, shares=True)

    def _head(self) -> str:
        n = len(self.objects)
        state = "complete" if self.complete else f"incomplete, {self.explained:.1%} of the energy explained"
        if not n and self.residual:
            state += " (another specification, a load far above 1, or attributes of very different norms: with_scales)"
        return f"Unrolled: {n} object{'s'[: n != 1]}, {state}, residual {self.residual:.1e}"

    def __str__(self) -> str:
        return f"{self._head()}\n{self.tree()}".rstrip()

    def __repr__(self) -> str:
        return f"<{self._head()}>"

    def _repr_html_(self) -> str:
        return f"<p>{self._head()}</p>" + drawing.page(self._drawing(), 2000, _doubt)


def _doubt(o: UnrolledObject) -> str:
    return "" if o.confidence > 0.9995 else f" ({o.confidence:.1%})"


def unroll(
    core: _core.Spec,
    spec: SketchSpec,
    sketches: Floats,
    mask: npt.NDArray[np.uint8] | None,
    max_depth: int | None,
    nonzeros: int | None,
    nonnegative: bool,
    noise: npt.NDArray[np.float64] | None,
    threads: int,
) -> list[Unrolled]:
    """The DAG of every sketch; sketches (n, d), nonzeros None: dense, 0: any number. The caller checks arguments."""
    depth = MAX_DEPTH if max_depth is None else max_depth
    allowed = spec.allowed()
    sparse = (nonzeros is not None, nonzeros + spec.signature if nonzeros else 0, nonnegative)
    kept = np.full(len(sketches), spec.dim) if mask is None else np.broadcast_to(mask.sum(axis=1), (len(sketches),))
    error = np.zeros(len(sketches)) if noise is None else noise
    out = []
    for part in _check.slices(len(sketches), threads):
        given = _check.rows(mask, part), allowed, None if noise is None else noise[part]
        try:
            found = _core.Unrolling(core, sketches[part], *given, depth, THRESHOLD, MAX_ROUNDS, threads, *sparse)
        except _core.CoreError as e:
            where = f"sketches[{part.start + e.trace}]: {_check.FINITE}"
            raise ValueError(where if e.trace >= 0 else str(e)) from None
        for i in range(part.stop - part.start):
            at = part.start + i
            out.append(_Reader(spec, found.get(i), int(kept[at]), float(error[at])).read())
    return out


class _Reader:
    """Turns what C found of one sketch, users before inputs and in units of the fit, into an Unrolled."""

    def __init__(self, spec: SketchSpec, found: Found, kept: int, noise: float) -> None:
        self.spec, self.kept, self.noise = spec, kept, noise
        (self.square, self.energy, self.missing, self.rounds, self.iterations), tags, numbers, self.parts = found
        self.parent, self.position, self.module = (row.tolist() for row in tags)
        counter, self.evidence, self.spread, self.doubt = (row.tolist() for row in numbers)
        # an object that only those below it vouch for may have a counter that its error hides
        self.amplitude = [max(c, 0.1 * e, 1e-30) for c, e in zip(counter, self.doubt, strict=True)]
        names = list(spec.modules)
        self.names = [names[m] for m in self.module]
        self.ends = np.cumsum([0, *(spec.lengths[name] for name in self.names)])
        self.below: dict[int, list[int]] = {}
        for i, p in enumerate(self.parent):
            self.below.setdefault(p, []).append(i)
        for members in self.below.values():
            members.sort(key=self.position.__getitem__)

    def read(self) -> Unrolled:
        same = self._merge() if self.spec.signature else {i: i for i in range(len(self.names))}
        kept = self._order(same)
        number = {i: k for k, i in enumerate(kept)}
        objects = []
        for i in kept:
            members = self.below.get(i, [])
            objects.append(
                UnrolledObject(
                    module=self.names[i],
                    attribute=self._attribute(i).astype(np.float32),
                    inputs=tuple(number[same[c]] for c in members),
                    weights=self._weights(i),
                    path=self._path(i),
                    weight=self._weights(self.parent[i])[self.below[self.parent[i]].index(i)],
                    confidence=1.0 / (1.0 + math.exp(-min(self.evidence[i], 700.0))),
                    error=self._error(i),
                )
            )
        unknowns = np.count_nonzero(self.parts) + len(self.names)
        floor = max(
            self.noise**2 * self.kept * (1.0 + 4.0 * math.sqrt(2.0 / max(self.kept, 1))), ROUNDING**2 * self.energy
        )
        return Unrolled(
            objects=tuple(objects),
            outputs=tuple(number[same[c]] for c in self.below.get(-1, [])),
            weights=self._weights(-1),
            explained=max(0.0, 1.0 - self.missing / self.energy) if self.energy > 0.0 else 0.0,
            residual=math.sqrt(self.square / self.energy) if self.energy > 0.0 else 0.0,
            complete=bool(objects and self.square <= floor and unknowns < self.kept),
            rounds=self.rounds,
            iterations=self.iterations,
        )

    def _order(self, same: dict[int, int]) -> list[int]:
        """All nodes that stand for themselves, inputs first and in the order of their positions."""
        out: dict[int, None] = {}
        stack = [(same[i], False) for i in reversed(self.below.get(-1, []))]
        while stack:
            i, done = stack.pop()
            if i in out:
                continue
            if done:
                out[i] = None
                continue
            stack.append((i, True))
            stack.extend((same[c], False) for c in reversed(self.below.get(i, [])))
        return list(out)

    def _path(self, i: int) -> tuple[int, ...]:
        path = []
        while i >= 0:
            path.append(self.position[i])
            i = self.parent[i]
        return tuple(reversed(path))

    def _weights(self, p: int) -> tuple[float, ...]:
        """Shares of the inputs of p (-1: of the network) in what they amount to; where something is missing, in what
        p's counter says of that, if it is more."""
        members = self.below.get(p, [])
        if not members:
            return ()
        norm, _, _, mix = constants(self.spec)
        power = 2 if self.spec.weighting == "energy" else 1
        parts = [self.amplitude[c] ** power for c in members]
        total = sum(parts)
        if self.square > NEAR**2 * self.energy:
            own = self.amplitude[p] if p >= 0 else gain(self.spec) * math.sqrt(self.kept / self.spec.dim)
            total = max(total, (norm**3 * mix * max(own, 0.0)) ** power)
        return tuple(x / total for x in parts)

    def _whole(self, i: int) -> npt.NDArray[np.float64]:
        """Attribute and signature."""
        return np.asarray(self.parts[self.ends[i] : self.ends[i + 1]] / self._unit(i))

    def _unit(self, i: int) -> float:
        return float(self.amplitude[i] * self.spec.scale(self.names[i]))

    def _attribute(self, i: int) -> npt.NDArray[np.float64]:
        return self._whole(i)[: self.spec.modules[self.names[i]]]

    def _error(self, i: int) -> Floats:
        """Of an attribute's elements: their own, and that of the counter they are divided by."""
        x = self._attribute(i) * (self.doubt[i] / self.amplitude[i])
        return np.asarray(np.hypot(self.spread[i] / self._unit(i), x), np.float32)

    # ------------------------------------------------------------ signatures

    def _merge(self) -> dict[int, int]:
        """Which node stands for each: of the copies of one object, alike in all they have, that of the heaviest use."""
        same: dict[int, int] = {}
        groups: dict[tuple[int, tuple[int, ...]], list[int]] = {}
        inputs_first = sorted(range(len(self.names)), key=lambda i: (-len(self._path(i)), -self.amplitude[i]))
        for i in inputs_first:
            key = (self.module[i], tuple(same[c] for c in self.below.get(i, [])))
            group = groups.setdefault(key, [])
            same[i] = next((other for other in group if self._equal(i, other)), i)
            if same[i] == i:
                group.append(i)
        return same

    def _equal(self, i: int, j: int) -> bool:
        """Signatures of different objects are about sqrt(2) apart, for length 8 one pair in 4,000 below 0.4."""
        a, x, y = self.spec.modules[self.names[i]], self._whole(i), self._whole(j)
        variance = sum((self.spread[k] / self._unit(k)) ** 2 for k in (i, j))
        relative = sum((self.doubt[k] / self.amplitude[k]) ** 2 for k in (i, j))
        scale = self.spec.scale(self.names[i])
        allowed = max(0.05, 4.0 * math.sqrt(self.spec.signature * variance * scale**2 + relative))
        if np.linalg.norm(x[a:] - y[a:]) * scale > min(allowed, 0.4):
            return False
        size = float(np.linalg.norm(x[:a]))
        return bool(np.linalg.norm(x[:a] - y[:a]) <= 4.0 * math.sqrt(a * variance + relative * size**2) + 0.02 * size)
