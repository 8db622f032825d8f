"""Sparse solvers: against plain NumPy written here, against scikit-learn, and on signals whose answer is known."""

from __future__ import annotations

import json
import pickle
from typing import Any

import numpy as np
import pytest
import reference as ref
import scipy.sparse.linalg

import recsketch._core as _core
from recsketch.sparse import Solution, bomp, htp, omp
from recsketch.sparse._hadamard import SubsampledHadamard

M, N = 96, 256


def planted(A: Any, k: int, batch: int, seed: int, positive: bool = False) -> tuple[Any, Any]:
    """Coefficients of size 1 to 2 and random sign on k random columns, and their signals."""
    rng = np.random.default_rng(seed)
    X = np.zeros((A.shape[1], batch))
    for b in range(batch):
        X[rng.choice(A.shape[1], k, replace=False), b] = rng.uniform(1, 2, k) * (
            1 if positive else rng.choice([-1, 1], k)
        )
    return X, A @ X


def oracle_omp(A: Any, y: Any, k: int, block: int = 1) -> list[int]:
    """The definition, by lstsq from scratch; the first of equal blocks."""
    support: list[int] = []
    r = y
    for _ in range(k):
        c = A.T @ r
        c[support] = 0
        energy = np.square(c).reshape(-1, block).sum(axis=1)
        first = int(np.argmax(energy)) * block
        support += range(first, first + block)
        r = y - A[:, support] @ np.linalg.lstsq(A[:, support], y, rcond=None)[0]
    return support


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

# ---------------------------------------------------------------- the matrix


@pytest.mark.parametrize(
    ("m", "n", "seed"), [(1, 16, 0), (5, 16, 1), (16, 16, 2), (33, 256, 3), (512, 1024, 2**64 - 1)]
)
def test_the_matrix_is_the_reference(m: int, n: int, seed: int) -> None:
    want = ref.subsampled_hadamard(m, n, seed)
    H = SubsampledHadamard(m, n, seed=seed)
    assert H.shape == (m, n)
    assert np.array_equal(H.toarray(), want)
    assert np.array_equal(H.columns([n - 1, 0, 3]), want[:, [n - 1, 0, 3]])
    x, y = np.random.default_rng(0).standard_normal((n, 3)), np.random.default_rng(1).standard_normal((m, 3))
    for dtype, eps in ((np.float32, 2.0**-24), (np.float64, 2.0**-53)):
        a, b = x.astype(dtype), y.astype(dtype)
        forward, adjoint = H.matmat(a), H.rmatmat(b)
        assert forward.dtype == adjoint.dtype == dtype
        near = (np.log2(n) + 4) * eps * np.sqrt(n / m) * 1.01 + n * 2.0**-53
        assert (np.linalg.norm(forward - want @ a, axis=0) <= near * np.linalg.norm(a, axis=0)).all()
        assert (np.linalg.norm(adjoint - want.T @ b, axis=0) <= near * np.linalg.norm(b, axis=0)).all()
        assert np.array_equal(H.matvec(a[:, 1]), forward[:, 1])
        assert np.array_equal(H.rmatvec(b[:, 1:2]), adjoint[:, 1:2])


def test_rows_are_nested_and_the_matrix_survives_pickling() -> None:
    H = SubsampledHadamard(32, 256, seed=9)
    assert set(H.rows) <= set(SubsampledHadamard(64, 256, seed=9).rows)
    again = pickle.loads(pickle.dumps(H))
    assert np.array_equal(again.rows, H.rows)
    assert np.array_equal(again.signs, H.signs)
    assert eval(repr(H)).shape == H.shape
    with pytest.raises(ValueError, match="read-only"):
        H.rows[0] = 0


@pytest.mark.parametrize("bad", [(0, 16), (17, 16), (4, 24), (4, 8), (4, 1 << 25), (-1, 16)])
def test_sizes_out_of_range(bad: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=r"[mn]: wanted"):
        SubsampledHadamard(*bad)


