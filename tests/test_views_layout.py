"""Where boxes are drawn: columns, orders and places, against slow twins and the rules that they must keep."""

from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
import pytest

import recsketch.views.layout as layout


def random_dag(seed: int, n: int = 30) -> tuple[list[tuple[float, float]], list[tuple[int, int]]]:
    rng = np.random.default_rng(seed)
    sizes = [(float(w), float(h)) for w, h in zip(rng.uniform(20, 200, n), rng.uniform(10, 90, n), strict=True)]
    edges = {(int(i), int(j)) for j in range(1, n) for i in rng.integers(0, j, rng.integers(0, 4))}
    return sizes, sorted(edges)


@pytest.mark.parametrize("seed", range(20))
def test_boxes_do_not_meet_and_edges_lead_right(seed: int) -> None:
    sizes, edges = random_dag(seed)
    found = layout.layered(sizes, edges)
    for i, j in combinations(range(len(sizes)), 2):
        across = found.x[i] < found.x[j] + sizes[j][0] and found.x[j] < found.x[i] + sizes[i][0]
        down = found.y[i] < found.y[j] + sizes[j][1] - 1e-6 and found.y[j] < found.y[i] + sizes[i][1] - 1e-6
        assert not (across and down)
    for (u, v), bends in zip(edges, found.bends, strict=True):
        xs = [found.x[u] + sizes[u][0], *(x for x, _ in bends), found.x[v]]
        assert all(a <= b for a, b in pairwise(xs))
        assert len(bends) == 2 * (found.layers[v] - found.layers[u] - 1)  # in and out of each column between
    assert min(found.y) >= 0
    assert max(x + w for x, (w, _) in zip(found.x, sizes, strict=True)) <= found.width + 1e-6
    assert max(y + h for y, (_, h) in zip(found.y, sizes, strict=True)) <= found.height + 1e-6


@pytest.mark.parametrize("seed", range(10))
def test_long_edges_pass_between_boxes(seed: int) -> None:
    sizes, edges = random_dag(seed)
    found = layout.layered(sizes, edges)
    for bends in found.bends:
        for x, y in bends:
            inside = [
                i
                for i, (w, h) in enumerate(sizes)
                if found.x[i] <= x <= found.x[i] + w and found.y[i] < y < found.y[i] + h
            ]
            assert inside == []


@pytest.mark.parametrize("seed", range(20))
def test_columns_are_longest_paths(seed: int) -> None:
    """Against the definition, by as many relaxations as there are boxes."""
    sizes, edges = random_dag(seed)
    want = [0] * len(sizes)
    for _ in sizes:
        for u, v in edges:
            want[v] = max(want[v], want[u] + 1)
    assert layout.longest_paths(len(sizes), edges) == want


def test_cycles_are_cut() -> None:
    """What no run is, but what numbers may say: every box has a place, and the rest keeps its order."""
    assert layout.longest_paths(3, [(0, 1), (1, 2), (2, 0)]) == [0, 1, 2]
    assert layout.longest_paths(1, [(0, 0)]) == [0]
    found = layout.layered([(10.0, 10.0)] * 3, [(0, 1), (1, 2), (2, 0)])
    assert found.x[0] < found.x[1] < found.x[2]


@pytest.mark.parametrize("seed", range(10))
def test_crossings_are_counted(seed: int) -> None:
    """Against all pairs of edges."""
    rng = np.random.default_rng(seed)
    left, right = rng.permutation(8).tolist(), (8 + rng.permutation(8)).tolist()
    after: list[list[int]] = [rng.choice(right, 3, replace=False).tolist() if i < 8 else [] for i in range(16)]
    edges = [(left.index(i), right.index(j)) for i in left for j in after[i]]
    want = sum((a - c) * (b - d) < 0 for (a, b), (c, d) in combinations(edges, 2))
    assert layout.crossings([left, right], after) == want


