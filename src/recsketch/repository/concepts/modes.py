"""Geometry of concepts: the metric they share, whether two groups are one, and whether one group is two."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

Vector: TypeAlias = "npt.NDArray[np.float64]"
Vectors: TypeAlias = "npt.NDArray[Any]"
Coins: TypeAlias = "npt.NDArray[np.bool_]"
Labels: TypeAlias = "npt.NDArray[np.intp]"

LEAST, NEAR = 12, 6  # members that a group must have: in all, and in a half of them
RANK = 48  # directions in which the metric differs from a sphere's
ENOUGH = 64  # members of a group from which on it may be two
CHANCE = 1e-3  # of taking one group for two
APART = 2.0  # gap between two concepts, over the sum of their deviations along the line of centres, at least
ONE = 1.0  # the same of two that are one, at most
CUT = 1.5  # the same of two that are open to each other's members, at most: the halves of a normal one are 1.33 apart
STEP, LARGEST = 2.0**-12, 2.0**11  # of coordinates: float32 holds these exactly, and float64 their sums


@dataclass
class Space:
    """The metric in which members of all concepts scatter alike, fixed once.

    Attributes
    ----------
    origin : (d,) float64
        The mean of the first vectors.
    unit : float
        The median of their distances to it. Longer vectors count as directions.
    axes, gains, floor : (r, d) float64, (r,) float64, float
        Orthonormal directions of the scatter within concepts, and what coordinates along and across them are
        multiplied by.
    """

    origin: Vector
    unit: float
    axes: Vectors
    gains: Vector
    floor: float

    @classmethod
    def of(cls, s: Vectors) -> Space:
        """That of vectors (n, d), round."""
        origin = s.mean(axis=0, dtype=np.float64)
        unit = max(float(np.median(np.linalg.norm(s - origin, axis=1))), 1e-30)
        return cls(origin, unit, np.zeros((0, s.shape[1])), np.zeros(0), math.sqrt(s.shape[1]))

    def whitened(self, s: Vectors, labels: Labels) -> Space:
        """The same in which clusters scatter alike, by the eigenvectors of their pooled covariance, which has rank
        RANK and a floor."""
        r = np.array([self._direction(x) for x in s])
        groups = [r[labels == k] for k in range(labels.max() + 1)] or [r]
        rest = np.concatenate([(p - p.mean(axis=0)) * math.sqrt(len(p) / (len(p) - 1)) for p in groups])
        n, d = rest.shape
        power, vectors = np.linalg.eigh(rest @ rest.T)
        power = np.maximum(power[::-1] / n, 0)
        rank = min(RANK, n // 4, d - 1)
        floor = max(float(power[rank:].sum()) / min(n, d) + 0.5 * float(power[rank]), 1e-12)
        axes = vectors[:, ::-1][:, :rank].T @ rest
        axes /= np.maximum(np.linalg.norm(axes, axis=1, keepdims=True), 1e-30)
        return Space(self.origin, self.unit, axes, 1 / np.sqrt(power[:rank] + floor), 1 / math.sqrt(floor))

    def place(self, s: Vectors) -> Vectors:
        """(d,) float32, where a vector lies. One at a time, so that the bits do not depend on others."""
        r = self._direction(s)
        x = r * self.floor + ((self.axes @ r) * (self.gains - self.floor)) @ self.axes
        return np.asarray(np.clip(np.rint(x / STEP) * STEP, -LARGEST, LARGEST), np.float32)

    def _direction(self, s: Vectors) -> Vector:
        r = (s - self.origin) / self.unit
        return np.asarray(r / max(float(np.linalg.norm(r)), 1.0))


def squares(points: Vectors, centre: Vectors) -> Vector:
    """(n,) squared distances."""
    r = points - centre
    return np.asarray(np.einsum("ij,ij->i", r, r, dtype=np.float64))


def logs(points: Vectors, centre: Vectors) -> Vector:
    """(n,) their logarithms."""
    return np.asarray(np.log(squares(points, centre) + 1e-30))


def gap(p: Vector, q: Vector) -> float:
    """How far projections are from each other, over the sum of their deviations."""
    return float((q.mean() - p.mean()) / (p.std() + q.std() + 1e-12))


def apart(p: Vectors, p_centre: Vector, q: Vectors, q_centre: Vector) -> bool:
    """Whether a group is no part of another, along the line of centres that others than `q` fixed."""
    u = q_centre - p_centre
    a, b = p @ u, q @ u
    return gap(a, b) >= APART and bool(np.quantile(b, 0.1) > np.quantile(a, 0.97))


def coins(rows: Sequence[int]) -> Coins:
    """(n,) fair coins, which fall alike for a row whenever they are thrown: bits of SplitMix64. What comes in turn does
    not fall into the same half, as it would by even and odd places."""
    z = np.array(rows, np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray((z ^ (z >> np.uint64(31))) % np.uint64(2) == 1)


def close(p: Vectors, p_coins: Coins, q: Vectors, q_coins: Coins, most: float = ONE) -> bool:
    """Whether two groups are one: near each other along the line of the means of halves, by the other halves."""
    one, other = (p[p_coins], q[q_coins]), (p[~p_coins], q[~q_coins])
    if min(map(len, (*one, *other))) < 2:
        return False
    u = one[1].mean(axis=0, dtype=np.float64) - one[0].mean(axis=0, dtype=np.float64)
    return gap(other[0] @ u, other[1] @ u) < most


def joined(x: Vectors, sides: Coins, labels: Labels) -> Labels:
    """Labels once clusters that are one are."""
    for i, j in combinations(range(labels.max() + 1), 2):
        a, b = labels == i, labels == j
        if close(x[a], sides[a], x[b], sides[b]):
            rest = np.where(b, i, labels)
            return joined(x, sides, rest - (rest > j))
    return labels


def divided(x: Vectors, sides: Coins, labels: Labels) -> Labels:
    """Labels once every cluster with a valley is two."""
    labels, k = labels.copy(), 0
    while k <= labels.max():
        at = np.flatnonzero(labels == k)
        smaller = part(x[at], sides[at])
        if smaller is None or smaller.sum() < LEAST:
            k += 1
        else:
            labels[at[smaller]] = labels.max() + 1
    return labels


def part(points: Vectors, sides: Coins) -> npt.NDArray[np.bool_] | None:
    """Which points are the smaller of two groups, if there is a valley between groups; else None.

    Either half of the points, by `sides`, says where the other one looks: along the line of the means of two parts of
    it. The middle of the line is compared with the emptier of its ends.
    """
    x = np.asarray(points, np.float64)
    if len(x) < ENOUGH:
        return None
    halves, found, middle, end = (x[sides], x[~sides]), [], 0, 0
    for one, other in (halves, halves[::-1]):
        means = _two_means(one)
        if means is None:
            return None
        u = means[1] - means[0]
        low, high = float(means[0] @ u), float(means[1] @ u)
        counts = valley(other @ u, low, high)
        middle, end = middle + counts[0], end + counts[1]
        found.append(x @ u > (low + high) / 2)
    side, agree = found[0], float(np.mean(found[0] == found[1]))
    if chance(middle, end) > CHANCE or 0.1 < agree < 0.9:
        return None
    return np.asarray(side if side.sum() < len(side) / 2 else ~side)


def valley(x: Vector, low: float, high: float) -> tuple[int, int]:
    """How many projections of two groups lie in the middle between their centres, and how many at the emptier centre.

    The windows have one width. Under one mode the middle expects no less than the emptier end, wherever they lie.
    """
    width = (high - low) / 6
    a, m, b = (int(np.sum(np.abs(x - c) <= width)) for c in (low, (low + high) / 2, high))
    return m, min(a, b)


def chance(middle: int, end: int) -> float:
    """That so few or fewer lie in the middle where it is as full as the end: binomial."""
    n = middle + end
    return float(sum(math.comb(n, i) for i in range(middle + 1)) / 2**n)


def _two_means(x: Vector) -> tuple[Vector, Vector] | None:
    """Means of two parts of points, eight rounds from the first principal direction on; None where one is small."""
    if len(x) < 2 * NEAR:
        return None
    v = x - x.mean(axis=0)
    products = v @ v.T
    side = _loudest(products) > 0
    for _ in range(8):
        if min(side.sum(), (~side).sum()) < NEAR:
            return None
        low, high = x[~side].mean(axis=0), x[side].mean(axis=0)
        side = squares(x, high) < squares(x, low)
    return low, high


def _loudest(products: Vector) -> Vector:
    """The first eigenvector of a product of a matrix and its transpose, as far as its 32nd power tells."""
    u = products[int(np.diagonal(products).argmax())]
    for _ in range(31):
        u = products @ (u / max(float(np.linalg.norm(u)), 1e-300))
    return np.asarray(u)
