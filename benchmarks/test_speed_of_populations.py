"""Attributes of runs are measured module by module, and sketches are added to a population. The limit is to read them
once from memory, added up as integers.

100,000 sketches of 4,096 numbers go into a population in chunks, as they would come. Statistics are those of batches of
runs of 84 objects.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache, partial
from typing import Any

import numpy as np
import pytest
from cases import OURS, Contender, Run, limit
from figure import Figure, at_least
from machine import interleaved, read
from runs import full_batch

import recsketch as rs

SKETCHES, DIM = 100_000, 4096
CHUNK = 4096  # sketches that are added at a time
OBJECTS = 84
ADDED = {"sketches of 4096": CHUNK}
CASES = {"a = 64": (64, 1000), "a = 256": (256, 250), "a = 1024": (1024, 60)}  # elements, runs


@lru_cache(maxsize=1)
def chunk() -> Any:
    return np.random.default_rng(0).standard_normal((CHUNK, DIM), np.float32)


def _population(sketches: int) -> Run:
    """In chunks of one array, 64 MB that no cache holds: 100,000 sketches take 1.6 GB."""
    population, x = rs.Population(rs.SketchSpec.additive(DIM, {"page": 24})), chunk()

    def run() -> None:
        for begin in range(0, sketches, CHUNK):
            population.update(x[: sketches - begin])

    return run


def _reading(sketches: int) -> Run:
    x = chunk()

    def run() -> None:
        for begin in range(0, sketches, CHUNK):
            read(x[: sketches - begin])()

    return run


def _statistics(batch: rs.TraceBatch) -> Run:
    def run() -> None:
        rs.ModuleStatistics().update(batch)

    return run


def adding(effort: int) -> Iterator[Figure]:
    sketches = (CHUNK, 4 * CHUNK, SKETCHES)[effort]
    t = interleaved({"add": _population(sketches), "read": _reading(sketches)}, (1, 3, 7)[effort])
    speed = 4e-9 * sketches * DIM
    how = (
        f"{sketches:,} sketches of {DIM} in chunks of {CHUNK}, one thread: {speed / t['add'].median:.1f} GB/s, reading "
    )
    yield at_least("Population.update over reading", 0.5, t["read"] / t["add"], f"{how}{speed / t['read'].median:.1f}")


def measuring(effort: int) -> Iterator[Figure]:
    for name, (a, runs) in CASES.items():
        batch = full_batch((2, runs, 4 * runs)[effort], a)
        x = batch.attributes
        t = interleaved({"update": _statistics(batch), "read": read(x)}, (1, 5, 15)[effort])
        speed = 1e-9 * x.nbytes
        how = f"{len(batch):,} runs of {OBJECTS} objects, one thread: {speed / t['update'].median:.1f} GB/s, reading "
        how += f"{speed / t['read'].median:.1f}"
        yield at_least(f"ModuleStatistics.update over reading, {name}", 0.5, t["read"] / t["update"], how)


FIGURES = (adding, measuring)


@pytest.mark.parametrize("case", ADDED)
def test_update(contest: Any, case: str) -> None:
    sketches = ADDED[case]
    work = {OURS: Contender(_population(sketches), "ours"), **limit("read", _reading(sketches))}
    contest(work, sketches * DIM, "numbers")


@pytest.mark.parametrize("case", CASES)
def test_statistics(contest: Any, case: str) -> None:
    a, runs = CASES[case]
    batch = full_batch(runs, a)
    x = batch.attributes.reshape(-1, a)
    peer = partial(lambda y: (y.mean(axis=0, dtype=np.float64), y.var(axis=0, dtype=np.float64)), x)
    work = {
        OURS: Contender(_statistics(batch), "ours"),
        "NumPy's mean and var": Contender(peer),
        **limit("read", read(batch.attributes)),
    }
    contest(work, x.size, "numbers")
