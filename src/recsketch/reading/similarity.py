"""Cosines of sketches."""

from __future__ import annotations

import numpy as np

from recsketch._check import Floats


def cosines(a: Floats, b: Floats) -> Floats:
    """(n, m) Cosine of each row of `a` with each row of `b`, finite both; 0 for rows of zeros."""
    out: Floats = unit(a) @ unit(b).T
    return np.clip(out, -1.0, 1.0, out=out)  # rounding may lead beyond


def unit(x: Floats) -> Floats:
    """Rows over their norms; rows of zeros as they are."""
    most = np.abs(x).max(axis=1, keepdims=True, initial=0.0)
    scaled = x / np.where(most > 0, most, 1)  # so that squares neither overflow nor vanish
    norm = np.linalg.norm(scaled, axis=1, keepdims=True)
    return np.asarray(scaled / np.where(norm > 0, norm, 1), np.float32)
