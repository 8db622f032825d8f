"""One piece of work, in whichever process it is sent to: runs are read, sketched, packed and written to a part."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import re
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

import recsketch._arrow as _arrow
import recsketch._check as _check
import recsketch._files as _files
import recsketch._npz as _npz
import recsketch.runs.arrow as arrow
from recsketch._check import Floats
from recsketch.pipeline.sources import Job
from recsketch.runs.batch import TraceBatch
from recsketch.runs.parquet import WANTED, pieces, sizes
from recsketch.sketcher import Sketcher
from recsketch.sketching.load import unknowns
from recsketch.sketching.packing import pack
from recsketch.sketching.spec import SketchSpec
from recsketch.sketching.table import SketchTable, writing

CHUNK = 1 << 24
"""Bytes of runs, and of their sketches as float32, that are worked on at a time. It is no option, since each chunk is a
row group of the part."""

Rows = npt.NDArray[np.int64]
Made = TypeVar("Made")

STAGES = ("read", "sketch", "pack", "write")


class TooManyErrors(RuntimeError):
    """More rows were bad than the caller allowed. What was done stays done, and the job can be resumed."""


@dataclass(frozen=True)
class Settings:
    """What all parts of a folder have in common."""

    spec: str  # its JSON
    dtype: str
    form: str  # "parquet", "arrow" or "npz"

    @property
    def hash(self) -> str:
        """Of all three."""
        return hashlib.sha256(json.dumps([json.loads(self.spec), self.dtype, self.form]).encode()).hexdigest()


@dataclass
class Done:
    """What became of a job."""

    rows: int = 0
    ok: int = 0
    failed: int = 0
    bytes: int = 0
    sha256: str | None = None
    errors: str | None = None  # the sha256 of the file of errors, if there is one
    error: str | None = None  # why there is no part
    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(STAGES, 0.0))
    warnings: tuple[str, ...] = ()


def work(job: Job, settings: Settings, folder: str, name: str, most: int | None = None, threads: int = 1) -> Done:
    """Make a part and, where rows are bad, its file of errors. What is written twice has the same bytes.

    Raises
    ------
    TooManyErrors
        More than `most` bad rows.
    OSError
        The folder cannot be written.
    """
    done, sketcher = Done(), _sketcher(settings.spec, threads)
    bad: list[dict[str, Any]] = []
    said: dict[str, None] = {}
    path = os.path.join(folder, f"{name}.{settings.form}")
    try:
        with _writer(path, sketcher.spec, settings, done) as write, warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.showwarning = lambda message, *_, **__: said.setdefault(str(message))
            for rows, batch in _chunks(job, done, bad):
                _sketched(rows, batch, sketcher, settings, done, bad, write)
                if most is not None and done.failed > most:
                    raise TooManyErrors(f"{job.input.name}, row {bad[-1]['row']}: {bad[-1]['message']}")
    except _Unreadable as e:
        return Done(error=str(e))
    done.bytes, done.sha256 = os.path.getsize(path), sha256(path)
    if bad:
        os.makedirs(os.path.join(folder, "errors"), exist_ok=True)
        path = os.path.join(folder, "errors", f"{name}.jsonl")
        with _files.written(path) as file:
            for one in sorted(bad, key=lambda x: int(x["row"])):
                file.write(json.dumps(one, ensure_ascii=False).encode("utf-8", "replace") + b"\n")
        done.errors = sha256(path)
    done.warnings = tuple(said)
    return done


def sha256(path: str) -> str:
    """Of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class _Unreadable(Exception):
    """The input as a whole: there is no part."""


@functools.lru_cache(maxsize=2)
def _sketcher(spec: str, threads: int) -> Sketcher:
    """Kept from job to job, since its matrices take a while to draw."""
    return Sketcher(SketchSpec.from_json(spec), threads=threads)


@contextmanager
def _timed(done: Done, stage: str) -> Iterator[None]:
    start = time.perf_counter()
    try:
        yield
    finally:
        done.seconds[stage] += time.perf_counter() - start


@contextmanager
def _writer(path: str, spec: SketchSpec, settings: Settings, done: Done) -> Iterator[Callable[[SketchTable], None]]:
    """A function that takes tables, one after the other, for a file that appears when all are written."""
    tables: list[SketchTable] = []
    with ExitStack() as stack:
        inner: list[Any] = []

        def write(table: SketchTable) -> None:
            with _timed(done, "write"):
                if settings.form == "npz":
                    tables.append(table)
                    return
                if not inner:  # only the first table says whether there are ids and times
                    told = table.ids is not None, table.times is not None
                    inner.append(stack.enter_context(writing(path, spec, settings.dtype, *told, settings.form)))
                inner[0](table)

        yield write
        with _timed(done, "write"):
            if not inner and not tables:
                none = pack(np.empty((0, spec.dim), np.float32), settings.dtype)
                write(SketchTable(spec, none, np.zeros(0, np.int32), np.zeros(0, np.int64)))
            if tables:
                SketchTable.concat(tables).to_npz(path)
            stack.close()


