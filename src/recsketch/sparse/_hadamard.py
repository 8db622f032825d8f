"""A random matrix of norm-one columns that takes no memory: sampled rows of a Hadamard matrix, with random signs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

import recsketch._check as _check
import recsketch._core as _core
from recsketch._check import MAX_DIM
from recsketch._streams import stream

if TYPE_CHECKING:
    import numpy.typing as npt

MIN_COLUMNS = 16


class SubsampledHadamard:
    """A = P H D / sqrt(m): m random rows of the Walsh-Hadamard matrix of order n, its columns with random signs.

    Entries are +-1 / sqrt(m), columns have norm one, and A A^T = (n / m) I exactly. It fulfils the restricted isometry
    property for about m / polylog(n) non-zeros (Rudelson, Vershynin, 2008; Haviv, Regev, 2016), as dense random signs
    do for m / log(n), but a product costs one fast transform of n numbers. It is what the solvers of
    `recsketch.sparse` are fastest on.

    Parameters
    ----------
    m : int
        Rows, 1 to n.
    n : int
        Columns, a power of two from 16 to 2**24.
    seed : int
        0 to 2**64 - 1. Rows and signs are those of docs/format.md, "Random bits", the same on every machine; with one
        seed and n, the rows of a smaller m are among those of a larger one.

    Attributes
    ----------
    shape : tuple of int
        (m, n).
    rows : (m,) int32
        Which rows of the Hadamard matrix, ascending; read-only.
    signs : (n,) float32
        The signs of the columns, read-only.

    Raises
    ------
    ValueError, TypeError
        A parameter outside its range. From products: an argument of another shape, not of real numbers, NaN, infinity,
        or so large that its products are beyond the largest number of its type.

    Notes
    -----
    It has what SciPy asks of a linear operator: `scipy.sparse.linalg.aslinearoperator` takes it. Relative errors of
    products are at most about 0.6 eps sqrt(log2 n), eps the unit roundoff of the argument's type, relative to sqrt(n /
    m) |x|.

    Cost: a product takes O(n log n) a vector and n numbers of memory a thread; the matrix keeps (m log2 n) / 8 + 4 n +
    8 m bytes in C and 4 n + 4 m in NumPy, and O(n log n) to make; `columns` O(m) a column.

    Examples
    --------
    >>> import numpy as np
    >>> A = SubsampledHadamard(32, 256, seed=1)
    >>> x = np.zeros(256)
    >>> x[[3, 200]] = [1.0, -2.0]
    >>> y = A.matvec(x)
    >>> bool(np.allclose(y, A.columns([3, 200]) @ [1.0, -2.0]))
    True
    >>> round(float(A.rmatvec(y)[200]), 6), round(float(y @ y), 6)  # columns of norm one, hardly correlated
    (-2.0, 5.0)
    """

    def __init__(self, m: int, n: int, *, seed: int = 0) -> None:
        size = _check.integer("n", n, MIN_COLUMNS, MAX_DIM)
        if size & (size - 1):
            raise ValueError(f"n: wanted a power of two from {MIN_COLUMNS} to {MAX_DIM}; got {size}")
        count = _check.integer("m", m, 1, size)
        self._seed = _check.integer("seed", seed, 0, 2**64 - 1)
        self.shape = (count, size)
        self._bits = size.bit_length() - 1
        self.dtype = np.dtype(np.float64)
        key = stream("hadamard", "")
        words = _core.stream_words(self._seed, key, 0, size)
        self.rows = np.sort(np.argsort(words, kind="stable")[:count]).astype(np.int32)
        self.rows.flags.writeable = False
        bits = np.ascontiguousarray(_core.stream_words(self._seed, key, 1, -(-size // 32)), "<u4").view(np.uint8)
        self.signs = (1 - 2 * np.unpackbits(bits, bitorder="little")[:size].astype(np.int8)).astype(np.float32)
        self.signs.flags.writeable = False
        self._core = _core.Hadamard(size, self.rows, self._seed, key)

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (*self.shape, self._seed)

    def __repr__(self) -> str:
        return f"SubsampledHadamard({self.shape[0]}, {self.shape[1]}, seed={self._seed})"

    def __matmul__(self, x: npt.ArrayLike) -> npt.NDArray[Any]:
        return self.matvec(x) if np.ndim(x) == 1 else self.matmat(x)

    def matvec(self, x: npt.ArrayLike) -> npt.NDArray[Any]:
        """A x of a vector (n,) or (n, 1); float32 stays float32, all else is taken as float64."""
        return self._vector("x", x, self.shape[1], False)

    def rmatvec(self, y: npt.ArrayLike) -> npt.NDArray[Any]:
        """A^T y of a vector (m,) or (m, 1)."""
        return self._vector("y", y, self.shape[0], True)

    def matmat(self, X: npt.ArrayLike, *, threads: int | None = None) -> npt.NDArray[Any]:
        """A X of columns (n, batch)."""
        return self._product("X", X, self.shape[1], False, threads)

    def rmatmat(self, Y: npt.ArrayLike, *, threads: int | None = None) -> npt.NDArray[Any]:
        """A^T Y of columns (m, batch)."""
        return self._product("Y", Y, self.shape[0], True, threads)

    def columns(self, index: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Columns as a dense array (m, len(index)).

        Raises
        ------
        ValueError, TypeError
            An index that is no integer from 0 to n - 1.
        """
        j = _check.column("index", index, np.int64)
        if j.size and (j.min() < 0 or j.max() >= self.shape[1]):
            raise ValueError(f"index: wanted integers from 0 to {self.shape[1] - 1}; got {j.min()} to {j.max()}")
        common = (self.rows[:, None] & j).astype(np.uint32)
        for shift in (16, 8, 4, 2, 1):
            common ^= common >> np.uint32(shift)
        dense: npt.NDArray[np.float64] = (1.0 - 2.0 * (common & 1)) * self.signs[j] / math.sqrt(self.shape[0])
        return dense

    def toarray(self) -> npt.NDArray[np.float64]:
        """All of it, (m, n) float64: for tests and small sizes."""
        return self.columns(np.arange(self.shape[1]))

    def _vector(self, name: str, x: npt.ArrayLike, size: int, adjoint: bool) -> npt.NDArray[Any]:
        a = _check.reals(name, x, f"a vector of {size} numbers")
        if a.shape not in ((size,), (size, 1)):
            raise ValueError(f"{name}: wanted a vector of {size} numbers; got {_check.describe(a)}")
        out = self._product(name, a.reshape(size, 1), size, adjoint, 1)
        return out.reshape(-1) if a.ndim == 1 else out

    def _product(self, name: str, x: npt.ArrayLike, size: int, adjoint: bool, threads: int | None) -> npt.NDArray[Any]:
        a = _check.reals(name, x, f"an array of shape ({size}, batch)")
        if a.ndim != 2 or a.shape[0] != size:
            raise ValueError(f"{name}: wanted an array of shape ({size}, batch); got {_check.describe(a)}")
        workers = _check.threads(threads)
        dtype = _check.float_type(a)
        rows = _check.packed(a.T, dtype)
        out = np.empty((len(rows), self.shape[1 if adjoint else 0]), dtype)
        product: Any = self._core.product_f32 if dtype == np.float32 else self._core.product_f64
        if _core.within(rows.reshape(-1), float(np.finfo(dtype).max) / self.shape[1]):
            product(rows, out, adjoint, workers)
            return out.T
        # Sums of n of these numbers may be too large where sums over sqrt(m) are not. Powers of two change no bit.
        if not np.isfinite(rows).all():
            raise ValueError(f"{name}: wanted finite numbers; got NaN or infinity")
        down = np.where(np.abs(rows).max(axis=1) > np.finfo(dtype).max / self.shape[1], -self._bits, 0)[:, None]
        product(np.ldexp(rows, down), out, adjoint, workers)
        with np.errstate(over="ignore"):
            out = np.ldexp(out, -down)
        if not np.isfinite(out).all():
            raise ValueError(f"{name}: wanted numbers whose products {np.dtype(dtype)} can hold; got larger ones")
        return out.T


def _again(m: int, n: int, seed: int) -> SubsampledHadamard:
    return SubsampledHadamard(m, n, seed=seed)
