"""Pages of several kinds: layouts that are filled with handwritten digits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recsketch.datasets.digits import SIDE, held_out, load_digits
from recsketch.datasets.pages import JITTER, Line, Page, scanned


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


def page_of(kind: Kind, rng: np.random.Generator) -> Page:
    """A page of a kind. One line in ten has a digit more or less; digits, margins, ink and noise are new."""
    images, labels = load_digits()
    pool = np.flatnonzero(held_out(len(labels)) & np.isin(labels, kind.labels))
    lines, top = [], JITTER
    for count in kind.counts:
        digits = rng.choice(pool, size=count + {0: 1, 1: -1}.get(int(rng.integers(0, 20)), 0))
        boxes, left = [], kind.digit_gap
        for digit in digits:
            inked = np.flatnonzero(images[digit].any(axis=0))
            width = int(inked[-1] - inked[0]) + 1
            row = top + int(rng.integers(-JITTER, JITTER + 1))
            boxes.append((row, row + SIDE, left, left + width))
            left += width + kind.digit_gap + int(rng.integers(0, 2))
        lines.append(Line(labels[digits], digits, np.array(boxes, dtype=np.intp)))
        top += SIDE + kind.line_gap
    return scanned(tuple(lines), rng)
