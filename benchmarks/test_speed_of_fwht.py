"""The Walsh-Hadamard transform beside butterflies in NumPy, a matrix product, and a copy of the same bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest
from figure import Figure, note
from machine import interleaved
from peers import numpy_fwht, sylvester

from recsketch.transforms import fwht

SHAPES = ((1024, 256), (64, 4096), (4096, 4096))  # rows and lengths: 1 MiB, 1 MiB, 64 MiB


def _work(rows: int, n: int) -> dict[str, Callable[[], object]]:
    x = np.random.default_rng(n).standard_normal((rows, n), np.float32)
    out = np.empty_like(x)
    work: dict[str, Callable[[], object]] = {
        "fwht": partial(fwht, x, overwrite=True, threads=1),
        "NumPy butterflies": partial(numpy_fwht, x.copy()),
        "copy": partial(np.copyto, out, x),
    }
    if n <= 256:  # SciPy has no transform but this matrix (scipy.linalg.hadamard)
        matrix = (sylvester(n) / np.sqrt(n)).astype(np.float32)
        work["matrix product"] = partial(np.matmul, x, matrix, out=out)
    return work


def transform(effort: int) -> Iterator[Figure]:
    for rows, n in SHAPES:
        work = _work(rows, n)
        t = interleaved(work, (1, 3, 15)[effort])
        measured = ", ".join(f"{name} {t[name] / t['fwht']:.3g}" for name in work if name != "fwht")
        speed = 8 * n * rows / t["fwht"].median / 1e9
        how = f"{rows} rows, float32, one thread, in place: {speed:.0f} GB/s load and store"
        yield Figure(f"times over that of fwht, n = {n}, {rows * n * 4 / 2**20:g} MiB", "", measured, how)


FIGURES = (transform,)


@pytest.mark.parametrize("name", ["fwht", "NumPy butterflies", "copy"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_fwht(benchmark: Any, shape: tuple[int, int], name: str) -> None:
    benchmark.extra_info["bytes"] = 8 * shape[0] * shape[1]
    benchmark(_work(*shape)[name])


def test_ratios(benchmark: Any) -> None:
    note(benchmark, transform)
    benchmark(_work(*SHAPES[1])["fwht"])
