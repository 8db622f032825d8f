"""SciPy's sparse arrays as CSR rows, checked before SciPy's compiled code, or ours, follows their indices."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

import recsketch._check as _check


def is_sparse(x: Any) -> bool:
    """Whether `x` is one of SciPy's sparse arrays or matrices, of any format, without importing SciPy."""
    return hasattr(x, "tocsr") and any(kind.__module__.startswith("scipy.sparse") for kind in type(x).__mro__)


def csr(own: str, x: Any) -> Any:
    """`x`, which is sparse, as a csr_array of float32 or float64: columns ascend, none occurs twice, nothing is stored
    beyond the last offset. Numbers that `x` stores twice are added. `x` itself stays as it is.

    Every number is looked at once, as SciPy trusts the arrays it is handed: a LIL array whose lists differ in length
    made SciPy 1.17 write outside its memory.
    """
    if x.ndim != 2:
        return x  # the caller says what is wrong with the shape
    _refuse(own, x)
    if x.dtype.kind == "c":
        raise ValueError(f"{own}: Complex data not supported; got a sparse array of {x.dtype}")
    try:
        if x.dtype not in (np.float32, np.float64):
            x = x.astype(np.float64)
        rows = x.tocsr()
    except (TypeError, ValueError, IndexError) as error:
        raise ValueError(f"{own}: wanted a sparse array of numbers; got {_what(x)}: {str(error)[:200]}") from None
    if rows is not x:
        _refuse(own, rows)  # a LIL or DOK array's own indices have only now become arrays

    from scipy.sparse import csr_array

    size = int(rows.indptr[-1])
    data = _check.packed(rows.data[:size], rows.dtype.type)
    # A new array forgets what SciPy noted about the order of the old one, whose indices may have changed since.
    out = csr_array((data, rows.indices[:size], rows.indptr), shape=rows.shape)
    if not out.has_canonical_format:
        out = out.copy()
        out.sum_duplicates()
    return out


def place(rows: Any, k: int) -> tuple[int, int]:
    """Row and column of the k-th number that a csr_array stores."""
    return int(np.searchsorted(rows.indptr, k, side="right")) - 1, int(rows.indices[k])


def _what(x: Any) -> str:
    return f"a {x.format} array of shape {x.shape} and {x.dtype}"


def _refuse(own: str, x: Any) -> None:
    fault = {"csr": _compressed, "csc": _compressed, "bsr": _compressed, "coo": _coo, "dia": _dia, "lil": _lil}
    found = fault[x.format](x) if x.format in fault else ""
    if found:
        wanted = "offsets that never decrease and indices within the shape"
        raise ValueError(f"{own}: wanted {wanted}; got {_what(x)} where {found}")


def _outside(name: str, indices: npt.NDArray[Any], size: int) -> str:
    if indices.ndim != 1 or indices.dtype.kind not in "iu":
        return f"{name} has shape {indices.shape} and {indices.dtype}"
    if not indices.size:
        return ""
    low, high = int(indices.min()), int(indices.max())
    return "" if 0 <= low <= high < size else f"{name} goes from {low} to {high}, of {size}"


def _compressed(x: Any) -> str:
    """What is wrong with CSR, CSC or BSR arrays, or nothing. Numbers beyond the last offset are allowed: nobody reads
    them."""
    if x.data.ndim != (3 if x.format == "bsr" else 1):
        return f"data has shape {x.data.shape}"
    blocks = x.data.shape[1:] or (1, 1)
    if any(b < 1 or n % b for n, b in zip(x.shape, blocks, strict=True)):
        return f"blocks of {blocks} do not fill it"
    rows, columns = (n // b for n, b in zip(x.shape, blocks, strict=True))
    outer, inner = (columns, rows) if x.format == "csc" else (rows, columns)
    ends, stored = x.indptr, min(len(x.indices), len(x.data))
    if ends.ndim != 1 or ends.dtype.kind not in "iu" or len(ends) != outer + 1:
        return f"indptr has shape {ends.shape} and {ends.dtype}, for {outer} + 1 integers"
    if ends[0] != 0 or np.any(ends[1:] < ends[:-1]) or ends[-1] > stored:
        return f"indptr goes from {ends[0]} to {ends[-1]}, not from 0 up to at most {stored}"
    return _outside("indices", x.indices[: ends[-1]], inner)


def _coo(x: Any) -> str:
    if not len(x.row) == len(x.col) == len(x.data):
        return f"row, col and data have {len(x.row)}, {len(x.col)} and {len(x.data)} numbers"
    return _outside("row", x.row, x.shape[0]) or _outside("col", x.col, x.shape[1])


def _dia(x: Any) -> str:
    if x.data.ndim != 2 or x.offsets.shape != x.data.shape[:1]:
        return f"data has shape {x.data.shape}, offsets {x.offsets.shape}"
    return "" if len(set(x.offsets.tolist())) == len(x.offsets) else "a diagonal occurs twice"


def _lil(x: Any) -> str:
    if x.rows.shape != x.shape[:1] or x.data.shape != x.shape[:1]:
        return f"rows has shape {x.rows.shape}, data {x.data.shape}"
    different = [i for i, (at, data) in enumerate(zip(x.rows, x.data, strict=True)) if len(at) != len(data)]
    return f"row {different[0]} has another number of indices than of values" if different else ""
