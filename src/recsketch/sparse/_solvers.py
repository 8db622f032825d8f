"""The solvers' arguments checked and their methods chosen: in C on a `SubsampledHadamard`, in NumPy elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

import recsketch._check as _check
import recsketch.sparse._cgls as _cgls
import recsketch.sparse._htp as _htp
import recsketch.sparse._omp as _omp
from recsketch.sparse._hadamard import SubsampledHadamard
from recsketch.sparse._operators import operator_of
from recsketch.sparse._scaling import answer, number, signals_of
from recsketch.sparse._solution import REASONS, Found, Solution, joined

if TYPE_CHECKING:
    import numpy.typing as npt

MOST_ITERATIONS = 1 << 30
LARGEST_DAMPING = 1e150  # times squares of gradients it stays finite


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
        and `rmatvec`, its adjoint (SciPy's); `matmat` and `rmatmat` are used if there. SciPy's sparse arrays are
        operators, and what has `aslinearoperator`: the transforms. Numbers are real and finite, of any size.
    Y : (m,) or (m, batch) array_like
        Signals, finite, of any size each.
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
        An argument of another shape or type, complex numbers, NaN or infinity; neither a count nor a tolerance; an
        operator without rmatvec, or whose rmatvec is not the adjoint of its matvec; a solution that its type cannot
        hold.

    Notes
    -----
    Columns are fitted in float64: on its support x is exact to about cond(A_S)**2 2**-52 relative (SubsampledHadamard:
    normal equations, whose Gram entries are integers) or cond(A_S) 2**-52 (arrays: Gram-Schmidt, twice). Correlations
    are float32 for a SubsampledHadamard and for float32 arrays: of columns within about 1e-6 of the best, any may be
    chosen. Of equal ones it is the first.

    Cost, for K non-zeros found: O(K (n log n + m K)) a signal for a SubsampledHadamard, with K**2 / 2 doubles and K m /
    8 bytes a thread; O(K (m N + m K)) for an array or operator, with K m + K**2 doubles a signal. Memory grows with
    what is found: it may be up to four times as much. An operator is probed with one product of each kind.

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
        As of `omp`; a block that does not divide N.

    Notes
    -----
    Cost: that of `omp` for K columns found, but that there are only as many transforms or products as blocks.

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
    conjugate gradients refined to float64 for a SubsampledHadamard, and by LAPACK for arrays and operators.

    Cost: a step takes about ten transforms, O(n log n), for a SubsampledHadamard, with 4 n doubles a thread; O(m N + m
    K**2) for an array or operator, with 2 K m doubles. Most signals take three to twenty steps.

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
    x0: npt.ArrayLike | None = None,
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
    x0 : (N,) or (N, batch) array_like, optional
        Where to start, for every signal; 0 if not given. A good guess saves iterations.
    damping : float
        From 0 to 1e150 times the square of A's largest element.
    rtol : float
        Stop where ||A^T (y - A x) - damping x|| is at most this share of ||A^T y||.
    max_iterations : int, optional
        4 min(m, N) if not given.

    Returns
    -------
    Solution
        The best x of all that were tried. Without damping, without x0 and with fewer rows than columns, that of least
        norm. `reason` is "tolerance", "precision" or "iterations".

    Raises
    ------
    ValueError, TypeError
        As of `omp`.

    Notes
    -----
    Products are in the arithmetic of A, all else is float64. What float32 products can tell of the gradient ends at
    about 1e-7 ||A|| ||y - A x||; it is noticed and the solver stops there, with the reason "precision" and an x that is
    exact to about cond(A)**2 times that arithmetic's rounding. An iteration is two products. Two or three more compute
    the true residual and its gradient where iterations end, and where these show more to be gained, iterations go on
    from there.

    Cost: O(m N) an iteration and signal for an array, O(N log N) for a SubsampledHadamard; memory for 5 N + 3 m doubles
    a signal.

    References
    ----------
    Hestenes, Stiefel, J. Research of the National Bureau of Standards 49 (1952); Björck, "Numerical methods for least
    squares problems" (1996), section 7.4. Stopping: Paige, Saunders, "LSQR", ACM Trans. Mathematical Software 8 (1982).

    Examples
    --------
    >>> import numpy as np
    >>> found = cgls(np.array([[1.0], [1.0]]), [1.0, 3.0])
    >>> found.coef.tolist(), round(found.residual, 6), found.reason
    ([2.0], 1.414214, 'tolerance')
    """
    workers = _check.threads(threads)
    operator = operator_of(A, workers)
    y = signals_of(operator, Y, x0)
    penalty = np.ldexp(number("damping", damping), -2 * operator.scale)
    if penalty > LARGEST_DAMPING:
        raise ValueError(f"damping: wanted at most {LARGEST_DAMPING:.0e} times A's squares; got {damping}")
    share = number("rtol", rtol)
    most = 4 * min(operator.shape)
    if max_iterations is not None:
        most = _check.integer("max_iterations", max_iterations, 1, MOST_ITERATIONS)
    x, residual, iterations, reason = _cgls.cgls(operator, y.rows, y.start, float(penalty), share, most)
    support = [np.flatnonzero(c) for c in x]
    values = [c[s] for c, s in zip(x, support, strict=True)]
    return answer(Found(support, values, residual, iterations, reason), y, operator, tol=None)


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
    operator = operator_of(A, workers)
    y = signals_of(operator, Y)
    m, n = operator.shape
    width = _check.integer("block", block, 1, min(m, n))
    if n % width:
        raise ValueError(f"block: wanted a divisor of {n}; got {width}")
    name = "n_nonzero" if width == 1 else "n_blocks"
    most = min(m, n) // width
    if n_nonzero is None and tol is None:
        raise ValueError(f"{name}, tol: wanted a number of non-zeros, or a tolerance, or both; got neither")
    count = most if n_nonzero is None else _check.integer(name, n_nonzero, 1, most)
    enough = None if tol is None else number("tol", tol)
    sign = _check.flag("nonnegative", nonnegative)
    tolerances = y.tolerances(enough)
    if isinstance(A, SubsampledHadamard):
        found = _in_c(A, method, y.rows, tolerances, count, width, sign, steps, workers)
    elif method == "htp":
        found = _htp.htp(operator, y.rows, count, tolerances, sign, steps)
    elif sign:
        found = _omp.nonnegative_omp(operator, y.rows, count, tolerances)
    else:
        found = _omp.omp(operator, y.rows, count, width, tolerances)
    return answer(found, y, operator, tol=enough)


def _in_c(A: SubsampledHadamard, method: str, y: Any, tol: Any, *limits: Any) -> Found:
    if not len(y):
        return joined([])
    support, coef, count, residual, iterations, reason = A._core.pursue(method, y, tol, *limits)
    supports, values = ([row[:k] for row, k in zip(rows, count, strict=True)] for rows in (support, coef))
    return Found(supports, values, residual, iterations, [REASONS[r] for r in reason])
