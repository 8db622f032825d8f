"""How often runs come back whole in the shapes that real systems have, by default: nothing fitted, nothing scaled."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest
from figure import Figure, note
from structures import Case, chain, length_for, loud, residual, weighted, wide
from unrolled import same

import recsketch as rs

Make = Callable[[np.random.Generator], Case]


class Score:
    """What came back of some runs."""

    def __init__(self) -> None:
        self.runs = self.whole = self.false = 0
        self.loads: list[float] = []
        self.errors: list[float] = []  # of `recover`, the worst element of a run over its object's norm

    def add(self, case: Case, sk: rs.Sketcher, tolerance: float = 1e-3) -> None:
        sketch = sk.sketch(case.trace)
        found = sk.unroll(sketch, **case.reading)
        whole = same(found, case.trace, tolerance)
        self.runs += 1
        self.whole += found.complete and whole
        self.false += found.complete and not whole
        self.loads.append(sk.load(case.trace))
        self.errors.append(worst(sk.recover(sketch, case.trace), case.trace))

    def how(self, text: str) -> str:
        wrong = f"; {self.false} complete but wrong" * bool(self.false)
        return f"{text}; {self.runs} runs, load {min(self.loads):.2f} to {max(self.loads):.2f}{wrong}"


def worst(found: rs.Recovery, trace: rs.Trace) -> float:
    """Largest error of an element over its object's norm."""
    pairs = zip(found.attributes, trace.objects, strict=True)
    return max(float(np.abs(x - o.attribute).max() / max(np.linalg.norm(o.attribute), 1e-300)) for x, o in pairs)


def score(make: Make, dim: int, runs: int, **spec: Any) -> Score:
    out = Score()
    for seed in range(runs):
        case = make(np.random.default_rng([seed, 17]))
        out.add(case, case.sketcher(dim, seed, **spec))
    return out


def share(name: str, limit: float, s: Score, text: str) -> Figure:
    part = s.whole / s.runs
    return Figure(name, f"≥ {limit:.0%}" if limit else "", f"{part:.1%}", s.how(text), part >= limit and not s.false)


def merged(scores: list[Score]) -> Score:
    out = Score()
    for s in scores:
        out.runs, out.whole, out.false = out.runs + s.runs, out.whole + s.whole, out.false + s.false
        out.loads += s.loads
        out.errors += s.errors
    return out


def chains(effort: int) -> Iterator[Figure]:
    """Chains of one, two and three modules."""
    runs = (1, 4, 20)[effort]
    steps = (2, 5, 12, 18, 24, 32, 40)
    for modules in (1, 2, 3):
        for dim, length in ((1024, 16), (1024, 32), (4096, 16), (4096, 32)):
            fit = [n for n in steps if n * (length + 2) <= 0.62 * dim]
            s = merged([score(partial(chain, steps=n, length=length, modules=modules), dim, runs) for n in fit])
            what = f"chains of {('one module', 'two modules in turn', 'three modules in turn')[modules - 1]}"
            name = f"{what}, a = {length}, d = {dim}"
            text = f"{fit[0]} to {fit[-1]} steps"
            yield share(f"unrolled exactly, {name}", 0.98, s, text)
            error = max(s.errors)
            yield Figure(f"recovered, {name}: worst element", "≤ 1e-06", f"{error:.1e}", s.how(text), error <= 1e-6)
    s = merged([score(partial(chain, steps=n, length=32), 4096, runs, weighting="energy") for n in (2, 8, 14, 20)])
    yield share('unrolled exactly, chains of one module, weighting="energy"', 0.95, s, "a = 32, d = 4096, 2 to 20 steps")


def layers(effort: int) -> Iterator[Figure]:
    """Residual layers."""
    runs = (1, 5, 40)[effort]
    for count, balance in ((10, 0.5), (20, 0.9)):
        s = score(partial(residual, layers=count, heads=12, length=16), 8192 if count == 20 else 4096, runs, balance=balance)
        text = f"a = 16, balance {balance}, worst element of recover {max(s.errors):.1e}"
        yield share(f"unrolled exactly, {count} residual layers of 12 heads", 0.95, s, text)


def pools(effort: int) -> Iterator[Figure]:
    """Wide tuples of one module, whose attributes are alike."""
    runs = (1, 2, 10)[effort]
    for width in (20, 50, 200):
        for beside, above in ((1, 0), (3, 0), (1, 4), (1, 20)):
            objects, dim = beside * (width + 1) + above, 1024
            while length_for(dim, objects, 0.3) < 10:
                dim *= 2
            parts = []
            for load in (0.3, 0.5, 0.7):
                for cosine in (0.0, 0.3, 0.6, 0.9, 1.0):
                    make = partial(wide, width=width, length=length_for(dim, objects, load), cosine=cosine, beside=beside, above=above)
                    parts.append(score(make, dim, runs))
            s = merged(parts)
            where = {(1, 0): "alone", (3, 0): "three beside each other", (1, 4): "below 4 states", (1, 20): "below 20 states"}
            text = f"cosines 0, 0.3, 0.6, 0.9 and 1 with each other, d = {dim}"
            yield share(f"unrolled exactly, {width} inputs of one module, {where[beside, above]}", 0.97, s, text)


def norms(effort: int) -> Iterator[Figure]:
    """Modules of very different norms."""
    runs = (1, 10, 100)[effort]
    dim, objects = 1024, 26
    s = score(partial(loud, norms=(1e-3, 1.0, 50.0, 1e4), objects=objects, length=length_for(dim, objects, 0.5)), dim, runs)
    yield share("unrolled exactly, norms of 1e-3, 1, 50 and 1e4 in one run", 1.0, s, f"d = {dim}")
    error = max(s.errors)
    yield Figure("recovered, those norms: worst element over its object's norm", "≤ 0.0001", f"{error:.1e}", s.how(""), error <= 1e-4)


def weights(effort: int) -> Iterator[Figure]:
    """Uneven weights."""
    runs = (2, 10, 100)[effort]
    for sigma in (1.0, 2.0, 3.0, 4.0):
        make = lambda rng, sigma=sigma: weighted(rng, np.exp(sigma * rng.standard_normal(16)), length_for(1024, 17, 0.55))  # noqa: E731
        yield share(f"unrolled exactly, softmax weights of σ = {sigma:g} over 16 inputs", 0.95, score(make, 1024, runs), "d = 1024")
    make = lambda rng: weighted(rng, np.maximum(rng.dirichlet(np.full(8, 0.1)), 1e-12), length_for(1024, 9, 0.5))  # noqa: E731
    yield share("unrolled exactly, Dirichlet(0.1) gates of 8 experts", 0.95, score(make, 1024, runs), "d = 1024")


FIGURES = (chains, layers, pools, norms, weights)


@pytest.mark.parametrize("measure", FIGURES)
def test_figures(benchmark: Any, measure: Callable[[int], Iterator[Figure]]) -> None:
    note(benchmark, measure)
    case = chain(np.random.default_rng(0), 8, 16)
    sk = case.sketcher(1024, 0)
    assert benchmark(sk.unroll, sk.sketch(case.trace)).complete


