"""The ten rows of largest inner product with each query are found among rows of float32, float16 or int8; sizes are
rows × length.

The peers are FAISS with exact indexes of the same type and, for float32, NumPy's product with `argpartition`. For many
queries the limit is the product in float32 by BLAS, which leaves the selection out. For one query the limit is to read
the rows once, added up as integers.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache, partial
from typing import Any

import machine
import numpy as np
import pytest
from cases import Contender, Run, limit, ours
from figure import Figure, at_least, at_most
from machine import interleaved, read
from peers import faiss_search

import recsketch as rs

K, QUERIES = 10, 96
BATCHED = ((10_000, 512), (10_000, 1024))
ALONE = (100_000, 1024)


@lru_cache(maxsize=2)
def rows(n: int, d: int) -> dict[str, Any]:
    x = np.random.default_rng(d).standard_normal((n, d), np.float32)
    return {"float32": x, "float16": x.astype(np.float16), "int8": np.rint(30 * x).clip(-127, 127).astype(np.int8)}


def _faiss(x: Any, q: Any) -> dict[str, Contender]:
    search = faiss_search(x, q, K)
    return {} if search is None else {"faiss": Contender(search)}


def _queries(count: int, d: int) -> Any:
    return np.random.default_rng(0).standard_normal((count, d), np.float32)


def _product(x: Any, q: Any) -> Run:
    return (
        partial(np.matmul, x, q[0])
        if len(q) == 1
        else partial(np.matmul, q, x.T, out=np.empty((len(q), len(x)), q.dtype))
    )


def _work(n: int, d: int, queries: int) -> dict[str, Run]:
    """All types, for the figures."""
    q, x = _queries(queries, d), rows(n, d)["float32"]
    work: dict[str, Run] = {name: partial(rs.scan, y, q, K, threads=1) for name, y in rows(n, d).items()}
    return {**work, "product": _product(x, q), **({} if queries > 1 else {"sum": read(x)}), **_faiss(x, q)}


def batched(effort: int) -> Iterator[Figure]:
    for n, d in BATCHED:
        t = interleaved(_work(n, d, QUERIES), (1, 3, 9)[effort])
        speed = 2 * n * d * QUERIES / t["float32"].median / 1e9
        how = f"{n} rows, {QUERIES} queries, one thread: {speed:.0f} GFlop/s; {machine.blas()}"
        most = 1.15 if rs.isa() == "avx512" else 1.3  # docs/implementation.md, "Scans", has what AVX2 loads
        yield at_most(f"top-{K} over the product alone, d = {d}", most, t["float32"] / t["product"], how, ".3g")
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


TYPES = ("float32", "float16", "int8")
CASES = {  # rows, length, queries, type
    f"{dtype}, {n}x{d}, {queries} {'query' if queries == 1 else 'queries'}": (n, d, queries, dtype)
    for n, d, queries, types in (
        (100, 64, 1, TYPES[:1]),
        (999, 100, 7, TYPES[:1]),
        (*BATCHED[0], QUERIES, TYPES),
        (*BATCHED[1], QUERIES, TYPES[:1]),
        (*ALONE, 1, TYPES),
    )
    for dtype in types
}


def _top(x: Any, q: Any) -> None:
    scores = q @ x.T
    best = np.argpartition(scores, -K)[:, -K:]
    values = np.take_along_axis(scores, best, axis=1)
    order = np.argsort(-values, axis=1)
    np.take_along_axis(best, order, axis=1), np.take_along_axis(values, order, axis=1)


@pytest.mark.parametrize("case", CASES)
def test_scan(contest: Any, case: str) -> None:
    n, d, queries, dtype = CASES[case]
    x, q, wide = rows(n, d)[dtype], _queries(queries, d), rows(n, d)["float32"]
    work = ours(lambda k: partial(rs.scan, x, q, K, threads=k))
    work.update(_faiss(x, q))
    if dtype == "float32":
        work["NumPy, argpartition"] = Contender(partial(_top, x, q))
    if queries == 1:
        contest({**work, **limit("read", read(x))}, x.nbytes, "bytes")
    else:
        contest({**work, **limit("product of float32", _product(wide, q))}, 2 * n * d * queries, "flop")
