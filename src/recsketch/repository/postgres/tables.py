"""A repository's tables in PostgreSQL: what they hold, transactions over them, conditions, and vectors as bytes."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

import recsketch._check as _check
import recsketch.repository.conditions as conditions
from recsketch.repository.conditions import Scalar, Test
from recsketch.repository.errors import RepositoryWarning
from recsketch.repository.segments import LEAST_NORM, Records, Rows
from recsketch.repository.state import ORDER, RUN, same_spec
from recsketch.sketching.spec import SketchSpec

if TYPE_CHECKING:
    import numpy.typing as npt

FORMAT = 1
MOST = 16_000  # numbers that pgvector's types hold
PAGE = 7_600  # bytes of a vector that fits into a page of PostgreSQL, beside what else is in its line
LOCK = 0x72736B72  # "rskr": held while the tables are made
HEAD = 100  # characters of names and texts that are in an index, whose entries have a limit of 2,704 bytes

TYPES: dict[str, tuple[str, np.dtype[Any]]] = {
    "float32": ("vector", np.dtype(">f4")),
    "float16": ("halfvec", np.dtype(">f2")),
}
"""Stored forms: pgvector's type, and that of its numbers as they are sent."""

TABLES = {RUN: "run_sketches", ORDER: "order_sketches"}

# `place` counts the sketches of a table in the order they were added, and is never given again: `search.sample` picks
# by it. `factor` is `scale` over the sketch's norm. Texts are compared by their code points, as SQLite does.
SCHEMA = """
CREATE TABLE repository (format integer NOT NULL, spec text NOT NULL, dtype text NOT NULL);
CREATE TABLE counts (kind text PRIMARY KEY, places bigint NOT NULL, live bigint NOT NULL);
CREATE TABLE runs (run bigint PRIMARY KEY, digest bytea NOT NULL UNIQUE, key text COLLATE "C" NOT NULL,
    metadata text NOT NULL);
CREATE TABLE tags (run bigint NOT NULL REFERENCES runs ON DELETE CASCADE, name text COLLATE "C" NOT NULL,
    number numeric, word text COLLATE "C");
CREATE INDEX tags_by_run ON tags (run);
CREATE INDEX tags_by_number ON tags (left(name, 100), number) WHERE number IS NOT NULL;
CREATE INDEX tags_by_word ON tags (left(name, 100), left(word, 100)) WHERE word IS NOT NULL;
"""
SKETCHES = """
CREATE TABLE {table} (place bigint PRIMARY KEY, run bigint NOT NULL UNIQUE REFERENCES runs ON DELETE CASCADE,
    values {type}({dim}) NOT NULL, factor double precision NOT NULL, scale real NOT NULL,
    noise double precision NOT NULL);
ALTER TABLE {table} ALTER COLUMN values SET STORAGE {storage};
"""


def driver() -> Any:
    """psycopg, if it is installed."""
    try:
        import psycopg
    except ImportError as e:
        wanted = "wanted psycopg, for repositories in PostgreSQL: pip install 'recsketch[pg]'"
        raise ImportError(f"{wanted}; got {e}", name="psycopg") from e
    return psycopg


class Counts(NamedTuple):
    """Places given to the sketches of a kind so far, and how many of them are not deleted."""

    places: int
    live: int


