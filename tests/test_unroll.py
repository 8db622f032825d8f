"""Blind unrolling of what fits: structure, attributes and weights from a sketch alone, and how they are shown.

Seeds are fixed. Where a wider run of one kind came out 40 of 40, one run fails with probability below 3 / 40 at 95%
confidence, at load 0.5 (200 of 200) below 3 / 200; a test fails for the seeds it has only if bits change.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import reference as ref
from structures import LENGTHS, chosen, compare, exact, loaded, uses

import recsketch as rs

KINDS: dict[str, dict[str, Any]] = {
    "skew": {},
    "hadamard": {"rotation": "hadamard"},
    "linear": {"weighting": "linear"},
    "scaled": {"scales": {"m7": 0.25, "m20": 3.0}, "angle": 75.0},
    "orthogonal": {"angle": 90.0},
    "extreme scales": {"scales": {"m7": 1e-20, "m20": 1e20}},
    "signatures": {"signature": 8},
}


# ---------------------------------------------------------------- exact while it fits


@pytest.mark.parametrize("kind", list(KINDS))
def test_exact_while_it_fits(build: Any, kind: str) -> None:
    """Depth 3, load 0.3 to 0.5: 8 of 8 (40 of 40 in a wider run of each kind)."""
    for seed in range(8):
        spec = ref.RefSpec(1024, LENGTHS, seed, max_inputs=8, **KINDS[kind])
        trace = loaded(build, seed, spec, 0.3, 0.5)
        sk = build.sketcher(spec)
        found = sk.unroll(sk.sketch(build.trace(trace)))
        assert exact(found, trace), (seed, compare(found, trace), found)
        assert found.explained > 1 - 1e-9
        assert 0 <= found.residual < 1e-6
        assert found.rounds >= 1
        assert found.iterations >= found.rounds


@pytest.mark.parametrize("weighting", ["balanced", "energy", "linear"])
def test_runs_come_back_as_they_were(build: Any, weighting: Any) -> None:
    """Norms from 1e-3 to 1e4 in one run, uneven weights, signatures or none: polar attributes to 1e-4 of their norm and
    within six stated errors, their norms too, and the weights that were given to 1e-3."""
    for seed, signature in ((0, 0), (1, 6)):
        spec = rs.SketchSpec(1024, {"a": 16, "b": 9, "c": 24}, seed, weighting=weighting, signature=signature)
        rng = np.random.default_rng(seed)
        trace = rs.Trace()

        def add(name: str, inputs: Any = ()) -> int:
            x = rng.standard_normal(spec.modules[name]) * 10.0 ** rng.uniform(-3, 4)  # noqa: B023
            return trace.add(name, x, inputs, rng.dirichlet(np.full(len(inputs), 2.0)) if inputs else None)  # noqa: B023

        tops = [add("c", [add("a") for _ in range(3)]), add("b", [add("b", [add("a"), add("c")])])]
        trace.outputs(tops, [0.7, 0.3])
        sk = rs.Sketcher(spec, threads=1)
        found = sk.unroll(sk.sketch(trace))
        assert exact(found, trace, 1e-4 if weighting != "linear" else 1e-3), compare(found, trace)
        truth = uses(trace)
        for o in found.objects:
            x = truth[o.path].attribute
            assert np.abs(o.attribute - x).max() <= (6 * o.error).max() + 1e-6 * np.linalg.norm(x)
            assert abs(o.norm - np.linalg.norm(x)) <= 6 * o.norm_error + 1e-6 * o.norm


def test_exact_with_the_paper_s_constants(build: Any) -> None:
    """Weights and scales there let deep objects sink fast: depth 2, load 0.05 to 0.15 (40 of 40)."""
    for seed in range(6):
        spec = ref.RefSpec.paper(1024, LENGTHS, seed, max_inputs=8)
        trace = loaded(build, seed, spec, 0.05, 0.15, depth=2)
        sk = build.sketcher(spec)
        found = sk.unroll(sk.sketch(build.trace(trace)))
        assert exact(found, trace), (seed, compare(found, trace))


def test_load_two_thirds(build: Any) -> None:
    """Load 0.65 to 0.7. Promised: 90%; measured 200 of 200. 10 of 12 at least: at 90% that fails with probability 0.11,
    at the measured rate (above 0.985) with less than 1e-3."""
    good = 0
    for seed in range(12):
        spec = ref.RefSpec(1024, LENGTHS, seed, max_inputs=8)
        trace = loaded(build, seed, spec, 0.65, 0.7)
        sk = build.sketcher(spec)
        good += exact(sk.unroll(sk.sketch(build.trace(trace))), trace)
    assert good >= 10


def test_four_times_the_length(build: Any) -> None:
    for seed in range(3):
        spec = ref.RefSpec(4096, {k: 4 * v for k, v in LENGTHS.items()}, seed, max_inputs=8)
        trace = loaded(build, seed, spec, 0.3, 0.5)
        sk = build.sketcher(spec)
        assert exact(sk.unroll(sk.sketch(build.trace(trace))), trace)


def one(spec: ref.RefSpec, objects: list[tuple[str, tuple[int, ...], Any]], outputs: Any, weights: Any = None) -> Any:
    made = [ref.RefObject(m, chosen(n, dict(spec.modules), m), i, w) for n, (m, i, w) in enumerate(objects)]
    return ref.RefTrace(made, outputs, weights)


SHAPES: dict[str, tuple[list[tuple[str, tuple[int, ...], Any]], tuple[int, ...], Any]] = {
    "one object": ([("m20", (), None)], (0,), None),
    "a chain": ([("m7", (), None), ("m16", (0,), None), ("m20", (1,), None), ("m7", (2,), None)], (3,), None),
    "an object twice": ([("m16", (), None), ("m7", (0, 0), None)], (1,), None),
    "an object as input and output": ([("m16", (), None), ("m7", (0,), None)], (1, 0), (2.0, 1.0)),
    "zero weights": (
        [("m7", (), None), ("m16", (), None), ("m20", (0, 1, 0), (0.0, 2.0, 3.0))],
        (0, 2, 1),
        (0.0, 1, 0),
    ),
    "uneven weights": ([("m7", (), None), ("m16", (), None), ("m20", (0, 1), (1.0, 30.0))], (2,), None),
    "all of one module": ([("m16", (), None)] * 8, tuple(range(8)), None),
}


@pytest.mark.parametrize("rotation", ["skew", "hadamard"])
@pytest.mark.parametrize("shape", list(SHAPES))
def test_shapes(build: Any, shape: str, rotation: str) -> None:
    spec = ref.RefSpec(512, LENGTHS, 5, max_inputs=8, rotation=rotation)
    trace = one(spec, *SHAPES[shape])
    sk = build.sketcher(spec)
    found = sk.unroll(sk.sketch(build.trace(trace)))
    assert exact(found, trace), (compare(found, trace), found.tree())


@pytest.mark.parametrize("modules", [["m7"], ["m7", "m16", "m20"]], ids=["one module", "mixed"])
def test_a_wide_tuple(build: Any, modules: list[str]) -> None:
    """48 light inputs of one object, none of them significant alone."""
    spec = ref.RefSpec(2048, LENGTHS, 3, max_inputs=64)
    objects = [(modules[k % len(modules)], (), None) for k in range(48)]
    trace = one(spec, [*objects, ("m33", tuple(range(48)), None)], (48,))
    sk = build.sketcher(spec)
    found = sk.unroll(sk.sketch(build.trace(trace)))
    assert exact(found, trace), (compare(found, trace), found.tree())


@pytest.mark.parametrize("below", [False, True], ids=["outputs", "inputs"])
def test_a_hundred_of_one_module(build: Any, below: bool) -> None:
    """Their counters add up in one direction, to many times what the objects are beside it: that is no noise to them.
    Load 0.41."""
    spec = ref.RefSpec(4096, {"m": 16}, 3, max_inputs=128)
    objects: list[tuple[str, tuple[int, ...], Any]] = [("m", (), None)] * 100
    top = [("m", tuple(range(100)), None)] if below else []
    trace = one(spec, [*objects, *top], (100,) if below else tuple(range(100)))
    sk = build.sketcher(spec)
    found = sk.unroll(sk.sketch(build.trace(trace)))
    assert exact(found, trace), (compare(found, trace), found)


def test_one_attribute_that_drowns_its_counter() -> None:
    """512 raw standard normal numbers: the counter reads 2.8 standard errors."""
    sk = rs.Sketcher(rs.SketchSpec(4096, {"m": 512}))
    run, x = rs.Trace(), np.random.default_rng(0).standard_normal(512)
    run.outputs([run.add("m", x)])
    found = sk.unroll(sk.sketch(run))
    assert found.complete
    assert len(found.objects) == 1
    assert np.abs(found.objects[0].attribute - x).max() < 1e-4


@pytest.mark.parametrize("norm", [11.3, 100.0])
def test_attributes_of_a_large_norm(build: Any, norm: float) -> None:
    """Three levels, all of one norm: 4 of 4 as at norm one."""
    for seed in range(4):
        spec = ref.RefSpec(1024, LENGTHS, seed, max_inputs=8)
        trace = loaded(build, seed, spec, 0.3, 0.5)
        large = trace._replace(objects=tuple(o._replace(attribute=norm * o.attribute) for o in trace.objects))
        sk = build.sketcher(spec)
        found = sk.unroll(sk.sketch(build.trace(large)))
        assert found.complete
        assert exact(found, large, 1e-3 * norm), (seed, compare(found, large), found)


def test_a_module_that_cannot_fit(build: Any) -> None:
    """a' > d takes more than d numbers: such an object is never reported, and does not stop others from being found."""
    spec = ref.RefSpec(128, {"a": 7, "wide": 150}, 3)
    sk = build.sketcher(spec)
    small = one(spec, [("a", (), None), ("a", (0,), None)], (1,))
    assert exact(sk.unroll(sk.sketch(build.trace(small))), small)
    both = one(spec, [("a", (), None), ("wide", (), None)], (0, 1), (9.0, 1.0))
    found = sk.unroll(sk.sketch(build.trace(both)))
    assert not found.complete
    assert all(o.module == "a" for o in found.objects)


