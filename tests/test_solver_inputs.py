"""What A and Y may be for the sparse solvers: arrays, sparse arrays, operators, of any size; and what is refused."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import scipy.sparse
import scipy.sparse.linalg

import recsketch._core as _core
from recsketch.sparse import SubsampledHadamard, bomp, cgls, htp, omp

GOOD = np.eye(4)
Y4 = np.ones(4)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: omp(GOOD, Y4), ValueError, "n_nonzero, tol: wanted"),
        (lambda: omp(GOOD, Y4, 0), ValueError, "n_nonzero: wanted an integer from 1 to 4; got 0"),
        (lambda: omp(GOOD, Y4, 5), ValueError, "n_nonzero: wanted an integer from 1 to 4; got 5"),
        (lambda: omp(GOOD, Y4, 1.5), TypeError, "n_nonzero: wanted"),
        (lambda: omp(GOOD, Y4, True), TypeError, "n_nonzero: wanted"),
        (lambda: omp(GOOD, Y4, tol=-1.0), ValueError, "tol: wanted"),
        (lambda: omp(GOOD, Y4, tol=np.nan), ValueError, "tol: wanted"),
        (lambda: omp(GOOD, Y4, 1, nonnegative=1), TypeError, "nonnegative: wanted"),
        (lambda: omp(GOOD, Y4, 1, threads=0), ValueError, "threads: wanted"),
        (lambda: omp(GOOD, np.ones(5), 1), ValueError, r"Y: wanted shape \(4,\)"),
        (lambda: omp(GOOD, np.ones((1, 4)), 1), ValueError, r"Y: wanted shape \(4,\)"),
        (lambda: omp(GOOD, np.ones((4, 1, 1)), 1), ValueError, r"Y: wanted shape \(4,\)"),
        (lambda: omp(GOOD, [1, 2, 3, np.nan], 1), ValueError, "Y: wanted finite"),
        (lambda: omp(GOOD, [1, 2, 3, np.inf], 1), ValueError, "Y: wanted finite"),
        (lambda: omp(GOOD, ["a"] * 4, 1), TypeError, "Y: wanted"),
        (lambda: omp(np.full((4, 4), np.nan), Y4, 1), ValueError, "A: wanted finite"),
        (lambda: omp(np.ones(4), Y4, 1), ValueError, "A: wanted an array"),
        (lambda: omp(np.ones((0, 4)), np.ones(0), 1), ValueError, "A: wanted an array"),
        (lambda: omp(np.ones((4, 4), complex), Y4, 1), TypeError, "A: wanted"),
        (lambda: omp([[1, 2], [3]], Y4, 1), ValueError, "A: wanted"),
        (lambda: bomp(GOOD, Y4, 1, block=3), ValueError, "block: wanted a divisor of 4; got 3"),
        (lambda: bomp(GOOD, Y4, 1, block=0), ValueError, "block: wanted"),
        (lambda: bomp(GOOD, Y4, 3, block=2), ValueError, "n_blocks: wanted an integer from 1 to 2; got 3"),
        (lambda: bomp(GOOD, Y4, block=2), ValueError, "n_blocks, tol: wanted"),
        (lambda: htp(GOOD, Y4, None), TypeError, "n_nonzero: wanted"),
        (lambda: htp(GOOD, Y4, 2, max_iterations=0), ValueError, "max_iterations: wanted"),
        (lambda: cgls(GOOD, Y4, damping=-1.0), ValueError, "damping: wanted"),
        (lambda: cgls(GOOD, Y4, rtol=np.inf), ValueError, "rtol: wanted"),
        (lambda: cgls(GOOD, Y4, max_iterations=0), ValueError, "max_iterations: wanted"),
        (lambda: cgls(GOOD, Y4, damping=1e200), ValueError, "damping: wanted at most"),
        (lambda: cgls(GOOD, Y4, x0=np.zeros(5)), ValueError, r"x0: wanted shape \(4,\); got .*\(5,\)"),
        (lambda: cgls(GOOD, Y4, x0=np.zeros((4, 1))), ValueError, r"x0: wanted shape \(4,\)"),
        (lambda: cgls(GOOD, np.ones((4, 2)), x0=np.zeros(4)), ValueError, r"x0: wanted shape \(4, 2\)"),
        (lambda: cgls(GOOD, Y4, x0=[0, 0, np.inf, 0]), ValueError, "x0: wanted finite"),
        (lambda: cgls(GOOD, Y4, x0=["a"] * 4), TypeError, "x0: wanted"),
        (lambda: omp(GOOD, Y4 + 1j, 1), TypeError, "Y: wanted"),
    ],
)
def test_errors_say_what_was_wanted(call: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        call()


def test_an_operator_of_nonsense_is_an_error() -> None:
    def bad(x: Any) -> Any:
        return np.full(4, np.nan)

    A = scipy.sparse.linalg.LinearOperator((4, 4), matvec=bad, rmatvec=bad, dtype=np.float64)
    for call in (lambda: omp(A, Y4, 1), lambda: cgls(A, Y4)):
        with pytest.raises(ValueError, match="A: wanted an operator of finite numbers"):
            call()


def test_the_binding_checks_sizes() -> None:
    core = SubsampledHadamard(8, 16)._core
    with pytest.raises(ValueError, match="wanted rows"):
        core.product_f64(np.zeros((1, 8)), np.zeros((1, 8)), False, 1)
    with pytest.raises(ValueError, match="y: wanted"):
        core.pursue("omp", np.zeros((1, 7)), np.zeros(1), 1, 1, False, 1, 1)
    with pytest.raises(_core.CoreError):
        core.pursue("omp", np.zeros((1, 8)), np.zeros(1), 1, 3, False, 1, 1)
    with pytest.raises(_core.CoreError):
        _core.Hadamard(16, np.array([3, 3], np.int32), 0, 0)


# ---------------------------------------------------------------- operators


def solutions(A: Any, y: Any) -> list[Any]:
    return [omp(A, y, 2), omp(A, y, 2, nonnegative=True), bomp(A, y, 1, block=2), htp(A, y, 2), cgls(A, y)]


def duck(D: Any, **changes: Any) -> Any:
    """An operator with just what is asked for, and changes."""
    parts = {"shape": D.shape, "matvec": lambda x: D @ x, "rmatvec": lambda y: D.T @ y, **changes}
    return SimpleNamespace(**{name: part for name, part in parts.items() if part is not ...})


D = np.random.default_rng(3).standard_normal((40, 120))
Y = np.ones(40)


@pytest.mark.parametrize(
    ("A", "error", "text"),
    [
        (duck(D, rmatvec=...), TypeError, "A: wanted an operator with matvec and rmatvec; got one without rmatvec"),
        (duck(D, rmatvec=None), TypeError, "got one without rmatvec"),
        (scipy.sparse.linalg.LinearOperator((40, 120), matvec=lambda x: D @ x), TypeError, "got one without rmatvec"),
        (duck(D, rmatvec=lambda y: D.T @ y[::-1]), ValueError, "A: wanted an operator whose rmatvec is the adjoint"),
        (duck(D, rmatvec=lambda y: 2 * (D.T @ y)), ValueError, "whose rmatvec is the adjoint of its matvec"),
        (duck(D, rmatvec=lambda y: np.zeros(120)), ValueError, "whose rmatvec is the adjoint of its matvec"),
        (duck(D, rmatvec=lambda y: D @ np.ones(120)), ValueError, "A: wanted products of 120 numbers by its shape"),
        (duck(D, matvec=lambda x: np.ones(7)), ValueError, r"A: wanted products of 40 numbers .*; got 7"),
        (
            duck(D, matvec=lambda x: D @ x + 0j),
            TypeError,
            "A: wanted an operator of real numbers; got products of dtype",
        ),
        (duck(D, dtype=np.complex64), TypeError, "A: wanted an operator of real numbers; got one of dtype complex64"),
        (scipy.sparse.linalg.aslinearoperator(D + 0j), TypeError, "got one of dtype complex128"),
        (duck(D, matvec=lambda x: (D @ x).astype(object)), TypeError, "got products of dtype object"),
        (duck(D, shape=(40,)), ValueError, r"A: wanted an operator of shape \(m, N\); got shape \(40,\)"),
        (
            scipy.sparse.csr_array(D + 0j),
            TypeError,
            "A: wanted a sparse array of real numbers; got one of dtype complex",
        ),
        (scipy.sparse.csr_array(np.where(D > 2, np.inf, D)), ValueError, "A: wanted finite numbers"),
    ],
)
def test_an_operator_that_is_none_is_named(A: Any, error: type[Exception], text: str) -> None:
    for call in (lambda: omp(A, Y, 3), lambda: htp(A, Y, 3), lambda: bomp(A, Y, 1, block=2), lambda: cgls(A, Y)):
        with pytest.raises(error, match=text) as caught:
            call()
        assert len(str(caught.value)) < 1000


def test_operators_in_any_arithmetic_and_of_any_size() -> None:
    """The probe's tolerance is far above the rounding of float16 products, 1e-3; sizes are scaled by powers of two."""
    y = D[:, [4, 5]] @ [1.0, 2.0]
    for kind in (np.float64, np.float32, np.float16):
        half = D.astype(kind)
        A = duck(D, matvec=lambda x, a=half: a @ x.astype(a.dtype), rmatvec=lambda r, a=half: a.T @ r.astype(a.dtype))
        assert all(sorted(s.support.tolist()) == [4, 5] for s in solutions(A, y)[:4])
    want = solutions(duck(D), y)
    for power in (500, -500):
        size = 2.0**power
        A = duck(D, matvec=lambda x, c=size: D @ x * c, rmatvec=lambda r, c=size: D.T @ r * c)
        for got, known in zip(solutions(A, y), want, strict=True):
            assert np.array_equal(got.coef, known.coef / size)
            assert got.residual == known.residual
    with pytest.raises(ValueError, match=r"A: wanted products within 1e\+140"):
        cgls(duck(D, matvec=lambda x: D @ x + 1e150 * (x[0] == 0.0)), Y, x0=np.zeros(120))
    # Finite, and beyond all doubles once the others are brought to about one.
    A = duck(D / 2.0**500, matvec=lambda x: D / 2.0**500 @ x + 1e200 * (x[0] == 0.0))
    with np.errstate(over="ignore"), pytest.raises(ValueError, match=r"A: wanted products within 1e\+140"):
        cgls(A, Y, x0=np.zeros(120))


