"""Sketches in fewer bytes: two or one a coordinate, with the error that costs known to every decoder."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

import numpy as np

import recsketch._check as _check
import recsketch._core as _core
import recsketch._npz as _npz
from recsketch._check import Floats
from recsketch._files import File
from recsketch._values import alike

if TYPE_CHECKING:
    import numpy.typing as npt

Doubles: TypeAlias = "npt.NDArray[np.float64]"

STORED: dict[str, type[np.generic]] = {
    "float32": np.float32,
    "float16": np.float16,
    "bfloat16": np.uint16,
    "int8": np.int8,
}
CLIP = 4.0  # root mean squares, of int8: see `pack`
BLOCK = 1 << 18  # coordinates packed at a time


class PackedSketches:
    """Sketches as they are stored. Every decoder takes them in place of an array.

    Parameters
    ----------
    values : (d,) or (n, d) array
        float32, float16 or int8; bfloat16 as the upper halves of float32s, uint16.
    scale : () or (n,) float32
        What a sketch's values are multiplied by.
    noise : () or (n,) float64
        Root mean square error of one coordinate of each sketch.
    dtype : {"float32", "float16", "bfloat16", "int8"}

    Raises
    ------
    ValueError, TypeError
        Shapes or types that do not fit each other, values that are not finite, scales that are not positive.

    Notes
    -----
    Made by `pack`, read by `load`. Frozen; the arrays are not copied, and read-only. An index picks sketches: a number,
    a slice, or a vector of numbers or booleans. Two are equal if type, values, scales and noise are; they have no hash.
    Cost of making, comparing or unpacking them: one pass over the values; of a number or a slice as index, of those
    picked alone.

    Examples
    --------
    >>> import numpy as np
    >>> packed = pack(np.random.default_rng(0).standard_normal((3, 64)), "int8")
    >>> packed
    <PackedSketches of 3 sketches of 64 numbers as int8, 228 bytes>
    >>> len(packed[1:]), packed[0].unpack().shape
    (2, (64,))
    >>> packed == PackedSketches(packed.values, packed.scale, packed.noise, "int8")
    True
    """

    __slots__ = ("dtype", "noise", "scale", "values")

    values: npt.NDArray[Any]
    scale: Floats
    noise: Doubles
    dtype: str

    def __init__(self, values: npt.ArrayLike, scale: npt.ArrayLike, noise: npt.ArrayLike, dtype: str) -> None:
        stored = STORED[_check.choice("dtype", dtype, tuple(STORED))]
        v = np.asarray(values)
        if v.ndim not in (1, 2) or not v.shape[-1]:
            raise ValueError(f"values: wanted shape (d,) or (n, d); got {_check.describe(v)}")
        if v.dtype.newbyteorder("=") != stored:
            raise TypeError(f"values: wanted {np.dtype(stored)} for {dtype}; got {_check.describe(v)}")
        v = _check.packed(v, stored)
        columns: list[Any] = []
        for name, x, kind in (("scale", scale, np.float32), ("noise", noise, np.float64)):
            a = _check.reals(name, x, "one number a sketch")
            if a.shape != v.shape[:-1]:
                raise ValueError(f"{name}: wanted one number a sketch, shape {v.shape[:-1]}; got {_check.describe(a)}")
            with np.errstate(over="ignore"):  # infinity is refused below
                columns.append(np.asarray(a, kind))
        if not np.all((columns[0] > 0) & np.isfinite(columns[0])):
            raise ValueError("scale: wanted positive numbers; got others")
        if not np.all((columns[1] >= 0) & np.isfinite(columns[1])):
            raise ValueError("noise: wanted numbers from 0; got others")
        rows, scales = v.reshape(-1, v.shape[-1]), columns[0].reshape(-1, 1)
        for part in _blocks(rows):
            with np.errstate(over="ignore"):
                if not np.isfinite(floats(rows[part], dtype) * scales[part]).all():
                    raise ValueError("values: wanted finite numbers; got NaN or infinity, once multiplied by scale")
        self._set(v, columns[0], columns[1], dtype)

    def _set(self, values: npt.NDArray[Any], scale: Floats, noise: Doubles, dtype: str) -> None:
        for name, a in (("values", values), ("scale", scale), ("noise", noise)):
            view = a.view()
            view.flags.writeable = False
            object.__setattr__(self, name, view)
        object.__setattr__(self, "dtype", dtype)

    @classmethod
    def _of(cls, values: npt.NDArray[Any], scale: Floats, noise: Doubles, dtype: str) -> PackedSketches:
        """Of what `pack` has just made: decoding it once more, to check it, would take a third as long again."""
        packed = object.__new__(cls)
        packed._set(values, scale, noise, dtype)
        return packed

    def unpack(self) -> Floats:
        """The sketches: (d,) or (n, d) float32, values times scale. A new array, of 4 bytes a coordinate."""
        return np.asarray(floats(self.values, self.dtype) * self.scale[..., None])

    @property
    def dim(self) -> int:
        """Sketch length d."""
        return int(self.values.shape[-1])

    @property
    def nbytes(self) -> int:
        """Bytes of values, scales and noise."""
        return self.values.nbytes + self.scale.nbytes + self.noise.nbytes

    def __len__(self) -> int:
        if self.values.ndim == 1:
            raise TypeError("len: wanted several sketches; got one, of shape (d,)")
        return len(self.values)

    def __getitem__(self, index: int | slice | npt.ArrayLike) -> PackedSketches:
        if self.values.ndim == 1:
            raise TypeError(f"index: wanted several sketches to pick from; got one, and {_check.describe(index)}")
        picked = _check.picked(index, len(self))
        return PackedSketches(self.values[picked], self.scale[picked], self.noise[picked], self.dtype)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PackedSketches):
            return NotImplemented
        return all(alike(getattr(self, name), getattr(other, name)) for name in self.__slots__)

    __hash__ = None  # type: ignore[assignment]  # what owns the arrays may still change them

    def save(self, path: File) -> None:
        """Write to an .npz file, complete or not at all: the old file stays until the new one is done.

        Parameters
        ----------
        path : str, os.PathLike or binary file object
            Links are followed. The old file's mode is kept, and its group and owner where this user may set them.
            Pipes, devices, file objects and files of several names (hard links) are written in place, from memory, when
            all bytes are known.

        Raises
        ------
        OSError
            The file or its folder cannot be written. The old file is unchanged, unless it was written in place.
        TypeError, ValueError
            `path` is no file name.

        Notes
        -----
        Equal sketches make equal bytes. Cost: `nbytes` and some 1,900 more are written and synced to the disk; the
        memory is that of a buffer, or of the whole file where it is written in place.

        Examples
        --------
        >>> import io
        >>> import numpy as np
        >>> file = io.BytesIO()
        >>> pack(np.ones((3, 64)), "int8").save(file)
        >>> len(file.getvalue())
        2054
        """
        _npz.save(path, {name: getattr(self, name) for name in self.__slots__})

    @classmethod
    def load(cls, path: File) -> PackedSketches:
        """Read what `save` wrote.

        Parameters
        ----------
        path : str, os.PathLike or binary file object
            What cannot be sought in, such as a pipe, is read into memory first.

        Raises
        ------
        ValueError
            Another, a damaged or a hostile file, or one of another format's version. Pickles are never read.
        OSError
            The file cannot be read.
        TypeError
            `path` is no file name.

        Notes
        -----
        Every size that the file claims is compared with the bytes there are before anything is allocated. Cost: two
        passes over the bytes, and memory for them once (twice for a pipe).

        Examples
        --------
        >>> import numpy as np
        >>> pack(np.ones((3, 64)), "float16").save("packed.npz")
        >>> PackedSketches.load("packed.npz")
        <PackedSketches of 3 sketches of 64 numbers as float16, 420 bytes>
        """

        def make(arrays: dict[str, Any]) -> PackedSketches:
            return cls(**{**arrays, "dtype": _npz.text("dtype", arrays["dtype"])})

        return _npz.load(path, set(cls.__slots__), "PackedSketches.save", make)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"PackedSketches is frozen: pack new ones to change {name!r}")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"PackedSketches is frozen: {name!r} cannot be deleted")

    def __reduce__(self) -> tuple[Any, ...]:
        return PackedSketches, (self.values, self.scale, self.noise, self.dtype)

    def __repr__(self) -> str:
        sketches = "one sketch" if self.values.ndim == 1 else f"{len(self)} sketch{'es' * (len(self) != 1)}"
        numbers = _check.count(self.dim, "number")
        return f"<PackedSketches of {sketches} of {numbers} as {self.dtype}, {self.nbytes} bytes>"


def pack(sketches: npt.ArrayLike, dtype: str = "float16") -> PackedSketches:
    """Store sketches in fewer bytes.

    Parameters
    ----------
    sketches : (d,) or (n, d) array_like
        Real numbers of at most 1e30.
    dtype : {"float32", "float16", "bfloat16", "int8"}
        4, 2, 2 and 1 bytes a coordinate.

    Returns
    -------
    PackedSketches
        `noise` is the root mean square of sketch - unpack(), computed from these very sketches in float64.

    Raises
    ------
    ValueError, TypeError
        NaN, infinity, numbers above 1e30, another shape or dtype; the message names the first bad sketch.

    Notes
    -----
    All round to the nearest, ties to even. For Gaussian coordinates of deviation one the noise is about 2.1e-4 for
    "float16" (11 bits), 1.7e-3 for "bfloat16" (8 bits), and for "int8" 8e-3 to 1e-2. Values of "float16" are divided by
    a power of two that brings the largest to 2^14 .. 2^15: numbers keep 11 bits down to 2^-29 of it, instead of losing
    them below 6e-5.

    "int8" divides by 1/127 of the largest magnitude or of 4 root mean squares, clipping what is beyond, whichever gives
    that sketch the smaller error. Gaussian coordinates, noise over deviation, measured: largest 0.0078 against 0.0080
    clipped at d = 1,024; 0.0086, 0.0087 at 4,096; 0.0094, 0.0092 at 16,384; 0.0100, 0.0093 at 65,536; 0.0117, 0.0095
    at 2^20. Clipping pays from about 10,000 coordinates on.

    Cost: time linear in n d. float32 to "float16" is one pass of C. All else takes a few passes over blocks of 2^18
    coordinates (or one sketch, if that is longer), and besides the result some 50 bytes for each coordinate of a block.

    Examples
    --------
    >>> import numpy as np
    >>> s = np.random.default_rng(0).standard_normal(4096).astype(np.float32)
    >>> packed = pack(s, "int8")
    >>> bool(np.isclose(packed.noise, np.sqrt(np.mean((s - packed.unpack()) ** 2.0)), rtol=1e-6))
    True
    >>> packed.nbytes
    4108
    """
    stored = STORED[_check.choice("dtype", dtype, tuple(STORED))]
    x = _check.reals("sketches", sketches, "sketches, real numbers")
    if x.ndim not in (1, 2) or not x.shape[-1]:
        raise ValueError(f"sketches: wanted shape (d,) or (n, d); got {_check.describe(x)}")
    rows = x.reshape(-1, x.shape[-1])
    values = np.empty(rows.shape, stored)
    scale, noise = np.ones(len(rows), np.float32), np.zeros(len(rows))
    if dtype == "float16" and x.dtype == np.float32:
        # What leaves float32's range, divided by the scale, is far below what float16 holds: as doubles have it.
        bad = _core.halves(_check.packed(rows, np.float32), values.view(np.uint16), scale, noise)
        _bounded(x, np.arange(len(rows)) != bad, 0)
        return PackedSketches._of(
            values.reshape(x.shape), scale.reshape(x.shape[:-1]), noise.reshape(x.shape[:-1]), dtype
        )
    for part in _blocks(rows):
        y = rows[part].astype(np.float64)
        most = np.maximum(y.max(axis=1), -y.min(axis=1))
        _bounded(x, most <= np.float32(_check.LARGEST), part.start)
        if dtype == "float16":
            scale[part] = np.ldexp(1.0, np.maximum(np.frexp(most)[1] - 15, -126))
        elif dtype == "int8":
            scale[part] = _steps(y, most)
        values[part] = _rounded(y, dtype, scale[part])
        noise[part] = _error(y, floats(values[part], dtype) * scale[part, None])
    return PackedSketches._of(values.reshape(x.shape), scale.reshape(x.shape[:-1]), noise.reshape(x.shape[:-1]), dtype)


def unpacked(sketches: object) -> tuple[Any, Doubles | None]:
    """What a decoder was given, as an array still to be checked, and the noise of a coordinate if that is known.

    A float16 array has been rounded: a number to one of its neighbours, uniformly within half a step of it.
    """
    if isinstance(sketches, PackedSketches):
        return sketches.unpack(), sketches.noise
    if isinstance(sketches, np.ndarray) and sketches.dtype.newbyteorder("=") == np.float16 and sketches.ndim in (1, 2):
        known = np.isfinite(sketches)
        steps = np.spacing(np.where(known, np.abs(sketches), np.float16(0))).astype(np.float64)
        mean = np.sum(np.square(steps), axis=-1, where=known) / np.maximum(known.sum(axis=-1), 1)
        return sketches, np.asarray(np.sqrt(mean / 12.0))
    return sketches, None


def _blocks(rows: npt.NDArray[Any]) -> Iterator[slice]:
    """Slices of (n, d) rows, of about so many numbers each, so that what is computed from them stays small."""
    step = max(1, BLOCK // rows.shape[1])
    return (slice(first, first + step) for first in range(0, len(rows), step))


def _bounded(x: npt.NDArray[Any], good: npt.NDArray[np.bool_], first: int) -> None:
    """Refuse the first sketch that is not good; `good` begins with sketch number `first`."""
    if not good.all():
        where = f"sketches[{first + int(np.argmin(good))}]" if x.ndim == 2 else "sketches"
        raise ValueError(f"{where}: wanted finite numbers of at most 1e30; got NaN or larger")


def _rounded(y: Doubles, dtype: str, scale: Floats) -> npt.NDArray[Any]:
    """To the stored type, from (n, d) numbers and one scale a row."""
    if dtype == "int8":
        return np.clip(np.rint(y / scale[:, None]), -127, 127).astype(np.int8)
    if dtype == "float16":
        return (y / scale[:, None]).astype(np.float16)
    if dtype == "float32":
        return y.astype(np.float32)
    bits = y.astype(np.float32).view(np.uint32)  # half a unit, less the last bit kept: ties go to the even neighbour
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def floats(values: npt.NDArray[Any], dtype: str) -> Floats:
    """Stored values as float32, not yet scaled."""
    if dtype == "bfloat16":
        return (values.astype(np.uint32) << 16).view(np.float32)
    return values.astype(np.float32, copy=False)


def _error(y: Doubles, decoded: Floats) -> Doubles:
    return np.asarray(np.sqrt(np.mean(np.square(y - decoded), axis=1)))


def _steps(y: Doubles, most: Doubles) -> Floats:
    """The better of two steps of int8 for each row, by the error it makes."""

    def of(reach: Doubles) -> Floats:
        return np.maximum(reach / 127, 2.0**-149).astype(np.float32)  # above zero, for a sketch of zeros too

    steps = of(most)
    clipped = of(CLIP * np.sqrt(np.mean(np.square(y), axis=1)))
    r = np.flatnonzero(clipped < steps)
    errors = [_error(y[r], _rounded(y[r], "int8", s[r]).astype(np.float32) * s[r, None]) for s in (steps, clipped)]
    steps[r] = np.where(errors[1] < errors[0], clipped[r], steps[r])
    return steps
