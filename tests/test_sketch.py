"""The forward sweep against the recursion of the reference, and the laws of section 3."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import reference as ref
from hypothesis import given, settings
from hypothesis import strategies as st

import recsketch as rs
import recsketch.sketcher

DIM = 128


def close(build: Any, rounding: Any, spec: ref.RefSpec, trace: ref.RefTrace) -> None:
    """Within the worst-case rounding of this very computation."""
    got = build.sketcher(spec).sketch(build.trace(trace))
    assert got.dtype == np.float32
    assert got.shape == (spec.dim,)
    error = np.linalg.norm(got - ref.sketch(spec, trace))
    allowed = rounding.forward(spec, trace)
    assert error <= allowed
    assert allowed < 1e-3 * max(1e-3, float(np.linalg.norm(got)))  # the bound itself says something


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("objects", [1, 2, 9, 40])
def test_random_dags(build: Any, rounding: Any, variant: dict[str, Any], objects: int, seed: int) -> None:
    spec = ref.RefSpec(DIM, build.MODULES, seed, **variant)
    close(build, rounding, spec, build.dag(np.random.default_rng([seed, objects]), spec, objects))


@pytest.mark.parametrize("dim", [64, 256])
def test_ragged_trees(build: Any, rounding: Any, variant: dict[str, Any], dim: int) -> None:
    spec = ref.RefSpec(dim, build.MODULES, dim, **variant)
    close(build, rounding, spec, build.tree(np.random.default_rng(dim), spec, 4, 4, ragged=True))


@st.composite
def specs(draw: Any) -> ref.RefSpec:
    """A specification of any weighting, rotation and kind of attributes."""
    weighting = draw(st.sampled_from(["balanced", "energy", "linear", "count"]))
    shares = st.floats(0, 1)
    return ref.RefSpec(
        64,
        {"a": 3, "b": 70},
        draw(st.integers(0, 2**64 - 1)),
        max_inputs=9,
        angle=draw(st.sampled_from([30.0, 60.0, 85.0])),
        rotation=draw(st.sampled_from(["skew", "hadamard"])),
        weighting=weighting,
        scaling=draw(st.sampled_from(["unit", "paper"])),
        scales=draw(st.sampled_from([None, {"a": 0.5}])),
        signature=draw(st.sampled_from([0, 1, 9])),
        attributes=draw(st.sampled_from(["polar", "linear"])),
        balance=draw(shares),
        spread=0.0 if weighting == "count" else draw(shares),
        ordered=draw(st.booleans()),
        centres=draw(st.sampled_from([None, {"a": [1.0, -2.0, 0.0]}])),
    )


@settings(max_examples=80, deadline=None, derandomize=True)
@given(spec=specs(), objects=st.integers(1, 25), fan=st.integers(0, 9))
def test_any_dag_of_any_specification(build: Any, rounding: Any, spec: ref.RefSpec, objects: int, fan: int) -> None:
    trace = build.dag(np.random.default_rng(spec.seed), spec, objects, fan)
    if spec.weighting != "count":
        close(build, rounding, spec, trace)
        return
    # Weights of up to 10,000 multiply: the bound may be far above one.
    error = np.linalg.norm(build.sketcher(spec).sketch(build.trace(trace)) - ref.sketch(spec, trace))
    assert error <= rounding.forward(spec, trace)


@pytest.mark.parametrize("module", ["a", "b", "c", "wide"])
def test_a_single_object(build: Any, rounding: Any, variant: dict[str, Any], module: str) -> None:
    spec = ref.RefSpec(DIM, build.MODULES, 3, **variant)
    one = build.object(np.random.default_rng(0), spec, module=module)
    close(build, rounding, spec, ref.RefTrace((one,), (0,)))


def test_by_hand(build: Any) -> None:
    """One object, one output, written out: T_0 T_M sqrt(1/2) T_attr sqrt(1/2) (E x + c)."""
    spec = ref.RefSpec(64, {"a": 2}, 1)
    x = np.array([3.0, -4.0], dtype=np.float32)
    t = spec.operator("position", 0) @ spec.operator("module", "a") @ spec.operator("branch", "attr")
    want = 0.5 * t @ (spec.embedding("a") @ x + spec.counter("a"))
    got = build.sketcher(spec).sketch(build.trace(ref.RefTrace((ref.RefObject("a", x),), (0,))))
    assert np.linalg.norm(got - want) <= 50 * 2.0**-24 * np.linalg.norm(
        want
    )  # about 30 roundings, see Rounding.forward


def test_a_chain_of_ten_thousand(build: Any, rounding: Any) -> None:
    """No recursion in C or Python. |s_object| stays below sqrt(1/2) (1 + |s|): the bound converges."""
    spec = ref.RefSpec(64, {"a": 4}, 2)
    rng = np.random.default_rng(1)
    chain = [build.object(rng, spec, (n - 1,) if n else ()) for n in range(10_000)]
    close(build, rounding, spec, ref.RefTrace(tuple(chain), (9_999,)))


def test_a_wide_tuple(build: Any, rounding: Any, variant: dict[str, Any]) -> None:
    spec = ref.RefSpec(64, {"a": 4, "b": 9}, 2, max_inputs=60, **build.bare(variant))
    rng = np.random.default_rng(4)
    leaves = [build.object(rng, spec) for _ in range(60)]
    top = build.object(rng, spec, range(60), tuple(rng.random(60) + 0.01))
    close(build, rounding, spec, ref.RefTrace((*leaves, top), (60, *range(30))))


def test_one_object_in_every_place(build: Any, rounding: Any, variant: dict[str, Any]) -> None:
    """Used twice by one tuple, by several parents, and an output of its own, twice."""
    spec = ref.RefSpec(DIM, build.MODULES, 5, **variant)
    rng = np.random.default_rng(6)
    leaf = build.object(rng, spec)
    left = build.object(rng, spec, (0, 0), (1.0, 3.0))
    right = build.object(rng, spec, (1, 0, 1))
    close(build, rounding, spec, ref.RefTrace((leaf, left, right), (0, 2, 1, 0), (1.0, 2.0, 3.0, 4.0)))


def pair(build: Any, variant: dict[str, Any]) -> tuple[ref.RefSpec, ref.RefTrace, np.random.Generator]:
    spec = ref.RefSpec(DIM, build.MODULES, 8, **variant)
    rng = np.random.default_rng(9)
    return spec, build.dag(rng, spec, 20), rng


def test_it_is_affine_in_linear_attributes(build: Any, rounding: Any, linear: dict[str, Any]) -> None:
    """s(x/2 + y/2) = s(x)/2 + s(y)/2, each within its own rounding bound. The midpoint of float32 is rounded too."""
    spec, trace, rng = pair(build, linear)
    other = ref.RefTrace(
        tuple(o._replace(attribute=build.attribute(rng, len(o.attribute))) for o in trace.objects), *trace[1:]
    )
    middle = ref.RefTrace(
        tuple(
            o._replace(attribute=(o.attribute / 2 + p.attribute / 2).astype(np.float32))
            for o, p in zip(trace.objects, other.objects, strict=True)
        ),
        *trace[1:],
    )
    sk = build.sketcher(spec)
    s, t, m = (sk.sketch(build.trace(each)).astype(np.float64) for each in (trace, other, middle))
    allowed = sum(rounding.forward(spec, each) for each in (trace, other, middle)) * 2
    assert np.linalg.norm(s / 2 + t / 2 - m) <= allowed
    assert np.linalg.norm(s - t) > 1e3 * allowed


def test_adding_a_module_changes_no_bit(build: Any, variant: dict[str, Any]) -> None:
    spec, trace, _ = pair(build, variant)
    before = build.sketcher(spec).sketch(build.trace(trace))
    for modules in (
        {**spec.modules, "new": 99},
        {"new": 99, **spec.modules},
        dict(reversed([*spec.modules.items(), ("0", 1), ("attr", 20)])),
    ):
        more = ref.RefSpec(DIM, modules, spec.seed, **variant)
        assert np.array_equal(build.sketcher(more).sketch(build.trace(trace)), before)


def test_more_room_for_inputs_changes_no_bit(build: Any, variant: dict[str, Any]) -> None:
    spec, trace, _ = pair(build, variant)
    wider = ref.RefSpec(DIM, spec.modules, spec.seed, max_inputs=40, **variant)
    before = build.sketcher(spec).sketch(build.trace(trace))
    assert np.array_equal(build.sketcher(wider).sketch(build.trace(trace)), before)


def test_inputs_of_weight_zero_change_no_bit(build: Any, variant: dict[str, Any]) -> None:
    """They take no position, and that one of them has inputs does not make its tuple one of objects with inputs."""
    spec = ref.RefSpec(DIM, build.MODULES, 8, max_inputs=2, **variant)
    rng = np.random.default_rng(3)
    objects = [*(build.object(rng, spec) for _ in range(2)), build.object(rng, spec, (0, 1)), build.object(rng, spec)]
    top = build.object(rng, spec, (0, 1, 2, 3), (0.0, 1.0, 0.0, 2.0))
    bare = top._replace(inputs=(1, 3), weights=(1.0, 2.0))
    sk = build.sketcher(spec)
    a = sk.sketch(build.trace(ref.RefTrace((*objects, top), (0, 4, 1), (0.0, 1.0, 0.0))))
    b = sk.sketch(build.trace(ref.RefTrace((*objects, bare), (4,))))
    assert np.array_equal(a, b)


def test_only_the_ratios_of_weights_count(build: Any) -> None:
    """Times a power of two: not a bit changes. Equal weights are the default."""
    spec, trace, _ = pair(build, {})
    sk = build.sketcher(spec)
    want = sk.sketch(build.trace(trace))
    for factor in (2.0**-30, 2.0**30):
        scaled = [
            o if o.weights is None else o._replace(weights=tuple(factor * w for w in o.weights)) for o in trace.objects
        ]
        equal = [o._replace(weights=(factor,) * len(o.inputs)) if o.weights is None else o for o in scaled]
        ends = ref.RefTrace(tuple(equal), trace.outputs, (factor,) * len(trace.outputs))
        assert np.array_equal(sk.sketch(build.trace(ends)), want)


def test_what_reaches_no_output_does_not_count(build: Any, variant: dict[str, Any]) -> None:
    spec, trace, rng = pair(build, variant)
    live = ref.reached(trace, spec)
    assert 0 < live.sum() < len(live)
    other = [
        o if keep else o._replace(attribute=build.attribute(rng, len(o.attribute)) * 9)
        for o, keep in zip(trace.objects, live, strict=True)
    ]
    sk = build.sketcher(spec)
    changed = ref.RefTrace(tuple(other), *trace[1:])
    assert np.array_equal(sk.sketch(build.trace(trace)), sk.sketch(build.trace(changed)))


def test_a_batch_is_its_traces(build: Any, variant: dict[str, Any]) -> None:
    """Bit for bit, as a list, as a TraceBatch, as a slice, for any number of threads."""
    spec = ref.RefSpec(DIM, build.MODULES, 1, **variant)
    rng = np.random.default_rng(2)
    traces = [build.trace(build.dag(rng, spec, int(rng.integers(1, 30)))) for _ in range(17)]
    sk = build.sketcher(spec)
    want = np.stack([sk.sketch(t) for t in traces])
    batch = rs.TraceBatch.from_traces(traces)
    assert np.array_equal(sk.sketch(batch), want)
    assert np.array_equal(sk.sketch(traces), want)
    assert np.array_equal(sk.sketch(batch[5:11]), want[5:11])
    assert np.array_equal(build.sketcher(spec, threads=4).sketch(batch), want)


def test_energy_is_shared_by_weight(build: Any) -> None:
    """A tuple of independent unit sketches with "energy" weights: |s|^2 = sum alpha^2 |s_i|^2 + cross terms.

    T is orthonormal, so every leaf alone has |s|^2 = (1/4)|E x + c|^2 = 1/2 +- 1/sqrt(d). Eight leaves of different
    modules: 28 cross terms, each alpha_i alpha_j <.,.> with deviation below 1/sqrt(d): in sum below 28/8/sqrt(d) = 0.05
    times 2; the identity branch shares nothing between different modules. Fixed seeds; 6 deviations hold 1e-8.
    """
    spec = ref.RefSpec(4096, {f"m{i}": 32 for i in range(8)}, 3)
    rng = np.random.default_rng(5)
    trace = rs.Trace()
    for name in spec.modules:
        trace.add(name, build.attribute(rng, 32))
    trace.outputs(range(8), weights=rng.random(8) + 0.1)
    assert abs(float(np.sum(build.sketcher(spec).sketch(trace).astype(np.float64) ** 2)) - 0.5) <= 0.1


def test_rounding_hardly_grows_with_depth(build: Any) -> None:
    """Full trees of fan 3. Tuples are whole numbers, whose sums are exact; the sketch is rounded to floats once, and
    the inputs of a tuple of three five times to 24 bits: as operators take them, and by each of four
    (docs/implementation.md, "Tuples in whole numbers"). Those of the outputs are turned in doubles. Rounding once costs
    at most u = 2^-24 / sqrt(3) of the norm. At depth 5 the inputs that are rounded have 0.86, 0.71 and 0.45 of the
    energy, level by level: sqrt(1 + 5 (0.86 + 0.71 + 0.45)) = 3.3 u. The rest of the bound is for the rounding to whole
    numbers."""
    spec = ref.RefSpec(512, {"a": 16, "b": 64}, 5, weighting="balanced", spread=0.5)
    once = 2.0**-24 / np.sqrt(3)
    for depth in (2, 3, 4, 5):
        trace = build.tree(np.random.default_rng(depth), spec, depth, 3)
        want = ref.sketch(spec, trace)
        error = np.linalg.norm(build.sketcher(spec).sketch(build.trace(trace)) - want) / np.linalg.norm(want)
        assert error <= 4.5 * once


@pytest.mark.parametrize(
    ("weighting", "angle"), [("balanced", 60.0), ("energy", 90.0), ("linear", 89.9), ("count", 60.0)]
)
def test_tuples_never_overflow(build: Any, weighting: str, angle: float) -> None:
    """Attributes that all add up at one coordinate, as no random ones do, of sizes from 1e-25 to 1e25, and weights as
    far apart; 20 inputs of one tuple, inner objects and shared ones among them. Where a vector of whole numbers wraps,
    half of its largest number is wrong. A vector that is one large number otherwise rounds each of 256 coordinates to
    2^-31 of a bound of at most 40 times that number, some two times: 16 · 40 · 2 · 2^-31 = 6e-7 of the norm."""
    spread = 0.0 if weighting == "count" else 0.5
    modules = {"a": 16, "b": 7, "wide": 40}  # two whose leaves are looked up, and one that is written out
    spec = ref.RefSpec(256, modules, 9, 40, angle, weighting=weighting, spread=spread)
    rng = np.random.default_rng(1)
    for size, apart in ((1e-25, 1.0), (1e25, 1e6), (None, 1e12)):
        objects: list[ref.RefObject] = []
        for n in range(25):
            name = list(modules)[n % 3]
            k = {10: 4, 14: 1, 15: 2, 24: 20}.get(n, 0)
            inputs = [n - 1 - i for i in range(k)] if k < 20 else [*range(20)]
            weights = apart ** rng.random(k) if k else None
            objects.append(ref.RefObject(name, np.ones(modules[name]), inputs, weights))
        trace = ref.RefTrace(objects, (24, 14, 23), np.array([1.0, apart, 1.0]))
        rows = build.object_columns(spec, trace)
        at = int(rng.integers(spec.dim))
        for n, columns in enumerate(rows):
            x = columns[at] / max(float(np.linalg.norm(columns[at])), 1e-300)
            loud = 10.0 ** rng.uniform(-25, 25) if size is None else size
            objects[n] = objects[n]._replace(attribute=(x * loud).astype(np.float32))
        trace = trace._replace(objects=objects)
        want = ref.sketch(spec, trace)
        found = build.sketcher(spec).sketch(build.trace(trace)).astype(np.float64)
        assert np.linalg.norm(found - want) <= 1e-6 * np.linalg.norm(want), (size, apart)


@pytest.mark.parametrize(("cached", "threads"), [(1 << 20, 1), (1, 1), (1, 2), (20000, 1)])
def test_long_batches_are_planned_in_slices(
    build: Any, monkeypatch: pytest.MonkeyPatch, cached: int, threads: int
) -> None:
    """1,024 traces at a time, one, 32, or some dozens: the same sketches, and messages that count from the start of the
    batch."""
    spec = ref.RefSpec(64, {"a": 7}, 2)
    rng = np.random.default_rng(3)
    traces = [build.trace(build.dag(rng, spec, 3)) for _ in range(1100)]
    sk = build.sketcher(spec, threads)
    want = np.concatenate([sk.sketch(traces[i : i + 100]) for i in range(0, 1100, 100)])
    monkeypatch.setattr(recsketch.sketcher, "CACHED", cached)
    assert np.array_equal(sk.sketch(traces), want)
    for name, value, match in (
        ("a", 1e38, "wanted finite"),
        ("b", 0.0, "wanted a module among"),
        ("a", None, "output"),
    ):
        bad = rs.Trace()
        i = bad.add(name, np.full(7, 0.0 if value is None else value))
        if value is not None:
            bad.outputs([i])
        with pytest.raises(ValueError, match=f"trace 1050.*{match}"):
            sk.sketch([*traces[:1050], bad, *traces[1050:]])
