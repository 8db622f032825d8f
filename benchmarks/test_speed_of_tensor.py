"""Tensor sketches of degree two are made; sizes are rows × features, and the length of a row's sketch; float32.

The default of recsketch samples transforms. "recsketch, fft" is the classical construction by Fourier transforms, and
so is the peer, scikit-learn's `PolynomialCountSketch`. The limit is a copy of the rows. docs/figures.md compares the
errors of the kernels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest
from cases import OURS, Contender, limit, one_thread, ours
from figure import Figure, at_least, at_most
from machine import interleaved

from recsketch.transforms import TensorSketch

# Short rows have the lower target: a call's own time is a large part of theirs, and in that the two differ less.
SHAPES = ((256, 30, 100, 45.0), (256, 1024, 1024, 60.0), (64, 1000, 4096, 60.0))  # rows, features, m, times the peer


def _peer(m: int, seed: int = 0) -> Any:
    from sklearn.kernel_approximation import PolynomialCountSketch

    return PolynomialCountSketch(degree=2, n_components=m, random_state=seed)


def _rows(rows: int, n: int) -> Any:
    return (np.random.default_rng(n).standard_normal((rows, n)) / np.sqrt(n)).astype(np.float32)


def _work(rows: int, n: int, m: int) -> dict[str, Contender]:
    x = _rows(rows, n)
    out = np.empty_like(x)
    work = ours(lambda k: partial(TensorSketch(m, threads=k).fit(x).transform, x))
    fft = TensorSketch(m, method="fft", threads=1).fit(x)
    return {
        **work,
        "recsketch, fft": Contender(partial(fft.transform, x), "variant"),
        "PolynomialCountSketch": Contender(partial(_peer(m).fit(x).transform, x)),
        **limit("copy", partial(np.copyto, out, x)),
    }


def speed(effort: int) -> Iterator[Figure]:
    for rows, n, m, least in SHAPES:
        t = interleaved(one_thread(_work(rows, n, m)), (1, 5, 15)[effort])
        how = f"{rows} rows, degree 2, float32, one thread, {t[OURS].median * 1e6:.0f} µs; method fft "
        how += f"{t['PolynomialCountSketch'] / t['recsketch, fft']:.1f}×; a copy takes {t['copy'] / t[OURS]:.2g}"
        name = f"tensor sketch against scikit-learn PolynomialCountSketch, {n} to {m}"
        yield at_least(name, least, t["PolynomialCountSketch"] / t[OURS], how)


def accuracy(effort: int) -> Iterator[Figure]:
    _, n, m, _ = SHAPES[1]
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


CASES = {f"{rows}x{n} to {m}": (rows, n, m) for rows, n, m, *_ in ((1, 8, 64), (33, 999, 500), *SHAPES)}


@pytest.mark.parametrize("case", CASES)
def test_tensor(contest: Any, case: str) -> None:
    rows, n, m = CASES[case]
    contest(_work(rows, n, m), 4 * rows * (n + m), "bytes")
