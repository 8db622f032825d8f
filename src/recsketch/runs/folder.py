"""A folder of runs that grows: what was acknowledged survives a kill, and is read where it lies."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import recsketch._check as _check
from recsketch._files import sync_folder
from recsketch._lock import WriterLock
from recsketch.runs.batch import TraceBatch, as_batch
from recsketch.runs.parquet import pieces, sizes
from recsketch.runs.trace import Trace

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    import numpy.typing as npt

PART = 1 << 26  # bytes of columns, from which on runs are written without being asked
SMALL = 1 << 20  # bytes of a file, below which the next runs join it
NAME = re.compile(r"runs-(\d{12})\.npz")

Runs = Trace | TraceBatch | Iterable[Trace]


class TraceWriter:
    """Appends runs to a folder of .npz files.

    Parameters
    ----------
    folder : str or os.PathLike
        Made if it is not there. Runs that are there stay.

    Raises
    ------
    FolderInUse
        Another writer has it open.
    ValueError
        The folder's files are damaged, or one is missing.
    OSError
        The folder cannot be written.

    Notes
    -----
    Once `flush` or `close` has returned, the runs appended before are on the disk, and neither a kill nor a power
    failure takes them. Each file `runs-N.npz`, N being the number of its first run, appears whole or not at all. While
    the last one is below 1 MiB, the next runs join it, so that files do not become many; such a flush writes up to 1
    MiB anew. Beyond 64 MiB of columns runs are written without being asked.

    Examples
    --------
    >>> import recsketch as rs
    >>> trace = rs.Trace()
    >>> trace.outputs([trace.add("eye", [1.0, 2.0])])
    >>> with rs.TraceWriter("runs") as writer:
    ...     writer.append(trace, ids=["monday"])
    ...     writer.flush()
    ...     writer.append([trace], ids=["tuesday"])
    1
    >>> rs.TraceFolder("runs").read().ids.tolist()
    ['monday', 'tuesday']
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self._folder = _check.path("folder", folder)
        os.makedirs(self._folder, exist_ok=True)
        sync_folder(os.path.dirname(os.path.abspath(self._folder)))
        self._lock: WriterLock | None = WriterLock(os.path.join(self._folder, "lock"), "a folder of runs")
        self._waiting: list[TraceBatch] = []
        self._bytes = 0
        try:
            there = TraceFolder(self._folder)
            self._rows = len(there)
            self._last = there._parts[-1] if there._parts else None
        except BaseException:
            self.close()
            raise

    def append(
        self,
        runs: Runs,
        ids: npt.ArrayLike | None = None,
        times: npt.ArrayLike | Sequence[datetime | None] | None = None,
    ) -> None:
        """Take runs, to be written by the next `flush`.

        Parameters
        ----------
        runs : Trace, TraceBatch or iterable of Trace
        ids, times : optional
            As of TraceBatch; a batch that has its own brings them.

        Raises
        ------
        ValueError, TypeError
            Something else, or ids or times where the runs before have none, or none where they have; the writer is then
            unchanged.
        OSError
            More than 64 MiB were waiting, and could not be written.
        """
        self._open()
        batch = as_batch(runs, "runs")[0]
        columns = {name: getattr(batch, name) for name in TraceBatch.__slots__}
        for name, given in (("ids", ids), ("times", times)):
            if given is not None and columns[name] is not None:
                raise ValueError(f"{name}: wanted none, since the batch has its own; got {_check.describe(given)}")
            columns[name] = given if columns[name] is None else columns[name]
        batch = TraceBatch(**columns)
        if not len(batch):
            return
        before = self._waiting[-1] if self._waiting else self._last
        for name in ("ids", "times") if before is not None else ():
            if (getattr(batch, name) is None) != (getattr(before, name) is None):
                wanted, got = ("none", "some") if getattr(before, name) is None else (name, "none")
                raise ValueError(f"{name}: wanted {wanted}, as of the runs before; got {got}")
        self._waiting.append(batch[:])
        self._bytes += int(sizes(batch)[-1])
        if self._bytes > PART:
            self.flush()

    def flush(self) -> int:
        """Return when all runs are on the disk, and how many there are in the folder.

        Raises
        ------
        OSError
            They could not be written; they still wait, and what was acknowledged before is as it was.
        """
        self._open()
        if not self._waiting:
            return self._rows
        batch = TraceBatch.concat(self._waiting)
        self._waiting, before = [batch], sizes(batch)
        for part in pieces(before, PART):
            runs, first = batch[part], self._rows
            if self._last is not None and sizes(self._last)[-1] < SMALL:
                first -= len(self._last)
                runs = TraceBatch.concat([self._last, runs])
            path = os.path.join(self._folder, f"runs-{first:012d}.npz")
            runs.save(path)
            self._last, self._rows = runs, first + len(runs)
            self._waiting = [batch[part.stop :]]
            self._bytes = int(before[-1] - before[part.stop])
        self._waiting = []
        return self._rows

    def close(self) -> None:
        """Flush, and let others write."""
        try:
            if self._lock is not None and self._waiting:
                self.flush()
        finally:
            if self._lock is not None:
                self._lock.release()
            self._lock = None

    def __enter__(self) -> TraceWriter:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def _open(self) -> None:
        if self._lock is None:
            raise ValueError("writer: wanted an open one; got one that was closed")


class TraceFolder:
    """The runs of a folder that a TraceWriter has written, or goes on writing.

    Parameters
    ----------
    folder : str or os.PathLike

    Raises
    ------
    ValueError
        A file is damaged or missing.
    OSError
        The folder or a file cannot be read.

    Notes
    -----
    It has the runs that were acknowledged when it was made; make another to see more. Files are mapped into memory:
    making one reads their offsets, modules and ids, and nothing else. Iterating gives a TraceBatch a file.

    Examples
    --------
    >>> import recsketch as rs
    >>> trace = rs.Trace()
    >>> trace.outputs([trace.add("eye", [1.0, 2.0])])
    >>> with rs.TraceWriter("more") as writer:
    ...     writer.append([trace] * 3)
    >>> folder = rs.TraceFolder("more")
    >>> len(folder), [len(batch) for batch in folder], len(folder.read(1, 3))
    (3, [3], 2)
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        path = _check.path("folder", folder)
        names = sorted(name for name in os.listdir(path) if NAME.fullmatch(name))
        self._parts: list[TraceBatch] = []
        self._ends = [0]
        for name in names:
            if int(name[5:17]) != self._ends[-1]:
                raise ValueError(f"{_check.cut(path, 200)}: wanted run {self._ends[-1]} first in a file; got {name}")
            self._parts.append(TraceBatch.load(os.path.join(path, name), mapped=True))
            self._ends.append(self._ends[-1] + len(self._parts[-1]))

    def __len__(self) -> int:
        return self._ends[-1]

    def __iter__(self) -> Iterator[TraceBatch]:
        return iter(self._parts)

    def read(self, begin: int = 0, end: int | None = None) -> TraceBatch:
        """The runs from number `begin` to before `end`, or to the last, as a batch of its own.

        Raises
        ------
        ValueError, TypeError
            Numbers that are no integers from 0 to the number of runs.
        """
        first = _check.integer("begin", begin, 0, len(self))
        last = len(self) if end is None else _check.integer("end", end, first, len(self))
        found = [
            part[max(0, first - start) : max(0, last - start)]
            for start, part in zip(self._ends, self._parts, strict=False)
            if start < last and start + len(part) > first
        ]
        return TraceBatch.concat(found)
