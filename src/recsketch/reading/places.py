"""How much of a run came back: the objects of an unrolled run against those that were sketched, place by place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from recsketch.reading.results import Unrolled
from recsketch.reading.side import ROOT, Doubles, Member, Side
from recsketch.runs.trace import Trace

if TYPE_CHECKING:
    import numpy.typing as npt

CLOSE = 0.5  # of its norm: an attribute that is further off than that is not known


@dataclass(frozen=True)
class Agreement:
    """What `agreement` found.

    Attributes
    ----------
    errors : dict from int to float
        Of each object of the run that came back, by its number: |x - y| / |x|, the largest over its places.
    objects, found, false : int
        Objects of the run that reach an output; those of them that came back at one of their places at least; objects
        that were read and are in the run at no place where they stand.
    whole : bool
        Every object came back at every place, and nothing else.
    copies : int
        Objects that were read beyond one for each that came back.
    weight_error : float
        Largest difference of two shares of a tuple.
    """

    errors: dict[int, float]
    objects: int
    found: int
    false: int
    whole: bool
    copies: int
    weight_error: float


def agreement(run: Trace, read: Unrolled) -> Agreement:
    """Compare an unrolled run with the one that was sketched.

    Raises
    ------
    ValueError
        Inputs of an unrolled object do not come before it.

    Notes
    -----
    Cost: some 20 microseconds an object, and a pass over its attribute for every copy that was read.
    """
    a, b = Side("run", run), Side("read", read)
    usual = max(a.norms, default=0.0) or 1.0
    errors: dict[int, float] = {}
    pairs, good = {(ROOT, ROOT)}, set()
    stack = [(ROOT, ROOT)]
    whole, off = True, 0.0
    while stack:
        i, j = stack.pop()
        ours, theirs = dict(enumerate(a.used[i])), _by_position(b, j)
        whole &= ours.keys() == theirs.keys()
        for place in ours.keys() & theirs.keys():
            p, q = ours[place], theirs[place]
            off = max(off, abs(p.share - q.share))
            pair = p.number, q.number
            if pair in pairs:
                continue
            if a.form(p.number) != b.form(q.number):
                whole = False
                continue
            pairs.add(pair)
            stack.append(pair)
            error = relative_error(a.attributes[p.number], b.attributes[q.number], usual)
            if error <= CLOSE:
                errors[p.number] = max(error, errors.get(p.number, 0.0))
                good.add(pair)
            whole &= error <= CLOSE
    right = len({j for _, j in good})
    return Agreement(errors, len(a.first), len(errors), len(b.objects) - right, whole, len(good) - len(errors), off)


def relative_error(x: Doubles, y: npt.NDArray[Any], usual: float) -> float:
    """|x - y| / |x| of an attribute x that was read as y, or if x is zero, over the `usual` norm.

    What is not a number is not known: zero stands for it, which is wrong by all of the attribute.
    """
    return float(np.linalg.norm(np.nan_to_num(y) - x)) / (float(np.linalg.norm(x)) or usual)


def _by_position(side: Side, j: int) -> dict[int, Member]:
    """The members of a tuple that was read, by their positions, which paths tell: where one is missing those behind it
    stand further up in the tuple. An object whose path leads elsewhere is taken to stand where it is listed."""
    above = () if j == ROOT else side.objects[j].path
    found = {}
    for use in side.used[j]:
        path = side.objects[use.number].path
        found[path[-1] if path[:-1] == above else use.position] = use
    return found
