"""A repository's rows as a reader has them in memory: for each kind of row its segments, brought up to a snapshot."""

from __future__ import annotations

import os
import sqlite3
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

import recsketch._check as _check
import recsketch.repository.tables as tables
from recsketch.repository.errors import RepositoryDamaged
from recsketch.repository.segments import HEADER, RECORD, TYPES, Records, Rows, Segment, intact, name
from recsketch.repository.state import State
from recsketch.sketching.packing import PackedSketches

if TYPE_CHECKING:
    import numpy.typing as npt

SEGMENTS = "SELECT id, kind, dtype, dim, rows, crc FROM segments"
BLOCKS = "SELECT id, kind, segment, place, first, records, crc FROM blocks"


class Column:
    """All rows of one kind, in segments; rows ascend from segment to segment."""

    def __init__(self) -> None:
        self.segments: list[Segment] = []
        self.kept: dict[object, Any] = {}  # what a search computed of these rows, for the next one

    @property
    def live(self) -> int:
        """Rows that are not deleted."""
        return sum(int(s.alive.sum()) for s in self.segments)

    def units(self, rows: Rows) -> npt.NDArray[np.float64]:
        """(n, d) these rows, ascending, of norm one or zero; checked now."""
        parts = [s.units(at) for s in self.segments for at in [s.places(rows)] if len(at)]
        found = np.concatenate(parts) if parts else np.zeros((0, self.segments[0].dim))
        if len(found) != len(rows):
            raise RepositoryDamaged(f"{tables.NAME}: wanted rows of this kind; got {_check.count(len(rows), 'other')}")
        return found

    def packed(self, rows: Rows) -> tuple[Rows, PackedSketches] | None:
        """Which of these rows, in any order, are here, and their sketches bit by bit, checked now."""
        order = np.argsort(rows)
        parts = []
        for s in self.segments:
            at = s.places(rows[order])
            if len(at):
                index = order[np.searchsorted(rows, s.rows[at], sorter=order)]
                parts.append((index, s.copied(at), s.records["scale"][at], s.records["noise"][at]))
        if not parts:
            return None
        index, values, scale, noise = (np.concatenate(x) for x in zip(*parts, strict=True))
        place = np.argsort(index)
        return index[place], PackedSketches(values[place], scale[place], noise[place], self.segments[0].dtype)


class Columns:
    """All kinds of rows of a repository, as of the last snapshot that was looked at."""

    def __init__(self, folder: str, identity: bytes) -> None:
        self._folder, self._identity = folder, identity
        self.forget()

    @property
    def kinds(self) -> list[str]:
        """Kinds of rows that there are."""
        return list(self._known)

    def forget(self) -> None:
        """Read everything anew next time."""
        self._known: dict[str, Column] = {}
        self._segments: dict[int, Segment] = {}
        self._changes = self._generation = -1
        self._block = self._dead = 0

    def at(self, db: sqlite3.Connection, state: State, kind: str) -> Column:
        """The rows of a kind in the snapshot that is open."""
        if state.changes != self._changes:
            if state.generation != self._generation:
                self.forget()
            try:
                self._follow(db)
            except BaseException:
                self.forget()
                raise
            self._changes, self._generation = state.changes, state.generation
        return self.known(kind)

    def known(self, kind: str) -> Column:
        """The rows of a kind as of the last snapshot."""
        return self._known.get(kind) or Column()

    def _follow(self, db: sqlite3.Connection) -> None:
        """Take in what was committed since."""
        for line in db.execute(f"{SEGMENTS} ORDER BY id"):
            number, kind, dtype, dim, _ = _segment(line)
            if number not in self._segments:
                segment = Segment(self._folder, self._identity, number, dtype, dim)
                self._segments[number] = segment
                self._known.setdefault(kind, Column()).segments.append(segment)
        more: dict[int, list[Records]] = {}
        sizes = {number: len(segment) for number, segment in self._segments.items()}
        for line in db.execute(f"{BLOCKS} WHERE id > ? ORDER BY id", (self._block,)):
            self._block, number, begin, records = _block(line)
            if begin != sizes.get(number, 0):
                raise RepositoryDamaged(f"{tables.NAME}: wanted blocks that follow each other; got others")
            sizes[number] = begin + len(records)
            more.setdefault(number, []).append(records)
        for number, parts in more.items():
            if number in self._segments:
                self._segments[number].extend(parts)
        wanted = dict(db.execute("SELECT id, rows FROM segments"))
        found = {number: len(segment) for number, segment in self._segments.items()}
        if wanted != found or not set(more) <= set(found):
            raise RepositoryDamaged(f"{tables.NAME}: wanted a block for every row of every segment; got others")
        gone: dict[str, list[int]] = {}
        for number, kind, row in db.execute("SELECT id, kind, row FROM dead WHERE id > ? ORDER BY id", (self._dead,)):
            gone.setdefault(kind, []).append(row)
            self._dead = number
        for kind, rows in gone.items():
            for segment in self.known(kind).segments:
                segment.kill(tables.numbers("a deleted row", zip(rows, strict=True)))


