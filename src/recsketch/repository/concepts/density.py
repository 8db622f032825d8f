"""Clusters of points by density, at once: what is there when a repository begins to look for concepts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt


def clusters(points: npt.NDArray[Any], least: int, near: int) -> npt.NDArray[np.intp]:
    """The cluster of each point, numbered by their first points, or -1.

    This is HDBSCAN* with excess of mass (Campello, Moulavi, Zimek, Sander 2015). Two points are as far apart as the
    largest of their distance and of each one's distance to its `near`-th neighbour, itself the first. Edges of the
    minimum spanning tree are cut from the longest on. A part of fewer than `least` points falls out, two larger parts
    are clusters of their own. A cluster whose points stay in it for longer than in the clusters within it is kept.

    Parameters
    ----------
    points : (n, d) real
    least, near : int
        At least 2, and 1.

    Returns
    -------
    (n,) intp

    Notes
    -----
    Cost: O(n^2 d) time, O(n^2) memory.
    """
    n = len(points)
    if n < 2 * least:
        return np.full(n, -1)
    left, right, length = _merges(_reachable(np.asarray(points, np.float64), min(near, n)))
    found = np.full(n, -1)
    for number, members in enumerate(sorted(_kept(left, right, length, n, least), key=min)):
        found[members] = number
    return found


def _reachable(x: npt.NDArray[np.float64], near: int) -> npt.NDArray[np.float64]:
    """(n, n) distances of mutual reachability."""
    square = np.einsum("ij,ij->i", x, x)
    distance = np.sqrt(np.maximum(square[:, None] + square - 2 * (x @ x.T), 0))
    np.fill_diagonal(distance, 0)
    core = np.partition(distance, near - 1, axis=1)[:, near - 1]
    return np.asarray(np.maximum(np.maximum(distance, core), core[:, None]))


def _merges(distance: npt.NDArray[np.float64]) -> tuple[list[int], list[int], list[float]]:
    """Single linkage: which two nodes make node n + i, from the shortest edge on, and that edge's length."""
    n = len(distance)
    nearest, source, at = np.full(n, np.inf), np.zeros(n, np.intp), 0
    out, edges = np.ones(n, np.bool_), []
    for _ in range(n - 1):  # Prim's tree
        out[at] = False
        closer = out & (distance[at] < nearest)
        nearest[closer], source[closer] = distance[at][closer], at
        at = int(np.where(out, nearest, np.inf).argmin())
        edges.append((float(nearest[at]), int(source[at]), at))
    root = list(range(2 * n - 1))

    def top(i: int) -> int:
        while root[i] != i:
            root[i] = i = root[root[i]]
        return i

    left, right, length = [], [], []
    for i, (gap, a, b) in enumerate(sorted(edges)):
        left.append(top(a))
        right.append(top(b))
        length.append(gap)
        root[left[-1]] = root[right[-1]] = n + i
    return left, right, length


def _kept(left: list[int], right: list[int], length: list[float], n: int, least: int) -> list[list[int]]:
    """Members of the clusters with the largest excess of mass."""
    members: list[list[int]] = [[i] for i in range(n)]
    for a, b in zip(left, right, strict=True):
        members.append(members[a] + members[b])

    def follow(node: int, birth: float) -> tuple[float, list[list[int]]]:
        """The excess of mass of what is chosen at and below a cluster that begins at a node, and its clusters."""
        first, own = node, 0.0
        while True:
            if node < n:  # only where `least` is 1
                return own, [members[first]]
            a, b, gap = left[node - n], right[node - n], length[node - n]
            density = 1 / max(gap, 1e-300) - birth
            small, large = sorted((a, b), key=lambda i: len(members[i]))
            if len(members[small]) >= least:
                own += density * len(members[node])
                break
            if len(members[large]) < least:
                return own + density * len(members[node]), [members[first]]
            own += density * len(members[small])
            node = large
        below = [follow(child, birth + density) for child in (a, b)]
        inner = sum(mass for mass, _ in below)
        if inner > own or first == 2 * n - 2:  # all points together are no cluster
            return inner, [group for _, groups in below for group in groups]
        return own, [members[first]]

    found = follow(2 * n - 2, 0.0)[1]
    return [] if any(len(group) == n for group in found) else found
