"""Structured transforms on their own."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

import recsketch._check as _check
import recsketch._core as _core
from recsketch.transforms._memory import empty

if TYPE_CHECKING:
    import numpy.typing as npt


def fwht(x: npt.ArrayLike, *, overwrite: bool = False, threads: int | None = None) -> npt.NDArray[Any]:
    """Orthonormal Walsh-Hadamard transform of the last axis, in natural (Hadamard) order.

    ``y = H x / sqrt(n)``, H[i, j] = (-1)**popcount(i & j). It is its own inverse.

    Parameters
    ----------
    x : (..., n) array_like of float32 or float64
        n a power of two from 16 to 2**24. Other real types are taken as float64.
    overwrite : bool
        Work in `x` itself. It must then be a writable C-contiguous float32 or float64 array.
    threads : int, optional
        Upper bound; all that OpenMP offers if not given. Bits do not depend on it.

    Returns
    -------
    (..., n) array of the same type

    Notes
    -----
    Relative error at most about 0.6 eps sqrt(log2 n), eps the type's unit roundoff.

    Examples
    --------
    >>> import numpy as np
    >>> fwht(np.eye(16, dtype=np.float32)[0])[:3]
    array([0.25, 0.25, 0.25], dtype=float32)
    """
    a = _check.reals("x", x, "an array whose last axis is a power of two")
    n = a.shape[-1] if a.ndim else 0
    if n < 16 or n > 1 << 24 or n & (n - 1):
        raise ValueError(f"x: wanted a last axis of a power of two from 16 to 2**24; got {_check.describe(a)}")
    workers, dtype = _check.threads(threads), _check.float_type(a)
    if _check.flag("overwrite", overwrite):
        if not isinstance(x, np.ndarray) or a.dtype != dtype or not (a.flags.c_contiguous and a.flags.writeable):
            wanted = "a writable C-contiguous float32 or float64 array"
            raise ValueError(f"x: wanted {wanted} to overwrite; got {_check.describe(x)}")
        out = a
    else:
        out = empty(a.shape, dtype)
        np.copyto(out, a)
    transform: Any = _core.fwht_f32 if dtype is np.float32 else _core.fwht_f64
    transform(out.reshape(-1, n), 1.0 / math.sqrt(n), workers)
    return out
