"""Commands of populations: `population`, `compare`, `watch`."""

from __future__ import annotations

import argparse
import math
import os
from typing import TYPE_CHECKING, Any

import numpy as np

import recsketch._files as _files
from recsketch.cli.files import is_table, keep_apart, read_sketches, source, target
from recsketch.cli.options import (
    Run,
    add_json,
    add_out,
    ending,
    finite,
    line,
    number,
    print_json,
    tell,
    whole,
)
from recsketch.cli.options import told as told_to
from recsketch.cli.table import command
from recsketch.display.terminal import Style, printable, significant, table
from recsketch.sketching.packing import PackedSketches
from recsketch.sketching.spec import SketchSpec

if TYPE_CHECKING:
    from recsketch.cli.files import Sketches
    from recsketch.populations.changes.comparison import Comparison
    from recsketch.populations.population import Population
    from recsketch.populations.results import PathStatistics, PopulationReading

PICTURES = (".svg", ".png")
ALARM = 1  # exit code of watch

# What only these commands need is imported where they run: other commands start sooner.


def read_population(path: str, block: int | None = None) -> tuple[Population, float]:
    """What `Population.save` or `recsketch sketch` wrote, the latter's sketches added up, so many in a row as one unit;
    and the root mean square error of a coordinate of the sum that comes of their rounding."""
    from recsketch.populations.population import Population

    if is_table(path):
        return _added(*read_sketches(path), block)
    given = source(path)
    if not isinstance(given, str):  # standard input is read once, and tried twice
        with _files.opened(given, b"PK\x03\x04", "a population, or what `recsketch sketch` wrote") as file:
            given = file
    try:
        return Population.load(given), 0.0
    except ValueError as first:
        if not isinstance(given, str):
            given.seek(0)
        try:
            spec, sketches = read_sketches(given)
        except ValueError:
            raise first from None
    return _added(spec, sketches, block)


