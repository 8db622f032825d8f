"""Sparse solutions are found by orthogonal matching pursuit, with sampled Hadamard rows and with dense matrices, and by
hard thresholding pursuit; sizes are rows × columns of the matrix, and K non-zeros a signal.

The peers get the matrix dense and in the memory order they prefer. They are scikit-learn's `orthogonal_mp`, in float32
and without a Gram matrix, which is faster here; `sparse_encode`, which `SparseCoder` calls, with the Gram matrix given,
up to 1,024 columns; and SPAMS in float64, because it fails in float32. The limit for Hadamard rows is the time of the
transforms alone, one for each non-zero found, and two a signal for HTP. The limit for dense matrices is as many
products with all columns by BLAS: every non-zero found needs one with the residuals, which takes most of the time. A
`StructuredProjection` needs three transforms of all columns for it, and three more for the columns found.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache, partial
from typing import Any

import machine
import numpy as np
import pytest
from cases import Contender, limit, ours
from figure import Figure, at_least, at_most
from machine import interleaved
from peers import optional
from sklearn.decomposition import sparse_encode
from sklearn.linear_model import orthogonal_mp

from recsketch.sparse import htp, omp
from recsketch.sparse._hadamard import SubsampledHadamard
from recsketch.transforms import StructuredProjection, fwht

N, M, K, SIGNALS = 4096, 512, 16, 64
MANY = ((4096, 1024, 64, 8), (4096, 1024, 128, 8), (8192, 2048, 256, 4))  # columns, rows, non-zeros, signals


@lru_cache
def problem(n: int, m: int, k: int, signals: int) -> tuple[SubsampledHadamard, Any, Any]:
    """Gaussian coefficients on random columns, and their signals."""
    rng = np.random.default_rng(n + k)
    A, X = SubsampledHadamard(m, n, seed=1), np.zeros((n, signals))
    for i in range(signals):
        X[rng.choice(n, k, replace=False), i] = rng.standard_normal(k)
    return A, X, A.matmat(X)


def _peers(a: Any, Y: Any, k: int) -> dict[str, Contender]:
    """The matrix dense, and as each of them likes it best; what is missing is left out."""
    dictionary, signals = (np.ascontiguousarray(b.T, np.float32) for b in (a, Y))
    x, y = dictionary.T, signals.T
    solve = partial(orthogonal_mp, x, y, n_nonzero_coefs=k, precompute=False)  # a Gram matrix takes longer: 3x
    found = {"orthogonal_mp": Contender(solve)}
    if a.shape[1] <= 1024:  # it copies the Gram matrix for every signal
        options = {"gram": dictionary @ x, "algorithm": "omp", "n_nonzero_coefs": k, "check_input": False}
        found["sparse_encode, Gram matrix given"] = Contender(partial(sparse_encode, signals, dictionary, **options))
    spams = optional("spams")
    if spams and a.shape[1] <= 4096:  # float64: of float32 signals it finds wrong columns
        x, y = np.asfortranarray(a, np.float64), np.asfortranarray(Y, np.float64)
        for threads, name in ((1, "SPAMS"), (2, "SPAMS, 2 threads")):
            solve = partial(spams.omp, y, x, L=k, return_reg_path=False, numThreads=threads)
            found[name] = Contender(solve, threads=threads)
    return found


def _transforms(n: int, count: int) -> dict[str, Contender]:
    spectrum = np.random.default_rng(0).standard_normal((count, n), np.float32)
    return limit("transforms", partial(fwht, spectrum, overwrite=True, threads=1))


def greedy(effort: int) -> Iterator[Figure]:
    A, X, Y = problem(N, M, K, SIGNALS)
    dense = A.toarray()
    found = _peers(dense, Y, K)
    exact = Contender(partial(orthogonal_mp, np.asfortranarray(dense), Y, n_nonzero_coefs=K, precompute=False))
    peers = {"scikit-learn, float32": found["orthogonal_mp"], "scikit-learn, float64": exact}
    if "SPAMS" in found:
        peers["SPAMS"] = found["SPAMS"]
    work = {
        "omp": partial(omp, A, Y, K, threads=1),
        **_transforms(N, K * SIGNALS),
        "omp, float32": partial(omp, dense.astype(np.float32), Y.astype(np.float32), K),
        "omp, float64": partial(omp, dense, Y, K),
        **peers,
    }
    t = interleaved(work, (1, 3, 7)[effort])
    what = f"N = {N}, m = {M}, K = {K}, {SIGNALS} signals, one thread"
    how = f"{what}; {1e3 * t['omp'].median:.2f} ms; a matrix of sampled Hadamard rows; {machine.blas()}"
    # 66 was reached with AVX2 on an AMD EPYC: a non-zero found takes one transform, and scikit-learn a product by A.
    for name in peers:
        yield at_least(f"OMP over {name}", 66 if name == "scikit-learn, float32" else 35, t[name] / t["omp"], how)
    pairs = [(name, "omp, float32" if name.endswith("float32") else "omp, float64") for name in peers]
    measured = ", ".join(f"{name} over {mine}: {t[name] / t[mine]:.1f}" for name, mine in pairs)
    yield Figure("OMP of a dense matrix, times as fast", "", measured, what)
    how = f"{what}; transforms of as many vectors, in place, take 1"
    yield Figure("OMP in its transforms", "", f"{t['omp'] / t['transforms']:.2f}", how)
    error = float(np.abs(omp(A, Y.astype(np.float32), K).coef - X).max())
    yield at_most("OMP, worst element of float32 signals", 1e-5, error, what)


def many(effort: int) -> Iterator[Figure]:
    for n, m, k, signals in MANY:
        A, X, Y = problem(n, m, k, signals)
        t = interleaved({f.__name__: partial(f, A, Y, k, threads=1) for f in (omp, htp)}, (1, 3, 9)[effort])
        error = max(float(np.abs(f(A, Y, k).coef - X).max()) for f in (omp, htp))
        how = f"N = {n}, m = {m}, {signals} signals, one thread, both exact to {error:.0e}"
        yield at_least(f"HTP over OMP, K = {k}", 1, t["omp"] / t["htp"], how)


def through_operators(effort: int) -> Iterator[Figure]:
    """Products in float32 by a linear operator, and by BLAS."""
    _, X, _ = problem(N, M, K, SIGNALS)
    P = StructuredProjection(M, threads=1).fit(np.zeros((1, N), np.float32)).aslinearoperator(np.float32)
    Y = P.matmat(X.astype(np.float32))
    dense = np.ascontiguousarray(P.matmat(np.eye(N, dtype=np.float32)))
    residuals, scores = np.ascontiguousarray(Y.T), np.empty((SIGNALS, N), np.float32)
    work = {
        "operator": partial(omp, P, Y, K, threads=1),
        "matrix": partial(omp, dense, Y, K, threads=1),
        "products": lambda: [np.matmul(residuals, dense, out=scores) for _ in range(K)],
        "scikit-learn": partial(orthogonal_mp, np.asfortranarray(dense), Y, n_nonzero_coefs=K, precompute=False),
    }
    t = interleaved(work, (1, 3, 7)[effort])
    how = f"N = {N}, m = {M}, K = {K}, {SIGNALS} signals, float32, one thread; {machine.blas()}"
    name = "OMP through StructuredProjection over scikit-learn with the matrix"
    yield at_least(name, 15, t["scikit-learn"] / t["operator"], how)
    yield at_most("OMP of a dense matrix over its products by BLAS", 1.6, t["matrix"] / t["products"], how, ".3g")


FIGURES = (greedy, through_operators, many)


SAMPLED = {  # columns, rows, non-zeros, signals
    f"Hadamard {m}x{n}, K = {k}, {count} signals": (n, m, k, count)
    for n, m, k, count in ((256, 64, 4, 3), (N, M, K, SIGNALS), MANY[0])
}
DENSE = {
    f"dense {np.dtype(dtype)} {m}x{n}, K = {k}, {count} signals": (n, m, k, count, dtype)
    for n, m, k, count, dtype in (
        (777, 100, 7, 5, np.float64),
        (N, M, K, SIGNALS, np.float32),
        (N, M, K, SIGNALS, np.float64),
    )
}
PURSUITS = {f"HTP, Hadamard {m}x{n}, K = {k}, {count} signals": (n, m, k, count) for n, m, k, count in MANY}


@pytest.mark.parametrize("case", SAMPLED)
def test_omp(contest: Any, case: str) -> None:
    n, m, k, signals = SAMPLED[case]
    A, _, Y = problem(n, m, k, signals)
    work = ours(lambda threads: partial(omp, A, Y, k, threads=threads))
    contest({**work, **_peers(A.toarray(), Y, k), **_transforms(n, k * signals)}, signals, "signals")


@pytest.mark.parametrize("case", DENSE)
def test_dense(contest: Any, case: str) -> None:
    n, m, k, signals, dtype = DENSE[case]
    rng = np.random.default_rng(n)
    a = (rng.standard_normal((m, n)) / np.sqrt(m)).astype(dtype)
    coef = np.zeros((n, signals), dtype)
    for i in range(signals):
        coef[rng.choice(n, k, replace=False), i] = rng.standard_normal(k)
    y = a @ coef
    work = ours(lambda threads: partial(omp, a, y, k, threads=threads))
    products = limit("products", partial(np.matmul, a.T, y, out=np.empty((n, signals), dtype)), k)
    contest({**work, **_peers(a, y, k), **products}, signals, "signals")


@pytest.mark.parametrize("case", PURSUITS)
def test_htp(contest: Any, case: str) -> None:
    n, m, k, signals = PURSUITS[case]
    A, _, Y = problem(n, m, k, signals)
    work = ours(lambda threads: partial(htp, A, Y, k, threads=threads))
    work["recsketch, OMP"] = Contender(partial(omp, A, Y, k, threads=1), "variant")
    contest({**work, **_transforms(n, 2 * signals)}, signals, "signals")
