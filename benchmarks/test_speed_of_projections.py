"""HD3HD2HD1 beside fht-cpu with sign vectors, scikit-learn's SparseRandomProjection, and a pass over the same bytes."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest
from figure import Figure, at_least, note
from machine import interleaved

from recsketch.transforms import StructuredProjection

SHAPES = ((4096, 64), (256, 1024), (64, 4096), (16, 16384), (64, 3000))  # rows and features
LARGE = 4096, 4096


def _peer(x: Any, d: int) -> Callable[[], object] | None:
    """Three times signs and fht-cpu, in place in one buffer, the scale in the last signs."""
    try:
        from fht_cpu import fht
    except ImportError:
        return None
    rng = np.random.default_rng(1)
    signs = [rng.choice([-1, 1], d).astype(np.float32) for _ in range(3)]
    signs[2] *= np.float32(d**-1.5)
    wide = np.zeros((len(x), d), np.float32)
    wide[:, : x.shape[1]] = x
    y = np.empty_like(wide)

    def run() -> None:
        np.multiply(wide, signs[0], out=y)
        for factor in (signs[1], signs[2]):
            fht(y, num_threads=1)
            np.multiply(y, factor, out=y)
        fht(y, num_threads=1)

    return run


def _work(rows: int, n: int, threads: int = 1) -> dict[str, Callable[[], object]]:
    from sklearn.random_projection import SparseRandomProjection

    x = np.random.default_rng(n).standard_normal((rows, n), np.float32)
    d = 1 << (n - 1).bit_length()
    out = np.empty_like(x)
    ours = StructuredProjection(d, threads=threads).fit(x)
    work: dict[str, Callable[[], object]] = {"ours": partial(ours.transform, x), "copy": partial(np.copyto, out, x)}
    peer = _peer(x, d)
    if peer is not None:
        work["fht-cpu"] = peer
    if n <= 4096:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it says that d > n reduces nothing
            sparse = SparseRandomProjection(d, dense_output=True, random_state=0).fit(x)
        work["scikit-learn"] = partial(sparse.transform, x)
    return work


def projections(effort: int) -> Iterator[Figure]:
    for rows, n in SHAPES:
        work = _work(rows, n)
        t = interleaved(work, (1, 5, 15)[effort])
        how = f"{rows} rows of {n} features to the next power of two, float32, one thread, "
        how += f"{t['ours'].median * 1e6:.0f} µs"
        if "fht-cpu" in t:
            yield at_least(f"HD3HD2HD1 against fht-cpu with signs, {n} features", 2.0, t["fht-cpu"] / t["ours"], how)
        if "scikit-learn" in t:
            name = f"HD3HD2HD1 against scikit-learn SparseRandomProjection, {n} features"
            yield at_least(name, 9.0, t["scikit-learn"] / t["ours"], how)


def threads(effort: int) -> Iterator[Figure]:
    x = np.random.default_rng(0).standard_normal(LARGE, np.float32)
    e = [StructuredProjection(4096, threads=k).fit(x) for k in (1, 2)]
    t = interleaved({str(k + 1): partial(e[k].transform, x) for k in (0, 1)}, (1, 3, 15)[effort])
    how = "4096 rows of 4096 features, best wall time"
    yield Figure("HD3HD2HD1, two threads against one", "", f"{t['1'].best / t['2'].best:.2f}×", how)


FIGURES = (projections, threads)


@pytest.mark.parametrize("name", ["ours", "copy", "fht-cpu", "scikit-learn"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_projection(benchmark: Any, shape: tuple[int, int], name: str) -> None:
    work = _work(*shape)
    if name not in work:
        pytest.skip(f"{name} is not measured here")
    benchmark(work[name])


def test_ratios(benchmark: Any) -> None:
    note(benchmark, projections)
    benchmark(_work(*SHAPES[2])["ours"])