def _added(spec: SketchSpec, sketches: Sketches, block: int | None) -> tuple[Population, float]:
    from recsketch.populations.population import Population

    found = Population(spec)
    found.update(sketches, None if block is None else np.arange(len(sketches)) // block)
    return found, float(np.sqrt(np.sum(sketches.noise**2))) if isinstance(sketches, PackedSketches) else 0.0


@command(
    "recsketch sketch runs.npz sums.npz --spec sums.json",
    "recsketch population sums.npz --block 8 --out before.npz",
)
def population(parser: argparse.ArgumentParser) -> Run:
    """Read counts and means of all runs from the sum of their sketches. Files may be populations, or sketches of a
    specification for sums (fit --additive); all are merged."""
    parser.add_argument("files", nargs="+", metavar="IN", help="sketches, or populations as --out writes them")
    parser.add_argument("--by", choices=("path", "module"), default="path", help="a line a path, or a module")
    _add_block(parser, "so many sketches in a row belong together, a day or a session, for `compare`")
    add_out(parser, "the merged population, .npz")
    _add_plot(parser, "objects a run of each path, with intervals")
    parser.add_argument("--noise", type=number, default=0.0, metavar="X", help="root mean square error of the sum")
    add_json(parser)

    def run(args: argparse.Namespace) -> None:
        keep_apart(args.files, [args.out, args.plot])
        merged, noise = read_population(args.files[0], args.block)
        for path in args.files[1:]:
            more, rounding = read_population(path, args.block)
            merged.merge(more)
            noise = math.hypot(noise, rounding)
        if args.out is not None:
            with _files.written(target(args.out)) as out:
                merged.save(out)
        found, told = merged.read(args.by, noise=math.hypot(noise, args.noise)), told_to(args.out)
        _draw(found, args.plot)
        if args.json:
            head = {"runs": found.runs, "complete": found.complete, "unexplained": found.unexplained}
            print_json({**head, "paths": [_row(p) for p in found]}, told)
            return
        rest = "all of it" if found.complete else f"not all of it: {found.unexplained:.1e} is left"
        print(line(f"{found.runs:,} runs, {rest}"), file=told)
        rows = [
            [
                printable(" > ".join(p.path)),
                significant(p.count, 6),
                significant(p.per_run, 4),
                significant(p.per_run_error, 2),
                significant(float(np.linalg.norm(p.mean)), 4),
                significant(float(np.sqrt(np.mean(p.mean_error**2))), 2),
            ]
            for p in found
        ]
        header = ["path", "objects", "a run", "+-", "norm of mean", "+- an element"]
        print(table(header, rows, style=Style.of(told), indent=0), file=told)

    return run


def _add_plot(parser: argparse.ArgumentParser, what: str) -> None:
    picture = ending(*PICTURES)
    parser.add_argument("--plot", type=picture, metavar="FILE", help=f"draw {what}, .svg or .png (extra `plot`)")


def _add_block(parser: argparse.ArgumentParser, what: str, required: bool = False) -> None:
    parser.add_argument("--block", type=whole(1), required=required, metavar="N", help=what)


def _draw(found: PopulationReading | Comparison, path: str | None) -> None:
    if path is None:
        return
    try:
        import matplotlib
    except ImportError:
        raise ValueError("--plot: wanted matplotlib, of pip install 'recsketch[plot]'; got none") from None
    with matplotlib.rc_context({"backend": "agg", "svg.fonttype": "none", "svg.hashsalt": "recsketch"}):
        figure, kind = found.plot().figure, path.rpartition(".")[2]
        with _files.written(path) as file:
            figure.savefig(file, format=kind, dpi=150, metadata={"Date": None} if kind == "svg" else None)


def _row(p: PathStatistics) -> dict[str, Any]:
    found: dict[str, Any] = {"path": list(p.path), "count": p.count, "per_run": p.per_run}
    for name in ("per_run_error", "mean", "mean_error", "covariance"):
        value = getattr(p, name)
        found[name] = None if value is None else finite(np.asarray(value).tolist())
    return found


@command(
    "recsketch sketch later sums-later.npz --spec sums.json",
    "recsketch population sums-later.npz --block 8 --out after.npz",
    "recsketch compare before.npz after.npz",
)
def compare(parser: argparse.ArgumentParser) -> Run:
    """Say what changed from one population to another. Prints a line a path, with p-values. Their runs must have been
    added in groups, a day or a session each (population --block)."""
    parser.add_argument("before", metavar="BEFORE", help="a population, as `population --out` writes it")
    parser.add_argument("after", metavar="AFTER", help="another")
    parser.add_argument("--level", type=number, default=0.95, metavar="X", help="of intervals (default: 0.95)")
    parser.add_argument("--force", action="store_true", help="compare groups of very different sizes, too")
    _add_plot(parser, "what changed most surely")
    add_json(parser)

    def run(args: argparse.Namespace) -> None:
        from recsketch.populations.compared import compare

        keep_apart([args.before, args.after], [args.plot])
        before, after = read_population(args.before)[0], read_population(args.after)[0]
        found = compare(before, after, level=args.level, force=args.force)
        _draw(found, args.plot)
        if args.json:
            columns = {k: finite(np.asarray(v).tolist()) for k, v in found.columns().items()}
            print_json({"changed": list(found.changed()), "elements": columns})
        else:
            print(str(found))

    return run


@command(
    "recsketch watch before.npz sums.npz sums-later.npz --block 3",
    exits={ALARM: "there is an alarm"},
)
def watch(parser: argparse.ArgumentParser) -> Run:
    """Watch blocks of runs for a change. False alarms are as rare as asked for: of streams in which nothing changes at
    most the share alpha ever has one, however long they are."""
    parser.add_argument("population", metavar="POPULATION", help="earlier runs, which say what paths there are")
    parser.add_argument("reference", metavar="BEFORE", help="sketches of at least 128 blocks, in order")
    parser.add_argument("sketches", metavar="SKETCHES", help="the stream, in order")
    _add_block(parser, "runs of a block", required=True)
    parser.add_argument("--alpha", type=number, default=0.01, metavar="X", help="share of false alarms (default: 0.01)")
    parser.add_argument("--state", metavar="FILE", help="go on from there if it exists, and write it")
    add_json(parser)

    def run(args: argparse.Namespace) -> None:
        from recsketch.populations.changes.monitor import Monitor
        from recsketch.populations.elements import UNKNOWN

        keep_apart([args.population, args.reference, args.sketches], [args.state])
        known = read_population(args.population)[0]
        spec, stream = read_sketches(args.sketches)
        if spec != known.spec:
            raise ValueError(f"{args.sketches}: wanted sketches of the population's specification; got another's")
        if args.state is not None and os.path.exists(args.state):
            monitor = Monitor.load(args.state)
        else:
            earlier = read_sketches(args.reference)[1]
            usual = known.blocks(earlier[: len(earlier) // args.block * args.block], args.block)
            shares = {UNKNOWN: 0.2} if len(usual.elements) > 1 else None
            monitor = Monitor(usual.values, args.block, usual.elements, alpha=args.alpha, weights=shares)
        whole_blocks = len(stream) // args.block * args.block
        blocks = known.blocks(stream[:whole_blocks], args.block).values if whole_blocks else ()
        for block in blocks:
            if monitor.alarm is not None:
                break
            monitor.update(block, args.block)
        if args.state is not None:
            monitor.save(args.state)
        left = f", {len(stream) - whole_blocks} runs left for the next" if whole_blocks < len(stream) else ""
        facts = {"blocks": monitor.blocks, "runs_left": len(stream) - whole_blocks}
        alarm = None if monitor.alarm is None else str(monitor.alarm)
        text = f"{monitor.blocks} blocks of {args.block} runs{left}: {alarm or 'no alarm'}"
        tell(args, text, {**facts, "alarm": alarm})
        if monitor.alarm is not None:
            raise SystemExit(ALARM)

    return run
