"""Writing: rows to segment files, then one commit that names them; deleted rows are wiped after the commit.

The order is what makes it safe. Rows are on the disk, and their file's name is, before the index names them: whatever
the index says is there. A row is wiped only when the index no longer names it.
"""

from __future__ import annotations

import contextlib
import math
import os
import sqlite3
import warnings
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

import recsketch._check as _check
import recsketch.repository.approximate.files as files
import recsketch.repository.conditions as conditions
import recsketch.repository.tables as tables
from recsketch.repository.columns import Columns, place
from recsketch.repository.conditions import Scalar
from recsketch.repository.disk import Disk
from recsketch.repository.errors import RepositoryDamaged, RepositoryWarning
from recsketch.repository.segments import FULL, HEADER, RECORD, TYPES, Rows, Segment, header, name
from recsketch.repository.segments import crcs as row_crcs
from recsketch.repository.state import OBJECT, State, read_state, write_state
from recsketch.sketching.packing import PackedSketches, pack

if TYPE_CHECKING:
    import numpy.typing as npt

PIECE, MOST = 1 << 23, 4096  # bytes as float32, and rows, of a block


class Writer:
    """Appends and deletes rows within transactions.

    Parameters
    ----------
    disk : Disk
    folder : str
    db : sqlite3.Connection
    identity : bytes
        The repository's.
    """

    def __init__(self, disk: Disk, folder: str, db: sqlite3.Connection, identity: bytes) -> None:
        self._disk, self._folder, self.db, self._identity = disk, folder, db, identity
        self._open: dict[int, int] = {}  # segment -> file
        self._broken = ""
        self._least = 0  # segments from this number on take rows: none of the old generation's in a compaction
        self.state: State
        self._touched: set[int] = set()
        self._new: set[int] = set()
        self._wipes: list[tuple[int, int, int]] = []  # segment, offset in its file and size of rows to be wiped
        self._wiped = 0  # lines of `dead` up to this number are wiped on the disk, which the next commit notes; 0: none
        self._all_wiped = True  # all that should be: after a failure nothing is noted, and the next opening wipes again

    def close(self) -> None:
        """Note what was wiped since the last commit, so that the next opening need not wipe it again."""
        if self._wiped and not self._broken:
            with contextlib.suppress(OSError, sqlite3.Error), self.transaction():
                pass
        for number in self._open.values():
            os.close(number)
        self._open = {}

    # ------------------------------------------------------------ transactions

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """What is done in the body lasts when this returns, all of it; after an error none of it is there.

        Raises
        ------
        OSError
            The disk is full or failed. Where it is not known what reached the disk, nothing more is written: the
            repository has to be opened again, which finds out.
        """
        self._usable()
        db = self.db
        db.execute("BEGIN IMMEDIATE")
        self.state = read_state(db)
        self._touched, self._new, self._wipes = set(), set(), []
        try:
            yield
            self._finish()
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                db.execute("ROLLBACK")
            self._undo()
            raise
        self._wipe(self._wipes)

    def _usable(self) -> None:
        if self._broken:
            wanted = "a repository that wrote all it was given"
            raise OSError(f"{self._folder}: wanted {wanted}; got one to be opened again: {self._broken}")

    def _finish(self) -> None:
        try:
            for segment in sorted(self._touched):
                self._disk.sync(self._open[segment])
            if self._new:
                self._disk.sync_folder(self._folder)
            if self._wiped:
                self.db.execute("UPDATE dead SET wiped = 1 WHERE id <= ? AND wiped = 0", (self._wiped,))
            self.state = self.state._replace(changes=self.state.changes + 1)
            write_state(self.db, self.state)
            self._disk.commit(self.db)
            self._wiped = 0
        except BaseException as e:
            self._broken = _check.cut(str(e) or type(e).__name__, 200)
            raise

    def _undo(self) -> None:
        """Take back rows that no commit names; what cannot be taken back is cut when the repository is next opened."""
        if self._broken:  # the commit may have reached the disk, and then names them
            return
        for segment in self._touched:
            with contextlib.suppress(OSError):
                if segment in self._new:
                    os.close(self._open.pop(segment))
                    self._disk.remove(self._path(segment))
                else:
                    self._disk.cut(self._open[segment], self._length(segment))

    # ------------------------------------------------------------ rows

    def numbers(self, count: int) -> Rows:
        """So many row numbers that were never given."""
        first = self.state.next_row
        self.state = self.state._replace(next_row=first + count)
        return np.arange(first, first + count)

    def append(self, kind: str, dtype: str, rows: Rows, sketches: npt.NDArray[np.float32] | PackedSketches) -> None:
        """Write sketches (n, d) of row numbers that ascend beyond all others of that kind."""
        step = max(1, min(MOST, PIECE // (4 * _dim(sketches))))
        for first in range(0, len(rows), step):
            part = slice(first, first + step)
            self._append(kind, dtype, rows[part], sketches[part])

    def _append(self, kind: str, dtype: str, rows: Rows, sketches: npt.NDArray[np.float32] | PackedSketches) -> None:
        values, records = stored(sketches, dtype)
        dim = values.shape[1]
        segment, place = self._tail(kind, dtype, dim)
        records["row"], records["crc"] = rows, row_crcs(values)
        self._touched.add(segment)
        self._disk.write(self._file(segment), HEADER + place * dim * values.itemsize, values.data.cast("B"))
        line = (kind, segment, place, int(rows[0]))
        blob = records.tobytes()
        number = self.db.execute("SELECT coalesce(max(id), 0) + 1 FROM blocks").fetchone()[0]
        self.db.execute(
            "INSERT INTO blocks VALUES (?, ?, ?, ?, ?, ?, ?)", (number, *line, blob, tables.crc(number, *line, blob))
        )
        fields = (segment, kind, dtype, dim, place + len(rows))
        self.db.execute("INSERT OR REPLACE INTO segments VALUES (?, ?, ?, ?, ?, ?)", (*fields, tables.crc(*fields)))

    def _tail(self, kind: str, dtype: str, dim: int) -> tuple[int, int]:
        """The segment that takes the next rows of a kind, and how many it has."""
        size = dim * TYPES[dtype].itemsize
        line = self.db.execute("SELECT id, rows FROM segments WHERE kind = ? ORDER BY id DESC LIMIT 1", (kind,))
        found = line.fetchone()
        if found is not None and found[1] * size < FULL and found[0] >= self._least:
            return found[0], found[1]
        segment = self.state.next_segment
        self.state = self.state._replace(next_segment=segment + 1)
        self._open[segment] = self._disk.create(self._path(segment))
        self._new.add(segment)
        self._touched.add(segment)
        self._disk.write(self._open[segment], 0, memoryview(header(self._identity, segment, dtype, dim)))
        return segment, 0

    def _file(self, segment: int) -> int:
        if segment not in self._open:
            self._open[segment] = self._disk.open(self._path(segment))
        return self._open[segment]

    def _path(self, segment: int) -> str:
        return os.path.join(self._folder, name(segment))

    def _length(self, segment: int) -> int:
        rows, dim, dtype = self.db.execute("SELECT rows, dim, dtype FROM segments WHERE id = ?", (segment,)).fetchone()
        return HEADER + int(rows) * int(dim) * int(TYPES[dtype].itemsize)

    # ------------------------------------------------------------ runs and objects

    def put_runs(self, rows: Rows, keys: Sequence[str], metadata: Sequence[dict[str, Scalar]]) -> None:
        """Lines of runs, whose keys must be new."""
        lines, tags, digest = [], [], self.state.digest
        for row, key, about in zip(rows.tolist(), keys, metadata, strict=True):
            text = conditions.dumped(about) if about else "{}"
            lines.append((row, key, text, zlib.crc32(f"{row}\0{key}\0{text}".encode())))  # `tables.crc`, in a line
            digest += lines[-1][-1]
            tags += conditions.tags(row, about)
        try:
            self.db.executemany("INSERT INTO runs VALUES (?, ?, ?, ?)", lines)
        except sqlite3.IntegrityError:
            for key in keys:
                line = self.db.execute("SELECT row FROM runs WHERE key = ?", (key,)).fetchone()
                if line is not None and line[0] not in rows:
                    text = f"keys: wanted new ones; got {_check.shown(key)}, which is there: update it"
                    raise ValueError(text) from None
            raise
        self.db.executemany("INSERT INTO tags VALUES (?, ?, ?)", tags)
        self.state = self.state._replace(runs=self.state.runs + len(lines), digest=digest % 2**63)

    def drop_runs(self, lines: Iterable[tuple[int, str, dict[str, Scalar]]]) -> None:
        """Take out the lines of runs."""
        for row, _, about in lines:
            (crc,) = self.db.execute("SELECT crc FROM runs WHERE row = ?", (row,)).fetchone()
            self.db.execute("DELETE FROM runs WHERE row = ?", (row,))
            tags = conditions.tags(row, about)
            self.db.executemany("DELETE FROM tags WHERE name = ? AND value = ? AND row = ?", tags)
            self.state = self.state._replace(runs=self.state.runs - 1, digest=(self.state.digest - crc) % 2**63)

    def put_objects(self, kind: str, rows: Rows, places: Sequence[tuple[int, str, float]]) -> None:
        """Lines of objects of one kind: their run, path and confidence."""
        fields = [(row, kind, *place) for row, place in zip(rows.tolist(), places, strict=True)]
        self.db.executemany("INSERT INTO objects VALUES (?, ?, ?, ?, ?, ?)", [(*f, tables.crc(*f)) for f in fields])

    def put_edges(self, table: str, lines: Iterable[tuple[int, bytes]]) -> None:
        """Lines of a table of edges, `inputs` or `near`, in the place of what it has: a run's row, and its edges."""
        fields = [(*line, tables.crc(*line)) for line in lines]
        self.db.executemany(f"INSERT OR REPLACE INTO {table} VALUES (?, ?, ?)", fields)

    def drop_links(self) -> None:
        """Forget which runs are alike: `graph` finds it out anew."""
        self.db.execute("DELETE FROM near")
        self.db.execute("DELETE FROM centre")

    def put_centre(self, rows: int, mean: npt.NDArray[np.float32]) -> None:
        """The mean that links are made with, from now on."""
        fields = (rows, mean.astype("<f4").tobytes())
        self.db.execute("INSERT INTO centre VALUES (?, ?, ?)", (*fields, tables.crc(*fields)))

    def drop_rows(self, runs: Rows) -> None:
        """Delete what there is of runs, by their rows: sketches and objects."""
        kinds = [k for (k,) in self.db.execute("SELECT DISTINCT kind FROM segments") if not k.startswith(OBJECT)]
        gone = [(kind, row) for kind in kinds for row in runs.tolist()]
        for run in runs.tolist():
            gone += self.db.execute("SELECT kind, row FROM objects WHERE run = ?", (run,)).fetchall()
            for table in ("objects", "inputs", "near"):
                self.db.execute(f"DELETE FROM {table} WHERE run = ?", (run,))
        there = []
        for kind, row in gone:
            found = place(self.db, kind, row)
            if found is not None:
                there.append((kind, row))
                self._wipes.append((found.segment, found.at, found.size))
        self.db.executemany("INSERT INTO dead (kind, row, wiped) VALUES (?, ?, 0)", there)

    def _wipe(self, places: Iterable[tuple[int, int, int]]) -> None:
        """Write zeros over rows that are dead. After an error the next opening does it."""
        before, self._all_wiped = self._all_wiped, False
        touched = set()
        for segment, at, size in places:
            self._disk.write(self._file(segment), at, memoryview(bytes(size)))
            touched.add(segment)
        for segment in touched:
            self._disk.sync(self._open[segment])
        self._all_wiped = before
        if touched and before:
            self._wiped = self.db.execute("SELECT max(id) FROM dead").fetchone()[0]

    def put_index(self, kind: str, arrays: files.Arrays) -> None:
        """Write an index for approximate search, in the place of an old one; no commit has to do with it."""
        self._usable()
        files.put(self._disk, self._folder, kind, arrays)

    # ------------------------------------------------------------ opening and compaction

    def recover(self) -> None:
        """Cut what no commit names, and wipe what was deleted before a crash.

        Warns
        -----
        RepositoryWarning
            Something was cut: an add that was not finished.
        """
        known = {name(s) for (s,) in self.db.execute("SELECT id FROM segments")}
        cut = files.drop(self._disk, self._folder, files.PART)
        for file in sorted(os.listdir(self._folder)):
            if file.endswith(".rows") and file not in known:
                self._disk.remove(os.path.join(self._folder, file))
                cut.append(file)
        for (segment,) in self.db.execute("SELECT id FROM segments").fetchall():
            path, length = self._path(segment), self._length(segment)
            size = os.path.getsize(path) if os.path.exists(path) else 0
            if size < length:
                raise RepositoryDamaged(f"{path}: wanted {length} bytes; got {size}")
            if size > length:
                self._disk.cut(self._file(segment), length)
                cut.append(f"{size - length} bytes of {name(segment)}")
        if cut:
            text = f"cut what an unfinished write left behind: {_check.listed(cut)}"
            warnings.warn(f"{_check.cut(self._folder, 200)}: {text}", RepositoryWarning, stacklevel=4)
        places = []
        for kind, row in self.db.execute("SELECT kind, row FROM dead WHERE wiped = 0 ORDER BY row").fetchall():
            try:
                found = place(self.db, kind, row)
            except RepositoryDamaged:  # `check` tells of it; zeros in a wrong place would cost another row
                self._all_wiped = False
                continue
            if found is not None:
                places.append((found.segment, found.at, found.size))
        self._wipe(places)

    def compact(self, columns: Columns) -> None:
        """Append all rows that live, which `columns` has, to new segments, and let the old ones go."""
        self._usable()
        files.drop(self._disk, self._folder)  # they hold what was deleted, and must not outlive this, even in a crash
        with self.transaction():
            old = [s for (s,) in self.db.execute("SELECT id FROM segments")]
            self._least = self.state.next_segment
            self.db.execute("UPDATE blocks SET kind = 'old ' || kind")
            self.db.execute("UPDATE segments SET kind = 'old ' || kind")
            for kind in columns.kinds:
                for s in columns.known(kind).segments:
                    self._copy(kind, s)
            self.db.execute("DELETE FROM blocks WHERE kind LIKE 'old %'")
            self.db.execute("DELETE FROM segments WHERE kind LIKE 'old %'")
            if self.db.execute("SELECT 1 FROM dead LIMIT 1").fetchone():  # links and their mean may know deleted runs
                self.drop_links()
            self.db.execute("DELETE FROM dead")
            self._wiped = 0
            self.state = self.state._replace(generation=self.state.generation + 1)
        for segment in old:
            if segment in self._open:
                os.close(self._open.pop(segment))
            with contextlib.suppress(OSError):  # Windows keeps what a reader has mapped; the next opening cuts it
                self._disk.remove(self._path(segment))
        self._disk.sync_folder(self._folder)
        with contextlib.suppress(sqlite3.OperationalError), tables.at_once(self.db):  # or the room is used again
            self.db.execute("PRAGMA incremental_vacuum").fetchall()
        tables.empty_log(self.db)

    def _copy(self, kind: str, s: Segment) -> None:
        at = np.flatnonzero(s.alive)
        step = max(1, PIECE // (4 * s.dim))
        for first in range(0, len(at), step):
            part = at[first : first + step]
            packed = PackedSketches(s.copied(part), s.records["scale"][part], s.records["noise"][part], s.dtype)
            self.append(kind, s.dtype, s.rows[part], packed)


def as_stored(sketches: npt.NDArray[np.float32] | PackedSketches, dtype: str) -> npt.NDArray[np.float32]:
    """What is read of sketches once they are stored, bit by bit."""
    values, records = stored(sketches, dtype)
    return PackedSketches(values, records["scale"], records["noise"], dtype).unpack()


def _dim(sketches: npt.NDArray[np.float32] | PackedSketches) -> int:
    return sketches.dim if isinstance(sketches, PackedSketches) else int(sketches.shape[1])


def stored(sketches: npt.NDArray[np.float32] | PackedSketches, dtype: str) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Values as they are stored, and records without row and CRC. What is packed so already is kept bit by bit."""
    if isinstance(sketches, PackedSketches) and sketches.dtype != dtype:
        sketches = sketches.unpack()
    records = np.zeros(len(sketches), RECORD)
    if dtype == "float32" and not isinstance(sketches, PackedSketches):
        values: npt.NDArray[Any] = np.ascontiguousarray(sketches, TYPES[dtype])
        records["scale"] = 1
    else:
        packed = sketches if isinstance(sketches, PackedSketches) else pack(sketches, dtype)
        values = np.ascontiguousarray(packed.values, TYPES[dtype])
        records["scale"], records["noise"] = packed.scale, packed.noise
    records["norm"] = norms(values) * records["scale"].astype(np.float64)
    return values, records


def norms(values: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Of rows of any type; squares neither overflow nor vanish.

    Squares are summed in float32 over stretches of at most 1,024, whose sums are added in float64.
    """
    y = values.astype(np.float32, copy=False)
    n, d = y.shape
    parts = y.reshape(n, -1, math.gcd(d, 1024))
    with np.errstate(over="ignore", under="ignore"):
        square = np.einsum("ijk,ijk->ij", parts, parts).sum(axis=1, dtype=np.float64)
    if np.all((square > 1e-24) & (square < 1e30)):
        return np.asarray(np.sqrt(square))
    return np.asarray(np.linalg.norm(y.astype(np.float64), axis=1))
