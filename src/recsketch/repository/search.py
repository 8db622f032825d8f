"""Exact search over mapped segments: a scan for candidates, and a bound that says when nothing can have been missed.

With u a stored sketch of norm one, m the mean of such, and q a query of norm one, the contrast is
<q - m, u - m> / (|q - m| |u - m|) = w (<q', u> - c), where q' = (q - m) / |q - m|, c = <q', m> and w = 1 / |u - m|.
The scan finds the largest w <q', u>. Rows it leaves out have at most the smallest of these, t, and so a contrast of at
most t + max(-c w): where the k-th contrast found is above that, the k best are found.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

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
LEAST_NORM = 1e-30  # a sketch below is taken for zero
BLOCK = 1 << 21  # numbers of a block where a query is partial
SPARE = 8  # candidates more than are wanted


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

    unit: Floats  # scale over norm, 0 for dead rows and zeros
    scan: Floats  # the same times w
    w: Floats
    along: Floats  # <u, m>
    alive: int
    low: float
    high: float


def centre(column: Column) -> Floats | None:
    """The mean of stored sketches of norm one, or None where there are too few.

    It is taken of at most SAMPLE rows that lie evenly among the first 2**j of the n rows, 2**j <= n, so that it depends
    on what is stored alone, and seldom changes as rows are added.
    """
    total = sum(map(len, column.segments))
    if column.live < LEAST:
        return None
    first = 1 << (total.bit_length() - 1)
    picked = np.arange(0, first, max(1, first // SAMPLE))
    ends = np.cumsum([0, *map(len, column.segments)])
    parts = []
    for s, begin, end in zip(column.segments, ends[:-1], ends[1:], strict=True):
        at = picked[(picked >= begin) & (picked < end)] - begin
        parts.append((s, at[s.alive[at]]))
    key = tuple((s.number, len(at), hash(at.tobytes())) for s, at in parts)
    if column.kept.get("key") != key:
        mean = np.zeros(column.segments[0].dim)
        count = 0
        for s, at in parts:
            for some in np.array_split(at, max(1, len(at) * s.dim // BLOCK)):
                if len(some):
                    mean += unit(s.take(some)).sum(axis=0, dtype=np.float64)
                    count += len(some)
        column.kept.clear()
        column.kept.update(key=key, mean=(mean / max(1, count)).astype(np.float32))
    found: Floats = column.kept["mean"]
    return found


def best(column: Column, queries: Floats, k: int, mean: Floats | None, chosen: Rows | None, threads: int) -> Found:
    """The k rows of largest contrast with each query, of norm one or zero, among `chosen` (ascending), or all."""
    out = _empty(len(queries), k)
    segments = [s for s in column.segments if len(s)]
    if not segments or not len(queries):
        return out
    m = np.zeros(queries.shape[1], np.float32) if mean is None else mean
    moved = queries - m
    length = np.linalg.norm(moved.astype(np.float64), axis=1)
    turned = unit(moved)
    offset = turned.astype(np.float64) @ m.astype(np.float64)
    picks = [(s, _factors(column, s, m, threads), None if chosen is None else _chosen(s, chosen)) for s in segments]
    picks = [p for p in picks if p[1].alive and (p[2] is None or len(p[2]))]
    for s, _, at in picks:
        s.verify(at)
    left = np.arange(len(queries))
    most = k + SPARE
    while len(left) and picks:
        contrast, score, rows, bound = _candidates(picks, turned[left], offset[left], length[left], most, threads)
        order = np.lexsort((rows, -contrast), axis=1)[:, :k]
        c, s_, r = (np.take_along_axis(x, order, 1) for x in (contrast, score, rows))
        r = np.where(np.isfinite(c), r, -1)
        n = c.shape[1]
        out.contrast[left, :n], out.score[left, :n], out.rows[left, :n] = c, s_, r
        kth = c[:, -1] if n == k else np.full(len(left), -np.inf)
        left = left[~((kth >= bound) | (bound == -np.inf))]
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
    centred = known - m[kept]
    parts: list[tuple[Any, Any, Any]] = []
    for s in column.segments:
        at = np.flatnonzero(s.alive) if chosen is None else _chosen(s, chosen)
        s.verify(at)
        for some in np.array_split(at, max(1, len(at) * s.dim // BLOCK)):
            if len(some):
                u = (s.values()[some].astype(np.float32) * _units(s)[some, None])[:, kept].astype(np.float64)
                parts.append((_cosine(u - m[kept], centred), _cosine(u, known), s.rows[some]))
    out = _empty(1, k)
    if parts:
        contrast, score, rows = (np.concatenate(x) for x in zip(*parts, strict=True))
        order = np.lexsort((rows, -contrast))[:k]
        n = len(order)
        out.contrast[0, :n], out.score[0, :n], out.rows[0, :n] = contrast[order], score[order], rows[order]
    return out


def ranked(column: Column, queries: Floats, found: Found, k: int, mean: Floats | None) -> Found:
    """The k best of what was found in another form of the same rows, by this form."""
    out = _empty(len(queries), k)
    m = np.zeros(queries.shape[1]) if mean is None else mean.astype(np.float64)
    for i, q in enumerate(queries.astype(np.float64)):
        rows = np.sort(found.rows[i][found.rows[i] >= 0])
        if not len(rows):
            continue
        u = unit(column.take(rows)).astype(np.float64)
        contrast, score = _cosine(u - m, q - m), _cosine(u, q)
        order = np.lexsort((rows, -contrast))[:k]
        n = len(order)
        out.contrast[i, :n], out.score[i, :n], out.rows[i, :n] = contrast[order], score[order], rows[order]
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


def _units(s: Segment) -> Floats:
    """What stored values are multiplied by to have norm one: 0 for dead rows and zeros."""
    norm = s.records["norm"].astype(np.float64)
    good = s.alive & (norm > LEAST_NORM)
    return np.where(good, s.records["scale"] / np.where(good, norm, 1), 0).astype(np.float32)


def _factors(column: Column, s: Segment, m: Floats, threads: int) -> _Factors:
    """Kept for the next search: <u, m> is a pass over the rows, and is only computed of those that are new."""
    key, alive = ("factors", s.number), int(s.alive.sum())
    old: _Factors | None = column.kept.get(key)
    if old is not None and len(old.w) == len(s) and old.alive == alive:
        return old
    units = _units(s)
    along = np.zeros(len(s), np.float32)
    begin = 0 if old is None else len(old.along)
    if old is not None:
        along[:begin] = old.along
    if m.any() and begin < len(s):
        s.verify()
        factor = units[begin:]
        scores, at = scan(s.values()[begin:], m, len(factor), scale=factor, threads=threads)
        along[begin + at[at >= 0]] = scores[at >= 0]
    square = (units > 0) - 2.0 * along.astype(np.float64) * (units > 0) + float(m.astype(np.float64) @ m)
    # A row that is the mean itself has no contrast with anything.
    w = np.where(square > 1e-12, 1 / np.sqrt(np.maximum(square, 1e-12)), 0).astype(np.float32)
    live = w[s.alive] if alive else w
    made = _Factors(units, units * w, w, along, alive, float(live.min(initial=1)), float(live.max(initial=0)))
    column.kept[key] = made
    return made


def _candidates(
    picks: list[tuple[Segment, _Factors, npt.NDArray[np.intp] | None]],
    q: Floats,
    offset: npt.NDArray[np.float64],
    length: npt.NDArray[np.float64],
    most: int,
    threads: int,
) -> tuple[Any, Any, Any, Any]:
    """Contrasts, scores and rows of the best of each segment, and what no other row is above."""
    parts = []
    bound = np.full(len(q), -np.inf)
    for s, f, at in picks:
        values, factor, where, dead = s.values(), f.scan, None, ~s.alive
        if at is not None and len(at) <= SPARSE * len(s):
            values, factor, where = values[at], factor[at], at
        elif at is not None:
            dead = np.ones(len(s), np.bool_)
            dead[at] = False
            factor = np.where(dead, np.float32(0), factor)
        n = min(most, len(values))
        scores, index = scan(values, q, n, scale=factor, threads=threads)
        place = index if where is None else where[index]
        contrast = scores - offset[:, None] * f.w[place]
        contrast = np.where((index < 0) | dead[place], -np.inf, np.clip(contrast, -1, 1))
        w = np.where(f.w[place] > 0, f.w[place], 1)
        plain = np.where(f.w[place] > 0, scores / w, offset[:, None])  # a row without w is the mean
        score = np.clip(length[:, None] * plain + f.along[place], -1, 1)
        parts.append((contrast, score, s.rows[place]))
        if n < len(values):
            slack = (q.shape[1] / 16 + 8) * 2.0**-23 * max(1.0, f.high)  # twice the rounding of a scan
            bound = np.maximum(bound, scores[:, -1] + slack - np.minimum(offset * f.low, offset * f.high))
    contrast, score, rows = (np.concatenate(x, axis=1) for x in zip(*parts, strict=True))
    return contrast, score, rows, bound
