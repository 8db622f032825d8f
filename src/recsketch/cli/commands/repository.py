"""Commands of a repository: `add`, `search`, `concepts`, `graph`, `check`, `compact`, `export`."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import recsketch._check as _check
import recsketch._files as _files
from recsketch.cli.files import STANDARD, is_folder, keep_apart, read_runs, read_spec, source, target
from recsketch.cli.options import (
    RUNS,
    Run,
    add_dtype,
    add_in_and_out,
    add_json,
    add_k,
    add_spec,
    add_threads,
    line,
    number,
    print_json,
    take_out,
    tell,
    told,
    whole,
)
from recsketch.cli.table import command
from recsketch.display.terminal import Style, progress, significant, table
from recsketch.repository.segments import DTYPES
from recsketch.runs.batch import TraceBatch
from recsketch.sketching.packing import PackedSketches
from recsketch.sketching.spec import SketchSpec

if TYPE_CHECKING:
    from recsketch.repository.store import SketchRepository

_CHUNK = 1024  # runs added at a time


def _store() -> type[SketchRepository]:
    # Imported here: SQLite concerns no other command.
    from recsketch.repository.store import SketchRepository

    return SketchRepository


def _add_repository(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("repository", metavar="DIR", help="the repository, a folder")


def _add_where(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--where", metavar="JSON", help='conditions on metadata: {"year": {">=": 2020}, "kind": ["a", "b"]}'
    )


@command("recsketch add kept runs.npz --spec spec.json --objects --concepts")
def add(parser: argparse.ArgumentParser) -> Run:
    """Keep runs in a repository, or sketches of runs. Makes the repository, if there is none and a specification is
    given or the sketches have one. Runs that have ids are kept under these."""
    _add_repository(parser)
    parser.add_argument("runs", metavar="RUNS", help=f"{RUNS}; or a folder that `sketch` wrote")
    add_spec(parser)
    add_dtype(parser, DTYPES, "float32, of a new repository")
    parser.add_argument(
        "--metadata", metavar="FILE", help='a JSON object a line, one a run; where it has "key", that is the key'
    )
    parser.add_argument("--objects", action="store_true", help="keep the runs' objects, too, to be searched for")
    parser.add_argument("--concepts", action="store_true", help="look for concepts from now on")
    add_threads(parser)
    add_json(parser)

    def run(args: argparse.Namespace) -> None:
        keep_apart([args.runs, args.spec, args.metadata], [])
        spec = None if args.spec is None else read_spec(args.spec)
        own, count, given = _given(args.runs)
        keys, about = _metadata(args.metadata, count)
        options = {"dtype": args.dtype, "threads": args.threads, "concepts": args.concepts}
        with _store().open(args.repository, spec or own, "a", **options) as repository:
            first = 0
            for rows, ids in given:
                for at in progress(range(0, len(rows), _CHUNK), "adding"):
                    part, all_of = slice(at, at + _CHUNK), slice(first + at, first + min(at + _CHUNK, len(rows)))
                    names = keys[all_of] if keys is not None else None if ids is None else ids[part]
                    repository.add(rows[part], names, about[all_of], objects=args.objects)
                first += len(rows)
            whole = len(repository)
        text = f"{args.repository}: {_check.count(count, 'run')} added, {whole} in all"
        tell(args, text, {"added": count, "runs": whole})

    return run


def _given(path: str) -> tuple[SketchSpec | None, int, Iterable[tuple[TraceBatch | PackedSketches, list[str] | None]]]:
    """The specification, if what is to be kept are sketches; how many runs; and runs or sketches with their ids."""
    if path != STANDARD and is_folder(path):
        from recsketch.pipeline.folder import opened, parts

        folder = opened(path)
        settings = folder.settings()
        spec = None if settings is None else SketchSpec.from_json(settings.spec)
        tables = ((t.sketches, None if t.ids is None else t.ids.tolist()) for t in parts(path))
        return spec, sum(entry.ok for entry in folder.entries.values()), tables
    batch = read_runs(path)
    return None, len(batch), [(batch, None if batch.ids is None else batch.ids.tolist())]


def _metadata(path: str | None, count: int) -> tuple[list[str] | None, list[dict[str, Any]]]:
    """Keys, if they are given, and metadata of so many runs."""
    if path is None:
        return None, [{} for _ in range(count)]
    with _files.opened(source(path), b"{", "a JSON object a line") as file:
        found = [json.loads(text) for text in file.read().splitlines() if text.strip()]
    if len(found) != count or not all(isinstance(x, dict) for x in found):
        wanted = f"{_check.count(count, 'JSON object')}, one a line for each run"
        raise ValueError(f"{_check.cut(path, 200)}: wanted {wanted}; got {len(found)} lines")
    keys = [x.pop("key") for x in found if "key" in x]
    if keys and len(keys) != count:
        raise ValueError(f'{_check.cut(path, 200)}: wanted "key" in every line or none; got {len(keys)} of {count}')
    return keys or None, found


@command("recsketch search kept --query later -k 1", "recsketch search kept --query runs.npz -k 2 --any-order")
def search(parser: argparse.ArgumentParser) -> Run:
    """Find the runs that are most like others. The others are saved runs, or one of the repository's, by its key."""
    _add_repository(parser)
    parser.add_argument("--query", metavar="FILE", help=f"what to look for: {RUNS}")
    parser.add_argument("--like", metavar="KEY", help="what to look for: the run of this key, itself left out")
    add_k(parser, 1, 10, "how many")
    parser.add_argument("--any-order", action="store_true", help="whatever the order of inputs")
    _add_where(parser)
    add_threads(parser)
    add_json(parser)

    def run(args: argparse.Namespace) -> None:
        if (args.query is None) == (args.like is None):
            parser.error(f"wanted --query FILE or --like KEY; got {'neither' if args.like is None else 'both'}")
        where, by = _where(args.where), "order" if args.any_order else "run"
        with _store().open(args.repository, threads=args.threads) as repository:
            if args.like is None:
                found = repository.search(read_runs(args.query), args.k, where, by)
            elif args.like in repository:
                found = [repository.related(args.like, args.k, where, by)]
            else:
                raise ValueError(f"--like: wanted a key of the repository; got {_check.shown(args.like)}")
        rows = [(i, hit) for i, hits in enumerate(found) for hit in hits]
        if args.json:
            fields = ("key", "contrast", "score", "metadata")
            print_json([{"query": i, **{name: getattr(hit, name) for name in fields}} for i, hit in rows])
            return
        cells = [
            [str(i), line(hit.key), significant(hit.contrast, 3), significant(hit.score, 3), _shown(hit.metadata)]
            for i, hit in rows
        ]
        header = ["query", "key", "contrast", "score", "metadata"]
        print(table(header, cells, style=Style.of(sys.stdout), indent=0))

    return run


