"""Options that commands share, each declared here once, and how what was done is told."""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TextIO

import recsketch._check as _check
from recsketch.cli.files import STANDARD
from recsketch.display.terminal import printable

Run = Callable[[argparse.Namespace], None]

FILES = {"FILE", "DIR", "IN", "OUT", "RUNS", "SKETCHES", "SPEC", "MASK", "PATH", "POPULATION", "BEFORE", "AFTER"}
"""Names of values that are files or folders; a shell completes them."""

VALUES = {"N", "X", "SIZE", "NAME", "NAMES", "KEY", "JSON"}
"""Names of values that are none."""

RUNS = "runs: .npz, .parquet, or traces in .json or .jsonl"
SKETCHES = "sketches: a file of `recsketch sketch` or `pack`, or a folder"


def line(text: str) -> str:
    """A text that may quote anything, as one line of at most 1,000 characters that moves no cursor."""
    words = " ".join(_check.cut(text, 1000).splitlines())
    return _check.cut(printable(words), 1000)


# ---------------------------------------------------------------- values


def whole(least: int) -> Callable[[str], int]:
    """An argument type: a whole number, at least so much."""

    def convert(text: str) -> int:
        with contextlib.suppress(ValueError):
            if int(text) >= least:
                return int(text)
        raise argparse.ArgumentTypeError(f"wanted a whole number, at least {least}; got {_check.shown(text)}")

    return convert


def number(text: str) -> float:
    """An argument type: a number."""
    with contextlib.suppress(ValueError):
        return float(text)
    raise argparse.ArgumentTypeError(f"wanted a number; got {_check.shown(text)}")


def ending(*endings: str) -> Callable[[str], str]:
    """An argument type: a file's name that ends so, in capitals or not."""

    def convert(text: str) -> str:
        if not text.lower().endswith(endings):
            wanted = " or ".join(endings)
            raise argparse.ArgumentTypeError(f"wanted a file name that ends in {wanted}; got {_check.shown(text)}")
        return text

    return convert


# ---------------------------------------------------------------- options


def add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON, for machines")


def add_threads(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--threads", type=whole(1), metavar="N", help="at most so many threads (default: all)")


def add_k(parser: argparse.ArgumentParser, least: int, default: int, what: str) -> None:
    parser.add_argument("-k", type=whole(least), default=default, metavar="N", help=f"{what} (default: {default})")


def add_spec(parser: argparse.ArgumentParser) -> None:
    """Of commands that sketch it is what they sketch by, of those that read packed sketches what these lack."""
    parser.add_argument("--spec", metavar="SPEC", help="a specification, as `recsketch fit` writes it")


def add_sketches(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("sketches", metavar="SKETCHES", help=SKETCHES)


def add_index(parser: argparse.ArgumentParser, what: str) -> None:
    parser.add_argument("--index", type=whole(0), action="append", metavar="N", help=f"{what}, from 0; may be repeated")


def add_mask(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--mask", metavar="MASK", help=".npy of bool, (dim,) or (n, dim): true where a coordinate is kept"
    )


def add_max_depth(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--max-depth", type=whole(1), metavar="N", help="levels to look for (default: 16)")


def add_dtype(parser: argparse._ActionsContainer, choices: Sequence[str], default: str) -> None:
    parser.add_argument("--dtype", choices=choices, help=f"how sketches are stored (default: {default})")


def add_out(parser: argparse.ArgumentParser, what: str) -> None:
    """A file that may be written beside what is told."""
    parser.add_argument("-o", "--out", metavar="FILE", help=f"write {what}")


def add_html(parser: argparse.ArgumentParser, what: str) -> None:
    parser.add_argument("--html", metavar="FILE", help=f"write {what} as a page")


def add_in_and_out(parser: argparse.ArgumentParser, name: str, what: str, out: str, one: bool = False) -> None:
    """Of a command that is there to write one file or folder: OUT is the last position, or named by --out. Inputs are
    many, or one."""
    parser.add_argument("inputs", nargs="+", metavar=name, help=what).one = one  # type: ignore[attr-defined]
    parser.add_argument("-o", "--out", metavar="OUT", help=f"{out}; or as the last position").last = True  # type: ignore[attr-defined]


def take_out(parser: argparse.ArgumentParser, args: argparse.Namespace, endings: tuple[str, ...] = ()) -> None:
    """Let `args.out` be the last position where --out is not given. Since it is one of many names on a line, and what
    it names is written over, it must end as such files do."""
    if args.out is None:
        if len(args.inputs) < 2:
            parser.error("the following arguments are required: OUT")
        args.out = args.inputs.pop()
        if endings and args.out != STANDARD and not args.out.lower().endswith(endings):
            wanted = f"a name in {', '.join(endings)}" if len(endings) > 1 else f"a name in {endings[0]}"
            parser.error(f"OUT: wanted {wanted}, or another by --out; got {_check.shown(args.out)}")
    if len(args.inputs) > 1 and next(a for a in parser._actions if a.dest == "inputs").one:  # type: ignore[attr-defined]
        parser.error(f"wanted one input and OUT; got {_check.shown(args.inputs[1])} beside them")


def no_others(args: argparse.Namespace, names: Sequence[str], wanted: str) -> None:
    """Refuse options that say nothing here."""
    for name in names:
        value = getattr(args, name)
        if value is not None and value is not False and value != []:
            option = f"--{name.replace('_', '-')}" if len(name) > 1 else f"-{name}"
            raise ValueError(f"{option}: wanted {wanted}")


def chosen(index: list[int] | None, count: int, what: str = "of a sketch in the file") -> list[int]:
    """The numbers asked for by --index, or all."""
    for i in index or ():
        if i >= count:
            raise ValueError(f"--index: wanted a number below {count}, {what}; got {i}")
    return list(range(count)) if index is None else index


# ---------------------------------------------------------------- what is told


def print_json(value: object, told: TextIO | None = None) -> None:
    print(json.dumps(value, indent=2, allow_nan=False), file=told)


def tell(args: argparse.Namespace, text: str, facts: Mapping[str, object], to: TextIO | None = None) -> None:
    """What was done, in a line, or with --json as data."""
    if args.json:
        print_json(facts, to)
    else:
        print(line(text), file=to)


def finite(value: Any) -> Any:
    """The same numbers, or lists of them, with None for NaN and infinities, which JSON lacks."""
    if isinstance(value, list):
        return [finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def told(*outputs: str | None) -> TextIO:
    """Where to tell what was done: standard output, unless that gets a file."""
    return sys.stderr if STANDARD in outputs else sys.stdout


def origin(path: str) -> str:
    """What a file is called in a title."""
    return "standard input" if path == STANDARD else os.path.basename(os.path.normpath(path))
