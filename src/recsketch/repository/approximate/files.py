"""The file of an index: plain arrays, written whole or not at all, and read without trust.

Of each row it has the CRC-32 that the repository has of the stored bytes. A row counts as in the index if both say the
same, whatever happened to the file or to the repository since. faiss reads and writes no file.
"""

from __future__ import annotations

import contextlib
import io
import os
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

import recsketch._check as _check
import recsketch._npz as _npz
from recsketch._check import Floats
from recsketch.repository.disk import Disk
from recsketch.repository.segments import Rows

if TYPE_CHECKING:
    import numpy.typing as npt

PREFIX = "approximate-"  # of the names of all such files
PART = ".part"  # ends the name of one that is not whole yet


class Arrays(NamedTuple):
    """What the file holds, of n rows of d numbers in so many lists.

    Attributes
    ----------
    identity : (16,) uint8
        The repository's.
    mean : (d,) float32
        What was subtracted.
    centres : (lists, d) float32
    ends : (lists + 1,) int64
        Offsets of the lists, in whose order rows are.
    rows : (n,) int64
        Their numbers.
    crcs : (n,) uint32
        CRC-32 of their bytes, as the repository stores them.
    ranges : (2, d) float32
        For each coordinate the smallest value that there is a code for, and how far the largest is from it.
    codes : (n, d) uint8
        Rows of norm one, less the mean, of norm one again: c means smallest + extent · (c + 1/2) / 255.
    """

    identity: npt.NDArray[np.uint8]
    mean: Floats
    centres: Floats
    ends: npt.NDArray[np.int64]
    rows: Rows
    crcs: npt.NDArray[np.uint32]
    ranges: Floats
    codes: npt.NDArray[np.uint8]


def name(kind: str) -> str:
    """Of the file for a kind of rows, in the repository's folder."""
    return f"{PREFIX}{kind}.npz"


def put(disk: Disk, folder: str, kind: str, arrays: Arrays) -> None:
    """Write the file, in the place of an old one. Cost: once more the memory of the arrays."""
    whole = io.BytesIO()
    _npz.write(whole, arrays._asdict())
    path = os.path.join(folder, name(kind))
    part = path + PART
    number = disk.create(part)
    try:
        try:
            disk.write(number, 0, whole.getbuffer())
            disk.sync(number)
        finally:
            os.close(number)
        disk.rename(part, path)
    except BaseException:
        with contextlib.suppress(OSError):
            disk.remove(part)
        raise
    disk.sync_folder(folder)


def drop(disk: Disk, folder: str, ending: str = "") -> list[str]:
    """Take away all such files, or those whose names end so, and say which these were."""
    found = [file for file in sorted(os.listdir(folder)) if file.startswith(PREFIX) and file.endswith(ending)]
    for file in found:
        disk.remove(os.path.join(folder, file))
    if found:
        disk.sync_folder(folder)
    return found


def load(path: str, identity: bytes, dim: int) -> Arrays:
    """Read what `put` wrote.

    Raises
    ------
    OSError
        There is none, or it cannot be read.
    ValueError
        A damaged or a hostile file, or one of another repository.
    """

    def make(found: dict[str, Any]) -> Arrays:
        lists, n = (len(np.atleast_1d(found[what])) for what in ("centres", "rows"))
        shapes = {
            "identity": ((16,), "u1"),
            "mean": ((dim,), "f4"),
            "centres": ((lists, dim), "f4"),
            "ends": ((lists + 1,), "i8"),
            "rows": ((n,), "i8"),
            "crcs": ((n,), "u4"),
            "ranges": ((2, dim), "f4"),
            "codes": ((n, dim), "u1"),
        }
        for what, (shape, dtype) in shapes.items():
            x = found[what]
            if x.shape != shape or x.dtype.newbyteorder("=") != np.dtype(dtype):
                raise ValueError(f"{what}: wanted {np.dtype(dtype)} of shape {shape}; got {_check.describe(x)}")
            found[what] = np.ascontiguousarray(x, dtype)
        made = Arrays(**found)
        if made.identity.tobytes() != identity:
            raise ValueError("wanted an index of this repository; got one of another")
        if not all((np.abs(x) <= 2).all() for x in (made.mean, made.centres, made.ranges)):  # rows have norm one
            raise ValueError("wanted numbers from -2 to 2; got others")
        if not n or made.ends[0] or made.ends[-1] != n or (np.diff(made.ends) < 0).any():
            raise ValueError("ends: wanted offsets of one row or more that ascend; got others")
        return made

    return _npz.load(path, set(Arrays._fields), "SketchRepository.build_index", make)
