"""Blind unrolling against the same in NumPy, and on two threads."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest
from figure import SMOKE, Figure, at_least, note
from machine import interleaved
from numpy_unroll import NumpyUnroll, paths_of
from runs import full, plain_modules

import recsketch as rs

OBJECTS, DIM = 84, 4096
LENGTHS = (16, 32)  # loads 0.35 and 0.68


def sketches(a: int, runs: int, dim: int = DIM) -> tuple[rs.SketchSpec, Any]:
    """Full trees of depth 3 and fan 4 over four modules."""
    rng = np.random.default_rng(a)
    spec = rs.SketchSpec(dim, plain_modules(a), max_inputs=8, seed=1)
    return spec, rs.Sketcher(spec).sketch([full(rng).trace(rng, plain_modules(a)) for _ in range(runs)])


def against_numpy(effort: int) -> Iterator[Figure]:
    """One thread, sketch by sketch; the peer looks for the same run in a sketch of its own matrices, with fan 4."""
    for a in LENGTHS:
        spec, s = sketches(a, 8)
        sk = rs.Sketcher(spec, threads=1)
        peer, tree = NumpyUnroll(DIM, a, seed=2), full(np.random.default_rng(3))
        own = peer.forward(tree, peer.rows(tree)).astype(np.float32).astype(float)
        work = {"C": partial(sk.unroll, s), "NumPy": partial(peer.unroll, own, 3)}
        t = interleaved(work, (1, 3, 5)[effort])
        complete = sum(u.complete for u in sk.unroll(s))
        right = set(peer.unroll(own, 3)) == paths_of(tree)
        how = (
            f"one thread, a = {a}, max_inputs 8 (the peer's 4): {t['C'].median / len(s) * 1e3:.0f} ms a run, "
            f"{complete}/{len(s)} complete; in NumPy {t['NumPy'].median:.2f} s, {'exact' if right else 'not exact'}"
        )
        name = f"blind unrolling of 84 objects, d = 4096, load {OBJECTS * (a + 1) / DIM:.2f}, against NumPy"
        yield at_least(name, 30, len(s) * (t["NumPy"] / t["C"]), how)


def two_threads(effort: int) -> Iterator[Figure]:
    """Wall times of 64 sketches."""
    spec, s = sketches(16, 2 if effort == SMOKE else 64)
    rounds = (1, 5, 15)[effort]
    t = interleaved({str(n): partial(rs.Sketcher(spec, threads=n).unroll, s) for n in (1, 2)}, rounds)
    how = f"64 sketches of 84 objects, d = 4096, a = 16, best wall time of {rounds} interleaved rounds"
    yield at_least("unrolling on two threads against one", 1.8, t["1"].best / t["2"].best, how)


FIGURES = (against_numpy, two_threads)


@pytest.mark.parametrize("a", LENGTHS)
def test_unroll(benchmark: Any, a: int) -> None:
    spec, s = sketches(a, 4)
    found = benchmark(rs.Sketcher(spec, threads=1).unroll, s)
    assert all(u.complete for u in found)


def test_numpy(benchmark: Any) -> None:
    """The peer, on a small run that it unrolls."""
    peer, tree = NumpyUnroll(512, 16, seed=2), full(np.random.default_rng(3), depth=2, fan=3)
    s = peer.forward(tree, peer.rows(tree))
    assert set(benchmark(peer.unroll, s, 2)) == paths_of(tree)


def test_ratios(benchmark: Any) -> None:
    spec, s = sketches(16, 2, 1024)
    note(benchmark, two_threads)
    benchmark(rs.Sketcher(spec, threads=1).unroll, s)
