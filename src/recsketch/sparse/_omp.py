"""Orthogonal matching pursuit in NumPy, for arrays and linear operators: signals are rows, and share the products."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

import recsketch._core as _core
from recsketch.sparse._operators import Operator
from recsketch.sparse._solution import COUNT, EXACT, ITERATIONS, STALLED, TOLERANCE, Found, joined

if TYPE_CHECKING:
    import numpy.typing as npt

F64: TypeAlias = "npt.NDArray[np.float64]"

# Of |y|^2: a residual of rounding. Doubles leave (2**-53)^2 of it, and some for the sums.
NOTHING = 2.0**-100
# Orthogonal columns at a time, all signals together. More would fall out of the caches between two products.
BYTES = 1 << 28
# Columns a signal that there is memory for at first.
ROOM = 32


class Fits:
    """Least squares of every signal on columns of its own, by Gram-Schmidt: memory grows with the columns there are."""

    def __init__(self, y: F64, most: int) -> None:
        batch, m = y.shape
        self.residual, self.square = y.copy(), _squares(y)
        self.size = np.zeros(batch, np.int64)
        self._most, room = most, min(most, ROOM)
        self.support = np.full((batch, room), -1)
        self._q = np.empty((batch, room, m))  # orthonormal columns
        self._triangle = np.zeros((batch, room, room))
        self._z = np.zeros((batch, room))

    def _grow(self) -> None:
        (batch, old, m), room = self._q.shape, min(self._most, 2 * self._q.shape[1])
        support, q = np.full((batch, room), -1), np.empty((batch, room, m))
        triangle, z = np.zeros((batch, room, room)), np.zeros((batch, room))
        support[:, :old], q[:, :old] = self.support, self._q
        triangle[:, :old, :old], z[:, :old] = self._triangle, self._z
        self.support, self._q, self._triangle, self._z = support, q, triangle, z

    def add(self, who: npt.NDArray[np.int64], index: npt.NDArray[np.int64], columns: F64) -> None:
        """One column more for each of the signals `who`, but for those whose column depends on those there are."""
        if not who.size:
            return
        if self.size[who].max() == self._q.shape[1]:
            self._grow()
        self.support[who, self.size[who]] = index
        _core.extend(who, columns, self._q, self._triangle, self._z, self.residual, self.square, self.size)

    def coefficients(self) -> list[F64]:
        """Of every signal, in the order of its support."""
        out: list[F64] = []
        for n, triangle, z in zip(self.size, self._triangle, self._z, strict=True):
            out.append(np.asarray(np.linalg.solve(triangle[:n, :n], z[:n]), np.float64))
        return out


def omp(A: Operator, y: F64, count: int, block: int, tol: F64) -> Found:
    """Orthogonal (block) matching pursuit; y (batch, m), tol (batch,)."""
    step = max(1, BYTES // (8 * A.shape[0] * count * block))
    return joined([_omp(A, y[i : i + step], count, block, tol[i : i + step]) for i in range(0, len(y), step)])


def _omp(A: Operator, y: F64, count: int, block: int, tol: F64) -> Found:
    fits = Fits(y, count * block)
    iterations, reason = np.zeros(len(y), np.int32), np.full(len(y), COUNT, object)
    rounding = NOTHING * fits.square
    who = np.arange(len(y))  # those that go on
    for turn in range(count + 1):
        reached, exact = fits.square[who] <= tol[who], fits.square[who] <= rounding[who]
        reason[who[exact]], reason[who[reached & (tol[who] > 0)]] = EXACT, TOLERANCE
        who = who[~(reached | exact)]
        if not who.size or turn == count:
            break
        energy = _energies(A, fits, who, block)
        first = energy.argmax(axis=1)
        useful = energy[np.arange(len(who)), first] > 0
        reason[who[~useful]] = STALLED
        who, first = who[useful], first[useful] * block
        before = fits.size[who]
        for j in range(first.size and block):
            fits.add(who, first + j, A.columns(first + j))
        grown = fits.size[who] > before
        iterations[who] += grown
        reason[who[~grown]] = STALLED
        who = who[grown]
    support = [s[:n] for s, n in zip(fits.support, fits.size, strict=True)]
    return Found(support, fits.coefficients(), np.sqrt(fits.square), iterations, reason.tolist())


def _energies(A: Operator, fits: Fits, who: npt.NDArray[np.int64], block: int) -> npt.NDArray[Any]:
    """How much of its residual every block of columns has, without those that are there; of blocks of one, the root."""
    c = A.sizes(fits.residual[who])
    row, place = np.nonzero(np.arange(fits.support.shape[1]) < fits.size[who, None])
    c[row, fits.support[who[row], place]] = 0  # orthogonal to the residual but for rounding
    if block == 1:
        return c
    energies: F64 = np.square(c, dtype=np.float64).reshape(len(c), -1, block).sum(axis=2)
    return energies


def nonnegative_omp(A: Operator, y: F64, count: int, tol: F64) -> Found:
    """Largest positive correlation, then non-negative least squares (Lawson, Hanson) from the last solution."""
    return joined([_nonnegative_omp(A, row, count, float(enough)) for row, enough in zip(y, tol, strict=True)])


def _nonnegative_omp(A: Operator, y: F64, count: int, tol: float) -> Found:
    support: list[int] = []
    columns, x, r = np.zeros((0, A.shape[0])), np.zeros(0), y
    energy = square = float(y @ y)
    done, reason = 0, COUNT
    while True:
        if square <= tol or square <= NOTHING * energy:
            reason = TOLERANCE if square <= tol and tol > 0 else EXACT
            break
        if len(support) == count:
            break
        if done == 3 * count:  # columns that come and go
            reason = ITERATIONS
            break
        c = A.correlate(r[None])[0]
        c[support] = 0
        j = int(np.argmax(c))
        if not c[j] > 0:
            reason = STALLED
            break
        more = np.concatenate([columns, A.columns([j])])
        x, keep = nonnegative_fit(more, y, np.append(x, 0.0))
        support, columns = [s for s, k in zip([*support, j], keep, strict=True) if k], more[keep]
        r, last, done = y - x @ columns, square, done + 1
        square = float(r @ r)
        if not square < last:
            reason = STALLED
            break
    return Found([np.array(support, np.int64)], [x], np.sqrt([square]), np.array([done], np.int32), [reason])


def nonnegative_fit(columns: F64, y: F64, x: F64) -> tuple[F64, npt.NDArray[np.bool_]]:
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


def _squares(a: Any) -> F64:
    """Squared norms of the rows."""
    return np.asarray(np.einsum("ij,ij->i", a, a), np.float64)
