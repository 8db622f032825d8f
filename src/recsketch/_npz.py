"""Arrays in one file: written complete or not at all, read without trust."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np

from recsketch import _check

FORMAT = 1

Made = TypeVar("Made")


def save(path: object, arrays: Mapping[str, Any]) -> None:
    """Write an uncompressed .npz of the arrays and the format's number. An old file stays until the new one is done."""
    import threading

    target = _check.path("path", path)
    part = f"{target}.{os.getpid()}.{threading.get_ident()}.part"
    try:
        with open(part, "wb") as f:
            np.savez(f, recsketch=np.array(FORMAT), **arrays)
            f.flush()
            os.fsync(f.fileno())
        os.replace(part, target)
        _sync_folder(target)
    except BaseException:
        if os.path.exists(part):
            os.unlink(part)
        raise


def load(path: object, names: set[str], writer: str, make: Callable[[dict[str, Any]], Made]) -> Made:
    """What `make` makes of the arrays of these names that `writer` wrote.

    Raises
    ------
    ValueError
        Another, a damaged or a hostile file, or one of which `make` makes nothing; pickles are never read.
    """
    source = _check.path("path", path)
    with open(source, "rb") as f:
        try:
            with np.load(f, allow_pickle=False) as npz:
                if any(member.compress_type for member in npz.zip.infolist()):  # a small file may hold terabytes
                    raise ValueError("wanted uncompressed arrays; got compressed ones")
                wanted = {"recsketch", *names}
                if set(npz.files) != wanted:
                    raise ValueError(f"wanted the arrays {sorted(wanted)}; got {sorted(npz.files)}")
                if npz["recsketch"].tolist() != FORMAT:
                    raise ValueError(f"wanted format {FORMAT}; got {npz['recsketch'].tolist()}")
                arrays = {name: npz[name] for name in names}
            return make(arrays)
        except Exception as e:  # zipfile, zlib and numpy raise a dozen types on damaged files
            raise ValueError(f"{source}: wanted a file written by {writer}: {e}") from e


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
