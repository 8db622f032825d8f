"""Runs come from Parquet files and go to them: reading and writing them, and a whole job, `recsketch sketch IN OUT`.

A job of two processes reads Parquet, sketches, packs as float16 and writes files of Arrow or Parquet; beside it two
processes sketch the same runs from memory, and do nothing else. Runs have 20 objects, a = 16, and d = 512.
RECSKETCH_PIPELINE_RUNS says how many there are: 1000000 takes some minutes and 3 GB of disk.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from figure import SMOKE, Figure, at_least, note

import recsketch as rs
from recsketch import pipeline

A, D, WORKERS = 16, 512, 2
SPEC = rs.SketchSpec(D, {"char": A, "line": A, "page": A}, max_inputs=8)
FILE = 50_000  # runs of an input
RUNS = int(os.environ.get("RECSKETCH_PIPELINE_RUNS", "200000"))


def batch(count: int, seed: int = 0) -> rs.TraceBatch:
    """Runs of a page of 3 lines of 16 characters, with random attributes and weights, ids and times."""
    rng = np.random.default_rng(seed)
    module = np.array([0] * 16 + [1] * 3 + [2], np.int32)
    fan_in = np.array([0] * 16 + [6, 5, 5, 3])
    inputs = np.arange(19, dtype=np.int32)
    ends = np.append(0, np.cumsum(np.tile(fan_in, count)))
    return rs.TraceBatch(
        names=list(SPEC.modules),
        objects=20 * np.arange(count + 1),
        module=np.tile(module, count),
        attribute_ends=A * np.arange(20 * count + 1),
        attributes=rng.standard_normal(20 * count * A, np.float32),
        input_ends=ends,
        inputs=np.tile(inputs, count),
        weights=rng.random(19 * count),
        output_ends=np.arange(count + 1),
        outputs=np.full(count, 19, np.int32),
        output_weights=np.ones(count),
        ids=[f"run {seed}-{i}" for i in range(count)],
        times=np.arange(count).astype("M8[us]"),
    )


def parquet(effort: int) -> Iterator[Figure]:
    """Bytes of a batch's columns by CPU time, on one thread."""
    runs = batch((500, 20_000, 50_000)[effort])
    size = sum(getattr(runs, name).nbytes for name in runs.__slots__ if name != "names") / 1e6
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/x.parquet"
        seconds: dict[str, list[float]] = {"written": [], "read": []}
        for _ in range((1, 5, 15)[effort]):
            for how, call in (
                ("written", lambda: runs.to_parquet(path)),
                ("read", lambda: rs.TraceBatch.from_parquet(path)),
            ):
                start = time.process_time()
                call()
                seconds[how].append(time.process_time() - start)
    how = f"{len(runs)} runs of 20 objects, {size:.0f} MB in memory, median"
    for what, target in (("read", 200), ("written", 200)):
        rate = size / float(np.median(seconds[what]))
        yield Figure(f"runs {what}, Parquet, one thread", f"≥ {target} MB/s", f"{rate:.0f} MB/s", how, rate >= target)


def parts(effort: int) -> Iterator[Figure]:
    """What becomes of a sketch once it is made, in CPU time, on one thread: packed, written and read again."""
    count = (100, 20_000, 50_000)[effort]
    sketches = np.random.default_rng(0).standard_normal((count, D), np.float32)
    table = rs.SketchTable(SPEC, rs.pack(sketches), np.full(count, 20, np.int32), np.full(count, 360))
    with tempfile.TemporaryDirectory() as folder:
        calls: dict[str, Any] = {"packed": lambda: rs.pack(sketches), "copied": sketches.copy}
        for form, write, read in (
            ("Arrow", table.to_ipc, rs.SketchTable.from_ipc),
            ("Parquet", table.to_parquet, rs.SketchTable.from_parquet),
        ):
            path = f"{folder}/{form}"
            calls |= {f"{form} written": lambda w=write, p=path: w(p), f"{form} read": lambda r=read, p=path: r(p)}
        seconds: dict[str, list[float]] = {name: [] for name in calls}
        for _ in range((1, 5, 15)[effort]):
            for name, call in calls.items():
                start = time.process_time()
                call()
                seconds[name].append(time.process_time() - start)
    row = {name: 1e6 * float(np.median(found)) / count for name, found in seconds.items()}
    how = f"{count:,} sketches of {D} numbers as float16, a sketch, median"
    yield Figure("float32 to float16, over copying the floats", "", f"{row['packed'] / row['copied']:.1f}×", how)
    for what in ("written", "read"):
        told = ", ".join(f"{form} {row[f'{form} {what}']:.2f} us" for form in ("Arrow", "Parquet"))
        yield Figure(f"sketches {what}, CPU time", "", told, how)


def alone(count: int) -> tuple[float, float]:
    """Wall and CPU seconds in which a process sketches so many runs from memory."""
    runs, sk = batch(min(count, 20_000)), rs.Sketcher(SPEC, threads=1)
    sk.sketch(runs[:1000])
    wall, cpu = time.perf_counter(), time.process_time()
    for first in range(0, count, len(runs)):
        sk.sketch(runs[: count - first])
    return time.perf_counter() - wall, time.process_time() - cpu


