"""Least squares of a known structure is nearly as well conditioned as with random columns: deep chains of one module,
trees and residual stacks. With masks that cancel it would be singular."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import reference as ref

import recsketch as rs
import recsketch._core as _core


def chain(a: int, depth: int, names: str = "m", position: int = 0) -> ref.RefTrace:
    """Every object the input of the next, at that position behind others of length one; modules in turn."""
    objects: list[ref.RefObject] = []
    for i in range(depth):
        inputs: list[int] = []
        if objects:
            last = len(objects) - 1
            objects += [ref.RefObject("other", np.ones(1)) for _ in range(position)]
            inputs = [*range(last + 1, len(objects)), last]
        objects.append(ref.RefObject(names[i % len(names)], np.ones(a), inputs))
    return ref.RefTrace(objects, (len(objects) - 1,))


def tree(a: int, levels: int) -> ref.RefTrace:
    """A full binary tree of one module."""
    objects: list[ref.RefObject] = []
    for i in range(2**levels - 1):
        below = 2 * (i - 2 ** (levels - 1))
        objects.append(ref.RefObject("m", np.ones(a), (below, below + 1) if below >= 0 else ()))
    return ref.RefTrace(objects, (len(objects) - 1,))


def residual(a: int, layers: int, heads: int) -> ref.RefTrace:
    """Layers of one module, each over the one before and so many heads of another."""
    objects: list[ref.RefObject] = []
    for _ in range(layers):
        before = len(objects)
        objects += [ref.RefObject("n", np.ones(a)) for _ in range(heads)]
        inputs = range(before, before + heads)
        objects.append(ref.RefObject("m", np.ones(a), [*([before - 1] if before else []), *inputs]))
    return ref.RefTrace(objects, (len(objects) - 1,))


def condition(
    build: Any, spec: ref.RefSpec, trace: ref.RefTrace, core: _core.Spec | None = None
) -> tuple[float, float]:
    """The condition number of the columns of all unknowns, each of norm one, and that of a Gaussian matrix of its shape
    in the limit of large ones: (1 + sqrt(n / d)) / (1 - sqrt(n / d)) (Marchenko and Pastur, 1967)."""
    plan = _core.Plan(build.core(spec) if core is None else core, **build.columns(spec, trace), threads=1)
    n, zero = plan.attributes, np.zeros(plan.objects, np.float32)
    rows = np.empty((n, 1, spec.dim), np.float32)
    for row, unit in zip(rows, np.eye(n, dtype=np.float32), strict=True):
        plan.sketch(unit, zero, row, 1)
    a = rows[:, 0].astype(np.float64)
    a /= np.linalg.norm(a, axis=1)[:, None]
    values = np.linalg.eigvalsh(a @ a.T)
    root = math.sqrt(n / spec.dim)
    return math.sqrt(values[-1] / max(values[0], 1e-14)), (1 + root) / (1 - root)


def balanced(dim: int, a: int, seed: int) -> ref.RefSpec:
    return ref.RefSpec(dim, {"m": a, "n": a, "other": 1}, seed, weighting="balanced", spread=0.5)


SHAPES = [(256, 4), (1024, 16), (4096, 16)]


@pytest.mark.parametrize(("dim", "a"), SHAPES)
@pytest.mark.parametrize("depth", [24, 32])
@pytest.mark.parametrize("position", [0, 1])
def test_chains(build: Any, dim: int, a: int, depth: int, position: int) -> None:
    """One module: within four times a random matrix (measured: 1.4 to 3.0), or ten at d = 256, which has but 16 blocks
    of coordinates that do not mix (2.0 to 6.9; of 80 others 90% below 6, the worst 17). Two in turn: within 1.6 times
    (0.9 to 1.3). The matrices are drawn by fixed seeds, so that every run computes the same."""
    for seed in range(3):
        spec = balanced(dim, a, seed)
        for names, most in (("m", 10.0 if dim == 256 else 4.0), ("mn", 1.6)):
            found, random = condition(build, spec, chain(a, depth, names, position))
            assert found <= most * random, (seed, names)


@pytest.mark.parametrize(
    ("dim", "most", "make"),
    [
        (256, 2.5, lambda: tree(4, 5)),
        (1024, 2.5, lambda: tree(16, 5)),
        (2048, 2.5, lambda: tree(16, 6)),
        (1024, 2.5, lambda: residual(8, 5, 12)),
        (2048, 2.5, lambda: residual(8, 10, 12)),
        (1024, 2.5, lambda: chain(16, 24, position=3)),
        (4096, 4.5, lambda: chain(16, 32, position=15)),
    ],
)
def test_trees_and_stacks(build: Any, dim: int, most: float, make: Callable[[], ref.RefTrace]) -> None:
    """Loads of a quarter to a half, against a random matrix: measured 1.2 to 2.2, and 3.5 of the last."""
    for seed in range(3):
        trace = make()
        found, random = condition(build, balanced(dim, len(trace.objects[-1].attribute), seed), trace)
        assert found <= most * random, seed


def test_a_single_operator_would_be_singular(build: Any) -> None:
    """What this page is about, and that it would be seen: T_in of one skew operator, a chain of 24."""
    spec = balanced(256, 4, 0)
    streams = {role: np.array([ref.stream(role, m) for m in spec.modules], np.uint64) for role in ROLES}
    core = _core.Spec(
        256,
        tuple(map(spec.width, spec.modules)),
        16,
        0,
        "skew",
        spec.cosine,
        spec.sine,
        spec.gain,
        spec.branch,
        "balanced",
        0.5,
        np.array([1.0, *map(spec.kappa, range(1, 17))]),
        True,
        np.array([ref.stream("position", i) for i in range(16)], np.uint64),
        *(streams[role] for role in ROLES),
        np.array([ref.stream("branch", n) for n in ("attr", "in/0", "in/1")], np.uint64),
        1,
    )
    assert condition(build, spec, chain(4, 24), core)[0] > 1e5


ROLES = ("module", "embedding", "counter")


def test_masks_of_the_shortest_sketches(build: Any) -> None:
    """At d = 64 a drawn mask is one that must not be in one draw of three. C finds the reference's, which are clear of
    each other; and no chain of 32 is singular (of 600 others the worst was 956, where masks cancelled 1e8)."""
    redrawn, place = 0, ref.stored(64)
    for seed in range(60):
        spec = ref.RefSpec(64, {"m": 1, "other": 1}, seed, weighting="balanced", spread=0.5)
        core = build.core(spec)
        places = [("branch", "in/0", 2, 2), ("branch", "in/1", 2, 3), ("module", "m", 1, 0), ("module", "other", 1, 1)]
        for half in (0, 1):
            masks = {}
            for role, name, kind, index in places:
                unit = np.zeros(64, np.float32)
                unit[place[32 * half]] = 1
                (mask,) = set(place[np.flatnonzero(core.operator(kind, index, False, unit))] - 32 * half) - {0}
                masks[name] = int(mask)
                assert mask == ref.skew_mask(64, seed, role, name, half)
                redrawn += mask != ref.drawn_mask(64, seed, ref.stream(role, name), half)
            first = [ref.skew_mask(64, seed, "position", str(i), half) for i in range(4)]
            a, b, m = masks["in/0"], masks["in/1"], masks["m"]
            assert a not in first
            assert b not in (a, *first, *(a ^ p for p in first))
            assert m not in (a, b, a ^ b, *first, *(a ^ b ^ p for p in first), *(x ^ p for x in (a, b) for p in first))
        assert condition(build, spec, chain(1, 32))[0] < 5000
    assert redrawn > 60


@pytest.mark.parametrize("names", ["m", "mn"])
def test_chains_of_forty_are_recovered(names: str) -> None:
    """By default, at load 0.6: the worst element within 1e-6 of attributes of norm one (measured: 1e-7)."""
    for seed in range(2):
        spec = rs.SketchSpec(1024, {"m": 14, "n": 14}, seed)
        rng = np.random.default_rng(seed)
        trace, last = rs.Trace(), []
        for i in range(40):
            x = rng.standard_normal(14)
            last = [trace.add(names[i % len(names)], x / np.linalg.norm(x), last)]
        trace.outputs(last)
        sk = rs.Sketcher(spec, threads=1)
        assert 0.6 < sk.load(trace) < 0.65
        found = sk.recover(sk.sketch(trace), trace)
        assert max(np.abs(x - o.attribute).max() for x, o in zip(found.attributes, trace.objects, strict=True)) <= 1e-6
