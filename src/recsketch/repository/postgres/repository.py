"""Runs under keys in a PostgreSQL database with pgvector: kept and found as in a SketchRepository."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np

import recsketch._check as _check
import recsketch.repository.conditions as conditions
import recsketch.repository.given as given
import recsketch.repository.postgres.tables as tables
from recsketch.repository.conditions import Metadata
from recsketch.repository.finding import queries as queries_of
from recsketch.repository.given import Runs, Sketchers, Sketches
from recsketch.repository.postgres.finding import PostgresFinder
from recsketch.repository.postgres.tables import Database
from recsketch.repository.results import Hit, StoredRun
from recsketch.repository.search import MANY
from recsketch.repository.segments import Rows
from recsketch.repository.state import ORDER, RUN
from recsketch.repository.writing import stored
from recsketch.sketching.packing import PackedSketches
from recsketch.sketching.spec import SketchSpec

Made = TypeVar("Made")


class PostgresRepository:
    """Runs under keys in a PostgreSQL database with pgvector: kept and found as in a `SketchRepository`.

    Made by `open`, and best used in a ``with`` statement. Needs psycopg: ``pip install 'recsketch[pg]'``.

    Notes
    -----
    For the same runs, added in the same order, `search` has the hits of a SketchRepository from which as many were
    deleted and that was not compacted. What `add` and `delete` have done when they return is one transaction that was
    committed; where the connection is lost before, `in` of a new one tells which it was. Any number of processes may
    read and write: those who write wait for each other, and each call sees one state. What PostgreSQL does not do by
    itself is not done: rows have no checksums but those of its pages, and what was deleted is in its files until
    ``VACUUM`` and later writes have overwritten it.

    One object may be used from many threads, which wait for each other, but not in a child after a fork.

    Examples
    --------
    >>> import recsketch as rs
    >>> with rs.PostgresRepository.open("postgresql://db.example/runs", mode="a") as pages:  # doctest: +SKIP
    ...     keys = pages.add(runs)
    ...     hits = pages.search(runs[0], k=3, where={"year": {">": 2000}})
    """

    def __init__(
        self, dsn: str, schema: str, mode: str, spec: SketchSpec | None, dtype: str | None, threads: int | None
    ) -> None:
        """Private: use `open`."""
        self.schema, self.mode = schema, mode
        self._guard = threading.RLock()
        self._process = os.getpid()
        self._database = Database(dsn, schema, mode, spec, dtype)
        self._sketchers = Sketchers(self.spec, threads)
        self._finder = PostgresFinder(self.spec.dim, self.dtype)

    # ------------------------------------------------------------ opening and closing

    @classmethod
    def open(
        cls,
        dsn: str,
        spec: SketchSpec | None = None,
        mode: str = "r",
        *,
        schema: str = "recsketch",
        dtype: str | None = None,
        threads: int | None = None,
    ) -> PostgresRepository:
        """Open a repository in a database, or make one.

        Parameters
        ----------
        dsn : str
            Where the database is, as psycopg takes it: ``"postgresql://user@host/database"`` or
            ``"host=... dbname=..."``.
        spec : SketchSpec, optional
            Needed to make one; otherwise, if given, it must be the repository's. At most 16,000 numbers a sketch.
        mode : {"r", "a"}
            "r" reads. "a" writes as well, and makes the repository if there is none, for which the user needs to be
            allowed to make a schema and, if it is not there, the extension ``vector``.
        schema : str
            The schema that its tables are in, of 1 to 63 bytes. Another one is another repository.
        dtype : {"float32", "float16"}, optional
            How a new repository stores sketches, as pgvector's ``vector`` or ``halfvec``; float32 if not given. If
            given of one that is there, it must be the repository's.
        threads : int, optional
            As of Sketcher.

        Returns
        -------
        PostgresRepository

        Raises
        ------
        ImportError
            psycopg is not installed.
        FileNotFoundError
            Nothing is there to read.
        ValueError, TypeError
            The specification or type is another one, which the message names; a new repository without specification,
            or of one with more than 16,000 numbers; a database whose encoding is not UTF8.
        psycopg.Error
            The server cannot be reached, or does not allow it.

        Warns
        -----
        RepositoryWarning
            The server does not sync its files (``fsync=off``).
        """
        for name, value, most in (("dsn", dsn, 1 << 16), ("schema", schema, 63)):
            if not 0 < len(conditions.text(name, value).encode()) <= most:
                raise ValueError(f"{name}: wanted a text of 1 to {most} bytes; got {_check.describe(value)}")
        _check.choice("mode", mode, ("r", "a"))
        if spec is not None and not isinstance(spec, SketchSpec):
            raise TypeError(f"spec: wanted a SketchSpec; got {_check.describe(spec)}")
        if dtype is not None:
            _check.choice("dtype", dtype, tables.TYPES)
        return cls(dsn, schema, mode, spec, dtype, None if threads is None else _check.threads(threads))

    def close(self) -> None:
        """Close the connection; closing twice does nothing."""
        with self._guard:
            if self._process == os.getpid():
                self._database.close()

    def __enter__(self) -> PostgresRepository:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self._database.closed else f"mode {self.mode!r}"
        return f"<PostgresRepository {_check.shown(self.schema)}, {state}>"

    @property
    def spec(self) -> SketchSpec:
        """Of all sketches."""
        return self._database.spec

    @property
    def dtype(self) -> str:
        """How sketches are stored."""
        return self._database.dtype

    def _opened(self) -> Database:
        if self._process != os.getpid():
            wanted, got = "one that this process has opened", f"one of process {self._process}: open it anew"
            raise ValueError(f"repository: wanted {wanted}; got {got}")
        return self._database

    def _reading(self, make: Callable[[Any], Made]) -> Made:
        with self._guard, self._opened().reading() as db:
            return make(db)

    # ------------------------------------------------------------ runs

    def add(
        self,
        runs: Runs,
        keys: str | Sequence[str] | None = None,
        metadata: Metadata | Sequence[Metadata | None] | None = None,
    ) -> Any:
        """Keep runs, or sketches of runs.

        Parameters
        ----------
        runs, keys, metadata
            As of `SketchRepository.add`.

        Returns
        -------
        list of str, or str for a single run
            The keys.

        Raises
        ------
        ValueError, TypeError
            As of `SketchRepository.add`.
        psycopg.Error
            The server failed; then nothing was added, unless the connection was lost while it was committing.

        Notes
        -----
        One transaction: all of the runs are there when this returns, none after an error. Many runs at once are far
        cheaper than one by one.
        """
        found = given.runs("runs", runs, self._sketchers, self.spec)
        names = None if keys is None else given.keys("keys", keys, len(found), found.single)
        about = given.metadata(metadata, len(found), found.single)
        texts = [conditions.dumped(x) if x else "{}" for x in about]
        if not len(found):
            return []
        with self._guard, self._opened().writing() as db:
            first = tables.counts(db, RUN).places
            numbers = np.arange(first, first + len(found))
            if names is None:
                names = _free(db, [f"run-{i:08d}" for i in numbers.tolist()])
            elif taken := _taken(db, names):
                key = next(name for name in names if name in taken)
                raise ValueError(f"keys: wanted new ones; got {_check.shown(key)}, which is there")
            lines = zip(numbers.tolist(), map(_digest, names), names, texts, strict=True)
            _copy(db, "runs (run, digest, key, metadata)", lines)
            labels = [line for i, x in zip(numbers.tolist(), about, strict=True) for line in tables.tags(i, x)]
            _copy(db, "tags (run, name, number, word)", labels)
            self._put(db, RUN, numbers, found.sketches)
            if found.order is not None:
                self._put(db, ORDER, numbers, found.order)
        return names[0] if found.single else names

    def _put(self, db: Any, kind: str, runs: Rows, sketches: Sketches) -> None:
        first = tables.counts(db, kind).places
        step = max(1, MANY // (4 * self.spec.dim))
        columns = "place, run, values, factor, scale, noise"
        with db.cursor() as cursor:
            for begin in range(0, len(runs), step):
                some = slice(begin, begin + step)
                part = sketches[some]
                values, records = stored(part, self.dtype)
                places = np.arange(first + begin, first + begin + len(values))
                with cursor.copy(f"COPY {tables.TABLES[kind]} ({columns}) FROM STDIN (FORMAT BINARY)") as copy:
                    copy.write(tables.copied(places, runs[some], values, records, self.dtype))
        db.execute(
            "UPDATE counts SET places = places + %(n)s, live = live + %(n)s WHERE kind = %(kind)s",
            {"n": len(runs), "kind": kind},
        )

    def delete(self, keys: str | Sequence[str]) -> None:
        """Take runs out.

        Parameters
        ----------
        keys : str or sequence of str
            Each once.

        Raises
        ------
        KeyError
            A key that is not there; then nothing is deleted.
        psycopg.Error
            As of `add`.

        Notes
        -----
        One transaction. PostgreSQL overwrites the bytes when it next needs the room, after a ``VACUUM``; until then
        they are in its files, as they are in its log and in backups.
        """
        several = [keys] if isinstance(keys, str) else keys
        names = given.keys("keys", several, len(several), False)
        with self._guard, self._opened().writing() as db:
            gone = _taken(db, names)
            for name in names:
                if name not in gone:
                    raise KeyError(f"key: wanted one of the repository's; got {_check.shown(name)}")
            runs = list(gone.values())
            for kind in self._kinds():
                left = db.execute(f"DELETE FROM {tables.TABLES[kind]} WHERE run = ANY(%s)", (runs,)).rowcount
                db.execute("UPDATE counts SET live = live - %s WHERE kind = %s", (left, kind))
            db.execute("DELETE FROM runs WHERE run = ANY(%s)", (runs,))

    def _kinds(self) -> tuple[str, ...]:
        return (RUN, ORDER) if self.spec.ordered else (RUN,)

    def get(self, key: str) -> StoredRun:
        """What a key has.

        Raises
        ------
        KeyError
            There is no such key.
        """
        name = given.key("key", key)

        def make(db: Any) -> StoredRun:
            run = _one(db, name)
            about = db.execute("SELECT metadata FROM runs WHERE run = %s", (run,)).fetchone()[0]
            main, order = self._row(db, RUN, run), self._row(db, ORDER, run) if self.spec.ordered else None
            assert main is not None  # the tables' references hold it
            return StoredRun(name, main, None if order is None else order.unpack(), json.loads(about))

        return self._reading(make)

    def _row(self, db: Any, kind: str, run: int) -> PackedSketches | None:
        sql = f"SELECT values, scale, noise FROM {tables.TABLES[kind]} WHERE run = %s"
        line = db.execute(sql, (run,), binary=True).fetchone()
        if line is None:
            return None
        values = tables.array([line[0]], self.dtype)[0].astype(self.dtype)
        return PackedSketches(values, np.float32(line[1]), np.float64(line[2]), self.dtype)

    def __len__(self) -> int:
        return self._reading(lambda db: tables.counts(db, RUN).live)

    def __contains__(self, key: object) -> bool:
        if not isinstance(key, str) or not key or not _check.is_text(key):
            return False
        return self._reading(lambda db: key in _taken(db, [key]))

    def __iter__(self) -> Iterator[str]:
        """All keys, in the order of their code points, as of now: later changes are not seen."""
        sql = "SELECT key FROM runs ORDER BY key"
        return iter(self._reading(lambda db: [key for (key,) in db.execute(sql).fetchall()]))

    # ------------------------------------------------------------ search

    def search(self, queries: Runs, k: int = 10, where: object = None, by: str = "run") -> Any:
        """The runs that are most like some others.

        Parameters
        ----------
        queries, k, where, by
            As of `SketchRepository.search`.

        Returns
        -------
        list of Hit for one query, a list of lists for several
            At most k, the largest contrast first, of equal ones the run that was added first.

        Raises
        ------
        ValueError, TypeError
            As of `SketchRepository.search`.

        Notes
        -----
        Exact: PostgreSQL computes two inner products with every row that `where` selects, a bound says when no other
        row can be better, and the best are computed once more in float64. Each query is a pass over the rows.
        """
        base = self._base(by)
        q, _, single = queries_of(queries, self._sketchers, self.spec.dim, base, None)
        most = _check.integer("k", k, 1, 1 << 40)
        condition = None if where is None else tables.compiled(where)
        found = self._reading(lambda db: self._finder.runs(db, q, most, condition, base))
        return found[0] if single else found

    def related(self, key: str, k: int = 10, where: object = None, by: str = "run") -> list[Hit]:
        """The runs that are most like one that is there, itself left out.

        Parameters
        ----------
        key : str
        k, where, by
            As of `search`.

        Raises
        ------
        KeyError
            There is no such key.
        ValueError, TypeError
            As of `search`; a run without unordered sketch for ``by="order"``.
        """
        base, most, name = self._base(by), _check.integer("k", k, 1, 1 << 40), given.key("key", key)
        condition = None if where is None else tables.compiled(where)

        def make(db: Any) -> list[Hit]:
            row = self._row(db, base, _one(db, name))
            if row is None:
                wanted = "wanted a run that was added as a run, for by='order'"
                raise ValueError(f"key: {wanted}; got {_check.shown(name)}")
            hits = self._finder.runs(db, row.unpack()[None], most + 1, condition, base)[0]
            return [hit for hit in hits if hit.key != name][:most]

        return self._reading(make)

    def _base(self, by: str) -> str:
        _check.choice("by", by, (RUN, ORDER))
        if by == ORDER and not self.spec.ordered:
            raise ValueError("by: wanted 'run', since the specification has no order anyway; got 'order'")
        return by


def _digest(key: str) -> bytes:
    """By which a key is found: entries of PostgreSQL's indices have a limit that keys may exceed."""
    return hashlib.sha256(key.encode()).digest()


def _taken(db: Any, keys: Sequence[str]) -> dict[str, int]:
    """Those of some keys that are there, and their runs."""
    sql = "SELECT key, run FROM runs WHERE digest = ANY(%s)"
    return dict(db.execute(sql, (list(map(_digest, keys)),)).fetchall())


def _one(db: Any, key: str) -> int:
    found = _taken(db, [key])
    if key not in found:
        raise KeyError(f"key: wanted one of the repository's; got {_check.shown(key)}")
    return found[key]


def _free(db: Any, names: list[str]) -> list[str]:
    """These keys, with signs behind those that are taken."""
    while taken := _taken(db, names):
        names = [f"{name}+" if name in taken else name for name in names]
    return names


def _copy(db: Any, table: str, lines: Iterable[tuple[Any, ...]]) -> None:
    with db.cursor() as cursor, cursor.copy(f"COPY {table} FROM STDIN") as copy:
        for line in lines:
            copy.write_row(line)
