"""Sketches whose matrices are to be learned: random trees of objects with few elements, and what of it can be known."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import recsketch as rs

LEVELS = (("a", "b"), ("c", "d"), ("e", "f"))  # modules by their depth


@dataclass(frozen=True)
class Coded:
    """Runs of `fan` inputs an object, modules of a level drawn evenly; attributes of `nonzero` elements whose norms
    are powers of two of -3 to 3, or one."""

    levels: Sequence[Sequence[str]] = LEVELS[:2]
    dim: int = 4096
    length: int = 32
    nonzero: int = 2
    fan: int = 2
    blocks: int = 1
    angle: float = 75.0
    block_size: int = 32
    linear: bool = False  # attributes of norm one, "energy" weights

    def spec(self, seed: int, **more: Any) -> rs.SketchSpec:
        modules = {m: self.length for level in self.levels for m in level}
        options = {"blocks_per_column": self.blocks, "angle": self.angle, "block_size": self.block_size, **more}
        if self.linear:
            options |= {"attributes": "linear", "weighting": "energy"}
        return rs.SketchSpec(self.dim, modules, seed=seed, rotation="block", max_inputs=8, **options)

    def runs(self, n: int, seed: int) -> list[rs.Trace]:
        rng = np.random.default_rng([seed, n])
        return [self._run(rng) for _ in range(n)]

    def _run(self, rng: np.random.Generator) -> rs.Trace:
        trace = rs.Trace()

        def grow(level: int) -> int:
            inputs = [grow(level + 1) for _ in range(self.fan)] if level + 1 < len(self.levels) else []
            x = np.zeros(self.length)
            x[rng.permutation(self.length)[: self.nonzero]] = rng.uniform(0.3, 1.5, self.nonzero)
            norm = 1.0 if self.linear else 2 ** rng.uniform(-3, 3)
            x *= rng.choice([-1, 1], self.length) * norm / np.linalg.norm(x)
            return trace.add(str(rng.choice(self.levels[level])), x, inputs=inputs)

        trace.outputs([grow(0) for _ in range(self.fan)])
        return trace

    def sketches(self, spec: rs.SketchSpec, runs: list[rs.Trace], noise: float = 0.0) -> tuple[Any, float]:
        """Sketches, and the root mean square of a coordinate's error: `noise` times that of the sketches."""
        y = rs.Sketcher(spec).sketch(runs)
        sigma = noise * math.sqrt(float(np.square(y).mean()))
        if noise:
            y += sigma * np.random.default_rng(spec.seed).standard_normal(y.shape).astype(np.float32)
        return y, sigma

    @property
    def strings(self) -> float:
        """λ: strings in a block, images that are fainter than the loudest counted by their energies.

        r (k + 2) N_h for each object at depth h, k elements, the norm and the counter, over d / b blocks; N_h = exp of
        the entropy of 3 h choices of c² and s².
        """
        c2 = math.cos(math.radians(self.angle)) ** 2
        entropy = -sum(p * math.log(p) for p in (c2, 1 - c2) if p > 0)
        objects = sum(self.fan ** (h + 1) * math.exp(3 * (h + 1) * entropy) for h in range(len(self.levels)))
        return self.blocks * (self.nonzero + 2 - self.linear) * objects * self.block_size / self.dim


@dataclass(frozen=True)
class Score:
    exact: int
    missing: int
    false: int

    @property
    def share(self) -> float:
        return self.exact / max(self.exact + self.missing, 1)


def used(spec: rs.SketchSpec, runs: list[rs.Trace]) -> int:
    """Columns that these runs have: of elements that are not always zero, of norms, and counters."""
    seen: dict[str, Any] = {}
    for trace in runs:
        for o in trace.objects:
            seen.setdefault(o.module, np.zeros(spec.modules[o.module], bool))
            seen[o.module] |= np.asarray(o.attribute) != 0
    return sum(int(x.sum()) + (spec.lengths[m] - x.size) + 1 for m, x in seen.items())


def score(found: rs.Dictionary, spec: rs.SketchSpec, runs: list[rs.Trace]) -> Score:
    compared = found.compare(spec).values()
    exact = sum(c.exact for c in compared)
    return Score(exact, used(spec, runs) - exact, sum(c.false for c in compared))


def read_error(found: rs.Dictionary, spec: rs.SketchSpec, runs: list[rs.Trace]) -> float:
    """The largest |x - y| / |x| of an attribute of runs that are read by what was learned; infinite if an object is
    wrong, or if one of its values is not told."""
    worst = 0.0
    for objects, trace in zip(found.read(rs.Sketcher(spec).sketch(runs)), runs, strict=True):
        want: dict[tuple[Any, ...], rs.TraceObject] = {}
        _walk(trace, trace.output_ids, (), want)
        if {o.path: o.module for o in objects} != {p: o.module for p, o in want.items()}:
            return math.inf
        for o in objects:
            x, a = want[o.path].attribute, np.zeros(spec.lengths[str(o.module)])
            a[found.columns[o.module].indices[:-1]] = o.values
            v, log = a[: x.size], a[x.size]
            y = 2 ** (16 * log) * v / np.linalg.norm(v)
            error = float(np.linalg.norm(x - y) / np.linalg.norm(x))
            worst = max(worst, error) if error == error else math.inf  # NaN: a value that is not told
    return worst


def _walk(trace: rs.Trace, ids: Sequence[int], path: tuple[Any, ...], out: dict[Any, Any]) -> None:
    for i, k in enumerate(ids):
        here, o = (*path, ("position", i)), trace.objects[k]
        out[here] = o
        _walk(trace, o.inputs, (*here, ("module", o.module), ("branch", "in")), out)
