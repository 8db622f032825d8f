"""The coordinator: what is to do, what is done already, and what became of it."""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import recsketch._check as _check
from recsketch._lock import WriterLock
from recsketch.pipeline.engine import TRIES, drive
from recsketch.pipeline.folder import LOCK, Entry, Folder
from recsketch.pipeline.sources import Input, Job, found, jobs, part_name
from recsketch.pipeline.work import CHUNK, STAGES, Done, Settings, TooManyErrors, told, work
from recsketch.sketching.packing import STORED
from recsketch.sketching.spec import SketchSpec
from recsketch.sketching.table import DTYPES

if TYPE_CHECKING:
    Path = str | os.PathLike[str]

FORMS = ("parquet", "arrow", "npz")
BASE = 160 << 20
"""Bytes of a process that has loaded NumPy, Arrow and this package."""


@dataclass(frozen=True)
class Progress:
    """How far a job is.

    Attributes
    ----------
    done, total : int
        Bytes of inputs.
    rows, failed : int
        Of this run so far.
    parts, count : int
        Parts that are done, those of earlier runs with them, and all.
    seconds : float
        Since this run began to sketch.
    """

    done: int = 0
    total: int = 0
    rows: int = 0
    failed: int = 0
    parts: int = 0
    count: int = 0
    seconds: float = 0.0

    @property
    def share(self) -> float:
        """Of the inputs' bytes, 0 to 1."""
        return self.done / self.total if self.total else 1.0

    @property
    def left(self) -> float:
        """Seconds to go at the rate so far; infinity before there is one."""
        return self.seconds * (1 / self.share - 1) if self.share else float("inf")


@dataclass(frozen=True)
class Report:
    """What became of a job.

    Attributes
    ----------
    folder : str
    inputs, parts : int
        Files that were read, and parts in the folder that are made of them.
    kept, remade : int
        Parts of earlier runs, and those of them that were damaged and made again.
    rows, ok, failed : int
        Rows of the inputs, those that were sketched, and those that are in `errors/`.
    unreadable : tuple of (str, str)
        Inputs of which there is no part, and why.
    sketched : int
        Rows that this run has sketched; `seconds` and `stages` are of these.
    read, written : int
        Bytes of inputs that this run has read, and of parts that it has written.
    seconds : float
    stages : dict
        Seconds of all workers together for "read", "sketch", "pack" and "write".
    workers : int
    warnings : tuple of str
        What sketchers warned of.
    """

    folder: str
    inputs: int
    parts: int
    kept: int
    remade: int
    rows: int
    ok: int
    failed: int
    unreadable: tuple[tuple[str, str], ...]
    sketched: int
    read: int
    written: int
    seconds: float
    stages: dict[str, float] = field(default_factory=dict)
    workers: int = 1
    warnings: tuple[str, ...] = ()

    @property
    def clean(self) -> bool:
        """Whether every row of every input was sketched."""
        return not self.failed and not self.unreadable


