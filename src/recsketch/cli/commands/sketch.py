"""The command `sketch`: one file of runs to one of sketches, or any number of them to a folder."""

from __future__ import annotations

import argparse
import os
import re
import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, TextIO

import numpy as np

import recsketch._check as _check
import recsketch._files as _files
from recsketch.cli.files import (
    SHOWN,
    STANDARD,
    is_traces,
    keep_apart,
    read_runs,
    read_spec,
    target,
    write_sketches,
)
from recsketch.cli.options import (
    RUNS,
    Run,
    add_dtype,
    add_in_and_out,
    add_json,
    add_spec,
    add_threads,
    line,
    no_others,
    print_json,
    take_out,
    tell,
    told,
    whole,
)
from recsketch.cli.table import command
from recsketch.display.terminal import Style, bar, percent, progress, significant, table
from recsketch.sketcher import Sketcher

if TYPE_CHECKING:
    from recsketch.pipeline import Progress, Report
    from recsketch.sketching.spec import SketchSpec

_CHUNK = 256  # runs of a single file sketched at a time
_FOLDER = ("dtype", "form", "workers", "memory", "max_errors", "dry_run")  # options of folders alone

BAD, STOPPED = 1, 3
"""Exit codes: finished, but rows or inputs are bad; stopped by --max-errors."""


@command(
    "recsketch sketch runs.npz sketches.npz --spec spec.json",
    "recsketch sketch traces again.npz --spec spec.json",
    exits={
        BAD: "rows, inputs or traces are bad; of a folder OUT/errors and OUT/_manifest.jsonl say which",
        STOPPED: "more bad rows than --max-errors",
    },
)
def sketch(parser: argparse.ArgumentParser) -> Run:
    """Sketch runs, or traces of OpenTelemetry. Where IN or OUT is -, or OUT a name in .npz, one file of runs, or one
    file or folder of traces, is made a file of sketches. Else OUT is a folder: any number of files and folders of runs,
    .npz or .parquet, are made parts of sketches there, and a command that was cut short goes on where it was."""
    add_in_and_out(parser, "IN", RUNS, "sketches, a name in .npz or a folder")
    add_spec(parser)
    folders = parser.add_argument_group("of a folder")
    add_dtype(folders, ("float16", "float32", "int8", "bfloat16"), "float16")
    folders.add_argument("--form", choices=("parquet", "arrow", "npz"), help="of parts (default: parquet)")
    folders.add_argument("--workers", type=whole(1), metavar="N", help="processes (default: one a core)")
    folders.add_argument("--memory", type=_bytes, metavar="SIZE", help="of all processes, such as 800M or 2G")
    folders.add_argument("--max-errors", type=whole(0), metavar="N", help="stop at more bad rows (default: never)")
    folders.add_argument("--dry-run", action="store_true", help="only tell what there is to do")
    folders.add_argument("--verify", action="store_true", help="compare the folder IN with its checksums, and no more")
    add_threads(parser)
    add_json(parser)

    def run(args: argparse.Namespace) -> None:
        if args.verify:
            _verify(args)
            return
        take_out(parser, args)
        if args.spec is None:
            parser.error("the following arguments are required: --spec")
        file = args.out.lower().endswith(".npz") or (os.path.exists(args.out) and not os.path.isdir(args.out))
        if file or STANDARD in (*args.inputs, args.out):
            _single(args, args.out)
        else:
            keep_apart([args.spec], [])
            for path in args.inputs:
                if is_traces(path):
                    wanted = "runs, which `recsketch capture` makes of traces, for a folder of sketches"
                    raise ValueError(f"{_check.cut(path, 200)}: wanted {wanted}; got traces")
            _folder(args, args.out, read_spec(args.spec))

    return run


def _bytes(text: str) -> int:
    """An argument type: a number of bytes, with K, M, G or T for powers of 1,024."""
    found = re.fullmatch(r"(\d{1,15})([KMGT]?)(i?B)?", text, flags=re.IGNORECASE)
    if not found or not int(found[1]):
        raise argparse.ArgumentTypeError(f"wanted a size such as 800M or 2G; got {_check.shown(text)}")
    return int(found[1]) << 10 * " KMGT".index(found[2].upper() or " ")


def _single(args: argparse.Namespace, out: str) -> None:
    given = args.inputs[0]
    if len(args.inputs) > 1 or (os.path.isdir(given) and not is_traces(given)):
        wanted = "a folder to write, for several files of runs"
        raise ValueError(f"{_check.cut(out, 200)}: wanted {wanted}; got the name of a file")
    no_others(args, _FOLDER, f"a folder to write; got {_check.shown(out)}")
    keep_apart([given, args.spec], [out])
    spec = read_spec(args.spec)
    left_out: list[str] = []
    batch = read_runs(given, left_out)
    sketcher = Sketcher(spec, threads=args.threads)
    with _files.written(target(out)) as file:  # first, so that nobody computes what cannot be written
        sketches = np.empty((len(batch), spec.dim), dtype=np.float32)
        for at in progress(range(0, len(batch), _CHUNK), "sketching"):
            sketches[at : at + _CHUNK] = sketcher.sketch(batch[at : at + _CHUNK])
        write_sketches(file, spec, sketches)
    count = f"{len(batch):,} sketch{'es' * (len(batch) != 1)} of {spec.dim:,} numbers"
    facts = {"sketches": len(batch), "dim": spec.dim, "left_out": len(left_out)}
    tell(args, f"{out}: {count}", facts, told(out))
    for text in left_out[:SHOWN]:
        print(line(f"recsketch sketch: left out: {text}"), file=sys.stderr)
    if left_out:
        raise SystemExit(BAD)


