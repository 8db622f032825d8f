"""What the sparse solvers return, and why they ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from recsketch._values import Record

if TYPE_CHECKING:
    import numpy.typing as npt

# Why a solver ended; Solution.reason tells users what each means. The first six are rsk_reason in recsketch.h.
REASONS = ("tolerance", "exact", "count", "support", "stalled", "iterations", "precision")
TOLERANCE, EXACT, COUNT, SUPPORT, STALLED, ITERATIONS, PRECISION = REASONS


@dataclass(frozen=True, eq=False, slots=True)
class Solution(Record):
    """What a solver found, of one signal or of a batch.

    Solutions are equal if all that they hold is, arrays element by element. They have no hash.

    Attributes
    ----------
    coef : (N,) or (N, batch) float32 or float64
        x, of the type of A and Y together.
    support : array of int64, or a list of them
        Which elements of x are non-zero: in the order found by `omp` and `bomp`, ascending from `htp` and `cgls`.
    residual : float, or (batch,) float64
        ||y - A x||.
    iterations : int, or (batch,) int32
        Columns or blocks tried by `omp` and `bomp`, steps of `htp`, iterations of `cgls`.
    converged : bool, or (batch,) bool
        Whether what was asked for is reached: the tolerance if one was given; otherwise the number of non-zeros, a
        support that stays, or all that the arithmetic can tell.
    reason : str, or a list of them
        Why the solver ended. "tolerance": the residual, or the gradient of `cgls`, is as small as asked for. "exact":
        the residual is nothing but rounding. "count": there are as many non-zeros as asked for. "support": another step
        of `htp` would choose the same support. "precision": further iterations of `cgls` would only add rounding
        errors. "stalled": no column makes the residual smaller, or six steps of `htp` did not. "iterations": there were
        as many as allowed.
    """

    coef: npt.NDArray[Any]
    support: Any
    residual: Any
    iterations: Any
    converged: Any
    reason: Any

    def __str__(self) -> str:
        batch = self.coef.ndim == 2
        count = sum(len(s) for s in self.support) if batch else len(self.support)
        signals = f"{self.coef.shape[1]} signals, " if batch else ""
        worst = float(np.max(self.residual, initial=0.0))
        failed = int(np.size(self.converged) - np.count_nonzero(self.converged))
        text = f"Solution: {signals}{count} non-zeros of {self.coef.size}, residual at most {worst:.1e}"
        if not failed:
            return text
        return f"{text}, {failed} not converged" if batch else f"{text}, not converged ({self.reason})"

    def _repr_html_(self) -> str:
        return f"<p>{self}</p>"


@dataclass
class Found:
    """What a solver found of signals and columns that were scaled to about one, a list of one entry a signal each."""

    support: Sequence[npt.NDArray[Any]]
    values: Sequence[npt.NDArray[Any]]
    residual: npt.NDArray[np.float64]
    iterations: npt.NDArray[np.int32]
    reason: Sequence[str]


def joined(parts: Sequence[Found]) -> Found:
    """The signals of all parts, one part after the other."""
    return Found(
        [s for p in parts for s in p.support],
        [v for p in parts for v in p.values],
        np.concatenate([np.zeros(0), *(p.residual for p in parts)]),
        np.concatenate([np.zeros(0, np.int32), *(p.iterations for p in parts)]),
        [r for p in parts for r in p.reason],
    )
