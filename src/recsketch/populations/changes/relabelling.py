"""Tests by relabelling: which groups belong to which sample is drawn again, and everything is computed again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

import recsketch._streams as _streams

if TYPE_CHECKING:
    import numpy.typing as npt

Doubles: TypeAlias = "npt.NDArray[np.float64]"

BLOCK = 1 << 20  # squares of t at a time
FLOOR = 1e-8  # of variances within samples, in variances of all: rounding leaves errors of 1e-15 in them
TIE = 1e-5  # a square that is less by this share is as large: what rounding makes of FLOOR, a hundredfold


class Labels:
    """Labels of n + m groups as they are, and others that are drawn."""

    def __init__(self, n: int, m: int, relabellings: int, seed: int) -> None:
        self.n, self.m, self.relabellings, self.seed = n, m, relabellings, seed

    def first(self, begin: int, end: int) -> Doubles:
        """(end - begin, n + m) rows: 1 where a group is of the first sample, and else 0. Row 0 is as it is."""
        end = min(end, self.relabellings + 1)
        out = np.zeros((end - begin, self.n + self.m))
        drawn = max(begin, 1)
        order = _streams.orders(self.seed, "relabelling", "", drawn - 1, end - drawn, self.n + self.m)
        np.put_along_axis(out[drawn - begin :], order[:, : self.n].astype(np.intp), 1.0, axis=1)
        if not begin:
            out[0, : self.n] = 1
        return out

    def squares(self, groups: Doubles) -> Iterator[Doubles]:
        """Squares of Welch's t of each labelling, (some, E) at a time; row 0 comes first.

        Parameters
        ----------
        groups : (n + m, E) float64
            NaN where a group has no such element. It is left out, and an element that a labelling leaves fewer than two
            groups of either sample has t = 0 there.

        Notes
        -----
        Variances within samples are no less than FLOOR of those of all groups, so that an element which is constant
        within each sample, and differs between them, has a large t and no infinite one. That is one function of labels
        and groups as any other: the p-values stay exact.
        """
        known = ~np.isnan(groups)
        z = standardised(groups)
        square = z * z
        whole, sum_of_squares, number = z.sum(axis=0), square.sum(axis=0), known.sum(axis=0, dtype=np.float64)
        complete = bool(known.all())
        rows = max(1, BLOCK // max(z.shape))
        for begin in range(0, self.relabellings + 1, rows):
            pick = self.first(begin, begin + rows)
            n = np.full(1, float(self.n)) if complete else pick @ known.astype(np.float64)
            m = number - n
            few = np.minimum(n, m) < 2
            n, m = np.maximum(n, 2), np.maximum(m, 2)
            total, squared = pick @ z, pick @ square
            a, b = total / n, (whole - total) / m
            within = np.maximum(squared / n - a * a, FLOOR) / (n - 1)
            within += np.maximum((sum_of_squares - squared) / m - b * b, FLOOR) / (m - 1)
            yield np.asarray(np.where(few, 0.0, (a - b) ** 2 / within))


def standardised(groups: Doubles) -> Doubles:
    """Columns with mean 0 and variance 1, and 0 where a column is constant or not known."""
    known = ~np.isnan(groups)
    any_known = known.any(axis=0)
    low = np.where(any_known, np.min(groups, axis=0, where=known, initial=np.inf), 0.0)
    high = np.where(any_known, np.max(groups, axis=0, where=known, initial=-np.inf), 0.0)
    power = -np.frexp(high - low)[1]  # so that no square overflows or vanishes
    z = np.where(known, np.ldexp(groups - low, power), 0.0)
    n = np.maximum(known.sum(axis=0), 1)
    z = np.where(known, z - z.sum(axis=0) / n, 0.0)
    deviation = np.sqrt((z * z).sum(axis=0) / n)
    return np.asarray(np.divide(z, deviation, out=np.zeros_like(z), where=high > low))


class StepDown:
    """Adjusted p-values by the step-down maximum of Westfall and Young, from statistics that come in parts.

    Parameters
    ----------
    seen : (k,) float64
        The statistics for the labels as they are; large ones speak against the null hypothesis.
    least : (k,) float64
        From where on another is as large.
    """

    def __init__(self, seen: Doubles, least: Doubles) -> None:
        self._order = np.argsort(-seen, kind="stable")
        self._least = least[self._order]
        self._reached = np.zeros(len(seen), np.int64)
        self._rows = 0

    def add(self, statistics: Doubles) -> None:
        """(some, k) more, those of the labels as they are among them."""
        largest = np.maximum.accumulate(statistics[:, self._order[::-1]], axis=1)[:, ::-1]
        self._reached += np.count_nonzero(largest >= self._least, axis=0)
        self._rows += len(statistics)

    def adjusted(self) -> Doubles:
        """(k,) p-values."""
        out = np.empty(len(self._order))
        out[self._order] = np.maximum.accumulate(self._reached / self._rows)
        return out


def ranked(statistics: Doubles) -> Doubles:
    """(rows, k) p-values of each row within its column: how many rows are as large, of all."""
    rows = len(statistics)
    ordered = np.sort(statistics, axis=0)
    out = np.empty_like(statistics)
    for k in range(statistics.shape[1]):
        out[:, k] = rows - np.searchsorted(ordered[:, k], tied(statistics[:, k]), "left")
    return out / rows


def tied(squares: Doubles) -> Doubles:
    """The least squares that count as being as large."""
    return np.asarray(squares * (1 - TIE))
