"""Streams of pages of several kinds: layouts filled with handwritten digits, as the shipped network reads them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

import recsketch as rs
from recsketch.datasets import PageNetwork
from recsketch.datasets.digits import SIDE, held_out, load_digits
from recsketch.datasets.pages import JITTER, Line, _scan

SHARES = np.array([0.35, 0.25, 0.2, 0.12, 0.08])  # of the five kinds that are there from the start


@dataclass(frozen=True)
class Kind:
    """How pages of a kind look: digits on each line, gaps between digits and lines, and which digits there are."""

    counts: tuple[int, ...]
    digit_gap: int
    line_gap: int
    labels: tuple[int, ...]


def new_kind(rng: np.random.Generator, labels: int = 5) -> Kind:
    counts = tuple(int(c) for c in rng.integers(3, 11, int(rng.integers(2, 8))))
    some = tuple(int(c) for c in rng.permutation(10)[:labels])
    return Kind(counts, int(rng.integers(3, 8)), int(rng.integers(6, 13)), some)


def new_kinds(rng: np.random.Generator, count: int) -> list[Kind]:
    """Kinds of which no two have as many lines, or as many digits within a quarter."""
    found: list[Kind] = []
    while len(found) < count:
        kind = new_kind(rng)
        n = sum(kind.counts)
        if all(len(o.counts) != len(kind.counts) or abs(sum(o.counts) - n) > n / 4 for o in found):
            found.append(kind)
    return found


class Pages:
    """Runs of pages of a kind. In every tenth line a digit is missing or comes on top; digits and noise are new."""

    def __init__(self) -> None:
        self._network = PageNetwork()
        self._labels = load_digits().labels
        self._pool = held_out(len(self._labels))

    def __call__(self, kind: Kind, rng: np.random.Generator) -> rs.Trace:
        images = load_digits().images
        pool = np.flatnonzero(self._pool & np.isin(self._labels, kind.labels))
        lines, top = [], JITTER
        for count in kind.counts:
            more = int(rng.integers(0, 20)) if count > 1 else 5
            digits = rng.choice(pool, size=count + {0: 1, 1: -1}.get(more, 0))
            boxes, left = [], kind.digit_gap
            for digit in digits:
                inked = np.flatnonzero(images[digit].any(axis=0))
                width = int(inked[-1] - inked[0]) + 1
                row = top + int(rng.integers(-JITTER, JITTER + 1))
                boxes.append((row, row + SIDE, left, left + width))
                left += width + kind.digit_gap + int(rng.integers(0, 2))
            lines.append(Line(self._labels[digits], digits, np.array(boxes, dtype=np.intp)))
            top += SIDE + kind.line_gap
        return self._network(_scan(tuple(lines), rng).image)


def stream(seed: int, runs: int, new_from: int | None = None, share: float = 0.2) -> tuple[list[rs.Trace], np.ndarray]:
    """Runs of five kinds in random order and, from a run on, a share of a sixth; and the kinds' numbers."""
    rng = np.random.default_rng([seed, 13])
    kinds, pages = new_kinds(rng, 6), Pages()
    labels = rng.choice(5, size=runs, p=SHARES)
    if new_from is not None:
        labels[new_from:][rng.random(runs - new_from) < share] = 5
    return [pages(kinds[k], rng) for k in labels], labels
