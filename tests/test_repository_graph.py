"""The knowledge graph: what it holds follows from what is stored, survives crashes, and can be read by others."""

from __future__ import annotations

import base64
import hashlib
import html.parser
import io
import json
import random
import re
import shutil
import sqlite3
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import crashes
import numpy as np
import pytest
from crashes import CrashDisk, lost
from repositories import SPEC, D, contents, rows, run

import recsketch as rs
from recsketch.repository import tables
from recsketch.repository.graph import linking

HOSTILE = (
    "</script><script>alert(1)</script>",
    "<!-- <b onclick='x()'>&amp;",
    "quote\"s ' and \\x01",
    "control \x01\x1b\x7f\x85 \t\r\n end",
    "right\u202eto left \u2028\ufffe\uffff",
    "\U0001f600 ü/0.1",
    "@DATA@ @SCRIPT@ @HASH@",
    "object:a/0",
)


@pytest.fixture
def repository(folder: Path) -> Any:
    with rs.SketchRepository.open(folder / "r", SPEC, mode="a") as found:
        yield found


def edges(graph: rs.Graph, kind: int) -> list[tuple[str, str, float]]:
    """Names of both ends and the value, of edges of one kind."""
    at = graph.edge_kinds == kind
    ends = (graph.nodes[x[at]].tolist() for x in (graph.sources, graph.targets))
    return sorted(zip(*ends, graph.values[at].tolist(), strict=True))


def similar(graph: rs.Graph) -> dict[str, dict[str, float]]:
    """Runs and the contrasts of those that are like them."""
    found: dict[str, dict[str, float]] = {}
    for source, target, contrast in edges(graph, graph.SIMILAR):
        found.setdefault(source.removeprefix("run:"), {})[target.removeprefix("run:")] = contrast
    return found


# ---------------------------------------------------------------- what runs are made of


def small() -> rs.Trace:
    """An eye that uses one ear twice, has another whose weight is zero, and stands beside a third as an output."""
    trace = rs.Trace()
    a, b, c = (trace.add("ear", [i, 1, 0]) for i in range(3))
    eye = trace.add("eye", [1, 2], [a, b, a, c], [1, 0, 2, 1])
    trace.add("ear", [9, 9, 9])  # no output has it
    trace.outputs([eye, c], [3, 1])
    return trace


def test_a_run_by_hand(repository: Any) -> None:
    repository.add(small(), "one", objects=True)
    repository.add(run(1), "two")  # its objects are not kept
    graph = repository.graph(k=0)
    assert graph.nodes.tolist() == [
        *("run:one", "run:two", "object:one/0.0", "object:one/1", "object:one/0"),
        *("module:eye", "module:ear"),
    ]
    assert graph.node_kinds.tolist() == [0, 0, 1, 1, 1, 2, 2]
    inputs = graph.edge_kinds == graph.INPUT
    names = zip(*(graph.nodes[x[inputs]] for x in (graph.sources, graph.targets)), strict=True)
    found = sorted(zip(names, graph.positions[inputs], graph.values[inputs], strict=True))
    assert found == [
        (("object:one/0", "object:one/0.0"), 0, 0.25),
        (("object:one/0", "object:one/0.0"), 1, 0.5),  # the input of weight zero has no position
        (("object:one/0", "object:one/1"), 2, 0.25),
        (("run:one", "object:one/0"), 0, 0.75),
        (("run:one", "object:one/1"), 1, 0.25),
    ]
    assert edges(graph, graph.INSTANCE_OF) == [
        ("object:one/0", "module:eye", 1.0),
        ("object:one/0.0", "module:ear", 1.0),
        ("object:one/1", "module:ear", 1.0),
    ]
    assert set(graph.positions[~inputs]) == {-1}
    assert np.isnan(graph.scores).all()
    assert str(graph) == "Graph: 2 runs, 3 objects, 2 modules; 5 INPUT, 3 INSTANCE_OF, 0 SIMILAR"
    assert graph == repository.graph(k=0)
    assert graph.number("two") == 1
    assert repository.check().ok


