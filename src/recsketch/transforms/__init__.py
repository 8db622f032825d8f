"""Structured transforms on their own, and random features made of them: estimators in scikit-learn's manner, without
it.

>>> import numpy as np
>>> from recsketch.transforms import StructuredProjection
>>> X = np.random.default_rng(0).standard_normal((100, 1000), dtype=np.float32)
>>> Y = StructuredProjection(256).fit_transform(X)
>>> Y.shape
(100, 256)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from recsketch.transforms._fwht import fwht

if TYPE_CHECKING:
    from recsketch.transforms._hashing import CountSketch, SparseProjection
    from recsketch.transforms._structured import StructuredProjection
    from recsketch.transforms._tensor import TensorSketch

__all__ = ["CountSketch", "SparseProjection", "StructuredProjection", "TensorSketch", "fwht"]

_HOMES = {  # imported when asked for, so that importing recsketch stays fast
    "CountSketch": "_hashing",
    "SparseProjection": "_hashing",
    "StructuredProjection": "_structured",
    "TensorSketch": "_tensor",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'recsketch.transforms' has no attribute {name!r}")
    import importlib

    found = getattr(importlib.import_module(f"recsketch.transforms.{_HOMES[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
