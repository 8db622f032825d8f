"""What the solvers see of A: products of rows, of an array or of a linear operator, that are known to be numbers."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

import recsketch._check as _check
import recsketch._core as _core
from recsketch.sparse._hadamard import SubsampledHadamard

if TYPE_CHECKING:
    import numpy.typing as npt

F64: TypeAlias = "npt.NDArray[np.float64]"

# Squares of products, and sums of 2**24 of them, stay far below the largest double, 1.8e308.
LARGEST = 1e140
# <A x, A x> and <x, A^T A x> are equal but for the rounding of products, about 1e-6 in float32 and 1e-2 in float16.
# A matrix that is not the transposed one is off by about all of it.
ADJOINT_TOLERANCE = 0.03


class Operator:
    """A linear operator of SciPy's protocol, applied to rows.

    Attributes
    ----------
    shape : tuple of int
        (m, N).
    scale : int
        A is 2**scale times what products are of.
    eps : float
        The unit in the last place of the products' own arithmetic, over the product.
    """

    def __init__(self, A: Any, threads: int) -> None:
        self._a = A
        self.shape: tuple[int, ...] = tuple(int(s) for s in A.shape)
        self.scale, self.eps = 0, float(np.finfo(np.float64).eps)
        self._ours = isinstance(A, SubsampledHadamard)
        self._more = {"threads": threads} if self._ours else {}
        self.dtype = None if self._ours else _declared(A)
        if not self._ours:
            self._look()

    def answer(self, own: Any) -> Any:
        """The type of the coefficients of signals of type `own`; a SubsampledHadamard has no type of its own."""
        return own if self.dtype is None else np.result_type(own, self.dtype)

    def _look(self) -> None:
        """Learns the size and the arithmetic of products, by one of each kind, and refuses an adjoint that is none."""
        x = np.random.default_rng(0).standard_normal((1, self.shape[1]))
        image = self._raw(x, "", "matvec")
        kind = image.dtype if image.dtype.kind == "f" else np.dtype(np.float64)
        with np.errstate(over="ignore"):
            # Doubles that are floats, all of them, were computed in float32: by chance one is so once in 2^29.
            narrow = image.any() and np.array_equal(image, image.astype(np.float32))
        self.eps = float(max(np.finfo(kind).eps, np.finfo(np.float32).eps if narrow else 0.0))
        self.scale = exponent(image, 32)
        image = self._numbers(image)
        back = self._numbers(self._raw(image, "", "rmatvec"))
        one, other = float(np.vdot(image, image)), float(np.vdot(x, back))
        if not abs(one - other) <= ADJOINT_TOLERANCE * one:
            raise ValueError(
                "A: wanted an operator whose rmatvec is the adjoint of its matvec, so that <A x, A x> = <x, A^T A x>; "
                f"got {one:.3g} and {other:.3g}"
            )

    def _raw(self, rows: Any, many: str, one: str) -> npt.NDArray[Any]:
        """Products as they come, rows of the length that the shape says; by the method `many` if there is one."""
        try:
            if callable(getattr(self._a, many, None)):
                out = np.asarray(getattr(self._a, many)(rows.T, **self._more)).T
            else:
                out = np.stack([np.asarray(getattr(self._a, one)(row)).reshape(-1) for row in rows])
        except NotImplementedError as error:
            raise TypeError(f"A: wanted an operator with matvec and rmatvec; got one without {one}") from error
        wanted = len(rows), self.shape[one == "rmatvec"]
        if out.shape != wanted:
            raise ValueError(
                f"A: wanted products of {wanted[1]} numbers by its shape {self.shape}; got {out.size / len(rows):g}"
            )
        if out.dtype.kind not in "fiub":
            raise TypeError(f"A: wanted an operator of real numbers; got products of dtype {out.dtype}")
        return out

    def _numbers(self, out: Any) -> F64:
        """Products as doubles whose squares are finite, over the power of two that is A's scale."""
        given = wide = np.ascontiguousarray(out, np.float64)
        if self.scale:
            wide = np.ldexp(wide, -self.scale)
        self._require_numbers(wide, given)
        return wide

    def _require_numbers(self, out: Any, given: Any) -> None:
        """Refuses products whose squares overflow, `given` as they were before A's scale was taken out."""
        if _core.within(out.reshape(-1), LARGEST):
            return
        if not np.isfinite(given).all():
            raise ValueError("A: wanted an operator of finite numbers; got NaN or infinity from a product")
        raise ValueError(f"A: wanted products within {LARGEST:.0e} of each other; got one whose square overflows")

    def forward(self, x: Any) -> F64:
        """A x over 2**scale: (batch, N) -> (batch, m)."""
        return self._numbers(self._raw(x, "matmat", "matvec"))

    def correlate(self, r: Any) -> Any:
        """A^T r over 2**scale: (batch, m) -> (batch, N)."""
        return self._numbers(self._raw(r, "rmatmat", "rmatvec"))

    def sizes(self, r: Any) -> npt.NDArray[Any]:
        """|A^T r|, to compare with each other: in the products' own type, and over any power of two."""
        out = self._raw(r, "rmatmat", "rmatvec")
        if out.dtype != np.float32 or self.scale or not out.flags.c_contiguous:
            out = self._numbers(out)
        else:
            self._require_numbers(out, given=out)
        sizes: npt.NDArray[Any] = np.abs(out)
        return sizes

    def columns(self, index: Any) -> F64:
        """Columns over 2**scale, as rows: (count,) -> (count, m)."""
        single = self.eps == np.finfo(np.float32).eps  # such an operator would convert doubles
        unit = np.zeros((len(index), self.shape[1]), np.float32 if single else np.float64)
        unit[np.arange(len(index)), index] = 1.0
        return self.forward(unit)