def test_a_direction_that_an_operator_does_not_see() -> None:
    """No step along it helps, and none is taken: here small vectors, of which the probe is none."""
    A = duck(D, matvec=lambda x: D @ x if np.linalg.norm(x) > 5 else np.zeros(40))
    found = cgls(A, D[:, 0] * 1e-3)
    assert not found.coef.any()
    assert found.reason == "precision"


def test_an_operator_whose_type_is_of_another_library() -> None:
    A = duck(D, dtype="torch.float32")
    assert omp(A, D[:, 7], 1).support.tolist() == [7]


# ---------------------------------------------------------------- sparse arrays


def test_transforms_and_sparse_matrices_are_operators() -> None:
    from recsketch.transforms import StructuredProjection

    P = StructuredProjection(40, random_state=0).fit(np.zeros((1, 120)))
    D = P.aslinearoperator() @ np.eye(120)
    y = D[:, [5, 60]] @ [1.0, 2.0]
    for A in (P, scipy.sparse.csr_array(D), scipy.sparse.coo_matrix(D)):
        assert sorted(omp(A, y, 2).support.tolist()) == [5, 60]
    with pytest.raises(ValueError, match="A: wanted an operator of shape"):
        omp(scipy.sparse.csr_array((0, 4)), np.ones(0), 1)
    H = SubsampledHadamard(8, 16)
    assert np.array_equal(H @ np.eye(16), H.matmat(np.eye(16)))
    assert np.array_equal(H @ np.ones(16), H.matvec(np.ones(16)))