def sketched(count: int) -> tuple[float, float]:
    """Of two processes side by side: the longer wall time, and CPU time in all."""
    with ProcessPoolExecutor(WORKERS, get_context("spawn")) as pool:
        found = list(pool.map(alone, [count // WORKERS] * WORKERS))
    return max(wall for wall, _ in found), sum(cpu for _, cpu in found)


def memory(pid: int) -> int:
    """Bytes of a process and of those that it began; what they share counts once."""
    total = 0
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            total += 1024 * int(line.split()[1]) if line.startswith("Pss:") else 0
        for task in Path(f"/proc/{pid}/task").iterdir():
            total += sum(memory(int(child)) for child in (task / "children").read_text().split())
    except (OSError, ValueError):
        pass
    return total


@contextmanager
def watched(pid: int) -> Iterator[list[int]]:
    """The most memory so far, in a list of one."""
    most, done = [0], threading.Event()

    def look() -> None:
        while not done.wait(0.2):
            most[0] = max(most[0], memory(pid))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield most
    finally:
        done.set()
        thread.join()


def job(folder: Path, form: str) -> tuple[dict[str, Any], float, float, int]:
    """The command's report, its wall and CPU seconds, starts and ends of processes with them, and its memory."""
    command = [sys.executable, "-m", "recsketch", "sketch", str(folder / "in"), str(folder / "out")]
    command += ["--form", form, "--spec", str(folder / "spec.json"), "--workers", str(WORKERS), "--json"]
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    quiet = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, text=True, **quiet) as p, watched(p.pid) as most:
        text, _ = p.communicate()
    assert p.returncode == 0
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return json.loads(text), time.perf_counter() - start, cpu, most[0]


def whole(effort: int) -> Iterator[Figure]:
    """A whole job against sketching alone, in the same minutes."""
    runs = 2_000 if effort == SMOKE else RUNS
    folder = Path(tempfile.mkdtemp())
    try:
        (folder / "in").mkdir()
        (folder / "spec.json").write_text(SPEC.to_json())
        for i, first in enumerate(range(0, runs, FILE)):
            batch(min(FILE, runs - first), i).to_parquet(folder / "in" / f"{i:03}.parquet")
        rounds: dict[str, list[Any]] = {"arrow": [], "parquet": []}
        for _ in range((1, 1, 3)[effort]):
            alone = sketched(runs)
            for form, found in rounds.items():
                shutil.rmtree(folder / "out", ignore_errors=True)
                found.append((alone, job(folder, form)))
    finally:
        shutil.rmtree(folder)
    for form, found in rounds.items():
        yield from told(form, runs, min(found, key=lambda r: r[1][1] / r[0][0]))


def told(form: str, runs: int, found: Any) -> Iterator[Figure]:
    """What a job's round came to."""
    (wall, cpu), (report, job_wall, job_cpu, most) = found
    how = f"{runs:,} runs of 20 objects, d = {D}, Parquet to float16, {WORKERS} processes"
    name = f"a whole job against sketching alone from memory, parts of {form.capitalize()}"
    yield at_least(f"{name}, wall time", 0.6, wall / job_wall, how)
    yield at_least(f"{name}, CPU time", 0.6, cpu / job_cpu, how)
    work = sum(report["stages"].values())
    shares = ", ".join(f"{stage} {seconds / work:.0%}" for stage, seconds in report["stages"].items())
    yield Figure(f"a whole job: where its workers' time goes, parts of {form.capitalize()}", "", shares, how)
    rate = report["sketched"] / report["seconds"]
    yield Figure(f"a whole job: runs a second, parts of {form.capitalize()}", "", f"{rate:,.0f}", how)
    yield Figure(
        f"a whole job: memory of all its processes, parts of {form.capitalize()}",
        "≤ 1 GB",
        f"{most / 1e9:.2f} GB",
        how,
        most <= 1e9,
    )


def resumed(effort: int) -> Iterator[Figure]:
    """A job of 1,000 parts that is done, and run again."""
    count = 20 if effort == SMOKE else 1000
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "in").mkdir()
        runs = batch(20)
        for i in range(count):
            runs.to_parquet(f"{folder}/in/{i:04}.parquet")
        pipeline.run(f"{folder}/in", f"{folder}/out", SPEC, workers=1)
        seconds = []
        for _ in range((1, 3, 5)[effort]):
            start = time.perf_counter()
            report = pipeline.run(f"{folder}/in", f"{folder}/out", SPEC, workers=1)
            seconds.append(time.perf_counter() - start)
            assert report.kept == count
    best = min(seconds)
    how = f"{count} parts of 20 runs, all compared with their checksums"
    yield Figure("a finished job, run again", "≤ 2 s", f"{best:.2f} s", how, best <= 2)


FIGURES = (parquet, parts, whole, resumed)


@pytest.mark.parametrize("group", FIGURES, ids=lambda group: group.__name__)
def test_pipeline(benchmark: Any, group: Any) -> None:
    pytest.importorskip("pyarrow")
    note(benchmark, group)
    benchmark(lambda: None)
