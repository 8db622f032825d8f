"""Which module may feed which: as a value of the specification, and where a run breaks it."""

from __future__ import annotations

import json
import pickle
from typing import Any

import numpy as np
import pytest

import recsketch as rs
import recsketch._core as _core

MODULES = {"page": 3, "line": 2, "char": 4}
WIRING: dict[str | None, list[str]] = {None: ["page"], "page": ["line", "char"], "line": ["char"]}


def spec(wiring: Any = WIRING, **more: Any) -> rs.SketchSpec:
    return rs.SketchSpec(64, MODULES, 3, wiring=wiring, **more)


def run() -> rs.Trace:
    trace = rs.Trace()
    chars = [trace.add("char", np.ones(4)) for _ in range(2)]
    line = trace.add("line", np.ones(2), inputs=chars)
    trace.outputs([trace.add("page", np.ones(3), inputs=[line, chars[0]])])
    return trace


def test_it_is_normal_and_frozen() -> None:
    """One value however it is written: order, repetition, sets, modules that take nothing, None as ""."""
    want = {None: ("page",), "line": ("char",), "page": ("char", "line")}
    for given in (
        WIRING,
        {"page": ("char", "line", "char"), "": {"page"}, "char": [], "line": ("char",)},
    ):
        s = spec(given)
        assert s.wiring == want
        assert list(s.wiring or ()) == list(want)
        assert s == spec()
        assert hash(s) == hash(spec())
    turned = rs.SketchSpec(64, dict(reversed(MODULES.items())), 3, wiring=WIRING)
    assert turned == spec()
    assert hash(turned) == hash(spec())
    with pytest.raises(TypeError):
        spec().wiring["page"] = ()  # type: ignore[index]
    inputs = ["char"]
    kept = spec({"line": inputs})
    inputs.append("page")
    assert kept.wiring == {"line": ("char",)}
    assert spec({}) != spec(None)
    assert spec({}).wiring == {}


@pytest.mark.parametrize("wiring", [None, {}, WIRING, {"page": ["page"]}])
def test_json_pickle_and_repr(wiring: Any) -> None:
    s = spec(wiring)
    assert rs.SketchSpec.from_json(s.to_json()) == s
    assert pickle.loads(pickle.dumps(s)) == s
    assert eval(repr(s), {"SketchSpec": rs.SketchSpec}) == s
    assert s.replace(seed=4).wiring == s.wiring
    if wiring is WIRING:
        assert json.loads(s.to_json())["wiring"] == {"": ["page"], "line": ["char"], "page": ["char", "line"]}


def test_files_from_before_there_were_wirings() -> None:
    fields = json.loads(spec(None).to_json())
    for name in ("wiring", "signature"):
        del fields[name]
    assert rs.SketchSpec.from_json(json.dumps(fields)) == spec(None)


def test_allowed() -> None:
    """[p, m], the outputs last, in the order of the modules."""
    assert spec().allowed().tolist() == [[0, 1, 1], [0, 0, 1], [0, 0, 0], [1, 0, 0]]
    assert spec({"line": ["char"]}).allowed().tolist() == [[0, 0, 0], [0, 0, 1], [0, 0, 0], [1, 1, 1]]
    assert spec({}).allowed().tolist() == [[0, 0, 0]] * 3 + [[1, 1, 1]]
    plain = spec(None).allowed()
    assert plain.tolist() == [[1, 1, 1]] * 4
    assert plain.dtype == np.uint8
    assert plain.flags.c_contiguous


def test_the_core_gets_zeros_and_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """`allowed` as C checks it: bytes of 0 and 1 in C order, one row a module and one for the outputs."""
    seen = []
    unrolling = _core.Unrolling

    def spy(core: Any, sketches: Any, mask: Any, allowed: np.ndarray, *more: Any) -> Any:
        seen.append(allowed)
        return unrolling(core, sketches, mask, allowed, *more)

    monkeypatch.setattr(_core, "Unrolling", spy)
    for wiring in (None, {}, WIRING):
        rs.Sketcher(spec(wiring), threads=1).unroll(np.zeros(64))
    for allowed in seen:
        assert allowed.dtype == np.uint8
        assert allowed.shape == (4, 3)
        assert allowed.flags.c_contiguous
        assert set(allowed.ravel().tolist()) <= {0, 1}


