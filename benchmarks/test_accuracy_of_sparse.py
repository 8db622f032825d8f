"""How many non-zero attribute elements come back: the phase transition of the pursuit, beside OMP and FISTA."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pytest
from figure import QUICK, SMOKE, Figure
from runs import full, plain_modules, planned, ragged

import recsketch as rs

LONG = {128: (8, 12, 16, 18, 20, 22, 24, 26), 512: (6, 8, 10, 12, 14, 16, 18, 20)}  # non-zeros an object
SHORT = {128: (8, 12, 16, 20, 24), 512: (4, 6, 8, 10, 12)}  # for what is slow
EXACT = 1e-4  # of the worst element; attributes have norm one


@dataclass(frozen=True)
class Problem:
    """One run of twenty objects, and its sketch."""

    sketcher: rs.Sketcher
    trace: rs.Trace
    sketch: np.ndarray
    nonzeros: int

    def exact(self, attributes: list[np.ndarray]) -> bool:
        pairs = zip(attributes, self.trace.objects, strict=True)
        return all(np.abs(x - o.attribute).max() <= EXACT for x, o in pairs)

    def recover(self, **options: Any) -> bool:
        return self.exact(self.sketcher.recover(self.sketch, self.trace, "sparse", **options).attributes)

    @cached_property
    def dense(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(A, y, norms): columns of norm one, what the sketch says of them, and what they were divided by."""
        d = self.sketcher.spec.dim
        p = planned(self.sketcher, rs.TraceBatch.from_traces([self.trace] * d))
        rows = np.empty(p.attributes, np.float32)
        p.adjoint(np.eye(d, dtype=np.float32), rows, None, 1)
        a = rows.reshape(d, -1)
        norms = np.linalg.norm(a, axis=0)
        silent = with_attributes(self.trace, lambda o: np.zeros(len(o.attribute)))
        return np.asfortranarray(a / norms), self.sketch - self.sketcher.sketch(silent), norms

    def split(self, x: np.ndarray) -> list[np.ndarray]:
        return np.split(x, np.cumsum([len(o.attribute) for o in self.trace.objects])[:-1])


def with_attributes(trace: rs.Trace, attribute: Callable[[Any], np.ndarray]) -> rs.Trace:
    out = rs.Trace()
    for o in trace.objects:
        out.add(o.module, attribute(o), inputs=o.inputs, weights=o.weights)
    out.outputs(trace.output_ids, trace.output_weights)
    return out


def problem(
    seed: int,
    a: int,
    k: int,
    d: int = 1024,
    *,
    shape: str = "full",
    values: str = "Gaussian",
    attributes: str = "polar",
) -> Problem:
    """Attributes of length a, k elements not zero; weights Dirichlet(4), for "uneven" trees Dirichlet(1)."""
    rng = np.random.default_rng([seed, a, k, d])
    modules = plain_modules(a)
    tree = full(rng, depth=2) if shape == "full" else ragged(rng, [a] * 4, objects=20, depth=3)

    def attribute(_: Any) -> np.ndarray:
        x = np.zeros(a)
        some = rng.choice([-1.0, 1.0], k) if values == "±1" else rng.standard_normal(k)
        x[rng.permutation(a)[:k]] = np.abs(some) if values == "non-negative" else some
        return x / np.linalg.norm(x)

    trace = with_attributes(tree.trace(rng, modules, evenness=1.0 if shape == "uneven" else 4.0), attribute)
    sk = rs.Sketcher(rs.SketchSpec(d, modules, seed=seed, max_inputs=4, attributes=attributes), threads=1)
    return Problem(sk, trace, sk.sketch(trace), 20 * k)


def auto(p: Problem) -> bool:
    return p.recover()


def given(p: Problem) -> bool:
    return p.recover(nonzeros=p.nonzeros)


def nonnegative(p: Problem) -> bool:
    return p.recover(nonnegative=True)


def omp(p: Problem) -> bool:
    """scikit-learn's orthogonal matching pursuit on the dense matrix, the number given."""
    from sklearn.linear_model import orthogonal_mp

    a, y, norms = p.dense
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # it says so when it fits before it has them all
        x = orthogonal_mp(np.asfortranarray(a, np.float64), y.astype(np.float64), n_nonzero_coefs=p.nonzeros)
    return p.exact(p.split(x / norms))


def fista(p: Problem, steps: int = 150) -> bool:
    """Minimise |y - A x|^2 / 2 + t |x|_1 (Beck, Teboulle 2009) for t falling over four decades.

    For each t the largest elements, as many as there are, are refitted by least squares; the run counts as exact if it
    is so for any t. Four times as many steps find no more.
    """
    a, y, norms = p.dense
    most = float(np.abs(a.T @ y).max())
    v = np.ones(a.shape[1], np.float32)
    for _ in range(20):
        v = a.T @ (a @ v)
        size = np.linalg.norm(v)
        v /= size
    x = np.zeros(a.shape[1], np.float32)
    for t in most * np.logspace(-1, -4, 4, dtype=np.float32):
        z, old, momentum = x, x, 1.0
        for _ in range(steps):
            u = z - (a.T @ (a @ z - y)) / np.float32(1.02 * size)
            x = np.sign(u) * np.maximum(np.abs(u) - t / np.float32(1.02 * size), 0)
            after = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
            z, old, momentum = x + np.float32((momentum - 1) / after) * (x - old), x, after
        if p.exact(p.split(refitted(a, y, np.argsort(-np.abs(x))[: p.nonzeros]) / norms)):
            return True
    return False


