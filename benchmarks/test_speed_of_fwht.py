"""The Walsh-Hadamard transform beside fht-cpu, butterflies in NumPy, a matrix product, and passes over the same
bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import pytest
from figure import Figure, at_least, note
from machine import interleaved
from peers import numpy_fwht, sylvester

import recsketch as rs
from recsketch.transforms import fwht

# rows and lengths: 1 MiB, 64 MiB; 256 KiB, in cache; one large row
SHAPES = ((1024, 256), (64, 1024), (64, 4096), (16, 4096), (4096, 4096), (4, 16384), (1, 1 << 20))
LARGE = 4096, 4096


def _fht(x: Any, threads: int = 1) -> Callable[[], object] | None:
    try:
        from fht_cpu import fht
    except ImportError:
        return None
    return partial(fht, x, num_threads=threads)


def _work(rows: int, n: int) -> dict[str, Callable[[], object]]:
    x = np.random.default_rng(n).standard_normal((rows, n), np.float32)
    out = np.empty_like(x)
    work: dict[str, Callable[[], object]] = {
        "fwht": partial(fwht, x, overwrite=True, threads=1),
        "NumPy butterflies": partial(numpy_fwht, x.copy()),
        "copy": partial(np.copyto, out, x),
        "in place": partial(np.negative, x, out=x),
    }
    peer = _fht(x.copy())
    if peer is not None:
        work["fht-cpu"] = peer
    if n <= 256:  # SciPy has no transform but this matrix (scipy.linalg.hadamard)
        matrix = (sylvester(n) / np.sqrt(n)).astype(np.float32)
        work["matrix product"] = partial(np.matmul, x, matrix, out=out)
    return work


def transform(effort: int) -> Iterator[Figure]:
    for rows, n in SHAPES:
        work = _work(rows, n)
        t = interleaved(work, (1, 3, 15)[effort])
        measured = ", ".join(f"{name} {t[name] / t['fwht']:.3g}" for name in work if name != "fwht")
        if "fht-cpu" in t and n >= 1024:
            name = f"FWHT against fht-cpu, n = {n}, {rows * n * 4 / 2**20:g} MiB"
            limit = 2.2 if rs.isa() == "avx512" else 1.3
            yield at_least(
                name, limit, t["fht-cpu"] / t["fwht"], f"{rows} rows, float32, one thread, in place, {rs.isa()}"
            )
        speed = 8 * n * rows / t["fwht"].median / 1e9
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
    for k, limit in ((1, 0.85), (2, 0.7)):
        share = t["in place"].best / t[str(k)].best / k
        name = f"FWHT, n = 4096, 64 MiB: share of in-place bandwidth, {k} thread{'s' * (k > 1)}"
        how = "against np.negative(x, out=x) on one thread, times the threads; best wall time"
        yield Figure(name, f"≥ {limit}", f"{share:.2f}", how, share >= limit)
    two = t["in place, two threads"].best
    name = "FWHT, n = 4096, 64 MiB: share of what two threads reach in place, 2 threads"
    how = f"against np.negative on two threads, {two / t['in place'].best:.2f} times as long as on one; best wall time"
    yield Figure(name, "", f"{two / t['2'].best:.2f}", how)


FIGURES = (transform, bandwidth)


@pytest.mark.parametrize("name", ["fwht", "NumPy butterflies", "copy", "in place"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_fwht(benchmark: Any, shape: tuple[int, int], name: str) -> None:
    benchmark.extra_info["bytes"] = 8 * shape[0] * shape[1]
    benchmark(_work(*shape)[name])


def test_ratios(benchmark: Any) -> None:
    note(benchmark, transform)
    benchmark(_work(*SHAPES[1])["fwht"])
