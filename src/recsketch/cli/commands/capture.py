"""The command that makes runs of traces of other systems."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict

import recsketch._check as _check
import recsketch._files as _files
from recsketch.cli.files import SHOWN, is_parquet, keep_apart, source, target, writing
from recsketch.cli.options import Run, add_in_and_out, add_json, line, print_json, take_out
from recsketch.cli.options import told as told_to
from recsketch.cli.table import command
from recsketch.display.terminal import printable
from recsketch.sketching.spec import SketchSpec


@command("recsketch capture traces runs.npz", exits={1: "some traces were left out"})
def capture(parser: argparse.ArgumentParser) -> Run:
    """Make runs of traces of OpenTelemetry or MLflow. Their JSON is read from files or folders: a trace is a run, a
    span an object. Other commands take such files as runs, too, as they are with the options' defaults."""
    add_in_and_out(
        parser, "IN", "OTLP JSON, a document or one a line, maybe gzipped; or folders", "runs, .npz or .parquet"
    )
    parser.add_argument("--fit", metavar="FILE", help="write a specification that such runs need, as `fit` does")
    parser.add_argument(
        "--module-key",
        default="name",
        metavar="KEY",
        help="the attribute of spans that names their module (default: name, the span's name)",
    )
    parser.add_argument(
        "--edges",
        choices=("auto", "links", "children", "both"),
        default="auto",
        help="what a span's inputs are (default: auto, its links if it has any, else its children)",
    )
    parser.add_argument("--errors", metavar="FILE", help="write what could not be read, one JSON object a line")
    add_json(parser)

    def run(args: argparse.Namespace) -> None:
        from recsketch.capture.otlp import read_otlp

        take_out(parser, args, (".npz", ".parquet", ".pq"))
        keep_apart(args.inputs, [args.out, args.fit, args.errors])
        given = [source(path) for path in args.inputs]
        with writing(args.fit) as spec, writing(args.errors) as errors:  # first: an hour's work must not end at a typo
            found = read_otlp(given, module=args.module_key, edges=args.edges)
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
            for error in found.errors[:SHOWN]:
                print(f"recsketch capture: {printable(_check.cut(str(error), 300))}", file=sys.stderr)
        if found.errors:
            raise SystemExit(1)

    return run
