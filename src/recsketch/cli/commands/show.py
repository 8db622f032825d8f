"""The command `show`: what a file or folder is, in a few lines."""

from __future__ import annotations

import argparse
import os
import textwrap
from collections.abc import Callable
from typing import Any

import numpy as np

import recsketch._check as _check
from recsketch.cli.files import keep_apart, read_runs, read_sketches, read_spec, writing
from recsketch.cli.kinds import OF_RUNS, OF_SKETCHES, at_hand, kind, phrase
from recsketch.cli.options import Run, add_html, add_index, add_json, chosen, line, no_others, origin, print_json, told
from recsketch.cli.table import command
from recsketch.display.terminal import Style, lines
from recsketch.runs import drawing
from recsketch.runs.batch import TraceBatch
from recsketch.sketching.packing import PackedSketches
from recsketch.sketching.spec import SketchSpec

Facts = dict[str, Any]


@command("recsketch show runs.npz --index 0 --html first.html", "recsketch show sketches.npz", "recsketch show kept")
def show(parser: argparse.ArgumentParser) -> Run:
    """Say what a file or folder is, and what is in it. It may be runs, traces, sketches, a specification, a population,
    a monitor, a dictionary, a reduction, statistics, or a repository. Of runs it also draws those that --index names;
    `unroll` does that for sketches."""
    parser.add_argument("file", metavar="PATH", help="whatever recsketch writes, or traces in OTLP JSON")
    add_index(parser, "this run")
    add_html(parser, "the trees of the runs that --index names, or of the only one,")
    add_json(parser)

    def run(args: argparse.Namespace) -> None:
        keep_apart([args.file], [args.html])
        with at_hand(args.file) as path, writing(args.html) as page:
            what = kind(path)
            if what in OF_RUNS:
                batch = read_runs(path)
                facts, name = _of_runs(batch), what
                numbers = [] if args.index is None and len(batch) != 1 else chosen(args.index, len(batch), "of a run")
                if page is not None:
                    if not numbers:
                        raise ValueError(f"--index: wanted the number of a run with --html; got none of {len(batch)}")
                    sections = [(f"Run {i}", batch[i]._repr_html_()) for i in numbers]
                    text = drawing.document(origin(args.file), sections)
                    page.write(text.encode("utf-8", "backslashreplace"))
                trees = {i: batch[i].tree() for i in numbers}
            else:
                no_others(args, ("index", "html"), f"a file of runs; got {phrase(what)}")
                name, facts, trees = what, _FACTS[what](path), {}
        to = told(args.html)
        if args.json:
            print_json({"kind": name, **facts}, to)
            return
        style = Style.of(to)
        print("\n".join(lines([f"{origin(args.file)}: {name}", *_rows(facts, style)], style=style)), file=to)
        for i, tree in trees.items():
            print("\n".join(["", *lines([f"run {i}", *tree.splitlines()], style=style)]), file=to)

    return run


def _rows(facts: Facts, style: Style) -> list[str]:
    def text(value: Any) -> str:
        if isinstance(value, dict):
            return ", ".join(f"{k} ({v:,})" if isinstance(v, int) else f"{k}: {v}" for k, v in value.items()) or "none"
        return f"{value:,}" if isinstance(value, int) else f"{value:.3g}" if isinstance(value, float) else str(value)

    wide, out = max(map(len, facts), default=0), []
    for name, value in facts.items():
        out += textwrap.wrap(
            _check.cut(text(value), 1000),
            style.width,
            initial_indent=f"  {name:{wide}}  ",
            subsequent_indent=" " * (wide + 4),
            break_on_hyphens=False,
        ) or [f"  {name}"]
    return out


def _of_runs(batch: TraceBatch) -> Facts:
    objects = np.diff(batch.objects)
    least, most = (int(f(objects)) if len(objects) else 0 for f in (np.min, np.max))
    facts: Facts = {"runs": len(batch), "objects": int(batch.module.size), "objects a run": f"{least} to {most}"}
    facts |= {"modules": dict(batch.modules)}
    if batch.ids is not None and len(batch):
        facts["ids"] = f"{batch.ids[0]} to {batch.ids[-1]}"
    if batch.times is not None and len(batch):
        facts["times"] = f"{batch.times.min()} to {batch.times.max()}"
    return facts


def _of_spec(spec: SketchSpec) -> Facts:
    facts: Facts = {"dim": spec.dim, "modules": dict(spec.modules), "seed": spec.seed, "rotation": spec.rotation}
    facts |= {"weighting": spec.weighting, "attributes": spec.attributes, "ordered": "yes" if spec.ordered else "no"}
    return facts | {"signature": spec.signature, "max_inputs": spec.max_inputs}


def _specification(path: str) -> Facts:
    return _of_spec(read_spec(path))


def _sketches(path: str) -> Facts:
    spec, sketches = read_sketches(path)
    return _of_stored(sketches) | _of_spec(spec)


def _packed(path: str) -> Facts:
    found = PackedSketches.load(path)
    return _of_stored(found if found.values.ndim == 2 else found.values[None]) | {"dim": found.dim}


def _of_stored(sketches: Any) -> Facts:
    dtype = sketches.dtype if isinstance(sketches, PackedSketches) else "float32"
    return {"sketches": len(sketches), "stored as": str(dtype), "bytes": int(sketches.nbytes)}


def _population(path: str) -> Facts:
    from recsketch.populations.population import Population

    found = Population.load(path)
    return {"runs": len(found), **_of_spec(found.spec)}


def _monitor(path: str) -> Facts:
    from recsketch.populations.changes.monitor import Monitor

    found = Monitor.load(path)
    return {"blocks": found.blocks, "state": line(repr(found)[1:-1]), "alarm": str(found.alarm or "none")}


def _dictionary(path: str) -> Facts:
    from recsketch.learning.dictionary import Dictionary

    found = Dictionary.load(path)
    return {"dim": found.dim, "sketches seen": found.seen, "columns": len(found), "is": line(repr(found)[1:-1])}


def _reduction(path: str) -> Facts:
    from recsketch.runs.reduction import Reduction

    found = Reduction.load(path)
    return {"modules": len(found.modules), "of which": "; ".join(map(str, found.modules))}


def _statistics(path: str) -> Facts:
    from recsketch.runs.statistics import ModuleStatistics

    found = ModuleStatistics.load(path)
    return {"modules": len(found), "is": line(repr(found)[1:-1])}


def _repository(path: str) -> Facts:
    from recsketch.repository.store import SketchRepository

    with SketchRepository.open(path) as found:
        return {"runs": len(found), "stored as": found.dtype, **_of_spec(found.spec)}


def _exported(path: str) -> Facts:
    return {"bytes": os.path.getsize(path), "read by": "SketchRepository.import_"}


def _array(path: str) -> Facts:
    with open(path, "rb") as file:
        import recsketch._npz as _npz

        found = _npz.parsed(file.read())
    return {"shape": " x ".join(map(str, found.shape)), "type": str(found.dtype)}


_FACTS: dict[str, Callable[[str], Facts]] = {
    "specification": _specification,
    **dict.fromkeys(OF_SKETCHES, _sketches),
    "packed sketches": _packed,
    "population": _population,
    "monitor": _monitor,
    "dictionary": _dictionary,
    "reduction": _reduction,
    "statistics": _statistics,
    "repository": _repository,
    "exported repository": _exported,
    "array": _array,
}
