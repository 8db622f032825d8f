"""What is true of all commands: help, completion and manual page name everything, spellings are regular, examples run,
and nothing is loaded that a command does without."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cli_reference
import pytest

from recsketch.cli import table
from recsketch.cli.main import main
from recsketch.cli.options import FILES, VALUES
from recsketch.cli.shell.completion import completion_of
from recsketch.cli.shell.facts import Option, facts
from recsketch.cli.shell.manual import manual
from recsketch.cli.shell.overview import overview

COMMANDS = [c for _, group in table.everything() for c in group]
NAMES = [c.name for c in COMMANDS]
SHELLS = ("bash", "zsh", "fish")


def every_option() -> Iterator[tuple[table.Command, Option]]:
    for c in COMMANDS:
        for o in facts(c.parser())[1]:
            yield c, o


def spellings() -> list[tuple[str, str]]:
    found = [(c.name, name) for c, o in every_option() for name in o.names]
    assert len(found) > 100
    return found


# ---------------------------------------------------------------- help


def test_the_overview_has_every_command_and_fits_80_columns() -> None:
    lines = overview().splitlines()
    assert all(len(line) < 80 for line in lines)
    for c in COMMANDS:
        (line,) = [x for x in lines if x.startswith(f"  {c.name} ")]
        assert line.split(None, 1)[1][:20] == c.summary[:20]
        assert c.name == "demo" or line.endswith(c.summary), "wanted a first sentence of one line"
    for code, what in table.EXITS.items():
        assert re.search(rf"^  {code} +{what[:20]}", overview(), flags=re.M)


@pytest.mark.parametrize("c", COMMANDS, ids=NAMES)
def test_help_has_everything(c: table.Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("NO_COLOR", "1")
    parser = c.parser()
    text = parser.format_help()
    positions, options = facts(parser)
    assert text.startswith(f"usage: recsketch {c.name}")
    assert " ".join(c.text.split()) in " ".join(text.split())
    for o in [*positions, *options]:
        assert o.text, f"{o.names or o.value} says nothing"
        assert all(re.search(rf"(^| ){re.escape(name)}\b", text, flags=re.M) for name in o.names or [o.value])
    assert c.examples
    assert all(f"  {example}\n" in text for example in c.examples)
    assert all(line.startswith("  recsketch ") or len(line) < 80 for line in text.splitlines())
    assert set(c.exits) <= set(table.EXITS) - {0, 2, 130}
    assert all(f"  {code}  {what[:30]}" in text for code, what in c.exits.items())


def test_help_is_what_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["--help"], ["-h"], ["sketch", "--help"]):
        with pytest.raises(SystemExit) as stopped:
            main(words)
        assert stopped.value.code == 0
        told = capsys.readouterr()
        assert told.err == ""
        assert (overview() in told.out) == (len(words) == 1)
    with pytest.raises(SystemExit) as stopped:
        main(["skech"])
    assert stopped.value.code == 2
    assert capsys.readouterr().err == "recsketch: error: COMMAND: wanted sketch; got 'skech'\n"


# ---------------------------------------------------------------- spellings


def test_spellings_are_regular() -> None:
    for name, spelled in spellings():
        assert re.fullmatch(r"--[a-z]+(-[a-z]+)*|-[hko]", spelled), f"{name} {spelled}"


def test_one_spelling_means_one_thing() -> None:
    """The same kind of value wherever an option is, and the same short form."""
    seen: dict[str, tuple[object, ...]] = {}
    for c, o in every_option():
        value = "a file" if o.file else "choices" if o.choices else o.value and "a value"
        for name in o.names:
            got = (value, o.names)
            assert seen.setdefault(name, got) == got, f"{c.name} {name}"
    assert len(seen) > 40


def test_every_answer_is_had_as_json() -> None:
    texts = {"info", "completion", "man"}  # whose answer is a text
    assert {c.name for c, o in every_option() if o.long == "json"} == set(NAMES) - texts


def test_values_have_known_names() -> None:
    """By which shells know what to complete."""
    known = {*FILES, *VALUES, "SHELL", ""}
    assert not FILES & VALUES
    for c in COMMANDS:
        positions, options = facts(c.parser())
        assert {o.value for o in [*positions, *options] if not o.choices or o.value == "SHELL"} <= known, c.name


def test_inputs_and_outputs_stand_where_they_always_do(capsys: pytest.CaptureFixture[str]) -> None:
    """Every position is an input; OUT is the last, or --out, which is written once; options may stand anywhere."""
    for c in COMMANDS:
        parser = c.parser()
        usage = (parser.usage or "").split()
        assert ("OUT" in usage) == (c.name in ("capture", "fit", "sketch", "pack", "graph", "export"))
        if "OUT" in usage:
            assert usage[usage.index("OUT") + 1 :] == ["[OPTION", "...]"]
            args = parser.parse_intermixed_args(["a", "--out", "b", "c"])
            assert (args.inputs, args.out) == (["a", "c"], "b")
            with pytest.raises(SystemExit):
                main([c.name, "a", "--spec" if c.name == "sketch" else "--out"][:2])
            assert "required: OUT" in capsys.readouterr().err


# ---------------------------------------------------------------- completion


@pytest.mark.parametrize("shell", SHELLS)
def test_completion_has_everything(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert script == completion_of(shell) + "\n"
    parts = {
        "bash": lambda name: re.search(rf"^        {name}\) options=.*$", script, flags=re.M),
        "zsh": lambda name: re.search(rf"^        {name}\)\n.*?;;", script, flags=re.M | re.S),
        "fish": lambda name: re.search(rf"(?:^.*seen_subcommand_from {name}'.*\n?)+", script, flags=re.M),
    }
    for name, spelled in spellings():
        part = parts[shell](name)
        assert part, name
        wanted = spelled
        if shell == "fish":
            wanted = f"-l {spelled[2:]}" if spelled.startswith("--") else f"-s {spelled[1:]}"
        assert re.search(rf"(?<![\w-]){re.escape(wanted)}(?![\w-])", part[0]), f"{name} {spelled}"
    for c, o in every_option():
        assert " ".join(o.choices) in script, c.name


BASH = """
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
_recsketch
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.mark.skipif(shutil.which("bash") is None or sys.platform == "win32", reason="no bash")
def test_bash_completes(tmp_path: Path) -> None:
    script = tmp_path / "recsketch.bash"
    script.write_text(completion_of("bash"))

    def completed(*words: str) -> set[str]:
        line = ["bash", "--norc", "-c", BASH, "bash", str(script), "recsketch", *words]
        done = subprocess.run(line, capture_output=True, text=True, check=True)
        assert done.stderr == ""
        return set(done.stdout.split())

    assert completed("sk") == {"sketch"}
    assert completed("") == {*NAMES, "--help", "--version"}
    assert completed("sketch", "--d") == {"--dtype", "--dry-run"}
    assert completed("sketch", "--dtype", "") == {"float16", "float32", "int8", "bfloat16"}
    assert completed("sketch", "--dtype", "i") == {"int8"}
    assert completed("sketch", "--threads", "") == set()
    assert completed("sketch", "") == set()  # files, which bash itself completes
    assert completed("completion", "") == {"bash", "zsh", "fish"}
    assert completed("read", "s.npz", "--m") == {"--method", "--module", "--mask"}


