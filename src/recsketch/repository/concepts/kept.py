"""Concepts as a repository keeps them: what `Emergence` does, in tables, by the transaction that adds the runs."""

from __future__ import annotations

import contextlib
import json
import math
import sqlite3
import struct
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

import recsketch.repository.columns as columns
import recsketch.repository.concepts.emergence as emergence
import recsketch.repository.lines as lines
import recsketch.repository.tables as tables
from recsketch.repository.columns import Column
from recsketch.repository.concepts.emergence import Emergence, Group, Trial
from recsketch.repository.concepts.modes import LEAST, Space
from recsketch.repository.errors import RepositoryDamaged
from recsketch.repository.results import Concept, ConceptEvent
from recsketch.repository.segments import Rows

if TYPE_CHECKING:
    import numpy.typing as npt

_SIZES = struct.Struct("<qq")  # numbers of a vector, and axes
KINDS = ("born", "grew", "split_from", "merged_into", "retired")


class Keeper:
    """Keeps concepts up to date within a writer's transactions.

    Parameters
    ----------
    db : sqlite3.Connection
    folder : str
    kind : str
        Of the rows that are compared.
    dim : int
        Numbers of each.
    """

    def __init__(self, db: sqlite3.Connection, folder: str, kind: str, dim: int) -> None:
        self._db, self._folder, self._kind, self._dim = db, folder, kind, dim
        self._state: Emergence | None = None
        self._space: Space | None = None  # as it is stored
        self._told = 0  # events

    @contextlib.contextmanager
    def guarded(self) -> Iterator[None]:
        """After an error in the body, which may have been taken back, the state is read again from the tables."""
        try:
            yield
        except BaseException:
            self._state = None
            raise

    def begin(self) -> None:
        """Make the tables, and look at all rows that are there."""
        for statement in tables.CONCEPTS.split(";"):
            self._db.execute(statement)
        self._state = Emergence()
        for (row,) in self._db.execute("SELECT row FROM runs ORDER BY row").fetchall():
            for x in self._vectors([row]).values():
                self._state.add(row, x)
        self._save(self._state)

    def add(self, rows: Rows, vectors: npt.NDArray[np.float32]) -> None:
        """Rows that are new, and what is stored of them."""
        state = self._loaded()
        for row, x in zip(rows.tolist(), vectors, strict=True):
            state.add(row, x)
        self._save(state)

    def drop(self, rows: Rows) -> None:
        """Rows that are about to be deleted."""
        state = self._loaded()
        for row in rows.tolist():
            concept = of_row(self._db, row)
            self._db.execute("DELETE FROM members WHERE row = ?", (row,))
            state.forget(row, concept)
        for g in [g for g in state.live if g.id in state.touched]:
            self._refill(state, g)
        self._save(state)

    def _refill(self, state: Emergence, g: Group) -> None:
        """A concept that has lost most of its latest members is made of those before them."""
        if g.count == 0:
            state.drop(g, "retired")
        elif len(g.rows) < min(LEAST, g.count):
            found = self._vectors(_members(self._db, g.id)[-2 * LEAST :], state.space)
            if not found:
                raise _damaged(f"a member of concept {g.id}")
            g.remake([*found], [*found.values()])

    def _vectors(self, rows: Iterable[int], space: Space | None = None) -> dict[int, npt.NDArray[np.float32]]:
        """Vectors of rows, placed. One that is not there or damaged, of which `check` tells, costs no other run."""
        found = {}
        for row in rows:
            with contextlib.suppress(RepositoryDamaged):
                x = columns.unpacked(self._db, self._folder, self._kind, row)
                found[row] = x if space is None else space.place(x)
        return found

    # ------------------------------------------------------------ to and from the tables

    def _save(self, state: Emergence) -> None:
        for row, concept in state.moves:
            self._put("members", row, concept)
        names = {g.id for g in state.live}
        into = {e.concept: e.other if e.kind == "merged_into" else None for e in state.events}
        for g in state.live:
            if g.id in state.touched:
                self._put("concepts", g.id, json.dumps(_group_values(g)))
        for name in state.touched - names:
            self._put("concepts", name, json.dumps({"into": into.get(name)}))
        for event in state.events:
            self._put("events", self._told, *event)
            self._told += 1
        trials = [[t.rows, t.cap, t.bets] for t in state.trials]
        value = {"placed": state.placed, "next": state.next, "outliers": state.outliers, "trials": trials}
        value["events"] = self._told
        self._put("emergence", "state", json.dumps(value).encode())
        if state.space is not self._space:
            self._db.execute("DELETE FROM emergence WHERE name = 'space'")
            if state.space is not None:
                self._put("emergence", "space", _space_bytes(state.space))
            self._space = state.space
        state.moves, state.events, state.touched = [], [], set()

    def _put(self, table: str, *line: Any) -> None:
        marks = ", ".join("?" * (len(line) + 1))
        self._db.execute(f"INSERT OR REPLACE INTO {table} VALUES ({marks})", (*line, tables.crc(*line)))

    def _loaded(self) -> Emergence:
        if self._state is not None:
            return self._state
        state = Emergence()
        value = state_values(self._db)
        state.placed, state.next, self._told = value["placed"], value["next"], value["events"]
        state.space = self._space = _space(self._db, self._dim)
        found = self._vectors(value["outliers"], state.space)
        state.outliers, state.points = [*found], [*found.values()]
        for rows, cap, bets in value["trials"]:
            points = [*self._vectors(rows, state.space).values()]
            if len(points) == len(rows):
                state.trials.append(Trial(rows, cap, bets, np.mean(points, axis=0, dtype=np.float64)))
        for g in groups(self._db, value):
            rows, g.rows = g.rows, []
            for row, x in self._vectors(rows, state.space).items():
                g.put(row, x)
            if not g.rows:
                self._refill(state, g)
            state.live.append(g)
        self._state = state
        return state


