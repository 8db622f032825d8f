"""Search in PostgreSQL: candidates by pgvector, and a bound that says when nothing can have been missed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

import recsketch.repository.postgres.tables as tables
import recsketch.repository.search as search
from recsketch._check import Floats
from recsketch.reading.similarity import unit
from recsketch.repository.finding import Condition
from recsketch.repository.results import Hit
from recsketch.repository.segments import Rows

if TYPE_CHECKING:
    import numpy.typing as npt

ROUNDING = 2.0**-22  # of a contrast in float32, and of q' and the mean in it

# `upper` is what a row's contrast cannot be above, whatever the rounding of pgvector, which multiplies and adds in
# float32: (<q', u> - c) / |u - m| as in search.py, its top and |u - m|^2 moved by what they can be off. OFFSET 0 keeps
# PostgreSQL from computing a product once for every mention of it.
BOUNDS = """
SELECT place, values, factor, upper FROM (
    SELECT place, values, factor, CASE
        WHEN factor = 0 THEN 0
        WHEN moved + %s < 1e-9 THEN 1
        WHEN top < 0 THEN top / sqrt(moved + %s)
        ELSE top / sqrt(moved + %s) END AS upper
    FROM (
        SELECT place, values, factor,
            %s - factor * ({values} <#> %s::vector) AS top, 2 * factor * ({values} <#> %s::vector) AS moved
        FROM {table} {where} OFFSET 0
    ) AS products
) AS bounds
"""


class _Mean(NamedTuple):
    """What a mean was computed of, and when."""

    state: tuple[int, ...]  # rows that are picked, the last of them, and sketches that were deleted
    places: Rows
    mean: Floats


class _Fetched(NamedTuple):
    """Rows that were fetched."""

    places: Rows
    unit: npt.NDArray[np.float64]  # of norm one or zero
    upper: npt.NDArray[np.float64]  # what contrasts are not above

    def units(self, rows: Rows) -> npt.NDArray[np.float64]:
        """As `search.ranked` asks for them."""
        order = np.argsort(self.places)
        return np.asarray(self.unit[order[np.searchsorted(self.places, rows, sorter=order)]])


class PostgresFinder:
    """Finds runs of one repository.

    Parameters
    ----------
    dim : int
    dtype : str
    """

    def __init__(self, dim: int, dtype: str) -> None:
        self._dim, self._dtype = dim, dtype
        self._means: dict[str, _Mean] = {}

    def runs(self, db: Any, queries: Floats, k: int, condition: Condition | None, kind: str) -> list[list[Hit]]:
        """The hits of each query."""
        n = min(k, tables.counts(db, kind).live)
        if not n:
            return [[] for _ in queries]
        mean = self._mean(db, kind)
        return [self._hits(db, kind, self._best(db, kind, q, n, mean, condition)) for q in unit(queries)]

    def _mean(self, db: Any, kind: str) -> Floats | None:
        """That of `search.centre`, kept until a sketch that it is taken of is deleted, or others are to be."""
        places, live = tables.counts(db, kind)
        if live < search.LEAST:
            return None
        picked = search.sample(places)
        state, known = (len(picked), int(picked[-1]), places - live), self._means.get(kind)
        if known is None or known.state != state:
            table = tables.TABLES[kind]
            sql = f"SELECT place FROM {table} WHERE place = ANY(%s) ORDER BY place"
            alive = np.array([place for (place,) in db.execute(sql, (picked.tolist(),)).fetchall()], np.int64)
            if known is None or not np.array_equal(known.places, alive):
                total = np.zeros(self._dim)
                for some in np.array_split(alive, max(1, len(alive) * self._dim // search.BLOCK)):
                    sql = f"SELECT place, values, factor, 0 FROM {table} WHERE place = ANY(%s) ORDER BY place"
                    total += self._fetched(db.execute(sql, (some.tolist(),), binary=True).fetchall()).unit.sum(axis=0)
                mean = search.mean_of(total, len(alive))
            else:
                mean = known.mean
            known = self._means[kind] = _Mean(state, alive, mean)
        return known.mean

    def _fetched(self, lines: Sequence[tuple[Any, ...]]) -> _Fetched:
        places, values, factor, upper = zip(*lines, strict=True) if lines else ((), (), (), ())
        x = tables.array(values, self._dtype).astype(np.float64).reshape(len(lines), self._dim)
        return _Fetched(np.array(places, np.int64), x * np.array(factor)[:, None], np.array(upper, np.float64))

    def _best(
        self, db: Any, kind: str, query: Floats, k: int, mean: Floats | None, condition: Condition | None
    ) -> search.Found:
        """The k rows of largest contrast with a query of norm one or zero."""
        sql, values = self._bounds(kind, query, mean, condition)
        wanted = k + search.SPARE
        first = f"{sql} ORDER BY upper DESC, place LIMIT %s"
        fetched = self._fetched(db.execute(first, [*values, wanted], binary=True).fetchall())
        best = self._ranked(fetched, query, k, mean)
        least = float(best.contrast[0, -1]) - ROUNDING
        if len(fetched.places) < wanted or least >= fetched.upper[-1]:
            return best
        return self._ranked_in_blocks(db, f"{sql} WHERE upper >= %s", [*values, least], query, k, mean)

    def _bounds(
        self, kind: str, query: Floats, mean: Floats | None, condition: Condition | None
    ) -> tuple[str, list[Any]]:
        """BOUNDS for a query, and its parameters."""
        m = np.zeros_like(query) if mean is None else mean
        turned = unit((query - m)[None])[0] if query.any() else np.zeros_like(query)
        # A sum of d products in float32, in any order, is off by at most d 2^-24 of the product of both norms.
        slack = 1.01 * len(query) * 2.0**-24 + ROUNDING if turned.any() else 0.0
        offset, square = (float(x.astype(np.float64) @ m.astype(np.float64)) for x in (turned, m))
        selection, values = condition or ("", [])
        where = f"WHERE run IN ({selection})" if selection else ""
        column = "values" if self._dtype == "float32" else "values::vector"
        sql = BOUNDS.format(table=tables.TABLES[kind], values=column, where=where)
        least, most = 1 + square - 2 * slack, 1 + square + 2 * slack
        return sql, [least, most, least, slack - offset, tables.text(turned), tables.text(m), *values]

    def _ranked(self, fetched: _Fetched, query: Floats, k: int, mean: Floats | None) -> search.Found:
        return search.ranked(fetched, query[None], fetched.places[None], k, mean)

    def _ranked_in_blocks(
        self, db: Any, sql: str, values: list[Any], query: Floats, k: int, mean: Floats | None
    ) -> search.Found:
        """The k best of what a query of BOUNDS gives, which may be many rows."""
        best = self._ranked(self._fetched([]), query, k, mean)
        with db.cursor("candidates", binary=True) as cursor:
            cursor.execute(sql, values)
            while lines := cursor.fetchmany(max(k, search.MANY // (8 * self._dim))):
                best = _merged(best, self._ranked(self._fetched(lines), query, k, mean))
        return best

    def _hits(self, db: Any, kind: str, found: search.Found) -> list[Hit]:
        best = found.of(0)
        sql = f"SELECT place, key, metadata FROM {tables.TABLES[kind]} JOIN runs USING (run) WHERE place = ANY(%s)"
        about = {place: line for place, *line in db.execute(sql, ([place for place, _, _ in best],)).fetchall()}
        return [Hit(about[place][0], score, contrast, json.loads(about[place][1])) for place, contrast, score in best]


def _merged(a: search.Found, b: search.Found) -> search.Found:
    """The best of both, as many as each has."""
    both: list[Any] = [np.concatenate(x, axis=1) for x in zip(_parts(a), _parts(b), strict=True)]
    order = np.lexsort((both[0], -both[1]), axis=1)[:, : a.rows.shape[1]]
    return search.Found(*(np.take_along_axis(x, order, 1) for x in both))


def _parts(found: search.Found) -> tuple[Any, Any, Any]:
    return found.rows, found.contrast, found.score
