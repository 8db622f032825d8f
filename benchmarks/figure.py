"""A figure: something measured, the target it should reach, and how it was measured. One line of docs/figures.md."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

# How much a figure may measure: everything once, to see that it runs; five minutes in all; an hour in all.
SMOKE, QUICK, FULL = 0, 1, 2

SHORT = " **short**"  # stands behind what misses its target


@dataclass(frozen=True)
class Figure:
    """One measurement.

    `target` says what it should be, such as "≤ 0.02" or "≥ 95%"; "" where there is no target. `met` says whether it is
    reached, and is None where there is no target or nothing was measured. `how` says over which runs and sizes.
    """

    name: str
    target: str
    measured: str
    how: str
    met: bool | None = None

    def row(self) -> str:
        short = "" if self.met is None or self.met else SHORT
        return f"| {self.name} | {self.target or '–'} | {self.measured}{short} | {self.how} |"


def table(figures: list[Figure]) -> str:
    head = Figure("figure", "target", "measured", "how").row()
    return "\n".join([head, "|---|---|---|---|", *(f.row() for f in figures)])


def at_most(name: str, limit: float, value: float, how: str, form: str = ".2g", note: str = "") -> Figure:
    """A figure that should not exceed a limit."""
    return Figure(name, f"≤ {limit:g}", f"{value:{form}}{note}", how, bool(value <= limit))


def at_least(name: str, limit: float, value: float, how: str, note: str = "") -> Figure:
    """A figure, some number of times, that should reach a limit."""
    digits = 0 if value >= 20 else 1 if value >= 5 else 2
    return Figure(name, f"≥ {limit:g}×", f"{value:.{digits}f}×{note}", how, bool(value >= limit))


def share(name: str, limit: float, good: int, runs: int, how: str) -> Figure:
    """A figure, the share of runs that come out right, that should reach a limit."""
    return Figure(name, f"≥ {100 * limit:g}%", f"{good / runs:.1%} ({good}/{runs})", how, good / runs >= limit)


def note(benchmark: Any, measure: Callable[[int], Iterable[Figure]]) -> None:
    """Measure figures and keep them with a benchmark's times in the results of pytest-benchmark."""
    for f in measure(SMOKE if benchmark.disabled else QUICK):
        benchmark.extra_info[f.name] = f.measured
