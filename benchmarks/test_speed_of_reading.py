"""All attributes of runs are read back, their structure being known: by the adjoint of the recursion, by the matched
filter, which scales the adjoint's answer, and by least squares, which is exact.

The peer is the same recursion in NumPy, in float32; for least squares it is SciPy's LSQR over that recursion, in
float64 and to 1e-6. "sketch" is the time to sketch the same runs. The limit is one copy of d floats within the L1 cache
for each object; for least squares it is a forward and an adjoint sweep for each iteration.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest
from cases import Contender, limit, ours
from figure import Figure
from machine import interleaved, l1_copy
from numpy_unroll import NumpyUnroll, paths_in_order
from runs import full, full_batch, planned, sketcher

OBJECTS, RUNS = 84, 16
LENGTHS = {1024: 7, 4096: 31}  # d and a: 84 objects at a load of 0.66


SIZES = {  # d, a, runs, depth
    "1 run of 20 objects, d = 256": (256, 8, 1, 2),
    "16 runs of 84, a = 7, d = 1024": (1024, 7, RUNS, 3),
    "16 runs of 84, d = 4096": (4096, 32, RUNS, 3),
}
CASES = {
    f"{method}, {name}": (method, *size) for method in ("adjoint", "matched", "lstsq") for name, size in SIZES.items()
}


def _work(d: int, a: int, runs: int = RUNS, depth: int = 3, threads: int = 1) -> dict[str, Callable[[], object]]:
    sk, batch = sketcher(d, a, threads), full_batch(runs, a, depth=depth)
    s, p = sk.sketch(batch), planned(sk, batch)
    return {
        "sketch": partial(sk.sketch, batch),
        "adjoint": partial(p.adjoint, s, np.empty(p.attributes, np.float32), None, threads),
        "matched": partial(sk.recover, s, batch, "matched"),
        "lstsq": partial(sk.recover, s, batch),
    }


def reading(effort: int) -> Iterator[Figure]:
    """Times of reading over the time to sketch the same batch."""
    for d, a in LENGTHS.items():
        work = _work(d, a)
        t = interleaved(work, (1, 3, 11)[effort])
        found: Any = work["lstsq"]()
        steps = statistics.median(r.iterations for r in found)
        how = (
            f"one thread, {RUNS} runs of {OBJECTS} objects, a = {a}, load {OBJECTS * (a + 1) / d:.2f}; lstsq "
            f"{t['lstsq'].median / RUNS * 1e3:.1f} ms a run, median {steps:g} iterations"
        )
        measured = ", ".join(f"{name} {t[name] / t['sketch']:.3g}" for name in ("adjoint", "matched", "lstsq"))
        yield Figure(f"reading, in sketches of the same runs, d = {d}", "", measured, how)


FIGURES = (reading,)


def _peer(d: int, a: int, runs: int, depth: int, method: str) -> dict[str, Contender]:
    """The same in NumPy, with SciPy's LSQR to 1e-6, on a run of its own matrices; lengths must be powers of two."""
    if a & (a - 1):
        return {}
    lstsq = method == "lstsq"
    peer, tree = NumpyUnroll(d, a, tuned=not lstsq), full(np.random.default_rng(0), depth=depth)
    s, paths = peer.forward(tree, peer.uneven_rows(tree).astype(peer.dtype)), paths_in_order(tree)
    call = peer.lstsq if lstsq else peer.adjoint
    return {"NumPy, SciPy": Contender(partial(call, paths, s), scale=runs)}


def _least(d: int, a: int, runs: int, depth: int, method: str) -> dict[str, Contender]:
    """The limit: copies of d floats, or for least squares the two sweeps of every iteration."""
    objects = runs * len(full(np.random.default_rng(0), depth=depth))
    if method != "lstsq":
        return limit("copies of d floats", l1_copy(d), objects / 2000)
    sk, batch = sketcher(d, a), full_batch(runs, a, depth=depth)
    s, p = sk.sketch(batch), planned(sk, batch)
    steps = statistics.mean(r.iterations for r in sk.recover(s, batch))

    def sweeps() -> None:
        p.sketch(batch.attributes, None, s, 1)
        p.adjoint(s, np.empty(p.attributes, np.float32), None, 1)

    return limit("sweeps", sweeps, steps)


@pytest.mark.parametrize("case", CASES)
def test_reading(contest: Any, case: str) -> None:
    method, d, a, runs, depth = CASES[case]
    work = ours(lambda k: _work(d, a, runs, depth, k)[method])
    if method != "adjoint":
        work["sketch"] = Contender(_work(d, a, runs, depth)["sketch"], "variant")
    objects = runs * len(full(np.random.default_rng(0), depth=depth))
    contest({**work, **_peer(d, a, runs, depth, method), **_least(d, a, runs, depth, method)}, objects, "objects")