def test_the_matrix_refuses_what_does_not_fit() -> None:
    H = SubsampledHadamard(8, 16)
    for call in (lambda: H.matvec(np.zeros(8)), lambda: H.rmatvec(np.zeros(16)), lambda: H.matmat(np.zeros(16))):
        with pytest.raises(ValueError, match="wanted"):
            call()
    for index in ([16], [-1]):
        with pytest.raises(ValueError, match="index: wanted integers from 0 to 15"):
            H.columns(index)
    with pytest.raises(TypeError, match="index"):
        H.columns([0.5])
    with pytest.raises(TypeError, match="x: wanted"):
        H.matvec(np.zeros(16, complex))


# ---------------------------------------------------------------- greedy solvers


@pytest.mark.parametrize("kind", KINDS)
def test_omp_chooses_as_its_definition(kind: str) -> None:
    """Noise makes every step a choice; choices within float32 of each other would differ, and none here are."""
    H = SubsampledHadamard(M, N, seed=1)
    D = H.toarray()
    Y = np.random.default_rng(2).standard_normal((M, 5))
    found = omp(kinds(H)[kind], Y, 12)
    for b in range(5):
        want = oracle_omp(D, Y[:, b], 12)
        assert found.support[b].tolist() == want
        x = np.linalg.lstsq(D[:, want], Y[:, b], rcond=None)[0]
        assert np.abs(found.coef[want, b] - x).max() <= 1e-12
        assert abs(found.residual[b] - np.linalg.norm(Y[:, b] - D[:, want] @ x)) <= 1e-12
        assert np.count_nonzero(found.coef[:, b]) == 12
    assert (found.iterations == 12).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("block", [2, 4])
def test_bomp_chooses_as_its_definition(kind: str, block: int) -> None:
    H = SubsampledHadamard(M, N, seed=3)
    Y = np.random.default_rng(4).standard_normal((M, 3))
    found = bomp(kinds(H)[kind], Y, 5, block=block)
    for b in range(3):
        want = oracle_omp(H.toarray(), Y[:, b], 5, block)
        assert found.support[b].tolist() == want
        x = np.linalg.lstsq(H.toarray()[:, want], Y[:, b], rcond=None)[0]
        assert np.abs(found.coef[want, b] - x).max() <= 1e-12


def test_omp_is_scikit_learns() -> None:
    linear = pytest.importorskip("sklearn.linear_model")
    H = SubsampledHadamard(64, 128, seed=5)
    X, Y = planted(H.toarray(), 5, 8, 6)
    want = linear.orthogonal_mp(H.toarray(), Y, n_nonzero_coefs=5)
    for A in (H, H.toarray()):
        got = omp(A, Y, 5)
        assert np.array_equal(got.coef != 0, want != 0)
        assert np.abs(got.coef - want).max() <= 1e-10
    noisy = Y[:, 0] + 0.01 * np.random.default_rng(7).standard_normal(64)
    want = linear.orthogonal_mp(H.toarray(), noisy, tol=0.5)
    for A in (H, H.toarray()):
        assert np.abs(omp(A, noisy, tol=0.5).coef - want).max() <= 1e-10
    assert np.count_nonzero(X[:, 0]) == 5


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize("solver", [omp, htp])
def test_exact_recovery(kind: str, positive: bool, solver: Any) -> None:
    """K = 6 of 256 from 128 rows: coherent to at most about sqrt(2 ln(N^2) / m) = 0.42, and every one of 20,000 other
    trials was exact; a failure of one of these 10 has a probability below 2e-3 by the rule of three."""
    H = SubsampledHadamard(128, 256, seed=8)
    X, Y = planted(H.toarray(), 6, 10, 9, positive)
    found = solver(kinds(H)[kind], Y, 6, nonnegative=positive)
    assert np.abs(found.coef - X).max() <= 1e-10
    assert (found.residual <= 1e-10).all()
    for b in range(10):
        assert set(found.support[b]) == set(np.flatnonzero(X[:, b]))
        assert solver is omp or found.support[b].tolist() == sorted(found.support[b])


