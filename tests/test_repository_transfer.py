"""A repository to a file and back, with what runs are made of: npz and Parquet; files that lie are refused."""

from __future__ import annotations

import io
import json
import random
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from repositories import SPEC, rows, run

import recsketch as rs

DTYPES = ("float32", "float16", "int8", "int8+float16")
FORMS = ("npz", "parquet")


@pytest.fixture
def filled(folder: Path) -> Any:
    """Runs with objects, runs without, and sketches."""
    with rs.SketchRepository.open(folder / "filled", SPEC, mode="a") as r:
        r.add([run(i) for i in range(3)], ["c", "ä\n\x01", "b"], [{"n": i, "t": "x"} for i in range(3)], objects=True)
        r.add(run(4), "d")
        r.add(rows(2), ["e", "a"])
        yield r


def needs(form: str) -> None:
    if form == "parquet":
        pytest.importorskip("pyarrow")


def bytes_of(r: rs.SketchRepository, form: str) -> bytes:
    file = io.BytesIO()
    r.export(file, form)
    return file.getvalue()


def same(a: rs.SketchRepository, b: rs.SketchRepository) -> None:
    assert [*a] == [*b]
    assert all(a.get(key) == b.get(key) for key in a)
    graphs = [r.graph(k=0) for r in (a, b)]
    lines = [sorted(json.dumps(x, sort_keys=True) for x in json.loads(g.to_json())["edges"]) for g in graphs]
    assert lines[0] == lines[1]
    assert sorted(graphs[0].nodes) == sorted(graphs[1].nodes)
    assert a.search_objects("ear", [1, 2, 3], 9) == b.search_objects("ear", [1, 2, 3], 9)
    assert b.check().ok, b.check()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_all_of_it_comes_back(folder: Path, dtype: str, form: str) -> None:
    """Bit by bit, into a repository that has other runs already; a file is told by its first bytes."""
    needs(form)
    with rs.SketchRepository.open(folder / "a", SPEC, mode="a", dtype=dtype) as a:
        a.add([run(i) for i in range(3)], ["c", "ä", "b"], [{"n": i} for i in range(3)], objects=True)
        a.add(run(4), "d")
        a.add(rows(2), ["e", "f"])
        a.delete("b")
        a.export(folder / f"x.{form}")
        with rs.SketchRepository.open(folder / "b", SPEC, mode="a", dtype=dtype) as b:
            b.add([run(9)], ["other"], objects=True)
            assert b.import_(folder / f"x.{form}") == ["c", "d", "e", "f", "ä"]
            b.delete("other")
            same(a, b)
            with pytest.raises(ValueError, match="keys: wanted new ones; got"):
                b.import_(io.BytesIO((folder / f"x.{form}").read_bytes()))
    other = rs.SketchRepository.open(folder / "c", SPEC.replace(seed=3), mode="a")
    with other, pytest.raises(ValueError, match="spec: wanted the repository's seed, 3; got 0"):
        other.import_(folder / f"x.{form}")


@pytest.mark.parametrize("form", FORMS)
def test_nothing_and_sketches_alone(folder: Path, form: str) -> None:
    needs(form)
    with rs.SketchRepository.open(folder / "a", SPEC, mode="a") as a:
        assert a.import_(io.BytesIO(bytes_of(a, form))) == []
        a.add(rows(3))
        with rs.SketchRepository.open(folder / "b", SPEC, mode="a") as b:
            b.import_(io.BytesIO(bytes_of(a, form)))
            same(a, b)


def test_which_form(filled: Any, folder: Path) -> None:
    pytest.importorskip("pyarrow")
    for name, form, magic in (("x.PARQUET", None, b"PAR1"), ("x.npz", "parquet", b"PAR1"), ("x.parquet", "npz", b"PK")):
        filled.export(folder / name, form)
        assert (folder / name).read_bytes().startswith(magic)
    with open(folder / "y.parquet", "wb") as file:
        filled.export(file)
    assert (folder / "y.parquet").read_bytes().startswith(b"PAR1")
    assert bytes_of(filled, "npz") == bytes_of(filled, "npz")
    with pytest.raises(ValueError, match=r"^form: wanted 'npz' or 'parquet'; got 'csv'"):
        filled.export(folder / "z", "csv")


