"""Conjugate gradients on the normal equations in NumPy, for all signals together, in whatever arithmetic A has."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from recsketch.sparse._operators import Operator
from recsketch.sparse._solution import ITERATIONS, PRECISION, TOLERANCE

if TYPE_CHECKING:
    import numpy.typing as npt

F64: TypeAlias = "npt.NDArray[np.float64]"

# Rounding errors of A^T r have about the size eps |A| |r|, and those of A x, seen through A^T, eps |A|^2 |x|. Four
# times that is a gradient for sure; a smaller one may be noise, along which iterations would go astray.
FLOOR = 4.0
# A gradient that is updated by A^T A p has the rounding error eps of the largest one since it was last computed from
# the residual, once an iteration: after 16 of equal size nothing below 16 eps of that is left.
DRIFT = 16.0
# Exact steps make the objective smaller. 2**-46 of it is what 128 roundings of a double may add, and what a step that
# goes astray exceeds soon after.
RISE = 2.0**-46
# A round that does not halve the gradient would go on for ever.
PROGRESS = 0.25


@dataclass
class State:
    """Where the iterations are; rows are signals."""

    x: F64
    residual: F64
    gradient: F64  # A^T r - damping x
    slope: F64  # |gradient|^2
    objective: F64  # |r|^2 + damping |x|^2
    norm: F64  # |A|^2 + damping, as far as steps have shown it


def cgls(
    A: Operator, y: F64, x0: F64 | None, damping: float, rtol: float, most: int
) -> tuple[F64, F64, npt.NDArray[np.int32], list[str]]:
    """x (batch, N), |y - A x|, iterations, and why each ended. x is the best of what was tried.

    The first round computes the gradient from the residual, until it is as small as asked for or as the arithmetic can
    tell. Every round ends by computing the true residual of x. Later rounds start from a small gradient on a residual
    whose rounding would drown it, and therefore update the gradient by what a step changes; they go on while they help.
    """
    start = np.zeros((len(y), A.shape[1])) if x0 is None else x0.copy()
    iterations, reason = np.zeros(len(y), np.int32), np.full(len(y), TOLERANCE, object)
    everyone = np.arange(len(y))
    if not len(y):
        return start, np.zeros(0), iterations, []
    now = State(start, y.copy(), np.empty_like(start), np.empty(len(y)), np.empty(len(y)), np.zeros(len(y)))
    _measure(A, y, damping, now, everyone, x0 is not None)
    goal = rtol**2 * (now.slope if x0 is None else _squares(A.correlate(y)))
    best = replace(now, x=now.x.copy(), residual=now.residual.copy(), slope=now.slope.copy())
    best.objective = now.objective.copy()
    who, first = everyone[now.slope > goal], True
    while who.size:
        _iterate(A, damping, now, who, goal, most, iterations, first)
        _measure(A, y, damping, now, who, True)
        ended = now.slope[who] <= goal[who]
        cut = ~ended & (iterations[who] >= most)
        steeper = now.slope[who] >= PROGRESS * best.slope[who]
        useless = ~_keep(best, now, who, A.eps) | (steeper & (not first))
        rounding = (FLOOR * A.eps) ** 2 * now.norm[who] * (now.objective[who] + now.norm[who] * _squares(now.x[who]))
        reason[who[~ended]] = np.where(cut & (now.slope[who] > rounding), ITERATIONS, PRECISION)[~ended]
        who, first = who[~(ended | cut | useless)], False
    return best.x, np.sqrt(_squares(best.residual)), iterations, reason.tolist()


def _iterate(
    A: Operator,
    damping: float,
    now: State,
    who: npt.NDArray[np.int64],
    goal: F64,
    most: int,
    iterations: npt.NDArray[np.int32],
    direct: bool,
) -> None:
    """One round of iterations on the signals `who`, each until its gradient is at its goal or its floor."""
    x, r, g, p = now.x, now.residual, now.gradient, now.gradient.copy()
    least, steepest = now.objective.copy(), now.slope.copy()
    while True:
        limit = goal[who]
        if direct:
            limit = np.maximum(limit, (FLOOR * A.eps) ** 2 * now.norm[who] * now.objective[who])
        else:
            limit = np.maximum(limit, (DRIFT * A.eps) ** 2 * steepest[who])
        descending = now.objective[who] <= (1 + RISE) * least[who]
        who = who[(now.slope[who] > limit) & descending & (iterations[who] < most)]
        if not who.size:
            return
        image, length = A.forward(p[who]), _squares(p[who])
        bent = _squares(image) + damping * length
        seen = bent > 0  # otherwise A does not see this direction, and no step along it helps
        who, image, length, bent = who[seen], image[seen], length[seen], bent[seen]
        if not who.size:
            return
        step = (now.slope[who] / bent)[:, None]
        x[who] += step * p[who]
        r[who] -= step * image
        if direct:
            g[who] = A.correlate(r[who]) - damping * x[who]
        else:
            g[who] -= step * (A.correlate(image) + damping * p[who])
        after = _squares(g[who])
        p[who] = g[who] + (after / now.slope[who])[:, None] * p[who]
        now.slope[who] = after
        now.objective[who] = _squares(r[who]) + damping * _squares(x[who])
        now.norm[who] = np.maximum(now.norm[who], bent / length)
        least[who] = np.minimum(least[who], now.objective[who])
        steepest[who] = np.maximum(steepest[who], after)
        iterations[who] += 1


def _measure(A: Operator, y: F64, damping: float, now: State, who: npt.NDArray[np.int64], moved: bool) -> None:
    """Residual, gradient and objective of x as they are; where x has not moved from 0, the residual is y."""
    if moved:
        now.residual[who] = y[who] - A.forward(now.x[who])
    now.gradient[who] = A.correlate(now.residual[who]) - damping * now.x[who]
    now.slope[who] = _squares(now.gradient[who])
    now.objective[who] = _squares(now.residual[who]) + damping * _squares(now.x[who])


def _keep(best: State, now: State, who: npt.NDArray[np.int64], eps: float) -> npt.NDArray[np.bool_]:
    """What is better than the best so far becomes the best: a smaller objective, or if rounding leaves that open, a
    smaller gradient. Returns which were better."""
    before, after = best.objective[who], now.objective[who]
    clear = 4 * eps * before
    better = (after < before - clear) | ((after <= before + clear) & (now.slope[who] < best.slope[who]))
    chosen = who[better]
    for kept, came in ((best.x, now.x), (best.residual, now.residual)):
        kept[chosen] = came[chosen]
    best.slope[chosen], best.objective[chosen] = now.slope[chosen], now.objective[chosen]
    return better


def _squares(a: Any) -> F64:
    """Squared norms of the rows."""
    return np.asarray(np.einsum("ij,ij->i", a, a), np.float64)
