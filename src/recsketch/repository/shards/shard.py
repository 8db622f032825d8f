"""What is asked of one shard, in whatever process: how many rows it has, the sum of some, and the best of them."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np

import recsketch.repository.search as search
from recsketch._check import Floats
from recsketch.repository.columns import Column
from recsketch.repository.finding import Condition
from recsketch.repository.results import Hit
from recsketch.repository.state import State
from recsketch.repository.store import SketchRepository

if TYPE_CHECKING:
    import numpy.typing as npt

Made = TypeVar("Made")

_GUARD = threading.Lock()
_OPEN: dict[tuple[int, str, bytes], SketchRepository] = {}  # by process, too: a child must not use its parent's


class Size(NamedTuple):
    """Of the rows of one kind.

    Attributes
    ----------
    state : tuple of int
        Which state of the shard was looked at.
    total : int
        Rows, deleted ones included.
    live : int
        Rows that are not deleted.
    """

    state: tuple[int, int]
    total: int
    live: int


class Query(NamedTuple):
    """What all shards are asked for.

    Attributes
    ----------
    sketches : (q, d) float32
    k : int
    condition : Condition or None
    kind : str
    kept : (q, d) bool or None
        Of a partial query.
    mean : (d,) float32 or None
        Of all shards.
    """

    sketches: Floats
    k: int
    condition: Condition | None
    kind: str
    kept: npt.NDArray[np.bool_] | None
    mean: Floats | None


@dataclass
class Shard:
    """A repository, which every process that is sent this opens for itself, once.

    Parameters
    ----------
    path : str
    identity : bytes
        Another repository in its place is refused.
    threads : int or None
    own : SketchRepository, optional
        The sender's, which is not sent.
    """

    path: str
    identity: bytes
    threads: int | None
    own: SketchRepository | None = field(default=None, repr=False)

    def __reduce__(self) -> tuple[Any, ...]:
        return Shard, (self.path, self.identity, self.threads)

    def repository(self) -> SketchRepository:
        """It, opened to read."""
        if self.own is not None:
            return self.own
        key = (os.getpid(), self.path, self.identity)
        with _GUARD:
            if key not in _OPEN:
                found = SketchRepository.open(self.path, threads=self.threads)
                if found._settings.identity != self.identity:
                    found.close()
                    raise ValueError("wanted the repository that was there at first; got another one in its place")
                _OPEN[key] = found
            return _OPEN[key]

    def read(self, kind: str, make: Callable[[sqlite3.Connection, State, Column], Made]) -> Made:
        """What `make` makes of one state and its rows of a kind."""
        repository = self.repository()
        return repository._reading(lambda db, state: make(db, state, repository._columns.at(db, state, kind)))


def size(shard: Shard, kind: str) -> Size:
    """How many rows of a kind there are."""
    return shard.read(kind, lambda _, state, column: Size(_of(state), sum(map(len, column.segments)), column.live))


def share(
    shard: Shard, kind: str, state: tuple[int, int], picked: npt.NDArray[np.intp]
) -> tuple[npt.NDArray[np.float64], int] | None:
    """The sum of the rows that are picked, by their places, and how many of them live; None if the state is another."""

    def make(_: sqlite3.Connection, now: State, column: Column) -> tuple[npt.NDArray[np.float64], int] | None:
        if _of(now) != state:
            return None
        return search.summed(search.sampled(column, picked), shard.repository().spec.dim)

    return shard.read(kind, make)


def hits(shard: Shard, state: tuple[int, int], query: Query) -> list[list[Hit]] | None:
    """The best runs for each query; None if the state is another."""

    def make(db: sqlite3.Connection, now: State, _: Column) -> list[list[Hit]] | None:
        if _of(now) != state:
            return None
        finder, q = shard.repository()._finder, query
        return finder.runs(db, now, q.sketches, q.k, q.condition, q.kind, q.kept, centre=lambda _: q.mean)

    return shard.read(query.kind, make)


def _of(state: State) -> tuple[int, int]:
    return state.changes, state.generation
