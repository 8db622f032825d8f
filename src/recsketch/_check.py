"""Checks of arguments: every message says what was wanted and what came."""

from __future__ import annotations

import contextlib
import operator
import os
import sys
import time
from collections.abc import Collection, Iterable, Iterator, KeysView, Mapping, Sequence, Set
from reprlib import Repr
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

import recsketch._core as _core

if TYPE_CHECKING:
    import numpy.typing as npt

Floats: TypeAlias = "npt.NDArray[np.float32]"


LARGEST = 1e30  # RSK_MAX_VALUE
MIN_DIM, MAX_DIM = 64, 1 << 24  # RSK_MIN_DIM, RSK_MAX_DIM


class CapacityWarning(UserWarning):
    """More unknowns than numbers to read them from: the answer is only one of many that fit."""


class StructureWarning(UserWarning):
    """A structure explains less of a sketch than noise as loud as the run would leave: it is probably another run's."""


class SketchWarning(UserWarning):
    """A specification cannot do for the runs that are sketched what it is likely to be meant for."""


# ---------------------------------------------------------------- words for messages, which stay below 1,000 characters


class _Short(Repr):
    """`repr` that never writes out the whole of a long value, nor fails."""

    def repr_int(self, x: int, level: int) -> str:
        digits = int(abs(x).bit_length() * 0.30103)  # Python refuses to write integers of more than 4,300 digits
        return repr(x) if digits < 40 else f"{'-' * (x < 0)}10**{digits}"


_SHORT = _Short()
_SHORT.maxstring = _SHORT.maxother = 60
LISTED = 300  # characters of a list of names


def cut(text: str, most: int) -> str:
    """A text that others wrote, at most so long."""
    return text if len(text) <= most else text[: most - 3] + "..."


def shown(x: object) -> str:
    """A value as Python writes it, cut to 60 characters."""
    return cut(_SHORT.repr(x), 60)


def describe(x: object) -> str:
    """What a value is, in at most 120 characters, for the end of an error message."""
    if isinstance(x, np.ndarray):
        text = f"an array of shape {x.shape} and dtype {x.dtype}"
    else:
        text = f"{shown(x)} ({type(x).__name__})"
    return cut(text, 120)


def listed(names: Collection[object]) -> str:
    """Names as Python writes a list of them, as many as fit into 300 characters, and how many there are."""
    out: list[str] = []
    size = 0
    for name in names:
        text = shown(name)
        size += len(text) + 2
        if size > LISTED:
            return f"[{', '.join(out)}, ... {len(names)} in all]"
        out.append(text)
    return f"[{', '.join(out)}]"


def numbers(all_of_them: Sequence[int], most: int) -> str:
    """The first `most` of them, as a text."""
    return ", ".join(map(str, all_of_them[:most])) + (" ..." if len(all_of_them) > most else "")


def count(n: int, what: str) -> str:
    """So many of something, in words: "1 object", "2 objects".

    Examples
    --------
    >>> count(1, "object"), count(0, "object"), count(1200, "trace")
    ('1 object', '0 objects', '1200 traces')
    """
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


# ---------------------------------------------------------------- numbers and words


def integer(name: str, x: object, low: int, high: int) -> int:
    """`x` as an int within [low, high]; a bool or a float is refused."""
    if type(x) is int and low <= x <= high:
        return x
    try:
        value = None if isinstance(x, (bool, np.bool_)) else operator.index(x)  # type: ignore[arg-type]
    except TypeError:
        value = None
    if value is None:
        raise TypeError(f"{name}: wanted an integer from {low} to {high}; got {describe(x)}")
    if not low <= value <= high:
        raise ValueError(f"{name}: wanted an integer from {low} to {high}; got {shown(value)}")
    return value


def choice(name: str, x: object, options: Collection[str]) -> str:
    """`x` if it is one of the options."""
    if not isinstance(x, str) or x not in options:
        wanted = " or ".join(map(shown, options)) if len(options) <= 4 else f"one of {listed(options)}"
        raise ValueError(f"{name}: wanted {wanted}; got {describe(x)}")
    return x


