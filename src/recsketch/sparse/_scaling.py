"""Signals scaled to about one by powers of two, which changes no bit, and answers scaled back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

import recsketch._check as _check
from recsketch.sparse._operators import Operator
from recsketch.sparse._solution import COUNT, ITERATIONS, STALLED, SUPPORT, Found, Solution

if TYPE_CHECKING:
    import numpy.typing as npt

HUGE = 1e300  # a tolerance that everything meets, and that is finite


@dataclass
class Signals:
    """Signals as the solvers see them: each is 2**exponent times its row, whose largest element is from 1/2 to 1."""

    rows: npt.NDArray[np.float64]  # (batch, m)
    exponent: npt.NDArray[np.int64]  # (batch,)
    start: npt.NDArray[np.float64] | None  # (batch, N), x0 by the same powers and that of A
    single: bool  # there was but one, as a vector
    dtype: Any  # of the coefficients

    def tolerances(self, tol: float | None) -> npt.NDArray[np.float64]:
        """What |y - A x|**2 may be of every row; 0 if nothing was asked for."""
        with np.errstate(over="ignore", under="ignore"):
            scaled = np.ldexp(np.full(len(self.rows), tol or 0.0), -2 * self.exponent)
        return np.asarray(np.minimum(scaled, HUGE), np.float64)


def signals_of(operator: Operator, Y: npt.ArrayLike, x0: npt.ArrayLike | None = None) -> Signals:
    """Y as rows, and x0 with them."""
    m, n = operator.shape
    y = _check.reals("Y", Y, f"signals of {m} numbers, shape ({m},) or ({m}, batch)")
    if y.ndim not in (1, 2) or y.shape[0] != m:
        raise ValueError(f"Y: wanted shape ({m},) or ({m}, batch); got {_check.describe(y)}")
    rows = _rows("Y", y, m)
    exponent = _exponents(rows)
    start = None
    if x0 is not None:
        x = _check.reals("x0", x0, f"numbers of shape {(n, *y.shape[1:])}")
        if x.shape != (n, *y.shape[1:]):
            raise ValueError(f"x0: wanted shape {(n, *y.shape[1:])}; got {_check.describe(x)}")
        start = _rows("x0", x, n)
        exponent = np.maximum(exponent, _exponents(start) + operator.scale)
        start = np.ldexp(start, (operator.scale - exponent)[:, None])
    rows = np.ldexp(rows, -exponent[:, None])
    return Signals(rows, exponent, start, y.ndim == 1, operator.answer(_check.float_type(y)))


def _rows(name: str, a: npt.NDArray[Any], length: int) -> npt.NDArray[np.float64]:
    rows = _check.packed(a.reshape(length, -1).T, np.float64)
    if not np.isfinite(rows).all():
        raise ValueError(f"{name}: wanted finite numbers; got NaN or infinity")
    return rows


def _exponents(rows: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    return np.asarray(np.frexp(np.abs(rows).max(axis=1, initial=0.0))[1], np.int64)


def number(name: str, x: object) -> float:
    """A finite number of at least 0."""
    return _check.number(name, x, "a finite number of at least 0", -5e-324, HUGE)


def answer(found: Found, signals: Signals, operator: Operator, *, tol: float | None) -> Solution:
    """What was found, in the units of Y and A. tol: None if the solver ends by itself."""
    index = [np.asarray(s, np.int64) for s in found.support]
    lengths = [len(s) for s in index]
    coef = np.zeros((len(index), operator.shape[1]), signals.dtype)
    with np.errstate(over="ignore", under="ignore"):
        residual = np.ldexp(found.residual, signals.exponent)
        if index:
            values = np.ldexp(np.concatenate(found.values), np.repeat(signals.exponent - operator.scale, lengths))
            coef[np.repeat(np.arange(len(index)), lengths), np.concatenate(index)] = values
    if not (np.isfinite(coef).all() and np.isfinite(residual).all()):
        raise ValueError(f"A, Y: wanted a solution that {coef.dtype} can hold; got a larger one. Scale A or Y")
    open_end = {STALLED, ITERATIONS} if tol is None else {STALLED, ITERATIONS, COUNT, SUPPORT}
    converged = np.array([r not in open_end for r in found.reason], np.bool_)
    if signals.single:
        return Solution(
            coef[0], index[0], float(residual[0]), int(found.iterations[0]), bool(converged[0]), found.reason[0]
        )
    return Solution(coef.T, index, residual, found.iterations, converged, list(found.reason))
