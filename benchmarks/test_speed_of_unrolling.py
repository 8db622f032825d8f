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
        peer, trees = NumpyUnroll(DIM, a, seed=2), [full(np.random.default_rng(k)) for k in range((1, 2, 3)[effort])]
        own = [peer.forward(tree, peer.uneven_rows(tree)).astype(np.float32).astype(float) for tree in trees]
        work = {"C": partial(sk.unroll, s), "NumPy": partial(_all, peer, own)}
        t = interleaved(work, (1, 2, 5)[effort])
        complete = sum(u.complete for u in sk.unroll(s))
        right = sum(set(peer.unroll(y, 3)) == paths_of(tree) for y, tree in zip(own, trees, strict=True))
        how = (
            f"one thread, a = {a}, max_inputs 8 (the peer's 4): {t['C'].median / len(s) * 1e3:.0f} ms a run, "
            f"{complete}/{len(s)} complete; in NumPy {t['NumPy'].median / len(own):.2f} s, {right}/{len(own)} exact"
        )
        name = f"blind unrolling of 84 objects, d = 4096, load {OBJECTS * (a + 1) / DIM:.2f}, against NumPy"
        yield at_least(name, 30, len(s) / len(own) * (t["NumPy"] / t["C"]), how)


def _all(peer: NumpyUnroll, sketches: list[Any]) -> None:
    for s in sketches:
        peer.unroll(s, 3)


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
    s = peer.forward(tree, peer.uneven_rows(tree))
    assert set(benchmark(peer.unroll, s, 2)) == paths_of(tree)


def test_ratios(benchmark: Any) -> None:
    spec, s = sketches(16, 2, 1024)
    note(benchmark, two_threads)
    benchmark(rs.Sketcher(spec, threads=1).unroll, s)
