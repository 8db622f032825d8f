"""Attributes that take two values an element, such as bits, read through noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Doubles: TypeAlias = npt.NDArray[np.float64]

STATED = 3.0  # times the error that `recover` states: what may lie around one of two values
ROUNDING = 1e-5  # of the two values' size: float32 sketches, which carry 5e-8, amplified by load and depth
APART = 4.0  # deviations from a value to the middle between the two: a Gaussian error crosses it 3 times in 100,000
LEAST = 8  # rows: any two numbers are two values
STEPS = 20  # of Lloyd's iteration, which ends after two or three where there are two values


@dataclass(frozen=True)
class Levels:
    """The two values of every element, equal where it takes one only."""

    low: Doubles
    high: Doubles

    def nearest(self, x: npt.ArrayLike) -> Doubles:
        """`x` (n, a) with every element at the nearer of its two values."""
        return np.asarray(np.where(np.asarray(x) > (self.low + self.high) / 2, self.high, self.low))


def by_sign(x: Doubles) -> Levels:
    """Values of opposite sign: the mean magnitude of every element of `x` (n, a), above and below zero."""
    size = np.abs(x).mean(axis=0)
    return Levels(-size, size)


def found(x: Doubles, error: Doubles) -> Levels | None:
    """The two values of every element of `x` (n, a), or None if an element takes others.

    `error` (n,) are standard errors of an element of each row. An element takes two values where two means explain it
    but for `STATED` times these errors, and the errors are small against the values' distance (`APART`). What is
    continuous passes only where noise hides it that it is: of an even distribution the distance to the middle is 1.7
    deviations, of a Gaussian 1.3.
    """
    if len(x) < LEAST:
        return None
    middle = x.mean(axis=0)
    for _ in range(STEPS):
        above = x > middle
        share = above.mean(axis=0)
        high = np.where(above, x, 0.0).mean(axis=0) / np.maximum(share, 1e-300)
        low = np.where(above, 0.0, x).mean(axis=0) / np.maximum(1.0 - share, 1e-300)
        one = (share == 0) | (share == 1)
        low, high = np.where(one, x.mean(axis=0), low), np.where(one, x.mean(axis=0), high)
        moved, middle = middle, (low + high) / 2
        if np.array_equal(moved, middle):
            break
    allowed = STATED * float(np.sqrt(np.mean(error**2))) + ROUNDING * float(np.sqrt(np.mean(x**2)))
    centre = x.mean(axis=0)
    single = np.sqrt(np.mean((x - centre) ** 2, axis=0)) <= allowed  # halves of noise are no two values
    low, high = np.where(single, centre, low), np.where(single, centre, high)
    levels = Levels(low, high)
    scatter = np.sqrt(np.mean((x - levels.nearest(x)) ** 2, axis=0))
    good = (scatter <= allowed) & (single | (APART * scatter <= (high - low) / 2))
    return levels if good.all() and not single.all() else None
