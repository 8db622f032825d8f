"""The repository as a store: what goes in comes out, in every stored form, and every refusal says what was wanted."""

from __future__ import annotations

import io
import sqlite3
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from repositories import SPEC, D, contents, rows, run

import recsketch as rs
from recsketch.repository import tables
from recsketch.repository.writing import norms

DTYPES = ("float32", "float16", "int8", "int8+float16")


@pytest.fixture
def repository(folder: Path) -> Any:
    with rs.SketchRepository.open(folder / "r", SPEC, mode="a") as found:
        yield found


# ---------------------------------------------------------------- what goes in comes out


@pytest.mark.parametrize("dtype", DTYPES)
def test_what_goes_in_comes_out(folder: Path, dtype: str) -> None:
    """Sketches as `pack` makes them, whatever the form, and metadata as it was given; over a re-opening, too."""
    x, about = rows(5), [{"a": i, "b": "x" * i, "c": i / 3, "d": i > 2, "e": None} for i in range(5)]
    path = folder / "r"
    with rs.SketchRepository.open(path, SPEC, mode="a", dtype=dtype) as r:
        assert r.add(x[:2], ["one", "two"], about[:2]) == ["one", "two"]
        assert r.add(x[2], "three", about[2]) == "three"
        assert r.add(x[3:], ["ä", "\U0001f600"], about[3:]) == ["ä", "\U0001f600"]
    packed = rs.pack(x, dtype.rpartition("+")[2])
    with rs.SketchRepository.open(path) as r:
        assert (r.spec, r.dtype, len(r)) == (SPEC, dtype, 5)
        assert list(r) == sorted(["one", "two", "three", "ä", "\U0001f600"])
        for i, key in enumerate(["one", "two", "three", "ä", "\U0001f600"]):
            found = r.get(key)
            assert (found.key, found.metadata, found.order) == (key, about[i], None)
            assert found.packed == packed[i]
            assert np.array_equal(found.sketch, packed[i].unpack())
            assert type(found.metadata["d"]) is bool
            assert type(found.metadata["a"]) is int
        assert "one" in r
        assert "four" not in r
        assert 4 not in r
        assert "a\0b" not in r
        assert r.check().ok, r.check()


def test_runs_bring_their_unordered_sketch(repository: Any) -> None:
    runs = [run(i) for i in range(3)]
    assert repository.add(runs) == ["run-00000000", "run-00000001", "run-00000002"]
    assert repository.add(runs[0]) == "run-00000003"
    sk, bag = rs.Sketcher(SPEC), rs.Sketcher(SPEC.unordered())
    for i, key in enumerate([*repository]):
        found = repository.get(key)
        assert np.array_equal(found.sketch, sk.sketch(runs[i % 3]))
        assert np.array_equal(found.order, bag.sketch(runs[i % 3]))
    assert repository.check().rows == 8


def test_numbered_keys_keep_clear_of_those_that_are_there(repository: Any) -> None:
    repository.add(rows(1), ["run-00000001"])
    assert repository.add(rows(2)) == ["run-00000001+", "run-00000002"]
    assert len(repository) == 3


@pytest.mark.parametrize("dtype", DTYPES)
def test_update_and_delete(folder: Path, dtype: str) -> None:
    x = rows(4)
    with rs.SketchRepository.open(folder / "r", SPEC, mode="a", dtype=dtype) as r:
        r.add(x[:3], ["a", "b", "c"], [{"n": i} for i in range(3)])
        r.update("b", x[3])
        assert r.get("b").packed == rs.pack(x[3], dtype.rpartition("+")[2])
        assert r.get("b").metadata == {"n": 1}
        r.update("b", metadata={"m": "new"})
        assert r.get("b").metadata == {"m": "new"}
        assert r.get("b").packed == rs.pack(x[3], dtype.rpartition("+")[2])
        r.update("c", run(7), {"n": 5})
        assert (r.get("c").order is None) is False
        r.update("a")  # nothing given, nothing changed
        r.delete("a")
        assert ("a" in r, len(r), [*r]) == (False, 2, ["b", "c"])
        with pytest.raises(KeyError, match="wanted one of the repository's; got 'a'"):
            r.get("a")
        r.add(x[0], "a")
        r.delete(["a", "c"])
        assert [*r] == ["b"]
        assert r.check().ok, r.check()
        assert [hit.key for hit in r.search(x, where={"m": "new"})[0]] == ["b"]
        assert r.search(x[0], where={"n": 1}) == []


