"""How two views of one storage lie to each other: what was written through one may be read through the other."""

from __future__ import annotations

from typing import NamedTuple

APART, INSIDE, CROSSING = range(3)


class Region(NamedTuple):
    """Elements of a storage that a strided view has."""

    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


def relation(a: Region, b: Region) -> int:
    """APART if no element of `a` is one of `b`, INSIDE if all are, otherwise CROSSING.

    CROSSING is also the answer where it is not known, because it is what a reader has to fear.

    Examples
    --------
    >>> left, right = Region(0, (4, 3), (8, 1)), Region(3, (4, 5), (8, 1))
    >>> relation(left, right) == APART, relation(left, Region(0, (4, 8), (8, 1))) == INSIDE
    (True, True)
    >>> relation(left, Region(0, (8,), (1,))) == CROSSING
    True
    """
    if a == b:
        return INSIDE
    if 0 in a.shape or 0 in b.shape:
        return APART
    p, q = (_steps(r) for r in (a, b))
    ends = [r.offset + sum(s * (n - 1) for s, n in x.items()) for r, x in ((a, p), (b, q))]
    if ends[0] < b.offset or ends[1] < a.offset:
        return APART
    elements = 1
    for n in q.values():
        elements *= n
    if elements == ends[1] - b.offset + 1 and b.offset <= a.offset and ends[0] <= ends[1]:
        return INSIDE  # `b` has no gaps
    return _on_a_grid(a.offset, p, b.offset, q)


def _steps(r: Region) -> dict[int, int]:
    """Sizes by stride, without dimensions that reach no further element."""
    return {s: n for s, n in zip(r.stride, r.shape, strict=True) if n > 1 and s}


def _on_a_grid(at: int, p: dict[int, int], to: int, q: dict[int, int]) -> int:
    """Two boxes of one grid, whose strides divide each other, are compared side by side."""
    sides, over = [], 0
    for s in sorted({1, *p, *q}, reverse=True):
        (i, at), (j, to) = divmod(at, s), divmod(to, s)
        n, m = p.get(s, 1), q.get(s, 1)
        if over and (over % s or max(i + n, j + m) > over // s):
            return CROSSING  # a box that wraps around is none
        sides.append((i, i + n, j, j + m))
        over = s
    if any(end <= j or other <= i for i, end, j, other in sides):
        return APART
    return INSIDE if all(j <= i and end <= other for i, end, j, other in sides) else CROSSING
