"""Objects of sketches through operators that were learned: least squares over all that may be there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

from recsketch.learning.operators.masks import Operator, Path

if TYPE_CHECKING:
    import numpy.typing as npt

    Doubles: TypeAlias = npt.NDArray[np.float64]
    Flags: TypeAlias = npt.NDArray[np.bool_]

RIDGE = 1e-12  # of the Gram matrix's diagonal, so that it has an inverse
PRESENT = 0.05  # of a sketch's loudest counter, and so many errors: an object is there
ERRORS = 5.0


class Turn(NamedTuple):
    """A learned operator: T x[k] = cos x[k] + sin sign[k] x[k XOR mask], of blocks; a sign of 0 is not known."""

    mask: int
    signs: Doubles


@dataclass
class Machine:
    """Everything that makes columns: strings (u, places, block) of every module, its counter last, and operators."""

    cosine: float
    sine: float
    strings: list[Doubles]
    turns: dict[Operator, Turn]

    def apply(self, operator: Operator, x: Any) -> Any:
        """T x of blocks (..., places, block), floats or doubles."""
        return self._turned(operator, x, self.sine)

    def adjoint(self, operator: Operator, x: Any) -> Any:
        return self._turned(operator, x, -self.sine)

    def _turned(self, operator: Operator, x: Any, sine: float) -> Any:
        mask, signs = self.turns[operator]
        out = x[..., np.arange(x.shape[-2]) ^ mask, :]
        out *= (sine * signs)[:, None].astype(x.dtype)
        return np.add(out, x.dtype.type(self.cosine) * x, out=out)

    def columns(self, path: Path, module: int) -> Doubles:
        """(u, d) of an object at the end of a path."""
        x = self.strings[module]
        for q in (("branch", 0), ("module", module), *reversed(path)):
            x = self.apply(q, x)
        return x.reshape(len(x), -1)


@dataclass(frozen=True)
class Place:
    """Where an object may be."""

    path: Path
    module: int


class Fit(NamedTuple):
    """values, of each place (n, u) unknowns and the counter; left (n, d), what they do not explain."""

    values: list[Doubles]
    left: Doubles


class Reader:
    """Least squares of objects at some places. A sketch's objects are a row of flags."""

    def __init__(self, machine: Machine, places: Sequence[Place]) -> None:
        self.places = places
        blocks = [machine.columns(p.path, p.module) for p in places]
        self.ends = np.cumsum([0, *(len(b) for b in blocks)])
        self.columns = np.concatenate(blocks)

    def fit(self, sketches: Doubles, present: Flags, damping: float = 0.0) -> Fit:
        """Of the objects that are said to be there. damping: of the Gram matrix's diagonal."""
        left = sketches.copy()
        values = [np.zeros((len(sketches), n)) for n in np.diff(self.ends)]
        kinds, kind = np.unique(present, axis=0, return_inverse=True)
        for k, there in enumerate(kinds):
            rows, own = np.flatnonzero(kind.ravel() == k), np.flatnonzero(there)
            if not own.size:
                continue
            at = np.concatenate([np.arange(self.ends[i], self.ends[i + 1]) for i in own])
            own_columns = self.columns[at]
            gram = self._gram[np.ix_(at, at)]
            gram[np.diag_indices(at.size)] *= 1.0 + damping
            x = np.linalg.solve(gram, (sketches[rows] @ own_columns.T).T).T
            for i, part in zip(
                own, np.split(x, np.cumsum([values[i].shape[1] for i in own])[:-1], axis=1), strict=True
            ):
                values[i][rows] = part
            left[rows] -= x @ own_columns
        return Fit(values, left)

    def norms(self) -> list[Doubles]:
        """Squares of the columns' norms at each place: one, or less where a sign is not known."""
        square = np.square(self.columns).sum(axis=1)
        return np.split(square, self.ends[1:-1])

    @cached_property
    def _gram(self) -> Doubles:
        """(unknowns, unknowns) products of all columns, of which each kind of sketch takes its own."""
        return np.asarray(self.columns @ self.columns.T)

    @cached_property
    def _counters(self) -> tuple[Doubles, Doubles]:
        """Of all counters, fitted with all that may be there: (d, places) what a sketch times is them, and (places,)
        their errors at a noise of one."""
        gram = self._gram.copy()
        gram[np.diag_indices(len(gram))] *= 1.0 + RIDGE
        inverse = np.linalg.inv(gram)
        counter = self.ends[1:] - 1
        return self.columns.T @ inverse[:, counter], np.sqrt(np.maximum(np.diag(inverse)[counter], 0.0))

    def present(self, sketches: Doubles, noise: Doubles) -> Flags:
        """(n, places): which objects are there, by their counters once all that may be there are fitted."""
        solution, error = self._counters
        found = sketches @ solution
        error = noise[:, None] * error
        loudest = found.max(axis=1, initial=0.0)[:, None]
        there = (found > PRESENT * loudest) & (found > ERRORS * error) & (loudest > 0)
        return with_users(self.places, there)


def with_users(places: Sequence[Place], present: Flags) -> Flags:
    """Objects whose users are there, too."""
    at = {(p.path, p.module): i for i, p in enumerate(places)}
    out = present.copy()
    for i, p in sorted(enumerate(places), key=lambda x: len(x[1].path)):
        if len(p.path) > 1:
            user = at.get((p.path[:-3], p.path[-3][1]))  # T_M of the user, T_in, and the position
            out[:, i] &= out[:, user] if user is not None else False
    return out
