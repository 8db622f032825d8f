"""Batches of ragged runs of 84 objects, all of different structure, are sketched beside batches of one structure; and
traces, which are Python objects, are packed into the columns of a batch.

A run is one task for one thread, so a single run gains nothing from a second thread. The limit of sketching is one copy
of d floats within the L1 cache for each object. Packing is compared with NumPy's concatenation of the attributes alone;
its limit is a copy of them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest
from cases import OURS, Contender, limit, ours
from figure import Figure, at_least, at_most
from machine import interleaved, l1_copy
from runs import Tree, full, full_batch, plain_modules, ragged, sketcher

import recsketch as rs

A, OBJECTS = 64, 84


def threads(effort: int) -> Iterator[Figure]:
    """Two threads against one, by the best wall time: whatever else runs on the machine can only slow them down."""
    for d, runs in ((1024, 256), (4096, 64)):
        name = f"two threads against one, d = {d}"
        if (os.cpu_count() or 1) < 2:
            yield Figure(name, "≥ 1.8×", "not measured", "one core")
            continue
        batch = full_batch(runs)
        work = {str(n): partial(sketcher(d, threads=n).sketch, batch) for n in (1, 2)}
        t = interleaved(work, (1, 60, 300)[effort], least=0.0)
        how = f"batch of {runs} runs of {OBJECTS} objects, best wall time of {t['1'].wall.size} interleaved rounds"
        yield at_least(name, 1.8, t["1"].best / t["2"].best, how)


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


FIGURES = (threads, structures, columns)
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
    """One run of 84 objects is one task: a thread takes whole runs."""
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
