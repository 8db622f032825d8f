"""Reading attributes back: the adjoint sweep, the matched filter and least squares, beside the sketch itself."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest
from figure import Figure, note
from machine import interleaved
from runs import full_batch, sketcher

from recsketch.plan import plan

OBJECTS, RUNS = 84, 16
LENGTHS = {1024: 7, 4096: 31}  # d and a: 84 objects at a load of 0.66


def _work(d: int, a: int) -> dict[str, Callable[[], object]]:
    sk, batch = sketcher(d, a), full_batch(RUNS, a)
    s, p = sk.sketch(batch), plan(sk._core, sk.spec, batch, 1)
    return {
        "sketch": partial(sk.sketch, batch),
        "adjoint": partial(p.adjoint, s, np.empty(p.attributes, np.float32), None, 1),
        "matched": partial(sk.recover, s, batch, "matched"),
        "lstsq": partial(sk.recover, s, batch),
    }


def reading(effort: int) -> Iterator[Figure]:
    """Times in sketches of the same batch."""
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


@pytest.mark.parametrize("name", ["sketch", "adjoint", "matched", "lstsq"])
@pytest.mark.parametrize("d", LENGTHS)
def test_reading(benchmark: Any, d: int, name: str) -> None:
    benchmark(_work(d, LENGTHS[d])[name])


def test_ratios(benchmark: Any) -> None:
    note(benchmark, reading)
    benchmark(_work(1024, LENGTHS[1024])["adjoint"])