class Database:
    """One connection to one repository's schema.

    Parameters
    ----------
    dsn, schema : str
    mode : {"r", "a"}
    spec : SketchSpec or None
    dtype : str or None
    """

    def __init__(self, dsn: str, schema: str, mode: str, spec: SketchSpec | None, dtype: str | None) -> None:
        psycopg = driver()
        self._write, self._path = mode == "a", ""
        self.dtype: str
        self._connection: Any = psycopg.connect(dsn, autocommit=True, client_encoding="utf8")
        try:
            self._check_server()
            quoted = self._connection.execute("SELECT quote_ident(%s)", (schema,)).fetchone()[0]
            self._enter(quoted, schema, spec, dtype)
        except BaseException:
            self.close()
            raise

    def _check_server(self) -> None:
        encoding = self._connection.info.parameter_status("server_encoding")
        if encoding != "UTF8":
            raise ValueError(f"dsn: wanted a database whose encoding is UTF8; got {encoding}")
        if self._write and self._connection.execute("SHOW fsync").fetchone()[0] != "on":
            text = "the server runs with fsync off: a crash of its machine may lose what was added"
            warnings.warn(text, RepositoryWarning, stacklevel=6)

    def _enter(self, quoted: str, schema: str, spec: SketchSpec | None, dtype: str | None) -> None:
        """Find the tables or make them, and read what their making fixed."""
        there = "SELECT to_regclass(%s) IS NOT NULL"
        with self._connection.transaction():
            self._connection.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
            if not self._connection.execute(there, (f"{quoted}.repository",)).fetchone()[0]:
                self._make(quoted, schema, spec, dtype or "float32")
        self._path = f"{quoted}, {self._vectors()}"
        with self.reading() as db:
            version, stored, self.dtype = db.execute("SELECT format, spec, dtype FROM repository").fetchone()
        if version != FORMAT:
            raise ValueError(f"schema: wanted a repository of format {FORMAT}; got format {version}")
        self.spec = SketchSpec.from_json(stored)
        if spec is not None:
            same_spec(self.spec, spec)
        if dtype not in (None, self.dtype):
            raise ValueError(f"dtype: wanted the repository's, {self.dtype!r}; got {dtype!r}")

    def _make(self, quoted: str, schema: str, spec: SketchSpec | None, dtype: str) -> None:
        if not self._write:
            raise FileNotFoundError(f"schema: wanted a repository to read; got none in {_check.shown(schema)}")
        if spec is None:
            raise ValueError("spec: wanted a SketchSpec, for a new repository; got None")
        if spec.dim > MOST:
            raise ValueError(f"spec: wanted at most {MOST} numbers a sketch, which is pgvector's limit; got {spec.dim}")
        db = self._connection
        db.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted}")
        if not self._vectors():
            db.execute("CREATE EXTENSION vector")
        db.execute("SELECT set_config('search_path', %s, true)", (f"{quoted}, {self._vectors()}",))
        db.execute(SCHEMA)
        name, numbers = TYPES[dtype]
        storage = "PLAIN" if spec.dim * numbers.itemsize <= PAGE else "EXTERNAL"
        for kind in (RUN, ORDER) if spec.ordered else (RUN,):
            db.execute(SKETCHES.format(table=TABLES[kind], type=name, dim=spec.dim, storage=storage))
            db.execute("INSERT INTO counts VALUES (%s, 0, 0)", (kind,))
        db.execute("INSERT INTO repository VALUES (%s, %s, %s)", (FORMAT, spec.to_json(), dtype))

    def _vectors(self) -> str:
        """The schema in which pgvector is, quoted; empty if it is not in the database."""
        found = self._connection.execute(
            "SELECT quote_ident(nspname) FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace"
            " WHERE extname = 'vector'"
        ).fetchone()
        return "" if found is None else str(found[0])

    @property
    def closed(self) -> bool:
        return bool(self._connection.closed)

    def close(self) -> None:
        self._connection.close()

    @contextlib.contextmanager
    def reading(self) -> Iterator[Any]:
        """A transaction that sees one state."""
        with self._transaction("ISOLATION LEVEL REPEATABLE READ, READ ONLY") as db:
            yield db

    @contextlib.contextmanager
    def writing(self) -> Iterator[Any]:
        """A transaction that is on the server's disk, all of it, once this returns; others who write wait for it."""
        if not self._write:
            raise ValueError("repository: wanted one that was opened to write, mode='a'; got mode='r'")
        with self._transaction("ISOLATION LEVEL READ COMMITTED, READ WRITE") as db:
            # Somebody may have made commits return early by default.
            db.execute("SELECT set_config('synchronous_commit', 'on', true)")
            db.execute("SELECT 1 FROM counts WHERE kind = %s FOR UPDATE", (RUN,))
            yield db

    @contextlib.contextmanager
    def _transaction(self, how: str) -> Iterator[Any]:
        db = self._connection
        if db.closed:
            raise ValueError("repository: wanted an open one; got one that was closed, or whose connection was lost")
        with db.transaction():
            db.execute(f"SET TRANSACTION {how}")
            db.execute("SELECT set_config('search_path', %s, true)", (self._path,))
            yield db


def counts(db: Any, kind: str) -> Counts:
    return Counts(*db.execute("SELECT places, live FROM counts WHERE kind = %s", (kind,)).fetchone())


