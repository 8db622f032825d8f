"""How full a sketch gets: unknown numbers over its length."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

import recsketch._check as _check
import recsketch._core as _core
from recsketch._check import MAX_DIM, MIN_DIM
from recsketch.runs.batch import as_batch
from recsketch.sketching.encoding import laid_out
from recsketch.sketching.matrices import Matrices
from recsketch.sketching.plan import plan
from recsketch.sketching.spec import SketchSpec

if TYPE_CHECKING:
    import numpy.typing as npt

    from recsketch.runs.batch import TraceBatch
    from recsketch.runs.trace import Trace


def loads(matrices: Matrices, batch: TraceBatch, threads: int) -> npt.NDArray[np.float64]:
    """(n,) The load of every trace: unknowns and one counter of live objects, over d."""
    if not len(batch):
        return np.zeros(0)
    batch = laid_out(matrices, batch)
    live = plan(matrices.core, matrices.spec, batch, threads).amplitudes()[1] > 0
    sums = np.append(0, np.cumsum((np.diff(batch.attribute_ends) + 1) * live))
    return np.asarray(np.diff(sums[batch.objects]) / matrices.spec.dim)


def suggest_dim(traces: Trace | TraceBatch | Iterable[Trace], target: float = 0.6, *, signature: int = 0) -> int:
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
    Cost: one plan of all traces, some 80 bytes an object; nothing is sketched.

    Examples
    --------
    >>> import recsketch as rs
    >>> trace = rs.Trace()
    >>> trace.outputs([trace.add("eye", [1.0] * 99) for _ in range(5)])
    >>> suggest_dim(trace)
    1024
    """
    batch, _ = as_batch(traces)
    target = _check.number("target", target, "a load above 0 and at most 4", 0.0, 4.0)
    if not len(batch):
        raise ValueError("traces: wanted at least one; got none")
    widest = max(1, _widest(batch.weights, batch.input_ends), _widest(batch.output_weights, batch.output_ends))
    trial = Matrices(SketchSpec(MIN_DIM, batch.modules, max_inputs=widest, signature=signature))
    most = float(loads(trial, batch, _core.max_threads()).max()) * MIN_DIM
    dim = max(MIN_DIM, 1 << math.ceil(math.log2(min(max(most, 1.0) / target, 2.0**60))))
    if dim > MAX_DIM:
        raise ValueError(f"traces: wanted at most {target * MAX_DIM:.0f} unknown numbers in one; got {most:.0f}")
    return dim


def _widest(weights: npt.NDArray[np.float64], ends: npt.NDArray[np.int64]) -> int:
    """The most inputs of positive weight of any tuple: others take no position."""
    used = np.append(0, np.cumsum(weights > 0))
    return int(np.diff(used[ends]).max(initial=0))
