"""Unrolling of more than a sketch seems to hold: sparse attributes, tuples of light inputs; intervals that cover."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import reference as ref
from structures import chosen, compare, exact, loaded, uses

import recsketch as rs
from recsketch.reading.options import of_unroll


def sparse_run(build: Any, seed: int, a: int, nonzeros: int, *, positive: bool = False) -> tuple[ref.RefSpec, Any]:
    """39 objects in three levels of fan 3, Dirichlet(4) weights, attributes of norm one with so many non-zeros."""
    spec = ref.RefSpec(1024, {f"m{i}": a for i in range(4)}, seed, max_inputs=8)
    rng = np.random.default_rng(seed)
    trace = build.tree(rng, spec, 3, 3)
    objects = []
    for o in trace.objects:
        x = np.zeros(a)
        values = rng.standard_normal(nonzeros)
        x[rng.permutation(a)[:nonzeros]] = np.abs(values) if positive else values
        objects.append(o._replace(attribute=(x / np.linalg.norm(x)).astype(np.float32)))
    return spec, trace._replace(objects=tuple(objects))


@pytest.mark.parametrize(("given", "positive"), [(4, False), ("auto", False), ("auto", True)])
def test_sparse_attributes_of_an_unknown_structure(build: Any, given: Any, positive: bool) -> None:
    """2.5 unknowns a coordinate. 99 of 100 at least in wider runs: one fails with probability below 0.05 (95%)."""
    for seed in range(4):
        spec, trace = sparse_run(build, seed, 64, 4, positive=positive)
        assert len(trace.objects) * 65 > 2.4 * spec.dim
        sk = build.sketcher(spec)
        found = sk.unroll(sk.sketch(build.trace(trace)), sparse=given, nonnegative=positive)
        assert exact(found, trace), (seed, compare(found, trace), found)
        truth = uses(trace)
        for o in (
            found.objects if given != "auto" else ()
        ):  # and zeros are zeros; left open, a module may do as a dense one
            assert np.array_equal(o.attribute != 0, truth[o.path].attribute != 0)


def test_without_being_told_that_they_are_sparse_they_do_not_fit(build: Any) -> None:
    """The test above shows nothing if a dense fit finds them too."""
    spec, trace = sparse_run(build, 0, 64, 4)
    sk = build.sketcher(spec)
    assert not sk.unroll(sk.sketch(build.trace(trace))).complete


def test_sparse_with_a_quarter_erased(build: Any) -> None:
    for seed in range(3):
        spec, trace = sparse_run(build, seed, 64, 2)
        sk = build.sketcher(spec)
        mask = np.random.default_rng(seed).random(spec.dim) < 0.75
        s = np.where(mask, sk.sketch(build.trace(trace)), np.float32(np.nan))
        assert exact(sk.unroll(s, mask, sparse="auto"), trace), seed


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"sparse": 0}, ValueError, "sparse: wanted an integer from 1"),
        ({"sparse": "some"}, ValueError, "sparse: wanted a number of elements, 'auto' or None; got 'some'"),
        ({"sparse": 2.5}, TypeError, "sparse: wanted an integer"),
        ({"sparse": True}, TypeError, "sparse: wanted an integer"),
        ({"nonnegative": 1, "sparse": 3}, TypeError, "nonnegative: wanted True or False, or names of modules; got 1"),
        (
            {"nonnegative": "a", "sparse": 3},
            TypeError,
            "nonnegative: wanted True or False, or names of modules; got 'a'",
        ),
        ({"nonnegative": True}, ValueError, "nonnegative: wanted `sparse` with it"),
        ({"nonnegative": ["a"], "sparse": {"a": None, "b": 1}}, ValueError, "nonnegative: wanted `sparse` with it"),
        ({"nonnegative": ["c"], "sparse": 3}, ValueError, "nonnegative: wanted 'a' or 'b'; got 'c'"),
        ({"nonnegative": [3], "sparse": 3}, ValueError, "nonnegative: wanted 'a' or 'b'; got 3"),
        ({"sparse": {"c": 3}}, ValueError, "sparse: wanted 'a' or 'b'; got 'c'"),
        ({"sparse": {"a": 3, 4: 3}}, ValueError, "sparse: wanted 'a' or 'b'; got 4"),
        ({"sparse": {"a": 0}}, ValueError, r"sparse\['a'\]: wanted an integer from 1"),
        ({"sparse": {"b": "some"}}, ValueError, r"sparse\['b'\]: wanted a number of elements, 'auto' or None"),
        ({"sparse": {"b": {}}}, TypeError, r"sparse\['b'\]: wanted an integer"),
        ({"sparse": {"b": True}}, TypeError, r"sparse\['b'\]: wanted an integer"),
        ({"sparse": ["a"]}, TypeError, "sparse: wanted an integer"),
    ],
)
def test_options(options: dict[str, Any], error: type[Exception], match: str) -> None:
    sk = rs.Sketcher(rs.SketchSpec(64, {"a": 4, "b": 5}))
    with pytest.raises(error, match=match):
        sk.unroll(np.zeros(64), **options)


@pytest.mark.parametrize(
    ("sparse", "nonnegative", "want"),
    [
        (None, False, None),
        ({}, [], None),
        ({"a": None}, (), None),
        (3, True, [[1, 3, 1], [1, 3, 1]]),
        ("auto", np.True_, [[2, 0, 1], [2, 0, 1]]),
        ({"b": 2}, True, [[0, 0, 0], [1, 2, 1]]),
        ({"a": "auto", "b": 2}, {"b"}, [[2, 0, 0], [1, 2, 1]]),
        (5, {"a": 1}, [[1, 5, 1], [1, 5, 0]]),
    ],
)
def test_what_is_said_of_each_module(sparse: Any, nonnegative: Any, want: Any) -> None:
    """Rows as rsk_sparsity: dense, sparse or open; how many elements; whether these are never below zero."""
    got = of_unroll(rs.SketchSpec(64, {"a": 4, "b": 5}), None, sparse, nonnegative)[1]
    assert (None if got is None else got.tolist()) == want


MIXED = {"counts": 96, "state": 12, "marks": 64}


def mixed_run(seed: int) -> rs.Trace:
    """Eight chains of three modules, two of them sparse, one of these never below zero: 1.4 unknowns a coordinate at
    d = 1,024."""
    rng, trace = np.random.default_rng(seed), rs.Trace()

    def few(length: int, positive: bool) -> np.ndarray:
        x = np.zeros(length)
        signs = 1 if positive else rng.choice([-1, 1], 3)
        x[rng.permutation(length)[:3]] = np.exp(0.5 * rng.standard_normal(3)) * signs
        return x

    def chain() -> int:
        inner = trace.add("state", rng.standard_normal(12), [trace.add("counts", few(96, True))])
        return trace.add("marks", few(64, False), [inner])

    trace.outputs([chain() for _ in range(8)])
    return trace


@pytest.mark.parametrize(
    ("sparse", "nonnegative"),
    [
        ({"counts": "auto", "marks": "auto"}, ["counts"]),
        ({"counts": 3, "marks": "auto"}, {"counts": 1}),
        ({"counts": 3, "marks": 3}, {"counts"}),
        ("auto", False),
    ],
)
def test_dense_and_sparse_modules_in_one_run(sparse: Any, nonnegative: Any) -> None:
    """Told or found out, module by module: everything comes back, and zeros as zeros where they were told. 40 of 40 in
    a wider run of each: one fails with probability below 0.075 (95%), and only if bits change."""
    for seed in range(3):
        trace = mixed_run(seed)
        sk = rs.Sketcher(rs.SketchSpec(1024, MIXED, seed, max_inputs=16), threads=1)
        found = sk.unroll(sk.sketch(trace), sparse=sparse, nonnegative=nonnegative)
        assert exact(found, trace), (seed, compare(found, trace), found)
        truth = uses(trace)
        for o in found.objects:
            if isinstance(sparse, dict) and sparse.get(o.module) == 3:
                assert np.array_equal(o.attribute != 0, truth[o.path].attribute != 0)


def test_nonnegative_beside_signatures() -> None:
    """Signatures have both signs, and are no part of what may not be below zero."""
    sk = rs.Sketcher(rs.SketchSpec(1024, {"a": 60}, 3, signature=6), threads=1)
    rng, trace = np.random.default_rng(3), rs.Trace()
    for _ in range(8):
        x = np.zeros(60)
        x[rng.permutation(60)[:3]] = 1 + rng.random(3)
        trace.add("a", x)
    trace.outputs(range(8))
    found = sk.unroll(sk.sketch(trace), sparse=3, nonnegative=True)
    assert exact(found, trace), compare(found, trace)


# ---------------------------------------------------------------- pages

WIRING = {None: ["page"], "page": ["region"], "region": ["line"], "line": ["char", "space"]}


def page(seed: int, spaces: bool) -> rs.Trace:
    """A page of 7 regions with a line each of 20 to 50 characters; with `spaces` a sixth are of another module."""
    rng, trace = np.random.default_rng(seed), rs.Trace()

    def add(module: str, inputs: list[int]) -> int:
        x = rng.standard_normal(16)
        weights = rng.dirichlet(np.full(len(inputs), 4.0)) if inputs else None
        return trace.add(module, x / np.linalg.norm(x), inputs, weights)

    regions = []
    for _ in range(7):
        kinds = ["space" if spaces and rng.random() < 1 / 6 else "char" for _ in range(int(rng.integers(20, 51)))]
        regions.append(add("region", [add("line", [add(kind, []) for kind in kinds])]))
    trace.outputs([add("page", regions)])
    return trace


@pytest.mark.parametrize(("wiring", "spaces"), [(WIRING, False), (WIRING, True), (None, False)])
def test_tuples_of_dozens_of_light_inputs(wiring: Any, spaces: bool) -> None:
    """No character is significant alone: 240 objects or so, load about 0.5 (40 of 40 without spaces, wired or not)."""
    modules = dict.fromkeys(("page", "region", "line", "char", "space"), 16)
    sk = rs.Sketcher(rs.SketchSpec(8192, modules, seed=3, max_inputs=64, wiring=wiring))
    trace = page(5, spaces)
    assert sk.load(trace) > 0.4
    found = sk.unroll(sk.sketch(trace))
    assert exact(found, trace), compare(found, trace)
    assert found.objects[0].confidence > 0.999


# ---------------------------------------------------------------- intervals, and an oracle


def test_intervals_cover(build: Any) -> None:
    """At load 2, 95% intervals hold 93% to 97% of the elements of 1,000 objects, and 50% ones 46% to 54%.

    Elements of one object share its error of amplitude, so that they count for fewer; the seeds are fixed."""
    held, half, elements, objects = 0, 0, 0, 0
    for seed in range(60):
        spec = ref.RefSpec(1024, {"m12": 12, "m20": 20, "m24": 24, "m33": 33, "m40": 40}, seed, max_inputs=8)
        trace = loaded(build, seed, spec, 1.9, 2.1, fan=5)
        sk = build.sketcher(spec)
        found, truth = sk.unroll(sk.sketch(build.trace(trace))), uses(trace)
        assert not found.complete
        for o in found.objects:
            if o.path not in truth or truth[o.path].module != o.module:
                continue
            x = truth[o.path].attribute
            (low, high), (inner_low, inner_high) = o.interval(), o.interval(0.5)
            held += int(((low <= x) & (x <= high)).sum())
            half += int(((inner_low <= x) & (x <= inner_high)).sum())
            elements += x.size
            objects += 1
    assert objects >= 1000
    assert 0.93 <= held / elements <= 0.97
    assert 0.46 <= half / elements <= 0.54


def test_the_fit_is_the_least_squares_of_its_structure(build: Any) -> None:
    """Attributes are those of a dense least squares over the found structure, from the reference's matrices.

    The noise is a thousandth of a coordinate; damping, and that the counters are fitted too, move the answer by less
    than one deviation of what it makes of an element: 1e-3 over the amplitude, a root of the elements together."""
    spec = ref.RefSpec(256, {"a": 7, "b": 16}, 3, max_inputs=4)
    run = ref.RefTrace(
        (
            ref.RefObject("a", chosen(1, spec.modules, "a")),
            ref.RefObject("b", chosen(2, spec.modules, "b")),
            ref.RefObject("b", chosen(3, spec.modules, "b"), (0, 1), (2.0, 1.0)),
            ref.RefObject("a", chosen(4, spec.modules, "a")),
        ),
        (2, 3),
        (3.0, 1.0),
    )
    sk = build.sketcher(spec)
    s = sk.sketch(build.trace(run)) + np.float32(1e-3) * np.random.default_rng(0).standard_normal(256).astype(
        np.float32
    )
    found = sk.unroll(s, noise=1e-3)
    assert compare(found, run)[:3] == (4, 0, 0)
    again = ref.RefTrace(
        tuple(ref.RefObject(o.module, o.attribute, o.inputs, o.weights if o.inputs else None) for o in found.objects),
        found.outputs,
        found.weights,
    )
    amplitude, _ = ref.amplitudes(spec, again)
    for o, x, loud in zip(found.objects, ref.lstsq(spec, again, s), amplitude, strict=True):
        assert np.linalg.norm(o.attribute - x) <= 1e-3 / loud * np.sqrt(x.size)
