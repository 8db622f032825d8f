"""Arrays in an .npz file: uncompressed, numbered by format, and read without trust in anything the file says."""

from __future__ import annotations

import contextlib
import errno
import io
import math
import mmap
import os
from collections.abc import Callable, Iterator, Mapping, Set
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

import numpy as np

import recsketch._check as _check
import recsketch._files as _files

if TYPE_CHECKING:
    from zipfile import ZipFile, ZipInfo

    import numpy.typing as npt

FORMAT = 1
"""Of every file that `save` writes, under the name "recsketch"; `load` refuses any other."""

LONGEST_HEADER = 1000  # characters, of an array; NumPy writes 118, and makes a syntax tree of them
LOCAL_HEADER, ZIP64 = 30, 20  # bytes before a member's name, and of the field for sizes beyond 4 GiB
PIECE = 1 << 18  # bytes read at a time, whose check sum is computed while they are in the cache

Made = TypeVar("Made")


def save(to: object, arrays: Mapping[str, Any]) -> None:
    """Write the arrays to a path or a file object, as `_files.written` does."""
    with _files.written(to) as file:
        write(file, arrays)


def write(file: BinaryIO, arrays: Mapping[str, Any]) -> None:
    """Write the arrays to a seekable file.

    Notes
    -----
    Equal arrays make equal bytes: members have no date. Arrays begin at multiples of 64 bytes, so that they can be used
    where they lie in a mapped file. Cost: the arrays' bytes and some 400 a member on the disk, and a buffer of memory.
    """
    import zipfile  # here, since it takes longer to load than most of the package

    made = {name: np.asanyarray(x) for name, x in {"recsketch": FORMAT, **arrays}.items()}
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in made.items():
            info = zipfile.ZipInfo(f"{name}.npy")
            info.extra = _padding(file.tell() + LOCAL_HEADER + len(info.filename) + ZIP64)
            with archive.open(info, "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def _padding(at: int) -> bytes:
    """An extra field, which readers of zip archives pass over, that ends at a multiple of 64 bytes if it begins at
    `at`. Its number is the one that Android's zipalign uses."""
    size = 4 + -(at + 4) % 64
    return (0xD935).to_bytes(2, "little") + (size - 4).to_bytes(2, "little") + bytes(size - 4)


def load(
    source: object,
    names: Set[str],
    writer: str,
    make: Callable[[dict[str, Any]], Made],
    optional: Set[str] = frozenset(),
    mapped: bool = False,
) -> Made:
    """What `make` makes of the arrays of exactly these names, which `writer` wrote through `save`.

    Parameters
    ----------
    source : str, os.PathLike or binary file object
    names : set of str
    writer : str
        For messages.
    make : callable
        Takes a dict of arrays of at most two dimensions: booleans, numbers or strings. What it refuses with a
        ValueError or TypeError is a file's fault.
    optional : set of str
        Of arrays that may be there, too.
    mapped : bool
        Let arrays be views of the mapped file, whose check sums nobody has compared, instead of copies.

    Raises
    ------
    ValueError
        Another file, a damaged or a hostile one, one of another format, or one of which `make` makes nothing. At most
        1,000 characters long. Pickles are never read.

    Notes
    -----
    Every size that the file claims is compared with the bytes there are before anything is allocated. Cost: a pass over
    the file, and memory for it once; twice if it cannot be sought in.
    """
    with _files.opened(source, b"PK\x03\x04", f"a file written by {writer}") as file:
        return make(_arrays(file, names, optional, mapped))


def intact(path: str) -> None:
    """Compare every array of a file on the disk with its check sum, in one pass that keeps nothing.

    Raises
    ------
    ValueError
        Another file, or damage.
    """
    import zipfile

    with _files.opened(path, b"PK\x03\x04", "a file of arrays") as file:
        with _damage("wanted a zip archive; got a damaged one"):
            archive = zipfile.ZipFile(file)
        with archive, _damage("wanted intact arrays; got damaged ones"):
            for member in archive.infolist():
                with archive.open(member) as part:
                    while part.read(PIECE):
                        pass


def parsed(content: bytes | npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
    """The array in the bytes of an .npy file, which is a view of them.

    Raises
    ------
    ValueError
        Damaged bytes, a header whose claims do not fit the bytes after it, or other elements than booleans, real
        numbers and strings.
    """
    npy, file = np.lib.format, io.BytesIO(bytes(content[: LONGEST_HEADER + 12]))  # 12: what NumPy writes before it
    headers = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
    try:
        shape, fortran, dtype = headers[npy.read_magic(file)](file, max_header_size=LONGEST_HEADER)
    except Exception:  # NumPy has Python's parser read it: even a MemoryError tells of nothing but damage
        raise ValueError("wanted NumPy's array format; got a damaged header") from None
    if dtype.kind not in "biufU" or not dtype.itemsize or len(shape) > 2 or any(n < 0 for n in shape):
        got = f"{_check.shown(dtype)} of shape {_check.shown(shape)}"
        raise ValueError(f"wanted numbers, booleans or strings in at most two dimensions; got {got}")
    begin = file.tell()
    if math.prod(shape) * dtype.itemsize != len(content) - begin:
        got = f"{len(content) - begin} bytes for {dtype} of shape {_check.shown(shape)}"
        raise ValueError(f"wanted an array as large as its header says; got {got}")
    if dtype.kind in "bU":
        unit, most = ("u1", 1) if dtype.kind == "b" else (f"{dtype.str[0]}u4", 0x10FFFF)
        if np.frombuffer(content, unit, offset=begin).max(initial=0) > most:
            raise ValueError("wanted booleans and strings; got bytes that none of them has")
    return np.frombuffer(content, dtype, offset=begin).reshape(shape, order="F" if fortran else "C")


def text(name: str, array: npt.NDArray[Any]) -> str:
    """The one string that an array is."""
    if array.shape or array.dtype.kind != "U":
        raise ValueError(f"{name}: wanted one string; got {_check.describe(array)}")
    return str(array.item())


def texts(name: str, array: npt.NDArray[Any]) -> list[str]:
    """The strings that an array is."""
    if array.ndim != 1 or array.dtype.kind != "U":
        raise ValueError(f"{name}: wanted a vector of strings; got {_check.describe(array)}")
    return [str(x) for x in array.tolist()]


def _arrays(file: BinaryIO, names: Set[str], optional: Set[str], mapped: bool) -> dict[str, Any]:
    import zipfile

    size = file.seek(0, os.SEEK_END)
    with _damage("wanted a zip archive; got a damaged one"):
        archive = zipfile.ZipFile(file)
    with archive:
        members = {member.filename.removesuffix(".npy"): member for member in archive.infolist()}
        if "recsketch" in members:  # first, since another format may have other arrays
            number = _array(archive, "recsketch", members.pop("recsketch"), size)
            if number.shape or number.dtype.kind not in "iu" or number != FORMAT:
                got = _check.describe(number if number.shape else number.item())
                raise ValueError(f"wanted format {FORMAT}; got {got}")
        if set(members) - optional != names - optional or len(archive.infolist()) != len(members) + 1:
            found = sorted(member.filename.removesuffix(".npy") for member in archive.infolist())
            raise ValueError(f"wanted the arrays {sorted({'recsketch', *names})}; got {_check.listed(found)}")
        memory = np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), np.uint8) if mapped else None
        return {name: _array(archive, name, member, size, memory) for name, member in members.items()}


