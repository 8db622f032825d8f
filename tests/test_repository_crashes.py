"""The machine stops after any system call: nothing that was acknowledged is lost, and nothing wrong is returned."""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from crashes import STEPS, CrashDisk, Image, content, lost, reopened
from repositories import SPEC, rows

import recsketch as rs
from recsketch.repository import tables
from recsketch.repository.disk import Disk
from recsketch.repository.store import SketchRepository
from recsketch.repository.writing import Writer

STATES = int(os.environ.get("RECSKETCH_CRASH_STATES", "1000"))
"""How many images the suite looks at; 100,000 are looked at by hand (CONTRIBUTING.md)."""


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Segments of eight rows and blocks of two, so that few rows make many files."""
    monkeypatch.setattr("recsketch.repository.writing.FULL", 8 * 4 * SPEC.dim)
    monkeypatch.setattr("recsketch.repository.writing.MOST", 2)


def test_nothing_is_lost_by_a_crash(folder: Path) -> None:
    """Seeds are fixed: what fails once fails again. Where one round has too few different images, more follow."""
    states = seed = 0
    while states < STATES and seed < 1000:
        place = folder / str(seed)
        place.mkdir()
        more, problems = lost(place / "r", CrashDisk(place / "r", seed, 2), STATES - states)
        assert not problems, problems
        assert more > 300 or states + more >= STATES  # every round has images of its own
        states, seed = states + more, seed + 1
    assert states >= STATES


class NoSync(CrashDisk):
    def sync(self, number: int) -> None:
        self.moment()


class NoFolderSync(CrashDisk):
    def sync_folder(self, path: str) -> None:
        self.moment()


def commit_first(self: Any) -> None:
    self.state = self.state._replace(changes=self.state.changes + 1)
    from recsketch.repository.state import write_state

    write_state(self.db, self.state)
    self._disk.commit(self.db)
    for segment in sorted(self._touched):
        self._disk.sync(self._open[segment])
    self._disk.sync_folder(self._folder)


def wipe_first(self: Any, runs: Any, real: Any = Writer.drop_rows) -> None:
    real(self, runs)
    self._wipe(self._wipes)


@pytest.mark.parametrize("mutant", ["no sync", "no folder sync", "commit first", "wipe first", "files removed first"])
def test_mutants_are_found(folder: Path, monkeypatch: pytest.MonkeyPatch, mutant: str) -> None:
    """Whoever leaves out a sync, or does things in another order, loses something in one of these images."""
    disk: CrashDisk = CrashDisk(folder / "r")
    if mutant == "no sync":
        disk = NoSync(folder / "r")
    elif mutant == "no folder sync":
        disk = NoFolderSync(folder / "r")
    elif mutant == "commit first":
        monkeypatch.setattr(Writer, "_finish", commit_first)
    elif mutant == "wipe first":
        monkeypatch.setattr(Writer, "drop_rows", wipe_first)
    else:
        real = Writer._copy

        def copy(self: Any, kind: str, s: Any) -> None:
            real(self, kind, s)
            self._disk.remove(s.path)

        monkeypatch.setattr(Writer, "_copy", copy)
        monkeypatch.setattr(disk, "remove", lambda path: CrashDisk.remove(disk, path) if os.path.exists(path) else None)
    _, problems = lost(folder / "r", disk, 3000)
    assert problems


def test_damage_without_checksums_is_returned(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that lies about syncs: with checksums that is an error, without them a wrong answer."""

    def problems(name: str) -> list[str]:
        (folder / name).mkdir()
        return lost(folder / name / "r", NoSync(folder / name / "r"), 3000, STEPS[:1])[1]

    told = problems("with")
    assert told
    assert all(": RepositoryDamaged: " in text for text in told)
    for module in ("segments", "columns"):
        monkeypatch.setattr(f"recsketch.repository.{module}.intact", lambda values, _: np.ones(len(values), np.bool_))
    monkeypatch.setattr("recsketch.repository.segments.Segment.verify", lambda *_, **__: None)
    assert any("wanted one of" in text for text in problems("without"))


# ---------------------------------------------------------------- errors of the disk


