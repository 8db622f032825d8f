"""The one line that says where a repository stands, and what never changes about it."""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

import recsketch._check as _check
import recsketch.repository.tables as tables
from recsketch.repository.errors import RepositoryDamaged
from recsketch.sketching.spec import SketchSpec

RUN, ORDER, OBJECT, QUICK = "run", "order", "object/", "/int8"


class State(NamedTuple):
    """What a commit changes.

    Attributes
    ----------
    changes : int
        Commits so far: readers that know this one know all.
    generation : int
        Compactions so far.
    next_row, next_segment : int
        Numbers that were never given.
    runs : int
    digest : int
        Sum of the runs' checks modulo 2**63: a run that is lost shows, however it was lost.
    """

    changes: int
    generation: int
    next_row: int
    next_segment: int
    runs: int
    digest: int


class Settings(NamedTuple):
    """What creation fixed."""

    identity: bytes
    spec: SketchSpec
    dtype: str

    def kinds(self) -> dict[str, str]:
        """Kinds of rows of runs, the one that is the truth first, and their types."""
        main = self.dtype.rpartition("+")[2]
        bases = (RUN, ORDER) if self.spec.ordered else (RUN,)
        found = dict.fromkeys(bases, main)
        return found | {base + QUICK: "int8" for base in bases if "+" in self.dtype}


def read_state(db: sqlite3.Connection) -> State:
    line = db.execute("SELECT changes, generation, next_row, next_segment, runs, digest, crc FROM state").fetchone()
    if line is None:
        raise RepositoryDamaged(f"{tables.NAME}: wanted a line of state; got none")
    return State(*tables.checked("the line of state", line))  # type: ignore[arg-type]


def write_state(db: sqlite3.Connection, state: State) -> None:
    db.execute(f"INSERT OR REPLACE INTO state VALUES (1, {', '.join('?' * 7)})", (*state, tables.crc(*state)))


def read_settings(db: sqlite3.Connection) -> Settings:
    found: dict[str, bytes] = {}
    for name, value, crc in db.execute("SELECT name, value, crc FROM meta"):
        tables.checked("what creation fixed", (name, value, crc))
        found[name] = value
    if set(found) != {"identity", "spec", "dtype"}:
        raise RepositoryDamaged(f"{tables.NAME}: wanted identity, spec and dtype; got {_check.listed(sorted(found))}")
    return Settings(found["identity"], SketchSpec.from_json(found["spec"]), found["dtype"].decode())


def write_settings(db: sqlite3.Connection, settings: Settings) -> None:
    values = {"identity": settings.identity, "spec": settings.spec.to_json().encode(), "dtype": settings.dtype.encode()}
    db.executemany("INSERT INTO meta VALUES (?, ?, ?)", [(n, v, tables.crc(n, v)) for n, v in values.items()])


def same_spec(stored: SketchSpec, given: SketchSpec) -> None:
    """Refuse a specification that is not the stored one, and say in what it differs."""
    for name in SketchSpec.__slots__:
        mine, theirs = getattr(stored, name), getattr(given, name)
        if mine != theirs:
            wanted = f"the repository's {name}, {_check.shown(mine)}"
            raise ValueError(f"spec: wanted {wanted}; got {_check.shown(theirs)}")