@pytest.mark.parametrize("kind", ["hadamard", "array"])
@pytest.mark.parametrize("solver", [omp, htp])
def test_a_sign_constraint_is_kept(kind: str, solver: Any) -> None:
    """Signals that no non-negative x fits: the answer is non-negative least squares on its own support."""
    import scipy.optimize

    H = SubsampledHadamard(M, N, seed=10)
    Y = np.random.default_rng(11).standard_normal((M, 6))
    found = solver(kinds(H)[kind], Y, 20, nonnegative=True)
    assert (found.coef >= 0).all()
    for b in range(6):
        s = found.support[b]
        assert 1 <= len(s) <= 20
        want, norm = scipy.optimize.nnls(H.toarray()[:, s], Y[:, b])
        assert np.abs(found.coef[s, b] - want).max() <= 1e-8
        assert abs(found.residual[b] - norm) <= 1e-8


def test_htp_is_a_fixed_point() -> None:
    """Where it stops, another step chooses the same support, and the fit is least squares."""
    H = SubsampledHadamard(M, N, seed=12)
    D = H.toarray()
    X, Y = planted(D, 8, 4, 13)
    Y = Y + 0.02 * np.random.default_rng(14).standard_normal(Y.shape)
    for A in (H, D):
        found = htp(A, Y, 8)
        for b in range(4):
            s = found.support[b]
            x = np.linalg.lstsq(D[:, s], Y[:, b], rcond=None)[0]
            assert np.abs(found.coef[s, b] - x).max() <= 1e-10
            g = D.T @ (Y[:, b] - D[:, s] @ x)
            top = np.sort(np.argsort(-np.abs(g), kind="stable")[:8])
            u = found.coef[:, b] + g * (g[top] @ g[top]) / np.sum((D[:, top] @ g[top]) ** 2)
            assert np.array_equal(np.sort(np.argsort(-np.abs(u), kind="stable")[:8]), s)
    assert X.any()


@pytest.mark.parametrize("k", [1, 7, 20, 60])
def test_a_threshold_breaks_ties_by_index(k: int) -> None:
    """Of whole signals all correlations are whole (over sqrt(m)), so that many are equal."""
    H = SubsampledHadamard(M, N, seed=25)
    Y = np.random.default_rng(26).integers(-2, 3, (M, 8)).astype(np.float64)
    whole = np.rint(H.toarray().T @ Y * np.sqrt(M))
    found = htp(H, Y, k, max_iterations=1)
    for b in range(8):
        want = np.sort(np.argsort(-np.abs(whole[:, b]), kind="stable")[:k])
        assert found.support[b].tolist() == want.tolist()
    first = omp(H, Y, 1)
    assert [s[0] for s in first.support] == np.argmax(np.abs(whole), axis=0).tolist()


def test_htp_recovers_many_nonzeros() -> None:
    H = SubsampledHadamard(1024, 4096, seed=15)
    X = np.zeros((4096, 4))
    rng = np.random.default_rng(16)
    for b in range(4):
        X[rng.choice(4096, 128, replace=False), b] = rng.standard_normal(128)
    found = htp(H, H.matmat(X), 128)
    assert np.abs(found.coef - X).max() <= 1e-10


def test_stopping() -> None:
    H = SubsampledHadamard(M, N, seed=17)
    Y = np.random.default_rng(18).standard_normal((M, 3))
    for A in (H, H.toarray()):
        found = omp(A, Y, tol=10.0)
        full = omp(A, Y, 60)
        for b in range(3):
            k = len(found.support[b])
            assert found.residual[b] ** 2 <= 10.0
            assert found.support[b].tolist() == full.support[b][:k].tolist()
            assert omp(A, Y[:, b], k - 1).residual ** 2 > 10.0
        assert omp(A, Y, 4, tol=10.0).iterations.max() == 4
        nothing = omp(A, np.zeros(M), 5)
        assert nothing.support.size == 0
        assert nothing.residual == 0.0
        assert htp(A, np.zeros((M, 2)), 5).coef.any() == np.False_
        one = omp(A, H.columns([7])[:, 0], 5)  # an exact fit ends it
        assert one.support.tolist() == [7]
        assert htp(A, Y, 5, max_iterations=1).iterations.max() == 1


