"""The commands fit, pack, read, diff, nearest and show, and runs that are traces: each does what Python does."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import recsketch as rs
from recsketch.capture.otlp import read_otlp
from recsketch.cli.files import read_runs, write_sketches
from recsketch.cli.main import main
from recsketch.datasets import shop_traces

FIXTURES = Path(__file__).parent / "fixtures" / "format-1"
SPEC = rs.SketchSpec(dim=256, modules={"line": 5, "char": 8}, seed=3)


def made(n: int, seed: int = 0, uneven: bool = False) -> rs.TraceBatch:
    """Runs of four characters under a line; uneven ones have 4, 5, 6 and so on, of weights 1, 2, 3."""
    rng, runs = np.random.default_rng(seed), []
    for i in range(n):
        run = rs.Trace()
        leaves = [run.add("char", rng.standard_normal(8)) for _ in range(4 + i * uneven)]
        weights = list(range(1, len(leaves) + 1)) if uneven else None
        run.outputs([run.add("line", rng.standard_normal(5), leaves, weights)])
        runs.append(run)
    return rs.TraceBatch.from_traces(runs)


@pytest.fixture
def here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Five runs, their specification and their sketches, in the folder where commands run."""
    monkeypatch.chdir(folder)
    made(5).save("runs.npz")
    Path("spec.json").write_text(SPEC.to_json())
    with open("s.npz", "wb") as file:
        write_sketches(file, SPEC, rs.Sketcher(SPEC).sketch(made(5)))
    return folder


def call(*words: Any) -> int:
    try:
        return main([str(word) for word in words])
    except SystemExit as stopped:
        return int(str(stopped.code))


def told(capsys: pytest.CaptureFixture[str], *words: Any, code: int = 0) -> Any:
    """The JSON that a command prints."""
    capsys.readouterr()
    assert call(*words, "--json") == code
    return json.loads(capsys.readouterr().out)


def refused(capsys: pytest.CaptureFixture[str], *words: Any) -> str:
    capsys.readouterr()
    assert call(*words) == 2
    found = capsys.readouterr()
    assert found.out == ""
    (line,) = found.err.splitlines()
    return line


# ---------------------------------------------------------------- fit


