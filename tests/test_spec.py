"""SketchSpec: ranges, equality, JSON, the paper's constants, scales from data."""

from __future__ import annotations

import copy
import json
import math
import pickle
from typing import Any

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

import recsketch as rs

GOOD: dict[str, Any] = {"dim": 256, "modules": {"a": 7, "ä b": (1 << 20) - 64}, "seed": 2**64 - 1}
FULL: dict[str, Any] = {
    **GOOD,
    "max_inputs": 3,
    "angle": 12.5,
    "rotation": "hadamard",
    "attributes": "linear",
    "weighting": "linear",
    "balance": 0.25,
    "spread": 0.75,
    "ordered": False,
    "scaling": "paper",
    "scales": {"a": 0.1},
    "centres": {"a": (0.5, -1.25, 0.0, 0.0, 3.0, 0.0, 1e-30)},
    "wiring": {None: ["ä b"], "ä b": ["a", "ä b"]},
    "signature": 3,
}
OTHER: dict[str, Any] = {
    "dim": 512,
    "modules": {"a": 8, "ä b": (1 << 20) - 64},
    "seed": 0,
    "max_inputs": 4,
    "angle": 12.6,
    "rotation": "skew",
    "attributes": "polar",
    "weighting": "energy",
    "balance": 0.5,
    "spread": 0.5,
    "ordered": True,
    "scaling": "unit",
    "scales": {"a": 0.2},
    "centres": {"a": [0.5, -1.25, 0.0, 0.0, 3.0, 0.0, 0.0]},
    "wiring": {"ä b": ["a", "ä b"]},
    "signature": 4,
}


def test_defaults() -> None:
    spec = rs.SketchSpec(64, {"a": 1})
    assert (spec.seed, spec.max_inputs, spec.angle, spec.rotation) == (0, 16, 60.0, "skew")
    assert (spec.weighting, spec.scaling, spec.scales) == ("balanced", "unit", None)
    assert (spec.attributes, spec.balance, spec.ordered, spec.centres) == ("polar", 0.5, True, None)
    assert (spec.wiring, spec.signature) == (None, 0)


def test_the_spread_goes_with_the_weighting() -> None:
    """Where it was not chosen, also where the weighting is changed later."""
    spec = rs.SketchSpec(64, {"a": 1})
    want = {"balanced": 0.5, "energy": 0.5, "linear": 0.0, "count": 0.0}
    for weighting, spread in want.items():
        assert rs.SketchSpec(64, {"a": 1}, weighting=weighting).spread == spread
        assert rs.SketchSpec(64, {"a": 1}, weighting=weighting, spread=spread) == spec.replace(weighting=weighting)
    chosen = spec.replace(spread=0.25)
    assert chosen.replace(weighting="linear").spread == 0.25
    assert rs.SketchSpec.from_json(chosen.to_json()).spread == 0.25
    with pytest.raises(ValueError, match=r'^spread: wanted 0 with weighting="count"'):
        chosen.replace(weighting="count")
    assert str(rs.SketchSpec(64, {"a": 1}, spread=-0.0, balance=-0.0).spread) == "0.0"


def test_without_order() -> None:
    """All else stays, the modules' matrices too: the sketch of one object whose position is left out."""
    spec = rs.SketchSpec(**{**FULL, "ordered": True})
    bag = spec.unordered()
    assert (bag.ordered, bag.replace(ordered=True)) == (False, spec)
    assert bag.unordered() == bag


def test_centres_are_vectors_of_float32() -> None:
    """Those of zeros are none; the specification does not change with what it was made of."""
    given = np.array([0.1, 2.0])
    spec = rs.SketchSpec(64, {"a": 2, "b": 1}, centres={"a": given, "b": [0]})
    given[:] = 7
    assert dict(spec.centres or {}) == {"a": (float(np.float32(0.1)), 2.0)}
    assert spec == rs.SketchSpec(64, {"a": 2, "b": 1}, centres={"a": (0.1, 2)})
    assert hash(spec) == hash(rs.SketchSpec.from_json(spec.to_json()))
    assert rs.SketchSpec(64, {"a": 2}, centres={"a": [0, -0.0]}) == rs.SketchSpec(64, {"a": 2})
    with pytest.raises(TypeError):
        spec.centres["a"] = (1.0, 2.0)  # type: ignore[index]


