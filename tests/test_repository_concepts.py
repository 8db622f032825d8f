"""Concepts of a repository: their numbers stay, whatever happens to the process, the machine or the runs."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from crashes import CrashDisk, content, lost
from repositories import D, contents, rows

import recsketch as rs
from recsketch.repository import columns, tables
from recsketch.repository.concepts import emergence
from recsketch.repository.concepts import kept as concepts
from recsketch.repository.concepts.emergence import Emergence
from recsketch.repository.store import SketchRepository

SPEC = rs.SketchSpec(D, {"eye": 2, "ear": 3}, ordered=False)
ORDERED = rs.SketchSpec(D, {"eye": 2, "ear": 3})
DTYPES = ("float32", "float16", "int8", "int8+float16")
FEW = {"SETTLE": 32, "LEAST": 4, "NEAR": 2, "RECENT": 16, "BUFFER": 16, "REVIEW": 10}


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small numbers in the place of large ones, so that much happens among few runs."""
    for name, value in FEW.items():
        monkeypatch.setattr(emergence, name, value)
    monkeypatch.setattr(concepts, "LEAST", FEW["LEAST"])


def sketches(count: int, seed: int = 0, kinds: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Of kinds that lie 20 apart and scatter by 1 in each coordinate, and which is of which kind."""
    centres = np.random.default_rng(5).standard_normal((6, D))
    centres *= 14 / np.linalg.norm(centres, axis=1, keepdims=True)
    rng = np.random.default_rng([6, seed])
    labels = rng.integers(0, kinds, count)
    return (centres[labels] + rng.standard_normal((count, D))).astype(np.float32), labels


def opened(path: Path, spec: rs.SketchSpec | None = SPEC, **options: Any) -> rs.SketchRepository:
    return rs.SketchRepository.open(path, spec, mode="a", concepts=True, **options)


def told(r: rs.SketchRepository) -> Any:
    """All that is said of concepts."""
    return [(c.id, c.members, c.count, c.age, c.growth, c.prototype.tobytes()) for c in r.concepts()], r.events()


def seen(r: rs.SketchRepository) -> dict[str, Any]:
    """`content`, and what is said of concepts, once there are some."""
    found = content(r)
    try:
        known, events = told(r)
    except ValueError:
        return found
    of_keys = {key: r.concept_of(key) for key in found}
    return {**found, "\0concepts": (known, events, of_keys)} if found or events else found


def born(r: rs.SketchRepository) -> list[int]:
    return [e.concept for e in r.events() if e.kind in ("born", "split_from")]


# ---------------------------------------------------------------- what is said


@pytest.mark.parametrize("dtype", DTYPES)
def test_kinds_of_runs_become_concepts(folder: Path, dtype: str) -> None:
    """Three kinds, then a fourth: members, counts, prototypes and events say so, and so does a reader."""
    x, labels = sketches(700)
    new, others = sketches(400, 1, kinds=4)
    with opened(folder / "r", dtype=dtype) as r:
        assert (r.warming, r.concepts(), r.events()) == (512, [], [])
        keys = r.add(x[:500])
        assert (r.warming, r.concepts(), r.events()) == (12, [], [])
        keys += r.add(x[500:])
        assert r.warming == 0
        assert [(e.number, e.placed, e.kind) for e in r.events()][:3] == [(i, 512, "born") for i in range(3)]
        keys += r.add(new)
        assert born(r) == [0, 1, 2, 3]
        assert r.check().ok, r.check()
    labels = np.concatenate([labels, others])
    with rs.SketchRepository.open(folder / "r") as r:
        found = r.concepts()
        assert [c.id for c in found] == [0, 1, 2, 3]
        kind = {}
        for c in found:
            of = {int(labels[keys.index(key)]) for key in c.members}
            assert len(of) == 1
            kind[c.id] = of.pop()
            assert c.count == len(c.members) > 80
            assert c.members == tuple(sorted(c.members))
            assert {r.concept_of(key) for key in c.members} == {c.id}
            latest = np.array([r.get(key).sketch for key in c.members[-128:]])
            assert np.abs(c.prototype - latest.mean(axis=0, dtype=np.float64)).max() < 1e-5
        assert sorted(kind.values()) == [0, 1, 2, 3]
        assert sum(c.growth for c in found) == pytest.approx(1, abs=0.05)
        assert sum(c.count for c in found) > 0.97 * 1100
        assert [c.age for c in found[:3]] == [1100 - 512] * 3
        outliers = [key for key in keys if r.concept_of(key) is None]
        assert len(outliers) == 1100 - sum(c.count for c in found)
        last = r.events()[-1]
        assert r.events(since=last.number) == [last]
        assert r.events(since=last.number + 1) == []
        assert str(found[0]).startswith(f"concept 0: {found[0].count} runs, ")
        assert str(r.events()[0]) == "after 512 runs: concept 0 born"


def page(kind: int, rng: np.random.Generator) -> rs.Trace:
    """An eye above two or three ears, all of its kind, in any order."""
    run = rs.Trace()
    base = np.random.default_rng([9, kind]).standard_normal((4, 3))
    ears = [run.add("ear", base[i] + 0.1 * rng.standard_normal(3)) for i in rng.permutation(2 + kind % 2)]
    run.outputs([run.add("eye", base[3, :2] + 0.1 * rng.standard_normal(2), ears)])
    return run


def test_runs_are_compared_whatever_the_order(folder: Path) -> None:
    """Runs of four kinds with inputs in any order; a prototype is a sum of ordered sketches, which unrolls."""
    spec, rng = rs.SketchSpec(512, {"eye": 2, "ear": 3}), np.random.default_rng(1)
    kinds = rng.integers(0, 4, 600)
    with opened(folder / "r", spec) as r:
        keys = r.add([page(int(k), rng) for k in kinds])
        r.add(rows(3, 1, 512), ["x", "y", "z"])  # sketches alone have no unordered one, and are looked at by nobody
        found = r.concepts()
        assert sorted([*{int(kinds[keys.index(key)]) for key in c.members}] for c in found) == [[0], [1], [2], [3]]
        assert r.concept_of("x") is None
        assert {c.age for c in found} == {600 - 512}
        for c in found:
            latest = np.array([r.get(key).sketch for key in c.members[-128:]])
            assert np.abs(c.prototype - latest.mean(axis=0, dtype=np.float64)).max() < 1e-6
            read = rs.Sketcher(spec).unroll(c.prototype)
            base = np.random.default_rng([9, int(kinds[keys.index(c.members[0])])]).standard_normal((4, 3))[3, :2]
            top = next(o for o in read.objects if o.module == "eye")
            assert top.attribute @ base > 0.95 * np.linalg.norm(top.attribute) * np.linalg.norm(base)


def test_concepts_are_wanted_first(folder: Path) -> None:
    with rs.SketchRepository.open(folder / "r", SPEC, mode="a") as r:
        r.add(rows(2), ["a", "b"])
        for call in (r.concepts, r.events, lambda: r.concept_of("a"), lambda: r.warming):
            with pytest.raises(ValueError, match=r"concepts: wanted a repository that was opened with concepts=True"):
                call()
    with pytest.raises(ValueError, match="concepts: wanted False, or mode='a', which may begin them; got True"):
        rs.SketchRepository.open(folder / "r", concepts=True)
    with pytest.raises(TypeError, match="concepts"):
        rs.SketchRepository.open(folder / "r", mode="a", concepts="yes")  # type: ignore[arg-type]
    with opened(folder / "r", None) as r:
        with pytest.raises(KeyError, match="key: wanted one of the repository's"):
            r.concept_of("c")
        with pytest.raises(ValueError, match="since: wanted"):
            r.events(-1)
        assert r.concept_of("a") is None
        assert r.warming == 510


# ---------------------------------------------------------------- the same, however it came to be


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_same_however_runs_are_added(folder: Path, few: None, dtype: str) -> None:
    """At once, one by one, with the repository opened anew each time, or looked for only afterwards: the same concepts,
    members, numbers and events, to the bit."""
    x, _ = sketches(150)
    x = np.concatenate([x[:60], sketches(90, 1, kinds=6)[0]])
    keys = [f"{i:03d}" for i in range(len(x))]
    with opened(folder / "at once", dtype=dtype) as r:
        r.add(x, keys)
        wanted = told(r)
        assert len(born(r)) > 3
    with opened(folder / "one by one", dtype=dtype) as r:
        for key, s in zip(keys, x, strict=True):
            r.add(s, key)
        assert told(r) == wanted
    for first in range(0, len(x), 7):
        with opened(folder / "opened anew", dtype=dtype) as r:
            r.add(x[first : first + 7], keys[first : first + 7])
    with rs.SketchRepository.open(folder / "opened anew") as r:
        assert told(r) == wanted
    with rs.SketchRepository.open(folder / "later", SPEC, mode="a", dtype=dtype) as r:
        r.add(x, keys)
    with opened(folder / "later", None) as r:
        assert told(r) == wanted
        r.export(folder / "x.npz")
    with opened(folder / "imported", dtype=dtype) as r:  # in the order of keys, which is that of adding here
        r.import_(folder / "x.npz")
        assert told(r) == wanted


def test_numbers_stay_over_openings(folder: Path, few: None) -> None:
    x, _ = sketches(60)
    with opened(folder / "r") as r:
        r.add(x)
        before = told(r)
    for i in range(10):
        with rs.SketchRepository.open(folder / "r", mode="a") as r:
            assert told(r)[0] == before[0]
            assert told(r)[1] == before[1]
            r.add(sketches(3, 10 + i)[0])
            assert [c.id for c in r.concepts()] == [c[0] for c in before[0]]
            assert r.events()[: len(before[1])] == before[1]
            before = told(r)


def test_the_state_is_what_is_stored(folder: Path, few: None) -> None:
    """Read again from the tables, all of it is what it was, to the bit, after adds, deletions and updates."""
    x, _ = sketches(200, kinds=6)
    with opened(folder / "r") as r:
        keys = r.add(x[:150])
        r.delete(keys[10:60:3])
        for i in range(3):
            r.update(keys[i], x[150 + i])
        r.add(np.concatenate([x[153:], 30 * rows(9, 3)]))
        keeper = r._keeper
        assert keeper is not None
        was = vars(keeper._loaded())
        keeper._state = None
        now = vars(keeper._loaded())
        assert was["trials"] or was["outliers"]
        for name in was:
            if name == "space":
                assert all(np.array_equal(v, vars(now[name])[k]) for k, v in vars(was[name]).items())
            elif name in ("live", "trials"):
                assert len(was[name]) == len(now[name])
                for a, b in zip(was[name], now[name], strict=True):
                    assert all(np.array_equal(v, vars(b)[k]) for k, v in vars(a).items())
            else:
                assert np.array_equal(was[name], now[name])


def test_an_add_that_fails_leaves_no_trace(folder: Path, few: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not in memory either: what comes next is as if it had not been."""
    x, _ = sketches(100)
    with opened(folder / "r") as r, opened(folder / "twin") as twin:
        for one in (r, twin):
            one.add(x[:40])
        before = told(r)

        def broken(self: Any, *args: Any, real: Any = SketchRepository._place) -> None:
            real(self, *args)
            raise OSError("no")

        with monkeypatch.context() as patch:
            patch.setattr(SketchRepository, "_place", broken)
            with pytest.raises(OSError, match="no"):
                r.add(x[40:70])
        assert told(r) == before
        for one in (r, twin):
            one.add(x[70:])
        assert told(r) == told(twin)


def test_numbers_stay_over_crashes(folder: Path, few: None) -> None:
    """The machine stops after any system call: members, numbers and events are those before the call or after it."""
    x, _ = sketches(60, kinds=4)
    keys = [f"{i:02d}" for i in range(60)]
    steps = (
        lambda r: r.add(x[:30], keys[:30]),
        lambda r: r.add(x[30:40], keys[30:40]),
        lambda r: r.delete(keys[3:9]),
        lambda r: r.update(keys[0], x[41]),
        lambda r: r.compact(),
        lambda r: r.add(x[40:], keys[40:]),
    )
    place = folder / "crash"
    place.mkdir()
    states, problems = lost(place / "r", CrashDisk(place / "r"), 400, steps, seen, True, SPEC)
    assert not problems, problems
    assert states > 100
    with rs.SketchRepository.open(place / "r") as r:
        assert r.events()


# ---------------------------------------------------------------- what is deleted


def test_deleted_runs_leave_their_concepts(folder: Path, few: None) -> None:
    """Members, counts and prototypes are those of what is left; a concept that is empty is retired."""
    x, labels = sketches(80)
    with opened(folder / "r") as r:
        keys = r.add(x)
        first = r.concepts()
        gone = [key for key, k in zip(keys, labels, strict=True) if k == labels[0]]
        name = r.concept_of(gone[0])
        for part in (gone[1::2], gone[2::2]):
            r.delete(part)
            assert r.check().ok, r.check()
            for c in r.concepts():
                old = next(o for o in first if o.id == c.id)
                assert c.members == tuple(key for key in old.members if key in r)
                latest = np.array([r.get(key).sketch for key in c.members])
                near = np.abs(latest.mean(axis=0) - c.prototype).max()
                assert near < 1e-5 or len(c.members) > FEW["LEAST"]
        assert [c.count for c in r.concepts() if c.id == name] == [1]
        assert np.array_equal(next(c for c in r.concepts() if c.id == name).prototype, r.get(gone[0]).sketch)
        r.delete(gone[0])
        assert name not in [c.id for c in r.concepts()]
        assert (r.events()[-1].kind, r.events()[-1].concept) == ("retired", name)
        r.add(sketches(40, 1)[0])
        assert name not in [c.id for c in r.concepts()]
        assert len(set(born(r))) == len(born(r))
        assert r.check().ok, r.check()


def test_after_the_last_concept_all_begins_anew(folder: Path, few: None) -> None:
    """But for the numbers, which nothing else ever gets."""
    x, _ = sketches(80)
    with opened(folder / "r") as r:
        r.add(x)
        first = born(r)
        r.delete(list(r))
        assert (r.concepts(), r.warming) == ([], FEW["SETTLE"])
        r.add(x[:20])
    with opened(folder / "r") as r:
        assert r.warming == FEW["SETTLE"] - 20
        r.add(x[20:])
        assert r.warming == 0
        assert [c.id for c in r.concepts()] == [k + len(first) for k in first] == born(r)[len(first) :]
        assert r.check().ok, r.check()


def test_updated_runs_find_another_concept(folder: Path, few: None) -> None:
    x, labels = sketches(80)
    with opened(folder / "r") as r:
        keys = r.add(x)
        a, b = int(np.flatnonzero(labels == 0)[0]), int(np.flatnonzero(labels == 1)[0])
        was, other = r.concept_of(keys[a]), r.concept_of(keys[b])
        counts = {c.id: c.count for c in r.concepts()}
        r.update(keys[a], metadata={"n": 1})
        assert r.concept_of(keys[a]) == was
        r.update(keys[a], x[b] + np.float32(0.01))
        assert r.concept_of(keys[a]) == other != was
        assert {c.id: c.count for c in r.concepts()} == {k: n + (k == other) - (k == was) for k, n in counts.items()}
        assert r.check().ok, r.check()


def test_deleted_vectors_are_in_no_file(folder: Path, few: None) -> None:
    """Nor where they lie in the metric of concepts, nor their row numbers: nothing but means of many keeps of them."""
    x, _ = sketches(60)
    x = np.concatenate([x, 30 * rows(4, 3)])  # outliers, which wait
    with opened(folder / "r") as r:
        keys = r.add(x)
        keeper = r._keeper
        assert keeper is not None
        state = keeper._loaded()
        placed = dict(zip(state.outliers, state.points, strict=True))
        placed |= {row: p for g in state.live for row, p in zip(g.rows, g.points, strict=True)}
        gone = sorted(placed)[::3]
        assert {60, 63} & set(gone)
        r.delete([keys[row] for row in gone])
        r.compact()
        after = contents(folder / "r")
        for row in gone:
            for vector in (x[row], x[row].astype(np.float64), placed[row], placed[row].astype(np.float64)):
                assert vector.tobytes() not in after
        kept = next(row for row in placed if row not in gone)
        assert x[kept].tobytes() in after
        assert r.check().ok, r.check()
    with sqlite3.connect(folder / "r" / tables.NAME) as db:
        assert not db.execute(f"SELECT 1 FROM members WHERE row IN ({','.join(map(str, gone))})").fetchall()
        texts = [json.loads(text) for (text,) in db.execute("SELECT value FROM concepts")]
        assert not set(gone) & {row for value in texts for row in value.get("rows", [])}
        (text,) = db.execute("SELECT value FROM emergence WHERE name = 'state'").fetchone()
        assert not set(gone) & set(json.loads(text)["outliers"])
    db.close()


def test_merged_concepts_share_their_members(folder: Path, few: None) -> None:
    """Members of the one that went are the other's; its number is nobody's, and leads there."""
    x, _ = sketches(80)
    with opened(folder / "r") as r:
        keys = r.add(x)
        keeper = r._keeper
        assert keeper is not None
        before = {c.id: c.members for c in r.concepts()}
        with r._writing():
            state = keeper._loaded()
            state._merge(state.live[0], state.live[2])
            keeper._save(state)
    with opened(folder / "r", None) as r:
        after = {c.id: c.members for c in r.concepts()}
        assert after == {0: tuple(sorted(before[0] + before[2])), 1: before[1]}
        assert {r.concept_of(key) for key in before[2]} == {0}
        assert r.events()[-1].kind == "merged_into"
        assert r.check().ok, r.check()
        r.delete(list(before[2]))
        assert {c.id: c.members for c in r.concepts()} == {0: before[0], 1: before[1]}
        assert r.check().ok, r.check()
        assert set(keys) - set(before[2]) == set(r)


# ---------------------------------------------------------------- cost


def steps(r: rs.SketchRepository, s: np.ndarray) -> int:
    """Instructions of SQLite's machine in one add."""
    count = 0

    def one() -> None:
        nonlocal count
        count += 1

    r._connection().set_progress_handler(one, 1)
    r.add(s)
    r._connection().set_progress_handler(None, 0)
    return count


def test_an_add_costs_no_more_with_more_runs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 30 times as many: no vector is read again, and SQLite does as much for one run as before."""
    x, _ = sketches(18_000)
    with opened(folder / "r") as r:
        r.add(x[:600])
        some = [steps(r, s) for s in x[600:620]]
        r.add(x[620:17_900])
        monkeypatch.setattr(columns, "unpacked", lambda *_: pytest.fail("a row is read"))
        many = [steps(r, s) for s in x[17_900:17_920]]
    assert np.median(many) < 1.3 * np.median(some)


def test_nothing_is_done_unless_wanted(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Emergence, "add", lambda *_: pytest.fail("it is looked for"))
    with rs.SketchRepository.open(folder / "r", SPEC, mode="a") as r:
        r.add(rows(20))
    with sqlite3.connect(folder / "r" / tables.NAME) as db:
        found = {name for (name,) in db.execute("SELECT name FROM sqlite_master")}
    db.close()
    assert not found & {"emergence", "concepts", "members", "events"}


# ---------------------------------------------------------------- damage and malice


def changed(path: Path, table: str, name: Any, change: Any) -> None:
    """Write something else to a line, with the checksum that belongs to it."""
    key = {"emergence": "name", "concepts": "id", "members": "row", "events": "number"}[table]
    with sqlite3.connect(path / tables.NAME) as db:
        line = list(db.execute(f"SELECT * FROM {table} WHERE {key} = ?", (name,)).fetchone())[:-1]
        line = change(line)
        marks = ", ".join("?" * (len(line) + 1))
        db.execute(f"INSERT OR REPLACE INTO {table} VALUES ({marks})", (*line, tables.crc(*line)))
    db.close()


def put(**fields: Any) -> Any:
    """A change of fields of a line's JSON."""

    def change(line: list[Any]) -> list[Any]:
        value = {**json.loads(line[1]), **fields}
        text = json.dumps({k: v for k, v in value.items() if v is not ...})
        return [line[0], text.encode() if isinstance(line[1], bytes) else text]

    return change


HOSTILE = {
    "no JSON": ("concepts", 0, lambda line: [line[0], "{"]),
    "deep JSON": ("concepts", 0, lambda line: [line[0], "[" * 100_000]),
    "a list": ("concepts", 0, lambda line: [line[0], "[]"]),
    "a field too few": ("concepts", 0, put(rows=...)),
    "a field too many": ("concepts", 0, put(more=1)),
    "no rows": ("concepts", 0, put(rows=[])),
    "more rows than members": ("concepts", 0, put(count=1)),
    "another count": ("concepts", 0, put(count=10**6)),
    "rows that are none": ("concepts", 0, put(rows=[10**9])),
    "rows that are text": ("concepts", 0, put(rows=["x"])),
    "true for a number": ("concepts", 0, put(count=True)),
    "below zero": ("concepts", 0, put(born=-1)),
    "huge": ("concepts", 0, put(seen=10**30)),
    "in the future": ("concepts", 0, put(seen=10**9)),
    "no spread": ("concepts", 0, put(variance=0.0)),
    "infinite": ("concepts", 0, put(mean=float("inf"))),
    "rivals that are none": ("concepts", 0, put(rivals=[[1]])),
    "state of something else": ("emergence", "state", put(placed="x")),
    "state without outliers": ("emergence", "state", put(outliers=...)),
    "outliers that are none": ("emergence", "state", put(outliers=[10**9])),
    "trials without rows": ("emergence", "state", put(trials=[[[], 0.0, [0.0]]])),
    "a short metric": ("emergence", "space", lambda line: [line[0], line[1][:40]]),
    "no metric": ("emergence", "space", lambda line: [line[0], b""]),
    "a huge metric": ("emergence", "space", lambda line: [line[0], b"\xff" * 7 + b"\x7f" + line[1][8:]]),
    "a metric of NaN": ("emergence", "space", lambda line: [line[0], line[1][:-8] + b"\xff" * 8]),
    "another event": ("events", 0, lambda line: [*line[:2], "exploded", *line[3:]]),
    "a member of nothing": ("members", 10**6, None),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_stored_is_not_trusted(folder: Path, few: None, name: str) -> None:
    """Lines with right checksums that nobody wrote: an error that says so, from check and from whoever needs them."""
    x, _ = sketches(60)
    with opened(folder / "r") as r:
        r.add(x[:50])
    table, key, change = HOSTILE[name]
    if change is None:
        with sqlite3.connect(folder / "r" / tables.NAME) as db:
            db.execute("INSERT INTO members VALUES (?, 0, ?)", (key, tables.crc(key, 0)))
        db.close()
    else:
        changed(folder / "r", table, key, change)
    with rs.SketchRepository.open(folder / "r", mode="a") as r:
        assert not r.check().ok
        for call in (r.concepts, r.events, lambda: r.add(x[50:])):
            with contextlib.suppress(rs.RepositoryDamaged):
                call()


def test_a_damaged_row_costs_no_other(folder: Path, few: None) -> None:
    """Runs come and go beside one that nobody can read any more, and it can be deleted."""
    x, _ = sketches(90)
    with opened(folder / "r") as r:
        keys = r.add(x[:50])
        row = next(c for c in r.concepts() if c.count > 10).members[-1]
    at = 4096 + keys.index(row) * 4 * D
    content = bytearray((folder / "r" / "00000001.rows").read_bytes())
    content[at] ^= 1
    (folder / "r" / "00000001.rows").write_bytes(content)
    with rs.SketchRepository.open(folder / "r", mode="a") as r:
        with pytest.raises(rs.RepositoryDamaged):
            r.concepts()  # its prototype would be another
        assert r.concept_of(row) is not None
        keys += r.add(x[50:70])
        r.delete(keys[-1])
        assert not r.check().ok
        r.delete(row)
        assert r.check().ok, r.check()
        assert sum(c.count for c in r.concepts()) > 60


@pytest.mark.parametrize("table", ["concepts", "members", "events"])
@pytest.mark.parametrize("order", ["ASC", "DESC"])
def test_a_lost_line_is_told_of(folder: Path, few: None, table: str, order: str) -> None:
    """The first or the last of a table."""
    x, _ = sketches(60)
    with opened(folder / "r") as r:
        r.add(x)
    key = {"concepts": "id", "members": "row", "events": "number"}[table]
    with sqlite3.connect(folder / "r" / tables.NAME) as db:
        db.execute(f"DELETE FROM {table} WHERE {key} IN (SELECT {key} FROM {table} ORDER BY {key} {order} LIMIT 1)")
    db.close()
    with rs.SketchRepository.open(folder / "r") as r:
        assert not r.check().ok
        with pytest.raises(rs.RepositoryDamaged):
            r.events() if table == "events" else r.concepts()


def test_a_flipped_bit_is_told_of(folder: Path, few: None) -> None:
    """Without its checksum a line is an error, of every table."""
    x, _ = sketches(60)
    with opened(folder / "r") as r:
        r.add(x)
    for table, key, call in (
        ("concepts", 0, lambda r: r.concepts()),
        ("emergence", "state", lambda r: r.concepts()),
        ("emergence", "space", lambda r: r.add(x[:1])),
        ("events", 0, lambda r: r.events()),
        ("members", 0, lambda r: r.concept_of("run-00000000")),
    ):
        column = {"concepts": "id", "emergence": "name", "events": "number", "members": "row"}[table]
        with sqlite3.connect(folder / "r" / tables.NAME) as db:
            db.execute(f"UPDATE {table} SET crc = crc + 1 WHERE {column} = ?", (key,))
        with rs.SketchRepository.open(folder / "r", mode="a") as r:
            assert not r.check().ok
            with pytest.raises(rs.RepositoryDamaged, match="as it was written"):
                call(r)
        with sqlite3.connect(folder / "r" / tables.NAME) as db:
            db.execute(f"UPDATE {table} SET crc = crc - 1 WHERE {column} = ?", (key,))
        db.close()
        with rs.SketchRepository.open(folder / "r") as r:
            assert r.check().ok