def number(name: str, x: object, what: str, low: float, high: float) -> float:
    """`x` as a float with low < x <= high; texts, bools and arrays are refused."""
    if isinstance(x, (bool, np.bool_, str, bytes, bytearray)) or (isinstance(x, np.ndarray) and x.ndim):
        raise TypeError(f"{name}: wanted {what}; got {describe(x)}")
    try:
        value = float(x)  # type: ignore[arg-type]  # whatever float() takes
    except (TypeError, ValueError):
        raise TypeError(f"{name}: wanted {what}; got {describe(x)}") from None
    except OverflowError:  # an integer of more than 308 digits
        value = np.inf
    if not low < value <= high:
        raise ValueError(f"{name}: wanted {what}; got {describe(x)}")
    return value


def unmasked(name: str, x: object, what: str) -> None:
    """Refuse an array with masked elements, which NumPy would hand over as numbers."""
    ma = sys.modules.get("numpy.ma")  # while it is not loaded, there is no masked array
    kind = getattr(ma, "MaskedArray", None)  # nor while another thread is about to load it
    if ma is not None and kind is not None and isinstance(x, kind) and ma.is_masked(x):
        raise ValueError(f"{name}: wanted {what}; got a masked array: fill it or leave masked elements out")


def _array(name: str, x: object, what: str) -> npt.NDArray[Any]:
    """`x` as an array of any type; ragged lists and masked elements are refused."""
    unmasked(name, x, what)
    try:
        return np.asarray(x)
    except ValueError:
        raise ValueError(f"{name}: wanted {what}; got a ragged sequence") from None


def reals(name: str, x: object, what: str) -> npt.NDArray[Any]:
    """`x` as a real numeric array; objects, strings, complex numbers and masked elements are refused."""
    array = _array(name, x, what)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{name}: wanted {what}; got {describe(array if array.ndim else x)}")
    return array


def packed(array: npt.NDArray[Any], dtype: type[np.generic]) -> npt.NDArray[Any]:
    """`array` as C reads it: of that type in native byte order, contiguous and aligned. Copies only if it must."""
    out = np.ascontiguousarray(array, dtype=dtype)
    return out if out.flags.aligned else out.copy()


def narrowed(array: npt.NDArray[Any]) -> Floats:
    """`array` as packed float32; what is too large becomes inf, and is refused where values are checked."""
    if array.dtype.kind == "f" and array.dtype.itemsize <= 4:  # nothing to ignore, which takes longer than all else
        return packed(array, np.float32)
    with np.errstate(over="ignore"):
        return packed(array, np.float32)


def floats(name: str, x: object, what: str, shape: tuple[int | None, ...]) -> Floats:
    """`x` as a C-contiguous float32 array of that shape (None: any size). Copies only if it must."""
    array = reals(name, x, what)
    if array.ndim != len(shape) or any(want not in (None, got) for want, got in zip(shape, array.shape, strict=True)):
        raise ValueError(f"{name}: wanted {what}; got {describe(array)}")
    return narrowed(array)


def float_type(array: npt.NDArray[Any]) -> type[np.float32] | type[np.float64]:
    """The type to compute in: float32 stays float32, all else is taken as float64."""
    return np.float32 if array.dtype.kind == "f" and array.dtype.itemsize == 4 else np.float64


def finite(name: str, array: npt.NDArray[Any]) -> Floats:
    """`array` as packed float32, refused if an element is NaN or larger than 1e30."""
    out = narrowed(array)
    if not _core.within(out.reshape(-1), LARGEST):
        raise ValueError(f"{name}: wanted finite numbers of at most 1e30; got NaN or larger")
    return out


def threads(x: object) -> int:
    """A number of threads; None is all that OpenMP offers."""
    return _core.max_threads() if x is None else integer("threads", x, 1, 1 << 16)


