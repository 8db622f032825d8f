"""A reader of handwritten pages as plain functions, and how their calls are recorded as runs.

A page is cut into lines and lines into digits by the shipped network. Which of ten readers takes a digit is what the
network reads in it, as a mixture of experts picks one; what the reader keeps is what it saw, 8 x 8 pixels.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

import numpy as np

from recsketch._check import Floats
from recsketch.capture.record import module, record
from recsketch.datasets.digits import SIDE
from recsketch.datasets.network import PageNetwork
from recsketch.datasets.pages import Page
from recsketch.display.terminal import progress
from recsketch.runs.batch import TraceBatch

NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
"""Modules of digits, in the order of what they read."""

LENGTHS = {"page": 3, "line": SIDE, **dict.fromkeys(NAMES, SIDE * SIDE)}
"""Module -> length of its attribute."""

WIRING: dict[str | None, list[str]] = {None: ["page"], "page": ["line"], "line": list(NAMES)}
"""Told to sums alone, which would find it by themselves, and take longer."""

Digits = list[list[tuple[str, Floats]]]
"""Names and pixels, line by line."""

BAR = 4
"""Row of a digit's eight in which :func:`crossed` draws."""


@cache
def network() -> PageNetwork:
    """The network that is shipped, read once."""
    return PageNetwork()


digit = [module(name)(np.ravel) for name in NAMES]


@module("line", attribute=lambda seen: np.mean(seen, axis=0).reshape(SIDE, SIDE).mean(axis=1))
def line(cuts: Any) -> list[Any]:
    """What was seen of a line's digits, (k, 8, 8); its attribute is their mean ink, row by row."""
    read = network().read(network().hidden(cuts)).label
    return [digit[k](cut) for k, cut in zip(read, cuts, strict=True)]


@module("page", attribute=lambda lines: [len(lines), sum(map(len, lines)), np.mean([np.mean(x) for x in lines])])
def page(image: Any) -> list[Any]:
    """What was seen of a page's lines; its attribute: how many lines and digits, and their mean ink."""
    return [line(cuts) for cuts in network().crops(image)]


def read(pages: Iterable[Page], title: str = "reading pages") -> TraceBatch:
    """The runs of the reader over pages.

    Raises
    ------
    ValueError
        A page shows no digits.
    """
    with record() as runs:
        for x in progress(list(pages), title):
            with runs.run():
                page(x.image)
    return runs.batch()


def torn(x: Page, *, lower: bool = False) -> Page:
    """The upper half of a page, or the lower: half of its lines, rounded down."""
    half = len(x.lines) // 2
    if lower:
        row = int(x.lines[-half].boxes[:, 0].min()) - 2
        return Page(x.image[row:], x.lines[-half:])
    row = int(x.lines[half - 1].boxes[:, 1].max()) + 2
    return Page(x.image[:row], x.lines[:half])


def crossed(x: Page) -> Page:
    """The same page by a writer who crosses sevens: a row of their pixels is all ink."""
    image = x.image.copy()
    for row in x.lines:
        for (top, _, left, right), label in zip(row.boxes, row.labels, strict=True):
            if label == NAMES.index("seven"):
                image[top + BAR, left:right] = x.image.max()
    return Page(image, x.lines)


def seen(run: Any) -> Digits:
    """Digits of a Trace, or of what was unrolled; what does not stand below a page and a line is left out."""
    outputs = run.output_ids if hasattr(run, "output_ids") else run.outputs
    lines = [run.objects[i] for k in outputs for i in run.objects[k].inputs if run.objects[k].module == "page"]
    return [[(run.objects[i].module, run.objects[i].attribute) for i in x.inputs] for x in lines if x.module == "line"]
