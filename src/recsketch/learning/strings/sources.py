"""Sketches from arrays, files and folders, a piece at a time: memory does not grow with how many there are."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

import recsketch._check as _check
import recsketch._npz as _npz
from recsketch._streams import words
from recsketch.sketching.packing import PackedSketches, unpacked

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats: TypeAlias = npt.NDArray[np.float32]
    Doubles: TypeAlias = npt.NDArray[np.float64]
    Numbers: TypeAlias = npt.NDArray[np.int64]

    Piece: TypeAlias = tuple[Numbers, Floats, Doubles]  # sketches' numbers, the sketches, and what a coordinate is off
    Part: TypeAlias = PackedSketches | npt.NDArray[Any]

WANTED = (
    "sketches (n, d), PackedSketches, a file or a folder of either, or several of these in a list or another iterable "
    "that can be gone through more than once"
)
PIECE = 1 << 21  # numbers looked at together


class Source:
    """Sketches of one length, in order.

    Parameters
    ----------
    sketches
        As of `learn_dictionary`.
    noise : float or (n,) array_like, optional
        Root mean square error of a coordinate; from PackedSketches, or from float16's steps, if not given.
    """

    def __init__(self, sketches: object, noise: object = None) -> None:
        self._given = sketches
        self._sizes: list[int] = []
        self.dim = 0
        for part in self._parts():
            rows, dim = part.values.shape if isinstance(part, PackedSketches) else part.shape
            if self.dim not in (0, dim):
                raise ValueError(f"sketches: wanted one length for all; got {self.dim} and {dim} numbers")
            self.dim = int(dim)
            self._sizes.append(int(rows))
        if not len(self):
            raise ValueError(f"sketches: wanted {WANTED}, at least one; got none")
        self._noise = _check.noise(noise, len(self))

    def __len__(self) -> int:
        return sum(self._sizes)

    def pieces(self, picked: Numbers | None = None) -> Iterator[Piece]:
        """All of them, or those of ascending numbers, some 2^21 coordinates at a time.

        Raises
        ------
        ValueError
            NaN, infinity or a number above 1e30; or there are not as many as at first.
        """
        step, first = max(1, PIECE // max(self.dim, 1)), 0
        sizes: list[int] = []
        for part in self._parts():
            size = len(part)
            inside = range(size) if picked is None else picked[(picked >= first) & (picked < first + size)] - first
            for at in range(0, len(inside), step):
                some = inside[at : at + step]
                yield self._piece(part, slice(some.start, some.stop) if isinstance(some, range) else some, first)
            first += size
            sizes.append(size)
        if sizes != self._sizes:
            raise ValueError(f"sketches: wanted the same {len(self)} each time they are read; got {sum(sizes)}")

    def sample(self, most: int) -> Sample | Source:
        """At most so many of them, in memory, random ones and always the same; all of them as they are if they fit."""
        if len(self) <= most:
            return self
        word = words(0, "learning", "", 0, len(self)).astype(np.uint64) << np.uint64(32)
        word |= np.arange(len(self), dtype=np.uint64)  # ties by place
        return Sample(list(self.pieces(np.sort(np.argpartition(word, most)[:most]))))

    def _piece(self, part: Part, some: slice | Numbers, first: int) -> Piece:
        n = len(part)
        numbers = first + np.arange(n, dtype=np.int64)[some]
        values, known = unpacked(part[some])
        rows = _check.narrowed(values)
        noise = self._noise[numbers] if self._noise is not None else np.zeros(len(rows)) if known is None else known
        name = "sketches" if len(self) == 1 else f"sketches[{numbers[0]}:{numbers[-1] + 1}]"
        _check.known(name, rows, None)
        return numbers, rows, np.ascontiguousarray(noise, np.float64)

    def _parts(self) -> Iterator[Part]:
        return _parts(self._given, deep=False)


class Sample:
    """Some sketches in memory."""

    def __init__(self, pieces: list[Piece]) -> None:
        self._pieces = pieces

    def __len__(self) -> int:
        return sum(len(numbers) for numbers, _, _ in self._pieces)

    def pieces(self) -> Iterator[Piece]:
        yield from self._pieces


def _parts(given: object, deep: bool) -> Iterator[Part]:
    if isinstance(given, PackedSketches):
        one = given.values.ndim == 1
        v, scale, noise = given.values, given.scale, given.noise
        yield PackedSketches(v[None], scale[None], noise[None], given.dtype) if one else given
    elif isinstance(given, (str, os.PathLike)):
        yield from _files(Path(_check.path("sketches", given)))
    elif not isinstance(given, Iterable) or _is_array(given):
        yield _rows(given)
    elif deep:
        raise TypeError(f"sketches: wanted {WANTED}; got iterables in an iterable")
    elif isinstance(given, Iterator):
        raise TypeError(f"sketches: wanted {WANTED}; got {_check.describe(given)}, which can be read only once")
    else:
        for part in given:
            yield from _parts(part, deep=True)


def _is_array(given: Iterable[Any]) -> bool:
    """Whether this is one array: what NumPy takes for one, numbers in a list, or in lists in a list."""
    if not isinstance(given, (list, tuple)):
        return hasattr(given, "__array__")
    first = given[0] if given else 0.0
    return not isinstance(first, (str, os.PathLike, PackedSketches)) and np.ndim(first) < 2


def _rows(given: object) -> npt.NDArray[Any]:
    x = _check.reals("sketches", given, WANTED)
    if x.ndim == 1:
        x = x[None]
    if x.ndim != 2 or not x.shape[1]:
        raise ValueError(f"sketches: wanted {WANTED}; got {_check.describe(x)}")
    return x


def _files(path: Path) -> Iterator[Part]:
    """A file's sketches, those of .npy mapped and not read; or of all files of a folder, by name."""
    if path.is_dir():
        files = sorted(p for p in path.iterdir() if p.suffix in (".npy", ".npz"))
        if not files:
            raise ValueError(f"sketches: wanted a folder of .npy or .npz files; got none in {_check.shown(str(path))}")
        for file in files:
            yield from _files(file)
    elif path.suffix == ".npz":
        yield from _parts(PackedSketches.load(path), deep=True)
    else:
        with open(path, "rb") as opened:  # for OSErrors in their own words
            head = opened.read(_npz.LONGEST_HEADER)
        if not head.startswith(b"\x93NUMPY"):
            raise ValueError(f"sketches: wanted a .npy or .npz file; got {_check.shown(str(path))}")
        try:
            mapped = np.load(path, mmap_mode="r", allow_pickle=False, max_header_size=_npz.LONGEST_HEADER)
        except Exception as e:
            if isinstance(e, (OSError, MemoryError)):
                raise
            raise ValueError(f"sketches: wanted an intact .npy file; got {_check.shown(str(path))}, damaged") from None
        yield _rows(mapped)
