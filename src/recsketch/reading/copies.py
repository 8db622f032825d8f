"""Objects that may be copies of one, where there are no signatures to tell."""

from __future__ import annotations

from bisect import bisect_left, insort
from typing import TYPE_CHECKING, Any

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
    if not objects:
        return []
    ends = np.append(0, np.cumsum([o.attribute.size for o in objects]))
    x = np.concatenate([o.attribute for o in objects]).astype(np.float64)
    size = np.diff(ends)
    place = np.arange(x.size) - ends[:-1].repeat(size)
    projections = np.add.reduceat(x * np.cos(place), ends[:-1])
    square = np.add.reduceat(np.square(np.concatenate([o.error for o in objects]), dtype=np.float64), ends[:-1])
    norm = np.array([o.norm for o in objects])

    def tolerance(square: Any, norm: Any) -> Any:
        """The distance up to which attributes may be the same, by the squares of both errors and the larger norm."""
        return DEVIATIONS * np.sqrt(square) + ALIKE * norm

    reaches = np.sqrt(size) * tolerance(2.0 * square, norm)
    if (np.diff(np.sort(projections)) > reaches.max()).all():
        return []
    projection = projections.tolist()
    same = list(range(len(objects)))
    near: dict[tuple[str, tuple[int, ...]], list[tuple[float, int]]] = {}
    found: dict[int, list[int]] = {}
    for i, o in enumerate(objects):  # inputs first
        seen = near.setdefault((o.module, tuple(same[c] for c in o.inputs)), [])
        at, reach = projection[i], reaches[i]
        for _, j in seen[bisect_left(seen, (at - reach, -1)) : bisect_left(seen, (at + reach, len(objects)))]:
            apart = np.linalg.norm(x[ends[i] : ends[i + 1]] - x[ends[j] : ends[j + 1]])
            if apart <= tolerance(square[i] + square[j], max(norm[i], norm[j])):
                same[i] = j
                break
        else:
            insort(seen, (at, i))
        found.setdefault(same[i], []).append(i)
    return [tuple(group) for group in found.values() if len(group) > 1]
