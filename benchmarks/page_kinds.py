"""Streams of pages of several kinds: layouts filled with handwritten digits, as the shipped network reads them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

import recsketch as rs
from recsketch.datasets import PageNetwork
from recsketch.datasets.digits import SIDE, held_out, load_digits
from recsketch.datasets.pages import JITTER, Line, _scan

SHARES = (0.35, 0.25, 0.2, 0.12, 0.08)  # of the five kinds that are there from the start
NEW, NEW_SHARE = 5, 0.2  # the sixth


@dataclass(frozen=True)
class Kind:
    """A layout: how many digits there are on each line, and gaps between digits and between lines; and which digits."""

    counts: tuple[int, ...]
    digit_gap: int
    line_gap: int
    labels: tuple[int, ...]


def new_kind(rng: np.random.Generator) -> Kind:
    """2 to 7 lines of 3 to 10 digits, of five of the ten labels. Nothing keeps two kinds from being alike."""
    counts = tuple(int(c) for c in rng.integers(3, 11, int(rng.integers(2, 8))))
    labels = tuple(int(c) for c in rng.permutation(10)[:5])
    return Kind(counts, int(rng.integers(3, 8)), int(rng.integers(6, 13)), labels)


class Pages:
    """Runs of pages of a kind. One line in ten has a digit more or less; digits, margins, ink and noise are new."""

    def __init__(self) -> None:
        self._network = PageNetwork()
        self._images, self._labels = load_digits()
        self._held_out = held_out(len(self._labels))

    def __call__(self, kind: Kind, rng: np.random.Generator) -> rs.Trace:
        pool = np.flatnonzero(self._held_out & np.isin(self._labels, kind.labels))
        lines, top = [], JITTER
        for count in kind.counts:
            digits = rng.choice(pool, size=count + {0: 1, 1: -1}.get(int(rng.integers(0, 20)), 0))
            boxes, left = [], kind.digit_gap
            for digit in digits:
                inked = np.flatnonzero(self._images[digit].any(axis=0))
                width = int(inked[-1] - inked[0]) + 1
                row = top + int(rng.integers(-JITTER, JITTER + 1))
                boxes.append((row, row + SIDE, left, left + width))
                left += width + kind.digit_gap + int(rng.integers(0, 2))
            lines.append(Line(self._labels[digits], digits, np.array(boxes, dtype=np.intp)))
            top += SIDE + kind.line_gap
        return self._network(_scan(tuple(lines), rng).image)


def stream(seed: int, runs: int, new_from: int | None = None) -> tuple[list[rs.Trace], np.ndarray]:
    """Runs of five kinds in random order and, from a run on, NEW_SHARE of a sixth; and the kinds' numbers."""
    rng, pages = np.random.default_rng([seed, 13]), Pages()
    kinds = [new_kind(rng) for _ in range(NEW + 1)]
    labels = rng.choice(NEW, size=runs, p=SHARES)
    if new_from is not None:
        labels[new_from:][rng.random(runs - new_from) < NEW_SHARE] = NEW
    return [pages(kinds[k], rng) for k in labels], labels
