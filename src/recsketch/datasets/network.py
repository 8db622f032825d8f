"""A small modular network that reads pages of digits: page -> lines -> digits, every use of a module an object."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

import recsketch._check as _check
from recsketch.datasets.digits import SIDE, load_arrays
from recsketch.runs.trace import Trace

MODULES = {"page": 24, "line": 120, "char": 32}
"""Module -> length of its attribute."""

WIRING = {None: ["page"], "page": ["line"], "line": ["char"]}
"""Which module may feed which; under None, the output."""

LINE_ROWS = 3
"""A line's attribute pools its ink into this many rows, and MODULES["line"] / LINE_ROWS columns."""

MAX_PIXELS = 2**26
"""Largest image accepted, a page at 600 dpi; larger ones are a mistake in the caller's units."""

# A run of blank rows or columns separates only if it is longer than this: a faint stroke may leave one blank.
_BRIDGED = 1
# Ink is where a projection exceeds this many standard deviations of its noise: one false hit in 300,000 projections.
_SIGNIFICANT = 4.5
_SMALLEST_LINE = 4

Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class FoundLine:
    """A line found on a page: its ``top`` and ``bottom`` rows and, as in :class:`Line`, the ``boxes`` of its digits."""

    top: int
    bottom: int
    boxes: npt.NDArray[np.intp]


class Reading(NamedTuple):
    """Digits read from hidden vectors: ``label`` intp and ``probability`` float64, of the vectors' leading shape."""

    label: npt.NDArray[np.intp]
    probability: Float64