# ---------------------------------------------------------------- what is stored


def is_kept(db: sqlite3.Connection) -> bool:
    """Whether a repository looks for concepts."""
    return db.execute("SELECT 1 FROM sqlite_master WHERE name = 'emergence'").fetchone() is not None


def _space_bytes(space: Space) -> bytes:
    numbers: list[Any] = [space.origin, [space.unit, space.floor], space.gains, space.axes.ravel()]
    return _SIZES.pack(len(space.origin), len(space.gains)) + np.concatenate(numbers).astype("<f8").tobytes()


def _space(db: sqlite3.Connection, dim: int) -> Space | None:
    line = db.execute("SELECT name, value, crc FROM emergence WHERE name = 'space'").fetchone()
    if line is None:
        return None
    blob = tables.checked("the metric of concepts", line)[1]
    whole = blob if isinstance(blob, bytes) and len(blob) >= _SIZES.size else bytes(_SIZES.size)
    d, r = _SIZES.unpack_from(whole)
    if d != dim or not 0 <= r < d or len(whole) != _SIZES.size + 8 * (d + 2 + r + r * d):
        raise _damaged("the metric of concepts")
    x = np.frombuffer(whole, "<f8", offset=_SIZES.size).astype(np.float64)
    if not np.isfinite(x).all() or x[d] <= 0:
        raise _damaged("the metric of concepts")
    return Space(x[:d], float(x[d]), x[d + 2 + r :].reshape(r, d), x[d + 2 : d + 2 + r], float(x[d + 1]))


def state_values(db: sqlite3.Connection) -> dict[str, Any]:
    """The line of state, checked."""
    line = db.execute("SELECT name, value, crc FROM emergence WHERE name = 'state'").fetchone()
    if line is None:
        raise _damaged("the state of concepts")
    value = _json("the state of concepts", tables.checked("the state of concepts", line)[1])
    good = (
        set(value) == {"placed", "next", "events", "outliers", "trials"}
        and _whole(value["placed"], value["next"], value["events"], *_list(value["outliers"]))
        and all(
            len(_list(t)) == 3 and _whole(*_list(t[0])) and t[0] and _finite(t[1], *_list(t[2]))
            for t in _list(value["trials"])
        )
    )
    if not good:
        raise _damaged("the state of concepts")
    return value


