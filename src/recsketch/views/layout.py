"""A layered drawing of a DAG: boxes in columns, users to the left of what they use, with few crossings [1]_.

.. [1] K. Sugiyama, S. Tagawa, M. Toda, "Methods for visual understanding of hierarchical system structures", IEEE
   Transactions on Systems, Man, and Cybernetics 11(2), 1981.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

SWEEPS = 6  # orders and places hardly change after these
BENDS = 3000  # beyond so many columns that edges cross on their way, edges are drawn straight
HIGH = 620.0  # what a window shows at once
ACROSS, DOWN, PASS = 64.0, 10.0, 5.0  # room between columns, and below boxes and passing lines of a column


class Layout(NamedTuple):
    """Columns of boxes, each box's left and upper edge, for each edge the points between its ends, and the size."""

    layers: list[int]
    x: list[float]
    y: list[float]
    bends: list[list[tuple[float, float]]]
    width: float
    height: float


def layered(sizes: Sequence[tuple[float, float]], edges: Sequence[tuple[int, int]]) -> Layout:
    """Places for boxes of these widths and heights, whose edges lead from users to what they use.

    Notes
    -----
    Columns are longest paths from what nobody uses. An edge across columns gets a place of its own in each. The order
    in a column follows the mean place of neighbours, swept to and fro; the best order counts, the first being that in
    which boxes were given. Heights are the least squares between neighbours that keep order and distance. Cycles are
    cut. Cost: O(SWEEPS (n + e) log(n + e)).
    """
    n = len(sizes)
    layers = longest_paths(n, edges)
    columns: list[list[int]] = [[] for _ in range(max(layers, default=-1) + 1)]
    for i, layer in enumerate(layers):
        columns[layer].append(i)
    heights = [h for _, h in sizes]
    widths = [max((sizes[i][0] for i in column), default=0.0) for column in columns]
    lefts = [sum(widths[:k]) + ACROSS * k for k in range(len(columns))]
    # Neighbours in the next column, of boxes and of the points where long edges cross a column.
    after: list[list[int]] = [[] for _ in range(n)]
    spans = sum(max(layers[v] - layers[u] - 1, 0) for u, v in edges)
    passes: list[list[int]] = []
    for u, v in edges:
        chain = [u]
        for layer in range(layers[u] + 1, layers[v]) if spans <= BENDS else ():
            chain.append(len(after))
            after.append([])
            heights.append(2.0)
            columns[layer].append(chain[-1])
        passes.append(chain[1:])
        if layers[v] > layers[u] and (spans <= BENDS or layers[v] == layers[u] + 1):
            for a, b in zip(chain, [*chain[1:], v], strict=True):
                after[a].append(b)
    before: list[list[int]] = [[] for _ in after]
    for a, nexts in enumerate(after):
        for b in nexts:
            before[b].append(a)
    columns = ordered(columns, before, after)
    steps = [h + (DOWN if i < n else PASS) for i, h in enumerate(heights)]
    tops, tall = spread(columns, before, after, heights, steps, middle=True)
    if tall > HIGH:  # it is read from its top, unless shared inputs then pull it apart
        others, height = spread(columns, before, after, heights, steps, middle=False)
        tops = others if height <= 1.1 * tall else tops
    at = {i: k for k, column in enumerate(columns) for i in column}
    bends = [[(lefts[at[i]], tops[i] + 1), (lefts[at[i]] + widths[at[i]], tops[i] + 1)] for i in range(n, len(after))]
    routes = [[point for i in chain for point in bends[i - n]] for chain in passes]
    height = max((tops[i] + heights[i] for i in range(len(after))), default=0.0)
    x = [lefts[layer] for layer in layers]
    return Layout(layers, x, tops[:n], routes, lefts[-1] + widths[-1] if columns else 0.0, height)


def longest_paths(n: int, edges: Sequence[tuple[int, int]]) -> list[int]:
    """For each box the most edges on a way to it; edges that would close a cycle do not count."""
    below: list[list[int]] = [[] for _ in range(n)]
    for u, v in edges:
        below[u].append(v)
    state, order = [0] * n, []  # 1: on the way down, 2: done
    for start in range(n):
        stack = [(start, 0)]
        while stack:
            u, k = stack.pop()
            if k == 0:
                if state[u]:
                    continue
                state[u] = 1
            if k < len(below[u]):
                stack.append((u, k + 1))
                if not state[below[u][k]]:
                    stack.append((below[u][k], 0))
            else:
                state[u] = 2
                order.append(u)
    rank = {u: k for k, u in enumerate(order)}  # inputs first
    layers = [0] * n
    for u in reversed(order):
        for v in below[u]:
            if rank[v] < rank[u]:
                layers[v] = max(layers[v], layers[u] + 1)
    return layers


