"""The adjoint sweep: the transpose of the forward sweep, entry by entry and as an identity."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import reference as ref


@pytest.mark.parametrize("seed", range(4))
def test_against_the_transpose(build: Any, rounding: Any, variant: dict[str, Any], seed: int) -> None:
    """Every object's attribute within its own rounding bound; the counters within that of an attribute of norm one."""
    spec = ref.RefSpec(128, build.MODULES, seed, **variant)
    trace = build.dag(np.random.default_rng(seed), spec, 25)
    a, c, _ = ref.affine_map(spec, trace)
    y = build.attribute(np.random.default_rng(seed + 50), spec.dim)
    attributes, counters = build.adjoint(spec, trace, y)
    allowed = rounding.adjoint(spec, trace, 1.0)
    for got, want, bound in zip(
        ref.split(spec, trace, attributes), ref.split(spec, trace, a.T @ y), allowed, strict=True
    ):
        assert np.linalg.norm(got - want) <= bound
    # a counter is d products summed: d/2 roundings more than an attribute has, in the worst case
    assert (np.abs(counters - c.T @ y) <= allowed + spec.dim / 2 * 2.0**-24 * np.linalg.norm(c, axis=0)).all()
    dead = ~ref.reached(trace, spec)
    assert not np.any(attributes[np.repeat(dead, [spec.width(o.module) for o in trace.objects])])
    assert not np.any(counters[dead])


@pytest.mark.parametrize("dim", [64, 256])
def test_the_adjoint_identity(build: Any, rounding: Any, variant: dict[str, Any], dim: int) -> None:
    """<A x + C e, y> = <x, A' y> + <e, C' y>: forward bound |y| plus the adjoint bounds times what they multiply."""
    spec = ref.RefSpec(dim, build.MODULES, 4, **variant)
    rng = np.random.default_rng(dim)
    trace = build.tree(rng, spec, 3, 3, ragged=True)
    y = build.attribute(rng, dim)
    s = build.sketcher(spec).sketch(build.trace(trace)).astype(np.float64)
    attributes, counters = build.adjoint(spec, trace, y)
    back = build.unknowns(spec, trace) @ attributes.astype(np.float64) + counters.astype(np.float64).sum()
    adjoint = rounding.adjoint(spec, trace, 1.0)
    each = [np.linalg.norm(ref.encoded(spec, n, o)) + 1 + dim for n, o in enumerate(trace.objects)]
    allowed = rounding.forward(spec, trace) + float(adjoint @ each)
    assert abs(s @ y - back) <= allowed
    assert abs(s @ y) > 0


def test_the_adjoint_identity_of_long_sketches(build: Any, variant: dict[str, Any]) -> None:
    """Hundreds of tiles are folded in groups: d = 8,192 and 16,384, a' from 16 to 256. Fewer than 200 roundings on
    a path, each relative to what passes it, and no norm above 10 here: 200 * UNIT * 10 |y| = 1.2e-4 |y|."""
    for dim in (8192, 16384):
        spec = ref.RefSpec(dim, build.MODULES, 4, **variant)
        rng = np.random.default_rng(dim)
        trace = build.tree(rng, spec, 2, 3)
        y = build.attribute(rng, dim)
        s = build.sketcher(spec).sketch(build.trace(trace)).astype(np.float64)
        attributes, counters = build.adjoint(spec, trace, y)
        parts = build.unknowns(spec, trace) @ attributes.astype(np.float64), counters.astype(np.float64).sum()
        assert np.linalg.norm(s) < 10
        assert abs(s @ y - sum(parts)) <= 1.2e-4
        assert min(abs(parts[0]), abs(parts[1])) > 1e-3 * np.linalg.norm(s) / np.sqrt(dim)
        for i, name in enumerate(spec.modules):
            core = build.core(spec)
            x = build.attribute(rng, spec.width(name))
            both = core.embed(i, x).astype(np.float64) @ y, x @ core.embed_adjoint(i, y).astype(np.float64)
            assert abs(both[0] - both[1]) <= 1.2e-5  # fewer than 200 roundings, norms one


def test_amplitudes_and_uses(build: Any, variant: dict[str, Any]) -> None:
    """Section 3's formula in float64: a few products and a root per level, 25 levels: 1e-12 is 9,000 roundings."""
    spec = ref.RefSpec(128, build.MODULES, 4, **variant)
    for seed in range(5):
        trace = build.dag(np.random.default_rng(seed), spec, 25)
        amplitude, uses = build.plan(spec, trace).amplitudes()
        want, times = ref.amplitudes(spec, trace)
        assert np.allclose(amplitude, want, rtol=1e-12, atol=0)
        assert np.array_equal(uses, times)
        assert np.array_equal(want > 0, ref.reached(trace, spec))


def test_amplitudes_are_column_norms_on_trees(build: Any) -> None:
    """Exact for trees under skew rotations: every factor is orthonormal and a' <= d is an isometry."""
    spec = ref.RefSpec(256, {"a": 7, "b": 33, "c": 120}, 4, scales={"c": 2.5})
    trace = build.tree(np.random.default_rng(3), spec, 3, 3, ragged=True)
    amplitude, _ = build.plan(spec, trace).amplitudes()
    norms = [np.linalg.norm(c, axis=0) for c in build.object_columns(spec, trace)]
    for value, norm in zip(amplitude, norms, strict=True):
        assert np.allclose(norm, value, rtol=1e-12, atol=0)
