"""Statistics of many objects, read from a sketch without unrolling it."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from recsketch._check import CapacityWarning, Floats
from recsketch.reading.norms import NEPERS, OCTAVES
from recsketch.reading.results import Summary, Unrolled
from recsketch.sketching.matrices import factors, ins

if TYPE_CHECKING:
    import numpy.typing as npt

    from recsketch.sketching.matrices import Matrices
    from recsketch.sketching.spec import SketchSpec

Doubles: TypeAlias = "npt.NDArray[np.float64]"
POSITION, MODULE, BRANCH = 0, 1, 2  # kinds of rsk_operator
ATTR, IN = 0, 1

SIGNIFICANT = 4.0  # Standard errors of a stray counter: of those that are zero one in 16,000 is above.
SEEN = 2.0  # Standard errors that a sum must have for a mean to be told, which is then known to half its size.
OCTAVES_MOST = 8.0  # of the element that stands for a norm, which noise may make larger
LARGEST_FLOAT = 3e38
MOST_STRAY = 8  # Levels: what reaches a sketch from below them is little.
MAX_ITERATIONS = 60
CONVERGED = 1e-8  # The gradient's energy, as a share of the first one's, at which iterations end.


class _Pool:
    """The joint model of a sketch's pooled content: one unknown attribute sum and one counter sum per module and level.

    An object reached through the modules p_1 .. p_k is seen through ``T_i1 T_p1 T_in T_i2 T_p2 T_in .. T_i T_M
    T_attr``. Which positions i it took is not known, so the position operators are replaced by their common part,
    cosine times the identity (the paper's identity branch); all others are known and used. Levels 0 .. k follow the
    given path. `stray` levels more, if `room` unknowns allow them, stand for objects below other modules: there the
    parents' operators are replaced by their common part, too. What the rotations of replaced operators add is noise.
    """

    def __init__(self, matrices: Matrices, below: Sequence[str], room: int, stray: int) -> None:
        self.core, spec = matrices.core, matrices.spec
        self.dim = spec.dim
        self.names = list(spec.modules)
        self.below = [self.names.index(name) for name in below]
        f = factors(spec)
        self.norm, self.ins = f.norm, ins(spec)
        # What an object of level h amounts to per alpha: h + 1 tuples, of whose positions the cosine is left, one gain.
        # With balanced weighting it is per square root of u kappa, and a factor that all objects of the run share.
        inputs = f.norm**3 * (1.0 if spec.weighting == "balanced" else f.branch)
        inputs *= f.cosine if spec.ordered else 1.0 / f.norm  # without order there is no T_i
        self.levels = [inputs ** (h + 1) * f.gain for h in range(len(below) + 1)]
        self.ends = np.cumsum([0, *(a + 1 for a in spec.lengths.values())])
        width = int(self.ends[-1])
        self.stray = max(0, min(stray, room // width - len(self.levels)))
        self.shape = (len(self.levels) + self.stray, width)
        self.strays = [inputs ** (h + 2) * f.gain * f.cosine ** (h + 1) for h in range(self.stray)]

    def forward(self, z: Doubles) -> Doubles:
        """Sketch of the pooled unknowns, every column of norm one."""
        known = len(self.levels)
        total = self._objects(z[known - 1])
        for h in reversed(range(known - 1)):
            total = self._objects(z[h]) + self._apply(MODULE, self.below[h], self._apply(BRANCH, IN, total))
        deeper = np.zeros(self.dim)
        for h in reversed(range(known, known + self.stray)):
            deeper = self._apply(BRANCH, IN, self._objects(z[h]) + deeper)
        return total + deeper

    def adjoint(self, y: Doubles) -> Doubles:
        """Transpose of `forward`."""
        known, z, deeper = len(self.levels), np.zeros(self.shape), y
        for h in range(known, known + self.stray):
            deeper = self._apply(BRANCH, IN, deeper, transpose=True)
            z[h] = self._parts(deeper)
        for h in range(known):
            z[h] = self._parts(y)
            if h < known - 1:
                y = self._apply(BRANCH, IN, self._apply(MODULE, self.below[h], y, transpose=True), transpose=True)
        return z

    def _objects(self, row: Doubles) -> Doubles:
        """T_M T_attr z, summed over the modules."""
        total = np.zeros(self.dim)
        for m in range(len(self.names)):
            part = row[self.ends[m] : self.ends[m + 1]].astype(np.float32)
            z = self.core.embed(m, part[:-1]) + part[-1] * self.core.counter(m)
            total += self._apply(MODULE, m, self._apply(BRANCH, ATTR, z))
        return total

    def _parts(self, y: Doubles) -> Doubles:
        """Transpose of `_objects`."""
        row = np.zeros(self.shape[1])
        for m in range(len(self.names)):
            v = self._apply(BRANCH, ATTR, self._apply(MODULE, m, y, transpose=True), transpose=True)
            row[self.ends[m] : self.ends[m + 1] - 1] = self.core.embed_adjoint(m, v.astype(np.float32))
            row[self.ends[m + 1] - 1] = (v * self.core.counter(m)).sum()
        return row

    def _apply(self, kind: int, index: int, x: npt.NDArray[Any], *, transpose: bool = False) -> Doubles:
        """An operator scaled to norm one."""
        norm = self.norm ** (self.ins if (kind, index) == (BRANCH, IN) else 1)
        return self.core.operator(kind, index, transpose, x.astype(np.float32)) / np.float64(norm)

    def solve(self, s: Doubles, kept: npt.NDArray[np.bool_] | None) -> tuple[Doubles, float]:
        """Least squares by CGLS: the unknowns, and the standard deviation of the noise in one coordinate."""

        def keep(y: Doubles) -> Doubles:
            return y if kept is None else np.where(kept, y, 0.0)

        z, r = np.zeros(self.shape), keep(s)
        g = self.adjoint(r)
        p, gamma = g, float((g * g).sum())
        target = CONVERGED * gamma
        for _ in range(MAX_ITERATIONS):
            if gamma <= target:
                break
            q = keep(self.forward(p))
            step = gamma / max(float((q * q).sum()), 1e-300)
            z, r = z + step * p, r - step * q
            g = self.adjoint(r)
            gamma, before = float((g * g).sum()), gamma
            p = g + gamma / before * p
        free = (s.size if kept is None else int(kept.sum())) - z.size
        return z, float(np.linalg.norm(r)) / math.sqrt(free) if free > 0 else math.inf

    def counters(self, z: Doubles) -> Doubles:
        """(levels, modules) The counters' sums among the unknowns."""
        return np.asarray(z[:, self.ends[1:] - 1])


def _fit(
    matrices: Matrices, below: Sequence[str], s: Doubles, kept: npt.NDArray[np.bool_] | None
) -> tuple[_Pool, Doubles, float]:
    """The pooled model that a sketch asks for, its unknowns, and the standard error of one (infinite: not known).

    There are as many stray levels as levels of the path, with balanced weights as many as hold something: what an
    output amounts to depends there on all below. They stay out unless one of their counters is significant.
    """
    count = s.size if kept is None else int(kept.sum())
    share = max(count, 1) / s.size

    def heard(first: int) -> bool:
        return bool(np.abs(pool.counters(z)[first:]).max(initial=0.0) > SIGNIFICANT * sigma / math.sqrt(share))

    pool = _Pool(matrices, below, count // 2, len(below) + 1)
    z, sigma = pool.solve(s, kept)
    while (
        matrices.spec.weighting == "balanced" and pool.stray < MOST_STRAY and heard(len(pool.levels) + pool.stray - 1)
    ):
        deeper = _Pool(matrices, below, count // 2, pool.stray + 1)
        if deeper.stray == pool.stray:
            break
        pool, (z, sigma) = deeper, deeper.solve(s, kept)
    if pool.stray and not heard(len(pool.levels)):
        pool = _Pool(matrices, below, 0, 0)
        z, sigma = pool.solve(s, kept)
    free = 1.0 - z.size / max(count, 1)  # of a random operator's singular values, the mean inverse square is 1 / free
    return pool, z, sigma / math.sqrt(share * free) if free > 0.0 else math.inf


def counted(found: Unrolled, module: str, below: Sequence[str], length: int) -> Summary:
    """The same of a whole run: every use of an object of the module at the end of the path, once."""
    level = list(found.outputs)
    for name in below:
        level = [c for i in level if found.objects[i].module == name for c in found.objects[i].inputs]
    uses = [found.objects[i] for i in level if found.objects[i].module == module]
    if not uses:
        return Summary(0.0, np.full(length, np.nan, np.float32), 0.0, math.inf)
    mean = np.mean([o.attribute for o in uses], axis=0, dtype=np.float64)
    error = math.sqrt(sum(float(np.mean(np.square(o.error, dtype=np.float64))) for o in uses)) / len(uses)
    return Summary(float(len(uses)), np.asarray(mean, np.float32), 0.0, error)


def summarise(
    matrices: Matrices,
    s: Floats,
    module: str,
    below: Sequence[str],
    total: float | None,
    kept: npt.NDArray[np.bool_] | None,
) -> Summary:
    """Count and mean of one module's objects at the end of a path. The caller checks arguments."""
    spec = matrices.spec
    pool, z, sigma = _fit(matrices, below, s.astype(np.float64), kept)
    if sigma == math.inf:
        text = f"{z.size} pooled unknowns, as many as kept coordinates or more: nothing can be said. Use a larger dim"
        warnings.warn(text, CapacityWarning, stacklevel=3)
    m, last = pool.names.index(module), len(pool.levels) - 1
    factor = np.array(pool.levels + pool.strays)[:, None]
    sums = pool.counters(z) / factor  # of alpha, (levels, modules)
    own, noise = float(sums[last, m]), sigma / pool.levels[last]
    if spec.weighting == "balanced":
        count, error = _balanced_count(sums, m, np.broadcast_to(sigma / factor, sums.shape), pool.below, total, spec)
    else:
        known = sums[: last + 1]
        count, error = _count(known, m, noise, _share(known, pool.below), total, spec.weighting)
    if own > SEEN * noise:
        begin = pool.ends[m]
        unknowns = z[last, begin : begin + spec.lengths[module]] / pool.levels[last] / own
        mean, mean_error = pooled_mean(spec, module, unknowns, (noise / own, noise / own))
    else:
        mean, mean_error = np.full(spec.modules[module], np.nan, np.float32), math.inf
    if not error <= max(abs(count), 1.0):  # none, to within one, is an answer
        count = math.nan
    if not mean_error * math.sqrt(mean.size) <= np.linalg.norm(mean.astype(np.float64)):
        mean = np.full_like(mean, np.nan)
    return Summary(count, mean, error, mean_error)


def pooled_mean(
    spec: SketchSpec,
    module: str,
    unknowns: Doubles,
    noise: tuple[float, float],
    along: tuple[float, float] | None = None,
) -> tuple[Floats, float]:
    """An attribute from mean unknowns, and the standard error of an element.

    `noise` is the standard error of an unknown but for that of the counter which all were divided by, and the share of
    that. Of polar attributes it is the mean direction times the geometric mean of the norms, the logarithm of which,
    and its error, are `along` if that is given.
    """
    a = spec.modules[module]
    mean = unknowns[:a]
    each, counter = noise
    error = math.hypot(each, counter * math.sqrt(float(np.mean(mean**2))))
    size = 1.0 / spec.scale(module)
    if spec.attributes == "polar":
        last, spread = (float(unknowns[a]), counter * math.hypot(1.0, unknowns[a])) if along is None else along
        size *= 2.0 ** (OCTAVES * min(max(last, -OCTAVES_MOST), OCTAVES_MOST))
        error = math.hypot(error, NEPERS * spread * math.sqrt(float(np.mean(mean**2))))
    centre = np.asarray((spec.centres or {}).get(module, 0.0))
    return (mean * size + centre).clip(-LARGEST_FLOAT, LARGEST_FLOAT).astype(np.float32), error * size


def _share(sums: Doubles, path: Sequence[int]) -> float:
    """The share of all weight that goes along a path of modules, if the objects of every level weigh the same."""
    share = 1.0
    for level, module in zip(sums, path, strict=False):  # the last level is what the path leads to
        share *= min(max(float(level[module]) / max(float(level.sum()), 1e-9), 1e-9), 1.0)
    return max(share, 1e-100)


def _count(
    sums: Doubles, m: int, noise: float, share: float, total: float | None, weighting: str
) -> tuple[float, float]:
    """How many objects of module m, or what share of all, the last row of sums of alpha speaks of; and its error.

    Let n objects share the weight equally, k of them be of module m. With linear weighting each has alpha = share / n,
    so that the k sum to share k / n. With energy weighting alpha = sqrt(share / n): the k sum to k sqrt(share / n), and
    all to sqrt(n share), so that the product of both sums is k share and n need not be known. Weights that count are
    one each.
    """
    own, everything = float(sums[-1, m]), float(sums[-1].sum())
    if noise == math.inf:
        return math.nan, math.inf
    if weighting == "count":
        return own, noise
    if weighting == "linear":
        factor = (1.0 if total is None else total) / share
        return own * factor, noise * factor
    if total is not None:
        factor = math.sqrt(total / share)
        return own * factor, noise * factor
    # The errors of all sums are independent and alike; own counts twice, because it is part of everything.
    slope = math.hypot(own + everything, own * math.sqrt(sums.shape[1] - 1))
    return max(own, 0.0) * max(everything, 0.0) / share, noise * slope / share


def _balanced_count(
    sums: Doubles, m: int, noise: Doubles, path: Sequence[int], total: float | None, spec: SketchSpec
) -> tuple[float, float]:
    """The same with balanced weighting; sums and noise (levels, modules), stray levels behind the known ones.

    What of stray levels is not significant is left out. The error is to first order, by differences over a standard
    error of every sum.
    """
    if not np.isfinite(noise).all():
        return math.nan, math.inf
    stray = np.arange(len(sums))[:, None] > len(path)
    sums = np.where(stray & (np.abs(sums) < SIGNIFICANT * noise), 0.0, sums)
    heard = bool(sums[0].max() > SIGNIFICANT * noise[0, 0])
    count = _balanced(sums, m, path, total, spec, heard)
    square = 0.0
    for level, module in np.argwhere(~stray | (sums != 0.0)):
        moved = sums.copy()
        moved[level, module] += noise[level, module]
        square += (_balanced(moved, m, path, total, spec, heard) - count) ** 2
    return count, math.sqrt(square)


def _balanced(sums: Doubles, m: int, path: Sequence[int], total: float | None, spec: SketchSpec, heard: bool) -> float:
    """How many objects of module m the level at the end of the path has, all objects of a level being alike; `heard`:
    there are outputs.

    With amplitudes over g, the squares of all objects of a run sum to one, and A^2 = A_owner^2 k^(balance - 1) of one
    of k inputs. Let a share f of a level's n objects, which sum to S, have k inputs each: these sum to f S k^((1 +
    balance) / 2), and their squares to f k^balance times those of the n. So S of every level gives k and the squares,
    all these the first level's squares, and S^2 over them n.
    """
    balance, most = spec.balance, 2.0 * spec.max_inputs  # inputs of one object: twice what there may be, for errors
    level = np.maximum(sums.sum(axis=1), 1e-9).tolist()
    known, stray = level[: len(path) + 1], level[len(path) + 1 :]
    energy, energies, ratio = 1.0, 1.0, 1.0  # squares of the path's level and of all, its number; over the first's
    above = 0.0, 0.0  # sum and squares of a level's stray objects
    for h in range(max(len(known), len(stray) + 1)):
        others = above
        if h < len(path):
            share = min(max(float(sums[h, path[h]]) / known[h], 1e-9), 1.0)
            others = above[0] + (1.0 - share) * known[h], above[1] + (1.0 - share) * energy
            x = known[h + 1] / (share * known[h])
            energy *= share * _louder(x, balance)
            ratio *= share * min(max(x, 1.0) ** (2.0 / (1.0 + balance)), most)
            energies += energy
        elif h == len(path):
            others = above[0] + known[h], above[1] + energy
        if h < len(stray):
            above = stray[h], others[1] * _louder(stray[h] / max(others[0], 1e-9), balance)
            energies += above[1]
    first = min(max(known[0] ** 2 * energies, 1.0 if heard else 0.0), most)  # deep levels may be too faint
    n = first * ratio if total is None else total
    return float(max(sums[len(path), m], 0.0) / known[-1] * n)


def _louder(x: float, balance: float) -> float:
    """The squares of a level over those of the level above, of which x are the sums: where the inputs sum to less than
    their owners, some of these have none."""
    return float(min(x, x ** (2.0 * balance / (1.0 + balance))))
