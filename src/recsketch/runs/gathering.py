"""Columns of traces, of chosen runs of a batch, and of many batches as one."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from recsketch.runs.labels import shortest

if TYPE_CHECKING:
    import numpy.typing as npt

    from recsketch.runs.batch import TraceBatch
    from recsketch.runs.trace import Trace

    Offsets = npt.NDArray[np.int64]


def ends(sizes: Sequence[int] | npt.NDArray[Any]) -> Offsets:
    """Offsets of parts of these sizes, one after the other."""
    out = np.zeros(len(sizes) + 1, np.int64)
    np.add.accumulate(np.asarray(sizes, np.int64), out=out[1:])
    return out


def spread(begin: npt.NDArray[Any], count: npt.NDArray[Any]) -> Offsets:
    """begin[0], begin[0] + 1 ..., count[0] of them, and so on: where the elements of parts stand."""
    return np.asarray(np.repeat(begin - np.cumsum(count) + count, count) + np.arange(count.sum()))


def taken(batch: TraceBatch, rows: npt.NDArray[np.intp]) -> dict[str, Any]:
    """The columns of these runs, in this order; a run may come twice."""

    def parts(offsets: Offsets, which: npt.NDArray[Any]) -> tuple[Offsets, Offsets]:
        """Where the parts of these owners stand, and their new offsets."""
        count = offsets[which + 1] - offsets[which]
        return spread(offsets[which], count), ends(count)

    objects, object_ends = parts(batch.objects, rows)
    elements, attribute_ends = parts(batch.attribute_ends, objects)
    edges, input_ends = parts(batch.input_ends, objects)
    outputs, output_ends = parts(batch.output_ends, rows)
    return {
        "names": batch.names,
        "objects": object_ends,
        "module": batch.module[objects],
        "attribute_ends": attribute_ends,
        "attributes": batch.attributes[elements],
        "input_ends": input_ends,
        "inputs": batch.inputs[edges],
        "weights": batch.weights[edges],
        "output_ends": output_ends,
        "outputs": batch.outputs[outputs],
        "output_weights": batch.output_weights[outputs],
        "ids": None if batch.ids is None else batch.ids[rows],
        "times": None if batch.times is None else batch.times[rows],
    }


def joined(batches: Sequence[TraceBatch]) -> dict[str, Any]:
    """The columns of all runs, batch after batch; ids and times if every batch that has runs has them."""
    names = tuple(dict.fromkeys(name for batch in batches for name in batch.names))
    number = {name: k for k, name in enumerate(names)}
    tables = [np.array([number[name] for name in batch.names] or [0], np.int32) for batch in batches]
    told = [batch for batch in batches if len(batch)] or batches

    def flat(column: Callable[[TraceBatch], npt.NDArray[Any]], dtype: type[np.generic]) -> npt.NDArray[Any]:
        return np.concatenate([np.zeros(0, dtype), *map(column, batches)])

    def offsets(name: str) -> Offsets:
        return ends(flat(lambda batch: np.diff(getattr(batch, name)), np.int64))

    modules = [table[batch.module] for table, batch in zip(tables, batches, strict=True)]
    ids = [batch.ids for batch in told if batch.ids is not None]
    times = [batch.times for batch in told if batch.times is not None]
    return {
        "names": names,
        "objects": offsets("objects"),
        "module": np.concatenate([np.zeros(0, np.int32), *modules]),
        "attribute_ends": offsets("attribute_ends"),
        "attributes": flat(lambda batch: batch.attributes, np.float32),
        "input_ends": offsets("input_ends"),
        "inputs": flat(lambda batch: batch.inputs, np.int32),
        "weights": flat(lambda batch: batch.weights, np.float64),
        "output_ends": offsets("output_ends"),
        "outputs": flat(lambda batch: batch.outputs, np.int32),
        "output_weights": flat(lambda batch: batch.output_weights, np.float64),
        "ids": shortest(np.concatenate(ids)) if told and len(ids) == len(told) else None,
        "times": np.concatenate(times) if told and len(times) == len(told) else None,
    }


def packed(ts: list[Trace]) -> dict[str, Any]:
    """The columns of these traces, but for ids and times."""
    names, module = _common_names(ts)
    return {
        "names": names,
        "objects": ends([len(t._module) for t in ts]),
        "module": module,
        "attribute_ends": _accumulated(t._lengths for t in ts),
        "attributes": _joined([t._attributes for t in ts], np.float32),
        "input_ends": _accumulated(t._fan_in for t in ts),
        "inputs": _joined([t._inputs for t in ts], np.int32),
        "weights": _joined([t._weights for t in ts], np.float64),
        "output_ends": ends([len(t._outputs) for t in ts]),
        "outputs": _joined([t._outputs for t in ts], np.int32),
        "output_weights": _joined([t._output_weights for t in ts], np.float64),
    }


def _joined(parts: Iterable[array[Any] | bytearray], dtype: type[np.generic]) -> npt.NDArray[Any]:
    return np.frombuffer(b"".join(parts), dtype)


def _accumulated(parts: Iterable[array[Any]]) -> Offsets:
    """Offsets of parts whose sizes are these 64-bit integers."""
    return np.add.accumulate(_joined([bytearray(8), *parts], np.int64))


def _common_names(traces: list[Trace]) -> tuple[tuple[str, ...], npt.NDArray[np.int32]]:
    """All module names, and every object's number among them. Traces number modules in their own order."""
    orders = {tuple(t._index) for t in traces}
    if len(orders) == 1:
        return orders.pop(), _joined([t._module for t in traces], np.int32)
    names = tuple(dict.fromkeys(chain.from_iterable(sorted(orders))))
    number = {name: k for k, name in enumerate(names)}
    table = {order: np.array([number[n] for n in order] or [0], np.int32) for order in orders}
    parts = [table[tuple(t._index)][np.frombuffer(t._module, np.int32)] for t in traces if len(t._module)]
    return names, np.concatenate(parts) if parts else np.zeros(0, np.int32)
