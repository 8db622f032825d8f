"""A disk on which the world can stop: what POSIX allows to be there after a crash at any moment, and no more.

`CrashDisk` does what it is told in a real folder, and keeps beside it what is sure to be on the disk. After each system
call it makes images of the folder as a crash may leave it: bytes and names that were not synced may be there, or not,
or bytes torn, zeroed or replaced by garbage. SQLite's own files are taken as they are before and after each commit, and
with any part of what the commit wrote to the log missing or spoilt.
"""

from __future__ import annotations

import os
import sqlite3
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from repositories import SPEC, rows, run

import recsketch as rs
from recsketch.repository import tables
from recsketch.repository.disk import Disk
from recsketch.repository.store import SketchRepository

Image = dict[str, bytes]
Content = dict[str, Any]
Look = Callable[[rs.SketchRepository], Content]

INDEX = (tables.NAME, f"{tables.NAME}-wal", f"{tables.NAME}-journal")
MODES = ("none", "all", "torn", "zeros", "garbage")


class File:
    """Bytes as they are seen, bytes that are sure, and the writes between the two."""

    def __init__(self) -> None:
        self.now, self.safe = b"", b""
        self.pending: list[tuple[int, bytes]] = []  # where and what; a cut has None for what

    def write(self, at: int, data: bytes) -> None:
        self.now = written(self.now, at, data)
        self.pending.append((at, data))

    def cut(self, length: int) -> None:
        self.now = self.now[:length]
        self.safe = self.safe[:length]  # a file that is longer again after a crash is as good as one with a tail

    def sync(self) -> None:
        self.safe, self.pending = self.now, []

    def after(self, mode: str, rng: np.random.Generator) -> bytes:
        """What a crash may leave."""
        if mode == "all":
            return self.now
        content = self.safe
        for at, data in self.pending if mode != "none" else ():
            n = int(rng.integers(0, len(data) + 1))
            tail = {"torn": b"", "zeros": bytes(len(data) - n), "garbage": rng.bytes(len(data) - n)}[mode]
            content = written(content, at, data[:n] + tail)
            if mode == "torn" and n < len(data) and rng.random() < 0.5:
                break
        return content


def written(content: bytes, at: int, data: bytes) -> bytes:
    return content[:at].ljust(at, b"\0") + data + content[at + len(data) :]


class CrashDisk(Disk):
    """See above. `images` are those since the last `taken`."""

    def __init__(self, folder: Path, seed: int = 0, tries: int = 1) -> None:
        self.folder, self.tries = folder, tries
        self.rng = np.random.default_rng(seed)
        self.now: dict[str, File] = {}
        self.safe: dict[str, File] = {}
        self._open: dict[int, File] = {}
        self.images: list[Image] = []

    # ------------------------------------------------------------ what the store calls

    def create(self, path: str) -> int:
        number = super().create(path)
        self._open[number] = self.now[os.path.basename(path)] = File()
        self.moment()
        return number

    def open(self, path: str) -> int:
        number = super().open(path)
        self._open[number] = self.now[os.path.basename(path)]
        return number

    def write(self, number: int, at: int, data: memoryview) -> None:
        super().write(number, at, data)
        self._open[number].write(at, bytes(data))
        self.moment()

    def cut(self, number: int, length: int) -> None:
        super().cut(number, length)
        self._open[number].cut(length)
        self.moment()

    def sync(self, number: int) -> None:
        self._open[number].sync()
        self.moment()

    def sync_folder(self, path: str) -> None:
        if Path(path) == self.folder:
            self.safe = dict(self.now)
        self.moment()

    def remove(self, path: str) -> None:
        super().remove(path)
        self.now.pop(os.path.basename(path), None)
        self.moment()

    def rename(self, path: str, to: str) -> None:
        super().rename(path, to)
        self.now[os.path.basename(to)] = self.now.pop(os.path.basename(path))
        self.moment()

    def commit(self, connection: sqlite3.Connection) -> None:
        before = self.index()
        super().commit(connection)
        after = self.index()
        for index in between(before, after, self.rng, self.tries):
            self.moment(index)
        self.moment()

    # ------------------------------------------------------------ what a crash leaves

    def index(self) -> Image:
        return {name: (self.folder / name).read_bytes() for name in INDEX if (self.folder / name).exists()}

    def moment(self, index: Image | None = None) -> None:
        """Images of a crash right now."""
        found = self.index() if index is None else index
        for mode in MODES:
            for names in self.names():
                for _ in range(self.tries if mode in MODES[2:] else 1):
                    files = {name: file.after(mode, self.rng) for name, file in names.items()}
                    self.images.append({**files, **found})

    def names(self) -> Iterator[dict[str, File]]:
        """Names that are sure, those that are seen, and, of what is not sure, a random part."""
        yield self.safe
        if self.safe != self.now:
            yield self.now
            mixed = dict(self.safe)
            for name in {*self.safe, *self.now}:
                source = self.now if self.rng.random() < 0.5 else self.safe
                mixed.pop(name, None)
                if name in source:
                    mixed[name] = source[name]
            yield mixed

    def taken(self) -> list[Image]:
        found, self.images = self.images, []
        return found


