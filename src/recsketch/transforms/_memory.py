"""Where answers are written."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

LINE = 64  # bytes of a cache line


def empty(shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """np.empty from a cache line on: stores across two cost twice, and NumPy puts large arrays 16 bytes off one."""
    size = math.prod(shape)
    memory = np.empty(size + LINE, dtype)
    at = -memory.__array_interface__["data"][0] % LINE // memory.itemsize
    return memory[at : at + size].reshape(shape)