def test_counts_are_as_they_were_given(folder: Path) -> None:
    spec = SPEC.replace(weighting="count", spread=0)
    with rs.SketchRepository.open(folder / "r", spec, mode="a") as r:
        r.add(small(), "one", objects=True)
        graph = r.graph()
    weights = graph.values[graph.edge_kinds == graph.INPUT]
    assert sorted(weights) == [1, 1, 1, 2, 3]


def test_what_is_read_from_a_sketch_is_what_the_run_had(folder: Path) -> None:
    """At a load of a tenth, d = 256, unrolling is exact: these runs are read whole, or this fails for these seeds."""
    spec = rs.SketchSpec(256, {"eye": 2, "ear": 3})
    runs, keys = [run(i) for i in range(5)], [f"run {i}" for i in range(5)]
    with rs.SketchRepository.open(folder / "a", spec, mode="a") as a:
        a.add(runs, keys, objects=True)
        want = a.graph(k=0)
    with rs.SketchRepository.open(folder / "b", spec, mode="a") as b:
        b.add(rs.Sketcher(spec).sketch(runs), keys, objects=True)
        got = b.graph(k=0)
    assert sorted(got.nodes) == sorted(want.nodes)
    assert [e[:2] for e in edges(got, got.INPUT)] == [e[:2] for e in edges(want, want.INPUT)]
    weights = [np.array([e[2] for e in edges(g, g.INPUT)]) for g in (got, want)]
    assert np.abs(weights[0] - weights[1]).max() < 1e-3
    probabilities = got.values[got.edge_kinds == got.INSTANCE_OF]
    assert 0.5 < probabilities.min() <= probabilities.max() <= 1


def test_an_object_whose_user_is_doubtful_is_kept_without_it(monkeypatch: pytest.MonkeyPatch, repository: Any) -> None:
    monkeypatch.setattr("recsketch.repository.given.SURE", 0.5)
    sketch = rs.Sketcher(SPEC).sketch(run(1))
    read = repository._sketchers.of(True).unroll(sketch)
    doubtful = max(range(len(read.objects)), key=lambda i: len(read.objects[i].inputs))
    from dataclasses import replace

    objects = tuple(replace(o, confidence=0.1 if i == doubtful else 0.9) for i, o in enumerate(read.objects))
    monkeypatch.setattr(rs.Sketcher, "unroll", lambda *_: [replace(read, objects=objects)])
    repository.add(sketch, "one", objects=True)
    graph = repository.graph()
    assert edges(graph, graph.INPUT) == []
    assert len(edges(graph, graph.INSTANCE_OF)) == len(objects) - 1 > 0
    assert repository.check().ok


# ---------------------------------------------------------------- which runs are alike


def sure(path: Path, r: rs.SketchRepository) -> None:
    """The nearest are those by brute force in float64, with the mean that the index has.

    Contrasts in float32 are off by at most (d + 8) 2^-24 = 4.3e-6 at d = 64, since all norms are 1; where two differ by
    less, either may be kept.
    """
    with sqlite3.connect(path / tables.NAME) as db:
        line = db.execute("SELECT mean FROM centre").fetchone()
    db.close()
    keys = [*r]
    u = np.array([r.get(key).sketch for key in keys], np.float64)
    u /= np.linalg.norm(u, axis=1, keepdims=True)
    y = u - np.frombuffer(line[0], "<f4")
    y /= np.linalg.norm(y, axis=1, keepdims=True)
    contrast, score = y @ y.T, u @ u.T
    np.fill_diagonal(contrast, -np.inf)
    graph = r.graph(k=10, least=-1)
    found = similar(graph)
    at = {key: i for i, key in enumerate(keys)}
    for i, key in enumerate(keys):
        want = np.sort(contrast[i])[::-1][: min(10, len(keys) - 1)]
        got = np.array(sorted(found.get(key, {}).values(), reverse=True))
        assert np.abs(got - want).max(initial=0) < 1e-5, key
        assert all(abs(contrast[i, at[other]] - value) < 1e-5 for other, value in found.get(key, {}).items())
    alike = graph.edge_kinds == graph.SIMILAR
    pairs = [[at[name[4:]] for name in graph.nodes[x[alike]]] for x in (graph.sources, graph.targets)]
    assert np.abs(graph.scores[alike] - score[tuple(pairs)]).max(initial=0) < 1e-5


