"""Where answers are written."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

LINE = 64  # bytes of a cache line
SMALL = 1 << 14  # bytes, up to which finding the line would take longer than it saves


def empty(shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Like np.empty, but rows of whole cache lines, larger than SMALL in all, begin on such a line.

    NumPy places large arrays 16 bytes behind one, and a store of a whole line then takes twice as long.
    """
    out: npt.NDArray[Any] = np.empty(shape, dtype)
    if out.nbytes <= SMALL or shape[-1] * out.itemsize % LINE:
        return out
    size = out.size
    del out  # of this memory nothing has been touched
    memory = np.empty(size + LINE, dtype)
    at = -memory.__array_interface__["data"][0] % LINE // memory.itemsize
    return memory[at : at + size].reshape(shape)
