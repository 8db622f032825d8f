"""How often a run comes back whole from its sketch alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from figure import Figure, note, share
from numpy.typing import NDArray
from runs import chain, full, plain_modules
from unrolled import modules_for, ragged_run, same, worst

import recsketch as rs

Spoil = Callable[[np.random.Generator, NDArray[np.float32]], tuple[Any, Any]]  # a sketch -> what is stored, and a mask


def _plain(rng: np.random.Generator, s: NDArray[np.float32]) -> tuple[Any, Any]:
    return s, None


def _half(rng: np.random.Generator, s: NDArray[np.float32]) -> tuple[Any, Any]:
    mask = rs.erasure.keep_random(s.size, 0.5, seed=int(rng.integers(2**31)))
    return np.where(mask, s, np.float32(np.nan)), mask


def _float16(rng: np.random.Generator, s: NDArray[np.float32]) -> tuple[Any, Any]:
    return rs.pack(s, "float16"), None


def whole(
    dim: int, depth: int, load: float, runs: int, spoil: Spoil = _plain, tolerance: float = 1e-3
) -> tuple[int, float, float]:
    """How many ragged runs come back whole, their mean load, and the worst element of those that do."""
    good, loads, error = 0, [], 0.0
    for seed in range(runs):
        rng = np.random.default_rng([seed, dim, depth, round(100 * load)])
        modules = modules_for(rng, dim, depth, load)
        sk = rs.Sketcher(rs.SketchSpec(dim, modules, seed=seed, max_inputs=8), threads=1)
        trace = ragged_run(rng, modules, dim, depth, load)
        loads.append(sk.load(trace))
        sketch, mask = spoil(rng, sk.sketch(trace))
        found = sk.unroll(sketch, mask)
        if found.complete and same(found, trace, tolerance):
            good += 1
            error = max(error, worst(found, trace))
    return good, float(np.mean(loads)), error


RAGGED = "ragged trees, depth 1 to 3, fan 7 at most, max_inputs 8, five modules, Dirichlet(4), every depth a third"


def exact(effort: int) -> Iterator[Figure]:
    """Every object, module, position, weight and attribute."""
    for dim in (1024, 4096):
        for load, limit in ((0.5, 0.995), (0.7, 0.99)):
            runs = (3, 30, 402)[effort]
            parts = [whole(dim, depth, load, runs // 3) for depth in (1, 2, 3)]
            good, loads, error = (sum(p[0] for p in parts), np.mean([p[1] for p in parts]), max(p[2] for p in parts))
            how = f"{RAGGED}; mean load {loads:.2f}, worst element {error:.1e}"
            yield share(f"unrolled exactly, load up to {load}, d = {dim}", limit, good, runs, how)


def spoiled(effort: int) -> Iterator[Figure]:
    runs = (2, 30, 200)[effort]
    good, load, error = whole(1024, 3, 0.25, runs, _half)
    how = f"ragged trees of depth 3, unknowns {2 * load:.2f} of the kept half, the rest NaN; worst element {error:.1e}"
    yield share("unrolled exactly with half of the coordinates erased, d = 1024", 0.98, good, runs, how)
    good, load, error = whole(1024, 3, 0.33, runs, _float16, 1e-2)
    how = f"ragged trees of depth 3, mean load {load:.2f}, attributes to 1e-2; worst element {error:.1e}"
    yield share("unrolled exactly from float16, d = 1024", 1.0, good, runs, how)


def sparse_run(rng: np.random.Generator, a: int, nonzeros: int) -> rs.Trace:
    """A full tree of 39 objects over four modules with sparse attributes of norm one."""
    dense, out = full(rng, depth=3, fan=3).trace(rng, plain_modules(a)), rs.Trace()
    for o in dense.objects:
        x = np.zeros(a, np.float32)
        x[rng.permutation(a)[:nonzeros]] = rng.standard_normal(nonzeros)
        out.add(o.module, x / np.linalg.norm(x), o.inputs, o.weights if o.inputs else None)
    out.outputs(dense.output_ids, dense.output_weights)
    return out


def sparse(effort: int) -> Iterator[Figure]:
    """More unknowns than coordinates, structure unknown."""
    runs = (1, 20, 100)[effort]
    for given in (4, "auto"):
        good = 0
        for seed in range(runs):
            rng = np.random.default_rng([seed, 39])
            sk = rs.Sketcher(rs.SketchSpec(1024, plain_modules(64), seed=seed, max_inputs=8), threads=1)
            trace = sparse_run(rng, 64, 4)
            found = sk.unroll(sk.sketch(trace), sparse=given)
            good += found.complete and same(found, trace)
        how = "39 objects, a = 64, 4 non-zeros each, d = 1024: 2.5 unknowns a coordinate, structure unknown"
        yield share(f"unrolled exactly, sparse={given!r}", 0.9, good, runs, how)


def shared_run(rng: np.random.Generator, modules: dict[str, int]) -> rs.Trace:
    """A DAG of 5 leaves, two of them look-alikes of others, 3 objects of shared leaves, and one of shared objects."""
    trace, names = rs.Trace(), list(modules)

    def add(module: str, inputs: list[int]) -> int:
        x = rng.standard_normal(modules[module])
        weights = rng.dirichlet(np.full(len(inputs), 4.0)) if inputs else None
        return trace.add(module, x / np.linalg.norm(x), inputs, weights)

    leaves = [add(str(rng.choice(names)), []) for _ in range(3)]
    leaves += [trace.add(trace.objects[i].module, trace.objects[i].attribute) for i in leaves[:2]]
    order = rng.permutation(5)
    groups = [[leaves[i] for i in order[:3]], [leaves[i] for i in order[2:]], [leaves[i] for i in order[::2]]]
    middle = [add(str(rng.choice(names)), group) for group in groups]
    top = add(str(rng.choice(names)), [middle[0], middle[1], leaves[0]])
    trace.outputs([top, middle[2], middle[0]], rng.dirichlet(np.full(3, 4.0)))
    return trace


def signatures(effort: int) -> Iterator[Figure]:
    runs = (2, 30, 100)[effort]
    good, loads = 0, []
    for seed in range(runs):
        rng = np.random.default_rng([seed, 8])
        modules = {f"m{i}": int(rng.integers(6, 24)) for i in range(4)}
        sk = rs.Sketcher(rs.SketchSpec(1024, modules, seed=seed, max_inputs=8, signature=8), threads=1)
        trace = shared_run(rng, modules)
        loads.append(sk.load(trace))
        found = sk.unroll(sk.sketch(trace))
        good += found.complete and same(found, trace)
    how = f"9 objects, shared up to three times, two look-alikes; signature=8, d = 1024, mean load {np.mean(loads):.2f}"
    yield share("DAGs with shared and look-alike objects, exact", 1.0, good, runs, how)


WIRING = {None: ["page"], "page": ["region"], "region": ["line"], "line": ["char"]}


def page_run(rng: np.random.Generator, a: int) -> rs.Trace:
    """A page of 7 regions of one line each, of 20 to 50 characters: 240 objects or so."""
    trace = rs.Trace()

    def add(module: str, inputs: list[int]) -> int:
        x = rng.standard_normal(a)
        weights = rng.dirichlet(np.full(len(inputs), 4.0)) if inputs else None
        return trace.add(module, x / np.linalg.norm(x), inputs, weights)

    lines = [add("line", [add("char", []) for _ in range(int(rng.integers(20, 51)))]) for _ in range(7)]
    trace.outputs([add("page", [add("region", [line]) for line in lines])])
    return trace


def pages(effort: int) -> Iterator[Figure]:
    """Tuples of many light inputs."""
    runs = (1, 4, 40)[effort]
    for wiring in (WIRING, None):
        good, loads, objects = 0, [], []
        for seed in range(runs):
            rng = np.random.default_rng([seed, 7])
            modules = dict.fromkeys(("page", "region", "line", "char"), 16)
            sk = rs.Sketcher(rs.SketchSpec(8192, modules, seed=seed, max_inputs=64, wiring=wiring), threads=1)
            trace = page_run(rng, 16)
            loads.append(sk.load(trace))
            objects.append(len(trace))
            found = sk.unroll(sk.sketch(trace))
            good += found.complete and same(found, trace)
        how = (
            f"d = 8192, a = 16, max_inputs 64, Dirichlet(4), {np.mean(objects):.0f} objects, load {np.mean(loads):.2f}"
        )
        name = "pages of 7 lines of 20 to 50 characters, " + ("wiring given" if wiring else "wiring unknown")
        yield share(name, 1.0, good, runs, how)


def conditions(effort: int) -> Iterator[Figure]:
    """Runs that fit, but are less even, deeper, or of more different norms than those above: no target, the facts."""
    runs = (1, 10, 100)[effort]
    for evenness in (4.0, 1.0, 0.5):
        shares = [_uneven(depth, evenness, runs) for depth in (1, 2, 3)]
        found = ", ".join(f"depth {depth}: {share:.0%}" for depth, share in zip((1, 2, 3), shares, strict=True))
        how = f"{runs} ragged trees a depth, fan 7 at most, d = 1024, load up to 0.5"
        yield Figure(f"unrolled exactly, weights Dirichlet({evenness:g})", "", found, how)
    found = ", ".join(f"{depth}: {_chains(depth, runs):.0%}" for depth in (2, 4, 6, 8, 12))
    how = f"{runs} chains a depth, objects of one module, a = 16, d = 1024, load up to 0.2"
    yield Figure("unrolled exactly, chains of one module, by depth", "", found, how)
    for scaled in (False, True):
        found = ", ".join(f"{ratio:g}: {_norms(ratio, runs, scaled):.0%}" for ratio in (1, 2, 4, 10, 100))
        how = f"{runs} ragged trees of depth 3, d = 1024, load up to 0.5, one module of five with that norm, others 1"
        name = "unrolled exactly, by the ratio of attributes' norms, " + ("with_scales" if scaled else "as they come")
        yield Figure(name, "", found, how)


def _uneven(depth: int, evenness: float, runs: int) -> float:
    good = 0
    for seed in range(runs):
        rng = np.random.default_rng([seed, depth, 5])
        modules = modules_for(rng, 1024, depth, 0.5)
        trace = ragged_run(rng, modules, 1024, depth, 0.5, evenness)
        good += _whole(rs.SketchSpec(1024, modules, seed=seed, max_inputs=8), trace)
    return good / runs


def _chains(depth: int, runs: int) -> float:
    spec = rs.SketchSpec(1024, {"m": 16}, max_inputs=2)
    rng = np.random.default_rng(depth)
    return sum(_whole(spec.replace(seed=seed), chain(rng, depth, 16)) for seed in range(runs)) / runs


def _norms(ratio: float, runs: int, scaled: bool) -> float:
    good = 0
    for seed in range(runs):
        rng = np.random.default_rng([seed, 7])
        modules = modules_for(rng, 1024, 3, 0.5)
        even, trace = ragged_run(rng, modules, 1024, 3, 0.5), rs.Trace()
        for o in even.objects:
            x = o.attribute * (ratio if o.module == "m0" else 1)
            trace.add(o.module, x, o.inputs, o.weights if o.inputs else None)
        trace.outputs(even.output_ids, even.output_weights)
        spec = rs.SketchSpec(1024, modules, seed=seed, max_inputs=8)
        good += _whole(spec.with_scales(trace) if scaled else spec, trace, 1e-3 * ratio)
    return good / runs


def _whole(spec: rs.SketchSpec, trace: rs.Trace, tolerance: float = 1e-3) -> bool:
    sk = rs.Sketcher(spec, threads=1)
    found = sk.unroll(sk.sketch(trace))
    return bool(found.complete and same(found, trace, tolerance))


FIGURES = (exact, spoiled, conditions, sparse, signatures, pages)


@pytest.mark.parametrize("measure", FIGURES)
def test_figures(benchmark: Any, measure: Callable[[int], Iterator[Figure]]) -> None:
    note(benchmark, measure)
    rng = np.random.default_rng(0)
    modules = modules_for(rng, 1024, 2, 0.3)
    sk = rs.Sketcher(rs.SketchSpec(1024, modules, max_inputs=8), threads=1)
    s = sk.sketch(ragged_run(rng, modules, 1024, 2, 0.3))
    assert benchmark(sk.unroll, s).complete
