"""Why two runs differ: which objects were added, removed, moved or changed, and by how much."""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import count
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

import recsketch._check as _check
from recsketch._check import Floats
from recsketch.reading.unroll import Unrolled
from recsketch.runs import drawing
from recsketch.runs.trace import Trace

if TYPE_CHECKING:
    import numpy.typing as npt

Path: TypeAlias = "tuple[int, ...]"
Pair: TypeAlias = "tuple[int, int]"
Weights: TypeAlias = "tuple[float, float]"

LARGEST_GAP = 250_000  # pairs of members compared one by one; in larger gaps those of one module are paired in order
ADD, OTHER = 1.0, 0.3  # cost of a member that only one side has; least cost of two that are alike but not the same
SURE = 4.0  # standard errors within which two numbers may be the same


@dataclass(frozen=True)
class Change:
    """One object that differs between two runs.

    Attributes
    ----------
    kind : {"added", "removed", "moved", "changed"}
        An object that only the second run has, or only the first; the same object, with all below it, elsewhere; the
        object at the same place with another attribute or weight.
    module : str
    before, after : tuple of int, or None
        Where it is in the first and in the second run: positions from the outputs down, those of its first use. None
        in a run that does not have it.
    old, new : int or None
        Its number in the first and in the second run.
    distance : float
        Of the attributes: |x - y| over the larger of |x| and |y|. 0 for what is the same, NaN for added and removed.
    cosine : float
        Of the attributes, NaN for added and removed objects and where one of them is zero.
    weights : tuple of float
        Its share in its tuple in the first and in the second run, NaN in one that does not have it. It counts as
        changed only beside the members that both tuples have.
    """

    kind: str
    module: str
    before: Path | None
    after: Path | None
    old: int | None
    new: int | None
    distance: float
    cosine: float
    weights: tuple[float, float]

    def __str__(self) -> str:
        where = [("at " if p else "") + ".".join(map(str, p)) for p in (self.before, self.after) if p is not None]
        place = where[0] if len(where) == 1 or where[0] == where[1] else f"{where[0]} -> {where[1].removeprefix('at ')}"
        notes = []
        if self.distance > 0:
            notes.append(f"attribute off by {self.distance:.2g} (cosine {self.cosine:.2f})")
        old, new = self.weights
        if self.kind == "changed" and not math.isclose(old, new, rel_tol=1e-3):
            notes.append(f"weight {old:.2g} -> {new:.2g}")
        mark = {"added": "+", "removed": "-", "moved": ">", "changed": "~"}[self.kind]
        return f"{mark} {self.module} {place}" + (f": {', '.join(notes)}" if notes else "")


@dataclass(frozen=True)
class Difference:
    """What `diff` found.

    Attributes
    ----------
    changes : tuple of Change
        Changed and moved objects, then removed ones and added ones; each in the order of their places. An object that
        is moved, removed or added takes all below it along: these have no entry of their own unless they are shared
        with what stayed.
    same : int
        Objects of the first run that the second has at the same place.
    whole : bool
        Both runs are known whole: traces, or complete unrollings. Otherwise an object that was not found looks removed
        or added.
    """

    changes: tuple[Change, ...]
    same: int
    whole: bool = True

    def __len__(self) -> int:
        return len(self.changes)

    def __bool__(self) -> bool:
        return bool(self.changes)

    def of(self, kind: str) -> tuple[Change, ...]:
        """The changes of one kind."""
        _check.choice("kind", kind, ("added", "removed", "moved", "changed"))
        return tuple(c for c in self.changes if c.kind == kind)

    def _head(self) -> str:
        counts = [f"{len(self.of(kind))} {kind}" for kind in ("changed", "moved", "removed", "added") if self.of(kind)]
        state = "" if self.whole else "; not both runs are known whole: what was not found looks removed or added"
        return f"Difference: {', '.join(counts) or 'none'}, {self.same} the same{state}"

    def __str__(self) -> str:
        return "\n".join([self._head(), *map(str, self.changes)])

    def __repr__(self) -> str:
        return f"<{self._head()}>"

    def _repr_html_(self) -> str:
        import html

        colour = {"added": "#2a7", "removed": "#c44", "moved": "#77c", "changed": "#b80"}
        rows = [
            f'<li style="border-left:3px solid {colour[c.kind]};padding-left:.5em">{html.escape(str(c))}</li>'
            for c in self.changes
        ]
        return f'{drawing.STYLE}<div class="recsketch"><p>{html.escape(self._head())}</p><ul>{"".join(rows)}</ul></div>'


