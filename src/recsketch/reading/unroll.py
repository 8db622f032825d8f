"""The whole DAG from a sketch alone: the structure is not known."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

import recsketch._check as _check
import recsketch._core as _core
from recsketch._check import Floats
from recsketch.reading.copies import DEVIATIONS, copies
from recsketch.reading.norms import NEPERS, likeliest_norms, lognormal
from recsketch.reading.pooled import pooled_mean
from recsketch.reading.results import Rest, Unrolled, UnrolledObject
from recsketch.sketching.matrices import Factors, factors, kappa

if TYPE_CHECKING:
    import numpy.typing as npt

    from recsketch.sketching.matrices import Matrices

    Found = tuple[
        tuple[float, float, float, int, int], npt.NDArray[np.int32], npt.NDArray[np.float64], npt.NDArray[np.float64]
    ]
    Doubles = npt.NDArray[np.float64]
    Rests = tuple[npt.NDArray[np.int32], npt.NDArray[np.float64], npt.NDArray[np.float64]]

MAX_DEPTH = 64  # Levels looked for if none is given: all that C allows.
THRESHOLD = 6.0  # Nats that a group of new objects must bring: one in 400 is then a false start, which the fit drops.
MAX_ROUNDS = 240  # A chain takes a round a level.

# Residuals as a share of the norm of the sketch. A fit takes 3e-7 for float32 rounding (RSK_TWO_SWEEPS in
# csrc/reading/reading.h).
ROUNDING = 6e-7  # Twice that is still rounding, and an answer with no more is complete.
NEAR = 3e-6  # Ten times that may be a fit that has not converged, and is no sign of inputs that are missing.

# An object that only those below it vouch for may have a counter that its error hides. Its amplitude is at least this
# share of the error, and never zero, because attributes are divided by it.
LEAST_OF_ERROR, LEAST_AMPLITUDE = 0.1, 1e-30

# Nats that inputs which are missing would bring at least, so that not to see them means that there are none. A search
# that finds nothing takes objects of less (csrc/reading/unroll.c).
VISIBLE = 20.0
LEAST_ROUNDING = 3e-7  # of a sketch's norm (csrc/reading/reading.h)
WINDOW = 256  # positions of a tuple that are looked at (csrc/reading/reading.h)
BEYOND, LEAST_COUNT = 2.5, 0.5  # A count of what a tuple lacks is told if it is more, in standard errors and in all.
UNEVEN = 0.3  # Error of a count, as a share, where missing members are only taken to weigh as much as those found.
DOUBT = 0.05  # An evidence is that of one model. No object is surer than the share that all of them explain allows.
MOST_NAMED = 8  # objects, and groups of them, in texts

# Copies of one object differ by DEVIATIONS errors, and, because errors are estimates, up to a distance of 0.05 of their
# signatures, which have norm one, and of 2% of the norm of what is sketched of an attribute. Signatures further apart
# than 0.4 are never taken for copies: those of different objects are about sqrt(2) apart, and of length 8 one pair in
# 4,000 is nearer than 0.4.
LEAST_SIGNATURE, MOST_SIGNATURE, LEAST_ATTRIBUTE = 0.05, 0.4, 0.02

# Of a tuple that lacks some of its k inputs, n / k is not told by less than this; and a share this far beyond n, in
# inputs, is taken for one that is missing: the error of an owner's counter makes less.
LEAST_SHARE, LEAST_EXPONENT, A_MISSING_INPUT = 1e-6, 0.25, 0.25
LEAST_WEIGHT = 1e-9  # of an input whose share is below what the spread gives to one of weight zero: found, it has some
LARGEST_FLOAT = 3e38  # Unknowns beyond it are cut to it, so that float32 holds them.

NO_RESTS = np.empty((2, 0), np.int32), np.empty((5, 0)), np.empty(0)  # as `_core.Unrolling.rests`


def unroll(
    matrices: Matrices,
    sketches: Floats,
    mask: npt.NDArray[np.uint8] | None,
    max_depth: int | None,
    sparsity: npt.NDArray[np.int64] | None,
    noise: npt.NDArray[np.float64] | None,
    threads: int,
) -> list[Unrolled]:
    """The DAG of every sketch; sketches (n, d), sparsity as rsk_sparsity. The caller checks arguments."""
    spec, n = matrices.spec, len(sketches)
    depth = MAX_DEPTH if max_depth is None else max_depth
    # A direction has norm one, and so has a signature.
    norm2 = 1.0 + (spec.signature > 0) if spec.attributes == "polar" else 0.0
    told = (depth, THRESHOLD, MAX_ROUNDS, threads, norm2, sparsity, matrices.coding.more, spec.signature)
    found = _core.Unrolling(matrices.core, sketches, mask, matrices.allowed, noise, *told)
    kept = [spec.dim] * n if mask is None else np.broadcast_to(mask.sum(axis=1), (n,)).tolist()
    error = [0.0] * n if noise is None else noise.tolist()
    return [_Reader(matrices, found.get(i), kept[i], error[i]).read(depth, found.rests(i)) for i in range(n)]


class _Reader:
    """Turns what C found of one sketch, users before inputs and in units of the fit, into an Unrolled."""

    def __init__(self, matrices: Matrices, found: Found, kept: int, noise: float) -> None:
        self.coding, self.spec, self.allowed = matrices.coding, matrices.spec, matrices.allowed
        self.kept, self.noise, spec = kept, noise, self.spec
        self.factors: Factors = factors(spec)
        (self.square, self.energy, self.missing, self.rounds, self.iterations), tags, numbers, self.parts = found
        self.parent, self.position, self.module, self.lead = (row.tolist() for row in tags)
        counter, self.evidence, self.spread, uncertainty, self.free_spread = (row.tolist() for row in numbers)
        self.amplitude = [
            max(c, LEAST_OF_ERROR * e, LEAST_AMPLITUDE) for c, e in zip(counter, uncertainty, strict=True)
        ]
        # What an object's unknowns are divided by is wrong by so much of itself. Copies that were fitted as one object
        # have products of its unknowns and their amplitudes, so that nothing is divided.
        self.relative = np.array(uncertainty) / self.amplitude
        if len(uses := Counter(self.lead)) < len(self.lead):
            self.relative[[uses[i] > 1 for i in self.lead]] = 0.0
        names = list(spec.modules)
        self.names = [names[m] for m in self.module]
        self.ends = np.cumsum([0, *(spec.lengths[name] for name in self.names)])
        self.below: dict[int, list[int]] = {}
        self.path: list[tuple[int, ...]] = []
        for i, (p, position) in enumerate(zip(self.parent, self.position, strict=True)):
            self.below.setdefault(p, []).append(i)
            self.path.append((*self.path[p], position) if p >= 0 else (position,))
        for members in self.below.values():
            members.sort(key=self.position.__getitem__)

    def read(self, depth: int, rests: Rests = NO_RESTS) -> Unrolled:
        """What was found; `depth` is how many levels were looked for, `rests` what tuples lack."""
        self._decode()
        told = [rest for rest in self._rests(rests) if rest.count > max(BEYOND * rest.count_error, LEAST_COUNT)]
        self._lack(told, rests)
        same = self._merge() if self.spec.signature else {i: i for i in range(len(self.names))}
        kept = self._order(same)
        number = {i: k for k, i in enumerate(kept)}
        weights = {p: self._weights(p) for p in self.below}
        share = {c: w for p, members in self.below.items() for c, w in zip(members, weights[p], strict=True)}
        explained = max(0.0, 1.0 - self.missing / self.energy) if self.energy > 0.0 else 0.0
        fits = self._explained()
        surest = 1.0 if fits else 1.0 - DOUBT * (1.0 - explained)
        errors, (norms, norm_errors) = self._deviations(), [numbers.tolist() for numbers in self._norms()]
        begin, objects = self.begin.tolist(), []
        for i in kept:
            members = self.below.get(i, [])
            objects.append(
                UnrolledObject(
                    module=self.names[i],
                    attribute=self.values[begin[i] : begin[i + 1]],
                    inputs=tuple(number[same[c]] for c in members),
                    weights=weights.get(i, ()),
                    path=self.path[i],
                    weight=share[i],
                    confidence=min(1.0 / (1.0 + math.exp(-min(self.evidence[i], 700.0))), surest),
                    error=errors[begin[i] : begin[i + 1]],
                    norm=norms[i],
                    norm_error=norm_errors[i],
                )
            )
        limits = self._limits(depth, fits) if objects else ()
        return Unrolled(
            objects=tuple(objects),
            outputs=tuple(number[same[c]] for c in self.below.get(-1, [])),
            weights=weights.get(-1, ()),
            explained=explained,
            residual=math.sqrt(self.square / self.energy) if self.energy > 0.0 else 0.0,
            complete=bool(objects) and fits and not set(limits) & {"noise", "positions"},
            rounds=self.rounds,
            iterations=self.iterations,
            max_depth=depth,
            limits=limits,
            rests=tuple(replace(rest, owner=number[same[rest.owner]] if rest.owner >= 0 else -1) for rest in told),
            warnings=tuple(self._warnings(objects)),
        )

    def _rests(self, rests: Rests) -> Iterator[Rest]:
        """What tuples seem to lack; owners are nodes."""
        (owners, modules), numbers, unknowns = rests
        if not owners.size:
            return
        names = list(self.spec.modules)
        ends = np.cumsum([0, *(self.spec.lengths[names[m]] for m in modules)])
        along = self._logarithms(modules, numbers, unknowns, ends)
        for k, (owner, m) in enumerate(zip(owners.tolist(), modules.tolist(), strict=True)):
            count, count_error, total, total_error, error = numbers[:, k].tolist()
            if not count > 0.0:
                continue
            own, noise = unknowns[ends[k] : ends[k + 1]] / total, (error / total, total_error / total)
            of_norm = None if along is None else (along[0][k], along[1][k])
            mean, mean_error = pooled_mean(self.spec, names[m], own, noise, of_norm)
            if not mean_error * math.sqrt(mean.size) <= np.linalg.norm(mean.astype(np.float64)):
                mean = np.full_like(mean, np.nan)
            if not self._tells(owner):
                count_error = math.hypot(count_error, UNEVEN * count)
            yield Rest(owner, names[m], count, mean, count_error, mean_error)

    def _tells(self, p: int) -> bool:
        """Whether the counter of p tells what single members of its tuple amount to, and not only their sum."""
        weighting = self.spec.weighting
        return weighting in ("count", "energy") or (weighting == "balanced" and p >= 0)

    def _lack(self, told: list[Rest], rests: Rests) -> None:
        """Sets `lacking`: of each node whose tuple is said to lack members, how many, and the sum of their
        amplitudes."""
        cosine, names = self.factors.cosine / self.factors.norm, list(self.spec.modules)
        (owners, modules), numbers, _ = rests
        total = {(p, names[m]): x / cosine for p, m, x in zip(owners.tolist(), modules, numbers[2], strict=True)}
        self.lacking: dict[int, tuple[float, float]] = {}
        for rest in told:
            count, amplitudes = self.lacking.get(rest.owner, (0.0, 0.0))
            self.lacking[rest.owner] = count + rest.count, amplitudes + float(total[rest.owner, rest.module])

    def _logarithms(
        self, modules: npt.NDArray[np.int32], numbers: Doubles, unknowns: Doubles, ends: npt.NDArray[np.int64]
    ) -> tuple[Doubles, Doubles] | None:
        """The logarithms of rests' norms, and their errors, drawn to those of the objects that were found; None where
        attributes are linear."""
        if self.spec.attributes == "linear":
            return None
        names = list(self.spec.modules)
        at = ends[:-1] + [self.spec.modules[names[m]] for m in modules]
        total = np.maximum(numbers[2], LEAST_AMPLITUDE)
        y = (unknowns[at] / total).clip(-NEPERS, NEPERS)
        error = numbers[3] / total * np.sqrt(1.0 + y**2)
        logarithms, errors, found = self.logarithms
        n = len(found)
        drawn, left = likeliest_norms(
            np.concatenate([logarithms, y]), np.concatenate([errors, error]), np.concatenate([found, modules])
        )
        return drawn[n:], left[n:]

    def _explained(self) -> bool:
        """Whether the residual is rounding, or noise that was told of, and there are fewer unknowns than coordinates.

        The energy of Gaussian noise in k coordinates has a standard deviation of sqrt(2 / k) of itself: with four of
        these one sketch in 30,000 is called incomplete by its noise.
        """
        told = self.noise**2 * self.kept * (1.0 + 4.0 * math.sqrt(2.0 / max(self.kept, 1)))
        return bool(self.square <= max(told, ROUNDING**2 * self.energy) and self._unknowns() < self.kept)

    def _unknowns(self) -> int:
        leads = np.repeat(np.array(self.lead) == np.arange(len(self.lead)), np.diff(self.ends))
        return int(np.count_nonzero(self.parts[leads])) + len(self.names)

    def _limits(self, depth: int, fits: bool) -> tuple[str, ...]:
        """What hides, or may hide, more of the run than was found; `fits` is that of `_explained`."""
        found = []
        if not fits:
            found.append("capacity")
        if self._hidden(depth):
            found.append("noise")
        if not fits and max(map(len, self.path)) == depth:
            found.append("max_depth")
        if any(len(members) >= WINDOW for members in self.below.values()) and self.spec.max_inputs > WINDOW:
            found.append("positions")
        return tuple(found)

    def _hidden(self, depth: int) -> bool:
        """Whether inputs of usual amplitude could be missing somewhere without having been seen above the noise.

        A further input is as loud as its siblings. Where an object has none, it would have as many as others have, of
        the amplitude that its own tells. The evidence for an object of amplitude A is that of docs/method.md,
        "Unrolling": of its counter, A^2 / 2 over the noise's square, and of its attribute.
        """
        spec, allowed = self.spec, self.allowed
        shortest = np.where(allowed, np.array(list(spec.lengths.values())), np.inf).min(axis=1).tolist()
        fan = max(1, round(sum(map(len, self.below.values())) / len(self.below)))
        least = LEAST_ROUNDING * math.sqrt(self.energy / max(self.kept, 1))
        noise = max(self.noise, least)
        quietest: dict[int, int] = {}  # of each module's objects without inputs: what others could have would be louder
        for p, module in enumerate(self.module):
            if p in self.below or len(self.path[p]) >= depth:
                continue
            if self.amplitude[p] < self.amplitude[quietest.setdefault(module, p)]:
                quietest[module] = p
        for p in (*self.below, *quietest.values()):
            row = self.module[p] if p >= 0 else len(spec.modules)
            members = self.below.get(p, [])
            if shortest[row] == np.inf or len(members) >= spec.max_inputs:
                continue
            k = 1 if members else min(fan, spec.max_inputs)
            if members:
                square = sum(self.amplitude[c] ** 2 for c in members) / len(members)
            else:
                whole = self._owed(p, k)
                square = whole**2 / k**2 if spec.weighting in ("linear", "count") else whole / k
            a = shortest[row]
            alpha2 = square / noise**2
            v = alpha2 / a
            if k * (alpha2 / 2.0 + a / 2.0 * (v - math.log1p(v))) < VISIBLE:
                return True
        return False

    def _warnings(self, objects: list[UnrolledObject]) -> list[str]:
        """What a reader should know of the answer."""
        texts = []
        if not self.spec.signature:
            for group in copies(objects)[:MOST_NAMED]:
                which = _check.numbers(group, MOST_NAMED)
                texts.append(f"objects {which} are alike in all they hold: uses of one object, or copies (signature=0)")
        return texts

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

    def _weights(self, p: int) -> tuple[float, ...]:
        """Weights of the inputs of p (-1: of the network), as they were given; with "count" as they were, else in all
        one, or less where something is missing.

        An input's share u of its tuple is its squared amplitude over those of all, or with linear weighting its
        amplitude. Where something is missing, p's own counter says what all k inputs amount to, if that is more; k is
        then as many as there would be if all weighed alike. u is (1 - s) w + s / k for an input of weight w.
        """
        members = self.below.get(p, [])
        power = 1 if self.spec.weighting in ("linear", "count") else 2
        parts = [self.amplitude[c] ** power for c in members]
        total, n, s = sum(parts), len(members), self.spec.spread
        if self.spec.weighting == "count":
            whole = self._owed(p, n)
            return tuple(x / whole for x in parts)
        found, lacking = 1.0, self.lacking.get(p)
        if lacking and self._owed(p, 1):
            found = self._found(p, n, *lacking)
        elif self.square > NEAR**2 * self.energy and (whole := self._owed(p, n)) > total:
            found = total / whole
            if self.spec.weighting == "balanced":  # of n among k alike this is (n / k)**(1 - balance)
                found **= 1.0 / max(1.0 - self.spec.balance, LEAST_EXPONENT)
        k = n / max(found, LEAST_SHARE)
        if k > n + A_MISSING_INPUT:
            k = n + max(1, round(k - n))
        if s == 1.0:
            return tuple(found / n for _ in parts)
        w = [max(found * x / total - s / k, LEAST_WEIGHT) for x in parts]
        share = min(max((found - s * n / k) / (1.0 - s), LEAST_WEIGHT), 1.0) / sum(w)
        return tuple(share * x for x in w)

    def _found(self, p: int, n: int, count: float, amplitudes: float) -> float:
        """The share of p's tuple that the n members have which were found, if it lacks so many of so much: no less than
        if all weighed alike, as it is light ones that are not found."""
        whole = self._owed(p, n + max(1, round(count)))
        missing = amplitudes if self.spec.weighting == "linear" else amplitudes**2 / count
        return max(1.0 - missing / whole, n / (n + count))

    def _owed(self, p: int, k: int) -> float:
        """What k inputs of p amount to together, amplitudes or their squares as the weighting has it, by p's own
        counter; 0 where that is not known. The network as a whole stands for an object of amplitude g."""
        f = self.factors
        own = self.amplitude[p] if p >= 0 else f.gain * math.sqrt(self.kept / self.spec.dim)
        if self.spec.weighting == "balanced":  # docs/method.md; an output's amplitude depends on the mass below all
            return (f.norm**3 * own) ** 2 * kappa(self.spec, k) if p >= 0 else 0.0
        return (f.inputs * own) ** (2 if self.spec.weighting == "energy" else 1)

    # ------------------------------------------------------------ attributes

    def _decode(self) -> None:
        """The attributes that the unknowns stand for, and their errors, of all nodes: `values` and `errors`."""
        module, amplitude = np.array(self.module, np.int32), np.array(self.amplitude)
        unknowns = self.parts / np.repeat(amplitude, np.diff(self.ends))
        lengths = [self.spec.modules[name] for name in self.names]
        self.begin = np.append(0, np.cumsum(lengths)).astype(np.int64)
        error = np.stack([np.array(self.spread) / amplitude, np.array(self.free_spread) / amplitude], axis=1)
        self.logarithms = np.empty(0), np.empty(0), module
        if self.spec.attributes == "polar" and len(lengths):
            at = self.ends[:-1] + lengths
            error[:, 1] = np.hypot(error[:, 1], self.relative * unknowns[at])
            self.logarithms = unknowns[at], error[:, 1].copy(), module
            unknowns[at], error[:, 1] = likeliest_norms(unknowns[at], error[:, 1], module)
        self.error = error
        unknowns = unknowns.clip(-LARGEST_FLOAT, LARGEST_FLOAT).astype(np.float32)
        self.values, errors = self.coding.decode(module, self.begin, unknowns, error, 1)
        assert errors is not None
        self.errors = errors
        # The attributes less their modules' centres, which is what all unknowns are factors of.
        centres = self.spec.centres or {}
        self.centred = self.values.astype(np.float64)
        for i, name in enumerate(self.names):
            if name in centres:
                self.centred[self.begin[i] : self.begin[i + 1]] -= centres[name]

    def _whole(self, i: int) -> npt.NDArray[np.float64]:
        """All unknowns but the counter: of the attribute, and the signature."""
        return np.asarray(self.parts[self.ends[i] : self.ends[i + 1]] / self.amplitude[i])

    def _deviations(self) -> Floats:
        """Standard errors of the attributes' elements: those of their unknowns, and of the counters these are divided
        by."""
        own = self.errors
        if self.spec.attributes == "linear":
            own = np.hypot(own, self.centred * self.relative.repeat(np.diff(self.begin)))
        return np.asarray(own.clip(0.0, LARGEST_FLOAT).astype(np.float32))

    def _norms(self) -> tuple[Doubles, Doubles]:
        """The norms of the attributes x, and their standard errors.

        To first order a norm changes by g y times a share by which y = x - centre is stretched, g = x / |x|; by what
        changes y along g; and with polar attributes the direction of y alone is wrong across itself.
        """
        x, y, begin = self.values.astype(np.float64), self.centred, self.begin[:-1]
        if not begin.size:
            return np.empty(0), np.empty(0)
        square = np.add.reduceat(x * x, begin)
        norm, size2 = np.sqrt(square), np.add.reduceat(y * y, begin)
        with np.errstate(divide="ignore", invalid="ignore"):
            along = np.where(norm > 0.0, np.add.reduceat(x * y, begin) / norm, np.sqrt(size2))
        if self.spec.attributes == "linear":
            elements = np.where(norm > 0.0, 1.0, np.sqrt(np.diff(self.begin)))
            scales = {name: self.spec.scale(name) for name in self.spec.modules}
            scale = np.array([scales[name] for name in self.names])
            return norm, np.hypot(self.error[:, 0] / scale * elements, along * self.relative)
        across = np.sqrt(np.maximum(size2 - along**2, 0.0)) * self.error[:, 0]
        return norm, np.hypot(across, along * lognormal(NEPERS * self.error[:, 1]))

    # ------------------------------------------------------------ signatures

    def _merge(self) -> dict[int, int]:
        """Which node stands for each: of the copies of one object, alike in all they have, that of the heaviest use.

        Deep nodes come first, so that those above them are compared by what their inputs were found to be.
        """
        same: dict[int, int] = {}
        groups: dict[tuple[int, tuple[int, ...]], list[int]] = {}
        inputs_first = sorted(range(len(self.names)), key=lambda i: (-len(self.path[i]), -self.amplitude[i]))
        for i in inputs_first:
            key = (self.module[i], tuple(same[c] for c in self.below.get(i, [])))
            group = groups.setdefault(key, [])
            same[i] = next((other for other in group if self._equal(i, other)), i)
            if same[i] == i:
                group.append(i)
        return same

    def _equal(self, i: int, j: int) -> bool:
        """Whether two nodes of one module were fitted as one object, or are alike, in signature and in what is sketched
        of the attribute, within their errors.

        The distance of two vectors of n elements has a root mean square of sqrt(n) times the error of an element, and
        their lengths are wrong as their amplitudes are.
        """
        if self.lead[i] == self.lead[j]:
            return True
        x, y = self._whole(i), self._whole(j)
        a = x.size - self.spec.signature
        variance, relative = (sum(float(of[k]) ** 2 for k in (i, j)) for of in (self.error[:, 0], self.relative))
        expected = math.sqrt(self.spec.signature * variance + relative)
        allowed = min(max(LEAST_SIGNATURE, DEVIATIONS * expected), MOST_SIGNATURE)
        if np.linalg.norm(x[a:] - y[a:]) > allowed:
            return False
        size = float(np.linalg.norm(x[:a]))
        expected = math.sqrt(a * variance + relative * size**2)
        return bool(np.linalg.norm(x[:a] - y[:a]) <= DEVIATIONS * expected + LEAST_ATTRIBUTE * size)
