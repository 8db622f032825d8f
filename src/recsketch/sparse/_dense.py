"""The sparse solvers in NumPy, for arrays and linear operators: signals are rows, and share the matrix products."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

import recsketch._core as _core

if TYPE_CHECKING:
    import numpy.typing as npt

F64: TypeAlias = "npt.NDArray[np.float64]"
Found: TypeAlias = "tuple[list[npt.NDArray[Any]], list[npt.NDArray[Any]], F64, npt.NDArray[np.int32]]"

NOTHING = 2.0**-100  # of |y|^2: a residual of rounding
LARGEST = 1e140
BYTES = 1 << 28  # of orthogonal columns at a time
PATIENCE = 6


class Operator:
    """A linear operator of SciPy's protocol, applied to rows."""

    scale = 0  # A is 2**scale times what products are of

    def __init__(self, A: Any, threads: int) -> None:
        self._a = A
        self.shape: tuple[int, ...] = tuple(int(s) for s in A.shape)
        self.follows = type(A).__module__.startswith("recsketch.")  # no type of its own, and threads of our own
        self._more = {"threads": threads} if self.follows else {}
        real = getattr(A, "dtype", None)
        self.dtype: Any = np.float32 if real is not None and np.dtype(real) == np.float32 else np.float64

    def _apply(self, rows: Any, many: str, one: str) -> F64:
        if hasattr(self._a, many):
            out = getattr(self._a, many)(rows.T, **self._more).T
        else:
            out = np.stack([np.asarray(getattr(self._a, one)(row)).reshape(-1) for row in rows])
        wanted = len(rows), self.shape[many == "rmatmat"]
        if out.shape != wanted:
            raise ValueError(
                f"A: wanted products of {wanted[1]} numbers by its shape {self.shape}; got {out.size / len(rows):g}"
            )
        if np.iscomplexobj(out):
            raise TypeError("A: wanted a real operator; got complex numbers")
        if not np.isfinite(out).all():
            raise ValueError("A: wanted an operator of finite numbers; got NaN or infinity from a product")
        if np.abs(out).max(initial=0.0) > LARGEST:
            raise ValueError(
                f"A: wanted an operator of products below {LARGEST:.0e}, whose squares are finite; got more"
            )
        return np.ascontiguousarray(out, np.float64)

    def forward(self, x: Any) -> F64:
        """A x: (batch, N) -> (batch, m)."""
        return self._apply(x, "matmat", "matvec")

    def correlate(self, r: Any) -> Any:
        """A^T r: (batch, m) -> (batch, N)."""
        return self._apply(r, "rmatmat", "rmatvec")

    def columns(self, index: Any) -> F64:
        """Columns as rows: (count,) -> (count, m)."""
        unit = np.zeros((len(index), self.shape[1]))
        unit[np.arange(len(index)), index] = 1.0
        return self.forward(unit)


class Matrix(Operator):
    """An array; products are in its own type."""

    def __init__(self, A: npt.NDArray[Any], scale: int) -> None:
        self._a, self.shape, self.dtype, self.follows, self.scale = A, A.shape, A.dtype, False, scale

    def forward(self, x: Any) -> F64:
        return np.asarray(x.astype(self.dtype) @ self._a.T, np.float64)

    def correlate(self, r: Any) -> Any:
        return r.astype(self.dtype) @ self._a

    def columns(self, index: Any) -> F64:
        return np.asarray(self._a[:, index].T, np.float64, order="C")


