"""The knowledge graph as the index has it, of one snapshot."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

import recsketch.repository.concepts.kept as concepts
import recsketch.repository.graph.edges as edges
import recsketch.repository.lines as lines
import recsketch.repository.tables as tables
from recsketch.repository.errors import RepositoryDamaged
from recsketch.repository.graph.graph import Graph
from recsketch.repository.graph.linking import Links
from recsketch.repository.segments import Rows
from recsketch.repository.state import OBJECT, State

if TYPE_CHECKING:
    import numpy.typing as npt


class _Part(NamedTuple):
    """Edges of one kind, between numbers of nodes."""

    kind: int
    sources: npt.NDArray[np.int64]
    targets: npt.NDArray[np.int64]
    values: npt.NDArray[np.float64]
    positions: npt.NDArray[np.int32] | None = None
    scores: npt.NDArray[np.float64] | None = None


class _Numbers:
    """Numbers of nodes by row numbers."""

    def __init__(self, rows: npt.NDArray[np.int64]) -> None:
        self._order = np.argsort(rows)
        self._rows = rows[self._order]

    def there(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        return np.isin(rows, self._rows)

    def of(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Of rows that must be there."""
        if not self.there(rows).all():
            raise RepositoryDamaged(f"{tables.NAME}: wanted edges between what is there; got others")
        return np.asarray(self._order[np.searchsorted(self._rows, rows)], np.int64)


def graph(
    db: sqlite3.Connection,
    state: State,
    modules: list[str],
    chosen: Rows | None,
    links: Links | None,
    k: int,
    least: float,
) -> Graph:
    """Nodes and edges of the runs that are chosen, or all."""
    found = lines.all_of_them(db, state)
    if chosen is not None:
        picked = set(chosen.tolist())
        found = [line for line in found if line[0] in picked]
    keys = {row: key for row, key, _ in found}
    objects = [o for o in _objects(db) if o[2] in keys]
    rows = np.array([*keys, *(o[0] for o in objects)], np.int64)
    numbers = _Numbers(rows)
    used = sorted({o[1] for o in objects}, key=modules.index)
    names = [f"run:{key}" for key in keys.values()]
    names += [f"object:{keys[run]}/{path}" for _, _, run, path, _ in objects]
    names += [f"module:{module}" for module in used]
    kinds = [Graph.RUN] * len(keys) + [Graph.OBJECT] * len(objects) + [Graph.MODULE] * len(used)
    parts = [_inputs(db, numbers, {o[2] for o in objects}), _instances(objects, len(keys), used)]
    kept, instances = _concepts(db, numbers, len(names))
    names += [f"concept:{name}" for name in kept]
    kinds += [Graph.CONCEPT] * len(kept)
    parts += instances
    if links is not None:
        parts.append(_similar(links, numbers, k, least))
    return _made(names, kinds, parts)


def _objects(db: sqlite3.Connection) -> list[tuple[Any, ...]]:
    """Row, module, run, path and confidence of all objects, those of a run together."""
    return [(row, kind.removeprefix(OBJECT), *rest) for row, kind, *rest in edges.objects(db)]


def _inputs(db: sqlite3.Connection, numbers: _Numbers, runs: set[int]) -> _Part:
    found = edges.read(db, "inputs")
    if not runs <= set(found.lines.tolist()):
        raise RepositoryDamaged(f"{tables.NAME}: wanted inputs of all runs that have objects; got fewer")
    e = found.edges[np.isin(found.of, np.array([*runs], np.int64))]
    return _Part(Graph.INPUT, numbers.of(e["user"]), numbers.of(e["input"]), e["weight"], e["position"])


def _instances(objects: list[tuple[Any, ...]], runs: int, used: list[str]) -> _Part:
    first = runs + len(objects)
    place = {module: first + i for i, module in enumerate(used)}
    targets = np.array([place[o[1]] for o in objects], np.int64)
    confidence = np.array([o[4] for o in objects], np.float64)
    return _Part(Graph.INSTANCE_OF, np.arange(runs, first, dtype=np.int64), targets, confidence)


def _concepts(db: sqlite3.Connection, numbers: _Numbers, first: int) -> tuple[list[str], list[_Part]]:
    """Numbers of concepts, and the edges from runs to them; nodes of concepts are numbered from `first` on."""
    if not concepts.is_kept(db):
        return [], []
    names, parts = list[str](), list[_Part]()
    for name, rows in concepts.members(db).items():
        there = np.array(rows, np.int64)
        there = there[numbers.there(there)]
        if len(there):
            sources, targets = numbers.of(there), np.full(len(there), first + len(names), np.int64)
            parts.append(_Part(Graph.INSTANCE_OF, sources, targets, np.ones(len(there))))
            names.append(str(name))
    return names, parts


def _similar(links: Links, numbers: _Numbers, k: int, least: float) -> _Part:
    near, contrast = links.near[:, :k], links.contrast[:, :k]
    there = (contrast >= least) & (near >= 0)
    i, j = np.nonzero(there)
    sources, targets = links.rows[i], near[i, j]
    both = numbers.there(sources) & numbers.there(targets)
    i, j = i[both], j[both]
    values, scores = (x[i, j].astype(np.float64) for x in (links.contrast, links.score))
    return _Part(Graph.SIMILAR, numbers.of(sources[both]), numbers.of(targets[both]), values, None, scores)


def _made(names: list[str], kinds: list[int], parts: list[_Part]) -> Graph:
    count = [len(p.sources) for p in parts]
    nodes = np.empty(len(names), object)
    nodes[:] = names
    none = [np.full(n, -1, np.int32) for n in count], [np.full(n, np.nan) for n in count]
    return Graph(
        nodes=nodes,
        node_kinds=np.array(kinds, np.uint8),
        sources=np.concatenate([p.sources for p in parts]),
        targets=np.concatenate([p.targets for p in parts]),
        edge_kinds=np.repeat(np.array([p.kind for p in parts], np.uint8), count),
        values=np.concatenate([p.values for p in parts]),
        positions=np.concatenate(
            [n if p.positions is None else p.positions for p, n in zip(parts, none[0], strict=True)]
        ),
        scores=np.concatenate([n if p.scores is None else p.scores for p, n in zip(parts, none[1], strict=True)]),
    )
