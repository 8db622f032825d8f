"""One object of a run, as it is read from a `Trace`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from recsketch._values import Record

if TYPE_CHECKING:
    from recsketch._check import Floats


@dataclass(frozen=True, eq=False, slots=True)
class TraceObject(Record):
    """One use of a module. Two are equal if all four fields are, the attributes element by element.

    Attributes
    ----------
    module : str
    attribute : (a,) float32
        What the module produced, read-only.
    inputs : tuple of int
        Numbers of the objects it was made from, each smaller than its own.
    weights : tuple of float
        Their weights, as given.

    Examples
    --------
    >>> import recsketch as rs
    >>> trace = rs.Trace()
    >>> i = trace.add("eye", [3.0, 4.0])
    >>> trace.objects[i].module, trace.objects[i] == trace.objects[i]
    ('eye', True)
    """

    module: str
    attribute: Floats
    inputs: tuple[int, ...]
    weights: tuple[float, ...]