# ---------------------------------------------------------------- conditions


def compiled(where: object) -> tuple[str, list[Any]]:
    """A condition as a query that gives the runs it holds for, and its parameters: no value is part of the text."""
    parts = [_runs(tests) for tests in conditions.parsed(where)]
    return " UNION ".join(f"({sql})" for sql, _ in parts), [v for _, values in parts for v in values]


def _runs(tests: list[Test]) -> tuple[str, list[Any]]:
    if not tests:
        return "SELECT run FROM runs", []
    parts = [_values(test) for test in tests]
    named = "SELECT run FROM tags WHERE left(name, 100) = %s AND name = %s AND"
    query = " INTERSECT ".join(f"({named} ({sql}))" for sql, _ in parts)
    return query, [v for test, (_, vs) in zip(tests, parts, strict=True) for v in (test.name[:HEAD], test.name, *vs)]


def _values(test: Test) -> tuple[str, list[Any]]:
    words = [v for v in test.values if isinstance(v, str)]
    numbers = [Decimal(v) for v in test.values if isinstance(v, (int, float))]
    if test.signs == ("=",):
        among = "left(word, 100) = ANY(%s::text[]) AND word = ANY(%s::text[]) OR number = ANY(%s::numeric[])"
        return among, [[word[:HEAD] for word in words], words, numbers]
    if numbers:
        return " AND ".join(f"number {sign} %s::numeric" for sign in test.signs), numbers
    # Heads of texts are in the order of the texts, and may be equal where these are not.
    bounds = " AND ".join(f"left(word, 100) {sign[0]}= %s AND word {sign} %s" for sign in test.signs)
    return bounds, [part for word in words for part in (word[:HEAD], word)]


def tags(run: int, found: dict[str, Scalar]) -> list[tuple[int, str, Decimal | None, str | None]]:
    """The lines of the index of conditions: numbers exactly, as decimals; None is no value."""
    return [
        (run, name, None, value) if isinstance(value, str) else (run, name, Decimal(value), None)
        for name, value in found.items()
        if value is not None
    ]


# ---------------------------------------------------------------- vectors


def text(x: npt.NDArray[Any]) -> str:
    """A vector as text, exactly."""
    return "[" + ",".join(map(repr, x.tolist())) + "]"


def array(sent: Sequence[bytes], dtype: str) -> npt.NDArray[Any]:
    """(n, d) vectors as they are sent: two numbers of 16 bits, then the vector's."""
    return np.array([np.frombuffer(x, TYPES[dtype][1], offset=4) for x in sent])


def copied(places: Rows, runs: Rows, values: npt.NDArray[Any], records: Records, dtype: str) -> bytes:
    """Lines of a table of sketches as COPY reads them, with the size in bytes before each field."""
    d, numbers = values.shape[1], TYPES[dtype][1]
    fields: list[tuple[str, Any, Any]] = [
        ("place", ">i8", places),
        ("run", ">i8", runs),
        ("values", [("dim", ">i2"), ("unused", ">i2"), ("x", numbers, (d,))], None),
        ("factor", ">f8", factors(records)),
        ("scale", ">f4", records["scale"]),
        ("noise", ">f8", records["noise"]),
    ]
    sizes = [(f"{name} size", ">i4") for name, _, _ in fields]
    kinds = [(name, kind) for name, kind, _ in fields]
    pairs = [part for pair in zip(sizes, kinds, strict=True) for part in pair]
    lines = np.zeros(len(values), np.dtype([("fields", ">i2"), *pairs]))
    lines["fields"] = len(fields)
    for name, _, content in fields:
        lines[f"{name} size"] = lines.dtype[name].itemsize
        if content is not None:
            lines[name] = content
    lines["values"]["dim"], lines["values"]["x"] = d, values
    return b"PGCOPY\n\xff\r\n\0" + bytes(8) + lines.tobytes() + b"\xff\xff"


def factors(records: Records) -> npt.NDArray[np.float64]:
    """What stored values are multiplied by to have norm one; 0 for sketches of zeros."""
    norm = records["norm"].astype(np.float64)
    good = norm > LEAST_NORM
    return np.asarray(np.where(good, records["scale"] / np.where(good, norm, 1), 0))