def diff(a: Trace | Unrolled, b: Trace | Unrolled, *, tolerance: float | None = None) -> Difference:
    """Why two runs differ.

    Parameters
    ----------
    a, b : Trace or Unrolled
        The first run and the second.
    tolerance : float, optional
        Attributes are the same up to this share of the larger one's norm, and weights up to so much. If not given,
        1e-6 for two traces; 1e-3 for unrolled runs, or 4 of the standard errors that they state, if that is more.

    Returns
    -------
    Difference

    Raises
    ------
    TypeError
        `a` or `b` is no run.
    ValueError
        A tolerance that is not between 0 and 1.

    Notes
    -----
    Objects that are the same with all below them are recognised first, wherever they are. Tuples are then aligned from
    the outputs down: a longest common subsequence of the same members [1]_, and between these the cheapest pairing of
    members of one module (alignment by dynamic programming [2]_). What is left over on both sides and the same was
    moved. Members of a tuple that only exchanged their places are reported as moved.

    Cost: time about n log n for n objects of which most are the same, times the length of an attribute; members of a
    tuple that all differ cost the product of their numbers, up to 250,000 pairs. Memory about that of the runs.

    References
    ----------
    .. [1] J. Ratcliff, D. Metzener, "Pattern matching: the gestalt approach", Dr. Dobb's Journal 13, 1988.
    .. [2] S. Needleman, C. Wunsch, "A general method applicable to the search for similarities in the amino acid
           sequence of two proteins", Journal of Molecular Biology 48, 1970.

    Examples
    --------
    >>> from recsketch.runs.trace import Trace
    >>> def page(words):
    ...     trace = Trace()
    ...     trace.outputs([trace.add("page", [1.0], [trace.add("word", [ord(c) / 100, 1.0]) for c in words])])
    ...     return trace
    >>> print(diff(page("abcd"), page("bcxda")))
    Difference: 1 moved, 1 added, 4 the same
    > word at 0.0 -> 0.4
    + word at 0.2
    """
    runs = [_Run(name, run) for name, run in (("a", a), ("b", b))]
    if tolerance is not None:
        tolerance = _check.number("tolerance", tolerance, "a number above 0 and at most 1", 0.0, 1.0)
    return _Comparison(runs[0], runs[1], tolerance).found()


