"""What a monitor says when something changed."""

from __future__ import annotations

from dataclasses import dataclass

import recsketch._check as _check
from recsketch._values import Record
from recsketch.runs import drawing


@dataclass(frozen=True, eq=False)
class Alarm(Record):
    """A stream of runs is no longer like the reference. Two are equal if all fields are.

    Attributes
    ----------
    element : str
        In which element that shows most.
    kind : {"higher", "lower", "wider", "narrower"}
        What earned most: bets on larger or smaller values, or on values that scatter more or less.
    evidence : float
        At least 1 / alpha. Where nothing changes, it would ever be so large in at most a share 1 / evidence of streams.
    blocks, runs : int
        After how many of the stream.
    alpha : float
    """

    element: str
    kind: str
    evidence: float
    blocks: int
    runs: int
    alpha: float

    def __str__(self) -> str:
        change = f"{drawing.printable(self.element)} is {self.kind} than in the reference"
        text = f"Alarm after {_check.count(self.runs, 'run')}: {change}, evidence {self.evidence:.3g}."
        rule = f"At most {100 * self.alpha:.2g}% of monitors ever say so where nothing changed."
        return f"{text} {rule} This one is done: make a new one, with a reference of what is usual now."
