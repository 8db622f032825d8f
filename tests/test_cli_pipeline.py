"""`recsketch sketch` with folders: what it says, where, and with which exit code."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_pipeline import SPEC, batch, files, made

import recsketch as rs
from recsketch import pipeline
from recsketch.cli import main as cli
from recsketch.cli.commands.sketch import _bytes, _Meter, progress_text
from recsketch.display.terminal import Style

pytest.importorskip("pyarrow")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    batch(0, 10).to_parquet(tmp_path / "in" / "a.parquet")
    batch(10, 20).save(tmp_path / "in" / "b.npz")
    (tmp_path / "spec.json").write_text(SPEC.to_json())
    return tmp_path


def sketch(folder: Path, *args: Any, code: int = 0, workers: int = 1) -> None:
    words = ["sketch", *map(str, args), "--spec", str(folder / "spec.json"), "--workers", str(workers)]
    assert status(words) == code


def status(words: list[str]) -> int | str | None:
    try:
        return cli.main(words)
    except SystemExit as e:
        return e.code


@pytest.mark.parametrize("form", ["parquet", "arrow", "npz"])
def test_a_part_is_read_as_its_folder_is(folder: Path, capsys: pytest.CaptureFixture[str], form: str) -> None:
    """By its name alone: of each form, all that its rows say."""
    sketch(folder, folder / "in" / "a.parquet", folder / "out", "--form", form)
    (part,) = (folder / "out").glob(f"*.{form}")
    told = []
    for path in (folder / "out", part):
        capsys.readouterr()
        assert status(["unroll", str(path), "--json"]) == 0
        told.append(json.loads(capsys.readouterr().out))
    assert told[0] == told[1]
    assert len(told[0]) == 10


def test_a_folder_is_sketched(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The table goes to stderr; stdout is for those who asked for something."""
    sketch(folder, folder / "in", folder / "out")
    told = capsys.readouterr()
    assert told.out == ""
    rows = {line.split()[0]: line.split()[1:] for line in told.err.splitlines() if line.split()}
    assert rows["inputs"] == ["2"]
    assert rows["runs"] == rows["sketched"][:1] == ["20"]
    assert rows["bad"] == ["0"]
    assert {"read", "written", "time", "pack"} <= set(rows)
    made(folder / "in", folder / "same")
    assert files(folder / "out") == files(folder / "same")
    sketch(folder, folder / "in", "-o", folder / "out")
    assert "2 kept" in capsys.readouterr().err
    sketch(folder, folder / "in" / "a.parquet", folder / "in" / "b.npz", "-o", folder / "two")
    assert pipeline.read(folder / "two") == pipeline.read(folder / "out")


