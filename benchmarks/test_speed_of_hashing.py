"""CountSketch, and the SJLT with eight non-zeros a feature, shorten rows of float32; sizes are rows × features, and the
length of a row's sketch.

The peers are products with SciPy's CSR matrix of the same numbers. They are measured from rows to rows, written in both
ways that SciPy allows, and with rows and answer transposed, which suits CSR best. SciPy's
`clarkson_woodruff_transform`, which draws its matrix at every call, is measured transposed, too. The limit is to read
the rows once, added up as integers. Of one row, each of the s numbers a feature is a load, an addition and a store to a
place of its own: with eight a feature, 1,000 features take 2 µs of stores alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest
import scipy.linalg
import scipy.sparse
from cases import OURS, Contender, Run, limit, one_thread, ours, peers
from figure import Figure, at_least, at_most
from machine import interleaved, read

from recsketch.transforms import CountSketch, SparseProjection

SHAPES = ((1, 1000, 64), (33, 999, 100), (1024, 1024, 256), (256, 16384, 1024), (256, 16384, 4096))  # rows, features, m
IN_CACHE = 1 << 21  # numbers; of more the time is that of reading them


def _work(rows: int, n: int, m: int, s: int) -> dict[str, Contender]:
    x = np.random.default_rng(n).standard_normal((rows, n), np.float32)
    work = ours(lambda k: partial(_fitted(x, m, s, k).transform, x))
    p = scipy.sparse.csr_matrix(_fitted(x, m, s).adjoint(np.eye(m, dtype=np.float32)))
    transposed, columns = p.T.tocsr(), np.ascontiguousarray(x.T)
    found: dict[str, Run] = {
        "SciPy, P @ X.T": lambda: (p @ x.T).T,
        "SciPy, X @ P.T": lambda: x @ transposed,
        # the best case: rows already lie side by side, and so does the answer
        "SciPy, columns given": lambda: p @ columns,
    }
    if s == 1:
        sketch = scipy.linalg.clarkson_woodruff_transform
        found["clarkson_woodruff_transform, columns given"] = partial(sketch, columns, m, np.random.default_rng(0))
    return {**work, **peers(found), **limit("read", read(x))}


def _fitted(x: Any, m: int, s: int, threads: int = 1) -> Any:
    kind: Any = CountSketch(m, threads=threads) if s == 1 else SparseProjection(m, n_nonzeros=s, threads=threads)
    return kind.fit(x)


def hashing(effort: int) -> Iterator[Figure]:
    for s, least in ((1, 10.0), (8, 5.0)):
        for rows, n, m in SHAPES:
            work = one_thread(_work(rows, n, m, s))
            t = interleaved(work, (1, 5, 15)[effort])
            name = "CountSketch" if s == 1 else f"SJLT, s = {s}"
            share = t["read"] / t[OURS]
            best = min(t["SciPy, P @ X.T"] / t[OURS], t["SciPy, X @ P.T"] / t[OURS])
            how = f"{rows} rows, float32, one thread, {t[OURS].median * 1e6:.0f} µs; the faster of P Xᵀ and X Pᵀ; "
            how += f"with X and the answer transposed already {t['SciPy, columns given'] / t[OURS]:.1f}×; "
            how += f"reading X takes {share:.2g}"
            if s == 1 and rows * n > IN_CACHE:
                yield Figure(
                    f"{name}, {n} to {m}: share of the time of reading X", "≥ 0.6", f"{share:.2f}", how, share >= 0.6
                )
            elif rows == 1:
                yield at_most(f"{name} of one row over SciPy's CSR product, {n} to {m}", 1.2, 1 / best, how, ".3g")
            else:
                yield at_least(f"{name} against SciPy's CSR product, {n} to {m}", least, best, how)


def threads(effort: int) -> Iterator[Figure]:
    for s in (1, 8):
        x = np.random.default_rng(0).standard_normal((1024, 16384), np.float32)
        t = interleaved({str(k): partial(_fitted(x, 1024, s, k).transform, x) for k in (1, 2)}, (1, 3, 15)[effort])
        how = "1024 rows, 16384 to 1024, best wall time"
        yield Figure(f"SJLT, s = {s}, two threads against one", "", f"{t['1'].best / t['2'].best:.2f}×", how)


FIGURES = (hashing, threads)


CASES = {
    f"{name}, {rows}x{n} to {m}": (rows, n, m, s)
    for name, s in (("CountSketch", 1), ("SJLT", 8))
    for rows, n, m in SHAPES
}


@pytest.mark.parametrize("case", CASES)
def test_hashing(contest: Any, case: str) -> None:
    rows, n, m, s = CASES[case]
    contest(_work(rows, n, m, s), 4 * rows * (n + m), "bytes")
