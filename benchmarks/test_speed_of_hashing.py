"""CountSketch and SJLT beside the product with SciPy's CSR matrix of the same numbers, and a pass over the same
bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest
from figure import Figure, at_least, note
from machine import interleaved

from recsketch.transforms import CountSketch, SparseProjection

SHAPES = ((1, 1000, 64), (33, 999, 100), (1024, 1024, 256), (256, 16384, 1024), (256, 16384, 4096))  # rows, features, m


def _work(rows: int, n: int, m: int, s: int, threads: int = 1) -> dict[str, Callable[[], object]]:
    import scipy.sparse

    x = np.random.default_rng(n).standard_normal((rows, n), np.float32)
    ours: Any = CountSketch(m, threads=threads) if s == 1 else SparseProjection(m, n_nonzeros=s, threads=threads)
    ours.fit(x)
    p = scipy.sparse.csr_matrix(ours.adjoint(np.eye(m, dtype=np.float32)))
    columns = np.ascontiguousarray(x.T)
    transposed = p.T.tocsr()
    return {
        "ours": partial(ours.transform, x),
        "SciPy": lambda: (p @ x.T).T,
        "SciPy, x @ Pᵀ": lambda: x @ transposed,
        "SciPy, columns given": lambda: (
            p @ columns
        ),  # the best case: rows already lie side by side, and so does the answer
        "sum": x.sum,
    }


def hashing(effort: int) -> Iterator[Figure]:
    for s, limit in ((1, 10.0), (8, 5.0)):
        for rows, n, m in SHAPES:
            work = _work(rows, n, m, s)
            t = interleaved(work, (1, 5, 15)[effort])
            name = "CountSketch" if s == 1 else f"SJLT, s = {s}"
            best = min(t["SciPy"] / t["ours"], t["SciPy, x @ Pᵀ"] / t["ours"])
            how = f"{rows} rows, float32, one thread, {t['ours'].median * 1e6:.0f} µs; the faster of P Xᵀ and X Pᵀ; "
            how += f"with X and the answer transposed already {t['SciPy, columns given'] / t['ours']:.1f}×; "
            how += f"X.sum() takes {t['sum'] / t['ours']:.2g}"
            yield at_least(f"{name} against SciPy's CSR product, {n} to {m}", limit, best, how)


def threads(effort: int) -> Iterator[Figure]:
    for s in (1, 8):
        w = {str(k): _work(1024, 16384, 1024, s, k)["ours"] for k in (1, 2)}
        t = interleaved(w, (1, 3, 15)[effort])
        how = "1024 rows, 16384 to 1024, best wall time"
        yield Figure(f"SJLT, s = {s}, two threads against one", "", f"{t['1'].best / t['2'].best:.2f}×", how)


FIGURES = (hashing, threads)


@pytest.mark.parametrize("name", ["ours", "SciPy", "SciPy, x @ Pᵀ", "SciPy, columns given", "sum"])
@pytest.mark.parametrize("s", [1, 8])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_hashing(benchmark: Any, shape: tuple[int, int, int], s: int, name: str) -> None:
    benchmark(_work(*shape, s)[name])


def test_ratios(benchmark: Any) -> None:
    note(benchmark, hashing)
    benchmark(_work(*SHAPES[2], 1)["ours"])
