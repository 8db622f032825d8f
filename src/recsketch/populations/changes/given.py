"""What comparisons and monitors are given: statistics, names and shares, checked."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

import recsketch._check as _check

if TYPE_CHECKING:
    import numpy.typing as npt

Doubles: TypeAlias = "npt.NDArray[np.float64]"

SMALLEST = 1e-12  # of shares and of alpha, so that evidence of an alarm stays far below what float64 holds


def statistics(name: str, x: npt.ArrayLike, rows: str, least: int) -> Doubles:
    """(n, E) float64, a row a group or a block of runs; NaN is what one of them lacks."""
    what = f"statistics of {rows}, of shape ({rows}, elements)"
    array = _check.reals(name, x, what)
    if array.ndim != 2 or not array.shape[1]:
        raise ValueError(f"{name}: wanted {what}; got {_check.describe(array)}")
    if len(array) < least:
        raise ValueError(f"{name}: wanted at least {least} {rows}; got {len(array)}")
    return within(name, array)


def within(name: str, array: npt.NDArray[np.generic]) -> Doubles:
    """A copy as float64 without negative zeros, refused if a number is infinite or above 1e30."""
    out = np.array(array, np.float64, order="C") + 0.0
    if np.any(np.abs(out) > _check.LARGEST):  # False for NaN
        raise ValueError(
            f"{name}: wanted numbers of at most 1e30, or NaN for what is not there; got infinity or larger"
        )
    return out


def names(name: str, x: Sequence[str], size: int | None = None, once: bool = True) -> tuple[str, ...]:
    """Texts that are not empty, so many, each once."""
    given = _check.members(name, x, "a sequence of str")
    out = tuple(_check.module_name(f"{name}[{i}]", text) for i, text in enumerate(given))
    if size is not None and len(out) != size:
        raise ValueError(f"{name}: wanted {size} names, one for each column; got {len(out)}")
    if once and len(set(out)) < len(out):
        raise ValueError(f"{name}: wanted each name once; got {_check.listed(out)}")
    return out


def alpha(x: object) -> float:
    return _check.number("alpha", x, f"a number above {SMALLEST:g}, at most 0.5", SMALLEST, 0.5)


def shares(elements: tuple[str, ...], weights: Mapping[str, float] | None) -> Doubles:
    """(E,) those that are given, and equal parts of what is left for the others."""
    if weights is not None and not isinstance(weights, Mapping):
        raise TypeError(f"weights: wanted a mapping of names to numbers; got {_check.describe(weights)}")
    known, wanted = set(elements), f"a number above {SMALLEST:g}, at most 1"
    unknown = [name for name in weights or {} if name not in known]
    if unknown:
        raise ValueError(f"weights: wanted names of elements; got {_check.listed(unknown)}")
    found = {
        name: _check.number(f"weights[{_check.shown(name)}]", w, wanted, SMALLEST, 1.0)
        for name, w in (weights or {}).items()
    }
    left, others = 1 - math.fsum(found.values()), len(elements) - len(found)
    if others and left <= SMALLEST * others:
        rest = f"less than 1, which leaves something for {_check.count(others, 'other element')}"
        raise ValueError(f"weights: wanted numbers that add up to {rest}; got {1 - left:.12g}")
    if not others and abs(left) > 1e-9:
        raise ValueError(f"weights: wanted numbers that add up to 1; got {1 - left:.12g}")
    return np.array([found.get(name, left / max(others, 1)) for name in elements])