class PageNetwork:
    """Page reader with the shipped weights: three modules, ``page``, ``line`` and ``char``.

    Lines are found by projecting ink onto rows, digits by projecting each line onto columns; every digit is cut out,
    centred on 8 x 8 pixels and passed through a perceptron 64-32-10.

    ====== ====== ===================================================================
    module length attribute
    ====== ====== ===================================================================
    page       24 mean ink of the page's rows, first line to last, resampled
    line      120 mean ink of the line, pooled into 3 rows of 40 columns
    char       32 the perceptron's hidden layer (after ReLU)
    ====== ====== ===================================================================

    A line is weighted by its number of digits, so that every digit has the same effective weight in the run.

    Examples
    --------
    >>> from recsketch.datasets import PageNetwork, make_pages
    >>> network = PageNetwork()
    >>> page = make_pages(1, seed=0)[0]
    >>> trace = network(page.image)
    >>> len(trace) == 1 + len(page.lines) + sum(map(len, page.labels))
    True
    >>> int(network.read(trace.objects[0].attribute).label), page.labels[0][0]
    (5, 5)
    """

    modules = MODULES
    wiring = WIRING

    def __init__(self) -> None:
        arrays = load_arrays("network.npz")
        self._hidden: Float64 = arrays["hidden"].astype(np.float64)
        self._hidden_bias: Float64 = arrays["hidden_bias"].astype(np.float64)
        self._output: Float64 = arrays["output"].astype(np.float64)
        self._output_bias: Float64 = arrays["output_bias"].astype(np.float64)

    def __call__(self, image: npt.ArrayLike) -> Trace:
        """Process one page.

        Parameters
        ----------
        image : (rows, columns) real
            Ink: larger is darker. Level and contrast do not matter.

        Returns
        -------
        Trace
            The digits in reading order, then the lines from top to bottom, then the page, which is the output.

        Raises
        ------
        TypeError
            The image is not made of real numbers.
        ValueError
            It is not two-dimensional and finite, is too large, or shows no digits.
        """
        ink, lines = self._find(image)
        crops = np.concatenate([cut_digits(ink, line) for line in lines])
        hidden = self.hidden(crops)
        trace = Trace()
        chars = iter([trace.add("char", vector) for vector in hidden.astype(np.float32)])
        members = [[next(chars) for _ in line.boxes] for line in lines]
        found = [
            trace.add("line", _line_profile(ink, line), inputs=inputs)
            for line, inputs in zip(lines, members, strict=True)
        ]
        profile = _resample(ink[lines[0].top : lines[-1].bottom].mean(axis=1), MODULES["page"])
        weights = [float(len(inputs)) for inputs in members]
        trace.outputs([trace.add("page", profile.astype(np.float32), inputs=found, weights=weights)])
        return trace

    def find_lines(self, image: npt.ArrayLike) -> list[FoundLine]:
        """The lines and digits found on a page, in reading order; parameters and errors as for a call."""
        return self._find(image)[1]

    def crops(self, image: npt.ArrayLike) -> list[Float64]:
        """Each line's digits as the perceptron sees them, (k, 8, 8), ink 0 to 1; parameters and errors as for a
        call."""
        ink, lines = self._find(image)
        return [cut_digits(ink, line) for line in lines]

    def hidden(self, crops: npt.ArrayLike) -> Float64:
        """The perceptron's hidden layer for digits (n, 8, 8), ink 0 to 1: (n, 32) float64, not negative."""
        pixels = np.asarray(crops, dtype=np.float64).reshape(-1, SIDE * SIDE)
        activation: Float64 = np.maximum(pixels @ self._hidden + self._hidden_bias, 0)
        return activation

    def read(self, vector: npt.ArrayLike) -> Reading:
        """Read digits from hidden vectors, for example recovered ones.

        Parameters
        ----------
        vector : (..., 32) real
            Attributes of ``char`` objects.

        Returns
        -------
        Reading
            ``label`` (...) and ``probability`` (...), the largest softmax output.

        Raises
        ------
        TypeError
            The vectors are not made of real numbers.
        ValueError
            The last axis is not 32 long, or a value is not finite.
        """
        wanted = f"finite numbers of shape (..., {MODULES['char']})"
        vectors = _check.reals("vector", vector, wanted).astype(np.float64)
        if vectors.ndim == 0 or vectors.shape[-1] != MODULES["char"] or not np.isfinite(vectors).all():
            raise ValueError(f"vector: wanted {wanted}; got {_check.describe(vectors)}")
        scores = vectors @ self._output + self._output_bias
        scores -= scores.max(axis=-1, keepdims=True)
        label = np.asarray(scores.argmax(axis=-1))
        return Reading(label, np.asarray(1 / np.exp(scores).sum(axis=-1)))

    def _find(self, image: npt.ArrayLike) -> tuple[Float64, list[FoundLine]]:
        """Ink from 0 (paper) to 1, and the lines."""
        wanted = "real numbers of shape (rows, columns)"
        pixels = _check.reals("image", image, wanted)
        if pixels.ndim != 2 or pixels.size == 0:
            raise ValueError(f"image: wanted {wanted}; got {_check.describe(pixels)}")
        if pixels.size > MAX_PIXELS:
            raise ValueError(f"image: wanted at most {MAX_PIXELS} pixels; got {pixels.size}")
        if not np.isfinite(pixels).all():
            raise ValueError("image: wanted finite pixels; got NaN or infinity")
        ink = pixels.astype(np.float64)
        # To the unit interval before any square is taken: pixels may be as large as float64 allows.
        largest = np.abs(ink).max() or 1.0
        ink /= largest
        paper, noise = _paper(ink)
        ink -= paper
        lines = _find_lines(ink, noise)
        if not lines:
            raise ValueError("image: found no line of digits")
        # Nearly every digit reaches full ink somewhere, and the median ignores the few that do not.
        full = np.median([ink[y0:y1, x0:x1].max() for line in lines for y0, y1, x0, x1 in line.boxes])
        return ink / full, lines


def cut_digits(ink: Float64, line: FoundLine) -> Float64:
    """Cut a line's digits out of its page and centre each on (8, 8), ink clipped to 0..1: (k, 8, 8) float64."""
    crops = np.zeros((len(line.boxes), SIDE, SIDE))
    for crop, (y0, y1, x0, x1) in zip(crops, line.boxes, strict=True):
        piece = ink[y0:y1, x0:x1]
        at = (SIDE - piece.shape[1]) // 2
        crop[: piece.shape[0], at : at + piece.shape[1]] = piece.clip(0, 1)
    return crops


