"""Exact search over mapped segments: a scan for candidates, and a bound that says when nothing can have been missed.

With u a stored sketch of norm one, m the mean of such, and q a query of norm one, the contrast is
<q - m, u - m> / (|q - m| |u - m|) = w (<q', u> - c), where q' = (q - m) / |q - m|, c = <q', m>, a = <u, m> and
w = 1 / |u - m| = 1 / sqrt(1 + |m|^2 - 2 a). A scan finds the largest w <x, u> for any x. With x = q' + b m a row's
contrast is its scan plus h(a) = -w (c + b a), and b is chosen so that h hardly changes over the rows: rows that are
left out have at most the smallest scan found, t, and so a contrast of at most t + max h. Where the k-th contrast found
is above that, the k best are found; otherwise more candidates are.

A sketch of zeros has no direction: its score and contrast are 0, as a row and as a query.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np

from recsketch._check import Floats
from recsketch._scan import scan
from recsketch.reading.similarity import unit
from recsketch.repository.columns import Column
from recsketch.repository.segments import Rows, Segment

if TYPE_CHECKING:
    import numpy.typing as npt

LEAST = 8  # rows from which on a mean is subtracted
SAMPLE = 4096  # rows, at most, that the mean is taken of
SPARSE = 0.25  # share of selected rows up to which they are gathered, and not all scanned
BLOCK = 1 << 21  # numbers of a block where a query is partial
SPARE = 8  # candidates more than are wanted
MANY = 1 << 26  # bytes of candidates that are put in order at a time


@dataclass
class Found:
    """(q, k) best rows of each query, the best first; -1 where there are fewer."""

    rows: Rows
    contrast: Floats
    score: Floats

    def of(self, i: int) -> list[tuple[int, float, float]]:
        """Row, contrast and score of the hits of one query."""
        found = zip(self.rows[i].tolist(), self.contrast[i].tolist(), self.score[i].tolist(), strict=True)
        return [hit for hit in found if hit[0] >= 0]


@dataclass
class _Factors:
    """Of a segment's rows, for one mean: what turns stored values into u and u into contrasts."""

    mean: Floats
    unit: Floats  # scale over norm, 0 for dead rows and zeros
    scan: Floats  # the same times w
    w: Floats
    along: Floats  # a = <u, m>
    alive: int
    low: float  # of a, over the rows that live and are not zero
    middle: float
    high: float
    zeros: bool  # whether there are others
    widest: float  # the largest of w


class Units(Protocol):
    """What has stored sketches of norm one, or zero."""

    def units(self, rows: Rows) -> npt.NDArray[np.float64]:
        """(n, d) these rows, ascending."""


