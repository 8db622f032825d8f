"""The sketches that are nearest to a query, among more than should be unpacked at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

import recsketch._check as _check
import recsketch._core as _core
from recsketch._check import Floats
from recsketch._scan import scan
from recsketch._values import Record
from recsketch.reading.similarity import unit
from recsketch.sketching.packing import PackedSketches, floats

if TYPE_CHECKING:
    import numpy.typing as npt

METRICS = ("cosine", "inner")
BLOCK = 1 << 21  # numbers of a block of rows: 8 MB as float32
LEAST_NORM = 1e-30  # of a stored row, so that float32 holds one over it
MODEST = 1e25  # a scale up to this leaves int8 and float16 below 1e30


@dataclass(frozen=True, eq=False)
class Neighbours(Record):
    """Rows nearest to queries, the best first. Two are equal if both fields are.

    Attributes
    ----------
    scores : (k,) or (q, k) float32
        Cosines or inner products: higher is nearer.
    indices : (k,) or (q, k) int64
        Of the rows. Of equal scores the smaller index comes first.
    """

    scores: Floats
    indices: npt.NDArray[np.int64]

    def of(self, many: bool) -> Neighbours:
        """These, or where there are not `many` queries but one, those of it."""
        return self if many else Neighbours(self.scores[0], self.indices[0])

    def __str__(self) -> str:
        if self.indices.ndim > 1:
            queries, k = self.indices.shape
            return f"Neighbours: {k} of each of {queries} queries"
        pairs = [f"{i}: {s:.3g}" for i, s in zip(self.indices[:10].tolist(), self.scores.tolist(), strict=False)]
        return f"Neighbours: {', '.join(pairs) or 'none'}{', ...' if self.indices.size > 10 else ''}"


class Rows:
    """The rows to search in, read a block at a time.

    Parameters
    ----------
    sketches : PackedSketches, or array_like of any real type
    dim : int
        Of the specification.
    """

    def __init__(self, sketches: npt.ArrayLike | PackedSketches, dim: int) -> None:
        self.values: npt.NDArray[Any]
        self.scale: Floats | None = None
        if isinstance(sketches, PackedSketches):
            self.values, self.scale, self.dtype = sketches.values, sketches.scale, sketches.dtype
        else:
            self.values = _check.reals("sketches", sketches, f"sketches of {dim} numbers each")
            self.dtype = self.values.dtype.name
        if self.values.ndim != 2 or self.values.shape[1] != dim:
            raise ValueError(f"sketches: wanted shape (n, {dim}); got {_check.describe(self.values)}")
        x, known = self.values, self.scale is not None or self.dtype in ("float32", "float16")
        self.scannable = known and x.dtype.isnative and x.flags.c_contiguous and x.flags.aligned
        self._check()

    def __len__(self) -> int:
        return len(self.values)

    def _check(self) -> None:
        if self.scale is not None and self.dtype in ("int8", "float16") and (self.scale <= MODEST).all():
            return  # PackedSketches are finite
        for part, y in self.blocks():
            if not _core.within(y.reshape(-1), _check.LARGEST):
                bad = part.start + int(np.flatnonzero(~(np.abs(y).max(axis=1) <= _check.LARGEST))[0])
                wanted = "finite numbers of at most 1e30"
                raise ValueError(f"sketches[{bad}]: wanted {wanted}; got NaN or larger")

    def blocks(self, scaled: bool = True) -> Iterator[tuple[slice, Floats]]:
        """The rows as float32, with where they are; not `scaled`: as they are stored."""
        step = max(1, BLOCK // self.values.shape[1])
        for first in range(0, len(self), step):
            part = slice(first, first + step)
            y = _check.narrowed(self.values[part]) if self.scale is None else floats(self.values[part], self.dtype)
            yield part, y if self.scale is None or not scaled else y * self.scale[part, None]

    def norms(self) -> npt.NDArray[np.float64]:
        """Of the rows as they are stored."""
        parts = [np.linalg.norm(y.astype(np.float64), axis=1) for _, y in self.blocks(scaled=False)]
        return np.concatenate(parts)


def nearest(queries: Floats, rows: Rows, k: int, metric: str, mean: Floats | None, threads: int) -> Neighbours:
    """The min(k, n) nearest rows of each query (q, d). The caller checks queries, k, metric and mean."""
    k = min(k, len(rows))
    q = queries if mean is None else queries - mean
    if not k or not len(q):
        return Neighbours(np.empty((len(q), k), np.float32), np.empty((len(q), k), np.int64))
    if metric == "cosine":
        scores, indices = _best(unit(q), rows, k, True, mean, threads)
        return Neighbours(np.clip(scores, -1.0, 1.0), indices)  # rounding may lead beyond
    # Queries are brought to 1 and below by powers of two, so that no sum overflows before rows are compared.
    step = np.frexp(np.abs(q).max(axis=1, keepdims=True))[1]
    scores, indices = _best(np.ldexp(q, -step), rows, k, False, mean, threads)
    with np.errstate(over="ignore"):  # what float32 does not hold is infinite
        return Neighbours(np.ldexp(scores, step), indices)


def _best(
    q: Floats, rows: Rows, k: int, cosine: bool, mean: Floats | None, threads: int
) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Where they lie if that can be, otherwise by blocks."""
    if rows.scannable and mean is None:
        if not cosine:
            return scan(rows.values, q, k, scale=rows.scale, threads=threads)
        norms = rows.norms()
        if not np.any((norms > 0) & (norms < LEAST_NORM)):
            return scan(rows.values, q, k, scale=1 / np.where(norms > 0, norms, 1), threads=threads)
    scores = np.empty((len(q), 0), np.float32)
    indices = np.empty((len(q), 0), np.int64)
    for part, block in rows.blocks():
        y = block if mean is None else block - mean
        some, where = scan(unit(y) if cosine else y, q, min(k, len(y)), threads=threads)
        scores, indices = np.hstack([scores, some]), np.hstack([indices, where + part.start])
        first = np.argsort(-scores, axis=1, kind="stable")[:, :k]  # earlier rows stay before later ones of equal score
        scores, indices = np.take_along_axis(scores, first, 1), np.take_along_axis(indices, first, 1)
    return scores, indices