def test_zero_and_equal_columns() -> None:
    A = np.array([[1.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]])
    found = omp(A, [2.0, 1.0], 2)
    assert found.support.tolist() == [0, 3]  # the first of two equal columns, and never its copy
    assert found.coef.tolist() == [2.0, 0.0, 0.0, 1.0]
    assert omp(np.zeros((3, 4)), [1.0, 2.0, 3.0], 2).support.size == 0
    tall = np.concatenate([A, np.zeros((2, 4))])
    assert bomp(tall, [2.0, 1.0, 0.0, 0.0], 1, block=4).support.tolist() == [0, 3]  # what depends on others is out
    assert htp(np.zeros((3, 4)), [1.0, 2.0, 3.0], 2).support.size == 0
    assert omp(A, [-1.0, 0.0], 2, nonnegative=True).support.size == 0


def test_types_and_layouts() -> None:
    H = SubsampledHadamard(M, N, seed=19)
    D = H.toarray()
    Y = np.random.default_rng(20).standard_normal((M, 4))
    want = omp(H, Y, 5).coef
    for A in (H, D):
        assert omp(A, Y.astype(">f8"), 5).coef.dtype == np.float64
        assert np.array_equal(omp(A, Y.astype(Y.dtype.newbyteorder()), 5).coef, omp(A, Y, 5).coef)
        assert np.array_equal(omp(A, np.asfortranarray(Y), 5).coef, omp(A, Y, 5).coef)
        assert np.array_equal(omp(A, np.repeat(Y, 2, axis=1)[:, ::2], 5).coef, omp(A, Y, 5).coef)
    frozen = Y.copy()
    frozen.flags.writeable = False
    assert np.array_equal(omp(H, frozen, 5).coef, want)
    single = omp(H, Y[:, 2], 5)
    assert np.array_equal(single.coef, want[:, 2])
    assert isinstance(single.residual, float)
    assert isinstance(single.iterations, int)
    low = omp(H, Y.astype(np.float32), 5)
    assert low.coef.dtype == np.float32
    assert np.abs(low.coef - want).max() <= 1e-5
    assert omp(D.astype(np.float32), Y.astype(np.float32), 5).coef.dtype == np.float32
    assert omp(D, np.ones((M, 0)), 5).coef.shape == (N, 0)
    assert omp(H, np.ones((M, 0)), 5).support == []
    assert "non-zeros" in str(single)
    assert single._repr_html_().startswith("<p>")
    assert isinstance(single, Solution)


# ---------------------------------------------------------------- ties, rounding, ends


@pytest.mark.parametrize("k", [511, 512])
def test_htp_is_least_squares_where_conjugate_gradients_are_slow(k: int) -> None:
    H = SubsampledHadamard(512, 4096, seed=1)
    y = np.random.default_rng(0).standard_normal(512)
    found = htp(H, y, k)
    B = H.columns(found.support)
    assert found.residual == pytest.approx(np.linalg.norm(y - B @ np.linalg.lstsq(B, y, rcond=None)[0]), abs=1e-10)


@pytest.mark.parametrize("make", [np.asarray, scipy.sparse.linalg.aslinearoperator])
def test_htp_takes_no_more_than_asked_for_of_equals(make: Any) -> None:
    for y, k, support in (
        ([1, 1, 1, 1], 2, [0, 1]),
        ([1, 1, 1, 1, 2, 0], 3, [0, 1, 4]),
        ([2, 1, -1, 1, -2], 4, [0, 1, 2, 4]),
    ):
        found = htp(make(np.eye(len(y))), np.array(y, float), k)
        assert found.support.tolist() == support
        assert found.reason == "support"