def test_the_nearest_are_those_of_brute_force_whatever_came_and_went(folder: Path) -> None:
    """Runs come one by one and many at once, before and after graphs were made; some are changed, some deleted."""
    path, rng = folder / "r", np.random.default_rng(0)
    common = rng.standard_normal(D)

    def more(n: int) -> Any:
        return (rng.standard_normal((n, D)) + common).astype(np.float32)

    r = rs.SketchRepository.open(path, SPEC, mode="a")
    for step in range(36):
        if step % 3 == 0:
            r.add(more(int(rng.integers(1, 12))))
        elif step % 3 == 1:
            r.add(more(1)[0])
        keys = [*r]
        if step % 4 == 3:
            r.delete([keys[i] for i in rng.choice(len(keys), 2, replace=False)])
        if step % 5 == 4:
            r.update(keys[-1] if keys[-1] in r else next(iter(r)), more(1)[0])
        if step % 7 == 6:
            r.close()
            r = rs.SketchRepository.open(path, SPEC, mode="a")
        if step == 20:
            r.compact()
        if step % 2:
            r.graph()
            sure(path, r)
            assert r.check().ok, r.check()
    assert len(r) > 60
    r.close()


@pytest.mark.parametrize("dtype", ["float32", "int8+float16"])
def test_the_nearest_are_those_of_related(folder: Path, dtype: str) -> None:
    """Where nothing came since links were made, both have one mean. Contrasts of 40 rows, of which four a kind, of
    norm one at d = 64: none but equal ones differ by less than 1e-5 for these seeds."""
    base, x = rows(10, 1), rows(40, 2)
    x = (np.repeat(base, 4, axis=0) + x / 2).astype(np.float32)
    x[7] = 0  # has no direction
    x[8] = x[9]
    with rs.SketchRepository.open(folder / "r", SPEC, mode="a", dtype=dtype) as r:
        r.add(x)
        found = similar(r.graph(k=3, least=0.2))
        for key in r:
            want = {hit.key: hit for hit in r.related(key, 3) if hit.contrast >= 0.2}
            assert found.get(key, {}).keys() == want.keys()
            assert all(abs(want[other].contrast - value) < 1e-5 for other, value in found.get(key, {}).items())
        assert "run-00000007" not in found
        assert found["run-00000008"]["run-00000009"] > 0.9999
        assert len(found) == 39