class _Run:
    """A run as the comparison reads it."""

    def __init__(self, name: str, run: object) -> None:
        if isinstance(run, Trace):
            drawn, self.whole, self.exact = run._drawing(), True, True
        elif isinstance(run, Unrolled):
            drawn, self.whole, self.exact = run._drawing(), run.complete, False
        else:
            raise TypeError(f"{name}: wanted a Trace or an Unrolled; got {_check.describe(run)}")
        self.objects: Sequence[Any] = drawn.objects
        self.outputs = drawn.members(drawn.outputs, drawn.weights)
        self.inputs = [[(c, w) for c, w in drawn.inputs(i) if w > 0] for i in range(len(drawn.objects))]
        self.norms = [float(np.linalg.norm(o.attribute.astype(np.float64))) for o in drawn.objects]
        self.errors = [float(np.linalg.norm(getattr(o, "error", np.zeros(1)))) for o in drawn.objects]
        self.paths: dict[int, Path] = {}
        self.weights: dict[int, float] = {}
        for i, path, weight in self._walk():
            self.paths.setdefault(i, path)
            self.weights.setdefault(i, weight)

    def _walk(self) -> Iterator[tuple[int, Path, float]]:
        """Every object that reaches an output once, with the path and the weight of its first use."""
        seen: set[int] = set()
        stack = [(i, (k,), w) for k, (i, w) in reversed(list(enumerate(self.outputs)))]
        while stack:
            i, path, weight = stack.pop()
            if i in seen:
                continue
            seen.add(i)
            yield i, path, weight
            stack += [(c, (*path, k), w) for k, (c, w) in reversed(list(enumerate(self.inputs[i])))]

    def below(self, i: int) -> Iterator[int]:
        """The object and all that it is made of, each once."""
        seen, stack = set(), [i]
        while stack:
            k = stack.pop()
            if k not in seen:
                seen.add(k)
                yield k
                stack += [c for c, _ in self.inputs[k]]

    def members(self, i: int) -> list[tuple[int, float]]:
        return self.outputs if i < 0 else self.inputs[i]


class _Group:
    """Attributes of one length, told apart. Two that are near each other are near along any direction, too: sorted along
    one, few need to be looked at."""

    def __init__(self, length: int) -> None:
        self.direction = np.random.default_rng(length).standard_normal(length)
        self.direction /= np.linalg.norm(self.direction)
        self.along: list[tuple[float, int]] = []
        self.seen: list[tuple[Floats, float, float, int]] = []  # attribute, what it may be off by, its error, its kind
        self.widest = 0.0

    def kind(self, x: Floats, allowed: float, error: float, numbers: Iterator[int]) -> int:
        """The number of the attribute that is the same as this one, or a new number."""
        at = float(self.direction @ x.astype(np.float64))
        reach = max(allowed, math.hypot(error, self.widest))
        for k in range(bisect_left(self.along, (at - reach, -1)), len(self.along)):
            where, number = self.along[k]
            if where > at + reach:
                break
            y, other, doubt, kind = self.seen[number]
            if np.linalg.norm(x.astype(np.float64) - y) <= max(allowed, other, math.hypot(error, doubt)):
                return kind
        kind = next(numbers)
        insort(self.along, (at, len(self.seen)))
        self.seen.append((x, allowed, error, kind))
        self.widest = max(self.widest, allowed, error)
        return kind


