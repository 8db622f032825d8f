"""Completion for bash, zsh and fish: scripts that know every command and option, and call nothing."""

from __future__ import annotations

import recsketch.cli.table as table
from recsketch.cli.shell.facts import Option, facts


def completion_of(shell: str) -> str:
    """The script for a shell: "bash", "zsh" or "fish"."""
    return {"bash": _bash, "zsh": _zsh, "fish": _fish}[shell]()


def _commands() -> list[tuple[table.Command, list[Option], list[Option]]]:
    return [(c, *facts(c.parser())) for _, commands in table.everything() for c in commands]


# ---------------------------------------------------------------- bash


_BASH = """\
# Completion of recsketch for bash; made by `recsketch completion bash`.
_recsketch() {{
    local current=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}} options= values=
    COMPREPLY=()
    if ((COMP_CWORD == 1)); then
        COMPREPLY=($(compgen -W "{commands} --help --version" -- "$current"))
        return
    fi
    case "${{COMP_WORDS[1]}} $before" in
{values}
    esac
    case "${{COMP_WORDS[1]}}" in
{options}
    esac
    if [[ $current == -* ]]; then
        COMPREPLY=($(compgen -W "$options" -- "$current"))
    elif [[ $values ]]; then
        COMPREPLY=($(compgen -W "$values" -- "$current"))
    else
        compopt -o default 2>/dev/null  # names of files
    fi
}}
complete -F _recsketch recsketch"""


def _bash() -> str:
    values, options = [], []
    for c, positions, given in _commands():
        plain = [f'"{c.name} {name}"' for o in given if o.value and not o.file and not o.choices for name in o.names]
        if plain:
            values.append(f"        {'|'.join(plain)}) return ;;  # a number or a name")
        files = [f'"{c.name} {name}"' for o in given if o.file for name in o.names]
        if files:
            values.append(f"        {'|'.join(files)}) compopt -o default 2>/dev/null; return ;;")
        for o in given:
            if o.choices:
                names = "|".join(f'"{c.name} {name}"' for name in o.names)
                reply = f'COMPREPLY=($(compgen -W "{" ".join(o.choices)}" -- "$current"))'
                values.append(f"        {names}) {reply}; return ;;")
        words = " ".join(name for o in given for name in o.names)
        own = " ".join(x for p in positions for x in p.choices)
        options.append(f'        {c.name}) options="{words}"{f" values={chr(34)}{own}{chr(34)}" if own else ""} ;;')
    commands = " ".join(table.NAMES)
    return _BASH.format(commands=commands, values="\n".join(values), options="\n".join(options))


# ---------------------------------------------------------------- zsh


_ZSH = """\
#compdef recsketch
# Completion of recsketch for zsh; made by `recsketch completion zsh`.
_recsketch() {{
    local -a commands
    commands=(
{commands}
    )
    if (( CURRENT == 2 )); then
        _describe -t commands command commands
        _arguments '--help[list the commands]' '--version[print the version]'
        return
    fi
    local command=$words[2]
    shift words
    (( CURRENT-- ))
    case $command in
{cases}
    esac
}}
if [[ $funcstack[1] == _recsketch ]]; then
    _recsketch "$@"
else
    compdef _recsketch recsketch
fi"""


def _zsh() -> str:
    commands, cases = [], []
    for c, positions, given in _commands():
        commands.append(f"        {_quoted(f'{c.name}:{c.summary}')}")
        words = [_quoted(word) for o in given for word in _zsh_option(o)]
        for p in positions:
            does = f"({' '.join(p.choices)})" if p.choices else "_files"
            words.append(_quoted(f"{'*' if p.many else ''}:{p.value}:{does}"))
        if any(o.last for o in given) and not positions[0].many:
            words.append(_quoted("::OUT:_files"))
        lines = " \\\n                ".join(words)
        cases.append(f"        {c.name})\n            _arguments -s \\\n                {lines} ;;")
    return _ZSH.format(commands="\n".join(commands), cases="\n".join(cases))


def _zsh_option(o: Option) -> list[str]:
    does = f"({' '.join(o.choices)})" if o.choices else "_files" if o.file else ""
    text = o.text.replace("[", "\\[").replace("]", "\\]").replace(":", "\\:")
    value = f":{'value' if o.choices else o.value}:{does}" if o.value else ""
    return [f"{name}[{text}]{value}" for name in o.names]


def _quoted(text: str) -> str:
    """For a shell, as it stands."""
    return "'" + text.replace("'", "'\\''") + "'"


# ---------------------------------------------------------------- fish


def _fish() -> str:
    out = ["# Completion of recsketch for fish; made by `recsketch completion fish`.", "complete -c recsketch -f"]
    first = "-n __fish_use_subcommand"
    out += [f"complete -c recsketch {first} -l {name}" for name in ("help", "version")]
    for c, _, _ in _commands():
        out.append(f"complete -c recsketch {first} -a {c.name} -d {_fish_quoted(c.summary)}")
    for c, positions, given in _commands():
        start = f"complete -c recsketch -n '__fish_seen_subcommand_from {c.name}'"
        for p in positions:
            out.append(f"{start} -a '{' '.join(p.choices)}'" if p.choices else f"{start} -F")
        for o in given:
            names = "".join([f" -s {o.short}" if o.short else "", f" -l {o.long}" if o.long else ""])
            takes = f" -x -a '{' '.join(o.choices)}'" if o.choices else " -r -F" if o.file else " -x" if o.value else ""
            out.append(f"{start}{names}{takes} -d {_fish_quoted(o.text)}")
    return "\n".join(out)


def _fish_quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
