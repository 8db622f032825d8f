"""What runs are made of, as it is exported: all objects in columns, and back, without trust."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

import recsketch._check as _check
import recsketch.repository.given as given
import recsketch.repository.graph.edges as edges
import recsketch.repository.tables as tables
from recsketch.repository.columns import Columns
from recsketch.repository.errors import RepositoryDamaged
from recsketch.repository.given import Input, Object, Parts
from recsketch.repository.segments import Rows
from recsketch.repository.state import OBJECT, State
from recsketch.sketching.spec import SketchSpec

if TYPE_CHECKING:
    import numpy.typing as npt


class Columned(NamedTuple):
    """Objects and their uses, all of a run together, runs ascending.

    Attributes
    ----------
    run, module, depth, confidence : (n,) of int64, int32, int32, float64
        Of each object: the number of its run, of its module in the specification, how long its path is, and `Object`'s.
    path, attribute : int32, float32
        Of all objects, one after the other.
    use_run, user, used, position, weight : (m,) of int64, int32, int32, int32, float64
        Of each use: the number of its run, and `Input`'s.
    """

    run: npt.NDArray[np.int64]
    module: npt.NDArray[np.int32]
    depth: npt.NDArray[np.int32]
    confidence: npt.NDArray[np.float64]
    path: npt.NDArray[np.int32]
    attribute: npt.NDArray[np.float32]
    use_run: npt.NDArray[np.int64]
    user: npt.NDArray[np.int32]
    used: npt.NDArray[np.int32]
    position: npt.NDArray[np.int32]
    weight: npt.NDArray[np.float64]


TYPES = dict(zip(Columned._fields, ["i8", "i4", "i4", "f8", "i4", "f4", "i8", "i4", "i4", "i4", "f8"], strict=True))


def read(db: sqlite3.Connection, columns: Columns, state: State, rows: Rows) -> list[Parts | None]:
    """What the runs of these rows are made of, None of those whose objects are not kept."""
    found: list[Parts | None] = [None] * len(rows)
    place = {row: i for i, row in enumerate(rows.tolist())}
    numbers: dict[int, int] = {}  # of objects, within their runs, by row
    kinds: dict[str, list[tuple[int, int]]] = {}
    for row, kind, run, path, confidence in edges.objects(db):
        if run in place:
            made = found[place[run]] = found[place[run]] or Parts([], [])
            numbers[row] = len(made.objects)
            kinds.setdefault(kind, []).append((row, place[run]))
            at = tuple(map(int, path.split(".")))
            made.objects.append(Object(kind.removeprefix(OBJECT), np.zeros(0, np.float32), at, confidence))
    for kind, members in kinds.items():
        packed = columns.at(db, state, kind).packed(np.array([row for row, _ in members]))
        if packed is None or len(packed[0]) != len(members):
            raise RepositoryDamaged(
                f"{tables.NAME}: wanted a row of kind {_check.shown(kind)} for each object; got fewer"
            )
        for (row, i), x in zip(members, packed[1].unpack(), strict=True):
            objects = found[i].objects  # type: ignore[union-attr]
            objects[numbers[row]] = objects[numbers[row]]._replace(attribute=x)
    known = edges.read(db, "inputs")
    for run, edge in zip(known.of.tolist(), known.edges.tolist(), strict=True):
        parts = found[place[run]] if run in place else None
        if parts is not None:
            user, used, weight, position = edge
            parts.inputs.append(Input(given.TOP if user == run else numbers[user], position, numbers[used], weight))
    return found


def columned(parts: list[Parts | None], spec: SketchSpec) -> Columned:
    """The parts of runs in columns."""
    names = {name: i for i, name in enumerate(spec.modules)}
    objects = [(i, o) for i, p in enumerate(parts) if p is not None for o in p.objects]
    uses = [(i, u) for i, p in enumerate(parts) if p is not None for u in p.inputs]
    made: list[Any] = [
        [i for i, _ in objects],
        [names[o.module] for _, o in objects],
        [len(o.path) for _, o in objects],
        [o.confidence for _, o in objects],
        [step for _, o in objects for step in o.path],
        np.concatenate([np.zeros(0, np.float32), *(o.attribute for _, o in objects)]),
        [i for i, _ in uses],
        [u.user for _, u in uses],
        [u.object for _, u in uses],
        [u.position for _, u in uses],
        [u.weight for _, u in uses],
    ]
    return Columned(*(np.array(x, t) for x, t in zip(made, TYPES.values(), strict=True)))


def parted(columns: Columned, count: int, spec: SketchSpec) -> list[Parts | None]:
    """Of so many runs: what `columned` put into columns, which may come from anywhere.

    Raises
    ------
    ValueError
        Columns that contradict each other or the specification.
    """
    c = Columned(*(_check.column(name, x, np.dtype(TYPES[name]).type) for name, x in columns._asdict().items()))
    n, m, modules = len(c.run), len(c.use_run), list(spec.modules)
    lengths = np.array(list(spec.modules.values()), np.int64)
    _fits("objects", n, (c.run, c.module, c.depth, c.confidence))
    _fits("uses", m, (c.use_run, c.user, c.used, c.position, c.weight))
    _within("run", c.run, 0, count - 1, ascending=True)
    _within("module", c.module, 0, len(modules) - 1)
    _within("depth", c.depth, 1, max(1, len(c.path)))
    _within("path", c.path, 0, 2**31 - 1)
    _within("confidence", c.confidence, 0.0, 1.0)
    _within("use_run", c.use_run, 0, count - 1, ascending=True)
    _within("position", c.position, 0, 2**31 - 1)
    _within("weight", c.weight, 0.0, float(np.finfo(np.float64).max))
    _within("attribute", c.attribute, -_check.LARGEST, _check.LARGEST)
    held = np.bincount(c.run, minlength=count)
    ends = np.cumsum(c.depth.astype(np.int64)), np.cumsum(lengths[c.module])
    if [int(e[-1]) if n else 0 for e in ends] != [len(c.path), len(c.attribute)]:
        raise ValueError("path, attribute: wanted as many numbers as their objects have; got others")
    for name, x, least in (("user", c.user, given.TOP), ("used", c.used, 0)):
        if m and (np.any(x < least) or np.any(x >= held[c.use_run])):
            raise ValueError(f"{name}: wanted numbers of the run's objects; got others")
    parts = [Parts([], []) for _ in range(count)]
    paths, attributes = (np.split(x, e[:-1]) if n else [] for x, e in zip((c.path, c.attribute), ends, strict=True))
    rest = (c.run.tolist(), c.module.tolist(), attributes, paths, c.confidence.tolist())
    for run, module, attribute, path, confidence in zip(*rest, strict=True):
        parts[run].objects.append(Object(modules[module], attribute, tuple(path.tolist()), confidence))
    uses = (c.use_run, c.user, c.position, c.used, c.weight)
    for run, *use in zip(*(x.tolist() for x in uses), strict=True):
        parts[run].inputs.append(Input(*use))
    for objects, inputs in parts:
        if len({o.path for o in objects}) < len(objects) or len({u[:2] for u in inputs}) < len(inputs):
            raise ValueError("path, position: wanted each once in a run, and below an object; got one twice")
    return [made if made.objects else None for made in parts]


def _fits(what: str, count: int, columns: tuple[npt.NDArray[Any], ...]) -> None:
    if any(len(x) != count for x in columns):
        raise ValueError(f"{what}: wanted columns of {count} each; got {[len(x) for x in columns]}")


def _within(name: str, x: npt.NDArray[Any], low: float, high: float, ascending: bool = False) -> None:
    if len(x) and not (np.all(x >= low) and np.all(x <= high)):
        raise ValueError(f"{name}: wanted numbers from {low} to {high}; got {_check.describe(x)}")
    if ascending and np.any(x[1:] < x[:-1]):
        raise ValueError(f"{name}: wanted numbers that ascend; got {_check.describe(x)}")