def test_wiring_is_kept_to(build: Any) -> None:
    spec = rs.SketchSpec(
        1024, {"page": 8, "line": 16, "char": 16}, 3, wiring={None: ["page"], "page": ["line"], "line": ["char"]}
    )
    run = rs.Trace()
    lines = [
        run.add(
            "line",
            chosen(40 + k, dict(spec.modules), "line"),
            [run.add("char", chosen(9 * k + j, dict(spec.modules), "char")) for j in range(5)],
        )
        for k in range(3)
    ]
    run.outputs([run.add("page", chosen(99, dict(spec.modules), "page"), lines)])
    sk = rs.Sketcher(spec, threads=1)
    assert exact(sk.unroll(sk.sketch(run)), run)
    # a sketch that breaks the wiring: nothing outside it is ever reported
    bare = rs.Sketcher(spec.replace(wiring=None), threads=1)
    wrong = rs.Trace()
    wrong.outputs(
        [
            wrong.add(
                "char",
                chosen(1, dict(spec.modules), "char"),
                [wrong.add("page", chosen(2, dict(spec.modules), "page"))],
            )
        ]
    )
    found = sk.unroll(bare.sketch(wrong))
    assert not found.complete
    for o in found.objects:
        assert all(found.objects[j].module in spec.wiring.get(o.module, ()) for j in o.inputs)
    assert all(found.objects[i].module == "page" for i in found.outputs)


