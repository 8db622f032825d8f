"""The pipeline: a folder of sketches that is right, whole, and the same whatever happened on the way."""

from __future__ import annotations

import itertools
import json
import multiprocessing
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import recsketch as rs
from recsketch import pipeline
from recsketch.pipeline import engine, work

pytest.importorskip("pyarrow")

SPEC = rs.SketchSpec(64, {"a": 3, "b": 2}, seed=3)
Files = dict[str, bytes]


def run(number: int, length: int = 3) -> rs.Trace:
    rng = np.random.default_rng(number)
    t = rs.Trace()
    for i in range(1 + number % 4):
        t.add("a", rng.standard_normal(length), range(i))
    t.outputs([t.add("b", rng.standard_normal(2), range(len(t)))])
    return t


def batch(begin: int, end: int, bad: tuple[int, ...] = ()) -> rs.TraceBatch:
    runs = [run(i, 4 if i in bad else 3) for i in range(begin, end)]
    times = np.arange(begin, end).astype("M8[us]")
    return rs.TraceBatch.from_traces(runs, ids=[f"run {i}" for i in range(begin, end)], times=times)


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    """Five files of ten runs, of either kind, one of them deeper."""
    folder = tmp_path / "in"
    (folder / "deep" / "er").mkdir(parents=True)
    batch(0, 10).to_parquet(folder / "a.parquet")
    batch(10, 20).save(folder / "b.npz")
    batch(20, 30).to_parquet(folder / "c.PQ")
    batch(30, 40).save(folder / "deep" / "d.npz")
    batch(40, 50).to_parquet(folder / "deep" / "er" / "e.parquet")
    for name in ("_left.npz", ".out.parquet", "notes.txt", "deep/_x/f.npz"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"left out")
    return folder


def files(folder: Path) -> Files:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def entries(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "_manifest.jsonl").read_text().splitlines()]


def made(inputs: Any, out: Path, **options: Any) -> pipeline.Report:
    return pipeline.run(inputs, out, SPEC, **{"workers": 1, **options})


# ---------------------------------------------------------------- what comes out


@pytest.mark.parametrize(
    ("form", "dtype"),
    [("parquet", "float16"), ("parquet", "float32"), ("parquet", "int8"), ("arrow", "float16"), ("npz", "bfloat16")],
)
def test_a_folder_holds_the_sketches_of_all_runs(inputs: Path, tmp_path: Path, form: str, dtype: str) -> None:
    report = made(inputs, tmp_path / "out", form=form, dtype=dtype)
    assert (report.inputs, report.parts, report.rows, report.ok, report.failed) == (5, 5, 50, 50, 0)
    assert report.clean
    want = batch(0, 50)
    table = pipeline.read(tmp_path / "out")
    sk = rs.Sketcher(SPEC)
    assert table.spec == SPEC
    assert table.sketches == rs.pack(sk.sketch(want), dtype)
    assert table.ids is not None
    assert table.ids.tolist() == want.ids.tolist()  # type: ignore[union-attr]
    assert np.array_equal(table.times, want.times)  # type: ignore[arg-type]
    assert np.array_equal(table.objects, np.diff(want.objects))
    assert np.array_equal(table.load, sk.load(want))
    assert rs.SketchTable.concat(list(pipeline.parts(tmp_path / "out"))) == table
    found = entries(tmp_path / "out")
    assert [e["input"] for e in found] == ["a.parquet", "b.npz", "c.PQ", "deep/d.npz", "deep/er/e.parquet"]
    assert {p.name for p in (tmp_path / "out").iterdir()} == {
        "_lock", "_manifest.jsonl", "_settings.json", *(e["part"] for e in found)
    }  # fmt: skip
    check = pipeline.verify(tmp_path / "out")
    assert (check.parts, check.rows, check.failed, check.ok) == (5, 50, 0, True)
    assert check.bytes == report.written == sum((tmp_path / "out" / e["part"]).stat().st_size for e in found)