def test_links_are_found_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that comes is compared with all; those whose nearest one went are compared anew; the others are let be,
    until there are twice as many rows."""
    asked: list[int] = []
    real = linking.Links.find
    monkeypatch.setattr(linking.Links, "find", lambda self, due: asked.append(len(due)) or real(self, due))

    def compared(r: rs.SketchRepository) -> int:
        asked.clear()
        r.graph()
        return sum(asked)

    with rs.SketchRepository.open(folder / "r", SPEC, mode="a") as r:
        r.add(rows(70))
        assert [compared(r), compared(r)] == [70, 0]
        r.add(rows(1, 1), ["new"])
        assert compared(r) == 1
        knew = sum("new" in near for near in similar(r.graph(k=10, least=-1)).values())
        r.delete("new")
        assert 0 < knew < 30
        assert compared(r) == knew
        r.update("run-00000003", metadata={"a": 1})
        assert compared(r) == 0
        r.compact()
        assert compared(r) == 70  # the mean knew what was deleted
        r.compact()
        assert compared(r) == 0
        r.add(rows(57, 2))
        assert compared(r) == 57
        r.add(rows(1, 3))  # 128
        assert compared(r) == 128
    with rs.SketchRepository.open(folder / "r") as r:
        assert compared(r) == 0


def test_a_reader_finds_links_and_keeps_none(folder: Path) -> None:
    with rs.SketchRepository.open(folder / "r", SPEC, mode="a") as r:
        r.add(rows(30))
        r.graph()
        r.add(rows(3, 1))
    index = folder / "r" / tables.NAME
    before = index.read_bytes()
    with rs.SketchRepository.open(folder / "r") as reader:
        found = reader.graph(k=10, least=-1)
    assert index.read_bytes() == before
    with rs.SketchRepository.open(folder / "r", mode="a") as r:
        assert r.graph(k=10, least=-1) == found
    assert index.read_bytes() != before


def test_many_are_linked_in_several_transactions(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as fit into memory, in blocks of a few rows here."""
    monkeypatch.setattr(linking, "TOGETHER", 16)
    monkeypatch.setattr(linking, "MANY", 8 * D)
    monkeypatch.setattr("recsketch.repository.writing.FULL", 16 * 4 * D)
    with rs.SketchRepository.open(folder / "r", SPEC, mode="a") as r:
        r.add(rows(50))
        sure_of = r.graph(k=10, least=-1)
        sure(folder / "r", r)
    with rs.SketchRepository.open(folder / "r") as r:
        assert r.graph(k=10, least=-1) == sure_of


def test_chosen_runs_alone(repository: Any) -> None:
    """Links are those of the whole, between chosen runs."""
    repository.add([run(i) for i in range(20)], metadata=[{"n": i} for i in range(20)], objects=True)
    whole, part = repository.graph(k=10, least=-1), repository.graph(k=10, least=-1, where={"n": {"<": 8}})
    keys = [key for key in repository if repository.get(key).metadata["n"] < 8]
    assert part.nodes[part.node_kinds == part.RUN].tolist() == [f"run:{key}" for key in keys]
    assert (part.node_kinds == part.OBJECT).sum() == 24
    want = {a: {b: c for b, c in near.items() if b in keys} for a, near in similar(whole).items() if a in keys}
    assert similar(part) == {a: near for a, near in want.items() if near}
    assert repository.graph(where={"n": 100}).nodes.tolist() == []
    assert repository.graph(k=0).edge_kinds.max() == part.INSTANCE_OF


# ---------------------------------------------------------------- what is gone, what survives


def test_nothing_is_left_of_what_was_deleted(folder: Path) -> None:
    """Nodes and edges go at once; in the files no table names its rows after `compact`."""
    with rs.SketchRepository.open(folder / "r", SPEC, mode="a") as r:
        r.add([run(i) for i in range(12)], [f"key {i}" for i in range(11)] + ["SECRET-KEY"], objects=True)
        r.graph()
        with sqlite3.connect(folder / "r" / tables.NAME) as db:
            gone = {x for (x,) in db.execute("SELECT row FROM runs WHERE key IN ('SECRET-KEY', 'key 3')")}
            gone |= {x for row in gone for (x,) in db.execute("SELECT row FROM objects WHERE run = ?", (row,))}
            blob = db.execute("SELECT edges FROM inputs WHERE run = 11").fetchone()[0]
            mean = db.execute("SELECT mean FROM centre").fetchone()[0]
        db.close()
        assert len(gone) == 8
        r.delete("SECRET-KEY")
        r.update("key 3", rows(1)[0])
        graph = r.graph(k=10, least=-1)
        assert not any("SECRET" in name or name.startswith("object:key 3/") for name in graph.nodes)
        assert len(graph.nodes) == 11 + 30 + 2
        assert mean in contents(folder / "r")
        r.compact()
        data = contents(folder / "r")
        assert not any(secret in data for secret in (b"SECRET-KEY", blob, mean))
        r.graph()
        with sqlite3.connect(folder / "r" / tables.NAME) as db:
            named = {x for (x,) in db.execute("SELECT run FROM inputs UNION SELECT run FROM near")}
            for table, form in (("inputs", linking.edges.INPUT), ("near", linking.edges.NEAR)):
                for (part,) in db.execute(f"SELECT edges FROM {table}"):
                    found = np.frombuffer(part, form)
                    named |= {int(x) for name in ("user", "input", "run") if name in form.names for x in found[name]}
        db.close()
        assert not gone & named
        assert r.check().ok


