"""Signs of operators: every two images of one string in one sketch say how many minus signs lie between them.

An image of a string has been moved by some of the operators on its path, which are a subset S of them. Each of these
has multiplied it by its sign at the block to which it moved it. The sign of the image is that of the attribute's
element times these, so that two images of one string give an equation modulo 2 between the operators' bits, and a
counter, whose sign is known, gives one alone. There are many more equations than bits: those that all sketches agree on
are solved by elimination.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from recsketch.learning.operators.masks import Operator, Path, Placed

if TYPE_CHECKING:
    import numpy.typing as npt

    Doubles: TypeAlias = npt.NDArray[np.float64]
    Flags: TypeAlias = npt.NDArray[np.bool_]
    Numbers: TypeAlias = npt.NDArray[np.int64]
    Signs: TypeAlias = npt.NDArray[np.int8]

LIKE = 0.9  # cosine between where a string's images are and should be, on the path that it is taken to have
LEAD = 0.02  # and how much less it may be at most on any other path
ALONE = 0.9  # share of the energy at a displacement that one subset of operators has to have
VOTES = 2  # of an equation
AGREED = 0.8  # of its votes, one way less the other


@dataclass(frozen=True)
class Images:
    """What was seen of strings. sketch, module, column, row say which string; place and amplitude what of it."""

    sketch: Numbers
    module: Numbers
    column: Numbers
    row: Numbers
    place: Numbers
    amplitude: Doubles
    counter: Flags  # whether it is a counter's

    def strings(self) -> Numbers:
        """A number for every image, the same for those of one string in one sketch."""
        key = self.sketch
        for part in (self.module, self.column, self.row):  # below 2^15, 2^16 and 2^19, and sketches below 2^15
            key = key * (int(part.max(initial=0)) + 1) + part
        return key


@dataclass(frozen=True)
class Chain:
    """A path with the object's own operators, from the sketch down: how much energy they move how far.

    `energy` (order,), of all subsets of them; `subset` (order,) the loudest that moves so far, -1 where no subset has
    `ALONE` of the energy.
    """

    operators: tuple[Operator, ...]
    energy: Doubles
    subset: Numbers


def chain(path: Path, module: int, placed: Placed, order: int, cosine: float) -> Chain:
    operators = (*path, ("module", module), ("branch", 0))
    moved, size = np.zeros(1, np.int64), np.ones(1)
    for q in operators:  # bit k of a subset's number is operator k
        moved = np.concatenate([moved, moved ^ placed.mask(q)])
        size = np.concatenate([size * cosine, size * np.sqrt(1.0 - cosine**2)])
    energy = np.bincount(moved, size**2, order).astype(np.float64)
    subset = np.full(order, -1)
    for s in np.argsort(size, kind="stable"):
        if size[s] ** 2 >= ALONE * energy[moved[s]]:
            subset[moved[s]] = s
    return Chain(operators, energy, subset)


class Bits:
    """Numbers of the operators' free bits: of each pair of blocks that an operator swaps, the one with the highest bit
    of its mask clear."""

    def __init__(self, placed: Placed, places: int) -> None:
        self.places = places
        self._placed = placed
        self.operators: dict[Operator, int] = {}

    def mask(self, operator: Operator) -> int:
        return self._placed.mask(operator)

    def of(self, operator: Operator, place: int) -> tuple[int, int]:
        """(number of a bit, 1 if the sign is the other one) of an operator at a place."""
        mask = self._placed.mask(operator)
        number = self.operators.setdefault(operator, len(self.operators)) * self.places
        other = place >> (mask.bit_length() - 1) & 1
        return number + (place ^ mask if other else place), other

    def signs(self, operator: Operator, solved: dict[int, int]) -> Signs:
        """(places,) 1, -1, or 0 where a bit is not known."""
        out = np.zeros(self.places, np.int8)
        for place in range(self.places):
            bit, other = self.of(operator, place)
            if bit in solved:
                out[place] = 1 - 2 * (solved[bit] ^ other)
        return out


def equations(
    images: Images, chains: Sequence[Sequence[Chain]], present: Sequence[Flags], bits: Bits
) -> dict[frozenset[int], list[float]]:
    """Of sets of bits how often their sum was seen to be even, and odd. present[k] (sketches, chains) says which of
    module k's chains a sketch has."""
    out: dict[frozenset[int], list[float]] = {}
    string = images.strings()
    for k, own in enumerate(chains):
        mine = np.flatnonzero(images.module == k)
        if not mine.size or not own:
            continue
        _, group = np.unique(string[mine], return_inverse=True)
        delta = images.row[mine] ^ images.place[mine]
        square = images.amplitude[mine] ** 2
        norm = np.sqrt(np.bincount(group, square**2))
        energies = np.array([c.energy / np.linalg.norm(c.energy) for c in own])
        cosines = np.array([np.bincount(group, square * e[delta]) for e in energies]) / norm
        first = np.zeros(norm.size, np.int64)
        first[group] = images.sketch[mine]
        cosines[~present[k][first].T] = -1.0
        best = cosines.argmax(axis=0)
        top = cosines.max(axis=0)
        np.put_along_axis(cosines, best[None], -1.0, axis=0)
        sure = (top >= LIKE) & (cosines.max(axis=0) <= top - LEAD)
        for p, c in enumerate(own):
            _tally(images, mine, group, delta, (best == p) & sure, c, bits, out)
    return out