def _array(
    archive: ZipFile, name: str, member: ZipInfo, size: int, memory: npt.NDArray[np.uint8] | None = None
) -> npt.NDArray[Any]:
    if member.compress_type:  # a small file may hold terabytes
        raise ValueError(f"{name}: wanted an uncompressed array; got a compressed one")
    if member.file_size != member.compress_size or member.header_offset + member.compress_size > size:
        raise ValueError(f"{name}: wanted at most {size} bytes, the whole file's; got {member.file_size}")
    if memory is not None:
        header = memory[member.header_offset : member.header_offset + LOCAL_HEADER].tobytes()
        begin = member.header_offset + LOCAL_HEADER + sum(int.from_bytes(header[i : i + 2], "little") for i in (26, 28))
        content = memory[begin : begin + member.file_size]
    else:
        content = np.empty(member.file_size, np.uint8)
        view = content.data
        with _damage(f"{name}: wanted an intact array; got a damaged one"), archive.open(member) as file:
            for at in range(0, len(view), PIECE):
                part = file.read(PIECE)
                view[at : at + len(part)] = part
    try:
        return parsed(content)
    except ValueError as e:
        raise ValueError(f"{name}: {e}") from None


@contextlib.contextmanager
def _damage(message: str) -> Iterator[None]:
    """Let whatever zipfile raises on damaged bytes, which is half a dozen types, be a ValueError in our own words."""
    try:
        yield
    except Exception as e:
        if isinstance(e, MemoryError) or (isinstance(e, OSError) and e.errno not in (None, errno.EINVAL)):
            raise  # the machine's error, not the file's; EINVAL is a seek to where a damaged file points
        raise ValueError(message) from None
