"""Runs in the shapes that real systems have: chains, residual layers, wide tuples of like inputs, softmax weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

import recsketch as rs

Rng = np.random.Generator
Vector = NDArray[np.float64]
DEEP = {"max_depth": 64}


@dataclass(frozen=True)
class Case:
    """A run, the modules it is made of, and what the specification and the reader must be told."""

    trace: rs.Trace
    modules: Mapping[str, int]
    max_inputs: int = 16
    reading: Mapping[str, Any] = field(default_factory=dict)

    def sketcher(self, dim: int, seed: int, **spec: Any) -> rs.Sketcher:
        given = {"max_inputs": self.max_inputs, **spec}
        return rs.Sketcher(rs.SketchSpec(dim, self.modules, seed, **given), threads=1)


def unit(x: Vector) -> Vector:
    return np.asarray(x / np.linalg.norm(x))


def vector(rng: Rng, length: int, norm: float = 1.0) -> Vector:
    return norm * unit(rng.standard_normal(length))


def alike(rng: Rng, middle: Vector, cosine: float) -> Vector:
    """A unit vector; two of them have about that cosine with each other."""
    return unit(np.sqrt(cosine) * middle + np.sqrt(1.0 - cosine) * vector(rng, middle.size))


def length_for(dim: int, objects: int, load: float) -> int:
    """The attributes' length at which so many objects have that load: each has its norm and its counter beside it."""
    return max(2, round(load * dim / objects) - 2)


def chain(rng: Rng, steps: int, length: int, modules: int = 1) -> Case:
    """States, each of which reads the one before; their modules take turns."""
    trace, before = rs.Trace(), []
    for i in range(steps):
        before = [trace.add(f"state{i % modules}", vector(rng, length), before)]
    trace.outputs(before)
    return Case(trace, {f"state{i}": length for i in range(modules)}, 8, DEEP)


def residual(rng: Rng, layers: int, heads: int, length: int) -> Case:
    """Layers that read the one before and heads of their own."""
    trace = rs.Trace()
    before = trace.add("embedding", vector(rng, length))
    for _ in range(layers):
        inputs = [before, *(trace.add("head", vector(rng, length)) for _ in range(heads))]
        before = trace.add("layer", vector(rng, length), inputs)
    trace.outputs([before])
    return Case(trace, dict.fromkeys(("embedding", "layer", "head"), length), 16, DEEP)


def wide(rng: Rng, width: int, length: int, cosine: float, beside: int = 1, above: int = 0) -> Case:
    """Pools over `width` tokens that are alike; `beside` of them in one run, below a chain of `above` states."""
    trace, middle = rs.Trace(), vector(rng, length)
    pools = []
    for _ in range(beside):
        tokens = [trace.add("token", alike(rng, middle, cosine)) for _ in range(width)]
        pools.append(trace.add("pool", vector(rng, length), tokens))
    for _ in range(above):
        pools = [trace.add("state", vector(rng, length), pools)]
    trace.outputs(pools)
    names = ("pool", "token", "state") if above else ("pool", "token")
    return Case(trace, dict.fromkeys(names, length), max(width, 16), DEEP)


def weighted(rng: Rng, weights: Sequence[float] | Vector, length: int) -> Case:
    """A query over as many tokens as there are weights."""
    trace = rs.Trace()
    tokens = [trace.add("token", vector(rng, length)) for _ in weights]
    trace.outputs([trace.add("query", vector(rng, length), tokens, weights)])
    return Case(trace, {"token": length, "query": length}, max(16, len(weights)))


def loud(rng: Rng, norms: Sequence[float], objects: int, length: int) -> Case:
    """A tree of modules whose attributes have those norms, each object with up to four inputs."""
    trace, free = rs.Trace(), []
    names = [f"norm{i}" for i in range(len(norms))]
    for i in range(objects):
        k = 0 if i < 4 else int(rng.integers(0, min(4, len(free)) + 1))
        inputs, free = free[:k], free[k:]
        which = int(rng.integers(len(norms)))
        free.append(trace.add(names[which], vector(rng, length, norms[which]), inputs))
    trace.outputs(free)
    return Case(trace, dict.fromkeys(names, length))


def star(rng: Rng, readers: int, read: int, length: int, twins: bool = False) -> Case:
    """Readers below one object, each of which reads one of a few; with `twins` an object of its own that holds the same
    as one of them."""
    trace = rs.Trace()
    held = [vector(rng, length) for _ in range(read)]
    few = [] if twins else [trace.add("read", x) for x in held]
    inputs = []
    for k in rng.integers(read, size=readers):
        own = trace.add("read", held[k]) if twins else few[k]
        inputs.append(trace.add("reader", vector(rng, length), [own]))
    trace.outputs([trace.add("top", vector(rng, length), inputs)])
    return Case(trace, dict.fromkeys(("read", "reader", "top"), length), max(16, readers))


def shared(rng: Rng, length: int, layers: int = 3, width: int = 4) -> Case:
    """Layers of objects. Each reads one of the layer below that no other must read, and up to two more."""
    trace = rs.Trace()
    layer = [trace.add("layer0", vector(rng, length)) for _ in range(width)]
    for depth in range(1, layers):
        inputs = []
        for own in rng.permutation(layer):
            others = [i for i in layer if i != own]
            inputs.append([own, *rng.choice(others, int(rng.integers(0, 3)), replace=False)])
        layer = [trace.add(f"layer{depth}", vector(rng, length), found) for found in inputs]
    trace.outputs(layer)
    return Case(trace, {f"layer{i}": length for i in range(layers)}, 8)
