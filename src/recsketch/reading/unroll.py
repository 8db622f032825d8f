"""The whole DAG from a sketch alone: the structure is not known."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

import recsketch._core as _core
from recsketch._check import Floats
from recsketch.reading.results import Unrolled, UnrolledObject
from recsketch.sketching.matrices import Factors, factors

if TYPE_CHECKING:
    import numpy.typing as npt

    from recsketch.sketching.matrices import Matrices
    from recsketch.sketching.spec import SketchSpec

    Found = tuple[
        tuple[float, float, float, int, int], npt.NDArray[np.int32], npt.NDArray[np.float64], npt.NDArray[np.float64]
    ]

MAX_DEPTH = 16  # Levels looked for if none is given. Each halves an object's energy at least: 16 leave it 2e-5.
THRESHOLD = 6.0  # Nats that a group of new objects must bring: one in 400 is then a false start, which the fit drops.
MAX_ROUNDS = 80

# Residuals as a share of the sketch's norm. A fit takes 3e-7 for float32 rounding (ROUNDING in csrc/reading/fit.c).
ROUNDING = 6e-7  # Twice that is still rounding, and an answer with no more is complete.
NEAR = 3e-6  # Ten times that may be a fit that has not converged, and is no sign of inputs that are missing.

# An object that only those below it vouch for may have a counter that its error hides. Its amplitude is at least this
# share of the error, and never zero, because attributes are divided by it.
LEAST_OF_ERROR, LEAST_AMPLITUDE = 0.1, 1e-30

# Copies of one object differ by their errors alone. They are taken for copies up to this many standard errors ...
DEVIATIONS = 4.0
# ... and, because errors are estimates, up to a distance of 0.05 of their signatures, which have norm one, and of 2% of
# the norm of their attributes. Signatures further apart than 0.4 are never taken for copies: those of different objects
# are about sqrt(2) apart, and of length 8 one pair in 4,000 is nearer than 0.4.
LEAST_SIGNATURE, MOST_SIGNATURE, LEAST_ATTRIBUTE = 0.05, 0.4, 0.02


def unroll(
    matrices: Matrices,
    sketches: Floats,
    mask: npt.NDArray[np.uint8] | None,
    max_depth: int | None,
    nonzeros: int | None,
    nonnegative: bool,
    noise: npt.NDArray[np.float64] | None,
    threads: int,
) -> list[Unrolled]:
    """The DAG of every sketch; sketches (n, d), nonzeros None: dense, 0: any number. The caller checks arguments."""
    spec, n = matrices.spec, len(sketches)
    depth = MAX_DEPTH if max_depth is None else max_depth
    sparse = (nonzeros is not None, nonzeros + spec.signature if nonzeros else 0, nonnegative)
    found = _core.Unrolling(
        matrices.core, sketches, mask, spec.allowed(), noise, depth, THRESHOLD, MAX_ROUNDS, threads, *sparse
    )
    kept = [spec.dim] * n if mask is None else np.broadcast_to(mask.sum(axis=1), (n,)).tolist()
    error = [0.0] * n if noise is None else noise.tolist()
    return [_Reader(spec, found.get(i), kept[i], error[i]).read(depth) for i in range(n)]


class _Reader:
    """Turns what C found of one sketch, users before inputs and in units of the fit, into an Unrolled."""

    def __init__(self, spec: SketchSpec, found: Found, kept: int, noise: float) -> None:
        self.spec, self.kept, self.noise = spec, kept, noise
        self.factors: Factors = factors(spec)
        (self.square, self.energy, self.missing, self.rounds, self.iterations), tags, numbers, self.parts = found
        self.parent, self.position, self.module = (row.tolist() for row in tags)
        counter, self.evidence, self.spread, self.uncertainty = (row.tolist() for row in numbers)
        self.amplitude = [
            max(c, LEAST_OF_ERROR * e, LEAST_AMPLITUDE) for c, e in zip(counter, self.uncertainty, strict=True)
        ]
        names = list(spec.modules)
        self.names = [names[m] for m in self.module]
        self.ends = np.cumsum([0, *(spec.lengths[name] for name in self.names)])
        self.below: dict[int, list[int]] = {}
        for i, p in enumerate(self.parent):
            self.below.setdefault(p, []).append(i)
        for members in self.below.values():
            members.sort(key=self.position.__getitem__)

    def read(self, depth: int) -> Unrolled:
        """What was found; `depth` is how many levels were looked for."""
        same = self._merge() if self.spec.signature else {i: i for i in range(len(self.names))}
        kept = self._order(same)
        number = {i: k for k, i in enumerate(kept)}
        weights = {p: self._weights(p) for p in self.below}
        share = {c: w for p, members in self.below.items() for c, w in zip(members, weights[p], strict=True)}
        objects = []
        for i in kept:
            members = self.below.get(i, [])
            objects.append(
                UnrolledObject(
                    module=self.names[i],
                    attribute=self._attribute(i).astype(np.float32),
                    inputs=tuple(number[same[c]] for c in members),
                    weights=weights.get(i, ()),
                    path=self._path(i),
                    weight=share[i],
                    confidence=1.0 / (1.0 + math.exp(-min(self.evidence[i], 700.0))),
                    error=self._error(i),
                )
            )
        return Unrolled(
            objects=tuple(objects),
            outputs=tuple(number[same[c]] for c in self.below.get(-1, [])),
            weights=weights.get(-1, ()),
            explained=max(0.0, 1.0 - self.missing / self.energy) if self.energy > 0.0 else 0.0,
            residual=math.sqrt(self.square / self.energy) if self.energy > 0.0 else 0.0,
            complete=bool(objects) and self._complete(),
            rounds=self.rounds,
            iterations=self.iterations,
            max_depth=depth,
        )

    def _complete(self) -> bool:
        """Whether the residual is rounding, or noise that was told of, and there are fewer unknowns than coordinates.

        The energy of Gaussian noise in k coordinates has a standard deviation of sqrt(2 / k) of itself: with four of
        these one sketch in 30,000 is called incomplete by its noise.
        """
        told = self.noise**2 * self.kept * (1.0 + 4.0 * math.sqrt(2.0 / max(self.kept, 1)))
        unknowns = np.count_nonzero(self.parts) + len(self.names)
        return bool(self.square <= max(told, ROUNDING**2 * self.energy) and unknowns < self.kept)

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
        """Weights of the inputs of p (-1: of the network).

        An input's alpha is its amplitude over those of all, and its weight the square of that, or with linear weighting
        alpha itself. Where something is missing, p's own counter says what all inputs amount to, if that is more: the
        weights then sum to less than one. The network as a whole stands for an object of amplitude g.
        """
        members = self.below.get(p, [])
        power = 2 if self.spec.weighting == "energy" else 1
        parts = [self.amplitude[c] ** power for c in members]
        total = sum(parts)
        if self.square > NEAR**2 * self.energy:
            own = self.amplitude[p] if p >= 0 else self.factors.gain * math.sqrt(self.kept / self.spec.dim)
            total = max(total, (self.factors.inputs * own) ** power)
        return tuple(x / total for x in parts)

    def _whole(self, i: int) -> npt.NDArray[np.float64]:
        """Attribute and signature."""
        return np.asarray(self.parts[self.ends[i] : self.ends[i + 1]] / self._unit(i))

    def _unit(self, i: int) -> float:
        """What an attribute's elements are multiplied by in the fit."""
        return float(self.amplitude[i] * self.spec.scale(self.names[i]))

    def _attribute(self, i: int) -> npt.NDArray[np.float64]:
        return self._whole(i)[: self.spec.modules[self.names[i]]]

    def _error(self, i: int) -> Floats:
        """Standard errors of an attribute's elements: their own, and that of the counter they are divided by."""
        of_counter = self._attribute(i) * (self.uncertainty[i] / self.amplitude[i])
        return np.asarray(np.hypot(self.spread[i] / self._unit(i), of_counter), np.float32)

    # ------------------------------------------------------------ signatures

    def _merge(self) -> dict[int, int]:
        """Which node stands for each: of the copies of one object, alike in all they have, that of the heaviest use.

        Deep nodes come first, so that those above them are compared by what their inputs were found to be.
        """
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
        """Whether two nodes of one module are alike, in signature and in attribute, within their errors.

        The distance of two vectors of n elements has a root mean square of sqrt(n) times the error of an element, and
        their lengths are wrong as their amplitudes are.
        """
        a, x, y = self.spec.modules[self.names[i]], self._whole(i), self._whole(j)
        variance = sum((self.spread[k] / self._unit(k)) ** 2 for k in (i, j))
        relative = sum((self.uncertainty[k] / self.amplitude[k]) ** 2 for k in (i, j))
        scale = self.spec.scale(self.names[i])  # of signatures, which are vectors of norm one over it
        expected = math.sqrt(self.spec.signature * variance * scale**2 + relative)
        allowed = min(max(LEAST_SIGNATURE, DEVIATIONS * expected), MOST_SIGNATURE)
        if np.linalg.norm(x[a:] - y[a:]) * scale > allowed:
            return False
        size = float(np.linalg.norm(x[:a]))
        expected = math.sqrt(a * variance + relative * size**2)
        return bool(np.linalg.norm(x[:a] - y[:a]) <= DEVIATIONS * expected + LEAST_ATTRIBUTE * size)
