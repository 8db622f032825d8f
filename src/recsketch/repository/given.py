"""What users hand over, made into what the store keeps: sketches, keys, metadata, objects."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

import recsketch._check as _check
from recsketch._check import Floats, SketchWarning
from recsketch.reading.results import Unrolled
from recsketch.repository import conditions
from recsketch.repository.conditions import Metadata, Scalar
from recsketch.runs.batch import TraceBatch, as_batch
from recsketch.runs.trace import Trace
from recsketch.sketcher import Sketcher
from recsketch.sketching.packing import PackedSketches
from recsketch.sketching.spec import SketchSpec

if TYPE_CHECKING:
    import numpy.typing as npt

Runs: TypeAlias = "Trace | TraceBatch | Iterable[Trace] | npt.ArrayLike | PackedSketches"
Sketches: TypeAlias = "Floats | PackedSketches"

SURE = 0.5  # confidence from which on an object that was read from a sketch is kept
LONGEST_KEY = 1000
TOP = -1  # stands for the run itself, whose inputs are its outputs


class Object(NamedTuple):
    """What is kept of an object. `path` is the shortest."""

    module: str
    attribute: Floats
    path: tuple[int, ...]
    confidence: float


class Input(NamedTuple):
    """A use of one object by another, or by the run (`TOP`): numbers of both among the run's objects."""

    user: int
    position: int
    object: int
    weight: float


class Parts(NamedTuple):
    """A run's objects, and all uses of them."""

    objects: list[Object]
    inputs: list[Input]


class Sketchers:
    """The sketchers of a specification, made when they are first needed: their matrices take a while to draw."""

    def __init__(self, spec: SketchSpec, threads: int | None) -> None:
        self._spec, self._threads = spec, threads
        self._made: dict[bool, Sketcher] = {}

    def of(self, ordered: bool) -> Sketcher:
        """The specification's own, or that of unordered sketches."""
        if ordered not in self._made:
            self._made[ordered] = Sketcher(self._spec if ordered else self._spec.unordered(), self._threads)
        return self._made[ordered]


@dataclass
class Given:
    """Runs as they are to be kept.

    Attributes
    ----------
    sketches : (n, d) float32 or PackedSketches
    order : (n, d) float32 or None
        Unordered sketches, where runs were given.
    batch : TraceBatch or None
    single : bool
        One run was given, and not a list of one.
    """

    sketches: Sketches
    order: Floats | None
    batch: TraceBatch | None
    single: bool

    def __len__(self) -> int:
        return len(self.sketches)


def recognised(name: str, x: Runs) -> tuple[Any, bool]:
    """Runs as a TraceBatch, and whether one was given; sketches as they are, or as a list, and False."""
    if not isinstance(x, (Trace, TraceBatch, PackedSketches, np.ndarray)):
        x = _check.members(name, x, "runs or sketches")
    if isinstance(x, (Trace, TraceBatch)) or (isinstance(x, list) and x and isinstance(x[0], Trace)):
        return as_batch(x, name)
    return x, False


def runs(name: str, given: Runs, sketchers: Sketchers, spec: SketchSpec) -> Given:
    """Runs, which are sketched, unordered too if the specification is ordered; or sketches."""
    x, single = recognised(name, given)
    if isinstance(x, PackedSketches):
        single = x.values.ndim == 1
        if single:
            x = PackedSketches(x.values[None], x.scale[None], x.noise[None], x.dtype)
        if x.dim != spec.dim:
            raise ValueError(f"{name}: wanted sketches of {spec.dim} numbers each; got {_check.describe(x.values)}")
        # Numbers of at most 1e30 are what scans and squares of norms are made for.
        _check.known(name, x.unpack(), None)
        return Given(x, None, None, single)
    if isinstance(x, TraceBatch):
        ordered = np.atleast_2d(sketchers.of(True).sketch(x))
        unordered = None
        if spec.ordered:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", SketchWarning)  # said of the ordered ones, and nobody unrolls these
                unordered = np.atleast_2d(sketchers.of(False).sketch(x))
        return Given(ordered, unordered, x, single)
    if isinstance(x, list) and not x:
        return Given(np.zeros((0, spec.dim), np.float32), None, None, False)
    s = _check.sketches(name, x, spec.dim)
    _check.known(name, np.atleast_2d(s), None)
    return Given(np.atleast_2d(s), None, None, s.ndim == 1)


