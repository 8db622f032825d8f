"""The SQLite file: what it holds, how it is opened, and the check that stands beside every line of it."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import urllib.parse
import warnings
import zlib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np

import recsketch._check as _check
from recsketch.repository.errors import RepositoryDamaged, RepositoryWarning

if TYPE_CHECKING:
    import numpy.typing as npt

NAME = "index.sqlite"
APPLICATION = 0x72736B72  # "rskr"
FORMAT = 1
WANTED_MODE = "WAL"
PATIENCE = 60  # seconds that one waits for another, who is in a transaction

SCHEMA = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL, crc INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE state (id INTEGER PRIMARY KEY, changes INTEGER NOT NULL, generation INTEGER NOT NULL,
    next_row INTEGER NOT NULL, next_segment INTEGER NOT NULL, runs INTEGER NOT NULL, digest INTEGER NOT NULL,
    crc INTEGER NOT NULL);
CREATE TABLE segments (id INTEGER PRIMARY KEY, kind TEXT NOT NULL, dtype TEXT NOT NULL, dim INTEGER NOT NULL,
    rows INTEGER NOT NULL, crc INTEGER NOT NULL);
CREATE TABLE blocks (id INTEGER PRIMARY KEY, kind TEXT NOT NULL, segment INTEGER NOT NULL, place INTEGER NOT NULL,
    first INTEGER NOT NULL, records BLOB NOT NULL, crc INTEGER NOT NULL);
CREATE UNIQUE INDEX blocks_by_row ON blocks (kind, first);
CREATE TABLE runs (row INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, metadata TEXT NOT NULL, crc INTEGER NOT NULL);
CREATE TABLE tags (name TEXT NOT NULL, value NOT NULL, row INTEGER NOT NULL, PRIMARY KEY (name, value, row))
    WITHOUT ROWID;
CREATE TABLE objects (row INTEGER PRIMARY KEY, kind TEXT NOT NULL, run INTEGER NOT NULL, path TEXT NOT NULL,
    confidence REAL NOT NULL, crc INTEGER NOT NULL);
CREATE INDEX objects_by_run ON objects (run);
CREATE TABLE inputs (run INTEGER PRIMARY KEY, edges BLOB NOT NULL, crc INTEGER NOT NULL);
CREATE TABLE near (run INTEGER PRIMARY KEY, edges BLOB NOT NULL, crc INTEGER NOT NULL);
CREATE TABLE centre (rows INTEGER PRIMARY KEY, mean BLOB NOT NULL, crc INTEGER NOT NULL);
CREATE TABLE dead (id INTEGER PRIMARY KEY, kind TEXT NOT NULL, row INTEGER NOT NULL, wiped INTEGER NOT NULL);
"""

CONCEPTS = """
CREATE TABLE emergence (name TEXT PRIMARY KEY, value BLOB NOT NULL, crc INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE concepts (id INTEGER PRIMARY KEY, value TEXT NOT NULL, crc INTEGER NOT NULL);
CREATE TABLE members (row INTEGER PRIMARY KEY, concept INTEGER NOT NULL, crc INTEGER NOT NULL);
CREATE INDEX members_by_concept ON members (concept);
CREATE TABLE events (number INTEGER PRIMARY KEY, placed INTEGER NOT NULL, kind TEXT NOT NULL, concept INTEGER NOT NULL,
    other INTEGER, crc INTEGER NOT NULL);
"""  # of a repository that looks for concepts


def crc(*fields: object) -> int:
    """The CRC-32 of a line's fields: as text, joined by NUL, in UTF-8; a last field of bytes as it is behind them."""
    blob = b""
    if isinstance(fields[-1], bytes):
        *fields, blob = fields  # type: ignore[assignment]
    return zlib.crc32(blob, zlib.crc32("\0".join(map(str, fields)).encode()))


def checked(what: str, line: tuple[object, ...]) -> tuple[object, ...]:
    """A line without its last field, which must be the `crc` of the others."""
    if crc(*line[:-1]) != line[-1]:
        raise RepositoryDamaged(f"{NAME}: wanted {what} as it was written; got {_check.shown(line[:-1])}")
    return line[:-1]


def numbers(what: str, lines: Iterable[tuple[object, ...]]) -> npt.NDArray[np.int64]:
    """The row numbers of lines of one field that have no `crc`, ascending."""
    found = [x for (x,) in lines]
    if not all(type(x) is int for x in found):
        raise RepositoryDamaged(f"{NAME}: wanted {what} as it was written; got other values")
    return np.array(sorted(found), np.int64)  # type: ignore[type-var]  # integers all