def _chunks(job: Job, done: Done, bad: list[dict[str, Any]]) -> Iterator[tuple[Rows, TraceBatch]]:
    """Runs of some MiB at a time, and the numbers of their rows."""
    row = job.first
    try:
        if job.input.form == "npz":
            with _timed(done, "read"):
                _npz.intact(job.input.path)
                batch = TraceBatch.load(job.input.path, mapped=True)
            done.rows = len(batch)
            yield from ((np.arange(part.start, part.stop), batch[part]) for part in pieces(sizes(batch), CHUNK))
            return
        with _arrow.opened(job.input.path, WANTED) as file:
            for group in range(*(job.groups or (0, 0))):
                count = file.metadata.row_group(group).num_rows
                done.rows += count
                rows, batch = _group(file, group, count, row, done, bad)
                yield from ((rows[part], batch[part]) for part in pieces(sizes(batch), CHUNK))
                row += count
    except (ValueError, OSError) as e:  # of the input alone: what writes is not called from here
        raise _Unreadable(told(e, job.input.path)) from None


def told(error: Exception, path: str) -> str:
    """What is wrong with an input, wherever that lies."""
    return _check.cut(str(error).removeprefix(f"{_check.cut(path, 200)}: "), 1000)


def _group(
    file: Any, group: int, count: int, row: int, done: Done, bad: list[dict[str, Any]]
) -> tuple[Rows, TraceBatch]:
    """The runs of a row group, without those that are none; one that cannot be read at all is so many bad rows."""
    none = np.zeros(0, np.int64), TraceBatch.from_traces([])
    try:
        with _timed(done, "read"), _arrow.damage():
            table = file.read_row_group(group, use_threads=False)
    except ValueError as e:
        done.failed += count
        bad.append({"run_id": None, "row": row, "stage": "read", "message": f"{count} rows: {e}"})
        return none

    def fails(at: int, message: str) -> None:
        done.failed += 1
        bad.append({"run_id": _id(table, at), "row": row + at, "stage": "read", "message": message})

    def made(begin: int, end: int) -> tuple[Rows, TraceBatch]:
        batch = arrow.batch([table.slice(begin, end - begin)], TraceBatch, labels=True)
        return np.arange(row + begin, row + end), batch

    with _timed(done, "read"):
        found = list(_healthy(count, made, fails))
        if len(found) <= 1:
            return found[0] if found else none
        return np.concatenate([rows for rows, _ in found]), TraceBatch.concat([batch for _, batch in found])


def _id(table: Any, at: int) -> str | None:
    if "run_id" not in table.schema.names:
        return None
    found = table.column("run_id")[at].as_py()
    return None if found is None else _check.cut(str(found), 1000)


_TRACE = re.compile(r"trace (\d+)(, |: )")


def _healthy(count: int, make: Callable[[int, int], Made], fails: Callable[[int, str], None]) -> Iterator[Made]:
    """What `make` makes of the items from `begin` to before `end`, in order. Where it refuses them for one that it
    names, as "trace 3", counted from `begin`, the others are tried again; else halves, down to those to blame."""
    todo = [(0, count)]
    while todo:
        begin, end = todo.pop()
        if begin == end:
            continue
        try:
            found = make(begin, end)
        except (ValueError, TypeError) as e:
            text = str(e)
            blamed = _TRACE.match(text)
            at = begin + int(blamed[1]) if blamed else begin
            if at < end and (blamed or end - begin == 1):
                fails(at, text[blamed.end() :] if blamed else text)
                todo += [(at + 1, end), (begin, at)]
            else:
                middle = (begin + end) // 2
                todo += [(middle, end), (begin, middle)]
            continue
        yield found


def _sketched(
    rows: Rows,
    batch: TraceBatch,
    sketcher: Sketcher,
    settings: Settings,
    done: Done,
    bad: list[dict[str, Any]],
    write: Callable[[SketchTable], None],
) -> None:
    """Sketch runs, some MiB of sketches at a time, and write them."""
    spec = sketcher.spec
    step = max(1, CHUNK // (4 * spec.dim))
    for first in range(0, len(batch), step):
        some, at = batch[first : first + step], rows[first : first + step]

        def fails(i: int, message: str, some: TraceBatch = some, at: Rows = at) -> None:
            done.failed += 1
            name = None if some.ids is None else str(some.ids[i])
            bad.append({"run_id": name, "row": int(at[i]), "stage": "sketch", "message": message})

        def made(begin: int, end: int, some: TraceBatch = some) -> tuple[TraceBatch, Floats]:
            part = some if end - begin == len(some) else some[begin:end]
            return part, sketcher.sketch(part)

        with _timed(done, "sketch"):
            found = list(_healthy(len(some), made, fails))
        if not found:
            continue
        with _timed(done, "pack"):
            part = found[0][0] if len(found) == 1 else TraceBatch.concat([one for one, _ in found])
            sketches = found[0][1] if len(found) == 1 else np.concatenate([s for _, s in found])
            objects = np.diff(part.objects).astype(np.int32)
            packed = pack(sketches, settings.dtype)
            table = SketchTable(spec, packed, objects, unknowns(spec, part), part.ids, part.times)
        done.ok += len(part)
        write(table)
