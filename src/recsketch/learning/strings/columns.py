"""Columns of embeddings from sketches alone: passes over them until no code is added, then what is certain of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from recsketch.learning.strings.counting import Found, look, true_tags
from recsketch.learning.strings.layout import Layout

if TYPE_CHECKING:
    import numpy.typing as npt

    from recsketch.learning.strings.sources import Source

    Codes: TypeAlias = npt.NDArray[np.uint64]
    Numbers: TypeAlias = npt.NDArray[np.int64]
    Doubles: TypeAlias = npt.NDArray[np.float64]

SAMPLE = 20_000  # sketches that codes are looked for in, at most
SAMPLED = 1 << 27  # and numbers of these
ROUNDS = 6  # passes over the sample
PASSES = 3  # over all sketches, where there are more
CERTAIN = 2  # sketches of which a string explains a block
GROUPS = 0.05  # of columns that have as many blocks, so that all have
MOST_BLOCKS = 8  # of a column
RARE = 0.05  # of the median of its module's sketches: a column that is in fewer is doubtful if there are
FALSE = 1e-4  # other candidates to a tag
RIVAL = 0.25  # of a string's sketches: another one of its column and stratum that has as many leaves it doubtful


@dataclass(frozen=True)
class Strings:
    """Codes that are strings, ascending, and what they say."""

    layout: Layout
    codes: Codes
    tag: Numbers
    column: Numbers
    row: Numbers
    sign: Doubles
    counts: Numbers  # sketches of which each explains a block
    chance: dict[int, float]  # of a tag the share of its payloads that chance would give
    false: float  # candidates that were no strings, to a tag
    found: Found  # the events of the sample
    unexplained: float
    looked: int  # places in all sketches where a code was read and was not known


def find_strings(source: Source, layout: Layout, threads: int) -> Strings:
    """All strings that `APPEARANCES` sketches have."""
    most = min(SAMPLE, max(1, SAMPLED // layout.dim))
    sample = source.sample(most)
    known, tags = np.zeros(0, np.uint64), np.zeros(0, np.int64)
    chance: dict[int, float] = {}
    others = 0
    for _ in range(ROUNDS):
        found = look(sample.pieces(), layout, known, threads)
        codes, clean = found.candidates()
        for some in (codes[clean], codes):  # clean ones first: a pattern that repeats and is no string seldom is
            for tag, share in zip(*true_tags(layout, some), strict=True):
                chance[int(tag)] = min(float(share), chance.get(int(tag), 1.0))
        tags = np.array(sorted(chance), np.int64)
        added = codes[np.isin(layout.read(codes)[0], tags)]
        others = max(others, codes.size - added.size)
        if not added.size:
            break
        known = np.sort(np.concatenate([known, added]))
    whole = found
    for _ in range(PASSES if sample is not source and known.size else 0):
        whole = look(source.pieces(), layout, known, threads, tags, events=False)
        added = whole.candidates()[0]
        if not added.size:
            break
        known = np.sort(np.concatenate([known, added]))
    if known.size != whole.counts.size:  # the last pass or round has added some
        whole = look(source.pieces(), layout, known, threads, tags, events=sample is source)
    if sample is source:
        found = whole
    elif found.counts.size != known.size:
        found = look(sample.pieces(), layout, known, threads, tags)
    tag, column, row, sign = layout.read(known)
    false = others / 2.0**layout.tag_bits
    return Strings(
        layout,
        known,
        tag,
        column,
        row,
        sign,
        whole.counts,
        chance,
        false,
        found,
        whole.unexplained,
        whole.looked,
    )


@dataclass(frozen=True)
class Column:
    """A column of a module's embedding: the numbers of its strings, one in each stratum, and how sure it is."""

    index: int
    strings: tuple[int, ...]
    confidence: float


def assemble(strings: Strings) -> tuple[int, dict[int, list[Column]], list[tuple[int, int]]]:
    """(blocks of a column, columns by tag, (tag, column) of what is doubtful).

    A column has one block in each of r strata of rows, floor(t places / r) up to floor((t + 1) places / r). r is the
    largest number of blocks that a twentieth of all columns have. What has fewer, or two of one stratum of which
    neither is rare, is doubtful. So is a column that is much rarer than others of its module where some candidates were
    no strings, one of which may have the module's tag.
    """
    places, groups = strings.layout.places, _groups(strings)
    sizes = np.bincount([min(len(g), MOST_BLOCKS) for g in groups.values()], minlength=MOST_BLOCKS + 1)
    enough = max(2.0, GROUPS * len(groups))
    blocks = max((n for n in range(1, MOST_BLOCKS + 1) if sizes[n:].sum() >= enough), default=1)
    counts: dict[int, list[int]] = {}
    for (tag, _), members in groups.items():
        counts.setdefault(tag, []).append(int(strings.counts[members[0]]))
    columns: dict[int, list[Column]] = {}
    doubtful: list[tuple[int, int]] = []
    for (tag, index), members in sorted(groups.items()):
        strata: dict[int, list[int]] = {}
        for q in members:  # those of most sketches first
            strata.setdefault(((int(strings.row[q]) + 1) * blocks - 1) // places, []).append(q)
        rivals = [strings.counts[v[1]] > RIVAL * strings.counts[v[0]] for v in strata.values() if len(v) > 1]
        own = tuple(strata[t][0] for t in sorted(strata))
        rare = strings.counts[list(own)].min() < RARE * np.median(counts[tag])
        if len(strata) != blocks or any(rivals) or (rare and strings.false > FALSE):
            doubtful.append((tag, index))
        else:
            columns.setdefault(tag, []).append(Column(index, own, _confidence(strings, tag, own)))
    return blocks, columns, doubtful


def _groups(strings: Strings) -> dict[tuple[int, int], list[int]]:
    """Of (tag, column) its certain strings, those of most sketches first; of one row the one of most sketches."""
    groups: dict[tuple[int, int], list[int]] = {}
    for q in np.lexsort((strings.codes, -strings.counts)):
        if strings.counts[q] < CERTAIN:
            break
        group = groups.setdefault((int(strings.tag[q]), int(strings.column[q])), [])
        if all(strings.row[q] != strings.row[p] for p in group):  # tails may differ, of which one is right
            group.append(int(q))
    return groups


def _confidence(strings: Strings, tag: int, own: tuple[int, ...]) -> float:
    """That none of the strings is one by chance, nor the tag.

    A code that is read where strings overlap is as good as random. It has one of 2^code_bits values, so that one of
    `looked` comes back `counts` times with a probability of Poisson's distribution.
    """
    rate = strings.looked / 2.0**strings.layout.code_bits
    sure = 1.0 - strings.chance[tag]
    for q in own:
        sure *= 1.0 - _at_least(int(strings.counts[q]), rate)
    return max(sure, 0.0)


def _at_least(count: int, rate: float) -> float:
    """P[X >= count] of Poisson's distribution of a small rate: its first term, and a geometric bound of the others."""
    if rate <= 0.0:
        return 0.0
    first = math.exp(count * math.log(rate) - math.lgamma(count + 1) - rate)
    return min(1.0, first / max(1.0 - rate / (count + 1), 1e-9))