def _group_values(g: Group) -> dict[str, Any]:
    names = ("born", "seen", "count", "shown", "weight", "mean", "variance", "first", "share", "rows")
    return {**{name: getattr(g, name) for name in names}, "rivals": [[k, v] for k, v in g.rivals.items()]}


def groups(db: sqlite3.Connection, state: dict[str, Any]) -> list[Group]:
    """Concepts that live, without their vectors."""
    known = db.execute("SELECT id, value, crc FROM concepts ORDER BY id").fetchall()
    if [line[0] for line in known] != list(range(min(state["next"], len(known) + 1))):
        raise RepositoryDamaged(f"{tables.NAME}: wanted {state['next']} concepts; got others")
    found = []
    for line in known:
        name, text = tables.checked("a concept", line)
        value = _json("a concept", text)
        if set(value) == {"into"}:
            continue
        whole, real = ("born", "seen", "count", "shown", "weight"), ("mean", "variance", "first", "share")
        good = (
            set(value) == {*whole, *real, "rows", "rivals"}
            and _whole(*(value[k] for k in whole), *_list(value["rows"]))
            and _finite(*(value[k] for k in real))
            and all(len(_list(x)) == 2 and _whole(x[0]) and _finite(x[1]) for x in _list(value["rivals"]))
            and value["weight"] > 0
            and value["variance"] > 0
            and 0 < len(value["rows"]) <= value["count"]
            and max(value["born"], value["seen"]) <= state["placed"]
        )
        if not good:
            raise _damaged("a concept")
        rivals = {k: float(v) for k, v in value.pop("rivals")}
        found.append(Group(id=int(name), rivals=rivals, **value))  # type: ignore[call-overload]
    return found


def _json(what: str, text: Any) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, TypeError, RecursionError):
        raise _damaged(what) from None
    if not isinstance(value, dict):
        raise _damaged(what)
    return value


def _list(x: Any) -> list[Any]:
    return x if isinstance(x, list) else [None]


def _whole(*numbers: Any) -> bool:
    return all(type(x) is int and 0 <= x < 2**63 for x in numbers)


def _finite(*numbers: Any) -> bool:
    return all(type(x) in (int, float) and math.isfinite(x) for x in numbers)


def _damaged(what: str) -> RepositoryDamaged:
    return RepositoryDamaged(f"{tables.NAME}: wanted {what} as it was written; got another")


# ---------------------------------------------------------------- what readers ask


def heirs(db: sqlite3.Connection) -> dict[int, int]:
    """Which concept each merged one became a part of."""
    found: dict[int, int] = {}
    for line in db.execute("SELECT id, value, crc FROM concepts WHERE value LIKE '{\"into\"%'").fetchall():
        name, text = tables.checked("a concept", line)
        value = _json("a concept", text)
        if _whole(value.get("into")):
            found[int(name)] = value["into"]  # type: ignore[call-overload]
    return found


def parts(db: sqlite3.Connection, concept: int) -> list[int]:
    """A concept and all that were merged into it."""
    into = heirs(db)
    found = [concept]
    for name in found:
        found += [k for k, v in into.items() if v == name and k not in found]
    return found


def _rows_of(db: sqlite3.Connection, concept: int) -> list[int]:
    found = db.execute("SELECT row, concept, crc FROM members WHERE concept = ? ORDER BY row", (concept,)).fetchall()
    return [int(tables.checked("a member of a concept", line)[0]) for line in found]  # type: ignore[call-overload]


