"""Write the walk and the tables of docs/cli.md from the commands' own parsers: python tools/cli_reference.py

tests/test_cli_table.py compares them.
"""

from __future__ import annotations

import re
from pathlib import Path

import recsketch.cli.table as table
from recsketch.cli.shell.facts import Option, facts

PAGE = Path(__file__).resolve().parent.parent / "docs" / "cli.md"


def walk() -> str:
    """All examples, a group a paragraph."""
    groups = ("\n".join(x for c in commands for x in c.examples) for _, commands in table.everything())
    return "```sh\n" + "\n\n".join(groups) + "\n```"


def commands() -> str:
    """A row a command."""
    rows = ["| command | what it does | inputs | exits with |", "|---|---|---|---|"]
    for _, group in table.everything():
        for c in group:
            parser = c.parser()
            words = (parser.usage or "").removeprefix(f"{parser.prog} ").removesuffix(" [OPTION ...]")
            words = "" if words == "[OPTION ...]" else f"`{words}`"
            exits = "; ".join([*(f"{code}: {what}" for code, what in c.exits.items())])
            rows.append(f"| `{c.name}` | {_cell(c.summary)} | {words} | {_cell(exits)} |")
    return "\n".join(rows)


def options() -> str:
    """A row an option: its spelling, where it is, and what it says there."""
    found: dict[tuple[str, ...], list[tuple[str, Option]]] = {}
    for _, group in table.everything():
        for c in group:
            for o in facts(c.parser())[1]:
                if o.long != "help":
                    found.setdefault(o.names, []).append((c.name, o))
    rows = ["| option | of | what it says |", "|---|---|---|"]
    for names in sorted(found, key=lambda names: names[-1].lstrip("-")):
        texts: dict[str, list[str]] = {}
        for command, o in found[names]:
            texts.setdefault(o.text, []).append(command)
        value = f" {o.value}" if (o := found[names][0][1]).value and not o.choices else ""
        spelled = ", ".join(f"`{name}{value if name == names[-1] else ''}`" for name in names)
        for text, where in texts.items():
            rows.append(f"| {spelled} | {', '.join(where)} | {_cell(text)} |")
            spelled = ""
    return "\n".join(rows)


def exits() -> str:
    """A row an exit code."""
    rows = ["| code | means |", "|---|---|"]
    return "\n".join([*rows, *(f"| {code} | {_cell(what)} |" for code, what in table.EXITS.items())])


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("*", "\\*")


PARTS = {"walk": walk, "commands": commands, "options": options, "exits": exits}


def written(page: str) -> str:
    """The page with its parts as they are to be."""
    for name, make in PARTS.items():
        part = f"<!-- {name} -->\n{make()}\n<!-- /{name} -->"
        page, count = re.subn(rf"<!-- {name} -->\n.*?<!-- /{name} -->", lambda _, part=part: part, page, flags=re.S)  # type: ignore[misc]
        if count != 1:
            raise ValueError(f"{PAGE.name}: wanted one part {name}; got {count}")
    return page


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
