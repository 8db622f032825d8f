"""Intervals for the difference of two means whose variances differ."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

Doubles: TypeAlias = "npt.NDArray[np.float64]"

NODES = 64  # of Gauss and Legendre: an integral of cos^(v - 1) over 0 ... atan(t / √v) is right to 1e-14 from v = 2 on
STEPS = 100  # of Newton's method, at most; five do for usual levels


def mean(x: Doubles) -> Doubles:
    """(E,) means of what is known of (n, E); NaN where nothing is."""
    known = ~np.isnan(x)
    n = known.sum(axis=0)
    least = np.where(n > 0, np.min(x, axis=0, where=known, initial=np.inf), 0.0)  # constant columns stay what they are
    above = np.where(known, x - least, 0.0).sum(axis=0) / np.maximum(n, 1)
    return np.asarray(np.where(n > 0, least + above, np.nan))


def half_width(x: Doubles, y: Doubles, level: float) -> Doubles:
    """(E,) half the interval for the difference of means of x (n, E) and y (m, E), by Welch's approximation.

    NaN elements are left out, and where fewer than two are left of either the half width is NaN.
    """
    (off_x, n), (off_y, m) = (_from_mean(z) for z in (x, y))
    power = np.frexp(np.abs(np.concatenate([off_x, off_y])).max(axis=0))[1]  # so that no square vanishes
    u, v = (
        (np.ldexp(off, -power) ** 2).sum(axis=0) / np.maximum(k * (k - 1), 1) for off, k in ((off_x, n), (off_y, m))
    )
    enough, total = np.minimum(n, m) >= 2, u + v
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(total > 0, u / total, 0.5)  # of the variance
        freedom = 1 / (share**2 / (n - 1) + (1 - share) ** 2 / (m - 1))
    out = np.full(len(total), np.nan)
    out[enough] = student_quantile((1 + level) / 2, freedom[enough]) * np.sqrt(total[enough])
    return np.asarray(np.ldexp(out, power))


def _from_mean(x: Doubles) -> tuple[Doubles, Doubles]:
    """What is known less its mean, and else 0; and the numbers of what is known."""
    known = ~np.isnan(x)
    return np.where(known, x - mean(x), 0.0), known.sum(axis=0, dtype=np.float64)


def student_quantile(p: float, freedom: Doubles) -> Doubles:
    """Quantiles of Student's distribution for 0.5 < p < 1 and degrees of freedom of at least 1.

    With t = √v tan s the density of t is proportional to cos(s)^(v - 1). Beyond 0 the distribution function is concave:
    Newton's method that begins at the normal quantile, which is smaller, rises to the root.

    Examples
    --------
    >>> import numpy as np
    >>> student_quantile(0.975, np.array([1.0, 10.0, 1e6])).round(4).tolist()
    [12.7062, 2.2281, 1.96]
    """
    v = np.asarray(freedom, np.float64)
    node, weight = np.polynomial.legendre.leggauss(NODES)
    scale = np.array([_ratio(x / 2) for x in v.tolist()]) / math.sqrt(math.pi)
    t = np.full(v.shape, NormalDist().inv_cdf(p))
    for _ in range(STEPS):
        end = np.arctan(t / np.sqrt(v))
        inner = np.cos(end[:, None] * (node + 1) / 2) ** (v[:, None] - 1) @ weight * end / 2
        step = (p - 0.5 - scale * inner) / (scale / np.sqrt(v) * np.exp(-(v + 1) / 2 * np.log1p(t * t / v)))
        t = t + step
        if np.all(np.abs(step) <= 1e-10 * t):
            break
    return t


def _ratio(a: float) -> float:
    """Γ(a + 1/2) / Γ(a), by its series where logarithms are so large that their difference is coarse."""
    if a < 5000:
        return math.exp(math.lgamma(a + 0.5) - math.lgamma(a))
    return math.sqrt(a) * (1 - 1 / (8 * a) + 1 / (128 * a * a))  # off by 5 / (1024 a^3)
