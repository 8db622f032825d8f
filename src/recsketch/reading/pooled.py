"""Statistics of many objects, read from a sketch without unrolling it."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

import recsketch._core as _core
from recsketch._check import CapacityWarning, Floats
from recsketch.sketching.spec import SketchSpec, constants, gain

if TYPE_CHECKING:
    import numpy.typing as npt

Doubles: TypeAlias = "npt.NDArray[np.float64]"
POSITION, MODULE, BRANCH = 0, 1, 2  # kinds of rsk_operator
ATTR, IN = 0, 1


class Summary(NamedTuple):
    """What a sketch says of the objects of one module.

    Attributes
    ----------
    count : float
        Estimated number of objects, if all objects at that depth weigh about the same (see `Sketcher.summary`).
    mean : (a,) float32
        Mean of their attributes, each counted with its share alpha. NaN where fewer objects are seen than the noise
        hides.
    covariance : (a, a) float32 or None
        None: the specification does not sketch second moments.
    count_error, mean_error : float
        Standard errors; `mean_error` is that of one element.
    """

    count: float  # type: ignore[assignment]  # tuple.count is not missed
    mean: Floats
    covariance: Floats | None
    count_error: float
    mean_error: float

    def __str__(self) -> str:
        count = f"{self.count:.1f} ± {self.count_error:.1f} objects"
        return f"{count}, mean of {self.mean.size} elements ± {self.mean_error:.2g}"

    def _repr_html_(self) -> str:
        return f"<p>{self}</p>"


class Pool:
    """The joint model of a sketch's pooled content: one unknown attribute sum and one counter sum per module and level.

    An object reached through the modules p_1 .. p_k is seen through ``T_i1 T_p1 T_in T_i2 T_p2 T_in .. T_i T_M
    T_attr``. Which positions i it took is not known, so the position operators are replaced by their common part,
    cosine times the identity (the paper's identity branch); all others are known and used. Levels 0 .. k follow the
    given path. As many "stray" levels, if `room` unknowns allow them, stand for objects below other modules: there the
    parents' operators are replaced by their common part, too. What the rotations of replaced operators add is noise.
    """

    def __init__(self, core: _core.Spec, spec: SketchSpec, below: Sequence[str], room: int) -> None:
        self.core, self.spec = core, spec
        self.names = list(spec.modules)
        self.below = [self.names.index(name) for name in below]
        self.norm, cosine, _, mix = constants(spec)
        # what an object of level h amounts to: h + 1 positions, modules and branches, one embedding
        self.levels = [(self.norm**3 * cosine * mix) ** (h + 1) * gain(spec) for h in range(len(below) + 1)]
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
        deeper = np.zeros(self.spec.dim)
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
        total = np.zeros(self.spec.dim)
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
        target = 1e-8 * gamma
        for _ in range(60):
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
        """(levels, modules)"""
        return np.asarray(z[:, self.ends[1:] - 1])


def fit(
    core: _core.Spec, spec: SketchSpec, below: Sequence[str], s: Doubles, kept: npt.NDArray[np.bool_] | None
) -> tuple[Pool, Doubles, float]:
    """The pooled model that a sketch asks for: stray levels stay out unless one of their counters is significant."""
    count = s.size if kept is None else int(kept.sum())
    share = max(count, 1) / s.size
    pool = Pool(core, spec, below, count // 2)
    z, sigma = pool.solve(s, kept)
    if pool.stray and np.abs(pool.counters(z)[len(pool.levels) :]).max() < SIGNIFICANT * sigma / math.sqrt(share):
        pool = Pool(core, spec, below, 0)
        z, sigma = pool.solve(s, kept)
    free = 1.0 - z.size / max(count, 1)  # of a random operator's singular values, the mean inverse square is 1 / free
    return pool, z, sigma / math.sqrt(share * free) if free > 0.0 else math.inf


SIGNIFICANT = 4.0  # standard errors: one false alarm in 16,000 counters


def summarise(
    core: _core.Spec,
    spec: SketchSpec,
    s: Floats,
    module: str,
    below: Sequence[str],
    total: float | None,
    kept: npt.NDArray[np.bool_] | None,
) -> Summary:
    """Count and mean of one module's objects at the end of a path; arguments checked by the caller."""
    pool, z, sigma = fit(core, spec, below, s.astype(np.float64), kept)
    m, last = pool.names.index(module), len(pool.levels) - 1
    amounts = pool.counters(z)[: last + 1] / np.array(pool.levels)[:, None]  # sums of alpha
    a, noise = float(amounts[last, m]), sigma / pool.levels[-1]
    everything = float(amounts[last].sum())
    if spec.weighting == "linear" or total is not None:
        factor = 1.0 if total is None else (total if spec.weighting == "linear" else math.sqrt(total))
        count, error = a * factor, noise * factor
    else:  # equal weights: alpha = sqrt(share / n), k objects amount to k sqrt(share / n), all n to sqrt(n share)
        share = 1.0
        for level, name in zip(amounts[:-1], pool.below, strict=True):
            share *= min(max(float(level[name]) / max(float(level.sum()), 1e-9), 1e-9), 1.0)
        share = max(share, 1e-100)  # of a long path
        count = max(a, 0.0) * max(everything, 0.0) / share
        slope = math.hypot(a + everything, a * math.sqrt(len(pool.names) - 1))
        error = noise * slope / share if noise < math.inf else math.inf
    if sigma == math.inf:
        text = f"{z.size} pooled unknowns, as many as kept coordinates or more: nothing can be said. Use a larger dim"
        warnings.warn(text, CapacityWarning, stacklevel=3)
        count = math.nan
    begin, end = pool.ends[m], pool.ends[m] + spec.modules[module]
    if a > 2.0 * noise:
        mean = z[last, begin:end] / pool.levels[-1] / a
        mean_error = noise / a * math.sqrt(1.0 + float(np.mean(mean**2)))
    else:
        mean, mean_error = np.full(end - begin, np.nan), math.inf
    scale = spec.scale(module)
    return Summary(count, (mean / scale).astype(np.float32), None, error, mean_error / scale)
