"""The block family against the reference: strings, operators, embeddings, sketches, and how they are read back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import reference as ref

import recsketch as rs

UNIT = 2.0**-24
D = 1024
MODULES = {"a": 3, "b": 20, "c": 9}


def spec_of(**more: Any) -> ref.RefSpec:
    """The shortest sketches there are, 32 blocks of 32."""
    options: dict[str, Any] = {"dim": D, "modules": MODULES, "seed": 5, "max_inputs": 4, "angle": 75.0}
    return ref.RefSpec(**{**options, "rotation": "block", "block_size": 32, "blocks_per_column": 2, **more})


@pytest.mark.parametrize(
    ("dim", "size", "column"), [(1024, 32, 1), (1024, 32, 2), (2048, 32, 3), (2048, 64, 2), (4096, 64, 5)]
)
def test_embeddings_are_those_of_the_reference(build: Any, dim: int, size: int, column: int) -> None:
    """Every sign of every string: numbers are 0 or one over sqrt(r b), rounded once."""
    spec = spec_of(dim=dim, block_size=size, blocks_per_column=column, seed=2**40 + 3, attributes="polar")
    core = build.core(spec)
    for m, name in enumerate(MODULES):
        units = np.eye(spec.width(name), dtype=np.float32)
        found = np.stack([core.embed(m, e) for e in units], axis=1)
        wanted = spec.embedding(name)
        assert np.abs(found - wanted).max() <= UNIT * np.abs(wanted).max()
        assert np.abs(core.counter(m) - spec.counter(name)).max() <= UNIT
        assert ((wanted != 0).sum(axis=0) == size * column).all()
        y = np.random.default_rng(m).standard_normal(dim).astype(np.float32)
        # A column's sum has column parts, each rounded to float32 once it is added in doubles.
        assert np.abs(core.embed_adjoint(m, y) - wanted.T @ y).max() <= 2 * column * UNIT * np.linalg.norm(y)


@pytest.mark.parametrize(("dim", "size"), [(1024, 32), (2048, 32), (2048, 64)])
def test_operators_are_those_of_the_reference(build: Any, dim: int, size: int) -> None:
    spec = spec_of(dim=dim, block_size=size)
    core = build.core(spec)
    x = np.random.default_rng(1).standard_normal(dim).astype(np.float32)
    operators = [(0, i, "position", str(i)) for i in range(4)] + [(1, i, "module", n) for i, n in enumerate(MODULES)]
    for kind, index, role, name in [
        *operators,
        (2, 0, "branch", "attr"),
        (2, 1, "branch", "in/0"),
        (2, 2, "branch", "in/0"),
    ]:
        t = spec.operator(role, name)
        for transpose in (False, True):
            wanted = (t.T if transpose else t) @ x
            # A multiply-add and a factor, each rounded to float32.
            assert np.abs(core.operator(kind, index, transpose, x) - wanted).max() <= 4 * UNIT * np.abs(x).max()


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"weighting": "balanced", "spread": 0.5, "attributes": "polar"},
        {"weighting": "linear", "angle": 60.0, "signature": 3},
        {"weighting": "count", "ordered": False},
        {"scaling": "paper", "angle": 45.0, "weighting": "linear"},
        {"angle": 90.0, "block_size": 32, "blocks_per_column": 5},
        {"dim": 2048, "block_size": 64, "blocks_per_column": 1},
    ],
    ids=str,
)
def test_sketches_are_those_of_the_reference(build: Any, options: dict[str, Any]) -> None:
    spec = spec_of(**options)
    for seed in range(3):
        trace = build.dag(np.random.default_rng(seed), spec, 8)
        found, wanted = build.sketcher(spec).sketch(build.trace(trace)), ref.sketch(spec, trace)
        # The largest of four roundings of some 1e-7 of the norm: see docs/implementation.md, "Rounding".
        assert np.linalg.norm(found - wanted) <= 4e-7 * np.linalg.norm(wanted)


# ---------------------------------------------------------------- reading


def attributes_of(found: rs.Recovered) -> list[np.ndarray]:
    return [np.asarray(a, dtype=np.float64) for a in found.attributes]


@pytest.mark.parametrize("method", ["lstsq", "matched", "paper"])
@pytest.mark.parametrize("column", [1, 2, 8])
def test_decoders_answer_as_the_reference_does(build: Any, method: str, column: int) -> None:
    spec = spec_of(blocks_per_column=column, weighting="balanced", spread=0.5)
    rng = np.random.default_rng(column)  # of shared objects "matched" measures the columns by random signs
    trace = build.tree(rng, spec, 2, 2) if method == "matched" else build.dag(rng, spec, 6)
    sketch = build.sketcher(spec).sketch(build.trace(trace))
    found = attributes_of(build.sketcher(spec).recover(sketch, build.trace(trace), method=method))
    wanted = getattr(ref, method)(spec, trace, sketch.astype(np.float64))
    amplitude, _ = ref.amplitudes(spec, trace, t=spec.sine if method == "paper" else None)
    for f, w, a in zip(found, wanted, amplitude, strict=True):
        assert np.isfinite(f).all() == bool(a > 0)
        if a > 0:  # sketches round by some 1e-7 of their norm, of which an object holds its amplitude's share
            assert np.abs(f - w).max() <= 3e-6 * np.linalg.norm(sketch) / a


def tree(rng: np.random.Generator, modules: dict[str, int], depth: int, norm: float = 1.0) -> rs.Trace:
    """A ragged tree of fan 2 to 4."""
    out, names = rs.Trace(), list(modules)

    def grow(level: int) -> int:
        inner = level < depth and (level == 1 or rng.random() < 0.6)
        inputs = [grow(level + 1) for _ in range(rng.integers(2, 5))] if inner else []
        name = names[int(rng.integers(len(names)))]
        return out.add(name, norm * rng.standard_normal(modules[name]), inputs)

    out.outputs([grow(1) for _ in range(rng.integers(2, 5))])
    return out


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"block_size": 64, "blocks_per_column": 3},
        {"attributes": "linear", "weighting": "energy"},
        {"weighting": "linear", "signature": 4},
        {"angle": 85.0},
    ],
    ids=str,
)
def test_runs_come_back(options: dict[str, Any]) -> None:
    """Known structure: least squares and sparse, with a third of the coordinates erased, and from float16."""
    modules = {"a": 9, "b": 14}
    sk = rs.Sketcher(rs.SketchSpec(4096, modules, seed=3, max_inputs=8, rotation="block", **options), threads=1)
    runs = [tree(np.random.default_rng(seed), modules, 3) for seed in range(5)]
    s = sk.sketch(runs)
    keep = rs.erasure.keep_random(4096, 0.66, seed=1)
    for sketches, mask, how, near in [
        (s, None, {}, 1e-5),
        (s, None, {"method": "sparse"}, 1e-5),
        (np.where(keep, s, np.float32(np.nan)), keep, {}, 3e-5),
        (rs.pack(s, "float16"), None, {}, 0.1),
    ]:
        for run, found in zip(runs, sk.recover(sketches, runs, mask=mask, **how), strict=True):
            for o, x in zip(run.objects, found.attributes, strict=True):
                assert np.linalg.norm(o.attribute - x) <= near * np.linalg.norm(o.attribute)


def test_structures_come_back() -> None:
    """Unrolled whole. 120 of 120 such runs were (docs/figures.md); these seeds are fixed."""
    modules = {"a": 16, "b": 24, "c": 12}
    sk = rs.Sketcher(rs.SketchSpec(4096, modules, seed=1, max_inputs=8, rotation="block"), threads=1)
    runs = [tree(np.random.default_rng(seed), modules, 3, 10.0**seed) for seed in range(4)]
    for run, found in zip(runs, sk.unroll(sk.sketch(runs)), strict=True):
        assert found.complete
        assert sorted((o.module, len(o.inputs)) for o in run.objects) == sorted(
            (o.module, len(o.inputs)) for o in found.objects
        )


def test_bags_and_sums() -> None:
    """Without positions the order of inputs leaves no trace, and sketches of counts add up."""
    modules = {"a": 5}
    spec = rs.SketchSpec(
        1024, modules, max_inputs=8, rotation="block", ordered=False, weighting="count", attributes="linear"
    )
    sk = rs.Sketcher(spec)
    x = np.random.default_rng(0).standard_normal((3, 5))
    runs = []
    for order in ([0, 1, 2], [2, 0, 1], [0], [1, 2]):
        run = rs.Trace()
        run.outputs([run.add("a", x[i]) for i in order])
        runs.append(run)
    s = sk.sketch(runs)
    assert np.abs(s[0] - s[1]).max() <= 2 * UNIT * np.abs(s[0]).max() * 3
    assert np.abs(s[0] - s[2] - s[3]).max() <= 2 * UNIT * np.abs(s[0]).max() * 3


def test_summaries_count(build: Any) -> None:
    """Counts of a tuple within five of their standard errors: a failure has probability 6e-7 a number."""
    rng, run = np.random.default_rng(5), rs.Trace()
    run.outputs([run.add("ab"[i % 3 == 0], build.attribute(rng, 8)) for i in range(18)])
    for seed in range(10):
        spec = rs.SketchSpec(8192, {"a": 8, "b": 8}, seed, max_inputs=20, rotation="block", attributes="linear")
        sk = rs.Sketcher(spec)
        for name, count in (("a", 12), ("b", 6)):
            found = sk.summary(sk.sketch(run), name, total=18)
            assert abs(found.count - count) <= 5 * max(found.count_error, 1e-6)


# ---------------------------------------------------------------- masks


@pytest.mark.parametrize("degree", ref.PRIMITIVE)
def test_polynomials_are_primitive(degree: int) -> None:
    """x has the order 2^degree - 1: its powers are all masks, each once."""
    order = 2**degree - 1
    factors = [p for p in range(2, 1000) if order % p == 0 and all(p % q for q in range(2, p))]
    rest = order
    for p in factors:
        while rest % p == 0:
            rest //= p
    factors += [rest] if rest > 1 else []

    def power(n: int) -> int:
        """x to the n-th, by n products where that is quick, and by squares of polynomials elsewhere."""
        out, base = 1, 2
        while n:
            if n & 1:
                out = product(out, base)
            base, n = product(base, base), n >> 1
        return out

    def product(a: int, b: int) -> int:
        out = 0
        while b:
            if b & 1:
                out ^= a
            a, b = ref.times_x(a, degree), b >> 1
        return out

    assert power(order) == 1
    assert all(power(order // p) != 1 for p in factors)


@pytest.mark.parametrize("seed", range(40))
def test_masks_are_distinct_and_do_not_cancel(seed: int) -> None:
    """Those of branches and positions all differ, and no module's is one of them or of their sums with T_in's."""
    for dim in (1024, 4096):
        into = ref.block_mask(dim, 32, seed, "branch", "in/0")
        places = [ref.block_mask(dim, 32, seed, "position", str(i)) for i in range(13)]
        assert len({into, ref.block_mask(dim, 32, seed, "branch", "attr"), *places}) == 15
        near = places[: dim // 32 // 8]
        module = ref.block_mask(dim, 32, seed, "module", "m")
        assert 0 < module < dim // 64
        assert module not in {into, *near, *(into ^ m for m in near)}


# ---------------------------------------------------------------- specifications

SPEC = {"dim": 4096, "modules": {"a": 3}, "rotation": "block"}


def test_defaults_follow_the_rotation() -> None:
    spec = rs.SketchSpec(**SPEC)
    assert (spec.block_size, spec.blocks_per_column, spec.angle) == (32, 2, 75.0)
    plain = spec.replace(rotation="skew")
    assert (plain.block_size, plain.blocks_per_column, plain.angle) == (None, None, 60.0)
    assert plain == rs.SketchSpec(4096, {"a": 3})
    assert plain.replace(rotation="block") == spec
    assert spec.replace(angle=60.0).replace(rotation="skew").angle == 60.0
    assert "block_size" not in plain.to_json()


def test_json_holds_blocks() -> None:
    for more in ({}, {"block_size": 64, "blocks_per_column": 5}, {"angle": 60.0}):
        spec = rs.SketchSpec(**SPEC, **more)
        assert rs.SketchSpec.from_json(spec.to_json()) == spec
    fields = '{"recsketch": 1, "dim": 4096, "modules": {"a": 3}, "seed": 0, "rotation": "block"}'
    assert rs.SketchSpec.from_json(fields) == rs.SketchSpec(**SPEC)
    assert rs.SketchSpec.from_json(fields[:-1] + ', "block_size": null, "angle": null}') == rs.SketchSpec(**SPEC)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dim": 512}, r"dim: wanted at least 32 blocks of 32, 1024; got 512"),
        ({"dim": 1024}, r"max_inputs: wanted at most 13 with 32 blocks of 32, .* masks of their own; got 16"),
        ({"dim": 1 << 19}, r"block_size: wanted blocks that leave 8 bits .* block_size=64; got 32, which leaves 7"),
        ({"modules": {"a": 1022}}, r"modules\['a'\]: wanted at most 1022 numbers .* block_size=64; got 1023"),
        ({"modules": {"a": 65534}, "block_size": 64}, r"modules\['a'\]: wanted at most 65534 numbers .*; got 65535"),
        ({"block_size": 48}, r"block_size: wanted 32 or 64; got 48"),
        ({"block_size": 128}, r"block_size: wanted an integer from 32 to 64; got 128"),
        ({"blocks_per_column": 0}, r"blocks_per_column: wanted an integer from 1 to 8; got 0"),
        ({"blocks_per_column": 9}, r"blocks_per_column: wanted an integer from 1 to 8; got 9"),
        ({"rotation": "skew", "block_size": 32}, r"block_size: wanted None unless rotation=\"block\"; got 32"),
        ({"rotation": "hadamard", "blocks_per_column": 2}, r"blocks_per_column: wanted None unless"),
    ],
)
def test_refusals_name_their_rule(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        rs.SketchSpec(**{**SPEC, **changes})


def test_two_modules_of_one_tag_are_refused() -> None:
    """Names are tried until two have the same 10 bits, which takes about 40; with more bits both are welcome."""
    seen: dict[int, str] = {}
    for i in range(1100):
        name = f"m{i}"
        first = seen.setdefault(ref.block_tag(name, 10), name)
        if first != name:
            break
    modules = {first: 3, name: 3}
    with pytest.raises(ValueError, match=f"got '{first}' and '{name}' of one tag: rename one, or take block_size=64"):
        rs.SketchSpec(1 << 16, modules, rotation="block")
    assert rs.SketchSpec(1 << 16, modules, rotation="block", block_size=64).block_size == 64


def test_fitted_specifications_have_room() -> None:
    run = tree(np.random.default_rng(0), {"a": 3, "b": 4}, 3)
    spec = rs.SketchSpec.fitted(run, rotation="block")
    assert spec.rotation == "block"
    assert spec.dim == 2048  # 1,024 have no masks for 16 positions
    assert rs.trial(spec, run).spec == spec


def chain(length: int) -> rs.Trace:
    out, below = rs.Trace(), []
    for i in range(length):
        below = [out.add("a", [1.0 + i, 2.0, 3.0], below)]
    out.outputs(below)
    return out


def test_chains_that_blocks_cannot_tell_apart_are_told_of() -> None:
    for column, length, cure in ((1, 3, "=8"), (2, 6, "=8"), (8, 12, '"skew"')):
        spec = rs.SketchSpec(**SPEC, blocks_per_column=column)
        rs.Sketcher(spec).sketch(chain(length))
        with pytest.warns(rs.SketchWarning, match=f"{length + 1} objects of one module .* tell {length} .*{cure}"):
            rs.Sketcher(spec).sketch(chain(length + 1))
        rs.Sketcher(spec.replace(rotation="skew")).sketch(chain(length + 1))


@pytest.mark.parametrize(("column", "length"), [(1, 3), (2, 6), (8, 12)])
def test_chains_are_well_conditioned(column: int, length: int) -> None:
    """They come back with the error of a condition number of 1,000 at most; the largest of docs/method.md is 90."""
    for seed in range(4):
        sk = rs.Sketcher(rs.SketchSpec(**SPEC, seed=seed, blocks_per_column=column))
        run = chain(length)
        for o, x in zip(run.objects, sk.recover(sk.sketch(run), run).attributes, strict=True):
            assert np.linalg.norm(o.attribute - x) <= 1e3 * 64 * UNIT * np.linalg.norm(o.attribute)
