"""A folder of sketches: its settings, its manifest, and the parts that the manifest names."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field

import recsketch._check as _check
import recsketch._files as _files
from recsketch.pipeline.sources import Input, Job
from recsketch.pipeline.work import Done, Settings, sha256
from recsketch.sketching.spec import SketchSpec
from recsketch.sketching.table import SketchTable, load

FORMAT = 1
SETTINGS, MANIFEST, LOCK = "_settings.json", "_manifest.jsonl", "_lock"
OURS = re.compile(r"part-[0-9a-f]{24}\.(parquet|arrow|npz|jsonl)|\.recsketch-[0-9a-f]{16}\.part")


@dataclass(frozen=True)
class Entry:
    """A line of the manifest: one job that is done."""

    input: str
    size: int
    changed: int
    groups: tuple[int, int] | None
    index: int
    count: int
    rows: int
    ok: int
    failed: int
    part: str | None  # its file; None if the input could not be read
    bytes: int
    sha256: str | None
    errors: str | None  # the sha256 of its file of errors, if it has one
    error: str | None  # why there is no part
    settings: str

    @classmethod
    def of(cls, job: Job, done: Done, name: str, settings: Settings) -> Entry:
        """What is kept of a job."""
        source = job.input
        part = None if done.error is not None else f"{name}.{settings.form}"
        return cls(
            source.name, source.size, source.changed, job.groups, job.index, job.count, done.rows, done.ok,
            done.failed, part, done.bytes, done.sha256, done.errors, done.error, settings.hash,
        )  # fmt: skip

    def is_of(self, source: Input) -> bool:
        """Whether it was made of this very file."""
        return (self.input, self.size, self.changed) == (source.name, source.size, source.changed)

    @property
    def stem(self) -> str:
        """Of its files' names."""
        return (self.part or "").partition(".")[0]


@dataclass
class Folder:
    """The files of a folder of sketches, for who holds its lock or only reads it."""

    path: str
    entries: dict[tuple[str, int], Entry] = field(default_factory=dict)
    whole: int = 0  # bytes of the manifest up to its last whole line

    def place(self, *names: str) -> str:
        return os.path.join(self.path, *names)

    def settings(self) -> Settings | None:
        """None where there are none yet."""
        try:
            with open(self.place(SETTINGS), "rb") as file:
                found = json.loads(file.read())
            if found["recsketch"] != FORMAT:
                raise ValueError(f"wanted format {FORMAT}; got {_check.shown(found['recsketch'])}")
            spec = SketchSpec.from_json(json.dumps(found["spec"]))
            return Settings(spec.to_json(), str(found["dtype"]), str(found["form"]))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError, KeyError) as e:
            where = _check.cut(self.place(SETTINGS), 200)
            raise ValueError(f"{where}: wanted the settings of a folder of sketches: {_check.cut(str(e), 300)}") from e

    def begin(self, settings: Settings) -> None:
        """Make the folder one of these settings, or see that it is.

        Raises
        ------
        ValueError
            It has other settings, or holds something else.
        """
        have, shown = self.settings(), _check.cut(self.path, 200)
        if have is None:
            others = set(os.listdir(self.path)) - {LOCK}
            others = {name for name in others if not OURS.fullmatch(name)}
            if others:
                raise ValueError(
                    f"{shown}: wanted an empty folder, or one of sketches; got {_check.listed(sorted(others))}"
                )
            text = {"recsketch": FORMAT, **asdict(settings), "spec": json.loads(settings.spec)}
            with _files.written(self.place(SETTINGS)) as file:
                file.write(json.dumps(text, indent=2).encode() + b"\n")
        elif have != settings:
            if SketchSpec.from_json(have.spec) != SketchSpec.from_json(settings.spec):
                raise ValueError(f"{shown}: wanted sketches of the folder's specification; got another")
            if (have.dtype, have.form) != (settings.dtype, settings.form):
                got = f"{settings.dtype}, {settings.form}"
                raise ValueError(f"{shown}: wanted the folder's storage, {have.dtype}, {have.form}; got {got}")

    def load(self) -> None:
        """Read the manifest. A last line that is not whole is what a kill has left, and is passed over."""
        self.entries, self.whole = {}, 0
        try:
            with open(self.place(MANIFEST), "rb") as file:
                content = file.read()
        except FileNotFoundError:
            return
        for number, text in enumerate(content.splitlines(keepends=True)):
            if not text.endswith(b"\n"):
                break
            try:
                found = json.loads(text)
                found["groups"] = None if found["groups"] is None else tuple(found["groups"])
                entry = Entry(**found)
                if entry.part is not None and not OURS.fullmatch(entry.part):
                    raise ValueError("wanted the name of a part; got another")
            except (ValueError, TypeError, KeyError) as e:
                where = f"{_check.cut(self.place(MANIFEST), 200)}, line {number + 1}"
                raise ValueError(f"{where}: wanted an entry of a manifest; got {_check.cut(str(e), 200)}") from None
            self.entries[entry.input, entry.index] = entry
            self.whole += len(text)

    def add(self, entry: Entry) -> None:
        """A line more, which is on the disk when this returns."""
        text = json.dumps(asdict(entry)).encode() + b"\n"
        with open(self.place(MANIFEST), "ab") as file:
            file.truncate(self.whole)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        self.entries[entry.input, entry.index] = entry
        self.whole += len(text)

    def finish(self) -> None:
        """The manifest in the order of inputs, and nothing beside what it names: the same bytes however often the job
        was cut short."""
        entries = sorted(self.entries.values(), key=lambda e: (e.input, e.index))
        text = b"".join(json.dumps(asdict(entry)).encode() + b"\n" for entry in entries)
        with open(self.place(MANIFEST), "ab+") as file:
            file.seek(0)
            same = file.read() == text
        if not same:
            with _files.written(self.place(MANIFEST)) as file:
                file.write(text)
        self.whole = len(text)
        self.sweep()

    def sweep(self) -> None:
        """Remove parts, files of errors and beginnings of files that no entry names."""
        named = {entry.part for entry in self.entries.values()}
        told = {f"{entry.stem}.jsonl" for entry in self.entries.values() if entry.errors is not None}
        for folder, keep in ((self.path, named), (self.place("errors"), told)):
            for name in os.listdir(folder) if os.path.isdir(folder) else ():
                if OURS.fullmatch(name) and name not in keep:
                    os.unlink(os.path.join(folder, name))
        if not told and os.path.isdir(self.place("errors")) and not os.listdir(self.place("errors")):
            os.rmdir(self.place("errors"))

    def damaged(self, entries: Iterable[Entry]) -> list[tuple[Entry, str]]:
        """Those whose files are not what they were, and how. Every byte is read, by some threads at once."""

        def look(entry: Entry) -> str | None:
            files = [(self.place(entry.part or ""), entry.sha256)] if entry.part is not None else []
            if entry.errors is not None:
                files.append((self.place("errors", f"{entry.stem}.jsonl"), entry.errors))
            for path, want in files:
                try:
                    if sha256(path) != want:
                        return f"{os.path.basename(path)}: wanted the bytes that were written; got others"
                except FileNotFoundError:
                    return f"{os.path.basename(path)}: wanted a part; got none"
            return None

        some = list(entries)
        with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
            return [(entry, text) for entry, text in zip(some, pool.map(look, some), strict=True) if text is not None]