def test_options_are_taken(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sketch(
        folder, folder / "in", folder / "out", "--dtype", "int8", "--form", "npz", "--memory", "2G", "--json", workers=2
    )
    told = json.loads(capsys.readouterr().out)
    assert (told["rows"], told["ok"], told["clean"], told["dry_run"]) == (20, 20, True, False)
    assert set(told["stages"]) == {"read", "sketch", "pack", "write"}
    assert pipeline.read(folder / "out").sketches.dtype == "int8"
    assert len(list((folder / "out").glob("part-*.npz"))) == 2
    sketch(folder, folder / "in", folder / "new", "--dry-run")
    assert "2 inputs, no part is there" in capsys.readouterr().out
    assert not (folder / "new").exists()


def test_exit_codes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    batch(20, 30, (22, 23)).save(folder / "in" / "c.npz")
    sketch(folder, folder / "in", folder / "out", "--max-errors", 1, code=3)
    assert "wanted at most 1 bad rows and unreadable inputs; got more: c.npz, row" in capsys.readouterr().err
    sketch(folder, folder / "in", folder / "out", code=1)
    assert "in errors/" in capsys.readouterr().err
    (folder / "in" / "d.parquet").write_bytes(b"PAR1")
    sketch(folder, folder / "in", folder / "out", code=1)
    assert "d.parquet: wanted" in capsys.readouterr().err
    (folder / "spec.json").write_text(SPEC.replace(seed=9).to_json())
    sketch(folder, folder / "in", folder / "out", code=2)
    assert "wanted sketches of the folder's specification; got another" in capsys.readouterr().err


def test_a_folder_is_verified(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sketch(folder, folder / "in", folder / "out")
    capsys.readouterr()
    verify = ["sketch", "--verify", str(folder / "out")]
    assert status(verify) == 0
    assert capsys.readouterr().out.startswith(f"{folder / 'out'}: 2 parts, 20 sketches")
    assert status([*verify, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["ok"] is True
    next((folder / "out").glob("part-*")).write_bytes(b"x")
    assert status(verify) == 2
    assert "wanted the bytes that were written; got others" in capsys.readouterr().err


def test_a_folder_is_read_by_other_commands(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In place of a file of sketches, whole or one part of it."""
    sketch(folder, folder / "in", folder / "out")
    part = next((folder / "out").glob("part-*"))
    capsys.readouterr()
    for path, count in ((folder / "out", 20), (part, 10)):
        assert status(["read", str(path), "--module", "b", "--json"]) == 0
        assert len(json.loads(capsys.readouterr().out)) == count
    capsys.readouterr()
    assert status(["unroll", str(folder / "out"), "--json"]) == 0  # they know how float16 has rounded them
    told = [row["complete"] for row in json.loads(capsys.readouterr().out)]
    table = pipeline.read(folder / "out")
    assert told == [u.complete for u in rs.Sketcher(SPEC).unroll(table.sketches)]
    assert sum(told) > sum(u.complete for u in rs.Sketcher(SPEC).unroll(table.unpack()))
    assert status(["unroll", str(folder / "out"), "--index", "0"]) == 0


def test_what_does_not_go_together(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = ["--spec", str(folder / "spec.json")]
    a, runs = str(folder / "in" / "a.parquet"), str(folder / "in")
    for words, told in (
        ([a, *spec], "required: OUT"),
        ([runs, str(folder / "out")], "required: --spec"),
        ([runs, "-o", str(folder / "x.npz"), *spec], "wanted a folder to write"),
        ([a, "-o", str(folder / "x.npz"), "--workers", "2", *spec], "--workers: wanted a folder to write"),
        ([a, "-o", str(folder / "x.npz"), "--max-errors", "0", *spec], "--max-errors: wanted a folder to write"),
        ([runs, str(folder / "out"), "--threads", "2", *spec], "--threads: wanted --workers"),
        ([runs, str(folder / "out"), "--memory", "0", *spec], "--memory"),
        ([runs, str(folder / "out"), "--memory", "lots", *spec], "wanted a size such as 800M"),
        (
            [runs, str(folder / "out"), "--dtype", "bfloat16", *spec],
            "--dtype: wanted 'float32' or 'float16' or 'int8'; got 'bfloat16'",
        ),
        (["--verify", runs, a], "wanted one folder"),
        (["--verify", runs], "wanted a folder of sketches; got another"),
    ):
        assert status(["sketch", *words]) == 2
        err = capsys.readouterr().err
        assert told in err
        assert err.count("\n") == 1
    assert {p.name for p in folder.iterdir()} == {"in", "spec.json"}


def test_one_file_of_parquet_is_made_one_of_sketches(folder: Path) -> None:
    words = ["sketch", str(folder / "in" / "a.parquet"), "--spec", str(folder / "spec.json"), "-o"]
    assert status([*words, str(folder / "x.npz")]) == 0
    with np.load(folder / "x.npz") as found:
        assert np.array_equal(found["sketches"], rs.Sketcher(SPEC).sketch(batch(0, 10)))


@pytest.mark.parametrize(
    ("text", "size"), [("1", 1), ("800M", 800 << 20), ("2g", 2 << 30), ("3KiB", 3 << 10), ("1T", 1 << 40)]
)
def test_sizes(text: str, size: int) -> None:
    assert _bytes(text) == size


def test_progress_says_how_much_how_fast_and_how_long() -> None:
    state = pipeline.Progress(done=3 * 10**6, total=12 * 10**6, rows=1500, failed=2, parts=1, count=4, seconds=2.0)
    line = progress_text(state, Style(120, unicode=False))
    assert line.split("  ") == [" 25% ###.........", "1,500 runs", "750/s", "1.5 MB/s", "0:06 left", "2 bad"]
    assert len(progress_text(state, Style(40))) < 40
    assert progress_text(pipeline.Progress(), Style(80, unicode=False)).startswith("100%")  # of nothing


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_s_line_is_written_over() -> None:
    stream = Terminal()
    meter = _Meter(stream)
    for done in (1, 2):
        meter(pipeline.Progress(done=done, total=2, rows=done))
    meter.clear()
    first, second, blank, rest = stream.getvalue().split("\r")[1:]
    assert " 50%" in first
    assert "100%" in second
    assert (blank.strip(), rest) == ("", "")
    assert "\n" not in stream.getvalue()
    plain = io.StringIO()
    for delay in (100.0, -1.0):
        meter = _Meter(plain, delay)
        meter(pipeline.Progress(done=1, total=2, rows=1))
        meter.clear()
    assert plain.getvalue().count("\n") == 1
