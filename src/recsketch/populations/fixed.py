"""Sketches as whole numbers that anybody can add: fixed point modulo 2^64 or 2^32, as secure aggregation adds.

A protocol of secure aggregation adds numbers modulo a power of two of which nobody sees any but the sum (Bonawitz et
al., "Practical Secure Aggregation for Privacy-Preserving Machine Learning", CCS 2017). A number x becomes the whole
number nearest to x / step, halves to even, and a negative one what it is modulo 2^bits.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

import recsketch._check as _check
import recsketch.sketching.packing as packing

if TYPE_CHECKING:
    import numpy.typing as npt

    from recsketch.sketching.packing import PackedSketches

STEP = 2.0**-32  # of populations, and of 64 bits
STEPS = {64: STEP, 32: 2.0**-16}  # by bits, where none is given
WIDTHS = {64: np.uint64, 32: np.uint32}


def fixed_point(
    sketches: npt.ArrayLike | PackedSketches, bits: int = 64, step: float | None = None
) -> npt.NDArray[np.uint64] | npt.NDArray[np.uint32]:
    """Sketches, or sums of them, as unsigned integers that add up modulo 2**bits.

    Parameters
    ----------
    sketches : (d,) or (n, d) array_like, or PackedSketches
        Also `Population.total`, which is exact while its numbers are below 2**20. Float64 is taken as it is.
    bits : {64, 32}
    step : float, optional
        A power of two from 2**-32 to 1; if not given 2**-32 of 64 bits and 2**-16 of 32.

    Returns
    -------
    uint64 or uint32 array of the same shape

    Raises
    ------
    ValueError, TypeError
        Another width or step; NaN, or a number that does not fit, which is below 2**(bits - 1) steps in magnitude.

    Notes
    -----
    The sum of all that is added must fit, too, and none of those who add can see that it does not: with 32 bits and
    steps of 2**-16 it is below 2**15 in magnitude. Add in the type's own arithmetic: ``x.sum(axis=0, dtype=x.dtype)``.
    Rounding changes a number by step / sqrt(12), root mean square: a sum of n rounded sketches has noise of
    ``step * (n / 12) ** 0.5``, which `Population.read` is to be told where steps are longer than 2**-32.

    Cost: a pass over the numbers, and 16 bytes of each while it runs.

    Examples
    --------
    >>> import recsketch as rs
    >>> rs.fixed_point([1.5, -1.0]).tolist()
    [6442450944, 18446744069414584320]
    >>> rs.fixed_point([1.5, -1.0], bits=32).tolist()
    [98304, 4294901760]
    """
    bits = _check.integer("bits", bits, 32, 64)
    if bits not in WIDTHS:
        raise ValueError(f"bits: wanted 64 or 32; got {_check.describe(bits)}")
    unit = _step(step, bits)
    given = _check.reals("sketches", packing.unpacked(sketches)[0], "sketches, (d,) or (n, d)")
    if given.ndim not in (1, 2):
        raise ValueError(f"sketches: wanted shape (d,) or (n, d); got {_check.describe(given)}")
    with np.errstate(over="ignore"):  # infinity does not fit, either
        whole = np.rint(given.astype(np.float64) / unit)
    fits = np.abs(whole) < 2.0 ** (bits - 1)
    if not fits.all():
        at = tuple(int(i) for i in np.argwhere(~fits)[0])
        where = f"sketches[{', '.join(map(str, at))}]"
        most = f"2**{bits - 1 + int(math.log2(unit))}, half of 2**{bits} steps of 2**{int(math.log2(unit))}"
        raise ValueError(f"{where}: wanted a number below {most}, in magnitude; got {float(given[at]):.6g}")
    return whole.astype(np.int64).astype(WIDTHS[bits])


def whole_sums(total: object, dim: int, step: float | None) -> npt.NDArray[np.int64]:
    """(d,) What a total of such integers stands for, in steps of 2^-32."""
    array: npt.NDArray[Any] = _check.reals("total", total, f"{dim} unsigned integers")
    bits = 8 * array.dtype.itemsize
    if array.dtype.kind != "u" or bits not in WIDTHS or array.shape != (dim,):
        raise ValueError(f"total: wanted uint64 or uint32 of shape ({dim},); got {_check.describe(array)}")
    times = int(_step(step, bits) / STEP)
    signed = array.astype(WIDTHS[bits]).view(np.int64 if bits == 64 else np.int32).astype(np.int64)
    most = (2**63 - 1) // times
    if not ((signed <= most) & (signed >= -most)).all():
        raise ValueError("total: wanted numbers below 2**31, in magnitude; got larger ones")
    return signed * np.int64(times)


def _step(given: object, bits: int) -> float:
    if given is None:
        return STEPS[bits]
    what = "a power of two from 2**-32 to 1"
    value = _check.number("step", given, what, 0.0, 1.0)
    if value < STEP or math.frexp(value)[0] != 0.5:
        raise ValueError(f"step: wanted {what}; got {_check.describe(given)}")
    return value