def test_options_are_keyword_only() -> None:
    with pytest.raises(TypeError):
        rs.SketchSpec(64, {"a": 1}, 0, 16)  # type: ignore[misc]
    with pytest.raises(TypeError, match="wirings"):
        rs.SketchSpec(64, {"a": 1}, wirings={})  # type: ignore[call-arg]


def test_equal_specifications_are_equal_and_hash_alike() -> None:
    assert rs.SketchSpec(**FULL) == rs.SketchSpec(**FULL)
    assert hash(rs.SketchSpec(**FULL)) == hash(rs.SketchSpec(**FULL))
    turned = {**FULL, "modules": dict(reversed(FULL["modules"].items()))}
    assert hash(rs.SketchSpec(**turned)) == hash(rs.SketchSpec(**FULL)) or rs.SketchSpec(**turned) != rs.SketchSpec(
        **FULL
    )
    assert rs.SketchSpec(64, {"a": 1}, angle=60) == rs.SketchSpec(64, {"a": 1}, angle=60.0)
    assert rs.SketchSpec(64, {"a": np.int32(1)}, seed=np.uint64(3)) == rs.SketchSpec(64, {"a": 1}, seed=3)


@pytest.mark.parametrize("field", sorted(OTHER))
def test_every_field_counts(field: str) -> None:
    given = {k: v for k, v in FULL.items() if field != "modules" or k != "centres"}  # which are as long as attributes
    assert rs.SketchSpec(**{**given, field: OTHER[field]}) != rs.SketchSpec(**given)
    assert rs.SketchSpec(**FULL) != "spec"


def test_ranges_reach_to_their_ends() -> None:
    """What is refused beyond them is in `BAD`."""
    ends: dict[str, list[Any]] = {
        "dim": [64, 2**24],
        "seed": [0, 2**64 - 1],
        "max_inputs": [1, 2**16],
        "angle": [1e-300, 0.5, 90],
        "signature": [0, 64],
        "modules": [{"a": 1}, {"a": 2**20 - 1}],
        "balance": [0, 1],
        "spread": [0, 1],
        "scales": [{"a": math.nextafter(1e-30, 1)}, {"a": 1e30}],
    }
    for field, values in ends.items():
        for value in values:
            spec = rs.SketchSpec(**{"dim": 64, "modules": {"a": 7}, field: value})
            assert getattr(spec, field) == value


def test_it_is_frozen_inside_too() -> None:
    modules = {"a": 7}
    spec = rs.SketchSpec(64, modules, scales={"a": 2.0})
    modules["b"] = 9
    assert dict(spec.modules) == {"a": 7}
    with pytest.raises(AttributeError, match="frozen"):
        spec.dim = 128  # type: ignore[misc]
    with pytest.raises(TypeError):
        spec.modules["b"] = 9  # type: ignore[index]
    with pytest.raises(TypeError):
        spec.scales["a"] = 9.0  # type: ignore[index]


@pytest.mark.parametrize("fields", [GOOD, FULL, {"dim": 64, "modules": {"a": 1}, "angle": math.nextafter(60.0, 61.0)}])
def test_json_pickle_and_copy(fields: dict[str, Any]) -> None:
    spec = rs.SketchSpec(**fields)
    for twin in (rs.SketchSpec.from_json(spec.to_json()), pickle.loads(pickle.dumps(spec)), copy.deepcopy(spec)):
        assert twin == spec
        assert hash(twin) == hash(spec)
        assert twin.angle == spec.angle
        assert list(twin.modules) == list(spec.modules)


@hypothesis.settings(max_examples=60, deadline=None, derandomize=True)
@hypothesis.given(
    weighting=st.sampled_from(["balanced", "energy", "linear", "count"]),
    attributes=st.sampled_from(["polar", "linear"]),
    balance=st.floats(0, 1),
    spread=st.none() | st.floats(0, 1),
    ordered=st.booleans(),
    centre=st.none() | st.lists(st.floats(-(2.0**99), 2.0**99, width=32), min_size=3, max_size=3),
    signature=st.integers(0, 64),
)
def test_any_specification_survives_json(weighting: Any, spread: Any, centre: Any, **options: Any) -> None:
    fields = {**options, "weighting": weighting, "spread": None if weighting == "count" else spread}
    spec = rs.SketchSpec(64, {"a": 3, "b": 1}, centres=None if centre is None else {"a": centre}, **fields)
    twin = rs.SketchSpec.from_json(spec.to_json())
    assert (twin, hash(twin), repr(twin), twin.to_json()) == (spec, hash(spec), repr(spec), spec.to_json())
    assert spec.replace() == spec
    assert spec.lengths["b"] == 1 + (spec.attributes == "polar") + spec.signature


