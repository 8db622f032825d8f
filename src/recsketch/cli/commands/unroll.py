"""The command `unroll`: whole runs from sketches alone."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, TextIO

from recsketch.cli.files import keep_apart, read_mask, read_sketches, writing
from recsketch.cli.options import (
    Run,
    add_html,
    add_index,
    add_json,
    add_mask,
    add_max_depth,
    add_out,
    add_sketches,
    add_spec,
    add_threads,
    chosen,
    finite,
    line,
    origin,
    print_json,
)
from recsketch.cli.options import told as told_to
from recsketch.cli.table import command
from recsketch.display.terminal import Style, lines, percent, progress, significant, table
from recsketch.runs import drawing
from recsketch.runs.batch import TraceBatch
from recsketch.sketcher import Sketcher

_UNROLLED = 16  # at a time


@command("recsketch unroll sketches.npz --index 0 --html run.html")
def unroll(parser: argparse.ArgumentParser) -> Run:
    """Rebuild whole runs from sketches alone. Prints a line a sketch, and the trees of those chosen or the only one."""
    add_sketches(parser)
    add_spec(parser)
    add_index(parser, "this sketch")
    add_mask(parser)
    add_max_depth(parser)
    add_out(parser, "the runs, .npz")
    add_html(parser, "the trees")
    add_threads(parser)
    add_json(parser)

    def run(args: argparse.Namespace) -> None:
        keep_apart([args.sketches, args.spec, args.mask], [args.out, args.html])
        spec, sketches = read_sketches(args.sketches, args.spec)
        numbers = chosen(args.index, len(sketches))
        mask = None if args.mask is None else read_mask(args.mask, len(sketches), spec.dim)
        sketcher = Sketcher(spec, threads=args.threads)
        found: list[Any] = []
        with writing(args.out) as out, writing(args.html) as page:  # first, so that nobody computes in vain
            for at in progress(range(0, len(numbers), _UNROLLED), "unrolling"):
                part = numbers[at : at + _UNROLLED]
                found += sketcher.unroll(sketches[part], None if mask is None else mask[part], args.max_depth)
            if page is not None:
                sections = [(f"Sketch {i}", u._repr_html_()) for i, u in zip(numbers, found, strict=True)]
                text = drawing.document(f"Unrolled from {origin(args.sketches)}", sections)
                page.write(text.encode("utf-8", "backslashreplace"))
            if out is not None:
                TraceBatch.from_traces([u.to_trace() for u in found if u.objects]).save(out)
        empty = [str(i) for i, u in zip(numbers, found, strict=True) if not u.objects]
        if empty and args.out is not None:
            left_out = f"left out, since nothing was found in them: {', '.join(empty)}"
            print(line(f"{args.out}: {left_out}"), file=sys.stderr)
        whole = args.index is not None or len(numbers) == 1  # printed last: stdout's reader may stop at any line
        told = told_to(args.out, args.html)
        if args.json:
            print_json([_row(i, u, whole) for i, u in zip(numbers, found, strict=True)], told)
        else:
            _print(numbers, found, whole, told)

    return run


def _print(numbers: Sequence[int], found: Sequence[Any], whole: bool, told: TextIO) -> None:
    style = Style.of(told)
    rows = []
    for i, u in zip(numbers, found, strict=True):
        complete = "yes" if u.complete else "no"
        rows.append([str(i), str(len(u.objects)), complete, percent(u.explained), significant(u.residual)])
    print(table(["sketch", "objects", "complete", "explained", "residual"], rows, style=style, indent=0), file=told)
    for i, u in zip(numbers, found, strict=True) if whole else ():
        print("\n".join(["", *lines([f"sketch {i}", *u.tree().splitlines()], style=style)]), file=told)


def _row(i: int, u: Any, whole: bool) -> dict[str, Any]:
    row: dict[str, Any] = {"sketch": i, "objects": len(u.objects), "complete": u.complete}
    row |= {"explained": finite(float(u.explained)), "residual": finite(float(u.residual))}
    if whole:
        row |= {"outputs": list(u.outputs), "weights": list(u.weights)}
        vectors = ("attribute", "error")
        row["tree"] = [{k: finite(v.tolist()) if k in vectors else v for k, v in asdict(o).items()} for o in u.objects]
    return row