@pytest.mark.parametrize(
    ("bad", "match"),
    [
        (3, "wiring: wanted a mapping"),
        (["page"], "wiring: wanted a mapping"),
        ({"word": ["char"]}, r"wiring: wanted names among \['char', 'line', 'page'\], or None; got 'word'"),
        ({3: ["char"]}, "wiring: wanted names among .* got 3"),
        ({"page": ["word"]}, r"wiring\['page'\]: wanted names among \['char', 'line', 'page'\]; got 'word'"),
        ({"page": [None]}, r"wiring\['page'\]: wanted names among .* got None"),
        ({"page": [["char"]]}, r"wiring\['page'\]: wanted names among"),
        ({"page": "char"}, r"wiring\['page'\]: wanted a sequence of module names; got 'char'"),
        ({"page": 3}, r"wiring\['page'\]: wanted a sequence"),
        ({"page": None}, r"wiring\['page'\]: wanted a sequence"),
        ({None: []}, r"wiring\[None\]: wanted at least one module for the network's outputs; got none"),
        ({None: ["page"], "": ["page"]}, 'wiring: wanted the outputs once, under None or ""; got both'),
    ],
)
def test_bad_wirings(bad: Any, match: str) -> None:
    with pytest.raises((ValueError, TypeError), match=match):
        spec(bad)


def test_it_changes_no_bit() -> None:
    want = rs.Sketcher(spec(None)).sketch(run())
    assert np.array_equal(rs.Sketcher(spec()).sketch(run()), want)
    assert np.array_equal(rs.Sketcher(spec({**WIRING, "char": ["page"]})).sketch(run()), want)


def test_runs_that_break_it_are_refused() -> None:
    """By sketch, load and recover, with the trace, the object, what was wanted and what came."""
    sk = rs.Sketcher(spec())
    below = run()
    below.outputs([below.add("line", np.ones(2), inputs=[0, 2])])
    closed = run()
    closed.add("char", np.ones(4), inputs=[0])
    top = run()
    top.outputs([3, 2])
    cases = (
        (below, r"object 4 \(line\): wanted inputs among \['char'\] by the wiring; got 'line'"),
        (closed, r"object 4 \(char\): wanted no inputs by the wiring; got 'char'"),
        (top, r"outputs of trace \d+: wanted outputs among \['page'\] by the wiring; got 'line'"),
    )
    for bad, match in cases:
        for call in (sk.sketch, sk.load, lambda t: sk.recover(np.zeros(64), t)):
            with pytest.raises(ValueError, match=match):
                call(bad)
        with pytest.raises(ValueError, match=match) as caught:
            sk.sketch([run()] * 1030 + [bad])
        assert "trace 1030" in str(caught.value)


def test_modules_of_a_batch_in_another_order() -> None:
    """Names are matched, not numbers: a batch that holds its modules in its own order, with one that is not used."""
    mixed = rs.Trace()
    mixed.outputs([mixed.add("page", np.ones(3))])
    batch = rs.TraceBatch.from_traces([mixed, run()])
    want = np.stack([rs.Sketcher(spec(None)).sketch(t) for t in (mixed, run())])
    assert np.array_equal(rs.Sketcher(spec()).sketch(batch), want)


def test_inputs_of_weight_zero_are_none() -> None:
    trace = run()
    char = trace.add("char", np.ones(4))
    trace.outputs([3, char], weights=[1, 0])
    trace.add("line", np.ones(2), inputs=[char, 3], weights=[1, 0])
    assert np.array_equal(rs.Sketcher(spec()).sketch(trace), rs.Sketcher(spec(None)).sketch(trace))


def test_what_is_wrong_otherwise_is_told_first() -> None:
    """The wiring is looked at once the structure is known to be one."""
    batch = rs.TraceBatch(
        names=["char"],
        objects=[0, 1],
        module=[0],
        attribute_ends=[0, 4],
        attributes=np.ones(4),
        input_ends=[0, 1],
        inputs=[2**31 - 1],
        weights=[1.0],
        output_ends=[0, 1],
        outputs=[0],
        output_weights=[1.0],
    )
    with pytest.raises(ValueError, match="wanted no inputs of the first object"):
        rs.Sketcher(spec()).sketch(batch)