def omp(A: Operator, y: F64, count: int, block: int, tol: float) -> Found:
    """Orthogonal (block) matching pursuit by Gram-Schmidt; y (batch, m)."""
    m = A.shape[0]
    step = max(1, BYTES // (8 * m * count * block))
    parts = [_omp(A, y[i : i + step], count, block, tol) for i in range(0, len(y), step)]
    support, values = [s for p in parts for s in p[0]], [v for p in parts for v in p[1]]
    return support, values, np.concatenate([p[2] for p in parts]), np.concatenate([p[3] for p in parts])


def _omp(A: Operator, y: F64, count: int, block: int, tol: float) -> Found:
    (m, n), batch, most = A.shape, len(y), count * block
    q = np.empty((batch, most, m))  # orthonormal columns
    triangle = np.empty((batch, most, most))
    triangle[:] = np.eye(most)  # what is not there is the identity
    z = np.zeros((batch, most))
    support = np.full((batch, most), -1)
    size, iterations = np.zeros(batch, np.int64), np.zeros(batch, np.int32)
    r, square = y.copy(), _squares(y)
    least = np.maximum(tol, NOTHING * square)
    (who,) = (square > least).nonzero()
    for _ in range(count):
        if not who.size:
            break
        c = np.abs(A.correlate(r[who]))
        there = support[who, : size[who].max()]  # none to add; where others have more, the first once more
        c[np.arange(len(who))[:, None], np.where(there < 0, there[:, :1], there)] = 0
        blocks = c if block == 1 else np.square(c, dtype=np.float64).reshape(len(who), n // block, block).sum(axis=2)
        first = blocks.argmax(axis=1)
        some = blocks[np.arange(len(who)), first] > 0
        who, first = who[some], first[some] * block
        before = size[who]
        for j in range(block if who.size else 0):
            support[who, size[who]] = first + j
            _core.extend(who, A.columns(first + j), q, triangle, z, r, square, size)
        grown = size[who] > before
        iterations[who] += grown
        who = who[grown & (square[who] > least[who])]
    x = np.linalg.solve(triangle, z[:, :, None])[:, :, 0] if batch else z
    found = [support[i, : size[i]] for i in range(batch)], [x[i, : size[i]] for i in range(batch)]
    return *found, np.sqrt(square), iterations


def nonnegative_omp(A: Operator, y: F64, count: int, tol: float) -> Found:
    """Largest positive correlation, then non-negative least squares (Lawson, Hanson) from the last solution."""
    out: Any = [], [], [], []
    for row in y:
        support: list[int] = []
        columns, x, r = np.zeros((0, A.shape[0])), np.zeros(0), row
        energy = square = float(row @ row)
        done = 0
        while done < 3 * count and len(support) < count and square > tol and square > NOTHING * energy:
            c = A.correlate(r[None])[0]
            c[support] = 0
            j = int(np.argmax(c))
            if not c[j] > 0:
                break
            more = np.concatenate([columns, A.columns([j])])
            x, keep = _active(more, row, np.append(x, 0.0))
            support, columns = [s for s, k in zip([*support, j], keep, strict=True) if k], more[keep]
            r, last, done = row - x @ columns, square, done + 1
            square = float(r @ r)
            if not square < last:
                break
        for part, value in zip(out, (np.array(support, np.int64), x, np.sqrt(square), done), strict=True):
            part.append(value)
    return out[0], out[1], np.array(out[2]), np.array(out[3], np.int32)


def _active(columns: F64, y: F64, x: F64) -> tuple[F64, npt.NDArray[np.bool_]]:
    """The non-negative least squares solution reached from a feasible x, and which columns it kept."""
    keep = np.ones(len(x), np.bool_)
    while keep.any():
        u = np.zeros_like(x)
        u[keep] = np.linalg.lstsq(columns[keep].T, y, rcond=None)[0]
        low = keep & (u <= 0)
        if not low.any():
            return u[keep], keep
        with np.errstate(invalid="ignore"):  # 0 / 0 where both are 0: no step
            share = np.nan_to_num(x[low] / (x[low] - u[low]))
        x = x + share.min() * (u - x)
        x[np.flatnonzero(low)[np.argmin(share)]] = 0.0
        keep &= x > 0
        x[~keep] = 0.0
    return x[keep], keep


def htp(A: Operator, y: F64, count: int, tol: float, nonnegative: bool, steps: int) -> Found:
    """Hard-thresholding pursuit with the normalised step and an exact fit, one signal after the other."""
    out: Any = [], [], [], []
    for row in y:
        support, x, r = np.zeros(0, np.int64), np.zeros(0), row
        energy = square = float(row @ row)
        best, done, stalled = (square, support, x), 0, 0
        while done < steps and square > tol and square > NOTHING * energy and stalled < PATIENCE:
            c = np.asarray(A.correlate(r[None])[0], np.float64)
            top = _largest(c, count, nonnegative)
            direction = np.zeros((1, A.shape[1]))
            direction[0, top] = c[top]
            length = float(_squares(A.forward(direction))[0])
            u = c * (float(c[top] @ c[top]) / length if length > 0 else 0.0)
            u[support] += x
            following = _largest(u, count, nonnegative)
            if np.array_equal(following, support):
                break
            support, done = following, done + 1
            columns = A.columns(support)
            x = np.linalg.lstsq(columns.T, row, rcond=None)[0]
            if nonnegative and (x <= 0).any():
                x, keep = _active(columns, row, np.maximum(u[support], 0.0))
                support, columns = support[keep], columns[keep]
            r = row - x @ columns
            square = float(r @ r)
            stalled = 0 if square < 0.98 * best[0] else stalled + 1
            if square < best[0]:
                best = square, support, x
        for part, value in zip(out, (best[1], best[2], np.sqrt(best[0]), done), strict=True):
            part.append(value)
    return out[0], out[1], np.array(out[2]), np.array(out[3], np.int32)


def _largest(c: Any, count: int, nonnegative: bool) -> npt.NDArray[np.int64]:
    """The count largest elements that are not zero, ties by index, ascending."""
    size = np.maximum(c, 0.0) if nonnegative else np.abs(c)
    least = np.partition(size, len(size) - count)[len(size) - count]
    above, ties = np.flatnonzero(size > least), np.flatnonzero(size == least) if least > 0 else np.zeros(0, np.int64)
    return np.sort(np.concatenate([above, ties[: count - len(above)]]))


def cgls(A: Operator, y: F64, damping: float, rtol: float, most: int) -> tuple[F64, F64, npt.NDArray[np.int32]]:
    """CGLS on every row; a row that has converged stays."""
    x, r = np.zeros((len(y), A.shape[1])), y.copy()
    iterations = np.zeros(len(y), np.int32)
    if not len(y):
        return x, np.zeros(0), iterations
    g = np.asarray(A.correlate(r), np.float64)
    p, gamma = g.copy(), _squares(g)
    goal = rtol**2 * gamma
    for _ in range(most):
        (who,) = np.nonzero(gamma > goal)
        if not who.size:
            break
        image = A.forward(p[who])
        delta = _squares(image) + damping * _squares(p[who])
        good = delta > 0
        gamma[who[~good]] = 0.0  # a direction that A does not see
        who, image = who[good], image[good]
        alpha = (gamma[who] / delta[good])[:, None]
        x[who] += alpha * p[who]
        r[who] -= alpha * image
        iterations[who] += 1
        g = np.asarray(A.correlate(r[who]), np.float64) - damping * x[who]
        after = _squares(g)
        p[who] = g + (after / gamma[who])[:, None] * p[who]
        gamma[who] = after
    return x, np.sqrt(_squares(y - A.forward(x))), iterations


def _squares(a: Any) -> F64:
    """Squared norms of the rows."""
    return np.asarray(np.einsum("ij,ij->i", a, a), np.float64)
