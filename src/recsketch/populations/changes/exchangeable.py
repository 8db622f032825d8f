"""Whether groups and blocks of runs are what the guarantees want: exchangeable."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

import recsketch._streams as _streams
from recsketch.populations.changes.relabelling import standardised

if TYPE_CHECKING:
    import numpy.typing as npt

Doubles: TypeAlias = "npt.NDArray[np.float64]"

WARN, REFUSE = 1.5, 4.0  # ratios of runs a group
LATEST = 1024  # blocks whose order is looked at, because all pairs of them are
ORDERS = 999  # of blocks that are drawn
CORRELATED, RARE = (
    0.1,
    0.01,
)  # the mean correlation of neighbours that is warned of, and how seldom order alone makes it


class ExchangeabilityWarning(UserWarning):
    """Groups or blocks are less alike than p-values and alarms take them to be."""


def ratio(first: Doubles, second: Doubles) -> float:
    """How many times as many runs a group of one sample has as one of the other.

    Means are harmonic, because a group's variance is that of one run over its number of runs.
    """
    a, b = (1 / float(np.mean(1 / runs)) for runs in (first, second))
    return round(max(a / b, b / a), 9)  # 1.5 for 150 and 100, whatever sums round


def neighbours(blocks: Doubles, seed: int) -> tuple[float, float]:
    """The correlation of each block with the next, averaged over elements, and its p-value by orders that are drawn.

    Where blocks are exchangeable, every order of them is as probable as the one they came in.
    """
    z = standardised(blocks[-LATEST:])
    alike = z @ z.T
    order = _streams.orders(seed, "order", "", 0, ORDERS, len(z)).astype(np.intp)
    seen = float(np.trace(alike, offset=1))
    drawn = alike[order[:, :-1], order[:, 1:]].sum(axis=1)
    elements = max(int(np.count_nonzero(z.any(axis=0))), 1)
    p = (1 + np.count_nonzero(drawn >= seen - 1e-9 * math.fabs(seen))) / (1 + ORDERS)
    return seen / (elements * (len(z) - 1)), float(p)