def run(
    inputs: Path | Iterable[Path],
    out: Path,
    spec: SketchSpec,
    *,
    dtype: str = "float16",
    form: str = "parquet",
    workers: int | None = None,
    executor: Executor | None = None,
    memory: int | None = None,
    max_errors: int | None = None,
    dry_run: bool = False,
    progress: Callable[[Progress], object] | None = None,
) -> Report:
    """Sketch files of runs into a folder, and go on where an earlier run of the same job was cut short.

    Parameters
    ----------
    inputs : path, or iterable of paths
        Files of runs, .npz as TraceBatch.save or TraceWriter writes them or .parquet as TraceBatch.to_parquet does, or
        folders of them. Of folders what begins with "." or "_" is left out.
    out : path
        A folder: a new one, an empty one, or one of the same specification and storage.
    spec : SketchSpec
    dtype : {"float16", "float32", "int8", "bfloat16"}
        How sketches are stored. "bfloat16" wants the form "npz".
    form : {"parquet", "arrow", "npz"}
        Of parts. "parquet" and "arrow" want the extra `arrow`. Parts of "arrow" are written, and read, in a fraction of
        the time, without checksums but the manifest's. With "npz" a worker holds a part's sketches in memory.
    workers : int, optional
        Processes on this machine; one a core if not given. One is this process itself. More are spawned: a script then
        calls `run` below ``if __name__ == "__main__":``.
    executor : concurrent.futures.Executor, optional
        Does the work in place of local processes. Its workers see inputs and `out` under the same names.
    memory : int, optional
        Bytes that all local processes together may take: fewer workers are used where more would not fit.
    max_errors : int, optional
        Bad rows and unreadable inputs beyond which the job stops; there is no limit if not given.
    dry_run : bool
        Only say what there is to do: nothing is written.
    progress : callable, optional
        Gets a Progress whenever a part is done.

    Returns
    -------
    Report

    Raises
    ------
    ValueError, TypeError
        An argument is not of that form, the folder has another specification or holds something else, its manifest is
        damaged, or a worker does not fit into `memory`.
    FolderInUse
        Another run writes into the folder.
    TooManyErrors
        More than `max_errors` bad rows.
    OSError
        A file or folder cannot be read or written. As after any error and any kill, the same call goes on from there.
    ImportError
        pyarrow is wanted, and not installed.

    Notes
    -----
    docs/pipeline.md says what is in the folder. A row that cannot be sketched is a line of `errors/part-….jsonl`, and
    the others go on. A finished folder has the same bytes however often its job was cut short, by whichever executor it
    was done. A part is kept if its sha256 is that of the manifest, and its input has the name, size and time of change
    that it had. Inputs that are not given again keep their parts; inputs that have changed lose them.

    Cost: with Parquet reading, packing and writing take twice as long as sketching 20 objects at d = 512
    (benchmarks/test_speed_of_pipeline.py). A worker takes some 160 MiB, the matrices, and a few times the larger of 16
    MiB and an input's largest row group.

    Examples
    --------
    >>> import recsketch as rs
    >>> trace = rs.Trace()
    >>> trace.outputs([trace.add("eye", [1.0, 2.0])])
    >>> rs.TraceBatch.from_traces([trace] * 3, ids=["a", "b", "c"]).save("runs.npz")
    >>> report = rs.pipeline.run("runs.npz", "sketches", rs.SketchSpec(64, {"eye": 2}), form="npz", workers=1)
    >>> report.rows, report.failed, rs.pipeline.read("sketches").ids.tolist()
    (3, 0, ['a', 'b', 'c'])
    """
    settings = _settings(spec, dtype, form)
    place = _check.path("out", out)
    if executor is not None and not callable(getattr(executor, "submit", None)):
        raise TypeError(f"executor: wanted a concurrent.futures.Executor; got {_check.describe(executor)}")
    asked = _cores() if workers is None else _check.integer("workers", workers, 1, 1 << 16)
    limit = None if memory is None else _check.integer("memory", memory, 1, 1 << 62)
    most = None if max_errors is None else _check.integer("max_errors", max_errors, 0, 1 << 62)
    sources = found(inputs, place)
    folder = Folder(place)
    if _check.flag("dry_run", dry_run):
        if os.path.isdir(place) and folder.settings() is not None:
            folder.begin(settings)
            folder.load()
        return _report(folder, sources, _plan(folder, sources, settings), asked)
    os.makedirs(place, exist_ok=True)
    lock = WriterLock(folder.place(LOCK), "a folder of sketches")
    try:
        folder.begin(settings)
        folder.load()
        return _run(folder, sources, settings, spec, asked, executor, limit, most, progress)
    finally:
        lock.release()


@dataclass
class _Plan:
    """What there is to do."""

    todo: list[Job] = field(default_factory=list)
    kept: list[Entry] = field(default_factory=list)
    remade: int = 0
    unreadable: list[Entry] = field(default_factory=list)


def _settings(spec: object, dtype: str, form: str) -> Settings:
    if not isinstance(spec, SketchSpec):
        raise TypeError(f"spec: wanted a SketchSpec; got {_check.describe(spec)}")
    _check.choice("form", form, FORMS)
    _check.choice("dtype", dtype, tuple(STORED) if form == "npz" else DTYPES)
    return Settings(spec.to_json(), dtype, form)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _plan(folder: Folder, sources: list[Input], settings: Settings) -> _Plan:
    """Entries of these very files whose parts are whole are kept; the rest is to be done."""
    plan = _Plan()
    have: dict[str, list[Entry]] = {}
    for entry in folder.entries.values():
        have.setdefault(entry.input, []).append(entry)
    same = {s.name: [e for e in have.get(s.name, []) if e.is_of(s) and e.part is not None] for s in sources}
    bad = {(e.input, e.index) for e, _ in folder.damaged(e for entries in same.values() for e in entries)}
    plan.remade = len(bad)
    for source in sources:
        whole = {e.index: e for e in same[source.name] if (e.input, e.index) not in bad}
        if whole and len(whole) == next(iter(whole.values())).count:
            plan.kept += whole.values()
            continue
        try:
            cut = jobs(source)
        except (ValueError, OSError) as e:
            job = Job(source, None, 0, 1, 0, source.size, 0)
            plan.unreadable.append(Entry.of(job, Done(error=told(e, source.path)), "", settings))
            continue
        for job in cut:
            old = whole.get(job.index)
            if old is not None and (old.groups, old.count) == (job.groups, job.count):
                plan.kept.append(old)
            else:
                plan.todo.append(job)
    return plan