def sample(total: int) -> npt.NDArray[np.intp]:
    """Which of so many rows, in the order they were added, the mean is taken of, if they are not deleted.

    At most SAMPLE that lie evenly among the first 2**j, 2**j <= total, so that the mean depends on what is stored
    alone, and seldom changes as rows are added.
    """
    first = 1 << (total.bit_length() - 1) if total else 0
    return np.arange(0, first, max(1, first // SAMPLE))


def living(column: Column) -> tuple[tuple[int, int, int], ...]:
    """Another one whenever other rows live, since rows are only ever appended, and only ever die."""
    return tuple((s.number, len(s), int(np.count_nonzero(s.alive))) for s in column.segments)


def centred(units: npt.NDArray[Any], mean: Floats) -> Floats:
    """(n, d) rows of norm one, less the mean, of norm one again; zeros, which have no direction, stay zeros."""
    return unit(np.where(units.any(axis=1, keepdims=True), units - mean, np.float32(0)))


def centre(column: Column) -> Floats | None:
    """The mean of the `sample` of stored sketches of norm one, or None where there are too few."""
    total = sum(map(len, column.segments))
    live = living(column)
    if column.kept.get("live") == live:
        known: Floats | None = column.kept["mean"]
        return known
    if column.live < LEAST:
        return None
    parts = sampled(column, sample(total))
    key = tuple((s.number, len(at), hash(at.tobytes())) for s, at in parts)
    if column.kept.get("key") != key:
        mean = mean_of(*summed(parts, column.segments[0].dim))
        column.kept.clear()
        column.kept.update(key=key, mean=mean)
    column.kept["live"] = live
    found: Floats = column.kept["mean"]
    return found


Parts: TypeAlias = "list[tuple[Segment, npt.NDArray[np.intp]]]"


def sampled(column: Column, picked: npt.NDArray[np.intp]) -> Parts:
    """Of each segment which rows live of those that are picked, by their places among all rows of the column."""
    ends = np.cumsum([0, *map(len, column.segments)])
    parts = []
    for s, begin, end in zip(column.segments, ends[:-1], ends[1:], strict=True):
        at = picked[(picked >= begin) & (picked < end)] - begin
        parts.append((s, at[s.alive[at]]))
    return parts


def summed(parts: Parts, dim: int) -> tuple[npt.NDArray[np.float64], int]:
    """(d,) sum of these rows, each of norm one, and how many they are."""
    total = np.zeros(dim)
    count = 0
    for s, at in parts:
        for some in np.array_split(at, max(1, len(at) * s.dim // BLOCK)):
            if len(some):
                total += s.units(some).sum(axis=0)
                count += len(some)
    return total, count


def mean_of(total: npt.NDArray[np.float64], count: int) -> Floats:
    """(d,) float32."""
    return np.asarray(total / max(1, count), np.float32)


def best(column: Column, queries: Floats, k: int, mean: Floats | None, chosen: Rows | None, threads: int) -> Rows:
    """(q, k) rows of largest contrast with each query, of norm one or zero, among `chosen` (ascending), or all.

    The best are first; there is -1 where there are fewer.
    """
    out = np.full((len(queries), k), -1, np.int64)
    segments = [s for s in column.segments if len(s)]
    if not segments or not len(queries):
        return out
    m = np.zeros(queries.shape[1], np.float32) if mean is None else mean
    turned = centred(queries, m)
    places = [(s, None if chosen is None else _chosen(s, chosen)) for s in segments]
    picks = [(s, _factors(column, s, m, threads), at) for s, at in places if (s.alive.any() if at is None else len(at))]
    for s, _, at in picks:
        s.verify(at)
    left, most = np.arange(len(queries)), k + SPARE
    while len(left) and picks:
        contrast, rows, bound = _candidates(picks, m, turned[left], most, threads)
        order = np.lexsort((rows, -contrast), axis=1)[:, :k]
        c, r = (np.take_along_axis(x, order, 1) for x in (contrast, rows))
        n = c.shape[1]
        out[left, :n] = np.where(np.isfinite(c), r, -1)
        kth = c[:, -1] if n == k else np.full(len(left), -np.inf)
        left = left[(kth < bound) & (bound > -np.inf)]
        most *= 4
    return out


def partial(
    column: Column, query: Floats, kept: npt.NDArray[np.bool_], k: int, mean: Floats | None, chosen: Rows | None
) -> Found:
    """The k rows of largest contrast with a query of which some coordinates are known, over these coordinates."""
    m = np.zeros(len(query), np.float32) if mean is None else mean
    known = query[kept].astype(np.float64)
    size = np.linalg.norm(known) * np.sqrt(len(kept) / max(1, kept.sum()))  # about that of the whole
    known = known / size if size else known
    centred = known - m[kept] if size else known
    parts: list[tuple[Any, Any, Any]] = []
    for s in column.segments:
        at = np.flatnonzero(s.alive) if chosen is None else _chosen(s, chosen)
        s.verify(at)
        for some in np.array_split(at, max(1, len(at) * s.dim // BLOCK)):
            if len(some):
                there = s.factors(some)[:, None]
                u = (s.values()[some].astype(np.float64) * there)[:, kept]
                parts.append((_cosine((u - m[kept]) * (there > 0), centred), _cosine(u, known), s.rows[some]))
    out = _empty(1, k)
    if parts:
        contrast, score, rows = (np.concatenate(x) for x in zip(*parts, strict=True))
        order = np.lexsort((rows, -contrast))[:k]
        n = len(order)
        out.contrast[0, :n], out.score[0, :n], out.rows[0, :n] = contrast[order], score[order], rows[order]
    return out


def ranked(column: Units, queries: Floats, rows: Rows, k: int, mean: Floats | None) -> Found:
    """The k best of the rows that `best` found, computed in float64 from bytes that are checked once more."""
    out = _empty(len(queries), k)
    m = np.zeros(queries.shape[1]) if mean is None else mean.astype(np.float64)
    picked = np.unique(rows[rows >= 0])
    step = max(1, MANY // (8 * queries.shape[1]))
    if len(picked) > step and len(queries) > 1:  # so that they fit into memory
        half = len(queries) // 2
        made = [ranked(column, queries[i], rows[i], k, mean) for i in (slice(half), slice(half, None))]
        return Found(*(np.concatenate(x) for x in zip(*((f.rows, f.contrast, f.score) for f in made), strict=True)))
    u = column.units(picked)
    along, square = u @ m, np.einsum("ij,ij->i", u, u)
    size = np.sqrt(np.maximum(square - 2 * along + m @ m, 0)) * (square > 0)
    for i, q in enumerate(queries.astype(np.float64)):
        at = np.searchsorted(picked, rows[i][rows[i] >= 0])
        score = u[at] @ q
        norm = np.linalg.norm(q - m) * size[at] * bool(q.any())
        top = score - along[at] - q @ m + m @ m
        contrast = np.clip(np.divide(top, norm, out=np.zeros(len(at)), where=norm > 1e-9), -1.0, 1.0)
        order = np.lexsort((picked[at], -contrast))[:k]
        n = len(order)
        out.contrast[i, :n], out.score[i, :n] = contrast[order], np.clip(score[order], -1.0, 1.0)
        out.rows[i, :n] = picked[at[order]]
    return out


def _empty(queries: int, k: int) -> Found:
    bad = np.full((queries, k), -np.inf, np.float32)
    return Found(np.full((queries, k), -1, np.int64), bad, bad.copy())


def _cosine(rows: npt.NDArray[np.float64], q: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    size = np.linalg.norm(rows, axis=1) * np.linalg.norm(q)
    return np.asarray(np.clip(np.divide(rows @ q, size, out=np.zeros(len(rows)), where=size > 0), -1.0, 1.0))


def _chosen(s: Segment, chosen: Rows) -> npt.NDArray[np.intp]:
    at = s.places(chosen)
    return at[s.alive[at]]


def _factors(column: Column, s: Segment, m: Floats, threads: int) -> _Factors:
    """Kept for the next search: <u, m> is a pass over the rows, and is only computed of those that are new."""
    key, alive = ("factors", s.number), int(np.count_nonzero(s.alive))
    old: _Factors | None = column.kept.get(key)
    if old is not None and not np.array_equal(old.mean, m):
        old = None
    if old is not None and len(old.w) == len(s) and old.alive == alive:
        return old
    units = s.factors().astype(np.float32)
    along = np.zeros(len(s), np.float32)
    begin = 0 if old is None else len(old.along)
    if old is not None:
        along[:begin] = old.along
    if m.any() and begin < len(s):
        s.verify()
        factor = units[begin:]
        scores, at = scan(s.values()[begin:], m, len(factor), scale=factor, threads=threads)
        along[begin + at[at >= 0]] = scores[at >= 0]
    square = 1.0 - 2.0 * along.astype(np.float64) + float(m.astype(np.float64) @ m)
    there = (units > 0) & (square > 1e-12)  # a row that is the mean itself has no contrast with anything, as zeros have
    w = np.where(there, 1 / np.sqrt(np.maximum(square, 1e-12)), 0).astype(np.float32)
    a = along[there].astype(np.float64)
    bounds = (float(a.min()), float(a.mean()), float(a.max())) if len(a) else (0.0, 0.0, 0.0)
    made = _Factors(m, units, units * w, w, along, alive, *bounds, len(a) < alive, float(w.max(initial=0.0)))
    column.kept[key] = made
    return made


def _candidates(
    picks: list[tuple[Segment, _Factors, npt.NDArray[np.intp] | None]],
    m: Floats,
    q: Floats,
    most: int,
    threads: int,
) -> tuple[Any, Any, Any]:
    """Contrasts and rows of the best of each segment, and what no other row is above."""
    parts = []
    bound = np.full(len(q), -np.inf)
    offset = q.astype(np.float64) @ m.astype(np.float64)
    for s, f, at in picks:
        values, factor, where, dead = s.values(), f.scan, None, ~s.alive
        if at is not None and len(at) <= SPARSE * len(s):
            values, factor, where = values[at], factor[at], at
        elif at is not None:
            dead = np.ones(len(s), np.bool_)
            dead[at] = False
            factor = np.where(dead, np.float32(0), factor)
        tilt, most_h = _tilt(offset, f, float(m.astype(np.float64) @ m))
        x = (q + tilt[:, None] * m).astype(np.float32)
        n = min(most, len(values))
        scores, index = scan(values, x, n, scale=factor, threads=threads)
        place = index if where is None else where[index]
        w, a = f.w[place].astype(np.float64), f.along[place]
        contrast = np.clip(scores - w * (offset[:, None] + tilt[:, None] * a), -1, 1)
        contrast = np.where((index < 0) | dead[place], -np.inf, contrast)
        parts.append((contrast, s.rows[place]))
        if n < len(values):
            size = np.linalg.norm(x, axis=1) * max(1.0, f.widest)
            slack = (q.shape[1] / 16 + 8) * 2.0**-23 * size  # twice the rounding of a scan
            others = scores[:, -1] + most_h + slack
            bound = np.maximum(bound, np.maximum(others, 0) if f.zeros else others)
    contrast, rows = (np.concatenate(x, axis=1) for x in zip(*parts, strict=True))
    return contrast, rows, bound


def _tilt(
    offset: npt.NDArray[np.float64], f: _Factors, square: float
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """b, and the largest h over the rows of a segment.

    Let r(a) = sqrt(1 + |m|^2 - 2 a) = 1 / w, and g be the value of h at the middle a. h = g - w F with
    F(a) = c + b a + g r(a). b is such that F and its slope are 0 in the middle. As r is concave, so is F for g > 0,
    and then is lowest at an end; otherwise F is nowhere below 0.
    """
    r = np.sqrt(1 + square - 2 * np.array([f.low, f.middle, f.high])).clip(1e-6)
    g = -offset * r[1] / (f.middle + r[1] ** 2)
    b = g / r[1]
    ends = [offset + b * a + g * x for a, x in ((f.low, r[0]), (f.high, r[2]))]
    lowest = np.minimum(0.0, np.minimum(*ends))
    return b, g - lowest / r[2]
