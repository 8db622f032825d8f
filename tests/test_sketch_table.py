"""Sketches as tables: what goes in comes out, and the load in a row is the load that a plan finds."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import reference as ref
from hypothesis import given, settings
from hypothesis import strategies as st

import recsketch as rs
from recsketch.sketching.load import unknowns

SPEC = rs.SketchSpec(64, {"a": 2, "b": 3}, seed=5)


def table(n: int, dtype: str, ids: bool = True, times: bool = True, seed: int = 0) -> rs.SketchTable:
    rng = np.random.default_rng(seed)
    return rs.SketchTable(
        SPEC,
        rs.pack(rng.standard_normal((n, 64)) * 10.0 ** rng.integers(-9, 9, (n, 1)), dtype),
        rng.integers(1, 9, n),
        rng.integers(1, 2**40, n),
        [f"run {i}" * (i % 3) for i in range(n)] if ids else None,
        np.where(np.arange(n) % 2, rng.integers(-(2**60), 2**60, n), -(2**63)).view("M8[us]") if times else None,
    )


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    n=st.integers(0, 9),
    dtype=st.sampled_from(["float32", "float16", "bfloat16", "int8"]),
    ids=st.booleans(),
    times=st.booleans(),
    seed=st.integers(0, 99),
)
def test_round_trips_are_exact(n: int, dtype: str, ids: bool, times: bool, seed: int) -> None:
    want = table(n, dtype, ids, times, seed)
    ways: list[Any] = [(rs.SketchTable.to_npz, rs.SketchTable.from_npz)]
    if dtype != "bfloat16":
        pytest.importorskip("pyarrow")
        ways.append((rs.SketchTable.to_parquet, rs.SketchTable.from_parquet))
        ways.append((rs.SketchTable.to_ipc, rs.SketchTable.from_ipc))
    for write, read in ways:
        file = io.BytesIO()
        write(want, file)
        file.seek(0)
        found = read(file)
        assert found == want
        assert found.sketches.values.tobytes() == want.sketches.values.tobytes()
        assert (found.ids is None, found.times is None) == (not ids, not times)
    assert rs.SketchTable.concat([want[: n // 2], want[n // 2 :]]) == want
    assert want[np.arange(n)[::-1]][::-1] == want


def test_the_schema_is_that_of_the_format(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    for dtype, kind in (("float32", "float"), ("float16", "halffloat"), ("int8", "int8")):
        table(5, dtype).to_parquet(tmp_path / "x.parquet")
        found = pq.read_table(tmp_path / "x.parquet")
        assert found.schema.names == ["run_id", "time", "sketch", "scale", "noise", "objects", "unknowns", "load"]
        assert str(found.schema.field("sketch").type) == f"fixed_size_list<element: {kind} not null>[64]"
        assert found.schema.field("time").type == pa.timestamp("us", tz="UTC")
        about = json.loads(found.schema.metadata[b"recsketch.spec"])
        assert rs.SketchSpec.from_json(json.dumps(about["spec"])) == SPEC
        assert np.array_equal(found["load"].to_numpy(), table(5, dtype).load)
    polars = pytest.importorskip("polars")
    assert polars.DataFrame(table(5, "float32"))["objects"].to_list() == table(5, "float32").objects.tolist()
    with pytest.raises(ValueError, match="dtype: wanted 'float32' or 'float16' or 'int8'; got 'bfloat16'"):
        table(5, "bfloat16").to_parquet(tmp_path / "y.parquet")


def test_arrow_files_have_the_rows_of_parquet(tmp_path: Path) -> None:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    table(5, "float16").to_ipc(tmp_path / "x.arrow")
    table(5, "float16").to_parquet(tmp_path / "x.parquet")
    assert pa.ipc.open_file(tmp_path / "x.arrow").read_all().equals(pq.read_table(tmp_path / "x.parquet"))


def test_row_groups_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr("recsketch._arrow.GROUP", 3 * 128)
    table(10, "float16").to_parquet(tmp_path / "x.parquet")
    found = pq.ParquetFile(tmp_path / "x.parquet").metadata
    assert [found.row_group(i).num_rows for i in range(found.num_row_groups)] == [3, 3, 3, 1]
    assert rs.SketchTable.from_parquet(tmp_path / "x.parquet") == table(10, "float16")


def test_what_is_no_table() -> None:
    good: dict[str, Any] = {name: getattr(table(3, "float16"), name) for name in rs.SketchTable.__dataclass_fields__}
    for name, bad in (
        *[("spec", x) for x in (None, "x", SPEC.replace(dim=128))],
        *[("sketches", x) for x in (None, np.ones((3, 64)), rs.pack(np.ones(64)), rs.pack(np.ones((3, 128))))],
        *[(name, x) for name in ("objects", "unknowns") for x in (None, [1, 2], [1.5] * 3, ["a"] * 3, [2**70] * 3)],
        *[("ids", x) for x in (["a"], [1, 2, 3])],
        *[("times", x) for x in ([None], [1, 2, 3])],
    ):
        with pytest.raises((ValueError, TypeError), match=rf"^({name}|sketches)(\[\d\])?: wanted .*; got"):
            rs.SketchTable(**{**good, name: bad})
    for bad in ([], [3], None, [table(1, "float16"), table(1, "int8")]):
        with pytest.raises((ValueError, TypeError), match=r"^tables(\[\d\])?: wanted .*; got"):
            rs.SketchTable.concat(bad)  # type: ignore[arg-type]
    other = replace(table(1, "float16"), spec=SPEC.replace(seed=6))
    with pytest.raises(ValueError, match=r"tables\[1\]: wanted the first one's specification"):
        rs.SketchTable.concat([table(1, "float16"), other])
    with pytest.raises(TypeError, match="index: wanted a slice"):
        table(3, "int8")[1]  # type: ignore[index]


def test_damaged_files(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    checked = (("to_parquet", rs.SketchTable.from_parquet), ("to_npz", rs.SketchTable.from_npz))
    for write, read in (*checked, ("to_ipc", rs.SketchTable.from_ipc)):
        file = io.BytesIO()
        getattr(table(5, "float16"), write)(file)
        content, told = file.getvalue(), 0
        for cut in range(0, len(content), 97):
            (tmp_path / "bad").write_bytes(content[:cut])
            with pytest.raises(ValueError, match="bad: wanted a"):
                read(tmp_path / "bad")
        for place in range(0, len(content), 29):
            (tmp_path / "bad").write_bytes(content[:place] + bytes([content[place] ^ 0x33]) + content[place + 1 :])
            try:
                found = read(tmp_path / "bad")
            except ValueError:
                told += 1
            else:
                assert len(found) == 5
                if write != "to_ipc":  # without checksums
                    assert found.sketches == table(5, "float16").sketches
        assert told > 10
    rs.TraceBatch.from_traces([]).to_parquet(tmp_path / "runs")
    with pytest.raises(ValueError, match=r"recsketch\.spec: wanted spec, dtype, ids and times in the schema"):
        rs.SketchTable.from_parquet(tmp_path / "runs")


def test_unknowns_are_those_of_a_plan(build: Any) -> None:
    """Over random runs with dead objects, weights of zero, shared objects, signatures and second moments."""
    rng = np.random.default_rng(0)
    spec = ref.RefSpec(128, build.MODULES, 1)
    runs = [build.trace(build.dag(rng, spec, int(rng.integers(1, 15)))) for _ in range(60)]
    for _ in range(20):
        t = rs.Trace()
        for i in range(int(rng.integers(2, 12))):
            k = int(rng.integers(0, 3)) if i else 0
            weights = rng.integers(0, 2, k) + np.eye(1, k)[0] if k else []
            t.add(
                *list({n: np.ones(a) for n, a in build.MODULES.items()}.items())[i % 2],
                rng.integers(0, max(i, 1), k),
                weights,
            )
        t.outputs([len(t) - 1, 0], [1, int(rng.integers(0, 2))])
        runs.append(t)
    batch = rs.TraceBatch.from_traces(runs)
    first = next(iter(build.MODULES))
    for one in (
        rs.SketchSpec(1024, build.MODULES),
        rs.SketchSpec(1024, build.MODULES, signature=3),
        rs.SketchSpec(1024, build.MODULES, attributes="linear", second_moment=[first]),
    ):
        want = rs.Sketcher(one).load(batch) * 1024
        assert np.array_equal(unknowns(one, batch), want)
        assert np.array_equal(unknowns(one, batch[5:9]), want[5:9])
    assert unknowns(rs.SketchSpec(1024, build.MODULES), batch[:0]).shape == (0,)
