"""What comes back of runs that do not fit into their sketches: how much, how right, and whether errors hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from figure import Figure, note
from runs import planned
from unrolled import paths, ragged_run

import recsketch as rs
from recsketch.sketching.encoding import encoded


class Beyond:
    """What comes back of runs that do not fit."""

    def __init__(self) -> None:
        self.right = self.wrong = self.first = self.first_right = self.held = self.elements = 0
        self.cosines: list[float] = []
        self.off: list[float] = []  # of `explained`, from the truth
        self.complete = 0

    @classmethod
    def ragged(cls, dim: int, load: float, runs: int, weighting: str) -> Beyond:
        b = cls()
        for seed in range(runs):
            rng = np.random.default_rng([seed, dim, round(10 * load), 1])
            modules = {f"m{i}": int(rng.integers(8, 40)) for i in range(5)}
            sk = rs.Sketcher(rs.SketchSpec(dim, modules, seed=seed, max_inputs=8, weighting=weighting), threads=1)
            b.add(sk, ragged_run(rng, modules, dim, 3, load))
        return b

    @classmethod
    def wide(cls, dim: int, inputs: int, a: int, runs: int) -> Beyond:
        """Many inputs of one module below one object."""
        b = cls()
        for seed in range(runs):
            rng = np.random.default_rng([seed, dim, inputs, a])
            x = rng.standard_normal((inputs + 1, a))
            x /= np.linalg.norm(x, axis=1, keepdims=True)
            trace = rs.Trace()
            below = [trace.add("part", row) for row in x[1:]]
            trace.outputs([trace.add("whole", x[0], below, rng.dirichlet(np.full(inputs, 4.0)))])
            sk = rs.Sketcher(rs.SketchSpec(dim, {"whole": a, "part": a}, seed=seed, max_inputs=inputs), threads=1)
            b.add(sk, trace)
        return b

    def add(self, sk: rs.Sketcher, trace: rs.Trace) -> None:
        s = sk.sketch(trace)
        found = sk.unroll(s)
        self.complete += found.complete
        number = dict(paths(trace))
        true = np.zeros(len(trace), np.bool_)
        for o in found.objects:
            i = number.get(o.path)
            if i is None or trace.objects[i].module != o.module:
                self.wrong += 1
                continue
            self.right += 1
            true[i] = True
            x = trace.objects[i].attribute
            low, high = o.interval(0.95)
            self.held += int(((low <= x) & (x <= high)).sum())
            self.elements += x.size
            if len(o.path) == 1:
                norms = np.linalg.norm(o.attribute) * np.linalg.norm(x)
                self.cosines.append(float(o.attribute @ x / norms) if norms else 0.0)
        first = [i for path, i in number.items() if len(path) == 1]
        self.first += len(first)
        self.first_right += int(true[first].sum())
        batch = rs.TraceBatch.from_traces([trace])
        p, lengths = planned(sk, batch), [sk.spec.lengths[o.module] for o in trace.objects]
        unknowns = encoded(sk._matrices, batch, p.module, 1) * np.repeat(true, lengths)
        own = np.empty_like(s[None])
        p.sketch(unknowns, true.astype(np.float32), own, 1)
        self.off.append(found.explained - (1.0 - float(((s - own[0]) ** 2).sum() / (s**2).sum())))


def beyond(effort: int) -> Iterator[Figure]:
    """Load 1 to 4, by both weightings that keep energies.

    With "energy" weights the outputs are the loudest objects, and come back first. With "balanced" ones all levels are
    about as loud, so that none stands out.
    """
    runs = (1, 10, 100)[effort]
    for weighting in ("balanced", "energy"):
        for load in (1.0, 2.0, 4.0):
            yield from _at(load, weighting, runs)
    runs = (1, 5, 40)[effort]
    b = Beyond.wide(1024, 60, 64, runs)
    how = f"{runs} runs, a = 64, d = 1024, load 3.9; {b.elements} elements, {b.right} objects right, {b.wrong} not"
    yield Figure("60 inputs of one module: 95% intervals hold", "", f"{b.held / b.elements:.1%}", how)


def _at(load: float, weighting: str, runs: int) -> Iterator[Figure]:
    b = Beyond.ragged(1024, load, runs, weighting)
    at, bound = f"load {load:g}, {weighting}", load <= 2
    how = f"{runs} ragged trees, depth 3, d = 1024, {b.right / runs:.1f} objects found, {b.complete} called complete"
    found = b.right + b.wrong
    right, first, held = b.right / max(found, 1), b.first_right / b.first, b.held / max(b.elements, 1)
    yield Figure(f"{at}: objects reported that are right", "≥ 98%" * bound, f"{right:.1%}", how, right >= 0.98)
    met = first >= 0.95 if bound else None
    yield Figure(f"{at}: objects of depth 1 found", "≥ 95%" * bound, f"{first:.1%}", how, met)
    cosine = float(np.median(b.cosines)) if b.cosines else np.nan
    met = cosine >= 0.9 if bound else None
    yield Figure(f"{at}: cosine of their attributes, median", "≥ 0.9" * bound, f"{cosine:.3f}", how, met)
    met = 0.92 <= held <= 0.98 or b.elements < 1000
    yield Figure(f"{at}: 95% intervals hold", "92% to 98%", f"{held:.1%}", f"{b.elements} elements", met)
    off = np.abs(b.off)
    measured = f"{off.mean():.1%} (most {off.max():.1%})"
    yield Figure(f"{at}: `explained`, off by", "≤ 5%", measured, how, bool(off.mean() <= 0.05))


FIGURES = (beyond,)


@pytest.mark.parametrize("measure", FIGURES, ids=lambda f: f.__name__)
def test_figures(benchmark: Any, measure: Callable[[int], Iterator[Figure]]) -> None:
    note(benchmark, measure)
    rng, modules = np.random.default_rng(0), {"a": 16, "b": 24}
    sk = rs.Sketcher(rs.SketchSpec(256, modules, max_inputs=8), threads=1)
    s = sk.sketch(ragged_run(rng, modules, 256, 2, 1.5))
    assert not benchmark(sk.unroll, s).complete