def ordered(columns: list[list[int]], before: list[list[int]], after: list[list[int]]) -> list[list[int]]:
    """The order in each column with the fewest crossings of those that sweeps of barycentres pass."""
    best, least = columns, crossings(columns, after)
    now = columns
    for sweep in range(SWEEPS):
        if not least:
            break
        place = {i: float(k) for column in now for k, i in enumerate(column)}
        forth = sweep % 2 == 0
        now = list(now)
        for k in range(1, len(now)) if forth else range(len(now) - 2, -1, -1):
            near = before if forth else after
            mean = {i: sum(place[j] for j in near[i]) / len(near[i]) if near[i] else place[i] for i in now[k]}
            now[k] = sorted(now[k], key=lambda i: mean[i])
            place.update((i, float(at)) for at, i in enumerate(now[k]))
        found = crossings(now, after)
        if found < least:
            best, least = now, found
    return best


def crossings(columns: list[list[int]], after: list[list[int]]) -> int:
    """Pairs of edges between neighbouring columns that cross."""
    total = 0
    for left, right in pairwise(columns):
        place = {i: k for k, i in enumerate(right)}
        seen: list[int] = []
        for i in left:
            ends = sorted(place[j] for j in after[i] if j in place)
            total += sum(len(seen) - bisect_right(seen, end) for end in ends)
            for end in ends:
                insort(seen, end)
    return total


def spread(
    columns: list[list[int]],
    before: list[list[int]],
    after: list[list[int]],
    heights: Sequence[float],
    steps: Sequence[float],
    middle: bool,
) -> tuple[list[float], float]:
    """Upper edges, and the height of all.

    Boxes are as near to the middle of their neighbours as order and distance allow; or, in what is read from its top,
    beside the first of them, or as little below as there is room.
    """
    tops = [0.0] * len(heights)
    for column in columns:
        at = 0.0
        for i in column:
            tops[i] = at
            at += steps[i]
    for sweep in range(SWEEPS):
        forth = sweep % 2 == 0  # last from inputs to users
        for column in columns if forth else reversed(columns):
            wanted = []
            for i in column:
                near = (before[i] if forth else after[i]) or [i]
                if middle:
                    wanted.append(sum(tops[j] + heights[j] / 2 for j in near) / len(near) - heights[i] / 2)
                else:
                    wanted.append(min(tops[j] for j in near))
            own = [steps[i] for i in column]
            for i, y in zip(column, apart(wanted, own) if middle else below(wanted, own), strict=True):
                tops[i] = y
    least = min(tops, default=0.0)
    return [y - least for y in tops], max((y + h for y, h in zip(tops, heights, strict=True)), default=0.0) - least


def below(wanted: Sequence[float], steps: Sequence[float]) -> list[float]:
    """The least numbers not less than `wanted` of which each is at least its step below the next."""
    out: list[float] = []
    at = -float("inf")
    for y, step in zip(wanted, steps, strict=True):
        out.append(max(y, at))
        at = out[-1] + step
    return out


def apart(wanted: Sequence[float], steps: Sequence[float]) -> list[float]:
    """The numbers nearest to `wanted`, in squares, of which each is at least its step below the next.

    Less the steps before them they are an isotonic regression, which pooling adjacent violators solves.
    """
    pools: list[tuple[float, int]] = []  # sum, how many
    offsets, at = [], 0.0
    for y, step in zip(wanted, steps, strict=True):
        offsets.append(at)
        pools.append((y - at, 1))
        at += step
        while len(pools) > 1 and pools[-2][0] * pools[-1][1] > pools[-1][0] * pools[-2][1]:
            (a, m), (b, k) = pools[-2:]
            pools[-2:] = [(a + b, m + k)]
    means = [total / count for total, count in pools for _ in range(count)]
    return [mean + offset for mean, offset in zip(means, offsets, strict=True)]
