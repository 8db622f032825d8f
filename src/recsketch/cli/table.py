"""Which commands there are, in the order of the overview, and how each becomes a parser of arguments."""

from __future__ import annotations

import argparse
import importlib
import textwrap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

import recsketch._check as _check
from recsketch.cli.options import FILES, Run, line

# Of each group its commands, and the file of `recsketch.cli.commands` that declares them: what one command needs is not
# loaded for another.
GROUPS: dict[str, dict[str, str]] = {
    "Runs into sketches": {"capture": "capture", "fit": "fit", "sketch": "sketch", "pack": "pack"},
    "Out of sketches": {"unroll": "unroll", "read": "read", "diff": "diff", "nearest": "nearest"},
    "Many runs added up": dict.fromkeys(("population", "compare", "watch"), "population"),
    "A repository of runs": dict.fromkeys(
        ("add", "search", "concepts", "graph", "check", "compact", "export"), "repository"
    ),
    "Beside these": {"show": "show", "info": "about", "demo": "demo", "completion": "about", "man": "about"},
}
NAMES = {name: file for names in GROUPS.values() for name, file in names.items()}

EXITS = {
    0: "done",
    1: "done, but not all is as one may wish; each command says when",
    2: "an argument, a file or an option that the caller can mend; one line on stderr says which",
    3: "stopped, because too much was wrong (sketch --max-errors)",
    130: "interrupted",
}
STREAMS = "A file named - is standard input or standard output; what is told goes to stderr then."


@dataclass(frozen=True)
class Command:
    """A command: how it declares its options, what its help says beside them, and when it exits with 1 or 3."""

    declare: Callable[[argparse.ArgumentParser], Run]
    examples: tuple[str, ...]
    exits: Mapping[int, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.declare.__name__

    @property
    def text(self) -> str:
        """The description, a paragraph."""
        return " ".join((self.declare.__doc__ or "").split())

    @property
    def summary(self) -> str:
        """Its first sentence, without the full stop."""
        return self.text.split(". ")[0].rstrip(".")

    def parser(self) -> Parser:
        """The parser of the command's arguments, whose default `run` is what to call with them."""
        parser = Parser(
            prog=f"recsketch {self.name}",
            description=textwrap.fill(self.text, 78),
            formatter_class=Formatter,
            allow_abbrev=False,
        )
        parser.set_defaults(command=self.name, run=self.declare(parser))
        parser.set_defaults(spelled={a.dest: a.option_strings[-1] for a in arguments(parser)[1] if named(a)})
        parser.usage = usage(parser)
        words = ["example:", *(f"  {x}" for x in self.examples), ""]
        if self.exits:
            words += ["exit codes, beside 0 when all is well and 2 for an error:"]
            for code, what in self.exits.items():
                words += textwrap.wrap(f"{code}  {what}", 76, initial_indent="  ", subsequent_indent=" " * 5)
            words.append("")
        parser.epilog = "\n".join([*words, textwrap.fill(STREAMS, 78)])
        return parser


def command(*examples: str, exits: Mapping[int, str] | None = None) -> Callable[[Callable[..., Run]], Command]:
    """Make a function that declares options on a parser, and returns what runs, a command of that name.

    Its docstring is the description. The examples are lines for a shell; those of all commands, in the order of the
    table, are one walk through the package, which the tests take (docs/cli.md).
    """
    return lambda declare: Command(declare, examples, exits or {})


def load(name: str) -> Command:
    """The command of a name that the table has."""
    found = getattr(importlib.import_module(f"recsketch.cli.commands.{NAMES[name]}"), name)
    assert isinstance(found, Command)
    return found


def everything() -> Iterator[tuple[str, list[Command]]]:
    """Titles of the groups, and their commands."""
    for title, names in GROUPS.items():
        yield title, [load(name) for name in names]


class Formatter(argparse.RawDescriptionHelpFormatter):
    """Help at most 80 columns wide, which is easier to read and the same everywhere but on narrower terminals."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=22)
        self._width = min(self._width, 78)


class Parser(argparse.ArgumentParser):
    """Tells an error in one line, without the usage before it."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, line(f"{self.prog}: error: {message}") + "\n")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            wanted = " or ".join(map(str, action.choices))
            raise argparse.ArgumentError(action, f"wanted {wanted}; got {_check.shown(value)}")


def arguments(parser: argparse.ArgumentParser) -> tuple[list[argparse.Action], list[argparse.Action]]:
    """The positions and the options of a parser, as they were declared."""
    given = parser._actions  # argparse has no public way to ask
    return [a for a in given if not a.option_strings], [a for a in given if a.option_strings]


def named(a: argparse.Action) -> bool:
    """Whether an error that begins with the option's name in Python means it: not, if it may be a file's name."""
    return a.dest == "spec" or str(a.metavar) not in FILES


def many(a: argparse.Action) -> bool:
    """Whether a position takes several values, as the caller sees it: OUT, the last, is none of them."""
    return a.nargs == "+" and not getattr(a, "one", False)


def usage(parser: argparse.ArgumentParser) -> str:
    """Positions, required options, and that there are others, on one line."""
    positions, options = arguments(parser)
    words = [parser.prog]
    for a in positions:
        words.append(f"{a.metavar}..." if many(a) else f"[{a.metavar}]" if a.nargs == "?" else str(a.metavar))
    if any(a.dest == "out" and getattr(a, "last", False) for a in options):
        words.append("OUT")
    words += [f"{a.option_strings[-1]} {a.metavar}" for a in options if a.required]
    return " ".join([*words, "[OPTION ...]"])