SLICE_SECONDS = 0.2


def slices(n: int, workers: int) -> Iterator[slice]:
    """range(n) in slices that take some 0.2 s each: Python serves Ctrl-C between two calls of C, not in one.

    The first has four items a worker. Every other is as long as the time of the one before suggests, at most eight
    times as long as that, and at least two items a worker, so that no worker waits for one other.
    """
    begin, size = 0, 4 * workers
    while begin < n:
        start = time.perf_counter()
        yield slice(begin, min(begin + size, n))
        elapsed = time.perf_counter() - start
        begin += size
        growth = min(8.0, SLICE_SECONDS / max(elapsed, 1e-9))
        size = max(2 * workers, int(size * growth))


Number = np.int32 | np.int64 | np.float32 | np.float64


def column(name: str, x: object, dtype: type[Number], size: int | None = None) -> npt.NDArray[Any]:
    """`x` as a C-contiguous vector of an exact type: integers are not taken from floats, nor wrapped around."""
    array = reals(name, x, "a vector of numbers")
    size_text = "" if size is None else f" of {size}"
    if array.ndim != 1 or (size is not None and array.size != size):
        raise ValueError(f"{name}: wanted a vector{size_text}; got {describe(array)}")
    if issubclass(dtype, np.integer) and array.size and not np.can_cast(array.dtype, dtype):
        if array.dtype.kind not in "iu":
            raise TypeError(f"{name}: wanted integers; got {describe(array)}")
        info = np.iinfo(dtype)
        if int(array.min()) < info.min or int(array.max()) > info.max:
            raise ValueError(
                f"{name}: wanted integers from {info.min} to {info.max}; got {array.min()} to {array.max()}"
            )
    with np.errstate(over="ignore"):
        return packed(array, dtype)


def offsets(name: str, x: object, size: int | None, end: int) -> npt.NDArray[np.int64]:
    """`x` as CSR offsets: from 0, never decreasing, to `end`."""
    array = column(name, x, np.int64, size)
    if array.size < 1 or array[0] != 0 or array[-1] != end or np.any(array[1:] < array[:-1]):
        raise ValueError(f"{name}: wanted offsets from 0, never decreasing, to {end}; got {describe(array)}")
    return array


def sketches(name: str, x: object, dim: int) -> Floats:
    """`x` as (dim,) or (n, dim) float32."""
    array = reals(name, x, f"sketches of {dim} numbers each")
    if array.ndim not in (1, 2) or array.shape[-1] != dim:
        raise ValueError(f"{name}: wanted shape ({dim},) or (n, {dim}); got {describe(array)}")
    return narrowed(array)


def mask(x: object, dim: int, rows: int) -> npt.NDArray[np.uint8] | None:
    """A mask of kept coordinates as bytes of shape (1, dim) or (rows, dim); None stays None."""
    if x is None:
        return None
    what = "booleans, True where a coordinate is kept"
    array = _array("mask", x, what)
    if array.dtype != np.bool_:
        raise TypeError(f"mask: wanted {what}; got {describe(array if array.ndim else x)}")
    if array.shape not in ((dim,), (1, dim), (rows, dim)):
        raise ValueError(f"mask: wanted shape ({dim},) or ({rows}, {dim}); got {describe(array)}")
    return np.ascontiguousarray(array.reshape(-1, dim)).view(np.uint8)


def known(name: str, x: Floats, mask: npt.NDArray[np.uint8] | None) -> None:
    """Refuse NaN, infinity and what is above 1e30 in the kept coordinates of sketches (n, dim), mask as of `mask`."""
    if mask is None and _core.within(x.reshape(-1), LARGEST):
        return
    for i, row in enumerate(x):
        kept = row if mask is None else row[mask[i % len(mask)].view(np.bool_)]
        if not _core.within(kept, LARGEST):
            where = name if len(x) == 1 else f"{name}[{i}]"
            wanted = "finite numbers of at most 1e30 in every kept coordinate"
            raise ValueError(f"{where}: wanted {wanted}; got NaN or larger")


