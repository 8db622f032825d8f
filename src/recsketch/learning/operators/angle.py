"""The angle of operators, from images of one string in one sketch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Doubles: TypeAlias = npt.NDArray[np.float64]
    Numbers: TypeAlias = npt.NDArray[np.int64]

BIN = 0.01  # of the logarithm of a ratio
SAME = 0.02  # below which two images are moved by as many operators
FEWEST = 20  # ratios that agree
PEAKS = 3


def angles(image: Numbers, amplitude: Doubles, still: Sequence[Doubles]) -> list[float]:
    """Degrees that the angle may be, the likeliest first: from the string and sketch of every event, its amplitude, and
    the energies of modules by displacement.

    Two images of one string in one sketch differ by operators that moved one of them and not the other. Of images in
    the order of their amplitudes, neighbours differ by one or by none, so that their ratio is tan φ or its inverse, or
    one; but for strings that several objects have, whose ratios may agree as well. That of the two which is above one
    is known then. Where it is the cosine that is larger, most energy has not moved at all.
    """
    size = np.abs(amplitude)
    order = np.lexsort((-size, image))
    same = image[order][1:] == image[order][:-1]
    ratio = np.log(size[order][:-1][same] / size[order][1:][same])
    apart = ratio[ratio > SAME]
    unmoved = np.mean([float(h[0]) >= float(h.max()) for h in still]) > 0.5
    out = [45.0] if ratio.size >= FEWEST and apart.size < 0.1 * ratio.size else []
    while len(out) < PEAKS and apart.size:
        bins = np.bincount((apart / BIN).astype(np.int64))
        near = np.abs(apart - (int(np.argmax(bins)) + 0.5) * BIN) < BIN
        if np.count_nonzero(near) < FEWEST:
            break
        steep = math.degrees(math.atan(math.exp(float(np.median(apart[near])))))
        out.append(90.0 - steep if unmoved else steep)
        apart = apart[~near]
    return out