def test_nothing_of_a_failed_call_is_there(repository: Any) -> None:
    repository.add(rows(2), ["a", "b"])
    with pytest.raises(ValueError, match="keys: wanted new ones; got 'b', which is there"):
        repository.add(rows(3), ["x", "b", "y"], [{"n": 1}] * 3)
    with pytest.raises(KeyError, match="got 'nobody'"):
        repository.delete(["a", "nobody"])
    with pytest.raises(KeyError, match="got 'nobody'"):
        repository.update("nobody", rows(1)[0])
    assert [*repository] == ["a", "b"]
    assert repository.add(rows(1), ["c"]) == ["c"]
    found = repository.check()
    assert (found.ok, found.runs, found.rows) == (True, 3, 3), found


def test_many_appends_become_few_files(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of a kind go on in one file until it is full, here at 16 rows of 256 bytes; blocks here have 3."""
    monkeypatch.setattr("recsketch.repository.writing.FULL", 16 * 4 * D)
    monkeypatch.setattr("recsketch.repository.writing.MOST", 3)
    x = rows(60)
    with rs.SketchRepository.open(folder / "r", SPEC, mode="a") as r:
        for i in range(0, 60, 5):
            r.add(x[i : i + 5])
        names = sorted(p.name for p in (folder / "r").glob("*.rows"))
        assert names == [f"0000000{i}.rows" for i in range(1, 5)]
        assert [r.search(q, 1)[0].key for q in x] == [f"run-{i:08d}" for i in range(60)]
        r.delete([f"run-{i:08d}" for i in range(0, 60, 2)])
        assert r.compact() > 0
        assert r.check().ok
        assert [r.search(q, 1)[0].key for q in x[1::2]] == [f"run-{i:08d}" for i in range(1, 60, 2)]


def test_one_row_of_many_is_read_alone(repository: Any) -> None:
    x = rows(200)
    for i in range(0, 200, 10):
        repository.add(x[i : i + 10])
    repository.delete(["run-00000050"])
    for i in (0, 9, 10, 51, 199):
        assert np.array_equal(repository.get(f"run-{i:08d}").sketch, x[i])


@pytest.mark.parametrize("d", [1, 3, 64, 1000, 1024, 1 << 16])
@pytest.mark.parametrize("size", [1e-30, 1e-10, 1.0, 1e10, 1e30])
def test_norms(d: int, size: float) -> None:
    """A sum of up to 1,024 squares in float32, in whatever order, is off by at most 1024 units of 2^-24 of itself if
    nothing is summed pairwise; NumPy has at least eight sums at a time, which makes it 128, and a root halves that."""
    x = np.abs(rows(5, d=d)) + np.float32(0.1)  # all of one sign, which is the worst case
    x = x / x.max() * np.float32(size)
    x[3] = 0
    found = norms(x)
    want = np.linalg.norm(x.astype(np.float64), axis=1)
    assert found[3] == 0
    assert np.all(np.abs(found - want) <= 64 * 2.0**-24 * want)


# ---------------------------------------------------------------- compaction


@pytest.mark.parametrize("dtype", DTYPES)
def test_deleted_vectors_and_names_are_in_no_file(folder: Path, dtype: str) -> None:
    """Rows are overwritten by `delete`, in their files; names and metadata are gone after `compact`."""
    with rs.SketchRepository.open(folder / "r", SPEC, mode="a", dtype=dtype) as r:
        r.add([run(i) for i in range(4)], ["keep-1", "SECRET-KEY", "keep-2", "PAST"], objects=True)
        r.update("SECRET-KEY", metadata={"SECRET-NAME": "SECRET-VALUE"})
        secrets = []
        for key in ("SECRET-KEY", "PAST"):
            found = r.get(key)
            secrets += [found.packed.values.tobytes(), rs.pack(found.order, found.packed.dtype).values.tobytes()]
            secrets += [rs.pack(found.sketch, "int8").values.tobytes()] if "+" in dtype else []
        secrets += [o.attribute.tobytes() for i in (1, 3) for o in run(i).objects]
        kept = r.get("keep-1").packed.values.tobytes()
        before = contents(folder / "r")
        assert sum(secret in before for secret in secrets) >= 8  # the test can find them
        r.delete("SECRET-KEY")
        r.update("PAST", run(9))
        after = contents(folder / "r")
        assert kept in after
        assert not any(secret in after for secret in secrets)
        r.compact()
        after = contents(folder / "r")
        assert kept in after
        assert not any(secret in after for secret in secrets)
        assert not any(text in after for text in (b"SECRET-KEY", b"SECRET-NAME", b"SECRET-VALUE"))
        assert r.check().ok
        assert [*r] == ["PAST", "keep-1", "keep-2"]


def test_a_reader_goes_on_during_compaction(folder: Path) -> None:
    """One that has mapped the old generation, and one that is about to open files which are gone."""
    path, x = folder / "r", rows(40)
    with rs.SketchRepository.open(path, SPEC, mode="a") as r:
        r.add(x)
        early, late = rs.SketchRepository.open(path), rs.SketchRepository.open(path)
        with early, late:
            assert early.search(x[3], 1)[0].key == "run-00000003"
            assert len(late) == 40
            r.delete("run-00000000")
            r.compact()
            for reader in (early, late):
                assert reader.search(x[3], 1)[0].key == "run-00000003"
                assert reader.get("run-00000005").packed == rs.pack(x[5], "float32")
                assert len(reader) == 39
                assert reader.check().ok


def test_a_snapshot_of_rows_that_are_wiped_is_taken_anew(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run is deleted between a reader's look at the index and its look at the rows: the reader starts again."""
    path, x = folder / "r", rows(20)
    writer = rs.SketchRepository.open(path, SPEC, mode="a")
    writer.add(x)
    with writer, rs.SketchRepository.open(path) as reader:
        once = [True]
        real = reader._finder.runs

        def meanwhile(db: sqlite3.Connection, state: Any, *rest: Any) -> Any:
            if once.pop() if once else False:
                writer.delete("run-00000007")
            return real(db, state, *rest)

        monkeypatch.setattr(reader._finder, "runs", meanwhile)
        assert reader.search(x[7], 20)[0].key != "run-00000007"
        assert not once


# ---------------------------------------------------------------- to and from files


@pytest.mark.parametrize("dtype", DTYPES)
def test_export_and_import(folder: Path, dtype: str) -> None:
    file = io.BytesIO()
    with rs.SketchRepository.open(folder / "a", SPEC, mode="a", dtype=dtype) as a:
        a.add([run(i) for i in range(3)], ["c", "a", "b"], [{"n": i} for i in range(3)])
        a.add(rows(2), ["e", "d"])
        a.delete("a")
        a.export(file)
        with rs.SketchRepository.open(folder / "b", SPEC, mode="a", dtype=dtype) as b:
            assert b.import_(io.BytesIO(file.getvalue())) == ["b", "c", "d", "e"]
            assert all(a.get(key) == b.get(key) for key in [*a])
            assert [*a] == [*b]
            assert b.check().ok
            with pytest.raises(ValueError, match="keys: wanted new ones; got 'b'"):
                b.import_(io.BytesIO(file.getvalue()))
    other = rs.SketchRepository.open(folder / "c", SPEC.replace(seed=3), mode="a")
    with other, pytest.raises(ValueError, match="spec: wanted the repository's seed, 3; got 0"):
        other.import_(io.BytesIO(file.getvalue()))


@pytest.mark.parametrize(
    ("array", "value", "message"),
    [
        ("runs", np.frombuffer(b"[", np.uint8), "runs: wanted JSON; got text that is none"),
        ("runs", np.frombuffer(b"[" * 100_000, np.uint8), "runs: wanted JSON; got text that is none"),
        ("runs", np.frombuffer(b"[3]", np.uint8), "runs: wanted a list of keys and metadata"),
        ("runs", np.frombuffer(b'[["a", {}], ["a", {}]]', np.uint8), "runs: wanted each key once; got 'a' twice"),
        ("runs", np.frombuffer(b'[["a", {"x": []}], ["b", {}]]', np.uint8), r"runs\[0\]\['x'\]: wanted a text"),
        ("runs", np.frombuffer(b'[["a", {}], ["b", {}], ["c", {}]]', np.uint8), "run_at: wanted a sketch of every run"),
        ("runs", np.zeros((2, 2), np.uint8), "runs: wanted a vector of bytes; got"),
        ("run_at", np.array([1, 0]), "run_at: wanted numbers of runs, ascending; got"),
        ("run_at", np.array([0, 2]), "run_at: wanted numbers of runs, ascending; got"),
        ("run_at", np.array([0]), r"run_values: wanted shape \(1, 64\); got"),
        ("run_values", np.full((2, D), np.inf, np.float32), "values: wanted finite numbers"),
        ("run_values", np.full((2, D), 2e30, np.float32), r"run_values\[0\]: wanted finite numbers of at most 1e30"),
        ("run_dtype", np.array("float64"), "dtype: wanted"),
        ("spec", np.array("{}"), "specification: wanted"),
    ],
)
def test_what_import_refuses(folder: Path, array: str, value: Any, message: str) -> None:
    with rs.SketchRepository.open(folder / "r", SPEC, mode="a") as r:
        r.add(rows(2), ["a", "b"])
        r.export(folder / "x.npz")
        r.delete(["a", "b"])
        with np.load(folder / "x.npz") as found:
            arrays = {**found, array: value}
        np.savez(folder / "y.npz", **arrays)
        with pytest.raises(ValueError, match=f"wanted a file written by SketchRepository.export: {message}"):
            r.import_(folder / "y.npz")
        assert len(r) == 0
        assert len(r.import_(folder / "x.npz")) == 2


def test_an_empty_repository(folder: Path) -> None:
    file = io.BytesIO()
    with rs.SketchRepository.open(folder / "a", SPEC, mode="a") as a:
        assert (len(a), [*a], a.search(rows(1)[0]), a.search(rows(2)), a.add(rows(0))) == (0, [], [], [[], []], [])
        assert a.search_objects("eye", [1, 0]) == []
        a.compact()
        a.export(file)
        assert a.import_(io.BytesIO(file.getvalue())) == []
        assert a.check() == rs.RepositoryCheck(True, (), 0, 0, a.check().bytes)
        assert "whole: 0 runs, 0 rows" in str(a.check())


# ---------------------------------------------------------------- refusals


def test_another_specification_is_refused_by_field(folder: Path) -> None:
    rs.SketchRepository.open(folder / "r", SPEC, mode="a").close()
    fields: dict[str, Any] = {"seed": 1, "dim": 128, "angle": 45.0, "modules": {"eye": 2}, "signature": 4}
    for name, value in fields.items():
        with pytest.raises(ValueError, match=f"^spec: wanted the repository's {name}, "):
            rs.SketchRepository.open(folder / "r", SPEC.replace(**{name: value}))
    with pytest.raises(ValueError, match=r"^dtype: wanted the repository's, 'float32'; got 'int8'"):
        rs.SketchRepository.open(folder / "r", dtype="int8")


def test_what_is_no_repository_is_refused(folder: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"wanted a repository to read; got none"):
        rs.SketchRepository.open(folder / "none")
    with pytest.raises(ValueError, match=r"^spec: wanted a SketchSpec, for a new repository; got None"):
        rs.SketchRepository.open(folder / "none", mode="a")
    assert not (folder / "none").exists()
    (folder / "other").mkdir()
    (folder / "other" / "letter.txt").write_text("Dear")
    with pytest.raises(ValueError, match=r"wanted a repository; got a folder of \['letter.txt'\]"):
        rs.SketchRepository.open(folder / "other", SPEC, mode="a")
    with pytest.raises(ValueError, match=r"^mode: wanted 'r' or 'a'; got 'w'"):
        rs.SketchRepository.open(folder / "none", SPEC, mode="w")
    with pytest.raises(ValueError, match=r"^dtype: wanted 'float32' or 'float16' or 'int8' or 'int8"):
        rs.SketchRepository.open(folder / "none", SPEC, mode="a", dtype="float64")
    with pytest.raises(TypeError, match=r"^spec: wanted a SketchSpec; got"):
        rs.SketchRepository.open(folder / "none", "spec", mode="a")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"^path: wanted a file name; got 3"):
        rs.SketchRepository.open(3)  # type: ignore[arg-type]


