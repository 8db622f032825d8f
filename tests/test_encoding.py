"""What stands in a sketch for an attribute, and the way back: against the reference, and for numbers of any size."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import reference as ref
from columns import COLUMNS

import recsketch as rs
import recsketch._core as _core

UNIT = 2.0**-24
MOST = float(np.finfo(np.float32).max)
LENGTHS = {"one": 1, "a": 7, "b": 16, "wide": 150}
SIZES = (0.0, 1e-30, 1e-3, 1.0, 50.0, 1e30)
OPTIONS: list[dict[str, Any]] = [
    {"attributes": "polar"},
    {"attributes": "polar", "signature": 5, "scales": {"a": 1e-20, "b": 0.3}, "centres": {"a": [0.5] * 7}},
    {"attributes": "linear"},
    {"attributes": "linear", "signature": 3, "scales": {"a": 0.1}, "centres": {"b": [-1.0] * 16, "one": [2.0]}},
]


def runs(seed: int) -> list[ref.RefTrace]:
    """Nine runs of up to 12 objects of all modules, of every size."""
    rng = np.random.default_rng(seed)
    out = []
    for _ in range(9):
        objects = []
        for _ in range(int(rng.integers(1, 13))):
            name = list(LENGTHS)[int(rng.integers(4))]
            x = rng.standard_normal(LENGTHS[name])
            size = SIZES[int(rng.integers(len(SIZES)))]
            objects.append(ref.RefObject(name, (x / np.linalg.norm(x) * size).astype(np.float32)))
        out.append(ref.RefTrace(objects, (0,)))
    return out


def coded(spec: ref.RefSpec) -> tuple[_core.Coding, np.ndarray | None]:
    """The coding of a specification, made of the reference's numbers, and twelve signatures."""
    centres = None if spec.centres is None else [spec.centre(m).tolist() for m in spec.modules]
    lengths = list(spec.modules.values())
    coding = _core.Coding(
        lengths, [spec.scale(m) for m in spec.modules], centres, spec.attributes == "polar", spec.signature
    )
    return coding, np.stack([ref.signature(spec, n) for n in range(12)]) if spec.signature else None


