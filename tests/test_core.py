"""The binding itself: bad arguments raise, whatever the layers above would have caught; nothing is kept or shared."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import reference as ref

import recsketch as rs
import recsketch._core as _core

SPEC = ref.RefSpec(64, {"a": 3, "b": 100}, 1, max_inputs=4)
ERRORS = (ValueError, TypeError, OverflowError, BufferError, AttributeError, KeyError)


@pytest.fixture(scope="module")
def core(build: Any) -> _core.Spec:
    return build.core(SPEC)


def floats(n: int) -> np.ndarray:
    return np.zeros(n, np.float32)


def test_words() -> None:
    for n in (-1, -(2**62), 2**63):
        with pytest.raises(ERRORS):
            _core.stream_words(0, 0, 0, n)
    for seed in (-1, 2**64, "x"):
        with pytest.raises(ERRORS):
            _core.stream_words(seed, 0, 0, 4)
    with pytest.raises(ERRORS):
        _core.philox(np.zeros(3, np.uint32), np.zeros(2, np.uint32))


def test_operators(core: _core.Spec) -> None:
    x = floats(64)
    for kind, index in ((-1, 0), (3, 0), (0, -1), (0, 4), (1, 2), (2, 4), (1, 2**62), (2**30, 0)):
        with pytest.raises(ERRORS):
            core.operator(kind, index, False, x)
    for bad in (floats(63), floats(65), floats(0), x.astype(float), np.zeros((1, 64), np.float32), None, "x"):
        with pytest.raises(ERRORS):
            core.operator(0, 0, False, bad)


def test_embeddings_and_counters(core: _core.Spec) -> None:
    for module in (-1, 2, 2**62):
        for call in (lambda m: core.embed(m, floats(3)), lambda m: core.embed_adjoint(m, floats(64)), core.counter):
            with pytest.raises(ERRORS):
                call(module)
    with pytest.raises(ERRORS):
        core.embed(0, floats(4))
    with pytest.raises(ERRORS):
        core.embed_adjoint(0, floats(3))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *[("dim", v) for v in (0, 32, 96, -64, 2**25, 2**40)],
        *[("lengths", v) for v in ([], [0], [-1], [2**20 + 1], [2**62], [1, 2])],
        *[("max_inputs", v) for v in (0, -1, 5, 2**40)],
        *[("rotation", v) for v in ("", "blocks", None)],
        *[("cosine", v) for v in (np.nan, np.inf)],
        *[("gain", v) for v in (np.nan, np.inf, -1.0)],
        *[("weighting", v) for v in ("", "sqrt", None, 0)],
        *[("spread", v) for v in (-0.1, 1.1, np.nan)],
        *[("kappa", np.array([1.0, v])) for v in (0.0, 0.9, 2e6, np.nan, np.inf)],
        ("kappa", np.ones(1)),
        *[("ins", v) for v in (0, 3)],
        ("positions", np.zeros(17, np.uint64)),
        ("branches", np.zeros(2, np.uint64)),
    ],
    ids=lambda v: repr(v)[:20],
)
def test_specifications(field: str, value: Any) -> None:
    one = np.zeros(1, np.uint64)
    good: dict[str, Any] = {
        "dim": 64,
        "lengths": [3],
        "max_inputs": 1,
        "seed": 0,
        "rotation": "skew",
        "cosine": 0.5,
        "sine": 0.5,
        "gain": 1.0,
        "branch": 1.0,
        "weighting": "balanced",
        "spread": 0.5,
        "kappa": np.ones(2),
        "ordered": True,
        "positions": np.zeros(16, np.uint64),
        "operators": one,
        "embeddings": one,
        "counters": one,
        "branches": np.zeros(3, np.uint64),
        "ins": 2,
    }
    assert _core.Spec(**good).dim == 64
    with pytest.raises(ERRORS):
        _core.Spec(**{**good, field: value})


def test_plans_of_columns_that_lie(build: Any, core: _core.Spec) -> None:
    """Every column, every place, every kind of lie: refused, or the value was a legitimate one."""
    rng = np.random.default_rng(0)
    good = build.columns(SPEC, build.dag(rng, SPEC, 5), build.dag(rng, SPEC, 4))
    _core.Plan(core, **good, threads=1)
    refused = 0
    for name in ("objects", "attribute_ends", "input_ends", "output_ends", "module", "inputs", "outputs"):
        for i in range(len(good[name])):
            for value in (-1, -(2**31), 2**31 - 1, 10**6, *([len(SPEC.modules)] if name == "module" else [])):
                bad = good[name].copy()
                bad[i] = value
                with pytest.raises(ERRORS):
                    _core.Plan(core, **{**good, name: bad}, threads=1)
                refused += 1
        for short in (good[name][:-1], good[name][:0]):
            if len(short) < len(good[name]):
                with pytest.raises(ERRORS):
                    _core.Plan(core, **{**good, name: short}, threads=1)
    assert refused > 100
    for threads in (0, -1):
        with pytest.raises(ERRORS):
            _core.Plan(core, **good, threads=threads)
    with pytest.raises(ERRORS):
        _core.Plan(None, **good, threads=1)


def test_plans_want_arrays_of_their_size(build: Any) -> None:
    rng = np.random.default_rng(0)
    plan = build.plan(SPEC, build.dag(rng, SPEC, 5))
    a = plan.attributes
    out, y, counters = np.zeros((1, 64), np.float32), np.zeros((1, 64), np.float32), floats(plan.objects)
    for bad in (floats(a - 1), floats(a + 1), floats(0)):
        with pytest.raises(ERRORS):
            plan.sketch(bad, None, out, 1)
        with pytest.raises(ERRORS):
            plan.adjoint(y, bad, None, 1)
    for bad in (out[:, :-1], np.zeros((2, 64), np.float32), out[:0]):
        with pytest.raises(ERRORS):
            plan.sketch(floats(a), None, bad, 1)
        with pytest.raises(ERRORS):
            plan.adjoint(bad, floats(a), None, 1)
    with pytest.raises(ERRORS):
        plan.sketch(floats(a), counters[:-1], out, 1)
    with pytest.raises(ERRORS):
        plan.sketch(floats(a), None, out, 0)
    residual, iterations = np.zeros(1), np.zeros(1, np.int32)
    for mask in (np.ones((1, 63), np.uint8), np.ones((2, 64), np.uint8)):
        with pytest.raises(ERRORS):
            plan.lstsq(y, mask, 0.0, 10, floats(a), residual, iterations, 1)
    for tolerance, most in ((-1.0, 10), (np.nan, 10), (0.0, 0), (0.0, -1)):
        with pytest.raises(ERRORS):
            plan.lstsq(y, None, tolerance, most, floats(a), residual, iterations, 1)
    for noise in (np.zeros(2), np.array([-1.0]), np.array([np.nan])):
        with pytest.raises(ERRORS):
            plan.lstsq(y, None, 0.0, 10, floats(a), residual, iterations, 1, noise)
    with pytest.raises(ERRORS):
        plan.lstsq(y, None, 0.0, 10, floats(a), np.zeros(2), iterations, 1)


def test_columns_may_go_once_a_plan_is_made(build: Any) -> None:
    """A plan keeps copies: overwriting the columns it was made from changes nothing."""
    trace = build.dag(np.random.default_rng(3), SPEC, 9)
    columns = build.columns(SPEC, trace)
    plan = _core.Plan(build.core(SPEC), **columns, threads=1)
    x = build.unknowns(SPEC, trace).astype(np.float32)
    first, second = np.zeros((1, 64), np.float32), np.zeros((1, 64), np.float32)
    plan.sketch(x, None, first, 1)
    for column in columns.values():
        column[:] = 77
    plan.sketch(x, None, second, 1)
    assert np.array_equal(first, second)
    assert first.any()


def test_one_sketcher_in_many_threads(build: Any) -> None:
    """A specification is read-only: eight Python threads at once, each the bits of one alone."""
    spec = ref.RefSpec(1024, {"a": 3, "b": 100}, 1)
    rng = np.random.default_rng(1)
    traces = [build.trace(build.dag(rng, spec, 12)) for _ in range(24)]
    sk = build.sketcher(spec, threads=2)
    want = [sk.sketch(t) for t in traces]

    def work(i: int) -> bool:
        s = sk.sketch(traces[i % 24])
        found = sk.recover(s, traces[i % 24], method="matched")
        return np.array_equal(s, want[i % 24]) and len(found.attributes) == len(traces[i % 24])

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(240)))


def test_pickles(build: Any) -> None:
    """What a process pool sends: sketchers, traces, batches and answers."""
    rng = np.random.default_rng(2)
    trace = build.trace(build.dag(rng, SPEC, 6))
    sk = build.sketcher(SPEC)
    s = sk.sketch(trace)
    for protocol in (2, pickle.HIGHEST_PROTOCOL):

        def twin(x: Any, protocol: int = protocol) -> Any:
            return pickle.loads(pickle.dumps(x, protocol))

        assert np.array_equal(twin(sk).sketch(twin(trace)), s)
        assert np.array_equal(twin(sk).sketch(twin(rs.TraceBatch.from_traces([trace])))[0], s)
        found = sk.recover(s, trace, method="matched")
        assert twin(found) == found
        assert twin(trace) == trace
        assert repr(twin(sk)) == repr(sk) == f"Sketcher({sk.spec!r}, threads=1)"
        assert twin(trace.objects) == trace.objects
        summary = rs.Sketcher(rs.SketchSpec(512, {"a": 7})).summary(np.ones(512, np.float32), "a")
        assert twin(summary) == summary