def _where(text: str | None) -> Any:
    """Conditions, from their JSON."""
    try:
        return None if text is None else json.loads(text)
    except ValueError:
        raise ValueError(f"--where: wanted JSON; got {_check.shown(text)}") from None


def _shown(metadata: Any) -> str:
    return line(_check.cut(json.dumps(metadata, ensure_ascii=False), 60)) if metadata else ""


@command("recsketch concepts kept")
def concepts(parser: argparse.ArgumentParser) -> Run:
    """List the kinds of runs that emerged, and what happened to them."""
    parser.add_argument("repository", metavar="DIR", help="the repository, made by add --concepts")
    parser.add_argument("--since", type=whole(0), default=0, metavar="N", help="events from number N on (default: 0)")
    add_json(parser)

    def run(args: argparse.Namespace) -> None:
        with _store().open(args.repository) as repository:
            found, events, warming = repository.concepts(), repository.events(args.since), repository.warming
        if args.json:
            rows = [{name: getattr(c, name) for name in ("id", "count", "age", "growth", "members")} for c in found]
            print_json({"warming": warming, "concepts": rows, "events": [asdict(e) for e in events]})
            return
        if warming:
            print(f"{_check.count(warming, 'more run')} wanted before there are concepts")
        cells = [
            [str(c.id), str(c.count), f"{c.growth:.1%}", str(c.age), line(_check.cut(c.members[-1], 60))] for c in found
        ]
        header = ["concept", "runs", "of recent ones", "age", "the latest"]
        print(table(header, cells, style=Style.of(sys.stdout), indent=0))
        for event in events:
            print(f"{event.number}: {event}")

    return run