# ---------------------------------------------------------------- objects that are shared


def test_signatures_tell_shared_objects_from_look_alikes(build: Any) -> None:
    """One leaf used by two objects and as an output, beside one that only looks the same."""
    for seed in range(10):
        spec = rs.SketchSpec(1024, {"a": 12, "b": 16}, seed, max_inputs=8, signature=8)
        x, run = chosen(seed, {"a": 12}, "a"), rs.Trace()
        shared, twin = run.add("a", x), run.add("a", x)
        tops = [
            run.add("b", chosen(seed + k, {"b": 16}, "b"), inputs=i)
            for k, i in enumerate([(shared, twin), (shared,)], 100)
        ]
        run.outputs([*tops, shared])
        sk = rs.Sketcher(spec, threads=1)
        found = sk.unroll(sk.sketch(run))
        assert exact(found, run)
        assert [o.module for o in found.objects].count("a") == 2
        assert len(found.objects) == 4
        got = uses(found)
        assert got[0, 0].number == got[1, 0].number == got[2,].number != got[0, 1].number


# ---------------------------------------------------------------- what comes back


def test_a_trace_of_it_sketches_to_the_same(build: Any) -> None:
    """Within what float32 leaves of a sketch: the residual, and 6e-7 for the rounding of attributes and sketch."""
    for seed in range(4):
        spec = ref.RefSpec(1024, LENGTHS, seed, max_inputs=8)
        trace = loaded(build, seed, spec, 0.3, 0.5)
        sk = build.sketcher(spec)
        s = sk.sketch(build.trace(trace))
        found = sk.unroll(s)
        again = sk.sketch(found.to_trace())
        assert np.linalg.norm(again - s) <= (found.residual + 1e-6) * np.linalg.norm(s)
        for o in found.objects:
            assert not o.inputs or abs(sum(o.weights) - 1) < 1e-12
            assert 0.999 < o.confidence <= 1
            assert o.attribute.dtype == o.error.dtype == np.float32
            assert uses(found)[o.path].weight == o.weight
        assert abs(sum(found.weights) - 1) < 1e-12


