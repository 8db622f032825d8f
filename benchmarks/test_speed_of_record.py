"""What recording plain Python costs a call, beside the call itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from figure import Figure
from machine import interleaved

from recsketch.capture.record import module, record

CALLS = (100, 1000, 1000)  # by effort, of one run
ROUNDS = (1, 7, 21)


def pushed(x: list[float]) -> list[float]:
    return [x[0] + 1.0]


marked = module("step", attribute=lambda x: x)(pushed)


def chain(f: Callable[[Any], Any], calls: int) -> None:
    x = [0.0]
    for _ in range(calls):
        x = f(x)


def recorded(work: Callable[[], object]) -> None:
    with record() as runs:
        work()
    assert len(runs) == 1


def fanned(f: Callable[[Any], Any], calls: int) -> None:
    """Each call gets the results of ten others, in a list."""
    last = [[0.0]] * 10
    for _ in range(calls):
        last = [*last[1:], f(last[-1] + last)]


def calls(effort: int) -> Iterator[Figure]:
    n = CALLS[effort]
    for kind, shape in (("one argument", chain), ("a list of ten results", fanned)):
        work = {
            "plain": partial(shape, pushed, n),
            "marked": partial(shape, marked, n),
            "recorded": partial(recorded, partial(shape, marked, n)),
        }
        t = interleaved(work, ROUNDS[effort])
        each = {name: t[name].median / n * 1e6 for name in work}
        how = (
            f"{n} calls of one run, attributes of one number; the call {each['plain']:.2f} µs, "
            f"marked but not recorded {each['marked'] - each['plain']:.2f} µs more"
        )
        yield Figure(f"recording a call, µs, {kind}", "", f"{each['recorded'] - each['plain']:.1f}", how)


FIGURES = (calls,)


@pytest.mark.parametrize("shape", [chain, fanned])
def test_record(benchmark: Any, shape: Any) -> None:
    benchmark(recorded, partial(shape, marked, 100))
