"""What a repository answers with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import recsketch._check as _check
from recsketch._check import Floats
from recsketch._values import Record
from recsketch.repository.conditions import Scalar
from recsketch.sketching.packing import PackedSketches


@dataclass(frozen=True, eq=False)
class StoredRun(Record):
    """One run as a repository keeps it. Two are equal if all fields are.

    Attributes
    ----------
    key : str
    packed : PackedSketches
        Of one sketch, as it is stored: every decoder takes it, and knows what rounding cost.
    order : (d,) float32 or None
        Its unordered sketch, if the run itself was added.
    metadata : mapping
    """

    key: str
    packed: PackedSketches
    order: Floats | None
    metadata: Mapping[str, Scalar]

    @property
    def sketch(self) -> Floats:
        """(d,) float32: `packed`, unpacked."""
        return self.packed.unpack()

    def __str__(self) -> str:
        head = f"StoredRun {_check.shown(self.key)}: {self.packed.dim} numbers as {self.packed.dtype}"
        return f"{head}, {_check.shown(dict(self.metadata))}"


@dataclass(frozen=True, eq=False)
class Hit(Record):
    """A run that was found. Two are equal if all fields are.

    Attributes
    ----------
    key : str
    score : float
        Cosine of its sketch with the query's.
    contrast : float
        The same once both have norm one and less the mean of such sketches: about 0 for unlike runs, whatever all runs
        have in common. Hits are ordered by it. In a repository of fewer than 8 runs no mean is subtracted.
    metadata : mapping
    path : tuple of int, optional
        Of an object that was found: positions from the network's outputs down to it.
    """

    key: str
    score: float
    contrast: float
    metadata: Mapping[str, Scalar] = field(default_factory=dict)
    path: tuple[int, ...] | None = None

    def __str__(self) -> str:
        at = "" if self.path is None else f" at {'.'.join(map(str, self.path))}"
        return f"{self.key}{at}: contrast {self.contrast:.3f}, score {self.score:.3f}"


@dataclass(frozen=True, eq=False)
class Concept(Record):
    """A kind of run that emerged. Two are equal if all fields are.

    Attributes
    ----------
    id : int
        Its number, which no other concept ever has.
    members : tuple of str
        Keys of the runs that belong to it, in the order in which they were added.
    count : int
        How many.
    age : int
        Runs that were looked at since it was born.
    growth : float
        Which share of recent runs belongs to it: one that is n runs old counts exp(-n / 300).
    prototype : (d,) float32
        The mean of the sketches of its latest 128 members, which decoders read as any sum of sketches: what its members
        have in common.
    """

    id: int
    members: tuple[str, ...]
    count: int
    age: int
    growth: float
    prototype: Floats

    def __str__(self) -> str:
        size = _check.count(self.count, "run")
        return f"concept {self.id}: {size}, {self.growth:.1%} of recent ones; {self.age} runs old"


@dataclass(frozen=True, eq=False)
class ConceptEvent(Record):
    """What happened to a concept. Two are equal if all fields are.

    Attributes
    ----------
    number : int
        Events are numbered from 0.
    placed : int
        How many runs had been looked at by then.
    kind : {"born", "grew", "split_from", "merged_into", "retired"}
        "grew": it has twice as many members as when that was last said. "retired": it had no new member for 20,000
        runs, or none is left.
    concept : int
    other : int or None
        Which one it was split from, or became a part of.
    """

    number: int
    placed: int
    kind: str
    concept: int
    other: int | None

    def __str__(self) -> str:
        other = "" if self.other is None else f" {self.other}"
        return f"after {self.placed} runs: concept {self.concept} {self.kind.replace('_', ' ')}{other}"


@dataclass(frozen=True, eq=False)
class RepositoryCheck(Record):
    """What a check of all bytes found. Two are equal if all fields are.

    Attributes
    ----------
    ok : bool
        Every run is as it was written, and nothing is left that should be gone.
    problems : tuple of str
        What is not.
    runs, rows, bytes : int
        How many runs, rows of segments that are not deleted, and bytes of all files there are.
    """

    ok: bool
    problems: tuple[str, ...]
    runs: int
    rows: int
    bytes: int

    def __str__(self) -> str:
        size = f"{_check.count(self.runs, 'run')}, {_check.count(self.rows, 'row')}, {self.bytes:,} bytes"
        return "\n".join([f"{'whole' if self.ok else 'damaged'}: {size}", *(f"! {text}" for text in self.problems)])
