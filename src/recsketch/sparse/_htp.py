"""Hard-thresholding pursuit in NumPy, for arrays and linear operators, one signal after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from recsketch.sparse._omp import NOTHING, nonnegative_fit
from recsketch.sparse._operators import Operator
from recsketch.sparse._solution import EXACT, ITERATIONS, STALLED, SUPPORT, TOLERANCE, Found, joined

if TYPE_CHECKING:
    import numpy.typing as npt

F64: TypeAlias = "npt.NDArray[np.float64]"

# Steps without a residual smaller by 2% in square before the best one is taken.
PATIENCE = 6


def htp(A: Operator, y: F64, count: int, tol: F64, nonnegative: bool, steps: int) -> Found:
    """The normalised step and an exact fit; y (batch, m), tol (batch,)."""
    return joined([_htp(A, row, count, float(enough), nonnegative, steps) for row, enough in zip(y, tol, strict=True)])


def _htp(A: Operator, y: F64, count: int, tol: float, nonnegative: bool, steps: int) -> Found:
    support: npt.NDArray[np.int64] = np.zeros(0, np.int64)
    x: F64 = np.zeros(0)
    r = y
    energy = square = float(y @ y)
    best, done, stalled = (square, support, x), 0, 0
    while True:
        if square <= tol or square <= NOTHING * energy:
            reason = TOLERANCE if square <= tol and tol > 0 else EXACT
            break
        if done == steps or stalled == PATIENCE:
            reason = ITERATIONS if done == steps else STALLED
            break
        following, u = _step(A, r, support, x, count, nonnegative)
        if np.array_equal(following, support):
            reason = SUPPORT
            break
        done += 1
        columns = A.columns(following)
        support, x = following, np.asarray(np.linalg.lstsq(columns.T, y, rcond=None)[0], np.float64)
        if nonnegative and (x <= 0).any():
            x, keep = nonnegative_fit(columns, y, np.maximum(u[support], 0.0))
            support, columns = support[keep], columns[keep]
        r = y - x @ columns
        square = float(r @ r)
        stalled = 0 if square < 0.98 * best[0] else stalled + 1
        if square < best[0]:
            best = square, support, x
    return Found([best[1]], [best[2]], np.sqrt([best[0]]), np.array([done], np.int32), [reason])


def _step(
    A: Operator, r: F64, support: npt.NDArray[np.int64], x: F64, count: int, nonnegative: bool
) -> tuple[npt.NDArray[np.int64], F64]:
    """Where a gradient step leads to: the next support, and the coefficients before they are cut to it.

    The step is 1 / |A|^2 along the gradient's largest elements."""
    c = np.asarray(A.correlate(r[None])[0], np.float64)
    top = largest(c, count, nonnegative)
    direction = np.zeros((1, A.shape[1]))
    direction[0, top] = c[top]
    image = A.forward(direction)[0]
    length = float(image @ image)
    u = c * (float(c[top] @ c[top]) / length if length > 0 else 0.0)
    u[support] += x
    return largest(u, count, nonnegative), u


def largest(c: Any, count: int, nonnegative: bool) -> npt.NDArray[np.int64]:
    """The count largest elements that are not zero, ties by index, ascending."""
    size = np.maximum(c, 0.0) if nonnegative else np.abs(c)
    least = np.partition(size, len(size) - count)[len(size) - count]
    above, ties = np.flatnonzero(size > least), np.flatnonzero(size == least) if least > 0 else np.zeros(0, np.int64)
    return np.sort(np.concatenate([above, ties[: count - len(above)]]))
