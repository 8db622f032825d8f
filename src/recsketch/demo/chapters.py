"""The words of the story: six chapters, the same for a terminal and for a page. Every number in them was measured."""

from __future__ import annotations

import math
from dataclasses import dataclass

from recsketch.demo.story import Figures
from recsketch.display.terminal import percent


@dataclass(frozen=True)
class Chapter:
    """A chapter's `title`, what is `done`, the `code` that does it, what was `measured`, and what is to be said for
    honesty's sake: what it `lacks`.
    """

    title: str
    done: str
    code: str
    measured: str
    lacks: str


def title(figures: Figures) -> str:
    """Of the whole."""
    return f"recsketch {figures['version']}: a whole run of a program in one row of numbers"


def ending(figures: Figures) -> str:
    """How long it took, and on what."""
    return f"Measured just now, in {figures['seconds']:.1f} s ({figures['isa']}, seed {figures['seed']})."


def chapters(figures: Figures) -> list[Chapter]:
    """The chapters, in order."""
    return [make(figures) for make in (_capture, _sketch, _search, _reading, _population, _concept)]


def _capture(figures: Figures) -> Chapter:
    f = figures["capture"]
    low, high = f["calls"]
    return Chapter(
        "Capture",
        "A program reads pages of handwritten digits. Its functions are marked, and each call is recorded with what "
        "it returned and what it was made from.",
        '@rs.module("line")\n'
        "def line(cuts):\n"
        "    return [digit[look(cut)](cut) for cut in cuts]\n"
        "with rs.record() as runs: page(image)",
        f"{f['pages']:,} pages, {low} to {high} calls each.",
        f"It misreads {percent(1 - f['right'] / f['digits'])} of {f['digits']:,} digits.",
    )


def _sketch(figures: Figures) -> Chapter:
    f = figures["sketch"]
    return Chapter(
        "Sketch",
        f"Whatever its shape, each run becomes one row of {f['dim']:,} numbers in a store.",
        "spec = rs.SketchSpec.fitted(runs[:100])\n"
        'kept = rs.SketchRepository.open("pages", spec, "a", concepts=True)\n'
        "kept.add(runs, names)",
        f"{f['bytes']:,} bytes a row, filled to {percent(f['load'], digits=0)} by the largest run.",
        f"No compression: a run's vectors alone would take {f['vectors']:,} bytes.",
    )


def _search(figures: Figures) -> Chapter:
    f = figures["search"]
    return Chapter(
        "Search",
        "Pages are torn. Half is read, and the store asked which page it is like.",
        "kept.search(half, k=1)",
        f"Upper halves find their page among {f['among']:,} in {f['upper']} of {f['tried']} cases.",
        f"Lower halves in {f['lower']} of {f['tried']}: a row knows which line stands where.",
    )


def _reading(figures: Figures) -> Chapter:
    f = figures["reading"]
    whole, half, quarter = f["parts"]
    wrong = sum(part["wrong"] for part in f["parts"])
    said = "each answer said which it was" if wrong == 0 else f"{wrong} answers said otherwise"
    return Chapter(
        "Read back",
        "From its row alone, told nothing else, a run is rebuilt: calls and vectors.",
        'rs.Sketcher(spec).unroll(kept.get("page 0").packed)',
        f"Whole: {whole['whole']} of {f['tried']} pages, and {half['whole']} from half a row; pixels are right "
        f"to {_up(f['error'])}.",
        f"From a quarter of a row {quarter['whole']} are whole; {said}.",
    )


def _population(figures: Figures) -> Chapter:
    f = figures["population"]
    change = "Nothing was found to have changed."
    if f["changed"]:
        p = f"p = {f['p']:.4f}"
        other = "" if f["p_else"] is None else f", all else p ≥ {_down(f['p_else'])}"
        bar = f"; {f['pixels']} pixels, {f['of_the_bar']} in the bar" if "seven" in f["changed"] else ""
        change = f"Changed: {', '.join(f['changed'])} ({p}{bar}){other}."
    return Chapter(
        "Population",
        f"Rows add up. Then a writer begins to cross sevens: do {f['days']} later days differ?",
        "before.update(rows, days); after.update(later, days)\nbefore.read(); rs.compare(before, after).changed()",
        f"{f['digits']:,} digits in one sum: counts and mean images are right to {_up(_worst(f))}. {change}",
        "A sum takes a specification of its own, and knows no single page.",
    )


def _concept(figures: Figures) -> Chapter:
    f = figures["concept"]
    told = "Of the fourth kind no concept has emerged."
    if f["event"] is not None:
        told = f'It was seen {f["seen"]} times when this came: "{f["event"]}".'
    return Chapter(
        "Concept",
        f"Nobody told the store of kinds. After {f['from']} pages a fourth kind appears.",
        "kept.events(); kept.concepts()",
        f"{told} Of {f['placed']} pages in {f['found']} concepts {f['pure']} are among their kind.",
        f"It takes {f['from']} runs before it looks, and kinds that are much alike stay one.",
    )


def _worst(f: Figures) -> float:
    return max(float(f["count_error"]), float(f["pixel_error"]))


def _up(x: float) -> str:
    """The power of ten above, so that the last bits of a computer's arithmetic do not show."""
    return f"{10.0 ** math.ceil(math.log10(x)):.0e}" if x > 0 else "the last bit"


def _down(x: float) -> str:
    """Two digits, not rounded up."""
    return f"{math.floor(100 * x) / 100:.2f}"