def block_omp(p: Problem) -> bool:
    """Block OMP: adds an eighth of what it has, all at least half as correlated as the first, refits, drops nothing."""
    a, y, norms = p.dense
    support = np.empty(0, np.intp)
    x, rest = np.zeros(a.shape[1]), y
    while support.size < p.nonzeros:
        c = np.abs(a.T @ rest)
        c[support] = 0
        block = np.argsort(-c)[: min(max(1, support.size // 8), p.nonzeros - support.size)]
        support = np.append(support, block[c[block] >= 0.5 * c[block[0]]])
        x = refitted(a, y, support)
        rest = y - a[:, support] @ x[support]
    return p.exact(p.split(x / norms))


def refitted(a: np.ndarray, y: np.ndarray, support: np.ndarray) -> np.ndarray:
    x = np.zeros(a.shape[1])
    x[support] = np.linalg.lstsq(a[:, support].astype(np.float64), y.astype(np.float64), rcond=None)[0]
    return x


PEERS = (omp, fista, block_omp)


def shares(
    solve: Callable[[Problem], bool], runs: int, a: int, counts: tuple[int, ...], d: int = 1024, **kind: Any
) -> tuple[str, str]:
    """The share of exact runs for each number of non-zeros over d, and the peers' time over that of the pursuit.

    Attributes are linear, because the peers have no place for norms.
    """
    found, ratios = [], []
    for k in counts:
        exact = 0
        for seed in range(runs):
            p = problem(1000 + seed, a, k, d, attributes="linear", **kind)
            if solve in PEERS:
                assert p.dense[0].shape[0] == d  # made outside the clock
            start = time.process_time()
            exact += solve(p)
            took = time.process_time() - start
            if solve in PEERS and k == counts[len(counts) // 2]:
                start = time.process_time()
                auto(p)
                ratios.append(took / (time.process_time() - start))
        found.append(f"{20 * k / d:.2f}: {exact / runs:.0%}")
    middle = 20 * counts[len(counts) // 2] / d
    note = f"; at {middle:.2f} {np.median(ratios):.3g} times the pursuit's CPU time" if ratios else ""
    return ", ".join(found), f"{runs} runs each, d = {d}, 20 objects of depth 2, linear attributes{note}"


def targets(effort: int) -> Iterator[Figure]:
    """What the project promises, in runs of several shapes."""
    runs = (2, 10, 200)[effort]
    for a, k in ((128, 16), (512, 10)):
        for name, solve in (("number not given", auto), ("number given", given)):
            exact = {}
            for shape in ("full", "ragged", "uneven"):
                exact[shape] = np.mean([solve(problem(seed, a, k, shape=shape)) for seed in range(runs)])
            value = float(np.mean(list(exact.values())))
            how = (
                f"d = 1024, {3 * runs} runs of 20 objects, {k} of {a} elements Gaussian, worst error ≤ {EXACT:g}; "
                + ", ".join(f"{shape} {share:.1%}" for shape, share in exact.items())
                + " (ragged: depth ≤ 3; uneven: and weights Dirichlet(1), others Dirichlet(4))"
            )
            title = f"sparse attributes, K/d = {20 * k / 1024:.2f}, N/d = {20 * a / 1024:g}, {name}: runs exact"
            yield Figure(title, "≥ 95%", f"{value:.1%}", how, value >= 0.95)


def transition(effort: int) -> Iterator[Figure]:
    """Share exact over K/d."""
    runs, slow = (1, 4, 60)[effort], (1, 1, 8)[effort]
    for a in (128, 512):
        n, long, short = 20 * a / 1024, LONG[a], SHORT[a][: 1 if effort == SMOKE else None]
        for name, solve, counts, times, kind in (
            ("pursuit, number not given", auto, long, runs, {}),
            ("pursuit, number given", given, long, runs, {}),
            ("pursuit, elements ±1, number not given", auto, long, runs, {"values": "±1"}),
            ("pursuit, non-negative", nonnegative, long, runs, {"values": "non-negative"}),
            ("OMP (scikit-learn, dense), number given", omp, short, slow, {}),
            ("FISTA (dense), best of 4 thresholds, number given", fista, short, slow, {}),
        ):
            found, how = shares(solve, times, a, counts, **kind)
            yield Figure(f"exact over K/d, N/d = {n:g}: {name}", "", found, how)


def few(effort: int) -> Iterator[Figure]:
    """Where greedy selection should be at its best."""
    runs = (1, 4, 60)[effort]
    for name, solve in (("pursuit, number not given", auto), ("OMP", omp), ("block-OMP", block_omp)):
        found, how = shares(solve, runs, 128, (1, 2, 3), 256)
        yield Figure(f"few elements, exact over K/d, N/d = 10: {name}", "", found, how)


FIGURES = (targets, transition, few)


@pytest.mark.parametrize("measure", FIGURES, ids=lambda f: f.__name__)
def test_accuracy(benchmark: Any, measure: Callable[[int], Iterator[Figure]]) -> None:
    found = list(benchmark.pedantic(lambda: list(measure(SMOKE if benchmark.disabled else QUICK)), rounds=1))
    benchmark.extra_info.update({f.name: f.measured for f in found})
    if not benchmark.disabled:  # a smoke test's few runs decide nothing
        assert not [f.row() for f in found if f.met not in (None, True)]
