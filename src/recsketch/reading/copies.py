"""Objects that may be copies of one, where there are no signatures to tell."""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from recsketch.reading.results import UnrolledObject

DEVIATIONS = 4.0  # errors up to which copies, which differ by these alone, are taken for copies
ALIKE = 1e-5  # of an attribute's norm: without signatures only what is equal but for rounding is called a copy


def copies(objects: list[UnrolledObject]) -> list[tuple[int, ...]]:
    """Groups of objects that are alike in module, attribute and inputs, within their errors.

    An object is compared with those before it whose attributes have about the same projection on one vector. Cost:
    n log n for n objects, and one comparison for each that is near.
    """
    same = list(range(len(objects)))
    near: dict[tuple[str, tuple[int, ...]], list[tuple[float, int]]] = {}
    found: dict[int, list[int]] = {}
    for i, o in enumerate(objects):  # inputs first
        seen = near.setdefault((o.module, tuple(same[c] for c in o.inputs)), [])
        x = o.attribute.astype(np.float64)
        at = float(x @ np.cos(np.arange(x.size)))
        reach = math.sqrt(x.size) * _tolerance(o, o)
        for _, j in seen[bisect_left(seen, (at - reach, -1)) : bisect_left(seen, (at + reach, len(objects)))]:
            if np.linalg.norm(x - objects[j].attribute.astype(np.float64)) <= _tolerance(o, objects[j]):
                same[i] = j
                break
        else:
            insort(seen, (at, i))
        found.setdefault(same[i], []).append(i)
    return [tuple(group) for group in found.values() if len(group) > 1]


def _tolerance(a: UnrolledObject, b: UnrolledObject) -> float:
    """The distance of two attributes up to which they may be the same."""
    square = sum(float(np.square(o.error, dtype=np.float64).sum()) for o in (a, b))
    return DEVIATIONS * math.sqrt(square) + ALIKE * max(a.norm, b.norm)