def test_without_pyarrow(filled: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "x").write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    for call in (lambda: filled.export(folder / "x.parquet"), lambda: filled.import_(folder / "x")):
        with pytest.raises(
            ImportError, match=r"^path: wanted pyarrow for Parquet, of pip install 'recsketch\[arrow\]'"
        ):
            call()
    assert not (folder / "x.parquet").exists()


def test_others_read_parquet(filled: Any, folder: Path) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    filled.export(folder / "x.parquet")
    found = pq.read_table(folder / "x.parquet").to_pylist()
    assert [row["key"] for row in found] == [*filled]
    first = found[[row["key"] for row in found].index("c")]
    assert json.loads(first["metadata"]) == {"n": 0, "t": "x"}
    assert np.array_equal(np.float32(first["sketch"]), filled.get("c").sketch)
    assert sorted((o["module"], o["path"]) for o in first["objects"]) == [
        ("ear", [0, 0]),
        ("ear", [0, 1]),
        ("eye", [0]),
    ]
    top = next(use for use in first["inputs"] if use["user"] == -1)
    assert (first["objects"][top["object"]]["module"], top["weight"]) == ("eye", 1.0)
    assert found[0]["key"] == "a"
    assert (found[0]["order"], found[0]["objects"], found[0]["inputs"]) == (None, None, None)


# ---------------------------------------------------------------- files that lie


@pytest.mark.parametrize(
    ("array", "change", "message"),
    [
        ("run", [0, 0, 0, 9], "run: wanted numbers from 0 to 5"),
        ("run", [3, 0, 0, 3], "run: wanted numbers that ascend"),
        ("module", 7, "module: wanted numbers from 0 to 1"),
        ("module", -1, "module: wanted numbers from 0 to 1"),
        ("depth", 0, "depth: wanted numbers from 1"),
        ("depth", 2, "path, attribute: wanted as many numbers as their objects have"),
        ("depth", 2**31 - 1, "depth: wanted numbers from 1"),
        ("path", -1, "path: wanted numbers from 0"),
        ("path", 0, "path, position: wanted each once in a run"),
        ("confidence", float("nan"), "confidence: wanted numbers from 0.0 to 1.0"),
        ("confidence", 1.5, "confidence: wanted numbers from 0.0 to 1.0"),
        ("attribute", float("inf"), "attribute: wanted numbers from -1e"),
        ("use_run", 77, "use_run: wanted numbers from 0 to 5"),
        ("user", -2, "user: wanted numbers of the run's objects"),
        ("user", 3, "user: wanted numbers of the run's objects"),
        ("used", -1, "used: wanted numbers of the run's objects"),
        ("used", 3, "used: wanted numbers of the run's objects"),
        ("position", -1, "position: wanted numbers from 0"),
        ("position", 0, "path, position: wanted each once in a run"),
        ("weight", float("nan"), "weight: wanted numbers from 0.0"),
        ("weight", -1.0, "weight: wanted numbers from 0.0"),
        ("weight", np.zeros(2), "uses: wanted columns of 9 each"),
        ("module", np.zeros(2, np.int32), "objects: wanted columns of 9 each"),
        ("module", np.zeros(9), "module: wanted integers; got"),
        ("path", np.zeros((3, 3), np.int32), "path: wanted a vector"),
    ],
)
def test_objects_that_npz_may_not_have(filled: Any, folder: Path, array: str, change: Any, message: str) -> None:
    with np.load(io.BytesIO(bytes_of(filled, "npz"))) as found:
        arrays = {name: x.copy() for name, x in found.items()}
    name = f"objects_{array}"
    if isinstance(change, np.ndarray):
        arrays[name] = change
    elif isinstance(change, list):
        arrays[name][: len(change)] = change
    else:
        arrays[name][:] = change
    np.savez(folder / "y.npz", **arrays)
    with rs.SketchRepository.open(folder / "b", SPEC, mode="a") as b:
        with pytest.raises(ValueError, match=f"wanted a file written by SketchRepository.export: {message}"):
            b.import_(folder / "y.npz")
        assert len(b) == 0