class Matrix(Operator):
    """An array; products are in its own type."""

    def __init__(self, A: npt.NDArray[Any], scale: int) -> None:
        self._a, self.shape, self.dtype, self.scale = A, A.shape, A.dtype, scale
        self.eps = float(np.finfo(A.dtype).eps)

    def forward(self, x: Any) -> F64:
        with np.errstate(over="ignore", invalid="ignore"):
            product = np.asarray(x.astype(self.dtype) @ self._a.T, np.float64)
        if not np.isfinite(product).all():
            raise ValueError(f"A: wanted products that {self.dtype} can hold; got larger ones")
        return product

    def correlate(self, r: Any) -> Any:
        return r.astype(self.dtype) @ self._a

    def sizes(self, r: Any) -> npt.NDArray[Any]:
        out: npt.NDArray[Any] = self.correlate(r)
        np.abs(out, out=out)
        return out

    def columns(self, index: Any) -> F64:
        return np.asarray(self._a[:, index].T, np.float64, order="C")


def _declared(A: Any) -> np.dtype[Any]:
    """float32 if A says so, and float64 otherwise."""
    try:
        dtype = np.dtype(A.dtype)
    except (AttributeError, TypeError):  # none, or one of another library
        return np.dtype(np.float64)
    if dtype.kind == "c":
        raise TypeError(f"A: wanted an operator of real numbers; got one of dtype {dtype}")
    return np.dtype(_check.float_type(np.empty(0, dtype)))


def _of_sparse(A: Any) -> Any:
    """Products of a SciPy sparse array whose numbers are where its offsets and indices say.

    SciPy does not look at that again once an array is made, and would read elsewhere in memory.
    """
    if A.dtype.kind not in "fiub":
        raise TypeError(f"A: wanted a sparse array of real numbers; got one of dtype {A.dtype}")
    try:
        if hasattr(A, "check_format"):  # CSR, CSC, BSR: another array on the same memory, less what lies behind the end
            A = type(A)((A.data, A.indices, A.indptr), shape=A.shape)
            A.check_format(full_check=True)
        elif A.format == "coo":
            for index, size in zip((A.row, A.col), A.shape, strict=True):
                _check.column("indices", index, np.int64, A.data.size)
                if index.size and not 0 <= int(index.min()) <= int(index.max()) < size:
                    raise ValueError(f"indices from {index.min()} to {index.max()}")
    except ValueError as error:
        text = f"A: wanted a sparse array whose offsets and indices fit its shape {A.shape}; got {error}"
        raise ValueError(text) from None
    a = A.tocsr()
    if not np.isfinite(a.data).all():
        raise ValueError("A: wanted finite numbers; got NaN or infinity")
    transposed = a.T
    return SimpleNamespace(
        shape=a.shape,
        dtype=a.dtype,
        matvec=a.__matmul__,
        rmatvec=transposed.__matmul__,
        matmat=a.__matmul__,
        rmatmat=transposed.__matmul__,
    )


def exponent(a: npt.NDArray[Any], within: int) -> int:
    """The power of two that brings numbers to about one, 0 where they are within that many powers of it already."""
    found = int(np.frexp(max(a.max(initial=0.0), -a.min(initial=0.0)))[1])
    return found if abs(found) > within else 0


def operator_of(A: Any, threads: int) -> Operator:
    """What the solvers see of A."""
    if hasattr(A, "aslinearoperator"):
        A = A.aslinearoperator()
    elif hasattr(A, "tocsr"):
        A = _of_sparse(A)
    if hasattr(A, "shape") and callable(getattr(A, "matvec", None)):
        shape = tuple(A.shape)
        if len(shape) != 2 or 0 in shape:
            raise ValueError(f"A: wanted an operator of shape (m, N); got shape {shape}")
        if not callable(getattr(A, "rmatvec", None)):
            raise TypeError("A: wanted an operator with matvec and rmatvec; got one without rmatvec")
        return Operator(A, threads)
    a = _check.reals("A", A, "an array of shape (m, N), or an operator with shape, matvec and rmatvec")
    if a.ndim != 2 or 0 in a.shape:
        raise ValueError(f"A: wanted an array of shape (m, N); got {_check.describe(a)}")
    a = np.asarray(a, _check.float_type(a))
    if not np.isfinite(a).all():
        raise ValueError("A: wanted finite numbers; got NaN or infinity")
    scale = exponent(a, 32)
    return Matrix(np.ldexp(a, -scale) if scale else a, scale)
