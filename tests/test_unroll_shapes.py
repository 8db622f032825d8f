"""Blind unrolling of runs in the shapes that real systems have, by default: long chains of one module, residual layers,
wide tuples of inputs that are alike, softmax weights, norms of any size, weights that count.

Seeds are fixed. A wider run of each case came out 40 of 40: one run fails with probability below 3 / 40 at 95%
confidence, and a test fails for the seeds that it has only if bits change.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from structures import compare, exact, uses

import recsketch as rs

Rng = np.random.Generator


def unit(x: np.ndarray) -> np.ndarray:
    return np.asarray(x / np.linalg.norm(x))


def vector(rng: Rng, length: int) -> np.ndarray:
    return unit(rng.standard_normal(length))


def whole(trace: rs.Trace, spec: rs.SketchSpec, tolerance: float = 1e-3, **options: Any) -> rs.Unrolled:
    """What unrolling finds of the trace's sketch, which must be all of it."""
    sk = rs.Sketcher(spec, threads=1)
    found: rs.Unrolled = sk.unroll(sk.sketch(trace), **options)
    assert exact(found, trace, tolerance), (spec.seed, compare(found, trace), found)
    assert found.residual < 1e-6
    return found


# ---------------------------------------------------------------- chains and layers


def chain(rng: Rng, steps: int, length: int, modules: int = 1) -> rs.Trace:
    """States, each of which reads the one before; their modules take turns."""
    trace = rs.Trace()
    before: list[int] = []
    for i in range(steps):
        before = [trace.add(f"state{i % modules}", vector(rng, length), before)]
    trace.outputs(before)
    return trace


CHAINS = [
    (2, 32, 1024, 1),
    (5, 32, 1024, 1),
    (12, 32, 1024, 1),
    (18, 32, 1024, 1),
    (24, 16, 1024, 1),
    (32, 16, 1024, 1),
]
CHAINS += [(40, 16, 2048, 1), (24, 16, 1024, 2), (18, 16, 1024, 3)]


@pytest.mark.parametrize(("steps", "length", "dim", "modules"), CHAINS)
def test_chains(steps: int, length: int, dim: int, modules: int) -> None:
    """Of 2 to 40 steps, loads of 0.07 to 0.6; a known structure gives every element to 1.3e-5: 1e-7 of the sketch's
    norm for float32 rounding, over an amplitude of at least 1 / sqrt(40), by a condition number below 20."""
    for seed in range(2):
        rng = np.random.default_rng([seed, steps, modules])
        trace = chain(rng, steps, length, modules)
        spec = rs.SketchSpec(dim, {f"state{i}": length for i in range(modules)}, seed, max_inputs=8)
        whole(trace, spec)
        sk = rs.Sketcher(spec, threads=1)
        back = sk.recover(sk.sketch(trace), trace).attributes
        assert max(np.abs(x - o.attribute).max() for x, o in zip(back, trace.objects, strict=True)) <= 1.3e-5


@pytest.mark.parametrize("weighting", ["energy", "linear"])
def test_chains_of_other_weightings(weighting: Any) -> None:
    """An object of a chain halves the energy of all below it: 14 steps leave 1e-4 of it."""
    for seed in range(2):
        spec = rs.SketchSpec(2048, {"state0": 32}, seed, max_inputs=8, weighting=weighting)
        whole(chain(np.random.default_rng(seed), 14, 32), spec)


def test_residual_layers() -> None:
    """Four layers, each of which reads the one before and six heads of its own."""
    for seed in range(2):
        rng, trace = np.random.default_rng(seed), rs.Trace()
        before = trace.add("embedding", vector(rng, 10))
        for _ in range(4):
            heads = [trace.add("head", vector(rng, 10)) for _ in range(6)]
            before = trace.add("layer", vector(rng, 10), [before, *heads])
        trace.outputs([before])
        whole(trace, rs.SketchSpec(1024, dict.fromkeys(("embedding", "layer", "head"), 10), seed))


# ---------------------------------------------------------------- wide tuples


def wide(rng: Rng, width: int, length: int, cosine: float, beside: int, above: int) -> rs.Trace:
    """`beside` pools over `width` tokens whose attributes have about that cosine with each other, all of them below a
    chain of `above` states."""
    trace, middle = rs.Trace(), vector(rng, length)

    def token() -> int:
        return trace.add("token", unit(np.sqrt(cosine) * middle + np.sqrt(1 - cosine) * vector(rng, length)))

    tops = [trace.add("pool", vector(rng, length), [token() for _ in range(width)]) for _ in range(beside)]
    for _ in range(above):
        tops = [trace.add("state", vector(rng, length), tops)]
    trace.outputs(tops)
    return trace


