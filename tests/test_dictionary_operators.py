"""Masks, signs and objects from sketches alone."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from test_dictionary import LENGTH, LEVELS, runs, spec

import recsketch as rs
from recsketch.learning.operators.machine import Machine, Turn
from recsketch.learning.operators.masks import Placed, branch_masks, transform
from recsketch.learning.operators.signs import Bits, solve


def learned(
    levels: list[list[str]], n: int, seed: int, noise: float = 0.0, **more: Any
) -> tuple[rs.SketchSpec, list[rs.Trace], Any, rs.Dictionary]:
    true, traces = spec(levels, seed=seed, **more), runs(levels, n, seed)
    y = rs.Sketcher(true, threads=1).sketch(traces)
    sigma = noise * math.sqrt(float(np.square(y).mean()))
    y += sigma * np.random.default_rng(seed).standard_normal(y.shape).astype(np.float32)
    return true, traces, y, rs.learn_dictionary(y, noise=sigma, names=list(true.modules))


def worst(found: list[list[Any]], traces: list[rs.Trace], d: rs.Dictionary) -> float:
    """The largest error of an element of all objects, inf where objects differ."""
    out = 0.0
    for objects, trace in zip(found, traces, strict=True):
        want: dict[tuple[Any, ...], Any] = {}

        def walk(ids: Any, path: tuple[Any, ...], trace: rs.Trace = trace, want: dict[Any, Any] = want) -> None:
            for i, o in enumerate(ids):
                here = (*path, ("position", i))
                want[here] = trace.objects[o]
                walk(trace.objects[o].inputs, (*here, ("module", trace.objects[o].module), ("branch", "in")))

        walk(trace.output_ids, ())
        if {o.path: o.module for o in objects} != {p: o.module for p, o in want.items()}:
            return math.inf
        for o in objects:
            known = d.columns[o.module].indices[:-1]
            attribute = np.zeros(LENGTH)
            attribute[known] = o.values
            out = max(out, float(np.abs(attribute - want[o.path].attribute).max()))
    return out


def branch(true: rs.SketchSpec) -> tuple[Any, Any]:
    """What a transparent operator does to a unit vector: (mask in blocks, signs) by the core's own operator."""
    core, block = rs.Sketcher(true)._matrices.core, true.block_size or 0

    def of(kind: int, index: int) -> tuple[int, np.ndarray]:
        places = true.dim // block
        signs, mask = np.zeros(places), 0
        for k in range(places):
            x = np.zeros(true.dim, np.float32)
            x[k * block] = 1.0
            moved = core.operator(kind, index, False, x).reshape(places, block)[:, 0]
            moved[k] = 0.0
            at = int(np.argmax(np.abs(moved)))
            mask, signs[at] = at ^ k, np.sign(moved[at])
        return mask, signs

    return of, core


@pytest.mark.parametrize("seed", range(3))
def test_flat_runs_are_read_without_the_seed(seed: int) -> None:
    """Masks, the signs that matter, and every element of runs that had no part in it, to 1e-6.

    Sketches are rounded to 2^-24 of them; least squares of 52 unknowns in 1,024 numbers adds little to that.
    """
    true, _, _, d = learned(LEVELS[:1], 600, seed)
    assert d.masks is not None
    assert d.operators is not None
    assert d.reasons == {"columns": "", "masks": "", "operators": ""}
    assert d.masks.angle == pytest.approx(true.angle, abs=1e-4)
    assert d.wiring == {"": ("a", "b")}
    of, _ = branch(true)
    kinds = {("branch", "attr"): (2, 0), ("position", 0): (0, 0), ("position", 1): (0, 1)}
    kinds |= {("module", m): (1, i) for i, m in enumerate(true.modules)}
    compared = 0
    for q, signs in d.operators.items():
        mask, want = of(*kinds[q])
        assert d.masks.masks[q] == mask
        assert np.array_equal(signs[signs != 0], want[signs != 0])
        compared += np.count_nonzero(signs)
    assert compared > 0.5 * 5 * d.layout.places
    traces = runs(LEVELS[:1], 50, seed + 100)
    found = d.read(rs.Sketcher(true, threads=1).sketch(traces))
    assert worst(found, traces, d) < 1e-6


def test_two_levels_are_read_without_the_seed() -> None:
    true, _, _, d = learned(LEVELS, 600, 0, dim=4096)
    assert d.reasons["operators"] == ""
    assert {user: set(inputs) for user, inputs in d.wiring.items()} == {
        "": {"a", "b"},
        "a": {"c", "d"},
        "b": {"c", "d"},
    }
    traces = runs(LEVELS, 30, 100)
    assert worst(d.read(rs.Sketcher(true, threads=1).sketch(traces)), traces, d) < 1e-6


def test_polar_attributes_are_unknowns() -> None:
    """Of a polar attribute the direction, and behind it log2 of the norm over 16, which is 0 for norms of 1: that
    column cannot be learned from such runs."""
    true, traces, y, d = learned(LEVELS[:1], 600, 0, attributes="polar", weighting="balanced")
    assert all(c.indices[-2] == LENGTH - 1 for c in d.columns.values())
    assert worst(d.read(y[:20]), traces[:20], d) < 1e-6
    loud = [rs.Trace() for _ in range(300)]
    rng = np.random.default_rng(0)
    for trace, old in zip(loud, traces, strict=False):
        ids = [trace.add(o.module, o.attribute * rng.uniform(4.0, 9.0)) for o in old.objects]
        trace.outputs(ids)
    found = rs.learn_dictionary(rs.Sketcher(true, threads=1).sketch(loud), names=list(true.modules), operators=False)
    assert all(c.indices[-2] == LENGTH for c in found.columns.values())