STEPS: tuple[crashes.Step, ...] = (
    lambda r: r.add([run(1), run(2), run(3)], ["a", "b", "c"], objects=True),
    lambda r: r.add(rows(6, 1)),
    lambda r: r.graph(),
    lambda r: r.add(rows(1, 2)),
    lambda r: r.graph(),
    lambda r: r.delete("a"),
    lambda r: r.graph(),
    lambda r: r.compact(),
    lambda r: r.graph(),
)


def with_graph(r: rs.SketchRepository) -> Any:
    """All that a repository says it has, and the graph as a reader finds it."""
    with rs.SketchRepository.open(r.path) as reader:
        graph = reader.graph(k=10, least=-1)
    named = [sorted((*e[:2], round(e[2], 4)) for e in edges(graph, kind)) for kind in range(3)]
    return {**crashes.content(r), "nodes": sorted(graph.nodes), "edges": named} if len(graph.nodes) else {}


@pytest.mark.filterwarnings("ignore::recsketch.RepositoryWarning")
def test_a_crash_loses_no_edge(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a crash the graph is that of the runs that are there, whether links were stored, or half of them were.

    Contrasts are compared to four decimals; they differ in the seventh where they were found in another order. Below 16
    rows means are of the same rows whenever they are computed. Seeds are fixed.
    """
    monkeypatch.setattr("recsketch.repository.writing.FULL", 8 * 4 * SPEC.dim)
    monkeypatch.setattr(linking, "TOGETHER", 4)
    monkeypatch.setattr(crashes, "reopened", reopened)
    states, problems = lost(folder / "r", CrashDisk(folder / "r", 0, 1), 10_000, STEPS, with_graph)
    assert not problems, problems
    assert states > 350


def reopened(image: crashes.Image, folder: Path, look: crashes.Look, spec: rs.SketchSpec) -> Any:
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    for name, data in image.items():
        (folder / name).write_bytes(data)
    with rs.SketchRepository.open(folder, spec, mode="a") as r:
        found = look(r)
        r.graph()  # what a reader found without storing is what is stored
        assert look(r) == found
        assert r.check().ok, r.check()
    return found


def test_no_flipped_bit_makes_another_graph(folder: Path) -> None:
    """400 bits of the index, of a seed: each is refused, told of by `check`, or harmless."""
    with rs.SketchRepository.open(folder / "whole", SPEC, mode="a") as r:
        r.add([run(i) for i in range(9)], [f"key {i}" for i in range(9)], objects=True)
        right = r.graph(k=10, least=-1)
    with sqlite3.connect(folder / "whole" / tables.NAME, isolation_level=None) as db:  # pages with less empty room
        for pragma in ("journal_mode=DELETE", "page_size=512"):
            db.execute(f"PRAGMA {pragma}")
        db.execute("VACUUM")
        db.execute("PRAGMA journal_mode=WAL")
    db.close()
    shutil.copytree(folder / "whole", folder / "copy")
    data, rng = (folder / "whole" / tables.NAME).read_bytes(), random.Random(0)
    found = {"refused": 0, "told": 0, "harmless": 0}
    for bit in rng.sample(range(8 * len(data)), 400):
        spoilt = bytearray(data)
        spoilt[bit // 8] ^= 1 << bit % 8
        (folder / "copy" / tables.NAME).write_bytes(spoilt)
        try:
            with rs.SketchRepository.open(folder / "copy") as r:
                told = not r.check().ok
                same = r.graph(k=10, least=-1) == right
        except (ValueError, OSError):
            found["refused"] += 1
            continue
        assert same or told, bit
        found["told" if told else "harmless"] += 1
    assert min(found.values()) > 8, found


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("DELETE FROM inputs WHERE run = 1", "wanted uses of the objects of all runs that are there; got others"),
        ("UPDATE inputs SET run = 100 WHERE run = 1", "wanted edges as it was written"),
        ("UPDATE near SET edges = zeroblob(16) WHERE run = 1", "wanted edges as it was written"),
        ("DELETE FROM centre", "wanted links of runs that are there, and their mean; got others"),
        ("UPDATE centre SET mean = zeroblob(256)", "wanted the mean of links as it was written"),
    ],
)
def test_lost_and_changed_lines_are_told_of(folder: Path, statement: str, problem: str) -> None:
    with rs.SketchRepository.open(folder / "r", SPEC, mode="a") as r:
        r.add([run(i) for i in range(9)], objects=True)
        r.graph()
    with sqlite3.connect(folder / "r" / tables.NAME) as db:
        assert db.execute(statement).rowcount == 1
    db.close()
    with rs.SketchRepository.open(folder / "r") as r:
        assert problem in str(r.check())
        if "DELETE FROM centre" not in statement:  # without it links are found anew
            with pytest.raises(rs.RepositoryDamaged):
                r.graph()


def test_a_damaged_sketch_has_no_links(folder: Path) -> None:
    with rs.SketchRepository.open(folder / "r", SPEC, mode="a") as r:
        r.add(rows(9))
    path = folder / "r" / "00000001.rows"
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with rs.SketchRepository.open(folder / "r", mode="a") as r:
        with pytest.raises(rs.RepositoryDamaged, match="wanted row 8 as it was written; got other bytes"):
            r.graph()
        assert r.graph(k=0).nodes.tolist() == [f"run:{key}" for key in r]


# ---------------------------------------------------------------- forms that others read


@pytest.fixture
def hostile(repository: Any) -> rs.Graph:
    repository.add([run(i) for i in range(len(HOSTILE))], HOSTILE, objects=True)
    found: rs.Graph = repository.graph(least=-1)
    return found


def test_networkx(hostile: rs.Graph) -> None:
    networkx = pytest.importorskip("networkx")
    made = hostile.to_networkx()
    assert type(made) is networkx.MultiDiGraph
    assert list(made) == hostile.nodes.tolist()
    assert made.number_of_edges() == len(hostile.sources)
    assert made.nodes["object:object:a/0/0.1"] == {"kind": "object"}
    assert made.edges["object:object:a/0/0", "object:object:a/0/0.1", "INPUT/1"] == {
        "kind": "INPUT",
        "weight": 0.5,
        "position": 1,
    }
    about = next(about for *_, key, about in made.edges(keys=True, data=True) if key == "SIMILAR")
    assert set(about) == {"kind", "contrast", "score"}
    again = networkx.node_link_graph(json.loads(hostile.to_json()), edges="edges")
    assert networkx.utils.graphs_equal(made, again)


def test_edges_between_the_same_two_are_told_apart(repository: Any) -> None:
    networkx = pytest.importorskip("networkx")
    repository.add(small(), "one", objects=True)
    graph = repository.graph()
    for made in (graph.to_networkx(), networkx.node_link_graph(json.loads(graph.to_json()), edges="edges")):
        found = made.get_edge_data("object:one/0", "object:one/0.0")
        assert {key: about["weight"] for key, about in found.items()} == {"INPUT/0": 0.25, "INPUT/1": 0.5}


def test_without_networkx(hostile: rs.Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "networkx", None)
    with pytest.raises(ImportError, match=r"^to_networkx: wanted networkx, of pip install 'recsketch\[graph\]'; got"):
        hostile.to_networkx()


def test_json(hostile: rs.Graph) -> None:
    found = json.loads(hostile.to_json())
    assert (found["directed"], found["multigraph"]) == (True, True)
    assert [node["id"] for node in found["nodes"]] == hostile.nodes.tolist()
    keys = [(e["source"], e["target"], e["key"]) for e in found["edges"]]
    assert len(set(keys)) == len(keys) == len(hostile.sources)


def test_graphml(hostile: rs.Graph, folder: Path) -> None:
    """XML that parsers take, from which names come back; backslashes are doubled, what XML cannot hold is escaped."""
    hostile.to_graphml(folder / "x.graphml")
    root = ET.parse(folder / "x.graphml").getroot()
    space = {"g": "http://graphml.graphdrawing.org/xmlns"}
    names = [e.find("g:data[@key='name']", space).text for e in root.iterfind(".//g:node", space)]  # type: ignore[union-attr]

    def plain(text: str) -> str:
        return re.sub(r"\\(\\|x..|u....)", lambda m: "\\" if m[1] == "\\" else chr(int(m[1][1:], 16)), text)

    assert [plain(name or "") for name in names] == hostile.nodes.tolist()
    assert len(set(names)) == len(names)
    assert "run:quote\"s ' and \\\\x01" in names
    assert len(root.findall(".//g:edge", space)) == len(hostile.sources)
    declared = {e.get("id") for e in root.iterfind("g:key", space)}
    assert {e.get("key") for e in root.iterfind(".//g:data", space)} == declared
    networkx = pytest.importorskip("networkx")
    read = networkx.read_graphml(folder / "x.graphml", force_multigraph=True)
    assert read.number_of_edges() == len(hostile.sources)
    assert [read.nodes[f"n{i}"]["name"] for i in range(len(names))] == names
    weights = [about["weight"] for *_, about in read.edges(data=True) if about["kind"] == "INPUT"]
    assert sorted(weights) == sorted(hostile.values[hostile.edge_kinds == hostile.INPUT])


class Page(html.parser.HTMLParser):
    """Elements of a page, and the text of its scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, Any]]] = []
        self.open: list[str] = []
        self.scripts: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in ("meta", "input", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.scripts.append(data)


def page(graph: rs.Graph, *arguments: Any) -> tuple[Page, Any]:
    file = io.BytesIO()
    graph.to_html(file, *arguments)
    found = Page(file.getvalue().decode())
    return found, json.loads(found.scripts[0])


def test_a_page_is_one_file_in_which_names_are_data(hostile: rs.Graph) -> None:
    """Two scripts: names, in which none can end the script, and the program, which alone the page allows to run."""
    found, data = page(hostile)
    assert [tag for tag, _ in found.elements].count("script") == len(found.scripts) == 2
    assert not any(name.startswith("on") or name in ("src", "href") for _, about in found.elements for name in about)
    (policy,) = (about["content"] for tag, about in found.elements if "http-equiv" in about)
    digest = base64.b64encode(hashlib.sha256(found.scripts[1].encode()).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    assert re.findall(r"https?://[\w./]*", "".join(found.scripts)) == ["http://www.w3.org/2000/svg"]
    assert not re.search("innerHTML|outerHTML|insertAdjacent|document.write|eval|Function", found.scripts[1])
    assert "<" not in found.scripts[0]
    assert all(text.isprintable() for text in (*data["names"], *data["labels"], data["about"]))
    assert len(data["names"]) == len(hostile.nodes)
    assert "run:</script><script>alert(1)</script>" in data["names"]
    first = data["names"].index("object:object:a/0/0.1")
    assert data["labels"][first] == "ear at 0.1"
    assert data["labels"][data["owners"][first]] == "object:a/0"
    assert (data["sources"], data["targets"]) == (hostile.sources.tolist(), hostile.targets.tolist())


def test_a_page_of_the_nearest(repository: Any) -> None:
    """Of 80 runs 40 nodes: the run with its objects first, then those like it with theirs. Modules lead nowhere."""
    repository.add([run(i) for i in range(80)], [f"key {i:02d}" for i in range(80)], objects=True)
    graph = repository.graph(k=3, least=-1)
    _, data = page(graph, "key 33", 40)
    assert len(data["names"]) == 40
    assert data["names"][data["first"]] == "run:key 33"
    assert {f"object:key 33/{path}" for path in ("0", "0.0", "0.1")} <= set(data["names"])
    assert {f"run:{key}" for key in similar(graph)["key 33"]} <= set(data["names"])
    assert "Here are the 40 nodes nearest to run:key 33" in data["about"]
    assert max(data["sources"] + data["targets"]) < 40
    objects = [i for i, name in enumerate(data["names"]) if name.startswith("object:")]
    assert all(data["names"][data["owners"][i]].startswith("run:") for i in objects if data["owners"][i] >= 0)
    assert min(data["owners"][i] for i in objects) >= 0
    everything = page(graph, "key 33")[1]
    assert everything["names"] == graph.nodes.tolist()
    assert everything["first"] == graph.number("key 33")
    assert page(graph, None, 1)[1]["names"] == ["run:key 00"]


def test_the_script_can_be_parsed(tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("there is no node")
    script = Path(linking.__file__).with_name("page.js")
    subprocess.run([node, "--check", str(script)], check=True)


def test_an_empty_graph(repository: Any, folder: Path) -> None:
    graph = repository.graph()
    assert str(graph) == "Graph: empty; 0 INPUT, 0 INSTANCE_OF, 0 SIMILAR"
    assert page(graph)[1]["names"] == []
    assert json.loads(graph.to_json())["nodes"] == []
    graph.to_graphml(folder / "x.graphml")
    ET.parse(folder / "x.graphml")
    repository.add(rows(1), ["one"])
    assert similar(repository.graph(least=-1)) == {}


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"k": -1}, "k: wanted an integer from 0 to 10; got -1"),
        ({"k": 11}, "k: wanted an integer from 0 to 10; got 11"),
        ({"k": 2.0}, "k: wanted an integer"),
        ({"least": 1.5}, "least: wanted a number from -1 to 1; got 1.5"),
        ({"least": "a"}, "least: wanted a number from -1 to 1; got 'a'"),
        ({"least": float("nan")}, "least: wanted a number from -1 to 1; got nan"),
        ({"where": 3}, "where: wanted"),
    ],
)
def test_what_graph_refuses(repository: Any, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=f"^{message}"):
        repository.graph(**arguments)