def between(before: Image, after: Image, rng: np.random.Generator, tries: int) -> Iterator[Image]:
    """SQLite's files in the middle of a commit: part of what it wrote to the log, or spoilt from somewhere."""
    log = f"{tables.NAME}-wal"
    old, new = before.get(log, b""), after.get(log, b"")
    base = {**after, **before} if log in after else before
    if base.get(tables.NAME) != after.get(tables.NAME) or len(new) <= len(old):
        yield before  # the log was checkpointed or begun anew, or there is none: SQLite's order is not ours to model
        return
    for _ in range(4 * tries):
        at = int(rng.integers(len(old), len(new)))
        for tail in (b"", bytes(len(new) - at), rng.bytes(len(new) - at)):
            yield {**base, log: new[:at] + tail}


# ---------------------------------------------------------------- what is done, and what must be there


def content(r: rs.SketchRepository) -> Content:
    """All that a repository says it has."""
    found = {}
    for key in r:
        one = r.get(key)
        order = None if one.order is None else one.order.tobytes()
        found[key] = (one.packed.values.tobytes(), order, tuple(one.metadata.items()))
    return found


def reopened(image: Image, folder: Path, look: Look = content, spec: rs.SketchSpec = SPEC) -> Content:
    """What is there after a crash; an error is a loss."""
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    for name, data in image.items():
        (folder / name).write_bytes(data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rs.RepositoryWarning)
        with rs.SketchRepository.open(folder, spec, mode="a") as r:
            found = content(r)
            checked = r.check()
            assert checked.ok, str(checked)
            if found:  # what is found by search is what is there
                key = next(iter(found))
                hits = r.search(np.frombuffer(found[key][0], np.float32), len(found))
                assert {hit.key for hit in hits} == set(found)
            return look(r)


Step = Callable[[rs.SketchRepository], Any]

STEPS: tuple[Step, ...] = (
    lambda r: r.add(rows(3, 1), ["a", "b", "c"], [{"n": i} for i in range(3)]),
    lambda r: r.add([run(1), run(2)], ["d", "e"], objects=True),
    lambda r: r.update("b", rows(1, 2)[0], {"n": 7}),
    lambda r: r.delete(["a", "d"]),
    lambda r: r.add(rows(2, 3), ["f", "g"]),
    lambda r: r.update("c", metadata={"m": "x"}),
    lambda r: r.compact(),
    lambda r: r.add(rows(1, 4), ["h"]),
    lambda r: r.delete("h"),
)


def lost(
    folder: Path,
    disk: CrashDisk,
    most: int,
    steps: tuple[Step, ...] = STEPS,
    look: Look = content,
    concepts: bool = False,
    spec: rs.SketchSpec = SPEC,
) -> tuple[int, list[str]]:
    """Goes through the steps, looks at every different image of a crash, and says how many, and what is wrong.

    Before a step returns, there must be what was there before it or what is there after it; afterwards the latter.
    """
    states, problems, seen = 0, [], set()

    def judge(images: list[Image], allowed: list[Content], step: int) -> None:
        nonlocal states
        for image in images:
            key = hash(tuple(sorted(image.items())))
            if key in seen or len(problems) > 2 or states >= most:
                continue
            seen.add(key)
            states += 1
            try:
                found = reopened(image, folder.parent / "crashed", look, spec)
                if found not in allowed:
                    problems.append(f"step {step}: {sorted(found)}, wanted one of {[sorted(a) for a in allowed]}")
            except (ValueError, OSError, AssertionError, KeyError) as e:
                problems.append(f"step {step}: {type(e).__name__}: {e}")

    r = SketchRepository._opened(disk, str(folder), spec, "a", concepts=concepts)
    with r:
        judge(disk.taken(), [{}], -1)
        before = look(r)
        for i, step in enumerate(steps):
            step(r)
            after = look(r)
            judge(disk.taken(), [before, after], i)
            disk.moment()
            judge(disk.taken(), [after], i)
            before = after
    return states, problems
