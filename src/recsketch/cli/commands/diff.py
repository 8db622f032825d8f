"""The command `diff`: why two runs differ."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import recsketch._check as _check
from recsketch.cli.files import keep_apart, writing
from recsketch.cli.kinds import read_either
from recsketch.cli.options import (
    Run,
    add_html,
    add_index,
    add_json,
    add_max_depth,
    add_spec,
    add_threads,
    chosen,
    finite,
    number,
    origin,
    print_json,
    told,
)
from recsketch.cli.table import command
from recsketch.display.terminal import Style, lines
from recsketch.runs import drawing
from recsketch.runs.batch import TraceBatch
from recsketch.sketcher import Sketcher

if TYPE_CHECKING:
    from recsketch.reading.results import Unrolled
    from recsketch.runs.trace import Trace

DIFFER = 1


@command("recsketch diff runs.npz sketches.npz --index 0", exits={DIFFER: "the runs differ"})
def diff(parser: argparse.ArgumentParser) -> Run:
    """Say why two runs differ. Prints what was added, removed, moved or changed, and by how much. Each is a run of a
    file of runs, or of one of sketches, which is unrolled. Where files hold several, --index says which: once for the
    same number in both, twice for one number in each."""
    parser.add_argument("before", metavar="BEFORE", help="runs or sketches, as `show` tells")
    parser.add_argument("after", metavar="AFTER", help="runs or sketches; the same file will do")
    add_spec(parser)
    add_index(parser, "this run")
    add_max_depth(parser)
    parser.add_argument("--tolerance", type=number, default=1e-5, metavar="X", help="share of a norm (default: 1e-5)")
    add_html(parser, "the difference")
    add_threads(parser)
    add_json(parser)

    def run(args: argparse.Namespace) -> None:
        from recsketch.reading.difference import diff as differences

        numbers = args.index or []
        if len(numbers) > 2:
            raise ValueError(f"--index: wanted one number, or one for each file; got {len(numbers)}")
        keep_apart([args.before, args.after, args.spec], [args.html])
        with writing(args.html) as page:
            before = _run(args, args.before, numbers[:1])
            after = _run(args, args.after, numbers[-1:])
            found = differences(before, after, tolerance=args.tolerance)
            if page is not None:
                ends = ((args.before, numbers[:1]), (args.after, numbers[-1:]))
                title = " and ".join(f"{origin(path)}, run {(index or [0])[0]}" for path, index in ends)
                text = drawing.document("Why two runs differ", [(title, found._repr_html_())])
                page.write(text.encode("utf-8", "backslashreplace"))
        to = told(args.html)
        if args.json:
            changes = [{k: _plain(v) for k, v in asdict(c).items()} for c in found.changes]
            print_json({"changes": changes, "same": found.same, "whole": list(found.whole)}, to)
        else:
            print("\n".join(lines(str(found).splitlines(), style=Style.of(to))), file=to)
        if found:
            raise SystemExit(DIFFER)

    return run


def _run(args: argparse.Namespace, path: str, index: list[int]) -> Trace | Unrolled:
    """The run that is meant."""
    found = read_either(path, args.spec)
    rows = found if isinstance(found, TraceBatch) else found[1]
    if not index and len(rows) != 1:
        raise ValueError(
            f"--index: wanted the number of a run, since {_check.cut(path, 200)} has {len(rows)}; got none"
        )
    (at,) = chosen(index or None, len(rows), f"of a run in {_check.cut(path, 200)}")
    if isinstance(found, TraceBatch):
        return found[at]
    unrolled: Unrolled = Sketcher(found[0], threads=args.threads).unroll(found[1][at], max_depth=args.max_depth)
    return unrolled


def _plain(value: Any) -> Any:
    return finite(list(value) if isinstance(value, tuple) else value)
