"""Structured random projections, HD3HD2HD1, map rows to the next power of two; sizes are rows × features, float32.

The peers are fht-cpu with three sign vectors in NumPy, in place in one buffer, and scikit-learn's sparse and Gaussian
projections; the Gaussian one is a matrix product by BLAS. Both of scikit-learn's are measured up to 4,096 features,
because their matrices grow with the square. The limit is a copy of as many floats as come out.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from cases import OURS, Contender, Run, limit, one_thread, ours
from figure import Figure, at_least, at_most
from machine import interleaved
from peers import optional
from sklearn.random_projection import GaussianRandomProjection, SparseRandomProjection

import recsketch as rs
from recsketch.transforms import StructuredProjection

SHAPES = ((4096, 64), (256, 1024), (64, 4096), (16, 16384), (64, 3000))  # rows and features
LARGE = 4096, 4096
_sparse = partial(SparseRandomProjection, dense_output=True)


def _signed(fht: Any, x: Any, d: int, threads: int = 1) -> Run:
    """Three times signs and fht-cpu, in place in one buffer, the scale in the last signs."""
    rng = np.random.default_rng(1)
    signs = [rng.choice([-1, 1], d).astype(np.float32) for _ in range(3)]
    signs[2] *= np.float32(d**-1.5)
    wide = np.zeros((len(x), d), np.float32)
    wide[:, : x.shape[1]] = x
    y = np.empty_like(wide)

    def run() -> None:
        np.multiply(wide, signs[0], out=y)
        for factor in (signs[1], signs[2]):
            fht(y, num_threads=threads)
            np.multiply(y, factor, out=y)
        fht(y, num_threads=threads)

    return run


def _work(rows: int, n: int) -> dict[str, Contender]:
    x = np.random.default_rng(n).standard_normal((rows, n), np.float32)
    d = max(16, 1 << (n - 1).bit_length())
    work = ours(lambda k: partial(StructuredProjection(d, threads=k).fit(x).transform, x))
    fht = optional("fht_cpu")
    if fht:
        work["fht-cpu and signs"] = Contender(_signed(fht.fht, x, d))
    for name, kind in (("SparseRandomProjection", _sparse), ("GaussianRandomProjection", GaussianRandomProjection)):
        if n <= 4096:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # it says that d > n reduces nothing
                work[name] = Contender(partial(kind(d, random_state=0).fit(x).transform, x))
    wide = np.zeros((2, rows, d), np.float32)
    return {**work, **limit("copy", partial(np.copyto, wide[0], wide[1]))}


def projections(effort: int) -> Iterator[Figure]:
    for rows, n in SHAPES:
        work = one_thread(_work(rows, n))
        t = interleaved(work, (1, 5, 15)[effort])
        how = f"{rows} rows of {n} features to the next power of two, float32, one thread, "
        how += f"{t[OURS].median * 1e6:.0f} µs"
        if "fht-cpu and signs" in t:
            # fht-cpu has AVX2 at most: with AVX-512 a register of ours holds twice as many floats as one of its.
            least = 2.5 if rs.isa() == "avx512" else 1.8
            name = f"HD3HD2HD1 against fht-cpu with signs, {n} features"
            yield at_least(name, least, t["fht-cpu and signs"] / t[OURS], how)
        if "SparseRandomProjection" in t:
            name = f"HD3HD2HD1 against scikit-learn SparseRandomProjection, {n} features"
            yield at_least(name, 9.0, t["SparseRandomProjection"] / t[OURS], how)


def alone(effort: int) -> Iterator[Figure]:
    """One row, of which the call takes most of the time."""
    x = np.random.default_rng(0).standard_normal((1, 64), np.float32)
    p = scipy.sparse.csr_matrix(SparseRandomProjection(64, random_state=0).fit(x).components_.astype(np.float32))
    e = StructuredProjection(64, threads=1).fit(x)
    t = interleaved({OURS: partial(e.transform, x), "SciPy": lambda: (p @ x.T).T}, (1, 11, 21)[effort])
    how = f"one row, float32, one thread, {t[OURS].median * 1e6:.1f} µs; P Xᵀ of as many non-zeros as scikit-learn's"
    yield at_most("HD3HD2HD1 of one row over SciPy's CSR product, 64 to 64", 1.2, t[OURS] / t["SciPy"], how, ".3g")


def threads(effort: int) -> Iterator[Figure]:
    x = np.random.default_rng(0).standard_normal(LARGE, np.float32)
    e = [StructuredProjection(4096, threads=k).fit(x) for k in (1, 2)]
    t = interleaved({str(k + 1): partial(e[k].transform, x) for k in (0, 1)}, (1, 3, 15)[effort])
    how = "4096 rows of 4096 features, best wall time"
    yield Figure("HD3HD2HD1, two threads against one", "", f"{t['1'].best / t['2'].best:.2f}×", how)


FIGURES = (projections, alone, threads)


CASES = {f"{rows}x{n}": (rows, n) for rows, n in ((1, 64), (33, 1000), *SHAPES)}


@pytest.mark.parametrize("case", CASES)
def test_projection(contest: Any, case: str) -> None:
    rows, n = CASES[case]
    contest(_work(rows, n), 4 * rows * (n + max(16, 1 << (n - 1).bit_length())), "bytes")
