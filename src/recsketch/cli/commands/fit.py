"""The command `fit`: runs to a specification."""

from __future__ import annotations

import argparse
from typing import Any

import recsketch._check as _check
import recsketch._files as _files
from recsketch.cli.files import keep_apart, read_all_runs, read_runs, target
from recsketch.cli.options import (
    RUNS,
    Run,
    add_dtype,
    add_in_and_out,
    add_json,
    add_threads,
    line,
    no_others,
    number,
    print_json,
    take_out,
    tell,
    told,
    whole,
)
from recsketch.cli.table import command
from recsketch.runs.batch import TraceBatch
from recsketch.sketching.packing import STORED
from recsketch.sketching.spec import SketchSpec


@command("recsketch fit runs.npz spec.json --trial runs.npz", "recsketch fit runs.npz sums.json --additive --dim 512")
def fit(parser: argparse.ArgumentParser) -> Run:
    """Find a specification for runs such as these. It has their modules, and a length that the largest of them needs.
    What no run has, nothing is kept ready for, so that the runs had better be many and unlike each other."""
    add_in_and_out(parser, "IN", RUNS, "the specification, a name in .json")
    parser.add_argument("--dim", type=whole(1), metavar="N", help="the length of a sketch (default: what is needed)")
    parser.add_argument("--seed", type=whole(0), default=0, metavar="N", help="of the random matrices (default: 0)")
    parser.add_argument("--target", type=number, metavar="X", help="load of the largest run (default: 0.6)")
    parser.add_argument(
        "--decoder", choices=("unroll", "recover"), help="what is to read the sketches (default: unroll)"
    )
    parser.add_argument(
        "--seen-wiring", action="store_true", help="refuse runs that feed modules otherwise than these do"
    )
    parser.add_argument(
        "--additive", action="store_true", help="for populations: sketches that are added up; with --dim"
    )
    parser.add_argument("--trial", metavar="RUNS", help="try the specification on runs, best on others than IN")
    add_dtype(parser, tuple(STORED), "float32")
    add_threads(parser)
    add_json(parser)

    def run(args: argparse.Namespace) -> None:
        take_out(parser, args, (".json",))
        keep_apart([*args.inputs, args.trial if args.trial not in args.inputs else None], [args.out])
        if args.additive:
            no_others(args, ("target", "decoder", "seen_wiring", "trial", "dtype"), "none of it with --additive")
            if args.dim is None:
                raise ValueError("--dim: wanted a length with --additive; got none")
        if args.trial is None:
            no_others(args, ("dtype", "threads"), "--trial with it; got none")
        with _files.written(target(args.out)) as out:
            runs = read_all_runs(args.inputs)
            again = args.trial is None or args.inputs == [args.trial]
            tried = runs if again else read_runs(args.trial)
            spec = _additive(runs, args) if args.additive else _fitted(runs, args)
            out.write(spec.to_json().encode() + b"\n")
        to = told(args.out)
        fitted = {"runs": len(runs), "modules": len(spec.modules), "dim": spec.dim}
        text = f"{args.out}: {spec.dim:,} numbers a sketch, {_check.count(len(spec.modules), 'module')}"
        if args.trial is None:
            tell(args, text, fitted, to)
            return
        from recsketch.trials.trial import trial

        found = trial(spec, tried, storage=args.dtype or "float32", threads=args.threads)
        if args.json:
            stored = {x.dtype: {"bytes": x.bytes, "whole": float(x.whole.mean())} for x in found.stored}
            print_json({**fitted, "tried": len(found.tried), "stored": stored, "advice": list(found.advice)}, to)
        else:
            print(f"{line(text)}\n{found}", file=to)

    return run


def _fitted(runs: TraceBatch, args: argparse.Namespace) -> SketchSpec:
    more = {"target": args.target, "decoder": args.decoder, "wiring": "seen" if args.seen_wiring else None}
    given: dict[str, Any] = {name: value for name, value in more.items() if value is not None}
    return SketchSpec.fitted(runs, dim=args.dim, seed=args.seed, **given)


def _additive(runs: TraceBatch, args: argparse.Namespace) -> SketchSpec:
    return SketchSpec.additive(args.dim, runs.modules, args.seed).with_scales(runs)
