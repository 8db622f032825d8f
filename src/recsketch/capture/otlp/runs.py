"""The spans of one trace as a run: which span is made from which, inputs first."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

EDGES = ("auto", "links", "children", "both")
KINDS = ("links", "children", "both", "none")


class Row(NamedTuple):
    """A span as runs are made of it. Rows are sorted by start, end, identifier and parent."""

    start: int
    end: int
    key: bytes
    parent: bytes  # b"": a root
    number: int  # in the columns of all spans
    links: tuple[bytes, ...]  # spans of the same trace, which need not be there


class Run(NamedTuple):
    """The spans of a run, inputs first: their places among the rows, the inputs of each, and the outputs."""

    order: list[int]
    inputs: list[list[int]]  # numbers within `order`, in the order of the run
    outputs: list[int]
    kinds: tuple[int, int, int, int]  # spans by what their inputs are, as `KINDS` has them
    orphans: int
    elsewhere: int


@dataclass(frozen=True, slots=True)
class Edges:
    """What edges were taken from, in the runs that were read.

    Attributes
    ----------
    spans : dict of str to int
        How many spans have as inputs their "links", their "children", "both", or "none".
    traces : dict of str to int
        How many runs have spans with links alone, with children alone, both kinds, or no edges.
    orphans : int
        Spans whose parent is not among the spans of the trace: they are outputs unless a link names them.
    elsewhere : int
        Links that lead to another trace or to a span that is not there, and are not edges.
    """

    spans: dict[str, int]
    traces: dict[str, int]
    orphans: int
    elsewhere: int


def built(rows: list[Row], edges: str, most: int) -> Run:
    """The run of sorted rows, none of which has another's key.

    Raises
    ------
    ValueError
        The edges have a cycle, or a span or the outputs would have more than `most` inputs.
    """
    n = len(rows)
    index = {row[2]: i for i, row in enumerate(rows)}
    children: list[list[int]] = [[] for _ in range(n)]
    roots, orphans = [], []
    for i, row in enumerate(rows):
        if not row[3]:
            roots.append(i)
        elif (j := index.get(row[3])) is None:
            orphans.append(i)
        else:
            children[j].append(i)
    tops, elsewhere = roots + orphans, 0
    tree = edges != "links" and (edges == "children" or not any(row[5] for row in rows))
    if tree:
        inputs = children
        leaves = inputs.count([])
        kinds = (0, n - leaves, 0, leaves)
    else:
        links = [[index[key] for key in row[5] if key in index] for row in rows]
        elsewhere = sum(len(row[5]) for row in rows) - sum(map(len, links))
        inputs, kinds = _chosen(links, children, edges)
        used = set(chain.from_iterable(inputs))
        among = set(tops)
        tops = [i for i in chain(tops, (i for i in range(n) if i not in among)) if i not in used]
    widest = max(range(n), key=lambda i: len(inputs[i]))
    for what, found in ((f"span {rows[widest][2].hex()}", len(inputs[widest])), ("outputs", len(tops))):
        if found > most:
            raise ValueError(f"{what}: wanted at most {most} inputs (max_inputs); got {found}")
    order = _tree_order(inputs, tops) if tree else _order(inputs, tops)
    if len(order) < n:
        reached = set(order)
        stuck = next(i for i in range(n) if i not in reached)
        raise ValueError(f"span {rows[stuck][2].hex()}: wanted edges without a cycle; got one that it is on or tied to")
    number = [0] * n
    for k, i in enumerate(order):
        number[i] = k
    return Run(
        order,
        [[number[j] for j in inputs[i]] for i in order],
        [number[i] for i in tops],
        kinds,
        len(orphans),
        elsewhere,
    )


def _chosen(
    links: list[list[int]], children: list[list[int]], edges: str
) -> tuple[list[list[int]], tuple[int, int, int, int]]:
    """Inputs of every span of a trace that has links, and how many spans have inputs of each kind.

    A child that links to its parent, as consumers of messages do, is made from the parent: it is no input of it.
    """
    if edges == "links":
        children = [[] for _ in links]
    inputs, kinds = [], dict.fromkeys(KINDS, 0)
    for i, (linked, below) in enumerate(zip(links, children, strict=True)):
        own = [j for j in below if i not in links[j]]
        if edges == "both":
            seen = set(linked)
            added = [j for j in own if j not in seen]
        else:
            added = [] if linked else own
        inputs.append(linked + added)
        kinds["both" if linked and added else "links" if linked else "children" if added else "none"] += 1
    return inputs, (kinds["links"], kinds["children"], kinds["both"], kinds["none"])


def _tree_order(inputs: list[list[int]], tops: list[int]) -> list[int]:
    """Inputs first, where nothing is an input twice: what is on a cycle, or below one, is not reached from the tops."""
    order: list[int] = []
    waiting = tops.copy()
    while waiting:
        i = waiting.pop()
        order.append(i)
        waiting += inputs[i]
    order.reverse()
    return order


def _order(inputs: list[list[int]], tops: list[int]) -> list[int]:
    """Inputs first, depth first from the outputs; a span on a cycle, and all that is made from it, is left out."""
    order: list[int] = []
    done = bytearray(len(inputs))
    for top in tops:
        waiting = [(top, iter(inputs[top]))]
        opened = {top}
        while waiting:
            i, rest = waiting[-1]
            j = next((j for j in rest if not done[j]), None)
            if j is None:
                waiting.pop()
                if not done[i]:
                    done[i] = 1
                    order.append(i)
            elif j in opened:
                return order
            else:
                opened.add(j)
                waiting.append((j, iter(inputs[j])))
    return order