def _tally(
    images: Images,
    mine: Numbers,
    group: Numbers,
    delta: Numbers,
    chosen: Flags,
    c: Chain,
    bits: Bits,
    out: dict[frozenset[int], list[float]],
) -> None:
    """Add the equations of the images of one module's strings on one path."""
    subset = c.subset[delta]
    kept = chosen[group] & (subset >= 0)
    e, group, subset = mine[kept], group[kept], subset[kept]
    if not e.size:
        return
    order = np.lexsort((-np.abs(images.amplitude[e]), group))
    e, group, subset = e[order], group[order], subset[order]
    minus = (images.amplitude[e] < 0).astype(np.int64)
    first = np.ones(e.size, np.bool_)
    first[1:] = group[1:] != group[:-1]
    lead = np.maximum.accumulate(np.where(first, np.arange(e.size), 0))
    counter = images.counter[e]
    used = counter | ~first
    # an equation is one of a row and two subsets, or one where the sign is known
    other = np.where(counter, 0, subset[lead])
    parity = np.where(counter, minus, minus ^ minus[lead])
    n = 1 << len(c.operators)
    key = (images.row[e] * n + subset) * n + other
    keys, at = np.unique(key[used], return_inverse=True)
    odd = np.bincount(at.ravel(), parity[used], keys.size)
    all_ = np.bincount(at.ravel(), minlength=keys.size)
    for key_, o, a in zip(keys.tolist(), odd.tolist(), all_.tolist(), strict=True):
        row, s, t = key_ // n // n, key_ // n % n, key_ % n
        one, flip = _walk(c, row, s, bits)
        two, flop = _walk(c, row, t, bits)
        both = frozenset(one ^ two)
        votes = out.setdefault(both, [0.0, 0.0])
        even = a - o
        votes[0] += o if flip ^ flop else even
        votes[1] += even if flip ^ flop else o


def _walk(c: Chain, row: int, subset: int, bits: Bits) -> tuple[set[int], int]:
    """The bits that an image meets from its row outwards, and whether their signs are turned."""
    place, flip, met = row, 0, set[int]()
    for k in range(len(c.operators) - 1, -1, -1):
        if subset >> k & 1:
            operator = c.operators[k]
            place ^= bits.mask(operator)
            bit, other = bits.of(operator, place)
            met ^= {bit}
            flip ^= other
    return met, flip


def solve(votes: dict[frozenset[int], list[float]]) -> dict[int, int]:
    """The bits that the equations fix, by elimination modulo 2, the surest equations first.

    Bits of which only sums with others are known are left out, as are those that no equation has.
    """
    numbers = sorted({b for bits in votes for b in bits})
    at = {b: i for i, b in enumerate(numbers)}
    one = 1 << len(numbers)  # the right side; a row of bits is an integer
    rows = []
    for bits, (even, odd) in votes.items():
        count = even + odd
        if bits and count >= VOTES and abs(even - odd) >= AGREED * count:
            rows.append((abs(even - odd), sum(1 << at[b] for b in bits) | (one if odd > even else 0)))
    rows.sort(reverse=True)
    basis: dict[int, int] = {}  # by lowest bit
    for _, row in rows:
        while left := row & (one - 1):
            low = left & -left
            if low not in basis:
                basis[low] = row
                break
            row ^= basis[low]
    for low in sorted(basis, reverse=True):
        row = basis[low]
        for other in [o for o in basis if o > low]:
            if row & other:
                row ^= basis[other]
        basis[low] = row
    return {numbers[low.bit_length() - 1]: int(row >= one) for low, row in basis.items() if row & (one - 1) == low}