def test_what_a_page_refuses(hostile: rs.Graph, folder: Path) -> None:
    with pytest.raises(KeyError, match="key: wanted one of the graph's; got 'nobody'"):
        hostile.to_html(folder / "x.html", "nobody")
    with pytest.raises(ValueError, match=r"^most: wanted an integer from 1"):
        hostile.to_html(folder / "x.html", most=0)
    assert not (folder / "x.html").exists()


def test_runs_are_instances_of_their_concepts(tmp_path: Path) -> None:
    """Two kinds of rows, nine deviations apart in every coordinate: `members` says which run is of which."""
    spec = SPEC.replace(ordered=False)
    rng = np.random.default_rng(0)
    kinds = np.array([[9.0], [-9.0]]) * np.ones(D)
    rows = (kinds[rng.integers(0, 2, 520)] + rng.standard_normal((520, D))).astype(np.float32)
    with rs.SketchRepository.open(tmp_path / "r", spec, mode="a", concepts=True) as r:
        keys = r.add(rows)
        r.delete(keys[:3])
        graph, concepts = r.graph(), r.concepts()
        some = r.graph(where=None, k=0)
    names = graph.nodes
    edges = zip(graph.sources, graph.targets, graph.edge_kinds, strict=True)
    found = [(names[s], names[t]) for s, t, kind in edges if kind == graph.INSTANCE_OF]
    wanted = [(f"run:{key}", f"concept:{c.id}") for c in concepts for key in c.members]
    assert len(concepts) == 2
    assert sorted(found) == sorted(wanted)
    assert (graph.node_kinds == graph.CONCEPT).sum() == 2
    assert str(some) == f"Graph: 517 runs, 2 concepts; 0 INPUT, {len(wanted)} INSTANCE_OF, 0 SIMILAR"
