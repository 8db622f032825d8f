"""The command ``recsketch``. A subcommand is one function that declares its options and returns what runs it."""

from __future__ import annotations

import argparse
import io
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any, NoReturn, TextIO

import numpy as np

import recsketch.cli.capture as capture
import recsketch.cli.population as population
import recsketch.cli.repository as repository
import recsketch.cli.sketch as sketching
from recsketch._config import show_config, version
from recsketch.cli.files import (
    STANDARD,
    Sketches,
    keep_apart,
    read_mask,
    read_packed,
    read_sketches,
    read_spec,
    writing,
)
from recsketch.cli.options import Run, add_json, add_threads, finite, line, print_json, whole
from recsketch.cli.options import told as told_to
from recsketch.display.terminal import Style, lines, percent, progress, significant, table
from recsketch.runs import drawing
from recsketch.runs.batch import TraceBatch
from recsketch.sketcher import Sketcher

USAGE_ERROR = 2
"""Exit code for whatever the caller can mend: arguments, files. Also argparse's own."""

STREAMS = "A file named - is standard input or standard output; what is told goes to stderr then."

_UNROLLED = 16  # at a time


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments without the program's name; by default ``sys.argv[1:]``.

    Returns
    -------
    int
        0 on success; 1 or 3 where a command says so (see its help), by SystemExit; 2 on an error the caller can mend,
        told in one line on stderr, or raised if ``RECSKETCH_TRACEBACK`` is set; 130 if interrupted.

    Raises
    ------
    SystemExit
        By argparse, after ``--help``, ``--version`` or arguments it refuses.
    """
    args = _parser().parse_args(argv)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a name that cannot be shown must not undo what was done

    def tell(kind: str, what: object) -> None:
        print(line(f"recsketch {args.command}: {kind}: {str(what) or type(what).__name__}"), file=sys.stderr)

    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_, **__: tell("warning", message)
        try:
            args.run(args)
            sys.stdout.flush()
        except KeyboardInterrupt:
            return 130
        except (ValueError, TypeError, OSError, MemoryError, ImportError) as error:
            if isinstance(error, BrokenPipeError) and error.filename is None:
                # stdout's reader, such as head, has had enough. Python would complain again when it flushes at exit.
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                return 0
            if os.environ.get("RECSKETCH_TRACEBACK"):
                raise
            tell("error", error)
            return USAGE_ERROR
    return 0


class _Parser(argparse.ArgumentParser):
    """Tells an error in one line, without the usage before it."""

    def error(self, message: str) -> NoReturn:
        self.exit(USAGE_ERROR, line(f"{self.prog}: error: {message}") + "\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="recsketch", description="Recursive sketches of the runs of modular networks.", allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"recsketch {version()}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for command in COMMANDS:
        name = command.__name__.strip("_")
        text = (command.__doc__ or "").strip()
        subparser = subparsers.add_parser(
            name, help=text.split(".")[0], description=text, epilog=STREAMS, allow_abbrev=False
        )
        subparser.set_defaults(run=command(subparser))
    return parser


def _demo(parser: argparse.ArgumentParser) -> Run:
    """Tell in a minute what recsketch does: capture, sketch, search, read back, population, concept. Pages of
    handwritten digits are read, and every number told is measured meanwhile."""
    parser.add_argument("--html", metavar="FILE.html", help="write the story there too, with pictures")
    parser.add_argument("--repository", metavar="DIR", help="make the repository of pages there, and keep it")
    parser.add_argument("--ocr", action="store_true", help="read a printed page with rapidocr (extra `demo`) instead")
    parser.add_argument("--seed", type=whole(0), default=0, metavar="N", help="of pages and sketches (default: 0)")
    add_threads(parser)
    add_json(parser)

    def run(args: argparse.Namespace) -> None:
        if args.ocr:
            if args.repository is not None:
                raise ValueError("--repository: wanted a demo without --ocr; got both")
            _read_page(args)
            return
        # Imported here: the digits and the story concern no other command.
        from recsketch.demo.page import story_page
        from recsketch.demo.story import tell
        from recsketch.demo.text import story_text

        with writing(args.html) as page:
            story = tell(args.repository, seed=args.seed, threads=args.threads)
            if page is not None:
                page.write(story_page(story).encode())
        told = told_to(args.html)
        if args.json:
            print_json(story.figures, told)
        else:
            print(story_text(story, folder=args.repository, style=Style.of(told)), file=told)

    return run


def _read_page(args: argparse.Namespace) -> None:
    from recsketch.demo.ocr import read_page
    from recsketch.demo.ocr_text import ocr_figures, ocr_page, ocr_text

    with writing(args.html) as page:
        try:
            reading = read_page(args.seed, args.threads)
        except ImportError as error:
            raise ValueError(str(error)) from None
        if page is not None:
            page.write(ocr_page(reading).encode())
    told = told_to(args.html)
    if args.json:
        print_json(ocr_figures(reading), told)
    else:
        print(ocr_text(reading, style=Style.of(told)), file=told)


def _info(parser: argparse.ArgumentParser) -> Run:
    """Print the version, the instruction set in use and how the package was built."""

    def run(args: argparse.Namespace) -> None:
        show_config()

    return run


def _unroll(parser: argparse.ArgumentParser) -> Run:
    """Rebuild whole runs from sketches alone. Prints a line a sketch, and the trees of those chosen or the only one."""
    parser.add_argument(
        "sketches", metavar="SKETCHES.npz", help="as `recsketch sketch` or, with --spec, PackedSketches.save writes it"
    )
    parser.add_argument("--spec", metavar="SPEC.json", help="of packed sketches")
    parser.add_argument(
        "--index", type=whole(0), action="append", metavar="I", help="this sketch, from 0; may be repeated"
    )
    parser.add_argument("--mask", metavar="MASK.npy", help="bool, (dim,) or (n, dim): true where a coordinate is kept")
    parser.add_argument("--max-depth", type=whole(1), metavar="N", help="levels to look for (default: 16)")
    parser.add_argument("--out", "-o", metavar="TRACES.npz", help="write the runs as a TraceBatch")
    parser.add_argument("--html", metavar="FILE.html", help="write the trees as a page")
    add_threads(parser)
    add_json(parser)

    def run(args: argparse.Namespace) -> None:
        sketches: Sketches
        keep_apart([args.sketches, args.spec, args.mask], [args.out, args.html])
        if args.spec is None:
            spec, sketches = read_sketches(args.sketches)
        else:
            spec = read_spec(args.spec)
            sketches = read_packed(args.sketches, spec)
        chosen = _chosen(args.index, len(sketches))
        mask = None if args.mask is None else read_mask(args.mask, len(sketches), spec.dim)
        sketcher = Sketcher(spec, threads=args.threads)
        found: list[Any] = []
        with writing(args.out) as out, writing(args.html) as page:  # first, as above
            for at in progress(range(0, len(chosen), _UNROLLED), "unrolling"):
                part = chosen[at : at + _UNROLLED]
                found += sketcher.unroll(sketches[part], None if mask is None else mask[part], args.max_depth)
            if page is not None:
                sections = [(f"Sketch {i}", u._repr_html_()) for i, u in zip(chosen, found, strict=True)]
                origin = "standard input" if args.sketches == STANDARD else os.path.basename(args.sketches)
                text = drawing.document(f"Unrolled from {origin}", sections)
                page.write(text.encode("utf-8", "backslashreplace"))
            if out is not None:
                TraceBatch.from_traces([u.to_trace() for u in found if u.objects]).save(out)
        empty = [str(i) for i, u in zip(chosen, found, strict=True) if not u.objects]
        if empty and args.out is not None:
            left_out = f"left out, since nothing was found in them: {', '.join(empty)}"
            print(line(f"{args.out}: {left_out}"), file=sys.stderr)
        whole = args.index is not None or len(chosen) == 1  # printed last: the reader of stdout may stop at any line
        told = told_to(args.out, args.html)
        if args.json:
            print_json([_unrolled(i, u, whole) for i, u in zip(chosen, found, strict=True)], told)
        else:
            _print_unrolled(chosen, found, whole, told)

    return run


def _chosen(index: list[int] | None, count: int) -> list[int]:
    for i in index or ():
        if i >= count:
            raise ValueError(f"--index: wanted a number below {count}, of a sketch in the file; got {i}")
    return list(range(count)) if index is None else index


def _print_unrolled(chosen: Sequence[int], found: Sequence[Any], whole: bool, told: TextIO) -> None:
    style = Style.of(told)
    rows = []
    for i, u in zip(chosen, found, strict=True):
        complete = "yes" if u.complete else "no"
        rows.append([str(i), str(len(u.objects)), complete, percent(u.explained), significant(u.residual)])
    print(table(["sketch", "objects", "complete", "explained", "residual"], rows, style=style, indent=0), file=told)
    for i, u in zip(chosen, found, strict=True) if whole else ():
        print("\n".join(["", *lines([f"sketch {i}", *u.tree().splitlines()], style=style)]), file=told)


def _unrolled(i: int, u: Any, whole: bool) -> dict[str, Any]:
    row: dict[str, Any] = {"sketch": i, "objects": len(u.objects), "complete": u.complete}
    row |= {"explained": finite(float(u.explained)), "residual": finite(float(u.residual))}
    if whole:
        row |= {"outputs": list(u.outputs), "weights": list(u.weights)}
        vectors = ("attribute", "error")
        row["tree"] = [{k: finite(v.tolist()) if k in vectors else v for k, v in asdict(o).items()} for o in u.objects]
    return row


def _summary(parser: argparse.ArgumentParser) -> Run:
    """Read from sketches how often a module was used and its mean output, unrolling nothing."""
    parser.add_argument("sketches", metavar="SKETCHES.npz", help="as `recsketch sketch` writes it")
    parser.add_argument("--module", required=True, metavar="NAME", help="the module to read")
    parser.add_argument(
        "--below",
        action="append",
        default=[],
        metavar="A,B",
        help="modules on the way from the output down to it (default: none); may be repeated",
    )
    add_threads(parser)
    add_json(parser)

    def run(args: argparse.Namespace) -> None:
        spec, sketches = read_sketches(args.sketches)
        sketcher = Sketcher(spec, threads=args.threads)
        parts = ([text] if text in spec.modules else text.split(",") for text in args.below)
        below = tuple(name for part in parts for name in part if name)
        rows, cells = [], []
        for number in range(len(sketches)):
            summary = sketcher.summary(sketches[number], args.module, below=below)
            row: dict[str, Any] = {"run": number}
            row |= {"count": finite(float(summary.count)), "count_error": finite(float(summary.count_error))}
            row |= {"mean": finite(summary.mean.tolist()), "mean_error": finite(float(summary.mean_error))}
            rows.append(row)
            norm = float(np.linalg.norm(summary.mean))
            shown = (summary.count, summary.count_error, norm, summary.mean_error)
            cells.append([str(number), *(significant(float(v), 3) for v in shown)])
        if args.json:
            print_json(rows)
            return
        header = ["run", "count", "+-", "norm of mean", "+- an element"]
        print(table(header, cells, style=Style.of(sys.stdout), indent=0))

    return run


COMMANDS: tuple[Callable[[argparse.ArgumentParser], Run], ...] = (
    _demo,
    sketching.sketch,
    _unroll,
    _summary,
    *capture.COMMANDS,
    *population.COMMANDS,
    *repository.COMMANDS,
    _info,
)
