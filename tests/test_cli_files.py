"""The command line's files: inputs are never written over, pipes and "-" work, foreign files get one short line."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import recsketch as rs
from recsketch.cli import files as cli_files
from recsketch.cli import main as cli

SPEC = rs.SketchSpec(dim=256, modules={"line": 5, "char": 8}, seed=3)

posix = pytest.mark.skipif(os.name != "posix", reason="pipes and links of POSIX")


def batch() -> rs.TraceBatch:
    rng = np.random.default_rng(0)
    traces = []
    for _ in range(3):
        trace = rs.Trace()
        leaves = [trace.add("char", rng.standard_normal(8)) for _ in range(4)]
        trace.outputs([trace.add("line", rng.standard_normal(5), inputs=leaves)])
        traces.append(trace)
    return rs.TraceBatch.from_traces(traces)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Runs, a specification, sketches, packed sketches and a mask."""
    sketches = rs.Sketcher(SPEC).sketch(batch())
    batch().save(tmp_path / "runs.npz")
    (tmp_path / "spec.json").write_text(SPEC.to_json(), encoding="utf-8")
    with open(tmp_path / "s.npz", "wb") as file:
        cli_files.write_sketches(file, SPEC, sketches)
    rs.pack(sketches).save(tmp_path / "packed.npz")
    np.save(tmp_path / "mask.npy", np.ones(256, bool))
    return tmp_path


def recsketch(*args: object, stdin: Any = b"", **more: Any) -> subprocess.CompletedProcess[bytes]:
    """The command, in a process of its own."""
    given = {"input": stdin} if isinstance(stdin, bytes) else {"stdin": stdin}
    env = {**os.environ, "SKBUILD_EDITABLE_VERBOSE": "0"}
    more = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more}
    line = [sys.executable, "-m", "recsketch", *map(str, args)]
    return subprocess.run(line, env=env, check=False, timeout=120, **given, **more)


