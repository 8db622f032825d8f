"""Every system call of a repository that writes goes through here, so that tests can stop the world between two."""

from __future__ import annotations

import os
import sqlite3
import sys

import recsketch._files as _files

_FLAGS = getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)


class Disk:
    """The real disk.

    Notes
    -----
    What is promised of each call is what POSIX promises: bytes that were written, and names that were made or removed,
    are on the disk once `sync` or `sync_folder` has returned, and in any state before, torn ones too. An append leaves
    the bytes before it alone, even those of the same sector (SQLite calls that powersafe overwrite). SQLite makes
    `commit` atomic and lasting by itself.
    """

    def create(self, path: str) -> int:
        """A new, empty file to write; a leftover of that name is emptied."""
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | _FLAGS, 0o666)

    def open(self, path: str) -> int:
        """A file that is there, to write."""
        return os.open(path, os.O_RDWR | _FLAGS)

    def write(self, number: int, at: int, data: memoryview) -> None:
        """All of `data` at that place."""
        os.lseek(number, at, os.SEEK_SET)
        while data.nbytes:
            data = data[os.write(number, data) :]

    def cut(self, number: int, length: int) -> None:
        """Leave the first bytes only."""
        os.ftruncate(number, length)

    def sync(self, number: int) -> None:
        """Return when the file's bytes are on the disk."""
        if sys.platform == "darwin":  # where fsync stops at the drive's own cache
            import fcntl

            fcntl.fcntl(number, fcntl.F_FULLFSYNC)
        else:
            os.fsync(number)

    def sync_folder(self, path: str) -> None:
        """Return when the names in the folder are on the disk."""
        _files.sync_folder(path)

    def remove(self, path: str) -> None:
        """Take away a name; who has the file open goes on reading it."""
        os.unlink(path)

    def rename(self, path: str, to: str) -> None:
        """Give a file another name in its folder, and take that from whichever had it, in one step."""
        os.replace(path, to)

    def commit(self, connection: sqlite3.Connection) -> None:
        """Make a transaction last."""
        connection.execute("COMMIT")
