"""One writer: a lock that the kernel holds for an open file, and lets go when the process ends, however it ends."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
import sys

import recsketch._check as _check

_BEYOND = 1 << 20  # Windows locks bytes; one that nobody reads leaves the holder's name readable


class FolderInUse(OSError):
    """Another process, or another object of this one, is writing into the folder."""


class WriterLock:
    """The right to write, from when it is made until `release`.

    Parameters
    ----------
    path : str
        The lock file, made if it is not there and never removed. It says who holds it, and is empty when it was let go.
    wanted : str
        For the message: "a folder".
    error : type
        Of the error.

    Raises
    ------
    FolderInUse
        Somebody else holds it; the message says who, by process and host.
    """

    def __init__(self, path: str, wanted: str = "a folder", error: type[FolderInUse] = FolderInUse) -> None:
        self._number = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o666)
        try:
            _take(self._number)
        except OSError as e:
            text = os.pread(self._number, 1000, 0) if hasattr(os, "pread") else os.read(self._number, 1000)
            os.close(self._number)
            if e.errno not in (errno.EACCES, errno.EAGAIN, errno.EDEADLK):
                raise
            message = f"{_check.cut(path, 200)}: wanted {wanted} that nobody else writes; got one that {_holder(text)}"
            raise error(f"{message} has open") from None
        text = json.dumps({"recsketch lock": 1, "pid": os.getpid(), "host": socket.gethostname()}).encode() + b"\n"
        os.lseek(self._number, 0, os.SEEK_SET)
        os.ftruncate(self._number, 0)
        os.write(self._number, text)

    def release(self) -> None:
        """Let others write."""
        if self._number >= 0:
            with contextlib.suppress(OSError):  # a disk that fails must not keep the lock
                os.ftruncate(self._number, 0)
            os.close(self._number)
        self._number = -1


def _holder(text: bytes) -> str:
    with contextlib.suppress(ValueError, KeyError, TypeError):
        found = json.loads(text)
        return f"process {int(found['pid'])} on host {_check.shown(str(found['host']))}"
    return "another process"


if sys.platform == "win32":

    def _take(number: int) -> None:
        import msvcrt

        os.lseek(number, _BEYOND, os.SEEK_SET)
        try:
            msvcrt.locking(number, msvcrt.LK_NBLCK, 1)
        finally:
            os.lseek(number, 0, os.SEEK_SET)

else:

    def _take(number: int) -> None:
        import fcntl

        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
