"""The command `read`: attributes of runs whose structure is known, and counts and means of a module where it is not."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

import numpy as np

import recsketch._check as _check
from recsketch.cli.files import keep_apart, read_mask, read_runs, read_sketches, writing
from recsketch.cli.options import (
    Run,
    add_index,
    add_json,
    add_mask,
    add_out,
    add_sketches,
    add_spec,
    add_threads,
    chosen,
    finite,
    no_others,
    print_json,
    told,
)
from recsketch.cli.table import command
from recsketch.display.terminal import Style, progress, significant, table
from recsketch.runs.batch import TraceBatch
from recsketch.runs.trace import Trace
from recsketch.sketcher import Sketcher
from recsketch.sketching.spec import SketchSpec

if TYPE_CHECKING:
    from recsketch.cli.files import Sketches

METHODS = ("lstsq", "sparse", "matched", "paper")
_READ = 64  # sketches at a time


@command(
    "recsketch read sketches.npz --structure runs.npz --index 0 --out attributes.npz",
    "recsketch read sketches.npz --module price.get --below 'POST /order,cart.get' --index 0",
)
def read(parser: argparse.ArgumentParser) -> Run:
    """Read attributes, or counts and means of a module, from sketches. With --structure, runs that say what used what,
    prints a line a sketch; --out has the runs with the attributes that were read, and --json both. With --module
    nothing needs to be known but the way down to it."""
    add_sketches(parser)
    add_spec(parser)
    parser.add_argument(
        "--structure", metavar="RUNS", help="as many runs as sketches, or one; no attribute is looked at"
    )
    parser.add_argument("--method", choices=METHODS, help="how attributes are read (default: lstsq)")
    parser.add_argument("--module", metavar="NAME", help="count this module, and average it")
    parser.add_argument(
        "--below",
        action="append",
        default=[],
        metavar="NAMES",
        help="modules on the way from the output down to it, with commas between (default: none); may be repeated",
    )
    add_index(parser, "this sketch")
    add_mask(parser)
    add_out(parser, "the runs with what was read, .npz")
    add_threads(parser)
    add_json(parser)

    def run(args: argparse.Namespace) -> None:
        if (args.structure is None) == (args.module is None):
            got = "neither" if args.module is None else "both"
            parser.error(f"wanted --structure RUNS or --module NAME; got {got}")
        if args.module is None:
            no_others(args, ("below",), "--module with it; got --structure")
        else:
            no_others(args, ("method", "out"), "--structure with it; got --module")
        keep_apart([args.sketches, args.spec, args.mask, args.structure], [args.out])
        spec, sketches = read_sketches(args.sketches, args.spec)
        numbers = chosen(args.index, len(sketches))
        mask = None if args.mask is None else read_mask(args.mask, len(sketches), spec.dim)
        reader = _summaries if args.structure is None else _attributes
        reader(args, Sketcher(spec, threads=args.threads), spec, sketches, numbers, mask)

    return run


def _attributes(
    args: argparse.Namespace, sk: Sketcher, spec: SketchSpec, sketches: Sketches, numbers: list[int], mask: Any
) -> None:
    runs = read_runs(args.structure)
    if len(runs) not in (1, len(sketches)):
        wanted = f"one run, or one for each of {len(sketches)} sketches"
        raise ValueError(f"--structure: wanted {wanted}; got {_check.count(len(runs), 'run')}")
    own = [0] * len(numbers) if len(runs) == 1 else numbers
    found: list[Any] = []
    with writing(args.out) as out:
        for at in progress(range(0, len(numbers), _READ), "reading"):
            part = slice(at, at + _READ)
            kept = None if mask is None else mask[numbers[part]]
            found += sk.recover(sketches[numbers[part]], runs[own[part]], args.method or "lstsq", mask=kept)
        if out is not None:
            again = [_filled(runs[k], r.attributes) for k, r in zip(own, found, strict=True)]
            TraceBatch.from_traces(again).save(out)
    to = told(args.out)
    if args.json:
        rows = []
        for i, k, r in zip(numbers, own, found, strict=True):
            row: dict[str, Any] = {"sketch": i, "residual": finite(float(r.residual)), "warnings": list(r.warnings)}
            objects = zip(runs[k].objects, r.attributes, r.errors.tolist(), strict=True)
            row["objects"] = [
                {"module": o.module, "attribute": finite(x.tolist()), "error": finite(e)} for o, x, e in objects
            ]
            rows.append(row)
        print_json(rows, to)
        return
    cells = [
        [str(i), str(len(r.attributes)), significant(float(np.max(r.errors, initial=0.0))), significant(r.residual)]
        for i, r in zip(numbers, found, strict=True)
    ]
    print(table(["sketch", "objects", "largest error", "residual"], cells, style=Style.of(to), indent=0), file=to)
    for i, r in zip(numbers, found, strict=True):
        for text in r.warnings:
            print(f"recsketch read: warning: sketch {i}: {text}", file=sys.stderr)


def _filled(run: Trace, attributes: list[Any]) -> Trace:
    """The run with other attributes; 0 stands for what the sketch does not show."""
    made = Trace()
    for o, x in zip(run.objects, attributes, strict=True):
        made.add(o.module, np.nan_to_num(x), o.inputs, o.weights)
    made.outputs(run.output_ids, run.output_weights)
    return made


def _summaries(
    args: argparse.Namespace, sk: Sketcher, spec: SketchSpec, sketches: Sketches, numbers: list[int], mask: Any
) -> None:
    parts = ([text] if text in spec.modules else text.split(",") for text in args.below)
    below = tuple(name for part in parts for name in part if name)
    rows, cells = [], []
    for i in progress(numbers, "reading"):
        found = sk.summary(sketches[i], args.module, below=below, mask=None if mask is None else mask[i])
        row: dict[str, Any] = {"sketch": i}
        row |= {"count": finite(float(found.count)), "count_error": finite(float(found.count_error))}
        row |= {"mean": finite(found.mean.tolist()), "mean_error": finite(float(found.mean_error))}
        rows.append(row)
        norm = float(np.linalg.norm(found.mean))
        shown = (found.count, found.count_error, norm, found.mean_error)
        cells.append([str(i), *(significant(float(v), 3) for v in shown)])
    if args.json:
        print_json(rows)
        return
    header = ["sketch", "count", "+-", "norm of mean", "+- an element"]
    print(table(header, cells, style=Style.of(sys.stdout), indent=0))
