"""Least squares by conjugate gradients, in whatever arithmetic A has: against LAPACK, and where iterations must end."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse
import scipy.sparse.linalg

from recsketch.sparse import SubsampledHadamard, cgls


def kinds(H: SubsampledHadamard) -> dict[str, Any]:
    D = H.toarray()
    return {
        "hadamard": H,
        "array": D,
        "fortran": np.asfortranarray(D),
        "operator": scipy.sparse.linalg.aslinearoperator(D),
        "duck": scipy.sparse.linalg.aslinearoperator(H),
    }


KINDS = ("hadamard", "array", "fortran", "operator", "duck")


class Narrow:
    """Products in float32 that come back as `dtype`, of an operator that does not say so."""

    def __init__(self, A: Any, dtype: Any) -> None:
        self.shape, self._a, self._dtype = A.shape, A.astype(np.float32), dtype

    def matvec(self, x: Any) -> Any:
        return (self._a @ x.astype(np.float32)).astype(self._dtype)

    def rmatvec(self, y: Any) -> Any:
        return (self._a.T @ y.astype(np.float32)).astype(self._dtype)


FLOAT32: dict[str, Any] = {
    "array": lambda A: A,
    "floats": lambda A: Narrow(A, np.float32),
    "doubles": lambda A: Narrow(A, np.float64),
    "operator": scipy.sparse.linalg.aslinearoperator,  # float32 times float64 is float64 here
    "sparse": scipy.sparse.csr_array,
}


def solved(A: Any, y: Any, damping: float = 0.0) -> tuple[Any, float]:
    """The exact x for the numbers in A, and how far from it an arithmetic of eps = 1 may end.

    The gradient cannot be told from rounding below 4 eps |A| (|r| + |A| |x|), which moves x by that over the least
    squared singular value (with damping: of the augmented matrix)."""
    D, z = A.astype(np.float64), y.astype(np.float64)
    if damping:
        D = np.concatenate([D, np.sqrt(damping) * np.eye(A.shape[1])])
        z = np.append(z, np.zeros(A.shape[1]))
    x = np.linalg.lstsq(D, z, rcond=None)[0]
    sigma = np.linalg.svd(D, compute_uv=False)
    return x, 4 * sigma[0] * (np.linalg.norm(z - D @ x) + sigma[0] * np.linalg.norm(x)) / sigma[-1] ** 2


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("damping", [0.0, 0.3])
def test_cgls_is_least_squares(kind: str, damping: float) -> None:
    H = SubsampledHadamard(24, 32, seed=21)
    D = H.toarray()
    Y = np.random.default_rng(22).standard_normal((24, 3))
    want = D.T @ np.linalg.solve(D @ D.T + damping * np.eye(24), Y)
    found = cgls(kinds(H)[kind], Y, damping=damping)
    assert np.abs(found.coef - want).max() <= 1e-10
    assert np.abs(found.residual - np.linalg.norm(Y - D @ want, axis=0)).max() <= 1e-10


def test_cgls_tall_and_rank_deficient() -> None:
    rng = np.random.default_rng(23)
    A = rng.standard_normal((40, 5))
    A = np.concatenate([A, A[:, :2], np.zeros((40, 1))], axis=1)
    y = rng.standard_normal(40)
    found = cgls(A, y)
    assert np.abs(found.coef - np.linalg.pinv(A) @ y).max() <= 1e-9
    assert cgls(A, np.zeros(40)).iterations == 0
    assert cgls(A, y, max_iterations=1).iterations == 1
    assert cgls(np.zeros((3, 2)), [1.0, 2.0, 3.0]).coef.tolist() == [0.0, 0.0]


@pytest.mark.parametrize("kind", FLOAT32)
@pytest.mark.parametrize("damping", [0.0, 1.0])
@pytest.mark.parametrize("shape", [(200, 100), (1000, 400), (40, 20), (150, 150)])
def test_float32_products_end_at_what_they_can_tell(shape: tuple[int, int], damping: float, kind: str) -> None:
    """With the default rtol, 1e-12, which float32 cannot reach: iterations on would go astray, by 1e5 and more."""
    rng = np.random.default_rng(40)
    A, y = rng.standard_normal(shape).astype(np.float32), rng.standard_normal(shape[0]).astype(np.float32)
    want, near = solved(A, y, damping)
    found = cgls(FLOAT32[kind](A), y, damping=damping)
    assert np.linalg.norm(found.coef - want) <= near * np.finfo(np.float32).eps
    assert (found.reason, found.converged) == ("tolerance" if kind in ("operator", "sparse") else "precision", True)
    assert found.coef.dtype == (np.float64 if kind in ("floats", "doubles") else np.float32)


@pytest.mark.parametrize("shape", [(200, 100), (60, 200)])
@pytest.mark.parametrize("damping", [0.0, 1.0])
def test_a_tolerance_of_nothing_ends_at_the_precision_of_doubles(shape: tuple[int, int], damping: float) -> None:
    rng = np.random.default_rng(41)
    A, y = rng.standard_normal(shape), rng.standard_normal(shape[0])
    want, near = solved(A, y, damping)
    found = cgls(A, y, damping=damping, rtol=0.0, max_iterations=10_000)
    assert np.linalg.norm(found.coef - want) <= near * 2.0**-52
    assert found.reason == "precision"
    assert found.iterations < 2_000


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("consistent", [False, True])
@pytest.mark.parametrize("condition", [10.0, 1e6])
def test_more_iterations_are_never_worse(dtype: Any, consistent: bool, condition: float) -> None:
    """The objective falls, or stays within the rounding of y - A x: n eps of |A| |x| in each of its m elements at most,
    and 16 of the 40 eps that this would be."""
    rng = np.random.default_rng(42)
    u, v = (np.linalg.qr(rng.standard_normal((n, 40)))[0] for n in (80, 40))
    A = (u * np.geomspace(1.0, 1.0 / condition, 40) @ v.T).astype(dtype)
    y = A.astype(float) @ rng.standard_normal(40) + (0.0 if consistent else 1.0) * rng.standard_normal(80)
    y = y.astype(dtype)
    before = float(np.linalg.norm(y))
    for most in (1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377, 610, 2000):
        found = cgls(A, y, rtol=0.0, max_iterations=most)
        norm = float(np.linalg.norm(y.astype(float) - A.astype(float) @ found.coef.astype(float)))
        assert norm <= before + 16 * np.finfo(dtype).eps * np.linalg.norm(found.coef.astype(float))
        assert found.iterations <= most
        before = min(before, norm)


def test_why_cgls_ends() -> None:
    rng = np.random.default_rng(43)
    A = rng.standard_normal((40, 10))
    y = rng.standard_normal(40)
    aside = y - A @ np.linalg.lstsq(A, y, rcond=None)[0]  # orthogonal to all columns but for rounding
    cases = [
        (cgls(A, y), "tolerance", True),
        (cgls(A, y, max_iterations=3), "iterations", False),
        (cgls(A, aside), "precision", True),
        (cgls(A, np.zeros(40)), "tolerance", True),
        (cgls(np.zeros((40, 10)), y), "tolerance", True),
        (cgls(A.astype(np.float32), y), "precision", True),
    ]
    for found, reason, converged in cases:
        assert (found.reason, found.converged) == (reason, converged)
    assert np.linalg.norm(cgls(A, aside).coef) <= 1e-14
    both = cgls(A, np.stack([y, aside, np.zeros(40)], axis=1))
    assert both.reason == ["tolerance", "precision", "tolerance"]
    assert both.converged.tolist() == [True, True, True]
    assert np.abs(both.coef[:, 0] - cases[0][0].coef).max() <= 1e-13


@pytest.mark.parametrize("kind", KINDS)
def test_a_start_is_where_iterations_begin(kind: str) -> None:
    H = SubsampledHadamard(48, 64, seed=44)
    D = H.toarray()
    rng = np.random.default_rng(45)
    Y, X0 = rng.standard_normal((48, 3)), rng.standard_normal((64, 3))
    A = kinds(H)[kind]
    found = cgls(A, Y, x0=X0)
    want = X0 + np.linalg.pinv(D) @ (Y - D @ X0)  # the nearest of all least squares solutions
    assert np.abs(found.coef - want).max() <= 1e-10
    again = cgls(A, Y, x0=found.coef, rtol=1e-10)
    assert again.iterations.tolist() == [0, 0, 0]
    assert np.array_equal(again.coef, found.coef)
    assert again.reason == ["tolerance"] * 3
    assert np.array_equal(cgls(A, Y[:, 0], x0=np.zeros(64)).coef, cgls(A, Y[:, 0]).coef)


def test_a_start_of_any_size() -> None:
    """Signals and starts are scaled together: 2**200 away from each other, both are found."""
    A = np.random.default_rng(46).standard_normal((40, 10))
    y = A @ np.ones(10)
    far = cgls(A, y, x0=np.full(10, 2.0**200), rtol=1e-30)
    assert np.abs(far.coef).max() <= 2.0**200 * 1e-14
    assert np.abs(cgls(A, y, x0=np.full(10, 2.0**-200)).coef - 1).max() <= 1e-10
    assert cgls(A, np.zeros(40), x0=np.ones(10), max_iterations=100).coef == pytest.approx(np.zeros(10), abs=1e-13)
    assert cgls(np.ldexp(A, 100), y, x0=np.full(10, 2.0**-100)).iterations == 0