def test_a_huge_integer_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="tol: wanted"):
        omp(GOOD, Y4, tol=10**400)


def compressed(change: Any, kind: Any = scipy.sparse.csr_array) -> Any:
    """A sparse array changed behind SciPy's back."""
    A = kind(np.where(np.abs(D) > 1, D, 0))
    change(A)
    return A


def tail(A: Any) -> None:
    A.data, A.indices = np.append(A.data, [7.0, np.nan]), np.append(A.indices, [1, 10**6]).astype(A.indices.dtype)


def point(A: Any) -> None:
    A.indices[3] = 10**6


def turn(A: Any) -> None:
    A.indptr[5], A.indptr[6] = A.indptr[6], A.indptr[5]


def cut(A: Any) -> None:
    A.data = A.data[:-3]


def aside(A: Any) -> None:
    A.row[3] = 10**6


@pytest.mark.parametrize("kind", [scipy.sparse.csr_array, scipy.sparse.csc_array, scipy.sparse.csr_matrix])
def test_what_lies_behind_a_sparse_arrays_end_is_not_read(kind: Any) -> None:
    A = compressed(tail, kind)
    dense = np.where(np.abs(D) > 1, D, 0)
    y = dense[:, [4, 5]] @ [1.0, 2.0]
    for got, want in zip(solutions(A, y), solutions(dense, y), strict=True):
        assert np.abs(got.coef - want.coef).max() <= 1e-9
    assert len(A.data) == len(A.indices) == A.indptr[-1] + 2  # it is the caller's, and stays as it was


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (point, scipy.sparse.csr_array),
        (point, scipy.sparse.csc_array),
        (turn, scipy.sparse.csr_array),
        (cut, scipy.sparse.csr_array),
        (aside, scipy.sparse.coo_array),
        (cut, scipy.sparse.coo_array),
    ],
)
def test_a_sparse_array_that_points_elsewhere_is_refused(change: Any, kind: Any) -> None:
    A = compressed(change, kind)
    for call in (lambda: omp(A, Y, 3), lambda: cgls(A, Y)):
        with pytest.raises(ValueError, match="A: wanted a sparse array whose offsets and indices fit its shape"):
            call()


