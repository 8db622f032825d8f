"""Every random matrix against its dense form, and the laws that the decoders rely on."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import reference as ref

UNIT = 2.0**-24
DIM = 128
KINDS = {"position": 0, "module": 1, "branch": 2}


def named(spec: ref.RefSpec) -> list[tuple[str, str | int, int]]:
    """(role, name, index) of every transparent operator that the specification uses."""
    places: list[tuple[str, str | int, int]] = [("position", i, i) for i in range(spec.max_inputs * spec.ordered)]
    return [
        *places,
        *[("module", m, i) for i, m in enumerate(spec.modules)],
        ("branch", "attr", 0),
        *[("branch", name, 2 + i) for i, name in enumerate(spec.in_names)],
    ]


def matrix(core: Any, kind: int, index: int, transpose: bool = False, dim: int = DIM) -> np.ndarray:
    """The operator applied to the unit vectors."""
    eye = np.eye(dim, dtype=np.float32)
    return np.stack([np.asarray(core.operator(kind, index, transpose, e)) for e in eye], axis=1).astype(np.float64)


def test_operators_are_the_reference(build: Any, variant: dict[str, Any]) -> None:
    """On unit vectors an operator rounds its coefficients, and for hadamard sums d of them in a transform.

    A unit vector's transform is exact (all +-1), so every element has at most 4 roundings: the coefficient, 1/sqrt(d),
    their product, the sum with c: 5 UNIT bounds it as all elements are at most 1.
    """
    spec = ref.RefSpec(DIM, build.MODULES, 7, max_inputs=5, **variant)
    core = build.core(spec)
    for role, name, index in named(spec):
        want = spec.operator(role, name)
        assert np.abs(matrix(core, KINDS[role], index) - want).max() <= 5 * UNIT, (role, name)
        assert np.abs(matrix(core, KINDS[role], index, True) - want.T).max() <= 5 * UNIT, (role, name)


def test_t_in_is_the_product_of_its_operators(build: Any, rounding: Any, variant: dict[str, Any]) -> None:
    """Both ways, as the roundings of one after the other; and without order a position is left out, bit for bit."""
    spec = ref.RefSpec(DIM, build.MODULES, 7, max_inputs=5, **variant)
    core, x = build.core(spec), build.attribute(np.random.default_rng(2), DIM)
    bound = rounding.t_in(spec)[1] * UNIT
    assert len(spec.in_names) == 2 or spec.rotation == "hadamard"
    assert np.linalg.norm(core.operator(2, 1, False, x) - spec.t_in() @ x) <= bound
    assert np.linalg.norm(core.operator(2, 1, True, x) - spec.t_in().T @ x) <= bound
    if not spec.ordered:
        for i in range(5):
            assert np.array_equal(core.operator(0, i, False, x), x)


@pytest.mark.parametrize("dim", [64, 1024])
def test_operators_on_full_vectors(build: Any, rounding: Any, variant: dict[str, Any], dim: int) -> None:
    """|error| <= roundings of one T times UNIT times |x|, see Rounding.operator."""
    spec = ref.RefSpec(dim, {"a": 16}, 3, max_inputs=2, **build.bare(variant))
    core = build.core(spec)
    x = np.random.default_rng(dim).standard_normal(dim).astype(np.float32)
    bound = rounding.operator(spec)[1] * UNIT * np.linalg.norm(x)
    for role, name, index in named(spec):
        t = spec.operator(role, name)
        assert np.linalg.norm(core.operator(KINDS[role], index, False, x) - t @ x) <= bound
        assert np.linalg.norm(core.operator(KINDS[role], index, True, x) - t.T @ x) <= bound


def test_adjoint_identity(build: Any, rounding: Any, variant: dict[str, Any]) -> None:
    """|<T x, y> - <x, T' y>| <= 2 * (roundings of T) * UNIT |x| |y|, for large d, where no dense form fits."""
    dim = 1 << 14
    spec = ref.RefSpec(dim, {"a": 5, "c": 40}, 9, max_inputs=3, **variant)
    core = build.core(spec)
    rng = np.random.default_rng(1)
    x, y = (rng.standard_normal(dim).astype(np.float32) for _ in range(2))
    bound = 2 * rounding.operator(spec)[1] * UNIT * np.linalg.norm(x) * np.linalg.norm(y)
    for role, _, index in named(spec):
        forward = np.asarray(core.operator(KINDS[role], index, False, x), dtype=np.float64)
        backward = np.asarray(core.operator(KINDS[role], index, True, y), dtype=np.float64)
        assert abs(forward @ y - x @ backward) <= bound, role