def test_orders_have_fewer_crossings() -> None:
    """Never more than before; and of two columns that are one order reversed, none is left."""
    after = [[7 - i] for i in range(4)] + [[] for _ in range(4)]
    before: list[list[int]] = [[] for _ in range(4)] + [[7 - i] for i in range(4, 8)]
    columns = [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert layout.crossings(columns, after) == 6
    assert layout.crossings(layout.ordered(columns, before, after), after) == 0
    less = 0
    for seed in range(10):
        sizes, edges = random_dag(seed)
        layers = layout.longest_paths(len(sizes), edges)
        after = [[v for u, v in edges if u == i and layers[v] == layers[i] + 1] for i in range(len(sizes))]
        before = [[u for u in range(len(sizes)) if i in after[u]] for i in range(len(sizes))]
        columns = [[i for i, at in enumerate(layers) if at == k] for k in range(max(layers) + 1)]
        first, found = layout.crossings(columns, after), layout.ordered(columns, before, after)
        assert layout.crossings(found, after) <= first
        assert [sorted(c) for c in found] == columns
        less += layout.crossings(found, after) < first
    assert less >= 8


def test_a_tree_keeps_the_order_in_which_it_is_given() -> None:
    edges = [(0, 1), (0, 2), (1, 3), (1, 4), (2, 5)]
    found = layout.layered([(10.0, 10.0)] * 6, edges)
    assert found.y[1] < found.y[2]
    assert found.y[3] < found.y[4] < found.y[5]
    assert found.y[0] == pytest.approx((found.y[1] + found.y[2]) / 2)


@pytest.mark.parametrize("seed", range(20))
def test_places_are_the_nearest_in_squares(seed: int) -> None:
    """Against the minimax formula of isotonic regression: fit i is the max over a <= i of the min over b >= i of the
    mean of a..b."""
    rng = np.random.default_rng(seed)
    wanted, steps = rng.uniform(0, 50, 12), rng.uniform(1, 20, 12)
    offsets = np.concatenate([[0.0], np.cumsum(steps)[:-1]])
    z = wanted - offsets
    fit = [max(min(z[a : b + 1].mean() for b in range(i, 12)) for a in range(i + 1)) for i in range(12)]
    assert layout.apart(wanted.tolist(), steps.tolist()) == pytest.approx((np.array(fit) + offsets).tolist())


def test_what_is_high_is_read_from_its_top() -> None:
    """Of 40 inputs one below the other, the user stands beside the first; of 4, in their middle."""
    for count in (4, 40):
        found = layout.layered([(50.0, 40.0)] * (count + 1), [(0, k + 1) for k in range(count)])
        middle = (found.y[1] + found.y[-1]) / 2
        assert found.y[0] == pytest.approx(middle if count == 4 else found.y[1])
    chain = [edge for i in range(30) for edge in ((i, i + 1), (i, 31 + i))]
    found = layout.layered([(50.0, 40.0)] * 61, chain)
    assert found.y[0] == 0.0  # and so is a long chain, which would slant out of sight
    assert found.height < 200


@pytest.mark.parametrize("seed", range(10))
def test_shared_inputs_pull_nothing_apart(seed: int) -> None:
    """What is drawn is at most twice as high as its highest column."""
    sizes, edges = random_dag(seed, 100)
    found = layout.layered(sizes, edges)
    passing = [0.0] * (max(found.layers) + 1)
    for (_, h), layer in zip(sizes, found.layers, strict=True):
        passing[layer] += h + layout.DOWN
    for u, v in edges:
        for layer in range(found.layers[u] + 1, found.layers[v]):
            passing[layer] += 2 + layout.DOWN
    assert found.height <= 2 * max(passing)


def test_very_many_long_edges_are_drawn_straight() -> None:
    n = 120
    edges = [(i, i + 1) for i in range(n - 1)] + [(i, j) for i in range(n) for j in range(i + 2, n, 3)]
    found = layout.layered([(10.0, 10.0)] * n, edges)
    assert all(not bends for bends in found.bends)
    assert found.layers == list(range(n))
