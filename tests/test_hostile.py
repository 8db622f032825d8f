"""Bad input to every public function: a clear error, never a crash, never a silent wrong answer."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import reference as ref
from columns import COLUMNS
from hypothesis import given, settings
from hypothesis import strategies as st

import recsketch as rs
from recsketch.transforms import fwht

DIM = 64
CLEAR = (ValueError, TypeError)
HUGE = np.float32(1e38)


def refused(call: Callable[[], Any], match: str | None = None) -> None:
    """It raises ValueError or TypeError with a message that names the argument, and is no wall of text."""
    with pytest.raises(CLEAR, match=match) as caught:
        call()
    assert 10 < len(str(caught.value)) < 400
    assert not isinstance(caught.value, UnicodeError | np.exceptions.AxisError)


@pytest.fixture(scope="module")
def sk() -> rs.Sketcher:
    return rs.Sketcher(rs.SketchSpec(DIM, {"a": 3, "b": 20}, 1, max_inputs=4), threads=1)


def run(seed: int = 0) -> rs.Trace:
    rng = np.random.default_rng(seed)
    t = rs.Trace()
    t.add("a", rng.standard_normal(3))
    t.add("b", rng.standard_normal(20), inputs=[0, 0], weights=[1, 2])
    t.add("a", rng.standard_normal(3), inputs=[1, 0])
    t.outputs([2, 1])
    return t


# ---------------------------------------------------------------- Sketcher


@pytest.mark.parametrize("threads", [0, -1, 1.5, "2", True, [1], 2**70], ids=repr)
def test_threads(threads: Any) -> None:
    spec = rs.SketchSpec(DIM, {"a": 3})
    refused(lambda: rs.Sketcher(spec, threads=threads), "threads")
    refused(lambda: fwht(np.ones(16), threads=threads), "threads")


@pytest.mark.parametrize("spec", [None, 3, "spec", {"dim": 64}], ids=repr)
def test_sketcher_wants_a_specification(spec: Any) -> None:
    refused(lambda: rs.Sketcher(spec), "spec")


@pytest.mark.parametrize("what", [None, 3, "trace", b"x", [None], [3], {"a": 1}, [[]], np.ones(3)], ids=repr)
def test_sketch_wants_traces(sk: rs.Sketcher, what: Any) -> None:
    refused(lambda: sk.sketch(what), "trace")
    refused(lambda: sk.load(what), "trace")
    refused(lambda: sk.recover(np.zeros(DIM, np.float32), what))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e38, -1e38, 1e31])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_attributes_that_are_no_numbers(sk: rs.Sketcher, value: float, place: int) -> None:
    """Refused, saying where and what; beside good traces and alone."""
    c = columns()
    end = int(c["attribute_ends"][3 + place + 1])  # of the second trace
    c["attributes"][end - 1] = value
    batch = rs.TraceBatch(**c)
    last = {0: 2, 1: 19, 2: 2}[place]
    shown = re.escape(f"got {value:g} at element {last}")
    refused(lambda: sk.sketch(batch), f"trace 1, object {place}.*{shown}")
    refused(lambda: sk.sketch(batch[1:]), f"trace 0, object {place}.*{shown}")
    refused(lambda: sk.sketch([run(), run(), batch[1]]), f"trace 2, object {place}.*{shown}")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e39, -1e300])
def test_what_float32_cannot_hold_is_refused_where_it_is_added(value: float) -> None:
    """As a list or an array of any type, with the object and the element. What a scale brings down to 1e30 is taken."""
    t = run()
    for x in ([1, value, value], np.array([1, value, 2.0]), np.array([1, value, 2.0], np.longdouble)):
        refused(lambda x=x: t.add("a", x), r"attribute\[1\] of object 3 \('a'\): wanted a finite number")
    if not np.isfinite(value):
        refused(lambda: t.add("a", np.array([1, value, 2], np.float32)), r"attribute\[1\] of object 3 \('a'\)")
    refused(lambda: t.add("a", [1, 10**400, 2]), "attribute: wanted a vector of numbers")
    assert len(t) == 3
    assert t.add("a", [3e38, -3e38, 0.0]) == 3
    t.outputs([3])
    assert np.isfinite(rs.Sketcher(rs.SketchSpec(DIM, {"a": 3, "b": 20}, scales={"a": 1e-20})).sketch(t)).all()


def test_attributes_up_to_the_limit_are_no_overflow(sk: rs.Sketcher) -> None:
    t = rs.Trace()
    t.outputs([t.add("b", np.full(20, 1e30))])
    assert np.isfinite(sk.sketch(t)).all()
    tiny = rs.Trace()
    tiny.outputs([tiny.add("b", np.full(20, 1e-45))])
    assert np.isfinite(sk.sketch(tiny)).all()


def test_scales_do_not_hide_an_overflow() -> None:
    sk = rs.Sketcher(rs.SketchSpec(DIM, {"a": 3}, scales={"a": 1e20}))
    t = rs.Trace()
    t.outputs([t.add("a", [1e15, 0, 0])])
    refused(lambda: sk.sketch(t), "object 0")


def test_structures_that_do_not_fit_the_specification(sk: rs.Sketcher) -> None:
    for module, length, match in (("zzz", 3, "zzz"), ("a", 4, "length 3"), ("b", 3, "length 20")):
        t = rs.Trace()
        t.outputs([t.add(module, np.ones(length))])
        for call in (sk.sketch, sk.load, lambda x: sk.recover(np.zeros(DIM, np.float32), x)):
            refused(lambda call=call, t=t: call(t), match)
    silent = rs.Trace()
    silent.add("a", [1, 2, 3])
    refused(lambda: sk.sketch(silent), "output")
    refused(lambda: sk.sketch(rs.Trace()), "output")
    wide = run()
    wide.add("a", [1, 2, 3], inputs=[0, 1, 2, 0, 1])
    wide.outputs([3])
    refused(lambda: sk.sketch(wide), "max_inputs")
    wide = run()
    wide.outputs([0, 1, 2, 0, 1])
    refused(lambda: sk.sketch(wide), "max_inputs")


def test_messages_say_which_numbers_would_do(sk: rs.Sketcher) -> None:
    """Of inputs those before the object, of outputs all of the trace's."""
    for name, value, match in (
        ("inputs", [0, 0, 1, 3, 0, 1, 0, 0], r"trace 0, object 2 \(a\): wanted inputs from objects before it, 0 to 1"),
        ("outputs", [2, 1, 3, 1], r"outputs of trace 1: wanted numbers of the trace's objects, 0 to 2; got \[3, 1\]"),
        ("outputs", [-1, 1, 2, 1], r"outputs of trace 0: wanted numbers of the trace's objects, 0 to 2; got \[-1, 1\]"),
    ):
        c = columns()
        c[name] = np.array(value[: len(c[name])], np.int32)
        refused(lambda c=c: use(sk, c), match)


