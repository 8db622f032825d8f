"""What runs are called and when they were: kept by slices, files and `concat`; nothing else is taken for it."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import reference as ref
from columns import COLUMNS

import recsketch as rs

CLEAR = (ValueError, TypeError)
TIMES = np.array(["2026-01-01T12:00", "NaT", "1969-12-31T23:59:59.999999"], "datetime64[us]")
IDS = ["run 1", "", "läuft \U0001f600"]


def run(*modules: str) -> rs.Trace:
    t = rs.Trace()
    for i, name in enumerate(modules):
        t.add(name, [1.0 + i, 2.0], inputs=range(i))
    t.outputs([len(modules) - 1])
    return t


RUNS = [run("a"), run("b", "a", "a"), run("c", "a")]


@pytest.fixture
def batch() -> rs.TraceBatch:
    return rs.TraceBatch.from_traces(RUNS, ids=IDS, times=TIMES)


def labels(batch: rs.TraceBatch) -> tuple[Any, Any]:
    ids, times = batch.ids, batch.times
    return None if ids is None else ids.tolist(), None if times is None else times.view(np.int64).tolist()


def test_labels_are_columns(batch: rs.TraceBatch) -> None:
    assert batch.ids is not None
    assert batch.times is not None
    assert batch.ids.tolist() == IDS
    assert batch.ids.dtype.kind == "U"
    assert batch.times.dtype == "datetime64[us]"
    plain = rs.TraceBatch.from_traces(RUNS)
    assert labels(plain) == (None, None)
    assert list(plain) == list(batch) == RUNS
    columns = {name: getattr(batch, name) for name in COLUMNS}
    assert rs.TraceBatch(names=batch.names, ids=IDS, times=TIMES, **columns) == batch


def test_indices_take_labels_with_them(batch: rs.TraceBatch) -> None:
    for index in (slice(1, 3), slice(None, None, -1), slice(0, 0), [2, 0, 2], np.array([True, False, True]), [], [-1]):
        part = batch[index]
        rows = np.arange(3)[index if isinstance(index, slice) else np.asarray(index, None if len(index) else int)]
        assert labels(part) == ([IDS[i] for i in rows], TIMES[rows].view(np.int64).tolist())
        assert list(part) == [RUNS[i] for i in rows]
        assert part.names == batch.names
        assert labels(rs.TraceBatch.from_traces(RUNS)[index]) == (None, None)
    for name, dtype in COLUMNS.items():
        assert getattr(batch[[2, 0]], name).dtype == dtype, name


def test_picked_runs_are_their_traces(build: Any) -> None:
    """Against packing one by one, over random runs of many shapes; seeds are fixed."""
    rng = np.random.default_rng(3)
    spec = ref.RefSpec(128, build.MODULES, 1)
    runs = [build.trace(build.dag(rng, spec, int(rng.integers(1, 12)))) for _ in range(20)]
    batch = rs.TraceBatch.from_traces(runs)
    for _ in range(20):
        rows = rng.integers(0, 20, int(rng.integers(0, 9)))
        assert batch[rows] == rs.TraceBatch.from_traces([runs[i] for i in rows])
        parts = [rs.TraceBatch.from_traces(runs[i : i + 3]) for i in rows]
        assert rs.TraceBatch.concat(parts) == rs.TraceBatch.from_traces([r for i in rows for r in runs[i : i + 3]])


def test_equal_batches_have_equal_labels(batch: rs.TraceBatch) -> None:
    assert batch == rs.TraceBatch.from_traces(RUNS, ids=np.array(IDS, ">U40"), times=TIMES.astype(">M8[us]"))
    assert batch == batch[[0, 1, 2]]
    for ids, times in ((None, TIMES), (IDS, None), ([*IDS[:2], "x"], TIMES), (IDS, TIMES[::-1]), (None, None)):
        assert batch != rs.TraceBatch.from_traces(RUNS, ids=ids, times=times)


def test_files_keep_labels(batch: rs.TraceBatch, tmp_path: Path) -> None:
    for one in (
        batch,
        batch[:0],
        rs.TraceBatch.from_traces(RUNS, ids=IDS),
        rs.TraceBatch.from_traces(RUNS, times=TIMES),
        rs.TraceBatch.from_traces(RUNS),
        rs.TraceBatch.from_traces([], ids=[], times=[]),
    ):
        one.save(tmp_path / "x.npz")
        back = rs.TraceBatch.load(tmp_path / "x.npz")
        assert back == one
        assert labels(back) == labels(one)
        with np.load(tmp_path / "x.npz", allow_pickle=False) as f:
            assert ("ids" in f.files, "times" in f.files) == (one.ids is not None, one.times is not None)


def test_equal_batches_make_equal_files(batch: rs.TraceBatch) -> None:
    one = rs.TraceBatch.from_traces(RUNS[:1], ids=IDS[:1], times=TIMES[:1])
    assert one == batch[:1]
    assert one.ids is not None
    assert batch.ids is not None
    assert one.ids.dtype != batch.ids.dtype  # which has room for more
    files = [io.BytesIO(), io.BytesIO()]
    batch[[0]].save(files[0])
    rs.TraceBatch(**{**{n: getattr(one, n) for n in one.__slots__}, "names": batch.names}).save(files[1])
    assert files[0].getvalue() == files[1].getvalue()


BAD_IDS: dict[str, Any] = {
    "too few": IDS[:2],
    "a text": "abc",
    "numbers": [1, 2, 3],
    "an array of numbers": np.arange(3),
    "bytes": [b"a", b"b", b"c"],
    "none in one": ["a", None, "c"],
    "two dimensions": np.array([IDS]),
    "NUL inside": ["a", "b\0c", "d"],
    "NUL at the end": ["a", "b", "d\0"],
    "NUL in an array": np.array(["a\0b", "b", "d"]),
    "half a character": ["a", "\ud800", "c"],
    "half a character in an array": np.array(["a", "\udfff", "c"]),
    "long": ["a", "b", "c" * 1001],
    "long in an array": np.array(["a", "b", "c" * 1001]),
    "a set": {"a", "b", "c"},
    "no character": np.array([1, 2, 0x110000], np.uint32).view("U1"),
}
BAD_TIMES: dict[str, Any] = {
    "too few": TIMES[:2],
    "numbers": [1, 2, 3],
    "an array of numbers": np.arange(3),
    "durations": np.arange(3).astype("m8[us]"),
    "texts": ["2026-01-01"] * 3,
    "two dimensions": TIMES[None],
    "a moment": TIMES[0],
    "beyond microseconds": np.array([0, 1, 400_000], "M8[Y]"),
}


@pytest.mark.parametrize("what", BAD_IDS)
def test_ids_that_are_none(what: str) -> None:
    with pytest.raises(CLEAR, match=r"^ids(\[\d\])?: wanted .*; got") as caught:
        rs.TraceBatch.from_traces(RUNS, ids=BAD_IDS[what])
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("what", BAD_TIMES)
def test_times_that_are_none(what: str) -> None:
    with pytest.raises(CLEAR, match=r"^times(\[\d\])?: wanted .*; got") as caught:
        rs.TraceBatch.from_traces(RUNS, times=BAD_TIMES[what])
    assert len(str(caught.value)) < 300


def test_other_forms_of_labels() -> None:
    """Other units, byte orders and strides, the longest id, datetimes with a zone and without."""
    moments: list[Any] = [m.item() for m in TIMES]
    pandas_like = np.array(moments, object)
    for times in (TIMES.astype("M8[ns]"), TIMES.astype(">M8[us]"), np.repeat(TIMES, 2)[::2], moments, pandas_like):
        got = rs.TraceBatch.from_traces(RUNS, times=times).times
        assert got is not None
        assert np.array_equal(got, TIMES, equal_nan=True)
    zone = type(moments[0]).fromisoformat("2026-01-01T14:00:00+02:00")
    got = rs.TraceBatch.from_traces(RUNS[:2], times=[zone, np.datetime64("2026-01-01T12", "h")]).times
    assert got is not None
    assert got.tolist() == [moments[0]] * 2
    days = rs.TraceBatch.from_traces(RUNS, times=TIMES.astype("M8[D]")).times
    assert np.array_equal(days, TIMES.astype("M8[D]"), equal_nan=True)
    long = ["x" * 1000, "", "y"]
    for ids in (long, np.array(long, "U5000"), np.array(long, object), np.repeat(np.array(long), 2)[::2]):
        got = rs.TraceBatch.from_traces(RUNS, ids=ids).ids
        assert got is not None
        assert got.tolist() == long


def test_concat(batch: rs.TraceBatch) -> None:
    other = rs.TraceBatch.from_traces([run("d", "b"), run("c")], ids=["longer than the others", "x"], times=TIMES[:2])
    both = rs.TraceBatch.concat([batch, other])
    assert list(both) == [*RUNS, *other]
    assert both.names == ("a", "b", "c", "d") == tuple(dict.fromkeys(batch.names + other.names))
    assert labels(both) == (IDS + other.ids.tolist(), [*labels(batch)[1], *labels(other)[1]])
    for name, dtype in COLUMNS.items():
        assert getattr(both, name).dtype == dtype, name
    none = rs.TraceBatch.from_traces([])
    assert rs.TraceBatch.concat([none, batch, none]) == batch
    assert rs.TraceBatch.concat([]) == rs.TraceBatch.concat(iter([none, none])) == none
    assert rs.TraceBatch.concat([batch[:1], batch[1:]]) == batch
    plain = rs.TraceBatch.concat([rs.TraceBatch.from_traces(RUNS, times=TIMES), batch])
    assert plain.ids is None
    assert plain.times is not None
    for bad in (batch, [batch, RUNS[0]], [None], None, 3, "abc"):
        with pytest.raises(CLEAR, match=r"^batches(\[\d\])?: wanted .*; got"):
            rs.TraceBatch.concat(bad)  # type: ignore[arg-type]


def test_labels_change_no_sketch(batch: rs.TraceBatch) -> None:
    sk = rs.Sketcher(rs.SketchSpec(64, {"a": 2, "b": 2, "c": 2}))
    assert np.array_equal(sk.sketch(batch), sk.sketch(RUNS))