def test_repr_builds_an_equal_one() -> None:
    spec = rs.SketchSpec(**FULL)
    assert eval(repr(spec), {"SketchSpec": rs.SketchSpec}) == spec


def test_the_paper() -> None:
    spec = rs.SketchSpec.paper(dim=64, modules={"a": 16}, seed=3)
    assert spec == rs.SketchSpec(
        64, {"a": 16}, 3, angle=45.0, rotation="hadamard", attributes="linear", weighting="linear", scaling="paper"
    )
    assert (spec.spread, spec.max_inputs) == (0.0, 16)
    assert rs.SketchSpec.paper(dim=64, modules={"a": 16}, max_inputs=2).max_inputs == 2


BAD: list[tuple[str, Any]] = [
    *[("dim", v) for v in (0, -64, 1, 32, 63, 65, 96, 2**25, 2**62, 64.0, "64", None, True, [64])],
    *[
        ("modules", v)
        for v in ({}, None, ["a"], [("a", 1)], {"a": 0}, {"a": -1}, {"a": 2**20 + 1}, {"a": 1.0}, {"a": True})
    ],
    *[
        ("modules", v)
        for v in ({"": 3}, {1: 3}, {None: 3}, {b"a": 3}, {"a": None}, {"a": "3"}, {"\ud800": 3}, {"a": 2**70})
    ],
    *[("seed", v) for v in (-1, 2**64, 1.5, "1", None, True)],
    *[("max_inputs", v) for v in (0, -1, 1.0, 2**16 + 1, 2**40, "3", None, True)],
    *[("angle", v) for v in (0, 0.0, -1.0, 90.0001, 180, math.nan, math.inf, "60", [60.0], True)],
    *[("rotation", v) for v in ("blocks", "Skew", "", None, 0, ["skew"])],
    *[("weighting", v) for v in ("sqrt", None, 1)],
    *[("attributes", v) for v in ("Polar", "", None, True, ["linear"])],
    *[("balance", v) for v in (-0.1, 1.01, math.nan, math.inf, "1", None, True, [0.5])],
    *[("spread", v) for v in (-0.1, 1.01, math.nan, -math.inf, "1", False, [0.5])],
    *[("ordered", v) for v in (None, 0, 1, "yes")],
    *[("centres", v) for v in (3, [1.0], {"zzz": [1.0]}, {1: [1.0]}, {"a": 1.0}, {"a": None}, {"a": "1234567"})],
    *[("centres", v) for v in ({"a": [1.0] * 6}, {"a": [[1.0] * 7]}, {"a": [1.0] * 6 + [1e31]}, {"a": [math.nan] * 7})],
    *[("scaling", v) for v in ("Paper", None, 0.5)],
    *[
        ("scales", v)
        for v in ({"a": 0.0}, {"a": -1.0}, {"a": math.nan}, {"a": math.inf}, {"a": 1e300}, {"a": "2"}, {"a": None})
    ],
    *[("scales", v) for v in ({"zzz": 1.0}, {1: 1.0}, 2.0, [2.0], {"a": True})],
    *[("signature", v) for v in (-1, 65, 8.0, "8", None, True)],
    *[
        ("wiring", v)
        for v in (3, ["a"], {"zzz": ["a"]}, {"a": ["zzz"]}, {"a": "a"}, {"a": None}, {None: []}, {3: ["a"]})
    ],
]


@pytest.mark.parametrize(("field", "value"), BAD, ids=lambda v: repr(v)[:30])
def test_bad_values_are_refused_by_name(field: str, value: Any) -> None:
    with pytest.raises((ValueError, TypeError), match=field) as caught:
        rs.SketchSpec(**{"dim": 64, "modules": {"a": 7}, field: value})
    assert "wanted" in str(caught.value)
    assert len(str(caught.value)) < 300


