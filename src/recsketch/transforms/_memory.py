"""Where answers are written."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

LINE = 64  # bytes of a cache line
SMALL = 1 << 14  # bytes, up to which finding the line would take longer than it saves


def empty(shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Like np.empty, but what is larger than SMALL begins on a cache line.

    NumPy places large arrays 16 bytes behind one, and a store of a whole line then takes twice as long.
    """
    kind, size = np.dtype(dtype), math.prod(shape)
    if size * kind.itemsize <= SMALL:
        return np.empty(shape, kind)
    memory = np.empty(size + LINE, kind)
    at = -memory.__array_interface__["data"][0] % LINE // kind.itemsize
    return memory[at : at + size].reshape(shape)
