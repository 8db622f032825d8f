"""Edges of the knowledge graph as the index keeps them: a line a run, with all that lead from it or its objects."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

import recsketch.repository.tables as tables
from recsketch.repository.errors import RepositoryDamaged
from recsketch.repository.given import Parts

if TYPE_CHECKING:
    import numpy.typing as npt

NEAREST = 10  # runs that are kept as near to one

INPUT = np.dtype([("user", "<i8"), ("input", "<i8"), ("weight", "<f8"), ("position", "<i4")])
"""An object, or the run itself, and an object it uses, both by their row numbers."""

NEAR = np.dtype([("run", "<i8"), ("contrast", "<f4"), ("score", "<f4")])
"""A run by its row number, and how much it is like the one whose line this is."""


class Edges(NamedTuple):
    """Edges of all runs: `of` has the row of the run that each belongs to, `lines` the rows of all that have a line."""

    lines: npt.NDArray[np.int64]
    of: npt.NDArray[np.int64]
    edges: npt.NDArray[Any]


def inputs(numbers: Sequence[Mapping[int, int]], parts: Sequence[Parts]) -> Iterator[tuple[int, bytes]]:
    """Lines of the table `inputs`, given the row numbers of each run's objects, and of the run itself."""
    for number, (_, uses) in zip(numbers, parts, strict=True):
        if len(number) > 1:
            made = [(number[u.user], number[u.object], u.weight, u.position) for u in uses]
            yield next(iter(number.values())), np.array(made, INPUT).tobytes()


def objects(db: sqlite3.Connection) -> Iterator[tuple[int, str, int, str, float]]:
    """Row, kind, run, path and confidence of all objects, checked, those of a run together."""
    for line in db.execute("SELECT row, kind, run, path, confidence, crc FROM objects ORDER BY run, row"):
        yield tables.checked("an object", line)  # type: ignore[misc]


def read(db: sqlite3.Connection, table: str) -> Edges:
    """All lines of `inputs` or `near`, checked, in the order of runs."""
    form = {"inputs": INPUT, "near": NEAR}[table]
    rows, parts = [], []
    for run, found, crc in db.execute(f"SELECT run, edges, crc FROM {table} ORDER BY run"):
        blob = bytes(found) if isinstance(found, (bytes, memoryview)) else str(found).encode()
        tables.checked("edges", (run, blob, crc))
        if len(blob) % form.itemsize:
            raise RepositoryDamaged(f"{tables.NAME}: wanted edges of {form.itemsize} bytes; got {len(blob)} bytes")
        rows.append(run)
        parts.append(blob)
    lines = np.array(rows, np.int64)
    counts = np.array([len(part) // form.itemsize for part in parts], np.int64)
    return Edges(lines, np.repeat(lines, counts), np.frombuffer(b"".join(parts), form))
