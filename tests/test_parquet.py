"""Runs as tables: what goes in comes out, from every kind of column, and nothing else is taken for runs."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from columns import COLUMNS
from hypothesis import given, settings
from hypothesis import strategies as st

import recsketch as rs
from recsketch.runs import parquet

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

TEXT = st.text(st.characters(exclude_characters="\0", codec="utf-8"), min_size=1, max_size=6)
FLOAT = st.floats(width=32, allow_nan=False, allow_infinity=False)
WEIGHT = st.floats(0, 1e6).filter(lambda w: w > 0)


@st.composite
def traces(draw: Any, names: list[str]) -> rs.Trace:
    t = rs.Trace()
    for i in range(draw(st.integers(1, 5))):
        inputs = draw(st.lists(st.integers(0, i - 1), max_size=4)) if i else []
        weights = draw(st.lists(WEIGHT, min_size=len(inputs), max_size=len(inputs)))
        attribute = draw(st.lists(FLOAT, min_size=1, max_size=4))
        t.add(draw(st.sampled_from(names)), np.array(attribute, np.float32), inputs, weights if inputs else None)
    outputs = draw(st.lists(st.integers(0, len(t) - 1), min_size=1, max_size=3))
    t.outputs(outputs, draw(st.lists(WEIGHT, min_size=len(outputs), max_size=len(outputs))))
    return t


@st.composite
def batches(draw: Any) -> rs.TraceBatch:
    names = draw(st.lists(TEXT, min_size=1, max_size=4, unique=True))
    runs = draw(st.lists(traces(names), max_size=5))
    n = len(runs)
    ids = draw(st.none() | st.lists(st.one_of(st.just(""), TEXT), min_size=n, max_size=n))
    moments = st.lists(st.integers(-(2**63), 2**63 - 1), min_size=n, max_size=n)
    times = draw(st.none() | moments.map(lambda x: np.array(x, np.int64).view("M8[us]")))
    return rs.TraceBatch.from_traces(runs, ids=ids, times=times)


def exactly(a: rs.TraceBatch, b: rs.TraceBatch) -> bool:
    """Equal to the bit, names and all: -0.0 is not 0.0."""
    same = all(getattr(a, name).tobytes() == getattr(b, name).tobytes() for name in COLUMNS)
    return same and a == b and a.names == b.names and (a.ids is None) == (b.ids is None)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(batch=batches())
def test_round_trips_are_exact(batch: rs.TraceBatch) -> None:
    for write, read in (
        (rs.TraceBatch.save, rs.TraceBatch.load),
        (rs.TraceBatch.to_parquet, rs.TraceBatch.from_parquet),
    ):
        file = io.BytesIO()
        write(batch, file)
        file.seek(0)
        assert exactly(read(file), batch)
    assert exactly(rs.TraceBatch.from_arrow(batch.to_arrow()), batch)
    cut = batch.to_arrow().slice(1, 2)  # offsets that do not begin at 0
    assert rs.TraceBatch.from_arrow(cut) == batch[1:3]
    assert rs.TraceBatch.from_arrow(pa.concat_tables([cut, batch.to_arrow()])) == rs.TraceBatch.concat(
        [batch[1:3], batch]
    )


def run(seed: int, objects: int = 4) -> rs.Trace:
    rng = np.random.default_rng(seed)
    t = rs.Trace()
    for i in range(objects):
        t.add("ab"[i % 2], rng.standard_normal(3), range(i), rng.random(i) + 0.1)
    t.outputs([objects - 1, 0], [1, 2])
    return t


@pytest.fixture
def batch() -> rs.TraceBatch:
    times = np.array(["2026-01-01T00:00:01", "NaT", "1900-01-01"], "M8[us]")
    return rs.TraceBatch.from_traces([run(i) for i in range(3)], ids=["x", "", "ä"], times=times)


def test_the_schema_is_that_of_the_format(batch: rs.TraceBatch, tmp_path: Path) -> None:
    batch.to_parquet(tmp_path / "x.parquet")
    found = pq.read_schema(tmp_path / "x.parquet")
    assert found.names == ["run_id", "time", "source", "objects", "outputs", "output_weights", "meta"]
    assert found.field("time").type == pa.timestamp("us", tz="UTC")
    assert found.field("run_id").type == found.field("meta").type == pa.string()
    assert pa.types.is_dictionary(found.field("source").type)
    struct = found.field("objects").type.value_type
    assert pa.types.is_large_list(found.field("objects").type)
    assert [f.name for f in struct] == ["module", "attribute", "inputs", "weights"]
    assert [str(f.type.value_type) for f in struct] == ["string", "float", "int32", "double"]
    assert all(pa.types.is_large_list(f.type) for f in list(struct)[1:])
    assert b"recsketch.runs" in found.metadata
    rows = pq.read_table(tmp_path / "x.parquet").to_pylist()
    assert [r["run_id"] for r in rows] == ["x", "", "ä"]
    assert [r["time"] for r in rows][1] is None
    for row, trace in zip(rows, batch, strict=True):
        assert [o["module"] for o in row["objects"]] == [o.module for o in trace.objects]
        assert [tuple(o["inputs"]) for o in row["objects"]] == [o.inputs for o in trace.objects]
        assert [tuple(o["weights"]) for o in row["objects"]] == [o.weights for o in trace.objects]
        assert row["outputs"] == list(trace.output_ids)


def test_equal_batches_make_equal_files(batch: rs.TraceBatch) -> None:
    files = [io.BytesIO(), io.BytesIO()]
    batch.to_parquet(files[0])
    batch[[0, 1, 2]].to_parquet(files[1])
    assert files[0].getvalue() == files[1].getvalue()


def test_row_groups_are_bounded_and_read_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = rs.TraceBatch.from_traces([run(i, 1 + i % 7) for i in range(40)])
    monkeypatch.setattr("recsketch._arrow.GROUP", 2000)
    path = tmp_path / "x.parquet"
    runs.to_parquet(path)
    groups = parquet.groups(path)
    assert sum(rows for rows, _ in groups) == 40
    before, row = parquet.sizes(runs), 0
    for rows, _ in groups:
        assert rows == 1 or before[row + rows] - before[row] <= 2000
        row += rows
    assert len(groups) > 5
    ends = np.cumsum([0, *(rows for rows, _ in groups)])
    assert rs.TraceBatch.from_parquet(path) == runs
    for i in range(len(groups)):
        assert rs.TraceBatch.from_parquet(path, [i]) == runs[ends[i] : ends[i + 1]]
    assert len(rs.TraceBatch.from_parquet(path, [])) == 0
    assert rs.TraceBatch.from_parquet(path, [2, 0])[: groups[2][0]] == runs[ends[2] : ends[3]]
    for bad in (len(groups), -1, "0", 0.5):
        with pytest.raises((ValueError, TypeError), match="groups: wanted an integer"):
            rs.TraceBatch.from_parquet(path, [bad])  # type: ignore[list-item]


def test_the_size_of_a_row_is_that_of_its_columns(batch: rs.TraceBatch) -> None:
    """20 bytes an object: module and two offsets; a run two offsets, an id and a time, some 40."""
    flat = sum(getattr(batch, name).nbytes for name in ("attributes", "inputs", "weights", "outputs", "output_weights"))
    assert parquet.sizes(batch)[-1] == flat + 20 * batch.module.size + 40 * len(batch)


def test_tables_of_others(batch: rs.TraceBatch) -> None:
    polars = pytest.importorskip("polars")
    pandas = pytest.importorskip("pandas")
    assert rs.TraceBatch.from_arrow(polars.DataFrame(batch)) == batch
    frame = batch.to_arrow().to_pandas()
    assert isinstance(frame, pandas.DataFrame)
    assert rs.TraceBatch.from_arrow(frame) == batch
    rows = [{"objects": [{"module": "a", "attribute": [1.5]}], "outputs": [0]}] * 2
    for table in (polars.DataFrame(rows), pandas.DataFrame(rows), pa.Table.from_pylist(rows)):
        found = rs.TraceBatch.from_arrow(table)
        trace = rs.Trace()
        trace.outputs([trace.add("a", [1.5])])
        assert found == rs.TraceBatch.from_traces([trace, trace])


def widened(table: Any, **columns: Any) -> Any:
    for name, column in columns.items():
        i = table.schema.get_field_index(name)
        table = table.append_column(name, column) if i < 0 else table.set_column(i, name, column)
    return table.replace_schema_metadata(None)


def objects(rows: Any, **types: Any) -> Any:
    """The column, with other types of its fields."""
    kinds = {
        "module": pa.string(),
        "attribute": pa.list_(pa.float64()),
        "inputs": pa.list_(pa.int64()),
        "weights": pa.list_(pa.float32()),
    }
    return pa.array(rows, pa.list_(pa.struct({**kinds, **types})))


ROWS = [
    [
        {"module": "a", "attribute": [1.0, 2.0], "inputs": [], "weights": []},
        {"module": "b", "attribute": [3.0, 4.0], "inputs": [0, 0], "weights": [1.0, 3.0]},
    ],
    [{"module": "b", "attribute": [5.0, 6.0], "inputs": [], "weights": []}],
]
OUTPUTS = [[1], [0]]


def test_other_types_of_columns() -> None:
    t, u = rs.Trace(), rs.Trace()
    a = t.add("a", [1, 2])
    t.outputs([t.add("b", [3, 4], [a, a], [1, 3])])
    u.outputs([u.add("b", [5, 6])])
    want = rs.TraceBatch.from_traces([t, u])
    outputs = pa.array(OUTPUTS)
    fixed = pa.list_(pa.float32(), 2)
    for types in (
        {},
        {"module": pa.large_string()},
        {"module": pa.dictionary(pa.int8(), pa.string())},
        {"attribute": fixed},
        {"attribute": pa.list_(pa.int8())},
        {"inputs": pa.large_list(pa.uint16())},
        {"weights": pa.list_(pa.int32())},
    ):
        assert rs.TraceBatch.from_arrow(pa.table({"outputs": outputs, "objects": objects(ROWS, **types)})) == want
    halves = [[{**o, "attribute": np.array(o["attribute"], np.float16)} for o in run] for run in ROWS]
    column = objects(halves, attribute=pa.large_list(pa.float16()))
    assert rs.TraceBatch.from_arrow(pa.table({"outputs": outputs, "objects": column})) == want
    for kind in (pa.list_(pa.uint8()), pa.large_list(pa.int64()), pa.list_(pa.int32(), 1)):
        table = pa.table({"outputs": pa.array(OUTPUTS, kind), "objects": objects(ROWS)})
        assert rs.TraceBatch.from_arrow(table) == want
    table = pa.table({"outputs": outputs, "objects": objects(ROWS), "other": [1, 2], "run_id": [7, None]})
    named = rs.TraceBatch.from_arrow(table)
    assert named.ids is not None
    assert named.ids.tolist() == ["7", ""]
    micro = np.array(["2026-01-01T01", "NaT"], "M8[us]")
    for column in (
        pa.array(micro),
        pa.array(micro.astype("M8[s]")),
        pa.array(micro.astype("M8[ns]")).cast(pa.timestamp("ns", tz="Asia/Tokyo")),
    ):
        times = rs.TraceBatch.from_arrow(widened(table, time=column)).times
        assert np.array_equal(times, micro, equal_nan=True)
    empty = widened(table, time=pa.nulls(2, pa.timestamp("s")), run_id=pa.nulls(2))
    assert rs.TraceBatch.from_arrow(empty) == want


def test_weights_that_are_not_told_are_one() -> None:
    rows = [[{**o, "weights": None} for o in row] for row in ROWS]
    rows[0][0]["inputs"] = None
    want = [1.0, 1.0]
    outputs = pa.array(OUTPUTS)
    assert rs.TraceBatch.from_arrow(pa.table({"outputs": outputs, "objects": objects(rows)})).weights.tolist() == want
    mixed = [ROWS[0], [*ROWS[1], {"module": "a", "attribute": [0.0], "inputs": [0, 0], "weights": None}]]
    table = pa.table({"outputs": outputs, "objects": objects(mixed), "output_weights": [None, [4]]})
    found = rs.TraceBatch.from_arrow(table)
    assert found.weights.tolist() == [1, 3, 1, 1]
    assert found.output_weights.tolist() == [1, 4]


def bad_tables() -> dict[str, Any]:
    good = pa.table({"outputs": pa.array(OUTPUTS), "objects": objects(ROWS)})

    def other(**field: Any) -> Any:
        return widened(good, objects=objects([[{**ROWS[0][0], **field}], ROWS[1]]))

    return {
        "no outputs": good.drop_columns(["outputs"]),
        "no objects": good.drop_columns(["objects"]),
        "objects twice": good.append_column("objects", good["objects"]),
        "no lists": widened(good, objects=pa.array([1, 2])),
        "lists of numbers": widened(good, objects=pa.array([[1], [2]])),
        "a null run": widened(good, objects=objects([None, ROWS[1]])),
        "a null object": widened(good, objects=objects([[None], ROWS[1]])),
        "a null module": other(module=None),
        "an empty module": other(module=""),
        "a null attribute": other(attribute=None),
        "a null number": other(attribute=[1.0, None]),
        "a null input": other(inputs=[None]),
        "other weights": other(weights=[1.0]),
        "null outputs": widened(good, outputs=pa.array([[1], None])),
        "a null output": widened(good, outputs=pa.array([[1], [None]])),
        "outputs of floats": widened(good, outputs=pa.array([[1.5], [0.0]])),
        "outputs of texts": widened(good, outputs=pa.array([["1"], ["0"]])),
        "outputs beyond": widened(good, outputs=pa.array([[2**40], [0]])),
        "more weights than outputs": widened(good, output_weights=pa.array([[1.0], [1.0, 2.0]])),
        "attributes of texts": widened(
            good, objects=objects([[{**ROWS[0][0], "attribute": ["x"]}], []], attribute=pa.list_(pa.string()))
        ),
        "modules of numbers": widened(good, objects=objects([[{**ROWS[0][0], "module": 3}], []], module=pa.int32())),
        "times of texts": widened(good, time=pa.array(["a", "b"])),
        "long ids": widened(good, run_id=pa.array(["a" * 1001, "b"])),
        "ids with NUL": widened(good, run_id=pa.array(["a\0", "b"])),
        "another format": good.replace_schema_metadata({"recsketch.runs": '{"recsketch": 2}'}),
        "no JSON": good.replace_schema_metadata({"recsketch.runs": "{"}),
        "other JSON": good.replace_schema_metadata({"recsketch.runs": '{"recsketch": 1, "x": 2}'}),
        "names that are none": good.replace_schema_metadata(
            {"recsketch.runs": '{"recsketch": 1, "names": [3], "ids": false, "times": false}'}
        ),
    }


BAD = bad_tables()


@pytest.mark.parametrize("what", BAD)
def test_tables_that_are_no_runs(what: str, tmp_path: Path) -> None:
    with pytest.raises((ValueError, TypeError), match=r"wanted .*; got") as caught:
        rs.TraceBatch.from_arrow(BAD[what])
    assert len(str(caught.value)) < 400
    pq.write_table(BAD[what], tmp_path / "bad.parquet")
    with pytest.raises(ValueError, match=r"bad\.parquet: wanted a Parquet file of runs: .*wanted .*; got"):
        rs.TraceBatch.from_parquet(tmp_path / "bad.parquet")


@pytest.mark.parametrize("bad", [None, 3, "x", [1], np.zeros(3), {"objects": []}], ids=repr)
def test_what_is_no_table(bad: Any) -> None:
    with pytest.raises(TypeError, match=r"data: wanted a table .*; got"):
        rs.TraceBatch.from_arrow(bad)


def test_truncated_and_flipped_files(batch: rs.TraceBatch, tmp_path: Path) -> None:
    """Refused, or what changed means nothing; page check sums see what changed in the data."""
    file, path = io.BytesIO(), tmp_path / "bad.parquet"
    batch.to_parquet(file)
    content = file.getvalue()
    for cut in sorted({0, 3, 4, 8, len(content) - 1, len(content) - 8, *range(0, len(content), 211)}):
        path.write_bytes(content[:cut])
        with pytest.raises(ValueError, match=r"bad\.parquet: wanted a Parquet file of runs"):
            rs.TraceBatch.from_parquet(path)
    told = 0
    for place in range(4, len(content), 37):
        path.write_bytes(content[:place] + bytes([content[place] ^ 0x5A]) + content[place + 1 :])
        try:
            found = rs.TraceBatch.from_parquet(path)
        except ValueError:
            told += 1
            continue
        assert len(found) == len(batch)
        assert np.array_equal(found.attributes, batch.attributes)
    assert told > 20


def test_other_files(tmp_path: Path) -> None:
    path = tmp_path / "bad.parquet"
    for content in (b"", b"PK\x03\x04", b"PAR1", b"PAR1PAR1", b"PAR1" * 100):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"bad\.parquet: wanted a Parquet file of runs"):
            rs.TraceBatch.from_parquet(path)
    with pytest.raises(FileNotFoundError):
        rs.TraceBatch.from_parquet(tmp_path / "none.parquet")


def test_without_pyarrow(batch: rs.TraceBatch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    for call in (batch.to_arrow, lambda: batch.to_parquet(io.BytesIO()), lambda: rs.TraceBatch.from_parquet("x")):
        with pytest.raises(ImportError, match=r"recsketch\[arrow\]"):
            call()
