"""Which runs are alike: for each the few of largest contrast, kept as runs come and go.

With u a stored sketch of norm one and m a mean of such, y = (u - m) / |u - m|, and contrast is <y, y'>, computed in
float32. A run that is new is compared with all runs, and takes its place among the nearest of those to which it is
nearer than what they have. A run of whose nearest one was deleted is compared with all runs anew. So the nearest are
always those that a search would find with the same mean.

The mean is that of `search.centre` when links were last made anew: when the number of rows has doubled since, links are
made anew with the mean that is then.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

import recsketch.repository.graph.edges as edges
import recsketch.repository.search as search
import recsketch.repository.tables as tables
from recsketch._check import Floats
from recsketch.reading.similarity import unit
from recsketch.repository.columns import Column
from recsketch.repository.errors import RepositoryDamaged
from recsketch.repository.graph.edges import NEAR, NEAREST
from recsketch.repository.segments import Rows

if TYPE_CHECKING:
    import numpy.typing as npt

MANY = 1 << 22  # numbers of rows, or of contrasts, at a time: 16 MiB
TOGETHER = 4096  # runs that are linked, and stored, in one transaction


class Centre(NamedTuple):
    """What links are made with: the mean, and among how many rows it was looked for."""

    rows: int
    mean: Floats


class Links:
    """The nearest of each run.

    Attributes
    ----------
    rows : (n,) int64
        Runs, ascending.
    near : (n, NEAREST) int64
        Rows of the nearest, the nearest first, -1 where there are fewer.
    contrast, score : (n, NEAREST) float32
        -inf where there are fewer.
    due : (m,) int64
        Places in `rows` of runs whose nearest are not known.
    """

    def __init__(self, column: Column, centre: Centre, known: edges.Edges) -> None:
        self._column, self.centre = column, centre
        parts = [s.rows[s.alive] for s in column.segments]
        self.rows: Rows = np.concatenate([np.zeros(0, np.int64), *parts])
        self.near = np.full((len(self.rows), NEAREST), -1, np.int64)
        self.contrast = np.full(self.near.shape, -np.inf, np.float32)
        self.score = self.contrast.copy()
        self.due = self._take(known)

    def _take(self, known: edges.Edges) -> npt.NDArray[np.intp]:
        """Fill in what is known, and say what is not."""
        if not np.isin(known.lines, self.rows).all():
            raise RepositoryDamaged(f"{tables.NAME}: wanted links of runs that are there; got others")
        counts = np.bincount(np.searchsorted(known.lines, known.of), minlength=len(known.lines))
        if len(counts) and counts.max() > NEAREST:
            raise RepositoryDamaged(f"{tables.NAME}: wanted {NEAREST} links of a run at most; got {counts.max()}")
        at = np.searchsorted(self.rows, known.of)
        place = np.arange(len(known.of)) - np.repeat(np.cumsum(counts) - counts, counts)
        for mine, name in ((self.near, "run"), (self.contrast, "contrast"), (self.score, "score")):
            mine[at, place] = known.edges[name]
        due = np.ones(len(self.rows), np.bool_)
        due[np.searchsorted(self.rows, known.lines)] = False
        due[at[~np.isin(known.edges["run"], self.rows)]] = True  # one of its nearest was deleted
        self.contrast[due], self.near[due], self.score[due] = -np.inf, -1, -np.inf
        return np.flatnonzero(due)

    def find(self, due: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
        """Link some that are due with all runs, and all others with them; the places of those that have new links."""
        size, along = np.zeros(len(self.rows), np.float32), np.zeros(len(self.rows), np.float32)
        asked = np.concatenate([self._centred(part)[0] for part in np.array_split(due, _pieces(due, self.centre.mean))])
        settled = np.ones(len(self.rows), np.bool_)
        settled[self.due] = False
        changed = [due]
        for part in np.array_split(np.arange(len(self.rows)), _pieces(self.rows, self.centre.mean)):
            others, size[part], along[part] = self._centred(part)
            for some in np.array_split(np.arange(len(due)), max(1, len(due) * len(part) // MANY)):
                contrast = asked[some] @ others.T
                contrast[due[some][:, None] == part] = -np.inf  # of a run with itself
                self._merge(due[some], part, contrast)
                old = settled[part]
                changed.append(self._merge(part[old], due[some], contrast.T[old]))
        self.due = np.setdiff1d(self.due, due)
        places = np.unique(np.concatenate(changed))
        self._score(places, size, along)
        return places

    def _centred(self, places: npt.NDArray[np.intp]) -> tuple[Floats, Floats, Floats]:
        """y, |u - m| and <u, m> of runs, by their places."""
        rows, parts = self.rows[places], []
        for s in self._column.segments:
            at = s.places(rows)
            s.verify(at)
            parts.append(s.values()[at].astype(np.float32) * s.factors(at).astype(np.float32)[:, None])
        u = np.concatenate(parts)
        moved = (u - self.centre.mean) * u.any(axis=1, keepdims=True)
        size = np.linalg.norm(moved, axis=1)
        y = np.where(size[:, None] > 1e-6, unit(moved), np.float32(0))  # one that is the mean has no contrast
        return y, size, u @ self.centre.mean

    def _merge(
        self, places: npt.NDArray[np.intp], others: npt.NDArray[np.intp], contrast: Floats
    ) -> npt.NDArray[np.intp]:
        """Put `others` among the nearest of `places` where contrast (places, others) says so; where it did."""
        hit = np.flatnonzero((contrast > self.contrast[places, -1:]).any(axis=1))
        if not len(hit):
            return hit
        contrast, at = contrast[hit], places[hit]
        if len(others) > NEAREST:
            best = np.argpartition(-contrast, NEAREST - 1, axis=1)[:, :NEAREST]
            contrast, rows = np.take_along_axis(contrast, best, 1), self.rows[others[best]]
        else:
            rows = np.broadcast_to(self.rows[others], contrast.shape)
        again = (rows[:, :, None] == self.near[at][:, None]).any(axis=2)
        contrast = np.concatenate([self.contrast[at], np.where(again, -np.inf, contrast)], axis=1)
        rows = np.concatenate([self.near[at], rows], axis=1)
        rows = np.where(contrast > -np.inf, rows, -1)
        order = np.lexsort((rows, -contrast), axis=1)[:, :NEAREST]
        self.contrast[at], self.near[at] = (np.take_along_axis(x, order, 1) for x in (contrast, rows))
        return at

    def _score(self, places: npt.NDArray[np.intp], size: Floats, along: Floats) -> None:
        """Cosines of the nearest: <u, v> = c |u - m| |v - m| + <u, m> + <v, m> - |m|^2."""
        there = self.near[places] >= 0
        other = np.where(there, np.searchsorted(self.rows, self.near[places]), 0)
        square = float(self.centre.mean.astype(np.float64) @ self.centre.mean)
        i = places[:, None]
        score = self.contrast[places] * size[i] * size[other] + along[i] + along[other] - np.float32(square)
        score = np.where((size[i] > 0) & (size[other] > 0), np.clip(score, -1, 1), 0)
        self.score[places] = np.where(there, score, -np.inf)
        self.contrast[places] = np.where(there, np.clip(self.contrast[places], -1, 1), -np.inf)

    def lines(self, places: npt.NDArray[np.intp]) -> Iterator[tuple[int, bytes]]:
        """Lines of the table `near`."""
        for i in places.tolist():
            n = int((self.near[i] >= 0).sum())
            line = np.zeros(n, NEAR)
            line["run"], line["contrast"], line["score"] = self.near[i, :n], self.contrast[i, :n], self.score[i, :n]
            yield int(self.rows[i]), line.tobytes()


def _pieces(rows: npt.NDArray[Any], mean: Floats) -> int:
    return max(1, len(rows) * len(mean) // MANY)


def links(db: sqlite3.Connection, column: Column, dim: int) -> tuple[Links, bool]:
    """What the index knows of the nearest of all runs, and whether that is to be forgotten, and is not in it."""
    total, few = sum(map(len, column.segments)), column.live < search.LEAST
    rows = 0 if few or not total else 1 << (total.bit_length() - 1)
    known = read_centre(db)
    if known is not None and known.rows == rows:
        return Links(column, known, edges.read(db, "near")), False
    mean = search.centre(column)
    nothing = edges.Edges(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, NEAR))
    return Links(column, Centre(rows, np.zeros(dim, np.float32) if mean is None else mean), nothing), True


def read_centre(db: sqlite3.Connection) -> Centre | None:
    """The mean that links were made with, if there are any."""
    lines = db.execute("SELECT rows, mean, crc FROM centre").fetchall()
    if not lines:
        return None
    rows, blob, crc = lines[0]
    tables.checked("the mean of links", (rows, bytes(blob), crc))
    return Centre(rows, np.frombuffer(blob, "<f4"))
