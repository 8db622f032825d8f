"""The command ``recsketch``: finds the command that is meant, runs it, and tells what goes wrong in one line."""

from __future__ import annotations

import io
import os
import sys
import warnings
from argparse import Namespace
from collections.abc import Mapping, Sequence

import recsketch._check as _check
import recsketch.cli.table as table
from recsketch.cli.options import line

USAGE_ERROR = 2
"""Exit code for whatever the caller can mend: arguments, files. Also argparse's own."""


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
        told in one line on stderr, or raised if ``RECSKETCH_TRACEBACK`` is set; 130 if interrupted. `table.EXITS` has
        them all.

    Raises
    ------
    SystemExit
        After ``--help``, ``--version`` or arguments that are refused.
    """
    args = parsed(sys.argv[1:] if argv is None else list(argv))
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
            tell("error", spelled(str(error), args.spelled) or type(error).__name__)
            return USAGE_ERROR
    return 0


def spelled(message: str, options: Mapping[str, str]) -> str:
    """An error of an argument of Python, named as the option is that it came from."""
    name, colon, rest = message.partition(": ")
    return f"{options[name]}{colon}{rest}" if name in options else message


def parsed(words: Sequence[str]) -> Namespace:
    """The arguments of the command that is named first; its parser alone is made."""
    first = words[0] if words else None
    if first in ("-h", "--help"):
        from recsketch.cli.shell.overview import overview

        print(overview())
        raise SystemExit(0)
    if first == "--version":
        from recsketch._config import version

        print(f"recsketch {version()}")
        raise SystemExit(0)
    if first not in table.NAMES:
        print(line(f"recsketch: error: {_unknown(first)}"), file=sys.stderr)
        raise SystemExit(USAGE_ERROR)
    # Intermixed: IN --spec SPEC OUT is as good as IN OUT --spec SPEC.
    return table.load(first).parser().parse_intermixed_args(words[1:])


def _unknown(first: str | None) -> str:
    if first is None:
        return "COMMAND: wanted one, such as demo; got none. `recsketch --help` lists them"
    from difflib import get_close_matches

    near = get_close_matches(first[:100], table.NAMES, 1)
    wanted = f"{near[0]}" if near else "one that `recsketch --help` lists"
    return f"COMMAND: wanted {wanted}; got {_check.shown(first)}"
