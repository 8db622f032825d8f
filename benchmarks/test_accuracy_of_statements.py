"""Whether what readers state of their answers holds: confidences, intervals, `complete`, errors; loads of 0.1 to 4."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from figure import Figure, note
from structures import Case, Rng, chain, length_for, residual, shared, wide
from unrolled import paths, ragged_run, same

import recsketch as rs

LOADS = (0.1, 0.3, 0.6, 0.9, 1.2, 2.0, 4.0)


class Tally:
    """What was stated, and what was true."""

    def __init__(self) -> None:
        self.runs = self.complete = self.wrongly = self.whole = 0
        self.sure = self.sure_right = self.objects = self.right = 0
        self.held = self.elements = 0
        self.ratios: list[float] = []  # of objects of a known structure: the true error over the stated one

    def add(self, found: rs.Unrolled, trace: rs.Trace, tolerance: float) -> None:
        whole = same(found, trace, tolerance)
        self.runs += 1
        self.whole += whole
        self.complete += found.complete
        self.wrongly += found.complete and not same(found, trace, tolerance, copies=True)
        number = dict(paths(trace))
        for o in found.objects:
            i = number.get(o.path)
            right = i is not None and trace.objects[i].module == o.module
            self.objects += 1
            self.right += right
            self.sure += o.confidence >= 0.95
            self.sure_right += right and o.confidence >= 0.95
            if right:
                x = trace.objects[i].attribute
                low, high = o.interval(0.95)
                self.held += int(((low <= x) & (x <= high)).sum())
                self.elements += x.size

    def recovered(self, found: rs.Recovery, trace: rs.Trace) -> None:
        for x, stated, o in zip(found.attributes, found.errors, trace.objects, strict=True):
            if np.isfinite(x).all():
                self.ratios.append(float(np.sqrt(np.mean((x - o.attribute) ** 2)) / stated))


def ragged(rng: Rng, load: float, loud: bool = False) -> tuple[Case, int]:
    """With norms of one, or where `loud` of a tenth to ten, one a module."""
    modules = {f"m{i}": int(rng.integers(8, 40)) for i in range(5)}
    trace = ragged_run(rng, modules, 1024, 3, max(load, 0.15))
    if loud:
        norms = dict(zip(modules, 10.0 ** rng.uniform(-1.0, 1.0, 5), strict=True))
        scaled = rs.Trace()
        for o in trace.objects:
            scaled.add(o.module, o.attribute * norms[o.module], o.inputs, o.weights if o.inputs else None)
        scaled.outputs(trace.output_ids, trace.output_weights)
        trace = scaled
    return Case(trace, modules, 8), 1024


def dag(rng: Rng, load: float) -> tuple[Case, int]:
    """As long a sketch as its uses have that load, or up to twice it."""
    case, dim = shared(rng, 16), 64
    while dim * load < len(list(paths(case.trace))) * 18:
        dim *= 2
    return case, dim


def wide_run(rng: Rng, load: float) -> tuple[Case, int]:
    width, cosine = int(rng.choice([12, 20, 30, 60])), float(rng.choice([0.0, 0.5, 0.9]))
    return wide(rng, width, length_for(1024, width + 1, load), cosine), 1024


def pools(rng: Rng, load: float) -> tuple[Case, int]:
    return wide(rng, 14, length_for(2048, 4 * 15, load), float(rng.choice([0.0, 0.5])), beside=4), 2048


def chain_run(rng: Rng, load: float) -> tuple[Case, int]:
    steps = int(rng.integers(3, 25))
    return chain(rng, steps, min(length_for(1024, steps, load), 256), int(rng.integers(1, 4))), 1024


def layered(rng: Rng, load: float) -> tuple[Case, int]:
    return residual(rng, 3, 5, length_for(1024, 19, load)), 1024


def _plain(rng: Rng, s: Any) -> tuple[Any, Any]:
    return s, None


def _half(rng: Rng, s: Any) -> tuple[Any, Any]:
    mask = rs.erasure.keep_random(s.size, 0.5, seed=int(rng.integers(2**31)))
    return np.where(mask, s, np.float32(np.nan)), mask


def _int8(rng: Rng, s: Any) -> tuple[Any, Any]:
    return rs.pack(s, "int8"), None


# How a run is made, what differs from the default, and how its sketch is kept. Of int8 the structure is compared alone.
GROUPS: dict[str, tuple[Callable[..., tuple[Case, int]], dict[str, Any], Any]] = {
    "ragged": (ragged, {}, _plain),
    "ragged, raw norms": (lambda rng, load: ragged(rng, load, True), {}, _plain),
    "ragged, linear": (ragged, {"attributes": "linear"}, _plain),
    "ragged, linear, raw norms": (lambda rng, load: ragged(rng, load, True), {"attributes": "linear"}, _plain),
    "ragged, energy": (ragged, {"weighting": "energy"}, _plain),
    "wide": (wide_run, {}, _plain),
    "four pools of 14": (pools, {}, _plain),
    "chains": (chain_run, {}, _plain),
    "residual": (layered, {}, _plain),
    "shared": (dag, {}, _plain),
    "shared, signatures": (dag, {"signature": 8}, _plain),
    "ragged, half erased": (ragged, {}, _half),
    "ragged, int8": (ragged, {}, _int8),
    "wide, int8": (wide_run, {}, _int8),
}


def tally(group: str, runs: int, loads: tuple[float, ...] = LOADS) -> Tally:
    make, spec, store = GROUPS[group]
    out = Tally()
    for seed in range(runs):
        rng = np.random.default_rng([seed, 23, list(GROUPS).index(group)])
        load = loads[seed % len(loads)] * (0.5 if store is _half else 1.0)
        case, dim = make(rng, load)
        sk = case.sketcher(dim, seed, **spec)
        kept, mask = store(rng, sk.sketch(case.trace))
        if load < 0.95 * (0.5 if store is _half else 1.0):
            out.recovered(sk.recover(kept, case.trace, mask=mask), case.trace)
        out.add(sk.unroll(kept, mask, **case.reading), case.trace, np.inf if store is _int8 else 1e-2)
    return out


def statements(effort: int) -> Iterator[Figure]:
    """Groups of runs. One that comes back with copies of its shared objects is the whole run."""
    runs = (2, 35, 1000)[effort]
    for group in GROUPS:
        t = tally(group, runs)
        how = f"{t.runs} runs, {t.whole} whole, {t.complete} complete, {t.objects} objects"
        part = t.sure_right / max(t.sure, 1)
        yield Figure(f"{group}: objects of confidence ≥ 0.95 that are right", "≥ 98%", f"{part:.1%}", how, part >= 0.98)
        yield Figure(f"{group}: complete, but not the whole run", "0", str(t.wrongly), how, t.wrongly == 0)
        held = t.held / max(t.elements, 1)
        inside = 0.92 <= held <= 0.98
        yield Figure(f"{group}: 95% intervals hold", "92% to 98%", f"{held:.1%}", f"{t.elements} elements", inside)
        ratio = float(np.sqrt(np.mean(np.square(t.ratios))))
        how = f"root mean square over {len(t.ratios)} objects, structure known, loads below 1"
        name = f"{group}: errors of `recover` over those stated"
        yield Figure(name, "0.8 to 1.25", f"{ratio:.2f}", how, 0.8 <= ratio <= 1.25)


FIGURES = (statements,)


@pytest.mark.parametrize("measure", FIGURES, ids=lambda f: f.__name__)
def test_figures(benchmark: Any, measure: Callable[[int], Iterator[Figure]]) -> None:
    note(benchmark, measure)
    case, dim = chain_run(np.random.default_rng(0), 2.0)
    sk = case.sketcher(dim, 0)
    s = sk.sketch(case.trace)
    assert benchmark(sk.unroll, s, **case.reading).rounds
