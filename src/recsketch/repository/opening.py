"""How a repository comes to be, and to be open."""

from __future__ import annotations

import contextlib
import os
import sqlite3

import recsketch._check as _check
import recsketch.repository.tables as tables
from recsketch._lock import WriterLock
from recsketch.repository.disk import Disk
from recsketch.repository.errors import RepositoryInUse
from recsketch.repository.state import (
    Settings,
    State,
    read_settings,
    read_state,
    same_spec,
    write_settings,
    write_state,
)
from recsketch.repository.writing import Writer
from recsketch.sketching.spec import SketchSpec


class Handle:
    """What an open repository holds of the system: a connection, and for writing the lock and a `Writer`.

    Parameters
    ----------
    folder : str
    mode : {"r", "a"}
    disk : Disk
    spec : SketchSpec or None
        Of a new repository, or what an old one must have.
    dtype : str or None
        As `spec`.
    """

    def __init__(self, folder: str, mode: str, disk: Disk, spec: SketchSpec | None, dtype: str | None) -> None:
        self._lock: WriterLock | None = None
        self._db: sqlite3.Connection | None = None
        self.writer: Writer | None = None
        index = os.path.join(folder, tables.NAME)
        try:
            if mode == "a":
                if not os.path.isdir(folder):
                    _wanted(spec)
                    os.makedirs(folder)
                self._lock = WriterLock(os.path.join(folder, "lock"), "a repository", RepositoryInUse)
            if tables.is_new(folder):
                if mode == "r":
                    raise FileNotFoundError(f"{_check.cut(folder, 200)}: wanted a repository to read; got none")
                _create(folder, disk, Settings(os.urandom(16), _wanted(spec), dtype or "float32"))
            self._db = tables.connect(folder, mode == "a")
            with tables.damage(index):
                self.settings = read_settings(self._db)
                read_state(self._db)
            if spec is not None:
                same_spec(self.settings.spec, spec)
            if dtype not in (None, self.settings.dtype):
                raise ValueError(f"dtype: wanted the repository's, {self.settings.dtype!r}; got {dtype!r}")
            if mode == "a":
                with tables.damage(index):
                    self.writer = Writer(disk, folder, self._db, self.settings.identity)
                    self.writer.recover()
        except BaseException:
            self.close()
            raise

    @property
    def db(self) -> sqlite3.Connection:
        if self._db is None:
            raise ValueError("repository: wanted an open one; got one that was closed")
        return self._db

    @property
    def closed(self) -> bool:
        return self._db is None

    def close(self) -> None:
        if self.writer is not None:
            self.writer.close()
            tables.empty_log(self.writer.db)
        if self._db is not None:
            self._db.close()
        if self._lock is not None:
            self._lock.release()
        self.writer = self._db = self._lock = None


def _wanted(spec: SketchSpec | None) -> SketchSpec:
    if spec is None:
        raise ValueError("spec: wanted a SketchSpec, for a new repository; got None")
    return spec


def _create(folder: str, disk: Disk, settings: Settings) -> None:
    index = os.path.join(folder, tables.NAME)
    with tables.damage(index), contextlib.closing(sqlite3.connect(index, isolation_level=None)) as db:
        db.execute("PRAGMA auto_vacuum=INCREMENTAL")
        tables.prepare(db, index)
        db.execute("BEGIN IMMEDIATE")
        for statement in tables.SCHEMA.split(";"):
            db.execute(statement)
        db.execute(f"PRAGMA application_id={tables.APPLICATION}")
        db.execute(f"PRAGMA user_version={tables.FORMAT}")
        write_settings(db, settings)
        write_state(db, State(0, 0, 0, 1, 0, 0))
        disk.commit(db)
        disk.sync_folder(folder)
        disk.sync_folder(os.path.dirname(folder))
