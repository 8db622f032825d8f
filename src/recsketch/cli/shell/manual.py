"""The manual page, in the macros of man(7)."""

from __future__ import annotations

import textwrap

import recsketch.cli.table as table
from recsketch._config import version
from recsketch.cli.shell.facts import Option, facts

ENVIRONMENT = {
    "RECSKETCH_ISA": "the instruction set to use: portable, avx2, avx512 or neon; one that is missing is an error",
    "RECSKETCH_TRACEBACK": "if set, an error is raised with Python's traceback instead of told in one line",
    "NO_COLOR": "if set, nothing is coloured",
    "COLUMNS": "how wide tables may be, where the terminal does not say",
}


def manual() -> str:
    """The page recsketch(1), in ASCII: it has no date, so that equal versions have equal pages."""
    out = [
        f'.TH RECSKETCH 1 "" "recsketch {version()}" "User Commands"',
        ".SH NAME",
        _text("recsketch - recursive sketches of the runs of modular systems"),
        ".SH SYNOPSIS",
        ".B recsketch",
        ".I COMMAND",
        _text("[ARGUMENT ...]"),
        ".br",
        ".B recsketch",
        ".RB [ --help | --version ]".replace("--", r"\-\-"),
        ".SH DESCRIPTION",
        _text(
            "recsketch folds one run of a modular system, a DAG of module uses with a vector each, into one vector of "
            "fixed length, a sketch. From the sketch alone the run can be rebuilt, compared with others, counted, and "
            "added to others. Inputs are positions; what is written is named by options, or by OUT in the last place."
        ),
        ".PP",
        _text(table.STREAMS),
        ".SH COMMANDS",
    ]
    for title, commands in table.everything():
        out += [f".SS {_escaped(title)}"]
        for c in commands:
            out += _command(c)
    out += [".SH EXIT STATUS"]
    for code, what in table.EXITS.items():
        out += [".TP", f".B {code}", _text(what)]
    out += [".SH ENVIRONMENT"]
    for name, what in ENVIRONMENT.items():
        out += [".TP", f".B {name}", _text(what)]
    out += [".SH EXAMPLES", _text("One walk through the package, with traces in a folder of that name:"), ".PP", ".nf"]
    out += [f"$ {_escaped(x)}" for _, commands in table.everything() for c in commands for x in c.examples]
    return "\n".join([*out, ".fi"])


def _command(c: table.Command) -> list[str]:
    parser = c.parser()
    positions, options = facts(parser)
    words = (parser.usage or "").removeprefix(parser.prog).strip()
    more: list[str] = []
    for o in [*positions, *options]:
        if o.long != "help":
            more += [".TP", _heading(o), _text(o.text)]
    for code, what in c.exits.items():
        more += [".TP", f".B exit code {code}", _text(what)]
    if more:
        more = [".RS", *more, ".RE"]
    return [".TP", f".B recsketch {c.name} \\fR{_escaped(words)}", _text(c.text), *more]


def _heading(o: Option) -> str:
    if not o.names:
        return f".I {_escaped(o.value)}"
    names = ", ".join(f"\\fB{_escaped(name)}\\fR" for name in o.names)
    return f"{names} \\fI{_escaped(o.value)}\\fR" if o.value else names


def _escaped(text: str) -> str:
    """As it stands: no escape, hyphens that can be copied, ASCII."""
    named = {"\\": "\\e", "-": "\\-", "'": "\\(aq", "`": "\\(ga", "^": "\\(ha", "~": "\\(ti"}
    return "".join(named.get(c, c if c.isascii() else f"\\[u{ord(c):04X}]") for c in text)


def _text(text: str) -> str:
    """A paragraph, in lines of at most 79, none of which is a control line."""
    lines = textwrap.wrap(_escaped(text), 77, break_on_hyphens=False, break_long_words=False)
    return "\n".join(f"\\&{x}" if x.startswith(".") else x for x in lines)
