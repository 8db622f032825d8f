"""Subcommands of populations."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np

import recsketch._files as _files
from recsketch.cli.files import keep_apart, read_sketches, source, target
from recsketch.cli.options import Run, add_json, line, print_json
from recsketch.cli.options import told as told_to
from recsketch.display.terminal import Style, significant, table
from recsketch.populations.population import Population
from recsketch.populations.results import PathStatistics


def read_population(path: str) -> Population:
    """What `Population.save` or `recsketch sketch` wrote, the latter's sketches added up."""
    try:
        return Population.load(source(path))
    except ValueError as first:
        try:
            spec, sketches = read_sketches(path)
        except ValueError:
            raise first from None
    found = Population(spec)
    found.update(sketches)
    return found


def _population(parser: argparse.ArgumentParser) -> Run:
    """Read counts and means of all runs from the sum of their sketches. Files may be populations, or sketches of a
    specification that SketchSpec.additive makes; all are merged."""
    parser.add_argument(
        "files", nargs="+", metavar="FILE.npz", help="as `recsketch sketch`, or Population.save, writes it"
    )
    parser.add_argument("--by", choices=("path", "module"), default="path", help="a line a path, or a module")
    parser.add_argument("--out", "-o", metavar="POPULATION.npz", help="write the merged population")
    parser.add_argument("--noise", type=float, default=0.0, metavar="X", help="root mean square error of the sum")
    add_json(parser)

    def run(args: argparse.Namespace) -> None:
        keep_apart(args.files, [args.out])
        whole = read_population(args.files[0])
        for path in args.files[1:]:
            whole.merge(read_population(path))
        if args.out is not None:
            with _files.written(target(args.out)) as out:
                whole.save(out)
        found, told = whole.read(args.by, noise=args.noise), told_to(args.out)
        if args.json:
            head = {"runs": found.runs, "complete": found.complete, "unexplained": found.unexplained}
            print_json({**head, "paths": [_row(p) for p in found]}, told)
            return
        rest = "all of it" if found.complete else f"not all of it: {found.unexplained:.1e} is left"
        print(line(f"{found.runs:,} runs, {rest}"), file=told)
        rows = [
            [
                " > ".join(p.path),
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


def _row(p: PathStatistics) -> dict[str, Any]:
    found: dict[str, Any] = {"path": list(p.path), "count": p.count, "per_run": p.per_run}
    for name in ("per_run_error", "mean", "mean_error", "covariance"):
        value = getattr(p, name)
        found[name] = None if value is None else _finite(np.asarray(value).tolist())
    return found


def _finite(value: Any) -> Any:
    """JSON has no NaN."""
    if isinstance(value, list):
        return [_finite(v) for v in value]
    return value if np.isfinite(value) else None


COMMANDS: tuple[Callable[[argparse.ArgumentParser], Run], ...] = (_population,)