def test_unknown_formats_are_refused(folder: Path) -> None:
    path = folder / "r"
    with rs.SketchRepository.open(path, SPEC, mode="a") as r:
        r.add(rows(3))
    segment = path / "00000001.rows"
    old = segment.read_bytes()
    import struct
    import zlib

    head = old[:16] + struct.pack("<I", 2) + old[20:60]
    segment.write_bytes(head + struct.pack("<I", zlib.crc32(head)) + old[64:])
    with rs.SketchRepository.open(path) as r:
        assert "wanted rows of format 1; got format 2" in str(r.check())
    segment.write_bytes(old)
    for pragma, wanted in (
        ("user_version=2", "wanted a repository of format 1; got 2"),
        ("application_id=7", "another kind"),
    ):
        with sqlite3.connect(path / tables.NAME) as db:
            db.execute(f"PRAGMA {pragma}")
        db.close()
        for mode in ("r", "a"):
            with pytest.raises(ValueError, match=wanted):
                rs.SketchRepository.open(path, mode=mode)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"runs": np.full((1, D), np.nan)}, "runs: wanted finite numbers of at most 1e30"),
        ({"runs": np.ones((1, 3))}, r"runs: wanted shape \(64,\) or \(n, 64\)"),
        ({"runs": rs.pack(np.ones((1, 65)))}, "runs: wanted sketches of 64 numbers each"),
        ({"runs": [run(0), 3]}, r"runs\[1\]: wanted a Trace; got 3"),
        ({"runs": "abc"}, "runs: wanted runs or sketches; got 'abc'"),
        ({"runs": rows(2), "keys": ["a"]}, "keys: wanted 2 keys, one a run; got 1"),
        ({"runs": rows(2), "keys": ["a", "a"]}, "keys: wanted each key once; got 'a' twice"),
        ({"runs": rows(2), "keys": "ab"}, "keys: wanted 2 keys, one a run; got 'ab'"),
        ({"runs": rows(1), "keys": [""]}, "keys: wanted keys of 1 to 1000 characters"),
        ({"runs": rows(1), "keys": [3]}, "keys: wanted a text; got 3"),
        ({"runs": rows(1), "keys": ["a\0"]}, "keys: wanted a text without NUL"),
        ({"runs": rows(1), "keys": ["\ud800"]}, "keys: wanted a text without NUL that UTF-8 can hold"),
        ({"runs": rows(1), "metadata": {}}, "metadata: wanted a list of mappings, one a run; got {}"),
        ({"runs": rows(1), "metadata": []}, "metadata: wanted 1 mapping, one a run; got 0"),
        ({"runs": rows(1), "metadata": [3]}, r"metadata\[0\]: wanted a mapping of names to values; got 3"),
        ({"runs": rows(1), "metadata": [{"a": []}]}, r"metadata\[0\]\['a'\]: wanted a text, a finite number"),
        ({"runs": rows(1), "metadata": [{"a": float("nan")}]}, r"metadata\[0\]\['a'\]: wanted a text, a finite"),
        ({"runs": rows(1), "metadata": [{"a": 2**63}]}, r"metadata\[0\]\['a'\]: wanted .* a 64-bit integer"),
        ({"runs": rows(1), "metadata": [{3: 1}]}, r"metadata\[0\]: a name: wanted a text; got 3"),
        ({"runs": rows(1), "objects": 1}, "objects: wanted True or False; got 1"),
    ],
)
def test_what_add_refuses(repository: Any, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=f"^{message}"):
        repository.add(**arguments)
    assert len(repository) == 0