def columns(traces: list[ref.RefTrace]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Modules, numbers in their traces, offsets and attributes of all objects."""
    objects = [(n, o) for t in traces for n, o in enumerate(t.objects)]
    module = np.array([list(LENGTHS).index(o.module) for _, o in objects], np.int32)
    ends = np.cumsum([0, *(len(o.attribute) for _, o in objects)])
    x = np.concatenate([o.attribute for _, o in objects])
    return module, np.array([n for n, _ in objects], np.int32), ends, x


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("threads", [1, 3])
def test_unknowns_are_the_reference_s(options: dict[str, Any], threads: int) -> None:
    """Both compute in float64 and round once, so that they differ by a last place of float32 at most."""
    spec = ref.RefSpec(64, LENGTHS, 3, **options)
    traces = runs(1)
    module, number, ends, x = columns(traces)
    coding, signatures = coded(spec)
    got = coding.encode(module, number, ends, x, signatures, threads)
    want = np.concatenate([ref.encoded(spec, n, o) for t in traces for n, o in enumerate(t.objects)])
    assert np.array_equal(got, coding.encode(module, number, ends, x, signatures, 1))
    assert (np.abs(got - want) <= 2 * UNIT * np.abs(want)).all()
    assert np.isfinite(got).all()


@pytest.mark.parametrize("options", OPTIONS)
def test_attributes_come_back(options: dict[str, Any]) -> None:
    """Exact unknowns give x again: linear to a rounding of it and its centre; polar ones with a last element of up to
    6.3 that is wrong by half a last place, 2^-22, times 16 log 2: 2.7e-6 of the norm. Zeros are zeros again."""
    spec = ref.RefSpec(64, LENGTHS, 3, **options)
    traces = runs(2)
    module, number, ends, x = columns(traces)
    coding, signatures = coded(spec)
    unknowns = coding.encode(module, number, ends, x, signatures, 2)
    back, none = coding.decode(module, ends, unknowns, None, 2)
    assert none is None
    objects = [o for t in traces for o in t.objects]
    allowed = 3e-6 if spec.attributes == "polar" else 4 * UNIT
    parts = [
        ref.decoded(spec, o.module, u) for o, u in zip(objects, np.split(unknowns, cuts(spec, objects)), strict=True)
    ]
    for o, got, want in zip(objects, np.split(back, ends[1:-1]), parts, strict=True):
        centre = np.linalg.norm(spec.centre(o.module))
        size = np.linalg.norm(o.attribute.astype(np.float64))
        assert np.linalg.norm(got - o.attribute.astype(np.float64)) <= allowed * (size + centre)
        assert np.abs(got - want).max() <= 1e-6 * (size + centre)  # the powers of two differ by rounding of 16 * 6.3
        if not size and not centre:
            assert not got.any()


def cuts(spec: ref.RefSpec, objects: list[ref.RefObject]) -> np.ndarray:
    return np.cumsum([spec.width(o.module) for o in objects])[:-1]


@pytest.mark.parametrize("options", OPTIONS)
def test_any_unknowns_are_decoded_as_the_reference_does(options: dict[str, Any]) -> None:
    """Noise, huge numbers, no direction at all: the same vectors to 1e-5, and no infinity."""
    spec = ref.RefSpec(64, LENGTHS, 3, **options)
    rng = np.random.default_rng(5)
    traces = runs(3)
    module, _, ends, _ = columns(traces)
    coding, _ = coded(spec)
    objects = [o for t in traces for o in t.objects]
    for size in (0.0, 1e-3, 0.3, 1.0, 1e3, 3e38):
        unknowns = (size * rng.uniform(-1, 1, ends[-1] + coding.more * module.size)).astype(np.float32)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            back, errors = coding.decode(module, ends, unknowns, np.full((module.size, 2), size), 1)
        assert errors is not None
        assert np.isfinite(back).all()
        assert not np.isnan(errors).any()
        assert (errors >= 0).all()
        parts = np.split(unknowns.astype(np.float64), cuts(spec, objects))
        for o, got, part in zip(objects, np.split(back, ends[1:-1]), parts, strict=True):
            want = np.clip(ref.decoded(spec, o.module, part), -MOST, MOST)
            size_of_all = np.linalg.norm(want / MOST) + np.linalg.norm(spec.centre(o.module) / MOST)
            assert (
                np.linalg.norm(got.astype(np.float64) / MOST - want / MOST) <= 1e-5 * size_of_all + 1e-80
            )  # float32 ends at 1e-45


def test_nan_stays_nan() -> None:
    for options in OPTIONS:
        spec = ref.RefSpec(64, LENGTHS, 3, **options)
        coding, _ = coded(spec)
        ends = np.array([0, 7, 14])
        unknowns = np.full(14 + 2 * coding.more, 0.5, np.float32)
        unknowns[: 7 + coding.more] = np.nan
        back, errors = coding.decode(np.array([1, 1], np.int32), ends, unknowns, np.ones((2, 2)), 1)
        assert np.isnan(back).tolist() == [True] * 7 + [False] * 7
        assert errors is not None
        assert not np.isnan(errors[7:]).any()


@pytest.mark.parametrize("options", OPTIONS)
def test_errors_are_first_order(options: dict[str, Any]) -> None:
    """By differences along every unknown, signatures left out: the root of the sum of squares, to 1% of the largest. Of
    the norm's logarithm 0.11 makes 0.1107 of the norm, as it is lognormal."""
    spec = ref.RefSpec(64, LENGTHS, 3, **options)
    coding, _ = coded(spec)
    rng = np.random.default_rng(4)
    for index, (name, a) in enumerate(LENGTHS.items()):
        x = rng.standard_normal(a)
        o = ref.RefObject(name, (30.0 * x / np.linalg.norm(x)).astype(np.float32))
        u, step = ref.encoded(spec, 0, o), 1e-5
        around = [ref.decoded(spec, name, u + d) for d in step * np.eye(u.size)]
        slopes = (np.array(around) - ref.decoded(spec, name, u)) / step
        want = 0.01 * np.sqrt(np.sum(slopes**2, axis=0))
        ends, module = np.array([0, a]), np.array([index], np.int32)
        _, errors = coding.decode(module, ends, u.astype(np.float32), np.full((1, 2), 0.01), 1)
        assert errors is not None
        assert np.abs(errors - want).max() <= 0.01 * want.max()


@pytest.mark.parametrize("attributes", ["polar", "linear"])
def test_numbers_that_cannot_be_sketched_are_named(attributes: Any) -> None:
    """Trace, object and element; what counts is the number that is centred and scaled."""
    sk = rs.Sketcher(
        rs.SketchSpec(64, {"a": 3}, attributes=attributes, scales={"a": 1e-10}, centres={"a": [0, 1e25, 0]})
    )
    good = rs.Trace()
    good.outputs([good.add("a", [1e30, 2e25, -3e38])])
    assert np.isfinite(sk.sketch(good)).all()
    for x, text in (([1, np.nan, 2], "nan at element 1"), ([1, 2, np.inf], "inf at element 2")):
        bad = rs.Trace()
        bad.add("a", [1, 2, 3])
        bad.outputs([bad.add("a", [9, 9, 9])])
        batch = rs.TraceBatch.from_traces([good, good, bad, good])
        numbers = batch.attributes.copy()
        numbers[9:12] = x  # a Trace would have refused it
        batch = rs.TraceBatch(
            names=batch.names, **{**{name: getattr(batch, name) for name in COLUMNS}, "attributes": numbers}
        )
        with pytest.raises(ValueError, match=rf"^trace 2, object 1 \(a\): wanted finite .* got {text}"):
            sk.sketch(batch)
    far = rs.Sketcher(rs.SketchSpec(64, {"a": 3}, attributes=attributes, centres={"a": [0, -1e30, 0]}))
    with pytest.raises(ValueError, match=r"object 0 \(a\): .* got 2e\+30 at element 1"):
        far.sketch(shifted([0, 1e30, 0]))


def shifted(x: Any) -> rs.Trace:
    trace = rs.Trace()
    trace.outputs([trace.add("a", x)])
    return trace


@pytest.mark.parametrize("size", [0.0, 1e-30, 1e-3, 1e4, 1e30])
def test_norms_of_any_size_come_back_beside_others(build: Any, size: float) -> None:
    """Modules of norms 1 and `size` in one run at load 0.5, zero vectors too: each to 1e-4 of its own norm.

    An unknown is wrong by 2e-7 |s| / sqrt(d (1 - load)) over the amplitude, about 4e-8, the norm by 11 times that."""
    spec = rs.SketchSpec(512, {"a": 16, "b": 16, "one": 1}, 3)
    rng = np.random.default_rng(7)
    trace = rs.Trace()
    leaves = [trace.add("ab"[i % 2], build.attribute(rng, 16) * (size if i % 2 else 1.0)) for i in range(6)]
    single = trace.add("one", [-size])
    trace.outputs([trace.add("a", build.attribute(rng, 16) * size, leaves), trace.add("b", [0.0] * 16, [single])])
    sk = rs.Sketcher(spec, threads=1)
    s = sk.sketch(trace)
    assert 0.25 < sk.load(trace) < 0.5
    for found in (sk.recover(s, trace), sk.recover(s, trace, "sparse")):
        for x, o in zip(found.attributes, trace.objects, strict=True):
            assert np.linalg.norm(x - o.attribute.astype(np.float64)) <= 1e-4 * np.linalg.norm(
                o.attribute.astype(float)
            )
        assert found.residual <= 1e-6


WANTED = "wanted|range|length|offset|index"


def test_wrong_arrays_are_refused() -> None:
    coding = _core.Coding([2, 3], [1.0, 1.0], None, True, 0)
    module, number, ends = np.array([0, 1], np.int32), np.zeros(2, np.int32), np.array([0, 2, 5])
    x = np.ones(5, np.float32)
    assert coding.encode(module, number, ends, x, None, 1).size == 7
    refused: list[Any] = [
        (module[:1], number, ends, x),
        (module, number[:1], ends, x),
        (module, number, ends[:2], x),
        (module, number, ends, x[:4]),
        (module, number, np.array([0, 3, 5]), x),
        (module, number, np.array([1, 2, 5]), x),
        (np.array([0, 2], np.int32), number, ends, x),
        (np.array([-1, 1], np.int32), number, ends, x),
        (module, number, np.array([0, 2, 2**40]), x),
    ]
    for args in refused:
        with pytest.raises(ValueError, match=WANTED):
            coding.encode(*args, None, 1)
    with pytest.raises(ValueError, match=WANTED):
        coding.encode(module, number, ends, x, np.ones((3, 2), np.float32), 1)
    with pytest.raises(ValueError, match=WANTED):
        coding.encode(module, number, ends, x, None, 0)
    unknowns = np.ones(7, np.float32)
    for error in (np.ones((1, 2)), np.ones((2, 3))):
        with pytest.raises(ValueError, match=WANTED):
            coding.decode(module, ends, unknowns, error, 1)
    with pytest.raises(ValueError, match=WANTED):
        coding.decode(module, ends, unknowns[:5], None, 1)
    signed = _core.Coding([2, 3], [1.0, 1.0], None, False, 2)
    for drawn in (None, np.ones((3, 1), np.float32), np.ones((0, 2), np.float32)):
        with pytest.raises(ValueError, match=WANTED):
            signed.encode(module, number, ends, x, drawn, 1)
    with pytest.raises(ValueError, match=WANTED):
        signed.encode(module, None, ends, x, np.ones((3, 2), np.float32), 1)
    with pytest.raises(ValueError, match=WANTED):
        signed.encode(module, np.array([0, 3], np.int32), ends, x, np.ones((3, 2), np.float32), 1)
    for bad in (([], [], None), ([2], [1.0, 2.0], None), ([2], [1.0], [[1.0]]), ([2], [1.0], [])):
        with pytest.raises(ValueError, match=WANTED):
            _core.Coding(*bad, True, 0)


def test_without_order_only_what_adds_up_is_read(build: Any) -> None:
    """recover and unroll refuse and say what works; runs whose inputs are shuffled have equal sketches, to rounding."""
    spec = ref.RefSpec(256, {"a": 7, "b": 9}, 1, weighting="count", ordered=False)
    rng = np.random.default_rng(1)
    leaves = [build.object(rng, spec) for _ in range(5)]
    sk = build.sketcher(spec)
    runs = []
    for order in (range(5), [3, 1, 0, 4, 2]):
        top = build.object(np.random.default_rng(9), spec, order)
        runs.append(build.trace(ref.RefTrace((*leaves, top), (5,))))
    s = sk.sketch(runs)
    assert np.abs(s[0] - s[1]).max() <= 1e-6 * np.abs(s).max()
    assert sk.similarity(s[0], s[1]) == pytest.approx(1)
    assert sk.summary(s[0], "a", unroll=False).count_error > 0
    with pytest.raises(
        ValueError, match=r"^recover: wanted a specification with ordered=True; .* similarity and summary"
    ):
        sk.recover(s, runs)
    with pytest.raises(ValueError, match=r"^unroll: wanted a specification with ordered=True"):
        sk.unroll(s)
