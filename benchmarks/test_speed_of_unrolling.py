"""Whole runs, full trees over four modules, are rebuilt from their sketches and the specification alone.

Two threads share the sketches between them. The peer is the same search in NumPy and SciPy, as the prototype of the
design did it, on one run with matrices of its own; it is told the fan and the depth, which recsketch has to find. The
search is far from any limit of the machine. For comparison there is least squares by recsketch, which is given the
structure.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest
from cases import Contender, ours
from figure import SMOKE, Figure, at_least
from machine import interleaved
from numpy_unroll import NumpyUnroll, paths_of
from runs import full, plain_modules

import recsketch as rs

OBJECTS, DIM = 84, 4096
LENGTHS = (16, 32)  # loads 0.35 and 0.68


def _spec(a: int, dim: int) -> rs.SketchSpec:
    """Attributes are linear, as the peer's are."""
    return rs.SketchSpec(dim, plain_modules(a), max_inputs=8, seed=1, attributes="linear")


def sketches(a: int, runs: int, dim: int = DIM) -> tuple[rs.SketchSpec, Any]:
    """Full trees of depth 3 and fan 4 over four modules."""
    rng, spec = np.random.default_rng(a), _spec(a, dim)
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
    """The wall time of 64 sketches on one thread over that on two."""
    spec, s = sketches(16, 2 if effort == SMOKE else 64)
    rounds = (1, 5, 15)[effort]
    t = interleaved({str(n): partial(rs.Sketcher(spec, threads=n).unroll, s) for n in (1, 2)}, rounds)
    how = f"64 sketches of 84 objects, d = 4096, a = 16, best wall time of {rounds} interleaved rounds"
    yield at_least("unrolling on two threads against one", 1.8, t["1"].best / t["2"].best, how)


FIGURES = (against_numpy, two_threads)


CASES = {  # d, a, depth, fan, sketches
    "12 objects, d = 512, load 0.40": (512, 16, 2, 3, 1),
    "84 objects, a = 7, d = 1024, load 0.66": (1024, 7, 3, 4, 7),
    "84 objects, d = 4096, load 0.35": (DIM, 16, 3, 4, 8),
    "84 objects, d = 4096, load 0.68": (DIM, 32, 3, 4, 8),
}


@pytest.mark.parametrize("case", CASES)
def test_unroll(contest: Any, case: str) -> None:
    d, a, depth, fan, count = CASES[case]
    rng = np.random.default_rng(a)
    tree = full(rng, depth=depth, fan=fan)
    spec, batch = _spec(a, d), rs.TraceBatch.from_traces([tree.trace(rng, plain_modules(a)) for _ in range(count)])
    s = rs.Sketcher(spec).sketch(batch)
    work = ours(lambda k: partial(rs.Sketcher(spec, threads=k).unroll, s))
    if not a & (a - 1):
        peer = NumpyUnroll(d, a, fan=fan, seed=2)
        own = peer.forward(tree, peer.uneven_rows(tree)).astype(np.float32).astype(float)
        work["NumPy, SciPy"] = Contender(partial(peer.unroll, own, depth), scale=count)
    given = partial(rs.Sketcher(spec, threads=1).recover, s, batch)
    work["lstsq, structure given"] = Contender(given, "variant")
    contest(work, count * len(tree), "objects")
    assert all(u.complete for u in rs.Sketcher(spec).unroll(s))