@dataclass(frozen=True)
class FolderCheck:
    """What `verify` found.

    Attributes
    ----------
    parts, rows, failed, bytes : int
        Parts that the manifest names, sketches in them, rows that failed, and bytes of parts.
    problems : tuple of str
        Files that are missing or have other bytes.
    """

    parts: int
    rows: int
    failed: int
    bytes: int
    problems: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether every part has the bytes that were written."""
        return not self.problems

    def __str__(self) -> str:
        what = f"{_check.count(self.parts, 'part')}, {self.rows:,} sketches, {self.bytes:,} bytes"
        return what if self.ok else f"{what}; {'; '.join(self.problems)}"


def verify(folder: str | os.PathLike[str]) -> FolderCheck:
    """Compare every part of a folder of sketches with the sha256 in the manifest.

    Parameters
    ----------
    folder : str or os.PathLike

    Raises
    ------
    ValueError
        No folder of sketches, or a manifest that is damaged itself.
    OSError
        A file cannot be read.

    Notes
    -----
    Cost: all bytes are read, by up to 8 threads.
    """
    found = opened(folder)
    entries = list(found.entries.values())
    bad = tuple(text for _, text in found.damaged(entries))
    return FolderCheck(
        parts=sum(entry.part is not None for entry in entries),
        rows=sum(entry.ok for entry in entries),
        failed=sum(entry.failed for entry in entries),
        bytes=sum(entry.bytes for entry in entries),
        problems=bad,
    )


def parts(folder: str | os.PathLike[str]) -> Iterator[SketchTable]:
    """The tables of a folder of sketches, part by part in the order of the inputs.

    Parameters
    ----------
    folder : str or os.PathLike
        What `run` writes or has written; of a job that goes on, the parts that are done.

    Raises
    ------
    ValueError
        No folder of sketches, or a damaged one.
    OSError
        A file cannot be read.
    """
    found = opened(folder)
    for _, entry in sorted(found.entries.items()):
        if entry.part is not None:
            yield load(found.place(entry.part))


def read(folder: str | os.PathLike[str]) -> SketchTable:
    """All sketches of a folder as one table, in the order of the inputs and their rows.

    Parameters
    ----------
    folder : str or os.PathLike

    Raises
    ------
    ValueError, OSError
        As of `parts`; or no part at all.

    Notes
    -----
    The table has ids, and likewise times, if all parts with rows have them. Cost: memory for all sketches, twice.
    """
    tables = list(parts(folder))
    some = [table for table in tables if len(table)] or tables[:1]
    if not some:
        raise ValueError(f"{_check.cut(os.fspath(folder), 200)}: wanted at least one part; got none")
    return SketchTable.concat(some)


def opened(folder: str | os.PathLike[str]) -> Folder:
    """A folder to read."""
    found = Folder(_check.path("folder", folder))
    if found.settings() is None:
        os.stat(found.path)
        raise ValueError(f"{_check.cut(found.path, 200)}: wanted a folder of sketches; got another")
    found.load()
    return found


def is_one(path: str) -> bool:
    """Whether a path is a folder of sketches."""
    return os.path.exists(os.path.join(path, SETTINGS))