def refused(capsys: pytest.CaptureFixture[str], *args: object) -> str:
    """The one line that an error takes."""
    capsys.readouterr()
    assert cli.main([*map(str, args)]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    (line,) = told.err.splitlines()
    assert len(line) <= 1000
    return line


# ---------------------------------------------------------------- outputs that are inputs


@posix
def test_no_input_is_written_over(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By its own name, another path, a link of either kind; nor one output by the other."""
    runs, spec, s, packed, mask = (folder / n for n in ("runs.npz", "spec.json", "s.npz", "packed.npz", "mask.npy"))
    (folder / "soft").symlink_to(runs)
    os.link(runs, folder / "hard")
    before = {path: path.read_bytes() for path in (runs, spec, s, packed, mask)}
    roundabout = folder / ".." / folder.name / "runs.npz"
    sketch = ("sketch", runs, "--spec", spec)
    unroll = ("unroll", packed, "--spec", spec, "--mask", mask)
    lines = [(*sketch, "-o", out) for out in (runs, spec, roundabout, folder / "soft", folder / "hard")]
    lines += [("unroll", s, "-o", s), ("unroll", s, "--html", s)]
    lines += [(*unroll, "--html", x) for x in (packed, spec, mask)]
    lines += [(*unroll, "-o", x) for x in (packed, spec, mask)]
    lines += [("unroll", s, "-o", folder / "new", "--html", folder / ".." / folder.name / "new")]
    lines += [("unroll", s, "-o", "-", "--html", "-")]
    for line in lines:
        assert "wanted a file of its own to write; got one that is in use here" in refused(capsys, *line)
    assert all(path.read_bytes() == content for path, content in before.items())
    assert not [name for name in os.listdir(folder) if name == "new" or name.startswith(".")]
    assert "got several" in refused(capsys, "sketch", "-", "--spec", "-", "-o", folder / "o")
    assert cli.main([*map(str, (*sketch, "-o", folder / "o.npz"))]) == 0  # and again, over the old one
    assert cli.main([*map(str, (*sketch, "-o", folder / "o.npz"))]) == 0


def test_one_is_told_of_as_one(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    batch()[:1].save(folder / "one.npz")
    assert (
        cli.main(["sketch", str(folder / "one.npz"), "--spec", str(folder / "spec.json"), "-o", str(folder / "o.npz")])
        == 0
    )
    assert capsys.readouterr().out == f"{folder / 'o.npz'}: 1 sketch of 256 numbers\n"


@posix
def test_what_the_shell_opened_is_seen_too(folder: Path) -> None:
    before = (folder / "runs.npz").read_bytes()
    with open(folder / "runs.npz", "rb") as file:
        done = recsketch("sketch", "-", "--spec", folder / "spec.json", "-o", folder / "runs.npz", stdin=file)
    assert done.returncode == 2
    with open(folder / "runs.npz", "ab") as file:
        done = recsketch("sketch", folder / "runs.npz", "--spec", folder / "spec.json", "-o", "-", stdout=file)
    assert done.returncode == 2
    assert (folder / "runs.npz").read_bytes() == before


def test_what_cannot_be_written_is_told_before_the_work(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def works(*_: Any, **__: Any) -> None:
        raise AssertionError("works for nothing")

    monkeypatch.setattr(rs.Sketcher, "sketch", works)
    monkeypatch.setattr(rs.Sketcher, "unroll", works)
    for out in (folder / "none" / "o.npz", folder):
        assert str(out) in refused(capsys, "sketch", folder / "runs.npz", "--spec", folder / "spec.json", "-o", out)
        for option in ("-o", "--html"):
            assert str(out) in refused(capsys, "unroll", folder / "s.npz", option, out)


# ---------------------------------------------------------------- pipes


@posix
@pytest.mark.parametrize("name", ["-", "/dev/stdin"])
def test_standard_input(folder: Path, name: str) -> None:
    """For any one input, from a pipe and from a file."""
    direct = recsketch("unroll", folder / "packed.npz", "--spec", folder / "spec.json", "--mask", folder / "mask.npy")
    assert direct.returncode == 0, direct.stderr
    inputs = {"packed.npz": 1, "spec.json": 3, "mask.npy": 5} if name == "-" else {"packed.npz": 1}
    for file, place in inputs.items():
        line: list[Any] = [
            "unroll",
            folder / "packed.npz",
            "--spec",
            folder / "spec.json",
            "--mask",
            folder / "mask.npy",
        ]
        line[place] = name
        content = (folder / file).read_bytes()
        with open(folder / file, "rb") as opened:
            for stdin in (content, opened):
                done = recsketch(*line, stdin=stdin)
                assert (done.returncode, done.stdout) == (0, direct.stdout), done.stderr
        done = recsketch(*line, stdin=content[:20])
        assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    summary = recsketch("read", name, "--module", "line", stdin=(folder / "s.npz").read_bytes())
    assert len(summary.stdout.splitlines()) == 4


@posix
def test_standard_output(folder: Path) -> None:
    """Files alone come out of it; what is told goes to stderr; a pipeline works; a file is appended to."""
    spec = folder / "spec.json"
    made = recsketch("sketch", "-", "--spec", spec, "-o", "-", stdin=(folder / "runs.npz").read_bytes())
    assert made.stderr == b"-: 3 sketches of 256 numbers\n"
    assert made.stdout == (folder / "s.npz").read_bytes()
    unrolled = recsketch("unroll", "-", "-o", "-", stdin=made.stdout)
    again = rs.TraceBatch.load(io.BytesIO(unrolled.stdout))
    assert len(again) == 3
    assert again.modules == {"char": 8, "line": 5}
    assert len(unrolled.stderr.splitlines()) == 4
    page = recsketch("unroll", "-", "--html", "-", "--json", stdin=made.stdout)
    assert page.stdout.startswith(b"<!DOCTYPE html>")
    assert b"<h1>Unrolled from standard input</h1>" in page.stdout
    assert len(json.loads(page.stderr)) == 3
    twice = recsketch("unroll", folder / "s.npz", "--html", "-", "-o", "-")
    assert (twice.returncode, twice.stdout) == (2, b"")
    (folder / "log").write_bytes(b"before")
    with open(folder / "log", "ab") as log:
        assert recsketch("sketch", folder / "runs.npz", "--spec", spec, "-o", "-", stdout=log).returncode == 0
    assert (folder / "log").read_bytes() == b"before" + made.stdout


@posix
def test_named_pipes(folder: Path) -> None:
    pipe = folder / "pipe"
    os.mkfifo(pipe)
    for file in ("runs.npz", "spec.json"):
        line: list[Any] = ["sketch", folder / "runs.npz", "--spec", folder / "spec.json", "-o", folder / "o.npz"]
        line[line.index(folder / file)] = pipe
        writer = threading.Thread(target=pipe.write_bytes, args=((folder / file).read_bytes(),), daemon=True)
        writer.start()
        assert recsketch(*line).returncode == 0
        writer.join(10)
        assert (folder / "o.npz").read_bytes() == (folder / "s.npz").read_bytes()


@posix
def test_streams_that_are_closed(folder: Path) -> None:
    close = {"preexec_fn": lambda: os.close(0)}
    done = recsketch("sketch", "-", "--spec", folder / "spec.json", "-o", folder / "o.npz", stdin=None, **close)
    assert done.returncode == 2
    assert done.stderr == b"recsketch sketch: error: -: wanted an open standard input; got none\n"


def test_no_file_is_written_to_a_terminal(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    line = refused(capsys, "sketch", folder / "runs.npz", "--spec", folder / "spec.json", "-o", "-")
    assert "wanted standard output to be a file or a pipe; got a terminal" in line


# ---------------------------------------------------------------- specifications


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_specifications_in_any_unicode(folder: Path, encoding: str) -> None:
    """As editors and shells of Windows write them."""
    (folder / "spec.json").write_text(SPEC.to_json(), encoding=encoding)
    assert cli_files.read_spec(str(folder / "spec.json")) == SPEC


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"recsketch": 1, "dim": 64, "dim": 128, "modules": {"a": 1}, "seed": 1}', "the key 'dim' twice"),
        ('{"recsketch": 1, "dim": 64, "modules": {"a": 1, "a": 2}, "seed": 1}', "the key 'a' twice"),
        ('{"recsketch": 2, "dim": 64}', "wanted format 1; got 2"),
        ('{"recsketch": true, "dim": 64}', "wanted format 1; got True"),
        ('{"recsketch": "1", "dim": 64}', "wanted format 1; got '1'"),
        ('{"dim": 64}', 'wanted a JSON object with "recsketch"; got {'),
        ("[]", 'wanted a JSON object with "recsketch"; got []'),
        ("", "got text that is none"),
        ("[" * 100_000, "got text that is none"),
        ('{"recsketch": 1, "' + "x" * 100_000 + '": 1}', "unknown fields"),
        ('{"recsketch": 1, "dim": 1' + "0" * 5000 + ', "modules": {"a": 1}, "seed": 1}', "got text that is none"),
        ('{"recsketch": 1, "dim": 1' + "0" * 4000 + ', "modules": {"a": 1}, "seed": 1}', "dim: wanted an integer"),
        (b"\xff\xfe\xff", "got text that is none"),
        (b"PK\x03\x04", "got text that is none"),
    ],
)
def test_specifications_that_are_none(
    folder: Path, capsys: pytest.CaptureFixture[str], text: str | bytes, words: str
) -> None:
    (folder / "spec.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    line = refused(capsys, "sketch", folder / "runs.npz", "--spec", folder / "spec.json", "-o", folder / "o.npz")
    assert f"{folder / 'spec.json'}: wanted the JSON of a SketchSpec: " in line
    assert words in line


def test_specifications_without_end(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli_files, "LONGEST_SPEC", (folder / "spec.json").stat().st_size)
    assert cli_files.read_spec(str(folder / "spec.json")) == SPEC
    monkeypatch.setattr(cli_files, "LONGEST_SPEC", 100)
    for path in (folder / "spec.json", *([Path("/dev/zero")] if os.path.exists("/dev/zero") else [])):
        line = refused(capsys, "sketch", folder / "runs.npz", "--spec", path, "-o", folder / "o.npz")
        assert "at most 100 bytes; got more" in line


def test_a_byte_order_mark_in_text() -> None:
    assert rs.SketchSpec.from_json("\ufeff" + SPEC.to_json()) == SPEC
    for bad in (None, 3, {"recsketch": 1}):
        with pytest.raises(TypeError, match="specification: wanted a JSON text; got"):
            rs.SketchSpec.from_json(bad)  # type: ignore[arg-type]


# ---------------------------------------------------------------- foreign files


def test_foreign_files_are_told_of_in_our_own_words(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, content in (("x.json", b"{}"), ("x.npy", b"\x93NUMPY"), ("x.gz", b"\x1f\x8b"), ("x", b"")):
        (folder / name).write_bytes(content)
        for line in (("unroll", folder / name), ("read", folder / name, "--module", "line")):
            told = refused(capsys, *line)
            assert f"{folder / name}: wanted a file written by `recsketch sketch`: got a" in told
            assert "pickle" not in told
        if name != "x.npy":
            assert "wanted an npy of kept" in refused(capsys, "unroll", folder / "s.npz", "--mask", folder / name)
    for mask in (np.ones(256), np.ones(255, bool), np.array("a"), np.zeros((2, 256), bool)):
        np.save(folder / "mask.npy", mask)
        told = refused(capsys, "unroll", folder / "s.npz", "--mask", folder / "mask.npy")
        assert "wanted an npy of kept coordinates, (256,) or (3, 256) bool: got an array of shape" in told
    np.savez(folder / "two.npz", recsketch=1, sketches=np.zeros((2, 256), np.float32), spec=np.array(["a", "b"]))
    assert "spec: wanted one string; got an array of shape (2,)" in refused(capsys, "unroll", folder / "two.npz")
    for x in (np.ones(256), np.ones((2, 128))):
        rs.pack(x, "int8").save(folder / "p.npz")
        told = refused(capsys, "unroll", folder / "p.npz", "--spec", folder / "spec.json")
        assert "wanted packed sketches of shape (n, 256); got an array of shape" in told
    np.savez(folder / "to come.npz", recsketch=2, other=np.zeros(3))
    assert "wanted format 1; got 2" in refused(capsys, "unroll", folder / "to come.npz")


def test_no_message_is_long(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever it quotes: names of files, options, modules, numbers."""
    long = "x" * 100_000
    for line in (
        ("demo", "--threads", "9" * 5000),
        ("demo", "--seed", long),
        ("demo", f"--{long}"),
        (long,),
        ("read", folder / "s.npz", "--module", "line", "--threads", "x\x1b[1m" * 1000),
    ):
        with pytest.raises(SystemExit):
            cli.main([*map(str, line)])
        (told,) = capsys.readouterr().err.splitlines()
        assert len(told) <= 1000
        assert "\x1b" not in told
    assert "line" in refused(capsys, "read", folder / "s.npz", "--module", long)
    refused(capsys, "read", folder / "s.npz", "--module", "line", "--below", ",".join(["y"] * 10_000))
    refused(capsys, "unroll", folder / "s.npz", "--index", "9" * 4000)
    refused(capsys, "unroll", long)
    refused(capsys, "unroll", "\x1b]0;title\x07" * 1000)
    refused(capsys, "unroll", folder / "s.npz", "-o", folder / long)
