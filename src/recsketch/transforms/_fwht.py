"""The Walsh-Hadamard transform on its own."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

import recsketch._check as _check
import recsketch._core as _core
from recsketch.transforms._memory import empty
from recsketch.transforms._rows import MOST, row_slices

if TYPE_CHECKING:
    import numpy.typing as npt

ORDERS = "natural", "sequency", "dyadic"
NORMS = "ortho", "backward", "forward"


def fwht(
    x: npt.ArrayLike,
    *,
    axis: int = -1,
    order: str = "natural",
    norm: str = "ortho",
    overwrite: bool = False,
    threads: int | None = None,
) -> npt.NDArray[Any]:
    """Walsh-Hadamard transform of one axis: ``y = H x / sqrt(n)``, which is its own inverse.

    ``H[i, j] = (-1)**popcount(i & j)``, as in `scipy.linalg.hadamard`.

    Parameters
    ----------
    x : (..., n, ...) array_like of float32 or float64
        n a power of two from 1 to 2**24 along `axis`. Other real types are taken as float64.
    axis : int
        The axis to transform, the last one if not given.
    order : {"natural", "sequency", "dyadic"}
        The order of H's rows. "sequency": by the number of their changes of sign, as frequencies (Walsh). "dyadic": by
        their indices, bits reversed (Paley). H is symmetric in each of them.
    norm : {"ortho", "backward", "forward"}
        As in `scipy.fft`. "ortho": H x / sqrt(n), with ``|y| = |x|``. "backward": H x, what `sympy.fwht` gives.
        "forward": H x / n, what `sympy.ifwht` gives: "backward" and "forward" undo each other.
    overwrite : bool
        Write the answer to `x` itself. It must then be a writable C-contiguous float32 or float64 array.
    threads : int, optional
        Upper bound; all that OpenMP offers if not given. Bits do not depend on it, nor on the instruction set.

    Returns
    -------
    array of the same shape and type
        `x` itself if it is overwritten.

    Raises
    ------
    ValueError
        An axis that is not there, or of another length; NaN or infinity; numbers whose transform the type cannot hold;
        an `x` that cannot be overwritten. What was overwritten until then is lost: there, unlike elsewhere, numbers are
        refused if a sum on the way exceeds the largest float, n max|x|, even if the answer does not.
    TypeError
        No real numbers.

    Notes
    -----
    Relative Euclidean error at most about ``0.6 eps sqrt(log2 n)``, eps the type's unit roundoff (6e-8, 1.1e-16).
    Scaling x by a power of two scales the answer and changes no other bit, unless numbers become subnormal.

    Cost: n log2(n) additions a row, and no memory beside the answer. An axis other than the last one, or an order
    other than "natural", costs one more copy.

    References
    ----------
    Fino, Algazi, "Unified Matrix Treatment of the Fast Walsh-Hadamard Transform", IEEE Transactions on Computers C-25
    (1976): the transform and its three orders.

    Examples
    --------
    >>> import numpy as np
    >>> fwht([1.0, 0.0, 1.0, 0.0], norm="backward")
    array([2., 2., 0., 0.])
    >>> fwht(np.eye(4), order="sequency", norm="backward")
    array([[ 1.,  1.,  1.,  1.],
           [ 1.,  1., -1., -1.],
           [ 1., -1., -1.,  1.],
           [ 1., -1.,  1., -1.]])
    >>> x = np.random.default_rng(0).standard_normal((3, 1024))
    >>> bool(np.allclose(fwht(fwht(x)), x))
    True
    """
    a = _check.reals("x", x, "an array of real numbers")
    at = _check.integer("axis", axis, -a.ndim, a.ndim - 1) if a.ndim else -1
    n = a.shape[at] if a.ndim else 0
    if n < 1 or n > 1 << 24 or n & (n - 1):
        wanted = f"a power of two from 1 to 2**24 as the length of axis {at}"
        raise ValueError(f"x: wanted {wanted}; got {_check.describe(a)}")
    workers, dtype = _check.threads(threads), _check.float_type(a)
    _check.choice("order", order, ORDERS)
    _check.choice("norm", norm, NORMS)
    factor = 1.0 / math.sqrt(n) if norm == "ortho" else 1.0 if norm == "backward" else 1.0 / n
    if _check.flag("overwrite", overwrite) and (
        not isinstance(x, np.ndarray) or a.dtype != dtype or not (a.flags.c_contiguous and a.flags.writeable)
    ):
        wanted = "a writable C-contiguous float32 or float64 array"
        raise ValueError(f"x: wanted {wanted} to overwrite; got {_check.describe(x)}")
    last = at in (-1, a.ndim - 1)
    rows = a if last else np.moveaxis(a, at, -1)
    in_place = overwrite and rows.flags.c_contiguous and rows.flags.aligned
    out = rows if in_place else empty(rows.shape, dtype)
    if a.size:
        places = None if order == "natural" else _rows_of(order, n)
        if not _transform(rows, out, factor, places, workers):
            if in_place:
                raise ValueError(f"x: wanted finite numbers whose sums {a.dtype} can hold, to overwrite; got others")
            _transform_large(rows, out, factor, places, workers)
    if not overwrite:
        return out if last else np.moveaxis(out, -1, at)
    if not in_place:
        _copy(out, rows)
    return a


def _copy(x: npt.NDArray[Any], out: npt.NDArray[Any]) -> None:
    with np.errstate(over="ignore"):  # a long double that becomes infinite is found, and refused, as such
        if x.ndim == 1:
            np.copyto(out, x, casting="unsafe")
        else:
            for part in row_slices(len(x), math.prod(x.shape[1:])):
                np.copyto(out[part], x[part], casting="unsafe")


def _transform(
    rows: npt.NDArray[Any],
    out: npt.NDArray[Any],
    factor: float,
    places: npt.NDArray[np.intp] | None,
    workers: int,
) -> bool:
    """out = the transforms of the last axis, in natural order or in that of `places`; whether all of it is finite. out
    may be `rows` itself."""
    if rows is not out and (rows.dtype != out.dtype or not (rows.flags.c_contiguous and rows.flags.aligned)):
        _copy(rows, out)
        rows = out
    n = rows.shape[-1]
    transform: Any = _core.fwht_f32 if out.dtype.itemsize == 4 else _core.fwht_f64
    x, y, finite = rows, out, True
    if rows.ndim != 2:
        x, y = rows.reshape(-1, n), out.reshape(-1, n)
    if rows.size <= MOST and places is None:  # a slice takes as long as a small transform
        return bool(transform(x, y, factor, workers))
    for part in row_slices(len(y), n):
        finite &= transform(x[part], y[part], factor, workers)
        if places is not None:
            y[part] = y[part][:, places]
    return finite


def _transform_large(
    rows: npt.NDArray[Any],
    out: npt.NDArray[Any],
    factor: float,
    places: npt.NDArray[np.intp] | None,
    workers: int,
) -> None:
    """The rows of `out` that are not finite once more, from numbers divided by a power of two above n: no sum of these
    overflows, and what becomes subnormal is too small to matter beside the large ones."""
    if not np.isfinite(rows).all():
        raise ValueError("x: wanted finite numbers; got NaN or infinity")
    exponent = rows.shape[-1].bit_length()
    again = ~np.isfinite(out).all(axis=-1)
    with np.errstate(over="ignore", under="ignore"):
        small = np.ldexp(rows[again].astype(out.dtype), -exponent)
        _transform(small, small, factor, places, workers)
        out[again] = np.ldexp(small, exponent)
    if not np.isfinite(out).all():
        row = ", ".join(str(i) for i in np.argwhere(~np.isfinite(out).all(axis=-1))[0])
        raise ValueError(f"x: wanted numbers whose transform {out.dtype} can hold; got larger ones in row {row or 0}")


def _rows_of(order: str, n: int) -> npt.NDArray[np.intp]:
    """Which of H's rows in natural order follow each other: indices with their bits reversed, of 0, 1, 2, ... or of
    their Gray code, which changes one bit at a time and so adds one change of sign at a time."""
    reverse = np.zeros(1, np.intp)
    while len(reverse) < n:
        reverse = np.concatenate([2 * reverse, 2 * reverse + 1])
    k = np.arange(n)
    return reverse if order == "dyadic" else reverse[k ^ (k >> 1)]
