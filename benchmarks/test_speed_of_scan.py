"""Top-10 inner products beside NumPy's product alone, FAISS, and reading the rows."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from typing import Any

import machine
import numpy as np
import pytest
from figure import Figure, at_least, at_most, note
from machine import interleaved

import recsketch as rs

K, QUERIES = 10, 96
BATCHED = ((10_000, 512), (10_000, 1024))
ALONE = (100_000, 1024)


@lru_cache(maxsize=2)
def rows(n: int, d: int) -> dict[str, Any]:
    x = np.random.default_rng(d).standard_normal((n, d), np.float32)
    return {"float32": x, "float16": x.astype(np.float16), "int8": np.rint(30 * x).clip(-127, 127).astype(np.int8)}


def _faiss(x: Any, q: Any) -> dict[str, Callable[[], object]]:
    """An exact index, with the kernels of its own BLAS that suit the machine, and for as many queries as pay."""
    suits = {"OPENBLAS_CORETYPE": "SkylakeX"} if rs.isa() == "avx512" else {}
    os.environ.update(suits)
    try:
        import faiss
    except ImportError:
        return {}
    finally:
        for name in suits:
            os.environ.pop(name, None)
    faiss.omp_set_num_threads(1)
    faiss.cvar.distance_compute_blas_threshold = 20
    index = faiss.IndexFlatIP(x.shape[1])
    index.add(x)
    return {"faiss": partial(index.search, q, K)}


def _work(n: int, d: int, queries: int) -> dict[str, Callable[[], object]]:
    q = np.random.default_rng(0).standard_normal((queries, d), np.float32)
    work: dict[str, Callable[[], object]] = {
        name: partial(rs.scan, x, q, K, threads=1) for name, x in rows(n, d).items()
    }
    x = rows(n, d)["float32"]
    if queries > 1:
        out = np.empty((queries, n), np.float32)
        work["product"] = partial(np.matmul, q, x.T, out=out)
    else:
        work["product"] = partial(np.matmul, x, q[0])
        work["sum"] = partial(np.add.reduce, x.view(np.int64), axis=None)  # reads every byte once
    return {**work, **_faiss(x, q)}


def batched(effort: int) -> Iterator[Figure]:
    for n, d in BATCHED:
        t = interleaved(_work(n, d, QUERIES), (1, 3, 9)[effort])
        speed = 2 * n * d * QUERIES / t["float32"].median / 1e9
        how = f"{n} rows, {QUERIES} queries, one thread: {speed:.0f} GFlop/s without fused products; {machine.blas()}"
        yield at_most(f"top-{K} over the product alone, d = {d}", 1.3, t["float32"] / t["product"], how, ".3g")
        more = ", ".join(f"{name} {t[name] / t['float32']:.2f}" for name in t if name != "float32")
        yield Figure(f"times over that of a float32 scan, d = {d}", "", more, how)


def alone(effort: int) -> Iterator[Figure]:
    n, d = ALONE
    t = interleaved(_work(n, d, 1), (1, 3, 9)[effort])
    speed = 4 * n * d / t["float32"].median / 1e9
    how = f"one query, {n} rows of {d}, from memory, one thread; float32 at {speed:.0f} GB/s"
    yield at_least("float32 over float16 scan", 1.4, t["float32"] / t["float16"], how)
    yield at_least("float32 over int8 scan", 2.8, t["float32"] / t["int8"], how)
    more = ", ".join(f"{name} {t[name] / t['float32']:.2f}" for name in t if name not in rows(n, d))
    yield Figure("times over that of a float32 scan, one query", "", more, how)


FIGURES = (batched, alone)


@pytest.mark.parametrize("name", ["float32", "float16", "int8", "product"])
@pytest.mark.parametrize("shape", BATCHED, ids=str)
def test_scan(benchmark: Any, shape: tuple[int, int], name: str) -> None:
    benchmark(_work(*shape, QUERIES)[name])


def test_ratios(benchmark: Any) -> None:
    note(benchmark, batched)
    note(benchmark, alone)
    benchmark(_work(*BATCHED[0], QUERIES)["float32"])