def _run(
    folder: Folder,
    sources: list[Input],
    settings: Settings,
    spec: SketchSpec,
    asked: int,
    executor: Executor | None,
    memory: int | None,
    most: int | None,
    progress: Callable[[Progress], object] | None,
) -> Report:
    plan = _plan(folder, sources, settings)
    names = {s.name for s in sources}
    keep = {(e.input, e.index): e for e in folder.entries.values() if e.input not in names}
    keep.update({(e.input, e.index): e for e in [*plan.kept, *plan.unreadable]})
    if keep != folder.entries or plan.todo:
        folder.entries = keep
        folder.finish()  # what has changed or is damaged goes first, so that readers never see it beside what is new
    workers = max(1, min(asked, len(plan.todo)))
    if executor is None:
        workers = _fitting(workers, memory, spec, plan.todo)
    failed = sum(e.failed for e in plan.kept) + len(plan.unreadable)
    _limited(failed, most)
    state = Progress(total=sum(j.size for j in plan.todo), parts=len(plan.kept), count=len(plan.kept) + len(plan.todo))
    said: dict[str, None] = {}
    stages = dict.fromkeys(STAGES, 0.0)
    written, start = 0, time.perf_counter()
    left = None if most is None else most - failed
    call = functools.partial(_work, settings=settings, folder=os.path.abspath(folder.path), most=left)
    if progress is not None:
        progress(state)
    for job, done in _stopping(drive(plan.todo, call, _lost, workers, executor), most):
        folder.add(Entry.of(job, done, part_name(job, settings.hash), settings))
        said.update(dict.fromkeys(done.warnings))
        written += done.bytes
        for stage, seconds in done.seconds.items():
            stages[stage] += seconds
        state = replace(
            state,
            done=state.done + job.size,
            rows=state.rows + done.rows,
            failed=state.failed + done.failed,
            parts=state.parts + 1,
            seconds=time.perf_counter() - start,
        )
        if progress is not None:
            progress(state)
        failed += done.failed + (done.error is not None)
        _limited(failed, most)
    folder.finish()
    report = _report(folder, sources, plan, workers)
    return replace(
        report,
        sketched=state.rows - state.failed,
        read=state.done,
        written=written,
        seconds=time.perf_counter() - start,
        stages=stages,
        warnings=tuple(said),
    )


def _work(job: Job, settings: Settings, folder: str, most: int | None) -> Done:
    return work(job, settings, folder, part_name(job, settings.hash), most)


def _lost(job: Job) -> Done:
    return Done(error=f"wanted a process that lives through it; got {TRIES} that died")


def _limited(failed: int, most: int | None, last: str = "") -> None:
    if most is not None and failed > most:
        wanted = f"wanted at most {most} bad rows and unreadable inputs"
        raise TooManyErrors(f"{wanted}; got more: {last}" if last else f"{wanted}; got {failed}")


def _stopping(answers: Iterator[tuple[Job, Done]], most: int | None) -> Iterator[tuple[Job, Done]]:
    """The answers, and an error of a worker in the coordinator's words: a worker knows what was left to it."""
    try:
        yield from answers
    except TooManyErrors as e:
        _limited(1 + (most or 0), most or 0, str(e))


def _fitting(workers: int, memory: int | None, spec: SketchSpec, todo: list[Job]) -> int:
    """How many workers fit."""
    if memory is None or not todo:
        return workers
    modules, d = len(spec.modules), spec.dim
    matrices = (spec.max_inputs + 8 * modules) * d // 8 + min(256 << 20, modules * spec.max_inputs * d // 2)
    need = (
        BASE + matrices + 6 * CHUNK + 4 * max(min(job.largest, 1 << 40) for job in todo if job.groups or not job.first)
    )
    own = BASE if workers > 1 else 0  # of the coordinator
    if memory < need:
        raise ValueError(f"memory: wanted at least {need} bytes, for one worker; got {memory}")
    return max(1, min(workers, (memory - own) // need))


def _report(folder: Folder, sources: list[Input], plan: _Plan, workers: int) -> Report:
    names = {s.name for s in sources}
    entries = [e for e in sorted(folder.entries.values(), key=lambda e: (e.input, e.index)) if e.input in names]
    unreadable = {e.input: e.error for e in [*entries, *plan.unreadable] if e.error is not None}
    return Report(
        folder=folder.path,
        inputs=len(sources),
        parts=sum(e.part is not None for e in entries),
        kept=len(plan.kept),
        remade=plan.remade,
        rows=sum(e.rows for e in entries),
        ok=sum(e.ok for e in entries),
        failed=sum(e.failed for e in entries),
        unreadable=tuple(unreadable.items()),
        sketched=0,
        read=sum(j.size for j in plan.todo),
        written=0,
        seconds=0.0,
        workers=workers,
    )
