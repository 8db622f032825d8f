"""What `recsketch --help` says."""

from __future__ import annotations

import textwrap

import recsketch.cli.table as table

WIDTH = 79
FIRST = "Recursive sketches of the runs of modular systems. `recsketch demo` shows them."


def overview() -> str:
    """All commands in their groups, a line each, and where to read on; at most 79 columns wide."""
    out = [
        "usage: recsketch COMMAND [ARGUMENT ...]",
        "",
        "Recursive sketches of the runs of modular systems. `recsketch demo` shows them.",
        "",
    ]
    for title, commands in table.everything():
        out.append(f"{title}:")
        for c in commands:
            out += textwrap.wrap(c.summary, WIDTH, initial_indent=f"  {c.name:12}", subsequent_indent=" " * 14)
        out.append("")
    out += ["Options:", "  -h, --help  of a command, too: recsketch COMMAND --help", "  --version", ""]
    out += [*textwrap.wrap(table.STREAMS, WIDTH), "", "Exit codes:"]
    for code, what in table.EXITS.items():
        out += textwrap.wrap(what, WIDTH, initial_indent=f"  {code:<12}", subsequent_indent=" " * 14)
    return "\n".join(out)
