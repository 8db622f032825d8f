"""Whether what the readers state of their answers holds: confidences, intervals, `complete`, standard errors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from figure import Figure, note
from structures import Case, chain, length_for, residual, vector, wide
from test_accuracy_of_unrolling import paths
from unrolled import ragged_run, same

import recsketch as rs

Rng = np.random.Generator

LOADS = (0.1, 0.3, 0.6, 0.9, 1.2, 2.0, 4.0)


class Tally:
    """What was stated, and what was true."""

    def __init__(self) -> None:
        self.runs = self.complete = self.wrongly = self.whole = 0
        self.sure = self.sure_right = self.objects = self.right = 0
        self.held = self.elements = 0

    def add(self, found: rs.Unrolled, trace: rs.Trace, tolerance: float) -> None:
        whole = same(found, trace, tolerance)
        self.runs += 1
        self.whole += whole
        self.complete += found.complete
        self.wrongly += found.complete and not whole and not only_copies(found, trace)
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


def only_copies(found: rs.Unrolled, trace: rs.Trace) -> bool:
    """Whether the answer is the run with every use of a shared object as an object of its own."""
    return len(found.objects) == len(list(paths(trace))) and len(set(map(id, found.objects))) > len(trace)


def ragged(rng: Rng, load: float, loud: bool = False) -> tuple[Case, int]:
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


def shared(rng: Rng, load: float) -> tuple[Case, int]:
    """Layers of objects, each of which reads some of the layer below."""
    trace, a = rs.Trace(), 16
    layer = [trace.add("m0", vector(rng, a)) for _ in range(4)]
    for depth in range(1, 3):
        layer = [
            trace.add(f"m{depth}", vector(rng, a), list(rng.choice(layer, int(rng.integers(1, 4)), replace=False)))
            for _ in range(4)
        ]
    used = {i for o in trace.objects for i in o.inputs}
    trace.outputs([i for i in range(len(trace)) if i not in used])
    dim = 64
    while dim * load < len(list(paths(trace))) * (a + 2):
        dim *= 2
    return Case(trace, {f"m{i}": a for i in range(3)}, 8), dim


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
    "shared": (shared, {}, _plain),
    "shared, signatures": (shared, {"signature": 8}, _plain),
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
        out.add(sk.unroll(kept, mask, **case.reading), case.trace, np.inf if store is _int8 else 1e-2)
    return out


def statements(effort: int) -> Iterator[Figure]:
    """Groups of runs at loads from 0.1 to 4."""
    runs = (2, 35, 1000)[effort]
    for group in GROUPS:
        t = tally(group, runs)
        how = f"{t.runs} runs, loads {LOADS[0]} to {LOADS[-1]}; {t.whole} whole, {t.complete} complete, {t.objects} objects"
        part = t.sure_right / max(t.sure, 1)
        yield Figure(f"{group}: objects of confidence ≥ 0.95 that are right", "≥ 98%", f"{part:.1%}", how, part >= 0.98)
        yield Figure(f"{group}: complete, but not the whole run", "0", str(t.wrongly), how, t.wrongly == 0)
        held = t.held / max(t.elements, 1)
        inside = 0.92 <= held <= 0.98
        yield Figure(f"{group}: 95% intervals hold", "92% to 98%", f"{held:.1%}", f"{t.elements} elements", inside)


FIGURES = (statements,)


@pytest.mark.parametrize("measure", FIGURES)
def test_figures(benchmark: Any, measure: Callable[[int], Iterator[Figure]]) -> None:
    note(benchmark, measure)
    case, dim = chain_run(np.random.default_rng(0), 2.0)
    sk = case.sketcher(dim, 0)
    s = sk.sketch(case.trace)
    assert benchmark(sk.unroll, s, **case.reading).rounds