def test_fit_writes_what_fitted_makes(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made(3, seed=1).save("more.npz")
    assert call("fit", "runs.npz", "more.npz", "new.json", "--seed", 7, "--target", 0.3) == 0
    both = rs.TraceBatch.concat([made(5), made(3, seed=1)])
    wanted = rs.SketchSpec.fitted(both, seed=7, target=0.3)
    assert rs.SketchSpec.from_json(Path("new.json").read_text()) == wanted
    assert capsys.readouterr().out == f"new.json: {wanted.dim} numbers a sketch, 2 modules\n"
    assert call("fit", "runs.npz", "-o", "seen.json", "--seen-wiring", "--decoder", "recover", "--dim", 128) == 0
    wanted = rs.SketchSpec.fitted(made(5), wiring="seen", decoder="recover", dim=128)
    assert rs.SketchSpec.from_json(Path("seen.json").read_text()) == wanted
    assert call("fit", "runs.npz", "sums.json", "--additive", "--dim", 512, "--seed", 2) == 0
    wanted = rs.SketchSpec.additive(512, made(5).modules, 2).with_scales(made(5))
    assert rs.SketchSpec.from_json(Path("sums.json").read_text()) == wanted


def test_fit_tries(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = told(capsys, "fit", "runs.npz", "new.json", "--trial", "runs.npz", "--dtype", "int8")
    wanted = rs.trial(rs.SketchSpec.fitted(made(5)), made(5), storage="int8")
    assert found["dim"] == wanted.spec.dim
    assert found["tried"] == 5
    assert found["advice"] == list(wanted.advice)
    assert found["stored"] == {s.dtype: {"bytes": s.bytes, "whole": float(s.whole.mean())} for s in wanted.stored}
    assert call("fit", "runs.npz", "new.json", "--trial", "runs.npz") == 0
    assert "Trial: 5 of 5 runs whole as float32" in capsys.readouterr().out


def test_fit_refuses(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words, error in (
        (["runs.npz", "s.npz"], "OUT: wanted a name in .json, or another by --out; got 's.npz'"),
        (["runs.npz", "x.json", "--additive"], "--dim: wanted a length with --additive"),
        (["runs.npz", "x.json", "--additive", "--dim", 64, "--target", 1], "--target: wanted none of it with"),
        (["runs.npz", "x.json", "--dtype", "int8"], "--dtype: wanted --trial with it"),
        (["runs.npz", "x.json", "--target", "much"], "--target: wanted a number; got 'much'"),
        (["runs.npz", "x.json", "--decoder", "all"], "--decoder: wanted unroll or recover; got 'all'"),
        (["runs.npz", "x.json", "--dim", 300], "error: --dim: wanted a power of two from 64 to 16777216; got 300"),
        (["s.npz", "x.json"], "s.npz: wanted runs; got sketches"),
    ):
        assert error in refused(capsys, "fit", *words)
    assert not Path("x.json").exists()
    assert Path("s.npz").exists()


# ---------------------------------------------------------------- pack


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "int8"])
def test_pack_and_back(here: Path, capsys: pytest.CaptureFixture[str], dtype: str) -> None:
    assert call("pack", "s.npz", "p.npz", "--dtype", dtype) == 0
    packed = rs.pack(rs.Sketcher(SPEC).sketch(made(5)), dtype)
    assert rs.PackedSketches.load("p.npz") == packed
    assert f"5 rows as {dtype}, {packed.nbytes:,} bytes" in capsys.readouterr().out
    assert call("pack", "p.npz", "again.npz", "--dtype", "float32", "--spec", "spec.json") == 0
    with np.load("again.npz") as found:
        np.testing.assert_array_equal(found["sketches"], packed.unpack())
        assert rs.SketchSpec.from_json(str(found["spec"])) == SPEC
    assert "--spec: wanted the specification of the packed sketches in p.npz" in refused(capsys, "unroll", "p.npz")


def test_pack_makes_tables_of_folders(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = ("sketch", "runs.npz", "out", "--spec", "spec.json", "--form", "npz", "--workers", 1)
    assert call(*folder, "--dtype", "float32") == 0
    assert call("pack", "out", "t.npz", "--dtype", "int8") == 0
    table = rs.SketchTable.from_npz("t.npz")
    assert (table.spec, table.objects.tolist()) == (SPEC, [5] * 5)
    assert table.sketches == rs.pack(rs.Sketcher(SPEC).sketch(made(5)), "int8")
    rows = told(capsys, "unroll", "t.npz")  # which knows its specification, and its rounding
    assert [row["complete"] for row in rows] == [u.complete for u in rs.Sketcher(SPEC).unroll(table.sketches)]
    assert call("pack", "t.npz", "t16.npz") == 0
    assert rs.SketchTable.from_npz("t16.npz").sketches == rs.pack(table.unpack(), "float16")
    assert "OUT: wanted a name in .npz" in refused(capsys, "pack", "s.npz", "x.parquet")
    assert "wanted one input and OUT; got 't.npz'" in refused(capsys, "pack", "s.npz", "t.npz", "x.npz")
    pytest.importorskip("pyarrow")
    assert call("pack", "t.npz", "t.parquet", "--dtype", "int8") == 0
    assert rs.SketchTable.from_parquet("t.parquet") == table


# ---------------------------------------------------------------- read


def test_read_gives_attributes_of_a_known_structure(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = made(5, uneven=True)
    runs.save("runs.npz")
    s = rs.Sketcher(SPEC).sketch(runs)
    with open("s.npz", "wb") as file:
        write_sketches(file, SPEC, s)
    for index in ([], [3, 1]):
        numbers = index or list(range(5))
        more = [word for i in index for word in ("--index", i)]
        rows = told(capsys, "read", "s.npz", "--structure", "runs.npz", "-o", "a.npz", *more)
        assert [row["sketch"] for row in rows] == numbers
        for row, i, run in zip(rows, numbers, rs.TraceBatch.load("a.npz"), strict=True):
            found = rs.Sketcher(SPEC).recover(s[i], runs[i])
            assert row["residual"] == found.residual
            assert [o["module"] for o in row["objects"]] == ["char"] * (4 + i) + ["line"]
            for told_of, x, o, got in zip(row["objects"], found.attributes, runs[i].objects, run.objects, strict=True):
                np.testing.assert_allclose(told_of["attribute"], x, rtol=1e-6)
                np.testing.assert_array_equal(got.attribute, x)
                # Elements are right to about 1e-6 of their object's norm at such loads (README); ten times that.
                assert np.abs(got.attribute - o.attribute).max() < 1e-5 * np.linalg.norm(o.attribute)
                assert (got.inputs, got.weights) == (o.inputs, o.weights)
    capsys.readouterr()
    assert call("read", "s.npz", "--structure", "runs.npz", "--index", 3, "--method", "matched") == 0
    header, row = capsys.readouterr().out.splitlines()
    assert header.split() == ["sketch", "objects", "largest", "error", "residual"]
    assert row.split()[:2] == ["3", "8"]


def test_read_takes_one_structure_for_all_and_masks(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made(5)[:1].save("one.npz")
    mask = np.random.default_rng(0).random((5, 256)) < 0.8
    np.save("mask.npy", mask)
    rows = told(capsys, "read", "s.npz", "--structure", "one.npz", "--mask", "mask.npy", "--index", 4, "--index", 1)
    s = rs.Sketcher(SPEC).sketch(made(5))
    for row, i in zip(rows, (4, 1), strict=True):
        found = rs.Sketcher(SPEC).recover(s[i], made(5)[0], mask=mask[i])
        assert (row["sketch"], row["residual"]) == (i, found.residual)
        np.testing.assert_allclose(row["objects"][0]["attribute"], found.attributes[0], rtol=1e-6)
    rows = told(capsys, "read", "s.npz", "--module", "line", "--mask", "mask.npy", "--index", 2)
    wanted = rs.Sketcher(SPEC).summary(s[2], "line", mask=mask[2])
    assert rows[0]["count"] == wanted.count
    made(5)[:3].save("three.npz")
    for words, error in (
        ([], "wanted --structure RUNS or --module NAME; got neither"),
        (["--structure", "runs.npz", "--module", "line"], "got both"),
        (["--structure", "three.npz"], "--structure: wanted one run, or one for each of 5 sketches; got 3 runs"),
        (["--structure", "runs.npz", "--below", "a"], "--below: wanted --module"),
        (["--module", "line", "--out", "x.npz"], "--out: wanted --structure"),
        (["--module", "line", "--method", "lstsq"], "--method: wanted --structure"),
        (["--structure", "runs.npz", "--index", "5"], "--index: wanted a number below 5"),
        (["--structure", "runs.npz", "-o", "runs.npz"], "wanted a file of its own to write"),
    ):
        assert error in refused(capsys, "read", "s.npz", *words)


# ---------------------------------------------------------------- diff


def test_diff_says_why_runs_differ(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wanted = rs.diff(made(5)[0], made(5)[3])
    assert wanted.of("changed")
    assert call("diff", "runs.npz", "runs.npz", "--index", 0, "--index", 3) == 1
    assert capsys.readouterr().out.splitlines() == str(wanted).splitlines()
    found = told(capsys, "diff", "runs.npz", "runs.npz", "--index", 0, "--index", 3, code=1)
    assert [(c["kind"], c["module"]) for c in found["changes"]] == [(c.kind, c.module) for c in wanted.changes]
    assert call("diff", "runs.npz", "s.npz", "--index", 2, "--html", "d.html") == 0  # a run, and its own sketch
    assert "none, 5 the same" in capsys.readouterr().out
    page = Path("d.html").read_text()
    assert "none, 5 the same" in page
    assert "<h2>runs.npz, run 2 and s.npz, run 2</h2>" in page
    sk = rs.Sketcher(SPEC)
    s = sk.sketch(made(5))
    found = told(capsys, "diff", "s.npz", "s.npz", "--index", 0, "--index", 1, code=1)
    assert len(found["changes"]) == len(sk.diff(s[0], s[1]).changes)
    assert call("pack", "s.npz", "p.npz") == 0
    assert call("diff", "p.npz", "s.npz", "--index", 1, "--spec", "spec.json") == 0
    assert call("diff", "runs.npz", "runs.npz", "--index", 0, "--index", 3, "--tolerance", 1) in (0, 1)
    for words, error in (
        (["runs.npz", "s.npz"], "--index: wanted the number of a run, since runs.npz has 5; got none"),
        (["runs.npz", "s.npz", "--index", 5], "--index: wanted a number below 5, of a run in runs.npz; got 5"),
        (["runs.npz", "s.npz", *["--index", "0"] * 3], "--index: wanted one number, or one for each file; got 3"),
        (["runs.npz", "spec.json", "--index", 0], "spec.json: wanted runs or sketches; got a specification"),
        (["none.npz", "s.npz", "--index", 0], "none.npz"),
    ):
        assert error in refused(capsys, "diff", *words)


# ---------------------------------------------------------------- nearest


def test_nearest_finds_rows(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sk = rs.Sketcher(SPEC)
    s = sk.sketch(made(5))
    near = made(5, seed=9)
    near.save("near.npz")
    q = sk.sketch(near)
    for words, query, rows, options in (
        (["--query", "near.npz", "-k", 2], q, s, {"k": 2}),
        (["--query", "s.npz", "-k", 9, "--metric", "inner"], s, s, {"k": 9, "metric": "inner"}),
    ):
        found = told(capsys, "nearest", "s.npz", *words)
        wanted = sk.nearest(query, rows, **options)
        assert [hit["sketch"] for hit in found] == wanted.indices.ravel().tolist()
        np.testing.assert_allclose([hit["score"] for hit in found], wanted.scores.ravel(), rtol=1e-6)
    unit = s / np.linalg.norm(s, axis=1, keepdims=True)
    wanted = sk.nearest(q / np.linalg.norm(q, axis=1, keepdims=True), unit, 5, mean=unit.mean(axis=0))
    found = told(capsys, "nearest", "s.npz", "--query", "near.npz", "--centre")
    assert [hit["sketch"] for hit in found] == wanted.indices.ravel().tolist()
    np.testing.assert_allclose([hit["score"] for hit in found], wanted.scores.ravel(), atol=1e-6)
    assert call("pack", "s.npz", "p.npz", "--dtype", "int8") == 0
    found = told(capsys, "nearest", "p.npz", "--spec", "spec.json", "--like", 3)
    assert sorted(hit["sketch"] for hit in found) == [0, 1, 2, 4]
    assert call("nearest", "s.npz", "--like", 0, "-k", 1) == 0
    assert capsys.readouterr().out.splitlines()[0].split() == ["query", "sketch", "score"]
    with open("other.npz", "wb") as file:
        write_sketches(file, SPEC.replace(seed=4), s)
    for more, error in (
        ([], "wanted --query FILE or --like N; got neither"),
        (["--like", 1, "--query", "s.npz"], "got both"),
        (["--like", 5], "--like: wanted a number below 5"),
        (["--query", "other.npz"], "--query: wanted sketches of the specification of s.npz"),
        (["--query", "spec.json"], "wanted runs or sketches; got a specification"),
    ):
        assert error in refused(capsys, "nearest", "s.npz", *more)


# ---------------------------------------------------------------- show


def test_show_knows_every_kind_of_file(capsys: pytest.CaptureFixture[str]) -> None:
    """Every fixture of the format, which has one of each."""
    kinds = {"packed": "packed sketches", "mask": "array", "spec": "specification", "traces": "runs"}
    seen = set()
    for path in sorted(FIXTURES.iterdir()):
        if path.suffix not in (".npz", ".npy", ".json") or path.name == "about.json":
            continue
        found = told(capsys, "show", path)
        name = path.stem.split("-")[0]
        assert found["kind"] == kinds.get(name, name), path.name
        seen.add(found["kind"])
        assert call("show", path) == 0
        assert capsys.readouterr().out.splitlines()[0] == f"{path.name}: {found['kind']}"
    assert seen >= {"packed sketches", "specification", "runs", "sketches", "monitor", "dictionary"}


def test_show_says_what_is_in_runs_and_sketches(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = told(capsys, "show", "runs.npz")
    assert (found["runs"], found["objects"], found["modules"]) == (5, 25, {"line": 5, "char": 8})
    assert call("show", "runs.npz", "--index", 2, "--html", "p.html") == 0
    assert made(5)[2].tree().splitlines()[0] in capsys.readouterr().out
    assert "<h2>Run 2</h2>" in Path("p.html").read_text()
    found = told(capsys, "show", "s.npz")
    assert (found["kind"], found["sketches"], found["dim"], found["seed"]) == ("sketches", 5, 256, 3)
    folder = ("sketch", "runs.npz", "out", "--spec", "spec.json", "--form", "npz", "--workers", 1)
    assert call(*folder) == 0
    assert told(capsys, "show", "out")["stored as"] == "float16"
    assert call("pack", "out", "t.npz") == 0
    assert told(capsys, "show", "t.npz")["kind"] == "table of sketches"
    population = rs.Population(rs.SketchSpec.additive(512, {"line": 5, "char": 8}))
    population.save("pop.npz")
    assert told(capsys, "show", "pop.npz")["runs"] == 0
    assert call("add", "kept", "runs.npz", "--spec", "spec.json") == 0
    found = told(capsys, "show", "kept")
    assert (found["kind"], found["runs"]) == ("repository", 5)
    assert call("export", "kept", "all.npz") == 0
    assert told(capsys, "show", "all.npz")["kind"] == "exported repository"
    np.save("mask.npy", np.ones((5, 256), bool))
    assert told(capsys, "show", "mask.npy") == {"kind": "array", "shape": "5 x 256", "type": "bool"}
    statistics = rs.ModuleStatistics()
    statistics.update(made(5))
    statistics.save("stat.npz")
    assert told(capsys, "show", "stat.npz")["modules"] == 2
    for words, error in (
        (["s.npz", "--index", 0], "--index: wanted a file of runs; got sketches"),
        (["runs.npz", "--html", "x.html"], "--index: wanted the number of a run with --html; got none of 5"),
        (["runs.npz", "--index", 5], "--index: wanted a number below 5, of a run; got 5"),
        (["junk"], "wanted a file or folder that recsketch writes or reads; got another"),
        (["none"], "none"),
    ):
        Path("junk").write_bytes(b"\0\1\2")
        assert error in refused(capsys, "show", *words)
    pytest.importorskip("pyarrow")
    assert call("pack", "out", "t.parquet") == 0
    made(5).to_parquet("runs.parquet")
    assert told(capsys, "show", "t.parquet")["kind"] == "table of sketches"
    assert told(capsys, "show", "runs.parquet")["runs"] == 5


def test_standard_input_is_of_any_kind(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def given(path: str) -> None:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(Path(path).read_bytes())))

    for path, what in (("runs.npz", "runs"), ("s.npz", "sketches"), ("spec.json", "specification")):
        given(path)
        assert told(capsys, "show", "-")["kind"] == what
    given("s.npz")
    assert call("diff", "runs.npz", "-", "--index", 0) == 0
    given("runs.npz")
    assert [hit["sketch"] for hit in told(capsys, "nearest", "s.npz", "--query", "-", "-k", 1)] == list(range(5))


# ---------------------------------------------------------------- runs


@pytest.fixture
def traces(here: Path) -> rs.TraceBatch:
    Path("traces").mkdir()
    text = "\n".join(json.dumps(d) for d in shop_traces(8, seed=1))
    Path("traces", "a.jsonl").write_text(text)
    Path("t.json.gz").write_bytes(gzip.compress(text.encode()))
    runs = read_otlp("traces").runs
    Path("shop.json").write_text(rs.SketchSpec.fitted(runs).to_json())
    return runs


@pytest.mark.filterwarnings("default:traces left out")
def test_traces_are_sketched_as_they_are(
    traces: rs.TraceBatch, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder, a file, gzipped, or a stream; what is no trace is told of, and the exit code is 1."""
    spec = rs.SketchSpec.from_json(Path("shop.json").read_text())
    wanted = rs.Sketcher(spec).sketch(traces)
    for given in ("traces", "traces/a.jsonl", "t.json.gz", "-"):
        content = Path("t.json.gz" if given == "-" else "traces/a.jsonl").read_bytes()
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
        assert call("sketch", given, "out.npz", "--spec", "shop.json") == 0
        with np.load("out.npz") as found:
            np.testing.assert_array_equal(found["sketches"], wanted)
    assert call("fit", "traces", "new.json") == 0
    assert rs.SketchSpec.from_json(Path("new.json").read_text()) == spec
    assert "wanted runs, which `recsketch capture` makes" in refused(
        capsys, "sketch", "traces", "folder", "--spec", "shop.json"
    )
    with open("traces/a.jsonl", "a") as file:
        file.write("\n{\x1b[2J\n")
    capsys.readouterr()
    assert call("sketch", "traces", "out.npz", "--spec", "shop.json") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("recsketch sketch: left out: ")
    assert "\x1b" not in line
    with np.load("out.npz") as found:
        assert len(found["sketches"]) == 8
    assert call("fit", "traces", "new.json") == 0
    assert capsys.readouterr().err.startswith("recsketch fit: warning: traces left out: ")


def test_what_was_done_is_told_as_json(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert told(capsys, "sketch", "runs.npz", "o.npz", "--spec", "spec.json") == {
        "sketches": 5,
        "dim": 256,
        "left_out": 0,
    }
    assert told(capsys, "fit", "runs.npz", "f.json", "--dim", 512) == {"runs": 5, "modules": 2, "dim": 512}
    assert told(capsys, "pack", "o.npz", "p.npz") == {"rows": 5, "dtype": "float16", "bytes": 5 * (512 + 12)}
    assert told(capsys, "add", "kept", "runs.npz", "--spec", "spec.json") == {"added": 5, "runs": 5}
    assert told(capsys, "add", "kept", "runs.npz") == {"added": 5, "runs": 10}
    assert told(capsys, "export", "kept", "all.npz") == {"runs": 10}
    assert set(told(capsys, "compact", "kept")) == {"freed"}
    found = told(capsys, "graph", "kept", "g.json")
    graph = json.loads(Path("g.json").read_text())
    assert found == {"nodes": len(graph["nodes"]), "edges": len(graph["edges"])}


def test_runs_of_folders(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Files of runs at any depth, or what a TraceWriter wrote; never sketches."""
    Path("in/deep").mkdir(parents=True)
    made(2).save("in/a.npz")
    made(3, seed=1).save("in/deep/b.npz")
    assert read_runs("in") == rs.TraceBatch.concat([made(2), made(3, seed=1)])
    with rs.TraceWriter("written") as writer:
        writer.append(list(made(4)))
    assert read_runs("written") == made(4)
    assert told(capsys, "show", "written")["runs"] == 4
    Path("empty").mkdir()
    assert "empty: wanted runs, in .npz, .parquet, .pq, or traces in JSON" in refused(capsys, "fit", "empty", "x.json")