# ---------------------------------------------------------------- numbers near the ends of their types


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_products_near_the_largest_number(dtype: Any) -> None:
    """Sums of n numbers overflow on the way where their products over sqrt(m) do not: as exact as others are."""
    H = SubsampledHadamard(64, 256, seed=4)
    most = float(np.finfo(dtype).max)
    x, y = H.columns(np.arange(64)).T[:, :64], np.random.default_rng(5).choice([-1.0, 1.0], (64, 3))
    x = np.concatenate([np.ones((256, 1)), np.sign(H.toarray()[5])[:, None] * 0.03], axis=1)
    for product, many, one, arg, size in (
        (H.matmat, H.matmat, H.matvec, x, most / 40),
        (H.rmatmat, H.rmatmat, H.rmatvec, y, most / 16),
    ):
        small = arg.astype(dtype)
        large = (small * dtype(2.0 ** np.floor(np.log2(size)))).astype(dtype)
        want = product(small)
        got = many(large)
        assert np.isfinite(got).all()
        assert np.array_equal(np.ldexp(got, -int(np.floor(np.log2(size)))), want)
        assert np.array_equal(one(large[:, 0]), got[:, 0])
        with pytest.raises(ValueError, match=f"[xyXY]: wanted numbers whose products {np.dtype(dtype)} can hold"):
            many(np.full_like(large, most))
        for bad in (np.nan, np.inf):
            with pytest.raises(ValueError, match=r"[xyXY]: wanted finite numbers; got NaN or infinity"):
                many(np.full_like(large, bad))
    tiny = np.finfo(dtype).smallest_subnormal
    both = np.stack([np.full(256, most / 300), np.full(256, tiny)], axis=1).astype(dtype)
    assert np.array_equal(H.matmat(both)[:, 1], H.matvec(both[:, 1]))  # a column is scaled by itself


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_an_answer_that_its_type_cannot_hold_is_an_error(kind: Any) -> None:
    small, large = float(np.finfo(kind).smallest_normal), float(np.finfo(kind).max)
    for make in (np.asarray, scipy.sparse.linalg.aslinearoperator):
        A = make((np.eye(4) * small).astype(kind))
        for call in (lambda A=A: omp(A, Y4.astype(kind) * 100, 4), lambda A=A: cgls(A, Y4.astype(kind) * 100)):
            with pytest.raises(ValueError, match=f"A, Y: wanted a solution that {np.dtype(kind)} can hold"):
                call()
        for size in (small, 0.2):
            assert np.array_equal(cgls(A, np.full(4, size, kind)).coef, np.full(4, kind(size) / kind(small)))
    assert omp(np.eye(4, dtype=kind), np.full(4, large, kind), 4).coef.tolist() == [large] * 4


def test_tolerances_and_damping_follow_the_scales() -> None:
    """Powers of two of A and Y change the powers of tol and damping, and no bit."""
    y = np.random.default_rng(6).standard_normal(40)
    want = omp(D, y, tol=3.0)
    assert 1 < len(want.support) < 40
    for power in (200, -200, 3):
        got = omp(D, np.ldexp(y, power), tol=float(np.ldexp(3.0, 2 * power)))
        assert got.support.tolist() == want.support.tolist()
        assert np.array_equal(got.coef, np.ldexp(want.coef, power))
    damped = cgls(D, y, damping=7.0)
    assert np.linalg.norm(damped.coef) < 0.99 * np.linalg.norm(cgls(D, y).coef)
    for power in (100, -100):
        got = cgls(np.ldexp(D, power), y, damping=float(np.ldexp(7.0, 2 * power)))
        assert np.array_equal(got.coef, np.ldexp(damped.coef, -power))