def test_no_traces_give_no_sketches(sk: rs.Sketcher) -> None:
    assert sk.sketch([]).shape == (0, DIM)
    assert sk.sketch(rs.TraceBatch.from_traces([])).shape == (0, DIM)
    assert sk.recover(np.empty((0, DIM), np.float32), []) == []


@pytest.mark.parametrize("method", ["lstsq", "sparse", "matched", "paper"])
def test_sketches_that_are_none(sk: rs.Sketcher, method: str) -> None:
    t = run()
    s = sk.sketch(t)

    def recover(x: Any, mask: Any = None, structure: Any = t) -> Any:
        return sk.recover(x, structure, method=method, mask=mask)

    for shape in ((DIM - 1,), (DIM + 1,), (1, 1, DIM), (), (0,)):
        refused(lambda shape=shape: recover(np.zeros(shape, np.float32)))
    refused(lambda: recover(np.stack([s, s]), structure=[t, t, t]))
    refused(lambda: recover(s, structure=[t, t]))
    for bad in (s.astype(complex), s.astype(object), s.astype(str), None, "s", [None] * DIM, [[1], [1, 2]]):
        refused(lambda bad=bad: recover(bad))
    for value in (np.nan, np.inf, -np.inf, HUGE):
        broken = s.copy()
        broken[DIM - 1] = value
        refused(lambda broken=broken: recover(broken))
        mask = np.arange(DIM) != DIM - 1
        assert np.isfinite(recover(broken, mask).residual)
        refused(lambda broken=broken: recover(broken, np.arange(DIM) >= DIM // 2))
    for mask in (
        np.ones(DIM - 1, bool),
        np.ones((2, DIM), bool),
        np.ones(DIM),
        np.ones(DIM, object),
        "m",
        3,
        [True] * 3,
    ):
        refused(lambda mask=mask: recover(s, mask), "mask")


def test_an_empty_mask_is_not_a_crash(sk: rs.Sketcher) -> None:
    """Nothing kept: refused, or an answer of zeros or NaN that claims nothing."""
    t = run()
    for method in ("lstsq", "sparse", "matched", "paper"):
        try:
            got = sk.recover(sk.sketch(t), t, method=method, mask=np.zeros(DIM, bool))
        except CLEAR:
            continue
        except UserWarning:  # over capacity, raised as an error by this suite
            continue
        assert all(not np.any(np.nan_to_num(a)) for a in got.attributes)


@pytest.mark.parametrize("method", ["LSTSQ", "", None, 3, "sparse2", ["lstsq"]], ids=repr)
def test_unknown_methods(sk: rs.Sketcher, method: Any) -> None:
    refused(lambda: sk.recover(sk.sketch(run()), run(), method=method), "method")


def test_a_zero_sketch_is_a_sketch(sk: rs.Sketcher) -> None:
    for method in ("lstsq", "sparse", "matched", "paper"):
        got = sk.recover(np.zeros(DIM, np.float32), run(), method=method)
        assert got.residual == np.inf
        fitted = method in ("lstsq", "sparse")  # what no error bounds is not told
        assert all((np.isnan(a) | (a == 0)).all() if fitted else np.isfinite(a).all() for a in got.attributes)


def test_similarity(sk: rs.Sketcher) -> None:
    s = np.stack([sk.sketch(run(i)) for i in range(3)])
    cosine = sk.similarity(s, s[:2])
    assert cosine.shape == (3, 2)
    assert np.allclose(np.diag(cosine), 1, atol=1e-6)  # 64 products: far below 64 * 2^-24 = 4e-6 at float32, 1e-6 seen
    assert np.abs(cosine).max() <= 1 + 1e-6
    for bad in (s[:, 1:], s[None], np.zeros((2, 3, DIM)), None, "s", s.astype(complex), s.astype(object)):
        refused(lambda bad=bad: sk.similarity(s, bad))
        refused(lambda bad=bad: sk.similarity(bad, s))
    for value in (np.nan, np.inf):
        broken = s.copy()
        broken[1, 5] = value
        refused(lambda broken=broken: sk.similarity(broken, s))
    huge = sk.similarity(s * np.float32(1e20), s * np.float32(1e-25))
    assert np.allclose(np.diag(huge), 1, atol=1e-6)
    zero = sk.similarity(np.zeros((1, DIM), np.float32), s)
    assert np.array_equal(np.nan_to_num(zero), np.zeros((1, 3)))


def test_summary(sk: rs.Sketcher) -> None:
    s = sk.sketch(run())
    for module in ("zzz", "", None, 3, ["a"]):
        refused(lambda module=module: sk.summary(s, module), "module")
    for bad in (s[1:], None, "s", np.stack([s, s])[None], np.where(np.arange(DIM) == 3, np.nan, s), s.astype(complex)):
        refused(lambda bad=bad: sk.summary(bad, "a"))
    for below in (3, ["zzz"], [None], [-1], [(99, "a")]):
        refused(lambda below=below: sk.summary(s, "a", below=below), "below")
    for total in (0, -1, np.nan, np.inf, "x"):
        refused(lambda total=total: sk.summary(s, "a", total=total), "total")


def test_read_only_strided_and_swapped_arrays_are_taken(sk: rs.Sketcher) -> None:
    t = run()
    s = sk.sketch(t)
    want = sk.recover(s, t)
    frozen = s.copy()
    frozen.flags.writeable = False
    wide = np.zeros((DIM, 3), np.float32)
    wide[:, 1] = s
    mask = np.ones(2 * DIM, bool)[::2]
    mask.flags.writeable = False
    for form in (frozen, wide[:, 1], s.astype(">f4"), s.astype(np.float64), s.tolist()):
        got = sk.recover(form, t, mask=mask)
        assert all(np.allclose(a, b, atol=1e-6) for a, b in zip(got.attributes, want.attributes, strict=True))
        assert sk.similarity(np.asarray(form)[None], s[None])[0, 0] == pytest.approx(1, abs=1e-6)
        assert sk.summary(form, "a").count == sk.summary(s, "a").count


# ---------------------------------------------------------------- TraceBatch columns


def columns() -> dict[str, Any]:
    batch = rs.TraceBatch.from_traces([run(0), run(1)])
    return {"names": batch.names, **{name: getattr(batch, name).copy() for name in COLUMNS}}


def use(sk: rs.Sketcher, c: dict[str, Any]) -> np.ndarray:
    batch = rs.TraceBatch(**c)
    return sk.sketch(batch)


@pytest.mark.parametrize("name", sorted(COLUMNS))
def test_columns_of_the_wrong_form(sk: rs.Sketcher, name: str) -> None:
    good = columns()
    x = good[name]
    for bad in (
        None,
        "x",
        x[:-1],
        np.append(x, x[-1:]),
        x[None],
        x.astype(complex),
        x.astype(object),
        x.astype(str),
        x[:0],
    ):
        refused(lambda bad=bad: use(sk, {**good, name: bad}))
    if COLUMNS[name] in (np.int32, np.int64):
        refused(lambda: use(sk, {**good, name: x.astype(float)}))
        refused(lambda: use(sk, {**good, name: np.full(x.shape, 2**63, np.uint64)}))
    assert np.array_equal(use(sk, {**good, name: x.astype(x.dtype.newbyteorder())}), use(sk, good))
    assert np.array_equal(use(sk, {**good, name: np.repeat(x, 2)[::2]}), use(sk, good))
    frozen = x.copy()
    frozen.flags.writeable = False
    assert np.array_equal(use(sk, {**good, name: frozen}), use(sk, good))


@pytest.mark.parametrize("name", ["objects", "attribute_ends", "input_ends", "output_ends"])
def test_offsets_that_lie(sk: rs.Sketcher, name: str) -> None:
    good = columns()
    x = good[name]
    for i in range(len(x)):
        for value in (-1, -(2**62), 2**31, 2**62, 2**63 - 1, -(2**63), int(x[-1]) + 1):
            bad = x.copy()
            bad[i] = value
            refused(lambda bad=bad: use(sk, {**good, name: bad}))


def test_offsets_whose_differences_overflow() -> None:
    """0, 6e18, -6e18, n: every difference taken in 64 bits is positive."""
    t = rs.Trace()
    for _ in range(3):
        t.add("a", [1.0, 2.0, 3.0])
    t.outputs([0])
    batch = rs.TraceBatch.from_traces([t, t, t])
    good = {"names": batch.names, **{name: getattr(batch, name) for name in COLUMNS}}
    for name in ("objects", "attribute_ends", "input_ends", "output_ends"):
        bad = good[name].copy()
        bad[1], bad[2] = 6 * 10**18, -6 * 10**18
        refused(lambda bad=bad, name=name: rs.TraceBatch(**{**good, name: bad}), name)


def test_numbers_out_of_range(sk: rs.Sketcher) -> None:
    good = columns()
    for name, values in (
        ("module", (-1, 2, 2**31 - 1, -(2**31))),
        ("inputs", (-1, 1, 2, 3, 2**31 - 1, -(2**31))),  # the first input is object 1's: only 0 lies before it
        ("outputs", (-1, 3, 2**31 - 1, -(2**31))),
        ("weights", (-1.0, np.nan, np.inf, -np.inf)),
        ("output_weights", (-1.0, np.nan, np.inf, -np.inf)),
        ("attributes", (np.nan, np.inf, 1e38)),
    ):
        for value in values:
            bad = good[name].copy()
            bad[0] = value
            refused(lambda bad=bad, name=name: use(sk, {**good, name: bad}))
    for name in ("weights", "output_weights"):
        refused(lambda name=name: use(sk, {**good, name: np.zeros_like(good[name])}))
    tiny = use(sk, {**good, "weights": good["weights"] * 1e-300})
    assert np.allclose(tiny, use(sk, good), atol=1e-6)
    big = use(sk, {**good, "weights": good["weights"] * 1e290})
    assert np.allclose(big, use(sk, good), atol=1e-6)


@pytest.mark.parametrize("names", [("a",), ("a", "a"), ("a", ""), ("a", 3), ("a", None), 3, None, "ab\0"], ids=repr)
def test_names_that_are_none(sk: rs.Sketcher, names: Any) -> None:
    refused(lambda: use(sk, {**columns(), "names": names}))


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    name=st.sampled_from(sorted(COLUMNS)),
    place=st.integers(0, 100),
    value=st.one_of(st.integers(-4, 60), st.sampled_from([-(2**31), 2**31 - 1, 2**20])),
)
def test_one_changed_number_is_refused_or_means_what_it_says(
    sk: rs.Sketcher, name: str, place: int, value: int
) -> None:
    """What passes the checks is sketched as the reference sketches it: 1e-5 is 170 roundings of numbers near one."""
    c = columns()
    c[name][place % len(c[name])] = value
    try:
        got = use(sk, c)
    except CLEAR:
        return
    default: dict[str, Any] = {"attributes": "polar", "weighting": "balanced", "spread": 0.5}
    spec = ref.RefSpec(DIM, {"a": 3, "b": 20}, 1, max_inputs=4, **default)
    for s, t in zip(got, rs.TraceBatch(**c), strict=True):
        objects = [ref.RefObject(o.module, o.attribute, o.inputs, o.weights) for o in t.objects]
        want = ref.sketch(spec, ref.RefTrace(objects, t.output_ids, t.output_weights))
        assert np.linalg.norm(s - want) <= 1e-5 * max(1.0, float(np.linalg.norm(want)))


# ---------------------------------------------------------------- fwht


@pytest.mark.parametrize("shape", [(), (0,), (3,), (17,), (4, 100), (16, 0), (2, 48)])
def test_fwht_wants_a_power_of_two(shape: tuple[int, ...]) -> None:
    refused(lambda: fwht(np.ones(shape, np.float32)))


@pytest.mark.parametrize(
    "x", [None, "x", np.ones(16, complex), np.ones(16, object), ["a"] * 16, [[1], [1, 2]]], ids=repr
)
def test_fwht_wants_real_numbers(x: Any) -> None:
    refused(lambda: fwht(x))


def test_fwht_overwrites_only_what_it_can() -> None:
    """In place means in place: what is read-only, strided, swapped or of another type is refused or returned anew."""
    frozen = np.ones((2, 16), np.float32)
    frozen.flags.writeable = False
    wide = np.ones((2, 32), np.float32)
    for x in (frozen, wide[:, ::2], np.ones(16, ">f4"), np.ones(16, np.int64)):
        before = x.copy()
        try:
            out = fwht(x, overwrite=True)
        except CLEAR:
            assert np.array_equal(x, before)
            continue
        assert np.array_equal(out, fwht(before))
        assert x.flags.writeable or np.array_equal(x, before)


def test_misaligned_columns_are_copied(sk: rs.Sketcher) -> None:
    """np.frombuffer at an odd byte gives arrays that C must not read as they are."""

    def odd(x: np.ndarray) -> np.ndarray:
        return np.frombuffer(b"\0" + x.tobytes(), np.uint8)[1:].view(x.dtype)

    good = columns()
    moved = {name: odd(good[name]) for name in COLUMNS}
    assert not any(x.flags.aligned for x in moved.values())
    batch = rs.TraceBatch(names=good["names"], **moved)
    assert all(getattr(batch, name).flags.aligned for name in COLUMNS)
    s = sk.sketch(rs.TraceBatch(**good))
    assert np.array_equal(sk.sketch(batch), s)
    assert np.array_equal(sk.similarity(odd(s[0]), s), sk.similarity(s[0], s))
