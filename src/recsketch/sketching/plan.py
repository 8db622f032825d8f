"""The ordered structure of a batch for a specification: the seam between columns and C."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

import recsketch._check as _check
import recsketch._core as _core
from recsketch.runs.batch import TraceBatch

if TYPE_CHECKING:
    import numpy.typing as npt

    from recsketch.sketching.matrices import Matrices
    from recsketch.sketching.spec import SketchSpec


def plan(
    matrices: Matrices, batch: TraceBatch, threads: int, first: int = 0, core: _core.Spec | None = None
) -> _core.Plan:
    """Check the batch against the specification and order it. Messages call its first trace number `first`.

    The plan is for `matrices.core`, or for `core`. Its unknowns are laid out as `encoding.ends` says.

    Raises
    ------
    ValueError
        For what a sketch cannot be made of; the message names the trace and the object.

    Notes
    -----
    Cost: some 150 bytes an object, and 1 to 10% of the time of sketching the batch (docs/figures.md, speed of
    recursion).
    """
    spec = matrices.spec
    try:
        found = _core.Plan(
            matrices.core if core is None else core,
            batch.objects,
            _numbered(matrices, batch),
            batch.attribute_ends,
            batch.input_ends,
            batch.inputs,
            batch.weights,
            batch.output_ends,
            batch.outputs,
            batch.output_weights,
            threads,
            matrices.coding.more,
        )
    except _core.CoreError as e:
        check_modules(batch, spec.modules, first)
        raise ValueError(explain(e, spec, batch, first)) from None
    if spec.wiring is not None:
        _check_wiring(matrices, batch, found.module, first)
    return found


def _numbered(matrices: Matrices, batch: TraceBatch) -> npt.NDArray[np.int32]:
    """(N,) The number of each object's module in the specification, -1 if it has no such module."""
    numbers = [matrices.number.get(name, -1) for name in batch.names]
    if numbers == list(range(len(numbers))):
        return batch.module
    return np.array(numbers, np.int32).take(batch.module)


