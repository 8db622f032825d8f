"""The rows of largest inner product with a query, exactly: a scan over float32, float16 or int8."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

import recsketch._check as _check
import recsketch._core as _core

if TYPE_CHECKING:
    import numpy.typing as npt

ROWS = "an array of shape (n, d) of float32, float16 or int8, with n and d at least 1"
TYPES: dict[tuple[str, int], type[np.generic]] = {("f", 4): np.float32, ("f", 2): np.float16, ("i", 1): np.int8}


def scan(
    rows: npt.ArrayLike,
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
    rows : (n, d) array_like of float32, float16 or int8
        Other types are refused, for converting them would copy all. Memory-mapped and read-only arrays are read where
        they are, if they are C-contiguous and in native byte order. A row whose score is NaN never comes up.
    queries : (d,) or (m, d) array_like
        Finite, taken as float32.
    k : int
        1 to n.
    scale : (n,) array_like, optional
        A factor a row, finite, taken as float32; 1 if not given. What int8 rows were divided by.
    threads : int, optional
        Upper bound; all that OpenMP offers if not given. Bits do not depend on it.

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
    Float rows are summed in float32, in sixteen interleaved sums: the relative error is at most (d / 16 + 5) 2**-24 of
    sum(abs(rows[i] * query)), and about the square root of that. float16 is converted exactly. For int8 rows each
    query is rounded to int16, its largest element to +-32767, and the sum is exact: the error is at most 2**-16
    max(abs(query)) sum(abs(rows[i])).

    Examples
    --------
    >>> import numpy as np
    >>> rows = np.eye(4, dtype=np.float32)
    >>> scores, indices = scan(rows, [0.0, 3.0, 1.0, 2.0], 2)
    >>> scores.tolist(), indices.tolist()
    ([3.0, 2.0], [1, 3])
    >>> scan((127 * rows).astype(np.int8), [0.0, 3.0, 1.0, 2.0], 2, scale=np.full(4, 1 / 127))[1].tolist()
    [1, 3]
    """
    x = _check.reals("rows", rows, ROWS)
    kind = TYPES.get((x.dtype.kind, x.dtype.itemsize))
    if kind is None:
        raise TypeError(f"rows: wanted {ROWS}; got {_check.describe(x)}")
    if x.ndim != 2 or 0 in x.shape:
        raise ValueError(f"rows: wanted {ROWS}; got {_check.describe(x)}")
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
    packed = _check.packed(x, kind)
    scores, indices = _core.scan(packed.view(np.uint16) if kind is np.float16 else packed, factor, flat, most, workers)
    return scores.reshape(shape), indices.reshape(shape)
