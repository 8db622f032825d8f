"""Queries of users, from the condition to the hits, within one snapshot."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

import recsketch._check as _check
import recsketch.repository.lines as lines
import recsketch.repository.search as search
import recsketch.repository.tables as tables
from recsketch._check import Floats
from recsketch.reading.similarity import unit
from recsketch.repository.approximate.index import Approximate
from recsketch.repository.columns import Column, Columns, one
from recsketch.repository.given import Runs, Sketchers, recognised
from recsketch.repository.results import Hit
from recsketch.repository.segments import Rows
from recsketch.repository.state import OBJECT, QUICK, RUN, Settings, State
from recsketch.runs.batch import TraceBatch
from recsketch.sketching.packing import PackedSketches

if TYPE_CHECKING:
    import numpy.typing as npt

Condition: TypeAlias = "tuple[str, list[Any]]"

OVER, MORE = 4, 8  # candidates by 8 bits: so many for each hit by the stored rows, and so many more


def queries(
    given: Runs, sketchers: Sketchers, dim: int, base: str, mask: npt.ArrayLike | None
) -> tuple[Floats, npt.NDArray[np.bool_] | None, bool]:
    """(q, d) sketches, what is kept of each if not all is, and whether there is one query."""
    x, single = recognised("queries", given)
    if isinstance(x, TraceBatch):
        s = np.atleast_2d(sketchers.of(base == RUN).sketch(x))
    else:
        s = _check.sketches("queries", x.unpack() if isinstance(x, PackedSketches) else x, dim)
        single, s = s.ndim == 1, np.atleast_2d(s)
    kept = _check.mask(mask, dim, len(s))
    _check.known("queries", s, kept)
    return s, None if kept is None else np.broadcast_to(kept.view(np.bool_), s.shape), single


class Finder:
    """Finds runs of one repository.

    Parameters
    ----------
    folder : str
    settings : Settings
    columns : Columns
    threads : int
    """

    def __init__(self, folder: str, settings: Settings, columns: Columns, threads: int) -> None:
        self.folder, self.settings, self.columns, self.threads = folder, settings, columns, threads
        self._approximate = Approximate(folder, settings.identity, threads)

    def runs(
        self,
        db: sqlite3.Connection,
        state: State,
        queries: Floats,
        k: int,
        condition: Condition | None,
        base: str,
        kept: npt.NDArray[np.bool_] | None = None,
        probes: int | None = None,
        centre: Callable[[Column], Floats | None] = search.centre,
    ) -> list[list[Hit]]:
        """The hits of each query, with the mean that `centre` says is to be subtracted; of all rows, or by an index of
        which so many lists are looked at."""
        main = self.columns.at(db, state, base)
        k = min(k, main.live)
        if not k:
            return [[] for _ in queries]
        mean, chosen = centre(main), selected(db, condition)
        if kept is not None:
            pairs = zip(queries, kept, strict=True)
            found = [search.partial(main, q, known, k, mean, chosen) for q, known in pairs]
            return [self._hits(db, part, 0) for part in found]
        q, quick, most, more = unit(queries), main, k, min(OVER * k + MORE, main.live)
        if base + QUICK in self.settings.kinds():
            quick, most = self.columns.at(db, state, base + QUICK), more

        def scanned(some: Floats, among: Rows | None) -> Rows:
            return search.best(quick, some, most, mean, among, self.threads)

        near = self._approximate.candidates(main, base, q, more, mean, chosen, probes) if probes else None
        if near is None:
            rough = scanned(q, chosen)
        else:
            rough = np.hstack([near.rows, scanned(q, near.rest)])
            few = (rough >= 0).sum(axis=1) < min(k, near.total)  # what was asked for is in other lists
            if few.any():
                rough[few, :more], rough[few, more:] = -1, scanned(q[few], chosen)
        best = search.ranked(main, q, rough, k, mean)
        return [self._hits(db, best, i) for i in range(len(q))]

    def related(
        self, db: sqlite3.Connection, state: State, key: str, k: int, condition: Condition | None, base: str
    ) -> list[Hit]:
        """The hits of a stored run, without itself."""
        row, _, _ = lines.of_key(db, key)
        stored = one(db, self.folder, base, row)
        if stored is None:
            raise ValueError(f"key: wanted a run that was added as a run, for by='order'; got {_check.shown(key)}")
        query = (stored[0].astype(np.float32) * stored[1]["scale"])[None]
        hits = self.runs(db, state, query, k + 1, condition, base)[0]
        return [hit for hit in hits if hit.key != key][:k]

    def objects(
        self, db: sqlite3.Connection, state: State, module: str, attribute: Floats, k: int, condition: Condition | None
    ) -> list[Hit]:
        """The runs with the best objects of a module, one hit a run."""
        kind = OBJECT + module
        column = self.columns.at(db, state, kind)
        chosen = None
        if condition is not None:
            sql, values = condition
            chosen = selected(db, (f"SELECT row FROM objects WHERE kind = ? AND run IN ({sql})", [kind, *values]))
        mean, query, most = search.centre(column), unit(attribute[None]), min(k, column.live)
        while most:
            rough = search.best(column, query, most, mean, chosen, self.threads)
            hits = self._object_hits(db, column, search.ranked(column, query, rough, most, mean))
            if len(hits) >= k or most == column.live:
                return hits[:k]
            most = min(4 * most, column.live)  # several objects of one run are one hit
        return []

    def _hits(self, db: sqlite3.Connection, found: search.Found, i: int) -> list[Hit]:
        hits = []
        for row, contrast, score in found.of(i):
            _, key, about = lines.of_row(db, row)
            hits.append(Hit(key, score, contrast, about))
        return hits

    def _object_hits(self, db: sqlite3.Connection, column: Column, found: search.Found) -> list[Hit]:
        hits: dict[int, Hit] = {}
        for row, contrast, score in found.of(0):
            line = db.execute(
                "SELECT row, kind, run, path, confidence, crc FROM objects WHERE row = ?", (row,)
            ).fetchone()
            _, _, run, path, _ = tables.checked("an object", line or (row, None))
            if run not in hits:
                _, key, about = lines.of_row(db, run)  # type: ignore[arg-type]
                place = tuple(int(p) for p in str(path).split("."))
                hits[run] = Hit(key, score, contrast, about, place)  # type: ignore[index]
        return list(hits.values())


def selected(db: sqlite3.Connection, condition: Condition | None) -> Rows | None:
    """The rows a condition holds for, ascending."""
    if condition is None:
        return None
    return tables.numbers("the index of metadata", db.execute(*condition))
