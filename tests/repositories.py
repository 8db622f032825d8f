"""Shared by the tests of repositories: runs, and what a folder holds."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import recsketch as rs

D = 64
SPEC = rs.SketchSpec(D, {"eye": 2, "ear": 3})


def rows(n: int, seed: int = 0, d: int = D) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, d), np.float32)


def run(seed: int) -> rs.Trace:
    """An eye above two ears."""
    rng = np.random.default_rng(seed)
    trace = rs.Trace()
    ears = [trace.add("ear", rng.standard_normal(3)) for _ in range(2)]
    trace.outputs([trace.add("eye", rng.standard_normal(2), ears)])
    return trace


def contents(folder: Path) -> bytes:
    return b"".join(p.read_bytes() for p in sorted(folder.iterdir()))
