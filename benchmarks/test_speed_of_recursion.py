"""Sketches of 84 objects: against the recursion in NumPy, a tree of hypervectors in torchhd, and a copy within L1."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest
from figure import Figure, at_least, at_most, note
from machine import interleaved, l1_copies
from peers import HyperTree, NumpyRecursion
from runs import full, full_batch, sketcher

from recsketch.plan import plan

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
            "plan": partial(plan, sk._core, sk.spec, batch, 1),
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
        with peer:
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
    """The time of one object in copies of d floats within L1, by the fastest way to copy."""
    for d in (1024, 4096):
        copies = l1_copies(d, COPIES)
        t = interleaved({"sketch": partial(sketcher(d).sketch, full_batch(RUNS)), **copies}, (1, 9, 41)[effort])
        found = {n: t["sketch"] / t[n] / (RUNS * OBJECTS) * COPIES for n in copies}
        name = max(found, key=lambda n: found[n])
        speed = 8 * d * COPIES / t[name].median / 1e9
        each = t["sketch"].median / RUNS / OBJECTS * 1e9
        how = f"{each:.0f} ns an object; copy by {name}, {speed:.0f} GB/s load and store"
        how += "".join(f"; in copies by {n} {found[n]:.1f}" for n in copies if n != name)
        yield at_most(f"one object of the recursion in copies of d floats in L1, d = {d}", 8, found[name], how, ".1f")


FIGURES = (recursion, hypervectors, one_object)


@pytest.mark.parametrize("d", TARGETS)
def test_sketch(benchmark: Any, d: int) -> None:
    benchmark.extra_info["objects"] = RUNS * OBJECTS
    benchmark(sketcher(d).sketch, full_batch(RUNS))


@pytest.mark.parametrize("d", TARGETS)
def test_numpy(benchmark: Any, d: int) -> None:
    tree, peer = full(np.random.default_rng(0)), NumpyRecursion(d, A)
    benchmark(peer.forward, tree, peer.rows(tree))


@pytest.mark.parametrize("d", TARGETS)
def test_torchhd(benchmark: Any, d: int) -> None:
    pytest.importorskip("torchhd")
    with HyperTree(d, full(np.random.default_rng(0)), A) as peer:
        benchmark(peer.work())


@pytest.mark.parametrize("d", TARGETS)
def test_copies_in_l1(benchmark: Any, d: int) -> None:
    copies = l1_copies(d, COPIES)
    benchmark.extra_info["copies"] = COPIES
    benchmark(copies.get("vector loop", copies["memcpy"]))


@pytest.mark.parametrize("measure", FIGURES, ids=lambda f: f.__name__)
def test_ratios(benchmark: Any, measure: Any) -> None:
    note(benchmark, measure)
    benchmark(sketcher(1024).sketch, full_batch(RUNS))
