"""Norms of polar attributes that are read from noise: of what is sketched, log2 |x| / 16, and its error."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

OCTAVES = 16.0  # the element that stands for a norm is its binary logarithm over this (docs/format.md)
NEPERS = OCTAVES * math.log(2.0)  # the natural logarithm over the element

# Logarithms of norms, log2 |x| / 16: their spread in a module is never taken for less than 5%, and is told by at least
# so many objects.
LEAST_SPREAD, LEAST_OBJECTS = 0.005, 3


def lognormal(sigma: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The standard deviations of numbers over their medians, if their logarithms are normal with these."""
    return np.asarray(np.sqrt(np.expm1(np.minimum(sigma**2, 200.0))))


def likeliest_norms(
    y: npt.NDArray[np.float64], error: npt.NDArray[np.float64], module: npt.NDArray[np.int32]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Logarithms of norms with standard errors, drawn to what those of one module have in common, and their errors.

    Empirical Bayes: the logarithms of a module are normal around a mean with a variance that the method of moments
    tells (DerSimonian and Laird, 1986), at least LEAST_SPREAD. An error of 0.1 is a factor of 3 in a norm, so that a
    norm read from noise is little more than a guess; what is read to better than LEAST_SPREAD hardly moves.
    """
    out, left = y.copy(), error.copy()
    for m in np.unique(module):
        own = np.flatnonzero(module == m)
        if own.size < LEAST_OBJECTS:  # too few to tell what they have in common
            continue
        w = 1.0 / np.maximum(error[own], 1e-9) ** 2
        mean = float(w @ y[own] / w.sum())
        excess = float(w @ (y[own] - mean) ** 2) - (own.size - 1)
        scale = float(w.sum() - (w**2).sum() / w.sum())
        variance = max(excess / scale if scale > 1e-9 * w.sum() else 0.0, LEAST_SPREAD**2)
        u = 1.0 / (1.0 / w + variance)
        mean = float(u @ y[own] / u.sum())
        part = variance * w / (1.0 + variance * w)
        out[own] = part * y[own] + (1.0 - part) * mean
        left[own] = np.sqrt(part / np.maximum(w, 1e-300) + (1.0 - part) ** 2 / u.sum())
    return out, left
