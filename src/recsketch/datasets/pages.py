"""Page images composed of handwritten digits, with the layout that made them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

import recsketch._check as _check
from recsketch.datasets.digits import MAX_INK, SIDE, held_out, load_digits

MAX_PAGES = 1 << 20
"""Most pages made at once: some 40 GB of them."""

LINES = (3, 6)
"""Fewest and most lines on a page."""

DIGITS = (4, 8)
"""Fewest and most digits on a line."""

DIGIT_GAP = (3, 7)
"""Empty columns between two digits."""

LINE_GAP = (6, 12)
"""Empty rows between the boxes of two lines: more than twice the jitter, so that rows separate the lines."""

JITTER = 1
"""A digit sits up to this many rows above or below its line."""

MARGIN = (4, 14)
"""Empty rows or columns at each edge of a scan."""

PAPER, CONTRAST, NOISE = (0.1, 0.3), (0.6, 1.0), (0.004, 0.012)
"""Ranges of a scan: level of blank paper, full ink above it, and standard deviation of the noise."""


@dataclass(frozen=True, eq=False)
class Line:
    """The truth about one line of a page.

    Attributes
    ----------
    labels : (k,) uint8
        The digits' labels, left to right.
    digits : (k,) intp
        Their rows in :func:`load_digits`.
    boxes : (k, 4) intp
        Top, bottom, left, right of each digit's ink; bottom and right are exclusive.
    """

    labels: npt.NDArray[np.uint8]
    digits: npt.NDArray[np.intp]
    boxes: npt.NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Page:
    """A scanned page and the truth about it.

    Attributes
    ----------
    image : (rows, columns) float32
        Ink from about 0 (bright) to about 1 (dark).
    lines : tuple of Line
        From top to bottom.
    """

    image: npt.NDArray[np.float32]
    lines: tuple[Line, ...]

    @property
    def labels(self) -> list[list[int]]:
        """The labels, line by line."""
        return [line.labels.tolist() for line in self.lines]

    def __repr__(self) -> str:
        text = " / ".join("".join(map(str, labels)) for labels in self.labels)
        return f"Page({self.image.shape[0]} x {self.image.shape[1]}: {text})"


def make_pages(n: int, *, seed: int) -> list[Page]:
    """Compose pages of digits the shipped network was not trained on, none like another.

    Pages differ in the number of lines (3 to 6), the digits of a line (4 to 8), spacing, vertical jitter, margins, the
    level of paper and ink, and noise. Page i depends on the seed and i only:
    a longer list begins with a shorter one.

    Parameters
    ----------
    n : int
        How many pages, 0 to 2**20.
    seed : int
        0 to 2**64 - 1.

    Returns
    -------
    list of Page

    Raises
    ------
    TypeError, ValueError
        ``n`` or ``seed`` is not an integer, or outside its range.

    Examples
    --------
    >>> from recsketch.datasets import make_pages
    >>> make_pages(1, seed=0)
    [Page(114 x 102: 5185796 / 43367798 / 058921 / 501229 / 7329780 / 6068456)]
    """
    n = _check.integer("n", n, 0, MAX_PAGES)
    seed = _check.integer("seed", seed, 0, 2**64 - 1)
    return [_make_page(np.random.default_rng([seed, i])) for i in range(n)]


def rescan(page: Page, *, seed: int) -> Page:
    """Scan a page again: the same digits in the same places, other margins, brightness, contrast and noise.

    Parameters
    ----------
    page : Page
    seed : int
        0 to 2**64 - 1.

    Returns
    -------
    Page
        Its ``image`` may have another shape.

    Raises
    ------
    TypeError, ValueError
        ``seed`` is not an integer, or outside its range.
    """
    seed = _check.integer("seed", seed, 0, 2**64 - 1)
    origin = np.min([line.boxes[:, (0, 2)].min(axis=0) for line in page.lines], axis=0)
    shift = np.repeat(origin, 2)
    lines = tuple(Line(line.labels, line.digits, line.boxes - shift) for line in page.lines)
    return scanned(lines, np.random.default_rng(seed))


def _between(rng: np.random.Generator, bounds: tuple[int, int]) -> int:
    """A whole number, both bounds included."""
    return int(rng.integers(bounds[0], bounds[1], endpoint=True))


def _make_page(rng: np.random.Generator) -> Page:
    images, labels = load_digits()
    pool = np.flatnonzero(held_out(len(labels)))
    lines, top = [], JITTER
    for _ in range(_between(rng, LINES)):
        digits = rng.choice(pool, size=_between(rng, DIGITS))
        boxes, left = [], _between(rng, DIGIT_GAP)
        for digit in digits:
            inked = np.flatnonzero(images[digit].any(axis=0))
            width = int(inked[-1] - inked[0]) + 1
            row = top + _between(rng, (-JITTER, JITTER))
            boxes.append((row, row + SIDE, left, left + width))
            left += width + _between(rng, DIGIT_GAP)
        lines.append(Line(labels[digits], digits, np.array(boxes, dtype=np.intp)))
        top += SIDE + _between(rng, LINE_GAP)
    return scanned(tuple(lines), rng)


def scanned(lines: tuple[Line, ...], rng: np.random.Generator) -> Page:
    """Draw lines whose boxes count from the content's corner."""
    images = load_digits().images
    above, below, left, right = (_between(rng, MARGIN) for _ in range(4))
    shift = np.array([above, above, left, left])
    moved = tuple(Line(line.labels, line.digits, line.boxes + shift) for line in lines)
    extent = np.max([line.boxes.max(axis=0) for line in moved], axis=0)
    ink = np.zeros((extent[1] + below, extent[3] + right))
    for line in moved:
        for digit, (y0, y1, x0, x1) in zip(line.digits, line.boxes, strict=True):
            image = images[digit]
            first = int(np.flatnonzero(image.any(axis=0))[0])
            ink[y0:y1, x0:x1] = image[:, first : first + x1 - x0] / MAX_INK
    noise = rng.uniform(*NOISE) * rng.standard_normal(ink.shape)
    return Page((rng.uniform(*PAPER) + rng.uniform(*CONTRAST) * ink + noise).astype(np.float32), moved)
