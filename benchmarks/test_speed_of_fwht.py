"""Every row of an array gets the orthonormal Walsh-Hadamard transform, float32, in place; sizes are rows × length.

The peers are fht-cpu, which leaves the scale out, log2(n) passes of additions in NumPy, and the product with
`scipy.linalg.hadamard` by BLAS. The limit is one pass over the same bytes in place, `np.negative(x, out=x)`. The rate
counts every byte as read once and written once. With AVX-512, sixteen floats take 8 instructions for the stages inside
a register, log2(n) - 4 for the others and one for the scale; Intel's processors execute two of them a cycle, so that
4,096 floats take 8.5 cycles a register at least.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import pytest
import scipy.linalg
from cases import OURS, TWO, Contender, limit, one_thread, ours
from figure import Figure, at_least
from machine import interleaved
from peers import numpy_fwht, optional

import recsketch as rs
from recsketch.transforms import fwht

# rows and lengths: 1 MiB, 64 MiB; 256 KiB, in cache; one large row
SHAPES = ((1024, 256), (64, 1024), (64, 4096), (16, 4096), (4096, 4096), (4, 16384), (1, 1 << 20))
LARGE = 4096, 4096
MATRIX = 1024  # the longest transform by a matrix product: SciPy has the matrix, but no transform


def _work(rows: int, n: int) -> dict[str, Contender]:
    x = np.random.default_rng(n).standard_normal((rows, n), np.float32)
    y, z, out = x.copy(), x.copy(), np.empty_like(x)
    work = ours(lambda k: partial(fwht, x, overwrite=True, threads=k))
    fht = optional("fht_cpu")
    if fht:  # without a scale y grows, to infinity in the end, which costs vector units no more
        work["fht-cpu"] = Contender(partial(fht.fht, y, num_threads=1))
        if TWO in work:
            work["fht-cpu, 2 threads"] = Contender(partial(fht.fht, y, num_threads=2), threads=2)
    work["NumPy butterflies"] = Contender(partial(numpy_fwht, z))
    if n <= MATRIX:
        matrix = (scipy.linalg.hadamard(n) / np.sqrt(n)).astype(np.float32)
        work["scipy.linalg.hadamard, product"] = Contender(partial(np.matmul, x, matrix, out=out))
    return {**work, **limit("pass in place", partial(np.negative, x, out=x))}


def transform(effort: int) -> Iterator[Figure]:
    for rows, n in SHAPES:
        work = one_thread(_work(rows, n))
        t = interleaved(work, (1, 3, 15)[effort])
        measured = ", ".join(f"{name} {t[name] / t[OURS]:.3g}" for name in work if name != OURS)
        if "fht-cpu" in t and n >= 1024:
            name = f"FWHT against fht-cpu, n = {n}, {rows * n * 4 / 2**20:g} MiB"
            least = 2.2 if rs.isa() == "avx512" else 1.4
            yield at_least(
                name, least, t["fht-cpu"] / t[OURS], f"{rows} rows, float32, one thread, in place, {rs.isa()}"
            )
        speed = 8 * n * rows / t[OURS].median / 1e9
        how = f"{rows} rows, float32, one thread, in place: {speed:.0f} GB/s load and store"
        yield Figure(f"times over that of fwht, n = {n}, {rows * n * 4 / 2**20:g} MiB", "", measured, how)


def bandwidth(effort: int) -> Iterator[Figure]:
    """Share of what a pass over the same bytes in place reaches."""
    x = np.random.default_rng(0).standard_normal(LARGE, np.float32)
    y = x.copy()
    halves = np.split(y, 2)
    with ThreadPoolExecutor(2) as pool:
        work: dict[str, Callable[[], object]] = {
            "in place": partial(np.negative, y, out=y),
            "in place, two threads": lambda: list(pool.map(np.negative, halves, halves)),
        }
        for k in (1, 2):
            work[str(k)] = partial(fwht, x, overwrite=True, threads=k)
        t = interleaved(work, (1, 5, 15)[effort])
    # A row's stages run in L1 while the next row comes from memory, which does not hide all of them: 0.8 on one thread.
    for k, least in ((1, 0.8), (2, 0.7)):
        share = t["in place"].best / t[str(k)].best / k
        name = f"FWHT, n = 4096, 64 MiB: share of in-place bandwidth, {k} thread{'s' * (k > 1)}"
        how = "against np.negative(x, out=x) on one thread, times the threads; best wall time"
        yield Figure(name, f"≥ {least}", f"{share:.2f}", how, share >= least)
    two = t["in place, two threads"].best
    name = "FWHT, n = 4096, 64 MiB: share of what two threads reach in place, 2 threads"
    how = f"against np.negative on two threads, {two / t['in place'].best:.2f} times as long as on one; best wall time"
    yield Figure(name, "", f"{two / t['2'].best:.2f}", how)


FIGURES = (transform, bandwidth)


CASES = {f"{rows}x{n}": (rows, n) for rows, n in ((1, 64), (33, 512), *SHAPES)}


@pytest.mark.parametrize("case", CASES)
def test_fwht(contest: Any, case: str) -> None:
    rows, n = CASES[case]
    contest(_work(rows, n), 8 * rows * n, "bytes")