@pytest.mark.parametrize("cosine", [0.0, 0.6, 0.9, 1.0])
@pytest.mark.parametrize(("length", "dim", "beside", "above"), [(20, 1024, 1, 0), (12, 2048, 3, 0), (20, 1024, 1, 4)])
def test_wide_tuples_of_inputs_that_are_alike(cosine: float, length: int, dim: int, beside: int, above: int) -> None:
    """Twenty inputs of one module, equal ones too: alone, three tuples beside each other, below a chain of four."""
    trace = wide(np.random.default_rng([3, beside, above]), 20, length, cosine, beside, above)
    whole(trace, rs.SketchSpec(dim, dict.fromkeys(("pool", "token", "state"), length), 3, max_inputs=24))


@pytest.mark.parametrize(
    ("cosine", "length", "dim", "above"), [(0.6, 10, 8192, 0), (1.0, 18, 8192, 4), (0.3, 20, 16384, 20)]
)
def test_a_loud_tuple_below_faint_objects(cosine: float, length: int, dim: int, above: int) -> None:
    """Two hundred inputs make most of a sketch. Alone, the counter of what they are inputs of is about as faint as the
    noise, and may come out below zero; below a chain, so is that of every state. Loads of 0.3 to 0.5."""
    trace = wide(np.random.default_rng([0, 17]), 200, length, cosine, 1, above)
    spec = rs.SketchSpec(dim, dict.fromkeys(("pool", "token", "state"), length), 0, max_inputs=200)
    whole(trace, spec)


def test_errors_of_tuples_that_nearly_fill_the_sketch() -> None:
    """At loads of 0.88 to 0.91 rounding moves unknowns by a few times what one column alone would see, and a fit that
    ends too early by more: true errors are 0.57 to 0.95 of the stated ones."""
    for width, length, dim in ((20, 20, 512), (30, 28, 1024), (40, 20, 1024)):
        for seed in range(3):
            trace = wide(np.random.default_rng([seed, 5]), width, length, 0.0, 1, 0)
            found = whole(trace, rs.SketchSpec(dim, {"pool": length, "token": length}, seed, max_inputs=width))
            z = [(o.attribute - t.attribute) / o.error for o, t in zip(found.objects, trace.objects, strict=True)]
            assert 0.5 <= float(np.sqrt(np.mean(np.square(z)))) <= 1.5


# ---------------------------------------------------------------- weights


def weighted(rng: Rng, weights: Sequence[float] | np.ndarray, length: int) -> rs.Trace:
    """A query over as many tokens as there are weights."""
    trace = rs.Trace()
    tokens = [trace.add("token", vector(rng, length)) for _ in weights]
    trace.outputs([trace.add("query", vector(rng, length), tokens, weights)])
    return trace


@pytest.mark.parametrize("sigma", [1.0, 2.0, 3.0, 4.0])
def test_softmax_weights(sigma: float) -> None:
    """Of Gaussian logits over 16 inputs, the largest up to 1e5 times the smallest: weights come back to 1e-3."""
    for seed in range(3):
        rng = np.random.default_rng(seed)
        weights = np.exp(sigma * rng.standard_normal(16))
        whole(weighted(rng, weights, 31), rs.SketchSpec(1024, {"token": 31, "query": 31}, seed, max_inputs=16))


def test_gates() -> None:
    """Dirichlet(0.1) gates of eight experts: most of the weight on one or two."""
    for seed in range(3):
        rng = np.random.default_rng(seed)
        gates = np.maximum(rng.dirichlet(np.full(8, 0.1)), 1e-12)
        whole(weighted(rng, gates, 40), rs.SketchSpec(1024, {"token": 40, "query": 40}, seed, max_inputs=8))


def test_weights_that_count_come_back_as_given() -> None:
    """Not as shares. A weight is a quotient of two counters, whose errors are roundings: 1e-7 of the sketch's norm
    each, over amplitudes of at least a hundredth of it."""
    for seed in range(3):
        rng, trace = np.random.default_rng(seed), rs.Trace()
        words = [trace.add("word", vector(rng, 12)) for _ in range(5)]
        counts = rng.integers(1, 7, 5).astype(float)
        tops = [trace.add("line", vector(rng, 12), words, counts), trace.add("word", vector(rng, 12))]
        trace.outputs(tops, [2.0, 3.0])
        spec = rs.SketchSpec(512, {"word": 12, "line": 12}, seed, max_inputs=8, weighting="count")
        sk = rs.Sketcher(spec, threads=1)
        found = sk.unroll(sk.sketch(trace))
        assert found.complete
        assert [o.module for o in found.objects] == ["word"] * 5 + ["line", "word"]
        assert found.weights == pytest.approx((2.0, 3.0), rel=1e-4)
        assert found.objects[5].weights == pytest.approx(tuple(counts), rel=1e-4)
        for o, truth in zip(found.objects, trace.objects, strict=True):
            assert np.abs(o.attribute - truth.attribute).max() <= 1e-4