def test_omp_takes_the_first_of_equals_among_many_columns() -> None:
    """Of whole signals all correlations are whole (over sqrt(m)): 2,048 of them in a few values, 256 a chunk in C."""
    H = SubsampledHadamard(M, 2048, seed=26)
    Y = np.random.default_rng(27).integers(-1, 2, (M, 24)).astype(np.float64)
    whole = np.rint(H.toarray().T @ Y * np.sqrt(M))
    assert (np.sum(np.abs(whole) == np.abs(whole).max(axis=0), axis=0) > 1).sum() >= 3
    assert [s[0] for s in omp(H, Y, 1).support] == np.argmax(np.abs(whole), axis=0).tolist()
    assert [s[0] for s in omp(H, Y, 1, nonnegative=True).support] == np.argmax(whole, axis=0).tolist()


def test_omp_finds_nothing_where_all_correlations_are_negative() -> None:
    H = SubsampledHadamard(16, 16, seed=1)  # orthonormal: every correlation is -1
    found = omp(H, -H.toarray().sum(axis=1), 3, nonnegative=True)
    assert found.support.size == 0
    assert (found.reason, found.converged) == ("stalled", False)


def test_a_chosen_column_is_not_looked_at_again() -> None:
    """Its correlation is rounding, which in float32 is larger than the second column's 1e-9 of the whole."""
    rng = np.random.default_rng(5)
    A = np.zeros((64, 2), np.float32)
    A[:63, 0] = rng.standard_normal(63) / 8
    A[63, 1] = 1.0
    y = np.append(A[:63, 0].astype(float) + rng.standard_normal(63), 1e-9)
    rest = y - A[:, 0] * (A[:, 0].astype(float) @ y) / (A[:, 0].astype(float) @ A[:, 0])
    assert abs(rest.astype(np.float32) @ A[:, 0]) > 1e-9
    assert omp(A, y, 2).support.tolist() == [0, 1]


def test_columns_are_made_orthogonal_twice() -> None:
    """Läuchli's matrix, of condition sqrt(k) / e = 2.4e4: once would leave columns orthogonal to 2**-52 / e = 1e-12
    only. Twice is enough (Kahan; Parlett, "The symmetric eigenvalue problem", section 6.9): a few roundings of sums of
    14 numbers, 16 at most."""
    k, e = 6, 1e-4
    A = np.concatenate([np.ones((1, k)), e * np.eye(k), np.zeros((7, k))])
    y = np.random.default_rng(0).standard_normal((1, 14))
    q, triangle, z = np.zeros((1, k, 14)), np.zeros((1, k, k)), np.zeros((1, k))
    residual, square, size = y.copy(), np.sum(y**2, axis=1), np.zeros(1, np.int64)
    for column in A.T:
        _core.extend(np.zeros(1, np.int64), column[None].copy(), q, triangle, z, residual, square, size)
    assert size[0] == k
    assert np.abs(q[0] @ q[0].T - np.eye(k)).max() <= 16 * 2.0**-52
    assert np.abs(triangle[0].T @ q[0] - A.T).max() <= 16 * 2.0**-52
    assert np.abs(z[0] @ q[0] + residual[0] - y[0]).max() <= 16 * 2.0**-52 * np.linalg.norm(y)


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_htp_ends_nonnegative_wherever_it_is_stopped(steps: int) -> None:
    """A step's support has columns whose least squares is negative: they go, and the others are fitted again."""
    import scipy.optimize

    H = SubsampledHadamard(M, N, seed=28)
    D = H.toarray()
    Y = np.random.default_rng(29).standard_normal((M, 12))
    open_end = htp(H, Y, 60, max_iterations=steps)
    found = htp(H, Y, 60, nonnegative=True, max_iterations=steps)
    assert (open_end.coef < 0).any()
    assert (found.coef >= 0).all()
    for b in range(12):
        s = found.support[b]
        assert (found.coef[s, b] > 0).all()
        want, norm = scipy.optimize.nnls(D[:, s], Y[:, b])
        assert np.abs(found.coef[s, b] - want).max() <= 1e-8
        assert abs(found.residual[b] - norm) <= 1e-8
    assert min(len(s) for s in found.support) < 60


