"""Which codes are strings: those that come back in several sketches and have a tag that many others have."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

import recsketch._core as _core
from recsketch._check import Floats
from recsketch.learning.strings.layout import Layout

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy.typing as npt

    from recsketch.learning.strings.sources import Piece

    Codes: TypeAlias = npt.NDArray[np.uint64]
    Numbers: TypeAlias = npt.NDArray[np.int64]
    Doubles: TypeAlias = npt.NDArray[np.float64]
    Flags: TypeAlias = npt.NDArray[np.bool_]

STRINGS = 4  # looked for in a block, RSK_PEEL_MOST
APPEARANCES = 3  # sketches in which a code is there before it is a candidate
LEAST_PAYLOADS = 4  # of a tag, and so many deviations of what chance would give
DEVIATIONS = 6.0
CLEAN = 2  # RSK_PEEL_CLEAN
HELD = 0.2  # of a string's amplitude, or 3.5 of the noise: what may be left of a block that it explains
NOISY = 3.5


@dataclass
class Found:
    """What a pass over sketches found; every list has an array a piece."""

    numbers: list[Numbers] = field(default_factory=list)  # of the sketches that were looked at
    sketch: list[Numbers] = field(default_factory=list)  # of events: strings at places
    place: list[Numbers] = field(default_factory=list)
    code: list[Numbers] = field(default_factory=list)  # numbers of known codes
    amplitude: list[Floats] = field(default_factory=list)
    unknown: list[Codes] = field(default_factory=list)
    where: list[Numbers] = field(default_factory=list)  # their sketches
    clean: list[Flags] = field(default_factory=list)
    counts: Numbers = field(default_factory=lambda: np.zeros(0, np.int64))  # sketches that a code explains a block of
    left: list[Doubles] = field(default_factory=list)  # energy of each sketch, and of what is left of it
    energy: list[Doubles] = field(default_factory=list)
    looked: int = 0  # blocks whose next code is unknown: chances for a wrong one

    @property
    def unexplained(self) -> float:
        """The share of all energy that no known string explains; sums are exact, so that pieces do not matter."""
        energy = math.fsum(x for piece in self.energy for x in piece)
        return math.fsum(x for piece in self.left for x in piece) / energy if energy else 0.0

    def candidates(self) -> tuple[Codes, Flags]:
        """Unknown codes that are in `APPEARANCES` sketches, ascending; and whether a block of some was clean."""
        if not self.unknown:
            return np.zeros(0, np.uint64), np.zeros(0, np.bool_)
        code, where, clean = np.concatenate(self.unknown), np.concatenate(self.where), np.concatenate(self.clean)
        order = np.argsort(code, kind="stable")  # sketches come in order
        code, where, clean = code[order], where[order], clean[order]
        new = np.ones(code.size, np.bool_)
        new[1:] = code[1:] != code[:-1]
        first = new.copy()
        first[1:] |= where[1:] != where[:-1]
        begin = np.flatnonzero(new)
        if not begin.size:
            return code, clean
        enough = np.add.reduceat(first.astype(np.int64), begin) >= APPEARANCES
        return code[begin][enough], np.logical_or.reduceat(clean, begin)[enough]


def look(
    pieces: Iterable[Piece],
    layout: Layout,
    known: Codes,
    threads: int,
    tags: Numbers | None = None,
    events: bool = True,
) -> Found:
    """A pass over sketches. With tags, only unknown codes of these tags are kept; events only if they are wanted."""
    out = Found(counts=np.zeros(known.size, np.int64))
    for numbers, rows, noise in pieces:
        peeled = _core.peel(layout.block, rows, noise, known, STRINGS, threads)
        which, amplitude, rest, following, end, energy, left = peeled
        at = np.nonzero(which >= 0)
        code, a = which[at].astype(np.int64), amplitude[at]
        held = rest[at[:2]] <= np.maximum(NOISY * noise[at[0]], HELD * np.abs(a))
        pairs = np.unique(code[held] * len(rows) + at[0][held]) // len(rows)
        out.counts += np.bincount(pairs, minlength=known.size)
        out.numbers.append(numbers)
        if events:
            out.sketch.append(numbers[at[0]])
            out.place.append(at[1])
            out.code.append(code)
            out.amplitude.append(a)
        more = np.nonzero(end)
        unknown, where, clean = following[more], numbers[more[0]], end[more] == CLEAN
        out.looked += unknown.size
        if tags is not None:
            kept = np.isin(layout.read(unknown)[0], tags)
            unknown, where, clean = unknown[kept], where[kept], clean[kept]
        out.unknown.append(unknown)
        out.where.append(where)
        out.clean.append(clean)
        out.left.append(left)
        out.energy.append(energy)
    return out


def true_tags(layout: Layout, codes: Codes) -> tuple[Numbers, Doubles]:
    """Tags that more payloads have than chance would give; and of each the share that chance would give.

    Notes
    -----
    A pattern that is no string repeats where the same objects overlap in the same way, thousands of times; its tag is
    random. With λ = F / 2^t of F codes to one of 2^t tags, a tag has λ + 6 √λ + 4 of them by chance with a probability
    of at most 1.1e-8, whatever λ is (Poisson, the worst at λ = 2.2): any of 2^16 with one of 7e-4.
    """
    tag, column, row, _ = layout.read(codes)
    payload = np.unique(np.stack([tag, column, row]), axis=1)  # tails differ, payloads count
    found, count = np.unique(payload[0], return_counts=True)
    chance = codes.size / 2.0**layout.tag_bits
    true = count >= chance + DEVIATIONS * np.sqrt(chance) + LEAST_PAYLOADS
    return found[true], chance / count[true]
