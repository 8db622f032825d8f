"""What the subcommands share: options, and how what was done is told."""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import sys
from collections.abc import Callable
from typing import Any, TextIO

import recsketch._check as _check
from recsketch.cli.files import STANDARD
from recsketch.display.terminal import printable

Run = Callable[[argparse.Namespace], None]


def line(text: str) -> str:
    """A text that may quote anything, as one line of at most 1,000 characters that moves no cursor."""
    words = " ".join(_check.cut(text, 1000).splitlines())
    return _check.cut(printable(words), 1000)


def whole(least: int) -> Callable[[str], int]:
    """An argument type: a whole number, at least so much."""

    def convert(text: str) -> int:
        with contextlib.suppress(ValueError):
            if int(text) >= least:
                return int(text)
        raise argparse.ArgumentTypeError(f"wanted a whole number, at least {least}; got {_check.shown(text)}")

    return convert


def add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON, for machines")


def add_threads(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--threads", type=whole(1), metavar="N", help="at most so many threads (default: all)")


def print_json(value: object, told: TextIO | None = None) -> None:
    print(json.dumps(value, indent=2, allow_nan=False), file=told)


def finite(value: Any) -> Any:
    """The same numbers, or lists of them, with None for NaN and infinities, which JSON lacks."""
    if isinstance(value, list):
        return [finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def told(*outputs: str | None) -> TextIO:
    """Where to tell what was done: standard output, unless that gets a file."""
    return sys.stderr if STANDARD in outputs else sys.stdout
