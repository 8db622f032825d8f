"""A run as `diff` reads it, and what is known of each of its objects before any two are compared."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias
from zlib import crc32

import numpy as np

import recsketch._check as _check
from recsketch.reading.results import Unrolled
from recsketch.runs.trace import Trace

if TYPE_CHECKING:
    import numpy.typing as npt

Doubles: TypeAlias = "npt.NDArray[np.float64]"

ROOT = -1  # owner of the outputs
SURE = 4.0  # standard errors within which two numbers may be the same
LENGTH, WIDTH = 64, 0.5  # of fingerprints; attributes so far apart, over their usual norm, are 0.6 alike


class Member(NamedTuple):
    """One use of an object: which object, at which position of whose inputs, and its share of the weight."""

    number: int
    owner: int
    position: int
    share: float


class Side:
    """A run as the comparison reads it.

    Attributes
    ----------
    whole : bool
        A trace, or a complete unrolling.
    used : list of list of Member
        Inputs of each object that weigh something; the last list holds the outputs.
    first : dict from int to Member
        Every object that reaches an output, by its first use from the outputs down.
    norms, errors : lists of float
        Norm of each attribute, and of its standard errors: infinite where one of them is not known.
    """

    def __init__(self, name: str, run: object) -> None:
        if isinstance(run, Unrolled):
            _check_unrolled(name, run)
        elif not isinstance(run, Trace):
            raise TypeError(f"{name}: wanted a Trace or an Unrolled; got {_check.describe(run)}")
        drawn = run._drawing()
        self.whole = not isinstance(run, Unrolled) or run.complete
        self.objects: Sequence[Any] = drawn.objects
        tuples = [drawn.inputs(i) for i in range(len(self.objects))]
        tuples.append(drawn.members(drawn.outputs, drawn.weights))
        owners = [*range(len(self.objects)), ROOT]
        self.used = [
            [Member(c, owner, k, w) for k, (c, w) in enumerate(members) if w > 0]
            for owner, members in zip(owners, tuples, strict=True)
        ]
        self.attributes: list[Doubles] = [np.asarray(o.attribute, np.float64) for o in self.objects]
        self.norms = [0.0] * len(self.objects)
        for at in self.forms(range(len(self.objects))).values():
            stacked = np.stack([self.attributes[i] for i in at])
            stacked[~np.isfinite(stacked)] = np.nan
            for i, x, norm in zip(at.tolist(), stacked, np.linalg.norm(np.nan_to_num(stacked), axis=1), strict=True):
                self.attributes[i], self.norms[i] = x, float(norm)
        self.errors = [_size(o.error) if isinstance(run, Unrolled) else 0.0 for o in self.objects]
        self.first: dict[int, Member] = {}
        stack = self.used[ROOT][::-1]
        while stack:
            use = stack.pop()
            if use.number not in self.first:
                self.first[use.number] = use
                stack += self.used[use.number][::-1]

    def form(self, i: int) -> tuple[str, int]:
        """What two objects must share to be compared: module and length of the attribute."""
        return self.objects[i].module, self.attributes[i].size

    def forms(self, numbers: Iterable[int]) -> dict[tuple[str, int], npt.NDArray[np.intp]]:
        """Where objects of each form stand among these."""
        found: dict[tuple[str, int], list[int]] = {}
        for k, i in enumerate(numbers):
            found.setdefault(self.form(i), []).append(k)
        return {form: np.array(at) for form, at in found.items()}

    def path(self, use: Member) -> tuple[int, ...]:
        """Positions from the outputs down, along first uses, to this one."""
        out = [use.position]
        while use.owner != ROOT:
            use = self.first[use.owner]
            out.append(use.position)
        return tuple(out[::-1])

    def below(self, i: int) -> int:
        """How many objects an object is made of, each counted once."""
        seen, stack = {i}, [i]
        while stack:
            new = {use.number for use in self.used[stack.pop()]} - seen
            seen |= new
            stack += new
        return len(seen) - 1


def _check_unrolled(name: str, run: Unrolled) -> None:
    """Refuse what no sketch gives, which would not end here."""
    for i, o in enumerate(run.objects):
        if not all(0 <= c < i for c in o.inputs) or len(o.inputs) != len(o.weights):
            raise ValueError(f"{name}: wanted inputs before the objects that use them, and a weight each; got others")
    if not all(0 <= c < len(run.objects) for c in run.outputs) or len(run.outputs) != len(run.weights):
        raise ValueError(f"{name}: wanted outputs that are among the objects, and a weight each; got others")


def _size(errors: object) -> float:
    found = float(np.linalg.norm(np.asarray(errors, np.float64)))
    return found if found == found else math.inf


def sizes(side: Side) -> list[float]:
    """Of each object: how many stand below it and what it is itself, each use counted."""
    sizes: list[float] = []
    for used in side.used[:-1]:
        sizes.append(1.0 + sum(sizes[use.number] for use in used))
    return sizes


def scales(a: Side, b: Side) -> dict[tuple[str, int], float]:
    """A usual norm of the attributes of each form: the median of those above zero."""
    norms: dict[tuple[str, int], list[float]] = {}
    for side in (a, b):
        for i, norm in enumerate(side.norms):
            norms.setdefault(side.form(i), []).extend([norm] if norm > 0 else [])
    return {form: float(np.median(found)) if found else 1.0 for form, found in norms.items()}


def fingerprints(side: Side, scales: dict[tuple[str, int], float]) -> Doubles:
    """(n, LENGTH) A direction for each object that is near those of objects alike, with all below them.

    It has two halves of one norm: random features of the attribute under a Gaussian kernel of WIDTH [1]_, so that
    unlike attributes, and those of two modules, are about orthogonal; and the mean of the inputs' fingerprints, in any
    order, so that two objects are as near as the share of their inputs that is alike.

    .. [1] A. Rahimi, B. Recht, "Random features for large-scale kernel machines", NIPS 2007.
    """
    out = np.zeros((len(side.objects), LENGTH))
    for form, at in side.forms(range(len(side.objects))).items():
        rng = np.random.default_rng([crc32(form[0].encode()), form[1]])
        frequencies = rng.standard_normal((form[1], LENGTH)) / (WIDTH * scales[form])
        x = np.nan_to_num(np.stack([side.attributes[i] for i in at]))
        out[at] = _units(np.cos(x @ frequencies + rng.uniform(0, 2 * math.pi, LENGTH)))
    for i, used in enumerate(side.used[:-1]):
        if used:
            out[i] = _units(out[i] + _units(out[[use.number for use in used]].mean(axis=0)))
    return out


def _units(x: Doubles) -> Doubles:
    return np.asarray(x / np.sqrt(np.maximum(np.square(x).sum(axis=-1, keepdims=True), 1e-300)))


def slacks(side: Side, scales: dict[tuple[str, int], float], tolerance: float) -> Doubles:
    """How far the fingerprints of two objects may be apart that are the same: twice what the attributes may be off by,
    in their usual norm, wherever it is most below. Twice, because features and means may stretch it."""
    out = np.zeros(len(side.objects))
    for i, used in enumerate(side.used[:-1]):
        own = 2 * (tolerance * side.norms[i] + SURE * side.errors[i]) / scales[side.form(i)]
        out[i] = max(own, *(out[use.number] for use in used), 1e-6)
    return out


def apart(x: Doubles, y: Doubles) -> Doubles:
    """(n, m) Distances of fingerprints, 0 to 1."""
    return np.sqrt(np.maximum(0.5 - (x @ y.T) / 2, 0.0))


def kinds(a: Side, b: Side) -> tuple[list[int], list[int]]:
    """A number for each object, equal for those that are the same to the bit with all below them."""
    numbers: dict[object, int] = {}
    found: list[list[int]] = []
    for side in (a, b):
        kinds: list[int] = []
        for i, used in enumerate(side.used[:-1]):
            below = tuple((kinds[use.number], use.share) for use in used)
            key = side.form(i), side.attributes[i].tobytes(), side.errors[i], below
            kinds.append(numbers.setdefault(key, len(numbers)))
        found.append(kinds)
    return found[0], found[1]


def doubts(side: Side, scales: dict[tuple[str, int], float]) -> list[float]:
    """For each tuple twice the largest error of its members over their norms: what its weights may be off by, relative
    to themselves, for a weight is the ratio of two squared amplitudes, which are about as exact as the attributes."""

    def doubt(i: int) -> float:
        return 2 * side.errors[i] / max(side.norms[i], scales[side.form(i)])

    return [max((doubt(use.number) for use in used), default=0.0) for used in side.used]