class _Comparison:
    def __init__(self, a: _Run, b: _Run, tolerance: float | None) -> None:
        self.a, self.b = a, b
        self.tolerance = tolerance
        self.least = tolerance if tolerance is not None else 1e-6 if a.exact and b.exact else 1e-3
        self.loose = tolerance if tolerance is not None else 1e-6 if a.exact and b.exact else 2e-2  # of weights
        self.kinds_a, self.kinds_b = self._kinds()
        self.partner: dict[int, int] = {}  # of objects of a: that of b
        self.taken: set[int] = set()
        self.shares: dict[int, Weights] = {}  # of objects of a: shares among the members that both tuples have
        self.carried: set[int] = set()  # objects of a that were moved with one above them

    # ------------------------------------------------------------ what is the same

    def _distance(self, i: int, j: int) -> float:
        x, y = self.a.objects[i].attribute, self.b.objects[j].attribute
        return _relative(x, y, self.a.norms[i], self.b.norms[j])

    def _kinds(self) -> tuple[list[int], list[int]]:
        """A number for every object: objects are the same, with all below them, where theirs are equal."""
        groups: dict[tuple[Any, ...], _Group] = {}
        numbers = count()
        out: list[list[int]] = []
        for run in (self.a, self.b):
            kinds: list[int] = []
            for i, o in enumerate(run.objects):
                below = tuple((kinds[c], round(w / (2 * self.loose))) for c, w in run.inputs[i])
                group = groups.setdefault((o.module, o.attribute.size, below), _Group(o.attribute.size))
                error = 0.0 if self.tolerance is not None else SURE * run.errors[i]
                kinds.append(group.kind(o.attribute, self.least * run.norms[i], error, numbers))
            out.append(kinds)
        return out[0], out[1]

    # ------------------------------------------------------------ alignment

    def _join(self, i: int, j: int) -> None:
        self.partner[i] = j
        self.taken.add(j)

    def _align(self) -> None:
        """Pairs objects from the outputs down."""
        stack: list[Pair] = [(-1, -1)]
        while stack:
            i, j = stack.pop()
            left, right = self.a.members(i), self.b.members(j)
            pairs = list(self._pairs(left, right))
            ours, theirs = (sum(pair[side][1] for pair in pairs) for side in (0, 1))
            for (c, w), (e, v) in pairs:
                if c in self.partner or e in self.taken:
                    continue
                self._join(c, e)
                self.shares[c] = w / ours, v / theirs
                stack.append((c, e))

    def _pairs(self, left: list[tuple[int, float]], right: list[tuple[int, float]]) -> Iterator[Any]:
        ours, theirs = [self.kinds_a[c] for c, _ in left], [self.kinds_b[c] for c, _ in right]
        for tag, i, k, j, m in SequenceMatcher(None, ours, theirs, autojunk=False).get_opcodes():
            if tag == "equal":
                yield from zip(left[i:k], right[j:m], strict=True)
            elif tag == "replace":
                yield from self._gap(left[i:k], right[j:m])

    def _gap(self, left: list[tuple[int, float]], right: list[tuple[int, float]]) -> Iterator[Any]:
        """The cheapest pairs of two stretches of members that share none."""
        if len(left) * len(right) > LARGEST_GAP:
            yield from self._in_order(left, right)
            return
        n, m = len(left), len(right)
        cost = np.zeros((n + 1, m + 1))
        cost[:, 0], cost[0, :] = ADD * np.arange(n + 1), ADD * np.arange(m + 1)
        meet = np.full((n, m), np.inf)
        for i, (c, _) in enumerate(left):
            for j, (e, _) in enumerate(right):
                meet[i, j] = self._unlike(c, e)
        for i in range(n):
            for j in range(m):
                cost[i + 1, j + 1] = min(cost[i, j] + meet[i, j], cost[i, j + 1] + ADD, cost[i + 1, j] + ADD)
        i, j = n, m
        found = []
        while i and j:
            if cost[i, j] == cost[i - 1, j - 1] + meet[i - 1, j - 1]:
                i, j = i - 1, j - 1
                found.append((left[i], right[j]))
            elif cost[i, j] == cost[i - 1, j] + ADD:
                i -= 1
            else:
                j -= 1
        yield from reversed(found)

    def _unlike(self, i: int, j: int) -> float:
        """Cost of taking one object for the other: below that of removing one and adding the other, for one module."""
        x, y = self.a.objects[i], self.b.objects[j]
        if x.module != y.module or x.attribute.size != y.attribute.size:
            return math.inf
        ours = {self.kinds_a[c] for c, _ in self.a.inputs[i]}
        theirs = {self.kinds_b[c] for c, _ in self.b.inputs[j]}
        shared = len(ours & theirs) / max(len(ours | theirs), 1) if ours or theirs else 1.0
        return OTHER + 0.6 * min(self._distance(i, j), 1.0) + 1.0 - shared

    def _in_order(self, left: list[tuple[int, float]], right: list[tuple[int, float]]) -> Iterator[Any]:
        waiting: dict[str, list[Any]] = {}
        for member in right:
            waiting.setdefault(self.b.objects[member[0]].module, []).append(member)
        for queue in waiting.values():
            queue.reverse()
        for member in left:
            if queue := waiting.get(self.a.objects[member[0]].module):
                yield member, queue.pop()

    # ------------------------------------------------------------ the answer

    def found(self) -> Difference:
        self._align()
        changes = list(self._moves())
        moved = {c.old for c in changes}
        same = 0
        for i, j in sorted(self.partner.items(), key=lambda pair: self.a.paths[pair[0]]):
            if i in moved or i in self.carried:
                continue
            change = self._change(i, j)
            same += change is None
            changes += [change] if change else []
        order = {"changed": 0, "moved": 1}
        changes.sort(key=lambda c: (order[c.kind], c.before))
        changes += self._alone("removed", self.a, set(self.partner), 0)
        changes += self._alone("added", self.b, self.taken, 1)
        return Difference(tuple(changes), same, self.a.whole and self.b.whole)

    def _change(self, i: int, j: int) -> Change | None:
        distance, shares = self._distance(i, j), self.shares.get(i, (1.0, 1.0))
        error = math.hypot(self.a.errors[i], self.b.errors[j]) / max(self.a.norms[i], self.b.norms[j], 1e-300)
        allowed = self.least if self.tolerance is not None else max(self.least, SURE * error)
        if distance <= allowed and abs(shares[0] - shares[1]) <= self.loose:
            return None
        return self._entry("changed", i, j, distance if distance > allowed else 0.0)

    def _entry(self, kind: str, i: int, j: int, distance: float) -> Change:
        x, y = (run.objects[k].attribute.astype(np.float64) for run, k in ((self.a, i), (self.b, j)))
        sizes = self.a.norms[i] * self.b.norms[j]
        cosine = float(x @ y) / sizes if sizes > 0 else math.nan
        paths, weights = (self.a.paths[i], self.b.paths[j]), (self.a.weights[i], self.b.weights[j])
        return Change(kind, self.a.objects[i].module, *paths, i, j, distance, cosine, weights)

    def _moves(self) -> Iterator[Change]:
        """Pairs what is the same and left over on both sides, the largest first."""
        waiting: dict[int, list[int]] = {}
        for j in sorted(self.b.paths, key=self.b.paths.__getitem__, reverse=True):
            if j not in self.taken:
                waiting.setdefault(self.kinds_b[j], []).append(j)
        if not waiting:
            return
        left = [i for i in self.a.paths if i not in self.partner and self.kinds_a[i] in waiting]
        size = {i: sum(1 for _ in self.a.below(i)) for i in left}
        for i in sorted(left, key=lambda i: (-size[i], self.a.paths[i])):
            queue = [j for j in waiting.get(self.kinds_a[i], []) if j not in self.taken]
            if i in self.partner or not queue:
                continue
            j = queue[-1]
            yield self._entry("moved", i, j, 0.0)
            for k, m in zip(self.a.below(i), self.b.below(j), strict=False):
                if k not in self.partner and m not in self.taken:
                    self._join(k, m)
                    self.carried.add(k)

    def _alone(self, kind: str, run: _Run, known: set[int], side: int) -> Iterator[Change]:
        """Objects that have no partner; what stands only below such an object has no entry."""
        users: dict[int, list[int]] = {}
        for i in run.paths:
            for c, _ in run.inputs[i]:
                users.setdefault(c, []).append(i)
        tops = {c for c, _ in run.outputs}
        for i, path in run.paths.items():
            if i in known or (i not in tops and all(u not in known for u in users.get(i, []))):
                continue
            place: list[Any] = [None, None]
            number: list[Any] = [None, None]
            weights = [math.nan, math.nan]
            place[side], number[side], weights[side] = path, i, run.weights[i]
            module = run.objects[i].module
            yield Change(kind, module, *place, *number, math.nan, math.nan, (weights[0], weights[1]))


def _relative(x: npt.NDArray[Any], y: npt.NDArray[Any], norm: float, size: float) -> float:
    """|x - y| over the larger of their norms; 0 for two zero vectors."""
    most = max(norm, size)
    if most == 0:
        return 0.0
    return float(np.linalg.norm(x.astype(np.float64) - y.astype(np.float64))) / most
