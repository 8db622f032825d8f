"""Scikit-learn's handwritten digits, packed four bits a pixel. Authors and licence: ``README.md`` beside this file."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

SIDE = 8
"""Rows and columns of a digit image."""

MAX_INK = 16
"""Largest pixel value: each pixel counts the dark ones among 4 x 4 of the original scan."""


class Digits(NamedTuple):
    """Digits: ``images`` (n, 8, 8) uint8, 0 (paper) to 16 (ink), and ``labels`` (n,) uint8, 0 to 9."""

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.uint8]


@cache
def load_digits() -> Digits:
    """The 1,797 digits scikit-learn ships, bit for bit and in its order.

    Returns
    -------
    Digits
        ``images`` (1797, 8, 8) uint8 with values 0..16 and ``labels`` (1797,) uint8; read-only, shared by all callers.

    Examples
    --------
    >>> from recsketch.datasets import load_digits
    >>> images, labels = load_digits()
    >>> images.shape, int(images.max()), labels[:5].tolist()
    ((1797, 8, 8), 16, [0, 1, 2, 3, 4])
    """
    digits = unpack_digits(load_arrays("digits.npz"))
    for array in digits:
        array.setflags(write=False)
    return digits


def load_arrays(name: str) -> dict[str, npt.NDArray[Any]]:
    """Load the arrays of a shipped npz file; pickled objects are refused."""
    path = resources.files("recsketch.datasets").joinpath(name)
    with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        return {key: arrays[key] for key in arrays}


def pack_digits(digits: Digits) -> dict[str, npt.NDArray[np.uint8]]:
    """Losslessly pack digits into the arrays of ``digits.npz``.

    The 17 values of a pixel miss four bits by one: 16 is stored as 15, and one more bit for each stored 15 tells which
    of the two it was. Pixels are stored position by position over all images, not image by image, because the same
    position of all images compresses better (40.1 KB against 43.1 KB).

    Parameters
    ----------
    digits : Digits
        An even number of pixels, values 0..16.

    Returns
    -------
    dict of uint8 arrays
        ``pixels`` (32 n,), two pixels a byte, the first in the high bits; ``sixteens``, packed bits; ``labels`` (n,).
    """
    values = digits.images.reshape(len(digits.images), -1).T.ravel()
    nibbles = np.minimum(values, MAX_INK - 1)
    return {
        "pixels": ((nibbles[0::2] << 4) | nibbles[1::2]).astype(np.uint8),
        "sixteens": np.packbits(values[nibbles == MAX_INK - 1] == MAX_INK),
        "labels": digits.labels,
    }


def unpack_digits(arrays: dict[str, npt.NDArray[Any]]) -> Digits:
    """Undo :func:`pack_digits`.

    Raises
    ------
    ValueError
        The arrays are missing, or do not fit together.
    """
    missing = {"pixels", "sixteens", "labels"} - set(arrays)
    if missing:
        raise ValueError(f"digits: wanted arrays pixels, sixteens and labels; missing {', '.join(sorted(missing))}")
    pixels, sixteens, labels = (arrays[name] for name in ("pixels", "sixteens", "labels"))
    if any(a.dtype != np.uint8 or a.ndim != 1 for a in (pixels, sixteens, labels)):
        raise ValueError("digits: wanted one-dimensional uint8 arrays")
    wanted = labels.size * SIDE * SIDE // 2
    if pixels.size != wanted:
        raise ValueError(f"digits: {labels.size} labels need {wanted} bytes of pixels; got {pixels.size}")
    values = np.stack([pixels >> 4, pixels & 15], axis=1).ravel()
    doubtful = np.flatnonzero(values == MAX_INK - 1)
    wanted = -(-doubtful.size // 8)
    if sixteens.size != wanted:
        raise ValueError(f"digits: {doubtful.size} pixels at 15 need {wanted} bytes of bits; got {sixteens.size}")
    values[doubtful] += np.unpackbits(sixteens, count=doubtful.size)
    images = np.ascontiguousarray(values.reshape(SIDE * SIDE, -1).T).reshape(-1, SIDE, SIDE)
    return Digits(images, labels)


def held_out(count: int) -> npt.NDArray[np.bool_]:
    """Which digits the shipped network has never seen: every third. Pages are made of these.

    Parameters
    ----------
    count : int
        How many digits there are.

    Returns
    -------
    (count,) bool
    """
    mask: npt.NDArray[np.bool_] = np.arange(count) % 3 == 2
    return mask
