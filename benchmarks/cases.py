"""How every speed topic times a case: all contenders in turn, and what is kept of them for report.py."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from machine import Times, interleaved

Run = Callable[[], object]
OURS, TWO = "recsketch", "recsketch, 2 threads"
# Rounds of a case, and seconds: there are fewer rounds, but at least three, where they would take longer than that.
ROUNDS, BUDGET = 15, 3.0


@dataclass(frozen=True)
class Contender:
    """A way to do the work of a case, or a limit that no way could beat.

    `role` is "ours", "variant" (another way of our own), "peer" or "limit". `scale` multiplies its time where one call
    does not do the whole work.
    """

    run: Run
    role: str = "peer"
    threads: int = 1
    scale: float = 1.0

    def __call__(self) -> object:
        return self.run()


def ours(call: Callable[[int], Run]) -> dict[str, Contender]:
    """recsketch on one thread, and on two where there are two cores; `call(threads)` makes what is timed."""
    one = {OURS: Contender(call(1), "ours")}
    return one if (os.cpu_count() or 1) < 2 else {**one, TWO: Contender(call(2), "ours", 2)}


def peers(found: Mapping[str, Run], **more: Any) -> dict[str, Contender]:
    return {name: Contender(run, **more) for name, run in found.items()}


def limit(name: str, run: Run, scale: float = 1.0) -> dict[str, Contender]:
    return {name: Contender(run, "limit", scale=scale)}


def one_thread(work: Mapping[str, Contender]) -> dict[str, Contender]:
    return {name: c for name, c in work.items() if c.threads == 1}


def contest(
    benchmark: Any, work: Mapping[str, Contender], amount: float, unit: str, *, alone: bool = False
) -> dict[str, Times]:
    """Time all contenders in interleaved rounds, then recsketch by pytest-benchmark; `alone` leaves out the first.

    The results keep the work of one call, `amount` of `unit`, and for every contender the quartiles of its seconds and
    of their ratio to recsketch within a round, on as many threads where that was measured. One thread is timed by its
    CPU time, which leaves out what other processes took; several threads are timed by the wall clock.
    """
    times: dict[str, Times] = {}
    if not alone:
        times = interleaved(work, 1 if benchmark.disabled else ROUNDS, budget=BUDGET)
        entries = [_entry(name, work, times) for name in work]
        benchmark.extra_info.update(amount=amount, unit=unit, contenders=entries)
    benchmark(work[OURS].run)
    return times


def _entry(name: str, work: Mapping[str, Contender], times: Mapping[str, Times]) -> dict[str, Any]:
    import numpy as np

    c = work[name]
    base = TWO if c.threads > 1 and c.role != "ours" and TWO in work else OURS
    clock = "wall" if c.threads > 1 else "cpu"
    seconds, against = c.scale * getattr(times[name], clock), getattr(times[base], clock)
    return {
        "name": name,
        "role": c.role,
        "threads": c.threads,
        "rounds": seconds.size,
        "seconds": np.quantile(seconds, (0.25, 0.5, 0.75)).tolist(),
        "ratio": np.quantile(seconds / against, (0.25, 0.5, 0.75)).tolist(),
    }