class FailingDisk(Disk):
    """The system call of a number fails; of a write, half is done."""

    def __init__(self, number: int, error: int) -> None:
        self.left, self.error = number, error

    def _step(self) -> bool:
        self.left -= 1
        return self.left == -1

    def _fail(self) -> OSError:
        return OSError(self.error, os.strerror(self.error))

    def create(self, path: str) -> int:
        if self._step():
            raise self._fail()
        return super().create(path)

    def write(self, number: int, at: int, data: memoryview) -> None:
        if self._step():
            super().write(number, at, data[: len(data) // 2])
            raise self._fail()
        super().write(number, at, data)

    def sync(self, number: int) -> None:
        if self._step():
            raise self._fail()
        super().sync(number)

    def sync_folder(self, path: str) -> None:
        if self._step():
            raise self._fail()
        super().sync_folder(path)

    def rename(self, path: str, to: str) -> None:
        if self._step():
            raise self._fail()
        super().rename(path, to)

    def remove(self, path: str) -> None:
        if self._step():
            raise self._fail()
        super().remove(path)

    def commit(self, connection: sqlite3.Connection) -> None:
        if self._step():
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL if self.error == errno.ENOSPC else sqlite3.SQLITE_IOERR
            raise error
        super().commit(connection)


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO])
def test_a_call_that_fails_leaves_what_was_there(folder: Path, error: int) -> None:
    """Whichever system call fails: what is there at once, and after opening again, is what was before, or after, the
    call; and the next call works again, at the latest after opening anew."""
    number, failed = 0, True
    while failed:
        place = folder / str(number)
        failed = False
        disk = FailingDisk(1 << 30, error)
        r = SketchRepository._opened(disk, str(place), SPEC, "a")
        disk.left = number
        before: dict[str, Any] = {}
        for step in STEPS:
            try:
                step(r)
            except (OSError, ValueError):
                assert disk.left < 0
                failed = True
                live = content(r)
                r.close()
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", rs.RepositoryWarning)
                    r = rs.SketchRepository.open(place, mode="a")
                again = content(r)
                assert r.check().ok, r.check()
                assert live in (before, again)
                if again == before:
                    step(r)
            before = content(r)
        assert sorted(before) == ["b", "c", "e", "f", "g"]
        assert r.check().ok
        r.close()
        number += 1
    assert number > 25


def test_a_full_disk_can_be_made_room_on(folder: Path) -> None:
    """An append that fails before anything was synced leaves an open repository that goes on."""
    disk = FailingDisk(1 << 30, errno.ENOSPC)
    with SketchRepository._opened(disk, str(folder / "r"), SPEC, "a") as r:
        r.add(rows(2), ["a", "b"])
        disk.left = 0
        with pytest.raises(OSError, match="No space left"):
            r.add(rows(1), ["c"])
        assert [*r] == ["a", "b"]
        r.add(rows(1), ["c"])
        disk.left = 1
        with pytest.raises(OSError, match="No space left"):
            r.add(rows(1), ["d"])
        with pytest.raises(
            OSError, match="wanted a repository that wrote all it was given; got one to be opened again"
        ):
            r.add(rows(1), ["e"])
        assert [*r] == ["a", "b", "c"]


def test_a_row_is_not_noted_as_wiped_before_its_zeros_are_on_the_disk(folder: Path) -> None:
    """A deletion commits, writes zeros and syncs them. Where the sync fails, nobody knows whether they are there."""

    def wiped() -> list[int]:
        with contextlib.closing(sqlite3.connect(folder / "r" / tables.NAME)) as db:
            return [x for (x,) in db.execute("SELECT wiped FROM dead ORDER BY id")]

    disk = FailingDisk(1 << 30, errno.EIO)
    with SketchRepository._opened(disk, str(folder / "r"), SPEC, "a") as r:
        r.add(rows(4), ["a", "b", "c", "d"])
        r.delete("a")
        disk.left = 2
        with pytest.raises(OSError, match="Input/output error"):
            r.delete("b")
        assert disk.left == -1
        assert [*r] == ["c", "d"]
        assert wiped() == [1, 0]
        r.delete("c")  # is wiped, but lies behind what may not be
        r.add(rows(1), ["e"])
    assert wiped() == [1, 0, 0]
    rs.SketchRepository.open(folder / "r", mode="a").close()
    assert wiped() == [1, 1, 1]
    with rs.SketchRepository.open(folder / "r") as r:
        assert r.check().ok


def test_an_unfinished_add_is_cut_and_told_of(folder: Path) -> None:
    disk = CrashDisk(folder / "r")
    with SketchRepository._opened(disk, str(folder / "r"), SPEC, "a") as r:
        r.add(rows(2), ["a", "b"])
        image: Image = {**{n: f.now for n, f in disk.now.items()}, **disk.index()}
    image["00000001.rows"] += b"tail"
    image["00000007.rows"] = b"leftover"
    for name, data in image.items():
        (folder / name).write_bytes(data)
    with rs.SketchRepository.open(folder) as r:  # a reader leaves it to the next writer
        assert sorted(content(r)) == ["a", "b"]
    with pytest.warns(
        rs.RepositoryWarning, match=r"cut what an unfinished write .*'00000007.rows', '4 bytes of 00000001"
    ):
        rs.SketchRepository.open(folder, mode="a").close()
    assert not (folder / "00000007.rows").exists()
    with rs.SketchRepository.open(folder, mode="a") as r:
        assert r.check().ok


def test_the_crash_disk_can_find_a_loss(folder: Path) -> None:
    """The judge has been seen to judge: an image without its segment is refused."""
    disk = CrashDisk(folder / "r")
    with SketchRepository._opened(disk, str(folder / "r"), SPEC, "a") as r:
        r.add(rows(2))
    with pytest.raises(rs.RepositoryDamaged, match="wanted 4608 bytes; got 0"):
        reopened(disk.index(), folder / "crashed")
