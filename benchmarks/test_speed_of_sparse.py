"""Orthogonal matching and hard-thresholding pursuit beside scikit-learn and SPAMS, and beside their transforms."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from typing import Any

import machine
import numpy as np
import pytest
from figure import Figure, at_least, at_most, note
from machine import interleaved

from recsketch.hadamard import SubsampledHadamard
from recsketch.sparse import htp, omp
from recsketch.transforms import fwht

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


def _peers(A: Any, Y: Any) -> dict[str, Callable[[], object]]:
    """The same matrix, dense, as each of them likes it best; what is missing is left out."""
    found: dict[str, Callable[[], object]] = {}
    try:
        from sklearn.linear_model import orthogonal_mp
    except ImportError:
        pass
    else:
        for dtype in (np.float32, np.float64):
            a, y = np.asfortranarray(A.toarray(), dtype), Y.astype(dtype)
            solve = partial(orthogonal_mp, a, y, n_nonzero_coefs=K, precompute=False)  # a Gram matrix takes longer: 3x
            found[f"scikit-learn, {np.dtype(dtype)}"] = solve
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import spams
    except ImportError:
        pass
    else:  # float64: of float32 signals it finds wrong columns
        a, y = np.asfortranarray(A.toarray()), np.asfortranarray(Y)
        found["SPAMS"] = partial(spams.omp, y, a, L=K, return_reg_path=False, numThreads=1)
    return found


def _work(peers: bool = True) -> dict[str, Callable[[], object]]:
    A, _, Y = problem(N, M, K, SIGNALS)
    spectrum = np.random.default_rng(0).standard_normal((K * SIGNALS, N), np.float32)
    work: dict[str, Callable[[], object]] = {
        "omp": partial(omp, A, Y, K, threads=1),
        "transforms": partial(fwht, spectrum, overwrite=True, threads=1),
        "omp, dense float32": partial(omp, A.toarray().astype(np.float32), Y.astype(np.float32), K),
        "omp, dense float64": partial(omp, A.toarray(), Y, K),
    }
    return {**work, **(_peers(A, Y) if peers else {})}


def greedy(effort: int) -> Iterator[Figure]:
    A, X, Y = problem(N, M, K, SIGNALS)
    work = _work()
    t = interleaved(work, (1, 3, 7)[effort])
    what = f"N = {N}, m = {M}, K = {K}, {SIGNALS} signals, one thread"
    how = f"{what}; {1e3 * t['omp'].median:.2f} ms; a matrix of sampled Hadamard rows; {machine.blas()}"
    for name in _peers(A, Y):
        yield at_least(f"OMP over {name}", 35, t[name] / t["omp"], how)
    dense = ", ".join(
        f"{name} over {mine}: {t[name] / t[mine]:.1f}"
        for name in work
        for mine in ("omp, dense float32", "omp, dense float64")
        if name.startswith(("scikit", "SPAMS")) and ("float32" in mine) == ("float32" in name)
    )
    if dense:
        yield Figure("OMP of a dense matrix, times as fast", "", dense, what)
    limit = f"{what}; transforms of as many vectors, in place, take 1"
    yield Figure("OMP in its transforms", "", f"{t['omp'] / t['transforms']:.2f}", limit)
    error = float(np.abs(omp(A, Y.astype(np.float32), K).coef - X).max())
    yield at_most("OMP, worst element of float32 signals", 1e-5, error, what)


def many(effort: int) -> Iterator[Figure]:
    for n, m, k, signals in MANY:
        A, X, Y = problem(n, m, k, signals)
        t = interleaved({f.__name__: partial(f, A, Y, k, threads=1) for f in (omp, htp)}, (1, 3, 9)[effort])
        error = max(float(np.abs(f(A, Y, k).coef - X).max()) for f in (omp, htp))
        how = f"N = {n}, m = {m}, {signals} signals, one thread, both exact to {error:.0e}"
        yield at_least(f"HTP over OMP, K = {k}", 1, t["omp"] / t["htp"], how)


FIGURES = (greedy, many)


@pytest.mark.parametrize("name", list(_work(peers=False)))
def test_omp(benchmark: Any, name: str) -> None:
    benchmark(_work(peers=False)[name])


@pytest.mark.parametrize("size", MANY, ids=str)
@pytest.mark.parametrize("solver", [omp, htp])
def test_many(benchmark: Any, size: tuple[int, int, int, int], solver: Any) -> None:
    A, _, Y = problem(*size)
    benchmark(solver, A, Y, size[2], threads=1)


def test_ratios(benchmark: Any) -> None:
    note(benchmark, greedy)
    note(benchmark, many)
    benchmark(_work(peers=False)["omp"])