class Place(NamedTuple):
    """Where a row is: its segment, its first byte in the file, its type, how many numbers it has, and its record."""

    segment: int
    at: int
    dtype: str
    dim: int
    record: Any

    @property
    def size(self) -> int:
        """Bytes."""
        return self.dim * int(TYPES[self.dtype].itemsize)


def place(db: sqlite3.Connection, kind: str, row: int) -> Place | None:
    """Where a row is, by the index alone; None if there is none.

    Raises
    ------
    RepositoryDamaged
        What the index says of it is not what was written.
    """
    line = db.execute(f"{BLOCKS} WHERE kind = ? AND first <= ? ORDER BY first DESC LIMIT 1", (kind, row)).fetchone()
    if line is None:
        return None
    _, number, begin, records = _block(line)
    at = int(np.searchsorted(records["row"], row))
    if at == len(records) or records["row"][at] != row:
        return None
    segment = db.execute(f"{SEGMENTS} WHERE id = ?", (number,)).fetchone()
    if segment is None:
        raise RepositoryDamaged(f"{tables.NAME}: wanted the segment of row {row}; got none")
    _, _, dtype, dim, _ = _segment(segment)
    return Place(number, HEADER + (begin + at) * dim * TYPES[dtype].itemsize, dtype, dim, records[at])


def one(db: sqlite3.Connection, folder: str, kind: str, row: int) -> tuple[npt.NDArray[Any], Any, str] | None:
    """One row as it is stored, checked, its record and its type, without looking at any other; None if there is none.

    Raises
    ------
    RepositoryDamaged
        Its bytes are not those that were written.
    """
    found = place(db, kind, row)
    if found is None:
        return None
    file_name, stored = name(found.segment), TYPES[found.dtype]
    with open(os.path.join(folder, file_name), "rb") as file:
        file.seek(found.at)
        content = file.read(found.size)
    values = np.frombuffer(content[: len(content) // stored.itemsize * stored.itemsize], stored)
    if len(values) != found.dim or not intact(values[None], found.record["crc"])[0]:
        raise RepositoryDamaged(f"{file_name}: wanted row {row} as it was written; got other bytes")
    return values, found.record, found.dtype


def unpacked(db: sqlite3.Connection, folder: str, kind: str, row: int) -> npt.NDArray[np.float32]:
    """One row as float32, checked.

    Raises
    ------
    RepositoryDamaged
        There is none, or its bytes are not those that were written.
    """
    found = one(db, folder, kind, row)
    if found is None:
        raise RepositoryDamaged(f"{tables.NAME}: wanted row {row} of kind {_check.shown(kind)}; got none")
    values, record, dtype = found
    return PackedSketches(values, record["scale"], record["noise"], dtype).unpack()


def _segment(line: tuple[Any, ...]) -> tuple[Any, ...]:
    """A line of SEGMENTS, checked."""
    return tables.checked("a segment", line)


def _block(line: tuple[Any, ...]) -> tuple[int, int, int, Records]:
    """Number, segment, place and records of a line of BLOCKS, checked."""
    number, kind, segment, begin, first, records, crc = line
    blob = bytes(records) if isinstance(records, (bytes, memoryview)) else str(records)
    tables.checked("a block", (number, kind, segment, begin, first, blob, crc))
    return number, segment, begin, np.frombuffer(records, RECORD)
