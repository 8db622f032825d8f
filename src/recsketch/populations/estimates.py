"""Counts, means and covariances from sums of unknowns, and their errors by the jackknife over groups of runs.

With theta of all groups, theta_g of all but group g, and G groups, the standard error is
sqrt((G - 1) / G sum_g (theta_g - mean of theta_g)^2) (Efron, Stein, Annals of Statistics 9, 1981).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

import recsketch.sketching.moments as moments
from recsketch.populations.results import PathStatistics

if TYPE_CHECKING:
    import numpy.typing as npt

    from recsketch.sketching.spec import SketchSpec

    Doubles = npt.NDArray[np.float64]

LEAST = 1e-3  # objects below which there is none: counts are whole numbers, or sums of weights


def statistics(spec: SketchSpec, path: tuple[str, ...], x: Doubles, spread: Doubles, runs: Doubles) -> PathStatistics:
    """Of the sums x (u + 1, 1 + groups), all runs first, and the numbers of runs (1 + groups,); spread (u + 1,) is the
    standard error of each sum of all runs by noise that was told of."""
    module = path[-1]
    a, scale = spec.modules[module], spec.scale(module)
    centre = np.asarray((spec.centres or {}).get(module, 0.0))
    there = runs[1:] > 0
    others = x[:, :1] - x[:, 1:][:, there]  # all groups but one
    left = runs[0] - runs[1:][there]

    def error(of: Callable[[Doubles, Doubles], Doubles]) -> Doubles:
        n = others.shape[1]
        if n < 2:
            return np.full_like(of(x[:, :1], runs[:1])[..., 0], np.nan)
        each = of(others, left)
        return np.asarray(np.sqrt((n - 1) / n * np.square(each - each.mean(axis=-1, keepdims=True)).sum(axis=-1)))

    def per_run(s: Doubles, n: Doubles) -> Doubles:
        return np.asarray(s[-1] / n)

    def mean(s: Doubles, n: Doubles) -> Doubles:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(s[-1] > LEAST, s[:a] / s[-1] / scale + centre.reshape(-1, 1), np.nan)

    def covariance(s: Doubles, n: Doubles) -> Doubles:
        with np.errstate(divide="ignore", invalid="ignore"):
            m = np.where(s[-1] > 1.0 + LEAST, s[:a] / s[-1], np.nan)
            square = moments.matrix(a, s[a:-1].T).transpose(1, 2, 0)
            return np.asarray((square - s[-1] * m[:, None] * m) / (s[-1] - 1.0) / scale**2)

    def told_of(value: Doubles) -> Doubles:  # groups that there are show it, too
        return np.where(spread[-1] > 0, value, np.nan)

    all_of = x[:, :1], runs[:1]
    count = float(x[-1, 0])
    pooled = x[:a, 0] / max(count, LEAST)
    told = np.hypot(spread[:a], np.abs(pooled) * spread[-1]) / max(count, LEAST) / scale
    second = module in (spec.second_moment or ())
    return PathStatistics(
        path=path,
        count=count,
        per_run=float(per_run(*all_of)[0]),
        per_run_error=float(np.fmax(error(per_run), told_of(spread[-1] / runs[0]))),
        mean=mean(*all_of)[:, 0],
        mean_error=np.fmax(error(mean), told_of(told)),
        covariance=covariance(*all_of)[..., 0] if second else None,
        covariance_error=error(covariance) if second else None,
    )