@command("recsketch check kept")
def check(parser: argparse.ArgumentParser) -> Run:
    """Compare every byte of a repository with its checksum. The exit code is 2 where something is wrong."""
    _add_repository(parser)
    add_json(parser)

    def run(args: argparse.Namespace) -> None:
        with _store().open(args.repository) as repository:
            found = repository.check()
        if args.json:
            print_json(asdict(found))
        elif found.ok:
            print(line(f"{args.repository}: {found}"))
        if not found.ok:
            problems = "; ".join(found.problems)
            raise ValueError(f"{args.repository}: wanted a whole repository; got a damaged one: {problems}")

    return run


@command("recsketch compact kept")
def compact(parser: argparse.ArgumentParser) -> Run:
    """Write a repository anew, without what was deleted."""
    _add_repository(parser)
    add_json(parser)

    def run(args: argparse.Namespace) -> None:
        with _store().open(args.repository, mode="a") as repository:
            freed = repository.compact()
        tell(args, f"{args.repository}: {freed:,} bytes freed", {"freed": freed})

    return run


@command("recsketch export kept all.npz")
def export(parser: argparse.ArgumentParser) -> Run:
    """Write all runs of a repository to one file."""
    add_in_and_out(parser, "DIR", "the repository, a folder", "the file, a name in .npz or .parquet", one=True)
    add_json(parser)

    def run(args: argparse.Namespace) -> None:
        take_out(parser, args, (".npz", ".parquet"))
        form = "parquet" if args.out.lower().endswith(".parquet") else "npz"
        with _store().open(args.inputs[0]) as repository, _files.written(target(args.out)) as out:
            repository.export(out, form)
            count = len(repository)
        tell(args, f"{args.out}: {_check.count(count, 'run')}", {"runs": count}, told(args.out))

    return run


@command("recsketch graph kept graph.html")
def graph(parser: argparse.ArgumentParser) -> Run:
    """Write what runs are made of, and which are alike. That is a page to look at, node-link JSON, or GraphML."""
    add_in_and_out(parser, "DIR", "the repository, a folder", "the graph, a name in .html, .json or .graphml", one=True)
    parser.add_argument("--key", metavar="KEY", help="of the run that a page shows first")
    parser.add_argument("--most", type=whole(1), default=1000, metavar="N", help="nodes of a page (default: 1000)")
    add_k(parser, 0, 5, "most alike runs, at most 10")
    parser.add_argument(
        "--least", type=number, default=0.3, metavar="X", help="contrast from which on runs are alike (default: 0.3)"
    )
    _add_where(parser)
    parser.add_argument("--keep", action="store_true", help="store which runs are alike, so that it is known next time")
    add_threads(parser)
    add_json(parser)

    def run(args: argparse.Namespace) -> None:
        take_out(parser, args)
        suffix = os.path.splitext(args.out)[1].lower()
        if suffix not in (".html", ".json", ".graphml"):
            raise ValueError(f"--out: wanted a name in .html, .json or .graphml; got {_check.shown(args.out)}")
        if suffix != ".html" and args.key is not None:
            raise ValueError(f"--key: wanted a page, --out FILE.html; got {_check.shown(args.out)}")
        mode = "a" if args.keep else "r"
        with _files.written(args.out) as out:  # first, so that nobody computes what cannot be written
            with _store().open(args.inputs[0], mode=mode, threads=args.threads) as repository:
                found = repository.graph(args.k, args.least, _where(args.where))
            if args.key is not None and f"run:{args.key}" not in found.nodes:
                raise ValueError(f"--key: wanted a key of the graph; got {_check.shown(args.key)}")
            if suffix == ".html":
                found.to_html(out, args.key, args.most)
            elif suffix == ".json":
                out.write(found.to_json().encode())
            else:
                found.to_graphml(out)
        tell(args, f"{args.out}: {found}", {"nodes": len(found.nodes), "edges": len(found.sources)})

    return run
