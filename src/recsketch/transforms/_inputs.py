"""Arrays and tables as rows of numbers, and where in them a number is not one."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import numpy.typing as npt

import recsketch._check as _check
import recsketch._core as _core
from recsketch.transforms._sparse import is_sparse, place

Array = npt.NDArray[Any]

# How pandas, polars and pyarrow name the types of columns whose cells may be numbers: int64, UInt8, Float32, double,
# halffloat, boolean, decimal128(5, 2), Sparse[float64, 0]; cells of object and category columns are looked at.
NUMBERS = re.compile(r"u?int\d|float|double|half|bool|decimal|null$|object$|complex|category$|sparse\[", re.IGNORECASE)


def short(x: object) -> str:
    """`repr(x)`, cut: a column's name may be a page of text."""
    text = repr(x)
    return text if len(text) <= 60 else text[:57] + "..."


def _labels(x: Any) -> list[Any] | None:
    """What a table calls its columns; None of anything else. pyarrow's `columns` are the columns themselves."""
    if isinstance(x, np.ndarray) or is_sparse(x) or not hasattr(x, "__array__"):
        return None
    labels = getattr(x, "column_names", None)
    labels = getattr(x, "columns", None) if labels is None else labels
    return None if labels is None or callable(labels) else list(labels)


def column_names(own: str, x: Any) -> Array | None:
    """The names of a table's columns, if they are strings.

    As in scikit-learn, labels that are all something else (pandas numbers unnamed columns) count as none, and labels of
    which only some are strings are an error.
    """
    labels = _labels(x) or []
    strings = sum(isinstance(label, str) for label in labels)
    if 0 < strings < len(labels):
        raise TypeError(
            f"{own}: Feature names are only supported if all input features have string names; got "
            f"{', '.join(short(label) for label in labels[:5])}"
        )
    return np.array(labels, dtype=object) if strings else None


def _refuse_types(own: str, x: Any, names: Array | None) -> None:
    """Refuse columns of types that hold no numbers: polars would hand over a date as the integer that stores it."""
    if _labels(x) is None:
        return
    types: Any = getattr(x, "dtypes", None)  # pandas, polars
    types = getattr(getattr(x, "schema", None), "types", ()) if types is None else types  # pyarrow
    for k, kind in enumerate(types):
        if not NUMBERS.match(str(kind)):
            raise TypeError(f"{own}: wanted numbers; got {str(kind)[:60]} in {column(k, names)}")


def column(k: int, names: Array | None) -> str:
    """A column as errors call it."""
    return f"column {k}" if names is None else f"column {short(names[k])}"


def _number(cell: Any) -> float:
    """A cell of an array of objects. Missing ones are NaN, whatever stands for them."""
    if cell is None or type(cell).__name__ in ("NAType", "NaTType"):  # pandas.NA, pandas.NaT
        return np.nan
    if isinstance(cell, (str, bytes, bytearray, np.ndarray, np.datetime64, np.timedelta64)):
        raise TypeError("text, dates and arrays are no numbers")  # though float() takes some of them
    return float(cell)


def _cells(own: str, array: Array, names: Array | None) -> Array:
    out = np.empty(array.shape)
    for at, cell in np.ndenumerate(array):
        try:
            out[at] = _number(cell)
        except (TypeError, ValueError, OverflowError) as error:
            kind = TypeError if isinstance(error, TypeError) else ValueError
            complex_ = "Complex data not supported: " if isinstance(cell, (complex, np.complexfloating)) else ""
            where = f"{column(at[1], names)}, row {at[0]}"
            text = f"{complex_}wanted numbers; got {_check.describe(cell)} in {where}: {str(error)[:200]}"
            raise (ValueError if complex_ else kind)(f"{own}: {text}") from None
    return out


def dense(own: str, x: Any, names: Array | None) -> Array:
    """`x` as an array; if it has two dimensions, as a packed one of float32 or float64.

    float32 and float64 stay what they are and all other numbers become float64. Text is no number even where it could
    be parsed as one, and neither is a date.
    """
    _check.unmasked(f"{own}: X", x, "an (n, features) array")
    _refuse_types(own, x, names)
    try:
        array = np.asarray(x)
    except ValueError:
        raise ValueError(f"{own}: wanted an (n, features) array; got a ragged sequence") from None
    if array.ndim != 2:
        return array
    if array.dtype.kind == "c":
        raise ValueError(f"{own}: Complex data not supported; got {_check.describe(array)}")
    if array.dtype.kind in "mM":
        raise TypeError(f"{own}: wanted numbers; got {_check.describe(array)}")
    if array.dtype.kind in "OSUT":
        # np.asarray writes numbers beside text as text: read again, so that the error names the text
        return _cells(own, array if isinstance(x, np.ndarray) else np.asarray(x, dtype=object), names)
    if array.dtype.kind not in "fiub":  # numbers that NumPy does not know, such as bfloat16
        try:
            array = array.astype(np.float64)
        except (TypeError, ValueError) as error:
            raise TypeError(f"{own}: wanted numbers; got {_check.describe(array)}: {str(error)[:200]}") from None
    with np.errstate(over="ignore"):  # a long double that becomes infinite is refused as such
        return _check.packed(array, _check.float_type(array))


def not_finite(own: str, rows: Any, names: Array | None, name: str = "X") -> ValueError | None:
    """The error that names the first number which is NaN or infinite in packed rows or in a csr_array, or None."""
    flat: Any = rows.data if is_sparse(rows) else rows.reshape(-1)
    if _core.within(flat, np.inf):
        return None
    k = int(np.argmin(np.isfinite(flat)))
    row, col = place(rows, k) if is_sparse(rows) else divmod(k, rows.shape[1])
    what = "NaN" if np.isnan(flat[k]) else f"infinity or a value too large for {flat.dtype}"
    return ValueError(f"{own}: wanted finite numbers; Input {name} contains {what}: {column(col, names)}, row {row}")