@pytest.mark.skipif(shutil.which("zsh") is None, reason="no zsh")
def test_zsh_reads_its_script(tmp_path: Path) -> None:
    (tmp_path / "_recsketch").write_text(completion_of("zsh"))
    start = f"fpath=({tmp_path} $fpath); autoload -Uz compinit; compinit -u -d {tmp_path}/dump"
    check = "autoload +X _recsketch && print -- $_comps[recsketch]"
    done = subprocess.run(["zsh", "-f", "-c", f"{start}; {check}"], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("_recsketch", "")


@pytest.mark.skipif(shutil.which("fish") is None, reason="no fish")
def test_fish_completes(tmp_path: Path) -> None:
    script = tmp_path / "recsketch.fish"
    script.write_text(completion_of("fish"))

    def completed(line: str) -> list[str]:
        command = ["fish", "--no-config", "-c", f'source {script}; complete -C "{line}"']
        environment = {**os.environ, "HOME": str(tmp_path)}
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment, cwd=tmp_path)
        return [x.split("\t")[0] for x in done.stdout.splitlines()]

    assert completed("recsketch sk") == ["sketch"]
    assert sorted(completed("recsketch sketch --d")) == ["--dry-run", "--dtype"]
    assert sorted(completed("recsketch sketch --dtype ")) == ["bfloat16", "float16", "float32", "int8"]
    assert completed("recsketch sketch --spec recsketch.f") == ["recsketch.fish"]
    assert completed("recsketch sketch recsketch.f") == ["recsketch.fish"]


# ---------------------------------------------------------------- the manual page


def test_the_manual_page_has_everything(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["man"]) == 0
    page = capsys.readouterr().out
    assert page == manual() + "\n"
    assert page.isascii()
    plain = page.replace("\\-", "-").replace("\\fR", "").replace("\\fB", "").replace("\\fI", "")
    starts = [plain.index(f"\n.B recsketch {name} ") for name in NAMES] + [plain.index(".SH EXIT STATUS")]
    assert starts == sorted(starts)
    parts = {name: plain[a:b] for name, a, b in zip(NAMES, starts[:-1], starts[1:], strict=True)}
    for name, spelled in spellings():
        if spelled not in ("-h", "--help"):
            assert re.search(rf"^(-o, )?{re.escape(spelled)}\b", parts[name], flags=re.M), f"{name} {spelled}"
    for c in COMMANDS:
        for o in facts(c.parser())[0]:
            assert f"\n.I {o.value}\n" in parts[c.name]
    assert all(f".B {code}\n" in plain for code in table.EXITS)
    assert all(f"$ {x}".replace("'", "\\(aq") in plain for c in COMMANDS for x in c.examples)


