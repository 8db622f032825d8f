"""Files: written complete or not at all, and read from disks, pipes and file objects alike."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import stat
from collections.abc import Iterator
from typing import Any, BinaryIO, TypeAlias

import recsketch._check as _check

File: TypeAlias = "str | os.PathLike[str] | BinaryIO"

PART = ".recsketch-{}.part"  # beside the target; no longer than 33 bytes, whatever the target's name
# O_EXCL refuses a name that exists, be it a link that somebody has planted there.
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)


@contextlib.contextmanager
def written(to: Any) -> Iterator[BinaryIO]:
    """A file to write, of which nobody ever sees a part.

    Parameters
    ----------
    to : str, os.PathLike or binary file object
        The last component may be a link, which is followed. A file object gets the bytes when all are known.

    Yields
    ------
    binary file
        It is seekable. For a new file and for an old one of one name, it lies in the target's folder under a random
        name, and takes the target's place when it is complete and on the disk: until then, and after any error, the old
        file stays. Everything else is written in place, from memory, when the body is done: file objects, pipes,
        devices, and files of several names (hard links), all of which then show the new content.

    Raises
    ------
    OSError
        The target or its folder cannot be written: before the body runs where that can be known, so that nobody
        computes in vain. A read-only target is refused as `open` refuses it. The error names `to`, not the file
        beside it.

    Notes
    -----
    An old file keeps its mode and, as far as this user may set them, its group and owner; access control lists are not
    copied. A new file's mode is that of `open`. Only a process that is killed leaves a file `.recsketch-….part`. Cost:
    one more copy on the disk, or in memory if written in place.
    """
    if _is_binary(to, "write"):
        whole = io.BytesIO()
        yield whole
        rest = whole.getbuffer()
        while rest:
            count = to.write(rest)  # an unbuffered file may take a part; one that returns None took all
            if count == 0:
                raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
            rest = rest[len(rest) if count is None else count :]
        return
    path = _check.path("path", to)
    target = os.path.realpath(path)
    part = os.path.join(os.path.dirname(target), PART.format(os.urandom(8).hex()))
    try:
        old = _writable(path)
        alone = old is None or (stat.S_ISREG(old.st_mode) and old.st_nlink == 1)
        with _replacing(target, part, old) if alone else _overwriting(path) as file:
            yield file
    except OSError as e:
        if e.errno is not None and e.filename in (None, part, target):
            raise OSError(e.errno, e.strerror, path) from e
        raise


@contextlib.contextmanager
def opened(source: Any, magic: bytes, wanted: str) -> Iterator[BinaryIO]:
    """A file that begins with these bytes, at its beginning, and seekable.

    File objects, and what cannot be sought in, such as a pipe, are read into memory, once their first bytes are right.

    Raises
    ------
    ValueError
        Other first bytes, or from the body: it names the file, and says what was wanted.
    """
    given = _is_binary(source, "read")
    name = str(getattr(source, "name", type(source).__name__)) if given else _check.path("path", source)
    with contextlib.nullcontext(source) if given else open(name, "rb") as file:
        try:
            head = b""
            while len(head) < len(magic) and (part := file.read(len(magic) - len(head))):  # unbuffered: as above
                head += part
            if head != magic:
                raise ValueError(f"got a file that begins with {head!r}" if head else "got an empty file")
            if given or not file.seekable():
                whole = io.BytesIO()
                whole.name = name
                whole.write(head)
                while part := file.read(1 << 20):
                    whole.write(part)
                file = whole
            file.seek(0)
            yield file
        except (ValueError, TypeError) as e:
            raise ValueError(f"{_check.cut(name, 200)}: wanted {wanted}: {_check.cut(str(e), 700)}") from e


def _is_binary(file: Any, method: str) -> bool:
    return hasattr(file, method) and not isinstance(file, io.TextIOBase)


def _writable(path: str) -> os.stat_result | None:
    """What `path` is, links followed, or None if nothing is there; an OSError if `open` could not write it."""
    if not os.path.basename(path):  # realpath would drop the slash and name a file
        number = errno.EISDIR if path else errno.ENOENT
        raise OSError(number, os.strerror(number), path)
    try:
        old = os.stat(path)
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(old.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    if stat.S_ISREG(old.st_mode):
        os.close(os.open(path, os.O_WRONLY))
    return old


@contextlib.contextmanager
def _replacing(target: str, part: str, old: os.stat_result | None) -> Iterator[BinaryIO]:
    number = os.open(part, _NEW, 0o666 if old is None else 0o600)
    try:
        with open(number, "wb") as file:
            if old is not None:
                _imitate(number, old)
            yield file
            file.flush()
            os.fsync(number)
        os.replace(part, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(part)
        raise
    sync_folder(os.path.dirname(target))


@contextlib.contextmanager
def _overwriting(path: str) -> Iterator[BinaryIO]:
    whole = io.BytesIO()  # an archive's writer seeks, or believes what /dev/null says of its place
    yield whole
    with open(path, "wb") as file:
        file.write(whole.getbuffer())


def _imitate(number: int, old: os.stat_result) -> None:
    """Give an open file the rights of an old one, its group and its owner, as far as the system and this user may."""
    if not hasattr(os, "fchown"):  # Windows: rights come from the folder
        return
    mode = old.st_mode & 0o777
    for owner in (old.st_uid, -1):
        with contextlib.suppress(OSError):
            os.fchown(number, owner, old.st_gid)
            break
    else:
        mode &= 0o707  # it belongs to another group now, which had no rights to the old file
    with contextlib.suppress(OSError):  # file systems without modes
        os.fchmod(number, mode)


def sync_folder(folder: str) -> None:
    """Make a rename last: a folder's entry is data of its own. Systems that cannot sync a folder do so by themselves.

    An error here comes when the new file is in its place already, and says that a power failure may undo that.
    """
    if os.name != "posix":
        return
    try:
        number = os.open(folder, os.O_RDONLY)
    except PermissionError:  # a folder that this user may enter and write, but not list
        return
    try:
        os.fsync(number)
    except OSError as e:
        if e.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(number)
