"""Statistics of many objects, read from a sketch without unrolling it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recsketch import _core
from recsketch._check import Floats
from recsketch.spec import SketchSpec

Doubles = npt.NDArray[np.float64]
POSITION, MODULE, BRANCH = 0, 1, 2  # kinds of rsk_operator
ATTR, IN = 0, 1


@dataclass(frozen=True, slots=True)
class Summary:
    """What a sketch says of the objects of one module.

    Attributes
    ----------
    count : float
        Estimated number of objects, if all objects at that depth weigh about the same (see `Sketcher.summary`).
    mean : (a,) float32
        Mean of their attributes, each counted with its share alpha. NaN where fewer objects are seen than the noise hides.
    covariance : (a, a) float32 or None
        None: the specification does not sketch second moments.
    count_error, mean_error : float
        Standard errors; `mean_error` is that of one element.
    """

    count: float
    mean: Floats
    covariance: Floats | None
    count_error: float
    mean_error: float

    def __str__(self) -> str:
        return f"{self.count:.1f} ± {self.count_error:.1f} objects, mean of {self.mean.size} elements ± {self.mean_error:.2g}"

    def _repr_html_(self) -> str:
        return f"<p>{self}</p>"


class Pool:
    """The joint model of a sketch's pooled content: one unknown attribute sum and one counter sum per module and depth.

    An object reached through the modules p_1 .. p_k is seen through ``T_i1 T_p1 T_in T_i2 T_p2 T_in .. T_i T_M T_attr``. Which
    positions i it took is not known, so the position operators are replaced by their common part, cosine times the identity
    (the paper's identity branch); all others are known and used. What the rotations of the positions add is noise.
    """

    def __init__(self, core: _core.Spec, spec: SketchSpec, below: Sequence[str]) -> None:
        self.core, self.spec = core, spec
        self.names = list(spec.modules)
        self.below = [self.names.index(name) for name in below]
        paper = spec.scaling == "paper"
        norm, mix = (math.sqrt(0.5), 0.5) if paper else (1.0, math.sqrt(0.5))
        self.gain = norm * math.cos(math.radians(spec.angle))  # of a position's identity
        # depth h: h positions, and h times a module and a branch operator, h branches, one embedding gain
        self.levels = [self.gain**h * (norm * norm * mix) ** h * mix for h in range(1, len(below) + 2)]
        self.unit = [(norm * norm) ** h for h in range(1, len(below) + 2)]  # norm of the operators alone
        self.ends = np.cumsum([0] + [a + 1 for a in spec.modules.values()])
        self.unknowns = len(self.levels) * int(self.ends[-1])

    def forward(self, z: Doubles) -> Doubles:
        """Sketch of pooled unknowns (levels, sum of (a + 1)), columns of norm one."""
        total = np.zeros(self.spec.dim)
        for h in reversed(range(len(self.levels))):
            here = np.zeros(self.spec.dim)
            for m in range(len(self.names)):
                part = z[h, self.ends[m] : self.ends[m + 1]].astype(np.float32)
                y = self.core.embed(m, part[:-1]) + part[-1] * self.core.counter(m)
                y = self._apply(MODULE, m, self._apply(BRANCH, ATTR, y))
                here += y / self.unit[0]
            if h < len(self.below):  # deeper levels go through this level's module on the way
                total = self._apply(MODULE, self.below[h], self._apply(BRANCH, IN, total.astype(np.float32))) / self.unit[0]
            total = total + here
        return total

    def adjoint(self, y: Doubles) -> Doubles:
        """Transpose of `forward`."""
        z = np.zeros((len(self.levels), int(self.ends[-1])))
        for h in range(len(self.levels)):
            for m in range(len(self.names)):
                v = self._apply(BRANCH, ATTR, self._apply(MODULE, m, y.astype(np.float32), True), True) / self.unit[0]
                part = z[h, self.ends[m] : self.ends[m + 1]]
                part[:-1] = self.core.embed_adjoint(m, v.astype(np.float32))
                part[-1] = v @ self.core.counter(m)
            if h < len(self.below):
                y = self._apply(BRANCH, IN, self._apply(MODULE, self.below[h], y.astype(np.float32), True), True) / self.unit[0]
        return z

    def _apply(self, kind: int, index: int, x: npt.NDArray[np.float32], transpose: bool = False) -> Floats:
        return self.core.operator(kind, index, transpose, np.ascontiguousarray(x, np.float32))

    def solve(self, s: Doubles, kept: npt.NDArray[np.bool_] | None) -> tuple[Doubles, float]:
        """Least squares by CGLS, and the standard deviation of the noise in one coordinate."""
        keep = (lambda y: y) if kept is None else (lambda y: np.where(kept, y, 0.0))
        z, r = np.zeros((len(self.levels), int(self.ends[-1]))), keep(s)
        g = self.adjoint(r)
        p, gamma = g, float(np.vdot(g, g))
        target = 1e-10 * gamma
        for _ in range(60):
            if gamma <= target:
                break
            q = keep(self.forward(p))
            step = gamma / max(float(np.vdot(q, q)), 1e-300)
            z, r = z + step * p, r - step * q
            g = self.adjoint(r)
            gamma, before = float(np.vdot(g, g)), gamma
            p = g + gamma / before * p
        free = (s.size if kept is None else int(kept.sum())) - self.unknowns
        return z, float(np.linalg.norm(r)) / math.sqrt(max(free, 1))


def summarise(pool: Pool, s: Floats, module: str, total: float | None, kept: npt.NDArray[np.bool_] | None) -> Summary:
    """Count and mean of one module's objects at the pool's deepest level; arguments checked by the caller."""
    spec, m = pool.spec, pool.names.index(module)
    z, sigma = pool.solve(s.astype(np.float64), kept)
    counters = np.array([level[pool.ends[1:] - 1] for level in z])  # (levels, modules)
    amounts = counters / np.array(pool.levels)[:, None]  # sums of alpha
    a = float(amounts[-1, m])
    scale = pool.levels[-1] if kept is None else pool.levels[-1] * math.sqrt(kept.mean())
    noise = sigma / scale  # standard error of an amount, or of an element of an attribute sum
    everything = float(np.maximum(amounts[-1], 0.0).sum())
    if spec.weighting == "linear" or total is not None:
        factor = 1.0 if total is None else (total if spec.weighting == "linear" else math.sqrt(total))
        count, error = a * factor, noise * factor
    else:  # equal weights: alpha = sqrt(share / n), k objects amount to k sqrt(share / n), all n to sqrt(n share)
        share = 1.0
        for level, name in zip(amounts[:-1], pool.below, strict=True):
            share *= max(float(level[name]), 1e-9) / max(float(np.maximum(level, 0.0).sum()), 1e-9)
        count = max(a, 0.0) * everything / share
        error = noise * math.hypot(a + everything, a * math.sqrt(len(pool.names) - 1)) / share
    begin, end = pool.ends[m], pool.ends[m + 1] - 1
    if a > 2.0 * noise:
        mean = z[-1, begin:end] / pool.levels[-1] / a / spec.scale(module)
        spread = noise / a / spec.scale(module)
        mean_error = spread * math.sqrt(1.0 + float(np.mean((mean * spec.scale(module)) ** 2)))
    else:
        mean, mean_error = np.full(end - begin, np.nan), math.inf
    return Summary(count, mean.astype(np.float32), None, error, mean_error)
