"""Graphs of ONNX are recorded: edges written by hand, values from NumPy, and what is refused."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import recsketch as rs

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from recsketch.capture.onnx import OnnxRecorder  # noqa: E402

A = 4
WEIGHTS = np.random.default_rng(0).standard_normal((3, A, A)).astype(np.float32)


def model(nodes: list[Any], outputs: list[str], weights: dict[str, Any], rank: int = 2) -> Any:
    shape = ["n", *([None] * (rank - 2)), A]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(w, name) for name, w in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def residual() -> Any:
    """x -> h0 -> h1, s = h0 + h1, y = s W2, and z = relu(h0) on the side."""
    nodes = [
        helper.make_node("MatMul", ["x", "w0"], ["h0"]),
        helper.make_node("MatMul", ["h0", "w1"], ["m1"]),
        helper.make_node("Relu", ["m1"], ["h1"]),
        helper.make_node("Add", ["h1", "h0"], ["s"]),
        helper.make_node("MatMul", ["s", "w2"], ["y"]),
        helper.make_node("Relu", ["h0"], ["z"]),
    ]
    return model(nodes, ["y", "z"], {f"w{i}": WEIGHTS[i] for i in range(3)})


def close(got: Any, want: Any) -> bool:
    # A dot product of A floats, three in a row, and a sum: below 16 roundings of the largest intermediate.
    return bool(np.all(np.abs(got - want) <= 16 * 2.0**-24 * 4**3 * max(1.0, np.abs(want).max())))


def test_a_residual_network() -> None:
    proto = residual()
    before = proto.SerializeToString()
    recorder = OnnxRecorder(proto, {"x": "in", "h?": "layer", "s": "sum", "[yz]": "out"})
    assert proto.SerializeToString() == before
    x = np.random.default_rng(1).standard_normal((5, A)).astype(np.float32)
    y, z = recorder.run({"x": x})
    recorder.run({"x": x[:2]})
    h0 = x @ WEIGHTS[0]
    h1 = np.maximum(h0 @ WEIGHTS[1], 0)
    wanted = {"x": x, "h0": h0, "h1": h1, "s": h0 + h1, "y": (h0 + h1) @ WEIGHTS[2], "z": np.maximum(h0, 0)}
    assert close(y, wanted["y"])
    assert close(z, wanted["z"])
    assert len(recorder) == len(recorder.batch()) == 7
    for row, trace in enumerate(recorder.traces()):
        assert [o.module for o in trace.objects] == ["in", "layer", "layer", "sum", "out", "out"]
        assert [o.inputs for o in trace.objects] == [(), (0,), (1,), (2, 1), (3,), (1,)]
        assert trace.output_ids == (4, 5)
        for o, value in zip(trace.objects, wanted.values(), strict=True):
            assert close(o.attribute, value[row % 5])
    sketcher = rs.Sketcher(rs.SketchSpec.fitted(recorder.batch()))
    assert all(found.complete for found in sketcher.unroll(sketcher.sketch(recorder.batch())))


def test_tensors_between_are_gone_through() -> None:
    recorder = OnnxRecorder(residual().SerializeToString(), ["h0", "y"])
    recorder.run({"x": np.ones((1, A), np.float32)})
    (trace,) = recorder.traces()
    assert [(o.module, o.inputs) for o in trace.objects] == [("h0", ()), ("y", (0,))]


def test_paths_and_reducers(tmp_path: Path) -> None:
    proto = model([helper.make_node("MatMul", ["x", "w"], ["y"])], ["y"], {"w": WEIGHTS[0]}, rank=3)
    path = tmp_path / "model.onnx"
    onnx.save(proto, str(path))
    x = np.random.default_rng(2).standard_normal((3, 6, A)).astype(np.float32)
    y = x @ WEIGHTS[0]
    for reduce, wanted in (
        ("token_mean", y.mean(axis=1)),
        ("spatial_mean", y.mean(axis=2)),
        ("flatten", y.reshape(3, -1)),
        (lambda v: v[-1], y[:, -1]),
        ({"y": "flatten"}, y.reshape(3, -1)),
        ({"z": "flatten"}, y.mean(axis=1)),
    ):
        recorder = OnnxRecorder(path, ["y"], reduce=reduce, session={"providers": ["CPUExecutionProvider"]})
        recorder.run({"x": x})
        for trace, row in zip(recorder.traces(), wanted, strict=True):
            assert close(trace.objects[0].attribute, row)


def test_inputs_that_are_left_out_have_no_origin() -> None:
    """An output that nobody wants and an input that is not given have the same name, which is empty."""
    nodes = [
        helper.make_node("Relu", ["x"], ["h"]),
        helper.make_node("Dropout", ["h"], ["d", ""]),
        helper.make_node("Clip", ["x", "", "most"], ["y"]),
    ]
    recorder = OnnxRecorder(model(nodes, ["d", "y"], {"most": np.ones((), np.float32)}), ["h", "d", "y"])
    assert recorder.inputs == [[], [0], []]


def test_bodies_take_from_around_them() -> None:
    """The branches of an If are made from a tensor outside: the result has it as an input."""

    def branch(name: str, op: str) -> Any:
        out = helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
        return helper.make_graph([helper.make_node(op, ["h"], [name])], name, [], [out])

    nodes = [
        helper.make_node("Relu", ["x"], ["h"]),
        helper.make_node("ReduceSum", ["x"], ["total"], keepdims=0),
        helper.make_node("Greater", ["total", "zero"], ["positive"]),
        helper.make_node("If", ["positive"], ["y"], then_branch=branch("a", "Neg"), else_branch=branch("b", "Abs")),
    ]
    recorder = OnnxRecorder(model(nodes, ["y"], {"zero": np.zeros((), np.float32)}), ["h", "y"])
    x = np.ones((2, A), np.float32)
    assert np.array_equal(recorder.run({"x": x})[0], -x)
    assert [o.inputs for o in recorder.traces()[0].objects] == [(), (0,)]
    with pytest.raises(ValueError, match=r"modules: .*got \['a'\]"):
        OnnxRecorder(recorder.model, ["a", "y"])


def test_what_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    proto = residual()
    for wrong, message in (
        ({"model": 5}, "model: wanted"),
        ({"modules": []}, "modules: wanted at least one"),
        ({"modules": "h0"}, "modules: wanted tensors"),
        ({"modules": {"h0": 5}}, "modules.*: wanted"),
        ({"modules": ["nothing*"]}, r"modules: .*got \['nothing\*'\]"),
        ({"reduce": "max"}, "reduce: wanted"),
        ({"reduce": {"y": "max"}}, "reduce: wanted"),
    ):
        with pytest.raises((TypeError, ValueError), match=message):
            OnnxRecorder(**{"model": proto, "modules": ["y"], **wrong})
    recorder = OnnxRecorder(proto, ["y"])
    for feeds, message in (({}, "feeds: wanted a dict"), (5, "feeds: wanted"), ({"x": 1.0}, "first axis is the batch")):
        with pytest.raises((TypeError, ValueError), match=message):
            recorder.run(feeds)
    with pytest.raises(ValueError, match="finite"):
        recorder.run({"x": np.full((1, A), np.nan, np.float32)})
    total = model([helper.make_node("ReduceSum", ["x"], ["y"], keepdims=0)], ["y"], {})
    with pytest.raises(ValueError, match=r"tensor 'y': wanted a first axis of 3, the batch; got shape \(\)"):
        OnnxRecorder(total, ["y"]).run({"x": np.ones((3, A), np.float32)})
    assert len(recorder) == 0
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ImportError, match=r"recsketch\[onnx\]"):
        OnnxRecorder(proto, ["y"])
