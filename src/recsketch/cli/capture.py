"""The subcommand that makes runs of traces of other systems."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import asdict

import recsketch._check as _check
import recsketch._files as _files
from recsketch.cli.files import is_parquet, keep_apart, source, target, writing
from recsketch.cli.options import Run, add_json, line, print_json
from recsketch.cli.options import told as told_to
from recsketch.display.terminal import printable
from recsketch.sketching.spec import SketchSpec

_SHOWN = 5  # errors that are printed, if no file gets them


def _capture(parser: argparse.ArgumentParser) -> Run:
    """Make runs of traces of OpenTelemetry or MLflow. Their JSON is read from files or folders: a trace is a run, a
    span an object. Exits with 1 if some traces were left out. Then: recsketch sketch RUNS SKETCHES --spec SPEC.json"""
    parser.add_argument("sources", nargs="+", metavar="PATH", help="OTLP JSON, one or many documents, maybe gzipped")
    parser.add_argument("--out", "-o", required=True, metavar="RUNS", help="an .npz file, or .parquet")
    parser.add_argument("--fit", metavar="SPEC.json", help="write a specification that such runs need")
    parser.add_argument(
        "--module", default="name", metavar="KEY", help='"name", or the attribute of spans that names the module'
    )
    parser.add_argument("--edges", choices=("auto", "links", "children", "both"), default="auto")
    parser.add_argument("--errors", metavar="FILE.jsonl", help="write what could not be read, one JSON object a line")
    add_json(parser)

    def run(args: argparse.Namespace) -> None:
        from recsketch.capture.otlp import read_otlp

        keep_apart(args.sources, [args.out, args.fit, args.errors])
        given = [source(path) for path in args.sources]
        with writing(args.fit) as spec, writing(args.errors) as errors:  # first: an hour's work must not end at a typo
            found = read_otlp(given, module=args.module, edges=args.edges)
            if spec is not None:
                spec.write(SketchSpec.fitted(found.runs).to_json().encode())
            if errors is not None:
                errors.writelines(json.dumps(asdict(e)).encode() + b"\n" for e in found.errors)
            with _files.written(target(args.out)) as out:
                (found.runs.to_parquet if is_parquet(args.out) else found.runs.save)(out)
        told = told_to(args.out, args.fit, args.errors)
        edges = asdict(found.edges)
        if args.json:
            print_json({"runs": len(found.runs), "errors": len(found.errors), "edges": edges}, told)
        else:
            counts = (len(found.runs), "run"), (len(found.runs.names), "module"), (len(found.errors), "error")
            text = f"{args.out}: {', '.join(_check.count(n, what) for n, what in counts)}"
            print(line(text), file=told)
        if errors is None:
            for error in found.errors[:_SHOWN]:
                print(f"recsketch capture: {printable(_check.cut(str(error), 300))}", file=sys.stderr)
        if found.errors:
            raise SystemExit(1)

    return run


COMMANDS: tuple[Callable[[argparse.ArgumentParser], Run], ...] = (_capture,)
