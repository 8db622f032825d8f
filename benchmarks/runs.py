"""Random runs of modular networks: full trees, ragged trees, and batches of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

import recsketch as rs
from recsketch.sketching.plan import plan

MIXED = {"m7": 7, "m16": 16, "m33": 33, "m64": 64, "m120": 120}  # attribute lengths, powers of two and others


@dataclass(frozen=True)
class Tree:
    """The shape of a run: objects in an order that has parents first; parent -1 is the network's output."""

    parent: list[int]
    module: list[int]

    def __len__(self) -> int:
        return len(self.parent)

    @property
    def children(self) -> list[list[int]]:
        """Inputs of every object in order of position; the last entry is the tuple of outputs."""
        found: list[list[int]] = [[] for _ in range(len(self) + 1)]
        for i, p in enumerate(self.parent):
            found[p].append(i)
        return found

    def trace(self, rng: np.random.Generator, modules: Mapping[str, int], *, evenness: float = 4.0) -> rs.Trace:
        """A run of this shape: unit attributes of random direction, weights from a Dirichlet distribution."""
        names, lengths = list(modules), list(modules.values())
        values = rng.standard_normal((len(self), max(lengths)), np.float32)
        trace, number = rs.Trace(), [0] * len(self)
        children = self.children
        for i in reversed(range(len(self))):
            x = values[i, : lengths[self.module[i]]]
            inputs = [number[j] for j in children[i]]
            weights = rng.dirichlet(np.full(len(inputs), evenness)) if inputs else None
            number[i] = trace.add(names[self.module[i]], x / np.sqrt(x @ x), inputs=inputs, weights=weights)
        outputs = [number[j] for j in children[-1]]
        trace.outputs(outputs, rng.dirichlet(np.full(len(outputs), evenness)))
        return trace


def full(rng: np.random.Generator, *, depth: int = 3, fan: int = 4, modules: int = 4) -> Tree:
    """Every object above `depth` has `fan` inputs: 84 objects for depth 3 and fan 4."""
    parent, level = [-1] * fan, list(range(fan))
    for _ in range(depth - 1):
        below = range(len(parent), len(parent) + fan * len(level))
        parent += [p for p in level for _ in range(fan)]
        level = list(below)
    return Tree(parent, rng.integers(modules, size=len(parent)).tolist())


def own_modules(depth: int, fan: int) -> Tree:
    """A full tree in which every object is the only use of its module."""
    tree = full(np.random.default_rng(0), depth=depth, fan=fan)
    return Tree(tree.parent, list(range(len(tree))))


def ragged(
    rng: np.random.Generator,
    lengths: list[int],
    *,
    unknowns: float = np.inf,
    objects: int = 10**6,
    depth: int = 3,
    fan: int = 4,
) -> Tree:
    """A tree grown at random places, of at most so many objects, or attribute elements and counters together."""
    parent: list[int] = []
    module: list[int] = []
    levels: list[int] = []
    free = {-1: fan}  # how many inputs each may still take
    while len(parent) < objects and free:
        m = int(rng.integers(len(lengths)))
        unknowns -= lengths[m] + 1
        if unknowns < 0:
            break
        p = int(rng.choice(list(free)))
        free[p] -= 1
        if not free[p]:
            del free[p]
        levels.append(1 if p < 0 else levels[p] + 1)
        parent.append(p)
        module.append(m)
        if levels[-1] < depth:
            free[len(parent) - 1] = fan
    return Tree(parent, module)


def chain(rng: np.random.Generator, depth: int, a: int) -> rs.Trace:
    """Objects of one module, each the only input of the next, with attributes of norm one."""
    trace, inputs = rs.Trace(), []
    for _ in range(depth):
        x = rng.standard_normal(a)
        inputs = [trace.add("m", x / np.linalg.norm(x), inputs=inputs)]
    trace.outputs(inputs)
    return trace


def planned(sk: rs.Sketcher, batch: rs.TraceBatch) -> Any:
    """The program that a sketcher runs for a batch: its inputs are all unknowns, not the attributes alone."""
    return plan(sk._matrices, batch, 1)


def plain_modules(a: int, count: int = 4) -> dict[str, int]:
    """`count` modules with attributes of length a."""
    return {f"m{i}": a for i in range(count)}


def full_batch(runs: int, a: int = 64, seed: int = 0, depth: int = 3) -> rs.TraceBatch:
    """Runs of 84 objects each, for depth 3: full trees of fan 4 over four modules."""
    rng = np.random.default_rng(seed)
    return rs.TraceBatch.from_traces([full(rng, depth=depth).trace(rng, plain_modules(a)) for _ in range(runs)])


def sketcher(d: int, a: int = 64, threads: int = 1) -> rs.Sketcher:
    """For `full_batch`. Attributes are linear, as those of the peers are."""
    spec = rs.SketchSpec(d, plain_modules(a), max_inputs=16, seed=1, attributes="linear")
    return rs.Sketcher(spec, threads=threads)