@pytest.mark.parametrize("line", [["groff", "-man", "-ww", "-Tutf8"], ["mandoc", "-Tlint", "-Wwarning"]])
def test_the_manual_page_is_well_formed(line: list[str]) -> None:
    if shutil.which(line[0]) is None:
        pytest.skip(f"no {line[0]}")
    done = subprocess.run(line, input=manual() + "\n", capture_output=True, text=True, check=False)
    told = done.stderr if line[0] == "groff" else done.stdout
    assert [x for x in told.splitlines() if "missing date" not in x] == []


# ---------------------------------------------------------------- the page, and the walk


def test_the_page_has_what_the_parsers_say() -> None:
    page = cli_reference.PAGE.read_text(encoding="utf-8")
    assert cli_reference.written(page) == page, "run python tools/cli_reference.py"
    assert all(f"| `{name}` |" in page for name in NAMES)
    for _, spelled in spellings():
        assert spelled in ("-h", "--help") or f"`{spelled}" in page


def test_the_examples_are_one_walk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each runs on what those before it left, after the page's own first lines, and says something or writes a file."""
    monkeypatch.chdir(tmp_path)
    first = re.findall(r"^```python\n(.*?)^```", cli_reference.PAGE.read_text(encoding="utf-8"), flags=re.S | re.M)[0]
    exec(compile(first, "docs/cli.md", "exec"), {"__name__": "page"})
    for c in COMMANDS:
        for example in c.examples:
            words, _, target = example.partition(" > ")
            before = {p.name for p in tmp_path.iterdir()}
            program, *arguments = shlex.split(words)
            assert (program, arguments[0] in NAMES) == ("recsketch", True)
            assert main(arguments) == 0, f"{example}: {capsys.readouterr().err}"
            told = capsys.readouterr()
            assert told.err == "", example
            if target:
                Path(target).write_text(told.out)
            assert told.out
            written = set(re.findall(r"[\w-]+\.(?:npz|json|html|bash|1)\b", example))
            assert written <= {p.name for p in tmp_path.iterdir()}, example
            assert before <= {p.name for p in tmp_path.iterdir()}


def lines_of(page: str) -> list[str]:
    """What a page gives to type: inline code and lines of shell blocks that begin with the program's name."""
    shell = "\n".join(re.findall(r"^```(?:sh|bash|console)\n(.*?)^```", page, flags=re.S | re.M))
    plain = re.sub(r"^```.*?^```", "", page, flags=re.S | re.M)
    inline = [" ".join(x.split()) for x in re.findall(r"`(recsketch [^`]+)`", plain)]
    return [*inline, *re.findall(r"^\$? ?(recsketch .*)$", shell, flags=re.M)]


def unknown(line: str) -> list[str]:
    """Words of a line that are no command, or no option of it; "recsketch lock" and "recsketch rows" begin files."""
    wrong = []
    for part in re.split(r" [|&>]+ ?", line):
        program, *words = part.split()
        if program != "recsketch" or not words or words[0] in ("COMMAND", "--help", "--version", "lock", "rows"):
            continue
        if words[0].rstrip(":") not in NAMES:
            wrong.append(words[0])
            continue
        known = {name for o in facts(table.load(words[0].rstrip(":")).parser())[1] for name in o.names}
        wrong += [w for w in words[1:] if re.fullmatch(r"--?[a-z][a-z-]*", w) and w not in known]
    return wrong


def test_pages_name_commands_and_options_that_exist() -> None:
    root = cli_reference.PAGE.parent.parent
    pages = [root / "README.md", root / "CHANGELOG.md", root / "CONTRIBUTING.md", *(root / "docs").rglob("*.md")]
    found = [(page.name, line) for page in pages for line in lines_of(page.read_text(encoding="utf-8"))]
    assert len(found) > 60
    assert [(page, line) for page, line in found if unknown(line)] == []
    assert unknown("recsketch summary x.npz") == ["summary"]  # the gate has been seen to fail
    assert unknown("recsketch sketch - - --spec s < r.npz | recsketch unroll - --runs x") == ["--runs"]


# ---------------------------------------------------------------- what is loaded


def loaded(*words: str) -> set[str]:
    """Modules that are there once a command is done."""
    code = f"""
import sys
from recsketch.cli.main import main
try:
    main({list(words)!r})
except SystemExit:
    pass
print("\\n".join(sys.modules), file=sys.stderr)
"""
    quiet = {**os.environ, "SKBUILD_EDITABLE_VERBOSE": "0"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=quiet)
    return set(done.stderr.split())


HEAVY = {"multiprocessing", "concurrent.futures", "sqlite3", "pyarrow", "sklearn", "scipy"}
WINGS = {f"recsketch.{w}" for w in ("pipeline", "populations", "capture", "demo", "learning", "trials")}


@pytest.mark.parametrize("words", [["info"], ["--help"], ["--version"], ["sketch", "--help"], ["add", "--help"]])
def test_little_is_loaded(words: list[str]) -> None:
    found = loaded(*words)
    assert "recsketch.cli.main" in found
    assert not found & (HEAVY | WINGS)
    if words == ["info"]:
        assert {m for m in found if m.startswith("recsketch.cli.commands.")} == {"recsketch.cli.commands.about"}
        assert not found & {"recsketch.reading.unroll", "recsketch.repository"}
