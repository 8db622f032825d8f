"""The ordered structure of a batch for a specification: the seam between columns and C."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

import recsketch._core as _core
from recsketch.runs.batch import TraceBatch
from recsketch.sketching.spec import SketchSpec

if TYPE_CHECKING:
    import numpy.typing as npt


def plan(core: _core.Spec, spec: SketchSpec, batch: TraceBatch, threads: int, first: int = 0) -> _core.Plan:
    """Check the batch against the specification and order it. Messages call its first trace number `first`.

    Attributes have the lengths `spec.lengths`: see `recsketch.signature`.

    Raises
    ------
    ValueError
        For what a sketch cannot be made of; the message names the trace and the object.
    """
    numbers = batch.require_modules(spec.lengths, first)
    try:
        found = _core.Plan(
            core,
            batch.objects,
            numbers[batch.module],
            batch.attribute_ends,
            batch.input_ends,
            batch.inputs,
            batch.weights,
            batch.output_ends,
            batch.outputs,
            batch.output_weights,
            threads,
        )
    except _core.CoreError as e:
        raise ValueError(explain(e, spec, batch, first)) from None
    if spec.wiring is not None:
        _check_wiring(spec, batch, numbers[batch.module], first)
    return found


def _check_wiring(spec: SketchSpec, batch: TraceBatch, module: npt.NDArray[np.int32], first: int) -> None:
    """Refuse inputs of positive weight that the wiring excludes. The batch is right otherwise; `module` in the spec."""
    allowed, names = spec.allowed(), list(spec.modules)
    start = np.repeat(batch.objects[:-1], np.diff(batch.objects))
    parent = np.repeat(np.arange(module.size), np.diff(batch.input_ends))
    child = start[parent] + batch.inputs
    for i in np.flatnonzero((allowed[module[parent], module[child]] == 0) & (batch.weights > 0)):
        inputs = (spec.wiring or {}).get(names[module[parent[i]]])
        wanted = f"inputs among {inputs}" if inputs else "no inputs"
        raise ValueError(
            f"{batch.where(int(parent[i]), first)} ({names[module[parent[i]]]}): wanted {wanted} by the wiring; "
            f"got {names[module[child[i]]]!r}"
        )
    trace = np.repeat(np.arange(len(batch)), np.diff(batch.output_ends))
    child = batch.objects[trace] + batch.outputs
    for i in np.flatnonzero((allowed[-1, module[child]] == 0) & (batch.output_weights > 0)):
        raise ValueError(
            f"outputs of trace {first + trace[i]}: wanted outputs among {(spec.wiring or {})[None]} by the wiring; "
            f"got {names[module[child[i]]]!r}"
        )


def explain(error: _core.CoreError, spec: SketchSpec, batch: TraceBatch, first: int = 0) -> str:
    """What the C library found wrong, where (the batch's first trace is number `first`), and what was there."""
    if error.trace < 0:
        return str(error)
    trace, number = error.trace, error.object
    if number < 0:
        where = f"outputs of trace {first + trace}"
        begin, end = batch.output_ends[trace : trace + 2].tolist()
        members, weights = batch.outputs[begin:end], batch.output_weights[begin:end]
    else:
        row = int(batch.objects[trace]) + number
        where = f"trace {first + trace}, object {number} ({batch.names[batch.module[row]]})"
        begin, end = batch.input_ends[row : row + 2].tolist()
        members, weights = batch.inputs[begin:end], batch.weights[begin:end]
    if error.code == "fanout":
        count = int((weights > 0).sum())
        return f"{where}: wanted at most max_inputs = {spec.max_inputs} inputs of positive weight; got {count}"
    if error.code == "weight":
        return f"{where}: wanted non-negative weights, some positive, of at most 1e300; got {weights[:8].tolist()}"
    if error.code == "order":
        return f"{where}: wanted inputs from objects before it, 0 to {number - 1}; got {members[:8].tolist()}"
    if error.code == "output":
        return f"{where}: wanted at least one output, call Trace.outputs; got {members[:8].tolist()}"
    if error.code == "value":
        return f"{where}: wanted finite attribute values, after scaling at most 1e30; got NaN or larger"
    return f"{where}: {error}"