def test_whoever_does_the_work_the_folder_is_the_same(inputs: Path, tmp_path: Path) -> None:
    made(inputs, tmp_path / "one")
    made(inputs, tmp_path / "two", workers=2)
    with ThreadPoolExecutor(3) as pool:
        made(inputs, tmp_path / "three", executor=pool)
    assert files(tmp_path / "one") == files(tmp_path / "two") == files(tmp_path / "three")


def test_dask_does_the_work(inputs: Path, tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")
    made(inputs, tmp_path / "one")
    with (
        distributed.LocalCluster(n_workers=1, processes=False, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        made(inputs, tmp_path / "two", executor=client.get_executor())
    assert files(tmp_path / "one") == files(tmp_path / "two")


def test_large_inputs_are_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row groups into parts, files and sketches into chunks; rows stay in order, and a resumed job finds its cuts."""
    size = 300
    monkeypatch.setattr("recsketch._arrow.GROUP", 8 * size)
    batch(0, 100).to_parquet(tmp_path / "x.parquet")
    batch(100, 150).save(tmp_path / "y.npz")
    made([tmp_path / "x.parquet", tmp_path / "y.npz"], tmp_path / "whole")
    for name, value in (("sources.PART", 20 * size), ("work.CHUNK", 1000)):
        monkeypatch.setattr(f"recsketch.pipeline.{name}", value)
    report = made([tmp_path / "x.parquet", tmp_path / "y.npz"], tmp_path / "cut")
    found = entries(tmp_path / "cut")
    parts = [e for e in found if e["input"] == "x.parquet"]
    assert report.parts == len(found) > 4
    assert [e["index"] for e in parts] == list(range(len(parts)))
    assert [e["groups"][0] for e in parts[1:]] == [e["groups"][1] for e in parts[:-1]]
    assert pipeline.read(tmp_path / "cut") == pipeline.read(tmp_path / "whole")
    whole = files(tmp_path / "cut")
    for e in parts[1::2]:
        (tmp_path / "cut" / e["part"]).unlink()
    report = made([tmp_path / "x.parquet", tmp_path / "y.npz"], tmp_path / "cut")
    assert (report.kept, report.remade) == (len(found) - len(parts[1::2]), len(parts[1::2]))
    assert files(tmp_path / "cut") == whole


def test_runs_without_ids(tmp_path: Path) -> None:
    rs.TraceBatch.from_traces([run(1), run(2)]).to_parquet(tmp_path / "x.parquet")
    rs.TraceBatch.from_traces([]).save(tmp_path / "y.npz")
    report = made([tmp_path / "x.parquet", tmp_path / "y.npz"], tmp_path / "out")
    assert (report.rows, report.parts) == (2, 2)
    assert [len(table) for table in pipeline.parts(tmp_path / "out")] == [2, 0]


def test_progress_is_told(inputs: Path, tmp_path: Path) -> None:
    told: list[pipeline.Progress] = []
    made(inputs, tmp_path / "out", progress=told.append)
    assert [p.parts for p in told] == list(range(6))
    assert [p.rows for p in told] == list(range(0, 60, 10))
    assert told[0].share == 0
    assert told[0].left == float("inf")
    assert told[-1].share == 1
    assert told[-1].left == 0
    assert all(a.done < b.done <= b.total == a.total for a, b in itertools.pairwise(told))


# ---------------------------------------------------------------- again


def test_what_is_done_is_kept(inputs: Path, tmp_path: Path) -> None:
    made(inputs, tmp_path / "out")
    before = files(tmp_path / "out")
    times = {p: p.stat().st_mtime_ns for p in (tmp_path / "out").iterdir() if p.name != "_lock"}
    report = made(inputs, tmp_path / "out")
    assert (report.kept, report.remade, report.sketched, report.rows, report.written) == (5, 0, 0, 50, 0)
    assert files(tmp_path / "out") == before
    assert {p: p.stat().st_mtime_ns for p in times} == times


def damage(out: Path) -> list[Callable[[], object]]:
    part = out / entries(out)[2]["part"]
    manifest = out / "_manifest.jsonl"
    lines = manifest.read_bytes().splitlines(keepends=True)
    return [
        part.unlink,
        lambda: part.write_bytes(part.read_bytes()[:-1]),
        lambda: part.write_bytes(part.read_bytes()[:50] + b"x" + part.read_bytes()[51:]),
        manifest.unlink,
        lambda: manifest.write_bytes(b"".join(lines[:3])),
        lambda: manifest.write_bytes(b"".join(lines[:3]) + lines[3][:-20]),
        lambda: manifest.write_bytes(b"".join(lines[::-1])),
        lambda: (out / "part-0123456789abcdef01234567.parquet").write_bytes(b"of an input that changed"),
        lambda: (out / ".recsketch-0123456789abcdef.part").write_bytes(b"of a process that was killed"),
    ]


@pytest.mark.parametrize("what", range(9))
def test_what_is_damaged_is_made_again(inputs: Path, tmp_path: Path, what: int) -> None:
    made(inputs, tmp_path / "out")
    before = files(tmp_path / "out")
    damage(tmp_path / "out")[what]()
    if what < 3:
        assert not pipeline.verify(tmp_path / "out").ok
    made(inputs, tmp_path / "out")
    assert files(tmp_path / "out") == before


def test_inputs_that_change_come_and_go(inputs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    made(inputs, out)
    old = {e["input"]: e["part"] for e in entries(out)}
    batch(60, 75).to_parquet(inputs / "a.parquet")  # changes
    batch(80, 85).save(inputs / "new.npz")  # comes
    (inputs / "b.npz").unlink()  # goes: its part stays
    os.utime(inputs / "deep" / "d.npz", ns=(1, 1))  # may have changed
    report = made(inputs, out)
    new = {e["input"]: e["part"] for e in entries(out)}
    assert report.kept == 2
    assert set(new) == {*old, "new.npz"}
    assert {name for name in old if new[name] == old[name]} == {"b.npz", "c.PQ", "deep/er/e.parquet"}
    assert {p.name for p in out.glob("part-*")} == set(new.values())
    assert pipeline.read(out).ids.tolist()[:15] == [f"run {i}" for i in range(60, 75)]  # type: ignore[union-attr]
    assert pipeline.verify(out).ok


def test_another_job_is_refused(inputs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    made(inputs, out)
    before = files(out)
    with pytest.raises(ValueError, match="out: wanted sketches of the folder's specification; got another"):
        pipeline.run(inputs, out, SPEC.replace(seed=4), workers=1)
    for options in ({"dtype": "int8"}, {"form": "npz"}):
        with pytest.raises(ValueError, match="out: wanted the folder's storage, float16, parquet; got"):
            made(inputs, out, **options)
        with pytest.raises(ValueError, match="wanted the folder's storage"):
            made(inputs, out, **options, dry_run=True)
    assert files(out) == before
    with pytest.raises(ValueError, match="in: wanted an empty folder, or one of sketches; got"):
        made(inputs, inputs)
    (out / "_manifest.jsonl").write_bytes(b"{}\n" + before["_manifest.jsonl"])
    with pytest.raises(ValueError, match=r"_manifest\.jsonl, line 1: wanted an entry of a manifest; got"):
        made(inputs, out)
    (out / "_settings.json").write_bytes(b'{"recsketch": 2}')
    with pytest.raises(
        ValueError, match=r"_settings\.json: wanted the settings of a folder of sketches: .*format 1; got 2"
    ):
        made(inputs, out)


def test_entries_lead_nowhere_else(inputs: Path, tmp_path: Path) -> None:
    """A manifest may be anybody's."""
    out = tmp_path / "out"
    made(inputs, out)
    lines = entries(out)
    lines[0]["part"] = "../in/a.parquet"
    (out / "_manifest.jsonl").write_text("".join(json.dumps(e) + "\n" for e in lines))
    for read in (pipeline.verify, pipeline.read, lambda x: made(inputs, x)):
        with pytest.raises(ValueError, match="line 1: wanted an entry of a manifest; got"):
            read(out)


def test_two_runs_into_one_folder(inputs: Path, tmp_path: Path) -> None:
    """One is refused, and the other goes on; when it is done, there may be another."""
    refused: list[str] = []

    def meanwhile(state: pipeline.Progress) -> None:
        if state.parts == 2:
            assert len(list(pipeline.parts(tmp_path / "out"))) == 2  # readers see what is done
            with pytest.raises(rs.FolderInUse, match=rf"got one that process {os.getpid()} on") as caught:
                made(inputs, tmp_path / "out")
            refused.append(str(caught.value))

    made(inputs, tmp_path / "out", progress=meanwhile)
    assert len(refused) == 1
    assert made(inputs, tmp_path / "out").kept == 5


def test_a_dry_run_writes_nothing(inputs: Path, tmp_path: Path) -> None:
    report = made(inputs, tmp_path / "out", dry_run=True)
    assert (report.inputs, report.kept, report.parts) == (5, 0, 0)
    assert report.read == sum(
        p.stat().st_size
        for p in inputs.rglob("*")
        if p.suffix.lower() in (".npz", ".parquet", ".pq")
        and not {"_", "."} & {part[0] for part in p.relative_to(inputs).parts}
    )
    assert not (tmp_path / "out").exists()
    made(inputs / "b.npz", tmp_path / "out")
    before = files(tmp_path / "out")
    report = made(inputs, tmp_path / "out", dry_run=True)
    assert (report.inputs, report.kept) == (5, 1)
    assert files(tmp_path / "out") == before


# ---------------------------------------------------------------- bad rows, inputs and disks


def errors(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for p in sorted((out / "errors").iterdir()) for line in p.read_text().splitlines()]


@pytest.mark.parametrize("bad", [(0,), (9,), (3, 4, 7), tuple(range(10)), (0, 2, 4, 6, 8)])
@pytest.mark.parametrize("form", ["parquet", "npz"])
def test_rows_that_cannot_be_sketched(tmp_path: Path, bad: tuple[int, ...], form: str) -> None:
    path = tmp_path / f"x.{form}"
    runs = batch(0, 10, bad)
    (runs.save if form == "npz" else runs.to_parquet)(path)
    report = made(path, tmp_path / "out")
    assert (report.rows, report.ok, report.failed) == (10, 10 - len(bad), len(bad))
    assert not report.clean
    told = errors(tmp_path / "out")
    assert [(e["row"], e["run_id"], e["stage"]) for e in told] == [(i, f"run {i}", "sketch") for i in bad]
    assert all("wanted an attribute of length 3 for 'a'; got 4" in e["message"] for e in told)
    assert not any("trace" in e["message"] for e in told)
    good = [i for i in range(10) if i not in bad]
    table = pipeline.read(tmp_path / "out")
    assert table.sketches == rs.pack(rs.Sketcher(SPEC).sketch([run(i) for i in good]).reshape(-1, 64))
    if good:
        assert table.ids.tolist() == [f"run {i}" for i in good]  # type: ignore[union-attr]
    before = files(tmp_path / "out")
    assert made(path, tmp_path / "out").kept == 1
    for p in (tmp_path / "out" / "errors").iterdir():
        p.write_bytes(b"")
    assert made(path, tmp_path / "out").remade == 1
    assert files(tmp_path / "out") == before


def test_rows_that_are_no_runs(tmp_path: Path) -> None:
    """Nulls, numbers beyond and NaN, in a table of others: each is told of, and the rest is there."""
    pq = pytest.importorskip("pyarrow.parquet")
    table = batch(0, 60).to_arrow().replace_schema_metadata(None)
    rows = table.to_pylist()
    rows[7]["objects"] = None
    rows[8]["objects"][0]["module"] = None
    rows[20]["outputs"] = [99]
    rows[21]["objects"][0]["attribute"][0] = float("nan")
    rows[40]["objects"][0]["module"] = "c"
    rows[59]["outputs"] = rows[59]["output_weights"] = []
    pa = pytest.importorskip("pyarrow")
    pq.write_table(pa.Table.from_pylist(rows, table.schema), tmp_path / "x.parquet", row_group_size=25)
    report = made(tmp_path / "x.parquet", tmp_path / "out")
    assert (report.rows, report.failed) == (60, 6)
    told = {e["row"]: e for e in errors(tmp_path / "out")}
    assert list(told) == [7, 8, 20, 21, 40, 59]
    assert [told[i]["stage"] for i in told] == ["read", "read", "sketch", "sketch", "sketch", "sketch"]
    assert all(told[i]["run_id"] == f"run {i}" for i in told)
    good = [i for i in range(60) if i not in told]
    found = pipeline.read(tmp_path / "out")
    assert found.ids.tolist() == [f"run {i}" for i in good]  # type: ignore[union-attr]
    assert found.sketches == rs.pack(rs.Sketcher(SPEC).sketch([run(i) for i in good]))


def test_inputs_that_cannot_be_read(inputs: Path, tmp_path: Path) -> None:
    """Truncated anywhere: what is whole is sketched, each is told of by name, and mended ones are done next time."""
    made(inputs, tmp_path / "whole")
    a, d = (inputs / "a.parquet").read_bytes(), (inputs / "deep" / "d.npz").read_bytes()
    kept = {path: path.stat().st_mtime_ns for path in (inputs / "a.parquet", inputs / "deep" / "d.npz")}
    for cut in (0, 4, 100, len(a) // 2, len(a) - 1):
        out = tmp_path / f"out{cut}"
        (inputs / "a.parquet").write_bytes(a[:cut])
        (inputs / "deep" / "d.npz").write_bytes(d[:cut])
        report = made(inputs, out)
        assert [name for name, _ in report.unreadable] == ["a.parquet", "deep/d.npz"]
        assert all("wanted" in text and str(tmp_path) not in text for _, text in report.unreadable)
        assert (report.parts, report.rows, report.failed) == (3, 30, 0)
        assert not report.clean
        assert made(inputs, out).kept == 3
        (inputs / "a.parquet").write_bytes(a)
        (inputs / "deep" / "d.npz").write_bytes(d)
        for path, when in kept.items():
            os.utime(path, ns=(when, when))
        assert made(inputs, out).kept == 3
        assert files(out) == files(tmp_path / "whole")


def test_damage_inside_an_input(tmp_path: Path) -> None:
    """A page of a row group is that group's rows, a column of an npz the file's."""
    pq = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "x.parquet"
    runs = batch(0, 40)
    pq.write_table(runs.to_arrow(), path, row_group_size=10, write_page_checksum=True, compression="NONE")
    content = bytearray(path.read_bytes())
    middle = runs.attributes[runs.attribute_ends[runs.objects[15]] :][:3].tobytes()
    assert content.count(middle) == 1
    content[content.index(middle) + 1] ^= 1
    path.write_bytes(content)
    report = made(path, tmp_path / "out")
    assert (report.rows, report.ok, report.failed) == (40, 30, 10)
    (told,) = errors(tmp_path / "out")
    assert (told["row"], told["run_id"], told["stage"]) == (10, None, "read")
    assert told["message"].startswith("10 rows: ")
    runs.save(tmp_path / "y.npz")
    content = bytearray((tmp_path / "y.npz").read_bytes())
    content[content.index(middle) + 1] ^= 1
    (tmp_path / "y.npz").write_bytes(content)
    report = made(tmp_path / "y.npz", tmp_path / "out2")
    assert report.unreadable[0][1].endswith("wanted intact arrays; got damaged ones")


def test_a_limit_of_errors(inputs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    batch(20, 30, (22, 23, 25)).to_parquet(inputs / "c.PQ")
    (inputs / "deep" / "d.npz").write_bytes(b"PK")
    for most in (0, 3):
        with pytest.raises(pipeline.TooManyErrors, match=f"wanted at most {most} bad rows and unreadable inputs; got"):
            made(inputs, out, max_errors=most)
    assert made(inputs, out, max_errors=4).failed == 3
    with pytest.raises(pipeline.TooManyErrors):
        made(inputs, out, max_errors=3)
    made(inputs, out)
    made(inputs, tmp_path / "other")
    assert files(out) == files(tmp_path / "other")


def full(*_: Any, **__: Any) -> None:
    raise OSError(28, "No space left on device")


def test_a_disk_that_is_full(inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At any write to the disk: an error, no part that is not whole, and the same folder once there is room."""
    made(inputs, tmp_path / "whole")
    real, at = os.fsync, 0
    while True:
        at += 1
        calls = 0

        def fsync(number: int, at: int = at) -> None:
            nonlocal calls
            calls += 1
            full() if calls == at else real(number)

        out = tmp_path / f"out{at}"
        with monkeypatch.context() as patch:
            patch.setattr("os.fsync", fsync)
            try:
                made(inputs, out)
            except OSError as e:
                assert e.errno == 28  # noqa: PT017  # the loop ends where nothing is raised
            else:
                break
        if (out / "_settings.json").exists():
            assert pipeline.verify(out).ok
        made(inputs, out)
        assert files(out) == files(tmp_path / "whole")
    assert at > 15


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of 36 KiB."""
    place = tmp_path / "small"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=36k", "tmpfs", str(place)]
    if os.name != "posix" or shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("no right to mount a file system")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


def test_a_small_disk(inputs: Path, small: Path, tmp_path: Path) -> None:
    """What fits is there and whole; the rest is an error, and done where there is room."""
    for form in ("parquet", "npz"):
        out = small / form
        with pytest.raises(OSError, match="No space left"):
            made(inputs, out, dtype="float32", form=form)
        check = pipeline.verify(out)
        assert check.ok
        assert 0 < check.parts < 5
        assert not list(out.glob(".recsketch*"))
        shutil.copytree(out, tmp_path / form)
        shutil.rmtree(out)
        made(inputs, tmp_path / form, dtype="float32", form=form)
        made(inputs, tmp_path / f"{form} whole", dtype="float32", form=form)
        assert files(tmp_path / form) == files(tmp_path / f"{form} whole")


# ---------------------------------------------------------------- arguments


def test_arguments(inputs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    empty = tmp_path / "empty"
    empty.mkdir()
    good: dict[str, Any] = {"inputs": inputs, "out": out, "spec": SPEC, "workers": 1}
    for name, bad in (
        *[("inputs", x) for x in (None, 3, [], [3], empty, [inputs / "a.parquet", inputs / "a.parquet"])],
        *[("out", x) for x in (None, 3, "a\0b")],
        *[("spec", x) for x in (None, "x", SPEC.to_json())],
        *[("dtype", x) for x in (None, "float64", "bfloat16", 3)],
        *[("form", x) for x in (None, "csv", 3)],
        *[("workers", x) for x in (0, -1, 1.5, "2", True)],
        *[("memory", x) for x in (0, -1, 1.5, "2G")],
        *[("max_errors", x) for x in (-1, 1.5, "2")],
        *[("dry_run", x) for x in (None, 1, "no")],
        *[("executor", x) for x in (3, "dask", object())],
    ):
        with pytest.raises((ValueError, TypeError), match=rf"^{name}(\[\d\])?: wanted .*; got") as caught:
            pipeline.run(**{**good, name: bad})
        assert len(str(caught.value)) < 400
    with pytest.raises(FileNotFoundError):
        made(tmp_path / "none.npz", out)
    with pytest.raises(ValueError, match=r"notes\.txt: wanted a file in \.npz or \.parquet or \.pq; got another"):
        made(inputs / "notes.txt", out)
    assert not out.exists()
    for read in (pipeline.read, pipeline.verify, lambda x: list(pipeline.parts(x))):
        with pytest.raises(ValueError, match="empty: wanted a folder of sketches; got another"):
            read(empty)
        with pytest.raises(FileNotFoundError):
            read(out)


def test_workers_fit_into_memory(inputs: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"memory: wanted at least \d+ bytes, for one worker; got 1000000"):
        made(inputs, tmp_path / "out", memory=10**6)
    assert made(inputs, tmp_path / "out", memory=600 << 20, workers=2).workers == 1
    assert made(inputs, tmp_path / "more", memory=8 << 30, workers=2).workers == 2


# ---------------------------------------------------------------- who does the work


def worked(item: int) -> int:
    if item == 3:
        os._exit(9)
    return item * item


def test_a_pool_is_rebuilt_when_a_process_dies() -> None:
    """What takes its process with it again and again is given up; all else is done."""
    found = dict(engine.drive(range(8), worked, lambda item: -item, 2, None))
    assert found == {item: -3 if item == 3 else item * item for item in range(8)}


def paused(item: int) -> int:
    """So slowly that the second process has begun before all is done."""
    threading.Event().wait(0.01)
    return item


@pytest.mark.parametrize("which", [0, 1])
def test_a_process_that_dies_at_the_end_holds_nobody_up(monkeypatch: pytest.MonkeyPatch, which: int) -> None:
    """One of two that wait for work holds the lock of their queue. Killed when told to go, it keeps the other."""
    manager = pytest.importorskip("concurrent.futures.process")._ExecutorManagerThread
    ask, found = manager.shutdown_workers, dict[int, int]()

    def killed_and_asked(self: Any) -> None:
        alive = [process for process in self.processes.values() if process.is_alive()]
        for process in alive[which : which + 1]:
            process.kill()
            process.join()
        ask(self)

    monkeypatch.setattr(manager, "shutdown_workers", killed_and_asked)
    items = range(300)
    driven = threading.Thread(target=lambda: found.update(engine.drive(items, paused, abs, 2, None)), daemon=True)
    driven.start()
    driven.join(60)
    for process in multiprocessing.active_children():
        process.kill()
    assert not driven.is_alive()
    assert found == {item: item for item in items}


def raised(item: int) -> int:
    if item == 3:
        raise OSError(28, "No space left on device")
    return item


def test_an_error_ends_the_work() -> None:
    with ThreadPoolExecutor(2) as pool:
        for executor, workers in ((None, 1), (None, 2), (pool, 2)):
            with pytest.raises(OSError, match="No space left"):
                list(engine.drive(range(100), raised, lambda item: item, workers, executor))


class Late(Executor):
    """Answers the newest first."""

    def __init__(self) -> None:
        self.most = 0
        self._waiting: list[tuple[Future[Any], Any]] = []

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self._waiting.append((future, lambda: fn(*args, **kwargs)))
        self.most = max(self.most, len(self._waiting))
        if len(self._waiting) == 3:
            while self._waiting:
                waiting, call = self._waiting.pop()
                waiting.set_result(call())
        return future


def test_answers_come_in_any_order(tmp_path: Path) -> None:
    for i in range(6):
        batch(10 * i, 10 * i + 5).save(tmp_path / f"{i}.npz")
    inputs = [tmp_path / f"{i}.npz" for i in range(6)]
    made(inputs, tmp_path / "late", executor=Late())
    made(inputs, tmp_path / "one")
    assert files(tmp_path / "late") == files(tmp_path / "one")


def test_blame_is_found_in_few_tries() -> None:
    """Items that a message names cost a try each, others the logarithm of their number."""
    for named in (True, False):
        tries: list[int] = []
        failed: list[int] = []

        def make(begin: int, end: int, named: bool = named, tries: list[int] = tries) -> range:
            tries.append(end - begin)
            bad = [i for i in (5, 6, 700) if begin <= i < end]
            if bad:
                raise ValueError(f"trace {bad[0] - begin}, object 0: wanted" if named else "wanted others")
            return range(begin, end)

        found = list(work._healthy(1000, make, lambda i, text, failed=failed: failed.append(i)))
        assert failed == [5, 6, 700]
        assert [i for part in found for i in part] == [i for i in range(1000) if i not in failed]
        assert len(tries) <= (7 if named else 50)