def test_reasons() -> None:
    H = SubsampledHadamard(M, N, seed=30)
    y = np.random.default_rng(31).standard_normal(M)
    exact = H.columns([7])[:, 0]
    for A in (H, H.toarray()):
        for call, reason, converged in (
            (lambda A=A: omp(A, y, 3), "count", True),
            (lambda A=A: omp(A, y, 3, tol=1e-3), "count", False),
            (lambda A=A: omp(A, y, tol=10.0), "tolerance", True),
            (lambda A=A: omp(A, exact, 4), "exact", True),
            (lambda A=A: bomp(A, y, 3, block=2), "count", True),
            (lambda A=A: omp(A, y, 3, nonnegative=True), "count", True),
            (lambda A=A: omp(A, y, 40, nonnegative=True, tol=20.0), "tolerance", True),
            (lambda A=A: omp(A, exact, 4, nonnegative=True), "exact", True),
            (lambda A=A: htp(A, exact, 4), "exact", True),
            (lambda A=A: htp(A, exact + 1e-3 * y, 1), "support", True),
            (lambda A=A: htp(A, exact + 1e-3 * y, 1, tol=1e-9), "support", False),
            (lambda A=A: htp(A, exact + 1e-3 * y, 1, tol=1.0), "tolerance", True),
            (lambda A=A: htp(A, y, 30, max_iterations=1), "iterations", False),
        ):
            found = call()
            assert (found.reason, found.converged) == (reason, converged)
    both = omp(H, np.stack([y, exact], axis=1), 3)
    assert both.reason == ["count", "exact"]
    assert both.converged.tolist() == [True, True]
    assert "1 not converged" in str(omp(H, np.stack([y, exact], axis=1), 3, tol=1e-3))
    assert str(omp(H, y, 3, tol=1e-3)).endswith("not converged (count)")


# ---------------------------------------------------------------- bits

PROGRAM = """
import json, hashlib, numpy as np, recsketch
import recsketch._core as _core
from recsketch.sparse._hadamard import SubsampledHadamard
from recsketch.sparse import omp, bomp, htp, cgls
def digest(threads):
    H = SubsampledHadamard(300, 1024, seed=1)
    Y = np.random.default_rng(2).standard_normal((300, 9))
    h = hashlib.sha256()
    for s in (omp(H, Y, 20, threads=threads), omp(H, Y, 20, nonnegative=True, threads=threads),
              bomp(H, Y, 5, block=4, threads=threads), htp(H, Y, 40, threads=threads),
              htp(H, Y, 40, nonnegative=True, threads=threads)):
        for part in (s.coef, s.residual, s.iterations, np.concatenate(s.support)):
            h.update(np.ascontiguousarray(part).tobytes())
    for x in (H.matmat(np.random.default_rng(3).standard_normal((1024, 5)), threads=threads), H.rmatmat(Y,
    threads=threads),
              H.matmat(np.random.default_rng(3).standard_normal((1024, 5)).astype(np.float32), threads=threads)):
        h.update(np.ascontiguousarray(x).tobytes())
    return h.hexdigest()
"""


def test_bits_over_threads_and_instruction_sets(isa_levels: list[str], run_python: Any) -> None:
    code = PROGRAM + "print(json.dumps([recsketch.isa(), *(digest(t) for t in (1, 2, 3))]))"
    seen = set()
    for level in isa_levels:
        done = run_python(code, RECSKETCH_ISA=level)
        assert done.returncode == 0, done.stderr
        name, *digests = json.loads(done.stdout.splitlines()[-1])
        assert name == level
        seen |= set(digests)
    assert len(seen) == 1