def test_bad_json() -> None:
    text = rs.SketchSpec(**FULL).to_json()
    for cut in range(len(text)):
        with pytest.raises(ValueError, match="specification"):
            rs.SketchSpec.from_json(text[:cut])
    with pytest.raises(ValueError, match="specification"):
        rs.SketchSpec.from_json(text.replace('"recsketch": 1', '"recsketch": true'))
    for bad in ("[]", "null", "3", '"a"', "{}", '{"recsketch": 1}', '{"recsketch": 99}', "[" * 100_000, "NaN", "\0"):
        with pytest.raises(ValueError, match="specification"):
            rs.SketchSpec.from_json(bad)
    for value in (None, 5, 3.5, ["{}"], object()):
        with pytest.raises((TypeError, ValueError)):
            rs.SketchSpec.from_json(value)  # type: ignore[arg-type]


def test_json_as_others_write_it() -> None:
    """A byte order mark, other encodings and spaces are passed over; a key that comes twice is refused."""
    spec = rs.SketchSpec(**FULL)
    text = spec.to_json()
    for given in (
        "\ufeff" + text,
        " \n" + text,
        text.encode("utf-8-sig"),
        text.encode("utf-16"),
        bytearray(text.encode()),
    ):
        assert rs.SketchSpec.from_json(given) == spec  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"specification: .* the key 'seed' twice"):
        rs.SketchSpec.from_json(text[:-1] + ', "seed": 3}')
    with pytest.raises(ValueError, match=r"specification: .* the key 'a' twice"):
        rs.SketchSpec.from_json(text.replace('"modules": {', '"modules": {"a": 9, '))
    with pytest.raises(TypeError, match=r"^specification: wanted a JSON text; got None"):
        rs.SketchSpec.from_json(None)  # type: ignore[arg-type]


def test_json_keeps_the_order_of_modules() -> None:
    """Which is that of `allowed`."""
    for names in ("ab", "ba"):
        spec = rs.SketchSpec(64, dict.fromkeys(names, 3), wiring={None: ["a"]})
        twin = rs.SketchSpec.from_json(spec.to_json())
        assert list(twin.modules) == list(names)
        assert twin.allowed()[-1].tolist() == [name == "a" for name in names]


def test_scales_of_modules() -> None:
    spec = rs.SketchSpec(64, {"a": 1, "b": 2}, scales={"a": 0.5})
    assert (spec.scale("a"), spec.scale("b")) == (0.5, 1.0)
    for bad in ("zz", "", None, 3, ["a"]):
        with pytest.raises(ValueError, match=r"^module: wanted 'a' or 'b'; got"):
            spec.scale(bad)  # type: ignore[arg-type]


def test_with_scales_wants_traces() -> None:
    spec = rs.SketchSpec(64, {"a": 1})
    for none in ([], (), rs.TraceBatch.from_traces([])):
        with pytest.raises(ValueError, match=r"^traces: wanted at least one; got none"):
            spec.with_scales(none)
    tiny = rs.Trace()
    tiny.outputs([tiny.add("a", [1e-37])])
    with pytest.raises(ValueError, match=r"scales.'a'.: wanted a number above 1e-30 and up to 1e30"):
        spec.with_scales(tiny)


def held_by_json(value: Any) -> bool:
    try:
        return repr(json.loads(json.dumps(value))) == repr(value)
    except (TypeError, ValueError):
        return False


@pytest.mark.parametrize(("field", "value"), [(f, v) for f, v in BAD if held_by_json(v)], ids=lambda v: repr(v)[:30])
def test_bad_values_inside_json(field: str, value: Any) -> None:
    fields = json.loads(rs.SketchSpec(**FULL).to_json())
    with pytest.raises((ValueError, TypeError), match=f"{field}|scales"):
        rs.SketchSpec.from_json(json.dumps({**fields, field: value}))


def test_unknown_and_missing_fields_in_json() -> None:
    fields = json.loads(rs.SketchSpec(**FULL).to_json())
    with pytest.raises(ValueError, match="wirings"):
        rs.SketchSpec.from_json(json.dumps({**fields, "wirings": {}}))
    for name in ("dim", "modules"):
        with pytest.raises(ValueError, match=name):
            rs.SketchSpec.from_json(json.dumps({k: v for k, v in fields.items() if k != name}))


