"""Lines of runs, read and checked."""

from __future__ import annotations

import json
import sqlite3
from itertools import pairwise
from typing import Any, TypeAlias

import recsketch._check as _check
import recsketch.repository.given as given
import recsketch.repository.tables as tables
from recsketch.repository.conditions import Scalar
from recsketch.repository.errors import RepositoryDamaged
from recsketch.repository.state import State

Line: TypeAlias = "tuple[int, str, dict[str, Scalar]]"

RUNS = "SELECT row, key, metadata, crc FROM runs"


def parsed(line: tuple[Any, ...]) -> Line:
    """Row, key and metadata of a line of RUNS."""
    row, key, about = tables.checked("a run", line)
    return int(row), str(key), json.loads(str(about))  # type: ignore[call-overload]


def of_key(db: sqlite3.Connection, key: object) -> Line:
    """The run of a key.

    Raises
    ------
    KeyError
        There is none.
    """
    name = given.key("key", key)
    line = db.execute(f"{RUNS} WHERE key = ?", (name,)).fetchone()
    if line is None:
        raise KeyError(f"key: wanted one of the repository's; got {_check.shown(name)}")
    return parsed(line)


def of_row(db: sqlite3.Connection, row: int) -> Line:
    """The run of a row that a search found."""
    line = db.execute(f"{RUNS} WHERE row = ?", (row,)).fetchone()
    if line is None:
        raise RepositoryDamaged(f"{tables.NAME}: wanted a run of row {row}; got none")
    return parsed(line)


def all_of_them(db: sqlite3.Connection, state: State) -> list[Line]:
    """In the order of keys.

    Raises
    ------
    RepositoryDamaged
        There are more or fewer than the state says, or they are out of order.
    """
    found = [parsed(line) for line in db.execute(f"{RUNS} ORDER BY key").fetchall()]
    if len(found) != state.runs or any(a[1] >= b[1] for a, b in pairwise(found)):
        raise RepositoryDamaged(f"{tables.NAME}: wanted {state.runs} runs in the order of keys; got others")
    return found


def has(db: sqlite3.Connection, key: str) -> bool:
    """Whether there is a run of that key."""
    return db.execute("SELECT 1 FROM runs WHERE key = ?", (key,)).fetchone() is not None
