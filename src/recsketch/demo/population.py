"""What one sum of all pages' sketches knows: how many digits of each kind there are, and how they look on average."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from recsketch.datasets.digits import SIDE
from recsketch.datasets.network import MODULES, PageNetwork
from recsketch.datasets.pages import Page
from recsketch.display.terminal import Style, heading, paragraph, shade
from recsketch.populations.compared import compare
from recsketch.populations.population import Population
from recsketch.runs.trace import Trace
from recsketch.sketcher import Sketcher
from recsketch.sketching.spec import SketchSpec

DIM = 2048
NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
SHOWN = 8  # digits that fit beside each other
FAULT, LEAST, BLOCKS = 3, 32, 16  # a row of pixels; pages of a half, at least; groups of them


def population_figures(
    network: PageNetwork, pages: Sequence[Page], traces: Sequence[Trace], seed: int
) -> dict[str, Any]:
    """Pages again, every digit an object of its own module with its image; read from the sum of their sketches."""
    modules = {"page": MODULES["page"], "line": MODULES["line"], **dict.fromkeys(NAMES, SIDE * SIDE)}
    spec = SketchSpec.additive(DIM, modules, seed=seed)
    images: dict[str, list[Any]] = {name: [] for name in NAMES}
    runs = [_run(network, page, trace, images) for page, trace in zip(pages, traces, strict=True)]
    sketches = Sketcher(spec).sketch(runs)
    population = Population(spec)
    population.update(sketches)
    found = population.read("module")
    of_digits = {p.path[0]: p for p in found}
    means = {n: of_digits[n].mean.reshape(SIDE, SIDE) for n in NAMES if n in of_digits}
    counts = {n: of_digits[n].count for n in means}
    true = {name: np.mean(of, axis=0) for name, of in images.items() if of}
    return {
        "dim": DIM,
        "complete": found.complete,
        "digits": sum(map(len, images.values())),
        "count_error": max(abs(counts.get(name, 0.0) - len(of)) for name, of in images.items()),
        "pixel_error": max(float(np.abs(means[n] - true[n]).max()) if n in means else 1.0 for n in true),
        "means": {name: mean.tolist() for name, mean in means.items()},
        "change": _change(network, pages, traces, spec, sketches),
    }


def _run(
    network: PageNetwork, page: Page, trace: Trace, images: dict[str, list[Any]] | None = None, faulty: str = ""
) -> Trace:
    """A page's run with its digits' images, which are kept; those of a kind may have lost a row of pixels."""
    run, by_module = Trace(), {m: [o.attribute for o in trace.objects if o.module == m] for m in ("page", "line")}
    lines = []
    for crops, profile in zip(network.crops(page.image), by_module["line"], strict=True):
        names = [NAMES[label] for label in network.read(network.hidden(crops)).label]
        for name, crop in zip(names, crops, strict=True):
            if name == faulty:
                crop[FAULT] = 0.0
            if images is not None:
                images[name].append(crop)
        digits = [run.add(name, crop.ravel()) for name, crop in zip(names, crops, strict=True)]
        lines.append(run.add("line", profile, inputs=digits))
    run.outputs([run.add("page", by_module["page"][0], inputs=lines)])
    return run


def _change(
    network: PageNetwork, pages: Sequence[Page], traces: Sequence[Trace], spec: SketchSpec, sketches: Any
) -> dict[str, Any] | None:
    """Between the first half of the pages and the second, whose sevens have lost a row of pixels; None of few pages."""
    half = len(pages) // 2
    if half < LEAST:
        return None
    faulty = [_run(network, pages[i], traces[i], faulty="seven") for i in range(half, 2 * half)]
    before, after = Population(spec), Population(spec)
    for population, part in ((before, sketches[:half]), (after, Sketcher(spec).sketch(faulty))):
        population.update(part, np.arange(half) * BLOCKS // half)
    found = compare(before, after)
    elements = [
        (found.paths[found.path[k]], found.elements[k])
        for k in np.flatnonzero(found.adjusted <= 0.05)  # each by itself
    ]
    told = [text for _, text in elements]
    return {
        "pages": half,
        "changed": list(found.changed()),
        "pixels": len(told),
        "of_the_row": sum(text in {f"mean {FAULT * SIDE + k}" for k in range(SIDE)} for text in told),
        "elements": len(found.elements),
    }


def population_text(figures: dict[str, Any], style: Style) -> str:
    """The same for a terminal."""
    f, shown = figures["population"], list(figures["population"]["means"].items())[:SHOWN]
    lines = [heading("All pages in one sum", style=style)]
    gap = np.zeros((SIDE, 1))
    strip = [np.concatenate([np.asarray(image), gap], axis=1) for _, image in shown]
    if strip:
        lines += [
            "  " + row
            for row in shade(np.concatenate(strip, axis=1), style=Style(style.width - 2, style.unicode, style.color))
        ]
    text = (
        f"The sketches of all pages were added up, each digit with its image. From these {f['dim']:,} numbers, told no "
        f"wiring: the {f['digits']:,} digits by kind, counted to {f['count_error']:.0e}, and the mean image of each, "
        f"above, right to {f['pixel_error']:.0e} of full ink."
    )
    lines.append(paragraph(text, style=style, indent=2))
    if f["change"] is not None:
        c = f["change"]
        what = ", ".join(path.rpartition(" > ")[2] for path in c["changed"]) or "nothing"
        text = (
            f"Of the second {c['pages']:,} pages the sevens were given a fault, a row of pixels that is blank. Between "
            f"the two sums changed: {what}; of {c['elements']:,} elements {c['pixels']} by themselves, "
            f"{c['of_the_row']} of them pixels of that row."
        )
        lines.append(paragraph(text, style=style, indent=2))
    return "\n".join(lines)
