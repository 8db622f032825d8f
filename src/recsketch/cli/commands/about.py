"""Commands about the command itself: `info`, `completion`, `man`."""

from __future__ import annotations

import argparse

from recsketch.cli.options import Run
from recsketch.cli.table import command


@command("recsketch info")
def info(parser: argparse.ArgumentParser) -> Run:
    """Print the version, the instruction set in use, and the threads."""

    def run(args: argparse.Namespace) -> None:
        from recsketch._config import show_config

        show_config()

    return run


@command("recsketch completion bash > recsketch.bash")
def completion(parser: argparse.ArgumentParser) -> Run:
    """Print completion for bash, zsh or fish. Of bash, put it into
    ~/.local/share/bash-completion/completions/recsketch; of zsh, as _recsketch into a folder of $fpath; of fish, into
    ~/.config/fish/completions/recsketch.fish."""
    parser.add_argument("shell", metavar="SHELL", choices=("bash", "zsh", "fish"), help="bash, zsh or fish")

    def run(args: argparse.Namespace) -> None:
        from recsketch.cli.shell.completion import completion_of

        print(completion_of(args.shell))

    return run


@command("recsketch man > recsketch.1")
def man(parser: argparse.ArgumentParser) -> Run:
    """Print the manual page. `recsketch man > recsketch.1 && man -l recsketch.1` shows it."""

    def run(args: argparse.Namespace) -> None:
        from recsketch.cli.shell.manual import manual

        print(manual())

    return run
