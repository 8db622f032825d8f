"""Segment files: a header of one page, and rows of one type and length after it (docs/format.md, "Repositories")."""

from __future__ import annotations

import mmap
import os
import struct
import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

import recsketch._check as _check
from recsketch.repository.errors import RepositoryDamaged

if TYPE_CHECKING:
    import numpy.typing as npt

Rows: TypeAlias = "npt.NDArray[np.int64]"
Records: TypeAlias = "npt.NDArray[np.void]"

MAGIC = b"recsketch rows\r\n"
FORMAT = 1
HEADER = 4096  # a page, so that rows begin on one
_HEAD = struct.Struct("<16sI8sqq16s")
_CHECK = struct.Struct("<I")
LEAST_NORM = 1e-30  # a sketch below is taken for zero
FULL = 1 << 28  # bytes of a segment's rows after which the next one is begun

RECORD = np.dtype([("row", "<i8"), ("noise", "<f8"), ("crc", "<u4"), ("scale", "<f4"), ("norm", "<f4")])
"""What is kept of a stored row beside its bytes: its number, its packing, the CRC-32 of its bytes, and its norm once it
is multiplied by `scale`."""

TYPES: dict[str, Any] = {"float32": np.dtype("<f4"), "float16": np.dtype("<f2"), "int8": np.dtype("i1")}
DTYPES = (*TYPES, "int8+float16")  # of a repository: the last stores every sketch in both


def name(segment: int) -> str:
    """Of a segment's file in the repository's folder."""
    return f"{segment:08d}.rows"


def header(repository: bytes, segment: int, dtype: str, dim: int) -> bytes:
    """The first page of a segment file."""
    head = _HEAD.pack(MAGIC, FORMAT, dtype.encode(), segment, dim, repository)
    return (head + _CHECK.pack(zlib.crc32(head))).ljust(HEADER, b"\0")


def check_header(path: str, page: bytes, repository: bytes, segment: int, dtype: str, dim: int) -> None:
    """Refuse a page that `header` did not make of these.

    Raises
    ------
    ValueError
        A segment of another format.
    RepositoryDamaged
        Anything else that is not as it was written.
    """
    file = _check.cut(path, 200)
    if page[:16] == MAGIC and len(page) == HEADER:
        number = int.from_bytes(page[16:20], "little")
        told = _CHECK.unpack_from(page, _HEAD.size)[0]
        if number != FORMAT and told == zlib.crc32(page[: _HEAD.size]):
            raise ValueError(f"{file}: wanted rows of format {FORMAT}; got format {number}")
    if page != header(repository, segment, dtype, dim):
        raise RepositoryDamaged(f"{file}: wanted the header that was written; got another")


def crcs(rows: npt.NDArray[Any]) -> npt.NDArray[np.uint32]:
    """Of each row's bytes."""
    view = rows.data.cast("B")
    step = rows.shape[1] * rows.itemsize
    return np.fromiter((zlib.crc32(view[a : a + step]) for a in range(0, len(view), step)), np.uint32, len(rows))


def intact(rows: npt.NDArray[Any], wanted: npt.NDArray[np.uint32]) -> npt.NDArray[np.bool_]:
    """Whether each row is as it was written, by its CRC."""
    return np.asarray(crcs(rows) == wanted)


