"""The rows of largest inner product with a query: a scan over float32, float16, bfloat16 or int8."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

import recsketch._check as _check
import recsketch._core as _core
from recsketch.sketching.packing import PackedSketches

if TYPE_CHECKING:
    import numpy.typing as npt

ROWS = "PackedSketches, or an array of shape (n, d) of float32, float16, bfloat16 (uint16) or int8, n and d at least 1"
KINDS: dict[str, type[np.generic]] = {
    "float32": np.float32,
    "float16": np.uint16,  # C takes the bits
    "bfloat16": np.uint16,
    "uint16": np.uint16,
    "int8": np.int8,
}


def scan(
    rows: npt.ArrayLike | PackedSketches,
    queries: npt.ArrayLike,
    k: int,
    *,
    scale: npt.ArrayLike | None = None,
    threads: int | None = None,
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """The `k` rows of largest inner product with each query: ``score = scale[i] * sum(rows[i] * query)``.

    Every row is looked at, so nothing is missed. Scan rows of norm one for cosines.

    Parameters
    ----------
    rows : PackedSketches, or (n, d) array_like of float32, float16, bfloat16 or int8
        bfloat16 is an array of ml_dtypes' type, or of uint16: the upper halves of float32s. Other types are refused,
        for converting them would copy all. Memory-mapped and read-only arrays are read where they are, if they are
        C-contiguous and in native byte order. A row whose score is NaN never comes up.
    queries : (d,) or (m, d) array_like
        Finite, taken as float32.
    k : int
        1 to n.
    scale : (n,) array_like, optional
        A factor a row, finite, taken as float32; 1 if not given. What int8 rows were divided by. PackedSketches bring
        their own.
    threads : int, optional
        Upper bound; all that OpenMP offers if not given. Bits do not depend on it, nor on the instruction set.

    Returns
    -------
    scores : (k,) or (m, k) float32
        Higher is better, the best first.
    indices : (k,) or (m, k) int64
        Of equal scores the smaller index comes first. Where NaN left fewer than k rows: -1, with a score of -infinity.

    Raises
    ------
    ValueError, TypeError
        An argument of another shape or type, or outside its range.

    Notes
    -----
    **int8 rows**: products are exact and sums float64, rounded once more to float32:
    ``|error| <= 2**-24 |score| + (d / 16 + 6) 2**-53 |scale[i]| sum(abs(rows[i] * query))``. Where a query's elements
    are integers of at most 2**46 / d, every sum is below 2**53 and exact. Rows are compared before the last rounding,
    so their order is that of the exact scores even where these are the same float32. An element 1e5 times the others
    costs no accuracy, nor do queries of 1e-43.

    **Float rows** (float16 and bfloat16 are converted exactly): sums in float32, sixteen interleaved ones, folded.
    Products are added as they are, by fused multiply-adds. A product takes part in at most d / 16 + 5 sums, each of
    which rounds once. With the product with `scale` the error is at most
    ``(d / 16 + 6) 2**-24 |scale[i]| sum(abs(rows[i] * query))``. Small queries and all scales are multiplied by powers
    of two first, so that this holds for queries of 1e-43 as well; what then still is below 2**-126 costs
    ``(d + 1) 2**-148 max(abs(scale)) max(abs(query))`` at most. Sums above 3.4e38 are infinite. The answer's float32
    holds fewer digits below 2**-126.

    **Cost**: n d products a query; one query alone takes as long as reading the rows from memory takes, so that int8
    is about four times as fast as float32. int8 rows are scored in int16 first, whose error is known, and only what may
    come up, about k ln(n / k) rows of n, is scored in float64: a tenth more time, twice as much where k is near n.
    Memory beside the arguments and the answer: with c = min(m, 1024) queries, 4 c (d + 48) bytes (int8: half), and
    16 c k bytes + 400 kB a thread, and where float rows meet 16 queries or more, max(128 kB, 64 d bytes) a thread.

    Examples
    --------
    >>> import numpy as np
    >>> rows = np.eye(4, dtype=np.float32)
    >>> scores, indices = scan(rows, [0.0, 3.0, 1.0, 2.0], 2)
    >>> scores.tolist(), indices.tolist()
    ([3.0, 2.0], [1, 3])
    >>> scan((127 * rows).astype(np.int8), [0.0, 3.0, 1.0, 2.0], 2, scale=np.full(4, 1 / 127))[1].tolist()
    [1, 3]
    >>> import recsketch as rs
    >>> scan(rs.pack(rows, "int8"), [0.0, 3.0, 1.0, 2.0], 2)[0].tolist()
    [3.0, 2.0]
    """
    if isinstance(rows, PackedSketches):
        if scale is not None:
            raise ValueError(f"scale: wanted None, for PackedSketches have their own; got {_check.describe(scale)}")
        scale, rows = rows.scale, rows.values
    x, kind = _rows(rows)
    n, d = x.shape
    q = _check.reals("queries", queries, f"queries of {d} numbers each")
    if q.ndim not in (1, 2) or q.shape[-1] != d:
        raise ValueError(f"queries: wanted shape ({d},) or (m, {d}); got {_check.describe(q)}")
    flat = _check.finite("queries", q).reshape(-1, d)
    most = _check.integer("k", k, 1, n)
    factor = None
    if scale is not None:
        factor = _check.finite("scale", _check.floats("scale", scale, f"a factor for each of {n} rows", (n,)))
    workers = _check.threads(threads)
    shape = (*q.shape[:-1], most)
    if not flat.shape[0]:
        return np.empty(shape, np.float32), np.empty(shape, np.int64)
    scores, indices = _core.scan(kind, x, factor, flat, most, workers)
    return scores.reshape(shape), indices.reshape(shape)


def _rows(rows: npt.ArrayLike) -> tuple[npt.NDArray[Any], str]:
    """Rows as C reads them, and what they are."""
    if str(getattr(rows, "dtype", "")) == "bfloat16":  # ml_dtypes', which NumPy takes for no number
        rows = np.asarray(rows).view(np.uint16)
    x = _check.reals("rows", rows, ROWS)
    kind = x.dtype.name
    if kind not in KINDS:
        raise TypeError(f"rows: wanted {ROWS}; got {_check.describe(x)}")
    if x.ndim != 2 or 0 in x.shape:
        raise ValueError(f"rows: wanted {ROWS}; got {_check.describe(x)}")
    return _check.packed(x, x.dtype.type).view(KINDS[kind]), "bfloat16" if kind == "uint16" else kind
