"""Batches of ragged runs of 84 objects, all of different structure, are sketched beside batches of one structure; and
traces, which are Python objects, are packed into the columns of a batch.

Runs are handed out whole, longest first; a tree that would leave threads idle is split among them once it is large. The
limit of sketching is one copy of d floats within the L1 cache for each object. Packing is compared with NumPy's
concatenation of the attributes alone; its limit is a copy of them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest
from cases import OURS, Contender, Run, limit, ours
from figure import Figure, at_least, at_most
from machine import interleaved, l1_copy
from runs import Tree, full, full_batch, plain_modules, ragged, sketcher

import recsketch as rs

A, OBJECTS = 64, 84
Call = Callable[[int], Run]  # what is timed, by the number of threads


CORES = os.cpu_count() or 1


def _against_one(name: str, target: float, n: int, work: Call, rounds: int, how: str) -> Figure:
    """n threads against one, by the best wall time: whatever else runs on the machine can only slow them down."""
    if n > CORES:
        return Figure(name, f"≥ {target}×", "not measured", f"{CORES} cores")
    t = interleaved({str(k): work(k) for k in (1, n)}, rounds, least=0.0)
    how = f"{how}, best wall time of {t['1'].wall.size} interleaved rounds"
    return at_least(name, target, t["1"].best / t[str(n)].best, how)


def threads(effort: int) -> Iterator[Figure]:
    """Batches of equal runs, one of unequal runs, and single runs, which threads share."""
    for n, target, d, runs in ((2, 1.8, 1024, 256), (2, 1.8, 4096, 64), (8, 6.5, 4096, 64)):
        batch, how = full_batch(runs), f"batch of {runs} runs of {OBJECTS} objects"
        name = f"{'two' if n == 2 else 'eight'} threads against one, d = {d}"
        yield _against_one(name, target, n, partial(_sketch, d, batch), (1, 60, 300)[effort], how)
    rng = np.random.default_rng(7)
    trees = [ragged(rng, [A] * 4, objects=size, depth=4) for size in (340, *range(4, 84, 4))]
    batch = _batch(rng, trees)
    how = f"one run of {len(trees[0])} objects and {len(trees) - 1} of 4 to 80"
    name = "two threads against one, unequal runs, d = 4096"
    yield _against_one(name, 1.8, 2, partial(_sketch, 4096, batch), (1, 60, 300)[effort], how)


def one_run(effort: int) -> Iterator[Figure]:
    """One full tree of 340 objects, in three ways."""
    for d, rounds in ((16384, (1, 60, 300)), (65536, (1, 30, 100))):
        batch = full_batch(1, depth=4)
        name = f"sketch of one run on two threads against one, d = {d}"
        yield _against_one(name, 1.8, 2, partial(_sketch, d, batch), rounds[effort], "340 objects")
    batch, d = full_batch(1, 32, depth=4), 16384
    s = sketcher(d, 32).sketch(batch)
    for how, rounds in (("recover", (1, 5, 15)), ("unroll", (1, 5, 15))):
        given = () if how == "unroll" else (batch,)
        work = partial(_read, d, how, s, *given)
        yield _against_one(
            f"{how} one run on two threads against one", 1.8, 2, work, rounds[effort], f"340 objects, d = {d}, a = 32"
        )


def _sketch(d: int, batch: rs.TraceBatch, threads: int) -> Run:
    return partial(sketcher(d, threads=threads).sketch, batch)


def _read(d: int, how: str, s: Any, *args: Any) -> Run:
    *given, threads = args
    return partial(getattr(sketcher(d, 32, threads=threads), how), s, *given)


def structures(effort: int) -> Iterator[Figure]:
    """A batch in which every run has another structure, against batches of one of these structures each."""
    d, runs, rng = 4096, 64, np.random.default_rng(5)
    sk, trees = sketcher(d), [ragged(rng, [A] * 4, objects=OBJECTS) for _ in range(runs)]
    work = {str(i): partial(sk.sketch, _batch(rng, [trees[i]] * runs)) for i in range(0, runs, runs // 4)}
    t = interleaved({"mixed": partial(sk.sketch, _batch(rng, trees)), **work}, (1, 5, 15)[effort])
    same = sum(t[name].cpu for name in work) / len(work)
    ratio = float(np.median(t["mixed"].cpu / same))
    how = f"{runs} ragged runs of {OBJECTS} objects, d = {d}, all different, over the mean of 4 batches of one each"
    yield at_most("time of a batch of different structures over one of the same", 1.05, ratio, how, ".2f")


def _batch(rng: np.random.Generator, trees: list[Tree]) -> rs.TraceBatch:
    return rs.TraceBatch.from_traces([tree.trace(rng, plain_modules(A)) for tree in trees])


def _traces(count: int, depth: int) -> list[rs.Trace]:
    rng = np.random.default_rng(6)
    return [full(rng, depth=depth).trace(rng, plain_modules(A)) for _ in range(count)]


def columns(effort: int) -> Iterator[Figure]:
    """Packing Python traces into columns, against sketching them."""
    count, d = (20, 1000, 10000)[effort], 1024
    for depth in (3, 2, 1):
        traces, sk = _traces(count, depth), sketcher(d)
        packed = rs.TraceBatch.from_traces(traces)
        work = {"pack": partial(rs.TraceBatch.from_traces, traces), "sketch": partial(sk.sketch, packed)}
        t = interleaved(work, (1, 3, 7)[effort])
        each = t["pack"].median / count * 1e6
        how = f"{count:,} runs of {len(traces[0])} objects, a = {A}, d = {d}; packing {each:.1f} µs a run"
        name = f"TraceBatch.from_traces over sketching, {len(traces[0])} objects a run"
        yield at_most(name, 2, t["pack"] / t["sketch"], how)


FIGURES = (threads, one_run, structures, columns)
BATCHES = {  # d, runs, different structures
    "1 run, d = 1024": (1024, 1, 1),
    "7 runs, d = 512": (512, 7, 7),
    "64 runs, d = 1024": (1024, 64, 64),
    "64 runs, d = 4096": (4096, 64, 64),
}
PACKS = {  # runs, depth
    "packing 1 run of 4 objects": (1, 1),
    "packing 999 runs of 20": (999, 2),
    "packing 1000 runs of 84": (1000, 3),
}


def _copies(d: int, objects: int) -> dict[str, Contender]:
    return limit("copies of d floats", l1_copy(d), objects / 2000)


@pytest.mark.parametrize("case", BATCHES)
def test_sketch(contest: Any, case: str) -> None:
    """A run of 84 objects is not large enough to be split: a thread takes whole runs."""
    d, runs, kinds = BATCHES[case]
    rng = np.random.default_rng(5)
    trees = [ragged(rng, [A] * 4, objects=OBJECTS) for _ in range(kinds)]
    batch = _batch(rng, [trees[i % kinds] for i in range(runs)])
    work = ours(lambda k: partial(sketcher(d, threads=k).sketch, batch))
    same = Contender(partial(sketcher(d).sketch, _batch(rng, trees[:1] * runs)), "variant")
    contest({**work, "one structure": same, **_copies(d, runs * OBJECTS)}, runs * OBJECTS, "objects")


@pytest.mark.parametrize("case", PACKS)
def test_from_traces(contest: Any, case: str) -> None:
    count, depth = PACKS[case]
    traces = _traces(count, depth)
    attributes = [o.attribute for t in traces for o in t.objects]
    work = {
        OURS: Contender(partial(rs.TraceBatch.from_traces, traces), "ours"),
        "sketch, d = 1024": Contender(partial(sketcher(1024).sketch, rs.TraceBatch.from_traces(traces)), "variant"),
        "np.concatenate": Contender(partial(np.concatenate, attributes)),
        **limit("copy", np.concatenate(attributes).copy),
    }
    contest(work, len(attributes), "objects")
