"""The command `nearest`: rows of a file of sketches that are most like others."""

from __future__ import annotations

import argparse
import sys
from typing import Any

import numpy as np

import recsketch._check as _check
from recsketch.cli.files import keep_apart, read_sketches
from recsketch.cli.kinds import read_either
from recsketch.cli.options import Run, add_json, add_k, add_sketches, add_spec, add_threads, print_json, whole
from recsketch.cli.table import command
from recsketch.display.terminal import Style, significant, table
from recsketch.runs.batch import TraceBatch
from recsketch.sketcher import Sketcher
from recsketch.sketching.packing import PackedSketches


@command("recsketch nearest sketches.npz --like 0 -k 3", "recsketch nearest sketches.npz --query later -k 1 --centre")
def nearest(parser: argparse.ArgumentParser) -> Run:
    """Find the sketches of a file that are most like others. The others are runs, sketches, or one of the rows. Every
    row is looked at; a repository (add, search) keeps keys and metadata, too. For runs whose parts were moved about,
    sketch by an unordered specification."""
    add_sketches(parser)
    parser.add_argument("--query", metavar="FILE", help="what to look for: runs, or sketches")
    parser.add_argument("--like", type=whole(0), metavar="N", help="what to look for: this row, itself left out")
    add_spec(parser)
    add_k(parser, 1, 10, "how many")
    parser.add_argument(
        "--metric", choices=("cosine", "inner"), default="cosine", help="cosine, or inner product (default: cosine)"
    )
    parser.add_argument(
        "--centre", action="store_true", help="subtract the mean of all rows, once all have norm one, from both sides"
    )
    add_threads(parser)
    add_json(parser)

    def run(args: argparse.Namespace) -> None:
        if (args.query is None) == (args.like is None):
            parser.error(f"wanted --query FILE or --like N; got {'neither' if args.like is None else 'both'}")
        keep_apart([args.sketches, args.query, args.spec], [])
        spec, rows = read_sketches(args.sketches, args.spec)
        sk = Sketcher(spec, threads=args.threads)
        more = 0
        if args.like is not None:
            if args.like >= len(rows):
                raise ValueError(f"--like: wanted a number below {len(rows)}, of a row in the file; got {args.like}")
            query, more = _plain(rows[args.like : args.like + 1]), 1
        else:
            query = _query(args, sk)
        mean = None
        if args.centre:
            rows, query = _unit(_plain(rows)), _unit(query)
            mean = rows.mean(axis=0)
        found = sk.nearest(query, rows, args.k + more, metric=args.metric, mean=mean)
        hits = [
            (q, i, score)
            for q, (indices, scores) in enumerate(zip(found.indices.tolist(), found.scores.tolist(), strict=True))
            for i, score in [pair for pair in zip(indices, scores, strict=True) if pair[0] != args.like][: args.k]
        ]
        if args.json:
            print_json([{"query": q, "sketch": i, "score": score} for q, i, score in hits])
            return
        cells = [[str(q), str(i), significant(score, 3)] for q, i, score in hits]
        print(table(["query", "sketch", "score"], cells, style=Style.of(sys.stdout), indent=0))

    return run


def _query(args: argparse.Namespace, sk: Sketcher) -> Any:
    found = read_either(args.query, args.spec)
    if isinstance(found, TraceBatch):
        return sk.sketch(found)
    spec, query = found
    if spec != sk.spec:
        got = f"{_check.cut(args.query, 200)}, of another"
        raise ValueError(
            f"--query: wanted sketches of the specification of {_check.cut(args.sketches, 200)}; got {got}"
        )
    return _plain(query)


def _plain(rows: Any) -> Any:
    return rows.unpack() if isinstance(rows, PackedSketches) else rows


def _unit(rows: Any) -> Any:
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(norms > 0, norms, 1)