@contextlib.contextmanager
def damage(path: str) -> Iterator[None]:
    """Let what SQLite says of a damaged file be a RepositoryDamaged."""
    try:
        yield
    except sqlite3.OperationalError as e:
        code = getattr(e, "sqlite_errorcode", 0) & 0xFF
        if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN):
            raise OSError(f"{_check.cut(path, 200)}: {_check.cut(str(e), 300)}") from e
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise TimeoutError(f"{_check.cut(path, 200)}: {_check.cut(str(e), 300)}") from e
        raise RepositoryDamaged(f"{_check.cut(path, 200)}: wanted a whole index; got {_check.cut(str(e), 300)}") from e
    except (sqlite3.DatabaseError, UnicodeDecodeError, OverflowError) as e:
        raise RepositoryDamaged(f"{_check.cut(path, 200)}: wanted a whole index; got {_check.cut(str(e), 300)}") from e


def is_new(folder: str) -> bool:
    """Whether there is nothing yet: no folder, an empty one, or one that was never finished."""
    path = os.path.join(folder, NAME)
    if not os.path.exists(path):
        others = (
            set(os.listdir(folder)) - {"lock", f"{NAME}-wal", f"{NAME}-shm", f"{NAME}-journal"}
            if (os.path.isdir(folder))
            else set()
        )
        if others:
            raise ValueError(f"{_check.cut(folder, 200)}: wanted a repository; got a folder of {_check.listed(others)}")
        return True
    if os.path.getsize(path) >= 100:
        with open(path, "rb") as file:
            if file.read(16) != b"SQLite format 3\0":
                raise RepositoryDamaged(f"{_check.cut(path, 200)}: wanted an SQLite file; got another or a damaged one")
    with damage(path), contextlib.closing(_connected(path, False)) as db:
        return not db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]


def connect(folder: str, write: bool) -> sqlite3.Connection:
    """The index of a repository that is there, of a format that is known.

    Raises
    ------
    ValueError
        Another program's file, or one of another format.
    RepositoryDamaged
        No SQLite file, or a damaged one.

    Warns
    -----
    RepositoryWarning
        The file system does not do what WAL needs, so that a journal is written instead.
    """
    path = os.path.join(folder, NAME)
    with damage(path):
        db = _connected(path, write)
        try:
            application, number = (db.execute(f"PRAGMA {x}").fetchone()[0] for x in ("application_id", "user_version"))
            if application != APPLICATION:
                raise ValueError(f"{_check.cut(path, 200)}: wanted a repository; got an SQLite file of another kind")
            if number != FORMAT:
                raise ValueError(f"{_check.cut(path, 200)}: wanted a repository of format {FORMAT}; got {number}")
            if write:
                prepare(db, path)
        except BaseException:
            db.close()
            raise
    return db


def _connected(path: str, write: bool) -> sqlite3.Connection:
    where = "file:" + urllib.parse.quote(os.path.abspath(path))
    options, log = [f"?mode={'rw' if write else 'ro'}"], f"{path}-wal"
    if not write and not (os.path.exists(log) and os.path.getsize(log)):
        options.append("?mode=ro&immutable=1")  # a folder that this user may not write, where nobody else does
    for option in options:
        with contextlib.ExitStack() as undo:
            try:
                db = sqlite3.connect(
                    where + option, timeout=PATIENCE, isolation_level=None, uri=True, check_same_thread=False
                )
                undo.callback(db.close)
                db.execute("PRAGMA user_version")
                db.execute("PRAGMA trusted_schema=OFF")
                db.execute("PRAGMA cell_size_check=ON")
            except sqlite3.OperationalError as e:
                code = getattr(e, "sqlite_errorcode", 0) & 0xFF
                if option == options[-1] or code not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
                    raise
            else:
                undo.pop_all()
                return db
    raise AssertionError


def prepare(db: sqlite3.Connection, path: str) -> None:
    """Set how a writer's connection writes, and see that it does."""
    mode = db.execute(f"PRAGMA journal_mode={WANTED_MODE}").fetchone()[0]
    if mode != "wal":
        mode = db.execute("PRAGMA journal_mode=DELETE").fetchone()[0]
        text = f"wanted a file system with shared memory, for readers beside a writer; got journal mode {mode}"
        warnings.warn(f"{_check.cut(path, 200)}: {text}, in which they wait for each other", RepositoryWarning, 5)
    db.execute("PRAGMA synchronous=EXTRA")
    db.execute("PRAGMA fullfsync=ON")
    db.execute("PRAGMA checkpoint_fullfsync=ON")
    db.execute("PRAGMA secure_delete=ON")


def empty_log(db: sqlite3.Connection) -> None:
    """Bring what the log holds into the file and empty it, unless a reader is in the way."""
    with contextlib.suppress(sqlite3.OperationalError), at_once(db):
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()


@contextlib.contextmanager
def at_once(db: sqlite3.Connection) -> Iterator[None]:
    """Wait for nobody in the body."""
    db.execute("PRAGMA busy_timeout=0")
    try:
        yield
    finally:
        db.execute(f"PRAGMA busy_timeout={PATIENCE * 1000}")