@pytest.mark.parametrize("weights", [[1e25, 1e25], [1e30, 1e30]])
def test_counts_that_multiply_beyond_float32_are_refused(weights: list[float]) -> None:
    sk = rs.Sketcher(rs.SketchSpec(64, {"a": 2}, weighting="count"))
    trace = rs.Trace()
    top = trace.add("a", [1.0, 2.0], [trace.add("a", [0.6, 0.8])], weights[:1])
    trace.outputs([top], weights[1:])
    good = rs.Trace()
    good.outputs([good.add("a", [0.6, 0.8])])
    with pytest.raises(ValueError, match=r"^trace 1: wanted weights whose products along its paths float32 can hold"):
        sk.sketch([good, trace])


# ---------------------------------------------------------------- norms


def test_modules_of_very_different_norms() -> None:
    """1e-3, 1, 50 and 1e4 in one run of 26 objects at load 0.5: every attribute to 1e-4 of its own norm."""
    norms = (1e-3, 1.0, 50.0, 1e4)
    for seed in range(3):
        rng, trace = np.random.default_rng([seed, 5]), rs.Trace()
        free: list[int] = []
        for i in range(26):
            k = 0 if i < 4 else int(rng.integers(0, min(4, len(free)) + 1))
            inputs, free = (free[:k], free[k:]) if k else ([], free)
            which = int(rng.integers(4))
            free.append(trace.add(f"norm{which}", norms[which] * vector(rng, 18), inputs))
        trace.outputs(free[-16:])
        spec = rs.SketchSpec(1024, {f"norm{i}": 18 for i in range(4)}, seed, max_inputs=16)
        found = whole(trace, spec, 1e-4)
        truth = uses(trace)
        for o in found.objects:
            norm = float(np.linalg.norm(truth[o.path].attribute))
            assert o.norm == pytest.approx(norm, rel=1e-4)


# ---------------------------------------------------------------- order and threads


def test_sketches_without_order_are_refused() -> None:
    """They hold sums over the inputs of a module: nothing tells these apart."""
    sk = rs.Sketcher(rs.SketchSpec(64, {"a": 2}).unordered())
    trace = rs.Trace()
    trace.outputs([trace.add("a", [0.6, 0.8])])
    for call in (lambda: sk.unroll(np.zeros(64)), lambda: sk.recover(np.zeros(64), trace)):
        with pytest.raises(ValueError, match="wanted a specification with ordered=True"):
            call()


def test_any_number_of_threads_gives_the_same_bits() -> None:
    """Of chains, wide tuples and sparse attributes in one batch; numbers of every object, to the last bit."""
    traces = [chain(np.random.default_rng(k), 6 + k, 16) for k in range(3)]
    traces += [wide(np.random.default_rng(k), 9, 16, 0.9, 1, 2) for k in range(3)]
    spec = rs.SketchSpec(512, dict.fromkeys(("state0", "pool", "token", "state"), 16), 1, max_inputs=16)
    sketches = rs.Sketcher(spec, threads=1).sketch(traces)
    sketches[2, ::3] += np.float32(0.01)  # one that is not explained, so that errors are drawn
    for sparse in (None, "auto", {"token": 9, "state0": "auto"}):
        runs = [rs.Sketcher(spec, threads=t).unroll(sketches, sparse=sparse) for t in (1, 2, 5)]
        for one, *others in zip(*runs, strict=True):
            for other in others:
                assert len(one.objects) == len(other.objects) > 0
                assert (one.residual, one.explained, one.rounds) == (other.residual, other.explained, other.rounds)
                for a, b in zip(one.objects, other.objects, strict=True):
                    assert (a.module, a.path, a.weights, a.confidence) == (b.module, b.path, b.weights, b.confidence)
                    assert a.attribute.tobytes() == b.attribute.tobytes()
                    assert a.error.tobytes() == b.error.tobytes()


def test_linear_attributes_of_norms_that_nobody_told() -> None:
    """The evidence chooses them: 0.3, 1 and 3 in one run, and one module of a thousand times the other's."""
    lengths = {"small": 14, "middle": 14, "large": 14}
    for seed in range(4):
        rng = np.random.default_rng([seed, 31])
        trace, free = rs.Trace(), []
        for i in range(24):
            count = 0 if i < 4 else int(rng.integers(0, min(4, len(free)) + 1))
            inputs, free = free[:count], free[count:]
            name, norm = [("small", 0.3), ("middle", 1.0), ("large", 3.0)][int(rng.integers(3))]
            free.append(trace.add(name, norm * vector(rng, 14), inputs))
        trace.outputs(free)
        whole(trace, rs.SketchSpec(1024, lengths, seed, attributes="linear"))
    for seed in range(4):
        rng, trace = np.random.default_rng([seed, 32]), rs.Trace()
        words = [trace.add("word", vector(rng, 4)) for _ in range(3)]
        trace.outputs([trace.add("line", 1000.0 * vector(rng, 3), words)])
        whole(trace, rs.SketchSpec(256, {"word": 4, "line": 3}, seed, attributes="linear"), 2e-3)