def noise(x: object, rows: int) -> npt.NDArray[np.float64] | None:
    """Root mean square errors of a coordinate, one for each of `rows` sketches; None stays None."""
    if x is None:
        return None
    what = f"a number from 0 to 1e30, or {rows} of them"
    array = reals("noise", x, what)
    if array.shape not in ((), (1,), (rows,)):
        raise ValueError(f"noise: wanted {what}; got {describe(array)}")
    if array.dtype.kind == "b" or not np.all((array >= 0) & (array <= LARGEST)):
        raise ValueError(f"noise: wanted {what}; got {describe(array) if array.ndim else describe(x)}")
    return np.ascontiguousarray(np.broadcast_to(array, (rows,)), np.float64)


def flag(name: str, x: object) -> bool:
    """`x` as a bool; nothing else is taken for one."""
    if not isinstance(x, (bool, np.bool_)):
        raise TypeError(f"{name}: wanted True or False; got {describe(x)}")
    return bool(x)


def members(name: str, x: object, what: str) -> list[Any]:
    """What an iterable holds; texts, mappings, sets (which have no order) and 0-d arrays are none."""
    unordered = isinstance(x, Set) and not isinstance(x, KeysView)
    iterable = isinstance(x, Iterable) and not isinstance(x, (str, bytes, bytearray, Mapping)) and not unordered
    if not iterable or (isinstance(x, np.ndarray) and not x.ndim):
        raise TypeError(f"{name}: wanted {what}; got {describe(x)}")
    return list(x)  # type: ignore[call-overload,no-any-return]


def is_text(x: str) -> bool:
    """Whether UTF-8 can hold a text, and it has no NUL."""
    return "\0" not in x and (x.isascii() or x.encode("utf-8", "replace").decode() == x)


def module_name(name: str, x: object) -> str:
    """`x` as a module's name, a str that is not empty and that text files, UTF-8 and NumPy's strings can hold."""
    if not isinstance(x, str) or not x:
        raise TypeError(f"{name}: wanted a non-empty module name; got {describe(x)}")
    if not is_text(x):
        raise ValueError(f"{name}: wanted a module name without NUL that UTF-8 can hold; got {shown(x)}")
    return x if type(x) is str else str(x)


def path(name: str, x: object) -> str:
    """`x` as a file name."""
    if not isinstance(x, (str, os.PathLike)):
        raise TypeError(f"{name}: wanted a file name; got {describe(x)}")
    found = os.fsdecode(x)
    if "\0" in found:
        raise ValueError(f"{name}: wanted a file name, which has no NUL; got {describe(found)}")
    return found


def picked(index: object, n: int) -> int | slice | npt.NDArray[np.intp]:
    """`index` as one into n rows: a number from 0 to n - 1, a slice, or a vector of such numbers.

    Raises
    ------
    IndexError
        A number beyond the rows, or another number of booleans than there are rows.
    TypeError
        Anything else than an integer, a slice, or a vector of integers or booleans.
    """
    if isinstance(index, slice):
        return index
    what = f"a number from {-n} to {n - 1}, a slice, or a vector of such numbers or of {n} booleans"
    with contextlib.suppress(TypeError):
        i = operator.index([] if isinstance(index, (bool, np.bool_)) else index)  # type: ignore[arg-type]
        if -n <= i < n:
            return i % n
        raise IndexError(f"index: wanted {what}; got {shown(i)}")
    array = np.zeros(0, np.intp) if isinstance(index, list) and not index else reals("index", index, what)
    if isinstance(index, tuple) or array.ndim != 1 or array.dtype.kind == "f":  # NumPy takes a tuple for several axes
        raise TypeError(f"index: wanted {what}; got {describe(index)}")
    try:
        return np.asarray(np.arange(n)[array])
    except IndexError:
        raise IndexError(f"index: wanted {what}; got {describe(index)}") from None
