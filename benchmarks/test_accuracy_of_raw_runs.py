"""How often runs come back whole in the shapes that real systems have, by default: nothing fitted, nothing scaled.

Captured runs are measured too where RECSKETCH_CAPTURED names a folder of them: files NAME.npz of `TraceBatch.save`, and
NAME.spec.json, of which `dim`, `modules`, `seed` and `max_inputs` are used.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from figure import Figure, at_most, note
from structures import DEEP, Case, Rng, chain, length_for, loud, residual, star, weighted, wide
from unrolled import paths, same

import recsketch as rs

CAPTURED = "RECSKETCH_CAPTURED"
Make = Callable[[Rng], Case]


class Score:
    """What came back of some runs."""

    def __init__(self) -> None:
        self.runs = self.whole = self.complete = self.false = 0
        self.loads: list[float] = []
        self.errors: list[float] = []  # of `recover`, the worst element of a run over its object's norm

    def add(self, case: Case, sk: rs.Sketcher, *, dtype: str = "float32", tolerance: float = 1e-3) -> None:
        """Read one run; whole is also one whose shared objects come back as copies, where there are no signatures."""
        sketch = rs.pack(sk.sketch(case.trace), dtype)
        found = sk.unroll(sketch, **case.reading)
        whole = same(found, case.trace, tolerance, copies=not sk.spec.signature)
        self.runs += 1
        self.whole += whole and (found.complete or dtype != "float32")
        self.complete += found.complete
        self.false += found.complete and not whole
        self.loads.append(sk.load(case.trace, uses=True))
        if dtype == "float32":
            self.errors.append(worst(sk.recover(sketch, case.trace), case.trace))

    def __iadd__(self, other: Score) -> Score:
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)
        return self

    def figure(self, name: str, limit: float, how: str) -> Figure:
        """The share of runs that came back whole, as a figure; none may be called complete that did not."""
        wrong = f"; {self.false} complete but wrong" if self.false else ""
        how = f"{how}; {self.runs} runs, load {min(self.loads):.2f} to {max(self.loads):.2f}{wrong}"
        part = self.whole / self.runs
        found = f"{part:.1%} ({self.whole}/{self.runs})"
        return Figure(f"unrolled exactly, {name}", f"≥ {100 * limit:g}%", found, how, part >= limit and not self.false)

    def recovered(self, name: str, limit: float, how: str) -> Figure:
        return at_most(f"recovered, {name}: worst element over the norm", limit, max(self.errors), how, ".1e")


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


def merged(scores: Iterator[Score]) -> Score:
    out = Score()
    for s in scores:
        out += s
    return out


TURNS = {1: "one module", 2: "two modules in turn", 3: "three modules in turn"}


def chains(effort: int) -> Iterator[Figure]:
    """Chains of one, two and three modules."""
    runs = (1, 4, 20)[effort]
    for modules, turns in TURNS.items():
        for dim, length in ((1024, 16), (1024, 32), (4096, 16), (4096, 32)):
            steps = [n for n in (2, 5, 12, 18, 24, 32, 40) if n * (length + 2) <= 0.62 * dim]
            s = merged(score(partial(chain, steps=n, length=length, modules=modules), dim, runs) for n in steps)
            name, how = f"chains of {turns}, a = {length}, d = {dim}", f"{steps[0]} to {steps[-1]} steps"
            yield s.figure(name, 0.98, how)
            yield s.recovered(name, 1e-6, how)
    s = merged(score(partial(chain, steps=n, length=32), 4096, runs, weighting="energy") for n in (2, 8, 14, 20))
    yield s.figure('chains of one module, weighting="energy"', 0.95, "a = 32, d = 4096, 2 to 20 steps")


def layers(effort: int) -> Iterator[Figure]:
    """Residual layers: deep runs of many inputs."""
    runs = (1, 5, 40)[effort]
    for count, dim, balance in ((10, 4096, 0.5), (20, 8192, 0.9)):
        s = score(partial(residual, layers=count, heads=12, length=16), dim, runs, balance=balance)
        how = f"a = 16, d = {dim}, balance {balance}, worst element of `recover` {max(s.errors):.1e}"
        yield s.figure(f"{count} residual layers of 12 heads", 0.95, how)


PLACES = {"alone": (1, 0), "three beside each other": (3, 0), "below 4 states": (1, 4), "below 20 states": (1, 20)}


def pools(effort: int) -> Iterator[Figure]:
    """Wide tuples of one module, whose attributes are alike."""
    cosines, loads = (0.0, 0.3, 0.6, 0.9, 1.0), (0.3, 0.5, 0.7)
    for width, runs in ((20, (1, 2, 10)), (50, (1, 1, 6)), (200, (1, 1, 2))):
        for where, (beside, above) in PLACES.items():
            objects, dim = beside * (width + 1) + above, 1024
            while length_for(dim, objects, loads[0]) < 10:
                dim *= 2
            s = Score()
            for load in loads[:: 2 if effort == 0 else 1]:
                for cosine in cosines[:: 2 if effort == 0 else 1]:
                    shape = {"width": width, "cosine": cosine, "beside": beside, "above": above}
                    s += score(partial(wide, length=length_for(dim, objects, load), **shape), dim, runs[effort])
            how = f"cosines 0, 0.3, 0.6, 0.9 and 1 with each other, d = {dim}"
            yield s.figure(f"{width} inputs of one module, {where}", 0.97, how)


def norms(effort: int) -> Iterator[Figure]:
    """Modules of very different norms."""
    runs, dim, objects = (1, 10, 100)[effort], 1024, 26
    make = partial(loud, norms=(1e-3, 1.0, 50.0, 1e4), objects=objects, length=length_for(dim, objects, 0.5))
    s, name = score(make, dim, runs), "norms of 1e-3, 1, 50 and 1e4 in one run"
    yield s.figure(name, 1.0, f"d = {dim}")
    yield s.recovered(name, 1e-4, f"d = {dim}, {runs} runs")


def softmax(rng: Rng, sigma: float) -> Case:
    return weighted(rng, np.exp(sigma * rng.standard_normal(16)), length_for(1024, 17, 0.55))


def gates(rng: Rng) -> Case:
    """The weights are at least 1e-12: float64 may hold none of a Dirichlet distribution as uneven as this."""
    return weighted(rng, np.maximum(rng.dirichlet(np.full(8, 0.1)), 1e-12), length_for(1024, 9, 0.5))


def weights(effort: int) -> Iterator[Figure]:
    """Uneven weights."""
    runs = (2, 10, 100)[effort]
    for sigma in (1.0, 2.0, 3.0, 4.0):
        s = score(partial(softmax, sigma=sigma), 1024, runs)
        yield s.figure(f"softmax weights of σ = {sigma:g} over 16 inputs", 0.95, "d = 1024")
    yield score(gates, 1024, runs).figure("Dirichlet(0.1) gates of 8 experts", 0.95, "d = 1024")


def copies(effort: int) -> Iterator[Figure]:
    """Runs whose objects are used more than once, with signatures: uses are fitted as one object."""
    runs, signature, dim = (2, 10, 40)[effort], 8, 2048
    for readers, read in ((12, 2), (30, 3)):
        uses = 2 * readers + 1
        for load in (0.7, 0.95, 1.1, 1.2):
            length = round(load * dim / uses) - 2 - signature
            s = score(partial(star, readers=readers, read=read, length=length), dim, runs, signature=signature)
            name = f"{readers} readers of {read} objects, load {load:g} by uses"
            yield s.figure(name, 0.95, f"d = {dim}, signature={signature}")
    for load in (0.7, 0.95):
        length = round(load * dim / 61) - 2 - signature
        s = score(partial(star, readers=30, read=3, length=length, twins=True), dim, runs, signature=signature)
        yield s.figure(f"30 readers of 30 objects that hold three things, load {load:g}", 0.95, f"d = {dim}")


def captured(effort: int) -> Iterator[Figure]:
    """Runs of real systems as they were captured, with and without signatures where they share objects."""
    folder = os.environ.get(CAPTURED)
    if folder is None:
        yield Figure("captured runs", "", "not measured", f"the environment variable {CAPTURED} names no folder")
        return
    for path in sorted(Path(folder).glob("*.npz")):
        told = json.loads((path.parent / f"{path.stem}.spec.json").read_text(encoding="utf-8"))
        traces = list(rs.TraceBatch.load(path)[: (1, 5, 100)[effort]])
        cases = [Case(t, told["modules"], told["max_inputs"], DEEP) for t in traces]
        for signature in (0, 8) if any(len(t) < len(list(paths(t))) for t in traces) else (0,):
            yield from _captured(path.stem, cases, told, signature)


def _captured(name: str, cases: list[Case], told: dict[str, Any], signature: int) -> Iterator[Figure]:
    """At the length that is told, or that of `suggest_dim` if that is more.

    The same from int8: there objects may drown in the noise, and attributes are not compared.
    """
    dim = max(told["dim"], rs.suggest_dim([case.trace for case in cases], signature=signature, decoder="unroll"))
    sk = cases[0].sketcher(dim, told["seed"], signature=signature)
    exact, coarse = Score(), Score()
    for case in cases:
        exact.add(case, sk, tolerance=1e-2)
        coarse.add(case, sk, dtype="int8", tolerance=np.inf)
    name = f"captured runs, {name}" + ", signatures" * bool(signature)
    how = f"d = {dim}, attributes to 1e-2" + f", signature={signature}" * bool(signature)
    yield exact.figure(name, 0.95, how)
    found = f"{coarse.false} of {coarse.complete}"
    how = f"{how}; {coarse.whole} of {coarse.runs} of the right structure"
    yield Figure(f"{name}, int8: complete, but of another structure", "0", found, how, not coarse.false)


FIGURES = (chains, layers, pools, norms, weights, copies, captured)


@pytest.mark.parametrize("measure", FIGURES, ids=lambda f: f.__name__)
def test_figures(benchmark: Any, measure: Callable[[int], Iterator[Figure]]) -> None:
    note(benchmark, measure)
    case = chain(np.random.default_rng(0), 8, 16)
    sk = case.sketcher(1024, 0)
    assert benchmark(sk.unroll, sk.sketch(case.trace)).complete
