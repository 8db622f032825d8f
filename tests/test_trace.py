"""Trace and TraceBatch: what goes in comes out, columns round-trip, files are complete and plain."""

from __future__ import annotations

import copy
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import reference as ref
from columns import COLUMNS

import recsketch as rs


def same(a: rs.Trace, b: rs.Trace) -> bool:
    return (
        len(a) == len(b)
        and a.output_ids == b.output_ids
        and a.output_weights == b.output_weights
        and all(
            (x.module, x.inputs, x.weights) == (y.module, y.inputs, y.weights)
            and np.array_equal(x.attribute, y.attribute)
            for x, y in zip(a.objects, b.objects, strict=True)
        )
    )


@pytest.fixture
def runs(build: Any) -> list[rs.Trace]:
    """Traces whose modules appear in different orders, and not all in each."""
    rng = np.random.default_rng(7)
    spec = ref.RefSpec(128, build.MODULES, 1)
    return [build.trace(build.dag(rng, spec, int(rng.integers(1, 15)))) for _ in range(12)]


def columns(batch: rs.TraceBatch) -> dict[str, Any]:
    return {"names": batch.names, **{name: getattr(batch, name) for name in COLUMNS}}


def test_what_goes_in_comes_out() -> None:
    t = rs.Trace()
    assert len(t) == 0
    assert t.add("a", [1, 2]) == 0
    assert t.add("b", np.array([3.0], dtype=np.float64), inputs=[0, 0], weights=(0, 2)) == 1
    assert t.add("a", (5.5, 6), np.array([1, 0])) == 2
    t.outputs([2, 0], weights=[1, 3])
    assert len(t) == 3
    assert [o.module for o in t.objects] == ["a", "b", "a"]
    assert [o.attribute.tolist() for o in t.objects] == [[1, 2], [3], [5.5, 6]]
    assert all(o.attribute.dtype == np.float32 for o in t.objects)
    assert [o.inputs for o in t.objects] == [(), (0, 0), (1, 0)]
    assert list(t.objects[1].weights) == [0, 2]
    assert "3 objects" in str(t)
    assert "b" in str(t)


def test_attributes_are_copied() -> None:
    x = np.ones(3, dtype=np.float32)
    t = rs.Trace()
    t.add("a", x)
    x[:] = 9
    assert t.objects[0].attribute.tolist() == [1, 1, 1]
    with pytest.raises(ValueError, match="read-only"):
        t.objects[0].attribute[0] = 5


def test_a_copy_is_another_trace() -> None:
    t = rs.Trace()
    t.add("a", [1.0])
    other = copy.copy(t)
    other.add("a", [2.0], inputs=(i for i in [0]))
    assert (len(t), len(t.objects), other.objects[1].inputs) == (1, 1, (0,))


def test_masked_arrays_that_mask_nothing_are_arrays() -> None:
    t = rs.Trace()
    t.add("a", np.ma.array([3.0, 4.0]))
    assert t.objects[0].attribute.tolist() == [3, 4]


def test_strided_and_swapped_attributes() -> None:
    x = np.arange(12, dtype=np.float32)
    t = rs.Trace()
    for each in (x[::3], x[::-1], x.astype(">f4"), x.astype(">f8")[::5], x.astype(np.int16)):
        t.add("a", each)
        assert np.array_equal(t.objects[-1].attribute, each.astype(np.float32))


BAD: list[tuple[str, dict[str, Any]]] = [
    *[("module", {"module": v}) for v in ("", None, 3, b"a", ["a"])],
    *[("attribute", {"attribute": v}) for v in ([], [[1.0]], 1.0, None, "abc", ["x"], [1j], [[1], [1, 2]], [None], {})],
    *[("inputs", {"inputs": v}) for v in ([2], [0, 5], [-1], [0.0], ["0"], [None], [True], [2**40], [2**70], [[0]])],
    *[("inputs", {"inputs": v}) for v in (3, None, {0, 1}, b"\0", "0", {0: 1}, np.array(0), np.array([[0, 1]]))],
    ("attribute", {"attribute": np.ma.array([3.0, 9e9], mask=[0, 1])}),
    *[
        ("weights", {"inputs": [0, 1], "weights": v})
        for v in ([1], [1, 2, 3], [], [-1, 2], [np.nan, 1], [np.inf, 1], [0, 0])
    ],
    *[
        ("weights", {"inputs": [0, 1], "weights": v})
        for v in (3.0, "ab", [[1, 2]], [1j, 1], [None, 1], [[1], [2]], ["1", "2"])
    ],
]


