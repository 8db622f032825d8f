"""Whether an unrolled run equals the run that was sketched; the figures of unrolling share this."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from runs import Tree, ragged

import recsketch as rs


def same(found: rs.Unrolled, trace: rs.Trace, tolerance: float = 1e-3, *, copies: bool = False) -> bool:
    """Every object, module, position and input right, and none more.

    Attributes are within the tolerance of their norm, weights within the tolerance. With `copies` an object may come
    back as several objects, each for some of its uses.
    """
    objects, pairs = trace.objects, set()

    def equal(i: int, j: int) -> bool:
        if (i, j) in pairs:
            return True
        a, b = objects[i], found.objects[j]
        if a.module != b.module or len(a.inputs) != len(b.inputs):
            return False
        if not np.linalg.norm(a.attribute - b.attribute) <= tolerance * np.linalg.norm(a.attribute):
            return False
        if a.inputs and not np.abs(np.array(a.weights) / sum(a.weights) - b.weights).max() <= tolerance:
            return False
        pairs.add((i, j))
        return all(map(equal, a.inputs, b.inputs))

    if len(found.outputs) != len(trace.output_ids) or not all(map(equal, trace.output_ids, found.outputs)):
        return False
    return copies or len(pairs) == len(trace) == len(found.objects)


def paths(trace: rs.Trace) -> Iterator[tuple[tuple[int, ...], int]]:
    """Every use of an object: its positions from the outputs down, and its number."""
    stack = [((k,), i) for k, i in enumerate(trace.output_ids)]
    while stack:
        path, i = stack.pop()
        yield path, i
        stack += [((*path, k), j) for k, j in enumerate(trace.objects[i].inputs)]


def worst(found: rs.Unrolled, trace: rs.Trace) -> float:
    """Largest error of an attribute's element; both in the same order, as `same` found."""
    return max(
        float(np.abs(a.attribute - b.attribute).max()) for a, b in zip(_ordered(trace), found.objects, strict=True)
    )


def _ordered(trace: rs.Trace) -> list[rs.TraceObject]:
    """Objects as unrolling numbers them: inputs first, from the first output on."""
    order: dict[int, None] = {}

    def visit(i: int) -> None:
        for j in trace.objects[i].inputs:
            visit(j)
        order.setdefault(i)

    for i in trace.output_ids:
        visit(i)
    return [trace.objects[i] for i in order]


def modules_for(rng: np.random.Generator, dim: int, depth: int, load: float) -> dict[str, int]:
    """Five modules whose lengths let a ragged tree of that depth and fan 7 reach the load."""
    objects = {1: 6, 2: 20, 3: 40, 4: 60}[depth]
    mean = max(load * dim / objects - 2, 4)
    return {f"m{i}": max(1, round(float(mean * rng.uniform(0.5, 1.5)))) for i in range(5)}


def ragged_run(
    rng: np.random.Generator, modules: Mapping[str, int], dim: int, depth: int, load: float, evenness: float = 4.0
) -> rs.Trace:
    """A ragged run of nearly that load: fan 7 at most, weights Dirichlet(evenness), polar attributes of norm one."""
    for _ in range(1000):
        tree = ragged(rng, [a + 1 for a in modules.values()], unknowns=load * dim, depth=depth, fan=7)
        if _depth(tree) == depth:
            return tree.trace(rng, modules, evenness=evenness)
    raise ValueError(f"no tree of depth {depth} within load {load}")


def _depth(tree: Tree) -> int:
    levels: list[int] = []
    for p in tree.parent:
        levels.append(1 if p < 0 else levels[p] + 1)
    return max(levels, default=0)
