"""Files: written complete or not at all; of arrays, read without trust."""

from __future__ import annotations

import contextlib
import errno
import io
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any, BinaryIO, TypeVar

import numpy as np

import recsketch._check as _check

FORMAT = 1

Made = TypeVar("Made")


def save(path: object, arrays: Mapping[str, Any]) -> None:
    """Write an uncompressed .npz of the arrays and the format's number, as `written` does."""
    with written(path) as f:
        np.savez(f, recsketch=np.array(FORMAT), **arrays)


@contextlib.contextmanager
def written(path: object) -> Iterator[BinaryIO]:
    """A file to write, of which nobody ever sees a part: an old one stays until the new one is done and on the disk.

    A link is followed; what is no regular file, such as a pipe or /dev/null, is written in place.

    Raises
    ------
    OSError
        It names `path`, not the file beside it.
    """
    import threading

    named = _check.path("path", path)
    part = target = None
    try:
        if not os.path.basename(named):  # realpath would drop the slash and name a file
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), named)
        if os.path.exists(named) and not os.path.isfile(named):
            whole = io.BytesIO()  # an archive's writer seeks, or believes what /dev/null says of its place
            yield whole
            with open(named, "wb") as f:
                f.write(whole.getbuffer())
            return
        target = os.path.realpath(named)
        part = f"{target}.{os.getpid()}.{threading.get_ident()}.part"
        with open(part, "wb") as f:
            yield f
            f.flush()
            os.fsync(f.fileno())
        os.replace(part, target)
        _sync_folder(target)
    except BaseException as e:
        if part is not None:
            with contextlib.suppress(OSError):
                os.unlink(part)
        if isinstance(e, OSError) and e.errno is not None and e.filename in (None, part, target):
            raise OSError(e.errno, e.strerror, named) from e
        raise


def load(path: object, names: set[str], writer: str, make: Callable[[dict[str, Any]], Made]) -> Made:
    """What `make` makes of the arrays of these names that `writer` wrote through `save`; errors as of `read`."""

    def checked(arrays: dict[str, Any]) -> Made:
        if (number := arrays.pop("recsketch").tolist()) != FORMAT:
            raise ValueError(f"wanted format {FORMAT}; got {number}")
        return make(arrays)

    return read(path, {"recsketch", *names}, f"a file written by {writer}", checked)


def read(path: object, names: set[str], wanted: str, make: Callable[[dict[str, Any]], Made]) -> Made:
    """What `make` makes of the arrays of exactly these names.

    Raises
    ------
    ValueError
        Another, a damaged or a hostile file, or one of which `make` makes nothing; pickles are never read.
    """
    source = _check.path("path", path)
    with open(source, "rb") as f:
        try:
            npz: Any = np.load(f, allow_pickle=False)
            if not isinstance(npz, np.lib.npyio.NpzFile):
                raise ValueError("got a single array")
            members = npz.zip.infolist() if npz.zip else ()  # open: there is one
            if any(member.compress_type for member in members):  # a small file may hold terabytes
                raise ValueError("wanted uncompressed arrays; got compressed ones")
            if set(npz.files) != names:
                raise ValueError(f"wanted the arrays {sorted(names)}; got {sorted(npz.files)}")
            return make({name: npz[name] for name in names})
        except Exception as e:  # zipfile, zlib and numpy raise a dozen types on damaged files
            raise ValueError(f"{source}: wanted {wanted}: {e}") from e


def _sync_folder(target: str) -> None:
    """Make a rename last: the folder's entry is data of its own. Systems that cannot do that do it by themselves."""
    import errno

    if os.name != "posix":
        return
    folder = os.open(os.path.dirname(os.path.abspath(target)), os.O_RDONLY)
    try:
        os.fsync(folder)
    except OSError as e:
        if e.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(folder)
