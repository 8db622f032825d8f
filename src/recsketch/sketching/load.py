"""How full a sketch gets, unknown numbers over its length, and how faint what it holds."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal

import numpy as np

import recsketch._check as _check
import recsketch._core as _core
from recsketch._check import MAX_DIM, MIN_DIM
from recsketch.runs.batch import as_batch
from recsketch.sketching.matrices import Matrices
from recsketch.sketching.moments import widened
from recsketch.sketching.plan import joined, plan
from recsketch.sketching.spec import SketchSpec

if TYPE_CHECKING:
    import numpy.typing as npt

    from recsketch.runs.batch import TraceBatch
    from recsketch.runs.trace import Trace


DECODERS = ("recover", "unroll")


def planned_as(spec: SketchSpec, batch: TraceBatch) -> tuple[Matrices, TraceBatch, int]:
    """For `loads`, `faintest` and `shared`: runs under a specification as the core sees both, and all threads."""
    return Matrices(spec.inner), widened(spec, batch), _core.max_threads()


def loads(matrices: Matrices, batch: TraceBatch, threads: int, uses: bool = False) -> npt.NDArray[np.float64]:
    """(n,) The load of every trace: unknowns and one counter of live objects, each as often as it counts, over d."""
    if not len(batch):
        return np.zeros(0)
    live = plan(matrices, batch, threads).amplitudes()[1] > 0
    own = np.diff(batch.attribute_ends) + matrices.coding.more + 1
    with np.errstate(over="ignore"):  # of places there may be more than floats hold
        unknowns = own * (places(batch) if uses else live)
        return np.asarray(np.add.reduceat(unknowns, batch.objects[:-1]) / matrices.spec.dim)


def unknowns(spec: SketchSpec, batch: TraceBatch) -> npt.NDArray[np.int64]:
    """(n,) Of runs that have been sketched, and so have objects: unknowns and one counter of live ones, what `loads`
    divides by d. Without a plan, in some passes over the inputs."""
    if not len(batch):
        return np.zeros(0, np.int64)
    own = np.array([spec.lengths.get(name, 0) + 1 for name in batch.names], np.int64)[batch.module]
    return np.asarray(np.add.reduceat(own * reaching(batch), batch.objects[:-1]))


def reaching(batch: TraceBatch) -> npt.NDArray[np.bool_]:
    """(N,) Whether an object reaches an output by weights that are not zero. The batch has been planned."""
    user = np.repeat(np.arange(batch.module.size), np.diff(batch.input_ends))
    first = np.repeat(batch.objects[:-1], np.diff(batch.objects))
    used, source = batch.weights > 0, batch.inputs + first[user]
    shown = np.repeat(batch.objects[:-1], np.diff(batch.output_ends)) + batch.outputs
    live, before = np.ones(batch.module.size, np.bool_), -1
    while before != (before := int(np.count_nonzero(live))):  # each pass takes one level of the dead
        edges = used & live[user]
        live = np.zeros(batch.module.size, np.bool_)
        live[shown[batch.output_weights > 0]] = True
        live[source[edges]] = True
    return live


def faintest(matrices: Matrices, batch: TraceBatch, threads: int) -> npt.NDArray[np.float64]:
    """(n,) The least amplitude of an object of each trace that reaches an output, over the largest."""
    amplitude, uses = plan(matrices, batch, threads).amplitudes()
    least = np.minimum.reduceat(np.where(uses > 0, amplitude, np.inf), batch.objects[:-1])
    return np.asarray(least / np.maximum.reduceat(amplitude, batch.objects[:-1]))


def shared(matrices: Matrices, batch: TraceBatch, threads: int) -> npt.NDArray[np.bool_]:
    """(N,) Whether an object is used more than once, by outputs or by what reaches one."""
    return np.asarray(plan(matrices, batch, threads).amplitudes()[1] > 1)


def places(batch: TraceBatch) -> npt.NDArray[np.float64]:
    """(N,) At how many places of its run each object stands: ways that lead to it from the outputs, 0 if it is dead.

    The batch has been planned, so that inputs come before their users. All runs go down one level at a time, which
    costs the number of objects on each level once; the number of ways may overflow to infinity.
    """
    _, member, used = joined(batch)
    found, edge = np.zeros(batch.module.size), np.arange(batch.inputs.size, member.size)
    times = np.ones(edge.size)
    while edge.size:
        new, which = np.unique(member[edge[used[edge]]], return_inverse=True)
        count_of = np.bincount(which, times[used[edge]], new.size)
        found[new] += count_of
        begin, inputs = batch.input_ends[new], np.diff(batch.input_ends)[new]
        edge = np.repeat(begin - np.cumsum(inputs) + inputs, inputs) + np.arange(inputs.sum())
        times = np.repeat(count_of, inputs)
    return found


def suggest_dim(
    traces: Trace | TraceBatch | Iterable[Trace],
    target: float = 0.6,
    *,
    signature: int = 0,
    decoder: Literal["recover", "unroll"] = "recover",
) -> int:
    """The smallest sketch length at which no trace has a load above `target`.

    Parameters
    ----------
    traces : Trace, TraceBatch or iterable of Trace
        At least one.
    target : float
        Load (see `Sketcher.load`), above 0 and at most 4. The default of 0.6 leaves room below the 0.7 up to which
        `unroll` reads evenly weighted runs back whole (docs/unrolling.md).
    signature : int
        Length of object signatures in the specification to come, 0 to 64.
    decoder : {"recover", "unroll"}
        What is to read the sketches. "recover" has one unknown attribute for a shared object. "unroll" has one at every
        place where it stands, with signatures or without: copies are known to be one only once all are found.

    Returns
    -------
    int
        A power of two from 64 to 2**24.

    Raises
    ------
    ValueError
        No trace, a trace that cannot be sketched, a module with attributes of several lengths, a number outside its
        range, or a trace that no length is enough for.
    TypeError
        An argument of another type.

    Notes
    -----
    Cost: one plan of all traces, some 150 bytes an object; nothing is sketched. "unroll" counts places in NumPy, about
    0.1 microseconds an input on each level where its owner stands.

    Examples
    --------
    >>> import recsketch as rs
    >>> trace = rs.Trace()
    >>> trace.outputs([trace.add("eye", [1.0] * 99) for _ in range(5)])
    >>> suggest_dim(trace)
    1024

    One object with 40 users:

    >>> shared = trace.add("eye", [1.0] * 99)
    >>> trace.outputs([trace.add("word", [1.0], [shared]) for _ in range(40)])
    >>> suggest_dim(trace), suggest_dim(trace, decoder="unroll")
    (512, 8192)
    """
    batch, _ = as_batch(traces)
    target = _check.number("target", target, "a load above 0 and at most 4", 0.0, 4.0)
    _check.choice("decoder", decoder, DECODERS)
    if not len(batch):
        raise ValueError("traces: wanted at least one; got none")
    spec = SketchSpec(MIN_DIM, batch.modules, max_inputs=max(1, widest(batch)), signature=signature)
    return length_for(spec, batch, target, decoder)


def length_for(spec: SketchSpec, batch: TraceBatch, target: float, decoder: str) -> int:
    """The smallest length at which no trace of the batch, at least one, has a load above `target`; that of `spec` is
    any.

    Raises
    ------
    ValueError
        A trace that cannot be sketched, or that no length is enough for.
    """
    found = loads(*planned_as(spec, batch), decoder == "unroll")
    most = float(found.max()) * spec.dim
    dim = max(spec._least_dim, 1 << math.ceil(math.log2(min(max(most, 1.0) / target, 2.0**60))))
    if dim > MAX_DIM:
        raise ValueError(f"traces: wanted at most {target * MAX_DIM:.0f} unknown numbers in one; got {most:.0f}")
    return dim


def widest(batch: TraceBatch) -> int:
    """The most inputs of positive weight of any tuple: others take no position."""
    most = 0
    for weights, ends in ((batch.weights, batch.input_ends), (batch.output_weights, batch.output_ends)):
        used = np.append(0, np.cumsum(weights > 0))
        most = max(most, int(np.diff(used[ends]).max(initial=0)))
    return most
