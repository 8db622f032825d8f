"""The command capture: traces of OpenTelemetry to files of runs, a specification, and what could not be read."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

import recsketch as rs
from recsketch.capture.otlp import read_otlp
from recsketch.cli.main import main
from recsketch.datasets import shop_traces


def append(path: Path, line: str) -> None:
    with open(path, "a") as file:
        file.write(line + "\n")


@pytest.fixture
def traces(folder: Path) -> Path:
    made = folder / "traces"
    made.mkdir()
    for k, document in enumerate(shop_traces(6, seed=1)):
        append(made / f"{k % 2}.jsonl", json.dumps(document))
    return made


def test_a_folder_of_traces_becomes_sketches(folder: Path, traces: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs, spec = folder / "runs.npz", folder / "spec.json"
    assert main(["capture", str(traces), "--out", str(runs), "--fit", str(spec)]) == 0
    assert "6 runs, 10 modules, 0 errors" in capsys.readouterr().out
    wanted = read_otlp(traces).runs
    assert rs.TraceBatch.load(runs) == wanted
    assert main(["sketch", str(runs), str(folder / "s.npz"), "--spec", str(spec)]) == 0
    assert main(["unroll", str(folder / "s.npz"), "--json"]) == 0
    told = capsys.readouterr().out
    assert [row["complete"] for row in json.loads(told[told.index("[") :])] == [True] * 6


def test_options_are_taken(folder: Path, traces: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(folder / "runs.npz")
    assert main(["capture", str(traces), "-o", out, "--module-key", "service.name", "--edges", "links", "--json"]) == 0
    wanted = read_otlp(traces, module="service.name", edges="links")
    assert rs.TraceBatch.load(out) == wanted.runs != read_otlp(traces, module="service.name").runs
    assert wanted.runs != read_otlp(traces, edges="links").runs
    assert json.loads(capsys.readouterr().out)["edges"]["spans"] == wanted.edges.spans


def test_runs_go_to_parquet(folder: Path, traces: Path) -> None:
    pytest.importorskip("pyarrow")
    assert main(["capture", str(traces), "--out", str(folder / "runs.parquet")]) == 0
    assert rs.TraceBatch.from_parquet(folder / "runs.parquet") == read_otlp(traces).runs


def test_what_is_left_out_is_told(
    folder: Path, traces: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    append(traces / "0.jsonl", "{\x1b[2J")
    out, bad = str(folder / "runs.npz"), folder / "bad.jsonl"
    with pytest.raises(SystemExit) as stopped:
        main(["capture", str(traces), "--out", out, "--errors", str(bad), "--json"])
    assert stopped.value.code == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["runs"], told["errors"]) == (6, 1)
    (record,) = map(json.loads, bad.read_text().splitlines())
    assert (record["stage"], record["row"]) == ("line", 4)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"[]\n{")))
    with pytest.raises(SystemExit):
        main(["capture", "-", "--out", out])
    told = capsys.readouterr().err
    assert "line" in told
    assert "\x1b" not in told
    assert main(["capture", str(folder / "none.jsonl"), "--out", out]) == 2
    assert "none.jsonl" in capsys.readouterr().err