def test_with_scales_gives_a_root_mean_square_norm_of_one() -> None:
    """float64 sums of 40 float32 norms: 1e-6 covers every rounding of the float32 products below."""
    rng = np.random.default_rng(1)
    spec = rs.SketchSpec(64, {"a": 5, "b": 9, "unused": 3, "zero": 2}, scales={"unused": 4.0})
    traces = []
    for _ in range(20):
        t = rs.Trace()
        t.add("a", 100 * rng.standard_normal(5))
        t.add("b", 0.01 * rng.standard_normal(9))
        t.add("zero", [0, 0])
        t.outputs([0, 1, 2])
        traces.append(t)
    for given in (traces, rs.TraceBatch.from_traces(traces), iter(traces)):
        scaled = spec.with_scales(given)
        scales = dict(scaled.scales or {})
        for name in ("a", "b"):
            squares = [
                np.sum((scales[name] * o.attribute.astype(np.float64)) ** 2)
                for t in traces
                for o in t.objects
                if o.module == name
            ]
            assert math.sqrt(np.mean(squares)) == pytest.approx(1, rel=1e-6)
        assert scales["unused"] == 4.0
        assert scales.get("zero", 1.0) == 1.0
        assert scaled.replace(scales={"unused": 4.0}) == spec
    bad = rs.Trace()
    bad.outputs([bad.add("zzz", [1.0])])
    with pytest.raises(ValueError, match="zzz"):
        spec.with_scales(bad)


def test_with_scales_measures_what_is_left_of_centres() -> None:
    """Attributes of norm 2 about their centre, whatever that is."""
    spec = rs.SketchSpec(64, {"a": 2, "b": 1}, attributes="linear", centres={"a": [100.0, -7.0]})
    trace = rs.Trace()
    trace.outputs([trace.add("b", [0.5]), *(trace.add("a", [100.0 + x, -7.0 + y]) for x, y in ((2, 0), (0, -2)))])
    assert dict(spec.with_scales(trace).scales or {}) == {"a": pytest.approx(0.5), "b": pytest.approx(2.0)}


def test_suggested_dim_holds_the_traces() -> None:
    """The smallest power of two whose load is at most the target, for the largest of the traces."""
    rng = np.random.default_rng(1)
    traces = []
    for n in (3, 40, 11):
        t = rs.Trace()
        t.outputs([t.add("a", rng.standard_normal(20)) for _ in range(n)][:16])
        traces.append(t)
    for target in (0.1, 0.6, 0.7):
        dim = rs.suggest_dim(traces, target=target)
        assert dim & (dim - 1) == 0
        assert 64 <= dim <= 2**24
        sk = rs.Sketcher(rs.SketchSpec(dim, {"a": 20}))
        assert np.max([sk.load(t) for t in traces]) <= target
        if dim > 64:
            half = rs.Sketcher(rs.SketchSpec(dim // 2, {"a": 20}))
            assert np.max([half.load(t) for t in traces]) > target
    for bad in (0, -1, math.nan, "x", None):
        with pytest.raises((ValueError, TypeError)):
            rs.suggest_dim(traces, target=bad)  # type: ignore[arg-type]
    with pytest.raises((ValueError, TypeError)):
        rs.suggest_dim([])
    with pytest.raises(ValueError, match="traces: wanted at most 0 unknown"):
        rs.suggest_dim(traces, target=1e-320)
    t = rs.Trace()
    part = t.add("a", [1.0])
    t.outputs([t.add("a", [1.0], inputs=[part] * 70_000, weights=[1.0] + [0.0] * 69_999)])
    assert rs.suggest_dim(t) == 64


def test_integers_beyond_floats_are_value_errors() -> None:
    with pytest.raises(ValueError, match="angle: wanted"):
        rs.SketchSpec(64, {"a": 1}, angle=10**400)
    with pytest.raises(ValueError, match="scales"):
        rs.SketchSpec(64, {"a": 1}, scales={"a": 10**400})


def test_a_scale_of_one_is_no_scale() -> None:
    plain = rs.SketchSpec(64, {"a": 1, "b": 2})
    assert rs.SketchSpec(64, {"a": 1, "b": 2}, scales={"a": 1.0}) == plain
    assert plain.replace(scales={"a": 2.0, "b": 1.0}) == plain.replace(scales={"a": 2.0}) != plain