def test_a_batch_is_its_sketches_for_any_number_of_threads(build: Any) -> None:
    spec = ref.RefSpec(512, LENGTHS, 1, max_inputs=8)
    traces = [build.trace(loaded(build, seed, spec, 0.1, 0.4, depth=2)) for seed in range(7)]
    s = build.sketcher(spec).sketch(traces)
    alone = [build.sketcher(spec).unroll(row) for row in s]
    for threads in (1, 2, 3):
        for a, b in zip(build.sketcher(spec, threads).unroll(s), alone, strict=True):
            assert (a.outputs, a.weights, a.explained, a.residual, a.rounds) == (
                b.outputs,
                b.weights,
                b.explained,
                b.residual,
                b.rounds,
            )
            for x, y in zip(a.objects, b.objects, strict=True):
                assert x.attribute.tobytes() + x.error.tobytes() == y.attribute.tobytes() + y.error.tobytes()


def test_text_and_html() -> None:
    spec = rs.SketchSpec(256, {"<b>&": 4, "top": 8}, 1)
    run = rs.Trace()
    leaves = [run.add("<b>&", chosen(k, {"<b>&": 4}, "<b>&")) for k in range(3)]
    run.outputs([run.add("top", chosen(9, {"top": 8}, "top"), inputs=leaves)])
    sk = rs.Sketcher(spec, threads=1)
    found = sk.unroll(sk.sketch(run))
    assert found.complete
    assert len(found.tree().splitlines()) == 4
    assert found.tree(2).splitlines()[2:] == ["... (more than 2 lines)"]
    page = found._repr_html_()
    assert "<b>&amp;" not in page.replace("&lt;b&gt;&amp;", "")
    assert "&lt;b&gt;&amp;" in page
    assert "<script" not in page
    for tag in ("details", "div", "summary", "meter", "p"):
        assert page.count(f"<{tag}>") + page.count(f"<{tag} ") == page.count(f"</{tag}>")


PROGRAM = """
import hashlib, numpy as np, recsketch as rs
spec = rs.SketchSpec(512, {"a": 7, "b": 20}, 3)
rng, run = np.random.default_rng(1), rs.Trace()
leaves = [run.add("a", rng.standard_normal(7) / 3) for _ in range(4)]
run.outputs([run.add("b", rng.standard_normal(20) / 4, inputs=leaves), leaves[0]])
sk = rs.Sketcher(spec, threads=2)
found = sk.unroll(np.stack([sk.sketch(run), rng.standard_normal(512).astype(np.float32) / 20, 2 * sk.sketch(run)]))
def fields(x):
    return [v.tobytes() if isinstance(v, np.ndarray) else v for k, v in vars(x).items() if k != "objects"]
bits = [(fields(u), [fields(o) for o in u.objects]) for u in found]
print(rs.isa(), hashlib.sha256(repr(bits).encode()).hexdigest())
"""


def test_every_instruction_set_gives_the_same_bits(isa_levels: list[str], run_python: Any) -> None:
    digests = set()
    for level in isa_levels:
        done = run_python(PROGRAM, RECSKETCH_ISA=level)
        assert done.returncode == 0, done.stderr
        isa, digest = done.stdout.split()[-2:]
        assert isa == level
        digests.add(digest)
    assert len(digests) == 1