def of_row(db: sqlite3.Connection, row: int) -> int | None:
    """The concept of a row, after mergers."""
    line = db.execute("SELECT row, concept, crc FROM members WHERE row = ?", (row,)).fetchone()
    if line is None:
        return None
    name: int = tables.checked("a member of a concept", line)[1]  # type: ignore[assignment]
    into, seen = heirs(db), set[int]()
    while name in into and name not in seen:
        seen.add(name)
        name = into[name]
    return name


def concepts(db: sqlite3.Connection, sketches: Column) -> list[Concept]:
    """Those that live."""
    state, found = state_values(db), list[Concept]()
    placed = state["placed"]
    for g in groups(db, state):
        members = sorted(pair for part in parts(db, g.id) for pair in _keys_of(db, part))
        if len(members) != g.count:
            raise RepositoryDamaged(f"{tables.NAME}: wanted {g.count} members of concept {g.id}; got {len(members)}")
        packed = sketches.packed(np.array(g.rows, np.int64))
        if packed is None or len(packed[0]) != len(g.rows):
            raise RepositoryDamaged(f"{tables.NAME}: wanted the rows of concept {g.id}; got others")
        prototype = packed[1].unpack().mean(axis=0, dtype=np.float64).astype(np.float32)
        keys, growth = tuple(key for _, key in members), g.recent(placed)
        found.append(Concept(g.id, keys, g.count, placed - g.born, growth, prototype))
    return found


def _keys_of(db: sqlite3.Connection, concept: int) -> list[tuple[int, str]]:
    """Rows and keys of those that were moved to a concept."""
    query = "SELECT row, key, metadata, runs.crc FROM members JOIN runs USING (row) WHERE concept = ?"
    return [lines.parsed(line)[:2] for line in db.execute(query, (concept,)).fetchall()]


def members(db: sqlite3.Connection) -> dict[int, list[int]]:
    """Rows of each concept that lives, those of the merged ones among them."""
    return {g.id: _members(db, g.id) for g in groups(db, state_values(db))}


def _members(db: sqlite3.Connection, concept: int) -> list[int]:
    return sorted(row for part in parts(db, concept) for row in _rows_of(db, part))


def warming(db: sqlite3.Connection) -> int:
    """How many more vectors the cold start wants."""
    found = db.execute("SELECT 1 FROM emergence WHERE name = 'space'").fetchone()
    return 0 if found else emergence.SETTLE - len(state_values(db)["outliers"])


def events(db: sqlite3.Connection, since: int) -> list[ConceptEvent]:
    """Those of numbers from one on."""
    found: list[ConceptEvent] = []
    query = "SELECT number, placed, kind, concept, other, crc FROM events WHERE number >= ? ORDER BY number"
    for line in db.execute(query, (since,)).fetchall():
        number, placed, kind, concept, other = tables.checked("an event", line)
        if number != since + len(found) or kind not in KINDS or not _whole(placed, concept):
            raise _damaged("an event")
        found.append(ConceptEvent(number, placed, kind, concept, other))  # type: ignore[arg-type]
    if since + len(found) < state_values(db)["events"]:
        raise _damaged("the last event")
    return found


def problems(db: sqlite3.Connection, runs: set[int], dim: int) -> list[str]:
    """What is wrong with what is stored of concepts."""
    told, state = [], state_values(db)
    _space(db, dim)
    events(db, 0)
    members: dict[int, set[int]] = {}
    for line in db.execute("SELECT row, concept, crc FROM members").fetchall():
        row, concept = tables.checked("a member of a concept", line)
        members.setdefault(concept, set()).add(row)  # type: ignore[arg-type]
    for g in groups(db, state):
        rows = set().union(*(members.get(part, set()) for part in parts(db, g.id)))
        if len(rows) != g.count or not set(g.rows) <= rows:
            told.append(f"{tables.NAME}: wanted {g.count} members of concept {g.id}; got others")
    if not set().union(*members.values(), state["outliers"]) <= runs:
        told.append(f"{tables.NAME}: wanted members of concepts that are there; got others")
    return told