def _paper(ink: Float64) -> tuple[float, float]:
    """Level and noise of blank paper: mean and standard deviation with everything beyond 2.5 of them set aside."""
    kept = ink.ravel()
    level = float(np.median(kept))
    for _ in range(20):
        spread = float(np.sqrt(np.mean((kept - level) ** 2)))
        inside = kept[np.abs(kept - level) <= 2.5 * spread]
        if inside.size in (0, kept.size):
            break
        kept, level = inside, float(inside.mean())
    # Clipping at 2.5 removes a share of the noise too: it leaves 0.953 of a Gaussian's standard deviation.
    return level, spread / 0.953


def _find_lines(ink: Float64, noise: float) -> list[FoundLine]:
    # At least a thousandth of the darkest pixel counts as noise, so that rounding on a noiseless page is not ink.
    noise = max(noise, 1e-3 * float(ink.max()))
    lines = []
    for top, bottom in _runs(_inked(ink, noise, axis=1)):
        if bottom - top < _SMALLEST_LINE:
            continue
        columns = _runs(_inked(ink[top:bottom], noise, axis=0))
        boxes = [box for x0, x1 in columns for box in _fit_boxes(ink, top, bottom, x0, x1)]
        if boxes:
            lines.append(FoundLine(top, bottom, np.array(boxes, dtype=np.intp)))
    return lines


def _inked(ink: Float64, noise: float, *, axis: int) -> npt.NDArray[np.bool_]:
    """Where the sum along an axis stands out from noise."""
    significant: npt.NDArray[np.bool_] = ink.sum(axis=axis) > _SIGNIFICANT * noise * np.sqrt(ink.shape[axis])
    return significant


def _runs(flags: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Start and end of every run of true flags; gaps of at most _BRIDGED are bridged."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], flags, [False])).astype(np.int8)))
    runs: list[tuple[int, int]] = []
    for start, end in zip(edges[0::2].tolist(), edges[1::2].tolist(), strict=True):
        if runs and start - runs[-1][1] <= _BRIDGED:
            runs[-1] = (runs[-1][0], end)
        else:
            runs.append((start, end))
    return runs


def _fit_boxes(ink: Float64, top: int, bottom: int, left: int, right: int) -> list[tuple[int, int, int, int]]:
    """The box of the digit in some columns of a line: the 8 rows with the most ink; none for a stray column.

    Rows outside the line are looked at too, since a row's faint tip may have drowned in the projection.
    """
    if right - left < 2:
        return []
    if right - left > SIDE:
        sums = np.convolve(ink[top:bottom, left:right].sum(axis=0), np.ones(SIDE), mode="valid")
        left += int(sums.argmax())
        right = left + SIDE
    first, last = max(top - 2, 0), min(bottom + 2, len(ink))
    rows = ink[first:last, left:right].sum(axis=1)
    if rows.size > SIDE:
        first += int(np.convolve(rows, np.ones(SIDE), mode="valid").argmax())
    return [(first, min(first + SIDE, last), left, right)]


def _line_profile(ink: Float64, line: FoundLine) -> npt.NDArray[np.float32]:
    """A line's ink, first digit to last, pooled into LINE_ROWS rows."""
    piece = ink[line.top : line.bottom, line.boxes[0, 2] : line.boxes[-1, 3]]
    columns = _resample(piece.T, MODULES["line"] // LINE_ROWS)
    return _resample(columns.T, LINE_ROWS).astype(np.float32).ravel()


def _resample(values: Float64, length: int) -> Float64:
    """Means of the first axis over ``length`` equal parts; a value on a border counts to both sides by its share."""
    total = np.concatenate((np.zeros((1, *values.shape[1:])), np.cumsum(values, axis=0)))
    at = np.linspace(0, len(values), length + 1)
    below = np.minimum(at.astype(np.intp), len(values) - 1)
    share = (at - below).reshape(-1, *[1] * (values.ndim - 1))
    integral = total[below] + share * (total[below + 1] - total[below])
    means: Float64 = np.diff(integral, axis=0) * (length / len(values))
    return means
