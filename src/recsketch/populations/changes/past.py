"""Numbers that were seen, ordered, so that the rank of one more is soon known."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

Doubles: TypeAlias = "npt.NDArray[np.float64]"
Places: TypeAlias = "npt.NDArray[np.intp]"

RECENT = 32  # numbers that are kept as they came: to compare them all is as quick as to search them


class Past:
    """Bags of numbers, one for each of E elements; NaN is none.

    Parameters
    ----------
    values : (E, n) float64

    Notes
    -----
    Numbers lie in pieces that are ordered, each at least half as long again as all behind it, and one that is not
    [1]_. Cost of `place`: O(log^2 n) an element. Of `add`: O(log n) an element on average; one call in n orders all.
    Memory: 8 bytes a number.

    References
    ----------
    .. [1] J. L. Bentley, J. B. Saxe, "Decomposable searching problems I", Journal of Algorithms 1, 1980.
    """

    def __init__(self, values: Doubles) -> None:
        self._pieces = [np.sort(np.ascontiguousarray(values), axis=1)]
        self._recent = np.full((len(values), RECENT), np.nan)
        self._late = 0
        self._known = np.asarray(np.count_nonzero(~np.isnan(values), axis=1))

    def place(self, x: Doubles) -> tuple[Places, Places, Places]:
        """(E,) each: how many numbers are below, how many are equal, and how many there are."""
        below = np.count_nonzero(self._recent < x[:, None], axis=1)
        upto = np.count_nonzero(self._recent <= x[:, None], axis=1)
        for piece in self._pieces:
            below = below + _count(piece, x, np.less)
            upto = upto + _count(piece, x, np.less_equal)
        return below, upto - below, self._known

    def add(self, x: Doubles) -> None:
        """(E,) one more number each; NaN: none."""
        self._recent[:, self._late] = x
        self._late += 1
        self._known = self._known + ~np.isnan(x)
        if self._late < RECENT:
            return
        piece = np.sort(self._recent, axis=1)
        while self._pieces and self._pieces[-1].shape[1] < 2 * piece.shape[1]:
            piece = np.sort(np.concatenate([self._pieces.pop(), piece], axis=1), axis=1)
        self._pieces.append(piece)
        self._recent[:] = np.nan
        self._late = 0

    def values(self) -> Doubles:
        """(E, n) all of them in order, those that are none last."""
        found = np.sort(np.concatenate([*self._pieces, self._recent[:, : self._late]], axis=1), axis=1)
        found[np.isnan(found)] = np.nan  # NumPy before 2.0 sorts them into others, which would be other bytes of a file
        return found


def _count(piece: Doubles, x: Doubles, before: np.ufunc) -> Places:
    """How many numbers of each row, which is in order, are before one: by bisection of all rows at once."""
    rows, size = piece.shape
    flat, first = piece.reshape(-1), np.arange(rows) * size - 1
    found = np.zeros(rows, np.intp)
    step = 1 << size.bit_length() >> 1
    while step:
        more = np.minimum(found + step, size)
        found = np.where(before(flat[first + more], x), more, found)
        step >>= 1
    return found
