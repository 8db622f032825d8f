"""How often an edited page finds the page it was made from, by the sketches of 4,000."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest
from figure import QUICK, SMOKE, Figure, share

import recsketch as rs

PAGES, D = 4000, 1024
MODULES = {"page": 8, "line": 64, "char": 32}
SAME = np.eye(1, 32)[0] * 0.3  # what all characters share


class Line(NamedTuple):
    """Attributes of a line (64,) and of its characters (n, 32), of norm about one."""

    own: np.ndarray
    chars: np.ndarray


class Page(NamedTuple):
    own: np.ndarray
    lines: list[Line]

    def trace(self) -> rs.Trace:
        run = rs.Trace()
        lines = [run.add("line", x.own, [run.add("char", c) for c in x.chars]) for x in self.lines]
        run.outputs([run.add("page", self.own, lines)])
        return run


def new_line(rng: np.random.Generator) -> Line:
    return Line(_direction(rng, 64), _direction(rng, 32, int(rng.integers(1, 16))) + SAME)


def new_page(rng: np.random.Generator) -> Page:
    """1 to 6 lines of 1 to 15 characters."""
    return Page(_direction(rng, 8), [new_line(rng) for _ in range(int(rng.integers(1, 7)))])


def _direction(rng: np.random.Generator, a: int, *shape: int) -> np.ndarray:
    return (rng.standard_normal((*shape, a)) / np.sqrt(a)).astype(np.float32)


def inserted(page: Page, rng: np.random.Generator) -> list[Line]:
    return [new_line(rng), *page.lines]


def shuffled(page: Page, rng: np.random.Generator) -> list[Line]:
    return [page.lines[i] for i in rng.permutation(len(page.lines))]


def retyped(page: Page, rng: np.random.Generator) -> list[Line]:
    """A fifth of the characters is replaced."""
    lines = []
    for line in page.lines:
        other = rng.random(len(line.chars)) < 0.2
        lines.append(Line(line.own, np.where(other[:, None], _direction(rng, 32, len(other)) + SAME, line.chars)))
    return lines


EDITS: dict[str, tuple[Callable[[Page, np.random.Generator], list[Line]], float]] = {
    "a line inserted in front": (inserted, 0.92),
    "lines shuffled": (shuffled, 0.99),
    "a fifth of the characters replaced": (retyped, 0.99),
}


def edited(page: Page, edit: Callable[[Page, np.random.Generator], list[Line]], rng: np.random.Generator) -> rs.Trace:
    """With another page attribute, too, of cosine about 0.8 to the first."""
    return Page((page.own + 0.7 * _direction(rng, 8)).astype(np.float32), edit(page, rng)).trace()


def search(effort: int) -> Iterator[Figure]:
    """By cosine, of sketches of norm one less their mean: otherwise the mean is too long for pages of few lines, and
    too short for those of many."""
    pages, queries = (100, PAGES, PAGES)[effort], (10, 200, 1000)[effort]
    rng = np.random.default_rng(1)
    all_pages = [new_page(rng) for _ in range(pages)]
    batch = rs.TraceBatch.from_traces([page.trace() for page in all_pages])
    spec = rs.SketchSpec(D, MODULES, seed=1)
    ordered, bag = rs.Sketcher(spec), rs.Sketcher(spec.unordered())
    long, places = bag.sketch(batch), _units(ordered.sketch(batch))
    stored = _units(long)
    mean, packed = stored.mean(axis=0), rs.pack(stored, "int8")
    for name, (edit, limit) in EDITS.items():
        found = [edited(page, edit, np.random.default_rng([2, i])) for i, page in enumerate(all_pages[:queries])]
        raw = bag.sketch(found)
        q = _units(raw)
        others = {
            "int8": _first(bag, q, packed, mean),
            "without the mean": _first(bag, q, stored),
            "norms as they are": _first(bag, raw, long, long.mean(axis=0)),
            "ordered": _first(ordered, _units(ordered.sketch(found)), places, places.mean(axis=0)),
        }
        rates = ", ".join(f"{other} {good / queries:.1%}" for other, good in others.items())
        how = f"{queries} queries, {pages} pages, d = {D}, norms one, less the mean; {rates}"
        yield share(f"unordered search, first hit, {name}", limit, _first(bag, q, stored, mean), queries, how)


def _units(x: np.ndarray) -> np.ndarray:
    return np.asarray(x / np.linalg.norm(x, axis=1, keepdims=True))


def _first(sk: rs.Sketcher, q: np.ndarray, stored: Any, mean: np.ndarray | None = None) -> int:
    """How many queries find the page of the same number first."""
    hits = sk.nearest(q, stored, 1, mean=mean).indices[:, 0]
    return int(np.sum(hits == np.arange(len(q))))


FIGURES = (search,)


@pytest.mark.parametrize("measure", FIGURES, ids=lambda f: f.__name__)
def test_search(benchmark: Any, measure: Callable[[int], Iterator[Figure]]) -> None:
    found = list(benchmark.pedantic(lambda: list(measure(SMOKE if benchmark.disabled else QUICK)), rounds=1))
    benchmark.extra_info.update({f.name: f.measured for f in found})
    if not benchmark.disabled:  # a smoke test's few queries decide nothing
        assert not [f.row() for f in found if f.met not in (None, True)]
