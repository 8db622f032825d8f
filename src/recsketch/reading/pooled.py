"""Statistics of many objects, read from a sketch without unrolling it."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from recsketch._check import CapacityWarning, Floats
from recsketch.reading.results import Summary
from recsketch.sketching.matrices import factors

if TYPE_CHECKING:
    import numpy.typing as npt

    from recsketch.sketching.matrices import Matrices

Doubles: TypeAlias = "npt.NDArray[np.float64]"
POSITION, MODULE, BRANCH = 0, 1, 2  # kinds of rsk_operator
ATTR, IN = 0, 1

SIGNIFICANT = 4.0  # Standard errors of a stray counter: of those that are zero one in 16,000 is above.
SEEN = 2.0  # Standard errors that a sum must have for a mean to be told, which is then known to half its size.
MAX_ITERATIONS = 60
CONVERGED = 1e-8  # The gradient's energy, as a share of the first one's, at which iterations end.


class _Pool:
    """The joint model of a sketch's pooled content: one unknown attribute sum and one counter sum per module and level.

    An object reached through the modules p_1 .. p_k is seen through ``T_i1 T_p1 T_in T_i2 T_p2 T_in .. T_i T_M
    T_attr``. Which positions i it took is not known, so the position operators are replaced by their common part,
    cosine times the identity (the paper's identity branch); all others are known and used. Levels 0 .. k follow the
    given path. As many "stray" levels, if `room` unknowns allow them, stand for objects below other modules: there the
    parents' operators are replaced by their common part, too. What the rotations of replaced operators add is noise.
    """

    def __init__(self, matrices: Matrices, below: Sequence[str], room: int) -> None:
        self.core, spec = matrices.core, matrices.spec
        self.dim = spec.dim
        self.names = list(spec.modules)
        self.below = [self.names.index(name) for name in below]
        f = factors(spec)
        self.norm = f.norm
        # What an object of level h amounts to per alpha: h + 1 tuples, of whose positions the cosine is left, one gain.
        self.levels = [(f.inputs * f.cosine) ** (h + 1) * f.gain for h in range(len(below) + 1)]
        self.ends = np.cumsum([0, *(a + 1 for a in spec.lengths.values())])
        width = int(self.ends[-1])
        self.stray = max(0, min(len(self.levels), room // width - len(self.levels)))
        self.shape = (len(self.levels) + self.stray, width)

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
        return self.core.operator(kind, index, transpose, x.astype(np.float32)) / np.float64(self.norm)

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

    Stray levels stay out unless one of their counters is significant.
    """
    count = s.size if kept is None else int(kept.sum())
    share = max(count, 1) / s.size
    pool = _Pool(matrices, below, count // 2)
    z, sigma = pool.solve(s, kept)
    if pool.stray and np.abs(pool.counters(z)[len(pool.levels) :]).max() < SIGNIFICANT * sigma / math.sqrt(share):
        pool = _Pool(matrices, below, 0)
        z, sigma = pool.solve(s, kept)
    free = 1.0 - z.size / max(count, 1)  # of a random operator's singular values, the mean inverse square is 1 / free
    return pool, z, sigma / math.sqrt(share * free) if free > 0.0 else math.inf


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
    sums = pool.counters(z)[: last + 1] / np.array(pool.levels)[:, None]  # of alpha, (levels, modules)
    own, noise = float(sums[last, m]), sigma / pool.levels[last]
    count, error = _count(sums, m, noise, _share(sums, pool.below), total, linear=spec.weighting == "linear")
    if own > SEEN * noise:
        begin = pool.ends[m]
        mean = z[last, begin : begin + spec.modules[module]] / pool.levels[last] / own
        mean_error = noise / own * math.sqrt(1.0 + float(np.mean(mean**2)))
    else:
        mean, mean_error = np.full(spec.modules[module], np.nan), math.inf
    scale = spec.scale(module)
    return Summary(count, (mean / scale).astype(np.float32), error, mean_error / scale)


def _share(sums: Doubles, path: Sequence[int]) -> float:
    """The share of all weight that goes along a path of modules, if the objects of every level weigh the same."""
    share = 1.0
    for level, module in zip(sums, path, strict=False):  # the last level is what the path leads to
        share *= min(max(float(level[module]) / max(float(level.sum()), 1e-9), 1e-9), 1.0)
    return max(share, 1e-100)


def _count(
    sums: Doubles, m: int, noise: float, share: float, total: float | None, *, linear: bool
) -> tuple[float, float]:
    """How many objects of module m, or what share of all, the last row of sums of alpha speaks of; and its error.

    Let n objects share the weight equally, k of them be of module m. With linear weighting each has alpha = share / n,
    so that the k sum to share k / n. With energy weighting alpha = sqrt(share / n): the k sum to k sqrt(share / n), and
    all to sqrt(n share), so that the product of both sums is k share and n need not be known.
    """
    own, everything = float(sums[-1, m]), float(sums[-1].sum())
    if noise == math.inf:
        return math.nan, math.inf
    if linear:
        factor = (1.0 if total is None else total) / share
        return own * factor, noise * factor
    if total is not None:
        factor = math.sqrt(total / share)
        return own * factor, noise * factor
    # The errors of all sums are independent and alike; own counts twice, because it is part of everything.
    slope = math.hypot(own + everything, own * math.sqrt(sums.shape[1] - 1))
    return max(own, 0.0) * max(everything, 0.0) / share, noise * slope / share
