"""Batches of runs are folded into sketches: full trees of fan 4 over four modules, attributes of 64 numbers.

There are two peers. One is the same recursion in NumPy, in float32, with one run after the other or with all runs as
rows of one array; as rows of one array the runs must share their structure, which recsketch does not ask for. The other
is the same tree of hypervectors in torchhd's MAP model, which does less work. The limit is one copy of d floats within
the L1 cache for each object.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest
from cases import Contender, limit, ours
from figure import Figure, at_least, at_most
from machine import interleaved, l1_copies, l1_copy
from peers import HyperTree, NumpyRecursion, optional
from runs import full, full_batch, planned, sketcher

import recsketch as rs
from recsketch.sketching.encoding import encoded

A, OBJECTS, RUNS = 64, 84, 32
COPIES = 2000
TARGETS = {1024: 60, 4096: 40, 16384: 28}


def recursion(effort: int) -> Iterator[Figure]:
    """Sketches of 32 runs beside the same recursion in NumPy, and the share of checking and ordering the batch."""
    shares = []
    for d, target in TARGETS.items():
        sk, batch, tree = sketcher(d), full_batch(RUNS), full(np.random.default_rng(0))
        peer, tuned = NumpyRecursion(d, A), NumpyRecursion(d, A, tuned=True)
        work = {
            "recsketch": partial(sk.sketch, batch),
            "plan": partial(planned, sk, batch),
            "numpy": partial(peer.forward, tree, peer.rows(tree)),
            "tuned": partial(tuned.forward, tree, tuned.rows(tree)),
        }
        t = interleaved(work, (1, 5, 31)[effort])
        rows = interleaved({"rows": partial(tuned.forward, tree, tuned.rows(tree, RUNS))}, (1, 2, 5)[effort])["rows"]
        ours = t["recsketch"]
        best = min(t["tuned"] / ours * RUNS, rows.median / ours.median)
        shares.append(f"{t['plan'] / ours:.1%}")
        how = (
            f"one thread, batch of {RUNS} runs, depth 3, fan 4, a = {A}, 4 modules: {RUNS / ours.median:,.0f} runs a "
            f"second; against float32 NumPy, run by run or all {RUNS} at once, whichever is faster: {best:.0f}×"
        )
        name = f"recursion over {OBJECTS} objects, d = {d}, against the recursion in NumPy"
        yield at_least(name, target, t["numpy"] / ours * RUNS, how)
    how = f"same batches, d = {', '.join(map(str, TARGETS))}"
    yield Figure("share of checking and ordering the batch", "", ", ".join(shares), how)


def hypervectors(effort: int) -> Iterator[Figure]:
    """The same tree of hypervectors in torchhd, where it is installed."""
    for d in TARGETS:
        name = f"recursion against torchhd MAP on the same tree, d = {d}"
        sk, batch, tree = sketcher(d), full_batch(RUNS), full(np.random.default_rng(0))
        try:
            peer = HyperTree(d, tree, A)
        except ImportError:
            yield Figure(name, "≥ 9×", "not measured", "torch-hd is not installed")
            continue
        work = {
            "recsketch": partial(sk.sketch, batch),
            "one": peer.work(),
            "given": peer.work(projected=True),
            "rows": peer.work(RUNS),
        }
        t = interleaved(work, (1, 5, 15)[effort])
        ours = t["recsketch"]
        how = (
            f"one thread, run by run, from attributes of {A} numbers: {1 / t['one'].median:,.0f} runs a second; "
            f"attributes given as hypervectors {t['given'] / ours * RUNS:.1f}×; "
            f"{RUNS} runs as rows of one tensor {t['rows'] / ours:.1f}×"
        )
        yield at_least(name, 9, t["one"] / ours * RUNS, how)


def one_object(effort: int) -> Iterator[Figure]:
    """The time of one object in copies of d floats within L1: by the sweep alone, and by a whole call of `sketch`."""
    wide = rs.isa() == "avx512"
    for d, most in zip(TARGETS, (6.0, 4.5, 4.5) if wide else (10.0, 8.0, 8.5), strict=True):
        sk, batch = sketcher(d), full_batch(RUNS)
        copies = l1_copies(d, COPIES)
        best = "vector loop" if "vector loop" in copies else "memcpy"  # there may be no C compiler
        p, out = planned(sk, batch), np.empty((RUNS, d), np.float32)
        unknowns = encoded(sk._matrices, batch, p.module, 1)
        work = {"sweep": partial(p.sketch, unknowns, None, out, 1), "sketch": partial(sk.sketch, batch)}
        t = interleaved({**work, **copies}, (1, 9, 41)[effort])
        own, whole = ({n: t[name] / t[n] / (RUNS * OBJECTS) * COPIES for n in copies} for name in ("sweep", "sketch"))
        each = {name: t[name].median / RUNS / OBJECTS * 1e9 for name in work}
        how = (
            f"copies by {best}, {8 * d * COPIES / t[best].median / 1e9:.0f} GB/s load and store; by "
            f"memcpy {own['memcpy']:.1f}; {each['sweep']:.0f} ns an object, {each['sketch']:.0f} with encoding and "
            f"planning, which are {whole[best]:.1f} copies"
        )
        name = f"one object of the recursion in copies of d floats in L1, d = {d}"
        yield at_most(name, most, own[best], how, ".1f")


FIGURES = (recursion, hypervectors, one_object)


CASES = {  # d, runs, depth, attribute length
    "1 run of 4 objects, d = 256": (256, 1, 1, 16),
    "31 runs of 84, a = 33, d = 2048": (2048, 31, 3, 33),
    **{f"32 runs of 84, d = {d}": (d, RUNS, 3, A) for d in TARGETS},
}


def _work(d: int, runs: int, depth: int, a: int) -> dict[str, Contender]:
    batch, tree = full_batch(runs, a, depth=depth), full(np.random.default_rng(0), depth=depth)
    peer = NumpyRecursion(d, 1 << (a - 1).bit_length(), tuned=True)
    found = {
        "NumPy": Contender(partial(peer.forward, tree, peer.rows(tree)), scale=runs),
        "NumPy, runs as rows": Contender(partial(peer.forward, tree, peer.rows(tree, runs))),
    }
    if optional("torchhd"):
        hyper = HyperTree(d, tree, a)
        found["torchhd"] = Contender(hyper.work(), scale=runs)
        found["torchhd, runs as rows"] = Contender(hyper.work(runs))
    copies = limit("copies of d floats", l1_copy(d, COPIES), runs * len(tree) / COPIES)
    return {**ours(lambda k: partial(sketcher(d, a, k).sketch, batch)), **found, **copies}


@pytest.mark.parametrize("case", CASES)
def test_sketch(contest: Any, case: str) -> None:
    d, runs, depth, a = CASES[case]
    contest(_work(d, runs, depth, a), runs * len(full(np.random.default_rng(0), depth=depth)), "objects")