def test_skew_operators_are_orthonormal_and_skew(build: Any) -> None:
    """T'T = I to 4 UNIT: c^2 + s^2 with rounded c, s; T - c I is exactly skew, its diagonal exactly c."""
    spec = ref.RefSpec(DIM, build.MODULES, 2, max_inputs=4)
    core = build.core(spec)
    cosine = np.float64(np.float32(spec.cosine))
    for role, _, index in named(spec):
        t = matrix(core, KINDS[role], index)
        assert np.abs(t.T @ t - np.eye(DIM)).max() <= 4 * UNIT
        assert np.array_equal(np.diag(t), np.full(DIM, cosine))
        r = t - np.diag(np.diag(t))
        assert np.array_equal(r, -r.T)
        assert np.array_equal(np.count_nonzero(r, axis=0), np.ones(DIM))


def test_hadamard_rotations_are_orthonormal(build: Any) -> None:
    """R = (T - c I)/s; R'R = I to 2 d (5 UNIT / s) / sqrt(d): d products of elements near 1/sqrt(d) an entry."""
    spec = ref.RefSpec(DIM, build.MODULES, 2, max_inputs=4, rotation="hadamard")
    core = build.core(spec)
    for role, _, index in named(spec):
        r = (matrix(core, KINDS[role], index) - spec.cosine * np.eye(DIM)) / spec.sine
        assert np.abs(r.T @ r - np.eye(DIM)).max() <= DIM * 5 * UNIT * 2 / math.sqrt(DIM) / spec.sine


@pytest.mark.parametrize("rotation", ["skew", "hadamard"])
def test_a_right_angle_is_the_rotation_alone(build: Any, rotation: str) -> None:
    spec = ref.RefSpec(DIM, {"a": 16}, 4, max_inputs=1, angle=90.0, rotation=rotation)
    t = matrix(build.core(spec), 0, 0)
    assert np.abs(t - spec.rotated("position", 0)).max() <= 5 * UNIT  # cos 90 degrees is 6e-17 in float64
    assert np.abs(np.diag(t)).max() <= 1 / math.sqrt(DIM) + 5 * UNIT


def inner(build: Any, rotation: str, dim: int, count: int) -> np.ndarray:
    """sqrt(d) <x, R_m y> for `count` rotations R_m and one pair of Gaussian directions each."""
    spec = ref.RefSpec(dim, {f"m{i}": 1 for i in range(count)}, 11, max_inputs=1, angle=90.0, rotation=rotation)
    core = build.core(spec)
    rng = np.random.default_rng(dim)
    out = []
    for i in range(count):
        x, y = (build.attribute(rng, dim) for _ in range(2))
        out.append(float(np.dot(x.astype(np.float64), np.asarray(core.operator(1, i, False, y), dtype=np.float64))))
    return math.sqrt(dim) * np.array(out)


@pytest.mark.parametrize("rotation", ["skew", "hadamard"])
def test_rotations_desynchronise(build: Any, rotation: str) -> None:
    """<x, R y> is of order 1/sqrt(d) for unit x, y, at every d.

    For a Gaussian pair E <x, R y>^2 = 1/d for any orthonormal R. The mean of 200 squares has relative deviation
    sqrt(2/200) = 0.1, so 0.45..1.55 are 5.5 deviations: with 6 such means the failure probability is below 1e-6.
    The largest of 200: conditionally Gaussian given y, so P(> 7.5) <= 200 * 6.4e-14 a dimension. Seeds are fixed.
    """
    for dim in (64, 1024, 16384):
        values = inner(build, rotation, dim, 200)
        assert 0.45 <= np.mean(values**2) <= 1.55, dim
        assert np.abs(values).max() <= 7.5, dim