def changed(filled: Any, folder: Path, change: Any) -> Path:
    """A Parquet file whose table was changed."""
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    table = pq.read_table(io.BytesIO(bytes_of(filled, "parquet")))
    rows_of = table.to_pylist()
    change(rows_of)
    try:
        pq.write_table(pa.Table.from_pylist(rows_of, schema=table.schema), folder / "y.parquet")
    except pa.ArrowNotImplementedError:  # a null of a fixed-size list, before pyarrow 22
        pytest.skip("this pyarrow cannot write it")
    return folder / "y.parquet"


def put(name: str, value: Any, row: int = 2) -> Any:
    def change(found: list[dict[str, Any]]) -> None:
        found[row][name] = value

    return change


def inside(name: str, field: str, value: Any) -> Any:
    def change(found: list[dict[str, Any]]) -> None:
        found[2][name][1][field] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put("key", None), "key: wanted a value in every row"),
        (put("key", "a"), "key: wanted each key once; got 'a' twice"),
        (put("metadata", "{"), r"metadata\[2\]: wanted JSON"),
        (put("metadata", "[]"), r"metadata\[2\]: wanted a mapping"),
        (put("sketch", None), "sketch: wanted a value in every row"),
        (put("sketch", [float("nan")] * 64), "sketch|values"),
        (put("order_scale", None), "order, order_scale, order_noise: wanted all of them or none"),
        (put("inputs", None), "objects, inputs: wanted both of them or none"),
        (put("objects", [None]), "objects"),
        (inside("objects", "module", "nose"), "objects: wanted modules of the specification"),
        (inside("objects", "attribute", [1.0]), "objects: wanted modules of the specification"),
        (inside("objects", "attribute", None), "objects"),
        (inside("objects", "confidence", None), "objects: wanted numbers; got none in 1 places"),
        (inside("objects", "path", []), "depth: wanted numbers from 1"),
        (inside("inputs", "user", 3), "user: wanted numbers of the run's objects"),
        (inside("inputs", "weight", None), "inputs: wanted numbers; got none in 1 places"),
    ],
)
def test_what_parquet_may_not_have(filled: Any, folder: Path, change: Any, message: str) -> None:
    assert list(filled)[2] == "c"
    path = changed(filled, folder, change)
    with rs.SketchRepository.open(folder / "b", SPEC, mode="a") as b:
        with pytest.raises(ValueError, match=f"wanted a file written by SketchRepository.export: .*({message})"):
            b.import_(path)
        assert len(b) == 0


def test_other_tables_are_refused(filled: Any, folder: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    table = pq.read_table(io.BytesIO(bytes_of(filled, "parquet")))
    about = json.loads(table.schema.metadata[b"recsketch.repository"])

    def told(**changes: Any) -> Any:
        return table.replace_schema_metadata({"recsketch.repository": json.dumps({**about, **changes})})

    for made, message in (
        (pa.table({"a": [1]}), "recsketch.repository: wanted format, dtype and spec in the schema; got None"),
        (table.replace_schema_metadata({"recsketch.repository": "{"}), "recsketch.repository: wanted JSON"),
        (told(format=2), "wanted format 1; got 2"),
        (told(spec={}), "specification: wanted"),
        (told(dtype="float64"), "dtype: wanted"),
        (told(dtype="int8"), "wanted the columns of an export; got"),
        (table.drop_columns(["scale"]), "wanted the columns of an export; got"),
    ):
        pq.write_table(made, folder / "y.parquet")
        with pytest.raises(ValueError, match=f"wanted a file written by SketchRepository.export: {message}"):
            filled.import_(folder / "y.parquet")


def test_damaged_parquet_is_refused_or_right(filled: Any, folder: Path) -> None:
    """200 bits of the file, of a seed, and truncations: pages have checksums, and what the footer says is compared."""
    pytest.importorskip("pyarrow")
    data, rng = bytes_of(filled, "parquet"), random.Random(0)
    refused: list[str] = []
    spoilt = [data[: rng.randrange(4, len(data))] for _ in range(40)]
    for at in rng.sample(range(4, len(data)), 200):
        spoilt.append(data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :])
    for content in spoilt:
        with rs.SketchRepository.open(folder / "b", SPEC, mode="a") as b:
            try:
                b.import_(io.BytesIO(content))
            except ValueError as e:
                refused.append(str(e))
                assert len(b) == 0
            else:
                same(filled, b)
                b.delete([*b])
    assert max(map(len, refused)) <= 1000
    assert 100 < len(refused) < 240
