"""The subcommands of a repository: what they say, and that errors are one line and exit code 2."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from repositories import SPEC, run

import recsketch as rs
from recsketch.cli.main import main


@pytest.fixture
def saved(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Ten runs, their specification and metadata, in files; commands run beside them."""
    monkeypatch.chdir(folder)
    rs.TraceBatch.from_traces([run(i) for i in range(10)]).save("runs.npz")
    Path("spec.json").write_text(SPEC.to_json())
    lines = [json.dumps({"key": f"page {i}", "year": 2000 + i, "kind": "ab"[i % 2]}) for i in range(10)]
    Path("about.jsonl").write_text("\n".join(lines))
    return folder


def call(*arguments: Any) -> int:
    return main([str(a) for a in arguments])


def test_a_repository_from_the_command_line(saved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("add", "pages", "runs.npz", "--spec", "spec.json", "--metadata", "about.jsonl", "--objects") == 0
    assert capsys.readouterr().out == "pages: 10 runs added, 10 in all\n"
    assert call("add", "pages", "runs.npz", "--spec", "spec.json") == 0
    assert capsys.readouterr().out == "pages: 10 runs added, 20 in all\n"
    with rs.SketchRepository.open("pages", mode="a") as r:
        assert np.array_equal(r.get("page 3").sketch, rs.Sketcher(SPEC).sketch(run(3)))
        assert r.get("page 3").metadata == {"year": 2003, "kind": "b"}
        assert r.search_objects("ear", run(3).objects[0].attribute, 1)[0].key == "page 3"
        r.delete([key for key in r if key.startswith("run-")])
    assert call("compact", "pages") == 0
    assert capsys.readouterr().out.endswith(" bytes freed\n")
    assert call("check", "pages") == 0
    assert capsys.readouterr().out.startswith("pages: whole: 10 runs, 50 rows, ")
    assert call("check", "pages", "--json") == 0
    assert json.loads(capsys.readouterr().out)["ok"] is True
    assert call("export", "pages", "--out", "all.npz") == 0
    assert capsys.readouterr().out == "all.npz: 10 runs\n"
    with rs.SketchRepository.open("again", SPEC, mode="a") as again:
        assert again.import_("all.npz") == [f"page {i}" for i in range(10)]
    pytest.importorskip("pyarrow")
    assert call("export", "pages", "--out", "all.parquet") == 0
    assert Path("all.parquet").read_bytes().startswith(b"PAR1")


def test_sketches_of_a_folder_are_kept_under_their_ids(saved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [run(i) for i in range(10)]
    for k, part in enumerate((runs[:6], runs[6:])):
        ids = [f"run {6 * k + i}" for i in range(len(part))]
        rs.TraceBatch.from_traces(part, ids=ids).save(f"part{k}.npz")
    folder = ("sketch", "part0.npz", "part1.npz", "sketches", "--spec", "spec.json", "--form", "npz", "--workers", 1)
    assert call(*folder, "--dtype", "float32") == 0
    capsys.readouterr()
    assert call("add", "pages", "sketches") == 0
    assert capsys.readouterr().out == "pages: 10 runs added, 10 in all\n"
    with rs.SketchRepository.open("pages") as r:
        assert list(r) == [f"run {i}" for i in range(10)]
        assert np.array_equal(r.get("run 7").sketch, rs.Sketcher(SPEC).sketch(runs[7]))
    assert call("add", "pages", "part0.npz") == 2  # they are there
    assert "run 0" in capsys.readouterr().err
    assert call("add", "again", "sketches", "--metadata", "about.jsonl") == 0
    with rs.SketchRepository.open("again") as r:
        assert r.get("page 7").metadata == {"year": 2007, "kind": "b"}
    pytest.importorskip("pyarrow")
    rs.TraceBatch.from_traces(runs[:2], ids=["a", "b"]).to_parquet("more.parquet")
    assert call("add", "pages", "more.parquet") == 0
    capsys.readouterr()
    assert call("search", "pages", "--query", "more.parquet", "-k", 2, "--json") == 0
    assert {hit["key"] for hit in json.loads(capsys.readouterr().out)} == {"a", "b", "run 0", "run 1"}


def test_concepts_from_the_command_line(saved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("add", "pages", "runs.npz", "--spec", "spec.json", "--concepts") == 0
    capsys.readouterr()
    assert call("concepts", "pages") == 0
    first, header = capsys.readouterr().out.splitlines()
    assert first == "502 more runs wanted before there are concepts"
    assert header.split() == ["concept", "runs", "of", "recent", "ones", "age", "the", "latest"]
    assert call("concepts", "pages", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"warming": 502, "concepts": [], "events": []}
    spec = SPEC.replace(ordered=False)
    rng = np.random.default_rng(0)
    with rs.SketchRepository.open("kinds", spec, mode="a", concepts=True) as r:
        kinds = np.array([[9.0], [-9.0]]) * np.ones(spec.dim)
        r.add((kinds[rng.integers(0, 2, 520)] + rng.standard_normal((520, spec.dim))).astype(np.float32))
        members = [list(c.members) for c in r.concepts()]
    assert call("concepts", "kinds", "--since", 1) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["concept", "0", "1", "1:"]
    assert lines[1].split()[-1] == members[0][-1]
    assert lines[3] == "1: after 512 runs: concept 1 born"
    assert call("concepts", "kinds", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert [c["members"] for c in found["concepts"]] == members
    assert [e["kind"] for e in found["events"]] == ["born", "born"]
    assert call("add", "plain", "runs.npz", "--spec", "spec.json") == 0
    capsys.readouterr()
    assert call("concepts", "plain") == 2
    assert "wanted a repository that was opened with concepts=True" in capsys.readouterr().err


def test_other_commands_do_without_sqlite() -> None:
    code = "import recsketch.cli.main, sys; print([m for m in sys.modules if 'sqlite' in m])"
    quiet = {**os.environ, "SKBUILD_EDITABLE_VERBOSE": "0"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=quiet)
    assert done.stdout.strip() == "[]"


def test_search_from_the_command_line(saved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("add", "pages", "runs.npz", "--spec", "spec.json", "--metadata", "about.jsonl", "--dtype", "int8") == 0
    capsys.readouterr()
    assert call("search", "pages", "--query", "runs.npz", "-k", 2, "--where", '{"kind": "a"}') == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert rows[0] == ["query", "key", "contrast", "score", "metadata"]
    assert len(rows) == 21
    assert rows[1][:3] == ["0", "page", "0"]
    assert call("search", "pages", "--query", "runs.npz", "-k", 1, "--json", "--any-order") == 0
    found = json.loads(capsys.readouterr().out)
    assert [(row["query"], row["key"], row["metadata"]["year"]) for row in found] == [
        (i, f"page {i}", 2000 + i) for i in range(10)
    ]
    assert call("search", "pages", "--like", "page 4", "--json", "-k", 20) == 0
    keys = [row["key"] for row in json.loads(capsys.readouterr().out)]
    assert sorted(keys) == [f"page {i}" for i in range(10) if i != 4]


def test_a_graph_from_the_command_line(saved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call("add", "pages", "runs.npz", "--spec", "spec.json", "--metadata", "about.jsonl", "--objects")
    with rs.SketchRepository.open("pages") as r:
        graph = r.graph(k=2, least=-1)
        capsys.readouterr()
        for name in ("g.html", "g.JSON", "g.graphml"):
            before = Path("pages/index.sqlite").read_bytes()
            assert call("graph", "pages", "-o", name, "-k", 2, "--least", -1) == 0
            assert capsys.readouterr().out == f"{name}: {graph}\n"
            assert Path("pages/index.sqlite").read_bytes() == before
        assert Path("g.JSON").read_text() == graph.to_json()
        graph.to_graphml("again.graphml")
        assert Path("g.graphml").read_bytes() == Path("again.graphml").read_bytes()
        graph = r.graph(k=0, where={"kind": "a"})
    assert (
        call("graph", "pages", "-o", "p.html", "-k", 0, "--where", '{"kind": "a"}', "--key", "page 4", "--most", 9) == 0
    )
    graph.to_html("again.html", "page 4", 9)
    assert Path("p.html").read_bytes() == Path("again.html").read_bytes()
    assert call("graph", "pages", "-o", "g.html", "--keep") == 0
    assert Path("pages/index.sqlite").read_bytes() != before


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["graph", "pages", "-o", "x.txt"], "--out: wanted a name in .html, .json or .graphml; got 'x.txt'"),
        (["graph", "pages", "-o", "x.json", "--key", "page 1"], "--key: wanted a page, --out FILE.html; got 'x.json'"),
        (["graph", "pages", "-o", "x.html", "--key", "nobody"], "--key: wanted a key of the graph; got 'nobody'"),
        (["graph", "pages", "-o", "x.html", "--where", "{"], "--where: wanted JSON; got '{'"),
        (["graph", "pages", "-o", "x.html", "-k", "11"], " -k: wanted an integer from 0 to 10; got 11"),
        (["graph", "nothing", "-o", "x.html"], "wanted a repository to read; got none"),
        (["search", "pages", "--like", "nobody"], "--like: wanted a key of the repository; got 'nobody'"),
        (["search", "pages", "--like", "page 1", "--where", "{"], "--where: wanted JSON; got '{'"),
        (["search", "nothing", "--like", "page 1"], "wanted a repository to read; got none"),
        (["check", "nothing"], "wanted a repository to read; got none"),
        (["add", "pages", "runs.npz", "--metadata", "about.jsonl"], "keys: wanted new ones; got 'page 0', which is"),
        (["add", "new", "runs.npz"], " --spec: wanted a SketchSpec, for a new repository; got None"),
        (
            ["add", "pages", "runs.npz", "--dtype", "float16"],
            " --dtype: wanted the repository's, 'float32'; got 'float16'",
        ),
        (["add", "pages", "runs.npz", "--metadata", "short.jsonl"], "wanted 10 JSON objects, one a line for each run"),
        (["add", "pages", "runs.npz", "--metadata", "some.jsonl"], 'wanted "key" in every line or none; got 1 of 10'),
        (["add", "pages", "runs.npz", "--metadata", "-", "--spec", "-"], "-: wanted one input from standard input"),
    ],
)
def test_errors(saved: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], error: str) -> None:
    assert call("add", "pages", "runs.npz", "--spec", "spec.json", "--metadata", "about.jsonl") == 0
    Path("short.jsonl").write_text('{"a": 1}\n')
    Path("some.jsonl").write_text('{"key": "x"}\n' + '{"a": 1}\n' * 9)
    capsys.readouterr()
    assert call(*arguments) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert error in told.err
    assert told.err.count("\n") == 1


def test_damage_is_exit_code_2(saved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call("add", "pages", "runs.npz", "--spec", "spec.json")
    path = Path("pages/00000001.rows")
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    capsys.readouterr()
    assert call("check", "pages") == 2
    assert "wanted a whole repository; got a damaged one: " in capsys.readouterr().err
    assert call("check", "pages", "--json") == 2
    assert json.loads(capsys.readouterr().out)["ok"] is False