@pytest.mark.parametrize(("name", "change"), BAD, ids=lambda v: repr(v)[:40])
def test_bad_objects_are_refused_and_leave_no_mark(name: str, change: dict[str, Any]) -> None:
    t = rs.Trace()
    t.add("a", [1.0])
    t.add("b", [1.0, 2.0], inputs=[0])
    t.outputs([1])
    twin = rs.TraceBatch.from_traces([t])[0]
    with pytest.raises((ValueError, TypeError), match=name) as caught:
        t.add(**{"module": "c", "attribute": [1.0], **change})
    assert "wanted" in str(caught.value)
    assert len(str(caught.value)) < 300
    assert same(t, twin)
    assert t.add("c", [1.0]) == 2
    assert t.objects[2].module == "c"


@pytest.mark.parametrize("ids", [[], [2], [-1], [0.0], ["0"], [None], 0, None, [2**40], [True]])
def test_bad_outputs_are_refused_and_leave_no_mark(ids: Any) -> None:
    t = rs.Trace()
    t.add("a", [1.0])
    t.add("b", [1.0, 2.0], inputs=[0])
    t.outputs([1, 0], weights=[1, 2])
    with pytest.raises((ValueError, TypeError), match="wanted"):
        t.outputs(ids)
    with pytest.raises(ValueError, match="weights"):
        t.outputs([0, 1], weights=[1, -1])
    assert t.output_ids == (1, 0)
    t.outputs([0])
    assert t.output_ids == (0,)


def test_weights_may_sum_to_a_limit() -> None:
    """1e300 in all, however many: beyond it the kernels' sums could overflow. Refused where it is said."""
    t = rs.Trace()
    t.add("a", [1.0])
    for good in ([1e300], [5e299, 5e299], [0.0, 1e300], [1e-300, 1e-300], [5e-324], [9e299, 1e290]):
        t.add("a", [1.0], [0] * len(good), good)
        t.outputs([0] * len(good), good)
        assert t.objects[-1].weights == t.output_weights == tuple(good)
        rs.Sketcher(rs.SketchSpec(64, {"a": 1})).sketch(t)
    for bad in ([1.01e300], [6e299, 6e299], [1e308, 1e308], [1e300, 1e290], [np.inf], [-1.0, 2.0], [1.0, np.nan]):
        for call in (lambda w: t.add("a", [1.0], [0] * len(w), w), lambda w: t.outputs([0] * len(w), w)):
            with pytest.raises(ValueError, match=r"^weights: wanted .* 1e\+300 in all at most; got"):
                call(bad)


def test_a_message_says_what_was_wanted_and_what_came() -> None:
    t = rs.Trace()
    t.add("a", [1.0])
    with pytest.raises(ValueError, match=r"weights: wanted 3 non-negative numbers, one per input; got .*\(2,\)"):
        t.add("a", [1.0], inputs=[0, 0, 0], weights=[1, 2])


def test_batches_are_their_traces(runs: list[rs.Trace]) -> None:
    batch = rs.TraceBatch.from_traces(runs)
    assert len(batch) == len(runs)
    assert all(same(a, b) for a, b in zip(batch, runs, strict=True))
    assert all(same(batch[i], runs[i]) and same(batch[i - len(runs)], runs[i]) for i in range(len(runs)))
    for name, dtype in COLUMNS.items():
        column = getattr(batch, name)
        assert column.dtype == dtype, name
        assert column.flags.c_contiguous


def test_slices(runs: list[rs.Trace]) -> None:
    batch = rs.TraceBatch.from_traces(runs)
    for cut in (slice(0, 0), slice(3, 7), slice(None), slice(-2, None), slice(5, 99), slice(9, 2)):
        part = batch[cut]
        assert isinstance(part, rs.TraceBatch)
        assert len(part) == len(runs[cut])
        assert all(same(a, b) for a, b in zip(part, runs[cut], strict=True))
    assert same(batch[2:9][3:5][1], runs[6])
    for bad in (len(runs), -len(runs) - 1, 2**70):
        with pytest.raises((IndexError, ValueError)):
            batch[bad]
    with pytest.raises((TypeError, ValueError)):
        batch["a"]  # type: ignore[call-overload]


def test_numbers_of_a_batch_s_objects_are_checked_to_the_last() -> None:
    """Inputs from 0 to the object before, outputs to the last: columns may have been written by anybody."""
    t = rs.Trace()
    t.add("a", [1.0])
    t.add("a", [2.0], [0])
    t.add("a", [3.0], [1, 0])
    t.outputs([2])
    good = columns(rs.TraceBatch.from_traces([t, t]))
    for inputs in ([0, 0, 0], [0, 1, 1]):
        batch = rs.TraceBatch(**{**good, "inputs": [0, 1, 0, *inputs]})
        assert batch[1].objects[2].inputs == tuple(inputs[1:])
    for outputs in (0, 2):
        assert rs.TraceBatch(**{**good, "outputs": [2, outputs]})[1].output_ids == (outputs,)
    for name, bad in (
        ("inputs", [0, 1, 0, 1, 0, 0]),
        ("inputs", [0, 1, 0, 0, 2, 0]),
        ("inputs", [0, 1, 0, 0, 1, -1]),
        ("outputs", [2, 3]),
        ("outputs", [2, -1]),
    ):
        batch = rs.TraceBatch(**{**good, name: bad})
        assert batch[0] == t
        with pytest.raises(ValueError, match=f"^{name} of trace 1: wanted numbers of objects of the trace"):
            batch[1]


