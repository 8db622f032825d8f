"""The tensor sketch beside scikit-learn's PolynomialCountSketch, its kernel's error beside theirs, and a pass over the
same bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest
from figure import Figure, at_least, at_most, note
from machine import interleaved

from recsketch.transforms import TensorSketch

SHAPES = ((256, 30, 100), (256, 1024, 1024), (64, 1000, 4096))  # rows, features, m


def _peer(m: int, seed: int = 0) -> Any:
    from sklearn.kernel_approximation import PolynomialCountSketch

    return PolynomialCountSketch(degree=2, n_components=m, random_state=seed)


def _rows(rows: int, n: int) -> Any:
    return (np.random.default_rng(n).standard_normal((rows, n)) / np.sqrt(n)).astype(np.float32)


def _work(rows: int, n: int, m: int, threads: int = 1) -> dict[str, Callable[[], object]]:
    x = _rows(rows, n)
    out = np.empty_like(x)
    return {
        "ours": partial(TensorSketch(m, threads=threads).fit(x).transform, x),
        "ours, fft": partial(TensorSketch(m, method="fft", threads=threads).fit(x).transform, x),
        "scikit-learn": partial(_peer(m).fit(x).transform, x),
        "copy": partial(np.copyto, out, x),
    }


def speed(effort: int) -> Iterator[Figure]:
    for rows, n, m in SHAPES:
        t = interleaved(_work(rows, n, m), (1, 5, 15)[effort])
        how = f"{rows} rows, degree 2, float32, one thread, {t['ours'].median * 1e6:.0f} µs; method fft "
        how += f"{t['scikit-learn'] / t['ours, fft']:.1f}×; a copy takes {t['copy'] / t['ours']:.2g}"
        name = f"tensor sketch against scikit-learn PolynomialCountSketch, {n} to {m}"
        yield at_least(name, 60.0, t["scikit-learn"] / t["ours"], how)


def accuracy(effort: int) -> Iterator[Figure]:
    _, n, m = SHAPES[1]
    x = _rows(64, n)
    want = (x @ x.T) ** 2
    seeds = (2, 10, 100)[effort]

    def error(make: Callable[[int], Any]) -> float:
        found = [z @ z.T - want for z in (make(s).fit(x).transform(x) for s in range(seeds))]
        return float(np.sqrt(np.mean(np.square(found))))

    ratio = error(lambda s: TensorSketch(m, random_state=s)) / error(lambda s: _peer(m, s))
    how = f"rms over all pairs of 64 rows, {n} to {m}, {seeds} seeds"
    yield at_most("tensor sketch: kernel error over scikit-learn's", 1.0, ratio, how, form=".3f")


FIGURES = (speed, accuracy)


@pytest.mark.parametrize("name", ["ours", "ours, fft", "scikit-learn", "copy"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_tensor(benchmark: Any, shape: tuple[int, int, int], name: str) -> None:
    benchmark(_work(*shape)[name])


def test_ratios(benchmark: Any) -> None:
    note(benchmark, speed)
    benchmark(_work(*SHAPES[1])["ours"])
