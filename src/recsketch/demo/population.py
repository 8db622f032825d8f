"""Rows that add up: what the sum of many pages knows of their digits, and whether later pages differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from recsketch._check import Floats
from recsketch.datasets.digits import SIDE
from recsketch.datasets.pages import Page
from recsketch.demo.reader import BAR, LENGTHS, NAMES, WIRING, crossed, read, seen
from recsketch.populations.compared import compare
from recsketch.populations.population import Population
from recsketch.runs.batch import TraceBatch
from recsketch.sketcher import Sketcher
from recsketch.sketching.spec import SketchSpec

DIM, DAYS = 2048, 16
"""Numbers of a row that is added up, and days into which either half of the pages falls."""

LEVEL = 0.05
"""What is called changed is wrong in at most this share of comparisons."""


@dataclass(frozen=True)
class Sums:
    """What two sums of rows told, the second of pages with crossed sevens.

    Attributes
    ----------
    figures : dict
        Of JSON types.
    means : dict of str to (3, 8, 8) float
        Of digits: the mean image from the first sum, the true one, and that from the second sum; NaN where there is no
        such digit.
    p : dict of str to float
        Of modules: the p-value of their change, adjusted for all of them.
    """

    figures: dict[str, Any]
    means: dict[str, Floats]
    p: dict[str, float]


def add_up(runs: TraceBatch, later: Sequence[Page], *, seed: int, threads: int | None = None) -> Sums:
    """Add up the rows of some runs, and of as many pages after them, whose sevens are crossed before they are read."""
    sketcher = Sketcher(SketchSpec.additive(DIM, LENGTHS, seed=seed, wiring=WIRING), threads=threads)
    days = np.arange(len(later)) * DAYS // len(later)
    before, after = Population(sketcher.spec), Population(sketcher.spec)
    before.update(sketcher.sketch(runs), days)
    after.update(sketcher.sketch(read((crossed(page) for page in later), "reading crossed sevens")), days)
    found = [population.read("module") for population in (before, after)]
    first, second = ({p.path[0]: p for p in reading} for reading in found)
    truth: dict[str, list[Floats]] = {name: [] for name in NAMES}
    for name, pixels in (x for run in runs for line in seen(run) for x in line):
        truth[name].append(pixels)
    nothing = np.full(SIDE * SIDE, np.nan)
    means = {
        name: np.reshape(
            [
                first[name].mean if name in first else nothing,
                np.mean(of, axis=0) if of else nothing,
                second[name].mean if name in second else nothing,
            ],
            (3, SIDE, SIDE),
        )
        for name, of in truth.items()
    }
    counts = [abs(first[name].count - len(of)) if name in first else len(of) for name, of in truth.items()]
    off = [np.nan_to_num(np.abs(means[name][0] - means[name][1]), nan=1.0).max() for name, of in truth.items() if of]
    figures = {
        "pages": len(later),
        "days": DAYS,
        "dim": DIM,
        "digits": sum(map(len, truth.values())),
        "complete": found[0].complete,
        "count_error": float(max(counts)),
        "pixel_error": float(max(off)),
    }
    change, p = _change(before, after)
    return Sums(figures | change, means, p)


def _change(before: Population, after: Population) -> tuple[dict[str, Any], dict[str, float]]:
    """What changed, and the p-value of every module: the least of its path's and its elements'."""
    found = compare(before, after, level=1 - LEVEL)
    names = [path.rpartition(" > ")[2] for path in found.paths]
    p = {
        name: float(min(found.path_adjusted[k], found.adjusted[found.path == k].min())) for k, name in enumerate(names)
    }
    alone = {found.elements[k] for k in np.flatnonzero(found.adjusted <= LEVEL) if names[found.path[k]] == "seven"}
    changed = [path.rpartition(" > ")[2] for path in found.changed()]
    return {
        "changed": changed,
        "p": max((p[name] for name in changed), default=None),
        "p_else": min((p[name] for name in names if name not in changed), default=None),
        "pixels": len(alone),
        "of_the_bar": len(alone & {f"mean {BAR * SIDE + k}" for k in range(SIDE)}),
    }, p