def test_traces_without_objects_that_name_modules() -> None:
    """As a batch of such names gives them: the columns of all stay empty."""
    none: dict[str, Any] = {name: np.zeros(0, dtype) for name, dtype in COLUMNS.items()}
    ends = {name: [0, 0] for name in ("objects", "output_ends")} | {"attribute_ends": [0], "input_ends": [0]}
    empty = [rs.TraceBatch(names=[name], **{**none, **ends})[0] for name in "ab"]
    batch = rs.TraceBatch.from_traces(empty)
    assert len(batch) == 2
    assert batch.module.size == batch.attributes.size == 0
    assert batch.names == ("a", "b")
    assert list(batch) == empty == [rs.Trace(), rs.Trace()]


def test_columns_make_an_equal_batch(runs: list[rs.Trace]) -> None:
    batch = rs.TraceBatch.from_traces(runs)
    twin = rs.TraceBatch(**columns(batch))
    assert all(same(a, b) for a, b in zip(twin, runs, strict=True))
    with pytest.raises(TypeError):
        rs.TraceBatch(*columns(batch).values())  # type: ignore[misc]


def test_an_empty_batch(tmp_path: Path) -> None:
    batch = rs.TraceBatch.from_traces([])
    assert len(batch) == 0
    assert list(batch) == []
    batch.save(tmp_path / "empty.npz")
    assert len(rs.TraceBatch.load(tmp_path / "empty.npz")) == 0


def test_files_round_trip(runs: list[rs.Trace], tmp_path: Path) -> None:
    batch = rs.TraceBatch.from_traces(runs)
    for path in (tmp_path / "a.npz", str(tmp_path / "no-suffix")):
        batch.save(path)
        assert Path(path).is_file()
        twin = rs.TraceBatch.load(path)
        assert twin.names == batch.names
        for name in COLUMNS:
            assert np.array_equal(getattr(twin, name), getattr(batch, name))
    batch[:3].save(tmp_path / "a.npz")  # over an old file
    assert len(rs.TraceBatch.load(tmp_path / "a.npz")) == 3
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.npz", "no-suffix"]


def test_files_hold_plain_arrays(runs: list[rs.Trace], tmp_path: Path) -> None:
    rs.TraceBatch.from_traces(runs).save(tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz", allow_pickle=False) as f:
        assert set(COLUMNS) | {"names"} <= set(f.files)
        assert all(f[name].dtype.kind in "iufU" for name in f.files)
    assert zipfile.ZipFile(tmp_path / "a.npz").testzip() is None


def test_a_failed_save_leaves_the_old_file(
    runs: list[rs.Trace], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.npz"
    rs.TraceBatch.from_traces(runs).save(path)
    before = path.read_bytes()

    def broken(*args: Any, **kwargs: Any) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("os.fsync", broken)
    with pytest.raises(OSError, match="disk full"):
        rs.TraceBatch.from_traces(runs[:2]).save(path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.npz"]
    with pytest.raises(OSError, match="nowhere"):
        rs.TraceBatch.from_traces(runs).save(tmp_path / "nowhere" / "a.npz")


@pytest.mark.parametrize("name", ["ä", "日本", "a b", "a\0", "\0", "a\n", " "])
def test_odd_names_survive_or_are_refused(name: str, tmp_path: Path) -> None:
    t = rs.Trace()
    t.add("a", [1.0])
    try:
        t.add(name, [2.0], inputs=[0])
        t.outputs([1])
        rs.TraceBatch.from_traces([t]).save(tmp_path / "a.npz")
    except ValueError:
        assert "\0" in name
        return
    assert same(rs.TraceBatch.load(tmp_path / "a.npz")[0], t)


def test_lists_of_anything_else_are_refused(runs: list[rs.Trace]) -> None:
    for bad in (None, 3, [None], [runs[0], "x"], runs[0]):
        with pytest.raises((TypeError, ValueError)):
            rs.TraceBatch.from_traces(bad)  # type: ignore[arg-type]


def test_weights_of_no_inputs_are_refused() -> None:
    t = rs.Trace()
    with pytest.raises(ValueError, match="weights: wanted 0"):
        t.add("a", [1.0], weights=[1.0, 2.0])
    assert t.add("a", [1.0], weights=[]) == 0
