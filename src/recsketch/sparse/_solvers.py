"""Arguments checked, signals scaled, and the solvers chosen: in C on a `SubsampledHadamard`, in NumPy elsewhere."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

import recsketch._check as _check
import recsketch.sparse._dense as _dense
from recsketch.sparse._hadamard import SubsampledHadamard

if TYPE_CHECKING:
    import numpy.typing as npt

Found: TypeAlias = "tuple[list[npt.NDArray[Any]], list[npt.NDArray[Any]], npt.NDArray[Any], npt.NDArray[Any]]"

MOST_ITERATIONS = 1 << 30


class Solution(NamedTuple):
    """What a solver found; of one signal, or of a batch.

    Attributes
    ----------
    coef : (N,) or (N, batch) float32 or float64
        x, of the type of A and Y together.
    support : array of int64, or a list of them
        Which elements of x are non-zero: in the order found by `omp` and `bomp`, ascending from `htp` and `cgls`.
    residual : float, or (batch,) float64
        ||y - A x||.
    iterations : int, or (batch,) int32
        Columns or blocks tried, steps, iterations.
    """

    coef: npt.NDArray[Any]
    support: Any
    residual: Any
    iterations: Any

    def __str__(self) -> str:
        batch = self.coef.ndim == 2
        count = sum(len(s) for s in self.support) if batch else len(self.support)
        signals = f"{self.coef.shape[1]} signals, " if batch else ""
        worst = float(np.max(self.residual, initial=0.0))
        return f"Solution: {signals}{count} non-zeros of {self.coef.size}, residual at most {worst:.1e}"

    def _repr_html_(self) -> str:
        return f"<p>{self}</p>"


def omp(
    A: Any,
    Y: npt.ArrayLike,
    n_nonzero: int | None = None,
    *,
    tol: float | None = None,
    nonnegative: bool = False,
    threads: int | None = None,
) -> Solution:
    """Orthogonal matching pursuit: the column nearest the residual is added, and all are fitted again.

    ``j = argmax |A^T r|;  S = S + {j};  x_S = argmin ||y - A_S x_S||;  r = y - A x``

    Parameters
    ----------
    A : (m, N) array_like, linear operator, or SubsampledHadamard
        Columns of equal norm, or those of larger norm are preferred. A linear operator is what has `shape`, `matvec`
        and `rmatvec` (SciPy's); `matmat` and `rmatmat` are used if there. So are SciPy's sparse arrays, and what has
        `aslinearoperator`: the transforms.
    Y : (m,) or (m, batch) array_like
        Signals, finite.
    n_nonzero : int, optional
        Non-zeros at most, 1 to m; m if only `tol` is given.
    tol : float, optional
        Stop where ||y - A x||**2 is at most this (as scikit-learn's `tol`).
    nonnegative : bool
        x >= 0: columns of largest positive correlation, non-negative least squares.
    threads : int, optional
        Upper bound, of the C solver; arrays and operators take the threads of NumPy's BLAS.

    Returns
    -------
    Solution
        With fewer non-zeros than asked for where the residual is nothing but rounding, or no column helps.

    Raises
    ------
    ValueError, TypeError
        An argument of another shape or type, NaN or infinity, neither a count nor a tolerance.

    Notes
    -----
    Columns are fitted in float64: on its support x is exact to about cond(A_S)**2 2**-52 relative (SubsampledHadamard:
    normal equations, whose Gram entries are integers) or cond(A_S) 2**-52 (arrays: Gram-Schmidt, twice). Correlations
    are float32 for a SubsampledHadamard and for float32 arrays: of columns within about 1e-6 of the best, any may be
    chosen. Of equal ones it is the first.

    References
    ----------
    Pati, Rezaiifar, Krishnaprasad, "Orthogonal matching pursuit", Asilomar 1993. Tropp, Gilbert, "Signal recovery from
    random measurements via orthogonal matching pursuit", IEEE Trans. Information Theory 53 (2007): about 2 K ln N rows
    suffice.

    Examples
    --------
    >>> import numpy as np
    >>> A = np.array([[1.0, 0.0, 0.6], [0.0, 1.0, 0.8]])
    >>> found = omp(A, [1.0, 0.1], 1)
    >>> found.coef.tolist(), found.support.tolist(), round(found.residual, 3)
    ([1.0, 0.0, 0.0], [0], 0.1)
    """
    return _pursue("omp", A, Y, n_nonzero, 1, tol, nonnegative, 1, threads)


def bomp(
    A: Any,
    Y: npt.ArrayLike,
    n_blocks: int | None = None,
    *,
    block: int,
    tol: float | None = None,
    threads: int | None = None,
) -> Solution:
    """Block orthogonal matching pursuit: columns come and go in blocks of `block` neighbours.

    ``B = argmax ||A_B^T r||;  S = S + B;  x_S = argmin ||y - A_S x_S||;  r = y - A x``

    Parameters
    ----------
    A, Y, tol, threads
        As of `omp`.
    n_blocks : int, optional
        Blocks at most, 1 to m // block; m // block if only `tol` is given.
    block : int
        Columns of a block, a divisor of N and at most m. Columns that depend on those before them are left out.

    Returns
    -------
    Solution

    Raises
    ------
    ValueError, TypeError
        As of `omp`.

    References
    ----------
    Eldar, Kuppinger, Bölcskei, "Block-sparse signals: uncertainty relations and efficient recovery", IEEE Trans. Signal
    Processing 58 (2010).

    Examples
    --------
    >>> import numpy as np
    >>> bomp(np.eye(4), [0.9, 0.0, 0.8, 0.7], 1, block=2).support.tolist()
    [2, 3]
    """
    return _pursue("omp", A, Y, n_blocks, block, tol, False, 1, threads)


def htp(
    A: Any,
    Y: npt.ArrayLike,
    n_nonzero: int,
    *,
    tol: float | None = None,
    nonnegative: bool = False,
    max_iterations: int = 100,
    threads: int | None = None,
) -> Solution:
    """Hard-thresholding pursuit: all non-zeros at once, by gradient steps that are cut to the largest and fitted again.

    ``S = the n_nonzero largest of |x + step A^T (y - A x)|;  x_S = argmin ||y - A_S x_S||``, until S stays.

    Its time hardly depends on the number of non-zeros: faster than `omp` from some 64 on.

    Parameters
    ----------
    A, Y, tol, nonnegative, threads
        As of `omp`.
    n_nonzero : int
        Non-zeros, 1 to m.
    max_iterations : int
        Steps at most.

    Returns
    -------
    Solution
        The best of all steps.

    Raises
    ------
    ValueError, TypeError
        As of `omp`.

    Notes
    -----
    The step is ||g||**2 / ||A g||**2 for g the largest n_nonzero elements of the gradient. Least squares is by
    conjugate gradients, refined to float64.

    References
    ----------
    Foucart, "Hard thresholding pursuit", SIAM J. Numerical Analysis 49 (2011). Blumensath, Davies, "Normalized
    iterative hard thresholding", IEEE J. Selected Topics in Signal Processing 4 (2010).

    Examples
    --------
    >>> import numpy as np
    >>> htp(np.eye(4), [0.9, 0.0, 0.8, 0.7], 2).support.tolist()
    [0, 2]
    """
    steps = _check.integer("max_iterations", max_iterations, 1, MOST_ITERATIONS)
    if n_nonzero is None:
        raise TypeError("n_nonzero: wanted an integer; got None (NoneType)")
    return _pursue("htp", A, Y, n_nonzero, 1, tol, nonnegative, steps, threads)


def cgls(
    A: Any,
    Y: npt.ArrayLike,
    *,
    damping: float = 0.0,
    rtol: float = 1e-12,
    max_iterations: int | None = None,
    threads: int | None = None,
) -> Solution:
    """Least squares by conjugate gradients: argmin ||y - A x||**2 + damping ||x||**2.

    Parameters
    ----------
    A, Y, threads
        As of `omp`.
    damping : float
        At least 0.
    rtol : float
        Stop where ||A^T (y - A x) - damping x|| is at most this share of ||A^T y||.
    max_iterations : int, optional
        2 min(m, N) if not given.

    Returns
    -------
    Solution
        Without damping and with fewer rows than columns, the x of least norm.

    Raises
    ------
    ValueError, TypeError
        As of `omp`.

    References
    ----------
    Hestenes, Stiefel, J. Research of the National Bureau of Standards 49 (1952); Björck, "Numerical methods for least
    squares problems" (1996), section 7.4.

    Examples
    --------
    >>> import numpy as np
    >>> found = cgls(np.array([[1.0], [1.0]]), [1.0, 3.0])
    >>> found.coef.tolist(), round(found.residual, 6)
    ([2.0], 1.414214)
    """
    workers = _check.threads(threads)
    operator = _operator(A, workers)
    y, scale, single, dtype = _signals(operator, Y)
    least = _number("damping", damping)
    share = _number("rtol", rtol)
    most = 2 * min(operator.shape)
    if max_iterations is not None:
        most = _check.integer("max_iterations", max_iterations, 1, MOST_ITERATIONS)
    x, residual, iterations = _dense.cgls(operator, y, _by(least, -2 * operator.scale), share, most)
    support = [np.flatnonzero(c) for c in x]
    values = [c[s] for c, s in zip(x, support, strict=True)]
    found = support, values, residual, iterations
    return _solution(found, operator.shape[1], dtype, single, scale, operator.scale)


def _number(name: str, x: object) -> float:
    return _check.number(name, x, "a finite number of at least 0", -5e-324, 1e300)


def _operator(A: Any, workers: int) -> _dense.Operator:
    """What the solvers see of A."""
    if hasattr(A, "aslinearoperator"):
        A = A.aslinearoperator()
    elif hasattr(A, "tocsr"):  # SciPy's sparse arrays
        a = A.tocsr()
        products = {
            "matvec": a.__matmul__,
            "rmatvec": a.T.__matmul__,
            "matmat": a.__matmul__,
            "rmatmat": a.T.__matmul__,
        }
        A = SimpleNamespace(shape=a.shape, dtype=a.dtype, **products)
    if all(hasattr(A, name) for name in ("shape", "matvec", "rmatvec")):
        operator = _dense.Operator(A, workers)
        if len(operator.shape) != 2 or 0 in operator.shape:
            raise ValueError(f"A: wanted an operator of shape (m, N); got shape {tuple(A.shape)}")
        return operator
    a = _check.reals("A", A, "an array of shape (m, N), or an operator with shape, matvec and rmatvec")
    if a.ndim != 2 or 0 in a.shape:
        raise ValueError(f"A: wanted an array of shape (m, N); got {_check.describe(a)}")
    a = np.asarray(a, _check.float_type(a))
    if not np.isfinite(a).all():
        raise ValueError("A: wanted finite numbers; got NaN or infinity")
    scale = _exponent(a, 32)
    return _dense.Matrix(np.ldexp(a, -scale) if scale else a, scale)


def _exponent(a: npt.NDArray[Any], within: int) -> int:
    """The power of two that brings numbers to about one, 0 where their squares and sums are in range as they are."""
    exponent = int(np.frexp(np.abs(a).max(initial=0.0))[1])
    return exponent if abs(exponent) > within else 0


def _by(x: float, exponent: int) -> float:
    """x 2**exponent, at most 1e300."""
    with np.errstate(over="ignore"):
        return min(float(np.ldexp(x, exponent)), 1e300)


def _signals(operator: _dense.Operator, Y: npt.ArrayLike) -> tuple[npt.NDArray[np.float64], int, bool, Any]:
    """Signals as rows (batch, m) of float64 over a power of two, that, whether there was but one, the answer's type."""
    m = operator.shape[0]
    y = _check.reals("Y", Y, f"signals of {m} numbers, shape ({m},) or ({m}, batch)")
    if y.ndim not in (1, 2) or y.shape[0] != m:
        raise ValueError(f"Y: wanted shape ({m},) or ({m}, batch); got {_check.describe(y)}")
    rows = _check.packed(y.reshape(m, -1).T, np.float64)
    if not np.all(np.abs(rows) <= _check.LARGEST):
        raise ValueError("Y: wanted finite numbers of at most 1e30; got NaN or larger")
    scale = _exponent(rows, 110)
    if scale:
        rows = np.ldexp(rows, -scale)
    peaks = np.abs(rows).max(axis=1, initial=0.0)
    if np.any((peaks > 0) & (peaks < 1e-120)):
        raise ValueError("Y: wanted signals of sizes within 1e120 of each other; got more. Solve them apart")
    own = _check.float_type(y)
    return rows, scale, y.ndim == 1, np.result_type(own, own if operator.follows else operator.dtype)


def _pursue(
    method: str,
    A: Any,
    Y: npt.ArrayLike,
    n_nonzero: int | None,
    block: int,
    tol: float | None,
    nonnegative: bool,
    steps: int,
    threads: int | None,
) -> Solution:
    workers = _check.threads(threads)
    operator = _operator(A, workers)
    y, scale, single, dtype = _signals(operator, Y)
    m, n = operator.shape
    width = _check.integer("block", block, 1, min(m, n))
    if n % width:
        raise ValueError(f"block: wanted a divisor of {n}; got {width}")
    name = "n_nonzero" if width == 1 else "n_blocks"
    most = min(m, n) // width
    if n_nonzero is None and tol is None:
        raise ValueError(f"{name}, tol: wanted a number of non-zeros, or a tolerance, or both; got neither")
    count = most if n_nonzero is None else _check.integer(name, n_nonzero, 1, most)
    tolerance = 0.0 if tol is None else _by(_number("tol", tol), -2 * scale)
    if not isinstance(nonnegative, (bool, np.bool_)):
        raise TypeError(f"nonnegative: wanted True or False; got {_check.describe(nonnegative)}")
    sign = bool(nonnegative)
    found: Found
    if not y.shape[0]:
        found = [], [], np.empty(0), np.empty(0, np.int32)
    elif isinstance(A, SubsampledHadamard):
        limits = (count, width, tolerance, sign, steps, workers)
        parts = [A._core.pursue(method, y[p], *limits) for p in _check.slices(len(y), workers)]
        support, values = ([r[:i] for p in parts for r, i in zip(p[a], p[2], strict=True)] for a in (0, 1))
        found = support, values, np.concatenate([p[3] for p in parts]), np.concatenate([p[4] for p in parts])
    elif method == "htp":
        found = _dense.htp(operator, y, count, tolerance, sign, steps)
    elif sign:
        found = _dense.nonnegative_omp(operator, y, count, tolerance)
    else:
        found = _dense.omp(operator, y, count, width, tolerance)
    return _solution(found, n, dtype, single, scale, operator.scale)


def _solution(found: Found, n: int, dtype: Any, single: bool, scale: int, columns: int) -> Solution:
    support, values, residual, iterations = found
    if scale or columns:
        values, residual = [np.ldexp(v, scale - columns) for v in values], np.ldexp(residual, scale)
    coef = np.zeros((len(support), n), dtype)
    index = [np.asarray(s, np.int64) for s in support]
    if index:
        coef[np.repeat(np.arange(len(index)), [len(s) for s in index]), np.concatenate(index)] = np.concatenate(values)
    if single:
        return Solution(coef[0], index[0], float(residual[0]), int(iterations[0]))
    return Solution(coef.T, index, residual, iterations)