def joined(
    batch: TraceBatch,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Every input and every output of a batch: its owner (-1: it is an output), the object itself, both numbered
    through the batch, and whether it weighs something."""
    start = np.repeat(batch.objects[:-1], np.diff(batch.objects))
    owner = np.repeat(np.arange(batch.module.size), np.diff(batch.input_ends))
    outputs = batch.outputs + np.repeat(batch.objects[:-1], np.diff(batch.output_ends))
    return (
        np.concatenate([owner, np.full(outputs.size, -1)]),
        np.concatenate([batch.inputs + start[owner], outputs]),
        np.concatenate([batch.weights, batch.output_weights]) > 0,
    )


def check_modules(batch: TraceBatch, modules: Mapping[str, int], first: int = 0) -> None:
    """Whether `modules` has the modules of all objects, and attributes are as long as it says.

    Raises
    ------
    ValueError
        The message names the first object of another module, or else the first whose attribute has another length; its
        trace is counted from `first`.
    """
    unknown = -1
    wanted = np.array([modules.get(name, unknown) for name in batch.names] or [unknown])[batch.module]
    lengths = batch.attribute_ends[1:] - batch.attribute_ends[:-1]
    if not (lengths != wanted).any():
        return
    strangers = np.flatnonzero(wanted == unknown)
    o = int(strangers[0] if strangers.size else np.flatnonzero(lengths != wanted)[0])
    name = _check.shown(batch.names[batch.module[o]])
    if strangers.size:
        raise ValueError(f"{_where(batch, o, first)}: wanted a module among {_check.listed(modules)}; got {name}")
    raise ValueError(
        f"{_where(batch, o, first)}: wanted an attribute of length {wanted[o]} for {name}; got {lengths[o]}"
    )


def _where(batch: TraceBatch, o: int, first: int) -> str:
    """Which trace and object the object number o of the whole batch is; its trace is counted from `first`."""
    trace = int(np.searchsorted(batch.objects, o, side="right")) - 1
    return f"trace {first + trace}, object {o - int(batch.objects[trace])}"


def _check_wiring(matrices: Matrices, batch: TraceBatch, module: npt.NDArray[np.int32], first: int) -> None:
    """Refuse inputs of positive weight that the wiring excludes.

    The batch is right in all else; `module` has every object's module, as numbered in the specification.
    """
    spec, allowed = matrices.spec, matrices.allowed
    names, wiring, begin = list(spec.modules), spec.wiring or {}, batch.objects[:-1]
    child = module[batch.inputs + np.repeat(begin, np.diff(batch.input_ends[batch.objects]))]
    parent = np.repeat(module, np.diff(batch.input_ends))
    for i in np.flatnonzero((allowed[parent, child] == 0) & (batch.weights > 0)):
        name = names[parent[i]]
        wanted = f"inputs among {_check.listed(wiring[name])}" if name in wiring else "no inputs"
        o = int(np.searchsorted(batch.input_ends, i, side="right")) - 1
        raise ValueError(
            f"{_where(batch, o, first)} ({_short(name)}): wanted {wanted} by the wiring; "
            f"got {_check.shown(names[child[i]])}"
        )
    child = module[batch.outputs + np.repeat(begin, np.diff(batch.output_ends))]
    for i in np.flatnonzero((allowed[-1, child] == 0) & (batch.output_weights > 0)):
        trace = first + int(np.searchsorted(batch.output_ends, i, side="right")) - 1
        raise ValueError(
            f"outputs of trace {trace}: wanted outputs among {_check.listed(wiring[None])} by the wiring; "
            f"got {_check.shown(names[child[i]])}"
        )


def _short(name: str) -> str:
    """A module's name for a message, without quotes."""
    return _check.shown(name)[1:-1]


def explain(error: _core.CoreError, spec: SketchSpec, batch: TraceBatch, first: int = 0) -> str:
    """A message: what the C library found wrong, where, and what was there; traces are counted from `first`."""
    if error.trace < 0:
        return str(error)
    trace, number = error.trace, error.object
    if error.code == "overflow":
        return f"trace {first + trace}: wanted weights whose products along its paths float32 can hold; got larger ones"
    if number < 0:
        where = f"outputs of trace {first + trace}"
        begin, end = batch.output_ends[trace : trace + 2].tolist()
        members, weights = batch.outputs[begin:end], batch.output_weights[begin:end]
    else:
        row = int(batch.objects[trace]) + number
        where = f"trace {first + trace}, object {number} ({_short(batch.names[batch.module[row]])})"
        begin, end = batch.input_ends[row : row + 2].tolist()
        members, weights = batch.inputs[begin:end], batch.weights[begin:end]
    if error.code == "fanout":
        count = int((weights > 0).sum())
        return f"{where}: wanted at most max_inputs = {spec.max_inputs} inputs of positive weight; got {count}"
    if error.code == "weight":
        most = "1e30" if spec.weighting == "count" else "1e300"
        return f"{where}: wanted non-negative weights, some positive, of at most {most}; got {weights[:8].tolist()}"
    if error.code == "order":
        wanted = f"inputs from objects before it, 0 to {number - 1}" if number else "no inputs of the first object"
        return f"{where}: wanted {wanted}; got {members[:8].tolist()}"
    if error.code == "output":
        if not members.size:
            return f"{where}: wanted at least one output, call Trace.outputs; got none"
        last = int(np.diff(batch.objects[trace : trace + 2])[0]) - 1
        return f"{where}: wanted numbers of the trace's objects, 0 to {last}; got {members[:8].tolist()}"
    if error.code == "value":
        values = batch.attributes[batch.attribute_ends[row] : batch.attribute_ends[row + 1]].astype(np.float64)
        name = batch.names[batch.module[row]]
        values = (values - (spec.centres or {}).get(name, 0.0)) * spec.scale(name)
        i = int(np.argmax(np.where(np.isnan(values), np.inf, np.abs(values))))
        most = "at most 1e30" + (", as their products" if name in (spec.second_moment or ()) else "")
        return f"{where}: wanted finite attribute values, after scaling {most}; got {values[i]:g} at element {i}"
    return f"{where}: {error}"