def test_reading_cannot_write_and_closed_cannot_anything(folder: Path) -> None:
    rs.SketchRepository.open(folder / "r", SPEC, mode="a").close()
    with rs.SketchRepository.open(folder / "r") as r:
        calls = (lambda: r.add(rows(1)), lambda: r.delete("a"), lambda: r.update("a", rows(1)), r.compact)
        for call in calls:
            with pytest.raises(ValueError, match=r"^repository: wanted one that was opened to write, mode='a'"):
                call()
        assert "mode 'r'" in repr(r)
    r.close()
    assert "closed" in repr(r)
    for call in (*calls, lambda: len(r), lambda: r.search(rows(1)), r.check, lambda: r.get("a")):
        with pytest.raises(ValueError, match=r"^repository: wanted an open one; got one that was closed"):
            call()


def test_a_file_system_without_shared_memory_is_told_of(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where WAL does not take effect, a journal is written, and the warning says what that costs."""
    monkeypatch.setattr(tables, "WANTED_MODE", "TRUNCATE")
    with pytest.warns(rs.RepositoryWarning, match="got journal mode delete, in which they wait for each other"):
        r = rs.SketchRepository.open(folder / "r", SPEC, mode="a")
    with r, rs.SketchRepository.open(folder / "r") as reader:
        r.add(rows(5))
        assert [*reader] == [*r]
        r.delete("run-00000001")
        r.compact()
        assert reader.check().ok
        assert not list((folder / "r").glob("*-wal"))


def test_a_repository_that_nobody_may_write_can_be_read(folder: Path) -> None:
    path, x = folder / "r", rows(5)
    with rs.SketchRepository.open(path, SPEC, mode="a") as r:
        r.add(x)
    path.chmod(0o500)
    try:
        with rs.SketchRepository.open(path) as r:
            assert r.search(x[2], 1)[0].key == "run-00000002"
    finally:
        path.chmod(0o700)


def test_where_no_shared_memory_can_be_made_files_are_read_as_they_are(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a medium that cannot be written, which whoever may write everything cannot try."""
    with rs.SketchRepository.open(folder / "r", SPEC, mode="a") as r:
        r.add(rows(5))
    real, asked = sqlite3.connect, []

    def connect(where: str, **options: Any) -> Any:
        asked.append(where)
        if "immutable" not in where:
            error = sqlite3.OperationalError("unable to open database file")
            error.sqlite_errorcode = sqlite3.SQLITE_CANTOPEN
            raise error
        return real(where, **options)

    monkeypatch.setattr(sqlite3, "connect", connect)
    with rs.SketchRepository.open(folder / "r") as r:
        assert len(r) == 5
    assert len(asked) == 4  # once to see whether there is anything, once to read it
    with pytest.raises(OSError, match=r"index\.sqlite: unable to open database file"):
        rs.SketchRepository.open(folder / "r", mode="a")


def test_opening_reads_no_row(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor the blocks' records: SQLite is asked for a handful of lines, however many rows there are."""
    path = folder / "r"
    with rs.SketchRepository.open(path, SPEC, mode="a") as r:
        r.add(rows(5000))
    for mode in ("r", "a"):
        asked: list[str] = []
        real = tables._connected

        def connected(p: str, write: bool, real: Any = real, asked: list[str] = asked) -> sqlite3.Connection:
            db: sqlite3.Connection = real(p, write)
            db.set_trace_callback(asked.append)
            return db

        with monkeypatch.context() as m:
            m.setattr(tables, "_connected", connected)
            m.setattr("recsketch.repository.segments.Segment.values", None)
            with rs.SketchRepository.open(path, mode=mode) as r:
                assert not any(
                    f"FROM {table}" in text for table in ("blocks", "runs", "tags", "objects") for text in asked
                )
                assert len(r) == 5000


def test_one_object_serves_many_threads(repository: Any) -> None:
    from concurrent.futures import ThreadPoolExecutor

    x = rows(64)

    def work(i: int) -> str:
        repository.add(x[i], f"k{i:02d}")
        return str(repository.search(x[i], 1)[0].key)

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(64))) == [f"k{i:02d}" for i in range(64)]
    assert repository.check().ok


def test_warnings_of_sketching_are_said_once(folder: Path) -> None:
    """Unordered sketches are made of the same runs, and have nothing to add."""
    trace = rs.Trace()
    eye = trace.add("eye", [1.0, 2.0])
    trace.outputs([eye, eye])
    with rs.SketchRepository.open(folder / "r", SPEC, mode="a") as r, warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        r.add(trace)
    assert [w.category for w in said] == [rs.SketchWarning]
