"""What shells and pages need to know of options: spellings, values, and words about them."""

from __future__ import annotations

import argparse
from typing import NamedTuple

import recsketch.cli.table as table
from recsketch.cli.options import FILES


class Option(NamedTuple):
    """An option, or a position, whose `names` are then empty."""

    names: tuple[str, ...]
    value: str  # what its value is called; empty for a switch
    choices: tuple[str, ...]
    file: bool
    many: bool
    last: bool  # may be a position instead, after all others
    text: str

    @property
    def short(self) -> str:
        """One letter, or nothing."""
        return next((name[1:] for name in self.names if not name.startswith("--")), "")

    @property
    def long(self) -> str:
        """Without its dashes, or nothing."""
        return next((name[2:] for name in self.names if name.startswith("--")), "")


def facts(parser: argparse.ArgumentParser) -> tuple[list[Option], list[Option]]:
    """Positions and options of a command."""
    positions, options = table.arguments(parser)
    return [_of(a) for a in positions], [_of(a) for a in options]


def _of(a: argparse.Action) -> Option:
    choices = tuple(map(str, a.choices or ()))
    takes = a.nargs != 0
    value = (str(a.metavar) if a.metavar is not None else "|".join(choices)) if takes else ""
    text = "show this help" if a.dest == "help" else (a.help or "")
    return Option(
        tuple(a.option_strings), value, choices, value in FILES, table.many(a), getattr(a, "last", False), text
    )