def test_skew_rotations_desynchronise_any_flat_pair(build: Any) -> None:
    """The paper's claim is over the matrix, x and y fixed. For +-1/sqrt(d) vectors <x, R y> is a sum of d/2 independent
    signed terms of size <= 2/d, so by Hoeffding P(sqrt(d) |<x, R y>| > t) <= 2 exp(-t^2/4): for t = 11 and 200
    matrices 3e-11. Here x = y = constant and x = alternating by twos, the worst a user could choose: neighbours are in
    halves that do not mix."""
    dim, count = 4096, 200
    spec = ref.RefSpec(dim, {f"m{i}": 1 for i in range(count)}, 5, max_inputs=1, angle=90.0)
    core = build.core(spec)
    flat = np.full(dim, dim**-0.5, dtype=np.float32)
    wave = flat * np.where(np.arange(dim) // 2 % 2, -1, 1).astype(np.float32)
    for x, y in ((flat, wave), (wave, flat)):
        values = [float(np.dot(x, np.asarray(core.operator(1, i, False, y)))) for i in range(count)]
        assert math.sqrt(dim) * np.abs(values).max() <= 11
        assert np.count_nonzero(values) > count // 4  # two even masks make all terms vanish


def test_different_operators_share_only_the_identity_branch(build: Any) -> None:
    """<T1 x, T2 x> = cos^2 + O(1/sqrt(d)) for unit Gaussian x: 45 pairs, deviation at most about 1.2/sqrt(d)."""
    dim = 16384
    spec = ref.RefSpec(dim, {f"m{i}": 1 for i in range(10)}, 8, max_inputs=1)
    core = build.core(spec)
    x = build.attribute(np.random.default_rng(0), dim)
    rows = np.stack([np.asarray(core.operator(1, i, False, x), dtype=np.float64) for i in range(10)])
    gram = (rows @ rows.T)[~np.eye(10, dtype=bool)]
    assert np.abs(gram - 0.25).max() <= 8 * 1.2 / math.sqrt(dim)


@pytest.mark.parametrize("length", [1, 2, 15, 16, 17, 31, 32, 33, 64, 100, 128, 129, 200, 256, 257, 500, 1000])
@pytest.mark.parametrize("dim", [64, 128])
def test_embeddings_are_the_reference(build: Any, dim: int, length: int) -> None:
    """Both ways: log2(a') stages, a'/d or d/a' sums in folding, 3 for the scale, relative to sqrt(folds) |x|."""
    spec = ref.RefSpec(dim, {"x": 3, "y": length}, 1)
    core = build.core(spec)
    e = spec.embedding("y")
    p = spec.padded("y")
    folds = max(1, p // dim)
    rng = np.random.default_rng(length)
    x, y = build.attribute(rng, length), build.attribute(rng, dim)
    roundings = (math.log2(p) + 3 + max(folds, dim // p)) * math.sqrt(folds)
    assert np.linalg.norm(core.embed(1, x) - e @ x) <= roundings * UNIT
    assert np.linalg.norm(core.embed_adjoint(1, y) - e.T @ y) <= roundings * UNIT
    if p <= dim:  # an exact isometry, to the same roundings
        assert np.abs(e.T @ e - np.eye(length)).max() <= 1e-13
        assert abs(np.linalg.norm(np.asarray(core.embed(1, x), dtype=np.float64)) - 1) <= 2 * roundings * UNIT
    else:  # every column is a sum of folds pieces of norm 1/sqrt(folds)... of +-1 sums: norm at most sqrt(folds)
        assert np.linalg.norm(e, axis=0).max() <= math.sqrt(folds) * (1 + 1e-12)


def test_folded_embeddings_keep_norms_on_average(build: Any) -> None:
    """a' = 16 d. E |E x|^2 = |x|^2 over D2; |E x|^2 is a mean of d squared sums of 16 signed terms, relative deviation
    about sqrt(2/d) = 0.18 for d = 64: the mean over 200 modules has deviation 0.013, and 0.08 is 6 of them (2e-9)."""
    spec = ref.RefSpec(64, {f"m{i}": 1024 for i in range(200)}, 6)
    core = build.core(spec)
    rng = np.random.default_rng(3)
    squares = [float(np.sum(np.asarray(core.embed(i, build.attribute(rng, 1024))) ** 2)) for i in range(200)]
    assert abs(np.mean(squares) - 1) <= 0.08


def test_counters_are_signs(build: Any) -> None:
    """Exact up to the rounding of 1/sqrt(d), at most 2 UNIT relative; at an odd power of two as well. Where n_M is
    drawn and seen back through T_M and T_attr, numbers of up to (c + s)^2 / sqrt(d) are rounded 4 times more."""
    for dim in (64, 128, 2048):
        spec = ref.RefSpec(dim, build.MODULES, 12)
        core = build.core(spec)
        for i, name in enumerate(spec.modules):
            got, want = np.asarray(core.counter(i), dtype=np.float64), spec.counter(name)
            if spec.direct(name):
                assert np.abs(got - want).max() <= 6 * UNIT * (spec.cosine + spec.sine) ** 2 / math.sqrt(dim)
                continue
            assert np.abs(got - want).max() <= 2 * UNIT / math.sqrt(dim)
            assert len(set(np.abs(got))) == 1


def test_seeds_of_64_bits_matter(build: Any) -> None:
    rows = []
    for seed in (0, 1, 2**32, 2**32 + 1, 2**64 - 1):
        spec = ref.RefSpec(64, {"a": 16}, seed)
        rows.append(np.asarray(build.core(spec).counter(0)))
        assert np.array_equal(np.sign(rows[-1]), np.sign(spec.counter("a")))
    assert len({r.tobytes() for r in rows}) == 5
