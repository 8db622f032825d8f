"""How exactly attributes and statistics come back from float32 sketches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from figure import QUICK, SMOKE, Figure, at_most
from runs import MIXED, Tree, chain, own_modules, plain_modules, planned, ragged

import recsketch as rs
from recsketch.reading.pooled import BRANCH, IN, MODULE, POSITION

UNKNOWNS = [a + 1 for a in MIXED.values()]  # an attribute's direction and the logarithm of its norm


def worst_errors(
    d: int, runs: int, *, load: float, erased: float = 0.0, evenness: float = 4.0, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, float]:
    """Of least squares over ragged runs: each run's worst element error, as it is and times the object's amplitude.

    The third value is the highest load: unknowns and counters over kept coordinates. Erased ones become NaN.
    """
    rng = np.random.default_rng([seed, d])
    kept = d - round(erased * d)
    worst, scaled, loads = [], [], []
    for i in range(runs):
        sk = rs.Sketcher(rs.SketchSpec(d, MIXED, seed=i, max_inputs=4), threads=1)
        trace = ragged(rng, UNKNOWNS, unknowns=load * kept).trace(rng, MIXED, evenness=evenness)
        sketch, mask = sk.sketch(trace), None
        if erased:
            mask = np.zeros(d, np.bool_)
            mask[rng.permutation(d)[:kept]] = True
            sketch[~mask] = np.nan
        found = sk.recover(sketch, trace, mask=mask)
        errors = np.array(list(_errors(found.attributes, trace)))
        amplitudes = planned(sk, rs.TraceBatch.from_traces([trace])).amplitudes()[0]
        worst.append(errors.max())
        scaled.append((errors * amplitudes).max())
        loads.append(sk.load(trace) * d / kept)
    return np.array(worst), np.array(scaled), max(loads)


def _errors(attributes: list[np.ndarray], trace: rs.Trace) -> Iterator[float]:
    """Largest element error of each object; infinite where an attribute is not finite."""
    for x, o in zip(attributes, trace.objects, strict=True):
        error = float(np.abs(x - o.attribute).max())
        yield error if np.isfinite(error) else np.inf


def paper_errors(d: int, tree: Tree, method: str, seeds: int, runs: int = 16, a: int = 16) -> float:
    """Mean largest element error of the deepest objects under `SketchSpec.paper`, equal weights, unit attributes."""
    modules = plain_modules(a, len(tree))
    rng, errors = np.random.default_rng(d), []
    deepest = [i for i, children in enumerate(tree.children[:-1]) if not children]
    for seed in range(seeds):
        sk = rs.Sketcher(rs.SketchSpec.paper(dim=d, modules=modules, seed=seed, max_inputs=4), threads=1)
        traces = [tree.trace(rng, modules, evenness=1e9) for _ in range(runs)]
        batch = rs.TraceBatch.from_traces(traces)
        for found, trace in zip(sk.recover(sk.sketch(batch), batch, method), traces, strict=True):
            each = list(_errors(found.attributes, trace))[::-1]  # traces have children first, trees parents first
            errors += [each[i] for i in deepest]
    return float(np.mean(errors))


def fitted(sizes: list[int], errors: list[float]) -> tuple[float, float]:
    """Exponent of the power law through the errors, and the constant of error = constant / sqrt(d)."""
    exponent = np.polyfit(np.log(sizes), np.log(errors), 1)[0]
    return float(exponent), float(np.exp(np.mean(np.log(np.array(errors) * np.sqrt(sizes)))))


def pooled_errors(a: int, seeds: int, d: int = 4096, objects: int = 64) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of 64 outputs of two modules: relative count errors, l_inf errors of means, count errors over the stated ones.

    Attributes have norm one and scatter about a mean of the module's own, of norm about 0.7.
    """
    modules, counts, means, stated = plain_modules(a, 2), [], [], []
    for seed in range(seeds):
        rng = np.random.default_rng([seed, a])
        sk = rs.Sketcher(rs.SketchSpec(d, modules, seed=seed, max_inputs=objects), threads=1)
        first = int(rng.integers(objects // 4, 3 * objects // 4 + 1))
        centre = rng.standard_normal((2, a))
        trace, values, ids = rs.Trace(), ([], []), []
        for m in rng.permutation([0] * first + [1] * (objects - first)).tolist():
            x = centre[m] + rng.standard_normal(a)
            values[m].append(x / np.linalg.norm(x))
            ids.append(trace.add(f"m{m}", values[m][-1]))
        trace.outputs(ids)
        sketch = sk.sketch(trace)
        for m in range(2):
            s = sk.summary(sketch, f"m{m}", unroll=False)
            counts.append(abs(s.count - len(values[m])) / len(values[m]))
            stated.append((s.count - len(values[m])) / s.count_error)
            means.append(np.abs(s.mean - np.mean(values[m], axis=0)).max())
    return np.array(counts), np.array(means), np.array(stated)


def least_squares(effort: int) -> Iterator[Figure]:
    runs = (2, 8, 400)[effort]
    tree = "ragged trees, depth ≤ 3, fan ≤ 4, attributes of 7 to 120 elements and norm one"
    for d in (1024, 4096):
        worst, scaled, load = worst_errors(d, runs, load=0.65)
        how = f"{runs} {tree}, weights Dirichlet(4), load up to {load:.2f}; {_spread(worst, scaled)}"
        yield at_most(f"least squares, structure known, d = {d}: worst element error", 1e-6, worst.max(), how, ".1e")
    for d in (1024, 4096):
        worst, scaled, load = worst_errors(d, runs, load=0.65, evenness=1.0, seed=1)
        how = f"the same with weights Dirichlet(1), many below 0.01; {_spread(worst, scaled)}"
        yield Figure(f"the same, very uneven weights, d = {d}", "", f"{worst.max():.1e}", how)


def chains(effort: int) -> Iterator[Figure]:
    """Chains of one module: the powers of one operator are ever less independent."""
    runs = (1, 5, 100)[effort]
    found = ", ".join(f"{depth}: {_chain_error(depth, runs):.0e}" for depth in (4, 8, 12, 16, 20, 24, 32))
    how = f"{runs} chains a depth, a = 16, d = 1024, load up to 0.53; elements are about 0.25"
    yield Figure("least squares, chains of one module, by depth: worst element error", "", found, how)


def _chain_error(depth: int, runs: int) -> float:
    rng, spec, worst = np.random.default_rng(depth), rs.SketchSpec(1024, {"m": 16}, max_inputs=2), 0.0
    for seed in range(runs):
        sk, trace = rs.Sketcher(spec.replace(seed=seed), threads=1), chain(rng, depth, 16)
        worst = max(worst, *_errors(sk.recover(sk.sketch(trace), trace).attributes, trace))
    return worst


def powers(effort: int) -> Iterator[Figure]:
    """How much of itself a vector keeps under P = T_0 T_M T_in, a step down a chain, applied again and again.

    x' P^k x / d of a vector x of random signs has the mean trace(P^k) / d and a standard deviation of at most
    sqrt(2 / d), 0.02, over the root of the number of specifications.
    """
    runs, d, lags = (1, 4, 64)[effort], 4096, (1, 2, 3, 4, 6, 9, 12, 18, 24, 36)
    total = np.zeros(len(lags))
    for seed in range(runs):
        core = rs.Sketcher(rs.SketchSpec(d, {"m": 16}, seed))._matrices.core
        x = y = np.random.default_rng(seed).choice(np.array([-1.0, 1.0], np.float32), d)
        kept = []
        for _ in range(lags[-1]):
            for kind, number in ((BRANCH, IN), (MODULE, 0), (POSITION, 0)):
                y = core.operator(kind, number, False, y)
            kept.append(float(x @ y) / d)
        total += [kept[k - 1] for k in lags]
    found = ", ".join(f"{k}: {value:.2f}" for k, value in zip(lags, total / runs, strict=True))
    yield Figure("trace over d of the k-th power of T_0 T_M T_in", "", found, f"mean of {runs} specifications, d = {d}")


def _spread(worst: np.ndarray, scaled: np.ndarray) -> str:
    above = int((worst > 1e-6).sum())
    return f"median run {np.median(worst):.1e}, {above} above 1e-6; times the object's amplitude {scaled.max():.1e}"


def erasure(effort: int) -> Iterator[Figure]:
    runs = (2, 8, 400)[effort]
    for d in (1024, 4096):
        worst, scaled, load = worst_errors(d, runs, load=0.6, erased=0.5, seed=2)
        how = f"{runs} such trees, unknowns up to {load:.2f} of the kept half, the rest NaN; {_spread(worst, scaled)}"
        yield at_most(f"half the coordinates erased, d = {d}: worst element error", 5e-5, worst.max(), how, ".1e")


def paper(effort: int) -> Iterator[Figure]:
    sizes, seeds = [1024, 2048, 4096, 8192, 16384], (1, 3, 60)[effort]
    how = f"every object its own module, a = 16, fan 4, equal weights, d = 1024 to 16384, {16 * seeds} runs each"
    for method, constant in (("paper", 16.7), ("matched", 6.8)):
        errors = [paper_errors(d, own_modules(1, 4), method, seeds) for d in sizes]
        exponent, found = fitted(sizes, errors)
        name = f'SketchSpec.paper, depth 1, method="{method}": mean l∞ error'
        good = bool(abs(exponent + 0.5) <= 0.05)
        yield Figure(name, f"∝ d^(-0.5 ± 0.05), about {constant}/√d", f"d^{exponent:.3f}, {found:.1f}/√d", how, good)
    d, seeds = 16384, (1, 2, 24)[effort]
    wide = own_modules(2, 4)
    factor = paper_errors(d, wide, "paper", seeds) * np.sqrt(d)
    exact = paper_errors(d, wide, "lstsq", 1)
    how = f"deepest 16 of 20 objects, d = {d}, {16 * seeds} runs"
    yield Figure('SketchSpec.paper, depth 2, method="paper"', "about 1040/√d", f"{factor:.0f}/√d", how)
    yield Figure("such sketches by least squares", "", f"{exact:.1e}", f"mean l∞ error, d = {d}, 16 runs")


def pooled(effort: int) -> Iterator[Figure]:
    seeds = (2, 10, 400)[effort]
    for a in (16, 32):
        counts, means, stated = pooled_errors(a, seeds)
        how = f"pooled model, 64 outputs of two modules, d = 4096, a = {a}, {seeds} runs"
        spread = f"{how}; error over the stated one: root mean square {np.sqrt(np.mean(stated**2)):.2f}"
        most = f" (worst {counts.max():.3f})"
        yield at_most(f"summary, a = {a}: mean relative error of a count", 0.02, counts.mean(), spread, ".3f", most)
        most = f" (worst {means.max():.3f})"
        yield at_most(f"summary, a = {a}: l∞ error of a mean", 0.03, means.mean(), how, ".3f", most)


def packing(effort: int) -> Iterator[Figure]:
    """What the stored forms cost, and why int8 chooses between two scales."""
    runs = (1, 4, 64)[effort]
    for dtype in ("float16", "bfloat16", "int8", "int8, scaled by the largest", "int8, clipped at 4 rms at most"):
        found = ", ".join(f"{d}: {_noise(d, dtype, runs):.2g}" for d in (1024, 4096, 16384, 65536, 1 << 18))
        how = f"{runs} sketches of standard Gaussian coordinates a length, root mean square error of one"
        yield Figure(f"noise of stored sketches, by d: {dtype}", "", found, how)


def _noise(d: int, dtype: str, runs: int) -> float:
    x = np.random.default_rng(d).standard_normal((runs, d), np.float32)
    if "," not in dtype:
        return float(np.sqrt(np.mean(rs.pack(x, dtype).noise ** 2)))
    most = np.abs(x).max(axis=1)
    if "rms" in dtype:
        most = np.minimum(most, 4.0 * np.sqrt(np.mean(x**2, axis=1)))
    step = most[:, None] / 127
    return float(np.sqrt(np.mean((x - step * np.clip(np.rint(x / step), -127, 127)) ** 2)))


FIGURES = (least_squares, erasure, chains, powers, paper, pooled, packing)


@pytest.mark.parametrize("measure", FIGURES, ids=lambda f: f.__name__)
def test_accuracy(benchmark: Any, measure: Callable[[int], Iterator[Figure]]) -> None:
    found = list(benchmark.pedantic(lambda: list(measure(SMOKE if benchmark.disabled else QUICK)), rounds=1))
    benchmark.extra_info.update({f.name: f.measured for f in found})
    if not benchmark.disabled:  # a smoke test's few runs decide nothing
        assert not [f.row() for f in found if f.met not in (None, True)]