class Segment:
    """A segment file as readers have it: mapped when rows are first looked at, each row checked once.

    Parameters
    ----------
    folder : str
    repository : bytes
    number : int
    dtype : str
    dim : int
    """

    def __init__(self, folder: str, repository: bytes, number: int, dtype: str, dim: int) -> None:
        self.path = os.path.join(folder, name(number))
        self.number, self.dtype, self.dim = number, dtype, dim
        self._repository = repository
        self._stored = TYPES[dtype]
        self.records: Records = np.zeros(0, RECORD)
        self.rows: Rows = np.zeros(0, np.int64)
        self.alive: npt.NDArray[np.bool_] = np.zeros(0, np.bool_)
        self._seen: npt.NDArray[np.bool_] = np.zeros(0, np.bool_)
        self._checked = 0  # rows, all of the first so many
        self._mapped: npt.NDArray[Any] | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def extend(self, records: Sequence[Records]) -> None:
        """More rows were committed behind those that are known."""
        self.records = np.concatenate([self.records, *records])
        more = len(self.records) - len(self.rows)
        self.rows = np.ascontiguousarray(self.records["row"])
        self.alive = np.append(self.alive, np.ones(more, np.bool_))
        self._seen = np.append(self._seen, np.zeros(more, np.bool_))

    def kill(self, rows: Rows) -> None:
        """These rows, if they are here, are deleted."""
        self.alive[self.places(rows)] = False

    def places(self, rows: Rows) -> npt.NDArray[np.intp]:
        """Where these rows stand, those that are not here left out; `rows` ascend."""
        at = np.searchsorted(self.rows, rows)
        here = at < len(self.rows)
        here[here] = self.rows[at[here]] == rows[here]
        return np.asarray(at[here])

    def values(self) -> npt.NDArray[Any]:
        """(n, d) rows as they are stored, mapped, not checked.

        Raises
        ------
        FileNotFoundError
            There is no such file: a compaction has removed it, or something else.
        RepositoryDamaged
            It is too short, or has another header.
        """
        if self._mapped is None or len(self._mapped) < len(self):
            with open(self.path, "rb") as file:
                whole = HEADER + len(self) * self.dim * self._stored.itemsize
                size = os.fstat(file.fileno()).st_size
                if size < whole:
                    raise RepositoryDamaged(f"{self.path}: wanted {whole} bytes; got {size}")
                page = file.read(HEADER)
                check_header(self.path, page, self._repository, self.number, self.dtype, self.dim)
                pages = mmap.mmap(file.fileno(), whole, access=mmap.ACCESS_READ)
            flat = np.frombuffer(pages, self._stored, offset=HEADER)
            self._mapped = flat.reshape(-1, self.dim)
        return self._mapped[: len(self)]

    def verify(self, places: npt.NDArray[np.intp] | None = None) -> None:
        """Check rows that live and were not checked before, all or those at `places`.

        Raises
        ------
        RepositoryDamaged
            A row's bytes are not those that were written.
        """
        if places is None and self._checked == len(self):
            return
        which = slice(None) if places is None else places
        due = self.alive[which] & ~self._seen[which]
        at = np.flatnonzero(due) if places is None else places[due]
        values, step = self.values(), max(1, (1 << 22) // (self.dim * self._stored.itemsize))
        for first in range(0, len(at), step):  # nothing where there is nothing to check
            part = at[first : first + step]
            whole = len(part) == part[-1] - part[0] + 1
            block = values[part[0] : part[-1] + 1] if whole else values[part]
            bad = np.flatnonzero(~intact(block, self.records["crc"][part]))
            if len(bad):
                raise self._damaged(part[bad[0]])
        self._seen[at] = True
        self._checked = len(self) if places is None else self._checked

    def units(self, places: npt.NDArray[np.intp]) -> npt.NDArray[np.float64]:
        """Rows of norm one, or zero, checked now."""
        return np.asarray(self.copied(places).astype(np.float64) * self.factors(places)[:, None])

    def copied(self, places: npt.NDArray[np.intp]) -> npt.NDArray[Any]:
        """Rows as they are stored, copied before they are checked: a writer may wipe them at any moment.

        Raises
        ------
        RepositoryDamaged
            The bytes of a row that lives are not those that were written.
        """
        rows = np.array(self.values()[places])
        due = np.flatnonzero(self.alive[places])
        bad = np.flatnonzero(~intact(rows[due], self.records["crc"][places[due]]))
        if len(bad):
            raise self._damaged(places[due[bad[0]]])
        return rows

    def _damaged(self, place: np.intp) -> RepositoryDamaged:
        return RepositoryDamaged(f"{self.path}: wanted row {int(self.rows[place])} as it was written; got other bytes")

    def factors(self, places: npt.NDArray[np.intp] | slice = slice(None)) -> npt.NDArray[np.float64]:
        """What stored values are multiplied by to have norm one: 0 for rows that are deleted, or zero."""
        records = self.records[places]
        norm = records["norm"].astype(np.float64)
        good = self.alive[places] & (norm > LEAST_NORM)
        return np.asarray(np.where(good, records["scale"] / np.where(good, norm, 1), 0))
