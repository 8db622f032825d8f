"""How long it takes to learn matrices that nobody told from 10,000 sketches of runs of two levels, d = 4,096, on two
threads, and how much memory, beside the sketches: columns alone, and with masks and operators.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from coded import Coded
from figure import Figure, at_most, note

import recsketch as rs

SIZES = (300, 2000, 10_000)  # by effort
SECONDS, GIGABYTES = 10.0, 1.0


def _anonymous() -> float:
    """Gigabytes of memory that no file backs; NaN where the system does not tell."""
    try:
        text = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return float("nan")
    return next((int(line.split()[1]) / 1e6 for line in text.splitlines() if line.startswith("RssAnon")), float("nan"))


class Watch:
    """The most memory that was in use, looked at every 10 ms, beyond what was at first."""

    def __enter__(self) -> Watch:
        self.first = self.most = _anonymous()
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._look)
        self.thread.start()
        return self

    def _look(self) -> None:
        while not self.ended.wait(0.01):
            self.most = max(self.most, _anonymous())

    def __exit__(self, *_: Any) -> None:
        self.ended.set()
        self.thread.join()


def learning(effort: int) -> Iterator[Figure]:
    n, case = SIZES[effort], Coded()
    spec, rng = case.spec(0), np.random.default_rng(0)
    y = case.sketches(spec, case.runs(n // 2, 0))[0]
    y = np.concatenate([y, y * rng.choice(np.float32([0.5, 2.0]), (len(y), 1))])  # half of them anew, louder or fainter
    for operators in (False, True):
        with Watch() as memory:
            start, work = time.perf_counter(), time.process_time()
            found = rs.learn_dictionary(y, operators=operators, threads=2)
            seconds, work = time.perf_counter() - start, time.process_time() - work
        what = "columns, masks and operators" if operators else "columns"
        how = f"{n:,} sketches, both block sizes tried, two threads; {work:.1f} s of CPU time; {len(found)} columns"
        yield at_most(f"{what}: seconds", SECONDS, seconds, how, ".1f")
        yield at_most(f"{what}: gigabytes", GIGABYTES, memory.most - memory.first, "besides the sketches", ".2f")


FIGURES = (learning,)


@pytest.mark.parametrize("measure", FIGURES, ids=lambda f: f.__name__)
def test_figures(benchmark: Any, measure: Callable[[int], Iterator[Figure]]) -> None:
    benchmark.pedantic(note, (benchmark, measure), rounds=1)
