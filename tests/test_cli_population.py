"""The commands population, compare and watch."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import recsketch as rs
from recsketch.cli.files import write_sketches
from recsketch.cli.main import main

SPEC = rs.SketchSpec.additive(512, {"page": 2, "line": 3}, seed=1)


def sketches(n: int, seed: int, rise: float = 0.0) -> Any:
    return rs.Sketcher(SPEC).sketch(made(n, seed, rise))


def made(n: int, seed: int, rise: float = 0.0) -> list[rs.Trace]:
    rng, runs = np.random.default_rng(seed), []
    for _ in range(n):
        run = rs.Trace()
        lines = [run.add("line", rng.normal([0, rise, 0])) for _ in range(rng.integers(1, 4))]
        run.outputs([run.add("page", rng.standard_normal(2), inputs=lines)])
        runs.append(run)
    return runs


def saved(path: Path, s: Any, groups: int | None = None) -> str:
    """Sketches as `recsketch sketch` writes them, or with groups a population."""
    if groups is None:
        with open(path, "wb") as file:
            write_sketches(file, SPEC, s)
    else:
        found = rs.Population(SPEC)
        found.update(s, np.arange(len(s)) * groups // len(s))
        found.save(path)
    return str(path)


def test_population(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = saved(folder / "a.npz", sketches(30, 0)), saved(folder / "b.npz", sketches(20, 1), groups=4)
    assert main(["population", a, b, "-o", str(folder / "c.npz")]) == 0
    told = capsys.readouterr().out
    assert "50 runs, all of it" in told
    assert "page > line" in told
    assert main(["population", str(folder / "c.npz"), "--by", "module", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["runs"] == 50
    assert [p["path"] for p in found["paths"]] == [["page"], ["line"]]
    assert round(found["paths"][0]["count"]) == 50
    strange = folder / "d.npz"
    rs.TraceBatch.from_traces([]).save(strange)
    assert main(["population", str(strange)]) == 2
    assert "Population.save" in capsys.readouterr().err


def test_populations_of_folders_know_how_their_sketches_are_rounded(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What float16 leaves of a sum of 200 is rounding, and said to be."""
    runs, spec, out = folder / "runs.npz", folder / "spec.json", str(folder / "sketches")
    rs.TraceBatch.from_traces(made(200, 0)).save(runs)
    spec.write_text(SPEC.to_json())
    given = ["sketch", str(runs), out, "--spec", str(spec), "--form", "npz", "--workers", "1"]
    assert main(given) == 0
    capsys.readouterr()
    assert main(["population", out, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["complete"]
    assert told["unexplained"] > 1e-6
    assert [p["path"] for p in told["paths"]] == [["page"], ["page", "line"]]
    assert main(["read", out, "--module", "page", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 200


@pytest.mark.parametrize("groups", [None, 4])
def test_population_from_standard_input(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], groups: int | None
) -> None:
    content = Path(saved(folder / "a.npz", sketches(30, 0), groups)).read_bytes()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
    assert main(["population", "-"]) == 0
    assert "30 runs, all of it" in capsys.readouterr().out
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content[:-40])))
    assert main(["population", "-"]) == 2
    assert "wanted a file written by Population.save" in capsys.readouterr().err


def test_names_of_modules_move_no_cursor(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec, run = rs.SketchSpec.additive(64, {"a\x1b[2J": 2}, seed=1), rs.Trace()
    run.outputs([run.add("a\x1b[2J", [1, 2])])
    with open(folder / "a.npz", "wb") as file:
        write_sketches(file, spec, rs.Sketcher(spec).sketch([run]))
    assert main(["population", str(folder / "a.npz")]) == 0
    assert "\x1b" not in capsys.readouterr().out


def test_compare(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a = saved(folder / "a.npz", sketches(640, 0), groups=32)
    b = saved(folder / "b.npz", sketches(640, 1, rise=1.0), groups=32)
    assert main(["compare", a, b]) == 0
    assert "page > line" in capsys.readouterr().out
    assert main(["compare", a, b, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["changed"] == ["page > line"]


def test_watch(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    known = saved(folder / "k.npz", sketches(200, 0), groups=8)
    usual = saved(folder / "u.npz", sketches(128 * 8, 1))
    same, other = saved(folder / "s.npz", sketches(85, 2)), saved(folder / "o.npz", sketches(400, 3, rise=2.0))
    state = str(folder / "m.npz")
    given = ["watch", known, usual]
    assert main([*given, same, "--block", "8", "--state", state]) == 0
    assert "10 blocks of 8 runs, 5 runs left for the next: no alarm" in capsys.readouterr().out
    assert main([*given, same, "--block", "8", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"blocks": 10, "runs_left": 5, "alarm": None}
    with pytest.raises(SystemExit) as stopped:
        main([*given, other, "--block", "8", "--state", state])
    assert stopped.value.code == 1
    assert "page > line: mean 1" in capsys.readouterr().out
    with pytest.raises(SystemExit) as stopped:  # an alarm lasts, though nothing is left to look at
        main([*given, saved(folder / "few.npz", sketches(3, 4)), "--block", "8", "--state", state])
    assert stopped.value.code == 1
    assert "page > line: mean 1" in capsys.readouterr().out