def _folder(args: argparse.Namespace, out: str, spec: SketchSpec) -> None:
    from recsketch.pipeline import TooManyErrors
    from recsketch.pipeline import run as sketched

    if args.threads is not None:
        raise ValueError("--threads: wanted --workers, each of which has one thread; got both a folder and threads")
    meter = _Meter(sys.stderr)
    try:
        report = sketched(
            args.inputs,
            out,
            spec,
            dtype=args.dtype or "float16",
            form=args.form or "parquet",
            workers=args.workers,
            memory=args.memory,
            max_errors=args.max_errors,
            dry_run=args.dry_run,
            progress=meter,
        )
    except TooManyErrors as e:
        meter.clear()
        print(line(f"recsketch sketch: error: {e}"), file=sys.stderr)
        raise SystemExit(STOPPED) from None
    finally:
        meter.clear()
    for text in report.warnings:
        print(line(f"recsketch sketch: warning: {text}"), file=sys.stderr)
    for name, text in report.unreadable:
        print(line(f"recsketch sketch: {name}: {text}"), file=sys.stderr)
    if args.json:
        print_json({**asdict(report), "clean": report.clean, "dry_run": args.dry_run})
    elif args.dry_run:
        print(_to_do(report))
    else:
        print(_told(report, Style.of(sys.stderr)), file=sys.stderr)
    if not report.clean:
        raise SystemExit(BAD)


def _verify(args: argparse.Namespace) -> None:
    from recsketch.pipeline import verify

    if len(args.inputs) + (args.out is not None) != 1:
        raise ValueError("--verify: wanted one folder of sketches; got several paths")
    path = args.inputs[0]
    found = verify(path)
    if args.json:
        print_json({**asdict(found), "ok": found.ok})
    elif found.ok:
        print(line(f"{path}: {found}"))
    if not found.ok:
        raise ValueError(f"{path}: wanted the bytes that were written; got others: {found}")


class _Meter:
    """Tells a terminal how far a job is, in one line that is written over; elsewhere a line now and then."""

    def __init__(self, stream: TextIO, delay: float = 10.0) -> None:
        self._stream, self._delay = stream, delay
        self._terminal = stream.isatty()
        self._style = Style.of(stream)
        self._due = time.monotonic() + delay
        self._width = 0

    def __call__(self, state: Progress) -> None:
        if not self._terminal and time.monotonic() < self._due:
            return
        self._due = time.monotonic() + self._delay
        text = progress_text(state, self._style)
        if self._terminal:
            self._stream.write("\r" + text.ljust(self._width))
            self._width = len(text)
        else:
            self._stream.write(text + "\n")
        self._stream.flush()

    def clear(self) -> None:
        """Leave the line empty for what comes next."""
        if self._terminal and self._width:
            self._stream.write("\r" + " " * self._width + "\r")
            self._stream.flush()
        self._width = 0


def progress_text(state: Progress, style: Style) -> str:
    """A state as one line, cut to the width: how much, how fast, how long."""
    parts = [f"{state.share:4.0%} {bar(state.share, 12, style=style)}", f"{state.rows:,} runs"]
    if state.seconds > 0 and state.rows:
        parts.append(f"{significant(state.rows / state.seconds)}/s")
        parts.append(f"{significant(state.done / state.seconds / 1e6)} MB/s")
        parts.append(f"{_clock(state.left)} left")
    if state.failed:
        parts.append(f"{state.failed:,} bad")
    return _check.cut("  ".join(parts), style.width - 1)


def _clock(seconds: float) -> str:
    """Minutes and seconds, or hours and minutes."""
    if not np.isfinite(seconds):
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _size(count: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:,.0f} {unit}" if unit == "bytes" else f"{significant(count, 3)} {unit}"
        count /= 1000
    return f"{significant(count, 3)} TB"


def _to_do(report: Report) -> str:
    done = f"{report.kept} parts are there" if report.kept else "no part is there"
    left = "all is done" if not report.read else f"{_size(report.read)} of runs to read"
    return line(f"{report.folder}: {_check.count(report.inputs, 'input')}, {done}, {left}")


def _told(report: Report, style: Style) -> str:
    """The table at the end."""
    seconds = max(report.seconds, 1e-9)
    work = sum(report.stages.values())
    kept = f"{report.kept:,} kept" if report.kept else ""
    kept += f"{', ' * bool(kept)}{report.remade:,} made again" if report.remade else ""
    rows = [
        ["inputs", f"{report.inputs:,}", f"{len(report.unreadable):,} unreadable" if report.unreadable else ""],
        ["parts", f"{report.parts:,}", kept],
        ["runs", f"{report.rows:,}", ""],
        ["sketched", f"{report.ok:,}", f"{significant(report.sketched / seconds)} a second" if report.sketched else ""],
        ["bad", f"{report.failed:,}", "in errors/" if report.failed else ""],
    ]
    if report.written:
        rows.append(["read", _size(report.read), f"{_size(report.read / seconds)} a second"])
        rows.append(["written", _size(report.written), f"{_size(report.written / seconds)} a second"])
        rows.append(["time", _clock(report.seconds), _check.count(report.workers, "worker")])
    if work:
        rows += [[f"  {stage}", percent(x / work), ""] for stage, x in report.stages.items()]
    return table([line(report.folder), "", ""], [[line(cell) for cell in row] for row in rows], style=style, indent=0)
