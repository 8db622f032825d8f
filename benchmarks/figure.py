"""One line of the table of figures."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

SMOKE, QUICK, FULL = 0, 1, 2  # how much to measure: everything once, under a minute in all, a few minutes in all


@dataclass(frozen=True)
class Figure:
    """What was measured, what it should be, and how; `met` is None where there is no target."""

    name: str
    target: str
    measured: str
    how: str
    met: bool | None = None

    def row(self, how: bool = True) -> str:
        short = "" if self.met is None or self.met else " **short**"
        cells = [self.name, self.target or "–", self.measured + short, *[self.how] * how]
        return f"| {' | '.join(cells)} |"


def table(figures: list[Figure], how: bool = True) -> str:
    head = Figure("figure", "target", "measured", "how").row(how)
    return "\n".join([head, "|---" * (3 + how) + "|", *(f.row(how) for f in figures)])


def at_most(name: str, limit: float, value: float, how: str, form: str = ".2g", note: str = "") -> Figure:
    return Figure(name, f"≤ {limit:g}", f"{value:{form}}{note}", how, bool(value <= limit))


def at_least(name: str, limit: float, value: float, how: str, note: str = "") -> Figure:
    digits = 0 if value >= 20 else 1 if value >= 5 else 2
    return Figure(name, f"≥ {limit:g}×", f"{value:.{digits}f}×{note}", how, bool(value >= limit))


def note(benchmark: Any, measure: Callable[[int], Iterable[Figure]]) -> None:
    """Measure figures and keep them beside a benchmark's times."""
    for f in measure(SMOKE if benchmark.disabled else QUICK):
        benchmark.extra_info[f.name] = f.measured