def test_noise_makes_no_operator_wrong() -> None:
    """With noise of 3% every element is off by noise: 6 standard errors of some 0.03 / sqrt(2 (1 - load)) √(2 / d)."""
    _, traces, y, d = learned(LEVELS[:1], 600, 1, noise=0.03)
    assert d.operators is not None
    assert worst(d.read(y[:30], 0.03 * math.sqrt(float(np.square(y).mean()))), traces[:30], d) < 0.06


def test_operators_that_explain_too_little_are_not_given() -> None:
    """Three levels are too many, and 40 sketches too few."""
    levels = [*LEVELS, ["e"]]
    _, _, y, d = learned(levels, 300, 0, dim=8192)
    assert d.masks is not None
    assert d.operators is None
    assert "levels" in d.reasons["operators"]
    assert "operators not learned" in str(d)
    with pytest.raises(ValueError, match="levels"):
        d.read(y[:1])


def test_reading_checks_what_it_is_given() -> None:
    _, _, y, d = learned(LEVELS[:1], 600, 0)
    assert len(d.read(y[0])) == 1
    assert [len(found) for found in d.read(rs.pack(y[:3], "int8"))] == [2, 2, 2]
    with pytest.raises(ValueError, match="1024"):
        d.read(np.zeros((2, 2048)))
    with pytest.raises(ValueError, match="finite"):
        d.read(np.full((2, 1024), np.nan))


def test_values_behind_a_sign_that_is_not_known_are_nan() -> None:
    """T_attr's sign where the first column of module a stands is taken away: what stands there is NaN, and no other."""
    _, _, y, d = learned(LEVELS[:1], 600, 0)
    assert d.masks is not None
    assert d.operators is not None
    c, attr = d.columns["a"], ("branch", "attr")
    pair = [int(c.rows[0, 0]), int(c.rows[0, 0]) ^ d.masks.masks[attr]]
    signs = d.operators[attr].copy()
    signs[pair] = 0
    less = replace(d, operators={**d.operators, attr: signs})
    seen = 0
    for o in (o for found in less.read(y[:20]) for o in found):
        rows = d.columns[o.module].rows[:-1, 0]
        assert np.array_equal(np.isnan(o.values), np.isin(rows, pair))
        seen += int(np.isnan(o.values).sum())
    assert seen > 5


# ---------------------------------------------------------------- parts


def test_the_transform_is_its_own_inverse() -> None:
    x = np.random.default_rng(0).standard_normal((3, 64))
    assert np.allclose(transform(transform(x)) / 64, x, atol=1e-13)
    assert np.array_equal(transform(np.eye(4)), [[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]])


@pytest.mark.parametrize("bits", range(4, 11))
def test_masks_of_branches_are_all_others(bits: int) -> None:
    """Powers of a primitive element: no two of 2^bits - 1 are the same."""
    order = 1 << bits
    assert sorted(branch_masks(1, order, order - 1)) == list(range(1, order))


def test_operators_are_orthonormal_and_adjoint() -> None:
    rng = np.random.default_rng(0)
    place = np.arange(32)
    signs = np.where(place < place ^ 5, 1.0, -1.0) * np.repeat(1.0, 32)
    m = Machine(0.6, 0.8, [], {("branch", 0): Turn(5, signs)})
    x, y = rng.standard_normal((2, 32, 8))
    assert np.linalg.norm(m.apply(("branch", 0), x)) == pytest.approx(np.linalg.norm(x))
    assert np.vdot(y, m.apply(("branch", 0), x)) == pytest.approx(np.vdot(m.adjoint(("branch", 0), y), x))


def test_equations_give_what_they_fix_and_no_more() -> None:
    """x0 + x1 = 1, x1 = 0, x2 + x3 = 0, and one that is outvoted; x2 and x3 stay unknown."""
    votes = {
        frozenset({0, 1}): [0.0, 9.0],
        frozenset({1}): [8.0, 0.0],
        frozenset({2, 3}): [7.0, 0.0],
        frozenset({0}): [3.0, 2.0],  # they disagree
        frozenset({3}): [1.0, 0.0],  # too few
    }
    assert solve(votes) == {0: 1, 1: 0}


def test_signs_of_partners_are_each_others_negatives() -> None:
    bits = Bits(Placed(75.0, [6, 3, 5]), 32)
    bit, other = np.array([bits.of(("branch", 0), place) for place in range(32)]).T
    assert np.array_equal(bit, bit[np.arange(32) ^ 6])
    assert np.array_equal(other, 1 - other[np.arange(32) ^ 6])
    signs = bits.signs(("branch", 0), {int(b): 1 for b in bit[:8]})
    assert np.array_equal(signs[:8], -signs[np.arange(8) ^ 6])
    assert np.all(signs[8:] == 0)
