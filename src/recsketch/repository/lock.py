"""One writer: a lock that the kernel holds for an open file, and lets go when the process ends, however it ends."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
import sys

import recsketch._check as _check
from recsketch.repository.errors import RepositoryInUse

_BEYOND = 1 << 20  # Windows locks bytes; one that nobody reads leaves the holder's name readable


class WriterLock:
    """The right to write, from when it is made until `release`.

    Parameters
    ----------
    path : str
        The lock file, made if it is not there and never removed. It holds who locked it last.

    Raises
    ------
    RepositoryInUse
        Somebody else holds it; the message says who, by process and host.
    """

    def __init__(self, path: str) -> None:
        self._number = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o666)
        try:
            _take(self._number)
        except OSError as e:
            text = os.pread(self._number, 1000, 0) if hasattr(os, "pread") else os.read(self._number, 1000)
            os.close(self._number)
            if e.errno not in (errno.EACCES, errno.EAGAIN, errno.EDEADLK):
                raise
            wanted = "a repository that nobody else writes"
            message = f"{_check.cut(path, 200)}: wanted {wanted}; got one that {_holder(text)} has open"
            raise RepositoryInUse(message) from None
        text = json.dumps({"recsketch lock": 1, "pid": os.getpid(), "host": socket.gethostname()}).encode() + b"\n"
        os.lseek(self._number, 0, os.SEEK_SET)
        os.ftruncate(self._number, 0)
        os.write(self._number, text)

    def release(self) -> None:
        """Let others write."""
        if self._number >= 0:
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