def keys(name: str, x: object, count: int, single: bool) -> list[str]:
    """As many keys as runs, all different."""
    what = f"{_check.count(count, 'key')}, one a run"
    members = [x] if single and isinstance(x, str) else _check.members(name, x, what)
    if len(members) != count:
        raise ValueError(f"{name}: wanted {what}; got {len(members)}")
    found = [key(name, k) for k in members]
    if len(set(found)) != count:
        seen: set[str] = set()
        twice = next(k for k in found if k in seen or seen.add(k))  # type: ignore[func-returns-value]
        raise ValueError(f"{name}: wanted each key once; got {_check.shown(twice)} twice")
    return found


def key(name: str, x: object) -> str:
    """`x` as a key."""
    found = conditions.text(name, x)
    if not 0 < len(found) <= LONGEST_KEY:
        raise ValueError(f"{name}: wanted keys of 1 to {LONGEST_KEY} characters; got {_check.describe(found)}")
    return found


def metadata(x: Metadata | Sequence[Metadata | None] | None, count: int, single: bool) -> list[dict[str, Scalar]]:
    """One mapping a run."""
    if x is None:
        return [{} for _ in range(count)]
    members: list[Any] = [x] if single else _check.members("metadata", x, "a list of mappings, one a run")
    if len(members) != count:
        raise ValueError(f"metadata: wanted {_check.count(count, 'mapping')}, one a run; got {len(members)}")
    return [conditions.metadata("metadata" if single else f"metadata[{i}]", m) for i, m in enumerate(members)]


def parts(given: Given, sketcher: Sketcher) -> list[Parts]:
    """What each run is made of: its own objects, or those that its sketch is read to hold."""
    if given.batch is not None:
        return [_of_trace(trace, sketcher.spec) for trace in given.batch]
    return [_of_unrolled(read) for read in sketcher.unroll(given.sketches)]


def _of_unrolled(read: Unrolled) -> Parts:
    """Objects that are there more likely than not; an input that is not among them leaves its position empty."""
    kept = [i for i, o in enumerate(read.objects) if o.confidence > SURE]
    number = {TOP: TOP, **{i: k for k, i in enumerate(kept)}}
    tuples = [(TOP, read.outputs, read.weights), *((i, read.objects[i].inputs, read.objects[i].weights) for i in kept)]
    uses = [
        Input(number[i], k, number[j], w)
        for i, ids, weights in tuples
        for k, (j, w) in enumerate(zip(ids, weights, strict=True))
        if j in number
    ]
    found = (read.objects[i] for i in kept)
    return Parts([Object(o.module, o.attribute, o.path, o.confidence) for o in found], uses)


def _of_trace(trace: Trace, spec: SketchSpec) -> Parts:
    """Each object that reaches an output, with the shortest of its paths, and its uses."""
    found = trace.objects
    tuples = {TOP: _used(trace.output_ids, trace.output_weights, spec)}
    paths: dict[int, tuple[int, ...]] = {TOP: ()}
    level = [TOP]
    while level:
        below = []
        for i in level:
            for k, (j, _) in enumerate(tuples[i]):
                if j not in paths:
                    paths[j] = (*paths[i], k)
                    tuples[j] = _used(found[j].inputs, found[j].weights, spec)
                    below.append(j)
        level = below
    number = {i: k - 1 for k, i in enumerate(sorted(paths))}  # TOP comes first
    uses = [Input(number[i], k, number[j], w) for i in sorted(paths) for k, (j, w) in enumerate(tuples[i])]
    return Parts([Object(found[i].module, found[i].attribute, paths[i], 1.0) for i in sorted(paths) if i != TOP], uses)


def _used(ids: Sequence[int], weights: Sequence[float], spec: SketchSpec) -> list[tuple[int, float]]:
    """Inputs that have a position, which those of weight zero have not, and their shares of the tuple."""
    total = 1.0 if spec.weighting == "count" else sum(weights)
    return [(i, w / total) for i, w in zip(ids, weights, strict=True) if w > 0]
